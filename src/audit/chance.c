/* chance.c - tails are summed from their largest term on, by the ratio of neighbours. */
#include "audit/chance.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

static double log_choose(int64_t n, int64_t k)
{
    return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
}

/* A distribution of whole numbers low..high: the logarithm of one term, and that of k + 1 over that of k. */
struct law { int64_t N, K, n; double p; int64_t low, high; };

static double law_log(const struct law *l, int64_t k)
{
    if (l->N)
        return log_choose(l->K, k) + log_choose(l->N - l->K, l->n - k) - log_choose(l->N, l->n);
    return log_choose(l->n, k) + (k ? (double)k * log(l->p) : 0) + (k < l->n ? (double)(l->n - k) * log1p(-l->p) : 0);
}

static double law_ratio(const struct law *l, int64_t k)
{
    if (l->N)
        return (double)(l->K - k) / (double)(k + 1) * ((double)(l->n - k) / (double)(l->N - l->K - l->n + k + 1));
    return (double)(l->n - k) / (double)(k + 1) * (l->p / (1 - l->p));
}

/* Terms from k on, away from the mean, over the one of k. */
static double sum_away(const struct law *l, int64_t k, int step)
{
    double sum = 1, term = 1;
    while ((step > 0 ? k < l->high : k > l->low) && term > 1e-18 * sum) {
        term = step > 0 ? term * law_ratio(l, k) : term / law_ratio(l, k - 1);
        k += step;
        sum += term;
    }
    return sum;
}

static double law_tail(const struct law *l, double mean, int64_t k)
{
    if (k <= l->low)
        return 0;
    if (k > l->high)
        return -INFINITY;
    if ((double)k > mean)
        return law_log(l, k) + log(sum_away(l, k, 1));
    const double below = exp(law_log(l, k - 1)) * sum_away(l, k - 1, -1);
    return log1p(below < 1 ? -below : -1);
}

double chance_hypergeometric(int64_t N, int64_t K, int64_t n, int64_t k)
{
    const struct law l = { N, K, n, 0, n - (N - K) > 0 ? n - (N - K) : 0, n < K ? n : K };
    return law_tail(&l, (double)n * (double)K / (double)N, k);
}

double chance_binomial(int64_t n, int64_t k, double p)
{
    const struct law l = { 0, 0, n, p, 0, n };
    if (p <= 0 || p >= 1)
        return k <= 0 || (p >= 1 && k <= n) ? 0 : -INFINITY;
    return law_tail(&l, (double)n * p, k);
}

/* Beyond the mode the terms fall: the nearest k on that side whose term is no larger than `limit`, or one past the end. */
static int64_t no_likelier(const struct law *l, int64_t mode, int step, double limit)
{
    int64_t near = mode, far = step > 0 ? l->high + 1 : l->low - 1;      /* near: larger, as far as is known; far: not */
    while (near + step != far) {
        const int64_t k = near + (far - near) / 2;
        if (law_log(l, k) <= limit)
            far = k;
        else
            near = k;
    }
    return far;
}

double chance_fisher(int64_t a, int64_t n, int64_t b, int64_t m)
{
    const int64_t K = a + b, N = n + m;
    const struct law l = { N, K, n, 0, n - (N - K) > 0 ? n - (N - K) : 0, n < K ? n : K };
    if (!n || !m)
        return 1;
    const double limit = law_log(&l, a) + 1e-7;
    const int64_t mode = (int64_t)((double)(n + 1) * (double)(K + 1) / (double)(N + 2));
    if (law_log(&l, mode) <= limit)
        return 1;
    double p = 0;
    const int64_t up = no_likelier(&l, mode, 1, limit), down = no_likelier(&l, mode, -1, limit);
    if (up <= l.high)
        p += exp(law_log(&l, up)) * sum_away(&l, up, 1);
    if (down >= l.low)
        p += exp(law_log(&l, down)) * sum_away(&l, down, -1);
    return p < 1 ? p : 1;
}

void chance_wilson(int64_t k, int64_t n, double *low, double *high)
{
    const double z = 1.959963984540054, m = (double)n, p = n ? (double)k / m : 0;
    const double middle = p + z * z / (2 * m), half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)), over = 1 + z * z / m;
    *low = n && k ? (middle - half) / over : 0;
    *high = n && k < n ? (middle + half) / over : 1;
}

struct ranked { double p; size_t at; };

static int by_p(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->p != y->p ? (x->p < y->p ? -1 : 1) : (x->at > y->at) - (x->at < y->at);
}

int chance_holm(double *p, size_t n, struct err *err)
{
    struct ranked *r = mem_alloc_array(n + 1, sizeof *r);
    double least = 0;
    if (!r)
        return ERR(err, NOMEM, "no memory to sort %zu chances", n);
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){ p[i], i };
    qsort(r, n, sizeof *r, by_p);
    for (size_t i = 0; i < n; i++) {
        least = fmax(least, fmin(1, r[i].p * (double)(n - i)));
        p[r[i].at] = least;
    }
    mem_free(r);
    return 0;
}
