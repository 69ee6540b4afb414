/* sched.h - which texts have a part in a step, and how many rows of it: what decides in batch.h, without an engine, so that a plan
 * (plan/simulate.h) decides as a server does.
 *
 * A step has one row of every text that is being continued (or more, where tokens are guessed), then rows of prompts of those under way,
 * then of those who wait, as many in all as pace.h allows; oldest of the highest priority first.  Those who wait are taken in turns (batch.h).
 * Where there are no pages for a text that grows, the last one under way is put aside; whoever waits for pages is not overtaken, except where
 * another computes the beginning of its text.
 *
 * Texts belong to the caller, who has a struct sched_text in its own and says what n_ids and n_done of it are.  Pages are the caller's, too, who
 * is asked for them.  One thread; nothing is allocated after sched_init(). */
#ifndef INFER_SCHED_H
#define INFER_SCHED_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "infer/pace.h"
#include "infer/pages.h"

#define SCHED_QUEUE 1024         /* texts that may wait, where nothing else is said */
#define SCHED_LOOK 64            /* of those who wait, so many are looked at in a step */

struct sched_text {
    struct sched_text *next, *before;        /* of those who wait */
    uint64_t id, turn;           /* id: by age, from 1 on; turn: in which it is, among those who wait */
    int priority, tenant;        /* as text_request's */
    int n_prompt, n_ids, n_done; /* tokens of the prompt, and with those that were made; of these in the cache */
    int slot;                    /* -1: it waits */
    int n_row;                   /* of a step; 0: it has no part in it */
    bool admitted;               /* it has been under way */
};

/* What the caller is asked for, by sched_step() alone. */
struct sched_use {
    void *ctx;
    /* pages_begin() for the n_ids of a text, which sets n_done, with so many pages to spare */
    enum pages_fate (*begin)(void *ctx, struct sched_text *t, int spare);
    bool (*extend)(void *ctx, struct sched_text *t, int n);          /* pages_extend() */
    void (*release)(void *ctx, struct sched_text *t);                /* pages_release(): it is put aside */
    int (*guess)(void *ctx, struct sched_text *t, int room);         /* rows beside its own, at most so many, with pages for them; NULL: none */
    void (*change)(void *ctx, bool begins);                          /* before and after lists of texts are changed; NULL: nobody else looks */
};

struct sched_part { struct sched_text *t; int n; };
struct sched {
    struct sched_use use;
    struct pace pace;
    struct pace_limit limit;
    int n_slot, step_tokens;                 /* texts under way, rows of a step: at most */
    struct sched_text **running; int n_running;      /* by priority and age */
    struct sched_text *first, *last; int n_waiting;  /* who waits, by priority and turn */
    bool *slot_used;
    struct sched_part *part; int n_part;     /* of the step: those being continued first */
    bool stuck;                              /* no slot or no pages for whoever is next: so it is until one ends, or a part of a prompt is computed */
    uint64_t n_put_aside;
};
int sched_init(struct sched *s, int n_slot, int step_tokens, const struct pace_limit *limit, const struct sched_use *use, struct err *err);
void sched_release(struct sched *s);         /* a zeroed one too; texts are not its own */

/* May one more wait, of whose tenant `mine` do, where places for `left` are left?  A tenant's may be as many as there are places left after them, so
 * that there always are some (dynamic thresholds, Choudhury and Hahne, IEEE/ACM Trans. Networking 6, 1998).  mine 0: nobody's. */
bool sched_may_wait(int left, int mine);
int sched_waiting_of(const struct sched *s, int tenant);
/* A new text, with all but its turn and slot set, gets in line: ascending by id. */
void sched_wait(struct sched *s, struct sched_text *t);
void sched_remove(struct sched *s, struct sched_text *t);        /* from where it is: it is over */
/* Is it one whose next token follows from one row? */
static inline bool sched_continues(const struct sched_text *t) { return t->n_done + 1 == t->n_ids && t->n_ids > t->n_prompt; }

/* Chooses part[0 .. n_part - 1], and takes pages for them; returns their rows.  It is the two below, one after the other. */
int sched_step(struct sched *s);
int sched_continue(struct sched *s);                 /* rows of those being continued */
int sched_prompts(struct sched *s, int rows);        /* there are so many: adds those of prompts; returns all */
/* How long a guess of at most so many tokens pays, of which a share `right` was right lately: it adds rows to a step, and the tokens of those that are right. */
int sched_guess(const struct sched *s, const struct sched_text *t, double right, int most);

#endif
