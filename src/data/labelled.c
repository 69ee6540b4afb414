#include "data/labelled.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "data/csv.h"
#include "data/fields.h"

enum { TEXT, LABEL, N_OWN };
static const char *const own_names[N_OWN] = { "text", "label" };
struct reader { struct labelled *l; struct labels *names; bool fixed; char name[N_OWN][FIELD_NAME_MAX]; struct err *err; };

void labelled_release(struct labelled *l)
{
    buf_release(&l->text);
    mem_free(l->end);
    mem_free(l->label);
    *l = (struct labelled){ 0 };
}

/* ---- records ---- */

static int class_of(const struct reader *r, const char *name)
{
    int label = labels_find(r->names, name);
    if (label < 0 && r->fixed)
        return ERR(r->err, RANGE, "the label is '%.60s', expected one of the %d classes", name, r->names->n);
    if (label < 0) {
        label = r->names->n;
        TRY(labels_add(r->names, name, r->err));
    }
    return label;
}

static int grow(struct labelled *l, struct err *err)
{
    const int64_t cap = l->cap ? 2 * l->cap : 256;
    size_t *end = mem_realloc_array(l->end, (size_t)cap, sizeof *end);
    l->end = end ? end : l->end;
    int32_t *label = end ? mem_realloc_array(l->label, (size_t)cap, sizeof *label) : NULL;
    l->label = label ? label : l->label;
    if (!label)
        return ERR(err, NOMEM, "no memory for %lld texts", (long long)cap);
    l->cap = cap;
    return 0;
}

static int add(const struct reader *r, const char *text, size_t n, const char *label)
{
    struct labelled *l = r->l;
    if (!n)
        return ERR(r->err, FORMAT, "the text is empty");
    if (!*label)
        return ERR(r->err, FORMAT, "the label is empty");
    const size_t bad = text_bad_utf8(text, n);
    if (bad < n)
        return ERR(r->err, FORMAT, "the text is no UTF-8 from byte %zu on", bad);
    const int class = class_of(r, label);
    TRY(class);
    if (l->n == l->cap)
        TRY(grow(l, r->err));
    TRY(buf_add(&l->text, text, n, r->err));
    l->end[l->n] = l->text.len, l->label[l->n++] = class;
    return 0;
}

static int add_object(const struct reader *r, const json_t *o)
{
    const json_t *text = json_object_get(o, r->name[TEXT]), *label = json_object_get(o, r->name[LABEL]);
    char number[32];
    if (!json_is_string(text))
        return ERR(r->err, FORMAT, "'%s' is no string, expected {\"%s\": \"...\", \"%s\": ...}", r->name[TEXT], r->name[TEXT], r->name[LABEL]);
    if (!json_is_string(label) && !json_is_integer(label))
        return ERR(r->err, FORMAT, "'%s' is neither a string nor a whole number", r->name[LABEL]);
    if (json_is_integer(label))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(label));
    return add(r, json_string_value(text), json_string_length(text), json_is_integer(label) ? number : json_string_value(label));
}

static bool is_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at == end;
}

static int read_lines(const struct reader *r, const struct text_doc *d)
{
    int64_t line = 0;
    const char *at = d->map.data, *stop = at + d->n, *end;
    if (d->n >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))               /* some programs write it first */
        at += 3;
    for (; at < stop; at = end + 1) {
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        line++;
        if (is_blank(at, end))
            continue;
        json_t *o;
        int rc = tree_parse_json(&o, at, (size_t)(end - at), d->path, r->err);
        if (!rc) {
            rc = add_object(r, o);
            json_decref(o);
        }
        if (rc)
            return err_context(r->err, "%s:%lld", d->path, (long long)line);
    }
    return 0;
}

static int read_rows(const struct reader *r, struct csv *c, const char *path)
{
    const int text = csv_find(c, r->name[TEXT]), label = csv_find(c, r->name[LABEL]);
    if (text < 0 || label < 0)
        return ERR(r->err, FORMAT, "%s: no column '%s'; data.fields gives it another name", path, text < 0 ? r->name[TEXT] : r->name[LABEL]);
    int more;
    while ((more = csv_next(c, r->err)) > 0) {
        size_t n, n_label;
        const char *s = csv_field(c, text, &n), *name = csv_field(c, label, &n_label);
        if (add(r, s, n, name) < 0)
            return err_context(r->err, "%s:%lld", path, (long long)c->line);
    }
    return more;
}

static int read_file(const struct reader *r, const struct text_doc *d)
{
    if (!csv_named(d->path))
        return read_lines(r, d);
    struct csv c;
    int rc = csv_open(&c, d->map.data, d->n, d->path, r->err);
    if (!rc)
        rc = read_rows(r, &c, d->path);
    csv_release(&c);
    return rc;
}

/* ---- order of the names ---- */

static bool is_number(const char *s) { return isdigit((unsigned char)*s) && s[strspn(s, "0123456789")] == 0; }

static int by_name(const void *pa, const void *pb, void *ctx)
{
    char *const *name = ctx;
    const char *a = name[*(const int *)pa], *b = name[*(const int *)pb];
    if (is_number(a) && is_number(b) && strlen(a) != strlen(b))
        return strlen(a) < strlen(b) ? -1 : 1;
    return strcmp(a, b);
}

/* They were added in the order in which they came. */
static int sort_names(struct reader *r)
{
    struct labels *l = r->names;
    const size_t n = (size_t)l->n;
    int *order = mem_alloc_array(n + 1, sizeof *order), *place = mem_alloc_array(n + 1, sizeof *place);
    char **sorted = mem_alloc_array(n + 1, sizeof *sorted);
    const bool ok = order && place && sorted;
    for (int i = 0; ok && i < l->n; i++)
        order[i] = i;
    if (ok && n)
        qsort_r(order, n, sizeof *order, by_name, l->name);
    for (int i = 0; ok && i < l->n; i++)
        sorted[i] = l->name[order[i]], place[order[i]] = i;
    if (ok)
        memcpy(l->name, sorted, n * sizeof *sorted);
    for (int64_t i = 0; ok && i < r->l->n; i++)
        r->l->label[i] = place[r->l->label[i]];
    mem_free(order);
    mem_free(place);
    mem_free(sorted);
    return ok ? 0 : ERR(r->err, NOMEM, "no memory for %d names", l->n);
}

int labelled_read(struct labelled *l, const struct text_list *files, const char *fields, struct labels *names, bool fixed, struct err *err)
{
    struct reader r = { .l = l, .names = names, .fixed = fixed, .err = err };
    *l = (struct labelled){ 0 };
    buf_init(&l->text);
    int rc = fields_parse(r.name, own_names, N_OWN, fields, err);
    for (int i = 0; i < files->n_doc && !rc; i++)
        rc = read_file(&r, &files->doc[i]);
    if (!rc && !l->n)
        rc = ERR(err, FORMAT, "%s: no texts with labels", files->n_doc ? files->doc[0].path : "data.train");
    if (!rc && !fixed)
        rc = sort_names(&r);
    if (rc)
        labelled_release(l);
    return rc;
}
