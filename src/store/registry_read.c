/* registry_read.c - what is in a registry, as JSON for people's lists and for programs. */
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to tell what is in the registry"); }

/* Calls make() for each row, whose value goes to the list. */
static int rows_into(json_t *list, struct registry *g, json_t *(*make)(struct db_rows *r), const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    struct db_rows *r;
    int rc;
    TRY(db_query(&r, registry_db(g), sql, arg, n, err));
    while ((rc = db_next(r, err)) == 1)
        if (json_array_append_new(list, make(r))) {
            rc = no_memory(err);
            break;
        }
    db_rows_free(r);
    return rc;
}

static int list_of(json_t **out, struct registry *g, json_t *(*make)(struct db_rows *r), const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    *out = json_array();
    const int rc = *out ? rows_into(*out, g, make, sql, arg, n, err) : no_memory(err);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- list ---- */

static json_t *name_row(struct db_rows *r)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:{}}", "name", db_text(r, 0), "kind", db_text(r, 1), "versions", (json_int_t)db_int(r, 2), "last",
                     (json_int_t)db_int(r, 3), "bytes",
                     (json_int_t)db_int(r, 4), "t", db_text(r, 5), "aliases");
}

static json_t *alias_row(struct db_rows *r)
{
    return json_pack("{s:s, s:s, s:I}", "name", db_text(r, 0), "alias", db_text(r, 1), "number", (json_int_t)db_int(r, 2));
}

static int give_aliases(const json_t *names, const json_t *aliases, struct err *err)
{
    size_t i, k;
    json_t *name, *a;
    json_array_foreach(aliases, i, a)
        json_array_foreach(names, k, name)
            if (!strcmp(tree_text_at(name, "name"), tree_text_at(a, "name")) && json_object_set(json_object_get(name, "aliases"), tree_text_at(a, "alias"),
                    json_object_get(a, "number")))
                return no_memory(err);
    return 0;
}

int registry_aliases(struct registry *g, const char *name, json_t **out, struct err *err)
{
    return list_of(out, g, alias_row, "SELECT name, alias, number FROM alias WHERE $1 = '' OR name = $1 ORDER BY name, alias", DB_ARGS(DB_T(name ? name : "")), err);
}

int registry_list(struct registry *g, json_t **out, struct err *err)
{
    json_t *aliases;
    TRY(registry_aliases(g, NULL, &aliases, err));
    int rc = list_of(out, g, name_row, "SELECT m.name, m.kind, count(v.number), max(v.number), CAST(sum(v.bytes) AS BIGINT), max(v.t) FROM model m LEFT JOIN version v ON v.name = m.name GROUP BY m.name, m.kind ORDER BY m.name",
                     NULL, 0, err);
    if (!rc && (rc = give_aliases(*out, aliases, err)))
        json_decref(*out);
    json_decref(aliases);
    return rc;
}

static json_t *number_row(struct db_rows *r) { return json_integer((json_int_t)db_int(r, 0)); }

int registry_numbers(struct registry *g, const char *name, json_t **out, struct err *err)
{
    return list_of(out, g, number_row, "SELECT number FROM version WHERE name = $1 ORDER BY number DESC", DB_ARGS(DB_T(name)), err);
}

int registry_number_of_root(struct registry *g, const char *name, const char *root, int64_t *number, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT number FROM version WHERE name = $1 AND root = $2", DB_ARGS(DB_T(name), DB_T(root)), err));
    const int rc = db_next(r, err);
    *number = rc == 1 ? db_int(r, 0) : 0;
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

/* ---- one version ---- */

static json_t *evidence_row(struct db_rows *r)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:s}", "blob", db_text(r, 0), "bytes", (json_int_t)db_int(r, 1), "file", db_text(r, 2), "kind", db_text(r, 3),
                     "t", db_text(r, 4));
}

int registry_evidence(struct registry *g, const struct registry_version *v, json_t **out, struct err *err)
{
    return list_of(out, g, evidence_row, "SELECT blob, bytes, file, kind, t FROM evidence WHERE name = $1 AND number = $2 ORDER BY seq, file, blob",
                   DB_ARGS(DB_T(v->name), DB_I(v->number)), err);
}

static json_t *server_row(struct db_rows *r)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "server", db_text(r, 0), "alias", db_text(r, 1), "state", db_text(r, 2), "message", db_text(r, 3), "t", db_text(r, 4));
}

static json_t *first_text(struct db_rows *r) { return json_string(db_text(r, 0)); }
static json_t *parent_row(struct db_rows *r) { return json_pack("{s:s, s:s}", "parent", db_text(r, 0), "role", db_text(r, 1)); }
static json_t *child_row(struct db_rows *r) { return json_pack("{s:s, s:s}", "child", db_text(r, 0), "role", db_text(r, 1)); }

static int put(json_t *o, const char *key, json_t *value, struct err *err) { return json_object_set_new(o, key, value) ? no_memory(err) : 0; }

static int show_edges(struct registry *g, const struct registry_version *v, json_t *o, struct err *err)
{
    char id[160];
    json_t *list;
    snprintf(id, sizeof id, "%s@%lld", v->name, (long long)v->number);
    TRY(list_of(&list, g, parent_row, "SELECT parent, role FROM lineage WHERE child = $1 ORDER BY seq, parent", DB_ARGS(DB_T(id)), err));
    TRY(put(o, "parents", list, err));
    TRY(list_of(&list, g, child_row, "SELECT child, role FROM lineage WHERE parent = $1 ORDER BY seq, child", DB_ARGS(DB_T(id)), err));
    return put(o, "children", list, err);
}

/* removed: when, how many bytes, by whom and why. */
static int show_drop(struct registry *g, const struct registry_version *v, json_t *o, struct err *err)
{
    struct registry_drop drop;
    json_t *record;
    TRY(registry_dropped(g, v, &drop, err));
    if (!drop.seq)
        return 0;
    TRY(journal_get(&record, registry_db(g), drop.seq, err));
    const int rc = put(o, "removed", json_pack("{s:s, s:I, s:s, s:s}", "t", drop.t, "bytes", (json_int_t)drop.bytes, "actor", tree_text_at(record, "actor"), "reason",
                                               tree_text_at(record, "reason")), err);
    json_decref(record);
    return rc;
}

static int show_all(struct registry *g, const struct registry_version *v, json_t *o, struct err *err)
{
    json_t *part;
    struct manifest m;
    TRY(registry_manifest(g, v, &m, err));
    part = manifest_json(&m);
    manifest_release(&m);
    TRY(put(o, "files", part, err));
    TRY(registry_facts(g, v, &part, err));
    TRY(put(o, "facts", part, err));
    TRY(list_of(&part, g, first_text, "SELECT alias FROM alias WHERE name = $1 AND number = $2 ORDER BY alias", DB_ARGS(DB_T(v->name), DB_I(v->number)), err));
    TRY(put(o, "aliases", part, err));
    TRY(registry_evidence(g, v, &part, err));
    TRY(put(o, "evidence", part, err));
    TRY(list_of(&part, g, server_row, "SELECT server, alias, state, message, t FROM server_state WHERE name = $1 AND number = $2 AND state <> 'gone' ORDER BY server, alias",
                DB_ARGS(DB_T(v->name), DB_I(v->number)), err));
    TRY(put(o, "servers", part, err));
    TRY(show_edges(g, v, o, err));
    TRY(show_drop(g, v, o, err));
    TRY(journal_get(&part, registry_db(g), v->seq, err));
    int rc = put(o, "actor", json_incref(json_object_get(part, "actor")), err);
    if (!rc)
        rc = put(o, "reason", json_incref(json_object_get(part, "reason")), err);
    json_decref(part);
    return rc;
}

int registry_show(struct registry *g, const struct registry_version *v, json_t **out, struct err *err)
{
    *out = json_pack("{s:s, s:I, s:s, s:s, s:I, s:s, s:s, s:I}", "name", v->name, "number", (json_int_t)v->number, "root", v->root, "kind", v->kind, "bytes", (json_int_t)v->bytes, "t", v->t,
                     "manifest", v->manifest, "seq", (json_int_t)v->seq);
    const int rc = *out ? show_all(g, v, *out, err) : no_memory(err);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- lineage ---- */

static json_t *edge_row(struct db_rows *r) { return json_pack("{s:s, s:s, s:s}", "child", db_text(r, 0), "parent", db_text(r, 1), "role", db_text(r, 2)); }

#define EDGES "SELECT l.child, l.parent, l.role FROM lineage l "
#define UP "WITH RECURSIVE near (id) AS (SELECT CAST($1 AS TEXT) UNION SELECT l.parent FROM lineage l JOIN near ON l.child = near.id) " EDGES "JOIN near ON l.child = near.id ORDER BY l.seq DESC, l.child, l.parent"
#define DOWN "WITH RECURSIVE near (id) AS (SELECT CAST($1 AS TEXT) UNION SELECT l.child FROM lineage l JOIN near ON l.parent = near.id) " EDGES "JOIN near ON l.parent = near.id ORDER BY l.seq, l.child, l.parent"

int registry_lineage(struct registry *g, const struct registry_version *v, json_t **out, struct err *err)
{
    char id[160];
    json_t *edges = json_array();
    snprintf(id, sizeof id, "%s@%lld", v->name, (long long)v->number);
    int rc = edges ? rows_into(edges, g, edge_row, UP, DB_ARGS(DB_T(id)), err) : no_memory(err);
    if (!rc)
        rc = rows_into(edges, g, edge_row, DOWN, DB_ARGS(DB_T(id)), err);
    *out = rc ? NULL : json_pack("{s:s, s:O}", "of", id, "edges", edges);
    json_decref(edges);
    return rc ? rc : *out ? 0 : no_memory(err);
}

/* ---- history ---- */

static json_t *record_row(struct db_rows *r)
{
    json_t *o = NULL;
    struct err none;
    if (tree_parse_json(&o, db_text(r, 0), strlen(db_text(r, 0)), "the journal", &none))
        return json_pack("{s:s}", "damaged", db_text(r, 0));
    json_object_set_new(o, "hash", json_string(db_text(r, 1)));
    return o;
}

int registry_history(struct registry *g, const char *name, int64_t n, json_t **out, struct err *err)
{
    const int64_t limit = n > 0 ? n : INT64_MAX;
    return name ? list_of(out, g, record_row, "SELECT record, hash FROM journal WHERE name = $1 ORDER BY seq DESC LIMIT $2",
                             DB_ARGS(DB_T(name), DB_I(limit)), err)
                : list_of(out, g, record_row, "SELECT record, hash FROM journal ORDER BY seq DESC LIMIT $1", DB_ARGS(DB_I(limit)), err);
}
