/* Backward pass of training's attention, sm_90a, heads of 64, after Dao (FlashAttention-2, 2023): P = exp(scale Q K^T - lse), dS = P (dO V^T - delta) scale, bf16 operands, sums
 * in float.  A block has 64 rows of its own a warpgroup: ATTN_BACK_QUERIES queries and their dO (dq), or ATTN_BACK_KEYS keys and values (dkv); one thread loads (TMA) those, and then 64 at a
 * time, in a ring, what they meet: keys and values, or queries and dO of each query head in turn.  S and dS lie rows by what is met, and go from the accumulators to
 * operand A of the next product in registers: dQ += dS K; dV += P^T dO, dK += dS^T Q.  Nothing is added by two blocks: bits depend on the sequence alone.
 *
 * Sequence b: rows start[b] .. start[b+1]-1; causal, or all.  Maps (64, heads, tokens), boxes 64 x 1 x 64: of qkv[T][H + 2 G][64], of dO[T][H][64].
 * Grid: (ceil(longest / ATTN_BACK_QUERIES), H, sequences), or of keys and G.  Dynamic shared memory: as kernels.def says. */
#include "gpu/wgmma.h"
#include "gpu/args.h"
#define ROWS(keys) ((keys) ? ATTN_BACK_KEYS : ATTN_BACK_QUERIES)
#define WARPGROUPS(keys) (ROWS(keys) / 64)
#define BOX (64 * 128)
#define STAGES ATTN_BACK_STAGES
#define STAGE_BYTES (2 * BOX)

/* tokens of the sequence; the block's first row; what is met: heads first .. end - 1 of `head`, rows from `from` on before `to`. */
struct part { int row, n, first, head, end, from, to; };
DK_INLINE struct part part_of(const struct attn_back_args *a, int keys)
{
    const int b = dk_bz(), group = a->n_head / a->n_kv_head;
    struct part p;
    p.row = a->start[b];
    p.n = a->start[b + 1] - p.row;
    p.first = (keys ? dk_bx() : grid_x() - 1 - dk_bx()) * ROWS(keys);      /* causal: the longest first */
    p.head = keys ? dk_by() * group : dk_by();
    p.end = p.head + (keys ? group : 1);
    p.from = keys && a->causal ? p.first : 0;
    p.to = !keys && a->causal && p.first + ROWS(keys) < p.n ? p.first + ROWS(keys) : p.n;
    return p;
}

DK_INLINE void load(const struct attn_back_args *a, const struct part *p, int keys, u32 own, u32 ring, u32 bar, u32 full, u32 empty)
{
    const int group = a->n_head / a->n_kv_head, k = a->n_head + p->head / group, v = k + a->n_kv_head;
    tma_map(a->map_qkv);
    tma_map(a->map_do);
    mbar_expect(bar, 2 * WARPGROUPS(keys) * BOX);
    for (int i = 0; i < WARPGROUPS(keys); i++) {
        const int at = p->row + p->first + 64 * i;
        tma_load_3d(own + (u32)i * BOX, a->map_qkv, 0, keys ? k : p->head, at, bar);
        tma_load_3d(own + (u32)(WARPGROUPS(keys) + i) * BOX, keys ? a->map_qkv : a->map_do, 0, keys ? v : p->head, at, bar);
    }
    struct ring r = {0, 1};
    for (int head = p->head; head < p->end; head++) {
        for (int i = p->from; i < p->to; i += 64) {
            mbar_wait(empty + 8 * r.s, r.parity);
            mbar_expect(full + 8 * r.s, STAGE_BYTES);
            tma_load_3d(ring + r.s * STAGE_BYTES, a->map_qkv, 0, keys ? head : k, p->row + i, full + 8 * r.s);
            tma_load_3d(ring + r.s * STAGE_BYTES + BOX, keys ? a->map_do : a->map_qkv, 0, keys ? head : v, p->row + i, full + 8 * r.s);
            ring_next(&r, STAGES);
        }
    }
}
/* Both products of own rows with what is met, in two groups. */
DK_INLINE void scores(float *s, float *dp, u32 own, u32 other, u32 met)
{
    wgmma_fence();
    wgmma_bf16_n64(s, wgmma_k_major(own), wgmma_k_major(met), 0);
    wgmma_commit();
    wgmma_bf16_n64(dp, wgmma_k_major(other), wgmma_k_major(met + BOX), 0);
    wgmma_commit();
}
DK_INLINE void pack(u32 *p, const float *s)
{
    DK_UNROLL
    for (int i = 0; i < 16; i++)
        p[i] = bf16_pack(s[2 * i], s[2 * i + 1]);
}
/* d[64][64] += p * what is met, whose rows are the k's. */
DK_INLINE void add(float *d, const u32 *p, u32 met)
{
    wgmma_fence();
    DK_UNROLL
    for (int i = 0; i < 4; i++)
        wgmma_bf16_n64_reg(d, p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3], wgmma_mn_major(met, BOX) + WGMMA_STEP(2048 * i));
    wgmma_commit();
}
/* The warpgroup's 64 rows, to head `to` of dqkv. */
DK_INLINE void store(const struct attn_back_args *a, const struct part *p, const float *d, int row0, int to)
{
    const long ld = (long)(a->n_head + 2 * a->n_kv_head) * 64;
    DK_UNROLL
    for (int h = 0; h < 2; h++) {
        const int row = row0 + 16 * (dk_wave() & 3) + (dk_lane() >> 2) + 8 * h;
        const long at = (p->row + row) * ld + to * 64 + 2 * (dk_lane() & 3);
        DK_UNROLL
        for (int i = 0; i < 8 && row < p->n; i++) {
            const float x = d[4 * i + 2 * h], y = d[4 * i + 2 * h + 1];
            if (a->d16)
                *(DK_GLOBAL u32 *)(a->d16 + at + 8 * i) = bf16_pack(x, y);
            else
                *(DK_GLOBAL f32x2 *)(a->dqkv + at + 8 * i) = (f32x2)(x, y);
        }
    }
}
/* Rings and barriers in shared memory; false: the block has no rows. */
struct places { u32 own, ring, bar, full, empty; };
DK_INLINE struct places places(int keys)
{
    struct places s;
    s.own = dk_dynamic_shared();
    s.ring = s.own + 2 * WARPGROUPS(keys) * BOX;
    s.bar = s.ring + STAGES * STAGE_BYTES;
    s.full = s.bar + 8;
    s.empty = s.full + 8 * STAGES;
    if (dk_tid() == 0) {
        mbar_init(s.bar, 1);
        for (u32 i = 0; i < STAGES; i++) {
            mbar_init(s.full + 8 * i, 1);
            mbar_init(s.empty + 8 * i, 4 * WARPGROUPS(keys));
        }
        mbar_init_done();
    }
    dk_barrier();
    return s;
}

DK_BOUNDS(128 + 128 * WARPGROUPS(0)) DK_KERNEL void attn_back_sm90_dq(struct attn_back_args a)
{
    const struct part p = part_of(&a, 0);
    const int wg = dk_tid() / 128;
    if (p.first >= p.n)
        return;
    const struct places at = places(0);
    if (wg == WARPGROUPS(0)) {
        REGS_GIVE(32);
        if (dk_tid() == 128 * WARPGROUPS(0))
            load(&a, &p, 0, at.own, at.ring, at.bar, at.full, at.empty);
        return;
    }
    REGS_TAKE(160);
    const int row0 = p.first + wg * 64, row = row0 + 16 * (dk_wave() & 3) + (dk_lane() >> 2);
    const float c = a.scale * DK_LOG2E;
    float dq[32], s[32], dp[32], lse[2], delta[2];
    u32 ds[16];
    DK_UNROLL
    for (int i = 0; i < 32; i++)
        dq[i] = 0;
    DK_UNROLL
    for (int h = 0; h < 2; h++) {
        const long i = (long)p.head * a.n_row + p.row + (row + 8 * h < p.n ? row + 8 * h : p.n - 1);
        lse[h] = a.lse[i] * DK_LOG2E;
        delta[h] = a.delta[i];
    }
    struct ring r = {0, 0};
    mbar_wait(at.bar, 0);
    DK_ROLLED
    for (int key = 0; key < p.to; key += 64) {
        const u32 met = at.ring + r.s * STAGE_BYTES;
        mbar_wait(at.full + 8 * r.s, r.parity);
        if (!a.causal || key < row0 + 64) {
            scores(s, dp, at.own + (u32)wg * BOX, at.own + (u32)(WARPGROUPS(0) + wg) * BOX, met);
            wgmma_but_one_32(s);
            const int edge = key + 64 > p.n || (a.causal && key + 63 > row0);
            DK_UNROLL
            for (int i = 0; i < 32; i++) {
                const int k = key + 8 * (i >> 2) + 2 * (dk_lane() & 3) + (i & 1), h = (i >> 1) & 1;
                s[i] = edge && (k >= p.n || (a.causal && k > row + 8 * h)) ? 0.0f : dk_exp2(dk_fma(s[i], c, -lse[h]));
            }
            wgmma_done_32(dp);
            DK_UNROLL
            for (int i = 0; i < 32; i++)
                s[i] = s[i] * (dp[i] - delta[(i >> 1) & 1]) * a.scale;
            pack(ds, s);
            add(dq, ds, met);
            wgmma_done_32(dq);
        }
        give_back(at.empty + 8 * r.s);
        ring_next(&r, STAGES);
    }
    store(&a, &p, dq, row0, p.head);
}

DK_BOUNDS(128 + 128 * WARPGROUPS(1)) DK_KERNEL void attn_back_sm90_dkv(struct attn_back_args a)
{
    const struct part p = part_of(&a, 1);
    const int wg = dk_tid() / 128;
    if (p.first >= p.n)
        return;
    const struct places at = places(1);
    if (wg == WARPGROUPS(1)) {
        REGS_GIVE(24);
        if (dk_tid() == 128 * WARPGROUPS(1))
            load(&a, &p, 1, at.own, at.ring, at.bar, at.full, at.empty);
        return;
    }
    REGS_TAKE(240);
    const int row0 = p.first + wg * 64, row = row0 + 16 * (dk_wave() & 3) + (dk_lane() >> 2);
    const float c = a.scale * DK_LOG2E;
    float dk[32], dv[32], s[32], dp[32];
    u32 p16[16];
    DK_UNROLL
    for (int i = 0; i < 32; i++)
        dk[i] = dv[i] = 0;
    struct ring r = {0, 0};
    mbar_wait(at.bar, 0);
    DK_ROLLED
    for (int head = p.head; head < p.end; head++) {
        DK_ROLLED
        for (int query = p.from; query < p.to; query += 64) {
            const u32 met = at.ring + r.s * STAGE_BYTES;
            mbar_wait(at.full + 8 * r.s, r.parity);
            if (!a.causal || query + 63 >= row0) {
                const DK_GLOBAL float *lse = a.lse + (long)head * a.n_row + p.row, *delta = a.delta + (long)head * a.n_row + p.row;
                scores(s, dp, at.own + (u32)wg * BOX, at.own + (u32)(WARPGROUPS(1) + wg) * BOX, met);
                wgmma_but_one_32(s);
                const int edge = query + 64 > p.n || row0 + 64 > p.n || (a.causal && query < row0 + 64);
                DK_UNROLL
                for (int j = 0; j < 16; j++) {
                    const int q = query + 8 * (j >> 1) + 2 * (dk_lane() & 3) + (j & 1);
                    const float l = lse[q < p.n ? q : p.n - 1] * DK_LOG2E;
                    DK_UNROLL
                    for (int h = 0; h < 2; h++) {
                        const int i = 4 * (j >> 1) + 2 * h + (j & 1), k = row + 8 * h;
                        s[i] = edge && (q >= p.n || k >= p.n || (a.causal && k > q)) ? 0.0f : dk_exp2(dk_fma(s[i], c, -l));
                    }
                }
                pack(p16, s);
                add(dv, p16, met + BOX);
                wgmma_but_one_32(dp);
                DK_UNROLL
                for (int j = 0; j < 16; j++) {
                    const int q = query + 8 * (j >> 1) + 2 * (dk_lane() & 3) + (j & 1);
                    const float d = delta[q < p.n ? q : p.n - 1];
                    DK_UNROLL
                    for (int h = 0; h < 2; h++) {
                        const int i = 4 * (j >> 1) + 2 * h + (j & 1);
                        s[i] = s[i] * (dp[i] - d) * a.scale;
                    }
                }
                wgmma_done_32(dv);
                pack(p16, s);
                add(dk, p16, met);
                wgmma_done_32(dk);
            }
            give_back(at.empty + 8 * r.s);
            ring_next(&r, STAGES);
        }
    }
    store(&a, &p, dk, row0, a.n_head + dk_by());
    store(&a, &p, dv, row0, a.n_head + a.n_kv_head + dk_by());
}
