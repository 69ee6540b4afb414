/* robust_report.c - pairs of answers, to a task as it is and to a variant, as figures. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/bootstrap.h"
#include "eval/compare.h"
#include "eval/evidence.h"
#include "eval/interval.h"
#include "eval/multiple.h"
#include "eval/paired.h"
#include "eval/robust.h"
#include "model/unicode.h"

#define LEVEL 0.95
enum { EXAMPLES_MAX = 20, SHOWN_BEFORE = 200, SHOWN_MAX = 2000 };

/* Of the items that count in both: a, as they are; b, in the variant. */
struct pairs { double *a, *b, *one; int64_t *cluster, n; uint8_t *right_a, *right_b; bool clustered, share; };
/* Of one metric of one variant. */
struct measured { double value, ci[2], change, change_ci[2], retention, retention_ci[2], p, holm, flip, flip_ci[2]; struct paired_counts k; int64_t n; bool clustered; };

struct report {
    json_t *evidence;
    const struct robust *r; const struct evaluation *e;
    struct pool *pool;
    int of;                                      /* the task */
    struct pairs pairs;
    struct err *err;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a report"); }
static json_t *range(const double ci[2]) { return json_pack("[o, o]", tree_number(ci[0]), tree_number(ci[1])); }
static const struct eval_task *base_of(const struct report *x) { return &x->e->task[x->of]; }
static double value_at(const struct eval_task *t, int64_t i, int m) { return t->value[i * t->n_metric + m].v; }

static bool is_of_items(const struct task_metric *m)
{
    return !m->own && m->aggregate != TASK_MEDIAN && m->aggregate != TASK_F1 && m->aggregate != TASK_MCC && m->aggregate != TASK_WEIGHTED_PERPLEXITY &&
           m->aggregate != TASK_BITS_PER_BYTE;
}

/* ---- pairs ---- */

static int pairs_init(struct pairs *p, const struct eval_task *t, struct err *err)
{
    const size_t n = (size_t)t->n + 1;
    *p = (struct pairs){ .a = mem_alloc_array(n, sizeof *p->a), .b = mem_alloc_array(n, sizeof *p->b), .one = mem_alloc_array(n, sizeof *p->one),
                         .cluster = mem_alloc_array(n, sizeof *p->cluster), .right_a = mem_alloc_array(n, 1), .right_b = mem_alloc_array(n, 1) };
    return p->a && p->b && p->one && p->cluster && p->right_a && p->right_b ? 0 : no_memory(err);
}

static void pairs_release(struct pairs *p)
{
    mem_free(p->a), mem_free(p->b), mem_free(p->one), mem_free(p->cluster), mem_free(p->right_a), mem_free(p->right_b);
    *p = (struct pairs){ 0 };
}

/* Values of a metric that are all 0 or 1. */
static bool all_shares(const struct eval_task *t, int m)
{
    if (t->metric[m].aggregate != TASK_MEAN && t->metric[m].aggregate != TASK_NANMEAN)
        return false;
    for (int64_t i = 0; i < t->n; i++)
        if (!isnan(value_at(t, i, m)) && value_at(t, i, m) != 0 && value_at(t, i, m) != 1)
            return false;
    return true;
}

static void add_pair(struct pairs *p, const struct eval_task *t, int64_t i, double a, double b)
{
    p->a[p->n] = a, p->b[p->n] = b, p->one[p->n] = 1;
    p->cluster[p->n] = task_cluster(t->t, i);
    p->clustered = p->clustered || p->cluster[p->n] >= 0;
    p->right_a[p->n] = a == 1, p->right_b[p->n] = b == 1;
    p->share = p->share && (a == 0 || a == 1) && (b == 0 || b == 1);
    p->n++;
}

static void take_pairs(struct pairs *p, const struct eval_task *t, const struct eval_task *v, int m)
{
    p->n = 0, p->clustered = false, p->share = all_shares(t, m);
    for (int64_t i = 0; i < t->n; i++)
        if (!isnan(value_at(t, i, m)) && !isnan(value_at(v, i, m)))
            add_pair(p, t, i, value_at(t, i, m), value_at(v, i, m));
}

/* ---- intervals ---- */

/* The mean of x and its interval: Wilson's of a share of single items, else Student's t; of a share in clusters interval_share()'s. */
static int mean_of(const struct pairs *p, const double *x, double level, double *mean, double ci[2], struct err *err)
{
    struct interval_mean of;
    int64_t k = 0;
    *mean = ci[0] = ci[1] = NAN;
    if (!p->n)
        return 0;
    if (!p->share || p->clustered) {
        TRY(p->share ? interval_share(x, p->cluster, p->n, level, &of, err) : interval_mean(x, NULL, p->clustered ? p->cluster : NULL, p->n, level, &of, err));
        *mean = of.mean, ci[0] = of.ci[0], ci[1] = of.ci[1];
        return 0;
    }
    for (int64_t i = 0; i < p->n; i++)
        k += x[i] == 1;
    *mean = (double)k / (double)p->n;
    return interval_wilson(k, p->n, level, ci, err);
}

/* BCa; none where a draw has no such number, e.g. nothing right to be kept. */
static int drawn(const struct report *x, bootstrap_of_sums f, double *estimate, double ci[2])
{
    const struct pairs *p = &x->pairs;
    const double *const columns[] = { p->b, p->a, p->one };
    const struct bootstrap_opts o = { .seed = x->r->seed, .pool = x->pool };
    struct bootstrap b;
    struct err own = { 0 };
    *estimate = ci[0] = ci[1] = NAN;
    if (!p->n)
        return 0;
    const int rc = bootstrap_sums(columns, f == bootstrap_ratio ? 2 : 3, p->clustered ? p->cluster : NULL, p->n, f, NULL, &o, &b, &own);
    if (rc == ERR_NOMEM)
        return ERR(x->err, NOMEM, "%s", own.msg);
    if (!rc)
        *estimate = b.estimate, ci[0] = b.bca[0], ci[1] = b.bca[1];
    return 0;
}

static int change_of(const struct report *x, struct measured *out)
{
    const struct pairs *p = &x->pairs;
    double loss[2];
    if (!p->share || p->clustered)
        return drawn(x, bootstrap_difference, &out->change, out->change_ci);
    out->change = p->n ? (double)(out->k.c - out->k.b) / (double)p->n : NAN;
    TRY(paired_tango(&out->k, LEVEL, loss, x->err));
    out->change_ci[0] = -loss[1], out->change_ci[1] = -loss[0];
    return 0;
}

/* What McNemar and Wilson have for single items, of items in clusters: t of the paired difference, and the interval of a share. */
static int measure_clusters(const struct report *x, struct measured *out)
{
    const struct pairs *p = &x->pairs;
    struct interval_mean m;
    double *d = mem_alloc_array((size_t)p->n, sizeof *d);
    for (int64_t i = 0; d && i < p->n; i++)
        d[i] = p->b[i] - p->a[i];
    int rc = d ? interval_mean(d, NULL, p->cluster, p->n, LEVEL, &m, x->err) : no_memory(x->err);
    if (!rc)
        out->p = compare_p(&m);
    for (int64_t i = 0; d && i < p->n; i++)
        d[i] = fabs(d[i]);
    rc = rc ? rc : interval_share(d, p->cluster, p->n, LEVEL, &m, x->err);
    if (!rc)
        out->flip_ci[0] = m.ci[0], out->flip_ci[1] = m.ci[1];
    mem_free(d);
    return rc;
}

static int measure_share(const struct report *x, struct measured *out)
{
    const struct pairs *p = &x->pairs;
    struct paired_test test;
    double a = 0, b = 0;
    out->k = paired_count(p->right_a, p->right_b, p->n);
    out->flip = p->n ? (double)(out->k.b + out->k.c) / (double)p->n : NAN;
    if (p->clustered) {
        TRY(measure_clusters(x, out));
    } else {
        TRY(paired_mcnemar(out->k.b, out->k.c, &test, x->err));
        out->p = test.exact;
        TRY(interval_wilson(out->k.b + out->k.c, p->n, LEVEL, out->flip_ci, x->err));
    }
    out->clustered = p->clustered;
    for (int64_t i = 0; i < p->n; i++)
        a += p->a[i], b += p->b[i];
    TRY(drawn(x, bootstrap_ratio, &out->retention, out->retention_ci));
    out->retention = a > 0 ? b / a : NAN;
    return 0;
}

static int measure(struct report *x, const struct robust_variant *v, int m, struct measured *out)
{
    struct pairs *p = &x->pairs;
    take_pairs(p, base_of(x), &x->e->task[v->i_task], m);
    *out = (struct measured){ .n = p->n, .retention = NAN, .retention_ci = { NAN, NAN }, .p = NAN, .holm = NAN, .flip = NAN, .flip_ci = { NAN, NAN } };
    TRY(mean_of(p, p->b, LEVEL, &out->value, out->ci, x->err));
    if (p->share)
        TRY(measure_share(x, out));
    return change_of(x, out);
}

/* ---- answers as distributions ---- */

/* log of the choices' shares, in the order of the document. */
static bool choice_logs(const struct eval_task *t, int64_t i, int n, double *out, int *of)
{
    const struct eval_item *it = &t->item[i];
    double max = -INFINITY, sum = 0;
    if (n < 2 || it->n_reply < n || it->state == EVAL_OPEN)
        return false;
    for (int k = 0; k < n; k++) {
        if (it->reply[k].text || it->reply[k].error || !isfinite(it->reply[k].loglik))
            return false;
        max = fmax(max, it->reply[k].loglik);
    }
    for (int k = 0; k < n; k++)
        sum += exp(it->reply[k].loglik - max);
    task_option_order(t->t, i, of);
    for (int k = 0; k < n; k++)
        out[of[k]] = it->reply[k].loglik - max - log(sum);
    return true;
}

/* The mean over items of sum p ln(p / q), p: as it is, q: the variant's. */
static int mean_kl(struct report *x, const struct robust_variant *v, double *mean, double ci[2], int64_t *n)
{
    const struct eval_task *t = base_of(x), *u = &x->e->task[v->i_task];
    struct pairs *p = &x->pairs;
    int most = 0, rc = 0;
    for (int64_t i = 0; i < t->n; i++)
        most = task_n_choice(t->t, i) > most ? task_n_choice(t->t, i) : most;
    double *a = mem_alloc_array((size_t)most + 1, 2 * sizeof *a), *b = a ? a + most : NULL;
    int *of = mem_alloc_array((size_t)most + 1, sizeof *of);
    p->n = 0, p->clustered = p->share = false;
    for (int64_t i = 0; a && of && i < t->n; i++) {
        const int n_choice = task_n_choice(t->t, i);
        if (!choice_logs(t, i, n_choice, a, of) || !choice_logs(u, i, n_choice, b, of))
            continue;
        double kl = 0;
        for (int k = 0; k < n_choice; k++)
            kl += exp(a[k]) * (a[k] - b[k]);
        add_pair(p, t, i, kl > 0 ? kl : 0, 0);
    }
    p->share = false;
    if (!a || !of)
        rc = no_memory(x->err);
    else
        rc = mean_of(p, p->a, LEVEL, mean, ci, x->err);
    if (!rc && ci[0] < 0)                /* there is no such divergence */
        ci[0] = 0;
    *n = p->n;
    mem_free(a);
    mem_free(of);
    return rc;
}

/* ---- figures ---- */

static int figure(struct report *x, const struct task_metric *m, const char *name, const struct robust_variant *v, double value, const double ci[2],
                  int64_t n, int better,
                  const char *what)
{
    char *of = v ? mem_printf("%s %s %s", task_name(base_of(x)->t), v->family, v->form) : mem_strdup(task_name(base_of(x)->t));
    const struct evidence_figure f = { name, of, value, ci[0], ci[1], n, better ? better : m->higher_is_better ? EVIDENCE_HIGHER : EVIDENCE_LOWER, what };
    const int rc = of ? evidence_figure(x->evidence, &f, x->err) : no_memory(x->err);
    mem_free(of);
    return rc;
}

static int measured_figures(struct report *x, const struct task_metric *m, const struct robust_variant *v, const struct measured *d, bool first)
{
    TRY(figure(x, m, m->name, v, d->value, d->ci, d->n, 0, v->what));
    if (isnan(d->flip))
        return figure(x, m, "change", v, d->change, d->change_ci, d->n, 0, "of the mean");
    char name[100];
    snprintf(name, sizeof name, first ? "retention" : "%.80s retention", m->name);
    TRY(figure(x, m, name, v, d->retention, d->retention_ci, d->n, 0, "over the score as it is"));
    snprintf(name, sizeof name, first ? "flip_rate" : "%.80s flip_rate", m->name);
    return figure(x, m, name, v, d->flip, d->flip_ci, d->n, EVIDENCE_LOWER, "right became wrong, or wrong right");
}

static json_t *measured_json(const struct measured *d)
{
    json_t *o = json_pack("{s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)d->n, "value", tree_number(d->value), "ci95", range(d->ci), "change",
                          tree_number(d->change),
                          "change_ci95", range(d->change_ci));
    json_t *more = isnan(d->flip) ? NULL
                 : json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "broken", (json_int_t)d->k.b, "mended", (json_int_t)d->k.c, "flip_rate",
                             tree_number(d->flip), "flip_ci95",
                             range(d->flip_ci), "retention", tree_number(d->retention), "retention_ci95", range(d->retention_ci), "p_mcnemar",
                                     tree_number(d->clustered ? NAN : d->p), "p_clusters", tree_number(d->clustered ? d->p : NAN), "p_holm",
                             tree_number(d->holm));
    if (o && more)
        (void)json_object_update(o, more);
    json_decref(more);
    return o;
}

/* ---- of a task ---- */

static int adjust(struct measured *of, int n, struct err *err)
{
    double *p = mem_alloc_array((size_t)n + 1, sizeof *p);
    bool shares = n > 0;
    if (!p)
        return no_memory(err);
    for (int i = 0; i < n; i++)
        p[i] = of[i].p, shares = shares && !isnan(p[i]);
    const int rc = shares ? multiple_holm(p, n, p, err) : 0;
    for (int i = 0; i < n && shares && !rc; i++)
        of[i].holm = p[i];
    mem_free(p);
    return rc;
}

/* The variant that is worst, its interval wide enough to hold for all of them at once (Bonferroni). */
static int add_worst(struct report *x, int m, const struct measured *of, const struct robust_variant *const *variant, int n, json_t *out)
{
    const struct task_metric *metric = &base_of(x)->metric[m];
    int worst = -1;
    double value, ci[2];
    for (int i = 0; i < n; i++)
        if (!isnan(of[i].value) && (worst < 0 || (metric->higher_is_better ? of[i].value < of[worst].value : of[i].value > of[worst].value)))
            worst = i;
    if (worst < 0)
        return 0;
    const struct robust_variant *v = variant[worst];
    take_pairs(&x->pairs, base_of(x), &x->e->task[v->i_task], m);
    TRY(mean_of(&x->pairs, x->pairs.b, 1 - (1 - LEVEL) / n, &value, ci, x->err));
    (void)json_object_set_new(out, "worst", json_pack("{s:s, s:s, s:o, s:o, s:i}", "family", v->family, "form", v->form, "value", tree_number(value),
                                                      "simultaneous_ci95", range(ci),
                                                      "of", n));
    char name[100];
    snprintf(name, sizeof name, "%.80s, worst", metric->name);
    return figure(x, metric, name, v, value, ci, x->pairs.n, 0, "the interval holds for all families and forms at once");
}

/* Each item at its worst, the form as it is among them. */
static int add_worst_case(struct report *x, int m, const struct robust_variant *const *variant, int n, json_t *out)
{
    const struct eval_task *t = base_of(x);
    const bool higher = t->metric[m].higher_is_better;
    struct pairs *p = &x->pairs;
    double value, ci[2];
    p->n = 0, p->clustered = false, p->share = all_shares(t, m);
    for (int64_t i = 0; i < t->n; i++) {
        double least = value_at(t, i, m);
        for (int k = 0; k < n && !isnan(least); k++) {
            const double v = value_at(&x->e->task[variant[k]->i_task], i, m);
            least = isnan(v) ? least : higher ? fmin(least, v) : fmax(least, v);
        }
        if (!isnan(least))
            add_pair(p, t, i, least, least);
    }
    TRY(mean_of(p, p->a, LEVEL, &value, ci, x->err));
    (void)json_object_set_new(out, "worst_case", json_pack("{s:I, s:o, s:o}", "n", (json_int_t)p->n, "value", tree_number(value), "ci95", range(ci)));
    char name[100];
    snprintf(name, sizeof name, "%.80s, worst case", t->metric[m].name);
    return figure(x, &t->metric[m], name, NULL, value, ci, p->n, 0, "each item in the form that it does worst in, as it is or changed");
}

static int add_clean(struct report *x, int m, json_t *out)
{
    double value, ci[2];
    const struct eval_task *t = base_of(x);
    take_pairs(&x->pairs, t, t, m);
    TRY(mean_of(&x->pairs, x->pairs.a, LEVEL, &value, ci, x->err));
    (void)json_object_set_new(out, "clean", json_pack("{s:I, s:o, s:o}", "n", (json_int_t)x->pairs.n, "value", tree_number(value), "ci95", range(ci)));
    (void)json_object_set_new(out, "higher_is_better", json_boolean(t->metric[m].higher_is_better));
    (void)json_object_set_new(out, "intervals", json_string(x->pairs.clustered ? "t of clusters" : x->pairs.share ? "wilson" : "t"));
    return figure(x, &t->metric[m], t->metric[m].name, NULL, value, ci, x->pairs.n, 0, "as it is");
}

static int add_metric(struct report *x, int m, bool first, const struct robust_variant *const *variant, json_t *const *tree, int n, json_t *metrics)
{
    const struct eval_task *t = base_of(x);
    struct measured *of = mem_alloc_array((size_t)n + 1, sizeof *of);
    json_t *out = json_object();
    int rc = of ? add_clean(x, m, out) : no_memory(x->err);
    for (int i = 0; i < n && !rc; i++)
        rc = measure(x, variant[i], m, &of[i]);
    rc = rc ? rc : adjust(of, n, x->err);
    for (int i = 0; i < n && !rc; i++) {
        rc = measured_figures(x, &t->metric[m], variant[i], &of[i], first);
        (void)json_object_set_new(json_object_get(tree[i], "metrics"), t->metric[m].name, measured_json(&of[i]));
    }
    rc = rc || !n ? rc : add_worst_case(x, m, variant, n, out);
    rc = rc ? rc : add_worst(x, m, of, variant, n, out);
    (void)json_object_set_new(metrics, t->metric[m].name, out);
    mem_free(of);
    return rc;
}

static json_t *counts_json(const struct eval_task *t)
{
    const struct eval_counts *c = &t->counts;
    int64_t first = 0;
    while (first < t->n && t->item[first].state != EVAL_FAILED)
        first++;
    return json_pack("{s:I, s:I, s:o, s:I, s:I}", "scored", (json_int_t)c->n_scored, "failed", (json_int_t)c->n_failed, "first_failure",
                     first < t->n ? json_string(t->item[first].error) : json_null(), "open", (json_int_t)c->n_open, "cut", (json_int_t)c->n_cut);
}

static int variant_json(struct report *x, const struct robust_variant *v, json_t **out)
{
    double kl, ci[2];
    int64_t n;
    TRY(mean_kl(x, v, &kl, ci, &n));
    *out = json_pack("{s:s, s:s, s:o, s:s, s:I, s:o, s:o, s:o, s:I, s:{}}", "family", v->family, "form", v->form, "strength", v->strength
                     ? json_integer(v->strength) : json_null(), "what",
                     v->what, "untouched", (json_int_t)v->n_same, "items", counts_json(&x->e->task[v->i_task]), "kl", tree_number(kl), "kl_ci95",
                             range(ci), "n_kl",
                     (json_int_t)n, "metrics");
    return n ? figure(x, NULL, "kl", v, kl, ci, n, EVIDENCE_LOWER, "mean of the divergence from the answers' distribution as it is, in nats") : 0;
}

static json_t *absent_json(const struct report *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->r->n_absent; i++)
        if (x->r->absent[i].of == x->of)
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", "family", x->r->absent[i].family, "why", x->r->absent[i].why.msg));
    return list;
}

/* One of the metrics of that name comes for each filter: the first. */
static bool named_before(const struct eval_task *t, int m)
{
    for (int k = 0; k < m; k++)
        if (!strcmp(t->metric[k].name, t->metric[m].name))
            return true;
    return false;
}

static int add_task(struct report *x, const struct robust_variant **variant, json_t **tree, json_t *tasks)
{
    const struct eval_task *t = base_of(x);
    json_t *metrics = json_object(), *variants = json_array();
    int n = 0, rc = 0;
    bool first = true;
    for (int k = 0; k < x->r->n_variant && !rc; k++)
        if (x->r->variant[k].of == x->of) {
            variant[n] = &x->r->variant[k];
            tree[n] = NULL;
            rc = variant_json(x, variant[n], &tree[n]);
            (void)json_array_append(variants, tree[n++]);      /* also where that fails the tree is there until the end */
        }
    for (int m = 0; m < t->n_metric && !rc; m++)
        if (is_of_items(&t->metric[m]) && !named_before(t, m))
            rc = add_metric(x, m, first, variant, tree, n, metrics), first = false;
    for (int i = 0; i < n; i++)
        json_decref(tree[i]);
    (void)json_array_append_new(tasks, json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "task", task_name(t->t), "n", (json_int_t)t->n, "items",
                                                 counts_json(t), "fields",
                                                 task_text_fields(t->t), "metrics", metrics, "variants", variants, "absent", absent_json(x)));
    return rc;
}

/* ---- examples ---- */

static const char *answer_of(const struct eval_task *t, int64_t i, size_t *n)
{
    const struct eval_item *it = &t->item[i];
    const struct request *q;
    int best = 0;
    *n = 0;
    if (!it->n_reply || task_requests(t->t, i, &q, NULL) < it->n_reply)
        return "";
    if (it->reply[0].text)
        return *n = it->reply[0].n_text, it->reply[0].text;
    if (task_n_choice(t->t, i) < 2 || it->n_reply < task_n_choice(t->t, i))
        return it->reply[0].greedy ? (*n = q[0].n_continuation, q[0].continuation) : (*n = 12, "another text");
    for (int k = 1; k < task_n_choice(t->t, i); k++)
        best = it->reply[k].loglik > it->reply[best].loglik ? k : best;
    return *n = q[best].n_continuation, q[best].continuation;
}

static json_t *text_json(const char *s, size_t n)
{
    struct buf b;
    buf_init(&b);
    json_t *o = unicode_repair(s, n, &b, NULL) < 0 ? NULL : json_stringn(b.data, b.len);
    buf_release(&b);
    return o;
}

static bool inside_char(const char *s, size_t i) { return ((unsigned char)s[i] & 0xc0) == 0x80; }

/* A prompt from a little before the first byte that differs. */
static json_t *shown(const struct request *q, size_t differs, bool *cut)
{
    size_t from = differs > SHOWN_BEFORE ? differs - SHOWN_BEFORE : 0, to = q->n_context;
    while (from && inside_char(q->context, from))
        from--;
    if (to - from > SHOWN_MAX)
        to = from + SHOWN_MAX;
    while (to < q->n_context && inside_char(q->context, to))
        to--;
    *cut = *cut || from || to < q->n_context;
    return text_json(q->context + from, to - from);
}

static json_t *example_json(const struct report *x, const struct robust_variant *v, int64_t i, int m)
{
    const struct eval_task *t = base_of(x), *u = &x->e->task[v->i_task];
    const struct request *p, *q;
    char place[400];
    size_t k = 0, n_a, n_b;
    bool cut = false;
    (void)task_requests(t->t, i, &p, NULL);
    (void)task_requests(u->t, i, &q, NULL);
    while (k < p->n_context && k < q->n_context && p->context[k] == q->context[k])
        k++;
    const char *a = answer_of(t, i, &n_a), *b = answer_of(u, i, &n_b);
    json_t *text = shown(p, k, &cut), *changed = shown(q, k, &cut);
    return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:b}", "task", task_name(t->t), "item", (json_int_t)i, "place",
                     task_doc_place(t->t, i, place, sizeof place),
                     "family", v->family, "form", v->form, "metric", t->metric[m].name, "broken", value_at(u, i, m) == 0, "text", text, "changed", changed,
                             "answer", text_json(a, n_a),
                     "changed_answer", text_json(b, n_b), "cut", cut);
}

/* The first item that flipped by the first metric that is a share; from right to wrong, where there is one. */
static void add_example(const struct report *x, const struct robust_variant *v, json_t *list)
{
    const struct eval_task *t = base_of(x), *u = &x->e->task[v->i_task];
    int m = 0;
    int64_t found = -1;
    while (m < t->n_metric && !(is_of_items(&t->metric[m]) && all_shares(t, m)))
        m++;
    for (int64_t i = 0; m < t->n_metric && i < t->n; i++) {
        const double a = value_at(t, i, m), b = value_at(u, i, m);
        if (isnan(a) || isnan(b) || a == b || (found >= 0 && a != 1))
            continue;
        found = i;
        if (a == 1)
            break;
    }
    if (found >= 0)
        (void)json_array_append_new(list, example_json(x, v, found, m));
}

/* One of each family's last form, then of the others. */
static json_t *examples_json(struct report *x)
{
    json_t *list = json_array();
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < x->r->n_variant && json_array_size(list) < EXAMPLES_MAX; k++) {
            const struct robust_variant *v = &x->r->variant[k], *next = v + 1;
            const bool last = k + 1 == x->r->n_variant || next->of != v->of || strcmp(next->family, v->family) != 0;
            x->of = v->of;
            if (last == !pass)
                add_example(x, v, list);
        }
    return list;
}

int robust_report(json_t *evidence, const struct robust *r, const struct evaluation *e, struct pool *pool, struct err *err)
{
    const uint64_t refused = mem_json_refused();
    struct report x = { .evidence = evidence, .r = r, .e = e, .pool = pool, .err = err };
    const struct robust_variant **variant = mem_alloc_array((size_t)r->n_variant + 1, sizeof *variant);
    json_t **tree = mem_alloc_array((size_t)r->n_variant + 1, sizeof *tree), *tasks = json_array();
    int rc = variant && tree && tasks ? 0 : no_memory(err);
    for (x.of = 0; x.of < r->n_base && !rc; x.of++) {
        rc = pairs_init(&x.pairs, &e->task[x.of], err);
        rc = rc ? rc : add_task(&x, variant, tree, tasks);
        pairs_release(&x.pairs);
    }
    if (!rc)
        rc = evidence_put(evidence, "complete", json_boolean(!evaluation_open(e)), err);
    if (rc)
        json_decref(tasks);
    else
        rc = evidence_put(evidence, "tasks", tasks, err);
    rc = rc ? rc : evidence_put(evidence, "examples", examples_json(&x), err);
    if (!rc && mem_json_refused() != refused)
        rc = no_memory(err);
    mem_free(variant);
    mem_free(tree);
    return rc;
}
