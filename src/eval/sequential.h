/* sequential.h - stopping before all items are done, without fooling oneself.
 *
 * The e-process.  If nothing has changed, a discordant item (paired.h) breaks or mends with equal chances whatever came before it.  A bet on a
 * share p of broken ones, spread evenly over p, multiplies a stake of 1 to, after b broken and c mended ones, m = b + c,
 *     worse        E = integral_{1/2}^1 2 p^b (1-p)^c dp / 2^-m = 2 P(binomial(m+1, 1/2) <= b) / ((m+1) P(binomial(m, 1/2) = b))
 *     different    E = integral_0^1       p^b (1-p)^c dp / 2^-m =                            1 / ((m+1) P(binomial(m, 1/2) = b))
 * E is a martingale that nobody expects to grow, so the chance that it ever reaches 1/alpha is at most alpha, however often one looks (Ville;
 * Robbins, Ann. Math. Stat. 41, 1970; Ramdas et al., Statistical Science 38, 2023).  Items must come in random order: shuffle them with a seed
 * that is told.  E is kept as its logarithm, from the two counts, so there is nothing that rounding could add up in.  One thread. */
#ifndef EVAL_SEQUENTIAL_H
#define EVAL_SEQUENTIAL_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct eprocess {
    double alpha; bool two_sided;
    int64_t n_item, b, c;
    double log_e, log_e_max;            /* now, and the most there was: 1 / exp(log_e_max) is a p-value that holds at any time */
    int64_t stopped_at;                 /* items when E first was >= 1/alpha; 0: not yet */
};
int eprocess_init(struct eprocess *e, double alpha, bool two_sided, struct err *err);      /* 0 < alpha < 1 */
/* An item more; true when it may stop, from then on always. */
bool eprocess_add(struct eprocess *e, bool old_right, bool new_right);
double eprocess_p(const struct eprocess *e);                        /* min(1, 1 / max E) */
double eprocess_log_e(int64_t b, int64_t c, bool two_sided);        /* of counts >= 0 */

/* MLPerf LoadGen's early stopping: how many queries must be within the latency limit, where t were over it, to be sure with `confidence` that a
 * share `percentile` of all are within: the least h with P(binomial(h + t, 1 - percentile) <= t) <= 1 - confidence.  It takes queries to be
 * independent.  -1: t < 0, or percentile or confidence not within 0..1 exclusive, or more than 10^13 would be needed. */
int64_t loadgen_min_passing(int64_t t, double percentile, double confidence);
#endif
