#include "card/mark.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"

/* ---- Markdown ---- */

static const char *md_entity(char c)
{
    switch (c) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '\n': case '\r': case '\t': return " ";
    default: return (unsigned char)c < 0x20 || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

static int md_put(struct buf *b, const char *s, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *e = md_entity(s[i]);
        if (!e && strchr("\\`*_{}[]#|~$!", s[i]))
            TRY(buf_add_char(b, '\\', err));
        TRY(e ? buf_add_str(b, e, err) : buf_add_char(b, s[i], err));
    }
    return 0;
}

/* What a line may not begin with, lest it be a list, a rule or a title. */
static int md_line(struct buf *b, const char *s, size_t n, struct err *err)
{
    if (n && strchr("-+=", *s))
        TRY(buf_add_char(b, '\\', err));
    size_t digits = 0;
    while (digits < n && s[digits] >= '0' && s[digits] <= '9')
        digits++;
    if (digits && digits < n && (s[digits] == '.' || s[digits] == ')') && (digits + 1 == n || s[digits + 1] == ' ')) {
        TRY(buf_add(b, s, digits, err));
        TRY(buf_add_char(b, '\\', err));
        return md_put(b, s + digits, n - digits, err);
    }
    return md_put(b, s, n, err);
}

int md_text(struct buf *b, const char *s, struct err *err) { return s ? md_line(b, s, strlen(s), err) : buf_add_str(b, "–", err); }

int md_lines(struct buf *b, const char *s, struct err *err)
{
    while (*s) {
        const size_t n = strcspn(s, "\n"), list = n > 1 && !strncmp(s, "- ", 2) ? 2 : 0;
        TRY(buf_add(b, s, list, err));
        TRY(md_line(b, s + list, n - list, err));
        TRY(buf_add_char(b, '\n', err));
        /* A list ends, and another begins, with an empty line. */
        const char *next = s + n + (s[n] == '\n');
        if (*next && (!strncmp(next, "- ", 2) ? 2u : 0u) != list)
            TRY(buf_add_char(b, '\n', err));
        s = next;
    }
    return 0;
}

int md_cell(struct buf *b, const char *s, struct err *err)
{
    TRY(md_text(b, s, err));
    return buf_add_str(b, " | ", err);
}

/* ---- YAML ---- */

static uint32_t code_of(const char *s, int n)
{
    uint32_t c = (unsigned char)*s;
    if (n == 1)
        return c;
    c &= 0x7fu >> n;
    for (int i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3f);
    return c;
}

/* What YAML takes as it is. */
static int is_printable(uint32_t c) { return (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff && (c & 0xfffe) != 0xfffe); }

int yaml_text(struct buf *b, const char *s, struct err *err)
{
    const char *end = s + strlen(s);
    TRY(buf_add_char(b, '"', err));
    while (s < end) {
        const int n = utf8_length(s, end);
        const uint32_t c = n ? code_of(s, n) : 0xfffd;
        if (c == '"' || c == '\\')
            TRY(buf_printf(b, err, "\\%c", (char)c));
        else if (n && is_printable(c))
            TRY(buf_add(b, s, (size_t)n, err));
        else
            TRY(buf_printf(b, err, c > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)c));
        s += n ? n : 1;
    }
    return buf_add_char(b, '"', err);
}

int yaml_comment(struct buf *b, const char *s, struct err *err)
{
    while (*s) {
        const size_t n = strcspn(s, "\n");
        TRY(buf_add_str(b, "# ", err));
        for (size_t i = 0; i < n; i++)
            TRY(buf_add_char(b, (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i], err));
        TRY(buf_add_char(b, '\n', err));
        s += n + (s[n] == '\n');
    }
    return 0;
}
