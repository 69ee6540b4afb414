/* score.h - how well a model predicts a text: negative log-likelihoods by the field's conventions.
 *
 * One engine, one thread, as in engine.h. */
#ifndef INFER_SCORE_H
#define INFER_SCORE_H
#include <stddef.h>
#include "infer/engine.h"

/* How a text of n tokens is cut into windows of ctx tokens, and which tokens count:
 *   llamacpp  windows one after the other, a rest that fills no window is left out; the tokens of the second half count, each
 *             with at least ctx/2 before it.  Where the tokenizer begins a text with bos, each window's first token is bos
 *             instead.  As llama.cpp's tools/perplexity.
 *   rolling   every token counts once: windows one after the other, each with the token before it as first context (the first:
 *             bos or eot), the last window reaches back to have full context.  As lm-evaluation-harness'
 *             loglikelihood_rolling with context_len 1.
 *   all       windows one after the other, all tokens but each window's first count. */
#define SCORE_CONVENTIONS(X) X(LLAMACPP, "llamacpp") X(ROLLING, "rolling") X(ALL, "all")
enum score_convention {
#define X(name, word) SCORE_##name,
    SCORE_CONVENTIONS(X)
#undef X
    N_SCORE_CONVENTION
};
const char *score_convention_name(enum score_convention c);

struct score {
    size_t n_token;              /* counted */
    double nll, nll_square;      /* sums over them, in nats */
};
/* nll / n_token, its standard error, exp of it. */
double score_mean(const struct score *s);
double score_stderr(const struct score *s);
double score_perplexity(const struct score *s);

/* begin: the token that begins a text (bos or eot), -1 for none; add_bos: whether texts of this model begin with it.
 * logits (may be NULL) is given the logits that each counted token was predicted by, [n, V], in the order of the text; an error of
 * its ends the scoring.  The head runs once more for it.
 * progress (may be NULL) is called after each step with the tokens fed so far and the running sums; a non-zero return stops
 * with what there is.  ERR_RANGE when the text is shorter than one window (llamacpp, all) or 2 tokens. */
struct score_opts {
    enum score_convention convention; int ctx; int32_t begin; bool add_bos;
    int (*logits)(void *ctx, const float *logits, int n, int V, struct err *err); void *logits_ctx;
};
/* The ids of a text for o->convention, and o->begin and o->add_bos as this tokenizer has them.  ids is empty before. */
int score_encode(const struct tok *t, const char *text, size_t n, struct score_opts *o, struct tok_ids *ids, struct err *err);
int score_tokens(struct engine *e, const int32_t *ids, size_t n, const struct score_opts *o,
                 int (*progress)(void *ctx, size_t fed, size_t all, const struct score *s), void *progress_ctx, struct score *out,
                 struct err *err);
#endif
