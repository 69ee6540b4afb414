/* The PTX of large products and of prefill attention that ships, run in the emulator with its copy engine, barriers and products of warpgroups: beside sums in
 * double; planted faults are found. */
#include "../emu/kernels.h"
#include "../emu/emuptx.c"
#include "../emu/mutate.h"
#include "gpu/args.h"
#include "gpu/hopper.h"

static const char *mutant, *mutant_kernel;                    /* text in place of that kernel's image; the others are then not run */
static const char *target_of(const char *file) { return gpu_image_of(file, "sm_90a") ? "sm_90a" : "sm_90"; }
static int64_t dynamic_bytes(enum gpu_kernel k)
{
    static const int64_t bytes[] = {
#define K(name, file, n_thread, n_block, args, what) 0,
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what) n_shared,
#include "gpu/kernels.def"
#undef K
    };
    return bytes[k];
}
static int run(const struct mock_launch *l)
{
    const char *name = gpu_kernel_name(l->kernel), *file = kernel_file(l->kernel);
    if (mutant && strcmp(mutant_kernel, name) != 0)
        return 0;
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    if (ptx_load(mutant ? mutant : gpu_image_of(file, target_of(file))->data, name))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    ptx.dynamic_bytes = dynamic_bytes(l->kernel);
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
}

/* cuTensorMapEncodeTiled, for the emulator. */
static int encode(void *map, int type, unsigned rank, void *p, const uint64_t *size, const uint64_t *stride, const unsigned *box, const unsigned *step, int interleave, int swizzle, int promotion,
                  int fill)
{
    struct ptx_map m = { .bytes = type == 9 ? 2 : 1, .rank = rank, .p = p };
    (void)promotion;
    if (rank < 2 || rank > 3 || interleave || swizzle != 3 || fill || *step != 1)
        return 1;
    for (unsigned i = 0; i < rank; i++) {
        m.size[i] = size[i], m.box[i] = box[i];
        if (i + 1 < rank)
            m.stride[i] = stride[i];
    }
    memset(map, 0, 128);
    memcpy(map, &m, sizeof m);
    return 0;
}
static struct gpu_api api;
static struct gpu *open_hopper(void)
{
    struct err err;
    struct gpu *g;
    ptx_bad = 0;
    gpu_close(open_emulated(run, 32, "sm_90"));
    api = mock_api, api.tensor_map = encode;
    assert_int_equal(gpu_open_api(&g, &api, 0, "sm_90", &err), 0);
    return g;
}

static void they_give_what_sums_in_double_give(void **state)
{
    (void)state;
    _Static_assert(sizeof(struct ptx_map) <= 128, "a map's size in the driver");
    struct gpu *g = open_hopper();
    assert_int_equal(gpu_check(g, GPU_CHECK_HOPPER, note_row, NULL), 0);
    assert_true(rows_seen >= 60);
    assert_int_equal(ptx_bad, 0);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
    ptx_release();
}

/* ---- planted faults ---- */

enum { BY_HANG = 8 };
static int found(const char *kernel, const char *file, const char *from, const char *to, int n)
{
    struct gpu *g = open_hopper();
    char *text = mutated(gpu_image_of(file, target_of(file))->data, kernel, from, to, n);
    if (!text)
        fail_msg("%s has no '%s' at place %d", kernel, from, n);
    mutant = text, mutant_kernel = kernel, ptx_loud = 0, loud = false;
    gpu_check(g, GPU_CHECK_HOPPER, note_row, NULL);
    const int how = (ptx_bad ? BY_CHECK : 0) | (rows_of_wrong(kernel) ? BY_RESULT : 0) | (rows_failed ? BY_HANG : 0);
    mutant = NULL, ptx_loud = 4, loud = true;
    gpu_close(g);
    free(text);
    return how;
}

#define WAIT "mbarrier.try_wait.parity.shared::cta.b64 p,"
#define NO_WAIT "setp.eq.b32 p, 0, 0; //"
static void a_wait_left_out_is_found(void **state)
{
    (void)state;
    assert_true(found("gemm_sm90", "gemm_sm90", WAIT, NO_WAIT, 0) & BY_CHECK);            /* for a stage to be free */
    assert_true(found("gemm_sm90", "gemm_sm90", WAIT, NO_WAIT, 1) & BY_CHECK);            /* for a stage to be full */
    assert_true(found("gemm_sm90", "gemm_sm90", "wgmma.wait_group.sync.aligned 0", "// ", 0) & BY_CHECK);
    assert_true(found("gemm_sm90", "gemm_sm90", "cp.async.bulk.wait_group 0", "// ", 0) & BY_CHECK);
    assert_true(found("attn_sm90_128", "attn_sm90", "wgmma.wait_group.sync.aligned 1", "// ", 0) & BY_CHECK);
    assert_true(found("attn_sm80_64", "attn_sm80_64", "cp.async.wait_group 0", "// ", 0));
}
static void a_barrier_left_out_is_found(void **state)
{
    (void)state;
    assert_true(found("gemm_sm90_n128", "gemm_sm90_n128", "bar.sync \t0", "// ", 0) & BY_CHECK);
    assert_true(found("gemm_sm90_n128", "gemm_sm90_n128", "bar.sync %", "// ", 1));
    assert_true(found("attn_sm80_64", "attn_sm80_64", "bar.sync", "// ", 0));
}
static void a_wrong_place_gives_a_wrong_result(void **state)
{
    (void)state;
    assert_true(found("gemm_sm90", "gemm_sm90", ", 49152, ", ", 32768, ", 0));                            /* stages that overlap */
    assert_true(found("attn_sm90_64", "attn_sm90_64", ", 1, 31, -1", ", 4, 31, -1", 0) & BY_RESULT);      /* a wrong lane */
    assert_true(found("attn_sm80_128", "attn_sm80", ".trans.shared", ".shared", 3) & BY_RESULT);
    ptx_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_give_what_sums_in_double_give), cmocka_unit_test(a_wait_left_out_is_found), cmocka_unit_test(a_barrier_left_out_is_found),
        cmocka_unit_test(a_wrong_place_gives_a_wrong_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
