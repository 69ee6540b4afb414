/* The device kernels, compiled for the host: beside cpu/ref at edge sizes, with threads in both orders; planted faults show. */
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wunused-function"
#define SIMT_WAVE 64
#include "../test.h"
#include "../emu/mock.h"
#include "../emu/simt.c"
#include "gpu/check.h"
#include "gpu/images.h"
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/copy.c"
#include "gpu/kern/rows.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/gemv.c"
#undef N_THREAD
#include "gpu/kern/attn.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/gemm.c"

#define K(name, file, n_thread, n_block, args, what) static void run_##name(const void *p) { name(*(const struct args##_args *)p); }
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what)
#include "gpu/kernels.def"
#undef K
static int run(const struct mock_launch *l)
{
    static void (*const fn[])(const void *) = {
#define K(name, file, n_thread, n_block, args, what) run_##name,
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what)
#include "gpu/kernels.def"
#undef K
    };
    return simt_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), fn[l->kernel], l->args) ? 719 : 0;
}

static int n_row, n_wrong;
static bool loud = true;
static void note(void *to, const struct gpu_row *r)
{
    (void)to;
    n_row++;
    n_wrong += !r->right;
    if (!r->right && loud)
        print_message("%s %s: error %g, at most %g %s\n", r->name, r->shape, r->error, r->tolerance, r->message);
}

static struct gpu *open_mock(void)
{
#ifdef __SANITIZE_THREAD__
    print_message("skipped: the thread sanitizer does not know fibers\n");
    skip();
#endif
    struct err err;
    struct gpu *g;
    mock.run = run, mock.wave = SIMT_WAVE;
    if (!gpu_image_of("copy", "gfx942")) {
        print_message("skipped: built without clang-19 and lld-19, there is no device code\n");
        skip();
    }
    assert_int_equal(gpu_open_api(&g, &mock_api, 0, "gfx942", &err), 0);
    return g;
}

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    struct gpu *g = open_mock();
    n_row = n_wrong = 0;
    assert_int_equal(gpu_check(g, GPU_CHECK_SMALL, note, NULL), 0);
    assert_true(n_row > 60);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
    simt_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
