#include "audit/scores.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "audit/reader.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "base/tree.h"

#define DRAWS 1000

/* ---- means ---- */

/* Means of samples of v with replacement. */
static void draw(const double *v, size_t n, uint64_t key, double *mean)
{
    for (int k = 0; k < DRAWS; k++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += v[rng_below(key, (uint64_t)k * n + i, n)];
        mean[k] = sum / (double)n;
    }
}

static struct score_mean interval(double mean, size_t n, double *drawn)
{
    struct score_mean m = { .n = (int64_t)n, .mean = mean };
    m.low = stat_quantile(drawn, DRAWS, 0.025);
    m.high = stat_quantile(drawn, DRAWS, 0.975);
    return m;
}

static double mean_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return n ? sum / (double)n : 0;
}

int scores_split(const double *score, const uint8_t *dirty, size_t n, uint64_t seed, struct score_split *out, struct err *err)
{
    double *v = mem_alloc_array(n + 1, sizeof *v), *drawn = mem_alloc_array(3 * DRAWS, sizeof *drawn);
    const int rc = v && drawn ? 0 : ERR(err, NOMEM, "no memory for %zu scores", n);
    size_t n_of[2] = { 0, 0 };
    *out = (struct score_split){ .clean.n = 0 };
    for (int d = 0; d < 2 && !rc; d++) {
        double *own = v + (d ? n_of[0] : 0);
        for (size_t i = 0; i < n; i++)
            if (dirty[i] == d)
                own[n_of[d]++] = score[i];
        if (n_of[d])
            draw(own, n_of[d], rng_key(seed, d ? "dirty" : "clean"), drawn + d * DRAWS);
    }
    if (!rc) {
        const double clean = mean_of(v, n_of[0]), held = mean_of(v + n_of[0], n_of[1]);
        for (int k = 0; k < DRAWS; k++)
            drawn[2 * DRAWS + k] = drawn[DRAWS + k] - drawn[k];
        out->clean = n_of[0] ? interval(clean, n_of[0], drawn) : out->clean;
        out->dirty = n_of[1] ? interval(held, n_of[1], drawn + DRAWS) : out->dirty;
        out->gain = n_of[0] && n_of[1] ? interval(held - clean, n, drawn + 2 * DRAWS) : out->gain;
    }
    mem_free(v);
    mem_free(drawn);
    return rc;
}

/* ---- files ---- */

struct item { uint64_t set, file; int64_t line; uint8_t dirty, scored; double score; };

struct reading { struct scores *s; struct item *item; size_t n, cap; uint64_t set, only; int n_set; };

static int add_item(struct reading *x, const json_t *o, const char *where, struct err *err)
{
    const char *set, *file;
    struct item t = { .dirty = 0 };
    TRY(tree_str(o, "set", NULL, &set, where, err));
    TRY(tree_int(o, "line", 0, 1, INT64_MAX, &t.line, where, err));
    if (!set)
        return ERR(err, FORMAT, "%s: there is no member 'set'", where);
    TRY(tree_str(o, "file", "", &file, where, err));
    t.set = hash64(set, strlen(set), 0), t.file = hash64(file, strlen(file), 0);
    for (int m = 0; m < N_CONTAM_METHOD; m++) {
        const json_t *of = json_object_get(o, contam_method_name((enum contam_method)m));
        x->s->methods |= of ? 1u << m : 0;
        t.dirty |= (uint8_t)(json_is_true(json_object_get(of, "dirty")) << m);
    }
    if (x->n == x->cap) {
        const size_t cap = x->cap ? 2 * x->cap : 256;
        struct item *more = mem_realloc_array(x->item, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu items", cap);
        x->item = more, x->cap = cap;
    }
    x->n_set += !x->n || t.set != x->item[x->n - 1].set;         /* more than one, if not how many */
    x->item[x->n++] = t;
    return 0;
}

static int by_place(const void *p, const void *q)
{
    const struct item *a = p, *b = q;
    return a->set != b->set ? (a->set > b->set) - (a->set < b->set) : (a->line > b->line) - (a->line < b->line);
}

/* The item at this place, of two files of one set the one of key->file; NULL: none.  more: there are several. */
static struct item *find_item(const struct reading *x, const struct item *key, bool of_file, bool *more)
{
    struct item *t = bsearch(key, x->item, x->n, sizeof *t, by_place), *end = x->item + x->n, *found = NULL;
    *more = false;
    if (!t)
        return NULL;
    while (t > x->item && !by_place(t - 1, key))
        t--;
    for (; t < end && !by_place(t, key); t++)
        if (!of_file || t->file == key->file)
            *more = found != NULL, found = t;
    return found;
}

static int add_score(struct reading *x, const json_t *o, const char *where, struct err *err)
{
    const char *set, *file;
    bool more;
    struct item key = { .set = x->only };
    TRY(tree_str(o, "set", NULL, &set, where, err));
    TRY(tree_int(o, "line", 0, 1, INT64_MAX, &key.line, where, err));
    TRY(tree_str(o, "file", NULL, &file, where, err));
    key.file = file ? hash64(file, strlen(file), 0) : 0;
    if (!json_is_number(json_object_get(o, "score")))
        return ERR(err, FORMAT, "%s: 'score' is no number", where);
    if (!set && !x->only && x->n_set > 1)
        return ERR(err, FORMAT, "%s: there is no member 'set', and the audit was held against more than one", where);
    key.set = set ? hash64(set, strlen(set), 0) : x->only ? x->only : x->item[0].set;
    if (x->only && key.set != x->only)
        return 0;
    struct item *t = find_item(x, &key, file, &more);
    if (!t)
        return ERR(err, NOTFOUND, "%s: no item of the audit's evaluation sets stands at line %lld of '%s'%s%s", where, (long long)key.line, set ? set : "the set", file ? " in " : "", file ? file : "");
    if (more)
        return ERR(err, FORMAT, "%s: '%s' has items at line %lld in several files, expected \"file\" as contamination.jsonl names it", where, set ? set : "the set", (long long)key.line);
    if (t->scored)
        return ERR(err, FORMAT, "%s: line %lld of '%s' has a score already", where, (long long)key.line, set ? set : "the set");
    t->score = json_number_value(json_object_get(o, "score")), t->scored = 1;
    return 0;
}

/* A line of JSON each. */
static int each_line(struct reading *x, const char *path, int (*line)(struct reading *x, const json_t *o, const char *where, struct err *err), struct err *err)
{
    struct reader *r;
    struct raw_record raw;
    int rc;
    TRY(reader_open(&r, path, &(struct reader_opts){ .format = RECORD_JSONL }, err));
    while ((rc = reader_next(r, &raw, err)) > 0) {
        char where[600];
        json_t *o = NULL;
        snprintf(where, sizeof where, "%.500s, line %lld", path, (long long)raw.line);
        rc = raw.data ? tree_parse_json(&o, raw.data, raw.n, where, err) : ERR(err, RANGE, "%s: it has %zu bytes", where, raw.n);
        if (!rc && !json_is_object(o))
            rc = ERR(err, FORMAT, "%s: expected an object", where);
        rc = rc ? rc : line(x, o, where, err);
        json_decref(o);
        if (rc < 0)
            break;
    }
    reader_free(r);
    return rc;
}

static int keep_scored(struct reading *x, struct err *err)
{
    struct scores *s = x->s;
    s->score = mem_alloc_array(x->n + 1, sizeof *s->score);
    s->dirty = mem_alloc_array(x->n + 1, 1);
    if (!s->score || !s->dirty)
        return ERR(err, NOMEM, "no memory for %zu scores", x->n);
    for (size_t i = 0; i < x->n; i++) {
        const struct item *t = &x->item[i];
        s->n_without += !t->scored && (!x->only || t->set == x->only);
        if (t->scored)
            s->score[s->n] = t->score, s->dirty[s->n++] = t->dirty;
    }
    return 0;
}

int scores_read(struct scores *s, const char *items, const char *scores, const char *set, struct err *err)
{
    struct reading x = { .s = s, .only = set ? hash64(set, strlen(set), 0) : 0 };
    *s = (struct scores){ .n = 0 };
    int rc = each_line(&x, items, add_item, err);
    if (!rc && !x.n)
        rc = ERR(err, FORMAT, "'%s' has no items", items);
    if (!rc) {
        qsort(x.item, x.n, sizeof *x.item, by_place);
        rc = each_line(&x, scores, add_score, err);
    }
    rc = rc ? rc : keep_scored(&x, err);
    mem_free(x.item);
    return rc;
}

void scores_release(struct scores *s)
{
    mem_free(s->score);
    mem_free(s->dirty);
    *s = (struct scores){ .n = 0 };
}
