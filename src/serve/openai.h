/* openai.h - the requests of OpenAI's API, with vLLM's additions, read into wishes.
 *
 * What a client may send is what the reference says (openapi.yaml) or vLLM's documents; fields that change nothing about an answer are
 * taken and passed over, all others do what they say or are refused by name. */
#ifndef SERVE_OPENAI_H
#define SERVE_OPENAI_H
#include "serve/exchange.h"

/* The request's JSON is taken.  What is wrong is in e, and *w is empty then. */
void openai_chat(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);
void openai_completion(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);

#endif
