/* serve_reports.c - what the registry has of a version, as pages for people. */
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "card/card.h"
#include "cmd/serve_views.h"
#include "report/report.h"
#include "store/evidence_kind.h"
#include "train/page.h"

/* ---- one piece ---- */

static int audit_page(const char *name, const json_t *tree, struct buf *out, struct err *err)
{
    struct buf text[CARD_DOCUMENTS];
    struct card_result result;
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        buf_init(&text[i]);
    int rc = card_make(tree, &(struct card_opts){ .name = name }, text, &result, err);
    if (!rc)
        rc = buf_add(out, text[0].data, text[0].len, err);
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        buf_release(&text[i]);
    return rc;
}

/* As eval/evidence.h's files are. */
static json_t *as_file(const json_t *entry, json_t *tree)
{
    const bool tasks = !strcmp(tree_text_at(entry, "kind"), "tasks");
    json_t *evidence = tasks ? json_pack("{s:s, s:O?, s:O}", "kind", "tasks", "date", json_object_get(tree, "date"), "results", tree) : json_incref(tree);
    return json_pack("{s:O, s:O, s:O, s:o}", "file", json_object_get(entry, "file"), "sha256", json_object_get(entry, "blob"), "bytes", json_object_get(entry, "bytes"), "evidence", evidence);
}

static int evaluations_page(const char *name, const json_t *files, struct buf *out, struct err *err)
{
    json_t *report;
    TRY(report_make(&report, files, err));
    const int rc = report_page(report, name, out, err);
    json_decref(report);
    return rc;
}

static int load(struct registry *g, const json_t *entry, struct buf *text, json_t **tree, struct err *err)
{
    *tree = NULL;
    TRY(blob_get(registry_folder(g), tree_text_at(entry, "blob"), EVIDENCE_BYTES_MAX, text, err));
    return text->len && *text->data == '{' ? tree_parse_json(tree, text->data, text->len, tree_text_at(entry, "file"), err) : 0;
}

static int one_evaluation(const char *name, const json_t *entry, json_t *tree, struct buf *out, struct err *err)
{
    json_t *files = json_pack("[o]", as_file(entry, tree));
    const int rc = files ? evaluations_page(name, files, out, err) : ERR(err, NOMEM, "no memory for a report");
    json_decref(files);
    return rc;
}

static int indented(const json_t *tree, struct buf *out, struct err *err)
{
    char *text = tree_dumps(tree, JSON_INDENT(2));
    const int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory for a file");
    mem_free(text);
    return rc;
}

static bool is_page(const struct buf *b)
{
    const char *p = b->data ? b->data + strspn(b->data, " \t\r\n") : "";
    return !strncasecmp(p, "<!doctype html", 14) || !strncasecmp(p, "<html", 5);
}

static int piece(struct registry *g, const char *name, const json_t *entry, struct buf *out, bool *html, struct err *err)
{
    const char *kind = tree_text_at(entry, "kind");
    struct buf text;
    json_t *tree;
    buf_init(&text);
    int rc = load(g, entry, &text, &tree, err);
    *html = !rc && (tree ? evidence_is_evaluation(kind) || !strcmp(kind, "audit") : is_page(&text));
    if (!rc)
        rc = !tree ? buf_add(out, text.data, text.len, err) : !*html ? indented(tree, out, err) : !strcmp(kind, "audit") ? audit_page(name, tree, out, err) : one_evaluation(name, entry, tree, out, err);
    json_decref(tree);
    buf_release(&text);
    return rc;
}

/* ---- all of it ---- */

static int all_evaluations(struct registry *g, const char *name, const json_t *list, struct buf *out, struct err *err)
{
    json_t *files = json_array();
    const json_t *entry;
    size_t i;
    int rc = files ? 0 : ERR(err, NOMEM, "no memory for a report");
    json_array_foreach(list, i, entry) {
        struct buf text;
        json_t *tree;
        if (rc || !evidence_is_evaluation(tree_text_at(entry, "kind")))
            continue;
        buf_init(&text);
        rc = load(g, entry, &text, &tree, err);
        if (!rc && tree && json_array_append_new(files, as_file(entry, tree)))
            rc = ERR(err, NOMEM, "no memory for a report");
        json_decref(tree);
        buf_release(&text);
    }
    if (!rc && !json_array_size(files))
        rc = ERR(err, NOTFOUND, "%s has no evaluation among its evidence", name);
    rc = rc ? rc : evaluations_page(name, files, out, err);
    json_decref(files);
    return rc;
}

static int training(struct registry *g, const struct registry_version *v, const char *name, struct buf *out, struct err *err)
{
    struct history h;
    char *path;
    TRY(registry_path(g, v, &path, err));
    int rc = history_init(&h, err);
    if (!rc) {
        rc = history_load(&h, path, err);
        rc = rc ? rc : page_write(&h, name, out, err);
        history_release(&h);
    }
    mem_free(path);
    return rc;
}

int serve_report(void *ctx, struct registry *g, const struct registry_version *v, const char *what, struct buf *out, bool *html, struct err *err)
{
    (void)ctx;
    char name[REGISTRY_NAME + 24];
    json_t *list, *entry;
    size_t i;
    int rc = ERR(err, NOTFOUND, "there is no such report");
    snprintf(name, sizeof name, "%s@%lld", v->name, (long long)v->number);
    *html = true;
    if (!strcmp(what, "training"))
        return training(g, v, name, out, err);
    TRY(registry_evidence(g, v, &list, err));
    if (!strcmp(what, "evaluations"))
        rc = all_evaluations(g, name, list, out, err);
    else
        json_array_foreach(list, i, entry)
            if (!strcmp(tree_text_at(entry, "blob"), what)) {
                rc = piece(g, name, entry, out, html, err);
                break;
            }
    json_decref(list);
    return rc;
}
