/* The gfx942 code objects that ship, run here: beside cpu/ref at edge sizes, with every access looked at; planted faults are found. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include "../emu/kernels.h"
#include "../emu/emu942.c"

/* Planted: the n-th instruction of the kernel whose name begins so becomes s_nop (0: none). */
static struct { const char *kernel, *instruction; int n; } fault;
static int run(const struct mock_launch *l)
{
    amd.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        amd_block(mock.block[i].p, mock.block[i].n);
    if (amd_load(gpu_image_of(kernel_file(l->kernel), "gfx942")->data, gpu_kernel_name(l->kernel)))
        return 500;
    for (size_t i = 0, n = 0; i < amd.n_code && fault.kernel && !strcmp(fault.kernel, gpu_kernel_name(l->kernel)); i++)
        if (!strncmp(amd.code[i].text, fault.instruction, strlen(fault.instruction)) && (int)++n == fault.n)
            amd.code[i].op = AMD_s_nop;
    return amd_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args, gpu_kernel_args(l->kernel)) ? 719 : 0;
}

static struct gpu *open_mock(void)
{
    amd_bad = 0;
    return open_emulated(run, 64, "gfx942");
}

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    check_all(open_mock());
    assert_int_equal(amd_bad, 0);
}

enum how { BY_CHECK = 1, BY_RESULT = 2 };
static int found(const char *kernel, const char *instruction, int n)
{
    struct gpu *g = open_mock();
    fault.kernel = kernel, fault.instruction = instruction, fault.n = n;
    amd_loud = 0, loud = false;
    gpu_check(g, GPU_CHECK_SMALL, note_row, NULL);
    const int how = (amd_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0);
    fault.kernel = NULL, amd_loud = 4, loud = true;
    gpu_close(g);
    return how;
}

static void a_removed_barrier_is_a_race(void **state)
{
    (void)state;
    assert_true(found("rmsnorm", "s_barrier", 2) & BY_CHECK);
    assert_true(found("gemm_bf16", "s_barrier", 1) & BY_CHECK);
    assert_true(found("gemm_bf16", "s_barrier", 2) & BY_CHECK);
    for (int i = 1; i <= 3; i++)
        assert_true(found("attn_decode_128_4", "s_barrier", i) & BY_CHECK);
}

static void a_missing_product_is_a_wrong_result(void **state)
{
    (void)state;
    assert_true(found("gemm_bf16", "v_mfma", 5) & BY_RESULT);
    assert_true(found("gemv_q4_0_1", "v_dot4c", 3) & BY_RESULT);
    amd_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives), cmocka_unit_test(a_removed_barrier_is_a_race), cmocka_unit_test(a_missing_product_is_a_wrong_result) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
