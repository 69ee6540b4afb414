/* The PTX that ships, run here: beside cpu/ref at edge sizes, with no access out of bounds, misaligned or raced for; planted faults are found. */
#include "../emu/kernels.h"
#include "../emu/emuptx.c"
#include "../emu/mutate.h"

static const char *mutant, *mutant_file;                      /* text in place of that file's image, or NULL */
static const char *alone;                                     /* the one file whose kernels run, or NULL: all */
static int run(const struct mock_launch *l)
{
    if (alone && strcmp(kernel_file(l->kernel), alone) != 0)
        return 0;
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    if (ptx_load(mutant && !strcmp(kernel_file(l->kernel), mutant_file) ? mutant : gpu_image_of(kernel_file(l->kernel), "sm_90")->data, gpu_kernel_name(l->kernel)))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
}

static struct gpu *open_mock(void)
{
    ptx_bad = 0;
    return open_emulated(run, 32, "sm_90");
}

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    check_all(open_mock());
    assert_int_equal(ptx_bad, 0);
    ptx_release();
}

/* ---- planted faults ---- */

enum how { BY_CHECK = 1, BY_RESULT = 2 };          /* the emulator's own checks; a result beside cpu/ref */
static int found(const char *file, const char *kernel, const char *from, const char *to, int n)
{
    struct gpu *g = open_mock();
    char *text = mutated(gpu_image_of(file, "sm_90")->data, kernel, from, to, n);
    if (!text) {
        print_message("%s has no '%s' at place %d\n", kernel, from, n);
        gpu_close(g);
        return 0;
    }
    mutant = text, mutant_file = file, ptx_loud = 0, loud = false;
    const bool second = !strcmp(file, "gemm_quant") || !strcmp(file, "attn_wide");
    alone = second ? file : NULL;
    gpu_check(g, second ? GPU_CHECK_QUANT : GPU_CHECK_SMALL, note_row, NULL);
    alone = NULL;
    const int how = (ptx_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0);
    mutant = NULL, ptx_loud = 4, loud = true;
    gpu_close(g);
    free(text);
    return how;
}

static void a_removed_barrier_is_a_race(void **state)
{
    (void)state;
    static const struct { const char *file, *kernel; int n_barrier; } kernels[] = {
        { "rows", "rmsnorm", 1 }, { "rows", "softmax", 1 }, { "attn", "attn_decode_64_1", 3 }, { "attn", "attn_decode_128_4", 3 }, { "attn", "attn_join", 1 }, { "gemm", "gemm_bf16", 2 },
        { "gemm_quant", "gemm_q", 2 }, { "attn_wide", "attn_decode_to256_8", 3 },
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
