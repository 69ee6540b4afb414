/* test_plan_history_fault.c - a history of predictions is written and read with each allocation and each system call failing in turn. */
#include <unistd.h>
#include "each_allocation.h"
#include "base/mem.h"
#include "plan/history.h"

static struct err err;

static int write_and_read(void *ctx)
{
    (void)ctx;
    const struct plan_outcome o = { .what = PLANNED_SERVE_STEP, .predicted = 2, .actual = 3, .machine = "a", .model = "b" };
    struct plan_history h;
    struct plan_error *e = NULL;
    int n = 0;
    unlink(in_dir("plans.jsonl"));
    TRY(plan_history_add(in_dir("plans.jsonl"), &o, &err));
    TRY(plan_history_read(&h, in_dir("plans.jsonl"), &err));
    const int rc = plan_history_errors(&h, &e, &n, &err);
    if (!rc)
        assert_true(h.n > 0 && n == 1 && e[0].median == 0.5);
    mem_free(e);
    plan_history_release(&h);
    return rc;
}

static void without_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(write_and_read, NULL, false) > 5);
}

static void without_a_disk(void **state)
{
    (void)state;
    assert_true(each_failure(CALLS, 1, write_and_read, NULL, true) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_memory, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(without_a_disk, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
