/* interval.h - how sure a score is: intervals for a share, and the standard error of a mean or ratio by the unit that was sampled.
 *
 * `level` is the confidence, e.g. 0.95; ci is {low, high}.  Errors: ERR_RANGE for counts and levels that are not possible, ERR_NUMERIC for
 * values that are not finite.  Any thread may call. */
#ifndef EVAL_INTERVAL_H
#define EVAL_INTERVAL_H
#include <stdint.h>
#include "base/err.h"

/* k of n.  Nothing is known of n = 0: 0 to 1.  Wilson, JASA 22, 1927: the score interval, with close to its level on average.
 * Clopper & Pearson, Biometrika 26, 1934: beta quantiles, never less than its level. */
int interval_wilson(int64_t k, int64_t n, double level, double ci[2], struct err *err);
int interval_clopper_pearson(int64_t k, int64_t n, double level, double ci[2], struct err *err);

/* A mean, or a ratio of sums (perplexity: sum of NLL over sum of tokens), and how sure it is.
 * With clusters the items of one (a passage, a subject, a document) may depend on each other; which clusters is what was drawn:
 *     se = sqrt(C / (C-1) sum_c (sum_{i in c} (x_i - R w_i))^2) / sum_i w_i,  R = sum x / sum w
 * (Miller, arXiv:2411.00640, eq. 4, with the factor of Inspect and of the linearised ratio of Cochran, Sampling Techniques, 6.3).  With every
 * item its own cluster and w = 1 it is s / sqrt(n), lm-evaluation-harness's stderr. */
struct interval_mean {
    double mean, se;                /* se is NAN for fewer than two clusters: one says nothing about the next */
    double ci[2];                   /* mean +- t quantile with C-1 degrees of freedom times se; NAN as well then */
    int64_t n_item, n_cluster;
};
/* w and cluster may be NULL (all 1; each item its own).  A cluster is any number; < 0: the item is alone.  ERR_RANGE: n < 1, or a sum of
 * weights that is not positive. */
int interval_mean(const double *x, const double *w, const int64_t *cluster, int64_t n, double level, struct interval_mean *out, struct err *err);

/* Of values that are 0 and 1, most of use with clusters: within 0 to 1; where all items are alike t has no width, and it is Wilson's, with as many items as
 * there are clusters (se is 0 then). */
int interval_share(const double *x, const int64_t *cluster, int64_t n, double level, struct interval_mean *out, struct err *err);

/* Several answers to each item (temperature > 0): the variance of the mean in its two stages, items drawn and then answers drawn.
 * item[i] of answer x[i].  The mean is that of the items' means.  se^2 = between / n + mean over items of within / m_i / n, where se comes
 * from the items' means alone (each has both parts in it) and `within` from the items with two answers and more; Miller, arXiv:2411.00640, 3.1.
 * More answers shrink the second part only. */
struct interval_two_stage {
    double mean, se;
    double var_between;             /* of items' true means; 0 where the estimate is below */
    double var_within;              /* of answers to one item, the mean over items; NAN where no item has two */
    double se_within;               /* what the drawing of answers adds: sqrt(sum of within / m_i) / n; NAN as above */
    int64_t n_item, n_answer;
};
int interval_two_stage(const double *x, const int64_t *item, int64_t n, struct interval_two_stage *out, struct err *err);

/* *index: the n places of the items, those of one cluster together; mem_free it (NULL after an error).  A cluster that begins at i of it ends before the other's result. */
int interval_by_cluster(const int64_t *cluster, int64_t n, int64_t **index, struct err *err);
int64_t interval_cluster_end(const int64_t *cluster, const int64_t *index, int64_t n, int64_t i);
#endif
