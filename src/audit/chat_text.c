#include "audit/chat_text.h"
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"

/* A list that is read: message number i. */
struct reading { struct chat_text *c; struct buf *text; size_t i; };

static int add_string(void *ctx, struct json_span s, struct err *err)
{
    struct reading *r = ctx;
    struct chat_text *c = r->c;
    if (c->n == c->cap) {
        const size_t cap = c->cap ? 2 * c->cap : 16;
        struct chat_piece *p = mem_realloc_array(c->piece, cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %zu pieces of a chat", cap);
        c->piece = p, c->cap = cap;
    }
    if (r->text->len)
        TRY(buf_add_str(r->text, "\n\n", err));
    const size_t at = r->text->len;
    TRY(json_scan_string(s, r->text, err));
    c->piece[c->n++] = (struct chat_piece){ at, r->text->len - at, s };
    return 0;
}

static int is_one_of(struct json_span name, const char *const *names, int n, struct err *err)
{
    int i;
    TRY(json_scan_find(name, names, n, &i, err));
    return i >= 0;
}

static int take_member(void *ctx, struct json_span name, struct json_span value, struct err *err)
{
    static const char *const said[] = { "content", "value", "reasoning_content", "thinking", "refusal", "tool_calls", "function_call" };
    static const char *const not_read[] = { "type", "id", "image_url", "input_audio" };
    const int rc = is_one_of(name, said, sizeof said / sizeof *said, err);
    return rc > 0 ? json_scan_strings(value, not_read, sizeof not_read / sizeof *not_read, 2, add_string, ctx, err) : rc;
}

static int take_message(void *ctx, struct json_span name, struct json_span value, struct err *err)
{
    struct reading *r = ctx;
    (void)name;
    if (*value.p != '{')
        return ERR(err, FORMAT, "message %zu is no object", r->i);
    TRY(json_scan_each(value, take_member, r, err));
    r->i++;
    return 0;
}

int chat_text_of(struct chat_text *c, struct json_span list, struct buf *text, struct err *err)
{
    struct reading r = { c, text, 0 };
    c->n = 0;
    buf_clear(text);
    if (*list.p != '[')
        return ERR(err, FORMAT, "it is no list of messages");
    return json_scan_each(list, take_message, &r, err);
}

/* ---- back into the record ---- */

static int add_json_string(struct buf *out, const struct buf *characters, struct err *err)
{
    json_t *v = json_stringn(characters->data, characters->len);
    char *s = v ? tree_dumps(v, JSON_ENCODE_ANY) : NULL;
    const int rc = s ? buf_add_str(out, s, err) : ERR(err, NOMEM, "no memory for a string of %zu bytes", characters->len);
    mem_free(s);
    json_decref(v);
    return rc;
}

int chat_text_write(const struct chat_text *c, const char *record, size_t n, chat_change_fn *changed, void *ctx, struct buf *out, struct err *err)
{
    const char *at = record;
    struct buf characters;
    int rc = 0;
    buf_init(&characters);
    for (size_t i = 0; i < c->n && rc >= 0; i++) {
        const struct json_span s = c->piece[i].string;
        buf_clear(&characters);
        rc = changed(ctx, &c->piece[i], &characters, err);
        if (rc <= 0)
            continue;
        rc = buf_add(out, at, (size_t)(s.p - at), err);
        rc = rc ? rc : add_json_string(out, &characters, err);
        at = s.p + s.n;
    }
    buf_release(&characters);
    return rc < 0 ? rc : buf_add(out, at, (size_t)(record + n - at), err);
}
