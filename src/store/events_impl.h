/* events_impl.h - the columns of the table of answers, in the order in which they are written and read, and as the first version of the tables had them (SQL); and the key of
 * the names.  Only events*.c include it. */
#ifndef STORE_EVENTS_IMPL_H
#define STORE_EVENTS_IMPL_H
#include "store/events.h"

#define ANSWER_COLUMNS \
    "id, choice, request, t, server, model, version, root, arm, owner, usr, api, prompt_tokens, cached_tokens, answer_tokens, prompt_nll, prompt_nll_tokens, entropy, confidence, logprob, " \
    "sketch, experts, prompt_language, answer_language, finish, error, refused, schema_ok, tool_calls, tool_ok, first_s, total_s, written, experts_effective"
#define ANSWER_COLUMNS_SQL \
    "id TEXT NOT NULL, choice BIGINT NOT NULL, request TEXT NOT NULL, t BIGINT NOT NULL, server TEXT NOT NULL, model TEXT NOT NULL, version BIGINT NOT NULL, root TEXT NOT NULL, arm TEXT NOT NULL, " \
    "owner TEXT, usr TEXT, api TEXT NOT NULL, prompt_tokens BIGINT, cached_tokens BIGINT, answer_tokens BIGINT, prompt_nll DOUBLE PRECISION, prompt_nll_tokens BIGINT, entropy DOUBLE PRECISION, " \
    "confidence DOUBLE PRECISION, logprob DOUBLE PRECISION, sketch TEXT, experts TEXT, prompt_language TEXT, answer_language TEXT, finish TEXT NOT NULL, error TEXT, refused BIGINT, schema_ok BIGINT, " \
    "tool_calls BIGINT, tool_ok BIGINT, first_s DOUBLE PRECISION, total_s DOUBLE PRECISION, written BIGINT NOT NULL"

#define EVENTS_KEY 32                    /* bytes */
const unsigned char *events_key(const struct events *e);
/* events_open() that makes what is not there, the key's file of these bytes.  ERR_USAGE: the key there is another. */
int events_open_keyed(struct events **out, const char *where, const unsigned char key[EVENTS_KEY], struct err *err);
#endif
