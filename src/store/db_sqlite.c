/* db_sqlite.c - the driver of SQLite.  Its memory is counted as all other is (mem.h).
 *
 * Who restores a registry puts another file in the place of one that servers have open, and SQLite would go on with the one that is gone, also writing to it: so
 * the file is looked at before each statement outside a transaction. */
#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "base/mem.h"
#include "store/db_driver.h"

enum { BUSY_MS = 10000 };

struct lite { struct db db; sqlite3 *at; dev_t dev; ino_t ino; int n_rows; };      /* ino 0: no file; n_rows: results that are being read */
struct lite_rows { struct db_rows rows; sqlite3_stmt *stmt; struct lite *of; };

/* ---- memory: SQLite asks how large a block is, so each has its size in front ---- */

enum { FRONT = 16 };

static void *block_alloc(int n)
{
    char *p = mem_alloc((size_t)n + FRONT);
    if (!p)
        return NULL;
    memcpy(p, &n, sizeof n);
    return p + FRONT;
}

static int block_size(void *p)
{
    int n = 0;
    if (p)
        memcpy(&n, (char *)p - FRONT, sizeof n);
    return n;
}

static void block_free(void *p) { mem_free(p ? (char *)p - FRONT : NULL); }

static void *block_realloc(void *p, int n)
{
    char *q = mem_realloc_array((char *)p - FRONT, 1, (size_t)n + FRONT);
    if (!q)
        return NULL;
    memcpy(q, &n, sizeof n);
    return q + FRONT;
}

static int block_round(int n) { return (n + 7) & ~7; }
static int block_init(void *p) { return (void)p, SQLITE_OK; }
static void block_shutdown(void *p) { (void)p; }

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_memory(void)
{
    static const sqlite3_mem_methods methods = { block_alloc, block_free, block_realloc, block_size, block_round, block_init, block_shutdown, NULL };
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

/* ---- errors ---- */

static int failed(const struct lite *l, struct err *err)
{
    const int rc = sqlite3_extended_errcode(l->at);
    const char *what = sqlite3_errmsg(l->at);
    switch (rc == SQLITE_IOERR_NOMEM ? SQLITE_NOMEM : rc & 0xff) {
    case SQLITE_BUSY: case SQLITE_LOCKED: return ERR(err, BUSY, "another is writing for more than %d seconds: %s", BUSY_MS / 1000, what);
    case SQLITE_FULL: return ERR(err, IO, "the disk is full");
    case SQLITE_NOMEM: return ERR(err, NOMEM, "no memory for the database");
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return ERR(err, CORRUPT, "%s", what);
    case SQLITE_CONSTRAINT: return ERR(err, RANGE, "%s", what);
    case SQLITE_READONLY: return ERR(err, IO, "it may not be written: %s", what);
    default: return ERR(err, IO, "%s (SQLite's code %d)", what, rc);
    }
}

/* ---- the file ---- */

static int open_file(struct lite *l, const char *path, int flags, struct err *err);

static void note_file(struct lite *l, const char *path)
{
    struct stat s;
    const bool there = !stat(path, &s);
    l->dev = there ? s.st_dev : 0, l->ino = there ? s.st_ino : 0;
}

static bool is_moved(const struct lite *l)
{
    struct stat s;
    return l->ino && (stat(l->db.name, &s) || s.st_dev != l->dev || s.st_ino != l->ino);
}

/* Another file in its place is opened instead, unless that would cut a transaction, or rows, in two. */
static int reach(struct lite *l, struct err *err)
{
    if (l->db.in_transaction || l->n_rows || (l->at && !is_moved(l)))
        return 0;
    sqlite3_close_v2(l->at);                         /* which leaves the log of that name, as it is another's */
    l->at = NULL;
    return open_file(l, l->db.name, SQLITE_OPEN_READWRITE, err);
}

/* ---- statements ---- */

static int bind(struct lite *l, sqlite3_stmt *stmt, const struct db_arg *arg, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "$%d", i + 1);
        const int at = sqlite3_bind_parameter_index(stmt, name);
        if (!at)
            continue;
        int rc = SQLITE_OK;
        if (arg[i].kind == DB_INT)
            rc = sqlite3_bind_int64(stmt, at, arg[i].i);
        else if (arg[i].kind == DB_REAL)
            rc = sqlite3_bind_double(stmt, at, arg[i].r);
        else if (arg[i].kind == DB_TEXT && arg[i].s)
            rc = sqlite3_bind_text64(stmt, at, arg[i].s, strlen(arg[i].s), SQLITE_TRANSIENT, SQLITE_UTF8);
        if (rc != SQLITE_OK)
            return failed(l, err);
    }
    return 0;
}

static int prepare(sqlite3_stmt **out, struct lite *l, const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    if (sqlite3_prepare_v2(l->at, sql, -1, out, NULL) != SQLITE_OK)
        return failed(l, err);
    const int rc = bind(l, *out, arg, n, err);
    if (rc)
        sqlite3_finalize(*out);
    return rc;
}

static int run(struct db *db, const char *sql, const struct db_arg *arg, int n, int64_t *n_changed, struct err *err)
{
    struct lite *l = (struct lite *)db;
    sqlite3_stmt *stmt;
    TRY(reach(l, err));
    TRY(prepare(&stmt, l, sql, arg, n, err));
    int got, rc = 0;
    while ((got = sqlite3_step(stmt)) == SQLITE_ROW)
        ;
    if (got != SQLITE_DONE)
        rc = failed(l, err);
    else if (n_changed)
        *n_changed = sqlite3_changes64(l->at);
    sqlite3_finalize(stmt);
    return rc;
}

static int script_once(struct lite *l, const char *sql, struct err *err) { return sqlite3_exec(l->at, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(l, err); }

static int script(struct db *db, const char *sql, struct err *err)
{
    struct lite *l = (struct lite *)db;
    TRY(reach(l, err));
    return script_once(l, sql, err);
}

static int query(struct db_rows **out, struct db *db, const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    struct lite_rows *r = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory for rows of the database");
    r->rows.driver = db->driver;
    r->of = (struct lite *)db;
    int rc = reach(r->of, err);
    if (!rc)
        rc = prepare(&r->stmt, r->of, sql, arg, n, err);
    r->of->n_rows += !rc;
    if (rc)
        mem_free(r);
    else
        *out = &r->rows;
    return rc;
}

static int next(struct db_rows *rows, struct err *err)
{
    struct lite_rows *r = (struct lite_rows *)rows;
    const int rc = sqlite3_step(r->stmt);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : failed(r->of, err);
}

static int64_t get_int(struct db_rows *r, int column) { return sqlite3_column_int64(((struct lite_rows *)r)->stmt, column); }
static double get_real(struct db_rows *r, int column) { return sqlite3_column_double(((struct lite_rows *)r)->stmt, column); }
static bool is_null(struct db_rows *r, int column) { return sqlite3_column_type(((struct lite_rows *)r)->stmt, column) == SQLITE_NULL; }

static const char *get_text(struct db_rows *r, int column)
{
    const char *text = (const char *)sqlite3_column_text(((struct lite_rows *)r)->stmt, column);
    return text ? text : "";
}

static size_t get_bytes(struct db_rows *r, int column)
{
    get_text(r, column);                                   /* in this order, so that the bytes are the text's */
    return (size_t)sqlite3_column_bytes(((struct lite_rows *)r)->stmt, column);
}

static void rows_free(struct db_rows *r)
{
    sqlite3_finalize(((struct lite_rows *)r)->stmt);
    ((struct lite_rows *)r)->of->n_rows--;
    mem_free(r);
}

static int begin(struct db *db, struct err *err) { return script(db, "BEGIN IMMEDIATE", err); }

static void close_db(struct db *db)
{
    sqlite3_close_v2(((struct lite *)db)->at);
    mem_free(db);
}

static const struct db_driver driver = {
    .run = run, .script = script, .query = query, .next = next, .get_int = get_int, .get_real = get_real, .get_text = get_text, .get_bytes = get_bytes, .is_null = is_null,
    .rows_free = rows_free, .begin = begin, .begin_read = "BEGIN", .has_table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
    .check = "PRAGMA integrity_check", .close = close_db,
};

/* trusted_schema off: a file that someone else made may hold no views or triggers that call functions. */
#define SETTINGS "PRAGMA trusted_schema=OFF; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"

/* What cannot be opened for writing, on a disk that is full or read-only, can be read: with its log, where others have that open; else as it is, if
 * there is nothing in the log. */
static int open_to_read(struct lite *l, const char *path, struct err *err)
{
    static const char *const how[] = { "mode=ro", "mode=ro&immutable=1" };
    struct stat s;
    struct buf uri, log;
    buf_init(&uri);
    buf_init(&log);
    int rc = buf_printf(&log, err, "%s-wal", path);
    const bool is_whole = !rc && (stat(log.data, &s) || s.st_size == 0);
    for (int i = 0; i < 1 + is_whole && !rc; i++) {
        buf_clear(&uri);
        rc = buf_add_str(&uri, "file:", err);
        for (const char *p = path; *p && !rc; p++)
            rc = strchr("%?#", *p) ? buf_printf(&uri, err, "%%%02x", (unsigned)*p) : buf_add_char(&uri, *p, err);
        rc = rc ? rc : buf_printf(&uri, err, "?%s", how[i]);
        sqlite3_close_v2(l->at);
        l->at = NULL;
        if (!rc && sqlite3_open_v2(uri.data, &l->at, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
            sqlite3_busy_timeout(l->at, BUSY_MS);
            if (!script_once(l, "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY; SELECT count(*) FROM sqlite_master", NULL))
                break;
        }
        rc = rc || i < is_whole ? rc : ERR(err, IO, "it can be neither written nor read: %s", l->at ? sqlite3_errmsg(l->at) : "no memory");
    }
    buf_release(&log);
    buf_release(&uri);
    return rc;
}

/* On error nothing is open. */
static int open_file(struct lite *l, const char *path, int flags, struct err *err)
{
    int rc = 0;
    if (sqlite3_open_v2(path, &l->at, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = l->at ? failed(l, err) : ERR(err, NOMEM, "no memory to open a database");
    if (!rc) {
        sqlite3_busy_timeout(l->at, BUSY_MS);
        rc = script_once(l, SETTINGS, err);
    }
    struct stat there;
    if (rc == ERR_IO && !stat(path, &there) && there.st_size > 0)
        rc = open_to_read(l, path, err);
    note_file(l, path);
    if (rc) {
        sqlite3_close_v2(l->at);
        l->at = NULL;
    }
    return rc;
}

int db_sqlite_open(struct db **out, const char *path, struct err *err)
{
    pthread_once(&once, set_memory);
    struct lite *l = mem_alloc_zero(sizeof *l);
    if (!l)
        return ERR(err, NOMEM, "no memory to open a database");
    l->db.driver = &driver;
    const int rc = open_file(l, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (rc)
        close_db(&l->db);
    else
        *out = &l->db;
    return rc;
}
