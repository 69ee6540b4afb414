/* token_attack.h - texts whose tokens are changed so that a model errs: white-box searches along the gradient.
 *
 *   hotflip  Ebrahimi et al., "HotFlip: white-box adversarial examples for text classification", arXiv:1712.06751: of all changes of one
 *            token those with the largest gain to first order, (E_w - E_x) . slope, as many of each place, are asked for what they
 *            really do, and the best is kept; a place is changed once.  Greedy: a beam of one, which ends where no change is better.
 *   gcg      Zou et al., "Universal and transferable adversarial attacks on aligned language models", arXiv:2307.15043: in each step a
 *            batch of single changes is drawn from the top_k gains of each place, all are asked, and the best one is gone on from, also
 *            where it is worse than the last.  Over several texts at once it is the search for one trigger that all of them have (Wallace
 *            et al., "Universal adversarial triggers for attacking and analyzing NLP", arXiv:1908.07125).
 *
 * The search knows neither model nor text: a victim says what a change gains, and what came of variants.  Only variants that are the same
 * tokens when they are written as text and read again (survives) are asked: others no user could send.  Draws are a function of (seed,
 * step, candidate): the same bits with any threads.  That an attack fails proves nothing: it is one search within one budget. */
#ifndef EVAL_TOKEN_ATTACK_H
#define EVAL_TOKEN_ATTACK_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct token_outcome { double score; bool fooled; };         /* score: what the attack wants large; fooled: it has what it wants */

struct token_victim {
    void *ctx;
    int V;                               /* ids 0 .. V-1 */
    const bool *allowed;                 /* [V]: what a token may become */
    /* gain[n_place][V]: how much the score grows, to first order, where the token at ids[place[i]] becomes w. */
    int (*gains)(void *ctx, const int32_t *ids, int n, const int *place, int n_place, float *gain, struct err *err);
    int (*survives)(void *ctx, const int32_t *ids, int n, struct err *err);          /* 1 or 0; NULL: all do */
    int (*ask)(void *ctx, const int32_t *variants, int n_variant, int n, struct token_outcome *out, struct err *err);      /* [n_variant][n] */
};

struct token_search {
    int steps;                           /* hotflip: tokens changed at most; gcg: steps at most */
    int batch;                           /* variants asked in a step */
    int top_k;                           /* gcg: gains of a place that are drawn from */
    uint64_t seed;                       /* gcg */
    bool (*may_become)(void *ctx, int32_t from, int32_t to);     /* from: as it was at the beginning; NULL: any that is allowed */
    bool (*goes_on)(void *ctx);          /* asked between steps; false: ERR_STOPPED.  NULL: always */
    void *ctx;                           /* of these two */
};
#define HOTFLIP_SEARCH { .steps = 3, .batch = 64 }
#define GCG_SEARCH { .steps = 100, .batch = 128, .top_k = 256 }      /* garak's; the paper has 500 steps of 512 */

struct token_found {
    struct token_outcome before, after;  /* after: of the best, which ids hold then */
    int n_changed, n_step;               /* places that differ from those at the beginning */
    int64_t n_query, n_gradient, n_lost; /* variants asked, slopes taken, variants that did not survive */
};

/* ids[n] become the best that was found; place[n_place]: which of them may change, ascending.  Nothing is searched where before.fooled.
 * ERR_STOPPED, ERR_NOMEM, and what the victim says; ids are then the best so far. */
int hotflip(const struct token_victim *v, const struct token_search *o, int32_t *ids, int n, const int *place, int n_place, struct token_found *out,
            struct err *err);
int gcg(const struct token_victim *v, const struct token_search *o, int32_t *ids, int n, const int *place, int n_place, struct token_found *out,
        struct err *err);
#endif
