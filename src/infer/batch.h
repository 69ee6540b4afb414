/* batch.h - one engine that goes on with many texts at once.
 *
 * There are no phases: each step takes one row of every text that is being continued, and as many rows of prompts as its budget
 * allows, oldest of the highest priority first; so a long prompt delays others by little, and short steps are filled up.  Those who wait
 * are taken in turns: of each tenant one, then of each the next, so that nobody's thousand texts keep another's waiting; nor may a
 * tenant have more of them waiting than there are places left in the queue.  What a text
 * gets depends on its ids, its settings and its seed alone: not on its company, on the budget, on what was found in the cache, or on
 * whether it was put aside in between (engine.h, sample.h).
 *
 * Memory is that of the engine's pages.  A text is admitted when there are pages for what it has so far; where pages run out
 * later the last admitted one of the lowest priority is put aside, its pages are given back, and it goes on when there is room,
 * mostly from what the cache still knows.
 *
 * Where an engine's device is lost (engine_lost) all texts that were submitted fail, and the cache knows nothing any more: what another place computes has
 * other bits.  From then on texts have to be meant for place 1; the engine is moved by whoever makes the steps (engine_leave_device), between two of them.
 *
 * Threads: batch_submit, batch_cancel and batch_counts by any; all else by one, which makes the steps and calls the hooks of texts. */
#ifndef INFER_BATCH_H
#define INFER_BATCH_H
#include "infer/engine.h"
#include "infer/pages.h"
#include "infer/probs.h"
#include "infer/sample.h"
#include "infer/signals.h"

enum text_end {
    TEXT_STOP,                           /* token() said so */
    TEXT_LENGTH,                         /* `most` tokens were made */
    TEXT_FULL,                           /* no position left */
    TEXT_CANCELLED, TEXT_FAILED
};
/* When what happened to a text, by clock_wall(); 0: it did not come to that. */
struct text_times { double submitted, admitted, first, last, ended; int n_prompt, n_kept, n_token; enum text_end end; };
/* Who counts: called by the thread of the steps. */
struct batch_watch {
    void (*step)(void *ctx, int n_row, double now);                      /* a step has computed so many rows */
    void (*token)(void *ctx, const struct text_times *t, double now);    /* a text gets one more; t: as it was before.  Guessed ones come at the same time */
    void (*ended)(void *ctx, const struct text_times *t);
    void (*routed)(void *ctx, int n_expert, const int32_t *start);      /* a layer of a mixture: expert e got rows start[e] .. start[e + 1] - 1; NULL: not wanted */
    void *ctx;
};

/* Of a step: texts that are continued and the keys that they see, all together; rows of prompts, likewise; seconds that it took.  Guessed tokens are rows too. */
struct batch_step { int n, n_prompt; double keys, prompt_keys, seconds; };

struct batch;
struct batch_opts {
    struct engine *e;            /* opened with n_page; n_slot: texts under way at most */
    struct pool *pool;           /* the engine's */
    int n_queue;                 /* texts that may wait; 0: 1024 */
    double stretch;              /* a step with rows of prompts may take as much of a step without; 0: PACE_STRETCH.  Below 1: no limit */
    double step_s;               /* or that many seconds in all; 0: none */
    int lookup;                  /* tokens of a guess at most (spec.h: spec_lookup), 0: none */
    bool always;                 /* the longest guess every time, whatever it costs: for tests */
    const struct batch_watch *watch;         /* or NULL; is kept */
    void (*timed)(void *ctx, const struct batch_step *s); void *timed_ctx;      /* after each step, by the thread of the steps; or NULL */
};
int batch_new(struct batch **out, const struct batch_opts *o, struct err *err);
void batch_free(struct batch *b);        /* texts that are not done get TEXT_CANCELLED */

/* ---- a text ---- */

struct text_token {
    int32_t id; int position;            /* of the token itself */
    float logprob;                       /* log softmax of the model's logits, before anything was done to them; with n_logprob >= 0 */
    const struct token_prob *top; int n_top;       /* the likeliest, descending */
};
struct text_request {
    const int32_t *ids; int n;           /* 1 <= n <= positions of the engine; copied */
    int most;                            /* tokens to make at most; 0: the prompt alone, for its probabilities */
    struct sampling sampling;
    int n_logprob;                       /* how many of the likeliest go with each token; -1: no probabilities */
    bool prompt_probs;                   /* prompt() gets those of the prompt's tokens, too, from the second on */
    bool last_hidden;                    /* hidden() gets the last of the prompt's tokens only */
    struct text_signals *signals;        /* or NULL: what the numbers say of it is added there, until done() (signals.h) */
    int priority;                        /* lower goes first */
    int tenant;                          /* whose it is, for turns among those of the same priority; 0: nobody's, who may fill the queue */
    int adapter;                         /* of the engine's, from 1 on; 0: none.  The root must tell of it */
    int place;                           /* batch_counts.place, as it was when what is said of the text was decided */
    struct block_key root;               /* pages.h */
    bool share;                          /* use what the cache knows, and leave there what is computed */
    /* Called by the thread of the steps; adjust and accept by any thread, one at a time for each text.  NULL: not wanted. */
    int (*adjust)(void *ctx, float *logits, int V, struct err *err);      /* what the next token is drawn from; -INFINITY forbids; < 0: the text fails */
    void (*accept)(void *ctx, int32_t id);                 /* it was drawn */
    void (*prompt)(void *ctx, const struct text_token *t);
    void (*hidden)(void *ctx, const float *x, int position);      /* of each of the prompt's tokens, in order: the last hidden state, [d_model] */
    bool (*token)(void *ctx, const struct text_token *t);  /* false: the text ends, and this was its last token */
    /* The last call.  n_kept: tokens of the prompt that were in the cache; -1: the text was never begun.  err: of TEXT_FAILED */
    void (*done)(void *ctx, enum text_end end, int n_kept, const struct err *err);
    void *ctx;
};
/* *id names the text until its done().  ERR_BUSY: the queue is full, or as full of the tenant's texts as it may be.  ERR_RANGE: it is longer than the engine has positions, or than all
 * pages have; ERR_STOPPED: batch_close() was called; ERR_IO: the device that it was meant for was lost.  Hooks may be called before it returns. */
int batch_submit(struct batch *b, const struct text_request *r, uint64_t *id, struct err *err);
void batch_cancel(struct batch *b, uint64_t id);          /* done() comes with TEXT_CANCELLED, unless it was done already; id 0: all texts */

/* ---- steps ---- */

int batch_step(struct batch *b);                          /* texts that are not done; 0: nothing was to be done */
bool batch_wait(struct batch *b, double seconds);         /* until there is something to do, or for so long; is there? */
/* Before a step: others continued texts of theirs for so long since this asked for its turn; a model is being loaded (pace.h). */
void batch_others(struct batch *b, double seconds, bool loading);
double batch_alone(const struct batch *b);               /* after a step: what it took to continue texts, without prompts */
void batch_close(struct batch *b);                        /* nothing more is taken on; any thread */

struct batch_counts {
    int n_running, n_waiting, place;                      /* place 0: where the engine was opened; 1: where it went when that device was lost */
    uint64_t n_step, n_row, n_prompt, n_token, n_put_aside, n_drafted, n_accepted;      /* rows computed; tokens of prompts taken on, made */
    double step_s;                                        /* seconds of all steps */
    struct pages_count pages;
};
void batch_counts(struct batch *b, struct batch_counts *out);
#endif
