#include "cmd/eval_checklist.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_ood.h"
#include "cmd/model_evidence.h"
#include "eval/checklist_ask.h"
#include "eval/evidence.h"

#define USUAL_PROMPT "Review: {{text}}\nSentiment:"

struct job {
    const char *model; const struct eval_checklist *o;
    struct checklist *suite;
    struct checklist_labels labels;
    struct checklist_answers answers;
    struct classifier *classifier;
    struct run *run;
    char sha256[SHA256_HEX];
    double shown;
};

static int shows(void *ctx, int64_t done, int64_t all)
{
    struct job *j = ctx;
    const double now = clock_wall();
    if (now - j->shown > 0.5) {
        j->shown = now;
        log_progress("%lld of %lld texts", (long long)done, (long long)all);
    }
    return cmd_stop;
}

/* ---- for people ---- */

static void print_rate(const char *name, const char *type, const char *capability, const json_t *o)
{
    const json_t *ci = json_object_get(o, "ci95");
    printf("%-4s %-12.12s %-60.60s %6.0f %6.0f ", type, capability, name, tree_number_at(o, "n"), tree_number_at(o, "failures"));
    if (isnan(tree_number_at(o, "failure_rate")))
        printf("     -  -");
    else
        printf("%6.3f  %.3f to %.3f", tree_number_at(o, "failure_rate"), json_number_value(json_array_get(ci, 0)), json_number_value(json_array_get(ci, 1)));
    static const char *const more[][2] = { { "not_judged", "not judged" }, { "unusable", "unusable" }, { "failed", "could not be asked" }, { "open",
                                                                                                    "not answered" } };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (tree_number_at(o, more[i][0]) > 0)
            printf("  %.0f %s", tree_number_at(o, more[i][0]), more[i][1]);
    putchar('\n');
}

static void print_examples(const json_t *list)
{
    enum { MOST = 5 };
    json_t *e, *t;
    size_t i, k;
    json_array_foreach(list, i, e) {
        if (i == MOST)
            break;
        printf("%s, case %.0f: %s%s%s\n", tree_text_at(e, "test"), tree_number_at(e, "case"), tree_text_at(e, "expect"), *tree_text_at(e, "label") ? " " : "", tree_text_at(e, "label"));
        json_array_foreach(json_object_get(e, "texts"), k, t)
            printf("  %-10s %.300s\n", tree_text_at(t, "predicted"), tree_text_at(t, "text"));
    }
    if (json_array_size(list) > MOST)
        printf("%zu more such examples: --json, or the file in --out\n", json_array_size(list) - MOST);
}

static void print_groups(const json_t *groups, const char *of)
{
    const char *name;
    json_t *g;
    json_object_foreach((json_t *)(uintptr_t)groups, name, g)
        print_rate(of, "all", name, g);
}

static void print_all(const json_t *e)
{
    json_t *t;
    size_t i;
    if (json_is_false(json_object_get(e, "complete")))
        printf("INCOMPLETE\n");
    printf("%-4s %-12s %-60s %6s %6s %6s  %s\n", "type", "capability", "test", "cases", "failed", "rate", "95 % interval");
    json_array_foreach(json_object_get(e, "tests"), i, t)
        print_rate(tree_text_at(t, "test"), tree_text_at(t, "type"), tree_text_at(t, "capability"), t);
    print_groups(json_object_get(e, "capabilities"), "all of a capability");
    print_groups(json_object_get(e, "types"), "all of a type");
    print_rate("all", "all", "all", json_object_get(e, "all"));
    const json_t *worst = json_object_get(e, "worst"), *ci = json_object_get(worst, "simultaneous_ci95");
    if (json_is_object(worst))
        printf("worst of %.0f tests: %s, %.3f (%.3f to %.3f, wide enough to hold for all of them at once)\n", tree_number_at(worst, "of"), tree_text_at(worst, "test"),
               tree_number_at(worst, "failure_rate"),
               json_number_value(json_array_get(ci, 0)), json_number_value(json_array_get(ci, 1)));
    if (*tree_text_at(e, "first_failure"))
        printf("the first text that could not be asked: %s\n", tree_text_at(e, "first_failure"));
    if (*tree_text_at(e, "first_unusable"))
        printf("the first case that is unusable: %s\n", tree_text_at(e, "first_unusable"));
    printf("%s\n", tree_text_at(e, "neutral"));
    print_examples(json_object_get(e, "examples"));
}

/* ---- the command ---- */

static int ask(struct job *j, const struct run_opts *run, struct err *err)
{
    const struct checklist_hooks h = { shows, j };
    struct pool *pool;
    struct err own = { 0 };
    TRY(cmd_pool(&pool, err));
    const int rc = run_open(&j->run, run, &own);
    if (!rc)
        return checklist_ask(j->suite, &j->answers, j->run, j->o->prompt ? j->o->prompt : USUAL_PROMPT, &j->labels, &h, pool, err);
    if (rc != ERR_UNSUPPORTED)
        return err ? (*err = own).code : rc;
    TRY(model_evidence_no_adapter(j->model, err));
    TRY(classifier_new(&j->classifier, j->model, &(struct classify_opts){ .bf16 = !strcmp(cmd_precision, "bf16") }, pool, err));
    if (config_vision(classifier_config(j->classifier)))
        return ERR(err, UNSUPPORTED, "%s is a model of images, expected one of texts", j->model);
    if (j->o->prompt)
        return ERR(err, USAGE, "--checklist-prompt: %s has a head for classes, and takes the text alone", j->model);
    return checklist_classify(j->suite, &j->answers, j->classifier, &j->labels, &h, err);
}

static int tell(struct job *j, struct err *err)
{
    json_t *e = NULL;
    const bool margin = j->labels.n == 3 && !j->labels.ask[1];
    const char *of = j->run ? "each class is its name as the model's continuation of the prompt" : "each class is one of the model's";
    char *neutral = margin ? mem_printf("'%s' is where the model's probability of '%s' is within 1/3 and 2/3", j->labels.name[1], j->labels.name[2]) : mem_strdup(of);
    int rc = neutral ? model_evidence(&e, "checklist", j->model, j->sha256, j->o->seed, j->o->limit, err) : ERR(err, NOMEM, "no memory for what was found");
    rc = rc ? rc : evidence_put(e, "suite", json_string(j->o->path), err);
    rc = rc ? rc : evidence_put(e, "neutral", json_string(neutral), err);
    mem_free(neutral);
    rc = rc ? rc : evidence_put(e, "prompt", j->run ? json_string(j->o->prompt ? j->o->prompt : USUAL_PROMPT) : json_null(), err);
    rc = rc ? rc : checklist_report(e, j->suite, &j->answers, j->labels.name, err);
    if (!rc)
        return eval_tell(e, j->o->folder, print_all, err);
    json_decref(e);
    return rc;
}

static int check_usable(const struct checklist *c, struct err *err)
{
    int64_t n = 0, n_unusable = 0;
    for (int i = 0; i < c->n_test; i++)
        n += c->test[i].n, n_unusable += c->test[i].n_unusable;
    return n_unusable < n ? 0 : n ? ERR(err, FORMAT, "all of %lld cases are unusable; the first: %s", (long long)n, c->first_unusable.msg)
         : ERR(err, FORMAT, "found no case in any of %d tests", c->n_test);
}

static int check_answered(const struct job *j, struct err *err)
{
    const int64_t n = j->suite->n_text;
    for (int64_t i = 0; i < n; i++)
        if (j->answers.state[i] == CHECKLIST_ANSWERED)
            return 0;
    return j->answers.why ? ERR(err, FORMAT, "none of %lld texts could be asked; the first: %s", (long long)n, j->answers.why) : 0;
}

static int all(struct job *j, const struct run_opts *run, struct err *err)
{
    struct err stopped = { 0 };
    TRY(checklist_open(&j->suite, j->o->path, j->o->limit, err));
    TRY(check_usable(j->suite, err));
    TRY(checklist_labels_read(&j->labels, j->o->labels ? j->o->labels : "negative,neutral,positive", j->suite->n_label, err));
    TRY(checklist_answers_init(&j->answers, j->suite, j->labels.n, err));
    TRY(model_digest(j->model, j->sha256, err));
    const int rc = ask(j, run, &stopped);
    log_progress_end();
    if (rc && rc != ERR_STOPPED) {
        *err = stopped;
        return rc;
    }
    TRY(tell(j, err));
    if (!rc)
        return check_answered(j, err);
    *err = stopped;
    return rc;
}

int eval_checklist(const char *model, const struct eval_checklist *o, const struct run_opts *run, struct err *err)
{
    struct job j = { .model = model, .o = o };
    const int rc = all(&j, run, err);
    run_close(j.run);
    classifier_free(j.classifier);
    checklist_answers_release(&j.answers);
    checklist_labels_release(&j.labels);
    checklist_free(j.suite);
    return rc;
}
