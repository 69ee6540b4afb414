/* run_impl.h - what the parts of a runner share (run.h).
 *
 * run.c          opens, takes items, plans, answers
 * run_item.c     an item's sequences as a tree of segments
 * run_score.c    steps of many items: log-likelihoods
 * run_write.c    texts, by infer/batch.h */
#ifndef EVAL_RUN_IMPL_H
#define EVAL_RUN_IMPL_H
#include "eval/run.h"
#include "infer/loaded.h"

/* Tokens from position pos on, which stand behind what the segments before them left in positions 0 .. pos - 1. */
struct segment { int pos, n; size_t at; int first_target, n_target; };       /* at: of the item's ids; targets are sorted by row */
struct target { int segment, row; int32_t id; int request, place; };         /* row: of the segment; place: among the request's tokens */
struct prompt { size_t at; int n; int request; const struct request_generation *generation; };

struct item {
    int64_t tag;
    int place;                           /* in the runner's list */
    struct reply *reply; int n_reply;
    int n_open;                          /* what has yet to be answered: 1 for all that is scored, 1 for each text */
    int32_t *ids; size_t n_ids;
    struct segment *segment; int n_segment;
    struct target *target; int n_target;
    struct prompt *prompt; int n_prompt;
    int depth;                           /* positions that its segments need */
    int n_prefix;                        /* tokens that others may have computed: before the first fork and the first row that counts */
    int n_fed;                           /* tokens of all segments */
};
void item_free(struct item *x);

/* A sequence that is scored: ids[0 .. n - 2] are fed, the last n_scored are targets, of which the first is the request's token `first`. */
struct sequence { size_t at; int n, n_scored, request, first; };
/* Segments and targets of the sequences, whose ids stand in `ids`; apart: nothing is shared.  Sorts the sequences. */
int item_build(struct item *x, struct sequence *s, int n, const int32_t *ids, bool apart, struct err *err);
int item_common(const struct item *a, const struct item *b);       /* tokens that the prefixes of both begin with */

struct run {
    struct run_opts o;
    int again;                           /* positions (run_again); 0: it answers once */
    struct loaded files;                 /* without weights; the tokenizer goes to the engine */
    struct encoder encoder;
    struct engine *e;
    struct item **item; int n_item, cap_item;
    struct encoded work;
    struct tok_ids ids; struct sequence *sequence; int n_sequence, cap_sequence;      /* of the item that is added */
    const struct run_hooks *hooks;
    struct run_progress progress;
    struct run_counts counts;
};
/* The least that is worth sharing between items, in tokens: copying a page of keys and values takes about as long as one. */
#define RUN_SHARED_MIN 16
int run_pages_for(int n);
int run_done(struct run *r, struct item *x, struct err *err);      /* one of n_open is; the last calls answered() and frees it */
int run_goes_on(struct run *r, struct err *err);                   /* ERR_STOPPED */
void run_fail(struct reply *y, const struct err *err);             /* y->error, once */
int run_loglik(struct run *r, struct err *err);
int run_generate(struct run *r, struct pool *pool, struct err *err);
#endif
