#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "watch/monitor.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/order.h"
#include "watch/martingale.h"
#include "watch/reference_impl.h"

/* The j-th direction (from 0) is learned after learned_at(j) events, and is looked at until that of j + LIVE is. */
enum { FIRST_DIRECTION = 32, LIVE = 6, FIXED = 3, TRACKS = FIXED + LIVE, CATEGORY_EVENTS = 1 << 20 };

struct track {
    const char *name;
    double part;                         /* of the signal's alpha; 0: there is none */
    uint64_t key;
    int64_t n, began;                    /* values; those of the signal before the first */
    struct cells cells;
    struct martingale *bets;
    struct changepoint *change;
    double weight[WATCH_COORDINATES];    /* of a direction */
};

struct watched {
    const struct ref_signal *of;
    uint64_t key;
    int64_t n, alarmed_at;
    int n_restart, n_direction;          /* directions learned so far */
    double e, e_max;
    int best;
    struct change at_alarm;
    double sum[WATCH_COORDINATES];       /* of where its events lie; halved whenever a direction is learned */
    struct track track[TRACKS];
};

struct monitor {
    const struct reference *reference;
    struct monitor_opts o;
    double threshold;
    int64_t n;
    int n_watched;
    struct watched *watched;
};

const struct reference *monitor_reference(const struct monitor *m) { return m->reference; }
int64_t monitor_events(const struct monitor *m) { return m->n; }

/* ---- tracks ---- */

static void track_end(struct track *t)
{
    cells_release(&t->cells);
    martingale_free(t->bets);
    mem_free(t->change);
    *t = (struct track){ 0 };
}

/* t->cells are made; on failure nothing of the track is left. */
static int track_begin(struct track *t, const char *name, double part, bool ordered, const struct watched *w, const struct monitor *m, struct err *err)
{
    t->name = name, t->part = part, t->began = w->track[0].n;
    t->key = rng_key(w->key + (uint64_t)w->n_restart, name) + (uint64_t)w->n_direction;
    int rc = martingale_new(&t->bets, t->cells.mass, t->cells.n_cell, ordered, m->o.arl > 0, err);
    t->change = rc ? NULL : mem_alloc(sizeof *t->change);
    if (!rc && !t->change)
        rc = ERR(err, NOMEM, "no memory for the history of a signal");
    if (rc < 0)
        track_end(t);
    else
        changepoint_init(t->change, t->cells.mass, t->cells.n_cell);
    return rc;
}

static void track_add(struct track *t, double x)
{
    const int cell = cells_find(&t->cells, x, rng_uniform(t->key, (uint64_t)t->n));
    martingale_add(t->bets, cell);
    changepoint_add(t->change, cell);
    t->n++;
}

/* score[n], which it sorts: a number for each event of the reference. */
static int track_of_scores(struct track *t, const char *name, double part, double *score, int n, const struct watched *w, const struct monitor *m,
                           struct err *err)
{
    TRY(order_sort(score, n, err));
    TRY(cells_new(&t->cells, score, n, w->key ^ (uint64_t)(w->n_restart * 64 + w->n_direction), err));
    return track_begin(t, name, part, true, w, m, err);
}

/* ---- categories ---- */

static int by_key(const void *a, const void *b)
{
    const double x = ((const struct ref_category *)a)->key, y = ((const struct ref_category *)b)->key;
    return (x > y) - (x < y);
}

/* The counted part as keys, at most CATEGORY_EVENTS of them, drawn at random; they come in the order of the keys. */
static int64_t keys_of_counts(const struct ref_signal *s, const struct ref_category *by, uint64_t seed, double *key)
{
    int64_t left = 0, n = 0, seen = 0;
    for (int c = 0; c < s->n_category; c++)
        left += by[c].n[1];
    int64_t want = left < CATEGORY_EVENTS ? left : CATEGORY_EVENTS;
    for (int c = 0; c < s->n_category; c++)
        for (int64_t i = 0; i < by[c].n[1]; i++, left--)
            if (want == left || rng_uniform(seed, (uint64_t)seen++) * (double)left < (double)want)
                key[n++] = by[c].key, want--;
    return n;
}

static int begin_category(struct watched *w, const struct monitor *m, struct err *err)
{
    const struct ref_signal *s = w->of;
    int64_t first = 0, counted = 0, before = 0;
    for (int c = 0; c < s->n_category; c++)
        first += s->category[c].n[0], counted += s->category[c].n[1];
    const int64_t n_key = counted < CATEGORY_EVENTS ? counted : CATEGORY_EVENTS;
    struct ref_category *by = mem_alloc_array((size_t)s->n_category, sizeof *by);
    double *key = mem_alloc_array((size_t)n_key, sizeof *key), *share = mem_alloc_array((size_t)s->n_first, sizeof *share);
    int rc = by && key && share ? 0 : ERR(err, NOMEM, "signal '%s': no memory for %d categories", s->name, s->n_category);
    if (!rc && counted < 1)
        rc = ERR(err, RANGE, "signal '%s': found no counted event, expected some", s->name);
    if (!rc) {
        memcpy(by, s->category, (size_t)s->n_category * sizeof *by);
        qsort(by, (size_t)s->n_category, sizeof *by, by_key);
        const int64_t n = keys_of_counts(s, by, w->key, key);
        for (int c = 0; c < s->n_first; c++)
            share[c] = (double)(before += by[c].n[0]) / (double)first;
        rc = cells_new_at(&w->track[0].cells, key, n, share, s->n_first, w->key, err);
    }
    mem_free(by), mem_free(key), mem_free(share);
    return rc < 0 ? rc : track_begin(&w->track[0], "category", 1, false, w, m, err);
}

/* ---- vectors ---- */

static double distance_of(const double *x, int r)
{
    double sum = 0;
    for (int k = 0; k < r; k++)
        sum += x[k] * x[k];
    return sqrt(sum);
}

/* Of `keep` of the reference's events, drawn at random, those without the vector are 1 and the others 0. */
static int begin_missing(struct track *t, const struct watched *w, const struct monitor *m, struct err *err)
{
    const struct ref_signal *s = w->of;
    const int n = s->n < m->reference->keep ? (int)s->n : m->reference->keep;
    const uint64_t key = rng_key(w->key, "sample of missing");
    int64_t left = s->n_missing;
    double *lacks = mem_alloc_array((size_t)n, sizeof *lacks);
    if (!lacks)
        return ERR(err, NOMEM, "signal '%s': no memory for %d events", s->name, n);
    for (int i = 0; i < n; i++) {
        const bool one = rng_uniform(key, (uint64_t)i) * (double)(s->n - i) < (double)left;
        lacks[i] = one, left -= one;
    }
    const int rc = track_of_scores(t, "missing", 0.0625, lacks, n, w, m, err);
    mem_free(lacks);
    return rc;
}

static int begin_vector(struct watched *w, const struct monitor *m, struct err *err)
{
    const struct ref_signal *s = w->of;
    const int r = s->space.r, width = r + s->space.residual;
    double *score = mem_alloc_array((size_t)s->n_coordinate, sizeof *score);
    if (!score)
        return ERR(err, NOMEM, "signal '%s': no memory for %d scores", s->name, s->n_coordinate);
    for (int i = 0; i < s->n_coordinate; i++)
        score[i] = distance_of(s->coordinate + (size_t)i * (size_t)width, r);
    int rc = track_of_scores(&w->track[0], "distance", 0.25, score, s->n_coordinate, w, m, err);
    if (!rc && s->space.residual) {
        for (int i = 0; i < s->n_coordinate; i++)
            score[i] = s->coordinate[(size_t)i * (size_t)width + (size_t)r];
        rc = track_of_scores(&w->track[1], "residual", 0.1875, score, s->n_coordinate, w, m, err);
    }
    mem_free(score);
    return rc ? rc : begin_missing(&w->track[2], w, m, err);
}

static double along(const double *weight, const double *x, int r)
{
    double sum = 0;
    for (int k = 0; k < r; k++)
        sum += weight[k] * x[k];
    return sum;
}

static int64_t learned_at(int j) { return (int64_t)(FIRST_DIRECTION * exp2(0.5 * j)); }

/* Where the events lie, those before the last direction for half, as a track for those that come. */
static int learn_direction(struct watched *w, const struct monitor *m, struct err *err)
{
    const struct ref_signal *s = w->of;
    const int r = s->space.r, width = r + s->space.residual;
    struct track *t = &w->track[FIXED + w->n_direction % LIVE];
    double *score = mem_alloc_array((size_t)s->n_coordinate, sizeof *score);
    if (!score)
        return ERR(err, NOMEM, "signal '%s': no memory for %d scores", s->name, s->n_coordinate);
    track_end(t);
    if (&w->track[w->best] == t)
        w->best = 0;                     /* until the next look; without memory there is no new one */
    memcpy(t->weight, w->sum, sizeof t->weight);
    for (int i = 0; i < s->n_coordinate; i++)
        score[i] = along(t->weight, s->coordinate + (size_t)i * (size_t)width, r);
    const int rc = track_of_scores(t, "direction", 0.5 / ((w->n_direction + 1.0) * (w->n_direction + 2)), score, s->n_coordinate, w, m, err);
    mem_free(score);
    if (!rc) {
        w->n_direction++;
        for (int k = 0; k < r; k++)
            w->sum[k] /= 2;
    }
    return rc;
}

static int add_vector(struct watched *w, const struct monitor *m, const float *v, struct err *err)
{
    const struct ref_signal *s = w->of;
    const int r = s->space.r;
    float kept[WATCH_PROJECTED];
    double x[WATCH_COORDINATES + 1];
    ref_project(s, v, kept);
    ref_coordinates(&s->space, kept, x);
    const double far = distance_of(x, r);
    if (w->track[0].n == learned_at(w->n_direction))
        TRY(learn_direction(w, m, err));
    track_add(&w->track[0], far);
    if (w->track[1].part > 0)
        track_add(&w->track[1], x[r]);
    for (int i = FIXED; i < TRACKS; i++)
        if (w->track[i].part > 0)
            track_add(&w->track[i], along(w->track[i].weight, x, r));
    for (int k = 0; k < r; k++)
        w->sum[k] += x[k] / fmax(1, far / sqrt(r));
    return 0;
}

/* ---- a signal ---- */

static int watched_begin(struct watched *w, const struct monitor *m, struct err *err)
{
    const struct ref_signal *s = w->of;
    if (s->kind == WATCH_CATEGORY)
        return begin_category(w, m, err);
    if (s->kind == WATCH_VECTOR)
        return begin_vector(w, m, err);
    TRY(cells_new(&w->track[0].cells, s->sorted, s->n_sorted, w->key, err));
    return track_begin(&w->track[0], "value", 1, true, w, m, err);
}

static void watched_end(struct watched *w)
{
    for (int i = 0; i < TRACKS; i++)
        track_end(&w->track[i]);
}

/* 1 if it has the signal. */
static int watched_add(struct watched *w, const struct monitor *m, const struct watch_value *v, struct err *err)
{
    const struct ref_signal *s = w->of;
    if (v->state == WATCH_ABSENT)
        return 0;
    if (s->kind == WATCH_NUMBER) {
        track_add(&w->track[0], v->state == WATCH_MISSING ? (double)-INFINITY : ref_number(v->number));
    } else if (s->kind == WATCH_CATEGORY) {
        char name[WATCH_NAME + 1];
        ref_text(v, name);
        track_add(&w->track[0], ref_category_key(s, name));
    } else {
        const bool given = ref_vector_given(s, v);
        if (given)
            TRY(add_vector(w, m, v->vector, err));
        track_add(&w->track[2], !given);
    }
    w->n++;
    return 1;
}

static void change_of(const struct watched *w, struct change *out)
{
    const struct track *t = &w->track[w->best];
    changepoint_find(t->change, out);
    out->at += t->began, out->low += t->began, out->high += t->began;
    if (w->of->kind == WATCH_CATEGORY)
        out->auc = out->auc_low = out->auc_high = (double)NAN;
}

/* The evidence of all its tracks; true when it is enough for the first time. */
static bool watched_judge(struct watched *w, const struct monitor *m)
{
    w->e = 0;
    for (int i = 0; i < TRACKS; i++) {
        const struct track *t = &w->track[i];
        const double e = t->part > 0 ? t->part * martingale_capital(t->bets) : -1;
        if (e > w->e)
            w->e = e, w->best = i;
    }
    w->e_max = fmax(w->e_max, w->e);
    if (w->alarmed_at || w->e < m->threshold)
        return false;
    w->alarmed_at = m->n;
    change_of(w, &w->at_alarm);
    return true;
}

static void watched_restart(struct watched *w)
{
    w->n = w->alarmed_at = 0, w->e = w->e_max = 0, w->best = 0, w->n_direction = 0, w->n_restart++;
    w->at_alarm = (struct change){ 0 };
    memset(w->sum, 0, sizeof w->sum);
    for (int i = 0; i < TRACKS; i++) {
        struct track *t = &w->track[i];
        if (i >= FIXED) {
            track_end(t);
        } else if (t->part > 0) {
            martingale_clear(t->bets);
            changepoint_init(t->change, t->cells.mass, t->cells.n_cell);
            t->n = t->began = 0, t->key = rng_key(w->key + (uint64_t)w->n_restart, t->name);
        }
    }
}

/* ---- the monitor ---- */

int monitor_new(struct monitor **out, const struct reference *r, const struct monitor_opts *o, struct err *err)
{
    *out = NULL;
    const double alpha = o && o->alpha > 0 ? o->alpha : 0.01;
    if (!r->closed)
        return ERR(err, RANGE, "the reference is open, expected a closed one");
    if (o && (!(o->alpha >= 0 && o->alpha < 1) || !(o->arl == 0 || o->arl >= 1) || isinf(o->arl)))
        return ERR(err, RANGE, "alpha %g, run length %g: expected alpha within 0..1 and a run length of 1 event or more", o->alpha, o->arl);
    struct monitor *m = mem_alloc_zero(sizeof *m);
    struct watched *w = m ? mem_alloc_array((size_t)r->n_signal, sizeof *w) : NULL;
    if (!w) {
        mem_free(m);
        return ERR(err, NOMEM, "no memory for a monitor of %d signals", r->n_signal);
    }
    m->reference = r, m->n_watched = r->n_signal, m->watched = w;
    m->o = o ? *o : (struct monitor_opts){ 0 };
    m->threshold = r->n_signal * (m->o.arl > 0 ? m->o.arl : 1 / alpha);
    for (int i = 0; i < r->n_signal; i++) {
        w[i].of = &r->signal[i];
        w[i].key = rng_key(m->o.seed ^ rng_key(r->seed, "monitor"), r->signal[i].name);
        const int rc = watched_begin(&w[i], m, err);
        if (rc < 0) {
            monitor_free(m);
            return rc;
        }
    }
    *out = m;
    return 0;
}

void monitor_free(struct monitor *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->n_watched; i++)
        watched_end(&m->watched[i]);
    mem_free(m->watched), mem_free(m);
}

int monitor_add(struct monitor *m, const struct watch_value *value, struct err *err)
{
    int n_new = 0;
    m->n++;
    for (int i = 0; i < m->n_watched; i++) {
        const int had = watched_add(&m->watched[i], m, &value[i], err);
        TRY(had);
        n_new += had && watched_judge(&m->watched[i], m);
    }
    return n_new;
}

void monitor_restart(struct monitor *m, int i)
{
    for (int k = 0; k < m->n_watched; k++)
        if (i < 0 || k == i)
            watched_restart(&m->watched[k]);
}

bool monitor_alarmed(const struct monitor *m)
{
    for (int i = 0; i < m->n_watched; i++)
        if (m->watched[i].alarmed_at)
            return true;
    return false;
}

void monitor_state(const struct monitor *m, int i, struct monitor_state *out)
{
    const struct watched *w = &m->watched[i];
    *out = (struct monitor_state){ .n = w->n, .e = w->e, .e_max = w->e_max, .threshold = m->threshold, .alarmed = w->alarmed_at > 0, .alarmed_at = w->alarmed_at, .track = w->track[w->best].name,
                                    .at_alarm = w->at_alarm };
    out->p = m->o.arl > 0 ? (double)NAN : fmin(1, 1 / w->e_max);
    change_of(w, &out->change);
}
