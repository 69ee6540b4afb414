#include "eval/two_sample.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "eval/dist.h"
#include "eval/order.h"

/* ---- both samples in order ---- */

struct pair { double *x, *y; int64_t n, m; };

static int pair_init(struct pair *p, const double *x, int64_t n, const double *y, int64_t m, struct err *err)
{
    *p = (struct pair){ .n = n, .m = m };
    if (n < 1 || m < 1)
        return ERR(err, RANGE, "samples of %lld and %lld values, expected at least 1", (long long)n, (long long)m);
    TRY(order_finite(x, n, "first sample", err));
    TRY(order_finite(y, m, "second sample", err));
    p->x = n < INT64_MAX / 16 ? mem_alloc_array((size_t)n, sizeof *x) : NULL;
    p->y = m < INT64_MAX / 16 ? mem_alloc_array((size_t)m, sizeof *y) : NULL;
    int rc = !p->x || !p->y ? ERR(err, NOMEM, "samples of %lld and %lld values do not fit into memory", (long long)n, (long long)m) : 0;
    if (rc == 0) {
        memcpy(p->x, x, (size_t)n * sizeof *x);
        memcpy(p->y, y, (size_t)m * sizeof *y);
        rc = order_sort(p->x, n, err);
    }
    if (rc == 0)
        rc = order_sort(p->y, m, err);
    if (rc < 0)
        mem_free(p->x), mem_free(p->y);
    return rc;
}

static void pair_release(struct pair *p)
{
    mem_free(p->x);
    mem_free(p->y);
}

/* The values one after the other, each once: i of x and j of y are at most `value`. */
struct walk { const struct pair *p; int64_t i, j; double value; };

static bool walk_next(struct walk *w)
{
    const struct pair *p = w->p;
    if (w->i >= p->n && w->j >= p->m)
        return false;
    w->value = w->i >= p->n ? p->y[w->j] : w->j >= p->m ? p->x[w->i] : fmin(p->x[w->i], p->y[w->j]);
    while (w->i < p->n && p->x[w->i] == w->value)
        w->i++;
    while (w->j < p->m && p->y[w->j] == w->value)
        w->j++;
    return true;
}

/* ---- distances ---- */

/* The integral of |F - G| or its square. */
static double integral(const struct pair *p, bool squared)
{
    struct walk w = { .p = p };
    double sum = 0, from = 0, d = 0;
    for (bool first = true; walk_next(&w); first = false) {
        if (!first)
            sum += (squared ? d * d : d) * (w.value - from);
        from = w.value;
        d = fabs((double)w.i / (double)p->n - (double)w.j / (double)p->m);
    }
    return sum;
}

int two_wasserstein(const double *x, int64_t n, const double *y, int64_t m, double *out, struct err *err)
{
    struct pair p;
    TRY(pair_init(&p, x, n, y, m, err));
    *out = integral(&p, false);
    pair_release(&p);
    return 0;
}

int two_energy(const double *x, int64_t n, const double *y, int64_t m, double *out, struct err *err)
{
    struct pair p;
    TRY(pair_init(&p, x, n, y, m, err));
    *out = sqrt(2 * integral(&p, true));
    pair_release(&p);
    return 0;
}

/* ---- Kolmogorov-Smirnov ---- */

enum { KS_EXACT = 10000 };

/* The chance that the path of a random order of n and m values, from (0, 0) to (n, m), meets |i m - j n| >= h: u[j] is that of paths to (i, j), whose last
 * step came from (i - 1, j) with probability i / (i + j).  Sums of positive terms alone; out of the band all have met it. */
static double ks_chance(int64_t n, int64_t m, int64_t h, double *u)
{
    for (int64_t j = 0; j <= m; j++)
        u[j] = j * n >= h;
    for (int64_t i = 1; i <= n; i++) {
        const int64_t low = (i * m - h) / n - 1, high = (i * m + h) / n + 1;
        for (int64_t j = low < 0 ? 0 : low; j <= (high > m ? m : high); j++) {
            const double from_left = j > 0 ? u[j - 1] : 0;
            if (llabs(i * m - j * n) >= h)
                u[j] = 1;
            else
                u[j] = ((double)i * u[j] + (double)j * from_left) / (double)(i + j);
        }
    }
    return u[m];
}

int two_ks(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err)
{
    struct pair p;
    TRY(pair_init(&p, x, n, y, m, err));
    struct walk w = { .p = &p };
    double D = 0;
    int64_t h = 0;
    const bool exact = n <= KS_EXACT && m <= KS_EXACT;
    while (walk_next(&w)) {
        D = fmax(D, fabs((double)w.i / (double)n - (double)w.j / (double)m));
        const int64_t apart = exact ? llabs(w.i * m - w.j * n) : 0;
        h = apart > h ? apart : h;
    }
    pair_release(&p);
    *out = (struct two_sample){ D, 1, exact };
    if (!exact) {
        out->p = kolmogorov_sf(D, llround((double)n * ((double)m / ((double)n + (double)m))));
    } else if (h > 0) {
        out->statistic = (double)h / (double)(n * m);
        double *u = mem_alloc_array((size_t)m + 1, sizeof *u);
        if (!u)
            return ERR(err, NOMEM, "a test of %lld values does not fit into memory", (long long)m);
        out->p = ks_chance(n, m, h, u);
        mem_free(u);
    }
    return 0;
}

/* P(D+ >= d): x = d, sum over j of C(n,j) (x + j/n)^(j-1) (1 - x - j/n)^(n-j) x, each a binomial probability times x / (x + j/n). */
static double smirnov_sf(double d, int64_t n)
{
    const double N = (double)n;
    if (n > 100000)             /* Maag & Dicaire, Biometrika 58, 1971: a relative error of the order 1/n */
        return exp(-(6 * N * d + 1) * (6 * N * d + 1) / (18 * N));
    double sum = exp(N * log1p(-d));
    for (int64_t j = 1; (double)j < N * (1 - d); j++) {
        const double share = d + (double)j / N;
        if (share < 1)
            sum += dist_binom_pmf(j, n, share) * d / share;
    }
    return sum;
}

/* out = a b, all [size][size], and what the exponents of ten beside them become. */
static void matrix_product(const double *a, const double *b, double *out, int size)
{
    memset(out, 0, (size_t)size * (size_t)size * sizeof *out);
    for (int i = 0; i < size; i++)
        for (int k = 0; k < size; k++)
            for (int j = 0; j < size; j++)
                out[i * size + j] += a[i * size + k] * b[k * size + j];
}

enum { MATRIX = 2 * 60 - 1 };       /* for n d < 60: 1.25 n^(1/3) is less up to n = 100,000, and 24 for n <= 140 */

/* P(D_n < d) = n! / n^n times the middle element of H^n. */
static double matrix_cdf(double d, int64_t n)
{
    static const double tiny = 0x1p-400;
    const int k = (int)((double)n * d) + 1, size = 2 * k - 1;
    const double h = k - (double)n * d;
    double room[3][MATRIX * MATRIX] = { { 0 } }, *H = room[0], *power = room[1], *out = room[2];
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++)
            H[i * size + j] = i - j + 1 >= 0;
    for (int i = 0; i < size; i++) {
        H[i * size] -= pow(h, i + 1);
        H[(size - 1) * size + i] -= pow(h, size - i);
    }
    H[(size - 1) * size] += 2 * h - 1 > 0 ? pow(2 * h - 1, size) : 0;
    for (int i = 0; i < size; i++)
        for (int j = 0; j <= i; j++)
            for (int g = 1; g <= i - j + 1; g++)
                H[i * size + j] /= g;
    memset(power, 0, (size_t)size * (size_t)size * sizeof *power);
    for (int i = 0; i < size; i++)
        power[i * size + i] = 1;
    int64_t scale = 0, scale_H = 0;         /* powers of 2^400 that were taken out */
    const int middle = (k - 1) * size + k - 1;
    for (int64_t left = n; left > 0; left /= 2) {
        if (left % 2) {
            matrix_product(power, H, out, size);
            double *const other = power;
            power = out, out = other;
            scale += scale_H;
        }
        if (power[middle] > 1 / tiny) {
            for (int i = 0; i < size * size; i++)
                power[i] *= tiny;
            scale++;
        }
        matrix_product(H, H, out, size);
        double *const other = H;
        H = out, out = other;
        scale_H *= 2;
        if (H[middle] > 1 / tiny) {
            for (int i = 0; i < size * size; i++)
                H[i] *= tiny;
            scale_H++;
        }
    }
    double cdf = power[middle];
    for (int64_t i = 1; i <= n; i++) {
        cdf *= (double)i / (double)n;
        if (cdf < tiny)
            cdf /= tiny, scale--;
    }
    return ldexp(cdf, (int)scale * 400);
}

/* The first four terms of Pelz & Good. */
static double pelz_good_cdf(double d, int64_t n)
{
    const double z = sqrt((double)n) * d, z2 = z * z, z4 = z2 * z2, z6 = z4 * z2, pi2 = M_PI * M_PI, pi4 = pi2 * pi2, pi6 = pi4 * pi2;
    double K0 = 0, K1 = 0, K2 = 0, K3 = 0, K2_whole = 0, K3_whole = 0;
    for (int k = 0; k < 200; k++) {
        const double a = (k + 0.5) * (k + 0.5), e = exp(-a * pi2 / (2 * z2)), b = (k + 1.0) * (k + 1.0), f = exp(-b * pi2 / (2 * z2));
        K0 += e;
        K1 += (pi2 * a - z2) * e;
        K2 += (6 * z6 + 2 * z4 + pi2 * (2 * z4 - 5 * z2) * a + pi4 * (1 - 2 * z2) * a * a) * e;
        K3 += (pi6 * a * a * a * (5 - 30 * z2) + pi4 * a * a * (212 * z4 - 60 * z2) + pi2 * a * (135 * z4 - 96 * z6) - 30 * z6 - 90 * z4 * z4) * e;
        K2_whole += pi2 * b * f;
        K3_whole += (3 * pi2 * b * z2 - pi4 * b * b) * f;
    }
    const double root = sqrt(2 * M_PI), N = (double)n;
    K0 *= root / z;
    K1 *= root / (6 * z4);
    K2 = root * (K2 / (72 * z6 * z) - K2_whole / (36 * z2 * z));
    K3 = root * (K3 / (6480 * z6 * z4) + K3_whole / (216 * z6));
    return K0 + K1 / sqrt(N) + K2 / N + K3 / (N * sqrt(N));
}

double kolmogorov_sf(double d, int64_t n)
{
    if (isnan(d) || n < 1)
        return NAN;
    const double N = (double)n, nd = N * d, nd2 = nd * d;
    if (nd <= 0.5 || d >= 1)
        return d < 1;
    if (d >= 0.5 || nd2 >= (n <= 140 ? 4 : 2.2))
        return fmin(1, 2 * smirnov_sf(d, n));
    const double cdf = n <= 140 || (n <= 100000 && nd * sqrt(d) <= 1.4) ? matrix_cdf(d, n) : pelz_good_cdf(d, n);
    return fmin(1, fmax(0, 1 - cdf));
}

/* ---- Mann-Whitney ---- */

/* P(U <= most): how many orders have each U, counted by the Gaussian binomial, the product of (1 - x^(n+i)) / (1 - x^i) over i <= m. */
static int mann_whitney_chance(int64_t n, int64_t m, int64_t most, double *p, struct err *err)
{
    double *ways = mem_alloc_array((size_t)most + 1, sizeof *ways), all = 1, sum = 0;
    if (!ways)
        return ERR(err, NOMEM, "Mann-Whitney's test of %lld and %lld values does not fit into memory", (long long)n, (long long)m);
    ways[0] = 1;
    for (int64_t i = 1; i <= m; i++) {
        for (int64_t u = most; u >= n + i; u--)
            ways[u] -= ways[u - n - i];
        for (int64_t u = i; u <= most; u++)
            ways[u] += ways[u - i];
        all *= (double)(n + i) / (double)i;
    }
    for (int64_t u = 0; u <= most; u++)
        sum += ways[u];
    mem_free(ways);
    *p = sum / all;
    return 0;
}

int two_mann_whitney(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err)
{
    if (n < 1 || m < 1 || n > INT64_MAX / 64 || m > INT64_MAX / 64)
        return ERR(err, RANGE, "samples of %lld and %lld values, expected at least 1", (long long)n, (long long)m);
    TRY(order_finite(x, n, "first sample", err));
    TRY(order_finite(y, m, "second sample", err));
    double *all = mem_alloc_array((size_t)(n + m) * 2, sizeof *all), ties = 0, sum = 0;
    if (!all)
        return ERR(err, NOMEM, "samples of %lld and %lld values do not fit into memory", (long long)n, (long long)m);
    memcpy(all, x, (size_t)n * sizeof *x);
    memcpy(all + n, y, (size_t)m * sizeof *y);
    const int rc = order_rank(all, n + m, all + n + m, &ties, err);
    for (int64_t i = 0; i < n && rc == 0; i++)
        sum += all[n + m + i];
    mem_free(all);
    TRY(rc);
    const double N = (double)n, M = (double)m, U = sum - N * (N + 1) / 2, larger = fmax(U, N * M - U);
    *out = (struct two_sample){ U, 1, (n <= 8 || m <= 8) && ties == 0 && N * M <= 0x1p22 };
    if (out->exact) {
        TRY(mann_whitney_chance(n > m ? n : m, n > m ? m : n, n * m - (int64_t)larger, &out->p, err));
        out->p = fmin(1, 2 * out->p);
        return 0;
    }
    const double variance = N * M / 12 * (N + M + 1 - ties / ((N + M) * (N + M - 1)));
    if (variance > 0)
        out->p = fmin(1, 2 * dist_normal_sf((larger - N * M / 2 - 0.5) / sqrt(variance)));
    return 0;
}

/* ---- Anderson-Darling ---- */

/* Of both samples: sum over values of l (N M - B n)^2 / (B (N - B) - N l / 4) / N / n, where l values are equal, B of all and M of
 * the sample lie below, half of the equal ones among them.  NAN: all are equal. */
static double anderson_darling(const struct pair *p)
{
    struct walk w = { .p = p };
    const double n = (double)p->n, m = (double)p->m, N = n + m;
    double of_x = 0, of_y = 0;
    for (double i = 0, j = 0; walk_next(&w); i = (double)w.i, j = (double)w.j) {
        const double equal = (double)w.i - i + ((double)w.j - j), mid_x = (i + (double)w.i) / 2, mid_y = (j + (double)w.j) / 2, B = mid_x + mid_y;
        const double weight = equal / N / (B * (N - B) - N * equal / 4);
        of_x += weight * (N * mid_x - B * n) * (N * mid_x - B * n);
        of_y += weight * (N * mid_y - B * m) * (N * mid_y - B * m);
    }
    return (N - 1) / N * (of_x / n + of_y / m);
}

/* Its variance for two samples: their eq. 4 with k = 2. */
static double anderson_darling_variance(double n, double m)
{
    const double N = n + m, H = 1 / n + 1 / m;
    double h = 0, g = 0;
    for (double i = N - 1; i >= 1; i--) {           /* h: sum 1/i; g: sum over i < j of 1 / ((N - i) j) */
        if (i < N - 1)
            g += h / (N - i);
        h += 1 / i;
    }
    const double a = 4 * g - 6 + (10 - 6 * g) * H, b = 4 * (2 * g - 4) + 16 * h + (2 * g - 14 * h - 4) * H - 8 * h + 4 * g - 6;
    const double c = 4 * (6 * h + 2 * g - 2) + 2 * (4 * h - 4 * g + 6) + (2 * h - 6) * H + 4 * h, d = 4 * (2 * h + 6) - 8 * h;
    return (((a * N + b) * N + c) * N + d) / ((N - 1) * (N - 2) * (N - 3));
}

/* The square nearest to the logarithms of the levels .25 .1 .05 .025 .01 .005 .001 at their critical values, b0 + b1 + b2 of the table. */
static double anderson_darling_p(double t)
{
    static const double critical[] = { 0.325, 1.226, 1.961, 2.718, 3.752, 4.592, 6.546 }, level[] = { 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001 };
    if (t < critical[0] || t > critical[6])
        return t < critical[0] ? 0.25 : 0.001;
    double s[5] = { 0 }, r[3] = { 0 };              /* normal equations about the middle */
    for (int i = 0; i < 7; i++) {
        double power = 1;
        for (int k = 0; k < 5; k++, power *= critical[i] - 3) {
            s[k] += power;
            if (k < 3)
                r[k] += power * log(level[i]);
        }
    }
    double A[3][4] = { { s[0], s[1], s[2], r[0] }, { s[1], s[2], s[3], r[1] }, { s[2], s[3], s[4], r[2] } };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            for (int j = 3; k != i && j >= i; j--)
                A[k][j] -= A[i][j] * A[k][i] / A[i][i];
    return exp(A[0][3] / A[0][0] + (t - 3) * (A[1][3] / A[1][1] + (t - 3) * (A[2][3] / A[2][2])));
}

int two_anderson_darling(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err)
{
    struct pair p;
    TRY(pair_init(&p, x, n, y, m, err));
    const double A = anderson_darling(&p);
    pair_release(&p);
    *out = (struct two_sample){ 0, 1, false };
    if (n + m < 4)
        return ERR(err, RANGE, "%lld values together, expected at least 4", (long long)(n + m));
    if (isfinite(A)) {
        out->statistic = (A - 1) / sqrt(anderson_darling_variance((double)n, (double)m));
        out->p = anderson_darling_p(out->statistic);
    }
    return 0;
}
