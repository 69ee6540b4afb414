/* order.h - sorting doubles, and what follows from their order. */
#ifndef EVAL_ORDER_H
#define EVAL_ORDER_H
#include <stdint.h>
#include "base/err.h"

/* v ascending in place: -inf first, -0 before 0.  Radix sort, O(n). */
int order_sort(double *v, int64_t n, struct err *err);
/* index[i]: the place in v of its i-th smallest value; equal values in the order of their places. */
int order_index(const double *v, int64_t n, int64_t *index, struct err *err);
/* rank[i] of v[i], from 1; equal values share the mean of their ranks.  *ties (may be NULL): the sum of t^3 - t over groups of t equal values. */
int order_rank(const double *v, int64_t n, double *rank, double *ties, struct err *err);
/* ERR_NUMERIC at the first value that is not a number, or that is infinite; `what` names the values.  n < 0: ERR_RANGE. */
int order_finite(const double *v, int64_t n, const char *what, struct err *err);
/* Quantile of sorted values by linear interpolation (type 7 of Hyndman & Fan, 1996, NumPy's default); n >= 1, 0 <= q <= 1. */
double order_quantile(const double *sorted, int64_t n, double q);
#endif
