#include "eval/membership.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/mem.h"
#include "base/stat.h"
#include "base/tree.h"
#include "eval/evidence.h"

static const char *const names[N_MEMBERSHIP] = {
#define X(id, word, what) word,
    MEMBERSHIP_SCORES(X)
#undef X
};
static const char *const whats[N_MEMBERSHIP] = {
#define X(id, word, what) what,
    MEMBERSHIP_SCORES(X)
#undef X
};

const char *membership_name(int s) { return names[s]; }
const char *membership_what(int s) { return whats[s]; }

/* ---- one text ---- */

int membership_zlib(const char *text, size_t n, size_t *bytes, struct err *err)
{
    uLongf size = compressBound(n);
    Bytef *out = mem_alloc(size);
    const int rc = out ? compress(out, &size, (const Bytef *)text, n) : Z_MEM_ERROR;
    mem_free(out);
    if (rc != Z_OK)
        return ERR(err, NOMEM, "no memory to pack a text of %zu bytes", n);
    *bytes = size;
    return 0;
}

/* Means of the least values, of each share; sorts v. */
static void least_means(double *v, int n, double *out)
{
    static const int percent[] = { 5, 10, 20, 30, 40, 50, 60 };
    double sum = 0;
    int done = 0;
    stat_sort(v, (size_t)n);
    for (size_t i = 0; i < sizeof percent / sizeof *percent; i++) {
        int k = (int)((int64_t)n * percent[i] / 100);
        k = k ? k : 1;
        while (done < k)
            sum += v[done++];
        out[i] = sum / k;
    }
}

/* How far a token lies from what the model expected there.  A place where the model is sure has no spread: what it expects is 0, anything else far off. */
static double standardised(const struct reply_token *t)
{
    const double d = (double)t->loglik - (double)t->mean;
    return t->sd > 0 ? d / (double)t->sd : d < 0 ? -1e9 : 0;
}

void membership_scores(const struct membership_text *x, double *work, double score[N_MEMBERSHIP])
{
    const double mean = x->nll / x->n_token;
    for (int i = 0; i < N_MEMBERSHIP; i++)
        score[i] = NAN;
    score[MEMBERSHIP_LOSS] = -mean;
    for (int i = 0; i < x->n_token; i++)
        work[i] = (double)x->token[i].loglik;
    least_means(work, x->n_token, score + MEMBERSHIP_MIN_K_5);
    for (int i = 0; i < x->n_token; i++)
        work[i] = standardised(&x->token[i]);
    least_means(work, x->n_token, score + MEMBERSHIP_MIN_K_PP_5);
    if (x->zlib)
        score[MEMBERSHIP_ZLIB] = -mean / (double)x->zlib;
    if (x->n_lower && x->nll_lower > 0)
        score[MEMBERSHIP_LOWERCASE] = -mean / (x->nll_lower / x->n_lower);
    score[MEMBERSHIP_REFERENCE] = (x->nll_reference - x->nll) / x->n_token;
}

/* ---- many texts ---- */

/* The texts that have a value of a score, in the order of all. */
struct known { double *score, *other; unsigned char *member; int64_t n; };

static void take_known(struct known *k, const struct membership_texts *t, const double *score, const double *other)
{
    k->n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (isnan(score[i]))
            continue;
        k->score[k->n] = score[i], k->other[k->n] = other ? other[i] : 0;
        k->member[k->n++] = t->member[i];
    }
}

static bool both_kinds(const struct known *k)
{
    int64_t n = 0;
    for (int64_t i = 0; i < k->n; i++)
        n += k->member[i];
    return n && n < k->n;
}

static json_t *interval(const double ci[2]) { return json_pack("[o, o]", tree_number(ci[0]), tree_number(ci[1])); }

static json_t *points_json(const struct roc *r)
{
    json_t *points = json_array();
    for (int i = 0; i < ROC_POINTS && points; i++) {
        const struct roc_point *p = &r->point[i];
        if (!json_array_append_new(points, json_pack("{s:f, s:f, s:o, s:I, s:I}", "fpr_max", p->fpr_max, "tpr", p->tpr, "ci95", interval(p->ci), "found", (json_int_t)p->n_found, "false",
                                                     (json_int_t)p->n_false)))
            continue;
        json_decref(points);
        points = NULL;
    }
    return points;
}

static json_t *roc_json(const struct roc *r)
{
    return json_pack("{s:I, s:I, s:f, s:o, s:o, s:o, s:f, s:o}", "members", (json_int_t)r->n_positive, "others", (json_int_t)r->n_negative, "auroc", r->auroc, "se",
                     tree_number(r->se), "ci95", interval(r->ci), "tpr", points_json(r), "balanced_accuracy", r->balanced, "balanced_accuracy_ci95", interval(r->balanced_ci));
}

static int figures(json_t *evidence, const char *of, const struct roc *r, bool blind, struct err *err)
{
    const int64_t n = r->n_positive + r->n_negative;
    const enum evidence_better better = blind ? EVIDENCE_NEITHER : EVIDENCE_LOWER;
    TRY(evidence_figure(evidence, &(struct evidence_figure){ blind ? "auroc_blind" : "auroc", of, r->auroc, r->ci[0], r->ci[1], n, better,
                        blind ? "members told from others without any model, 0.5 by chance" : "members told from others, 0.5 by chance" }, err));
    for (int i = 0; i < ROC_POINTS && !blind; i++) {
        const struct roc_point *p = &r->point[i];
        TRY(evidence_figure(evidence, &(struct evidence_figure){ i ? "tpr_at_fpr_0.001" : "tpr_at_fpr_0.01", of, p->tpr, p->ci[0], p->ci[1], r->n_positive, better,
                            i ? "members found at 0.1 % of false alarms" : "members found at 1 % of false alarms" }, err));
    }
    if (blind)
        return 0;
    return evidence_figure(evidence, &(struct evidence_figure){ "balanced_accuracy", of, r->balanced, r->balanced_ci[0], r->balanced_ci[1], n, better,
                           "of the best threshold, chosen in hindsight" }, err);
}

/* Of two-sided interest: members may be the shorter texts. */
static double told_apart(const struct roc *r) { return fmax(r->auroc, 1 - r->auroc); }
static bool is_apart(const struct roc *r, bool crossed) { return r->ci[0] > 0.5 || (!crossed && r->ci[1] < 0.5); }

static int measure_blind(struct roc *r, const struct membership_blind *b, const struct membership_texts *t, double level, struct err *err)
{
    TRY(roc_measure(r, b->score, t->member, t->n, level, err));
    if (b->crossed) {
        r->se *= sqrt(2);
        r->ci[0] = fmax(0, r->auroc - sqrt(2) * (r->auroc - r->ci[0])), r->ci[1] = fmin(1, r->auroc + sqrt(2) * (r->ci[1] - r->auroc));
    }
    return 0;
}

/* The blind scores; best: the one that tells the sides apart best, -1: none does. */
static int blind_part(json_t *evidence, const struct membership_texts *t, double level, int *best, bool *turned, struct err *err)
{
    double most = 0;
    json_t *all = json_object();
    *best = -1;
    TRY(evidence_put(evidence, "blind", all, err));
    for (int i = 0; i < t->n_blind; i++) {
        struct roc r, strict;
        TRY(measure_blind(&r, &t->blind[i], t, 0.95, err));
        TRY(measure_blind(&strict, &t->blind[i], t, level, err));
        TRY(evidence_put(all, t->blind[i].name, roc_json(&r), err));
        TRY(figures(evidence, t->blind[i].name, &r, true, err));
        if (is_apart(&strict, t->blind[i].crossed) && told_apart(&r) > most)
            most = told_apart(&r), *best = i, *turned = r.auroc < 0.5;
    }
    return evidence_put(evidence, "blind_best", *best < 0 ? json_null() : json_string(t->blind[*best].name), err);
}

static int beyond(json_t *part, const char *name, const struct known *k, double level, bool *found, struct err *err)
{
    struct roc_pair p, strict;
    TRY(roc_compare(&p, k->score, k->other, k->member, k->n, 0.95, err));
    TRY(roc_compare(&strict, k->score, k->other, k->member, k->n, level, err));
    *found = *found || strict.ci[0] > 0;
    return evidence_put(part, name, json_pack("{s:f, s:o}", "difference", p.difference, "ci95", interval(p.ci)), err);
}

static int score_part(json_t *evidence, const struct membership_texts *t, struct known *k, const double *blind, double level, bool *found, bool *found_beyond, struct err *err)
{
    TRY(evidence_put(evidence, "beyond_blind", json_object(), err));
    TRY(evidence_put(evidence, "scores", json_object(), err));
    json_t *all = json_object_get(evidence, "scores"), *more = json_object_get(evidence, "beyond_blind");
    for (int s = 0; s < N_MEMBERSHIP; s++) {
        struct roc r, strict;
        take_known(k, t, t->score + (int64_t)s * t->n, blind);
        if (!both_kinds(k))
            continue;
        TRY(roc_measure(&r, k->score, k->member, k->n, 0.95, err));
        TRY(roc_measure(&strict, k->score, k->member, k->n, level, err));
        TRY(evidence_put(all, names[s], roc_json(&r), err));
        TRY(figures(evidence, names[s], &r, false, err));
        *found = *found || strict.ci[0] > 0.5;
        if (blind)
            TRY(beyond(more, names[s], k, level, found_beyond, err));
    }
    return 0;
}

static int overlap_part(json_t *evidence, const struct membership_texts *t, struct err *err)
{
    int64_t n = 0, n_over = 0;
    double sum = 0;
    for (int64_t i = 0; i < t->n; i++)
        if (!isnan(t->overlap[i]))
            n++, sum += t->overlap[i], n_over += t->overlap[i] >= MEMBERSHIP_OVERLAP;
    return evidence_put(evidence, "overlap", json_pack("{s:I, s:I, s:f, s:o}", "n", (json_int_t)n, "over", (json_int_t)n_over, "threshold", MEMBERSHIP_OVERLAP, "mean",
                                                       tree_number(n ? sum / (double)n : NAN)), err);
}

static int verdict_part(json_t *evidence, bool apart, bool found, bool found_beyond, struct err *err)
{
    static const char *const word[][2] = {
#define X(id, w, what) { w, what },
        MEMBERSHIP_VERDICTS(X)
#undef X
    };
    enum {
#define X(id, w, what) id,
        MEMBERSHIP_VERDICTS(X)
#undef X
    };
    const int v = apart ? (found_beyond ? BEYOND : CONFOUNDED) : found ? FOUND : NOTHING;
    TRY(evidence_put(evidence, "verdict", json_string(word[v][0]), err));
    return evidence_put(evidence, "verdict_means", json_string(word[v][1]), err);
}

static int report(json_t *evidence, const struct membership_texts *t, struct known *k, double *blind, struct err *err)
{
    /* Of all that is asked at once one in twenty is wrong: Bonferroni. */
    const double level = 1 - 0.05 / N_MEMBERSHIP, level_blind = t->n_blind ? 1 - 0.05 / t->n_blind : 0.95;
    bool turned = false, found = false, found_beyond = false;
    int best;
    TRY(blind_part(evidence, t, level_blind, &best, &turned, err));
    for (int64_t i = 0; best >= 0 && i < t->n; i++)
        blind[i] = turned ? -t->blind[best].score[i] : t->blind[best].score[i];
    TRY(score_part(evidence, t, k, best < 0 ? NULL : blind, level, &found, &found_beyond, err));
    TRY(overlap_part(evidence, t, err));
    return verdict_part(evidence, best >= 0, found, found_beyond, err);
}

int membership_report(json_t *evidence, const struct membership_texts *t, struct err *err)
{
    struct known k = { 0 };
    k.score = mem_alloc_array((size_t)t->n, sizeof *k.score);
    k.other = mem_alloc_array((size_t)t->n, sizeof *k.other);
    k.member = mem_alloc_array((size_t)t->n, 1);
    double *blind = mem_alloc_array((size_t)t->n, sizeof *blind);
    const int rc = k.score && k.other && k.member && blind ? report(evidence, t, &k, blind, err) : ERR(err, NOMEM, "no memory for the scores of %lld texts", (long long)t->n);
    mem_free(k.score);
    mem_free(k.other);
    mem_free(k.member);
    mem_free(blind);
    return rc;
}
