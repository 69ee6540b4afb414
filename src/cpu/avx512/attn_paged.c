/* attn_paged.c - attention over pages at this width, products in float. */
#include "cpu/avx512/vec.h"
#include "cpu/simd/math.inc"
#define PAIRS 0
#include "cpu/simd/attn_paged.inc"

void cpu_avx512_fill_attn(struct cpu_kernels *k) { fill_attn(k); }
