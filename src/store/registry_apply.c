#include "store/registry_apply.h"
#include <string.h>
#include "base/tree.h"

static const char *const steps[] = {
    "CREATE TABLE journal (seq BIGINT NOT NULL PRIMARY KEY, t TEXT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, record TEXT NOT NULL);"
    "CREATE INDEX journal_name ON journal (name, seq);"
    "CREATE TABLE model (name TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, seq BIGINT NOT NULL);"
    "CREATE TABLE version (name TEXT NOT NULL REFERENCES model (name), number BIGINT NOT NULL, root TEXT NOT NULL, manifest TEXT NOT NULL, facts TEXT NOT NULL,"
    " bytes BIGINT NOT NULL, t TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (name, number), UNIQUE (name, root));"
    "CREATE TABLE evidence (name TEXT NOT NULL, number BIGINT NOT NULL, blob TEXT NOT NULL, kind TEXT NOT NULL, file TEXT NOT NULL, bytes BIGINT NOT NULL, t TEXT NOT NULL,"
    " seq BIGINT NOT NULL, PRIMARY KEY (name, number, blob), FOREIGN KEY (name, number) REFERENCES version (name, number));"
    "CREATE TABLE lineage (child TEXT NOT NULL, parent TEXT NOT NULL, role TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (child, parent, role));"
    "CREATE INDEX lineage_parent ON lineage (parent);"
    "CREATE TABLE alias (name TEXT NOT NULL, alias TEXT NOT NULL, number BIGINT NOT NULL, past TEXT NOT NULL, candidate BIGINT NOT NULL, mode TEXT NOT NULL, share BIGINT NOT NULL,"
    " salt TEXT NOT NULL, t TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (name, alias), FOREIGN KEY (name, number) REFERENCES version (name, number));"
    "CREATE TABLE policy (name TEXT NOT NULL REFERENCES model (name), alias TEXT NOT NULL, blob TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (name, alias));"
    "CREATE TABLE server_state (server TEXT NOT NULL, name TEXT NOT NULL, alias TEXT NOT NULL, number BIGINT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL, t TEXT NOT NULL,"
    " PRIMARY KEY (server, name, alias, number))",
    "CREATE TABLE said (name TEXT NOT NULL REFERENCES model (name), number BIGINT NOT NULL, label TEXT NOT NULL, value TEXT NOT NULL, t TEXT NOT NULL, seq BIGINT NOT NULL,"
    " PRIMARY KEY (name, number, label))",
    "CREATE TABLE dropped (name TEXT NOT NULL, number BIGINT NOT NULL, bytes BIGINT NOT NULL, t TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (name, number),"
    " FOREIGN KEY (name, number) REFERENCES version (name, number))",
};

const struct registry_table registry_tables[] = {
    { "model", "name, kind, seq", 1, 3 },
    { "version", "name, number, root, manifest, facts, bytes, t, seq", 2, 8 },
    { "evidence", "name, number, blob, kind, file, bytes, t, seq", 3, 8 },
    { "lineage", "child, parent, role, seq", 3, 4 },
    { "alias", "name, alias, number, past, candidate, mode, share, salt, t, seq", 2, 10 },
    { "policy", "name, alias, blob, seq", 2, 4 },
    { "dropped", "name, number, bytes, t, seq", 2, 5 },
    { "said", "name, number, label, value, t, seq", 3, 6 },
    { NULL, NULL, 0, 0 },
};

int registry_upgrade(struct db *db, struct err *err) { return db_upgrade(db, "the registry", steps, sizeof steps / sizeof *steps, err); }

int registry_has_tables(struct db *db, bool *yes, struct err *err)
{
    int64_t version;
    TRY(db_version(db, "the registry", &version, err));
    *yes = version > 0;
    return 0;
}

/* ---- a record into rows ---- */

#define TEXT_OF(key) DB_T(tree_text_at(record, key))
#define INT_OF(key) DB_I(json_integer_value(json_object_get(record, key)))

static int apply_create(struct db *db, const json_t *record, struct err *err)
{
    return db_run(db, "INSERT INTO model (name, kind, seq) VALUES ($1, $2, $3)", DB_ARGS(TEXT_OF("name"), TEXT_OF("kind"), INT_OF("seq")), NULL, err);
}

static int apply_say(struct db *db, const json_t *record, struct err *err)
{
    if (json_is_null(json_object_get(record, "value")))
        return db_run(db, "DELETE FROM said WHERE name = $1 AND number = $2 AND label = $3", DB_ARGS(TEXT_OF("name"), INT_OF("number"), TEXT_OF("key")), NULL, err);
    return db_run(db, "INSERT INTO said (name, number, label, value, t, seq) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name, number, label) DO UPDATE SET value = $4, t = $5, seq = $6",
                  DB_ARGS(TEXT_OF("name"), INT_OF("number"), TEXT_OF("key"), TEXT_OF("value"), TEXT_OF("t"), INT_OF("seq")), NULL, err);
}

static int apply_add(struct db *db, const json_t *record, struct err *err)
{
    TRY(db_run(db, "INSERT INTO model (name, kind, seq) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
               DB_ARGS(TEXT_OF("name"), TEXT_OF("kind"), INT_OF("seq")), NULL, err));
    return db_run(db, "INSERT INTO version (name, number, root, manifest, facts, bytes, t, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                  DB_ARGS(TEXT_OF("name"), INT_OF("number"), TEXT_OF("root"), TEXT_OF("manifest"), TEXT_OF("facts"), INT_OF("bytes"), TEXT_OF("t"),
                          INT_OF("seq")), NULL, err);
}

static int apply_evidence(struct db *db, const json_t *record, struct err *err)
{
    size_t i;
    const json_t *e;
    json_array_foreach(json_object_get(record, "evidence"), i, e)
        TRY(db_run(db,
                   "INSERT INTO evidence (name, number, blob, kind, file, bytes, t, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name, number, blob) DO NOTHING",
                   DB_ARGS(TEXT_OF("name"), INT_OF("number"), DB_T(tree_text_at(e, "blob")), DB_T(tree_text_at(e, "kind")), DB_T(tree_text_at(e, "file")),
                           DB_I(json_integer_value(json_object_get(e, "bytes"))), TEXT_OF("t"), INT_OF("seq")), NULL, err));
    return 0;
}

static int apply_lineage(struct db *db, const json_t *record, struct err *err)
{
    char child[160];
    snprintf(child, sizeof child, "%s@%lld", tree_text_at(record, "name"), (long long)json_integer_value(json_object_get(record, "number")));
    size_t i;
    const json_t *p;
    json_array_foreach(json_object_get(record, "parents"), i, p)
        TRY(db_run(db, "INSERT INTO lineage (child, parent, role, seq) VALUES ($1, $2, $3, $4) ON CONFLICT (child, parent, role) DO NOTHING",
                   DB_ARGS(DB_T(child), DB_T(tree_text_at(p, "parent")), DB_T(tree_text_at(p, "role")), INT_OF("seq")), NULL, err));
    return 0;
}

static int apply_release(struct db *db, const json_t *record, struct err *err)
{
    const json_t *r = json_object_get(record, "release");
    return db_run(db, "INSERT INTO alias (name, alias, number, past, candidate, mode, share, salt, t, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                      " ON CONFLICT (name, alias) DO UPDATE SET number = $3, past = $4, candidate = $5, mode = $6, share = $7, salt = $8, t = $9, seq = $10",
                  DB_ARGS(TEXT_OF("name"), TEXT_OF("alias"), DB_I(json_integer_value(json_object_get(r, "number"))), DB_T(tree_text_at(r, "past")),
                          DB_I(json_integer_value(json_object_get(r, "candidate"))), DB_T(tree_text_at(r, "mode")),
                          DB_I(json_integer_value(json_object_get(r, "share"))),
                          DB_T(tree_text_at(r, "salt")), TEXT_OF("t"), INT_OF("seq")), NULL, err);
}

static int apply_unalias(struct db *db, const json_t *record, struct err *err)
{
    return db_run(db, "DELETE FROM alias WHERE name = $1 AND alias = $2", DB_ARGS(TEXT_OF("name"), TEXT_OF("alias")), NULL, err);
}

static int apply_policy(struct db *db, const json_t *record, struct err *err)
{
    if (json_is_null(json_object_get(record, "policy")))
        return db_run(db, "DELETE FROM policy WHERE name = $1 AND alias = $2", DB_ARGS(TEXT_OF("name"), TEXT_OF("alias")), NULL, err);
    return db_run(db, "INSERT INTO policy (name, alias, blob, seq) VALUES ($1, $2, $3, $4) ON CONFLICT (name, alias) DO UPDATE SET blob = $3, seq = $4",
                  DB_ARGS(TEXT_OF("name"), TEXT_OF("alias"), TEXT_OF("policy"), INT_OF("seq")), NULL, err);
}

static int apply_drop(struct db *db, const json_t *record, struct err *err)
{
    return db_run(db, "INSERT INTO dropped (name, number, bytes, t, seq) VALUES ($1, $2, $3, $4, $5)",
                  DB_ARGS(TEXT_OF("name"), INT_OF("number"), INT_OF("bytes"), TEXT_OF("t"), INT_OF("seq")), NULL, err);
}

static int apply_refill(struct db *db, const json_t *record, struct err *err)
{
    return db_run(db, "DELETE FROM dropped WHERE name = $1 AND number = $2", DB_ARGS(TEXT_OF("name"), INT_OF("number")), NULL, err);
}

static int apply_collect(struct db *db, const json_t *record, struct err *err) { return (void)db, (void)record, (void)err, 0; }

int registry_apply(struct db *db, const json_t *record, struct err *err)
{
    static const struct { const char *action; int (*apply)(struct db *, const json_t *, struct err *); } actions[] = {
        { "add", apply_add }, { "evidence", apply_evidence }, { "lineage", apply_lineage }, { "alias", apply_release }, { "promote", apply_release },
        { "rollback", apply_release }, { "settle", apply_release }, { "withdraw", apply_release }, { "unalias", apply_unalias }, { "policy", apply_policy },
        { "create", apply_create }, { "say", apply_say }, { "drop", apply_drop }, { "refill", apply_refill }, { "collect", apply_collect },
    };
    const char *action = tree_text_at(record, "action");
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (!strcmp(action, actions[i].action))
            return actions[i].apply(db, record, err);
    return ERR(err, UNSUPPORTED, "record %lld of the journal has the action '%.40s', which this program does not know",
               (long long)json_integer_value(json_object_get(record, "seq")), action);
}

int registry_write(struct db *db, json_t *record, const struct journal_by *by, struct journal_head *out, struct err *err)
{
    TRY(journal_append(out, db, record, by, err));
    return registry_apply(db, record, err);
}
