/* jinja_lex.c - cuts a template into text, tags and tokens, with Jinja's rules of white space.
 *
 * trim_blocks: a newline right after a block or comment goes.  lstrip_blocks: so do blanks between the start of a line and
 * a block or comment.  '-' at a tag takes all white space on its side, '+' keeps it.  Newlines are made \n, and one at the
 * very end of the template goes.  In a strict template none of this happens; newlines are made \n there too. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "model/jinja_tree.h"

struct lexer {
    const char *p, *end, *name;
    int line;
    bool line_start;             /* what stands at p begins a line */
    bool keep;                   /* no white space goes by itself */
    struct jpool *pool;
    struct jtoken *token;
    size_t n, cap;
    struct err *err;
};

static int lex_error(const struct lexer *l, const char *what) { return ERR(l->err, FORMAT, "%s:%d: %s", l->name, l->line, what); }

static int emit(struct lexer *l, struct jtoken t)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? l->cap * 2 : 256;
        struct jtoken *p = mem_realloc_array(l->token, cap, sizeof *p);
        if (!p)
            return ERR(l->err, NOMEM, "%s: no memory to read it", l->name);
        l->token = p, l->cap = cap;
    }
    l->token[l->n++] = t;
    return 0;
}

static void advance(struct lexer *l, const char *to)
{
    if (to > l->p)
        l->line_start = to[-1] == '\n';
    for (; l->p < to; l->p++)
        l->line += *l->p == '\n';
}

static const char *skip_space(const char *p, const char *end)
{
    size_t n;
    while (p < end && jchar_space(jchar_at(p, &n)))
        p += n;
    return p;
}

static const char *skip_space_back(const char *from, const char *p)
{
    while (p > from) {
        const char *q = p - 1;
        size_t n;
        while (q > from && ((unsigned char)*q & 0xc0) == 0x80)
            q--;
        if (!jchar_space(jchar_at(q, &n)))
            break;
        p = q;
    }
    return p;
}

/* End of the text before a tag at `tag`, whose sign is given. */
static const char *text_end(const struct lexer *l, const char *tag, char sign, bool variable)
{
    if (sign == '-')
        return skip_space_back(l->p, tag);
    if (sign == '+' || variable || l->keep)
        return tag;
    const char *line = tag;
    while (line > l->p && line[-1] != '\n')
        line--;
    return (line > l->p || l->line_start) && skip_space(line, tag) == tag ? line : tag;
}

/* Past the end of a tag, whose "%}" or "#}" with its sign begins at p. */
static const char *past_end(const struct lexer *l, const char *p, char sign, bool variable)
{
    p += (sign != 0) + 2;
    if (sign == '-')
        return skip_space(p, l->end);
    return !variable && sign != '+' && !l->keep && p < l->end && *p == '\n' ? p + 1 : p;
}

static bool starts(const char *p, const char *end, const char *word)
{
    const size_t n = strlen(word);
    return (size_t)(end - p) >= n && !memcmp(p, word, n);
}

/* If a tag {%- word -%} stands at p, where it ends (without what trimming takes), else NULL. */
static const char *lone_tag(const struct lexer *l, const char *p, const char *word, char *end_sign)
{
    if (!starts(p, l->end, "{%"))
        return NULL;
    p += 2;
    p = skip_space(p + (p < l->end && (*p == '-' || *p == '+')), l->end);
    if (!starts(p, l->end, word))
        return NULL;
    p = skip_space(p + strlen(word), l->end);
    *end_sign = p < l->end && (*p == '-' || *p == '+') ? *p : 0;
    return starts(p + (*end_sign != 0), l->end, "%}") ? p : NULL;
}

static char sign_at(const struct lexer *l, const char *p) { return p < l->end && (*p == '-' || *p == '+') ? *p : 0; }

static int lex_comment(struct lexer *l)
{
    for (const char *p = l->p + 2; p + 1 < l->end; p++)
        if (p[0] == '#' && p[1] == '}') {
            const char sign = p > l->p + 2 && (p[-1] == '-' || p[-1] == '+') ? p[-1] : 0;
            advance(l, past_end(l, p - (sign != 0), sign, false));
            return 0;
        }
    return lex_error(l, "the comment {# has no end, expected #}");
}

static int lex_raw(struct lexer *l, const char *after)
{
    advance(l, after);
    for (const char *p = l->p; p < l->end; p++) {
        char sign;
        const char *tail = *p == '{' ? lone_tag(l, p, "endraw", &sign) : NULL;
        if (!tail)
            continue;
        const char *stop = text_end(l, p, sign_at(l, p + 2), false);
        if (stop > l->p)
            TRY(emit(l, (struct jtoken){ .type = JT_DATA, .line = l->line, .s = l->p, .n = (size_t)(stop - l->p) }));
        advance(l, past_end(l, tail, sign, false));
        return 0;
    }
    return lex_error(l, "{% raw %} has no end, expected {% endraw %}");
}

/* ---- tokens inside a tag ---- */

static bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

/* One escape after its backslash: what it stands for goes to out.  Python's, without \N{...}. */
static int lex_escape(struct lexer *l, const char **pp, const char *end, char **out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *p = *pp, c = *p++;
    const char *simple = c ? strchr(from, c) : NULL;
    uint32_t v = 0;
    if (simple) {
        *(*out)++ = to[simple - from];
    } else if (c == 'x' || c == 'u' || c == 'U') {
        for (int i = 0; i < (c == 'x' ? 2 : c == 'u' ? 4 : 8); i++, p++) {
            if (p == end || hex_value(*p) < 0)
                return lex_error(l, "an escape in a string ends too early, expected hexadecimal digits");
            v = v << 4 | (uint32_t)hex_value(*p);
        }
        if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return lex_error(l, "an escape in a string is no character");
        *out += (size_t)utf8_put(v, *out);
    } else if (c >= '0' && c <= '7') {
        for (p--; p < end && *p >= '0' && *p <= '7' && v < 0100; p++)
            v = v * 8 + (uint32_t)(*p - '0');
        *out += (size_t)utf8_put(v & 0x1ff, *out);
    } else if (c == 'N') {
        return lex_error(l, "\\N{...} is not supported in a string");
    } else if (c != '\n') {
        *(*out)++ = '\\';
        *(*out)++ = c;
    }
    *pp = p;
    return 0;
}

static int lex_string(struct lexer *l)
{
    const char quote = *l->p, *p = l->p + 1, *close = p;
    bool plain = true;
    for (; close < l->end && *close != quote; close++)
        if (*close == '\\') {
            plain = false;
            if (++close == l->end)
                break;
        }
    if (close >= l->end)
        return lex_error(l, "a string has no end");
    struct jtoken t = { .type = JT_STR, .line = l->line, .s = p, .n = (size_t)(close - p) };
    if (!plain) {
        char *s = jpool_take(l->pool, (size_t)(close - p) + 1), *out = s;
        if (!s)
            return ERR(l->err, NOMEM, "%s: no memory to read it", l->name);
        while (p < close) {
            if (*p != '\\') {
                *out++ = *p++;
                continue;
            }
            p++;
            TRY(lex_escape(l, &p, close, &out));
        }
        t.s = s, t.n = (size_t)(out - s);
    }
    TRY(emit(l, t));
    advance(l, close + 1);
    return 0;
}

/* Digits with single underscores between them; returns the end. */
static const char *digits(const char *p, const char *end)
{
    while (p < end && (digit(*p) || (*p == '_' && p + 1 < end && digit(p[1]))))
        p++;
    return p;
}

static int lex_number(struct lexer *l)
{
    const char *p = digits(l->p, l->end), *q = p;
    bool real = false;
    const bool after_dot = l->n && l->token[l->n - 1].type == JT_OP && l->token[l->n - 1].op == '.';
    char text[64];
    size_t n = 0;
    if (!after_dot && q + 1 < l->end && *q == '.' && digit(q[1]))
        q = digits(q + 1, l->end), real = true;
    if (!after_dot && q < l->end && (*q == 'e' || *q == 'E')) {
        const char *e = q + 1;
        e += e < l->end && (*e == '+' || *e == '-');
        if (e < l->end && digit(*e))
            q = digits(e, l->end), real = true;
    }
    if (!real && p - l->p == 1 && *l->p == '0' && p < l->end && strchr("xXoObB", *p))
        return lex_error(l, "numbers are supported in decimal only");
    for (const char *c = l->p; c < q; c++)
        if (*c != '_') {
            if (n == sizeof text - 1)
                return lex_error(l, "a number is too long");
            text[n++] = *c;
        }
    text[n] = 0;
    struct jtoken t = { .type = real ? JT_FLOAT : JT_INT, .line = l->line, .s = l->p, .n = (size_t)(q - l->p) };
    if (real)
        t.f = strtod(text, NULL);
    else if (n > 1 && text[0] == '0' && strspn(text, "0") != n)
        return lex_error(l, "a whole number begins with 0");
    else if (n > 19 || (n == 19 && strcmp(text, "9223372036854775807") > 0))
        return lex_error(l, "a whole number is larger than 9223372036854775807");
    else
        t.i = strtoll(text, NULL, 10);
    advance(l, q);
    return emit(l, t);
}

static int lex_operator(struct lexer *l, char *stack, int *depth)
{
    static const struct { const char *text; int op; } two[] = {
        { "==", JOP_EQ }, { "!=", JOP_NE }, { "<=", JOP_LE }, { ">=", JOP_GE }, { "//", JOP_FLOORDIV }, { "**", JOP_POW },
    };
    static const char open[] = "([{", close[] = ")]}";
    struct jtoken t = { .type = JT_OP, .line = l->line, .s = l->p, .n = 1 };
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (starts(l->p, l->end, two[i].text)) {
            t.op = two[i].op, t.n = 2;
            advance(l, l->p + 2);
            return emit(l, t);
        }
    const char c = *l->p;
    if (!c || !strchr("+-*/%~()[]{}<>=.:|,;", c))
        return ERR(l->err, FORMAT, "%s:%d: found '%.*s', expected a name, value or operator", l->name, l->line, utf8_length(l->p, l->end), l->p);
    if (strchr(open, c)) {
        if (*depth == 200)
            return lex_error(l, "brackets are nested more than 200 deep");
        stack[(*depth)++] = close[strchr(open, c) - open];
    } else if (strchr(close, c)) {
        if (!*depth || stack[*depth - 1] != c)
            return ERR(l->err, FORMAT, "%s:%d: found '%c', expected '%c'", l->name, l->line, c, *depth ? stack[*depth - 1] : '}');
        (*depth)--;
    }
    t.op = c;
    advance(l, l->p + 1);
    return emit(l, t);
}

/* From after "{{" or "{%" to after its end. */
static int lex_tag(struct lexer *l, bool variable)
{
    const char *const mark = variable ? "}}" : "%}";
    const int line = l->line;
    char stack[200];
    int depth = 0;
    for (;;) {
        advance(l, skip_space(l->p, l->end));
        if (l->p == l->end)
            return ERR(l->err, FORMAT, "%s:%d: the tag has no end, expected %s", l->name, line, mark);
        const char *p = l->p, c = *p;
        const char sign = c == '-' || (c == '+' && !variable) ? c : 0;
        if (!depth && starts(p + (sign != 0), l->end, mark)) {
            TRY(emit(l, (struct jtoken){ .type = variable ? JT_VAR_END : JT_BLOCK_END, .line = l->line, .s = mark, .n = 2 }));
            advance(l, past_end(l, p, sign, variable));
            return 0;
        }
        if (digit(c)) {
            TRY(lex_number(l));
        } else if (name_start(c)) {
            while (p < l->end && (name_start(*p) || digit(*p)))
                p++;
            TRY(emit(l, (struct jtoken){ .type = JT_NAME, .line = l->line, .s = l->p, .n = (size_t)(p - l->p) }));
            advance(l, p);
        } else if (c == '\'' || c == '"') {
            TRY(lex_string(l));
        } else {
            TRY(lex_operator(l, stack, &depth));
        }
    }
}

static int lex_all(struct lexer *l)
{
    while (l->p < l->end) {
        const char *tag = l->p;
        while (tag < l->end && !(*tag == '{' && tag + 1 < l->end && (tag[1] == '{' || tag[1] == '%' || tag[1] == '#')))
            tag++;
        if (tag == l->end)
            return emit(l, (struct jtoken){ .type = JT_DATA, .line = l->line, .s = l->p, .n = (size_t)(l->end - l->p) });
        const bool variable = tag[1] == '{';
        const char sign = sign_at(l, tag + 2), *stop = text_end(l, tag, sign, variable);
        if (stop > l->p)
            TRY(emit(l, (struct jtoken){ .type = JT_DATA, .line = l->line, .s = l->p, .n = (size_t)(stop - l->p) }));
        advance(l, tag);
        char end_sign;
        const char *raw = tag[1] == '%' ? lone_tag(l, tag, "raw", &end_sign) : NULL;
        if (tag[1] == '#') {
            TRY(lex_comment(l));
        } else if (raw && end_sign != '+') {
            /* Jinja does not trim a newline after {% raw %}. */
            TRY(lex_raw(l, end_sign ? past_end(l, raw, '-', false) : raw + 2));
        } else {
            TRY(emit(l, (struct jtoken){ .type = variable ? JT_VAR_BEGIN : JT_BLOCK_BEGIN, .line = l->line, .s = tag, .n = 2 }));
            advance(l, tag + 2 + (sign != 0));
            TRY(lex_tag(l, variable));
        }
    }
    return 0;
}

int jlex(const char *text, size_t n, const char *name, enum jinja_env env, struct jpool *pool, struct jtoken **out, size_t *n_out, struct err *err)
{
    struct lexer l = { .name = name, .line = 1, .line_start = true, .keep = env == JINJA_STRICT, .pool = pool, .err = err };
    char *copy = jpool_take(pool, n + 1), *to = copy;
    if (!copy)
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r') {
            *to++ = '\n';
            i += i + 1 < n && text[i + 1] == '\n';
        } else {
            *to++ = text[i];
        }
    }
    to -= !l.keep && to > copy && to[-1] == '\n';
    l.p = copy, l.end = to;
    int rc = lex_all(&l);
    if (!rc)
        rc = emit(&l, (struct jtoken){ .type = JT_END, .line = l.line, .s = "", .n = 0 });
    if (rc < 0) {
        mem_free(l.token);
        return rc;
    }
    *out = l.token, *n_out = l.n;
    return 0;
}
