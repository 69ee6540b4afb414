#include "eval/prompts.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/csv.h"
#include "data/text.h"

#define MAX_BYTES ((size_t)256 << 20)

/* What a field is called, and where it goes; -1: taken, not looked at. */
#define AT(member) (int)offsetof(struct prompt, member)
static const struct { const char *name; int at; } fields[] = {
    { "prompt", AT(prompt) }, { "id", AT(id) }, { "index", AT(id) }, { "group", AT(group) }, { "name", AT(name) }, { "system", AT(system) },
    { "target", AT(target) }, { "expected", AT(expected) }, { "source", -1 }, { "language", -1 },
};
enum { N_FIELD = sizeof fields / sizeof *fields };

static int field_find(const char *name)
{
    for (int i = 0; i < N_FIELD; i++)
        if (!strcmp(fields[i].name, name))
            return i;
    return -1;
}

static void prompt_release(struct prompt *p)
{
    mem_free(p->id);
    mem_free(p->group);
    mem_free(p->name);
    mem_free(p->prompt);
    mem_free(p->system);
    mem_free(p->target);
    for (int i = 0; i < p->n_expected; i++)
        mem_free(p->expected[i]);
    mem_free(p->expected);
}

void prompts_release(struct prompts *p)
{
    for (int64_t i = 0; i < p->n; i++)
        prompt_release(&p->p[i]);
    mem_free(p->p);
    *p = (struct prompts){ 0 };
}

static int set(char **to, const char *text, size_t n, struct err *err)
{
    if (memchr(text, 0, n))
        return ERR(err, FORMAT, "a NUL byte in a text");
    TRY(text_check_utf8(text, n, "the text", err));
    char *copy = mem_alloc(n + 1);
    if (!copy)
        return ERR(err, NOMEM, "no memory for a text of %zu bytes", n);
    memcpy(copy, text, n);
    copy[n] = 0;
    mem_free(*to);
    *to = copy;
    return 0;
}

static int add_expected(struct prompt *p, const char *text, size_t n, struct err *err)
{
    char **more = mem_realloc_array(p->expected, (size_t)p->n_expected + 1, sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "no memory for what is expected");
    p->expected = more;
    more[p->n_expected] = NULL;
    if (!n)
        return ERR(err, FORMAT, "\"expected\" has an empty text, which every answer has in it");
    TRY(set(&more[p->n_expected], text, n, err));
    p->n_expected++;
    return 0;
}

static int set_field(struct prompt *p, int field, const char *text, size_t n, struct err *err)
{
    if (fields[field].at < 0)
        return 0;
    if (fields[field].at == AT(expected))
        return add_expected(p, text, n, err);
    return set((char **)(void *)((char *)p + fields[field].at), text, n, err);
}

/* A place for the next one, zeroed. */
static int next(struct prompts *out, struct prompt **p, struct err *err)
{
    if (out->n == out->cap) {
        const int64_t cap = out->cap ? 2 * out->cap : 64;
        struct prompt *more = mem_realloc_array(out->p, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %lld prompts", (long long)cap);
        out->p = more, out->cap = cap;
    }
    *p = &out->p[out->n++];
    **p = (struct prompt){ 0 };
    return 0;
}

static int finish(struct prompt *p, int64_t number, struct err *err)
{
    if (!p->prompt || !*p->prompt)
        return ERR(err, FORMAT, "found no \"prompt\", expected a text of that name");
    if (!p->id && !(p->id = mem_printf("%lld", (long long)number)))
        return ERR(err, NOMEM, "no memory for an id");
    return 0;
}

/* ---- JSON lines ---- */

static int take_list(struct prompt *p, int field, const json_t *list, struct err *err)
{
    size_t i;
    json_t *s;
    json_array_foreach(list, i, s) {
        if (!json_is_string(s))
            return ERR(err, FORMAT, "\"expected\" has something that is no text");
        TRY(set_field(p, field, json_string_value(s), json_string_length(s), err));
    }
    return 0;
}

static int take_object(struct prompt *p, const json_t *o, struct err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "found no object, expected {\"prompt\": \"...\", ...}");
    json_object_foreach((json_t *)o, key, v) {
        const int f = field_find(key);
        char number[32];
        if (f < 0)
            return ERR(err, FORMAT, "found \"%.60s\", expected prompt, id, group, name, system, target, expected, source or language", key);
        if (json_is_null(v))
            continue;
        if (json_is_array(v) && fields[f].at == AT(expected)) {
            TRY(take_list(p, f, v, err));
            continue;
        }
        if (!json_is_string(v) && !(json_is_integer(v) && fields[f].at == AT(id)))
            return ERR(err, FORMAT, "\"%s\" is no text", key);
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        TRY(json_is_string(v) ? set_field(p, f, json_string_value(v), json_string_length(v), err) : set_field(p, f, number, strlen(number), err));
    }
    return 0;
}

static int parse_line(struct prompts *out, const char *line, size_t n, const char *where, struct err *err)
{
    struct prompt *p;
    json_t *o;
    TRY(tree_parse_json(&o, line, n, where, err));
    int rc = next(out, &p, err);
    if (!rc)
        rc = take_object(p, o, err);
    if (!rc)
        rc = finish(p, out->n, err);
    json_decref(o);
    return rc < 0 && rc != ERR_NOMEM ? err_context(err, "%s", where) : rc;
}

static int parse_lines(struct prompts *out, const char *text, size_t n, const char *name, struct err *err)
{
    int64_t line = 0;
    for (size_t at = 0, end; at < n; at = end + 1) {
        const char *stop = memchr(text + at, '\n', n - at);
        char where[300];
        end = stop ? (size_t)(stop - text) : n;
        snprintf(where, sizeof where, "%.200s:%lld", name, (long long)++line);
        if (text_is_blank(text + at, end - at))
            continue;
        TRY(parse_line(out, text + at, end - at, where, err));
        out->p[out->n - 1].line = line;
    }
    return 0;
}

/* ---- CSV ---- */

static int take_row(struct prompts *out, const struct csv *c, const int *field, struct err *err)
{
    struct prompt *p;
    TRY(next(out, &p, err));
    for (int i = 0; i < c->n; i++) {
        size_t n;
        const char *text = csv_field(c, i, &n);
        if (n)
            TRY(set_field(p, field[i], text, n, err));
    }
    p->line = c->line;
    return finish(p, out->n, err);
}

static int take_rows(struct prompts *out, struct csv *c, struct err *err)
{
    int field[CSV_FIELDS_MAX], more;
    for (int i = 0; i < c->n; i++) {
        field[i] = field_find(c->header.data + c->head[i]);
        if (field[i] < 0)
            return ERR(err, FORMAT, "%s: found a column '%.60s', expected prompt, id, index, group, name, system, target, expected, source or language",
                       c->name,
                       c->header.data + c->head[i]);
    }
    while ((more = csv_next(c, err)) > 0)
        if (take_row(out, c, field, err) < 0)
            return err && err->code != ERR_NOMEM ? err_context(err, "%s:%lld", c->name, (long long)c->line) : ERR_NOMEM;
    return more;
}

int prompts_parse(struct prompts *out, const char *text, size_t n, const char *name, struct err *err)
{
    out->name = name;
    if (!csv_named(name))
        return parse_lines(out, text, n, name, err);
    struct csv c;
    int rc = csv_open(&c, text, n, name, err);
    if (!rc)
        rc = take_rows(out, &c, err);
    csv_release(&c);
    return rc;
}

int prompts_read(struct prompts *out, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(path, MAX_BYTES, &b, err);
    if (!rc)
        rc = prompts_parse(out, b.data, b.len, path, err);
    if (!rc && !out->n)
        rc = ERR(err, FORMAT, "%s: no prompt in it", path);
    buf_release(&b);
    return rc;
}
