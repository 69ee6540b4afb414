#include "serve/json_in.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/opt.h"
#include "base/tree.h"

static void say(struct refusal *e, int status, const char *type, const char *code, const char *param, const char *fmt, va_list ap)
{
    if (e->status)
        return;
    *e = (struct refusal){ .status = status, .type = type, .code = code };
    snprintf(e->param, sizeof e->param, "%s", param ? param : "");
    vsnprintf(e->message, sizeof e->message, fmt, ap);
}

void refuse(struct refusal *e, const char *param, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(e, 400, "invalid_request_error", NULL, param, fmt, ap);
    va_end(ap);
}

void refuse_as(struct refusal *e, int status, const char *type, const char *code, const char *param, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(e, status, type, code, param, fmt, ap);
    va_end(ap);
}

json_t *in_parse(const char *text, size_t n, struct refusal *e)
{
    struct err err;
    json_t *o = NULL;
    const int rc = tree_parse_json(&o, text, n, "the request", &err);
    if (rc == ERR_NOMEM)
        refuse_as(e, 503, "server_error", NULL, NULL, "%s", err.msg);
    else if (rc < 0)
        refuse(e, NULL, "%s", err.msg);
    else if (!json_is_object(o))
        refuse(e, NULL, "the request is no JSON object");
    if (!e->status)
        return o;
    json_decref(o);
    return NULL;
}

/* ---- one field ---- */

static const char *kind_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "true or false";
    }
}

static void param_of(const struct in *f, const char *name, char out[120]) { snprintf(out, 120, "%s%s%s", f->path, *f->path ? "." : "", name); }

static void wrong(struct in *f, const char *name, const json_t *found, const char *expected)
{
    char param[120];
    param_of(f, name, param);
    refuse(f->e, param, "%s is %s, expected %s", param, kind_of(found), expected);
}

void in_begin(struct in *f, const json_t *o, struct refusal *e, const char *path_fmt, ...)
{
    va_list ap;
    *f = (struct in){ .o = o, .e = e };
    va_start(ap, path_fmt);
    vsnprintf(f->path, sizeof f->path, path_fmt, ap);
    va_end(ap);
    if (!json_is_object(o))
        refuse(e, f->path, "%s is %s, expected an object", f->path, kind_of(o));
}

/* The field, unless it is absent, null, or something is wrong already. */
static const json_t *take(struct in *f, const char *name)
{
    if (f->n_seen < IN_MAX)
        f->seen[f->n_seen++] = name;
    const json_t *v = f->e->status ? NULL : json_object_get(f->o, name);
    return json_is_null(v) ? NULL : v;
}

bool in_num(struct in *f, const char *name, double min, double max, double *out)
{
    const json_t *v = take(f, name);
    if (!v)
        return false;
    const double x = json_number_value(v);
    char param[120];
    param_of(f, name, param);
    if (!json_is_number(v))
        wrong(f, name, v, "a number");
    else if (!(x >= min && x <= max))
        refuse(f->e, param, "%s is %g, expected %g to %g", param, x, min, max);
    else
        *out = x;
    return !f->e->status;
}

bool in_whole(const json_t *v, int64_t *out)
{
    const double x = json_is_real(v) ? json_real_value(v) : 0.5;
    const bool real = x == floor(x) && fabs(x) < 0x1p53;
    if (json_is_integer(v) || real)
        *out = real ? (int64_t)x : json_integer_value(v);
    return json_is_integer(v) || real;
}

bool in_id(const json_t *v, int n, int32_t *out)
{
    int64_t i;
    if (!in_whole(v, &i) || i < 0 || i >= n)
        return false;
    *out = (int32_t)i;
    return true;
}

bool in_int(struct in *f, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const json_t *v = take(f, name);
    int64_t i = 0;
    if (!v)
        return false;
    char param[120];
    param_of(f, name, param);
    if (!in_whole(v, &i))
        wrong(f, name, v, "an integer");
    else if (i < min || i > max)
        refuse(f->e, param, "%s is %lld, expected %lld to %lld", param, (long long)i, (long long)min, (long long)max);
    else
        *out = i;
    return !f->e->status;
}

bool in_bool(struct in *f, const char *name, bool *out)
{
    const json_t *v = take(f, name);
    if (!v)
        return false;
    if (!json_is_boolean(v))
        wrong(f, name, v, "true or false");
    else
        *out = json_is_true(v);
    return !f->e->status;
}

const char *in_word(const json_t *v)
{
    const char *s = json_string_value(v);
    return s && strlen(s) == json_string_length(v) ? s : NULL;
}

bool in_str(struct in *f, const char *name, const char **out, size_t *n)
{
    const json_t *v = take(f, name);
    if (!v)
        return false;
    if (!json_is_string(v)) {
        wrong(f, name, v, "a string");
        return false;
    }
    if (!n && !in_word(v)) {
        char param[120];
        param_of(f, name, param);
        refuse(f->e, param, "%s has a NUL inside", param);
        return false;
    }
    *out = json_string_value(v);
    if (n)
        *n = json_string_length(v);
    return true;
}

bool in_choice(struct in *f, const char *name, const char *choices, int *out)
{
    const char *s;
    size_t n;
    char param[120];
    if (!in_str(f, name, &s, &n))
        return false;
    const int i = word_index(s, n, choices);
    if (i >= 0) {
        *out = i;
        return true;
    }
    param_of(f, name, param);
    refuse(f->e, param, "%s is '%.60s', expected one of %s", param, s, choices);
    return false;
}

static bool take_kind(struct in *f, const char *name, const json_t **out, json_type kind, const char *expected)
{
    const json_t *v = take(f, name);
    if (!v)
        return false;
    if (json_typeof(v) != kind) {
        wrong(f, name, v, expected);
        return false;
    }
    *out = v;
    return true;
}

bool in_array(struct in *f, const char *name, const json_t **out) { return take_kind(f, name, out, JSON_ARRAY, "an array"); }
bool in_object(struct in *f, const char *name, const json_t **out) { return take_kind(f, name, out, JSON_OBJECT, "an object"); }

bool in_any(struct in *f, const char *name, const json_t **out)
{
    const json_t *v = take(f, name);
    if (v)
        *out = v;
    return v != NULL;
}

/* ---- what is known beside that ---- */

/* A list stands for each of its names. */
void in_pass(struct in *f, const char *names)
{
    if (f->n_seen < IN_MAX)
        f->seen[f->n_seen++] = names;
}

void in_pass_texts(struct in *f, const char *names)
{
    in_pass(f, names);
    for (const char *c = names;; c++) {
        char name[40];
        const size_t n = strcspn(c, "|");
        snprintf(name, sizeof name, "%.*s", (int)n, c);
        const json_t *v = f->e->status ? NULL : json_object_get(f->o, name);
        if (v && !json_is_string(v) && !json_is_null(v))
            wrong(f, name, v, "a string");
        c += n;
        if (!*c)
            return;
    }
}

void in_only(struct in *f, const char *name, const char *value)
{
    const json_t *v = take(f, name);
    char param[120];
    if (!v)
        return;
    json_t *want = json_loads(value, JSON_DECODE_ANY, NULL);
    if (!want || !json_equal(v, want)) {
        param_of(f, name, param);
        refuse(f->e, param, "%s: only %s can be done here", param, value);
    }
    json_decref(want);
}

void in_end(struct in *f, json_t *warnings)
{
    const char *key;
    json_t *v;
    if (f->e->status)
        return;
    json_object_foreach((json_t *)(uintptr_t)f->o, key, v) {
        bool known = false;
        char param[120];
        for (int i = 0; i < f->n_seen && !known; i++)
            known = word_index(key, strlen(key), f->seen[i]) >= 0;
        if (known)
            continue;
        param_of(f, key, param);
        if (!warnings) {
            refuse_as(f->e, 400, "invalid_request_error", "unknown_field", param, "%s is not a field that is known here", param);
            return;
        }
        json_array_append_new(warnings, json_sprintf("%s is not known here and was passed over", param));
    }
}
