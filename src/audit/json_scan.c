#include "audit/json_scan.h"
#include <string.h>
#include "base/utf8.h"
#include "data/text.h"

struct scan { const char *begin, *p, *end; };

static int wrong(const struct scan *s, const char *expected, struct err *err)
{
    if (s->p >= s->end)
        return ERR(err, FORMAT, "the JSON ends at byte %zu, expected %s", (size_t)(s->end - s->begin), expected);
    const unsigned char c = (unsigned char)*s->p;
    return c >= 0x20 && c < 0x7f ? ERR(err, FORMAT, "byte %zu of the JSON is '%c', expected %s", (size_t)(s->p - s->begin), c, expected)
                                 : ERR(err, FORMAT, "byte %zu of the JSON is 0x%02x, expected %s", (size_t)(s->p - s->begin), c, expected);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool take(struct scan *s, char c)
{
    const bool is = s->p < s->end && *s->p == c;
    s->p += is;
    return is;
}

static bool is_digit(const struct scan *s) { return s->p < s->end && *s->p >= '0' && *s->p <= '9'; }

static int digits(struct scan *s, struct err *err)
{
    if (!is_digit(s))
        return wrong(s, "a digit", err);
    while (is_digit(s))
        s->p++;
    return 0;
}

static int number(struct scan *s, struct err *err)
{
    take(s, '-');
    if (!take(s, '0'))
        TRY(digits(s, err));
    if (take(s, '.'))
        TRY(digits(s, err));
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        TRY(digits(s, err));
    }
    return 0;
}

static int word(struct scan *s, const char *w, struct err *err)
{
    const size_t n = strlen(w);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n))
        return wrong(s, "a value", err);
    s->p += n;
    return 0;
}

static int escape(struct scan *s, struct err *err)
{
    s->p++;
    if (s->p >= s->end || !*s->p || !strchr("\"\\/bfnrtu", *s->p))
        return wrong(s, "one of \" \\ / b f n r t u after \\", err);
    if (*s->p++ != 'u')
        return 0;
    for (int i = 0; i < 4; i++, s->p++)
        if (s->p >= s->end || hex_value(*s->p) < 0)
            return wrong(s, "four hexadecimal digits after \\u", err);
    return 0;
}

/* Whether of 8 bytes none is a quote, a backslash or below the blank. */
static bool are_plain(const char *p)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t x;
    memcpy(&x, p, sizeof x);
    const uint64_t quote = x ^ ones * '"', stroke = x ^ ones * '\\';
    return !((((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((stroke - ones) & ~stroke)) & ones << 7);
}

static int string(struct scan *s, struct err *err)
{
    if (!take(s, '"'))
        return wrong(s, "a string", err);
    for (;;) {
        while (s->end - s->p >= 8 && are_plain(s->p))
            s->p += 8;
        while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= 0x20)
            s->p++;
        if (s->p >= s->end || (unsigned char)*s->p < 0x20)
            return wrong(s, "the string's end", err);
        if (take(s, '"'))
            return 0;
        TRY(escape(s, err));
    }
}

static int scalar(struct scan *s, struct err *err)
{
    if (s->p >= s->end)
        return wrong(s, "a value", err);
    switch (*s->p) {
    case '"': return string(s, err);
    case 't': return word(s, "true", err);
    case 'f': return word(s, "false", err);
    case 'n': return word(s, "null", err);
    default: return *s->p == '-' || is_digit(s) ? number(s, err) : wrong(s, "a value", err);
    }
}

static int name_and_colon(struct scan *s, struct err *err)
{
    skip_space(s);
    TRY(string(s, err));
    skip_space(s);
    return take(s, ':') ? 0 : wrong(s, "':'", err);
}

/* One value.  Not recursive: a bit a level says whether it is an object. */
static int value(struct scan *s, struct err *err)
{
    uint64_t object[JSON_DEPTH_MAX / 64];
    int depth = 0;
    for (;;) {
        skip_space(s);
        const bool opens_object = s->p < s->end && *s->p == '{', opens = opens_object || (s->p < s->end && *s->p == '[');
        if (opens) {
            if (depth == JSON_DEPTH_MAX)
                return ERR(err, RANGE, "at byte %zu the JSON is nested more than %d deep", (size_t)(s->p - s->begin), JSON_DEPTH_MAX);
            s->p++;
            object[depth / 64] = (object[depth / 64] & ~((uint64_t)1 << depth % 64)) | (uint64_t)opens_object << depth % 64;
            depth++;
            skip_space(s);
            if (!take(s, opens_object ? '}' : ']')) {
                if (opens_object)
                    TRY(name_and_colon(s, err));
                continue;
            }
            depth--;
        } else
            TRY(scalar(s, err));
        for (;;) {               /* behind a value */
            if (!depth)
                return 0;
            const bool in_object = object[(depth - 1) / 64] >> (depth - 1) % 64 & 1;
            skip_space(s);
            if (take(s, ',')) {
                if (in_object)
                    TRY(name_and_colon(s, err));
                break;
            }
            if (!take(s, in_object ? '}' : ']'))
                return wrong(s, in_object ? "',' or '}'" : "',' or ']'", err);
            depth--;
        }
    }
}

static int end_of_text(struct scan *s, struct err *err)
{
    skip_space(s);
    return s->p < s->end ? wrong(s, "the end", err) : 0;
}

int json_scan_check(const char *text, size_t n, struct err *err)
{
    struct scan s = { text, text, text + n };
    TRY(text_check_utf8(text, n, "the JSON", err));
    TRY(value(&s, err));
    return end_of_text(&s, err);
}

int json_scan_find(struct json_span key, const char *const *name, int n_name, int *out, struct err *err)
{
    struct buf plain;
    buf_init(&plain);
    const bool escaped = memchr(key.p, '\\', key.n);
    const int rc = escaped ? json_scan_string(key, &plain, err) : 0;
    const char *p = escaped ? plain.data : key.p + 1;
    const size_t n = escaped ? plain.len : key.n - 2;
    *out = -1;
    for (int i = 0; i < n_name && !rc; i++)
        if (strlen(name[i]) == n && !memcmp(name[i], p, n))
            *out = i;
    buf_release(&plain);
    return rc;
}

static int member(struct scan *s, const char *const *name, int n_name, struct json_span *out, struct err *err)
{
    skip_space(s);
    const char *key = s->p;
    TRY(string(s, err));
    int i;
    TRY(json_scan_find((struct json_span){ key, (size_t)(s->p - key) }, name, n_name, &i, err));
    skip_space(s);
    if (!take(s, ':'))
        return wrong(s, "':'", err);
    skip_space(s);
    const char *from = s->p;
    TRY(value(s, err));
    if (i >= 0 && out[i].p)
        return ERR(err, FORMAT, "at byte %zu the member '%s' is there again", (size_t)(key - s->begin), name[i]);
    if (i >= 0)
        out[i] = (struct json_span){ from, (size_t)(s->p - from) };
    skip_space(s);
    return 0;
}

int json_scan_members(const char *text, size_t n, const char *const *name, int n_name, struct json_span *out, struct err *err)
{
    struct scan s = { text, text, text + n };
    memset(out, 0, (size_t)n_name * sizeof *out);
    TRY(text_check_utf8(text, n, "the JSON", err));
    skip_space(&s);
    if (!take(&s, '{'))
        return wrong(&s, "an object", err);
    skip_space(&s);
    if (!take(&s, '}')) {
        do
            TRY(member(&s, name, n_name, out, err));
        while (take(&s, ','));
        if (!take(&s, '}'))
            return wrong(&s, "',' or '}'", err);
    }
    return end_of_text(&s, err);
}

/* ---- what stands in a value ---- */

/* The value that is next, after a member's name in an object. */
static int next_of(struct scan *s, bool of_object, struct json_span *name, struct json_span *v, struct err *err)
{
    skip_space(s);
    name->p = of_object ? s->p : NULL, name->n = 0;
    if (of_object) {
        TRY(string(s, err));
        name->n = (size_t)(s->p - name->p);
        skip_space(s);
        if (!take(s, ':'))
            return wrong(s, "':'", err);
        skip_space(s);
    }
    v->p = s->p;
    TRY(value(s, err));
    v->n = (size_t)(s->p - v->p);
    skip_space(s);
    return 0;
}

int json_scan_each(struct json_span v, json_member_fn *fn, void *ctx, struct err *err)
{
    struct scan s = { v.p, v.p, v.p + v.n };
    struct json_span name, at;
    const bool of_object = take(&s, '{');
    if (!of_object && !take(&s, '['))
        return 0;
    skip_space(&s);
    if (take(&s, of_object ? '}' : ']'))
        return 0;
    do {
        TRY(next_of(&s, of_object, &name, &at, err));
        TRY(fn(ctx, name, at, err));
    } while (take(&s, ','));
    return take(&s, of_object ? '}' : ']') ? 0 : wrong(&s, of_object ? "',' or '}'" : "',' or ']'", err);
}

/* The strings of a value, each byte looked at once; it was found right, so it is not deeper than JSON_DEPTH_MAX. */
struct strings { const char *const *but; int n_but, but_deep; json_string_fn *fn; void *ctx; };
static int strings_of(struct scan *s, const struct strings *x, int depth, struct err *err);

static int strings_of_member(struct scan *s, const struct strings *x, int depth, struct err *err)
{
    int i;
    skip_space(s);
    const char *name = s->p;
    TRY(string(s, err));
    TRY(json_scan_find((struct json_span){ name, (size_t)(s->p - name) }, x->but, depth > x->but_deep ? 0 : x->n_but, &i, err));
    skip_space(s);
    if (!take(s, ':'))
        return wrong(s, "':'", err);
    return i >= 0 ? value(s, err) : strings_of(s, x, depth + 1, err);
}

static int strings_of(struct scan *s, const struct strings *x, int depth, struct err *err)
{
    skip_space(s);
    const char *from = s->p;
    const bool of_object = take(s, '{');
    if (depth > JSON_DEPTH_MAX)
        return ERR(err, RANGE, "the JSON is nested more than %d deep", JSON_DEPTH_MAX);
    if (!of_object && !take(s, '[')) {
        TRY(scalar(s, err));
        return *from == '"' ? x->fn(x->ctx, (struct json_span){ from, (size_t)(s->p - from) }, err) : 0;
    }
    skip_space(s);
    if (take(s, of_object ? '}' : ']'))
        return 0;
    do {
        TRY(of_object ? strings_of_member(s, x, depth, err) : strings_of(s, x, depth + 1, err));
        skip_space(s);
    } while (take(s, ','));
    return take(s, of_object ? '}' : ']') ? 0 : wrong(s, of_object ? "',' or '}'" : "',' or ']'", err);
}

int json_scan_strings(struct json_span v, const char *const *but, int n_but, int but_deep, json_string_fn *fn, void *ctx, struct err *err)
{
    struct scan s = { v.p, v.p, v.p + v.n };
    return strings_of(&s, &(struct strings){ but, n_but, but_deep, fn, ctx }, 1, err);
}

static uint32_t four_hex(const char *p)
{
    return (uint32_t)hex_value(p[0]) << 12 | (uint32_t)hex_value(p[1]) << 8 | (uint32_t)hex_value(p[2]) << 4 | (uint32_t)hex_value(p[3]);
}

/* *p is behind \u. */
static int unicode(const char **p, const char *end, struct buf *out, struct err *err)
{
    uint32_t c = four_hex(*p);
    *p += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        const uint32_t low = four_hex(*p + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            *p += 6;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    if (c >= 0xd800 && c < 0xe000)
        return ERR(err, FORMAT, "\\u%04x is half a surrogate pair, which is no character", c);
    char bytes[4];
    return buf_add(out, bytes, (size_t)utf8_put(c, bytes), err);
}

int json_scan_string(struct json_span s, struct buf *out, struct err *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = s.p + 1, *end = s.p + s.n - 1;
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        TRY(buf_add(out, p, (size_t)((stop ? stop : end) - p), err));
        if (!stop)
            break;
        p = stop + 2;
        if (stop[1] == 'u')
            TRY(unicode(&p, end, out, err));
        else
            TRY(buf_add_char(out, to[strchr(from, stop[1]) - from], err));
    }
    return 0;
}
