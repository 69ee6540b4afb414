/* openai_reply.h - what clients of OpenAI's API are told: chats and completions, whole and as server-sent events, models, and errors. */
#ifndef SERVE_OPENAI_REPLY_H
#define SERVE_OPENAI_REPLY_H
#include "serve/exchange.h"

extern const struct dialect openai_chat_dialect, openai_completion_dialect;
/* A token with its probabilities, into the choice's first part: {token, logprob, bytes, top_logprobs}, Ollama's form, too. */
int openai_add_token(struct choice *c, const struct answer_token *t, struct err *err);
/* {id, object, created, ...} with what vLLM and llama-server tell beside that. */
json_t *openai_model(const struct served_model *m, int which);         /* which: as of served_model_find() */
/* A refusal as a reply in OpenAI's form, for what is no exchange. */
void openai_refuse(struct http_request *q, const struct refusal *e);

#endif
