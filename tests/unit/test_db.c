/* test_db.c - SQLite and PostgreSQL behind one interface: the same statements, values, transactions and errors. */
#include "../databases.h"
#include <pthread.h>
#include <signal.h>

static struct err err;

static struct db *opened(void)
{
    struct db *db = NULL;
    OK(db_open(&db, database(), &err));
    return db;
}

static struct db *with_table(void)
{
    struct db *db = opened();
    OK(db_script(db, "CREATE TABLE t (i BIGINT NOT NULL PRIMARY KEY, s TEXT, r DOUBLE PRECISION); CREATE TABLE u (i BIGINT NOT NULL REFERENCES t (i))", &err));
    return db;
}

static int64_t count(struct db *db)
{
    int64_t n = -1;
    OK(db_query_int(&n, db, 0, "SELECT count(*) FROM t", NULL, 0, &err));
    return n;
}

static void values_come_back_as_they_went(void **state)
{
    (void)state;
    static const int64_t ints[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
    static const double reals[] = { 0, -0.5, 0.1, 1e300, 5e-324 };
    static const char *const texts[] = { "", "a", "it's \"$1\"; --", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "line\nline\ttab\x7f" };
    struct db *db = with_table();
    for (int i = 0; i < 5; i++) {
        int64_t n = 0;
        OK(db_run(db, "INSERT INTO t (i, s, r) VALUES ($1, $2, $3)", DB_ARGS(DB_I(ints[i]), DB_T(texts[i]), DB_R(reals[i])), &n, &err));
        assert_int_equal(n, 1);
    }
    for (int i = 0; i < 5; i++) {
        struct db_rows *r;
        OK(db_query(&r, db, "SELECT s, r, i FROM t WHERE i = $1", DB_ARGS(DB_I(ints[i])), &err));
        assert_int_equal(db_next(r, &err), 1);
        assert_string_equal(db_text(r, 0), texts[i]);
        assert_memory_equal(&(double){ db_real(r, 1) }, &reals[i], sizeof(double));
        assert_true(db_int(r, 2) == ints[i]);
        assert_false(db_is_null(r, 0));
        assert_int_equal(db_next(r, &err), 0);
        db_rows_free(r);
    }
    db_close(db);
}

static void no_value_is_null_and_reads_as_nothing(void **state)
{
    (void)state;
    struct db *db = with_table();
    OK(db_run(db, "INSERT INTO t (i, s, r) VALUES ($1, $2, $3)", DB_ARGS(DB_I(1), DB_T(NULL), DB_NONE), NULL, &err));
    struct db_rows *r;
    OK(db_query(&r, db, "SELECT s, r FROM t", NULL, 0, &err));
    assert_int_equal(db_next(r, &err), 1);
    assert_true(db_is_null(r, 0) && db_is_null(r, 1));
    assert_string_equal(db_text(r, 0), "");
    assert_true(db_real(r, 1) == 0 && db_int(r, 1) == 0);
    db_rows_free(r);
    int64_t n;
    OK(db_query_int(&n, db, 7, "SELECT r FROM t", NULL, 0, &err));
    assert_int_equal(n, 7);
    OK(db_query_int(&n, db, 8, "SELECT i FROM t WHERE i = $1", DB_ARGS(DB_I(2)), &err));
    assert_int_equal(n, 8);
    db_close(db);
}

static void an_argument_may_stand_twice_and_in_any_order(void **state)
{
    (void)state;
    struct db *db = with_table();
    OK(db_run(db, "INSERT INTO t (s, i) VALUES ($2, $1)", DB_ARGS(DB_I(5), DB_T("five")), NULL, &err));
    int64_t n;
    OK(db_query_int(&n, db, 0, "SELECT i + $2 FROM t WHERE i = $1 AND i <= $1 AND s = $3", DB_ARGS(DB_I(5), DB_I(100), DB_T("five")), &err));
    assert_int_equal(n, 105);
    db_close(db);
}

static void what_was_changed_is_counted(void **state)
{
    (void)state;
    struct db *db = with_table();
    int64_t n;
    for (int i = 0; i < 4; i++)
        OK(db_run(db, "INSERT INTO t (i) VALUES ($1)", DB_ARGS(DB_I(i)), NULL, &err));
    OK(db_run(db, "UPDATE t SET s = 'x' WHERE i > 1", NULL, 0, &n, &err));
    assert_int_equal(n, 2);
    OK(db_run(db, "DELETE FROM t WHERE i > 9", NULL, 0, &n, &err));
    assert_int_equal(n, 0);
    db_close(db);
}

static void constraints_hold_and_say_so(void **state)
{
    (void)state;
    struct db *db = with_table();
    OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err), ERR_RANGE);
    assert_int_equal(db_run(db, "INSERT INTO u (i) VALUES (2)", NULL, 0, NULL, &err), ERR_RANGE);
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (NULL)", NULL, 0, NULL, &err), ERR_RANGE);
    assert_int_equal(db_run(db, "SELEKT 1", NULL, 0, NULL, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "syntax error"));
    struct db_rows *r;
    assert_int_equal(db_query(&r, db, "SELECT none FROM t", NULL, 0, &err), ERR_IO);
    assert_null(r);
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void what_is_not_committed_is_undone(void **state)
{
    (void)state;
    struct db *db = with_table();
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    db_rollback(db);
    db_rollback(db);
    assert_int_equal(count(db), 0);
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    OK(db_commit(db, &err));
    assert_int_equal(count(db), 1);
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (2)", NULL, 0, NULL, &err));
    db_close(db);
    db = opened();
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void after_an_error_in_a_transaction_it_can_be_undone(void **state)
{
    (void)state;
    struct db *db = with_table();
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err), ERR_RANGE);
    db_rollback(db);
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (3)", NULL, 0, NULL, &err));
    OK(db_commit(db, &err));
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void a_reader_sees_one_state_while_another_writes(void **state)
{
    (void)state;
    struct db *writer = with_table(), *reader = opened();
    OK(db_begin_read(reader, &err));
    assert_int_equal(count(reader), 0);
    OK(db_run(writer, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    assert_int_equal(count(reader), 0);
    db_rollback(reader);
    assert_int_equal(count(reader), 1);
    db_close(reader);
    db_close(writer);
}

enum { WRITERS = 4, TURNS = 40 };
struct adder { pthread_t thread; const char *where; int rc; struct err err; };

/* Reads, then writes what follows from it: with two at once a turn would be lost. */
static void *add_one_by_one(void *p)
{
    struct adder *a = p;
    struct db *db;
    a->rc = db_open(&db, a->where, &a->err);
    for (int i = 0; i < TURNS && !a->rc; i++) {
        int64_t n;
        a->rc = db_begin(db, &a->err);
        if (!a->rc)
            a->rc = db_query_int(&n, db, 0, "SELECT max(i) FROM t", NULL, 0, &a->err);
        if (!a->rc)
            a->rc = db_run(db, "INSERT INTO t (i) VALUES ($1)", DB_ARGS(DB_I(n + 1)), NULL, &a->err);
        if (!a->rc)
            a->rc = db_commit(db, &a->err);
    }
    db_close(db);
    return NULL;
}

static void writers_at_once_take_turns(void **state)
{
    (void)state;
    struct db *db = with_table();
    struct adder a[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        a[i] = (struct adder){ .where = database_where };
        assert_int_equal(pthread_create(&a[i].thread, NULL, add_one_by_one, &a[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(a[i].thread, NULL);
        if (a[i].rc)
            fail_msg("%s", a[i].err.msg);
    }
    assert_int_equal(count(db), WRITERS * TURNS);
    db_close(db);
}

static const char *const steps[] = {
    "CREATE TABLE first (i BIGINT); INSERT INTO first (i) VALUES (1)",
    "ALTER TABLE first ADD COLUMN s TEXT; UPDATE first SET s = 'two'",
    "CREATE TABLE third (i BIGINT); SELECT nonsense FROM nowhere",
};

static void tables_are_upgraded_step_by_step(void **state)
{
    (void)state;
    struct db *db = opened();
    OK(db_upgrade(db, "things", steps, 1, &err));
    OK(db_upgrade(db, "things", steps, 2, &err));
    OK(db_upgrade(db, "things", steps, 2, &err));
    OK(db_upgrade(db, "others", NULL, 0, &err));
    int64_t n;
    OK(db_query_int(&n, db, 0, "SELECT count(*) FROM first WHERE s = 'two'", NULL, 0, &err));
    assert_int_equal(n, 1);
    db_close(db);
}

static void a_step_that_fails_leaves_the_tables_as_they_were(void **state)
{
    (void)state;
    struct db *db = opened();
    OK(db_upgrade(db, "things", steps, 1, &err));
    assert_int_equal(db_upgrade(db, "things", steps, 3, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "version 3 of the tables of things"));
    OK(db_run(db, "INSERT INTO first (i) VALUES (2)", NULL, 0, NULL, &err));
    assert_int_equal(db_run(db, "SELECT s FROM first", NULL, 0, NULL, &err), ERR_IO);
    assert_int_equal(db_run(db, "SELECT i FROM third", NULL, 0, NULL, &err), ERR_IO);
    OK(db_upgrade(db, "things", steps, 2, &err));
    db_close(db);
}

static void tables_of_a_newer_program_are_left_alone(void **state)
{
    (void)state;
    struct db *db = opened();
    OK(db_upgrade(db, "things", steps, 2, &err));
    assert_int_equal(db_upgrade(db, "things", steps, 1, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "version 2, this program knows them up to 1"));
    db_close(db);
}

static const struct CMUnitTest databases[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, database_make, database_drop)
    T(values_come_back_as_they_went),
    T(no_value_is_null_and_reads_as_nothing),
    T(an_argument_may_stand_twice_and_in_any_order),
    T(what_was_changed_is_counted),
    T(constraints_hold_and_say_so),
    T(what_is_not_committed_is_undone),
    T(after_an_error_in_a_transaction_it_can_be_undone),
    T(a_reader_sees_one_state_while_another_writes),
    T(writers_at_once_take_turns),
    T(tables_are_upgraded_step_by_step),
    T(a_step_that_fails_leaves_the_tables_as_they_were),
    T(tables_of_a_newer_program_are_left_alone),
};

/* ---- of one kind ---- */

static void a_damaged_or_foreign_file_is_told(void **state)
{
    (void)state;
    struct db *db;
    OK(file_write_all(in_dir("registry.db"), "no database at all, but long enough for a header of one, which has a hundred bytes, and some more for good measure", 110, &err));
    assert_int_equal(db_open(&db, test_dir, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "registry.db: "));
    assert_null(db);
    assert_int_equal(db_open(&db, in_dir("none/x.db"), &err), ERR_IO);
}

static void a_full_disk_is_an_error_and_loses_nothing(void **state)
{
    (void)state;
    struct db *db = with_table();
    OK(db_script(db, "PRAGMA max_page_count = 8", &err));
    int64_t i = 0;
    int rc = 0;
    for (; i < 1000 && !rc; i++)
        rc = db_run(db, "INSERT INTO t (i, s) VALUES ($1, $2)", DB_ARGS(DB_I(i), DB_T("some text that takes some room, so that the pages are soon full")), NULL, &err);
    assert_int_equal(rc, ERR_IO);
    assert_non_null(strstr(err.msg, "the disk is full"));
    assert_int_equal(count(db), i - 1);
    db_close(db);
}

/* As a restore does it while a server has the old one open. */
static void a_file_that_another_took_the_place_of_is_opened_anew(void **state)
{
    (void)state;
    struct db *db = with_table(), *new;
    struct db_rows *r;
    OK(db_run(db, "INSERT INTO t (i) VALUES (1), (2)", NULL, 0, NULL, &err));
    OK(db_query(&r, db, "SELECT i FROM t ORDER BY i", NULL, 0, &err));
    assert_int_equal(db_next(r, &err), 1);
    OK(file_mkdirs(in_dir("old"), &err));
    OK(file_rename(in_dir("registry.db"), in_dir("old/registry.db"), &err));
    OK(file_rename(in_dir("registry.db-wal"), in_dir("old/registry.db-wal"), &err));
    OK(file_rename(in_dir("registry.db-shm"), in_dir("old/registry.db-shm"), &err));
    assert_int_equal(db_next(r, &err), 1);
    assert_int_equal(db_int(r, 0), 2);
    db_rows_free(r);
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (3)", NULL, 0, NULL, &err), ERR_IO);
    assert_int_equal(db_begin(db, &err), ERR_IO);
    assert_false(file_exists(in_dir("registry.db")));
    OK(db_open(&new, test_dir, &err));
    OK(db_script(new, "CREATE TABLE t (i BIGINT NOT NULL PRIMARY KEY, s TEXT, r DOUBLE PRECISION)", &err));
    OK(db_run(new, "INSERT INTO t (i) VALUES (7)", NULL, 0, NULL, &err));
    assert_int_equal(count(db), 1);
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (8)", NULL, 0, NULL, &err));
    OK(db_commit(db, &err));
    assert_int_equal(count(new), 2);
    db_close(db);
    db_close(new);
    OK(db_open(&db, in_dir("old/registry.db"), &err));
    assert_int_equal(count(db), 2);
    db_close(db);
}

/* SQLite removes the log when it closes a database, by its name: unless it was moved. */
static void closing_a_file_that_was_replaced_leaves_the_log_of_the_new_one(void **state)
{
    (void)state;
    struct db *db = with_table(), *new;
    OK(file_mkdirs(in_dir("old"), &err));
    static const char *const names[] = { "registry.db", "registry.db-wal", "registry.db-shm" };
    for (int i = 0; i < 3; i++)
        OK(file_rename(in_dir(names[i]), path_in(in_dir("old"), names[i]), &err));
    OK(db_open(&new, test_dir, &err));
    OK(db_script(new, "CREATE TABLE t (i BIGINT NOT NULL PRIMARY KEY)", &err));
    OK(db_run(new, "INSERT INTO t (i) VALUES (7)", NULL, 0, NULL, &err));
    db_close(db);
    assert_true(file_exists(in_dir("registry.db-wal")));
    assert_int_equal(count(new), 1);
    OK(db_open(&db, test_dir, &err));
    assert_int_equal(count(db), 1);
    db_close(db);
    db_close(new);
}

static void an_unreachable_server_is_an_error(void **state)
{
    (void)state;
    struct db *db;
    assert_int_equal(db_open(&db, "postgresql://me:secret@127.0.0.1:1/registry?password=secret", &err), ERR_IO);
    assert_non_null(strstr(err.msg, "postgresql://127.0.0.1:1/registry: the database cannot be reached"));
    assert_null(strstr(err.msg, "secret"));
    assert_null(db);
    assert_int_equal(db_open(&db, "postgresql://[", &err), ERR_IO);
    assert_true(db_is_postgres("postgres://x") && !db_is_postgres("postgresql:/x") && !db_is_postgres("/postgres://"));
}

static const struct CMUnitTest each[] = { T(a_damaged_or_foreign_file_is_told), T(a_full_disk_is_an_error_and_loses_nothing), T(a_file_that_another_took_the_place_of_is_opened_anew),
                                           T(closing_a_file_that_was_replaced_leaves_the_log_of_the_new_one), T(an_unreachable_server_is_an_error) };

static void a_lost_connection_is_made_again_but_not_within_a_transaction(void **state)
{
    (void)state;
    struct db *db = with_table(), *other = opened();
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    const char *end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()";
    OK(db_run(other, end, NULL, 0, NULL, &err));
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (2)", NULL, 0, NULL, &err), ERR_IO);
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (3)", NULL, 0, NULL, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "the connection to the database was lost"));
    assert_int_equal(db_commit(db, &err), ERR_IO);
    assert_int_equal(count(db), 0);
    OK(db_run(db, "INSERT INTO t (i) VALUES (4)", NULL, 0, NULL, &err));
    assert_int_equal(count(other), 1);
    db_close(other);
    db_close(db);
}

/* As after the server was started again: the first who asks is not told of it. */
static void a_connection_that_ended_at_rest_is_made_again_before_it_is_used(void **state)
{
    (void)state;
    struct db *db = with_table(), *other = opened();
    const struct timespec moment = { 0, 1000000 };
    for (int how = 0; how < 3; how++) {
        int64_t pid = 0, n = -1;
        OK(db_query_int(&pid, db, 0, "SELECT pg_backend_pid()", NULL, 0, &err));
        OK(db_run(other, "SELECT pg_terminate_backend($1::int4)", (struct db_arg[]){ { .kind = DB_INT, .i = pid } }, 1, NULL, &err));
        while (!kill((pid_t)pid, 0))
            nanosleep(&moment, NULL);
        if (how == 0)
            OK(db_query_int(&n, db, 0, "SELECT count(*) FROM t", NULL, 0, &err));
        else if (how == 1)
            OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
        else {
            OK(db_begin(db, &err));
            OK(db_run(db, "INSERT INTO t (i) VALUES (2)", NULL, 0, NULL, &err));
            OK(db_commit(db, &err));
        }
    }
    assert_int_equal(count(other), 2);
    db_close(other);
    db_close(db);
}

/* A backend that is stopped keeps its connection, and says nothing. */
static void a_server_that_stands_still_is_given_up_and_asked_again_later(void **state)
{
    (void)state;
    struct db *db = with_table(), *other = opened();
    int64_t pid = 0;
    db_patience(db, 0.3);
    OK(db_query_int(&pid, db, 0, "SELECT pg_backend_pid()", NULL, 0, &err));
    OK(db_begin(db, &err));
    OK(db_run(db, "INSERT INTO t (i) VALUES (1)", NULL, 0, NULL, &err));
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
    assert_int_equal(db_run(db, "INSERT INTO t (i) VALUES (2)", NULL, 0, NULL, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "the database has said nothing for 0.3 s"));
    assert_int_equal(db_commit(db, &err), ERR_IO);
    assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
    OK(db_run(db, "INSERT INTO t (i) VALUES (4)", NULL, 0, NULL, &err));
    assert_int_equal(count(other), 1);
    OK(db_query_int(&pid, db, 0, "SELECT pg_backend_pid()", NULL, 0, &err));
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
    assert_int_equal(db_begin(db, &err), ERR_IO);
    assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
    OK(db_query_int(&pid, db, 0, "SELECT 1 FROM pg_sleep(0.1)", NULL, 0, &err));
    assert_int_equal(pid, 1);
    db_close(other);
    db_close(db);
}

/* Who reads a whole state may do other things between its statements, for as long as they take; who writes is cut off. */
static void who_reads_is_not_cut_off_at_rest(void **state)
{
    (void)state;
    struct db *db = opened();
    int64_t ms = -1;
    for (int writes = 0; writes < 2; writes++) {
        OK(writes ? db_begin(db, &err) : db_begin_read(db, &err));
        OK(db_query_int(&ms, db, -1, "SELECT CAST(setting AS BIGINT) FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'", NULL, 0, &err));
        assert_int_equal(ms, writes ? 30000 : 0);
        db_rollback(db);
    }
    db_close(db);
}

static const struct CMUnitTest on_a_server[] = {
    T(a_lost_connection_is_made_again_but_not_within_a_transaction), T(a_connection_that_ended_at_rest_is_made_again_before_it_is_used),
    T(a_server_that_stands_still_is_given_up_and_asked_again_later), T(who_reads_is_not_cut_off_at_rest),
};

int main(void)
{
    return cmocka_run_group_tests(each, NULL, NULL) | ON_BOTH_DATABASES(databases) | cmocka_run_group_tests(on_a_server, postgres_begin, postgres_end);
}
