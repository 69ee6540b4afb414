/* Calls of large products and of prefill attention on a device that only takes notes: what the copy engine is told, grids, and what is refused. */
#include "../test.h"
#include "../emu/mock.h"
#include "gpu/hopper.h"
#include "gpu/images.h"

static struct { int type; unsigned rank, box[3]; uint64_t size[3], stride[2]; const void *p; } seen[8];
static int n_seen;
static struct mock_launch last;

static int note_map(void *map, int type, unsigned rank, void *p, const uint64_t *size, const uint64_t *stride, const unsigned *box, const unsigned *step, int interleave, int swizzle,
                    int promotion, int fill)
{
    assert_int_equal((uintptr_t)map % 64, 0);
    assert_true(n_seen < 8 && step[0] == 1 && interleave == 0 && swizzle == 3 && promotion == 3 && fill == 0);
    seen[n_seen].type = type, seen[n_seen].rank = rank, seen[n_seen].p = p;
    for (unsigned i = 0; i < rank; i++) {
        seen[n_seen].size[i] = size[i], seen[n_seen].box[i] = box[i];
        if (i + 1 < rank)
            seen[n_seen].stride[i] = stride[i];
    }
    memset(map, 1 + n_seen++, 128);
    return 0;
}
static int note_launch(const struct mock_launch *l) { return last = *l, 0; }

static struct gpu *g;
static void *maps, *stream;
static struct gpu_api api;
static int begin(bool has_maps)
{
    struct err err;
    if (!gpu_image_of("gemm_sm90", "sm_90a")) {
        print_message("SKIPPED: built without clang-19 and lld-19, there is no device code\n");
        return 0;
    }
    api = mock_api, api.tensor_map = has_maps ? note_map : NULL;
    mock.run = note_launch, mock.wave = 32, n_seen = 0;
    OK(gpu_open_api(&g, &api, 0, "sm_90", &err));
    OK(gpu_alloc(g, &maps, GPU_MAPS_BYTES, &err));
    OK(gpu_stream_new(g, &stream, &err));
    return 1;
}
static void end(void)
{
    gpu_stream_free(g, stream);
    gpu_free(g, maps);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_stream, 0);
}

#define A ((void *)0x10000)
#define B ((void *)0x20000)
#define C ((void *)0x30000)

static void a_product_is_told_to_the_copy_engine(void **state)
{
    (void)state;
    struct err err;
    struct gpu_call call;
    if (!begin(true))
        skip();
    OK(gpu_gemm_call(g, stream, maps, &(struct gpu_gemm){ .a = A, .b = B, .c = C, .M = 300, .N = 520, .K = 72, .n_tile = 128, .scale = 1 }, &call, &err));
    assert_int_equal(call.kernel, GPU_gemm_sm90_n128);
    assert_int_equal(n_seen, 3);
    assert_true(seen[0].p == A && seen[1].p == B && seen[2].p == C);
    assert_true(seen[0].type == 9 && seen[0].rank == 2 && seen[0].size[0] == 72 && seen[0].size[1] == 300
               && seen[0].stride[0] == 144 && seen[0].box[0] == 64 && seen[0].box[1] == 128);
    assert_true(seen[1].size[1] == 520 && seen[2].size[0] == 520 && seen[2].size[1] == 300 && seen[2].stride[0] == 1040 && seen[2].box[1] == 64);
    for (int i = 0; i < 3; i++)
        assert_int_equal(((unsigned char *)maps)[128 * i], i + 1);
    OK(gpu_call_launch(g, stream, &call, &err));
    assert_int_equal(last.kernel, GPU_gemm_sm90_n128);
    n_seen = 0;
    OK(gpu_gemm_call(g, stream, maps, &(struct gpu_gemm){ .a = A, .b = B, .c = C, .M = 1, .N = 8, .K = 16, .e4m3 = true, .scale = 0.5f }, &call, &err));
    assert_true(call.kernel == GPU_gemm_sm90_e4m3 && seen[0].type == 0 && seen[0].stride[0] == 16 && seen[0].box[0] == 128 && seen[2].type == 9);
    end();
}

static void a_prefill_is_told_to_the_copy_engine(void **state)
{
    (void)state;
    struct err err;
    struct gpu_call call;
    if (!begin(true))
        skip();
    struct gpu_prefill p = { .q = A, .k = B, .v = C, .o = A, .n_seq = 3, .longest = 200, .n_q = 500, .n_k = 700, .n_head = 8, .n_kv_head = 2, .d = 128, .scale = 1 };
    OK(gpu_prefill_call(g, stream, maps, &p, &call, &err));
    assert_true(call.kernel == GPU_attn_sm90_128 && call.gx == 2 && call.gy == 8 && call.gz == 3);
    assert_true(n_seen == 3 && seen[0].rank == 3 && seen[0].size[0] == 128 && seen[0].size[1] == 8 && seen[0].size[2] == 500
               && seen[0].stride[0] == 256 && seen[0].stride[1] == 2048);
    assert_true(seen[0].box[0] == 64 && seen[0].box[1] == 1 && seen[0].box[2] == 128 && seen[1].box[2] == 176 && seen[1].size[1] == 2 && seen[2].size[2] == 700 && seen[2].p == C);
    p.d = 64;
    n_seen = 0;
    OK(gpu_prefill_call(g, stream, maps, &p, &call, &err));
    assert_true(call.kernel == GPU_attn_sm90_64 && call.gx == 2 && seen[0].box[2] == 192 && seen[1].box[2] == 128);
    p.sm80 = true;
    OK(gpu_prefill_call(g, stream, maps, &p, &call, &err));
    assert_true(call.kernel == GPU_attn_sm80_64 && call.gx == 2 && n_seen == 3);
    end();
}

static void what_the_kernels_cannot_do_is_refused(void **state)
{
    (void)state;
    struct err err;
    struct gpu_call call;
    if (!begin(true))
        skip();
    static const struct { struct gpu_gemm p; const char *says; } bad[] = {
        { { .a = A, .b = B, .c = C, .M = 4, .N = 12, .K = 16 }, "N 12" },
        { { .a = A, .b = B, .c = C, .M = 4, .N = 16, .K = 20 }, "K 20" },
        { { .a = A, .b = B, .c = C, .M = 4, .N = 16, .K = 24, .e4m3 = true }, "K of 16" },
        { { .a = A, .b = B, .c = C, .M = 0, .N = 16, .K = 16 }, "M 0" },
        { { .a = A, .b = (void *)0x20008, .c = C, .M = 4, .N = 16, .K = 16 }, "aligned to 16" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        n_seen = 0;
        assert_int_equal(gpu_gemm_call(g, stream, maps, &bad[i].p, &call, &err), ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, bad[i].says));
    }
    struct gpu_prefill p = { .q = A, .k = B, .v = C, .o = A, .n_seq = 1, .longest = 4, .n_q = 4, .n_k = 4, .n_head = 3, .n_kv_head = 2, .d = 128 };
    assert_int_equal(gpu_prefill_call(g, stream, maps, &p, &call, &err), ERR_UNSUPPORTED);
    p.n_head = 4, p.d = 80;
    assert_int_equal(gpu_prefill_call(g, stream, maps, &p, &call, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "heads of 80"));
    end();
    assert_true(begin(false));
    p.d = 128;
    OK(gpu_prefill_call(g, stream, maps, &p, &call, &err));                    /* no copy engine: the kernel that does without */
    assert_int_equal(call.kernel, GPU_attn_sm80_128);
    assert_int_equal(gpu_gemm_call(g, stream, maps, &(struct gpu_gemm){ .a = A, .b = B, .c = C, .M = 4, .N = 16, .K = 16 }, &call, &err), ERR_UNSUPPORTED);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_told_to_the_copy_engine),
        cmocka_unit_test(a_prefill_is_told_to_the_copy_engine),
        cmocka_unit_test(what_the_kernels_cannot_do_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
