#include "eval/rank.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

struct scored { double score; int64_t positive; };

static int by_score_down(const void *a, const void *b)
{
    const double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x < y) - (x > y);
}

/* Walks from the highest score down, a threshold for each value that there is.  tp, fp: how many of each kind are at or above it. */
static void walk(struct rank *r, const struct scored *s, int64_t n)
{
    const double P = (double)r->n_positive, N = (double)r->n_negative;
    double pairs = 0, precision_before = 1, ap = 0, aupr = 0, square_positive = 0, square_negative = 0;
    int64_t tp = 0, fp = 0;
    r->fpr95 = NAN;
    for (int64_t i = 0, j; i < n; i = j) {
        int64_t new_tp = 0;
        for (j = i; j < n && s[j].score == s[i].score; j++)
            new_tp += s[j].positive;
        const int64_t new_fp = j - i - new_tp;
        pairs += (double)new_fp * ((double)tp + 0.5 * (double)new_tp);
        const double below = (N - (double)fp - 0.5 * (double)new_fp) / N, above = ((double)tp + 0.5 * (double)new_tp) / P;
        square_positive += (double)new_tp * below * below, square_negative += (double)new_fp * above * above;
        tp += new_tp, fp += new_fp;
        const double precision = (double)tp / (double)(tp + fp), gained = (double)new_tp / P;
        ap += gained * precision;
        aupr += gained * (precision + precision_before) / 2;
        precision_before = precision;
        if (isnan(r->fpr95) && (double)tp / P >= 0.95)
            r->fpr95 = (double)fp / N;
    }
    r->auroc = pairs / (P * N);
    const double spread_positive = fmax(square_positive / P - r->auroc * r->auroc, 0), spread_negative = fmax(square_negative / N - r->auroc * r->auroc, 0);
    r->auroc_se = P > 1 && N > 1 ? sqrt(spread_positive / (P - 1) + spread_negative / (N - 1)) : NAN;
    r->ap = ap;
    r->aupr = aupr;
}

int rank_measure(struct rank *out, const double *score, const unsigned char *positive, int64_t n, struct err *err)
{
    *out = (struct rank){ .auroc = NAN, .ap = NAN, .aupr = NAN, .fpr95 = NAN, .auroc_se = NAN };
    struct scored *s = mem_alloc_array((size_t)n, sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory to rank %lld scores", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        if (isnan(score[i])) {
            mem_free(s);
            return ERR(err, NUMERIC, "score %lld is not a number", (long long)i);
        }
        s[i] = (struct scored){ score[i], positive[i] != 0 };
        out->n_positive += s[i].positive;
    }
    out->n_negative = n - out->n_positive;
    qsort(s, (size_t)n, sizeof *s, by_score_down);
    if (out->n_positive && out->n_negative)
        walk(out, s, n);
    mem_free(s);
    return 0;
}

/* Both kinds behind one another; sign -1 turns the order round, and with it who is positive. */
static int one_way(struct rank *out, const double *id, int64_t n_id, const double *ood, int64_t n_ood, double sign, double *score,
                   unsigned char *positive, struct err *err)
{
    for (int64_t i = 0; i < n_id + n_ood; i++) {
        score[i] = sign * (i < n_id ? id[i] : ood[i - n_id]);
        positive[i] = (i < n_id) == (sign > 0);
    }
    return rank_measure(out, score, positive, n_id + n_ood, err);
}

int rank_ood(struct rank_ood *out, const double *id, int64_t n_id, const double *ood, int64_t n_ood, struct err *err)
{
    const int64_t n = n_id + n_ood;
    struct rank in = { 0 }, outside = { 0 };
    double *score = mem_alloc_array((size_t)n, sizeof *score);
    unsigned char *positive = mem_alloc_array((size_t)n, 1);
    int rc = score && positive ? 0 : ERR(err, NOMEM, "no memory to rank %lld scores", (long long)n);
    if (!rc)
        rc = one_way(&in, id, n_id, ood, n_ood, 1, score, positive, err);
    if (!rc)
        rc = one_way(&outside, id, n_id, ood, n_ood, -1, score, positive, err);
    mem_free(positive);
    mem_free(score);
    *out = (struct rank_ood){ .n_id = n_id, .n_ood = n_ood, .auroc = in.auroc, .auroc_se = in.auroc_se, .fpr95_id_positive = in.fpr95, .fpr95_ood_positive = outside.fpr95,
                              .aupr_in = in.aupr, .aupr_out = outside.aupr, .ap_in = in.ap, .ap_out = outside.ap,
                              .prevalence_id = n ? (double)n_id / (double)n : NAN, .prevalence_ood = n ? (double)n_ood / (double)n : NAN };
    return rc;
}
