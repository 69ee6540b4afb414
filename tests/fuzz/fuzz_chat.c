/* fuzz_chat.c - any bytes as what is said to a chat template, {"messages", "tools", "documents", "variables"}, the first of them says which template: a
 * prompt whose every byte has its mark, and whose special tokens are the template's; or it is refused. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/tree.h"
#include "base/utf8.h"
#include "model/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CALL(open, name, arguments, close) "{% for c in m.tool_calls %}{{ '" open "{\"name\": \"' + c.function.name + '\", \"" arguments "\": ' + (c.function.arguments | tojson) + '}" close "' }}{% endfor %}"

/* In the ways that models have them: tools between tags, in a list, as parameters; text only, parts only; no system message; text of arguments and short ids. */
static const char *const texts[] = {
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|endoftext|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{% for t in tools %}{{ t | tojson }}{% endfor %}{% for m in messages %}{% if m.role == 'tool' %}{{ '<tool_response>' + m.content }}{% else %}{{ m.role + ': ' + (m.content or '') }}" CALL("<tool_call>", , "arguments", "</tool_call>")
    "{% endif %}{{ '<|endoftext|>' }}{% endfor %}{{ 'assistant:' if add_generation_prompt }}{{ '<think>' if enable_thinking else '<think></think>' }}",
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}{% elif m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}{{ raise_exception('9 letters') }}{% endif %}{{ '[TOOL_RESULTS]' + m.content }}"
    "{% elif m.role == 'assistant' %}{{ m.content if m.content is string else '' }}{% if m.tool_calls %}{{ '[TOOL_CALLS][' }}{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('9 letters') }}{% endif %}"
    "{{ c.function | tojson }}{% endfor %}{{ ']' }}{% endif %}{{ eos_token }}{% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}",
    "{% for m in messages %}{{ m.role + ': ' }}{% for p in m.content %}{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}{{ '<|endoftext|>' }}{% endfor %}assistant:",
    ("{% for m in messages %}{{ m.role }}{% if m.content is string %}{{ m.content | trim }}{% else %}{% for p in m.content %}{{ p.text | default('-') }}{% endfor %}{% endif %}{% generation %}{{ m.content if m.role == 'assistant' }}{% endgeneration %}{% endfor %}"
     "{% for d in documents %}{{ d.title ~ ': ' ~ d.text }}{% endfor %}"),
};
#define N_TEXT (sizeof texts / sizeof *texts)

static struct chat *chats[N_TEXT];
static struct tok *tok;

static void begin(void)
{
    struct err err;
    json_t *tokens = json_pack("{s:s, s:s}", "bos_token", "<|endoftext|>", "eos_token", "<|endoftext|>");
    for (size_t i = 0; i < N_TEXT; i++)
        if (chat_new(&chats[i], &(struct chat_source){ "default", texts[i], strlen(texts[i]) }, 1, tokens, &err) < 0)
            abort();
    json_decref(tokens);
    if (tok_load(&tok, "tests/golden/tok", &err) < 0)
        abort();
}

static void check_text(const struct jinja_text *t)
{
    if (t->text.len != t->input.len)
        abort();
    for (size_t i = 0, k; i < t->text.len; i += k)
        if (!(k = (size_t)utf8_length(t->text.data + i, t->text.data + t->text.len)))
            abort();
}

/* As many special tokens as stand in the template's bytes, which the tokenizer's only one tells. */
static void check_ids(const struct jinja_text *t)
{
    static const char mark[] = "<|endoftext|>";
    const size_t n = sizeof mark - 1;
    struct tok_ids ids = { 0 };
    struct err err;
    size_t want = 0, found = 0;
    for (const char *p = t->text.data, *end = p + t->text.len; p && (p = memmem(p, (size_t)(end - p), mark, n)); p += n)
        want += !memchr(t->input.data + (p - t->text.data), 1, n);
    if (chat_encode(tok, t, &ids, &err) < 0)
        abort();
    for (size_t i = 0; i < ids.n; i++)
        found += tok_is_special(tok, ids.id[i]);
    if (found != want)
        abort();
    tok_ids_release(&ids);
}

static void check_learn(const struct chat *c, const struct chat_request *q, size_t n_last)
{
    struct jinja_text out;
    struct buf learn;
    struct err err = { 0 };
    jinja_text_init(&out), buf_init(&learn);
    const int rc = chat_render_learn(c, q, n_last, &out, &learn, &err);
    if (rc < 0 ? rc != err.code || !*err.msg || out.text.len || learn.len : learn.len != out.text.len)
        abort();
    for (size_t i = 0; i < learn.len; i++)
        if (learn.data[i] < 0 || learn.data[i] > CHAT_LEARN_END)
            abort();
    jinja_text_release(&out);
    buf_release(&learn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct tm now = { .tm_year = 126, .tm_mday = 2 };
    struct err err = { 0 };
    struct jinja_text out;
    json_t *o;
    if (!tok)
        begin();
    if (!n || n > 8192 || tree_parse_json(&o, (const char *)data + 1, n - 1, "request", &err) < 0)
        return 0;
    const struct chat *c = chats[*data % N_TEXT];
    const struct chat_request q = { .messages = json_object_get(o, "messages"), .tools = json_object_get(o, "tools"), .documents = json_object_get(o, "documents"),
                                    .variables = json_object_get(o, "variables"), .no_generation_prompt = *data & 128, .now = &now };
    jinja_text_init(&out);
    const int rc = chat_render(c, &q, &out, &err);
    if (rc < 0 && (rc != err.code || !*err.msg || out.text.len))
        abort();
    check_text(&out);
    check_ids(&out);
    check_learn(c, &q, *data / 16 % 4);
    jinja_text_release(&out);
    json_decref(o);
    return 0;
}
