/* Training's attention over heads of up to D = 128 or 64: O = softmax(scale Q K^T) V and its backward pass; operands of products are rounded to bf16
 * on their way into shared memory, scores, sums and results are floats.  After Dao, FlashAttention-2 (2023): a wave has TILE_M rows, their
 * operand in registers; keys (or queries) pass through shared memory 32 at a time.  dQ is made by blocks of queries, dK and dV by blocks of keys, each
 * in ascending order: nothing is added by two blocks, so that bits depend on the sequence alone.
 *
 * 256 threads; grid: (ceil(longest sequence / ATTN_TRAIN_ROWS), query heads or, for dK and dV, key/value heads, sequences). */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/tile.h"
#ifndef D
#define D 128
#endif
#define NAME3(kernel, d) kernel##d
#define NAME2(kernel, d) NAME3(kernel, d)
#define NAME(kernel) NAME2(kernel, D)
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)
#define LD (D + 8)
#define KEYS 32                       /* that pass at a time */
#define LD_P (KEYS + 8)
#define N_S (KEYS / TILE_N)           /* tiles of scores of a wave */
#define N_O (D / TILE_N)              /* of its results */
#define N_K (D / TILE_K)
#define WAVE_P (TILE_M * LD_P)        /* probabilities of a wave, on their way to an operand */
/* Rows that a lane has numbers of in a tile, and the lanes that share one (those that differ in the low bits). */
#if defined(__NVPTX__)
#define N_OWN 2
#define OWN(e) (((e) >> 1) & 1)
#define OWN_ROW(r) tile_row(2 * (r))
#define ROW_LANES 4
#else
#define N_OWN TILE_ACC
#define OWN(e) (e)
#define OWN_ROW(r) tile_row(r)
#define ROW_LANES TILE_N
#endif

#ifndef GPU_TRAIN_ATTN          /* the host has both sizes of head in one program */
#define GPU_TRAIN_ATTN
/* An operand b[n][k] that lies with n contiguous: p[k * ld + n]. */
DK_INLINE tile_b tile_load_turned(const DK_LOCAL u16 *p, int ld)
{
    const int l = dk_lane();
    u32x4 v;
#if defined(__NVPTX__)
    p += (l >> 2) + 2 * (l & 3) * ld;
    DK_UNROLL
    for (int i = 0; i < 4; i++) {
        const DK_LOCAL u16 *q = p + (i & 1) * 8 * ld + (i >> 1) * 8;
        v[i] = q[0] | (u32)q[ld] << 16;
    }
#else
    p += (l & 31) + 8 * (l >> 5) * ld;
    DK_UNROLL
    for (int i = 0; i < 4; i++)
        v[i] = p[2 * i * ld] | (u32)p[(2 * i + 1) * ld] << 16;
#endif
    return v;
}

DK_INLINE void clear(tile_c *t, int n)
{
    DK_UNROLL
    for (int i = 0; i < n; i++) {
        DK_UNROLL
        for (int e = 0; e < TILE_ACC; e++)
            TILE_AT(t[i], e) = 0;
    }
}
DK_INLINE int visible(int query, int key, int n, int window, int all)
{
    const int apart = all && key > query ? key - query : query - key;
    return query < n && key < n && (all || key <= query) && (!window || apart < window);
}
/* Keys of which some row of the block from q0 on sees any: from first_key() on, before end_key(). */
DK_INLINE int first_key(int q0, int window) { return window && q0 + 1 > window ? (q0 + 1 - window) / KEYS * KEYS : 0; }
DK_INLINE int end_key(int q_end, int n, int window, int all)
{
    const int end = !all ? q_end : window ? q_end + window - 1 : n;
    return end < n ? end : n;
}
#endif
/* Rows first .. first + n_row - 1 of x, as bf16; columns beyond d and rows from `end` on are zeros. */
DK_INLINE void NAME(rows_in_)(DK_LOCAL u16 *to, const DK_GLOBAL float *x, long ld, int d, int first, int n_row, int end)
{
    for (int c = dk_tid(); c < n_row * (D / 4); c += N_THREAD) {
        const int r = c / (D / 4), k = c % (D / 4) * 4;
        u32x2 v = { 0, 0 };
        if (first + r < end && k < d) {
            const f32x4 f = *(const DK_GLOBAL f32x4 *)(x + (first + r) * ld + k);
            v[0] = dk_bf16_pair(f[0], f[1]);
            v[1] = dk_bf16_pair(f[2], f[3]);
        }
        *(DK_LOCAL u32x2 *)(to + r * LD + k) = v;
    }
}
DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void NAME(attn_train_)(struct attn_train_args a)
{
    DK_SHARED(u16, s, ATTN_TRAIN_ROWS * LD + (D == 64 ? 512 : 0));
    const int row0 = a.start[dk_bz()], n = a.start[dk_bz() + 1] - row0, q0 = dk_bx() * ATTN_TRAIN_ROWS, head = dk_by(), kv = head / (a.n_head / a.n_kv_head);
    const int own0 = q0 + dk_wave() * TILE_M;
    const long ld = (long)(a.n_head + 2 * a.n_kv_head) * a.d;
    const DK_GLOBAL float *q = a.qkv + row0 * ld + head * a.d, *k = a.qkv + row0 * ld + (a.n_head + kv) * a.d, *v = k + a.n_kv_head * a.d;
    DK_LOCAL u16 *ks = s, *vs = s + KEYS * LD, *ps = s + 2 * KEYS * LD + dk_wave() * WAVE_P;
    if (q0 >= n)
        return;
    tile_a qf[N_K];
    tile_c o[N_O];
    float most[N_OWN], sum[N_OWN];
    NAME(rows_in_)(s, q, ld, a.d, q0, ATTN_TRAIN_ROWS, n);
    dk_barrier();
    DK_UNROLL
    for (int i = 0; i < N_K; i++)
        qf[i] = tile_load_a(s + dk_wave() * TILE_M * LD + i * TILE_K, LD);
    clear(o, N_O);
    DK_UNROLL
    for (int r = 0; r < N_OWN; r++) {
        most[r] = DK_LOW;
        sum[r] = 0;
    }
    const int q_end = q0 + ATTN_TRAIN_ROWS < n ? q0 + ATTN_TRAIN_ROWS : n, end = end_key(q_end, n, a.window, a.all);
    for (int k0 = first_key(q0, a.window); k0 < end; k0 += KEYS) {
        dk_barrier();
        NAME(rows_in_)(ks, k, ld, a.d, k0, KEYS, n);
        NAME(rows_in_)(vs, v, ld, a.d, k0, KEYS, n);
        dk_barrier();
        tile_c t[N_S];
        float m[N_OWN], factor[N_OWN];
        clear(t, N_S);
        DK_UNROLL
        for (int j = 0; j < N_S; j++) {
            DK_UNROLL
            for (int i = 0; i < N_K; i++)
                t[j] = tile_product(qf[i], tile_load_b(ks + j * TILE_N * LD + i * TILE_K, LD), t[j]);
        }
        DK_UNROLL
        for (int r = 0; r < N_OWN; r++)
            m[r] = most[r];
        DK_UNROLL
        for (int j = 0; j < N_S; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const int there = visible(own0 + tile_row(e), k0 + j * TILE_N + tile_col(e), n, a.window, a.all);
                TILE_AT(t[j], e) = there ? TILE_AT(t[j], e) * (a.scale * DK_LOG2E) : DK_LOW;
                m[OWN(e)] = dk_max(m[OWN(e)], TILE_AT(t[j], e));
            }
        }
        DK_UNROLL
        for (int r = 0; r < N_OWN; r++) {
            m[r] = dk_lanes_max(m[r], ROW_LANES);
            factor[r] = dk_exp2(most[r] - m[r]);
            sum[r] *= factor[r];
            most[r] = m[r];
        }
        DK_UNROLL
        for (int j = 0; j < N_S; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const float x = TILE_AT(t[j], e), p = x > DK_LOW ? dk_exp2(x - most[OWN(e)]) : 0.0f;
                sum[OWN(e)] += p;
                ps[tile_row(e) * LD_P + j * TILE_N + tile_col(e)] = (u16)dk_bf16(p);
            }
        }
        dk_barrier();
        DK_UNROLL
        for (int j = 0; j < N_O; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++)
                TILE_AT(o[j], e) *= factor[OWN(e)];
        }
        DK_UNROLL
        for (int i = 0; i < KEYS; i += TILE_K) {
            const tile_a p = tile_load_a(ps + i, LD_P);
            DK_UNROLL
            for (int j = 0; j < N_O; j++)
                o[j] = tile_product(p, tile_load_turned(vs + i * LD + j * TILE_N, LD), o[j]);
        }
    }
    DK_UNROLL
    for (int r = 0; r < N_OWN; r++) {
        const int row = own0 + OWN_ROW(r);
        sum[r] = dk_lanes_sum(sum[r], ROW_LANES);
        if (row < n && (dk_lane() & (ROW_LANES - 1)) == 0)
            a.lse[(long)(row0 + row) * a.n_head + head] = most[r] * DK_LN2 + dk_log2(sum[r]) * DK_LN2;
        sum[r] = 1.0f / sum[r];
    }
    DK_UNROLL
    for (int j = 0; j < N_O; j++) {
        DK_UNROLL
        for (int e = 0; e < TILE_ACC; e++) {
            const int row = own0 + tile_row(e), c = j * TILE_N + tile_col(e);
            const long at = ((long)(row0 + row) * a.n_head + head) * a.d + c;
            if (row >= n || c >= a.d)
                continue;
            if (a.o16)
                ((DK_GLOBAL u16 *)a.o)[at] = (u16)dk_bf16(TILE_AT(o[j], e) * sum[OWN(e)]);
            else
                ((DK_GLOBAL float *)a.o)[at] = TILE_AT(o[j], e) * sum[OWN(e)];
        }
    }
}

#if D == 128
/* delta[row][head] = dO . O, dO as the products have it; a wave each; grid: ceil(n_row * n_head / waves of a block). */
DK_BOUNDS(N_THREAD) DK_KERNEL void attn_train_delta(struct attn_train_args a)
{
    const long i = (long)dk_bx() * N_WAVE + dk_wave();
    const int there = i < (long)a.n_row * a.n_head;
    float sum = 0;
    for (int c = dk_lane(); there && c < a.d; c += DK_WAVE)
        sum += dk_bf16_float(dk_bf16(a.d_o[i * a.d + c])) * (a.o16 ? dk_bf16_float(((const DK_GLOBAL u16 *)a.o)[i * a.d + c]) : ((const DK_GLOBAL float *)a.o)[i * a.d + c]);
    sum = dk_wave_sum(sum);
    if (there && dk_lane() == 0)
        a.delta[i] = sum;
}
#endif

#if D == 128
DK_BOUNDS(N_THREAD) DK_KERNEL void attn_delta(struct attn_delta_args a)
{
    const long i = (long)dk_bx() * N_WAVE + dk_wave();
    const int there = i < (long)a.n_row * a.n_head;
    float sum = 0;
    for (int c = 4 * dk_lane(); there && c < a.d; c += 4 * DK_WAVE) {
        const u32x2 o = *(const DK_GLOBAL u32x2 *)(a.o + i * a.d + c);
        u32x2 g;
        if (a.d_o) {
            const f32x4 v = *(const DK_GLOBAL f32x4 *)(a.d_o + i * a.d + c);
            g[0] = dk_bf16_pair(v[0], v[1]);
            g[1] = dk_bf16_pair(v[2], v[3]);
            *(DK_GLOBAL u32x2 *)(a.d_o16 + i * a.d + c) = g;
        } else {
            g = *(const DK_GLOBAL u32x2 *)(a.d_o16 + i * a.d + c);
        }
        sum += dk_bf16_low(g[0]) * dk_bf16_low(o[0]) + dk_bf16_high(g[0]) * dk_bf16_high(o[0]) + dk_bf16_low(g[1]) * dk_bf16_low(o[1]) + dk_bf16_high(g[1]) * dk_bf16_high(o[1]);
    }
    sum = dk_wave_sum(sum);
    if (there && dk_lane() == 0)
        a.delta[i % a.n_head * a.n_row + i / a.n_head] = sum;
}
#endif

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void NAME(attn_train_dq_)(struct attn_train_args a)
{
    DK_SHARED(u16, s, ATTN_TRAIN_ROWS * LD + (D == 64 ? 512 : 0));
    const int row0 = a.start[dk_bz()], n = a.start[dk_bz() + 1] - row0, q0 = dk_bx() * ATTN_TRAIN_ROWS, head = dk_by(), kv = head / (a.n_head / a.n_kv_head);
    const int own0 = q0 + dk_wave() * TILE_M;
    const long ld = (long)(a.n_head + 2 * a.n_kv_head) * a.d, ld_o = (long)a.n_head * a.d;
    const DK_GLOBAL float *q = a.qkv + row0 * ld + head * a.d, *k = a.qkv + row0 * ld + (a.n_head + kv) * a.d, *v = k + a.n_kv_head * a.d;
    DK_LOCAL u16 *ks = s, *vs = s + KEYS * LD, *ps = s + 2 * KEYS * LD + dk_wave() * WAVE_P;
    if (q0 >= n)
        return;
    tile_a qf[N_K], df[N_K];
    tile_c dq[N_O];
    float lse[N_OWN], delta[N_OWN];
    NAME(rows_in_)(s, q, ld, a.d, q0, ATTN_TRAIN_ROWS, n);
    dk_barrier();
    DK_UNROLL
    for (int i = 0; i < N_K; i++)
        qf[i] = tile_load_a(s + dk_wave() * TILE_M * LD + i * TILE_K, LD);
    dk_barrier();
    NAME(rows_in_)(s, a.d_o + row0 * ld_o + head * a.d, ld_o, a.d, q0, ATTN_TRAIN_ROWS, n);
    dk_barrier();
    DK_UNROLL
    for (int i = 0; i < N_K; i++)
        df[i] = tile_load_a(s + dk_wave() * TILE_M * LD + i * TILE_K, LD);
    clear(dq, N_O);
    DK_UNROLL
    for (int r = 0; r < N_OWN; r++) {
        const int row = own0 + OWN_ROW(r);
        const long at = (long)(row0 + (row < n ? row : 0)) * a.n_head + head;
        lse[r] = a.lse[at] * DK_LOG2E;
        delta[r] = a.delta[at];
    }
    const int q_end = q0 + ATTN_TRAIN_ROWS < n ? q0 + ATTN_TRAIN_ROWS : n, end = end_key(q_end, n, a.window, a.all);
    for (int k0 = first_key(q0, a.window); k0 < end; k0 += KEYS) {
        dk_barrier();
        NAME(rows_in_)(ks, k, ld, a.d, k0, KEYS, n);
        NAME(rows_in_)(vs, v, ld, a.d, k0, KEYS, n);
        dk_barrier();
        DK_UNROLL
        for (int j = 0; j < N_S; j++) {
            tile_c t[1], dp[1];
            clear(t, 1);
            clear(dp, 1);
            DK_UNROLL
            for (int i = 0; i < N_K; i++) {
                t[0] = tile_product(qf[i], tile_load_b(ks + j * TILE_N * LD + i * TILE_K, LD), t[0]);
                dp[0] = tile_product(df[i], tile_load_b(vs + j * TILE_N * LD + i * TILE_K, LD), dp[0]);
            }
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const int there = visible(own0 + tile_row(e), k0 + j * TILE_N + tile_col(e), n, a.window, a.all);
                const float p = there ? dk_exp2(TILE_AT(t[0], e) * (a.scale * DK_LOG2E) - lse[OWN(e)]) : 0.0f;
                ps[tile_row(e) * LD_P + j * TILE_N + tile_col(e)] = (u16)dk_bf16(p * (TILE_AT(dp[0], e) - delta[OWN(e)]) * a.scale);
            }
        }
        dk_barrier();
        DK_UNROLL
        for (int i = 0; i < KEYS; i += TILE_K) {
            const tile_a ds = tile_load_a(ps + i, LD_P);
            DK_UNROLL
            for (int j = 0; j < N_O; j++)
                dq[j] = tile_product(ds, tile_load_turned(ks + i * LD + j * TILE_N, LD), dq[j]);
        }
    }
    DK_UNROLL
    for (int j = 0; j < N_O; j++) {
        DK_UNROLL
        for (int e = 0; e < TILE_ACC; e++) {
            const int row = own0 + tile_row(e), c = j * TILE_N + tile_col(e);
            if (row < n && c < a.d)
                a.dqkv[(row0 + row) * ld + head * a.d + c] = TILE_AT(dq[j], e);
        }
    }
}

/* Scores lie turned round here, keys by queries: P^T and dS^T are operands of dV += P^T dO, dK += dS^T Q.  Heads of 128 are made 64 columns at a time, with
 * the scores twice: registers do not hold both results beside both operands. */
#define N_HALF (64 / TILE_N)
DK_BOUNDS(N_THREAD) DK_OCC(D == 128 ? 1 : 2) DK_KERNEL void NAME(attn_train_dkv_)(struct attn_train_args a)
{
    DK_SHARED(u16, s, 2 * KEYS * LD + 2 * N_WAVE * WAVE_P);
    DK_SHARED(float, known, 2 * KEYS);
    const int row0 = a.start[dk_bz()], n = a.start[dk_bz() + 1] - row0, k0 = dk_bx() * ATTN_TRAIN_ROWS, kv = dk_by(), n_group = a.n_head / a.n_kv_head;
    const int own0 = k0 + dk_wave() * TILE_M;
    const long ld = (long)(a.n_head + 2 * a.n_kv_head) * a.d, ld_o = (long)a.n_head * a.d;
    const DK_GLOBAL float *k = a.qkv + row0 * ld + (a.n_head + kv) * a.d, *v = k + a.n_kv_head * a.d;
    DK_LOCAL u16 *qs = s, *os = s + KEYS * LD, *ps = s + 2 * KEYS * LD + dk_wave() * WAVE_P, *ds = ps + N_WAVE * WAVE_P;
    if (k0 >= n)
        return;
    tile_a kf[N_K], vf[N_K];
    tile_c dk[N_HALF], dv[N_HALF];
    DK_UNROLL
    for (int part = 0; part < ATTN_TRAIN_ROWS / KEYS; part++) {          /* a stage has KEYS rows: the waves whose rows these are take them */
        dk_barrier();
        NAME(rows_in_)(qs, k, ld, a.d, k0 + part * KEYS, KEYS, n);
        NAME(rows_in_)(os, v, ld, a.d, k0 + part * KEYS, KEYS, n);
        dk_barrier();
        if (dk_wave() * TILE_M / KEYS == part) {
            DK_UNROLL
            for (int i = 0; i < N_K; i++) {
                kf[i] = tile_load_a(qs + dk_wave() * TILE_M % KEYS * LD + i * TILE_K, LD);
                vf[i] = tile_load_a(os + dk_wave() * TILE_M % KEYS * LD + i * TILE_K, LD);
            }
        }
    }
    const int first = a.all ? first_key(k0, a.window) : k0, k_end = k0 + ATTN_TRAIN_ROWS < n ? k0 + ATTN_TRAIN_ROWS : n;
    const int end = a.window && k_end + a.window - 1 < n ? k_end + a.window - 1 : n;
    DK_ROLLED
    for (int col = 0; col < D; col += 64) {
        clear(dk, N_HALF);
        clear(dv, N_HALF);
        for (int head = kv * n_group; head < (kv + 1) * n_group; head++) {
            const DK_GLOBAL float *q = a.qkv + row0 * ld + head * a.d, *d_o = a.d_o + row0 * ld_o + head * a.d;
            for (int q0 = first; q0 < end; q0 += KEYS) {
                dk_barrier();
                NAME(rows_in_)(qs, q, ld, a.d, q0, KEYS, n);
                NAME(rows_in_)(os, d_o, ld_o, a.d, q0, KEYS, n);
                if (dk_tid() < 2 * KEYS) {
                    const int row = q0 + dk_tid() % KEYS;
                    const long at = (long)(row0 + (row < n ? row : 0)) * a.n_head + head;
                    known[dk_tid()] = dk_tid() < KEYS ? a.lse[at] * DK_LOG2E : a.delta[at];
                }
                dk_barrier();
                DK_UNROLL
                for (int j = 0; j < N_S; j++) {
                    tile_c t[1], dp[1];
                    clear(t, 1);
                    clear(dp, 1);
                    DK_UNROLL
                    for (int i = 0; i < N_K; i++) {
                        t[0] = tile_product(kf[i], tile_load_b(qs + j * TILE_N * LD + i * TILE_K, LD), t[0]);
                        dp[0] = tile_product(vf[i], tile_load_b(os + j * TILE_N * LD + i * TILE_K, LD), dp[0]);
                    }
                    DK_UNROLL
                    for (int e = 0; e < TILE_ACC; e++) {
                        const int c = j * TILE_N + tile_col(e), at = tile_row(e) * LD_P + c;
                        const int there = visible(q0 + c, own0 + tile_row(e), n, a.window, a.all);
                        const float p = there ? dk_exp2(TILE_AT(t[0], e) * (a.scale * DK_LOG2E) - known[c]) : 0.0f;
                        ps[at] = (u16)dk_bf16(p);
                        ds[at] = (u16)dk_bf16(p * (TILE_AT(dp[0], e) - known[KEYS + c]) * a.scale);
                    }
                }
                dk_barrier();
                DK_UNROLL
                for (int i = 0; i < KEYS; i += TILE_K) {
                    const tile_a p = tile_load_a(ps + i, LD_P), d = tile_load_a(ds + i, LD_P);
                    DK_UNROLL
                    for (int j = 0; j < N_HALF; j++) {
                        dv[j] = tile_product(p, tile_load_turned(os + i * LD + col + j * TILE_N, LD), dv[j]);
                        dk[j] = tile_product(d, tile_load_turned(qs + i * LD + col + j * TILE_N, LD), dk[j]);
                    }
                }
            }
        }
        DK_UNROLL
        for (int j = 0; j < N_HALF; j++) {
            DK_UNROLL
            for (int e = 0; e < TILE_ACC; e++) {
                const int row = own0 + tile_row(e), c = col + j * TILE_N + tile_col(e);
                DK_GLOBAL float *to = a.dqkv + (row0 + row) * ld + (a.n_head + kv) * a.d + c;
                if (row >= n || c >= a.d)
                    continue;
                to[0] = TILE_AT(dk[j], e);
                to[(long)a.n_kv_head * a.d] = TILE_AT(dv[j], e);
            }
        }
    }
}
