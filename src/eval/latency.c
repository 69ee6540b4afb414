#include "eval/latency.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/order.h"
#include "eval/sequential.h"

#define N_BATCH_SLOPE 16
static const int n_batches[] = { 8, 16, 32 };    /* few long ones see slow changes, many short ones are less by chance */
#define BATCH_MIN 4                              /* queries of one */
#define SURE 0.95                                /* that batches vary more than by chance */

static int check(const double *x, int64_t n, double p, double level, struct err *err)
{
    if (n < 0 || n > INT32_MAX || !(p > 0 && p < 1) || !(level > 0 && level < 1))
        return ERR(err, RANGE, "percentile %g of %lld latencies with confidence %g, expected both more than 0 and less than 1", p, (long long)n, level);
    for (int64_t i = 0; i < n; i++)
        if (isnan(x[i]))
            return ERR(err, NUMERIC, "latency %lld is not a number", (long long)i);
    return 0;
}

static int sorted_of(const double *x, int64_t n, double **out, struct err *err)
{
    if (!(*out = mem_alloc_array((size_t)n + 1, sizeof **out)))
        return ERR(err, NOMEM, "no memory for %lld latencies", (long long)n);
    if (n)
        memcpy(*out, x, (size_t)n * sizeof *x);
    const int rc = order_sort(*out, n, err);
    if (rc)
        mem_free(*out), *out = NULL;
    return rc;
}

/* The rank, from 1, of a share p of n.  A product that is whole but for rounding (0.07 * 100) counts as whole. */
static int64_t rank_of(double p, int64_t n)
{
    const int64_t r = (int64_t)ceil(p * (double)n - 1e-9 * (double)n * p);
    return r < 1 ? 1 : r > n ? n : r;
}
static int64_t floor_rank(double p, int64_t n)
{
    const int64_t r = (int64_t)floor(p * (double)n + 1e-9 * (double)n * p);
    return r < n ? r : n - 1;
}

/* ---- queries that depend on each other ---- */

/* How much more the share above `level` varies between m batches than that of independent queries would. */
static double effect_in(const double *x, int64_t n, double level, int m)
{
    const int64_t b = n / m;
    double sum = 0, squares = 0;
    for (int i = 0; i < m; i++) {
        double k = 0;
        for (int64_t j = 0; j < b; j++)
            k += x[i * b + j] > level;
        sum += k, squares += k * k;
    }
    const double mean = sum / m, share = mean / (double)b, expected = share * (1 - share) * (double)b;
    return expected > 0 ? (squares - m * mean * mean) / (m - 1) / expected : 1;
}

/* The largest of n_level levels that is more than chance: m - 1 times it has about the chi2 distribution where queries are independent. */
static double design_effect(const double *x, int64_t n, const double *level, int n_level)
{
    double worst = 1;
    for (size_t i = 0; i < sizeof n_batches / sizeof *n_batches; i++) {
        const int m = n_batches[i];
        if (n < (int64_t)m * BATCH_MIN)
            break;
        double seen = 1;
        for (int k = 0; k < n_level; k++)
            seen = fmax(seen, effect_in(x, n, level[k], m));
        if ((m - 1) * seen > dist_chi2_quantile(SURE, m - 1))
            worst = fmax(worst, seen);
    }
    return worst;
}

static int64_t effective(int64_t n, double design)
{
    const int64_t e = (int64_t)floor((double)n / design);
    return e < 1 && n ? 1 : e;
}

/* ---- a percentile ---- */

/* Order statistics' interval as that of n_effective values, whose ranks are spread over those of the n there are. */
static void interval_at(const double *sorted, int64_t n, int64_t n_effective, double p, double level, double ci[2])
{
    const double tail = (1 - level) / 2;
    int64_t l = dist_binom_quantile(tail, n_effective, p), u = dist_binom_quantile(1 - tail, n_effective, p) + 1;
    const double spread = (double)n / (double)n_effective;
    l = (int64_t)floor((double)l * spread), u = (int64_t)ceil((double)u * spread);
    ci[0] = l < 1 ? 0 : sorted[l - 1];
    ci[1] = u > n ? (double)INFINITY : sorted[u - 1];
}

int latency_quantile(const double *x, int64_t n, double p, double level, struct latency_quantile *out, struct err *err)
{
    *out = (struct latency_quantile){ p, NAN, { 0, INFINITY }, { 0, INFINITY }, n, 0, 1 };
    TRY(check(x, n, p, level, err));
    if (!n)
        return 0;
    double *sorted;
    TRY(sorted_of(x, n, &sorted, err));
    out->value = sorted[rank_of(p, n) - 1];
    out->design = design_effect(x, n, (const double[]){ out->value, sorted[rank_of(0.5, n) - 1] }, 2);
    out->n_effective = effective(n, out->design);
    interval_at(sorted, n, n, p, level, out->independent);
    interval_at(sorted, n, out->n_effective, p, level, out->ci);
    mem_free(sorted);
    out->ci[0] = fmin(out->ci[0], out->independent[0]), out->ci[1] = fmax(out->ci[1], out->independent[1]);
    return 0;
}

/* ---- early stopping ---- */

static int64_t needed(int64_t t, double p, double confidence)
{
    const int64_t h = loadgen_min_passing(t, p, confidence);
    return h < 0 ? -1 : h + t;
}

int latency_limit(const double *x, int64_t n, double p, double limit, double confidence, struct latency_limit *out, struct err *err)
{
    *out = (struct latency_limit){ .limit = limit, .at_rank = NAN, .n = n, .design = 1 };
    TRY(check(x, n, p, confidence, err));
    double *sorted;
    TRY(sorted_of(x, n, &sorted, err));
    for (int64_t i = 0; i < n; i++)
        out->n_over += x[i] > limit;
    if (n) {
        out->at_rank = sorted[floor_rank(p, n)];
        out->design =
            design_effect(x, n, (const double[]){ limit, fmax(limit / 2, sorted[rank_of(p, n) - 1]), fmax(limit / 2, sorted[rank_of(0.5, n) - 1]) }, 3);
    }
    mem_free(sorted);
    out->n_effective = effective(n, out->design), out->n_over_effective = (int64_t)ceil((double)out->n_over / out->design);
    out->n_needed = needed(out->n_over, p, confidence), out->n_needed_effective = needed(out->n_over_effective, p, confidence);
    out->within = out->at_rank <= limit;
    out->stops = out->n_needed >= 0 && n >= out->n_needed;
    out->stops_effective = out->stops && out->n_needed_effective >= 0 && out->n_effective >= out->n_needed_effective;
    return 0;
}

/* The most t for which n >= h(t) + t; 0: none.  h(t) + t grows with t. */
static int64_t discarded(int64_t n, double p, double confidence)
{
    int64_t low = 0, high = n + 1;
    while (high - low > 1) {
        const int64_t t = low + (high - low) / 2, need = needed(t, p, confidence);
        *(need >= 0 && need <= n ? &low : &high) = t;
    }
    return low;
}

int latency_estimate(const double *x, int64_t n, double p, double confidence, struct latency_estimate *out, struct err *err)
{
    *out = (struct latency_estimate){ .n = n, .value = NAN, .value_effective = NAN, .design = 1 };
    TRY(check(x, n, p, confidence, err));
    out->n_needed = needed(1, p, confidence);
    if (!n)
        return 0;
    double *sorted;
    TRY(sorted_of(x, n, &sorted, err));
    out->design = design_effect(x, n, (const double[]){ sorted[rank_of(p, n) - 1], sorted[rank_of(0.5, n) - 1] }, 2);
    out->n_effective = effective(n, out->design);
    out->t = discarded(n, p, confidence);
    const int64_t t = discarded(out->n_effective, p, confidence);
    if (out->t)
        out->value = sorted[n - out->t];
    if (t)                                       /* of a sample of n_effective the t-th largest is about that of n * t / n_effective of all */
        out->value_effective = sorted[n - (int64_t)floor((double)t * (double)n / (double)out->n_effective)];
    mem_free(sorted);
    return 0;
}

/* ---- over time ---- */

/* Median of the answered ones of x[0 .. n-1], and the mean of their times; 0: none is, 1. */
static int middle_of(const double *at, const double *x, int64_t n, double *tmp, double *t, double *median, struct err *err)
{
    int64_t k = 0;
    *t = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            tmp[k++] = x[i], *t += at[i];
    if (!k)
        return 0;
    TRY(order_sort(tmp, k, err));
    *t /= (double)k, *median = order_quantile(tmp, k, 0.5);
    return 1;
}

/* A line through m points, and its slope's interval. */
static void line_through(const double *t, const double *y, int m, double level, struct latency_slope *out)
{
    double mt = 0, my = 0, tt = 0, ty = 0, rest = 0;
    for (int i = 0; i < m; i++)
        mt += t[i] / m, my += y[i] / m;
    for (int i = 0; i < m; i++)
        tt += (t[i] - mt) * (t[i] - mt), ty += (t[i] - mt) * (y[i] - my);
    if (m < 4 || !(tt > 0))
        return;
    out->slope = ty / tt;
    for (int i = 0; i < m; i++)
        rest += (y[i] - my - out->slope * (t[i] - mt)) * (y[i] - my - out->slope * (t[i] - mt));
    const double half = -dist_t_quantile((1 - level) / 2, m - 2) * sqrt(rest / (m - 2) / tt);
    out->ci[0] = out->slope - half, out->ci[1] = out->slope + half;
}

int latency_slope(const double *at, const double *x, int64_t n, double level, struct latency_slope *out, struct err *err)
{
    *out = (struct latency_slope){ NAN, { NAN, NAN }, n };
    TRY(check(x, n, 0.5, level, err));
    const int64_t b = n / N_BATCH_SLOPE;
    if (b < 1)
        return 0;
    double *tmp = mem_alloc_array((size_t)b, sizeof *tmp), t[N_BATCH_SLOPE], y[N_BATCH_SLOPE];
    if (!tmp)
        return ERR(err, NOMEM, "no memory for %lld latencies", (long long)b);
    int m = 0, rc = 0;
    for (int i = 0; i < N_BATCH_SLOPE && rc >= 0; i++)
        m += (rc = middle_of(at + i * b, x + i * b, b, tmp, &t[m], &y[m], err)) > 0;
    mem_free(tmp);
    TRY(rc);
    line_through(t, y, m, level, out);
    return 0;
}

void latency_batch_mean(const double *x, int n, double level, double *mean, double ci[2])
{
    struct interval_mean m;
    struct err ignored;
    *mean = ci[0] = ci[1] = NAN;
    if (n > 1 && interval_mean(x, NULL, NULL, n, level, &m, &ignored) == 0)
        *mean = m.mean, ci[0] = m.ci[0], ci[1] = m.ci[1];
}
