/* Attention of many queries (prefill), sm_90a: O = softmax(scale Q K^T) V, heads of D = 128 or 64, grouped queries, bf16, sums in
 * float.  After Dao et al., FlashAttention-3 (2024): one thread loads (TMA, rings of keys and of values), warpgroups of 64 queries
 * each multiply (with heads of 64 by TURNS), so that one's softmax runs beside another's products, and within a warpgroup the products
 * with the next keys run beside the softmax of these.  P goes from the accumulators of Q K^T to operand A of P V in registers.
 *
 * Sequences lie one after the other: queries q_start[b] .. q_start[b+1]-1 see keys k_start[b] .. k_start[b+1]-1; causal: query i of
 * n sees the keys up to i + n_key - n.  A query without keys gets 0 and lse -inf.  Maps: (64 of D, head, token), boxes 64 x 1 x
 * N_Q (queries: 128 for D = 128, else 192) or N_KEY (176, 128).
 * Grid: (ceil(longest queries / N_Q), n_head, sequences).  Dynamic shared memory: as kernels.def says. */
#include "gpu/wgmma.h"
#include "gpu/args.h"
#ifndef D
#define D 128
#endif
#if D == 128
#define N_KEY ATTN_SM90_128_KEYS
#define WARPGROUPS 2
#define TURNS 0
#else
#define N_KEY ATTN_SM90_64_KEYS
#define WARPGROUPS 3
#define TURNS 1
#endif
#define STAGES 2
#define N_Q (64 * WARPGROUPS)          /* ATTN_SM90_D_QUERIES */
#define BOXES (D / 64)
#define Q_BOX (N_Q * 128)
#define KEY_BOX (N_KEY * 128)
#define KEY_BYTES (BOXES * KEY_BOX)
#define N_S (N_KEY / 2)                /* scores a thread holds */
#define N_O (D / 2)
#define NAME2(d) attn_sm90_##d
#define NAME(d) NAME2(d)
#if N_KEY == 176
#define SCORES wgmma_bf16_n176
#define SCORES_WAIT wgmma_but_one_88
#define SCORES_DONE wgmma_done_88
#else
#define SCORES wgmma_bf16_n128
#define SCORES_WAIT wgmma_but_one_64
#define SCORES_DONE wgmma_done_64
#endif
#if D == 128
#define VALUES wgmma_bf16_n128_reg
#define VALUES_DONE wgmma_done_64
#else
#define VALUES wgmma_bf16_n64_reg
#define VALUES_DONE wgmma_done_32
#endif
#define MINUS_INF (-__builtin_inff())

struct part { int q, n_q, k, n_key, first, n_block; };  /* tokens of the sequence; the block's first query; blocks of keys it sees */
DK_INLINE struct part part_of(const struct attn_sm90_args *a)
{
    const int b = dk_bz();
    struct part p = {a->q_start[b], a->q_start[b + 1], a->k_start[b], a->k_start[b + 1], 0, 0};
    p.n_q -= p.q;
    p.n_key -= p.k;
    p.first = (grid_x() - 1 - dk_bx()) * N_Q;         /* causal: the longest first */
    int n = p.n_key;
    if (a->causal && p.first + N_Q + p.n_key - p.n_q < n)
        n = p.first + N_Q + p.n_key - p.n_q;
    p.n_block = n > 0 ? (n + N_KEY - 1) / N_KEY : 0;
    return p;
}

DK_INLINE void load(const struct attn_sm90_args *a, const struct part *p, u32 q, u32 keys, u32 values, u32 bar_q, u32 full_k, u32 full_v, u32 empty_k, u32 empty_v)
{
    const int head = dk_by(), kv_head = head / (a->n_head / a->n_kv_head);
    tma_map(a->map_q);
    tma_map(a->map_k);
    tma_map(a->map_v);
    mbar_expect(bar_q, BOXES * Q_BOX);
    for (int i = 0; i < BOXES; i++)
        tma_load_3d(q + (u32)i * Q_BOX, a->map_q, 64 * i, head, p->q + p->first, bar_q);
    struct ring r = {0, 1};
    for (int j = p->n_block - 1; j >= 0; j--) {
        const int at = p->k + j * N_KEY;
        mbar_wait(empty_k + 8 * r.s, r.parity);
        mbar_expect(full_k + 8 * r.s, KEY_BYTES);
        for (int i = 0; i < BOXES; i++)
            tma_load_3d(keys + r.s * KEY_BYTES + (u32)i * KEY_BOX, a->map_k, 64 * i, kv_head, at, full_k + 8 * r.s);
        mbar_wait(empty_v + 8 * r.s, r.parity);
        mbar_expect(full_v + 8 * r.s, KEY_BYTES);
        for (int i = 0; i < BOXES; i++)
            tma_load_3d(values + r.s * KEY_BYTES + (u32)i * KEY_BOX, a->map_v, 64 * i, kv_head, at, full_v + 8 * r.s);
        ring_next(&r, STAGES);
    }
}
/* S = Q K^T; issued, not waited for. */
DK_INLINE void scores(float *s, u32 q, u32 keys)
{
    wgmma_fence();
    SCORES(s, wgmma_k_major(q), wgmma_k_major(keys), 0);
#if D == 128
    SCORES(s, wgmma_k_major(q + Q_BOX), wgmma_k_major(keys + KEY_BOX), 1);
#endif
    wgmma_commit();
}
DK_INLINE void add_values(float *o, const u32 *p, u32 values)
{
    wgmma_fence();
    DK_UNROLL
    for (int i = 0; i < N_KEY / 16; i++)
        VALUES(o, p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3], wgmma_mn_major(values, KEY_BOX) + WGMMA_STEP(2048 * i));
    wgmma_commit();
}
/* Keys from limit[h] on are not seen by the thread's row h; at: the first key of the block. */
DK_INLINE void mask(float *s, const int *limit, int at)
{
    const int c = at + 2 * (dk_lane() & 3);
    DK_UNROLL
    for (int i = 0; i < N_S; i++)
        if (c + 8 * (i >> 2) + (i & 1) >= limit[(i >> 1) & 1])
            s[i] = MINUS_INF;
}
/* s becomes exp(scale (s - top)); top, sum: the rows' maximum and the thread's share of the sum; alpha: what older sums shrink by. */
DK_INLINE void softmax(float *s, float *top, float *sum, float *alpha, float c)
{
    DK_UNROLL
    for (int h = 0; h < 2; h++) {
        float m = top[h];
        DK_UNROLL
        for (int i = 0; i < N_S; i += 4)
            m = __builtin_fmaxf(m, __builtin_fmaxf(s[i + 2 * h], s[i + 2 * h + 1]));
        m = __builtin_fmaxf(m, dk_shfl_xor(m, 1));
        m = __builtin_fmaxf(m, dk_shfl_xor(m, 2));
        const float mc = m == MINUS_INF ? 0 : m * c;
        alpha[h] = dk_exp2(__builtin_fmaf(top[h], c, -mc));
        top[h] = m;
        float total = 0;
        DK_UNROLL
        for (int i = 0; i < N_S; i += 4) {
            s[i + 2 * h] = dk_exp2(__builtin_fmaf(s[i + 2 * h], c, -mc));
            s[i + 2 * h + 1] = dk_exp2(__builtin_fmaf(s[i + 2 * h + 1], c, -mc));
            total += s[i + 2 * h] + s[i + 2 * h + 1];
        }
        sum[h] = sum[h] * alpha[h] + total;
    }
}
DK_INLINE void pack(u32 *p, const float *s)
{
    DK_UNROLL
    for (int i = 0; i < N_S / 2; i++)
        p[i] = bf16_pack(s[2 * i], s[2 * i + 1]);
}
/* Rows of V past the sequence's end are another's and may hold anything: 0 * inf is not 0. */
DK_INLINE void clear_values(u32 values, int n, int wg)
{
    for (int i = dk_tid() & 127; i < (N_KEY - n) * 8; i += 128)
        for (int b = 0; b < BOXES; b++)
            shared_zero16(values + (u32)(b * KEY_BOX + n * 128 + i * 16));
    proxy_fence();
    named_sync(1 + WARPGROUPS + wg, 128);
}
/* O / sum through shared memory (the warpgroup's rows of Q) to rows of 16-byte pieces; lse. */
DK_INLINE void store(const struct attn_sm90_args *a, const struct part *p, float *o, const float *top, float *sum, u32 q, int row0, int wg)
{
    const int l = dk_lane(), w = dk_wave() & 3, head = dk_by(), left = p->n_q - row0;
    DK_UNROLL
    for (int h = 0; h < 2; h++) {
        sum[h] = dk_lanes_sum(sum[h], 4);
        const float scale = sum[h] > 0 ? 1 / sum[h] : 0;
        DK_UNROLL
        for (int i = 0; i < N_O; i += 4) {
            o[i + 2 * h] *= scale;
            o[i + 2 * h + 1] *= scale;
        }
        const int row = 16 * w + (l >> 2) + 8 * h;
        if (a->lse && (l & 3) == 0 && row < left)
            a->lse[(long)head * a->n_lse + p->q + row0 + row] = sum[h] > 0 ? (top[h] * a->scale + dk_log2(sum[h]) * DK_LN2) : MINUS_INF;
    }
    const u32 row = (u32)(16 * w + 8 * ((l >> 3) & 1) + (l & 7)), turn = row & 7;
    DK_UNROLL
    for (int i = 0; i < D / 16; i++)
        stmatrix4(q + (u32)(i / 4) * Q_BOX + row * 128 + ((((u32)(i & 3) * 2 + (u32)(l >> 4)) ^ turn) << 4), bf16_pack(o[8 * i], o[8 * i + 1]),
                  bf16_pack(o[8 * i + 2], o[8 * i + 3]), bf16_pack(o[8 * i + 4], o[8 * i + 5]), bf16_pack(o[8 * i + 6], o[8 * i + 7]));
    named_sync(1 + WARPGROUPS + wg, 128);
    DK_GLOBAL u16 *to = a->o + (long)(p->q + row0) * a->ld_o + head * D;
    DK_UNROLL
    for (int i = 0; i < 64 * (D / 8) / 128; i++) {
        const int at = i * 128 + (dk_tid() & 127), r = at / (D / 8), c = at % (D / 8);
        if (r < left)
            *(DK_GLOBAL u32x4 *)(to + r * a->ld_o + c * 8) = shared_read16(q + (u32)(c / 8) * Q_BOX + (u32)r * 128 + (((u32)(c & 7) ^ ((u32)r & 7)) << 4));
    }
}

DK_BOUNDS(128 + 128 * WARPGROUPS) DK_KERNEL void NAME(D)(struct attn_sm90_args a)
{
    const u32 q = dk_dynamic_shared(), keys = q + BOXES * Q_BOX, values = keys + STAGES * KEY_BYTES, bar_q = values + STAGES * KEY_BYTES;
    const u32 full_k = bar_q + 8, full_v = full_k + 8 * STAGES, empty_k = full_v + 8 * STAGES, empty_v = empty_k + 8 * STAGES;
    const int wg = dk_tid() / 128;
    const struct part p = part_of(&a);
    if (p.first >= p.n_q)
        return;
    if (dk_tid() == 0) {
        mbar_init(bar_q, 1);
        for (u32 s = 0; s < STAGES; s++) {
            mbar_init(full_k + 8 * s, 1);
            mbar_init(full_v + 8 * s, 1);
            mbar_init(empty_k + 8 * s, 4 * WARPGROUPS);
            mbar_init(empty_v + 8 * s, 4 * WARPGROUPS);
        }
        mbar_init_done();
    }
    dk_barrier();
    if (wg == WARPGROUPS) {
#if WARPGROUPS == 2
        REGS_GIVE(24);
#else
        REGS_GIVE(32);
#endif
        if (dk_tid() == 128 * WARPGROUPS)
            load(&a, &p, q, keys, values, bar_q, full_k, full_v, empty_k, empty_v);
    } else {
#if WARPGROUPS == 2
        REGS_TAKE(240);
#else
        REGS_TAKE(160);
#endif
        const int row0 = p.first + wg * 64, row = row0 + 16 * (dk_wave() & 3) + dk_lane() / 4, beyond = p.n_key - p.n_q + 1;
        const int limit[2] = {a.causal && row + beyond < p.n_key ? row + beyond : p.n_key, a.causal && row + 8 + beyond < p.n_key ? row + 8 + beyond : p.n_key};
        const int clear = a.causal && row0 + beyond < p.n_key ? row0 + beyond : p.n_key;      /* keys that every row of the warpgroup sees */
        const u32 my_q = q + (u32)wg * 8192;
        const float c = a.scale * DK_LOG2E;
        float o[N_O], s[N_S], top[2] = {MINUS_INF, MINUS_INF}, sum[2] = {0, 0}, alpha[2];
        u32 pr[N_S / 2];
        struct ring rk = {0, 0}, rv = {0, 0};
        DK_UNROLL
        for (int i = 0; i < N_O; i++)
            o[i] = 0;
        mbar_wait(bar_q, 0);
        if (p.n_block > 0) {
            int j = p.n_block - 1;
            mbar_wait(full_k + 8 * rk.s, rk.parity);
            scores(s, my_q, keys + rk.s * KEY_BYTES);
            SCORES_DONE(s);
            give_back(empty_k + 8 * rk.s);
            ring_next(&rk, STAGES);
            if ((j + 1) * N_KEY > clear)
                mask(s, limit, j * N_KEY);
            softmax(s, top, sum, alpha, c);
            pack(pr, s);
            if ((j + 1) * N_KEY > p.n_key) {
                mbar_wait(full_v + 8 * rv.s, rv.parity);
                clear_values(values + rv.s * KEY_BYTES, p.n_key - j * N_KEY, wg);
            }
            if (TURNS && wg == WARPGROUPS - 1)
                named_arrive(1, 256);
            DK_ROLLED
            for (j--; j >= 0; j--) {
                mbar_wait(full_k + 8 * rk.s, rk.parity);
                if (TURNS)
                    named_sync(1 + wg, 256);
                scores(s, my_q, keys + rk.s * KEY_BYTES);
                mbar_wait(full_v + 8 * rv.s, rv.parity);
                add_values(o, pr, values + rv.s * KEY_BYTES);
                if (TURNS)
                    named_arrive(1 + (wg + 1) % WARPGROUPS, 256);
                SCORES_WAIT(s);
                give_back(empty_k + 8 * rk.s);
                ring_next(&rk, STAGES);
                if ((j + 1) * N_KEY > clear)
                    mask(s, limit, j * N_KEY);
                softmax(s, top, sum, alpha, c);
                VALUES_DONE(o);
                give_back(empty_v + 8 * rv.s);
                ring_next(&rv, STAGES);
                DK_UNROLL
                for (int i = 0; i < N_O; i++)
                    o[i] *= alpha[(i >> 1) & 1];
                pack(pr, s);
            }
            mbar_wait(full_v + 8 * rv.s, rv.parity);
            add_values(o, pr, values + rv.s * KEY_BYTES);
            VALUES_DONE(o);
        }
        store(&a, &p, o, top, sum, my_q, row0, wg);
    }
}
