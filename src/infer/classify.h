/* classify.h - a loaded model with a head for classes: probabilities of an image or a text.
 *
 * The weights are kept as floats and multiplied as training does it, so a classifier's answer is that of the trainer's evaluation
 * to the bit.  A classifier belongs to one thread; the pool's threads work inside its calls. */
#ifndef INFER_CLASSIFY_H
#define INFER_CLASSIFY_H
#include "base/buf.h"
#include "base/pool.h"
#include "model/config.h"
#include "model/labels.h"

struct classifier;
#define CLASSIFY_CTX 1024
struct classify_opts {
    bool bf16;                   /* operands of products */
    int ctx;                     /* tokens of a text at most; 0: the model's positions, up to CLASSIFY_CTX */
    bool no_tok;                 /* do without a tokenizer, for classifier_plan_bytes */
    bool slopes;                 /* classifier_slopes() is wanted: memory for the way back.  Answers are the same */
    bool features;               /* classifier_features() is wanted; not with bf16 */
    struct buf *warnings;        /* as of config_load, or NULL: to the log */
};

/* path: a model folder.  ERR_UNSUPPORTED where the model has no head for classes. */
int classifier_new(struct classifier **out, const char *path, const struct classify_opts *o, struct pool *pool, struct err *err);
void classifier_free(struct classifier *c);
/* The private memory that classifier_new would take: the same plan, no weight read. */
int classifier_plan_bytes(size_t *bytes, const char *path, const struct classify_opts *o, int n_thread, struct err *err);
const struct config *classifier_config(const struct classifier *c);
size_t classifier_weight_bytes(const struct classifier *c);
int classifier_ctx(const struct classifier *c);      /* tokens of a text at most */
const struct labels *classifier_labels(const struct classifier *c);
/* A text, as plain text.  ERR_RANGE where it has more tokens than the classifier was opened for */
int classifier_text(struct classifier *c, const char *text, size_t n, float *probs, struct err *err);
int classifier_text_logits(struct classifier *c, const char *text, size_t n, float *logits, struct err *err);      /* the same before softmax */
int classifier_n_token(const struct classifier *c);      /* of the last text */

/* What the head for classes read of the last call's images or text: x[n][classifier_n_feature()], of which it made logits = w x + bias.
 * Of a classifier that was opened for it. */
void classifier_features(const struct classifier *c, int n, float *x);
int classifier_n_feature(const struct classifier *c);
/* w[n_label][n_feature]; *bias[n_label], NULL where it has none.  The classifier's. */
const float *classifier_head(struct classifier *c, const float **bias);

#define CLASSIFY_BATCH 8        /* images at a time */
/* pixels: n images [channels][size][size] of the model's sizes, n <= CLASSIFY_BATCH.  probs: [n][n_label]; what an image gets does not
 * depend on the others. */
void classifier_images(struct classifier *c, const uint8_t *pixels, int n, float *probs);
/* The same of images whose numbers are x = byte / 255, not only whole bytes: logits [n][n_label]. */
void classifier_logits(struct classifier *c, const float *x, int n, float *logits);
/* slope: by each number of x, of the sum over classes of target * -log(probability); target [n][n_label], of which those of an image
 * add up to more than 0 (else its slope is 0).  logits may be NULL. */
void classifier_slopes(struct classifier *c, const float *x, const float *target, int n, float *slope, float *logits);
#endif
