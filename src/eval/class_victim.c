#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/token_victim.h"

/* ---- texts of a call ---- */

static void clear(struct class_victim *v) { v->ids.n = 0, v->n_call = 0; }

/* Appends a text with what the tokenizer puts around it; 0: the call has no room for it. */
static int add(struct class_victim *v, const char *text, size_t n, struct err *err)
{
    const size_t at = v->ids.n, most = (size_t)slopes_config(v->slopes)->ctx;
    TRY(tok_encode(v->text->tok, text, n, TOK_ADD, &v->ids, err));
    const size_t all = v->ids.n - at;
    if (!all || all > most || all > (size_t)v->tokens)
        return ERR(err, RANGE, "a text of %zu tokens, expected 1 to %zu", all, most < (size_t)v->tokens ? most : (size_t)v->tokens);
    if (v->n_call == v->texts || v->ids.n > (size_t)v->tokens) {
        v->ids.n = at;
        return 0;
    }
    v->at[v->n_call++] = at;
    return 1;
}

static void place_texts(struct class_victim *v, int label)
{
    static const float one = 1;
    const int L = slopes_config(v->slopes)->n_label;
    for (int k = 0; k < L; k++)
        v->onehot[k] = k == label;
    for (int i = 0; i < v->n_call; i++) {
        const size_t end = i + 1 < v->n_call ? v->at[i + 1] : v->ids.n;
        v->call[i] = (struct slopes_text){ .ids = v->ids.id + v->at[i], .n = (int)(end - v->at[i]), .weight = &one, .label = v->onehot };
    }
}

static int logits(struct class_victim *v, struct err *err)
{
    place_texts(v, 0);
    return slopes_logits(v->slopes, v->call, v->n_call, v->logits, err);
}

static double log_prob(const float *z, int L, int k, bool *most)
{
    double max = -INFINITY, sum = 0;
    int best = 0;
    for (int i = 0; i < L; i++) {
        best = z[i] > z[best] ? i : best;
        max = fmax(max, (double)z[i]);
    }
    for (int i = 0; i < L; i++)
        sum += exp((double)z[i] - max);
    *most = best == k;
    return (double)z[k] - max - log(sum);
}

/* ---- what variants do ---- */

static int text_of(struct class_victim *v, const int32_t *ids, const struct class_item *item, struct buf *b, struct err *err)
{
    const char *text;
    size_t n;
    buf_clear(b);
    TRY(token_text_write(v->text, ids, &text, &n, err));
    TRY(buf_add(b, text, n, err));
    if (!item)
        return 0;
    TRY(buf_add_char(b, ' ', err));
    return buf_add(b, item->text, item->n, err);
}

struct asked { struct class_victim *v; struct token_outcome *out; int first, n_each; };      /* first: of the texts that the call has, counted over all */

static int end_call(struct asked *a, struct err *err)
{
    struct class_victim *v = a->v;
    const int L = slopes_config(v->slopes)->n_label;
    if (!v->n_call)
        return 0;
    TRY(logits(v, err));
    for (int i = 0; i < v->n_call; i++) {
        struct token_outcome *o = &a->out[(a->first + i) / a->n_each];
        bool most;
        const double lp = log_prob(v->logits + (size_t)i * (size_t)L, L, v->n_item ? v->target : v->label, &most);
        o->score += (v->n_item ? lp : -lp) / a->n_each;
        o->fooled = o->fooled && most == (v->n_item > 0);
    }
    a->first += v->n_call;
    clear(v);
    return 0;
}

static int ask(void *ctx, const int32_t *variants, int n_variant, int n, struct token_outcome *out, struct err *err)
{
    struct class_victim *v = ctx;
    struct asked a = { v, out, 0, v->n_item ? v->n_item : 1 };
    struct buf b;
    int rc = 0;
    buf_init(&b);
    clear(v);
    for (int i = 0; i < n_variant; i++)
        out[i] = (struct token_outcome){ 0, true };
    for (int i = 0; i < n_variant * a.n_each && rc >= 0; i++) {
        rc = text_of(v, variants + (size_t)(i / a.n_each) * (size_t)n, v->n_item ? &v->item[i % a.n_each] : NULL, &b, err);
        rc = rc < 0 ? rc : add(v, b.data, b.len, err);
        if (!rc) {
            rc = end_call(&a, err);
            rc = rc < 0 ? rc : add(v, b.data, b.len, err);
        }
    }
    rc = rc < 0 ? rc : end_call(&a, err);
    buf_release(&b);
    return rc < 0 ? rc : 0;
}

static int survives(void *ctx, const int32_t *ids, int n, struct err *err)
{
    (void)n;
    return token_text_survives(((struct class_victim *)ctx)->text, ids, err);
}

/* ---- the gradient ---- */

/* Where n - n_loose tokens of the text begin in text i of the call; -1: nowhere.  The last one may be another where an item follows. */
static int text_at(const struct class_victim *v, int i, const int32_t *ids, int n)
{
    for (int at = 0; at + n <= v->call[i].n && at <= 2; at++)
        if (!memcmp(v->call[i].ids + at, ids, (size_t)n * sizeof *ids))
            return at;
    return -1;
}

/* Adds the call's slopes at the places, times sign. */
static int add_slopes(struct class_victim *v, float sign, const int32_t *ids, int n, const int *place, int n_place, float *to, struct err *err)
{
    const size_t C = (size_t)slopes_config(v->slopes)->d_model;
    size_t row = 0;
    if (!v->n_call)
        return 0;
    place_texts(v, v->n_item ? v->target : v->label);
    TRY(slopes_run(v->slopes, v->call, v->n_call, v->slope, NULL, err));
    for (int i = 0; i < v->n_call; row += (size_t)v->call[i++].n) {
        const int at = text_at(v, i, ids, n);
        for (int k = 0; at >= 0 && k < n_place; k++)
            for (size_t c = 0; c < C; c++)
                to[(size_t)k * C + c] += sign * v->slope[(row + (size_t)(at + place[k])) * C + c];
    }
    clear(v);
    return 0;
}

static int all_slopes(struct class_victim *v, const int32_t *ids, int n, const int *place, int n_place, float *to, struct buf *b, struct err *err)
{
    const float sign = v->n_item ? -1.0f / (float)v->n_item : 1;
    int rc = 0;
    clear(v);
    for (int i = 0; i < (v->n_item ? v->n_item : 1) && rc >= 0; i++) {
        rc = text_of(v, ids, v->n_item ? &v->item[i] : NULL, b, err);
        rc = rc < 0 ? rc : add(v, b->data, b->len, err);
        if (!rc) {
            rc = add_slopes(v, sign, ids, n, place, n_place, to, err);
            rc = rc < 0 ? rc : add(v, b->data, b->len, err);
        }
    }
    return rc < 0 ? rc : add_slopes(v, sign, ids, n, place, n_place, to, err);
}

static int gains(void *ctx, const int32_t *ids, int n, const int *place, int n_place, float *gain, struct err *err)
{
    struct class_victim *v = ctx;
    struct buf b;
    float *slope = mem_alloc_array((size_t)n_place, (size_t)slopes_config(v->slopes)->d_model * sizeof *slope);
    int32_t *at = mem_alloc_array((size_t)n_place, sizeof *at);
    buf_init(&b);
    int rc = slope && at ? all_slopes(v, ids, n, place, n_place, slope, &b, err) : ERR(err, NOMEM, "no memory for the slopes of %d places", n_place);
    for (int k = 0; rc >= 0 && k < n_place; k++)
        at[k] = ids[place[k]];
    if (rc >= 0)
        rc = slopes_gains(v->slopes, at, n_place, slope, gain, err);
    buf_release(&b);
    mem_free(slope);
    mem_free(at);
    return rc;
}

int class_victim_probs(struct class_victim *v, const char *text, size_t n, double *probs, struct err *err)
{
    const int L = slopes_config(v->slopes)->n_label;
    bool most;
    clear(v);
    TRY(add(v, text, n, err));
    TRY(logits(v, err));
    for (int k = 0; k < L; k++)
        probs[k] = exp(log_prob(v->logits, L, k, &most));
    clear(v);
    return 0;
}

int class_victim_init(struct class_victim *v, struct err *err)
{
    const struct config *c = slopes_config(v->slopes);
    const size_t L = (size_t)c->n_label, texts = (size_t)v->texts;
    v->victim.ctx = v, v->victim.V = c->vocab_size;
    v->victim.gains = gains, v->victim.survives = survives, v->victim.ask = ask;
    v->call = mem_alloc_array(texts, sizeof *v->call);
    v->at = mem_alloc_array(texts, sizeof *v->at);
    v->logits = mem_alloc_array(texts, L * sizeof *v->logits);
    v->onehot = mem_alloc_array(L, sizeof *v->onehot);
    v->slope = mem_alloc_array((size_t)v->tokens, (size_t)c->d_model * sizeof *v->slope);
    return v->call && v->at && v->logits && v->onehot && v->slope ? 0 : ERR(err, NOMEM, "no memory for %d texts at once", v->texts);
}

void class_victim_release(struct class_victim *v)
{
    tok_ids_release(&v->ids);
    mem_free(v->call);
    mem_free(v->at);
    mem_free(v->logits);
    mem_free(v->onehot);
    mem_free(v->slope);
    v->call = NULL, v->at = NULL, v->logits = NULL, v->onehot = NULL, v->slope = NULL;
}
