#include "infer/schema.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "infer/regex.h"
#include "infer/schema_build.h"
#include "infer/schema_text.h"

static const struct frag none = { -1, -1 };

static struct frag value(struct schema *s, const json_t *x);

/* ---- where it is ---- */

static size_t enter(struct schema *s, const char *keyword, const char *name)
{
    const size_t was = s->path.len;
    const int rc = *keyword ? buf_printf(&s->path, &s->b->err, *name ? "/%s/%s" : "/%s", keyword, name) : 0;
    if (rc < 0 && !schema_failed(s))
        s->b->rc = rc;
    return was;
}

static void leave(struct schema *s, size_t was)
{
    s->path.len = was;
    s->path.data[was] = 0;
}

struct frag schema_inside(struct schema *s, const char *keyword, const char *name, const json_t *x)
{
    const size_t was = enter(s, keyword, name);
    const struct frag f = value(s, x);
    leave(s, was);
    return f;
}

struct frag schema_inside_at(struct schema *s, const char *keyword, size_t i, const json_t *x)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    return schema_inside(s, keyword, number, x);
}

static struct frag either(struct build *b, struct frag x, struct frag y) { return x.in < 0 ? y : build_or(b, x, y); }

/* ---- which keywords there are ---- */

static const struct { const char *keyword, *type; } keywords[] = {
    { "$ref", NULL }, { "allOf", NULL }, { "anyOf", NULL }, { "oneOf", NULL }, { "type", NULL }, { "enum", NULL }, { "const", NULL },
    { "properties", "object" }, { "required", "object" }, { "additionalProperties", "object" }, { "patternProperties", "object" }, { "propertyNames", "object" },
    { "minProperties", "object" }, { "maxProperties", "object" },
    { "items", "array" }, { "prefixItems", "array" }, { "additionalItems", "array" }, { "minItems", "array" }, { "maxItems", "array" }, { "uniqueItems", "array" },
    { "minLength", "string" }, { "maxLength", "string" }, { "pattern", "string" }, { "format", "string" },
    { "minimum", "number" }, { "maximum", "number" }, { "exclusiveMinimum", "number" }, { "exclusiveMaximum", "number" }, { "multipleOf", "number" },
};
#define N_KEYWORD (sizeof keywords / sizeof *keywords)

static const char *const types[] = { "null", "boolean", "integer", "number", "string", "array", "object" };
#define N_TYPE (sizeof types / sizeof *types)
enum { T_NULL, T_BOOLEAN, T_INTEGER, T_NUMBER, T_STRING, T_ARRAY, T_OBJECT };

static int keyword_of(const char *name)
{
    for (size_t i = 0; i < N_KEYWORD; i++)
        if (!strcmp(keywords[i].keyword, name))
            return (int)i;
    return -1;
}

static bool check_keywords(struct schema *s, const json_t *x)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)x, key, v)
        if (schema_says(key) && keyword_of(key) < 0)
            schema_fail(s, ERR_UNSUPPORTED, key, "this keyword cannot be made into a grammar");
    return !schema_failed(s);
}

static bool says_anything(const json_t *x)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)x, key, v)
        if (schema_says(key))
            return true;
    return false;
}

/* ---- constants ---- */

static int type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL: return T_NULL;
    case JSON_INTEGER: return T_INTEGER;
    case JSON_REAL: return json_real_value(v) == floor(json_real_value(v)) ? T_INTEGER : T_NUMBER;
    case JSON_STRING: return T_STRING;
    case JSON_ARRAY: return T_ARRAY;
    case JSON_OBJECT: return T_OBJECT;
    default: return T_BOOLEAN;
    }
}

static bool allows_type(unsigned allowed, int type) { return (allowed >> type & 1) || (type == T_INTEGER && allowed >> T_NUMBER & 1); }

/* The constants must be what the schema's other keywords allow; what those of their type say is not looked into. */
static bool check_constant(struct schema *s, const json_t *x, const json_t *v)
{
    const int type = type_of(v);
    for (size_t i = 0; i < N_KEYWORD; i++)
        if (keywords[i].type && json_object_get(x, keywords[i].keyword) && !strcmp(keywords[i].type, types[type == T_INTEGER ? T_NUMBER : type]))
            schema_fail(s, ERR_UNSUPPORTED, keywords[i].keyword, "beside constants of the same type it cannot be kept");
    return !schema_failed(s);
}

struct constants { struct word *w; int n; struct buf text; struct frag f; };

static void add_constant(struct schema *s, struct constants *c, const json_t *v)
{
    if (json_is_object(v) || json_is_array(v)) {
        const struct frag f = text_constant(s->b, v);
        c->f = c->f.in < 0 ? f : build_or(s->b, c->f, f);
        return;
    }
    const size_t at = c->text.len;
    const int rc = text_constant_text(&c->text, v, &s->b->err);
    if (rc < 0 && !schema_failed(s))
        s->b->rc = rc;
    else if (c->text.len > SCHEMA_BYTES_MAX)
        schema_fail(s, ERR_RANGE, "enum", "constants of more than %zu bytes", SCHEMA_BYTES_MAX);
    c->w[c->n++] = (struct word){ (const char *)(uintptr_t)at, c->text.len - at };      /* the text may move until all are there */
}

static struct frag constants(struct schema *s, const json_t *x, unsigned allowed)
{
    const json_t *one = json_object_get(x, "const"), *list = json_object_get(x, "enum");
    struct constants c = { .f = none };
    struct frag f = none;
    size_t i;
    json_t *v;
    if (list && (!json_is_array(list) || !json_array_size(list)))
        return schema_fail(s, ERR_FORMAT, "enum", "expected a list of values"), none;
    buf_init(&c.text);
    if (!(c.w = mem_alloc_array(json_array_size(list) + 1, sizeof *c.w)))
        s->b->rc = ERR(&s->b->err, NOMEM, "no memory for constants");
    if (!list && allows_type(allowed, type_of(one)) && !schema_failed(s) && check_constant(s, x, one))
        add_constant(s, &c, one);
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
        if (!schema_failed(s) && allows_type(allowed, type_of(v)) && (!one || json_equal(one, v)) && check_constant(s, x, v))
            add_constant(s, &c, v);
    for (int k = 0; k < c.n; k++)
        c.w[k].text = c.text.data + (uintptr_t)c.w[k].text;
    if (c.n && !schema_failed(s))
        f = build_words(s->b, c.w, c.n);
    if (c.f.in >= 0)
        f = either(s->b, f, c.f);
    if (!schema_failed(s) && f.in < 0)
        schema_fail(s, ERR_FORMAT, list ? "enum" : "const", "none of the values is one that the other keywords allow");
    mem_free(c.w);
    buf_release(&c.text);
    return schema_failed(s) ? none : f;
}

/* ---- any schema ---- */

/* Bits of types that may be: those that are named or, without a name, those that keywords speak of; all. */
static unsigned types_of(struct schema *s, const json_t *x)
{
    const json_t *t = json_object_get(x, "type");
    unsigned bits = 0;
    for (size_t k = 0; k < (json_is_array(t) ? json_array_size(t) : t != NULL); k++) {
        const char *name = schema_name(json_is_array(t) ? json_array_get(t, k) : t);
        size_t i = 0;
        while (i < N_TYPE && (!name || strcmp(name, types[i])))
            i++;
        if (i == N_TYPE)
            schema_fail(s, ERR_FORMAT, "type", "'%.40s', expected null, boolean, integer, number, string, array or object", name ? name : "?");
        else
            bits |= 1u << i;
    }
    if (t)
        return bits;
    for (size_t i = 0; i < N_KEYWORD && !json_object_get(x, "enum") && !json_object_get(x, "const"); i++)
        for (size_t k = 0; keywords[i].type && k < N_TYPE; k++)
            if (!strcmp(keywords[i].type, types[k]) && json_object_get(x, keywords[i].keyword))
                bits |= 1u << k;
    return bits ? bits : (1u << N_TYPE) - 1;
}

static struct frag of_type(struct schema *s, const json_t *x, int type)
{
    switch (type) {
    case T_NULL: return text_bytes(s->b, "null");
    case T_BOOLEAN: return build_or(s->b, text_bytes(s->b, "true"), text_bytes(s->b, "false"));
    case T_INTEGER: return schema_number(s, x, true);
    case T_NUMBER: return schema_number(s, x, false);
    case T_STRING: return schema_string(s, x);
    case T_ARRAY: return schema_array(s, x);
    default: return schema_object(s, x);
    }
}

static struct frag by_types(struct schema *s, const json_t *x)
{
    unsigned bits = types_of(s, x);
    struct frag f = none;
    if (schema_failed(s))
        return none;
    if (json_object_get(x, "enum") || json_object_get(x, "const"))
        return constants(s, x, bits);
    if (bits >> T_NUMBER & 1)
        bits &= ~(1u << T_INTEGER);
    for (int i = 0; i < (int)N_TYPE && !schema_failed(s); i++)
        if (bits >> i & 1)
            f = either(s->b, f, of_type(s, x, i));
    if (!bits)
        schema_fail(s, ERR_FORMAT, "type", "no type is left");
    return f;
}

/* The rule that the pointer leads to. */
static struct frag reference(struct schema *s, const char *ref)
{
    const json_t *target = schema_target(s, ref);
    char *name = target ? mem_printf("%s%s", s->where, ref) : NULL;
    if (target && !name)
        s->b->rc = ERR(&s->b->err, NOMEM, "no memory for the name of a schema");
    const int rule = name ? build_rule(s->b, name, strlen(name)) : -1;
    mem_free(name);
    if (schema_failed(s))
        return none;
    if (!s->b->rule[rule].begun) {
        if (s->n_ref == s->cap_ref) {
            const int cap = s->cap_ref ? 2 * s->cap_ref : 16;
            void *p = mem_realloc_array(s->ref, (size_t)cap, sizeof *s->ref);
            if (!p)
                return s->b->rc = ERR(&s->b->err, NOMEM, "no memory for the schemas of $ref"), none;
            s->ref = p, s->cap_ref = cap;
        }
        s->b->rule[rule].begun = true;
        s->ref[s->n_ref++] = (struct schema_ref){ target, rule, ref };
    }
    return build_call(s->b, rule);
}

static const json_t *all_of(struct schema *s, const json_t *x)
{
    const json_t *list = json_object_get(x, "allOf"), *both = schema_without(s, x, "allOf", true);
    size_t i;
    json_t *v;
    if (!json_is_array(list) || !json_array_size(list)) {
        schema_fail(s, ERR_FORMAT, "allOf", "expected a list of schemas");
        return NULL;
    }
    if (both && !json_object_size(both) && json_array_size(list) == 1)
        return json_array_get(list, 0);
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
        if (both && !schema_failed(s))
            both = schema_both(s, both, v);
    return schema_failed(s) ? NULL : both;
}

/* oneOf: what is written for one option must not follow another. */
static bool check_apart(struct schema *s, const json_t *const *option, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (i != k && !schema_apart(s, option[i], option[k], 0)) {
                schema_fail(s, ERR_UNSUPPORTED, "oneOf", "options %zu and %zu may both be followed by one value, as far as can be seen; anyOf would do", i, k);
                return false;
            }
    return !schema_failed(s);
}

static struct frag options(struct schema *s, const json_t *x, const char *keyword)
{
    const json_t *list = json_object_get(x, keyword), *rest = schema_without(s, x, keyword, true);
    const size_t n = json_array_size(list);
    struct frag f = none;
    if (!n)
        return schema_fail(s, ERR_FORMAT, keyword, "expected a list of schemas"), none;
    const json_t **option = mem_alloc_array(n, sizeof *option);
    if (!option || !rest) {
        mem_free(option);
        return s->b->rc = ERR(&s->b->err, NOMEM, "no memory for a schema"), none;
    }
    for (size_t i = 0; i < n && !schema_failed(s); i++)
        option[i] = json_object_size(rest) ? schema_both(s, rest, json_array_get(list, i)) : json_array_get(list, i);
    if (!schema_failed(s) && (*keyword == 'a' || check_apart(s, option, n)))
        for (size_t i = 0; i < n && !schema_failed(s); i++)
            if (!json_is_false(option[i]))
                f = either(s->b, f, schema_inside_at(s, keyword, i, option[i]));
    mem_free(option);
    if (!schema_failed(s) && f.in < 0)
        schema_fail(s, ERR_FORMAT, keyword, "nothing follows any of them");
    return f;
}

static struct frag of_object(struct schema *s, const json_t *x)
{
    const json_t *ref = json_object_get(x, "$ref");
    if (!check_keywords(s, x))
        return none;
    if (ref) {
        const json_t *rest = schema_without(s, x, "$ref", true);
        if (schema_name(ref) && rest && !json_object_size(rest))
            return reference(s, schema_name(ref));
        x = schema_resolved(s, x);
        return x ? value(s, x) : none;
    }
    if (json_object_get(x, "allOf")) {
        x = all_of(s, x);
        return x ? value(s, x) : none;
    }
    if (json_object_get(x, "anyOf") || json_object_get(x, "oneOf"))
        return options(s, x, json_object_get(x, "anyOf") ? "anyOf" : "oneOf");
    return by_types(s, x);
}

static struct frag value(struct schema *s, const json_t *x)
{
    struct frag f = none;
    if (!schema_look(s))
        return none;
    if (++s->depth > SCHEMA_DEPTH_MAX)
        schema_fail(s, ERR_RANGE, "", "schemas more than %d inside each other", SCHEMA_DEPTH_MAX);
    else if (json_is_false(x))
        schema_fail(s, ERR_FORMAT, "", "false: nothing follows it");
    else if (json_is_true(x) || (json_is_object(x) && !says_anything(x)))
        f = text_any(s->b);
    else if (!json_is_object(x))
        schema_fail(s, ERR_FORMAT, "", "expected a schema: an object, true or false");
    else
        f = of_object(s, x);
    s->depth--;
    return schema_failed(s) ? none : f;
}

struct frag build_schema(struct build *b, const json_t *root, const char *where)
{
    struct schema s = { .b = b, .root = root, .where = where, .made = json_array() };
    const uint64_t refused = mem_json_refused();
    buf_init(&s.path);
    if (!s.made && b->rc >= 0)
        b->rc = ERR(&b->err, NOMEM, "no memory for a schema");
    text_begin(b);
    struct frag f = schema_failed(&s) ? none : value(&s, root);
    while (s.n_ref && !schema_failed(&s)) {
        const struct schema_ref r = s.ref[--s.n_ref];
        leave(&s, 0);
        enter(&s, r.text[1] ? r.text + 2 : "", "");
        const struct frag body = value(&s, r.schema);
        if (!schema_failed(&s))
            build_define(b, r.rule, body);
    }
    if (mem_json_refused() != refused)               /* jansson's copies lose what they have no memory for, and another error may follow from that */
        b->rc = ERR(&b->err, NOMEM, "no memory for a schema");
    buf_release(&s.path);
    json_decref(s.made);
    mem_free(s.ref);
    return schema_failed(&s) ? none : f;
}

/* ---- grammars ---- */

/* Around a fragment: the rule that is the text. */
static int finish(struct build *b, struct frag f, struct grammar **out, struct err *err)
{
    const int root = b->rc < 0 ? -1 : build_rule(b, "(text)", 6);
    if (b->rc >= 0)
        build_define(b, root, f);
    return build_end(b, root, out, err);
}

int schema_try(struct build *b, const json_t *schema, const char *where)
{
    struct grammar *g = NULL;
    struct build own = { .looks = b->looks, .work = b->work };
    struct err err;
    const struct frag f = build_schema(&own, schema, where);
    const int looks = own.looks;
    const size_t work = own.work + (size_t)own.n_node;
    const int rc = finish(&own, f, &g, &err);
    grammar_free(g);
    if (rc < 0)
        b->looks = looks, b->work = work < SCHEMA_WORK_MAX ? work : SCHEMA_WORK_MAX;
    return rc;
}

int schema_grammar(struct grammar **out, const json_t *schema, const char *where, struct err *err)
{
    struct build b = { 0 };
    return finish(&b, build_schema(&b, schema, where), out, err);
}

int regex_grammar(struct grammar **out, const char *text, size_t n, const char *where, struct err *err)
{
    struct build b = { 0 };
    return finish(&b, build_regex(&b, text, n, REGEX_TEXT, true, NULL, where), out, err);
}

int choice_grammar(struct grammar **out, const json_t *texts, const char *where, struct err *err)
{
    struct build b = { 0 };
    const size_t n = json_array_size(texts);
    struct word *w = mem_alloc_array(n + 1, sizeof *w);
    int rc = w ? 0 : ERR(err, NOMEM, "no memory for %zu texts", n);
    *out = NULL;
    if (!rc && !n)
        rc = ERR(err, FORMAT, "%s: expected a list of texts", where);
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *t = json_array_get(texts, i);
        if (!json_is_string(t) || !json_string_length(t))
            rc = ERR(err, FORMAT, "%s[%zu] is no text, or an empty one", where, i);
        else
            w[i] = (struct word){ json_string_value(t), json_string_length(t) };
    }
    if (!rc)
        rc = finish(&b, build_words(&b, w, (int)n), out, err);
    mem_free(w);
    return rc;
}
