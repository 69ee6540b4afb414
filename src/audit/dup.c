/* dup.c - copies by sorting hashes: one SHA-256, then one band after the other, of which equal ones are joined. */
#include "audit/dup.h"
#include <assert.h>
#include <string.h>
#include "audit/radix.h"
#include "base/hash.h"
#include "base/mem.h"

#define CHUNK 4096      /* records of one item of the pool */

struct find {
    struct dup *d;
    const struct dup_rows *rows; int n_rows;
    uint32_t *first;        /* [n_rows] record of each one's first row */
    const struct dup_opts *o;
    size_t row_bytes, n_band;
    struct radix_item *item, *tmp;
    int band;
    struct pair { uint32_t a, b; float s; } *pair; size_t n_pair;      /* lies in tmp */
    struct err *failed;     /* [threads] */
};

/* ---- rows ---- */

size_t dup_row_bytes(const struct minhash *m)
{
    return SHA256_BYTES + (size_t)minhash_opts(m)->n_band * sizeof(uint64_t) + ((size_t)minhash_n_value(m) + 7) / 8 * 8;
}

void dup_row_none(const struct minhash *m, unsigned char *row) { memset(row, 0, dup_row_bytes(m)); }

void dup_row(const struct minhash *m, const unsigned char sha256[SHA256_BYTES], const uint64_t *sig, unsigned char *row)
{
    dup_row_none(m, row);
    memcpy(row, sha256, SHA256_BYTES);
    uint64_t *band = (uint64_t *)(void *)(row + SHA256_BYTES);
    minhash_bands(m, sig, band);
    minhash_bytes(m, sig, (uint8_t *)(band + minhash_opts(m)->n_band));
}

static const unsigned char *row_of(const struct find *f, uint32_t record)
{
    int low = 0, high = f->n_rows;
    while (high - low > 1) {                /* first[low] <= record < first[high]; of empty ones the last */
        const int mid = low + (high - low) / 2;
        *(f->first[mid] <= record ? &low : &high) = mid;
    }
    return f->rows[low].row + (record - f->first[low]) * f->row_bytes;
}

static bool is_part(const struct find *f, uint32_t record) { return !f->o->skip || !f->o->skip[record]; }

static uint64_t word_of(const unsigned char *row, size_t i)
{
    uint64_t v;
    memcpy(&v, row + 8 * i, sizeof v);
    return v;
}

static const uint8_t *bytes_of(const struct find *f, uint32_t record) { return row_of(f, record) + SHA256_BYTES + f->n_band * sizeof(uint64_t); }

/* ---- sets of records that belong together: each points to an earlier one of its set, the first to itself ---- */

static uint32_t first_of(uint32_t *keeper, uint32_t i)
{
    while (keeper[i] != i)
        i = keeper[i] = keeper[keeper[i]];
    return i;
}

static void join(uint32_t *keeper, uint32_t a, uint32_t b)
{
    a = first_of(keeper, a), b = first_of(keeper, b);
    if (a < b)
        keeper[b] = a;
    else
        keeper[a] = b;
}

/* ---- exactly ---- */

/* The first 8 bytes of SHA-256; 0, that of records which are none, stands for none. */
static void fill_sums(void *ctx, int i_chunk, int i_thread)
{
    (void)i_thread;
    struct find *f = ctx;
    const uint32_t end = f->d->n - (uint32_t)i_chunk * CHUNK < CHUNK ? f->d->n : (uint32_t)(i_chunk + 1) * CHUNK;
    for (uint32_t i = (uint32_t)i_chunk * CHUNK; i < end; i++)
        f->item[i] = (struct radix_item){ is_part(f, i) ? word_of(row_of(f, i), 0) : 0, i };
}

/* Records whose sums begin alike, ascending: each belongs to the first of the very same sum, which is the first of all but by a
 * chance of 2^-64. */
static void join_sums(struct find *f, const struct radix_item *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (!memcmp(row_of(f, x[i].at), row_of(f, x[k].at), SHA256_BYTES)) {
                join(f->d->keeper, x[i].at, x[k].at);
                break;
            }
}

typedef void (*run_fn)(struct find *f, const struct radix_item *x, size_t n);

/* fn for the items of each key but 0 that more than one have. */
static void each_run(struct find *f, run_fn fn)
{
    for (size_t i = 0, end; i < f->d->n; i = end) {
        for (end = i + 1; end < f->d->n && f->item[end].key == f->item[i].key; end++)
            ;
        if (end - i > 1 && f->item[i].key)
            fn(f, f->item + i, end - i);
    }
}

/* ---- nearly ---- */

/* Only records that are no copies have a part in it. */
static void fill_band(void *ctx, int i_chunk, int i_thread)
{
    (void)i_thread;
    struct find *f = ctx;
    const uint32_t end = f->d->n - (uint32_t)i_chunk * CHUNK < CHUNK ? f->d->n : (uint32_t)(i_chunk + 1) * CHUNK;
    for (uint32_t i = (uint32_t)i_chunk * CHUNK; i < end; i++)
        f->item[i] = (struct radix_item){ f->d->kind[i] == DUP_EXACT || !is_part(f, i) ? 0 : word_of(row_of(f, i), SHA256_BYTES / 8 + (size_t)f->band), i };
}

static void add_pair(struct find *f, uint32_t a, uint32_t b)
{
    if (first_of(f->d->keeper, a) == first_of(f->d->keeper, b))
        return;
    if (f->o->least > 0)
        f->pair[f->n_pair++] = (struct pair){ a, b, 0 };
    else
        join(f->d->keeper, a, b), f->d->n_pair++;
}

static void pairs_of(struct find *f, const struct radix_item *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        add_pair(f, x[0].at, x[i].at);
        if (i > 1 && f->o->least > 0)
            add_pair(f, x[i - 1].at, x[i].at);
    }
}

static float similarity(struct find *f, uint32_t a, uint32_t b, int i_thread)
{
    double s = 0;
    if (!f->o->similarity)
        s = minhash_similarity(f->o->minhash, bytes_of(f, a), bytes_of(f, b));
    else if (!f->failed[i_thread].code)
        f->o->similarity(f->o->ctx, a, b, i_thread, &s, &f->failed[i_thread]);
    return (float)s;
}

static void compare_pairs(void *ctx, int i_chunk, int i_thread)
{
    struct find *f = ctx;
    const size_t at = (size_t)i_chunk * CHUNK, end = f->n_pair - at < CHUNK ? f->n_pair : at + CHUNK;
    for (size_t i = at; i < end; i++)
        f->pair[i].s = similarity(f, f->pair[i].a, f->pair[i].b, i_thread);
}

static void compare_kept(void *ctx, int i_chunk, int i_thread)
{
    struct find *f = ctx;
    struct dup *d = f->d;
    const uint32_t end = d->n - (uint32_t)i_chunk * CHUNK < CHUNK ? d->n : (uint32_t)(i_chunk + 1) * CHUNK;
    for (uint32_t i = (uint32_t)i_chunk * CHUNK; i < end; i++)
        if (d->kind[i] == DUP_NEAR)
            d->similarity[i] = similarity(f, d->keeper[i], i, i_thread);
}

static int n_chunk(size_t n) { return (int)((n + CHUNK - 1) / CHUNK); }

static int compare(struct find *f, pool_fn fn, size_t n, struct err *err)
{
    pool_for(f->o->pool, n_chunk(n), fn, f);
    for (int i = 0; i < pool_n_thread(f->o->pool); i++)
        if (f->failed[i].code) {
            *err = f->failed[i];
            return err->code;
        }
    return 0;
}

static int join_band(struct find *f, struct err *err)
{
    pool_for(f->o->pool, n_chunk(f->d->n), fill_band, f);
    radix_sort(f->item, f->tmp, f->d->n, f->o->pool);
    f->n_pair = 0;
    each_run(f, pairs_of);
    TRY(compare(f, compare_pairs, f->n_pair, err));
    f->d->n_pair += f->n_pair;
    for (size_t i = 0; i < f->n_pair; i++)
        if (f->pair[i].s >= f->o->least)
            join(f->d->keeper, f->pair[i].a, f->pair[i].b);
        else
            f->d->n_refused++;
    return 0;
}

/* ---- */

/* Records of `kind` that are not their own keeper, and their keepers; without earlier data's. */
static void settle(struct find *f, enum dup_kind kind, struct dup_tally *tally)
{
    struct dup *d = f->d;
    uint8_t *seen = (uint8_t *)f->tmp;
    memset(seen, 0, d->n);
    for (uint32_t i = 0; i < d->n; i++) {
        const uint32_t k = first_of(d->keeper, i);
        d->keeper[i] = k;
        if (k == i || d->kind[i] != DUP_NONE)
            continue;
        d->kind[i] = (uint8_t)kind;
        if (i < d->n_old)
            continue;
        tally->records++, tally->groups += !seen[k];
        seen[k] = 1;
    }
}

static int find(struct find *f, struct err *err)
{
    struct dup *d = f->d;
    pool_for(f->o->pool, n_chunk(d->n), fill_sums, f);
    radix_sort(f->item, f->tmp, d->n, f->o->pool);
    each_run(f, join_sums);
    settle(f, DUP_EXACT, &d->exact);
    for (f->band = 0; f->band < (int)f->n_band; f->band++)
        TRY(join_band(f, err));
    settle(f, DUP_NEAR, &d->near);
    memset(d->kind, DUP_NONE, d->n_old);
    return compare(f, compare_kept, d->n, err);
}

int dup_find(struct dup *d, const struct dup_rows *rows, int n_rows, const struct dup_opts *o, struct err *err)
{
    *d = (struct dup){ 0 };
    size_t n = 0;
    for (int i = 0; i < n_rows; i++) {
        if (rows[i].n > UINT32_MAX - 1 - n)
            return ERR(err, RANGE, "duplicates of more than %u records", UINT32_MAX - 1);
        n += rows[i].n;
    }
    const int n_thread = pool_n_thread(o->pool);
    struct find f = { .d = d, .rows = rows, .n_rows = n_rows, .o = o, .row_bytes = dup_row_bytes(o->minhash), .n_band = (size_t)minhash_opts(o->minhash)->n_band };
    static_assert(sizeof *f.tmp <= 2 * sizeof *f.pair, "two pairs a record lie where its item did");
    d->n = (uint32_t)n;
    d->n_old = (uint32_t)o->n_old;
    assert(o->n_old <= n);
    d->keeper = mem_alloc_array(n, sizeof *d->keeper);
    d->kind = mem_alloc_array(n, sizeof *d->kind);
    d->similarity = mem_alloc_array(n, sizeof *d->similarity);
    f.item = mem_alloc_array(n, sizeof *f.item);
    f.tmp = mem_alloc_array(n, 2 * sizeof *f.pair);
    f.failed = mem_alloc_array((size_t)n_thread, sizeof *f.failed);
    f.first = mem_alloc_array((size_t)n_rows, sizeof *f.first);
    f.pair = (struct pair *)f.tmp;
    int rc = 0;
    if (!d->keeper || !d->kind || !d->similarity || !f.item || !f.tmp || !f.failed || !f.first)
        rc = ERR(err, NOMEM, "no memory for duplicates among %zu records", n);
    for (int i = 1; !rc && i < n_rows; i++)
        f.first[i] = f.first[i - 1] + (uint32_t)rows[i - 1].n;
    for (uint32_t i = 0; !rc && i < d->n; i++)
        d->keeper[i] = i;
    if (!rc)
        rc = find(&f, err);
    mem_free(f.item);
    mem_free(f.tmp);
    mem_free(f.failed);
    mem_free(f.first);
    return rc;
}

void dup_release(struct dup *d)
{
    mem_free(d->keeper);
    mem_free(d->kind);
    mem_free(d->similarity);
    *d = (struct dup){ 0 };
}
