#include "infer/sample.h"
#include <math.h>
#include <stdlib.h>
#include "base/rng.h"
#include "cpu/kernels.h"

#define COLD 1e-6                /* below, the largest logit, as at 0 */
#define WIDTH 6.                 /* in temperatures: what is first listed is at least e^-6 times as likely as the likeliest */
#define WIDTH_MAX 50.            /* beyond, all are listed */
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

/* A heap gives the listed ids in order, as many as are needed; the first that was taken stands at n - 1. */
int sample_token(const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch)
{
    const int best = argmax(logits, ids);
    if (best < 0 || s->temperature < COLD || s->top_k == 1)
        return best;
    const double u = rng_uniform(rng_key(s->seed, "sample"), position);
    struct weights w = { .x = logits, .max = (double)logits[best], .inverse = 1 / s->temperature };
    const bool limited = s->top_k > 0 && s->top_k < ids.n;
    int32_t *heap = scratch.id;
    if (!limited && s->min_p <= 0) {
        probabilities(ids, logits, w.max, w.inverse, scratch.p);
        w.p = scratch.p;
    }
    const int n = s->min_p > 0 ? list_ids(ids, logits, w.max + s->temperature * log(s->min_p), heap) : list_likeliest(ids, &w, s->top_p < 1 ? s->top_p : u, s->top_k, heap);
    const int limit = limited && s->top_k < n ? s->top_k : n;
    double total = w.p ? 1 : limit == n ? mass_of(&w, heap, n) : 0, mass = 0;
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(logits, heap, n, i);
    int taken = 0, kept = 0;
    for (; limit < n && taken < limit; taken++)        /* top-k first: its mass is what top-p is a share of */
        total += weight(&w, pop(logits, heap, n - taken));
    if (s->top_p >= 1 && limit == n) {                 /* all of them: only those before the drawn one need be in order */
        for (double at = u * total;; taken++) {
            const int32_t id = pop(logits, heap, n - taken);
            if ((at -= weight(&w, id)) < 0 || taken == n - 1)
                return id;
        }
    }
    for (; kept < limit && (kept == 0 || mass < s->top_p * total); kept++) {
        const int32_t id = kept < taken ? heap[n - 1 - kept] : pop(logits, heap, n - kept);
        mass += weight(&w, id);
    }
    double at = u * mass;
    for (int i = 0; i < kept; i++)
        if ((at -= weight(&w, heap[n - 1 - i])) < 0)
            return heap[n - 1 - i];
    return heap[n - kept];
}
