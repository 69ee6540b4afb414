#include "eval/chat_task.h"
#include <string.h>
#include "base/mem.h"

/* Bytes of the text up to the end of where the last message's content stands last: what a template writes behind it closes the turn
 * (transformers' continue_final_message). */
static int left_open(const json_t *messages, struct buf *text, struct err *err)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1), *content = json_object_get(last, "content");
    const char *s = json_string_value(content);
    size_t n = json_string_length(content), from = 0;
    while (n && strchr(" \t\n\r\f\v", s[n - 1]))
        n--;
    while (from < n && strchr(" \t\n\r\f\v", s[from]))
        from++;
    n -= from;
    for (size_t at = text->len; n && at-- > 0;)
        if (text->len - at >= n && !memcmp(text->data + at, s + from, n)) {
            /* white space at its end that the template kept */
            const size_t all = json_string_length(content) - from;
            text->len = at + (text->len - at >= all && !memcmp(text->data + at, s + from, all) ? all : n);
            text->data[text->len] = 0;
            return 0;
        }
    return ERR(err, FORMAT, "the chat template does not write the beginning of the answer that the task gives: '%.60s'", s ? s : "");
}

int chat_task(void *user, const json_t *messages, bool continues, struct buf *out, struct err *err)
{
    struct jinja_text text = { 0 };
    const struct chat_request q = { .messages = messages, .no_generation_prompt = continues };
    jinja_text_init(&text);
    int rc = chat_render(user, &q, &text, err);
    if (!rc && continues)
        rc = left_open(messages, &text.text, err);
    if (!rc)
        rc = buf_add(out, text.text.data, text.text.len, err);
    jinja_text_release(&text);
    return rc;
}
