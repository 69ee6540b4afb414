/* test_schema_fault.c - the n-th allocation fails while a schema is made into a grammar, or a reply read: an error, no crash, no leak. */
#include <jansson.h>
#include "each_allocation.h"
#include "base/tree.h"
#include "infer/reply.h"
#include "infer/schema.h"

static struct err err;

struct made { const json_t *schema; size_t bytes; };

/* A failure that goes unnoticed must not have changed it. */
static int make(void *ctx)
{
    const struct made *m = ctx;
    struct grammar *g;
    const int rc = schema_grammar(&g, m->schema, "#", &err);
    if (!rc)
        assert_int_equal(grammar_bytes(g), m->bytes);
    grammar_free(g);
    return rc;
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\",\"minimum\":-3},\"next\":{\"$ref\":\"#/$defs/n\"}},\"additionalProperties\":{\"minItems\":1}}},"
        "\"allOf\":[{\"$ref\":\"#/$defs/n\"},{\"properties\":{\"w\":{\"type\":\"array\",\"prefixItems\":[true],\"items\":{\"pattern\":\"^[a-c]{2,}$\"},\"maxItems\":3}},\"required\":[\"w\"]}]}",
        "{\"anyOf\":[{\"allOf\":[{\"enum\":[1,2,[1],\"a\"]},{\"enum\":[2,3]},{\"type\":[\"integer\",\"null\"]},{\"type\":\"number\"}]},{\"type\":\"object\",\"propertyNames\":{\"maxLength\":3}},{\"oneOf\":[{\"const\":\"x\"},{\"type\":\"number\",\"maximum\":0.5}]}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *x;
        struct grammar *g;
        assert_int_equal(tree_parse_json(&x, texts[i], strlen(texts[i]), "schema", &err), 0);
        if (schema_grammar(&g, x, "#", &err) < 0)
            fail_msg("%s", err.msg);
        const size_t bytes = grammar_bytes(g);
        grammar_free(g);
        struct made m = { x, bytes };
        assert_true(each_allocation(make, &m, true) > 30);
        json_decref(x);
    }
}

static json_t *parameters;

/* Makes the grammar of a reply, and reads one. */
static int reply(void *ctx)
{
    (void)ctx;
    static const char text[] = "<think>so</think>Now <tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}</tool_call><tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>";
    const struct reply_form form = { REPLY_MAY_THINK, CHAT_FORM_TAGGED, "arguments", false };
    const struct reply_tool tool[] = { { "f", parameters, "f", true }, { "g", NULL, "g", false } };
    const struct reply_wish w = { .form = form, .tool = tool, .n_tool = 2 };
    struct grammar *g;
    struct follower *f = NULL;
    struct reply *r = NULL;
    int rc = reply_grammar(&g, &w, &err);
    if (!rc)
        rc = follower_new(&f, g, NULL, &err);
    if (!rc)
        rc = follower_add(f, text, sizeof text - 1, &err);
    if (!rc)
        rc = reply_new(&r, &form, &err);
    for (size_t i = 0; i + 1 < sizeof text && !rc; i++)
        rc = reply_add(r, text + i, 1, NULL);
    if (!rc)
        rc = reply_end(r, NULL);
    if (!rc)
        assert_true(reply_n_call(r) == 2 && !strcmp(reply_content(r)->data, "Now") && !strcmp(reply_thought(r)->data, "so") && follower_may_end(f));
    reply_free(r);
    follower_free(f);
    grammar_free(g);
    return rc;
}

static void replies_fail_without_a_leak(void **state)
{
    (void)state;
    parameters = json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties", "a", "type", "integer", "required", "a");
    assert_int_equal(reply(NULL), 0);
    assert_true(each_allocation(reply, NULL, true) > 30);
    json_decref(parameters);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak), cmocka_unit_test(replies_fail_without_a_leak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
