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

static struct frag inside(struct schema *s, const char *keyword, const char *name, const json_t *x)
{
    const size_t was = enter(s, keyword, name);
    const struct frag f = value(s, x);
    leave(s, was);
    return f;
}

static struct frag inside_at(struct schema *s, const char *keyword, size_t i, const json_t *x)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    return inside(s, keyword, number, x);
}

static struct frag either(struct build *b, struct frag x, struct frag y) { return x.in < 0 ? y : build_or(b, x, y); }

/* A count: a whole number from 0 on, at most GRAMMAR_REPEAT_MAX; -1: absent. */
static int count_of(struct schema *s, const json_t *x, const char *keyword)
{
    const json_t *v = json_object_get(x, keyword);
    if (!v)
        return -1;
    const double n = json_number_value(v);
    if (!json_is_number(v) || n < 0 || n != floor(n))
        schema_fail(s, ERR_FORMAT, keyword, "expected a whole number from 0 on");
    else if (n > GRAMMAR_REPEAT_MAX)
        schema_fail(s, ERR_RANGE, keyword, "%.0f, expected at most %d", n, GRAMMAR_REPEAT_MAX);
    return schema_failed(s) ? -1 : (int)n;
}

static bool check_ends(struct schema *s, const char *keyword, int min, int max)
{
    if (max >= 0 && min > max)
        schema_fail(s, ERR_FORMAT, keyword, "%d, but the least is %d", max, min);
    return !schema_failed(s);
}

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

/* ---- numbers ---- */

/* An end of the range, and whether it belongs to it; +-INFINITY if there is none. */
static double end_of(struct schema *s, const json_t *x, bool low, bool *open)
{
    const char *const k = low ? "minimum" : "maximum", *const ex = low ? "exclusiveMinimum" : "exclusiveMaximum";
    const json_t *a = json_object_get(x, k), *e = json_object_get(x, ex);
    double v = low ? -INFINITY : INFINITY;
    *open = false;
    if (a && !json_is_number(a))
        schema_fail(s, ERR_FORMAT, k, "expected a number");
    if (e && !json_is_number(e))
        schema_fail(s, ERR_FORMAT, ex, "expected a number");
    if (a)
        v = json_number_value(a);
    if (e && (low ? json_number_value(e) >= v : json_number_value(e) <= v))
        v = json_number_value(e), *open = true;
    return v;
}

#define INTEGER_MOST INT64_C(999999999999999999)

/* The end as an integer that belongs to the range.  Doubles do not tell large ones apart, so what was read as an integer stays one. */
static int64_t integer_end(struct schema *s, const json_t *x, bool low)
{
    bool open;
    const double v = end_of(s, x, low, &open);
    const char *const k = open ? (low ? "exclusiveMinimum" : "exclusiveMaximum") : low ? "minimum" : "maximum";
    const json_t *e = json_object_get(x, k);
    if (fabs(v) == INFINITY)
        return low ? -INTEGER_MOST : INTEGER_MOST;
    if (json_is_integer(e)) {
        const int64_t n = json_integer_value(e);
        if (open && n == (low ? INT64_MAX : INT64_MIN))
            schema_fail(s, ERR_RANGE, k, "no integer of 64 bits is beyond");
        return open && !schema_failed(s) ? (low ? n + 1 : n - 1) : n;
    }
    const double whole = low ? ceil(v) : floor(v);
    if (fabs(whole) > 1e15) {
        schema_fail(s, ERR_RANGE, k, "%g, expected at most 1e15 or an integer", v);
        return 0;
    }
    return (int64_t)whole + (open && whole == v ? (low ? 1 : -1) : 0);
}

static struct frag number(struct schema *s, const json_t *x, bool integer)
{
    bool low_open, high_open;
    if (json_object_get(x, "multipleOf"))
        return schema_fail(s, ERR_UNSUPPORTED, "multipleOf", "this keyword cannot be made into a grammar"), none;
    const double low = end_of(s, x, true, &low_open), high = end_of(s, x, false, &high_open);
    if (low == -INFINITY && high == INFINITY)
        return integer ? text_any_integer(s->b) : text_any_number(s->b);
    int64_t a = integer ? integer_end(s, x, true) : 0, z = integer ? integer_end(s, x, false) : 0;
    if (integer && high == INFINITY && a > z)
        z = INT64_MAX;
    if (integer && low == -INFINITY && a > z)
        a = INT64_MIN;
    if (schema_failed(s))
        return none;
    const struct frag f = integer ? text_integer(s->b, a, z) : text_number(s->b, low, low_open, high, high_open);
    if (schema_failed(s)) {
        char place[SCHEMA_PLACE];
        schema_place(s, place);
        err_context(&s->b->err, "%s", place);
    }
    return f;
}

/* ---- strings ---- */

#define YEAR "(\\d{3}[1-9]|\\d{2}[1-9]0|\\d[1-9]00|[1-9]000)"
#define LEAP "(\\d\\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
#define DATE "(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))|" LEAP "-02-29)"
#define TIME "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define BYTE "(\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])"
#define LABEL "[A-Za-z0-9]{1,12}(-[A-Za-z0-9]{1,8}){0,2}"      /* no --, which says that a name is encoded */
#define HOST LABEL "(\\." LABEL "){0,5}"
#define HEX4 "[0-9a-fA-F]{1,4}"

static const struct { const char *name, *regex; } formats[] = {
    { "date", DATE }, { "time", TIME }, { "date-time", DATE "T" TIME },
    { "duration", "P(\\d{1,6}W|(\\d{1,6}Y(\\d{1,6}M(\\d{1,6}D)?)?|\\d{1,6}M(\\d{1,6}D)?|\\d{1,6}D)(T(\\d{1,6}H(\\d{1,6}M(\\d{1,6}S)?)?|\\d{1,6}M(\\d{1,6}S)?|\\d{1,6}S))?|"
                  "T(\\d{1,6}H(\\d{1,6}M(\\d{1,6}S)?)?|\\d{1,6}M(\\d{1,6}S)?|\\d{1,6}S))" },
    { "uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}" },
    { "ipv4", BYTE "(\\." BYTE "){3}" },
    { "ipv6", HEX4 "(:" HEX4 "){7}|::(" HEX4 "(:" HEX4 "){0,5})?|" HEX4 "(:" HEX4 "){0,2}::(" HEX4 "(:" HEX4 "){0,3})?" },
    { "hostname", HOST },
    { "email", "[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,20}){0,3}@" HOST },
    { "uri", "[a-z][a-z0-9+.-]{0,15}://" HOST "(:[1-9]\\d{0,3})?(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)*(\\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*)?(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*)?" },
};

static struct frag quoted(struct build *b, struct frag f)
{
    const struct frag open = text_bytes(b, "\""), close = text_bytes(b, "\"");
    return build_then(b, build_then(b, open, f), close);
}

static struct frag pattern(struct schema *s, const json_t *p, const char *keyword, struct regex_length *length)
{
    char place[SCHEMA_PLACE], name[SCHEMA_PLACE + 40];
    if (!json_is_string(p))
        return schema_fail(s, ERR_FORMAT, keyword, "expected a string"), none;
    schema_place(s, place);
    snprintf(name, sizeof name, "%s/%.30s", place, keyword);
    return quoted(s->b, build_regex(s->b, json_string_value(p), json_string_length(p), REGEX_JSON, false, length, name));
}

static struct frag format(struct schema *s, const json_t *v, struct regex_length *length)
{
    const char *name = schema_name(v);
    for (size_t i = 0; name && i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(name, formats[i].name))
            return quoted(s->b, build_regex(s->b, formats[i].regex, strlen(formats[i].regex), REGEX_JSON, true, length, name));
    schema_fail(s, name ? ERR_UNSUPPORTED : ERR_FORMAT, "format", name ? "'%.60s' cannot be made into a grammar" : "%sexpected a string, and no NUL in it", name ? name : "");
    return none;
}

static struct frag string(struct schema *s, const json_t *x)
{
    const json_t *p = json_object_get(x, "pattern"), *f = json_object_get(x, "format");
    const int low = count_of(s, x, "minLength"), max = count_of(s, x, "maxLength"), min = low > 0 ? low : 0;
    if (schema_failed(s) || !check_ends(s, "maxLength", min, max))
        return none;
    const bool counted = min || max >= 0;
    if (!p && !f && !counted)
        return text_any_string(s->b);
    if (p && f)
        return schema_fail(s, ERR_UNSUPPORTED, "pattern", "pattern and format cannot be kept at a time"), none;
    if (p || f) {
        struct regex_length length = { 0, -1 };
        const struct frag described = p ? pattern(s, p, "pattern", &length) : format(s, f, &length);
        if (length.least < min || (max >= 0 && (length.most < 0 || length.most > max)))
            schema_fail(s, ERR_UNSUPPORTED, length.least < min ? "minLength" : "maxLength", "beside a %s that does not make sure of it, it cannot be kept", p ? "pattern" : "format");
        return described;
    }
    const int32_t from = s->b->n_node;
    const struct frag c = text_string_class(s->b, NULL, 0, true);
    return quoted(s->b, build_repeat(s->b, c, from, min, max));
}

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

static struct frag array(struct schema *s, const json_t *x)
{
    const json_t *items = json_object_get(x, "items"), *first = json_object_get(x, "prefixItems"), *unique = json_object_get(x, "uniqueItems");
    const char *keyword = "items", *prefix = "prefixItems";
    const int low = count_of(s, x, "minItems"), max = count_of(s, x, "maxItems"), min = low > 0 ? low : 0;
    if (unique && !json_is_false(unique))
        schema_fail(s, ERR_UNSUPPORTED, "uniqueItems", "this keyword cannot be made into a grammar");
    if (json_is_array(items))                    /* as drafts before 2020-12 have it */
        first = items, items = json_object_get(x, "additionalItems"), keyword = "additionalItems", prefix = "items";
    if (first && !json_is_array(first))
        schema_fail(s, ERR_FORMAT, "prefixItems", "expected a list of schemas");
    if (schema_failed(s) || !check_ends(s, "maxItems", min, max))
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
        return text_list(b, "[", inside(s, keyword, "", item), "]", !min);
    const struct frag begin = build_then(b, text_bytes(b, "["), text_space(b)), end = build_then(b, text_space(b), text_bytes(b, "]")), empty = text_bytes(b, "]");
    struct row r = { .b = b, .at = begin.out, .close = end.in, .close_first = empty.in };
    for (int i = 0; i < n_first && !schema_failed(s); i++)
        row_add(&r, inside_at(s, prefix, (size_t)i, json_array_get(first, (size_t)i)), i >= min);
    if (more && (max < 0 || max > n_first)) {
        const int rule = in_rule(b, inside(s, keyword, "", item));
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

static void add_properties(struct schema *s, const json_t *x, struct names *at)
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
        const struct frag name = text_key(s->b, key), member = build_then(s->b, name, inside(s, "properties", key, v));
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
        if (json_object_get(p, required))
            continue;
        if (json_is_false(more))
            schema_fail(s, ERR_FORMAT, "required", "'%.60s' is not among the properties, and there may be no others", required);
        const struct frag name = text_key(s->b, required), member = build_then(s->b, name, inside(s, "additionalProperties", "", more ? more : json_true()));
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
    const struct frag name = other_name(s, x), member = text_member(b, name, inside(s, "additionalProperties", "", more)), comma = text_comma(b);
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
        const struct frag name = both ? inside(s, "propertyNames", "", both) : none;
        json_decref(string_type);
        if (!both && !schema_failed(s))
            return s->b->rc = ERR(&s->b->err, NOMEM, "no memory for a schema"), none;
        return text_list(s->b, "{", text_member(s->b, name, inside(s, "additionalProperties", "", more ? more : json_true())), "}", true);
    }
    json_object_foreach((json_t *)(uintptr_t)p, key, v) {
        json_t *text = json_string(key);
        const struct frag name = pattern(s, text, "patternProperties", NULL);
        json_decref(text);
        return text_list(s->b, "{", text_member(s->b, name, inside(s, "patternProperties", key, v)), "}", true);
    }
    return text_any_object(s->b);
}

/* Numbers of properties can be kept where what else is said makes sure of them. */
static bool check_numbers(struct schema *s, const json_t *x, bool open)
{
    const int min = count_of(s, x, "minProperties"), max = count_of(s, x, "maxProperties"), n = (int)json_object_size(json_object_get(x, "properties"));
    const int n_required = (int)json_array_size(json_object_get(x, "required"));
    if (min > n_required)
        schema_fail(s, ERR_UNSUPPORTED, "minProperties", "%d, of which `required` has %d only", min, n_required);
    if (max >= 0 && (open || n > max))
        schema_fail(s, ERR_UNSUPPORTED, "maxProperties", "more than %d are allowed by the other keywords", max);
    return !schema_failed(s);
}

static struct frag object(struct schema *s, const json_t *x)
{
    const json_t *p = json_object_get(x, "properties"), *more = json_object_get(x, "additionalProperties"), *required = json_object_get(x, "required");
    struct build *b = s->b;
    if (p && !json_is_object(p))
        schema_fail(s, ERR_FORMAT, "properties", "expected an object of schemas");
    if (required && !json_is_array(required))
        schema_fail(s, ERR_FORMAT, "required", "expected a list of names");
    const bool open = more ? !json_is_false(more) : !p;
    if (schema_failed(s) || !check_numbers(s, x, open))
        return none;
    if (json_object_get(x, "patternProperties") || json_object_get(x, "propertyNames"))
        return by_pattern(s, x);
    if (open && !more && !json_array_size(required))
        return text_any_object(b);
    const struct frag begin = build_then(b, text_bytes(b, "{"), text_space(b)), end = build_then(b, text_space(b), text_bytes(b, "}")), empty = text_bytes(b, "}");
    struct names at = { begin.out, -1 };
    add_properties(s, x, &at);
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
    case T_INTEGER: return number(s, x, true);
    case T_NUMBER: return number(s, x, false);
    case T_STRING: return string(s, x);
    case T_ARRAY: return array(s, x);
    default: return object(s, x);
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
                f = either(s->b, f, inside_at(s, keyword, i, option[i]));
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
