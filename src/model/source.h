/* source.h - a model's tensors as some file holds them: one view of safetensors and GGUF.
 *
 * A source maps its files and checks them before it returns; what it hands out is safe to read.  After opening, any number
 * of threads may read.  Rows of a tensor are its last dimension: shape is row-major (the reverse of GGUF's order), so a
 * weight [N,K] has shape {N,K} here whatever file it came from. */
#ifndef MODEL_SOURCE_H
#define MODEL_SOURCE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "cpu/quant.h"

#define SOURCE_RANK_MAX 8
enum source_kind { SOURCE_SAFETENSORS, SOURCE_GGUF };
struct source_tensor {
    const char *name;
    enum cpu_type type;            /* N_CPU_TYPE for types that are no weights (I32, I64, ...) */
    int rank;
    int64_t shape[SOURCE_RANK_MAX];
    int64_t n;                     /* elements */
    const void *data; size_t bytes;     /* perhaps not aligned; NULL when it must be read by source_read (composite) */
};
struct gguf;                       /* model/gguf.h */
struct safetensors;
struct source;

/* path: a .gguf file (or the first of its shards), a .safetensors file, an index, or a folder with one of them. */
int source_open(struct source **out, const char *path, struct err *err);
void source_free(struct source *s);
void source_rest(const struct source *s);                            /* file_map_rest of its files */
enum source_kind source_kind(const struct source *s);
const struct gguf *source_gguf(const struct source *s);              /* NULL unless GGUF */
const struct safetensors *source_safetensors(const struct source *s);/* NULL unless safetensors */
int source_count(const struct source *s);
const struct source_tensor *source_at(const struct source *s, int i);
const struct source_tensor *source_find(const struct source *s, const char *name);   /* NULL when absent */
/* Rows first .. first+n-1 of a tensor seen as [n / last dimension, last dimension], as blocks of t->type, also of a composite
 * one: GPTQ, AWQ and packed integers are presented as "x.weight" of type Q4_G (F16 where groups are not 32 in a row), scaled
 * fp8 and its fnuz forms as BF16, gpt-oss's x_blocks and x_scales as "x" of type MXFP4 (composite.h). */
int source_read_rows(const struct source *s, const struct source_tensor *t, int64_t first, int64_t n, void *out, struct err *err);
#endif
