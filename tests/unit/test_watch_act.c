/* test_watch_act.c - what rules move: the versions that a look has seen, and no others. */
#include "../test.h"
#include "base/log.h"
#include "cmd/cmd_registry.h"
#include "cmd/watch_act.h"

static struct err err;
static const struct journal_by by = { .actor = "tester", .reason = "a test" };

static void add(struct registry *g, const char *weights)
{
    struct registry_version v;
    put_in_dir("weights", weights);
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("weights") }, &by, &v, &err));
}

static void promote(struct registry *g, int64_t number, enum release_mode mode)
{
    OK(registry_promote(g, &(struct release_move){ .name = "m", .alias = WATCH_ALIAS, .number = number, .mode = mode, .share = 100, .expect = -1 }, &by, NULL, NULL, &err));
}

static void is_now(struct registry *g, int64_t stable, int64_t candidate)
{
    struct registry_release r;
    OK(registry_release_get(g, "m", WATCH_ALIAS, &r, &err));
    assert_int_equal(r.stable, stable);
    assert_int_equal(r.candidate, candidate);
}

static bool moved(unsigned todo, const struct registry_release *seen)
{
    json_t *o = json_pack("{s:s}", "signal", "finish");
    const bool any = watch_move(&(struct rule){ .todo = todo }, &(struct watch_act){ .name = "m", .alias = "", .seen = o, .because = "finish has changed", .release = seen });
    json_decref(o);
    return any;
}

static void a_version_that_came_after_the_look_is_not_moved(void **state)
{
    struct registry *g;
    struct registry_release seen;
    (void)state;
    char at[300];
    snprintf(at, sizeof at, "%s", in_dir("registry"));
    cmd_registry = at, cmd_actor = "tester";
    log_level_set(LOG_QUIET);
    OK(registry_open(&g, at, true, &err));
    add(g, "one"), add(g, "two"), add(g, "three");
    promote(g, 1, RELEASE_NONE), promote(g, 2, RELEASE_NONE);
    OK(registry_release_get(g, "m", WATCH_ALIAS, &seen, &err));
    promote(g, 3, RELEASE_NONE);
    assert_false(moved(RULE_ROLLBACK, &seen));           /* 3 is the mending of 2 */
    is_now(g, 3, 0);
    promote(g, 2, RELEASE_CANARY);
    OK(registry_release_get(g, "m", WATCH_ALIAS, &seen, &err));
    OK(registry_withdraw(g, &(struct release_move){ .name = "m", .alias = WATCH_ALIAS, .expect = -1 }, &by, NULL, &err));
    assert_false(moved(RULE_ROLLBACK, &seen));           /* another took the canary away, which is what this would have done */
    is_now(g, 3, 0);
    promote(g, 2, RELEASE_CANARY);
    promote(g, 1, RELEASE_CANARY);
    assert_false(moved(RULE_STOP_CANARY, &seen));
    is_now(g, 3, 1);
    OK(registry_release_get(g, "m", WATCH_ALIAS, &seen, &err));
    assert_true(moved(RULE_STOP_CANARY, &seen));
    is_now(g, 3, 0);
    OK(registry_release_get(g, "m", WATCH_ALIAS, &seen, &err));
    assert_true(moved(RULE_ROLLBACK, &seen));
    is_now(g, 2, 0);
    registry_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(a_version_that_came_after_the_look_is_not_moved, make_dir, remove_dir) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
