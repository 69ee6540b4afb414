#include "eval/token_attack.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

struct change { float gain; int place; int32_t to; };        /* place: index into the text */

struct search {
    const struct token_victim *v;
    const struct token_search *o;
    int32_t *ids, *first;                /* where the search is, where it began: [n] */
    int n;
    float *gain;                         /* [n_place][V] */
    struct change *top;                  /* [n_place * top_k], or [n_top] */
    int32_t *variant;                    /* [batch][n] */
    struct token_outcome *outcome;       /* [batch] */
    int n_variant;
    struct token_found *found;
    struct err *err;
};

static void release(struct search *s)
{
    mem_free(s->first);
    mem_free(s->gain);
    mem_free(s->top);
    mem_free(s->variant);
    mem_free(s->outcome);
}

static int begin(struct search *s, int n_place, size_t n_top)
{
    const size_t V = (size_t)s->v->V, n = (size_t)s->n, batch = (size_t)s->o->batch;
    *s->found = (struct token_found){ .n_query = 1 };
    s->first = mem_alloc_array(n, sizeof *s->first);
    s->gain = mem_alloc_array((size_t)n_place, V * sizeof *s->gain);
    s->top = mem_alloc_array(n_top, sizeof *s->top);
    s->variant = mem_alloc_array(batch, n * sizeof *s->variant);
    s->outcome = mem_alloc_array(batch, sizeof *s->outcome);
    if (!s->first || !s->gain || !s->top || !s->variant || !s->outcome)
        return ERR(s->err, NOMEM, "no memory to change %d tokens of %d", n_place, s->n);
    memcpy(s->first, s->ids, n * sizeof *s->first);
    TRY(s->v->ask(s->v->ctx, s->ids, 1, s->n, &s->found->before, s->err));
    s->found->after = s->found->before;
    return 0;
}

static int goes_on(const struct search *s)
{
    return !s->o->goes_on || s->o->goes_on(s->o->ctx) ? 0 : ERR(s->err, STOPPED, "stopped after %d steps of an attack", s->found->n_step);
}

static bool may(const struct search *s, int place, int32_t to)
{
    return to != s->ids[place] && s->v->allowed[to] && (!s->o->may_become || s->o->may_become(s->o->ctx, s->first[place], to));
}

/* The largest gains first; of equals the one seen first, by place and then by token. */
static int insert(struct change *top, int n, int most, struct change c)
{
    if (!isfinite(c.gain) || (n == most && c.gain <= top[n - 1].gain))
        return n;
    int at = n < most ? n++ : n - 1;
    for (; at && c.gain > top[at - 1].gain; at--)
        top[at] = top[at - 1];
    top[at] = c;
    return n;
}

static int top_of(const struct search *s, int place, const float *gain, struct change *top, int n, int most)
{
    for (int32_t w = 0; w < s->v->V; w++)
        if ((n < most || gain[w] > top[n - 1].gain) && may(s, place, w))
            n = insert(top, n, most, (struct change){ gain[w], place, w });
    return n;
}

/* One more variant, if it survives. */
static int add_variant(struct search *s, const struct change *c)
{
    int32_t *x = s->variant + (size_t)s->n_variant * (size_t)s->n;
    memcpy(x, s->ids, (size_t)s->n * sizeof *x);
    x[c->place] = c->to;
    const int survives = s->v->survives ? s->v->survives(s->v->ctx, x, s->n, s->err) : 1;
    TRY(survives);
    s->n_variant += survives, s->found->n_lost += !survives;
    return 0;
}

/* The best of the variants: one that fools before all that do not, then by score, the first of equals; -1: there is none with a number. */
static int ask_all(struct search *s, int *best)
{
    *best = -1;
    if (!s->n_variant)
        return 0;
    TRY(s->v->ask(s->v->ctx, s->variant, s->n_variant, s->n, s->outcome, s->err));
    s->found->n_query += s->n_variant;
    for (int i = 0; i < s->n_variant; i++) {
        const struct token_outcome *a = &s->outcome[i], *b = *best < 0 ? NULL : &s->outcome[*best];
        if (isfinite(a->score) && (!b || a->fooled > b->fooled || (a->fooled == b->fooled && a->score > b->score)))
            *best = i;
    }
    return 0;
}

static int changed(const int32_t *a, const int32_t *b, int n)
{
    int k = 0;
    for (int i = 0; i < n; i++)
        k += a[i] != b[i];
    return k;
}

/* ---- hotflip ---- */

/* Survivors are looked for among so many times as are asked. */
enum { SPARE = 4 };

/* How many changes of each place are looked at: all places have a share of the batch, as a gain to first order is often far off, and off by
 * about as much for all changes of one place. */
static int share_of(const struct search *s, int n_open)
{
    const int each = s->o->batch / n_open;
    return SPARE * (each > 1 ? each : 1);
}

/* top[i * k ..]: count[i] changes of open[i].  The places in the order of their best gains are asked until the batch is full. */
static int add_variants(struct search *s, int n_open, int k, int *count)
{
    s->n_variant = 0;
    for (;;) {
        int best = -1;
        for (int i = 0; i < n_open; i++)
            if (count[i] && (best < 0 || s->top[(size_t)i * (size_t)k].gain > s->top[(size_t)best * (size_t)k].gain))
                best = i;
        if (best < 0 || s->n_variant == s->o->batch)
            return 0;
        const int before = s->n_variant;
        for (int i = 0; i < count[best] && s->n_variant < s->o->batch && s->n_variant - before < k / SPARE; i++)
            TRY(add_variant(s, &s->top[(size_t)best * (size_t)k + (size_t)i]));
        count[best] = 0;
    }
}

static int flip(struct search *s, int *open, int *n_open, int *count)
{
    const int k = share_of(s, *n_open);
    int best;
    TRY(s->v->gains(s->v->ctx, s->ids, s->n, open, *n_open, s->gain, s->err));
    s->found->n_gradient++;
    for (int i = 0; i < *n_open; i++)
        count[i] = top_of(s, open[i], s->gain + (size_t)i * (size_t)s->v->V, s->top + (size_t)i * (size_t)k, 0, k);
    TRY(add_variants(s, *n_open, k, count));
    TRY(ask_all(s, &best));
    if (best < 0 || (!s->outcome[best].fooled && s->outcome[best].score <= s->found->after.score))
        return 0;
    const int32_t *x = s->variant + (size_t)best * (size_t)s->n;
    int left = 0;
    for (int i = 0; i < *n_open; i++)
        if (x[open[i]] == s->ids[open[i]])
            open[left++] = open[i];
    *n_open = left;
    memcpy(s->ids, x, (size_t)s->n * sizeof *x);
    s->found->after = s->outcome[best];
    return 1;
}

int hotflip(const struct token_victim *v, const struct token_search *o, int32_t *ids, int n, const int *place, int n_place, struct token_found *out,
            struct err *err)
{
    struct search s = { .v = v, .o = o, .ids = ids, .n = n, .found = out, .err = err };
    int n_open = n_place, *open = mem_alloc_array(2 * (size_t)n_place + 1, sizeof *open);      /* and a count of each place */
    int rc = open ? begin(&s, n_place, (size_t)SPARE * (size_t)(o->batch > n_place ? o->batch : n_place)) : ERR(err, NOMEM, "no memory for %d places", n_place);
    if (!rc)
        memcpy(open, place, (size_t)n_place * sizeof *open);
    for (bool better = true; !rc && better && !out->after.fooled && n_open && out->n_step < o->steps;) {
        int found = 0;
        rc = goes_on(&s);
        if (!rc)
            out->n_step++, rc = found = flip(&s, open, &n_open, open + n_place);
        rc = rc < 0 ? rc : 0;
        better = found > 0;
    }
    if (s.first)
        out->n_changed = changed(s.first, ids, n);
    mem_free(open);
    release(&s);
    return rc;
}

/* ---- gcg ---- */

/* counts[i]: changes of place i in top[i * top_k ..]. */
static int gcg_step(struct search *s, const int *place, int n_place, int *count)
{
    const int k = s->o->top_k;
    int best;
    TRY(s->v->gains(s->v->ctx, s->ids, s->n, place, n_place, s->gain, s->err));
    s->found->n_gradient++;
    for (int i = 0; i < n_place; i++)
        count[i] = top_of(s, place[i], s->gain + (size_t)i * (size_t)s->v->V, s->top + (size_t)i * (size_t)k, 0, k);
    s->n_variant = 0;
    const uint64_t key = rng_key(s->o->seed, "gcg");
    for (int j = 0; j < s->o->batch; j++) {
        const uint64_t at = 2 * ((uint64_t)s->found->n_step * (uint64_t)s->o->batch + (uint64_t)j);
        const int i = (int)rng_below(key, at, (uint64_t)n_place);
        if (count[i])
            TRY(add_variant(s, &s->top[(size_t)i * (size_t)k + rng_below(key, at + 1, (uint64_t)count[i])]));
    }
    TRY(ask_all(s, &best));
    if (best < 0)
        return 0;
    memcpy(s->ids, s->variant + (size_t)best * (size_t)s->n, (size_t)s->n * sizeof *s->ids);
    return s->outcome[best].fooled || s->outcome[best].score > s->found->after.score ? best + 1 : 0;
}

int gcg(const struct token_victim *v, const struct token_search *o, int32_t *ids, int n, const int *place, int n_place, struct token_found *out,
        struct err *err)
{
    struct search s = { .v = v, .o = o, .ids = ids, .n = n, .found = out, .err = err };
    int *count = mem_alloc_array((size_t)n_place + 1, sizeof *count);
    int32_t *best = mem_alloc_array((size_t)n + 1, sizeof *best);
    int rc = count && best ? begin(&s, n_place, (size_t)n_place * (size_t)o->top_k) : ERR(err, NOMEM, "no memory for %d places", n_place);
    if (best)
        memcpy(best, ids, (size_t)n * sizeof *best);
    while (!rc && !out->after.fooled && n_place && out->n_step < o->steps) {
        int at = 0;
        rc = goes_on(&s);
        if (!rc)
            rc = at = gcg_step(&s, place, n_place, count), out->n_step++;
        rc = rc < 0 ? rc : 0;
        if (at > 0) {
            memcpy(best, ids, (size_t)n * sizeof *best);
            out->after = s.outcome[at - 1];
        }
    }
    if (s.first) {
        memcpy(ids, best, (size_t)n * sizeof *best);
        out->n_changed = changed(s.first, ids, n);
    }
    mem_free(count);
    mem_free(best);
    release(&s);
    return rc;
}
