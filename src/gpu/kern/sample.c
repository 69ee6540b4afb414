/* From logits to tokens on the device: the draw of infer/sample.c's sample_token_exact(), to the bit, and the penalties of infer/answer.h.
 *
 * Ids are in order of their logits, larger first, then the lower id: one number of 52 bits, digit by digit of 4.  The first id up to which there is so
 * much of something, of probability or of ids, is found as in a radix sort, but for the sorting: sums by the next digit, the digit in which
 * the goal lies, and so on until one id is left.  Sums are whole numbers, so that their order does not matter: probabilities in 2^-44 of the largest. */
#include "gpu/dk.h"
#include "gpu/args.h"
#ifdef DK_DEVICE
#pragma OPENCL FP_CONTRACT OFF
#endif
#include "cpu/draw.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)
#define ID_BITS 20
#define DIGITS ((32 + ID_BITS) / 4)
#define NO_ID 0x7fffffff

/* ---- numbers ---- */

/* 53 random bits: base/rng.h's rng_uniform() times 2^53. */
DK_INLINE u64 random_53(u64 key, u64 position)
{
    u32 k0 = (u32)key, k1 = (u32)(key >> 32), c0 = (u32)position, c1 = (u32)(position >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        const u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c1 = (u32)p1;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return ((u64)c1 << 32 | c0) >> 11;
}

DK_INLINE int shfl_xor_32(int v, int m) { return (int)dk_bits(dk_shfl_xor(dk_float((u32)v), m)); }
/* ---- a row ---- */

struct sample_row { const DK_GLOBAL float *x; const DK_GLOBAL u32 *allowed; int n; double most, inverse; };
DK_INLINE int is_allowed(const struct sample_row *r, int id) { return r->allowed ? r->allowed[id >> 5] >> (id & 31) & 1 : 1; }
DK_INLINE u64 place_of(float x, int id) { return (u64)draw_rank(x) << ID_BITS | (u32)id; }

/* The largest and its id (NO_ID: there is none); *nan: among them is what is no number.  All threads get it. */
struct largest { float x; int id; };
DK_INLINE struct largest row_largest(const struct sample_row *r, int *nan, DK_LOCAL float *xs, DK_LOCAL int *ids)
{
    struct largest own = { 0, NO_ID };
    int bad = 0;
    for (int i = dk_tid(); i < r->n; i += N_THREAD)
        if (is_allowed(r, i)) {
            const float x = r->x[i];
            bad |= x != x;
            if (own.id == NO_ID || x > own.x) {
                own.x = x;
                own.id = i;
            }
        }
    DK_UNROLL
    for (int m = DK_WAVE / 2; m; m >>= 1) {
        const struct largest other = { dk_shfl_xor(own.x, m), shfl_xor_32(own.id, m) };
        bad |= shfl_xor_32(bad, m);
        if (other.id != NO_ID && (own.id == NO_ID || other.x > own.x || (other.x == own.x && other.id < own.id)))
            own = other;
    }
    if (dk_lane() == 0) {
        xs[dk_wave()] = own.x;
        ids[dk_wave()] = own.id;
        ids[N_WAVE + dk_wave()] = bad;
    }
    dk_barrier();
    struct largest best = { xs[0], ids[0] };
    *nan = ids[N_WAVE];
    for (int w = 1; w < N_WAVE; w++) {
        *nan |= ids[N_WAVE + w];
        if (ids[w] != NO_ID && (best.id == NO_ID || xs[w] > best.x || (xs[w] == best.x && ids[w] < best.id))) {
            best.x = xs[w];
            best.id = ids[w];
        }
    }
    return best;
}

/* What there shall be up to the place that is looked for: `share` of 2^53 of all, or so much, at least; more than that; so many ids. */
enum { GOAL_AT_LEAST, GOAL_MORE, GOAL_IDS };
/* Shared memory of a search: sums by digit, a column for each thread; how many each thread saw; sums of 16 columns; of all, and a place. */
struct sums { DK_LOCAL u64 *bins, *part, *all; DK_LOCAL u32 *seen; };

/* all[digit] = sums of the columns, all[16] = how many were seen. */
DK_INLINE void sum_columns(const struct sums *m)
{
    const int t = dk_tid(), digit = t / 16;
    u64 sum = 0;
    dk_barrier();
    for (int i = 0; i < 16; i++)
        sum += m->bins[digit * N_THREAD + t % 16 * 16 + i];
    m->part[t] = sum;
    sum = 0;
    for (int i = 0; i < 16 && t < 16; i++)
        sum += m->seen[16 * t + i];
    if (t < 16)
        m->part[N_THREAD + t] = sum;
    dk_barrier();
    sum = 0;
    for (int i = 0; i < 16 && t < 17; i++)
        sum += m->part[16 * t + i];
    if (t < 17)
        m->all[t] = sum;
    dk_barrier();
}

/* The first place up to which the goal is reached, among those up to `last`. */
DK_INLINE u64 row_find(const struct sample_row *r, u64 last, int goal_is, u64 share, const struct sums *m)
{
    u64 prefix = 0, goal = share;
    for (int d = 0; d < DIGITS; d++) {
        const int shift = 4 * (DIGITS - 1 - d);
        u64 place_seen = 0;
        u32 n_seen = 0;
        for (int b = 0; b < 16; b++)
            m->bins[b * N_THREAD + dk_tid()] = 0;
        for (int i = dk_tid(); i < r->n; i += N_THREAD) {
            const float x = r->x[i];
            const u64 place = place_of(x, i);
            if (place > last || place >> shift >> 4 != prefix || !is_allowed(r, i))
                continue;
            m->bins[(int)(place >> shift & 15) * N_THREAD + dk_tid()] += goal_is == GOAL_IDS ? 1 : draw_weight(((double)x - r->most) * r->inverse);
            n_seen++;
            place_seen = place;
        }
        m->seen[dk_tid()] = n_seen;
        sum_columns(m);
        if (d == 0) {
            u64 all = 0;
            for (int b = 0; b < 16; b++)
                all += m->all[b];
            goal = goal_is == GOAL_IDS ? share : draw_share(share, all, goal_is == GOAL_AT_LEAST) + (goal_is == GOAL_MORE);
            goal = goal < 1 ? 1 : goal > all ? all : goal;
        }
        const int alone = m->all[16] == 1;
        if (alone && n_seen)
            m->all[17] = place_seen;
        int digit = 0;
        while (digit < 15 && m->all[digit] < goal)
            goal -= m->all[digit++];
        prefix = prefix << 4 | (u32)digit;
        dk_barrier();
        if (alone)
            return m->all[17];
    }
    return prefix;
}

/* Of x >= least only, as floats: the last place that can be. */
DK_INLINE u64 last_place(double least)
{
    float from = (float)least;
    if ((double)from < least) {                             /* the next float up */
        const u32 bits = dk_bits(from + 0.0f);
        from = dk_float(bits >> 31 ? bits - 1 : bits + 1);
    }
    return (u64)draw_rank(from) << ID_BITS | ((1u << ID_BITS) - 1);
}

DK_BOUNDS(N_THREAD) DK_KERNEL void sample_draw(struct sample_args a)
{
    DK_SHARED(u64, bins, 16 * N_THREAD);
    DK_SHARED(u64, part, N_THREAD + 16);
    DK_SHARED(u64, all, 18);
    DK_SHARED(u32, seen, N_THREAD);
    DK_SHARED(float, xs, N_WAVE);
    DK_SHARED(int, ids, 2 * N_WAVE);
    const struct sums m = { bins, part, all, seen };
    const int row = dk_bx();
    const DK_GLOBAL struct gpu_sampling *s = a.sampling + row;
    struct sample_row r = { a.logits + row * a.ld_logits, a.allowed ? a.allowed + row * a.ld_allowed : 0, a.n, 0, s->inverse };
    int nan;
    if (dk_tid() == 0)
        all[17] = 0;
    const struct largest best = row_largest(&r, &nan, xs, ids);
    int id = nan || best.id == NO_ID ? -1 : best.id;
    r.most = (double)best.x;
    if (id >= 0 && s->inverse > 0) {
        u64 last = last_place(r.most + s->width);
        if (s->top_k > 0 && s->top_k < a.n)
            last = row_find(&r, last, GOAL_IDS, (u64)s->top_k, &m);
        if (s->top_p < (u64)1 << 53)
            last = row_find(&r, last, GOAL_AT_LEAST, s->top_p, &m);
        id = (int)(row_find(&r, last, GOAL_MORE, random_53(s->key, a.position[row]), &m) & ((1u << ID_BITS) - 1));
    }
    dk_barrier();
    if (dk_tid() != 0)
        return;
    a.id[row] = id;
    a.position[row]++;
    if (a.met && id >= 0)
        a.met[row * a.ld_met + id]++;
}

/* ---- what was met ---- */

/* A thread an id. */
DK_BOUNDS(N_THREAD) DK_KERNEL void sample_penalise(struct penalise_args a)
{
    const int id = dk_bx() * N_THREAD + dk_tid(), row = dk_by();
    if (id >= a.n)
        return;
    const DK_GLOBAL struct gpu_penalties *p = a.penalties + row;
    const u32 met = a.met[row * a.ld_met + id], n = met & 0x7fffffffu;
    if (!met)
        return;
    DK_GLOBAL float *x = a.logits + row * a.ld_logits + id;
    double l = (double)*x;
    if (p->repetition != 1)
        l = l > 0 ? l / p->repetition : l * p->repetition;
    if (n)
        l -= p->presence + (double)n * p->frequency;
    *x = (float)l;
}
