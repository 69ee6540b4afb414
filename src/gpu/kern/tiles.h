/* tiles.h - the inner part of a product of 256 threads: 128 x 128 of c a block, K in steps of 64 that lie in shared memory with k contiguous, each wave
 * GEMM_FM x GEMM_FN of tile.h's. */
#ifndef GPU_TILES_H
#define GPU_TILES_H
#include "gpu/kern/tile.h"
#define GEMM_M 128
#define GEMM_K 64
#define GEMM_LD (GEMM_K + 8)
#if DK_WAVE == 32
#define GEMM_WAVES_N 4
#else
#define GEMM_WAVES_N 2
#endif
#define GEMM_FM (GEMM_M / (256 / DK_WAVE / GEMM_WAVES_N) / TILE_M)
#define GEMM_FN (GEMM_M / GEMM_WAVES_N / TILE_N)

#define GEMM_ZERO(acc)                                                                                 \
    DK_UNROLL                                                                                           \
    for (int i = 0; i < GEMM_FM; i++) {                                                                \
        DK_UNROLL                                                                                       \
        for (int j = 0; j < GEMM_FN; j++) {                                                            \
            DK_UNROLL                                                                                   \
            for (int e = 0; e < TILE_ACC; e++)                                                          \
                TILE_AT(acc[i][j], e) = 0;                                                              \
        }                                                                                               \
    }
/* acc += the step in as and bs; wm, wn: where the wave's tiles are. */
#define GEMM_STEP(acc, as, bs, wm, wn)                                                                 \
    DK_UNROLL                                                                                           \
    for (int k = 0; k < GEMM_K; k += TILE_K) {                                                         \
        tile_a fa[GEMM_FM];                                                                            \
        tile_b fb[GEMM_FN];                                                                            \
        DK_UNROLL                                                                                       \
        for (int i = 0; i < GEMM_FM; i++)                                                              \
            fa[i] = tile_load_a(as + (wm * GEMM_FM + i) * TILE_M * GEMM_LD + k, GEMM_LD);            \
        DK_UNROLL                                                                                       \
        for (int j = 0; j < GEMM_FN; j++)                                                              \
            fb[j] = tile_load_b(bs + (wn * GEMM_FN + j) * TILE_N * GEMM_LD + k, GEMM_LD);            \
        DK_UNROLL                                                                                       \
        for (int i = 0; i < GEMM_FM; i++) {                                                            \
            DK_UNROLL                                                                                   \
            for (int j = 0; j < GEMM_FN; j++)                                                          \
                acc[i][j] = tile_product(fa[i], fb[j], acc[i][j]);                                      \
        }                                                                                               \
    }
#endif
