#include "base/json_read.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/utf8.h"

struct reader { const char *p, *end; struct buf text; int depth; bool lacks; };       /* text: of the string that is read, without escapes */

static json_t *read_value(struct reader *r);

static json_t *lacking(struct reader *r)
{
    r->lacks = true;
    return NULL;
}

/* The next character that is no white space; 0 at the end. */
static char next(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
    return r->p < r->end ? *r->p : 0;
}

/* ---- strings ---- */

size_t json_plain(const char *s, size_t n)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    size_t i = 0;
    for (uint64_t x; i + 8 <= n; i += 8) {
        memcpy(&x, s + i, 8);
        const uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((x - ones * ' ') & ~x)) & highs)
            break;
    }
    while (i < n && s[i] != '"' && s[i] != '\\' && (unsigned char)s[i] >= ' ')
        i++;
    return i;
}

static bool is_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint64_t x;
        if (i + 8 <= n && (memcpy(&x, s + i, 8), !(x & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        const int len = utf8_length(s + i, s + n);
        if (!len)
            return false;
        i += (size_t)len;
    }
    return true;
}

/* Four digits of an escape; -1: they are none. */
static int32_t read_hex(struct reader *r)
{
    int32_t x = 0;
    if (r->end - r->p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char c = *r->p++, lower = c | 32;
        const int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        x = x * 16 + digit;
    }
    return x;
}

static bool read_unicode(struct reader *r, char out[4], size_t *n)
{
    int32_t x = read_hex(r);
    if (x >= 0xd800 && x < 0xdc00 && r->end - r->p >= 2 && r->p[0] == '\\' && r->p[1] == 'u') {
        r->p += 2;
        const int32_t low = read_hex(r);
        x = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((x - 0xd800) << 10) + (low - 0xdc00) : -1;
    }
    if (x < 0 || (x >= 0xd800 && x < 0xe000))
        return false;
    *n = (size_t)utf8_put((uint32_t)x, out);
    return true;
}

/* At a backslash: its character is added. */
static bool read_escape(struct reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c[4];
    size_t n = 1;
    if (r->end - r->p < 2)
        return false;
    const char *at = strchr(from, r->p[1]);
    r->p += 2;
    if (r->p[-1] == 'u') {
        if (!read_unicode(r, c, &n))
            return false;
    } else if (at && *at) {
        c[0] = to[at - from];
    } else {
        return false;
    }
    r->lacks = buf_add(&r->text, c, n, NULL) < 0;
    return !r->lacks;
}

/* At a quote: the string behind it, where it stands or in r->text; false: not taken. */
static bool read_string(struct reader *r, const char **s, size_t *n)
{
    const char *from = ++r->p;
    bool escapes = false;
    buf_clear(&r->text);
    for (;;) {
        const size_t plain = json_plain(r->p, (size_t)(r->end - r->p));
        if (!is_utf8(r->p, plain))
            return false;
        r->p += plain;
        if (r->p == r->end || (*r->p != '"' && *r->p != '\\'))
            return false;
        escapes = escapes || *r->p == '\\';
        if (escapes && buf_add(&r->text, r->p - plain, plain, NULL) < 0)
            return lacking(r);
        if (*r->p == '"')
            break;
        if (!read_escape(r))
            return false;
    }
    *s = escapes ? r->text.data : from, *n = escapes ? r->text.len : (size_t)(r->p - from);
    r->p++;
    return true;
}

/* ---- values ---- */

static const char *past_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static json_t *read_real(struct reader *r, const char *s, const char *p)
{
    char text[64], *stop;
    if (p < r->end && *p == '.') {
        const char *digits = ++p;
        if ((p = past_digits(p, r->end)) == digits)
            return NULL;
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        p += 1 + (p + 1 < r->end && (p[1] == '+' || p[1] == '-'));
        const char *digits = p;
        if ((p = past_digits(p, r->end)) == digits)
            return NULL;
    }
    const size_t n = (size_t)(p - s);
    if (n >= sizeof text)
        return NULL;
    memcpy(text, s, n);
    text[n] = 0;
    const double x = strtod(text, &stop);        /* which stops short where the locale has another point */
    if (*stop || !isfinite(x))
        return NULL;
    r->p = p;
    json_t *v = json_real(x);
    return v ? v : lacking(r);
}

static json_t *read_number(struct reader *r)
{
    const char *s = r->p, *first = s + (*s == '-'), *p = past_digits(first, r->end);
    json_int_t x = 0;
    if (p == first || (*first == '0' && p - first > 1))
        return NULL;
    if (p < r->end && (*p == '.' || *p == 'e' || *p == 'E'))
        return read_real(r, s, p);
    if (p - first > 18)
        return NULL;
    for (const char *d = first; d < p; d++)
        x = 10 * x + (*d - '0');
    r->p = p;
    json_t *v = json_integer(first > s ? -x : x);
    return v ? v : lacking(r);
}

static json_t *read_text(struct reader *r)
{
    const char *s;
    size_t n;
    if (!read_string(r, &s, &n))
        return NULL;
    json_t *v = json_stringn_nocheck(s, n);
    return v ? v : lacking(r);
}

static bool read_member(struct reader *r, json_t *o)
{
    const char *key;
    size_t n;
    if (next(r) != '"' || !read_string(r, &key, &n) || key == r->text.data || json_object_getn(o, key, n) || next(r) != ':')
        return false;
    r->p++;
    json_t *v = read_value(r);
    if (v && json_object_setn_new_nocheck(o, key, n, v) < 0)
        r->lacks = true;
    return v && !r->lacks;
}

static bool read_element(struct reader *r, json_t *a)
{
    json_t *v = read_value(r);
    if (v && json_array_append_new(a, v) < 0)
        r->lacks = true;
    return v && !r->lacks;
}

/* Members or elements, up to the bracket that closes them. */
static json_t *read_many(struct reader *r, json_t *all, char close, bool (*read)(struct reader *r, json_t *all))
{
    if (!all)
        return lacking(r);
    r->p++, r->depth--;
    bool ok = r->depth >= 0;
    if (ok && next(r) != close)
        while ((ok = read(r, all)) && next(r) == ',')
            r->p++;
    if (ok && next(r) == close) {
        r->p++, r->depth++;
        return all;
    }
    json_decref(all);
    return NULL;
}

static json_t *read_word(struct reader *r, const char *word, json_t *v)
{
    const size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n))
        return NULL;
    r->p += n;
    return v;
}

static json_t *read_value(struct reader *r)
{
    const char c = next(r);
    switch (c) {
    case '"': return read_text(r);
    case '{': return read_many(r, json_object(), '}', read_member);
    case '[': return read_many(r, json_array(), ']', read_element);
    case 't': return read_word(r, "true", json_true());
    case 'f': return read_word(r, "false", json_false());
    case 'n': return read_word(r, "null", json_null());
    default: return c == '-' || (c >= '0' && c <= '9') ? read_number(r) : NULL;
    }
}

json_t *json_read(const char *text, size_t n, int depth_max, int *lacks)
{
    struct reader r = { .p = text, .end = text + n, .depth = depth_max };
    buf_init(&r.text);
    json_t *v = read_value(&r);
    if (v && (next(&r) || r.p < r.end)) {
        json_decref(v);
        v = NULL;
    }
    buf_release(&r.text);
    *lacks = r.lacks;
    return v;
}
