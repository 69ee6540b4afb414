/* test_halving.c - rungs, settings of a space, recipes, and the order of scores. */
#include <math.h>
#include "../test.h"
#include "base/tree.h"
#include "eval/halving.h"

static struct err err;

static void rungs_have_a_share_of_the_settings_and_more_steps(void **state)
{
    (void)state;
    struct halving_plan p;
    OK(halving_plan(&p, 9, 100, 900, 3, &err));
    assert_int_equal(p.n_rung, 3);
    assert_true(p.rung[0].n == 9 && p.rung[0].steps == 100 && p.rung[1].n == 3 && p.rung[1].steps == 300 && p.rung[2].n == 1 && p.rung[2].steps == 900);
    OK(halving_plan(&p, 8, 100, 1000, 2, &err));           /* the last rung has all steps: 100, 200, 400, 1000 */
    assert_int_equal(p.n_rung, 4);
    assert_true(p.rung[3].n == 1 && p.rung[3].steps == 1000);
    OK(halving_plan(&p, 16, 100, 200, 2, &err));           /* steps end before one is left */
    assert_true(p.n_rung == 2 && p.rung[1].n == 8 && p.rung[1].steps == 200);
    OK(halving_plan(&p, 1, 100, 100, 3, &err));
    assert_true(p.n_rung == 1 && p.rung[0].steps == 100);
    assert_int_equal(halving_plan(&p, 0, 1, 2, 3, &err), ERR_RANGE);
    assert_int_equal(halving_plan(&p, 4, 10, 9, 3, &err), ERR_RANGE);
    assert_int_equal(halving_plan(&p, 4, 10, 20, 1, &err), ERR_RANGE);
}

static json_t *parsed(const char *text)
{
    json_t *o;
    OK(tree_parse_json(&o, text, strlen(text), "it", &err));
    return o;
}

static void a_grid_is_in_the_order_of_its_lists(void **state)
{
    (void)state;
    json_t *space = parsed("{\"train.lr\": [1, 2], \"model.layers\": [3, 4, 5]}"), *all;
    OK(halving_settings(&all, space, 0, 1, "it", &err));
    assert_int_equal(json_array_size(all), 6);
    char *text = json_dumps(all, JSON_COMPACT);
    assert_string_equal(text, "[{\"train.lr\":1,\"model.layers\":3},{\"train.lr\":1,\"model.layers\":4},{\"train.lr\":1,\"model.layers\":5},"
                              "{\"train.lr\":2,\"model.layers\":3},{\"train.lr\":2,\"model.layers\":4},{\"train.lr\":2,\"model.layers\":5}]");
    free(text), json_decref(all);
    OK(halving_settings(&all, space, 4, 1, "it", &err));   /* four of six, each once */
    assert_int_equal(json_array_size(all), 4);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(json_equal(json_array_get(all, i), json_array_get(all, k)));
    json_decref(all), json_decref(space);
}

static void ranges_are_drawn_within_and_by_the_seed(void **state)
{
    (void)state;
    json_t *space = parsed("{\"train.lr\": {\"min\": 1e-4, \"max\": 1e-2, \"scale\": \"log\"}, \"model.layers\": {\"min\": 1, \"max\": 4, \"integer\": true}}"), *a, *b;
    int low = 0, layers[5] = { 0 };
    OK(halving_settings(&a, space, 200, 7, "it", &err));
    OK(halving_settings(&b, space, 200, 7, "it", &err));
    assert_true(json_equal(a, b));
    for (size_t i = 0; i < 200; i++) {
        const double lr = json_number_value(json_object_get(json_array_get(a, i), "train.lr"));
        const json_int_t n = json_integer_value(json_object_get(json_array_get(a, i), "model.layers"));
        assert_true(lr >= 1e-4 && lr <= 1e-2 && n >= 1 && n <= 4);
        low += lr < 1e-3, layers[n]++;
    }
    assert_in_range(low, 70, 130);                         /* half of them below the middle of the logarithms */
    assert_true(layers[1] && layers[2] && layers[3] && layers[4]);
    json_decref(a), json_decref(b), json_decref(space);
}

static void spaces_that_say_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]", "{}", "{\"lr\": [1]}", "{\"train.lr\": []}", "{\"train.lr\": 3}", "{\"train.lr\": {\"min\": 2, \"max\": 1}}", "{\"train.lr\": {\"min\": 0, \"max\": 1, \"scale\": \"log\"}}",
        "{\"train.lr\": {\"min\": 0, \"max\": 1, \"of\": 1}}", "{\"train.lr\": {\"min\": 0, \"max\": 1}}", "{\".lr\": [1]}", "{\"train.lr\": [1, 2, 1]}", "{\"train.\": [1]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *space = parsed(bad[i]), *all = NULL;
        assert_true(halving_settings(&all, space, 0, 1, "it", &err) < 0);
        assert_null(all);
        json_decref(space);
    }
}

static void a_recipe_gets_its_values(void **state)
{
    (void)state;
    json_t *recipe = parsed("{\"train\": {\"lr\": 1, \"batch\": 2}, \"seed\": 1}"), *setting = parsed("{\"train.lr\": 5, \"model.layers\": 3}"), *out, *bad = parsed("{\"seed.x\": 1}");
    OK(halving_recipe(&out, recipe, setting, "it", &err));
    json_t *want = parsed("{\"train\": {\"lr\": 5, \"batch\": 2}, \"seed\": 1, \"model\": {\"layers\": 3}}");
    assert_true(json_equal(out, want));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(recipe, "train"), "lr")), 1);
    json_decref(out), json_decref(want);
    assert_int_equal(halving_recipe(&out, recipe, bad, "it", &err), ERR_FORMAT);
    assert_null(out);
    json_decref(recipe), json_decref(setting), json_decref(bad);
}

static void the_lowest_come_first_and_what_failed_last(void **state)
{
    (void)state;
    const double score[] = { 3, NAN, 1, 3, NAN, 2 };
    int order[6], n;
    halving_rank(score, 6, order, &n);
    assert_int_equal(n, 4);
    const int want[] = { 2, 5, 0, 3, 1, 4 };
    assert_memory_equal(order, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rungs_have_a_share_of_the_settings_and_more_steps), cmocka_unit_test(a_grid_is_in_the_order_of_its_lists),
        cmocka_unit_test(ranges_are_drawn_within_and_by_the_seed),           cmocka_unit_test(spaces_that_say_nothing_are_refused),
        cmocka_unit_test(a_recipe_gets_its_values),                          cmocka_unit_test(the_lowest_come_first_and_what_failed_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
