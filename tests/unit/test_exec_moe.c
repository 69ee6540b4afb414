/* test_exec_moe.c - mixtures of experts run on a device: the code objects that ship for gfx942, in the emulator, give the host's logits and tokens. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include "../emu/run_amd.h"
#include "tiny_run.h"
#include "same_tokens.h"

static struct pool *pool;

static int open_one(struct graph_device **d) { return exec_open_gpu(d, open_amd(), &err); }
static void the_same(const char *path, enum weights_as as, double tolerance) { same_tokens(path, as, open_one, pool, tolerance); }

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
    assert_int_equal(engine_on(&e, "tests/golden/olmoe", open_one, WEIGHTS_FILE, pool), ERR_UNSUPPORTED);
    assert_non_null(strstr(same_err.msg, "expected a multiple of 4"));
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
