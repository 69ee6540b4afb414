#include "cmd/eval_bias.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_tasks.h"
#include "cmd/model_evidence.h"
#include "eval/bias.h"
#include "eval/by_group.h"
#include "eval/evidence.h"
#include "eval/group_report.h"
#include "eval/group_shares.h"
#include "eval/groups.h"

/* ---- what is asked ---- */

/* Calls of() with each field; a field that no task has is an error. */
static int each_field(const char *fields, int (*of)(void *ctx, const char *field, struct err *err), void *ctx, struct err *err)
{
    char *all = mem_strdup(fields), *save = NULL;
    int rc = all ? 0 : ERR(err, NOMEM, "no memory for --groups");
    for (char *f = all ? strtok_r(all, ",", &save) : NULL; f && !rc; f = strtok_r(NULL, ",", &save))
        rc = of(ctx, f, err);
    mem_free(all);
    return rc;
}

static int check_field(void *ctx, const char *field, struct err *err)
{
    const struct task_list *l = ctx;
    struct err why = { 0 };
    for (int i = 0; i < l->n_task; i++) {
        struct item_groups g;
        const int rc = item_groups_init(&g, l->task[i], field, &why);
        item_groups_release(&g);
        if (!rc)
            return 0;
    }
    *err = why;
    return err_context(err, "--groups");
}

int eval_groups_check(const struct eval_groups *o, const struct task_list *l, struct err *err)
{
    json_t *audit;
    if (o->audit && !o->fields)
        return ERR(err, USAGE, "--audit: it is of --groups");
    if (o->fields)
        TRY(each_field(o->fields, check_field, (void *)(uintptr_t)l, err));
    if (o->audit) {
        TRY(group_shares_load(&audit, o->audit, err));
        json_decref(audit);
    }
    return 0;
}

/* ---- what is found ---- */

struct adding { const struct eval_bias_of *x; const struct group_report_opts *how; json_t *evidence; };

static int add_field(void *ctx, const char *field, struct err *err)
{
    const struct adding *a = ctx;
    for (int i = 0; i < a->x->e->n_task; i++) {
        const struct eval_task *t = &a->x->e->task[i];
        struct err why = { 0 };
        const int rc = group_report_add(a->evidence, t, field, a->how, &why);
        if (rc == ERR_NOTFOUND || rc == ERR_RANGE)
            log_warn("%s is left out of --groups %s: %s", task_name(t->t), field, why.msg);
        else if (rc) {
            *err = why;
            return rc;
        }
    }
    return 0;
}

static int find_groups(const struct eval_bias_of *x, const struct eval_groups *o, struct pool *pool, json_t *evidence, struct err *err)
{
    json_t *audit = NULL;
    int rc = o->audit ? group_shares_load(&audit, o->audit, err) : 0;
    const struct group_report_opts how = { .seed = (uint64_t)x->seed, .pool = pool, .audit = audit };
    struct adding a = { x, &how, evidence };
    rc = rc ? rc : evidence_put(evidence, "audit", o->audit ? json_string(o->audit) : json_null(), err);
    rc = rc ? rc : evidence_put(evidence, "level", json_real(0.95), err);
    rc = rc ? rc : evidence_put(evidence, "small_below", json_integer(BY_GROUP_MIN), err);
    rc = rc ? rc : each_field(o->fields, add_field, &a, err);
    json_decref(audit);
    return rc;
}

static int keep(const struct eval_bias_of *x, json_t *evidence, struct err *err)
{
    char *path = NULL;
    TRY(evidence_put(evidence, "complete", json_boolean(!evaluation_open(x->e)), err));
    if (!x->out_dir)
        return 0;
    TRY(evidence_write(evidence, x->out_dir, &path, err));
    log_info("%s are in %s", json_string_value(json_object_get(evidence, "kind")), path);
    mem_free(path);
    return 0;
}

static int find_bias(const struct eval_bias_of *x, struct pool *pool, json_t **out, struct err *err)
{
    bool any = false;
    for (int i = 0; i < x->e->n_task; i++)
        any |= bias_is_known(&x->e->task[i]);
    if (!any)
        return 0;
    TRY(model_evidence(out, "bias", x->model, x->model_sha256, x->seed, eval_asked.limit, err));
    for (int i = 0; i < x->e->n_task; i++)
        if (bias_is_known(&x->e->task[i]))
            TRY(bias_add(*out, &x->e->task[i], (uint64_t)x->seed, pool, err));
    return keep(x, *out, err);
}

int eval_bias_find(const struct eval_bias_of *x, const struct eval_groups *o, json_t **groups, json_t **bias, struct err *err)
{
    struct pool *pool;
    *groups = *bias = NULL;
    TRY(cmd_pool(&pool, err));
    int rc = find_bias(x, pool, bias, err);
    if (!rc && o->fields) {
        rc = model_evidence(groups, "groups", x->model, x->model_sha256, x->seed, eval_asked.limit, err);
        rc = rc ? rc : find_groups(x, o, pool, *groups, err);
        rc = rc ? rc : keep(x, *groups, err);
    }
    if (rc) {
        json_decref(*groups), json_decref(*bias);
        *groups = *bias = NULL;
    }
    return rc;
}

/* ---- for people ---- */

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "all";
}

/* "0.4100 to 0.5300" of o[key], a pair, or blanks. */
static const char *interval(char out[32], const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    *out = 0;
    if (json_is_array(v))
        snprintf(out, 32, "%.4f to %.4f", json_number_value(json_array_get(v, 0)), json_number_value(json_array_get(v, 1)));
    return out;
}

static const char *decimal(char out[32], double v)
{
    snprintf(out, 32, isnan(v) ? "-" : "%.4f", v);
    return out;
}

/* "< 0.0001" of a p-value. */
static const char *p_text(char out[32], double p)
{
    snprintf(out, 32, isnan(p) ? "-" : p < 0.0001 ? "<0.0001" : "%.4f", p);
    return out;
}

static int width_of(const json_t *groups, const char *head)
{
    size_t i, n = strlen(head);
    json_t *g;
    json_array_foreach(groups, i, g)
        n = strlen(text(g, "group")) > n ? strlen(text(g, "group")) : n;
    return (int)(n > 40 ? 40 : n);
}

static void print_metric(const json_t *grouping, const char *name, const json_t *m)
{
    const json_t *groups = json_object_get(grouping, "groups"), *worst = json_object_get(m, "worst"), *gap = json_object_get(m, "gap");
    const int w = width_of(groups, name);
    char a[32], b[32], c[32];
    size_t i;
    json_t *g;
    printf("%-*s %7s %8s  %-18s  %-18s %9s\n", w, name, "n", "value", "95 % interval", "all at once", "p (Holm)");
    json_array_foreach(groups, i, g) {
        const json_t *v = json_object_get(json_object_get(g, "metrics"), name);
        if (v)
            printf("%-*.40s %7.0f %8.4f  %-18s  %-18s %9s%s\n", w, text(g, "group"), tree_number_at(v, "n"), tree_number_at(v, "value"), interval(a, v, "interval"),
                   interval(b, v, "interval_all"),
                   p_text(c, tree_number_at(v, "p_holm")), json_is_true(json_object_get(v, "small")) ? "  too few: not compared" : "");
    }
    if (json_is_object(worst))
        printf("worst: %s, %.4f (all at once: %s); %s the others together (p %s, Holm)\n", text(worst, "group"), tree_number_at(worst, "value"), interval(a, worst,
                                                                                          "interval_all"),
               json_is_true(json_object_get(worst, "sure")) ? "it can be told from" : "it cannot be told from", p_text(b, tree_number_at(worst, "p_holm")));
    else
        printf("worst: none; %s\n", tree_number_at(gap, "n_group") < 2 ? "fewer than two groups are large enough" : "the groups are alike");
    if (!isnan(tree_number_at(gap, "value")))
        printf("gap between best and worst: %.4f (95 %%: %s); chance alone stays below %s\n", tree_number_at(gap, "value"), interval(a, gap, "interval"), decimal(b,
                                                                                          tree_number_at(gap, "null_q95")));
}

static void print_calibration(const json_t *grouping)
{
    const json_t *groups = json_object_get(grouping, "groups");
    const int w = width_of(groups, "calibration");
    bool head = false;
    char a[32], b[32];
    size_t i;
    json_t *g;
    json_array_foreach(groups, i, g) {
        const json_t *c = json_object_get(g, "calibration");
        if (!json_is_object(c))
            continue;
        if (!head)
            printf("%-*s %7s %10s %8s %8s  %-18s %7s %9s %8s %9s\n", w, "calibration", "n", "confidence", "accuracy", "over", "95 % interval", "ece",
                   "null q95", "debiased", "p (Holm)");
        head = true;
        printf("%-*.40s %7.0f %10.4f %8.4f %8.4f  %-18s %7.4f %9.4f %8.4f %9s\n", w, text(g, "group"), tree_number_at(c, "n"), tree_number_at(c, "confidence"), tree_number_at(c,
                                                                                          "accuracy"),
               tree_number_at(c, "overconfidence"), interval(a, c, "interval"), tree_number_at(c, "ece"), tree_number_at(c, "ece_null_q95"), tree_number_at(c, "ece_debiased"), p_text(b,
                                                                                          tree_number_at(c, "p_holm")));
    }
}

static void print_training(const json_t *grouping)
{
    const json_t *groups = json_object_get(grouping, "groups");
    int none = 0;
    size_t i;
    json_t *g;
    json_array_foreach(groups, i, g) {
        const json_t *t = json_object_get(g, "training");
        if (json_is_object(t))
            printf("training data: %s: %.0f of %.0f records, %.2f %% (%s)\n", text(g, "group"), tree_number_at(t, "n"), tree_number_at(t, "of"), 100 * tree_number_at(t, "share"),
                   text(t, "by"));
        else
            none++;
    }
    if (none)
        printf("training data: %d of %zu groups were not counted by the audit\n", none, json_array_size(groups));
}

static void print_groups(const json_t *evidence)
{
    size_t i;
    json_t *s, *m;
    const char *name;
    json_array_foreach(json_object_get(evidence, "groupings"), i, s) {
        const json_t *p = json_object_get(s, "parity"), *d = json_object_get(p, "demographic_parity_difference"), *e = json_object_get(p,
                                                                                          "equalized_odds_difference");
        char a[32], b[32];
        printf("\n%s by %s", text(s, "task"), text(s, "field"));
        if (tree_number_at(s, "n_without") > 0)
            printf(", %.0f items have no such field", tree_number_at(s, "n_without"));
        putchar('\n');
        json_object_foreach(json_object_get(s, "metrics"), name, m)
            print_metric(s, name, m);
        print_calibration(s);
        if (json_is_object(p))
            printf("demographic parity difference %.4f (95 %%: %s), equalised odds difference %.4f (95 %%: %s)\n", tree_number_at(d, "value"), interval(a, d,
                                                                                          "interval"), tree_number_at(e, "value"),
                   interval(b, e, "interval"));
        if (json_is_string(json_object_get(evidence, "audit")))
            print_training(s);
    }
}

static void print_bbq(const json_t *by)
{
    static const char *const column[] = { "accuracy_ambiguous", "accuracy_disambiguated", "unknown_disambiguated", "s_amb", "s_dis", "alignment" };
    static const char *const head[] = { "acc amb", "acc dis", "unknown dis", "s_amb", "s_dis", "alignment" };
    const json_t *groups = json_object_get(by, "groups");
    const int w = width_of(groups, text(by, "field"));
    size_t i;
    json_t *g;
    printf("%-*s %6s %9s", w, text(by, "field"), "n", "templates");
    for (int k = 0; k < 6; k++)
        printf(k < 3 ? " %11s" : "  %-26s", head[k]);
    putchar('\n');
    json_array_foreach(groups, i, g) {
        printf("%-*.40s %6.0f %9.0f", w, text(g, "group"), tree_number_at(g, "n"), tree_number_at(g, "n_cluster"));
        for (int k = 0; k < 6; k++) {
            const json_t *v = json_object_get(g, column[k]);
            char a[32], b[32], c[80];
            decimal(a, tree_number_at(v, "value"));
            snprintf(c, sizeof c, *interval(b, v, "interval") ? "%s (%s)" : "%s%s", a, b);
            printf(k < 3 ? " %11s" : k == 5 ? "  %s" : "  %-26s", k < 3 ? a : c);
        }
        putchar('\n');
    }
}

static void print_crows(const json_t *by)
{
    const json_t *groups = json_object_get(by, "groups");
    const int w = width_of(groups, text(by, "field"));
    char a[32], b[32], c[32], e[32];
    size_t i;
    json_t *g;
    printf("%-*s %6s %14s  %-18s %9s %15s  %s\n", w, text(by, "field"), "n", "pct_stereotype", "95 % interval", "p (Holm)", "likelihood_diff", "95 % interval");
    json_array_foreach(groups, i, g) {
        const json_t *s = json_object_get(g, "pct_stereotype"), *d = json_object_get(g, "likelihood_diff");
        printf("%-*.40s %6.0f %14.4f  %-18s %9s %15s  %s\n", w, text(g, "group"), tree_number_at(g, "n"), tree_number_at(s, "value"), interval(a, s, "interval"),
               p_text(b, tree_number_at(s, json_is_string(json_object_get(by, "field")) ? "p_holm" : "p")), decimal(c, tree_number_at(d, "value")), interval(e, d, "interval"));
    }
}

static void print_bias(const json_t *evidence)
{
    size_t i, k;
    json_t *t, *by;
    char a[32];
    json_array_foreach(json_object_get(evidence, "tasks"), i, t) {
        const bool bbq = !strcmp(text(t, "kind"), "bbq");
        printf("\n%s: bias, with 95 %% intervals%s (doc/bias.md tells what these do not show)\n", text(t, "task"), bbq ? " over templates" : "");
        json_array_foreach(json_object_get(t, "by"), k, by) {
            const json_t *worst = json_object_get(by, "worst");
            bbq ? print_bbq(by) : print_crows(by);
            if (json_is_object(worst))
                printf("farthest from %s: %s, %s %.4f (all %.0f at once: %s)\n", bbq ? "0" : "one half", text(worst, "group"), text(worst, "of"), tree_number_at(worst,
                                                                                          "value"), tree_number_at(worst, "m"),
                       interval(a, worst, "interval_all"));
        }
    }
}

void eval_bias_print(const json_t *groups, const json_t *bias)
{
    print_bias(bias);
    print_groups(groups);
}
