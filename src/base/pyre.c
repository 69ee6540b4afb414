#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/pyre.h"
#include <limits.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define MATCH_LIMIT 10000000       /* some seconds */
#define HEAP_LIMIT_KIB 65536

struct pyre { pcre2_general_context *memory; pcre2_match_context *limits; pcre2_code *code; char *name; int n_group; };

/* ---- the pattern, rewritten ---- */

struct rewrite { const char *p, *from, *end, *name; struct buf *out; struct err *err; };

static int refuse(const struct rewrite *w, const char *what)
{
    return ERR(w->err, UNSUPPORTED, "%s: pattern '%.*s': %s at byte %td", w->name, (int)(w->end - w->from > 200 ? 200 : w->end - w->from), w->from, what, w->p - w->from);
}

/* n digits behind \x, \u or \U. */
static int rewrite_code(struct rewrite *w, int n)
{
    char hex[12];
    if (w->end - w->p < n)
        return refuse(w, "an escape ends too early");
    memcpy(hex, w->p, (size_t)n);
    hex[n] = 0;
    if (strspn(hex, "0123456789abcdefABCDEF") != (size_t)n)
        return refuse(w, "an escape ends too early");
    w->p += n;
    return buf_printf(w->out, w->err, "\\x{%s}", hex);
}

/* Behind a backslash. */
static int rewrite_escape(struct rewrite *w, bool in_class)
{
    if (w->p == w->end)
        return refuse(w, "a backslash at the end");
    const char c = *w->p++;
    switch (c) {
    case 'x': return rewrite_code(w, 2);
    case 'u': return rewrite_code(w, 4);
    case 'U': return rewrite_code(w, 8);
    case 'v': return buf_add_str(w->out, "\\x{0b}", w->err);
    case 'a': return buf_add_str(w->out, "\\x{07}", w->err);
    case 'Z': return in_class ? refuse(w, "\\Z in a class") : buf_add_str(w->out, "\\z", w->err);
    case 'A': case 'B':
        if (in_class)
            return refuse(w, "a place in a class");
        break;
    case 'b': case 'd': case 'D': case 's': case 'S': case 'w': case 'W': case 'f': case 'n': case 'r': case 't': break;
    default:
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            return refuse(w, "an escape that Python does not have, or that is not supported here,");
        break;
    }
    TRY(buf_add_char(w->out, '\\', w->err));
    return buf_add_char(w->out, c, w->err);
}

static int rewrite_class(struct rewrite *w)
{
    TRY(buf_add_char(w->out, '[', w->err));
    if (w->p < w->end && *w->p == '^')
        TRY(buf_add_char(w->out, *w->p++, w->err));
    for (bool first = true; w->p < w->end; first = false) {
        const char c = *w->p++;
        if (c == '\\') {
            TRY(rewrite_escape(w, true));
            continue;
        }
        if (c == '[' || (c == ']' && first))
            TRY(buf_add_char(w->out, '\\', w->err));
        TRY(buf_add_char(w->out, c, w->err));
        if (c == ']' && !first)
            return 0;
    }
    return refuse(w, "a class has no end");
}

static int check_group(const struct rewrite *w)
{
    if (w->p < w->end && *w->p == '*')
        return refuse(w, "nothing to repeat");
    if (w->end - w->p < 2 || *w->p != '?')
        return 0;
    const char *flags = w->p + 1;
    if (strchr("P:=!<>(#", *flags))
        return *flags == '<' && w->end - flags > 1 && flags[1] != '=' && flags[1] != '!' ? refuse(w, "a group that Python does not have") : 0;
    for (; flags < w->end && *flags != ')' && *flags != ':'; flags++)
        if (!strchr("imsx-", *flags))
            return refuse(w, "a flag that is not supported");
    return 0;
}

static int rewrite(struct rewrite *w)
{
    while (w->p < w->end) {
        const char c = *w->p++;
        if (c == '\\') {
            TRY(rewrite_escape(w, false));
        } else if (c == '[') {
            TRY(rewrite_class(w));
        } else {
            if (c == '(')
                TRY(check_group(w));
            TRY(buf_add_char(w->out, c, w->err));
            const size_t digits = c == '{' && w->p < w->end && *w->p == ',' ? strspn(w->p + 1, "0123456789") : 0;      /* the pattern is NUL-terminated */
            if (digits && w->p[1 + digits] == '}')
                TRY(buf_add_char(w->out, '0', w->err));
        }
    }
    return 0;
}

/* ---- compiling ---- */

static void *take(PCRE2_SIZE n, void *user)
{
    (void)user;
    return mem_alloc(n);
}

static void give(void *p, void *user)
{
    (void)user;
    mem_free(p);
}

static int compile(struct pyre *re, const char *pattern, size_t n, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    uint32_t groups;
    re->code = pcre2_compile((PCRE2_SPTR)pattern, n, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!re->code) {
        char says[120];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)says, sizeof says);
        return code == PCRE2_ERROR_NOMEMORY || code == 121 ? ERR(err, NOMEM, "%s: no memory for a pattern", re->name)
                                                           : ERR(err, FORMAT, "%s: pattern '%.200s': %s at byte %zu", re->name, pattern, says, (size_t)at);
    }
    pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups > PYRE_GROUPS_MAX)
        return ERR(err, RANGE, "%s: pattern '%.200s': %u groups, expected at most %d", re->name, pattern, groups, PYRE_GROUPS_MAX);
    re->n_group = (int)groups;
    return 0;
}

int pyre_compile(struct pyre **out, const char *pattern, size_t n, const char *name, struct err *err)
{
    struct buf b, text;
    *out = NULL;
    buf_init(&b);
    buf_init(&text);
    struct pyre *re = mem_alloc_zero(sizeof *re);
    int rc = !re || !(re->name = mem_strdup(name)) || !(re->memory = pcre2_general_context_create(take, give, NULL)) ||
             !(re->limits = pcre2_match_context_create(re->memory)) ? ERR(err, NOMEM, "%s: no memory for a pattern", name) : 0;
    rc = rc ? rc : buf_add(&text, pattern, n, err);
    if (!rc && strlen(text.data) != n)
        rc = ERR(err, UNSUPPORTED, "%s: a pattern with a NUL", name);
    if (!rc) {
        struct rewrite w = { .p = text.data, .from = text.data, .end = text.data + n, .name = name, .out = &b, .err = err };
        pcre2_set_match_limit(re->limits, MATCH_LIMIT);
        pcre2_set_heap_limit(re->limits, HEAP_LIMIT_KIB);
        rc = rewrite(&w);
    }
    rc = rc ? rc : compile(re, b.data, b.len, err);
    buf_release(&b);
    buf_release(&text);
    if (rc)
        pyre_free(re);
    else
        *out = re;
    return rc;
}

void pyre_free(struct pyre *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    pcre2_match_context_free(re->limits);
    pcre2_general_context_free(re->memory);
    mem_free(re->name);
    mem_free(re);
}

int pyre_n_group(const struct pyre *re) { return re->n_group; }

/* ---- matching ---- */

static void fill(const struct pyre *re, const PCRE2_SIZE *o, int rc, struct pyre_match *m)
{
    for (int i = 0; i <= re->n_group; i++) {
        const bool took_part = i < rc && o[2 * i] != PCRE2_UNSET;
        m->group[i].from = took_part ? (ptrdiff_t)o[2 * i] : -1;
        m->group[i].to = took_part ? (ptrdiff_t)o[2 * i + 1] : -1;
    }
    m->next = (size_t)o[1];
    m->advance = o[1] <= o[0];          /* an empty match is not found once more where it stands */
}

int pyre_next(const struct pyre *re, const char *s, size_t n, struct pyre_match *m, struct err *err)
{
    if (m->next > n)
        return 0;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re->code, re->memory);
    if (!data)
        return ERR(err, NOMEM, "%s: no memory to match", re->name);
    const int rc = pcre2_match(re->code, (PCRE2_SPTR)s, n, m->next, m->advance ? PCRE2_NOTEMPTY_ATSTART : 0, data, re->limits);
    if (rc > 0)
        fill(re, pcre2_get_ovector_pointer(data), rc, m);
    pcre2_match_data_free(data);
    if (rc > 0)
        return 1;
    if (rc == PCRE2_ERROR_NOMATCH) {
        m->next = n + 1;
        return 0;
    }
    if (rc == PCRE2_ERROR_NOMEMORY)
        return ERR(err, NOMEM, "%s: no memory to match", re->name);
    char says[120];
    pcre2_get_error_message(rc, (PCRE2_UCHAR *)says, sizeof says);
    return ERR(err, RANGE, "%s: a pattern gives up: %s", re->name, says);
}

/* ---- replacing ---- */

static int add_group(const struct pyre *re, const char *s, const struct pyre_match *m, long group, struct buf *out, struct err *err)
{
    if (group < 0 || group > re->n_group)
        return ERR(err, FORMAT, "%s: the replacement names group %ld, the pattern has %d", re->name, group, re->n_group);
    return m->group[group].from < 0 ? 0 : buf_add(out, s + m->group[group].from, (size_t)(m->group[group].to - m->group[group].from), err);
}

/* \g<name> or \g<number>, from behind the g. */
static int add_named(const struct pyre *re, const char *s, const struct pyre_match *m, const char **p, const char *end, struct buf *out, struct err *err)
{
    char name[64];
    const char *close = *p < end && **p == '<' ? memchr(*p, '>', (size_t)(end - *p)) : NULL;
    if (!close || close - *p < 2 || close - *p > (ptrdiff_t)sizeof name)
        return ERR(err, FORMAT, "%s: the replacement has \\g without <name>", re->name);
    const size_t n = (size_t)(close - *p) - 1;
    memcpy(name, *p + 1, n);
    name[n] = 0;
    *p = close + 1;
    if (strspn(name, "0123456789") == n)
        return add_group(re, s, m, n < 5 ? strtol(name, NULL, 10) : LONG_MAX, out, err);
    return add_group(re, s, m, pcre2_substring_number_from_name(re->code, (PCRE2_SPTR)name), out, err);
}

static int add_replacement(const struct pyre *re, const char *s, const struct pyre_match *m, const char *p, const char *end, struct buf *out, struct err *err)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    while (p < end) {
        if (*p != '\\' || p + 1 == end) {
            TRY(buf_add_char(out, *p++, err));
            continue;
        }
        const char c = p[1];
        const char *simple = c ? strchr(from, c) : NULL;
        p += 2;
        if (c == 'g') {
            TRY(add_named(re, s, m, &p, end, out, err));
        } else if (c >= '1' && c <= '9') {
            long group = c - '0';
            if (p < end && *p >= '0' && *p <= '9')
                group = group * 10 + (*p++ - '0');
            TRY(add_group(re, s, m, group, out, err));
        } else if (simple) {
            TRY(buf_add_char(out, to[simple - from], err));
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0') {
            return ERR(err, UNSUPPORTED, "%s: the replacement has \\%c", re->name, c);
        } else {
            TRY(buf_add(out, p - 2, 2, err));
        }
    }
    return 0;
}

int pyre_sub(const struct pyre *re, const char *s, size_t n, const char *repl, size_t n_repl, int count, struct buf *out, struct err *err)
{
    struct pyre_match m = { .next = 0 };
    size_t at = 0;
    int rc = 0;
    for (int i = 0; (!count || i < count) && (rc = pyre_next(re, s, n, &m, err)) > 0; i++) {
        TRY(buf_add(out, s + at, (size_t)m.group[0].from - at, err));
        TRY(add_replacement(re, s, &m, repl, repl + n_repl, out, err));
        at = (size_t)m.group[0].to;
    }
    TRY(rc);
    return buf_add(out, s + at, n - at, err);
}
