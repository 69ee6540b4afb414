/* multiple.h - p-values of many tests at once, adjusted so that they may each be compared with the level alpha.
 *
 * O(n), a few milliseconds for 10^5.  ERR_NUMERIC: a p-value is NaN or outside of 0..1, and then `adjusted` is as before. */
#ifndef EVAL_MULTIPLE_H
#define EVAL_MULTIPLE_H
#include <stdint.h>
#include "base/err.h"

/* Holm, Scandinavian Journal of Statistics 6, 1979: the chance of any false rejection is at most alpha, whatever the tests' dependence.
 * The i-th smallest (from 1) becomes the largest of min(1, (n - j + 1) p_(j)) over j <= i.  adjusted may be p. */
int multiple_holm(const double *p, int64_t n, double *adjusted, struct err *err);
/* Benjamini & Hochberg, JRSS B 57, 1995: the expected share of false ones among the rejections is at most alpha, for independent or positively
 * dependent tests.  The i-th smallest becomes the least of min(1, n p_(j) / j) over j >= i.  adjusted may be p. */
int multiple_bh(const double *p, int64_t n, double *adjusted, struct err *err);
#endif
