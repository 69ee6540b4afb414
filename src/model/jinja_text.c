/* jinja_text.c - values as text: str(), repr() and json.dumps(). */
#include "model/jinja_value.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- str() and repr() ---- */

/* The fewest digits that give the number back, laid out as Python's repr does. */
void jinja_float(double f, char out[40])
{
    if (isnan(f) || isinf(f)) {
        strcpy(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    char e[40];
    int digits = 0;
    do
        snprintf(e, sizeof e, "%.*e", digits, f);
    while (strtod(e, NULL) != f && digits++ < 17);
    const int exponent = atoi(strchr(e, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        snprintf(out, 40, "%.*f", digits > exponent ? digits - exponent : 0, f);
        if (!strchr(out, '.'))
            strcat(out, ".0");
    } else {
        strcpy(out, e);              /* "1e+16": printf has at least two digits of exponent, as Python */
    }
}

static int build_number(struct jbuild *b, const struct jval *v)
{
    char text[40];
    if (v->type == J_INT)
        snprintf(text, sizeof text, "%" PRId64, v->i);
    else
        jinja_float(v->f, text);
    return jbuild_text(b, text, v->input);
}

static int repr_string(struct jbuild *b, const struct jval *v)
{
    const char quote = memchr(v->s, '\'', v->n) && !memchr(v->s, '"', v->n) ? '"' : '\'';
    size_t done = 0, len;
    TRY(jbuild_add(b, &quote, 1, v->input, NULL));
    for (size_t at = 0; at < v->n; at += len) {
        char esc[16];
        const uint32_t c = jchar_at(v->s + at, &len);
        if (c == (uint32_t)quote || c == '\\')
            snprintf(esc, sizeof esc, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(esc, sizeof esc, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (jchar_printable(c))
            continue;
        else
            snprintf(esc, sizeof esc, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        TRY(jbuild_part(b, v, done, at));
        TRY(jbuild_text(b, esc, v->mark ? v->mark[at] : v->input));
        done = at + len;
    }
    TRY(jbuild_part(b, v, done, v->n));
    return jbuild_add(b, &quote, 1, v->input, NULL);
}

static int repr_list(struct jbuild *b, const struct jval *v)
{
    const bool tuple = v->type == J_TUPLE;
    TRY(jbuild_text(b, tuple ? "(" : "[", v->input));
    for (uint32_t i = 0; i < v->list->n; i++) {
        if (i)
            TRY(jbuild_text(b, ", ", v->input));
        TRY(jbuild_repr(b, &v->list->v[i]));
    }
    return jbuild_text(b, tuple && v->list->n == 1 ? ",)" : tuple ? ")" : "]", v->input);
}

static int repr_dict(struct jbuild *b, const struct jval *v)
{
    TRY(jbuild_text(b, v->type == J_NAMESPACE ? "<Namespace {" : "{", v->input));
    for (uint32_t i = 0; i < v->dict->n; i++) {
        if (i)
            TRY(jbuild_text(b, ", ", v->input));
        TRY(jbuild_repr(b, &v->dict->p[i].key));
        TRY(jbuild_text(b, ": ", v->input));
        TRY(jbuild_repr(b, &v->dict->p[i].value));
    }
    return jbuild_text(b, v->type == J_NAMESPACE ? "}>" : "}", v->input);
}

int jbuild_repr(struct jbuild *b, const struct jval *v)
{
    int rc;
    switch (v->type) {
    case J_UNDEFINED: return jbuild_text(b, "Undefined", v->input);
    case J_NONE: return jbuild_text(b, "None", v->input);
    case J_BOOL: return jbuild_text(b, v->b ? "True" : "False", v->input);
    case J_INT:
    case J_FLOAT: return build_number(b, v);
    case J_STR:
        TRY(jbuild_text(b, v->code ? "Markup(" : "", v->input));
        TRY(repr_string(b, v));
        return jbuild_text(b, v->code ? ")" : "", v->input);
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_NAMESPACE:
        TRY(jenter(b->r));
        TRY(jwork(b->r, 0));
        rc = v->type == J_LIST || v->type == J_TUPLE ? repr_list(b, v) : repr_dict(b, v);
        b->r->depth--;
        return rc;
    default:
        /* Python prints an address here; no template means that. */
        return jfail(b->r, FORMAT, "%s has no text", jval_type(v));
    }
}

int jbuild_str(struct jbuild *b, const struct jval *v)
{
    if (v->type == J_STR)
        return jbuild_part(b, v, 0, v->n);
    return v->type == J_UNDEFINED ? jdefined(b->r, v) : jbuild_repr(b, v);
}

/* ---- JSON ---- */

static int json_escape(struct jbuild *b, uint32_t c, bool input)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    char out[16];
    const char *simple = c && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (simple)
        snprintf(out, sizeof out, "\\%c", to[simple - from]);
    else if (c < 0x10000)
        snprintf(out, sizeof out, "\\u%04x", c);
    else
        snprintf(out, sizeof out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
    return jbuild_text(b, out, input);
}

static int write_string(struct jbuild *b, const struct jval *v, bool ascii)
{
    size_t done = 0, len;
    TRY(jbuild_text(b, "\"", v->input));
    for (size_t at = 0; at < v->n; at += len) {
        const unsigned char c = (unsigned char)v->s[at];
        len = 1;
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || !ascii))
            continue;
        const uint32_t cp = jchar_at(v->s + at, &len);
        TRY(jbuild_part(b, v, done, at));
        TRY(json_escape(b, cp, v->mark ? v->mark[at] : v->input));
        done = at + len;
    }
    TRY(jbuild_part(b, v, done, v->n));
    return jbuild_text(b, "\"", v->input);
}

static int json_value(struct jbuild *b, const struct jval *v, const struct jjson *how, int level);

static int json_newline(struct jbuild *b, const struct jjson *how, int level, bool input)
{
    if (how->indent < 0)
        return 0;
    TRY(jbuild_text(b, "\n", input));
    for (int i = 0; i < level * how->indent; i++)
        TRY(jbuild_text(b, " ", input));
    return 0;
}

static int json_list(struct jbuild *b, const struct jval *v, const struct jjson *how, int level)
{
    TRY(jbuild_text(b, "[", v->input));
    for (uint32_t i = 0; i < v->list->n; i++) {
        if (i)
            TRY(jbuild_text(b, how->item_sep, v->input));
        TRY(json_newline(b, how, level + 1, v->input));
        TRY(json_value(b, &v->list->v[i], how, level + 1));
    }
    if (v->list->n)
        TRY(json_newline(b, how, level, v->input));
    return jbuild_text(b, "]", v->input);
}

static int compare_keys(const void *a, const void *b)
{
    const struct jval *x = &((const struct jpair *)a)->key, *y = &((const struct jpair *)b)->key;
    const int c = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int sorted_pairs(struct jrun *r, const struct jdict *d, const struct jpair **out)
{
    struct jpair *p = jpool_take(&r->pool, d->n * sizeof *p);
    if (!p)
        return jfail_memory(r);
    for (uint32_t i = 0; i < d->n; i++)
        if ((p[i] = d->p[i]).key.type != J_STR)
            return jfail(r, FORMAT, "found a key that is %s, expected strings to sort", jval_type(&d->p[i].key));
    TRY(jwork(r, d->n * 256));
    qsort(p, d->n, sizeof *p, compare_keys);
    *out = p;
    return 0;
}

static int json_key(struct jbuild *b, const struct jval *key, const struct jjson *how)
{
    if (key->type == J_STR)
        return write_string(b, key, how->ascii);
    if (key->type != J_NONE && key->type != J_BOOL && key->type != J_INT && key->type != J_FLOAT)
        return jfail(b->r, FORMAT, "%s cannot be a key in JSON", jval_type(key));
    TRY(jbuild_text(b, "\"", key->input));
    TRY(json_value(b, key, how, 0));
    return jbuild_text(b, "\"", key->input);
}

static int json_dict(struct jbuild *b, const struct jval *v, const struct jjson *how, int level)
{
    const struct jpair *p = v->dict->p;
    if (how->sort)
        TRY(sorted_pairs(b->r, v->dict, &p));
    TRY(jbuild_text(b, "{", v->input));
    for (uint32_t i = 0; i < v->dict->n; i++) {
        if (i)
            TRY(jbuild_text(b, how->item_sep, v->input));
        TRY(json_newline(b, how, level + 1, v->input));
        TRY(json_key(b, &p[i].key, how));
        TRY(jbuild_text(b, how->key_sep, v->input));
        TRY(json_value(b, &p[i].value, how, level + 1));
    }
    if (v->dict->n)
        TRY(json_newline(b, how, level, v->input));
    return jbuild_text(b, "}", v->input);
}

static int json_value(struct jbuild *b, const struct jval *v, const struct jjson *how, int level)
{
    int rc;
    switch (v->type) {
    case J_NONE: return jbuild_text(b, "null", v->input);
    case J_BOOL: return jbuild_text(b, v->b ? "true" : "false", v->input);
    case J_FLOAT:
        if (isnan(v->f) || isinf(v->f))
            return jbuild_text(b, isnan(v->f) ? "NaN" : v->f < 0 ? "-Infinity" : "Infinity", v->input);
        return build_number(b, v);
    case J_INT: return build_number(b, v);
    case J_STR: return write_string(b, v, how->ascii);
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
        TRY(jenter(b->r));
        TRY(jwork(b->r, 0));
        rc = v->type == J_DICT ? json_dict(b, v, how, level) : json_list(b, v, how, level);
        b->r->depth--;
        return rc;
    default:
        return jfail(b->r, FORMAT, "%s cannot be written as JSON", jval_type(v));
    }
}

int jbuild_json(struct jbuild *b, const struct jval *v, const struct jjson *how) { return json_value(b, v, how, 0); }
