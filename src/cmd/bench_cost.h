/* bench_cost.h - what tokens cost: money by the price of an hour, and energy, measured or said to be an estimate.
 *
 *     money per million tokens = price of an hour * 10^6 / (3600 * tokens per second within the limits)
 *
 * Money is of the goodput, never of the peak: what came too late is paid for, and not counted.  Energy is that of the whole run, over the tokens of all
 * answers. */
#ifndef CMD_BENCH_COST_H
#define CMD_BENCH_COST_H
#include <jansson.h>
#include "cmd/bench_judge.h"
#include "load/energy.h"

struct bench_cost_opts {
    double price, watts;                 /* of an hour; of what serves.  0: not given */
    const char *currency, *tdp;          /* "WATTS:SHARE" */
};
struct bench_cost {
    const struct bench_cost_opts *o;
    struct judge_rate output, total;     /* money per million tokens; value NAN: not known */
    double watts;                        /* that are taken; 0: it was measured, or is not known */
    /* of the run, an output token, a million of output tokens, of those and prompts'; NAN: not known */
    double joules, j_per_token, wh_output, wh_total;
    char source[800];                    /* where the energy comes from, "estimate: ..", or why it is not known */
};
int bench_cost_check(const struct bench_cost_opts *o, struct err *err);          /* ERR_USAGE */
/* energy: sampled from the beginning of the run to its end; here: the server is on this machine, else its counters say nothing of it. */
void bench_cost_of(struct bench_cost *c, const struct bench_cost_opts *o, const struct bench_judged *j, const struct energy *energy, bool here, double seconds,
                   double n_output, double n_prompt);
void bench_cost_print(const struct bench_cost *c, bool limited);                /* limited: there are limits */
json_t *bench_cost_json(const struct bench_cost *c);
#endif
