/* gguf_export.h - a model as a GGUF file that llama.cpp's converter might have written.
 *
 * GGUF says less than config.json: where the windows are, how gates are normalised or which GELU is meant follows from the
 * architecture.  A model that it would describe as another one is refused with what it cannot say. */
#ifndef MODEL_GGUF_EXPORT_H
#define MODEL_GGUF_EXPORT_H
#include "model/config.h"
#include "model/gguf.h"
#include "model/weights.h"

/* GGUF's word for the family of *c; NULL when there is none. */
const char *gguf_architecture(const struct config *c);
/* general.architecture and the keys of the architecture, from a valid *c. */
int gguf_export_config(const struct config *c, struct gguf_writer *w, struct err *err);

struct gguf_export {
    const struct config *config;
    enum cpu_type type;                                /* of matrices: F32, F16 or BF16; vectors and routers are F32 */
    const float *(*source)(void *ctx, int i);          /* the floats of weight i of the list (weights.h) */
    int (*more)(void *ctx, struct gguf_writer *w, struct err *err);      /* further metadata: the tokenizer's; may be NULL */
    void *ctx;
};
int gguf_export(const struct gguf_export *x, const char *path, struct err *err);
#endif
