/* test_attack_fault.c - a classifier is opened and attacked with each allocation failing in turn. */
#include "each_allocation.h"
#include "base/pool.h"
#include "eval/attack.h"

static struct err err;
static struct pool *pool;

static int run(void *ctx)
{
    static const uint8_t image[2 * 12 * 12] = { 7 };
    struct classifier *c = NULL;
    struct attacker *a = NULL;
    struct attacked out;
    struct attack how = attack_usual(ATTACK_APGD_T, .01, 1);
    (void)ctx;
    how.n_step = 3;
    int rc = classifier_new(&c, "tests/golden/vit", &(struct classify_opts){ .slopes = true }, pool, &err);
    if (!rc)
        rc = attacker_new(&a, c, &err);
    if (!rc)
        rc = attacker_run(a, &how, image, &(int32_t){ 1 }, 0, 1, &out, NULL, &err);
    attacker_free(a);
    classifier_free(c);
    return rc;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    OK(pool_new(&pool, 1, &err));
    assert_true(each_allocation(run, NULL, false) >= 12);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
