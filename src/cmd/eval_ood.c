#include "cmd/eval_ood.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/model_evidence.h"
#include "eval/encode.h"
#include "eval/evidence.h"
#include "eval/text_ood.h"

/* ---- telling ---- */

static const char *shown(double v, char text[24])
{
    if (isnan(v))
        return "-";
    snprintf(text, 24, "%.4f", v);
    return text;
}

static void print_score(const char *name, const json_t *s, const json_t *matched)
{
    char text[8][24];
    const char *why = json_string_value(json_object_get(s, "why_not"));
    if (why) {
        printf("  %-20s - (%s)\n", name, why);
        return;
    }
    printf("  %-20s %8s  %6s to %-6s %18s %19s %8s %8s", name, shown(tree_number_at(s, "auroc"), text[0]), shown(tree_entry_at(s, "auroc_ci95", 0), text[1]),
           shown(tree_entry_at(s, "auroc_ci95", 1), text[2]), shown(tree_number_at(s, "fpr95_id_positive"), text[3]), shown(tree_number_at(s, "fpr95_ood_positive"), text[4]),
           shown(tree_number_at(s, "aupr_in"), text[5]), shown(tree_number_at(s, "aupr_out"), text[6]));
    if (matched)
        printf(" %14s", shown(tree_number_at(json_object_get(matched, name), "auroc"), text[7]));
    putchar('\n');
}

/* The share of those that are in; the same for all scores that could be had. */
static double prevalence(const json_t *scores)
{
    const char *name;
    json_t *s;
    json_object_foreach((json_t *)scores, name, s)
        if (json_object_get(s, "prevalence_id"))
            return tree_number_at(s, "prevalence_id");
    return NAN;
}

/* By rank.h a constant score's curve runs straight from precision 1 to the prevalence p: (1 + p)/2 lies below it. */
static void print_useless(double p)
{
    char text[4][24];
    printf("  of no use: auroc 0.5; aupr_in near %s and aupr_out near %s where values differ, %s and %s where all are equal\n", shown(p, text[0]), shown(1 - p, text[1]), shown((1 + p) / 2, text[2]),
           shown((2 - p) / 2, text[3]));
}

void eval_print_ood(const json_t *ood)
{
    const char *path, *name;
    json_t *set, *s;
    json_object_foreach((json_t *)ood, path, set) {
        const json_t *same = json_object_get(set, "length_matched"), *scores = json_object_get(set, "scores");
        printf("%.0f of %s\n", tree_number_at(set, "n"), path);
        if (tree_number_at(set, "n_failed") > 0)
            printf("  and %.0f that could not be read\n", tree_number_at(set, "n_failed"));
        print_useless(prevalence(scores));
        printf("  %-20s %8s  %16s %18s %19s %8s %8s%s\n", "score", "auroc", "95 %", "fpr95_id_positive", "fpr95_ood_positive", "aupr_in", "aupr_out", json_is_object(same) ? "   same lengths" : "");
        json_object_foreach((json_t *)scores, name, s)
            print_score(name, s, json_is_object(same) ? json_object_get(same, "scores") : NULL);
        if (json_is_object(same))
            printf("  same lengths: auroc over %.0f of each set, as many of each number of tokens\n", tree_number_at(same, "n"));
    }
}

void eval_print_stopped(const json_t *evidence)
{
    const json_t *s = json_object_get(evidence, "stopped");
    if (json_is_object(s))
        printf("INCOMPLETE, stopped: %.0f of %.0f (%s)\n", tree_number_at(s, "done"), tree_number_at(s, "of"), json_string_value(json_object_get(s, "at")));
}

int eval_put_complete(json_t *evidence, const struct eval_stop *s, struct err *err)
{
    TRY(evidence_put(evidence, "complete", json_boolean(!s->stopped), err));
    return s->stopped ? evidence_put(evidence, "stopped", json_pack("{s:s, s:I, s:I}", "at", s->what, "done", (json_int_t)s->done, "of", (json_int_t)s->all), err) : 0;
}

int eval_progress(void *ctx, const char *what, int64_t done, int64_t all)
{
    struct eval_stop *s = ctx;
    *s = (struct eval_stop){ what, done, all, cmd_stop };
    if (s->stopped)
        return 1;
    log_progress("%s: %lld of %lld", what, (long long)done, (long long)all);
    return 0;
}

int eval_tell(json_t *evidence, const char *folder, void (*print)(const json_t *), struct err *err)
{
    char *path = NULL;
    const int rc = folder ? evidence_write(evidence, folder, &path, err) : 0;
    if (path)
        log_info("this is in %s, too", path);
    mem_free(path);
    if (!rc && cmd_json)
        return cmd_print_json(evidence, err);
    if (!rc)
        print(evidence);
    json_decref(evidence);
    return rc;
}

int eval_keep_rows(struct npz_writer *z, const char *name, const char *what, enum npz_type type, const void *data, int64_t rows, int64_t cols, struct err *err)
{
    char full[80];
    snprintf(full, sizeof full, "%s_%s", name, what);
    return npz_writer_add(z, full, type, data, rows, cols, err);
}

/* ---- the model ---- */

struct reader { struct classifier *c; struct engine *e; int32_t prefix; const struct eval_ood *o; struct pool *pool; struct npz_writer *z; struct eval_stop stop; };

enum { TEXT_POSITIONS = 1024 };

static int open_engine(struct reader *r, const char *model, struct err *err)
{
    const struct eval_ood *o = r->o;
    const struct engine_opts eo = cmd_engine((struct engine_opts){ .n_slot = TEXT_SLOTS, .ctx = o->max_length ? (int)o->max_length : TEXT_POSITIONS, .ctx_clip = !o->max_length,
                                                                   .step_tokens = 512, .n_logits = TEXT_LOGITS, .rope_scaling = o->rope_scaling });
    TRY(engine_new(&r->e, model, &eo, r->pool, err));
    return encoder_prefix(&r->prefix, model, engine_tok(r->e), err);
}

static int open_model(struct reader *r, const char *model, struct err *err)
{
    struct config c;
    struct buf unused;
    bool folder;
    buf_init(&unused);
    struct file_map m;
    folder = file_map_open(&m, model, err) < 0;          /* a file is a GGUF: a language model */
    if (!folder)
        file_map_close(&m);
    const int rc = folder ? config_load(&c, model, &unused, err) : 0;
    buf_release(&unused);
    TRY(rc);
    if (!folder || !c.n_label)
        return open_engine(r, model, err);
    if (config_vision(&c))
        return ERR(err, UNSUPPORTED, "%s reads images, expected a model of texts; try --images", model);
    TRY(model_evidence_no_adapter(model, err));
    return classifier_new(&r->c, model, &(struct classify_opts){ .features = true, .ctx = (int)r->o->max_length }, r->pool, err);
}

static int read_set(struct text_rows *out, struct reader *r, const char *path, const char *name, int64_t limit, const struct labels *names, struct err *err)
{
    struct text_lines s;
    TRY(text_lines_read(&s, path, limit, err));
    const struct text_rows_opts o = { .names = names, .pool = r->pool, .progress = eval_progress, .ctx = &r->stop };
    int rc = r->c ? text_rows_classifier(out, r->c, &s, &o, err) : text_rows_model(out, r->e, r->prefix, &s, &o, err);
    if (!rc) {
        out->n_failed += s.n_bad;
        if (s.n_bad)
            out->why = s.bad;
        if (!out->n)
            rc = ERR(err, RANGE, "%s: none of %lld texts is left, the first because: %s", path, (long long)out->n_failed, out->why.msg);
        else if (out->n_failed)
            log_warn("%s: %lld texts are left out, the first because: %s", path, (long long)out->n_failed, out->why.msg);
    }
    text_lines_release(&s);
    if (rc)
        text_rows_release(out);
    if (rc || !r->z)
        return rc;
    rc = eval_keep_rows(r->z, name, "length", NPZ_I32, out->n_token, out->n, 0, err);
    if (!rc)
        rc = eval_keep_rows(r->z, name, "label", NPZ_I32, out->label, out->n, 0, err);
    if (!rc && out->K)
        rc = eval_keep_rows(r->z, name, "logits", NPZ_F32, out->logit, out->n, out->K, err);
    for (int k = 0; k < out->n_feature && !rc; k++)
        rc = eval_keep_rows(r->z, name, *out->feature_name[k] ? out->feature_name[k] : "features", NPZ_F32, out->feature[k], out->n, out->d, err);
    for (int s_ = 0; s_ < N_TEXT_STAT && out->has_stat && !rc; s_++)
        rc = eval_keep_rows(r->z, name, text_stat_name((enum text_stat)s_), NPZ_F64, out->stat[s_], out->n, 0, err);
    if (rc)
        text_rows_release(out);
    return rc;
}

/* ---- what is found ---- */

/* Names of the labels of what detectors are fitted to, where the model has none of its own. */
static int names_of(struct labels *names, const char *path, struct err *err)
{
    struct text_lines s;
    TRY(text_lines_read(&s, path, 0, err));
    int rc = 0;
    for (int64_t i = 0; i < s.n && !rc; i++)
        if (s.item[i].label && labels_find(names, s.item[i].label) < 0)
            rc = labels_add(names, s.item[i].label, err);
    text_lines_release(&s);
    return rc;
}

static int others(json_t *tree, struct reader *r, const struct text_detectors *d, const struct text_rows *id, struct err *err)
{
    TRY(evidence_put(tree, "ood", json_object(), err));
    for (int i = 0; i < r->o->others.n; i++) {
        char name[20];
        struct text_rows rows;
        json_t *part = NULL;
        const char *path = r->o->others.item[i];
        snprintf(name, sizeof name, "out%d", i);
        TRY(read_set(&rows, r, path, name, r->o->limit, NULL, err));
        int rc = text_ood(&part, d, id, &rows, (uint64_t)r->o->seed, r->pool, err);
        if (!rc)
            rc = detect_figures(tree, path, json_object_get(part, "scores"), rows.n + id->n, err);
        const json_t *same = json_object_get(part, "length_matched");
        char *of = mem_printf("%s, same lengths,", path);
        if (!rc && !of)
            rc = ERR(err, NOMEM, "no memory for a name");
        if (!rc && json_is_object(same))
            rc = detect_figures(tree, of, json_object_get(same, "scores"), 2 * json_integer_value(json_object_get(same, "n")), err);
        mem_free(of);
        if (!rc)
            rc = evidence_put(json_object_get(tree, "ood"), path, part, err);
        else
            json_decref(part);
        text_rows_release(&rows);
        TRY(rc);
    }
    return 0;
}

static int with_fit(json_t *tree, struct reader *r, const struct labels *names, struct err *err)
{
    struct text_rows fit = { .n = 0 }, id = { .n = 0 };
    struct text_detectors d = { { NULL } };
    const float *bias = NULL, *w = r->c ? classifier_head(r->c, &bias) : NULL;
    int rc = r->o->fit ? read_set(&fit, r, r->o->fit, "fit", 0, names, err) : 0;
    if (!rc && r->o->fit)
        rc = text_detectors_fit(&d, &fit, names->n, w, bias, r->pool, err);
    if (!rc)
        rc = read_set(&id, r, r->o->texts, "in", r->o->limit, names, err);
    if (!rc)
        rc = evidence_put(tree, "fit", r->o->fit ? json_pack("{s:s, s:I, s:I, s:b}", "texts", r->o->fit, "n", (json_int_t)fit.n, "n_failed", (json_int_t)fit.n_failed, "of_classes",
                                                             names->n > 1) : json_null(), err);
    if (!rc)
        rc = evidence_put(tree, "in", json_pack("{s:I, s:I}", "n", (json_int_t)id.n, "n_failed", (json_int_t)id.n_failed), err);
    if (!rc && r->z && w)
        rc = eval_keep_rows(r->z, "head", "w", NPZ_F32, w, id.K, id.d, err);
    if (!rc && r->z && bias)
        rc = eval_keep_rows(r->z, "head", "bias", NPZ_F32, bias, id.K, 0, err);
    if (!rc)
        rc = others(tree, r, &d, &id, err);
    text_detectors_release(&d);
    text_rows_release(&fit);
    text_rows_release(&id);
    return rc;
}

static int find(json_t *tree, struct reader *r, struct err *err)
{
    struct labels own = { 0 };
    struct npz_writer z = { .n_array = 0 };
    int rc = !r->c && r->o->fit ? names_of(&own, r->o->fit, err) : 0;
    if (!rc && r->o->features_out && !(rc = npz_writer_open(&z, r->o->features_out, err)))
        r->z = &z;
    if (!rc)
        rc = with_fit(tree, r, r->c ? classifier_labels(r->c) : &own, err);
    if (!rc && r->z)
        rc = npz_writer_commit(&z, err);
    npz_writer_abort(&z);
    labels_release(&own);
    return rc;
}

static void print_all(const json_t *tree)
{
    const json_t *fit = json_object_get(tree, "fit"), *in = json_object_get(tree, "in");
    eval_print_stopped(tree);
    printf("%.0f texts of %s\n", tree_number_at(in, "n"), json_string_value(json_object_get(tree, "texts")));
    if (json_is_object(fit))
        printf("scores of features are fitted to %.0f texts of %s, %s\n", tree_number_at(fit, "n"), json_string_value(json_object_get(fit, "texts")),
               json_is_true(json_object_get(fit, "of_classes")) ? "by their classes" : "as one class");
    eval_print_ood(json_object_get(tree, "ood"));
}

/* Before a model is asked anything: all files are there. */
static int check_files(const struct eval_ood *o, struct err *err)
{
    struct file_map m;
    for (int i = -2; i < o->others.n; i++) {
        const char *path = i == -2 ? o->texts : i == -1 ? o->fit : o->others.item[i];
        if (!path)
            continue;
        TRY(file_map_open(&m, path, err));
        file_map_close(&m);
    }
    return 0;
}

/* What was stopped is told as far as it went; before a first set was told from the texts there is nothing. */
int eval_ood(const char *model, const struct eval_ood *o, struct err *err)
{
    struct reader r = { .o = o, .prefix = -1 };
    char sha[SHA256_HEX];
    json_t *tree = NULL;
    TRY(check_files(o, err));
    TRY(cmd_pool(&r.pool, err));
    int rc = open_model(&r, model, err);
    if (!rc)
        rc = model_digest(model, sha, err);
    if (!rc)
        rc = model_evidence(&tree, "ood", model, sha, o->seed, o->limit, err);
    if (!rc)
        rc = evidence_put(tree, "texts", json_string(o->texts), err);
    struct err stopped = { 0 };
    int found = rc ? rc : find(tree, &r, &stopped);
    log_progress_end();
    engine_free(r.e);
    classifier_free(r.c);
    if (!rc && (!found || found == ERR_STOPPED))
        rc = eval_put_complete(tree, &r.stop, err);
    if (rc || (found && (found != ERR_STOPPED || !json_object_size(json_object_get(tree, "ood"))))) {
        json_decref(tree);
        return rc ? rc : (*err = stopped, found);
    }
    TRY(eval_tell(tree, o->out, print_all, err));
    return found ? (*err = stopped, err_context(err, "this is what was found until then")) : 0;
}
