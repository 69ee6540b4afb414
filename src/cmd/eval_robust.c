#include "cmd/eval_robust.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_ood.h"
#include "cmd/eval_tasks.h"
#include "cmd/model_evidence.h"
#include "eval/evidence.h"

bool eval_robust_wanted(const struct eval_robust *o) { return o->families || o->paraphrases; }

/* A list of which nothing is asked is an error: scores as they are would stand as what is left with paraphrases. */
static int check_paraphrases(const struct robust *r, const char *path, struct err *err)
{
    for (int i = 0; i < r->n_variant; i++)
        if (!strcmp(r->variant[i].family, "paraphrase"))
            return 0;
    int of = 0;
    while (of + 1 < r->n_absent && strcmp(r->absent[of].family, "paraphrase") != 0)
        of++;
    return ERR(err, FORMAT, "--paraphrases %s: nothing of it can be asked; %s: %s", path, task_name(r->list.task[r->n_absent ? r->absent[of].of : 0]),
               r->n_absent ? r->absent[of].why.msg : "there is no variant");
}

int eval_robust_open(struct robust *r, struct eval_robust *o, const struct task_list *l, const struct task_opts *task, uint64_t seed, struct err *err)
{
    struct robust_opts how = { .seed = seed };
    if (o->families)
        TRY(robust_families_read(&how, o->families, err));
    TRY(robust_strengths_read(&how, o->strengths, err));
    if (o->paraphrases)
        TRY(paraphrases_open(&o->list, o->paraphrases, err));
    how.paraphrases = o->list;
    TRY(robust_open(r, l, &how, task, err));
    if (o->paraphrases)
        TRY(check_paraphrases(r, o->paraphrases, err));
    int64_t n = 0, n_asked = 0;
    for (int i = 0; i < r->n_variant; i++) {
        const struct robust_variant *v = &r->variant[i];
        for (int64_t k = 0; k < task_n_item(r->list.task[v->i_task]); k++)
            n++, n_asked += v->twin[k] == v->i_task;
    }
    for (int i = 0; i < r->n_absent; i++)
        log_info("%s: %s does not apply: %s", task_name(r->list.task[r->absent[i].of]), r->absent[i].family, r->absent[i].why.msg);
    log_info("%d variants, of whose %lld items %lld are asked, the others being the same as another's", r->n_variant, (long long)n, (long long)n_asked);
    return 0;
}

void eval_robust_close(struct robust *r, struct eval_robust *o)
{
    robust_release(r);
    paraphrases_free(o->list);
    o->list = NULL;
}

/* ---- for people ---- */

static const char *shown(char out[32], double v, bool sign)
{
    if (isnan(v))
        return "-";
    snprintf(out, 32, fabs(v) < 1000 ? (sign ? "%+.3f" : "%.3f") : "%.5g", v);
    return out;
}

static const char *interval(char out[80], const json_t *o, const char *key, bool sign)
{
    char low[32], high[32];
    const json_t *ci = json_object_get(o, key);
    if (!json_is_number(json_array_get(ci, 0)) || !json_is_number(json_array_get(ci, 1)))
        return "-";
    snprintf(out, 80, "%s to %s", shown(low, json_number_value(json_array_get(ci, 0)), sign), shown(high, json_number_value(json_array_get(ci, 1)), sign));
    return out;
}

static void print_head(const json_t *task, const char *name, const json_t *metric)
{
    char value[32], ci[80];
    const json_t *clean = json_object_get(metric, "clean"), *fields = json_object_get(task, "fields");
    printf("%s, %s: %s (%s) of %.0f items as they are; text that may change: ", tree_text_at(task, "task"), name, shown(value, tree_number_at(clean, "value"), false),
           interval(ci, clean, "ci95", false), tree_number_at(clean, "n"));
    for (size_t i = 0; i < json_array_size(fields); i++)
        printf("%s%s", i ? ", " : "", json_string_value(json_array_get(fields, i)));
    printf(json_array_size(fields) ? "\n" : "none\n");
}

static void print_variants(const json_t *task, const char *name)
{
    json_t *v;
    size_t i;
    printf("%-12s %-12s %6s %7s  %-15s %7s  %-17s %6s  %-15s %6s %8s %7s %8s %7s\n", "family", "form", "n", name, "95 % interval", "change", "95 % interval",
           "kept", "95 % interval",
           "flips", "to wrong", "p Holm", "KL", "same");
    json_array_foreach(json_object_get(task, "variants"), i, v) {
        char a[8][32], ci[3][80];
        const json_t *m = json_object_get(json_object_get(v, "metrics"), name);
        printf("%-12s %-12s %6.0f %7s  %-15s %7s  %-17s %6s  %-15s %6s %8s %7s %8s %7.0f\n", tree_text_at(v, "family"), tree_text_at(v, "form"), tree_number_at(m, "n"), shown(a[0],
                                                                                                    tree_number_at(m, "value"), false),
               interval(ci[0], m, "ci95", false), shown(a[1], tree_number_at(m, "change"), true), interval(ci[1], m, "change_ci95", true), shown(a[2], tree_number_at(m,
                                                                                                    "retention"), false),
               interval(ci[2], m, "retention_ci95", false), shown(a[3], tree_number_at(m, "flip_rate"), false), json_object_get(m, "broken") ? (snprintf(a[4], 32,
                                                                                                    "%.0f", tree_number_at(m, "broken")), a[4]) : "-",
               shown(a[5], tree_number_at(m, "p_holm"), false), shown(a[6], tree_number_at(v, "kl"), false), tree_number_at(v, "untouched"));
    }
}

static void print_end(const json_t *metric, const char *name)
{
    char value[32], ci[80];
    const json_t *at_worst = json_object_get(metric, "worst_case"), *worst = json_object_get(metric, "worst");
    printf("worst case, each item in its worst form: %s %s (%s)\n", name, shown(value, tree_number_at(at_worst, "value"), false), interval(ci, at_worst, "ci95",
                                                                                                    false));
    if (worst)
        printf("worst of %.0f: %s %s, %s %s (%s, wide enough to hold for all of them at once)\n", tree_number_at(worst, "of"), tree_text_at(worst, "family"), tree_text_at(worst,
                                                                                                    "form"), name,
               shown(value, tree_number_at(worst, "value"), false), interval(ci, worst, "simultaneous_ci95", false));
}

static bool is_share(const json_t *task, const char *name)
{
    const json_t *v = json_array_get(json_object_get(task, "variants"), 0);
    return !v || json_object_get(json_object_get(json_object_get(v, "metrics"), name), "flip_rate");
}

/* Tables are of metrics of right and wrong, where there are some. */
static bool is_printed(const json_t *task, const char *name)
{
    const char *other;
    json_t *m;
    bool any = false;
    json_object_foreach(json_object_get(task, "metrics"), other, m)
        any = any || is_share(task, other);
    return !any || is_share(task, name);
}

static void print_failed(const char *of, double failed, double open, double cut, const char *why)
{
    if (failed > 0)
        printf("%s: %.0f items failed; the first: %s\n", of, failed, why);
    if (open > 0)
        printf("%s: %.0f items have no answer\n", of, open);
    if (cut > 0)
        printf("%s: of %.0f items the context was too long and was cut at its beginning\n", of, cut);
}

static void print_counts(const json_t *x, const char *of)
{
    const json_t *c = json_object_get(x, "items");
    print_failed(of, tree_number_at(c, "failed"), tree_number_at(c, "open"), tree_number_at(c, "cut"), tree_text_at(c, "first_failure"));
}

/* Of all variants of a task. */
static void print_sum(const json_t *task)
{
    double failed = 0, open = 0, cut = 0;
    const char *why = "";
    json_t *v;
    size_t i;
    json_array_foreach(json_object_get(task, "variants"), i, v) {
        const json_t *c = json_object_get(v, "items");
        failed += tree_number_at(c, "failed"), open += tree_number_at(c, "open"), cut += tree_number_at(c, "cut");
        why = *why ? why : tree_text_at(c, "first_failure");
    }
    print_failed("of all variants", failed, open, cut, why);
}

static void print_task(const json_t *task)
{
    const char *name;
    json_t *m, *v;
    size_t i;
    json_object_foreach(json_object_get(task, "metrics"), name, m) {
        if (!is_printed(task, name)) {
            printf("%s, %s: by --json, and in the file in --out\n", tree_text_at(task, "task"), name);
            continue;
        }
        print_head(task, name, m);
        if (!json_array_size(json_object_get(task, "variants")))
            continue;
        print_variants(task, name);
        print_end(m, name);
    }
    json_array_foreach(json_object_get(task, "absent"), i, v)
        printf("%s does not apply: %s\n", tree_text_at(v, "family"), tree_text_at(v, "why"));
    print_counts(task, "as they are");
    print_sum(task);
}

static void print_examples(const json_t *list)
{
    json_t *v;
    size_t i;
    enum { MOST = 3, CHARS = 300 };
    json_array_foreach(list, i, v) {
        if (i == MOST)
            break;
        printf("%s, %s: %s, %s %s: %s\n", tree_text_at(v, "task"), tree_text_at(v, "place"), json_is_true(json_object_get(v, "broken")) ? "right, and then wrong"
               : "wrong, and then right",
               tree_text_at(v, "family"), tree_text_at(v, "form"), tree_text_at(v, "metric"));
        printf("  as it is  %.*s\n  answer    %s\n  changed   %.*s\n  answer    %s\n", CHARS, tree_text_at(v, "text"), tree_text_at(v, "answer"), CHARS, tree_text_at(v, "changed"),
               tree_text_at(v, "changed_answer"));
    }
    if (json_array_size(list) > MOST)
        printf("%zu more such examples in full: --json, or the file in --out\n", json_array_size(list) - MOST);
}

static void print_all(const json_t *evidence)
{
    json_t *v;
    size_t i;
    if (json_is_false(json_object_get(evidence, "complete")))
        printf("INCOMPLETE\n");
    json_array_foreach(json_object_get(evidence, "tasks"), i, v) {
        if (i)
            putchar('\n');
        print_task(v);
    }
    if (json_array_size(json_object_get(evidence, "examples")))
        putchar('\n');
    print_examples(json_object_get(evidence, "examples"));
}

/* ---- the end ---- */

int eval_robust_tell(const struct robust *r, const struct evaluation *e, const char *model, const char *sha256, const char *folder, struct err *err)
{
    json_t *o;
    struct pool *pool;
    TRY(cmd_pool(&pool, err));
    TRY(model_evidence(&o, "robustness", model, sha256, (int64_t)r->seed, eval_asked.limit, err));
    const int rc = robust_report(o, r, e, pool, err);
    if (!rc)
        return eval_tell(o, folder, print_all, err);
    json_decref(o);
    return rc;
}
