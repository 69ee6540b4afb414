#include "eval/linalg.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define BAND 16      /* rows of a result that one thread makes */

/* ---- products ---- */

struct gram { double *s; const double *x; int m, d; };

/* Four rows of x at a time, so that a row of the sum is read and written a quarter as often. */
static void gram_row(const struct gram *g, int i)
{
    const size_t d = (size_t)g->d;
    double *s = g->s + (size_t)i * d;
    int r = 0;
    for (; r + 4 <= g->m; r += 4) {
        const double *x0 = g->x + (size_t)r * d, *x1 = x0 + d, *x2 = x1 + d, *x3 = x2 + d;
        const double a0 = x0[i], a1 = x1[i], a2 = x2[i], a3 = x3[i];
        for (int j = 0; j <= i; j++)
            s[j] += (a0 * x0[j] + a1 * x1[j]) + (a2 * x2[j] + a3 * x3[j]);
    }
    for (; r < g->m; r++) {
        const double *x = g->x + (size_t)r * d, a = x[i];
        for (int j = 0; j <= i; j++)
            s[j] += a * x[j];
    }
}

static void gram_band(void *ctx, int i_band, int i_thread)
{
    const struct gram *g = ctx;
    (void)i_thread;
    for (int i = i_band * BAND; i < (i_band + 1) * BAND && i < g->d; i++)
        gram_row(g, i);
}

void lin_gram_add(double *s, const double *x, int m, int d, struct pool *pool)
{
    struct gram g = { s, x, m, d };
    pool_for(pool, (d + BAND - 1) / BAND, gram_band, &g);
}

void lin_times_upper(const double *x, const double *t, double *y, int m, int d)
{
    memset(y, 0, (size_t)m * (size_t)d * sizeof *y);
    for (int j = 0; j < d; j++)
        for (int r = 0; r < m; r++) {
            const double a = x[(size_t)r * (size_t)d + (size_t)j], *row = t + (size_t)j * (size_t)d;
            double *to = y + (size_t)r * (size_t)d;
            for (int i = j; i < d; i++)
                to[i] += a * row[i];
        }
}

void lin_times(const double *x, const double *t, double *y, int m, int d, int k)
{
    memset(y, 0, (size_t)m * (size_t)k * sizeof *y);
    for (int j = 0; j < d; j++)
        for (int r = 0; r < m; r++) {
            const double a = x[(size_t)r * (size_t)d + (size_t)j], *row = t + (size_t)j * (size_t)k;
            double *to = y + (size_t)r * (size_t)k;
            for (int i = 0; i < k; i++)
                to[i] += a * row[i];
        }
}

/* Four sums, so that they do not wait for each other. */
double lin_distance2(const double *a, const double *b, int d)
{
    double s[4] = { 0 };
    int i = 0;
    for (; i + 4 <= d; i += 4)
        for (int j = 0; j < 4; j++)
            s[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
    for (; i < d; i++)
        s[0] += (a[i] - b[i]) * (a[i] - b[i]);
    return (s[0] + s[1]) + (s[2] + s[3]);
}

double lin_dot(const double *a, const double *b, int d)
{
    double s[4] = { 0 };
    int i = 0;
    for (; i + 4 <= d; i += 4)
        for (int j = 0; j < 4; j++)
            s[j] += a[i + j] * b[i + j];
    for (; i < d; i++)
        s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* ---- Cholesky ---- */

int lin_cholesky(double *a, int d)
{
    const size_t ld = (size_t)d;
    for (int j = 0; j < d; j++) {
        double *row = a + (size_t)j * ld;
        const double own = row[j];
        for (int i = 0; i < j; i++)
            row[i] = (row[i] - lin_dot(row, a + (size_t)i * ld, i)) / a[(size_t)i * ld + (size_t)i];
        const double pivot = own - lin_dot(row, row, j);
        if (!(pivot > DBL_EPSILON * d * own))
            return j;
        row[j] = sqrt(pivot);
    }
    return -1;
}

void lin_cholesky_solve(const double *l, int d, double *x)
{
    const size_t ld = (size_t)d;
    for (int i = 0; i < d; i++)
        x[i] = (x[i] - lin_dot(l + (size_t)i * ld, x, i)) / l[(size_t)i * ld + (size_t)i];
    for (int i = d - 1; i >= 0; i--) {
        x[i] /= l[(size_t)i * ld + (size_t)i];
        for (int j = 0; j < i; j++)
            x[j] -= l[(size_t)i * ld + (size_t)j] * x[i];
    }
}

/* Row j of t is column j of L^-1: forward substitution of a unit vector. */
void lin_whitening(const double *l, int d, double *t)
{
    const size_t ld = (size_t)d;
    memset(t, 0, ld * ld * sizeof *t);
    for (int j = 0; j < d; j++) {
        double *x = t + (size_t)j * ld;
        x[j] = 1 / l[(size_t)j * ld + (size_t)j];
        for (int i = j + 1; i < d; i++)
            x[i] = -lin_dot(l + (size_t)i * ld + j, x + j, i - j) / l[(size_t)i * ld + (size_t)i];
    }
}
