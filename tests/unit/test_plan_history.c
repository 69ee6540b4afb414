/* What was predicted and what then was: edges first, then errors that were worked out by hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../test.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/when.h"
#include "plan/history.h"

static struct err err;

static struct plan_outcome outcome(enum planned what, const char *machine, double predicted, double actual)
{
    struct plan_outcome o = { .what = what, .predicted = predicted, .actual = actual, .model = "m" };
    snprintf(o.machine, sizeof o.machine, "%s", machine);
    return o;
}

static void no_file_is_an_empty_history(void **state)
{
    (void)state;
    struct plan_history h;
    struct plan_error *e;
    int n;
    OK(plan_history_read(&h, "/nowhere/plans.jsonl", &err));
    assert_int_equal(h.n, 0);
    OK(plan_history_errors(&h, &e, &n, &err));
    assert_int_equal(n, 0);
    mem_free(e);
    plan_history_release(&h);
}

static void what_was_added_is_read_back_and_what_is_no_prediction_is_not_added(void **state)
{
    (void)state;
    const char *path = in_dir("a/b/plans.jsonl");
    struct plan_outcome o = outcome(PLANNED_TRAIN_STEP, "a \"CPU\"", 0.5, 0.25);
    when_set(86400000000000);
    OK(plan_history_add(path, &o, &err));
    o.predicted = NAN;
    OK(plan_history_add(path, &o, &err));
    o.predicted = 1, o.actual = 0;
    OK(plan_history_add(path, &o, &err));
    o = outcome(PLANNED_SERVE_STEP, "b", 100, 125);
    OK(plan_history_add(path, &o, &err));
    when_set(-1);
    struct plan_history h;
    OK(plan_history_read(&h, path, &err));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.n_bad, 0);
    assert_string_equal(h.outcome[0].machine, "a \"CPU\"");
    assert_string_equal(h.outcome[0].when, "1970-01-02T00:00:00.000000000Z");
    assert_int_equal(h.outcome[0].what, PLANNED_TRAIN_STEP);
    assert_true(h.outcome[0].predicted == 0.5 && h.outcome[0].actual == 0.25);
    assert_true(h.outcome[1].predicted == 100 && h.outcome[1].actual == 125);
    plan_history_release(&h);
}

static void names_of_any_bytes_are_kept_as_text(void **state)
{
    (void)state;
    const char *path = in_dir("bytes.jsonl");
    struct plan_outcome o = outcome(PLANNED_TRAIN_STEP, "a\xff\x1b", 1, 1);
    struct plan_history h;
    OK(plan_history_add(path, &o, &err));
    memset(o.model, 'x', sizeof o.model), memcpy(o.model + sizeof o.model - 2, "\xc3", 2);     /* cut in a character */
    OK(plan_history_add(path, &o, &err));
    OK(plan_history_read(&h, path, &err));
    assert_int_equal(h.n, 2);
    assert_string_equal(h.outcome[0].machine, "a??");
    assert_string_equal(h.outcome[1].model + sizeof o.model - 3, "x?");
    plan_history_release(&h);
}

static void a_line_that_is_none_is_passed_over_and_told(void **state)
{
    (void)state;
    static const char good[] = "{\"time\": \"2026-11-27\", \"what\": \"train.bytes\", \"machine\": \"x\", \"model\": \"m\", \"predicted\": 10, \"actual\": 11}\n";
    static const struct { const char *line, *says; } bad[] = {
        { "{\"time\": \"2026-11-27\"", "line 2" },
        { "[]", "time is missing" },
        { "{\"time\": 3}", "time is a whole number, expected a string" },
        { "{\"time\": \"yesterday\", \"what\": \"train.bytes\", \"machine\": \"x\", \"model\": \"m\", \"predicted\": 1, \"actual\": 1}", "yesterday" },
        { "{\"time\": \"2026-11-27\", \"what\": \"serve.bites\", \"machine\": \"x\", \"model\": \"m\", \"predicted\": 1, \"actual\": 1}", "serve.bites" },
        { "{\"time\": \"2026-11-27\", \"what\": \"train.bytes\", \"machine\": \"x\", \"model\": \"m\", \"predicted\": 0, \"actual\": 1}", "above 0" },
        { "{\"time\": \"2026-11-27\", \"what\": \"train.bytes\", \"machine\": \"x\", \"model\": \"m\", \"predicted\": 1e-300, \"actual\": 1e300}", "above 0 that can be divided" },
        { "{\"time\": \"2026-11-27\", \"what\": \"train.bytes\", \"machine\": \"x\", \"model\": \"m\", \"predicted\": 1}", "above 0" },
        { "{\"time\": \"2026-11-27\", \"what\": \"train.bytes\", \"model\": \"m\", \"predicted\": 1, \"actual\": 1}", "machine is missing" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[1000];
        struct plan_history h;
        snprintf(text, sizeof text, "%s%s\n\n%s", good, bad[i].line, good);
        OK(plan_history_parse(&h, text, strlen(text), &err));
        assert_int_equal(h.n, 2);
        assert_int_equal(h.n_bad, 1);
        if (!strstr(h.bad.msg, bad[i].says))
            fail_msg("'%s' does not say '%s'", h.bad.msg, bad[i].says);
        plan_history_release(&h);
    }
}

static void errors_are_told_for_each_kind_on_each_machine(void **state)
{
    (void)state;
    struct plan_outcome o[] = { outcome(PLANNED_TRAIN_STEP, "a", 100, 110), outcome(PLANNED_TRAIN_STEP, "b", 1, 1), outcome(PLANNED_TRAIN_STEP, "a", 100, 80),
                                outcome(PLANNED_TRAIN_BYTES, "a", 4, 5), outcome(PLANNED_TRAIN_STEP, "a", 50, 52.5) };
    struct plan_history h = { .outcome = o, .n = 5 };
    struct plan_error *e;
    int n;
    OK(plan_history_errors(&h, &e, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(e[0].machine, "a");
    assert_int_equal(e[0].n, 3);
    assert_true(fabs(e[0].median - 0.1) < 1e-12 && fabs(e[0].bias - 0.05) < 1e-12 && fabs(e[0].worst - 0.2) < 1e-12 && fabs(e[0].p90 - 0.18) < 1e-12);
    assert_ptr_equal(e[0].last, &o[4]);
    assert_true(e[1].median == 0 && e[1].n == 1);
    assert_true(e[2].what == PLANNED_TRAIN_BYTES && fabs(e[2].bias - 0.25) < 1e-12);
    mem_free(e);
}

static void a_history_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    const struct plan_outcome o = outcome(PLANNED_TRAIN_STEP, "a", 1, 1);
    assert_true(plan_history_add("/proc/nothing/plans.jsonl", &o, &err) < 0);
    assert_non_null(strstr(err.msg, "/proc/nothing"));
}

static void its_place_follows_the_users_home(void **state)
{
    (void)state;
    setenv("XDG_STATE_HOME", "/s", 1);
    char *path = plan_history_path();
    assert_string_equal(path, "/s/lathe/plans.jsonl");
    mem_free(path);
    unsetenv("XDG_STATE_HOME"), setenv("HOME", "/h", 1);
    path = plan_history_path();
    assert_string_equal(path, "/h/.local/state/lathe/plans.jsonl");
    mem_free(path);
    unsetenv("HOME");
    assert_null(plan_history_path());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_is_an_empty_history),
        cmocka_unit_test_setup_teardown(what_was_added_is_read_back_and_what_is_no_prediction_is_not_added, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(names_of_any_bytes_are_kept_as_text, make_dir, remove_dir),
        cmocka_unit_test(a_line_that_is_none_is_passed_over_and_told),
        cmocka_unit_test(errors_are_told_for_each_kind_on_each_machine),
        cmocka_unit_test(a_history_that_cannot_be_written_is_an_error),
        cmocka_unit_test(its_place_follows_the_users_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
