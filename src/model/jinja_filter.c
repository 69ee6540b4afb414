/* jinja_filter.c - the tables of filters and tests. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/pyre.h"
#include "model/jinja_tree.h"
#include "model/jinja_method.h"

typedef int filter_fn(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);
typedef int test_fn(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes);
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_NAMES ((const char *const[]){ NULL })

/* ---- arguments ---- */

static int arg_int(struct jrun *r, const struct jval *v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (!v || v->type == J_NONE)
        return 0;
    if (v->type != J_INT && v->type != J_BOOL)
        return jfail(r, FORMAT, "found %s, expected a whole number", jval_type(v));
    *out = v->type == J_INT ? v->i : v->b;
    return 0;
}

static bool arg_truth(const struct jval *v, bool fallback) { return v ? jval_truth(v) : fallback; }

/* "a.b.0", an index, or none for the value itself.  The fallback (may be NULL) stands in at every step. */
static int get_path_or(struct jrun *r, const struct jval *v, const struct jval *path, const struct jval *fallback, struct jval *out)
{
    *out = *v;
    if (!path || path->type == J_NONE)
        return 0;
    if (path->type != J_STR) {
        const struct jval item = *out;
        TRY(jeval_item(r, &item, path, out));
        if (fallback && out->type == J_UNDEFINED)
            *out = *fallback;
        return 0;
    }
    for (size_t at = 0; at <= path->n;) {
        const char *dot = memchr(path->s + at, '.', path->n - at);
        const size_t n = dot ? (size_t)(dot - path->s) - at : path->n - at;
        struct jval key = jval_str(path->s + at, n);
        const struct jval item = *out;
        if (n && n < 10 && strspn(key.s, "0123456789") >= n)
            key = jval_int(strtoll(key.s, NULL, 10));
        TRY(jeval_item(r, &item, &key, out));
        if (fallback && out->type == J_UNDEFINED)
            *out = *fallback;
        at += n + 1;
    }
    return 0;
}

static int get_path(struct jrun *r, const struct jval *v, const struct jval *path, struct jval *out) { return get_path_or(r, v, path, NULL, out); }

/* What sort, unique, min and max compare: strings without their case unless told. */
static int sort_key(struct jrun *r, const struct jval *v, const struct jval *path, bool exact, struct jval *out)
{
    struct jval item;
    TRY(get_path(r, v, path, &item));
    *out = item;
    return exact || item.type != J_STR ? 0 : jstr_case(r, &item, JCASE_LOWER, out);
}

/* ---- filters on strings ---- */

static int with_str(struct jrun *r, const struct jval *v, int (*fn)(struct jrun *, const struct jval *, int, struct jval *), int how, struct jval *out)
{
    struct jval s;
    TRY(jval_to_str(r, v, &s));
    return fn(r, &s, how, out);
}

#define CASE_FILTER(name, how)                                                                                      \
    static int f_##name(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)                \
    {                                                                                                                 \
        TRY(jargs_check(r, a, #name, 0, NO_NAMES));                                                                   \
        return with_str(r, v, jstr_case, how, out);                                                                   \
    }
CASE_FILTER(lower, JCASE_LOWER)
CASE_FILTER(upper, JCASE_UPPER)
CASE_FILTER(capitalize, JCASE_CAPITALIZE)
CASE_FILTER(title, JCASE_WORDS)

static int f_trim(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s;
    TRY(jargs_check(r, a, "trim", 0, NAMES("chars")));
    TRY(jval_to_str(r, v, &s));
    return jstr_strip(r, &s, jarg(a, 0, "chars"), JSTRIP_BOTH, out);
}

static int f_string(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "string", 0, NO_NAMES));
    return jval_to_str(r, v, out);
}

static int f_safe(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "safe", 0, NO_NAMES));
    TRY(jval_to_str(r, v, out));
    out->code = 1;
    return 0;
}

static int f_replace(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s, from, to;
    int64_t count;
    TRY(jargs_check(r, a, "replace", 2, NAMES("old", "new", "count")));
    TRY(jval_to_str(r, v, &s));
    TRY(jval_to_str(r, jarg(a, 0, "old"), &from));
    TRY(jval_to_str(r, jarg(a, 1, "new"), &to));
    TRY(arg_int(r, jarg(a, 2, "count"), -1, &count));
    return jstr_replace(r, &s, &from, &to, count, out);
}

static int f_indent(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval lines, pad = jval_str("", 0);
    struct jbuild b;
    int64_t width;
    TRY(jargs_check(r, a, "indent", 0, NAMES("width", "first", "blank")));
    const struct jval *w = jarg(a, 0, "width");
    const bool first = arg_truth(jarg(a, 1, "first"), false), blank = arg_truth(jarg(a, 2, "blank"), false);
    if (v->type != J_STR)
        return jfail(r, FORMAT, "indent of %s, expected a string", jval_type(v));
    if (w && w->type == J_STR) {
        pad = *w;
    } else {
        const struct jval one = jval_str(" ", 1);
        TRY(arg_int(r, w, 4, &width));
        const struct jval n = jval_int(width > 4096 ? 4096 : width);
        TRY(jeval_math(r, '*', &one, &n, &pad));
    }
    /* As if a newline stood at the end: the last line counts even when it is empty. */
    const struct jval newline = jval_str("\n", 1);
    struct jval s;
    TRY(jval_concat(r, v, &newline, &s));
    TRY(jstr_lines(r, &s, false, &lines));
    jbuild_init(&b, r);
    for (uint32_t i = 0; i < lines.list->n; i++) {
        const struct jval *line = &lines.list->v[i];
        if (i)
            TRY(jbuild_part(&b, &newline, 0, 1));
        if (i ? blank || line->n : first)
            TRY(jbuild_part(&b, &pad, 0, pad.n));
        TRY(jbuild_part(&b, line, 0, line->n));
    }
    *out = jbuild_end(&b);
    out->code = v->code;
    return 0;
}

static int f_escape(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s;
    TRY(jargs_check(r, a, "escape", 0, NO_NAMES));
    TRY(jval_to_str(r, v, &s));
    return jstr_escape(r, &s, out);
}

static int f_join(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list, sep = jval_str("", 0), item;
    struct jbuild b;
    TRY(jargs_check(r, a, "join", 0, NAMES("d", "attribute")));
    if (jarg(a, 0, "d"))
        TRY(jval_to_str(r, jarg(a, 0, "d"), &sep));
    TRY(jval_walk(r, v, &list));
    jbuild_init(&b, r);
    b.max = UINT32_MAX / 2;
    for (uint32_t i = 0; i < list.list->n; i++) {
        TRY(jwork(r, 0));
        TRY(get_path(r, &list.list->v[i], jarg(a, 1, "attribute"), &item));
        if (i)
            TRY(jbuild_part(&b, &sep, 0, sep.n));
        TRY(jbuild_str(&b, &item));
    }
    *out = jbuild_end(&b);
    return 0;
}

static int f_tojson(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jbuild b;
    struct jval part[2];
    int64_t indent;
    TRY(jargs_check(r, a, "tojson", 0, NAMES("ensure_ascii", "indent", "separators", "sort_keys")));
    const struct jval *ind = jarg(a, 1, "indent"), *sep = jarg(a, 2, "separators");
    TRY(arg_int(r, ind, -1, &indent));
    if (indent > 64)
        return jfail(r, RANGE, "tojson: an indent of %lld, expected at most 64", (long long)indent);
    struct jjson how = { .ascii = arg_truth(jarg(a, 0, "ensure_ascii"), false), .sort = arg_truth(jarg(a, 3, "sort_keys"), false),
                         .indent = ind && ind->type != J_NONE ? (int)(indent < 0 ? 0 : indent) : -1, .key_sep = ": " };
    how.item_sep = how.indent < 0 ? ", " : ",";
    if (sep && sep->type != J_NONE) {
        if ((sep->type != J_TUPLE && sep->type != J_LIST) || sep->list->n != 2 || sep->list->v[0].type != J_STR || sep->list->v[1].type != J_STR)
            return jfail(r, FORMAT, "tojson: separators is %s, expected two strings", jval_type(sep));
        for (int i = 0; i < 2; i++) {
            const struct jval zero = jval_str("\0", 1);
            TRY(jval_concat(r, &sep->list->v[i], &zero, &part[i]));
        }
        how.item_sep = part[0].s, how.key_sep = part[1].s;
    }
    jbuild_init(&b, r);
    b.max = UINT32_MAX / 2;
    TRY(jbuild_json(&b, v, &how));
    *out = jbuild_end(&b);
    return 0;
}

static int f_wordcount(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s;
    int64_t n = 0;
    TRY(jargs_check(r, a, "wordcount", 0, NO_NAMES));
    TRY(jval_to_str(r, v, &s));
    bool in_word = false;
    for (size_t at = 0, len; at < s.n; at += len) {
        const uint32_t c = jchar_at(s.s + at, &len);
        const bool letter = jchar_word(c);
        n += letter && !in_word;
        in_word = letter;
    }
    *out = jval_int(n);
    return 0;
}

/* ---- filters on numbers ---- */

static int f_int(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "int", 0, NAMES("default", "base")));
    const struct jval *fallback = jarg(a, 0, "default"), *base = jarg(a, 1, "base");
    if (base && (base->type != J_INT || base->i != 10))
        return jfail(r, UNSUPPORTED, "int: only base 10 is supported");
    int64_t i;
    double f;
    bool ok = jnumber(v, &i, &f), real = v->type == J_FLOAT;
    if (v->type == J_STR)
        ok = jstr_number(v, &real, &i, &f);
    if (v->type == J_UNDEFINED)
        return jfail(r, FORMAT, "'%.*s' is undefined", (int)v->n, v->s);
    if (ok && real && !(fabs(f) < 9e18))
        return jfail(r, RANGE, "int: a number of more than 64 bits, or none");
    if (ok)
        *out = jval_int(real ? (int64_t)f : i);
    else
        *out = fallback ? *fallback : jval_int(0);
    out->input = ok ? v->input : out->input;
    return 0;
}

static int f_float(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "float", 0, NAMES("default")));
    int64_t i;
    double f;
    bool ok = jnumber(v, &i, &f), real;
    if (v->type == J_STR && (ok = jstr_number(v, &real, &i, &f)) && !real)
        f = (double)i;
    if (v->type == J_UNDEFINED)
        return jfail(r, FORMAT, "'%.*s' is undefined", (int)v->n, v->s);
    *out = ok ? jval_float(f) : jarg(a, 0, "default") ? *jarg(a, 0, "default") : jval_float(0);
    out->input = ok ? v->input : out->input;
    return 0;
}

static int f_abs(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    int64_t i;
    double f;
    TRY(jargs_check(r, a, "abs", 0, NO_NAMES));
    if (!jnumber(v, &i, &f) || i == INT64_MIN)
        return jfail(r, FORMAT, "abs of %s, expected a number", jval_type(v));
    *out = v->type == J_FLOAT ? jval_float(fabs(f)) : jval_int(i < 0 ? -i : i);
    out->input = v->input;
    return 0;
}

/* Halves go to the even number, as Python's round() of the exact decimal value does. */
static int f_round(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    int64_t i, precision;
    double f;
    TRY(jargs_check(r, a, "round", 0, NAMES("precision", "method")));
    TRY(arg_int(r, jarg(a, 0, "precision"), 0, &precision));
    const struct jval *method = jarg(a, 1, "method");
    const bool up = method && jval_is(method, "ceil"), down = method && jval_is(method, "floor");
    if (!jnumber(v, &i, &f) || precision < 0 || precision > 15 || (method && !up && !down && !jval_is(method, "common")))
        return jfail(r, FORMAT, "round: found %s, expected a number, 0 to 15 digits and common, ceil or floor", jval_type(v));
    if (!up && !down && v->type != J_FLOAT) {
        *out = jval_int(i);
    } else if (!up && !down) {
        char text[400];
        snprintf(text, sizeof text, "%.*f", (int)precision, f);
        *out = jval_float(strtod(text, NULL));
    } else {
        const double scale = pow(10, (double)precision);
        *out = jval_float((up ? ceil(f * scale) : floor(f * scale)) / scale);
    }
    out->input = v->input;
    return 0;
}

/* ---- filters on lists ---- */

static int f_length(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    int64_t n;
    TRY(jargs_check(r, a, "length", 0, NO_NAMES));
    TRY(jval_length(r, v, &n));
    *out = jval_int(n);
    return 0;
}

static int f_list(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "list", 0, NO_NAMES));
    return jval_walk(r, v, out);
}

static int f_first(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list;
    TRY(jargs_check(r, a, "first", 0, NO_NAMES));
    TRY(jval_walk(r, v, &list));
    *out = list.list->n ? list.list->v[0] : jval_undefined("the first of nothing");
    return 0;
}

static int f_last(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list;
    TRY(jargs_check(r, a, "last", 0, NO_NAMES));
    if (v->type == J_ITER)
        return jfail(r, FORMAT, "the last of a generator, expected a list");
    TRY(jval_walk(r, v, &list));
    *out = list.list->n ? list.list->v[list.list->n - 1] : jval_undefined("the last of nothing");
    return 0;
}

static int f_reverse(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list;
    struct jbuild b;
    TRY(jargs_check(r, a, "reverse", 0, NO_NAMES));
    TRY(jval_walk(r, v, &list));
    if (v->type == J_STR) {
        jbuild_init(&b, r);
        for (uint32_t i = list.list->n; i-- > 0;)
            TRY(jbuild_part(&b, &list.list->v[i], 0, list.list->v[i].n));
        *out = jbuild_end(&b);
        return 0;
    }
    TRY(jval_list(r, J_ITER, list.list->n, out));
    for (uint32_t i = list.list->n; i-- > 0;)
        TRY(jlist_add(r, out->list, &list.list->v[i]));
    return 0;
}

static int f_items(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "items", 0, NO_NAMES));
    if (v->type == J_UNDEFINED)
        return jval_list(r, J_ITER, 0, out);
    if (v->type != J_DICT)
        return jfail(r, FORMAT, "items of %s, expected a dictionary", jval_type(v));
    TRY(jdict_items(r, v->dict, out));
    out->type = J_ITER;
    return 0;
}

static int f_default(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "default", 0, NAMES("default_value", "boolean")));
    const bool replace = v->type == J_UNDEFINED || (arg_truth(jarg(a, 1, "boolean"), false) && !jval_truth(v));
    *out = !replace ? *v : jarg(a, 0, "default_value") ? *jarg(a, 0, "default_value") : jval_str("", 0);
    return 0;
}

/* A stable merge sort: what the keys say, then where the values stood. */
struct sorted { struct jval key, value; };

static int merge_sort(struct jrun *r, struct sorted *v, struct sorted *tmp, uint32_t n, bool reverse)
{
    if (n < 2)
        return 0;
    const uint32_t half = n / 2;
    TRY(merge_sort(r, v, tmp, half, reverse));
    TRY(merge_sort(r, v + half, tmp, n - half, reverse));
    memcpy(tmp, v, half * sizeof *v);
    for (uint32_t i = 0, j = half, k = 0; i < half; k++) {
        int order = -1;
        TRY(jwork(r, 0));
        if (j < n)
            TRY(jval_order(r, &tmp[i].key, &v[j].key, &order));
        v[k] = j == n || (reverse ? order >= 0 : order <= 0) ? tmp[i++] : v[j++];
    }
    return 0;
}

static int sort_values(struct jrun *r, const struct jval *list, const struct jval *path, bool exact, bool reverse, struct jval *out)
{
    const uint32_t n = list->list->n;
    struct sorted *s = jpool_take(&r->pool, n * sizeof *s), *tmp = jpool_take(&r->pool, n * sizeof *s);
    if (!s || !tmp)
        return jfail_memory(r);
    for (uint32_t i = 0; i < n; i++) {
        s[i].value = list->list->v[i];
        TRY(sort_key(r, &s[i].value, path, exact, &s[i].key));
    }
    TRY(merge_sort(r, s, tmp, n, reverse));
    TRY(jval_list(r, J_LIST, n, out));
    for (uint32_t i = 0; i < n; i++)
        TRY(jlist_add(r, out->list, &s[i].value));
    return 0;
}

static int f_sort(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list;
    TRY(jargs_check(r, a, "sort", 0, NAMES("reverse", "case_sensitive", "attribute")));
    const struct jval *path = jarg(a, 2, "attribute");
    if (path && path->type == J_STR && memchr(path->s, ',', path->n))
        return jfail(r, UNSUPPORTED, "sort: several attributes are not supported");
    TRY(jval_walk(r, v, &list));
    return sort_values(r, &list, path, arg_truth(jarg(a, 1, "case_sensitive"), false), arg_truth(jarg(a, 0, "reverse"), false), out);
}

static int f_dictsort(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval items, where = jval_int(0);
    TRY(jargs_check(r, a, "dictsort", 0, NAMES("case_sensitive", "by", "reverse")));
    if (v->type != J_DICT)
        return jfail(r, FORMAT, "dictsort of %s, expected a dictionary", jval_type(v));
    const struct jval *by = jarg(a, 1, "by");
    if (by && !jval_is(by, "key") && !jval_is(by, "value"))
        return jfail(r, FORMAT, "dictsort: expected by='key' or by='value'");
    where.i = by && jval_is(by, "value");
    TRY(jdict_items(r, v->dict, &items));
    return sort_values(r, &items, &where, arg_truth(jarg(a, 0, "case_sensitive"), false), arg_truth(jarg(a, 2, "reverse"), false), out);
}

static int f_unique(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list, seen, key;
    TRY(jargs_check(r, a, "unique", 0, NAMES("case_sensitive", "attribute")));
    TRY(jval_walk(r, v, &list));
    TRY(jval_dict(r, J_DICT, 0, &seen));
    TRY(jval_list(r, J_ITER, 0, out));
    for (uint32_t i = 0; i < list.list->n; i++) {
        const struct jval *have;
        TRY(sort_key(r, &list.list->v[i], jarg(a, 1, "attribute"), arg_truth(jarg(a, 0, "case_sensitive"), false), &key));
        TRY(jdict_find(r, seen.dict, &key, &have));
        if (have)
            continue;
        TRY(jdict_set(r, seen.dict, &key, &key));
        TRY(jlist_add(r, out->list, &list.list->v[i]));
    }
    return 0;
}

static int extreme(struct jrun *r, const struct jval *v, const struct jargs *a, const char *what, int sign, struct jval *out)
{
    struct jval list, best = jval_none(), key;
    int order;
    TRY(jargs_check(r, a, what, 0, NAMES("case_sensitive", "attribute")));
    TRY(jval_walk(r, v, &list));
    *out = jval_undefined("the least or largest of nothing");
    for (uint32_t i = 0; i < list.list->n; i++) {
        TRY(sort_key(r, &list.list->v[i], jarg(a, 1, "attribute"), arg_truth(jarg(a, 0, "case_sensitive"), false), &key));
        order = 1;
        if (i)
            TRY(jval_order(r, &key, &best, &order));
        if (!i || order * sign > 0)
            best = key, *out = list.list->v[i];
    }
    return 0;
}

static int f_min(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return extreme(r, v, a, "min", -1, out); }
static int f_max(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return extreme(r, v, a, "max", 1, out); }

static int f_sum(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list, item;
    TRY(jargs_check(r, a, "sum", 0, NAMES("attribute", "start")));
    TRY(jval_walk(r, v, &list));
    *out = jarg(a, 1, "start") ? *jarg(a, 1, "start") : jval_int(0);
    if (out->type == J_STR)
        return jfail(r, FORMAT, "sum of strings, expected join");
    for (uint32_t i = 0; i < list.list->n; i++) {
        const struct jval so_far = *out;
        TRY(get_path(r, &list.list->v[i], jarg(a, 0, "attribute"), &item));
        TRY(jeval_math(r, '+', &so_far, &item, out));
    }
    return 0;
}

static int f_batch(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list, row = jval_none();
    int64_t size;
    TRY(jargs_check(r, a, "batch", 1, NAMES("linecount", "fill_with")));
    TRY(arg_int(r, jarg(a, 0, "linecount"), 0, &size));
    TRY(jval_walk(r, v, &list));
    TRY(jval_list(r, J_ITER, 0, out));
    const struct jval *fill = jarg(a, 1, "fill_with");
    const uint32_t n = list.list->n;
    if (size < 1 || size > 1000000)
        return jfail(r, RANGE, "batch: a size of %lld, expected 1 to 1000000", (long long)size);
    for (uint32_t i = 0; i < n || (fill && fill->type != J_NONE && n && i % size); i++) {
        TRY(jwork(r, 0));
        if (i % size == 0) {
            TRY(jval_list(r, J_LIST, 0, &row));
            TRY(jlist_add(r, out->list, &row));
        }
        TRY(jlist_add(r, row.list, i < n ? &list.list->v[i] : fill));
    }
    return 0;
}

static int f_attr(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "attr", 1, NAMES("name")));
    const struct jval *name = jarg(a, 0, "name");
    if (name->type != J_STR)
        return jfail(r, FORMAT, "attr: found %s, expected a name", jval_type(name));
    /* Attributes only: a key of a dictionary is none. */
    const int method = jmethod_find(name->s, name->n);
    if (v->type == J_DICT && (method < 0 || !jmethod_has(method, v))) {
        *out = jval_undefined("an attribute");
        return 0;
    }
    return jeval_attr(r, v, name->s, name->n, method, out);
}

/* map('filter', ...) or map(attribute='path', default=...). */
static int f_map(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval list, item;
    struct jargs rest = { 0 };
    const struct jval *path = a->n ? NULL : jarg(a, -1, "attribute"), *fallback = jarg(a, -1, "default");
    int code = -1;
    if (fallback && fallback->type == J_NONE)
        fallback = NULL;
    if (!jval_truth(v))
        return jval_list(r, J_ITER, 0, out);
    if (!path) {
        if (!a->n || a->v[0].type != J_STR)
            return jfail(r, FORMAT, "map: expected the name of a filter, or attribute=");
        if ((code = jfilter_find(a->v[0].s, a->v[0].n)) < 0)
            return jfail(r, UNSUPPORTED, "there is no filter '%.*s'", (int)(a->v[0].n > 60 ? 60 : a->v[0].n), a->v[0].s);
        rest = *a;
        rest.n--;
        memmove(rest.v, rest.v + 1, (size_t)rest.n * sizeof *rest.v);
    }
    TRY(jval_walk(r, v, &list));
    TRY(jval_list(r, J_ITER, list.list->n, out));
    for (uint32_t i = 0; i < list.list->n; i++) {
        TRY(jwork(r, 0));
        TRY(path ? get_path_or(r, &list.list->v[i], path, fallback, &item) : jfilter_apply(r, code, &list.list->v[i], &rest, &item));
        TRY(jlist_add(r, out->list, &item));
    }
    return 0;
}

/* select, reject, selectattr, rejectattr: those that pass (or do not) the test named by the arguments. */
static int choose(struct jrun *r, const struct jval *v, const struct jargs *a, bool by_attr, bool want, struct jval *out)
{
    struct jval list, item;
    struct jargs rest = { 0 };
    int code = -1;
    TRY(jval_list(r, J_ITER, 0, out));
    if (!jval_truth(v))
        return 0;
    if (a->n_kw || (by_attr && !a->n))
        return jfail(r, FORMAT, "select and reject take %sthe name of a test and its arguments", by_attr ? "an attribute, " : "");
    if (a->n > by_attr) {
        const struct jval *name = &a->v[by_attr];
        if (name->type != J_STR || (code = jtest_find(name->s, name->n)) < 0)
            return jfail(r, UNSUPPORTED, "there is no test '%.*s'", name->type == J_STR ? (int)(name->n > 60 ? 60 : name->n) : 1, name->type == J_STR ? name->s : "?");
        rest.n = a->n - by_attr - 1;
        memcpy(rest.v, a->v + by_attr + 1, (size_t)rest.n * sizeof *rest.v);
    }
    TRY(jval_walk(r, v, &list));
    for (uint32_t i = 0; i < list.list->n; i++) {
        bool yes;
        TRY(jwork(r, 0));
        TRY(get_path(r, &list.list->v[i], by_attr ? &a->v[0] : NULL, &item));
        yes = jval_truth(&item);
        if (code >= 0)
            TRY(jtest_apply(r, code, &item, &rest, &yes));
        if (yes == want)
            TRY(jlist_add(r, out->list, &list.list->v[i]));
    }
    return 0;
}

static int f_select(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return choose(r, v, a, false, true, out); }
static int f_reject(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return choose(r, v, a, false, false, out); }
static int f_selectattr(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return choose(r, v, a, true, true, out); }
static int f_rejectattr(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return choose(r, v, a, true, false, out); }

/* Not Jinja's: lm-evaluation-harness has it beside, re.sub(pattern, repl, s, count). */
static int f_regex_replace(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jargs_check(r, a, "regex_replace", 2, NAMES("pattern", "repl", "count")));
    const struct jval *pattern = jarg(a, 0, "pattern"), *repl = jarg(a, 1, "repl"), *count = jarg(a, 2, "count");
    if (!r->template->strict)
        return jfail(r, UNSUPPORTED, "there is no filter 'regex_replace'");
    if (v->type != J_STR || pattern->type != J_STR || repl->type != J_STR || (count && (count->type != J_INT || count->i < 0 || count->i > INT32_MAX)))
        return jfail(r, FORMAT, "regex_replace takes a string, a pattern, a replacement and perhaps how many");
    struct pyre *re;
    struct buf b;
    struct err why = { 0 };
    buf_init(&b);
    int rc = pyre_compile(&re, pattern->s, pattern->n, "regex_replace", &why);
    rc = rc ? rc : pyre_sub(re, v->s, v->n, repl->s, repl->n, count ? (int)count->i : 0, &b, &why);
    pyre_free(re);
    if (!rc) {
        struct jbuild text;
        jbuild_init(&text, r);
        text.max = UINT32_MAX / 2;
        rc = jbuild_add(&text, b.data, b.len, v->input, NULL);
        *out = rc ? jval_none() : jbuild_end(&text);
    } else {
        rc = jfail_at(r, rc, __FILE__, __LINE__, "%s", why.msg);
    }
    buf_release(&b);
    return rc ? rc : jwork(r, v->n);
}

/* name, function.  Two names may share one. */
static const struct { const char *name; filter_fn *fn; } filters[] = {
    { "tojson", f_tojson }, { "length", f_length }, { "count", f_length }, { "trim", f_trim }, { "string", f_string }, { "items", f_items },
    { "join", f_join }, { "default", f_default }, { "d", f_default }, { "list", f_list }, { "safe", f_safe }, { "selectattr", f_selectattr },
    { "rejectattr", f_rejectattr }, { "select", f_select }, { "reject", f_reject }, { "map", f_map }, { "dictsort", f_dictsort },
    { "lower", f_lower }, { "upper", f_upper }, { "capitalize", f_capitalize }, { "title", f_title }, { "replace", f_replace },
    { "indent", f_indent }, { "first", f_first }, { "last", f_last }, { "int", f_int }, { "float", f_float }, { "abs", f_abs },
    { "round", f_round }, { "unique", f_unique }, { "sort", f_sort }, { "reverse", f_reverse }, { "min", f_min }, { "max", f_max },
    { "sum", f_sum }, { "batch", f_batch }, { "attr", f_attr }, { "escape", f_escape }, { "e", f_escape }, { "wordcount", f_wordcount },
    { "regex_replace", f_regex_replace },
};

int jfilter_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (strlen(filters[i].name) == n && !memcmp(filters[i].name, name, n))
            return (int)i;
    return -1;
}

int jfilter_apply(struct jrun *r, int code, const struct jval *v, const struct jargs *a, struct jval *out)
{
    TRY(jenter(r));
    TRY(filters[code].fn(r, v, a, out));
    r->depth--;
    return 0;
}

/* ---- tests ---- */

#define TEST(name, expr)                                                                                          \
    static int t_##name(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)                    \
    {                                                                                                               \
        (void)r, (void)arg;                                                                                         \
        *yes = (expr);                                                                                              \
        return 0;                                                                                                   \
    }
TEST(defined, v->type != J_UNDEFINED)
TEST(undefined, v->type == J_UNDEFINED)
TEST(none, v->type == J_NONE)
TEST(boolean, v->type == J_BOOL)
TEST(true, v->type == J_BOOL && v->b)
TEST(false, v->type == J_BOOL && !v->b)
TEST(string, v->type == J_STR)
TEST(integer, v->type == J_INT)
TEST(float, v->type == J_FLOAT)
TEST(number, v->type == J_INT || v->type == J_FLOAT || v->type == J_BOOL)
TEST(mapping, v->type == J_DICT)
TEST(sequence, v->type == J_STR || v->type == J_LIST || v->type == J_TUPLE || v->type == J_DICT || v->type == J_UNDEFINED || (v->type == J_VIEW && v->code))
TEST(iterable, v->type == J_STR || v->type == J_LIST || v->type == J_TUPLE || v->type == J_DICT || v->type == J_UNDEFINED || v->type == J_VIEW ||
               v->type == J_ITER || v->type == J_LOOP)
TEST(escaped, v->type == J_STR && v->code)
TEST(callable, v->type == J_UNDEFINED || v->type == J_FUNC || v->type == J_METHOD || v->type == J_MACRO || v->type == J_JOINER || v->type == J_LOOP)
TEST(filter, v->type == J_STR && jfilter_find(v->s, v->n) >= 0)
TEST(test, v->type == J_STR && jtest_find(v->s, v->n) >= 0)

static int t_eq(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes) { return jval_equal(r, v, arg, yes); }
static int t_ne(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)
{
    TRY(jval_equal(r, v, arg, yes));
    *yes = !*yes;
    return 0;
}

static int t_sameas(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)
{
    *yes = false;
    if (v->type != arg->type)
        return 0;
    if (v->type == J_NONE || v->type == J_BOOL || v->type == J_INT || v->type == J_STR)
        return jval_equal(r, v, arg, yes);
    *yes = v->list == arg->list;
    return 0;
}

static int ordered(struct jrun *r, const struct jval *v, const struct jval *arg, int *order)
{
    if (v->type == J_UNDEFINED || arg->type == J_UNDEFINED)
        return jfail(r, FORMAT, "a comparison with something undefined");
    return jval_order(r, v, arg, order);
}
#define ORDER_TEST(name, expr)                                                                                    \
    static int t_##name(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)                    \
    {                                                                                                               \
        int order;                                                                                                  \
        TRY(ordered(r, v, arg, &order));                                                                            \
        *yes = (expr);                                                                                              \
        return 0;                                                                                                   \
    }
ORDER_TEST(lt, order < 0)
ORDER_TEST(le, order <= 0)
ORDER_TEST(gt, order > 0)
ORDER_TEST(ge, order >= 0)

static int t_in(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes) { return jval_contains(r, arg, v, yes); }

static int remainder_is(struct jrun *r, const struct jval *v, int64_t by, int64_t want, bool *yes)
{
    const struct jval n = jval_int(by), wanted = jval_int(want);
    struct jval rest;
    TRY(jeval_math(r, '%', v, &n, &rest));
    return jval_equal(r, &rest, &wanted, yes);
}

static int t_odd(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes) { return (void)arg, remainder_is(r, v, 2, 1, yes); }
static int t_even(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes) { return (void)arg, remainder_is(r, v, 2, 0, yes); }
static int t_divisibleby(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)
{
    if (arg->type != J_INT)
        return jfail(r, FORMAT, "divisibleby: found %s, expected a whole number", jval_type(arg));
    return remainder_is(r, v, arg->i, 0, yes);
}

static int t_lower(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)
{
    struct jval s;
    (void)arg;
    TRY(jval_to_str(r, v, &s));
    return jstr_all(r, &s, JALL_LOWER, yes);
}

static int t_upper(struct jrun *r, const struct jval *v, const struct jval *arg, bool *yes)
{
    struct jval s;
    (void)arg;
    TRY(jval_to_str(r, v, &s));
    return jstr_all(r, &s, JALL_UPPER, yes);
}

/* name, arguments, function */
static const struct { const char *name; int args; test_fn *fn; } tests[] = {
    { "defined", 0, t_defined }, { "undefined", 0, t_undefined }, { "none", 0, t_none }, { "string", 0, t_string }, { "mapping", 0, t_mapping },
    { "iterable", 0, t_iterable }, { "sequence", 0, t_sequence }, { "boolean", 0, t_boolean }, { "true", 0, t_true }, { "false", 0, t_false },
    { "number", 0, t_number }, { "integer", 0, t_integer }, { "float", 0, t_float }, { "callable", 0, t_callable }, { "odd", 0, t_odd },
    { "even", 0, t_even }, { "divisibleby", 1, t_divisibleby }, { "lower", 0, t_lower }, { "upper", 0, t_upper }, { "in", 1, t_in },
    { "eq", 1, t_eq }, { "equalto", 1, t_eq }, { "==", 1, t_eq }, { "ne", 1, t_ne }, { "!=", 1, t_ne }, { "lt", 1, t_lt }, { "lessthan", 1, t_lt },
    { "<", 1, t_lt }, { "le", 1, t_le }, { "<=", 1, t_le }, { "gt", 1, t_gt }, { "greaterthan", 1, t_gt }, { ">", 1, t_gt }, { "ge", 1, t_ge },
    { ">=", 1, t_ge }, { "sameas", 1, t_sameas }, { "escaped", 0, t_escaped }, { "filter", 0, t_filter }, { "test", 0, t_test },
};

int jtest_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (strlen(tests[i].name) == n && !memcmp(tests[i].name, name, n))
            return (int)i;
    return -1;
}

int jtest_apply(struct jrun *r, int code, const struct jval *v, const struct jargs *a, bool *yes)
{
    const struct jval *arg = a->n ? &a->v[0] : a->n_kw ? &a->kw[0] : NULL;
    if (a->n + a->n_kw != tests[code].args)
        return jfail(r, FORMAT, "test %s: found %d arguments, expected %d", tests[code].name, a->n + a->n_kw, tests[code].args);
    return tests[code].fn(r, v, arg, yes);
}
