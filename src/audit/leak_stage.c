/* leak_stage.c - leakage between the splits that sources name: a record that stands in a later split too is dropped, the rest is told. */
#include <string.h>
#include "audit/dup.h"
#include "audit/leak.h"
#include "audit/stage.h"
#include "base/hash.h"
#include "base/mem.h"

#define EXAMPLES 5

struct splits { const char *name[LEAK_SPLITS_MAX]; int n; };

struct leaking { struct audit *a; struct splits splits; struct segment *segment; int n_segment; uint8_t *split; uint64_t *key; struct leak l; int64_t n_no_date, n_dropped; json_t *examples; };

/* What is held out comes last: train, then names of other kinds, then validation, then test. */
static int rank_of(const char *name)
{
    static const struct { const char *begin; int rank; } ranks[] = { { "train", 0 }, { "val", 2 }, { "dev", 2 }, { "test", 3 }, { "eval", 3 }, { "heldout", 3 }, { "held-out", 3 }, { "held_out", 3 } };
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        if (!strncmp(name, ranks[i].begin, strlen(ranks[i].begin)))
            return ranks[i].rank;
    return 1;
}

static int find_split(const struct splits *s, const char *name)
{
    int i = 0;
    while (i < s->n && strcmp(s->name[i], name))
        i++;
    return i;
}

/* In the order of their ranks, of one rank as the sources name them. */
static int name_splits(const struct audit *a, struct splits *s, struct err *err)
{
    for (int rank = 0; rank < 4; rank++)
        for (int i = 0; i < a->s->n; i++) {
            const char *name = a->s->source[i].split;
            if (!name || rank_of(name) != rank || find_split(s, name) < s->n)
                continue;
            if (s->n == LEAK_SPLITS_MAX)
                return ERR(err, RANGE, "more than %d splits", LEAK_SPLITS_MAX);
            s->name[s->n++] = name;
        }
    return 0;
}

static uint64_t first_bytes(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v | 1;                                    /* 0 is no key */
}

static void take_time(struct leaking *x, const struct segment *g, int i)
{
    size_t n;
    int64_t t;
    const char *s = SEGMENT_ROW(g, time, char, i, &n);
    if (n && leak_parse_time(s, n, &t, NULL))
        x->n_no_date++;
    else if (n)
        leak_time(&x->l, (size_t)(g->first + i), t);
}

static uint64_t group_of(const struct segment *g, int i)
{
    size_t n;
    const char *s = SEGMENT_ROW(g, group, char, i, &n);
    return n ? hash64(s, n, 0) | 1 : 0;
}

static uint64_t band_of(const struct segment *g, int i, int band)
{
    size_t n;
    const unsigned char *row = SEGMENT_ROW(g, dup, unsigned char, i, &n);
    return n ? dup_row_bands(row)[band] : 0;
}

enum column { TEXT = -2, GROUP = -1 };       /* and bands from 0 on */

/* Of all records that can be read and are of a split. */
static int gather(struct leaking *x, int what, struct err *err)
{
    for (int k = 0; k < x->n_segment; k++) {
        const struct segment *g = &x->segment[k];
        for (int i = 0; i < g->n; i++) {
            const bool in = x->split[g->first + i] != LEAK_NO_SPLIT;
            x->key[g->first + i] = !in ? 0 : what >= 0 ? band_of(g, i, what) : what == GROUP ? group_of(g, i) : first_bytes(segment_place(g, i)->sha256);
            if (in && what == TEXT)
                take_time(x, g, i);
        }
    }
    return leak_column(&x->l, what >= 0 ? LEAK_NEAR : what == TEXT ? LEAK_EXACT : LEAK_GROUP, x->key, err);
}

static void take_splits(struct leaking *x)
{
    for (int f = 0; f < x->a->s->n_file; f++) {
        const char *name = x->a->s->source[x->a->s->file[f].source].split;
        for (int64_t i = x->a->first[f]; i < x->a->first[f + 1]; i++)
            x->split[i] = name && (x->a->reason[i] == DROP_KEPT || x->a->reason[i] >= N_RECORD_FAULT) ? (uint8_t)find_split(&x->splits, name) : LEAK_NO_SPLIT;
    }
}

static int drop_leaks(struct leaking *x, struct err *err)
{
    for (int64_t i = 0; i < x->a->n; i++) {
        const int to = leak_of(&x->l, (size_t)i);
        if (to < 0)
            continue;
        audit_drop(x->a, i, DROP_leaked);
        if (x->n_dropped++ >= EXAMPLES)
            continue;
        json_t *o = json_pack("{s:s, s:s, s:s}", "from", x->splits.name[x->split[i]], "to", x->splits.name[to], "as", x->l.in[LEAK_EXACT][i] >> to & 1 ? "exact" : "near");
        if (!o || json_array_append_new(x->examples, o))
            return ERR(err, NOMEM, "no memory for an example");
        TRY(audit_example(x->a, o, i, 0, 0, err));
    }
    return 0;
}

static json_t *pairs_of(const struct leaking *x)
{
    json_t *list = json_array();
    for (int to = 1; to < x->splits.n; to++)
        for (int from = 0; from < to; from++) {
            struct leak_pair p;
            leak_between(&x->l, from, to, &p);
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "from", x->splits.name[from], "to", x->splits.name[to], "of", (json_int_t)p.of, "exact",
                                                  (json_int_t)p.n[LEAK_EXACT], "near", (json_int_t)p.n[LEAK_NEAR], "group", (json_int_t)p.n[LEAK_GROUP], "not_earlier", (json_int_t)p.late));
        }
    return list;
}

static int open_segments(struct leaking *x, struct err *err)
{
    x->segment = mem_alloc_array((size_t)x->a->store.n_segment + 1, sizeof *x->segment);
    if (!x->segment)
        return ERR(err, NOMEM, "no memory for %d segments", x->a->store.n_segment);
    for (; x->n_segment < x->a->store.n_segment; x->n_segment++)
        TRY(store_segment(&x->a->store, x->n_segment, &x->segment[x->n_segment], err));
    return 0;
}

static int look(struct leaking *x, struct err *err)
{
    const int n_band = x->a->o->minhash.n_band ? x->a->o->minhash.n_band : MINHASH_DATATROVE.n_band;
    take_splits(x);
    TRY(open_segments(x, err));
    TRY(leak_init(&x->l, x->split, (size_t)x->a->n, err));
    for (int what = TEXT; what < n_band; what++)
        TRY(gather(x, what, err));
    TRY(drop_leaks(x, err));
    return audit_report(x->a, "leakage", json_pack("{s:o, s:I, s:I, s:O}", "pairs", pairs_of(x), "records", (json_int_t)x->n_dropped, "no_date", (json_int_t)x->n_no_date, "examples", x->examples), err);
}

int stage_leak(struct audit *a, struct err *err)
{
    struct leaking x = { .a = a };
    TRY(name_splits(a, &x.splits, err));
    if (x.splits.n < 2)
        return 0;
    x.split = mem_alloc_array((size_t)a->n + 1, sizeof *x.split);
    x.key = mem_alloc_array((size_t)a->n + 1, sizeof *x.key);
    x.examples = json_array();
    const int rc = x.split && x.key && x.examples ? look(&x, err) : ERR(err, NOMEM, "no memory to compare the splits of %lld records", (long long)a->n);
    leak_release(&x.l);
    for (int i = 0; i < x.n_segment; i++)
        segment_release(&x.segment[i]);
    mem_free(x.segment);
    mem_free(x.split);
    mem_free(x.key);
    json_decref(x.examples);
    return rc;
}
