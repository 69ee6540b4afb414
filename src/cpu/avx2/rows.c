/* rows.c - the row kernels of simd/ at this width. */
#include "cpu/avx2/vec.h"
#include "cpu/simd/rows.inc"

void cpu_avx2_fill_rows(struct cpu_kernels *k) { fill_rows(k); }
