/* registries.h - what tests of a registry share, on SQLite and on PostgreSQL: one in the test's folder, opened and closed. */
#ifndef TESTS_REGISTRIES_H
#define TESTS_REGISTRIES_H
#include "databases.h"
#include "base/when.h"
#include "store/registry.h"

static struct registry *g;
static const struct journal_by by = { .actor = "tester", .reason = "because" };

/* LATHE_HOME too is the test's folder: there the blobs of a database on a server lie. */
SHARED_BY_TESTS int registry_begin(void **state)
{
    if (database_make(state))
        return -1;
    setenv("LATHE_HOME", test_dir, 1);
    return 0;
}

SHARED_BY_TESTS int registry_end(void **state)
{
    registry_close(g);
    g = NULL;
    when_set(-1);
    return database_drop(state);
}

/* Again, where it is open. */
SHARED_BY_TESTS void registry_here(void)
{
    struct err err;
    const char *where = database();
    registry_close(g);
    OK(registry_open(&g, on_postgres ? where : in_dir("registry"), true, &err));
}
#endif
