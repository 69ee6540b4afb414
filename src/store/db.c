#include "store/db.h"
#include <assert.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/db_driver.h"

bool db_is_postgres(const char *where)
{
    return !strncmp(where, "postgresql://", 13) || !strncmp(where, "postgres://", 11);
}

/* What of a connection string may be told: without what is between "//" and "@", and without parameters, where a password may be too. */
static char *name_of(const char *where)
{
    const char *rest = strstr(where, "//") + 2, *end = rest + strcspn(rest, "?");
    for (const char *p = end; p-- > rest;)
        if (*p == '@') {
            rest = p + 1;
            break;
        }
    return mem_printf("postgresql://%.*s", (int)(end - rest), rest);
}

int db_open(struct db **out, const char *where, struct err *err)
{
    *out = NULL;
    const bool postgres = db_is_postgres(where);
    char *name = postgres ? name_of(where) : file_is_dir(where) ? file_join(where, "registry.db") : mem_strdup(where);
    if (!name)
        return ERR(err, NOMEM, "no memory to open a database");
    int rc = postgres ? db_pg_open(out, where, err) : db_sqlite_open(out, name, err);
    if (rc)
        rc = err_context(err, "%.200s", name), mem_free(name);
    else
        (*out)->name = name;
    return rc;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db_rollback(db);
    char *name = db->name;
    db->driver->close(db);
    mem_free(name);
}

const char *db_name(const struct db *db) { return db->name; }
void db_patience(struct db *db, double seconds) { db->patience = seconds; }

int db_run(struct db *db, const char *sql, const struct db_arg *arg, int n, int64_t *n_changed, struct err *err)
{
    assert(n <= DB_ARGS_MAX);
    return db->driver->run(db, sql, arg, n, n_changed, err);
}

int db_script(struct db *db, const char *sql, struct err *err) { return db->driver->script(db, sql, err); }

int db_query(struct db_rows **out, struct db *db, const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    assert(n <= DB_ARGS_MAX);
    *out = NULL;
    return db->driver->query(out, db, sql, arg, n, err);
}

int db_next(struct db_rows *r, struct err *err) { return r->driver->next(r, err); }
int64_t db_int(struct db_rows *r, int column) { return r->driver->get_int(r, column); }
double db_real(struct db_rows *r, int column) { return r->driver->get_real(r, column); }
const char *db_text(struct db_rows *r, int column) { return r->driver->get_text(r, column); }
size_t db_bytes(struct db_rows *r, int column) { return r->driver->get_bytes(r, column); }
bool db_is_null(struct db_rows *r, int column) { return r->driver->is_null(r, column); }

void db_rows_free(struct db_rows *r)
{
    if (r)
        r->driver->rows_free(r);
}

int db_query_int(int64_t *out, struct db *db, int64_t fallback, const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, db, sql, arg, n, err));
    const int rc = db_next(r, err);
    *out = rc == 1 && !db_is_null(r, 0) ? db_int(r, 0) : fallback;
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

/* ---- transactions ---- */

int db_begin(struct db *db, struct err *err)
{
    assert(!db->in_transaction);
    const int rc = db->driver->begin(db, err);
    db->in_transaction = !rc;
    return rc;
}

int db_begin_read(struct db *db, struct err *err)
{
    assert(!db->in_transaction);
    const int rc = db->driver->script(db, db->driver->begin_read, err);
    db->in_transaction = !rc;
    return rc;
}

int db_commit(struct db *db, struct err *err)
{
    assert(db->in_transaction);
    const int rc = db->driver->script(db, "COMMIT", err);
    if (rc)
        db_rollback(db);
    db->in_transaction = false;
    return rc;
}

void db_rollback(struct db *db)
{
    if (db->in_transaction && db->driver->script(db, "ROLLBACK", NULL))
        db->driver->script(db, "ROLLBACK", NULL);     /* there was no memory for it; or the connection is gone, and the transaction with it */
    db->in_transaction = false;
}

int db_check(struct db *db, struct buf *out, struct err *err)
{
    struct db_rows *r;
    if (!db->driver->check)
        return 0;
    TRY(db_query(&r, db, db->driver->check, NULL, 0, err));
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        if (strstr(db_text(r, 0), "error code=7"))            /* SQLITE_NOMEM, which is no fault of the file */
            rc = ERR(err, NOMEM, "no memory to look through the database");
        else
            rc = strcmp(db_text(r, 0), "ok") ? buf_printf(out, err, "%s\n", db_text(r, 0)) : 0;
        if (rc)
            break;
    }
    db_rows_free(r);
    return rc;
}

/* ---- versions of the tables ---- */

static int read_version(struct db *db, const char *what, int64_t *version, struct err *err)
{
    return db_query_int(version, db, 0, "SELECT version FROM lathe_schema WHERE name = $1", DB_ARGS(DB_T(what)), err);
}

static int version_of(struct db *db, const char *what, int n, int64_t *version, struct err *err)
{
    TRY(read_version(db, what, version, err));
    return *version <= n ? 0 : ERR(err, UNSUPPORTED, "%.200s: its tables of %s have version %lld, this program knows them up to %d: it needs a newer lathe",
                                   db->name, what, (long long)*version, n);
}

static int has_versions(struct db *db, int64_t *there, struct err *err)
{
    return db_query_int(there, db, 0, db->driver->has_table, DB_ARGS(DB_T("lathe_schema")), err);
}

int db_version(struct db *db, const char *what, int64_t *version, struct err *err)
{
    int64_t there;
    *version = 0;
    TRY(has_versions(db, &there, err));
    return there ? read_version(db, what, version, err) : 0;
}

static int take_steps(struct db *db, const char *what, const char *const *step, int n, struct err *err)
{
    int64_t there, version;                           /* looked at again: another may have been here since */
    TRY(has_versions(db, &there, err));
    if (!there)
        TRY(db_script(db, "CREATE TABLE lathe_schema (name TEXT PRIMARY KEY, version BIGINT NOT NULL)", err));
    TRY(version_of(db, what, n, &version, err));
    for (int64_t v = version; v < n; v++)
        if (db_script(db, step[v], err))
            return err_context(err, "version %lld of the tables of %s", (long long)v + 1, what);
    return db_run(db, "INSERT INTO lathe_schema (name, version) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET version = $2", DB_ARGS(DB_T(what), DB_I(n)),
                  NULL, err);
}

int db_upgrade(struct db *db, const char *what, const char *const *step, int n, struct err *err)
{
    int64_t there, version = 0;
    TRY(has_versions(db, &there, err));
    if (there)
        TRY(version_of(db, what, n, &version, err));
    if (version == n)
        return 0;
    TRY(db_begin(db, err));
    return db_end(db, take_steps(db, what, step, n, err), err);
}

int db_end(struct db *db, int rc, struct err *err)
{
    if (!rc)
        return db_commit(db, err);
    db_rollback(db);
    return rc;
}
