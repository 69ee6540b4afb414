/* safetensors.h - tensors by name in a file: 8 bytes of header length, a JSON header, then the bytes of all tensors.
 *
 *   n: u64 little-endian | {"__metadata__":{"k":"v"},"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...} | data
 *
 * The reader maps the file and checks all of it before it returns: lengths against the file, JSON, types, shape products,
 * and that the tensors cover the data without overlap or hole.  What it returns is safe to read without further checks.
 * The writer streams, hashes each tensor as it passes, and gives the same bytes for the same input.
 * After opening, any number of threads may read.  Data need not be aligned: use st_read_f32() or memcpy. */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/hash.h"

/* name, bytes of an element */
#define ST_DTYPES(X) \
    X(F64, 8) X(F32, 4) X(F16, 2) X(BF16, 2) X(I64, 8) X(I32, 4) X(I16, 2) X(I8, 1) \
    X(U64, 8) X(U32, 4) X(U16, 2) X(U8, 1) X(BOOL, 1) X(F8_E4M3, 1) X(F8_E5M2, 1) \
    X(F8_E4M3FNUZ, 1) X(F8_E5M2FNUZ, 1) X(F8_E8M0, 1)
enum st_dtype {
#define X(name, size) ST_##name,
    ST_DTYPES(X)
#undef X
    N_ST_DTYPE
};
const char *st_dtype_name(enum st_dtype t);
size_t st_dtype_size(enum st_dtype t);

#define ST_HEADER_MAX 100000000    /* bytes, as in the format's reference implementation */
#define ST_RANK_MAX 8
#define ST_NAME_BYTES_MAX 255
#define ST_FILES_MAX 4096          /* shards of one model */

struct st_tensor {
    const char *name;              /* UTF-8, not empty */
    enum st_dtype dtype;
    int rank, i_file;
    int64_t shape[ST_RANK_MAX];
    int64_t n;                     /* elements: the product of shape, 1 for rank 0 */
    uint64_t begin, end;           /* bytes, from the start of its file's data */
    const void *data;              /* end - begin bytes, perhaps not aligned */
};
struct st_pair { const char *key, *value; };
struct st_file;
struct st_slot;

struct safetensors {
    struct st_tensor *tensor; int n_tensor;      /* file by file, in order of their data */
    struct st_pair *metadata; int n_metadata;    /* of all files, in the order they stand there */
    struct st_file *file; int n_file;
    struct st_slot *slot; size_t n_slot;
    int cap_tensor, cap_metadata;
};

/* path: a file, an index (model.safetensors.index.json), or a folder that has model.safetensors or that index. */
int safetensors_open(struct safetensors **out, const char *path, struct err *err);
/* One file that lies in memory; data stays the caller's and must outlive *out.  name leads the messages. */
int safetensors_parse(struct safetensors **out, const void *data, size_t n, const char *name, struct err *err);
void safetensors_free(struct safetensors *st);
void safetensors_rest(const struct safetensors *st);             /* file_map_rest of its files */
const struct st_tensor *safetensors_find(const struct safetensors *st, const char *name);      /* NULL when absent */
const char *safetensors_metadata(const struct safetensors *st, const char *key);               /* NULL when absent */
const char *safetensors_file_name(const struct safetensors *st, int i_file);

/* out[0..n-1] = elements first .. first+n-1 of a tensor of type F32, F16, BF16 or F64; other types are ERR_UNSUPPORTED,
 * and an F64 value beyond float is ERR_RANGE. */
int st_read_f32(const struct st_tensor *t, int64_t first, int64_t n, float *out, struct err *err);

/* ---- writing: declare all tensors, then add their bytes in the order declared ---- */
struct st_decl { const char *name; enum st_dtype dtype; int rank; int64_t shape[ST_RANK_MAX]; };
struct st_writer;

/* Nothing given here is kept.  The file appears under its name at commit. */
int st_writer_new(struct st_writer **out, const char *path, const struct st_decl *decl, int n_decl,
                  const struct st_pair *metadata, int n_metadata, struct err *err);
/* The next n bytes of tensor i: the one begun last, or the one after it when that is complete. */
int st_writer_add(struct st_writer *w, int i, const void *p, size_t n, struct err *err);
int st_writer_commit(struct st_writer *w, struct err *err);
/* Before the commit, when all tensors are added: reads the file back and compares its header and the SHA-256 of each tensor with what
 * was given.  ERR_CORRUPT names the tensor that the disk did not keep. */
int st_writer_prove(struct st_writer *w, struct err *err);
/* After commit: of the bytes of tensor i. */
const char *st_writer_sha256(const struct st_writer *w, int i);
void st_writer_free(struct st_writer *w);        /* without commit nothing is left behind */

/* The upper half of a float, rounded to nearest, ties to even; NaN stays NaN. */
uint16_t st_bf16(float f);
#endif
