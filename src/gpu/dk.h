/* dk.h - the dialect that device kernels are written in: OpenCL C for the GPU, C17 for the host.
 *
 *   clang-19 -x cl -cl-std=CL2.0 --target=amdgcn-amd-amdhsa  -mcpu=gfx942      MI300X, MI300A: waves of 64
 *   clang-19 -x cl -cl-std=CL2.0 --target=nvptx64-nvidia-cuda -march=sm_90     H100: waves (warps) of 32
 *   gcc or clang, C17                                                          the host: gpu/simt.h runs a block's threads as fibers
 *
 * A kernel takes one struct of gpu/args.h by value, so that host and device share its layout:
 *     DK_BOUNDS(256) DK_KERNEL void scale_f32(struct scale_args a) { ... }
 * Rules: DK_BOUNDS always (without it AMD's compiler keeps registers for 1024 threads, and CUDA's knows no limit);
 * DK_OCC(2) where no more than 256 registers are needed (AMD's accumulators then stay in vector registers);
 * arrays in registers only under DK_UNROLL loops; collectives (dk_barrier, dk_shfl_xor, dk_wave_*) are reached by all threads of
 * the block, of the wave; a DK_SHARED array is declared in the kernel itself. */
#ifndef GPU_DK_H
#define GPU_DK_H

#if defined(__OPENCL_C_VERSION__)
#ifdef cl_khr_fp16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif
#define DK_DEVICE 1
#define DK_KERNEL __kernel
#define DK_GLOBAL __global
#define DK_LOCAL __local
#define DK_SHARED(T, name, n) __local T name[n] __attribute__((aligned(16)))
#define DK_VEC(T, n) T __attribute__((ext_vector_type(n)))
typedef unsigned char u8;
typedef signed char i8;
typedef ushort u16;
typedef uint u32;
typedef ulong u64;
typedef long i64;
#else
#include "gpu/simt.h"
#define DK_HOST 1
#define DK_KERNEL static
#define DK_GLOBAL
#define DK_LOCAL
#define DK_SHARED(T, name, n) T *const name = (T *)simt_shared(#name, sizeof(T) * (n))
#define DK_VEC(T, n) T __attribute__((vector_size(sizeof(T) * (n))))
#endif
#define DK_INLINE static inline __attribute__((always_inline))
#define DK_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define DK_UNROLL DK_PRAGMA(unroll)
#define DK_ROLLED DK_PRAGMA(nounroll)
#else
#define DK_UNROLL
#define DK_ROLLED
#endif

typedef DK_VEC(float, 2) f32x2;
typedef DK_VEC(float, 4) f32x4;
typedef DK_VEC(float, 16) f32x16;
typedef DK_VEC(u32, 2) u32x2;
typedef DK_VEC(u32, 4) u32x4;
typedef DK_VEC(int, 4) i32x4;
typedef DK_VEC(short, 4) s16x4;

/* ---- bits ---- */
#ifdef DK_DEVICE
#define DK_CAST(T, v) __builtin_bit_cast(T, v)
#else
#define DK_CAST(T, v) ({ __typeof__(v) from_ = (v); T to_; __builtin_memcpy(&to_, &from_, sizeof to_); to_; })
#endif
DK_INLINE float dk_float(u32 u) { return DK_CAST(float, u); }
DK_INLINE u32 dk_bits(float f) { return DK_CAST(u32, f); }
/* bf16: the upper half of a float; to nearest even, NaN stays NaN. */
DK_INLINE float dk_bf16_float(u32 h) { return dk_float(h << 16); }
DK_INLINE float dk_bf16_low(u32 pair) { return dk_float(pair << 16); }
DK_INLINE float dk_bf16_high(u32 pair) { return dk_float(pair & 0xffff0000u); }
#if defined(__NVPTX__)
DK_INLINE u32 dk_bf16_pair(float a, float b)
{
    u32 d;
    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(b), "f"(a));
    return d;
}
DK_INLINE u32 dk_bf16(float f) { return dk_bf16_pair(f, 0) & 0xffff; }
#else
DK_INLINE u32 dk_bf16(float f)
{
    const u32 u = dk_bits(f);
    return f != f ? u >> 16 | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
}
DK_INLINE u32 dk_bf16_pair(float a, float b) { return dk_bf16(a) | (dk_bf16(b) << 16); }
#endif
#ifdef DK_DEVICE
DK_INLINE float dk_half_float(u16 h) { return (float)DK_CAST(half, h); }
#if defined(__NVPTX__)
DK_INLINE u16 dk_to_half(float f)
{
    u16 h;
    __asm__("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}
#else
DK_INLINE u16 dk_to_half(float f)
{
    const half h = (half)f;
    return DK_CAST(u16, h);
}
#endif
#else
DK_INLINE float dk_half_float(u16 h) { return half_to_float(h); }
DK_INLINE u16 dk_to_half(float f) { return float_to_half(f); }
#endif

/* ---- where a thread is; barrier; exchange within a wave; arithmetic of the device ---- */
#if defined(__AMDGCN__)
#define DK_WAVE 64
#define DK_BOUNDS(n) __attribute__((amdgpu_flat_work_group_size(n, n)))
#define DK_OCC(n) __attribute__((amdgpu_waves_per_eu(n)))
#define dk_tid() ((int)__builtin_amdgcn_workitem_id_x())
#define dk_bx() ((int)__builtin_amdgcn_workgroup_id_x())
#define dk_by() ((int)__builtin_amdgcn_workgroup_id_y())
#define dk_bz() ((int)__builtin_amdgcn_workgroup_id_z())
DK_INLINE void dk_barrier(void)
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
DK_INLINE float dk_shfl_xor(float v, int m)
{
    const int lane = (int)__builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0u));
    return dk_float((u32)__builtin_amdgcn_ds_bpermute((lane ^ m) << 2, (int)dk_bits(v)));
}
#define dk_rsqrt(x) __builtin_amdgcn_rsqf(x)
#define dk_rcp(x) __builtin_amdgcn_rcpf(x)
#define dk_exp2(x) __builtin_amdgcn_exp2f(x)
#define dk_log2(x) __builtin_amdgcn_logf(x)
#define dk_rint(x) __builtin_rintf(x)
#define dk_dot4(a, b, c) __builtin_amdgcn_sdot4(a, b, c, false)
#define dk_read_once(p) __builtin_nontemporal_load(p)
/* v, of which the compiler knows nothing: it then keeps no pointer for each of many places that a loop may read at. */
DK_INLINE int dk_unknown(int v)
{
    __asm__ volatile("" : "+v"(v));
    return v;
}
#elif defined(__NVPTX__)
#define DK_WAVE 32
/* clang writes no launch bounds for OpenCL: the build does (tools/ptx.awk). */
#define DK_BOUNDS(n) __attribute__((reqd_work_group_size(n, 1, 1)))
#define DK_OCC(n)
#define dk_tid() ((int)__nvvm_read_ptx_sreg_tid_x())
#define dk_bx() ((int)__nvvm_read_ptx_sreg_ctaid_x())
#define dk_by() ((int)__nvvm_read_ptx_sreg_ctaid_y())
#define dk_bz() ((int)__nvvm_read_ptx_sreg_ctaid_z())
#define dk_barrier() __syncthreads()
#define dk_shfl_xor(v, m) __nvvm_shfl_sync_bfly_f32(0xffffffffu, (v), (m), 0x1f)
#define dk_rsqrt(x) __nvvm_rsqrt_approx_f(x)
#define dk_rcp(x) __nvvm_rcp_approx_ftz_f(x)
#define dk_exp2(x) __nvvm_ex2_approx_ftz_f(x)
#define dk_log2(x) __nvvm_lg2_approx_f(x)
DK_INLINE float dk_rint(float x)
{
    float y;
    __asm__("cvt.rni.f32.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DK_INLINE int dk_dot4(int a, int b, int c)
{
    int d;
    __asm__("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}
DK_INLINE int dk_unknown(int v)
{
    __asm__ volatile("" : "+r"(v));
    return v;
}
/* 16 bytes that no kernel writes meanwhile and nobody reads again soon: past L1, first out of L2. */
DK_INLINE u32x4 dk_read_once(const DK_GLOBAL u32x4 *p)
{
    u32 a, b, c, d;
    __asm__("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "l"(p));
    return (u32x4)(a, b, c, d);
}
#else
#define DK_WAVE SIMT_WAVE
#define DK_BOUNDS(n)
#define DK_OCC(n)
#define dk_tid() simt_tid()
#define dk_bx() simt_block(0)
#define dk_by() simt_block(1)
#define dk_bz() simt_block(2)
#define dk_barrier() simt_barrier()
#define dk_shfl_xor(v, m) simt_shfl_xor((v), (m))
#define dk_rsqrt(x) (1.0f / __builtin_sqrtf(x))
#define dk_rcp(x) (1.0f / (x))
#define dk_exp2(x) __builtin_exp2f(x)
#define dk_log2(x) __builtin_log2f(x)
#define dk_rint(x) __builtin_rintf(x)
DK_INLINE int dk_dot4(int a, int b, int c)
{
    for (int i = 0; i < 32; i += 8)
        c += (i8)(a >> i) * (i8)(b >> i);
    return c;
}
#define dk_read_once(p) (*(p))
#define dk_unknown(v) (v)
#endif

/* To a unit in the last place or so; 0 of what is no normal number. */
DK_INLINE float dk_sqrt(float x) { return x > 1.2e-38f ? x * dk_rsqrt(x) : 0.0f; }
#define dk_fma(a, b, c) __builtin_fmaf((a), (b), (c))

#define DK_LOG2E 1.44269504088896341f
#define DK_LN2 0.693147180559945309f
#define DK_LOW (-3.0e38f)         /* below every score; its exp2 is 0 */

#define dk_lane() (dk_tid() & (DK_WAVE - 1))
#define dk_wave() (dk_tid() / DK_WAVE)
DK_INLINE float dk_max(float a, float b) { return a > b ? a : b; }
/* Over lanes that differ in the bits below n, a power of two; every one of them gets the same bits. */
DK_INLINE float dk_lanes_sum(float v, int n)
{
    for (int m = n / 2; m; m >>= 1)
        v += dk_shfl_xor(v, m);
    return v;
}
DK_INLINE float dk_lanes_max(float v, int n)
{
    for (int m = n / 2; m; m >>= 1)
        v = dk_max(v, dk_shfl_xor(v, m));
    return v;
}
#define dk_wave_sum(v) dk_lanes_sum((v), DK_WAVE)
#define dk_wave_max(v) dk_lanes_max((v), DK_WAVE)
#endif
