/* Planning: the n-th allocation fails. */
#include "each_allocation.h"
#include "plan/price.h"
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
    };
    return cmocka_run_group_tests(tests, load_config, NULL);
}
