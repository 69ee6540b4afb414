/* c[M][N] = a[M][K] * b[N][K]^T, bf16, sums in float: the fallback where neither a vendor's library nor a tuned kernel is at hand.
 * 256 threads, 128 x 128 of c a block (grid: columns, rows), K in steps of 64 through registers into padded shared memory. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/tiles.h"
#define N_THREAD 256
#define N_LOAD (GEMM_M * GEMM_K / 8 / N_THREAD)

/* Piece i of the 128 rows and 64 columns from k0 on: rows beyond the last are read as the last, columns beyond K are zeros. */
DK_INLINE u32x4 load(const DK_GLOBAL u16 *x, long ld, int row0, int n_row, int k0, int K, int i)
{
    const int c = dk_tid() + i * N_THREAD, k = k0 + c % (GEMM_K / 8) * 8;
    int r = row0 + c / (GEMM_K / 8);
    r = r < n_row ? r : n_row - 1;
    const u32x4 zero = { 0, 0, 0, 0 };
    return k < K ? *(const DK_GLOBAL u32x4 *)(x + r * ld + k) : zero;
}
DK_INLINE void store(DK_LOCAL u16 *s, u32x4 v, int i)
{
    const int c = dk_tid() + i * N_THREAD;
    *(DK_LOCAL u32x4 *)(s + c / (GEMM_K / 8) * GEMM_LD + c % (GEMM_K / 8) * 8) = v;
}

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void gemm_bf16(struct gemm_args g)
{
    DK_SHARED(u16, as, GEMM_M * GEMM_LD);
    DK_SHARED(u16, bs, GEMM_M * GEMM_LD);
    const int m0 = dk_by() * GEMM_M, n0 = dk_bx() * GEMM_M, wm = dk_wave() / GEMM_WAVES_N, wn = dk_wave() % GEMM_WAVES_N;
    tile_c acc[GEMM_FM][GEMM_FN];
    u32x4 ra[N_LOAD], rb[N_LOAD];
    GEMM_ZERO(acc)
    DK_UNROLL
    for (int i = 0; i < N_LOAD; i++) {
        ra[i] = load(g.a, g.ld_a, m0, g.M, 0, g.K, i);
        rb[i] = load(g.b, g.ld_b, n0, g.N, 0, g.K, i);
    }
    for (int k0 = 0; k0 < g.K; k0 += GEMM_K) {
        dk_barrier();
        DK_UNROLL
        for (int i = 0; i < N_LOAD; i++) {
            store(as, ra[i], i);
            store(bs, rb[i], i);
        }
        dk_barrier();
        if (k0 + GEMM_K < g.K) {
            DK_UNROLL
            for (int i = 0; i < N_LOAD; i++) {
                ra[i] = load(g.a, g.ld_a, m0, g.M, k0 + GEMM_K, g.K, i);
                rb[i] = load(g.b, g.ld_b, n0, g.N, k0 + GEMM_K, g.K, i);
            }
        }
        GEMM_STEP(acc, as, bs, wm, wn)
    }
    DK_UNROLL
    for (int i = 0; i < GEMM_FM; i++) {
        DK_UNROLL
        for (int j = 0; j < GEMM_FN; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const int m = m0 + (wm * GEMM_FM + i) * TILE_M + tile_row(e), n = n0 + (wn * GEMM_FN + j) * TILE_N + tile_col(e);
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
