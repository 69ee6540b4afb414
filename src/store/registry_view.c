/* registry_view.c - a version's files under their own names: hard links to the blobs.
 *
 * A view is made beside its place and renamed into it, so that it is whole when it is there; one whose links do not lead to the blobs is made again. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/models.h"
#include "store/registry.h"

static bool is_link(const char *blob, const char *dir, const char *name)
{
    char *path = file_join(dir, name);
    const bool same = path && blob && file_same(blob, path);
    mem_free(path);
    return same;
}

static bool is_whole(const char *folder, const struct manifest *m, const char *dir)
{
    bool whole = file_is_dir(dir);
    for (int i = 0; i < m->n && whole; i++) {
        char *blob = blob_path(folder, m->file[i].sha256);
        whole = is_link(blob, dir, m->file[i].name);
        mem_free(blob);
    }
    return whole;
}

static int make_parent(const char *path, struct err *err)
{
    char *dir = mem_strdup(path);
    if (!dir)
        return ERR(err, NOMEM, "no memory for the path of a version");
    *strrchr(dir, '/') = 0;
    const int rc = file_mkdirs(dir, err);
    mem_free(dir);
    return rc;
}

static int link_file(const char *folder, const char *id, const char *dir, const char *name, struct err *err)
{
    char *blob = blob_path(folder, id), *path = file_join(dir, name);
    int rc = blob && path ? make_parent(path, err) : ERR(err, NOMEM, "no memory for the path of a version");
    if (!rc && link(blob, path))
        rc = errno == ENOENT ? ERR(err, CORRUPT, "blob %s of '%.200s' is not there", id, name)
                             : ERR_ERRNO(err, "cannot link %.300s (a registry's file system needs hard links)", path);
    mem_free(path);
    mem_free(blob);
    return rc;
}

/* Two may do it at once: the first one's stays. */
static int put_in_place(const char *folder, const struct manifest *m, const char *made, const char *dir, struct err *err)
{
    if (!is_whole(folder, m, dir))
        TRY(file_remove_tree(dir, err));
    if (!rename(made, dir))
        return 0;
    return is_whole(folder, m, dir) ? 0 : ERR_ERRNO(err, "cannot rename %.300s", made);
}

static int make(const char *folder, const struct manifest *m, const char *dir, struct err *err)
{
    char *made;
    TRY(blob_temporary(&made, dir, err));
    int rc = file_mkdirs(made, err);
    for (int i = 0; i < m->n && !rc; i++)
        rc = link_file(folder, m->file[i].sha256, made, m->file[i].name, err);
    if (!rc)
        rc = put_in_place(folder, m, made, dir, err);
    file_remove_tree(made, NULL);
    mem_free(made);
    return rc;
}

/* A signature is no part of the files that it signs, but whoever loads them looks for it beside them. */
static int add_signature(struct registry *g, const struct registry_version *v, const char *dir, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT blob FROM evidence WHERE name = $1 AND number = $2 AND kind = 'signature' ORDER BY seq DESC LIMIT 1",
                 DB_ARGS(DB_T(v->name), DB_I(v->number)), err));
    int rc = db_next(r, err);
    if (rc == 1) {
        char *blob = blob_path(registry_folder(g), db_text(r, 0)), *path = file_join(dir, "model.sig");
        rc = blob && path ? 0 : ERR(err, NOMEM, "no memory for the path of a signature");
        if (!rc && !file_same(blob, path)) {
            unlink(path);
            if (link(blob, path) && errno != EEXIST)
                rc = ERR_ERRNO(err, "cannot link %.300s", path);
        }
        mem_free(path);
        mem_free(blob);
    }
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

/* What of it a model is loaded from: the folder, or its only model of GGUF. */
static char *loaded_from(const struct manifest *m, const char *dir)
{
    const char *only = NULL;
    for (int i = 0; i < m->n; i++) {
        if (!model_is_gguf(m->file[i].name))
            continue;
        if (only)
            return mem_strdup(dir);
        only = m->file[i].name;
    }
    return only && !manifest_find(m, "config.json") ? file_join(dir, only) : mem_strdup(dir);
}

/* As put_manifest() names it. */
static int view_dir(struct registry *g, const struct manifest *files, char **dir, struct err *err)
{
    char id[BLOB_ID];
    json_t *list = manifest_json(files);
    char *text = list ? tree_dumps(list, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    int rc = text ? sha256_of(text, strlen(text), id, err) : ERR(err, NOMEM, "no memory for the path of a version");
    *dir = rc ? NULL : mem_printf("%s/versions/%s", registry_folder(g), id);
    mem_free(text);
    json_decref(list);
    return rc || *dir ? rc : ERR(err, NOMEM, "no memory for the path of a version");
}

int registry_view(struct registry *g, const struct manifest *files, char **out, struct err *err)
{
    char *dir;
    TRY(view_dir(g, files, &dir, err));
    int rc = is_whole(registry_folder(g), files, dir) ? 0 : make(registry_folder(g), files, dir, err);
    if (!rc && !(*out = loaded_from(files, dir)))
        rc = ERR(err, NOMEM, "no memory for the path of a version");
    mem_free(dir);
    return rc;
}

int registry_view_drop(struct registry *g, const struct manifest *files, struct err *err)
{
    char *dir;
    int64_t n;
    TRY(view_dir(g, files, &dir, err));
    int rc = db_query_int(&n, registry_db(g), 0, "SELECT count(*) FROM version WHERE manifest = $1", DB_ARGS(DB_T(file_last_part(dir))), err);
    if (!rc && !n)
        rc = file_remove_tree(dir, err);
    mem_free(dir);
    return rc;
}

int registry_path(struct registry *g, const struct registry_version *v, char **out, struct err *err)
{
    struct manifest m;
    TRY(registry_has_bytes(g, v, err));
    TRY(registry_manifest(g, v, &m, err));
    const char *folder = registry_folder(g);
    char *dir = mem_printf("%s/versions/%s", folder, v->manifest);
    int rc = dir ? 0 : ERR(err, NOMEM, "no memory for the path of a version");
    if (!rc && !is_whole(folder, &m, dir))
        rc = make(folder, &m, dir, err);
    if (!rc)
        rc = add_signature(g, v, dir, err);
    if (!rc && !(*out = loaded_from(&m, dir)))
        rc = ERR(err, NOMEM, "no memory for the path of a version");
    manifest_release(&m);
    mem_free(dir);
    return rc ? err_context(err, "%s@%lld", v->name, (long long)v->number) : 0;
}
