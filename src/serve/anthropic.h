/* anthropic.h - the requests of Anthropic's Messages API, read into wishes.
 *
 * What a client may send is what Anthropic's documents say; what cannot be done here is refused by name.  Turns of the same role in a row
 * are one message, as there; a last message of the assistant is the beginning of the answer.  cache_control changes nothing: what prompts
 * have in common is always kept. */
#ifndef SERVE_ANTHROPIC_H
#define SERVE_ANTHROPIC_H
#include "serve/exchange.h"

/* The request's JSON is taken.  What is wrong is in e, and *w is empty then. */
void anthropic_messages(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);
/* The same request, of which only the tokens of the prompt are counted; replies. */
void anthropic_count(struct http_request *q, struct served_model *s, json_t *request);

#endif
