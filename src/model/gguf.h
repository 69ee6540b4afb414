/* gguf.h - llama.cpp's file of one model: typed metadata by key, then tensors by name.
 *
 *   "GGUF" | u32 version 2 or 3 | u64 n_tensor | u64 n_pair
 *   pairs:   string key | u32 kind | value            string: u64 n, n bytes; array: u32 kind, u64 n, n values
 *   tensors: string name | u32 rank | u64 dims[rank], the first contiguous | u32 type | u64 offset
 *   padding to general.alignment (32 unless said) | data, each tensor at its offset, which is a multiple of the alignment
 *
 * The reader maps the file and checks all of it before it returns: counts and lengths against the bytes that are left, kinds,
 * types, shapes, names and keys that are there twice, and that each tensor lies inside the file and overlaps no other.  What
 * it hands out is safe to read without further checks.  Its memory is at most GGUF_MEMORY_FACTOR times the file's size plus
 * GGUF_MEMORY_BASE.  All pointers are borrowed until gguf_free().  After opening, any number of threads may read.
 * Format: ggml's docs/gguf.md; limits beyond it are those below. */
#ifndef MODEL_GGUF_H
#define MODEL_GGUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "model/source.h"

#define GGUF_STRING_MAX (16 << 20)       /* bytes of a string */
#define GGUF_ARRAY_MAX (64 << 20)        /* elements of an array */
#define GGUF_KEY_MAX 65535               /* bytes */
#define GGUF_NAME_MAX 255
#define GGUF_RANK_MAX 4
#define GGUF_SHARDS_MAX 4096
#define GGUF_MEMORY_FACTOR 16
#define GGUF_MEMORY_BASE (1 << 20)

/* kind, bytes in the file (0: varies), in the order of their numbers */
#define GGUF_KINDS(X)                                                                                            \
    X(U8, "u8", 1) X(I8, "i8", 1) X(U16, "u16", 2) X(I16, "i16", 2) X(U32, "u32", 4) X(I32, "i32", 4)            \
    X(F32, "f32", 4) X(BOOL, "bool", 1) X(STR, "string", 0) X(ARRAY, "array", 0) X(U64, "u64", 8) X(I64, "i64", 8) \
    X(F64, "f64", 8)
enum gguf_kind {
#define X(name, word, size) GGUF_##name,
    GGUF_KINDS(X)
#undef X
    N_GGUF_KIND
};
const char *gguf_kind_name(enum gguf_kind k);

/* A value, or the elements of an array. */
struct gguf_pair {
    const char *key;               /* UTF-8, not empty */
    enum gguf_kind kind;           /* of the value or of each element; never GGUF_ARRAY */
    bool is_array;
    int64_t n;                     /* elements; 1 for a value */
    const void *data;              /* numbers as the file has them, perhaps not aligned; a string's bytes with a NUL after them */
    size_t n_byte;                 /* of a string value */
    const char *const *at;         /* strings of an array: where in the file each lies, its length first */
};
struct gguf;
struct gguf_str { const char *p; size_t n; };      /* not NUL-terminated, perhaps not UTF-8 */

/* path: a file, or the first of its shards (NAME-00001-of-0000N.gguf). */
int gguf_open(struct gguf **out, const char *path, struct err *err);
/* One file that lies in memory; data stays the caller's and must outlive *out.  name leads the messages. */
int gguf_parse(struct gguf **out, const void *data, size_t n, const char *name, struct err *err);
void gguf_free(struct gguf *g);
void gguf_rest(const struct gguf *g);                                /* file_map_rest of its files */
int gguf_version(const struct gguf *g);
int gguf_n_file(const struct gguf *g);
const char *gguf_file_name(const struct gguf *g, int i);

int gguf_n_tensor(const struct gguf *g);
const struct source_tensor *gguf_tensor(const struct gguf *g, int i);                    /* in the order of the file */
const struct source_tensor *gguf_find_tensor(const struct gguf *g, const char *name);    /* NULL when absent */
/* ggml's word for the tensor's type, also for types that are not ours ("iq2_xxs"). */
const char *gguf_type_name(const struct gguf *g, const struct source_tensor *t);

/* ---- metadata (of the first shard) ---- */
int gguf_n_pair(const struct gguf *g);
const struct gguf_pair *gguf_pair(const struct gguf *g, int i);                          /* in the order of the file */
const struct gguf_pair *gguf_find(const struct gguf *g, const char *key);                /* NULL when absent */
/* The value under key: 1 when *out was set, 0 when the key is absent (*out is left as it was), or a negative code when it
 * has another kind or lies outside what is asked for.  An integer of any width is read as int, any number as num. */
int gguf_get_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out, struct err *err);
int gguf_get_num(const struct gguf *g, const char *key, double *out, struct err *err);
int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *err);
int gguf_get_str(const struct gguf *g, const char *key, const char **out, struct err *err);      /* no NUL inside */
/* An array whose elements are strings, integers (bools too), or numbers; read them with the functions below. */
int gguf_get_strs(const struct gguf *g, const char *key, const struct gguf_pair **out, struct err *err);
int gguf_get_ints(const struct gguf *g, const char *key, const struct gguf_pair **out, struct err *err);
int gguf_get_nums(const struct gguf *g, const char *key, const struct gguf_pair **out, struct err *err);
/* Element i < n, in constant time; a value that is no array is its own element 0.  U64 above 2^63-1 is read as 2^63-1. */
struct gguf_str gguf_str_at(const struct gguf_pair *p, int64_t i);
int64_t gguf_int_at(const struct gguf_pair *p, int64_t i);
double gguf_num_at(const struct gguf_pair *p, int64_t i);

/* ---- writing: all metadata, then all tensors declared, then their bytes in that order ----
 * The file appears under its name at commit; it is version 3, aligned to 32, and the same for the same input.  A call out of
 * order, or wrong counts of bytes, are ERR_USAGE. */
struct gguf_writer;
int gguf_writer_new(struct gguf_writer **out, const char *path, struct err *err);
int gguf_put_str(struct gguf_writer *w, const char *key, const char *value, struct err *err);
int gguf_put_int(struct gguf_writer *w, const char *key, enum gguf_kind kind, int64_t value, struct err *err);      /* bools too */
int gguf_put_num(struct gguf_writer *w, const char *key, enum gguf_kind kind, double value, struct err *err);       /* F32, F64 */
int gguf_put_strs(struct gguf_writer *w, const char *key, const struct gguf_str *value, int64_t n, struct err *err);
/* An array of numbers as the file has them: n of kind, one after the other. */
int gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_kind kind, const void *values, int64_t n, struct err *err);
int gguf_put_pair(struct gguf_writer *w, const struct gguf_pair *p, struct err *err);      /* as another file has it */
/* type: ggml's id, any that the reader knows; shape as in struct source_tensor. */
int gguf_declare(struct gguf_writer *w, const char *name, uint32_t type, int rank, const int64_t *shape, struct err *err);
/* The next n bytes of tensor i: the one begun last, or the one after it when that is complete. */
int gguf_writer_add(struct gguf_writer *w, int i, const void *p, size_t n, struct err *err);
int gguf_writer_commit(struct gguf_writer *w, struct err *err);
void gguf_writer_free(struct gguf_writer *w);      /* without commit nothing is left behind */
/* Elements of a block and its bytes, of any type of ggml's that may stand in a file; false when there is no such type. */
bool gguf_type_sizes(uint32_t type, int *block, int *bytes);
uint32_t gguf_type_id(const struct gguf *g, const struct source_tensor *t);
size_t gguf_kind_size(enum gguf_kind k);           /* bytes of a number; 0 for strings and arrays */
#endif
