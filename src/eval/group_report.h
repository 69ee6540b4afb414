/* group_report.h - a task's scores by the values of a field of its documents, as parts of one evidence of kind "groups".
 *
 *   {"groupings": [{"task", "field", "n_without": items whose documents have no such value, "n_failed", "n_open": of all items,
 *                   "groups": [{"group", "n": answered items, "training": {"n", "of", "share", "by"} | null where it was not counted,
 *                               "metrics": {NAME: {"value", "interval", "interval_all", "p", "p_holm", "n", "n_cluster", "small"}},
 *                               "calibration": {"n", "confidence", "accuracy", "overconfidence", "interval", "ece", "ece_null_mean", "ece_null_q95",
 *                                               "ece_debiased", "p", "p_holm", "squared_ce_debiased"}}],
 *                   "metrics": {NAME: {"higher_is_better", "worst": {"group", "value", "interval_all", "p_holm", "sure": p_holm <= 0.05} | null,
 *                                      "gap": {"value", "interval", "null_q95", "n_group"}}},
 *                   "parity": {"classes", "demographic_parity_difference": {"value", "interval"}, "equalized_odds_difference": the same} | null}, ...],
 *    "level", "small_below", "audit": path | null}
 *
 * Metrics are all of the task's whose values are 0 or 1.  Calibration is of multiple choice: the softmax of the choices' log-likelihoods, and whether
 * the likeliest one is right; ece: equal width, 15 bins, beside what a calibrated model of the same confidences gives with as many items
 * (eval/calib.h); ece_debiased: ece - ece_null_mean; p: of that.  Parity (eval/by_group.h) is of tasks that offer every item the same choices. */
#ifndef EVAL_GROUP_REPORT_H
#define EVAL_GROUP_REPORT_H
#include <jansson.h>
#include "eval/evaluate.h"

struct group_report_opts {
    uint64_t seed;
    struct pool *pool;                       /* never NULL */
    const json_t *audit;                     /* of group_shares_load(), or NULL */
};
/* Adds a grouping, and its figures.  Errors: those of item_groups_init(), ERR_NOMEM. */
int group_report_add(json_t *evidence, const struct eval_task *x, const char *field, const struct group_report_opts *o, struct err *err);
#endif
