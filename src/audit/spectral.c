#include "audit/spectral.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

#define TURNS 1000
#define STILL 1e-9

/* score[i] = (x[i] - mean) . v */
static void project(const float *x, size_t n, size_t d, const double *mean, const double *v, double *score)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k < d; k++)
            sum += ((double)x[i * d + k] - mean[k]) * v[k];
        score[i] = sum;
    }
}

static double normalise(double *v, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++)
        sum += v[k] * v[k];
    sum = sqrt(sum);
    for (size_t k = 0; k < d && sum > 0; k++)
        v[k] /= sum;
    return sum;
}

/* next = sum of score[i] (x[i] - mean), to length 1; returns the length it had. */
static double turn(const float *x, size_t n, size_t d, const double *mean, const double *score, double *next)
{
    memset(next, 0, d * sizeof *next);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            next[k] += score[i] * ((double)x[i * d + k] - mean[k]);
    return normalise(next, d);
}

static void find_vector(const float *x, size_t n, size_t d, const double *mean, double *v, double *next, double *score)
{
    for (size_t k = 0; k < d; k++)
        v[k] = rng_normal(1, k);
    normalise(v, d);
    for (int t = 0; t < TURNS; t++) {
        double moved = 0;
        project(x, n, d, mean, v, score);
        const double length = turn(x, n, d, mean, score, next);
        for (size_t k = 0; k < d; k++)
            moved += (next[k] - v[k]) * (next[k] - v[k]);
        if (!(length > 0))
            break;
        memcpy(v, next, d * sizeof *v);
        if (moved < STILL * STILL)
            break;
    }
    project(x, n, d, mean, v, score);
}

int spectral_scores(const float *x, size_t n, size_t d, double *score, struct err *err)
{
    double *work = mem_alloc_array(3, (d + 1) * sizeof *work);
    if (!work)
        return ERR(err, NOMEM, "no memory for vectors of %zu numbers", d);
    double *mean = work, *v = work + d, *next = work + 2 * d;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            mean[k] += (double)x[i * d + k] / (double)n;
    find_vector(x, n, d, mean, v, next, score);
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        score[i] *= score[i];
        finite = finite && isfinite(score[i]);
    }
    mem_free(work);
    return finite ? 0 : ERR(err, NUMERIC, "representations of %zu records by %zu numbers are not finite", n, d);
}

struct ranked { double score; size_t at; };

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : (x->at > y->at) - (x->at < y->at);
}

int spectral_outliers(const double *score, size_t n, double eps, unsigned char *is_one, size_t *n_out, struct err *err)
{
    struct ranked *r = mem_alloc_array(n + 1, sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to sort %zu scores", n);
    const double most = 1.5 * eps * (double)n;
    *n_out = most >= (double)n ? n : most > 0 ? (size_t)most : 0;
    memset(is_one, 0, n);
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){ score[i], i };
    qsort(r, n, sizeof *r, by_score);
    for (size_t i = 0; i < *n_out; i++)
        is_one[r[i].at] = 1;
    mem_free(r);
    return 0;
}
