/* test_events_fault.c - what is recorded, with each allocation failing: an error, nothing left behind, and the database whole. */
#include "each_allocation.h"
#include <stdlib.h>
#include "base/log.h"
#include "store/events_copy.h"
#include "store/recorder.h"
#include "watch/answers.h"
#include "watch/rules.h"

static struct err err;

static int count(void *ctx, const struct event *ev, struct err *e)
{
    (void)ev, (void)e;
    ++*(int *)ctx;
    return 0;
}

static int write_one(struct events *e)
{
    struct event ev = { .id = "a", .request = "r", .t = 1, .finish = "stop", .owner = "team", .user = "anna", .prompt = "a prompt", .answer = "an answer", .n_sketch = 2, .sketch = { 1, 2 } };
    TRY(db_begin(events_db(e), &err));
    const int rc = events_write(e, &ev, INT64_MAX, &err);
    if (!rc)
        return db_commit(events_db(e), &err);
    db_rollback(events_db(e));
    return rc;
}

/* All that a server and its readers do with the tables. */
static int use_all(void *ctx)
{
    (void)ctx;
    struct events *e;
    int n = 0;
    int64_t changed;
    TRY(events_open(&e, test_dir, true, &err));
    int rc = write_one(e);
    rc = rc ? rc : events_feedback(e, &(struct feedback){ .id = "a", .choice = -1, .owner = "team", .score = 1, .comment = "good" }, INT64_MAX, &changed, &err);
    rc = rc ? rc : events_find(e, "a", count, &n, &err);
    rc = rc ? rc : events_read(e, &(struct events_where){ .model = "" }, count, &n, &err);
    rc = rc ? rc : events_expire(e, 5, &changed, &err);
    rc = rc ? rc : events_erase(e, "anna", &changed, &err);
    events_close(e);
    return rc;
}

static void events_without_memory_are_an_error(void **state)
{
    (void)state;
    (void)use_all(NULL);                                 /* what SQLite keeps for good is there */
    assert_true(each_allocation(use_all, NULL, true) > 20);
    assert_int_equal(use_all(NULL), 0);
}

struct lines { char *line[8]; size_t n[8]; int n_line; };

static int keep(void *ctx, const char *line, size_t n, struct err *e)
{
    struct lines *l = ctx;
    assert_true(l->n_line < 8);
    l->line[l->n_line] = mem_printf("%.*s", (int)n - 1, line);
    l->n[l->n_line++] = n - 1;
    return l->line[l->n_line - 1] ? 0 : ERR(e, NOMEM, "no memory for a line");
}

/* All rows as lines, and back into another place. */
static int copy(void *ctx)
{
    struct events *e;
    struct events_count n;
    struct lines lines = { .n_line = 0 };
    struct events_load load = { .where = in_dir("copied") };
    (void)ctx;
    TRY(file_remove_tree(in_dir("copied"), &err));
    TRY(events_open(&e, test_dir, false, &err));
    int rc = db_begin_read(events_db(e), &err);
    rc = rc ? rc : events_dump(e, true, keep, &lines, &n, &err);
    events_close(e);
    for (int i = 0; i < lines.n_line; i++) {
        rc = rc ? rc : events_load_line(&load, lines.line[i], lines.n[i], &err);
        mem_free(lines.line[i]);
    }
    return events_load_end(&load, rc, &err);
}

static void a_copy_of_events_without_memory_is_an_error(void **state)
{
    (void)state;
    struct events *e;
    int64_t n;
    OK(events_open(&e, test_dir, true, &err));
    OK(write_one(e));
    OK(events_feedback(e, &(struct feedback){ .id = "a", .choice = -1, .owner = "team", .score = 1, .comment = "good" }, INT64_MAX, &n, &err));
    events_close(e);
    OK(copy(NULL));
    assert_true(each_allocation(copy, NULL, true) > 20);
}

static int read_rules(void *ctx)
{
    static const char text[] = "- {signal: nll, when: alarm, do: [alert, exit], webhook: 'https://x/y', mail: a@b}\n- {when: effect > 1, do: exit}\n";
    struct rules rules;
    (void)ctx;
    TRY(rules_parse(&rules, text, sizeof text - 1, true, "rules", NULL, &err));
    rules_release(&rules);
    return 0;
}

static void rules_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(read_rules, NULL, false) > 4);
}

static int open_recorder(void *ctx)
{
    (void)ctx;
    struct recorder *r;
    TRY(recorder_open(&r, &(struct recorder_opts){ .where = test_dir, .server = "s" }, &err));
    recorder_add(r, record_new());
    recorder_free(r);
    return 0;
}

static void a_recorder_without_memory_is_an_error_or_counts_its_loss(void **state)
{
    (void)state;
    (void)open_recorder(NULL);
    assert_true(each_allocation(open_recorder, NULL, true) > 5);
}

int main(void)
{
    log_level_set(LOG_QUIET);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_without_memory_are_an_error, make_dir, remove_dir), cmocka_unit_test_setup_teardown(a_copy_of_events_without_memory_is_an_error, make_dir, remove_dir),
        cmocka_unit_test(rules_without_memory_are_an_error),
        cmocka_unit_test_setup_teardown(a_recorder_without_memory_is_an_error_or_counts_its_loss, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
