/* test_exec_train.c - a training step on a device: the code objects that ship for gfx942, in the emulator, give the host's loss, gradients and next weights. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include "../emu/run_amd.h"
#include "exec_step.h"

static void step(bool moe, enum exec_by by)
{
    one_step(open_amd(), moe, by, 1);
    assert_int_equal(amd_bad, 0);
}
static void one_step_gives_the_host_s_gradients_and_weights(void **state) { (void)state, step(false, EXEC_OWN); }
static void one_step_of_a_mixture_gives_them_too(void **state) { (void)state, step(true, EXEC_OWN); }
static void by_the_vendor_s_library_too(void **state)
{
    (void)state;
    setenv("LATHE_HIPBLASLT_LIB", BUILD_DIR "/tests/mock_blaslt.so", 1);
    step(false, EXEC_VENDOR);
    step(true, EXEC_VENDOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(one_step_gives_the_host_s_gradients_and_weights), cmocka_unit_test(one_step_of_a_mixture_gives_them_too),
                                        cmocka_unit_test(by_the_vendor_s_library_too) };
    OK(pool_new(&pool, 2, &err));
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    amd_release();
    return rc;
}
#else
static void one_step_gives_the_host_s_gradients_and_weights(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(one_step_gives_the_host_s_gradients_and_weights) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
