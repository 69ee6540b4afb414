#include "eval/text_lines.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/text.h"

struct line { const char *path; int64_t number; const char *at; size_t n; };

static int add(struct text_lines *s, const char *text, size_t n, char *label, struct err *err)
{
    if (s->n == s->cap) {
        const int64_t cap = s->cap ? 2 * s->cap : 256;
        struct text_item *p = mem_realloc_array(s->item, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %lld texts", (long long)cap);
        s->item = p, s->cap = cap;
    }
    const size_t at = s->bytes.len;
    TRY(buf_add(&s->bytes, text, n, err));
    s->item[s->n++] = (struct text_item){ at, n, label };
    s->n_label += label != NULL;
    return 0;
}

/* *out NULL: there is none. */
static int label_of(char **out, const json_t *o, const struct line *l, struct err *err)
{
    const json_t *v = json_object_get(o, "label");
    *out = NULL;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v) && !json_is_integer(v))
        return ERR(err, FORMAT, "%s:%lld: the label is neither a word nor a whole number", l->path, (long long)l->number);
    *out = json_is_string(v) ? mem_strdup(json_string_value(v)) : mem_printf("%lld", (long long)json_integer_value(v));
    return *out ? 0 : ERR(err, NOMEM, "no memory for a label");
}

static int add_object(struct text_lines *s, const struct line *l, struct err *err)
{
    json_t *o;
    char *label = NULL;
    if (tree_parse_json(&o, l->at, l->n, "JSON", err) < 0)
        return err_context(err, "%s:%lld", l->path, (long long)l->number);
    const json_t *text = json_object_get(o, "text");
    int rc = json_is_string(text) && !text_is_blank(json_string_value(text), json_string_length(text)) ? label_of(&label, o, l, err) :
             ERR(err, FORMAT, "%s:%lld: found no \"text\", expected {\"text\": \"...\", ...}", l->path, (long long)l->number);
    if (!rc)
        rc = add(s, json_string_value(text), json_string_length(text), label, err);
    if (rc)
        mem_free(label);
    json_decref(o);
    return rc;
}

static int add_plain(struct text_lines *s, const struct line *l, struct err *err)
{
    const size_t bad = text_bad_utf8(l->at, l->n);
    if (bad < l->n)
        return ERR(err, FORMAT, "%s:%lld: byte %zu is not UTF-8", l->path, (long long)l->number, bad);
    return add(s, l->at, l->n, NULL, err);
}

static int read_lines(struct text_lines *s, const char *path, const struct file_map *m, int64_t limit, struct err *err)
{
    const char *at = m->data, *end = m->data + m->size;
    int objects = -1;
    for (struct line l = { .path = path, .number = 1 }; at < end && (!limit || s->n < limit); l.number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        l.at = at, l.n = (size_t)((newline ? newline : end) - at);
        at = newline ? newline + 1 : end;
        l.n -= l.n && l.at[l.n - 1] == '\r';
        if (text_is_blank(l.at, l.n))
            continue;
        objects = objects < 0 ? *l.at == '{' : objects;
        struct err own;
        const int rc = objects ? add_object(s, &l, &own) : add_plain(s, &l, &own);
        if (rc == ERR_NOMEM)
            return *err = own, rc;
        if (rc && !s->n_bad++)
            s->bad = own;
    }
    if (!s->n && s->n_bad)
        return *err = s->bad, ERR_FORMAT;
    return s->n ? 0 : ERR(err, FORMAT, "%s: found no text, expected one a line", path);
}

int text_lines_read(struct text_lines *s, const char *path, int64_t limit, struct err *err)
{
    struct file_map m;
    *s = (struct text_lines){ .n = 0 };
    TRY(file_map_open(&m, path, err));
    buf_init(&s->bytes);
    const int rc = read_lines(s, path, &m, limit, err);
    file_map_close(&m);
    if (rc)
        text_lines_release(s);
    return rc;
}

void text_lines_release(struct text_lines *s)
{
    for (int64_t i = 0; i < s->n; i++)
        mem_free(s->item[i].label);
    mem_free(s->item);
    if (s->bytes.data)
        buf_release(&s->bytes);
    *s = (struct text_lines){ .n = 0 };
}
