/* test_quality.c - two models compared give what their logits say, and a model compared with itself gives nothing. */
#include <math.h>
#include "../test.h"
#include "infer/importance.h"
#include "infer/quality.h"
#include "model/convert.h"
#include "model/gguf.h"

static char dir[] = "/tmp/lathe-quality-XXXXXX";
static struct pool *pool;
static struct err err;
static struct engine *f32, *half;
enum { N = 50, CTX = 16, BOS = 1 };
static int32_t ids[N];

static void a_model_is_equal_to_itself(void **state)
{
    (void)state;
    struct quality q;
    OK(quality_compare(&q, f32, f32, ids, N, CTX, -1, &err));
    assert_int_equal(q.n_token, N);
    assert_true(q.kl_mean == 0 && q.kl_max == 0 && q.flips == 0 && q.nll == q.nll_source && q.nll > 0);
}

static void softmax(const float *logits, int V, double *p)
{
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += p[i] = exp((double)logits[i]);
    for (int i = 0; i < V; i++)
        p[i] /= sum;
}

/* The same sums from logits token by token, in windows that begin with bos. */
static void another_is_as_far_as_its_logits_say(void **state)
{
    (void)state;
    struct quality q;
    const int V = engine_config(f32)->vocab_size;
    double *p = malloc((size_t)V * sizeof *p), *r = malloc((size_t)V * sizeof *r), kl = 0, most = 0, nll = 0;
    int n = 0, n_target = 0, flips = 0;
    OK(quality_compare(&q, f32, half, ids, N, CTX, BOS, &err));
    for (int at = 0; at < N; at += CTX - 1)
        for (int i = 0; i < CTX && at + i <= N; i++, n++) {
            const int32_t id = i ? ids[at + i - 1] : BOS;
            const float *a, *b;
            OK(engine_feed(f32, 0, i, &id, 1, &a, &err));
            softmax(a, V, p);
            OK(engine_feed(half, 0, i, &id, 1, &b, &err));
            softmax(b, V, r);
            double d = 0;
            int pi = 0, ri = 0;
            for (int k = 0; k < V; k++) {
                d += p[k] * log(p[k] / r[k]);
                pi = p[k] > p[pi] ? k : pi, ri = r[k] > r[ri] ? k : ri;
            }
            kl += d, most = d > most ? d : most, flips += pi != ri;
            if (i + 1 < CTX && at + i < N)
                nll -= log(r[ids[at + i]]), n_target++;
        }
    assert_int_equal(q.n_token, n);
    assert_true(most > 0 && fabs(q.kl_mean - kl / n) < 1e-9 + 1e-4 * kl / n);
    assert_true(fabs(q.kl_max - most) < 1e-9 + 1e-4 * most);
    assert_true(fabs(q.flips - (double)flips / n) < 1e-12);
    assert_true(fabs(q.nll - nll / n_target) < 1e-6);
    free(p);
    free(r);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    struct quality q;
    assert_int_equal(quality_compare(&q, f32, half, ids, 1, CTX, -1, &err), ERR_RANGE);
    assert_int_equal(quality_compare(&q, f32, half, ids, N, 1, -1, &err), ERR_RANGE);
    assert_int_equal(quality_compare(&q, f32, half, ids, N, 1 << 20, -1, &err), ERR_RANGE);
}

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
    const struct convert c = { .mix = mix_find("f16") };
    struct convert with_pool = c;
    struct source *s;
    struct buf b;
    char path[200];
    buf_init(&b);
    if (!mkdtemp(dir) || pool_new(&pool, 2, &err) || source_open(&s, "tests/golden/llama", &err))
        return -1;
    with_pool.pool = pool;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    int rc = convert_safetensors(s, path, &with_pool, &err);
    source_free(s);
    snprintf(path, sizeof path, "%s/config.json", dir);
    rc = rc || file_read("tests/golden/llama/config.json", 1 << 20, &b, &err) || file_write_all(path, b.data, b.len, &err) ||
         engine_new(&f32, "tests/golden/llama", &o, pool, &err) || engine_new(&half, dir, &o, pool, &err);
    buf_release(&b);
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
    engine_free(half);
    pool_free(pool);
    return file_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_equal_to_itself),
        cmocka_unit_test(another_is_as_far_as_its_logits_say),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(columns_weigh_what_goes_into_them),
        cmocka_unit_test(experts_weigh_their_own_rows),
        cmocka_unit_test(llama_imatrix_files_are_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
