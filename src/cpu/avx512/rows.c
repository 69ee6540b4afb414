/* rows.c - the row kernels of simd/ at this width. */
#include "cpu/avx512/vec.h"
#include "cpu/simd/rows.inc"

void cpu_avx512_fill_rows(struct cpu_kernels *k) { fill_rows(k); }
