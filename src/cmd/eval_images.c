#include "cmd/eval_images.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_logits.h"
#include "cmd/eval_ood.h"
#include "eval/calib_report.h"
#include "eval/detect.h"
#include "eval/evidence.h"
#include "eval/images.h"
#include "eval/interval.h"
#include "model/model.h"

/* ---- what is asked ---- */

/* Before a model is asked anything: what a set is read from is there (as images_open() takes a path apart). */
static int check_set(const char *path, struct err *err)
{
    struct file_map m;
    if (!strchr(path, ','))
        return file_is_dir(path) ? 0 : ERR(err, USAGE, "%s: expected one folder of classes, or two idx files: images, labels", path);
    char *first = mem_strdup(path), *second = first ? strchr(first, ',') : NULL;
    if (!first)
        return ERR(err, NOMEM, "no memory for a path");
    *second++ = 0;
    int rc = file_map_open(&m, first, err);
    if (!rc)
        file_map_close(&m), rc = file_map_open(&m, second, err);
    if (!rc)
        file_map_close(&m);
    mem_free(first);
    return rc;
}

static int check(const struct eval_images *o, struct err *err)
{
    if (o->fit && !o->ood.n)
        return ERR(err, USAGE, "--ood-fit: found no --ood, whose scores it is of");
    if (!o->attacks && o->eps != EVAL_IMAGES_EPS)
        return ERR(err, USAGE, "--eps: found no --attack, which it is of");
    TRY(check_set(o->path, err));
    if (o->fit)
        TRY(check_set(o->fit, err));
    for (int i = 0; i < o->ood.n; i++)
        TRY(check_set(o->ood.item[i], err));
    return 0;
}

static int read_attacks(struct attack *how, int *n, const struct eval_images *o, struct err *err)
{
    char *names = mem_strdup(strcmp(o->attacks, "all") ? o->attacks : "apgd-ce,apgd-t,square"), *rest = names;
    if (!names)
        return ERR(err, NOMEM, "no memory for --attack");
    int rc = 0;
    for (char *name; !rc && (name = strsep(&rest, ","));) {
        const int k = attack_find(name);
        bool again = false;
        for (int i = 0; i < *n; i++)
            again = again || how[i].kind == (enum attack_kind)k;
        if (k < 0 || again)
            rc = ERR(err, USAGE, "--attack: found '%s'%s, expected fgsm, pgd, apgd-ce, apgd-t, square or all", name, again ? " twice" : "");
        else
            how[(*n)++] = attack_usual(k, o->eps, (uint64_t)o->seed);
    }
    mem_free(names);
    return rc;
}

/* ---- what is found ---- */

static int calibration(json_t **out, const float *logits, const struct image_set *s, int64_t n, int K, int64_t seed, struct pool *pool, struct err *err)
{
    double *z = mem_alloc_array((size_t)n * (size_t)K, sizeof *z);
    if (!z)
        return ERR(err, NOMEM, "no memory for the logits of %lld images", (long long)n);
    for (int64_t i = 0; i < n * K; i++)
        z[i] = (double)logits[i];
    struct calib_report_opts o = CALIB_REPORT_OPTS;
    o.seed = (uint64_t)seed;
    const struct calib_items items = { .n = n, .n_class = K, .value = z, .label = s->label };
    const int rc = calib_report(out, &items, &o, pool, err);
    mem_free(z);
    return rc;
}

/* Rows of one set of images: logits, and features where they are wanted. */
struct rows { struct image_set set; int64_t n; float *logits, *features; };

struct finder { struct classifier *c; const struct eval_images *o; const struct images_opts *io; struct npz_writer *z; int K, d; };      /* d 0: no features */

static void rows_release(struct rows *r)
{
    mem_free(r->logits);
    mem_free(r->features);
    image_set_close(&r->set);
    *r = (struct rows){ .n = 0 };
}

static int keep_rows(const struct finder *f, const struct rows *r, const char *name, bool labelled, struct err *err)
{
    if (!f->z)
        return 0;
    TRY(eval_keep_rows(f->z, name, "logits", NPZ_F32, r->logits, r->n, f->K, err));
    TRY(eval_keep_rows(f->z, name, "features", NPZ_F32, r->features, r->n, f->d, err));
    return labelled ? eval_keep_rows(f->z, name, "label", NPZ_I32, r->set.label, r->n, 0, err) : 0;
}

/* name: of its arrays in --features-out.  limit 0: all.  Leaves nothing to release where it fails. */
static int rows_read(struct rows *r, const struct finder *f, const char *path, const char *name, bool labelled, int64_t limit, struct err *err)
{
    *r = (struct rows){ .n = 0 };
    TRY(images_open(&r->set, path, f->c, labelled, err));
    r->n = limit && limit < r->set.n ? limit : r->set.n;
    r->logits = mem_alloc_array((size_t)r->n * (size_t)f->K, sizeof *r->logits);
    r->features = f->d ? mem_alloc_array((size_t)r->n * (size_t)f->d, sizeof *r->features) : NULL;
    int rc = r->logits && (r->features || !f->d) ? 0 : ERR(err, NOMEM, "no memory for the logits of %lld images", (long long)r->n);
    if (!rc)
        rc = images_features(f->c, &r->set, r->n, r->logits, r->features, f->io, err);
    if (!rc)
        rc = keep_rows(f, r, name, labelled, err);
    if (rc)
        rows_release(r);
    return rc;
}

static struct detect_rows detect_rows_of(const struct finder *f, const struct rows *r) { return (struct detect_rows){ r->n, r->logits, f->K, r->features, f->d }; }

static int one_ood(json_t *tree, const char *path, int i, const struct finder *f, const struct detectors *d, const struct rows *in, struct err *err)
{
    char name[20];
    struct rows out;
    json_t *scores = NULL;
    snprintf(name, sizeof name, "out%d", i);
    TRY(rows_read(&out, f, path, name, false, f->o->limit, err));
    const struct detect_rows a = detect_rows_of(f, in), b = detect_rows_of(f, &out);
    int rc = detect_all(&scores, d, &a, &b, f->io->pool, err);
    if (!rc)
        rc = detect_figures(tree, path, scores, a.n + b.n, err);
    if (!rc)
        rc = evidence_put(json_object_get(tree, "ood"), path, json_pack("{s:I, s:O}", "n", (json_int_t)out.n, "scores", scores), err);
    json_decref(scores);
    rows_release(&out);
    return rc;
}

/* What detectors of features are fitted to is named with what they find. */
static int all_ood(json_t *tree, const struct finder *f, const struct rows *in, struct err *err)
{
    struct rows fit = { .n = 0 };
    struct detectors *d = NULL;
    const float *bias = NULL, *w = f->d ? classifier_head(f->c, &bias) : NULL;
    int rc = f->o->fit ? rows_read(&fit, f, f->o->fit, "fit", true, 0, err) : 0;
    if (!rc && f->z)
        rc = eval_keep_rows(f->z, "head", "w", NPZ_F32, w, f->K, f->d, err);
    if (!rc && f->z && bias)
        rc = eval_keep_rows(f->z, "head", "bias", NPZ_F32, bias, f->K, 0, err);
    if (!rc && f->o->fit) {
        const struct detect_rows r = detect_rows_of(f, &fit);
        rc = detectors_fit(&d, &r, fit.set.label, f->K, w, bias, f->io->pool, err);
    }
    if (!rc)
        rc = evidence_put(tree, "fit", f->o->fit ? json_pack("{s:s, s:I}", "images", f->o->fit, "n", (json_int_t)fit.n) : json_null(), err);
    if (!rc)
        rc = evidence_put(tree, "ood", json_object(), err);
    for (int i = 0; i < f->o->ood.n && !rc; i++)
        rc = one_ood(tree, f->o->ood.item[i], i, f, d, in, err);
    detectors_free(d);
    rows_release(&fit);
    return rc;
}

static int figures_of_attacks(json_t *tree, const json_t *r, int64_t n, struct err *err)
{
    const char *name;
    json_t *a;
    double ci[2];
    json_object_foreach(json_object_get(r, "attacks"), name, a) {
        const double accuracy = json_number_value(json_object_get(a, "accuracy"));
        TRY(interval_wilson((int64_t)llround(accuracy * (double)n), n, 0.95, ci, err));
        TRY(evidence_figure(tree, &(struct evidence_figure){ "accuracy", name, accuracy, ci[0], ci[1], n, EVIDENCE_HIGHER, "share of images that are right as they are and under the attack" }, err));
    }
    const json_t *ci_all = json_object_get(r, "ci95");
    return evidence_figure(tree, &(struct evidence_figure){ "robust_accuracy", "all attacks", json_number_value(json_object_get(r, "robust_accuracy")), json_number_value(json_array_get(ci_all, 0)),
                                                            json_number_value(json_array_get(ci_all, 1)), n, EVIDENCE_HIGHER, "share of images that none of the attacks turned: an upper bound" }, err);
}

static int fill(json_t *tree, const struct finder *f, struct rows *in, struct err *err)
{
    const struct eval_images *o = f->o;
    struct attack how[N_ATTACK];
    int n_attack = 0;
    json_t *part = NULL;
    if (o->attacks)
        TRY(read_attacks(how, &n_attack, o, err));
    TRY(rows_read(in, f, o->path, "in", true, o->limit, err));
    TRY(evidence_put(tree, "n", json_integer(in->n), err));
    TRY(calibration(&part, in->logits, &in->set, in->n, f->K, o->seed, f->io->pool, err));
    TRY(evidence_put(tree, "calibration", part, err));
    TRY(calib_report_figures(tree, NULL, part, err));
    if (o->ood.n)
        TRY(all_ood(tree, f, in, err));
    if (o->corruptions) {
        TRY(images_corruptions(&part, f->c, &in->set, in->n, in->logits, f->io, err));
        TRY(evidence_put(tree, "corruptions", part, err));
        TRY(evidence_figure(tree, &(struct evidence_figure){ "accuracy", "corruptions, mean", json_number_value(json_object_get(part, "mean")), NAN, NAN, in->n, EVIDENCE_HIGHER,
                                                             "over all kinds and strengths" }, err));
    }
    if (n_attack) {
        TRY(images_attacks(&part, f->c, &in->set, in->n, how, n_attack, f->io, err));
        TRY(evidence_put(tree, "attacks", part, err));
        TRY(figures_of_attacks(tree, part, in->n, err));
    }
    return 0;
}

/* ---- for people ---- */

/* A number, or a dash where there is none. */
static const char *shown(const char *format, double v, char text[32])
{
    if (isnan(v))
        return "-";
    snprintf(text, 32, format, v);
    return text;
}

static void print_corruptions(const json_t *r)
{
    const char *name;
    char text[32];
    json_t *list, *worst = json_object_get(r, "worst");
    if (!r)
        return;
    printf("%-16s strength 1        2        3        4        5\n", "corruption");
    json_object_foreach(json_object_get(r, "families"), name, list) {
        printf("%-16s", name);
        for (size_t i = 0; i < json_array_size(list); i++)
            printf(" %s%.4f", i ? "  " : "    ", json_number_value(json_array_get(list, i)));
        putchar('\n');
    }
    printf("mean over all %.4f, %s %% of the accuracy without; worst: %s of strength %.0f, %.4f\n", tree_number_at(r, "mean"), shown("%.1f", 100 * tree_number_at(r, "retained"), text),
           json_string_value(json_object_get(worst, "family")), tree_number_at(worst, "strength"), tree_number_at(worst, "accuracy"));
}

static void print_attacks(const json_t *r)
{
    const char *name;
    char text[32];
    json_t *a, *w;
    size_t i;
    if (!r)
        return;
    printf("%-10s %6s %7s %9s %9s %13s\n", "attack", "steps", "fooled", "of right", "accuracy", "queries, mean");
    json_object_foreach(json_object_get(r, "attacks"), name, a)
        printf("%-10s %6.0f %7.0f %9.0f %9.4f %13s\n", name, tree_number_at(a, "steps"), tree_number_at(a, "fooled"), tree_number_at(a, "n"), tree_number_at(a, "accuracy"),
               shown("%.1f", tree_number_at(a, "queries_mean"), text));
    printf("right under all of them within %.4f: %.4f, 95 %% interval %.4f to %.4f (an upper bound)\n", tree_number_at(r, "eps"), tree_number_at(r, "robust_accuracy"),
           json_number_value(json_array_get(json_object_get(r, "ci95"), 0)), json_number_value(json_array_get(json_object_get(r, "ci95"), 1)));
    json_array_foreach(json_object_get(r, "warnings"), i, w)
        printf("  %s\n", json_string_value(w));
}

static void print_all(const json_t *tree)
{
    const json_t *fit = json_object_get(tree, "fit");
    eval_print_stopped(tree);
    printf("%.0f images\n", tree_number_at(tree, "n"));
    eval_print_calibration(json_object_get(tree, "calibration"));
    print_corruptions(json_object_get(tree, "corruptions"));
    print_attacks(json_object_get(tree, "attacks"));
    if (json_is_object(fit))
        printf("scores of features are fitted to %.0f images of %s\n", tree_number_at(fit, "n"), json_string_value(json_object_get(fit, "images")));
    eval_print_ood(json_object_get(tree, "ood"));
}

/* ---- all of it ---- */

static int find(json_t *tree, struct finder *f, struct err *err)
{
    struct rows in = { .n = 0 };
    struct npz_writer z = { .n_array = 0 };
    int rc = f->o->features_out ? npz_writer_open(&z, f->o->features_out, err) : 0;
    f->z = f->o->features_out ? &z : NULL;
    if (!rc)
        rc = fill(tree, f, &in, err);
    if (!rc && f->z)
        rc = npz_writer_commit(&z, err);
    npz_writer_abort(&z);
    log_progress_end();
    rows_release(&in);
    return rc;
}

static int run(json_t *tree, const char *model, const struct eval_images *o, struct eval_stop *stop, struct pool *pool, struct err *err)
{
    struct classifier *c;
    const struct images_opts io = { .seed = (uint64_t)o->seed, .pool = pool, .progress = eval_progress, .ctx = stop };
    const bool features = o->fit || o->features_out;
    TRY(classifier_new(&c, model, &(struct classify_opts){ .slopes = o->attacks != NULL, .features = features }, pool, err));
    const struct config *m = classifier_config(c);
    struct finder f = { .c = c, .o = o, .io = &io, .K = m->n_label, .d = features ? classifier_n_feature(c) : 0 };
    const int rc = config_vision(m) ? find(tree, &f, err) : ERR(err, UNSUPPORTED, "%s reads texts, expected a classifier of images", model);
    classifier_free(c);
    return rc;
}

/* What was stopped is told as far as it went. */
int eval_images(const char *model, const struct eval_images *o, struct err *err)
{
    struct pool *pool;
    struct err stopped = { 0 };
    struct eval_stop stop = { 0 };
    char sha[SHA256_HEX];
    json_t *tree;
    TRY(check(o, err));
    TRY(cmd_pool(&pool, err));
    TRY(model_digest(model, sha, err));
    TRY(evidence_new(&tree, "images", model, sha, o->seed, err));
    int rc = evidence_put(tree, "images", json_string(o->path), err);
    if (!rc)
        rc = evidence_limit(tree, o->limit, err);
    const int found = rc ? rc : run(tree, model, o, &stop, pool, &stopped);
    if (!rc && (!found || found == ERR_STOPPED))
        rc = eval_put_complete(tree, &stop, err);
    if (rc || (found && (found != ERR_STOPPED || !json_object_get(tree, "calibration")))) {
        json_decref(tree);
        return rc ? rc : (*err = stopped, found);
    }
    TRY(eval_tell(tree, o->out, print_all, err));
    return found ? (*err = stopped, err_context(err, "this is what was found until then")) : 0;
}

bool eval_images_attack(const char *names)
{
    char name[16];
    const size_t n = strcspn(names, ",");
    if (n >= sizeof name)
        return false;
    memcpy(name, names, n);
    name[n] = 0;
    return !strcmp(name, "all") || attack_find(name) >= 0;
}
