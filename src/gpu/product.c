/* product.c - the tables of kernels for products of a few rows and for attention of one. */
#include "gpu/product.h"

bool gpu_gemv_takes_a8(int type)
{
    return type < N_CPU_TYPE && type_block((enum cpu_type)type) > 1;
}

int gpu_gemv_block(int type)
{
    return gpu_gemv_takes_a8(type) ? type_block((enum cpu_type)type) : type == TYPE_F32 ? 4 : type == TYPE_F16 || type == TYPE_BF16 ? 8 : 16;
}

enum gpu_kernel gpu_gemv_kernel(int type, int M)
{
    static const enum gpu_kernel own[N_CPU_TYPE + 1] = {
        [TYPE_BF16] = GPU_gemv_bf16_1, [TYPE_F16] = GPU_gemv_f16_1, [TYPE_F32] = GPU_gemv_f32_1, [TYPE_F8_E4M3] = GPU_gemv_f8_1, [TYPE_F8_E5M2] = GPU_gemv_f8_1,
        [GPU_TYPE_F8_FNUZ] = GPU_gemv_f8_1, [TYPE_Q8_0] = GPU_gemv_q8_0_1, [TYPE_Q4_0] = GPU_gemv_q4_0_1, [TYPE_Q4_K] = GPU_gemv_q4_k_1, [TYPE_Q6_K] = GPU_gemv_q6_k_1,
    };
    const int i = M <= 1 ? 0 : M <= 2 ? 1 : M <= 4 ? 2 : 3;
    return (enum gpu_kernel)((own[type] ? own[type] : GPU_gemv_any_1) + (enum gpu_kernel)i);
}

int gpu_gemm_q_splits(int N, int K)
{
    const int n_block = (N + 127) / 128, n_step = (K + GEMM_Q_STEP - 1) / GEMM_Q_STEP, wanted = (256 + n_block - 1) / n_block, most = n_step / 8 > 1 ? n_step / 8 : 1;
    return wanted < most ? wanted : most;
}

enum gpu_kernel gpu_decode_kernel(int d, int n_group, bool int8)
{
    const int i = n_group <= 1 ? 0 : n_group <= 2 ? 1 : n_group <= 4 ? 2 : 3;
    const enum gpu_kernel of_i8 = d <= 64 ? GPU_attn_decode_i8_64_1 : d <= 128 ? GPU_attn_decode_i8_128_1 : GPU_attn_decode_i8_256_1;
    const enum gpu_kernel of_bf16 = d == 64 ? GPU_attn_decode_64_1 : d == 128 ? GPU_attn_decode_128_1 : d < 128 ? GPU_attn_decode_to128_1 : GPU_attn_decode_to256_1;
    return (enum gpu_kernel)((int8 ? of_i8 : of_bf16) + (enum gpu_kernel)i);
}
enum gpu_kernel gpu_join_kernel(int d) { return d <= 128 ? GPU_attn_join : GPU_attn_join_256; }
int gpu_decode_blocks(int n_kv_head, int n_group) { return n_kv_head * ((n_group + 7) / 8); }

size_t gpu_kv_page_bytes(bool int8, int n_kv_head, int d)
{
    const size_t n = 2 * (size_t)n_kv_head * GPU_KV_TOKENS;
    return int8 ? n * ((size_t)d + sizeof(float)) : n * (size_t)d * 2;
}
