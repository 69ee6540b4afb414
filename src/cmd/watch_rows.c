#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cmd/watch_rows.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"

enum { DISTINCT_MAX = 1000 };

/* ---- rows ---- */

/* Columns without a name, as tables that were too wide have, may be many. */
static int names_differ(const struct csv *c, const char *path, struct err *err)
{
    for (int i = 1; i < c->n; i++) {
        const char *name = c->header.data + c->head[i];
        const int at = csv_find(c, name);
        if (*name && at >= 0 && at < i)
            return ERR(err, FORMAT, "%s: found two columns '%.60s', expected names that differ", path, name);
    }
    return 0;
}

int watch_rows_open(struct watch_rows *w, const char *path, struct err *err)
{
    *w = (struct watch_rows){ .path = path, .is_csv = csv_named(path), .one_of = 1 };
    TRY(file_map_open(&w->map, path, err));
    w->at = w->map.data;
    if (w->is_csv) {
        TRY(csv_open(&w->csv, w->map.data, w->map.size, path, err));
        return names_differ(&w->csv, path, err);
    }
    if (!file_name_ends(path, ".jsonl") && !file_name_ends(path, ".ndjson"))
        return ERR(err, USAGE, "%s: expected a file of events, .csv, .tsv or .jsonl", path);
    return 0;
}

void watch_rows_close(struct watch_rows *w)
{
    if (w->is_csv && w->path)
        csv_release(&w->csv);
    if (w->path)
        file_map_close(&w->map);
    json_decref(w->row);
    *w = (struct watch_rows){ 0 };
}

void watch_slot_release(struct watch_slot *s)
{
    if (s->text.data)
        buf_release(&s->text);
    mem_free(s->vector);
    *s = (struct watch_slot){ 0 };
}

static int next_json(struct watch_rows *w, struct err *err)
{
    const char *end = w->map.data + w->map.size;
    char where[400];
    json_decref(w->row);
    w->row = NULL;
    while (w->at < end) {
        const char *stop = memchr(w->at, '\n', (size_t)(end - w->at)), *from = w->at;
        stop = stop ? stop : end;
        w->at = stop < end ? stop + 1 : end;
        w->line++;
        while (from < stop && strchr(" \t\r", *from))
            from++;
        if (from == stop)
            continue;
        snprintf(where, sizeof where, "%s:%" PRId64, w->path, w->line);
        TRY(tree_parse_json(&w->row, from, (size_t)(stop - from), where, err));
        if (!json_is_object(w->row))
            return ERR(err, FORMAT, "%s: expected an object on each line", where);
        return 1;
    }
    return 0;
}

int watch_rows_next(struct watch_rows *w, struct err *err)
{
    int rc;
    do {
        rc = w->is_csv ? csv_next(&w->csv, err) : next_json(w, err);
        if (w->is_csv)
            w->line = w->csv.line;
    } while (rc > 0 && w->n++ % w->one_of);
    return rc;
}

/* ---- a value ---- */

static bool is_missing(const char *s, size_t n)
{
    static const char *const words[] = { "", "nan", "NaN", "NAN", "NA", "N/A", "null", "None" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n == strlen(words[i]) && !memcmp(s, words[i], n))
            return true;
    return false;
}

/* All of a text that ends with a NUL, as a number. */
static bool to_number(const char *s, size_t n, double *out)
{
    char *end;
    if (!n || strlen(s) != n)
        return false;
    *out = strtod(s, &end);
    while (*end == ' ')
        end++;
    return end != s && !*end && (strcspn(s, "xXpP") == n);
}

static int bad_value(const struct watch_rows *w, const char *name, const char *found, const char *expected, struct err *err)
{
    return ERR(err, FORMAT, "%s:%" PRId64 ": '%s': found %.60s, expected %s", w->path, w->line, name, found, expected);
}

static int vector_of(const struct watch_rows *w, const json_t *v, const char *name, int dim, struct watch_slot *slot, struct watch_value *out, struct err *err)
{
    if (!json_is_array(v) || (int)json_array_size(v) != dim)
        return bad_value(w, name, json_is_array(v) ? "an array of another length" : "no array", "as many numbers as the reference has", err);
    if (dim > slot->cap_vector) {
        float *more = mem_realloc_array(slot->vector, (size_t)dim, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for a vector of %d", dim);
        slot->vector = more, slot->cap_vector = dim;
    }
    for (int i = 0; i < dim; i++) {
        const json_t *x = json_array_get(v, (size_t)i);
        if (!json_is_number(x))
            return bad_value(w, name, "an entry that is no number", "numbers", err);
        slot->vector[i] = (float)json_number_value(x);
    }
    *out = WATCH_OF_VECTOR(slot->vector);
    return 0;
}

static int json_text(const json_t *v, struct watch_slot *slot, struct watch_value *out, struct err *err)
{
    if (json_is_string(v)) {
        *out = WATCH_OF_TEXT(json_string_value(v), json_string_length(v));
        return 0;
    }
    char *text = tree_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return ERR(err, NOMEM, "no memory for a category");
    if (!slot->text.data)
        buf_init(&slot->text);
    buf_clear(&slot->text);
    const int rc = buf_add_str(&slot->text, text, err);
    mem_free(text);
    TRY(rc);
    *out = WATCH_OF_TEXT(slot->text.data, slot->text.len);
    return 0;
}

static int of_json(const struct watch_rows *w, const char *name, enum watch_kind kind, int dim, struct watch_slot *slot, struct watch_value *out,
                   struct err *err)
{
    const json_t *v = json_object_get(w->row, name);
    *out = WATCH_LACKS;
    if (!v || json_is_null(v))
        return 0;
    if (kind == WATCH_VECTOR)
        return vector_of(w, v, name, dim, slot, out, err);
    if (kind == WATCH_CATEGORY)
        return json_text(v, slot, out, err);
    if (json_is_boolean(v))
        *out = WATCH_OF_NUMBER(json_is_true(v));
    else if (json_is_number(v))
        *out = WATCH_OF_NUMBER(json_number_value(v));
    else
        return bad_value(w, name, json_is_string(v) ? json_string_value(v) : "no number", "a number", err);
    return 0;
}

static int of_csv(const struct watch_rows *w, const char *name, enum watch_kind kind, struct watch_value *out, struct err *err)
{
    const int c = csv_find(&w->csv, name);
    size_t n;
    double x;
    if (c < 0)
        return ERR(err, NOTFOUND, "%s: there is no column '%s'", w->path, name);
    if (kind == WATCH_VECTOR)
        return ERR(err, USAGE, "%s: '%s' is a vector, which CSV does not have: expected .jsonl", w->path, name);
    const char *s = csv_field(&w->csv, c, &n);
    *out = WATCH_LACKS;
    if (is_missing(s, n))
        return 0;
    if (kind == WATCH_CATEGORY)
        *out = WATCH_OF_TEXT(s, n);
    else if (to_number(s, n, &x))
        *out = WATCH_OF_NUMBER(x);
    else
        return bad_value(w, name, s, "a number", err);
    return 0;
}

int watch_rows_value(struct watch_rows *w, const char *name, enum watch_kind kind, int dim, struct watch_slot *slot, struct watch_value *out, struct err *err)
{
    return w->is_csv ? of_csv(w, name, kind, out, err) : of_json(w, name, kind, dim, slot, out, err);
}

/* ---- columns ---- */

int watch_columns_find(const struct watch_columns *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->column[i].name, name))
            return i;
    return -1;
}

static int column_of(struct watch_columns *c, const char *name, const char *path, struct err *err)
{
    const int at = watch_columns_find(c, name);
    if (at >= 0)
        return at;
    if (strlen(name) > WATCH_NAME || c->n == WATCH_SIGNALS)
        return ERR(err, RANGE, "%s: '%.60s': expected at most %d names of at most %d bytes", path, name, WATCH_SIGNALS, WATCH_NAME);
    if (c->n == c->cap) {
        const int cap = c->cap ? 2 * c->cap : 16;
        struct watch_column *more = mem_realloc_array(c->column, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %d columns", cap);
        c->column = more, c->cap = cap;
    }
    c->column[c->n] = (struct watch_column){ .counts_up = true, .last = (double)-INFINITY };
    strcpy(c->column[c->n].name, name);
    return c->n++;
}

static int note_text(struct watch_column *k, const char *s, size_t n, struct err *err)
{
    const uint64_t h = hash64(s, n, 0);
    k->n_text++;
    if (k->n_distinct > DISTINCT_MAX)
        return 0;
    for (int i = 0; i < k->n_seen; i++)
        if (k->seen[i] == h)
            return 0;
    if (!k->seen) {
        k->seen = mem_alloc_array(DISTINCT_MAX + 1, sizeof *k->seen);
        if (!k->seen)
            return ERR(err, NOMEM, "no memory for the texts of a column");
    }
    k->n_distinct++;
    if (k->n_seen <= DISTINCT_MAX)
        k->seen[k->n_seen++] = h;
    return 0;
}

static void note_number(struct watch_column *k, double x)
{
    if (!k->n_number++)
        k->first = x;
    else
        k->sum_pair += (x - k->first) * (k->last - k->first);
    k->sum += x - k->first, k->sum2 += (x - k->first) * (x - k->first);
    k->counts_up &= x > k->last && x == floor(x);
    k->last = x;
}

double watch_columns_lag(const struct watch_column *k)
{
    const double n = (double)k->n_number, mean = k->sum / n, var = k->sum2 / n - mean * mean, r = (k->sum_pair / (n - 1) - mean * mean) / var;
    return n > 1 && var > 0 && isfinite(r) && fabs(r) > 4 / sqrt(n) ? r : 0;
}

static int note_field(struct watch_column *k, const char *s, size_t n, struct err *err)
{
    double x;
    if (is_missing(s, n))
        k->n_missing++;
    else if (to_number(s, n, &x))
        note_number(k, x);
    else
        return note_text(k, s, n, err);
    return 0;
}

static int note_json(struct watch_column *k, const json_t *v, struct err *err)
{
    if (json_is_null(v)) {
        k->n_missing++;
    } else if (json_is_number(v)) {
        note_number(k, json_number_value(v));
    } else if (json_is_string(v)) {
        return note_text(k, json_string_value(v), json_string_length(v), err);
    } else if (json_is_boolean(v)) {
        return note_text(k, json_is_true(v) ? "true" : "false", 4, err);
    } else if (json_is_array(v) && json_array_size(v) && json_is_number(json_array_get(v, 0))) {
        k->dim = !k->n_vector || k->dim == (int)json_array_size(v) ? (int)json_array_size(v) : -1;
        k->n_vector++;
    } else {
        k->n_vector++, k->dim = -1;
    }
    return 0;
}

static int note_row(struct watch_columns *c, struct watch_rows *w, struct err *err)
{
    const char *name;
    json_t *v;
    if (w->is_csv) {
        for (int i = 0; i < w->csv.n; i++) {
            size_t n;
            const char *s = csv_field(&w->csv, i, &n);
            const int k = column_of(c, w->csv.header.data + w->csv.head[i], w->path, err);
            TRY(k);
            TRY(note_field(&c->column[k], s, n, err));
        }
        return 0;
    }
    json_object_foreach(w->row, name, v) {
        const int k = column_of(c, name, w->path, err);
        TRY(k);
        TRY(note_json(&c->column[k], v, err));
    }
    return 0;
}

int watch_columns_read(struct watch_columns *c, const char *path, int64_t one_of, struct err *err)
{
    struct watch_rows w = { 0 };
    *c = (struct watch_columns){ 0 };
    int rc = watch_rows_open(&w, path, err);
    w.one_of = one_of;
    while (!rc && (rc = watch_rows_next(&w, err)) > 0)
        rc = note_row(c, &w, err);
    c->n_row = w.n;
    watch_rows_close(&w);
    return rc;
}

void watch_columns_release(struct watch_columns *c)
{
    for (int i = 0; i < c->n; i++)
        mem_free(c->column[i].seen);
    mem_free(c->column);
    *c = (struct watch_columns){ 0 };
}

int watch_columns_kind(const struct watch_columns *c, int i, const char **why)
{
    const struct watch_column *k = &c->column[i];
    *why = NULL;
    if (k->n_vector)
        *why = k->dim < 1 || k->n_number || k->n_text ? "its arrays are not of one length, or no numbers" : NULL;
    else if (!k->n_number && !k->n_text)
        *why = "it is empty";
    else if (!k->n_text && k->counts_up && k->n_number > 2)
        *why = "it counts up from row to row";
    else if (k->n_text && (k->n_distinct > DISTINCT_MAX || 2 * k->n_distinct > k->n_text + k->n_number))
        *why = "nearly every row has a text of its own";
    return *why ? -1 : k->n_vector ? WATCH_VECTOR : k->n_text ? WATCH_CATEGORY : WATCH_NUMBER;
}
