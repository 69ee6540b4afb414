#include "base/tree.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>
#include "base/file.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/utf8.h"

#define DEPTH_MAX 100

/* ---- JSON ---- */

/* jansson's own limit is 2048 levels, for which it recurses; ours is checked before it starts.  *longest: bytes of a token at most. */
static int check_depth(const char *s, size_t n, const char *name, size_t *longest, struct err *err)
{
    int depth = 0, line = 1;
    size_t from = 0;                            /* where a token may have begun */
    bool in_string = false;
    *longest = 0;
    if (memchr(s, 0, n))                        /* jansson takes one for the end of the text */
        return ERR(err, FORMAT, "%s: a NUL byte at offset %zu", name, (size_t)((const char *)memchr(s, 0, n) - s));
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        line += c == '\n';
        if (!in_string && ((unsigned char)c <= ' ' || c == ',' || c == ':' || c == '[' || c == ']' || c == '{' || c == '}'))
            from = i + 1;
        else if (i + 1 - from > *longest)
            *longest = i + 1 - from;
        if (in_string) {
            if (c == '\\')
                i++;
            else
                in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return ERR(err, FORMAT, "%s:%d: nested more than %d deep", name, line, DEPTH_MAX);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return 0;
}

int tree_parse_json(json_t **out, const char *text, size_t n, const char *name, struct err *err)
{
    int lacks_memory;
    size_t longest;
    if ((*out = json_read(text, n, DEPTH_MAX, &lacks_memory)))
        return 0;
    if (lacks_memory)
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    TRY(check_depth(text, n, name, &longest, err));
    if (!mem_json_begin(longest))
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    const uint64_t refused = mem_json_refused();
    json_error_t e;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    const bool lacks = mem_json_refused() != refused;            /* jansson may give a tree all the same */
    if (lacks) {
        json_decref(*out);
        *out = NULL;
    }
    mem_json_end();
    if (lacks)
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    return *out ? 0 : ERR(err, FORMAT, "%s:%d:%d: %s", name, e.line, e.column, e.text);
}

/* As jansson 2.14 makes them and glibc gives them: an object and an array with their first tables, a place in either and a number, the
 * key of a member, a string with its characters. */
size_t tree_json_bytes(const char *s, size_t n)
{
    enum { OBJECT = 256, ARRAY = 160, VALUE = 48, MEMBER = 32, STRING = 80 };
    size_t bytes = VALUE;
    int depth = 0;
    for (size_t i = 0; i < n && depth <= DEPTH_MAX; i++) {       /* what is deeper is not read */
        const size_t from = i;
        switch (s[i]) {
        case '{': bytes += OBJECT, depth++; break;
        case '[': bytes += ARRAY, depth++; break;
        case '}': case ']': depth--; break;
        case ',': bytes += VALUE; break;
        case ':': bytes += MEMBER; break;
        case '"':
            for (i++; (i += json_plain(s + i, n - i)) < n && s[i] != '"'; i++)
                i += s[i] == '\\' && i + 1 < n;
            bytes += STRING + i - from;
            break;
        default: break;
        }
    }
    return bytes;
}

/* ---- YAML: libyaml's events, built into a tree by recursion that is bounded by DEPTH_MAX ---- */

struct yaml_reader { yaml_parser_t parser; const char *name; struct err *err; };

static int yaml_problem(struct yaml_reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    const bool reader = p->error == YAML_READER_ERROR;
    return ERR(r->err, FORMAT, "%s:%zu:%zu: %s", r->name, (reader ? p->mark.line : p->problem_mark.line) + 1,
               (reader ? p->mark.column : p->problem_mark.column) + 1, p->problem ? p->problem : "not YAML");
}

static int yaml_next(struct yaml_reader *r, yaml_event_t *e) { return yaml_parser_parse(&r->parser, e) ? 0 : yaml_problem(r); }

static int yaml_error(struct yaml_reader *r, const yaml_event_t *e, const char *what)
{
    return ERR(r->err, FORMAT, "%s:%zu:%zu: %s", r->name, e->start_mark.line + 1, e->start_mark.column + 1, what);
}

static bool one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

/* Core schema; a number must be all of the scalar, so 1.2.3 and 12:30 stay strings. */
static json_t *plain_scalar(const char *s, size_t n)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL }, *const trues[] = { "true", "True", "TRUE", NULL },
                            *const falses[] = { "false", "False", "FALSE", NULL };
    if (strlen(s) != n)
        return json_stringn(s, n);
    if (one_of(s, nulls))
        return json_null();
    if (one_of(s, trues) || one_of(s, falses))
        return json_boolean(one_of(s, trues));
    const char *digits = s + (*s == '-' || *s == '+');
    char *end;
    if (digits[0] == '0' && digits[1] == 'x' && digits[2] && strspn(digits + 2, "0123456789abcdefABCDEF") == strlen(digits + 2))
        return json_integer((json_int_t)strtoll(s, NULL, 16));
    if (*digits && strspn(digits, "0123456789") == strlen(digits) && strlen(digits) <= 18)
        return json_integer((json_int_t)strtoll(s, NULL, 10));
    if ((*digits >= '0' && *digits <= '9') || (*digits == '.' && digits[1] >= '0' && digits[1] <= '9')) {
        const double v = strspn(digits, "0123456789.eE+-") == strlen(digits) ? strtod(s, &end) : (end = NULL, 0.0);
        if (end && !*end && isfinite(v))
            return json_real(v);
    }
    return json_stringn(s, n);
}

static int yaml_value(struct yaml_reader *r, yaml_event_t *e, int depth, json_t **out);

static int yaml_sequence(struct yaml_reader *r, int depth, json_t **out)
{
    if (!(*out = json_array()))
        return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    for (;;) {
        yaml_event_t e;
        TRY(yaml_next(r, &e));
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return 0;
        }
        json_t *v = NULL;
        const int rc = yaml_value(r, &e, depth, &v);
        yaml_event_delete(&e);
        if (rc < 0) {
            json_decref(v);
            return rc;
        }
        if (json_array_append_new(*out, v))
            return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    }
}

static int yaml_mapping(struct yaml_reader *r, int depth, json_t **out)
{
    if (!(*out = json_object()))
        return ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    for (;;) {
        yaml_event_t key, e;
        TRY(yaml_next(r, &key));
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return 0;
        }
        int rc = 0;
        json_t *v = NULL;
        const char *name = key.type == YAML_SCALAR_EVENT ? (const char *)key.data.scalar.value : NULL;
        if (!name || strlen(name) != key.data.scalar.length)
            rc = yaml_error(r, &key, "a key must be a plain word");
        else if (json_object_get(*out, name))
            rc = ERR(r->err, FORMAT, "%s:%zu: key '%.100s' is given twice", r->name, key.start_mark.line + 1, name);
        else if (!(rc = yaml_next(r, &e))) {
            rc = yaml_value(r, &e, depth, &v);
            yaml_event_delete(&e);
            if (!rc && json_object_set_new(*out, name, v))
                rc = ERR(r->err, NOMEM, "%s: no memory to read it, or a key is not UTF-8", r->name);
            else if (rc)
                json_decref(v);
        }
        yaml_event_delete(&key);
        TRY(rc);
    }
}

static int yaml_value(struct yaml_reader *r, yaml_event_t *e, int depth, json_t **out)
{
    *out = NULL;
    if (depth > DEPTH_MAX)
        return yaml_error(r, e, "nested more than 100 deep");
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return yaml_error(r, e, "aliases (*name) are not supported here");
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor)
            return yaml_error(r, e, "anchors (&name) are not supported here");
        if (e->data.scalar.tag && strcmp((const char *)e->data.scalar.tag, "tag:yaml.org,2002:str") && strcmp((const char *)e->data.scalar.tag, "!"))
            return yaml_error(r, e, "tags (!name) are not supported here");
        *out = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !e->data.scalar.tag
             ? plain_scalar((const char *)e->data.scalar.value, e->data.scalar.length)
             : json_stringn((const char *)e->data.scalar.value, e->data.scalar.length);
        return *out ? 0 : ERR(r->err, NOMEM, "%s: no memory to read it", r->name);
    case YAML_SEQUENCE_START_EVENT:
        if (e->data.sequence_start.anchor || e->data.sequence_start.tag)
            return yaml_error(r, e, "anchors and tags are not supported here");
        return yaml_sequence(r, depth + 1, out);
    case YAML_MAPPING_START_EVENT:
        if (e->data.mapping_start.anchor || e->data.mapping_start.tag)
            return yaml_error(r, e, "anchors and tags are not supported here");
        return yaml_mapping(r, depth + 1, out);
    default:
        return yaml_error(r, e, "a value was expected here");
    }
}

/* STREAM-START DOCUMENT-START value DOCUMENT-END STREAM-END; an empty file is null. */
static int yaml_document(struct yaml_reader *r, json_t **out)
{
    static const yaml_event_type_t before[] = { YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT },
                                   after[] = { YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT };
    yaml_event_t e;
    for (int i = 0; i < 2; i++) {
        TRY(yaml_next(r, &e));
        const yaml_event_type_t type = e.type;
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT) {
            *out = json_null();
            return 0;
        }
        if (type != before[i])
            return ERR(r->err, FORMAT, "%s: not a YAML document", r->name);
    }
    TRY(yaml_next(r, &e));
    int rc = yaml_value(r, &e, 1, out);
    yaml_event_delete(&e);
    for (int i = 0; i < 2 && !rc; i++) {
        TRY(yaml_next(r, &e));
        if (e.type != after[i])
            rc = yaml_error(r, &e, "one document was expected, here begins another");
        yaml_event_delete(&e);
    }
    return rc;
}

int tree_parse_yaml(json_t **out, const char *text, size_t n, const char *name, struct err *err)
{
    *out = NULL;
    struct yaml_reader r = { .name = name, .err = err };
    if (!yaml_parser_initialize(&r.parser))
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    const int rc = yaml_document(&r, out);
    yaml_parser_delete(&r.parser);
    if (rc < 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int tree_load(json_t **out, const char *path, size_t max_bytes, struct err *err)
{
    *out = NULL;
    struct buf b;
    buf_init(&b);
    const char *dot = strrchr(path, '.');
    const bool yaml = dot && (!strcasecmp(dot, ".yaml") || !strcasecmp(dot, ".yml"));
    int rc = file_read(path, max_bytes, &b, err);
    if (!rc)
        rc = (yaml ? tree_parse_yaml : tree_parse_json)(out, b.data, b.len, path, err);
    buf_release(&b);
    return rc;
}

/* ---- typed access ---- */

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return json_is_true(v) ? "true" : "false";
    }
}

json_t *tree_text(const char *s, size_t n)
{
    struct buf b;
    buf_init(&b);
    json_t *o = utf8_add(&b, s, n, NULL) ? NULL : json_stringn(b.data, b.len);
    buf_release(&b);
    return o;
}

json_t *tree_number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

char *tree_dumps(const json_t *o, size_t flags)
{
    const uint64_t refused = mem_json_refused();
    char *text = json_dumps(o, flags);
    if (refused == mem_json_refused())
        return text;
    mem_free(text);
    return NULL;
}

static double number_of(const json_t *v) { return json_is_number(v) ? json_number_value(v) : (double)NAN; }
double tree_number_at(const json_t *o, const char *key) { return number_of(json_object_get(o, key)); }
double tree_entry_at(const json_t *o, const char *key, size_t i) { return number_of(json_array_get(json_object_get(o, key), i)); }

const char *tree_text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

int tree_str(const json_t *o, const char *key, const char *fallback, const char **out, const char *where, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return ERR(err, FORMAT, "%s: %s is %s, expected a string", where, key, json_is_string(v) ? "a string with a NUL" : type_name(v));
    *out = json_string_value(v);
    return 0;
}

int tree_int(const json_t *o, const char *key, int64_t fallback, int64_t min, int64_t max, int64_t *out, const char *where,
             struct err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v))
        return ERR(err, FORMAT, "%s: %s is %s, expected a whole number", where, key, type_name(v));
    *out = json_integer_value(v);
    if (*out < min || *out > max)
        return ERR(err, RANGE, "%s: %s is %lld, expected %lld to %lld", where, key, (long long)*out, (long long)min, (long long)max);
    return 0;
}

int tree_num(const json_t *o, const char *key, double fallback, double *out, const char *where, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return ERR(err, FORMAT, "%s: %s is %s, expected a number", where, key, type_name(v));
    *out = json_number_value(v);
    return 0;
}

int tree_bool(const json_t *o, const char *key, bool fallback, bool *out, const char *where, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return ERR(err, FORMAT, "%s: %s is %s, expected true or false", where, key, type_name(v));
    *out = json_is_true(v);
    return 0;
}

static int read_list(const json_t *v, const struct opt *k, const char *at, struct err *err)
{
    for (size_t i = 0; i < (json_is_array(v) ? json_array_size(v) : 1); i++) {
        const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(item))
            return ERR(err, USAGE, "%s: entry %zu is %s, expected a string", at, i + 1, type_name(item));
        TRY(opt_set(k, at, json_string_value(item), err));
    }
    return 0;
}

int tree_read(const json_t *o, const struct opt *keys, const char *where, struct err *err)
{
    if (!json_is_object(o))
        return ERR(err, USAGE, "%s: found %s, expected keys with values", where, type_name(o));
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        const struct opt *k = opt_find(keys, key);
        if (!k) {
            const char *near = opt_nearest(keys, key);
            return near ? ERR(err, USAGE, "%s: unknown key '%s'; did you mean '%s'?", where, key, near)
                        : ERR(err, USAGE, "%s: unknown key '%s'", where, key);
        }
        char at[160], text[64];
        snprintf(at, sizeof at, "%.90s: %.60s", where, key);
        if (k->type == OPT_FLAG && json_is_boolean(v))
            *(bool *)k->value = json_is_true(v);
        else if (json_is_string(v) && (k->type == OPT_STR || k->type == OPT_CHOICE))
            TRY(opt_set(k, at, json_string_value(v), err));
        else if (k->type == OPT_LIST && (json_is_array(v) || json_is_string(v)))
            TRY(read_list(v, k, at, err));
        else if (json_is_number(v) && (k->type == OPT_INT || k->type == OPT_FLOAT)) {
            if (json_is_integer(v))
                snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
            else
                snprintf(text, sizeof text, "%.17g", json_real_value(v));
            TRY(opt_set(k, at, text, err));
        } else {
            static const char *const expected[] = { "", "true or false", "a whole number", "a number", "a string", "one of the choices", "a string or a list of strings" };
            return ERR(err, USAGE, "%s: found %s, expected %s (%s)", at, type_name(v), expected[k->type], k->values ? k->values : k->help);
        }
    }
    return 0;
}
