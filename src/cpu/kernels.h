/* kernels.h - the table of CPU kernels: plain functions on arrays, single-threaded, without allocation.
 *
 * cpu/ref is the definition of right; avx2 and avx512 fill the slots they do better (cpu/dispatch.c).  All levels keep
 * one promise: **the bits of a result row depend on nothing but the data of that row's own sum** - not on M, on the row's
 * place, on how columns were split into calls, or on threads.  A sum over k is one chain, k ascending (or a fixed tree
 * over absolute positions where stated; products of floats: GEMM_CHAIN).  Levels may differ from each other within kernels.def's tolerance.
 *
 * Sizes are in elements, strides (ld_*, a_row, ...) too.  Pointers need no alignment except panels: 64 bytes.  Outputs may
 * not overlap inputs unless said.  n, M, N, K >= 0; nothing is done for 0. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cpu/panel.h"

/* `real` is float.  The gradient checks compile the operations and cpu/ref once more with double. */
#ifdef LATHE_REAL_DOUBLE
typedef double real;
#else
typedef float real;
#endif
typedef uint16_t bf16;      /* upper half of an IEEE float */

#define PANEL 16            /* columns in a panel: one zmm of floats */
#define GEMM_CHAIN 256      /* terms of a chain of a product of floats */
static inline size_t cpu_round_panel(size_t n) { return (n + PANEL - 1) / PANEL * PANEL; }
/* Elements of b[K,N] packed: real panels [N/16][K][16], bf16 panels [N/16][K/2][16][2] (K rounded up to even). */
static inline size_t cpu_panel_size(size_t K, size_t N) { return cpu_round_panel(N) * ((K + 1) / 2 * 2); }

/* c[M,N] = start + a * b, start = (add ? add : 0) + (bias ? bias : 0).  Where operands are floats or become floats, a result is start
 * + chain + chain ..., each over GEMM_CHAIN k's and from zero: what is large in start or in one chain does not cost the digits of the
 * others.  gemm_bf16 where the machine multiplies bf16 pairs: one chain that begins at start.
 * a(i,k): gemm: a[row(i)*a_row + k*a_col], row(i) = rows ? rows[i] : i.
 *         gemm_bf16: pairs (k even, k+1) are adjacent: pair kk of row i at a + row(i)*a_row + kk*a_col, strides in bf16
 *         elements: row-major [M][K]: a_row = lda, a_col = 2; pack_pairs' [K/2][M][2]: a_row = 2, a_col = 2*M.
 *         For odd K the last pair's second element must be readable; its value does not matter (pack_pairs' is 0).
 * b: panels as of pack_*, panel j at b + j*b_panel (elements); columns past N in the last panel are zero.
 * add may be c itself (accumulate). */
struct gemm {
    int M, N, K;
    const void *a; ptrdiff_t a_row, a_col;
    const int32_t *rows;
    const void *b; ptrdiff_t b_panel;
    const real *bias;
    const real *add; ptrdiff_t ld_add;
    real *c; ptrdiff_t ldc;
};

/* Source row r (k for cols and pairs, n for rows) at src + (rows ? rows[r] : r) * ld; real, or bf16 when src_bf16. */
struct pack {
    int K, N;
    const void *src; ptrdiff_t ld; bool src_bf16;
    const int32_t *rows;
    void *out; ptrdiff_t panel;      /* elements from panel to panel in out: cpu_panel_size(K, 16), or more */
};

struct norm {
    int n_row, C;
    const real *x; ptrdiff_t ld_x;
    const real *w, *b;                /* b may be NULL, also w (then 1) */
    real eps;
    void *y; ptrdiff_t ld_y; bool y_bf16;
    real *mean, *rstd;                /* [n_row]; mean only for layernorm; forward writes, backward reads */
    const real *dy; ptrdiff_t ld_dy;  /* backward */
    real *dx; ptrdiff_t ld_dx; bool add_dx;      /* dx += or dx =; dx may be dy when add_dx is false */
    real *dw, *db;                    /* += ; NULL: not wanted */
};

struct act {
    int n_row, F;                     /* F: width of y; h has F columns, 2F for the gated ones */
    const real *h; ptrdiff_t ld_h;
    const real *scale;                /* [n_row] or NULL */
    void *y; ptrdiff_t ld_y; bool y_bf16;
    const real *dy; ptrdiff_t ld_dy;  /* backward */
    real *dh; ptrdiff_t ld_dh;
    real *dscale;                     /* [n_row], written, when scale */
};

/* x: n_head heads of d_head, one after the other, in one row; cos_sin: [d_rot/2][2] of the row's position.
 * Only the first d_rot numbers of each head turn.  inverse: by the negative angle (the backward pass). */
struct rope { int n_head, d_head, d_rot; real *x; const real *cos_sin; bool inverse; };

/* One sequence, one key/value head and its n_group query heads.  Query row i has position pos0 + i and sees keys
 * 0 .. pos0 + i, with window > 0 only the last window of those; with all (pos0 is 0) every row sees all n_q keys, with window > 0
 * those less than window before or after it.
 * Query head g of row i at q + i*ld_q + g*d, and so for dq; o and d_o at + g*d_v; lse[i*ld_lse + g].
 * cap > 0: scores become cap * tanh(score / cap).  sink: a score of each head that takes probability and has no value; lse counts it.
 * Keys are taken in tiles of ATTN_TILE absolute positions, so a row's bits are the same alone, in a prompt of any
 * chunking, and in a batch.  Backward needs pos0 = 0, and writes (does not add to) dq, dk, dv and, where it is wanted, dsink. */
#define ATTN_TILE 64
struct attn {
    int n_q, pos0, n_group, d, d_v;   /* d_v 0: d */
    int window; bool all;
    const real *q, *k, *v; ptrdiff_t ld_q, ld_k, ld_v;
    real scale, cap;
    const real *sink;                 /* [n_group] or NULL */
    void *o; ptrdiff_t ld_o; bool o_bf16;
    real *lse; ptrdiff_t ld_lse;
    const real *d_o; ptrdiff_t ld_do;
    real *dq, *dk, *dv; ptrdiff_t ld_dq, ld_dk, ld_dv;
    real *dsink;                      /* [n_group] or NULL */
    real *scratch;                    /* cpu_attn_scratch() elements, 64-byte aligned */
};
static inline int attn_dv(const struct attn *p) { return p->d_v ? p->d_v : p->d; }
/* Enough for every level, forward and backward; n_k = pos0 + n_q; d: the larger of d and d_v. */
size_t cpu_attn_scratch(int n_q, int n_k, int n_group, int d);

#include "cpu/attn_paged.h"        /* attention for inference: struct kv_pages, kv_put, attn_paged */

/* x[n_row, ld]: logits of V columns.  target < 0: the row does not count (nll 0, gradient 0). */
struct ce { int n_row, V; real *x; ptrdiff_t ld; const int32_t *target; real *nll; bool grad; real scale; };

/* Of two rows, x and y: where each is largest (the first), the sum of e^(x - largest), and that of e^(x - largest) (x - y), y's with e^(y - ..).
 * Both divergences follow from them (infer/probs.h). */
struct divergence { int best[2]; double sum[2], cross[2]; };
/* Of one row: where it is largest (the first), and sums over its n numbers of e^d, e^d d and e^d d^2, d = x - largest. */
struct logit_moments { int best; double sum, first, second; };

struct sum_rows { int n_row, k, C; const real *src; ptrdiff_t ld_src; const int32_t *index; const real *weight; const real *add; ptrdiff_t ld_add; real *y; ptrdiff_t ld_y; };

/* g *= grad_scale; m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g^2;
 * w -= lr*wd*w; w -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps).  g itself is not changed. */
struct adamw { real lr, beta1, beta2, eps, wd, correction1, correction2 /* 1-b1^t, 1-b2^t */, grad_scale; };
/* SGD, as torch.optim.SGD: g = grad_scale*g + wd*w; m = momentum*m + g; w -= lr*m.
 * Muon's momentum: g *= grad_scale; m += (1-momentum)*(g-m); u = g + momentum*(m-g), its direction. */
struct momentum { real lr, momentum, wd, grad_scale; };

/* n permutations of the numbers below 2^64, a multiple of MINHASH_LANES (fill up with any): x -> ((a*x + b) mod 2^64) mod (2^61 - 1). */
#define MERSENNE_61 (((uint64_t)1 << 61) - 1)
#define MINHASH_LANES 8
struct minhash_perms { int n; const uint64_t *a, *b; };

/* Of 64 bytes, a bit each, the first the lowest.  letter: of ASCII, a digit, or not ASCII; sign: visible, none of these and of .,;:!?'"()- */
struct word_masks { uint64_t letter, quote, sign; };
/* Of 64 bytes, a bit each, the first the lowest; bits beyond a text are 0.  space: white space of ASCII as Python has it, 9 to 13, 28 to 31 and 32;
 * letter: of ASCII; high: no ASCII. */
struct text_masks { uint64_t space, letter, high; };
/* A set of ASCII: bit c / 16 of byte c % 16 for c. */
struct text_set { uint8_t has[16]; };
/* A byte a and the byte b `gap` behind it, both in the text; with fold 0x20 both are compared with that bit set: a and b are small letters then. */
struct text_pair { uint8_t a, b, fold; uint32_t gap; };

struct cpu_kernels {
    const char *level;               /* "ref", "avx2", "avx512", "avx512bf16" */
#define K(name, ret, params, tol, what) ret (*name) params;
#include "cpu/kernels.def"
#undef K
};

/* The best level of this machine, or the one that LATHE_CPU=ref|avx2|avx512|avx512bf16 names.  A name that this machine
 * has not leaves the best and a sentence in cpu_level_error(), which cmd reports (exit 2).  Fixed at the first call. */
const struct cpu_kernels *cpu_kernels(void);
const char *cpu_level_error(void);
/* All levels this machine can run, ref first; NULL-terminated.  For tests and benchmarks. */
const struct cpu_kernels *const *cpu_levels(void);

/* Filled in by each folder; k arrives as a copy of the level below. */
void cpu_ref_fill_gemm(struct cpu_kernels *k);
void cpu_ref_fill_rows(struct cpu_kernels *k);
void cpu_ref_fill_panel(struct cpu_kernels *k);
void cpu_ref_fill_attn(struct cpu_kernels *k);
void cpu_ref_fill_minhash(struct cpu_kernels *k);
void cpu_ref_fill_words(struct cpu_kernels *k);
void cpu_ref_fill_text(struct cpu_kernels *k);
#ifndef LATHE_REAL_DOUBLE
void cpu_avx2_fill_gemm(struct cpu_kernels *k);
void cpu_avx2_fill_rows(struct cpu_kernels *k);
void cpu_avx2_fill_panel(struct cpu_kernels *k);
void cpu_avx2_fill_attn(struct cpu_kernels *k);
void cpu_avx2_fill_minhash(struct cpu_kernels *k);
void cpu_avx2_fill_words(struct cpu_kernels *k);
void cpu_avx2_fill_text(struct cpu_kernels *k);
void cpu_avx512_fill_gemm(struct cpu_kernels *k);
void cpu_avx512_fill_rows(struct cpu_kernels *k);
void cpu_avx512_fill_attn(struct cpu_kernels *k);
void cpu_avx512_fill_minhash(struct cpu_kernels *k);
void cpu_avx512_fill_text(struct cpu_kernels *k);
void cpu_avx512_fill_panel(struct cpu_kernels *k);
void cpu_avx512bf16_fill_gemm(struct cpu_kernels *k);     /* vdpbf16ps, where it is fast (AMD Zen 4 and later) */
void cpu_avx512bf16_fill_attn(struct cpu_kernels *k);
void cpu_avx512bf16_fill_attn_train(struct cpu_kernels *k);
#endif
#endif
