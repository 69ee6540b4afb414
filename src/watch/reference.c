/* Events are kept by the least of random numbers: of any order of events a uniform sample, and of two references' union as well. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "watch/reference_impl.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "eval/order.h"

enum { KEEP = 2048, KEEP_MAX = 65536 };

const char *watch_kind_name(enum watch_kind kind)
{
    static const char *const names[] = { "number", "category", "vector" };
    return names[kind];
}

int reference_new(struct reference **out, const struct reference_opts *o, struct err *err)
{
    *out = NULL;
    const int keep = o && o->keep ? o->keep : KEEP;
    if (keep < REFERENCE_LEAST || keep > KEEP_MAX)
        return ERR(err, RANGE, "keep: found %d, expected %d to %d", keep, REFERENCE_LEAST, KEEP_MAX);
    struct reference *r = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory for a reference");
    r->seed = o ? o->seed : 0, r->keep = keep;
    *out = r;
    return 0;
}

void reference_free(struct reference *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_signal; i++) {
        struct ref_signal *s = &r->signal[i];
        for (int c = 0; c < s->n_category; c++)
            mem_free(s->category[c].name);
        mem_free(s->kept), mem_free(s->vector), mem_free(s->sign), mem_free(s->category), mem_free(s->index), mem_free(s->sorted);
        mem_free(s->space.mean), mem_free(s->space.direction), mem_free(s->coordinate);
    }
    mem_free(r->signal), mem_free(r);
}

/* ---- signals ---- */

int reference_count(const struct reference *r) { return r->n_signal; }
const char *reference_name(const struct reference *r, int i) { return r->signal[i].name; }
enum watch_kind reference_kind(const struct reference *r, int i) { return r->signal[i].kind; }
int reference_dim(const struct reference *r, int i) { return r->signal[i].dim; }
int64_t reference_events(const struct reference *r) { return r->n; }
bool reference_closed(const struct reference *r) { return r->closed; }
uint64_t reference_seed(const struct reference *r) { return r->seed; }

int reference_find(const struct reference *r, const char *name)
{
    for (int i = 0; i < r->n_signal; i++)
        if (!strcmp(r->signal[i].name, name))
            return i;
    return -1;
}

int reference_signal(struct reference *r, const char *name, enum watch_kind kind, int dim, struct err *err)
{
    if (r->closed || r->n)
        return ERR(err, USAGE, "signal '%s': expected before the first event", name);
    if (!*name || strlen(name) > WATCH_NAME || !utf8_is_plain(name, strlen(name)))
        return ERR(err, RANGE, "signal '%.60s': expected a name of 1 to %d bytes, UTF-8 without control characters", name, WATCH_NAME);
    if (reference_find(r, name) >= 0)
        return ERR(err, RANGE, "signal '%s': there are two of that name", name);
    if (r->n_signal == WATCH_SIGNALS)
        return ERR(err, RANGE, "signal '%s': expected at most %d signals", name, WATCH_SIGNALS);
    if (kind == WATCH_VECTOR && (dim < 1 || dim > WATCH_DIM))
        return ERR(err, RANGE, "signal '%s': found a vector of %d, expected 1 to %d numbers", name, dim, WATCH_DIM);
    if (r->n_signal == r->cap_signal) {
        const int cap = r->cap_signal ? 2 * r->cap_signal : 8;
        struct ref_signal *more = mem_realloc_array(r->signal, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for signal '%s'", name);
        r->signal = more, r->cap_signal = cap;
    }
    struct ref_signal *s = &r->signal[r->n_signal];
    *s = (struct ref_signal){ .kind = kind, .key = rng_key(r->seed, name) };
    strcpy(s->name, name);
    if (kind == WATCH_VECTOR)
        s->dim = dim, s->d = dim < WATCH_PROJECTED ? dim : WATCH_PROJECTED;
    r->n_signal++;
    return 0;
}

/* ---- numbers and vectors ---- */

double ref_number(double x)
{
    return isnan(x) ? (double)-INFINITY : isinf(x) ? copysign(DBL_MAX, x) : x;
}

bool ref_vector_given(const struct ref_signal *s, const struct watch_value *v)
{
    for (int j = 0; j < s->dim && v->state == WATCH_GIVEN; j++)
        if (!isfinite(v->vector[j]))
            return false;
    return v->state == WATCH_GIVEN;
}

int ref_signs(struct ref_signal *s, struct err *err)
{
    if (s->dim <= WATCH_PROJECTED || s->sign)
        return 0;
    const size_t n = (size_t)s->dim * (WATCH_PROJECTED / 64);
    s->sign = mem_alloc_array(n, sizeof *s->sign);
    if (!s->sign)
        return ERR(err, NOMEM, "signal '%s': no memory for the projection of %d numbers", s->name, s->dim);
    for (size_t i = 0; i < n; i++)
        s->sign[i] = rng_u64(rng_key(0, "watch projection"), i);       /* the same in every reference */
    return 0;
}

void ref_project(const struct ref_signal *s, const float *v, float *out)
{
    if (s->dim <= WATCH_PROJECTED) {
        memcpy(out, v, (size_t)s->dim * sizeof *v);
        return;
    }
    double sum[WATCH_PROJECTED] = { 0 };
    for (int j = 0; j < s->dim; j++)
        for (int w = 0; w < WATCH_PROJECTED / 64; w++) {
            const uint64_t bits = s->sign[(size_t)j * (WATCH_PROJECTED / 64) + (size_t)w];
            for (int b = 0; b < 64; b++)
                sum[64 * w + b] += bits >> b & 1 ? (double)v[j] : -(double)v[j];
        }
    for (int i = 0; i < WATCH_PROJECTED; i++)
        out[i] = (float)fmax(-FLT_MAX, fmin(FLT_MAX, sum[i] / 16));
}

static void sift_down(struct ref_kept *heap, int n, int i)
{
    for (int c; (c = 2 * i + 1) < n; i = c) {
        c += c + 1 < n && heap[c + 1].priority > heap[c].priority;
        if (heap[i].priority >= heap[c].priority)
            return;
        const struct ref_kept x = heap[i];
        heap[i] = heap[c], heap[c] = x;
    }
}

/* Keeps an event if its priority is among the least; *row: where its vector goes, -1: it is not kept. */
static int keep(const struct reference *r, struct ref_signal *s, uint64_t priority, double number, int *row, struct err *err)
{
    if (!s->kept) {
        s->kept = mem_alloc_array((size_t)r->keep, sizeof *s->kept);
        if (!s->kept)
            return ERR(err, NOMEM, "signal '%s': no memory for %d events", s->name, r->keep);
    }
    if (s->kind == WATCH_VECTOR && !s->vector) {
        s->vector = mem_alloc_array((size_t)r->keep * (size_t)s->d, sizeof *s->vector);
        if (!s->vector)
            return ERR(err, NOMEM, "signal '%s': no memory for %d vectors", s->name, r->keep);
    }
    *row = -1;
    if (s->n_kept < r->keep) {
        int i = s->n_kept++;
        *row = i;
        const struct ref_kept x = { priority, number, i };
        for (; i && s->kept[(i - 1) / 2].priority < priority; i = (i - 1) / 2)
            s->kept[i] = s->kept[(i - 1) / 2];
        s->kept[i] = x;
    } else if (priority < s->kept[0].priority) {
        *row = s->kept[0].slot;
        s->kept[0].priority = priority, s->kept[0].number = number;
        sift_down(s->kept, s->n_kept, 0);
    }
    return 0;
}

static int add_vector(struct reference *r, struct ref_signal *s, const float *v, struct err *err)
{
    int row;
    TRY(ref_signs(s, err));
    TRY(keep(r, s, rng_u64(s->key, (uint64_t)s->n), 0, &row, err));
    if (row >= 0)
        ref_project(s, v, s->vector + (size_t)row * (size_t)s->d);
    return 0;
}

/* ---- categories ---- */

void ref_text(const struct watch_value *v, char out[WATCH_NAME + 1])
{
    if (v->state == WATCH_MISSING) {
        strcpy(out, REF_MISSING);
    } else if (v->n_text <= WATCH_NAME && utf8_is_plain(v->text, v->n_text)) {
        memcpy(out, v->text, v->n_text);
        out[v->n_text] = 0;
    } else {
        snprintf(out, WATCH_NAME + 1, "#%016llx", (unsigned long long)hash64(v->text, v->n_text, 0));
    }
}

static int place_of(const struct ref_signal *s, const char *name)
{
    unsigned at = (unsigned)hash64(name, strlen(name), 1) & (unsigned)(s->n_index - 1);
    while (s->index[at] && strcmp(s->category[s->index[at] - 1].name, name) != 0)
        at = (at + 1) & (unsigned)(s->n_index - 1);
    return (int)at;
}

int ref_category_find(const struct ref_signal *s, const char *name)
{
    return s->n_index ? s->index[place_of(s, name)] - 1 : -1;
}

static int index_grow(struct ref_signal *s, struct err *err)
{
    const int n = s->n_index ? 2 * s->n_index : 64;
    int32_t *more = mem_alloc_array((size_t)n, sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "signal '%s': no memory for %d categories", s->name, n);
    mem_free(s->index);
    s->index = more, s->n_index = n;
    for (int c = 0; c < s->n_category; c++)
        s->index[place_of(s, s->category[c].name)] = c + 1;
    return 0;
}

int ref_category_add(struct ref_signal *s, const char *name, struct err *err)
{
    if (s->n_category == WATCH_CATEGORIES)
        return ERR(err, RANGE, "signal '%s': found more than %d categories, expected fewer: is it a number, or a text?", s->name, WATCH_CATEGORIES);
    if (2 * (s->n_category + 1) > s->n_index)
        TRY(index_grow(s, err));
    if (s->n_category == s->cap_category) {
        const int cap = s->cap_category ? 2 * s->cap_category : 16;
        struct ref_category *more = mem_realloc_array(s->category, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "signal '%s': no memory for %d categories", s->name, cap);
        s->category = more, s->cap_category = cap;
    }
    char *own = mem_strdup(name);
    if (!own)
        return ERR(err, NOMEM, "signal '%s': no memory for a category", s->name);
    const int at = place_of(s, name);
    s->category[s->n_category] = (struct ref_category){ .name = own };
    s->index[at] = ++s->n_category;
    return s->n_category - 1;
}

static int by_first_count(const void *a, const void *b)
{
    const struct ref_category *x = a, *y = b;
    return x->n[0] != y->n[0] ? (x->n[0] < y->n[0]) - (x->n[0] > y->n[0]) : strcmp(x->name, y->name);
}

double ref_category_key(const struct ref_signal *s, const char *name)
{
    const int c = ref_category_find(s, name);
    return c >= 0 && c < s->n_first ? c : s->n_first + ldexp((double)(hash64(name, strlen(name), 2) >> 11), -53);
}

void ref_categories_order(struct ref_signal *s)
{
    qsort(s->category, (size_t)s->n_category, sizeof *s->category, by_first_count);
    memset(s->index, 0, (size_t)s->n_index * sizeof *s->index);
    for (int c = 0; c < s->n_category; c++)
        s->index[place_of(s, s->category[c].name)] = c + 1;
    s->n_first = 0;
    while (s->n_first < s->n_category && s->category[s->n_first].n[0])
        s->n_first++;
    for (int c = 0; c < s->n_category; c++)
        s->category[c].key = ref_category_key(s, s->category[c].name);
}

static int add_category(struct ref_signal *s, const struct watch_value *v, struct err *err)
{
    char name[WATCH_NAME + 1];
    ref_text(v, name);
    int c = ref_category_find(s, name);
    if (c < 0)
        TRY(c = ref_category_add(s, name, err));
    s->category[c].n[rng_u64(s->key, (uint64_t)s->n) % 4 != 0]++;
    return 0;
}

/* ---- events ---- */

static int add_one(struct reference *r, struct ref_signal *s, const struct watch_value *v, struct err *err)
{
    if (v->state == WATCH_ABSENT)
        return 0;
    const bool missing = v->state == WATCH_MISSING || (s->kind == WATCH_NUMBER && isnan(v->number)) || (s->kind == WATCH_VECTOR && !ref_vector_given(s, v));
    int row;
    if (s->kind == WATCH_NUMBER)
        TRY(keep(r, s, rng_u64(s->key, (uint64_t)s->n), missing ? (double)-INFINITY : ref_number(v->number), &row, err));
    else if (s->kind == WATCH_CATEGORY)
        TRY(add_category(s, v, err));
    else if (!missing)
        TRY(add_vector(r, s, v->vector, err));
    s->n_missing += missing;
    s->n++;
    return 0;
}

int reference_add(struct reference *r, const struct watch_value *value, struct err *err)
{
    if (r->closed)
        return ERR(err, USAGE, "the reference is closed: found an event more");
    for (int i = 0; i < r->n_signal; i++)
        TRY(add_one(r, &r->signal[i], &value[i], err));
    r->n++;
    return 0;
}

static int merge_one(const struct reference *into, struct ref_signal *s, const struct ref_signal *t, struct err *err)
{
    for (int i = 0, row; i < t->n_kept; i++) {
        TRY(keep(into, s, t->kept[i].priority, t->kept[i].number, &row, err));
        if (row >= 0 && s->kind == WATCH_VECTOR)
            memcpy(s->vector + (size_t)row * (size_t)s->d, t->vector + (size_t)t->kept[i].slot * (size_t)t->d, (size_t)s->d * sizeof(float));
    }
    for (int c = 0; c < t->n_category; c++) {
        int at = ref_category_find(s, t->category[c].name);
        if (at < 0)
            TRY(at = ref_category_add(s, t->category[c].name, err));
        s->category[at].n[0] += t->category[c].n[0], s->category[at].n[1] += t->category[c].n[1];
    }
    s->n += t->n, s->n_missing += t->n_missing;
    return 0;
}

int reference_merge(struct reference *into, const struct reference *from, struct err *err)
{
    if (into->closed || from->closed || into->seed == from->seed || into->n_signal != from->n_signal)
        return ERR(err, USAGE, "only open references of the same signals and of different seeds can be merged");
    for (int i = 0; i < into->n_signal; i++) {
        const struct ref_signal *s = &into->signal[i], *t = &from->signal[i];
        if (strcmp(s->name, t->name) != 0 || s->kind != t->kind || s->dim != t->dim)
            return ERR(err, USAGE, "signal %d: '%s' (%s) is to be merged with '%s' (%s)", i + 1, s->name, watch_kind_name(s->kind), t->name,
                       watch_kind_name(t->kind));
    }
    for (int i = 0; i < into->n_signal; i++)
        TRY(merge_one(into, &into->signal[i], &from->signal[i], err));
    into->n += from->n;
    return 0;
}

/* ---- closing ---- */

int ref_kept_by_priority(const void *a, const void *b)
{
    const uint64_t x = ((const struct ref_kept *)a)->priority, y = ((const struct ref_kept *)b)->priority;
    return (x > y) - (x < y);
}

static int close_number(struct ref_signal *s, struct err *err)
{
    double *v = mem_alloc_array((size_t)s->n_kept, sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "signal '%s': no memory for %d values", s->name, s->n_kept);
    for (int i = 0; i < s->n_kept; i++)
        v[i] = s->kept[i].number;
    const int rc = order_sort(v, s->n_kept, err);
    if (rc < 0) {
        mem_free(v);
        return rc;
    }
    s->sorted = v, s->n_sorted = s->n_kept;
    return 0;
}

int reference_close(struct reference *r, struct err *err)
{
    if (r->closed)
        return 0;
    if (!r->n_signal)
        return ERR(err, RANGE, "a reference without any signal");
    for (int i = 0; i < r->n_signal; i++) {
        const struct ref_signal *s = &r->signal[i];
        const int64_t n = s->kind == WATCH_VECTOR ? s->n - s->n_missing : s->n;
        if (n < REFERENCE_LEAST)
            return ERR(err, RANGE, "signal '%s': found %lld events, expected at least %d", s->name, (long long)n, REFERENCE_LEAST);
    }
    for (int i = 0; i < r->n_signal; i++) {
        struct ref_signal *s = &r->signal[i];
        if (s->kind == WATCH_NUMBER && !s->sorted)
            TRY(close_number(s, err));
        else if (s->kind == WATCH_VECTOR && !s->coordinate)
            TRY(ref_space_fit(s, err));
        else if (s->kind == WATCH_CATEGORY)
            ref_categories_order(s);
    }
    for (int i = 0; i < r->n_signal; i++) {
        struct ref_signal *s = &r->signal[i];
        mem_free(s->kept), mem_free(s->vector);
        s->kept = NULL, s->vector = NULL, s->n_kept = 0;
    }
    r->closed = true;
    return 0;
}
