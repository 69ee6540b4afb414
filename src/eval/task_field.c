/* task_field.c - one field of a document, as doc_to_text, doc_to_target and doc_to_choice of lm-evaluation-harness give it. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/task_impl.h"

#define LITERAL_DEPTH 50

/* ---- characters, as Python counts them ---- */

bool py_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Of valid UTF-8. */
static uint32_t char_at(const char *s, int *n)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80)
        return *n = 1, p[0];
    if (p[0] < 0xe0)
        return *n = 2, (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    if (p[0] < 0xf0)
        return *n = 3, (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return *n = 4, (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

size_t py_strip(const char **s, size_t n)
{
    int k;
    while (n && py_space(char_at(*s, &k)))
        *s += k, n -= (size_t)k;
    while (n) {
        size_t last = n - 1;
        while (last && ((unsigned char)(*s)[last] & 0xc0) == 0x80)
            last--;
        if (!py_space(char_at(*s + last, &k)))
            break;
        n = last;
    }
    return n;
}

size_t py_chars(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

/* ---- templates ---- */

int template_parse(struct jinja **out, const char *text, const char *name, struct err *err) { return jinja_parse_as(out, JINJA_STRICT, text, strlen(text), name, err); }

static int render(const struct jinja *j, const json_t *doc, enum jinja_input input, struct jinja_text *out, struct err *err)
{
    static const struct tm never = { 0 };
    const char *key;
    json_t *v;
    int n = 0;
    struct jinja_var *vars = mem_alloc_array(json_object_size(doc) + 1, sizeof *vars);
    if (!vars)
        return ERR(err, NOMEM, "no memory for a prompt");
    json_object_foreach((json_t *)(uintptr_t)doc, key, v)
        vars[n++] = (struct jinja_var){ .name = key, .value = v, .input = input };
    const int rc = jinja_render(j, vars, n, NULL, &never, out, err);
    mem_free(vars);
    return rc;
}

int template_text(const struct jinja *j, const json_t *doc, struct buf *out, struct err *err)
{
    struct jinja_text text;
    jinja_text_init(&text);
    int rc = render(j, doc, JINJA_OWN, &text, err);
    if (!rc)
        rc = buf_add(out, text.text.data, text.text.len, err);
    jinja_text_release(&text);
    return rc;
}

/* ---- literals ---- */

struct literal { const char *p, *end; int depth; struct err *err; };

static int bad_literal(const struct literal *l, const char *what) { return ERR(l->err, FORMAT, "%s, expected a list as Python writes it", what); }
static int no_memory(const struct literal *l) { return ERR(l->err, NOMEM, "no memory for a list"); }

static void skip(struct literal *l)
{
    while (l->p < l->end && (*l->p == ' ' || *l->p == '\t' || (l->depth && (*l->p == '\n' || *l->p == '\r'))))
        l->p++;
}

static int hex_digits(struct literal *l, int n, uint32_t *out)
{
    for (*out = 0; n; n--, l->p++) {
        const char c = l->p < l->end ? *l->p : 0, lower = c | 32;
        const int d = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (d < 0)
            return bad_literal(l, "found an escape that ends too early");
        *out = *out << 4 | (uint32_t)d;
    }
    return *out > 0x10ffff || (*out >= 0xd800 && *out < 0xe000) ? bad_literal(l, "found an escape that is no character") : 0;
}

static int literal_escape(struct literal *l, struct buf *out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char utf8[4];
    uint32_t c = 0;
    const char e = *l->p++;
    const char *simple = e ? strchr(from, e) : NULL;
    if (simple)
        return buf_add_char(out, to[simple - from], l->err);
    if (e == '\n')
        return 0;
    if (e >= '0' && e <= '7') {
        l->p--;
        for (int i = 0; i < 3 && l->p < l->end && *l->p >= '0' && *l->p <= '7'; i++)
            c = c * 8 + (uint32_t)(*l->p++ - '0');
    } else if (e == 'x' || e == 'u' || e == 'U') {
        TRY(hex_digits(l, e == 'x' ? 2 : e == 'u' ? 4 : 8, &c));
    } else {
        return e == 'N' ? bad_literal(l, "found \\N") : buf_add(out, l->p - 2, 2, l->err);
    }
    return buf_add(out, utf8, (size_t)utf8_put(c, utf8), l->err);
}

/* One string between quotes, of one or of three. */
static int literal_quoted(struct literal *l, bool raw, struct buf *out)
{
    const char quote = *l->p;
    const bool triple = l->end - l->p >= 3 && l->p[1] == quote && l->p[2] == quote;
    for (l->p += triple ? 3 : 1; l->p < l->end;) {
        if (*l->p == quote && (!triple || (l->end - l->p >= 3 && l->p[1] == quote && l->p[2] == quote))) {
            l->p += triple ? 3 : 1;
            return 0;
        }
        if (*l->p == '\n' && !triple)
            break;
        if (*l->p == '\\' && l->p + 1 < l->end && !raw) {
            l->p++;
            TRY(literal_escape(l, out));
        } else {
            TRY(buf_add_char(out, *l->p++, l->err));
        }
    }
    return bad_literal(l, "found a string without an end");
}

/* Strings behind one another are one. */
static int literal_string(struct literal *l, json_t **out)
{
    struct buf b;
    int rc = 0;
    buf_init(&b);
    while (!rc && l->p < l->end) {
        const char *p = l->p;
        bool raw = false;
        while (p < l->end && strchr("rRuU", *p) && *p && p - l->p < 2)
            raw |= (*p++ | 32) == 'r';
        if (p == l->end || (*p != '\'' && *p != '"'))
            break;
        l->p = p;
        rc = literal_quoted(l, raw, &b);
        skip(l);
    }
    if (!rc && !(*out = json_stringn(b.data, b.len)))
        rc = no_memory(l);
    buf_release(&b);
    return rc;
}

static int literal_value(struct literal *l, json_t **out);

static int literal_pair(struct literal *l, json_t *into)
{
    json_t *key = NULL, *v = NULL;
    int rc = literal_value(l, &key);
    skip(l);
    if (!rc && (!json_is_string(key) || l->p == l->end || *l->p != ':'))
        rc = bad_literal(l, "found a dictionary of other than strings");
    if (!rc) {
        l->p++;
        rc = literal_value(l, &v);
    }
    if (!rc && json_object_setn(into, json_string_value(key), json_string_length(key), v))
        rc = no_memory(l);
    json_decref(key);
    json_decref(v);
    return rc;
}

/* A tuple of one has a comma; (x) is x. */
static int literal_many(struct literal *l, char close, json_t **out)
{
    bool comma = false;
    *out = close == '}' ? json_object() : json_array();
    if (!*out)
        return no_memory(l);
    if (++l->depth > LITERAL_DEPTH)
        return bad_literal(l, "found lists within each other");
    for (l->p++;;) {
        skip(l);
        if (l->p < l->end && *l->p == close)
            break;
        if (close == '}') {
            TRY(literal_pair(l, *out));
        } else {
            json_t *v = NULL;
            const int rc = literal_value(l, &v);
            if (rc || json_array_append(*out, v)) {
                json_decref(v);
                return rc ? rc : no_memory(l);
            }
            json_decref(v);
        }
        skip(l);
        if (l->p < l->end && *l->p == ',')
            comma = true, l->p++;
        else if (l->p == l->end || *l->p != close)
            return bad_literal(l, "found a list without an end");
    }
    l->p++, l->depth--;
    if (close == ')' && !comma && json_array_size(*out) == 1) {
        json_t *only = json_incref(json_array_get(*out, 0));
        json_decref(*out);
        *out = only;
    }
    return 0;
}

static int literal_number(struct literal *l, json_t **out)
{
    char text[64];
    size_t n = 0;
    while (l->p < l->end && n < sizeof text - 1 && strchr("+-0123456789.eE_", *l->p) && *l->p) {
        if (*l->p != '_')
            text[n++] = *l->p;
        l->p++;
    }
    text[n] = 0;
    const char *digits = text + (*text == '-' || *text == '+');
    char *end;
    if (!*digits || (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' && !strpbrk(digits, ".eE")))
        return bad_literal(l, "found what is no value");
    errno = 0;
    if (strspn(digits, "0123456789") == strlen(digits)) {
        const long long v = strtoll(text, &end, 10);
        *out = errno ? json_real(strtod(text, NULL)) : json_integer(v);
    } else {
        const double v = strtod(text, &end);
        if (*end || !isfinite(v))
            return bad_literal(l, "found what is no number");
        *out = json_real(v);
    }
    return *out ? 0 : no_memory(l);
}

static int literal_value(struct literal *l, json_t **out)
{
    static const char *const words[] = { "True", "False", "None" };
    *out = NULL;
    skip(l);
    const char c = l->p < l->end ? *l->p : 0;
    if (c == '[' || c == '(' || c == '{')
        return literal_many(l, c == '[' ? ']' : c == '(' ? ')' : '}', out);
    for (int i = 0; i < 3; i++) {
        const size_t n = strlen(words[i]);
        if ((size_t)(l->end - l->p) >= n && !memcmp(l->p, words[i], n)) {
            l->p += n;
            *out = i == 2 ? json_null() : json_boolean(i == 0);
            return 0;
        }
    }
    if (c == '\'' || c == '"' || c == 'r' || c == 'R' || c == 'u' || c == 'U') {
        const char *from = l->p;
        TRY(literal_string(l, out));
        return l->p == from ? bad_literal(l, "found a word") : 0;
    }
    return literal_number(l, out);
}

int literal_parse(json_t **out, const char *s, size_t n, struct err *err)
{
    struct literal l = { .p = s, .end = s + n, .err = err };
    int rc = literal_value(&l, out);
    while (!rc && l.p < l.end && strchr(" \t\n\r", *l.p) && *l.p)
        l.p++;
    if (!rc && l.p < l.end)
        rc = bad_literal(&l, "found more behind a value");
    if (rc) {
        json_decref(*out);
        *out = NULL;
        return err_context(err, "'%.*s'", (int)(n > 80 ? 80 : n), s);
    }
    return 0;
}

/* ---- fields ---- */

int field_read(struct field *f, const json_t *v, const char *at, struct err *err)
{
    field_release(f);
    if (!v || json_is_null(v))
        return 0;
    if (json_is_integer(v)) {
        f->kind = FIELD_INT, f->i = json_integer_value(v);
    } else if (json_is_array(v) || json_is_object(v)) {
        f->kind = FIELD_LIST, f->list = v;
    } else if (json_is_string(v)) {
        f->kind = FIELD_TEXT, f->text = json_string_value(v);
        /* The name of a column need not be a template. */
        if (template_parse(&f->jinja, f->text, at, &f->why) == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", f->why.msg);
    } else {
        return ERR(err, FORMAT, "%s: found a value of another kind, expected the name of a column, a template, a number or a list", at);
    }
    return 0;
}

int field_template(struct field *f, const char *text, bool raw, const char *at, struct err *err)
{
    field_release(f);
    f->kind = FIELD_TEXT, f->text = text, f->raw = raw, f->is_template = true;
    return template_parse(&f->jinja, text, at, err);
}

void field_release(struct field *f)
{
    jinja_free(f->jinja);
    *f = (struct field){ 0 };
}

static bool all_digits(const struct buf *b) { return b->len && b->len < 18 && strspn(b->data, "0123456789") == b->len; }

/* What a template gave, by what it is for. */
static int rendered(const struct buf *b, enum field_as as, bool has_choices, json_t **out, struct err *err)
{
    if (as == AS_CHOICES)
        return literal_parse(out, b->data, b->len, err);
    if (as != AS_STRING && has_choices && all_digits(b))
        return literal_parse(out, b->data, b->len, err);
    if (as == AS_TARGET && b->len >= 2 && b->data[0] == '[' && b->data[b->len - 1] == ']') {
        struct err ignored;
        const int rc = literal_parse(out, b->data, b->len, &ignored);
        if (rc == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", ignored.msg);
        if (!rc)
            return 0;
    }
    *out = json_stringn(b->data, b->len);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a prompt");
}

/* A label that is true or false numbers a choice; a target without choices is compared as it is. */
static int column(const struct field *f, const json_t *doc, bool label, json_t **out, struct err *err)
{
    json_t *v = json_object_get(doc, f->text);
    if (!v || json_is_null(v))
        return ERR(err, FORMAT, "the field '%s' is missing", f->text);
    *out = label && json_is_boolean(v) ? json_integer(json_is_true(v)) : json_incref(v);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a field");
}

static int list_of(const json_t *v, json_t **out, struct err *err)
{
    const char *key;
    json_t *each;
    *out = json_is_array(v) ? json_incref((json_t *)(uintptr_t)v) : json_array();
    if (*out && json_is_object(v))
        json_object_foreach((json_t *)(uintptr_t)v, key, each)
            if (json_array_append(*out, each))
                return ERR(err, NOMEM, "no memory for a list");
    return *out ? 0 : ERR(err, NOMEM, "no memory for a list");
}

/* A field that the document has not stands as Undefined in a list, and is named. */
static int templated(const struct field *f, enum field_as as, const json_t *doc, bool has_choices, json_t **out, struct err *err)
{
    struct jinja_text t;
    jinja_text_init(&t);
    int rc = render(f->jinja, doc, JINJA_OWN, &t, err);
    if (!rc && (rc = rendered(&t.text, f->raw ? AS_STRING : as, has_choices, out, err)) == ERR_FORMAT && t.missing)
        rc = ERR(err, FORMAT, "the document has no field '%.*s'", (int)(t.n_missing > 100 ? 100 : t.n_missing), t.missing);
    jinja_text_release(&t);
    return rc;
}

int field_get(const struct field *f, enum field_as as, const json_t *doc, const json_t *columns, bool has_choices, json_t **out, struct err *err)
{
    *out = NULL;
    int rc = 0;
    switch (f->kind) {
    case FIELD_NONE: return ERR(err, FORMAT, "the task does not say where it is");
    case FIELD_INT:
        *out = json_integer(f->i);
        return *out ? 0 : ERR(err, NOMEM, "no memory for a field");
    case FIELD_LIST: return list_of(f->list, out, err);
    case FIELD_TEXT: break;
    }
    if (!f->is_template && json_object_get(columns, f->text)) {
        rc = column(f, doc, as != AS_TARGET || has_choices, out, err);
    } else if (!f->jinja) {
        return ERR(err, FORMAT, "%s", f->why.msg);
    } else {
        rc = templated(f, as, doc, has_choices, out, err);
    }
    if (!rc && as == AS_CHOICES && !json_is_array(*out))
        rc = ERR(err, FORMAT, "the choices are no list");
    if (!rc && as == AS_STRING && !json_is_string(*out))
        rc = ERR(err, FORMAT, "the field '%s' is no string", f->text);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int field_marked(const struct field *f, const json_t *doc, const json_t *columns, struct jinja_text *out, struct err *err)
{
    if (f->kind != FIELD_TEXT || (!f->jinja && !json_object_get(columns, f->text)))
        return ERR(err, FORMAT, "doc_to_text gives no text");
    if (f->is_template || !json_object_get(columns, f->text))
        return render(f->jinja, doc, JINJA_INPUT, out, err);
    const json_t *v = json_object_get(doc, f->text);
    if (!json_is_string(v))
        return ERR(err, FORMAT, "the field '%s' is no string", f->text);
    TRY(buf_add(&out->text, json_string_value(v), json_string_length(v), err));
    TRY(buf_reserve(&out->input, json_string_length(v), err));
    memset(out->input.data, 1, out->input.len = json_string_length(v));
    return 0;
}
