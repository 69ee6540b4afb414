/* grammar_gbnf.c - reads grammars as llama.cpp writes them (grammars/README.md):
 *
 *   name ::= sequence | sequence | ...      # to the end of the line
 *   sequence: "literal" [a-z] [^\n] . name ( ... ), each with * + ? {m} {m,} {m,n} behind it
 *   in literals and classes: \n \r \t \\ \" \[ \] \- \xHH \uHHHH \UHHHHHHHH
 *
 * A rule goes on in the next line inside parentheses, after ::= and after |. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/grammar_build.h"
#include "model/unicode.h"

#define DEPTH_MAX 200            /* of parentheses */
#define RANGES_MAX 1000          /* of a class */

struct reader { const char *begin, *p, *end; struct build b; int depth; };

/* Line and column of where it is, and what stands there. */
static int wrong(struct reader *r, const char *expected)
{
    int line = 1, column = 1;
    if (r->b.rc < 0)
        return r->b.rc;
    for (const char *q = r->begin; q < r->p; q++)
        column = *q == '\n' ? 1 : column + ((*q & 0xC0) != 0x80), line += *q == '\n';
    const int n = r->p < r->end ? utf8_length(r->p, r->end) : 0;
    char found[16] = "the end";
    if (r->p < r->end && (!n || (unsigned char)*r->p < ' '))
        snprintf(found, sizeof found, "byte 0x%02x", (unsigned char)*r->p);
    else if (r->p < r->end)
        snprintf(found, sizeof found, "'%.*s'", n, r->p);
    return r->b.rc = ERR(&r->b.err, FORMAT, "grammar, line %d, column %d: found %s, expected %s", line, column, found, expected);
}

static bool bad(const struct reader *r) { return r->b.rc < 0; }
static int peek(const struct reader *r) { return r->p < r->end ? (unsigned char)*r->p : -1; }

static void space(struct reader *r, bool lines)
{
    for (int c; (c = peek(r)) >= 0; r->p++) {
        if (c == '#')
            while (r->p + 1 < r->end && r->p[1] != '\n')
                r->p++;
        else if (c != ' ' && c != '\t' && (!lines || (c != '\n' && c != '\r')))
            return;
    }
}

static bool name_char(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

static size_t name(struct reader *r, const char **begin)
{
    *begin = r->p;
    while (name_char(peek(r)))
        r->p++;
    return (size_t)(r->p - *begin);
}

static uint32_t hex_digits(struct reader *r, int n)
{
    uint32_t x;
    if (!build_read_hex(&r->p, r->end, n, &x)) {
        wrong(r, n == 2 ? "two hexadecimal digits" : n == 4 ? "four hexadecimal digits" : "eight hexadecimal digits");
        return 0;
    }
    if (x > 0x10FFFF || (x >= 0xD800 && x < 0xE000))
        wrong(r, "a character of at most U+10FFFF that is no surrogate");
    return x;
}

/* One character of a literal or class; 0 after an error. */
static uint32_t character(struct reader *r)
{
    size_t n = 0;
    const uint32_t c = r->p < r->end ? unicode_at((const unsigned char *)r->p, (size_t)(r->end - r->p), &n) : UNICODE_INVALID;
    if (c == UNICODE_INVALID) {
        wrong(r, "a character");
        return 0;
    }
    if (c != '\\') {
        r->p += n;
        return c;
    }
    r->p++;
    const int e = peek(r);
    const char *const plain = "\\\"[]-^", *const at = e > 0 ? strchr(plain, e) : NULL;
    if (at || e == 'n' || e == 'r' || e == 't') {
        r->p++;
        return e == 'n' ? '\n' : e == 'r' ? '\r' : e == 't' ? '\t' : (uint32_t)e;
    }
    if (e == 'x' || e == 'u' || e == 'U') {
        r->p++;
        return hex_digits(r, e == 'x' ? 2 : e == 'u' ? 4 : 8);
    }
    wrong(r, "n, r, t, x, u, U, \\, \", [, ], ^ or - after \\");
    return 0;
}

static struct frag literal(struct reader *r)
{
    struct frag f = build_empty(&r->b);
    r->p++;
    while (!bad(r) && peek(r) != '"') {
        char bytes[4];
        if (peek(r) < 0) {
            wrong(r, "\"");
            break;
        }
        const uint32_t c = character(r);
        if (!bad(r))
            f = build_then(&r->b, f, build_bytes(&r->b, bytes, (size_t)utf8_put(c, bytes)));
    }
    r->p++;
    return f;
}

static struct frag class_of(struct reader *r)
{
    struct code_range *range = mem_alloc_array(RANGES_MAX, sizeof *range);
    struct frag f = { -1, -1 };
    int n = 0;
    r->p++;
    const bool negated = peek(r) == '^';
    r->p += negated;
    if (!range)
        r->b.rc = ERR(&r->b.err, NOMEM, "no memory for a class of characters");
    while (!bad(r) && peek(r) != ']') {
        if (n == RANGES_MAX) {
            wrong(r, "at most 1000 ranges in a class");
            break;
        }
        range[n].low = range[n].high = character(r);
        if (!bad(r) && peek(r) == '-' && r->p + 1 < r->end && r->p[1] != ']') {
            r->p++;
            range[n].high = character(r);
            if (!bad(r) && range[n].high < range[n].low)
                wrong(r, "a range that ascends, before this");
        }
        n++;
    }
    if (!bad(r))
        f = build_class(&r->b, range, n, negated);
    r->p++;
    mem_free(range);
    return f;
}

/* What stands behind an element. */
static struct frag repeated(struct reader *r, struct frag f, int32_t from)
{
    const int c = peek(r);
    if (c == '*' || c == '+' || c == '?') {
        r->p++;
        return c == '*' ? build_star(&r->b, f) : c == '?' ? build_optional(&r->b, f) : build_repeat(&r->b, f, from, 1, -1);
    }
    if (c != '{')
        return f;
    r->p++;
    space(r, true);
    const int min = build_read_number(&r->p, r->end);
    int max = min;
    if (min < 0)
        wrong(r, "a number");
    space(r, true);
    if (!bad(r) && peek(r) == ',') {
        r->p++;
        space(r, true);
        max = build_read_number(&r->p, r->end);
        space(r, true);
    }
    if (!bad(r) && peek(r) != '}')
        wrong(r, max < 0 ? "a number or }" : "}");
    r->p++;
    return bad(r) ? f : build_repeat(&r->b, f, from, min, max);
}

static struct frag alternatives(struct reader *r, bool nested);

static struct frag element(struct reader *r)
{
    const int c = peek(r);
    const char *begin;
    if (c == '"')
        return literal(r);
    if (c == '[')
        return class_of(r);
    if (c == '.') {
        r->p++;
        return build_class(&r->b, NULL, 0, true);
    }
    if (c == '(') {
        if (++r->depth > DEPTH_MAX)
            wrong(r, "at most 200 parentheses inside each other");
        r->p++;
        space(r, true);
        const struct frag f = bad(r) ? (struct frag){ -1, -1 } : alternatives(r, true);
        if (!bad(r) && peek(r) != ')')
            wrong(r, "), | or an element");
        r->p++, r->depth--;
        return f;
    }
    const size_t n = name(r, &begin);
    return build_call(&r->b, build_rule(&r->b, begin, n));
}

static bool begins_element(int c) { return c == '"' || c == '[' || c == '.' || c == '(' || name_char(c); }

static struct frag sequence(struct reader *r, bool nested)
{
    struct frag f = build_empty(&r->b);
    while (!bad(r) && begins_element(peek(r))) {
        const int32_t from = r->b.n_node;
        struct frag x = element(r);
        space(r, nested);
        if (!bad(r))
            x = repeated(r, x, from);
        space(r, nested);
        if (!bad(r) && peek(r) >= 0 && strchr("*+?{", peek(r)))
            wrong(r, "one of * + ? {} behind an element");
        if (!bad(r))
            f = build_then(&r->b, f, x);
    }
    return f;
}

static struct frag alternatives(struct reader *r, bool nested)
{
    struct frag f = sequence(r, nested);
    while (!bad(r) && peek(r) == '|') {
        r->p++;
        space(r, true);
        const struct frag g = sequence(r, nested);
        if (!bad(r))
            f = build_or(&r->b, f, g);
    }
    return f;
}

static void rule(struct reader *r)
{
    const char *begin;
    const size_t n = name(r, &begin);
    if (!n) {
        wrong(r, "the name of a rule");
        return;
    }
    const int i = build_rule(&r->b, begin, n);
    space(r, false);
    if (!bad(r) && build_defined(&r->b, i)) {
        r->p = begin;
        wrong(r, "a rule that is not there yet");
    }
    if (!bad(r) && (r->end - r->p < 3 || memcmp(r->p, "::=", 3)))
        wrong(r, "::=");
    if (bad(r))
        return;
    r->p += 3;
    space(r, true);
    const struct frag f = alternatives(r, false);
    if (!bad(r) && peek(r) >= 0 && peek(r) != '\n' && peek(r) != '\r')
        wrong(r, "an element, | or the end of the line");
    if (!bad(r))
        build_define(&r->b, i, f);
    space(r, true);
}

int grammar_parse(struct grammar **out, const char *text, size_t n, struct err *err)
{
    struct reader r = { .begin = text, .p = text, .end = text + n };
    *out = NULL;
    if (n > GRAMMAR_TEXT_MAX)
        return ERR(err, RANGE, "a grammar of %zu bytes, expected at most %zu", n, GRAMMAR_TEXT_MAX);
    space(&r, true);
    while (!bad(&r) && peek(&r) >= 0)
        rule(&r);
    const int root = bad(&r) ? -1 : build_rule(&r.b, "root", 4);
    if (!bad(&r) && !build_defined(&r.b, root))
        r.b.rc = ERR(&r.b.err, FORMAT, "the grammar has no rule 'root'");
    return build_end(&r.b, root, out, err);
}
