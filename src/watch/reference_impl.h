/* reference_impl.h - what a reference is made of: for the files that build, store and compare references, and for monitors. */
#ifndef WATCH_REFERENCE_IMPL_H
#define WATCH_REFERENCE_IMPL_H
#include "watch/reference.h"

enum { REFERENCE_LEAST = 20 };                   /* events of a signal */

/* One of a number's or vector's events: kept[0] is that with the most priority (a heap), slot its row of vector. */
struct ref_kept { uint64_t priority; double number; int32_t slot; };

/* Counts of the two parts.  key: its place in the order of the cells; the whole numbers are those of part 0, the most frequent first; of others a number
 * from its name behind these. */
struct ref_category { char *name; int64_t n[2]; double key; };
#define REF_MISSING "\1"                         /* the name of what is missing: no name has control characters */

/* coordinates = direction[r][d] (x - mean[d]), each of variance 1 in the half that they come from; with `residual` one more: what is left of x - mean. */
struct ref_space { int d, r; bool residual; double *mean, *direction, length2[WATCH_COORDINATES]; };       /* length2: of each direction, squared */

struct ref_signal {
    char name[WATCH_NAME + 1];
    enum watch_kind kind;
    int dim, d;                                  /* of a vector; of what is kept of it, at most WATCH_PROJECTED */
    uint64_t key;
    int64_t n, n_missing;                        /* events that had it, the missing ones among them */
    struct ref_kept *kept;                       /* open */
    int n_kept;
    float *vector;                               /* [keep][d] */
    uint64_t *sign;                              /* [dim][WATCH_PROJECTED / 64] */
    struct ref_category *category;
    int n_category, cap_category, n_first;       /* n_first: those of part 0, which come first when closed */
    int32_t *index;                              /* [n_index], a power of two: category + 1 by the hash of its name */
    int n_index;
    double *sorted;                              /* closed: numbers, -INFINITY for what is missing */
    int n_sorted;
    struct ref_space space;
    double *coordinate;                          /* [n_coordinate][r + residual] */
    int n_coordinate;
};

struct reference {
    uint64_t seed;
    int keep, n_signal, cap_signal;
    int64_t n;
    bool closed;
    struct ref_signal *signal;
};

/* The name that stands for a category: itself if it is short UTF-8 without control characters, else '#' and the digits of its hash. */
void ref_text(const struct watch_value *v, char out[WATCH_NAME + 1]);
int ref_category_find(const struct ref_signal *s, const char *name);                  /* -1: none */
double ref_category_key(const struct ref_signal *s, const char *name);                /* closed */
/* A category more, without any events.  Returns its place. */
int ref_category_add(struct ref_signal *s, const char *name, struct err *err);
void ref_categories_order(struct ref_signal *s);                                       /* when all counts are there: keys, and the order */
bool ref_vector_given(const struct ref_signal *s, const struct watch_value *v);       /* all its numbers are finite; else it is missing */
/* out[d] of v[dim]. */
void ref_project(const struct ref_signal *s, const float *v, float *out);
int ref_signs(struct ref_signal *s, struct err *err);                                  /* where dim > WATCH_PROJECTED */
/* out[r + residual] of x[d]; returns their number. */
int ref_coordinates(const struct ref_space *p, const float *x, double *out);
void ref_space_measure(struct ref_space *p);                                           /* length2 */
int ref_space_fit(struct ref_signal *s, struct err *err);                                  /* space and coordinates of what was kept */
double ref_number(double x);                                                           /* infinite ones to the largest; NaN to -INFINITY */
int ref_kept_by_priority(const void *a, const void *b);                                 /* for qsort */

#endif
