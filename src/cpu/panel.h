/* panel.h - packed weights in the types of files, and products of int8 activations with them.
 *
 * A weight is packed once, at load, from the blocks of its file to panels of 16 rows (panels.def), without another rounding:
 * panel_of() names the layout that holds a file type exactly.  Quantised panels multiply activations that are quantised
 * once per input of a layer (A8), F16 panels float activations (gemm_f16), F32 and BF16 panels those of gemm and gemm_bf16.
 *
 * A8, a row: for each 32 elements (K rounded up to 64; the rest zeros) 48 bytes
 *   i8 q[32]; float d; float s; i32 start, start_low:  x = d*q, d = max |x| / 127; s = d * sum q;
 *   start = -128 * sum of all q, start_low = -128 * sum of the first 16 q
 * A block with a NaN or an infinity has d = s = NaN and q = 0; one whose largest |x| is below 1e-30 is zero.
 * Blocks stand for themselves: columns of a row can be written apart from the others, in multiples of 64. */
#ifndef CPU_PANEL_H
#define CPU_PANEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cpu/quant.h"

enum panel_type {
#define PANEL_TYPE(name, k, bytes, what) PANEL_##name,
#include "cpu/panels.def"
#undef PANEL_TYPE
    N_PANEL_TYPE
};
#define PANEL_IS_A8(t) ((t) >= PANEL_Q8)      /* multiplies A8 rows, by gemm_q */

enum panel_type panel_of(enum cpu_type t);
const char *panel_name(enum panel_type t);
int panel_record(enum panel_type t);                    /* elements along k of a record */
size_t panel_record_bytes(enum panel_type t);
/* Bytes of one panel of K elements, and of the panels of N rows. */
size_t panel_stride(enum panel_type t, int64_t K);
size_t panel_bytes(enum panel_type t, int64_t K, int64_t N);

#define A8_BLOCK 32
#define A8_BLOCK_BYTES 48
/* Elements k0 .. k0+n-1 of a row; k0 is a multiple of 32. */
void a8_read(const void *row, int64_t k0, int n, float *x);
/* What the int8 of a row leaves of its K floats: a second row, whose d are the first's / 256.  Together they hold x to about 15 bits. */
void a8_rest(int64_t K, const float *x, const void *row, void *rest);
/* An odd number of cache lines, so that rows side by side do not compete for the same places of a cache. */
size_t a8_row_bytes(int64_t K);
size_t a8_at(int64_t k);      /* where column k, a multiple of 64, begins in a row */

/* N rows of K elements of a file type, `stride` bytes apart, to panels of panel_of(type).  To share the work, cut N at
 * multiples of 16 and move src by rows and out by panel_stride().  K is a multiple of the type's block. */
struct panel_pack {
    enum cpu_type type;
    int K, N;
    const void *src; size_t stride;
    void *out;                            /* 64-byte aligned */
};

/* M rows of K floats to A8.  To write columns k0 .. k0+K-1 of longer rows, add a8_at(k0) to out; k0 is a multiple of 64,
 * and K too except in the last columns of a row. */
struct a8 {
    int M, K;
    const float *x; ptrdiff_t ld_x;
    void *out; size_t stride;             /* bytes from row to row, a multiple of 16: a8_row_bytes() of the whole row, or more */
};

/* c[M,N] = (add ? add : 0) + (bias ? bias : 0) + a * b.  Row i of a: A8, at a + i * a_stride; pairs: the sum of rows 2i
 * and 2i+1 there, the second a8_rest() of the first.  add may be c.
 * To share the work cut N at multiples of 16 (move b by panel_stride(), bias, add and c by columns) or M anywhere. */
struct gemm_q {
    enum panel_type type;
    int M, N, K;
    const void *a; size_t a_stride; bool pairs;
    const void *b;
    const float *bias;
    const float *add; ptrdiff_t ld_add;
    float *c; ptrdiff_t ldc;
};
#endif
