/* Products of training: c[M][N] = add + bias + a * b, with operands by rows or by columns, of floats or bf16, over all rows or expert by expert.
 * 256 threads, 128 x 128 of c a block (grid: columns, rows, groups), K in steps of 64 through registers into shared memory, where both
 * operands lie with k contiguous: what comes by columns is turned on its way, two k's at a time.  One chain over k for each result. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/tiles.h"
#define N_THREAD 256
#define N_PIECE (GEMM_M * GEMM_K / 8 / N_THREAD)      /* of 8 numbers */

/* One operand of a group: n rows (of c, or its columns), k0 .. end of the sum. */
struct operand { const DK_GLOBAL void *x; const DK_GLOBAL int *row; long ld; int is16, cols, first, n, whole; };

DK_INLINE u32 operand_number(struct operand o, long at)
{
    return o.is16 ? ((const DK_GLOBAL u16 *)o.x)[at] : dk_bf16(((const DK_GLOBAL float *)o.x)[at]);
}
DK_INLINE long operand_row(struct operand o, int i) { return (o.row ? (long)o.row[i] : (long)i) * o.ld; }
/* Eight numbers side by side from `at` on, as bf16. */
DK_INLINE u32x4 operand_eight(struct operand o, long at)
{
    if (o.is16)
        return *(const DK_GLOBAL u32x4 *)((const DK_GLOBAL u16 *)o.x + at);
    const f32x4 lo = *(const DK_GLOBAL f32x4 *)((const DK_GLOBAL float *)o.x + at), hi = *(const DK_GLOBAL f32x4 *)((const DK_GLOBAL float *)o.x + at + 4);
    const u32x4 v = { dk_bf16_pair(lo[0], lo[1]), dk_bf16_pair(lo[2], lo[3]), dk_bf16_pair(hi[0], hi[1]), dk_bf16_pair(hi[2], hi[3]) };
    return v;
}
/* The same one by one, of which the first n are there. */
DK_INLINE u32x4 operand_few(struct operand o, long at, int n)
{
    u64 lo = 0, hi = 0;
    DK_ROLLED
    for (int j = 0; j < 4; j++) {
        lo |= (u64)(j < n ? operand_number(o, at + j) : 0u) << (16 * j);
        hi |= (u64)(j + 4 < n ? operand_number(o, at + j + 4) : 0u) << (16 * j);
    }
    const u32x4 v = { (u32)lo, (u32)(lo >> 32), (u32)hi, (u32)(hi >> 32) };
    return v;
}
/* By rows.  Piece i of the 128 rows from m0 on and of the 64 k's from k0 on: rows beyond the last are read as the last, k's beyond are zeros. */
DK_INLINE u32x4 operand_load_row(struct operand o, int m0, int k0, int end, int i)
{
    const int c = dk_tid() + i * N_THREAD, k = k0 + c % (GEMM_K / 8) * 8;
    int m = m0 + c / (GEMM_K / 8);
    m = m < o.n ? m : o.n - 1;
    const u32x4 none = { 0, 0, 0, 0 };
    if (k >= end)
        return none;
    const long at = operand_row(o, o.first + m) + k;
    return o.whole ? operand_eight(o, at) : operand_few(o, at, end - k);
}
/* By columns: piece i has two k's of eight rows of the tile, row by row, in two vectors. */
DK_INLINE void operand_load_col(struct operand o, int m0, int k0, int end, int i, u32x4 *lo, u32x4 *hi)
{
    const int c = dk_tid() + i * N_THREAD, k = k0 + c / (GEMM_M / 8) * 2, m = m0 + c % (GEMM_M / 8) * 8;
    u32x4 v[2] = { { 0, 0, 0, 0 }, { 0, 0, 0, 0 } };
    DK_UNROLL
    for (int j = 0; j < 2; j++) {
        if (k + j >= end || m >= o.n)
            continue;
        const long at = operand_row(o, k + j) + m;
        v[j] = o.whole ? operand_eight(o, at) : operand_few(o, at, o.n - m);
    }
    DK_UNROLL
    for (int e = 0; e < 8; e++) {
        const u32 x = v[0][e / 2] >> (e % 2 * 16) & 0xffffu, y = v[1][e / 2] >> (e % 2 * 16) & 0xffffu;
        if (e < 4)
            (*lo)[e & 3] = x | y << 16;
        else
            (*hi)[e & 3] = x | y << 16;
    }
}
DK_INLINE void operand_load(struct operand o, int m0, int k0, int end, u32x4 *r)
{
    if (o.cols) {
        DK_UNROLL
        for (int i = 0; i < N_PIECE / 2; i++)
            operand_load_col(o, m0, k0, end, i, &r[2 * i], &r[2 * i + 1]);
    } else {
        DK_UNROLL
        for (int i = 0; i < N_PIECE; i++)
            r[i] = operand_load_row(o, m0, k0, end, i);
    }
}
DK_INLINE void operand_store(DK_LOCAL u16 *s, int cols, const u32x4 *r)
{
    if (cols) {
        DK_UNROLL
        for (int i = 0; i < N_PIECE / 2; i++) {
            const int c = dk_tid() + i * N_THREAD;
            DK_LOCAL u16 *to = s + c % (GEMM_M / 8) * 8 * GEMM_LD + c / (GEMM_M / 8) * 2;
            DK_UNROLL
            for (int e = 0; e < 8; e++)
                *(DK_LOCAL u32 *)(to + e * GEMM_LD) = r[2 * i + e / 4][e & 3];
        }
    } else {
        DK_UNROLL
        for (int i = 0; i < N_PIECE; i++) {
            const int c = dk_tid() + i * N_THREAD;
            *(DK_LOCAL u32x4 *)(s + c / (GEMM_K / 8) * GEMM_LD + c % (GEMM_K / 8) * 8) = r[i];
        }
    }
}

/* What of the product a group has. */
struct part { int m, k0, k1, c_row; };
DK_INLINE struct part part_of(struct product_args g)
{
    struct part p;
    const int first = g.start ? g.start[dk_bz()] : 0, end = g.start ? g.start[dk_bz() + 1] : 0, rows = g.start && !g.k_ragged;
    p.m = rows ? end - first : g.M;
    p.k0 = g.start && g.k_ragged ? first : 0;
    p.k1 = g.start && g.k_ragged ? end : g.K;
    p.c_row = rows ? first : 0;
    return p;
}

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void product(struct product_args g)
{
    DK_SHARED(u16, as, GEMM_M * GEMM_LD);
    DK_SHARED(u16, bs, GEMM_M * GEMM_LD);
    const struct part p = part_of(g);
    const int m0 = dk_by() * GEMM_M, n0 = dk_bx() * GEMM_M, wm = dk_wave() / GEMM_WAVES_N, wn = dk_wave() % GEMM_WAVES_N;
    if (m0 >= p.m)
        return;
    struct operand a, b;
    a.x = g.a;
    a.is16 = g.a16;
    a.cols = g.a_cols;
    a.row = g.row && !g.k_ragged ? g.row : 0;
    a.ld = g.ld_a;
    a.first = p.c_row;
    a.n = p.m;
    a.whole = g.ld_a % 8 == 0 && (g.a_cols ? p.m : p.k1) % 8 == 0;
    const long group = dk_bz() * g.b_group;
    b.x = g.b16 ? (const DK_GLOBAL void *)((const DK_GLOBAL u16 *)g.b + group) : (const DK_GLOBAL void *)((const DK_GLOBAL float *)g.b + group);
    b.is16 = g.b16;
    b.cols = g.b_cols;
    b.row = g.row && g.k_ragged ? g.row : 0;
    b.ld = g.ld_b;
    b.first = 0;
    b.n = g.N;
    b.whole = g.ld_b % 8 == 0 && g.b_group % 8 == 0 && (g.b_cols ? g.N : p.k1) % 8 == 0;
    tile_c acc[GEMM_FM][GEMM_FN];
    u32x4 ra[N_PIECE], rb[N_PIECE];
    GEMM_ZERO(acc)
    operand_load(a, m0, p.k0, p.k1, ra);
    operand_load(b, n0, p.k0, p.k1, rb);
    for (int k0 = p.k0; k0 < p.k1; k0 += GEMM_K) {
        dk_barrier();
        operand_store(as, a.cols, ra);
        operand_store(bs, b.cols, rb);
        dk_barrier();
        if (k0 + GEMM_K < p.k1) {
            operand_load(a, m0, k0 + GEMM_K, p.k1, ra);
            operand_load(b, n0, k0 + GEMM_K, p.k1, rb);
        }
        GEMM_STEP(acc, as, bs, wm, wn)
    }
    const long out = (g.k_ragged ? dk_bz() * g.c_group : 0) + p.c_row * g.ld_c;
    DK_UNROLL
    for (int i = 0; i < GEMM_FM; i++) {
        DK_UNROLL
        for (int j = 0; j < GEMM_FN; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const int m = m0 + (wm * GEMM_FM + i) * TILE_M + tile_row(e), n = n0 + (wn * GEMM_FN + j) * TILE_N + tile_col(e);
                if (m >= p.m || n >= g.N)
                    continue;
                const long at = out + m * g.ld_c + n;
                const float v = TILE_AT(acc[i][j], e) + ((g.add ? g.add[at] : 0.0f) + (g.bias ? g.bias[dk_bz() * g.bias_group + n] : 0.0f));
                if (g.c16)
                    g.c16[at] = (u16)dk_bf16(v);
                else
                    g.c[at] = v;
            }
        }
    }
}

/* The same in floats: 64 x 64 of c a block, 4 x 4 a thread, K in steps of 16.  Chains of 256 k's, added up in order, as the CPU's. */
#define F32_M 64
#define F32_K 16
#define F32_LD (F32_M + 4)
#define CHAIN 256
DK_INLINE float product_value(const DK_GLOBAL void *x, int is16, long at)
{
    return is16 ? dk_bf16_float(((const DK_GLOBAL u16 *)x)[at]) : ((const DK_GLOBAL float *)x)[at];
}
/* Number (m, k) of an operand of n rows, 0 beyond. */
DK_INLINE float product_value_at(const DK_GLOBAL void *x, const DK_GLOBAL int *row, long ld, int is16, int cols, int first, int n, int end, int m, int k)
{
    if (m >= n || k >= end)
        return 0;
    const int r = cols ? k : first + m;
    const long line = row ? row[r] : r;
    return product_value(x, is16, line * ld + (cols ? m : k));
}
DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void product_f32(struct product_args g)
{
    DK_SHARED(float, as, F32_K * F32_LD);
    DK_SHARED(float, bs, F32_K * F32_LD);
    const struct part p = part_of(g);
    const int m0 = dk_by() * F32_M, n0 = dk_bx() * F32_M, tm = dk_tid() / 16 * 4, tn = dk_tid() % 16 * 4;
    if (m0 >= p.m)
        return;
    const long group = dk_bz() * g.b_group;
    const DK_GLOBAL void *b = g.b16 ? (const DK_GLOBAL void *)((const DK_GLOBAL u16 *)g.b + group) : (const DK_GLOBAL void *)((const DK_GLOBAL float *)g.b + group);
    const DK_GLOBAL int *row_a = g.k_ragged ? 0 : g.row, *row_b = g.k_ragged ? g.row : 0;
    f32x4 acc[4], sum[4];
    DK_UNROLL
    for (int i = 0; i < 4; i++)
        acc[i] = sum[i] = (f32x4){ 0, 0, 0, 0 };
    for (int k0 = p.k0; k0 < p.k1; k0 += F32_K) {
        dk_barrier();
        for (int i = dk_tid(); i < F32_M * F32_K; i += N_THREAD) {
            const int am = g.a_cols ? i % F32_M : i / F32_K, ak = g.a_cols ? i / F32_M : i % F32_K, bn = g.b_cols ? i % F32_M : i / F32_K, bk = g.b_cols ? i / F32_M : i % F32_K;
            as[ak * F32_LD + am] = product_value_at(g.a, row_a, g.ld_a, g.a16, g.a_cols, p.c_row, p.m, p.k1, m0 + am, k0 + ak);
            bs[bk * F32_LD + bn] = product_value_at(b, row_b, g.ld_b, g.b16, g.b_cols, 0, g.N, p.k1, n0 + bn, k0 + bk);
        }
        dk_barrier();
        for (int k = 0; k < F32_K; k++) {
            const f32x4 x = *(const DK_LOCAL f32x4 *)(as + k * F32_LD + tm), y = *(const DK_LOCAL f32x4 *)(bs + k * F32_LD + tn);
            DK_UNROLL
            for (int i = 0; i < 4; i++)
                acc[i] += x[i] * y;
        }
        if ((k0 - p.k0 + F32_K) % CHAIN == 0) {
            DK_UNROLL
            for (int i = 0; i < 4; i++) {
                sum[i] += acc[i];
                acc[i] = (f32x4){ 0, 0, 0, 0 };
            }
        }
    }
    const long out = (g.k_ragged ? dk_bz() * g.c_group : 0) + p.c_row * g.ld_c;
    DK_UNROLL
    for (int i = 0; i < 4; i++) {
        sum[i] += acc[i];
        DK_UNROLL
        for (int j = 0; j < 4; j++) {
            const int m = m0 + tm + i, n = n0 + tn + j;
            if (m >= p.m || n >= g.N)
                continue;
            const long at = out + m * g.ld_c + n;
            const float v = sum[i][j] + ((g.add ? g.add[at] : 0.0f) + (g.bias ? g.bias[dk_bz() * g.bias_group + n] : 0.0f));
            if (g.c16)
                g.c16[at] = (u16)dk_bf16(v);
            else
                g.c[at] = v;
        }
    }
}
