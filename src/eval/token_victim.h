/* token_victim.h - models as victims of attacks on tokens (token_attack.h): language models by the requests of an evaluation, classifiers.
 *
 * The gradient is taken in floats (infer/slopes.h); what a variant really does is asked of the model as it is evaluated: as text, by the
 * runner of `lathe eval` (run.h, its weights of any type), or by the classifier's own numbers.  One thread. */
#ifndef EVAL_TOKEN_VICTIM_H
#define EVAL_TOKEN_VICTIM_H
#include "eval/run.h"
#include "eval/token_attack.h"
#include "eval/token_text.h"
#include "infer/slopes.h"

/* ---- a model that continues texts ---- */

/* Requests of one item whose contexts are one text, which is changed.  gold: the request whose continuation is right, to be made less likely
 * than another one; -1: there is one request, whose continuation is to come (score: its mean log-likelihood, fooled: greedy decoding says
 * it).  fooled: NULL, or of an item with gold, whether it is answered wrongly now; score is then the best other log-likelihood minus gold's. */
struct lm_victim {
    struct token_victim victim;          /* ready for hotflip() and gcg(); ctx is this struct */
    struct run *run; struct pool *pool; struct slopes *slopes;
    const struct request *q; int n_q, gold;
    int (*fooled)(void *user, const struct reply *replies, int n, bool *yes, struct err *err);
    void *user;
    struct token_text *text;             /* of the context */
    /* ---- its own ---- */
    struct request *changed; struct encoded *encoded;
    const int32_t *variants; struct token_outcome *out;
};
/* Everything above `its own` but victim is set before; victim.allowed is the caller's.  Released after errors, too. */
int  lm_victim_init(struct lm_victim *v, struct err *err);
void lm_victim_release(struct lm_victim *v);
/* Tokens of all its requests together as they stand, and of the longest: what slopes and runner must have room for. */
int  lm_victim_tokens(struct lm_victim *v, int *all, int *longest, struct err *err);

/* ---- a model with classes ---- */

/* text: to be taken for another class than `label` (hotflip).  With n_item > 0 text is a trigger instead, which is put in front of each item
 * with a space between, to be taken for class `target`; score is then the mean log-probability of target, and fooled: all are. */
struct class_item { const char *text; size_t n; };
struct class_victim {
    struct token_victim victim;
    struct slopes *slopes;
    struct token_text *text;
    int label, target;
    const struct class_item *item; int n_item;
    int tokens, texts;                   /* of one call, as slopes was opened */
    /* ---- its own ---- */
    struct tok_ids ids;                  /* texts of a call, one after the other */
    struct slopes_text *call; size_t *at; int n_call;
    float *logits, *onehot, *slope;
};
int  class_victim_init(struct class_victim *v, struct err *err);
void class_victim_release(struct class_victim *v);
/* Of one text as it is: probabilities [n_label].  ERR_RANGE: longer than there is room for. */
int  class_victim_probs(struct class_victim *v, const char *text, size_t n, double *probs, struct err *err);
#endif
