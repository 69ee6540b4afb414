/* Mixtures of experts around their products: which experts a token goes to, the order of rows by expert, and their sum.  Definitions: nn/op_moe.c.
 *
 * No atomics: every list is in a fixed order, whatever the device. */
#include "gpu/dk.h"
#include "gpu/args.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)
#define NONE 0x7fffffff
#define INF __builtin_inff()

DK_INLINE int shfl_xor_int(int v, int m) { return (int)dk_bits(dk_shfl_xor(dk_float((u32)v), m)); }
DK_INLINE int wave_sum_int(int v)
{
    DK_UNROLL
    for (int m = DK_WAVE / 2; m; m >>= 1)
        v += shfl_xor_int(v, m);
    return v;
}
/* How many of the lanes before this one have v set; of all: *total. */
DK_INLINE int wave_rank(int v, int *total)
{
    int before = 0, all = v;
    DK_UNROLL
    for (int m = 1; m < DK_WAVE; m <<= 1) {
        const int other = shfl_xor_int(all, m);
        before += dk_lane() & m ? other : 0;
        all += other;
    }
    *total = all;
    return before;
}

/* A candidate is before another: larger, then lower number.  Where none is larger, as among NaN, the number alone decides. */
struct best { float v; int i; };
DK_INLINE int before(struct best a, struct best b) { return a.v > b.v || (!(a.v < b.v) && a.i < b.i); }
DK_INLINE struct best wave_best(struct best own)
{
    DK_UNROLL
    for (int m = DK_WAVE / 2; m; m >>= 1) {
        const struct best other = { dk_shfl_xor(own.v, m), shfl_xor_int(own.i, m) };
        if (before(other, own))
            own = other;
    }
    return own;
}

/* ---- the router: a wave a token; a lane has experts lane, lane + DK_WAVE, .., a bit of a mask each ---- */

/* Of n numbers, those that are not taken. */
DK_INLINE struct best own_best(const DK_LOCAL float *p, int n, u32 taken)
{
    struct best b = { -INF, NONE };
    for (int i = 0, e = dk_lane(); e < n; i++, e += DK_WAVE) {
        const struct best c = { p[e], e };
        if (!(taken >> i & 1) && (b.i == NONE || before(c, b)))
            b = c;
    }
    return b;
}

/* Scores of a group: the sum of its `best` (1 or 2) largest; all lanes get it. */
DK_INLINE float group_score(const DK_LOCAL float *p, int first, int size, int best)
{
    float one = -INF, two = -INF;
    for (int e = first + dk_lane(); e < first + size; e += DK_WAVE) {
        const float v = p[e];
        two = v > one ? one : v > two ? v : two;
        one = v > one ? v : one;
    }
    for (int m = DK_WAVE / 2; m; m >>= 1) {
        const float a = dk_shfl_xor(one, m), b = dk_shfl_xor(two, m), less = a > one ? one : a;
        two = b > two ? b : two;
        two = less > two ? less : two;
        one = dk_max(one, a);
    }
    return best > 1 ? one + two : one;
}

/* Scores outside of the best groups become -inf: lane g has group g. */
DK_INLINE void keep_groups(const struct moe_route_args *a, DK_LOCAL float *p)
{
    const int size = a->E / a->n_group;
    float own = -INF;
    for (int g = 0; g < a->n_group; g++) {
        const float score = group_score(p, g * size, size, a->group_best);
        own = dk_lane() == g ? score : own;
    }
    u32 kept = 0;
    for (int j = 0; j < a->n_group_chosen; j++) {
        const int free = dk_lane() < a->n_group && !(kept >> (dk_lane() & 31) & 1);
        const struct best mine = { free ? own : -INF, free ? dk_lane() : NONE };
        kept |= 1u << (wave_best(mine).i & 31);
    }
    dk_barrier();
    for (int e = dk_lane(); e < a->E; e += DK_WAVE)
        p[e] = kept >> (e / size) & 1 ? p[e] : -INF;
}

/* p[e] = probabilities of the token, in shared memory and, if wanted, out. */
DK_INLINE void set_scores(const struct moe_route_args *a, const DK_GLOBAL float *x, DK_LOCAL float *p, DK_GLOBAL float *out)
{
    float most = -INF, sum = 0;
    for (int e = dk_lane(); e < a->E && !a->sigmoid; e += DK_WAVE)
        most = dk_max(most, x[e]);
    most = dk_wave_max(most);
    for (int e = dk_lane(); e < a->E && !a->sigmoid; e += DK_WAVE)
        sum += dk_exp2((x[e] - most) * DK_LOG2E);
    sum = dk_wave_sum(sum);
    for (int e = dk_lane(); e < a->E; e += DK_WAVE) {
        p[e] = a->sigmoid ? 1.0f / (1.0f + dk_exp2(-DK_LOG2E * x[e])) : dk_exp2((x[e] - most) * DK_LOG2E) / sum;
        if (out)
            out[e] = p[e];
    }
}

/* Tokens beyond the last are reckoned as the last one and not written. */
DK_BOUNDS(N_THREAD) DK_KERNEL void moe_route(struct moe_route_args a)
{
    DK_SHARED(float, probs, N_WAVE * GPU_EXPERTS_MAX);
    DK_SHARED(float, scores, N_WAVE * GPU_EXPERTS_MAX);
    const int own = dk_bx() * N_WAVE + dk_wave(), there = own < a.T, t = there ? own : a.T - 1;
    DK_LOCAL float *p = probs + dk_wave() * GPU_EXPERTS_MAX, *score = scores + dk_wave() * GPU_EXPERTS_MAX;
    set_scores(&a, a.logits + (long)t * a.E, p, a.probs && there ? a.probs + (long)t * a.E : 0);
    for (int e = dk_lane(); e < a.E; e += DK_WAVE)
        score[e] = p[e] + (a.correction ? a.correction[e] : 0.0f);
    dk_barrier();
    if (a.group_best)
        keep_groups(&a, score);
    dk_barrier();
    u32 taken = 0;
    for (int j = 0; j < a.k; j++) {
        const int e = wave_best(own_best(score, a.E, taken)).i;
        taken |= e % DK_WAVE == dk_lane() ? 1u << (e / DK_WAVE & 31) : 0u;
    }
    dk_barrier();
    /* The chosen ones' probabilities and numbers, ascending, in place of the scores. */
    int n = 0;
    for (int i = 0; i * DK_WAVE < a.E; i++) {
        int in_row;
        const int at = n + wave_rank((int)(taken >> i & 1), &in_row);
        if (taken >> i & 1) {
            score[at] = p[i * DK_WAVE + dk_lane()];
            if (there)
                a.expert[(long)t * a.k + at] = i * DK_WAVE + dk_lane();
        }
        n += in_row;
    }
    dk_barrier();
    float sum = a.sigmoid ? 1e-20f : 0.0f;
    for (int j = 0; j < a.k; j++)
        sum += score[j];
    for (int j = dk_lane(); j < a.k && there; j += DK_WAVE)
        a.gate[(long)t * a.k + j] = score[j] / (a.norm_topk ? sum : 1.0f) * a.scale;
}

/* ---- rows by expert: a wave an expert reads all pairs twice ---- */

DK_BOUNDS(N_THREAD) DK_KERNEL void moe_sort(struct moe_sort_args a)
{
    const int e = dk_bx() * N_WAVE + dk_wave(), n = a.T * a.k;
    int less = 0, found = 0;
    for (int i = dk_lane(); i < n; i += DK_WAVE) {
        const int x = a.expert[i];
        less += x < e;
        found += x == e;
    }
    int at = wave_sum_int(less);
    found = wave_sum_int(found);
    if (e >= a.E)
        return;
    if (dk_lane() == 0)
        a.start[e] = at;
    if (e == a.E - 1 && dk_lane() == 0)
        a.start[a.E] = n;
    for (int i0 = 0; i0 < n && found > 0; i0 += DK_WAVE) {
        const int i = i0 + dk_lane(), mine = i < n && a.expert[i < n ? i : 0] == e;
        int all;
        const int to = at + wave_rank(mine, &all);
        if (mine) {
            a.row[to] = i / a.k;
            a.slot[i] = to;
            if (a.sorted_gate)
                a.sorted_gate[to] = a.gate[i];
        }
        at += all;
        found -= all;
    }
}

/* Thread i has experts 256 j + i; a running number of tiles goes on from one 256 to the next. */
DK_BOUNDS(N_THREAD) DK_KERNEL void moe_tiles(struct moe_tiles_args a)
{
    DK_SHARED(int, waves, N_WAVE);
    DK_GLOBAL u32x4 *tile = (DK_GLOBAL u32x4 *)a.tile;
    int base = 0;
    for (int e0 = 0; e0 < a.E; e0 += N_THREAD) {
        const int e = e0 + dk_tid(), first = e < a.E ? a.start[e] : 0, rows = e < a.E ? a.start[e + 1] - first : 0, n = (rows + a.size - 1) / a.size;
        int all, at = base + wave_rank(n, &all);
        dk_barrier();
        if (dk_lane() == 0)
            waves[dk_wave()] = all;
        dk_barrier();
        for (int w = 0; w < N_WAVE; w++) {
            at += w < dk_wave() ? waves[w] : 0;
            base += waves[w];
        }
        for (int i = 0; i < n && at + i < a.n_tile; i++) {
            const int left = rows - i * a.size;
            const u32x4 v = { (u32)e, (u32)(first + i * a.size), (u32)(left < a.size ? left : a.size), 0 };
            tile[at + i] = v;
        }
    }
    for (int i = base + dk_tid(); i < a.n_tile; i += N_THREAD) {
        const u32x4 none = { 0, 0, 0, 0 };
        tile[i] = none;
    }
}

/* ---- a token's rows together ---- */

DK_BOUNDS(N_THREAD) DK_KERNEL void moe_combine(struct moe_combine_args a)
{
    const int n4 = a.C / 4;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), t = i / n4, c = i % n4 * 4;
    if (t >= a.T)
        return;
    const f32x4 zero = { 0, 0, 0, 0 };
    f32x4 sum = a.add ? *(const DK_GLOBAL f32x4 *)(a.add + t * a.ld_add + c) : zero;
    for (int j = 0; j < a.k; j++) {
        const int at = a.slot[t * a.k + j];
        sum += *(const DK_GLOBAL f32x4 *)(a.x + at * a.ld_x + c) * (a.gate ? a.gate[at] : 1.0f);
    }
    *(DK_GLOBAL f32x4 *)(a.y + t * a.ld_y + c) = sum;
}
