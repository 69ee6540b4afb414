/* pooling.h - how a model's files say that one vector is made of a text's: sentence-transformers' 1_Pooling/config.json, GGUF's
 * pooling_type. */
#ifndef MODEL_POOLING_H
#define MODEL_POOLING_H
#include "base/err.h"
#include "model/gguf.h"

/* The mean of all tokens', the first token's, or the last one's. */
#define POOL_KINDS(X) X(POOL_MEAN, "mean") X(POOL_CLS, "cls") X(POOL_LAST, "last")
#define X(name, word) name,
enum pool_kind { POOL_KINDS(X) N_POOL_KIND };
#undef X
const char *pool_kind_name(enum pool_kind k);

/* 1 when *out was set, 0 when the files say nothing (*out is left as it was).  g: the GGUF file, or NULL: path is a folder, or a
 * file with nothing beside it.  A kind that is none of these is ERR_UNSUPPORTED. */
int pooling_read(enum pool_kind *out, const char *path, const struct gguf *g, struct err *err);
int pooling_put(struct gguf_writer *w, enum pool_kind k, const char *architecture, struct err *err);
#endif
