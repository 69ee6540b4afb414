/* test_chat_fault.c - the n-th allocation fails while templates are loaded and tried, and messages rendered and encoded: an
 * error, no crash, no leak. */
#include "each_allocation.h"
#include "model/chat.h"

static struct err err;
static char dir[] = "/tmp/lathe-chat-fault-XXXXXX";
static struct tok *tok;
static json_t *messages;

static int load_render_encode(void *unused)
{
    (void)unused;
    struct chat *c = NULL;
    struct jinja_text out;
    struct tok_ids ids = { 0 };
    jinja_text_init(&out);
    int rc = chat_load(&c, dir, NULL, &err);
    if (!rc)
        rc = chat_render(c, &(struct chat_request){ .messages = messages }, &out, &err);
    if (!rc)
        rc = chat_encode(tok, &out, &ids, &err);
    /* A failure that goes unnoticed must not have changed the prompt. */
    if (!rc)
        assert_string_equal(out.text.data, "<|endoftext|>user:be brief\n\nhi|assistant:{\"k\": [1, 2]}|");
    tok_ids_release(&ids);
    jinja_text_release(&out);
    chat_free(c);
    return rc;
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    static const char config[] = "{\"bos_token\": \"<|endoftext|>\"}", template[] = "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
                                                                                  "{{ m.role }}:{{ m.content }}{% for t in m.tool_calls %}{{ t.function.arguments|tojson }}{% endfor %}|{% endfor %}";
    assert_non_null(mkdtemp(dir));
    char *a = file_join(dir, "tokenizer_config.json"), *b = file_join(dir, "chat_template.jinja");
    assert_int_equal(file_write_all(a, config, sizeof config - 1, &err), 0);
    assert_int_equal(file_write_all(b, template, sizeof template - 1, &err), 0);
    assert_int_equal(tok_load(&tok, "tests/golden/tok", &err), 0);
    messages = json_pack("[{s:s,s:s},{s:s,s:[{s:s,s:s}]},{s:s,s:n,s:[{s:s,s:{s:s,s:s}}]}]", "role", "system", "content", "be brief", "role", "user", "content", "type", "text", "text", "hi",
                         "role", "assistant", "content", "tool_calls", "id", "x", "function", "name", "f", "arguments", "{\"k\": [1, 2]}");
    assert_non_null(messages);
    assert_int_equal(load_render_encode(NULL), 0);             /* what the tokenizer keeps between calls is there now */
    assert_true(each_allocation(load_render_encode, NULL, true) > 100);
    assert_int_equal(file_remove_tree(dir, &err), 0);
    mem_free(a);
    mem_free(b);
    json_decref(messages);
    tok_free(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
