#include "cmd/eval_attack.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_options.h"
#include "eval/evidence.h"
#include "eval/token_tally.h"
#include "eval/token_trial.h"

enum attack_name { HOTFLIP, GCG, TRIGGER, N_NAME };
static const char *const names[N_NAME] = { "hotflip", "gcg", "trigger" };

static int find(const char *name, size_t n)
{
    for (int i = 0; i < N_NAME; i++)
        if (strlen(names[i]) == n && !memcmp(names[i], name, n))
            return i;
    return -1;
}

bool eval_attack_asked(const struct eval_attack *o, const char *texts)
{
    return o->attacks && (o->targets || texts || find(o->attacks, strcspn(o->attacks, ",")) >= 0);
}

unsigned eval_attack_modes(const struct eval_attack *o, bool of_tasks)
{
    const unsigned modes[N_NAME] = { EVAL_HOTFLIP | (of_tasks ? EVAL_ATTACKED_TASKS : 0), EVAL_GCG, EVAL_TRIGGER | (o->trigger ? 0 : EVAL_SOUGHT) };
    unsigned m = 0;
    for (const char *at = o->attacks; *at; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        const int k = find(at, n);
        m |= k < 0 ? 0 : modes[k];
        at += n;
    }
    return m;
}

static int read_names(bool asked[N_NAME], const char *list, struct err *err)
{
    for (const char *at = list; *at;) {
        const size_t n = strcspn(at, ",");
        const int k = find(at, n);
        if (k < 0 || asked[k])
            return ERR(err, USAGE, "--attack: found '%.*s'%s, expected hotflip, gcg or trigger for a model of texts", (int)n, at, k < 0 ? "" : " twice");
        asked[k] = true;
        at += n + (at[n] == ',');
    }
    return 0;
}

/* ---- what is asked ---- */

static bool goes_on(void *ctx, const char *what, int64_t done, int64_t all)
{
    (void)ctx;
    log_progress("%s: %lld of %lld", what, (long long)done, (long long)all);
    return !cmd_stop;
}

static struct token_trial trial_of(const char *model, const struct eval_attack *o, enum attack_name name, struct pool *pool)
{
    const int usual = name == TRIGGER ? 3 : 20;
    return (struct token_trial){ .model = model, .rope_scaling = o->rope_scaling, .pool = pool, .flips = (int)o->flips, .steps = (int)o->steps,
                                 .suffix = o->suffix ? (int)o->suffix : usual, .batch = (int)o->candidates, .top_k = (int)o->top_k,
                                 .similarity = o->similarity, .trigger = o->trigger, .seed = (uint64_t)o->seed, .limit = o->limit, .goes_on = goes_on };
}

static int attack_tasks(json_t *evidence, const char *model, const struct task_list *tasks, const struct run_opts *opts, const struct eval_attack *o,
                        struct pool *pool, struct err *err)
{
    struct run *r;
    const struct token_trial t = trial_of(model, o, HOTFLIP, pool);
    TRY(run_open(&r, opts, err));
    const int rc = token_trial_tasks(evidence, r, tasks, &t, err);
    run_close(r);
    return rc;
}

static int attack_targets(json_t *evidence, const char *model, const struct run_opts *opts, const struct chat *chat, const struct eval_attack *o,
                          struct pool *pool, struct err *err)
{
    struct run *r;
    struct prompts p = { 0 };
    const struct token_trial t = trial_of(model, o, GCG, pool);
    int rc = prompts_read(&p, o->targets, err);
    for (int64_t i = 0; i < p.n && !rc; i++)
        if (p.p[i].target && !*p.p[i].target)
            rc = ERR(err, FORMAT, "%s:%lld: found an empty \"target\", expected a text", o->targets, (long long)p.p[i].line);
    if (!rc)
        rc = run_open(&r, opts, err);
    if (!rc) {
        rc = token_trial_targets(evidence, r, chat, o->system, &p, &t, err);
        run_close(r);
    }
    prompts_release(&p);
    return rc;
}

static int load_texts(struct labelled *l, struct labels *classes, const char *model, const char *path, struct err *err)
{
    struct model m;
    struct text_list files = { 0 };
    TRY(model_open(&m, model, NULL, err));
    int rc = m.config.n_label ? labels_load(classes, &m.config, model, err) :
                                ERR(err, UNSUPPORTED, "%s has no classes, expected a classifier of texts for --texts", model);
    model_release(&m);
    if (!rc)
        rc = text_add(&files, path, err);
    if (!rc)
        rc = labelled_read(l, &files, NULL, classes, true, err);
    text_release(&files);
    return rc;
}

static int attack_texts(json_t *evidence, const char *model, const bool asked[N_NAME], const struct eval_attack *o, struct pool *pool, struct err *err)
{
    struct labelled l = { 0 };
    struct labels classes = { 0 };
    const struct token_trial flips = trial_of(model, o, HOTFLIP, pool), triggers = trial_of(model, o, TRIGGER, pool);
    int rc = load_texts(&l, &classes, model, o->texts, err);
    if (!rc && asked[HOTFLIP])
        rc = token_trial_flips(evidence, &l, &flips, err);
    if (!rc && asked[TRIGGER])
        rc = token_trial_triggers(evidence, &l, &classes, &triggers, err);
    labelled_release(&l);
    labels_release(&classes);
    return rc;
}

int eval_attack_check(const struct eval_attack *o, bool tasks, struct err *err)
{
    bool asked[N_NAME] = { false };
    TRY(read_names(asked, o->attacks, err));
    if (asked[GCG] != (o->targets != NULL))
        return ERR(err, USAGE, "--attack: gcg and --targets go together");
    if (asked[TRIGGER] && !o->texts)
        return ERR(err, USAGE, "--attack: trigger is of a classifier of texts, expected --texts");
    if (o->trigger && !asked[TRIGGER])
        return ERR(err, USAGE, "--trigger: it is of --attack trigger");
    if (asked[HOTFLIP] && !o->texts && !tasks)
        return ERR(err, USAGE, "--attack: hotflip needs --tasks for a model that continues texts, or --texts for one with classes");
    if (o->texts && (tasks || asked[GCG]))
        return ERR(err, USAGE, "--texts: found tasks or targets beside it, expected a classifier alone");
    if (cmd_adapter)
        return ERR(err, UNSUPPORTED, "--attack on tokens does not go through adapters; put them into the weights with lathe merge");
    return 0;
}

/* ---- what is found ---- */

static const char *string(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

void eval_print_figures(const json_t *evidence)
{
    json_t *f;
    size_t i;
    printf("%-28s %-30s %9s %19s %8s\n", "figure", "of", "value", "95 % interval", "n");
    json_array_foreach(json_object_get(evidence, "figures"), i, f) {
        char ci[40] = "", value[32] = "-";
        if (isfinite(tree_number_at(f, "value")))
            snprintf(value, sizeof value, "%.4f", tree_number_at(f, "value"));
        if (isfinite(tree_number_at(f, "low")))
            snprintf(ci, sizeof ci, "%.4f to %.4f", tree_number_at(f, "low"), tree_number_at(f, "high"));
        printf("%-28s %-30s %9s %19s %8.0f\n", string(f, "name"), string(f, "of"), value, ci, tree_number_at(f, "n"));
    }
}

static void print(const json_t *evidence)
{
    json_t *a, *x;
    const char *why;
    size_t i;
    if (json_is_false(json_object_get(evidence, "complete")))
        printf("INCOMPLETE: stopped before its end\n");
    json_array_foreach(json_object_get(evidence, "attacks"), i, a) {
        printf("%s %s: of %.0f items %.0f were attacked, %.0f fooled; %.0f were so already, %.0f could not be attacked", string(a, "attack"),
               string(a, "of"), tree_number_at(a, "n"), tree_number_at(a, "fooled") + tree_number_at(a, "kept"), tree_number_at(a, "fooled"), tree_number_at(a, "already"), tree_number_at(a, "n_unfit"));
        if (json_is_true(json_object_get(a, "complete")))
            putchar('\n');
        else
            printf("; stopped after %.0f of %.0f\n", tree_number_at(a, "seen"), tree_number_at(a, "n"));
        json_object_foreach(json_object_get(a, "unfit"), why, x)
            printf("  %lld: %s\n", (long long)json_integer_value(x), why);
    }
    json_array_foreach(json_object_get(evidence, "triggers"), i, a)
        if (json_object_get(a, "skipped"))
            printf("trigger to %s: none was sought: %s\n", string(a, "target"), string(a, "skipped"));
        else if (!tree_number_at(a, "searched_texts"))
            printf("trigger to %s: \"%s\", given\n", string(a, "target"), string(a, "trigger"));
        else
            printf("trigger to %s: \"%s\", sought over %.0f texts\n", string(a, "target"), string(a, "trigger"), tree_number_at(a, "searched_texts"));
    eval_print_figures(evidence);
    json_array_foreach(json_object_get(evidence, "examples"), i, x)
        if ((json_is_true(json_object_get(x, "fooled")) && i < 3) || json_object_get(x, "stopped"))
            printf("item %.0f, %.0f tokens changed%s:\n- %s\n+ %s\n", tree_number_at(x, "item"), tree_number_at(x, "tokens_changed"),
                   json_object_get(x, "stopped") ? ", stopped, the best so far" : "", string(x, "before"), string(x, "after"));
    json_array_foreach(json_object_get(evidence, "caveats"), i, x)
        printf("note: %s\n", json_string_value(x));
}

int eval_tell_evidence(json_t *evidence, const char *folder, void (*show)(const json_t *evidence), struct err *err)
{
    char *path = NULL;
    if (folder) {
        TRY(evidence_write(evidence, folder, &path, err));
        log_info("what was found is in %s", path);
    }
    mem_free(path);
    if (cmd_json)
        return cmd_print_json(json_incref(evidence), err);
    show(evidence);
    return 0;
}

int eval_attack(const char *model, const struct task_list *tasks, const struct run_opts *opts, const struct chat *chat, const struct eval_attack *o,
                struct err *err)
{
    bool asked[N_NAME] = { false };
    char sha256[SHA256_HEX];
    struct pool *pool;
    json_t *evidence;
    TRY(read_names(asked, o->attacks, err));
    TRY(cmd_pool(&pool, err));
    TRY(model_digest(model, sha256, err));
    TRY(evidence_new(&evidence, "attacks", model, sha256, o->seed, err));
    int rc = evidence_limit(evidence, o->limit, err);
    if (!rc)
        rc = token_tally_caveats(evidence, err);
    if (!rc && o->texts)
        rc = attack_texts(evidence, model, asked, o, pool, err);
    if (!rc && asked[HOTFLIP] && tasks)
        rc = attack_tasks(evidence, model, tasks, opts, o, pool, err);
    if (!rc && asked[GCG])
        rc = attack_targets(evidence, model, opts, chat, o, pool, err);
    log_progress_end();
    if (!rc || rc == ERR_STOPPED) {
        struct err own = { 0 };
        int told = evidence_put(evidence, "complete", json_boolean(!rc), &own);
        if (!told)
            told = eval_tell_evidence(evidence, o->out_dir, print, &own);
        if (told < 0) {
            *err = own;
            rc = told;
        }
    }
    json_decref(evidence);
    return rc;
}
