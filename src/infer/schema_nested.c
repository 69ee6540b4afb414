/* schema_nested.c - arrays and objects: what stands in them in which order, and where they may end. */
#include <string.h>
#include "base/mem.h"
#include "infer/schema_build.h"
#include "infer/schema_text.h"

static const struct frag none = { -1, -1 };

/* ---- arrays ---- */

/* A rule of its own, for what is repeated. */
static int in_rule(struct build *b, struct frag f)
{
    const int rule = build_rule(b, NULL, 0);
    if (b->rc >= 0)
        build_define(b, rule, f);
    return rule;
}

struct row { struct build *b; int32_t at, close, close_first; bool any; };      /* at: behind what has been written; close: ] after something */

/* One more, which may be the last if enough are there. */
static void row_add(struct row *r, struct frag item, bool may_end)
{
    const struct frag comma = r->any ? text_comma(r->b) : none;
    const struct frag f = r->any ? build_then(r->b, comma, item) : item;
    if (r->b->rc < 0)
        return;
    build_way(r->b, r->at, f.in);
    if (may_end)
        build_way(r->b, r->at, r->any ? r->close : r->close_first);
    r->at = f.out, r->any = true;
}

/* min .. max more of the same. */
static void row_rest(struct row *r, int rule, int min, int max)
{
    struct build *b = r->b;
    if (!r->any) {
        row_add(r, build_call(b, rule), min == 0);
        min = min ? min - 1 : 0, max = max < 0 ? -1 : max - 1;
    }
    const int32_t from = b->n_node;
    const struct frag comma = text_comma(b), next = build_then(b, comma, build_call(b, rule)), rest = build_repeat(b, next, from, min, max);
    if (b->rc < 0)
        return;
    build_way(b, r->at, rest.in);
    r->at = rest.out;
}

struct frag schema_array(struct schema *s, const json_t *x)
{
    const json_t *items = json_object_get(x, "items"), *first = json_object_get(x, "prefixItems"), *unique = json_object_get(x, "uniqueItems");
    const char *keyword = "items", *prefix = "prefixItems";
    const int low = schema_count(s, x, "minItems"), max = schema_count(s, x, "maxItems"), min = low > 0 ? low : 0;
    if (unique && !json_is_false(unique))
        schema_fail(s, ERR_UNSUPPORTED, "uniqueItems", "this keyword cannot be made into a grammar");
    if (json_is_array(items))                    /* as drafts before 2020-12 have it */
        first = items, items = json_object_get(x, "additionalItems"), keyword = "additionalItems", prefix = "items";
    if (first && !json_is_array(first))
        schema_fail(s, ERR_FORMAT, "prefixItems", "expected a list of schemas");
    if (schema_failed(s) || !schema_check_ends(s, "maxItems", min, max))
        return none;
    const int n = (int)json_array_size(first), n_first = max >= 0 && n > max ? max : n;
    if (!first && !items && !min && max < 0)
        return text_any_array(s->b);
    const bool more = first ? (items && !json_is_false(items)) || min > n_first : !json_is_false(items);
    if (json_is_false(items) && min > n_first)
        return schema_fail(s, ERR_FORMAT, "minItems", "%d, but there can be %d items only", min, n_first), none;
    struct build *b = s->b;
    const json_t *item = items ? items : json_true();
    if (!first && more && min <= 1 && max < 0)
        return text_list(b, "[", schema_inside(s, keyword, "", item), "]", !min);
    const struct frag begin = build_then(b, text_bytes(b, "["), text_space(b)), end = build_then(b, text_space(b), text_bytes(b, "]")), empty = text_bytes(b, "]");
    struct row r = { .b = b, .at = begin.out, .close = end.in, .close_first = empty.in };
    for (int i = 0; i < n_first && !schema_failed(s); i++)
        row_add(&r, schema_inside_at(s, prefix, (size_t)i, json_array_get(first, (size_t)i)), i >= min);
    if (more && (max < 0 || max > n_first)) {
        const int rule = in_rule(b, schema_inside(s, keyword, "", item));
        if (!schema_failed(s))
            row_rest(&r, rule, min > n_first ? min - n_first : 0, max < 0 ? (items || !first ? -1 : min - n_first) : max - n_first);
    }
    if (schema_failed(s))
        return none;
    const int32_t out = build_place(b);
    build_way(b, r.at, r.any ? r.close : r.close_first);
    build_way(b, end.out, out);
    build_way(b, empty.out, out);
    return (struct frag){ begin.in, out };
}

/* ---- objects ---- */

bool schema_requires(const json_t *x, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(x, "required"), i, v)
        if (schema_name(v) && !strcmp(schema_name(v), key))
            return true;
    return false;
}

/* before: nothing is written yet; behind: something is.  -1: cannot be. */
struct names { int32_t before, behind; };

static void add_name(struct schema *s, struct names *at, struct frag member, bool required)
{
    struct build *b = s->b;
    if (schema_failed(s))
        return;
    const int32_t before = required || at->before < 0 ? -1 : build_place(b), behind = build_place(b);
    if (at->before >= 0)
        build_way(b, at->before, member.in);
    if (at->behind >= 0) {
        const struct frag comma = text_comma(b);
        if (schema_failed(s))
            return;
        build_way(b, at->behind, comma.in);
        build_way(b, comma.out, member.in);
    }
    if (!required && before >= 0)
        build_way(b, at->before, before);
    if (!required && at->behind >= 0)
        build_way(b, at->behind, behind);
    if (!schema_failed(s))
        build_way(b, member.out, behind);
    *at = (struct names){ before, behind };
}

/* The names of `required`, each once; NULL: no memory.  What is no name is refused by add_properties. */
static json_t *required_names(struct schema *s, const json_t *x)
{
    json_t *names = json_object(), *v;
    size_t i;
    json_array_foreach(json_object_get(x, "required"), i, v)
        if (names && schema_name(v) && json_object_set_new(names, schema_name(v), json_true())) {
            json_decref(names);
            names = NULL;
        }
    if (!names)
        s->b->rc = ERR(&s->b->err, NOMEM, "no memory for the names of an object");
    return names;
}

/* left: names of `required` that are not written yet. */
static void add_properties(struct schema *s, const json_t *x, json_t *left, struct names *at)
{
    const json_t *p = json_object_get(x, "properties");
    const char *key;
    json_t *v;
    if (!schema_work(s, json_object_size(p) * json_array_size(json_object_get(x, "required"))))
        return;
    json_object_foreach((json_t *)(uintptr_t)p, key, v) {
        const bool required = schema_requires(x, key);
        if (json_is_false(v) && !required)
            continue;
        const struct frag name = text_key(s->b, key), member = build_then(s->b, name, schema_inside(s, "properties", key, v));
        add_name(s, at, member, required);
    }
    size_t i;
    json_array_foreach(json_object_get(x, "required"), i, v) {          /* names that only stand there */
        const json_t *more = json_object_get(x, "additionalProperties");
        const char *required = schema_name(v);
        if (!required) {
            schema_fail(s, ERR_FORMAT, "required", "expected a list of names, and no NUL in them");
            return;
        }
        if (json_object_get(p, required) || json_object_del(left, required))
            continue;
        if (json_is_false(more))
            schema_fail(s, ERR_FORMAT, "required", "'%.60s' is not among the properties, and there may be no others", required);
        const struct frag name = text_key(s->b, required), member = build_then(s->b, name, schema_inside(s, "additionalProperties", "", more ? more : json_true()));
        add_name(s, at, member, true);
    }
}

/* A name that is none of those that are given. */
static struct frag other_name(struct schema *s, const json_t *x)
{
    const json_t *p = json_object_get(x, "properties"), *required = json_object_get(x, "required");
    const char *key;
    json_t *v;
    size_t i;
    int n = 0;
    struct word *w = mem_alloc_array(json_object_size(p) + json_array_size(required) + 1, sizeof *w);
    if (!w)
        return s->b->rc = ERR(&s->b->err, NOMEM, "no memory for the names of an object"), none;
    json_object_foreach((json_t *)(uintptr_t)p, key, v)
        w[n++] = (struct word){ key, strlen(key) };
    json_array_foreach((json_t *)(uintptr_t)required, i, v)
        if (json_is_string(v))
            w[n++] = (struct word){ json_string_value(v), json_string_length(v) };
    const struct frag f = n ? text_other_string(s->b, w, n) : text_any_string(s->b);
    mem_free(w);
    return f;
}

/* Any others, behind those that are given. */
static void add_others(struct schema *s, const json_t *x, struct names *at, const json_t *more)
{
    struct build *b = s->b;
    const struct frag name = other_name(s, x), member = text_member(b, name, schema_inside(s, "additionalProperties", "", more)), comma = text_comma(b);
    if (schema_failed(s))
        return;
    const int32_t before = build_place(b), behind = build_place(b), again = build_place(b);
    build_way(b, again, comma.in);
    build_way(b, again, behind);
    build_way(b, comma.out, member.in);
    build_way(b, member.out, again);
    if (at->before >= 0) {
        build_way(b, at->before, member.in);
        build_way(b, at->before, before);
    }
    if (at->behind >= 0) {
        build_way(b, at->behind, again);
    }
    *at = (struct names){ at->before < 0 ? -1 : before, behind };
}

/* Names by a rule: there are no others. */
static struct frag by_pattern(struct schema *s, const json_t *x)
{
    const json_t *p = json_object_get(x, "patternProperties"), *names = json_object_get(x, "propertyNames"), *more = json_object_get(x, "additionalProperties");
    const char *key;
    json_t *v;
    if (json_object_size(json_object_get(x, "properties")) || json_array_size(json_object_get(x, "required")) || (p && names) || (p && json_object_size(p) != 1) || (p && more && !json_is_false(more)))
        return schema_fail(s, ERR_UNSUPPORTED, p ? "patternProperties" : "propertyNames", "can only be kept where it alone says which names there are, and once"), none;
    if (names) {
        json_t *string_type = json_pack("{s:s}", "type", "string");
        const json_t *both = string_type ? schema_both(s, names, string_type) : NULL;
        const struct frag name = both ? schema_inside(s, "propertyNames", "", both) : none;
        json_decref(string_type);
        if (!both && !schema_failed(s))
            return s->b->rc = ERR(&s->b->err, NOMEM, "no memory for a schema"), none;
        return text_list(s->b, "{", text_member(s->b, name, schema_inside(s, "additionalProperties", "", more ? more : json_true())), "}", true);
    }
    json_object_foreach((json_t *)(uintptr_t)p, key, v) {
        json_t *text = json_string(key);
        const struct frag name = schema_pattern(s, text, "patternProperties", NULL);
        json_decref(text);
        return text_list(s->b, "{", text_member(s->b, name, schema_inside(s, "patternProperties", key, v)), "}", true);
    }
    return text_any_object(s->b);
}

/* Numbers of properties can be kept where what else is said makes sure of them. */
static bool check_numbers(struct schema *s, const json_t *x, int n_required, bool open)
{
    const int min = schema_count(s, x, "minProperties"), max = schema_count(s, x, "maxProperties"), n = (int)json_object_size(json_object_get(x, "properties"));
    if (min > n_required)
        schema_fail(s, ERR_UNSUPPORTED, "minProperties", "%d, of which `required` has %d only", min, n_required);
    if (max >= 0 && (open || n > max))
        schema_fail(s, ERR_UNSUPPORTED, "maxProperties", "more than %d are allowed by the other keywords", max);
    return !schema_failed(s);
}

/* names: of `required`. */
static struct frag object_of(struct schema *s, const json_t *x, json_t *names, bool open)
{
    const json_t *more = json_object_get(x, "additionalProperties");
    struct build *b = s->b;
    if (json_object_get(x, "patternProperties") || json_object_get(x, "propertyNames"))
        return by_pattern(s, x);
    if (open && !more && !json_array_size(json_object_get(x, "required")))
        return text_any_object(b);
    const struct frag begin = build_then(b, text_bytes(b, "{"), text_space(b)), end = build_then(b, text_space(b), text_bytes(b, "}")), empty = text_bytes(b, "}");
    struct names at = { begin.out, -1 };
    add_properties(s, x, names, &at);
    if (open && !schema_failed(s))
        add_others(s, x, &at, more ? more : json_true());
    if (schema_failed(s))
        return none;
    const int32_t out = build_place(b);
    if (at.before >= 0)
        build_way(b, at.before, empty.in);
    if (at.behind >= 0)
        build_way(b, at.behind, end.in);
    build_way(b, end.out, out);
    build_way(b, empty.out, out);
    return (struct frag){ begin.in, out };
}

struct frag schema_object(struct schema *s, const json_t *x)
{
    const json_t *p = json_object_get(x, "properties"), *more = json_object_get(x, "additionalProperties"), *required = json_object_get(x, "required");
    if (p && !json_is_object(p))
        schema_fail(s, ERR_FORMAT, "properties", "expected an object of schemas");
    if (required && !json_is_array(required))
        schema_fail(s, ERR_FORMAT, "required", "expected a list of names");
    const bool open = more ? !json_is_false(more) : !p;
    json_t *names = schema_failed(s) ? NULL : required_names(s, x);
    const struct frag f = names && check_numbers(s, x, (int)json_object_size(names), open) ? object_of(s, x, names, open) : none;
    json_decref(names);
    return f;
}
