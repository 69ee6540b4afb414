/* check.h - kernels whose products are held against algebra while they run.
 *
 * For c = start + a * b and a vector s of signs, c * s = start * s + a * (b * s), row by row: two sums in double where the product
 * takes N.  The numbers of the product are not touched.  A row is wrong when the two sides are further apart than CPU_CHECK_LIMIT of
 * what random signs give, sqrt(sum a^2 b^2 + sum c^2 + sum start^2); rounding stays below a hundredth of that.  What a flaw of one result is lost in is
 * the row: one of N numbers is seen when it is off by more than about the limit times sqrt(N) of their usual size. */
#ifndef CPU_CHECK_H
#define CPU_CHECK_H
#include "cpu/kernels.h"

#define CPU_CHECK_LIMIT 1e-3

/* The kernels of k, with gemm and gemm_bf16 checked.  One such table exists at a time in the process: it may be called from any thread,
 * this from one, while none computes. */
const struct cpu_kernels *cpu_check_on(const struct cpu_kernels *k);
struct cpu_check { uint64_t n_row, n_wrong; double worst; };      /* worst: the largest distance, as a share of the same */
struct cpu_check cpu_check_result(void);                          /* since cpu_check_on() */

#endif
