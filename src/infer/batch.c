#include "infer/batch.h"
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "infer/pace.h"
#include "infer/spec.h"

#define QUEUE 1024
#define TOP_MAX 32               /* likeliest tokens at most */
#define PROBE 16                 /* tokens after which a guess is tried though it does not seem to pay */
#define LOOK 64                  /* waiting texts that are looked at in a step */

/* What each step needs comes first and lies together: the weights have passed through the caches since the last one. */
struct text {
    struct text *next;
    uint64_t id, turn;           /* turn: in which it is, among those who wait */
    int32_t *ids; int n_ids, n_done;         /* prompt and tokens; of these in the cache */
    int slot;                    /* -1: it waits */
    int n_row, n_draft;          /* of a step; n_row 0: it has no part in it */
    int first_row;               /* of its logits, in the group that is drawn from */
    int n_drawn;
    atomic_bool cancelled;
    bool admitted;
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
    struct text **running; int n_running;    /* by priority and age */
    struct text *waiting;                    /* by priority and turn */
    bool *slot_used;
    struct engine_part *part; int n_part;
    struct text **in_step;                   /* [n_part] */
    int32_t *row;                            /* rows whose logits are wanted */
    struct text **of_row; int i_route;       /* of a mixture: whose rows of the step are, [step_tokens]; layers with experts that it has passed */
    struct sample_scratch *scratch;          /* a thread */
    float *work;                             /* [thread][V] */
    const float *logits;                     /* of the group that is drawn from */
    struct pace pace;
    double alone;                        /* of the last step (pace_alone) */
    struct pace_limit limit;
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

static bool before(const struct text *a, const struct text *b)
{
    return a->r.priority != b->r.priority ? a->r.priority < b->r.priority : a->id < b->id;
}

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
    t->r = *r, t->slot = -1, t->n_ids = r->n, t->n_shown = 1, t->right = 0.5;
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
    const int64_t room = r->most < ctx - r->n ? r->n + r->most : ctx, all = (int64_t)engine_n_page(b->o.e) * KV_TOKENS;
    if (room > all)
        return ERR(err, RANGE, "the text may come to have %lld tokens, but there is memory for %lld", (long long)room, (long long)all);
    if (r->adapter < 0 || r->adapter > engine_n_adapter(b->o.e))
        return ERR(err, RANGE, "adapter %d, expected 0 to %d", r->adapter, engine_n_adapter(b->o.e));
    if (r->most < 0 || r->n_logprob > TOP_MAX || r->n_logprob > b->V)
        return ERR(err, RANGE, "%d tokens, probabilities of %d; expected 0 or more, and at most %d", r->most, r->n_logprob, TOP_MAX);
    return 0;
}

static int count_of(const struct text *list, int tenant)
{
    int n = 0;
    for (; list; list = list->next)
        n += list->r.tenant == tenant;
    return n;
}

/* With the lock held.  Those of a tenant may be as many as there are places left after them, so that there always are some (dynamic
 * thresholds, Choudhury and Hahne, IEEE/ACM Trans. Networking 6, 1998). */
static int check_queue(const struct batch *b, int tenant, struct err *err)
{
    const int waiting = b->n_live - b->counts.n_running, left = b->o.n_queue - waiting;
    if (b->closed)
        return ERR(err, STOPPED, "no more texts are taken on");
    if (left <= 0)
        return ERR(err, BUSY, "%d texts are waiting already", waiting);
    const int mine = tenant ? count_of(b->inbox, tenant) + count_of(b->waiting, tenant) : 0;
    return mine < left ? 0 : ERR(err, BUSY, "%d texts of yours are waiting already, and %d places are left for all", mine, left);
}

int batch_submit(struct batch *b, const struct text_request *r, uint64_t *id, struct err *err)
{
    struct text *t = NULL;
    TRY(check(b, r, err));
    int rc = text_new(&t, r, engine_ctx(b->o.e), err);
    pthread_mutex_lock(&b->lock);
    rc = rc ? rc : check_queue(b, r->tenant, err);
    if (!rc) {
        *id = t->id = ++b->next_id;
        t->next = b->inbox, b->inbox = t;
        b->n_live++;
        pthread_cond_signal(&b->wake);
    }
    pthread_mutex_unlock(&b->lock);
    if (rc && t)
        text_free(t);
    return rc;
}

static bool mark(struct text *list, uint64_t id)
{
    bool any = false;
    for (; list; list = list->next)
        if (!id || list->id == id) {
            atomic_store(&list->cancelled, true);
            any = true;
        }
    return any;
}

void batch_cancel(struct batch *b, uint64_t id)
{
    pthread_mutex_lock(&b->lock);
    b->cancels = mark(b->inbox, id) || b->cancels;
    b->cancels = mark(b->waiting, id) || b->cancels;
    for (int i = 0; i < b->n_running; i++)
        if (!id || b->running[i]->id == id) {
            atomic_store(&b->running[i]->cancelled, true);
            b->cancels = true;
        }
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

void batch_others(struct batch *b, double seconds) { b->pace.others = seconds; }
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
    out->n_waiting = b->n_live - b->counts.n_running;
    pthread_mutex_unlock(&b->lock);
}

/* ---- lists; changed with the lock held, as batch_cancel looks through them ---- */

/* Those that were put aside come before those that were never begun. */
static bool waits_before(const struct text *a, const struct text *b)
{
    if (a->r.priority != b->r.priority || (a->admitted && b->admitted))
        return before(a, b);
    return a->admitted != b->admitted ? a->admitted : a->turn != b->turn ? a->turn < b->turn : a->id < b->id;
}

/* The turn after the last of its tenant's that wait, at least the one that it is now. */
static uint64_t turn_of(const struct batch *b, const struct text *t)
{
    uint64_t now = 0, next = 0;
    for (const struct text *w = b->waiting; w; w = w->next) {
        if (w->r.priority != t->r.priority || w->admitted)
            continue;
        now = now ? now : w->turn;
        if (w->r.tenant == t->r.tenant)
            next = w->turn + 1;
    }
    return next > now ? next : now ? now : 1;
}

static void wait_in_line(struct batch *b, struct text *t)
{
    struct text **at = &b->waiting;
    while (*at && waits_before(*at, t))
        at = &(*at)->next;
    t->next = *at, *at = t;
}

/* The inbox has its newest first, turns are given to the oldest first. */
static void take_inbox(struct batch *b)
{
    struct text *oldest = NULL;
    while (b->inbox) {
        struct text *t = b->inbox;
        b->inbox = t->next, t->next = oldest, oldest = t;
    }
    while (oldest) {
        struct text *t = oldest;
        oldest = t->next;
        t->turn = turn_of(b, t);
        wait_in_line(b, t);
    }
}

static void unlist(struct batch *b, struct text *t)
{
    if (t->slot < 0) {
        struct text **at = &b->waiting;
        while (*at != t)
            at = &(*at)->next;
        *at = t->next;
        return;
    }
    int i = 0;
    while (b->running[i] != t)
        i++;
    memmove(b->running + i, b->running + i + 1, (size_t)(--b->n_running - i) * sizeof *b->running);
    b->slot_used[t->slot] = false;
    t->slot = -1;
    b->counts.n_running = b->n_running;
}

static void start_running(struct batch *b, struct text *t)
{
    unlist(b, t);
    while (b->slot_used[++t->slot])
        ;
    b->slot_used[t->slot] = true;
    int i = b->n_running++;
    for (; i > 0 && before(t, b->running[i - 1]); i--)
        b->running[i] = b->running[i - 1];
    b->running[i] = t;
    b->counts.n_running = b->n_running;
}

static void finish(struct batch *b, struct text *t, enum text_end end, const struct err *err)
{
    pages_release(b->pages, &t->held);
    pthread_mutex_lock(&b->lock);
    unlist(b, t);
    b->n_live--;
    pthread_mutex_unlock(&b->lock);
    if (b->o.watch) {
        t->times.n_kept = t->n_kept, t->times.end = end, t->times.ended = b->now > t->times.submitted ? b->now : t->times.submitted;
        b->o.watch->ended(b->o.watch->ctx, &t->times);
    }
    if (t->r.done)
        t->r.done(t->r.ctx, end, t->n_kept, err);
    text_free(t);
}

static void put_aside(struct batch *b, struct text *t)
{
    pages_release(b->pages, &t->held);
    t->n_done = 0;
    pthread_mutex_lock(&b->lock);
    unlist(b, t);
    wait_in_line(b, t);
    pthread_mutex_unlock(&b->lock);
    b->mine.n_put_aside++;
}

static void drop_cancelled(struct batch *b)
{
    for (int i = b->n_running - 1; i >= 0; i--)
        if (atomic_load(&b->running[i]->cancelled))
            finish(b, b->running[i], TEXT_CANCELLED, NULL);
    for (struct text *t = b->waiting, *next; t; t = next) {
        next = t->next;
        if (atomic_load(&t->cancelled))
            finish(b, t, TEXT_CANCELLED, NULL);
    }
}

/* ---- the parts of a step ---- */

static int add_part(struct batch *b, struct text *t, int n)
{
    b->part[b->n_part] = (struct engine_part){ t->slot, t->n_done, n, t->ids + t->n_done, t->held.page, t->r.adapter };
    b->in_step[b->n_part++] = t;
    t->n_row = n, t->n_drawn = 0;
    return n;
}

static bool continues(const struct text *t) { return t->n_done + 1 == t->n_ids && t->n_ids > t->r.n; }

/* Pages for n positions of the text; where there are none, texts behind it are put aside, at last itself: false. */
static bool make_room(struct batch *b, struct text *t, int n)
{
    while (!pages_extend(b->pages, &t->held, n)) {
        struct text *last = b->running[b->n_running - 1];
        put_aside(b, last);
        if (last == t)
            return false;
    }
    return true;
}

/* How long a guess pays: it adds rows to a step of n texts, and the tokens of those that are right. */
static int worth(const struct batch *b, const struct text *t, int n, int most)
{
    const double slope = pace_slope(&b->pace), alone = b->pace.alone;
    if (b->o.always || slope <= 0 || alone <= 0)
        return b->o.always ? most : most < 1 ? most : 1;
    double best = n / alone, tokens = n, p = 1;
    int k = 0;
    for (int i = 1; i <= most; i++) {
        tokens += p *= t->right;
        if (tokens / (alone + i * slope) > best)
            best = tokens / (alone + i * slope), k = i;
    }
    return k || t->n_ids % PROBE ? k : 1;
}

/* A guess of what follows, into the places of the ids behind the text. */
static int guess(const struct batch *b, struct text *t, int room)
{
    int most = b->o.lookup < SPEC_MAX ? b->o.lookup : SPEC_MAX;
    const int left = t->r.n + t->r.most - t->n_ids - 1, places = t->held.ctx - t->n_ids;
    most = most < room ? most : room;
    most = most < left ? most : left;
    most = most < places ? most : places;
    most = worth(b, t, b->n_running, most);
    return most > 0 && spec_lookup(t->ids, t->n_ids, most, t->ids + t->n_ids) > 1 ? most : 0;
}

static int continue_texts(struct batch *b)
{
    int rows = 0;
    for (int i = 0; i < b->n_running; i++) {
        struct text *t = b->running[i];
        t->n_row = 0;
        if (!continues(t) || !make_room(b, t, t->n_ids))
            continue;
        const int others = b->n_running - i - 1;
        t->n_draft = b->o.lookup ? guess(b, t, engine_step_tokens(b->o.e) - rows - 1 - others) : 0;
        if (t->n_draft && !pages_extend(b->pages, &t->held, t->n_ids + t->n_draft))
            t->n_draft = 0;
        rows += add_part(b, t, 1 + t->n_draft);
    }
    return rows;
}

static int prompt_rows(struct batch *b, struct text *t, int rows, int most)
{
    const int left = t->n_ids - t->n_done, n = left < most - rows ? left : most - rows;
    t->n_draft = 0;
    return n > 0 ? add_part(b, t, n) : 0;
}

/* A page is left for each text under way, so that it is not put aside at once. */
static enum pages_fate admit(struct batch *b, struct text *t)
{
    int kept, from;
    const bool all = t->r.prompt_probs || (t->r.hidden && !t->r.last_hidden);      /* rows are wanted that would be found */
    const struct pages_wish wish = { t->r.share && !all, true, b->n_running };
    const enum pages_fate fate = pages_begin(b->pages, &t->held, t->ids, t->n_ids, wish, &kept, &from);
    if (fate != PAGES_OK)
        return fate;
    if (from >= 0)
        engine_copy_page(b->o.e, from, t->held.page[kept / KV_TOKENS]);
    t->n_done = kept;
    pthread_mutex_lock(&b->lock);
    start_running(b, t);
    if (!t->admitted)
        t->n_kept = kept, t->times.admitted = b->now, b->mine.n_prompt += (uint64_t)t->r.n;
    t->admitted = true;
    pthread_mutex_unlock(&b->lock);
    return PAGES_OK;
}

static void choose_parts(struct batch *b)
{
    b->n_part = 0;
    int rows = continue_texts(b);
    const int most = pace_rows(&b->pace, &b->limit, rows, engine_step_tokens(b->o.e));
    for (int i = 0; i < b->n_running; i++)
        if (!continues(b->running[i]))
            rows += prompt_rows(b, b->running[i], rows, most);
    int looked_at = 0;
    for (struct text *t = b->waiting, *next; t && rows < most && b->n_running < engine_n_slot(b->o.e) && looked_at < LOOK; t = next, looked_at++) {
        next = t->next;
        const enum pages_fate fate = admit(b, t);
        if (fate == PAGES_NONE)
            break;                       /* whoever is behind it does not overtake it */
        if (fate == PAGES_OK)
            rows += prompt_rows(b, t, rows, most);
    }
    b->mine.n_row += (uint64_t)rows;
}

/* ---- tokens ---- */

/* Draws the tokens of a text from its rows of logits: the second only if the first is what was guessed, and so on. */
static void draw(struct batch *b, struct text *t, const float *logits, int i_thread)
{
    const int n = 1 + t->n_draft;
    float *work = b->work + (ptrdiff_t)i_thread * b->V;
    for (int i = 0; i < n; i++, logits += b->V) {
        const float *x = logits;
        if (t->r.adjust) {
            memcpy(work, logits, (size_t)b->V * sizeof *work);
            x = work;
            if (t->r.adjust(t->r.ctx, work, b->V, &t->err) < 0) {
                t->drawn[i] = -1, t->n_drawn = i + 1;
                return;
            }
        }
        const int id = sample_token(x, b->sample_ids, &t->r.sampling, (uint64_t)(t->n_ids + i), b->scratch[i_thread]);
        t->drawn[i] = id, t->n_drawn = i + 1;
        if (id < 0)
            return;
        if (t->r.signals)
            t->signal[i] = signals_token(logits, b->V, id, t->n_ids + i - t->r.n);
        if (t->r.n_logprob >= 0)
            token_probs(logits, b->V, id, t->r.n_logprob, t->prob[i]);
        if (t->r.accept)
            t->r.accept(t->r.ctx, id);
        if (i < t->n_draft && t->ids[t->n_ids + i] != id)
            return;
    }
}

struct draw_job { struct batch *b; int first; };

static void draw_one(void *ctx, int i, int i_thread)
{
    const struct draw_job *j = ctx;
    struct batch *b = j->b;
    struct text *t = b->in_step[j->first + i];
    const float *logits = b->logits + (ptrdiff_t)t->first_row * b->V;
    if (t->n_drawn < 0) {
        draw(b, t, logits, i_thread);
        logits += (ptrdiff_t)(1 + t->n_draft) * b->V;
    }
    for (int k = 0; k < t->n_look; k++, logits += b->V, t->n_seen++)
        signals_add_prompt(t->r.signals, logits, b->V, t->ids[signals_prompt_row(t->r.n, t->n_kept, t->n_seen) + 1]);
}

static bool wants_token(const struct text *t) { return t->n_done + t->n_row == t->n_ids + t->n_draft && t->r.most > 0; }

/* Parts first .. end - 1 have n rows of logits together. */
static int draw_group(struct batch *b, int first, int end, int n, struct err *err)
{
    if (!n)
        return 0;
    TRY(engine_head(b->o.e, b->row, n, &b->logits, err));
    struct draw_job j = { b, first };
    pool_for(b->o.pool, end - first, draw_one, &j);
    return 0;
}

/* Rows of the prompt that are computed in this step and looked at, at most so many.  Of a text that was put aside some may be in the cache by now. */
static int count_looks(struct text *t, int most)
{
    const int all = t->r.signals ? signals_prompt_rows(t->r.n, t->n_kept) : 0;
    int n = 0;
    while (t->n_seen < all && signals_prompt_row(t->r.n, t->n_kept, t->n_seen) < t->n_done)
        t->n_seen++;
    while (n < most && t->n_seen + n < all && signals_prompt_row(t->r.n, t->n_kept, t->n_seen + n) < t->n_done + t->n_row)
        n++;
    return n;
}

/* Groups of texts whose rows of logits fit. */
static int draw_tokens(struct batch *b, struct err *err)
{
    const int most = engine_n_logits(b->o.e);
    int first = 0, n = 0, row = 0;
    for (int i = 0; i < b->n_part; row += b->in_step[i]->n_row, i++) {
        struct text *t = b->in_step[i];
        const int want = wants_token(t) ? 1 + t->n_draft : 0;
        t->n_look = count_looks(t, most - want);
        if (n + want + t->n_look > most) {
            TRY(draw_group(b, first, i, n, err));
            first = i, n = 0;
        }
        t->n_drawn = want ? -1 : 0, t->first_row = n;
        for (int k = 0; k < want; k++)
            b->row[n++] = row + t->n_row - want + k;
        for (int k = 0; k < t->n_look; k++)
            b->row[n++] = row + signals_prompt_row(t->r.n, t->n_kept, t->n_seen + k) - t->n_done;
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
    const int from = t->n_done, last = t->r.n - 1, end = from + t->n_row < last ? from + t->n_row : last;
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
    const int C = engine_config(b->o.e)->d_model, most = engine_n_logits(b->o.e), from = t->n_done, end = from + t->n_row < t->r.n ? from + t->n_row : t->r.n;
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

static bool ends_prompt(const struct text *t) { return t->r.signals && !t->r.signals->has_sketch && t->n_done < t->r.n && t->n_done + t->n_row >= t->r.n; }

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
    for (int i = 0, row = 0; i < b->n_part; row += b->in_step[i++]->n_row) {
        const struct text *t = b->in_step[i];
        if (!ends_prompt(t))
            continue;
        if (n == engine_n_logits(b->o.e)) {
            TRY(sketch_group(b, first, i, n, err));
            first = i, n = 0;
        }
        b->row[n++] = row + t->r.n - 1 - t->n_done;
    }
    return sketch_group(b, first, b->n_part, n, err);
}

static int show_prompts(struct batch *b, struct err *err)
{
    for (int i = 0, row = 0; i < b->n_part; row += b->in_step[i++]->n_row) {
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

static void publish(struct batch *b, struct text *t) { pages_publish(b->pages, &t->held, t->ids, t->r.share ? t->n_done : 0); }

/* Takes the tokens into the text and hands them out; ends it where it is to end. */
static void deliver(struct batch *b, struct text *t)
{
    const int n_row = t->n_row;
    t->n_row = 0;
    if (t->n_drawn <= 0) {
        t->n_done += n_row;
        publish(b, t);
        if (!t->r.most && t->n_done == t->n_ids)
            finish(b, t, TEXT_LENGTH, NULL);
        return;
    }
    t->n_done = t->n_ids;
    b->mine.n_drafted += (uint64_t)t->n_draft, b->mine.n_accepted += (uint64_t)(t->n_drawn - 1);
    for (int i = 0; i < t->n_draft && i < t->n_drawn; i++)
        t->right += ((i < t->n_drawn - 1) - t->right) / 8;
    for (int i = 0; i < t->n_drawn; i++) {
        if (t->drawn[i] < 0) {
            if (!t->err.code)
                (void)ERR(&t->err, NUMERIC, "the model gave values that are not numbers at position %d", t->n_ids);
            const struct err err = t->err;
            finish(b, t, TEXT_FAILED, &err);
            return;
        }
        t->n_done += i > 0;                      /* its predecessor was guessed, so it is in the cache */
        t->ids[t->n_ids++] = t->drawn[i];
        b->mine.n_token++;
        note_token(b, t);
        if (t->r.signals)
            signals_add(t->r.signals, &t->signal[i]);
        const struct text_token token = shown(t, t->drawn[i], t->n_ids - 1, t->prob[i]);
        const bool more = !t->r.token || t->r.token(t->r.ctx, &token), length = t->n_ids - t->r.n == t->r.most, full = t->n_ids > engine_ctx(b->o.e);
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
        int n = 0, n_prompt = 0;
        for (int i = 0; i < b->n_part; i++)
            *(continues(b->in_step[i]) ? &n : &n_prompt) += b->part[i].n;
        begin_routes(b);
        int rc = engine_run(b->o.e, b->part, b->n_part, &err);
        rc = rc ? rc : show_prompts(b, &err);
        rc = rc ? rc : draw_tokens(b, &err);
        b->now = clock_wall();
        const double t = b->now - start;
        b->alone = pace_alone(&b->pace, n, n_prompt, t);
        pace_add(&b->pace, n, n_prompt, t);
        if (b->o.watch)
            b->o.watch->step(b->o.watch->ctx, n + n_prompt, b->now);
        if (rc)
            fail_all(b, &err);
        for (int i = 0; !rc && i < b->n_part; i++)
            deliver(b, b->in_step[i]);
        b->mine.n_step++, b->mine.step_s += t;
    }
    pthread_mutex_lock(&b->lock);
    b->mine.pages = pages_count(b->pages), b->mine.n_running = b->n_running;
    b->counts = b->mine;
    const int n_live = b->n_live;
    pthread_mutex_unlock(&b->lock);
    return n_live;
}

bool batch_wait(struct batch *b, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const double end = (double)until.tv_sec + 1e-9 * (double)until.tv_nsec + seconds;
    until.tv_sec = (time_t)end, until.tv_nsec = (long)((end - floor(end)) * 1e9);
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
    b->o.n_queue = o->n_queue ? o->n_queue : QUEUE;
    b->limit = (struct pace_limit){ o->stretch != 0 ? o->stretch : PACE_STRETCH, o->step_s };
    b->V = engine_config(o->e)->vocab_size;
    b->sample_ids = sample_ids(engine_tok(o->e), b->V);
    const size_t n_slot = (size_t)engine_n_slot(o->e), n_thread = (size_t)pool_n_thread(o->pool), V = (size_t)b->V;
    if (!engine_n_page(o->e) || engine_n_logits(o->e) < 1 + (o->lookup < SPEC_MAX ? o->lookup : SPEC_MAX))
        return ERR(err, RANGE, "an engine with %d pages and %d rows of logits, expected pages, and a row for each token of a guess and one more", engine_n_page(o->e), engine_n_logits(o->e));
    b->running = mem_alloc_array(n_slot, sizeof *b->running);
    b->in_step = mem_alloc_array(n_slot, sizeof *b->in_step);
    b->slot_used = mem_alloc_array(n_slot, sizeof *b->slot_used);
    b->part = mem_alloc_array(n_slot, sizeof *b->part);
    b->row = mem_alloc_array((size_t)engine_n_logits(o->e), sizeof *b->row);
    b->scratch = mem_alloc_array(n_thread, sizeof *b->scratch);
    b->work = mem_alloc_array(n_thread * V, sizeof *b->work);
    if (!b->running || !b->in_step || !b->slot_used || !b->part || !b->row || !b->scratch || !b->work)
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
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
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
    while (b->waiting)
        finish(b, b->waiting, TEXT_CANCELLED, NULL);
    while (b->n_running)
        finish(b, b->running[0], TEXT_CANCELLED, NULL);
    for (int i = 0; b->scratch && i < pool_n_thread(b->o.pool); i++) {
        mem_free(b->scratch[i].id);
        mem_free(b->scratch[i].p);
    }
    if (b->of_row)
        engine_watch(b->o.e, NULL, NULL);
    mem_free(b->of_row);
    pages_free(b->pages);
    mem_free(b->running);
    mem_free(b->in_step);
    mem_free(b->slot_used);
    mem_free(b->part);
    mem_free(b->row);
    mem_free(b->scratch);
    mem_free(b->work);
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}
