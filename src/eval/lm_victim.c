#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/token_victim.h"

/* ---- the requests with another context ---- */

static int with_context(struct lm_victim *v, const int32_t *ids, struct err *err)
{
    const char *text;
    size_t n;
    TRY(token_text_write(v->text, ids, &text, &n, err));
    for (int i = 0; i < v->n_q; i++)
        v->changed[i].context = text, v->changed[i].n_context = n;
    return 0;
}

static int encode_all(struct lm_victim *v, const int32_t *ids, struct err *err)
{
    TRY(with_context(v, ids, err));
    for (int i = 0; i < v->n_q; i++) {
        TRY(encode_pair(run_encoder(v->run), &v->changed[i], &v->encoded[i], err));
        if (v->encoded[i].n_cut)
            return ERR(err, RANGE, "it is longer than the model may look at");
    }
    return 0;
}

int lm_victim_tokens(struct lm_victim *v, int *all, int *longest, struct err *err)
{
    *all = *longest = 0;
    TRY(encode_all(v, v->text->ids.id, err));
    for (int i = 0; i < v->n_q; i++) {
        const int n = (int)v->encoded[i].ids.n;
        *all += n, *longest = n > *longest ? n : *longest;
    }
    return 0;
}

/* ---- what variants do ---- */

static int answered(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *err)
{
    struct lm_victim *v = ctx;
    struct token_outcome *o = &v->out[tag];
    *o = (struct token_outcome){ .score = NAN };
    for (int i = 0; i < n; i++)
        if (reply[i].error)
            return 0;
    if (v->gold < 0) {
        *o = (struct token_outcome){ reply->loglik / reply->n_token, reply->greedy };
        return 0;
    }
    double other = -INFINITY;
    for (int i = 0; i < n; i++)
        other = i != v->gold && reply[i].loglik > other ? reply[i].loglik : other;
    o->score = other - reply[v->gold].loglik;
    return v->fooled(v->user, reply, n, &o->fooled, err);
}

static int ask(void *ctx, const int32_t *variants, int n_variant, int n, struct token_outcome *out, struct err *err)
{
    struct lm_victim *v = ctx;
    v->out = out;
    for (int i = 0; i < n_variant; i++) {
        TRY(with_context(v, variants + (size_t)i * (size_t)n, err));
        TRY(run_add(v->run, i, v->changed, v->n_q, err));
    }
    return run_answer(v->run, &(struct run_hooks){ .answered = answered, .ctx = v }, v->pool, err);
}

static int survives(void *ctx, const int32_t *ids, int n, struct err *err)
{
    (void)n;
    return token_text_survives(((struct lm_victim *)ctx)->text, ids, err);
}

/* ---- the gradient ---- */

/* Where the context's tokens begin in an encoded request; -1: they are not there as they are.  Its last one may have become another with
 * the continuation's first. */
static int context_at(const struct encoded *s, const int32_t *ids, int n)
{
    const int last = (int)s->ids.n - n + 1;
    for (int at = 0; at <= 2 && at <= last; at++)
        if (n < 2 || !memcmp(s->ids.id + at, ids, (size_t)(n - 1) * sizeof *ids))
            return at;
    return -1;
}

struct passes { struct slopes_text *text; int32_t *target; float *weight, *slope, *nll; int n_row; };

static void passes_release(struct passes *p)
{
    mem_free(p->text);
    mem_free(p->target);
    mem_free(p->weight);
    mem_free(p->slope);
    mem_free(p->nll);
}

/* Each request's own slopes. */
static int pass_all(struct lm_victim *v, struct passes *p, struct err *err)
{
    const size_t C = (size_t)slopes_config(v->slopes)->d_model;
    for (int i = 0; i < v->n_q; i++)
        p->n_row += (int)v->encoded[i].ids.n - 1;
    p->text = mem_alloc_array((size_t)v->n_q, sizeof *p->text);
    p->target = mem_alloc_array((size_t)p->n_row, sizeof *p->target);
    p->weight = mem_alloc_array((size_t)p->n_row, sizeof *p->weight);
    p->nll = mem_alloc_array((size_t)p->n_row, sizeof *p->nll);
    p->slope = mem_alloc_array((size_t)p->n_row, C * sizeof *p->slope);
    if (!p->text || !p->target || !p->weight || !p->nll || !p->slope)
        return ERR(err, NOMEM, "no memory for slopes of %d tokens", p->n_row);
    for (int i = 0, row = 0; i < v->n_q; i++) {
        const struct encoded *s = &v->encoded[i];
        const int n = (int)s->ids.n - 1;
        memcpy(p->target + row, s->ids.id + 1, (size_t)n * sizeof *p->target);
        for (int k = n - s->n_scored; k < n; k++)
            p->weight[row + k] = 1;
        p->text[i] = (struct slopes_text){ .ids = s->ids.id, .n = n, .target = p->target + row, .weight = p->weight + row };
        row += n;
    }
    return slopes_run(v->slopes, p->text, v->n_q, p->slope, p->nll, err);
}

/* sign * slopes of request i's negative log-likelihood, added to those of the places. */
static int add_slopes(const struct lm_victim *v, const struct passes *p, int i, double sign, const int32_t *ids, int n, const int *place, int n_place,
                      float *to, struct err *err)
{
    const size_t C = (size_t)slopes_config(v->slopes)->d_model;
    const int at = context_at(&v->encoded[i], ids, n), rows = p->text[i].n;
    size_t first = 0;
    for (int k = 0; k < i; k++)
        first += (size_t)p->text[k].n;
    if (at < 0)
        return ERR(err, RANGE, "the text's tokens are others where it is continued");
    for (int k = 0; k < n_place; k++)
        for (size_t c = 0; at + place[k] < rows && c < C; c++)
            to[(size_t)k * C + c] += (float)sign * p->slope[(first + (size_t)(at + place[k])) * C + c];
    return 0;
}

static double loss_of(const struct passes *p, int i)
{
    double sum = 0;
    int first = 0;
    for (int k = 0; k < i; k++)
        first += p->text[k].n;
    for (int k = 0; k < p->text[i].n; k++)
        sum += p->weight[first + k] > 0 ? (double)p->nll[first + k] : 0;
    return sum;
}

static int gains_of(struct lm_victim *v, const struct passes *p, const int32_t *ids, int n, const int *place, int n_place, float *gain, struct err *err)
{
    int rival = -1;
    for (int i = 0; i < v->n_q; i++)
        if (i != v->gold && (rival < 0 || loss_of(p, i) < loss_of(p, rival)))
            rival = i;
    float *slope = mem_alloc_array((size_t)n_place, (size_t)slopes_config(v->slopes)->d_model * sizeof *slope);
    int32_t *at = mem_alloc_array((size_t)n_place, sizeof *at);
    int rc = slope && at ? 0 : ERR(err, NOMEM, "no memory for the slopes of %d places", n_place);
    if (!rc)
        rc = add_slopes(v, p, rival, -1, ids, n, place, n_place, slope, err);
    if (!rc && v->gold >= 0)
        rc = add_slopes(v, p, v->gold, 1, ids, n, place, n_place, slope, err);
    for (int k = 0; !rc && k < n_place; k++)
        at[k] = ids[place[k]];
    if (!rc)
        rc = slopes_gains(v->slopes, at, n_place, slope, gain, err);
    mem_free(slope);
    mem_free(at);
    return rc;
}

static int gains(void *ctx, const int32_t *ids, int n, const int *place, int n_place, float *gain, struct err *err)
{
    struct lm_victim *v = ctx;
    struct passes p = { 0 };
    TRY(encode_all(v, ids, err));
    int rc = pass_all(v, &p, err);
    if (!rc)
        rc = gains_of(v, &p, ids, n, place, n_place, gain, err);
    passes_release(&p);
    return rc;
}

int lm_victim_init(struct lm_victim *v, struct err *err)
{
    v->victim.ctx = v, v->victim.V = run_encoder(v->run)->config->vocab_size;
    v->victim.gains = gains, v->victim.survives = survives, v->victim.ask = ask;
    v->changed = mem_alloc_array((size_t)v->n_q, sizeof *v->changed);
    v->encoded = mem_alloc_array((size_t)v->n_q, sizeof *v->encoded);
    if (!v->changed || !v->encoded)
        return ERR(err, NOMEM, "no memory for %d requests", v->n_q);
    memcpy(v->changed, v->q, (size_t)v->n_q * sizeof *v->changed);
    return 0;
}

void lm_victim_release(struct lm_victim *v)
{
    for (int i = 0; v->encoded && i < v->n_q; i++)
        encoded_release(&v->encoded[i]);
    mem_free(v->encoded);
    mem_free(v->changed);
    v->encoded = NULL, v->changed = NULL;
}
