/* slopes.h - how a loss changes with the vectors of a text's tokens: what attacks on tokens follow (eval/token_attack.h).
 *
 * The model, one that continues texts or one with a head for classes, is opened with all its weights as floats (a quantised file's, exactly)
 * and with a way back from the loss to the vectors that the embedding gives its tokens.  One thread; the pool's threads work inside calls.
 * What a text gets does not depend on the others of a call, nor on threads: to the bit. */
#ifndef INFER_SLOPES_H
#define INFER_SLOPES_H
#include "base/pool.h"
#include "model/config.h"

struct slopes;
struct slopes_opts {
    int tokens, texts;                   /* of one call at most; tokens of one text are also at most the model's positions */
    const char *rope_scaling;            /* config_stretch, or NULL */
};
/* path: as of model_open().  ERR_UNSUPPORTED where the model has no such loss, or cannot be differentiated. */
int  slopes_new(struct slopes **out, const char *path, const struct slopes_opts *o, struct pool *pool, struct err *err);
void slopes_free(struct slopes *s);
const struct config *slopes_config(const struct slopes *s);
size_t slopes_bytes(const struct slopes *s);           /* private memory, as planned */

/* Of a model that continues texts: target[i] is what is to follow ids[i], and weight[i] what its nll counts (0: not at all, less: the
 * opposite is wanted).  Of classes: the loss is weight[0] times the cross-entropy to label[n_label], whose sum is 1.  The vectors are those
 * of the embedding, times what the family multiplies them by. */
struct slopes_text {
    const int32_t *ids; int n;
    const int32_t *target;
    const float *weight, *label;
    const float *shift;                  /* [n][d_model]: added to the vectors of its tokens; NULL: nothing */
};
/* slope[tokens of all texts][d_model]: of the sum over texts of their losses, by each token's vector; nll (may be NULL): of each token, or with
 * classes logits [n][n_label].  ERR_RANGE for what is too long, for ids that do not exist. */
int  slopes_run(struct slopes *s, const struct slopes_text *t, int n, float *slope, float *out, struct err *err);
/* Of classes: the logits [n][n_label] alone; target, weight and label are not looked at. */
int  slopes_logits(struct slopes *s, const struct slopes_text *t, int n, float *logits, struct err *err);

/* gain[n][vocab_size]: how much the loss grows, to first order, where token ids[i] becomes w: (E_w - E_ids[i]) . slope[i]
 * (Ebrahimi et al., HotFlip, arXiv:1712.06751, eq. 10, for words). */
int  slopes_gains(const struct slopes *s, const int32_t *ids, int n, const float *slope, float *gain, struct err *err);
/* The cosine between the vectors of two tokens; 0 where one of them has none. */
double slopes_cosine(const struct slopes *s, int32_t a, int32_t b);
#endif
