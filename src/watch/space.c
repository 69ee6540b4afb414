/* The principal directions of half of a reference's vectors, and the coordinates of the other half in them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "watch/reference_impl.h"
#include "base/mem.h"
#include "eval/linalg.h"

int ref_coordinates(const struct ref_space *p, const float *x, double *out)
{
    double centred[WATCH_PROJECTED], rest = 0;
    for (int j = 0; j < p->d; j++)
        centred[j] = (double)x[j] - p->mean[j], rest += centred[j] * centred[j];
    for (int k = 0; k < p->r; k++) {
        const double *w = p->direction + (size_t)k * (size_t)p->d;
        const double sum = lin_dot(w, centred, p->d);
        out[k] = sum;
        rest -= sum * sum / p->length2[k];
    }
    if (p->residual)
        out[p->r] = sqrt(fmax(0, rest));
    return p->r + p->residual;
}

void ref_space_measure(struct ref_space *p)
{
    for (int k = 0; k < p->r; k++)
        p->length2[k] = lin_dot(p->direction + (size_t)k * (size_t)p->d, p->direction + (size_t)k * (size_t)p->d, p->d);
}

/* Mean and covariance (lower half) of n rows. */
static void moments(const struct ref_signal *s, const struct ref_kept *kept, int n, double *mean, double *cov, double *row)
{
    const int d = s->d;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j++)
            mean[j] += (double)s->vector[(size_t)kept[i].slot * (size_t)d + (size_t)j] / n;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < d; j++)
            row[j] = ((double)s->vector[(size_t)kept[i].slot * (size_t)d + (size_t)j] - mean[j]) / sqrt(n - 1.0);
        for (int a = 0; a < d; a++)
            for (int b = 0; b <= a; b++)
                cov[(size_t)a * (size_t)d + (size_t)b] += row[a] * row[b];
    }
    for (int a = 0; a < d; a++)
        for (int b = 0; b < a; b++)
            cov[(size_t)b * (size_t)d + (size_t)a] = cov[(size_t)a * (size_t)d + (size_t)b];
}

/* The r largest directions that have any variance, divided by its root. */
static int directions(struct ref_space *p, int r, double *cov, double *w, double *z, struct err *err)
{
    const int d = p->d;
    TRY(lin_eigen(cov, d, w, z, err));
    for (int k = 0; k < r && w[d - 1 - k] > 1e-12 * fmax(w[d - 1], 1e-300); k++, p->r++)
        for (int j = 0; j < d; j++)
            p->direction[(size_t)k * (size_t)d + (size_t)j] = z[(size_t)(d - 1 - k) * (size_t)d + (size_t)j] / sqrt(w[d - 1 - k]);
    if (!p->r)
        return ERR(err, RANGE, "all its vectors are equal, expected some that differ");
    ref_space_measure(p);
    double rest = 0;
    for (int k = 0; k < d - p->r; k++)
        rest += fmax(0, w[k]);
    p->residual = d > p->r && rest > 1e-9 * w[d - 1];
    return 0;
}

int ref_space_fit(struct ref_signal *s, struct err *err)
{
    const int d = s->d, n_fit = s->n_kept / 2, n = s->n_kept - n_fit;
    const int wanted = n_fit / 4 < WATCH_COORDINATES ? n_fit / 4 : WATCH_COORDINATES, r = wanted < d ? wanted : d;
    struct ref_space *p = &s->space;
    struct ref_kept *kept = mem_alloc_array((size_t)s->n_kept, sizeof *kept);
    double *cov = mem_alloc_array((size_t)d * (size_t)d, sizeof *cov), *z = mem_alloc_array((size_t)d * (size_t)d, sizeof *z);
    double *w = mem_alloc_array(2 * (size_t)d, sizeof *w);
    mem_free(p->mean), mem_free(p->direction);
    *p = (struct ref_space){ .d = d, .mean = mem_alloc_array((size_t)d, sizeof(double)), .direction = mem_alloc_array((size_t)r * (size_t)d, sizeof(double)) };
    int rc = kept && cov && z && w && p->mean && p->direction ? 0 : ERR(err, NOMEM, "signal '%s': no memory for directions of %d numbers", s->name, d);
    if (!rc) {
        memcpy(kept, s->kept, (size_t)s->n_kept * sizeof *kept);
        qsort(kept, (size_t)s->n_kept, sizeof *kept, ref_kept_by_priority);
        moments(s, kept, n_fit, p->mean, cov, w + d);
        rc = directions(p, r, cov, w, z, err);
        if (rc < 0)
            err_context(err, "signal '%s'", s->name);
    }
    if (!rc) {
        s->coordinate = mem_alloc_array((size_t)n * (size_t)(p->r + p->residual), sizeof *s->coordinate);
        rc = s->coordinate ? 0 : ERR(err, NOMEM, "signal '%s': no memory for %d vectors", s->name, n);
    }
    for (int i = 0; i < n && !rc; i++)
        ref_coordinates(p, s->vector + (size_t)kept[n_fit + i].slot * (size_t)d, s->coordinate + (size_t)i * (size_t)(p->r + p->residual));
    s->n_coordinate = rc ? 0 : n;
    mem_free(kept), mem_free(cov), mem_free(z), mem_free(w);
    return rc;
}
