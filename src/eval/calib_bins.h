/* calib_bins.h - within eval/: the bins of a struct calib, made once, and its metrics for any labels.
 *
 * A column is n confidences with an outcome each: column 0 is (confidence, right), behind it, where all items have the same K choices,
 * one for each class: (p_c, it is c).  Of a column only outcomes change from draw to draw, so the rest is laid down here. */
#ifndef EVAL_CALIB_BINS_H
#define EVAL_CALIB_BINS_H
#include "eval/calib.h"

struct columns {                     /* m columns; element of item i in column k at i*m + k, of bin b in column k at k*n_bin + b */
    int m;
    int32_t *from, *to;              /* [n*m]: the places that items of this confidence have in the column's order: from .. to-1 */
    int32_t *width_bin;              /* [n*m] */
    double *width_n, *width_conf, *mass_n, *mass_conf;      /* [m*n_bin]: items and sums of confidences */
};
struct calib_columns {
    struct columns top, classes;     /* classes.m 0: items with differing choices */
    int32_t *order;                  /* [n]: the top column's items by rising confidence */
    double *conf_below;              /* [n+1]: the sum of the first confidences in that order */
    double *log_sum;                 /* [n]: NLL of choice k is log_sum - logit[k] */
    double *squares;                 /* [n]: sum of p^2 */
    double *p_below;                 /* [start[n]]: sum of an item's probabilities up to and with this choice */
};
int calib_columns_new(struct calib *c, bool probs, struct err *err);       /* c: everything but columns */
void calib_columns_free(struct calib_columns *x);

#endif
