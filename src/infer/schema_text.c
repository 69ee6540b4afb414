#include "infer/schema_text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "model/unicode.h"

#define INDENT_MAX 20
#define DIGITS_MAX 15            /* that a double always tells apart */

static const struct frag none = { -1, -1 };

static bool failed(const struct build *b) { return b->rc < 0; }

static struct frag fail(struct build *b, int rc)
{
    b->rc = b->rc < 0 ? b->rc : rc;
    return none;
}

struct frag text_bytes(struct build *b, const char *s) { return build_bytes(b, s, strlen(s)); }

static struct frag one_of(struct build *b, const char *ascii)
{
    struct code_range r[64];
    int n = 0;
    for (; *ascii; ascii++, n++)
        r[n].low = r[n].high = (unsigned char)*ascii;
    return build_class(b, r, n, false);
}

static struct frag range(struct build *b, int low, int high) { return build_class(b, &(struct code_range){ (uint32_t)low, (uint32_t)high }, 1, false); }

static struct frag times(struct build *b, struct frag f, int32_t from, int min, int max) { return build_repeat(b, f, from, min, max); }

/* The rule of that name, which `make` gives if nobody has asked for it yet. */
static struct frag shared(struct build *b, const char *name, struct frag (*make)(struct build *b))
{
    const int rule = build_rule(b, name, strlen(name));
    if (failed(b))
        return none;
    if (!build_defined(b, rule) && !b->rule[rule].begun) {
        b->rule[rule].begun = true;              /* it may ask for itself */
        build_define(b, rule, make(b));
    }
    return build_call(b, rule);
}

/* ---- space ---- */

static struct frag make_line(struct build *b)
{
    const struct frag end = text_bytes(b, "\n");
    const int32_t from = b->n_node;
    const struct frag blank = one_of(b, " \t");
    return build_then(b, end, times(b, blank, from, 0, INDENT_MAX));
}

struct frag text_space(struct build *b)
{
    const struct frag blank = text_bytes(b, " "), line = shared(b, "(line)", make_line);
    return build_optional(b, build_or(b, blank, line));
}

struct frag text_comma(struct build *b)
{
    const struct frag comma = text_bytes(b, ",");
    return build_then(b, comma, text_space(b));
}

struct frag text_colon(struct build *b)
{
    const struct frag colon = text_bytes(b, ":");
    return build_then(b, colon, build_optional(b, text_bytes(b, " ")));
}

/* ---- strings ---- */

static const char escape_char[] = "\"\\\b\f\n\r\t", escape_name[] = "\"\\bfnrt";
#define N_ESCAPE 7

static bool stands_for_itself(uint32_t c) { return c >= 0x20 && c != '"' && c != '\\'; }

/* What a character of a string is written as; its bytes. */
static int escaped(uint32_t c, char out[8])
{
    const char *const at = c && c < 0x80 ? memchr(escape_char, (int)c, N_ESCAPE) : NULL;
    if (stands_for_itself(c))
        return utf8_put(c, out);
    if (at)
        return snprintf(out, 8, "\\%c", escape_name[at - escape_char]);
    return snprintf(out, 8, "\\u%04x", (unsigned)c);
}

static struct frag hex_digit(struct build *b) { return one_of(b, "0123456789abcdefABCDEF"); }

static struct frag hex_digits(struct build *b, int n)
{
    struct frag f = hex_digit(b);
    while (--n)
        f = build_then(b, f, hex_digit(b));
    return f;
}

/* uXXXX of a character: both halves where it takes two. */
static struct frag by_number(struct build *b)
{
    const struct frag plain = one_of(b, "0123456789abcefABCEF"), d = one_of(b, "dD"), low = range(b, '0', '7');
    const struct frag bmp = build_then(b, plain, hex_digits(b, 3)), d7 = build_then(b, low, hex_digits(b, 2));
    struct frag pair = build_then(b, one_of(b, "89abAB"), hex_digits(b, 2));
    pair = build_then(b, pair, text_bytes(b, "\\u"));
    pair = build_then(b, pair, one_of(b, "dD"));
    pair = build_then(b, pair, one_of(b, "cdefCDEF"));
    pair = build_then(b, pair, hex_digits(b, 2));
    const struct frag u = text_bytes(b, "u");
    return build_then(b, u, build_or(b, bmp, build_then(b, d, build_or(b, d7, pair))));
}

struct frag text_string_char(struct build *b)
{
    static const struct code_range not_itself[] = { { 0, 0x1F }, { '"', '"' }, { '\\', '\\' } };
    const struct frag itself = build_class(b, not_itself, 3, true), slash = text_bytes(b, "\\"), named = one_of(b, "\"\\/bfnrt");
    return build_or(b, itself, build_then(b, slash, build_or(b, named, by_number(b))));
}

static struct frag quoted(struct build *b, struct frag inside)
{
    const struct frag open = text_bytes(b, "\"");
    return build_then(b, build_then(b, open, inside), text_bytes(b, "\""));
}

static struct frag make_string(struct build *b) { return quoted(b, build_star(b, text_string_char(b))); }
struct frag text_any_string(struct build *b) { return shared(b, "(string)", make_string); }

static bool has(const struct code_range *r, int n, bool negated, uint32_t c)
{
    bool in = false;
    for (int i = 0; i < n; i++)
        in = in || (c >= r[i].low && c <= r[i].high);
    return in != negated;
}

/* Adds what is in low .. high to the ranges. */
static int clip(struct code_range *to, int n_to, const struct code_range *r, int n, uint32_t low, uint32_t high)
{
    for (int i = 0; i < n; i++) {
        const uint32_t a = r[i].low > low ? r[i].low : low, z = r[i].high < high ? r[i].high : high;
        if (a <= z)
            to[n_to++] = (struct code_range){ a, z };
    }
    return n_to;
}

/* Those that stand for themselves. */
static struct frag plain_class(struct build *b, const struct code_range *r, int n, bool negated, bool *any)
{
    static const uint32_t part[][2] = { { 0x20, '"' - 1 }, { '"' + 1, '\\' - 1 }, { '\\' + 1, 0x10FFFF } };
    struct code_range *c = mem_alloc_array(3 * (size_t)n + 3, sizeof *c);
    struct frag f = none;
    int k = 0;
    if (!c)
        return fail(b, ERR(&b->err, NOMEM, "no memory for a class of characters"));
    if (negated) {
        k = clip(c, 0, r, n, 0, 0x10FFFF);
        c[k++] = (struct code_range){ 0, 0x1F }, c[k++] = (struct code_range){ '"', '"' }, c[k++] = (struct code_range){ '\\', '\\' };
        *any = true;                             /* nobody excludes all there are; if so, the class says that it is empty */
    } else {
        for (int i = 0; i < 3; i++)
            k = clip(c, k, r, n, part[i][0], part[i][1]);
        *any = k > 0;
    }
    if (*any)
        f = build_class(b, c, k, negated);
    mem_free(c);
    return f;
}

struct frag text_string_class(struct build *b, const struct code_range *r, int n, bool negated)
{
    struct frag f = none;
    char names[N_ESCAPE + 1];
    int k = 0;
    bool any = false;
    if (failed(b))
        return none;
    f = plain_class(b, r, n, negated, &any);
    for (int i = 0; i < N_ESCAPE; i++)
        if (has(r, n, negated, (unsigned char)escape_char[i]))
            names[k++] = escape_name[i];
    names[k] = 0;
    if (k) {
        const struct frag slash = text_bytes(b, "\\"), e = build_then(b, slash, one_of(b, names));
        f = any ? build_or(b, f, e) : e;
        any = true;
    }
    for (uint32_t c = 0; c < 0x20 && !negated && n < 8; c++) {
        char text[8];
        if (!has(r, n, false, c) || memchr(escape_char, (int)c, N_ESCAPE))
            continue;
        const struct frag e = build_bytes(b, text, (size_t)escaped(c, text));
        f = any ? build_or(b, f, e) : e;
        any = true;
    }
    return any ? f : fail(b, ERR(&b->err, FORMAT, "a class of characters is empty"));
}

/* ---- values of any kind ---- */

static struct frag make_integer(struct build *b)
{
    const struct frag minus = build_optional(b, text_bytes(b, "-")), zero = text_bytes(b, "0"), first = range(b, '1', '9');
    const int32_t from = b->n_node;
    const struct frag digit = range(b, '0', '9'), rest = times(b, digit, from, 0, 17);
    return build_or(b, zero, build_then(b, minus, build_then(b, first, rest)));
}
struct frag text_any_integer(struct build *b) { return shared(b, "(integer)", make_integer); }

static struct frag digits(struct build *b, int min, int max)
{
    const int32_t from = b->n_node;
    const struct frag digit = range(b, '0', '9');
    return times(b, digit, from, min, max);
}

static struct frag make_number(struct build *b)
{
    const struct frag minus = build_optional(b, text_bytes(b, "-")), zero = text_bytes(b, "0"), first = range(b, '1', '9');
    struct frag f = build_then(b, minus, build_or(b, zero, build_then(b, first, digits(b, 0, 17))));
    const struct frag point = text_bytes(b, "."), part = build_then(b, point, digits(b, 1, 18));
    f = build_then(b, f, build_optional(b, part));
    const struct frag e = one_of(b, "eE"), sign = build_optional(b, one_of(b, "+-")), power = build_then(b, build_then(b, e, sign), digits(b, 1, 2));
    return build_then(b, f, build_optional(b, power));
}
struct frag text_any_number(struct build *b) { return shared(b, "(number)", make_number); }

struct frag text_list(struct build *b, const char *open, struct frag item, const char *close, bool may_be_empty)
{
    const struct frag begin = build_then(b, text_bytes(b, open), text_space(b)), comma = text_comma(b), last = build_then(b, text_space(b), text_bytes(b, close)), empty = text_bytes(b, close);
    const int32_t more = build_place(b), out = build_place(b);
    if (failed(b))
        return none;
    build_way(b, begin.out, item.in);
    if (may_be_empty)
        build_way(b, begin.out, empty.in);
    build_way(b, item.out, more);
    build_way(b, more, comma.in);
    build_way(b, comma.out, item.in);
    build_way(b, more, last.in);
    build_way(b, last.out, out);
    build_way(b, empty.out, out);
    return (struct frag){ begin.in, out };
}

static struct frag make_value(struct build *b);
struct frag text_any(struct build *b) { return shared(b, "(value)", make_value); }

struct frag text_member(struct build *b, struct frag key, struct frag value)
{
    return build_then(b, build_then(b, key, text_colon(b)), value);
}

static struct frag make_object(struct build *b)
{
    const struct frag key = text_any_string(b), value = text_any(b);
    return text_list(b, "{", text_member(b, key, value), "}", true);
}
struct frag text_any_object(struct build *b) { return shared(b, "(object)", make_object); }

static struct frag make_array(struct build *b) { return text_list(b, "[", text_any(b), "]", true); }
struct frag text_any_array(struct build *b) { return shared(b, "(array)", make_array); }

static struct frag make_value(struct build *b)
{
    static const char *const words[] = { "true", "false", "null" };
    struct word w[3];
    for (int i = 0; i < 3; i++)
        w[i] = (struct word){ words[i], strlen(words[i]) };
    struct frag f = build_words(b, w, 3);
    f = build_or(b, f, text_any_string(b));
    f = build_or(b, f, text_any_number(b));
    f = build_or(b, f, text_any_array(b));
    return build_or(b, f, text_any_object(b));
}

/* ---- constants ---- */

static int add_string(struct buf *out, const char *s, size_t n, struct err *err)
{
    TRY(buf_add_char(out, '"', err));
    for (size_t i = 0, len; i < n; i += len) {
        char text[8];
        const uint32_t c = unicode_at((const unsigned char *)s + i, n - i, &len);
        TRY(buf_add(out, text, (size_t)escaped(c, text), err));
    }
    return buf_add_char(out, '"', err);
}

static int scalar_text(struct buf *out, const json_t *v, struct err *err)
{
    switch (json_typeof(v)) {
    case JSON_STRING: return add_string(out, json_string_value(v), json_string_length(v), err);
    case JSON_INTEGER: return buf_printf(out, err, "%" PRId64, (int64_t)json_integer_value(v));
    case JSON_REAL: return buf_add_number(out, json_real_value(v), err);
    default: return buf_add_str(out, json_is_null(v) ? "null" : json_is_true(v) ? "true" : "false", err);
    }
}

int text_constant_text(struct buf *out, const json_t *v, struct err *err)
{
    const char *key;
    json_t *x;
    size_t i;
    if (!json_is_object(v) && !json_is_array(v))
        return scalar_text(out, v, err);
    TRY(buf_add_char(out, json_is_array(v) ? '[' : '{', err));
    json_array_foreach((json_t *)(uintptr_t)v, i, x) {
        TRY(i ? buf_add_char(out, ',', err) : 0);
        TRY(text_constant_text(out, x, err));
    }
    i = 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, x) {
        TRY(i++ ? buf_add_char(out, ',', err) : 0);
        TRY(add_string(out, key, strlen(key), err));
        TRY(buf_add_char(out, ':', err));
        TRY(text_constant_text(out, x, err));
    }
    return buf_add_char(out, json_is_array(v) ? ']' : '}', err);
}

static struct frag scalar(struct build *b, const json_t *v)
{
    struct buf text;
    buf_init(&text);
    const int rc = scalar_text(&text, v, &b->err);
    const struct frag f = rc < 0 ? fail(b, rc) : build_bytes(b, text.data, text.len);
    buf_release(&text);
    return f;
}

/* Nests as deep as the value, which its reader has bounded. */
struct frag text_constant(struct build *b, const json_t *v)
{
    const char *key;
    json_t *x;
    size_t i;
    if (failed(b) || (!json_is_object(v) && !json_is_array(v)))
        return failed(b) ? none : scalar(b, v);
    const bool list = json_is_array(v);
    struct frag f = text_bytes(b, list ? "[" : "{");
    const size_t n = list ? json_array_size(v) : json_object_size(v);
    f = n ? build_then(b, f, text_space(b)) : f;
    json_array_foreach((json_t *)(uintptr_t)v, i, x) {
        f = i ? build_then(b, f, text_comma(b)) : f;
        f = build_then(b, f, text_constant(b, x));
    }
    i = 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, x) {
        f = i++ ? build_then(b, f, text_comma(b)) : f;
        f = build_then(b, f, text_key(b, key));
        f = build_then(b, f, text_constant(b, x));
    }
    f = n ? build_then(b, f, text_space(b)) : f;
    return build_then(b, f, text_bytes(b, list ? "]" : "}"));
}

struct frag text_key(struct build *b, const char *key)
{
    struct buf text;
    buf_init(&text);
    const int rc = add_string(&text, key, strlen(key), &b->err);
    const struct frag f = rc < 0 ? fail(b, rc) : build_then(b, build_bytes(b, text.data, text.len), text_colon(b));
    buf_release(&text);
    return f;
}

/* ---- strings that are none of some ---- */

/* Any characters, each written in one way only, then the quote. */
static struct frag make_rest(struct build *b) { return build_then(b, build_star(b, text_string_class(b, NULL, 0, true)), text_bytes(b, "\"")); }
static struct frag rest(struct build *b) { return shared(b, "(rest of a string)", make_rest); }

/* Keys that are the same up to `done` bytes; what may follow there. */
static struct frag other_from(struct build *b, const struct word *w, int n, size_t done)
{
    const struct word *const end = w + n;
    struct code_range *taken = mem_alloc_array((size_t)n + 1, sizeof *taken);
    int n_taken = 0;
    if (!taken)
        return fail(b, ERR(&b->err, NOMEM, "no memory for the names of an object"));
    const bool is_key = w < end && w->n == done;
    while (w < end && w->n == done)
        w++;
    struct frag f = is_key ? none : text_bytes(b, "\"");
    while (w < end && !failed(b)) {
        size_t len;
        char text[8];
        const struct word *next = w + 1;
        const uint32_t c = unicode_at((const unsigned char *)w->text + done, w->n - done, &len);
        while (next < end && next->n >= done + len && !memcmp(next->text + done, w->text + done, len))
            next++;
        taken[n_taken++] = (struct code_range){ c, c };
        const struct frag head = build_bytes(b, text, (size_t)escaped(c, text)), x = build_then(b, head, other_from(b, w, (int)(next - w), done + len));
        f = f.in < 0 ? x : build_or(b, f, x);
        w = next;
    }
    if (!failed(b)) {
        const struct frag other = text_string_class(b, taken, n_taken, true), x = build_then(b, other, rest(b));
        f = f.in < 0 ? x : build_or(b, f, x);
    }
    mem_free(taken);
    return f;
}

struct frag text_other_string(struct build *b, struct word *key, int n)
{
    for (int i = 0; i < n; i++)
        if (key[i].n > JSON_KEY_MAX)
            return fail(b, ERR(&b->err, RANGE, "a name of %zu bytes beside others that are not given, expected at most %d", key[i].n, JSON_KEY_MAX));
    build_sort_words(key, n);
    const struct frag open = text_bytes(b, "\"");
    return build_then(b, open, other_from(b, key, n, 0));
}

void text_begin(struct build *b)
{
    text_any(b);
    text_any_integer(b);
    rest(b);
}

/* ---- numbers between two ---- */

/* Two ends as digits: n_low, n_high of them before the point, `part` behind it. */
struct span { char low[40], high[40]; int n_low, n_high, part; bool low_open, high_open; };

static bool zeros(const char *s, int n)
{
    for (int i = 0; i < n; i++)
        if (s[i] != '0')
            return false;
    return true;
}

/* Digits from the i-th on of numbers of n before the point, when nothing bounds them any more. */
static struct frag free_digits(struct build *b, const struct span *s, int n, int i)
{
    if (i > n)
        return digits(b, 0, s->part - (i - n));
    struct frag f = digits(b, n - i, n - i);
    if (!s->part)
        return f;
    const struct frag point = text_bytes(b, ".");
    return build_then(b, f, build_optional(b, build_then(b, point, digits(b, 1, s->part))));
}

static struct frag either(struct build *b, struct frag x, struct frag y) { return x.in < 0 ? y : y.in < 0 ? x : build_or(b, x, y); }

/* Behind i digits, which are low's if at_low, high's if at_high.  none, without an error, where nothing may follow. */
static struct frag digits_from(struct build *b, const struct span *s, int n, int i, bool at_low, bool at_high)
{
    const int all = n + s->part;
    struct frag stop = none, more = none;
    if (failed(b))
        return none;
    if (!at_low && !at_high)
        return i ? free_digits(b, s, n, i) : build_then(b, range(b, n > 1 ? '1' : '0', '9'), free_digits(b, s, n, 1));
    if (i >= n && (!at_low || (!s->low_open && zeros(s->low + i, all - i))) && (!at_high || !s->high_open || !zeros(s->high + i, all - i)))
        stop = build_empty(b);
    if (i == all)
        return stop;
    const int first = at_low ? s->low[i] : !i && n > 1 ? '1' : '0', last = at_high ? s->high[i] : '9', inner = first + at_low, outer = last - at_high;
    for (int d = first; d <= last; d = d == first && d < last ? last : last + 1)
        if ((d == first && at_low) || (d == last && at_high)) {
            const struct frag rest_of = digits_from(b, s, n, i + 1, at_low && d == first, at_high && d == last);
            if (rest_of.in >= 0)
                more = either(b, more, build_then(b, range(b, d, d), rest_of));
        }
    if (inner <= outer)
        more = either(b, more, build_then(b, range(b, inner, outer), free_digits(b, s, n, i + 1)));
    if (i == n && more.in >= 0)
        more = build_then(b, text_bytes(b, "."), more);
    return either(b, stop, more);
}

static struct frag between(struct build *b, const struct span *s)
{
    struct frag f = none;
    for (int n = s->n_low; n <= s->n_high; n++)
        f = either(b, f, digits_from(b, s, n, 0, n == s->n_low, n == s->n_high));
    return f;
}

static struct frag nothing_between(struct build *b) { return fail(b, ERR(&b->err, FORMAT, "no number is between minimum and maximum")); }

static struct frag integers(struct build *b, uint64_t low, uint64_t high)
{
    struct span s = { .part = 0 };
    s.n_low = snprintf(s.low, sizeof s.low, "%" PRIu64, low);
    s.n_high = snprintf(s.high, sizeof s.high, "%" PRIu64, high);
    return between(b, &s);
}

struct frag text_integer(struct build *b, int64_t low, int64_t high)
{
    struct frag f = none;
    if (low > high)
        return nothing_between(b);
    if (high >= 0)
        f = integers(b, low > 0 ? (uint64_t)low : 0, (uint64_t)high);
    if (low < 0)
        f = either(b, f, build_then(b, text_bytes(b, "-"), integers(b, high < 0 ? (uint64_t)-(high + 1) + 1 : 1, (uint64_t)-(low + 1) + 1)));
    return failed(b) ? none : f;
}

/* The shortest digits that are x >= 0, the first standing for 10^*power; their number. */
static int shortest(double x, char out[20], int *power)
{
    char text[40];
    int n = 0;
    for (int p = 0; p < 17; p++) {
        snprintf(text, sizeof text, "%.*e", p, x);
        if (strtod(text, NULL) == x)
            break;
    }
    const char *c = text;
    for (; *c != 'e'; c++)
        if (*c >= '0' && *c <= '9')
            out[n++] = *c;
    *power = atoi(c + 1);
    return n;
}

static int part_of(double x)
{
    char d[20];
    int power;
    const int n = shortest(x, d, &power);
    return n - 1 - power > 0 ? n - 1 - power : 0;
}

/* x with `part` digits behind the point; the number of those before it. */
static int write_digits(double x, int part, char out[40])
{
    char d[20];
    int power;
    const int n = shortest(x, d, &power), before = power > 0 ? power + 1 : 1;
    for (int i = 0; i < before + part; i++) {
        const int at = i - (before - 1) + power;         /* the i-th stands for 10^(before - 1 - i) */
        out[i] = at >= 0 && at < n ? d[at] : '0';
    }
    return before;
}

/* 0 <= low <= high. */
static struct frag numbers(struct build *b, double low, bool low_open, double high, bool high_open)
{
    struct span s = { .low_open = low_open, .high_open = high_open };
    char d[40];
    const double top = 999999999999999;
    const bool endless = high == INFINITY;
    if (low > top || (!endless && high > top) || (low > 0 && low < 1e-15) || (high > 0 && high < 1e-15))
        return fail(b, ERR(&b->err, RANGE, "numbers of %.17g to %.17g, expected ends of at most 15 digits before and behind the point", low, high));
    const int n = write_digits(endless ? low : high, 0, d), a = part_of(low), z = endless ? 0 : part_of(high), need = a > z ? a : z;
    s.part = DIGITS_MAX - n > need ? DIGITS_MAX - n : need;
    if (need > DIGITS_MAX || (n + s.part > DIGITS_MAX && (low_open || high_open)))      /* beside a closed end rounding does no harm */
        return fail(b, ERR(&b->err, RANGE, "numbers of %.17g to %.17g, expected ends of at most 15 digits before and behind the point", low, high));
    s.n_low = write_digits(low, s.part, s.low);
    s.n_high = write_digits(endless ? top : high, s.part, s.high);
    if (endless)
        memset(s.high + s.n_high, '9', (size_t)s.part);
    return between(b, &s);
}

struct frag text_number(struct build *b, double low, bool low_open, double high, bool high_open)
{
    struct frag f = none;
    if (low > high || (low == high && (low_open || high_open)))
        return nothing_between(b);
    if (high > 0 || (high == 0 && !high_open))
        f = numbers(b, low > 0 ? low : 0, low >= 0 && low_open, high, high_open);
    if (low < 0 && !failed(b)) {
        const struct frag n = numbers(b, high < 0 ? -high : 0, high < 0 ? high_open : true, -low, low_open);
        f = n.in < 0 ? f : either(b, f, build_then(b, text_bytes(b, "-"), n));
    }
    return failed(b) ? none : f.in < 0 ? nothing_between(b) : f;
}
