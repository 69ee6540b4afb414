/* c[M][N] = a[M][K] * b[N][K]^T, bf16, sums in float: the fallback where neither a vendor's library nor a tuned kernel is at hand.
 * 256 threads, 128 x 128 of c a block (grid: columns, rows), K in steps of 64 through registers into padded shared memory. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/tile.h"
#define N_THREAD 256
#define BM 128
#define BN 128
#define BK 64
#define LD (BK + 8)
#define N_LOAD (BM * BK / 8 / N_THREAD)
#if DK_WAVE == 32
#define WAVES_N 4
#else
#define WAVES_N 2
#endif
#define WAVES_M 2
#define FM (BM / WAVES_M / TILE_M)
#define FN (BN / WAVES_N / TILE_N)

/* Piece i of the 128 rows and 64 columns from k0 on: rows beyond the last are read as the last, columns beyond K are zeros. */
DK_INLINE u32x4 load(const DK_GLOBAL u16 *x, long ld, int row0, int n_row, int k0, int K, int i)
{
    const int c = dk_tid() + i * N_THREAD, k = k0 + c % (BK / 8) * 8;
    int r = row0 + c / (BK / 8);
    r = r < n_row ? r : n_row - 1;
    const u32x4 zero = { 0, 0, 0, 0 };
    return k < K ? *(const DK_GLOBAL u32x4 *)(x + r * ld + k) : zero;
}
DK_INLINE void store(DK_LOCAL u16 *s, u32x4 v, int i)
{
    const int c = dk_tid() + i * N_THREAD;
    *(DK_LOCAL u32x4 *)(s + c / (BK / 8) * LD + c % (BK / 8) * 8) = v;
}

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void gemm_bf16(struct gemm_args g)
{
    DK_SHARED(u16, as, BM * LD);
    DK_SHARED(u16, bs, BN * LD);
    const int m0 = dk_by() * BM, n0 = dk_bx() * BN, wm = dk_wave() / WAVES_N, wn = dk_wave() % WAVES_N;
    tile_c acc[FM][FN];
    u32x4 ra[N_LOAD], rb[N_LOAD];
    DK_UNROLL
    for (int i = 0; i < FM; i++) {
        DK_UNROLL
        for (int j = 0; j < FN; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++)
                TILE_AT(acc[i][j], e) = 0;
        }
    }
    DK_UNROLL
    for (int i = 0; i < N_LOAD; i++) {
        ra[i] = load(g.a, g.ld_a, m0, g.M, 0, g.K, i);
        rb[i] = load(g.b, g.ld_b, n0, g.N, 0, g.K, i);
    }
    for (int k0 = 0; k0 < g.K; k0 += BK) {
        dk_barrier();
        DK_UNROLL
        for (int i = 0; i < N_LOAD; i++) {
            store(as, ra[i], i);
            store(bs, rb[i], i);
        }
        dk_barrier();
        if (k0 + BK < g.K) {
            DK_UNROLL
            for (int i = 0; i < N_LOAD; i++) {
                ra[i] = load(g.a, g.ld_a, m0, g.M, k0 + BK, g.K, i);
                rb[i] = load(g.b, g.ld_b, n0, g.N, k0 + BK, g.K, i);
            }
        }
        DK_UNROLL
        for (int k = 0; k < BK; k += TILE_K) {
            tile_a a[FM];
            tile_b b[FN];
            DK_UNROLL
            for (int i = 0; i < FM; i++)
                a[i] = tile_load_a(as + (wm * FM + i) * TILE_M * LD + k, LD);
            DK_UNROLL
            for (int j = 0; j < FN; j++)
                b[j] = tile_load_b(bs + (wn * FN + j) * TILE_N * LD + k, LD);
            DK_UNROLL
            for (int i = 0; i < FM; i++) {
                DK_UNROLL
                for (int j = 0; j < FN; j++)
                    acc[i][j] = tile_product(a[i], b[j], acc[i][j]);
            }
        }
    }
    DK_UNROLL
    for (int i = 0; i < FM; i++) {
        DK_UNROLL
        for (int j = 0; j < FN; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const int m = m0 + (wm * FM + i) * TILE_M + tile_row(e), n = n0 + (wn * FN + j) * TILE_N + tile_col(e);
                if (m >= g.M || n >= g.N)
                    continue;
                if (g.c16)
                    g.c16[m * g.ld_c + n] = (u16)dk_bf16(TILE_AT(acc[i][j], e));
                else
                    g.c32[m * g.ld_c + n] = TILE_AT(acc[i][j], e);
            }
        }
    }
}
