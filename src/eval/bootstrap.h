/* bootstrap.h - how much a score would have varied with other items: the items, or clusters of them, are drawn again with replacement.
 *
 * It is the plain (exact, multinomial) bootstrap: every replicate draws n_unit units independently and uniformly, by base/rng's Philox under
 * the key of the seed, replicate and draw.  So the same seed gives the same bits with any number of threads.  What makes it fast is that
 * one 64-bit random number gives up to eight draws without bias (Brackett-Rozinsky & Lemire, "Batched ranged random integer generation",
 * arXiv:2408.06213): 100,000 replicates of 5,153 items take less than a second on one core.
 *
 * Intervals from the replicates (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, 13.3 and 14.3):
 *   percentile  quantiles (1 -+ level) / 2 of the replicates, by linear interpolation
 *   BCa         quantiles moved for bias z0 = Phi^-1(share of replicates below the estimate, ties, to 1e-9 se, half) and for skewness
 *               a = sum d^3 / (6 (sum d^2)^1.5), d = mean - jackknife value, leaving out one unit at a time (bootstrap_units():
 *               of more than 1,000 one of 1,000 groups of them).  Where the
 *               estimate lies beyond all replicates, their end.
 *
 * Errors: ERR_RANGE for no units, more than 2^31 - 1, or options that are not possible; ERR_NUMERIC for values, or a statistic of a replicate, that
 * are not finite; ERR_STOPPED. */
#ifndef EVAL_BOOTSTRAP_H
#define EVAL_BOOTSTRAP_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"

struct bootstrap_opts {
    int64_t n_replicate;            /* 0: 10,000 */
    uint64_t seed;
    double level;                   /* 0: 0.95 */
    struct pool *pool;              /* NULL: this thread alone */
    bool (*goes_on)(void *ctx, double share); void *ctx;       /* asked now and then, by the caller's thread, with the share of the work that is done; false: ERR_STOPPED.  NULL: nobody */
};
struct bootstrap {
    double estimate, se;            /* on the data itself; standard deviation of the replicates */
    double bias;                    /* mean of the replicates - estimate */
    double percentile[2], bca[2];
    int64_t n_unit, n_replicate;
};                                  /* n_unit 1: se and intervals are NAN, one unit says nothing about others */

/* A statistic of sums over units: mean, ratio, perplexity, F1, the difference of two models ... sum[j] is the sum of column j over the drawn
 * units.  Called from several threads at once.  Must be finite for all that can be drawn, or it is ERR_NUMERIC. */
#define BOOTSTRAP_COLUMNS 4
typedef double (*bootstrap_of_sums)(const double *sum, int64_t n_unit, const void *ctx);

/* columns[j][i] of item i, n_column of 1 .. BOOTSTRAP_COLUMNS.  cluster (NULL: each item is a unit) as in interval.h: units are then clusters,
 * whose sums are taken first. */
int bootstrap_sums(const double *const *columns, int n_column, const int64_t *cluster, int64_t n, bootstrap_of_sums f, const void *ctx,
                   const struct bootstrap_opts *o, struct bootstrap *out, struct err *err);

/* Ready statistics.  With clusters the mean is a ratio too: give a column of ones, and take bootstrap_ratio. */
double bootstrap_mean(const double *sum, int64_t n_unit, const void *ctx);              /* sum[0] / n_unit */
double bootstrap_ratio(const double *sum, int64_t n_unit, const void *ctx);             /* sum[0] / sum[1] */
double bootstrap_perplexity(const double *sum, int64_t n_unit, const void *ctx);        /* exp(-sum[0] / sum[1]): log-likelihoods, words, bytes or tokens */
double bootstrap_bits_per_byte(const double *sum, int64_t n_unit, const void *ctx);     /* -sum[0] / sum[1] / ln 2 */
double bootstrap_difference(const double *sum, int64_t n_unit, const void *ctx);        /* (sum[0] - sum[1]) / sum[2]: two models, items: by the pair */

/* Any statistic of the drawn units: unit[i] of n_unit, each 0 .. n_unit-1, some many times.  The jackknife
 * calls it with fewer.  i_thread: 0 .. n_thread-1 of the pool, for room of its own. */
typedef double (*bootstrap_of_units)(const int32_t *unit, int64_t n_unit, int i_thread, void *ctx);
int bootstrap_units(int64_t n_unit, bootstrap_of_units f, void *ctx, const struct bootstrap_opts *o, struct bootstrap *out, struct err *err);

/* Draw i of replicate r, for all i < n: what the others use. */
void bootstrap_draw(uint64_t seed, uint64_t r, int64_t n, int32_t *unit);
#endif
