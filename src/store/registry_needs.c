#include "store/registry_needs.h"
#include <string.h>
#include "base/tree.h"
#include "store/blob.h"
#include "store/manifest.h"

enum { MANIFEST_MAX = 64 << 20 };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for the blobs of the registry"); }

static int want(struct registry_needs *n, const char *id, int64_t bytes, const char *of, struct err *err)
{
    if (!blob_id_ok(id))
        return n->bad ? n->bad(n->ctx, of, "is named by no digest", err) : ERR(err, CORRUPT, "%.300s is named by no digest", of);
    json_t *known = json_object_get(n->blobs, id);
    if (known) {
        if (bytes >= 0)
            json_object_set_new(known, "bytes", json_integer(bytes));
        return 0;
    }
    return json_object_set_new(n->blobs, id, json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes, "of", of)) ? no_memory(err) : 0;
}

static int read_manifest(const char *folder, const char *id, json_t **list, struct manifest *m, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = blob_id_ok(id) ? blob_get(folder, id, MANIFEST_MAX, &text, err) : ERR(err, FORMAT, "it is named by no digest");
    if (!rc)
        rc = tree_parse_json(list, text.data, text.len, "manifest", err);
    if (!rc)
        rc = manifest_parse(m, *list, err);
    buf_release(&text);
    return rc;
}

static int want_files(struct registry_needs *n, const char *folder, const char *manifest, const char *of, struct err *err)
{
    struct err why;
    json_t *list = NULL;
    struct manifest m = { .n = 0 };
    int rc = read_manifest(folder, manifest, &list, &m, &why);
    if (rc) {
        json_decref(list);
        if (rc == ERR_NOMEM)
            return no_memory(err);
        return n->bad ? 0 : ERR(err, CORRUPT, "the manifest of %.200s: %.250s", of, why.msg);      /* a bad blob is found when it is looked at */
    }
    for (int i = 0; i < m.n && !rc; i++) {
        char name[800];
        snprintf(name, sizeof name, "%.200s: %.500s", of, m.file[i].name);
        rc = want(n, m.file[i].sha256, (int64_t)m.file[i].bytes, name, err);
    }
    if (!rc && json_object_set(n->views, manifest, list))
        rc = no_memory(err);
    json_decref(list);
    manifest_release(&m);
    return rc;
}

static int want_versions(struct registry_needs *n, struct db *tables, const char *folder, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, tables, "SELECT v.name, v.number, v.manifest, v.facts, d.seq FROM version v LEFT JOIN dropped d ON d.name = v.name AND d.number = v.number ORDER BY v.seq",
                 NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        char of[200], part[240];
        snprintf(of, sizeof of, "%.96s@%lld", db_text(r, 0), (long long)db_int(r, 1));
        snprintf(part, sizeof part, "%s: its manifest", of);
        rc = want(n, db_text(r, 2), -1, part, err);
        snprintf(part, sizeof part, "%s: its facts", of);
        if (!rc)
            rc = want(n, db_text(r, 3), -1, part, err);
        if (!rc && db_is_null(r, 4))
            rc = want_files(n, folder, db_text(r, 2), of, err);
        if (rc)
            break;
    }
    db_rows_free(r);
    return rc;
}

static int want_others(struct registry_needs *n, struct db *tables, const char *sql, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, tables, sql, NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        char of[700];
        snprintf(of, sizeof of, "%.96s@%.96s: %.400s", db_text(r, 0), db_text(r, 1), db_text(r, 2));
        if ((rc = want(n, db_text(r, 3), db_int(r, 4), of, err)))
            break;
    }
    db_rows_free(r);
    return rc;
}

int registry_needs_read(struct registry_needs *n, struct db *tables, const char *folder, struct err *err)
{
    n->blobs = json_object(), n->views = json_object();
    int rc = n->blobs && n->views ? want_versions(n, tables, folder, err) : no_memory(err);
    if (!rc)
        rc = want_others(n, tables, "SELECT name, number, file, blob, bytes FROM evidence ORDER BY seq, blob", err);
    if (!rc)
        rc = want_others(n, tables, "SELECT name, alias, 'its policy', blob, -1 FROM policy ORDER BY seq", err);
    if (rc)
        registry_needs_release(n);
    return rc;
}

void registry_needs_release(struct registry_needs *n)
{
    json_decref(n->blobs);
    json_decref(n->views);
    n->blobs = n->views = NULL;
}
