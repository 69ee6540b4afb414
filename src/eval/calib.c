#include "eval/calib.h"
#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "eval/calib_bins.h"
#include "eval/interval.h"

#define SUM_WITHIN 1e-4
#define LOGIT_MAX 1e300      /* so that differences are finite */

/* ---- input ---- */

static int check_item(const struct calib_items *in, int64_t i, const double *row, int64_t k, struct err *err)
{
    double sum = 0;
    if (k < 1 || k > INT32_MAX)
        return ERR(err, RANGE, "item %" PRId64 " has %" PRId64 " choices, expected at least 1", i, k);
    if (in->label[i] < 0 || in->label[i] >= k)
        return ERR(err, RANGE, "item %" PRId64 ": label %d, expected 0 to %" PRId64, i, in->label[i], k - 1);
    for (int64_t j = 0; j < k; j++) {
        if (!(fabs(row[j]) <= LOGIT_MAX))
            return ERR(err, NUMERIC, "item %" PRId64 ", choice %" PRId64 ": %g, expected a number within 1e300 of 0", i, j, row[j]);
        if (in->probs && (row[j] < 0 || row[j] > 1 + SUM_WITHIN))
            return ERR(err, RANGE, "item %" PRId64 ", choice %" PRId64 ": probability %g, expected 0 to 1", i, j, row[j]);
        sum += row[j];
    }
    if (in->probs && !(fabs(sum - 1) <= SUM_WITHIN))
        return ERR(err, RANGE, "item %" PRId64 ": probabilities with the sum %.9g, expected 1", i, sum);
    return 0;
}

static int64_t start_of(const struct calib_items *in, int64_t i) { return in->n_class > 0 ? i * in->n_class : in->start[i]; }

static int check(const struct calib_items *in, struct err *err)
{
    if (in->n < 1 || in->n > INT32_MAX)
        return ERR(err, RANGE, "%" PRId64 " items, expected 1 to 2147483647", in->n);
    if (in->n_class <= 0 && (!in->start || in->start[0] != 0))
        return ERR(err, RANGE, "%d classes, expected at least 1", in->n_class);
    for (int64_t i = 0; i < in->n; i++)
        TRY(check_item(in, i, in->value + start_of(in, i), start_of(in, i + 1) - start_of(in, i), err));
    return 0;
}

static int take_memory(struct calib *c, int64_t n_value, struct err *err)
{
    const size_t n = (size_t)c->n;
    c->start = mem_alloc_array(n + 1, sizeof *c->start);
    c->logit = mem_alloc_array((size_t)n_value, sizeof *c->logit);
    c->p = mem_alloc_array((size_t)n_value, sizeof *c->p);
    c->label = mem_alloc_array(n, sizeof *c->label);
    c->top = mem_alloc_array(n, sizeof *c->top);
    c->conf = mem_alloc_array(n, sizeof *c->conf);
    c->right = mem_alloc_array(n, 1);
    if (c->start && c->logit && c->p && c->label && c->top && c->conf && c->right)
        return 0;
    return ERR(err, NOMEM, "no memory for the probabilities of %" PRId64 " items", c->n);
}

static void softmax(const double *z, int64_t k, double *p)
{
    double top = z[0], sum = 0;
    for (int64_t j = 1; j < k; j++)
        top = fmax(top, z[j]);
    for (int64_t j = 0; j < k; j++)
        sum += p[j] = exp(z[j] - top);
    for (int64_t j = 0; j < k; j++)
        p[j] /= sum;
}

static void fill_item(struct calib *c, int64_t i, const double *row, int64_t k, bool probs)
{
    double *p = c->p + c->start[i], *z = c->logit + c->start[i];
    memcpy(probs ? p : z, row, (size_t)k * sizeof *row);
    for (int64_t j = 0; j < k && probs; j++)
        z[j] = log(fmax(p[j], (double)FLT_MIN));
    if (!probs)
        softmax(z, k, p);
    int32_t top = 0;
    for (int32_t j = 1; j < k; j++)
        if (row[j] > row[top])
            top = j;
    c->top[i] = top;
    c->conf[i] = fmin(p[top], 1);
    c->right[i] = top == c->label[i];
    c->n_clipped += probs && p[c->label[i]] < (double)FLT_MIN;
    if (k > c->k_max)
        c->k_max = (int)k;
}

int calib_new(struct calib **out, const struct calib_items *in, int n_bin, struct err *err)
{
    *out = NULL;
    if (n_bin < 1 || n_bin > 100000)
        return ERR(err, RANGE, "%d bins, expected 1 to 100000", n_bin);
    TRY(check(in, err));
    struct calib *c = mem_alloc_zero(sizeof *c);
    if (!c)
        return ERR(err, NOMEM, "no memory for %" PRId64 " items", in->n);
    *c = (struct calib){ .n = in->n, .n_class = in->n_class > 0 ? in->n_class : 0, .n_bin = n_bin };
    int rc = take_memory(c, start_of(in, in->n), err);
    if (rc >= 0) {
        memcpy(c->label, in->label, (size_t)in->n * sizeof *c->label);
        for (int64_t i = 0; i < in->n; i++) {
            c->start[i + 1] = start_of(in, i + 1);
            fill_item(c, i, in->value + c->start[i], c->start[i + 1] - c->start[i], in->probs);
        }
        rc = calib_columns_new(c, in->probs, err);
    }
    if (rc < 0)
        calib_free(c);
    else
        *out = c;
    return rc;
}

void calib_free(struct calib *c)
{
    if (!c)
        return;
    calib_columns_free(c->columns);
    mem_free(c->right);
    mem_free(c->conf);
    mem_free(c->top);
    mem_free(c->label);
    mem_free(c->p);
    mem_free(c->logit);
    mem_free(c->start);
    mem_free(c);
}

/* ---- names ---- */

static const struct { const char *name, *meaning; bool binned; } metrics[] = {
#define X(id, name, binned, meaning) { name, meaning, binned },
    CALIB_METRICS(X)
#undef X
};
static_assert(sizeof metrics / sizeof *metrics == CALIB_N_METRIC, "a row for each metric");

void calib_metric_name(enum calib_metric m, int n_bin, char out[48])
{
    if (metrics[m].binned)
        snprintf(out, 48, "%s.%d", metrics[m].name, n_bin);
    else
        snprintf(out, 48, "%s", metrics[m].name);
}

const char *calib_metric_meaning(enum calib_metric m) { return metrics[m].meaning; }

/* ---- reliability ---- */

int calib_reliability(const struct calib *c, struct calib_bin *out, struct err *err)
{
    const struct columns *s = &c->columns->top;
    for (int b = 0; b < c->n_bin; b++)
        out[b] = (struct calib_bin){ (double)b / c->n_bin, (double)(b + 1) / c->n_bin, (int64_t)s->width_n[b], 0, NAN, NAN, NAN, NAN };
    for (int64_t i = 0; i < c->n; i++)
        out[s->width_bin[i]].n_right += c->right[i];
    for (int b = 0; b < c->n_bin; b++) {
        struct calib_bin *o = &out[b];
        double ci[2];
        if (!o->n)
            continue;
        TRY(interval_wilson(o->n_right, o->n, 0.95, ci, err));
        o->conf = s->width_conf[b] / (double)o->n, o->acc = (double)o->n_right / (double)o->n;
        o->acc_low = ci[0], o->acc_high = ci[1];
    }
    return 0;
}

/* ---- Brier, taken apart ---- */

/* Adds the parts of column k: its hits by bin, their sum, and the sum of squared errors. */
static void add_brier(struct calib_brier *out, const struct columns *s, int k, int n_bin, int64_t n, const double *hit, double sum_hit, double squares)
{
    const double *count = s->width_n + (size_t)k * (size_t)n_bin, *conf = s->width_conf + (size_t)k * (size_t)n_bin, base = sum_hit / (double)n;
    double reliability = 0, resolution = 0;
    for (int b = 0; b < n_bin; b++) {
        if (count[b] <= 0)
            continue;
        const double acc = hit[b] / count[b], gap = conf[b] / count[b] - acc;
        reliability += count[b] / (double)n * gap * gap;
        resolution += count[b] / (double)n * (acc - base) * (acc - base);
    }
    const double brier = squares / (double)n, uncertainty = base * (1 - base);
    out->brier += brier, out->reliability += reliability, out->resolution += resolution, out->uncertainty += uncertainty;
    out->within += brier - (uncertainty - resolution + reliability);
}

static double hits_of(const struct calib *c, const struct columns *s, int k, bool top, double *hit)
{
    double sum = 0;
    memset(hit, 0, (size_t)c->n_bin * sizeof *hit);
    for (int64_t i = 0; i < c->n; i++)
        if (top ? c->right[i] : c->label[i] == k)
            hit[s->width_bin[i * s->m + k]]++, sum++;
    return sum;
}

static int brier_parts(const struct calib *c, bool top, struct calib_brier *out, struct err *err)
{
    const struct columns *s = top ? &c->columns->top : &c->columns->classes;
    *out = (struct calib_brier){ 0 };
    double *hit = mem_alloc_array((size_t)c->n_bin, sizeof *hit);
    if (!hit)
        return ERR(err, NOMEM, "no memory for %d bins", c->n_bin);
    for (int k = 0; k < s->m; k++) {
        const double sum = hits_of(c, s, k, top, hit);
        double squares = 0;
        for (int64_t i = 0; i < c->n; i++) {
            const double e = top ? c->conf[i] - c->right[i] : c->p[c->start[i] + k] - (c->label[i] == k);
            squares += e * e;
        }
        add_brier(out, s, k, c->n_bin, c->n, hit, sum, squares);
    }
    mem_free(hit);
    return 0;
}

int calib_brier_top(const struct calib *c, struct calib_brier *out, struct err *err) { return brier_parts(c, true, out, err); }
int calib_brier_sum(const struct calib *c, struct calib_brier *out, struct err *err) { return brier_parts(c, false, out, err); }
