/* test_jinja_fault.c - the n-th allocation fails while a template is read and rendered: an error, no crash, no leak. */
#include <stdbool.h>
#include "each_allocation.h"
#include "model/jinja.h"

static struct err err;
static json_t *messages;

static int parse_and_render(void *ctx)
{
    (void)ctx;
    static const char text[] = "{% macro f(a) %}{% set s %}{{ a }}{{ a|upper }}{% endset %}{{ s.split(' ')|join('-') }}{% endmacro %}"
                               "{% set ns = namespace(n='x') %}{% for m in messages %}{% set ns.n = ns.n + m.content + 'yy' * 9000 %}"
                               "{{ m.role ~ f(m.content) }}{{ messages|tojson(indent=2) }}{{ (messages|map(attribute='content')|list)|sort }}{% endfor %}{{ ns.n }}";
    struct jinja *t;
    struct jinja_text out;
    const struct jinja_var v = { "messages", messages, JINJA_INPUT, 0 };
    jinja_text_init(&out);
    int rc = jinja_parse(&t, text, sizeof text - 1, "fault", &err);
    if (!rc) {
        rc = jinja_render(t, &v, 1, NULL, NULL, &out, &err);
        jinja_free(t);
    }
    if (rc && out.text.len)
        fail_msg("an error left %zu bytes", out.text.len);
    jinja_text_release(&out);
    return rc;
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    messages = json_pack("[{s:s,s:s},{s:s,s:s}]", "role", "user", "content", "one two", "role", "assistant", "content", "three four");
    assert_true(each_allocation(parse_and_render, NULL, false) > 10);
    json_decref(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
