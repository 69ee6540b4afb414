/* diagram.h - pictures of an evaluation, each an <svg> that stands alone as a file and fits into a page of base/html.h, light or dark. */
#ifndef EVAL_DIAGRAM_H
#define EVAL_DIAGRAM_H
#include "base/buf.h"
#include "eval/calib.h"

/* Reliability: the share of right answers over the confidence, a bar for each bin with its Wilson interval and a dot at its mean confidence, the
 * diagonal of a calibrated model, and below it how many items there are in each bin.  note: under the title, e.g. ECE and its null quantile; or NULL. */
int diagram_reliability(struct buf *b, const char *title, const char *note, const struct calib_bin *bin, int n_bin, struct err *err);

#endif
