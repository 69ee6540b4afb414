/* served.c - what servers do with a release, and what was released at a moment. */
#include <string.h>
#include "base/tree.h"
#include "store/release.h"

int registry_server_state(struct registry *g, const char *server, const char *name, const char *alias, int64_t number, const char *state,
                          const char *message, struct err *err)
{
    char t[WHEN_TEXT];
    when_text(t, when_now());
    TRY(journal_by_check(&(struct journal_by){ .actor = server, .reason = message }, err));
    return db_run(registry_db(g), "INSERT INTO server_state (server, name, alias, number, state, message, t) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                                  " ON CONFLICT (server, name, alias, number) DO UPDATE SET state = $5, message = $6, t = $7",
                  DB_ARGS(DB_T(server), DB_T(name), DB_T(alias), DB_I(number), DB_T(state), DB_T(message ? message : ""), DB_T(t)), NULL, err);
}

int registry_server_states(struct registry *g, const char *name, const char *alias, json_t **out, struct err *err)
{
    struct db_rows *r;
    int rc;
    TRY(db_query(&r, registry_db(g), "SELECT server, number, state, message, t FROM server_state WHERE name = $1 AND alias = $2 ORDER BY server, number",
                 DB_ARGS(DB_T(name), DB_T(alias)), err));
    *out = json_array();
    while ((rc = db_next(r, err)) == 1)
        if (json_array_append_new(*out, json_pack("{s:s, s:I, s:s, s:s, s:s}", "server", db_text(r, 0), "number", (json_int_t)db_int(r, 1), "state",
                                                  db_text(r, 2), "message", db_text(r, 3), "t",
                                                  db_text(r, 4)))) {
            rc = ERR(err, NOMEM, "no memory to tell what servers do");
            break;
        }
    db_rows_free(r);
    if (rc)
        json_decref(*out);
    return rc;
}

/* Servers that have any version, and those of them that have this one ready. */
static int count_servers(struct registry *g, const struct release_move *m, const char *server, int64_t *n, int64_t *n_ready, struct err *err)
{
    const char *all = "SELECT count(DISTINCT server) FROM server_state WHERE name = $1 AND alias = $2 AND ($3 = '' OR server = $3) AND state IN ('loading', 'ready', 'serving')";
    const char *ready = "SELECT count(DISTINCT server) FROM server_state WHERE name = $1 AND alias = $2 AND ($3 = '' OR server = $3) AND state IN ('ready', 'serving') AND number = $4";
    TRY(db_query_int(n, registry_db(g), 0, all, DB_ARGS(DB_T(m->name), DB_T(m->alias), DB_T(server ? server : "")), err));
    return db_query_int(n_ready, registry_db(g), 0, ready, DB_ARGS(DB_T(m->name), DB_T(m->alias), DB_T(server ? server : ""), DB_I(m->number)), err);
}

int registry_move_when_ready(struct registry *g, struct release_move *m, const char *server, struct err *err)
{
    struct registry_release now;
    int64_t n, n_ready;
    if (m->mode != RELEASE_NONE)
        return 0;
    const int rc = registry_release_get(g, m->name, m->alias, &now, err);
    if (rc)
        return rc == ERR_NOTFOUND ? 0 : rc;
    if (now.stable == m->number)
        return 0;
    TRY(count_servers(g, m, server, &n, &n_ready, err));
    m->mode = n > n_ready ? RELEASE_GREEN : RELEASE_NONE;
    return 0;
}

/* ---- what was served ---- */

/* One record of the journal, in the order of time: what it says of its alias takes the place of what was before. */
static int take(json_t *served, const json_t *record, struct err *err)
{
    char key[2 * REGISTRY_NAME];
    const json_t *r = json_object_get(record, "release");
    snprintf(key, sizeof key, "%s@%s", tree_text_at(record, "name"), tree_text_at(record, "alias"));
    if (!strcmp(tree_text_at(record, "action"), "unalias"))
        return json_object_del(served, key), 0;
    if (!r)
        return 0;
    json_t *o = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O*}", "name", json_object_get(record, "name"), "alias",
                          json_object_get(record, "alias"), "number",
                          json_object_get(record, "number"), "root", json_object_get(record, "root"), "candidate", json_object_get(r,
                                  "candidate"), "mode", json_object_get(r, "mode"), "share",
                          json_object_get(r, "share"), "since", json_object_get(record, "t"), "seq", json_object_get(record,
                                  "seq"), "actor", json_object_get(record, "actor"), "reason",
                          json_object_get(record, "reason"), "candidate_root", json_object_get(record, "candidate_root"));
    return json_object_set_new(served, key, o) ? ERR(err, NOMEM, "no memory to tell what was served, or a record of the journal is not whole") : 0;
}

static int take_all(json_t *served, struct db *db, const char *t, const char *name, const char *alias, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, db, "SELECT record FROM journal WHERE t <= $1 AND ($2 = '' OR name = $2) ORDER BY seq", DB_ARGS(DB_T(t), DB_T(name ? name : "")), err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        json_t *record = NULL;
        rc = tree_parse_json(&record, db_text(r, 0), strlen(db_text(r, 0)), "the journal", err);
        if (!rc && (!alias || !strcmp(alias, tree_text_at(record, "alias"))))
            rc = take(served, record, err);
        if (rc) {
            json_decref(record);
            break;
        }
        json_decref(record);
    }
    db_rows_free(r);
    return rc;
}

int registry_served_at(struct registry *g, int64_t ns, const char *name, const char *alias, json_t **out, struct err *err)
{
    char t[WHEN_TEXT];
    const char *key;
    json_t *served = json_object(), *o;
    *out = json_array();
    when_text(t, ns);
    int rc = served && *out ? take_all(served, registry_db(g), t, name, alias, err) : ERR(err, NOMEM, "no memory to tell what was served");
    if (!rc)
        json_object_foreach(served, key, o)
            json_array_append(*out, o);
    json_decref(served);
    if (rc)
        json_decref(*out);
    return rc;
}
