/* text_rows.h - what a model makes of each text of a set: how likely it is to it, and its features.
 *
 * A language model reads a text behind the token that begins one (encode.h's prefix; without one the first token is context alone).  Of each
 * further token it says a distribution before it sees it; means over a text's tokens are kept, in nats where they are logarithms, signed so
 * that more is more like what it was trained on:
 *   nll      minus the mean of -log p(token): minus the log of perplexity
 *   msp      the mean of the largest p              energy  the mean of log sum exp of the logits
 *   entropy  minus the mean entropy
 * Features are the last layer's states after the last norm: their mean over the text's tokens, and the last token's.
 * A classifier of texts gives logits and what its head reads.
 *
 * A text without tokens, or with more than the model may look at, has no row; it is counted, and the first reason kept.  Nothing is cut.
 * Rows do not depend on what else is in the set or the batch, nor on threads. */
#ifndef EVAL_TEXT_ROWS_H
#define EVAL_TEXT_ROWS_H
#include "eval/text_lines.h"
#include "infer/classify.h"
#include "infer/engine.h"

#define TEXT_STATS(X) X(NLL, "nll") X(MSP, "msp") X(ENERGY, "energy") X(ENTROPY, "entropy")
enum text_stat {
#define X(name, word) TEXT_STAT_##name,
    TEXT_STATS(X)
#undef X
    N_TEXT_STAT
};
const char *text_stat_name(enum text_stat s);

enum { TEXT_FEATURES = 2 };
struct text_rows {
    int64_t n, n_failed;
    struct err why;                                     /* of the first that failed */
    int64_t *item;                                      /* [n] of the set */
    int32_t *n_token;                                   /* [n] of the text: those that were predicted, or a classifier's */
    int32_t *label;                                     /* [n] by the names that were given, -1: none of them */
    int n_feature, d;                                   /* kinds of features, 0 to 2, each [n][d] */
    const char *feature_name[TEXT_FEATURES];            /* "mean", "last"; "" of a classifier's */
    float *feature[TEXT_FEATURES];
    int K; float *logit;                                /* of a classifier [n][K]; else 0 */
    bool has_stat; double *stat[N_TEXT_STAT];           /* of a language model [n] */
};
/* names: of labels, or NULL.  progress: as of images.h; may be NULL. */
struct text_rows_opts { const struct labels *names; struct pool *pool; int (*progress)(void *ctx, const char *what, int64_t done, int64_t all); void *ctx; };

/* e: with TEXT_SLOTS slots and TEXT_LOGITS logits at least (and no pages).  prefix: encoder_prefix()'s. */
enum { TEXT_SLOTS = 16, TEXT_LOGITS = 64 };
int text_rows_model(struct text_rows *out, struct engine *e, int32_t prefix, const struct text_lines *s, const struct text_rows_opts *o, struct err *err);
/* c: opened for features. */
int text_rows_classifier(struct text_rows *out, struct classifier *c, const struct text_lines *s, const struct text_rows_opts *o, struct err *err);
void text_rows_release(struct text_rows *r);
#endif
