/* rank.h - how well one number tells two kinds apart: areas under ROC and precision-recall curves, and false positives at 95 % recall.
 *
 * A score is higher for what is more likely positive.  Equal scores are one threshold: an area counts half of them (AUROC), a point takes all
 * of them (FPR95, precision).  Who is positive decides FPR95 and the precision-recall areas, so the names say it: one set of scores may give
 * 0.91 with what is out of distribution as positive (OpenOOD) and 0.43 with what is in it (ODIN).
 * Scores may be infinite but not NaN.  Memory: 16 bytes an item while it runs.  Any thread. */
#ifndef EVAL_RANK_H
#define EVAL_RANK_H
#include <stdint.h>
#include "base/err.h"

/* auroc  P(positive > negative) + P(equal)/2                                                    sklearn.metrics.roc_auc_score
 * ap     sum over thresholds of (recall gained) * precision                                     sklearn.metrics.average_precision_score
 * aupr   the trapezoids below precision over recall, from (recall 0, precision 1) on            auc(recall, precision) of precision_recall_curve
 * fpr95  the share of negatives at or above the highest threshold with 95 % of the positives    fpr[argmax(tpr >= .95)] of roc_curve
 * A constant score has auroc 0.5, ap the share of positives p, and aupr (1 + p)/2: its curve is one trapezoid, from precision 1 to p.
 * All are NAN where one of the kinds is missing.
 * auroc_se  the standard error of auroc (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988): from the variance of each item's share of the other
 *           kind that it is on the right side of; NAN with fewer than two of a kind, 0 where nothing is on the wrong side */
struct rank { int64_t n_positive, n_negative; double auroc, ap, aupr, fpr95, auroc_se; };
/* ERR_NUMERIC names the first score that is NaN. */
int rank_measure(struct rank *out, const double *score, const unsigned char *positive, int64_t n, struct err *err);

/* The same for scores of what is in and what is out of distribution, higher: more in (eval/ood.h), both ways round.
 * aupr_in has what is in as positive, aupr_out what is out; each is to be read beside its prevalence, which a useless score gets. */
struct rank_ood {
    int64_t n_id, n_ood;
    double auroc, auroc_se;                         /* the same both ways round */
    double fpr95_id_positive, fpr95_ood_positive;
    double aupr_in, aupr_out, ap_in, ap_out, prevalence_id, prevalence_ood;
};
int rank_ood(struct rank_ood *out, const double *id, int64_t n_id, const double *ood, int64_t n_ood, struct err *err);

#endif
