/* cramer_von_mises.c - the two-sample test of two_sample.h, whose p-value has two ways of its own. */
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/dist.h"
#include "eval/order.h"
#include "eval/two_sample.h"

enum { EXACT = 20 };

/* ---- the limit ---- */

/* e^q K_{1/4}(q) = integral_0^inf exp(-q (cosh t - 1)) cosh(t/4) dt, by the trapezoidal rule, whose error falls as exp(-c/h). */
static double bessel_k_quarter(double q)
{
    const double h = 1.0 / 16;
    double sum = 0.5;
    for (int i = 1; i < 1000; i++) {
        const double t = i * h, s = sinh(t / 2), term = exp(-2 * q * s * s) * cosh(t / 4);
        sum += term;
        if (term < 1e-18)
            break;
    }
    return h * sum;
}

/* 1 - the distribution function of the limit: Csörgő & Faraway, JRSS B 58, 1996, eq. 1.2. */
static double limit_sf(double x)
{
    double sum = 0, weight = 1;                         /* Gamma(k + 1/2) / (Gamma(1/2) k!) */
    for (int k = 0; k < 1000; k++) {
        const double y = 4 * k + 1, q = y * y / (16 * x), term = weight * sqrt(y) * exp(-2 * q) * bessel_k_quarter(q);
        sum += term;
        if (term < 1e-17)
            break;
        weight *= (k + 0.5) / (k + 1);
    }
    return fmax(0, 1 - sum / (M_PI * sqrt(x)));
}

static double limit_p(double T, double n, double m)
{
    const double N = n + m, k = n * m, mean = (1 + 1 / N) / 6;
    const double variance = (N + 1) / N * ((4 * k * N - 3 * (n * n + m * m) - 2 * k) / (45 * N * 4 * k));
    const double t = 1.0 / 6 + (T - mean) / sqrt(45 * variance);
    return t < 0.003 ? 1 : limit_sf(t);
}

/* ---- all orders: Xiao, Gordon & Yakovlev, Journal of Statistical Software 17(8), 2006 ---- */

/* How many paths have which sum of squares (i b - j a)^2, ascending; sums that are large enough to be told are left out. */
struct sums { int64_t n, room; uint32_t *value; double *paths; };

static int sums_room(struct sums *s, int64_t room, struct err *err)
{
    if (room <= s->room)
        return 0;
    uint32_t *value = mem_realloc_array(s->value, (size_t)room, sizeof *value);
    s->value = value ? value : s->value;
    double *paths = mem_realloc_array(s->paths, (size_t)room, sizeof *paths);
    s->paths = paths ? paths : s->paths;
    if (!value || !paths)
        return ERR(err, NOMEM, "an exact Cramér-von Mises test does not fit into memory");
    s->room = room;
    return 0;
}

static void sums_release(struct sums *s)
{
    mem_free(s->value);
    mem_free(s->paths);
}

/* out = what a or b have, each `more` larger, below the limit. */
static void sums_merge(const struct sums *a, const struct sums *b, int64_t more, int64_t limit, struct sums *out)
{
    out->n = 0;
    for (int64_t i = 0, j = 0; i < a->n || j < b->n;) {
        const uint32_t v = i >= a->n || (j < b->n && b->value[j] < a->value[i]) ? b->value[j] : a->value[i];
        if (v + more >= limit)
            return;
        double paths = 0;
        if (i < a->n && a->value[i] == v)
            paths += a->paths[i++];
        if (j < b->n && b->value[j] == v)
            paths += b->paths[j++];
        out->value[out->n] = v + (uint32_t)more, out->paths[out->n++] = paths;
    }
}

/* The share of orders whose sum is at least `limit`: what is left of the others, in whole numbers below 2^53. */
static int exact_p(int64_t n, int64_t m, int64_t limit, double *p, struct err *err)
{
    int64_t x = n, y = m;
    while (y) {
        const int64_t rest = x % y;
        x = y, y = rest;
    }
    const int64_t a = m / x, b = n / x;                 /* i of n and j of m: i/n - j/m is (i a - j b) x / (n m) */
    struct sums row[EXACT + 1] = { { 0 } }, next = { 0 };
    const struct sums none = { 0 };
    int rc = sums_room(&row[0], 1, err);
    if (rc == 0)
        row[0].n = limit > 0, row[0].value[0] = 0, row[0].paths[0] = 1;
    for (int64_t i = 0; i <= n && rc == 0; i++)
        for (int64_t j = i == 0; j <= m && rc == 0; j++) {
            const struct sums *left = j ? &row[j - 1] : &none;
            rc = sums_room(&next, row[j].n + left->n, err);
            if (rc < 0)
                break;
            sums_merge(&row[j], left, (i * a - j * b) * (i * a - j * b), limit, &next);
            const struct sums old = row[j];
            row[j] = next, next = old;
        }
    if (rc == 0) {
        double less = 0, all = 1;
        for (int64_t i = 0; i < row[m].n; i++)
            less += row[m].paths[i];
        for (int64_t i = 1; i <= m; i++)
            all = all * (double)(n + i) / (double)i;
        *p = (all - less) / all;
    }
    for (int64_t j = 0; j <= m; j++)
        sums_release(&row[j]);
    sums_release(&next);
    return rc;
}

/* Of the sorted sample that begins at place `from` of all: sum of (rank - its own place)^2. */
static double rank_squares(double *rank, int64_t n, struct err *err, int *rc)
{
    if (*rc == 0)
        *rc = order_sort(rank, n, err);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (rank[i] - (double)(i + 1)) * (rank[i] - (double)(i + 1));
    return sum;
}

int two_cramer_von_mises(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err)
{
    if (n < 1 || m < 1 || n > INT64_MAX / 64 || m > INT64_MAX / 64)
        return ERR(err, RANGE, "samples of %lld and %lld values, expected at least 1", (long long)n, (long long)m);
    TRY(order_finite(x, n, "first sample", err));
    TRY(order_finite(y, m, "second sample", err));
    double *all = mem_alloc_array((size_t)(n + m) * 2, sizeof *all);
    if (!all)
        return ERR(err, NOMEM, "samples of %lld and %lld values do not fit into memory", (long long)n, (long long)m);
    double *rank = all + n + m;
    memcpy(all, x, (size_t)n * sizeof *x);
    memcpy(all + n, y, (size_t)m * sizeof *y);
    int rc = order_rank(all, n + m, rank, NULL, err);
    const double X = rank_squares(rank, n, err, &rc), Y = rank_squares(rank + n, m, err, &rc);
    mem_free(all);
    TRY(rc);
    const double N = (double)n, M = (double)m, k = N * M, U = N * X + M * Y;
    *out = (struct two_sample){ U / (k * (N + M)) - (4 * k - 1) / (6 * (N + M)), 1, n <= EXACT && m <= EXACT };
    if (!out->exact) {
        out->p = limit_p(out->statistic, N, M);
        return 0;
    }
    int64_t g = n, h = m;
    while (h) {
        const int64_t rest = g % h;
        g = h, h = rest;
    }
    const double multiple = k / (double)g, sums = multiple * multiple * (N + M) * (6 * U - k * (4 * k - 1)) / (6 * k * k);
    return exact_p(n, m, (int64_t)floor(sums + 1e-7), &out->p, err);
}
