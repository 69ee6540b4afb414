/* attn_paged_bf16.c - attention over pages of bf16 by vdpbf16ps. */
#include "cpu/avx512/vec.h"
#include "cpu/simd/math.inc"
#define PAIRS 1
#include "cpu/simd/attn_paged.inc"

void cpu_avx512bf16_fill_attn(struct cpu_kernels *k) { fill_attn(k); }
