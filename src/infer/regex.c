#include "infer/regex.h"
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "infer/schema_text.h"
#include "model/unicode.h"

#define DEPTH_MAX 100            /* of groups */
#define RANGES_MAX 250           /* of a class */

struct reader { struct build *b; const char *begin, *p, *end, *name; enum regex_as as; int depth; };
struct class { struct code_range r[RANGES_MAX]; int n; bool negated; };

static const struct frag none = { -1, -1 };

static bool bad(const struct reader *r) { return r->b->rc < 0; }
static int peek(const struct reader *r) { return r->p < r->end ? (unsigned char)*r->p : -1; }
static bool at(const struct reader *r, const char *s) { return (size_t)(r->end - r->p) >= strlen(s) && !memcmp(r->p, s, strlen(s)); }

static int place(const struct reader *r)
{
    int n = 1;
    for (const char *q = r->begin; q < r->p; q++)
        n += (*q & 0xC0) != 0x80;
    return n;
}

static void wrong(struct reader *r, const char *what)
{
    if (!bad(r))
        r->b->rc = ERR(&r->b->err, FORMAT, "%s, character %d: %s", r->name, place(r), what);
}

static void cannot(struct reader *r, const char *what)
{
    if (!bad(r))
        r->b->rc = ERR(&r->b->err, UNSUPPORTED, "%s, character %d: %s cannot be made into a grammar", r->name, place(r), what);
}

/* ---- characters and classes ---- */

static void add(struct reader *r, struct class *c, uint32_t low, uint32_t high)
{
    if (c->n == RANGES_MAX)
        wrong(r, "a class of more than 250 ranges");
    else
        c->r[c->n++] = (struct code_range){ low, high };
}

/* The ranges of \d \w \s; what their capitals mean is what lies between.  Others than ECMA-262 take more for digits, letters and spaces:
 * what is written, outside of [^...], is what all take for the same: \D and \W ASCII only, \S nothing that is a space to anyone. */
struct set { char letter; int n; struct code_range r[13]; };
static const struct set sets[] = {
    { 'd', 1, { { '0', '9' } } },
    { 'w', 4, { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { 's', 10, { { '\t', '\r' }, { ' ', ' ' }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF } } },
};
static const struct set spaces = { 's', 13, { { '\t', '\r' }, { 0x1C, 0x1F }, { ' ', ' ' }, { 0x85, 0x85 }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x180E, 0x180E }, { 0x2000, 0x200B }, { 0x2028, 0x2029 },
                                             { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF } } };

static void add_set(struct reader *r, struct class *c, int letter)
{
    const bool capital = !(letter & 0x20), space = (letter | 0x20) == 's';
    const struct set *s = sets;
    uint32_t next = 0;
    while (s->letter != (letter | 0x20))
        s++;
    if (capital && space && !c->negated)
        s = &spaces;
    for (int k = 0; k < s->n - (space && !capital && !c->negated); k++) {        /* U+FEFF is not a space to all */
        if (!capital)
            add(r, c, s->r[k].low, s->r[k].high);
        else if (s->r[k].low > next)
            add(r, c, next, s->r[k].low - 1);
        next = s->r[k].high + 1;
    }
    if (capital)
        add(r, c, next, !space && !c->negated ? 0x7F : 0x10FFFF);
}

static uint32_t hex_digits(struct reader *r, int n)
{
    uint32_t x;
    if (!build_read_hex(&r->p, r->end, n, &x))
        wrong(r, "expected a hexadecimal digit");
    return x;
}

/* \uXXXX, of which two may be one character. */
static uint32_t unit(struct reader *r)
{
    const uint32_t high = hex_digits(r, 4);
    if (high < 0xD800 || high >= 0xE000 || bad(r))
        return high;
    if (high < 0xDC00 && at(r, "\\u")) {
        r->p += 2;
        const uint32_t low = hex_digits(r, 4);
        if (low >= 0xDC00 && low < 0xE000)
            return 0x10000 + ((high - 0xD800) << 10 | (low - 0xDC00));
    }
    wrong(r, "half of a surrogate pair");
    return 0;
}

/* Behind the backslash: one character. */
static uint32_t escaped(struct reader *r, bool in_class)
{
    static const char letters[] = "nrtfv0", codes[] = "\n\r\t\f\v";
    const int e = peek(r);
    const char *const known = e > 0 ? strchr(letters, e) : NULL;
    if (e == 'x' || e == 'u') {
        r->p++;
        return e == 'x' ? hex_digits(r, 2) : unit(r);
    }
    if (known || (in_class && e == 'b')) {
        r->p++;
        return e == 'b' ? '\b' : (uint32_t)(unsigned char)codes[known - letters];
    }
    if (e < 0)
        wrong(r, "nothing behind \\");
    else if (e >= '1' && e <= '9')
        cannot(r, "a back reference");
    else if (e == 'b' || e == 'B')
        cannot(r, "a word boundary");
    else if (e == 'p' || e == 'P')
        cannot(r, "a class of Unicode's (\\p)");
    else if (e >= 0x80 || (e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z'))
        wrong(r, "an escape that is not known");
    r->p++;
    return (uint32_t)e;
}

static uint32_t character(struct reader *r, bool in_class)
{
    size_t n = 0;
    const uint32_t c = r->p < r->end ? unicode_at((const unsigned char *)r->p, (size_t)(r->end - r->p), &n) : UNICODE_INVALID;
    if (c == UNICODE_INVALID) {
        wrong(r, "expected a character");
        return 0;
    }
    r->p += n;
    return c == '\\' ? escaped(r, in_class) : c;
}

static struct frag of_class(struct reader *r, const struct class *c)
{
    if (bad(r))
        return none;
    return r->as == REGEX_JSON ? text_string_class(r->b, c->r, c->n, c->negated) : build_class(r->b, c->r, c->n, c->negated);
}

static bool takes_set(struct reader *r, struct class *c)
{
    if (peek(r) != '\\' || r->p + 1 >= r->end || !r->p[1] || !strchr("dwsDWS", r->p[1]))       /* strchr() finds a NUL, too */
        return false;
    add_set(r, c, r->p[1]);
    r->p += 2;
    return true;
}

static struct frag class_of(struct reader *r)
{
    struct class c = { .n = 0 };
    r->p++;
    c.negated = peek(r) == '^';
    r->p += c.negated;
    while (!bad(r) && peek(r) != ']') {
        if (peek(r) < 0)
            wrong(r, "expected ]");
        if (bad(r) || takes_set(r, &c))
            continue;
        const uint32_t low = character(r, true);
        uint32_t high = low;
        if (!bad(r) && peek(r) == '-' && r->p + 1 < r->end && r->p[1] != ']') {
            r->p++;
            if (takes_set(r, &c)) {
                wrong(r, "a range up to a class");
                continue;
            }
            high = character(r, true);
            if (!bad(r) && high < low)
                wrong(r, "a range that descends");
        }
        add(r, &c, low, high);
    }
    r->p++;
    return of_class(r, &c);
}

static struct frag any_char(struct reader *r)
{
    static const struct code_range ends[] = { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } };
    return r->as == REGEX_JSON ? text_string_class(r->b, ends, 3, true) : build_class(r->b, ends, 3, true);
}

/* ---- elements ---- */

/* Whether a repetition by numbers begins here: other braces are characters. */
static bool counts(struct reader *r, int *min, int *max)
{
    const char *const from = r->p;
    r->p++;
    *max = *min = build_read_number(&r->p, r->end);
    if (*min >= 0 && peek(r) == ',') {
        r->p++;
        *max = build_read_number(&r->p, r->end);
    }
    if (*min >= 0 && peek(r) == '}') {
        r->p++;
        return true;
    }
    r->p = from;
    return false;
}

#define LENGTH_MOST 1000000000

static int times(int length, int n) { return length < 0 || n < 0 ? (length ? -1 : 0) : (int64_t)length * n < LENGTH_MOST ? length * n : LENGTH_MOST; }
static int plus(int x, int y) { return x < 0 || y < 0 ? -1 : x + y < LENGTH_MOST ? x + y : LENGTH_MOST; }

static struct frag repeated(struct reader *r, struct frag f, int32_t from, struct regex_length *length)
{
    const int c = peek(r);
    int min = c == '+', max = c == '?' ? 1 : -1;
    if (c == '*' || c == '+' || c == '?')
        r->p++;
    else if (c != '{' || !counts(r, &min, &max))
        return f;
    if (max >= 0 && max < min)
        wrong(r, "a repetition of less than its first number");
    else if (min > GRAMMAR_REPEAT_MAX || max > GRAMMAR_REPEAT_MAX)
        r->b->rc = ERR(&r->b->err, RANGE, "%s, character %d: a repetition of more than %d", r->name, place(r), GRAMMAR_REPEAT_MAX);
    if (peek(r) == '?')
        r->p++;
    else if (peek(r) == '+')
        cannot(r, "a possessive repetition");
    if (bad(r))
        return none;
    length->least = times(length->least, min), length->most = times(length->most, max);
    return c == '*' ? build_star(r->b, f) : c == '?' ? build_optional(r->b, f) : build_repeat(r->b, f, from, min, max);
}

static struct frag alternatives(struct reader *r, struct regex_length *length);

static struct frag group(struct reader *r, struct regex_length *length)
{
    r->p++;
    if (++r->depth > DEPTH_MAX)
        r->b->rc = ERR(&r->b->err, RANGE, "%s, character %d: more than %d groups inside each other", r->name, place(r), DEPTH_MAX);
    if (at(r, "?:")) {
        r->p += 2;
    } else if (at(r, "?<") && !at(r, "?<=") && !at(r, "?<!")) {
        const char *const close = memchr(r->p, '>', (size_t)(r->end - r->p));
        r->p = close ? close + 1 : r->end;
    } else if (at(r, "?")) {
        cannot(r, "looking around, or a group of options");
    }
    const struct frag f = bad(r) ? none : alternatives(r, length);
    if (!bad(r) && peek(r) != ')')
        wrong(r, "expected )");
    r->p++, r->depth--;
    return f;
}

static struct frag element(struct reader *r, struct regex_length *length)
{
    struct class c = { .n = 0 };
    const int p = peek(r);
    *length = (struct regex_length){ 1, 1 };
    if (p == '(')
        return group(r, length);
    if (p == '[')
        return class_of(r);
    if (p == '.') {
        r->p++;
        return any_char(r);
    }
    if (p == '^' || p == '$')
        cannot(r, "^ or $ in the middle");
    else if (p == '*' || p == '+' || p == '?')
        wrong(r, "nothing to repeat");
    if (bad(r) || takes_set(r, &c))
        return of_class(r, &c);
    const uint32_t x = character(r, false);
    add(r, &c, x, x);
    return of_class(r, &c);
}

/* $ with nothing of its alternative behind it. */
static bool at_end(const struct reader *r) { return peek(r) == '$' && (r->p + 1 == r->end || r->p[1] == '|' || r->p[1] == ')'); }

static struct frag sequence(struct reader *r, struct regex_length *length)
{
    struct frag f = build_empty(r->b);
    *length = (struct regex_length){ 0, 0 };
    while (!bad(r) && peek(r) >= 0 && peek(r) != '|' && peek(r) != ')' && !at_end(r)) {
        const int32_t from = r->b->n_node;
        struct regex_length one;
        struct frag x = element(r, &one);
        if (!bad(r))
            x = repeated(r, x, from, &one);
        f = build_then(r->b, f, x);
        length->least = plus(length->least, one.least), length->most = plus(length->most, one.most);
    }
    return f;
}

static void or_length(struct regex_length *x, struct regex_length y)
{
    x->least = y.least < x->least ? y.least : x->least;
    x->most = x->most < 0 || y.most < 0 ? -1 : y.most > x->most ? y.most : x->most;
}

static struct frag alternatives(struct reader *r, struct regex_length *length)
{
    struct regex_length other;
    struct frag f = sequence(r, length);
    while (!bad(r) && peek(r) == '|') {
        r->p++;
        f = build_or(r->b, f, sequence(r, &other));
        or_length(length, other);
    }
    if (peek(r) == '$')
        cannot(r, "$ in a group");
    return f;
}

/* ---- the whole ---- */

/* What may be around where it is found. */
static struct frag anything(struct reader *r) { return build_star(r->b, r->as == REGEX_JSON ? text_string_class(r->b, NULL, 0, true) : build_class(r->b, NULL, 0, true)); }

static struct frag anchored(struct reader *r, bool whole, struct regex_length *length)
{
    const bool begins = peek(r) == '^';
    r->p += begins;
    struct frag f = sequence(r, length);
    const bool ends = peek(r) == '$';
    r->p += ends;
    if (!begins && !whole && !bad(r))
        f = build_then(r->b, anything(r), f);
    if (!ends && !whole && !bad(r))
        f = build_then(r->b, f, anything(r));
    length->most = (begins && ends) || whole ? length->most : -1;
    return f;
}

struct frag build_regex(struct build *b, const char *text, size_t n, enum regex_as as, bool whole, struct regex_length *length, const char *name)
{
    struct regex_length all, other;
    struct reader r = { .b = b, .begin = text, .p = text, .end = text + n, .name = name, .as = as };
    if (bad(&r))
        return none;
    struct frag f = anchored(&r, whole, &all);
    while (!bad(&r) && peek(&r) == '|') {
        r.p++;
        f = build_or(b, f, anchored(&r, whole, &other));
        or_length(&all, other);
    }
    if (!bad(&r) && peek(&r) >= 0)
        wrong(&r, "a ) without (");
    if (length)
        *length = all;
    return bad(&r) ? none : f;
}
