/* Planning: the n-th allocation fails. */
#include "each_allocation.h"
#include "plan/here.h"
#include "plan/train_model.h"

static struct config small;

static int facts_run(void *ctx)
{
    (void)ctx;
    struct model_facts f;
    struct err err;
    return model_facts(&f, &small, &err);
}

static void a_model_is_looked_at_or_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(facts_run, NULL, false) > 5);
}

static int train_model_run(void *ctx)
{
    (void)ctx;
    struct train_model m;
    struct err err;
    return train_model_init(&m, &small, &err);
}

static void a_model_is_divided_into_layers_or_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(train_model_run, NULL, false) > 5);
}

static int price_run(void *ctx)
{
    (void)ctx;
    struct priced *p;
    struct err err;
    const struct price_opts o = { .weights = NUMBER_BF16, .compute = NUMBER_BF16, .cache = NUMBER_BF16, .rows_most = 64 };
    const int rc = priced_new(&p, &small, &o, device_at(0), &err);
    assert_int_equal(rc < 0, !p);
    priced_free(p);
    return rc;
}

static void a_model_is_priced_or_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(price_run, NULL, false) > 7);
}

static int here_run(void *ctx)
{
    struct priced *p;
    struct err err;
    const struct here_opts o = { .type = TYPE_F32, .cache = DT_F32 };
    const int rc = priced_here(&p, &small, &o, ctx, &err);
    assert_int_equal(rc < 0, !p);
    priced_free(p);
    return rc;
}

static void this_machine_is_measured_or_there_is_no_memory(void **state)
{
    (void)state;
    struct pool *pool;
    struct err err;
    OK(pool_new(&pool, 1, &err));
    assert_true(each_allocation(here_run, pool, false) > 30);
    pool_free(pool);
}

static int load_config(void **state)
{
    (void)state;
    struct err err;
    return config_load(&small, "tests/golden/olmoe", NULL, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_looked_at_or_there_is_no_memory),
        cmocka_unit_test(a_model_is_divided_into_layers_or_there_is_no_memory),
        cmocka_unit_test(a_model_is_priced_or_there_is_no_memory),
        cmocka_unit_test(this_machine_is_measured_or_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, load_config, NULL);
}
