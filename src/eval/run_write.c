#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/run_impl.h"
#include "infer/answer.h"
#include "infer/ends.h"

/* The stop texts of a task's requests. */
struct rule { const struct request_generation *generation; struct stops *stops; struct rule *next; };

/* A text on its way; in `done` from its end on, until the step is over. */
struct writing {
    struct write *w;
    struct item *item; const struct prompt *prompt;
    struct answer *answer;
    struct buf text;
    bool failed;                         /* no memory */
    struct writing *next;
};

struct write {
    struct run *r;
    struct batch *batch;
    struct answer_model model;
    int32_t end[CONFIG_EOS_MAX + 16];
    struct rule *rules;
    int n_live;
    struct writing *done;
};

/* ---- where texts end ---- */

/* Those that the configuration names, as Hugging Face's generate; where it names none, what the tokenizer knows as an end. */
static int find_ends(struct write *w, struct err *err)
{
    const struct config *c = engine_config(w->r->e);
    const struct tok *t = engine_tok(w->r->e);
    struct ends ends;
    int n = 0;
    TRY(ends_load(&ends, w->r->o.model, err));
    for (int i = 0; i < c->n_eos; i++)
        w->end[n++] = c->eos_id[i];
    for (int i = 0; i < ends.n; i++)
        w->end[n++] = ends.id[i];
    for (int i = 0; !n && i < tok_vocab_size(t); i++)
        if (tok_is_eog(t, i))
            w->end[n++] = i;
    w->model = (struct answer_model){ .tok = t, .V = c->vocab_size, .end = w->end, .n_end = n };
    return 0;
}

static int find_rule(struct write *w, const struct request_generation *g, const struct rule **out, struct err *err)
{
    struct stop_text text[STOPS_MAX];
    int n = 0;
    for (*out = w->rules; *out; *out = (*out)->next)
        if ((*out)->generation == g)
            return 0;
    for (int i = 0; i < g->n_until; i++)
        if (*g->until[i]) {
            if (n == STOPS_MAX)
                return ERR(err, RANGE, "more than %d texts end a reply, expected at most so many", STOPS_MAX);
            text[n++] = (struct stop_text){ g->until[i], strlen(g->until[i]) };
        }
    struct rule *rule = mem_alloc_zero(sizeof *rule);
    if (!rule)
        return ERR(err, NOMEM, "no memory for the texts that end a reply");
    const int rc = n ? stops_new(&rule->stops, text, n, err) : 0;
    if (rc < 0) {
        mem_free(rule);
        return rc;
    }
    rule->generation = g, rule->next = w->rules;
    *out = w->rules = rule;
    return 0;
}

/* ---- a text ---- */

static void piece(void *ctx, const struct answer_piece *p)
{
    struct writing *x = ctx;
    x->failed = x->failed || buf_add(&x->text, p->text, p->n, NULL) < 0;
}

static void end(void *ctx, const struct answer_end *e)
{
    struct writing *x = ctx;
    struct reply *y = &x->item->reply[x->prompt->request];
    struct err own = { 0 };
    if (e->why == ANSWER_FAILED) {
        if (!e->err)
            (void)ERR(&own, FORMAT, "no text was made");
        run_fail(y, e->err ? e->err : &own);
        x->failed = x->failed || !y->error;
    }
    y->n_token = e->n_token, y->unended = e->why == ANSWER_LENGTH;
    x->w->r->counts.n_generated += e->n_token;
    x->next = x->w->done, x->w->done = x;
}

static void writing_free(struct writing *x)
{
    answer_free(x->answer);
    buf_release(&x->text);
    mem_free(x);
}

static int submit(struct write *w, struct item *x, const struct prompt *p, struct err *err)
{
    const struct request_generation *g = p->generation;
    const struct rule *rule;
    TRY(find_rule(w, g, &rule, err));
    struct writing *t = mem_alloc_zero(sizeof *t);
    if (!t)
        return ERR(err, NOMEM, "no memory for a text");
    *t = (struct writing){ .w = w, .item = x, .prompt = p };
    buf_init(&t->text);
    const uint64_t seed = rng_u64(rng_u64(w->r->o.seed, (uint64_t)x->tag), (uint64_t)p->request);
    const struct sampling sampling = { g->temperature, g->top_k, g->top_p > 0 ? g->top_p : 1, 0, seed };
    const struct answer_wish wish = { .prompt = x->ids + p->at, .n_prompt = p->n, .adapter = 0, .most = g->max_tokens, .sampling = sampling,
                                      .stops = rule->stops, .n_logprob = -1,
                                      .share = !w->r->o.apart, .piece = piece, .end = end, .ctx = t };
    uint64_t id;
    int rc = answer_new(&t->answer, &w->model, &wish, err);
    if (!rc) {
        const struct text_request q = answer_request(t->answer);
        rc = batch_submit(w->batch, &q, &id, err);
    }
    if (rc < 0)
        writing_free(t);
    else
        w->n_live++;
    return rc;
}

/* One that cannot be asked has an error in its reply. */
static int begin_text(struct write *w, struct item *x, const struct prompt *p, struct err *err)
{
    struct err own = { 0 };
    const int rc = submit(w, x, p, &own);
    if (rc >= 0)
        return 0;
    if (rc != ERR_NOMEM)
        run_fail(&x->reply[p->request], &own);
    if (rc == ERR_NOMEM || !x->reply[p->request].error)
        return ERR(err, NOMEM, "%s", own.msg);
    return run_done(w->r, x, err);
}

static int keep(struct writing *x, struct err *err)
{
    struct reply *y = &x->item->reply[x->prompt->request];
    if (x->failed)
        return ERR(err, NOMEM, "no memory for a text of %d tokens", y->n_token);
    if (y->error)
        return 0;
    y->text = mem_alloc(x->text.len + 1);
    if (!y->text)
        return ERR(err, NOMEM, "no memory for a text of %zu bytes", x->text.len);
    memcpy(y->text, x->text.data, x->text.len + 1);
    y->n_text = x->text.len;
    return 0;
}

static int take_done(struct write *w, struct err *err)
{
    while (w->done) {
        struct writing *x = w->done;
        struct item *item = x->item;
        w->done = x->next, w->n_live--;
        w->r->progress.n_done += x->prompt->n + x->prompt->generation->max_tokens;
        const int rc = keep(x, err);
        writing_free(x);
        TRY(rc);
        TRY(run_done(w->r, item, err));
    }
    return 0;
}

/* ---- all of them ---- */

static int steps(struct write *w, struct err *err)
{
    int i = 0, k = 0;
    struct run *r = w->r;
    while (i < r->n_item || w->n_live) {
        while (i < r->n_item && w->n_live < 2 * r->o.batch) {
            struct item *x = r->item[i];
            if (!x || k == x->n_prompt) {
                i++, k = 0;
                continue;
            }
            const int last = k + 1 == x->n_prompt, at = k;
            i += last, k = last ? 0 : k + 1;
            TRY(begin_text(w, x, &x->prompt[at], err));
        }
        batch_step(w->batch);
        TRY(take_done(w, err));
        TRY(run_goes_on(r, err));
    }
    return 0;
}

static bool has_prompts(const struct run *r)
{
    for (int i = 0; i < r->n_item; i++)
        if (r->item[i] && r->item[i]->n_prompt)
            return true;
    return false;
}

int run_generate(struct run *r, struct pool *pool, struct err *err)
{
    struct write w = { .r = r };
    if (!has_prompts(r))
        return 0;
    TRY(find_ends(&w, err));
    const struct batch_opts o = { .e = r->e, .pool = pool, .n_queue = 2 * r->o.batch + 1, .stretch = -1 };
    TRY(batch_new(&w.batch, &o, err));
    const int rc = steps(&w, err);
    struct batch_counts n;
    batch_counts(w.batch, &n);
    r->counts.n_step += (int64_t)n.n_step, r->counts.n_computed += (int64_t)n.n_row;
    batch_free(w.batch);                 /* ends those under way */
    for (struct writing *x = w.done, *next; x; x = next) {
        next = x->next;
        writing_free(x);
    }
    for (struct rule *x = w.rules, *next; x; x = next) {
        next = x->next;
        stops_free(x->stops);
        mem_free(x);
    }
    return rc;
}
