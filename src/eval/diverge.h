/* diverge.h - how far the predictions of one model are from another's: both read the same tokens, and at each position the two distributions
 * over the vocabulary are compared, exactly, from logits as they are, in double.
 *
 * Two engines, one thread; the pool's threads compare rows.  Where the older model is a file of log-probabilities (infer/logprobs.h), its
 * 16 bits are the limit: about 3e-6 nats a token, more where much of the vocabulary lies 16 nats below the likeliest. */
#ifndef EVAL_DIVERGE_H
#define EVAL_DIVERGE_H
#include "infer/engine.h"
#include "infer/logprobs.h"

struct diverge_row {
    double kl, kl_back;          /* KL(old || new), KL(new || old) of the prediction here, in nats; KL(p || q) = sum p (log p - log q) */
    double logp_old, logp_new;   /* of the token that follows; NAN where none does in its window */
    int32_t id, top_old, top_new;/* that token, or -1; what each model holds likeliest */
    int32_t window;              /* of this text, from 0 */
    int64_t at;                  /* where the last token that was read stands in the text; -1: bos alone was read */
    int32_t cluster;             /* diverge_opts.cluster, or the window: rows that depend on each other more than on others */
};
struct diverge { struct diverge_row *row; size_t n, cap; };        /* zeroed before the first text; texts are appended */
void diverge_release(struct diverge *d);
/* Fills kl to logp_new and top_* of a row from both models' V logits; id is set before.  old_given: probs.h. */
void diverge_row(struct diverge_row *r, const float *old, bool old_given, const float *new, int V);

struct diverge_opts {
    int ctx;                     /* tokens of a window, 2 or more, within both models' positions */
    int32_t bos;                 /* each window begins with it; -1: with a token of the text */
    bool half;                   /* as llama.cpp's perplexity: whole windows only, bos in place of their first token, and what the second half is predicted by */
    int32_t cluster;             /* -1: each window is one, numbered on from the rows that are there */
    struct pool *pool;
    /* Called after each step with the tokens of this text that were read; non-zero stops with the rows there are.  NULL: nobody. */
    int (*progress)(void *ctx, size_t n_read, size_t n_all); void *progress_ctx;
};
/* Windows one after the other; without half a rest is a shorter window.  Both engines need the same vocabulary.  ERR_RANGE when the text has
 * fewer than 2 tokens, or no whole window with half; ERR_NUMERIC with the position where values are not finite. */
int diverge_models(struct diverge *d, struct engine *old, struct engine *new, const int32_t *ids, size_t n, const struct diverge_opts *o, struct err *err);
/* The same of a file of predictions, of its own tokens and windows; `half` is what such files are, ctx is not looked at. */
int diverge_file(struct diverge *d, struct logprobs_reader *old, struct engine *new, const struct diverge_opts *o, struct err *err);

/* Do two tokenizers have the same bytes for each id, and the same special ones?  ERR_RANGE with the first id that differs. */
int diverge_check_tok(const struct tok *old, const struct tok *new, struct err *err);

/* Standard errors are by clusters (interval_mean() of eval/interval.h): NAN for a single one. */
#define DIVERGE_QUANTILES 0.5, 0.9, 0.95, 0.99, 0.999
#define DIVERGE_DP_QUANTILES 0.01, 0.05, 0.5, 0.95, 0.99
struct diverge_spread { double mean, se, quantile[5], max; };      /* of DIVERGE_QUANTILES, type 7 */
struct diverge_summary {
    size_t n, n_target; int n_cluster;
    struct diverge_spread kl, kl_back;
    double same_top, same_top_se;            /* share of positions where the likeliest token is the same */
    /* p(new) - p(old) of the token that follows: mean, square root of the mean square, quantiles of DIVERGE_DP_QUANTILES */
    double dp, dp_se, dp_rms, dp_quantile[5];
    double nll_old, nll_new;                 /* mean over the n_target */
    /* ln(perplexity new / perplexity old) = nll_new - nll_old; its error from the variances and the covariance of both over tokens as if
     * they were independent (what llama.cpp prints), and by clusters */
    double log_ratio, log_ratio_se_tokens, log_ratio_se, correlation;
};
int diverge_summarize(struct diverge_summary *s, const struct diverge *d, struct err *err);
#endif
