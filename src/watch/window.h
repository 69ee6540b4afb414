/* window.h - one window of events against a reference, once: tests of a fixed size, effect sizes, and the numbers that people are used to.
 *
 * For each signal a p-value that is valid for one look at a window whose size was not chosen by looking:
 *   number     Kolmogorov-Smirnov (two_sample.h); missing values are values below all others
 *   category   chi-square of the table of both samples (contingency.h) where every expected count is at least 5, else its permutation p-value: samples
 *              are drawn anew from both together until 20 have a chi-square as large, or 9,999 (Besag & Clifford, Biometrika 78, 1991), never 0; of more
 *              than 16 million events chi-square's in any case
 *   vector     mean discrepancy (mmd.h) of up to 256 of each, 999 permutations, in whitened coordinates and the residual; where any is missing on either
 *              side also chi-square of missing and given as for a category, and p is the smaller of both, doubled
 * and p adjusted over signals: Benjamini-Hochberg (the share of false ones among the alarms) or Holm (any false one).
 * Looking again and again at windows has no such rate: that is monitor.h.
 * PSI is there for those who expect it, and has no stated rate: on 100 events it is above 0.1 in most windows without any drift.
 *
 * Effect sizes, with 95 % intervals where they have one:
 *   number     shift: difference of means in the reference's standard deviations, values beyond the reference's 0.5 % and 99.5 % quantiles by more than
 *              its interquartile range moved there; Cliff's delta 2 P(window > reference) - 1, ties half, DeLong's interval; Wasserstein-1 of the values as
 *              moved, in standard deviations
 *   category   total variation; the category whose share changed most with Newcombe's interval of the difference (Statistics in Medicine 17, 1998, method 10)
 *   vector     area under the curve of a direction (difference of means) found in one half and tried on the other, DeLong's interval */
#ifndef WATCH_WINDOW_H
#define WATCH_WINDOW_H
#include "base/pool.h"
#include "watch/reference.h"

struct window_opts { double alpha; /* 0: 0.05 */ bool holm; uint64_t seed; struct pool *pool; };
struct window_signal {
    const char *test;                       /* "Kolmogorov-Smirnov", .. ; NULL: fewer than 2 events on a side, then there is no p */
    int64_t n_reference, n_window;          /* events that the test saw */
    double statistic, p, p_adjusted;
    bool drift;                             /* p_adjusted <= alpha */
    double psi;                             /* bins: deciles of the reference, or categories; floor 0.0001; no stated rate.  NAN for vectors */
    double missing_reference, missing_window;               /* shares */
    double shift, shift_low, shift_high;    /* NAN where there is none, or the numbers are too large for squares */
    double delta, delta_low, delta_high, wasserstein;
    double tv;
    char category[WATCH_NAME + 1];          /* that changed most; "" : none */
    double share_reference, share_window, change_low, change_high;
    double auc, auc_low, auc_high;
};
/* out[n_signal of the reference], which is closed; window: open, with the same signals. */
int window_compare(struct window_signal *out, const struct reference *r, const struct reference *window, const struct window_opts *o, struct err *err);

#endif
