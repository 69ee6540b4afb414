#include "infer/sample.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/rng.h"
#include "cpu/draw.h"
#include "cpu/kernels.h"

#define COLD 1e-6                /* below, the largest logit, as at 0 */
#define WIDTH 6.                 /* in temperatures: what is first listed is at least e^-6 times as likely as the likeliest */
#define WIDTH_MAX 50.            /* beyond, all are listed */
#define MANY 1024                /* of more a radix sort makes an order in less time than a heap */
#define DIGIT 11                 /* bits of one */
#define MARGIN 1e-6              /* more mass than needed, for sums in another order */

struct sample_ids sample_ids(const struct tok *t, int vocab_size)
{
    struct sample_ids ids = { .n = vocab_size };
    if (t)
        ids.n = tok_vocab_size(t), ids.gap = tok_gaps(t, &ids.n_gap);
    return ids;
}

/* Where a run of ids ends: at the next gap, n_seen of which are behind, or after the last id. */
static int run_end(struct sample_ids ids, int n_seen) { return n_seen < ids.n_gap && ids.gap[n_seen] < ids.n ? ids.gap[n_seen] : ids.n; }

static int argmax(const float *x, struct sample_ids ids)
{
    int best = -1;
    for (int i = 0, k = 0; i < ids.n; i++, k++)               /* past a gap */
        for (const int end = run_end(ids, k); i < end; i++) {
            if (x[i] != x[i])
                return -1;
            if (best < 0 || x[i] > x[best])
                best = i;
        }
    return best;
}

/* Of logits from `least` on. */
static int list_ids(struct sample_ids ids, const float *x, double least, int32_t *out)
{
    float from = (float)least;
    from = (double)from < least ? nextafterf(from, INFINITY) : from;
    int n = 0;
    for (int i = 0, k = 0; i < ids.n; i++, k++)
        for (const int end = run_end(ids, k); i < end; i++) {
            out[n] = i;
            n += x[i] >= from;
        }
    return n;
}

/* Is token a before b: larger logit, then lower id. */
static int before(const float *x, int32_t a, int32_t b) { return x[a] != x[b] ? x[a] > x[b] : a < b; }

static void sift(const float *x, int32_t *heap, int n, int i)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && before(x, heap[child + 1], heap[child]);
        if (!before(x, heap[child], heap[i]))
            return;
        const int32_t swap = heap[i];
        heap[i] = heap[child], heap[child] = swap;
    }
}

/* Sorts ascending ids as before() has it: stably, digit by digit, from id to other and back.  Gives whichever it ends in. */
static int32_t *sort_ids(const float *x, int32_t *id, int32_t *other, int n)
{
    int32_t start[3][1 << DIGIT] = { 0 };
    for (int i = 0; i < n; i++)
        for (int d = 0; d < 3; d++)
            start[d][draw_rank(x[id[i]]) >> d * DIGIT & ((1 << DIGIT) - 1)]++;
    for (int d = 0; d < 3; d++) {
        int32_t at = 0;
        for (int k = 0; k < 1 << DIGIT; k++) {
            const int32_t count = start[d][k];
            start[d][k] = at, at += count;
        }
        for (int i = 0; i < n; i++)
            other[start[d][draw_rank(x[id[i]]) >> d * DIGIT & ((1 << DIGIT) - 1)]++] = id[i];
        int32_t *const swap = id;
        id = other, other = swap;
    }
    return id;
}

/* Of all ids at a temperature, as floats by id. */
static void probabilities(struct sample_ids ids, const float *x, double max, double inverse, float *p)
{
    const float m = (float)max, f = (float)inverse;
    for (int i = 0; i < ids.n; i++)
        p[i] = (x[i] - m) * f;
    for (int k = 0; k < ids.n_gap && ids.gap[k] < ids.n; k++)
        p[ids.gap[k]] = -INFINITY;
    cpu_kernels()->softmax(1, ids.n, p, ids.n, p, ids.n, NULL);
}

/* What a draw is made from: p by id, or where that is NULL exp((x - max) * inverse). */
struct weights { const float *x, *p; double max, inverse; };
static double weight(const struct weights *w, int32_t id) { return w->p ? (double)w->p[id] : (double)(float)exp(((double)w->x[id] - w->max) * w->inverse); }

static double mass_of(const struct weights *w, const int32_t *id, int n)
{
    double mass = 0;
    for (int i = 0; i < n; i++)
        mass += weight(w, id[i]);
    return mass;
}

/* The likeliest ids, as many as have this mass, or where there is no p, k of them at least: looked for ever further from the largest, so
 * that the tail of a vocabulary is seldom listed. */
static int list_likeliest(struct sample_ids ids, const struct weights *w, double mass, int k, int32_t *out)
{
    for (double width = WIDTH / w->inverse;; width *= 2) {
        const bool all = width * w->inverse > WIDTH_MAX;
        const int n = list_ids(ids, w->x, all ? -INFINITY : w->max - width, out);
        if (all || (w->p ? mass_of(w, out, n) > mass * (1 + MARGIN) : n >= k))
            return n;
    }
}

/* Takes the top off a heap of n and keeps it behind the heap's end. */
static int32_t pop(const float *x, int32_t *heap, int n)
{
    const int32_t id = heap[0];
    heap[0] = heap[n - 1], heap[n - 1] = id;
    sift(x, heap, n - 1, 0);
    return id;
}

/* Ids by rank: sorted, or a heap that gives those that are asked for, of which the first stands last. */
struct order { const float *x; int32_t *id; int n, n_taken; bool sorted; };

/* At most `most` will be asked for.  room: for n more. */
static struct order order_of(const float *x, int32_t *id, int32_t *room, int n, int most)
{
    if (most > MANY)
        return (struct order){ x, sort_ids(x, id, room, n), n, n, true };
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(x, id, n, i);
    return (struct order){ x, id, n, 0, false };
}

static int32_t ranked(struct order *o, int i)
{
    if (o->sorted)
        return o->id[i];
    for (; o->n_taken <= i; o->n_taken++)
        pop(o->x, o->id, o->n - o->n_taken);
    return o->id[o->n - 1 - i];
}

int sample_token(const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch)
{
    const int best = argmax(logits, ids);
    if (best < 0 || s->temperature < COLD || s->top_k == 1)
        return best;
    const double u = rng_uniform(rng_key(s->seed, "sample"), position);
    struct weights w = { .x = logits, .max = (double)logits[best], .inverse = 1 / s->temperature };
    const bool limited = s->top_k > 0 && s->top_k < ids.n;
    int32_t *id = scratch.id;
    if (!limited && s->min_p <= 0) {
        probabilities(ids, logits, w.max, w.inverse, scratch.p);
        w.p = scratch.p;
    }
    const int n = s->min_p > 0 ? list_ids(ids, logits, w.max + s->temperature * log(s->min_p), id) : list_likeliest(ids, &w, s->top_p < 1 ? s->top_p : u, s->top_k, id);
    const int limit = limited && s->top_k < n ? s->top_k : n;
    double total = w.p ? 1 : limit == n ? mass_of(&w, id, n) : 0, mass = 0;
    struct order o = order_of(logits, id, id + ids.n, n, limit);
    for (int i = 0; limit < n && i < limit; i++)       /* top-k first: its mass is what top-p is a share of */
        total += weight(&w, ranked(&o, i));
    if (s->top_p >= 1 && limit == n) {                 /* all of them: only those before the drawn one need be in order */
        double at = u * total;
        for (int i = 0;; i++)
            if ((at -= weight(&w, ranked(&o, i))) < 0 || i == n - 1)
                return ranked(&o, i);
    }
    int kept = 0;
    for (; kept < limit && (kept == 0 || mass < s->top_p * total); kept++)
        mass += weight(&w, ranked(&o, kept));
    double at = u * mass;
    for (int i = 0; i < kept; i++)
        if ((at -= weight(&w, ranked(&o, i))) < 0)
            return ranked(&o, i);
    return ranked(&o, kept - 1);
}

/* ---- the same, in whole numbers ---- */

#define NOTHING 31.              /* temperatures below the largest: less than 2^-44 of it */

struct exact { const float *x; double max, inverse; };
static uint64_t exact_weight(const struct exact *w, int32_t id) { return draw_weight(((double)w->x[id] - w->max) * w->inverse); }
static uint64_t clamped(uint64_t goal, uint64_t all) { return goal < 1 ? 1 : goal > all ? all : goal; }

/* The place, of the first n, at which the sum of weights reaches the goal; *sum: what it is there. */
static int exact_place(const struct exact *w, struct order *o, int n, uint64_t goal, uint64_t *sum)
{
    int i = 0;
    for (*sum = exact_weight(w, ranked(o, 0)); *sum < goal && i + 1 < n;)
        *sum += exact_weight(w, ranked(o, ++i));
    return i;
}

int sample_token_exact(const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch)
{
    const int best = argmax(logits, ids);
    if (best < 0 || s->temperature < COLD || s->top_k == 1)
        return best;
    const struct exact w = { logits, (double)logits[best], 1 / s->temperature };
    const double width = s->min_p > 0 ? fmin(-s->temperature * log(s->min_p), NOTHING * s->temperature) : NOTHING * s->temperature;
    const int n = list_ids(ids, logits, w.max - width, scratch.id), limit = s->top_k > 0 && s->top_k < n ? s->top_k : n;
    struct order o = order_of(logits, scratch.id, scratch.id + ids.n, n, limit);
    uint64_t all = 0, sum;
    for (int i = 0; i < limit; i++)
        all += exact_weight(&w, limit < n || o.sorted ? ranked(&o, i) : o.id[i]);
    int kept = limit;
    if (s->top_p < 1) {
        const uint64_t p = s->top_p <= 0 ? 0 : (uint64_t)ceil(ldexp(s->top_p, 53));
        kept = 1 + exact_place(&w, &o, limit, clamped(draw_share(p, all, 1), all), &all);
    }
    const uint64_t u = (uint64_t)ldexp(rng_uniform(rng_key(s->seed, "sample"), position), 53);
    return ranked(&o, exact_place(&w, &o, kept, clamped(draw_share(u, all, 0) + 1, all), &sum));
}
