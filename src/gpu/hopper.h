/* hopper.h - large products and attention of many queries (prefill) by the kernels made for a device's matrix units: Hopper's, gfx942's.
 *
 * A call is made once for buffers that stay where they are, and launched as often as wanted:
 *     gpu_gemm_call(g, stream, maps, &p, &call, err);  gpu_call_launch(g, stream, &call, err);
 * maps: GPU_MAPS_BYTES of device memory for as long as the call is used (kernels that load by TMA read their tensor maps there).
 * What the device or its kernels cannot do is ERR_UNSUPPORTED and said: use gemm_bf16 then. */
#ifndef GPU_HOPPER_H
#define GPU_HOPPER_H
#include <stdbool.h>
#include "gpu/args.h"
#include "gpu/dev.h"

#define GPU_MAPS_BYTES 384

struct gpu_call {
    enum gpu_kernel kernel;
    long gx, gy, gz, join_blocks;                 /* join_blocks > 0: split_sum follows */
    struct split_sum_args join;
    union { struct gemm_sm90_args gemm; struct product_sm90_args product; struct attn_back_args back; struct attn_sm90_args sm90; struct attn_sm80_args sm80; struct gemm_cdna3_args cdna3; } args;
};
int gpu_call_launch(struct gpu *g, void *stream, const struct gpu_call *c, struct err *err);

/* c[M][N] = scale * a[M][K] * b[N][K]^T, c bf16.  a, b: bf16 (scale 1; N and K multiples of 8), or e4m3 (K a multiple of 16).  Rows
 * without gaps, 16-byte aligned.  n_tile: columns a block makes, 128 or 256 (e4m3: 256); 0: 256 where that fills the device.
 * gfx942: e4m3 is e4m3fnuz there, whose numbers are half of what the same bits are as e4m3fn, and 0x80 NaN. */
struct gpu_gemm { const void *a, *b; void *c; int M, N, K, n_tile; bool e4m3; float scale; };
int gpu_gemm_call(struct gpu *g, void *stream, void *maps, const struct gpu_gemm *p, struct gpu_call *out, struct err *err);

/* Training's products, of Hopper alone: c[M][N] = add + bias + sum over k of a(m,k) b(n,k), bf16 operands; c floats, or c16 (then without add).  By rows: a[m][k] and b[n][k]; by
 * columns (of a only with b): a[k][m], rows ld_a apart (0: M), and b[k][n].  N a multiple of 8, as is K by rows, and ld_a; add[M][N] (may be c), bias[N] may be NULL; all aligned to 16.
 * With a by columns the sum is over tokens: where c has few tiles it is cut into runs, as many as M, N and K say, which work holds: gpu_product_work() bytes. */
struct gpu_product { const void *a, *b; float *c; void *c16; const float *bias, *add; float *work; int M, N, K, ld_a; bool a_cols, b_cols; };
bool gpu_product_can(struct gpu *g);
size_t gpu_product_work(int M, int N, int K);
int gpu_product_call(struct gpu *g, void *stream, void *maps, const struct gpu_product *p, struct gpu_call *out, struct err *err);

/* o[token][n_head][d] = softmax(scale q k^T) v over each sequence: queries q_start[s] .. q_start[s+1]-1, keys k_start likewise (device
 * memory, n_seq + 1 numbers); q[n_q][n_head][d], k and v[n_k][n_kv_head][d] bf16, d 64 or 128.  causal: the last query sees all keys.
 * lse[n_head][n_q] may be NULL.  longest: queries of the longest sequence.  sm80: not by wgmma, even where it is there. */
struct gpu_prefill {
    const void *q, *k, *v;
    void *o;
    float *lse;
    const int *q_start, *k_start;
    int n_seq, longest, n_q, n_k, n_head, n_kv_head, d;
    bool causal, sm80;
    float scale;
    long ld_q, ld_kv;                             /* from token to token, multiples of 8; 0: n_head * d, n_kv_head * d */
};
int gpu_prefill_call(struct gpu *g, void *stream, void *maps, const struct gpu_prefill *p, struct gpu_call *out, struct err *err);

/* Its backward pass, of Hopper alone and heads of 64: qkv[n_row][n_head + 2 n_kv_head][64] and d_o[n_row][n_head][64] bf16, lse and delta (GPU_attn_delta)[n_head][n_row]; sequence s is
 * rows start[s] .. start[s+1]-1.  dqkv like qkv, floats, or d16, bf16.  Two calls, by queries and by keys, in any order. */
struct gpu_attn_back {
    const void *qkv, *d_o;
    const float *lse, *delta;
    float *dqkv;
    void *d16;
    const int *start;
    int n_seq, longest, n_row, n_head, n_kv_head;
    bool causal;
    float scale;
};
bool gpu_attn_back_can(struct gpu *g);
int gpu_attn_back_call(struct gpu *g, void *stream, void *maps, const struct gpu_attn_back *p, struct gpu_call out[2], struct err *err);
#endif
