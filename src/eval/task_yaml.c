#include "eval/task_yaml.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/buf.h"
#include "base/mem.h"

#define DEPTH_MAX 60
#define NODES_MAX 200000           /* with what aliases repeat */
#define ANCHORS_MAX 256
#define INCLUDES_MAX 16            /* within each other */

struct anchor { char *name; json_t *value; int n_node; };
struct reader {
    yaml_parser_t parser;
    const char *name;
    json_t *at;
    struct buf path;               /* of the value that is read */
    struct anchor anchor[ANCHORS_MAX];
    int n_anchor, n_node;
    struct err *err;
};

static int no_memory(const struct reader *r) { return ERR(r->err, NOMEM, "%s: no memory to read it", r->name); }

static int next(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return 0;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    const yaml_mark_t *mark = p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark;
    return ERR(r->err, FORMAT, "%s:%zu: %s", r->name, mark->line + 1, p->problem ? p->problem : "not YAML");
}

static int wrong(const struct reader *r, const yaml_event_t *e, const char *what) { return ERR(r->err, FORMAT, "%s:%zu: %s", r->name, e->start_mark.line + 1, what); }

/* ---- plain scalars: the implicit resolvers of PyYAML, as its expressions have them ---- */

static bool one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

static size_t run(const char *s, const char *of) { return strspn(s, of); }
#define DIGITS "0123456789_"

/* :[0-5]?[0-9] once or more; its end, or NULL. */
static const char *sexagesimal(const char *p)
{
    if (*p != ':')
        return NULL;
    while (*p == ':') {
        const size_t n = run(p + 1, "0123456789");
        if (n < 1 || n > 2 || (n == 2 && p[1] > '5'))
            return NULL;
        p += 1 + n;
    }
    return p;
}

static double base60(const char *s)
{
    double x = 0;
    char *end;
    for (;; s = end + 1) {
        x = x * 60 + strtod(s, &end);
        if (*end != ':')
            return x;
    }
}

/* clean: without underscores and sign. */
static json_t *integer(const char *s, const char *clean, bool negative)
{
    int base = 10;
    const char *digits = clean;
    if (clean[0] == '0' && clean[1] == 'b')
        base = 2, digits += 2;
    else if (clean[0] == '0' && clean[1] == 'x')
        base = 16, digits += 2;
    else if (clean[0] == '0' && clean[1])
        base = 8;
    if (strchr(clean, ':'))
        return json_integer((json_int_t)(negative ? -base60(clean) : base60(clean)));
    if (!*digits || strlen(digits) > (base == 2 ? 62u : base == 10 ? 18u : base == 8 ? 20u : 15u))
        return json_string(s);                   /* too large for us; no task means that */
    const json_int_t v = strtoll(digits, NULL, base);
    return json_integer(negative ? -v : v);
}

static bool looks_integer(const char *p)
{
    if (p[0] == '0' && p[1] == 'b')
        return p[2] && run(p + 2, "01_") == strlen(p + 2);
    if (p[0] == '0' && p[1] == 'x')
        return p[2] && run(p + 2, "0123456789abcdefABCDEF_") == strlen(p + 2);
    if (p[0] == '0')
        return run(p, "01234567_") == strlen(p);
    if (*p < '1' || *p > '9')
        return false;
    const char *rest = p + run(p, DIGITS);
    const char *end = *rest ? sexagesimal(rest) : rest;
    return end && !*end;
}

/* [0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)? | \.[0-9][0-9_]*([eE][-+][0-9]+)? | [0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*; signed: not with the second. */
static bool looks_float(const char *p, bool has_sign)
{
    if (*p >= '0' && *p <= '9') {
        p += run(p, DIGITS);
        if (*p == ':')
            return (p = sexagesimal(p)) && *p == '.' && !p[1 + run(p + 1, DIGITS)];
        if (*p != '.')
            return false;
        p += 1 + run(p + 1, DIGITS);
    } else if (*p == '.' && p[1] >= '0' && p[1] <= '9' && !has_sign) {
        p += 1 + run(p + 1, DIGITS);
    } else {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        if (p[1] != '-' && p[1] != '+')
            return false;
        const size_t n = run(p + 2, "0123456789");
        return n && !p[2 + n];
    }
    return !*p;
}

static json_t *plain(const char *s, size_t n)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL },
        *const trues[] = { "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL },
        *const falses[] = { "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL };
    char clean[80];
    size_t n_clean = 0;
    if (strlen(s) != n || n > 70)
        return json_stringn(s, n);
    if (one_of(s, nulls))
        return json_null();
    if (one_of(s, trues) || one_of(s, falses))
        return json_boolean(one_of(s, trues));
    const bool sign = *s == '-' || *s == '+', negative = *s == '-';
    for (const char *p = s + sign; *p; p++)
        if (*p != '_')
            clean[n_clean++] = *p;
    clean[n_clean] = 0;
    if (looks_integer(s + sign))
        return integer(s, clean, negative);
    if (looks_float(s + sign, sign) && n_clean && strcmp(clean, ".")) {
        const double v = strchr(clean, ':') ? base60(clean) : strtod(clean, NULL);
        return isfinite(v) ? json_real(negative ? -v : v) : json_string(s);
    }
    return json_stringn(s, n);
}

/* ---- values ---- */

static int value(struct reader *r, yaml_event_t *e, int depth, json_t **out);

static int remember(struct reader *r, const char *anchor, json_t *v, int n_node)
{
    if (!anchor)
        return 0;
    if (r->n_anchor == ANCHORS_MAX)
        return ERR(r->err, RANGE, "%s: more than %d anchors", r->name, ANCHORS_MAX);
    struct anchor *a = &r->anchor[r->n_anchor];
    if (!(a->name = mem_strdup(anchor)))
        return no_memory(r);
    a->value = json_incref(v), a->n_node = n_node;
    r->n_anchor++;
    return 0;
}

static int alias(struct reader *r, const yaml_event_t *e, json_t **out)
{
    for (int i = r->n_anchor - 1; i >= 0; i--)
        if (!strcmp(r->anchor[i].name, (const char *)e->data.alias.anchor)) {
            if ((r->n_node += r->anchor[i].n_node) > NODES_MAX)
                return ERR(r->err, RANGE, "%s:%zu: more than %d values with what aliases repeat", r->name, e->start_mark.line + 1, NODES_MAX);
            *out = json_deep_copy(r->anchor[i].value);
            return *out ? 0 : no_memory(r);
        }
    return wrong(r, e, "an alias of no anchor");
}

static int scalar(struct reader *r, const yaml_event_t *e, json_t **out)
{
    const char *s = (const char *)e->data.scalar.value, *tag = (const char *)e->data.scalar.tag;
    const size_t n = e->data.scalar.length;
    static const char of_yaml[] = "tag:yaml.org,2002:";
    const char *type = tag && !strncmp(tag, of_yaml, sizeof of_yaml - 1) ? tag + sizeof of_yaml - 1 : NULL;
    if (tag && !strcmp(tag, "!function"))
        *out = json_pack("{s:s#}", TASK_FUNCTION, s, (int)n);
    else if (type && !strcmp(type, "null"))
        *out = json_null();
    else if (type && (!strcmp(type, "int") || !strcmp(type, "float") || !strcmp(type, "bool")))
        *out = plain(s, n);
    else if (tag && strcmp(tag, "!") && !(type && !strcmp(type, "str")))
        return ERR(r->err, UNSUPPORTED, "%s:%zu: the tag %.100s is not supported", r->name, e->start_mark.line + 1, tag);
    else
        *out = !tag && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain(s, n) : json_stringn(s, n);
    if (*out && type && ((!strcmp(type, "int") && !json_is_integer(*out)) || (!strcmp(type, "float") && !json_is_number(*out)) || (!strcmp(type, "bool") && !json_is_boolean(*out))))
        return ERR(r->err, FORMAT, "%s:%zu: '%.100s' is no %s", r->name, e->start_mark.line + 1, s, type);
    return *out ? 0 : no_memory(r);
}

/* One value with its part of the path. */
static int member(struct reader *r, const char *name, yaml_event_t *e, int depth, json_t **out)
{
    const size_t len = r->path.len;
    char place[400];
    TRY(len ? buf_add_char(&r->path, '/', r->err) : 0);
    TRY(buf_add_str(&r->path, name, r->err));
    snprintf(place, sizeof place, "%.300s:%zu", r->name, e->start_mark.line + 1);
    if (json_object_set_new(r->at, r->path.data, json_string(place)))
        return no_memory(r);
    const int rc = value(r, e, depth, out);
    r->path.data[r->path.len = len] = 0;
    return rc;
}

static int sequence(struct reader *r, int depth, json_t **out)
{
    if (!(*out = json_array()))
        return no_memory(r);
    for (size_t i = 0;; i++) {
        yaml_event_t e;
        char name[24];
        TRY(next(r, &e));
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return 0;
        }
        json_t *v = NULL;
        snprintf(name, sizeof name, "%zu", i);
        int rc = member(r, name, &e, depth, &v);
        yaml_event_delete(&e);
        if (!rc && json_array_append_new(*out, json_incref(v)))
            rc = no_memory(r);
        json_decref(v);
        TRY(rc);
    }
}

int task_yaml_inherit(json_t *into, const json_t *from)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)from, key, v)
        if (!json_object_get(into, key) && json_object_set(into, key, v))
            return -1;
    return 0;
}

/* What << names goes where there is no such key yet. */
static int merge(struct reader *r, json_t *into, json_t *from)
{
    if (json_is_array(from)) {
        for (size_t i = 0; i < json_array_size(from); i++)
            TRY(merge(r, into, json_array_get(from, i)));
        return 0;
    }
    if (!json_is_object(from))
        return ERR(r->err, FORMAT, "%s: << takes keys with values", r->name);
    return task_yaml_inherit(into, from) ? no_memory(r) : 0;
}

static int pair(struct reader *r, yaml_event_t *key, int depth, json_t *into, json_t **merged)
{
    yaml_event_t e;
    json_t *v = NULL;
    const char *name = key->type == YAML_SCALAR_EVENT ? (const char *)key->data.scalar.value : NULL;
    if (!name || strlen(name) != key->data.scalar.length)
        return wrong(r, key, "a key must be a word");
    const bool merges = !strcmp(name, "<<") && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    TRY(next(r, &e));
    e.start_mark.line = key->start_mark.line;        /* a key's place is its own */
    int rc = member(r, name, &e, depth, &v);
    yaml_event_delete(&e);
    if (!rc && merges) {
        json_decref(*merged);
        *merged = json_incref(v);
    } else if (!rc && json_object_set(into, name, v)) {
        rc = no_memory(r);
    }
    json_decref(v);
    return rc;
}

static int mapping(struct reader *r, int depth, json_t **out)
{
    json_t *merged = NULL;
    int rc = 0;
    if (!(*out = json_object()))
        return no_memory(r);
    while (!rc) {
        yaml_event_t key;
        if ((rc = next(r, &key)) < 0)
            break;
        const bool end = key.type == YAML_MAPPING_END_EVENT;
        if (!end)
            rc = pair(r, &key, depth, *out, &merged);
        yaml_event_delete(&key);
        if (end)
            break;
    }
    if (!rc && merged)
        rc = merge(r, *out, merged);
    json_decref(merged);
    return rc;
}

static int value(struct reader *r, yaml_event_t *e, int depth, json_t **out)
{
    const int before = r->n_node;
    const char *anchor = NULL, *tag = NULL;
    int rc;
    *out = NULL;
    if (depth > DEPTH_MAX)
        return wrong(r, e, "nested too deep");
    if (++r->n_node > NODES_MAX)
        return wrong(r, e, "too many values");
    switch (e->type) {
    case YAML_ALIAS_EVENT: return alias(r, e, out);
    case YAML_SCALAR_EVENT:
        anchor = (const char *)e->data.scalar.anchor;
        rc = scalar(r, e, out);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = (const char *)e->data.sequence_start.anchor, tag = (const char *)e->data.sequence_start.tag;
        rc = tag ? wrong(r, e, "tags of lists are not supported") : sequence(r, depth + 1, out);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = (const char *)e->data.mapping_start.anchor, tag = (const char *)e->data.mapping_start.tag;
        rc = tag ? wrong(r, e, "tags of keys with values are not supported") : mapping(r, depth + 1, out);
        break;
    default: return wrong(r, e, "a value was expected here");
    }
    return rc ? rc : remember(r, anchor, *out, r->n_node - before);
}

static int document(struct reader *r, json_t **out)
{
    yaml_event_t e;
    for (int i = 0; i < 2; i++) {
        TRY(next(r, &e));
        const yaml_event_type_t type = e.type;
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT)
            return ERR(r->err, FORMAT, "%s: empty, expected keys with values", r->name);
    }
    TRY(next(r, &e));
    int rc = value(r, &e, 1, out);
    yaml_event_delete(&e);
    for (int i = 0; i < 2 && !rc; i++) {
        TRY(next(r, &e));
        if (e.type != (i ? YAML_STREAM_END_EVENT : YAML_DOCUMENT_END_EVENT))
            rc = wrong(r, &e, "one document was expected, here begins another");
        yaml_event_delete(&e);
    }
    return !rc && !json_is_object(*out) ? ERR(r->err, FORMAT, "%s: found no keys with values", r->name) : rc;
}

static int parse(struct task_yaml *y, const char *text, size_t n, const char *name, struct err *err)
{
    struct reader *r = mem_alloc_zero(sizeof *r);
    if (!r || !(y->at = json_object()) || !yaml_parser_initialize(&r->parser)) {
        mem_free(r);
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    }
    r->name = name, r->at = y->at, r->err = err;
    buf_init(&r->path);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, n);
    const int rc = document(r, &y->tree);
    yaml_parser_delete(&r->parser);
    for (int i = 0; i < r->n_anchor; i++) {
        mem_free(r->anchor[i].name);
        json_decref(r->anchor[i].value);
    }
    buf_release(&r->path);
    mem_free(r);
    return rc;
}

/* ---- includes ---- */

/* The keys of `from` that y has not, with their places. */
static int inherit(struct task_yaml *y, const struct task_yaml *from, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach(from->at, key, v) {
        char top[200];
        snprintf(top, sizeof top, "%.*s", (int)strcspn(key, "/"), key);
        if (!json_object_get(y->tree, top) && json_object_set(y->at, key, v))
            return ERR(err, NOMEM, "no memory to merge a task");
    }
    return task_yaml_inherit(y->tree, from->tree) ? ERR(err, NOMEM, "no memory to merge a task") : 0;
}

struct including { task_yaml_open open; void *user; int depth; };

static int parse_with(struct task_yaml *y, const char *text, size_t n, const char *path, struct including *in, struct err *err);

static int include_one(struct task_yaml *all, const json_t *name, const char *at, const char *path, struct including *in, struct err *err)
{
    struct task_yaml other = { 0 };
    char *from = NULL, *text = NULL;
    size_t n;
    if (!json_is_string(name))
        return ERR(err, FORMAT, "%s: include takes the names of files", at);
    if (in->depth == INCLUDES_MAX)
        return ERR(err, FORMAT, "%s: more than %d includes within each other; does a file include itself?", at, INCLUDES_MAX);
    int rc = in->open(in->user, path, json_string_value(name), &from, &text, &n, err);
    in->depth++;
    rc = rc ? err_context(err, "%s", at) : parse_with(&other, text, n, from, in, err);
    in->depth--;
    /* A later include counts before an earlier one. */
    if (!rc) {
        rc = inherit(&other, all, err);
        task_yaml_release(all);
        *all = other;
        other = (struct task_yaml){ 0 };
    }
    task_yaml_release(&other);
    mem_free(from);
    mem_free(text);
    return rc;
}

static int parse_with(struct task_yaml *y, const char *text, size_t n, const char *path, struct including *in, struct err *err)
{
    struct task_yaml all = { json_object(), json_object() };
    int rc = all.tree && all.at ? parse(y, text, n, path, err) : ERR(err, NOMEM, "%s: no memory to read it", path);
    json_t *include = rc || !in->open ? NULL : json_incref(json_object_get(y->tree, "include"));
    if (include) {
        char at[400];
        snprintf(at, sizeof at, "%s", task_yaml_at(y, "include"));
        json_object_del(y->tree, "include");
        for (size_t i = 0; !rc && i < (json_is_array(include) ? json_array_size(include) : 1); i++)
            rc = include_one(&all, json_is_array(include) ? json_array_get(include, i) : include, at, path, in, err);
        rc = rc ? rc : inherit(y, &all, err);
    }
    json_decref(include);
    task_yaml_release(&all);
    if (rc)
        task_yaml_release(y);
    return rc;
}

int task_yaml_parse(struct task_yaml *y, const char *text, size_t n, const char *path, task_yaml_open open, void *user, struct err *err)
{
    struct including in = { open, user, 0 };
    *y = (struct task_yaml){ 0 };
    return parse_with(y, text, n, path, &in, err);
}

void task_yaml_release(struct task_yaml *y)
{
    json_decref(y->tree);
    json_decref(y->at);
    *y = (struct task_yaml){ 0 };
}

const char *task_yaml_at(const struct task_yaml *y, const char *path)
{
    const json_t *at = json_object_get(y->at, path);
    return at ? json_string_value(at) : "the task";
}
