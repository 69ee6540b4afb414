/* Kernels of training on three devices that are none: compiled for the host, the gfx942 code objects that ship and the PTX that ships in
 * their emulators.  Beside cpu/ref at edge sizes, with every access looked at; planted faults are found. */
#include "../emu/run_ptx.h"
#include "../emu/simt_kernels.h"
#ifdef HAVE_LLVM_19
#include "../emu/run_amd.h"
#endif
#define PARTS GPU_CHECK_TRAIN

static void all_right(struct gpu *g) { check_all(g, PARTS, 100); }

/* ---- the host ---- */

static void on_the_host_in_both_orders(void **state)
{
    (void)state;
    all_right(open_host());
    simt_backwards = true;
    all_right(open_host());
    simt_backwards = false;
    simt_release();
}

static void on_the_host_a_wrong_lane_shows(void **state)
{
    (void)state;
    simt_lane_fault = 1;
    check_quietly(open_host(), PARTS, NULL);
    simt_lane_fault = 0;
    assert_true(rows_wrong > 0);
    simt_release();
}

/* ---- PTX ---- */

static void as_ptx(void **state)
{
    (void)state;
    all_right(open_ptx());
    assert_int_equal(ptx_bad, 0);
}

static void faults_in_ptx_are_found(void **state)
{
    (void)state;
    assert_true(ptx_planted(PARTS, "train_rows", "norm_dx", "bar.sync", "// bar.sync", 1) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "train_rows", "embed_back", "bar.sync", "// bar.sync", 1) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "train_product", "product", "bar.sync", "// bar.sync", 0) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "train_attn_64", "attn_train_dkv_64", "bar.sync", "// bar.sync", 3) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "train_optim", "adamw", "bar.sync", "// bar.sync", 0) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "train_rows", "act_back", ", 8, 31, -1", ", 4, 31, -1", 0) & BY_RESULT);
    ptx_release();
}

/* ---- gfx942 ---- */

#ifdef HAVE_LLVM_19
static void as_gfx942_code(void **state)
{
    (void)state;
    all_right(open_amd());
    assert_int_equal(amd_bad, 0);
}

/* The n-th instruction (from 1) that begins so is left out. */
static int left_out(const char *kernel, const char *instruction, int n) { return amd_planted(PARTS, kernel, instruction, NULL, NULL, n); }

static void faults_in_gfx942_code_are_found(void **state)
{
    (void)state;
    assert_true(left_out("product", "s_barrier", 2) & BY_CHECK);
    assert_true(left_out("attn_train_dq_64", "s_barrier", 3) & BY_CHECK);
    assert_true(left_out("attn_train_dkv_64", "v_mfma", 3) & BY_RESULT);
    assert_true(left_out("route_back", "ds_bpermute", 2) & BY_RESULT);
    amd_release();
}
#else
static void as_gfx942_code(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
static void faults_in_gfx942_code_are_found(void **state) { as_gfx942_code(state); }
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_host_in_both_orders), cmocka_unit_test(on_the_host_a_wrong_lane_shows), cmocka_unit_test(as_ptx), cmocka_unit_test(faults_in_ptx_are_found),
        cmocka_unit_test(as_gfx942_code), cmocka_unit_test(faults_in_gfx942_code_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
