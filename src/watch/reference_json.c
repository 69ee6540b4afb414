/* A closed reference as JSON, and back:
 *   {"format": "lathe-reference", "version": 1, "seed": 0, "keep": 2048, "events": 5000, "signals": [
 *     {"name": "nll", "kind": "number", "events": 5000, "missing": 0, "values": [ascending], "values_missing": 0},
 *     {"name": "language", "kind": "category", "events": 5000, "missing": 0, "categories": [["en", 1200, 3600], [null (missing), 50, 150]]},
 *     {"name": "state", "kind": "vector", "dim": 64, "events": 5000, "missing": 0, "mean": [64], "directions": [[64] ..], "residual": true,
 *      "coordinates": [[one for each direction, and the residual] ..]}]} */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "watch/reference_impl.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"

#define FORMAT "lathe-reference"
#define EVENTS_MAX ((int64_t)1 << 52)

/* ---- out ---- */

static json_t *numbers(const double *v, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n && a; i++)
        if (json_array_append_new(a, json_real(v[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *rows(const double *v, int n, int width)
{
    json_t *a = json_array();
    for (int i = 0; i < n && a; i++)
        if (json_array_append_new(a, numbers(v + (size_t)i * (size_t)width, (size_t)width))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *number_json(const struct ref_signal *s)
{
    int lacking = 0;
    while (lacking < s->n_sorted && isinf(s->sorted[lacking]))
        lacking++;
    return json_pack("{s:o, s:i}", "values", numbers(s->sorted + lacking, (size_t)(s->n_sorted - lacking)), "values_missing", lacking);
}

static json_t *category_json(const struct ref_signal *s)
{
    json_t *a = json_array();
    for (int c = 0; c < s->n_category && a; c++) {
        const struct ref_category *x = &s->category[c];
        json_t *one = json_pack("[s?, I, I]", strcmp(x->name, REF_MISSING) != 0 ? x->name : NULL, (json_int_t)x->n[0], (json_int_t)x->n[1]);
        if (json_array_append_new(a, one)) {
            json_decref(a);
            return NULL;
        }
    }
    return json_pack("{s:o}", "categories", a);
}

static json_t *vector_json(const struct ref_signal *s)
{
    const struct ref_space *p = &s->space;
    json_t *mean = numbers(p->mean, (size_t)p->d), *directions = rows(p->direction, p->r, p->d);
    return json_pack("{s:i, s:o, s:o, s:b, s:o}", "dim", s->dim, "mean", mean, "directions", directions, "residual", p->residual,
                     "coordinates", rows(s->coordinate, s->n_coordinate, p->r + p->residual));
}

int reference_to_json(json_t **out, const struct reference *r, struct err *err)
{
    *out = NULL;
    if (!r->closed)
        return ERR(err, USAGE, "an open reference has no file: expected a closed one");
    json_t *signals = json_array(), *o = json_pack("{s:s, s:i, s:I, s:i, s:I, s:o}", "format", FORMAT, "version", 1, "seed", (json_int_t)r->seed, "keep",
                                                   r->keep,
                                                   "events", (json_int_t)r->n, "signals", signals);
    int rc = o ? 0 : -1;
    for (int i = 0; i < r->n_signal && !rc; i++) {
        const struct ref_signal *s = &r->signal[i];
        json_t *one = json_pack("{s:s, s:s, s:I, s:I}", "name", s->name, "kind", watch_kind_name(s->kind), "events", (json_int_t)s->n, "missing",
                                (json_int_t)s->n_missing);
        json_t *rest = s->kind == WATCH_NUMBER ? number_json(s) : s->kind == WATCH_CATEGORY ? category_json(s) : vector_json(s);
        rc = !one || !rest || json_object_update(one, rest) ? -1 : 0;
        json_decref(rest);
        if (json_array_append_new(signals, one))
            rc = -1;
    }
    if (rc) {
        json_decref(o);
        return ERR(err, NOMEM, "no memory for the reference's JSON");
    }
    *out = o;
    return 0;
}

/* ---- in ---- */

struct at { const char *file, *signal; };
#define BAD(at, ...) bad((at), err, __VA_ARGS__)
__attribute__((format(printf, 3, 4))) static int bad(const struct at *at, struct err *err, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return ERR(err, FORMAT, "%s: signal '%s': %s", at->file, at->signal, text);
}

static int array_of(const json_t *o, const char *key, size_t least, size_t most, const json_t **out, const struct at *at, struct err *err)
{
    *out = json_object_get(o, key);
    if (!json_is_array(*out) || json_array_size(*out) < least || json_array_size(*out) > most)
        return BAD(at, "%s: expected an array of %zu to %zu", key, least, most);
    return 0;
}

static int read_numbers(const json_t *a, double *v, const char *key, const struct at *at, struct err *err)
{
    for (size_t i = 0; i < json_array_size(a); i++) {
        const json_t *x = json_array_get(a, i);
        if (!json_is_number(x) || !isfinite(json_number_value(x)))
            return BAD(at, "%s: entry %zu is not a number", key, i + 1);
        v[i] = json_number_value(x);
    }
    return 0;
}

static int read_rows(const json_t *o, const char *key, size_t least, size_t most, size_t width, double **out, int *n, const struct at *at, struct err *err)
{
    const json_t *a, *row;
    size_t i;
    TRY(array_of(o, key, least, most, &a, at, err));
    *out = mem_alloc_array(json_array_size(a) * width, sizeof **out);
    if (!*out)
        return ERR(err, NOMEM, "no memory for %s", key);
    json_array_foreach(a, i, row) {
        if (!json_is_array(row) || json_array_size(row) != width)
            return BAD(at, "%s: row %zu: expected %zu numbers", key, i + 1, width);
        TRY(read_numbers(row, *out + i * width, key, at, err));
    }
    *n = (int)json_array_size(a);
    return 0;
}

static int read_number(struct ref_signal *s, int keep, const json_t *o, const struct at *at, struct err *err)
{
    const json_t *a;
    int64_t lacking;
    TRY(array_of(o, "values", 0, (size_t)keep, &a, at, err));
    const int n = (int)json_array_size(a);
    TRY(tree_int(o, "values_missing", 0, 0, keep - n, &lacking, at->file, err));
    if (n + lacking < REFERENCE_LEAST)
        return BAD(at, "found %d values, expected at least %d", n + (int)lacking, REFERENCE_LEAST);
    s->sorted = mem_alloc_array((size_t)(n + lacking), sizeof *s->sorted);
    if (!s->sorted)
        return ERR(err, NOMEM, "no memory for %d values", n);
    s->n_sorted = n + (int)lacking;
    for (int64_t i = 0; i < lacking; i++)
        s->sorted[i] = (double)-INFINITY;
    TRY(read_numbers(a, s->sorted + lacking, "values", at, err));
    for (int i = 1; i < s->n_sorted; i++)
        if (s->sorted[i] < s->sorted[i - 1])
            return BAD(at, "values: entry %d is smaller than the one before", i - (int)lacking + 1);
    return 0;
}

static int read_category(struct ref_signal *s, const json_t *row, int64_t *all, const struct at *at, struct err *err)
{
    const json_t *name = json_array_get(row, 0), *n0 = json_array_get(row, 1), *n1 = json_array_get(row, 2);
    if (json_array_size(row) != 3 || !(json_is_string(name) || json_is_null(name)) || !json_is_integer(n0) || !json_is_integer(n1))
        return BAD(at, "categories: expected a name or null and two counts in each row");
    const int64_t n[2] = { json_integer_value(n0), json_integer_value(n1) };
    if (n[0] < 0 || n[1] < 0 || n[0] > EVENTS_MAX || n[1] > EVENTS_MAX || (*all += n[0] + n[1]) > EVENTS_MAX || n[0] + n[1] == 0)
        return BAD(at, "categories: counts of %" PRId64 " and %" PRId64 " are not possible", n[0], n[1]);
    char text[WATCH_NAME + 1] = REF_MISSING;
    if (json_is_string(name))
        ref_text(&WATCH_OF_TEXT(json_string_value(name), json_string_length(name)), text);
    if (ref_category_find(s, text) >= 0)
        return BAD(at, "categories: a name is there twice");
    const int c = ref_category_add(s, text, err);
    TRY(c);
    s->category[c].n[0] = n[0], s->category[c].n[1] = n[1];
    return 0;
}

static int read_categories(struct ref_signal *s, const json_t *o, const struct at *at, struct err *err)
{
    const json_t *a, *row;
    size_t i;
    int64_t all = 0;
    TRY(array_of(o, "categories", 1, WATCH_CATEGORIES, &a, at, err));
    json_array_foreach(a, i, row)
        TRY(read_category(s, row, &all, at, err));
    if (all != s->n || all < REFERENCE_LEAST)
        return BAD(at, "categories: found %" PRId64 " events, expected %" PRId64 ", and at least %d", all, s->n, REFERENCE_LEAST);
    ref_categories_order(s);
    return 0;
}

static int read_vector(struct ref_signal *s, int keep, const json_t *o, const struct at *at, struct err *err)
{
    struct ref_space *p = &s->space;
    const json_t *a;
    TRY(array_of(o, "mean", (size_t)s->d, (size_t)s->d, &a, at, err));
    p->d = s->d;
    p->mean = mem_alloc_array((size_t)s->d, sizeof *p->mean);
    if (!p->mean)
        return ERR(err, NOMEM, "no memory for a mean");
    TRY(read_numbers(a, p->mean, "mean", at, err));
    TRY(tree_bool(o, "residual", false, &p->residual, at->file, err));
    TRY(read_rows(o, "directions", 1, s->d < WATCH_COORDINATES ? (size_t)s->d : WATCH_COORDINATES, (size_t)s->d, &p->direction, &p->r, at, err));
    ref_space_measure(p);
    for (int k = 0; k < p->r; k++)
        if (!(p->length2[k] > 0) || isinf(p->length2[k]))
            return BAD(at, "directions: row %d has no length", k + 1);
    return read_rows(o, "coordinates", REFERENCE_LEAST / 2, (size_t)keep, (size_t)(p->r + p->residual), &s->coordinate, &s->n_coordinate, at, err);
}

static int read_signal(struct reference *r, const json_t *o, const char *where, struct err *err)
{
    const char *name, *kind;
    int64_t dim;
    TRY(tree_str(o, "name", "", &name, where, err));
    TRY(tree_str(o, "kind", "", &kind, where, err));
    TRY(tree_int(o, "dim", 0, 0, WATCH_DIM, &dim, where, err));
    const int k = word_index(kind, strlen(kind), "number|category|vector");
    if (k < 0)
        return ERR(err, FORMAT, "%s: signal '%.60s': found kind '%.60s', expected number, category or vector", where, name, kind);
    if (reference_signal(r, name, (enum watch_kind)k, (int)dim, err) < 0)
        return err && err->code == ERR_NOMEM ? ERR_NOMEM : err_context(err, "%s", where);
    struct ref_signal *s = &r->signal[r->n_signal - 1];
    const struct at at = { where, s->name };
    TRY(tree_int(o, "events", 0, REFERENCE_LEAST, EVENTS_MAX, &s->n, where, err));
    TRY(tree_int(o, "missing", 0, 0, s->n, &s->n_missing, where, err));
    if (s->n < REFERENCE_LEAST)
        return BAD(&at, "events: found %" PRId64 ", expected at least %d", s->n, REFERENCE_LEAST);
    TRY(ref_signs(s, err));
    if (k == WATCH_CATEGORY)
        return read_categories(s, o, &at, err);
    return k == WATCH_NUMBER ? read_number(s, r->keep, o, &at, err) : read_vector(s, r->keep, o, &at, err);
}

int reference_from_json(struct reference **out, const json_t *o, const char *where, struct err *err)
{
    const char *format;
    int64_t version, seed, keep, n;
    const json_t *signals, *one;
    size_t i;
    *out = NULL;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: expected an object", where);
    TRY(tree_str(o, "format", "", &format, where, err));
    if (strcmp(format, FORMAT) != 0)
        return ERR(err, FORMAT, "%s: found format '%.60s', expected '%s'", where, format, FORMAT);
    TRY(tree_int(o, "version", 0, INT64_MIN, INT64_MAX, &version, where, err));
    if (version != 1)
        return ERR(err, UNSUPPORTED, "%s: found version %" PRId64 ", expected 1", where, version);
    TRY(tree_int(o, "seed", 0, INT64_MIN, INT64_MAX, &seed, where, err));
    TRY(tree_int(o, "keep", 0, REFERENCE_LEAST, 65536, &keep, where, err));
    TRY(tree_int(o, "events", 0, 0, EVENTS_MAX, &n, where, err));
    signals = json_object_get(o, "signals");
    if (!json_is_array(signals) || !json_array_size(signals))
        return ERR(err, FORMAT, "%s: signals: expected an array of one and more", where);
    struct reference *r;
    TRY(reference_new(&r, &(struct reference_opts){ .seed = (uint64_t)seed, .keep = (int)keep }, err));
    int rc = 0;
    json_array_foreach(signals, i, one)
        if (!rc)
            rc = json_is_object(one) ? read_signal(r, one, where, err) : ERR(err, FORMAT, "%s: signal %zu: expected an object", where, i + 1);
    if (rc < 0) {
        reference_free(r);
        return rc;
    }
    r->n = n, r->closed = true;
    *out = r;
    return 0;
}
