/* y[M][N] = add + x[M][K] * w[N][K]^T for 1 to 64 rows a block and weights of any type: what decoding a batch takes.
 *
 * 256 threads, 128 rows of w (grid: columns of y, runs of K, rows of y by 64).  K in steps of 64: a thread reads and decodes 32 columns of one row of w into shared memory as bf16,
 * while the matrix instructions of the step before go on; a wave multiplies its 16 (32) columns of y.  Rows of x that are not there cost no product.
 * Bytes: w once; x once for each 128 columns, out of L2. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/quant.h"
#include "gpu/kern/tile.h"
#define N_THREAD 256
#define GQ_M 64
#define GQ_N 128
#define GQ_LD (GEMM_Q_STEP + 8)
#define GQ_TILES (GQ_M / TILE_M)

/* 32 columns from k on of a row of a type without blocks, K of them there, as bf16 pairs. */
DK_INLINE void read_plain(struct quant_raw *r, int type, const DK_GLOBAL void *w, long at, int left)
{
    u32x4 v[4];
    DK_UNROLL
    for (int i = 0; i < 4; i++) {
        DK_UNROLL
        for (int j = 0; j < 2; j++) {
            const f32x4 zero = { 0, 0, 0, 0 }, x = 8 * i + 4 * j < left ? plain_floats(type, w, at + 8 * i + 4 * j) : zero;
            v[i][2 * j] = dk_bf16_pair(x[0], x[1]);
            v[i][2 * j + 1] = dk_bf16_pair(x[2], x[3]);
        }
    }
    r->a = v[0], r->b = v[1], r->c = v[2], r->d = v[3];
}
DK_INLINE struct quant_raw read_weight(struct gemm_q_args g, int row, int k)
{
    const u32x4 zero = { 0, 0, 0, 0 };
    struct quant_raw r = { zero, zero, zero, zero, zero, 0, 0 };
    row = row < g.N ? row : g.N - 1;
    if (QUANT_HAS_BLOCKS(g.type)) {
        if (k < g.K)
            r = quant_read(g.type, g.w, g.scale, g.K, row, k / 32);
    } else {
        read_plain(&r, g.type, g.w, (long)row * g.K + k, g.K - k);
    }
    return r;
}
DK_INLINE void store_weight(DK_LOCAL u16 *to, struct gemm_q_args g, struct quant_raw r, int k)
{
    DK_LOCAL u32x4 *t = (DK_LOCAL u32x4 *)to;
    if (QUANT_HAS_BLOCKS(g.type) && k < g.K) {
        const struct quant_split w = quant_split(g.type, r, k / 32);
        DK_UNROLL
        for (int i = 0; i < 4; i++) {
            const f32x4 x = quant_floats(&w, 2 * i), y = quant_floats(&w, 2 * i + 1);
            t[i] = (u32x4){ dk_bf16_pair(x[0], x[1]), dk_bf16_pair(x[2], x[3]), dk_bf16_pair(y[0], y[1]), dk_bf16_pair(y[2], y[3]) };
        }
    } else {
        t[0] = r.a, t[1] = r.b, t[2] = r.c, t[3] = r.d;
    }
}

/* Piece i, 8 columns, of the 64 rows of x: zeros beyond M and K. */
DK_INLINE u32x4 read_rows(struct gemm_q_args g, int m0, int k0, int i)
{
    const int c = dk_tid() + i * N_THREAD, m = m0 + c / (GEMM_Q_STEP / 8), k = k0 + c % (GEMM_Q_STEP / 8) * 8;
    const u32x4 zero = { 0, 0, 0, 0 };
    return m < g.M && k < g.K ? *(const DK_GLOBAL u32x4 *)(g.x + m * g.ld_x + k) : zero;
}

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void gemm_q(struct gemm_q_args g)
{
    DK_SHARED(u16, gq_x, GQ_M * GQ_LD);
    DK_SHARED(u16, gq_w, GQ_N * GQ_LD);
    enum { GQ_PIECES = GQ_M * GEMM_Q_STEP / 8 / N_THREAD };
    const int n0 = dk_bx() * GQ_N, m0 = dk_bz() * GQ_M, n_step = (g.K + GEMM_Q_STEP - 1) / GEMM_Q_STEP, run = (n_step + g.n_split - 1) / g.n_split * GEMM_Q_STEP;
    const int first = dk_by() * run, end = first + run < g.K ? first + run : g.K;
    const int row = dk_tid() / 2, column = dk_tid() % 2 * 32;
    tile_c acc[GQ_TILES];
    u32x4 x[GQ_PIECES];
    struct quant_raw w = read_weight(g, n0 + row, first + column);
    DK_UNROLL
    for (int i = 0; i < GQ_PIECES; i++)
        x[i] = read_rows(g, m0, first, i);
    DK_UNROLL
    for (int i = 0; i < GQ_TILES; i++) {
        DK_UNROLL
        for (int e = 0; e < TILE_ACC; e++)
            TILE_AT(acc[i], e) = 0;
    }
    DK_ROLLED
    for (int k0 = first; k0 < end; k0 += GEMM_Q_STEP) {
        dk_barrier();
        store_weight(gq_w + row * GQ_LD + column, g, w, k0 + column);
        DK_UNROLL
        for (int i = 0; i < GQ_PIECES; i++) {
            const int c = dk_tid() + i * N_THREAD;
            *(DK_LOCAL u32x4 *)(gq_x + c / (GEMM_Q_STEP / 8) * GQ_LD + c % (GEMM_Q_STEP / 8) * 8) = x[i];
        }
        dk_barrier();
        if (k0 + GEMM_Q_STEP < end) {
            w = read_weight(g, n0 + row, k0 + GEMM_Q_STEP + column);
            DK_UNROLL
            for (int i = 0; i < GQ_PIECES; i++)
                x[i] = read_rows(g, m0, k0 + GEMM_Q_STEP, i);
        }
        DK_UNROLL
        for (int k = 0; k < GEMM_Q_STEP; k += TILE_K) {
            const tile_b b = tile_load_b(gq_w + dk_wave() * TILE_N * GQ_LD + k, GQ_LD);
            DK_UNROLL
            for (int i = 0; i < GQ_TILES; i++)
                if (m0 + i * TILE_M < g.M)
                    acc[i] = tile_product(tile_load_a(gq_x + i * TILE_M * GQ_LD + k, GQ_LD), b, acc[i]);
        }
    }
    DK_GLOBAL float *part = g.part + (long)dk_by() * g.M * g.N;
    DK_UNROLL
    for (int i = 0; i < GQ_TILES; i++) {
        DK_UNROLL
        for (int e = 0; e < TILE_ACC; e++) {
            const int m = m0 + i * TILE_M + tile_row(e), n = n0 + dk_wave() * TILE_N + tile_col(e);
            if (m >= g.M || n >= g.N)
                continue;
            const float v = TILE_AT(acc[i], e);
            if (g.n_split > 1)
                part[(long)m * g.N + n] = v;
            else
                g.y[m * g.ld_y + n] = g.add ? g.add[m * g.ld_y + n] + v : v;
        }
    }
}

/* A thread an element: the runs' sums in order. */
DK_BOUNDS(N_THREAD) DK_KERNEL void gemm_q_join(struct gemm_q_args g)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), all = (long)g.M * g.N;
    if (i >= all)
        return;
    float s = g.part[i];
    for (int r = 1; r < g.n_split; r++)
        s += g.part[r * all + i];
    const long at = i / g.N * g.ld_y + i % g.N;
    g.y[at] = g.add ? g.add[at] + s : s;
}
#undef N_THREAD
