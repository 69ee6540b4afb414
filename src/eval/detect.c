#include "eval/detect.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/dist.h"
#include "eval/evidence.h"
#include "eval/rank.h"

struct detectors {
    struct detect_rows rows;
    struct ood_mahalanobis *mahalanobis[4];              /* MAHALANOBIS .. RMDS_LW */
    struct ood_vim *vim;
    int k;
    struct err why[N_DETECTOR]; bool failed[N_DETECTOR];
};

const char *detector_name(enum detector w)
{
    static const char *const name[] = {
#define X(name, word, of_features) word,
        DETECTORS(X)
#undef X
    };
    return name[w];
}

bool detector_of_features(enum detector w)
{
    static const bool of[] = {
#define X(name, word, of_features) of_features,
        DETECTORS(X)
#undef X
    };
    return of[w];
}

/* ---- fitting ---- */

/* Want of memory ends it all; whatever else is this detector's own. */
static int without(struct detectors *d, enum detector w, int rc, struct err *err)
{
    if (rc == ERR_NOMEM)
        *err = d->why[w];
    d->failed[w] = rc < 0;
    return rc == ERR_NOMEM ? rc : 0;
}

static int n_class(const int32_t *label, int64_t n, int n_label)
{
    int seen = 0;
    for (int c = 0; c < n_label; c++)
        for (int64_t i = 0; i < n; i++)
            if (label[i] == c) {
                seen++;
                break;
            }
    return seen;
}

static int fit_mahalanobis(struct detectors *d, const int32_t *label, int n_label, struct pool *pool, struct err *err)
{
    const struct detect_rows *r = &d->rows;
    const bool classes = n_class(label, r->n, n_label) > 1;
    for (int i = 0; i < 4; i++) {
        const enum detector w = (enum detector)(DETECT_MAHALANOBIS + i);
        const bool relative = w >= DETECT_RMDS, shrunk = w == DETECT_MAHALANOBIS_LW || w == DETECT_RMDS_LW;
        int rc;
        if (relative && !classes)
            rc = ERR(&d->why[w], RANGE, "all rows that it was fitted to are of one class: relative to that all distances are 0");
        else
            rc = ood_mahalanobis_fit(&d->mahalanobis[i], r->feature, label, r->n, r->d, n_label, &(struct ood_mahalanobis_opts){ relative, shrunk }, pool, &d->why[w]);
        TRY(without(d, w, rc, err));
    }
    return 0;
}

static int fit_all(struct detectors *d, const int32_t *label, int n_label, const float *w, const float *bias, struct pool *pool, struct err *err)
{
    const struct detect_rows *r = &d->rows;
    int32_t *same = label ? NULL : mem_alloc_array((size_t)r->n, sizeof *same);
    if (!label && !same)
        return ERR(err, NOMEM, "no memory for %lld rows of features", (long long)r->n);
    int rc = fit_mahalanobis(d, label ? label : same, label ? n_label : 1, pool, err);
    mem_free(same);
    TRY(rc);
    d->k = r->n < DETECT_K ? (int)r->n : DETECT_K;
    if (!r->K)
        rc = ERR(&d->why[DETECT_VIM], RANGE, "the model has no logits for classes");
    else
        rc = ood_vim_fit(&d->vim, r->feature, r->logit, r->n, r->d, r->K, w, bias, 0, pool, &d->why[DETECT_VIM]);
    return without(d, DETECT_VIM, rc, err);
}

int detectors_fit(struct detectors **out, const struct detect_rows *rows, const int32_t *label, int n_label, const float *w, const float *bias, struct pool *pool, struct err *err)
{
    *out = NULL;
    if (rows->n < 2 || rows->d < 1)
        return ERR(err, RANGE, "%lld rows of %d features to fit to, expected at least 2 of 1", (long long)rows->n, rows->d);
    TRY(ood_check(rows->feature, rows->n, rows->d, "features", err));
    struct detectors *d = mem_alloc_zero(sizeof *d);
    if (!d)
        return ERR(err, NOMEM, "no memory for detectors");
    d->rows = *rows;
    const int rc = fit_all(d, label, n_label, w, bias, pool, err);
    if (rc)
        detectors_free(d);
    else
        *out = d;
    return rc;
}

void detectors_free(struct detectors *d)
{
    if (!d)
        return;
    for (int i = 0; i < 4; i++)
        ood_mahalanobis_free(d->mahalanobis[i]);
    ood_vim_free(d->vim);
    mem_free(d);
}

/* ---- scores ---- */

const char *detectors_why_not(const struct detectors *d, enum detector w)
{
    if (!detector_of_features(w))
        return NULL;
    return !d ? "nothing was given to fit it to" : d->failed[w] ? d->why[w].msg : NULL;
}

int detectors_score(const struct detectors *d, enum detector w, const struct detect_rows *r, double *score, struct pool *pool, struct err *err)
{
    const char *why = detectors_why_not(d, w);
    if (why)
        return ERR(err, RANGE, "%s: %s", detector_name(w), why);
    switch (w) {
    case DETECT_MSP: case DETECT_MAX_LOGIT: case DETECT_ENERGY: case DETECT_ENTROPY:
        return ood_from_logits((enum ood_logit_score)(OOD_MSP + (w - DETECT_MSP)), r->logit, r->n, r->K, 1, score, pool, err);
    case DETECT_KNN:
        return ood_knn(d->rows.feature, d->rows.n, r->feature, r->n, r->d, d->k, score, pool, err);
    case DETECT_VIM:
        return ood_vim_score(d->vim, r->feature, r->logit, r->n, score, pool, err);
    default:
        return ood_mahalanobis_score(d->mahalanobis[w - DETECT_MAHALANOBIS], r->feature, r->n, score, pool, err);
    }
}

/* ---- how well they tell two sets apart ---- */

static json_t *interval_of(const struct rank_ood *r)
{
    const double by = dist_normal_quantile(0.975) * r->auroc_se;
    return json_pack("[o, o]", tree_number(isnan(by) ? NAN : fmax(r->auroc - by, 0)), tree_number(isnan(by) ? NAN : fmin(r->auroc + by, 1)));
}

int detect_measure(json_t **out, const double *id, int64_t n_id, const double *ood, int64_t n_ood, struct err *err)
{
    struct rank_ood r;
    TRY(rank_ood(&r, id, n_id, ood, n_ood, err));
    *out = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "auroc", tree_number(r.auroc), "auroc_ci95", interval_of(&r), "fpr95_id_positive", tree_number(r.fpr95_id_positive),
                     "fpr95_ood_positive", tree_number(r.fpr95_ood_positive), "aupr_in", tree_number(r.aupr_in), "aupr_out", tree_number(r.aupr_out), "prevalence_id",
                     tree_number(r.prevalence_id));
    return *out ? 0 : ERR(err, NOMEM, "no memory for a report");
}

static int measure_one(json_t **out, const struct detectors *d, enum detector w, const struct detect_rows *id, const struct detect_rows *ood, double *score, struct pool *pool, struct err *err)
{
    const char *why = detectors_why_not(d, w);
    if (why)
        return (*out = json_pack("{s:s}", "why_not", why)) ? 0 : ERR(err, NOMEM, "no memory for a report");
    TRY(detectors_score(d, w, id, score, pool, err));
    TRY(detectors_score(d, w, ood, score + id->n, pool, err));
    return detect_measure(out, score, id->n, score + id->n, ood->n, err);
}

int detect_all(json_t **out, const struct detectors *d, const struct detect_rows *id, const struct detect_rows *ood, struct pool *pool, struct err *err)
{
    double *score = mem_alloc_array((size_t)(id->n + ood->n), sizeof *score);
    json_t *tree = score ? json_object() : NULL;
    int rc = tree ? 0 : ERR(err, NOMEM, "no memory for the scores of %lld items", (long long)(id->n + ood->n));
    for (int w = 0; w < N_DETECTOR && !rc; w++) {
        json_t *one = NULL;
        if (detector_of_features((enum detector)w) ? !id->d : !id->K)
            continue;
        rc = measure_one(&one, d, (enum detector)w, id, ood, score, pool, err);
        if (!rc)
            rc = evidence_put(tree, detector_name((enum detector)w), one, err);
    }
    mem_free(score);
    if (rc)
        json_decref(tree);
    else
        *out = tree;
    return rc;
}

static double number_at(const json_t *list, size_t i)
{
    const json_t *v = json_array_get(list, i);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

int detect_figures(json_t *evidence, const char *set, const json_t *scores, int64_t n, struct err *err)
{
    const char *name;
    json_t *s;
    json_object_foreach((json_t *)scores, name, s) {
        const json_t *auroc = json_object_get(s, "auroc"), *ci = json_object_get(s, "auroc_ci95");
        char *of = mem_printf("%s %s", set, name);
        if (!of)
            return ERR(err, NOMEM, "no memory for a figure");
        const int rc = json_is_number(auroc) ? evidence_figure(evidence, &(struct evidence_figure){ "auroc", of, json_number_value(auroc), number_at(ci, 0), number_at(ci, 1), n, EVIDENCE_HIGHER,
                                                                                                 "how often what is in the distribution scores higher than what is not" }, err) : 0;
        mem_free(of);
        TRY(rc);
    }
    return 0;
}
