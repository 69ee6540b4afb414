/* stage_dup.c - duplicates among the records that are kept so far, and against an index of earlier data; then lines and paragraphs that what
 * is kept says again. */
#include <stdlib.h>
#include <string.h>
#include "audit/dup_index.h"
#include "audit/pieces.h"
#include "audit/stage.h"
#include "base/mem.h"

#define EXAMPLES 20
#define CHECKED 100                         /* near duplicates whose texts are compared */
#define CHECKED_BYTES ((size_t)256 << 10)   /* of which neither is longer */
#define BINS 20
#define SET_MAX ((uint64_t)1 << 25)         /* hashes in memory at a time */

struct work {
    struct audit *a;
    struct minhash *m;
    struct segment *segment; int n_segment;
    struct dup_snapshot *snapshot; char **name; int n_snapshot;
    struct dup_rows *rows;                  /* of the snapshots, then of the segments */
    uint8_t *skip;                          /* [records of the snapshots and of now] */
    int64_t n_old;
    struct dup d;
};

/* ---- rows ---- */

static int open_segments(struct work *w, struct err *err)
{
    const struct store *s = &w->a->store;
    w->segment = mem_alloc_array((size_t)s->n_segment, sizeof *w->segment);
    if (!w->segment)
        return ERR(err, NOMEM, "no memory for %d segments", s->n_segment);
    for (; w->n_segment < s->n_segment; w->n_segment++) {
        struct segment *g = &w->segment[w->n_segment];
        TRY(store_segment(s, w->n_segment, g, err));
        if (g->n_data[SECTION_dup] != (size_t)g->n * dup_row_bytes(w->m)) {
            segment_release(g);
            return ERR(err, CORRUPT, "'%s': segment %d has %zu bytes of signatures, expected %zu: give --fresh to audit anew", s->dir, w->n_segment, g->n_data[SECTION_dup],
                       (size_t)g->n * dup_row_bytes(w->m));
        }
    }
    return 0;
}

/* Whether a list of names divided by commas has this one. */
static bool lists(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (!strncmp(p, name, n) && (!p[n] || p[n] == ','))
            return true;
    return false;
}

static int check_names(const struct work *w, struct err *err)
{
    const struct audit_opts *o = w->a->o;
    for (const char *p = o->index_from; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        const size_t n = strcspn(p, ",");
        int i = 0;
        while (i < w->n_snapshot && (strlen(w->name[i]) != n || strncmp(w->name[i], p, n)))
            i++;
        if (i == w->n_snapshot)
            return ERR(err, USAGE, "'%s' has no snapshot '%.*s'", o->index, (int)(n < 100 ? n : 100), p);
    }
    return 0;
}

/* Those that are asked for; what an earlier run of this audit added is not held against it. */
static int open_snapshots(struct work *w, struct err *err)
{
    const struct audit_opts *o = w->a->o;
    if (!o->index)
        return 0;
    const int rc = dup_index_list(o->index, &w->name, &w->n_snapshot, err);
    if (rc == ERR_NOTFOUND && o->index_add && !o->index_from)
        return 0;       /* it begins with this data */
    TRY(rc);
    TRY(check_names(w, err));
    w->snapshot = mem_alloc_array((size_t)w->n_snapshot, sizeof *w->snapshot);
    if (!w->snapshot)
        return ERR(err, NOMEM, "no memory for %d snapshots", w->n_snapshot);
    for (int i = 0; i < w->n_snapshot; i++) {
        if (o->index_from ? !lists(o->index_from, w->name[i]) : o->index_add && !strcmp(w->name[i], o->index_add))
            continue;
        TRY(dup_index_open(&w->snapshot[i], o->index, w->name[i], w->m, err));
        w->n_old += (int64_t)w->snapshot[i].rows.n;
    }
    return 0;
}

static int gather(struct work *w, struct err *err)
{
    const int64_t n = w->n_old + w->a->n;
    w->rows = mem_alloc_array((size_t)(w->n_snapshot + w->n_segment), sizeof *w->rows);
    w->skip = mem_alloc_array((size_t)n, 1);
    if (!w->rows || !w->skip)
        return ERR(err, NOMEM, "no memory for duplicates among %lld records", (long long)n);
    for (int i = 0; i < w->n_snapshot; i++)
        w->rows[i] = w->snapshot[i].rows;
    for (int i = 0; i < w->n_segment; i++)
        w->rows[w->n_snapshot + i] = (struct dup_rows){ w->segment[i].data[SECTION_dup], (size_t)w->segment[i].n };
    for (int64_t i = 0; i < w->a->n; i++)
        w->skip[w->n_old + i] = !audit_kept(w->a, i);
    return 0;
}

static const struct record_place *place_of(const struct work *w, int64_t record)
{
    int low = 0, high = w->n_segment;
    while (high - low > 1) {
        const int mid = low + (high - low) / 2;
        *(w->segment[mid].first <= record ? &low : &high) = mid;
    }
    return segment_place(&w->segment[low], (int)(record - w->segment[low].first));
}

/* ---- verdicts ---- */

struct bytes { uint64_t exact, near; };

static struct bytes drop(struct work *w)
{
    struct audit *a = w->a;
    struct bytes b = { 0 };
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t at = w->n_old + i;
        if (w->d.kind[at] == DUP_NONE)
            continue;
        *(w->d.kind[at] == DUP_EXACT ? &b.exact : &b.near) += place_of(w, i)->n_text;
        if (!a->o->keep_duplicates)
            audit_drop(a, i, w->d.kind[at] == DUP_EXACT ? DROP_dup_exact : DROP_dup_near);
        if (w->d.keeper[at] >= w->n_old)
            a->dup_of[i] = (int64_t)w->d.keeper[at] - w->n_old;
    }
    return b;
}

/* The i-th of n that are spread evenly over the near duplicates: places among all records of which fn is told. */
static int each_near(struct work *w, uint64_t n, int (*fn)(struct work *w, int64_t record, void *ctx, struct err *err), void *ctx, struct err *err)
{
    const uint64_t all = w->d.near.records, taken = all < n ? all : n;
    uint64_t k = 0, next = 0;
    for (int64_t i = 0; i < w->a->n && next < taken; i++)
        if (w->d.kind[w->n_old + i] == DUP_NEAR && k++ == next * all / taken) {
            next++;
            TRY(fn(w, i, ctx, err));
        }
    return 0;
}

/* ---- true similarity of some ---- */

struct check {
    struct minhash_text *text;
    int n;
    struct { int64_t record, keeper; char *a, *b; size_t n_a, n_b; } pair[CHECKED];
    int64_t record[2 * CHECKED];
};

static int want_pair(struct work *w, int64_t record, void *ctx, struct err *err)
{
    struct check *c = ctx;
    (void)err;
    const int64_t keeper = (int64_t)w->d.keeper[w->n_old + record] - w->n_old;
    if (keeper >= 0 && place_of(w, record)->n_text <= CHECKED_BYTES && place_of(w, keeper)->n_text <= CHECKED_BYTES) {
        c->pair[c->n].record = record, c->pair[c->n].keeper = keeper;
        c->record[2 * c->n] = record, c->record[2 * c->n + 1] = keeper;
        c->n++;
    }
    return 0;
}

static int by_number(const void *p, const void *q)
{
    const int64_t a = *(const int64_t *)p, b = *(const int64_t *)q;
    return (a > b) - (a < b);
}

static int keep_text(char **out, size_t *n_out, const char *text, size_t n, struct err *err)
{
    if (*out)
        return 0;
    if (!(*out = mem_alloc(n + 1)))
        return ERR(err, NOMEM, "no memory for a text of %zu bytes", n);
    memcpy(*out, text, n);
    *n_out = n;
    return 0;
}

static int take_text(void *ctx, int i, const char *text, size_t n, struct err *err)
{
    struct check *c = ctx;
    for (int k = 0; k < c->n; k++) {
        if (c->pair[k].record == c->record[i])
            TRY(keep_text(&c->pair[k].a, &c->pair[k].n_a, text, n, err));
        if (c->pair[k].keeper == c->record[i])
            TRY(keep_text(&c->pair[k].b, &c->pair[k].n_b, text, n, err));
    }
    return 0;
}

static int compare(struct work *w, struct check *c, json_t **out, struct err *err)
{
    double sum = 0, least = 1;
    int n_like = 0;
    qsort(c->record, (size_t)(2 * c->n), sizeof *c->record, by_number);
    TRY(audit_texts(w->a, c->record, 2 * c->n, take_text, c, err));
    for (int k = 0; k < c->n; k++) {
        double s;
        TRY(minhash_jaccard(c->text, c->pair[k].a, c->pair[k].n_a, c->pair[k].b, c->pair[k].n_b, &s, err));
        sum += s, least = s < least ? s : least, n_like += s >= 0.5;
    }
    *out = json_pack("{s:i, s:f, s:f, s:f}", "pairs", c->n, "mean", c->n ? sum / c->n : 0, "min", c->n ? least : 0, "half_or_more", c->n ? (double)n_like / c->n : 0);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a report of duplicates");
}

/* Of some near duplicates and their keepers: the share of 5 words that both have, of their texts. */
static int check_some(struct work *w, json_t **out, struct err *err)
{
    struct check *c = mem_alloc_zero(sizeof *c);
    int rc = c ? minhash_text_new(&c->text, w->m, err) : ERR(err, NOMEM, "no memory to compare texts");
    rc = rc ? rc : each_near(w, CHECKED, want_pair, c, err);
    rc = rc ? rc : compare(w, c, out, err);
    for (int k = 0; c && k < c->n; k++) {
        mem_free(c->pair[k].a);
        mem_free(c->pair[k].b);
    }
    if (c)
        minhash_text_free(c->text);
    mem_free(c);
    return rc;
}

/* ---- lines and paragraphs ---- */

struct again { uint64_t n, n_copy, bytes; };

/* Hashes of part `part` of n_part, by their upper half. */
static int count_part(struct work *w, enum section k, uint64_t part, uint64_t n_part, struct seen *seen, struct again *t, struct err *err)
{
    for (int i = 0; i < w->n_segment; i++)
        for (int r = 0; r < w->segment[i].n; r++) {
            size_t n;
            const struct piece *p = segment_row(&w->segment[i], k, sizeof *p, r, &n);
            for (size_t j = 0; j < n && audit_kept(w->a, w->segment[i].first + r); j++) {
                if (p[j].high * n_part >> 32 != part)
                    continue;
                const int was = seen_add(seen, piece_hash(&p[j]), err);
                TRY(was);
                t->n++, t->n_copy += (uint64_t)was, t->bytes += was ? p[j].n : 0;
            }
        }
    return 0;
}

static int count_again(struct work *w, enum section k, struct again *t, struct err *err)
{
    uint64_t n = 0;
    *t = (struct again){ 0 };
    for (int i = 0; i < w->n_segment; i++)
        n += w->segment[i].n_data[k];
    const uint64_t n_part = n / SET_MAX + 1;
    for (uint64_t part = 0; part < n_part; part++) {
        struct seen *seen;
        TRY(seen_new(&seen, err));
        const int rc = count_part(w, k, part, n_part, seen, t, err);
        seen_free(seen);
        TRY(rc);
    }
    return 0;
}

static json_t *again_json(const struct again *t, const char *what)
{
    return json_pack("{s:I, s:I, s:I}", what, (json_int_t)t->n, "copies", (json_int_t)t->n_copy, "bytes", (json_int_t)t->bytes);
}

/* ---- the report ---- */

static json_t *histogram(const struct work *w)
{
    int64_t count[BINS] = { 0 };
    json_t *edges = json_array(), *counts = json_array();
    for (int64_t i = 0; i < w->a->n; i++)
        if (w->d.kind[w->n_old + i] == DUP_NEAR) {
            const int bin = (int)(w->d.similarity[w->n_old + i] * BINS);
            count[bin < BINS ? bin : BINS - 1]++;
        }
    for (int i = 0; i <= BINS; i++)
        json_array_append_new(edges, json_real((double)i / BINS));
    for (int i = 0; i < BINS; i++)
        json_array_append_new(counts, json_integer(count[i]));
    return json_pack("{s:o, s:o}", "edges", edges, "counts", counts);
}

/* What was kept: a record's number, or its snapshot and its number there. */
static json_t *keeper_json(const struct work *w, int64_t record)
{
    int64_t k = w->d.keeper[w->n_old + record];
    if (k >= w->n_old)
        return json_integer(k - w->n_old);
    int i = 0;
    for (; k >= (int64_t)w->snapshot[i].rows.n; i++)
        k -= (int64_t)w->snapshot[i].rows.n;
    return json_sprintf("%s:%lld", w->name[i], (long long)k);
}

static int add_example(struct work *w, int64_t record, void *ctx, struct err *err)
{
    json_t *o = json_pack("{s:o, s:I, s:f}", "kept", keeper_json(w, record), "dropped", (json_int_t)record, "similarity", (double)w->d.similarity[w->n_old + record]);
    if (!o || json_array_append_new(ctx, o))
        return ERR(err, NOMEM, "no memory for an example");
    return audit_example(w->a, o, record, 0, 0, err);
}

static int report(struct work *w, const struct bytes *b, struct err *err)
{
    const struct minhash_opts *o = minhash_opts(w->m);
    const struct dup *d = &w->d;
    struct again lines, paragraphs;
    json_t *checked = NULL, *examples = json_array();
    int rc = examples ? 0 : ERR(err, NOMEM, "no memory for a report of duplicates");
    rc = rc ? rc : check_some(w, &checked, err);
    rc = rc ? rc : each_near(w, EXAMPLES, add_example, examples, err);
    rc = rc ? rc : count_again(w, SECTION_lines, &lines, err);
    rc = rc ? rc : count_again(w, SECTION_paragraphs, &paragraphs, err);
    if (rc) {
        json_decref(examples);
        json_decref(checked);
        return rc;
    }
    json_t *exact = json_pack("{s:I, s:I, s:I}", "groups", (json_int_t)d->exact.groups, "records", (json_int_t)d->exact.records, "bytes", (json_int_t)b->exact);
    json_t *near = json_pack("{s:i, s:i, s:i, s:f, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "bands", o->n_band, "rows", o->n_row, "ngram", o->n_gram, "least", w->a->o->near_least, "pairs",
                             (json_int_t)d->n_pair, "refused", (json_int_t)d->n_refused, "clusters", (json_int_t)d->near.groups, "records", (json_int_t)d->near.records, "bytes", (json_int_t)b->near,
                             "similarity", histogram(w), "checked", checked, "examples", examples);
    json_t *part = json_pack("{s:o, s:o, s:o, s:o, s:I}", "exact", exact, "near", near, "lines", again_json(&lines, "lines"), "paragraphs", again_json(&paragraphs, "paragraphs"), "earlier",
                             (json_int_t)w->n_old);
    return audit_report(w->a, "duplicates", part, err);
}

/* ---- the index ---- */

/* What is kept, and near duplicates, by which what comes later may be one; not exact copies, of which the index has the first. */
static int rows_to_add(const struct work *w, struct dup_rows *run)
{
    const size_t row_bytes = dup_row_bytes(w->m);
    int n = 0;
    for (int i = 0; i < w->n_segment; i++) {
        bool goes_on = false;
        for (int k = 0; k < w->segment[i].n; k++) {
            const int64_t record = w->segment[i].first + k;
            const bool takes = audit_kept(w->a, record) || w->a->reason[record] == DROP_dup_near;
            if (takes && !goes_on)
                run[n++] = (struct dup_rows){ (const unsigned char *)w->segment[i].data[SECTION_dup] + (size_t)k * row_bytes, 0 };
            if (takes)
                run[n - 1].n++;
            goes_on = takes;
        }
    }
    return n;
}

/* Of an audit that was run before and is told again. */
static int is_there(const struct work *w, const struct dup_rows *run, int n, struct err *err)
{
    const struct audit_opts *o = w->a->o;
    const size_t row_bytes = dup_row_bytes(w->m);
    struct dup_snapshot s;
    size_t at = 0;
    int rc = dup_index_open(&s, o->index, o->index_add, w->m, err);
    bool same = !rc;
    for (int i = 0; i < n && same; at += run[i++].n)
        same = run[i].n <= s.rows.n - at && !memcmp(s.rows.row + at * row_bytes, run[i].row, run[i].n * row_bytes);
    if (!rc && (!same || at != s.rows.n))
        rc = ERR(err, USAGE, "'%s' has a snapshot '%s' of other records already: a snapshot is never changed", o->index, o->index_add);
    dup_index_close(&s);
    return rc;
}

static int add_to_index(const struct work *w, struct err *err)
{
    const struct audit_opts *o = w->a->o;
    struct dup_rows *run = mem_alloc_array((size_t)w->a->n + 1, sizeof *run);
    if (!run)
        return ERR(err, NOMEM, "no memory for an index of %lld records", (long long)w->a->n);
    const int n = rows_to_add(w, run);
    bool there = false;
    for (int i = 0; i < w->n_snapshot; i++)
        there |= !strcmp(w->name[i], o->index_add);
    const int rc = there ? is_there(w, run, n, err) : dup_index_add(o->index, o->index_add, w->m, run, n, err);
    mem_free(run);
    return rc;
}

/* ---- */

static int find(struct work *w, struct err *err)
{
    struct audit *a = w->a;
    TRY(minhash_new(&w->m, &a->o->minhash, err));
    TRY(open_snapshots(w, err));
    TRY(open_segments(w, err));
    TRY(gather(w, err));
    a->dup_of = mem_alloc_array((size_t)a->n + 1, sizeof *a->dup_of);
    if (!a->dup_of)
        return ERR(err, NOMEM, "no memory for the duplicates of %lld records", (long long)a->n);
    memset(a->dup_of, 0xff, (size_t)a->n * sizeof *a->dup_of);
    const struct dup_opts o = { .pool = a->o->pool, .minhash = w->m, .n_old = (size_t)w->n_old, .skip = w->skip, .least = a->o->near_least };
    TRY(dup_find(&w->d, w->rows, w->n_snapshot + w->n_segment, &o, err));
    const struct bytes b = drop(w);
    return report(w, &b, err);
}

static void release(struct work *w)
{
    dup_release(&w->d);
    for (int i = 0; i < w->n_segment; i++)
        segment_release(&w->segment[i]);
    for (int i = 0; w->snapshot && i < w->n_snapshot; i++)
        dup_index_close(&w->snapshot[i]);
    file_list_free(w->name, w->n_snapshot);
    mem_free(w->segment);
    mem_free(w->snapshot);
    mem_free(w->rows);
    mem_free(w->skip);
    minhash_free(w->m);
}

int stage_duplicates(struct audit *a, struct err *err)
{
    struct work w = { .a = a };
    const int rc = find(&w, err);
    release(&w);
    return rc;
}

int audit_add_to_index(struct audit *a, struct err *err)
{
    struct work w = { .a = a };
    int rc = minhash_new(&w.m, &a->o->minhash, err);
    rc = rc ? rc : dup_index_list(a->o->index, &w.name, &w.n_snapshot, err);
    rc = rc == ERR_NOTFOUND ? 0 : rc;                /* it begins with this data */
    rc = rc ? rc : open_segments(&w, err);
    rc = rc ? rc : add_to_index(&w, err);
    release(&w);
    return rc;
}
