/* examples.c - what a report shows of records: collected by the stages, read from the files in one go. */
#include <stdlib.h>
#include <string.h>
#include "audit/stage.h"
#include "base/mem.h"

#define EXCERPT 200

int audit_report(struct audit *a, const char *key, json_t *part, struct err *err)
{
    if (part && !json_object_set_new(a->report, key, part))
        return 0;
    return ERR(err, NOMEM, "no memory for the report's '%s'", key);
}

int audit_example(struct audit *a, json_t *into, int64_t record, size_t at, size_t n, struct err *err)
{
    if (a->n_example == a->cap_example) {
        const int cap = a->cap_example ? 2 * a->cap_example : 64;
        struct example *more = mem_realloc_array(a->example, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %d examples", cap);
        a->example = more, a->cap_example = cap;
    }
    a->example[a->n_example++] = (struct example){ .into = json_incref(into), .record = record, .at = at, .n = n ? n : EXCERPT };
    return 0;
}

int audit_example_masked(struct audit *a, json_t *into, int64_t record, size_t at, size_t n, struct err *err)
{
    TRY(audit_example(a, into, record, at, n, err));
    a->example[a->n_example - 1].masked = true;
    return 0;
}

static int by_record(const void *p, const void *q)
{
    const struct example *a = p, *b = q;
    return a->record != b->record ? (a->record > b->record) - (a->record < b->record) : (a->at > b->at) - (a->at < b->at);
}

/* The record's spots that the example would show. */
static int fill_spots(struct example *e, const struct segment *g, int i, struct err *err)
{
    size_t n[2];
    const struct kept_spot *of[2] = { SEGMENT_ROW(g, pii, struct kept_spot, i, &n[0]), SEGMENT_ROW(g, secret, struct kept_spot, i, &n[1]) };
    if (e->masked || e->at == EXAMPLE_NO_TEXT || !(n[0] + n[1]))
        return 0;
    mem_free(e->spot);
    e->n_spot = 0;
    if (!(e->spot = mem_alloc_array(n[0] + n[1], sizeof *e->spot)))
        return ERR(err, NOMEM, "no memory for an example");
    for (int k = 0; k < 2; k++)
        for (size_t j = 0; j < n[k]; j++)
            if (of[k][j].kind != KEPT_GIVEN_UP && of[k][j].at < e->at + e->n && of[k][j].at + of[k][j].n > e->at)
                e->spot[e->n_spot++] = of[k][j];
    return 0;
}

/* Where the records are: one sweep over the segments. */
static int fill_places(struct audit *a, struct err *err)
{
    for (int i = 0, k = 0; i < a->store.n_segment && k < a->n_example; i++) {
        struct segment g;
        TRY(store_segment(&a->store, i, &g, err));
        for (; k < a->n_example && a->example[k].record < g.first + g.n; k++) {
            const struct record_place *p = segment_place(&g, (int)(a->example[k].record - g.first));
            json_t *into = a->example[k].into;
            if (json_object_set_new(into, "record", json_integer(a->example[k].record)) || json_object_set_new(into, "file", json_string(a->s->file[p->file].path)) ||
                json_object_set_new(into, "line", json_integer(p->line))) {
                segment_release(&g);
                return ERR(err, NOMEM, "no memory for an example");
            }
            const int rc = fill_spots(&a->example[k], &g, (int)(a->example[k].record - g.first), err);
            if (rc) {
                segment_release(&g);
                return rc;
            }
        }
        segment_release(&g);
    }
    return 0;
}

static bool inside(const char *text, size_t n, size_t at) { return at < n && ((unsigned char)text[at] & 0xc0) == 0x80; }

static json_t *masked(const char *text, size_t n)
{
    char mask[SPOT_MASK];
    spot_mask(text, n, mask);
    return json_string(mask);
}

/* Bytes from..to of the text with stars for spots. */
static json_t *shown(const struct example *e, const char *text, size_t from, size_t to)
{
    char *copy = mem_alloc(to - from + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text + from, to - from);
    for (size_t i = 0; i < e->n_spot; i++) {
        const size_t a = e->spot[i].at > from ? e->spot[i].at : from, end = (size_t)e->spot[i].at + e->spot[i].n, b = end < to ? end : to;
        if (a < b)
            memset(copy + (a - from), '*', b - a);
    }
    json_t *s = json_stringn(copy, to - from);
    mem_free(copy);
    return s;
}

/* Whole characters. */
static int fill_text(void *ctx, int i, const char *text, size_t n, struct err *err)
{
    struct example *const *of = ctx;
    const struct example *e = of[i];
    size_t from = e->at < n ? e->at : n, to = n - from > e->n ? from + e->n : n;
    while (from && inside(text, n, from))
        from--;
    while (to > from && inside(text, n, to))
        to--;
    return json_object_set_new(e->into, e->masked ? "masked" : "excerpt", e->masked ? masked(text + from, to - from) : shown(e, text, from, to)) ? ERR(err, NOMEM, "no memory for an example") : 0;
}

int audit_fill_examples(struct audit *a, struct err *err)
{
    if (!a->n_example)
        return 0;
    qsort(a->example, (size_t)a->n_example, sizeof *a->example, by_record);
    TRY(fill_places(a, err));
    int64_t *record = mem_alloc_array((size_t)a->n_example, sizeof *record);
    struct example **of = mem_alloc_array((size_t)a->n_example, sizeof *of);
    int n = 0, rc = record && of ? 0 : ERR(err, NOMEM, "no memory for %d examples", a->n_example);
    for (int i = 0; i < a->n_example && !rc; i++)
        if (a->example[i].at != EXAMPLE_NO_TEXT)
            record[n] = a->example[i].record, of[n++] = &a->example[i];
    rc = rc ? rc : audit_texts(a, record, n, fill_text, of, err);
    mem_free(record);
    mem_free(of);
    return rc;
}
