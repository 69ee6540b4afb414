/* test_spec_fault.c - the n-th allocation fails while a text with a draft model is set up and gone on with: an error, no crash,
 * no leak, and nothing is allocated in steps. */
#include "each_allocation.h"
#include "infer/spec.h"

static struct err err;
static struct pool *pool;
static struct engine *e;

static int go_on(void *unused)
{
    (void)unused;
    static const int32_t ids[] = { 1, 2, 3, 1, 2 };
    const struct sampling s = { .temperature = 0.7, .top_p = 1, .seed = 1 };
    struct spec *spec;
    struct mem_stats before, after;
    int32_t id;
    int rc = spec_new(&spec, &(struct spec_opts){ .e = e, .lookup = 4, .draft = "tests/golden/llama", .pool = pool, .always = true }, &err);
    mem_stats_get(&before);
    if (!rc)
        rc = spec_feed(spec, ids, 5, &err);
    for (int i = 0; i < 9 && !rc; i++)
        rc = spec_next(spec, &s, 9 - i, &id, &err);
    mem_stats_get(&after);
    assert_int_equal(after.n_alloc, before.n_alloc);
    spec_free(spec);
    return rc;
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    assert_int_equal(go_on(NULL), 0);
    assert_true(each_allocation(go_on, NULL, false) > 10);
}

static int setup(void **state)
{
    (void)state;
    const struct engine_opts o = { .n_slot = 1, .ctx = 32, .step_tokens = 32, .n_logits = SPEC_N_LOGITS, .no_tok = true };
    return pool_new(&pool, 1, &err) || engine_new(&e, "tests/golden/llama", &o, pool, &err);
}

static int teardown(void **state) { return (void)state, engine_free(e), pool_free(pool), 0; }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
