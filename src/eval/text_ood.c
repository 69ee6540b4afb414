#include "eval/text_ood.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/evidence.h"

/* ---- detectors ---- */

static struct detect_rows rows_of(const struct text_rows *r, int kind)
{
    return (struct detect_rows){ r->n, r->logit, r->K, kind < r->n_feature ? r->feature[kind] : NULL, kind < r->n_feature ? r->d : 0 };
}

int text_detectors_fit(struct text_detectors *out, const struct text_rows *fit, int n_label, const float *w, const float *bias, struct pool *pool, struct err *err)
{
    bool labelled = n_label > 0;
    *out = (struct text_detectors){ { NULL } };
    for (int64_t i = 0; i < fit->n; i++)
        labelled = labelled && fit->label[i] >= 0;
    for (int k = 0; k < fit->n_feature; k++) {
        const struct detect_rows r = rows_of(fit, k);
        const int rc = detectors_fit(&out->of[k], &r, labelled ? fit->label : NULL, n_label, w, bias, pool, err);
        if (rc) {
            text_detectors_release(out);
            return rc;
        }
    }
    return 0;
}

void text_detectors_release(struct text_detectors *d)
{
    for (int k = 0; k < TEXT_FEATURES; k++)
        detectors_free(d->of[k]);
    *d = (struct text_detectors){ { NULL } };
}

/* ---- the same lengths ---- */

struct drawn { int32_t n_token; uint64_t draw; int64_t at; };

static int by_length(const void *a_, const void *b_)
{
    const struct drawn *a = a_, *b = b_;
    if (a->n_token != b->n_token)
        return a->n_token < b->n_token ? -1 : 1;
    return a->draw != b->draw ? (a->draw < b->draw ? -1 : 1) : (a->at > b->at) - (a->at < b->at);
}

static struct drawn *draw_all(const int32_t *n_token, int64_t n, uint64_t key)
{
    struct drawn *d = mem_alloc_array((size_t)n, sizeof *d);
    for (int64_t i = 0; d && i < n; i++)
        d[i] = (struct drawn){ n_token[i], rng_u64(key, (uint64_t)i), i };
    if (d)
        qsort(d, (size_t)n, sizeof *d, by_length);
    return d;
}

int length_match(int64_t *a, int64_t *b, int64_t *n, const int32_t *n_token_a, int64_t n_a, const int32_t *n_token_b, int64_t n_b, uint64_t seed, struct err *err)
{
    struct drawn *x = draw_all(n_token_a, n_a, rng_key(seed, "length of what is in")), *y = draw_all(n_token_b, n_b, rng_key(seed, "length of what is out"));
    *n = 0;
    for (int64_t i = 0, j = 0; x && y && i < n_a && j < n_b;)
        if (x[i].n_token < y[j].n_token)
            i++;
        else if (x[i].n_token > y[j].n_token)
            j++;
        else
            a[*n] = x[i++].at, b[(*n)++] = y[j++].at;
    const bool whole = x && y;
    mem_free(x);
    mem_free(y);
    return whole ? 0 : ERR(err, NOMEM, "no memory for the lengths of %lld texts", (long long)(n_a + n_b));
}

/* ---- scores ---- */

struct telling {
    const struct text_detectors *d;
    const struct text_rows *id, *ood;
    struct pool *pool;
    double *score, *matched;                             /* of those of id, then of ood; and of those that are matched, n_matched of each */
    int64_t *a, *b, n_matched;
    json_t *all, *same;                                  /* by score: of all texts, of those of the same lengths */
};

/* t->score is full. */
static int measure(struct telling *t, const char *name, struct err *err)
{
    json_t *o = NULL;
    const int64_t m = t->n_matched;
    TRY(detect_measure(&o, t->score, t->id->n, t->score + t->id->n, t->ood->n, err));
    TRY(evidence_put(t->all, name, o, err));
    for (int64_t i = 0; i < m; i++)
        t->matched[i] = t->score[t->a[i]], t->matched[m + i] = t->score[t->id->n + t->b[i]];
    if (!m)
        return 0;
    TRY(detect_measure(&o, t->matched, m, t->matched + m, m, err));
    return evidence_put(t->same, name, o, err);
}

static int tell_stats(struct telling *t, struct err *err)
{
    for (int s = 0; s < N_TEXT_STAT && t->id->has_stat; s++) {
        memcpy(t->score, t->id->stat[s], (size_t)t->id->n * sizeof *t->score);
        memcpy(t->score + t->id->n, t->ood->stat[s], (size_t)t->ood->n * sizeof *t->score);
        TRY(measure(t, text_stat_name((enum text_stat)s), err));
    }
    for (int64_t i = 0; i < t->id->n + t->ood->n; i++)
        t->score[i] = i < t->id->n ? t->id->n_token[i] : t->ood->n_token[i - t->id->n];
    return measure(t, "length", err);
}

static int tell_detector(struct telling *t, int kind, enum detector w, struct err *err)
{
    char name[60];
    const struct detect_rows id = rows_of(t->id, kind), ood = rows_of(t->ood, kind);
    const char *suffix = detector_of_features(w) ? t->id->feature_name[kind] : "";
    const char *why = detectors_why_not(t->d->of[kind], w);
    snprintf(name, sizeof name, "%s%s%s", detector_name(w), *suffix ? "." : "", suffix);
    if (why)
        return evidence_put(t->all, name, json_pack("{s:s}", "why_not", why), err);
    TRY(detectors_score(t->d->of[kind], w, &id, t->score, t->pool, err));
    TRY(detectors_score(t->d->of[kind], w, &ood, t->score + id.n, t->pool, err));
    return measure(t, name, err);
}

static int tell_all(struct telling *t, struct err *err)
{
    TRY(tell_stats(t, err));
    for (int k = 0; k < t->id->n_feature; k++)
        for (int w = 0; w < N_DETECTOR; w++) {
            const bool of_features = detector_of_features((enum detector)w), needs_logits = !of_features || w == DETECT_VIM;
            if ((of_features && !t->d->of[k]) || (needs_logits && !t->id->K))
                continue;
            TRY(tell_detector(t, k, (enum detector)w, err));
        }
    return 0;
}

static double mean_length(const struct text_rows *r)
{
    double sum = 0;
    for (int64_t i = 0; i < r->n; i++)
        sum += r->n_token[i];
    return sum / (double)r->n;
}

static int whole(json_t **out, struct telling *t, struct err *err)
{
    json_t *matched = t->n_matched ? json_pack("{s:I, s:O}", "n", (json_int_t)t->n_matched, "scores", t->same) : json_null();
    *out = json_pack("{s:I, s:I, s:o, s:O, s:o}", "n", (json_int_t)t->ood->n, "n_failed", (json_int_t)t->ood->n_failed, "tokens_mean", tree_number(mean_length(t->ood)), "scores", t->all,
                     "length_matched", matched);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a report");
}

int text_ood(json_t **out, const struct text_detectors *d, const struct text_rows *id, const struct text_rows *ood, uint64_t seed, struct pool *pool, struct err *err)
{
    if (!id->n || !ood->n)
        return ERR(err, RANGE, "%lld texts and %lld others, expected one of each at least", (long long)id->n, (long long)ood->n);
    const size_t n = (size_t)(id->n + ood->n), least = (size_t)(id->n < ood->n ? id->n : ood->n);
    struct telling t = { .d = d, .id = id, .ood = ood, .pool = pool, .score = mem_alloc_array(n, sizeof *t.score), .matched = mem_alloc_array(2 * least, sizeof *t.matched),
                         .a = mem_alloc_array(least, sizeof *t.a), .b = mem_alloc_array(least, sizeof *t.b), .all = json_object(), .same = json_object() };
    int rc = t.score && t.matched && t.a && t.b && t.all && t.same ? 0 : ERR(err, NOMEM, "no memory for the scores of %zu texts", n);
    if (!rc)
        rc = length_match(t.a, t.b, &t.n_matched, id->n_token, id->n, ood->n_token, ood->n, seed, err);
    if (!rc)
        rc = tell_all(&t, err);
    if (!rc)
        rc = whole(out, &t, err);
    json_decref(t.all), json_decref(t.same);
    mem_free(t.score), mem_free(t.matched), mem_free(t.a), mem_free(t.b);
    return rc;
}
