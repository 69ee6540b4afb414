/* latency.h - what measured latencies say about a percentile: how sure it is, whether it is within a limit, and whether it is rising.
 *
 * Values are in the order of their queries' times; an INFINITY is a query that was never answered, which is slower than all.
 *
 * A percentile is the nearest rank: the smallest value that at least a share p of all do not exceed, sorted[ceil(n p) - 1].
 * Its interval is that of order statistics, which holds for any distribution (David & Nagaraja, Order Statistics, 2003, 7.1): ranks l and u
 * with P(binomial(n, p) < l) <= (1 - level) / 2 and P(binomial(n, p) >= u) <= (1 - level) / 2.
 *
 * It takes queries to be independent, which those that wait in one queue are not.  So the share of slow ones, above the percentile and
 * above the median, is also taken in 8, 16 and 32 batches of consecutive queries; how much more it varies between batches than independent queries'
 * would is the design effect (batch means; Kish, Survey Sampling, 1965).  The largest counts of those that chance does not explain (chi2, 95 %): n
 * queries are worth n / design independent ones, and the interval is that of so many.  design >= 1, so it is never the narrower of the two.
 * LoadGen's early stopping is asked for both numbers, too; for a limit, slow ones are those above it, and above half of it: how queries far from the
 * limit follow each other does not matter.  Of 1,000 times in a queue before one server that is busy four fifths of the time
 * (M/M/1) the 95 % interval of p99 by order statistics alone has the true value in it 1 time in 8, this one 19 times in 20.
 *
 * Errors: ERR_RANGE for what is not possible, ERR_NUMERIC for NaN, ERR_NOMEM.  Any thread. */
#ifndef EVAL_LATENCY_H
#define EVAL_LATENCY_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct latency_quantile {
    double p, value;                     /* NAN: there are none */
    double independent[2], ci[2];        /* by order statistics; of n_effective.  0 and INFINITY where so few queries set no bound */
    int64_t n, n_effective;
    double design;                       /* 1: none is seen, or there are too few (LATENCY_BATCHES) to see one */
};
#define LATENCY_BATCHES 32               /* queries at least for a design effect: 8 batches of 4 */
int latency_quantile(const double *x, int64_t n, double p, double level, struct latency_quantile *out, struct err *err);

/* LoadGen's rule for a limit: with t of n queries over it, n must be at least h(t) + t (eval/sequential.h). */
struct latency_limit {
    double limit, at_rank;               /* LoadGen's percentile, sorted[floor(n p)], which must not exceed it */
    int64_t n, n_over, n_needed;         /* -1: no number of queries would do */
    int64_t n_effective, n_over_effective, n_needed_effective;       /* the same of n / design queries */
    double design;
    bool within, stops, stops_effective; /* at_rank <= limit; n >= n_needed; the same of the effective ones */
};
int latency_limit(const double *x, int64_t n, double p, double limit, double confidence, struct latency_limit *out, struct err *err);

/* LoadGen's estimate where there is no limit (SingleStream, MultiStream): the largest value but the t - 1 largest ones, with the most t >= 1 for
 * which n >= h(t) + t.  It is an upper bound of the percentile with this confidence. */
struct latency_estimate {
    int64_t n, n_needed;                 /* h(1) + 1 */
    int64_t t;                           /* 0: n is below that; then the values are NAN */
    double value, value_effective;       /* ... of the effective queries */
    int64_t n_effective; double design;
};
int latency_estimate(const double *x, int64_t n, double p, double confidence, struct latency_estimate *out, struct err *err);

/* Whether latencies rise while queries come: seconds per second, a line through the medians of 16 batches of consecutive queries (unanswered ones are
 * left out), with a t interval.  In an open loop that gets more than it can serve it tends to (what comes / what is served) - 1.  slope NAN: too few. */
struct latency_slope { double slope, ci[2]; int64_t n; };
int latency_slope(const double *at, const double *x, int64_t n, double level, struct latency_slope *out, struct err *err);

/* Mean of values that follow each other in time, such as tokens of equal pieces of a run, with a t interval; NAN: fewer than two. */
void latency_batch_mean(const double *x, int n, double level, double *mean, double ci[2]);
#endif
