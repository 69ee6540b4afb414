#include "model/chat_tools.h"
#include <string.h>
#include "base/mem.h"

/* ---- which form ---- */

static bool blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* The characters of from .. to that are no white space; of more than fit, the last ones. */
static void squeeze(char *out, size_t size, const char *from, const char *to)
{
    size_t n = 0;
    for (; from < to; from++) {
        if (blank(*from))
            continue;
        if (n + 1 == size)
            memmove(out, out + 1, --n);
        out[n++] = *from;
    }
    out[n] = 0;
}

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && !memcmp(s + n - k, end, k);
}

enum chat_form chat_form_of(const char *text, const char *name, const char *mark, const struct buf *opening, bool *parameters)
{
    static const char head[] = "{\"name\":\"";
    const char *const at = strstr(text, mark), *called = NULL;
    char before[200], between[80], open[200];
    for (const char *p = text; at && (p = strstr(p, name)) && p < at; p++)
        called = p;
    if (!called)
        return CHAT_FORM_OTHER;
    squeeze(before, sizeof before, text, called);
    squeeze(between, sizeof between, called + strlen(name), at);
    squeeze(open, sizeof open, opening->data, opening->data + opening->len);
    if (ends_with(before, "[TOOL_CALLS]") && !strncmp(between, "[ARGS]{\"", 8))
        return CHAT_FORM_NAMED;
    *parameters = !strncmp(between, "\",\"parameters\":{\"", 17);
    if (!ends_with(before, head) || (!*parameters && strncmp(between, "\",\"arguments\":{\"", 16)))
        return CHAT_FORM_OTHER;
    before[strlen(before) - strlen(head)] = 0;
    if (ends_with(before, "<tool_call>"))
        return CHAT_FORM_TAGGED;
    if (ends_with(before, "[TOOL_CALLS]["))
        return CHAT_FORM_LIST;
    return *open && ends_with(before, open) ? CHAT_FORM_BARE : CHAT_FORM_OTHER;
}

/* ---- in words ---- */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for the messages"); }

static bool is_role(const json_t *m, const char *role)
{
    const char *s = json_string_value(json_object_get(m, "role"));
    return s && !strcmp(s, role);
}

/* jansson passes over what fails in the middle of a key. */
struct to_buf { struct buf *b; struct err *err; bool failed; };

static int put(const char *s, size_t n, void *ctx)
{
    struct to_buf *t = ctx;
    t->failed = t->failed || buf_add(t->b, s, n, t->err) < 0;
    return t->failed ? -1 : 0;
}

static int add_json(struct buf *b, const json_t *v, struct err *err)
{
    struct to_buf t = { b, err, false };
    return json_dump_callback(v, put, &t, JSON_ENCODE_ANY) || t.failed ? no_memory(err) : 0;
}

/* Of a string, or of the parts that are text. */
static int add_text(struct buf *b, const json_t *content, struct err *err)
{
    size_t i;
    json_t *part;
    if (json_is_string(content))
        return buf_add(b, json_string_value(content), json_string_length(content), err);
    json_array_foreach((json_t *)(uintptr_t)content, i, part) {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text))
            return ERR(err, UNSUPPORTED, "a part of a message that is no text, beside tools that this model's template knows nothing of");
        TRY(i ? buf_add_char(b, '\n', err) : 0);
        TRY(buf_add(b, json_string_value(text), json_string_length(text), err));
    }
    return 0;
}

static int add_tools(struct buf *b, const json_t *tools, struct err *err)
{
    size_t i;
    json_t *t;
    if (!json_array_size(tools))
        return 0;
    TRY(buf_add_str(b, b->len ? "\n\n" : "", err));
    TRY(buf_add_str(b, "You can call functions. These are there, with the JSON schemas of their parameters:\n<tools>\n", err));
    json_array_foreach((json_t *)(uintptr_t)tools, i, t) {
        TRY(add_json(b, t, err));
        TRY(buf_add_char(b, '\n', err));
    }
    return buf_add_str(b, "</tools>\nTo call one, write its name and its arguments as a JSON object between tags:\n"
                          "<tool_call>\n{\"name\": \"the name\", \"arguments\": {}}\n</tool_call>", err);
}

static int add_calls(struct buf *b, const json_t *calls, struct err *err)
{
    size_t i;
    json_t *call;
    json_array_foreach((json_t *)(uintptr_t)calls, i, call) {
        const json_t *f = json_object_get(call, "function"), *name = json_object_get(f, "name"), *arguments = json_object_get(f, "arguments");
        if (!json_is_string(name))
            return ERR(err, FORMAT, "tool_calls[%zu].function.name is missing", i);
        TRY(buf_add_str(b, b->len ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ", err));
        TRY(add_json(b, name, err));
        TRY(buf_add_str(b, ", \"arguments\": ", err));
        TRY(json_is_string(arguments) ? buf_add(b, json_string_value(arguments), json_string_length(arguments), err) : arguments ? add_json(b, arguments, err) : buf_add_str(b, "{}", err));
        TRY(buf_add_str(b, "}\n</tool_call>", err));
    }
    return 0;
}

static int append(json_t *list, const char *role, const struct buf *text, struct err *err)
{
    json_t *s = json_stringn(text->data, text->len), *m = s ? json_pack("{s:s, s:o}", "role", role, "content", s) : NULL;
    return !m || json_array_append_new(list, m) ? no_memory(err) : 0;
}

/* Results that follow each other are one message. */
static int tell_results(const json_t *messages, size_t *i, struct buf *text, struct err *err)
{
    for (; is_role(json_array_get(messages, *i), "tool"); ++*i) {
        TRY(buf_add_str(text, text->len ? "\n<tool_response>\n" : "<tool_response>\n", err));
        TRY(add_text(text, json_object_get(json_array_get(messages, *i), "content"), err));
        TRY(buf_add_str(text, "\n</tool_response>", err));
    }
    return 0;
}

static int tell_all(const json_t *messages, const json_t *tools, json_t *list, struct buf *text, struct err *err)
{
    size_t i = 0;
    if (is_role(json_array_get(messages, 0), "system") || is_role(json_array_get(messages, 0), "developer"))
        TRY(add_text(text, json_object_get(json_array_get(messages, i++), "content"), err));
    TRY(add_tools(text, tools, err));
    if (text->len)
        TRY(append(list, "system", text, err));
    while (i < json_array_size(messages)) {
        const json_t *m = json_array_get(messages, i);
        buf_clear(text);
        if (is_role(m, "tool")) {
            TRY(tell_results(messages, &i, text, err));
            TRY(append(list, "user", text, err));
        } else if (json_array_size(json_object_get(m, "tool_calls"))) {
            TRY(add_text(text, json_object_get(m, "content"), err));
            TRY(add_calls(text, json_object_get(m, "tool_calls"), err));
            TRY(append(list, "assistant", text, err));
            i++;
        } else {
            if (json_array_append(list, (json_t *)(uintptr_t)m))
                return no_memory(err);
            i++;
        }
    }
    return 0;
}

int chat_tell_tools(const json_t *messages, const json_t *tools, json_t **out, struct err *err)
{
    struct buf text;
    json_t *list = json_array();
    buf_init(&text);
    const int rc = list ? tell_all(messages, tools, list, &text, err) : no_memory(err);
    buf_release(&text);
    *out = rc < 0 ? NULL : list;
    if (rc < 0)
        json_decref(list);
    return rc;
}
