/* schema_scalar.c - numbers and strings, by the keywords that speak of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "infer/regex.h"
#include "infer/schema_build.h"
#include "infer/schema_text.h"

static const struct frag none = { -1, -1 };

int schema_count(struct schema *s, const json_t *x, const char *keyword)
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

bool schema_check_ends(struct schema *s, const char *keyword, int min, int max)
{
    if (max >= 0 && min > max)
        schema_fail(s, ERR_FORMAT, keyword, "%d, but the least is %d", max, min);
    return !schema_failed(s);
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

struct frag schema_number(struct schema *s, const json_t *x, bool integer)
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

struct frag schema_pattern(struct schema *s, const json_t *p, const char *keyword, struct regex_length *length)
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

struct frag schema_string(struct schema *s, const json_t *x)
{
    const json_t *p = json_object_get(x, "pattern"), *f = json_object_get(x, "format");
    const int low = schema_count(s, x, "minLength"), max = schema_count(s, x, "maxLength"), min = low > 0 ? low : 0;
    if (schema_failed(s) || !schema_check_ends(s, "maxLength", min, max))
        return none;
    const bool counted = min || max >= 0;
    if (!p && !f && !counted)
        return text_any_string(s->b);
    if (p && f)
        return schema_fail(s, ERR_UNSUPPORTED, "pattern", "pattern and format cannot be kept at a time"), none;
    if (p || f) {
        struct regex_length length = { 0, -1 };
        const struct frag described = p ? schema_pattern(s, p, "pattern", &length) : format(s, f, &length);
        if (length.least < min || (max >= 0 && (length.most < 0 || length.most > max)))
            schema_fail(s, ERR_UNSUPPORTED, length.least < min ? "minLength" : "maxLength", "beside a %s that does not make sure of it, it cannot be kept", p ? "pattern" : "format");
        return described;
    }
    const int32_t from = s->b->n_node;
    const struct frag c = text_string_class(s->b, NULL, 0, true);
    return quoted(s->b, build_repeat(s->b, c, from, min, max));
}
