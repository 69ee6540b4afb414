/* cmd_registry_documents.c - lathe registry documents: what people who answer for a version have to write, as far as the registry knows it. */
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "card/read.h"
#include "cmd/cmd_registry.h"
#include "eval/evidence.h"
#include "report/card.h"
#include "report/nist.h"
#include "report/outline.h"
#include "report/report.h"
#include "store/evidence_figure.h"
#include "store/evidence_kind.h"

enum { FACTS_MAX = 1 << 20 };
static const char *out_dir, *said_path;

/* What the documents are made of. */
struct dossier { struct registry *g; struct registry_version v; json_t *shown, *history, *report, *audits, *said; char *evidence_dir; };

/* ---- evidence, as files beside the documents ---- */

/* An evaluation that came under another name, as what a stage of lathe run printed: by its kind and when it was added.  Those that were added together are i apart. */
static char *evaluation_name(const char *kind, const char *t, size_t i)
{
    char date[60];
    long micro;
    if (strspn(kind, "abcdefghijklmnopqrstuvwxyz_") != strlen(kind) || strlen(t) < 26 || t[19] != '.' || sscanf(t + 20, "%6ld", &micro) != 1)
        return NULL;
    snprintf(date, sizeof date, "%.19s.%06ld", t, (micro + (long)i) % 1000000L);
    date[13] = date[16] = '-';
    return mem_printf("%s_%s.json", !strcmp(kind, "tasks") ? "results" : kind, date);
}

/* Audits are all called report.json, and names of two pieces may be the same. */
static char *evidence_path(const struct dossier *d, const char *blob, const char *file, const char *kind)
{
    char *plain = !strcmp(kind, "audit") ? mem_printf("%s/audit-%.12s.json", d->evidence_dir, blob) : mem_printf("%s/%s", d->evidence_dir, file);
    if (!plain || !file_exists(plain) || !strcmp(kind, "audit"))
        return plain;
    mem_free(plain);
    return mem_printf("%s/%.12s-%s", d->evidence_dir, blob, file);
}

static int keep_audit(struct dossier *d, const char *path, const char *blob, const struct buf *b, struct err *err)
{
    json_t *audit;
    TRY(tree_parse_json(&audit, b->data, b->len, path, err));
    return json_array_append_new(d->audits, json_pack("{s:s, s:s, s:o}", "file", file_last_part(path), "sha256", blob, "report", audit)) ? ERR(err, NOMEM, "no memory for an audit") : 0;
}

static bool is_renamed(const char *file, const char *kind) { return evidence_is_evaluation(kind) && strcmp(kind, "watch") && !evidence_is_name(file); }

static int write_evidence(struct dossier *d, const json_t *e, size_t i, struct err *err)
{
    const char *blob = read_str(e, "blob"), *file = read_str(e, "file"), *kind = read_str(e, "kind");
    struct buf b;
    if (!blob || !file || !kind || strchr(file, '/') || !strcmp(file, ".") || !strcmp(file, ".."))
        return ERR(err, CORRUPT, "%s@%lld: evidence without a digest, a kind or a file's name", d->v.name, (long long)d->v.number);
    buf_init(&b);
    char *named = is_renamed(file, kind) ? evaluation_name(kind, read_str(e, "t") ? read_str(e, "t") : "", i) : NULL;
    char *path = evidence_path(d, blob, named ? named : file, kind);
    int rc = path ? blob_get(registry_folder(d->g), blob, EVIDENCE_BYTES_MAX, &b, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_write_all(path, b.data, b.len, err);
    if (!rc && !strcmp(kind, "audit"))
        rc = keep_audit(d, path, blob, &b, err);
    mem_free(path), mem_free(named);
    buf_release(&b);
    return rc;
}

/* Is one of the report's models this version, by what its weights and files are called? */
static bool is_ours(const struct dossier *d, int64_t i)
{
    const json_t *m = json_array_get(json_object_get(d->report, "models"), (size_t)i);
    const char *of = read_str(m, "adapter_sha256") ? read_str(m, "adapter_sha256") : read_str(m, "sha256");
    size_t k;
    json_t *f;
    if (!of || evidence_is_of(json_object_get(d->shown, "facts"), of))
        return true;
    json_array_foreach(json_object_get(d->shown, "files"), k, f)
        if (read_str(f, "sha256") && !strcmp(read_str(f, "sha256"), of))
            return true;
    return false;
}

/* Figures of other models, of which there may be evidence too, say nothing of this one. */
static void leave_out_others(struct dossier *d)
{
    json_t *figures = json_object_get(d->report, "figures");
    size_t n = 0;
    for (size_t i = json_array_size(figures); i-- > 0;) {
        const json_t *model = json_object_get(json_array_get(figures, i), "model");
        if (json_is_integer(model) && !is_ours(d, json_integer_value(model)))
            n += !json_array_remove(figures, i);
    }
    if (n)
        log_warn("%zu figures of other models than %s@%lld are left out", n, d->v.name, (long long)d->v.number);
}

/* Files that the documents do not read, as their names are not those of evidence; audits and signatures are told by the registry. */
static void say_passed_over(const struct dossier *d)
{
    json_t *e;
    size_t i;
    json_array_foreach(json_object_get(d->shown, "evidence"), i, e) {
        const char *file = read_str(e, "file"), *kind = read_str(e, "kind");
        if (file && kind && strcmp(kind, "audit") && strcmp(kind, "signature") && !is_renamed(file, kind) && !evidence_is_name(file))
            log_warn("%s (%s): its figures are not in the documents, which have those of evaluations", file, kind);
    }
}

static int gather(struct dossier *d, struct err *err)
{
    size_t i;
    json_t *e, *files = NULL;
    TRY(registry_show(d->g, &d->v, &d->shown, err));
    TRY(registry_history(d->g, d->v.name, 0, &d->history, err));
    json_array_foreach(json_object_get(d->shown, "evidence"), i, e)
        TRY(write_evidence(d, e, i, err));
    TRY(evidence_files(&files, d->evidence_dir, err));
    const int rc = report_make(&d->report, files, err);
    json_decref(files);
    TRY(rc);
    say_passed_over(d);
    leave_out_others(d);
    if (!said_path)
        return 0;
    TRY(tree_load(&d->said, said_path, FACTS_MAX, err));
    return card_facts_check(d->said, said_path, err);
}

/* ---- the documents ---- */

static int write_out(const char *name, const char *ending, const struct buf *b, struct err *err)
{
    char *path = mem_printf("%s/%s%s", out_dir, name, ending);
    const int rc = path ? file_write_all(path, b->data, b->len, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    return rc;
}

/* A tree in the forms that it has. */
static int write_forms(const char *name, const json_t *tree, int (*text)(const json_t *tree, struct buf *b, struct err *err), int (*page)(const json_t *tree, struct buf *b, struct err *err), struct err *err)
{
    struct buf b;
    buf_init(&b);
    char *json = tree_dumps(tree, JSON_INDENT(1));
    int rc = json ? buf_add_str(&b, json, err) : ERR(err, NOMEM, "no memory for a document");
    mem_free(json);
    if (!rc)
        rc = write_out(name, ".json", &b, err);
    buf_clear(&b);
    if (!rc)
        rc = text(tree, &b, err);
    if (!rc)
        rc = write_out(name, ".md", &b, err);
    buf_clear(&b);
    if (!rc && page)
        rc = page(tree, &b, err);
    if (!rc && page)
        rc = write_out(name, ".html", &b, err);
    buf_release(&b);
    return rc;
}

/* The evaluated model that this version is; -1: none of them. */
static int model_of_version(const struct dossier *d)
{
    for (int i = (int)json_array_size(json_object_get(d->report, "models")) - 1; i >= 0; i--)
        if (is_ours(d, i))
            return i;
    return -1;
}

static int write_model_card(const struct dossier *d, struct err *err)
{
    const struct card_of_model c = { .report = d->report, .i_model = model_of_version(d), .facts = d->said, .name = d->v.name };
    struct buf b;
    buf_init(&b);
    int rc = report_card(&c, &b, err);
    if (!rc)
        rc = write_out("README", ".md", &b, err);
    buf_release(&b);
    return rc;
}

static int write_bom(const struct outline_of *of, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = outline_bom(of, &b, err);
    if (!rc)
        rc = write_out("cyclonedx", ".json", &b, err);
    buf_release(&b);
    return rc;
}

static int write_documents(const struct dossier *d, struct err *err)
{
    const struct outline_of of = { .version = d->shown, .history = d->history, .report = d->report, .audits = d->audits };
    json_t *tree;
    TRY(write_model_card(d, err));
    TRY(write_bom(&of, err));
    TRY(nist_make(&tree, d->report, err));
    int rc = write_forms("nist-measure", tree, nist_text, NULL, err);
    json_decref(tree);
    for (enum outline_kind k = 0; k < N_OUTLINE && !rc; k++) {
        TRY(outline_make(&tree, k, &of, err));
        rc = write_forms(outline_name(k), tree, outline_text, outline_page, err);
        json_decref(tree);
    }
    return rc;
}

static int documents(struct registry *g, void *ctx, struct err *err)
{
    struct dossier d = { .g = g, .audits = json_array(), .evidence_dir = file_join(out_dir, "evidence") };
    int rc = d.audits && d.evidence_dir ? registry_find_text(g, ctx, &d.v, err) : ERR(err, NOMEM, "no memory for the documents");
    if (!rc && file_exists(d.evidence_dir))
        rc = ERR(err, USAGE, "--out: %s is there already, expected a folder without documents", d.evidence_dir);
    if (!rc)
        rc = file_mkdirs(d.evidence_dir, err);
    if (!rc)
        rc = gather(&d, err);
    if (!rc)
        rc = write_documents(&d, err);
    if (!rc && cmd_json)
        rc = cmd_print_json(json_pack("{s:s, s:I, s:s, s:I, s:s}", "name", d.v.name, "number", (json_int_t)d.v.number, "root", d.v.root, "evidence",
                                      (json_int_t)json_array_size(json_object_get(d.shown, "evidence")), "out", out_dir), err);
    else if (!rc)
        printf("%s@%lld: documents from %zu pieces of evidence in %s\n", d.v.name, (long long)d.v.number, json_array_size(json_object_get(d.shown, "evidence")), out_dir);
    json_decref(d.shown), json_decref(d.history), json_decref(d.report), json_decref(d.audits), json_decref(d.said);
    mem_free(d.evidence_dir);
    return rc;
}

static int run_documents(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    if (!out_dir)
        return ERR(err, USAGE, "--out is missing: the folder for the documents");
    TRY(cmd_make_folder(out_dir, err));
    return cmd_registry_with(documents, (void *)(uintptr_t)args[0], err);
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out_dir, "<folder>", "that the documents go to", 0, 0 },
    { OPT_STR, "facts", &said_path, "<file>", "for the model card: JSON or YAML with what a person knows, as of lathe report --facts", 0, 0 },
    OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_documents = {
    "registry documents", "NAME@VERSION", "write what people who answer for a version have to document, as far as the registry knows it",
    TEXT("From the version's facts, what it was made from, the journal, and its evidence (evaluations, audits of data, signatures), into the folder of --out:\n\n"
    "    README.md                     a model card in the Hugging Face Hub's form\n"
    "    nist-ai-rmf.{json,md,html}    NIST AI RMF 1.0: GOVERN, MAP, MANAGE; nist-measure.{json,md}: MEASURE\n"
    "    annex-iv.{json,md,html}       an outline of the technical documentation of Annex IV of the EU AI Act\n"
    "    gdpr.{json,md,html}           an outline of the record of processing (Article 30) and the impact assessment (Article 35)\n"
    "    cyclonedx.json                a bill of materials, CycloneDX 1.7, with the model card's figures\n"
    "    evidence/                     the files that all of it refers to\n\n",
    "Each section says what is known, with the file and the beginning of its SHA-256, and what is open.  Nothing is made up, and that a duty is met is never said:\n"
    "that is for people.  The same version with the same journal gives the same bytes.\n"),
    opts, run_documents, 1, 1,
};
