#include "eval/roc.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/order.h"

static const double points[ROC_POINTS] = { 0.01, 0.001 };

/* DeLong's components of one score: of each positive the share of negatives below it, of each negative that of positives above it, equal ones by
 * half; positives first.  Their mean over a kind is the area. */
struct components { double *v; int64_t n[2]; double area; };

static int check(const unsigned char *positive, int64_t n, double level, int64_t count[2], struct err *err)
{
    count[0] = count[1] = 0;
    for (int64_t i = 0; i < n; i++)
        count[!positive[i]]++;
    if (count[0] < 1 || count[1] < 1)
        return ERR(err, RANGE, "%lld positives and %lld negatives, expected some of both", (long long)count[0], (long long)count[1]);
    if (!(level > 0 && level < 1))
        return ERR(err, RANGE, "a level of %g, expected one between 0 and 1", level);
    return 0;
}

static int check_scores(const double *score, int64_t n, struct err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (isnan(score[i]))
            return ERR(err, NUMERIC, "score %lld is not a number", (long long)i);
    return 0;
}

/* v of c: [n].  work: [3 n]. */
static int components_of(struct components *c, const double *score, const unsigned char *positive, int64_t n, double *work, struct err *err)
{
    double *split = work, *rank_all = work + n, *rank_own = work + 2 * n;
    int64_t at[2] = { 0, c->n[0] };
    for (int64_t i = 0; i < n; i++)
        split[at[!positive[i]]++] = score[i];
    TRY(order_rank(split, n, rank_all, NULL, err));
    TRY(order_rank(split, c->n[0], rank_own, NULL, err));
    TRY(order_rank(split + c->n[0], c->n[1], rank_own + c->n[0], NULL, err));
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool neg = i >= c->n[0];
        const double below = (rank_all[i] - rank_own[i]) / (double)c->n[!neg];       /* of the other kind */
        c->v[i] = neg ? 1 - below : below;
        sum += neg ? 0 : c->v[i];
    }
    c->area = sum / (double)c->n[0];
    return 0;
}

/* Covariance of the areas of two scores; c->v of the same items. */
static double covariance(const struct components *a, const struct components *b)
{
    double all = 0;
    for (int kind = 0; kind < 2; kind++) {
        const int64_t from = kind ? a->n[0] : 0, n = a->n[kind];
        double s = 0;
        for (int64_t i = from; i < from + n; i++)
            s += (a->v[i] - a->area) * (b->v[i] - b->area);
        all += n > 1 ? s / (double)(n - 1) / (double)n : NAN;
    }
    return all;
}

static void area_interval(struct roc *r, double level)
{
    const double z = dist_normal_quantile((1 + level) / 2), pairs = (double)(r->n_positive < r->n_negative ? r->n_positive : r->n_negative);
    const double bound = pow((1 - level) / 2, 1 / pairs);
    if (r->auroc <= 0 || r->auroc >= 1) {
        r->ci[0] = r->auroc <= 0 ? 0 : bound, r->ci[1] = r->auroc <= 0 ? 1 - bound : 1;
        return;
    }
    r->ci[0] = fmax(0, r->auroc - z * r->se), r->ci[1] = fmin(1, r->auroc + z * r->se);
    if (!(r->se > 0))                    /* one of a kind, or all are equal */
        r->ci[0] = r->ci[1] = NAN;
}

/* Walks from the highest score down, a threshold for each value that there is. */
static int walk(struct roc *r, const double *score, const unsigned char *positive, int64_t n, int64_t *index, struct err *err)
{
    const double P = (double)r->n_positive, N = (double)r->n_negative;
    int64_t tp = 0, fp = 0;
    r->balanced = 0.5;
    TRY(order_index(score, n, index, err));
    for (int64_t i = n - 1; i >= 0;) {
        const double at = score[index[i]];
        for (; i >= 0 && score[index[i]] == at; i--)
            *(positive[index[i]] ? &tp : &fp) += 1;
        r->balanced = fmax(r->balanced, ((double)tp / P + 1 - (double)fp / N) / 2);
        for (int k = 0; k < ROC_POINTS; k++)
            if ((double)fp <= points[k] * N)
                r->point[k].n_found = tp, r->point[k].n_false = fp;
    }
    return 0;
}

static int finish(struct roc *r, double level, struct err *err)
{
    area_interval(r, level);
    for (int k = 0; k < ROC_POINTS; k++) {
        struct roc_point *p = &r->point[k];
        p->fpr_max = points[k], p->tpr = (double)p->n_found / (double)r->n_positive;
        TRY(interval_clopper_pearson(p->n_found, r->n_positive, level, p->ci, err));
    }
    const double bound = log(4 / (1 - level)) / 2, far = (sqrt(bound / (double)r->n_positive) + sqrt(bound / (double)r->n_negative)) / 2;
    r->balanced_ci[0] = fmax(0.5, r->balanced - far), r->balanced_ci[1] = fmin(1, r->balanced + far);
    return 0;
}

int roc_measure(struct roc *out, const double *score, const unsigned char *positive, int64_t n, double level, struct err *err)
{
    struct components c = { .v = NULL };
    memset(out, 0, sizeof *out);
    TRY(check(positive, n, level, c.n, err));
    TRY(check_scores(score, n, err));
    double *work = mem_alloc_array((size_t)n, 4 * sizeof *work);
    int64_t *index = mem_alloc_array((size_t)n, sizeof *index);
    int rc = work && index ? 0 : ERR(err, NOMEM, "no memory for a curve of %lld scores", (long long)n);
    if (!rc) {
        c.v = work + 3 * n;
        rc = components_of(&c, score, positive, n, work, err);
        *out = (struct roc){ .n_positive = c.n[0], .n_negative = c.n[1], .auroc = c.area, .se = rc ? NAN : sqrt(covariance(&c, &c)) };
    }
    if (!rc)
        rc = walk(out, score, positive, n, index, err);
    if (!rc)
        rc = finish(out, level, err);
    mem_free(work);
    mem_free(index);
    return rc;
}

int roc_compare(struct roc_pair *out, const double *a, const double *b, const unsigned char *positive, int64_t n, double level, struct err *err)
{
    struct components c[2] = { { .v = NULL }, { .v = NULL } };
    memset(out, 0, sizeof *out);
    TRY(check(positive, n, level, c[0].n, err));
    TRY(check_scores(a, n, err));
    TRY(check_scores(b, n, err));
    double *work = mem_alloc_array((size_t)n, 5 * sizeof *work);
    if (!work)
        return ERR(err, NOMEM, "no memory for curves of %lld scores", (long long)n);
    memcpy(c[1].n, c[0].n, sizeof c[1].n);
    c[0].v = work + 3 * n, c[1].v = work + 4 * n;
    int rc = components_of(&c[0], a, positive, n, work, err);
    if (!rc)
        rc = components_of(&c[1], b, positive, n, work, err);
    if (!rc) {
        const double var = covariance(&c[0], &c[0]) + covariance(&c[1], &c[1]) - 2 * covariance(&c[0], &c[1]), se = sqrt(fmax(var, 0));
        const double z = dist_normal_quantile((1 + level) / 2), d = c[0].area - c[1].area;
        *out = (struct roc_pair){ { c[0].area, c[1].area }, d, isnan(var) ? NAN : se, { NAN, NAN } };
        if (var > 0)
            out->ci[0] = fmax(-1, d - z * se), out->ci[1] = fmin(1, d + z * se);
    }
    mem_free(work);
    return rc;
}
