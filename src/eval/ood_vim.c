/* ood_vim.c - the part of a feature that the training features do not span, as one more logit. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/linalg.h"
#include "eval/ood.h"

#define CHUNK 256
#define BLOCK 16

struct ood_vim { int d, K, n_rest; double *origin, *rest, alpha; };      /* rest[d, n_rest]: R */

/* ---- the origin ---- */

/* The smallest u with w u = -bias (K <= d), or the one that comes nearest (K > d), by the smaller of w w' and w' w. */
static int solve_origin(struct ood_vim *v, const float *w, const float *bias, double *a, double *b, struct err *err)
{
    const size_t K = (size_t)v->K, d = (size_t)v->d;
    const bool wide = K <= d;
    const int m = wide ? v->K : v->d;
    for (size_t i = 0; i < (size_t)m; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t l = 0; l < (wide ? d : K); l++)
                sum += wide ? (double)w[i * d + l] * (double)w[j * d + l] : (double)w[l * d + i] * (double)w[l * d + j];
            a[i * (size_t)m + j] = sum;
        }
        double sum = 0;
        for (size_t l = 0; l < K && !wide; l++)
            sum -= (double)w[l * d + i] * (double)bias[l];
        b[i] = wide ? -(double)bias[i] : sum;
    }
    const int bad = lin_cholesky(a, m);
    if (bad >= 0)
        return ERR(err, NUMERIC, "the head's weights [%d,%d] have not full rank (row or column %d): no origin, leave the bias out", v->K, v->d, bad);
    lin_cholesky_solve(a, m, b);
    for (size_t j = 0; j < d; j++) {
        v->origin[j] = wide ? 0 : b[j];
        for (size_t i = 0; i < K && wide; i++)
            v->origin[j] += (double)w[i * d + j] * b[i];
    }
    return 0;
}

static int find_origin(struct ood_vim *v, const float *w, const float *bias, struct err *err)
{
    if (!w || !bias)
        return 0;
    TRY(ood_check(w, v->K, v->d, "the head's weights", err));
    TRY(ood_check(bias, 1, v->K, "the head's bias", err));
    const size_t m = (size_t)(v->K < v->d ? v->K : v->d);
    double *a = mem_alloc_array(m * m, sizeof *a), *b = mem_alloc_array(m, sizeof *b);
    const int rc = a && b ? solve_origin(v, w, bias, a, b, err) : ERR(err, NOMEM, "no memory for the origin of %d features", v->d);
    mem_free(b);
    mem_free(a);
    return rc;
}

/* ---- the rest of the space ---- */

static void moments(const struct ood_vim *v, const float *x, int64_t n, double *s, double *chunk, struct pool *pool)
{
    const size_t d = (size_t)v->d;
    for (int64_t from = 0; from < n; from += CHUNK) {
        const int m = n - from < CHUNK ? (int)(n - from) : CHUNK;
        for (int r = 0; r < m; r++)
            for (size_t j = 0; j < d; j++)
                chunk[(size_t)r * d + j] = (double)x[(size_t)(from + r) * d + j] - v->origin[j];
        lin_gram_add(s, chunk, m, v->d, pool);
    }
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            s[j * d + i] = s[i * d + j] /= (double)n;
}

static int find_rest(struct ood_vim *v, const float *x, int64_t n, struct pool *pool, struct err *err)
{
    const size_t d = (size_t)v->d, k = (size_t)v->n_rest;
    double *s = mem_alloc_array(d * d, sizeof *s), *z = mem_alloc_array(d * d, sizeof *z), *w = mem_alloc_array(d, sizeof *w);
    double *chunk = mem_alloc_array(CHUNK * d, sizeof *chunk);
    int rc = s && z && w && chunk ? 0 : ERR(err, NOMEM, "no memory for the moments of %d features", v->d);
    if (rc >= 0) {
        moments(v, x, n, s, chunk, pool);
        rc = lin_eigen(s, v->d, w, z, err);
    }
    for (size_t i = 0; i < k && rc >= 0; i++)
        for (size_t j = 0; j < d; j++)
            v->rest[j * k + i] = z[i * d + j];
    mem_free(chunk);
    mem_free(w);
    mem_free(z);
    mem_free(s);
    return rc;
}

/* ---- lengths in it ---- */

struct lengths { const struct ood_vim *v; const float *x; int64_t n; double *out, *scratch; };      /* scratch: BLOCK * (d + n_rest) a thread */

static void lengths_block(void *ctx, int i_block, int i_thread)
{
    const struct lengths *l = ctx;
    const struct ood_vim *v = l->v;
    const size_t d = (size_t)v->d, k = (size_t)v->n_rest;
    const int64_t from = (int64_t)i_block * BLOCK;
    const int m = l->n - from < BLOCK ? (int)(l->n - from) : BLOCK;
    double *x = l->scratch + (size_t)i_thread * BLOCK * (d + k), *y = x + BLOCK * d;
    for (int r = 0; r < m; r++)
        for (size_t j = 0; j < d; j++)
            x[(size_t)r * d + j] = (double)l->x[(size_t)(from + r) * d + j] - v->origin[j];
    lin_times(x, v->rest, y, m, v->d, v->n_rest);
    for (int r = 0; r < m; r++)
        l->out[from + r] = sqrt(lin_dot(y + (size_t)r * k, y + (size_t)r * k, v->n_rest));
}

static int lengths(const struct ood_vim *v, const float *x, int64_t n, double *out, struct pool *pool, struct err *err)
{
    const size_t each = BLOCK * ((size_t)v->d + (size_t)v->n_rest);
    struct lengths l = { v, x, n, out, mem_alloc_array((size_t)pool_n_thread(pool) * each, sizeof *l.scratch) };
    if (!l.scratch)
        return ERR(err, NOMEM, "no memory to score %d features", v->d);
    pool_for(pool, (int)((n + BLOCK - 1) / BLOCK), lengths_block, &l);
    mem_free(l.scratch);
    return 0;
}

static int find_alpha(struct ood_vim *v, const float *x, const float *logit, int64_t n, struct pool *pool, struct err *err)
{
    double *length = mem_alloc_array((size_t)n, sizeof *length), *top = mem_alloc_array((size_t)n, sizeof *top), lengths_sum = 0, top_sum = 0;
    int rc = length && top ? 0 : ERR(err, NOMEM, "no memory for %" PRId64 " items", n);
    if (rc >= 0)
        rc = lengths(v, x, n, length, pool, err);
    if (rc >= 0)
        rc = ood_from_logits(OOD_MAX_LOGIT, logit, n, v->K, 1, top, pool, err);
    for (int64_t i = 0; i < n && rc >= 0; i++)
        lengths_sum += length[i], top_sum += top[i];
    if (rc >= 0 && !(lengths_sum > 0))
        rc = ERR(err, NUMERIC, "the %d least directions of the features hold nothing: %" PRId64 " items span too little, or dim is too large", v->n_rest, n);
    v->alpha = top_sum / lengths_sum;
    mem_free(top);
    mem_free(length);
    return rc;
}

int ood_vim_fit(struct ood_vim **out, const float *feature, const float *logit, int64_t n, int d, int K, const float *w, const float *bias, int dim,
                struct pool *pool, struct err *err)
{
    *out = NULL;
    if (n < 1 || d < 2 || K < 1)
        return ERR(err, RANGE, "%" PRId64 " items of %d features and %d classes, expected at least 1, 2 and 1", n, d, K);
    const int kept = dim ? dim : d >= 2048 ? 1000 : d >= 768 ? 512 : d / 2;
    if (kept < 1 || kept >= d)
        return ERR(err, RANGE, "dim %d of %d features, expected 1 to %d", kept, d, d - 1);
    TRY(ood_check(feature, n, d, "features", err));
    struct ood_vim *v = mem_alloc_zero(sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "no memory for %d features", d);
    *v = (struct ood_vim){ .d = d, .K = K, .n_rest = d - kept };
    v->origin = mem_alloc_array((size_t)d, sizeof *v->origin);
    v->rest = mem_alloc_array((size_t)d * (size_t)v->n_rest, sizeof *v->rest);
    int rc = v->origin && v->rest ? find_origin(v, w, bias, err) : ERR(err, NOMEM, "no memory for %d features", d);
    if (rc >= 0)
        rc = find_rest(v, feature, n, pool, err);
    if (rc >= 0)
        rc = find_alpha(v, feature, logit, n, pool, err);
    if (rc >= 0)
        *out = v;
    else
        ood_vim_free(v);
    return rc;
}

int ood_vim_score(const struct ood_vim *v, const float *feature, const float *logit, int64_t n, double *score, struct pool *pool, struct err *err)
{
    TRY(ood_check(feature, n, v->d, "features", err));
    double *length = mem_alloc_array((size_t)n, sizeof *length);
    int rc = length ? 0 : ERR(err, NOMEM, "no memory for %" PRId64 " items", n);
    if (rc >= 0)
        rc = lengths(v, feature, n, length, pool, err);
    if (rc >= 0)
        rc = ood_from_logits(OOD_ENERGY, logit, n, v->K, 1, score, pool, err);
    for (int64_t i = 0; i < n && rc >= 0; i++)
        score[i] -= v->alpha * length[i];
    mem_free(length);
    return rc;
}

double ood_vim_alpha(const struct ood_vim *v) { return v->alpha; }

void ood_vim_free(struct ood_vim *v)
{
    if (!v)
        return;
    mem_free(v->rest);
    mem_free(v->origin);
    mem_free(v);
}
