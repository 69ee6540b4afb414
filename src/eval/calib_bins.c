#include "eval/calib_bins.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"

/* ---- columns ---- */

struct keyed { double key; int32_t i; };

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->i > y->i) - (x->i < y->i);
}

/* Of n places in B parts, the first n mod B one longer: where part b begins, and the part of place at. */
static int64_t part_start(int64_t n, int64_t B, int64_t b)
{
    const int64_t q = n / B, r = n % B;
    return b * q + (b < r ? b : r);
}

static int64_t part_of(int64_t n, int64_t B, int64_t at)
{
    const int64_t q = n / B, r = n % B;
    return at < r * (q + 1) ? at / (q + 1) : r + (at - r * (q + 1)) / q;
}

static int mass_bins(const struct calib *c) { return c->n < c->n_bin ? (int)c->n : c->n_bin; }

static void lay_bins(const struct calib *c, struct columns *s, int k, const struct keyed *sorted)
{
    const int64_t n = c->n;
    const size_t base = (size_t)k * (size_t)c->n_bin;
    for (int64_t at = 0; at < n; at++) {
        const int64_t b = (int64_t)fmin(floor(sorted[at].key * c->n_bin), c->n_bin - 1), mass = part_of(n, mass_bins(c), at);
        s->width_bin[(int64_t)sorted[at].i * s->m + k] = (int32_t)b;
        s->width_n[base + (size_t)b]++, s->width_conf[base + (size_t)b] += sorted[at].key;
        s->mass_n[base + (size_t)mass]++, s->mass_conf[base + (size_t)mass] += sorted[at].key;
    }
    for (int64_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && sorted[to].key == sorted[from].key; to++)
            ;
        for (int64_t at = from; at < to; at++) {
            const int64_t j = (int64_t)sorted[at].i * s->m + k;
            s->from[j] = (int32_t)from, s->to[j] = (int32_t)to;
        }
    }
}

static int columns_memory(const struct calib *c, struct columns *s, int m, struct err *err)
{
    const size_t n = (size_t)c->n, bins = (size_t)m * (size_t)c->n_bin;      /* n * m fits: the probabilities have been laid down */
    s->from = mem_alloc_array(n * (size_t)m, sizeof *s->from);
    s->to = mem_alloc_array(n * (size_t)m, sizeof *s->to);
    s->width_bin = mem_alloc_array(n * (size_t)m, sizeof *s->width_bin);
    s->width_n = mem_alloc_array(bins, sizeof(double));
    s->width_conf = mem_alloc_array(bins, sizeof(double));
    s->mass_n = mem_alloc_array(bins, sizeof(double));
    s->mass_conf = mem_alloc_array(bins, sizeof(double));
    if (!s->from || !s->to || !s->width_bin || !s->width_n || !s->width_conf || !s->mass_n || !s->mass_conf)
        return ERR(err, NOMEM, "no memory for the bins of %" PRId64 " items and %d classes", c->n, m);
    s->m = m;
    return 0;
}

static void columns_release(struct columns *s)
{
    mem_free(s->mass_conf);
    mem_free(s->mass_n);
    mem_free(s->width_conf);
    mem_free(s->width_n);
    mem_free(s->width_bin);
    mem_free(s->to);
    mem_free(s->from);
}

static void sort_column(const struct calib *c, int k, struct keyed *sorted)      /* k < 0: the top one */
{
    for (int64_t i = 0; i < c->n; i++)
        sorted[i] = (struct keyed){ k < 0 ? c->conf[i] : c->p[c->start[i] + k], (int32_t)i };
    qsort(sorted, (size_t)c->n, sizeof *sorted, by_key);
}

static int lay_columns(struct calib *c, struct keyed *sorted, struct err *err)
{
    struct calib_columns *x = c->columns;
    TRY(columns_memory(c, &x->top, 1, err));
    sort_column(c, -1, sorted);
    lay_bins(c, &x->top, 0, sorted);
    for (int64_t i = 0; i < c->n; i++)
        x->order[i] = sorted[i].i, x->conf_below[i + 1] = x->conf_below[i] + sorted[i].key;
    if (!c->n_class)
        return 0;
    TRY(columns_memory(c, &x->classes, c->n_class, err));
    for (int k = 0; k < c->n_class; k++) {
        sort_column(c, k, sorted);
        lay_bins(c, &x->classes, k, sorted);
    }
    return 0;
}

static void lay_sums(struct calib *c, bool probs)
{
    struct calib_columns *x = c->columns;
    for (int64_t i = 0; i < c->n; i++) {
        double top = -INFINITY, sum = 0, below = 0;
        for (int64_t j = c->start[i]; j < c->start[i + 1]; j++) {
            top = fmax(top, c->logit[j]);
            x->squares[i] += c->p[j] * c->p[j];
            x->p_below[j] = below += c->p[j];
        }
        for (int64_t j = c->start[i]; j < c->start[i + 1] && !probs; j++)
            sum += exp(c->logit[j] - top);
        x->log_sum[i] = probs ? 0 : top + log(sum);
    }
}

int calib_columns_new(struct calib *c, bool probs, struct err *err)
{
    const size_t n = (size_t)c->n;
    struct calib_columns *x = c->columns = mem_alloc_zero(sizeof *x);
    struct keyed *sorted = mem_alloc_array(n, sizeof *sorted);
    int rc = -1;
    if (x) {
        x->order = mem_alloc_array(n, sizeof *x->order);
        x->conf_below = mem_alloc_array(n + 1, sizeof *x->conf_below);
        x->log_sum = mem_alloc_array(n, sizeof *x->log_sum);
        x->squares = mem_alloc_array(n, sizeof *x->squares);
        x->p_below = mem_alloc_array((size_t)c->start[n], sizeof *x->p_below);
    }
    if (!x || !sorted || !x->order || !x->conf_below || !x->log_sum || !x->squares || !x->p_below)
        rc = ERR(err, NOMEM, "no memory for the bins of %" PRId64 " items", c->n);
    else if ((rc = lay_columns(c, sorted, err)) >= 0)
        lay_sums(c, probs);
    mem_free(sorted);
    return rc;
}

void calib_columns_free(struct calib_columns *x)
{
    if (!x)
        return;
    mem_free(x->p_below);
    mem_free(x->squares);
    mem_free(x->log_sum);
    mem_free(x->conf_below);
    mem_free(x->order);
    columns_release(&x->classes);
    columns_release(&x->top);
    mem_free(x);
}

/* ---- metrics of labels, the items' own or drawn ones ---- */

struct work { int32_t *label; double *hit_below, *width, *mass; };      /* [n], [n+1], [m*n_bin] twice */

static int work_memory(const struct calib *c, struct work *w, struct err *err)
{
    const size_t m = c->n_class ? (size_t)c->n_class : 1, bins = m * (size_t)c->n_bin;
    w->label = mem_alloc_array((size_t)c->n, sizeof *w->label);
    w->hit_below = mem_alloc_array((size_t)c->n + 1, sizeof *w->hit_below);
    w->width = mem_alloc_array(bins, sizeof *w->width);
    w->mass = mem_alloc_array(bins, sizeof *w->mass);
    return w->label && w->hit_below && w->width && w->mass ? 0 : ERR(err, NOMEM, "no memory to measure %" PRId64 " items", c->n);
}

static void work_release(struct work *w)
{
    mem_free(w->mass);
    mem_free(w->width);
    mem_free(w->hit_below);
    mem_free(w->label);
}

/* One item's outcome goes to its bin of equal mass; where its confidence is that of several bins' items, to each in its share. */
static void add_mass(const struct calib *c, const struct columns *s, int64_t j, double *mass)
{
    const int64_t from = s->from[j], to = s->to[j], B = mass_bins(c), first = part_of(c->n, B, from), last = part_of(c->n, B, to - 1);
    if (first == last) {
        mass[first]++;
        return;
    }
    for (int64_t b = first; b <= last; b++) {
        const int64_t a = part_start(c->n, B, b), z = part_start(c->n, B, b + 1);
        mass[b] += (double)((z < to ? z : to) - (a > from ? a : from)) / (double)(to - from);
    }
}

static void add_hits(const struct calib *c, const struct columns *s, bool top, struct work *w)
{
    memset(w->width, 0, (size_t)s->m * (size_t)c->n_bin * sizeof(double));
    memset(w->mass, 0, (size_t)s->m * (size_t)c->n_bin * sizeof(double));
    for (int64_t i = 0; i < c->n; i++) {
        if (top && w->label[i] != c->top[i])
            continue;
        const int k = top ? 0 : w->label[i];
        const int64_t j = i * s->m + k;
        w->width[(size_t)k * (size_t)c->n_bin + (size_t)s->width_bin[j]]++;
        add_mass(c, s, j, w->mass + (size_t)k * (size_t)c->n_bin);
    }
}

/* Of the first places in the order of confidence: how many are right; equal ones share. */
static void add_below(const struct calib *c, struct work *w)
{
    const struct calib_columns *x = c->columns;
    for (int64_t from = 0, to; from < c->n; from = to) {
        double hits = 0;
        to = x->top.to[x->order[from]];
        for (int64_t at = from; at < to; at++)
            hits += w->label[x->order[at]] == c->top[x->order[at]];
        for (int64_t at = from; at < to; at++)
            w->hit_below[at + 1] = at + 1 == to ? w->hit_below[from] + hits : w->hit_below[from] + hits * (double)(at + 1 - from) / (double)(to - from);
    }
}

static double ece(const double *conf, const double *hit, size_t n_bin)
{
    double sum = 0;
    for (size_t b = 0; b < n_bin; b++)
        sum += fabs(hit[b] - conf[b]);
    return sum;
}

static void gaps(const struct columns *s, int n_bin, const double *hit, double *mean, double *largest)
{
    int n = 0;
    *mean = *largest = 0;
    for (int b = 0; b < n_bin; b++) {
        if (s->width_n[b] <= 0)
            continue;
        const double gap = fabs(hit[b] - s->width_conf[b]) / s->width_n[b];
        *mean += gap, n++;
        *largest = fmax(*largest, gap);
    }
    *mean /= n;
}

/* The mean square of the gaps, and what is left of it without what chance adds. */
static void squares(const struct calib *c, const double *hit, double *square, double *debiased)
{
    const struct columns *s = &c->columns->top;
    *square = *debiased = 0;
    for (int b = 0; b < c->n_bin; b++) {
        const double n = s->mass_n[b], acc = hit[b] / n, gap = acc - s->mass_conf[b] / n;
        if (n >= 1)
            *square += n / (double)c->n * gap * gap;
        if (n >= 2)
            *debiased += n / (double)c->n * (gap * gap - acc * (1 - acc) / (n - 1));
    }
}

/* -1: the shares of right ones do not rise from each of B bins to the next. */
static double rising_ece(const struct calib *c, const double *hit_below, int64_t B)
{
    const double *conf_below = c->columns->conf_below;
    double sum = 0, before = -1;
    for (int64_t b = 0; b < B; b++) {
        const int64_t from = part_start(c->n, B, b), to = part_start(c->n, B, b + 1);
        const double hits = hit_below[to] - hit_below[from], acc = hits / (double)(to - from);
        if (acc < before - 1e-12)
            return -1;
        before = acc;
        sum += fabs(hits - (conf_below[to] - conf_below[from]));
    }
    return sum / (double)c->n;
}

static double sweep(const struct calib *c, const double *hit_below)
{
    double found = rising_ece(c, hit_below, 1);
    for (int64_t B = 2; B <= c->n && B <= CALIB_SWEEP_MAX; B++) {
        const double v = rising_ece(c, hit_below, B);
        if (v < 0)
            break;
        found = v;
    }
    return found;
}

static void measure_classes(const struct calib *c, struct work *w, double *v)
{
    const struct columns *s = &c->columns->classes;
    v[CALIB_CLASS_WIDTH] = v[CALIB_CLASS_MASS] = v[CALIB_BINARY_WIDTH] = NAN;
    if (!s->m)
        return;
    const size_t n_bin = (size_t)c->n_bin, bins = (size_t)s->m * n_bin;
    const double n = (double)c->n;
    add_hits(c, s, false, w);
    v[CALIB_CLASS_WIDTH] = ece(s->width_conf, w->width, bins) / (n * s->m);
    v[CALIB_CLASS_MASS] = ece(s->mass_conf, w->mass, bins) / (n * s->m);
    if (s->m == 2)
        v[CALIB_BINARY_WIDTH] = ece(s->width_conf + n_bin, w->width + n_bin, n_bin) / n;
}

static void measure_points(const struct calib *c, const struct work *w, double *v)
{
    const struct calib_columns *x = c->columns;
    const double n = (double)c->n;
    double brier = 0, top = 0, nll = 0, hits = 0;
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t y = c->start[i] + w->label[i];
        const bool right = w->label[i] == c->top[i];
        const double e = c->conf[i] - right;
        brier += x->squares[i] - 2 * c->p[y] + 1;
        nll += x->log_sum[i] - c->logit[y];
        top += e * e;
        hits += right;
    }
    v[CALIB_BRIER_SUM] = brier / n;
    v[CALIB_BRIER_BINARY] = c->n_class == 2 ? brier / (2 * n) : NAN;
    v[CALIB_BRIER_TOP] = top / n;
    v[CALIB_NLL] = nll / n;
    v[CALIB_ACCURACY] = hits / n;
}

static void measure(const struct calib *c, struct work *w, double *v)
{
    const struct columns *s = &c->columns->top;
    const size_t n_bin = (size_t)c->n_bin;
    add_hits(c, s, true, w);
    add_below(c, w);
    v[CALIB_ECE_WIDTH] = ece(s->width_conf, w->width, n_bin) / (double)c->n;
    v[CALIB_ECE_MASS] = ece(s->mass_conf, w->mass, n_bin) / (double)c->n;
    v[CALIB_ECE_SWEEP] = sweep(c, w->hit_below);
    squares(c, w->mass, &v[CALIB_RMS_MASS], &v[CALIB_DEBIASED_L2]);
    v[CALIB_RMS_MASS] = sqrt(v[CALIB_RMS_MASS]);
    gaps(s, c->n_bin, w->width, &v[CALIB_ACE_WIDTH], &v[CALIB_MCE_WIDTH]);
    measure_classes(c, w, v);
    measure_points(c, w, v);
}

int calib_measure(const struct calib *c, double *v, struct err *err)
{
    struct work w = { 0 };
    const int rc = work_memory(c, &w, err);
    if (rc >= 0) {
        memcpy(w.label, c->label, (size_t)c->n * sizeof *w.label);
        measure(c, &w, v);
    }
    work_release(&w);
    return rc;
}

/* ---- what chance gives ---- */

struct draws { const struct calib *c; uint64_t key; struct work *work; double *v; };       /* work: [threads]; v: [n_rep][CALIB_N_METRIC] */

/* The first choice whose sum is above u times the sum of all. */
static int32_t draw(const double *below, int64_t k, double u)
{
    const double at = u * below[k - 1];
    int64_t low = 0, high = k - 1;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (below[mid] > at)
            high = mid;
        else
            low = mid + 1;
    }
    return (int32_t)low;
}

static void draw_one(void *ctx, int i_rep, int i_thread)
{
    const struct draws *d = ctx;
    const struct calib *c = d->c;
    struct work *w = &d->work[i_thread];
    for (int64_t i = 0; i < c->n; i++)
        w->label[i] = draw(c->columns->p_below + c->start[i], c->start[i + 1] - c->start[i], rng_uniform(d->key, (uint64_t)i_rep * (uint64_t)c->n + (uint64_t)i));
    measure(c, w, d->v + (size_t)i_rep * CALIB_N_METRIC);
}

static void summarise(struct calib_null *out, const double *v, const double *draws, int n_rep, double *column)
{
    out->n_rep = n_rep;
    for (int m = 0; m < CALIB_N_METRIC; m++) {
        double sum = 0;
        int n_above = 0;
        for (int r = 0; r < n_rep; r++) {
            sum += column[r] = draws[(size_t)r * CALIB_N_METRIC + (size_t)m];
            n_above += column[r] >= v[m];
        }
        stat_sort(column, (size_t)n_rep);
        const bool known = !isnan(v[m]);
        out->mean[m] = known ? sum / n_rep : NAN;
        out->q95[m] = known ? column[(19 * (n_rep + 1) + 19) / 20 - 1] : NAN;
        out->p[m] = known ? (1.0 + n_above) / (1 + n_rep) : NAN;
    }
}

int calib_null(struct calib_null *out, const struct calib *c, const double *v, int n_rep, uint64_t seed, struct pool *pool, struct err *err)
{
    if (n_rep < 19 || n_rep > 1000000)
        return ERR(err, RANGE, "%d draws, expected 19 to 1000000", n_rep);
    const int n_thread = pool_n_thread(pool);
    struct draws d = { c, rng_key(seed, "calib.null"), mem_alloc_array((size_t)n_thread, sizeof *d.work), mem_alloc_array((size_t)n_rep * CALIB_N_METRIC, sizeof *d.v) };
    double *column = mem_alloc_array((size_t)n_rep, sizeof *column);
    int rc = d.work && d.v && column ? 0 : ERR(err, NOMEM, "no memory for %d draws", n_rep);
    for (int t = 0; t < n_thread && rc >= 0; t++)
        rc = work_memory(c, &d.work[t], err);
    if (rc >= 0) {
        pool_for(pool, n_rep, draw_one, &d);
        summarise(out, v, d.v, n_rep, column);
    }
    for (int t = 0; t < n_thread && d.work; t++)
        work_release(&d.work[t]);
    mem_free(column);
    mem_free(d.v);
    mem_free(d.work);
    return rc;
}
