#include "infer/signals.h"
#include <math.h>
#include <stddef.h>
#include "base/rng.h"
#include "cpu/kernels.h"

static float logprob_of(const float *logits, int V, int32_t id)
{
    float nll;
    const struct ce p = { .n_row = 1, .V = V, .x = (float *)(uintptr_t)logits, .ld = V, .target = &id, .nll = &nll };       /* without a gradient x is read only */
    cpu_kernels()->cross_entropy(&p);
    return -nll;
}

/* With d = x - max and p = e^d / sum: -log p = log sum - d, so the entropy is log sum - (sum of e^d d) / sum. */
static void look(struct token_signal *s, const float *logits, int V)
{
    struct logit_moments m;
    cpu_kernels()->logit_moments(V, logits, &m);
    const double entropy = log(m.sum) - m.first / m.sum;
    s->looked = true, s->entropy = (float)(entropy < 0 ? 0 : entropy), s->confidence = (float)(1 / m.sum);
}

struct token_signal signals_token(const float *logits, int V, int32_t id, int i)
{
    struct token_signal s = { .logprob = logprob_of(logits, V, id) };
    if (i < SIGNALS_FIRST || i % 8 == 0)
        look(&s, logits, V);
    return s;
}

void signals_add(struct text_signals *s, const struct token_signal *t)
{
    s->n_token++, s->logprob += (double)t->logprob;
    if (t->looked)
        s->n_look++, s->entropy += (double)t->entropy, s->confidence += (double)t->confidence;
}

void signals_add_prompt(struct text_signals *s, const float *logits, int V, int32_t id)
{
    s->n_prompt++;
    s->prompt_nll -= (double)logprob_of(logits, V, id);
}

void signals_add_hidden(struct text_signals *s, const float *x, int C)
{
    const uint64_t key = rng_key(0, "hidden sketch");
    double sum[SIGNALS_SKETCH] = { 0 };
    uint64_t bits = 0;
    for (int c = 0; c < C; c++, bits >>= SIGNALS_SKETCH) {
        if (c % (64 / SIGNALS_SKETCH) == 0)
            bits = rng_u64(key, (uint64_t)c / (64 / SIGNALS_SKETCH));
        for (int i = 0; i < SIGNALS_SKETCH; i++)
            sum[i] += bits >> i & 1 ? (double)x[c] : -(double)x[c];
    }
    for (int i = 0; i < SIGNALS_SKETCH; i++)
        s->sketch[i] = (float)(sum[i] / sqrt(SIGNALS_SKETCH));
    s->has_sketch = true;
}

/* exp of the entropy of n counts; 0: there are none. */
static double effective(const int32_t *count, int n)
{
    double all = 0, sum = 0;
    for (int i = 0; i < n; i++)
        all += count[i];
    for (int i = 0; i < n; i++)
        sum -= count[i] ? count[i] / all * log(count[i] / all) : 0;
    return all > 0 ? exp(sum) : 0;
}

double signals_experts(const struct text_signals *s, int32_t *pooled)
{
    double least = (double)NAN;
    for (int e = 0; e < s->n_expert; e++)
        pooled[e] = 0;
    for (int l = 0; l < s->n_route; l++) {
        const int32_t *layer = s->expert + (ptrdiff_t)l * s->n_expert;
        const double used = effective(layer, s->n_expert);
        for (int e = 0; e < s->n_expert; e++)
            pooled[e] += layer[e];
        if (used > 0)
            least = fmin(least, used);       /* NAN is no number to it */
    }
    return least;
}

int signals_prompt_rows(int n, int kept)
{
    const int known = n - 1 - kept;              /* rows that are computed and whose next token is the prompt's */
    const int rows = known > 0 ? 1 + known / SIGNALS_ONE_OF : 0;
    return rows < SIGNALS_PROMPT ? rows : SIGNALS_PROMPT;
}

int signals_prompt_row(int n, int kept, int i)
{
    const int64_t known = n - 1 - kept, rows = signals_prompt_rows(n, kept);
    return kept + (int)((2 * i + 1) * known / (2 * rows));
}
