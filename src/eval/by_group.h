/* by_group.h - shares of right answers by group: which group is worst, how sure that is, and how far the groups lie apart.
 *
 * Groups of fewer than BY_GROUP_MIN items, or of fewer than BY_GROUP_MIN_CLUSTER clusters where items are in clusters, are told and take part in
 * nothing else: no test, no gap, no claim about the worst.  m: the number of the others.
 *
 *   low, high          95 %: Wilson's; with clusters Student's t over them (eval/interval.h), and Wilson's with as many items as there are clusters where all
 *                      of them agree, for which t would have no width; within 0 to 1
 *   low_all, high_all  the same at 1 - 0.05 / m (Bonferroni): all m hold at once with 95 %
 *   p                  that the group is as good as all others together: Fisher's exact test; with clusters Student's t of the difference, whose error is over
 *                      clusters, with one degree of freedom less than there are clusters with items of the group, or with others, whichever is fewer.
 *                      p_holm: adjusted for m tests (Holm)
 *   gap                largest share less smallest.  low, high: gap +- c, not below 0, c the 95 % quantile over draws of items or clusters of the largest
 *                      change of a difference between two groups, widened as Student's t of as many units is: it holds for all pairs at once, as
 *                      Tukey's do, and so for whichever pair is the farthest apart (a bootstrap of the largest difference itself would be too high
 *                      throughout).  The gap is above 0 for equal groups too: null_q95 is its 95 %
 *                      quantile where groups are dealt out at random: to items or clusters; where clusters hold several groups, their names are swapped within
 *                      each cluster
 *   demographic parity, equalised odds   as fairlearn defines them, of the m groups: the largest difference between two groups of P(predicted = c), and of
 *                      P(predicted = c | label = c) and P(predicted = c | label is another); two classes: c = 1; of more the largest over c.  Groups for which
 *                      a condition never holds are left out of it
 *
 * ERR_RANGE: no items.  Any thread may call; results are the same for any number of threads. */
#ifndef EVAL_BY_GROUP_H
#define EVAL_BY_GROUP_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"

#define BY_GROUP_MIN 30
#define BY_GROUP_MIN_CLUSTER 5
struct by_group_items {                      /* all borrowed */
    int64_t n; int n_group;
    const int32_t *of;                       /* [n]: 0 .. n_group - 1 */
    const int64_t *cluster;                  /* [n] as in eval/interval.h, or NULL */
    const uint8_t *right;                    /* [n] 0 or 1 */
};
/* n 0: value and all else NAN. */
struct by_group_rate { int64_t n, n_right, n_cluster; bool small; double value, low, high, low_all, high_all, p, p_holm; };
/* out[n_group] */
int by_group_rates(const struct by_group_items *x, struct by_group_rate *out, struct err *err);

struct by_group_opts { uint64_t seed; int64_t n_replicate; int n_null; struct pool *pool; };      /* 0: BY_GROUP_REPLICATES, BY_GROUP_NULL */
#define BY_GROUP_REPLICATES 4000
#define BY_GROUP_NULL 999
struct by_group_gap { double value, low, high, null_q95; int n_group; };      /* n_group: those that count; fewer than 2: all NAN */
int by_group_gap(const struct by_group_items *x, const struct by_group_opts *o, struct by_group_gap *out, struct err *err);

struct by_group_classes { int64_t n; int n_group, n_class; const int32_t *of; const int64_t *cluster; const int32_t *label, *predicted; };
struct by_group_parity { struct by_group_gap demographic, odds; };            /* null_q95 NAN */
int by_group_parity(const struct by_group_classes *x, const struct by_group_opts *o, struct by_group_parity *out, struct err *err);
#endif
