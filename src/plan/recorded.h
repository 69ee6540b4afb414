/* recorded.h - what a server has recorded of its answers (store/events.h) as a trace: when each request came, and its tokens.
 *
 * Each answer of a request is one of its own, as the server made it.  Who failed, or was cancelled, has the tokens that it got. */
#ifndef PLAN_RECORDED_H
#define PLAN_RECORDED_H
#include "load/trace.h"
#include "store/events.h"

/* kept: tokens of prompts that were in the cache, all together; left_out: answers of which no tokens are known, or without any.  Free rows with mem_free.
 * ERR_NOTFOUND: there is no answer that can be used. */
struct recorded { struct trace_row *rows; int n; int64_t prompt, kept, left_out; };
int recorded_read(struct recorded *out, struct events *e, const struct events_where *w, struct err *err);

#endif
