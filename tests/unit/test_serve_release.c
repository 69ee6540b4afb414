/* test_serve_release.c - what a server makes of the release that it follows, and of a registry that is away for a while: on SQLite and on PostgreSQL. */
#include "../registries.h"
#include <pthread.h>
#include <time.h>
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "cmd/registry_wait.h"
#include "cmd/serve_release.h"

static struct err err;
static struct serve_release *r;
static struct arms_wanted want;

static void nap(void) { nanosleep(&(struct timespec){ 0, 20000000 }, NULL); }

static void add(const char *text)
{
    struct registry_version v;
    put_in_dir("new/weights", text);
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new") }, &by, &v, &err));
}

static struct registry_release promote(int64_t number, enum release_mode mode)
{
    struct registry_release out;
    const struct release_move m = { .name = "m", .alias = "production", .number = number, .mode = mode, .share = mode == RELEASE_CANARY ? 100 : 0, .expect = -1 };
    OK(registry_promote(g, &m, &by, &out, NULL, &err));
    return out;
}

static struct registry_release release(void)
{
    struct registry_release out;
    OK(registry_release_get(g, "m", "production", &out, &err));
    return out;
}

/* Two versions, the first promoted, and followed. */
static void follow(void)
{
    static char where[300];
    registry_here();
    snprintf(where, sizeof where, "%s", on_postgres ? database() : in_dir("registry"));
    cmd_registry = where;
    add("one"), add("two");
    promote(1, RELEASE_NONE);
    OK(serve_release_open(&r, "m@production", "here", &err));
}

static void leave(void)
{
    serve_release_close(r);
    r = NULL;
    cmd_registry = NULL;
}

static int ask(void)
{
    const struct arms_source s = serve_release_source(r);
    return s.wanted(s.ctx, &want, &err);
}

static void say(const struct arms_version *v, const char *state)
{
    const struct arms_source s = serve_release_source(r);
    s.told(s.ctx, v, state, "");
}

/* What the registry knows of this server's version; "": nothing. */
static const char *state_of(int64_t number)
{
    static char state[40];
    json_t *all, *row;
    size_t i;
    state[0] = 0;
    OK(registry_server_states(g, "m", "production", &all, &err));
    json_array_foreach(all, i, row)
        if (json_integer_value(json_object_get(row, "number")) == number)
            snprintf(state, sizeof state, "%s", tree_text_at(row, "state"));
    json_decref(all);
    return state;
}

static void a_release_is_followed_and_its_green_candidate_settled(void **state)
{
    (void)state;
    follow();
    assert_int_equal(ask(), 1);
    assert_int_equal(want.stable.number, 1);
    assert_int_equal(ask(), 0);
    say(&want.stable, "serving");
    assert_string_equal(state_of(1), "serving");
    promote(2, RELEASE_GREEN);
    assert_int_equal(ask(), 1);
    assert_int_equal(want.candidate.number, 2);
    say(&want.candidate, "ready");
    assert_int_equal(release().stable, 2);
    assert_int_equal(ask(), 1);
    assert_int_equal(want.stable.number, 2);
    leave();
}

static void a_candidate_whose_files_are_gone_is_withdrawn(void **state)
{
    (void)state;
    follow();
    assert_int_equal(ask(), 1);
    promote(2, RELEASE_CANARY);
    struct registry_version v;
    struct manifest m;
    OK(registry_find_text(g, "m@2", &v, &err));
    OK(registry_manifest(g, &v, &m, &err));
    char *blob = blob_path(registry_folder(g), m.file[0].sha256);
    assert_int_equal(remove(blob), 0);
    mem_free(blob);
    manifest_release(&m);
    assert_int_equal(ask(), 1);
    assert_int_equal(want.candidate.number, 0);
    assert_int_equal(want.stable.number, 1);
    assert_int_equal(release().candidate, 0);
    assert_string_equal(state_of(2), "failed");
    leave();
}

/* Servers count in steps of the journal and in a clock that only goes on. */
static void a_clock_that_jumps_changes_no_decision(void **state)
{
    (void)state;
    static const char *const times[] = { "2036-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2120-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-11-27T10:00:00Z" };
    json_t *history, *record;
    size_t k;
    follow();
    assert_int_equal(ask(), 1);
    say(&want.stable, "serving");
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t now;
        OK(when_parse(&now, times[i], &err));
        when_set(now);
        promote(2, RELEASE_GREEN);
        assert_int_equal(ask(), 1);
        assert_true(want.stable.number == 1 && want.candidate.number == 2);
        say(&want.candidate, "ready");
        assert_string_equal(state_of(2), "ready");
        assert_int_equal(release().stable, 2);
        OK(registry_rollback(g, &(struct release_move){ .name = "m", .alias = "production", .expect = -1 }, &by, NULL, &err));
        assert_int_equal(ask(), 1);
        assert_true(want.stable.number == 1 && want.candidate.number == 0);
    }
    char before[WHEN_TEXT] = "9";                       /* the newest first */
    OK(registry_history(g, "m", 0, &history, &err));
    json_array_foreach(history, k, record) {
        assert_true(strcmp(tree_text_at(record, "t"), before) < 0);
        snprintf(before, sizeof before, "%s", tree_text_at(record, "t"));
    }
    json_decref(history);
    leave();
}

/* ---- who waits for servers ---- */

struct waiter { struct registry_release r; json_t *before, *servers; int rc; struct err why; };

static void *wait_in_a_thread(void *ctx)
{
    struct waiter *w = ctx;
    struct registry *own;
    w->rc = registry_open(&own, cmd_registry, false, &w->why);
    if (!w->rc) {
        w->rc = registry_wait(own, &w->r, 2, &(struct registry_wait){ w->before, 60, true }, &w->servers, &w->why);
        registry_close(own);
    }
    return NULL;
}

static void a_version_that_is_closed_late_is_waited_for_until_it_is_loaded_again(void **state)
{
    (void)state;
    struct waiter w = { .rc = -1 };
    pthread_t thread;
    follow();
    assert_int_equal(ask(), 1);
    const struct arms_version one = want.stable;
    say(&one, "serving");
    promote(2, RELEASE_CANARY);
    assert_int_equal(ask(), 1);
    const struct arms_version two = want.candidate;
    say(&two, "serving");
    OK(registry_rollback(g, &(struct release_move){ .name = "m", .alias = "production", .expect = -1 }, &by, NULL, &err));
    OK(registry_wait_begin(g, "m", "production", &w.before, &err));
    w.r = promote(2, RELEASE_CANARY);
    assert_int_equal(ask(), 1);
    say(&one, "serving");
    say(&two, "gone");                                  /* of the rollback */
    assert_int_equal(pthread_create(&thread, NULL, wait_in_a_thread, &w), 0);
    for (int i = 0; i < 10; i++)
        nap();
    say(&two, "loading");
    nap();
    say(&two, "ready");
    say(&two, "serving");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.rc, 0);
    assert_string_equal(tree_text_at(json_array_get(w.servers, 0), "state"), "serving");
    json_decref(w.servers), json_decref(w.before);
    OK(registry_wait_begin(g, "m", "production", &w.before, &err));
    w.r = promote(2, RELEASE_NONE);
    say(&one, "gone");                                  /* a server that ends */
    say(&two, "gone");
    wait_in_a_thread(&w);
    assert_int_equal(w.rc, 0);
    json_decref(w.servers), json_decref(w.before);
    leave();
}

static void who_waits_for_a_candidate_that_does_not_load_is_told_why(void **state)
{
    (void)state;
    follow();
    assert_int_equal(ask(), 1);
    say(&want.stable, "serving");
    for (int i = 0; i < 2; i++) {
        struct waiter w = { .rc = 0 };
        OK(registry_wait_begin(g, "m", "production", &w.before, &err));
        w.r = promote(2, i ? RELEASE_GREEN : RELEASE_CANARY);
        assert_int_equal(ask(), 1);
        const struct arms_source s = serve_release_source(r);
        s.told(s.ctx, &want.candidate, "failed", "it is signed by nobody");
        assert_int_equal(release().candidate, 0);
        wait_in_a_thread(&w);
        assert_int_equal(w.rc, ERR_UNSUPPORTED);
        assert_non_null(strstr(w.why.msg, "it is signed by nobody"));
        json_decref(w.servers), json_decref(w.before);
    }
    leave();
}

static const struct CMUnitTest databases[] = {
#define T(x) cmocka_unit_test_setup_teardown(x, registry_begin, registry_end)
    T(a_release_is_followed_and_its_green_candidate_settled),
    T(a_candidate_whose_files_are_gone_is_withdrawn),
    T(a_clock_that_jumps_changes_no_decision),
    T(a_version_that_is_closed_late_is_waited_for_until_it_is_loaded_again),
    T(who_waits_for_a_candidate_that_does_not_load_is_told_why),
};

/* ---- a database that goes away ---- */

static void server(const char *what)
{
    char command[200];
    snprintf(command, sizeof command, "tools/test-postgres %s %s %d > /dev/null", what, postgres_dir, (int)getpid());
    assert_int_equal(system(command), 0);
}

static void with_the_database_away_the_last_release_stays_and_what_was_done_is_told_later(void **state)
{
    (void)state;
    follow();
    assert_int_equal(ask(), 1);
    promote(2, RELEASE_GREEN);
    assert_int_equal(ask(), 1);
    say(&want.stable, "serving");
    say(&want.candidate, "loading");
    server("stop");
    const struct arms_wanted before = want;
    for (int i = 0; i < 3; i++)
        assert_true(ask() < 0);
    say(&before.candidate, "ready");                    /* its load ends meanwhile */
    say(&before.previous, "gone");
    assert_true(ask() < 0);
    server("start");
    registry_here();
    int rc = -1;
    for (int i = 0; i < 500 && rc != 1; i++) {          /* it is asked again once a second */
        nap();
        rc = ask();
    }
    assert_int_equal(rc, 1);
    assert_int_equal(want.stable.number, 2);
    assert_int_equal(release().stable, 2);
    assert_string_equal(state_of(1), "serving");
    assert_string_equal(state_of(2), "ready");
    leave();
}

static void *ask_in_a_thread(void *rc)
{
    *(int *)rc = ask();
    return NULL;
}

/* The number of the backend that waits for a table, another than this. */
static int64_t waiting(int64_t but)
{
    int64_t pid = 0;
    for (int i = 0; i < 500 && !pid; i++) {
        nap();
        OK(db_query_int(&pid, registry_db(g), 0, "SELECT max(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND pid <> $1", DB_ARGS(DB_I(but)), &err));
    }
    return pid;
}

static void a_connection_that_is_lost_while_a_candidate_is_looked_up_is_not_the_candidates_fault(void **state)
{
    (void)state;
    struct db *locks;
    pthread_t thread;
    int rc = 0;
    int64_t done;
    follow();
    assert_int_equal(ask(), 1);
    promote(2, RELEASE_CANARY);
    OK(db_open(&locks, database(), &err));
    OK(db_script(locks, "BEGIN; LOCK TABLE dropped IN ACCESS EXCLUSIVE MODE", &err));
    assert_int_equal(pthread_create(&thread, NULL, ask_in_a_thread, &rc), 0);
    const int64_t first = waiting(0);
    OK(db_query_int(&done, registry_db(g), 0, "SELECT CASE WHEN pg_terminate_backend($1::int) THEN 1 ELSE 0 END", DB_ARGS(DB_I(first)), &err));
    waiting(first);
    OK(db_script(locks, "ROLLBACK", &err));
    db_close(locks);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rc, 1);
    assert_int_equal(want.candidate.number, 2);
    assert_int_equal(release().candidate, 2);
    assert_string_equal(state_of(2), "");
    leave();
}

static const struct CMUnitTest on_a_server[] = {
    T(with_the_database_away_the_last_release_stays_and_what_was_done_is_told_later),
    T(a_connection_that_is_lost_while_a_candidate_is_looked_up_is_not_the_candidates_fault),
};

int main(void) { return ON_BOTH_DATABASES(databases) | cmocka_run_group_tests(on_a_server, postgres_begin, postgres_end); }
