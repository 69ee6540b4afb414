/* plan_workload.h - `lathe plan`: what is to be served, as the options say it. */
#ifndef CMD_PLAN_WORKLOAD_H
#define CMD_PLAN_WORKLOAD_H
#include "cmd/plan_options.h"
#include "plan/workload.h"

/* A preset or a trace (plan/workload.h), with lengths, loads and targets of the options in place of its own; rate 0: none is asked for.  *rows: a trace's, to be
 * freed with mem_free when w is done. */
int plan_workload(struct workload *w, struct trace_row **rows, const struct plan_options *o, struct err *err);
/* "chat: 1,155 tokens in and 211 out on average": one line. */
void plan_workload_print(const struct workload *w, const struct plan_options *o);

#endif
