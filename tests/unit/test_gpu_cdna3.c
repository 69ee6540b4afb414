/* gfx942's own products and attention: compiled for the host, and the code objects that ship in the emulator, beside sums in double; their registers. */
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wunused-function"
#define SIMT_WAVE 64
#include "../emu/kernels.h"
#include "../emu/simt.c"
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/gemm_cdna3.c"
#include "gpu/kern/attn_cdna3.c"
#ifdef HAVE_LLVM_19
#include "../emu/emu942.c"
#endif

#define KERNELS(X) X(gemm_cdna3, gemm_cdna3) X(gemm_cdna3_128, gemm_cdna3) X(gemm_cdna3_fp8, gemm_cdna3) X(attn_cdna3_128, attn_sm80) X(attn_cdna3_64, attn_sm80)
#define X(name, type) static void run_##name(const void *p) { name(*(const struct type##_args *)p); }
KERNELS(X)
#undef X
static int run_on_host(const struct mock_launch *l)
{
#define X(name, type)                 \
    if (l->kernel == GPU_##name)      \
        return simt_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), run_##name, l->args) ? 719 : 0;
    KERNELS(X)
#undef X
    return 500;
}

static void on_the_host_they_give_what_sums_in_double_give(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("skipped: the thread sanitizer does not know fibers\n");
    skip();
#endif
    struct gpu *g = open_emulated(run_on_host, 64, "gfx942");
    assert_int_equal(gpu_check(g, GPU_CHECK_HOPPER, note_row, NULL), 0);
    assert_true(rows_seen >= 10);
    gpu_close(g);
    simt_release();
}

#ifdef HAVE_LLVM_19
static int run_code(const struct mock_launch *l)
{
    amd.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        amd_block(mock.block[i].p, mock.block[i].n);
    if (amd_load(gpu_image_of(kernel_file(l->kernel), "gfx942")->data, gpu_kernel_name(l->kernel)))
        return 500;
    return amd_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args, gpu_kernel_args(l->kernel)) ? 719 : 0;
}
static void in_the_emulator_they_give_what_sums_in_double_give(void **state)
{
    (void)state;
    struct gpu *g = open_emulated(run_code, 64, "gfx942");
    amd_bad = 0;
    assert_int_equal(gpu_check(g, GPU_CHECK_HOPPER, note_row, NULL), 0);
    assert_true(rows_seen >= 10);
    assert_int_equal(amd_bad, 0);
    static const char *const kernels[] = {
#define X(name, type) #name,
        KERNELS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        const struct amd_counts *n = amd_counts_of(kernels[i]);
        print_message("%s: %ld blocks: %ld matrix, %ld vector, %ld scalar, %ld memory, %ld shared, %ld cycles of shared memory, %ld of them by conflicts\n", kernels[i], n->blocks, n->mfma,
                      n->vector, n->scalar, n->memory, n->shared, n->shared_cycles, n->conflicts);
        assert_true(n->mfma > 0 && n->shared_cycles > 0);
        assert_int_equal(n->conflicts, 0);
    }
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
    amd_release();
}

/* Whether the watch over memory found something with the fault planted. */
static bool found(const char *kernel, const char *instruction, int n)
{
    struct gpu *g = open_emulated(run_code, 64, "gfx942");
    amd_fault.kernel = kernel, amd_fault.instruction = instruction, amd_fault.n = n;
    amd_bad = amd_loud = 0, loud = false;
    gpu_check(g, GPU_CHECK_HOPPER, note_row, NULL);
    amd_fault.kernel = NULL, amd_loud = 4, loud = true;
    gpu_close(g);
    return amd_bad > 0;
}
static void a_removed_barrier_is_a_race(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++)
        assert_true(found("gemm_cdna3_128", "s_barrier", i));
    for (int i = 1; i <= 2; i++)
        assert_true(found("attn_cdna3_64", "s_barrier", i));
}
#else
static void in_the_emulator_they_give_what_sums_in_double_give(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_host_they_give_what_sums_in_double_give),
        cmocka_unit_test(in_the_emulator_they_give_what_sums_in_double_give),
#ifdef HAVE_LLVM_19
        cmocka_unit_test(a_removed_barrier_is_a_race),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
