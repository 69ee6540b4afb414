/* Dense products by the vendor's library: through a library that stands in for cuBLASLt and hipBLASLt, on a device that is the host. */
#include "../test.h"
#include <dlfcn.h>
#include "../emu/mock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "gpu/blaslt.h"
#include "gpu/images.h"
#if defined(__has_include)
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
/* What blaslt.c and the stand-in take for granted of cuBLASLt. */
_Static_assert(CUBLASLT_MATMUL_DESC_TRANSA == 3 && CUBLASLT_MATMUL_DESC_TRANSB == 4 && CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES == 1, "attributes");
_Static_assert(CUBLAS_OP_N == 0 && CUBLAS_OP_T == 1 && CUBLAS_COMPUTE_32F == 68 && CUDA_R_16BF == 14 && CUDA_R_32F == 0, "types");
_Static_assert(sizeof(cublasLtMatmulAlgo_t) == 64 && sizeof(cublasLtMatmulHeuristicResult_t) == 96 && offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == 64 &&
               offsetof(cublasLtMatmulHeuristicResult_t, state) == 72, "results");
#endif
#endif

#ifndef BUILD_DIR
#define BUILD_DIR "build"
#endif
#define LIBRARY BUILD_DIR "/tests/mock_blaslt.so"
static struct err err;
static void *library;
static int *seen(const char *name)
{
    int *p = dlsym(library, name);
    assert_non_null(p);
    return p;
}

/* A device of AMD's or NVIDIA's. */
static struct gpu *device(bool amd)
{
    struct gpu *g;
    if (!gpu_image(0)) {
        print_message("skipped: built without clang-19 and lld-19, there is no device code\n");
        skip();
    }
    mock.wave = amd ? 64 : 32;
    OK(gpu_open_api(&g, &mock_api, 0, amd ? "gfx942" : "sm_90", &err));
    return g;
}
static int setup(void **state)
{
    library = dlopen(LIBRARY, RTLD_NOW);
    assert_non_null(library);
    setenv("LATHE_CUBLASLT_LIB", LIBRARY, 1);
    setenv("LATHE_HIPBLASLT_LIB", LIBRARY, 1);
    return make_dir(state);
}
static int teardown(void **state)
{
    dlclose(library);
    return remove_dir(state);
}

enum { M_MAX = 8, N_MAX = 24, K_MAX = 16 };
static uint16_t a[M_MAX * K_MAX], b[N_MAX * K_MAX];
static void fill(void)
{
    for (int i = 0; i < M_MAX * K_MAX; i++)
        a[i] = (uint16_t)(0x3f80 + 0x10 * (i % 7));              /* 1 to 2 */
    for (int i = 0; i < N_MAX * K_MAX; i++)
        b[i] = (uint16_t)((i % 3 ? 0x3f80 : 0xbf80) + 0x10 * (i % 5));
}
static float widened(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
/* Runs one and looks at every number. */
static int product(struct gpu_blas *blas, int M, int N, int K, bool c32)
{
    float c[M_MAX * N_MAX];
    memset(c, 0x7f, sizeof c);
    TRY(gpu_blas_run(blas, NULL, &(struct gpu_blas_product){ .a = a, .b = b, .c = c, .M = M, .N = N, .K = K, .c32 = c32 }, &err));
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float s = 0;
            for (int k = 0; k < K; k++)
                s += widened(a[m * K + k]) * widened(b[n * K + k]);
            const float got = c32 ? c[m * N + n] : widened(((const uint16_t *)(const void *)c)[m * N + n]);
            assert_true(c32 ? got == s : got >= s - 0.01f * (s < 0 ? -s : s) - 0.01f && got <= s + 0.01f * (s < 0 ? -s : s) + 0.01f);
        }
    return 0;
}

/* Operands by columns, of which a has a gap, what is added, a bias: numbers that floats add exactly. */
static int forms(struct gpu_blas *blas, int M, int N, int K, int ld_a, int form)
{
    float c[M_MAX * N_MAX], add[M_MAX * N_MAX], bias[N_MAX];
    const bool a_cols = form & GPU_BLAS_A_COLS, b_cols = form & GPU_BLAS_B_COLS, own = form & GPU_BLAS_C32;
    for (int i = 0; i < M * N; i++)
        add[i] = c[i] = (float)(i % 9);
    for (int i = 0; i < N; i++)
        bias[i] = (float)(i % 5) - 2;
    TRY(gpu_blas_run(blas, NULL, &(struct gpu_blas_product){ .a = a, .b = b, .c = c, .add = !(form & GPU_BLAS_ADD) ? NULL : own ? c : add, .bias = form & GPU_BLAS_BIAS ? bias : NULL, .M = M,
                                                              .N = N, .K = K, .ld_a = ld_a, .c32 = true, .a_cols = a_cols, .b_cols = b_cols }, &err));
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float s = 0;
            for (int k = 0; k < K; k++)
                s += widened(a[a_cols ? k * (ld_a ? ld_a : M) + m : m * K + k]) * widened(b[b_cols ? k * N + n : n * K + k]);
            assert_true(c[m * N + n] == s + (form & GPU_BLAS_ADD ? add[m * N + n] : 0) + (form & GPU_BLAS_BIAS ? bias[n] : 0));
        }
    return 0;
}
static void operands_by_columns_and_what_is_added(void **state)
{
    (void)state;
    fill();
    for (int amd = 0; amd < 2; amd++) {
        struct gpu *g = device(amd);
        struct gpu_blas *blas;
        OK(gpu_blas_open(&blas, g, NULL, &err));
        for (int form = 0; form < GPU_BLAS_FORMS; form++) {
            OK(forms(blas, 3, 8, 6, 0, form));
            OK(forms(blas, 5, 8, 7, form & GPU_BLAS_A_COLS ? 8 : 0, form));
        }
        assert_int_equal(gpu_blas_run(blas, NULL, &(struct gpu_blas_product){ .a = a, .b = b, .c = b, .bias = (const float *)(const void *)b, .M = 1, .N = 8, .K = 8 }, &err), ERR_UNSUPPORTED);
        gpu_blas_close(blas);
        gpu_close(g);
        assert_int_equal(*seen("mock_alive"), 0);
    }
}

static void both_libraries_give_rows_times_rows(void **state)
{
    (void)state;
    fill();
    for (int amd = 0; amd < 2; amd++) {
        struct gpu *g = device(amd);
        struct gpu_blas *blas;
        OK(gpu_blas_open(&blas, g, NULL, &err));
        assert_string_equal(gpu_blas_name(blas), amd ? "hipBLASLt 1000" : "cuBLASLt 1000");
        OK(product(blas, 3, 24, 16, true));
        OK(product(blas, 8, 8, 8, false));
        OK(product(blas, 1, 8, 16, false));
        OK(gpu_blas_save(blas, &err));
        gpu_blas_close(blas);
        gpu_close(g);
        assert_int_equal(*seen("mock_alive"), 0);
        assert_int_equal(mock.n_block, 0);
    }
}

static void an_algorithm_is_asked_for_once_and_kept_between_runs(void **state)
{
    (void)state;
    fill();
    for (int amd = 0; amd < 2; amd++) {
        struct gpu *g = device(amd);
        struct gpu_blas *blas;
        char path[1000];
        snprintf(path, sizeof path, "%s", in_dir(amd ? "hip" : "cuda"));
        *seen("mock_asked") = 0;
        OK(gpu_blas_open(&blas, g, path, &err));
        for (int i = 0; i < 3; i++) {
            OK(product(blas, 4, 16, 8, true));
            OK(product(blas, 2, 16, 8, true));
        }
        assert_int_equal(*seen("mock_asked"), 2);
        OK(gpu_blas_save(blas, &err));
        gpu_blas_close(blas);

        OK(gpu_blas_open(&blas, g, path, &err));
        OK(product(blas, 4, 16, 8, true));
        assert_int_equal(*seen("mock_asked"), 2);
        OK(product(blas, 4, 16, 8, false));                      /* other sums of the same sizes */
        assert_int_equal(*seen("mock_asked"), 3);
        OK(gpu_blas_save(blas, &err));
        gpu_blas_close(blas);

        /* Another version of the library has other algorithms. */
        *seen("mock_version") = 2000;
        OK(gpu_blas_open(&blas, g, path, &err));
        OK(product(blas, 4, 16, 8, true));
        assert_int_equal(*seen("mock_asked"), 4);
        gpu_blas_close(blas);
        *seen("mock_version") = 1000;
        gpu_close(g);
        assert_int_equal(*seen("mock_alive"), 0);
    }
}

static void a_choice_that_is_refused_is_made_again(void **state)
{
    (void)state;
    fill();
    struct gpu *g = device(true);
    struct gpu_blas *blas;
    OK(gpu_blas_open(&blas, g, in_dir("refused"), &err));
    OK(product(blas, 4, 16, 8, true));
    OK(gpu_blas_save(blas, &err));
    gpu_blas_close(blas);
    OK(gpu_blas_open(&blas, g, in_dir("refused"), &err));
    *seen("mock_asked") = 0, *seen("mock_refuses") = 1;
    OK(product(blas, 4, 16, 8, true));
    assert_int_equal(*seen("mock_asked"), 1);
    *seen("mock_refuses") = 1;
    assert_int_equal(product(blas, 4, 16, 8, true), ERR_IO);     /* its own choice: an error */
    assert_string_equal(err.msg, "hipBLASLt: a product: status 15");
    gpu_blas_close(blas);
    gpu_close(g);
}

static void what_it_cannot_do_is_said(void **state)
{
    (void)state;
    fill();
    struct gpu *g = device(false);
    struct gpu_blas *blas;
    OK(gpu_blas_open(&blas, g, NULL, &err));
    *seen("mock_no_algorithm") = 1;
    assert_int_equal(product(blas, 3, 5, 7, true), ERR_UNSUPPORTED);
    assert_string_equal(err.msg, "cuBLASLt has no algorithm for M 3, N 5, K 7 (status 0)");
    *seen("mock_no_algorithm") = 0;
    assert_int_equal(product(blas, 0, 5, 7, true), ERR_UNSUPPORTED);
    OK(product(blas, 3, 5, 7, true));
    gpu_blas_close(blas);
    *seen("mock_no_device") = 1;
    assert_int_equal(gpu_blas_open(&blas, g, NULL, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.msg, "cuBLASLt does not take sm_90: status 1");
    assert_null(blas);
    *seen("mock_no_device") = 0;
    setenv("LATHE_CUBLASLT_LIB", "/nowhere/lib.so", 1);
    assert_int_equal(gpu_blas_open(&blas, g, NULL, &err), ERR_NOTFOUND);
    setenv("LATHE_CUBLASLT_LIB", "libm.so.6", 1);
    assert_int_equal(gpu_blas_open(&blas, g, NULL, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.msg, "cuBLASLt has no cublasLtCreate: it is too old");
    setenv("LATHE_CUBLASLT_LIB", LIBRARY, 1);
    gpu_close(g);
    assert_int_equal(*seen("mock_alive"), 0);
    assert_int_equal(mock.n_block, 0);
}

static void a_damaged_file_of_choices_is_replaced(void **state)
{
    (void)state;
    fill();
    struct gpu *g = device(true);
    struct gpu_blas *blas;
    put_in_dir("damaged", "lathe blaslt 2 hipBLASLt 1000 gfx942 emulated\n1 8 16 0 0 100 zz\nend 0000000000000000\n");
    OK(gpu_blas_open(&blas, g, in_dir("damaged"), &err));
    *seen("mock_asked") = 0;
    OK(product(blas, 1, 8, 16, false));
    assert_int_equal(*seen("mock_asked"), 1);
    OK(gpu_blas_save(blas, &err));
    gpu_blas_close(blas);
    OK(gpu_blas_open(&blas, g, in_dir("damaged"), &err));
    OK(product(blas, 1, 8, 16, false));
    assert_int_equal(*seen("mock_asked"), 1);
    gpu_blas_close(blas);
    gpu_close(g);
}

/* The lines as a file: first words and owner before, the hash behind. */
static int read_lines(const char *lines)
{
    char text[4096];
    struct gpu_blas_choice *c;
    int n = snprintf(text, sizeof text, "lathe blaslt 2 me\n%s", lines), n_choice;
    n += snprintf(text + n, sizeof text - (size_t)n, "end %016llx\n", (unsigned long long)hash64(text, (size_t)n, 0));
    const int rc = gpu_blas_read_choices(text, (size_t)n, "me", &c, &n_choice, &err);
    mem_free(c);
    return rc ? rc : n_choice;
}
static void only_choices_that_were_written_so_are_read(void **state)
{
    (void)state;
#define ALGO "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"
    assert_int_equal(read_lines(""), 0);
    assert_int_equal(read_lines("1 8 16 0 0 100 " ALGO "\n"), 1);
    assert_int_equal(read_lines("1 8 16 0 0 100 " ALGO "\n1 8 16 0 1 0 " ALGO "\n2147483647 8 16 0 0 33554432 " ALGO "\n"), 3);
    static const char *const wrong[] = {
        "1 8 16 0 1 0 " ALGO "\n1 8 16 0 0 100 " ALGO "\n", "1 8 16 0 0 0 " ALGO "\n1 8 16 0 0 0 " ALGO "\n", "0 8 16 0 0 100 " ALGO "\n", "-1 8 16 0 0 100 " ALGO "\n",
        "2147483648 8 16 0 0 100 " ALGO "\n", "1 8 16 0 32 100 " ALGO "\n", "1 8 16 0 0 33554433 " ALGO "\n", "1 8 16 0 0 100 " ALGO "0\n", "1 8 16 0 0 100 " ALGO, "1 8 16 0 0  " ALGO "\n",
        "1 8 16 0 0 100 000g\n", "\n", "1 8\n16 0 0 100 " ALGO "\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(read_lines(wrong[i]), ERR_CORRUPT);
    struct gpu_blas_choice *c;
    int n;
    assert_int_equal(gpu_blas_read_choices("", 0, "me", &c, &n, &err), ERR_CORRUPT);
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_libraries_give_rows_times_rows), cmocka_unit_test(operands_by_columns_and_what_is_added), cmocka_unit_test(an_algorithm_is_asked_for_once_and_kept_between_runs),
        cmocka_unit_test(a_choice_that_is_refused_is_made_again), cmocka_unit_test(what_it_cannot_do_is_said),
        cmocka_unit_test(a_damaged_file_of_choices_is_replaced), cmocka_unit_test(only_choices_that_were_written_so_are_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
