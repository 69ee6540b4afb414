#include "cmd/eval_images.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/eval_logits.h"
#include "eval/calib_report.h"
#include "eval/images.h"

static int progress(void *ctx, const char *what, int64_t done, int64_t all)
{
    (void)ctx;
    if (cmd_stop)
        return 1;
    log_progress("%s: %lld of %lld images", what, (long long)done, (long long)all);
    return 0;
}

/* ---- what is asked ---- */

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

/* part: NULL where there was no memory for it. */
static int put(json_t *tree, const char *key, json_t *part, struct err *err)
{
    return !part || json_object_set_new(tree, key, part) ? ERR(err, NOMEM, "no memory for a report") : 0;
}

static int one_ood(json_t *tree, const char *path, struct classifier *c, const float *logits, int64_t n, const struct images_opts *io, int64_t limit, struct err *err)
{
    const int K = classifier_config(c)->n_label;
    struct image_set s;
    json_t *scores = NULL;
    TRY(images_open(&s, path, c, false, err));
    const int64_t n_ood = limit && limit < s.n ? limit : s.n;
    float *other = mem_alloc_array((size_t)n_ood * (size_t)K, sizeof *other);
    int rc = other ? images_logits(c, &s, n_ood, 0, 0, other, io, err) : ERR(err, NOMEM, "no memory for the logits of %lld images", (long long)n_ood);
    if (!rc)
        rc = images_ood(&scores, logits, n, other, n_ood, K, io->pool, err);
    if (!rc)
        rc = put(tree, path, json_pack("{s:I, s:o}", "n", (json_int_t)n_ood, "scores", scores), err);
    mem_free(other);
    image_set_close(&s);
    return rc;
}

static int fill(json_t *tree, struct classifier *c, const struct image_set *s, int64_t n, float *logits, const struct eval_images *o, const struct images_opts *io, struct err *err)
{
    struct attack how[N_ATTACK];
    int n_attack = 0;
    json_t *part = NULL;
    if (o->attacks)
        TRY(read_attacks(how, &n_attack, o, err));
    TRY(images_logits(c, s, n, 0, 0, logits, io, err));
    TRY(calibration(&part, logits, s, n, classifier_config(c)->n_label, o->seed, io->pool, err));
    TRY(put(tree, "calibration", part, err));
    if (o->corruptions) {
        TRY(images_corruptions(&part, c, s, n, logits, io, err));
        TRY(put(tree, "corruptions", part, err));
    }
    if (n_attack) {
        TRY(images_attacks(&part, c, s, n, how, n_attack, io, err));
        TRY(put(tree, "attacks", part, err));
    }
    if (o->ood.n)
        TRY(put(tree, "ood", json_object(), err));
    for (int i = 0; i < o->ood.n; i++)
        TRY(one_ood(json_object_get(tree, "ood"), o->ood.item[i], c, logits, n, io, o->limit, err));
    return 0;
}

/* ---- for people ---- */

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void print_corruptions(const json_t *r)
{
    const char *name;
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
    printf("mean over all %.4f, %.1f %% of the accuracy without; worst: %s of strength %.0f, %.4f\n", number(r, "mean"), 100 * number(r, "retained"),
           json_string_value(json_object_get(worst, "family")), number(worst, "strength"), number(worst, "accuracy"));
}

static void print_attacks(const json_t *r)
{
    const char *name;
    json_t *a, *w;
    size_t i;
    if (!r)
        return;
    printf("%-10s %6s %7s %9s %9s %13s\n", "attack", "steps", "fooled", "of right", "accuracy", "queries, mean");
    json_object_foreach(json_object_get(r, "attacks"), name, a)
        printf("%-10s %6.0f %7.0f %9.0f %9.4f %13.1f\n", name, number(a, "steps"), number(a, "fooled"), number(a, "n"), number(a, "accuracy"), number(a, "queries_mean"));
    printf("right under all of them within %.4f: %.4f, 95 %% interval %.4f to %.4f (an upper bound)\n", number(r, "eps"), number(r, "robust_accuracy"),
           json_number_value(json_array_get(json_object_get(r, "ci95"), 0)), json_number_value(json_array_get(json_object_get(r, "ci95"), 1)));
    json_array_foreach(json_object_get(r, "warnings"), i, w)
        printf("  %s\n", json_string_value(w));
}

static void print_ood(const json_t *r)
{
    const char *path, *name;
    json_t *set, *s;
    json_object_foreach((json_t *)r, path, set) {
        printf("%.0f images of %s\n  %-10s %8s %18s %19s %8s %8s\n", number(set, "n"), path, "score", "auroc", "fpr95_id_positive", "fpr95_ood_positive", "aupr_in", "aupr_out");
        json_object_foreach(json_object_get(set, "scores"), name, s)
            printf("  %-10s %8.4f %18.4f %19.4f %8.4f %8.4f\n", name, number(s, "auroc"), number(s, "fpr95_id_positive"), number(s, "fpr95_ood_positive"), number(s, "aupr_in"), number(s, "aupr_out"));
    }
}

static int run(json_t *tree, const char *model, const struct eval_images *o, struct pool *pool, struct err *err)
{
    struct classifier *c;
    struct image_set s;
    const struct images_opts io = { .seed = (uint64_t)o->seed, .pool = pool, .progress = progress };
    TRY(classifier_new(&c, model, &(struct classify_opts){ .slopes = o->attacks != NULL }, pool, err));
    const struct config *m = classifier_config(c);
    int rc = config_vision(m) ? images_open(&s, o->path, c, true, err) : ERR(err, UNSUPPORTED, "%s reads texts, expected a classifier of images", model);
    if (!rc) {
        const int64_t n = o->limit && o->limit < s.n ? o->limit : s.n;
        float *logits = mem_alloc_array((size_t)n * (size_t)m->n_label, sizeof *logits);
        json_object_set_new(tree, "n", json_integer(n));
        rc = logits ? fill(tree, c, &s, n, logits, o, &io, err) : ERR(err, NOMEM, "no memory for the logits of %lld images", (long long)n);
        log_progress_end();
        mem_free(logits);
        image_set_close(&s);
    }
    classifier_free(c);
    return rc;
}

int eval_images(const char *model, const struct eval_images *o, struct err *err)
{
    struct pool *pool;
    TRY(cmd_pool(&pool, err));
    json_t *tree = json_pack("{s:s, s:s, s:I}", "model", model, "images", o->path, "seed", (json_int_t)o->seed);
    if (!tree)
        return ERR(err, NOMEM, "no memory for a report");
    const int rc = run(tree, model, o, pool, err);
    if (!rc && cmd_json)
        return cmd_print_json(tree, err);
    if (!rc) {
        printf("%.0f images\n", number(tree, "n"));
        eval_print_calibration(json_object_get(tree, "calibration"));
        print_corruptions(json_object_get(tree, "corruptions"));
        print_attacks(json_object_get(tree, "attacks"));
        print_ood(json_object_get(tree, "ood"));
    }
    json_decref(tree);
    return rc;
}
