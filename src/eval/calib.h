/* calib.h - do a model's probabilities mean what they say?  Calibration errors with what chance alone would give, Brier, NLL, temperature.
 *
 * n items, each with the choices 0 .. K-1, of which `label` is right; K may differ from item to item (multiple choice).  A model is calibrated
 * when of the answers it is 80 % sure of 80 % are right.  With few items every estimate of a calibration error is above 0 for a perfect model
 * too (0.07 at n = 300), so each comes with the 95 % quantile of its null distribution: calib_null() draws the labels from the model's own
 * probabilities, which stay as they are, and measures again (after the consistency resampling of Broecker and Smith, "Increasing the reliability
 * of reliability diagrams", 2007).
 *
 * Conventions, which the names of the metrics tell:
 *   confidence    the largest probability of an item; its choice is the first of equals
 *   equal width   bin min(B-1, floor(conf * B)): [0, 1/B), .., [1-1/B, 1]
 *   equal mass    sorted by confidence, cut into B parts, the first n mod B of them one item longer (numpy.array_split).  Items of equal
 *                 confidence share their outcomes, so that nothing depends on the order of the items; B is n where n is smaller
 *   NLL           natural logarithm; of given probabilities those below 2^-126, the smallest normal float, count as 2^-126 (87.3 nats):
 *                 n_clipped says how often that was the right one.  From logits nothing is clipped
 * Threads: a struct calib is read only once it is made.  All results are the same for any number of threads. */
#ifndef EVAL_CALIB_H
#define EVAL_CALIB_H
#include <stdbool.h>
#include <stdint.h>
#include "base/diagram.h"
#include "base/err.h"
#include "base/pool.h"

/* ---- input ---- */

struct calib_items {                 /* all borrowed */
    int64_t n;                       /* 1 to 2^31 - 1 */
    int n_class;                     /* choices of every item; 0: item i has start[i+1] - start[i] of them */
    const int64_t *start;            /* [n + 1] from 0 on; NULL where n_class > 0 */
    const double *value;             /* the items' rows, one behind the other */
    const int32_t *label;            /* [n] */
    bool probs;                      /* probabilities, each row's sum within 1e-4 of 1; else logits: numbers whose softmax is meant */
};

struct calib {                       /* read only */
    int64_t n; int n_class, k_max, n_bin;      /* n_class 0: differing; k_max: most choices of an item */
    int64_t *start;                  /* [n + 1] */
    double *logit, *p;               /* [start[n]]; logit: ln of the clipped probability where these were given */
    int32_t *label, *top;            /* [n]; top: the model's choice */
    double *conf; unsigned char *right;        /* [n]; right: top is label */
    int64_t n_clipped;
    struct calib_columns *columns;   /* of calib_bins.c: confidences in order */
};
/* n_bin >= 1, 15 is usual.  Errors name the item (and choice): a value that is not finite (or beyond 1e300), a probability outside 0 .. 1, a sum that is not 1,
 * a label that is no choice, an item without choices.  Memory: about 60 bytes a choice. */
int calib_new(struct calib **out, const struct calib_items *in, int n_bin, struct err *err);
void calib_free(struct calib *c);

/* ---- metrics ---- */

#define CALIB_SWEEP_MAX 1000
/* id, name before the number of bins, whether that number follows, meaning.  n_b, acc_b, conf_b: items, share of right ones and mean confidence of bin b. */
#define CALIB_METRICS(X)                                                                                                                      \
    X(ECE_WIDTH, "ece.equal_width", true, "expected calibration error: sum of n_b/n * |acc_b - conf_b| (Naeini et al. 2015)")                  \
    X(ECE_MASS, "ece.equal_mass", true, "the same over bins of equally many items (torch-uncertainty: ACE)")                                   \
    X(ECE_SWEEP, "ece.equal_mass.sweep", false, "the same with the most bins, up to 1000, for which acc_b still rises from bin to bin (Roelofs et al. 2022)") \
    X(ACE_WIDTH, "ace.unweighted.equal_width", true, "mean of |acc_b - conf_b| over bins that are not empty (Neumann et al. 2018, netcal: ACE)") \
    X(MCE_WIDTH, "mce.equal_width", true, "the largest |acc_b - conf_b|")                                                                     \
    X(RMS_MASS, "rms_ce.equal_mass", true, "root of the sum of n_b/n * (acc_b - conf_b)^2 (Hendrycks et al. 2019; GCE with norm l2)")           \
    X(DEBIASED_L2, "squared_ce.debiased_l2.equal_mass", true,                                                                                 \
      "sum of n_b/n * ((acc_b - conf_b)^2 - acc_b (1 - acc_b) / (n_b - 1)), bins of 1 item left out (Kumar et al. 2019); may be below 0")     \
    X(CLASS_WIDTH, "ece.classwise.equal_width", true, "mean over classes of the ECE of p_c against 'it is c' (static calibration error)")      \
    X(CLASS_MASS, "ece.classwise.equal_mass", true, "the same over bins of equally many items (Nixon et al. 2019: ACE)")                      \
    X(BINARY_WIDTH, "ece.binary.equal_width", true, "two classes: ECE of p_1 against 'it is 1' (torchmetrics and netcal of binary tasks)")     \
    X(BRIER_SUM, "brier.sum", false, "mean over items of the sum over choices of (p - right)^2, 0 to 2 (lm-evaluation-harness: brier_score)")  \
    X(BRIER_BINARY, "brier.binary", false, "two classes: mean of (p_1 - it is 1)^2, 0 to 1 (scikit-learn: brier_score_loss)")                 \
    X(BRIER_TOP, "brier.top", false, "mean of (confidence - right)^2")                                                                        \
    X(NLL, "nll", false, "mean of -ln p of the right choice")                                                                                 \
    X(ACCURACY, "accuracy", false, "share of items whose likeliest choice is right")
enum calib_metric {
#define X(id, name, binned, meaning) CALIB_##id,
    CALIB_METRICS(X)
#undef X
    CALIB_N_METRIC
};
void calib_metric_name(enum calib_metric m, int n_bin, char out[48]);     /* "ece.equal_width.15" */
const char *calib_metric_meaning(enum calib_metric m);

/* v[CALIB_N_METRIC]; NAN: does not apply (classes of items with differing choices, two-class metrics of others). */
int calib_measure(const struct calib *c, double *v, struct err *err);

/* What a model that is calibrated exactly as this one claims would give with as many items.
 * q95: the ceil(.95 (R+1))-th smallest of R draws; p: (1 + those at or above the value) / (R + 1).  value > q95 is p <= .05: a calibrated model is
 * called miscalibrated by one metric at most 5 times in 100, whatever n is.  For accuracy both count from above: a model that is right
 * more often than it claims. */
struct calib_null { int n_rep; double mean[CALIB_N_METRIC], q95[CALIB_N_METRIC], p[CALIB_N_METRIC]; };
/* v: of calib_measure.  n_rep >= 19; 999 is usual.  The draws are a function of seed. */
int calib_null(struct calib_null *out, const struct calib *c, const double *v, int n_rep, uint64_t seed, struct pool *pool, struct err *err);

/* Bins of equal width, for a diagram (base/diagram.h).  The interval is Wilson's, 95 %; all NAN where n is 0. */
int calib_reliability(const struct calib *c, struct calib_bin *out, struct err *err);      /* [n_bin] */

/* Murphy's decomposition (1973): brier = uncertainty - resolution + reliability + within, over bins of equal width.  within is what binning
 * leaves (Stephenson et al. 2008): 0 where all confidences of a bin are equal. */
struct calib_brier { double brier, uncertainty, resolution, reliability, within; };
int calib_brier_top(const struct calib *c, struct calib_brier *out, struct err *err);      /* of (confidence, right) */
int calib_brier_sum(const struct calib *c, struct calib_brier *out, struct err *err);      /* summed over classes; zeros where items have differing choices */

/* ---- temperature ---- */

/* softmax(beta * logits), beta = 1/T, that makes NLL least (Guo et al. 2017).  NLL is convex in beta, so its derivative
 * mean(expected logit - logit of the label) is solved: exactly, to the last bits of beta.
 * FITTED      beta is the minimum; below 0 (the less likely choice is right more often) no temperature helps
 * ALL_RIGHT   the likeliest choice is right in every item: NLL falls for beta -> infinity, T -> 0; beta is INFINITY
 * ALL_WRONG   the least likely one is: beta is -INFINITY
 * FLAT        in every item all logits are equal: any T gives the same; beta is 1 */
enum calib_temperature_status { CALIB_FITTED, CALIB_ALL_RIGHT, CALIB_ALL_WRONG, CALIB_FLAT };
struct calib_temperature { enum calib_temperature_status status; double beta, temperature; double nll_before, nll_after; int64_t n; };
const char *calib_temperature_word(enum calib_temperature_status s);       /* a sentence; "fitted" */
/* fold [n] or NULL: items whose fold is not `leave_out` count. */
int calib_temperature_fit(struct calib_temperature *out, const struct calib *c, const int32_t *fold, int32_t leave_out, struct pool *pool, struct err *err);

/* c with item i's logits times beta[i] (finite). */
int calib_scale(struct calib **out, const struct calib *c, const double *beta, struct err *err);
/* Items in n_fold parts by the seed; each part is scaled by the fit on the others, so that what is measured after it is as on new items.
 * fit[n_fold].  *out is NULL (and 0 is returned) where a fit is not FITTED above 0: it then says why. */
int calib_cross_fit(struct calib **out, const struct calib *c, int n_fold, uint64_t seed, struct pool *pool, struct calib_temperature *fit, struct err *err);

#endif
