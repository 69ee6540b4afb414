#include "infer/sched.h"
#include <string.h>
#include "base/mem.h"

#define PROBE 16                 /* tokens after which a guess is tried though it does not seem to pay */

/* ---- who waits ---- */

static bool before(const struct sched_text *a, const struct sched_text *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->id < b->id;
}

/* Those that were put aside come before those that were never begun. */
static bool waits_before(const struct sched_text *a, const struct sched_text *b)
{
    if (a->priority != b->priority || (a->admitted && b->admitted))
        return before(a, b);
    return a->admitted != b->admitted ? a->admitted : a->turn != b->turn ? a->turn < b->turn : a->id < b->id;
}

/* The turn after the last of its tenant's that wait, at least the one that it is now. */
static uint64_t turn_of(const struct sched *s, const struct sched_text *t)
{
    uint64_t now = 0, next = 0;
    for (const struct sched_text *w = s->first; w && !now && w->priority <= t->priority; w = w->next)
        now = w->priority == t->priority && !w->admitted ? w->turn : 0;
    for (const struct sched_text *w = s->last; w && !next && w->priority >= t->priority && now; w = w->before)
        next = w->priority == t->priority && !w->admitted && w->tenant == t->tenant ? w->turn + 1 : 0;
    return next > now ? next : now ? now : 1;
}

/* From the end on, where new ones mostly go; those that were put aside from the beginning. */
static void wait_in_line(struct sched *s, struct sched_text *t)
{
    struct sched_text *after = s->last, *at = s->first;
    if (t->admitted) {
        for (; at && waits_before(at, t); at = at->next)
            ;
        after = at ? at->before : s->last;
    } else
        for (; after && waits_before(t, after); after = after->before)
            ;
    t->before = after, t->next = after ? after->next : s->first;
    *(t->next ? &t->next->before : &s->last) = t;
    *(after ? &after->next : &s->first) = t;
    s->n_waiting++;
}

void sched_wait(struct sched *s, struct sched_text *t)
{
    t->slot = -1;
    t->turn = turn_of(s, t);
    wait_in_line(s, t);
}

int sched_waiting_of(const struct sched *s, int tenant)
{
    int n = 0;
    for (const struct sched_text *t = s->first; t; t = t->next)
        n += t->tenant == tenant;
    return n;
}

bool sched_may_wait(int left, int mine) { return left > 0 && mine < left; }

/* ---- who is under way ---- */

void sched_remove(struct sched *s, struct sched_text *t)
{
    if (t->slot < 0) {
        *(t->before ? &t->before->next : &s->first) = t->next;
        *(t->next ? &t->next->before : &s->last) = t->before;
        s->n_waiting--;
        return;
    }
    int i = 0;
    while (s->running[i] != t)
        i++;
    memmove(s->running + i, s->running + i + 1, (size_t)(--s->n_running - i) * sizeof *s->running);
    s->slot_used[t->slot] = false;
    t->slot = -1;
}

static void change(const struct sched *s, bool begins)
{
    if (s->use.change)
        s->use.change(s->use.ctx, begins);
}

/* There is a slot: the first one is taken. */
static void start_running(struct sched *s, struct sched_text *t)
{
    change(s, true);
    sched_remove(s, t);
    t->slot = (int)((bool *)memchr(s->slot_used, false, (size_t)s->n_slot) - s->slot_used);
    s->slot_used[t->slot] = true;
    int i = s->n_running++;
    for (; i > 0 && before(t, s->running[i - 1]); i--)
        s->running[i] = s->running[i - 1];
    s->running[i] = t;
    t->admitted = true;
    change(s, false);
}

static void put_aside(struct sched *s, struct sched_text *t)
{
    s->use.release(s->use.ctx, t);
    t->n_done = 0;
    change(s, true);
    sched_remove(s, t);
    wait_in_line(s, t);
    change(s, false);
    s->n_put_aside++;
}

/* ---- the parts of a step ---- */

static int add_part(struct sched *s, struct sched_text *t, int n)
{
    s->part[s->n_part++] = (struct sched_part){ t, n };
    return t->n_row = n;
}

/* Pages for all ids of the text; where there are none, texts behind it are put aside, at last itself: false. */
static bool make_room(struct sched *s, struct sched_text *t)
{
    while (!s->use.extend(s->use.ctx, t, t->n_ids)) {
        struct sched_text *last = s->running[s->n_running - 1];
        put_aside(s, last);
        if (last == t)
            return false;
    }
    return true;
}

int sched_continue(struct sched *s)
{
    int rows = 0;
    s->n_part = 0;
    for (int i = 0; i < s->n_running; i++) {
        struct sched_text *t = s->running[i];
        t->n_row = 0;
        if (!sched_continues(t) || !make_room(s, t))
            continue;
        const int others = s->n_running - i - 1;
        rows += add_part(s, t, 1 + (s->use.guess ? s->use.guess(s->use.ctx, t, s->step_tokens - rows - 1 - others) : 0));
    }
    return rows;
}

static int prompt_rows(struct sched *s, struct sched_text *t, int rows, int most)
{
    const int left = t->n_ids - t->n_done, n = left < most - rows ? left : most - rows;
    return n > 0 ? add_part(s, t, n) : (t->n_row = 0);
}

/* A page is left for each text under way, so that it is not put aside at once. */
static enum pages_fate admit(struct sched *s, struct sched_text *t)
{
    const enum pages_fate fate = s->use.begin(s->use.ctx, t, s->n_running);
    if (fate == PAGES_OK)
        start_running(s, t);
    return fate;
}

/* Texts whose prompts could be computed in this step. */
static int n_ready(const struct sched *s)
{
    const int room = s->n_slot - s->n_running;
    int n = s->stuck ? 0 : s->n_waiting < room ? s->n_waiting : room;
    for (int i = 0; i < s->n_running; i++)
        n += !sched_continues(s->running[i]);
    return n;
}

int sched_prompts(struct sched *s, int rows)
{
    const int most = pace_rows(&s->pace, &s->limit, rows, n_ready(s), s->step_tokens);
    for (int i = 0; i < s->n_running; i++)
        if (!sched_continues(s->running[i]))
            rows += prompt_rows(s, s->running[i], rows, most);
    int looked_at = 0;
    s->stuck = false;
    for (struct sched_text *t = s->first, *next; t && rows < most && looked_at < SCHED_LOOK; t = next, looked_at++) {
        next = t->next;
        const enum pages_fate fate = s->n_running < s->n_slot ? admit(s, t) : PAGES_NONE;
        if (fate == PAGES_NONE) {        /* whoever is behind it does not overtake it */
            s->stuck = true;
            break;
        }
        if (fate == PAGES_OK)
            rows += prompt_rows(s, t, rows, most);
    }
    return rows;
}

int sched_step(struct sched *s) { return sched_prompts(s, sched_continue(s)); }

int sched_guess(const struct sched *s, const struct sched_text *t, double right, int most)
{
    const double slope = pace_slope(&s->pace), alone = s->pace.alone;
    if (most < 1)
        return 0;
    if (slope <= 0 || alone <= 0)
        return 1;
    double best = s->n_running / alone, tokens = s->n_running, p = 1;
    int k = 0;
    for (int i = 1; i <= most; i++) {
        tokens += p *= right;
        if (tokens / (alone + i * slope) > best)
            best = tokens / (alone + i * slope), k = i;
    }
    return k || t->n_ids % PROBE ? k : 1;
}

/* ---- begin and end ---- */

int sched_init(struct sched *s, int n_slot, int step_tokens, const struct pace_limit *limit, const struct sched_use *use, struct err *err)
{
    *s = (struct sched){ .use = *use, .limit = *limit, .n_slot = n_slot, .step_tokens = step_tokens };
    if (n_slot < 1 || step_tokens < 1)
        return ERR(err, RANGE, "%d texts at once, %d rows in a step, expected 1 or more", n_slot, step_tokens);
    s->running = mem_alloc_array((size_t)n_slot, sizeof *s->running);
    s->slot_used = mem_alloc_zero((size_t)n_slot * sizeof *s->slot_used);
    s->part = mem_alloc_array((size_t)n_slot, sizeof *s->part);
    return s->running && s->slot_used && s->part ? 0 : ERR(err, NOMEM, "no memory for %d texts", n_slot);
}

void sched_release(struct sched *s)
{
    mem_free(s->running);
    mem_free(s->slot_used);
    mem_free(s->part);
    *s = (struct sched){ 0 };
}
