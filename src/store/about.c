#include "store/about.h"
#include <stdio.h>
#include <string.h>
#include "base/tree.h"
#include "base/utf8.h"
#include "store/registry_apply.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for what is said of the registry's names"); }

/* ---- saying ---- */

/* Takes the record.  Within db_begin(), which it ends. */
static int commit(struct registry *g, json_t *record, const struct journal_by *by, struct err *err)
{
    struct journal_head head;
    int rc = record ? registry_write(registry_db(g), record, by, &head, err) : no_memory(err);
    json_decref(record);
    if (!rc)
        rc = db_commit(registry_db(g), err);
    db_rollback(registry_db(g));
    return rc;
}

static int count_names(struct registry *g, const char *name, int64_t *n, struct err *err)
{
    return db_query_int(n, registry_db(g), 0, "SELECT count(*) FROM model WHERE name = $1", DB_ARGS(DB_T(name)), err);
}

int registry_create(struct registry *g, const char *name, const char *kind, const struct journal_by *by, struct err *err)
{
    int64_t n = 0;
    if (!registry_name_ok(name))
        return ERR(err, USAGE, "found the name '%.200s', expected letters, digits, '.', '_' and '-', at most %d, the first no point", name, REGISTRY_NAME - 1);
    if (strcmp(kind, "model") && strcmp(kind, "data"))
        return ERR(err, USAGE, "found the kind '%.100s', expected model or data", kind);
    TRY(journal_by_check(by, err));
    TRY(db_begin(registry_db(g), err));
    int rc = count_names(g, name, &n, err);
    if (!rc && n)
        rc = ERR(err, BUSY, "the registry has '%s' already", name);
    if (!rc)
        return commit(g, json_pack("{s:s, s:s, s:s}", "action", "create", "name", name, "kind", kind), by, err);
    db_rollback(registry_db(g));
    return rc;
}

static bool is_text(const char *s, size_t max, bool lines)
{
    const char *end = s + strlen(s);
    if ((size_t)(end - s) > max)
        return false;
    while (s < end) {
        const int n = lines && *s && strchr("\n\r\t", *s) ? 1 : utf8_plain(s, end);
        if (!n)
            return false;
        s += n;
    }
    return true;
}

int registry_said_check(const struct registry_said *s, struct err *err)
{
    if (!is_text(s->key, SAID_KEY_MAX, false))
        return ERR(err, USAGE, "found the key '%.100s', expected UTF-8 without control characters, at most %d bytes", s->key, SAID_KEY_MAX);
    if (s->value && !is_text(s->value, SAID_VALUE_MAX, true))
        return ERR(err, USAGE, "%s%.100s: found %zu bytes, expected UTF-8 without control characters but line breaks and tabs, at most %d bytes", *s->key ? "the value of " : "the description", s->key,
                   strlen(s->value), SAID_VALUE_MAX);
    return 0;
}

/* *same: there is nothing to do. */
static int look(struct registry *g, const struct registry_said *s, bool *same, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT value FROM said WHERE name = $1 AND number = $2 AND label = $3", DB_ARGS(DB_T(s->name), DB_I(s->number), DB_T(s->key)), err));
    int rc = db_next(r, err);
    *same = rc == 1 && s->value && !strcmp(db_text(r, 0), s->value);
    if (!rc && !s->value)
        rc = ERR(err, NOTFOUND, "'%s' has no %s%.100s", s->name, *s->key ? "tag " : "description", s->key);
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

static int check_there(struct registry *g, const struct registry_said *s, struct err *err)
{
    struct registry_version v;
    struct registry_ref ref = { .number = s->number };
    int64_t n;
    if (s->number) {
        snprintf(ref.name, sizeof ref.name, "%s", s->name);
        return registry_find(g, &ref, &v, err);
    }
    TRY(count_names(g, s->name, &n, err));
    return n ? 0 : ERR(err, NOTFOUND, "the registry has no '%.200s'", s->name);
}

int registry_say(struct registry *g, const struct registry_said *s, const struct journal_by *by, struct err *err)
{
    bool same = false;
    TRY(registry_said_check(s, err));
    TRY(journal_by_check(by, err));
    TRY(db_begin(registry_db(g), err));
    int rc = check_there(g, s, err);
    if (!rc)
        rc = look(g, s, &same, err);
    if (!rc && !same)
        return commit(g, json_pack("{s:s, s:s, s:I, s:s, s:s?}", "action", "say", "name", s->name, "number", (json_int_t)s->number, "key", s->key, "value", s->value), by, err);
    db_rollback(registry_db(g));
    return rc;
}

/* ---- lists ---- */

/* Each row's object goes to the list and, under its key, to the index, which borrows it. */
struct listing { json_t *list, *index; };

static void free_listing(struct listing *l)
{
    json_decref(l->index);
    json_decref(l->list);
}

/* "NAME@N"; number 0: NAME. */
static const char *key_of(char key[160], const char *name, int64_t number)
{
    snprintf(key, 160, number ? "%.96s@%lld" : "%.96s", name, (long long)number);
    return key;
}

/* Calls row() for each; name NULL: all names. */
static int each(struct registry *g, const char *sql, const char *name, struct listing *l, int (*row)(struct listing *l, struct db_rows *r, struct err *err), struct err *err)
{
    struct db_rows *r;
    int rc;
    TRY(db_query(&r, registry_db(g), sql, DB_ARGS(DB_T(name ? name : "")), err));
    while ((rc = db_next(r, err)) == 1)
        if ((rc = row(l, r, err)))
            break;
    db_rows_free(r);
    return rc;
}

/* Takes o. */
static int keep(struct listing *l, const char *key, json_t *o, struct err *err)
{
    return !o || json_array_append_new(l->list, o) || json_object_set(l->index, key, o) ? no_memory(err) : 0;
}

static int name_row(struct listing *l, struct db_rows *r, struct err *err)
{
    return keep(l, db_text(r, 0), json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:{}, s:{}}", "name", db_text(r, 0), "kind", db_text(r, 1), "t", db_text(r, 2), "updated", db_text(r, 3), "last",
                                            (json_int_t)db_int(r, 4), "description", "", "tags", "aliases"), err);
}

static int version_row(struct listing *l, struct db_rows *r, struct err *err)
{
    char key[160];
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:{}, s:[]}", "name", db_text(r, 0), "kind", db_text(r, 1), "number", (json_int_t)db_int(r, 2), "root", db_text(r, 3), "manifest",
                          db_text(r, 4), "t", db_text(r, 5), "updated", db_text(r, 5), "run", db_text(r, 6), "description", "", "tags", "aliases");
    return keep(l, key_of(key, db_text(r, 0), db_int(r, 2)), o, err);
}

static int said_row(struct listing *l, struct db_rows *r, struct err *err)
{
    char key[160];
    const char *label = db_text(r, 2);
    json_t *o = json_object_get(l->index, key_of(key, db_text(r, 0), db_int(r, 1)));
    int rc = 0;
    if (o)
        rc = *label ? json_object_set_new(json_object_get(o, "tags"), label, json_string(db_text(r, 3))) : json_object_set_new(o, "description", json_string(db_text(r, 3)));
    if (o && !rc && strcmp(db_text(r, 4), tree_text_at(o, "updated")) > 0)
        rc = json_object_set_new(o, "updated", json_string(db_text(r, 4)));
    return rc ? no_memory(err) : 0;
}

static int alias_row(struct listing *l, struct db_rows *r, struct err *err)
{
    char key[160];
    json_t *of_name = json_object_get(l->index, db_text(r, 0)), *of_version = json_object_get(l->index, key_of(key, db_text(r, 0), db_int(r, 2)));
    int rc = 0;
    if (of_name)
        rc = json_object_set_new(json_object_get(of_name, "aliases"), db_text(r, 1), json_integer((json_int_t)db_int(r, 2)));
    if (of_version)
        rc = json_array_append_new(json_object_get(of_version, "aliases"), json_string(db_text(r, 1)));
    return rc ? no_memory(err) : 0;
}

#define OF_NAME(column) "($1 = '' OR " column " = $1) "

static int list(struct registry *g, const char *name, const char *sql, int (*row)(struct listing *l, struct db_rows *r, struct err *err), json_t **out, struct err *err)
{
    struct listing l = { json_array(), json_object() };
    *out = NULL;
    int rc = l.list && l.index ? db_begin_read(registry_db(g), err) : no_memory(err);
    if (!rc)
        rc = each(g, sql, name, &l, row, err);
    if (!rc)
        rc = each(g, "SELECT name, number, label, value, t FROM said WHERE " OF_NAME("name") "ORDER BY name, number, label", name, &l, said_row, err);
    if (!rc)
        rc = each(g, "SELECT name, alias, number FROM alias WHERE " OF_NAME("name") "ORDER BY name, alias", name, &l, alias_row, err);
    db_rollback(registry_db(g));
    if (!rc)
        *out = json_incref(l.list);
    free_listing(&l);
    return rc;
}

int registry_names(struct registry *g, const char *name, json_t **out, struct err *err)
{
    return list(g, name, "SELECT m.name, m.kind, j.t, (SELECT max(k.t) FROM journal k WHERE k.name = m.name), (SELECT max(v.number) FROM version v WHERE v.name = m.name) "
                         "FROM model m JOIN journal j ON j.seq = m.seq WHERE " OF_NAME("m.name") "ORDER BY m.name", name_row, out, err);
}

int registry_versions(struct registry *g, const char *name, json_t **out, struct err *err)
{
    return list(g, name, "SELECT v.name, m.kind, v.number, v.root, v.manifest, v.t, (SELECT min(l.parent) FROM lineage l WHERE l.child = v.name || '@' || CAST(v.number AS TEXT) AND l.role = 'run') "
                         "FROM version v JOIN model m ON m.name = v.name WHERE " OF_NAME("v.name") "ORDER BY v.name, v.number", version_row, out, err);
}
