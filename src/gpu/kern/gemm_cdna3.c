/* c[M][N] = scale * a[M][K] * b[N][K]^T for gfx942: BM x BN of c a block, by v_mfma_f32_16x16x16_bf16 (or 16x16x32 of fp8, FP8 defined).
 *
 * Eight waves (four where the tile is 128 x 128), each 128 x 64 (64 x 64) of c in registers.  K passes in blocks of 128 bytes a row, a cache line, in two halves of 64
 * that alternate between two buffers of shared memory: while the products of one half run, the other half is written and the next line is on
 * its way to registers.  One barrier a half.  What K has beyond whole blocks comes first, so that the loop has no edges; rows beyond the last are read as the last.
 *
 * Shared memory: rows of 64 bytes, four pieces of 16, piece p of row r at p ^ (r / 2) % 4: the eight lanes that ds_read_b128 serves at a time
 * (AMD: 0-3 and 20-23, 4-7 and 16-19, ..) lie in different banks, as do the eight of ds_write_b128.  b's rows are put where four lanes' numbers of
 * c then are neighbours: n = 32 i + 8 g + 4 h + e lies in row 32 i + 16 h + 4 g + e, so that a lane stores eight.
 *
 * Blocks: one dimension; the device deals them to its 8 dies (XCDs) in turns.  Each die gets a run of tiles, BAND rows of them at a time, so that its
 * L2 sees neighbours.  Grid: (ceil(M / BM) * ceil(N / BN), 1, 1). */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/mfma.h"
#define BAND 8

#define NAME gemm_cdna3
#define BM 256
#define BN 256
#define WAVES_M 2
#define WAVES_N 4
#include "gpu/kern/gemm_cdna3.h"
#define NAME gemm_cdna3_128
#define BM 128
#define BN 128
#define WAVES_M 2
#define WAVES_N 2
#include "gpu/kern/gemm_cdna3.h"
#define FP8
#define NAME gemm_cdna3_fp8
#define BM 256
#define BN 256
#define WAVES_M 2
#define WAVES_N 4
#include "gpu/kern/gemm_cdna3.h"
#undef FP8
