/* test_importance.c - columns weigh what goes into them, and what llama-imatrix found is read. */
#include <math.h>
#include "../test.h"
#include "infer/importance.h"
#include "model/gguf.h"

static char dir[] = "/tmp/lathe-importance-XXXXXX";
static struct pool *pool;
static struct err err;
static struct engine *f32;
enum { N = 50, CTX = 16 };
static int32_t ids[N];

/* Into the first layer goes the norm of the embedding; the sums by hand, one row more in the divisor. */
static void columns_weigh_what_goes_into_them(void **state)
{
    (void)state;
    struct importance *m;
    const struct source *s = engine_model(f32)->source;
    const struct source_tensor *embed = source_find(s, "model.embed_tokens.weight"), *norm = source_find(s, "model.layers.0.input_layernorm.weight");
    const int C = engine_config(f32)->d_model;
    double want[512] = { 0 };
    OK(importance_measure(&m, f32, ids, N, CTX, -1, &err));
    for (int i = 0; i < N; i++) {
        const float *x = (const float *)embed->data + ids[i] * C, *w = norm->data;
        double mean = 0;
        for (int k = 0; k < C; k++)
            mean += (double)x[k] * (double)x[k] / C;
        for (int k = 0; k < C; k++) {
            const double v = (double)x[k] / sqrt(mean + engine_config(f32)->norm_eps) * (double)w[k];
            want[k] += v * v / (N + 1);
        }
    }
    static const char *const names[] = { "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight" };
    for (int j = 0; j < 2; j++) {
        const float *got = importance_of(m, names[j], 0, C);
        assert_non_null(got);
        for (int k = 0; k < C; k++)
            assert_true(fabs((double)got[k] - want[k]) <= 1e-4 * want[k]);
    }
    assert_non_null(importance_of(m, "lm_head.weight", 0, C));
    assert_non_null(importance_of(m, "model.layers.1.mlp.down_proj.weight", 0, engine_config(f32)->d_ff));
    assert_null(importance_of(m, names[0], 0, C + 1));
    assert_null(importance_of(m, "none", 0, C));
    importance_free(m);
}

/* Rows of all experts together are the tokens times top k, so those that nothing went into are the unused. */
static void experts_weigh_their_own_rows(void **state)
{
    (void)state;
    const struct engine_opts o = { .n_slot = 1, .step_tokens = 7, .n_logits = 1, .no_tok = true };
    struct engine *e;
    struct importance *m;
    OK(engine_new(&e, "tests/golden/mixtral", &o, pool, &err));
    OK(importance_measure(&m, e, ids, 1, CTX, -1, &err));
    int n_used = 0;
    for (int x = 0; x < engine_config(e)->n_expert; x++) {
        char name[100];
        snprintf(name, sizeof name, "model.layers.0.block_sparse_moe.experts.%d.w1.weight", x);
        n_used += importance_of(m, name, 0, engine_config(e)->d_model) != NULL;
    }
    assert_int_equal(n_used, engine_config(e)->top_k);
    importance_free(m);
    engine_free(e);
}

static int write_imatrix(const char *path, const char *tensor, const float *sums)
{
    static const int64_t shape[] = { 2, 3 };
    struct gguf_writer *w;
    TRY(gguf_writer_new(&w, path, &err));
    int rc = gguf_declare(w, tensor, 0, 2, shape, &err);
    if (!rc)
        rc = gguf_writer_add(w, 0, sums, 24, &err);
    if (!rc)
        rc = gguf_writer_commit(w, &err);
    gguf_writer_free(w);
    return rc;
}

static void llama_imatrix_files_are_read(void **state)
{
    (void)state;
    char path[200];
    const float good[] = { 1, 2, 3, 4, 5, 6 }, bad[] = { 1, 2, 3, 4, -5, 6 };
    struct importance *m;
    snprintf(path, sizeof path, "%s/imatrix.gguf", dir);
    OK(write_imatrix(path, "blk.0.ffn_up_exps.weight.in_sum2", good));
    OK(importance_open(&m, path, &err));
    assert_true(importance_of(m, "blk.0.ffn_up_exps.weight", 1, 3)[1] == 5);
    assert_null(importance_of(m, "blk.0.ffn_up_exps.weight", 2, 3));
    assert_null(importance_of(m, "blk.0.ffn_up_exps.weight", 0, 6));
    assert_null(importance_of(m, "none", 0, 3));
    importance_free(m);
    OK(write_imatrix(path, "blk.0.ffn_up_exps.weight.in_sum2", bad));
    assert_int_equal(importance_open(&m, path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "element 4 is -5"));
    OK(write_imatrix(path, "blk.0.ffn_up_exps.weight", good));
    assert_int_equal(importance_open(&m, path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "in_sum2"));
}

static int set_up(void **state)
{
    (void)state;
    const struct engine_opts o = { .n_slot = 1, .step_tokens = 7, .n_logits = 1, .no_tok = true };
    if (!mkdtemp(dir) || pool_new(&pool, 2, &err))
        return -1;
    const int rc = engine_new(&f32, "tests/golden/llama", &o, pool, &err);
    for (int i = 0; i < N; i++)
        ids[i] = 3 + i * i * 7 % 41;
    if (rc)
        print_message("%s\n", err.msg);
    return rc;
}

static int tear_down(void **state)
{
    (void)state;
    engine_free(f32);
    pool_free(pool);
    return file_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_weigh_what_goes_into_them),
        cmocka_unit_test(experts_weigh_their_own_rows),
        cmocka_unit_test(llama_imatrix_files_are_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
