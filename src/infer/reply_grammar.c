/* reply_grammar.c - what a reply may be. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "infer/reply.h"
#include "infer/schema.h"
#include "infer/schema_build.h"
#include "infer/schema_text.h"

static const struct frag none = { -1, -1 };

/* ---- any text, up to a word ---- */

/* A place that leads to any number of others. */
static int32_t also(struct build *b, int32_t from, int32_t to)
{
    const int32_t next = build_place(b);
    build_way(b, from, to);
    build_way(b, from, next);
    return next;
}

/* Of a word of ASCII: how much of it stands at the end of its first k characters and c. */
static int end_of(const char *word, int k, int c)
{
    char text[64];
    memcpy(text, word, (size_t)k);
    text[k] = (char)c;
    for (int n = k + 1; n > 0; n--)
        if (!memcmp(text + k + 1 - n, word, (size_t)n))
            return n;
    return 0;
}

/* The characters that lead from k characters of the word to exactly `to`; others: all characters but these. */
static struct frag step(struct build *b, const char *word, int k, int to, bool others)
{
    struct code_range r[128];
    int n = 0;
    for (int c = 0; c < 128; c++)
        if ((end_of(word, k, c) == to) != others)
            r[n++] = (struct code_range){ (uint32_t)c, (uint32_t)c };
    return n || others ? build_class(b, r, n, others) : none;
}

/* in: a text that goes on until the word has been read for the first time, which leads to found; it may end before, which leads to
 * ended, unless that is -1. */
static int32_t until(struct build *b, const char *word, int32_t found, int32_t ended)
{
    const int n = (int)strlen(word);
    int32_t place[64];
    for (int k = 0; k < n; k++)
        place[k] = build_place(b);
    for (int k = 0; k < n && b->rc >= 0; k++) {
        int32_t at = place[k];
        if (ended >= 0)
            at = also(b, at, ended);
        for (int to = 0; to <= k + 1 && b->rc >= 0; to++) {
            const struct frag f = step(b, word, k, to, to == 0);
            if (f.in < 0)
                continue;
            at = also(b, at, f.in);
            build_way(b, f.out, to == n ? found : place[to]);
        }
    }
    return place[0];
}

/* A text that does not begin with the word. */
static struct frag not_beginning(struct build *b, const char *word)
{
    const int32_t in = build_place(b), out = build_place(b);
    const struct frag rest = build_star(b, build_class(b, NULL, 0, true));
    int32_t at = in;
    build_way(b, rest.out, out);
    for (const char *c = word; *c && b->rc >= 0; c++) {
        const struct code_range it = { (unsigned char)*c, (unsigned char)*c };
        const struct frag other = build_class(b, &it, 1, true), same = build_class(b, &it, 1, false);
        at = also(b, at, out);
        if (b->rc < 0)
            break;
        build_way(b, other.out, rest.in);
        at = also(b, at, other.in);
        if (!c[1])
            break;
        build_way(b, at, same.in);
        at = same.out;
    }
    return b->rc < 0 ? none : (struct frag){ in, out };
}

/* ---- calls ---- */

static bool can_be_followed(struct build *b, const json_t *schema, const char *where)
{
    const int rc = schema_try(b, schema, where);
    return rc != ERR_UNSUPPORTED && rc != ERR_RANGE;
}

/* Arguments are an object, also where the schema does not say so. */
static struct frag arguments_of(struct build *b, const struct reply_tool *t)
{
    static const char *const elsewhere[] = { "type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const" };
    bool says = false;
    if (b->rc < 0)
        return none;
    if (!t->parameters)
        return text_bytes(b, "{}");
    if (!t->strict && !can_be_followed(b, t->parameters, t->where))
        return text_any_object(b);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        says = says || json_object_get(t->parameters, elsewhere[i]);
    json_t *o = json_copy((json_t *)(uintptr_t)t->parameters);
    if (!o || (!says && json_object_set_new(o, "type", json_string("object")))) {
        json_decref(o);
        b->rc = ERR(&b->err, NOMEM, "no memory for the parameters of a tool");
        return none;
    }
    const struct frag f = build_schema(b, o, t->where);
    json_decref(o);
    return f;
}

/* Name and arguments of any of the tools, with what stands around the name. */
static struct frag any_tool(struct build *b, const struct reply_wish *w)
{
    const bool named = w->form.calls == CHAT_FORM_NAMED;
    struct frag tools = none;
    for (int i = 0; i < w->n_tool && b->rc >= 0; i++) {
        struct frag f = text_bytes(b, named ? "" : "\"");
        f = build_then(b, f, text_bytes(b, w->tool[i].name));
        f = build_then(b, f, text_bytes(b, named ? "[ARGS]" : "\""));
        f = named ? f : build_then(b, f, text_comma(b));
        f = named ? f : build_then(b, f, text_key(b, w->form.arguments));
        f = build_then(b, f, arguments_of(b, &w->tool[i]));
        tools = tools.in < 0 ? f : build_or(b, tools, f);
    }
    return tools;
}

/* {"name": ..., "arguments": ...}, or name[ARGS]... */
static struct frag call(struct build *b, const struct reply_wish *w)
{
    if (w->form.calls == CHAT_FORM_NAMED)
        return any_tool(b, w);
    struct frag head = text_bytes(b, "{");
    if (w->form.calls != CHAT_FORM_BARE)
        head = build_then(b, head, text_space(b));
    head = build_then(b, head, text_key(b, "name"));
    const struct frag tools = any_tool(b, w);
    const struct frag last = build_then(b, text_space(b), text_bytes(b, "}"));
    return build_then(b, build_then(b, head, tools), last);
}

/* Behind what announces the first one; to the end of the text. */
static struct frag calls(struct build *b, const struct reply_wish *w)
{
    struct frag one = call(b, w);
    if (b->rc < 0 || w->form.calls == CHAT_FORM_BARE)
        return one;
    if (w->form.calls == CHAT_FORM_LIST)
        return w->one_call ? build_then(b, build_then(b, text_bytes(b, "["), one), text_bytes(b, "]")) : text_list(b, "[", one, "]", false);
    const bool named = w->form.calls == CHAT_FORM_NAMED;
    const struct frag more = named ? build_empty(b) : text_space(b), open = text_bytes(b, named ? "[TOOL_CALLS]" : "<tool_call>");
    if (!named) {
        const struct frag before = text_space(b), behind = text_space(b), close = text_bytes(b, "</tool_call>");
        one = build_then(b, build_then(b, build_then(b, before, one), behind), close);
    }
    const int32_t again = build_place(b), out = build_place(b);
    if (b->rc < 0)
        return none;
    build_way(b, one.out, again);
    build_way(b, again, out);
    if (!w->one_call) {
        build_way(b, again, more.in);
        build_way(b, more.out, open.in);
        build_way(b, open.out, one.in);
    }
    return (struct frag){ one.in, out };
}

/* Content, calls, or both; of a content that follows a schema not both. */
static struct frag content_and_calls(struct build *b, const struct reply_wish *w)
{
    const char *const word = w->form.calls == CHAT_FORM_TAGGED ? "<tool_call>" : "[TOOL_CALLS]";
    const struct frag f = calls(b, w);
    if (b->rc < 0)
        return none;
    const bool bare = w->form.calls == CHAT_FORM_BARE;
    if (w->must_call || w->schema) {
        const struct frag called = bare ? f : build_then(b, text_bytes(b, word), f);
        return w->must_call ? called : build_or(b, called, build_schema(b, w->schema, w->where));
    }
    if (bare)
        return build_or(b, f, not_beginning(b, "{\"name\""));
    const int32_t out = build_place(b), in = until(b, word, f.in, out);
    if (b->rc < 0)
        return none;
    build_way(b, f.out, out);
    return (struct frag){ in, out };
}

/* ---- all of it ---- */

static struct frag make_blank(struct build *b)
{
    static const struct code_range blank[] = { { '\n', '\n' }, { ' ', ' ' } };
    const int32_t from = b->n_node;
    const struct frag one = build_class(b, blank, 2, false);
    return build_repeat(b, one, from, 0, 4);
}

/* Thoughts in front of the rest.  They may go on to the end of the text where nothing must follow. */
static struct frag with_thoughts(struct build *b, const struct reply_wish *w, struct frag rest)
{
    const bool may_end = w->n_tool && !w->must_call && !w->schema;
    if (w->form.thinking == REPLY_NO_THOUGHTS || b->rc < 0)
        return rest;
    const struct frag behind = make_blank(b);
    const int32_t out = build_place(b), thoughts = until(b, "</think>", behind.in, may_end ? out : -1);
    if (b->rc < 0)
        return none;
    build_way(b, behind.out, rest.in);
    build_way(b, rest.out, out);
    if (w->form.thinking == REPLY_THINKS)
        return (struct frag){ thoughts, out };
    const struct frag open = text_bytes(b, "<think>");
    const int32_t in = build_place(b);
    if (b->rc < 0)
        return none;
    build_way(b, open.out, thoughts);
    build_way(b, in, open.in);
    build_way(b, in, rest.in);
    return (struct frag){ in, out };
}

/* gpt-oss's: any number of messages of thoughts, then the one that is the rest. */
static struct frag with_channels(struct build *b, struct frag rest)
{
    const struct frag think = text_bytes(b, "<|channel|>analysis<|message|>"), next = text_bytes(b, "<|start|>assistant"), final = text_bytes(b, "<|channel|>final<|message|>");
    const int32_t in = build_place(b);
    if (b->rc < 0)
        return none;
    build_way(b, think.out, until(b, "<|end|>", next.in, -1));
    build_way(b, next.out, in);
    build_way(b, in, think.in);
    build_way(b, in, final.in);
    build_way(b, final.out, rest.in);
    return (struct frag){ in, rest.out };
}

int reply_grammar(struct grammar **out, const struct reply_wish *w, struct err *err)
{
    struct build b = { 0 };
    text_begin(&b);
    const struct frag rest = w->n_tool ? content_and_calls(&b, w) : build_schema(&b, w->schema, w->where), f = w->form.thinking == REPLY_CHANNELS ? with_channels(&b, rest) : with_thoughts(&b, w, rest);
    const int root = b.rc < 0 ? -1 : build_rule(&b, "(reply)", 7);
    if (b.rc >= 0)
        build_define(&b, root, f);
    return build_end(&b, root, out, err);
}
