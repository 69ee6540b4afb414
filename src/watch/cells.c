#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "watch/cells.h"
#include "base/mem.h"
#include "base/rng.h"

enum { PARTS = 128, FINE = 160 };

void cells_release(struct cells *r)
{
    mem_free(r->value), mem_free(r->tie), mem_free(r->mass);
    *r = (struct cells){ 0 };
}

/* The k-th smallest, from 1, of g numbers drawn from 0..1: sums of exponential spacings (David & Nagaraja, 2.5), the j-th of the group that begins at `at`. */
static void ties_of_group(double *u, int64_t at, int64_t g, uint64_t key)
{
    double sum = 0;
    for (int64_t j = 0; j < g; j++)
        u[at + j] = sum -= log(1 - rng_uniform(key, (uint64_t)(at + j)));
    sum -= log(1 - rng_uniform(~key, (uint64_t)at));
    for (int64_t j = 0; j < g; j++)
        u[at + j] /= sum;
}

/* Cuts behind the order statistics k (1 .. m) with cut[k]. */
static int new_at_marks(struct cells *out, const double *sorted, int64_t m, const bool *cut, uint64_t seed, struct err *err)
{
    double *u = mem_alloc_array((size_t)m, sizeof *u);
    int n = 0;
    for (int64_t k = 1; k <= m; k++)
        n += cut[k];
    *out = (struct cells){ .m = m, .n_cell = n + 1, .value = mem_alloc_array((size_t)n, sizeof(double)), .tie = mem_alloc_array((size_t)n, sizeof(double)),
                           .mass = mem_alloc_array((size_t)n + 1, sizeof(int64_t)) };
    if (!u || !out->value || !out->tie || !out->mass) {
        mem_free(u), cells_release(out);
        return ERR(err, NOMEM, "no memory for the ranks of %lld values", (long long)m);
    }
    const uint64_t key = rng_key(seed, "ties");
    for (int64_t i = 0, end; i < m; i = end) {
        for (end = i + 1; end < m && sorted[end] == sorted[i];)
            end++;
        ties_of_group(u, i, end - i, key);
    }
    int64_t before = 0;
    int c = 0;
    for (int64_t k = 1; k <= m; k++)
        if (cut[k]) {
            out->value[c] = sorted[k - 1], out->tie[c] = u[k - 1], out->mass[c] = k - before;
            before = k, c++;
        }
    out->mass[c] = m + 1 - before;
    mem_free(u);
    return 0;
}

static int marks_new(bool **cut, int64_t m, struct err *err)
{
    *cut = mem_alloc_array((size_t)m + 1, sizeof **cut);
    return *cut ? 0 : ERR(err, NOMEM, "no memory for the ranks of %lld values", (long long)m);
}

int cells_new(struct cells *out, const double *sorted, int64_t m, uint64_t seed, struct err *err)
{
    bool *cut;
    *out = (struct cells){ 0 };
    TRY(marks_new(&cut, m, err));
    for (int64_t j = 1; j < PARTS; j++)
        cut[j * (m + 1) / PARTS] = true;
    for (int64_t k = 1; k <= (m + 1) / PARTS; k *= 2)
        cut[k] = cut[m + 1 - k] = true;
    const int rc = new_at_marks(out, sorted, m, cut, seed, err);
    mem_free(cut);
    return rc;
}

int cells_new_at(struct cells *out, const double *sorted, int64_t m, const double *share, int n, uint64_t seed, struct err *err)
{
    bool *cut;
    *out = (struct cells){ 0 };
    TRY(marks_new(&cut, m, err));
    int n_cut = 0;
    for (int i = 0; i < n && n_cut < CELLS_MAX - FINE - 1; i++) {
        const int64_t k = llround(share[i] * (double)(m + 1));
        if (k >= 1 && k <= m && !cut[k])
            cut[k] = true, n_cut++;
    }
    for (int64_t k = 1; k <= m / 8 && k <= FINE; k++)
        cut[m + 1 - k] = true;
    const int rc = new_at_marks(out, sorted, m, cut, seed, err);
    mem_free(cut);
    return rc;
}

int cells_find(const struct cells *r, double x, double tie)
{
    int lo = 0, hi = r->n_cell - 1;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (r->value[mid] < x || (r->value[mid] == x && r->tie[mid] < tie))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}
