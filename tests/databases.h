/* databases.h - for tests that run twice, on SQLite and on PostgreSQL: an empty database for each test.
 *
 *   static const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(x, database_make, database_drop), ... };
 *   int main(void) { return ON_BOTH_DATABASES(tests); }
 *
 * A test begins with database(), which gives its connection string, or skips it aloud where PostgreSQL is not installed. */
#ifndef TESTS_DATABASES_H
#define TESTS_DATABASES_H
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"
#include "store/db.h"

SHARED_BY_TESTS bool on_postgres;
SHARED_BY_TESTS char database_where[200], postgres_where[200], postgres_dir[40];

SHARED_BY_TESTS int postgres_begin(void **state)
{
    (void)state;
    char command[200];
    on_postgres = true;
    strcpy(postgres_dir, "/tmp/lathe-pg-XXXXXX");
    if (!mkdtemp(postgres_dir) || chmod(postgres_dir, 0755))
        return -1;
    snprintf(command, sizeof command, "tools/test-postgres start %s %d", postgres_dir, (int)getpid());
    FILE *f = popen(command, "r");
    if (!f)
        return -1;
    if (!fgets(postgres_where, sizeof postgres_where, f))
        postgres_where[0] = 0;
    postgres_where[strcspn(postgres_where, "\n")] = 0;
    const int rc = pclose(f);
    return WIFEXITED(rc) && (WEXITSTATUS(rc) == 0 || WEXITSTATUS(rc) == 77) ? 0 : -1;
}

SHARED_BY_TESTS int postgres_end(void **state)
{
    (void)state;
    char command[200];
    snprintf(command, sizeof command, "tools/test-postgres stop %s", postgres_dir);
    if (*postgres_where && system(command))
        return -1;
    return file_remove_tree(postgres_dir, NULL);
}

SHARED_BY_TESTS int database_make(void **state)
{
    if (make_dir(state))
        return -1;
    strcpy(database_where, on_postgres ? postgres_where : test_dir);
    if (!on_postgres || !*postgres_where)
        return 0;
    struct db *db;
    struct err err;
    int rc = db_open(&db, postgres_where, &err);
    if (!rc) {
        rc = db_script(db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &err);
        db_close(db);
    }
    if (rc)
        print_message("%s\n", err.msg);
    return rc;
}

SHARED_BY_TESTS int database_drop(void **state) { return remove_dir(state); }

SHARED_BY_TESTS const char *database(void)
{
    if (!*database_where) {
        print_message("SKIPPED: PostgreSQL's server is not installed\n");
        skip();
    }
    return database_where;
}

#define ON_BOTH_DATABASES(tests)                                                          \
    (cmocka_run_group_tests_name(#tests " on SQLite", tests, NULL, NULL) |                \
     cmocka_run_group_tests_name(#tests " on PostgreSQL", tests, postgres_begin, postgres_end))
#endif
