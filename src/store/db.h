/* db.h - one small interface to SQLite and PostgreSQL: the same SQL, the same schema, the same tests.
 *
 * SQL is what both understand: columns BIGINT, TEXT and DOUBLE PRECISION, parameters $1, $2 ..., INSERT ... ON CONFLICT, RETURNING, LIMIT.
 * SQLite: a file on a disk that is full or read-only is opened for reading.  Write-ahead log, synchronous=FULL (a commit is on the disk when it returns), foreign keys on, another's write is waited for.
 * PostgreSQL: libpq is opened when it is first needed, so that the program runs without it.  A connection that was lost, or a file that another was put in the
 * place of, is made or opened again by the next statement outside a transaction.
 * A connection belongs to one thread at a time.
 *
 * Errors: ERR_BUSY another writer did not end in time; ERR_IO the disk is full, or the database cannot be reached; ERR_CORRUPT the file is no
 * database, or damaged; ERR_RANGE a constraint of a table says no; ERR_UNSUPPORTED libpq is not here; ERR_NOMEM. */
#ifndef STORE_DB_H
#define STORE_DB_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct db;
/* where: postgresql://... (postgres:// too), a file of SQLite, made where it is missing, or a folder: registry.db in it. */
int db_open(struct db **out, const char *where, struct err *err);
void db_close(struct db *db);                  /* what was not committed is undone; NULL is fine */
bool db_is_postgres(const char *where);
/* A server that says nothing for so long (60 s) while it is waited for is taken to be away: ERR_IO, and the connection is cut.  SQLite: nothing. */
void db_patience(struct db *db, double seconds);
const char *db_name(const struct db *db);      /* for messages: the file, or host and database without a password; until it is closed */

/* Texts are UTF-8, end with a NUL and are borrowed for the call. */
enum db_kind { DB_NULL, DB_INT, DB_REAL, DB_TEXT };
struct db_arg { enum db_kind kind; int64_t i; double r; const char *s; };
#define DB_I(x) ((struct db_arg){ .kind = DB_INT, .i = (x) })
#define DB_R(x) ((struct db_arg){ .kind = DB_REAL, .r = (x) })
#define DB_T(x) ((struct db_arg){ .kind = DB_TEXT, .s = (x) })        /* NULL: no value */
#define DB_NONE ((struct db_arg){ .kind = DB_NULL })
#define DB_ARGS(...) (const struct db_arg[]){ __VA_ARGS__ }, (int)(sizeof((const struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg))
#define DB_ARGS_MAX 40

/* One statement; arg[0] is $1.  n_changed (may be NULL): rows that it changed. */
int db_run(struct db *db, const char *sql, const struct db_arg *arg, int n, int64_t *n_changed, struct err *err);
/* Several statements without arguments, parted by semicolons. */
int db_script(struct db *db, const char *sql, struct err *err);

/* A statement's rows.  Nothing may change the tables that it reads before the last row was seen or db_rows_free(). */
struct db_rows;
int db_query(struct db_rows **out, struct db *db, const char *sql, const struct db_arg *arg, int n, struct err *err);
int db_next(struct db_rows *r, struct err *err);          /* 1: a row is there, 0: there are no more, or an error */
/* Of the row that db_next() found, columns from 0 on.  NULL gives 0, 0.0 and "".  A text is good until the next db_next(). */
int64_t db_int(struct db_rows *r, int column);
double db_real(struct db_rows *r, int column);
const char *db_text(struct db_rows *r, int column);
size_t db_bytes(struct db_rows *r, int column);           /* of a text: more than its strlen() where someone put a NUL into it */
bool db_is_null(struct db_rows *r, int column);
void db_rows_free(struct db_rows *r);                     /* NULL is fine */
/* The first row's first column; fallback where there is no row or no value. */
int db_query_int(int64_t *out, struct db *db, int64_t fallback, const char *sql, const struct db_arg *arg, int n, struct err *err);

/* A transaction that writes: takes the writer's place at once, or waits for it, so that what it reads stays true until it ends.
 * After an error in it only db_rollback() helps. */
int db_begin(struct db *db, struct err *err);
/* One that reads: all its queries see one state, whoever writes meanwhile.  Ends with db_rollback(). */
int db_begin_read(struct db *db, struct err *err);
int db_commit(struct db *db, struct err *err);            /* on error everything is undone, and the transaction is over */
void db_rollback(struct db *db);                          /* outside a transaction: nothing to do */
int db_end(struct db *db, int rc, struct err *err);       /* rc 0: db_commit(); else undone, and rc again */

/* Looks through the database's own structure, as far as it can: appends a line for each fault.  PostgreSQL looks after its own. */
struct buf;
int db_check(struct db *db, struct buf *out, struct err *err);

/* Brings the tables of `what` to version n by steps: step[v] leads from version v to v + 1, several statements each; all of them or none.
 * ERR_UNSUPPORTED where the tables are of a newer version than n. */
int db_upgrade(struct db *db, const char *what, const char *const *step, int n, struct err *err);
/* The version that they have; 0: there are none. */
int db_version(struct db *db, const char *what, int64_t *version, struct err *err);
#endif
