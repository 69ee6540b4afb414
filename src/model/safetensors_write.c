/* safetensors_write.c - writer of safetensors files: the header first, then the bytes of each tensor, hashed as they pass. */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/safetensors.h"

struct st_writer {
    struct file_writer file;
    struct sha256 hash;            /* of the tensor begun, when begun */
    bool begun, done;
    int i, n;                      /* tensor in work, number of tensors */
    uint64_t left;                 /* bytes of tensor i still to come */
    size_t header;                 /* bytes before the tensors */
    uint64_t header_hash;
    char *text;                    /* the names, each with its NUL */
    struct { const char *name; uint64_t bytes; char sha256[SHA256_HEX]; } *tensor;
};

static int check_utf8(const char *s, const char *what, struct err *err)
{
    const char *end = s + strlen(s);
    for (const char *p = s; p < end;) {
        const int n = utf8_length(p, end);
        if (!n)
            return ERR(err, USAGE, "%s '%.*s...' is not UTF-8", what, (int)(p - s > 100 ? 0 : p - s), s);
        p += n;
    }
    return 0;
}

static int add_string(struct buf *b, const char *s, struct err *err)
{
    TRY(buf_add_char(b, '"', err));
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            TRY(buf_add_char(b, '\\', err));
        if (c < 0x20)
            TRY(buf_printf(b, err, "\\u%04x", c));
        else
            TRY(buf_add_char(b, (char)c, err));
    }
    return buf_add_char(b, '"', err);
}

static int add_metadata(struct buf *b, const struct st_pair *pair, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        TRY(check_utf8(pair[i].key, "metadata key", err));
        TRY(check_utf8(pair[i].value, "metadata value", err));
        TRY(buf_add_str(b, i ? "," : "\"__metadata__\":{", err));
        TRY(add_string(b, pair[i].key, err));
        TRY(buf_add_char(b, ':', err));
        TRY(add_string(b, pair[i].value, err));
    }
    return n ? buf_add_char(b, '}', err) : 0;
}

/* Appends the entry of d at byte `at` of the data; *bytes is its size. */
static int add_decl(struct buf *b, const struct st_decl *d, uint64_t at, uint64_t *bytes, struct err *err)
{
    int64_t n = (int64_t)st_dtype_size(d->dtype);
    const int64_t align = n;
    if (!*d->name || strlen(d->name) > ST_NAME_BYTES_MAX || !strcmp(d->name, "__metadata__"))
        return ERR(err, USAGE, "tensor '%.60s': its name has %zu bytes, expected 1 to %d and not __metadata__", d->name,
                   strlen(d->name), ST_NAME_BYTES_MAX);
    TRY(check_utf8(d->name, "tensor name", err));
    if (d->rank < 0 || d->rank > ST_RANK_MAX)
        return ERR(err, USAGE, "tensor '%s': rank %d, expected 0 to %d", d->name, d->rank, ST_RANK_MAX);
    TRY(add_string(b, d->name, err));
    TRY(buf_printf(b, err, ":{\"dtype\":\"%s\",\"shape\":[", st_dtype_name(d->dtype)));
    for (int i = 0; i < d->rank; i++) {
        if (d->shape[i] < 0 || __builtin_mul_overflow(n, d->shape[i], &n) || n > INT64_MAX / 4)
            return ERR(err, USAGE, "tensor '%s': dimension %d is %lld, expected 0 or more and less than 2^61 bytes in all", d->name, i,
                       (long long)d->shape[i]);
        TRY(buf_printf(b, err, i ? ",%lld" : "%lld", (long long)d->shape[i]));
    }
    /* Readers that view the data in place need each tensor aligned to its element; the reference writer sorts for it. */
    if (at % (uint64_t)align)
        return ERR(err, USAGE, "tensor '%s': would begin at byte %llu, %s needs a multiple of %lld: give wider types first", d->name,
                   (unsigned long long)at, st_dtype_name(d->dtype), (long long)align);
    *bytes = (uint64_t)n;
    if (at + *bytes > INT64_MAX / 2)
        return ERR(err, RANGE, "tensor '%s': the file would have more than 2^62 bytes", d->name);
    return buf_printf(b, err, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)(at + *bytes));
}

static int make_header(struct st_writer *w, struct buf *b, const struct st_decl *decl, const struct st_pair *pair, int n_pair,
                       struct err *err)
{
    uint64_t at = 0;
    TRY(buf_add(b, "\0\0\0\0\0\0\0\0{", 9, err));
    TRY(add_metadata(b, pair, n_pair, err));
    for (int i = 0; i < w->n; i++) {
        if (i || n_pair)
            TRY(buf_add_char(b, ',', err));
        TRY(add_decl(b, &decl[i], at, &w->tensor[i].bytes, err));
        at += w->tensor[i].bytes;
    }
    TRY(buf_add_char(b, '}', err));
    while (b->len % 8)
        TRY(buf_add_char(b, ' ', err));
    const uint64_t n = b->len - 8;
    if (n > ST_HEADER_MAX)
        return ERR(err, RANGE, "the header would have %llu bytes, expected at most %d", (unsigned long long)n, ST_HEADER_MAX);
    memcpy(b->data, &n, sizeof n);
    return 0;
}

static int copy_names(struct st_writer *w, const struct st_decl *decl, struct err *err)
{
    size_t n = 1;
    for (int i = 0; i < w->n; i++)
        n += strlen(decl[i].name) + 1;
    char *p = w->text = mem_alloc(n);
    w->tensor = mem_alloc_array((size_t)w->n + 1, sizeof *w->tensor);
    if (!w->text || !w->tensor)
        return ERR(err, NOMEM, "no memory to write %d tensors", w->n);
    for (int i = 0; i < w->n; i++) {
        w->tensor[i].name = strcpy(p, decl[i].name);
        p += strlen(p) + 1;
    }
    return 0;
}

static int by_string(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* v is sorted; what is in it twice is an error. */
static int check_once(const char **v, int n, const char *what, struct err *err)
{
    if (n)
        qsort(v, (size_t)n, sizeof *v, by_string);
    for (int i = 1; i < n; i++)
        if (!strcmp(v[i], v[i - 1]))
            return ERR(err, USAGE, "%s '%.255s' is there twice, expected once", what, v[i]);
    return 0;
}

static int check_names(const struct st_writer *w, const struct st_pair *pair, int n_pair, struct err *err)
{
    const char **v = mem_alloc_array((size_t)w->n + (size_t)n_pair, sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "no memory to write %d tensors", w->n);
    for (int i = 0; i < w->n; i++)
        v[i] = w->tensor[i].name;
    for (int i = 0; i < n_pair; i++)
        v[w->n + i] = pair[i].key;
    int rc = check_once(v, w->n, "tensor", err);
    if (!rc)
        rc = check_once(v + w->n, n_pair, "metadata key", err);
    mem_free(v);
    return rc;
}

int st_writer_new(struct st_writer **out, const char *path, const struct st_decl *decl, int n_decl,
                  const struct st_pair *metadata, int n_metadata, struct err *err)
{
    *out = NULL;
    struct st_writer *w = mem_alloc_array(1, sizeof *w);
    if (!w)
        return ERR(err, NOMEM, "no memory to write %s", path);
    w->file.fd = -1;
    w->n = n_decl;
    struct buf b;
    buf_init(&b);
    int rc = copy_names(w, decl, err);
    if (!rc)
        rc = check_names(w, metadata, n_metadata, err);
    if (!rc)
        rc = make_header(w, &b, decl, metadata, n_metadata, err);
    if (!rc)
        rc = file_writer_open(&w->file, path, err);
    if (!rc)
        rc = file_writer_add(&w->file, b.data, b.len, err);
    w->header = b.len, w->header_hash = hash64(b.data, b.len, 0);
    buf_release(&b);
    if (rc < 0) {
        st_writer_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

static void end_tensor(struct st_writer *w)
{
    sha256_end(&w->hash, w->tensor[w->i].sha256);
    w->begun = false;
    w->i++;
}

/* Goes on to tensor i, which must come next; those before it must be complete.  Empty tensors need not be added. */
static int begin_tensor(struct st_writer *w, int i, struct err *err)
{
    while (w->i < i || !w->begun) {
        if (w->begun && w->left)
            return ERR(err, USAGE, "tensor '%s': %llu bytes were given, expected %llu", w->tensor[w->i].name,
                       (unsigned long long)(w->tensor[w->i].bytes - w->left), (unsigned long long)w->tensor[w->i].bytes);
        if (w->begun)
            end_tensor(w);
        if (w->i == w->n)
            return 0;
        TRY(sha256_init(&w->hash, err));
        w->begun = true;
        w->left = w->tensor[w->i].bytes;
    }
    return 0;
}

int st_writer_add(struct st_writer *w, int i, const void *p, size_t n, struct err *err)
{
    assert(i >= 0 && i < w->n && !w->done);
    if (i < w->i)
        return ERR(err, USAGE, "tensor '%s' was given after '%s', expected before", w->tensor[i].name,
                   w->tensor[w->i < w->n ? w->i : w->n - 1].name);
    TRY(begin_tensor(w, i, err));
    if (n > w->left)
        return ERR(err, USAGE, "tensor '%s': %llu bytes were given, expected %llu", w->tensor[i].name,
                   (unsigned long long)(w->tensor[i].bytes - w->left + n), (unsigned long long)w->tensor[i].bytes);
    TRY(file_writer_add(&w->file, p, n, err));
    sha256_add(&w->hash, p, n);
    w->left -= n;
    return 0;
}

int st_writer_commit(struct st_writer *w, struct err *err)
{
    assert(!w->done);
    TRY(begin_tensor(w, w->n, err));
    w->done = true;
    return file_writer_commit(&w->file, err);
}

static int prove_header(const struct st_writer *w, struct file_reader *r, struct err *err)
{
    char *header = mem_alloc(w->header);
    int rc = header ? file_reader_get(r, header, w->header, err) : ERR(err, NOMEM, "no memory to read %s back", w->file.path);
    if (!rc && hash64(header, w->header, 0) != w->header_hash)
        rc = ERR(err, CORRUPT, "%s: the header was read back with other bytes than were written", w->file.path);
    mem_free(header);
    return rc;
}

#define PROVE_BLOCK ((size_t)256 << 10)

static int prove_tensor(const struct st_writer *w, int i, struct file_reader *r, char *block, struct err *err)
{
    struct sha256 hash;
    char hex[SHA256_HEX];
    TRY(sha256_init(&hash, err));
    int rc = 0;
    for (uint64_t left = w->tensor[i].bytes; left && !rc;) {
        const size_t n = left < PROVE_BLOCK ? (size_t)left : PROVE_BLOCK;
        if (!(rc = file_reader_get(r, block, n, err)))
            sha256_add(&hash, block, n);
        left -= n;
    }
    sha256_end(&hash, hex);
    if (!rc && strcmp(hex, w->tensor[i].sha256))
        rc = ERR(err, CORRUPT, "%s: tensor '%s' was read back with SHA-256 %.12s..., written was %.12s...", w->file.path, w->tensor[i].name, hex, w->tensor[i].sha256);
    return rc;
}

int st_writer_prove(struct st_writer *w, struct err *err)
{
    assert(!w->done);
    TRY(begin_tensor(w, w->n, err));
    struct file_reader r;
    TRY(file_writer_read_back(&w->file, &r, err));
    int rc = prove_header(w, &r, err);
    char *block = mem_alloc(PROVE_BLOCK);
    if (!rc && !block)
        rc = ERR(err, NOMEM, "no memory to read %s back", w->file.path);
    for (int i = 0; i < w->n && !rc; i++)
        rc = prove_tensor(w, i, &r, block, err);
    mem_free(block);
    file_reader_close(&r);
    return rc;
}

const char *st_writer_sha256(const struct st_writer *w, int i)
{
    assert(w->done && i >= 0 && i < w->n);
    return w->tensor[i].sha256;
}

void st_writer_free(struct st_writer *w)
{
    if (!w)
        return;
    char unused[SHA256_HEX];
    if (w->begun)
        sha256_end(&w->hash, unused);
    if (!w->done && w->file.path)
        file_writer_abort(&w->file);
    mem_free(w->text);
    mem_free(w->tensor);
    mem_free(w);
}

uint16_t st_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
