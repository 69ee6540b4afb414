/* wgmma.h - what only sm_90a has: the copy engine of tensors (TMA), barriers in shared memory (mbarrier) and matrix products of
 * whole warpgroups (wgmma).  Terms and layouts as in the PTX ISA, "asynchronous warpgroup level matrix instructions".
 *
 * Operands in shared memory are boxes that TMA wrote with the 128-byte swizzle: rows of 128 bytes, groups of eight rows 1024
 * bytes apart, the box aligned to 1024.  K-major ("A[m][k]", "B[n][k]"): a row holds 128 bytes of k; a step of 32 bytes in k is
 * 32 bytes in the address.  MN-major ("B[k][n]", transposed): a row holds 64 bf16 of n for one k; a step of 16 in k is 2048 bytes.
 *
 * Accumulators of m64nN: thread t of the warpgroup holds d[4i+2h+e] = D[16 (t/32) + (t%32)/4 + 8h][8i + 2 (t%4) + e].  Pairs
 * 8j..8j+7 of them, packed to bf16, are operand A of the k's 16j..16j+15: a product feeds the next from registers.
 *
 * Order: wgmma_fence() before the first product after registers were touched; wgmma_commit() closes a group; wgmma_wait(n) leaves
 * n groups in flight; registers of groups in flight are not to be touched.  wgmma_done_N(d) waits for all and tells the compiler
 * that the N registers of d changed. */
#ifndef GPU_WGMMA_H
#define GPU_WGMMA_H
#include "gpu/dk.h"

/* ---- dynamic shared memory ---- */
__asm__(".extern .shared .align 1024 .b8 dk_dynamic[];");
DK_INLINE u32 dk_dynamic_shared(void)
{
    u32 a;
    __asm__("mov.u32 %0, dk_dynamic;" : "=r"(a));
    return (a + 1023) & ~1023u;
}

/* ---- mbarrier: b, addresses in shared memory; parity of the phase waited for ---- */
DK_INLINE void mbar_init(u32 b, u32 arrivals) { __asm__ volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(b), "r"(arrivals) : "memory"); }
DK_INLINE void mbar_init_done(void)
{
    __asm__ volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
}
DK_INLINE void mbar_expect(u32 b, u32 bytes)
{
    __asm__ volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(b), "r"(bytes) : "memory");
}
DK_INLINE void mbar_arrive(u32 b) { __asm__ volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(b) : "memory"); }
DK_INLINE void mbar_wait(u32 b, u32 parity)
{
#ifdef DK_SPIN_LIMIT                     /* a wait that never ends becomes an error of the launch: for trials */
    u32 ok, n = 0;
    do {
        __asm__ volatile("{\n\t.reg .pred p;\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\tselp.u32 %0, 1, 0, p;\n\t}" : "=r"(ok) : "r"(b), "r"(parity) : "memory");
        if (!ok && ++n > DK_SPIN_LIMIT)
            __asm__ volatile("trap;");
    } while (!ok);
#else
    __asm__ volatile("{\n\t.reg .pred p;\n\tAGAIN:\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n\t@p bra DONE;\n\tbra AGAIN;\n\tDONE:\n\t}" ::"r"(b),
                     "r"(parity) : "memory");
#endif
}
/* A warp is done with what the barrier guards. */
DK_INLINE void give_back(u32 empty)
{
    if (dk_lane() == 0)
        mbar_arrive(empty);
}
/* A place in a ring of stages, and the parity of its phase there. */
struct ring { u32 s, parity; };
DK_INLINE void ring_next(struct ring *r, u32 stages)
{
    if (++r->s == stages) {
        r->s = 0;
        r->parity ^= 1;
    }
}

/* ---- TMA ---- */
/* Maps are made by the host and lie in device memory. */
DK_INLINE void tma_map(const DK_GLOBAL void *map)
{
    __asm__ volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;\n\tprefetch.tensormap [%0];" ::"l"(map) : "memory");
}
DK_INLINE void tma_load_2d(u32 to, const DK_GLOBAL void *map, int x, int y, u32 bar)
{
    __asm__ volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to), "l"(map),
                     "r"(x), "r"(y), "r"(bar) : "memory");
}
DK_INLINE void tma_load_3d(u32 to, const DK_GLOBAL void *map, int x, int y, int z, u32 bar)
{
    __asm__ volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to), "l"(map),
                     "r"(x), "r"(y), "r"(z), "r"(bar) : "memory");
}
DK_INLINE void tma_store_2d(const DK_GLOBAL void *map, int x, int y, u32 from)
{
    __asm__ volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map), "r"(x), "r"(y), "r"(from) : "memory");
}
DK_INLINE void tma_store_commit(void) { __asm__ volatile("cp.async.bulk.commit_group;" ::: "memory"); }
/* Until the copy engine has read what this thread gave it to store; until it has stored it. */
DK_INLINE void tma_store_read(void) { __asm__ volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
DK_INLINE void tma_store_done(void) { __asm__ volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
/* Shared memory written by stores becomes visible to wgmma and TMA; a barrier follows. */
DK_INLINE void proxy_fence(void) { __asm__ volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/* ---- warps and blocks ---- */
#define REGS_GIVE(n) __asm__ volatile("setmaxnreg.dec.sync.aligned.u32 " #n ";")
#define REGS_TAKE(n) __asm__ volatile("setmaxnreg.inc.sync.aligned.u32 " #n ";")
DK_INLINE void named_sync(int id, int threads) { __asm__ volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
DK_INLINE void named_arrive(int id, int threads) { __asm__ volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
DK_INLINE int grid_x(void)
{
    int n;
    __asm__("mov.u32 %0, %%nctaid.x;" : "=r"(n));
    return n;
}
/* Four 8x8 matrices of bf16, rows at the address that lane 8m+r gives for row r of matrix m. */
DK_INLINE void stmatrix4(u32 at, u32 a, u32 b, u32 c, u32 d)
{
    __asm__ volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
DK_INLINE u32x4 shared_read16(u32 at)
{
    u32 a, b, c, d;
    __asm__ volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(at) : "memory");
    return (u32x4)(a, b, c, d);
}
DK_INLINE void shared_zero16(u32 at) { __asm__ volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(at), "r"(0) : "memory"); }
/* One instruction; low half a. */
DK_INLINE u32 bf16_pack(float a, float b)
{
    u32 d;
    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(b), "f"(a));
    return d;
}

/* ---- wgmma ---- */
/* K-major operand at address a; MN-major with boxes (64 columns of n each) box_bytes apart. */
DK_INLINE u64 wgmma_k_major(u32 a) { return (u64)((a & 0x3ffff) >> 4) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62; }
DK_INLINE u64 wgmma_mn_major(u32 a, u32 box_bytes)
{
    return (u64)((a & 0x3ffff) >> 4) | (u64)(box_bytes >> 4) << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
#define WGMMA_STEP(bytes) ((u64)((bytes) >> 4))                      /* added to a descriptor */
DK_INLINE void wgmma_fence(void) { __asm__ volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DK_INLINE void wgmma_commit(void) { __asm__ volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
#define wgmma_wait(n) __asm__ volatile("wgmma.wait_group.sync.aligned " #n ";" ::: "memory")

/* Names and constraints of register lists.  R0_32: "%0,...,%31"; FL8(d, i): d[i..i+7] read and written. */
#define WG_R0_32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define WG_R32_64 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define WG_R64_88 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87"
#define WG_R88_96 "%88,%89,%90,%91,%92,%93,%94,%95"
#define WG_R96_128                                                                                                                           \
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123," \
    "%124,%125,%126,%127"
#define WG_R32 WG_R0_32
#define WG_R64 WG_R0_32 "," WG_R32_64
#define WG_R88 WG_R64 "," WG_R64_88
#define WG_R128 WG_R88 "," WG_R88_96 "," WG_R96_128
#define WG_F4(d, i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define WG_F8(d, i) WG_F4(d, i), WG_F4(d, (i) + 4)
#define WG_F32(d, i) WG_F8(d, i), WG_F8(d, (i) + 8), WG_F8(d, (i) + 16), WG_F8(d, (i) + 24)
#define WG_F64(d) WG_F32(d, 0), WG_F32(d, 32)
#define WG_F88(d) WG_F64(d), WG_F8(d, 64), WG_F8(d, 72), WG_F8(d, 80)
#define WG_F128(d) WG_F64(d), WG_F32(d, 64), WG_F32(d, 96)

/* d[64][n] (+)= A B^T over 128 bytes of k, both K-major in shared memory: four instructions.  add: 0 to overwrite d.
 * WG_FOUR: shape "m64n256k16.f32.bf16.bf16", R the registers of d, A, B, ADD the operands behind them, tail the immediates that end it. */
#define WG_ONE(shape, R, p, tail) "wgmma.mma_async.sync.aligned." shape " {" R "}, a, b, " p ", 1, 1" tail ";\n\t"
#define WG_NEXT(a, b) "add.s64 a, a, " a ";\n\tadd.s64 b, b, " b ";\n\t"
#define WG_FOUR_BY(shape, R, A, B, ADD, tail, next)                                                                                        \
    "{\n\t.reg .pred p, q;\n\t.reg .b64 a, b;\n\tsetp.ne.b32 p, " ADD ", 0;\n\tsetp.eq.b32 q, 0, 0;\n\tmov.b64 a, " A ";\n\tmov.b64 b, " B ";\n\t" WG_ONE( \
        shape, R, "p", tail) next WG_ONE(shape, R, "q", tail) next WG_ONE(shape, R, "q", tail) next WG_ONE(shape, R, "q", tail) "}"
#define WG_FOUR(shape, R, A, B, ADD, tail) WG_FOUR_BY(shape, R, A, B, ADD, tail, WG_NEXT("2", "2"))
DK_INLINE void wgmma_bf16_n256(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR("m64n256k16.f32.bf16.bf16", WG_R128, "%128", "%129", "%130", ", 0, 0") : WG_F128(d) : "l"(a), "l"(b), "r"(add) : "memory");
}
/* The same over 64 k's with B, or both, MN-major: a step of 16 in k is 2048 bytes. */
DK_INLINE void wgmma_bf16_n256_nn(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR_BY("m64n256k16.f32.bf16.bf16", WG_R128, "%128", "%129", "%130", ", 0, 1", WG_NEXT("2", "128")) : WG_F128(d) : "l"(a), "l"(b), "r"(add) : "memory");
}
DK_INLINE void wgmma_bf16_n256_tn(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR_BY("m64n256k16.f32.bf16.bf16", WG_R128, "%128", "%129", "%130", ", 1, 1", WG_NEXT("128", "128")) : WG_F128(d) : "l"(a), "l"(b), "r"(add) : "memory");
}
DK_INLINE void wgmma_e4m3_n256(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR("m64n256k32.f32.e4m3.e4m3", WG_R128, "%128", "%129", "%130", "") : WG_F128(d) : "l"(a), "l"(b), "r"(add) : "memory");
}
DK_INLINE void wgmma_bf16_n176(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR("m64n176k16.f32.bf16.bf16", WG_R88, "%88", "%89", "%90", ", 0, 0") : WG_F88(d) : "l"(a), "l"(b), "r"(add) : "memory");
}
DK_INLINE void wgmma_bf16_n128(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR("m64n128k16.f32.bf16.bf16", WG_R64, "%64", "%65", "%66", ", 0, 0") : WG_F64(d) : "l"(a), "l"(b), "r"(add) : "memory");
}
DK_INLINE void wgmma_bf16_n64(float *d, u64 a, u64 b, int add)
{
    __asm__ volatile(WG_FOUR("m64n64k16.f32.bf16.bf16", WG_R32, "%32", "%33", "%34", ", 0, 0") : WG_F32(d, 0) : "l"(a), "l"(b), "r"(add) : "memory");
}
/* d[64][n] += A B over 16 of k: A in registers, B MN-major in shared memory. */
DK_INLINE void wgmma_bf16_n128_reg(float *d, u32 a0, u32 a1, u32 a2, u32 a3, u64 b)
{
    __asm__ volatile("{\n\t.reg .pred q;\n\tsetp.eq.b32 q, 0, 0;\n\twgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" WG_R64 "}, {%64, %65, %66, %67}, %68, q, 1, 1, 1;\n\t}"
                     : WG_F64(d) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b) : "memory");
}
DK_INLINE void wgmma_bf16_n64_reg(float *d, u32 a0, u32 a1, u32 a2, u32 a3, u64 b)
{
    __asm__ volatile("{\n\t.reg .pred q;\n\tsetp.eq.b32 q, 0, 0;\n\twgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" WG_R32 "}, {%32, %33, %34, %35}, %36, q, 1, 1, 1;\n\t}"
                     : WG_F32(d, 0) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b) : "memory");
}
#define WG_WAIT(n) "wgmma.wait_group.sync.aligned " #n ";"
DK_INLINE void wgmma_done_128(float *d) { __asm__ volatile(WG_WAIT(0) : WG_F128(d) : : "memory"); }
DK_INLINE void wgmma_done_64(float *d) { __asm__ volatile(WG_WAIT(0) : WG_F64(d) : : "memory"); }
DK_INLINE void wgmma_done_32(float *d) { __asm__ volatile(WG_WAIT(0) : WG_F32(d, 0) : : "memory"); }
/* All but the latest group; d is of those waited for. */
DK_INLINE void wgmma_but_one_64(float *d) { __asm__ volatile(WG_WAIT(1) : WG_F64(d) : : "memory"); }
DK_INLINE void wgmma_but_one_32(float *d) { __asm__ volatile(WG_WAIT(1) : WG_F32(d, 0) : : "memory"); }
DK_INLINE void wgmma_but_one_88(float *d) { __asm__ volatile(WG_WAIT(1) : WG_F88(d) : : "memory"); }
DK_INLINE void wgmma_done_88(float *d) { __asm__ volatile(WG_WAIT(0) : WG_F88(d) : : "memory"); }
#endif
