#include "infer/quality.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "infer/probs.h"

struct sums { double kl, nll_source, nll; int64_t flips; int n, n_target; float *each; };

/* One position; target is the text's next token, or -1. */
static void compare_row(struct sums *s, const float *p, const float *q, int V, int32_t target)
{
    double p_sum, q_sum, kl = 0;
    const int p_best = probs_largest(p, V, &p_sum), q_best = probs_largest(q, V, &q_sum);
    for (int i = 0; i < V; i++) {
        const double lp = (double)p[i] - (double)p[p_best] - p_sum, lq = (double)q[i] - (double)q[q_best] - q_sum;
        kl += exp(lp) * (lp - lq);
    }
    kl = kl > 0 ? kl : 0;          /* rounding */
    s->each[s->n++] = (float)kl;
    s->kl += kl;
    s->flips += p_best != q_best;
    if (target >= 0) {
        s->nll_source -= (double)p[target] - (double)p[p_best] - p_sum;
        s->nll -= (double)q[target] - (double)q[q_best] - q_sum;
        s->n_target++;
    }
}

/* One piece of a window that both engines run: n tokens from position pos. */
static int compare_piece(struct sums *s, struct engine *source, struct engine *other, const int32_t *ids, int pos, int n, bool more, struct err *err)
{
    const struct engine_part part = { 0, pos, n, ids + pos, NULL, 0 };
    const int V = engine_config(source)->vocab_size;
    TRY(engine_run(source, &part, 1, err));
    TRY(engine_run(other, &part, 1, err));
    for (int32_t i = 0; i < n; i++) {
        const float *p, *q;
        TRY(engine_head(source, &i, 1, &p, err));
        TRY(engine_head(other, &i, 1, &q, err));
        compare_row(s, p, q, V, i + 1 < n || more ? ids[pos + i + 1] : -1);
        if (!isfinite(s->each[s->n - 1]))
            return ERR(err, NUMERIC, "a model gave values that are not finite at position %d", pos + i);
    }
    return 0;
}

static int compare_window(struct sums *s, struct engine *source, struct engine *other, const int32_t *ids, int n, struct err *err)
{
    const int a = engine_step_tokens(source), b = engine_step_tokens(other), step = a < b ? a : b;
    for (int at = 0; at < n; at += step) {
        const int k = n - at < step ? n - at : step;
        TRY(compare_piece(s, source, other, ids, at, k, at + k < n, err));
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int compare_all(struct sums *s, int32_t *window, struct engine *source, struct engine *other, const int32_t *ids, int n, int ctx, int32_t bos, struct err *err)
{
    const int lead = bos >= 0;
    for (int at = 0; at < n; at += ctx - lead) {
        const int k = n - at < ctx - lead ? n - at : ctx - lead;
        window[0] = bos;
        memcpy(window + lead, ids + at, (size_t)k * sizeof *ids);
        TRY(compare_window(s, source, other, window, k + lead, err));
    }
    return 0;
}

int quality_compare(struct quality *out, struct engine *source, struct engine *other, const int32_t *ids, int n, int ctx, int32_t bos, struct err *err)
{
    if (n < 2 || ctx < 2 || ctx > engine_ctx(source) || ctx > engine_ctx(other))
        return ERR(err, RANGE, "%d tokens in windows of %d to compare two models, expected 2 or more, within the models' %d positions", n, ctx, engine_ctx(source));
    if (engine_config(source)->vocab_size != engine_config(other)->vocab_size)
        return ERR(err, RANGE, "the models have %d and %d tokens, expected the same vocabulary", engine_config(source)->vocab_size, engine_config(other)->vocab_size);
    struct sums s = { .each = mem_alloc_array((size_t)n + (size_t)(n / (ctx - 1)) + 1, sizeof *s.each) };
    int32_t *window = mem_alloc_array((size_t)ctx, sizeof *window);
    int rc = s.each && window ? compare_all(&s, window, source, other, ids, n, ctx, bos, err) : ERR(err, NOMEM, "no memory to compare %d tokens", n);
    if (!rc) {
        qsort(s.each, (size_t)s.n, sizeof *s.each, by_value);
        *out = (struct quality){ s.n, s.kl / s.n, (double)s.each[(size_t)s.n * 99 / 100], (double)s.each[s.n - 1], (double)s.flips / s.n,
                                 s.nll_source / s.n_target, s.nll / s.n_target };
    }
    mem_free(s.each);
    mem_free(window);
    return rc;
}
