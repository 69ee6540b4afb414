/* gfx942's own products and attention: compiled for the host, and the code objects that ship in the emulator, beside sums in double; their registers. */
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wunused-function"
#define SIMT_WAVE 64
#include <sys/mman.h>
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

/* Keys and values that reach over more than 4 GiB, from the first to the last, give the bits of those that lie side by side. */
static void keys_may_lie_far_apart(void **state)
{
    (void)state;
#if UNDER_THREAD
    print_message("skipped: the thread sanitizer does not know fibers\n");
    skip();
#endif
    enum { N = 66, HEAD = 64 };
    const long far = 1L << 25;
    const size_t bytes = (size_t)N * (size_t)far * 2;
    u16 *const wide = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED) {
        print_message("skipped: no %zu bytes of addresses\n", bytes);
        skip();
    }
    static u16 q[N * HEAD], near[N * 2 * HEAD], o[2][N * HEAD];
    static float lse[2][N];
    const int start[] = { 0, N };
    for (int i = 0; i < N * HEAD; i++)
        q[i] = (u16)(0x3f00 + i * 7 % 64 + (i % 3 ? 0 : 0x8000));
    for (int i = 0; i < N * 2 * HEAD; i++)
        near[i] = (u16)(0x3e80 + i * 31 % 256 + (i % 5 ? 0 : 0x8000));
    for (int i = 0; i < N; i++)
        memcpy(wide + i * far, near + (ptrdiff_t)i * 2 * HEAD, 2 * HEAD * sizeof *near);
    for (int i = 0; i < 2; i++) {
        const u16 *const kv = i ? wide : near;
        const struct attn_sm80_args a = { .o = o[i], .lse = lse[i], .q = q, .k = kv, .v = kv + HEAD, .q_start = start, .k_start = start, .ld_o = HEAD, .ld_q = HEAD, .ld_kv = i ? far : 2 * HEAD,
                                          .n_head = 1, .n_kv_head = 1, .n_lse = N, .scale = 0.125f };
        assert_int_equal(simt_launch(1, 1, 1, gpu_kernel_threads(GPU_attn_cdna3_64), run_attn_cdna3_64, &a), 0);
    }
    simt_release();
    assert_memory_equal(o[0], o[1], sizeof o[0]);
    assert_memory_equal(lse[0], lse[1], sizeof lse[0]);
    munmap(wide, bytes);
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
        cmocka_unit_test(keys_may_lie_far_apart),
        cmocka_unit_test(in_the_emulator_they_give_what_sums_in_double_give),
#ifdef HAVE_LLVM_19
        cmocka_unit_test(a_removed_barrier_is_a_race),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
