/* linalg.h - the few dense decompositions that statistics of features need, in doubles.
 *
 * Matrices are row-major, d up to some thousands.  Sums run in one order whatever the threads are, so results are the same for any number
 * of them.  Nothing here takes memory but the two that say so. */
#ifndef EVAL_LINALG_H
#define EVAL_LINALG_H
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"

/* Lower half (with the diagonal) of s[d,d] += x^T x, x[m,d]. */
void lin_gram_add(double *s, const double *x, int m, int d, struct pool *pool);
/* a[d,d], lower half given, becomes L with a = L L^T (its upper half is left).  Returns -1, or the first row whose pivot is not above
 * eps * d * its own diagonal: there the matrix is singular or not positive. */
int lin_cholesky(double *a, int d);
/* x[d] becomes the solution of L L^T x = b, b in x. */
void lin_cholesky_solve(const double *l, int d, double *x);
/* t[d,d] = (L^-1)^T: the upper triangle; the lower one is 0. */
void lin_whitening(const double *l, int d, double *t);
/* y[m,d] = x[m,d] * t[d,d], t an upper triangle. */
void lin_times_upper(const double *x, const double *t, double *y, int m, int d);
/* y[m,k] = x[m,d] * t[d,k]. */
void lin_times(const double *x, const double *t, double *y, int m, int d, int k);
/* ||a - b||^2, ||a||^2 and a.b of d numbers. */
double lin_distance2(const double *a, const double *b, int d);
double lin_dot(const double *a, const double *b, int d);

/* Eigenvalues w[d], ascending, and eigenvectors as the rows of z[d,d], of the symmetric a[d,d] (all of it given; destroyed): Householder's
 * tridiagonal form, then implicit QR steps with Wilkinson's shift (Golub and Van Loan, Matrix Computations, 8.3).  Takes 3 d doubles.
 * ERR_NUMERIC where a is not finite. */
int lin_eigen(double *a, int d, double *w, double *z, struct err *err);

#endif
