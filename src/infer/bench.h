/* bench.h - how fast a loaded model runs, beside what this machine could do at that moment. */
#ifndef INFER_BENCH_H
#define INFER_BENCH_H
#include "infer/engine.h"
#include "nn/limits.h"

/* One test: a prompt of n_prompt tokens, or n_gen tokens for each of `batch` sequences one at a time; after n_depth tokens
 * that are there already.  One of n_prompt and n_gen is 0. */
struct bench_test { int n_prompt, n_gen, batch, n_depth; };
#define BENCH_REPEAT_MAX 100
struct bench_result {
    struct bench_test test;
    int n;
    double seconds[BENCH_REPEAT_MAX], share_of_each[BENCH_REPEAT_MAX];
    double tokens;                         /* of one repetition */
    double limit;                          /* tokens/s that the limits sampled beside the repetitions allow: median; NAN: not known */
    const char *limit_kind;                /* what stops it there: "int8 peak", "bf16 peak", "fp32 peak", "read bandwidth" */
    double share;                          /* median of tokens/s over the limit sampled beside it; NAN */
    double flops, bytes;                   /* of one repetition: products and attention; weights and cache read */
    struct limits limits;                  /* medians of the samples */
};
/* Positions and sequences that the tests need of an engine. */
void bench_needs(const struct bench_test *t, int n_test, int *n_slot, int *ctx);
/* Runs one test `repeat` times after one run that does not count; before and after each the limits are sampled.  Of an engine on a device (engine_opts.device) they are
 * given: `device`, 0 where a peak or the bandwidth is not known; NULL: this machine's. */
int bench_run(struct engine *e, const struct bench_test *t, int repeat, const struct limits *device, struct pool *pool, struct bench_result *out, struct err *err);
#endif
