/* fuzz_schema.c - any bytes as a schema and, behind a zero, a text: what a schema's grammar reads is JSON, as jansson has it, and what
 * is read byte by byte is read at once.  A first byte 1 makes the rest a regular expression instead; a first byte 2 a reply, of the form
 * that the next says, which is told the same whole and byte by byte. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/tree.h"
#include "infer/reply.h"
#include "infer/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void follow(struct grammar *g, const char *text, size_t n, bool json)
{
    struct err err;
    struct follower *a, *b;
    size_t read = 0;
    if (follower_new(&a, g, NULL, &err))
        return;
    while (read < n && follower_add(a, text + read, 1, &err) == 0)
        read++;
    if (!follower_new(&b, g, NULL, &err)) {
        if (follower_add(b, text, read, &err) < 0 || follower_may_end(a) != follower_may_end(b))
            abort();
        if (json && read == n && follower_may_end(a)) {
            json_t *x = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            if (!x && !memmem(text, n, "\\u0000", 6) && !memmem(text, n, "e", 1) && !memmem(text, n, "E", 1) && n < 19)     /* NUL in names, numbers beyond jansson's */
                abort();
            json_decref(x);
        }
        follower_free(b);
    }
    follower_free(a);
}

static void read_reply(const uint8_t *data, size_t n)
{
    static const enum chat_form forms[] = { CHAT_FORM_NONE, CHAT_FORM_TAGGED, CHAT_FORM_LIST, CHAT_FORM_BARE, CHAT_FORM_NAMED };
    const struct reply_form form = { (enum reply_thinking)(*data % 3), forms[*data / 3 % 5], *data & 128 ? "parameters" : "arguments", *data / 16 % 2 };
    struct reply *a, *b;
    struct err err;
    if (reply_new(&a, &form, &err) || reply_new(&b, &form, &err))
        abort();
    reply_add(a, (const char *)data + 1, n - 1, NULL);
    for (size_t i = 1; i < n; i++)
        reply_add(b, (const char *)data + i, 1, NULL);
    if (reply_end(a, NULL) || reply_end(b, NULL) || reply_n_call(a) != reply_n_call(b))
        abort();
    const struct buf *x = reply_content(a), *y = reply_content(b), *t = reply_thought(a), *u = reply_thought(b);
    if (x->len != y->len || memcmp(x->data, y->data, x->len) || t->len != u->len || memcmp(t->data, u->data, t->len))
        abort();
    reply_free(a);
    reply_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err;
    struct grammar *g = NULL;
    json_t *schema = NULL;
    if (!n || n > 8192)
        return 0;
    if (*data == 2 && n > 1) {
        read_reply(data + 1, n - 1);
        return 0;
    }
    const bool regex = *data == 1;
    const uint8_t *zero = memchr(data, 0, n);
    const size_t n_schema = zero ? (size_t)(zero - data) : n, n_text = zero ? n - n_schema - 1 : 0;
    if (regex)
        regex_grammar(&g, (const char *)data + 1, n_schema - 1, "regex", &err);
    else if (!tree_parse_json(&schema, (const char *)data, n_schema, "schema", &err))
        schema_grammar(&g, schema, "schema", &err);
    if (g)
        follow(g, zero ? (const char *)zero + 1 : "", n_text, !regex);
    grammar_free(g);
    json_decref(schema);
    return 0;
}
