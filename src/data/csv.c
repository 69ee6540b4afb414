#include "data/csv.h"
#include <stdbool.h>
#include <string.h>
#include "base/file.h"

/* One field from c->at on, behind which c->at is left; c->next_line counts the line ends in it. */
static int read_field(struct csv *c, struct buf *out, struct err *err)
{
    if (c->at == c->end || *c->at != '"') {
        const char *from = c->at;
        while (c->at < c->end && *c->at != '\n' && *c->at != c->separator)
            c->at++;
        const bool cr = c->at > from && c->at[-1] == '\r' && (c->at == c->end || *c->at == '\n');
        return buf_add(out, from, (size_t)(c->at - from) - cr, err);
    }
    for (c->at++;;) {
        const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
        if (!quote) {
            c->at = c->end;
            return ERR(err, FORMAT, "%s:%lld: a field in quotes has no end", c->name, (long long)c->line);
        }
        for (const char *p = c->at; p < quote; p++)
            c->next_line += *p == '\n';
        TRY(buf_add(out, c->at, (size_t)(quote - c->at), err));
        c->at = quote + 1;
        if (c->at == c->end || *c->at != '"')
            break;
        TRY(buf_add_char(out, *c->at++, err));
    }
    if (c->at < c->end && *c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n')
        c->at++;
    if (c->at < c->end && *c->at != '\n' && *c->at != c->separator) {
        c->at = memchr(c->at, '\n', (size_t)(c->end - c->at));
        c->at = c->at ? c->at : c->end;
        return ERR(err, FORMAT, "%s:%lld: text behind the quotes of a field", c->name, (long long)c->line);
    }
    return 0;
}

/* Fields up to the end of the line: how many, or an error; what stands behind the line is read next in any case. */
static int read_row(struct csv *c, struct buf *out, size_t field[CSV_FIELDS_MAX + 1], struct err *err)
{
    int n = 0, rc = 0;
    buf_clear(out);
    c->line = c->next_line;
    do {
        if (n && c->at < c->end)
            c->at++;                                 /* the separator */
        if (n == CSV_FIELDS_MAX)
            rc = ERR(err, RANGE, "%s:%lld: more than %d fields", c->name, (long long)c->line, CSV_FIELDS_MAX);
        field[n] = out->len;
        if (!rc && !(rc = read_field(c, out, err)) && !(rc = buf_add_char(out, 0, err)))
            n++;
    } while (!rc && c->at < c->end && *c->at == c->separator);
    const char *line_end = c->at < c->end ? memchr(c->at, '\n', (size_t)(c->end - c->at)) : NULL;
    c->at = line_end ? line_end + 1 : c->end;
    c->next_line++;
    field[n] = out->len;
    return rc ? rc : n;
}

/* A quote opens a field only as its first byte; behind the one that closes it only another quote, a separator or a line end makes sense, and what is wrong there goes
 * to the end of the line. */
size_t csv_row_end(struct csv_cut *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char b = p[i];
        if (c->in == CSV_QUOTED) {
            c->in = b == '"' ? CSV_CLOSED : CSV_QUOTED;
            continue;
        }
        if (b == '\n')
            return i + 1;
        if (c->in == CSV_BROKEN)
            continue;
        if (!c->separator && (b == ',' || b == '\t' || b == ';'))
            c->separator = b;
        if (b == '"' && c->in != CSV_PLAIN)
            c->in = CSV_QUOTED;
        else if (b && b == c->separator)
            c->in = CSV_BEGIN;
        else
            c->in = c->in == CSV_CLOSED ? CSV_BROKEN : CSV_PLAIN;
    }
    return 0;
}

bool csv_named(const char *path) { return file_name_ends(path, ".csv") || file_name_ends(path, ".tsv"); }

int csv_open(struct csv *c, const char *text, size_t n, const char *name, struct err *err)
{
    *c = (struct csv){ .at = text, .end = text + n, .name = name, .next_line = 1 };
    buf_init(&c->text);
    buf_init(&c->header);
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        c->at += 3;
    struct csv_cut cut = { 0 };
    csv_row_end(&cut, c->at, (size_t)(c->end - c->at));
    c->separator = cut.separator ? cut.separator : CSV_SEPARATOR;
    c->n = read_row(c, &c->header, c->head, err);
    return c->n < 0 ? c->n : 0;
}

int csv_next(struct csv *c, struct err *err)
{
    while (c->at < c->end && (*c->at == '\n' || (*c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n'))) {
        c->at += *c->at == '\r' ? 2 : 1;
        c->next_line++;
    }
    if (c->at == c->end)
        return 0;
    const int n = read_row(c, &c->text, c->field, err);
    TRY(n);
    if (n != c->n)
        return ERR(err, FORMAT, "%s:%lld: %d fields, expected %d as in the header", c->name, (long long)c->line, n, c->n);
    return 1;
}

const char *csv_field(const struct csv *c, int i, size_t *n)
{
    *n = c->field[i + 1] - c->field[i] - 1;
    return c->text.data + c->field[i];
}

int csv_find(const struct csv *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (strlen(name) == c->head[i + 1] - c->head[i] - 1 && !memcmp(c->header.data + c->head[i], name, strlen(name)))
            return i;
    return -1;
}

void csv_release(struct csv *c)
{
    buf_release(&c->text);
    buf_release(&c->header);
}
