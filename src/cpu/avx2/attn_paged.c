/* attn_paged.c - attention over pages at this width, products in float. */
#include "cpu/avx2/vec.h"
#include "cpu/simd/math.inc"
#define PAIRS 0
#include "cpu/simd/attn_paged.inc"

void cpu_avx2_fill_attn(struct cpu_kernels *k) { fill_attn(k); }
