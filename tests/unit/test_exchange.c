/* test_exchange.c - requests of a server from the side of those who answer them: what is read. */
#include "../test.h"
#include "../served.h"
#include "serve/anthropic.h"
#include "serve/ollama.h"
#include "serve/openai.h"

static struct err err;
static char dir[] = "/tmp/lathe-exchange-XXXXXX";
static struct served_model *model;

/* ---- what is read ---- */

typedef void reader(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);

static json_t *parse(const char *text)
{
    struct refusal e = { 0 };
    json_t *request = in_parse(text, strlen(text), &e);
    assert_non_null(request);
    return request;
}

static void a_system_prompt_is_not_cut_at_a_nul(void **state)
{
    (void)state;
    struct refusal e = { 0 };
    struct wish w;
    struct buf text;
    buf_init(&text);
    ollama_read_generate(&w, parse("{\"model\":\"tiny\",\"prompt\":\"hi\",\"system\":\"one\\u0000two\"}"), model, &e);
    assert_int_equal(e.status, 0);
    OK(tok_decode(engine_tok(model->engine), w.prompt->id, w.prompt->n, &text, &err));
    assert_non_null(memmem(text.data, text.len, "system: one\0two\n", 16));
    buf_release(&text);
    wish_release(&w);
}

static void a_name_with_a_nul_is_refused(void **state)
{
    (void)state;
    static const struct { reader *read; const char *request, *param; } asked[] = {
        { openai_chat, "{\"model\":\"tiny\\u0000x\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "model" },
        { openai_chat, "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                       "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\\u0000\"}}}", "tool_choice.function.name" },
        { openai_completion, "{\"model\":\"tiny\\u0000\",\"prompt\":\"a\"}", "model" },
        { anthropic_messages, "{\"model\":\"tiny\\u0000\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "model" },
        { ollama_read_generate, "{\"model\":\"tiny\\u0000\",\"prompt\":\"a\"}", "model" },
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct refusal e = { 0 };
        struct wish w;
        asked[i].read(&w, parse(asked[i].request), model, &e);
        if (e.status != 400 || strcmp(e.param, asked[i].param) || !strstr(e.message, "NUL"))
            fail_msg("request %zu: status %d, %s: %s", i, e.status, e.param, e.message);
    }
}

static int set_up(void **state)
{
    (void)state;
    return served_open(&model, dir, &err);
}

static int tear_down(void **state)
{
    (void)state;
    served_model_close(model);
    return file_remove_tree(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_system_prompt_is_not_cut_at_a_nul),
        cmocka_unit_test(a_name_with_a_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
