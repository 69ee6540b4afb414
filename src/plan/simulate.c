#include "plan/simulate.h"
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include "base/mem.h"
#include "infer/sched.h"
#include "load/users.h"
#include "plan/sim_cache.h"

#define PAGE 64
#define CHUNK 256                        /* texts that memory is taken for at a time */

/* A text that is being continued is in the heap, and its n_ids and n_done are those of step `from`; sync() brings them up to date. */
struct text {
    struct sched_text s;         /* first: what sched.h has is a text, too */
    struct sim_hold hold;
    int64_t held;                /* pages */
    double at, first, last;      /* when it came, got its first token, and had its last one when it was put aside; -1: not yet, not */
    int n_out, user;             /* user: of a closed loop */
    int64_t from, end;           /* step after which it has all its tokens */
    int heap;                    /* -1: not there */
    struct text *free;
};
struct chunk { struct chunk *next; struct text text[CHUNK]; };

struct sim {
    const struct workload *w;
    const struct sim_limits *l;
    const struct sim_cost *c;
    struct sched sched;
    struct sim_cache cache;
    struct sim_result r;
    double now, first_at, wait_s, running_s;
    int64_t step;                /* steps so far */
    /* texts that are continued */
    struct text **heap; int n_heap;          /* by end, then age */
    int64_t keys;                            /* that the next step sees */
    int64_t *ring;                           /* [page]: how many need a page in steps that are so many modulo page */
    struct decode { double a, b; bool known; } *decode;      /* [n_slot + 1] */
    bool odd;                    /* one that continues is not in the heap: it was put aside, and is back up to its last token */
    /* requests */
    int64_t n, n_drawn;
    struct workload_times times;
    double next_at;                          /* of the next request; INFINITY: none */
    struct users users;                      /* closed loop */
    struct text *free;
    struct chunk *chunks;
    struct spread_tally ttft, tpot, e2e, wait, gap;
    struct err *err;                         /* of a hook of sched.h, or of a cost */
    int n_late;                              /* of those that are continued in this step: had their last token before they were put aside */
    int n_empty;                             /* steps in a row without rows */
};

static_assert(!offsetof(struct text, s), "text_of");
static struct text *text_of(struct sched_text *t) { return (struct text *)t; }
static int page_of(const struct sim *s) { return s->cache.page; }

/* ---- those that are continued ---- */

static bool ends_before(const struct text *a, const struct text *b) { return a->end != b->end ? a->end < b->end : a->s.id < b->s.id; }

static void put(struct sim *s, int i, struct text *t)
{
    s->heap[i] = t;
    t->heap = i;
}

static void rise(struct sim *s, int i, struct text *t)
{
    for (; i && ends_before(t, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        put(s, i, s->heap[(i - 1) / 2]);
    put(s, i, t);
}

static void sink(struct sim *s, int i, struct text *t)
{
    for (int k; (k = 2 * i + 1) < s->n_heap; i = k) {
        k += k + 1 < s->n_heap && ends_before(s->heap[k + 1], s->heap[k]);
        if (!ends_before(s->heap[k], t))
            break;
        put(s, i, s->heap[k]);
    }
    put(s, i, t);
}

/* The steps in which it needs a page, modulo page: those whose row is the first of one. */
static int64_t *ring_of(struct sim *s, const struct text *t)
{
    const int64_t page = page_of(s), k = (t->from - t->s.n_ids + 1) % page;
    return &s->ring[k < 0 ? k + page : k];
}

static void sync(struct sim *s, struct text *t)
{
    t->s.n_ids += (int)(s->step - t->from), t->s.n_done = t->s.n_ids - 1, t->from = s->step;
    t->held = sim_pages(&s->cache, t->s.n_ids - 1);
}

static void enter(struct sim *s, struct text *t)
{
    t->from = s->step, t->end = s->step + t->s.n_prompt + t->n_out - t->s.n_ids;
    s->keys += t->s.n_ids;
    ++*ring_of(s, t);
    rise(s, s->n_heap++, t);
}

static void leave(struct sim *s, struct text *t)
{
    const int i = t->heap;
    struct text *last = s->heap[--s->n_heap];
    sync(s, t);
    s->keys -= t->s.n_ids;
    --*ring_of(s, t);
    t->heap = -1;
    if (last == t)
        return;
    if (i && ends_before(last, s->heap[(i - 1) / 2]))
        rise(s, i, last);
    else
        sink(s, i, last);
}

/* ---- requests come ---- */

static void draw_next(struct sim *s)
{
    if (s->n_drawn >= s->n)
        s->next_at = INFINITY;
    else if (!s->w->users)
        s->next_at = workload_next(&s->times);
    else
        s->next_at = users_next(&s->users);
}

static struct text *text_new(struct sim *s)
{
    if (!s->free) {
        struct chunk *c = mem_alloc(sizeof *c);
        if (!c)
            return NULL;
        c->next = s->chunks, s->chunks = c;
        for (int i = 0; i < CHUNK; i++)
            c->text[i].free = s->free, s->free = &c->text[i];
    }
    struct text *t = s->free;
    s->free = t->free;
    return t;
}

/* As batch_submit() does. */
static bool is_too_long(const struct sim *s, const struct request *r, int *n_out)
{
    const int64_t ctx = s->l->ctx > 0 ? s->l->ctx : INT32_MAX - 1, room = r->prompt + (int64_t)r->output < ctx ? r->prompt + (int64_t)r->output : ctx;
    *n_out = (int64_t)r->output < ctx - r->prompt + 1 ? r->output : (int)(ctx - r->prompt + 1);
    return r->prompt > ctx || sim_pages(&s->cache, room) > s->cache.n_page;
}

/* False: there is no memory. */
static bool take_request(struct sim *s, double at)
{
    const struct request r = workload_request(s->w, s->n_drawn++);
    const int most = s->l->n_queue ? s->l->n_queue : SCHED_QUEUE;
    int n_out;
    s->first_at = s->n_drawn == 1 ? at : s->first_at;
    const bool too_long = is_too_long(s, &r, &n_out), busy = !too_long && most > 0 && !sched_may_wait(most - s->sched.n_waiting, 0);
    s->r.n_too_long += too_long, s->r.n_busy += busy;
    const int user = s->w->users ? users_ask(&s->users) : 0;
    if (too_long || busy) {
        if (s->w->users)
            users_answered(&s->users, user, at);
        return true;
    }
    struct text *t = text_new(s);
    if (!t)
        return false;
    *t = (struct text){ .hold = { .group = r.group, .prefix = r.prefix }, .at = at, .first = -1, .last = -1, .n_out = n_out, .user = user, .heap = -1 };
    t->s = (struct sched_text){ .id = (uint64_t)s->n_drawn, .n_prompt = r.prompt, .n_ids = r.prompt };
    s->r.n_cut += n_out < r.output;
    sched_wait(&s->sched, &t->s);
    return true;
}

/* Where any number may wait, only those that a step looks at are drawn. */
static int pull(struct sim *s)
{
    while (s->next_at <= s->now && (s->l->n_queue >= 0 || s->sched.n_waiting < SCHED_LOOK)) {
        if (!take_request(s, s->next_at))
            return ERR(s->err, NOMEM, "no memory for %d texts more", CHUNK);
        draw_next(s);
    }
    return 0;
}

/* ---- what sched.h asks for ---- */

static enum pages_fate begin_text(void *ctx, struct sched_text *st, int spare)
{
    struct sim *s = ctx;
    struct text *t = text_of(st);
    int kept;
    const enum pages_fate fate = sim_begin(&s->cache, &t->hold, st->n_ids, spare, &kept);
    if (fate != PAGES_OK)
        return fate;
    t->held = sim_pages(&s->cache, st->n_ids), st->n_done = kept;
    if (!st->admitted) {
        spread_add(&s->wait, s->now - t->at, 1);
        s->wait_s += s->now - t->at;
        s->r.prompt_tokens += st->n_prompt, s->r.kept_tokens += kept;
    }
    return PAGES_OK;
}

static bool extend_text(void *ctx, struct sched_text *st, int n)
{
    struct sim *s = ctx;
    struct text *t = text_of(st);
    const int64_t more = sim_pages(&s->cache, n) - t->held;
    if (more > 0 && !sim_take(&s->cache, more))
        return false;
    t->held += more > 0 ? more : 0;
    return true;
}

static void release_text(void *ctx, struct sched_text *st)
{
    struct sim *s = ctx;
    struct text *t = text_of(st);
    if (sched_continues(st))
        t->last = s->now;
    if (t->heap >= 0)
        leave(s, t);
    sim_give(&s->cache, &t->hold, t->held, st->n_done, true);
    t->held = 0;
}

/* ---- tokens ---- */

static void finish(struct sim *s, struct text *t)
{
    const struct targets *g = &s->w->targets;
    const double ttft = t->first - t->at, e2e = s->now - t->at, tpot = t->n_out > 1 ? (s->now - t->first) / (t->n_out - 1) : 0;
    sim_give(&s->cache, &t->hold, t->held, t->s.n_done, false);
    sched_remove(&s->sched, &t->s);
    s->sched.stuck = false;
    s->r.n_done++, s->r.output_tokens += t->n_out;
    s->r.n_good += !(g->ttft > 0 && ttft > g->ttft) && !(g->tpot > 0 && tpot > g->tpot) && !(g->e2e > 0 && e2e > g->e2e);
    spread_add(&s->ttft, ttft, 1), spread_add(&s->e2e, e2e, 1);
    if (t->n_out > 1)
        spread_add(&s->tpot, tpot, 1);
    if (s->w->users) {
        users_answered(&s->users, t->user, s->now);
        draw_next(s);
    }
    t->free = s->free, s->free = t;
}

/* All its ids are in the cache: it gets one more. */
static void draw_token(struct sim *s, struct text *t)
{
    t->s.n_ids++;
    t->first = t->first < 0 ? s->now : t->first;
    if (t->last >= 0)
        spread_add(&s->gap, s->now - t->last, 1);
    t->last = -1;
    if (t->s.n_ids - t->s.n_prompt == t->n_out)
        finish(s, t);
    else if (!s->l->every_step)
        enter(s, t);
}

static void finish_ended(struct sim *s)
{
    while (s->n_heap && s->heap[0]->end == s->step) {
        struct text *t = s->heap[0];
        leave(s, t);
        finish(s, t);
    }
}

/* ---- one step ---- */

static const struct decode *decode_of(struct sim *s, int n)
{
    struct decode *d = &s->decode[n];
    if (!d->known) {
        s->c->decode(s->c->ctx, n, &d->a, &d->b);
        d->known = true;
    }
    return d;
}

static int check_time(struct sim *s, double t, const struct sim_step *x)
{
    return t > 0 && isfinite(t) ? 0 : ERR(s->err, NUMERIC, "a step of %d texts that see %.0f keys and %d rows of prompts takes %g s, expected more than 0", x->n, x->keys, x->rows, t);
}

/* Rows of those that continue: a page is there for each that needs one, or sched.h decides. */
static int continue_texts(struct sim *s, struct sim_step *x)
{
    const int64_t pages = s->ring[s->step % page_of(s)];
    s->sched.n_part = s->n_late = 0;
    if (!s->l->every_step && !s->odd && sim_take(&s->cache, pages)) {
        x->n = s->n_heap, x->keys = (double)s->keys;
        return x->n;
    }
    s->odd = false;
    for (int i = 0; i < s->n_heap; i++)
        sync(s, s->heap[i]);
    x->n = sched_continue(&s->sched);
    int kept = 0;                                        /* parts of those that are not in the heap */
    s->n_late = 0;
    for (int i = 0; i < s->sched.n_part; i++) {
        const struct sched_part p = s->sched.part[i];
        x->keys += p.t->n_ids;
        s->n_late += text_of(p.t)->last >= 0;
        if (text_of(p.t)->heap < 0)
            s->sched.part[kept++] = p;
    }
    s->sched.n_part = kept;
    return x->n;
}

static void count_prompts(const struct sim *s, int first, struct sim_step *x)
{
    for (int i = first; i < s->sched.n_part; i++) {
        const struct sched_part *p = &s->sched.part[i];
        x->rows += p->n, x->n_prompt++;
        x->past_keys += p->t->n_done;
        x->row_keys += (double)p->n * p->t->n_done + (double)p->n * (p->n + 1) / 2;
    }
}

/* The step is over, and those in the heap have moved on. */
static void deliver(struct sim *s)
{
    finish_ended(s);
    for (int i = 0; i < s->sched.n_part; i++) {
        struct text *t = text_of(s->sched.part[i].t);
        t->s.n_done += s->sched.part[i].n;
        sim_publish(&s->cache, &t->hold, t->s.n_done);
        if (t->s.n_done == t->s.n_ids)
            draw_token(s, t);
        else
            s->odd |= sched_continues(&t->s);
    }
}

static void count_step(struct sim *s, const struct sim_step *x, double seconds)
{
    s->r.n_step += x->steps, s->r.n_mixed += x->rows > 0, s->r.n_event++;
    s->r.busy_s += seconds, s->running_s += seconds * s->sched.n_running;
    s->r.rows += (double)(x->n * x->steps) + x->rows;
    if (s->l->watch)
        s->l->watch(s->l->watch_ctx, x, s->now, seconds);
    s->now += seconds;
}

static int one_step(struct sim *s)
{
    struct sim_step x = { .steps = 1 };
    const int n = continue_texts(s, &x), first = s->sched.n_part;
    if (!sched_prompts(&s->sched, n)) {
        s->n_empty++;
        assert(s->n_empty < 3);                          /* whoever is alone has room */
        return 0;
    }
    s->n_empty = 0;
    count_prompts(s, first, &x);
    const struct decode *d = x.n ? decode_of(s, x.n) : NULL;
    const double t = x.rows ? s->c->mixed(s->c->ctx, &x) : d->a + d->b * x.keys;
    TRY(check_time(s, t, &x));
    pace_add(&s->sched.pace, x.n, x.rows, t);
    if (x.n > s->n_late)
        spread_add(&s->gap, t, x.n - s->n_late);
    count_step(s, &x, t);
    s->step++, s->keys += s->n_heap;
    deliver(s);
    if (x.rows)
        s->sched.stuck = false;                          /* others may have waited for what was computed */
    return 0;
}

/* ---- many steps at once ---- */

/* Pages that k steps need. */
static int64_t pages_of_steps(const struct sim *s, int64_t k)
{
    const int page = page_of(s);
    int64_t n = k / page * s->n_heap;
    for (int64_t i = s->step; i < s->step + k % page; i++)
        n += s->ring[i % page];
    return n;
}

/* Steps for which there are pages, k at most. */
static int64_t steps_of_pages(const struct sim *s, int64_t k)
{
    const int page = page_of(s);
    const int64_t have = sim_free(&s->cache), rounds = have / s->n_heap;
    if (rounds > k / page)
        return k;
    int64_t left = have - rounds * s->n_heap, n = rounds * page;
    while (n < k && left >= s->ring[(s->step + n) % page])
        left -= s->ring[(s->step + n++) % page];
    return n < k ? n : k;
}

/* k steps, of which the first takes t and each dt more than the one before. */
static double series(double t, double dt, double k) { return k * t + dt * k * (k - 1) / 2; }

/* The first of k steps after which `seconds` have passed. */
static int64_t steps_of_time(double t, double dt, double seconds, int64_t k)
{
    const double c = t - dt / 2, n = seconds > 0 ? 2 * seconds / (c + sqrt(c * c + 2 * dt * seconds)) : 1;
    if (!(n < (double)k))
        return k;
    int64_t i = n < 1 ? 1 : (int64_t)n;
    while (i > 1 && series(t, dt, (double)(i - 1)) >= seconds)
        i--;
    while (i < k && series(t, dt, (double)i) < seconds)
        i++;
    return i;
}

/* Nobody's prompt is under way, and whoever waits cannot be admitted before a text ends. */
static bool is_calm(const struct sim *s)
{
    return s->n_heap && s->n_heap == s->sched.n_running && (!s->sched.n_waiting || s->sched.stuck) && !s->l->every_step;
}

/* All steps up to the next event; 0: the next one has to be looked at. */
static int64_t run_on(struct sim *s)
{
    const struct decode *d = decode_of(s, s->n_heap);
    const double t = d->a + d->b * (double)s->keys, dt = d->b * s->n_heap;
    int64_t k = s->heap[0]->end - s->step;
    struct sim_step x = { .n = s->n_heap, .keys = (double)s->keys };
    if (check_time(s, t, &x) < 0 || !(dt >= 0))
        return d->b >= 0 ? ERR_NUMERIC : ERR(s->err, NUMERIC, "a key takes %g s, expected 0 or more", d->b);
    if (!s->sched.n_waiting && s->next_at < INFINITY)
        k = steps_of_time(t, dt, s->next_at - s->now, k);
    k = steps_of_pages(s, k);
    if (!k)
        return 0;
    const bool taken = sim_take(&s->cache, pages_of_steps(s, k));
    assert(taken);
    pace_run(&s->sched.pace, &s->sched.limit, &(struct pace_steps){ s->n_heap, t, dt, k });
    spread_add_run(&s->gap, t, dt, k, s->n_heap);
    x.steps = k;
    count_step(s, &x, series(t, dt, (double)k));
    s->step += k, s->keys += k * s->n_heap;
    finish_ended(s);
    return k;
}

static int run(struct sim *s)
{
    for (;;) {
        TRY(pull(s));
        if (!s->sched.n_running && !s->sched.n_waiting) {
            if (s->next_at == INFINITY)
                return 0;
            s->now = s->next_at;
            continue;
        }
        const int64_t k = is_calm(s) ? run_on(s) : 0;
        TRY((int)(k < 0 ? k : 0));
        if (!k)
            TRY(one_step(s));
    }
}

/* ---- begin and end ---- */

static int check_limits(const struct sim_limits *l, struct err *err)
{
    const int page = l->page ? l->page : PAGE;
    if (l->n_slot < 1 || l->step_tokens < 1 || page < 1 || !(l->cache_tokens >= page && l->cache_tokens < 1e15) || l->ctx < 0)
        return ERR(err, RANGE, "%d texts at once, %d rows of a step, a cache of %.0f tokens in pages of %d, expected 1 or more of each", l->n_slot, l->step_tokens,
                   l->cache_tokens, page);
    return l->n_slot <= l->step_tokens ? 0 : ERR(err, RANGE, "%d texts at once, but %d rows in a step", l->n_slot, l->step_tokens);
}

static int set_up(struct sim *s, struct err *err)
{
    const struct sim_limits *l = s->l;
    const int page = l->page ? l->page : PAGE;
    const struct pace_limit limit = { l->stretch != 0 ? l->stretch : PACE_STRETCH, l->step_s };
    const struct sched_use use = { s, begin_text, extend_text, release_text, NULL, NULL };
    s->err = err, s->n = workload_n(s->w);
    TRY(sched_init(&s->sched, l->n_slot, l->step_tokens, &limit, &use, err));
    TRY(sim_cache_init(&s->cache, (int64_t)(l->cache_tokens / page), page, s->w->prefix.n, !l->no_share, err));
    TRY(spread_init(&s->ttft, err));
    TRY(spread_init(&s->tpot, err));
    TRY(spread_init(&s->e2e, err));
    TRY(spread_init(&s->wait, err));
    TRY(spread_init(&s->gap, err));
    s->heap = mem_alloc_array((size_t)l->n_slot, sizeof *s->heap);
    s->ring = mem_alloc_array((size_t)page, sizeof *s->ring);
    s->decode = mem_alloc_array((size_t)l->n_slot + 1, sizeof *s->decode);
    if (!s->heap || !s->ring || !s->decode)
        return ERR(err, NOMEM, "no memory for %d texts", l->n_slot);
    TRY(users_init(&s->users, &(struct users_opts){ s->w->users, s->w->ramp, s->w->think, s->w->way, s->w->seed }, err));
    workload_times_init(&s->times, s->w);
    draw_next(s);
    return 0;
}

static void tell(struct sim *s, struct sim_result *r)
{
    const double seconds = s->now - s->first_at;
    const struct sim_step one = { .steps = 1, .rows = 1, .row_keys = 1, .n_prompt = 1 };
    *r = s->r;
    r->n_request = s->n_drawn, r->n_put_aside = (int64_t)s->sched.n_put_aside;
    r->seconds = s->n_drawn ? seconds : 0;
    if (r->seconds > 0) {
        r->goodput = (double)r->n_good / seconds, r->output_s = r->output_tokens / seconds, r->request_s = (double)r->n_done / seconds;
        r->mean_running = s->running_s / seconds, r->mean_waiting = s->wait_s / seconds;
    }
    r->most_cache = (double)s->cache.most_held / (double)s->cache.n_page;
    r->least_tpot = decode_of(s, 1)->a + decode_of(s, 1)->b, r->least_ttft = s->c->mixed(s->c->ctx, &one);
    r->ttft = spread_of(&s->ttft), r->tpot = spread_of(&s->tpot), r->e2e = spread_of(&s->e2e), r->wait = spread_of(&s->wait), r->gap = spread_of(&s->gap);
}

static void release(struct sim *s)
{
    while (s->chunks) {
        struct chunk *c = s->chunks;
        s->chunks = c->next;
        mem_free(c);
    }
    sched_release(&s->sched);
    sim_cache_release(&s->cache);
    spread_release(&s->ttft), spread_release(&s->tpot), spread_release(&s->e2e), spread_release(&s->wait), spread_release(&s->gap);
    mem_free(s->heap);
    mem_free(s->ring);
    mem_free(s->decode);
    users_release(&s->users);
}

int simulate(struct sim_result *out, const struct workload *w, const struct sim_limits *l, const struct sim_cost *c, struct err *err)
{
    struct sim s = { .w = w, .l = l, .c = c };
    *out = (struct sim_result){ 0 };
    TRY(workload_check(w, err));
    TRY(check_limits(l, err));
    int rc = set_up(&s, err);
    rc = rc < 0 ? rc : run(&s);
    if (!rc)
        tell(&s, out);
    release(&s);
    return rc;
}
