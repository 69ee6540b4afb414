/* safetensors.c - reader of safetensors files.
 *
 * The header has its own scanner instead of a JSON tree: it may have 100 MB, of which a tree would make gigabytes, its
 * grammar has two levels and no recursion, and an error can name the tensor it is in.  Tensor names and metadata are
 * decoded into one block per file that is as large as the header: a decoded string and its NUL are always shorter than
 * the quoted form.  Rules beyond the reference implementation: a name twice, an unknown key, an empty name or one with
 * NUL are errors.  White space before the '{' is read, as there, but never written. */
#include "model/safetensors.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "cpu/quant.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian and is read in place");

#define INDEX_NAME "model.safetensors.index.json"
#define SINGLE_NAME "model.safetensors"

struct st_file {
    char *name;            /* as the user knows it: the path */
    const char *base;      /* last part of the name */
    struct file_map map;   /* empty when the bytes are the caller's */
    char *text;            /* all strings of the header, each with its NUL */
};
struct st_slot { int i; };         /* index of a tensor + 1; 0: free */

const char *st_dtype_name(enum st_dtype t)
{
    static const char *const name[N_ST_DTYPE] = {
#define X(n, size) #n,
        ST_DTYPES(X)
#undef X
    };
    return name[t];
}

size_t st_dtype_size(enum st_dtype t)
{
    static const size_t size[N_ST_DTYPE] = {
#define X(n, size) size,
        ST_DTYPES(X)
#undef X
    };
    return size[t];
}

/* ---- names: open addressing over the tensors, at most half full ---- */

/* A run this long does not come about by chance; a file made to collide must not cost quadratic time. */
#define PROBE_MAX 512

static size_t name_slot(const char *name, size_t n_slot) { return hash64(name, strlen(name), 0) & (n_slot - 1); }

/* The slot that holds name, or the free one where it belongs; -1 when the run is too long. */
static ptrdiff_t find_slot(const struct safetensors *st, const char *name)
{
    if (!st->n_slot)
        return -1;
    size_t s = name_slot(name, st->n_slot);
    for (int probe = 0; probe < PROBE_MAX; probe++, s = (s + 1) & (st->n_slot - 1))
        if (!st->slot[s].i || !strcmp(st->tensor[st->slot[s].i - 1].name, name))
            return (ptrdiff_t)s;
    return -1;
}

static int name_tensor(struct safetensors *st, int i, struct err *err)
{
    const struct st_tensor *t = &st->tensor[i];
    const char *file = st->file[t->i_file].name;
    const ptrdiff_t s = find_slot(st, t->name);
    if (s < 0)
        return ERR(err, FORMAT, "%s: tensor '%s': names that collide in the table of names", file, t->name);
    const int other = st->slot[s].i - 1;
    if (other >= 0 && st->tensor[other].i_file == t->i_file)
        return ERR(err, FORMAT, "%s: tensor '%s' is there twice, expected once", file, t->name);
    if (other >= 0)
        return ERR(err, FORMAT, "%s: tensor '%s' is also in %s, expected once", file, t->name,
                   st->file[st->tensor[other].i_file].name);
    st->slot[s].i = i + 1;
    return 0;
}

/* Enters tensors first .. n_tensor-1, after making room; amortised linear. */
static int name_tensors(struct safetensors *st, int first, struct err *err)
{
    size_t want = 16;
    while (want < 2 * (size_t)st->n_tensor)
        want *= 2;
    if (want > st->n_slot) {
        struct st_slot *slot = mem_alloc_array(want, sizeof *slot);
        if (!slot)
            return ERR(err, NOMEM, "no memory for the names of %d tensors", st->n_tensor);
        mem_free(st->slot);
        st->slot = slot, st->n_slot = want;
        first = 0;
    }
    for (int i = first; i < st->n_tensor; i++)
        TRY(name_tensor(st, i, err));
    return 0;
}

/* ---- the header's scanner ---- */

struct scan {
    const char *start, *p, *end;
    char *text;                    /* where the next decoded string goes */
    const char *file, *tensor;     /* for messages; tensor is NULL between tensors */
    struct err *err;
};

static int scan_error(const struct scan *s, const char *expected)
{
    char found[32] = "the end of the header";
    const unsigned char c = s->p < s->end ? (unsigned char)*s->p : 0;
    if (s->p < s->end)
        snprintf(found, sizeof found, c > 0x20 && c < 0x7F ? "'%c'" : "byte 0x%02x", c);
    if (s->tensor)
        return ERR(s->err, FORMAT, "%s: tensor '%.255s': found %s at byte %td of the header, expected %s", s->file, s->tensor,
                   found, s->p - s->start, expected);
    return ERR(s->err, FORMAT, "%s: found %s at byte %td of the header, expected %s", s->file, found, s->p - s->start, expected);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool accept(struct scan *s, char c)
{
    skip_space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static int expect(struct scan *s, char c, const char *what) { return accept(s, c) ? 0 : scan_error(s, what); }

/* After an element of a list or object: 1 when another follows, 0 when `close` was read. */
static int more(struct scan *s, char close)
{
    if (accept(s, ','))
        return 1;
    return accept(s, close) ? 0 : scan_error(s, close == ']' ? "',' or ']'" : "',' or '}'");
}

static int hex4(struct scan *s, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *at = s->p < s->end && *s->p ? strchr(digits, *s->p) : NULL;
        if (!at)
            return scan_error(s, "four hexadecimal digits after \\u");
        *out = *out << 4 | (unsigned)(at - digits < 16 ? at - digits : at - digits - 6);
    }
    return 0;
}

/* After "\u". */
static int scan_unicode(struct scan *s)
{
    unsigned c, low;
    TRY(hex4(s, &c));
    if (c >= 0xD800 && c < 0xDC00) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
            return scan_error(s, "the second half of a surrogate pair");
        s->p += 2;
        TRY(hex4(s, &low));
        if (low < 0xDC00 || low > 0xDFFF)
            return scan_error(s, "the second half of a surrogate pair before it");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xDC00 && c < 0xE000) {
        return scan_error(s, "no lone half of a surrogate pair before it");
    }
    if (!c)
        return scan_error(s, "no NUL (\\u0000) before it");
    const int n_more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;      /* bytes after the first */
    static const unsigned char lead[] = { 0, 0xC0, 0xE0, 0xF0 };
    *s->text++ = (char)(lead[n_more] | c >> 6 * n_more);
    for (int i = n_more - 1; i >= 0; i--)
        *s->text++ = (char)(0x80 | (c >> 6 * i & 63));
    return 0;
}

static int scan_escape(struct scan *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = s->p < s->end && *s->p ? strchr(from, *s->p) : NULL;
    if (at) {
        *s->text++ = to[at - from];
        s->p++;
        return 0;
    }
    if (s->p == s->end || *s->p != 'u')
        return scan_error(s, "an escape of JSON");
    s->p++;
    return scan_unicode(s);
}

/* *out: decoded, NUL-terminated, in the file's text.  On an error it holds what was read so far. */
static int scan_string(struct scan *s, const char **out, const char *what)
{
    *s->text = 0;
    TRY(expect(s, '"', what));
    *out = s->text;
    for (;;) {
        const int n = s->p < s->end ? utf8_length(s->p, s->end) : 0;
        *s->text = 0;
        if (s->p == s->end)
            return scan_error(s, "the end of a string");
        if (!n)
            return scan_error(s, "UTF-8");
        if ((unsigned char)*s->p < 0x20)
            return scan_error(s, "no control character in a string");
        if (*s->p == '"')
            break;
        if (*s->p == '\\') {
            s->p++;
            TRY(scan_escape(s));
            continue;
        }
        memcpy(s->text, s->p, (size_t)n);
        s->text += n, s->p += n;
    }
    s->p++;
    s->text++;
    return 0;
}

static int scan_int(struct scan *s, int64_t *out)
{
    skip_space(s);
    const char *first = s->p;
    *out = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        const int digit = *s->p - '0';
        if (*out > (INT64_MAX - digit) / 10)
            return scan_error(s, "a whole number below 2^63");
        *out = *out * 10 + digit;
    }
    if (s->p == first)
        return scan_error(s, "a whole number of 0 or more");
    if (*first == '0' && s->p - first > 1) {
        s->p = first + 1;
        return scan_error(s, "no digit after a leading 0");
    }
    return 0;
}

/* At most max numbers in brackets; *n is how many. */
static int scan_ints(struct scan *s, int64_t *v, int max, int *n, const char *what)
{
    *n = 0;
    TRY(expect(s, '[', "'['"));
    if (accept(s, ']'))
        return 0;
    for (int rc = 1; rc > 0;) {
        if (*n == max)
            return scan_error(s, what);
        TRY(scan_int(s, &v[(*n)++]));
        TRY(rc = more(s, ']'));
    }
    return 0;
}

/* ---- one tensor of the header ---- */

static int scan_dtype(struct scan *s, enum st_dtype *out)
{
    const char *word = NULL;
    char *text = s->text;
    TRY(scan_string(s, &word, "a string for dtype"));
    s->text = text;                /* not kept */
    for (int t = 0; t < N_ST_DTYPE; t++)
        if (!strcmp(word, st_dtype_name((enum st_dtype)t))) {
            *out = (enum st_dtype)t;
            return 0;
        }
#define X(name, size) " " #name
    return ERR(s->err, FORMAT, "%s: tensor '%s': dtype '%.40s', expected one of" ST_DTYPES(X), s->file, s->tensor, word);
#undef X
}

static int scan_fields(struct scan *s, struct st_tensor *t)
{
    static const char *const field[] = { "dtype", "shape", "data_offsets" };
    unsigned seen = 0;
    int64_t range[2];
    int n;
    TRY(expect(s, '{', "'{' with dtype, shape and data_offsets"));
    for (int rc = 1; rc > 0;) {
        const char *key = NULL;
        char *text = s->text;
        TRY(scan_string(s, &key, "dtype, shape or data_offsets"));
        s->text = text;
        int f = 0;
        while (f < 3 && strcmp(key, field[f]))
            f++;
        if (f == 3)
            return ERR(s->err, FORMAT, "%s: tensor '%s': unknown key '%.40s', expected dtype, shape and data_offsets", s->file,
                       s->tensor, key);
        if (seen & 1u << f)
            return ERR(s->err, FORMAT, "%s: tensor '%s': %s is there twice, expected once", s->file, s->tensor, field[f]);
        seen |= 1u << f;
        TRY(expect(s, ':', "':'"));
        if (f == 0)
            TRY(scan_dtype(s, &t->dtype));
        else if (f == 1)
            TRY(scan_ints(s, t->shape, ST_RANK_MAX, &t->rank, "no more than 8 dimensions"));
        else {
            TRY(scan_ints(s, range, 2, &n, "two data_offsets, no more"));
            if (n != 2)
                return ERR(s->err, FORMAT, "%s: tensor '%s': %d data_offsets, expected 2", s->file, s->tensor, n);
            t->begin = (uint64_t)range[0], t->end = (uint64_t)range[1];
        }
        TRY(rc = more(s, '}'));
    }
    for (int f = 0; f < 3; f++)
        if (!(seen & 1u << f))
            return ERR(s->err, FORMAT, "%s: tensor '%s': found no %s, expected dtype, shape and data_offsets", s->file, s->tensor,
                       field[f]);
    return 0;
}

/* The tensor's own arithmetic: elements, bytes, and its range inside the data. */
static int check_tensor(struct st_tensor *t, uint64_t data_size, const char *file, struct err *err)
{
    int64_t bytes = 0;
    t->n = 1;
    bool fits = true;
    for (int i = 0; i < t->rank; i++)
        fits = fits && !__builtin_mul_overflow(t->n, t->shape[i], &t->n);
    if (!fits || __builtin_mul_overflow(t->n, (int64_t)st_dtype_size(t->dtype), &bytes))
        return ERR(err, FORMAT, "%s: tensor '%s': its shape has more than 2^63 bytes", file, t->name);
    if (t->begin > t->end)
        return ERR(err, FORMAT, "%s: tensor '%s': begins at byte %llu and ends at %llu, expected begin <= end", file, t->name,
                   (unsigned long long)t->begin, (unsigned long long)t->end);
    if (t->end - t->begin != (uint64_t)bytes)
        return ERR(err, FORMAT, "%s: tensor '%s': %llu bytes, expected %llu for %lld elements of %s", file, t->name,
                   (unsigned long long)(t->end - t->begin), (unsigned long long)bytes, (long long)t->n, st_dtype_name(t->dtype));
    if (t->end > data_size)
        return ERR(err, FORMAT, "%s: tensor '%s': ends at byte %llu, but the file has %llu bytes of data", file, t->name,
                   (unsigned long long)t->end, (unsigned long long)data_size);
    return 0;
}

static int scan_metadata(struct scan *s, struct safetensors *st)
{
    s->tensor = "__metadata__";
    TRY(expect(s, '{', "'{' with strings"));
    if (accept(s, '}'))
        return 0;
    for (int rc = 1; rc > 0;) {
        if (st->n_metadata == st->cap_metadata) {
            const int cap = st->cap_metadata ? 2 * st->cap_metadata : 8;
            struct st_pair *p = mem_realloc_array(st->metadata, (size_t)cap, sizeof *p);
            if (!p)
                return ERR(s->err, NOMEM, "%s: no memory for %d entries of __metadata__", s->file, cap);
            st->metadata = p, st->cap_metadata = cap;
        }
        struct st_pair pair = { NULL, NULL };
        TRY(scan_string(s, &pair.key, "a string"));
        TRY(expect(s, ':', "':'"));
        TRY(scan_string(s, &pair.value, "a string"));
        st->metadata[st->n_metadata++] = pair;
        TRY(rc = more(s, '}'));
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct st_pair *const *)a)->key, (*(const struct st_pair *const *)b)->key);
}

static int check_metadata(const struct safetensors *st, int first, const char *file, struct err *err)
{
    const int n = st->n_metadata - first;
    if (n < 2)
        return 0;
    const struct st_pair **sorted = mem_alloc_array((size_t)n, sizeof *sorted);
    if (!sorted)
        return ERR(err, NOMEM, "%s: no memory for %d entries of __metadata__", file, n);
    for (int i = 0; i < n; i++)
        sorted[i] = &st->metadata[first + i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_key);
    int rc = 0;
    for (int i = 1; i < n && !rc; i++)
        if (!strcmp(sorted[i]->key, sorted[i - 1]->key))
            rc = ERR(err, FORMAT, "%s: tensor '__metadata__': key '%.100s' is there twice, expected once", file, sorted[i]->key);
    mem_free(sorted);
    return rc;
}

static int scan_entry(struct scan *s, struct safetensors *st, uint64_t data_size, bool *metadata_seen)
{
    const char *name = NULL;
    skip_space(s);
    if (s->p < s->end && *s->p == '"')
        s->tensor = s->text;       /* what was read of the name so far */
    TRY(scan_string(s, &name, "a tensor's name in quotes"));
    if (!*name || strlen(name) > ST_NAME_BYTES_MAX)
        return ERR(s->err, FORMAT, "%s: tensor '%.60s': its name has %zu bytes, expected 1 to %d", s->file, name, strlen(name),
                   ST_NAME_BYTES_MAX);
    TRY(expect(s, ':', "':'"));
    if (!strcmp(name, "__metadata__")) {
        if (*metadata_seen)
            return ERR(s->err, FORMAT, "%s: tensor '__metadata__' is there twice, expected once", s->file);
        *metadata_seen = true;
        return scan_metadata(s, st);
    }
    if (st->n_tensor == st->cap_tensor) {
        const int cap = st->cap_tensor ? 2 * st->cap_tensor : 64;
        struct st_tensor *t = mem_realloc_array(st->tensor, (size_t)cap, sizeof *t);
        if (!t)
            return ERR(s->err, NOMEM, "%s: no memory for %d tensors", s->file, cap);
        st->tensor = t, st->cap_tensor = cap;
    }
    struct st_tensor t = { .name = name, .i_file = st->n_file - 1 };
    TRY(scan_fields(s, &t));
    TRY(check_tensor(&t, data_size, s->file, s->err));
    st->tensor[st->n_tensor++] = t;
    return 0;
}

static int scan_header(struct scan *s, struct safetensors *st, uint64_t data_size)
{
    bool metadata_seen = false;
    TRY(expect(s, '{', "'{'"));
    if (!accept(s, '}'))
        for (int rc = 1; rc > 0;) {
            TRY(scan_entry(s, st, data_size, &metadata_seen));
            s->tensor = NULL;
            TRY(rc = more(s, '}'));
        }
    skip_space(s);
    return s->p < s->end ? scan_error(s, "nothing but white space after the last '}'") : 0;
}

/* ---- one file ---- */

static int by_begin(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Tensors first .. n_tensor-1, sorted, must follow each other from 0 to data_size. */
static int check_layout(const struct safetensors *st, int first, uint64_t data_size, const char *file, struct err *err)
{
    uint64_t at = 0;
    for (int i = first; i < st->n_tensor; i++) {
        const struct st_tensor *t = &st->tensor[i];
        if (t->begin < at)
            return ERR(err, FORMAT, "%s: tensor '%s': begins at byte %llu and overlaps '%s', which ends at %llu", file, t->name,
                       (unsigned long long)t->begin, st->tensor[i - 1].name, (unsigned long long)at);
        if (t->begin > at)
            return ERR(err, FORMAT, "%s: tensor '%s': begins at byte %llu, expected %llu: the bytes between belong to no tensor", file,
                       t->name, (unsigned long long)t->begin, (unsigned long long)at);
        at = t->end;
    }
    if (at == data_size)
        return 0;
    if (st->n_tensor == first)
        return ERR(err, FORMAT, "%s: %llu bytes after the header of a file without tensors, expected none", file,
                   (unsigned long long)data_size);
    return ERR(err, FORMAT, "%s: %llu bytes after the last tensor '%s', expected none", file, (unsigned long long)(data_size - at),
               st->tensor[st->n_tensor - 1].name);
}

static int read_file(struct safetensors *st, const char *data, size_t size, struct err *err)
{
    struct st_file *f = &st->file[st->n_file - 1];
    uint64_t n;
    if (size < sizeof n)
        return ERR(err, FORMAT, "%s: %zu bytes, expected at least 8 for the length of the header", f->name, size);
    memcpy(&n, data, sizeof n);
    if (n > ST_HEADER_MAX)
        return ERR(err, FORMAT, "%s: the header has %llu bytes, expected at most %d", f->name, (unsigned long long)n,
                   ST_HEADER_MAX);
    if (n > size - sizeof n)
        return ERR(err, FORMAT, "%s: the header has %llu bytes, but the file has %zu after its length", f->name,
                   (unsigned long long)n, size - sizeof n);
    if (!(f->text = mem_alloc(n + 1)))
        return ERR(err, NOMEM, "%s: no memory for a header of %llu bytes", f->name, (unsigned long long)n);
    const char *header = data + sizeof n, *body = header + n;
    const uint64_t body_size = size - sizeof n - n;
    struct scan s = { header, header, body, f->text, f->name, NULL, err };
    const int first = st->n_tensor, first_pair = st->n_metadata;
    TRY(scan_header(&s, st, body_size));
    TRY(check_metadata(st, first_pair, f->name, err));
    if (st->n_tensor > first)
        qsort(st->tensor + first, (size_t)(st->n_tensor - first), sizeof *st->tensor, by_begin);
    for (int i = first; i < st->n_tensor; i++)
        st->tensor[i].data = body + st->tensor[i].begin;
    TRY(name_tensors(st, first, err));
    return check_layout(st, first, body_size, f->name, err);
}

/* ---- opening ---- */

static struct safetensors *new_reader(int n_file, struct err *err)
{
    struct safetensors *st = mem_alloc_array(1, sizeof *st);
    if (st && (st->file = mem_alloc_array((size_t)n_file, sizeof *st->file)))
        return st;
    mem_free(st);
    ERR(err, NOMEM, "no memory to open a model of %d files", n_file);
    return NULL;
}

static int add_file(struct safetensors *st, const char *name, struct err *err)
{
    struct st_file *f = &st->file[st->n_file];
    if (!(f->name = mem_strdup(name)))
        return ERR(err, NOMEM, "no memory to open %s", name);
    st->n_file++;
    f->base = file_last_part(f->name);
    f->map.data = "";
    return 0;
}

static int map_file(struct safetensors *st, const char *path, struct err *err)
{
    TRY(add_file(st, path, err));
    struct st_file *f = &st->file[st->n_file - 1];
    TRY(file_map_open(&f->map, path, err));
    return read_file(st, f->map.data, f->map.size, err);
}

/* Hands st over when rc is 0. */
static int finish(struct safetensors **out, struct safetensors *st, int rc)
{
    if (rc < 0) {
        safetensors_free(st);
        return rc;
    }
    *out = st;
    return 0;
}

static int open_single(struct safetensors **out, const char *path, struct err *err)
{
    struct safetensors *st = new_reader(1, err);
    return st ? finish(out, st, map_file(st, path, err)) : ERR_NOMEM;
}

int safetensors_parse(struct safetensors **out, const void *data, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    struct safetensors *st = new_reader(1, err);
    if (!st)
        return ERR_NOMEM;
    int rc = add_file(st, name, err);
    if (!rc)
        rc = read_file(st, data, n, err);
    return finish(out, st, rc);
}

/* ---- shards ---- */

static int by_string(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* A shard lies beside its index: its name has no folder in it. */
static int check_shard_name(const json_t *v, const char *tensor, const char *index, struct err *err)
{
    const char *s = json_string_value(v);
    const size_t n = json_string_length(v), suffix = strlen(".safetensors");
    if (!s)
        return ERR(err, FORMAT, "%s: tensor '%.200s': found no string, expected the name of its file", index, tensor);
    if (strlen(s) != n || strchr(s, '/') || n <= suffix || n > 255 || strcmp(s + n - suffix, ".safetensors"))
        return ERR(err, FORMAT, "%s: tensor '%.200s': file '%.100s', expected a name that ends in .safetensors, without a folder", index,
                   tensor, s);
    return 0;
}

/* The distinct values of the map, sorted; *names is to be freed, the strings are the map's. */
static int shard_names(const json_t *map, const char *index, const char ***names, int *n, struct err *err)
{
    const size_t n_entry = json_object_size(map);
    if (!n_entry)
        return ERR(err, FORMAT, "%s: found no tensor in weight_map, expected at least one", index);
    const char **v = mem_alloc_array(n_entry, sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "%s: no memory for %zu tensors", index, n_entry);
    const char *tensor;
    json_t *file;
    size_t n_value = 0;
    int rc = 0;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, file) {
        if ((rc = check_shard_name(file, tensor, index, err)) < 0)
            break;
        v[n_value++] = json_string_value(file);
    }
    if (!rc) {
        qsort(v, n_value, sizeof *v, by_string);
        size_t kept = 1;
        for (size_t i = 1; i < n_value; i++)
            if (strcmp(v[i], v[kept - 1]))
                v[kept++] = v[i];
        if (kept > ST_FILES_MAX)
            rc = ERR(err, RANGE, "%s: %zu files, expected at most %d", index, kept, ST_FILES_MAX);
        *n = (int)kept;
    }
    if (rc < 0) {
        mem_free(v);
        return rc;
    }
    *names = v;
    return 0;
}

/* The index and the shards must tell the same: each entry is in the file it names, and no tensor is without entry. */
static int check_index(const struct safetensors *st, const json_t *map, const char *index, struct err *err)
{
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)map, name, file) {
        const struct st_tensor *t = safetensors_find(st, name);
        if (!t)
            return ERR(err, FORMAT, "%s: tensor '%.200s' is not in %s", index, name, json_string_value(file));
        if (strcmp(st->file[t->i_file].base, json_string_value(file)))
            return ERR(err, FORMAT, "%s: tensor '%s' is in %s, expected %s", index, t->name, st->file[t->i_file].base,
                       json_string_value(file));
    }
    for (int i = 0; i < st->n_tensor; i++)
        if (!json_object_get(map, st->tensor[i].name))
            return ERR(err, FORMAT, "%s: tensor '%s' of %s is not in the index", index, st->tensor[i].name,
                       st->file[st->tensor[i].i_file].base);
    return 0;
}

static int open_shards(struct safetensors *st, const char *index, const char *const *names, int n, struct err *err)
{
    const char *slash = strrchr(index, '/');
    for (int i = 0; i < n; i++) {
        char *path = mem_printf("%.*s%s", slash ? (int)(slash + 1 - index) : 0, index, names[i]);
        if (!path)
            return ERR(err, NOMEM, "no memory to open %s", names[i]);
        const int rc = map_file(st, path, err);
        mem_free(path);
        TRY(rc);
    }
    return 0;
}

/* metadata.total_size is not compared: files in use have it counted in several ways. */
static int open_index(struct safetensors **out, const char *path, struct err *err)
{
    json_t *root;
    TRY(tree_load(&root, path, ST_HEADER_MAX, err));
    const json_t *map = json_object_get(root, "weight_map");
    const char **names = NULL;
    struct safetensors *st = NULL;
    int n = 0, rc = 0;
    if (!json_is_object(map))
        rc = ERR(err, FORMAT, "%s: found no weight_map, expected an object of tensor and file names", path);
    if (!rc)
        rc = shard_names(map, path, &names, &n, err);
    if (!rc && !(st = new_reader(n, err)))
        rc = ERR_NOMEM;
    if (!rc)
        rc = open_shards(st, path, names, n, err);
    if (!rc)
        rc = check_index(st, map, path, err);
    rc = finish(out, st, rc);
    mem_free(names);
    json_decref(root);
    return rc;
}

int safetensors_open(struct safetensors **out, const char *path, struct err *err)
{
    *out = NULL;
    if (!file_is_dir(path))
        return (file_name_ends(path, ".index.json") ? open_index : open_single)(out, path, err);
    char *single = file_join(path, SINGLE_NAME), *index = file_join(path, INDEX_NAME);
    int rc;
    if (!single || !index)
        rc = ERR(err, NOMEM, "no memory to open %s", path);
    else if (file_exists(single))          /* as Hugging Face's loader: the single file wins */
        rc = open_single(out, single, err);
    else if (file_exists(index))
        rc = open_index(out, index, err);
    else
        rc = ERR(err, NOTFOUND, "%s has no weights: expected %s or %s", path, SINGLE_NAME, INDEX_NAME);
    mem_free(single);
    mem_free(index);
    return rc;
}

void safetensors_rest(const struct safetensors *st)
{
    for (int i = 0; i < st->n_file; i++)
        file_map_rest(&st->file[i].map);
}

void safetensors_free(struct safetensors *st)
{
    if (!st)
        return;
    for (int i = 0; i < st->n_file; i++) {
        file_map_close(&st->file[i].map);
        mem_free(st->file[i].name);
        mem_free(st->file[i].text);
    }
    mem_free(st->file);
    mem_free(st->tensor);
    mem_free(st->metadata);
    mem_free(st->slot);
    mem_free(st);
}

const struct st_tensor *safetensors_find(const struct safetensors *st, const char *name)
{
    const ptrdiff_t s = find_slot(st, name);
    return s >= 0 && st->slot[s].i ? &st->tensor[st->slot[s].i - 1] : NULL;
}

const char *safetensors_metadata(const struct safetensors *st, const char *key)
{
    for (int i = 0; i < st->n_metadata; i++)
        if (!strcmp(st->metadata[i].key, key))
            return st->metadata[i].value;
    return NULL;
}

const char *safetensors_file_name(const struct safetensors *st, int i_file) { return st->file[i_file].name; }

/* ---- numbers ---- */

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static int read_f64(const struct st_tensor *t, const char *p, int64_t first, int64_t n, float *out, struct err *err)
{
    for (int64_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, p + 8 * i, sizeof v);
        out[i] = (float)v;
        if (isinf(out[i]) && !isinf(v))
            return ERR(err, RANGE, "tensor '%s': element %lld is %g, expected at most 3.4e38 in magnitude", t->name,
                       (long long)(first + i), v);
    }
    return 0;
}

int st_read_f32(const struct st_tensor *t, int64_t first, int64_t n, float *out, struct err *err)
{
    assert(first >= 0 && n >= 0 && first <= t->n && n <= t->n - first);
    const char *p = (const char *)t->data + (size_t)first * st_dtype_size(t->dtype);
    uint16_t h;
    switch (t->dtype) {
    case ST_F32:
        if (n)
            memcpy(out, p, (size_t)n * sizeof *out);
        return 0;
    case ST_BF16:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&h, p + 2 * i, sizeof h);
            out[i] = from_bits((uint32_t)h << 16);
        }
        return 0;
    case ST_F16:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&h, p + 2 * i, sizeof h);
            out[i] = half_to_float(h);
        }
        return 0;
    case ST_F64:
        return read_f64(t, p, first, n, out, err);
    default:
        return ERR(err, UNSUPPORTED, "tensor '%s': dtype %s, expected F32, F16, BF16 or F64", t->name, st_dtype_name(t->dtype));
    }
}
