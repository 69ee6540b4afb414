/* calib_report.h - everything about the calibration of one set of answers, as one tree for people's and programs' eyes. */
#ifndef EVAL_CALIB_REPORT_H
#define EVAL_CALIB_REPORT_H
#include <jansson.h>
#include "eval/calib.h"

struct calib_report_opts {
    int n_bin;                       /* 15 */
    int n_rep;                       /* draws of the null distribution, 999 */
    int n_fold;                      /* of the cross-fitted temperature, 5; fewer where there are fewer items */
    uint64_t seed;                   /* of draws, folds, the conformal halves and scores */
    double alpha;                    /* of conformal sets, 0.1 */
    double lambda; int k_reg;        /* of RAPS, 0.1 and 1 */
};
#define CALIB_REPORT_OPTS { 15, 999, 5, 1, 0.1, 0.1, 1 }

/* {
 *   "n", "classes" (null: differing), "choices_max", "input": "logits" | "probabilities", "bins", "seed", "null_draws", "nll_clipped",
 *   "accuracy": { "value", "ci95": [low, high] },
 *   "miscalibrated": p <= .05 by ece.equal_width alone (one test, so that a calibrated model is called so 5 times in 100),
 *   "metrics": { NAME: { "value", "null_mean", "null_q95", "p" } .. }           names of calib_metric_name(); those that do not apply are not there
 *   "reliability": [ { "low", "high", "n", "confidence", "accuracy", "ci95" } .. ]     bins with items
 *   "brier_parts": { "brier.top": { "brier", "uncertainty", "resolution", "reliability", "within" }, "brier.sum": the same },
 *   "temperature": { "status", "T", "beta", "nll_before", "nll_after" (on the items it was fitted to), "cross_fit": { "folds": [T ..],
 *                    "metrics", "miscalibrated", "reliability" } | { "status" } },
 *   "conformal": { "alpha", "n_fit", "n_measured", "coverage_range90": [low, high] (where the coverage of such a calibration lies 9 times in 10),
 *                  "measured_range90" (and where what is counted on n_measured items lies: compare "coverage" with this),
 *                  "thr" | "aps" | "raps": { "q" (null: no bound), "coverage", "size_mean", "n_empty", "n_full", "sizes": [ { "size", "n",
 *                  "covered" } .. ], "worst_class": { "class", "n", "coverage" }, "classes": [ { "n", "coverage", "size_mean" } .. ] } },
 *   "selective": { "aurc.mean", "aurc.trapezoid", "aurc.best", "accuracy_at": { "0.1" .. }, "coverage_at_risk": { "0.01" .. }, "curve": [ [coverage, risk] .. ] }
 * }
 * Numbers that do not exist are null.  The same for any number of threads.  conformal is null for fewer than 4 items. */
int calib_report(json_t **out, const struct calib_items *in, const struct calib_report_opts *o, struct pool *pool, struct err *err);
/* accuracy, ece, brier and nll, and the last three at the cross-fitted temperature, as figures of an evidence (evidence.h); of: what it is of, or NULL. */
int calib_report_figures(json_t *evidence, const char *of, const json_t *report, struct err *err);

#endif
