/* test_exec_team.c - models run by several devices that share them: the code objects that ship for gfx942, in the emulator, give the host's tokens. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include "../emu/run_amd.h"
#include "base/mem.h"
#include "exec/exec_op.h"
#include "tiny_run.h"
#include "same_tokens.h"

static struct pool *pool;
static int n_device;

static int open_team(struct graph_device **d)
{
    struct gpu *gpu[GPU_PEERS_MAX];
    mock.n_device = n_device;
    memset(mock.peer, 0, sizeof mock.peer);
    gpu[0] = open_amd();
    for (int i = 1; i < n_device; i++)
        assert_int_equal(gpu_open_api(&gpu[i], &mock_api, i, "gfx942", &err), 0);
    return exec_open_gpus(d, gpu, n_device, &err);
}
static void the_same(const char *path, enum weights_as as, int n, double tolerance)
{
    n_device = n;
    same_tokens(path, as, open_team, pool, tolerance);
}

#define SHARED "model: {model_type: llama, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 8, num_key_value_heads: 4, intermediate_size: 92}\n"
#define SHARED_EXPERTS "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 8, num_experts: 8, num_experts_per_tok: 3, moe_intermediate_size: 32, norm: rmsnorm, act: swiglu, pos: rope, " \
                "norm_topk_prob: false}\n"

/* A vocabulary and an MLP that do not come out even, fewer heads of keys and values than devices, a tied head, biases (gpt2), experts. */
static void tokens_are_those_of_the_host(void **state)
{
    (void)state;
    struct train_result r;
    the_same("tests/golden/llama", WEIGHTS_FILE, 2, 3e-6);
    the_same("tests/golden/gpt2", WEIGHTS_FILE, 3, 3e-6);
    the_same("tests/golden/mixtral", WEIGHTS_FILE, 2, 3e-6);
    the_same("tests/golden/mixtral", WEIGHTS_FILE, 4, 3e-6);
    write_corpus("one.txt", 900, 1), write_corpus("two.txt", 300, 2);
    write_config("dense.yaml", SHARED, ""), write_config("experts.yaml", SHARED_EXPERTS, "");
    OK(train("dense.yaml", "dense", 2, NULL, &r));
    OK(train("experts.yaml", "experts", 2, NULL, &r));
    the_same(in_dir("dense"), WEIGHTS_F32, 8, 5e-6);
    the_same(in_dir("dense"), WEIGHTS_BF16, 8, 1e-2);
    the_same(in_dir("experts"), WEIGHTS_F32, 8, 5e-6);
}

enum { N = 15 };
/* Logits of N tokens, token by token or at once. */
static void logits_of(float *out, const char *path, bool at_once)
{
    struct engine *e;
    int32_t ids[N], row[N];
    const float *logits;
    OK(engine_on(&e, path, open_team, WEIGHTS_FILE, pool));
    const int V = engine_config(e)->vocab_size;
    for (int i = 0; i < N; i++)
        ids[i] = (int32_t)(rng_u64(5, (uint64_t)i) % (uint64_t)V), row[i] = i;
    for (int i = 0; i < N; i += at_once ? N : 1) {
        OK(engine_run(e, &(struct engine_part){ 0, i, at_once ? N : 1, ids + i, NULL, 0 }, 1, &err));
        OK(engine_head(e, row, at_once ? N : 1, &logits, &err));
        memcpy(out + i * V, logits, (size_t)(at_once ? N : 1) * (size_t)V * sizeof *out);
    }
    engine_free(e);
}

/* Whether passes are launched as graphs, sums are taken in shares, devices reach each other or not. */
static void bits_are_the_same_however_devices_tell_each_other(void **state)
{
    (void)state;
    enum { V_MAX = 128 };
    static float want[N * V_MAX], got[N * V_MAX];
    const size_t whole = exec_team_whole;
    n_device = 4;
    logits_of(want, "tests/golden/mixtral", true);
    for (int way = 1; way < 8; way++) {
        exec_team_whole = way & 1 ? 0 : whole;
        mock.apart = way & 2;
        logits_of(got, "tests/golden/mixtral", way & 4);
        assert_memory_equal(want, got, N * 67 * sizeof *got);
    }
    exec_team_whole = whole, mock.apart = false;
    assert_int_equal(amd_bad, 0);
}

static void what_does_not_come_out_even_or_fit_is_refused(void **state)
{
    (void)state;
    struct engine *e = NULL;
    n_device = 3;
    assert_int_equal(engine_on(&e, "tests/golden/llama", open_team, WEIGHTS_FILE, pool), ERR_USAGE);
    assert_non_null(strstr(same_err.msg, "4 heads, 2 heads of keys and values"));
    n_device = 8;
    assert_int_equal(engine_on(&e, "tests/golden/mixtral", open_team, WEIGHTS_FILE, pool), ERR_USAGE);
    n_device = 2;
    mock.bytes_max = 20000;
    assert_int_equal(engine_on(&e, "tests/golden/llama", open_team, WEIGHTS_FILE, pool), ERR_NOMEM);
    assert_non_null(strstr(same_err.msg, "mock:0 (emulated) has"));
    assert_non_null(strstr(same_err.msg, "mock:1 (emulated) has"));
    mock.bytes_max = 0;
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

static void without_memory_of_the_host_nothing_is_left(void **state)
{
    (void)state;
    n_device = 2;
    for (int n = 0, rc = -1; rc; n++) {
        struct engine *e = NULL;
        struct engine_opts o = { .n_slot = 1, .step_tokens = 4, .no_tok = true };
        struct gpu *gpu[2] = { open_amd(), NULL };
        mock.n_device = 2;
        OK(gpu_open_api(&gpu[1], &mock_api, 1, "gfx942", &err));
        mem_fail_at(n);
        rc = exec_open_gpus(&o.device, gpu, 2, &err);
        rc = rc ? rc : engine_new(&e, "tests/golden/llama", &o, pool, &err);
        mem_fail_at(-1);
        engine_free(e);
        assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream + mock.n_graph, 0);
    }
}

static void names_of_several_devices(void **state)
{
    (void)state;
    struct graph_device *d;
    static const char *const bad[] = { "cuda:0,", "cuda:,1", "cuda:1-0", "cuda:0-99", "hip:0-1-2", "hip:0,x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(exec_open(&d, bad[i], &err), ERR_USAGE);
    n_device = 3;
    OK(open_team(&d));
    assert_string_equal(d->name, "mock:0-2");
    d->free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_the_host), cmocka_unit_test(bits_are_the_same_however_devices_tell_each_other), cmocka_unit_test(what_does_not_come_out_even_or_fit_is_refused),
        cmocka_unit_test(without_memory_of_the_host_nothing_is_left), cmocka_unit_test(names_of_several_devices),
    };
    OK(pool_new(&pool, 2, &err));
    const int rc = cmocka_run_group_tests(tests, set_up, remove_dir);
    pool_free(pool);
    amd_release();
    return rc;
}
#else
static void tokens_are_those_of_the_host(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tokens_are_those_of_the_host) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
