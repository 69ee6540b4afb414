/* ollama_reply.h - what clients of Ollama's API are told: answers, whole and as lines of JSON, and errors. */
#ifndef SERVE_OLLAMA_REPLY_H
#define SERVE_OLLAMA_REPLY_H
#include <time.h>
#include "serve/exchange.h"

extern const struct dialect ollama_chat_dialect, ollama_generate_dialect;
/* {"model":NAME,"created_at":TIME, what every line begins with */
int ollama_head(struct buf *b, const char *model, time_t t, struct err *err);

#endif
