/* mfma.h - gfx942's matrix instructions over waves of 64, and the same on the host: d[16][16] = a[16][k] * b[16][k]^T + c.
 *
 * Lane l has row l % 16 of a and of b, 8 bytes of it: k = (l / 16) * n .. + n - 1, n = 4 numbers of bf16 or 8 of fp8 or int8; of d four numbers: rows
 * 4 (l / 16) .. + 3, column l % 16 (AMD's matrix instruction calculator).  So d's rows, rounded to bf16, are the b of another product as they lie.
 * Two products take 16 bytes of a row each of a and b: which k that is does not matter while it is the same for both. */
#ifndef GPU_MFMA_H
#define GPU_MFMA_H
#include "gpu/dk.h"
#ifdef DK_HOST
DK_INLINE f32x4 dk_mfma_bf16(u32x2 a, u32x2 b, f32x4 c)
{
    simt_mfma_f32_16x16x16_bf16(&a, &b, &c);
    return c;
}
DK_INLINE f32x4 dk_mfma_fp8(u32x2 a, u32x2 b, f32x4 c)
{
    simt_mfma_f32_16x16x32_fp8(&a, &b, &c);
    return c;
}
DK_INLINE i32x4 dk_mfma_i8(u32x2 a, u32x2 b, i32x4 c)
{
    simt_mfma_i32_16x16x32_i8(&a, &b, &c);
    return c;
}
/* The lower, the higher halves of a and b. */
DK_INLINE u32 dk_lows(u32 a, u32 b) { return (a & 0xffffu) | (b << 16); }
DK_INLINE u32 dk_highs(u32 a, u32 b) { return (a >> 16) | (b & 0xffff0000u); }
#define dk_barrier_shared() dk_barrier()
#define dk_fixed()
#define dk_uniform(p)
#define dk_opaque(x)
#define dk_priority(n)
#define dk_order(kind, n)
#else
DK_INLINE f32x4 dk_mfma_bf16(u32x2 a, u32x2 b, f32x4 c) { return __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(DK_CAST(s16x4, a), DK_CAST(s16x4, b), c, 0, 0, 0); }
/* e4m3fnuz: exponents biased by 8, 0x80 is NaN. */
DK_INLINE f32x4 dk_mfma_fp8(u32x2 a, u32x2 b, f32x4 c) { return __builtin_amdgcn_mfma_f32_16x16x32_fp8_fp8(DK_CAST(i64, a), DK_CAST(i64, b), c, 0, 0, 0); }
DK_INLINE i32x4 dk_mfma_i8(u32x2 a, u32x2 b, i32x4 c) { return __builtin_amdgcn_mfma_i32_16x16x32_i8(DK_CAST(i64, a), DK_CAST(i64, b), c, 0, 0, 0); }
DK_INLINE u32 dk_lows(u32 a, u32 b) { return __builtin_amdgcn_perm(b, a, 0x05040100); }
DK_INLINE u32 dk_highs(u32 a, u32 b) { return __builtin_amdgcn_perm(b, a, 0x07060302); }
/* A barrier for shared memory alone: loads from memory stay on their way. */
DK_INLINE void dk_barrier_shared(void)
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup", "local");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup", "local");
}
/* Pointer p, the same in all lanes, stays in scalar registers, and x, 32 bits that each lane adds to it, remains that: the compiler would keep 64 for each address. */
#define dk_uniform(p) __asm__("" : "+s"(p))
#define dk_opaque(x) __asm__("" : "+v"(x))
/* Of two waves of a SIMD the one of higher priority issues first (0 .. 3). */
#define dk_priority(n) __builtin_amdgcn_s_setprio(n)
/* The order in which instructions of the surrounding straight line are to come: n of a kind next (LLVM's AMDGPUUsage, sched.group.barrier). */
#define dk_order(kind, n) __builtin_amdgcn_sched_group_barrier(kind, n, 0)
/* Nothing is moved across. */
#define dk_fixed() __builtin_amdgcn_sched_barrier(0)
#define DK_MATRIX 8
#define DK_READ 0x20
#define DK_SHARED_READ 0x100
#define DK_SHARED_WRITE 0x200
#endif
DK_INLINE u32x2 dk_half(u32x4 v, int h)
{
    const u32x2 t = { v[2 * h], v[2 * h + 1] };
    return t;
}

/* Blocks are dealt to the device's 8 dies (XCDs) in turns.  What block id of n takes so that each die has a run of neighbours; what is left over goes by ids. */
#define DIES 8
DK_INLINE int tile_of(int id, int n)
{
    const int run = n / DIES;
    return id < run * DIES ? id % DIES * run + id / DIES : id;
}
#endif
