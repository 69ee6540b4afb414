#include "eval/contingency.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "eval/dist.h"

/* Sums of rows, then of columns, into sum[rows + columns]; returns that of all. */
static int64_t margins(const int64_t *count, int rows, int columns, double *sum)
{
    int64_t n = 0;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            const int64_t c = count[(int64_t)i * columns + j];
            if (c < 0 || c > (int64_t)DIST_MAX - n)
                return -1;
            n += c;
            sum[i] += (double)c, sum[rows + j] += (double)c;
        }
    return n;
}

static void add_cells(const int64_t *count, int rows, int columns, bool yates, const double *sum, struct contingency *out)
{
    double plain = 0;
    out->expected_min = INFINITY;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            const double o = (double)count[(int64_t)i * columns + j], e = sum[i] / (double)out->n * sum[rows + j], d = fabs(o - e);
            const double less = yates && out->df == 1 ? d - fmin(d, 0.5) : d, seen = o > e ? e + less : e - less;
            out->chi2 += less * less / e;
            plain += d * d / e;
            if (seen > 0)
                out->g += 2 * seen * log(seen / e);
            out->expected_min = fmin(out->expected_min, e);
        }
    const int least = (rows < columns ? rows : columns) - 1;
    out->cramer_v = least > 0 ? sqrt(plain / (double)out->n / least) : 0;
}

int contingency_test(const int64_t *count, int rows, int columns, bool yates, struct contingency *out, struct err *err)
{
    *out = (struct contingency){ .p = 1, .g_p = 1 };
    if (rows < 1 || columns < 1 || rows > 1 << 20 || columns > 1 << 20)
        return ERR(err, RANGE, "a table of %d by %d, expected 1 to 2^20", rows, columns);
    double *sum = mem_alloc_array((size_t)rows + (size_t)columns, sizeof *sum);
    if (!sum)
        return ERR(err, NOMEM, "a table of %d by %d does not fit into memory", rows, columns);
    out->df = (int64_t)(rows - 1) * (columns - 1);
    out->n = margins(count, rows, columns, sum);
    int rc = out->n < 0 ? ERR(err, RANGE, "a count is negative, or their sum is over 10^14") : 0;
    for (int i = 0; i < rows + columns && rc == 0; i++)
        if (!(sum[i] > 0))
            rc = ERR(err, RANGE, "%s %d of the table has no counts", i < rows ? "row" : "column", i < rows ? i : i - rows);
    if (rc == 0 && out->df > 0) {
        add_cells(count, rows, columns, yates, sum, out);
        out->p = dist_chi2_sf(out->chi2, (double)out->df);
        out->g_p = dist_chi2_sf(out->g, (double)out->df);
    }
    mem_free(sum);
    return rc;
}

/* ---- Fisher ---- */

/* k of the row's r when s of N are drawn, low <= k <= high. */
struct hypergeometric { int64_t r, s, N, low, high; };

static double log_chance(const struct hypergeometric *h, int64_t k)
{
    const double p = (double)h->s / (double)h->N;
    return dist_binom_log_pmf(k, h->r, p) + dist_binom_log_pmf(h->s - k, h->N - h->r, p) - dist_binom_log_pmf(h->s, h->N, p);
}

/* P(k+1) / P(k) */
static double ratio_up(const struct hypergeometric *h, int64_t k)
{
    return (double)(h->r - k) / (double)(k + 1) * ((double)(h->s - k) / (double)(h->N - h->r - h->s + k + 1));
}

/* From k on, away from the mode. */
static double tail_from(const struct hypergeometric *h, int64_t k, int step)
{
    if (k < h->low || k > h->high)
        return 0;
    double sum = 1, term = 1;
    const double first = log_chance(h, k);
    while ((step > 0 ? k < h->high : k > h->low) && term > 1e-18 * sum) {
        term = step > 0 ? term * ratio_up(h, k) : term / ratio_up(h, k - 1);
        sum += term;
        k += step;
    }
    return exp(first) * sum;
}

/* Beyond the mode, on its other side, the first that is no likelier than `log_seen`. */
static int64_t other_end(const struct hypergeometric *h, int64_t mode, int step, double log_seen)
{
    int64_t near = mode, far = step > 0 ? h->high + 1 : h->low - 1;         /* near is likelier; far is not, or not there */
    while (llabs(far - near) > 1) {
        const int64_t k = near + (far - near) / 2;
        *(log_chance(h, k) > log_seen + 1e-12 * fmax(1, fabs(log_seen)) ? &near : &far) = k;
    }
    return far;
}

int contingency_fisher(const int64_t table[2][2], struct contingency_fisher *out, struct err *err)
{
    double sum[4] = { 0 };
    const int64_t N = margins(&table[0][0], 2, 2, sum), a = table[0][0];
    *out = (struct contingency_fisher){ 1, 1, 1 };
    if (N < 0)
        return ERR(err, RANGE, "a count is negative, or their sum is over 10^14");
    const int64_t r = (int64_t)sum[0], s = (int64_t)sum[2];
    const struct hypergeometric h = { r, s, N, r + s > N ? r + s - N : 0, r < s ? r : s };
    if (h.low == h.high)
        return 0;
    const int64_t guess = (int64_t)(((double)r + 1) * ((double)s + 1) / ((double)N + 2)), mode = guess < h.low ? h.low : guess > h.high ? h.high : guess;
    const double seen = log_chance(&h, a);
    if (a <= mode)
        out->less = fmin(1, tail_from(&h, a, -1)), out->greater = fmin(1, 1 - tail_from(&h, a - 1, -1));
    else
        out->greater = fmin(1, tail_from(&h, a, 1)), out->less = fmin(1, 1 - tail_from(&h, a + 1, 1));
    if (seen >= log_chance(&h, mode) - 1e-12 * fmax(1, fabs(seen)))
        return 0;
    const int away = a < mode ? -1 : 1;
    out->two_sided = fmin(1, tail_from(&h, a, away) + tail_from(&h, other_end(&h, mode, -away, seen), -away));
    return 0;
}
