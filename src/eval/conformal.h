/* conformal.h - sets of answers that hold the right one with a promised frequency (split conformal prediction).
 *
 * On n items kept apart for it, each item's score says how odd its right choice is; with l = floor((n+1) alpha), q is the (n+1-l)-th smallest score,
 * that is the ceil((n+1)(1-alpha))-th (infinite, so that sets hold everything, where l is 0).  The set of a new item holds the choices with a score of at most q.
 * Whatever the model: it holds the right one in at least 1 - alpha of all cases, and given the n items with a frequency that is
 * distributed as Beta(n+1-l, l) (Vovk 2012), which conformal_interval() gives.
 *   THR   1 - p_y                                                   (Sadinle et al. 2019; LAC)
 *   APS   sum of the probabilities down to p_y, less u p_y           (Romano et al. 2020)
 *   RAPS  APS + lambda max(0, rank of y - k_reg), rank from 1        (Angelopoulos et al. 2021; as there with lambda .1, k_reg 1)
 * u is uniform on [0, 1), a function of (seed, item), or 0 where it is not randomised (then the promise is kept with room to spare).  Equal
 * probabilities rank by their number. */
#ifndef EVAL_CONFORMAL_H
#define EVAL_CONFORMAL_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "eval/calib.h"

enum conformal_kind { CONFORMAL_THR, CONFORMAL_APS, CONFORMAL_RAPS };
struct conformal {
    enum conformal_kind kind;
    double alpha;                    /* in (0, 1) */
    double lambda; int k_reg;        /* RAPS */
    bool randomised; uint64_t seed;  /* APS and RAPS */
    double q; int64_t n;             /* what conformal_fit() found, on how many */
};
const char *conformal_name(enum conformal_kind kind);      /* "thr", "aps", "raps" */
/* item[n]: which items of c are kept apart for this. */
int conformal_fit(struct conformal *f, const struct calib *c, const int32_t *item, int64_t n, struct err *err);
/* The k scores of an item's choices, in the order of the choices; rank: scratch [k]. */
void conformal_scores(const struct conformal *f, const struct calib *c, int32_t item, double *score, int32_t *rank);

struct conformal_class { int64_t n, n_covered; double size_mean; };        /* items of this class; NAN where there are none */
struct conformal_result {
    int64_t n, n_empty, n_full;      /* items; sets that hold nothing, and every choice */
    double coverage, size_mean;
    int64_t *by_size, *covered_by_size; int k_max;         /* [k_max + 1] */
    struct conformal_class *by_class; int n_class;         /* 0: items with differing choices */
};
int conformal_measure(struct conformal_result *out, const struct conformal *f, const struct calib *c, const int32_t *item, int64_t n, struct err *err);
void conformal_result_release(struct conformal_result *r);

/* l, and the range in which the coverage of such a calibration lies with probability `level` (half of the rest on each side). */
int64_t conformal_l(int64_t n, double alpha);
void conformal_interval(int64_t n, double alpha, double level, double *low, double *high);
/* The same of the share that is covered among m new items, which is counted and so spreads more: beta-binomial. */
void conformal_measured_interval(int64_t n, double alpha, int64_t m, double level, double *low, double *high);

/* Half of all items for each, by the seed: item[n], the first n_fit of them to fit on. */
void conformal_split(int64_t n, uint64_t seed, int32_t *item, int64_t *n_fit);

#endif
