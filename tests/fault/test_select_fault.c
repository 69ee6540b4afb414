/* test_select_fault.c - settings of a search, recipes and the picture of a choice, with each allocation failing in turn. */
#include "each_allocation.h"
#include <jansson.h>
#include <math.h>
#include "base/diagram.h"
#include "eval/halving.h"

static struct err err;

static int search(void *ctx)
{
    json_t *all = NULL, *recipe = NULL, *of = json_object();
    int rc = of ? halving_settings(&all, ctx, 5, 1, "it", &err) : ERR_NOMEM;
    if (rc >= 0)
        rc = halving_recipe(&recipe, of, json_array_get(all, 3), "it", &err);
    json_decref(all), json_decref(recipe), json_decref(of);
    return rc;
}

static void a_search_without_memory_is_an_error(void **state)
{
    (void)state;
    json_t *space = json_pack("{s:[i,i,i], s:{s:i, s:i}}", "train.lr", 1, 2, 3, "model.layers", "min", 1, "max", 9);
    assert_true(each_allocation(search, space, false) > 20);
    json_decref(space);
}

static int picture(void *ctx)
{
    static const struct diagram_choice c[] = { { "a", 1, 2, 1.5, 2.5, true, true }, { "<b>", 2000, 1, NAN, NAN, true, false } };
    struct buf b;
    (void)ctx;
    buf_init(&b);
    const int rc = diagram_choices(&b, "title", "x", "y", c, 2, &err);
    buf_release(&b);
    return rc;
}

static void a_picture_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(picture, NULL, false) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_search_without_memory_is_an_error), cmocka_unit_test(a_picture_without_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
