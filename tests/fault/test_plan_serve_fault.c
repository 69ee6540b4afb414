/* test_plan_serve_fault.c - a plan of serving, and the table of published models, with each allocation failing in turn. */
#include "each_allocation.h"
#include "plan/published.h"
#include "plan/serve.h"

static struct err err;

static int plan(void *ctx)
{
    (void)ctx;
    static struct config c;
    struct workload w;
    struct serve_plan p;
    const struct serve_opts o = { .weights = NUMBER_BF16, .compute = NUMBER_BF16, .cache = NUMBER_BF16, .n = 1, .spare = -1, .runtime = -1, .n_simulated = 8 };
    TRY(published_config(&c, "smollm2-135m", &err));
    TRY(workload_find(&w, "chat", &err));
    w.rate = 1;
    return serve_plan(&p, &c, device_find("l40s", NULL), &w, &o, &err);
}

static int list(void *ctx)
{
    (void)ctx;
    struct published *p;
    int n;
    TRY(published_list(&p, &n, &err));
    mem_free(p);
    return 0;
}

static void a_plan(void **state) { (void)state; assert_true(each_allocation(plan, NULL, false) > 10); }
static void a_list(void **state) { (void)state; assert_true(each_allocation(list, NULL, false) > 0); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_plan), cmocka_unit_test(a_list) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
