/* gguf_write.c - writer of GGUF files: head and metadata are gathered, then written with the first byte of a tensor. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/gguf.h"

#define ALIGN 32

struct gguf_writer {
    struct file_writer file;
    struct buf pairs, infos;
    uint64_t n_pair;
    uint64_t *bytes; int n, cap;   /* of each tensor declared */
    uint64_t offset;               /* of the next one to be declared */
    bool begun, done;
    int i;                         /* tensor in work */
    uint64_t left;                 /* its bytes still to come */
};

int gguf_writer_new(struct gguf_writer **out, const char *path, struct err *err)
{
    *out = NULL;
    struct gguf_writer *w = mem_alloc_array(1, sizeof *w);
    if (!w)
        return ERR(err, NOMEM, "no memory to write %s", path);
    buf_init(&w->pairs);
    buf_init(&w->infos);
    const int rc = file_writer_open(&w->file, path, err);
    if (rc < 0) {
        w->done = true;            /* there is no file to give up */
        gguf_writer_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    if (!w->done)
        file_writer_abort(&w->file);
    buf_release(&w->pairs);
    buf_release(&w->infos);
    mem_free(w->bytes);
    mem_free(w);
}

/* ---- metadata ---- */

static int add_string(struct buf *b, const char *p, size_t n, struct err *err)
{
    const uint64_t v = n;
    TRY(buf_add(b, &v, sizeof v, err));
    return buf_add(b, p, n, err);
}

static int begin_pair(struct gguf_writer *w, const char *key, uint32_t kind, struct err *err)
{
    if (w->begun || w->n)
        return ERR(err, USAGE, "key '%s' after the tensors, expected before", key);
    w->n_pair++;
    TRY(add_string(&w->pairs, key, strlen(key), err));
    return buf_add(&w->pairs, &kind, sizeof kind, err);
}

static int begin_array(struct gguf_writer *w, const char *key, uint32_t kind, int64_t n, struct err *err)
{
    const uint64_t v = (uint64_t)n;
    TRY(begin_pair(w, key, GGUF_ARRAY, err));
    TRY(buf_add(&w->pairs, &kind, sizeof kind, err));
    return buf_add(&w->pairs, &v, sizeof v, err);
}

int gguf_put_str(struct gguf_writer *w, const char *key, const char *value, struct err *err)
{
    TRY(begin_pair(w, key, GGUF_STR, err));
    return add_string(&w->pairs, value, strlen(value), err);
}

int gguf_put_int(struct gguf_writer *w, const char *key, enum gguf_kind kind, int64_t value, struct err *err)
{
    assert(gguf_kind_size(kind) && kind != GGUF_F32 && kind != GGUF_F64);
    TRY(begin_pair(w, key, kind, err));
    return buf_add(&w->pairs, &value, gguf_kind_size(kind), err);
}

int gguf_put_num(struct gguf_writer *w, const char *key, enum gguf_kind kind, double value, struct err *err)
{
    assert(kind == GGUF_F32 || kind == GGUF_F64);
    const float f = (float)value;
    TRY(begin_pair(w, key, kind, err));
    return kind == GGUF_F32 ? buf_add(&w->pairs, &f, sizeof f, err) : buf_add(&w->pairs, &value, sizeof value, err);
}

int gguf_put_strs(struct gguf_writer *w, const char *key, const struct gguf_str *value, int64_t n, struct err *err)
{
    TRY(begin_array(w, key, GGUF_STR, n, err));
    for (int64_t i = 0; i < n; i++)
        TRY(add_string(&w->pairs, value[i].p, value[i].n, err));
    return 0;
}

int gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_kind kind, const void *values, int64_t n, struct err *err)
{
    assert(gguf_kind_size(kind));
    TRY(begin_array(w, key, kind, n, err));
    return buf_add(&w->pairs, values, (size_t)n * gguf_kind_size(kind), err);
}

int gguf_put_pair(struct gguf_writer *w, const struct gguf_pair *p, struct err *err)
{
    if (p->is_array && p->kind != GGUF_STR)
        return gguf_put_array(w, p->key, p->kind, p->data, p->n, err);
    TRY(p->is_array ? begin_array(w, p->key, GGUF_STR, p->n, err) : begin_pair(w, p->key, p->kind, err));
    if (p->kind != GGUF_STR)
        return buf_add(&w->pairs, p->data, gguf_kind_size(p->kind), err);
    for (int64_t i = 0; i < p->n; i++) {
        const struct gguf_str s = gguf_str_at(p, i);
        TRY(add_string(&w->pairs, s.p, s.n, err));
    }
    return 0;
}

/* ---- tensors ---- */

static uint64_t padded(uint64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static int reserve_tensor(struct gguf_writer *w, struct err *err)
{
    if (w->n < w->cap)
        return 0;
    const int cap = w->cap ? 2 * w->cap : 64;
    uint64_t *p = mem_realloc_array(w->bytes, (size_t)cap, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for %d tensors", cap);
    w->bytes = p, w->cap = cap;
    return 0;
}

static int tensor_bytes(const char *name, uint32_t type, int rank, const int64_t *shape, uint64_t *out, struct err *err)
{
    int block, bytes;
    int64_t n = 1, total;
    bool fits = gguf_type_sizes(type, &block, &bytes) && rank >= 0 && rank <= GGUF_RANK_MAX;
    for (int i = 0; i < rank && fits; i++)
        fits = shape[i] > 0 && !__builtin_mul_overflow(n, shape[i], &n);
    if (!fits || (rank ? shape[rank - 1] : 1) % block || __builtin_mul_overflow(n / block, (int64_t)bytes, &total) || total > INT64_MAX / 4)
        return ERR(err, USAGE, "tensor '%s': a GGUF file cannot hold its type (%u) and shape (rank %d)", name, type, rank);
    *out = (uint64_t)total;
    return 0;
}

int gguf_declare(struct gguf_writer *w, const char *name, uint32_t type, int rank, const int64_t *shape, struct err *err)
{
    if (w->begun || !*name || strlen(name) > GGUF_NAME_MAX)
        return ERR(err, USAGE, "tensor '%.60s': declared too late, or with a name of %zu bytes, expected 1 to %d", name, strlen(name), GGUF_NAME_MAX);
    TRY(reserve_tensor(w, err));
    TRY(tensor_bytes(name, type, rank, shape, &w->bytes[w->n], err));
    const uint32_t r = (uint32_t)rank;
    TRY(add_string(&w->infos, name, strlen(name), err));
    TRY(buf_add(&w->infos, &r, sizeof r, err));
    for (int i = rank - 1; i >= 0; i--)
        TRY(buf_add(&w->infos, &shape[i], sizeof *shape, err));
    TRY(buf_add(&w->infos, &type, sizeof type, err));
    TRY(buf_add(&w->infos, &w->offset, sizeof w->offset, err));
    w->offset += padded(w->bytes[w->n++]);
    return 0;
}

static int pad(struct gguf_writer *w, struct err *err)
{
    static const char zero[ALIGN];
    return file_writer_add(&w->file, zero, (size_t)(padded(w->file.size) - w->file.size), err);
}

static int begin(struct gguf_writer *w, struct err *err)
{
    const struct { char magic[4]; uint32_t version; uint64_t n_tensor, n_pair; } head = { { 'G', 'G', 'U', 'F' }, 3, (uint64_t)w->n, w->n_pair };
    static_assert(sizeof head == 24, "as in the file");
    if (w->begun)
        return 0;
    w->begun = true;
    w->left = w->n ? w->bytes[0] : 0;
    TRY(file_writer_add(&w->file, &head, sizeof head, err));
    TRY(file_writer_add(&w->file, w->pairs.data, w->pairs.len, err));
    TRY(file_writer_add(&w->file, w->infos.data, w->infos.len, err));
    return pad(w, err);
}

int gguf_writer_add(struct gguf_writer *w, int i, const void *p, size_t n, struct err *err)
{
    TRY(begin(w, err));
    if (i == w->i + 1 && !w->left && i < w->n) {
        TRY(pad(w, err));
        w->left = w->bytes[w->i = i];
    }
    if (i != w->i || i >= w->n || n > w->left)
        return ERR(err, USAGE, "tensor %d: %zu bytes were given while tensor %d of %d lacks %llu", i, n, w->i, w->n, (unsigned long long)w->left);
    w->left -= n;
    return file_writer_add(&w->file, p, n, err);
}

int gguf_writer_commit(struct gguf_writer *w, struct err *err)
{
    TRY(begin(w, err));
    if (w->left || (w->n && w->i != w->n - 1))
        return ERR(err, USAGE, "tensor %d of %d lacks %llu bytes", w->i, w->n, (unsigned long long)w->left);
    TRY(pad(w, err));
    w->done = true;
    return file_writer_commit(&w->file, err);
}
