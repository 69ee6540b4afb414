/* A step on this machine, measured on layers without a model: what must hold of it.  How near it comes is shown by bench, beside the engine. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "model/weights_pack.h"
#include "plan/here.h"

static struct pool *pool;

static int make_pool(void **state)
{
    (void)state;
    return pool_new(&pool, 2, NULL);
}

static int drop_pool(void **state)
{
    (void)state;
    pool_free(pool);
    return 0;
}

static struct config config_of(const char *folder)
{
    struct config c = { 0 };
    struct err err;
    OK(config_load(&c, path_in("tests/golden", folder), NULL, &err));
    return c;
}

static struct here *measure(const char *folder, struct here_opts o)
{
    struct here *h;
    struct err err;
    const struct config c = config_of(folder);
    OK(here_new(&h, &c, &o, pool, &err));
    return h;
}

static void no_less(double *before, double now, const char *what, double at)
{
    if (!(now >= *before * (1 - 1e-12)) || !isfinite(now))
        fail_msg("%.17g falls to %.17g at %s %g", *before, now, what, at);
    *before = now;
}

static void holds(const struct here *h, const char *model)
{
    const double one = here_seconds(h, &(struct step_load){ .decode_rows = 1, .decode_keys = 1 });
    double t[4] = { 0 };
    if (!(one > 0) || here_seconds(h, &(struct step_load){ 0, 0, 0, 0 }) > 0)
        fail_msg("%s: a row takes %g s, none takes %g s", model, one, here_seconds(h, &(struct step_load){ 0, 0, 0, 0 }));
    for (double n = 0; n < 3000; n = n < 20 ? n + 0.5 : n * 1.1) {
        no_less(&t[0], here_seconds(h, &(struct step_load){ .decode_rows = n, .decode_keys = 100 }), "decoded rows", n);
        no_less(&t[1], here_seconds(h, &(struct step_load){ .prompt_rows = n, .prompt_keys = 100 }), "rows of prompts", n);
        no_less(&t[2], here_seconds(h, &(struct step_load){ .decode_rows = 3, .decode_keys = n }), "keys", n);
        no_less(&t[3], here_seconds(h, &(struct step_load){ 64, n, 3, 10 }), "keys of prompts", n);
    }
}

static void models_of_every_kind_can_be_measured(void **state)
{
    (void)state;
    static const char *const folders[] = { "llama", "olmoe", "qwen3_moe", "lathe_gpt_sigmoid", "families/gpt2", "families/gpt_neox", "families/deepseek_v3", "families/gemma3_text",
                                           "families/gpt_oss", "families/gpt_oss_tied", "families/mixtral_window", "families/llama_tied_biases" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct here *h = measure(folders[i], (struct here_opts){ .type = TYPE_BF16, .cache = DT_BF16 });
        holds(h, folders[i]);
        here_free(h);
    }
    here_free(NULL);
}

static void each_type_of_weights_and_of_the_cache_can_be_measured(void **state)
{
    (void)state;
    static const struct { enum cpu_type type; enum dtype cache; } rows[] = { { TYPE_F32, DT_F32 }, { TYPE_F16, DT_BF16 }, { TYPE_Q8_0, DT_I8 }, { TYPE_Q4_0, DT_BF16 }, { TYPE_MXFP4, DT_BF16 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct here *h = measure("olmoe", (struct here_opts){ .type = rows[i].type, .cache = rows[i].cache });
        holds(h, "olmoe");
        here_free(h);
    }
}

static void rows_add_up_to_the_step(void **state)
{
    (void)state;
    const struct limits limits = { .f32 = 1e15, .bf16 = 1e15, .int8 = 1e15, .read = 1e15, .read_cache = 1e15 };
    struct here *h = measure("olmoe", (struct here_opts){ .type = TYPE_F32, .cache = DT_F32, .limits = &limits });
    const struct step_load loads[] = { { 0, 0, 1, 10 }, { 30, 20, 5, 200 }, { 256, 128, 0, 0 } };
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        struct price_row rows[60];
        double sum = 0;
        const int n = here_rows(h, &loads[i], rows, 60);
        for (int j = 0; j < n; j++) {
            assert_true(rows[j].count > 0 && rows[j].what[0] && rows[j].roofline > 0 && rows[j].bytes > 0);
            sum += rows[j].seconds;
        }
        assert_true(fabs(sum - here_seconds(h, &loads[i])) <= 1e-12 * sum);
        assert_int_equal(here_rows(h, &loads[i], rows, 2), 2);
    }
    here_free(h);
}

/* What the engine takes for the same types of a file. */
static void memory_is_the_engines(void **state)
{
    (void)state;
    static const char *const folders[] = { "llama", "olmoe", "qwen3_moe", "families/gpt2", "families/deepseek_v3" };
    struct err err;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[200];
        struct model m;
        struct weight_type *types;
        struct engine_sizes sizes;
        struct priced *p;
        snprintf(path, sizeof path, "tests/golden/%s", folders[i]);
        OK(model_open(&m, path, NULL, &err));
        OK(weights_types(&types, m.list, m.source, WEIGHTS_FILE, &err));
        OK(engine_plan_sizes(&sizes, path, &(struct engine_opts){ .n_slot = 1, .step_tokens = 64, .no_tok = true, .kv = ENGINE_KV_BF16 }, 2, &err));
        OK(priced_here(&p, &m.config, &(struct here_opts){ .types = types, .cache = DT_BF16 }, pool, &err));
        assert_true(priced_weight_bytes(p) == (double)sizes.weights);
        const int positions = (m.config.ctx + 63) / 64 * 64;
        assert_true(priced_cache_bytes(p, positions) == (double)sizes.cache);
        assert_true(fabs(priced_cache_bytes_token(p) * positions - (double)sizes.cache) < 1e-9 * (double)sizes.cache);
        assert_true(priced_work_bytes(p, 512, 1) > priced_work_bytes(p, 64, 1));
        assert_true(priced_seconds(p, &(struct step_load){ 0, 0, 1, 1 }) == priced_interval(p, &(struct step_load){ 0, 0, 1, 1 }));
        priced_free(p);
        mem_free(types);
        model_release(&m);
    }
}

static void what_continues_no_texts_is_refused(void **state)
{
    (void)state;
    struct here *h;
    struct err err;
    const struct config c = config_of("vit");
    assert_int_equal(here_new(&h, &c, &(struct here_opts){ .type = TYPE_F32, .cache = DT_F32 }, pool, &err), ERR_UNSUPPORTED);
    assert_null(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_of_every_kind_can_be_measured),
        cmocka_unit_test(each_type_of_weights_and_of_the_cache_can_be_measured),
        cmocka_unit_test(rows_add_up_to_the_step),
        cmocka_unit_test(memory_is_the_engines),
        cmocka_unit_test(what_continues_no_texts_is_refused),
    };
    return cmocka_run_group_tests(tests, make_pool, drop_pool);
}
