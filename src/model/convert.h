/* convert.h - a model file written anew in other types: quantised, or back to floats.
 *
 * The tensors stream through: two pieces of at most CONVERT_PIECE elements are in memory, and the pool's threads share
 * each.  The bytes written do not depend on the number of threads.  A weight that is not finite is an error that names
 * its tensor, and so is one that would not be finite in the new type.  The new file appears when it is complete. */
#ifndef MODEL_CONVERT_H
#define MODEL_CONVERT_H
#include "base/pool.h"
#include "model/mix.h"
#include "model/safetensors.h"
#include "model/source.h"

#define CONVERT_PIECE (4 << 20)

/* What became of one tensor. */
struct gguf_writer;
struct convert_row {
    const char *name;
    const struct source_tensor *tensor;
    enum cpu_type to;
    bool fell_back;
    size_t bytes;
    double error;                  /* relative: root of the sum of squares of the errors over that of the weights */
};
struct convert {
    const struct mix *mix;         /* NULL (GGUF): every tensor as it is */
    bool pure;
    struct pool *pool;
    /* Weights of the error for the columns of a matrix: [columns], or NULL when there are none; e: the expert.  May be NULL. */
    const float *(*importance)(void *ctx, const char *name, int64_t e, int64_t columns);
    /* Tensors whose numbers are changed, and row `row` (in the file's order) of such a one before it is rounded.  May be NULL. */
    bool (*changes)(void *ctx, const char *name);
    void (*change)(void *ctx, const char *name, int64_t row, int64_t columns, float *x);
    void (*report)(void *ctx, const struct convert_row *row);      /* may be NULL */
    int (*more)(void *ctx, struct gguf_writer *w, struct err *err);        /* further metadata; may be NULL */
    void *ctx;
};
/* Keys that say how good a quantised file is; those of the source are not taken over. */
#define QUALITY_KEYS "lathe.quality."
/* From a GGUF source: all its metadata but those of shards and QUALITY_KEYS, with the new general.file_type.  path may be the
 * source's own. */
int convert_gguf(const struct source *s, const char *path, const struct convert *c, struct err *err);
/* From a safetensors source, to F32, F16 or BF16: tensors of integers, and constants that models compute themselves, stay.  The widest
 * types come first, else tensors are in the order of the source. */
int convert_safetensors(const struct source *s, const char *path, const struct convert *c, struct err *err);
#endif
