/* scenario.h - MLPerf's ways of asking a server, and its limits for language models.
 *
 *   single-stream  the next query when the last one is answered: latency of the slowest 10 %
 *   multi-stream   the same, 8 samples a query
 *   offline        all queries are there at the beginning: tokens per second
 *   server         queries come at random (Poisson) at a rate: whether the slowest 1 % keep the limits for the first token and for each one after it
 *   interactive    the same with tighter limits */
#ifndef LOAD_SCENARIO_H
#define LOAD_SCENARIO_H
#include <stdbool.h>
#include <stdint.h>
#include "load/summary.h"

enum scenario_id {
#define SCENARIO(id, option, mlperf, percentile, n_least, n_sample, random) SCENARIO_##id,
#define LIMITS(model, ttft, tpot, ttft_interactive, tpot_interactive)
#include "load/scenario.def"
#undef SCENARIO
#undef LIMITS
};
struct scenario {
    enum scenario_id id;
    const char *name, *mlperf;           /* of the option, of LoadGen */
    double percentile;
    int n_least, n_sample;               /* queries at least; samples of a query */
    bool random;
};
#define SCENARIO_DURATION_S 600.0        /* at least, of each */
#define SCENARIO_NAMES "single-stream, multi-stream, offline, server or interactive"
const struct scenario *scenario_find(const char *name);          /* NULL: there is none */

/* The limits of a model's benchmark by its name, or "ttft:MS,...".  ERR_USAGE names those that there are. */
int scenario_limits(struct load_limits *out, const char *text, bool interactive, struct err *err);

/* Poisson arrivals at `rate` until seconds have passed and n_least have come, the gaps as they were drawn: their sum is not brought to a round one,
 * which would make them more regular than what they stand for.  At most n_most.  *at: to be freed with mem_free. */
int scenario_arrivals(double **at, int *n, double rate, double seconds, int n_least, int n_most, uint64_t seed, struct err *err);
#endif
