/* mlperf_log.h - a run in the files of MLPerf's LoadGen: mlperf_log_summary.txt for people, mlperf_log_detail.txt with a line
 * ":::MLLOG {"key": .., "value": ..}" for each fact, that MLPerf's tools read.
 *
 * Names, units (nanoseconds) and LoadGen's own percentile, sorted[floor(n p)], are LoadGen's.  What is ours: the value of "loadgen_version", which
 * says that this was not LoadGen; "result_validity", which is stricter (cmd/bench_judge.h); and a line "query" for each one, with when it was due (as it
 * was drawn), sent, answered. */
#ifndef LOAD_MLPERF_LOG_H
#define LOAD_MLPERF_LOG_H
#include "load/scenario.h"

struct mlperf_times { const double *x; int64_t n; };     /* seconds, in any order; INFINITY: no answer */
struct mlperf_result {
    const char *program, *sut;           /* "lathe 1.2.3", the model's name */
    const struct scenario *scenario;
    struct load_limits limits;
    double rate, min_duration_s;         /* rate 0: not open */
    int min_queries;
    uint64_t seed;
    struct mlperf_times latency, first, tpot, query;     /* query: n 0 where a query is one sample */
    int64_t n_over;                      /* queries over a limit */
    bool valid, constraints_met, duration_met, queries_met, stopping_met;
    const char *reasons;                 /* why it is not valid, a line each */
    struct mlperf_stopping { const char *of; char text[300]; } stopping[3];      /* "TTFT ", lines " * .."; of NULL: none more */
    double estimate;                     /* of early stopping, seconds; NAN: none */
};
/* Both files, in a folder that is made where it is not there. */
int mlperf_log_write(const char *folder, const struct mlperf_result *r, const struct load_run *run, struct err *err);
#endif
