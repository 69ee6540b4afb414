#include "eval/selective.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

struct sure { double conf; int wrong; };

static int by_conf_down(const void *a, const void *b)
{
    const double x = ((const struct sure *)a)->conf, y = ((const struct sure *)b)->conf;
    return (x < y) - (x > y);
}

int selective_curve(const double *conf, const unsigned char *right, int64_t n, double *risk, struct err *err)
{
    struct sure *s = mem_alloc_array((size_t)n, sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory to order %" PRId64 " items", n);
    for (int64_t i = 0; i < n; i++)
        s[i] = (struct sure){ conf[i], !right[i] };
    qsort(s, (size_t)n, sizeof *s, by_conf_down);
    double before = 0;
    for (int64_t from = 0, to; from < n; from = to) {
        double wrong = 0;
        for (to = from; to < n && s[to].conf == s[from].conf; to++)
            wrong += s[to].wrong;
        for (int64_t k = from + 1; k <= to; k++)
            risk[k - 1] = (before + wrong * (double)(k - from) / (double)(to - from)) / (double)k;
        before += wrong;
    }
    mem_free(s);
    return 0;
}

double selective_aurc_mean(const double *risk, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += risk[k];
    return sum / (double)n;
}

double selective_aurc_trapezoid(const double *risk, int64_t n)
{
    double sum = 0;
    for (int64_t k = 1; k < n; k++)
        sum += (risk[k - 1] + risk[k]) / 2;
    return n < 2 ? NAN : sum / (double)(n - 1);
}

double selective_aurc_best(const double *risk, int64_t n)
{
    const int64_t n_wrong = n ? (int64_t)llround(risk[n - 1] * (double)n) : 0;
    double sum = 0;
    for (int64_t k = n - n_wrong + 1; k <= n; k++)
        sum += (double)(k - (n - n_wrong)) / (double)k;
    return sum / (double)n;
}

double selective_accuracy(const double *risk, int64_t n, double coverage)
{
    int64_t k = (int64_t)ceil(coverage * (double)n * (1 - 1e-12));       /* .1 * 30 is 3, whatever rounding says */
    k = k < 1 ? 1 : k > n ? n : k;
    return n ? 1 - risk[k - 1] : NAN;
}

double selective_coverage(const double *risk, int64_t n, double risk_max)
{
    for (int64_t k = n; k > 0; k--)
        if (risk[k - 1] <= risk_max)
            return (double)k / (double)n;
    return 0;
}
