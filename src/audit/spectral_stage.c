/* spectral_stage.c - of labelled texts, class by class, which ones pull its representations in one direction (spectral.h), where a model is given.
 *
 * Of each class at most so many texts are embedded as the memory for vectors allows, every so-many-th of those that are kept; classes of fewer than
 * CLASS_MIN are told and not looked at.  The scores rank records, they do not say that one is poisoned: nothing is dropped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/spectral.h"
#include "audit/stage.h"
#include "base/mem.h"
#include "data/text.h"

#define CLASS_MIN 20
#define CLASSES_MAX 1000
#define CLASS_RECORDS_MAX 4096
#define VECTORS_MAX ((size_t)256 << 20)      /* bytes */
#define EPS 0.05                 /* share of a class that is looked for */
#define EXAMPLES 5
#define RECORDS_SHOWN 100
#define TELL_EVERY 64

/* step: every so-many-th is chosen; first: row of its first vector, of n_row. */
struct class { json_t *told; int64_t n, step, seen; size_t first, n_row, filled; };

struct chosen { int64_t record; int class; };

struct spectral {
    struct audit *a;
    const struct audit_embedder *e;
    json_t *names;                       /* of sources by number: of labels: number of the class */
    json_t *sources;                     /* of the report */
    struct class *class; int n_class; bool too_many;
    struct chosen *chosen; size_t n_chosen;
    int64_t *record;                     /* of the chosen, and of each row */
    int64_t *record_of_row;
    float *vector;                       /* [rows][d] */
};

/* ---- which ---- */

static json_t *source_part(struct spectral *x, int source)
{
    char key[16];
    snprintf(key, sizeof key, "%d", source);
    json_t *part = json_object_get(x->names, key);
    if (part)
        return part;
    json_t *told = json_pack("{s:s, s:[]}", "source", x->a->s->source[source].name, "classes");
    part = told ? json_pack("{s:O}", "", told) : NULL;
    const bool good = part && !json_array_append(x->sources, told) && !json_object_set(x->names, key, part);
    json_decref(part);
    json_decref(told);
    return good ? json_object_get(x->names, key) : NULL;
}

/* The class of a record, -1: none, as there are too many. */
static int class_of(struct spectral *x, int source, const char *label, size_t n, struct err *err)
{
    json_t *part = source_part(x, source), *v = part ? json_object_getn(part, label, n) : NULL;
    if (!part)
        return ERR(err, NOMEM, "no memory for classes");
    if (v)
        return (int)json_integer_value(v);
    if (x->n_class == CLASSES_MAX) {
        x->too_many = true;
        return -1;
    }
    json_t *told = json_pack("{s:s%}", "label", label, n);
    if (!told || json_array_append(json_object_get(json_object_get(part, ""), "classes"), told) || json_object_setn_new(part, label, n, json_integer(x->n_class))) {
        json_decref(told);
        return ERR(err, NOMEM, "no memory for classes");
    }
    x->class[x->n_class].told = told;
    return x->n_class++;
}

/* fn of each kept text that has a label. */
static int each_labelled(struct spectral *x, int (*fn)(struct spectral *x, int64_t record, int class, struct err *err), struct err *err)
{
    const struct audit *a = x->a;
    int rc = 0;
    for (int i = 0; i < a->store.n_segment && !rc; i++) {
        struct segment g;
        TRY(store_segment(&a->store, i, &g, err));
        for (int k = 0; k < g.n && !rc; k++) {
            size_t n;
            const char *label = SEGMENT_ROW(&g, label, char, k, &n);
            const int source = a->s->file[segment_place(&g, k)->file].source;
            if (!n || text_bad_utf8(label, n) < n || !audit_kept(a, g.first + k) || !segment_place(&g, k)->n_text)
                continue;
            const int class = class_of(x, source, label, n, err);
            rc = class < -1 ? class : class < 0 ? 0 : fn(x, g.first + k, class, err);
        }
        segment_release(&g);
    }
    return rc;
}

static int count(struct spectral *x, int64_t record, int class, struct err *err)
{
    (void)record, (void)err;
    x->class[class].n++;
    return 0;
}

static int choose(struct spectral *x, int64_t record, int class, struct err *err)
{
    struct class *c = &x->class[class];
    (void)err;
    if (c->n_row && c->seen++ % c->step == 0)
        x->chosen[x->n_chosen] = (struct chosen){ record, class }, x->record[x->n_chosen++] = record;
    return 0;
}

static int plan(struct spectral *x, struct err *err)
{
    const size_t most = VECTORS_MAX / sizeof *x->vector / (size_t)x->e->d;
    size_t n = 0, each = most / (size_t)(x->n_class ? x->n_class : 1);
    each = each > CLASS_RECORDS_MAX ? CLASS_RECORDS_MAX : each;
    for (int i = 0; i < x->n_class; i++) {
        struct class *c = &x->class[i];
        c->first = n;
        if (c->n < CLASS_MIN || each < CLASS_MIN)
            continue;
        c->step = (c->n + (int64_t)each - 1) / (int64_t)each;
        c->n_row = (size_t)((c->n + c->step - 1) / c->step);
        n += c->n_row;
    }
    x->chosen = mem_alloc_array(n + 1, sizeof *x->chosen);
    x->record = mem_alloc_array(n + 1, sizeof *x->record);
    x->record_of_row = mem_alloc_array(n + 1, sizeof *x->record_of_row);
    x->vector = mem_alloc_array(n + 1, (size_t)x->e->d * sizeof *x->vector);
    return x->chosen && x->record && x->record_of_row && x->vector ? 0 : ERR(err, NOMEM, "no memory for %zu vectors of %d numbers", n, x->e->d);
}

/* ---- vectors ---- */

static int embed(void *ctx, int i, const char *text, size_t n, struct err *err)
{
    struct spectral *x = ctx;
    struct class *c = &x->class[x->chosen[i].class];
    const size_t row = c->first + c->filled++;
    const struct audit_opts *o = x->a->o;
    char what[80];
    x->record_of_row[row] = x->record[i];
    TRY(x->e->embed(x->e->ctx, text, n, x->vector + row * (size_t)x->e->d, err));
    if (!o->progress || i % TELL_EVERY)
        return 0;
    snprintf(what, sizeof what, "embedding labelled records: %d of %zu", i, x->n_chosen);
    return o->progress(o->ctx, x->a->s->n_bytes, what, err);
}

/* ---- what they say ---- */

struct ranked { double score; int64_t record; };

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : (x->record > y->record) - (x->record < y->record);
}

static double rounded(double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", v);
    return strtod(text, NULL);
}

/* Of the squared distances from the mean. */
static double spread(const float *v, size_t n, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)v[i * d + k] / (double)n;
        for (size_t i = 0; i < n; i++)
            sum += ((double)v[i * d + k] - mean) * ((double)v[i * d + k] - mean);
    }
    return sum;
}

static int show(struct spectral *x, const struct class *c, const struct ranked *r, size_t n, double all, struct err *err)
{
    const size_t n_out = (size_t)(1.5 * EPS * (double)n);
    json_t *examples = json_array(), *records = json_array();
    double sum = 0;
    for (size_t i = n; i-- > 0;)
        sum += r[i].score;
    int rc = examples && records && !json_object_set_new(c->told, "share", json_real(rounded(all > 0 ? sum / all : 0))) &&
             !json_object_set_new(c->told, "scores", json_pack("{s:f, s:f, s:f}", "median", rounded(r[n / 2].score), "q95", rounded(r[n / 20].score), "max", rounded(r[0].score))) &&
             !json_object_set(c->told, "highest", records) && !json_object_set(c->told, "examples", examples) ? 0 : ERR(err, NOMEM, "no memory for spectral signatures");
    for (size_t i = 0; i < n_out && i < RECORDS_SHOWN && !rc; i++)
        rc = json_array_append_new(records, json_integer(r[i].record)) ? ERR(err, NOMEM, "no memory for spectral signatures") : 0;
    for (size_t i = 0; i < n_out && i < EXAMPLES && !rc; i++) {
        json_t *o = json_pack("{s:f}", "score", rounded(r[i].score));
        rc = o && !json_array_append_new(examples, o) ? audit_example(x->a, o, r[i].record, 0, 0, err) : ERR(err, NOMEM, "no memory for spectral signatures");
    }
    json_decref(examples);
    json_decref(records);
    return rc;
}

static int judge(struct spectral *x, const struct class *c, struct err *err)
{
    if (json_object_set_new(c->told, "records", json_integer(c->n)) || json_object_set_new(c->told, "embedded", json_integer((json_int_t)c->n_row)))
        return ERR(err, NOMEM, "no memory for spectral signatures");
    if (!c->n_row)
        return 0;
    const float *v = x->vector + c->first * (size_t)x->e->d;
    double *score = mem_alloc_array(c->n_row, sizeof *score);
    struct ranked *r = mem_alloc_array(c->n_row, sizeof *r);
    int rc = score && r ? spectral_scores(v, c->n_row, (size_t)x->e->d, score, err) : ERR(err, NOMEM, "no memory for %zu scores", c->n_row);
    for (size_t i = 0; i < c->n_row && !rc; i++)
        r[i] = (struct ranked){ score[i], x->record_of_row[c->first + i] };
    if (!rc) {
        qsort(r, c->n_row, sizeof *r, by_score);
        rc = show(x, c, r, c->n_row, spread(v, c->n_row, (size_t)x->e->d), err);
    }
    mem_free(score);
    mem_free(r);
    return rc;
}

static int look(struct spectral *x, struct err *err)
{
    x->names = json_object(), x->sources = json_array();
    x->class = mem_alloc_array(CLASSES_MAX, sizeof *x->class);
    if (!x->names || !x->sources || !x->class)
        return ERR(err, NOMEM, "no memory for spectral signatures");
    TRY(each_labelled(x, count, err));
    TRY(plan(x, err));
    TRY(each_labelled(x, choose, err));
    if (x->n_chosen > INT32_MAX)
        return ERR(err, RANGE, "%zu labelled records", x->n_chosen);
    TRY(audit_texts(x->a, x->record, (int)x->n_chosen, embed, x, err));
    for (int i = 0; i < x->n_class; i++)
        TRY(judge(x, &x->class[i], err));
    return audit_report(x->a, "spectral", json_pack("{s:s, s:i, s:f, s:b, s:O}", "model", x->e->name, "numbers", x->e->d, "eps", EPS, "more_classes", x->too_many, "sources", x->sources), err);
}

int stage_spectral(struct audit *a, struct err *err)
{
    struct spectral x = { .a = a, .e = a->o->embedder };
    if (!x.e)
        return 0;
    const int rc = look(&x, err);
    for (int i = 0; i < x.n_class; i++)
        json_decref(x.class[i].told);
    json_decref(x.names);
    json_decref(x.sources);
    mem_free(x.class);
    mem_free(x.chosen);
    mem_free(x.record);
    mem_free(x.record_of_row);
    mem_free(x.vector);
    return rc;
}
