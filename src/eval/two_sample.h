/* two_sample.h - do two samples of numbers come from one distribution?  How far apart are they?
 *
 * x of n, y of m values, in any order, unchanged.  ERR_NUMERIC: a value that is not finite; ERR_RANGE: an empty sample.  p-values are two-sided.  Any
 * thread may call.  The rules for exact and approximate p-values are SciPy's `auto`, so that numbers can be compared. */
#ifndef EVAL_TWO_SAMPLE_H
#define EVAL_TWO_SAMPLE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct two_sample { double statistic, p; bool exact; };

/* Kolmogorov-Smirnov: the largest difference D of the distribution functions.  max(n, m) <= 10,000: exact, the share of all orders of the n + m values
 * (as if no two were equal) whose D is as large (Hodges, Arkiv för Matematik 3, 1958); else kolmogorov_sf(D, round(n m / (n + m))). */
int two_ks(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err);
/* P(D_n >= d) for one sample of n: by the cases of Simard & L'Ecuyer, Journal of Statistical Software 39(11), 2011: exact by Marsaglia, Tsang & Wang's
 * matrix (JSS 8(18), 2003) or twice the one-sided sum (Birnbaum & Tingey, Ann. Math. Stat. 22, 1951), else Pelz & Good's series (JRSS B 38, 1976). */
double kolmogorov_sf(double d, int64_t n);

/* Mann-Whitney's U of x.  Exact (Mann & Whitney, Ann. Math. Stat. 18, 1947) where one sample has at most 8 values, no two are equal, and n m <= 2^22; else
 * normal, corrected for ties and continuity. */
int two_mann_whitney(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err);

/* Cramér-von Mises T (Anderson, Ann. Math. Stat. 33, 1962).  Exact where both have at most 20 values, else by its limit, its first two moments put
 * right.  Both are for values that differ: where many are equal (answers, classes) it alarms too often, 7 % for 5 % of four answers; take contingency_test. */
int two_cramer_von_mises(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err);

/* Anderson-Darling: differences of the distribution functions weighted by 1 / (H (1 - H)), so that it sees the tails; H between the values where they are
 * equal (Scholz & Stephens, JASA 82, 1987, eq. 7).  The statistic is standardised.  p by their table's seven points, as SciPy does it: a square fitted to the
 * logarithms, not below 0.001 and not above 0.25; exact is false.  ERR_RANGE: fewer than 4 values together. */
int two_anderson_darling(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err);

/* Wasserstein-1: the integral of |F - G|.  Energy distance: the root of twice the integral of (F - G)^2 (Székely & Rizzo). */
int two_wasserstein(const double *x, int64_t n, const double *y, int64_t m, double *out, struct err *err);
int two_energy(const double *x, int64_t n, const double *y, int64_t m, double *out, struct err *err);
#endif
