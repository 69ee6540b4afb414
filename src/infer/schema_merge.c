/* schema_merge.c - two schemas as one: what `allOf`, and keywords beside `$ref` and `anyOf`, mean. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/opt.h"
#include "infer/schema.h"
#include "infer/schema_build.h"

bool schema_failed(const struct schema *s) { return s->b->rc < 0; }

/* where and the path, of which a long one loses its middle. */
void schema_place(const struct schema *s, char out[SCHEMA_PLACE])
{
    const char *p = s->path.data;
    if (s->path.len <= 140)
        snprintf(out, SCHEMA_PLACE, "%.100s%s", s->where, p);
    else
        snprintf(out, SCHEMA_PLACE, "%.100s%.60s...%s", s->where, p, p + s->path.len - 70);
    err_tidy(out);                               /* what is cut may be a character */
}

int schema_fail(struct schema *s, int code, const char *keyword, const char *fmt, ...)
{
    char what[200], place[SCHEMA_PLACE];
    va_list ap;
    if (schema_failed(s))
        return s->b->rc;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    schema_place(s, place);
    err_set(&s->b->err, code, __FILE__, __LINE__, "%s%s%.60s: %s", place, *keyword ? "/" : "", keyword, what);
    return s->b->rc = code;
}

static void no_memory(struct schema *s)
{
    if (!schema_failed(s))
        s->b->rc = ERR(&s->b->err, NOMEM, "%s: no memory for a schema", s->where);
}

bool schema_look(struct schema *s)
{
    if (++s->b->looks > SCHEMA_LOOKS_MAX)
        schema_fail(s, ERR_RANGE, "", "more than %d schemas to look at, with all that follows from $ref, allOf and anyOf", SCHEMA_LOOKS_MAX);
    return !schema_failed(s);
}

bool schema_work(struct schema *s, size_t n)
{
    const bool too_many = n > SCHEMA_WORK_MAX - s->b->work;
    s->b->work = too_many ? SCHEMA_WORK_MAX : s->b->work + n;
    if (too_many)
        schema_fail(s, ERR_RANGE, "", "more than %d names and values to compare or copy, with all that follows from $ref, allOf, anyOf and oneOf", SCHEMA_WORK_MAX);
    return !schema_failed(s);
}

/* Kept until the end; NULL (no memory) stays NULL. */
static json_t *keep(struct schema *s, json_t *made)
{
    if (!made || json_array_append_new(s->made, made)) {
        no_memory(s);
        return NULL;
    }
    return made;
}

static json_t *shared(const json_t *x) { return json_incref((json_t *)(uintptr_t)x); }

bool schema_says(const char *key)
{
    static const char *const nothing[] = { "title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly",
                                           "$defs", "definitions", "contentMediaType", "contentEncoding" };
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (!strcmp(key, nothing[i]))
            return false;
    return strncmp(key, "x-", 2) != 0;
}

const char *schema_name(const json_t *v)
{
    const char *name = json_string_value(v);
    return name && strlen(name) == json_string_length(v) ? name : NULL;
}

json_t *schema_without(struct schema *s, const json_t *x, const char *key, bool says_only)
{
    json_t *copy = schema_work(s, json_object_size(x)) ? keep(s, json_object()) : NULL, *v;
    const char *k;
    json_object_foreach((json_t *)(uintptr_t)x, k, v)
        if (copy && strcmp(k, key) && (!says_only || schema_says(k)) && json_object_set(copy, k, v)) {
            no_memory(s);
            return NULL;
        }
    return copy;
}

/* ---- $ref ---- */

/* One step of a pointer: the name up to the next /, with ~0 ~1 and %XX as what they stand for. */
static bool step_of(const char **p, char *out, size_t size)
{
    size_t n = 0;
    const char *c = *p;
    for (; *c && *c != '/'; c++) {
        char x = *c;
        unsigned byte;
        if (x == '~' && (c[1] == '0' || c[1] == '1'))
            x = *++c == '0' ? '~' : '/';
        else if (x == '%' && c[1] && c[2] && sscanf(c + 1, "%2x", &byte) == 1)
            x = (char)byte, c += 2;
        if (n + 1 >= size)
            return false;
        out[n++] = x;
    }
    out[n] = 0;
    *p = c;
    return true;
}

const json_t *schema_target(struct schema *s, const char *ref)
{
    const json_t *x = s->root;
    const char *p = ref + 1;
    char step[256];
    if (*ref != '#' || (*p && *p != '/')) {
        schema_fail(s, ERR_UNSUPPORTED, "$ref", "'%.100s' leads out of the schema, expected # or #/...", ref);
        return NULL;
    }
    while (*p == '/' && x) {
        p++;
        if (!step_of(&p, step, sizeof step))
            x = NULL;
        else if (json_is_array(x))
            x = *step >= '0' && *step <= '9' ? json_array_get(x, strtoul(step, NULL, 10)) : NULL;
        else
            x = json_object_get(x, step);
    }
    if (!x)
        schema_fail(s, ERR_FORMAT, "$ref", "'%.100s' is not there", ref);
    return schema_failed(s) ? NULL : x;
}

const json_t *schema_resolved(struct schema *s, const json_t *x)
{
    for (const json_t *ref; (ref = json_object_get(x, "$ref"));) {
        if (!schema_look(s))
            return NULL;
        if (!schema_name(ref)) {
            schema_fail(s, ERR_FORMAT, "$ref", "expected a string, and no NUL in it");
            return NULL;
        }
        const json_t *target = schema_target(s, schema_name(ref)), *rest = target ? schema_without(s, x, "$ref", true) : NULL;
        if (!rest)
            return NULL;
        x = json_object_size(rest) ? schema_both(s, target, rest) : target;
    }
    return schema_failed(s) ? NULL : x;
}

/* ---- both ---- */

static bool number_type(const char *t) { return !strcmp(t, "integer") || !strcmp(t, "number"); }

static bool has_type(const json_t *types, const char *t)
{
    size_t i;
    json_t *x;
    if (schema_name(types))
        return !strcmp(schema_name(types), t);
    json_array_foreach((json_t *)(uintptr_t)types, i, x)
        if (schema_name(x) && !strcmp(schema_name(x), t))
            return true;
    return false;
}

static json_t *both_types(const json_t *x, const json_t *y)
{
    static const char *const all[] = { "null", "boolean", "integer", "number", "string", "array", "object" };
    json_t *types = json_array();
    for (size_t i = 0; types && i < sizeof all / sizeof *all; i++) {
        const bool in_x = has_type(x, all[i]), in_y = has_type(y, all[i]);
        const bool either_wide = number_type(all[i]) && *all[i] == 'i' && ((in_x && has_type(y, "number")) || (in_y && has_type(x, "number")));
        if ((in_x && in_y) || either_wide)
            json_array_append_new(types, json_string(all[i]));
    }
    return types;
}

/* json_equal(), counted: values may be large, and are compared again and again. */
static bool same(struct schema *s, const json_t *x, const json_t *y)
{
    const char *key;
    size_t i;
    json_t *v;
    if (json_typeof(x) != json_typeof(y) || json_array_size(x) != json_array_size(y) || json_object_size(x) != json_object_size(y))
        return false;
    if (!schema_work(s, json_array_size(x) + json_object_size(x) + json_string_length(x) / 64))
        return false;
    if (!json_is_array(x) && !json_is_object(x))
        return json_equal(x, y);
    json_array_foreach((json_t *)(uintptr_t)x, i, v)
        if (!same(s, v, json_array_get(y, i)))
            return false;
    json_object_foreach((json_t *)(uintptr_t)x, key, v)
        if (!json_object_get(y, key) || !same(s, v, json_object_get(y, key)))
            return false;
    return true;
}

static json_t *common(struct schema *s, const json_t *x, const json_t *y)
{
    json_t *v, *w, *out = schema_work(s, json_array_size(x) * json_array_size(y)) ? json_array() : NULL;
    size_t i, k;
    if (!out)
        return NULL;
    json_array_foreach((json_t *)(uintptr_t)x, i, v)
        json_array_foreach((json_t *)(uintptr_t)y, k, w)
            if (same(s, v, w)) {
                json_array_append(out, v);
                break;
            }
    return out;
}

static json_t *joined(struct schema *s, const json_t *x, const json_t *y)
{
    json_t *out = schema_work(s, json_array_size(x) + json_array_size(y)) ? json_array() : NULL;
    if (out && (json_array_extend(out, (json_t *)(uintptr_t)x) || json_array_extend(out, (json_t *)(uintptr_t)y))) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static bool one_of(const char *key, const char *names) { return word_index(key, strlen(key), names) >= 0; }

/* A property that only one side names has to follow what the other says of all others. */
static bool add_properties(struct schema *s, json_t *out, const json_t *x, const json_t *y)
{
    const json_t *other = json_object_get(y, "properties"), *more = json_object_get(y, "additionalProperties");
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(x, "properties"), key, v) {
        const json_t *z = json_object_get(other, key);
        if (json_object_get(out, key))
            continue;
        const json_t *both = z ? schema_both(s, v, z) : more ? schema_both(s, v, more) : v;
        if (!both)
            return false;
        json_object_set_new(out, key, shared(both));
    }
    return true;
}

static bool merge_properties(struct schema *s, json_t *out, const json_t *x, const json_t *y)
{
    json_t *p = json_object();
    if (!json_object_get(x, "properties") && !json_object_get(y, "properties")) {
        json_decref(p);
        return true;
    }
    const bool ok = p && schema_work(s, json_object_size(json_object_get(x, "properties")) + json_object_size(json_object_get(y, "properties"))) && add_properties(s, p, x, y) && add_properties(s, p, y, x);
    if (!ok || json_object_set_new(out, "properties", p)) {
        if (!ok)
            json_decref(p);
        no_memory(s);
        return false;
    }
    return true;
}

/* What the i-th item has to follow. */
static const json_t *item_of(const json_t *x, size_t i)
{
    const json_t *p = json_object_get(x, "prefixItems"), *items = json_object_get(x, "items");
    return i < json_array_size(p) ? json_array_get(p, i) : items ? items : json_true();
}

static bool merge_items(struct schema *s, json_t *out, const json_t *x, const json_t *y)
{
    const json_t *px = json_object_get(x, "prefixItems"), *py = json_object_get(y, "prefixItems"), *ix = json_object_get(x, "items"), *iy = json_object_get(y, "items");
    const size_t n = json_array_size(px) > json_array_size(py) ? json_array_size(px) : json_array_size(py);
    if (json_is_array(ix) || json_is_array(iy)) {
        if ((ix || px) && (iy || py))
            schema_fail(s, ERR_UNSUPPORTED, "items", "a list of schemas cannot be made one with others");
        return !schema_failed(s) && !(px && json_object_set(out, "prefixItems", (json_t *)(uintptr_t)px)) && !json_object_set(out, "items", (json_t *)(uintptr_t)(ix ? ix : iy));
    }
    json_t *list = n ? json_array() : NULL;
    for (size_t i = 0; list && i < n; i++) {
        const json_t *both = schema_both(s, item_of(x, i), item_of(y, i));
        if (!both || json_array_append_new(list, shared(both))) {
            json_decref(list);
            return false;
        }
    }
    const json_t *both = ix && iy ? schema_both(s, ix, iy) : ix ? ix : iy;
    return !(n && (!list || json_object_set_new(out, "prefixItems", list))) && !(both && json_object_set(out, "items", (json_t *)(uintptr_t)both)) && !schema_failed(s);
}

/* Both have the keyword, with different values. */
static json_t *merged_value(struct schema *s, const char *key, const json_t *x, const json_t *y)
{
    const bool numbers = json_is_number(x) && json_is_number(y);
    if (numbers && one_of(key, "minimum|exclusiveMinimum|minLength|minItems|minProperties"))
        return shared(json_number_value(x) > json_number_value(y) ? x : y);
    if (numbers && one_of(key, "maximum|exclusiveMaximum|maxLength|maxItems|maxProperties"))
        return shared(json_number_value(x) < json_number_value(y) ? x : y);
    if (!strcmp(key, "type"))
        return both_types(x, y);
    if (!strcmp(key, "enum"))
        return common(s, x, y);
    if (one_of(key, "required|allOf"))
        return joined(s, x, y);
    if (one_of(key, "additionalProperties|propertyNames")) {
        const json_t *both = schema_both(s, x, y);
        return both ? shared(both) : NULL;
    }
    schema_fail(s, ERR_UNSUPPORTED, key, "two of them that differ cannot be made one");
    return NULL;
}

static bool merge_keys(struct schema *s, json_t *out, const json_t *x, const json_t *y)
{
    const char *key;
    json_t *v;
    if (!schema_work(s, json_object_size(x) + json_object_size(y)))
        return false;
    json_object_foreach((json_t *)(uintptr_t)x, key, v) {
        const json_t *w = json_object_get(y, key);
        if (one_of(key, "properties|items|prefixItems") || !schema_says(key))
            continue;
        if (w && !schema_work(s, json_array_size(v) + json_object_size(v)))
            return false;
        json_t *value = !w || same(s, v, w) ? shared(v) : merged_value(s, key, v, w);
        if (!value || json_object_set_new(out, key, value)) {
            no_memory(s);
            return false;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)y, key, v)
        if (!json_object_get(out, key) && !one_of(key, "properties|items|prefixItems") && schema_says(key) && json_object_set(out, key, v)) {
            no_memory(s);
            return false;
        }
    return true;
}

/* Each of the options of y, with x. */
static const json_t *distributed(struct schema *s, const json_t *x, const json_t *y)
{
    json_t *out = keep(s, json_object()), *list = json_array(), *option;
    const json_t *rest = schema_without(s, y, "anyOf", true);
    size_t i;
    if (!out || !list || !rest || json_object_set_new(out, "anyOf", list)) {
        no_memory(s);
        return NULL;
    }
    const json_t *base = schema_both(s, x, rest);
    json_array_foreach(json_object_get(y, "anyOf"), i, option) {
        const json_t *both = base ? schema_both(s, base, option) : NULL;
        if (!both || json_array_append_new(list, shared(both))) {
            no_memory(s);
            return NULL;
        }
    }
    return out;
}

const json_t *schema_both(struct schema *s, const json_t *x, const json_t *y)
{
    if (!schema_look(s))
        return NULL;
    if (json_is_true(x) || json_is_false(y))
        return y;
    if (json_is_true(y) || json_is_false(x))
        return x;
    if (!json_is_object(x) || !json_is_object(y)) {
        schema_fail(s, ERR_FORMAT, "", "expected a schema: an object, true or false");
        return NULL;
    }
    if (++s->depth > SCHEMA_DEPTH_MAX) {
        schema_fail(s, ERR_RANGE, "", "schemas more than %d inside each other", SCHEMA_DEPTH_MAX);
        return NULL;
    }
    const json_t *out = NULL;
    if ((x = schema_resolved(s, x)) && (y = schema_resolved(s, y))) {
        if (!json_is_object(x) || !json_is_object(y)) {
            out = schema_both(s, x, y);
        } else if (json_object_get(x, "anyOf") && json_object_get(y, "anyOf")) {
            out = distributed(s, x, y);
        } else {
            json_t *o = keep(s, json_object());
            out = o && merge_keys(s, o, x, y) && merge_properties(s, o, x, y) && merge_items(s, o, x, y) ? o : NULL;
            if (!out)
                no_memory(s);                    /* unless it is known already */
        }
    }
    s->depth--;
    return schema_failed(s) ? NULL : out;
}

/* ---- apart ---- */

static const json_t *value_of(const json_t *x, size_t i)
{
    const json_t *c = json_object_get(x, "const");
    return c ? (i ? NULL : c) : json_array_get(json_object_get(x, "enum"), i);
}

static const char *const kinds[] = { "object", "array", "string", "number", "boolean", "null" };

static bool of_kind(const json_t *v, const char *kind)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return !strcmp(kind, "object");
    case JSON_ARRAY: return !strcmp(kind, "array");
    case JSON_STRING: return !strcmp(kind, "string");
    case JSON_INTEGER: case JSON_REAL: return !strcmp(kind, "number");
    case JSON_NULL: return !strcmp(kind, "null");
    default: return !strcmp(kind, "boolean");
    }
}

static size_t n_values(const json_t *x) { return json_object_get(x, "const") ? 1 : json_array_size(json_object_get(x, "enum")); }

/* Whether a value of that kind may follow x, by its constants and types. */
static bool may_be(const json_t *x, const char *kind)
{
    const json_t *types = json_object_get(x, "type");
    bool any = !value_of(x, 0);
    for (size_t i = 0; value_of(x, i); i++)
        any = any || of_kind(value_of(x, i), kind);
    if (!any || !types)
        return any;
    return has_type(types, kind) || (!strcmp(kind, "number") && has_type(types, "integer"));
}

static bool constants_apart(struct schema *s, const json_t *x, const json_t *y)
{
    if (!value_of(x, 0) || !value_of(y, 0))
        return false;
    for (size_t i = 0; value_of(x, i); i++)
        for (size_t k = 0; value_of(y, k); k++)
            if (schema_failed(s) || same(s, value_of(x, i), value_of(y, k)) || (json_is_number(value_of(x, i)) && json_is_number(value_of(y, k)) && json_number_value(value_of(x, i)) == json_number_value(value_of(y, k))))
                return false;
    return true;
}

static bool closed(const json_t *x) { return json_is_false(json_object_get(x, "additionalProperties")); }

/* Objects written for x have no other names than its own unless it says so. */
static bool objects_apart(struct schema *s, const json_t *x, const json_t *y, int depth)
{
    const json_t *px = json_object_get(x, "properties"), *py = json_object_get(y, "properties");
    const bool no_others = px && (!json_object_get(x, "additionalProperties") || closed(x)) && !json_object_get(x, "allOf") && !json_object_get(x, "anyOf") && !json_object_get(x, "oneOf");
    size_t i;
    json_t *name;
    if (!schema_work(s, json_array_size(json_object_get(y, "required")) * json_array_size(json_object_get(x, "required"))))
        return false;
    json_array_foreach(json_object_get(y, "required"), i, name)
        if (no_others && schema_name(name) && !json_object_get(px, schema_name(name)) && !schema_requires(x, schema_name(name)))
            return true;
    json_array_foreach(json_object_get(x, "required"), i, name) {
        const char *key = schema_name(name);
        const json_t *a = key ? json_object_get(px, key) : NULL, *z = key ? json_object_get(py, key) : NULL;
        if (key && !z && closed(y) && !json_object_get(y, "patternProperties"))
            return true;
        if (a && z && schema_apart(s, a, z, depth + 1))
            return true;
    }
    return false;
}

static bool has_low(const json_t *x, double *v, bool *open)
{
    const json_t *a = json_object_get(x, "minimum"), *e = json_object_get(x, "exclusiveMinimum");
    *open = json_is_number(e) && (!json_is_number(a) || json_number_value(e) >= json_number_value(a));
    *v = json_number_value(*open ? e : a);
    return json_is_number(a) || json_is_number(e);
}

static bool has_high(const json_t *x, double *v, bool *open)
{
    const json_t *a = json_object_get(x, "maximum"), *e = json_object_get(x, "exclusiveMaximum");
    *open = json_is_number(e) && (!json_is_number(a) || json_number_value(e) <= json_number_value(a));
    *v = json_number_value(*open ? e : a);
    return json_is_number(a) || json_is_number(e);
}

static bool numbers_apart(const json_t *x, const json_t *y)
{
    double high, low;
    bool a, z;
    return (has_high(x, &high, &a) && has_low(y, &low, &z) && (high < low || (high == low && (a || z)))) ||
           (has_high(y, &high, &a) && has_low(x, &low, &z) && (high < low || (high == low && (a || z))));
}

bool schema_apart(struct schema *s, const json_t *x, const json_t *y, int depth)
{
    if (depth > 8 || !schema_look(s) || !(x = schema_resolved(s, x)) || !(y = schema_resolved(s, y)))
        return false;
    if (!schema_work(s, n_values(x) + n_values(y) + n_values(x) * n_values(y)))
        return false;
    if (json_is_false(x) || json_is_false(y) || constants_apart(s, x, y))
        return true;
    if (!json_is_object(x) || !json_is_object(y))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!may_be(x, kinds[i]) || !may_be(y, kinds[i]))
            continue;
        if (!strcmp(kinds[i], "object") ? objects_apart(s, x, y, depth) : !strcmp(kinds[i], "number") ? numbers_apart(x, y) : false)
            continue;
        return false;
    }
    return true;
}
