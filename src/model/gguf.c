/* gguf.c - reader of GGUF files.
 *
 * One pass over a bounded cursor: nothing is allocated before the bytes that must back it are known to be there, so memory
 * stays within a constant times the file.  Keys, names and string values are copied, each with a NUL, into blocks of text;
 * arrays stay in the file, those of strings with one pointer for each element.  Each shard is a reader of its own; the first
 * then lists the tensors of all. */
#include "model/gguf.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian and is read in place");

#define PAIR_BYTES_MIN 14          /* a key of one byte and a value of one */
#define TENSOR_BYTES_MIN 25        /* a name of one byte and no dimension */
#define TEXT_BLOCK 65536

struct text { struct text *next; size_t used, size; char data[]; };

struct gguf {
    char *name;                    /* as the user knows it: the path */
    struct file_map map;           /* empty when the bytes are the caller's */
    int version;
    struct gguf_pair *pair; int n_pair;
    struct source_tensor *tensor; int n_tensor;
    uint32_t *type;                /* ggml's id of each tensor */
    const struct gguf_pair **by_key;
    const struct source_tensor **by_name;
    struct text *text;
    struct gguf **shard; int n_shard;      /* the other files */
};

/* ---- types ---- */

/* What may stand in a file but is none of our weights. */
static const struct other_type { uint32_t id; const char *name; int block, bytes; } other_type[] = {
    { 16, "iq2_xxs", 256, 66 }, { 17, "iq2_xs", 256, 74 }, { 18, "iq3_xxs", 256, 98 },
    { 19, "iq1_s", 256, 50 }, { 21, "iq3_s", 256, 110 }, { 22, "iq2_s", 256, 82 }, { 23, "iq4_xs", 256, 136 }, { 24, "i8", 1, 1 },
    { 25, "i16", 1, 2 }, { 26, "i32", 1, 4 }, { 27, "i64", 1, 8 }, { 28, "f64", 1, 8 }, { 29, "iq1_m", 256, 56 }, { 34, "tq1_0", 256, 54 },
    { 35, "tq2_0", 256, 66 }, { 40, "nvfp4", 64, 36 }, { 41, "q1_0", 128, 18 },
};

static const struct other_type *find_other(uint32_t id)
{
    for (size_t i = 0; i < sizeof other_type / sizeof *other_type; i++)
        if (other_type[i].id == id)
            return &other_type[i];
    return NULL;
}

bool gguf_type_sizes(uint32_t id, int *block, int *bytes)
{
    const enum cpu_type t = type_of_ggml(id);
    const struct other_type *o = find_other(id);
    if (t == N_CPU_TYPE && !o)
        return false;
    *block = o ? o->block : type_block(t);
    *bytes = o ? o->bytes : (int)type_block_bytes(t);
    return true;
}

const char *gguf_kind_name(enum gguf_kind k)
{
    static const char *const name[N_GGUF_KIND] = {
#define X(n, word, size) word,
        GGUF_KINDS(X)
#undef X
    };
    return name[k];
}

size_t gguf_kind_size(enum gguf_kind k)
{
    static const size_t bytes[N_GGUF_KIND] = {
#define X(n, word, size) size,
        GGUF_KINDS(X)
#undef X
    };
    return bytes[k];
}

/* ---- the cursor ---- */

struct cursor { const char *start, *p, *end; const char *file; struct err *err; };

static uint64_t left(const struct cursor *c) { return (uint64_t)(c->end - c->p); }

static int take(struct cursor *c, void *out, size_t n, const char *what)
{
    if (left(c) < n)
        return ERR(c->err, FORMAT, "%s: found the end of the file at byte %td, expected %zu bytes of %s", c->file, c->p - c->start, n, what);
    memcpy(out, c->p, n);
    c->p += n;
    return 0;
}

/* The length of a string, whose bytes are then known to be there. */
static int take_length(struct cursor *c, size_t max, size_t *n, const char *what)
{
    uint64_t v;
    TRY(take(c, &v, sizeof v, what));
    if (v > max)
        return ERR(c->err, FORMAT, "%s: %s at byte %td has %llu bytes, expected at most %zu", c->file, what, c->p - c->start - 8,
                   (unsigned long long)v, max);
    if (v > left(c))
        return ERR(c->err, FORMAT, "%s: %s at byte %td has %llu bytes, but the file has %llu left", c->file, what, c->p - c->start - 8,
                   (unsigned long long)v, (unsigned long long)left(c));
    *n = (size_t)v;
    return 0;
}

/* A copy with a NUL, in the reader's text. */
static int keep(struct gguf *g, const char *p, size_t n, const char **out, struct err *err)
{
    if (!g->text || g->text->size - g->text->used <= n) {
        const size_t size = n < TEXT_BLOCK / 4 ? TEXT_BLOCK : n + 1;
        struct text *t = mem_alloc(sizeof *t + size);
        if (!t)
            return ERR(err, NOMEM, "%s: no memory for a string of %zu bytes", g->name, n);
        *t = (struct text){ g->text, 0, size };
        g->text = t;
    }
    char *s = g->text->data + g->text->used;
    memcpy(s, p, n);
    s[n] = 0;
    g->text->used += n + 1;
    *out = s;
    return 0;
}

/* A key or a tensor's name: text that may go into a message. */
static int take_name(struct gguf *g, struct cursor *c, size_t max, const char **out, const char *what)
{
    size_t n;
    TRY(take_length(c, max, &n, what));
    if (!n)
        return ERR(c->err, FORMAT, "%s: %s at byte %td is empty", c->file, what, c->p - c->start - 8);
    for (const char *p = c->p, *end = c->p + n; p < end;) {
        const int k = utf8_length(p, end);
        if (!k || (unsigned char)*p < 0x20 || *p == 0x7F)
            return ERR(c->err, FORMAT, "%s: %s at byte %td holds byte 0x%02x, expected UTF-8 without control characters", c->file, what,
                       c->p - c->start - 8, (unsigned char)*p);
        p += k;
    }
    TRY(keep(g, c->p, n, out, c->err));
    c->p += n;
    return 0;
}

/* ---- metadata ---- */

static int check_bools(const struct cursor *c, const char *key, const unsigned char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return ERR(c->err, FORMAT, "%s: '%s': found %d for a bool, expected 0 or 1", c->file, key, p[i]);
    return 0;
}

static int take_strings(struct gguf *g, struct cursor *c, struct gguf_pair *pair)
{
    const char **at = mem_alloc_array((size_t)pair->n, sizeof *at);
    if (!at)
        return ERR(c->err, NOMEM, "%s: '%s': no memory for %lld strings", g->name, pair->key, (long long)pair->n);
    pair->at = at;
    for (int64_t i = 0; i < pair->n; i++) {
        size_t n;
        at[i] = c->p;
        TRY(take_length(c, GGUF_STRING_MAX, &n, "a string of an array"));
        c->p += n;
    }
    return 0;
}

static int take_array(struct gguf *g, struct cursor *c, struct gguf_pair *pair)
{
    uint32_t kind;
    uint64_t n;
    TRY(take(c, &kind, sizeof kind, "an array's kind"));
    if (kind >= N_GGUF_KIND || kind == GGUF_ARRAY)
        return ERR(c->err, FORMAT, "%s: '%s': an array of kind %u, expected 0 to %d and no array of arrays", c->file, pair->key, kind, N_GGUF_KIND - 1);
    TRY(take(c, &n, sizeof n, "an array's length"));
    pair->kind = (enum gguf_kind)kind;
    pair->is_array = true;
    const size_t size = kind == GGUF_STR ? 8 : gguf_kind_size(pair->kind);      /* at least */
    if (n > GGUF_ARRAY_MAX)
        return ERR(c->err, FORMAT, "%s: '%s': an array of %llu elements, expected at most %d", c->file, pair->key, (unsigned long long)n, GGUF_ARRAY_MAX);
    if (n > left(c) / size)
        return ERR(c->err, FORMAT, "%s: '%s': an array of %llu elements of %s, but the file has %llu bytes left", c->file, pair->key,
                   (unsigned long long)n, gguf_kind_name(pair->kind), (unsigned long long)left(c));
    pair->n = (int64_t)n;
    pair->data = c->p;
    if (kind == GGUF_STR)
        return take_strings(g, c, pair);
    if (kind == GGUF_BOOL)
        TRY(check_bools(c, pair->key, (const unsigned char *)c->p, pair->n));
    c->p += size * n;
    return 0;
}

static int take_pair(struct gguf *g, struct cursor *c, struct gguf_pair *pair)
{
    uint32_t kind;
    const char *text;
    TRY(take_name(g, c, GGUF_KEY_MAX, &pair->key, "a key"));
    TRY(take(c, &kind, sizeof kind, "a value's kind"));
    if (kind >= N_GGUF_KIND)
        return ERR(c->err, FORMAT, "%s: '%s': a value of kind %u, expected 0 to %d", c->file, pair->key, kind, N_GGUF_KIND - 1);
    if (kind == GGUF_ARRAY)
        return take_array(g, c, pair);
    pair->kind = (enum gguf_kind)kind;
    pair->n = 1;
    if (kind == GGUF_STR) {
        TRY(take_length(c, GGUF_STRING_MAX, &pair->n_byte, "a string"));
        TRY(keep(g, c->p, pair->n_byte, &text, c->err));
        pair->data = text;
        c->p += pair->n_byte;
        return 0;
    }
    const size_t size = gguf_kind_size(pair->kind);
    if (left(c) < size)
        return ERR(c->err, FORMAT, "%s: '%s': found the end of the file, expected a value of %s", c->file, pair->key, gguf_kind_name(pair->kind));
    pair->data = c->p;
    c->p += size;
    return kind == GGUF_BOOL ? check_bools(c, pair->key, pair->data, 1) : 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct gguf_pair *const *)a)->key, (*(const struct gguf_pair *const *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct source_tensor *const *)a)->name, (*(const struct source_tensor *const *)b)->name);
}

static int index_pairs(struct gguf *g, struct err *err)
{
    const struct gguf_pair **order = mem_alloc_array((size_t)g->n_pair, sizeof *order);
    if (!order)
        return ERR(err, NOMEM, "%s: no memory for %d keys", g->name, g->n_pair);
    g->by_key = order;
    for (int i = 0; i < g->n_pair; i++)
        order[i] = &g->pair[i];
    qsort(order, (size_t)g->n_pair, sizeof *order, by_key);
    for (int i = 1; i < g->n_pair; i++)
        if (!strcmp(order[i]->key, order[i - 1]->key))
            return ERR(err, FORMAT, "%s: key '%.255s' is there twice, expected once", g->name, order[i]->key);
    return 0;
}

static int take_pairs(struct gguf *g, struct cursor *c, uint64_t n)
{
    if (n > left(c) / PAIR_BYTES_MIN || n > INT_MAX)
        return ERR(c->err, FORMAT, "%s: %llu keys, but the file has %llu bytes left", c->file, (unsigned long long)n, (unsigned long long)left(c));
    if (!(g->pair = mem_alloc_array((size_t)n, sizeof *g->pair)))
        return ERR(c->err, NOMEM, "%s: no memory for %llu keys", c->file, (unsigned long long)n);
    for (; (uint64_t)g->n_pair < n; g->n_pair++) {
        struct gguf_pair pair = { 0 };
        const int rc = take_pair(g, c, &pair);
        g->pair[g->n_pair] = pair;         /* also on an error: it may own an index */
        if (rc < 0) {
            g->n_pair++;
            return rc;
        }
    }
    return index_pairs(g, c->err);
}

/* ---- tensors ---- */

static int take_shape(struct cursor *c, struct source_tensor *t)
{
    uint32_t rank;
    uint64_t dim;
    TRY(take(c, &rank, sizeof rank, "a tensor's rank"));
    if (rank > GGUF_RANK_MAX)
        return ERR(c->err, FORMAT, "%s: tensor '%s': rank %u, expected at most %d", c->file, t->name, rank, GGUF_RANK_MAX);
    t->rank = (int)rank;
    t->n = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        TRY(take(c, &dim, sizeof dim, "a tensor's dimension"));
        if (dim < 1 || dim > INT64_MAX)
            return ERR(c->err, FORMAT, "%s: tensor '%s': dimension %d is %llu, expected 1 to 2^63-1", c->file, t->name, t->rank - 1 - i, (unsigned long long)dim);
        t->shape[i] = (int64_t)dim;
        if (__builtin_mul_overflow(t->n, t->shape[i], &t->n))
            return ERR(c->err, FORMAT, "%s: tensor '%s': its shape has more than 2^63-1 elements", c->file, t->name);
    }
    return 0;
}

/* Bytes from the type and the shape; data is left as the offset, for place_tensors. */
static int take_tensor(struct gguf *g, struct cursor *c, struct source_tensor *t, uint32_t *type, uint64_t *offset)
{
    int block, block_bytes;
    TRY(take_name(g, c, GGUF_NAME_MAX, &t->name, "a tensor's name"));
    TRY(take_shape(c, t));
    TRY(take(c, type, sizeof *type, "a tensor's type"));
    if (!gguf_type_sizes(*type, &block, &block_bytes))
        return ERR(c->err, FORMAT, "%s: tensor '%s': type %u is no type of GGUF that is known", c->file, t->name, *type);
    const int64_t row = t->rank ? t->shape[t->rank - 1] : 1;
    if (row % block)
        return ERR(c->err, FORMAT, "%s: tensor '%s': rows of %lld elements, expected a multiple of %d, the block of its type", c->file, t->name,
                   (long long)row, block);
    int64_t bytes;
    if (__builtin_mul_overflow(t->n / block, (int64_t)block_bytes, &bytes))
        return ERR(c->err, FORMAT, "%s: tensor '%s': its shape has more than 2^63-1 bytes", c->file, t->name);
    t->type = type_of_ggml(*type);
    t->bytes = (size_t)bytes;
    return take(c, offset, sizeof *offset, "a tensor's offset");
}

static int by_data(const void *a, const void *b)
{
    const struct source_tensor *x = *(const struct source_tensor *const *)a, *y = *(const struct source_tensor *const *)b;
    return x->data < y->data ? -1 : x->data > y->data;
}

/* Sorts the tensors by place and then by name into by_name; both times what is wrong stands side by side. */
static int index_tensors(struct gguf *g, struct err *err)
{
    const struct source_tensor **order = mem_realloc_array(g->by_name, (size_t)g->n_tensor, sizeof *order);
    if (!order)
        return ERR(err, NOMEM, "%s: no memory for %d tensors", g->name, g->n_tensor);
    g->by_name = order;
    for (int i = 0; i < g->n_tensor; i++)
        order[i] = &g->tensor[i];
    qsort(order, (size_t)g->n_tensor, sizeof *order, by_data);
    for (int i = 1; i < g->n_tensor; i++)
        if ((const char *)order[i - 1]->data + order[i - 1]->bytes > (const char *)order[i]->data)
            return ERR(err, FORMAT, "%s: tensor '%s' overlaps '%s'", g->name, order[i]->name, order[i - 1]->name);
    qsort(order, (size_t)g->n_tensor, sizeof *order, by_name);
    for (int i = 1; i < g->n_tensor; i++)
        if (!strcmp(order[i]->name, order[i - 1]->name))
            return ERR(err, FORMAT, "%s: tensor '%s' is there twice, expected once", g->name, order[i]->name);
    return 0;
}

static int place_tensor(struct source_tensor *t, const char *data, uint64_t size, uint64_t offset, uint64_t align, const char *file, struct err *err)
{
    if (offset % align)
        return ERR(err, FORMAT, "%s: tensor '%s': its offset %llu is no multiple of the alignment %llu", file, t->name,
                   (unsigned long long)offset, (unsigned long long)align);
    if (offset > size || t->bytes > size - offset)
        return ERR(err, FORMAT, "%s: tensor '%s': %zu bytes at offset %llu, but the file has %llu bytes of data", file, t->name, t->bytes,
                   (unsigned long long)offset, (unsigned long long)size);
    t->data = data + offset;
    return 0;
}

static int take_tensors(struct gguf *g, struct cursor *c, uint64_t n, uint64_t align)
{
    if (n > left(c) / TENSOR_BYTES_MIN || n > INT_MAX)
        return ERR(c->err, FORMAT, "%s: %llu tensors, but the file has %llu bytes left", c->file, (unsigned long long)n, (unsigned long long)left(c));
    uint64_t *offset = mem_alloc_array((size_t)n, sizeof *offset);
    g->tensor = mem_alloc_array((size_t)n, sizeof *g->tensor);
    g->type = mem_alloc_array((size_t)n, sizeof *g->type);
    int rc = 0;
    if (!offset || !g->tensor || !g->type)
        rc = ERR(c->err, NOMEM, "%s: no memory for %llu tensors", c->file, (unsigned long long)n);
    for (uint64_t i = 0; i < n && !rc; i++)
        rc = take_tensor(g, c, &g->tensor[i], &g->type[i], &offset[i]);
    if (!rc) {
        const uint64_t at = (uint64_t)(c->p - c->start), pad = -at & (align - 1);
        const char *data = pad < left(c) ? c->p + pad : c->end;
        g->n_tensor = (int)n;
        for (int i = 0; i < g->n_tensor && !rc; i++)
            rc = place_tensor(&g->tensor[i], data, (uint64_t)(c->end - data), offset[i], align, c->file, c->err);
    }
    mem_free(offset);
    return rc ? rc : index_tensors(g, c->err);
}

/* ---- one file ---- */

static int take_head(struct gguf *g, struct cursor *c, uint64_t *n_tensor, uint64_t *n_pair)
{
    char magic[4];
    uint32_t version;
    if (left(c) < 4 || memcmp(c->p, "GGUF", 4))
        return ERR(c->err, FORMAT, "%s is no GGUF file: it does not begin with the letters GGUF", c->file);
    TRY(take(c, magic, sizeof magic, "magic"));
    TRY(take(c, &version, sizeof version, "the version"));
    if (version && !(version & 0xFFFF))
        return ERR(c->err, UNSUPPORTED, "%s is a big-endian GGUF file (version %u), expected little-endian", c->file, __builtin_bswap32(version));
    if (version != 2 && version != 3)
        return ERR(c->err, UNSUPPORTED, "%s is GGUF version %u, expected 2 or 3", c->file, version);
    g->version = (int)version;
    TRY(take(c, n_tensor, sizeof *n_tensor, "the number of tensors"));
    return take(c, n_pair, sizeof *n_pair, "the number of keys");
}

static int read_file(struct gguf *g, const char *data, size_t size, struct err *err)
{
    struct cursor c = { data, data, data + size, g->name, err };
    uint64_t n_tensor, n_pair;
    int64_t align = 32;
    TRY(take_head(g, &c, &n_tensor, &n_pair));
    TRY(take_pairs(g, &c, n_pair));
    TRY(gguf_get_int(g, "general.alignment", 1, INT32_MAX, &align, err));
    if (align & (align - 1))
        return ERR(err, FORMAT, "%s: general.alignment is %lld, expected a power of two", g->name, (long long)align);
    return take_tensors(g, &c, n_tensor, (uint64_t)align);
}

static struct gguf *new_reader(const char *name, struct err *err)
{
    struct gguf *g = mem_alloc_array(1, sizeof *g);
    if (g && (g->name = mem_strdup(name))) {
        g->map.data = "";
        return g;
    }
    mem_free(g);
    ERR(err, NOMEM, "no memory to open %s", name);
    return NULL;
}

static int finish(struct gguf **out, struct gguf *g, int rc)
{
    *out = rc < 0 ? NULL : g;
    if (rc < 0)
        gguf_free(g);
    return rc < 0 ? rc : 0;
}

int gguf_parse(struct gguf **out, const void *data, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    struct gguf *g = new_reader(name, err);
    return g ? finish(out, g, read_file(g, data, n, err)) : ERR_NOMEM;
}

static int open_file(struct gguf **out, const char *path, struct err *err)
{
    struct gguf *g = new_reader(path, err);
    if (!g)
        return ERR_NOMEM;
    int rc = file_map_open(&g->map, path, err);
    if (!rc)
        rc = read_file(g, g->map.data, g->map.size, err);
    return finish(out, g, rc);
}

void gguf_rest(const struct gguf *g)
{
    file_map_rest(&g->map);
    for (int i = 0; i < g->n_shard; i++)
        gguf_rest(g->shard[i]);
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->n_shard; i++)
        gguf_free(g->shard[i]);
    for (int i = 0; i < g->n_pair; i++)
        mem_free((void *)g->pair[i].at);
    for (struct text *t = g->text, *next; t; t = next) {
        next = t->next;
        mem_free(t);
    }
    file_map_close(&g->map);
    mem_free(g->shard);
    mem_free(g->pair);
    mem_free(g->tensor);
    mem_free(g->type);
    mem_free(g->by_key);
    mem_free(g->by_name);
    mem_free(g->name);
    mem_free(g);
}

/* ---- shards ---- */

static const char tail_form[] = "-00000-of-00000.gguf";

/* The number of the shard (from 1) and how many there are, by the file's name; 0 when it is not named like one. */
static int shard_number(const char *path, int *count)
{
    const size_t n = strlen(path), m = sizeof tail_form - 1;
    int v[2] = { 0, 0 };
    if (n < m)
        return 0;
    for (size_t i = 0; i < m; i++) {
        const char c = path[n - m + i];
        if (tail_form[i] == '0' && c >= '0' && c <= '9')
            v[i > 6] = 10 * v[i > 6] + (c - '0');
        else if (c != tail_form[i] || tail_form[i] == '0')
            return 0;
    }
    *count = v[1];
    return v[0];
}

static int open_shard(struct gguf *g, int i, int count, struct err *err)
{
    char *path = mem_printf("%.*s-%05d-of-%05d.gguf", (int)(strlen(g->name) - (sizeof tail_form - 1)), g->name, i + 1, count);
    if (!path)
        return ERR(err, NOMEM, "no memory to open shard %d of %s", i + 1, g->name);
    const int rc = open_file(&g->shard[g->n_shard], path, err);
    mem_free(path);
    TRY(rc);
    const struct gguf *s = g->shard[g->n_shard++];
    int64_t no = -1;
    TRY(gguf_get_int(s, "split.no", 0, GGUF_SHARDS_MAX, &no, err));
    if (no != i)
        return ERR(err, FORMAT, "%s: split.no is %lld, expected %d", s->name, (long long)no, i);
    return 0;
}

/* The first shard's list becomes that of all. */
static int join_shards(struct gguf *g, struct err *err)
{
    int64_t want = -1, total = g->n_tensor;
    for (int i = 0; i < g->n_shard; i++)
        total += g->shard[i]->n_tensor;
    TRY(gguf_get_int(g, "split.tensors.count", 0, INT_MAX, &want, err));
    if ((want >= 0 && want != total) || total > INT_MAX)
        return ERR(err, FORMAT, "%s: its shards have %lld tensors, expected %lld", g->name, (long long)total, (long long)want);
    struct source_tensor *t = mem_realloc_array(g->tensor, (size_t)total, sizeof *t);
    if (t)
        g->tensor = t;
    uint32_t *type = mem_realloc_array(g->type, (size_t)total, sizeof *type);
    if (type)
        g->type = type;
    if (!t || !type)
        return ERR(err, NOMEM, "%s: no memory for %lld tensors", g->name, (long long)total);
    for (int i = 0; i < g->n_shard; i++) {
        const struct gguf *s = g->shard[i];
        memcpy(t + g->n_tensor, s->tensor, (size_t)s->n_tensor * sizeof *t);
        memcpy(type + g->n_tensor, s->type, (size_t)s->n_tensor * sizeof *type);
        g->n_tensor += s->n_tensor;
    }
    return index_tensors(g, err);
}

static int open_shards(struct gguf *g, struct err *err)
{
    int64_t count = 1, no = 0;
    int by_name_count = 0;
    TRY(gguf_get_int(g, "split.count", 0, GGUF_SHARDS_MAX, &count, err));
    TRY(gguf_get_int(g, "split.no", 0, GGUF_SHARDS_MAX, &no, err));
    if (count < 2)
        return 0;
    if (shard_number(g->name, &by_name_count) != 1 || by_name_count != count || no)
        return ERR(err, USAGE, "%s is shard %lld of %lld, expected the first, named ...-00001-of-%05lld.gguf", g->name, (long long)no + 1,
                   (long long)count, (long long)count);
    if (!(g->shard = mem_alloc_array((size_t)count - 1, sizeof *g->shard)))
        return ERR(err, NOMEM, "%s: no memory for %lld shards", g->name, (long long)count);
    for (int i = 1; i < count; i++)
        TRY(open_shard(g, i, (int)count, err));
    return join_shards(g, err);
}

int gguf_open(struct gguf **out, const char *path, struct err *err)
{
    struct gguf *g = NULL;
    *out = NULL;
    TRY(open_file(&g, path, err));
    return finish(out, g, open_shards(g, err));
}

/* ---- what is there ---- */

int gguf_version(const struct gguf *g) { return g->version; }
int gguf_n_file(const struct gguf *g) { return 1 + g->n_shard; }
const char *gguf_file_name(const struct gguf *g, int i) { return i ? g->shard[i - 1]->name : g->name; }
int gguf_n_tensor(const struct gguf *g) { return g->n_tensor; }
const struct source_tensor *gguf_tensor(const struct gguf *g, int i) { return &g->tensor[i]; }
int gguf_n_pair(const struct gguf *g) { return g->n_pair; }
const struct gguf_pair *gguf_pair(const struct gguf *g, int i) { return &g->pair[i]; }

const struct source_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    const struct source_tensor key = { .name = name }, *p = &key;
    const struct source_tensor **at = g->n_tensor ? bsearch(&p, g->by_name, (size_t)g->n_tensor, sizeof *at, by_name) : NULL;
    return at ? *at : NULL;
}

uint32_t gguf_type_id(const struct gguf *g, const struct source_tensor *t)
{
    assert(t >= g->tensor && t < g->tensor + g->n_tensor);
    return g->type[t - g->tensor];
}

const char *gguf_type_name(const struct gguf *g, const struct source_tensor *t)
{
    const struct other_type *o = find_other(gguf_type_id(g, t));
    return o ? o->name : type_name(t->type);
}

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key)
{
    const struct gguf_pair k = { .key = key }, *p = &k;
    const struct gguf_pair **at = g->n_pair ? bsearch(&p, g->by_key, (size_t)g->n_pair, sizeof *at, by_key) : NULL;
    return at ? *at : NULL;
}

/* ---- values ---- */

static bool is_int(enum gguf_kind k) { return k != GGUF_F32 && k != GGUF_F64 && k != GGUF_STR; }

struct gguf_str gguf_str_at(const struct gguf_pair *p, int64_t i)
{
    assert(p->kind == GGUF_STR && i >= 0 && i < p->n);
    uint64_t n;
    if (!p->is_array)
        return (struct gguf_str){ p->data, p->n_byte };
    memcpy(&n, p->at[i], sizeof n);
    return (struct gguf_str){ p->at[i] + sizeof n, (size_t)n };
}

static uint64_t bits_at(const struct gguf_pair *p, int64_t i)
{
    assert(i >= 0 && i < p->n);
    uint64_t v = 0;
    memcpy(&v, (const char *)p->data + (size_t)i * gguf_kind_size(p->kind), gguf_kind_size(p->kind));
    return v;
}

int64_t gguf_int_at(const struct gguf_pair *p, int64_t i)
{
    assert(is_int(p->kind));
    const uint64_t v = bits_at(p, i);
    switch (p->kind) {
    case GGUF_I8: return (int8_t)v;
    case GGUF_I16: return (int16_t)v;
    case GGUF_I32: return (int32_t)v;
    case GGUF_I64: return (int64_t)v;
    default: return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    }
}

double gguf_num_at(const struct gguf_pair *p, int64_t i)
{
    assert(p->kind != GGUF_STR);
    if (is_int(p->kind))
        return (double)gguf_int_at(p, i);
    const uint64_t v = bits_at(p, i);
    const uint32_t low = (uint32_t)v;
    float f;
    double d;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &v, sizeof d);
    return p->kind == GGUF_F32 ? f : d;
}

static int wrong_kind(const struct gguf *g, const struct gguf_pair *p, const char *expected, struct err *err)
{
    return ERR(err, FORMAT, "%s: '%s' is %s%s, expected %s", g->name, p->key, p->is_array ? "an array of " : "", gguf_kind_name(p->kind), expected);
}

int gguf_get_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (p->is_array || !is_int(p->kind) || p->kind == GGUF_BOOL)
        return wrong_kind(g, p, "an integer", err);
    const int64_t v = gguf_int_at(p, 0);
    const bool too_large = p->kind == GGUF_U64 && bits_at(p, 0) > INT64_MAX;
    if (v < min || v > max || too_large)
        return ERR(err, RANGE, "%s: '%s' is %lld%s, expected %lld to %lld", g->name, key, (long long)v, too_large ? " or more" : "",
                   (long long)min, (long long)max);
    *out = v;
    return 1;
}

int gguf_get_num(const struct gguf *g, const char *key, double *out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (p->is_array || p->kind == GGUF_STR || p->kind == GGUF_BOOL)
        return wrong_kind(g, p, "a number", err);
    *out = gguf_num_at(p, 0);
    return 1;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (p->is_array || p->kind != GGUF_BOOL)
        return wrong_kind(g, p, "a bool", err);
    *out = gguf_int_at(p, 0);
    return 1;
}

int gguf_get_str(const struct gguf *g, const char *key, const char **out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (p->is_array || p->kind != GGUF_STR)
        return wrong_kind(g, p, "a string", err);
    if (memchr(p->data, 0, p->n_byte))
        return ERR(err, FORMAT, "%s: '%s' is a string with a NUL inside", g->name, key);
    *out = p->data;
    return 1;
}

int gguf_get_strs(const struct gguf *g, const char *key, const struct gguf_pair **out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (!p->is_array || p->kind != GGUF_STR)
        return wrong_kind(g, p, "an array of strings", err);
    *out = p;
    return 1;
}

int gguf_get_ints(const struct gguf *g, const char *key, const struct gguf_pair **out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (!p->is_array || !is_int(p->kind))
        return wrong_kind(g, p, "an array of integers", err);
    *out = p;
    return 1;
}

int gguf_get_nums(const struct gguf *g, const char *key, const struct gguf_pair **out, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p)
        return 0;
    if (!p->is_array || p->kind == GGUF_STR)
        return wrong_kind(g, p, "an array of numbers", err);
    *out = p;
    return 1;
}
