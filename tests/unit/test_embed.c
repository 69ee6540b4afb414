/* test_embed.c - vectors of the encoders of tests/golden/families: the mean that transformers gives, first and last token, length
 * 1, the same in every form that weights are kept in; what sentence-transformers' files say; refusals. */
#include <math.h>
#include "golden.h"
#include "base/mem.h"
#include "infer/embed.h"
#include "infer/engine.h"

static struct pool *pool;
static struct err err;

static float difference(const float *a, const float *b, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= most))
            most = fabsf(a[i] - b[i]);
    return most;
}

static void the_mean_is_transformers(void **state)
{
    (void)state;
    static const char *const names[] = { "bert", "distilbert", "roberta", "xlm_roberta", "modernbert" };
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        char path[100];
        struct safetensors *want;
        struct embedder *e;
        snprintf(path, sizeof path, "tests/golden/families/%s", names[m]);
        const struct embed_opts o = { .no_tok = true };
        OK(embedder_new(&e, path, &o, pool, &err));
        assert_int_equal(embedder_pooling(e), !strcmp(names[m], "bert") || !strcmp(names[m], "distilbert") ? POOL_MEAN : POOL_CLS);      /* their 1_Pooling */
        const int C = embedder_config(e)->d_model;
        strcat(path, "/golden.safetensors");
        OK(safetensors_open(&want, path, &err));
        for (int i = 0; i < 2; i++) {
            const struct st_tensor *ids = find_of(want, "ids", i), *hidden = find_of(want, "hidden", i);
            float mean[64], got[64], unit[64];
            OK(st_read_f32(find_of(want, "mean", i), 0, C, mean, &err));
            OK(embedder_run(e, ids->data, (int)ids->n, POOL_MEAN, false, got, &err));
            if (!(difference(got, mean, C) <= 1e-5f))
                fail_msg("%s, text %d: the mean differs by %.3g", names[m], i, (double)difference(got, mean, C));
            OK(embedder_run(e, ids->data, (int)ids->n, POOL_MEAN, true, unit, &err));
            double square = 0, dot = 0, length = 0;
            for (int c = 0; c < C; c++)
                square += (double)unit[c] * (double)unit[c], dot += (double)unit[c] * (double)got[c], length += (double)got[c] * (double)got[c];
            assert_true(fabs(square - 1) < 1e-6 && fabs(dot - sqrt(length)) < 1e-5);
            for (int k = 0; k < 2; k++) {
                OK(st_read_f32(hidden, k ? (ids->n - 1) * C : 0, C, mean, &err));
                OK(embedder_run(e, ids->data, (int)ids->n, k ? POOL_LAST : POOL_CLS, false, got, &err));
                assert_true(difference(got, mean, C) <= 1e-4f);
            }
        }
        assert_int_equal(embedder_run(e, find_of(want, "ids", 0)->data, 0, POOL_MEAN, true, (float[64]){ 0 }, &err), ERR_RANGE);
        assert_int_equal(embedder_run(e, &(int32_t){ 71 }, 1, POOL_MEAN, true, (float[64]){ 0 }, &err), ERR_RANGE);
        safetensors_free(want);
        embedder_free(e);
    }
}

/* All in floats: the two ways differ in the order of sums of the attention. */
static void an_engine_has_the_embedders_states_in_any_cut(void **state)
{
    (void)state;
    enum { N = 24 };
    static const char *const models[] = { "tests/golden/llama", "tests/golden/gpt2" };
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct embedder *e;
        struct engine *g;
        const struct embed_opts o = { .no_tok = true };
        const struct engine_opts p = { .n_slot = 1, .step_tokens = 7, .n_logits = 3, .no_tok = true };
        int32_t ids[N];
        float want[64], got[64];
        OK(embedder_new(&e, models[m], &o, pool, &err));
        OK(engine_new(&g, models[m], &p, pool, &err));
        const int C = embedder_config(e)->d_model;
        assert_true(C <= 64);
        for (int i = 0; i < N; i++)
            ids[i] = (i * i + 3) % embedder_config(e)->vocab_size;
        for (int k = 0; k < N_POOL_KIND; k++) {
            double sum[64] = { 0 };
            OK(embedder_run(e, ids, N, (enum pool_kind)k, true, want, &err));
            for (int at = 0; at < N; at += 7) {
                const int n = N - at < 7 ? N - at : 7;
                OK(engine_run(g, &(struct engine_part){ 0, at, n, ids + at, NULL, 0 }, 1, &err));
                for (int32_t i = 0; i < n; i++) {
                    const float *x;
                    OK(engine_hidden(g, &i, 1, &x, &err));
                    embed_add(sum, x, C, at + i, (enum pool_kind)k);
                }
            }
            OK(embed_end(sum, N, (enum pool_kind)k, true, got, C, &err));
            if (difference(want, got, C) > 2e-6f)
                fail_msg("%s, %s: %g between engine and embedder", models[m], pool_kind_name((enum pool_kind)k), (double)difference(want, got, C));
            OK(embed_end(sum, N, (enum pool_kind)k, true, got, 5, &err));      /* cut, then of length 1 */
            double square = 0;
            for (int c = 0; c < 5; c++)
                square += (double)got[c] * (double)got[c];
            assert_true(fabs(square - 1) < 1e-6);
        }
        assert_int_equal(engine_hidden(g, (int32_t[]){ 3 }, 1, &(const float *){ NULL }, &err), ERR_RANGE);
        embedder_free(e);
        engine_free(g);
    }
}

/* ---- sentence-transformers' files ---- */

static char dir[] = "/tmp/lathe-embed-XXXXXX";

static void copy(const char *name)
{
    struct buf b;
    char from[100], to[100];
    buf_init(&b);
    snprintf(from, sizeof from, "tests/golden/families/bert/%s", name);
    snprintf(to, sizeof to, "%s/%s", dir, name);
    OK(file_read(from, (size_t)1 << 24, &b, &err));
    OK(file_write_all(to, b.data, b.len, &err));
    buf_release(&b);
}

static int open_with(const char *modules, const char *pooling, struct embedder **e)
{
    char path[100];
    snprintf(path, sizeof path, "%s/modules.json", dir);
    OK(file_write_all(path, modules, strlen(modules), &err));
    snprintf(path, sizeof path, "%s/1_Pooling", dir);
    OK(file_mkdirs(path, &err));
    strcat(path, "/config.json");
    OK(file_write_all(path, pooling, strlen(pooling), &err));
    const struct embed_opts o = { .no_tok = true };
    return embedder_new(e, dir, &o, pool, &err);
}

#define MODULE(kind) "{\"idx\": 0, \"path\": \"x\", \"type\": \"sentence_transformers.models." kind "\"}"
static void the_files_beside_the_model_are_followed(void **state)
{
    (void)state;
    struct embedder *e;
    assert_non_null(mkdtemp(dir));
    copy("config.json");
    copy("model.safetensors");
    OK(open_with("[" MODULE("Transformer") "," MODULE("Pooling") "]", "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}", &e));
    assert_true(embedder_pooling(e) == POOL_CLS && !embedder_normalizes(e));
    embedder_free(e);
    OK(open_with("[" MODULE("Transformer") "," MODULE("Normalize") "]", "{\"pooling_mode_lasttoken\": true}", &e));
    assert_true(embedder_pooling(e) == POOL_LAST && embedder_normalizes(e));
    embedder_free(e);
    assert_int_equal(open_with("[" MODULE("Dense") "]", "{\"pooling_mode_mean_tokens\": true}", &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "models.Dense"));
    assert_int_equal(open_with("[]", "{\"pooling_mode_max_tokens\": true}", &e), ERR_UNSUPPORTED);
    assert_int_equal(open_with("3", "{\"pooling_mode_mean_tokens\": true}", &e), ERR_FORMAT);
    assert_int_equal(open_with("[1]", "{\"pooling_mode_mean_tokens\": true}", &e), ERR_UNSUPPORTED);
    OK(file_remove_tree(dir, &err));
}

/* Written by llama.cpp's converter from the folders of the same names: mean, first token, first token. */
static void pooling_of_gguf_files_is_followed(void **state)
{
    (void)state;
    static const struct { const char *path; enum pool_kind kind; } files[] = {
        { "tests/golden/gguf/bert.gguf", POOL_MEAN }, { "tests/golden/gguf/roberta.gguf", POOL_CLS }, { "tests/golden/gguf/modernbert.gguf", POOL_CLS },
        { "tests/golden/gguf/gemma.gguf", POOL_LAST } };
    const struct embed_opts o = { .no_tok = true };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct embedder *e;
        size_t planned;
        OK(embedder_new(&e, files[i].path, &o, pool, &err));
        assert_int_equal(embedder_pooling(e), files[i].kind);
        OK(embedder_plan_bytes(&planned, files[i].path, &o, pool_n_thread(pool), &err));
        assert_true(planned > 10000);
        embedder_free(e);
    }
}

static void positions_beyond_the_models_are_refused(void **state)
{
    (void)state;
    struct embedder *e;
    struct embed_opts o = { .no_tok = true, .ctx = 65 };
    assert_int_equal(embedder_new(&e, "tests/golden/families/bert", &o, pool, &err), ERR_RANGE);
    assert_int_equal(embedder_new(&e, "tests/golden/families/gemma", &o, pool, &err), ERR_RANGE);
    o.rope_scaling = "linear:2";
    assert_int_equal(embedder_new(&e, "tests/golden/families/bert", &o, pool, &err), ERR_UNSUPPORTED);
    OK(embedder_new(&e, "tests/golden/families/gemma", &o, pool, &err));
    assert_int_equal(embedder_pooling(e), POOL_LAST);
    float out[64];
    OK(embedder_run(e, (int32_t[]){ 1, 2, 3 }, 3, POOL_LAST, true, out, &err));
    embedder_free(e);
}

int main(void)
{
    if (pool_new(&pool, 2, &err) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_is_transformers),
        cmocka_unit_test(an_engine_has_the_embedders_states_in_any_cut),
        cmocka_unit_test(the_files_beside_the_model_are_followed),
        cmocka_unit_test(pooling_of_gguf_files_is_followed),
        cmocka_unit_test(positions_beyond_the_models_are_refused),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
