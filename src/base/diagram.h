/* diagram.h - pictures of an evaluation, each an <svg> that fits into a page of base/html.h, light or dark. */
#ifndef BASE_DIAGRAM_H
#define BASE_DIAGRAM_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"

/* Of confidences from low to high: how many items, how many of them right, mean confidence, and accuracy with its interval. */
struct calib_bin { double low, high; int64_t n, n_right; double conf, acc, acc_low, acc_high; };
/* Reliability: the share of right answers over the confidence, a bar for each bin with its interval and a dot at its mean confidence, the
 * diagonal of a calibrated model, and below it how many items there are in each bin.  Stands alone as a file too.  note: under the title, e.g.
 * ECE and its null quantile; or NULL. */
int diagram_reliability(struct buf *b, const char *title, const char *note, const struct calib_bin *bin, int n_bin, struct err *err);

/* Which of several to take: quality, with its interval, over another measure (speed, price); those that no other beats in everything are filled and joined.
 * Stands alone as a file too.  x and y finite. */
struct diagram_choice { const char *name; double x, y, low, high; bool front, taken; };
int diagram_choices(struct buf *b, const char *title, const char *x_name, const char *y_name, const struct diagram_choice *c, int n, struct err *err);

/* For a cell of a table: a value as a dot and its interval as a line, on an axis whose ends and middle are marked.  What is not finite is not drawn,
 * what lies outside is drawn at the end.  colour: 0 to 7 of html.h's. */
struct diagram_axis { double from, to; };
int diagram_interval(struct buf *b, const struct diagram_axis *axis, double value, double low, double high, int colour, struct err *err);

#endif
