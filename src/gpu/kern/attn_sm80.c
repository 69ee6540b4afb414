/* Attention of many queries (prefill) for sm_80 and later without sm_90a: O = softmax(scale Q K^T) V, heads of D = 128 or 64,
 * grouped queries, bf16, sums in float.  After Dao, FlashAttention-2 (2023): four warps of 32 queries each, N_KEY keys at a time
 * through shared memory (cp.async: the values arrive during Q K^T, the next keys during P V), mma.m16n8k16, P kept in registers.
 *
 * Sequences and masks as in attn_sm90.c.  Grid: (ceil(longest queries / 128), n_head, sequences).  Dynamic shared memory: as kernels.def says. */
#include "gpu/dk.h"
#include "gpu/args.h"
#ifndef D
#define D 128
#endif
#if D == 128
#define N_KEY 32                      /* of 64, registers do not suffice */
#else
#define N_KEY 64
#endif
#define M_TILES 2                     /* of 16 queries, per warp */
#define ROWS (16 * M_TILES)
#define N_Q (4 * ROWS)
#define N_THREAD 128
#define ROW_BYTES (2 * D)
#define NAME2(d) attn_sm80_##d
#define NAME(d) NAME2(d)
#define MINUS_INF (-__builtin_inff())

__asm__(".extern .shared .align 1024 .b8 dk_dynamic[];");
DK_INLINE u32 dynamic_shared(void)
{
    u32 a;
    __asm__("mov.u32 %0, dk_dynamic;" : "=r"(a));
    return a;
}
DK_INLINE int grid_x(void)
{
    int n;
    __asm__("mov.u32 %0, %%nctaid.x;" : "=r"(n));
    return n;
}
/* 16 bytes to shared memory, or zeros. */
DK_INLINE void copy_async(u32 to, const DK_GLOBAL u16 *from, int there)
{
    __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}
DK_INLINE void copy_commit(void) { __asm__ volatile("cp.async.commit_group;" ::: "memory"); }
DK_INLINE void copy_wait(void) { __asm__ volatile("cp.async.wait_group 0;" ::: "memory"); }
DK_INLINE u32x4 ldmatrix(u32 at)
{
    u32 a, b, c, d;
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(at) : "memory");
    return (u32x4)(a, b, c, d);
}
DK_INLINE u32x4 ldmatrix_transposed(u32 at)
{
    u32 a, b, c, d;
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(at) : "memory");
    return (u32x4)(a, b, c, d);
}
/* c[16][8] += A[16][16] B[8][16]^T: c[2h+e] is row lane/4 + 8h, column 2 (lane%4) + e. */
DK_INLINE void mma(float *c, u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1)
{
    __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DK_INLINE u32 bf16_pack(float a, float b)
{
    u32 d;
    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(b), "f"(a));
    return d;
}
/* Address of 16-byte piece c of row r: pieces turned by the row, so that eight rows lie in different banks. */
DK_INLINE u32 piece(u32 base, int r, int c) { return base + (u32)(r * ROW_BYTES) + (((u32)c ^ ((u32)r & 7)) << 4); }
/* rows of which `there` exist. */
DK_INLINE void load(u32 to, const DK_GLOBAL u16 *from, long ld, int rows, int there)
{
    const int t = dk_tid(), c = t % (D / 8), step = N_THREAD / (D / 8);
    int r = t / (D / 8);
    const DK_GLOBAL u16 *p = from + r * ld + c * 8;
    u32 at = piece(to, r, c);                 /* step rows on: the same turn */
    DK_PRAGMA(unroll 2)
    for (int i = 0; i < rows / step; i++) {
        copy_async(at, r < there ? p : from, r < there);
        r += step;
        p += step * ld;
        at += (u32)(step * ROW_BYTES);
    }
    copy_commit();
}

DK_BOUNDS(N_THREAD) DK_KERNEL void NAME(D)(struct attn_sm80_args a)
{
    const u32 q_at = dynamic_shared(), k_at = q_at + N_Q * ROW_BYTES, v_at = k_at + N_KEY * ROW_BYTES;
    const int b = dk_bz(), head = dk_by(), kv_head = head / (a.n_head / a.n_kv_head), l = dk_lane(), w = dk_wave();
    const int q0 = a.q_start[b], n_q = a.q_start[b + 1] - q0, k0 = a.k_start[b], n_key = a.k_start[b + 1] - k0;
    const int first = (grid_x() - 1 - dk_bx()) * N_Q, beyond = n_key - n_q + 1;
    if (first >= n_q)
        return;
    int n_see = n_key;
    if (a.causal && first + N_Q - 1 + beyond < n_see)
        n_see = first + N_Q - 1 + beyond;
    const int n_block = n_see > 0 ? (n_see + N_KEY - 1) / N_KEY : 0, row0 = first + ROWS * w;
    const DK_GLOBAL u16 *k = a.k + k0 * a.ld_kv + kv_head * D, *v = a.v + k0 * a.ld_kv + kv_head * D;
    const int clear = a.causal && row0 + beyond < n_key ? row0 + beyond : n_key;
    const float c = a.scale * DK_LOG2E;
    float o[M_TILES][D / 8][4], top[M_TILES][2], sum[M_TILES][2];
    DK_UNROLL
    for (int m = 0; m < M_TILES; m++) {
        DK_UNROLL
        for (int i = 0; i < D / 8; i++)
            DK_UNROLL
            for (int e = 0; e < 4; e++)
                o[m][i][e] = 0;
        DK_UNROLL
        for (int h = 0; h < 2; h++) {
            top[m][h] = MINUS_INF;
            sum[m][h] = 0;
        }
    }
    u32 q_lane[4], k_lane[4], v_lane[4];
    DK_UNROLL
    for (int i = 0; i < 4; i++) {
        q_lane[i] = piece(q_at, ROWS * w + (l & 15), 2 * i + (l >> 4));
        k_lane[i] = piece(k_at, (l & 7) + 8 * (l >> 4), 2 * i + ((l >> 3) & 1));
        v_lane[i] = q_lane[i] + (v_at - q_at) - (u32)(ROWS * w * ROW_BYTES);       /* the same lane map */
    }
    load(q_at, a.q + (q0 + first) * a.ld_q + head * D, a.ld_q, N_Q, n_q - first);
    if (n_block > 0)
        load(k_at, k + (long)(n_block - 1) * N_KEY * a.ld_kv, a.ld_kv, N_KEY, n_key - (n_block - 1) * N_KEY);
    DK_ROLLED
    for (int j = n_block - 1; j >= 0; j--) {
        float s[M_TILES][N_KEY / 8][4];
        copy_wait();
        dk_barrier();
        load(v_at, v + (long)j * N_KEY * a.ld_kv, a.ld_kv, N_KEY, n_key - j * N_KEY);
        DK_UNROLL
        for (int m = 0; m < M_TILES; m++)
            DK_UNROLL
            for (int i = 0; i < N_KEY / 8; i++)
                DK_UNROLL
                for (int e = 0; e < 4; e++)
                    s[m][i][e] = 0;
        DK_UNROLL
        for (int i = 0; i < D / 16; i++) {
            u32x4 q[M_TILES];
            DK_UNROLL
            for (int m = 0; m < M_TILES; m++)
                q[m] = ldmatrix(q_lane[i & 3] + (u32)(16 * m * ROW_BYTES + (i >> 2) * 128));
            DK_UNROLL
            for (int n = 0; n < N_KEY / 16; n++) {
                const u32x4 f = ldmatrix(k_lane[i & 3] + (u32)(16 * n * ROW_BYTES + (i >> 2) * 128));
                DK_UNROLL
                for (int m = 0; m < M_TILES; m++) {
                    mma(s[m][2 * n], q[m][0], q[m][1], q[m][2], q[m][3], f[0], f[1]);
                    mma(s[m][2 * n + 1], q[m][0], q[m][1], q[m][2], q[m][3], f[2], f[3]);
                }
            }
        }
        copy_wait();
        dk_barrier();
        if (j > 0)
            load(k_at, k + (long)(j - 1) * N_KEY * a.ld_kv, a.ld_kv, N_KEY, N_KEY);
        if ((j + 1) * N_KEY > clear) {
            const int seen = (a.causal ? row0 + l / 4 + beyond : n_key) - j * N_KEY - 2 * (l & 3), end = n_key - j * N_KEY - 2 * (l & 3);
            DK_UNROLL
            for (int m = 0; m < M_TILES; m++)
                DK_UNROLL
                for (int i = 0; i < N_KEY / 8; i++)
                    DK_UNROLL
                    for (int e = 0; e < 4; e++)
                        if (8 * i + (e & 1) >= end || (a.causal && 8 * i + (e & 1) - 16 * m - 8 * (e >> 1) >= seen))
                            s[m][i][e] = MINUS_INF;
        }
        DK_UNROLL
        for (int m = 0; m < M_TILES; m++)
            DK_UNROLL
            for (int h = 0; h < 2; h++) {
                float t = top[m][h];
                DK_UNROLL
                for (int i = 0; i < N_KEY / 8; i++)
                    t = __builtin_fmaxf(t, __builtin_fmaxf(s[m][i][2 * h], s[m][i][2 * h + 1]));
                t = __builtin_fmaxf(t, dk_shfl_xor(t, 1));
                t = __builtin_fmaxf(t, dk_shfl_xor(t, 2));
                const float tc = t == MINUS_INF ? 0 : t * c, alpha = dk_exp2(__builtin_fmaf(top[m][h], c, -tc));
                top[m][h] = t;
                float total = 0;
                DK_UNROLL
                for (int i = 0; i < N_KEY / 8; i++)
                    DK_UNROLL
                    for (int e = 2 * h; e < 2 * h + 2; e++) {
                        s[m][i][e] = dk_exp2(__builtin_fmaf(s[m][i][e], c, -tc));
                        total += s[m][i][e];
                    }
                sum[m][h] = sum[m][h] * alpha + total;
                DK_UNROLL
                for (int i = 0; i < D / 8; i++) {
                    o[m][i][2 * h] *= alpha;
                    o[m][i][2 * h + 1] *= alpha;
                }
            }
        DK_UNROLL
        for (int i = 0; i < N_KEY / 16; i++) {
            u32 p[M_TILES][4];
            DK_UNROLL
            for (int m = 0; m < M_TILES; m++)
                DK_UNROLL
                for (int e = 0; e < 4; e++)
                    p[m][e] = bf16_pack(s[m][2 * i + (e >> 1)][2 * (e & 1)], s[m][2 * i + (e >> 1)][2 * (e & 1) + 1]);
            DK_UNROLL
            for (int n = 0; n < D / 16; n++) {
                const u32x4 f = ldmatrix_transposed(v_lane[n & 3] + (u32)(16 * i * ROW_BYTES + (n >> 2) * 128));
                DK_UNROLL
                for (int m = 0; m < M_TILES; m++) {
                    mma(o[m][2 * n], p[m][0], p[m][1], p[m][2], p[m][3], f[0], f[1]);
                    mma(o[m][2 * n + 1], p[m][0], p[m][1], p[m][2], p[m][3], f[2], f[3]);
                }
            }
        }
    }
    copy_wait();
    DK_UNROLL
    for (int m = 0; m < M_TILES; m++)
        DK_UNROLL
        for (int h = 0; h < 2; h++) {
            const int row = row0 + 16 * m + 8 * h + l / 4;
            const float all = dk_lanes_sum(sum[m][h], 4), scale = all > 0 ? 1 / all : 0;
            if (row >= n_q)
                continue;
            if (a.lse && (l & 3) == 0)
                a.lse[(long)head * a.n_lse + q0 + row] = all > 0 ? top[m][h] * a.scale + dk_log2(all) * DK_LN2 : MINUS_INF;
            DK_GLOBAL u32 *to = (DK_GLOBAL u32 *)(a.o + (q0 + row) * a.ld_o + head * D) + (l & 3);
            DK_UNROLL
            for (int i = 0; i < D / 8; i++)
                to[4 * i] = bf16_pack(o[m][i][2 * h] * scale, o[m][i][2 * h + 1] * scale);
        }
}
