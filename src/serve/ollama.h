/* ollama.h - Ollama's API: /api/chat, generate, embed, tags, ps, show, version, pull.
 *
 * What a client may send is what Ollama's documents say, but nothing is cut and nothing is passed over that would change an answer: those
 * fields are refused by name.  Options of how a model is loaded (num_thread, num_gpu, ...) change nothing here; num_ctx is refused where
 * it is more than there is.  A name may end in ":latest". */
#ifndef SERVE_OLLAMA_H
#define SERVE_OLLAMA_H
#include "serve/exchange.h"

/* Requests as wishes; request is taken.  What is wrong is in e, and *w is empty then.  Without a prompt, as clients ask to have a model
 * loaded, the wish has none. */
void ollama_read_chat(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);
void ollama_read_generate(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);

/* Each takes the request's JSON and replies. */
void ollama_chat(struct http_request *q, struct served_model *s, json_t *request);
void ollama_generate(struct http_request *q, struct served_model *s, json_t *request);
void ollama_embed(struct http_request *q, struct served_model *s, json_t *request);
void ollama_embeddings(struct http_request *q, struct served_model *s, json_t *request);      /* of one text, the older form */
void ollama_show(struct http_request *q, struct served_model *s, json_t *request);
void ollama_pull(struct http_request *q);
/* What the client may use. */
void ollama_tags(struct http_request *q, struct served_model *const *models, int n);
void ollama_ps(struct http_request *q, struct served_model *const *models, int n);

#endif
