/* bench_judge.h - a run of requests, judged: percentiles with intervals, limits by LoadGen's rules and by stricter ones, tokens per second within the limits.
 *
 * A request that was sent and not answered is slower than any limit.  One that was never sent, or was under way when the user stopped
 * the run, is none.  Valid is what LoadGen calls so, and in which besides
 *   - all requests were answered, and the run was not stopped,
 *   - requests did not pile up: latencies that rise have no percentile,
 *   - early stopping holds for the number of independent queries that these are worth (eval/latency.h). */
#ifndef CMD_BENCH_JUDGE_H
#define CMD_BENCH_JUDGE_H
#include "eval/latency.h"
#include "load/scenario.h"

#define JUDGE_LEVEL 0.95                 /* of intervals */
#define JUDGE_CONFIDENCE 0.99            /* of early stopping, LoadGen's */

struct bench_rules {
    const struct scenario *scenario;     /* NULL: none, nothing is called valid */
    struct load_limits limits;           /* all 0: none */
    double min_duration_s; int min_queries;
    bool open_loop, stopped;
};

enum judge_metric { JUDGE_TTFT, JUDGE_TPOT, JUDGE_E2EL, JUDGE_N };
extern const char *const judge_names[JUDGE_N];           /* "ttft", "tpot", "e2el" */
enum { JUDGE_P = 6 };
extern const double judge_p[JUDGE_P];                    /* 0.5, 0.9, 0.95, 0.97, 0.99, 0.999: LoadGen's */

struct judge_latencies { double *x; int64_t n; struct latency_quantile q[JUDGE_P]; };       /* in the order of requests; INFINITY: failed */
struct judge_rate { double value, ci[2]; };              /* a second; of 20 equal parts of the run; ci NAN: none */

struct bench_judged {
    int n, n_failed;
    struct judge_latencies metric[JUDGE_N];
    struct judge_latencies query;                        /* whole queries, where they have several samples; else x NULL */
    double *at;                                          /* [n] when they were due */
    struct latency_limit limit[JUDGE_N];                 /* where there is one: limit > 0 */
    struct latency_estimate estimate;                    /* single-stream, multi-stream: of whole answers */
    struct latency_slope slope;                          /* open loop: of whole answers */
    bool saturated;
    struct judge_rate tokens, good_tokens, good_total_tokens, good_requests;     /* output; output within limits; with the prompts'; requests within limits */
    double last_due, last_sent, last_over;
    bool constraints_met, duration_met, queries_met, stopping_met, valid;
    char reasons[1200];                                  /* why it is not valid, a line each */
};
int bench_judge(const struct load_run *run, const struct bench_rules *rules, struct bench_judged *out, struct err *err);
void bench_judged_release(struct bench_judged *j);
#endif
