#include "eval/diverge.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "eval/interval.h"
#include "eval/order.h"
#include "infer/probs.h"

void diverge_release(struct diverge *d)
{
    mem_free(d->row);
    *d = (struct diverge){ 0 };
}

static int reserve(struct diverge *d, size_t more, struct err *err)
{
    if (d->cap - d->n >= more)
        return 0;
    const size_t cap = d->n + more > 2 * d->cap ? d->n + more : 2 * d->cap;
    struct diverge_row *row = mem_realloc_array(d->row, cap, sizeof *row);
    if (!row)
        return ERR(err, NOMEM, "no memory for the divergences of %zu tokens", cap);
    d->row = row, d->cap = cap;
    return 0;
}

void diverge_row(struct diverge_row *r, const float *old, bool old_given, const float *new, int V)
{
    struct probs_pair pair;
    probs_compare(&pair, old, old_given, new, V);
    r->kl = pair.kl, r->kl_back = pair.kl_back, r->top_old = pair.best[0], r->top_new = pair.best[1];
    r->logp_old = r->id < 0 ? NAN : (double)old[r->id] - pair.log_sum[0];
    r->logp_new = r->id < 0 ? NAN : (double)new[r->id] - pair.log_sum[1];
}

/* ---- positions of a window ---- */

/* n tokens, of which rows first .. end - 1 are compared; token i stands at `at` + i of the text. */
struct window { const int32_t *ids; int n, first, end, index; int64_t at; };

/* One of the older models, and the newer one.  files: rows of the file as floats. */
struct walk {
    struct diverge *d; const struct diverge_opts *o;
    struct engine *old, *new; struct logprobs_reader *file;
    float *file_rows;
    int V, n_logits;
    int32_t cluster0;
    int32_t *row;                /* [n_logits] */
    const float *p, *q; struct diverge_row *out;           /* of compare_row */
};

static void compare_row(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct walk *w = ctx;
    diverge_row(&w->out[i], w->p + (ptrdiff_t)i * w->V, w->file != NULL, w->q + (ptrdiff_t)i * w->V, w->V);
}

/* k rows of the last step, of which the first is token i of the window. */
static int compare_rows(struct walk *w, const struct window *v, int i, int first_row, int k, struct err *err)
{
    for (int j = 0; j < k; j++)
        w->row[j] = first_row + j;
    if (w->file) {
        TRY(logprobs_read(w->file, k, w->file_rows, err));
        w->p = w->file_rows;
    } else {
        TRY(engine_head(w->old, w->row, k, &w->p, err));
    }
    TRY(engine_head(w->new, w->row, k, &w->q, err));
    TRY(reserve(w->d, (size_t)k, err));
    w->out = w->d->row + w->d->n;
    const int32_t cluster = w->o->cluster >= 0 ? w->o->cluster : w->cluster0 + v->index;
    for (int j = 0; j < k; j++)
        w->out[j] = (struct diverge_row){ .id = i + j + 1 < v->n ? v->ids[i + j + 1] : -1, .window = v->index, .at = v->at + i + j, .cluster = cluster };
    pool_for(w->o->pool, k, compare_row, w);
    for (int j = 0; j < k; j++)
        if (!isfinite(w->out[j].kl) || !isfinite(w->out[j].kl_back))
            return ERR(err, NUMERIC, "a model gave values that are not finite at token %d of window %d", i + j, v->index);
    w->d->n += (size_t)k;
    return 0;
}

static int least(int a, int b) { return a < b ? a : b; }

static int compare_window(struct walk *w, const struct window *v, struct err *err)
{
    const int step = w->old ? least(engine_step_tokens(w->old), engine_step_tokens(w->new)) : engine_step_tokens(w->new);
    for (int at = 0; at < v->n; at += step) {
        const struct engine_part part = { 0, at, least(step, v->n - at), v->ids + at, NULL, 0 };
        const int from = at > v->first ? at : v->first, to = least(at + part.n, v->end);
        if (w->old)
            TRY(engine_run(w->old, &part, 1, err));
        TRY(engine_run(w->new, &part, 1, err));
        for (int i = from; i < to; i += w->n_logits)
            TRY(compare_rows(w, v, i, i - at, least(w->n_logits, to - i), err));
    }
    return 0;
}

static int told(const struct walk *w, size_t n_read, size_t n_all) { return w->o->progress && w->o->progress(w->o->progress_ctx, n_read, n_all); }

/* ---- windows of a text ---- */

static int all_windows(struct walk *w, int32_t *window, const int32_t *ids, size_t n, struct err *err)
{
    const int lead = w->o->bos >= 0, ctx = w->o->ctx;
    int index = 0;
    for (size_t at = 0; at < n; at += (size_t)(ctx - lead), index++) {
        const size_t left = n - at, k = left < (size_t)(ctx - lead) ? left : (size_t)(ctx - lead);
        window[0] = w->o->bos;
        memcpy(window + lead, ids + at, k * sizeof *ids);
        const struct window v = { window, (int)k + lead, 0, (int)k + lead, index, (int64_t)at - lead };
        TRY(compare_window(w, &v, err));
        if (told(w, at + k, n))
            return 0;
    }
    return 0;
}

static int half_windows(struct walk *w, int32_t *window, const int32_t *ids, size_t n, int ctx, struct err *err)
{
    int index = 0;
    for (size_t at = 0; at + (size_t)ctx <= n; at += (size_t)ctx, index++) {
        memcpy(window, ids + at, (size_t)ctx * sizeof *ids);
        if (w->o->bos >= 0)
            window[0] = w->o->bos;
        const struct window v = { window, ctx, ctx / 2, ctx - 1, index, (int64_t)at };
        TRY(compare_window(w, &v, err));
        if (told(w, at + (size_t)ctx, n))
            return 0;
    }
    return 0;
}

static int run(struct walk *w, const int32_t *ids, size_t n, int ctx, bool half, struct err *err)
{
    w->n_logits = w->old ? least(engine_n_logits(w->old), engine_n_logits(w->new)) : engine_n_logits(w->new);
    w->cluster0 = w->d->n ? w->d->row[w->d->n - 1].cluster + 1 : 0;
    w->row = mem_alloc_array((size_t)w->n_logits, sizeof *w->row);
    int32_t *window = mem_alloc_array((size_t)ctx, sizeof *window);
    int rc = w->row && window ? 0 : ERR(err, NOMEM, "no memory to compare windows of %d tokens", ctx);
    if (!rc && w->file && !(w->file_rows = mem_alloc_array((size_t)w->n_logits * (size_t)w->V, sizeof *w->file_rows)))
        rc = ERR(err, NOMEM, "no memory for predictions over %d tokens", w->V);
    if (!rc)
        rc = half ? half_windows(w, window, ids, n, ctx, err) : all_windows(w, window, ids, n, err);
    mem_free(w->file_rows);
    mem_free(window);
    mem_free(w->row);
    return rc;
}

static int check_vocabulary(int old, int new, struct err *err)
{
    return old == new ? 0 : ERR(err, RANGE, "the models have %d and %d tokens, expected the same vocabulary", old, new);
}

int diverge_models(struct diverge *d, struct engine *old, struct engine *new, const int32_t *ids, size_t n, const struct diverge_opts *o, struct err *err)
{
    const int most = least(engine_ctx(old), engine_ctx(new));
    const size_t fewest = o->half ? (size_t)(o->ctx > 2 ? o->ctx : 2) : 2;
    if (n < fewest || o->ctx < 2 || o->ctx > most)
        return ERR(err, RANGE, "%zu tokens in windows of %d to compare two models, expected %zu or more, and windows of 2 to the models' %d positions", n, o->ctx, fewest, most);
    TRY(check_vocabulary(engine_config(old)->vocab_size, engine_config(new)->vocab_size, err));
    struct walk w = { .d = d, .o = o, .old = old, .new = new, .V = engine_config(new)->vocab_size };
    return run(&w, ids, n, o->ctx, o->half, err);
}

int diverge_file(struct diverge *d, struct logprobs_reader *old, struct engine *new, const struct diverge_opts *o, struct err *err)
{
    if (old->ctx > engine_ctx(new))
        return ERR(err, RANGE, "%s has windows of %d tokens, expected at most the model's %d positions", old->path, old->ctx, engine_ctx(new));
    TRY(check_vocabulary(old->V, engine_config(new)->vocab_size, err));
    struct walk w = { .d = d, .o = o, .new = new, .file = old, .V = old->V };
    return run(&w, old->ids, (size_t)old->ctx * (size_t)old->n_window, old->ctx, true, err);
}

static void show_token(const struct tok *t, int id, char *out, size_t size)
{
    size_t n = 0;
    const char *bytes = id < tok_vocab_size(t) ? tok_bytes(t, id, &n) : NULL;
    bytes ? snprintf(out, size, "'%.*s'%s", n < 60 ? (int)n : 60, bytes, tok_is_special(t, id) ? " (special)" : "") : snprintf(out, size, "nothing");
}

static bool same_token(const struct tok *a, const struct tok *b, int id)
{
    size_t n_a, n_b;
    const char *x = tok_bytes(a, id, &n_a), *y = tok_bytes(b, id, &n_b);
    return (!x && !y) || (x && y && n_a == n_b && !memcmp(x, y, n_a) && tok_is_special(a, id) == tok_is_special(b, id));
}

int diverge_check_tok(const struct tok *old, const struct tok *new, struct err *err)
{
    const int n = least(tok_vocab_size(old), tok_vocab_size(new));
    int id = 0;
    while (id < n && same_token(old, new, id))
        id++;
    if (id == n && tok_vocab_size(old) == tok_vocab_size(new))
        return 0;
    char a[100], b[100];
    show_token(old, id, a, sizeof a);
    show_token(new, id, b, sizeof b);
    return ERR(err, RANGE, "the tokenizers differ: id %d is %s in the old model (of %d tokens) and %s in the new one (of %d), expected the same", id, a, tok_vocab_size(old), b,
               tok_vocab_size(new));
}

/* ---- sums ---- */

enum column { KL, KL_BACK, SAME_TOP, DP, LOG_RATIO };

/* NAN: the row has none. */
static double value_of(const struct diverge_row *r, enum column c)
{
    switch (c) {
    case KL: return r->kl;
    case KL_BACK: return r->kl_back;
    case SAME_TOP: return r->top_old == r->top_new;
    case DP: return exp(r->logp_new) - exp(r->logp_old);
    default: return r->logp_old - r->logp_new;      /* nll new - nll old */
    }
}

struct column_of { double *v; int64_t *cluster; };      /* room for all rows */

/* Of the rows that have a value: the values to v, their number to *count; mean and its standard error by clusters. */
static int take_column(const struct diverge *d, enum column c, const struct column_of *to, int64_t *count, double *mean, double *se, struct err *err)
{
    struct interval_mean m = { .mean = NAN, .se = NAN };
    int64_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        to->v[n] = value_of(&d->row[i], c), to->cluster[n] = d->row[i].cluster;
        n += !isnan(to->v[n]);
    }
    if (n)
        TRY(interval_mean(to->v, NULL, to->cluster, n, 0.95, &m, err));
    *count = n, *mean = m.mean, *se = m.se;
    return 0;
}

static const double quantiles[] = { DIVERGE_QUANTILES }, dp_quantiles[] = { DIVERGE_DP_QUANTILES };

static int spread_of(struct diverge_spread *s, const struct diverge *d, enum column c, const struct column_of *room, struct err *err)
{
    int64_t n;
    TRY(take_column(d, c, room, &n, &s->mean, &s->se, err));
    TRY(order_sort(room->v, n, err));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        s->quantile[i] = order_quantile(room->v, n, quantiles[i]);
    s->max = room->v[n - 1];
    return 0;
}

static int probabilities(struct diverge_summary *s, const struct diverge *d, const struct column_of *room, struct err *err)
{
    int64_t n;
    double squares = 0;
    TRY(take_column(d, DP, room, &n, &s->dp, &s->dp_se, err));
    for (int64_t i = 0; i < n; i++)
        squares += room->v[i] * room->v[i];
    s->dp_rms = sqrt(squares / (double)n);
    TRY(order_sort(room->v, n, err));
    for (size_t i = 0; i < sizeof dp_quantiles / sizeof *dp_quantiles; i++)
        s->dp_quantile[i] = order_quantile(room->v, n, dp_quantiles[i]);
    return 0;
}

/* The variance of the difference of two means over the same n tokens. */
static void likelihoods(struct diverge_summary *s, const struct diverge *d)
{
    const double n = (double)s->n_target;
    double old = 0, new = 0, oo = 0, nn = 0, on = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->row[i].id >= 0)
            old -= d->row[i].logp_old, new -= d->row[i].logp_new;
    s->nll_old = old / n, s->nll_new = new / n;
    for (size_t i = 0; i < d->n; i++) {
        const double x = -d->row[i].logp_old - s->nll_old, y = -d->row[i].logp_new - s->nll_new;
        if (d->row[i].id >= 0)
            oo += x * x, nn += y * y, on += x * y;
    }
    const double variance = (oo + nn - 2 * on) / (n - 1);
    s->log_ratio_se_tokens = n > 1 ? sqrt((variance > 0 ? variance : 0) / n) : NAN;
    s->correlation = on / sqrt(oo * nn);
}

static int summarize(struct diverge_summary *s, const struct diverge *d, const struct column_of *room, struct err *err)
{
    int64_t n;
    for (size_t i = 0; i < d->n; i++)
        s->n_cluster += !i || d->row[i].cluster != d->row[i - 1].cluster;
    TRY(spread_of(&s->kl, d, KL, room, err));
    TRY(spread_of(&s->kl_back, d, KL_BACK, room, err));
    TRY(take_column(d, SAME_TOP, room, &n, &s->same_top, &s->same_top_se, err));
    TRY(take_column(d, LOG_RATIO, room, &n, &s->log_ratio, &s->log_ratio_se, err));
    s->n_target = (size_t)n;
    if (!n)
        return 0;
    likelihoods(s, d);
    return probabilities(s, d, room, err);
}

int diverge_summarize(struct diverge_summary *s, const struct diverge *d, struct err *err)
{
    *s = (struct diverge_summary){ .n = d->n };
    if (!d->n)
        return ERR(err, RANGE, "no token was compared");
    const struct column_of room = { mem_alloc_array(d->n, sizeof *room.v), mem_alloc_array(d->n, sizeof *room.cluster) };
    const int rc = room.v && room.cluster ? summarize(s, d, &room, err) : ERR(err, NOMEM, "no memory to sort %zu divergences", d->n);
    mem_free(room.v);
    mem_free(room.cluster);
    return rc;
}
