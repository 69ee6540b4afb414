#include <inttypes.h>
#include <math.h>
#include "base/mem.h"
#include "base/stat.h"
#include "cpu/kernels.h"
#include "eval/ood.h"

#define BLOCK 8      /* rows of features that a thread compares with the whole bank at a time */

struct knn {
    const float *bank, *x;
    int64_t n_bank, n;
    int d, k;
    const double *bank_norm, *norm;      /* [n_bank], [n] */
    float *panels; ptrdiff_t panel;
    char *scratch; size_t scratch_bytes; /* of a thread: struct places */
    double *score;
};
/* unit: rows / norm; product: with all of the bank; copy: of one row of these; near: distances of candidates. */
struct places { float *unit, *product, *copy; double *near; };

static size_t round64(size_t n) { return (n + 63) / 64 * 64; }

static struct places places(const struct knn *q, int i_thread, size_t *bytes)
{
    const size_t columns = cpu_round_panel((size_t)q->n_bank), unit = round64(BLOCK * (size_t)q->d * sizeof(float)), product = round64(BLOCK * columns * sizeof(float)),
                 copy = round64(columns * sizeof(float)), near = round64((size_t)q->n_bank * sizeof(double));
    char *p = q->scratch ? q->scratch + (size_t)i_thread * q->scratch_bytes : NULL;
    *bytes = unit + product + copy + near;
    return p ? (struct places){ (float *)p, (float *)(p + unit), (float *)(p + unit + product), (double *)(p + unit + product + copy) } : (struct places){ 0 };
}

/* The k-th largest of n, k from 1; reorders v. */
static float kth_largest(float *v, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1, at = k - 1;
    while (low < high) {
        const float pivot = v[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i <= j) {
                const float x = v[i];
                v[i++] = v[j], v[j--] = x;
            }
        }
        if (at <= j)
            high = j;
        else if (at >= i)
            low = i;
        else
            break;
    }
    return v[at];
}

static double distance2(const struct knn *q, int64_t i, int64_t j)
{
    const float *a = q->x + (size_t)i * (size_t)q->d, *b = q->bank + (size_t)j * (size_t)q->d;
    const double na = q->norm[i], nb = q->bank_norm[j];
    double sum = 0;
    for (int l = 0; l < q->d; l++) {
        const double e = (double)a[l] / na - (double)b[l] / nb;
        sum += e * e;
    }
    return sum;
}

/* Rows of length 1 have products within (d + 2) 2^-24 of what they are in floats; twice that, and both of two that are compared. */
static double score_row(const struct knn *q, int64_t i, const float *product, const struct places *s)
{
    for (int64_t j = 0; j < q->n_bank; j++)
        s->copy[j] = product[j];
    const float least = kth_largest(s->copy, q->n_bank, q->k) - 4 * (float)(q->d + 2) * 0x1p-24f;
    int64_t n_near = 0;
    for (int64_t j = 0; j < q->n_bank; j++)
        if (product[j] >= least)
            s->near[n_near++] = distance2(q, i, j);
    stat_sort(s->near, (size_t)n_near);
    return -sqrt(s->near[q->k - 1]);
}

static void score_block(void *ctx, int i_block, int i_thread)
{
    const struct knn *q = ctx;
    size_t bytes;
    const struct places s = places(q, i_thread, &bytes);
    const int64_t from = (int64_t)i_block * BLOCK;
    const int m = q->n - from < BLOCK ? (int)(q->n - from) : BLOCK;
    const ptrdiff_t ld = (ptrdiff_t)cpu_round_panel((size_t)q->n_bank);
    for (int r = 0; r < m; r++)
        for (int l = 0; l < q->d; l++)
            s.unit[(size_t)r * (size_t)q->d + (size_t)l] = (float)((double)q->x[(size_t)(from + r) * (size_t)q->d + (size_t)l] / q->norm[from + r]);
    const struct gemm g = { .M = m, .N = (int)q->n_bank, .K = q->d, .a = s.unit, .a_row = q->d, .a_col = 1, .b = q->panels, .b_panel = q->panel,
                            .c = s.product, .ldc = ld };
    cpu_kernels()->gemm(&g);
    for (int r = 0; r < m; r++)
        q->score[from + r] = score_row(q, from + r, s.product + (size_t)r * (size_t)ld, &s);
}

/* Lengths of the rows; a row of zeros is an error. */
static int norms(const float *x, int64_t n, int d, const char *what, double *out, struct err *err)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < d; j++)
            sum += (double)x[i * d + j] * (double)x[i * d + j];
        out[i] = sqrt(sum);
        if (!(out[i] > 0))
            return ERR(err, NUMERIC, "%s: row %" PRId64 " is all zeros, it has no direction", what, i);
    }
    return 0;
}

struct packing { struct knn *q; float *unit; };      /* unit: PANEL rows of a thread */

static void pack_panel(void *ctx, int i_panel, int i_thread)
{
    const struct packing *p = ctx;
    const struct knn *q = p->q;
    const size_t d = (size_t)q->d;
    const int64_t from = (int64_t)i_panel * PANEL;
    const int n = q->n_bank - from < PANEL ? (int)(q->n_bank - from) : PANEL;
    float *unit = p->unit + (size_t)i_thread * PANEL * d;
    for (int r = 0; r < n; r++)
        for (size_t l = 0; l < d; l++)
            unit[(size_t)r * d + l] = (float)((double)q->bank[(size_t)(from + r) * d + l] / q->bank_norm[from + r]);
    const struct pack k = { .K = q->d, .N = n, .src = unit, .ld = q->d, .out = q->panels + (ptrdiff_t)i_panel * q->panel, .panel = q->panel };
    cpu_kernels()->pack_rows(&k);
}

static int search(struct knn *q, struct pool *pool, struct err *err)
{
    const size_t n_thread = (size_t)pool_n_thread(pool), d = (size_t)q->d;
    q->panel = (ptrdiff_t)cpu_panel_size(d, PANEL);
    (void)places(q, 0, &q->scratch_bytes);
    const size_t panel_bytes = (size_t)q->panel * (cpu_round_panel((size_t)q->n_bank) / PANEL) * sizeof(float), scratch_bytes = n_thread * q->scratch_bytes;
    struct packing p = { q, mem_alloc_array(n_thread * PANEL * d, sizeof *p.unit) };
    q->panels = mem_map(panel_bytes);
    q->scratch = mem_map(scratch_bytes);
    const int rc = p.unit && q->panels && q->scratch ? 0 : ERR(err, NOMEM, "no memory for the %" PRId64 " rows of the bank", q->n_bank);
    if (rc >= 0) {
        pool_for(pool, (int)((q->n_bank + PANEL - 1) / PANEL), pack_panel, &p);
        pool_for(pool, (int)((q->n + BLOCK - 1) / BLOCK), score_block, q);
    }
    mem_unmap(q->scratch, scratch_bytes);
    mem_unmap(q->panels, panel_bytes);
    mem_free(p.unit);
    return rc;
}

int ood_knn(const float *bank, int64_t n_bank, const float *feature, int64_t n, int d, int k, double *score, struct pool *pool, struct err *err)
{
    if (d < 1 || k < 1 || n_bank < k || n_bank > INT32_MAX - PANEL)
        return ERR(err, RANGE, "neighbour %d of %" PRId64 " rows of %d features, expected 1 to the number of rows", k, n_bank, d);
    TRY(ood_check(bank, n_bank, d, "bank", err));
    TRY(ood_check(feature, n, d, "features", err));
    double *norm = mem_alloc_array((size_t)(n_bank + n), sizeof *norm);
    if (!norm)
        return ERR(err, NOMEM, "no memory for the lengths of %" PRId64 " rows", n_bank + n);
    struct knn q = { .bank = bank, .x = feature, .n_bank = n_bank, .n = n, .d = d, .k = k, .bank_norm = norm, .norm = norm + n_bank, .score = score };
    int rc = norms(bank, n_bank, d, "bank", norm, err);
    if (rc >= 0)
        rc = norms(feature, n, d, "features", norm + n_bank, err);
    if (rc >= 0)
        rc = search(&q, pool, err);
    mem_free(norm);
    return rc;
}
