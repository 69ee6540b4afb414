/* toml.c - a line after the other; the table that keys go to is kept, and found anew by each header. */
#include "audit/toml.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#define DEPTH_MAX 8

struct toml { const char *p, *end, *name; int line; struct buf word; struct err *err; uint64_t refused; };

#define WRONG(t, ...) wrong((t), ERR((t)->err, FORMAT, __VA_ARGS__))
static int wrong(const struct toml *t, int rc)
{
    err_context(t->err, "%s:%d", t->name, t->line);
    return rc;
}

static int no_memory(const struct toml *t) { return ERR(t->err, NOMEM, "no memory for %s", t->name); }
/* What jansson did not make: without memory, or of bytes that are not UTF-8. */
static int not_made(const struct toml *t)
{
    return mem_json_refused() != t->refused ? no_memory(t) : WRONG(t, "a key or string that is not UTF-8");
}

static bool at(const struct toml *t, const char *s) { const size_t n = strlen(s); return (size_t)(t->end - t->p) >= n && !memcmp(t->p, s, n); }
static int peek(const struct toml *t) { return t->p < t->end ? (unsigned char)*t->p : -1; }

static void skip_blanks(struct toml *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
        t->p++;
}

static void skip_comment(struct toml *t)
{
    skip_blanks(t);
    if (peek(t) == '#')
        while (t->p < t->end && *t->p != '\n')
            t->p++;
    if (at(t, "\r\n"))
        t->p++;
}

/* Blanks, comments and ends of lines, within an array and between lines. */
static void skip_lines(struct toml *t)
{
    for (skip_comment(t); peek(t) == '\n'; skip_comment(t))
        t->p++, t->line++;
}

static int end_line(struct toml *t)
{
    skip_comment(t);
    if (t->p < t->end && *t->p != '\n')
        return WRONG(t, "found '%c' behind a value, expected the end of the line", *t->p);
    return 0;
}

/* ---- strings ---- */

static int put(struct toml *t, const char *p, size_t n)
{
    return buf_add(&t->word, p, n, t->err);
}

static int read_code(struct toml *t, int digits)
{
    uint32_t c = 0;
    for (int i = 0; i < digits; i++, t->p++) {
        const char *hex = "0123456789abcdef", *d = t->p < t->end && *t->p ? strchr(hex, *t->p | 32) : NULL;
        if (!d)
            return WRONG(t, "a character's code ends after %d digits, expected %d", i, digits);
        c = 16 * c + (uint32_t)(d - hex);
    }
    if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return WRONG(t, "U+%X is no character", (unsigned)c);
    char out[4];
    return put(t, out, (size_t)utf8_put(c, out));
}

static int read_escape(struct toml *t, bool lines)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    const int c = peek(t);
    const char *p = c > 0 ? strchr(from, c) : NULL;
    if (p)
        return t->p++, put(t, to + (p - from), 1);
    if (c == 'u' || c == 'U')
        return t->p++, read_code(t, c == 'u' ? 4 : 8);
    if (lines && (c == '\n' || c == '\r' || c == ' ' || c == '\t')) {       /* the line goes on where the next one begins */
        for (; t->p < t->end && strchr(" \t\r\n", *t->p); t->p++)
            t->line += *t->p == '\n';
        return 0;
    }
    return WRONG(t, "found '\\%c', which is no escape", c > 0x20 && c < 0x7f ? c : '?');
}

/* The quote has been seen: of one, or of three, that may hold line ends. */
static int read_string(struct toml *t)
{
    const char quote = *t->p, triple[] = { quote, quote, quote, 0 };
    const bool lines = at(t, triple), escapes = quote == '"';
    const int begun = t->line;
    buf_clear(&t->word);
    t->p += lines ? 3 : 1;
    if (lines && at(t, "\r\n"))
        t->p++;
    if (lines && peek(t) == '\n')
        t->p++, t->line++;
    for (;;) {
        const int c = peek(t);
        if (c < 0 || (c == '\n' && !lines))
            return WRONG(t, "the string that begins in line %d has no end", begun);
        if ((c < ' ' && !strchr("\t\n\r", c)) || c == 0x7f || !c)
            return WRONG(t, "a control character (%d) in a string", c);
        if (lines ? at(t, triple) && !(t->end - t->p > 3 && t->p[3] == quote) : c == quote)
            return t->p += lines ? 3 : 1, 0;
        t->line += c == '\n';
        const char *one = t->p++;
        TRY(escapes && c == '\\' ? read_escape(t, lines) : put(t, one, 1));
    }
}

static json_t *string_of(const struct toml *t)
{
    return json_stringn(t->word.data, t->word.len);
}

/* ---- values ---- */

static int read_value(struct toml *t, json_t **out, int depth);

static int read_array(struct toml *t, json_t **out, int depth)
{
    json_t *a = json_array(), *x = NULL;
    int rc = a ? 0 : no_memory(t);
    t->p++;
    for (skip_lines(t); !rc && peek(t) != ']'; skip_lines(t)) {
        rc = read_value(t, &x, depth + 1);
        if (!rc && json_array_append_new(a, x))
            rc = no_memory(t);
        skip_lines(t);
        if (!rc && peek(t) == ',')
            t->p++;
        else if (!rc && peek(t) != ']')
            rc = WRONG(t, "an array goes on with neither ',' nor ']'");
    }
    t->p += !rc;
    if (rc)
        json_decref(a);
    else
        *out = a;
    return rc;
}

static int read_number(struct toml *t, json_t **out)
{
    char text[40], *stop;
    size_t n = 0;
    while (t->p + n < t->end && n + 1 < sizeof text && t->p[n] && strchr("+-.0123456789eE", t->p[n]))
        text[n] = t->p[n], n++;
    text[n] = 0;
    const double v = strtod(text, &stop);
    if (!n || *stop || v - v != 0)
        return WRONG(t, "found '%.20s', expected a string, a number, true, false or an array", n ? text : "no such thing");
    *out = strpbrk(text, ".eE") || v > 9e15 || v < -9e15 ? json_real(v) : json_integer((json_int_t)v);
    t->p += n;
    return *out ? 0 : no_memory(t);
}

static int read_value(struct toml *t, json_t **out, int depth)
{
    if (depth > DEPTH_MAX)
        return WRONG(t, "arrays within arrays, more than %d deep", DEPTH_MAX);
    if (peek(t) == '"' || peek(t) == '\'') {
        TRY(read_string(t));
        if (!(*out = string_of(t)))
            return not_made(t);
        return 0;
    }
    if (peek(t) == '[')
        return read_array(t, out, depth);
    if (peek(t) == '{')
        return WRONG(t, "a table within a line is not supported: write it as [table]");
    for (int yes = 0; yes < 2; yes++)
        if (at(t, yes ? "true" : "false")) {
            t->p += yes ? 4 : 5;
            *out = json_boolean(yes);
            return 0;
        }
    return read_number(t, out);
}

/* ---- keys and tables ---- */

static bool bare(int c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-'; }

/* Into t->word. */
static int read_key(struct toml *t)
{
    skip_blanks(t);
    if (peek(t) == '"' || peek(t) == '\'')
        return read_string(t);
    const char *begin = t->p;
    while (t->p < t->end && bare((unsigned char)*t->p))
        t->p++;
    buf_clear(&t->word);
    if (t->p == begin)
        return WRONG(t, "found no key");
    return put(t, begin, (size_t)(t->p - begin));
}

/* Member of an object, made where there is none; of an array the last one. */
static int enter(struct toml *t, json_t **table, bool new_element, bool last)
{
    json_t *x = json_object_getn(*table, t->word.data, t->word.len);
    if (!x) {
        x = last && new_element ? json_array() : json_object();
        if (!x || json_object_setn_new(*table, t->word.data, t->word.len, x))
            return not_made(t);
    } else if (last && !new_element)
        return WRONG(t, "table '%s' is there already", t->word.data);
    if (last && new_element) {
        if (!json_is_array(x) || json_array_append_new(x, json_object()))
            return json_is_array(x) ? no_memory(t) : WRONG(t, "'%s' is a table, and here one of many", t->word.data);
    }
    if (json_is_array(x))
        x = json_array_get(x, json_array_size(x) - 1);
    if (!json_is_object(x))
        return WRONG(t, "'%s' is a value, and here a table", t->word.data);
    *table = x;
    return 0;
}

/* [a.b] or [[a.b]]: *table is then what its keys go to. */
static int read_header(struct toml *t, json_t *root, json_t **table)
{
    const bool many = at(t, "[[");
    t->p += many ? 2 : 1;
    *table = root;
    for (int depth = 0;; depth++) {
        TRY(read_key(t));
        skip_blanks(t);
        const bool last = peek(t) != '.';
        if (depth > DEPTH_MAX)
            return WRONG(t, "tables within tables, more than %d deep", DEPTH_MAX);
        TRY(enter(t, table, many, last));
        if (last)
            break;
        t->p++;
    }
    if (!at(t, many ? "]]" : "]"))
        return WRONG(t, "the name of a table ends without %s", many ? "]]" : "]");
    t->p += many ? 2 : 1;
    return end_line(t);
}

static int read_member(struct toml *t, json_t *table)
{
    TRY(read_key(t));
    skip_blanks(t);
    if (peek(t) != '=')
        return WRONG(t, peek(t) == '.' ? "key '%s' goes on with a point, which is not supported: write it as [table]" : "key '%s' without '='", t->word.data);
    t->p++;
    skip_blanks(t);
    if (json_object_getn(table, t->word.data, t->word.len))
        return WRONG(t, "key '%s' is there twice", t->word.data);
    const size_t n = t->word.len;
    char *key = mem_printf("%s", t->word.data);
    json_t *value = NULL;
    int rc = key ? read_value(t, &value, 0) : no_memory(t);
    if (!rc && json_object_setn_new(table, key, n, value))
        rc = not_made(t);
    mem_free(key);
    return rc ? rc : end_line(t);
}

int toml_parse(json_t **out, const char *text, size_t n, const char *name, struct err *err)
{
    struct toml t = { text, text + n, name, 1, { .len = 0 }, err, mem_json_refused() };
    json_t *root = json_object(), *table = root;
    int rc = root ? 0 : no_memory(&t);
    buf_init(&t.word);
    if (at(&t, "\xef\xbb\xbf"))
        t.p += 3;
    for (skip_lines(&t); !rc && t.p < t.end; skip_lines(&t))
        rc = peek(&t) == '[' ? read_header(&t, root, &table) : read_member(&t, table);
    buf_release(&t.word);
    if (rc)
        json_decref(root);
    else
        *out = root;
    return rc;
}
