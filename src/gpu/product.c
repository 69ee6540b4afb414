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

/* Kernels by how many rows of a weight a block takes (few), of x (many). */
enum { MAT_VARIANTS = 2 };
static const struct mat { enum gpu_kernel few[MAT_VARIANTS], many[MAT_VARIANTS]; int n_many; } mats[N_CPU_TYPE] = {
    [TYPE_BF16] = { { GPU_few_bf16_1, GPU_few_bf16_2 }, { GPU_many_bf16_4, GPU_many_bf16_8 }, 2 },
    [TYPE_Q8_0] = { { GPU_few_q8_0_1, GPU_few_q8_0_2 }, { GPU_many_q8_0_4 }, 1 },
    [TYPE_Q4_0] = { { GPU_few_q4_0_1, GPU_few_q4_0_2 }, { GPU_many_q4_0_4 }, 1 },
};
bool gpu_mat_has(int type) { return type < N_CPU_TYPE && mats[type].n_many; }
bool gpu_mat_variant(int type, bool many, int i, int M, int N, struct gpu_mat *out)
{
    const struct mat *m = &mats[type];
    if (!gpu_mat_has(type) || i >= (many ? m->n_many : MAT_VARIANTS))
        return false;
    const int w = many ? 128 : 16 << i, x = 64 << i;
    *out = (struct gpu_mat){ .kernel = many ? m->many[i] : m->few[i], .gx = many ? (M + x - 1) / x : (N + w - 1) / w, .gy = many ? (N + w - 1) / w : 1,
                             .rows = many || M < GPU_FEW ? M : GPU_FEW, .x16 = many && type == TYPE_BF16 };
    return true;
}
/* Twice a few cost less than a tile that is nearly empty; 32 rows of a weight a block read x half as often. */
struct gpu_mat gpu_mat_of(int type, int M, int N)
{
    struct gpu_mat m;
    const bool many = M > 2 * GPU_FEW;
    gpu_mat_variant(type, many, many ? M > 64 && mats[type].n_many > 1 : M > 2 && N >= 8192, M, N, &m);
    return m;
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
