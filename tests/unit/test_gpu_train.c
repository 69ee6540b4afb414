/* Kernels of training on three devices that are none: compiled for the host, the gfx942 code objects that ship and the PTX that ships in
 * their emulators.  Beside cpu/ref at edge sizes, with every access looked at; planted faults are found. */
#include "../emu/kernels.h"
#include "../emu/simt_kernels.h"
#include "../emu/emuptx.c"
#ifdef HAVE_LLVM_19
#include "../emu/emu942.c"
#endif
#define PARTS GPU_CHECK_TRAIN

/* All rows are right, and the device is left as it was found. */
static void all_right(struct gpu *g)
{
    assert_int_equal(gpu_check(g, PARTS, note_row, NULL), 0);
    assert_true(rows_seen > 100);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}
static void check_quietly(struct gpu *g)
{
    loud = false;
    gpu_check(g, PARTS, note_row, NULL);
    loud = true;
    gpu_close(g);
}

/* ---- the host ---- */

static struct gpu *open_host(void)
{
#ifdef __SANITIZE_THREAD__
    print_message("skipped: the thread sanitizer does not know fibers\n");
    skip();
#endif
    return open_emulated(simt_run, SIMT_WAVE, "gfx942");
}

static void on_the_host_in_both_orders(void **state)
{
    (void)state;
    all_right(open_host());
    simt_backwards = true;
    all_right(open_host());
    simt_backwards = false;
    simt_release();
}

static void on_the_host_a_wrong_lane_shows(void **state)
{
    (void)state;
    simt_lane_fault = 1;
    check_quietly(open_host());
    simt_lane_fault = 0;
    assert_true(rows_wrong > 0);
    simt_release();
}

/* ---- PTX ---- */

static const char *mutant, *mutant_file;                      /* text in place of that file's image, or NULL */
static int run_ptx(const struct mock_launch *l)
{
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    const char *file = kernel_file(l->kernel);
    if (ptx_load(mutant && !strcmp(file, mutant_file) ? mutant : gpu_image_of(file, "sm_90")->data, gpu_kernel_name(l->kernel)))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
}
static struct gpu *open_ptx(void)
{
    ptx_bad = 0;
    return open_emulated(run_ptx, 32, "sm_90");
}

static void as_ptx(void **state)
{
    (void)state;
    all_right(open_ptx());
    assert_int_equal(ptx_bad, 0);
}

/* What is found when the n-th `from` (0: the first) of the kernel is `to`: by a check of the emulator, by a wrong result. */
enum { BY_CHECK = 1, BY_RESULT = 2 };
static int found_in_ptx(const char *file, const char *kernel, const char *from, const char *to, int n)
{
    struct gpu *g = open_ptx();
    const char *image = gpu_image_of(file, "sm_90")->data;
    char entry[96];
    snprintf(entry, sizeof entry, ".entry %s(", kernel);
    const char *at = strstr(image, entry), *end = at ? strstr(at, "\n}") : NULL;
    for (int i = -1; at && i < n; i++)
        at = strstr(at + 1, from);
    if (!at || at > end)
        fail_msg("%s has no '%s' at place %d", kernel, from, n);
    char *text = malloc(strlen(image) + strlen(to) + 1);
    assert_non_null(text);
    sprintf(text, "%.*s%s%s", (int)(at - image), image, to, at + strlen(from));
    mutant = text, mutant_file = file, ptx_loud = 0;
    check_quietly(g);
    mutant = NULL, ptx_loud = 4;
    free(text);
    return (ptx_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0);
}

static void faults_in_ptx_are_found(void **state)
{
    (void)state;
    assert_true(found_in_ptx("train_rows", "norm_dx", "bar.sync", "// bar.sync", 1) & BY_CHECK);
    assert_true(found_in_ptx("train_rows", "embed_back", "bar.sync", "// bar.sync", 1) & BY_CHECK);
    assert_true(found_in_ptx("train_product", "product", "bar.sync", "// bar.sync", 0) & BY_CHECK);
    assert_true(found_in_ptx("train_attn_64", "attn_train_dkv_64", "bar.sync", "// bar.sync", 3) & BY_CHECK);
    assert_true(found_in_ptx("train_optim", "adamw", "bar.sync", "// bar.sync", 0) & BY_CHECK);
    assert_true(found_in_ptx("train_rows", "act_back", ", 8, 31, -1", ", 4, 31, -1", 0) & BY_RESULT);
    ptx_release();
}

/* ---- gfx942 ---- */

#ifdef HAVE_LLVM_19
static int run_amd(const struct mock_launch *l)
{
    amd.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        amd_block(mock.block[i].p, mock.block[i].n);
    if (amd_load(gpu_image_of(kernel_file(l->kernel), "gfx942")->data, gpu_kernel_name(l->kernel)))
        return 500;
    return amd_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args, gpu_kernel_args(l->kernel)) ? 719 : 0;
}
static struct gpu *open_amd(void)
{
    amd_bad = 0;
    return open_emulated(run_amd, 64, "gfx942");
}

static void as_gfx942_code(void **state)
{
    (void)state;
    all_right(open_amd());
    assert_int_equal(amd_bad, 0);
}

static int found_in_gfx942(const char *kernel, const char *instruction, int n)
{
    struct gpu *g = open_amd();
    amd_fault.kernel = kernel, amd_fault.instruction = instruction, amd_fault.n = n, amd_fault.found = false;
    amd_loud = 0;
    check_quietly(g);
    const bool there = amd_fault.found;
    memset(&amd_fault, 0, sizeof amd_fault);
    amd_loud = 4;
    return !there ? 0 : (amd_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0);
}

static void faults_in_gfx942_code_are_found(void **state)
{
    (void)state;
    assert_true(found_in_gfx942("product", "s_barrier", 2) & BY_CHECK);
    assert_true(found_in_gfx942("attn_train_dq_64", "s_barrier", 3) & BY_CHECK);
    assert_true(found_in_gfx942("attn_train_dkv_64", "v_mfma", 3) & BY_RESULT);
    assert_true(found_in_gfx942("route_back", "ds_bpermute", 2) & BY_RESULT);
    amd_release();
}
#else
static void as_gfx942_code(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
static void faults_in_gfx942_code_are_found(void **state) { as_gfx942_code(state); }
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_host_in_both_orders), cmocka_unit_test(on_the_host_a_wrong_lane_shows), cmocka_unit_test(as_ptx), cmocka_unit_test(faults_in_ptx_are_found),
        cmocka_unit_test(as_gfx942_code), cmocka_unit_test(faults_in_gfx942_code_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
