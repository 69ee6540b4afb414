/* Products of sorted rows with their experts' weights by matrix instructions: 256 threads, a tile of GPU_MOE_ROWS rows of an expert by GPU_MOE_COLS columns,
 * K in steps of 64 through registers into padded shared memory, as gpu/kern/gemm.c.  With SwiGLU a block has 64 columns of the gate and the 64 of what it
 * multiplies, and a wave both of each.
 *
 * Quantised weights and int8 activations are small whole numbers, exact in bf16; their products are summed exactly over a block of 32 and take part in the
 * sum by the blocks' scales, as cpu/ref's gemm_q has it. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/tile.h"
#define N_THREAD 256
#define ROWS GPU_MOE_ROWS
#define COLS GPU_MOE_COLS
#define STEP 64
#define ROOM (STEP + 8)
#define PIECES (STEP / 8)                              /* of a row, 8 columns each */
#define LOADS_A (ROWS * PIECES / N_THREAD)
#define LOADS_B (COLS * PIECES / N_THREAD)
#if DK_WAVE == 32
#define ACROSS 4
#else
#define ACROSS 2
#endif
#define ALONG 2
#define TILES_M (ROWS / ALONG / TILE_M)
#define TILES_N (COLS / ACROSS / TILE_N)

struct moe_tile { int e, first, n; };
DK_INLINE struct moe_tile moe_tile_of(const struct moe_product_args *a)
{
    const u32x4 t = ((const DK_GLOBAL u32x4 *)a->tile)[dk_by()];
    const struct moe_tile tile = { (int)t[0], (int)t[1], (int)t[2] };
    return tile;
}
/* Of x, the row that is row m of the tile; those beyond are read as the last one. */
DK_INLINE long x_row(const struct moe_product_args *a, struct moe_tile t, int m)
{
    const int i = t.first + (m < t.n ? m : t.n - 1);
    return a->row ? a->row[i] : i;
}
/* Of y, the column that row n of the block's part of w makes (or takes part in), and of w that row, or where it is beyond the last, the last. */
DK_INLINE int y_column(const struct moe_product_args *a, int n) { return a->act ? dk_bx() * (COLS / 2) + n % (COLS / 2) : dk_bx() * COLS + n; }
DK_INLINE long w_row(const struct moe_product_args *a, struct moe_tile t, int n)
{
    const int width = a->act ? a->N / 2 : a->N, c = y_column(a, n);
    return (long)t.e * a->N + (c < width ? c : width - 1) + (a->act && n >= COLS / 2 ? width : 0);
}
/* Of the block's part of w, the first row of a wave's j-th tile: with SwiGLU its first half are gates, the others what they multiply. */
DK_INLINE int w_tile(const struct moe_product_args *a, int wn, int j)
{
    const int gates = TILES_N / 2;
    return (a->act ? wn * gates + j % gates + (j / gates) * (COLS / 2 / TILE_N) : wn * TILES_N + j) * TILE_N;
}

DK_INLINE u32x4 bf16_8(f32x4 x, f32x4 y)
{
    const u32x4 v = { dk_bf16_pair(x[0], x[1]), dk_bf16_pair(x[2], x[3]), dk_bf16_pair(y[0], y[1]), dk_bf16_pair(y[2], y[3]) };
    return v;
}
/* Two of the bytes of v, from bit s on, as bf16: whole numbers up to 127 are exact. */
DK_INLINE u32 bf16_bytes(u32 v, int s) { return (dk_bits((float)(i8)(v >> s)) >> 16) | (dk_bits((float)(i8)(v >> (s + 8))) & 0xffff0000u); }
DK_INLINE u32x4 bf16_8_bytes(u32x2 v)
{
    const u32x4 out = { bf16_bytes(v[0], 0), bf16_bytes(v[0], 16), bf16_bytes(v[1], 0), bf16_bytes(v[1], 16) };
    return out;
}

/* ---- columns k .. k+7 of a row, as bf16; zeros beyond K ---- */

DK_INLINE u32x4 moe_x_bf16(const struct moe_product_args *a, long row, int k)
{
    const f32x4 zero = { 0, 0, 0, 0 };
    const DK_GLOBAL f32x4 *x = (const DK_GLOBAL f32x4 *)(a->x + row * a->ld_x + k);
    return k < a->K ? bf16_8(x[0], x[1]) : bf16_8(zero, zero);
}
DK_INLINE u32x4 moe_w_bf16(const struct moe_product_args *a, long row, int k)
{
    const u32x4 zero = { 0, 0, 0, 0 };
    return k < a->K ? *(const DK_GLOBAL u32x4 *)((const DK_GLOBAL u16 *)a->w + row * a->K + k) : zero;
}
DK_INLINE u32x4 moe_x_i8(const struct moe_product_args *a, long row, int k)
{
    const u32x2 zero = { 0, 0 };
    return bf16_8_bytes(k < a->K ? *(const DK_GLOBAL u32x2 *)(a->xq + row * a->ld_x + k) : zero);
}
DK_INLINE u32x4 moe_w_q8_0(const struct moe_product_args *a, long row, int k)
{
    const u32x2 zero = { 0, 0 };
    return bf16_8_bytes(k < a->K ? *(const DK_GLOBAL u32x2 *)((const DK_GLOBAL i8 *)a->w + row * a->K + k) : zero);
}
DK_INLINE u32x4 moe_w_q4_0(const struct moe_product_args *a, long row, int k)
{
    const u32x2 eights = { 0x88888888u, 0x88888888u };
    const u32x2 v = k < a->K ? *(const DK_GLOBAL u32x2 *)((const DK_GLOBAL u8 *)a->w + row * (a->K / 2) + k / 32 * 16 + k % 16) : eights;
    u32x2 q = { v[0] >> (k & 16 ? 4 : 0) & 0x0f0f0f0fu, v[1] >> (k & 16 ? 4 : 0) & 0x0f0f0f0fu };
    DK_UNROLL
    for (int i = 0; i < 2; i++)                      /* each byte minus 8, -8 .. 7: borrows do not pass where the upper bit is set meanwhile */
        q[i] = ((q[i] | 0x80808080u) - 0x08080808u) ^ 0x80808080u;
    return bf16_8_bytes(q);
}

/* ---- the kernels ---- */

DK_INLINE void moe_store(DK_LOCAL u16 *s, u32x4 v, int piece) { *(DK_LOCAL u32x4 *)(s + piece / PIECES * ROOM + piece % PIECES * 8) = v; }

/* A wave's element e of tile i, j: with bias, and what it is with its other half. */
DK_INLINE void moe_write(const struct moe_product_args *a, struct moe_tile t, int m, int n, float v, float other)
{
    const int c = y_column(a, n);
    if (m >= t.n || c >= (a->act ? a->N / 2 : a->N))
        return;
    if (a->bias) {
        const DK_GLOBAL float *bias = a->bias + t.e * a->ld_bias - (long)t.e * a->N;
        v += bias[w_row(a, t, n)];
        other += a->act ? bias[w_row(a, t, n + COLS / 2)] : 0.0f;
    }
    if (a->act)
        v = v / (1.0f + dk_exp2(-DK_LOG2E * v)) * other * (a->gate ? a->gate[t.first + m] : 1.0f);
    a->y[(t.first + m) * a->ld_y + c] = v;
}

#define MOE_GEMM_LOAD(X, W, k)                                                                                  \
    do {                                                                                                        \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < LOADS_A; i++)                                                                       \
            ra[i] = X(&a, in[i], (k) + (dk_tid() + i * N_THREAD) % PIECES * 8);                                 \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < LOADS_B; i++)                                                                       \
            rb[i] = W(&a, of[i], (k) + (dk_tid() + i * N_THREAD) % PIECES * 8);                                 \
    } while (0)

/* The scales of a step's two blocks of 32 of each row: of x, then of w; 0 beyond K. */
DK_INLINE void moe_scales(const struct moe_product_args *a, struct moe_tile t, int k0, DK_LOCAL float *xs, DK_LOCAL float *ws)
{
    for (int i = dk_tid(); i < 2 * (ROWS + COLS); i += N_THREAD) {
        const int of_x = i < 2 * ROWS, j = of_x ? i : i - 2 * ROWS, k = k0 + j % 2 * 32;
        if (of_x)
            xs[j] = k < a->K ? a->xds[(x_row(a, t, j / 2) * (a->ld_x / 32) + k / 32) * 2] : 0.0f;
        else
            ws[j] = k < a->K ? dk_half_float(a->scale[w_row(a, t, j / 2) * (a->K / 32) + k / 32]) : 0.0f;
    }
}

#define MOE_GEMM(type, X, W, quantised)                                                                         \
DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void moe_gemm_##type(struct moe_product_args a)                         \
{                                                                                                               \
    DK_SHARED(u16, as, ROWS * ROOM);                                                                                \
    DK_SHARED(u16, bs, COLS * ROOM);                                                                                \
    DK_SHARED(float, xs, 2 * ROWS);                                                                               \
    DK_SHARED(float, ws, 2 * COLS);                                                                               \
    const struct moe_tile t = moe_tile_of(&a);                                                                  \
    const int wm = dk_wave() / ACROSS, wn = dk_wave() % ACROSS;                                               \
    if (t.n == 0)                                                                                               \
        return;                                                                                                 \
    tile_c acc[TILES_M][TILES_N];                                                                                         \
    u32x4 ra[LOADS_A], rb[LOADS_B];                                                                             \
    long in[LOADS_A], of[LOADS_B];                                                                              \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < LOADS_A; i++)                                                                           \
        in[i] = x_row(&a, t, (dk_tid() + i * N_THREAD) / PIECES);                                               \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < LOADS_B; i++)                                                                           \
        of[i] = w_row(&a, t, (dk_tid() + i * N_THREAD) / PIECES);                                               \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < TILES_M; i++) {                                                                              \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < TILES_N; j++) {                                                                          \
            DK_UNROLL                                                                                           \
            for (int e = 0; e < TILE_ACC; e++)                                                                  \
                TILE_AT(acc[i][j], e) = 0;                                                                      \
        }                                                                                                       \
    }                                                                                                           \
    MOE_GEMM_LOAD(X, W, 0);                                                                                     \
    for (int k0 = 0; k0 < a.K; k0 += STEP) {                                                                      \
        dk_barrier();                                                                                           \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < LOADS_A; i++)                                                                       \
            moe_store(as, ra[i], dk_tid() + i * N_THREAD);                                                      \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < LOADS_B; i++)                                                                       \
            moe_store(bs, rb[i], dk_tid() + i * N_THREAD);                                                      \
        if (quantised)                                                                                          \
            moe_scales(&a, t, k0, xs, ws);                                                                      \
        dk_barrier();                                                                                           \
        if (k0 + STEP < a.K)                                                                                      \
            MOE_GEMM_LOAD(X, W, k0 + STEP);                                                                       \
        DK_UNROLL                                                                                               \
        for (int block = 0; block < STEP / 32; block++) {                                                         \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < TILES_M; i++) {                                                                      \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < TILES_N; j++) {                                                                  \
                    const int m0 = (wm * TILES_M + i) * TILE_M, n0 = w_tile(&a, wn, j);                              \
                    tile_c part = acc[i][j];                                                                    \
                    if (quantised) {                                                                            \
                        DK_UNROLL                                                                               \
                        for (int e = 0; e < TILE_ACC; e++)                                                      \
                            TILE_AT(part, e) = 0;                                                               \
                    }                                                                                           \
                    DK_UNROLL                                                                                   \
                    for (int k = block * 32; k < block * 32 + 32; k += TILE_K)                                  \
                        part = tile_product(tile_load_a(as + m0 * ROOM + k, ROOM), tile_load_b(bs + n0 * ROOM + k, ROOM), part); \
                    DK_UNROLL                                                                                   \
                    for (int e = 0; e < TILE_ACC; e++) {                                                        \
                        if (quantised)                                                                          \
                            TILE_AT(acc[i][j], e) += xs[2 * (m0 + tile_row(e)) + block] * ws[2 * (n0 + tile_col(e)) + block] * TILE_AT(part, e); \
                        else                                                                                    \
                            TILE_AT(acc[i][j], e) = TILE_AT(part, e);                                           \
                    }                                                                                           \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < TILES_M; i++) {                                                                              \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < TILES_N; j++) {                                                                          \
            if (a.act && j >= TILES_N / 2)                                                                           \
                continue;                                                                                       \
            DK_UNROLL                                                                                           \
            for (int e = 0; e < TILE_ACC; e++) {                                                                \
                const int m = (wm * TILES_M + i) * TILE_M + tile_row(e), n = w_tile(&a, wn, j) + tile_col(e);        \
                moe_write(&a, t, m, n, TILE_AT(acc[i][j], e), TILE_AT(acc[i][(j + TILES_N / 2) % TILES_N], e));           \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
}
MOE_GEMM(bf16, moe_x_bf16, moe_w_bf16, 0)
MOE_GEMM(q8_0, moe_x_i8, moe_w_q8_0, 1)
MOE_GEMM(q4_0, moe_x_i8, moe_w_q4_0, 1)
