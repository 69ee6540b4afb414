/* roc.h - how far somebody gets who tells positives from negatives by one number, and how sure that is: the area under the curve with its interval,
 * what is found at few false alarms, and the best of all thresholds.
 *
 *   auroc     P(positive > negative) + P(equal)/2.  Standard error of DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988, by the mid-ranks of Sun & Xu,
 *             IEEE Signal Processing Letters 21, 2014; the interval is auroc -+ z se, cut at 0 and 1.  Where the two kinds do not overlap se is 0 and
 *             says nothing: then the interval's other end is what min(n_positive, n_negative) disjoint pairs leave, a^pairs = (1 - level)/2.
 *   point     the highest share of positives at or above a threshold that at most `fpr_max` of the negatives reach (equal scores are one threshold), with
 *             Clopper & Pearson's interval given that threshold.  Where n_negative < 1/fpr_max no negative at all may reach it.
 *   balanced  max over thresholds of (TPR + 1 - FPR)/2, one half plus half of Kolmogorov's one-sided distance, and so chosen in hindsight: the interval is
 *             by Dvoretzky, Kiefer, Wolfowitz and Massart's bound (Ann. Probab. 18, 1990) for both kinds and all thresholds at once, wide but true.
 *
 * A score is higher for what is more likely positive; infinite is fine, NaN is ERR_NUMERIC.  ERR_RANGE: a kind is missing, or a level is not possible.
 * Any thread. */
#ifndef EVAL_ROC_H
#define EVAL_ROC_H
#include <stdint.h>
#include "base/err.h"

struct roc_point { double fpr_max, tpr, ci[2]; int64_t n_found, n_false; };      /* fpr_max: asked */
#define ROC_POINTS 2                     /* at 1 % and 0.1 % of false alarms */
struct roc {
    int64_t n_positive, n_negative;
    double auroc, se, ci[2];
    struct roc_point point[ROC_POINTS];
    double balanced, balanced_ci[2];
};
int roc_measure(struct roc *out, const double *score, const unsigned char *positive, int64_t n, double level, struct err *err);

/* How much larger the area of a is than that of b, scores of the same items: DeLong's covariance.  ci is NAN where the variance is 0. */
struct roc_pair { double auroc[2], difference, se, ci[2]; };
int roc_compare(struct roc_pair *out, const double *a, const double *b, const unsigned char *positive, int64_t n, double level, struct err *err);
#endif
