/* The PTX of large products and of prefill attention that ships, run in the emulator with its copy engine, barriers and products of warpgroups: beside sums in
 * double; planted faults are found. */
#include "../emu/run_hopper.h"

static void they_give_what_sums_in_double_give(void **state)
{
    (void)state;
    _Static_assert(sizeof(struct ptx_map) <= 128, "a map's size in the driver");
    check_all(open_hopper(), GPU_CHECK_HOPPER, 82);
    assert_int_equal(ptx_bad, 0);
    ptx_release();
}

/* ---- planted faults ---- */

static int found(const char *kernel, const char *file, const char *from, const char *to, int n)
{
    return ptx_planted_on(open_hopper(), GPU_CHECK_HOPPER, file, kernel, from, to, n) & ~NOT_THERE;
}

#define WAIT "mbarrier.try_wait.parity.shared::cta.b64 p,"
#define NO_WAIT "setp.eq.b32 p, 0, 0; //"
static void a_wait_left_out_is_found(void **state)
{
    (void)state;
    assert_true(found("gemm_sm90", "gemm_sm90", WAIT, NO_WAIT, 0) & BY_CHECK);            /* for a stage to be free */
    assert_true(found("gemm_sm90", "gemm_sm90", WAIT, NO_WAIT, 1) & BY_CHECK);            /* for a stage to be full */
    assert_true(found("gemm_sm90", "gemm_sm90", "wgmma.wait_group.sync.aligned 0", "// ", 0) & BY_CHECK);
    assert_true(found("gemm_sm90", "gemm_sm90", "cp.async.bulk.wait_group 0", "// ", 0) & BY_CHECK);
    assert_true(found("product_sm90_tn", "product_sm90_tn", WAIT, NO_WAIT, 1) & BY_CHECK);
    assert_true(found("product_sm90_nn", "product_sm90_nn", "wgmma.wait_group.sync.aligned 0", "// ", 0) & BY_CHECK);
    assert_true(found("attn_sm90_128", "attn_sm90", "wgmma.wait_group.sync.aligned 1", "// ", 0) & BY_CHECK);
    assert_true(found("attn_sm80_64", "attn_sm80_64", "cp.async.wait_group 0", "// ", 0));
}
static void a_barrier_left_out_is_found(void **state)
{
    (void)state;
    assert_true(found("gemm_sm90_n128", "gemm_sm90_n128", "bar.sync \t0", "// ", 0) & BY_CHECK);
    assert_true(found("gemm_sm90_n128", "gemm_sm90_n128", "bar.sync %", "// ", 1));
    assert_true(found("attn_sm80_64", "attn_sm80_64", "bar.sync", "// ", 0));
}
static void a_wrong_place_gives_a_wrong_result(void **state)
{
    (void)state;
    assert_true(found("gemm_sm90", "gemm_sm90", ", 49152, ", ", 32768, ", 0));                            /* stages that overlap */
    assert_true(found("product_sm90_nn", "product_sm90_nn", ", 1, 1, 0, 1;", ", 1, 1, 0, 0;", 1) & BY_RESULT);   /* by rows what lies by columns */
    assert_true(found("attn_sm90_64", "attn_sm90_64", ", 1, 31, -1", ", 4, 31, -1", 0) & BY_RESULT);      /* a wrong lane */
    assert_true(found("attn_back_sm90_dkv", "attn_back_sm90", ", q, 1, 1, 1;", ", q, 1, 1, 0;", 1) & BY_RESULT);
    assert_true(found("attn_sm80_128", "attn_sm80", ".trans.shared", ".shared", 3) & BY_RESULT);
    ptx_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_give_what_sums_in_double_give), cmocka_unit_test(a_wait_left_out_is_found), cmocka_unit_test(a_barrier_left_out_is_found),
        cmocka_unit_test(a_wrong_place_gives_a_wrong_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
