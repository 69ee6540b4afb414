#include "eval/mmd.h"
#include <math.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/order.h"

struct job {
    int64_t n, m;
    const double *kernel;       /* [n+m][n+m], 0 on the diagonal */
    const double *row;          /* sums of its rows */
    double all;                 /* the sum of all */
    uint64_t key;
    int32_t *places;            /* [n_thread][n+m] */
    double *value;              /* of each permutation */
};

static double squared_distance(const double *a, const double *b, int d)
{
    double sum = 0;
    for (int i = 0; i < d; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Of the split whose first n are place[0 .. n-1]: pairs among the first, the others by what is left of the sums of rows. */
static double mmd2_of(const struct job *job, const int32_t *place)
{
    const int64_t n = job->n, m = job->m, total = n + m;
    double within = 0, rows = 0;
    for (int64_t i = 0; i < n; i++) {
        const double *k = job->kernel + place[i] * total;
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += k[place[j]];
        within += sum;
        rows += job->row[place[i]];
    }
    const double across = rows - within, others = job->all - within - 2 * across, N = (double)n, M = (double)m;
    return within / (N * (N - 1)) + others / (M * (M - 1)) - 2 * across / (N * M);
}

static void permutation(void *ctx, int i_item, int i_thread)
{
    const struct job *job = ctx;
    const int64_t total = job->n + job->m;
    int32_t *place = job->places + i_thread * total;
    for (int64_t i = 0; i < total; i++)
        place[i] = (int32_t)i;
    for (int64_t i = 0; i < job->n; i++) {          /* as far as it matters */
        const int64_t j = i + (int64_t)rng_below(job->key, (uint64_t)i_item * (uint64_t)total + (uint64_t)i, (uint64_t)(total - i));
        const int32_t other = place[i];
        place[i] = place[j], place[j] = other;
    }
    job->value[i_item] = mmd2_of(job, place);
}

/* The median of the distances of two different places of x. */
static int median_distance(const double *x, int64_t n, int d, double *sigma, struct err *err)
{
    const int64_t n_pair = n * (n - 1) / 2;
    double *distance = mem_alloc_array((size_t)n_pair, sizeof *distance);
    if (!distance)
        return ERR(err, NOMEM, "the distances of %lld vectors do not fit into memory", (long long)n);
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            distance[k++] = sqrt(squared_distance(x + i * d, x + j * d, d));
    int rc = order_sort(distance, n_pair, err);
    *sigma = order_quantile(distance, n_pair, 0.5);
    mem_free(distance);
    if (rc == 0 && !(*sigma > 0 && isfinite(*sigma)))
        rc = ERR(err, RANGE, "the median distance of the reference is %g, so it gives no width of the kernel", *sigma);
    return rc;
}

/* kernel[total][total] and row[total], after it. */
static double fill_kernel(const double *x, int64_t n, const double *y, int64_t m, int d, double sigma, double *kernel, double *row)
{
    const int64_t total = n + m;
    double all = 0;
    for (int64_t i = 0; i < total; i++)
        for (int64_t j = 0; j < i; j++) {
            const double *a = i < n ? x + i * d : y + (i - n) * d, *b = j < n ? x + j * d : y + (j - n) * d;
            kernel[i * total + j] = kernel[j * total + i] = exp(-squared_distance(a, b, d) / (2 * sigma * sigma));
        }
    for (int64_t i = 0; i < total; i++) {
        for (int64_t j = 0; j < total; j++)
            row[i] += kernel[i * total + j];
        all += row[i];
    }
    return all;
}

static int check(const double *x, int64_t n, const double *y, int64_t m, int d, const struct mmd_opts *o, struct err *err)
{
    if (n < 2 || m < 2 || n > MMD_VECTORS || m > MMD_VECTORS - n || d < 1)
        return ERR(err, RANGE, "sets of %lld and %lld vectors of %d values, expected at least 2 each, %d together, of 1 value and more", (long long)n, (long long)m, d, MMD_VECTORS);
    if (!(o->sigma >= 0) || isinf(o->sigma) || o->n_permutation > 10000000)
        return ERR(err, RANGE, "sigma %g and %lld permutations, expected 0 or more and up to 10^7", o->sigma, (long long)o->n_permutation);
    TRY(order_finite(x, n * d, "first set", err));
    return order_finite(y, m * d, "second set", err);
}

int mmd_test(const double *x, int64_t n, const double *y, int64_t m, int d, const struct mmd_opts *o, struct mmd *out, struct err *err)
{
    *out = (struct mmd){ NAN, o->sigma, NAN, o->n_permutation ? o->n_permutation : 999 };
    TRY(check(x, n, y, m, d, o, err));
    if (o->sigma == 0)
        TRY(median_distance(x, n, d, &out->sigma, err));
    const int64_t total = n + m;
    const size_t n_thread = o->pool ? (size_t)pool_n_thread(o->pool) : 1;
    out->n_permutation = out->n_permutation < 0 ? 0 : out->n_permutation;
    double *kernel = mem_alloc_array((size_t)total * (size_t)total, sizeof *kernel), *row = mem_alloc_array((size_t)total, sizeof *row);
    struct job job = { .n = n, .m = m, .kernel = kernel, .row = row, .key = rng_key(o->seed, "mmd") };
    job.places = mem_alloc_array((size_t)total * n_thread, sizeof *job.places);
    job.value = mem_alloc_array((size_t)out->n_permutation, sizeof *job.value);
    int rc = !kernel || !row || !job.places || !job.value ? ERR(err, NOMEM, "the kernel of %lld vectors does not fit into memory", (long long)total) : 0;
    if (rc == 0) {
        job.all = fill_kernel(x, n, y, m, d, out->sigma, kernel, row);
        for (int64_t i = 0; i < n; i++)
            job.places[i] = (int32_t)i;
        out->mmd2 = mmd2_of(&job, job.places);
        for (int i = 0; !o->pool && i < out->n_permutation; i++)
            permutation(&job, i, 0);
        if (o->pool)
            pool_for(o->pool, (int)out->n_permutation, permutation, &job);
        int64_t as_large = 0;           /* the same split in another order differs by rounding */
        for (int64_t i = 0; i < out->n_permutation; i++)
            as_large += job.value[i] >= out->mmd2 - 1e-12;
        if (out->n_permutation > 0)
            out->p = (double)(1 + as_large) / (double)(1 + out->n_permutation);
    }
    mem_free(kernel);
    mem_free(row);
    mem_free(job.places);
    mem_free(job.value);
    return rc;
}
