#include "eval/run.h"
#include <limits.h>
#include <string.h>
#include "base/mem.h"
#include "eval/run_impl.h"
#include "infer/pages.h"

/* ---- opening ---- */

/* Whatever its tokenizer is, a model without texts is told first. */
static int check_texts(const struct run *r, struct err *err)
{
    const struct config *c = &r->files.model.config;
    if (c->n_label)
        return ERR(err, UNSUPPORTED, "%s says which of %d classes a text has, expected a model that continues texts; try lathe classify", r->o.model,
                   c->n_label);
    if (c->encoder)
        return ERR(err, UNSUPPORTED, "%s is an encoder, which does not continue texts; expected a decoder", r->o.model);
    return 0;
}

static int open_files(struct run *r, struct err *err)
{
    const struct engine_opts *e = &r->o.engine;
    const struct loaded_opts lo = { .ctx = r->o.max_length, .rope_scaling = e->rope_scaling, .warnings = e->warnings, .as = e->as, .no_tok = true };
    TRY(loaded_open(&r->files, r->o.model, &lo, err));
    TRY(check_texts(r, err));
    const struct config *c = &r->files.model.config;
    TRY(tok_load(&r->files.tok, model_tok_path(&r->files.model, r->o.model), err));
    if (tok_vocab_size(r->files.tok) > c->vocab_size)
        return ERR(err, FORMAT, "%s: vocab_size is %d, expected at least the tokenizer's %d", r->o.model, c->vocab_size, tok_vocab_size(r->files.tok));
    r->encoder = (struct encoder){ r->files.tok, c, r->o.begin, r->files.ctx, -1 };
    TRY(encoder_prefix(&r->encoder.prefix, r->o.model, r->files.tok, err));
    if (r->o.begin == ENCODE_PREFIX && r->encoder.prefix < 0)
        return ERR(err, USAGE, "%s has no token that begins or ends a text, which every text was to begin with", r->o.model);
    return 0;
}

int run_open(struct run **out, const struct run_opts *o, struct err *err)
{
    struct run *r = mem_alloc_zero(sizeof *r);
    *out = NULL;
    if (!r)
        return ERR(err, NOMEM, "no memory for %s", o->model);
    r->o = *o;
    r->o.batch = o->batch ? o->batch : RUN_BATCH;
    r->o.step_tokens = o->step_tokens ? o->step_tokens : RUN_STEP_TOKENS;
    r->o.cache_bytes = o->cache_bytes ? o->cache_bytes : RUN_CACHE_BYTES;
    const int rc = open_files(r, err);
    if (rc < 0)
        run_close(r);
    else
        *out = r;
    return rc;
}

static void drop_items(struct run *r)
{
    for (int i = 0; i < r->n_item; i++)
        item_free(r->item[i]);
    r->n_item = 0;
}

void run_close(struct run *r)
{
    if (!r)
        return;
    drop_items(r);
    mem_free(r->item);
    encoded_release(&r->work);
    tok_ids_release(&r->ids);
    mem_free(r->sequence);
    if (r->e)
        r->files.tok = NULL;             /* the engine's */
    engine_free(r->e);
    loaded_release(&r->files);
    mem_free(r);
}

const struct encoder *run_encoder(const struct run *r) { return &r->encoder; }
const struct model *run_model(const struct run *r) { return &r->files.model; }
struct run_counts run_counts(const struct run *r) { return r->counts; }
void run_again(struct run *r, int positions) { r->again = positions; }
int run_pages_for(int n) { return (n + KV_TOKENS - 1) / KV_TOKENS; }

/* ---- items ---- */

void run_fail(struct reply *y, const struct err *err)
{
    if (!y->error)
        y->error = mem_strdup(err->msg);
}

static int add_sequence(struct run *r, const int32_t *ids, struct sequence s, struct err *err)
{
    if (r->n_sequence == r->cap_sequence) {
        const int cap = r->cap_sequence ? 2 * r->cap_sequence : 16;
        struct sequence *p = mem_realloc_array(r->sequence, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d sequences", cap);
        r->sequence = p, r->cap_sequence = cap;
    }
    for (int i = 0; i < s.n; i++)
        if (ids[i] < 0 || ids[i] >= r->encoder.config->vocab_size)
            return ERR(err, RANGE, "token id %d, but the model has %d", ids[i], r->encoder.config->vocab_size);
    TRY(tok_ids_reserve(&r->ids, (size_t)s.n, err));
    s.at = r->ids.n;
    memcpy(r->ids.id + r->ids.n, ids, (size_t)s.n * sizeof *ids);
    r->ids.n += (size_t)s.n;
    r->sequence[r->n_sequence++] = s;
    r->counts.n_asked += s.n - 1;
    return 0;
}

static int add_pair(struct run *r, const struct request *q, struct reply *y, struct err *err)
{
    struct encoded *w = &r->work;
    TRY(encode_pair(&r->encoder, q, w, err));
    y->n_token = w->n_scored, y->n_cut = w->n_cut, y->joined = w->joined;
    return add_sequence(r, w->ids.id, (struct sequence){ .n = (int)w->ids.n, .n_scored = w->n_scored, .request = q->index }, err);
}

/* The prefix is put in front, so that a window is a run of tokens. */
static int add_rolling(struct run *r, const struct request *q, struct reply *y, struct err *err)
{
    struct encoded *w = &r->work;
    TRY(encode_text(&r->encoder, q, &w->work, err));
    if (w->work.n > INT32_MAX)
        return ERR(err, RANGE, "%zu tokens, expected fewer", w->work.n);
    w->ids.n = 0;
    TRY(tok_ids_reserve(&w->ids, w->work.n + 1, err));
    TRY(tok_ids_add(&w->ids, r->encoder.prefix, err));
    if (w->work.n)
        memcpy(w->ids.id + 1, w->work.id, w->work.n * sizeof *w->ids.id);
    int64_t from;
    struct sequence s = { .request = q->index };
    for (size_t i = 0; encode_window(&r->encoder, w->work.n, i, &from, &s.n, &s.n_scored); i++) {
        TRY(add_sequence(r, w->ids.id + from + 1, s, err));
        s.first += s.n_scored;
    }
    y->n_token = (int)w->work.n;
    return 0;
}

static int add_prompt(struct run *r, struct item *x, const struct request *q, struct reply *y, struct err *err)
{
    struct encoded *w = &r->work;
    TRY(encode_prompt(&r->encoder, q, w, err));
    for (size_t i = 0; i < w->ids.n; i++)
        if (w->ids.id[i] < 0 || w->ids.id[i] >= r->encoder.config->vocab_size)
            return ERR(err, RANGE, "token id %d, but the model has %d", w->ids.id[i], r->encoder.config->vocab_size);
    int32_t *ids = mem_realloc_array(x->ids, x->n_ids + w->ids.n, sizeof *ids);
    if (ids)
        x->ids = ids;
    struct prompt *p = mem_realloc_array(x->prompt, (size_t)x->n_prompt + 1, sizeof *p);
    if (p)
        x->prompt = p;
    if (!ids || !p)
        return ERR(err, NOMEM, "no memory for a prompt of %zu tokens", w->ids.n);
    memcpy(ids + x->n_ids, w->ids.id, w->ids.n * sizeof *ids);
    p[x->n_prompt++] = (struct prompt){ x->n_ids, (int)w->ids.n, q->index, q->generation };
    x->n_ids += w->ids.n;
    y->n_cut = w->n_cut;
    r->counts.n_asked += (int64_t)w->ids.n;
    return 0;
}

/* Lack of memory ends the run, whatever else is wrong with a request is told in its reply. */
static int add_request(struct run *r, struct item *x, const struct request *q, struct err *err)
{
    struct reply *y = &x->reply[q->index];
    struct err own = { 0 };
    const int n_before = r->n_sequence;
    int rc;
    y->greedy = q->kind != REQUEST_GENERATE;
    if (q->kind == REQUEST_LOGLIKELIHOOD)
        rc = add_pair(r, q, y, &own);
    else if (q->kind == REQUEST_ROLLING)
        rc = add_rolling(r, q, y, &own);
    else
        rc = add_prompt(r, x, q, y, &own);
    if (rc >= 0 && q->each_token && q->kind != REQUEST_GENERATE && y->n_token && !(y->token = mem_alloc_array((size_t)y->n_token, sizeof *y->token)))
        rc = ERR(&own, NOMEM, "no memory for %d tokens", y->n_token);
    if (rc >= 0)
        return 0;
    r->n_sequence = n_before;
    if (rc != ERR_NOMEM) {
        run_fail(y, &own);
        if (y->error)
            return 0;
    }
    return ERR(err, NOMEM, "%s", rc == ERR_NOMEM ? own.msg : "no memory for an error");
}

static int make_item(struct run *r, struct item *x, const struct request *q, int n, struct err *err)
{
    x->reply = mem_alloc_array((size_t)n, sizeof *x->reply);
    if (!x->reply)
        return ERR(err, NOMEM, "no memory for %d replies", n);
    x->n_reply = n;
    r->ids.n = 0, r->n_sequence = 0;
    for (int i = 0; i < n; i++)
        TRY(add_request(r, x, &q[i], err));
    if (r->n_sequence)
        TRY(item_build(x, r->sequence, r->n_sequence, r->ids.id, r->o.apart, err));
    x->n_open = (x->n_segment > 0) + x->n_prompt;
    return 0;
}

int run_add(struct run *r, int64_t tag, const struct request *q, int n, struct err *err)
{
    if (r->n_item == r->cap_item) {
        const int cap = r->cap_item ? 2 * r->cap_item : 1024;
        struct item **p = cap > r->n_item && r->n_item < INT_MAX / 2 ? mem_realloc_array(r->item, (size_t)cap, sizeof *p) : NULL;
        if (!p)
            return ERR(err, NOMEM, "no memory for %d items", cap);
        r->item = p, r->cap_item = cap;
    }
    struct item *x = mem_alloc_zero(sizeof *x);
    if (!x)
        return ERR(err, NOMEM, "no memory for an item");
    x->tag = tag;
    const int rc = make_item(r, x, q, n, err);
    if (rc < 0) {
        item_free(x);
        return rc;
    }
    x->place = r->n_item;
    r->item[r->n_item++] = x;
    r->counts.n_item++, r->counts.n_request += n;
    return 0;
}

/* ---- the size of the engine ---- */

/* What the items need: positions, pages of the longest alone with the longest beginning that is shared, and pages of as many as
 * may be under way at once. */
struct need { int ctx, pages_least, pages_best; int64_t n_token; };

static int item_pages(const struct item *x, int *ctx)
{
    int longest = x->depth;
    for (int i = 0; i < x->n_prompt; i++) {
        const int64_t n = (int64_t)x->prompt[i].n + x->prompt[i].generation->max_tokens;
        longest = n > longest ? (int)n : longest;        /* encode_prompt: within max_length */
    }
    *ctx = longest > *ctx ? longest : *ctx;
    return run_pages_for(longest);
}

static struct need needs(const struct run *r)
{
    struct need d = { .ctx = 1 };
    int longest = 0, header = 0, before = 0;
    int64_t window = 0, best = 0;
    for (int i = 0; i < r->n_item; i++) {
        const struct item *x = r->item[i];
        const int pages = item_pages(x, &d.ctx), shared = i + 1 < r->n_item ? item_common(x, r->item[i + 1]) : 0;
        longest = pages > longest ? pages : longest;
        if (shared >= RUN_SHARED_MIN && run_pages_for(shared) > header)
            header = run_pages_for(shared);
        window += pages;
        if (i >= r->o.batch) {
            int none = 0;
            window -= item_pages(r->item[i - r->o.batch], &none);
        }
        best = window > best ? window : best;
        d.n_token += x->n_fed - (before >= RUN_SHARED_MIN ? before : 0);
        for (int k = 0; k < x->n_prompt; k++)
            d.n_token += x->prompt[k].n + x->prompt[k].generation->max_tokens;
        before = shared;
    }
    if (r->again) {                    /* whatever comes later: items that have all but their last token in common */
        d.ctx = r->again > d.ctx ? r->again : d.ctx;
        longest = header = run_pages_for(d.ctx);
        best = (int64_t)r->o.batch * longest;
    }
    d.pages_least = longest + header + 1;
    best += header + 1;
    d.pages_best = best > d.pages_least ? best < INT32_MAX ? (int)best : INT32_MAX : d.pages_least;
    return d;
}

static struct engine_opts engine_opts_for(const struct run *r, int ctx, int n_page)
{
    struct engine_opts o = r->o.engine;
    const int64_t row = (int64_t)r->encoder.config->vocab_size * (int64_t)sizeof(float);
    const int64_t rows = ((int64_t)32 << 20) / row;      /* of logits at once: 32 MB */
    o.n_slot = r->o.batch, o.ctx = ctx, o.ctx_clip = false, o.n_page = n_page, o.step_tokens = r->o.step_tokens;
    o.n_logits = rows < 16 ? 16 : rows > 256 ? 256 : (int)rows;
    o.n_logits = o.n_logits < o.n_slot ? o.n_slot : o.n_logits;      /* infer/batch.h draws from that many */
    return o;
}

/* As many pages as would be best within cache_bytes: what one takes is seen from two plans. */
static int choose_pages(const struct run *r, const struct need *d, int n_thread, int *n_page, struct err *err)
{
    enum { MORE = 16 };
    size_t few, more;
    struct engine_opts o = engine_opts_for(r, d->ctx, d->pages_least);
    TRY(engine_plan_bytes(&few, r->o.model, &o, n_thread, err));
    o.n_page += MORE;
    TRY(engine_plan_bytes(&more, r->o.model, &o, n_thread, err));
    const size_t page = more > few ? (more - few) / MORE : 1, fit = r->o.cache_bytes / (page ? page : 1);
    *n_page = fit < (size_t)d->pages_best ? (int)fit : d->pages_best;
    *n_page = *n_page < d->pages_least ? d->pages_least : *n_page;
    return 0;
}

static int load(struct run *r, const struct need *d, struct pool *pool, struct err *err)
{
    const double begin = clock_wall();
    int n_page = 0;
    TRY(choose_pages(r, d, pool_n_thread(pool), &n_page, err));
    struct engine_opts o = engine_opts_for(r, d->ctx, n_page);
    o.tok = r->files.tok;
    const int rc = engine_new(&r->e, r->o.model, &o, pool, err);
    if (rc < 0) {
        r->files.tok = NULL;             /* the engine freed it */
        return rc;
    }
    r->counts.ctx = d->ctx, r->counts.n_page = n_page, r->counts.bytes = engine_bytes(r->e), r->counts.load_s = clock_wall() - begin;
    return 0;
}

/* ---- answering ---- */

int run_goes_on(struct run *r, struct err *err)
{
    r->progress.n_item = r->counts.n_item;
    if (r->progress.n_answered == r->progress.n_item || !r->hooks->goes_on || r->hooks->goes_on(r->hooks->ctx, &r->progress))
        return 0;
    return ERR(err, STOPPED, "stopped after %lld of %lld items", (long long)r->progress.n_answered, (long long)r->progress.n_item);
}

int run_done(struct run *r, struct item *x, struct err *err)
{
    if (--x->n_open > 0)
        return 0;
    r->progress.n_answered++;
    r->item[x->place] = NULL;
    const int rc = r->hooks->answered(r->hooks->ctx, x->tag, x->reply, x->n_reply, err);
    item_free(x);
    return rc;
}

/* Items of which nothing is to be computed: those whose requests are wrong, and texts without a token. */
static int tell_the_failed(struct run *r, struct err *err)
{
    int n = 0;
    for (int i = 0; i < r->n_item; i++)
        if (!r->item[i]->n_open)
            TRY(run_done(r, r->item[i], err));
    for (int i = 0; i < r->n_item; i++)
        if (r->item[i])
            r->item[i]->place = n, r->item[n++] = r->item[i];
    r->n_item = n;
    return 0;
}

int run_answer(struct run *r, const struct run_hooks *h, struct pool *pool, struct err *err)
{
    r->hooks = h;
    TRY(tell_the_failed(r, err));
    if (!r->n_item)
        return 0;
    const struct need d = needs(r);
    if (!r->e)
        TRY(load(r, &d, pool, err));
    else if (d.ctx > r->counts.ctx) {
        drop_items(r);
        return ERR(err, RANGE, "an item of %d positions, expected at most %d", d.ctx, r->counts.ctx);
    }
    r->progress.n_token += d.n_token;
    const double begin = clock_wall();
    int rc = run_loglik(r, err);
    if (!rc)
        rc = run_generate(r, pool, err);
    r->counts.answer_s += clock_wall() - begin;
    if (!rc)
        r->n_item = 0;
    return rc;
}
