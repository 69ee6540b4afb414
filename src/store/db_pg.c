/* db_pg.c - the driver of PostgreSQL, whose client library is opened when it is needed.
 *
 * Writers queue for one advisory lock, which a transaction holds until it ends: what it read before it writes is then still true, as under
 * SQLite's BEGIN IMMEDIATE, and no transaction has to be tried again.
 *
 * A server that stands still, or a network that swallows what it says, ends no connection: so an answer is waited for by db_patience() and no longer. */
#include <dlfcn.h>
#include <errno.h>
#include <libpq-fe.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/mem.h"
#include "base/pool.h"
#include "store/db_driver.h"

#define LIBRARY "libpq.so.5"
/* "lathe": no other program takes this lock by chance.  A writer that stands still is cut off by the server. */
#define WRITERS "BEGIN; SELECT pg_advisory_xact_lock(465774405733)"
#define SETTINGS "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = warning; SET extra_float_digits = 1"
enum { OID_INT8 = 20, OID_TEXT = 25, OID_FLOAT8 = 701, NUMBER_MAX = 32 };
#define PATIENCE_S 60.0

#define FUNCTIONS(X)                                                                                                                   \
    X(PQconnectdbParams) X(PQfinish) X(PQstatus) X(PQreset) X(PQerrorMessage) X(PQsendQuery) X(PQsendQueryParams) X(PQsocket) X(PQconsumeInput) X(PQisBusy) X(PQgetResult) X(PQresultStatus)              \
    X(PQresultErrorField) X(PQclear) X(PQntuples) X(PQgetvalue) X(PQgetisnull) X(PQcmdTuples) X(PQsetNoticeProcessor) X(PQsetClientEncoding)

static struct {
#define X(name) __typeof__(&name) name;
    FUNCTIONS(X)
#undef X
    const char *missing;                    /* NULL: all are there */
    char why[200];
} pq;
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct pg { struct db db; PGconn *at; };
struct pg_rows { struct db_rows rows; PGresult *result; int i, n; };

/* The library stays open: there is nothing to gain by closing it. */
static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *p;
    if (!library) {
        pq.missing = LIBRARY;
        snprintf(pq.why, sizeof pq.why, "%s", dlerror());
        return;
    }
#define X(name)                                  \
    p = dlsym(library, #name);                   \
    memcpy(&pq.name, &p, sizeof p);              \
    if (!p)                                      \
        pq.missing = #name;
    FUNCTIONS(X)
#undef X
}

/* ---- errors ---- */

static int refused(const char *state, const char *text, struct err *err)
{
    const int n = (int)strcspn(text, "\n");
    if (!strncmp(state, "23", 2))
        return ERR(err, RANGE, "%.*s", n, text);
    if (!strncmp(state, "55P03", 5) || !strncmp(state, "40", 2))
        return ERR(err, BUSY, "another is writing for more than 10 seconds: %.*s", n, text);
    if (!strncmp(state, "53100", 5))
        return ERR(err, IO, "the disk of the database is full");
    if (!strncmp(state, "53200", 5))
        return ERR(err, NOMEM, "the database's server has no memory");
    return ERR(err, IO, "%.*s%s%s%s", n, text, *state ? " (SQLSTATE " : "", state, *state ? ")" : "");
}

/* Takes the result. */
static int failed(struct pg *p, PGresult *result, struct err *err)
{
    const char *state = result ? pq.PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const int rc = !result && pq.PQstatus(p->at) == CONNECTION_OK ? ERR(err, NOMEM, "no memory for what the database says")
                                                                  : refused(state ? state : "", text ? text : pq.PQerrorMessage(p->at), err);
    pq.PQclear(result);
    return rc;
}

/* ---- statements ---- */

/* Until PQgetResult() does not wait.  False: nothing was heard for too long, and the connection is cut. */
static bool hears(struct pg *p)
{
    double until = clock_wall() + p->db.patience;
    while (pq.PQstatus(p->at) == CONNECTION_OK && pq.PQisBusy(p->at)) {
        struct pollfd at = { .fd = pq.PQsocket(p->at), .events = POLLIN };
        const double left = until - clock_wall();
        const int n = left > 0 ? poll(&at, 1, (int)fmin(1000, ceil(1e3 * left))) : 0;
        if (n > 0)
            until = clock_wall() + p->db.patience;
        if (left <= 0) {
            shutdown(at.fd, SHUT_RDWR);
            pq.PQconsumeInput(p->at);                 /* sees the end: the connection is lost */
            return false;
        }
        if (n > 0 && !pq.PQconsumeInput(p->at))
            return true;                              /* lost: the result says so */
    }
    return true;
}

/* What was sent gives: the last of its results, or the first that failed.  sent: as PQsendQuery() says it. */
static int take_result(PGresult **out, struct pg *p, int sent, struct err *err)
{
    PGresult *next;
    bool heard = true;
    *out = NULL;
    while (sent && (heard = heard && hears(p), next = pq.PQgetResult(p->at))) {
        pq.PQclear(*out);
        *out = next;
    }
    const ExecStatusType status = pq.PQresultStatus(*out);
    if (heard && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK))
        return 0;
    next = *out, *out = NULL;
    if (heard)
        return failed(p, next, err);
    pq.PQclear(next);
    return ERR(err, IO, "the database has said nothing for %g s", p->db.patience);
}

static int script_once(struct pg *p, const char *sql, struct err *err)
{
    PGresult *result;
    const int rc = take_result(&result, p, pq.PQsendQuery(p->at, sql), err);
    pq.PQclear(result);
    return rc;
}

static int settle(struct pg *p, struct err *err)
{
    if (pq.PQstatus(p->at) != CONNECTION_OK)
        return ERR(err, IO, "the database cannot be reached: %.*s", (int)strcspn(pq.PQerrorMessage(p->at), "\n"), pq.PQerrorMessage(p->at));
    pq.PQsetClientEncoding(p->at, "UTF8");
    return script_once(p, SETTINGS, err);
}

/* Between transactions nothing is expected: what can be read then is mostly the server's word that it ends, and the end. */
static void look_for_end(struct pg *p)
{
    struct pollfd at = { .fd = pq.PQsocket(p->at), .events = POLLIN };
    for (int i = 0; i < 2 && pq.PQstatus(p->at) == CONNECTION_OK && poll(&at, 1, 0) > 0; i++)
        pq.PQconsumeInput(p->at);
}

/* A connection that was lost is made again, unless that would cut a transaction in two. */
static int reach(struct pg *p, struct err *err)
{
    if (!p->db.in_transaction)
        look_for_end(p);
    if (pq.PQstatus(p->at) == CONNECTION_OK)
        return 0;
    if (p->db.in_transaction)
        return ERR(err, IO, "the connection to the database was lost");
    pq.PQreset(p->at);
    return settle(p, err);
}

static int script(struct db *db, const char *sql, struct err *err)
{
    struct pg *p = (struct pg *)db;
    TRY(reach(p, err));
    return script_once(p, sql, err);
}

/* *result has rows or none; it is the caller's. */
static int ask(PGresult **result, struct db *db, const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    struct pg *p = (struct pg *)db;
    Oid type[DB_ARGS_MAX];
    const char *value[DB_ARGS_MAX];
    char number[DB_ARGS_MAX][NUMBER_MAX];
    for (int i = 0; i < n; i++) {
        type[i] = arg[i].kind == DB_INT ? OID_INT8 : arg[i].kind == DB_REAL ? OID_FLOAT8 : arg[i].kind == DB_TEXT ? OID_TEXT : 0;
        value[i] = arg[i].kind == DB_TEXT ? arg[i].s : arg[i].kind == DB_NULL ? NULL : number[i];
        if (arg[i].kind == DB_INT)
            snprintf(number[i], NUMBER_MAX, "%lld", (long long)arg[i].i);
        else if (arg[i].kind == DB_REAL)
            snprintf(number[i], NUMBER_MAX, "%.17g", arg[i].r);
    }
    TRY(reach(p, err));
    return take_result(result, p, pq.PQsendQueryParams(p->at, sql, n, type, value, NULL, NULL, 0), err);
}

static int run(struct db *db, const char *sql, const struct db_arg *arg, int n, int64_t *n_changed, struct err *err)
{
    PGresult *result;
    TRY(ask(&result, db, sql, arg, n, err));
    if (n_changed)
        *n_changed = strtoll(pq.PQcmdTuples(result), NULL, 10);
    pq.PQclear(result);
    return 0;
}

static int query(struct db_rows **out, struct db *db, const char *sql, const struct db_arg *arg, int n, struct err *err)
{
    struct pg_rows *r = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory for rows of the database");
    const int rc = ask(&r->result, db, sql, arg, n, err);
    if (rc) {
        mem_free(r);
        return rc;
    }
    *r = (struct pg_rows){ .rows = { .driver = db->driver }, .result = r->result, .i = -1, .n = pq.PQntuples(r->result) };
    *out = &r->rows;
    return 0;
}

static int next(struct db_rows *rows, struct err *err)
{
    struct pg_rows *r = (struct pg_rows *)rows;
    (void)err;
    return ++r->i < r->n;
}

static const char *get_text(struct db_rows *rows, int column)
{
    struct pg_rows *r = (struct pg_rows *)rows;
    return pq.PQgetvalue(r->result, r->i, column);
}

static size_t get_bytes(struct db_rows *r, int column) { return strlen(get_text(r, column)); }       /* the server refuses a NUL */
static int64_t get_int(struct db_rows *r, int column) { return strtoll(get_text(r, column), NULL, 10); }
static double get_real(struct db_rows *r, int column) { return strtod(get_text(r, column), NULL); }

static bool is_null(struct db_rows *rows, int column)
{
    struct pg_rows *r = (struct pg_rows *)rows;
    return pq.PQgetisnull(r->result, r->i, column);
}

static void rows_free(struct db_rows *r)
{
    pq.PQclear(((struct pg_rows *)r)->result);
    mem_free(r);
}

/* A script that fails half way leaves a transaction that only ROLLBACK ends. */
static int begin(struct db *db, struct err *err)
{
    const int rc = script(db, WRITERS, err);
    if (rc)
        script_once((struct pg *)db, "ROLLBACK", NULL);
    return rc;
}

static void close_db(struct db *db)
{
    pq.PQfinish(((struct pg *)db)->at);
    mem_free(db);
}

static const struct db_driver driver = {
    .run = run, .script = script, .query = query, .next = next, .get_int = get_int, .get_real = get_real, .get_text = get_text, .get_bytes = get_bytes, .is_null = is_null,
    .rows_free = rows_free, .begin = begin, .begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0",      /* it keeps nobody waiting */
    .has_table = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1", .close = close_db,
};

static void silent(void *p, const char *text) { (void)p, (void)text; }

int db_pg_open(struct db **out, const char *where, struct err *err)
{
    pthread_once(&once, load);
    if (pq.missing)
        return ERR(err, UNSUPPORTED, "PostgreSQL's client library cannot be used (%s %s); Debian's package is libpq5", pq.missing, pq.why);
    struct pg *p = mem_alloc_zero(sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory to open a database");
    p->db.driver = &driver, p->db.patience = PATIENCE_S;
    /* What the string says of these wins over what stands before it. */
    const char *const key[] = { "connect_timeout", "tcp_user_timeout", "fallback_application_name", "dbname", NULL };
    const char *const value[] = { "5", "10000", "lathe", where, NULL };
    p->at = pq.PQconnectdbParams(key, value, 1);
    int rc = p->at ? 0 : ERR(err, NOMEM, "no memory to open a database");
    if (!rc) {
        pq.PQsetNoticeProcessor(p->at, silent, NULL);
        rc = settle(p, err);
    }
    if (rc)
        close_db(&p->db);
    else
        *out = &p->db;
    return rc;
}
