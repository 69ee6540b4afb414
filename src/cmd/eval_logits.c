#include "cmd/eval_logits.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/diagram.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_ood.h"
#include "eval/calib_file.h"
#include "eval/calib_report.h"
#include "eval/evidence.h"

/* ---- numbers of the report, which may be null ---- */

static const char *shown(double v, char text[32])
{
    if (isnan(v))
        return "-";
    snprintf(text, 32, fabs(v) < 1000 ? "%.4f" : "%.6g", v);
    return text;
}

/* ---- for people ---- */

static void print_metrics(const json_t *metrics, const json_t *after)
{
    char text[6][32];
    const char *name;
    json_t *m;
    printf("%-40s %9s %12s %12s %8s %15s\n", "metric", "value", "calibrated", "95 % below", "p", "at temperature");
    json_object_foreach((json_t *)metrics, name, m) {
        if (!strcmp(name, "accuracy"))           /* stands above, with its interval */
            continue;
        printf("%-40s %9s %12s %12s %8s %15s\n", name, shown(tree_number_at(m, "value"), text[0]), shown(tree_number_at(m, "null_mean"), text[1]), shown(tree_number_at(m, "null_q95"), text[2]),
               shown(tree_number_at(m, "p"), text[3]), shown(tree_number_at(json_object_get(after, name), "value"), text[4]));
    }
}

static void print_temperature(const json_t *t)
{
    char text[3][32];
    const char *status = json_string_value(json_object_get(t, "status")), *why = json_string_value(json_object_get(json_object_get(t, "cross_fit"), "status"));
    if (isnan(tree_number_at(t, "T")))
        printf("temperature: none makes NLL least (%s)\n", status ? status : "not fitted");
    else if (why)
        printf("temperature: %s makes NLL least, %s -> %s; not fitted to a part (%s)\n", shown(tree_number_at(t, "T"), text[0]), shown(tree_number_at(t, "nll_before"), text[1]),
               shown(tree_number_at(t, "nll_after"), text[2]), why);
    else
        printf("temperature: %s makes NLL least, %s -> %s; the last column is of items that it was not fitted to\n", shown(tree_number_at(t, "T"), text[0]), shown(tree_number_at(t, "nll_before"), text[1]),
               shown(tree_number_at(t, "nll_after"), text[2]));
}

static void print_conformal(const json_t *c)
{
    static const char *const kinds[] = { "thr", "aps", "raps" };
    char text[4][32];
    if (!json_is_object(c))
        return;
    printf("sets that hold the right answer with %.0f %% (fitted to %.0f items, measured on %.0f: nine times in ten within %s to %s)\n", 100 * (1 - tree_number_at(c, "alpha")), tree_number_at(c, "n_fit"),
           tree_number_at(c, "n_measured"), shown(tree_entry_at(c, "measured_range90", 0), text[0]), shown(tree_entry_at(c, "measured_range90", 1), text[1]));
    for (int i = 0; i < 3; i++) {
        const json_t *k = json_object_get(c, kinds[i]), *worst = json_object_get(k, "worst_class");
        printf("  %-5s coverage %s, mean size %s", kinds[i], shown(tree_number_at(k, "coverage"), text[0]), shown(tree_number_at(k, "size_mean"), text[1]));
        if (worst)
            printf("; worst class %.0f: %s", tree_number_at(worst, "class"), shown(tree_number_at(worst, "coverage"), text[2]));
        putchar('\n');
    }
}

static void print_selective(const json_t *s)
{
    char text[4][32];
    printf("answers with the highest confidence first: AURC %s, %s at best; accuracy of the first tenth %s, of the first half %s\n", shown(tree_number_at(s, "aurc.mean"), text[0]),
           shown(tree_number_at(s, "aurc.best"), text[1]), shown(tree_number_at(json_object_get(s, "accuracy_at"), "0.1"), text[2]), shown(tree_number_at(json_object_get(s, "accuracy_at"), "0.5"), text[3]));
}

void eval_print_calibration(const json_t *r)
{
    char text[3][32];
    const json_t *accuracy = json_object_get(r, "accuracy"), *t = json_object_get(r, "temperature");
    printf("accuracy %s, 95 %% interval %s to %s; %s\n", shown(tree_number_at(accuracy, "value"), text[0]), shown(tree_entry_at(accuracy, "ci95", 0), text[1]), shown(tree_entry_at(accuracy, "ci95", 1), text[2]),
           json_is_true(json_object_get(r, "miscalibrated")) ? "miscalibrated (ECE is above that of 95 of 100 calibrated models with these confidences)" :
                                                               "not shown to be miscalibrated");
    print_metrics(json_object_get(r, "metrics"), json_object_get(json_object_get(t, "cross_fit"), "metrics"));
    print_temperature(t);
    print_conformal(json_object_get(r, "conformal"));
    print_selective(json_object_get(r, "selective"));
}

/* ---- the diagram ---- */

static int write_diagram(const struct calib_file *f, const json_t *report, const char *path, struct err *err)
{
    const struct calib_report_opts o = CALIB_REPORT_OPTS;
    const int n_bin = o.n_bin;
    struct calib_bin bins[32];
    struct calib *c;
    struct buf svg;
    char note[200];
    const json_t *ece = json_object_get(json_object_get(report, "metrics"), "ece.equal_width.15");
    snprintf(note, sizeof note, "ECE %.4f, 95 of 100 calibrated below %.4f", tree_number_at(ece, "value"), tree_number_at(ece, "null_q95"));
    TRY(calib_new(&c, &f->items, n_bin, err));
    buf_init(&svg);
    int rc = calib_reliability(c, bins, err);
    if (!rc)
        rc = diagram_reliability(&svg, "Reliability", note, bins, n_bin, err);
    if (!rc)
        rc = file_write_all(path, svg.data, svg.len, err);
    buf_release(&svg);
    calib_free(c);
    return rc;
}

static void print_all(const json_t *report)
{
    printf("%.0f items, %s '%s', labels '%s'\n", tree_number_at(report, "n"), json_string_value(json_object_get(report, "input")), json_string_value(json_object_get(report, "scores")),
           json_string_value(json_object_get(report, "labels")));
    eval_print_calibration(report);
}

static int evidence_of(json_t **out, const char *path, const struct calib_file *f, const json_t *report, int64_t seed, struct err *err)
{
    json_t *tree;
    TRY(evidence_new(&tree, "calibration", NULL, NULL, seed, err));
    int rc = evidence_put(tree, "file", json_string(path), err);
    if (!rc)
        rc = evidence_put(tree, "scores", json_string(f->scores), err);
    if (!rc)
        rc = evidence_put(tree, "labels", json_string(f->labels), err);
    if (!rc && json_object_update(tree, (json_t *)report))
        rc = ERR(err, NOMEM, "no memory for a report");
    if (!rc)
        rc = evidence_put(tree, "complete", json_true(), err);
    if (!rc)
        rc = calib_report_figures(tree, NULL, report, err);
    if (rc)
        json_decref(tree);
    else
        *out = tree;
    return rc;
}

int eval_logits(const char *path, const char *diagram, const char *out, int64_t seed, struct err *err)
{
    struct calib_file f = { 0 };
    struct calib_report_opts o = CALIB_REPORT_OPTS;
    struct pool *pool;
    json_t *report = NULL, *tree = NULL;
    o.seed = (uint64_t)seed;
    TRY(cmd_pool(&pool, err));
    int rc = calib_file_read(&f, path, NULL, NULL, NULL, err);
    if (!rc)
        rc = calib_report(&report, &f.items, &o, pool, err);
    if (!rc && diagram)
        rc = write_diagram(&f, report, diagram, err);
    if (!rc)
        rc = evidence_of(&tree, path, &f, report, seed, err);
    if (!rc)
        rc = eval_tell(tree, out, print_all, err);
    json_decref(report);
    calib_file_release(&f);
    return rc;
}
