#include "serve/workshop_table.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "data/csv.h"
#include "data/text.h"

struct column { const char *name; size_t n_name; json_t *values; int64_t n_value, n_number; uint64_t bytes; };
struct table { struct column column[TABLE_COLUMNS]; int n, n_all; int64_t rows; json_t *first; char fault[600]; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to look at a table"); }

/* A text for people: its beginning, whole characters, the rest as U+FFFD. */
static json_t *cell(const char *s, size_t n)
{
    char out[TABLE_CELL + 8];
    size_t at = 0;
    const char *p = s, *end = s + n;
    while (p < end && at < TABLE_CELL) {
        const int k = utf8_length(p, end);
        if (k && *p)
            memcpy(out + at, p, (size_t)k), at += (size_t)k, p += k;
        else
            memcpy(out + at, "\xef\xbf\xbd", 3), at += 3, p++;
    }
    if (p < end)
        memcpy(out + at, "\xe2\x80\xa6", 3), at += 3;
    return json_stringn(out, at);
}

static bool is_number(const char *s, size_t n)
{
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) {
        if (!strchr("+-.,eE0123456789", s[i]) || !s[i])
            return false;
        digits += s[i] >= '0' && s[i] <= '9';
    }
    return digits > 0;
}

static int add_value(struct column *c, const char *s, size_t n, struct err *err)
{
    c->bytes += n, c->n_number += is_number(s, n);
    if (!n || json_object_size(c->values) >= TABLE_VALUES)
        return 0;
    json_t *key = cell(s, n);
    const int rc = key && !json_object_set_new(c->values, json_string_value(key), json_true()) ? 0 : no_memory(err);
    json_decref(key);
    return rc;
}

/* value(ctx, i): the i-th column's of this row. */
typedef const char *value_of(void *ctx, int i, size_t *n);

static int add_row(struct table *t, value_of *value, void *ctx, struct err *err)
{
    json_t *row = t->rows < TABLE_ROWS ? json_array() : NULL;
    if (t->rows < TABLE_ROWS && json_array_append_new(t->first, row))
        return no_memory(err);
    for (int i = 0; i < t->n; i++) {
        size_t n;
        const char *s = value(ctx, i, &n);
        TRY(add_value(&t->column[i], s, n, err));
        if (row && json_array_append_new(row, cell(s, n)))
            return no_memory(err);
    }
    t->rows++;
    return 0;
}

static int add_column(struct table *t, const char *name, size_t n, struct err *err)
{
    if (t->n_all++ >= TABLE_COLUMNS)
        return 0;
    t->column[t->n] = (struct column){ .name = name, .n_name = n, .values = json_object() };
    return t->column[t->n++].values ? 0 : no_memory(err);
}

static void fault(struct table *t, const char *text)
{
    if (!*t->fault)
        snprintf(t->fault, sizeof t->fault, "%s", text);
}

/* ---- CSV ---- */

/* As programs for tables save them where nobody chooses. */
static void check_utf8(struct table *t, const char *s, size_t n)
{
    if (text_bad_utf8(s, n) < n)
        fault(t, "it has characters that are not UTF-8: save it again as 'CSV UTF-8', or choose UTF-8 where it is saved");
}

static const char *field_of(void *ctx, int i, size_t *n) { return csv_field(ctx, i, n); }

/* The last row of a beginning may be cut, and is left out. */
static int read_rows(struct table *t, struct csv *c, bool whole, struct err *err)
{
    struct err why;
    for (;;) {
        const int more = csv_next(c, &why);
        if (more == ERR_NOMEM)
            return no_memory(err);
        if (!more || (!whole && c->at == c->end))
            return 0;
        if (more < 0)
            fault(t, why.msg);
        else {
            for (int i = 0; i < t->n; i++) {
                size_t n_field;
                const char *s = csv_field(c, i, &n_field);
                check_utf8(t, s, n_field);
            }
            TRY(add_row(t, field_of, c, err));
        }
    }
}

static int read_csv(struct table *t, const char *text, size_t n, bool whole, const char *name, struct csv *c, struct err *err)
{
    struct err why;
    if (!n)
        return 0;
    const int rc = csv_open(c, text, n, name, &why);
    if (rc == ERR_NOMEM)
        return no_memory(err);
    if (rc) {
        fault(t, why.msg);
        return 0;
    }
    check_utf8(t, c->header.data, c->header.len);
    for (int i = 0; i < c->n; i++)
        TRY(add_column(t, c->header.data + c->head[i], c->head[i + 1] - c->head[i] - 1, err));
    return read_rows(t, c, whole, err);
}

/* ---- JSON lines ---- */

struct object { const struct table *t; const json_t *o; char number[64]; };

static const char *member_of(void *ctx, int i, size_t *n)
{
    struct object *x = ctx;
    const json_t *v = json_object_getn(x->o, x->t->column[i].name, x->t->column[i].n_name);
    if (json_is_string(v)) {
        *n = json_string_length(v);
        return json_string_value(v);
    }
    *x->number = 0;
    if (json_is_integer(v))
        snprintf(x->number, sizeof x->number, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(x->number, sizeof x->number, "%.10g", json_real_value(v));
    *n = strlen(x->number);
    return x->number;
}

/* names: keeps the first object, whose keys are the columns' names. */
static int add_object(struct table *t, json_t *o, json_t **names, struct err *err)
{
    const char *key;
    json_t *v;
    if (!*names) {
        *names = json_incref(o);
        json_object_foreach(o, key, v)
            if (json_is_string(v) || json_is_number(v))
                TRY(add_column(t, key, strlen(key), err));
            else if (json_is_array(v) && (!strcmp(key, "messages") || !strcmp(key, "conversations")))
                fault(t, "its records are lists of messages, chats: lathe train learns them on the command line, from a model that chats already");
    }
    struct object x = { .t = t, .o = o };
    return add_row(t, member_of, &x, err);
}

static int read_lines(struct table *t, const char *text, size_t n, bool whole, const char *name, json_t **names, struct err *err)
{
    int64_t line = 0;
    for (const char *at = text, *stop = text + n, *end; at < stop; at = end + 1) {
        struct err why;
        json_t *o = NULL;
        end = memchr(at, '\n', (size_t)(stop - at));
        if (!end && !whole)
            return 0;
        end = end ? end : stop;
        line++;
        if (text_is_blank(at, (size_t)(end - at)))
            continue;
        int rc = tree_parse_json(&o, at, (size_t)(end - at), name, &why);
        if (rc == ERR_NOMEM)
            return no_memory(err);
        if (rc || !json_is_object(o)) {
            char said[sizeof t->fault];
            snprintf(said, sizeof said, "%.60s:%lld: %.200s", name, (long long)line, rc ? why.msg : "no JSON object");
            fault(t, said);
            rc = 0;
        } else {
            rc = add_object(t, o, names, err);
        }
        json_decref(o);
        TRY(rc);
    }
    return 0;
}

/* ---- telling ---- */

/* Whether settings can name a column so: data.fields parts names by commas and '=', lathe run fills in $(..). */
static bool is_usable(const char *name, size_t n)
{
    if (!n || n >= 64 || name[0] == ' ' || name[n - 1] == ' ' || text_bad_utf8(name, n) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 32 || strchr(",=$", name[i]))
            return false;
    return true;
}

static int put_columns(json_t *out, const struct table *t, struct err *err)
{
    json_t *list = json_array();
    if (!list || json_object_set_new(out, "columns", list))
        return no_memory(err);
    for (int i = 0; i < t->n; i++) {
        const struct column *c = &t->column[i];
        const size_t values = json_object_size(c->values);
        json_t *name = cell(c->name, c->n_name);
        json_t *o = name ? json_pack("{s:O, s:b, s:I, s:b, s:b, s:f}", "name", name, "usable", is_usable(c->name, c->n_name),
                                     "values", (json_int_t)values, "more", values >= TABLE_VALUES, "numbers", t->rows && c->n_number == t->rows, "length", t->rows ? (double)c->bytes / (double)t->rows : 0)
                         : NULL;
        json_decref(name);
        if (json_array_append_new(list, o))
            return no_memory(err);
    }
    return 0;
}

static int tell(struct table *t, bool whole, const char *name, json_t **out, struct err *err)
{
    if (!t->rows)
        fault(t, !whole ? "its first row is longer than is looked at here" : t->n ? "it has a line of names and no row below" : "it is empty");
    if (t->n_all > TABLE_COLUMNS)
        fault(t, "it has so many columns that only the first are shown");
    err_tidy(t->fault);
    json_t *o = *out = json_pack("{s:s, s:I, s:b, s:O, s:s}", "file", name, "rows", (json_int_t)t->rows, "whole", whole, "first", t->first, "fault", t->fault);
    return o ? put_columns(o, t, err) : no_memory(err);
}

int workshop_table_of(const char *text, size_t n, bool whole, const char *name, json_t **out, struct err *err)
{
    struct table t = { .first = json_array() };
    struct csv c = { 0 };
    json_t *names = NULL;
    *out = NULL;
    buf_init(&c.text), buf_init(&c.header);
    int rc = !t.first ? no_memory(err) : csv_named(name) ? read_csv(&t, text, n, whole, name, &c, err) : read_lines(&t, text, n, whole, name, &names, err);
    rc = rc ? rc : tell(&t, whole, name, out, err);
    for (int i = 0; i < t.n; i++)
        json_decref(t.column[i].values);
    json_decref(t.first), json_decref(names);
    csv_release(&c);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int workshop_table(const char *path, const char *name, json_t **out, struct err *err)
{
    struct file_map map;
    TRY(file_map_open(&map, path, err));
    const bool whole = map.size <= TABLE_LOOK;
    const int rc = workshop_table_of(map.data, whole ? map.size : TABLE_LOOK, whole, name, out, err);
    file_map_close(&map);
    return rc;
}
