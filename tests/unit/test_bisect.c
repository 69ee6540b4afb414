/* test_bisect.c - the layer and the weights that differ are found, and what they cost alone is what a model costs that has them alone. */
#include <math.h>
#include "../test.h"
#include "base/tree.h"
#include "eval/bisect.h"
#include "eval/diverge.h"
#include "model/convert.h"

static struct pool *pool;
static struct err err;
enum { N = 30 };
static int32_t ids[N];

/* A copy of a folder's model whose tensor is `times` as large. */
static const char *changed(const char *from, const char *name, const char *tensor, float times)
{
    struct buf b, c;
    json_t *head;
    uint64_t n;
    buf_init(&b);
    buf_init(&c);
    OK(file_mkdirs(in_dir(name), &err));
    OK(file_read(path_in(from, "config.json"), 1 << 20, &c, &err));
    OK(file_write_all(path_in(in_dir(name), "config.json"), c.data, c.len, &err));
    OK(file_read(path_in(from, "model.safetensors"), 1 << 24, &b, &err));
    memcpy(&n, b.data, sizeof n);
    OK(tree_parse_json(&head, b.data + 8, n, "header", &err));
    const json_t *t = json_object_get(head, tensor), *at = json_object_get(t, "data_offsets");
    assert_string_equal(json_string_value(json_object_get(t, "dtype")), "F32");
    for (json_int_t i = json_integer_value(json_array_get(at, 0)); i < json_integer_value(json_array_get(at, 1)); i += 4) {
        float x;
        memcpy(&x, b.data + 8 + n + i, sizeof x);
        x *= times;
        memcpy(b.data + 8 + n + i, &x, sizeof x);
    }
    OK(file_write_all(path_in(in_dir(name), "model.safetensors"), b.data, b.len, &err));
    json_decref(head);
    buf_release(&b);
    buf_release(&c);
    return in_dir(name);
}

static struct engine *engine_of(const char *path)
{
    const struct engine_opts o = { .n_slot = 1, .step_tokens = N, .n_logits = 7, .no_tok = true };
    struct engine *e;
    OK(engine_new(&e, path, &o, pool, &err));
    return e;
}

static double kl_of(struct engine *old, struct engine *new)
{
    struct diverge d = { 0 };
    struct diverge_summary s;
    OK(diverge_models(&d, old, new, ids, N, &(struct diverge_opts){ .ctx = N, .bos = -1, .cluster = -1, .pool = pool }, &err));
    OK(diverge_summarize(&s, &d, &err));
    diverge_release(&d);
    return s.kl.mean;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want) + 1e-15))
        fail_msg("%.17g, expected %.17g", got, want);
}

static void a_model_does_not_differ_from_itself(void **state)
{
    (void)state;
    static const char *const folder[] = { "tests/golden/llama", "tests/golden/mixtral", "tests/golden/gpt2" };
    for (int f = 0; f < 3; f++) {
        struct engine *a = engine_of(folder[f]), *b = engine_of(folder[f]);
        struct bisect x;
        OK(bisect_models(&x, a, b, ids, N, 2, pool, &err));
        assert_true(x.kl == 0 && !*x.first && x.first_stage == -1 && x.n_token == N);
        assert_int_equal(x.n_stage, engine_config(a)->n_layer + 2);
        for (int s = 0; s < x.n_stage; s++)
            assert_true(x.stage[s].drift == 0 && x.stage[s].error == 0 && x.stage[s].kl == 0 && !x.stage[s].part && x.stage[s].layer == s - 1);
        bisect_release(&x);
        engine_free(a);
        engine_free(b);
    }
}

/* One tensor is another: its stage and its part alone differ, and they cost what the model costs. */
static void the_weights_that_differ_are_found(void **state)
{
    (void)state;
    static const struct { const char *folder, *tensor, *first, *part, *weights; int stage; } of[] = {
        { "tests/golden/llama", "model.layers.1.mlp.down_proj.weight", "1.down", "1.down", "1.down.w", 2 },
        { "tests/golden/llama", "model.layers.0.mlp.up_proj.weight", "0.act", "0.act", "0.gate_up.w", 1 },
        { "tests/golden/llama", "model.layers.0.self_attn.v_proj.weight", "0.qkv", "0.qkv", "0.qkv.w", 1 },
        { "tests/golden/llama", "model.layers.1.input_layernorm.weight", "1.norm1", "1.qkv", "1.qkv.w", 2 },
        { "tests/golden/llama", "model.embed_tokens.weight", "embed.taken", NULL, NULL, 0 },
        { "tests/golden/llama", "lm_head.weight", "logits", NULL, NULL, 3 },
        { "tests/golden/mixtral", "model.layers.0.block_sparse_moe.experts.1.w2.weight", "0.experts.y", "0.experts.y", "0.experts.down.w", 1 },
        { "tests/golden/mixtral", "model.layers.1.block_sparse_moe.gate.weight", "1.router", "1.router", "1.router.w", 2 },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct engine *a = engine_of(of[i].folder), *b = engine_of(changed(of[i].folder, "one", of[i].tensor, 1.5f));
        struct bisect x;
        OK(bisect_models(&x, a, b, ids, N, 9, pool, &err));
        assert_string_equal(x.first, of[i].first);
        assert_int_equal(x.first_stage, of[i].stage);
        assert_true(x.kl > 0);
        near(x.kl, kl_of(a, b));
        for (int s = 0; s < x.n_stage; s++) {
            const struct bisect_stage *t = &x.stage[s];
            assert_true((t->kl > 0) == (s == of[i].stage) && (t->error > 0) == (s == of[i].stage) && (t->drift > 0) == (s >= of[i].stage));
            if (s == of[i].stage)
                near(t->kl, x.kl);
            assert_true((t->part != NULL) == (of[i].part && s == of[i].stage));
            for (int p = 0; p < t->n_part; p++) {
                const bool it = !strcmp(t->part[p].name, of[i].part);
                assert_true((t->part[p].kl > 0) == it && (t->part[p].error > 0) == it);
                if (it) {
                    near(t->part[p].kl, x.kl);
                    assert_non_null(strstr(t->part[p].weights, of[i].weights));
                }
            }
        }
        bisect_release(&x);
        engine_free(a);
        engine_free(b);
    }
}

/* Two layers differ: each alone costs what a model costs in which it alone differs. */
static void a_layer_costs_what_a_model_with_it_costs(void **state)
{
    (void)state;
    static const char *const tensor[] = { "model.layers.0.mlp.down_proj.weight", "model.layers.1.self_attn.o_proj.weight", "lm_head.weight" };
    char first[200], second[200];
    snprintf(first, sizeof first, "%s", changed("tests/golden/llama", "first", tensor[0], 1.25f));
    snprintf(second, sizeof second, "%s", changed(first, "second", tensor[1], 0.75f));
    struct engine *a = engine_of("tests/golden/llama"), *all = engine_of(changed(second, "third", tensor[2], 1.1f));
    struct bisect x;
    OK(bisect_models(&x, a, all, ids, N, 1, pool, &err));
    for (int i = 0; i < 3; i++) {
        struct engine *b = engine_of(changed("tests/golden/llama", "alone", tensor[i], i == 0 ? 1.25f : i == 1 ? 0.75f : 1.1f));
        near(x.stage[i + 1].kl, kl_of(a, b));
        engine_free(b);
    }
    assert_true(x.stage[0].kl == 0);
    near(x.kl, kl_of(a, all));
    assert_true((x.stage[1].part != NULL) == (x.stage[1].kl > x.stage[2].kl) && (x.stage[2].part != NULL) == (x.stage[1].kl < x.stage[2].kl));
    bisect_release(&x);
    engine_free(a);
    engine_free(all);
}

/* Products of int8 rows beside products of floats: parts have their numbers in either form. */
static void models_of_other_types_have_the_same_parts(void **state)
{
    (void)state;
    struct engine *a = engine_of(shared("stories260K-gguf/stories260K-f32.gguf")), *b = engine_of(shared("stories260K-gguf/stories260K-q8_0.gguf"));
    struct bisect x;
    OK(bisect_models(&x, a, b, ids, N, 5, pool, &err));
    near(x.kl, kl_of(a, b));
    double sum = 0;
    for (int s = 0; s < x.n_stage; s++) {
        sum += x.stage[s].kl;
        if (s && s + 1 < x.n_stage) {
            assert_int_equal(x.stage[s].n_part, 5);
            for (int p = 0; p < 5; p++)
                assert_true(x.stage[s].part[p].error < 0.02 && x.stage[s].part[p].kl < x.stage[s].kl * 5);
            assert_non_null(strstr(x.stage[s].part[0].weights, ".qkv.w Q8"));
        }
    }
    assert_true(x.kl > 0 && sum > x.kl / 5 && sum < 5 * x.kl);
    assert_int_equal(x.first_stage, -1);
    bisect_release(&x);
    engine_free(a);
    engine_free(b);
}

static void other_forms_are_refused(void **state)
{
    (void)state;
    struct engine *a = engine_of("tests/golden/llama"), *b = engine_of("tests/golden/mixtral");
    struct bisect x;
    assert_int_equal(bisect_models(&x, a, a, ids, 1, 1, pool, &err), ERR_RANGE);
    assert_int_equal(bisect_models(&x, a, a, ids, N + 1, 1, pool, &err), ERR_RANGE);
    if (bisect_models(&x, a, b, ids, N, 1, pool, &err) != ERR_UNSUPPORTED)
        fail_msg("a mixture is no dense model");
    bisect_release(&x);
    engine_free(a);
    engine_free(b);
}

static int set_up(void **state)
{
    for (int i = 0; i < N; i++)
        ids[i] = 3 + i * i * 7 % 41;
    return make_dir(state) || pool_new(&pool, 2, &err);
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_does_not_differ_from_itself),
        cmocka_unit_test(the_weights_that_differ_are_found),
        cmocka_unit_test(a_layer_costs_what_a_model_with_it_costs),
        cmocka_unit_test(models_of_other_types_have_the_same_parts),
        cmocka_unit_test(other_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
