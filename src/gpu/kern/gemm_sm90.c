/* Dense matrix product of sm_90a: C[M][N] = A[M][K] B[N][K]^T, operands bf16 (gemm_sm90) or fp8 e4m3 (gemm_sm90_e4m3, times scale),
 * sums in float (of fp8 the matrix units keep some 14 bits), C bf16.
 *
 * A block makes tiles of 128 x N_TILE (256; gemm_sm90_n128: 128, for products too small to fill the device): one thread of the last
 * warpgroup loads (TMA into a ring of stages), the two others multiply, 64 rows each.  Blocks stay and walk the tiles, columns of GROUP
 * one after the other, so that those at work at a time share what L2 holds; the loads of the next tile run during the stores of the
 * last.  (Clusters of two blocks that share B's loads were a quarter slower on an H100.)
 * Any M; N a multiple of 8; K of 8 (bf16) or 16: TMA reads zeros past the ends and drops what would be written there.
 * Maps, row-major, 128-byte swizzle: map_a (K, M) and map_b (K, N) in boxes of 128 bytes x 128 rows; map_c (N, M) in boxes of 64 x 64.
 * Grid: as many blocks as multiprocessors, no more than tiles.  Dynamic shared memory: as kernels.def says.
 *
 * Of training (product_sm90_nt, _nn, _tn): c = add + bias + a b, c floats, or bf16 without add; b, or both, by columns (B[k][n], A[k][m]: maps (N, K) and
 * (M, K) in boxes of 64 x 64, which the products take as they lie).  With n_split the k's of a tile are cut into that many runs, each a unit of the walk
 * and a c of its own, which split_sum adds up in order: bits depend on n_split, not on the grid. */
#include "gpu/wgmma.h"
#include "gpu/args.h"
#ifndef N_TILE
#define N_TILE 256
#endif
#define GROUP 16                  /* tiles of rows */
#if defined(PRODUCT_A_COLS)
#define GEMM product_sm90_tn
#define K_TILE 64
#define PRODUCT wgmma_bf16_n256_tn
#elif defined(PRODUCT_B_COLS)
#define GEMM product_sm90_nn
#define K_TILE 64
#define PRODUCT wgmma_bf16_n256_nn
#elif defined(PRODUCT_ROWS)
#define GEMM product_sm90_nt
#define K_TILE 64
#define PRODUCT wgmma_bf16_n256
#elif defined(GEMM_E4M3)
#define GEMM gemm_sm90_e4m3
#define K_TILE 128
#define PRODUCT wgmma_e4m3_n256
#elif N_TILE == 128
#define GEMM gemm_sm90_n128
#define K_TILE 64
#define PRODUCT wgmma_bf16_n128
#else
#define GEMM gemm_sm90
#define K_TILE 64
#define PRODUCT wgmma_bf16_n256
#endif
#if N_TILE == 128
#define STAGES 6
#define DONE wgmma_done_64
#else
#define STAGES 4
#define DONE wgmma_done_128
#endif
#define A_BYTES (128 * 128)
#define B_BYTES (N_TILE * 128)
#define STAGE_BYTES (A_BYTES + B_BYTES)
#define OUT_BYTES (64 * 128)      /* 64 rows of 64 columns, stored by TMA */
#define N_OUT 2                   /* of them in flight, per warpgroup */
#define CONSUMERS 8               /* warps that give a stage back */

#if defined(PRODUCT_A_COLS) || defined(PRODUCT_B_COLS) || defined(PRODUCT_ROWS)
#define ARGS product_sm90_args
#define N_SPLIT(a) ((a)->n_split)
#else
#define ARGS gemm_sm90_args
#define N_SPLIT(a) 1
#endif
#define BOX (64 * 128)            /* 64 columns of 64 k's */
#ifdef PRODUCT_A_COLS
#define OPERAND_A(at, wg) wgmma_mn_major((at) + (u32)(wg) * BOX, BOX)
#else
#define OPERAND_A(at, wg) wgmma_k_major((at) + (u32)(wg) * (A_BYTES / 2))
#endif
#if defined(PRODUCT_A_COLS) || defined(PRODUCT_B_COLS)
#define OPERAND_B(at) wgmma_mn_major((at) + A_BYTES, BOX)
#else
#define OPERAND_B(at) wgmma_k_major((at) + A_BYTES)
#endif

struct tile { int m, n; };
/* Tile t of the walk: GROUP of them down, then a column right, then the next rows of tiles. */
DK_INLINE struct tile tile_at(int t, int rows, int cols)
{
    const int span = GROUP * cols, g = t / span, first = g * GROUP, i = t - g * span;
    const int high = rows - first < GROUP ? rows - first : GROUP;
    return (struct tile){first + i % high, i / high};
}

/* Unit u of the walk: run `split` of a tile's k's, and the blocks of them from k on, before end. */
struct unit { struct tile at; int split, k, end; };
DK_INLINE struct unit unit_at(int u, int n_split, int rows, int cols, int n_k)
{
    struct unit r;
    r.split = u / (rows * cols);
    r.at = tile_at(u - r.split * rows * cols, rows, cols);
    r.k = r.split * n_k / n_split;
    r.end = (r.split + 1) * n_k / n_split;
    return r;
}

DK_INLINE void load_tiles(const struct ARGS *a, u32 ring, u32 full, u32 empty, int rows, int cols, int n_k)
{
    tma_map(a->map_a);
    tma_map(a->map_b);
    struct ring r = {0, 1};
    for (int u = dk_bx(); u < rows * cols * N_SPLIT(a); u += grid_x()) {
        const struct unit unit = unit_at(u, N_SPLIT(a), rows, cols, n_k);
        const struct tile at = unit.at;
        for (int k = unit.k; k < unit.end; k++) {
            const u32 to = ring + r.s * STAGE_BYTES, bar = full + 8 * r.s;
            mbar_wait(empty + 8 * r.s, r.parity);
            mbar_expect(bar, STAGE_BYTES);
#ifdef PRODUCT_A_COLS
            tma_load_2d(to, a->map_a, at.m * 128, k * K_TILE, bar);
            tma_load_2d(to + BOX, a->map_a, at.m * 128 + 64, k * K_TILE, bar);
#else
            tma_load_2d(to, a->map_a, k * K_TILE, at.m * 128, bar);
#endif
#if defined(PRODUCT_A_COLS) || defined(PRODUCT_B_COLS)
            DK_UNROLL
            for (int i = 0; i < N_TILE / 64; i++)
                tma_load_2d(to + A_BYTES + (u32)i * BOX, a->map_b, at.n * N_TILE + i * 64, k * K_TILE, bar);
#else
            DK_UNROLL
            for (int i = 0; i < N_TILE / 128; i++)
                tma_load_2d(to + A_BYTES + (u32)i * (128 * 128), a->map_b, k * K_TILE, at.n * N_TILE + i * 128, bar);
#endif
            ring_next(&r, STAGES);
        }
    }
}
DK_INLINE void store_tile(const struct ARGS *a, float *d, u32 out, int x, int y, int wg)
{
    const int l = dk_lane(), w = dk_wave() & 3, first = (dk_tid() & 127) == 0;
    const int row = 16 * w + 8 * ((l >> 3) & 1) + (l & 7);
    const u32 line = (u32)row * 128, turn = row & 7;
    DK_UNROLL
    for (int part = 0; part < N_TILE / 64 / N_OUT; part++) {
        if (first)
            tma_store_read();
        named_sync(1 + wg, 128);
        DK_UNROLL
        for (int c = 0; c < N_OUT * 4; c++) {
            float *v = d + (part * N_OUT * 4 + c) * 8;
            const u32 box = out + (u32)(c / 4) * OUT_BYTES;
#ifdef GEMM_E4M3
            DK_UNROLL
            for (int i = 0; i < 8; i++)
                v[i] *= a->scale;
#endif
            stmatrix4(box + line + ((((u32)(c & 3) * 2 + (l >> 4)) ^ turn) << 4), bf16_pack(v[0], v[1]), bf16_pack(v[2], v[3]), bf16_pack(v[4], v[5]),
                      bf16_pack(v[6], v[7]));
        }
        proxy_fence();
        named_sync(1 + wg, 128);
        if (first) {
            for (int c = 0; c < N_OUT; c++)
                tma_store_2d(a->map_c, x + (part * N_OUT + c) * 64, y, out + (u32)c * OUT_BYTES);
            tma_store_commit();
        }
    }
}

#if defined(PRODUCT_A_COLS) || defined(PRODUCT_B_COLS) || defined(PRODUCT_ROWS)
/* The thread's numbers: two side by side of each eight columns, of two rows.  What is added is read eight times before it may be written over. */
DK_INLINE void store_product(const struct ARGS *a, float *d, u32 out, int x, int y, int split, int wg)
{
    const int col = x + 2 * (dk_lane() & 3), whole = a->n_split == 1;
    if (a->bias && whole) {
        DK_UNROLL
        for (int i = 0; i < N_TILE / 8; i++) {
            const f32x2 b = col + 8 * i < a->N ? *(const DK_GLOBAL f32x2 *)(a->bias + col + 8 * i) : (f32x2)(0, 0);
            d[4 * i] += b[0];
            d[4 * i + 1] += b[1];
            d[4 * i + 2] += b[0];
            d[4 * i + 3] += b[1];
        }
    }
    if (!a->c) {
        store_tile(a, d, out, x, y, wg);
        return;
    }
    DK_UNROLL
    for (int h = 0; h < 2; h++) {
        const int row = y + 16 * (dk_wave() & 3) + (dk_lane() >> 2) + 8 * h;
        const long at = (long)row * a->N + col;
        DK_GLOBAL float *c = a->c + (long)split * a->M * a->N + at;
        const DK_GLOBAL float *add = a->add && whole && row < a->M ? a->add + at : (const DK_GLOBAL float *)0;
        DK_UNROLL
        for (int i = 0; i < N_TILE / 8; i += 8) {
            f32x2 more[8];
            DK_UNROLL
            for (int j = 0; j < 8; j++)
                more[j] = add && col + 8 * (i + j) < a->N ? *(const DK_GLOBAL f32x2 *)(add + 8 * (i + j)) : (f32x2)(0, 0);
            DK_UNROLL
            for (int j = 0; j < 8; j++)
                if (row < a->M && col + 8 * (i + j) < a->N)
                    *(DK_GLOBAL f32x2 *)(c + 8 * (i + j)) = (f32x2)(d[4 * (i + j) + 2 * h] + more[j][0], d[4 * (i + j) + 2 * h + 1] + more[j][1]);
        }
    }
}
#else
DK_INLINE void store_product(const struct ARGS *a, float *d, u32 out, int x, int y, int split, int wg)
{
    (void)split;
    store_tile(a, d, out, x, y, wg);
}
#endif

DK_BOUNDS(384) DK_KERNEL void GEMM(struct ARGS a)
{
    const u32 ring = dk_dynamic_shared(), out = ring + STAGES * STAGE_BYTES, full = out + 2 * N_OUT * OUT_BYTES, empty = full + 8 * STAGES;
    const int wg = dk_tid() / 128, n_k = (a.K + K_TILE - 1) / K_TILE, rows = (a.M + 127) / 128, cols = (a.N + N_TILE - 1) / N_TILE;
    if (dk_tid() == 0) {
        for (u32 s = 0; s < STAGES; s++) {
            mbar_init(full + 8 * s, 1);
            mbar_init(empty + 8 * s, CONSUMERS);
        }
        mbar_init_done();
    }
    dk_barrier();
    if (wg == 2) {
        REGS_GIVE(40);
        if (dk_tid() == 256)
            load_tiles(&a, ring, full, empty, rows, cols, n_k);
    } else {
        REGS_TAKE(232);
        float d[N_TILE / 2];
        DK_UNROLL
        for (int i = 0; i < N_TILE / 2; i++)
            d[i] = 0;
        struct ring r = {0, 0};
        for (int u = dk_bx(); u < rows * cols * N_SPLIT(&a); u += grid_x()) {
            const struct unit unit = unit_at(u, N_SPLIT(&a), rows, cols, n_k);
            u32 last = 0;
            DK_ROLLED
            for (int k = unit.k; k < unit.end; k++) {
                const u32 from = ring + r.s * STAGE_BYTES;
                mbar_wait(full + 8 * r.s, r.parity);
                wgmma_fence();
                PRODUCT(d, OPERAND_A(from, wg), OPERAND_B(from), k > unit.k);
                wgmma_commit();
                wgmma_wait(1);
                if (k > unit.k)
                    give_back(empty + 8 * last);
                last = r.s;
                ring_next(&r, STAGES);
            }
            DONE(d);
            give_back(empty + 8 * last);
            store_product(&a, d, out + (u32)wg * N_OUT * OUT_BYTES, unit.at.n * N_TILE, unit.at.m * 128 + wg * 64, unit.split, wg);
        }
        if ((dk_tid() & 127) == 0)
            tma_store_done();
    }
}
