#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/run_impl.h"
#include "infer/pages.h"

/* A sequence of the engine that walks the segments of an item, or of the header. */
struct walker { struct item *item; int slot, segment, done; int32_t *page; int n_page; };

/* What the next items have in common: its pages are read by theirs. */
struct header { int32_t *ids; int n, cap; int32_t *page; int n_page; };

/* Whose a target of the step is, and the how manyth of its tokens. */
struct scored { struct reply *reply; int place; };

struct score {
    struct run *r;
    int next;                            /* item to be admitted */
    struct walker *walker;               /* [batch], those under way first, by age */
    int n_live, n_page_max;              /* of a sequence */
    int32_t *pages;                      /* [batch + 1][n_page_max], of walkers and header */
    int32_t *free_page; int n_free;
    int *held;                           /* [n_page]: by how many */
    struct header header;
    struct item making; struct segment making_segment;       /* the header, while a walker computes it */
    /* of a step */
    struct engine_part *part; int n_part, n_row;
    struct engine_target *target; struct scored *scored; int n_target, cap_target;
};

/* ---- pages ---- */

static void give_back(struct score *s, int32_t *page, int *n_page)
{
    for (int i = 0; i < *n_page; i++)
        if (!--s->held[page[i]])
            s->free_page[s->n_free++] = page[i];
    *n_page = 0;
}

static void drop_header(struct score *s)
{
    give_back(s, s->header.page, &s->header.n_page);
    s->header.n = 0;
}

/* Pages for n tokens, of which the header has the first `have`: full ones are shared, what stands in the last one is copied. */
static void take_pages(struct score *s, struct walker *w, int n, int have)
{
    for (; w->n_page < have / KV_TOKENS; w->n_page++)
        s->held[w->page[w->n_page] = s->header.page[w->n_page]]++;
    while (w->n_page < run_pages_for(n))
        s->held[w->page[w->n_page++] = s->free_page[--s->n_free]]++;
    if (have % KV_TOKENS)
        engine_copy_page(s->r->e, s->header.page[have / KV_TOKENS], w->page[have / KV_TOKENS]);
}

/* ---- admitting ---- */

static int shared_with_header(const struct score *s, const struct item *x)
{
    const int32_t *ids = x->ids + x->segment[0].at;
    const int most = x->n_prefix < s->header.n ? x->n_prefix : s->header.n;
    int n = 0;
    while (n < most && ids[n] == s->header.ids[n])
        n++;
    return n < RUN_SHARED_MIN ? 0 : n;
}

static bool is_header(const struct score *s, const struct walker *w) { return w->item == &s->making; }
static bool header_is_made(const struct score *s) { return s->n_live && is_header(s, &s->walker[s->n_live - 1]); }

static bool fits(const struct score *s, int n, int have) { return run_pages_for(n) - have / KV_TOKENS <= s->n_free; }

static void begin(struct score *s, struct item *x, int depth, int have)
{
    struct walker *w = &s->walker[s->n_live++];
    w->item = x, w->segment = 0, w->done = have;
    take_pages(s, w, depth, have);
}

/* The first n tokens of x as the header. */
static int begin_header(struct score *s, const struct item *x, int n, int have, struct err *err)
{
    struct header *h = &s->header;
    if (n > h->cap) {
        int32_t *p = mem_realloc_array(h->ids, (size_t)n, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for a beginning of %d tokens", n);
        h->ids = p, h->cap = n;
    }
    s->making_segment = (struct segment){ .n = n };
    s->making = (struct item){ .ids = h->ids, .segment = &s->making_segment, .n_segment = 1, .depth = n };
    begin(s, &s->making, n, have);
    memcpy(h->ids, x->ids + x->segment[0].at, (size_t)n * sizeof *h->ids);
    drop_header(s);                      /* the walker holds what it shares */
    return 0;
}

static void end_header(struct score *s, struct walker *w)
{
    memcpy(s->header.page, w->page, (size_t)w->n_page * sizeof *w->page);
    s->header.n_page = w->n_page, s->header.n = s->making_segment.n;
    w->n_page = 0;
}

static struct item *next_item(struct score *s, int *at)
{
    for (; *at < s->r->n_item; ++*at)
        if (s->r->item[*at] && s->r->item[*at]->n_segment)
            return s->r->item[*at];
    return NULL;
}

/* Begins the next item, or the header that it shares with the one behind it; 0: nothing more can begin now. */
static int admit(struct score *s, struct err *err)
{
    struct item *x = next_item(s, &s->next);
    if (!x || s->n_live == s->r->o.batch || header_is_made(s))
        return 0;
    int after = s->next + 1;
    const struct item *y = next_item(s, &after);
    const int have = shared_with_header(s, x), shared = y ? item_common(x, y) : 0;
    const bool header = shared >= have + RUN_SHARED_MIN;
    if (!fits(s, header ? shared : x->depth, have)) {
        if (s->n_live || !s->header.n)
            return 0;
        drop_header(s);                  /* nothing else holds pages, and there are enough for any item with its header (run.c) */
        return admit(s, err);
    }
    if (header)
        TRY(begin_header(s, x, shared, have, err));
    else
        begin(s, x, x->depth, have), s->next++;
    return 1;
}

/* ---- a step ---- */

static int more_targets(struct score *s, int n, struct err *err)
{
    if (s->n_target + n <= s->cap_target)
        return 0;
    const int cap = 2 * (s->n_target + n);
    struct engine_target *t = mem_realloc_array(s->target, (size_t)cap, sizeof *t);
    s->target = t ? t : s->target;
    struct scored *y = mem_realloc_array(s->scored, (size_t)cap, sizeof *y);
    s->scored = y ? y : s->scored;
    if (!t || !y)
        return ERR(err, NOMEM, "no memory for %d targets", cap);
    s->cap_target = cap;
    return 0;
}

/* The rest of the walker's segment, as far as the step has room. */
static int add_part(struct score *s, const struct walker *w, struct err *err)
{
    struct item *x = w->item;
    const struct segment *g = &x->segment[w->segment];
    const int room = engine_step_tokens(s->r->e) - s->n_row, left = g->n - w->done, n = left < room ? left : room;
    if (n < 1)
        return 0;
    s->part[s->n_part++] = (struct engine_part){ w->slot, g->pos + w->done, n, x->ids + g->at + w->done, w->page, 0 };
    TRY(more_targets(s, g->n_target, err));
    for (int i = g->first_target; i < g->first_target + g->n_target; i++) {
        const struct target *t = &x->target[i];
        if (t->row < w->done || t->row >= w->done + n)
            continue;
        s->scored[s->n_target] = (struct scored){ &x->reply[t->request], t->place };
        s->target[s->n_target++] = (struct engine_target){ .row = s->n_row + t->row - w->done, .id = t->id, .moments = x->reply[t->request].token };
    }
    s->n_row += n;
    return 0;
}

static int fill(struct score *s, struct err *err)
{
    s->n_part = s->n_row = s->n_target = 0;
    for (int i = 0; i < s->n_live; i++)
        TRY(add_part(s, &s->walker[i], err));
    while (s->n_row < engine_step_tokens(s->r->e)) {
        const int n = admit(s, err);
        TRY(n);
        if (!n)
            break;
        TRY(add_part(s, &s->walker[s->n_live - 1], err));
    }
    return 0;
}

static void take_scores(struct score *s)
{
    for (int i = 0; i < s->n_target; i++) {
        const struct engine_target *t = &s->target[i];
        struct reply *y = s->scored[i].reply;
        y->loglik -= (double)t->nll;
        y->greedy = y->greedy && t->likeliest;
        if (y->token)
            y->token[s->scored[i].place] = (struct reply_token){ -t->nll, t->mean, t->sd };
        s->r->counts.n_scored += !i || t->row != t[-1].row;
    }
}

/* Parts are those of the first walkers, in their order. */
static int advance(struct score *s, struct err *err)
{
    int n = 0;
    for (int i = 0; i < s->n_live; i++) {
        struct walker w = s->walker[i];
        w.done += i < s->n_part ? s->part[i].n : 0;
        if (w.done == w.item->segment[w.segment].n)
            w.segment++, w.done = 0;
        s->walker[i] = w;
    }
    for (int i = 0; i < s->n_live; i++) {
        const struct walker w = s->walker[i];
        if (w.segment < w.item->n_segment) {
            s->walker[i] = s->walker[n], s->walker[n++] = w;
            continue;
        }
        if (is_header(s, &w)) {
            end_header(s, &s->walker[i]);
            continue;
        }
        give_back(s, w.page, &s->walker[i].n_page);
        for (int k = 0; k < w.item->n_reply; k++)
            if (!isfinite(w.item->reply[k].loglik)) {
                struct err own = { 0 };
                (void)ERR(&own, NUMERIC, "the model gave values that are not numbers");
                run_fail(&w.item->reply[k], &own);
            }
        TRY(run_done(s->r, w.item, err));
    }
    s->n_live = n;
    return 0;
}

static int steps(struct score *s, struct err *err)
{
    for (;;) {
        TRY(fill(s, err));
        if (!s->n_part)
            return 0;
        TRY(engine_run(s->r->e, s->part, s->n_part, err));
        if (s->n_target)
            TRY(engine_targets(s->r->e, s->target, s->n_target, err));
        take_scores(s);
        s->r->counts.n_step++, s->r->counts.n_computed += s->n_row, s->r->progress.n_done += s->n_row;
        TRY(advance(s, err));
        TRY(run_goes_on(s->r, err));
    }
}

static int begin_score(struct score *s, struct err *err)
{
    const int batch = s->r->o.batch, n_page = engine_n_page(s->r->e);
    s->n_page_max = run_pages_for(engine_ctx(s->r->e));
    s->walker = mem_alloc_array((size_t)batch, sizeof *s->walker);
    s->pages = mem_alloc_array((size_t)batch + 1, (size_t)s->n_page_max * sizeof *s->pages);
    s->free_page = mem_alloc_array((size_t)n_page, sizeof *s->free_page);
    s->held = mem_alloc_array((size_t)n_page, sizeof *s->held);
    s->part = mem_alloc_array((size_t)batch, sizeof *s->part);
    if (!s->walker || !s->pages || !s->free_page || !s->held || !s->part)
        return ERR(err, NOMEM, "no memory for %d items at once", batch);
    for (int i = 0; i < batch; i++)
        s->walker[i] = (struct walker){ .slot = i, .page = s->pages + (size_t)i * (size_t)s->n_page_max };
    s->header.page = s->pages + (size_t)batch * (size_t)s->n_page_max;
    for (int i = n_page - 1; i >= 0; i--)
        s->free_page[s->n_free++] = i;
    return 0;
}

int run_loglik(struct run *r, struct err *err)
{
    struct score s = { .r = r };
    int rc = begin_score(&s, err);
    if (!rc)
        rc = steps(&s, err);
    mem_free(s.walker);
    mem_free(s.pages);
    mem_free(s.free_page);
    mem_free(s.held);
    mem_free(s.part);
    mem_free(s.target);
    mem_free(s.scored);
    mem_free(s.header.ids);
    return rc;
}
