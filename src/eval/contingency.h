/* contingency.h - counts in a table: are rows (model, version, window) and columns (answer, category) independent?
 *
 * ERR_RANGE: negative counts, a sum over 10^14, or a row or column without any (leave it out).  Any thread may call. */
#ifndef EVAL_CONTINGENCY_H
#define EVAL_CONTINGENCY_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct contingency {
    double chi2, p;             /* Pearson's, with (rows-1)(columns-1) degrees of freedom */
    double g, g_p;              /* the likelihood ratio, 2 sum o ln(o/e) */
    double cramer_v;            /* sqrt(chi2 / n / min(rows-1, columns-1)), of the uncorrected chi2; 0 without degrees of freedom */
    int64_t df, n;
    double expected_min;        /* under 5 the approximation is rough */
};
/* count[rows][columns].  yates: with one degree of freedom each |o - e| is made smaller by up to 1/2 (SciPy's default). */
int contingency_test(const int64_t *count, int rows, int columns, bool yates, struct contingency *out, struct err *err);

/* Fisher's exact test of {{a, b}, {c, d}}: two-sided, the sum of what is no more likely than what was seen (within 1e-12, for ties), and one-sided, P(X <= a)
 * and P(X >= a) with the sums of rows and columns given.  Here a row or column may be empty: then all are 1. */
struct contingency_fisher { double two_sided, less, greater; };
int contingency_fisher(const int64_t table[2][2], struct contingency_fisher *out, struct err *err);
#endif
