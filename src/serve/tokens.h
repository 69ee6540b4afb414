/* tokens.h - POST /tokenize and /detokenize, in the words of vLLM and of llama.cpp's server. */
#ifndef SERVE_TOKENS_H
#define SERVE_TOKENS_H
#include "serve/http.h"
#include "serve/served_model.h"

/* {"prompt" or "content": a text, "add_special_tokens" or "add_special"}.  Both take the request's JSON and reply. */
void tokens_of_text(struct http_request *q, struct served_model *s, json_t *request);
/* {"tokens": [ids]} */
void text_of_tokens(struct http_request *q, struct served_model *s, json_t *request);
#endif
