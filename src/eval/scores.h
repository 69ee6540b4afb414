/* scores.h - a task's scores of its items' values: the number, lm-evaluation-harness's own standard error, and how sure one may be.
 *
 *   share     values of 0 and 1, each item for itself: Wilson's interval; with as many items as clusters where items in clusters are all alike
 *   mean      other means, or items in clusters: Student's t over items or clusters (eval/interval.h)
 *   bootstrap what is no mean: the items, or clusters, drawn again (eval/bootstrap.h), BCa interval
 *   none      fewer than two items or clusters, or a metric that cannot be had of every draw */
#ifndef EVAL_SCORES_H
#define EVAL_SCORES_H
#include "base/pool.h"
#include "eval/evaluate.h"

enum score_by { SCORE_BY_NONE, SCORE_BY_SHARE, SCORE_BY_MEAN, SCORE_BY_BOOTSTRAP };
const char *score_by_word(enum score_by by);         /* "wilson", "t", "bca", "none" */

struct eval_score {
    const struct task_metric *metric;
    double value;                        /* NAN: no item counts */
    double stderr_items;                 /* lm-evaluation-harness's: of independent items; NAN where it has none ("N/A") */
    double se, ci[2];                    /* by `by`; of clusters where there are some */
    enum score_by by;
    int64_t n_item, n_cluster;           /* that count */
};
#define SCORE_LEVEL 0.95
/* Of the bootstrap; goes_on: bootstrap.h's, of one score's work. */
struct score_opts { uint64_t seed; struct pool *pool; bool (*goes_on)(void *ctx, double share); void *ctx; };
int eval_score(const struct eval_task *x, int i_metric, const struct score_opts *o, struct eval_score *out, struct err *err);

/* A group's metric: of its tasks' scores of one metric and filter.  Weighted by items, or the mean of the tasks: value = sum w_i value_i.
 *   stderr_items   lm-evaluation-harness's: pooled (by items), or of independent means
 *   se             sqrt(sum (w_i se_i)^2): the tasks are what was chosen, their items are what was drawn
 *   ci             from the tasks' intervals, which need not be symmetric: value - sqrt(sum (w_i (value_i - low_i))^2), and above alike
 *                  (MOVER: Zou and Donner, Statistics in Medicine 27, 2008; Zou, Huang and Zhang, Computational Statistics & Data Analysis 53, 2009)
 * se and ci are NAN where a task has none. */
struct group_score { double value, stderr_items, se, ci[2]; int64_t n_item; bool clusters; };
struct group_score eval_group_score(const struct eval_score *const *of, int n, bool weight_by_size);
#endif
