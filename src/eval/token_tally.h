/* token_tally.h - what came of one attack on many items, counted, and told as evidence (token_trial.h).
 *
 * One thread.  Strings are borrowed until token_tally_end(). */
#ifndef EVAL_TOKEN_TALLY_H
#define EVAL_TOKEN_TALLY_H
#include <jansson.h>
#include "eval/token_attack.h"

struct token_tally {
    const char *attack, *of;             /* "hotflip", "arc_easy" */
    const char *right;                   /* what items are before they are attacked: "accuracy"; NULL: nothing (targets) */
    int64_t n_already, n_unfit, n_fooled, n_kept, n_gradient, n_lost;
    double *queries, *changed; int64_t n, n_changed, cap;      /* of those attacked; of those fooled */
    json_t *items, *unfit, *examples;    /* examples: the first EXAMPLES/2 that were fooled, as many that were not */
    int n_example[2];
};
enum { TOKEN_EXAMPLES = 20 };

int  token_tally_init(struct token_tally *t, const char *attack, const char *of, const char *right, struct err *err);
void token_tally_release(struct token_tally *t);
/* An item that cannot be attacked, and why. */
int  token_tally_unfit(struct token_tally *t, int64_t item, const char *why, struct err *err);
/* rc < 0 and what was wrong with an item: what ends the run (lack of memory, a stop) is passed on to err, all else is the item's. */
int  token_tally_failed(struct token_tally *t, int64_t item, int rc, const struct err *why, struct err *err);
/* An item that was: its texts before and after, n bytes each (of any length, UTF-8 or not). */
struct token_texts { const char *before, *after; size_t n_before, n_after; };
int  token_tally_add(struct token_tally *t, int64_t item, const struct token_found *f, const struct token_texts *x, struct err *err);
/* The best so far of an item whose search was stopped: an example, in no count. */
int  token_tally_stopped(struct token_tally *t, int64_t item, const struct token_found *f, const struct token_texts *x, struct err *err);
/* budget is taken over: {"flips": 3, ...}.  n_all: of items that there are, attacked or not. */
int  token_tally_end(struct token_tally *t, json_t *evidence, json_t *budget, int64_t n_all, struct err *err);
/* Adds the sentences that belong beside all of this, once. */
int  token_tally_caveats(json_t *evidence, struct err *err);
#endif
