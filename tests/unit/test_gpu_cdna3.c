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
#include "../emu/run_amd.h"
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
#if UNDER_THREAD
    print_message("skipped: the thread sanitizer does not know fibers\n");
    skip();
#endif
    check_all(open_emulated(run_on_host, 64, "gfx942"), GPU_CHECK_HOPPER, 10);
    simt_release();
}

#ifdef HAVE_LLVM_19
static void in_the_emulator_they_give_what_sums_in_double_give(void **state)
{
    (void)state;
    check_all(open_amd(), GPU_CHECK_HOPPER, 10);
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
    amd_release();
}

static void a_removed_barrier_is_a_race(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++)
        assert_true(amd_planted(GPU_CHECK_HOPPER, "gemm_cdna3_128", "s_barrier", NULL, NULL, i) & BY_CHECK);
    for (int i = 1; i <= 2; i++)
        assert_true(amd_planted(GPU_CHECK_HOPPER, "attn_cdna3_64", "s_barrier", NULL, NULL, i) & BY_CHECK);
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
