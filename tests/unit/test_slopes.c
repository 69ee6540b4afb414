/* test_slopes.c - slopes of a loss by the vectors of tokens: those of PyTorch, those that finite differences have, and the same bits with
 * any threads and company. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/tree.h"
#include "infer/slopes.h"

static struct err err;
static struct pool *pools[2];      /* 1, 2 threads */

static int set_up(void **state)
{
    (void)state;
    return pool_new(&pools[0], 1, &err) || pool_new(&pools[1], 2, &err);
}

static int tear_down(void **state)
{
    (void)state;
    pool_free(pools[0]);
    pool_free(pools[1]);
    return 0;
}

static struct slopes *open_model(const char *path, int tokens, int texts, struct pool *pool)
{
    struct slopes *s;
    OK(slopes_new(&s, path, &(struct slopes_opts){ .tokens = tokens, .texts = texts }, pool, &err));
    return s;
}

static double at(const json_t *a, size_t i) { return json_number_value(json_array_get(a, i)); }

/* ---- PyTorch's ---- */

struct golden { int32_t ids[16], target[16]; float weight[16]; int n; };

static struct slopes_text text_of(struct golden *g, const json_t *c)
{
    g->n = (int)json_array_size(json_object_get(c, "ids"));
    for (int i = 0; i < g->n; i++) {
        g->ids[i] = (int32_t)at(json_object_get(c, "ids"), (size_t)i);
        g->target[i] = (int32_t)at(json_object_get(c, "target"), (size_t)i);
        g->weight[i] = (float)at(json_object_get(c, "weight"), (size_t)i);
    }
    return (struct slopes_text){ .ids = g->ids, .n = g->n, .target = g->target, .weight = g->weight };
}

static void slopes_and_gains_are_those_of_pytorch(void **state)
{
    (void)state;
    const char *path = shared("stories260K-gguf/stories260K-f32.gguf");
    enum { C = 64, V = 512 };
    static float slope[16 * C], nll[16], gain[16 * V];
    json_t *all, *c;
    size_t i;
    struct slopes *s = open_model(path, 32, 2, pools[1]);
    OK(tree_load(&all, "tests/golden/slopes.json", 1 << 20, &err));
    json_array_foreach(json_object_get(all, "cases"), i, c) {
        struct golden g;
        const struct slopes_text t = text_of(&g, c);
        OK(slopes_run(s, &t, 1, slope, nll, &err));
        OK(slopes_gains(s, g.ids, g.n, slope, gain, &err));
        for (int k = 0; k < g.n; k++) {
            assert_true(fabs((double)nll[k] - at(json_object_get(c, "nll"), (size_t)k)) < 2e-5);
            for (size_t d = 0; d < C; d++)
                assert_true(fabs((double)slope[k * C + (int)d] - at(json_array_get(json_object_get(c, "slope"), (size_t)k), d)) < 2e-5);
            for (size_t j = 0; j < 3; j++) {
                const int w = (int)at(json_array_get(json_object_get(c, "best"), (size_t)k), j);
                const double want = at(json_array_get(json_object_get(c, "gain"), (size_t)k), j);
                assert_true(fabs((double)gain[k * V + w] - want) < 2e-5);
            }
            const double most = at(json_array_get(json_object_get(c, "gain"), (size_t)k), 0);
            for (int w = 0; w < V; w++)
                assert_true((double)gain[k * V + w] < most + 2e-5);
        }
    }
    json_decref(all);
    slopes_free(s);
}

/* ---- finite differences ---- */

static double loss_of(struct slopes *s, const struct slopes_text *t, float *slope)
{
    static float out[64];
    const int L = slopes_config(s)->n_label;
    double loss = 0, most = -INFINITY, sum = 0;
    OK(slopes_run(s, t, 1, slope, out, &err));
    for (int k = 0; !L && k < t->n; k++)
        loss += (double)t->weight[k] * (double)out[k];
    for (int k = 0; k < L; k++)
        most = fmax(most, (double)out[k]);
    for (int k = 0; k < L; k++)
        sum += exp((double)out[k] - most);
    for (int k = 0; k < L; k++)
        loss += (double)t->weight[0] * (double)t->label[k] * (most + log(sum) - (double)out[k]);
    return loss;
}

static void differences_agree(const char *path)
{
    enum { N = 6 };
    static const int32_t ids[N] = { 3, 17, 5, 9, 5, 20 }, target[N] = { 17, 5, 9, 5, 20, 1 };
    static const float weight[N] = { 1, 0.5f, -1, 0, 2, 1 };
    struct slopes *s = open_model(path, N, 1, pools[0]);
    const int C = slopes_config(s)->d_model, L = slopes_config(s)->n_label;
    float *slope = mem_alloc_array(N, (size_t)C * sizeof *slope), *shift = mem_alloc_array(N, (size_t)C * sizeof *shift),
            *none = mem_alloc_array(N, (size_t)C * sizeof *none);
    float label[64] = { 0 };
    label[L > 1] = 0.75f, label[0] += 0.25f;
    struct slopes_text t = { .ids = ids, .n = N, .target = target, .weight = weight, .label = label };
    (void)loss_of(s, &t, slope);
    double size = 0;
    for (int i = 0; i < N * C; i++)
        size += (double)slope[i] * (double)slope[i];
    assert_true(size > 0);
    for (uint64_t way = 0; way < 8; way++) {
        double length = 0, want = 0, sides[2];
        for (int i = 0; i < N * C; i++)
            shift[i] = (float)rng_normal(way + 1, (uint64_t)i), length += (double)shift[i] * (double)shift[i];
        for (int i = 0; i < N * C; i++)
            shift[i] *= (float)(0.01 / sqrt(length)), want += (double)shift[i] * (double)slope[i];
        t.shift = shift;
        sides[1] = loss_of(s, &t, none);
        for (int i = 0; i < N * C; i++)
            shift[i] = -shift[i];
        sides[0] = loss_of(s, &t, none);
        assert_true(fabs((sides[1] - sides[0]) / 2 - want) < 0.01 * (2e-3 * sqrt(size) + 2e-4));
    }
    mem_free(slope);
    mem_free(shift);
    mem_free(none);
    slopes_free(s);
}

static void finite_differences_agree_for_models_that_continue_texts_and_with_classes(void **state)
{
    (void)state;
    static const char *const path[] = { "tests/golden/llama", "tests/golden/gpt2", "tests/golden/mixtral", "tests/golden/families/gemma2",
                                        "tests/golden/classes/bert" };
    for (size_t i = 0; i < sizeof path / sizeof *path; i++)
        differences_agree(path[i]);
}

/* ---- company, threads ---- */

static void slopes_depend_on_neither_company_nor_threads(void **state)
{
    (void)state;
    static const int32_t ids[] = { 3, 17, 5, 9, 5, 20, 7 }, target[] = { 17, 5, 9, 5, 20, 1, 2 };
    static const float weight[] = { 1, 0, -1, 1, 2, 1, 1 };
    static float alone[7 * 512], both[14 * 512], gain[2][7 * 1024];
    const struct slopes_text t[] = { { .ids = ids + 3, .n = 4, .target = target + 3, .weight = weight + 3 },
                                     { .ids = ids, .n = 7, .target = target, .weight = weight } };
    for (int p = 0; p < 2; p++) {
        struct slopes *s = open_model("tests/golden/llama", 16, 2, pools[p]);
        const size_t C = (size_t)slopes_config(s)->d_model, V = (size_t)slopes_config(s)->vocab_size;
        assert_true(C <= 512 && V <= 1024);
        if (!p)
            OK(slopes_run(s, &t[1], 1, alone, NULL, &err));
        OK(slopes_run(s, t, 2, both, NULL, &err));
        assert_memory_equal(both + 4 * C, alone, 7 * C * sizeof(float));
        OK(slopes_gains(s, ids, 7, alone, gain[p], &err));
        if (p)
            assert_memory_equal(gain[0], gain[1], 7 * V * sizeof(float));
        slopes_free(s);
    }
}

/* ---- what is refused ---- */

static void wrong_texts_are_refused_with_what_was_expected(void **state)
{
    (void)state;
    static const int32_t ids[] = { 3, 100000 };
    static const float one[2] = { 1, 1 };
    static float slope[4 * 512];
    struct slopes *s = open_model("tests/golden/llama", 4, 1, pools[0]);
    struct slopes_text t = { .ids = ids, .n = 2, .target = ids, .weight = one };
    assert_int_equal(slopes_run(s, &t, 1, slope, NULL, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "token id 100000"));
    t.n = 5;
    assert_int_equal(slopes_run(s, &t, 1, slope, NULL, &err), ERR_RANGE);
    t.n = 0;
    assert_int_equal(slopes_run(s, &t, 1, slope, NULL, &err), ERR_RANGE);
    assert_int_equal(slopes_run(s, &t, 2, slope, NULL, &err), ERR_RANGE);
    t.n = 1;
    assert_int_equal(slopes_logits(s, &t, 1, slope, &err), ERR_UNSUPPORTED);
    slopes_free(s);
    assert_int_equal(slopes_new(&s, "tests/golden/vit", &(struct slopes_opts){ .tokens = 4, .texts = 1 }, pools[0], &err), ERR_UNSUPPORTED);
    assert_null(s);
    assert_true(slopes_new(&s, "no-such-model", &(struct slopes_opts){ .tokens = 4, .texts = 1 }, pools[0], &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slopes_and_gains_are_those_of_pytorch),
        cmocka_unit_test(finite_differences_agree_for_models_that_continue_texts_and_with_classes),
        cmocka_unit_test(slopes_depend_on_neither_company_nor_threads),
        cmocka_unit_test(wrong_texts_are_refused_with_what_was_expected),
    };
    return cmocka_run_group_tests_name("slopes", tests, set_up, tear_down);
}
