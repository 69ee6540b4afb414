/* anthropic_reply.h - what clients of Anthropic's Messages API are told: messages, whole and as named events, models, and errors. */
#ifndef SERVE_ANTHROPIC_REPLY_H
#define SERVE_ANTHROPIC_REPLY_H
#include "serve/exchange.h"

extern const struct dialect anthropic_dialect;
/* {id, type, display_name, created_at, ...} */
json_t *anthropic_model(const struct served_model *s, int which);      /* which: as of served_model_find() */

#endif
