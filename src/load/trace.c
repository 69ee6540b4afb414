#include "load/trace.h"
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"

#define TOKENS_MAX 10000000
#define SECONDS_MAX 1e10
#define COLUMNS_MAX 64
#define PLAIN "SECONDS,INPUT,OUTPUT"

enum what { AT, INPUT, OUTPUT, N_WHAT };
static const char *const what_is[N_WHAT] = { "a time", "the tokens of a prompt", "the tokens of an answer" };
/* Normalised: letters and digits, lower case. */
static const char *const names[N_WHAT][8] = {
    { "at", "seconds", "time", "timestamp", "arrivedat", "arrivaltime" },
    { "input", "inputtokens", "inputlength", "prompttokens", "requesttokens", "contexttokens", "numprefilltokens" },
    { "output", "outputtokens", "outputlength", "completiontokens", "responsetokens", "generatedtokens", "numdecodetokens" },
};
enum form { PLAIN_ROWS, CSV_ROWS, JSON_ROWS };
struct reader { const char *name; enum form form; int column[N_WHAT]; };

/* ---- names and values ---- */

/* Which it is, or N_WHAT. */
static enum what what_of(const char *text, size_t n)
{
    char name[24];
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        if (isalnum((unsigned char)text[i])) {
            if (len + 1 == sizeof name)
                return N_WHAT;
            name[len++] = (char)tolower((unsigned char)text[i]);
        }
    name[len] = 0;
    for (int w = 0; w < N_WHAT; w++)
        for (int k = 0; k < 8 && names[w][k]; k++)
            if (!strcmp(name, names[w][k]))
                return (enum what)w;
    return N_WHAT;
}

static bool right(enum what w, double v) { return w == AT ? v >= 0 && v <= SECONDS_MAX : v >= 1 && v <= TOKENS_MAX && v == floor(v); }

/* A number, or for a time a date. */
static bool value_of(enum what w, const char *text, double *out)
{
    char *end;
    int64_t ns;
    *out = strtod(text, &end);
    if (end != text && !*end)
        return right(w, *out);
    if (w != AT || when_parse(&ns, text, NULL) < 0)
        return false;
    *out = (double)ns / 1e9;
    return right(w, *out);
}

static void set(struct trace_row *row, enum what w, double v)
{
    if (w == AT)
        row->at = v;
    else
        *(w == INPUT ? &row->input : &row->output) = (int)v;
}

/* ---- lines ---- */

static int read_plain(const struct reader *r, const char *line, int number, struct trace_row *row, struct err *err)
{
    const char *p = line + strspn(line, " \t");
    bool ok = true;
    for (int w = 0; w < N_WHAT && ok; w++) {
        char *end;
        const double v = strtod(p, &end);
        ok = end != p && right((enum what)w, v);
        p = end + strspn(end, ", \t");
        set(row, (enum what)w, ok ? v : 1);
    }
    return ok && !*p ? 0 : ERR(err, FORMAT, "%s, line %d: '%.60s', expected " PLAIN, r->name, number, line);
}

/* Cuts the line at its commas, which none of these files has within its fields; the fields lose blanks and quotes around them. */
static int cut(char *line, char **field)
{
    int n = 0;
    for (char *p = line; p && n < COLUMNS_MAX; n++) {
        char *next = strchr(p, ',');
        if (next)
            *next++ = 0;
        p += strspn(p, " \t\"");
        for (char *end = p + strlen(p); end > p && strchr(" \t\"", end[-1]);)
            *--end = 0;
        field[n] = p;
        p = next;
    }
    return n;
}

static int read_header(struct reader *r, char *line, struct err *err)
{
    char *field[COLUMNS_MAX];
    const int n = cut(line, field);
    r->form = CSV_ROWS;
    for (int w = 0; w < N_WHAT; w++)
        r->column[w] = -1;
    for (int i = 0; i < n; i++) {
        const enum what w = what_of(field[i], strlen(field[i]));
        if (w == N_WHAT)
            continue;
        if (r->column[w] >= 0)
            return ERR(err, FORMAT, "%s: two columns with %s, '%.40s' and '%.40s'", r->name, what_is[w], field[r->column[w]], field[i]);
        r->column[w] = i;
    }
    for (int w = 0; w < N_WHAT; w++)
        if (r->column[w] < 0)
            return ERR(err, FORMAT, "%s has no column with %s, expected lines " PLAIN ", or columns such as timestamp, input_length and output_length", r->name, what_is[w]);
    return 0;
}

static int read_csv(const struct reader *r, char *line, int number, struct trace_row *row, struct err *err)
{
    char *field[COLUMNS_MAX];
    const int n = cut(line, field);
    for (int w = 0; w < N_WHAT; w++) {
        double v;
        if (r->column[w] >= n)
            return ERR(err, FORMAT, "%s, line %d: %d fields, expected %s in field %d", r->name, number, n, what_is[w], r->column[w] + 1);
        if (!value_of((enum what)w, field[r->column[w]], &v))
            return ERR(err, FORMAT, "%s, line %d: '%.60s', expected %s%s", r->name, number, field[r->column[w]], what_is[w], w == AT ? "" : ", 1 to 10000000");
        set(row, (enum what)w, v);
    }
    return 0;
}

static int read_members(const struct reader *r, json_t *o, int number, struct trace_row *row, struct err *err)
{
    bool has[N_WHAT] = { false };
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value) {
        const enum what w = what_of(key, strlen(key));
        if (w == N_WHAT)
            continue;
        double v = json_is_number(value) ? json_number_value(value) : 0;
        if (w == AT && json_is_number(value) && !strcmp(key, "timestamp"))
            v /= 1000;
        const bool ok = json_is_string(value) ? value_of(w, json_string_value(value), &v) : json_is_number(value) && right(w, v);
        if (!ok || has[w])
            return ERR(err, FORMAT, "%s, line %d: \"%.40s\", expected %s%s", r->name, number, key, what_is[w], has[w] ? " once" : w == AT ? "" : ", 1 to 10000000");
        has[w] = true;
        set(row, w, v);
    }
    for (int w = 0; w < N_WHAT; w++)
        if (!has[w])
            return ERR(err, FORMAT, "%s, line %d has no key with %s, such as %s", r->name, number, what_is[w], w == AT ? "timestamp" : w == INPUT ? "input_length" : "output_length");
    return 0;
}

static int read_json(const struct reader *r, const char *line, int number, struct trace_row *row, struct err *err)
{
    char where[200];
    json_t *o = NULL;
    snprintf(where, sizeof where, "%.150s, line %d", r->name, number);
    TRY(tree_parse_json(&o, line, strlen(line), where, err));
    const int rc = json_is_object(o) ? read_members(r, o, number, row, err) : ERR(err, FORMAT, "%s, line %d: no object", r->name, number);
    json_decref(o);
    return rc;
}

static int read_row(const struct reader *r, char *line, int number, struct trace_row *row, struct err *err)
{
    return r->form == JSON_ROWS ? read_json(r, line, number, row, err) : r->form == CSV_ROWS ? read_csv(r, line, number, row, err) : read_plain(r, line, number, row, err);
}

/* ---- files ---- */

static int read_rows(char *text, const char *name, struct trace_row *rows, int *n, struct err *err)
{
    struct reader r = { .name = name };
    bool begun = false;
    int number = 0;
    *n = 0;
    for (char *line = text + (strncmp(text, "\xef\xbb\xbf", 3) ? 0 : 3), *next; line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        number++;
        const char first = line[strspn(line, " \t")];
        if (!first || first == '#')
            continue;
        if (!begun && (isalpha((unsigned char)first) || first == '"') && strchr(line, ','))
            TRY(read_header(&r, line, err));
        else {
            r.form = !begun && first == '{' ? JSON_ROWS : r.form;
            TRY(read_row(&r, line, number, &rows[(*n)++], err));
        }
        begun = true;
    }
    return *n ? 0 : ERR(err, FORMAT, "%s has no requests, expected lines " PLAIN, name);
}

static int by_time(const void *pa, const void *pb)
{
    const struct trace_row *a = pa, *b = pb;
    return (a->at > b->at) - (a->at < b->at);
}

void trace_sort(struct trace_row *rows, int n)
{
    qsort(rows, (size_t)n, sizeof *rows, by_time);
    for (int i = n - 1; i >= 0; i--)
        rows[i].at -= rows[0].at;
}

int trace_parse(char *text, size_t len, const char *name, struct trace_row **out, int *n, struct err *err)
{
    *out = NULL;
    if (strlen(text) != len)
        return ERR(err, FORMAT, "%s is no text: it has a NUL", name);
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    if (lines > INT_MAX)
        return ERR(err, RANGE, "%s has %zu lines, expected at most %d", name, lines, INT_MAX);
    if (!(*out = mem_alloc_array(lines, sizeof **out)))
        return ERR(err, NOMEM, "no memory for %zu requests", lines);
    const int rc = read_rows(text, name, *out, n, err);
    if (rc < 0) {
        mem_free(*out);
        *out = NULL;
        return rc;
    }
    trace_sort(*out, *n);
    return 0;
}

int trace_read(const char *path, struct trace_row **out, int *n, struct err *err)
{
    struct buf text;
    *out = NULL;
    buf_init(&text);
    int rc = file_read(path, (size_t)1 << 32, &text, err);
    rc = rc ? rc : trace_parse(text.data, text.len, path, out, n, err);
    buf_release(&text);
    return rc;
}
