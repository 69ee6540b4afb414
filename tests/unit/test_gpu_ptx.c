/* The PTX that ships, run here: beside cpu/ref at edge sizes, with no access out of bounds, misaligned or raced for; planted faults are found. */
#include "../emu/run_ptx.h"
#define PARTS (GPU_CHECK_SMALL | GPU_CHECK_QUANT)

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    check_all(open_ptx(), PARTS, 250);
    if (UNDER_ADDRESS)                          /* for the host's part in it: test_gpu_moe and test_gpu_train are not run then */
        check_all(open_ptx(), GPU_CHECK_MOE | GPU_CHECK_SAMPLE | GPU_CHECK_TRAIN, 150);
    assert_int_equal(ptx_bad, 0);
    ptx_release();
}

/* ---- planted faults ---- */

static int found(const char *file, const char *kernel, const char *from, const char *to, int n) { return ptx_planted(PARTS, file, kernel, from, to, n); }

static void a_removed_barrier_is_a_race(void **state)
{
    (void)state;
    static const struct { const char *file, *kernel; int n_barrier; } kernels[] = {
        { "rows", "rmsnorm", 1 }, { "rows", "softmax", 1 }, { "attn", "attn_decode_64_1", 3 }, { "attn", "attn_decode_128_4", 3 }, { "attn", "attn_join", 1 }, { "gemm", "gemm_bf16", 2 },
        { "gemm_quant", "gemm_q", 2 }, { "attn_wide", "attn_decode_to256_8", 3 }, { "few", "few_q4_0_2", 1 }, { "many", "many_bf16_8", 2 },
    };
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
        for (int i = 0; i < kernels[k].n_barrier; i++) {
            const int n = k < 2 ? 1 : i;            /* of block_sum's two the first guards what was there before: nothing, at the first sum */
            const int how = found(kernels[k].file, kernels[k].kernel, "bar.sync", "// bar.sync", n);
            if (!(how & BY_CHECK))
                print_message("%s, barrier %d: not found\n", kernels[k].kernel, n);
            assert_true(how & BY_CHECK);
        }
}

static void a_row_too_many_is_out_of_bounds(void **state)
{
    (void)state;
    assert_true(found("rows", "rope", "setp.le.s32", "setp.lt.s32", 0) & BY_CHECK);
    assert_true(found("attn", "kv_put", "setp.ge.s64", "setp.gt.s64", 0) & BY_CHECK);
}

static void shared_memory_that_is_too_small_is_seen(void **state)
{
    (void)state;
    assert_true(found("gemm", "gemm_bf16", "[18432]", "[9216]", 0) & BY_RESULT);            /* one thread writes both places: the result alone shows it */
    assert_true(found("attn", "attn_decode_64_1", "[2048]", "[512]", 0) & BY_CHECK);
}

static void a_wrong_lane_gives_a_wrong_result(void **state)
{
    (void)state;
    assert_true(found("gemv", "gemv_q4_0_1", ", 16, 31, -1", ", 8, 31, -1", 0) & BY_RESULT);
    assert_true(found("attn", "attn_decode_128_4", ", 8, 31, -1", ", 4, 31, -1", 0) & BY_RESULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives), cmocka_unit_test(a_removed_barrier_is_a_race), cmocka_unit_test(a_row_too_many_is_out_of_bounds),
        cmocka_unit_test(shared_memory_that_is_too_small_is_seen), cmocka_unit_test(a_wrong_lane_gives_a_wrong_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
