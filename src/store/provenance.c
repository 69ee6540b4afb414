#include "store/provenance.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"
#include "store/evidence_figure.h"
#include "store/evidence_kind.h"

#define STATEMENT "https://in-toto.io/Statement/v1"
#define TEST_RESULT "https://in-toto.io/attestation/test-result/v0.1"
#define SLSA "https://slsa.dev/provenance/v1"

enum { TAIL = 64 << 10 };

/* Takes the predicate. */
static int write_statement(struct buf *out, const char *name, const char *root, const char *type, json_t *predicate, struct err *err)
{
    json_t *o = predicate ? json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:o}", "_type", STATEMENT, "subject", "name", name, "digest", "sha256", root, "predicateType", type, "predicate", predicate) : NULL;
    char *text = o ? tree_dumps(o, JSON_COMPACT) : NULL;
    const int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory for a statement");
    mem_free(text);
    json_decref(o);
    return rc;
}

static int add(json_t *list, json_t *item, struct err *err) { return item && !json_array_append_new(list, item) ? 0 : ERR(err, NOMEM, "no memory for a statement"); }

static json_t *descriptor(const char *name, const char *sha256) { return json_pack("{s:s, s:{s:s}}", "name", name, "digest", "sha256", sha256); }

/* ---- an evaluation ---- */

int provenance_need_parse(struct provenance_need *out, const char *text, struct err *err)
{
    const size_t n = strcspn(text, "<>="), op = strspn(text + n, "<>=");
    char *end = NULL;
    *out = (struct provenance_need){ .value = NAN };
    if (n && n < sizeof out->name && op && op < sizeof out->op) {
        memcpy(out->name, text, n);
        memcpy(out->op, text + n, op);
        out->value = strtod(text + n + op, &end);
    }
    if (!end || end == text + n + op || *end || !isfinite(out->value) || word_index(out->op, op, ">=|<=|==|>|<") < 0)
        return ERR(err, USAGE, "a requirement is '%.200s', expected NAME>=NUMBER (or <=, >, <, ==)", text);
    return 0;
}

static bool holds(const struct provenance_need *w, double v)
{
    const bool equal = v == w->value;
    return !strcmp(w->op, "==") ? equal : *w->op == '>' ? v > w->value || (w->op[1] && equal) : v < w->value || (w->op[1] && equal);
}

struct evaluation {
    json_t *configuration, *passed, *failed;
    const char *model_sha256;
    double *value;                       /* of each need; NAN: not found yet */
};

static int read_evidence(struct evaluation *e, const char *path, const struct provenance_need *need, int n_need, struct err *err)
{
    char sha256[SHA256_HEX];
    json_t *o;
    TRY(sha256_of_file(path, sha256, err));
    TRY(tree_load(&o, path, EVIDENCE_BYTES_MAX, err));
    const char *of = evidence_model(o);
    int rc = *of && strcmp(of, e->model_sha256) ? ERR(err, GATE, "%.300s is of another model: sha256 %.12s.., expected %.12s..", path, of, e->model_sha256) : 0;
    if (!rc && evidence_was_stopped(o))
        rc = ERR(err, GATE, "%.300s is of an evaluation that was stopped before its end", path);
    if (!rc && evidence_was_limited(o))
        rc = ERR(err, GATE, "%.300s is of an evaluation of the first items alone (--limit)", path);
    for (int i = 0; i < n_need && !rc; i++)
        if (isnan(e->value[i]))
            e->value[i] = evidence_figure_value(o, need[i].name);
    json_decref(o);
    return rc ? rc : add(e->configuration, descriptor(file_last_part(path), sha256), err);
}

static int judge(struct evaluation *e, const struct provenance_need *need, int n_need, struct err *err)
{
    for (int i = 0; i < n_need; i++) {
        char text[260];
        if (isnan(e->value[i]))
            return ERR(err, NOTFOUND, "no evidence has a figure '%s'", need[i].name);
        snprintf(text, sizeof text, "%s%s%.10g", need[i].name, need[i].op, need[i].value);
        TRY(add(holds(&need[i], e->value[i]) ? e->passed : e->failed, json_string(text), err));
    }
    return 0;
}

int provenance_evaluation(struct buf *out, bool *passed, const char *name, const char *root, const char *model_sha256, const char *const *file, int n_file,
                          const struct provenance_need *need, int n_need, struct err *err)
{
    struct evaluation e = { json_array(), json_array(), json_array(), model_sha256, mem_alloc_array((size_t)n_need, sizeof *e.value) };
    int rc = n_need && n_file ? 0 : ERR(err, USAGE, "an evaluation has evidence, and requirements of which it says whether they are met");
    if (!rc && (!e.configuration || !e.passed || !e.failed || !e.value))
        rc = ERR(err, NOMEM, "no memory for a statement");
    for (int i = 0; i < n_need && !rc; i++)
        e.value[i] = NAN;
    for (int i = 0; i < n_file && !rc; i++)
        rc = read_evidence(&e, file[i], need, n_need, err);
    if (!rc && !(rc = judge(&e, need, n_need, err))) {
        *passed = !json_array_size(e.failed);
        rc = write_statement(out, name, root, TEST_RESULT,
                             json_pack("{s:s, s:O, s:O, s:[], s:O}", "result", *passed ? "PASSED" : "FAILED", "configuration", e.configuration, "passedTests", e.passed, "warnedTests", "failedTests", e.failed), err);
    }
    mem_free(e.value);
    json_decref(e.configuration), json_decref(e.passed), json_decref(e.failed);
    return rc;
}

/* ---- a training run ---- */

static void date_of(double ms, char out[WHEN_TEXT]) { when_seconds(out, ms >= 0 && ms < 1e15 ? (int64_t)(ms / 1000) : 0); }

/* unix_ms of the last line of metrics.jsonl; that of the start where there is none. */
static int end_of(double *ms, const char *path, struct err *err)
{
    struct file_stream s;
    json_t *o;
    TRY(file_stream_open(&s, path, err));
    char *tail = mem_alloc(TAIL);
    int64_t n = 0;
    int rc = !tail ? ERR(err, NOMEM, "no memory to read %.300s", path) : s.size > TAIL ? file_stream_seek(&s, s.size - TAIL, err) : 0;
    while (!rc) {
        const int64_t got = file_stream_read(&s, tail + n, (size_t)(TAIL - n), err);
        rc = (int)(got < 0 ? got : 0);
        n += got > 0 ? got : 0;
        if (got <= 0 || n == TAIL)
            break;
    }
    while (n && !rc && tail[n - 1] == '\n')
        n--;
    int64_t begin = n;
    while (begin && tail[begin - 1] != '\n')
        begin--;
    if (!rc && n > begin && !(rc = tree_parse_json(&o, tail + begin, (size_t)(n - begin), path, err))) {
        *ms = isnan(tree_number_at(o, "unix_ms")) ? *ms : tree_number_at(o, "unix_ms");
        json_decref(o);
    }
    mem_free(tail);
    file_stream_close(&s);
    return rc;
}

/* Data as it lies there now, where it has the size that the run saw. */
static int add_data(json_t *list, const json_t *data, struct err *err)
{
    const char *path = tree_text_at(data, "path"), *role = tree_text_at(data, "role");
    struct manifest m;
    char root[SHA256_HEX];
    if (!file_exists(path))
        return add(list, json_pack("{s:s, s:s}", "name", role, "uri", path), err);
    struct file_usage use = { 0 };               /* as the run counts: all files, those too that are no part of a manifest (.gitattributes) */
    if (file_is_dir(path))
        TRY(file_usage_followed(path, &use, err));
    TRY(manifest_list(&m, path, NULL, true, err));
    const double bytes = tree_number_at(data, "bytes"), now = file_is_dir(path) ? (double)use.bytes : (double)manifest_bytes(&m);
    int rc = now == bytes ? 0 : ERR(err, CORRUPT, "%.300s has %.0f bytes, the run read %.0f: it was changed since", path, now, bytes);
    if (!rc && !(rc = manifest_hash(&m, path, err)) && !(rc = manifest_root(&m, root, err)))
        rc = add(list, json_pack("{s:s, s:s, s:{s:s}}", "name", role, "uri", path, "digest", "sha256", root), err);
    manifest_release(&m);
    return rc;
}

static int add_file(json_t *list, const char *run, const char *name, struct err *err)
{
    char *path = file_join(run, name), sha256[SHA256_HEX];
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (!rc && file_exists(path) && !(rc = sha256_of_file(path, sha256, err)))
        rc = add(list, descriptor(name, sha256), err);
    mem_free(path);
    return rc;
}

static int find_dependencies(json_t *list, const json_t *facts, const char *run, struct err *err)
{
    const json_t *data;
    size_t i;
    char sha256[SHA256_HEX];
    json_array_foreach(json_object_get(facts, "data"), i, data)
        TRY(add_data(list, data, err));
    TRY(add_file(list, run, "data/train.tok", err));
    TRY(add_file(list, run, "data/valid.tok", err));
    TRY(sha256_of_file("/proc/self/exe", sha256, err));
    return add(list, descriptor("lathe", sha256), err);
}

static json_t *training_of(const json_t *facts, json_t *dependencies, json_t *byproducts, const char *version, double begin, double end)
{
    char id[40], started[32], finished[32];
    snprintf(id, sizeof id, "%.0f", begin);
    date_of(begin, started), date_of(end, finished);
    return json_pack("{s:{s:s, s:{s:O?, s:O?, s:O?}, s:{}, s:O}, s:{s:{s:s, s:{s:s}}, s:{s:s, s:s, s:s}, s:O}}", "buildDefinition", "buildType", "urn:lathe:train:v1", "externalParameters", "config",
                     json_object_get(facts, "config"), "settings", json_object_get(facts, "settings"), "model", json_object_get(facts, "model"), "internalParameters", "resolvedDependencies", dependencies,
                     "runDetails", "builder", "id", "urn:lathe:builder", "version", "lathe", version, "metadata", "invocationId", id, "startedOn", started, "finishedOn", finished, "byproducts", byproducts);
}

int provenance_training(struct buf *out, const char *name, const char *root, const char *run, const char *version, struct err *err)
{
    char *facts_path = file_join(run, "run.json"), *metrics = file_join(run, "metrics.jsonl");
    json_t *facts = NULL, *dependencies = json_array(), *byproducts = json_array();
    int rc = facts_path && metrics && dependencies && byproducts ? tree_load(&facts, facts_path, EVIDENCE_BYTES_MAX, err) : ERR(err, NOMEM, "no memory for a statement");
    const double begin = facts ? tree_number_at(facts, "unix_ms") : 0;
    double end = begin;
    if (!rc && isnan(begin))
        rc = ERR(err, FORMAT, "%.300s is not what a run of lathe train leaves", facts_path);
    if (!rc && !(rc = end_of(&end, metrics, err)) && !(rc = find_dependencies(dependencies, facts, run, err)) && !(rc = add_file(byproducts, run, "metrics.jsonl", err)))
        rc = add_file(byproducts, run, "run.json", err);
    if (!rc)
        rc = add_file(byproducts, run, "model.safetensors", err);
    if (!rc)
        rc = write_statement(out, name, root, SLSA, training_of(facts, dependencies, byproducts, version, begin, end), err);
    json_decref(facts), json_decref(dependencies), json_decref(byproducts);
    mem_free(facts_path), mem_free(metrics);
    return rc;
}

/* ---- reading ---- */

const char *provenance_kind(const struct dsse *d)
{
    json_t *o;
    struct err none;
    const char *kind = NULL;
    if (tree_parse_json(&o, d->payload.data, d->payload.len, "payload", &none))
        return NULL;
    const char *type = json_is_object(o) ? tree_text_at(o, "predicateType") : "";
    kind = !strcmp(type, TEST_RESULT) ? "evaluation" : !strcmp(type, SLSA) ? "training" : NULL;
    json_decref(o);
    return kind;
}

int provenance_read(json_t **predicate, const struct dsse *d, const char *root, const char *where, struct err *err)
{
    json_t *o;
    *predicate = NULL;
    TRY(tree_parse_json(&o, d->payload.data, d->payload.len, where, err));
    const json_t *subject = json_object_get(o, "subject");
    const char *of = tree_text_at(json_object_get(json_array_get(subject, 0), "digest"), "sha256");
    int rc = 0;
    if (strcmp(tree_text_at(o, "_type"), STATEMENT) || json_array_size(subject) != 1 || !json_is_object(json_object_get(o, "predicate")))
        rc = ERR(err, FORMAT, "%.300s: the statement is not %s with one subject and a predicate", where, STATEMENT);
    else if (strcmp(of, root))
        rc = ERR(err, GATE, "the statement is about sha256:%.12s.., and the model is sha256:%.12s..", of, root);
    else
        *predicate = json_incref(json_object_get(o, "predicate"));
    json_decref(o);
    return rc;
}
