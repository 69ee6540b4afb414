/* args.h - the arguments of every kernel, one struct each, with the same layout on host and device.
 *
 * Pointers are device memory, 16-byte aligned, as are rows (ld_* in elements).  Activations are float, keys, values and the
 * operands of large products bf16.  What a kernel computes stands in gpu/kernels.def, what it demands of sizes here. */
#ifndef GPU_ARGS_H
#define GPU_ARGS_H
#ifndef GPU_DK_H
#include <stdint.h>
typedef uint8_t u8;
typedef int8_t i8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define DK_GLOBAL
#endif
#define GLOBAL(T) DK_GLOBAL T *

/* Types of weights that a kernel is told: cpu/types.def's numbers, and one that no file has (gfx942's own fp8: bias 8, 240 the largest, 0x80 NaN). */
enum gpu_type {
#define TYPE(name, word, id, block, bytes) GPU_TYPE_##name,
#include "cpu/types.def"
#undef TYPE
    GPU_TYPE_F8_FNUZ
};

/* n16 pieces of 16 bytes. */
struct copy_args { GLOBAL(u32) y; GLOBAL(const u32) x; long n16; };

/* y[row][C] = x * rstd * w, rstd[row] (may be NULL) = rsqrt(mean(x^2) + eps); C a multiple of 4.  q and ds (or NULL): y as int8, as quantize_args has it; C a multiple of 32 then. */
struct rmsnorm_args { GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const float) w; GLOBAL(i8) q; GLOBAL(float) ds; GLOBAL(float) rstd; long ld_y, ld_x; int C; float eps; };

/* In place: heads of d_head, one after the other in a row; cos_sin[row][d_rot/2][2].  pairs: (2i, 2i+1), else (i, i + d_rot/2). */
struct rope_args { GLOBAL(float) x; GLOBAL(const float) cos_sin; long ld_x; int n_row, n_head, d_head, d_rot, pairs; };

/* y[row][F] = silu(h[row][0:F]) * h[row][F:2F]; F a multiple of 4.  q, ds: as of rmsnorm. */
struct swiglu_args { GLOBAL(float) y; GLOBAL(const float) h; GLOBAL(i8) q; GLOBAL(float) ds; long ld_y, ld_h; int n_row, F; };

/* y = x * rstd * w + b, rstd = 1 / sqrt(mean(x^2) + eps), or with layer of x less its mean; w, b, mean, rstd [row] may be NULL.  Any C. */
struct norm_args { GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const float) w; GLOBAL(const float) b; GLOBAL(float) mean; GLOBAL(float) rstd; long ld_y, ld_x; int C; float eps; int layer; };
/* y[row][C] = a + b; b NULL: a; ld_b 0: one row for all. */
struct sum_args { GLOBAL(float) y; GLOBAL(const float) a; GLOBAL(const float) b; long ld_y, ld_a, ld_b; int n_row, C; };
/* Several devices' shares of numbers (kern/peers.c).  sum: y[i] = add[i] + (part[0][i] + part[1][i] + .. of n_peer, in this order, + bias[i % C]) for the i of n that
 * begin at `first`, all multiples of 4; add, bias: NULL for none; y may be one of the parts.  gather: y[row][V], device j's columns V*j/n_peer .. V*(j+1)/n_peer - 1 from its part[row][ld]. */
#define GPU_PEERS_MAX 16
struct sum_peers_args { GLOBAL(float) y; GLOBAL(const float) add; GLOBAL(const float) bias; GLOBAL(const float) part[GPU_PEERS_MAX]; long first, n; int n_peer, C; };
struct gather_peers_args { GLOBAL(float) y; GLOBAL(const float) part[GPU_PEERS_MAX]; long ld; int n_row, V, n_peer; };
/* y[row][F] = what cpu/kernels.h says of the activation, times scale[row] (NULL: 1); h has F columns, 2F of the gated kinds.  cap: of softcap and clip. */
enum { GPU_ACT_GELU, GPU_ACT_GELU_TANH, GPU_ACT_SWIGLU, GPU_ACT_GEGLU, GPU_ACT_GEGLU_TANH, GPU_ACT_SWIGLU_CLAMPED, GPU_ACT_SIGMOID, GPU_ACT_TANH, GPU_ACT_SOFTCAP, GPU_ACT_CLIP };
struct act_args { GLOBAL(float) y; GLOBAL(const float) h; GLOBAL(const float) scale; long ld_y, ld_h; int n_row, F, kind; float cap; };

/* y = exp(x - max) / sum, lse[row] (may be NULL) = log sum exp; y may be x. */
struct softmax_args { GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(float) lse; long ld_y, ld_x; int n; };

/* y[row][C] = table[id[row]][C]; table float or, bf16, of bf16; C a multiple of 8; ids within the table. */
struct embed_args { GLOBAL(float) y; GLOBAL(const void) table; GLOBAL(const int) id; long ld_y; int C, bf16; };

/* Activations for products with quantised weights, as cpu/panel.h's A8: for each 32 of a row's K (a multiple of 32) floats
 * q[32], and ds[2]: d = max |x| / 127, s = d * sum of q.  q[row][K], ds[row][K/32][2]. */
struct quantize_args { GLOBAL(i8) q; GLOBAL(float) ds; GLOBAL(const float) x; long ld_x; int n_row, K; };

/* Rows of w that a wave of the kernel for M takes: the grid is ceil(N / (waves of the block * rows)). */
#define GPU_GEMV_ROWS(M) ((M) > 2 ? 4 : 2)
/* y[M][N] = (add ? add : 0) + x[M][K] * w[N][K]^T, M up to the kernel's (gemv_TYPE_M).  Weights of a row side by side:
 *   f32   w[N][K]; x float; K a multiple of 4
 *   bf16  w[N][K]; x float; K a multiple of 8
 *   q8_0  w: i8 [N][K], scale: half [N][K/32]          K a multiple of 32
 *   q4_0  w: u8 [N][K/2], the blocks' bytes, scale: half [N][K/32]
 *   q4_k  w: blocks as in the file, 144 bytes; scale unused; K a multiple of 256
 *   q6_k  w: blocks without their last two bytes, 208 bytes, scale: those, half [N][K/256]
 *   any   every type with blocks (`type`), w and scale of gpu/pack.h
 *   f16, f8  w[N][K]; x float; K a multiple of 8, 16; f8: e4m3, e5m2 or fnuz (`type`)
 * Quantised: xq and xds as of quantize_a8.  ld_x: of x or xq; xds has ld_x / 16. */
struct gemv_args {
    GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const i8) xq; GLOBAL(const float) xds;
    GLOBAL(const void) w; GLOBAL(const u16) scale; GLOBAL(const float) add;
    long ld_y, ld_x; int M, N, K, type;
};

/* The same by matrix instructions, to the same bits for any M (gpu/kern/mat.h); weights of bf16 (x is rounded to bf16), Q8_0 and Q4_0 as of gemv.
 *   few_TYPE_R   M up to GPU_FEW; x float or xq, xds; grid ceil(N / (16 R))
 *   many_TYPE_C  any M; x16 (bf16 rows, rounded to nearest even), or xq, xds; grid ceil(M / (16 C)), ceil(N / 128)
 * ld_x: of x, xq; xds has ld_x / 16; of many K. */
#define GPU_FEW 8
struct mat_args {
    GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const u16) x16; GLOBAL(const i8) xq; GLOBAL(const float) xds;
    GLOBAL(const void) w; GLOBAL(const u16) scale; GLOBAL(const float) add;
    long ld_y, ld_x; int M, N, K;
};

/* ---- weights of any type, as gpu/pack.h lays them out (w, scale; type: enum gpu_type) ---- */

/* y[row][K] = mul * table[id ? id[row] : row][K], in bf16 (y16) or float (y32), the other NULL; K a multiple of 4, of types with blocks of the block; ids within the
 * table.  mul 1: the values to the bit.  Grid: ceil(n_row * ceil(K / 32) / 256). */
struct dequant_args { GLOBAL(u16) y16; GLOBAL(float) y32; GLOBAL(const void) w; GLOBAL(const u16) scale; GLOBAL(const int) id; long ld_y; int n_row, K, type; float mul; };

/* y = x * mul, rounded to nearest even, saturated: e4m3, e5m2 or fnuz; NaN stays NaN.  K a multiple of 4.  Grid: ceil(n_row * K / 4 / 256). */
struct quantize_f8_args { GLOBAL(u8) y; GLOBAL(const float) x; GLOBAL(const u16) x16; long ld_y, ld_x; int n_row, K, type; float mul; };
/* Rows to Q8_0, quants and scales apart; K a multiple of 32.  Of x, or where that is NULL of x16 (bf16), as of quantize_f8.  Grid: ceil(n_row * K / 4 / 256). */
struct quantize_q8_args { GLOBAL(i8) w; GLOBAL(u16) scale; GLOBAL(const float) x; GLOBAL(const u16) x16; long ld_x; int n_row, K; };

/* y[M][N] = (add ? add : 0) + x[M][K] * w[N][K]^T, x and w rounded to bf16, sums in float by matrix instructions.  K a multiple of 8, of types with blocks of
 * the block; ld_x of 8.  n_split: equal runs of K (of GEMM_Q_STEP columns each a multiple) that blocks of their own take; 1, or their sums go to part[n_split][M][N] and
 * gemm_q_join adds them in order.  A row's bits depend on K, n_split and its own x alone.  Grid: ceil(N / 128), n_split, ceil(M / 64); join: ceil(M * N / 256). */
#define GEMM_Q_STEP 64
struct gemm_q_args {
    GLOBAL(float) y; GLOBAL(float) part; GLOBAL(const u16) x; GLOBAL(const void) w; GLOBAL(const u16) scale; GLOBAL(const float) add;
    long ld_y, ld_x; int M, N, K, n_split, type;
};

/* Keys and values in pages of GPU_KV_TOKENS tokens of all key/value heads of a layer: bf16 keys [n_kv_head][64][d], then values
 * the same; position t of sequence s: slot t % 64 of the page pages[s][t / 64], at kv + page * page_size (elements).
 * Pages of int8 (kernels with i8 in their names; page_size in bytes): the same order, then float scales of keys [n_kv_head][64], of values likewise; a number is q * scale, by the
 * rules of cpu/attn_paged.h.  d: a multiple of 8. */
#define GPU_KV_TOKENS 64
#define GPU_RANGE 256           /* positions that one block of the decode kernel takes; always the same ranges, joined in order */

/* Row i of k and v (float, [n_kv_head][d]) into position pos[i] of sequence seq[i].  Grid: kv_put ceil(n_row * n_kv_head * d / 512), kv_put_i8 ceil(2 * n_row * n_kv_head /
 * waves of a block). */
struct kv_put_args {
    GLOBAL(u16) kv; GLOBAL(const float) k; GLOBAL(const float) v; GLOBAL(const int) pages; GLOBAL(const int) seq; GLOBAL(const int) pos;
    long page_size, ld_pages, ld_k, ld_v; int n_row, n_kv_head, d;
};

/* The same of rows [T, (n_head + n_kv_head) dk + n_kv_head dv] of q, k and v, pages of bf16 or (f32) floats, keys [n_kv_head][64][dk] then values
 * [n_kv_head][64][dv], dk and dv any.  First, in place: norms of each head of q and k (q_norm, k_norm [dk]; NULL: none), rotation of the first d_rot of a
 * head by cos_sin[pos][d_rot/2][2] (NULL: none).  A wave a head of a row. */
struct qkv_put_args {
    GLOBAL(float) qkv; GLOBAL(void) kv; GLOBAL(const float) q_norm; GLOBAL(const float) k_norm; GLOBAL(const float) cos_sin;
    GLOBAL(const int) pages; GLOBAL(const int) seq; GLOBAL(const int) pos; long page_size, ld_pages, ld_qkv;
    int n_row, n_head, n_kv_head, dk, dv, d_rot, pairs, f32; float eps;
};
/* Row i at position pos[i] of sequence seq[i] over keys 0 .. pos[i] in such pages, the last `window` of them (0: all); softcap, sinks [n_head] (NULL:
 * none) as cpu/attn_paged.h has them.  dk, dv up to 512.  Grid: heads, rows. */
struct attn_paged_args {
    GLOBAL(float) o; GLOBAL(const float) q; GLOBAL(const void) kv; GLOBAL(const int) pages; GLOBAL(const int) seq; GLOBAL(const int) pos; GLOBAL(const float) sink;
    long page_size, ld_pages, ld_q, ld_o; int n_head, n_kv_head, dk, dv, window, f32; float scale, cap;
};

/* One query row of each sequence, len[s] keys each (0: o is zeros); query heads of a key/value head side by side.  Grid: ranges of the longest
 * sequence, key/value heads (times ceil(n_group / 8) where a key head has more than 8), sequences; ranges beyond a sequence's end, or before its window, write nothing.
 * part[s][head][range][d + 2]: sums, then maximum (in base 2, scaled) and sum of probabilities.  d: of kernels that are not for one size alone.
 * window > 0: the last window keys are seen.  cap_log2e > 0: scores become cap * tanh(score / cap); cap times log2(e). */
struct attn_decode_args {
    GLOBAL(float) part; GLOBAL(const float) q; GLOBAL(const u16) kv; GLOBAL(const int) pages; GLOBAL(const int) len;
    long page_size, ld_pages, ld_q; int n_kv_head, n_group, n_range; float scale_log2e; int d, window; float cap_log2e;
};
/* o[s][head][d] from the parts; d up to 128 (attn_join), 256 (attn_join_256).  sink[head] (or NULL): a score that takes probability and has no value.  Grid: heads, sequences.
 * q, ds: o as int8, as of rmsnorm; d a multiple of 32 then. */
struct attn_join_args { GLOBAL(float) o; GLOBAL(const float) part; GLOBAL(const int) len; long ld_o; int n_head, n_range, d; GLOBAL(const float) sink; GLOBAL(i8) q; GLOBAL(float) ds; int window; };

/* c[M][N] = a[M][K] * b[N][K]^T, bf16 operands; c16 (bf16) or c32 (float), the other NULL.  K, ld_a, ld_b multiples of 8. */
struct gemm_args { GLOBAL(u16) c16; GLOBAL(float) c32; GLOBAL(const u16) a; GLOBAL(const u16) b; long ld_c, ld_a, ld_b; int M, N, K; };

/* gemm_cdna3, gemm_cdna3_128, gemm_cdna3_fp8: c[M][N] = scale * a[M][K] * b[N][K]^T, operands bf16 (K, ld_a, ld_b multiples of 8) or e4m3fnuz (of 16); c16 or c32, the
 * other NULL; N and ld_c multiples of 8.  Grid: tiles of 256 x 256, of gemm_cdna3_128 128 x 128, in one dimension. */
struct gemm_cdna3_args { GLOBAL(u16) c16; GLOBAL(float) c32; GLOBAL(const void) a; GLOBAL(const void) b; long ld_c, ld_a, ld_b; int M, N, K; float scale; };

/* gemm_sm90, gemm_sm90_n128, gemm_sm90_e4m3.  Tensor maps in device memory (gpu/kern/gemm_sm90.c says of what); scale: fp8's, of the sums. */
struct gemm_sm90_args { GLOBAL(const void) map_a; GLOBAL(const void) map_b; GLOBAL(const void) map_c; int M, N, K; float scale; };

/* product_sm90_nt, _nn, _tn: training's products (gpu/kern/gemm_sm90.c).  c[M][N] floats, n_split of them one after the other (then without bias and add), or NULL: bf16 by map_c,
 * without add; bias[N], add[M][N] (may be c) may be NULL.  N a multiple of 8. */
struct product_sm90_args {
    GLOBAL(const void) map_a; GLOBAL(const void) map_b; GLOBAL(const void) map_c; GLOBAL(float) c; GLOBAL(const float) bias; GLOBAL(const float) add; int M, N, K, n_split;
};

/* Prefill: o[token][head][D] bf16, lse[head][n_lse] (may be NULL); sequence b: queries q_start[b] .. q_start[b+1]-1, keys k_start likewise.
 * n_head a multiple of n_kv_head; ld_* multiples of 8.  sm90: tensor maps of q, k, v in device memory (gpu/kern/attn_sm90.c). */
struct attn_sm90_args {
    GLOBAL(u16) o; GLOBAL(float) lse; GLOBAL(const void) map_q; GLOBAL(const void) map_k; GLOBAL(const void) map_v;
    GLOBAL(const int) q_start; GLOBAL(const int) k_start; long ld_o; int n_head, n_kv_head, n_lse, causal; float scale;
};
/* attn_sm80_128, attn_sm80_64, attn_cdna3_128, attn_cdna3_64. */
struct attn_sm80_args {
    GLOBAL(u16) o; GLOBAL(float) lse; GLOBAL(const u16) q; GLOBAL(const u16) k; GLOBAL(const u16) v;
    GLOBAL(const int) q_start; GLOBAL(const int) k_start; long ld_o, ld_q, ld_kv; int n_head, n_kv_head, n_lse, causal; float scale;
};
/* ---- training (gpu/kern/train_*.c).  Rows of floats need no alignment, unless said; what may be NULL is said. ---- */

/* y[row][n_part][C] (float, or bf16) = x of each part by rmsnorm or, layer, layernorm; w, b (of C) may be NULL; mean (layer) and rstd[row * ld_stat + part] are
 * written.  dx (+)= the slope by dy, may be dy.  partial[chunk][2][C]: sums of dy * xh and of dy over GPU_CHUNK rows and their parts. */
#define GPU_CHUNK 64
/* norm_wave, norm_wave_back: the same of one part, a wave a row; C a multiple of 4 up to GPU_NORM_WAVE, rows aligned to 16 bytes.  The latter makes dx and, unless it is NULL, partial; a block
 * a chunk of GPU_CHUNK rows, whose waves' sums are added in their order; dy is bf16 with dy16, and may not be dx then.  norm_wave: grid ceil(n_row / waves of a block). */
#define GPU_NORM_WAVE 1024
struct norm_train_args {
    GLOBAL(const float) x; GLOBAL(const float) w; GLOBAL(const float) b; GLOBAL(void) y; GLOBAL(float) mean; GLOBAL(float) rstd;
    GLOBAL(const float) dy; GLOBAL(float) dx; GLOBAL(float) partial;
    long ld_x, ld_y, ld_dy, ld_dx, ld_stat; int n_row, n_part, C, layer, y16, add; float eps; int dy16;
};
/* y[C] (+)= partial[0] + partial[1] + ..., ld apart. */
struct chunk_sum_args { GLOBAL(float) y; GLOBAL(const float) partial; long ld; int n_chunk, C, add; };
/* partial[chunk][C] = sums over GPU_CHUNK rows of x, rows ascending. */
struct col_sum_args { GLOBAL(float) partial; GLOBAL(const float) x; long ld_x; int n_row, C; };
/* The same of bf16; C and ld_x multiples of 4.  Grid: ceil(C / 1024), chunks. */
struct col_sum16_args { GLOBAL(float) partial; GLOBAL(const u16) x; long ld_x; int n_row, C; };

/* y[row][C] = x[row][C] as bf16, and partial (may be NULL) as of col_sum.  C and ld_x multiples of 4.  Grid: ceil(C / 1024), chunks of GPU_CHUNK rows. */
struct train_pack_args { GLOBAL(u16) y; GLOBAL(float) partial; GLOBAL(const float) x; long ld_x; int n_row, C; };
/* c[i] = add[i] + bias[i % N] + (part[0][i] + part[1][i] + ..), n numbers each; add (may be c) and bias may be NULL.  N and n multiples of 4.  Grid: ceil(n / 1024). */
struct split_sum_args { GLOBAL(float) c; GLOBAL(const float) part; GLOBAL(const float) add; GLOBAL(const float) bias; long n; int N, n_split; };

/* kind: GPU_ACT_GELU .. GPU_ACT_SWIGLU_CLAMPED.  h[row][F or, gated, 2F]; scale[row] may be NULL; y float or bf16; dscale[row] (may be NULL) = sum of dy * y / scale.
 * act_four, act_four_back: without scales, F a multiple of 4, h, dy and dh bf16 where it is said.  A thread four columns: grid ceil(n_row * F / 1024). */
struct act_train_args {
    GLOBAL(void) y; GLOBAL(const float) h; GLOBAL(const float) scale; GLOBAL(const float) dy; GLOBAL(float) dh; GLOBAL(float) dscale;
    long ld_y, ld_h, ld_dy, ld_dh; int n_row, F, kind, y16, h16, dy16, dh16;
};
/* In place, as rope: of n_head heads of a row, by cos_sin[pos[row]][d_rot/2][2]; inverse: by the negative angle. */
struct rope_turn_args { GLOBAL(float) x; GLOBAL(const float) cos_sin; GLOBAL(const int) pos; long ld_x; int n_row, n_head, d_head, d_rot, pairs, inverse; };
/* y = a + b (b may be NULL), n numbers; y may be a or b. */
struct add_args { GLOBAL(float) y; GLOBAL(const float) a; GLOBAL(const float) b; long n; };
/* dw[first + id[t]][C] += scale * dy[t], tokens ascending. */
struct embed_back_args { GLOBAL(float) dw; GLOBAL(const float) dy; GLOBAL(const int) id; int n_row, C, first; float scale; };
/* x[row][V]: logits, become (softmax - onehot) * scale by grad (* the slope of the cap, where cap > 0); nll[row]; target -1: 0.  token_scale[row] instead of scale, or NULL.
 * y (may be NULL): the slopes go there instead, as bf16, and zeros behind them up to ld. */
struct ce_args { GLOBAL(float) x; GLOBAL(u16) y; GLOBAL(const int) target; GLOBAL(float) nll; GLOBAL(const float) token_scale; long ld; int V, grad; float scale, cap; };

/* c[M][N] = (add ? add : 0) + (bias ? bias : 0) + sum over k of a(m,k) b(n,k); float, or bf16 operands.  By rows: a[row(m)][k] and b[n][k]; by columns: a[row(k)][m]
 * and b[row(k)][n]; floats are rounded to bf16 (product) or kept (product_f32).  c: float, or c16.  add may be c.
 * Groups (start not NULL; grid z): group e has rows start[e] .. start[e+1]-1 of c and of a; with k_ragged it has the k's of that range and a c of its own,
 * c_group elements on.  b_group, bias_group: of the group.  row (may be NULL): rows of a by rows, of b by columns. */
struct product_args {
    GLOBAL(float) c; GLOBAL(u16) c16; GLOBAL(const void) a; GLOBAL(const void) b; GLOBAL(const float) bias; GLOBAL(const float) add;
    GLOBAL(const int) start; GLOBAL(const int) row; long ld_c, ld_a, ld_b, c_group, b_group, bias_group;
    int M, N, K, a16, b16, a_cols, b_cols, k_ragged;
};

/* Of sorted rows (op_moe.c): dx[i] = gate[i] * dy[row[i]], dgate[i] (may be NULL) = dy[row[i]] . x[i]; gate NULL: 1, x unused. */
struct combine_back_args { GLOBAL(float) dx; GLOBAL(float) dgate; GLOBAL(const float) dy; GLOBAL(const float) x; GLOBAL(const float) gate; GLOBAL(const int) row; int n_row, C; };
/* y[t] = (add ? add : 0) + sum over j < k of weight[i] * x[i], i = index[t * k + j]; weight NULL: 1; y may be add. */
struct sum_listed_args { GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const float) add; GLOBAL(const float) weight; GLOBAL(const int) index; int n_row, k, C; };
/* dlogits[t][E]; aux, z: coefficients times the scale of router losses; scale: of gates, 1 where there is none. */
struct route_back_args {
    GLOBAL(float) dx; GLOBAL(const float) probs; GLOBAL(const float) gate; GLOBAL(const float) dgate; GLOBAL(const float) lse; GLOBAL(const int) start; GLOBAL(const int) slot;
    int n_row, E, k, norm_topk, sigmoid; float aux, z, scale;
};
/* out[2E + 3], doubles in two floats each: nn/op_moe.c's statistics of a router: rows of each expert; sums over the tokens of each one's score (sigmoid: its share
 * of a token's), of lse^2, and of the entropy; tokens, less than 2^24 (of all experts' rows too).  route_chunk makes partial[chunk][E + 2] of GPU_CHUNK tokens each (grid: chunks), then route_stats
 * the rest (one block). */
struct route_stats_args { GLOBAL(float) out; GLOBAL(float) partial; GLOBAL(const float) probs; GLOBAL(const float) lse; GLOBAL(const int) start; int n_row, E, sigmoid; };

/* Training attention over qkv[T][H d + 2 G d] (float, d a multiple of 4 up to the kernel's), sequence s of rows start[s] .. start[s+1]-1; causal, or all; window 0: none.
 * o[T][H d] float or bf16; lse, delta[T][H]: log of the sum of probabilities, dO . O.  Backward: dqkv like qkv, all of it is written. */
struct attn_train_args {
    GLOBAL(const float) qkv; GLOBAL(void) o; GLOBAL(float) lse; GLOBAL(const float) d_o; GLOBAL(float) delta; GLOBAL(float) dqkv; GLOBAL(const int) start;
    int n_row, n_head, n_kv_head, d, window, all, o16; float scale;
};
/* delta[head][n_row] = dO . O, O and dO bf16; dO comes as floats (d_o), and goes to d_o16, or lies there already (d_o NULL).  d a multiple of 4.  Grid: ceil(n_row * n_head / waves of a block). */
struct attn_delta_args { GLOBAL(const u16) o; GLOBAL(const float) d_o; GLOBAL(u16) d_o16; GLOBAL(float) delta; int n_row, n_head, d; };
/* attn_back_sm90_dq, attn_back_sm90_dkv: heads of 64.  Maps (gpu/kern/attn_back_sm90.c) of qkv[T][H + 2 G][64] and dO[T][H][64]; lse, delta[H][n_row]; dqkv like qkv: floats, or d16: bf16.
 * Grid: ceil(longest sequence / ATTN_BACK_QUERIES), H (dq), or / ATTN_BACK_KEYS, G (dkv); sequences. */
#define ATTN_BACK_QUERIES 192
#define ATTN_BACK_KEYS 128
#define ATTN_BACK_STAGES 4
#define ATTN_BACK_SHARED (2 * ATTN_BACK_QUERIES * 128 + ATTN_BACK_STAGES * 2 * 64 * 128 + 8 + 2 * ATTN_BACK_STAGES * 8 + 1024)
struct attn_back_args {
    GLOBAL(const void) map_qkv; GLOBAL(const void) map_do; GLOBAL(const float) lse; GLOBAL(const float) delta; GLOBAL(float) dqkv; GLOBAL(u16) d16; GLOBAL(const int) start;
    int n_row, n_head, n_kv_head, causal; float scale;
};
#define ATTN_TRAIN_ROWS 128           /* queries, or keys, of a block; grid: blocks of the longest sequence, heads (query, or key/value), sequences */

/* out[2 i], out[2 i + 1]: a double in two floats, the sum of squares of block i: GPU_SQUARES numbers, the last of each expert may have less.  Grid: blocks. */
#define GPU_SQUARES 16384
struct squares_args { GLOBAL(float) out; GLOBAL(const float) x; long each, per_expert; };
/* AdamW (cpu/kernels.h) of w [E][N][K] (grid z: E), and what products read: by_rows[E][N][K], by_cols[E][K][N], bf16, or floats with f32; each may be NULL.
 * g NULL: the two alone are made.  Grid: K / 64, N / 32, E. */
struct adamw_args {
    GLOBAL(float) w; GLOBAL(const float) g; GLOBAL(float) m; GLOBAL(float) v; GLOBAL(void) by_rows; GLOBAL(void) by_cols;
    long N, K; int f32; float lr, beta1, beta2, eps, wd, correction1, correction2, grad_scale;
};

/* Queries and keys that a block takes at a time, and of all these kernels the dynamic shared memory, bytes: rings of stages, what is on
 * its way out, barriers, and what aligns them to 1024. */
#define ATTN_SM90_64_QUERIES 192
#define ATTN_SM90_64_KEYS 128
#define ATTN_SM90_128_QUERIES 128
#define ATTN_SM90_128_KEYS 176
#define GEMM_SM90_SHARED (4 * 49152 + 4 * 8192 + 4 * 16 + 1024)
#define GEMM_SM90_N128_SHARED (6 * 32768 + 4 * 8192 + 6 * 16 + 1024)
#define ATTN_SM90_128_SHARED ((ATTN_SM90_128_QUERIES + 4 * ATTN_SM90_128_KEYS) * 256 + 8 + 2 * 32 + 1024)
#define ATTN_SM90_64_SHARED ((ATTN_SM90_64_QUERIES + 4 * ATTN_SM90_64_KEYS) * 128 + 8 + 2 * 32 + 1024)
#define ATTN_SM80_128_SHARED ((128 + 2 * 32) * 256)
#define ATTN_SM80_64_SHARED ((128 + 2 * 64) * 128)

/* ---- mixtures of experts (gpu/kern/moe*.c) ---- */

#define GPU_EXPERTS_MAX 512
#define GPU_EXPERT_GROUPS_MAX 32
/* nn/op_moe.c's route: probs[T][E] = softmax or sigmoid of the logits (may be NULL), expert[T][k] the chosen ones ascending, gate[T][k].  Chosen are the
 * k largest of probs + correction ([E] or NULL), lowest first among equals, of the n_group_chosen groups only whose group_best (1 or 2; 0: no groups)
 * largest sum to most.  E <= GPU_EXPERTS_MAX, 1 <= k <= E, n_group <= GPU_EXPERT_GROUPS_MAX.  A wave a token: grid ceil(T / waves of the block). */
struct moe_route_args {
    GLOBAL(float) probs; GLOBAL(int) expert; GLOBAL(float) gate; GLOBAL(const float) logits; GLOBAL(const float) correction;
    int T, E, k, sigmoid, norm_topk, n_group, n_group_chosen, group_best; float scale;
};
/* The T*k pairs of a token and an expert, sorted by expert, tokens ascending: start[E + 1] the first row of each, row[i] the token of sorted row i,
 * slot[T][k] where a token's went, sorted_gate[i] its gate (may be NULL).  T * k < 2^24.  A wave an expert: grid ceil(E / waves of the block). */
struct moe_sort_args {
    GLOBAL(int) start; GLOBAL(int) row; GLOBAL(int) slot; GLOBAL(float) sorted_gate; GLOBAL(const int) expert; GLOBAL(const float) gate; int T, E, k;
};
/* tile[n_tile][4]: expert, first sorted row, rows (at most size, 0: none), 0, experts ascending; what a block of the products takes.
 * n_tile: GPU_MOE_TILES(T * k, E, size) hold all.  One block. */
#define GPU_MOE_TILES(rows, E, size) (((rows) + ((rows) < (E) ? (rows) : (E)) * ((size) - 1)) / (size))
struct moe_tiles_args { GLOBAL(int) tile; GLOBAL(const int) start; int E, size, n_tile; };
/* Sorted rows by their experts' weights: y[i] = bias[e] (ld_bias apart) + x[row[i]] * w[e][N][K]^T; row NULL: x[i].  act: N = 2F, y[i][F] = silu(gate half) * other half
 * * gate[i] (may be NULL).  Weights as of gemv (rows of all experts one after the other), tile as of moe_tiles.
 * moe_gemv_TYPE_M: size M; grid ceil(N / (waves * GPU_GEMV_ROWS(M))), n_tile.  moe_gemm_TYPE: size GPU_MOE_ROWS; grid ceil(N / GPU_MOE_COLS), n_tile;
 * K a multiple of 8 (quantised: 32); x is rounded to bf16 (quantised: int8 rows xq, xds of quantize_a8). */
#define GPU_MOE_ROWS 64
#define GPU_MOE_COLS 128
struct moe_product_args {
    GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const i8) xq; GLOBAL(const float) xds; GLOBAL(const void) w; GLOBAL(const u16) scale;
    GLOBAL(const float) bias; GLOBAL(const float) gate; GLOBAL(const int) tile; GLOBAL(const int) row; long ld_y, ld_x, ld_bias; int N, K, act;
};
/* y[t][C] = add[t] + sum over j of gate[slot[t][j]] * x[slot[t][j]], j ascending; add, gate may be NULL.  C a multiple of 4.  A thread four columns. */
struct moe_combine_args {
    GLOBAL(float) y; GLOBAL(const float) x; GLOBAL(const float) add; GLOBAL(const float) gate; GLOBAL(const int) slot; long ld_y, ld_x, ld_add; int T, k, C;
};

/* ---- sampling (gpu/kern/sample.c) ---- */

#define GPU_VOCAB_MAX (1 << 19)
/* infer/sample.h's struct sampling of a row (gpu/sampling.h): 1 / temperature, or 0 for the largest; temperature * log(min_p), or -infinity; top_p in 2^-53, 2^53: off; rng_key(seed, "sample"). */
struct gpu_sampling { double inverse, width; u64 top_p, key; int top_k, unused; };
/* A token of each row of logits [n]: id[row] as sample_token() (infer/sample.h) has it, -1 where a logit is NaN or no id is allowed, by the random number (key, position[row]), which
 * then is one more, as is met[row][id] (met may be NULL).  allowed: a bit an id, of ld_allowed words a row (0: one for all rows); NULL: all.  n <= GPU_VOCAB_MAX. */
struct sample_args {
    GLOBAL(int) id; GLOBAL(u64) position; GLOBAL(u32) met; GLOBAL(const float) logits; GLOBAL(const u32) allowed; GLOBAL(const struct gpu_sampling) sampling;
    long ld_logits, ld_allowed, ld_met; int n;
};
/* infer/answer.h's penalties, in place, of ids in met[row][n]: how often in the answer, and the upper bit for in the prompt where there is a repetition
 * other than 1.  Grid: ceil(n / 256), rows. */
struct gpu_penalties { double repetition, presence, frequency; };
struct penalise_args { GLOBAL(float) logits; GLOBAL(const u32) met; GLOBAL(const struct gpu_penalties) penalties; long ld_logits, ld_met; int n; };
#endif
