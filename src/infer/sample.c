#include "infer/sample.h"
#include <math.h>
#include <stdlib.h>
#include "base/rng.h"

#define COLD 1e-6                /* below, the largest logit, as at 0 */

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
    int n = 0;
    for (int i = 0, k = 0; i < ids.n; i++, k++)
        for (const int end = run_end(ids, k); i < end; i++) {
            out[n] = i;
            n += (double)x[i] >= least;
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

/* A heap of all ids gives them in order, as many as are needed: the tail of the vocabulary is never sorted. */
int sample_token(const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch)
{
    const int best = argmax(logits, ids);
    if (best < 0 || s->temperature < COLD || s->top_k == 1)
        return best;
    const double max = (double)logits[best], inverse = 1 / s->temperature;
    const double u = rng_uniform(rng_key(s->seed, "sample"), position);
    double total = 0;
    int32_t *heap = scratch.id;
    const int n = list_ids(ids, logits, s->min_p > 0 ? max + s->temperature * log(s->min_p) : -INFINITY, heap);
    if (s->top_k <= 0 || s->top_k >= n)                /* before the heap gives them another order */
        for (int i = 0; i < n; i++)
            total += exp(((double)logits[heap[i]] - max) * inverse);
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(logits, heap, n, i);
    /* the chosen ones are taken off the heap's top and kept behind its end, the first at n - 1 */
    const int limit = s->top_k > 0 && s->top_k < n ? s->top_k : n;
    double mass = 0;
    int taken = 0;
    if (limit < n) {                                   /* top-k first: its mass is what top-p is a share of */
        for (; taken < limit; taken++) {
            const int32_t id = heap[0];
            heap[0] = heap[n - taken - 1], heap[n - taken - 1] = id;
            sift(logits, heap, n - taken - 1, 0);
            scratch.p[taken] = (float)exp(((double)logits[id] - max) * inverse);
            total += (double)scratch.p[taken];
        }
        int kept = 0;
        while (kept < taken && (kept == 0 || mass < s->top_p * total))
            mass += (double)scratch.p[kept++];
        taken = kept;
    } else if (s->top_p >= 1) {                        /* all of them: only those before the drawn one need be in order */
        double at = u * total;
        for (; taken < n; taken++) {
            const int32_t id = heap[0];
            at -= exp(((double)logits[id] - max) * inverse);
            if (at < 0 || taken == n - 1)
                return id;
            heap[0] = heap[n - taken - 1];
            sift(logits, heap, n - taken - 1, 0);
        }
    } else {
        while (taken < n && (taken == 0 || mass < s->top_p * total)) {
            const int32_t id = heap[0];
            heap[0] = heap[n - taken - 1], heap[n - taken - 1] = id;
            sift(logits, heap, n - taken - 1, 0);
            scratch.p[taken] = (float)exp(((double)logits[id] - max) * inverse);
            mass += (double)scratch.p[taken++];
        }
    }
    double at = u * mass;
    for (int i = 0; i < taken; i++) {
        at -= (double)scratch.p[i];
        if (at < 0)
            return heap[n - 1 - i];
    }
    return heap[n - taken];
}
