/* mmd.h - maximum mean discrepancy: do two sets of vectors (features, embeddings) come from one distribution? */
#ifndef EVAL_MMD_H
#define EVAL_MMD_H
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"

enum { MMD_VECTORS = 16384 };   /* of both together: a kernel of 2 GiB */

struct mmd_opts {
    double sigma;               /* of the kernel exp(-|a - b|^2 / (2 sigma^2)); 0: the median distance of two of x, the reference */
    int64_t n_permutation;      /* 0: 999; < 0: none, and p is NAN */
    uint64_t seed;
    struct pool *pool;          /* NULL: this thread alone; the result is the same with any */
};
struct mmd { double mmd2, sigma, p; int64_t n_permutation; };

/* x[n][d], y[m][d], n and m at least 2.  mmd2 is the unbiased estimate (Gretton et al., JMLR 13, 2012, eq. 3), below 0 now and then:
 *     mean_{i != j} k(x_i,x_j) + mean_{i != j} k(y_i,y_j) - 2 mean_{i,j} k(x_i,y_j)
 * p = (1 + permutations whose mmd2 is as large) / (1 + n_permutation), never 0 (Phipson & Smyth, 2010).  The kernel is computed once,
 * (n+m)^2 doubles.
 * ERR_RANGE: too few or too many, or all vectors of x equal where sigma is to be found; ERR_NUMERIC: a value that is not finite; ERR_NOMEM. */
int mmd_test(const double *x, int64_t n, const double *y, int64_t m, int d, const struct mmd_opts *o, struct mmd *out, struct err *err);
#endif
