/* test_exec_hopper.c - a training step on a device: the PTX that ships for Hopper, in the emulator, gives the host's loss, gradients and next weights, by its own products
 * and attention and by the simple ones. */
#include "../emu/run_hopper.h"
#include "exec_step.h"

static void step(bool moe, enum exec_by by)
{
    one_step(open_hopper(), moe, by, 2);
    assert_int_equal(ptx_bad, 0);
}
static void own_products_give_the_host_s_gradients_and_weights(void **state) { (void)state, step(false, EXEC_OWN); }
static void of_a_mixture_too(void **state) { (void)state, step(true, EXEC_OWN); }
static void and_the_simple_ones(void **state) { (void)state, step(false, EXEC_SIMPLE); }
static void heads_of_64_by_hopper_s_attention(void **state)
{
    (void)state;
    D = 64;
    step(false, EXEC_OWN);
}
/* Then nothing between the products needs floats. */
static void and_what_is_between_products_in_bf16(void **state)
{
    (void)state;
    D = 64, turned = false;
    step(false, EXEC_OWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(own_products_give_the_host_s_gradients_and_weights), cmocka_unit_test(of_a_mixture_too), cmocka_unit_test(and_the_simple_ones),
                                        cmocka_unit_test(heads_of_64_by_hopper_s_attention), cmocka_unit_test(and_what_is_between_products_in_bf16) };
    OK(pool_new(&pool, 2, &err));
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    ptx_release();
    return rc;
}
