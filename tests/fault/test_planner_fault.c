/* test_planner_fault.c - a request for a plan, without memory. */
#include "each_allocation.h"
#include "serve/planner.h"
#include "serve/planner_ask.h"

static struct err err;

static const char text[] = "{\"served\": \"tiny\", \"devices\": [{\"device\": \"h100\", \"count\": 8, \"usd\": 25000}, {\"device\": \"l4\"}], \"workload\": \"recorded\", \"users\": 50, \"ttft\": 2, "
                           "\"versus\": true, \"api\": [{\"input\": 1, \"output\": 2}], \"kwh\": 0.2}";
static json_t *request;

static int read_it(void *ctx)
{
    (void)ctx;
    struct planner_ask a;
    struct refusal e = { 0 };
    planner_ask_read(&a, request, &e);
    if (!e.status)
        planner_ask_model(&a, "/models/tiny", &e);
    if (!e.status)
        planner_ask_recorded(&a, "/events.db", &e);
    assert_true(!e.status || e.status == 503);
    assert_true(e.status || (!strcmp(a.argv[a.model], "/models/tiny") && !strcmp(a.argv[a.recorded], "recorded:/events.db") && !strcmp(a.argv[a.n - 1], "--json") && !a.argv[a.n]));
    planner_ask_release(&a);
    return e.status ? ERR_NOMEM : 0;
}

static void test_without_memory_a_request_is_refused_and_nothing_leaks(void **state)
{
    (void)state;
    struct refusal e = { 0 };
    request = in_parse(text, strlen(text), &e);
    assert_non_null(request);
    assert_true(each_allocation(read_it, NULL, false) > 20);
    json_decref(request);
}

static int nothing(void *ctx, const struct server_program *p, int *code, struct err *e)
{
    (void)ctx, (void)p, (void)e;
    return *code = 0;
}

static int open_it(void *ctx)
{
    (void)ctx;
    struct planner *p;
    const int rc = planner_open(&p, &(struct planner_opts){ .run = nothing, .recorded = "/events.db" }, &err);
    assert_true(!rc == !!p);
    planner_close(p);
    return rc;
}

static void test_without_memory_no_plans_are_made_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(each_allocation(open_it, NULL, true) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_memory_a_request_is_refused_and_nothing_leaks),
        cmocka_unit_test(test_without_memory_no_plans_are_made_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
