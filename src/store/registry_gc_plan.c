#include "store/registry_gc_plan.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/blob_pieces.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to plan what is removed"); }

/* ---- which keep their bytes ---- */

static int keep(json_t *kept, const char *name, int64_t number, const char *why, struct err *err)
{
    char id[160];
    snprintf(id, sizeof id, "%s@%lld", name, (long long)number);
    if (number < 1 || json_object_get(kept, id))
        return 0;
    return json_object_set_new(kept, id, json_string(why)) ? no_memory(err) : 0;
}

static int keep_row_of_alias(json_t *kept, struct db_rows *r, struct err *err)
{
    char why[200];
    const char *name = db_text(r, 0), *alias = db_text(r, 1), *past = db_text(r, 3), *comma = strrchr(past, ',');
    snprintf(why, sizeof why, "%.96s", alias);
    TRY(keep(kept, name, db_int(r, 2), why, err));
    snprintf(why, sizeof why, "candidate of %.96s", alias);
    TRY(keep(kept, name, db_int(r, 4), why, err));
    snprintf(why, sizeof why, "what a rollback of %.96s goes to", alias);
    return keep(kept, name, strtoll(comma ? comma + 1 : past, NULL, 10), why, err);
}

static int keep_row_of_server(json_t *kept, struct db_rows *r, struct err *err)
{
    char why[200];
    snprintf(why, sizeof why, "%.20s at %.150s", db_text(r, 2), db_text(r, 3));
    return keep(kept, db_text(r, 0), db_int(r, 1), why, err);
}

static int keep_rows(json_t *kept, struct db *db, int (*row)(json_t *, struct db_rows *, struct err *), const char *sql, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, db, sql, NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1)
        if ((rc = row(kept, r, err)))
            break;
    db_rows_free(r);
    return rc;
}

#define ABOVE "WITH RECURSIVE up (id) AS (SELECT parent FROM lineage WHERE child = $1 UNION SELECT l.parent FROM lineage l JOIN up ON l.child = up.id) SELECT id FROM up"

static int keep_above(struct db *db, const char *id, json_t *more, struct err *err)
{
    struct db_rows *r;
    char why[200];
    snprintf(why, sizeof why, "what %.150s comes from", id);
    TRY(db_query(&r, db, ABOVE, DB_ARGS(DB_T(id)), err));
    int rc;
    while ((rc = db_next(r, err)) == 1)
        if (json_object_set_new(more, db_text(r, 0), json_string(why))) {
            rc = no_memory(err);
            break;
        }
    db_rows_free(r);
    return rc;
}

/* What those come from that are kept so far. */
static int keep_lineage(json_t *kept, struct db *db, struct err *err)
{
    const char *id;
    json_t *why, *more = json_object();
    int rc = more ? 0 : no_memory(err);
    json_object_foreach(kept, id, why)
        if (!rc)
            rc = keep_above(db, id, more, err);
    if (!rc && json_object_update_missing(kept, more))
        rc = no_memory(err);
    json_decref(more);
    return rc;
}

/* The newest of each name, and those that are younger than the grace. */
static int keep_new(json_t *kept, struct db *db, const struct registry_gc_opts *o, struct err *err)
{
    struct db_rows *r;
    char name[REGISTRY_NAME] = "", why[80], young[WHEN_TEXT];
    int64_t n = 0;
    when_text(young, when_now() - o->grace_s * 1000000000);
    snprintf(why, sizeof why, "one of its newest %lld", (long long)o->keep);
    TRY(db_query(&r, db, "SELECT name, number, t FROM version ORDER BY name, number DESC", NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        n = strcmp(name, db_text(r, 0)) ? 1 : n + 1;
        snprintf(name, sizeof name, "%s", db_text(r, 0));
        rc = n <= o->keep ? keep(kept, name, db_int(r, 1), why, err) : 0;
        if (!rc && strcmp(db_text(r, 2), young) > 0)
            rc = keep(kept, name, db_int(r, 1), "it is young", err);
        if (rc)
            break;
    }
    db_rows_free(r);
    return rc;
}

static int find_kept(json_t *kept, struct db *db, const struct registry_gc_opts *o, struct err *err)
{
    TRY(keep_rows(kept, db, keep_row_of_alias, "SELECT name, alias, number, past, candidate FROM alias ORDER BY name, alias", err));
    TRY(keep_rows(kept, db, keep_row_of_server, "SELECT s.name, s.number, s.state, s.server FROM server_state s JOIN version v ON v.name = s.name AND v.number = s.number"
                                                " WHERE s.state IN ('loading', 'ready', 'serving') ORDER BY s.server", err));
    TRY(keep_lineage(kept, db, err));
    return keep_new(kept, db, o, err);
}

/* ---- what it frees ---- */

struct sizes {
    const char *folder;
    json_t *blob;                        /* digest: { bytes, users: versions whose file it is; pinned: something else names it, too } */
    uint64_t used;
};

/* The entry of a blob, made where there is none yet; borrowed. */
static json_t *entry(struct sizes *s, const char *id)
{
    struct stat st;
    json_t *b = json_object_get(s->blob, id);
    if (b)
        return b;
    char *path = blob_path(s->folder, id);
    if (!path)
        return NULL;
    const uint64_t bytes = !stat(path, &st) ? (uint64_t)st.st_size + blob_pieces_bytes(path) : 0;
    mem_free(path);
    b = json_pack("{s:I, s:I, s:b}", "bytes", (json_int_t)bytes, "users", (json_int_t)0, "pinned", 0);
    if (!b || json_object_set_new(s->blob, id, b))
        return NULL;
    s->used += bytes;
    return b;
}

static bool is_pinned(const json_t *b) { return json_is_true(json_object_get(b, "pinned")); }
static int64_t users_of(const json_t *b) { return json_integer_value(json_object_get(b, "users")); }

static int pin(struct sizes *s, struct db *db, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, db, "SELECT manifest FROM version UNION SELECT facts FROM version UNION SELECT blob FROM evidence UNION SELECT blob FROM policy", NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        json_t *b = entry(s, db_text(r, 0));
        if (!b || json_object_set_new(b, "pinned", json_true())) {
            rc = no_memory(err);
            break;
        }
    }
    db_rows_free(r);
    return rc;
}

static int count_files(struct sizes *s, const struct manifest *m, bool kept, struct err *err)
{
    for (int i = 0; i < m->n; i++) {
        json_t *b = entry(s, m->file[i].sha256);
        if (!b || json_object_set_new(b, "users", json_integer(users_of(b) + 1)) || (kept && json_object_set_new(b, "pinned", json_true())))
            return no_memory(err);
    }
    return 0;
}

/* Bytes that go with it now; *can: that some will go when all who use them were dropped. */
static uint64_t take_files(struct sizes *s, const struct manifest *m, bool *can)
{
    uint64_t bytes = 0;
    *can = false;
    for (int i = 0; i < m->n; i++)
        *can |= !is_pinned(json_object_get(s->blob, m->file[i].sha256));
    for (int i = 0; *can && i < m->n; i++) {
        json_t *b = json_object_get(s->blob, m->file[i].sha256);
        json_object_set_new(b, "users", json_integer(users_of(b) - 1));
        if (!users_of(b) && !is_pinned(b))
            bytes += (uint64_t)json_integer_value(json_object_get(b, "bytes"));
    }
    return bytes;
}

/* Each version that has its bytes, the oldest first. */
typedef int version_each(void *ctx, const struct registry_version *v, const struct manifest *m, struct err *err);

static int each_version(struct registry *g, version_each *each, void *ctx, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT v.name, v.number, v.root, v.manifest, v.t FROM version v LEFT JOIN dropped d ON d.name = v.name AND d.number = v.number"
                                     " WHERE d.seq IS NULL ORDER BY v.seq", NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        struct registry_version v = { .number = db_int(r, 1) };
        struct manifest m;
        snprintf(v.name, sizeof v.name, "%s", db_text(r, 0)), snprintf(v.root, sizeof v.root, "%s", db_text(r, 2));
        snprintf(v.manifest, sizeof v.manifest, "%s", db_text(r, 3)), snprintf(v.t, sizeof v.t, "%s", db_text(r, 4));
        rc = registry_manifest(g, &v, &m, err);
        if (rc) {
            rc = err_context(err, "the manifest of %s@%lld", v.name, (long long)v.number);
            break;
        }
        rc = each(ctx, &v, &m, err);
        manifest_release(&m);
        if (rc)
            break;
    }
    db_rows_free(r);
    return rc;
}

struct planning { struct registry_gc_plan *plan; const struct registry_gc_opts *o; struct sizes sizes; };

static bool is_kept(const struct planning *p, const struct registry_version *v)
{
    char id[160];
    snprintf(id, sizeof id, "%s@%lld", v->name, (long long)v->number);
    return json_object_get(p->plan->kept, id) != NULL;
}

static int count_version(void *ctx, const struct registry_version *v, const struct manifest *m, struct err *err)
{
    struct planning *p = ctx;
    return count_files(&p->sizes, m, is_kept(p, v), err);
}

static int drop_version(void *ctx, const struct registry_version *v, const struct manifest *m, struct err *err)
{
    struct planning *p = ctx;
    bool can;
    if (p->sizes.used <= p->o->quota || is_kept(p, v))
        return 0;
    const uint64_t bytes = take_files(&p->sizes, m, &can);
    if (!can)
        return 0;
    p->sizes.used -= bytes;
    return json_array_append_new(p->plan->drop, json_pack("{s:s, s:I, s:s, s:s, s:I}", "name", v->name, "number", (json_int_t)v->number, "root", v->root, "t", v->t,
                                                          "bytes", (json_int_t)bytes)) ? no_memory(err) : 0;
}

static int find_dropped(struct planning *p, struct registry *g, struct err *err)
{
    TRY(find_kept(p->plan->kept, registry_db(g), p->o, err));
    TRY(pin(&p->sizes, registry_db(g), err));
    TRY(each_version(g, count_version, p, err));
    return p->o->has_quota ? each_version(g, drop_version, p, err) : 0;
}

int registry_gc_plan(struct registry_gc_plan *out, struct registry *g, const struct registry_gc_opts *o, struct err *err)
{
    *out = (struct registry_gc_plan){ .kept = json_object(), .drop = json_array() };
    struct planning p = { .plan = out, .o = o, .sizes = { .folder = registry_folder(g), .blob = json_object() } };
    const int rc = out->kept && out->drop && p.sizes.blob ? find_dropped(&p, g, err) : no_memory(err);
    out->used = p.sizes.used;
    json_decref(p.sizes.blob);
    if (rc) {
        json_decref(out->kept);
        json_decref(out->drop);
        *out = (struct registry_gc_plan){ .used = 0 };
    }
    return rc;
}
