/* test_reply.c - replies of chat models: what the forms of templates are, what grammars of replies read, and what the reader tells of them,
 * whole and byte by byte. */
#include <jansson.h>
#include "../test.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "infer/reply.h"
#include "serve/grammars.h"
#include "vocab.h"

static struct err err;

static json_t *parse(const char *text)
{
    json_t *x;
    OK(tree_parse_json(&x, text, strlen(text), "json", &err));
    return x;
}

/* ---- forms ---- */

static void the_forms_of_templates_are_found(void **state)
{
    (void)state;
    static const struct { const char *name; enum chat_form form; bool parameters, thinks; } want[] = {
        { "Qwen-Qwen2.5-7B-Instruct", CHAT_FORM_TAGGED, false, false },     { "Qwen-Qwen3-0.6B", CHAT_FORM_TAGGED, false, true },
        { "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", CHAT_FORM_TAGGED, false, false }, { "Qwen-QwQ-32B", CHAT_FORM_TAGGED, false, true },
        { "mistralai-Mistral-Nemo-Instruct-2407", CHAT_FORM_LIST, false, false }, { "meta-llama-Llama-3.1-8B-Instruct", CHAT_FORM_BARE, true, false },
        { "meta-llama-Llama-3.2-3B-Instruct", CHAT_FORM_BARE, true, false }, { "meta-llama-Llama-3.3-70B-Instruct", CHAT_FORM_BARE, true, false },
        { "microsoft-Phi-3.5-mini-instruct", CHAT_FORM_NONE, false, false }, { "HuggingFaceTB-SmolLM3-3B", CHAT_FORM_NONE, false, true },
        { "Qwen3-Coder", CHAT_FORM_OTHER, false, false },                    { "GLM-4.6", CHAT_FORM_OTHER, false, true },
        { "mistralai-Ministral-3-14B-Reasoning-2512", CHAT_FORM_NAMED, false, false }, { "unsloth-mistral-Devstral-Small-2507", CHAT_FORM_NAMED, false, false },
        { "openai-gpt-oss-120b", CHAT_FORM_OTHER, false, true },             { "Mistral-Small-3.2-24B-Instruct-2506", CHAT_FORM_OTHER, false, false },
        { "fireworks-ai-llama-3-firefunction-v2", CHAT_FORM_OTHER, false, false }, { "ibm-granite-granite-3.3-2B-Instruct", CHAT_FORM_OTHER, false, true },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char name[200];
        snprintf(name, sizeof name, "chat-templates/%s.jinja", want[i].name);
        const char *path = shared(name);
        struct buf text;
        struct chat *c;
        buf_init(&text);
        OK(file_read(path, 1 << 20, &text, &err));
        json_t *tokens = parse("{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}");
        OK(chat_new(&c, &(struct chat_source){ "default", text.data, text.len }, 1, tokens, &err));
        json_decref(tokens);
        const struct chat_wants *w = chat_wants(c, NULL);
        if (w->form != want[i].form || w->parameters != want[i].parameters || w->thinks != want[i].thinks)
            fail_msg("%s: form %d, parameters %d, thinks %d", want[i].name, w->form, w->parameters, w->thinks);
        assert_int_equal(w->channels, !strcmp(want[i].name, "openai-gpt-oss-120b"));
        chat_free(c);
        buf_release(&text);
    }
}

static void templates_without_tools_are_told_in_words(void **state)
{
    (void)state;
    static const char template[] = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";
    struct chat *c;
    struct jinja_text out;
    json_t *messages = parse("[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
                             "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": 1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"two\"},{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"three\"}]");
    json_t *tools = parse("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]");
    OK(chat_new(&c, &(struct chat_source){ "default", template, sizeof template - 1 }, 1, NULL, &err));
    jinja_text_init(&out);
    OK(chat_render(c, &(struct chat_request){ .messages = messages, .tools = tools }, &out, &err));
    assert_non_null(strstr(out.text.data, "[system]Be brief.\n\nYou can call functions."));
    assert_non_null(strstr(out.text.data, "<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"f\"}}\n</tools>"));
    assert_non_null(strstr(out.text.data, "[user]Hi[assistant]<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>[user]<tool_response>\ntwo\n</tool_response>\n<tool_response>\nthree\n</tool_response>[assistant]"));
    jinja_text_release(&out);
    chat_free(c);
    json_decref(messages);
    json_decref(tools);
}

/* ---- the reader ---- */

/* What is told, as one text: T thoughts, C content, N name, A arguments. */
struct told { char text[2000]; char last; };

static int note(struct told *t, char what, int i, const char *text, size_t n)
{
    const size_t at = strlen(t->text);
    if (t->last != what)
        snprintf(t->text + at, sizeof t->text - at, "|%c%d:%.*s", what, i, (int)n, text);
    else
        snprintf(t->text + at, sizeof t->text - at, "%.*s", (int)n, text);
    t->last = what;
    return 0;
}

static int on_thought(void *ctx, const char *text, size_t n) { return note(ctx, 'T', 0, text, n); }
static int on_content(void *ctx, const char *text, size_t n) { return note(ctx, 'C', 0, text, n); }
static int on_call(void *ctx, int i, const char *name) { return ((struct told *)ctx)->last = 0, note(ctx, 'N', i, name, strlen(name)); }
static int on_arguments(void *ctx, int i, const char *text, size_t n) { return note(ctx, 'A', i, text, n); }

static void read_in_pieces(const struct reply_form *form, const char *text, size_t piece, struct told *told)
{
    struct reply *r;
    const struct reply_sink sink = { told, on_thought, on_content, on_call, on_arguments };
    const size_t n = strlen(text);
    *told = (struct told){ .last = 0 };
    OK(reply_new(&r, form, &err));
    for (size_t at = 0; at < n; at += piece)
        OK(reply_add(r, text + at, n - at < piece ? n - at : piece, &sink));
    OK(reply_end(r, &sink));
    reply_free(r);
}

static void replies_are_told_apart(void **state)
{
    (void)state;
    const struct reply_form plain = { REPLY_MAY_THINK, CHAT_FORM_NONE, "", false }, thinks = { REPLY_THINKS, CHAT_FORM_TAGGED, "arguments", false }, tagged = { REPLY_MAY_THINK, CHAT_FORM_TAGGED, "arguments", false },
                            list = { REPLY_NO_THOUGHTS, CHAT_FORM_LIST, "arguments", false }, bare = { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, "parameters", false },
                            named = { REPLY_NO_THOUGHTS, CHAT_FORM_NAMED, "arguments", false }, channels = { REPLY_CHANNELS, CHAT_FORM_NONE, "", false };
    static const struct { int form; const char *text, *told; } cases[] = {
        { 0, "Hello <b>", "|C0:Hello <b>" },
        { 0, "<think>\nI see \n</think>\n\nHello", "|T0:I see|C0:Hello" },
        { 0, "\n<think>no end", "|T0:no end" },
        { 0, "<thin", "|C0:<thin" },
        { 0, "", "" },
        { 0, " x <think>y</think>", "|C0: x <think>y</think>" },
        { 1, "so it is</think><tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"{\", \"b\": [1]}}\n</tool_call>", "|T0:so it is|N0:f|A0:{\"a\": \"}\\\"{\", \"b\": [1]}" },
        { 1, "</think>\n", "" },
        { 1, "it goes </ on", "|T0:it goes </ on" },
        { 2, "Let me see.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"g\",\"arguments\":{\"x\":1}}</tool_call>", "|C0:Let me see.|N0:f|A0:{}|N1:g|A1:{\"x\":1}" },
        { 2, "<think>a</think>b <tool_c", "|T0:a|C0:b <tool_c" },
        { 2, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call> and more", "|N0:f|A0:{}|C0:and more" },
        { 2, "<tool_call>{\"name\":\"f\",\"arguments\":{}}\n</tool_", "|N0:f|A0:{}" },
        { 2, "<tool_call>{\"name\":\"f\",\"arguments\":{}} \n", "|N0:f|A0:{}" },
        { 2, "<tool_call>{\"name\":\"f\",\"arguments\":{}}\n</tool_call>\n<tool", "|N0:f|A0:{}|C0:<tool" },
        { 2, "a <tool_call>none</tool_call> b", "|C0:a <tool_call>none</tool_call> b" },
        { 2, "So <tool_call>{\"name\":\"f\",\"arg", "|C0:So" },
        { 2, "<tool_call>{\"name\":\"f\",\"arguments\":{\"x\": [1", "|N0:f|A0:{\"x\": [1" },
        { 3, "Ok [TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": 1}}, {\"name\": \"g\", \"arguments\": {}}]", "|C0:Ok|N0:f|A0:{\"a\": 1}|N1:g|A1:{}" },
        { 3, "[TOOL_CALLS]x", "|C0:[TOOL_CALLS]x" },
        { 5, "Ok.[TOOL_CALLS]f[ARGS]{\"a\": {}}[TOOL_CALLS]g[ARGS]{}", "|C0:Ok.|N0:f|A0:{\"a\": {}}|N1:g|A1:{}" },
        { 5, "[TOOL_CALLS]f[x", "|C0:[TOOL_CALLS]f[x" },
        { 4, "{\"name\": \"f\", \"parameters\": {\"a\": {\"b\": 2}}}", "|N0:f|A0:{\"a\": {\"b\": 2}}" },
        { 4, "{\"names\": 1}", "|C0:{\"names\": 1}" },
        { 4, "{\"nam", "|C0:{\"nam" },
        { 4, "Say {\"name\": \"f\"}", "|C0:Say {\"name\": \"f\"}" },
        { 6, "<|channel|>analysis<|message|>We need to greet.<|end|><|start|>assistant<|channel|>final<|message|>Hello <b>!", "|T0:We need to greet.|C0:Hello <b>!" },
        { 6, "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|><|start|>assistant<|channel|>commentary<|message|>c<|end|>"
             "<|start|>assistant<|channel|>final <|constrain|>JSON<|message|>{}", "|T0:a\n\nb|C0:c\n\n{}" },
        { 6, "<|channel|>final<|message|>Hi <|en", "|C0:Hi <|en" },
        { 6, "<|channel|>analysis<|message|>I am cut", "|T0:I am cut" },
        { 6, "<|channel|>analysis<|message|>a<|end|><|start|>assist", "|T0:a" },
        { 6, " to=functions.f<|channel|>commentary json<|message|>{\"x\": 1}", "|C0:{\"x\": 1}" },
        { 6, "{\"x\": 1}", "|C0:{\"x\": 1}" },
        { 6, "<|chan", "|C0:<|chan" },
        { 6, "", "" },
    };
    const struct reply_form *const forms[] = { &plain, &thinks, &tagged, &list, &bare, &named, &channels };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct told whole, part;
        const struct reply_form *form = forms[cases[i].form];
        read_in_pieces(form, cases[i].text, strlen(cases[i].text) + 1, &whole);
        if (strcmp(whole.text, cases[i].told))
            fail_msg("'%s' is told as '%s', expected '%s'", cases[i].text, whole.text, cases[i].told);
        for (size_t piece = 1; piece < 8; piece++) {
            read_in_pieces(form, cases[i].text, piece, &part);
            if (strcmp(whole.text, part.text))
                fail_msg("'%s' in pieces of %zu is told as '%s'", cases[i].text, piece, part.text);
        }
    }
}

static void a_call_that_is_not_whole_is_told_as_far_as_it_came(void **state)
{
    (void)state;
    const struct reply_form form = { REPLY_MAY_THINK, CHAT_FORM_TAGGED, "arguments", false };
    static const char text[] = "<think>so</think>Now <tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}</tool_call><tool_call>{\"name\":\"g\",\"arguments\":{\"b\": [tr";
    struct reply *r;
    const struct buf *arguments;
    OK(reply_new(&r, &form, &err));
    for (size_t i = 0; i + 1 < sizeof text; i++)
        OK(reply_add(r, text + i, 1, NULL));
    OK(reply_end(r, NULL));
    assert_string_equal(reply_thought(r)->data, "so");
    assert_string_equal(reply_content(r)->data, "Now");
    assert_true(reply_n_call(r) == 1 && reply_is_cut(r));
    assert_string_equal(reply_call(r, 0, &arguments), "f");
    assert_string_equal(arguments->data, "{\"a\":1}");
    assert_string_equal(reply_call(r, 1, &arguments), "g");
    assert_string_equal(arguments->data, "{\"b\": [tr");
    reply_free(r);
    OK(reply_new(&r, &form, &err));              /* all of it is there but its end */
    OK(reply_add(r, text, strlen(text) - strlen(" [tr"), NULL));
    OK(reply_add(r, " 1}", 3, NULL));
    OK(reply_end(r, NULL));
    assert_true(reply_n_call(r) == 2 && !reply_is_cut(r));
    reply_free(r);
}

/* ---- the grammar ---- */

static json_t *weather;
static struct reply_tool tools[2];

static struct grammar *grammar_of(struct reply_form form, bool must, bool one)
{
    struct grammar *g;
    const struct reply_wish w = { .form = form, .tool = tools, .n_tool = 2, .must_call = must, .one_call = one };
    OK(reply_grammar(&g, &w, &err));
    return g;
}

static void grammars_read_what_replies_may_be(void **state)
{
    (void)state;
    static const struct { enum reply_thinking thinking; enum chat_form form; bool must, one; const char *text; bool reads, whole; } cases[] = {
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "Any <tool> text, <tool_cal and more \xc3\xa4", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "Hm.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "<<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, true, "<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>\n<", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "<tool_call>{\"name\":\"time\"", true, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "<tool_call>{\"name\":\"tima\"", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "<tool_call>{\"name\":\"weather\",\"arguments\":{}", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, false, false, "<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":1", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, true, false, "Hm", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, true, false, "<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>", true, true },
        { REPLY_MAY_THINK, CHAT_FORM_TAGGED, true, false, "<think>\nwell</think>\n\n<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>", true, true },
        { REPLY_MAY_THINK, CHAT_FORM_TAGGED, true, false, "<think>well", true, false },
        { REPLY_MAY_THINK, CHAT_FORM_TAGGED, false, false, "<think>well", true, true },
        { REPLY_THINKS, CHAT_FORM_TAGGED, false, false, "a <tool_call> is what </think> I make: <tool_call>{", true, false },
        { REPLY_THINKS, CHAT_FORM_TAGGED, true, false, "I</think>No", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_LIST, false, false, "[TOOL_CALLS][{\"name\": \"time\", \"arguments\": {}}, {\"name\": \"weather\", \"arguments\": {\"city\": \"x\"}}]", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_LIST, false, true, "[TOOL_CALLS][{\"name\": \"time\", \"arguments\": {}},", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_LIST, false, false, "[TOOL_CALLS]no", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_NAMED, false, false, "Ok[TOOL_CALLS]weather[ARGS]{\"city\": \"x\"}[TOOL_CALLS]time[ARGS]{}", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_NAMED, false, true, "[TOOL_CALLS]time[ARGS]{}[", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_NAMED, true, false, "[TOOL_CALLS]time[ARGS]{", true, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, false, false, "{\"name\": \"weather\", \"arguments\": {\"city\": \"x\"}}", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, false, false, "{\"name\": \"x", false, false },
        { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, false, false, "{\"nam", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, false, false, "{\"other\": \"x\"} and any text", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, false, false, "Text {\"name\": 3}", true, true },
        { REPLY_NO_THOUGHTS, CHAT_FORM_BARE, true, false, "T", false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grammar *g = grammar_of((struct reply_form){ cases[i].thinking, cases[i].form, "arguments", false }, cases[i].must, cases[i].one);
        struct follower *f;
        OK(follower_new(&f, g, NULL, &err));
        const bool reads = follower_add(f, cases[i].text, strlen(cases[i].text), &err) == 0, whole = reads && follower_may_end(f);
        if (reads != cases[i].reads || whole != cases[i].whole)
            fail_msg("case %zu, '%s': %s, %s", i, cases[i].text, reads ? "read" : "refused", whole ? "may end" : "may not end");
        follower_free(f);
        grammar_free(g);
    }
}

/* Beside a schema there are calls or JSON, never any other text, and what announces calls may stand in a text of the JSON. */
static void content_beside_tools_follows_its_schema(void **state)
{
    (void)state;
    static const struct { enum chat_form form; enum reply_thinking thinking; const char *text, *told; } cases[] = {
        { CHAT_FORM_TAGGED, REPLY_NO_THOUGHTS, "hello", NULL },
        { CHAT_FORM_TAGGED, REPLY_NO_THOUGHTS, "", NULL },
        { CHAT_FORM_TAGGED, REPLY_NO_THOUGHTS, "{\"a\": \"<tool_call>{\"}", "|C0:{\"a\": \"<tool_call>{\"}" },
        { CHAT_FORM_TAGGED, REPLY_NO_THOUGHTS, "{\"a\": 1}", NULL },
        { CHAT_FORM_TAGGED, REPLY_NO_THOUGHTS, "{\"a\": \"b\"}<tool_call>", NULL },
        { CHAT_FORM_TAGGED, REPLY_NO_THOUGHTS, "<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>", "|N0:time|A0:{}" },
        { CHAT_FORM_TAGGED, REPLY_MAY_THINK, "<think>well", NULL },
        { CHAT_FORM_TAGGED, REPLY_MAY_THINK, "<think>well</think>\n{\"a\": \"b\"}", "|T0:well|C0:{\"a\": \"b\"}" },
        { CHAT_FORM_TAGGED, REPLY_MAY_THINK, "<think>well</think>\n<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>", "|T0:well|N0:time|A0:{}" },
        { CHAT_FORM_LIST, REPLY_NO_THOUGHTS, "hello", NULL },
        { CHAT_FORM_LIST, REPLY_NO_THOUGHTS, "{\"a\": \"[TOOL_CALLS][{\"}", "|C0:{\"a\": \"[TOOL_CALLS][{\"}" },
        { CHAT_FORM_LIST, REPLY_NO_THOUGHTS, "[TOOL_CALLS][{\"name\": \"time\", \"arguments\": {}}]", "|N0:time|A0:{}" },
        { CHAT_FORM_NAMED, REPLY_NO_THOUGHTS, "hello", NULL },
        { CHAT_FORM_NAMED, REPLY_NO_THOUGHTS, "{\"a\": \"[TOOL_CALLS]\"}", "|C0:{\"a\": \"[TOOL_CALLS]\"}" },
        { CHAT_FORM_NAMED, REPLY_NO_THOUGHTS, "[TOOL_CALLS]time[ARGS]{}", "|N0:time|A0:{}" },
    };
    json_t *schema = parse("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct reply_wish w = { .form = { cases[i].thinking, cases[i].form, "arguments", true }, .tool = tools, .n_tool = 2, .schema = schema, .where = "response_format" };
        struct grammar *g;
        struct follower *f;
        OK(reply_grammar(&g, &w, &err));
        OK(follower_new(&f, g, NULL, &err));
        const bool whole = follower_add(f, cases[i].text, strlen(cases[i].text), &err) == 0 && follower_may_end(f);
        if (whole != (cases[i].told != NULL))
            fail_msg("case %zu, '%s': %s", i, cases[i].text, whole ? "read" : "refused");
        for (size_t piece = 1; piece < 100 && whole; piece += 1 + piece / 8 * 91) {
            struct told told;
            read_in_pieces(&w.form, cases[i].text, piece, &told);
            if (strcmp(told.text, cases[i].told))
                fail_msg("'%s' in pieces of %zu is told as '%s'", cases[i].text, piece, told.text);
        }
        follower_free(f);
        grammar_free(g);
    }
    json_decref(schema);
}

/* gpt-oss: thoughts are free, and behind them is what the schema says. */
static void what_is_said_in_a_channel_follows_its_schema(void **state)
{
    (void)state;
    static const struct { const char *text; bool whole; } cases[] = {
        { "<|channel|>final<|message|>{\"a\":\"b\"}", true }, { "<|channel|>analysis<|message|>so <|e <|end|><|start|>assistant<|channel|>final<|message|>{\"a\":\"b\"}", true },
        { "<|channel|>analysis<|message|>so", false }, { "<|channel|>final<|message|>so", false }, { "{\"a\":\"b\"}", false },
    };
    json_t *schema = parse("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]}");
    const struct reply_wish w = { .form = { REPLY_CHANNELS, CHAT_FORM_NONE, "arguments", false }, .schema = schema, .where = "response_format" };
    struct grammar *g;
    OK(reply_grammar(&g, &w, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct follower *f;
        OK(follower_new(&f, g, NULL, &err));
        const bool whole = follower_add(f, cases[i].text, strlen(cases[i].text), &err) == 0 && follower_may_end(f);
        if (whole != cases[i].whole)
            fail_msg("'%s': %s", cases[i].text, whole ? "may end" : "may not end");
        follower_free(f);
    }
    grammar_free(g);
    json_decref(schema);
}

static void tools_are_strict_where_they_say_so(void **state)
{
    (void)state;
    json_t *odd = parse("{\"type\":\"object\",\"properties\":{\"a\":{\"not\":{}}}}");
    struct reply_tool t = { "odd", odd, "tools[0].function.parameters", true };
    struct grammar *g;
    struct reply_wish w = { .form = { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, "arguments", false }, .tool = &t, .n_tool = 1, .must_call = true };
    assert_int_equal(reply_grammar(&g, &w, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "tools[0].function.parameters/properties/a/not"));
    t.strict = false;                            /* then any object */
    static const char text[] = "<tool_call>{\"name\":\"odd\",\"arguments\":{\"b\":[1]}}</tool_call>";
    struct follower *f;
    OK(reply_grammar(&g, &w, &err));
    OK(follower_new(&f, g, NULL, &err));
    OK(follower_add(f, text, sizeof text - 1, &err));
    assert_true(follower_may_end(f));
    follower_free(f);
    grammar_free(g);
    json_decref(odd);
}

/* Whatever tokens are drawn, arguments of whole calls are JSON with what the schema asks for, and the reader tells the same of the whole
 * and of its pieces. */
static void random_tokens_make_calls(void **state)
{
    (void)state;
    static const enum chat_form forms[] = { CHAT_FORM_TAGGED, CHAT_FORM_LIST, CHAT_FORM_BARE, CHAT_FORM_NAMED };
    float *logits = calloc((size_t)V, sizeof *logits);
    int n_calls = 0;
    for (uint64_t seed = 0; seed < 12; seed++) {
        const struct reply_form form = { seed % 2 ? REPLY_MAY_THINK : REPLY_NO_THOUGHTS, forms[seed % 4], "arguments", false };
        struct grammar *g = grammar_of(form, true, seed % 8 > 3);
        struct follower *f;
        struct reply *r;
        OK(follower_new(&f, g, vocab, &err));
        OK(reply_new(&r, &form, &err));
        for (int step = 0; step < 1500 && !follower_must_end(f); step++) {
            memset(logits, 0, (size_t)V * sizeof *logits);
            OK(follower_forbid(f, logits, V, &err));
            int chosen = -1, n_may = 0, end = -1;
            for (int id = 0; id < V; id++) {
                size_t len = 0;
                const char *bytes = logits[id] == 0 ? tok_bytes(tok, id, &len) : NULL;
                if (logits[id] == 0 && rng_u64(seed, (uint64_t)(step * V + id)) % (uint64_t)++n_may == 0)
                    chosen = id;
                if (logits[id] == 0 && (tok_is_eog(tok, id) || (len == 1 && strchr("\"}]>", *bytes))))
                    end = id;
            }
            chosen = end >= 0 && rng_u64(seed + 99, (uint64_t)step) % 3 == 0 ? end : chosen;
            OK(follower_add_token(f, chosen, &err));
            if (tok_is_eog(tok, chosen))
                break;
            size_t len;
            const char *bytes = tok_bytes(tok, chosen, &len);
            OK(reply_add(r, bytes, len, NULL));
        }
        OK(reply_end(r, NULL));
        for (int i = 0; i < reply_n_call(r); i++) {
            const struct buf *arguments;
            const char *name = reply_call(r, i, &arguments);
            json_t *x = parse(arguments->data);
            assert_true(json_is_object(x) && (strcmp(name, "weather") ? !json_object_size(x) : json_is_string(json_object_get(x, "city"))));
            json_decref(x);
            n_calls++;
        }
        reply_free(r);
        follower_free(f);
        grammar_free(g);
    }
    assert_true(n_calls > 5);
    free(logits);
}

/* ---- shared ---- */

static void grammars_are_shared_by_what_they_are_made_of(void **state)
{
    (void)state;
    const struct reply_form form = { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, "arguments", false };
    const struct block_key a = { "a" }, b = { "b" }, root = { "r" }, other = { "o" };
    struct grammar *g[4];
    struct grammars *all;
    for (int i = 0; i < 4; i++)
        g[i] = grammar_of(form, true, false);
    const size_t one = grammar_bytes(g[0]);
    struct grammar *const first = g[0];
    OK(grammars_new(&all, 5 * one / 2, &err));
    OK(grammars_share(all, &a, &root, &g[0], &err));
    OK(grammars_share(all, &a, &root, &g[1], &err));
    assert_true(g[0] == first && g[1] == first);
    OK(grammars_share(all, &a, &other, &g[2], &err));        /* another tenant's */
    assert_true(g[2] != first);
    struct grammar *const third = g[3];
    assert_int_equal(grammars_share(all, &b, &root, &g[3], &err), ERR_BUSY);
    assert_true(g[3] == third);
    grammars_drop(all, g[2]);
    OK(grammars_share(all, &b, &root, &g[3], &err));         /* there is room again */
    grammars_drop(all, g[3]);
    grammars_drop(all, g[1]);
    grammars_drop(all, g[0]);
    g[0] = grammar_of(form, true, false);                    /* and it is still known */
    OK(grammars_share(all, &a, &root, &g[0], &err));
    assert_true(g[0] == first);
    grammars_drop(all, g[0]);
    for (int i = 0; i < 3 * GRAMMARS_MAX; i++) {             /* many that nobody needs any more: the oldest go */
        struct block_key key = { { (unsigned char)i, (unsigned char)(i / 256), 1 } };
        g[0] = grammar_of(form, true, false);
        OK(grammars_share(all, &key, &root, &g[0], &err));
        grammars_drop(all, g[0]);
    }
    g[0] = grammar_of(form, true, false);
    struct grammar *const again = g[0];
    OK(grammars_share(all, &a, &root, &g[0], &err));
    assert_true(g[0] == again);
    grammars_drop(all, g[0]);
    grammars_free(all);
}

static int set_up(void **state)
{
    (void)state;
    weather = json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:[s]}", "type", "object", "properties", "city", "type", "string", "days", "type", "integer", "required", "city");
    tools[0] = (struct reply_tool){ "weather", weather, "tools[0].function.parameters", true };
    tools[1] = (struct reply_tool){ "time", NULL, "tools[1].function.parameters", false };
    return open_vocab(3, &err);
}

static int tear_down(void **state)
{
    json_decref(weather);
    return close_vocab(state);
}

/* Two lists of names that are joined by merging them: any of the tools may do that, not all of them. */
static void all_tools_share_the_limits_of_schemas(void **state)
{
    (void)state;
    struct reply_tool tool[40];
    char name[40][16];
    struct buf text;
    json_t *parameters;
    buf_init(&text);
    OK(buf_add_str(&text, "{\"allOf\":[{\"enum\":[{}", &err));
    for (int i = 1; i < 400; i++)
        OK(buf_printf(&text, &err, i == 200 ? "]},{\"enum\":[%d,{}" : ",%d", i));
    OK(buf_add_str(&text, ",{}]},{\"enum\":[{}]}]}", &err));
    OK(tree_parse_json(&parameters, text.data, text.len, "schema", &err));
    for (int i = 0; i < 40; i++) {
        snprintf(name[i], sizeof name[i], "t%d", i);
        tool[i] = (struct reply_tool){ .name = name[i], .parameters = parameters, .where = "tool", .strict = true };
    }
    struct reply_wish w = { .form = { REPLY_NO_THOUGHTS, CHAT_FORM_TAGGED, "arguments", false }, .tool = tool, .must_call = true };
    for (w.n_tool = 1; w.n_tool <= 40; w.n_tool += 39) {
        struct grammar *g = NULL;
        const int rc = reply_grammar(&g, &w, &err);
        if (w.n_tool == 1 ? rc : rc != ERR_RANGE || !strstr(err.msg, "names and values"))
            fail_msg("%d tools: %d, %s", w.n_tool, rc, rc ? err.msg : "");
        grammar_free(g);
    }
    json_decref(parameters);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forms_of_templates_are_found),     cmocka_unit_test(templates_without_tools_are_told_in_words),
        cmocka_unit_test(replies_are_told_apart),               cmocka_unit_test(a_call_that_is_not_whole_is_told_as_far_as_it_came),
        cmocka_unit_test(grammars_read_what_replies_may_be),    cmocka_unit_test(tools_are_strict_where_they_say_so),
        cmocka_unit_test(what_is_said_in_a_channel_follows_its_schema),
        cmocka_unit_test(content_beside_tools_follows_its_schema), cmocka_unit_test(all_tools_share_the_limits_of_schemas),
        cmocka_unit_test(random_tokens_make_calls),             cmocka_unit_test(grammars_are_shared_by_what_they_are_made_of),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
