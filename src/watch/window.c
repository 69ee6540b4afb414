#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "watch/window.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/contingency.h"
#include "eval/divergence.h"
#include "eval/interval.h"
#include "eval/linalg.h"
#include "eval/mmd.h"
#include "eval/multiple.h"
#include "eval/order.h"
#include "eval/rank.h"
#include "eval/two_sample.h"
#include "watch/reference_impl.h"

enum { DRAWS = 9999, AS_LARGE = 20, VECTORS = 256, BINS = 10, MOST_EVENTS = 1 << 24 };
#define PSI_FLOOR 1e-4
#define Z95 1.959964

struct pair { const struct ref_signal *r, *w; const struct window_opts *o; };

static int no_memory(const struct pair *p, struct err *err) { return ERR(err, NOMEM, "signal '%s': no memory to compare a window", p->r->name); }

static struct window_signal nothing(void)
{
    const double no = (double)NAN;
    return (struct window_signal){ .statistic = no, .p = no, .p_adjusted = no, .psi = no, .shift = no, .shift_low = no, .shift_high = no, .delta = no,
                                   .delta_low = no,
                                   .delta_high = no, .wasserstein = no, .tv = no, .share_reference = no, .share_window = no, .change_low = no, .change_high = no,
                                   .auc = no, .auc_low = no, .auc_high = no };
}

/* P(of b > of a) and its interval, DeLong's. */
static int auc_of(const double *a, int n, const double *b, int m, double out[3], struct err *err)
{
    double *v = mem_alloc_array((size_t)(n + m), sizeof *v);
    unsigned char *positive = mem_alloc_array((size_t)(n + m), 1);
    struct rank rank;
    int rc = v && positive ? 0 : ERR(err, NOMEM, "no memory for %d values", n + m);
    if (!rc) {
        memcpy(v, a, (size_t)n * sizeof *v), memcpy(v + n, b, (size_t)m * sizeof *v), memset(positive + n, 1, (size_t)m);
        rc = rank_measure(&rank, v, positive, n + m, err);
    }
    mem_free(v), mem_free(positive);
    if (rc < 0)
        return rc;
    const double half = isfinite(rank.auroc_se) ? Z95 * rank.auroc_se : 1;
    out[0] = rank.auroc, out[1] = fmax(0, rank.auroc - half), out[2] = fmin(1, rank.auroc + half);
    return 0;
}

/* ---- numbers ---- */

/* What is missing becomes the smallest number, with which the tests can deal. */
static void finite_copy(const double *v, int n, double *out)
{
    for (int i = 0; i < n; i++)
        out[i] = isinf(v[i]) ? -1.7e308 : v[i];
}

/* PSI over the deciles of the reference: bins that no wild value stretches. */
static int psi_of_numbers(const double *r, int n, const double *w, int m, double *out, struct err *err)
{
    double p[BINS + 1] = { 0 }, q[BINS + 1] = { 0 }, cut[BINS + 1];
    int k = 0;
    for (int b = 1; b < BINS; b++) {
        const double at = r[(int64_t)n * b / BINS];
        if (!k || at > cut[k - 1])
            cut[k++] = at;
    }
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < (side ? m : n); i++) {
            const double x = side ? w[i] : r[i];
            int b = 0;
            while (b < k && cut[b] <= x)
                b++;
            (side ? q : p)[b]++;
        }
    return divergence_psi(p, q, k + 1, PSI_FLOOR, out, err);
}

/* Mean differences of values that are there (v[n] ascending, the first `lacking` are not), moved to within limits that the reference gives. */
static int shift_of(const double *r, int n, const double *w, int m, struct window_signal *out, struct err *err)
{
    if (n < 2 || m < 2)
        return 0;
    const double spread = order_quantile(r, n, 0.75) - order_quantile(r, n, 0.25);
    const double low = order_quantile(r, n, 0.005) - spread, high = order_quantile(r, n, 0.995) + spread;
    if (!(high > low))                   /* all alike: there is no scale, and rounding is none */
        return 0;
    double *x = mem_alloc_array((size_t)(n + m), sizeof *x), mean[2] = { 0 }, var[2] = { 0 };
    if (!x)
        return ERR(err, NOMEM, "no memory for %d values", n + m);
    for (int i = 0; i < n + m; i++) {
        x[i] = fmin(high, fmax(low, i < n ? r[i] : w[i - n]));
        mean[i >= n] += x[i] / (i < n ? n : m);
    }
    for (int i = 0; i < n + m; i++)
        var[i >= n] += (x[i] - mean[i >= n]) * (x[i] - mean[i >= n]) / ((i < n ? n : m) - 1);
    const double sd = sqrt(var[0]), half = Z95 * sqrt(var[0] / n + var[1] / m) / sd;
    int rc = 0;
    if (sd > 0 && isfinite(half)) {
        out->shift = (mean[1] - mean[0]) / sd, out->shift_low = out->shift - half, out->shift_high = out->shift + half;
        rc = two_wasserstein(x, n, x + n, m, &out->wasserstein, err);
        out->wasserstein /= sd;
    }
    mem_free(x);
    return rc;
}

static int compare_numbers(const struct pair *p, struct window_signal *out, struct err *err)
{
    const int n = p->r->n_sorted, m = p->w->n_kept;
    double *r = mem_alloc_array((size_t)n, sizeof *r), *w = mem_alloc_array((size_t)m, sizeof *w), auc[3];
    struct two_sample ks;
    int n_lacks = 0, m_lacks = 0, rc = r && w ? 0 : no_memory(p, err);
    if (!rc) {
        for (int i = 0; i < m; i++)
            w[i] = p->w->kept[i].number, m_lacks += isinf(w[i]) != 0;
        while (n_lacks < n && isinf(p->r->sorted[n_lacks]))
            n_lacks++;
        finite_copy(p->r->sorted, n, r), finite_copy(w, m, w);
        rc = order_sort(w, m, err);
    }
    if (!rc)
        rc = two_ks(r, n, w, m, &ks, err);
    if (!rc)
        rc = auc_of(r, n, w, m, auc, err);
    if (!rc)
        rc = psi_of_numbers(r, n, w, m, &out->psi, err);
    if (!rc)
        rc = shift_of(r + n_lacks, n - n_lacks, w + m_lacks, m - m_lacks, out, err);
    if (!rc) {
        out->test = "Kolmogorov-Smirnov", out->statistic = ks.statistic, out->p = fmin(1, ks.p);
        out->delta = 2 * auc[0] - 1, out->delta_low = 2 * auc[1] - 1, out->delta_high = 2 * auc[2] - 1;
    }
    mem_free(r), mem_free(w);
    return rc;
}

/* ---- categories ---- */

static double chi2_of(const int64_t *count, int k, const double all[2])
{
    double chi2 = 0;
    for (int c = 0; c < k; c++)
        for (int s = 0; s < 2; s++) {
            const double e = (double)(count[c] + count[k + c]) * all[s] / (all[0] + all[1]), d = (double)count[s * k + c] - e;
            chi2 += d * d / e;
        }
    return chi2;
}

/* The share of random divisions of all events into two samples of these sizes with a chi-square as large; the smaller one is drawn, event by event. */
static int permutation_p(const struct pair *p, const int64_t *count, int k, double chi2, double *out, struct err *err)
{
    double all[2] = { 0 };
    for (int c = 0; c < k; c++)
        all[0] += (double)count[c], all[1] += (double)count[k + c];
    const int small = all[1] > all[0] ? 0 : 1;
    const int64_t n = (int64_t)all[small], total = (int64_t)(all[0] + all[1]);
    int64_t *left = mem_alloc_array(3 * (size_t)k, sizeof *left), draw = 0, larger = 0;
    int32_t *event = mem_alloc_array((size_t)total, sizeof *event);
    const uint64_t key = rng_key(p->o->seed, p->r->name);
    uint64_t used = 0;
    if (!left || !event) {
        mem_free(left), mem_free(event);
        return no_memory(p, err);
    }
    int64_t at = 0;
    for (int c = 0; c < k; c++)
        for (int64_t i = 0; i < count[c] + count[k + c]; i++)
            event[at++] = c;
    for (; draw < DRAWS && larger < AS_LARGE; draw++) {
        int64_t *one = left, *table = left + k;
        memset(one, 0, (size_t)k * sizeof *one);
        for (int64_t i = 0; i < n; i++) {                /* the first n places of a shuffle that goes on from the last one */
            const int64_t j = i + (int64_t)rng_below(key, used++, (uint64_t)(total - i));
            const int32_t x = event[j];
            event[j] = event[i], event[i] = x;
            one[x]++;
        }
        for (int c = 0; c < k; c++) {
            table[small * k + c] = one[c];
            table[(1 - small) * k + c] = count[c] + count[k + c] - one[c];
        }
        larger += chi2_of(table, k, all) >= chi2 * (1 - 1e-12);
    }
    *out = larger == AS_LARGE ? (double)larger / (double)draw : (double)(larger + 1) / (double)(draw + 1);
    mem_free(left), mem_free(event);
    return 0;
}

/* Newcombe's interval of w/m - r/n, from Wilson's of each. */
static int newcombe(int64_t r, int64_t n, int64_t w, int64_t m, double *low, double *high, struct err *err)
{
    double a[2], b[2];
    const double p = (double)r / (double)n, q = (double)w / (double)m;
    TRY(interval_wilson(r, n, 0.95, a, err));
    TRY(interval_wilson(w, m, 0.95, b, err));
    *low = q - p - sqrt((q - b[0]) * (q - b[0]) + (a[1] - p) * (a[1] - p));
    *high = q - p + sqrt((b[1] - q) * (b[1] - q) + (p - a[0]) * (p - a[0]));
    return 0;
}

/* count[2][k] of all names that either has; name[k]. */
static int table_of(const struct pair *p, int64_t *count, const char **name, int room)
{
    int k = 0;
    for (int c = 0; c < p->r->n_category; c++, k++) {
        const int other = ref_category_find(p->w, p->r->category[c].name);
        name[k] = p->r->category[c].name;
        count[k] = p->r->category[c].n[0] + p->r->category[c].n[1];
        count[room + k] = other < 0 ? 0 : p->w->category[other].n[0] + p->w->category[other].n[1];
    }
    for (int c = 0; c < p->w->n_category; c++)
        if (ref_category_find(p->r, p->w->category[c].name) < 0) {
            name[k] = p->w->category[c].name;
            count[k] = 0, count[room + k] = p->w->category[c].n[0] + p->w->category[c].n[1];
            k++;
        }
    memmove(count + k, count + room, (size_t)k * sizeof *count);
    return k;
}

static int effects_of_table(const int64_t *count, const char *const *name, int k, struct window_signal *out, struct err *err)
{
    const int64_t n = out->n_reference, m = out->n_window;
    int most = 0;
    double change = -1;
    out->tv = 0;
    for (int c = 0; c < k; c++) {
        const double d = fabs((double)count[k + c] / (double)m - (double)count[c] / (double)n);
        out->tv += d / 2;
        if (d > change)
            most = c, change = d;
    }
    strcpy(out->category, strcmp(name[most], REF_MISSING) != 0 ? name[most] : "(missing)");
    out->share_reference = (double)count[most] / (double)n, out->share_window = (double)count[k + most] / (double)m;
    return newcombe(count[most], n, count[k + most], m, &out->change_low, &out->change_high, err);
}

static int test_of_table(const struct pair *p, const int64_t *count, int k, struct window_signal *out, struct err *err)
{
    out->test = "chi-square", out->statistic = 0, out->p = 1;
    if (k < 2)
        return 0;
    struct contingency c;
    TRY(contingency_test(count, 2, k, false, &c, err));
    out->statistic = c.chi2, out->p = c.p;
    if (c.expected_min >= 5 || c.n > MOST_EVENTS)
        return 0;
    out->test = "chi-square, permutation";
    return permutation_p(p, count, k, c.chi2, &out->p, err);
}

static int compare_categories(const struct pair *p, struct window_signal *out, struct err *err)
{
    const int room = p->r->n_category + p->w->n_category;
    int64_t *count = mem_alloc_array(2 * (size_t)room, sizeof *count);
    const char **name = mem_alloc_array((size_t)room, sizeof *name);
    double *share = mem_alloc_array(2 * (size_t)room, sizeof *share);
    int rc = count && name && share ? 0 : no_memory(p, err), k = 0;
    if (!rc) {
        k = table_of(p, count, name, room);
        for (int c = 0; c < 2 * k; c++)
            share[c] = (double)count[c];
        rc = test_of_table(p, count, k, out, err);
    }
    if (!rc)
        rc = divergence_psi(share, share + k, k, PSI_FLOOR, &out->psi, err);
    if (!rc)
        rc = effects_of_table(count, name, k, out, err);
    mem_free(count), mem_free(name), mem_free(share);
    return rc;
}

/* ---- vectors ---- */

/* Where the halves differ in their means, and how well that direction tells the other halves apart. */
static int domain_auc(const double *r, int n, const double *w, int m, int d, struct window_signal *out, struct err *err)
{
    const int a = n / 2, b = m / 2;
    double weight[WATCH_COORDINATES + 1] = { 0 }, auc[3];
    if (a < 1 || b < 1)
        return 0;
    for (int i = 0; i < a + b; i++)
        for (int j = 0; j < d; j++)
            weight[j] += i < a ? -r[(size_t)i * (size_t)d + (size_t)j] / a : w[(size_t)(i - a) * (size_t)d + (size_t)j] / b;
    double *score = mem_alloc_array((size_t)(n - a + m - b), sizeof *score);
    if (!score)
        return ERR(err, NOMEM, "no memory for %d scores", n + m);
    for (int i = 0; i < n - a; i++)
        score[i] = lin_dot(weight, r + (size_t)(a + i) * (size_t)d, d);
    for (int i = 0; i < m - b; i++)
        score[n - a + i] = lin_dot(weight, w + (size_t)(b + i) * (size_t)d, d);
    const int rc = auc_of(score, n - a, score + n - a, m - b, auc, err);
    mem_free(score);
    if (!rc)
        out->auc = auc[0], out->auc_low = auc[1], out->auc_high = auc[2];
    return rc;
}

/* Coordinates in units of the reference's spread; the residual is brought there too.  rows[n][d]. */
static void scale_residual(const struct ref_space *s, const double *ref, int n_ref, double *x, int n)
{
    const int d = s->r + s->residual;
    double mean = 0, var = 0;
    if (!s->residual)
        return;
    for (int i = 0; i < n_ref; i++)
        mean += ref[(size_t)i * (size_t)d + (size_t)s->r] / n_ref;
    for (int i = 0; i < n_ref; i++)
        var += pow(ref[(size_t)i * (size_t)d + (size_t)s->r] - mean, 2) / n_ref;
    for (int i = 0; i < n && var > 0; i++)
        x[(size_t)i * (size_t)d + (size_t)s->r] = (x[(size_t)i * (size_t)d + (size_t)s->r] - mean) / sqrt(var);
}

static int compare_given(const struct pair *p, struct window_signal *out, struct err *err)
{
    const struct ref_space *s = &p->r->space;
    const int d = s->r + s->residual, n = p->r->n_coordinate, m = p->w->n_kept;
    struct ref_kept *kept = mem_alloc_array((size_t)m, sizeof *kept);
    double *r = mem_alloc_array((size_t)n * (size_t)d, sizeof *r), *w = mem_alloc_array((size_t)m * (size_t)d, sizeof *w);
    int rc = kept && r && w ? 0 : no_memory(p, err);
    if (!rc) {
        memcpy(kept, p->w->kept, (size_t)m * sizeof *kept);
        qsort(kept, (size_t)m, sizeof *kept, ref_kept_by_priority);
        memcpy(r, p->r->coordinate, (size_t)n * (size_t)d * sizeof *r);
        for (int i = 0; i < m; i++)
            ref_coordinates(s, p->w->vector + (size_t)kept[i].slot * (size_t)s->d, w + (size_t)i * (size_t)d);
        scale_residual(s, p->r->coordinate, n, r, n), scale_residual(s, p->r->coordinate, n, w, m);
        struct mmd mmd;
        out->n_reference = n < VECTORS ? n : VECTORS, out->n_window = m < VECTORS ? m : VECTORS;
        rc = mmd_test(r, out->n_reference, w, out->n_window, d, &(struct mmd_opts){ .seed = p->o->seed, .pool = p->o->pool }, &mmd, err);
        if (!rc)
            out->test = "mean discrepancy", out->statistic = mmd.mmd2, out->p = mmd.p;
    }
    if (!rc)
        rc = domain_auc(r, n, w, m, d, out, err);
    mem_free(kept), mem_free(r), mem_free(w);
    return rc;
}

/* Where any is missing: a second test, of how many are, and the smaller of both p-values, doubled (Bonferroni).  Whether it is made depends on the events of
 * both sides together, as permutations do, so the size of the test holds. */
static int compare_missing(const struct pair *p, struct window_signal *out, struct err *err)
{
    const int64_t count[4] = { p->r->n - p->r->n_missing, p->r->n_missing, p->w->n - p->w->n_missing, p->w->n_missing };
    struct window_signal missing = nothing();
    if (!(count[1] + count[3]))
        return 0;
    TRY(test_of_table(p, count, 2, &missing, err));
    if (!out->test || missing.p < out->p) {
        out->test = strcmp(missing.test, "chi-square") != 0 ? "chi-square of missing, permutation" : "chi-square of missing";
        out->statistic = missing.statistic, out->p = missing.p, out->n_reference = p->r->n, out->n_window = p->w->n;
    }
    out->p = fmin(1, 2 * out->p);
    return 0;
}

static int compare_vectors(const struct pair *p, struct window_signal *out, struct err *err)
{
    const int rc = p->w->n_kept < 2 ? 0 : compare_given(p, out, err);
    return rc < 0 ? rc : compare_missing(p, out, err);
}

/* ---- all of them ---- */

static int compare_one(const struct pair *p, struct window_signal *out, struct err *err)
{
    *out = nothing();
    out->missing_reference = p->r->n ? (double)p->r->n_missing / (double)p->r->n : 0;
    out->missing_window = p->w->n ? (double)p->w->n_missing / (double)p->w->n : 0;
    out->n_reference = p->r->kind == WATCH_NUMBER ? p->r->n_sorted : p->r->kind == WATCH_VECTOR ? p->r->n_coordinate : p->r->n;
    out->n_window = p->w->kind == WATCH_CATEGORY ? p->w->n : p->w->n_kept;
    if ((p->w->kind == WATCH_VECTOR ? p->w->n : out->n_window) < 2)
        return 0;
    if (p->r->kind == WATCH_VECTOR)
        return compare_vectors(p, out, err);
    return p->r->kind == WATCH_NUMBER ? compare_numbers(p, out, err) : compare_categories(p, out, err);
}

static int adjust(struct window_signal *out, int n, const struct window_opts *o, struct err *err)
{
    double *p = mem_alloc_array((size_t)n, sizeof *p);
    const double alpha = o->alpha > 0 ? o->alpha : 0.05;
    int k = 0;
    if (!p)
        return ERR(err, NOMEM, "no memory for %d p-values", n);
    for (int i = 0; i < n; i++)
        if (out[i].test)
            p[k++] = out[i].p;
    const int rc = o->holm ? multiple_holm(p, k, p, err) : multiple_bh(p, k, p, err);
    for (int i = 0, at = 0; i < n && !rc; i++)
        if (out[i].test)
            out[i].p_adjusted = p[at++], out[i].drift = out[i].p_adjusted <= alpha;
    mem_free(p);
    return rc;
}

int window_compare(struct window_signal *out, const struct reference *r, const struct reference *window, const struct window_opts *o, struct err *err)
{
    const struct window_opts own = o ? *o : (struct window_opts){ 0 };
    if (!r->closed || window->closed || window->n_signal != r->n_signal)
        return ERR(err, USAGE, "expected a closed reference and an open window of the same signals");
    if (!(own.alpha >= 0 && own.alpha < 1))
        return ERR(err, RANGE, "alpha: found %g, expected a number between 0 and 1", own.alpha);
    for (int i = 0; i < r->n_signal; i++) {
        const struct pair p = { &r->signal[i], &window->signal[i], &own };
        if (strcmp(p.r->name, p.w->name) != 0 || p.r->kind != p.w->kind || p.r->dim != p.w->dim)
            return ERR(err, USAGE, "signal %d: '%s' of the reference is not '%s' of the window", i + 1, p.r->name, p.w->name);
        if (compare_one(&p, &out[i], err) < 0)
            return err_context(err, "signal '%s'", p.r->name);
    }
    return adjust(out, r->n_signal, &own, err);
}
