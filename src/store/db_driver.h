/* db_driver.h - what db.h asks of SQLite and PostgreSQL.  Internal to store/. */
#ifndef STORE_DB_DRIVER_H
#define STORE_DB_DRIVER_H
#include "store/db.h"

struct db_rows {
    const struct db_driver *driver;
};

struct db {
    const struct db_driver *driver;
    char *name;
    bool in_transaction;
    double patience;                                 /* s: db_patience() */
};

struct db_driver {
    int (*run)(struct db *db, const char *sql, const struct db_arg *arg, int n, int64_t *n_changed, struct err *err);
    int (*script)(struct db *db, const char *sql, struct err *err);
    int (*query)(struct db_rows **out, struct db *db, const char *sql, const struct db_arg *arg, int n, struct err *err);
    int (*next)(struct db_rows *r, struct err *err);
    int64_t (*get_int)(struct db_rows *r, int column);
    double (*get_real)(struct db_rows *r, int column);
    const char *(*get_text)(struct db_rows *r, int column);
    size_t (*get_bytes)(struct db_rows *r, int column);
    bool (*is_null)(struct db_rows *r, int column);
    void (*rows_free)(struct db_rows *r);
    int (*begin)(struct db *db, struct err *err);
    const char *begin_read, *has_table;              /* statements; the second counts the tables of name $1 */
    const char *check;                               /* a query whose rows are faults, but for "ok"; NULL: none */
    void (*close)(struct db *db);                    /* frees db, but for its name */
};

int db_sqlite_open(struct db **out, const char *path, struct err *err);
int db_pg_open(struct db **out, const char *where, struct err *err);
#endif
