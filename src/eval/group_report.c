#include "eval/group_report.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/by_group.h"
#include "eval/calib.h"
#include "eval/evidence.h"
#include "eval/group_shares.h"
#include "eval/groups.h"
#include "eval/interval.h"
#include "eval/multiple.h"

#define N_BIN 15
#define N_NULL 999
#define CLASSES_MAX 20

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for scores by group"); }

/* What one grouping is made of; arrays have room for all items of the task. */
struct grouping {
    const struct eval_task *x;
    const struct group_report_opts *o;
    struct item_groups g;
    json_t *evidence, *groups, *metrics;     /* borrowed from the tree */
    int32_t *of; int64_t *cluster; uint8_t *right; int64_t n;
};

static json_t *range(double low, double high) { return isfinite(low) && isfinite(high) ? json_pack("[f, f]", low, high) : json_null(); }

static int figure(const struct grouping *s, const char *name, const char *group, double value, double low, double high, int64_t n, enum evidence_better better,
                  const char *what,
                  struct err *err)
{
    char *of = group ? mem_printf("%s, %s = %s", task_name(s->x->t), s->g.field, group) : mem_printf("%s by %s", task_name(s->x->t), s->g.field);
    const struct evidence_figure f = { name, of, value, low, high, n, better, what };
    const int rc = of ? evidence_figure(s->evidence, &f, err) : ERR(err, NOMEM, "no memory for a figure");
    mem_free(of);
    return rc;
}

/* ---- shares of right answers ---- */

static void gather(struct grouping *s, int m)
{
    const struct eval_task *x = s->x;
    s->n = 0;
    for (int64_t i = 0; i < x->n; i++) {
        const double v = x->value[i * x->n_metric + m].v;
        if (s->g.of[i] < 0 || isnan(v))
            continue;
        s->of[s->n] = s->g.of[i], s->cluster[s->n] = task_cluster(x->t, i), s->right[s->n++] = v != 0;
    }
}

static bool is_share(const struct eval_task *x, int m)
{
    const enum task_aggregate a = x->metric[m].aggregate;
    bool any = false;
    for (int64_t i = 0; i < x->n; i++) {
        const double v = x->value[i * x->n_metric + m].v;
        if (!isnan(v) && v != 0 && v != 1)
            return false;
        any |= !isnan(v);
    }
    return any && (a == TASK_MEAN || a == TASK_NANMEAN);
}

static void metric_name(const struct task_metric *m, char out[120])
{
    snprintf(out, 120, strcmp(m->filter, "none") ? "%.60s,%.50s" : "%.60s", m->name, m->filter);
}

static int put_rates(struct grouping *s, const char *name, bool higher, const struct by_group_rate *r, struct err *err)
{
    for (int k = 0; k < s->g.n; k++) {
        json_t *of = json_object_get(json_array_get(s->groups, (size_t)k), "metrics");
        if (!r[k].n)
            continue;
        if (json_object_set_new(of, name, json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:b}", "value", tree_number(r[k].value), "interval",
                                                    range(r[k].low, r[k].high),
                                                    "interval_all", range(r[k].low_all,
                                                                          r[k].high_all), "p", tree_number(r[k].p), "p_holm", tree_number(r[k].p_holm),
                                                    "n", (json_int_t)r[k].n, "n_cluster", (json_int_t)r[k].n_cluster, "small", r[k].small)))
            return no_memory(err);
        TRY(figure(s, name, s->g.name[k], r[k].value, r[k].low, r[k].high, r[k].n, higher ? EVIDENCE_HIGHER : EVIDENCE_LOWER,
                   r[k].small ? "too few items, or clusters, to be compared" : NULL, err));
    }
    return 0;
}

static json_t *worst_of(const struct grouping *s, bool higher, const struct by_group_rate *r)
{
    int at = -1, n = 0;
    for (int k = 0; k < s->g.n; k++) {
        if (r[k].small)
            continue;
        n++;
        if (at < 0 || (higher ? r[k].value < r[at].value : r[k].value > r[at].value))
            at = k;
    }
    bool differ = false;
    for (int k = 0; k < s->g.n; k++)
        differ |= !r[k].small && r[k].value != r[at].value;
    return n < 2 || !differ ? json_null()
                 : json_pack("{s:s, s:f, s:o, s:o, s:b}", "group", s->g.name[at], "value", r[at].value, "interval_all", range(r[at].low_all, r[at].high_all),
                             "p_holm",
                             tree_number(r[at].p_holm), "sure", r[at].p_holm <= 0.05);
}

static int one_metric(struct grouping *s, int m, struct by_group_rate *r, struct err *err)
{
    const struct task_metric *k = &s->x->metric[m];
    const struct by_group_opts o = { .seed = s->o->seed, .pool = s->o->pool };
    struct by_group_gap gap;
    char name[120], gap_name[140];
    metric_name(k, name);
    gather(s, m);
    if (!s->n)
        return 0;
    const struct by_group_items in = { s->n, s->g.n, s->of, s->cluster, s->right };
    TRY(by_group_rates(&in, r, err));
    TRY(by_group_gap(&in, &o, &gap, err));
    TRY(put_rates(s, name, k->higher_is_better, r, err));
    json_t *g = json_pack("{s:o, s:o, s:o, s:i}", "value", tree_number(gap.value), "interval", range(gap.low, gap.high), "null_q95",
                          tree_number(gap.null_q95),
                          "n_group", gap.n_group);
    if (json_object_set_new(s->metrics, name, json_pack("{s:b, s:o, s:o}", "higher_is_better", k->higher_is_better, "worst", worst_of(s, k->higher_is_better,
                                                                                          r), "gap", g)))
        return no_memory(err);
    snprintf(gap_name, sizeof gap_name, "%s gap", name);
    return gap.n_group < 2 ? 0 : figure(s, gap_name, NULL, gap.value, gap.low, gap.high, s->n, EVIDENCE_LOWER, "largest share of a group less the smallest",
                                        err);
}

/* ---- calibration ---- */

/* Of pairs of sentences none is right. */
static bool is_pairs(const struct eval_task *x)
{
    for (int m = 0; m < x->n_metric; m++)
        if (!strcmp(x->metric[m].name, "pct_stereotype"))
            return true;
    return false;
}

static bool has_choices(const struct eval_task *x, int64_t i)
{
    const int k = task_n_choice(x->t, i);
    return x->item[i].state == EVAL_SCORED && k >= 2 && x->item[i].n_reply >= k;
}

static int likeliest(const struct eval_item *it, int n)
{
    int best = 0;
    for (int k = 1; k < n; k++)
        best = it->reply[k].loglik > it->reply[best].loglik ? k : best;
    return best;
}

/* The metric that says whether the likeliest choice is right, or -1: the label does. */
static int acc_of(const struct eval_task *x)
{
    for (int m = 0; m < x->n_metric; m++)
        if (!strcmp(x->metric[m].name, "acc"))
            return m;
    return -1;
}

struct answers { double *logit, *over; int64_t *start, *cluster; int32_t *label; int64_t n; double conf, right; };

static void answers_release(struct answers *a)
{
    mem_free(a->logit);
    mem_free(a->over);
    mem_free(a->start);
    mem_free(a->cluster);
    mem_free(a->label);
}

/* The answers of a group.  A label is the choice made where that is right, else any other: what is measured is whether it was. */
static int answers_of(const struct grouping *s, int group, struct answers *a, struct err *err)
{
    const struct eval_task *x = s->x;
    const int acc = acc_of(x);
    size_t room = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < x->n; i++)
        if (s->g.of[i] == group && has_choices(x, i))
            room += (size_t)task_n_choice(x->t, i), n++;
    *a = (struct answers){ .logit = mem_alloc_array(room + 1, sizeof *a->logit), .over = mem_alloc_array((size_t)n + 1, sizeof *a->over),
                           .start = mem_alloc_array((size_t)n + 1, sizeof *a->start), .cluster = mem_alloc_array((size_t)n + 1, sizeof *a->cluster),
                           .label = mem_alloc_array((size_t)n + 1, sizeof *a->label) };
    if (!a->logit || !a->over || !a->start || !a->cluster || !a->label)
        return no_memory(err);
    for (int64_t i = 0; i < x->n; i++) {
        if (s->g.of[i] != group || !has_choices(x, i))
            continue;
        const int k = task_n_choice(x->t, i), top = likeliest(&x->item[i], k), gold = task_gold(x->t, i);
        const double v = acc >= 0 ? x->value[i * x->n_metric + acc].v : gold >= 0 ? top == gold : NAN;
        double sum = 0;
        bool finite = isfinite(v);
        for (int j = 0; j < k; j++) {
            const double l = x->item[i].reply[j].loglik;
            a->logit[a->start[a->n] + j] = l;
            finite = finite && isfinite(l);
            sum += exp(l - x->item[i].reply[top].loglik);
        }
        if (!finite)
            continue;
        a->label[a->n] = v != 0 ? top : top ? 0 : 1;
        a->conf += 1 / sum, a->right += v != 0;
        a->cluster[a->n] = task_cluster(x->t, i);
        a->over[a->n] = 1 / sum - (v != 0);
        a->start[a->n + 1] = a->start[a->n] + k, a->n++;
    }
    return 0;
}

static int calibrate(const struct grouping *s, const struct answers *a, double v[CALIB_N_METRIC], struct calib_null *null, struct err *err)
{
    struct calib *c;
    const struct calib_items in = { .n = a->n, .start = a->start, .value = a->logit, .label = a->label };
    TRY(calib_new(&c, &in, N_BIN, err));
    int rc = calib_measure(c, v, err);
    rc = rc ? rc : calib_null(null, c, v, N_NULL, s->o->seed, s->o->pool, err);
    calib_free(c);
    return rc;
}

static int put_calibration(struct grouping *s, int group, const struct answers *a, double *p, struct err *err)
{
    double v[CALIB_N_METRIC];
    struct calib_null null;
    struct interval_mean over;
    const double n = (double)a->n, conf = a->conf / n, acc = a->right / n;
    TRY(calibrate(s, a, v, &null, err));
    TRY(interval_mean(a->over, NULL, a->cluster, a->n, 0.95, &over, err));
    const double ece = v[CALIB_ECE_WIDTH], mean = null.mean[CALIB_ECE_WIDTH];
    *p = null.p[CALIB_ECE_WIDTH];
    json_t *o = json_pack("{s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)a->n, "confidence", conf, "accuracy", acc,
                          "overconfidence", over.mean,
                          "interval", range(over.ci[0], over.ci[1]), "ece", tree_number(ece), "ece_null_mean", tree_number(mean), "ece_null_q95",
                          tree_number(null.q95[CALIB_ECE_WIDTH]), "ece_debiased", tree_number(ece - mean), "p", tree_number(*p), "squared_ce_debiased",
                          tree_number(v[CALIB_DEBIASED_L2]));
    if (json_object_set_new(json_array_get(s->groups, (size_t)group), "calibration", o))
        return no_memory(err);
    TRY(figure(s, "overconfidence", s->g.name[group], over.mean, over.ci[0], over.ci[1], a->n, EVIDENCE_NEITHER,
               "mean confidence less the share of right answers", err));
    return figure(s, "ece", s->g.name[group], ece, NAN, NAN, a->n, EVIDENCE_LOWER, "equal width, 15 bins; to be read beside what chance gives", err);
}

/* p of groups large enough, adjusted for their number. */
static int adjust(struct grouping *s, double *p, struct err *err)
{
    int64_t m = 0;
    double *part = mem_alloc_array((size_t)s->g.n, sizeof *part);
    if (!part)
        return no_memory(err);
    for (int k = 0; k < s->g.n; k++)
        if (!isnan(p[k]))
            part[m++] = p[k];
    int rc = multiple_holm(part, m, part, err);
    m = 0;
    for (int k = 0; k < s->g.n && !rc; k++)
        if (!isnan(p[k]) && json_object_set_new(json_object_get(json_array_get(s->groups, (size_t)k), "calibration"), "p_holm", tree_number(part[m++])))
            rc = no_memory(err);
    mem_free(part);
    return rc;
}

static int calibration(struct grouping *s, struct err *err)
{
    double *p = mem_alloc_array((size_t)s->g.n, sizeof *p);
    int rc = p ? 0 : no_memory(err);
    for (int k = 0; !rc && k < s->g.n; k++) {
        struct answers a;
        p[k] = NAN;
        rc = answers_of(s, k, &a, err);
        if (!rc && a.n)
            rc = put_calibration(s, k, &a, &p[k], err);
        p[k] = !rc && a.n < BY_GROUP_MIN ? NAN : p[k];
        answers_release(&a);
    }
    rc = rc ? rc : adjust(s, p, err);
    mem_free(p);
    return rc;
}

/* ---- parity ---- */

/* Whether all items that can be asked have the same choices, word for word; how many these are, or 0. */
static int same_choices(const struct task *t)
{
    const struct request *first = NULL, *q;
    int k = 0;
    struct err ignored;
    for (int64_t i = 0; i < task_n_item(t); i++) {
        if (task_requests(t, i, &q, &ignored) < 0)
            continue;
        if (!first)
            first = q, k = task_n_choice(t, i);
        if (task_n_choice(t, i) != k || k < 2 || k > CLASSES_MAX)
            return 0;
        for (int j = 0; j < k; j++)
            if (q[j].n_continuation != first[j].n_continuation || memcmp(q[j].continuation, first[j].continuation, q[j].n_continuation))
                return 0;
    }
    return k;
}

static json_t *difference(const struct by_group_gap *d) { return json_pack("{s:o, s:o}", "value", tree_number(d->value), "interval", range(d->low,
                                                                                          d->high)); }

static int parity(struct grouping *s, json_t *tree, struct err *err)
{
    const struct eval_task *x = s->x;
    const int n_class = same_choices(x->t);
    const struct by_group_opts o = { .seed = s->o->seed, .pool = s->o->pool };
    struct by_group_parity p;
    int32_t *label = mem_alloc_array(2 * (size_t)x->n, sizeof *label), *predicted = label ? label + x->n : NULL;
    int rc = label ? 0 : no_memory(err);
    s->n = 0;
    for (int64_t i = 0; !rc && n_class && i < x->n; i++) {
        const int gold = task_gold(x->t, i);
        if (s->g.of[i] < 0 || gold < 0 || gold >= n_class || !has_choices(x, i))
            continue;
        s->of[s->n] = s->g.of[i], s->cluster[s->n] = task_cluster(x->t, i);
        label[s->n] = gold, predicted[s->n++] = likeliest(&x->item[i], n_class);
    }
    json_t *part = NULL;
    if (!rc && s->n) {
        const struct by_group_classes in = { s->n, s->g.n, n_class, s->of, s->cluster, label, predicted };
        rc = by_group_parity(&in, &o, &p, err);
        if (!rc && p.odds.n_group >= 2) {
            part = json_pack("{s:i, s:o, s:o}", "classes", n_class, "demographic_parity_difference", difference(&p.demographic), "equalized_odds_difference",
                             difference(&p.odds));
            rc = part ? 0 : no_memory(err);
            rc = rc ? rc : figure(s, "demographic_parity_difference", NULL, p.demographic.value, p.demographic.low, p.demographic.high, s->n, EVIDENCE_LOWER,
                                  NULL, err);
            rc = rc ? rc : figure(s, "equalized_odds_difference", NULL, p.odds.value, p.odds.low, p.odds.high, s->n, EVIDENCE_LOWER, NULL, err);
        }
    }
    mem_free(label);
    if (part && json_object_set_new(tree, "parity", part))
        return no_memory(err);
    return rc;
}

/* ---- the whole ---- */

static json_t *training(const struct grouping *s, int k)
{
    struct group_share g;
    if (!s->o->audit || !group_share_of(s->o->audit, s->g.field, s->g.name[k], &g))
        return json_null();
    return json_pack("{s:I, s:I, s:f, s:s}", "n", (json_int_t)g.n, "of", (json_int_t)g.n_all, "share", (double)g.n / (double)g.n_all, "by", g.by);
}

static int make_groups(struct grouping *s, struct err *err)
{
    for (int k = 0; k < s->g.n; k++) {
        int64_t n = 0;
        for (int64_t i = 0; i < s->x->n; i++)
            n += s->g.of[i] == k && s->x->item[i].state == EVAL_SCORED;
        if (json_array_append_new(s->groups, json_pack("{s:s, s:I, s:o, s:{}, s:n}", "group", s->g.name[k], "n", (json_int_t)n, "training", training(s, k),
                                                       "metrics", "calibration")))
            return no_memory(err);
    }
    return 0;
}

static int fill(struct grouping *s, json_t *tree, struct err *err)
{
    struct by_group_rate *r = mem_alloc_array((size_t)s->g.n, sizeof *r);
    s->groups = json_object_get(tree, "groups"), s->metrics = json_object_get(tree, "metrics");
    int rc = r && s->groups && s->metrics ? make_groups(s, err) : no_memory(err);
    for (int m = 0; !rc && m < s->x->n_metric; m++)
        if (!s->x->metric[m].own && is_share(s->x, m))
            rc = one_metric(s, m, r, err);
    if (!rc && !is_pairs(s->x))
        rc = calibration(s, err);
    if (!rc && !is_pairs(s->x))
        rc = parity(s, tree, err);
    mem_free(r);
    return rc;
}

static int add_to(json_t *evidence, json_t *tree, struct err *err)
{
    json_t *all = json_object_get(evidence, "groupings");
    if (!all && (!(all = json_array()) || json_object_set_new(evidence, "groupings", all)))
        return no_memory(err);
    return json_array_append(all, tree) ? no_memory(err) : 0;
}

int group_report_add(json_t *evidence, const struct eval_task *x, const char *field, const struct group_report_opts *o, struct err *err)
{
    struct grouping s = { .x = x, .o = o, .evidence = evidence };
    const uint64_t refused = mem_json_refused();
    json_t *tree = NULL;
    int rc = item_groups_init(&s.g, x->t, field, err);
    if (!rc) {
        s.of = mem_alloc_array((size_t)x->n, sizeof *s.of), s.cluster = mem_alloc_array((size_t)x->n,
                                                                                        sizeof *s.cluster), s.right = mem_alloc_array((size_t)x->n, 1);
        tree = json_pack("{s:s, s:s, s:I, s:I, s:I, s:[], s:{}, s:n}", "task", task_name(x->t), "field", field, "n_without", (json_int_t)s.g.n_without, "n_failed",
                         (json_int_t)x->counts.n_failed, "n_open", (json_int_t)x->counts.n_open, "groups", "metrics", "parity");
        rc = s.of && s.cluster && s.right && tree ? fill(&s, tree, err) : no_memory(err);
    }
    rc = rc ? rc : add_to(evidence, tree, err);
    if (!rc && mem_json_refused() != refused)            /* a part that there was no memory for */
        rc = no_memory(err);
    json_decref(tree);
    mem_free(s.of);
    mem_free(s.cluster);
    mem_free(s.right);
    item_groups_release(&s.g);
    return rc;
}
