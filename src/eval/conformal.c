#include "eval/conformal.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "eval/dist.h"

const char *conformal_name(enum conformal_kind kind)
{
    static const char *const names[] = { "thr", "aps", "raps" };
    return names[kind];
}

/* ---- scores ---- */

static int by_p_down(const void *a, const void *b, void *ctx)
{
    const double *const *row = ctx, *p = *row;
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return p[i] != p[j] ? (p[i] < p[j]) - (p[i] > p[j]) : (i > j) - (i < j);
}

void conformal_scores(const struct conformal *f, const struct calib *c, int32_t item, double *score, int32_t *rank)
{
    const double *p = c->p + c->start[item];
    const int32_t k = (int32_t)(c->start[item + 1] - c->start[item]);
    if (f->kind == CONFORMAL_THR) {
        for (int32_t j = 0; j < k; j++)
            score[j] = 1 - p[j];
        return;
    }
    for (int32_t j = 0; j < k; j++)
        rank[j] = j;
    qsort_r(rank, (size_t)k, sizeof *rank, by_p_down, &p);
    const double u = f->randomised ? rng_uniform(rng_key(f->seed, "conformal"), (uint64_t)item) : 0;
    double sum = 0;
    for (int32_t j = 0; j < k; j++) {
        const int32_t y = rank[j];
        sum += p[y];
        score[y] = sum - u * p[y] + (f->kind == CONFORMAL_RAPS ? f->lambda * fmax(0, j + 1 - f->k_reg) : 0);
    }
}

/* ---- fitting ---- */

int64_t conformal_l(int64_t n, double alpha)
{
    const int64_t l = (int64_t)floor((double)(n + 1) * alpha * (1 + 1e-12));      /* .1 * 70 is 7, whatever rounding says */
    return l < n ? l : n;
}

void conformal_interval(int64_t n, double alpha, double level, double *low, double *high)
{
    const double l = (double)conformal_l(n, alpha), rest = (1 - level) / 2;
    *low = l > 0 ? dist_beta_quantile(rest, (double)(n + 1) - l, l) : 1;
    *high = l > 0 ? dist_beta_quantile(1 - rest, (double)(n + 1) - l, l) : 1;
}

/* The least k with P(X <= k) >= at, X beta-binomial of m trials. */
static int64_t beta_binomial_quantile(double at, int64_t m, double a, double b)
{
    const double whole = dist_lgamma((double)m + 1) + dist_lgamma(a + b) - dist_lgamma(a) - dist_lgamma(b) - dist_lgamma((double)m + a + b);
    double sum = 0;
    for (int64_t k = 0; k < m; k++) {
        const double x = (double)k, y = (double)(m - k);
        sum += exp(whole - dist_lgamma(x + 1) - dist_lgamma(y + 1) + dist_lgamma(x + a) + dist_lgamma(y + b));
        if (sum >= at)
            return k;
    }
    return m;
}

void conformal_measured_interval(int64_t n, double alpha, int64_t m, double level, double *low, double *high)
{
    const double l = (double)conformal_l(n, alpha), rest = (1 - level) / 2;
    *low = l > 0 ? (double)beta_binomial_quantile(rest, m, (double)(n + 1) - l, l) / (double)m : 1;
    *high = l > 0 ? (double)beta_binomial_quantile(1 - rest, m, (double)(n + 1) - l, l) / (double)m : 1;
}

struct scratch { double *score; int32_t *rank; };

static int scratch_take(struct scratch *s, const struct calib *c, struct err *err)
{
    s->score = mem_alloc_array((size_t)c->k_max, sizeof *s->score);
    s->rank = mem_alloc_array((size_t)c->k_max, sizeof *s->rank);
    return s->score && s->rank ? 0 : ERR(err, NOMEM, "no memory for %d scores", c->k_max);
}

static void scratch_release(struct scratch *s)
{
    mem_free(s->rank);
    mem_free(s->score);
}

int conformal_fit(struct conformal *f, const struct calib *c, const int32_t *item, int64_t n, struct err *err)
{
    struct scratch s = { 0 };
    if (!(f->alpha > 0 && f->alpha < 1))
        return ERR(err, RANGE, "alpha %g, expected more than 0 and less than 1", f->alpha);
    double *own = mem_alloc_array((size_t)n, sizeof *own);
    int rc = own ? scratch_take(&s, c, err) : ERR(err, NOMEM, "no memory for %" PRId64 " scores", n);
    if (rc >= 0) {
        for (int64_t i = 0; i < n; i++) {
            conformal_scores(f, c, item[i], s.score, s.rank);
            own[i] = s.score[c->label[item[i]]];
        }
        stat_sort(own, (size_t)n);
        const int64_t l = conformal_l(n, f->alpha);
        f->n = n;
        f->q = l ? own[n - l] : INFINITY;
    }
    scratch_release(&s);
    mem_free(own);
    return rc;
}

/* ---- measuring ---- */

static void add_item(struct conformal_result *out, const struct conformal *f, const struct calib *c, int32_t item, struct scratch *s)
{
    const int32_t k = (int32_t)(c->start[item + 1] - c->start[item]), y = c->label[item];
    int32_t size = 0;
    conformal_scores(f, c, item, s->score, s->rank);
    for (int32_t j = 0; j < k; j++)
        size += s->score[j] <= f->q;
    const bool covered = s->score[y] <= f->q;
    out->n_empty += !size, out->n_full += size == k;
    out->by_size[size]++, out->covered_by_size[size] += covered;
    out->coverage += covered, out->size_mean += size;
    if (out->n_class) {
        struct conformal_class *b = &out->by_class[y];
        b->n++, b->n_covered += covered, b->size_mean += size;
    }
}

int conformal_measure(struct conformal_result *out, const struct conformal *f, const struct calib *c, const int32_t *item, int64_t n, struct err *err)
{
    struct scratch s = { 0 };
    *out = (struct conformal_result){ .n = n, .k_max = c->k_max, .n_class = c->n_class };
    out->by_size = mem_alloc_array((size_t)c->k_max + 1, sizeof *out->by_size);
    out->covered_by_size = mem_alloc_array((size_t)c->k_max + 1, sizeof *out->covered_by_size);
    out->by_class = mem_alloc_array((size_t)c->n_class, sizeof *out->by_class);
    int rc = out->by_size && out->covered_by_size && out->by_class ? scratch_take(&s, c, err) : ERR(err, NOMEM, "no memory for sets of %d choices", c->k_max);
    for (int64_t i = 0; i < n && rc >= 0; i++)
        add_item(out, f, c, item[i], &s);
    out->coverage /= (double)n, out->size_mean /= (double)n;
    for (int k = 0; k < c->n_class && rc >= 0; k++)
        out->by_class[k].size_mean /= (double)out->by_class[k].n;
    scratch_release(&s);
    if (rc < 0)
        conformal_result_release(out);
    return rc;
}

void conformal_result_release(struct conformal_result *r)
{
    mem_free(r->by_class);
    mem_free(r->covered_by_size);
    mem_free(r->by_size);
    *r = (struct conformal_result){ 0 };
}

void conformal_split(int64_t n, uint64_t seed, int32_t *item, int64_t *n_fit)
{
    const uint64_t key = rng_key(seed, "conformal.split");
    for (int64_t i = 0; i < n; i++)
        item[rng_permute(key, (uint64_t)i, (uint64_t)n)] = (int32_t)i;
    *n_fit = n / 2;
}
