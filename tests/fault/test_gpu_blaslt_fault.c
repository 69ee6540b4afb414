/* test_gpu_blaslt_fault.c - products by the vendor's library, their choices read and written, with each allocation and each call of the file system failing in turn. */
#include "each_allocation.h"
#include "../emu/mock.h"
#include "gpu/blaslt.h"
#include "gpu/images.h"
#ifndef BUILD_DIR
#define BUILD_DIR "build"
#endif

static struct err err;
static struct gpu *g;
static uint16_t a[2 * 8], b[8 * 8], c[2 * 8];

static int run(void *path)
{
    struct gpu_blas *blas = NULL;
    int rc = gpu_blas_open(&blas, g, path, &err);
    for (int M = 1; M <= 2 && !rc; M++)
        rc = gpu_blas_run(blas, NULL, &(struct gpu_blas_product){ .a = a, .b = b, .c = c, .M = M, .N = 8, .K = 8 }, &err);
    rc = rc ? rc : gpu_blas_save(blas, &err);
    gpu_blas_close(blas);
    return rc;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    if (!gpu_image(0)) {
        print_message("skipped: built without clang-19 and lld-19, there is no device code\n");
        skip();
    }
    setenv("LATHE_HIPBLASLT_LIB", BUILD_DIR "/tests/mock_blaslt.so", 1);
    mock.wave = 64;
    OK(gpu_open_api(&g, &mock_api, 0, "gfx942", &err));
    char path[1000];
    snprintf(path, sizeof path, "%s", in_dir("choices"));
    assert_true(each_allocation(run, path, false) >= 4);       /* the first run that has all writes the file */
    assert_true(each_allocation(run, path, false) >= 5);       /* and these read it */
    gpu_close(g);
    assert_int_equal(mock.n_block, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_an_error) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
