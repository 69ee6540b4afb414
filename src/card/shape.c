/* A row of the table is walked down from the root, each of its steps for every value that it stands for; the way is kept as text, for
 * the error. */
#include "card/shape.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "card/read.h"

enum need { MAYBE, NEEDED };
enum kind { STR, COUNT, NUMBER, BOOL, SHA256, OBJECT, LIST, COUNTS, NUMBERS, WORDS, ROWS, HISTOGRAM };
static const char *const expected[] = {
    [STR] = "a string", [COUNT] = "a whole number of at least 0", [NUMBER] = "a number", [BOOL] = "true or false", [SHA256] = "64 hexadecimal digits",
    [OBJECT] = "an object", [LIST] = "a list", [COUNTS] = "an object of whole numbers", [NUMBERS] = "an object of numbers", [WORDS] = "a list of strings",
    [ROWS] = "a list of objects of plain values", [HISTOGRAM] = "an object with ascending edges, and counts, one fewer",
};

static const struct row { const char *path; enum kind kind; enum need need; } rows[] = {
#define SHAPE(path, kind, need) { path, kind, need },
#include "card/shape.def"
#undef SHAPE
};

struct walk { const char *where; const struct row *row; char path[240]; struct err *err; };

static const char *type_of(const json_t *v)
{
    static const char *const names[] = { [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a string", [JSON_INTEGER] = "a whole number",
                                         [JSON_REAL] = "a number", [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null" };
    return v ? names[json_typeof(v)] : "nothing";
}

/* ---- kinds ---- */

static bool is_count(const json_t *v) { return json_is_integer(v) && json_integer_value(v) >= 0; }
static bool is_number(const json_t *v) { return json_is_null(v) || isfinite(read_number_of(v)); }
static bool has_nul(const json_t *v) { return json_is_string(v) && strlen(json_string_value(v)) != json_string_length(v); }
static bool is_string(const json_t *v) { return json_is_string(v) && !has_nul(v); }
static bool is_plain(const json_t *v) { return json_is_string(v) || json_is_number(v) || json_is_boolean(v) || json_is_null(v); }

static bool each_member(const json_t *o, bool (*is)(const json_t *v))
{
    const char *key;
    json_t *v;
    bool all = json_is_object(o);
    read_each(o, key, v)
        all = all && is(v);
    return all;
}

static bool each_item(const json_t *list, bool (*is)(const json_t *v))
{
    size_t i;
    json_t *v;
    bool all = json_is_array(list);
    json_array_foreach(list, i, v)
        all = all && is(v);
    return all;
}

static bool is_row(const json_t *v) { return each_member(v, is_plain); }

static bool is_sha256(const json_t *v)
{
    const char *s = json_string_value(v);
    return s && json_string_length(v) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static bool is_histogram(const json_t *v)
{
    const json_t *edges = json_object_get(v, "edges"), *counts = json_object_get(v, "counts");
    const size_t n = json_array_size(counts);
    if (!n || !each_item(counts, is_count) || json_array_size(edges) != n + 1)
        return false;
    for (size_t i = 0; i <= n; i++)
        if (!isfinite(read_number_of(json_array_get(edges, i))) || (i && !(read_number_of(json_array_get(edges, i)) > read_number_of(json_array_get(edges, i - 1)))))
            return false;
    return true;
}

static bool is_kind(enum kind kind, const json_t *v)
{
    switch (kind) {
    case STR: return is_string(v);
    case COUNT: return is_count(v);
    case NUMBER: return is_number(v);
    case BOOL: return json_is_boolean(v);
    case SHA256: return is_sha256(v);
    case OBJECT: return json_is_object(v);
    case LIST: return json_is_array(v);
    case COUNTS: return each_member(v, is_count);
    case NUMBERS: return each_member(v, is_number);
    case WORDS: return each_item(v, is_string);
    case ROWS: return each_item(v, is_row);
    case HISTOGRAM: return is_histogram(v);
    }
    return false;
}

/* ---- the walk ---- */

static int look(const struct walk *w, const json_t *v)
{
    if (is_kind(w->row->kind, v) || (w->row->need == MAYBE && (!v || json_is_null(v))))
        return 0;
    /* Of a value of the right type something inside is wrong. */
    const enum kind k = w->row->kind;
    const bool inside = k == SHA256 ? json_is_string(v) : k == WORDS || k == ROWS ? json_is_array(v) : k > SHA256 && json_is_object(v);
    return ERR(w->err, FORMAT, "%s: %s: found %s, expected %s", w->where, w->path, inside ? "something else" : has_nul(v) ? "a string with a NUL" : type_of(v), expected[k]);
}

static int go(struct walk *w, const json_t *v, const char *left, size_t len);

static int go_name(struct walk *w, const json_t *o, const char *name, size_t n, const char *left, size_t len)
{
    const int more = snprintf(w->path + len, sizeof w->path - len, "%s%.*s", len ? "." : "", (int)n, name);
    const size_t end = len + (size_t)more < sizeof w->path ? len + (size_t)more : sizeof w->path - 1;
    const int rc = go(w, json_object_getn(o, name, n), left, end);
    w->path[len] = 0;
    return rc;
}

static int go_items(struct walk *w, const json_t *list, const char *left, size_t len)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) {
        const int more = snprintf(w->path + len, sizeof w->path - len, "[%zu]", i);
        TRY(go(w, v, left, len + (size_t)more < sizeof w->path ? len + (size_t)more : sizeof w->path - 1));
    }
    w->path[len] = 0;
    return 0;
}

/* Below what is not there, or is of another type (its own row says so), nothing is looked for. */
static int go(struct walk *w, const json_t *v, const char *left, size_t len)
{
    if (!*left)
        return look(w, v);
    if (!strncmp(left, "[]", 2))
        return go_items(w, v, left + 2, len);
    left += *left == '.';
    if (!json_is_object(v))
        return 0;
    const size_t n = strcspn(left, ".[");
    if (n != 1 || *left != '*')
        return go_name(w, v, left, n, left + n, len);
    const char *key;
    json_t *member;
    read_each(v, key, member)
        TRY(go_name(w, v, key, strlen(key), left + n, len));
    return 0;
}

static int walk_rows(const json_t *root, const struct row *row, size_t n, const char *where, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct walk w = { where, &row[i], { 0 }, err };
        TRY(go(&w, root, row[i].path, 0));
    }
    return 0;
}

/* ---- what must add up ---- */

/* INT64_MAX where the sum is larger: no count of records is. */
static int64_t plus(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

static int totals(const json_t *report, const char *where, struct err *err)
{
    const json_t *dropped = read_at(report, "totals.dropped"), *sources = json_object_get(report, "sources"), *source;
    const int64_t records = read_count(report, "totals.records"), kept = read_count(report, "totals.kept");
    int64_t lost = 0, in_sources = 0, kept_in_sources = 0;
    const char *key;
    json_t *v;
    read_each(dropped, key, v)
        lost = plus(lost, json_integer_value(v));
    if (plus(kept, lost) != records)
        return ERR(err, FORMAT, "%s: totals: found %lld records, of which %lld were kept and %lld dropped, expected that they add up", where, (long long)records,
                   (long long)kept, (long long)lost);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        source = json_array_get(sources, i);
        in_sources = plus(in_sources, read_count(source, "records"));
        kept_in_sources = plus(kept_in_sources, read_count(source, "kept"));
    }
    if (in_sources != records || kept_in_sources != kept)
        return ERR(err, FORMAT, "%s: totals: found %lld records and %lld kept, expected the sources' %lld and %lld", where, (long long)records, (long long)kept,
                   (long long)in_sources, (long long)kept_in_sources);
    return 0;
}

/* Sources are told apart by their names, here and in all documents. */
static int names(const json_t *report, const char *where, struct err *err)
{
    const json_t *sources = json_object_get(report, "sources");
    json_t *seen = json_object();
    int rc = seen ? 0 : ERR(err, NOMEM, "no memory for the names of sources");
    for (size_t i = 0; i < json_array_size(sources) && !rc; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(sources, i), "name"));
        if (!*name || json_object_get(seen, name))
            rc = ERR(err, FORMAT, "%s: sources[%zu].name: found '%.60s', expected a name that no other source has", where, i, name);
        else if (json_object_set_new(seen, name, json_true()) < 0)
            rc = ERR(err, NOMEM, "no memory for the names of sources");
    }
    json_decref(seen);
    return rc;
}

int shape_check(const json_t *report, const char *where, struct err *err)
{
    if (!json_is_object(report))
        return ERR(err, FORMAT, "%s: found %s, expected an audit's report", where, type_of(report));
    const json_t *schema = json_object_get(report, "schema");
    if (is_count(schema) && json_integer_value(schema) != SHAPE_SCHEMA)
        return ERR(err, UNSUPPORTED, "%s: schema: found %lld, expected %d", where, (long long)json_integer_value(schema), SHAPE_SCHEMA);
    TRY(walk_rows(report, rows, sizeof rows / sizeof *rows, where, err));
    TRY(names(report, where, err));
    return totals(report, where, err);
}

int shape_check_files(const json_t *files, const char *where, struct err *err)
{
    static const struct row of_files[] = {
        { "[].path", STR, NEEDED }, { "[].bytes", COUNT, NEEDED }, { "[].sha256", SHA256, NEEDED }, { "[].records", COUNT, MAYBE }, { "[].split", STR, MAYBE }, { "[].fields", WORDS, MAYBE },
    };
    if (!json_is_array(files))
        return ERR(err, FORMAT, "%s: found %s, expected a list of files", where, type_of(files));
    for (size_t i = 0; i < json_array_size(files); i++)
        if (!json_is_object(json_array_get(files, i)))
            return ERR(err, FORMAT, "%s: [%zu]: found %s, expected an object", where, i, type_of(json_array_get(files, i)));
    return walk_rows(files, of_files, sizeof of_files / sizeof *of_files, where, err);
}
