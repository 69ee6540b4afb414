/* tile.h - one wave's matrix product of a tile: c[TILE_M][TILE_N] += a[TILE_M][TILE_K] * b[TILE_N][TILE_K]^T, bf16 operands in
 * shared memory, k contiguous, ld elements from row to row; float accumulators, TILE_ACC a lane.
 *
 * gfx942 and the host: two v_mfma_f32_32x32x8_bf16; a lane reads 8 consecutive k at once (the same permutation of k for a and b).
 * sm_90: two mma.sync.m16n8k16, operands by ldmatrix.  Rows of shared memory must be 16-byte aligned. */
#ifndef GPU_TILE_H
#define GPU_TILE_H
#include "gpu/dk.h"
#if defined(__NVPTX__)
#define TILE_M 16
#define TILE_N 16
#define TILE_K 16
#define TILE_ACC 8
typedef u32x4 tile_a;
typedef u32x4 tile_b;
typedef struct { f32x4 c[2]; } tile_c;
#define TILE_AT(t, i) ((t).c[(i) >> 2][(i) & 3])
DK_INLINE u32x4 tile_ldmatrix(const DK_LOCAL u16 *p)
{
    u32 a, b, c, d;
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"((u32)(u64)p) : "memory");
    return (u32x4)(a, b, c, d);
}
DK_INLINE tile_a tile_load_a(const DK_LOCAL u16 *p, int ld)
{
    const int l = dk_lane();
    return tile_ldmatrix(p + (l & 15) * ld + 8 * (l >> 4));
}
DK_INLINE tile_b tile_load_b(const DK_LOCAL u16 *p, int ld)
{
    const int l = dk_lane();
    return tile_ldmatrix(p + ((l & 7) + 8 * (l >> 4)) * ld + 8 * ((l >> 3) & 1));
}
DK_INLINE f32x4 tile_mma16(u32x4 a, u32 b0, u32 b1, f32x4 c)
{
    float x = c[0], y = c[1], z = c[2], w = c[3];
    __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(x), "+f"(y), "+f"(z), "+f"(w) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    return (f32x4)(x, y, z, w);
}
DK_INLINE tile_c tile_product(tile_a a, tile_b b, tile_c c)
{
    c.c[0] = tile_mma16(a, b[0], b[1], c.c[0]);
    c.c[1] = tile_mma16(a, b[2], b[3], c.c[1]);
    return c;
}
DK_INLINE int tile_row(int i) { return (dk_lane() >> 2) + 8 * ((i >> 1) & 1); }
DK_INLINE int tile_col(int i) { return 8 * (i >> 2) + 2 * (dk_lane() & 3) + (i & 1); }
#else
#define TILE_M 32
#define TILE_N 32
#define TILE_K 16
#define TILE_ACC 16
typedef u32x4 tile_a;
typedef u32x4 tile_b;
typedef f32x16 tile_c;
#define TILE_AT(t, i) ((t)[i])
DK_INLINE tile_a tile_load_a(const DK_LOCAL u16 *p, int ld)
{
    const int l = dk_lane();
    return *(const DK_LOCAL u32x4 *)(p + (l & 31) * ld + 8 * (l >> 5));
}
#define tile_load_b tile_load_a
#ifdef DK_HOST
DK_INLINE f32x16 tile_mfma(s16x4 a, s16x4 b, f32x16 c)
{
    simt_mfma_f32_32x32x8_bf16(&a, &b, &c);
    return c;
}
#else
#define tile_mfma(a, b, c) __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(a, b, c, 0, 0, 0)
#endif
DK_INLINE s16x4 tile_half(u32x4 v, int h)
{
    const u32x2 t = { v[2 * h], v[2 * h + 1] };
    return DK_CAST(s16x4, t);
}
DK_INLINE tile_c tile_product(tile_a a, tile_b b, tile_c c)
{
    c = tile_mfma(tile_half(a, 0), tile_half(b, 0), c);
    return tile_mfma(tile_half(a, 1), tile_half(b, 1), c);
}
DK_INLINE int tile_row(int i) { return 8 * (i >> 2) + 4 * (dk_lane() >> 5) + (i & 3); }
DK_INLINE int tile_col(int i) { return (void)i, dk_lane() & 31; }
#endif
#endif
