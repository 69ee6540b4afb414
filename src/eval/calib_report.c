#include "eval/calib_report.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/conformal.h"
#include "eval/evidence.h"
#include "eval/interval.h"
#include "eval/selective.h"

#define CLASSES_MAX 1000     /* of which each is told of */
#define CURVE_POINTS 50

/* Trees are made without looking whether there was memory: calib_report() looks once, at the end.  What is put into another tree is whole
 * by then: it is gone where there was no memory to hold it. */
static json_t *range(double low, double high) { return json_pack("[o, o]", tree_number(low), tree_number(high)); }

static void put(json_t *o, const char *key, double v) { json_object_set_new(o, key, tree_number(v)); }
static void put_int(json_t *o, const char *key, int64_t v) { json_object_set_new(o, key, json_integer(v)); }

/* ---- metrics and bins ---- */

static json_t *metrics(const struct calib *c, const double *v, const struct calib_null *null)
{
    json_t *o = json_object();
    for (int m = 0; m < CALIB_N_METRIC; m++) {
        char name[48];
        if (isnan(v[m]))
            continue;
        calib_metric_name((enum calib_metric)m, c->n_bin, name);
        json_object_set_new(o, name, json_pack("{s:o, s:o, s:o, s:o}", "value", tree_number(v[m]), "null_mean", tree_number(null->mean[m]), "null_q95", tree_number(null->q95[m]), "p",
                                               tree_number(null->p[m])));
    }
    return o;
}

static int reliability(json_t *o, const struct calib *c, struct err *err)
{
    struct calib_bin *bin = mem_alloc_array((size_t)c->n_bin, sizeof *bin);
    if (!bin)
        return ERR(err, NOMEM, "no memory for %d bins", c->n_bin);
    json_t *a = json_array();
    const int rc = calib_reliability(c, bin, err);
    for (int b = 0; b < c->n_bin && rc >= 0; b++)
        if (bin[b].n)
            json_array_append_new(a, json_pack("{s:f, s:f, s:I, s:f, s:f, s:o}", "low", bin[b].low, "high", bin[b].high, "n", (json_int_t)bin[b].n,
                                               "confidence", bin[b].conf, "accuracy", bin[b].acc, "ci95", range(bin[b].acc_low, bin[b].acc_high)));
    json_object_set_new(o, "reliability", a);
    mem_free(bin);
    return rc;
}

/* metrics, miscalibrated, reliability */
static int measures(json_t *o, const struct calib *c, const struct calib_report_opts *opts, struct pool *pool, struct err *err)
{
    double v[CALIB_N_METRIC];
    struct calib_null null;
    TRY(calib_measure(c, v, err));
    TRY(calib_null(&null, c, v, opts->n_rep, opts->seed, pool, err));
    json_object_set_new(o, "miscalibrated", json_boolean(null.p[CALIB_ECE_WIDTH] <= 0.05));
    json_object_set_new(o, "metrics", metrics(c, v, &null));
    return reliability(o, c, err);
}

static json_t *parts(const struct calib_brier *b)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "brier", b->brier, "uncertainty", b->uncertainty, "resolution", b->resolution, "reliability", b->reliability,
                     "within", b->within);
}

static int brier_parts(json_t *o, const struct calib *c, struct err *err)
{
    struct calib_brier top, sum;
    TRY(calib_brier_top(c, &top, err));
    TRY(calib_brier_sum(c, &sum, err));
    json_t *p = json_pack("{s:o}", "brier.top", parts(&top));
    if (c->n_class)
        json_object_set_new(p, "brier.sum", parts(&sum));
    json_object_set_new(o, "brier_parts", p);
    return 0;
}

/* ---- temperature ---- */

/* Is there a temperature that makes NLL least?  One at or below 0 is none: it would turn the order of the choices around. */
static bool is_fitted(const struct calib_temperature *t) { return t->status == CALIB_FITTED && t->beta > 0; }

static const char *fit_word(const struct calib_temperature *t)
{
    return t->status == CALIB_FITTED && !(t->beta > 0) ? "the less likely choice is right more often: no temperature helps" : calib_temperature_word(t->status);
}

static int cross_fit(json_t *o, const struct calib *c, const struct calib_report_opts *opts, struct pool *pool, struct err *err)
{
    const int n_fold = opts->n_fold < c->n ? opts->n_fold : (int)c->n;
    struct calib *scaled = NULL;
    if (n_fold < 2) {
        json_object_set_new(o, "cross_fit", json_pack("{s:s}", "status", "fewer than two folds: nothing is left to fit on"));
        return 0;
    }
    struct calib_temperature *fit = mem_alloc_array((size_t)n_fold, sizeof *fit);
    if (!fit)
        return ERR(err, NOMEM, "no memory for %d folds", n_fold);
    json_t *x = json_object();
    int rc = calib_cross_fit(&scaled, c, n_fold, opts->seed, pool, fit, err);
    if (scaled) {
        json_t *folds = json_array();
        for (int f = 0; f < n_fold; f++)
            json_array_append_new(folds, tree_number(fit[f].temperature));
        json_object_set_new(x, "folds", folds);
        rc = measures(x, scaled, opts, pool, err);
    } else if (rc >= 0) {
        int f = 0;
        while (f < n_fold - 1 && is_fitted(&fit[f]))
            f++;
        json_object_set_new(x, "status", json_string(fit_word(&fit[f])));
    }
    json_object_set_new(o, "cross_fit", x);
    calib_free(scaled);
    mem_free(fit);
    return rc;
}

static int temperature(json_t *o, const struct calib *c, const struct calib_report_opts *opts, struct pool *pool, struct err *err)
{
    struct calib_temperature t;
    TRY(calib_temperature_fit(&t, c, NULL, 0, pool, err));
    const bool least = is_fitted(&t);                        /* else no T has the least NLL, so there is none to tell */
    json_t *x = json_pack("{s:s, s:o, s:o, s:o, s:o}", "status", fit_word(&t), "T", tree_number(least ? t.temperature : NAN), "beta", tree_number(least ? t.beta : NAN),
                          "nll_before", tree_number(t.nll_before), "nll_after", tree_number(least ? t.nll_after : NAN));
    const int rc = cross_fit(x, c, opts, pool, err);
    json_object_set_new(o, "temperature", x);
    return rc;
}

/* ---- conformal sets ---- */

static json_t *sizes(const struct conformal_result *r)
{
    json_t *a = json_array();
    for (int k = 0; k <= r->k_max; k++)
        if (r->by_size[k])
            json_array_append_new(a, json_pack("{s:i, s:I, s:I}", "size", k, "n", (json_int_t)r->by_size[k], "covered", (json_int_t)r->covered_by_size[k]));
    return a;
}

static void classes(json_t *o, const struct conformal_result *r)
{
    json_t *a = json_array();
    int worst = -1;
    double least = INFINITY;
    for (int k = 0; k < r->n_class; k++) {
        const struct conformal_class *x = &r->by_class[k];
        const double coverage = (double)x->n_covered / (double)x->n;
        if (x->n && coverage < least)
            worst = k, least = coverage;
        if (r->n_class <= CLASSES_MAX)
            json_array_append_new(a, json_pack("{s:I, s:o, s:o}", "n", (json_int_t)x->n, "coverage", tree_number(coverage), "size_mean", tree_number(x->size_mean)));
    }
    json_object_set_new(o, "classes", a);
    if (worst >= 0)
        json_object_set_new(o, "worst_class", json_pack("{s:i, s:I, s:f}", "class", worst, "n", (json_int_t)r->by_class[worst].n, "coverage", least));
}

static int one_conformal(json_t *o, struct conformal *f, const struct calib *c, const int32_t *item, int64_t n_fit, struct err *err)
{
    struct conformal_result r;
    TRY(conformal_fit(f, c, item, n_fit, err));
    TRY(conformal_measure(&r, f, c, item + n_fit, c->n - n_fit, err));
    json_t *x = json_pack("{s:o, s:o, s:o, s:I, s:I, s:o}", "q", tree_number(f->q), "coverage", tree_number(r.coverage), "size_mean", tree_number(r.size_mean), "n_empty",
                          (json_int_t)r.n_empty, "n_full", (json_int_t)r.n_full, "sizes", sizes(&r));
    if (r.n_class)
        classes(x, &r);
    json_object_set_new(o, conformal_name(f->kind), x);
    conformal_result_release(&r);
    return 0;
}

static int conformal(json_t *o, const struct calib *c, const struct calib_report_opts *opts, struct err *err)
{
    if (c->n < 4) {
        json_object_set_new(o, "conformal", json_null());
        return 0;
    }
    int32_t *item = mem_alloc_array((size_t)c->n, sizeof *item);
    if (!item)
        return ERR(err, NOMEM, "no memory to divide %" PRId64 " items", c->n);
    int64_t n_fit;
    double low, high, counted_low, counted_high;
    int rc = 0;
    conformal_split(c->n, opts->seed, item, &n_fit);
    conformal_interval(n_fit, opts->alpha, 0.9, &low, &high);
    conformal_measured_interval(n_fit, opts->alpha, c->n - n_fit, 0.9, &counted_low, &counted_high);
    json_t *x = json_pack("{s:f, s:I, s:I, s:o, s:o}", "alpha", opts->alpha, "n_fit", (json_int_t)n_fit, "n_measured", (json_int_t)(c->n - n_fit), "coverage_range90",
                          range(low, high), "measured_range90", range(counted_low, counted_high));
    for (int kind = CONFORMAL_THR; kind <= CONFORMAL_RAPS && rc >= 0; kind++) {
        struct conformal f = { .kind = (enum conformal_kind)kind, .alpha = opts->alpha, .lambda = opts->lambda, .k_reg = opts->k_reg,
                               .randomised = true, .seed = opts->seed };
        rc = one_conformal(x, &f, c, item, n_fit, err);
    }
    json_object_set_new(o, "conformal", x);
    mem_free(item);
    return rc;
}

/* ---- selective answers ---- */

static json_t *curve(const double *risk, int64_t n)
{
    json_t *a = json_array();
    const int64_t points = n < CURVE_POINTS ? n : CURVE_POINTS;
    for (int64_t i = 1; i <= points; i++) {
        const int64_t k = i * n / points;
        json_array_append_new(a, json_pack("[f, f]", (double)k / (double)n, risk[k - 1]));
    }
    return a;
}

static int selective(json_t *o, const struct calib *c, struct err *err)
{
    static const double coverages[] = { 0.1, 0.25, 0.5, 0.75, 0.9, 1 }, risks[] = { 0.01, 0.05, 0.1, 0.2 };
    double *risk = mem_alloc_array((size_t)c->n, sizeof *risk);
    int rc = risk ? selective_curve(c->conf, c->right, c->n, risk, err) : ERR(err, NOMEM, "no memory for the curve of %" PRId64 " items", c->n);
    if (rc >= 0) {
        json_t *x = json_object(), *at = json_object(), *coverage = json_object();
        char key[16];
        put(x, "aurc.mean", selective_aurc_mean(risk, c->n));
        put(x, "aurc.trapezoid", selective_aurc_trapezoid(risk, c->n));
        put(x, "aurc.best", selective_aurc_best(risk, c->n));
        for (size_t i = 0; i < sizeof coverages / sizeof *coverages; i++) {
            snprintf(key, sizeof key, "%g", coverages[i]);
            put(at, key, selective_accuracy(risk, c->n, coverages[i]));
        }
        for (size_t i = 0; i < sizeof risks / sizeof *risks; i++) {
            snprintf(key, sizeof key, "%g", risks[i]);
            put(coverage, key, selective_coverage(risk, c->n, risks[i]));
        }
        json_object_set_new(x, "accuracy_at", at);
        json_object_set_new(x, "coverage_at_risk", coverage);
        json_object_set_new(x, "curve", curve(risk, c->n));
        json_object_set_new(o, "selective", x);
    }
    mem_free(risk);
    return rc;
}

/* ---- all of it ---- */

static int head(json_t *o, const struct calib *c, const struct calib_items *in, const struct calib_report_opts *opts, struct err *err)
{
    int64_t n_right = 0;
    double ci[2];
    for (int64_t i = 0; i < c->n; i++)
        n_right += c->right[i];
    TRY(interval_wilson(n_right, c->n, 0.95, ci, err));
    put_int(o, "n", c->n);
    json_object_set_new(o, "classes", c->n_class ? json_integer(c->n_class) : json_null());
    put_int(o, "choices_max", c->k_max);
    json_object_set_new(o, "input", json_string(in->probs ? "probabilities" : "logits"));
    put_int(o, "bins", c->n_bin);
    put_int(o, "seed", (int64_t)opts->seed);
    put_int(o, "null_draws", opts->n_rep);
    put_int(o, "nll_clipped", c->n_clipped);
    json_object_set_new(o, "accuracy", json_pack("{s:f, s:o}", "value", (double)n_right / (double)c->n, "ci95", range(ci[0], ci[1])));
    return 0;
}

int calib_report(json_t **out, const struct calib_items *in, const struct calib_report_opts *opts, struct pool *pool, struct err *err)
{
    struct calib *c;
    *out = NULL;
    TRY(calib_new(&c, in, opts->n_bin, err));
    const uint64_t refused = mem_json_refused();
    json_t *o = json_object();
    int rc = head(o, c, in, opts, err);
    if (rc >= 0)
        rc = measures(o, c, opts, pool, err);
    if (rc >= 0)
        rc = brier_parts(o, c, err);
    if (rc >= 0)
        rc = temperature(o, c, opts, pool, err);
    if (rc >= 0)
        rc = conformal(o, c, opts, err);
    if (rc >= 0)
        rc = selective(o, c, err);
    if (rc >= 0 && (!o || mem_json_refused() != refused))
        rc = ERR(err, NOMEM, "no memory for the report on %" PRId64 " items", c->n);
    calib_free(c);
    if (rc < 0)
        json_decref(o);
    else
        *out = o;
    return rc;
}

/* ---- as figures ---- */

static double number_of(const json_t *v) { return json_is_number(v) ? json_number_value(v) : NAN; }

static int figure_pair(json_t *evidence, const char *of, const char *name, const char *metric, const json_t *report, const char *what, struct err *err)
{
    const json_t *fitted = json_object_get(json_object_get(json_object_get(report, "temperature"), "cross_fit"), "metrics");
    const int64_t n = json_integer_value(json_object_get(report, "n"));
    const double before = number_of(json_object_get(json_object_get(json_object_get(report, "metrics"), metric), "value"));
    const double after = number_of(json_object_get(json_object_get(fitted, metric), "value"));
    if (!isnan(before))
        TRY(evidence_figure(evidence, &(struct evidence_figure){ name, of, before, NAN, NAN, n, EVIDENCE_LOWER, what }, err));
    if (isnan(after))
        return 0;
    char *at = mem_printf("%s%sat a temperature fitted to others of them", of ? of : "", of ? ", " : "");
    const int rc = at ? evidence_figure(evidence, &(struct evidence_figure){ name, at, after, NAN, NAN, n, EVIDENCE_LOWER, what }, err) : ERR(err, NOMEM, "no memory for a figure");
    mem_free(at);
    return rc;
}

int calib_report_figures(json_t *evidence, const char *of, const json_t *report, struct err *err)
{
    const json_t *accuracy = json_object_get(report, "accuracy"), *ci = json_object_get(accuracy, "ci95");
    TRY(evidence_figure(evidence, &(struct evidence_figure){ "accuracy", of, number_of(json_object_get(accuracy, "value")), number_of(json_array_get(ci, 0)), number_of(json_array_get(ci, 1)),
                                                             json_integer_value(json_object_get(report, "n")), EVIDENCE_HIGHER, "share of right answers" }, err));
    TRY(figure_pair(evidence, of, "ece", "ece.equal_width.15", report, "mean distance of confidence and accuracy over 15 bins of one width", err));
    TRY(figure_pair(evidence, of, "brier", "brier.sum", report, "squared error of the probabilities, summed over the classes", err));
    return figure_pair(evidence, of, "nll", "nll", report, "mean of minus the log of the right answer's probability, in nats", err);
}
