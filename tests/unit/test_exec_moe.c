/* test_exec_moe.c - mixtures of experts run on a device: the code objects that ship for gfx942, in the emulator, give the host's logits and tokens. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include <math.h>
#include "../emu/run_amd.h"
#include "tiny_run.h"
#include "exec/exec.h"
#include "infer/engine.h"

static struct pool *pool;

static int engine_on(struct engine **e, const char *path, bool device, enum weights_as as)
{
    struct engine_opts o = { .n_slot = 2, .step_tokens = 24, .n_logits = 24, .no_tok = true, .as = as };
    if (device)
        OK(exec_open_gpu(&o.device, open_amd(), &err));
    return engine_new(e, path, &o, pool, &err);
}

static int largest(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

enum { PROMPT = 13, ANSWER = 6 };
/* A prompt at once, then token by token, each side by its own largest logits: they are the same tokens, and the logits differ by at most so much. */
static void the_same(const char *path, enum weights_as as, double tolerance)
{
    struct engine *e[2];
    for (int i = 0; i < 2; i++)
        OK(engine_on(&e[i], path, i == 1, as));
    const int V = engine_config(e[0])->vocab_size;
    int32_t ids[2][PROMPT + ANSWER], row[PROMPT];
    for (int i = 0; i < PROMPT; i++)
        ids[0][i] = ids[1][i] = (int32_t)(rng_u64(11, (uint64_t)i) % (uint64_t)V), row[i] = i;
    for (int n = 0; n < 1 + ANSWER; n++) {
        const float *logits[2];
        const int first = n ? PROMPT + n - 1 : 0, rows = n ? 1 : PROMPT;
        double d = 0, s = 0;
        for (int i = 0; i < 2; i++) {
            OK(engine_run(e[i], &(struct engine_part){ 1, first, rows, ids[i] + first, NULL, 0 }, 1, &err));
            OK(engine_head(e[i], row, rows, &logits[i], &err));
            if (n < ANSWER)
                ids[i][PROMPT + n] = largest(logits[i] + (size_t)(rows - 1) * (size_t)V, V);
        }
        for (size_t i = 0; i < (size_t)rows * (size_t)V; i++)
            d += pow((double)logits[1][i] - (double)logits[0][i], 2), s += pow((double)logits[0][i], 2);
        if (sqrt(d / s) > tolerance)
            fail_msg("%s, step %d: logits differ by %g, expected at most %g", path, n, sqrt(d / s), tolerance);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    for (int i = 0; i < 2; i++)
        engine_free(e[i]);
    assert_int_equal(amd_bad, 0);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

#define SOFTMAX "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_experts: 8, num_experts_per_tok: 3, moe_intermediate_size: 32, norm: rmsnorm, act: swiglu, pos: rope, " \
                "norm_topk_prob: false}\n"
#define SIGMOIDS "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, num_experts: 6, num_experts_per_tok: 2, moe_intermediate_size: 40, norm: layernorm, act: gelu, pos: learned, " \
                 "scoring_func: sigmoid, e_score_correction_bias: true, tie_word_embeddings: true}\n"

static void tokens_are_those_of_the_host(void **state)
{
    (void)state;
    struct train_result r;
    the_same("tests/golden/mixtral", WEIGHTS_FILE, 3e-6);
    write_corpus("one.txt", 900, 1), write_corpus("two.txt", 300, 2);
    write_config("softmax.yaml", SOFTMAX, ""), write_config("sigmoids.yaml", SIGMOIDS, "");
    OK(train("softmax.yaml", "softmax", 2, NULL, &r));
    OK(train("sigmoids.yaml", "sigmoids", 2, NULL, &r));
    the_same(in_dir("softmax"), WEIGHTS_F32, 5e-6);
    the_same(in_dir("softmax"), WEIGHTS_BF16, 1e-2);            /* the host rounds activations to bf16 */
    the_same(in_dir("sigmoids"), WEIGHTS_F32, 5e-6);
}

static void rows_that_no_kernel_reads_are_refused(void **state)
{
    (void)state;
    struct engine *e = NULL;
    assert_int_equal(engine_on(&e, "tests/golden/olmoe", true, WEIGHTS_FILE), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "expected a multiple of 4"));
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tokens_are_those_of_the_host), cmocka_unit_test(rows_that_no_kernel_reads_are_refused) };
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
