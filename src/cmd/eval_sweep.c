#include "cmd/eval_sweep.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/self.h"
#include "data/text.h"
#include "eval/evidence.h"
#include "eval/halving.h"

struct sweep {
    const char *file, *out_dir;
    json_t *tree, *recipe, *setting;     /* setting: of each */
    const char *recipe_path;
    int64_t draws, seed, least, most;
    double eta;
    struct halving_plan plan;
    int n, alive, order[HALVING_SETTINGS];
    double score[HALVING_SETTINGS], seconds[HALVING_SETTINGS];      /* of the last rung that it was in; NAN: failed */
    int rung[HALVING_SETTINGS];
    const char *metric;                  /* of the scores: valid_bits_per_byte, valid_loss */
};

/* ---- what is asked ---- */

static int read_file(struct sweep *s, struct err *err)
{
    TRY(tree_load(&s->tree, s->file, 1 << 20, err));
    const char *key;
    json_t *v;
    if (!json_is_object(s->tree))
        return ERR(err, FORMAT, "%s: expected an object: recipe, space, least_steps, most_steps and more", s->file);
    json_object_foreach(s->tree, key, v)
        if (strcmp(key, "recipe") && strcmp(key, "space") && strcmp(key, "draws") && strcmp(key, "seed") && strcmp(key, "least_steps") && strcmp(key, "most_steps") && strcmp(key, "eta"))
            return ERR(err, FORMAT, "%s: found the key '%s', expected recipe, space, draws, seed, least_steps, most_steps or eta", s->file, key);
    TRY(tree_str(s->tree, "recipe", NULL, &s->recipe_path, s->file, err));
    TRY(tree_int(s->tree, "draws", 0, 0, HALVING_SETTINGS, &s->draws, s->file, err));
    TRY(tree_int(s->tree, "seed", 1, 0, INT64_MAX, &s->seed, s->file, err));
    TRY(tree_int(s->tree, "least_steps", -1, 1, (int64_t)1e12, &s->least, s->file, err));
    TRY(tree_int(s->tree, "most_steps", -1, 1, (int64_t)1e12, &s->most, s->file, err));
    TRY(tree_num(s->tree, "eta", 3, &s->eta, s->file, err));
    if (!s->recipe_path || s->least < 0 || s->most < 0)
        return ERR(err, FORMAT, "%s: %s is missing", s->file, !s->recipe_path ? "recipe, the path of a recipe of lathe train," : s->least < 0 ? "least_steps" : "most_steps");
    if (json_object_get(json_object_get(s->tree, "space"), "train.steps") || json_object_get(json_object_get(s->tree, "space"), "train.epochs"))
        return ERR(err, FORMAT, "%s: found train.steps or train.epochs in the space, which least_steps and most_steps decide", s->file);
    TRY(tree_load(&s->recipe, s->recipe_path, 1 << 20, err));
    if (!json_is_object(s->recipe))
        return ERR(err, FORMAT, "%s: expected a recipe, an object of sections", s->recipe_path);
    TRY(halving_settings(&s->setting, json_object_get(s->tree, "space"), s->draws, (uint64_t)s->seed, s->file, err));
    s->n = s->alive = (int)json_array_size(s->setting);
    if (halving_plan(&s->plan, s->n, s->least, s->most, s->eta, err) < 0)
        return err_context(err, "%s", s->file);
    for (int i = 0; i < s->n; i++)
        s->order[i] = i, s->score[i] = s->seconds[i] = NAN, s->rung[i] = -1;
    return 0;
}

/* ---- one training ---- */

static int write_tree(const char *path, const json_t *o, struct err *err)
{
    char *text = tree_dumps(o, JSON_INDENT(2));
    const int rc = text ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for %s", path);
    mem_free(text);
    return rc;
}

/* The recipe with the setting's values and the rung's steps. */
static int recipe_of(const struct sweep *s, int i, int rung, json_t **out, struct err *err)
{
    TRY(halving_recipe(out, s->recipe, json_array_get(s->setting, (size_t)i), s->file, err));
    json_t *train = json_object_get(*out, "train");
    if (!train && !json_object_set_new(*out, "train", json_object()))
        train = json_object_get(*out, "train");
    json_object_del(train, "epochs");
    if (json_object_set_new(train, "steps", json_integer(s->plan.rung[rung].steps))) {
        json_decref(*out);
        return ERR(err, NOMEM, "no memory for a recipe");
    }
    return 0;
}

static int trained(const char *recipe, const char *run, json_t **result, struct err *err)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%lld", (long long)cmd_threads);
    const char *const argv[] = { "lathe", "train", recipe, "--out", run, "--json", "--quiet", "--threads", threads, NULL };
    struct buf out;
    buf_init(&out);
    int rc = self_run(argv, &out, NULL, err);
    if (!rc)
        rc = tree_parse_json(result, out.data, out.len, "lathe train", err);
    buf_release(&out);
    return rc;
}

/* OUT/I/RUNG/: recipe.json, run/ and, when it has ended, result.json, which is not made again. */
static int train_one(const struct sweep *s, int i, int rung, json_t **result, struct err *err)
{
    char *folder = mem_printf("%s/%d/%d", s->out_dir, i + 1, rung + 1);
    char *recipe_path = folder ? file_join(folder, "recipe.json") : NULL, *run = folder ? file_join(folder, "run") : NULL, *done = folder ? file_join(folder, "result.json") : NULL;
    json_t *recipe = NULL, *before = NULL;
    int rc = recipe_path && run && done ? file_mkdirs(folder, err) : ERR(err, NOMEM, "no memory for the names of files");
    if (!rc)
        rc = recipe_of(s, i, rung, &recipe, err);
    if (!rc && file_exists(recipe_path)) {
        rc = tree_load(&before, recipe_path, 1 << 20, err);
        if (!rc && !json_equal(before, recipe))
            rc = ERR(err, USAGE, "%s is of another search, expected a new folder for this one", recipe_path);
    } else if (!rc)
        rc = write_tree(recipe_path, recipe, err);
    if (!rc && file_exists(done))
        rc = tree_load(result, done, 1 << 20, err);
    else if (!rc) {
        rc = trained(recipe_path, run, result, err);
        if (!rc)
            rc = write_tree(done, *result, err);
    }
    json_decref(recipe), json_decref(before);
    mem_free(folder), mem_free(recipe_path), mem_free(run), mem_free(done);
    return rc;
}

/* The held-out loss of a result; *metric: the first run says which. */
static int score_of(struct sweep *s, const json_t *result, double *score, struct err *err)
{
    static const char *const names[] = { "valid_bits_per_byte", "valid_loss" };
    for (int i = 0; i < 2 && !s->metric; i++)
        if (json_is_number(json_object_get(result, names[i])))
            s->metric = names[i];
    if (!s->metric)
        return ERR(err, UNSUPPORTED, "%s: its trainings say no held-out loss, expected data.valid or data.valid_share", s->recipe_path);
    const json_t *v = json_object_get(result, s->metric);
    *score = json_is_number(v) ? json_number_value(v) : (double)NAN;
    return 0;
}

/* ---- the search ---- */

static void setting_text(const struct sweep *s, int i, char *out, size_t n)
{
    const char *key;
    json_t *v;
    size_t at = 0;
    out[0] = 0;
    json_object_foreach(json_array_get(s->setting, (size_t)i), key, v) {
        char *value = json_is_real(v) ? mem_printf("%.4g", json_real_value(v)) : tree_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        const int k = snprintf(out + at, n - at, "%s%s %s", at ? ", " : "", key, value ? value : "?");
        mem_free(value);
        at = k > 0 && (size_t)k < n - at ? at + (size_t)k : n - 1;
    }
    out[text_bad_utf8(out, strlen(out))] = 0;        /* cut between characters */
}

static int one_rung(struct sweep *s, int rung, struct err *err)
{
    const int n = s->plan.rung[rung].n < s->alive ? s->plan.rung[rung].n : s->alive;
    double score[HALVING_SETTINGS];
    int order[HALVING_SETTINGS], ranked;
    log_info("%d setting%s of %lld steps", n, n == 1 ? "" : "s", (long long)s->plan.rung[rung].steps);
    for (int k = 0; k < n; k++) {
        const int i = s->order[k];
        json_t *result = NULL;
        char text[400];
        setting_text(s, i, text, sizeof text);
        struct err why = { 0 };
        int rc = cmd_stop ? ERR(&why, STOPPED, "stopped; the same command goes on") : train_one(s, i, rung, &result, &why);
        if (rc == ERR_STOPPED || rc == ERR_NOMEM || rc == ERR_USAGE || (rc && !rung && !k)) {        /* the first one's error is likely to be all of theirs */
            *err = why;
            return rc;
        }
        score[k] = NAN;
        if (!rc)
            TRY(score_of(s, result, &score[k], err));
        s->score[i] = score[k], s->rung[i] = rung, s->seconds[i] = json_number_value(json_object_get(result, "seconds"));
        if (rc)
            log_warn("%s: %s", text, why.msg);
        else
            log_info("%s: %s %.4f", text, s->metric, score[k]);
        json_decref(result);
    }
    halving_rank(score, n, order, &ranked);
    int sorted[HALVING_SETTINGS];
    for (int k = 0; k < n; k++)
        sorted[k] = s->order[order[k]];
    memcpy(s->order, sorted, (size_t)n * sizeof *sorted);
    s->alive = ranked;
    return ranked ? 0 : ERR(err, NUMERIC, "no setting of %d has a held-out loss", n);
}

/* ---- telling ---- */

static int tell(struct sweep *s, struct err *err)
{
    json_t *evidence = NULL, *all = json_array(), *best = NULL;
    int rc = evidence_new(&evidence, "sweep", NULL, NULL, s->seed, err);
    char text[400];
    /* By the rung that they reached, then by score. */
    int shown[HALVING_SETTINGS], n = 0;
    for (int r = s->plan.n_rung - 1; r >= 0; r--) {
        double score[HALVING_SETTINGS];
        int of[HALVING_SETTINGS], order[HALVING_SETTINGS], k = 0, ranked;
        for (int i = 0; i < s->n; i++)
            if (s->rung[i] == r)
                of[k] = i, score[k++] = s->score[i];
        halving_rank(score, k, order, &ranked);
        for (int i = 0; i < k; i++)
            shown[n++] = of[order[i]];
    }
    if (!cmd_json && !rc)
        printf("%10s  %-20s  setting\n", "steps", s->metric);
    for (int k = 0; k < n && !rc; k++) {
        const int i = shown[k];
        const int64_t steps = s->plan.rung[s->rung[i]].steps;
        setting_text(s, i, text, sizeof text);
        if (!cmd_json)
            printf("%10lld  %-20.6f  %s%s\n", (long long)steps, s->score[i], text, k ? "" : "  *");
        char what[60];
        snprintf(what, sizeof what, "held-out, after %lld steps", (long long)steps);
        rc = evidence_figure(evidence, &(struct evidence_figure){ s->metric, text, s->score[i], NAN, NAN, 0, EVIDENCE_LOWER, what }, err);      /* n counts items */
        if (!rc && (!all || json_array_append_new(all, json_pack("{s:O, s:I, s:o, s:o}", "setting", json_array_get(s->setting, (size_t)i), "steps", (json_int_t)steps, s->metric,
                                                                 tree_number(s->score[i]), "seconds", tree_number(s->seconds[i])))))
            rc = ERR(err, NOMEM, "no memory for what was found");
    }
    char *best_path = file_join(s->out_dir, "best.json");
    if (!rc)
        rc = best_path ? recipe_of(s, shown[0], s->plan.n_rung - 1, &best, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = write_tree(best_path, best, err);
    setting_text(s, shown[0], text, sizeof text);
    char says[900];
    snprintf(says, sizeof says, "Take %s: %s %.4f after %lld steps, the lowest of %d settings, of which %d had as many steps.  Each was trained once with one seed, so that small "
             "differences may be chance; a setting that is slow at first may have been dropped too early.", text, s->metric, s->score[shown[0]],
             (long long)s->plan.rung[s->rung[shown[0]]].steps, s->n, s->plan.rung[s->plan.n_rung - 1].n);
    if (!rc)
        rc = evidence_put(evidence, "settings", json_incref(all), err);
    if (!rc)
        rc = evidence_put(evidence, "verdict", json_string(says), err);
    if (!rc)
        rc = evidence_write(evidence, s->out_dir, NULL, err);
    if (!rc && cmd_json)
        rc = cmd_print_json(json_incref(evidence), err);
    else if (!rc)
        printf("\n%s\nIts recipe is %s.\n", says, best_path);
    mem_free(best_path);
    json_decref(all), json_decref(best), json_decref(evidence);
    return rc;
}

int eval_sweep(const char *file, const char *out_dir, struct err *err)
{
    if (!out_dir)
        return ERR(err, USAGE, "--sweep: recipes and runs go to a folder, give it by --out");
    struct sweep *s = mem_alloc_zero(sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory for a search");
    s->file = file, s->out_dir = out_dir;
    int lock = -1, rc = read_file(s, err);
    if (!rc)
        rc = file_mkdirs(out_dir, err);
    if (!rc)
        rc = file_lock(out_dir, &lock, err);
    for (int r = 0; r < s->plan.n_rung && !rc; r++)
        rc = one_rung(s, r, err);
    if (!rc)
        rc = tell(s, err);
    file_unlock(&lock);
    json_decref(s->tree), json_decref(s->recipe), json_decref(s->setting);
    mem_free(s);
    return rc;
}
