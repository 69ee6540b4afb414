#include "base/stat.h"
#include <math.h>
#include <stdlib.h>

static int by_value(const void *pa, const void *pb)
{
    const double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

void stat_sort(double *v, size_t n) { qsort(v, n, sizeof *v, by_value); }

double stat_quantile(double *v, int n, double q)
{
    if (n < 1)
        return 0;
    stat_sort(v, (size_t)n);
    const double at = q * (n - 1);
    const int i = (int)at;
    return i + 1 < n ? v[i] + (at - i) * (v[i + 1] - v[i]) : v[n - 1];
}

double stat_median(double *v, int n) { return stat_quantile(v, n, 0.5); }

double stat_mean(const double *v, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += v[i];
    return n ? s / n : 0;
}

double stat_stddev(const double *v, int n)
{
    const double m = stat_mean(v, n);
    double s = 0;
    for (int i = 0; i < n; i++)
        s += (v[i] - m) * (v[i] - m);
    return n > 1 ? sqrt(s / (n - 1)) : 0;
}
