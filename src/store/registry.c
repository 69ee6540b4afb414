#include "store/registry.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/models.h"
#include "store/registry_apply.h"
#include "store/registry_needs.h"

enum {
    TEXT_MAX = 64 << 20,                 /* bytes of a manifest or of facts */
    CLAIMS_MAX = 1 << 20,
    SQLITE_MIN = 512                     /* of a database that is more than an empty file */
};

struct registry { struct db *db; char *folder; json_t *memo; };

struct db *registry_db(struct registry *g) { return g->db; }
const char *registry_folder(const struct registry *g) { return g->folder; }
json_t *registry_memo(struct registry *g) { return g->memo ? g->memo : (g->memo = json_object()); }

/* ---- opening ---- */

static int default_folder(char **out, struct err *err)
{
    char *home;
    TRY(models_home(&home, err));
    *out = file_join(home, "registry");
    mem_free(home);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of the registry");
}

int registry_where(char **out, struct err *err)
{
    const char *where = getenv("LATHE_REGISTRY");
    if (!where || !*where)
        return default_folder(out, err);
    *out = mem_strdup(where);
    return *out ? 0 : ERR(err, NOMEM, "no memory for the path of the registry");
}

/* Tables are made by who may make a registry, and not in a file beside blobs that was cut to nothing. */
static int bring_tables(struct registry *g, bool may_make, struct err *err)
{
    bool there;
    if (!may_make) {
        TRY(registry_has_tables(g->db, &there, err));
        if (!there)
            return ERR(err, CORRUPT, "%.400s has no tables of a registry: it is damaged, or of something else", db_name(g->db));
    }
    return registry_upgrade(g->db, err);
}

static int open_database(struct registry *g, const char *where, const char *file, bool make, struct err *err)
{
    const bool postgres = db_is_postgres(where);
    char *blobs = file_join(g->folder, "blobs");
    if (!blobs)
        return ERR(err, NOMEM, "no memory for the path of the registry");
    const bool may_make = make && (postgres || !file_exists(blobs) || !file_exists(file));       /* in this order: another may make both now */
    struct stat s;
    mem_free(blobs);
    if (!postgres && !may_make && !stat(file, &s) && s.st_size < SQLITE_MIN)
        return ERR(err, CORRUPT, "%.400s has %lld bytes, which is no database: it is damaged", file, (long long)s.st_size);
    TRY(db_open(&g->db, postgres ? where : file, err));
    return bring_tables(g, may_make, err);
}

static int open_folder(struct registry *g, const char *where, bool make, struct err *err)
{
    char *file = file_join(g->folder, "registry.db");
    int rc = file ? 0 : ERR(err, NOMEM, "no memory for the path of the registry");
    if (!rc && !make && !db_is_postgres(where) && !file_exists(file))
        rc = ERR(err, NOTFOUND, "there is no registry in %.400s yet: lathe registry add makes one", g->folder);
    if (!rc && make)
        rc = file_mkdirs(g->folder, err);
    if (!rc)
        rc = open_database(g, where, file, make, err);
    mem_free(file);
    return rc;
}

int registry_open(struct registry **out, const char *where, bool make, struct err *err)
{
    char *place = NULL;
    *out = NULL;
    if (!where)
        TRY(registry_where(&place, err));
    const char *at = where ? where : place;
    struct registry *g = mem_alloc_zero(sizeof *g);
    int rc = g ? 0 : ERR(err, NOMEM, "no memory to open a registry");
    if (!rc && db_is_postgres(at))
        rc = default_folder(&g->folder, err);
    else if (!rc && !(g->folder = mem_strdup(at)))
        rc = ERR(err, NOMEM, "no memory to open a registry");
    if (!rc)
        rc = open_folder(g, at, make, err);
    if (rc)
        registry_close(g);
    else
        *out = g;
    mem_free(place);
    return rc;
}

void registry_close(struct registry *g)
{
    if (!g)
        return;
    db_close(g->db);
    json_decref(g->memo);
    mem_free(g->folder);
    mem_free(g);
}

/* ---- whose folder it is ---- */

int registry_id(struct registry *g, char id[SHA256_HEX], struct err *err)
{
    struct db_rows *r;
    id[0] = 0;
    TRY(db_query(&r, g->db, "SELECT hash FROM journal WHERE seq = 1", NULL, 0, err));
    const int rc = db_next(r, err);
    if (rc == 1)
        snprintf(id, SHA256_HEX, "%s", db_text(r, 0));
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

static char *claims_path(const struct registry *g) { return file_join(g->folder, "registries"); }

/* Another than this one that has its blobs in the folder; "": none.  *own: this one is known there. */
static int read_claims(const char *path, const char *id, char other[SHA256_HEX], bool *own, struct err *err)
{
    struct buf text;
    char *line, *rest;
    *own = false, other[0] = 0;
    if (!file_exists(path))
        return 0;
    buf_init(&text);
    const int rc = file_read(path, CLAIMS_MAX, &text, err);
    for (rest = text.data; !rc && (line = strsep(&rest, "\n"));) {
        if (!strcmp(line, id))
            *own = true;
        else if (blob_id_ok(line))
            strcpy(other, line);
    }
    buf_release(&text);
    return rc;
}

int registry_claim(struct registry *g, struct err *err)
{
    char id[SHA256_HEX], other[SHA256_HEX], *path = claims_path(g);
    bool own = false;
    struct file_log log;
    int rc = path ? registry_id(g, id, err) : ERR(err, NOMEM, "no memory for the path of the registry");
    if (!rc && *id)
        rc = read_claims(path, id, other, &own, err);
    if (!rc && *id && !own && !(rc = file_log_open(&log, path, err))) {
        rc = file_log_line(&log, id, strlen(id), err);
        file_log_close(&log);
    }
    mem_free(path);
    return rc;
}

int registry_claimed_alone(struct registry *g, struct err *err)
{
    char id[SHA256_HEX], other[SHA256_HEX], *path = claims_path(g), *file = file_join(g->folder, "registry.db");
    bool own;
    struct stat s;
    int rc = path && file ? registry_id(g, id, err) : ERR(err, NOMEM, "no memory for the path of the registry");
    if (!rc)
        rc = read_claims(path, id, other, &own, err);
    if (!rc && *other)
        rc = ERR(err, UNSUPPORTED, "%.300s is the folder of registry %.12s too: only both together know what is needed there", g->folder, other);
    if (!rc && db_is_postgres(db_name(g->db)) && !stat(file, &s) && s.st_size >= SQLITE_MIN)
        rc = ERR(err, UNSUPPORTED, "%.300s has a registry.db too, whose blobs are there as well: only both together know what is needed", g->folder);
    mem_free(file);
    mem_free(path);
    return rc;
}

/* ---- names ---- */

static bool is_word(const char *s, size_t n)
{
    if (!n || n >= REGISTRY_NAME || s[0] == '.' || s[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '.' || s[i] == '_' || s[i] == '-'))
            return false;
    return true;
}

bool registry_name_ok(const char *name) { return is_word(name, strlen(name)); }
bool registry_alias_ok(const char *alias) { return registry_name_ok(alias) && strspn(alias, "0123456789") < strlen(alias); }

int registry_ref_parse(struct registry_ref *out, const char *text, struct err *err)
{
    *out = (struct registry_ref){ .number = 0 };
    const char *at = strchr(text, '@');
    const size_t n = at ? (size_t)(at - text) : strlen(text);
    bool ok = is_word(text, n);
    if (ok)
        memcpy(out->name, text, n);
    if (ok && at && at[1] >= '1' && at[1] <= '9' && strspn(at + 1, "0123456789") == strlen(at + 1) && strlen(at + 1) < 16)
        out->number = strtoll(at + 1, NULL, 10);
    else if (ok && at && (ok = registry_alias_ok(at + 1)))
        strcpy(out->alias, at + 1);
    return ok ? 0 : ERR(err, USAGE, "found '%.200s', expected NAME, NAME@N or NAME@ALIAS: letters, digits, '.', '_' and '-', at most %d, N from 1 on", text,
                        REGISTRY_NAME - 1);
}

/* ---- finding ---- */

#define VERSION "SELECT v.name, m.kind, v.number, v.root, v.manifest, v.facts, v.bytes, v.t, v.seq FROM version v JOIN model m ON m.name = v.name "

static void read_text(char *out, size_t size, struct db_rows *r, int column) { snprintf(out, size, "%s", db_text(r, column)); }

static int find_one(struct registry *g, const char *sql, const struct db_arg *arg, int n, struct registry_version *out, struct err *err)
{
    struct db_rows *r;
    *out = (struct registry_version){ .number = 0 };
    TRY(db_query(&r, g->db, sql, arg, n, err));
    const int rc = db_next(r, err);
    if (rc == 1) {
        read_text(out->name, sizeof out->name, r, 0), read_text(out->kind, sizeof out->kind, r, 1);
        out->number = db_int(r, 2);
        read_text(out->root, sizeof out->root, r, 3), read_text(out->manifest, sizeof out->manifest, r, 4), read_text(out->facts, sizeof out->facts, r, 5);
        out->bytes = (uint64_t)db_int(r, 6);
        read_text(out->t, sizeof out->t, r, 7);
        out->seq = db_int(r, 8);
    }
    db_rows_free(r);
    return rc == 1 ? 0 : rc < 0 ? rc : ERR_NOTFOUND;
}

int registry_find(struct registry *g, const struct registry_ref *ref, struct registry_version *out, struct err *err)
{
    int rc;
    if (ref->number)
        rc = find_one(g, VERSION "WHERE v.name = $1 AND v.number = $2", DB_ARGS(DB_T(ref->name), DB_I(ref->number)), out, err);
    else if (*ref->alias)
        rc = find_one(g, VERSION "JOIN alias a ON a.name = v.name AND a.number = v.number WHERE v.name = $1 AND a.alias = $2",
                      DB_ARGS(DB_T(ref->name), DB_T(ref->alias)), out, err);
    else
        rc = find_one(g, VERSION "WHERE v.name = $1 ORDER BY v.number DESC LIMIT 1", DB_ARGS(DB_T(ref->name)), out, err);
    if (rc != ERR_NOTFOUND)
        return rc;
    int64_t n;
    TRY(db_query_int(&n, g->db, 0, "SELECT max(number) FROM version WHERE name = $1", DB_ARGS(DB_T(ref->name)), err));
    if (!n)
        return ERR(err, NOTFOUND, "the registry has no '%s'", ref->name);
    return ref->number ? ERR(err, NOTFOUND, "'%s' has no version %lld: its last is %lld", ref->name, (long long)ref->number, (long long)n)
                       : ERR(err, NOTFOUND, "'%s' has no alias '%s'", ref->name, ref->alias);
}

int registry_find_text(struct registry *g, const char *text, struct registry_version *out, struct err *err)
{
    struct registry_ref ref;
    TRY(registry_ref_parse(&ref, text, err));
    return registry_find(g, &ref, out, err);
}

int registry_find_root(struct registry *g, const char *root, struct registry_version *out, struct err *err)
{
    const int rc = find_one(g, VERSION "WHERE v.root = $1 ORDER BY v.seq LIMIT 1", DB_ARGS(DB_T(root)), out, err);
    return rc == ERR_NOTFOUND ? ERR(err, NOTFOUND, "no version has the root %.64s", root) : rc;
}

static int read_json(const struct registry *g, const char *id, json_t **out, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = blob_get(g->folder, id, TEXT_MAX, &text, err);
    if (!rc)
        rc = tree_parse_json(out, text.data, text.len, "a blob of the registry", err);
    buf_release(&text);
    return rc;
}

int registry_manifest(struct registry *g, const struct registry_version *v, struct manifest *out, struct err *err)
{
    json_t *list;
    *out = (struct manifest){ .n = 0 };
    TRY(read_json(g, v->manifest, &list, err));
    const int rc = manifest_parse(out, list, err);
    json_decref(list);
    return rc;
}

int registry_facts(struct registry *g, const struct registry_version *v, json_t **out, struct err *err) { return read_json(g, v->facts, out, err); }

int registry_dropped(struct registry *g, const struct registry_version *v, struct registry_drop *out, struct err *err)
{
    struct db_rows *r;
    *out = (struct registry_drop){ .seq = 0 };
    TRY(db_query(&r, g->db, "SELECT seq, bytes, t FROM dropped WHERE name = $1 AND number = $2", DB_ARGS(DB_T(v->name), DB_I(v->number)), err));
    const int rc = db_next(r, err);
    if (rc == 1) {
        out->seq = db_int(r, 0), out->bytes = (uint64_t)db_int(r, 1);
        read_text(out->t, sizeof out->t, r, 2);
    }
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

int registry_has_bytes(struct registry *g, const struct registry_version *v, struct err *err)
{
    struct registry_drop drop;
    TRY(registry_dropped(g, v, &drop, err));
    return !drop.seq ? 0 : ERR(err, NOTFOUND, "the bytes of %s@%lld were removed on %.10s (record %lld of the journal): adding the same files again brings them back",
                               v->name, (long long)v->number, drop.t, (long long)drop.seq);
}

int registry_path_of(char **out, const char *text, struct err *err)
{
    struct registry *g;
    struct registry_version v;
    TRY(registry_open(&g, NULL, false, err));
    int rc = registry_find_text(g, text, &v, err);
    if (!rc)
        rc = registry_path(g, &v, out, err);
    registry_close(g);
    return rc;
}
