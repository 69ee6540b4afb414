#include "infer/score.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

const char *score_convention_name(enum score_convention c)
{
    static const char *const name[N_SCORE_CONVENTION] = {
#define X(id, word) word,
        SCORE_CONVENTIONS(X)
#undef X
    };
    return name[c];
}

double score_mean(const struct score *s) { return s->n_token ? s->nll / (double)s->n_token : NAN; }
double score_perplexity(const struct score *s) { return exp(score_mean(s)); }

double score_stderr(const struct score *s)
{
    const double n = (double)s->n_token, mean = score_mean(s);
    return n < 2 ? NAN : sqrt((s->nll_square / n - mean * mean) / (n - 1));
}

int score_encode(const struct tok *t, const char *text, size_t n, struct score_opts *o, struct tok_ids *ids, struct err *err)
{
    TRY(tok_encode(t, "", 0, TOK_ADD, ids, err));
    o->add_bos = ids->n && ids->id[0] == tok_bos(t);
    o->begin = tok_bos(t) >= 0 ? tok_bos(t) : tok_eot(t);
    ids->n = o->add_bos && o->convention != SCORE_ROLLING;       /* of what is put around a text, only that */
    return tok_encode(t, text, n, TOK_PLAIN, ids, err);
}

/* A window: n tokens fed, ids[from ..] with the first perhaps replaced; targets of tokens first_scored .. n-1 (the token that
 * follows token i is ids[from + i + 1]; that of the last is `after`, -1 for none). */
struct window { size_t from; int n, first_scored; int32_t first, after; };

/* Window i of the text, or false when there is none. */
static bool window_at(const struct score_opts *o, const int32_t *ids, size_t n, size_t i, struct window *w)
{
    const size_t ctx = (size_t)o->ctx;
    if (o->convention != SCORE_ROLLING) {
        if ((i + 1) * ctx > n)
            return false;
        const bool half = o->convention == SCORE_LLAMACPP;
        *w = (struct window){ i * ctx, o->ctx, half ? o->ctx / 2 : 0, half && o->add_bos && o->begin >= 0 ? o->begin : ids[i * ctx], -1 };
        return true;
    }
    /* Targets i*ctx .. end-1 of the text; the window feeds the tokens before each. */
    const size_t begin = i * ctx, end = begin + ctx < n ? begin + ctx : n;
    const size_t lead = o->begin >= 0 ? 0 : 1;       /* without a token to begin with, the text's first token cannot be scored */
    if (begin + (i ? 0 : lead) >= n)
        return false;
    size_t first = end >= ctx ? end - ctx : 0;       /* first target that fits a window of ctx fed tokens */
    if (first > begin)
        first = begin;
    if (i && end == n)
        first = n > ctx ? n - ctx : 0;
    else if (!i)
        first = lead;
    *w = (struct window){ first - (first ? 1 : 0), (int)(end - first), (int)(begin > first ? begin - first : 0), first ? ids[first - 1] : o->begin, ids[end - 1] };
    if (!first)                                      /* fed: begin, then ids[0 ..] */
        w->from = (size_t)-1;
    return true;
}

struct batch {
    struct engine *e;
    struct engine_part *part; int32_t *ids, *row, *target; float *nll;
    int n_part, n_id, n_row;
};

static void add_window(struct batch *b, const struct score_opts *o, const int32_t *ids, const struct window *w)
{
    int32_t *to = b->ids + b->n_id;
    to[0] = w->first;
    if (w->n > 1)
        memcpy(to + 1, ids + (w->from + 1), ((size_t)w->n - 1) * sizeof *to);
    b->part[b->n_part] = (struct engine_part){ b->n_part, 0, w->n, to, NULL, 0 };
    b->n_part++;
    const int last = o->convention == SCORE_ROLLING ? w->n : w->n - 1;
    for (int i = w->first_scored; i < last; i++) {
        b->row[b->n_row] = b->n_id + i;
        b->target[b->n_row++] = i + 1 < w->n ? to[i + 1] : w->after;
    }
    b->n_id += w->n;
}

/* The n rows of the last step that count. */
static int count_rows(const struct batch *b, int n, const struct score_opts *o, struct score *s, struct err *err)
{
    TRY(engine_nll(b->e, b->row, b->target, n, b->nll, err));
    for (int i = 0; i < n; i++) {
        if (!isfinite(b->nll[i]))
            return ERR(err, NUMERIC, "the model gave values that are not numbers for token %zu", s->n_token + (size_t)i);
        s->nll += (double)b->nll[i];
        s->nll_square += (double)b->nll[i] * (double)b->nll[i];
    }
    s->n_token += (size_t)n;
    const int step = engine_n_logits(b->e);
    for (int at = 0; o->logits && at < n; at += step) {
        const int k = n - at < step ? n - at : step;
        const float *logits;
        TRY(engine_head(b->e, b->row + at, k, &logits, err));
        TRY(o->logits(o->logits_ctx, logits, k, engine_config(b->e)->vocab_size, err));
    }
    return 0;
}

static int run_batch(struct batch *b, const struct score_opts *o, struct score *s, struct err *err)
{
    if (!b->n_part)
        return 0;
    TRY(engine_run(b->e, b->part, b->n_part, err));
    TRY(count_rows(b, b->n_row, o, s, err));
    b->n_part = b->n_id = b->n_row = 0;
    return 0;
}

/* Windows longer than a step go in pieces: one window, its rows scored after each piece. */
static int run_long(struct batch *b, const struct score_opts *o, const int32_t *ids, const struct window *w, struct score *s, struct err *err)
{
    const int step = engine_step_tokens(b->e);
    for (int at = 0; at < w->n; at += step) {
        const int n = w->n - at < step ? w->n - at : step;
        int n_row = 0;
        for (int i = 0; i < n; i++) {
            const int k = at + i;
            b->ids[i] = k ? ids[w->from + (size_t)k] : w->first;
            if (k < w->first_scored || (k + 1 == w->n && o->convention != SCORE_ROLLING))
                continue;
            b->row[n_row] = i;
            b->target[n_row++] = k + 1 < w->n ? ids[w->from + (size_t)k + 1] : w->after;
        }
        TRY(engine_run(b->e, &(struct engine_part){ 0, at, n, b->ids, NULL, 0 }, 1, err));
        TRY(count_rows(b, n_row, o, s, err));
    }
    return 0;
}

static int score_windows(struct batch *b, const int32_t *ids, size_t n, const struct score_opts *o,
                         int (*progress)(void *ctx, size_t fed, size_t all, const struct score *s), void *progress_ctx, struct score *s,
                         struct err *err)
{
    const int step = engine_step_tokens(b->e), n_slot = engine_n_slot(b->e);
    struct window w;
    for (size_t i = 0; window_at(o, ids, n, i, &w); i++) {
        if (w.n > step) {
            TRY(run_long(b, o, ids, &w, s, err));
        } else {
            if (b->n_part == n_slot || b->n_id + w.n > step)
                TRY(run_batch(b, o, s, err));
            add_window(b, o, ids, &w);
            if (b->n_part < n_slot && b->n_id + o->ctx <= step)
                continue;
            TRY(run_batch(b, o, s, err));
        }
        if (progress && progress(progress_ctx, (i + 1) * (size_t)o->ctx, n, s))
            return 0;
    }
    return run_batch(b, o, s, err);
}

int score_tokens(struct engine *e, const int32_t *ids, size_t n, const struct score_opts *o,
                 int (*progress)(void *ctx, size_t fed, size_t all, const struct score *s), void *progress_ctx, struct score *out,
                 struct err *err)
{
    *out = (struct score){ 0 };
    if (o->ctx < 2 || o->ctx > engine_ctx(e))
        return ERR(err, RANGE, "windows of %d tokens, expected 2 to the model's %d positions", o->ctx, engine_ctx(e));
    if (n < 2 || (o->convention != SCORE_ROLLING && n < (size_t)o->ctx))
        return ERR(err, RANGE, "the text has %zu tokens, expected at least %d for one window", n, o->convention == SCORE_ROLLING ? 2 : o->ctx);
    const size_t cap = (size_t)engine_step_tokens(e);
    struct batch b = { .e = e, .part = mem_alloc_array((size_t)engine_n_slot(e), sizeof *b.part), .ids = mem_alloc_array(3 * cap, sizeof *b.ids),
                       .nll = mem_alloc_array(cap, sizeof *b.nll) };
    int rc;
    if (b.part && b.ids && b.nll) {
        b.row = b.ids + cap, b.target = b.row + cap;
        rc = score_windows(&b, ids, n, o, progress, progress_ctx, out, err);
    } else {
        rc = ERR(err, NOMEM, "no memory to score steps of %zu tokens", cap);
    }
    mem_free(b.part);
    mem_free(b.ids);
    mem_free(b.nll);
    return rc;
}
