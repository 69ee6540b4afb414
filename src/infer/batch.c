#include "infer/batch.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "infer/sched.h"
#include "infer/spec.h"

#define TOP_MAX 32               /* likeliest tokens at most */

/* What each step needs comes first and lies together: the weights have passed through the caches since the last one. */
struct text {
    struct sched_text s;         /* first: what sched.h has is a text, too */
    int32_t *ids;                /* prompt and tokens */
    int n_draft;                 /* of a step */
    int first_row;               /* of its logits, in the group that is drawn from */
    int n_drawn;
    atomic_bool cancelled;
    struct held held;
    struct text_request r;       /* r.ids is not used */
    int32_t drawn[SPEC_N_LOGITS];
    struct text_times times;
    double right;                /* share of guessed tokens that were right, lately */
    int n_kept;                  /* of the prompt, when it was first admitted */
    int n_shown;                 /* prompt_probs: tokens before this were shown */
    int n_hidden;                /* hidden(): the same */
    int n_seen;                  /* signals: of the prompt's rows that are looked at, those that were or cannot be any more */
    int n_look;                  /* of a step: such rows, whose logits are behind those that are drawn from */
    struct err err;              /* of adjust(); code 0: none */
    struct token_signal signal[SPEC_N_LOGITS];
    struct token_prob prob[SPEC_N_LOGITS][TOP_MAX + 1];      /* [.][0]: of the drawn one */
};

struct batch {
    struct batch_opts o;
    int V;
    struct sample_ids sample_ids;
    struct pages *pages;
    struct sched sched;
    struct engine_part *part; int n_part;
    struct text **in_step;                   /* [n_part] */
    int32_t *row;                            /* rows whose logits are wanted */
    struct text **of_row; int i_route;       /* of a mixture: whose rows of the step are, [step_tokens]; layers with experts that it has passed */
    struct sample_scratch *scratch;          /* a thread */
    float *work;                             /* [thread][V] */
    const float *logits;                     /* of the group that is drawn from; NULL: none of it is needed here */
    struct engine_draw *draws;               /* of the group, [rows], where the engine draws; NULL: it does not */
    double alone;                        /* of the last step (pace_alone) */
    double now;                              /* when the step began, or its tokens were drawn */
    struct batch_counts mine;                /* copied to counts after each step */
    /* between threads */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct text *inbox;                      /* newest first */
    int n_live;                              /* not done */
    uint64_t next_id;
    bool closed, cancels;
    struct batch_counts counts;
};

/* ---- submitting and cancelling ---- */

static_assert(!offsetof(struct text, s), "text_of");
static struct text *text_of(struct sched_text *t) { return (struct text *)t; }
static struct text *next_of(const struct text *t) { return text_of(t->s.next); }

static void text_free(struct text *t)
{
    held_release(&t->held);
    mem_free(t->ids);
    mem_free(t);
}

static int text_new(struct text **out, const struct text_request *r, int ctx, struct err *err)
{
    const int room = r->most < ctx - r->n ? r->n + r->most : ctx;      /* the last token needs no position, but a place */
    struct text *t = mem_alloc_zero(sizeof *t);
    *out = t;
    if (!t || !(t->ids = mem_alloc_array((size_t)room + 1, sizeof *t->ids)))
        return ERR(err, NOMEM, "no memory for a text of %d tokens", room);
    t->r = *r, t->n_shown = 1, t->right = 0.5;
    t->s = (struct sched_text){ .priority = r->priority, .tenant = r->tenant, .n_prompt = r->n, .n_ids = r->n, .slot = -1 };
    t->times = (struct text_times){ .submitted = clock_wall(), .n_prompt = r->n };
    memcpy(t->ids, r->ids, (size_t)r->n * sizeof *t->ids);
    return held_init(&t->held, &r->root, room, err);
}

static int check(const struct batch *b, const struct text_request *r, struct err *err)
{
    const int ctx = engine_ctx(b->o.e);
    if (r->n < 1 || r->n > ctx)
        return ERR(err, RANGE, "the text has %d tokens, but there are %d positions", r->n, ctx);
    for (int i = 0; i < r->n; i++)
        if (r->ids[i] < 0 || r->ids[i] >= b->V)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", r->ids[i], b->V - 1);
    const int64_t made = (int64_t)r->n + r->most - (r->most > 0), room = made < ctx ? made : ctx, all = (int64_t)engine_n_page(b->o.e) * KV_TOKENS;
    if (room > all)
        return ERR(err, RANGE, "the text may come to need %lld positions, but there is memory for %lld", (long long)room, (long long)all);
    if (r->adapter < 0 || r->adapter > engine_n_adapter(b->o.e))
        return ERR(err, RANGE, "adapter %d, expected 0 to %d", r->adapter, engine_n_adapter(b->o.e));
    if (r->most < 0 || r->n_logprob > TOP_MAX || r->n_logprob > b->V)
        return ERR(err, RANGE, "%d tokens, probabilities of %d; expected 0 or more, and at most %d", r->most, r->n_logprob, TOP_MAX);
    return 0;
}

/* With the lock held. */
static int check_queue(const struct batch *b, int tenant, int place, struct err *err)
{
    const int waiting = b->n_live - b->sched.n_running, left = b->o.n_queue - waiting;
    if (b->closed)
        return ERR(err, STOPPED, "no more texts are taken on");
    if (place != b->mine.place)
        return ERR(err, IO, "the device that the text was for is lost");
    if (left <= 0)
        return ERR(err, BUSY, "%d texts are waiting already", waiting);
    int mine = tenant ? sched_waiting_of(&b->sched, tenant) : 0;
    for (const struct text *t = b->inbox; t; t = next_of(t))
        mine += tenant && t->s.tenant == tenant;
    return sched_may_wait(left, mine) ? 0 : ERR(err, BUSY, "%d texts of yours are waiting already, and %d places are left for all", mine, left);
}

int batch_submit(struct batch *b, const struct text_request *r, uint64_t *id, struct err *err)
{
    struct text *t = NULL;
    TRY(check(b, r, err));
    int rc = text_new(&t, r, engine_ctx(b->o.e), err);
    pthread_mutex_lock(&b->lock);
    rc = rc ? rc : check_queue(b, r->tenant, r->place, err);
    if (!rc) {
        *id = t->s.id = ++b->next_id;
        t->s.next = b->inbox ? &b->inbox->s : NULL, b->inbox = t;
        b->n_live++;
        pthread_cond_signal(&b->wake);
    }
    pthread_mutex_unlock(&b->lock);
    if (rc && t)
        text_free(t);
    return rc;
}

static bool mark(struct text *t, uint64_t id)
{
    const bool is = !id || t->s.id == id;
    if (is)
        atomic_store(&t->cancelled, true);
    return is;
}

void batch_cancel(struct batch *b, uint64_t id)
{
    pthread_mutex_lock(&b->lock);
    for (struct text *t = b->inbox; t; t = next_of(t))
        b->cancels |= mark(t, id);
    for (struct sched_text *t = b->sched.first; t; t = t->next)
        b->cancels |= mark(text_of(t), id);
    for (int i = 0; i < b->sched.n_running; i++)
        b->cancels |= mark(text_of(b->sched.running[i]), id);
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

void batch_others(struct batch *b, double seconds, bool loading) { b->sched.pace.others = seconds, b->sched.pace.loading = loading; }
double batch_alone(const struct batch *b) { return b->alone; }

void batch_close(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

void batch_counts(struct batch *b, struct batch_counts *out)
{
    pthread_mutex_lock(&b->lock);
    *out = b->counts;
    out->n_running = b->sched.n_running, out->n_waiting = b->n_live - b->sched.n_running;
    pthread_mutex_unlock(&b->lock);
}

/* ---- lists; changed with the lock held, as batch_cancel looks through them ---- */

/* The inbox has its newest first, turns are given to the oldest first. */
static void take_inbox(struct batch *b)
{
    struct sched_text *oldest = NULL;
    while (b->inbox) {
        struct sched_text *t = &b->inbox->s;
        b->inbox = text_of(t->next), t->next = oldest, oldest = t;
    }
    while (oldest) {
        struct sched_text *t = oldest;
        oldest = t->next;
        sched_wait(&b->sched, t);
    }
}

static void finish(struct batch *b, struct text *t, enum text_end end, const struct err *err)
{
    pages_release(b->pages, &t->held);
    pthread_mutex_lock(&b->lock);
    sched_remove(&b->sched, &t->s);
    b->n_live--;
    pthread_mutex_unlock(&b->lock);
    if (b->o.watch) {
        t->times.n_kept = t->n_kept, t->times.end = end, t->times.ended = b->now > t->times.submitted ? b->now : t->times.submitted;
        b->o.watch->ended(b->o.watch->ctx, &t->times);
    }
    if (t->r.done)
        t->r.done(t->r.ctx, end, t->s.admitted ? t->n_kept : -1, err);
    text_free(t);
}

static void drop_cancelled(struct batch *b)
{
    for (int i = b->sched.n_running - 1; i >= 0; i--)
        if (atomic_load(&text_of(b->sched.running[i])->cancelled))
            finish(b, text_of(b->sched.running[i]), TEXT_CANCELLED, NULL);
    for (struct sched_text *t = b->sched.first, *next; t; t = next) {
        next = t->next;
        if (atomic_load(&text_of(t)->cancelled))
            finish(b, text_of(t), TEXT_CANCELLED, NULL);
    }
}

/* ---- the parts of a step: what sched.h asks for ---- */

static enum pages_fate begin_text(void *ctx, struct sched_text *s, int spare)
{
    struct batch *b = ctx;
    struct text *t = text_of(s);
    int kept, from;
    const bool all = t->r.prompt_probs || (t->r.hidden && !t->r.last_hidden);      /* rows are wanted that would be found */
    const struct pages_wish wish = { t->r.share && !all, true, spare };
    const enum pages_fate fate = pages_begin(b->pages, &t->held, t->ids, s->n_ids, wish, &kept, &from);
    if (fate != PAGES_OK)
        return fate;
    if (from >= 0)
        engine_copy_page(b->o.e, from, t->held.page[kept / KV_TOKENS]);
    s->n_done = kept;
    if (!s->admitted)
        t->n_kept = kept, t->times.admitted = b->now, b->mine.n_prompt += (uint64_t)t->r.n;
    return PAGES_OK;
}

static bool extend_text(void *ctx, struct sched_text *t, int n) { return pages_extend(((struct batch *)ctx)->pages, &text_of(t)->held, n); }
static void release_text(void *ctx, struct sched_text *t) { pages_release(((struct batch *)ctx)->pages, &text_of(t)->held); }

static void change_lists(void *ctx, bool begins)
{
    struct batch *b = ctx;
    if (begins)
        pthread_mutex_lock(&b->lock);
    else
        pthread_mutex_unlock(&b->lock);
}

/* A guess of what follows, into the places of the ids behind the text. */
static int guess(const struct batch *b, struct text *t, int room)
{
    int most = b->o.lookup < SPEC_MAX ? b->o.lookup : SPEC_MAX;
    const int left = t->r.n + t->r.most - t->s.n_ids - 1, places = t->held.ctx - t->s.n_ids;
    most = most < room ? most : room;
    most = most < left ? most : left;
    most = most < places ? most : places;
    most = b->o.always ? most : sched_guess(&b->sched, &t->s, t->right, most);
    return most > 0 && spec_lookup(t->ids, t->s.n_ids, most, t->ids + t->s.n_ids) > 1 ? most : 0;
}

static int guess_text(void *ctx, struct sched_text *s, int room)
{
    struct batch *b = ctx;
    struct text *t = text_of(s);
    t->n_draft = guess(b, t, room);
    if (t->n_draft && !pages_extend(b->pages, &t->held, s->n_ids + t->n_draft))
        t->n_draft = 0;
    return t->n_draft;
}

static void choose_parts(struct batch *b)
{
    b->mine.n_row += (uint64_t)sched_step(&b->sched);
    b->n_part = b->sched.n_part;
    for (int i = 0; i < b->n_part; i++) {
        const struct sched_part *p = &b->sched.part[i];
        struct text *t = text_of(p->t);
        b->part[i] = (struct engine_part){ p->t->slot, p->t->n_done, p->n, t->ids + p->t->n_done, t->held.page, t->r.adapter };
        b->in_step[i] = t, t->n_drawn = 0;
        if (!sched_continues(p->t))
            t->n_draft = 0;
    }
}

/* ---- tokens ---- */

/* Is nothing wanted of its logits but the token? */
static bool only_token(const struct text *t) { return !t->r.adjust && t->r.n_logprob < 0 && !t->r.signals; }

static int token_of(struct batch *b, const struct text *t, int i, const float *x, int i_thread)
{
    if (b->draws && engine_draws(b->o.e) && only_token(t))
        return b->draws[t->first_row + i].id;
    return engine_sample(b->o.e, x, b->sample_ids, &t->r.sampling, (uint64_t)(t->s.n_ids + i), b->scratch[i_thread]);
}

/* Draws the tokens of a text from its rows of logits: the second only if the first is what was guessed, and so on. */
static void draw(struct batch *b, struct text *t, const float *logits, int i_thread)
{
    const int n = 1 + t->n_draft;
    float *work = b->work + (ptrdiff_t)i_thread * b->V;
    for (int i = 0; i < n; i++, logits = logits ? logits + b->V : NULL) {
        const float *x = logits;
        if (t->r.adjust) {
            memcpy(work, logits, (size_t)b->V * sizeof *work);
            x = work;
            if (t->r.adjust(t->r.ctx, work, b->V, &t->err) < 0) {
                t->drawn[i] = -1, t->n_drawn = i + 1;
                return;
            }
        }
        const int id = token_of(b, t, i, x, i_thread);
        t->drawn[i] = id, t->n_drawn = i + 1;
        if (id < 0)
            return;
        if (t->r.signals)
            t->signal[i] = signals_token(logits, b->V, id, t->s.n_ids + i - t->r.n);
        if (t->r.n_logprob >= 0)
            token_probs(logits, b->V, id, t->r.n_logprob, t->prob[i]);
        if (t->r.accept)
            t->r.accept(t->r.ctx, id);
        if (i < t->n_draft && t->ids[t->s.n_ids + i] != id)
            return;
    }
}

struct draw_job { struct batch *b; int first; };

static void draw_one(void *ctx, int i, int i_thread)
{
    const struct draw_job *j = ctx;
    struct batch *b = j->b;
    struct text *t = b->in_step[j->first + i];
    const float *logits = b->logits ? b->logits + (ptrdiff_t)t->first_row * b->V : NULL;
    if (t->n_drawn < 0) {
        draw(b, t, logits, i_thread);
        logits = logits ? logits + (ptrdiff_t)(1 + t->n_draft) * b->V : NULL;
    }
    for (int k = 0; k < t->n_look; k++, logits += b->V, t->n_seen++)
        signals_add_prompt(t->r.signals, logits, b->V, t->ids[signals_prompt_row(t->r.n, t->n_kept, t->n_seen) + 1]);
}

static bool wants_token(const struct text *t) { return t->s.n_done + t->s.n_row == t->s.n_ids + t->n_draft && t->r.most > 0; }

/* Tokens of texts of which nothing else is wanted are drawn on the device; for the others the logits come here. */
static int draw_there(struct batch *b, int first, int end, int n, struct err *err)
{
    const bool draws = b->draws && engine_draws(b->o.e);
    bool there = false, here = false;
    for (int i = 0; i < n && draws; i++)
        b->draws[i] = (struct engine_draw){ .sampling = { .top_p = 1 } };
    for (int i = first; i < end; i++) {
        const struct text *t = b->in_step[i];
        const bool only = draws && only_token(t);
        for (int k = 0; only && t->n_drawn < 0 && k <= t->n_draft; k++)
            b->draws[t->first_row + k] = (struct engine_draw){ t->r.sampling, (uint64_t)(t->s.n_ids + k), -1 };
        there |= only && t->n_drawn < 0, here |= !only && (t->n_drawn < 0 || t->n_look);
    }
    b->logits = NULL;
    TRY(there ? engine_draw(b->o.e, 0, n, b->draws, err) : 0);
    return here ? engine_logits(b->o.e, &b->logits, err) : 0;
}

/* Parts first .. end - 1 have n rows of logits together. */
static int draw_group(struct batch *b, int first, int end, int n, struct err *err)
{
    if (!n)
        return 0;
    TRY(engine_head_rows(b->o.e, b->row, n, err));
    TRY(draw_there(b, first, end, n, err));
    struct draw_job j = { b, first };
    pool_for(b->o.pool, end - first, draw_one, &j);
    return 0;
}

/* Rows of the prompt that are computed in this step and looked at, at most so many.  Of a text that was put aside some may be in the cache by now. */
static int count_looks(struct text *t, int most)
{
    const int all = t->r.signals ? signals_prompt_rows(t->r.n, t->n_kept) : 0;
    int n = 0;
    while (t->n_seen < all && signals_prompt_row(t->r.n, t->n_kept, t->n_seen) < t->s.n_done)
        t->n_seen++;
    while (n < most && t->n_seen + n < all && signals_prompt_row(t->r.n, t->n_kept, t->n_seen + n) < t->s.n_done + t->s.n_row)
        n++;
    return n;
}

/* Groups of texts whose rows of logits fit. */
static int draw_tokens(struct batch *b, struct err *err)
{
    const int most = engine_n_logits(b->o.e);
    int first = 0, n = 0, row = 0;
    for (int i = 0; i < b->n_part; row += b->in_step[i]->s.n_row, i++) {
        struct text *t = b->in_step[i];
        const int want = wants_token(t) ? 1 + t->n_draft : 0;
        t->n_look = count_looks(t, most - want);
        if (n + want + t->n_look > most) {
            TRY(draw_group(b, first, i, n, err));
            first = i, n = 0;
        }
        t->n_drawn = want ? -1 : 0, t->first_row = n;
        for (int k = 0; k < want; k++)
            b->row[n++] = row + t->s.n_row - want + k;
        for (int k = 0; k < t->n_look; k++)
            b->row[n++] = row + signals_prompt_row(t->r.n, t->n_kept, t->n_seen + k) - t->s.n_done;
    }
    return draw_group(b, first, b->n_part, n, err);
}

static struct text_token shown(const struct text *t, int32_t id, int position, const struct token_prob *prob)
{
    const int n = t->r.n_logprob;
    return (struct text_token){ .id = id, .position = position, .logprob = n >= 0 ? prob[0].logprob : 0, .top = prob + 1, .n_top = n > 0 ? n : 0 };
}

/* Of the prompt's tokens whose predictions were just computed. */
static int show_prompt(struct batch *b, struct text *t, int first_row, struct err *err)
{
    struct token_prob prob[TOP_MAX + 1];
    const int from = t->s.n_done, last = t->r.n - 1, end = from + t->s.n_row < last ? from + t->s.n_row : last;
    for (int at = from > t->n_shown - 1 ? from : t->n_shown - 1; at < end;) {
        const int n = end - at < engine_n_logits(b->o.e) ? end - at : engine_n_logits(b->o.e);
        const float *logits;
        for (int i = 0; i < n; i++)
            b->row[i] = first_row + at - from + i;
        TRY(engine_head(b->o.e, b->row, n, &logits, err));
        for (int i = 0; i < n; i++, at++) {
            token_probs(logits + (ptrdiff_t)i * b->V, b->V, t->ids[at + 1], t->r.n_logprob > 0 ? t->r.n_logprob : 0, prob);
            const struct text_token token = shown(t, t->ids[at + 1], at + 1, prob);
            t->r.prompt(t->r.ctx, &token);
        }
        t->n_shown = at + 1;
    }
    return 0;
}

/* Of the prompt's tokens that were just computed: each of them once, though the text may have been put aside in between. */
static int show_hidden(struct batch *b, struct text *t, int first_row, struct err *err)
{
    const int C = engine_config(b->o.e)->d_model, most = engine_n_logits(b->o.e), from = t->s.n_done, end = from + t->s.n_row < t->r.n ? from + t->s.n_row : t->r.n;
    const int first = t->r.last_hidden ? t->r.n - 1 : from;
    for (int at = first > t->n_hidden ? first : t->n_hidden; at < end;) {
        const int n = end - at < most ? end - at : most;
        const float *x;
        for (int i = 0; i < n; i++)
            b->row[i] = first_row + at - from + i;
        TRY(engine_hidden(b->o.e, b->row, n, &x, err));
        for (int i = 0; i < n; i++, at++)
            t->r.hidden(t->r.ctx, x + (ptrdiff_t)i * C, at);
        t->n_hidden = at;
    }
    return 0;
}

static bool ends_prompt(const struct text *t) { return t->r.signals && !t->r.signals->has_sketch && t->s.n_done < t->r.n && t->s.n_done + t->s.n_row >= t->r.n; }

/* Of the texts of parts first .. end - 1 whose prompt ends in this step: n rows. */
static int sketch_group(struct batch *b, int first, int end, int n, struct err *err)
{
    const int C = engine_config(b->o.e)->d_model;
    const float *x;
    if (!n)
        return 0;
    TRY(engine_hidden(b->o.e, b->row, n, &x, err));
    for (int i = first; i < end; i++) {
        struct text *t = b->in_step[i];
        if (!ends_prompt(t))
            continue;
        signals_add_hidden(t->r.signals, x, C);
        x += C;
    }
    return 0;
}

static int sketch_prompts(struct batch *b, struct err *err)
{
    int first = 0, n = 0;
    for (int i = 0, row = 0; i < b->n_part; row += b->in_step[i++]->s.n_row) {
        const struct text *t = b->in_step[i];
        if (!ends_prompt(t))
            continue;
        if (n == engine_n_logits(b->o.e)) {
            TRY(sketch_group(b, first, i, n, err));
            first = i, n = 0;
        }
        b->row[n++] = row + t->r.n - 1 - t->s.n_done;
    }
    return sketch_group(b, first, b->n_part, n, err);
}

static int show_prompts(struct batch *b, struct err *err)
{
    for (int i = 0, row = 0; i < b->n_part; row += b->in_step[i++]->s.n_row) {
        struct text *t = b->in_step[i];
        if (t->r.prompt_probs && t->r.prompt)
            TRY(show_prompt(b, t, row, err));
        if (t->r.hidden)
            TRY(show_hidden(b, t, row, err));
    }
    return sketch_prompts(b, err);
}

static void note_token(struct batch *b, struct text *t)
{
    if (b->o.watch)
        b->o.watch->token(b->o.watch->ctx, &t->times, b->now);
    t->times.first = t->times.n_token ? t->times.first : b->now;
    t->times.last = b->now, t->times.n_token++;
}

static void publish(struct batch *b, struct text *t) { pages_publish(b->pages, &t->held, t->ids, t->r.share ? t->s.n_done : 0); }

/* Takes the tokens into the text and hands them out; ends it where it is to end. */
static void deliver(struct batch *b, struct text *t)
{
    const int n_row = t->s.n_row;
    t->s.n_row = 0;
    if (t->n_drawn <= 0) {
        t->s.n_done += n_row;
        publish(b, t);
        if (!t->r.most && t->s.n_done == t->s.n_ids)
            finish(b, t, TEXT_LENGTH, NULL);
        return;
    }
    t->s.n_done = t->s.n_ids;
    b->mine.n_drafted += (uint64_t)t->n_draft, b->mine.n_accepted += (uint64_t)(t->n_drawn - 1);
    for (int i = 0; i < t->n_draft && i < t->n_drawn; i++)
        t->right += ((i < t->n_drawn - 1) - t->right) / 8;
    for (int i = 0; i < t->n_drawn; i++) {
        if (t->drawn[i] < 0) {
            if (!t->err.code)
                (void)ERR(&t->err, NUMERIC, "the model gave values that are not numbers at position %d", t->s.n_ids);
            const struct err err = t->err;
            finish(b, t, TEXT_FAILED, &err);
            return;
        }
        t->s.n_done += i > 0;                      /* its predecessor was guessed, so it is in the cache */
        t->ids[t->s.n_ids++] = t->drawn[i];
        b->mine.n_token++;
        note_token(b, t);
        if (t->r.signals)
            signals_add(t->r.signals, &t->signal[i]);
        const struct text_token token = shown(t, t->drawn[i], t->s.n_ids - 1, t->prob[i]);
        const bool more = !t->r.token || t->r.token(t->r.ctx, &token), length = t->s.n_ids - t->r.n == t->r.most, full = t->s.n_ids > engine_ctx(b->o.e);
        if (!more || length || full) {
            publish(b, t);                       /* others may ask the same prompt, however short the answer was */
            finish(b, t, !more ? TEXT_STOP : length ? TEXT_LENGTH : TEXT_FULL, NULL);
            return;
        }
    }
    publish(b, t);
}

/* ---- experts ---- */

/* Called after each operation of a step: who was sent to which expert. */
static void look_at_route(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct batch *b = ctx;
    (void)step;
    if (n->op != OP_route)
        return;
    const int i = b->i_route++, E = n->attr.n_expert;
    const int32_t *row = g->tensor[n->out[2]].data, *start = g->tensor[n->out[3]].data;
    if (b->o.watch && b->o.watch->routed)
        b->o.watch->routed(b->o.watch->ctx, E, start);
    for (int e = 0; e < E; e++)
        for (int k = start[e]; k < start[e + 1]; k++) {
            struct text_signals *s = b->of_row[row[k]]->r.signals;
            if (s && s->expert && i < s->n_route)
                s->expert[(ptrdiff_t)i * E + e]++;
        }
}

static void begin_routes(struct batch *b)
{
    b->i_route = 0;
    for (int i = 0, row = 0; b->of_row && i < b->n_part; i++)
        for (int k = 0; k < b->part[i].n; k++)
            b->of_row[row++] = b->in_step[i];
}

/* ---- a step ---- */

static void fail_all(struct batch *b, const struct err *err)
{
    for (int i = 0; i < b->n_part; i++)
        finish(b, b->in_step[i], TEXT_FAILED, err);
}

/* The engine's device is gone, and with it what all pages hold.  Texts that wait were promised its bits. */
static void lose(struct batch *b, const struct err *err)
{
    pthread_mutex_lock(&b->lock);
    b->mine.place = 1;
    take_inbox(b);                               /* nobody adds to it any more */
    pthread_mutex_unlock(&b->lock);
    while (b->sched.first)
        finish(b, text_of(b->sched.first), TEXT_FAILED, err);
    while (b->sched.n_running)
        finish(b, text_of(b->sched.running[0]), TEXT_FAILED, err);
    pages_forget(b->pages);
    b->sched.pace = (struct pace){ .others = b->sched.pace.others, .loading = b->sched.pace.loading };
}

static struct batch_step load_of(const struct batch *b)
{
    struct batch_step s = { 0 };
    for (int i = 0; i < b->n_part; i++) {
        const double n = b->part[i].n, keys = n * b->part[i].pos + n * (n + 1) / 2;
        if (sched_continues(&b->in_step[i]->s))
            s.n += b->part[i].n, s.keys += keys;
        else
            s.n_prompt += b->part[i].n, s.prompt_keys += keys;
    }
    return s;
}

int batch_step(struct batch *b)
{
    struct err err;
    pthread_mutex_lock(&b->lock);
    take_inbox(b);
    const bool cancels = b->cancels;
    b->cancels = false;
    pthread_mutex_unlock(&b->lock);
    b->now = clock_wall();
    if (cancels)
        drop_cancelled(b);
    choose_parts(b);
    b->alone = 0;
    if (b->n_part) {
        const double start = clock_wall();
        struct batch_step s = load_of(b);
        begin_routes(b);
        int rc = engine_run(b->o.e, b->part, b->n_part, &err);
        rc = rc ? rc : show_prompts(b, &err);
        rc = rc ? rc : draw_tokens(b, &err);
        rc = rc ? rc : engine_wait(b->o.e, &err);
        b->now = clock_wall();
        const double t = b->now - start;
        s.seconds = t;
        b->alone = pace_alone(&b->sched.pace, s.n, s.n_prompt, t);
        pace_add(&b->sched.pace, s.n, s.n_prompt, t);
        if (b->o.watch)
            b->o.watch->step(b->o.watch->ctx, s.n + s.n_prompt, b->now);
        if (b->o.timed)
            b->o.timed(b->o.timed_ctx, &s);
        if (rc && engine_lost(b->o.e))
            lose(b, &err);
        else if (rc)
            fail_all(b, &err);
        for (int i = 0; !rc && i < b->n_part; i++)
            deliver(b, b->in_step[i]);
        b->mine.n_step++, b->mine.step_s += t;
    }
    pthread_mutex_lock(&b->lock);
    b->mine.pages = pages_count(b->pages), b->mine.n_put_aside = b->sched.n_put_aside;
    b->counts = b->mine;
    const int n_live = b->n_live;
    pthread_mutex_unlock(&b->lock);
    return n_live;
}

bool batch_wait(struct batch *b, double seconds)
{
    const struct timespec until = clock_in(seconds);
    pthread_mutex_lock(&b->lock);
    int rc = 0;
    while (!b->n_live && !b->closed && !rc)
        rc = pthread_cond_timedwait(&b->wake, &b->lock, &until);
    const bool any = b->n_live > 0;
    pthread_mutex_unlock(&b->lock);
    return any;
}

/* ---- begin and end ---- */

static int set_up(struct batch *b, const struct batch_opts *o, struct err *err)
{
    b->o = *o;
    b->o.n_queue = o->n_queue ? o->n_queue : SCHED_QUEUE;
    const struct pace_limit limit = { o->stretch != 0 ? o->stretch : PACE_STRETCH, o->step_s };
    const struct sched_use use = { b, begin_text, extend_text, release_text, o->lookup ? guess_text : NULL, change_lists };
    b->V = engine_config(o->e)->vocab_size;
    b->sample_ids = sample_ids(engine_tok(o->e), b->V);
    const size_t n_slot = (size_t)engine_n_slot(o->e), n_thread = (size_t)pool_n_thread(o->pool), V = (size_t)b->V;
    if (!engine_n_page(o->e) || engine_n_logits(o->e) < 1 + (o->lookup < SPEC_MAX ? o->lookup : SPEC_MAX))
        return ERR(err, RANGE, "an engine with %d pages and %d rows of logits, expected pages, and a row for each token of a guess and one more", engine_n_page(o->e), engine_n_logits(o->e));
    TRY(sched_init(&b->sched, engine_n_slot(o->e), engine_step_tokens(o->e), &limit, &use, err));
    b->in_step = mem_alloc_array(n_slot, sizeof *b->in_step);
    b->part = mem_alloc_array(n_slot, sizeof *b->part);
    b->row = mem_alloc_array((size_t)engine_n_logits(o->e), sizeof *b->row);
    b->draws = engine_draws(o->e) ? mem_alloc_array((size_t)engine_n_logits(o->e), sizeof *b->draws) : NULL;
    b->scratch = mem_alloc_array(n_thread, sizeof *b->scratch);
    b->work = mem_alloc_array(n_thread * V, sizeof *b->work);
    if (!b->in_step || !b->part || !b->row || (engine_draws(o->e) && !b->draws) || !b->scratch || !b->work)
        return ERR(err, NOMEM, "no memory for %d texts", engine_n_slot(o->e));
    for (size_t i = 0; i < n_thread; i++) {
        b->scratch[i] = (struct sample_scratch){ mem_alloc_array(V, 2 * sizeof *b->scratch->id), mem_alloc_array(V, sizeof *b->scratch->p) };
        if (!b->scratch[i].id || !b->scratch[i].p)
            return ERR(err, NOMEM, "no memory to draw from a vocabulary of %d", b->V);
    }
    if (engine_config(o->e)->n_expert) {
        if (!(b->of_row = mem_alloc_array((size_t)engine_step_tokens(o->e), sizeof *b->of_row)))
            return ERR(err, NOMEM, "no memory for %d rows", engine_step_tokens(o->e));
        engine_watch(o->e, look_at_route, b);
    }
    TRY(pages_new(&b->pages, engine_n_page(o->e), err));
    b->counts.pages = pages_count(b->pages);
    return 0;
}

int batch_new(struct batch **out, const struct batch_opts *o, struct err *err)
{
    *out = NULL;
    struct batch *b = mem_alloc_zero(sizeof *b);
    if (!b)
        return ERR(err, NOMEM, "no memory for texts");
    clock_cond_init(&b->wake);
    pthread_mutex_init(&b->lock, NULL);
    const int rc = set_up(b, o, err);
    if (rc < 0)
        batch_free(b);
    else
        *out = b;
    return rc;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    take_inbox(b);
    while (b->sched.first)
        finish(b, text_of(b->sched.first), TEXT_CANCELLED, NULL);
    while (b->sched.n_running)
        finish(b, text_of(b->sched.running[0]), TEXT_CANCELLED, NULL);
    for (int i = 0; b->scratch && i < pool_n_thread(b->o.pool); i++) {
        mem_free(b->scratch[i].id);
        mem_free(b->scratch[i].p);
    }
    if (b->of_row)
        engine_watch(b->o.e, NULL, NULL);
    mem_free(b->of_row);
    pages_free(b->pages);
    sched_release(&b->sched);
    mem_free(b->in_step);
    mem_free(b->part);
    mem_free(b->row);
    mem_free(b->draws);
    mem_free(b->scratch);
    mem_free(b->work);
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}
