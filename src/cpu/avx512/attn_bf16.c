/* attn_bf16.c - attention for training with products by vdpbf16ps. */
#include "cpu/avx512/vec.h"
#include "cpu/simd/math.inc"
#define ATTN_BF16
#include "cpu/simd/attn.inc"

void cpu_avx512bf16_fill_attn_train(struct cpu_kernels *k)
{
    k->attn_fwd_bf16 = attn_fwd;
    k->attn_bwd_bf16 = attn_bwd;
}
