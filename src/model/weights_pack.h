/* weights_pack.h - a model's weights from its file to where products read them, in the file's own types.
 *
 * For running a model, not for training it: matrices go from the mapped file straight into panels of their type, without a
 * float copy; the embedding table stays in the file; norms and biases become floats. */
#ifndef MODEL_WEIGHTS_PACK_H
#define MODEL_WEIGHTS_PACK_H
#include "base/pool.h"
#include "model/decoder.h"
#include "model/source.h"
#include "model/weights.h"

/* WEIGHTS_FILE: each matrix in the type it has in the file.  The others convert every matrix, rounding to nearest. */
enum weights_as { WEIGHTS_FILE, WEIGHTS_F32, WEIGHTS_BF16, WEIGHTS_F16 };

/* *out [l->n_weight], to be freed by mem_free: how each weight of the list is to be kept, for decoder_opts.types.  Checks
 * that every part is in the file with the right shape and a type we know. */
int weights_types(struct weight_type **out, const struct weights_list *l, const struct source *s, enum weights_as as, struct err *err);
/* After decoder_bind of a decoder that was recorded with these types.  Embeddings point into s, which must outlive d. */
int weights_fill(struct decoder *d, const struct weights_list *l, const struct weight_type *types, const struct source *s,
                 struct pool *pool, struct err *err);
#endif
