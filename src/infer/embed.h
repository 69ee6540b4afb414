/* embed.h - a loaded model that turns texts into vectors: an encoder, or a decoder's last hidden states.
 *
 * An embedder belongs to one thread; the pool's threads work inside its calls.  A text's vector depends on nothing but the text. */
#ifndef INFER_EMBED_H
#define INFER_EMBED_H
#include "base/buf.h"
#include "base/pool.h"
#include "model/model.h"
#include "model/pooling.h"
#include "model/tok.h"
#include "model/weights_pack.h"

struct embedder;
struct embed_opts {
    int ctx;                     /* tokens of a text at most (0: the model's positions) */
    bool no_tok;                 /* do without a tokenizer: embedder_tok() is NULL */
    const char *rope_scaling;    /* config_stretch, or NULL */
    struct buf *warnings;        /* as of engine_opts */
    enum weights_as as;
};

/* path: as of model_open.  What sentence-transformers' files beside the model say about pooling and length of the vector is
 * read (modules.json, 1_Pooling/config.json), and GGUF's pooling_type; a further layer there that is not implemented is an error. */
int embedder_new(struct embedder **out, const char *path, const struct embed_opts *o, struct pool *pool, struct err *err);
void embedder_free(struct embedder *e);
/* The private memory that embedder_new would take: the same plan, no weight read. */
int embedder_plan_bytes(size_t *bytes, const char *path, const struct embed_opts *o, int n_thread, struct err *err);
const struct config *embedder_config(const struct embedder *e);
const struct tok *embedder_tok(const struct embedder *e);
size_t embedder_weight_bytes(const struct embedder *e);
int embedder_ctx(const struct embedder *e);          /* tokens of a text at most */
/* As the files say; where they do not: the mean for encoders, the last token for decoders, and of length 1. */
enum pool_kind embedder_pooling(const struct embedder *e);
bool embedder_normalizes(const struct embedder *e);

/* What is made of a text's last hidden states, for whoever has them (an engine that serves): what the files say, as above; and the
 * vector, from sum[C], which is zeroed before the first of the n tokens, then given each of them in order. */
int embed_read(enum pool_kind *pooling, bool *normalizes, const char *path, const struct model *m, struct err *err);
void embed_add(double *sum, const float *x, int C, int position, enum pool_kind pooling);
/* out[n_out]: the first n_out <= C numbers, of length 1 if `normalize`. */
int embed_end(const double *sum, int n, enum pool_kind pooling, bool normalize, float *out, int n_out, struct err *err);

/* sum[d_model]: what embed_end() makes the vector of a text of. */
int embedder_sum(struct embedder *e, const int32_t *ids, int n, enum pool_kind pooling, double *sum, struct err *err);
/* out[d_model]: the vector of a text of n tokens; of length 1 if `normalize`. */
int embedder_run(struct embedder *e, const int32_t *ids, int n, enum pool_kind pooling, bool normalize, float *out, struct err *err);
#endif
