/* test_schema_fault.c - the n-th allocation fails while a schema is made into a grammar: an error, no crash, no leak. */
#include <jansson.h>
#include "../test.h"
#include "base/mem.h"
#include "base/tree.h"
#include "infer/schema.h"

static struct err err;

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\",\"minimum\":-3},\"next\":{\"$ref\":\"#/$defs/n\"}},\"additionalProperties\":{\"minItems\":1}}},"
        "\"allOf\":[{\"$ref\":\"#/$defs/n\"},{\"properties\":{\"w\":{\"type\":\"array\",\"prefixItems\":[true],\"items\":{\"pattern\":\"^[a-c]{2,}$\"},\"maxItems\":3}},\"required\":[\"w\"]}]}",
        "{\"anyOf\":[{\"allOf\":[{\"enum\":[1,2,[1],\"a\"]},{\"enum\":[2,3]},{\"type\":[\"integer\",\"null\"]},{\"type\":\"number\"}]},{\"type\":\"object\",\"propertyNames\":{\"maxLength\":3}},{\"oneOf\":[{\"const\":\"x\"},{\"type\":\"number\",\"maximum\":0.5}]}]}",
    };
    struct mem_stats before, after;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *x;
        struct grammar *g;
        int n_failed = 0;
        assert_int_equal(tree_parse_json(&x, texts[i], strlen(texts[i]), "schema", &err), 0);
        if (schema_grammar(&g, x, "#", &err) < 0)
            fail_msg("%s", err.msg);
        const size_t bytes = grammar_bytes(g);
        grammar_free(g);
        mem_stats_get(&before);
        for (int64_t n = 0;; n++) {
            mem_fail_at(n);
            const int rc = schema_grammar(&g, x, "#", &err);
            const bool reached = mem_fail_count() > n;
            mem_fail_at(-1);
            if (!rc)
                assert_int_equal(grammar_bytes(g), bytes);      /* a failure that goes unnoticed must not have changed it */
            grammar_free(g);
            mem_stats_get(&after);
            assert_int_equal(before.n_live, after.n_live);
            if (!reached) {
                assert_int_equal(rc, 0);
                break;
            }
            assert_true(rc == 0 || rc == ERR_NOMEM);
            n_failed += rc != 0;
        }
        assert_true(n_failed > 30);
        json_decref(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
