/* fuzz_jinja.c - any bytes as a chat template, rendered with fixed messages, tools and documents within small budgets; every byte of what comes
 * out has its mark, and the text is UTF-8. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char messages[] = "[{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"Hi <|x|> \\u00e9\\n\"},"
                               " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"a\", \"type\": \"function\", \"function\": {\"name\": \"f\","
                               " \"arguments\": {\"a\": [1, 2.5, true, null]}}}]}, {\"role\": \"tool\", \"content\": [{\"type\": \"text\", \"text\": \"t\"}]}]",
                  tools[] = "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"F.\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": [\"array\", \"null\"]}}, \"required\": [\"a\"]}}}]",
                  documents[] = "[{\"title\": \"T\", \"text\": \"<|x|>\"}]";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static json_t *list, *functions, *texts, *bos;
    if (!list)
        list = json_loads(messages, 0, NULL), functions = json_loads(tools, 0, NULL), texts = json_loads(documents, 0, NULL), bos = json_string("<|x|>");
    const struct jinja_limits limits = { .steps = 20000, .memory = (size_t)4 << 20, .output = 100000 };
    const struct tm now = { .tm_year = 126, .tm_mday = 2 };
    const struct jinja_var v[] = { { "messages", list, JINJA_INPUT, 0 }, { "tools", functions, JINJA_INPUT, 0 }, { "documents", texts, JINJA_INPUT, 0 }, { "bos_token", bos, JINJA_OWN, 0 },
                                   { "eos_token", NULL, JINJA_OWN, 0 }, { "add_generation_prompt", json_true(), JINJA_INPUT, 0 } };
    struct jinja *t;
    struct jinja_text out;
    struct err err;
    if (jinja_parse(&t, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    jinja_text_init(&out);
    if (jinja_render(t, v, sizeof v / sizeof *v, &limits, &now, &out, &err) == 0) {
        if (out.text.len != out.input.len || out.text.len > limits.output)
            abort();
        for (size_t i = 0, k; i < out.text.len; i += k)
            if (!(k = (size_t)utf8_length(out.text.data + i, out.text.data + out.text.len)))
                abort();
    }
    jinja_text_release(&out);
    jinja_free(t);
    return 0;
}
