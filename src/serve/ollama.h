/* ollama.h - Ollama's API: /api/chat, generate, embed, tags, ps, show, version, pull.
 *
 * What a client may send is what Ollama's documents say, but nothing is cut and nothing is passed over that would change an answer: those
 * fields are refused by name.  Options of how a model is loaded (num_thread, num_gpu, ...) change nothing here; num_ctx is refused where
 * it is more than there is.  A name may end in ":latest".
 *
 * Each reads its request and replies. */
#ifndef SERVE_OLLAMA_H
#define SERVE_OLLAMA_H
#include "serve/exchange.h"

void ollama_chat(struct http_request *q, struct served_model *s);
void ollama_generate(struct http_request *q, struct served_model *s);
void ollama_embed(struct http_request *q, struct served_model *s);
void ollama_embeddings(struct http_request *q, struct served_model *s);      /* of one text, the older form */
/* path: of the model's files. */
void ollama_show(struct http_request *q, struct served_model *s, const char *path);
void ollama_pull(struct http_request *q);
/* s: NULL where the client may use none. */
void ollama_tags(struct http_request *q, const struct served_model *s);
void ollama_ps(struct http_request *q, const struct served_model *s);

#endif
