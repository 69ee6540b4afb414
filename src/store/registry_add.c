/* registry_add.c - how a version comes into being: everything is copied in first, then one transaction makes it known.
 *
 * A collector takes blobs that no row names, with the writer's place in its hands (registry_gc.c).  So the transaction here, which has that
 * place, looks whether all blobs are there before its record names them; if not they are put again. */
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/evidence_kind.h"
#include "store/models.h"
#include "store/registry.h"
#include "store/registry_apply.h"
#include "store/registry_needs.h"

enum { TIMES = 100 };                    /* that all is put again because a collector took some of it */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to add to the registry"); }

/* ---- copying in ---- */

static int put_json(const struct registry *g, const json_t *o, char id[BLOB_ID], struct err *err)
{
    char *text = o ? tree_dumps(o, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    const int rc = text ? blob_put(registry_folder(g), text, strlen(text), id, err) : no_memory(err);
    mem_free(text);
    return rc;
}

/* A single file is kept under its own name, in a folder: its end says what it is. */
static int name_single(struct manifest *m, const char *path, struct err *err)
{
    if (m->n != 1 || strcmp(m->file[0].name, "."))
        return 0;
    if (!model_path_ok(file_last_part(path)))
        return ERR(err, FORMAT, "%.400s: expected the name of a file, in UTF-8 without control characters", path);
    char *name = mem_strdup(file_last_part(path));
    if (!name)
        return no_memory(err);
    mem_free(m->file[0].name);
    m->file[0].name = name;
    return 0;
}

static int put_manifest(const struct registry *g, const struct manifest *m, struct registry_version *v, struct err *err)
{
    TRY(manifest_root(m, v->root, err));
    json_t *list = manifest_json(m);
    const int rc = put_json(g, list, v->manifest, err);
    v->bytes = manifest_bytes(m);
    json_decref(list);
    return rc;
}

/* What lies at the top goes into the digest, too: its name, a zero, and its bytes. */
static int put_file(const struct registry *g, const char *path, struct manifest_file *f, struct sha256 *digest, struct err *err)
{
    const bool at_top = !strchr(f->name, '/');
    char *full = manifest_path(path, f->name);
    if (at_top && strcmp(f->name, "."))
        sha256_add(digest, f->name, strlen(f->name) + 1);
    const int rc = full ? blob_put_file(registry_folder(g), full, at_top ? digest : NULL, f->sha256, &f->bytes, err) : no_memory(err);
    mem_free(full);
    return rc;
}

static int put_files(const struct registry *g, const struct registry_addition *a, struct manifest *m, char digest[SHA256_HEX], struct err *err)
{
    struct sha256 all;
    TRY(sha256_init(&all, err));
    int rc = manifest_list(m, a->path, a->skip, true, err);
    for (int i = 0; i < m->n && !rc; i++)
        rc = put_file(g, a->path, &m->file[i], &all, err);
    sha256_end(&all, digest);
    return rc ? rc : name_single(m, a->path, err);
}

static int files_are_here(const struct registry *g, const struct manifest *files, struct err *err)
{
    for (int i = 0; i < files->n; i++)
        TRY(blob_stat(registry_folder(g), files->file[i].sha256, files->file[i].bytes, err));
    return 0;
}

static int put_facts(const struct registry *g, const struct registry_addition *a, const struct manifest *m, const char *digest, struct registry_version *v, struct err *err)
{
    json_t *facts = a->facts ? json_copy((json_t *)(uintptr_t)a->facts) : json_object();
    int rc = facts ? 0 : no_memory(err);
    if (!rc && a->complete)
        rc = a->complete(a->ctx, facts, m, digest, err);
    if (!rc)
        rc = put_json(g, facts, v->facts, err);
    json_decref(facts);
    return rc;
}

static int put_contents(const struct registry *g, const struct registry_addition *a, struct registry_version *v, struct err *err)
{
    struct manifest m;
    char digest[SHA256_HEX];
    if (a->files) {
        TRY(files_are_here(g, a->files, err));
        TRY(put_manifest(g, a->files, v, err));
        return put_facts(g, a, a->files, NULL, v, err);
    }
    int rc = put_files(g, a, &m, digest, err);
    if (!rc)
        rc = put_manifest(g, &m, v, err);
    if (!rc)
        rc = put_facts(g, a, &m, digest, v, err);
    manifest_release(&m);
    return rc;
}

/* Appends { blob, bytes, file, kind } of a file to the list. */
static int put_evidence(const struct registry *g, json_t *list, const char *path, struct err *err)
{
    char id[BLOB_ID];
    struct buf text;
    if (!model_path_ok(file_last_part(path)))
        return ERR(err, FORMAT, "%.300s: expected the name of a file, in UTF-8 without control characters", path);
    buf_init(&text);
    char kind[EVIDENCE_KIND];
    int rc = file_read(path, EVIDENCE_BYTES_MAX, &text, err);
    if (!rc)
        rc = blob_put(registry_folder(g), text.data, text.len, id, err);
    if (!rc) {
        evidence_kind(text.data, text.len, kind);
        if (json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:s}", "blob", id, "bytes", (json_int_t)text.len, "file", file_last_part(path), "kind", kind)))
            rc = no_memory(err);
    }
    buf_release(&text);
    return rc;
}

static int put_all_evidence(const struct registry *g, const struct registry_addition *a, json_t *list, struct err *err)
{
    for (int i = 0; i < a->n_evidence; i++)
        TRY(put_evidence(g, list, a->evidence[i], err));
    size_t i;
    json_t *kept;
    json_array_foreach((json_t *)(uintptr_t)a->kept, i, kept) {
        TRY(blob_stat(registry_folder(g), tree_text_at(kept, "blob"), BLOB_ANY_LENGTH, err));
        if (json_array_append(list, kept))
            return no_memory(err);
    }
    char *signature = a->path && !a->files && file_is_dir(a->path) ? file_join(a->path, "model.sig") : NULL;
    const int rc = signature && file_exists(signature) ? put_evidence(g, list, signature, err) : 0;
    mem_free(signature);
    return rc;
}

/* ---- the transaction ---- */

/* A collector may have taken a blob that no record named yet: 1. */
static int check_blobs(struct registry *g, const struct registry_version *v, const json_t *evidence, struct err *err)
{
    const char *folder = registry_folder(g);
    struct manifest m;
    size_t i;
    const json_t *e;
    json_array_foreach(evidence, i, e)
        if (!blob_exists(folder, tree_text_at(e, "blob")))
            return 1;
    if (!v)
        return 0;
    if (!blob_exists(folder, v->manifest) || !blob_exists(folder, v->facts))
        return 1;
    TRY(registry_manifest(g, v, &m, err));
    bool there = true;
    for (int k = 0; k < m.n && there; k++)
        there = blob_exists(folder, m.file[k].sha256);
    manifest_release(&m);
    return !there;
}

static int write_version(struct registry *g, struct registry_version *v, const struct journal_by *by, struct err *err)
{
    struct journal_head head;
    TRY(db_query_int(&v->number, registry_db(g), 0, "SELECT max(number) FROM version WHERE name = $1", DB_ARGS(DB_T(v->name)), err));
    v->number++;
    json_t *record = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I}", "action", "add", "name", v->name, "number", (json_int_t)v->number, "root",
                               v->root, "kind", v->kind, "manifest",
                               v->manifest, "facts", v->facts, "bytes", (json_int_t)v->bytes);
    const int rc = record ? registry_write(registry_db(g), record, by, &head, err) : no_memory(err);
    json_decref(record);
    if (rc)
        return rc;
    v->seq = head.seq, v->is_new = true;
    strcpy(v->t, head.t);
    return 0;
}

/* The version that has v's root; v->number 0: none has. */
static int find_same(struct registry *g, struct registry_version *v, struct err *err)
{
    int64_t number;
    TRY(db_query_int(&number, registry_db(g), 0, "SELECT number FROM version WHERE name = $1 AND root = $2", DB_ARGS(DB_T(v->name), DB_T(v->root)), err));
    if (!number)
        return 0;
    struct registry_version there;
    struct registry_ref ref = { .number = number };
    struct manifest a, b;
    strcpy(ref.name, v->name);
    TRY(registry_find(g, &ref, &there, err));
    TRY(registry_manifest(g, v, &a, err));
    int rc = registry_manifest(g, &there, &b, err);
    bool same = !rc && a.n == b.n;
    for (int i = 0; i < a.n && same && a.n > 1; i++)
        same = !strcmp(a.file[i].name, b.file[i].name);
    if (!rc && !same)
        rc = ERR(err, RANGE, "%s@%lld has the same contents under other names", v->name, (long long)number);
    manifest_release(&a);
    manifest_release(&b);
    if (!rc)
        *v = there;
    return rc;
}

static int check_kind(struct registry *g, const struct registry_version *v, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT kind FROM model WHERE name = $1", DB_ARGS(DB_T(v->name)), err));
    int rc = db_next(r, err);
    if (rc == 1)
        rc = strcmp(db_text(r, 0), v->kind) ? ERR(err, USAGE, "'%s' is of kind %s: versions of kind %s need another name", v->name, db_text(r, 0), v->kind) : 0;
    db_rows_free(r);
    return rc;
}

/* Takes out of the list what the version has already. */
static int drop_known(struct registry *g, const struct registry_version *v, json_t *list, struct err *err)
{
    for (size_t i = json_array_size(list); i-- > 0;) {
        int64_t n;
        TRY(db_query_int(&n, registry_db(g), 0, "SELECT count(*) FROM evidence WHERE name = $1 AND number = $2 AND blob = $3",
                         DB_ARGS(DB_T(v->name), DB_I(v->number), DB_T(tree_text_at(json_array_get(list, i), "blob"))), err));
        if (n)
            json_array_remove(list, i);
    }
    return 0;
}

static int write_list(struct registry *g, const struct registry_version *v, const char *action, const char *key, json_t *list, const struct journal_by *by,
                      struct err *err)
{
    struct journal_head head;
    if (!json_array_size(list))
        return 0;
    json_t *record = json_pack("{s:s, s:s, s:I, s:s, s:O}", "action", action, "name", v->name, "number", (json_int_t)v->number, "root", v->root, key, list);
    const int rc = record ? registry_write(registry_db(g), record, by, &head, err) : no_memory(err);
    json_decref(record);
    return rc;
}

/* ---- parents ---- */

#define ABOVE "WITH RECURSIVE up (id) AS (SELECT parent FROM lineage WHERE child = $1 UNION SELECT l.parent FROM lineage l JOIN up ON l.child = up.id) "

/* In the registry NAME@N; else the words that it was named with. */
static int name_parent(struct registry *g, const struct registry_version *v, const struct registry_parent *p, char *out, size_t size, struct err *err)
{
    struct registry_version parent;
    const char *at = strchr(p->parent, '@');
    TRY(journal_by_check(&(struct journal_by){ .actor = p->role, .reason = p->parent }, err));
    if (!at || memchr(p->parent, '/', (size_t)(at - p->parent))) {
        snprintf(out, size, "%s", p->parent);
        return 0;
    }
    TRY(registry_find_text(g, p->parent, &parent, err));
    char self[160];
    int64_t above;
    snprintf(out, size, "%s@%lld", parent.name, (long long)parent.number);
    snprintf(self, sizeof self, "%s@%lld", v->name, (long long)v->number);
    TRY(db_query_int(&above, registry_db(g), 0, ABOVE "SELECT count(*) FROM up WHERE id = $2", DB_ARGS(DB_T(out), DB_T(self)), err));
    return above || !strcmp(out, self) ? ERR(err, USAGE, "%s cannot come from %s, which comes from it", self, out) : 0;
}

static int list_parents(struct registry *g, const struct registry_version *v, const struct registry_addition *a, json_t *list, struct err *err)
{
    for (int i = 0; i < a->n_parent; i++) {
        char parent[JOURNAL_TEXT_MAX + 200];
        int64_t n;
        char self[160];
        TRY(name_parent(g, v, &a->parent[i], parent, sizeof parent, err));
        snprintf(self, sizeof self, "%s@%lld", v->name, (long long)v->number);
        TRY(db_query_int(&n, registry_db(g), 0, "SELECT count(*) FROM lineage WHERE child = $1 AND parent = $2 AND role = $3",
                         DB_ARGS(DB_T(self), DB_T(parent), DB_T(a->parent[i].role)), err));
        if (!n && json_array_append_new(list, json_pack("{s:s, s:s}", "parent", parent, "role", a->parent[i].role)))
            return no_memory(err);
    }
    return 0;
}

/* Within the transaction. */
static int attach(struct registry *g, const struct registry_version *v, const struct registry_addition *a, json_t *evidence, const struct journal_by *by,
                  struct err *err)
{
    json_t *parents = json_array();
    int rc = parents ? list_parents(g, v, a, parents, err) : no_memory(err);
    if (!rc)
        rc = write_list(g, v, "lineage", "parents", parents, by, err);
    if (!rc)
        rc = drop_known(g, v, evidence, err);
    if (!rc)
        rc = write_list(g, v, "evidence", "evidence", evidence, by, err);
    json_decref(parents);
    return rc;
}

static int ended(struct registry *g, int rc, struct err *err)
{
    if (!rc)
        rc = registry_claim(g, err);
    return db_end(registry_db(g), rc, err);
}

static int collected(struct err *err) { return ERR(err, BUSY, "blobs were collected while they were added, %d times: again, please", TIMES); }

static int attach_once(struct registry *g, const struct registry_version *v, const struct registry_addition *a, json_t *evidence, const struct journal_by *by,
                       struct err *err)
{
    TRY(put_all_evidence(g, a, evidence, err));
    TRY(db_begin(registry_db(g), err));
    int rc = check_blobs(g, NULL, evidence, err);
    if (!rc)
        rc = attach(g, v, a, evidence, by, err);
    return ended(g, rc, err);
}

int registry_attach(struct registry *g, const struct registry_version *v, const struct registry_addition *a, const struct journal_by *by, struct err *err)
{
    TRY(journal_by_check(by, err));
    json_t *evidence = json_array();
    int rc = evidence ? 1 : no_memory(err);
    for (int i = 0; rc == 1 && i < TIMES; i++) {
        json_array_clear(evidence);
        rc = attach_once(g, v, a, evidence, by, err);
    }
    json_decref(evidence);
    return rc == 1 ? collected(err) : rc;
}

/* The files of a version whose bytes were removed are there again. */
static int refill(struct registry *g, const struct registry_version *v, const struct journal_by *by, struct err *err)
{
    struct registry_drop drop;
    struct journal_head head;
    TRY(registry_dropped(g, v, &drop, err));
    if (!drop.seq)
        return 0;
    json_t *record = json_pack("{s:s, s:s, s:I, s:s}", "action", "refill", "name", v->name, "number", (json_int_t)v->number, "root", v->root);
    const int rc = record ? registry_write(registry_db(g), record, by, &head, err) : no_memory(err);
    json_decref(record);
    return rc;
}

static int make_known(struct registry *g, const struct registry_addition *a, json_t *evidence, const struct journal_by *by, struct registry_version *v,
                      struct err *err)
{
    const int gone = check_blobs(g, v, evidence, err);
    if (gone)
        return gone;
    TRY(check_kind(g, v, err));
    TRY(find_same(g, v, err));
    if (!v->number)
        TRY(write_version(g, v, by, err));
    else
        TRY(refill(g, v, by, err));
    return attach(g, v, a, evidence, by, err);
}

static int add_once(struct registry *g, const struct registry_addition *a, json_t *evidence, const struct journal_by *by, struct registry_version *v,
                    struct err *err)
{
    *v = (struct registry_version){ .number = 0 };
    strcpy(v->name, a->name);
    strcpy(v->kind, a->kind);
    TRY(put_contents(g, a, v, err));
    TRY(put_all_evidence(g, a, evidence, err));
    TRY(db_begin(registry_db(g), err));
    return ended(g, make_known(g, a, evidence, by, v, err), err);
}

int registry_add(struct registry *g, const struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err)
{
    *out = (struct registry_version){ .number = 0 };
    if (!registry_name_ok(a->name))
        return ERR(err, USAGE, "found the name '%.200s', expected letters, digits, '.', '_' and '-', at most %d, the first no point", a->name,
                   REGISTRY_NAME - 1);
    if (strcmp(a->kind, "model") && strcmp(a->kind, "data"))
        return ERR(err, USAGE, "found the kind '%.100s', expected model or data", a->kind);
    TRY(journal_by_check(by, err));
    json_t *evidence = json_array();
    int rc = evidence ? 1 : no_memory(err);
    for (int i = 0; rc == 1 && i < TIMES; i++) {
        json_array_clear(evidence);
        rc = add_once(g, a, evidence, by, out, err);
    }
    json_decref(evidence);
    return rc == 1 ? collected(err) : rc;
}
