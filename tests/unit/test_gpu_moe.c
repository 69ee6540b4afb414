/* Kernels of mixtures of experts and of sampling on three devices that are none: compiled for the host, the gfx942 code objects that ship and the PTX that ships in
 * their emulators.  Beside their definitions at edge sizes, with every access looked at; planted faults are found. */
#include "../emu/run_ptx.h"
#include "../emu/simt_kernels.h"
#ifdef HAVE_LLVM_19
#include "../emu/run_amd.h"
#endif
#include "gpu/sampling.h"
#include "base/rng.h"
#include "infer/sample.h"
#define PARTS (GPU_CHECK_MOE | GPU_CHECK_SAMPLE)

static void all_right(struct gpu *g) { check_all(g, PARTS, 100); }

/* ---- the host ---- */

static void on_the_host_in_both_orders(void **state)
{
    (void)state;
    all_right(open_host());
    simt_backwards = true;
    all_right(open_host());
    simt_backwards = false;
    simt_release();
}

/* Rows of logits as a vocabulary has them, each setting with each other: the token that infer/sample.c draws, by its exact rule to the bit, whatever lies on a border: logits
 * in steps (0: none), so that many are equal, and ids that may not be drawn.  usual: and by its usual one. */
enum { V = 700, N_ROW = 72, N_GAP = 90 };
static void draws(float spread, float step, bool gaps, bool usual)
{
    static int32_t gap[N_GAP];
    static uint32_t allowed[(V + 31) / 32];
    memset(allowed, 0xff, sizeof allowed);
    for (int i = 0; i < N_GAP; i++) {
        gap[i] = 7 * i + i % 3;
        allowed[gap[i] / 32] &= ~(1u << gap[i] % 32);
    }
    const struct sample_ids of = { .n = gaps ? V - 5 : V, .gap = gap, .n_gap = gaps ? N_GAP : 0 };
    static const double temperatures[] = { 0, 0.6, 1, 1.7 }, top_ps[] = { 1, 0.95, 0.5 }, min_ps[] = { 0, 0.03 };
    static const int top_ks[] = { 0, 20, 3 };
    static float x[N_ROW][V], p[V];
    static int32_t id[N_ROW], ids[2 * V];
    static uint64_t position[N_ROW];
    static struct sampling want[N_ROW];
    static struct gpu_sampling s[N_ROW];
    struct gpu *g = open_host();
    struct err err;
    void *stream, *d[5];
    for (int i = 0; i < N_ROW; i++) {
        want[i] = (struct sampling){ temperatures[i % 4], top_ks[i / 4 % 3], top_ps[i / 12 % 3], min_ps[i / 36 % 2], (uint64_t)i };
        s[i] = gpu_sampling_of(want[i].temperature, want[i].top_k, want[i].top_p, want[i].min_p, want[i].seed);
        position[i] = (uint64_t)(1000 * i);
        for (int k = 0; k < V; k++)
            x[i][k] = (float)rng_normal((uint64_t)i, (uint64_t)k) * spread;
        for (int k = 0; k < V && step > 0; k++)
            x[i][k] = step * (float)(int)(x[i][k] / step);
    }
    const struct { const void *from; size_t n; } up[] = { { x, sizeof x }, { position, sizeof position }, { s, sizeof s }, { id, sizeof id }, { allowed, sizeof allowed } };
    OK(gpu_stream_new(g, &stream, &err));
    for (int i = 0; i < 5; i++) {
        OK(gpu_alloc(g, &d[i], up[i].n, &err));
        OK(gpu_put(g, stream, d[i], up[i].from, up[i].n, &err));
    }
    const struct sample_args a = { .id = d[3], .position = d[1], .logits = d[0], .sampling = d[2], .allowed = gaps ? d[4] : NULL, .ld_logits = V, .n = of.n };
    for (uint64_t n = 0; n < 3; n++) {
        OK(gpu_launch(g, stream, GPU_sample_draw, N_ROW, 1, 1, &a, &err));
        OK(gpu_get(g, stream, id, d[3], sizeof id, &err));
        for (int i = 0; i < N_ROW; i++) {
            assert_int_equal(id[i], sample_token_exact(x[i], of, &want[i], position[i] + n, (struct sample_scratch){ ids, p }));
            if (usual)
                assert_int_equal(id[i], sample_token(x[i], of, &want[i], position[i] + n, (struct sample_scratch){ ids, p }));
        }
    }
    for (int i = 0; i < 5; i++)
        gpu_free(g, d[i]);
    gpu_stream_free(g, stream);
    gpu_close(g);
    simt_release();
}

static void the_draw_is_the_host_s(void **state)
{
    (void)state;
    draws(3, 0, false, true);
    draws(3, 0, true, true);
    draws(30, 0, false, false);                     /* beyond what counts */
    draws(1e-3f, 0, true, false);
    draws(2, 0.5f, false, false);
    draws(40, 10, true, false);
}

/* ---- PTX ---- */

static void as_ptx(void **state)
{
    (void)state;
    all_right(open_ptx());
    assert_int_equal(ptx_bad, 0);
}

static void faults_in_ptx_are_found(void **state)
{
    (void)state;
    assert_true(ptx_planted(PARTS, "moe", "moe_route", "bar.sync", "// bar.sync", 4) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "moe", "moe_tiles", "bar.sync", "// bar.sync", 0) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "moe_gemm", "moe_gemm_bf16", "bar.sync", "// bar.sync", 0) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "moe_gemm", "moe_gemm_q8_0", "bar.sync", "// bar.sync", 1) & BY_CHECK);
    assert_true(ptx_planted(PARTS, "moe", "moe_sort", ", 8, 31, -1", ", 4, 31, -1", 0) & BY_RESULT);
    assert_true(ptx_planted(PARTS, "moe_gemv", "moe_gemv_q4_0_4", ", 16, 31, -1", ", 8, 31, -1", 0) & BY_RESULT);
    for (int i = 1; i < 4; i++)                              /* each barrier of a search */
        assert_true(ptx_planted(PARTS, "sample", "sample_draw", "bar.sync", "// bar.sync", i) & BY_CHECK);
    ptx_release();
}

/* ---- gfx942 ---- */

#ifdef HAVE_LLVM_19
static void as_gfx942_code(void **state)
{
    (void)state;
    all_right(open_amd());
    assert_int_equal(amd_bad, 0);
}

/* The n-th instruction (from 1) that begins so is left out. */
static int left_out(const char *kernel, const char *instruction, int n) { return amd_planted(PARTS, kernel, instruction, NULL, NULL, n); }

static void faults_in_gfx942_code_are_found(void **state)
{
    (void)state;
    assert_true(left_out("moe_tiles", "s_barrier", 1) & BY_CHECK);
    assert_true(left_out("moe_gemm_bf16", "s_barrier", 1) & BY_CHECK);
    assert_true(left_out("moe_gemm_q4_0", "s_barrier", 2) & BY_CHECK);
    assert_true(left_out("moe_gemm_q8_0", "v_mfma", 3) & BY_RESULT);
    assert_true(left_out("moe_route", "ds_bpermute", 2) & BY_RESULT);
    assert_true(left_out("moe_gemv_q8_0_1", "v_dot4c", 2) & BY_RESULT);
    assert_true(left_out("sample_draw", "s_barrier", 2) & BY_CHECK);
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
        cmocka_unit_test(on_the_host_in_both_orders), cmocka_unit_test(the_draw_is_the_host_s), cmocka_unit_test(as_ptx), cmocka_unit_test(faults_in_ptx_are_found),
        cmocka_unit_test(as_gfx942_code), cmocka_unit_test(faults_in_gfx942_code_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
