#include <string.h>
#include "base/mem.h"
#include "eval/task_impl.h"

enum how { RAW, VALUE };
struct row { const char *name, *paths, *column, *text; enum how how; };

/* One list at a time: all other kinds of rows are nothing. */
#define FIELD(...)
#define COLUMN(...)
#define KEEP(...)
#define NATIVE(...)
#define SCORES(...)
#define AGGREGATE(...)

#undef FIELD
#define FIELD(name, paths, how, text) { name, paths, NULL, text, how },
static const struct row fields[] = {
#include "eval/task_functions.def"
};
#undef FIELD
#define FIELD(...)

#undef COLUMN
#undef KEEP
#define COLUMN(name, paths, column, how, text) { name, paths, column, text, how },
#define KEEP(name, paths, text) { name, paths, NULL, text, VALUE },
static const struct row documents[] = {
#include "eval/task_functions.def"
};
#undef COLUMN
#undef KEEP
#define COLUMN(...)
#define KEEP(...)

#undef NATIVE
#define NATIVE(name, paths, function) { name, paths, function },
static const struct { const char *name, *paths; int (*run)(json_t *doc, struct err *err); } natives[] = {
#include "eval/task_functions.def"
};
#undef NATIVE
#define NATIVE(...)

#undef SCORES
#define SCORES(name, paths, which) { name, paths, which },
static const struct { const char *name, *paths; enum process_results which; } scores[] = {
#include "eval/task_functions.def"
};
#undef SCORES
#define SCORES(...)

#undef AGGREGATE
#define AGGREGATE(name, paths, which) { name, paths, which },
static const struct { const char *name, *paths; enum task_aggregate which; } aggregates[] = {
#include "eval/task_functions.def"
};
#undef AGGREGATE

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool means(const char *name, const char *paths, const char *asked, const char *path)
{
    return !strcmp(name, asked) && path && words_have(paths, path);
}

bool words_have(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (const char *p = words; *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == n && !strncmp(p, word, n))
            return true;
    return false;
}

const char *function_field(const char *name, const char *dataset_path, bool *raw)
{
    for (size_t i = 0; i < COUNT(fields); i++)
        if (means(fields[i].name, fields[i].paths, name, dataset_path)) {
            *raw = fields[i].how == RAW;
            return fields[i].text;
        }
    return NULL;
}

bool function_results(const char *name, const char *dataset_path, enum process_results *out)
{
    for (size_t i = 0; i < COUNT(scores); i++)
        if (means(scores[i].name, scores[i].paths, name, dataset_path)) {
            *out = scores[i].which;
            return true;
        }
    return false;
}

bool function_aggregate(const char *name, const char *dataset_path, enum task_aggregate *out)
{
    for (size_t i = 0; i < COUNT(aggregates); i++)
        if (means(aggregates[i].name, aggregates[i].paths, name, dataset_path)) {
            *out = aggregates[i].which;
            return true;
        }
    return false;
}

/* ---- process_docs ---- */

int process_docs_find(struct process_docs *p, const char *name, const char *dataset_path, struct err *err)
{
    *p = (struct process_docs){ 0 };
    for (size_t i = 0; i < COUNT(documents); i++) {
        const struct row *row = &documents[i];
        if (!means(row->name, row->paths, name, dataset_path))
            continue;
        struct docs_column *c = &p->column[p->n++];
        c->name = row->column, c->raw = row->how == RAW;
        TRY(template_parse(&c->jinja, row->text, name, err));
    }
    for (size_t i = 0; i < COUNT(natives); i++)
        if (means(natives[i].name, natives[i].paths, name, dataset_path))
            p->native = natives[i].run;
    return p->n || p->native;
}

void process_docs_release(struct process_docs *p)
{
    for (int i = 0; i < p->n; i++)
        jinja_free(p->column[i].jinja);
    *p = (struct process_docs){ 0 };
}

/* 1: the document stays, with its new column; 0: it goes. */
static int process(const struct docs_column *c, json_t *doc, struct err *err)
{
    struct buf b;
    json_t *v = NULL;
    buf_init(&b);
    int rc = template_text(c->jinja, doc, &b, err);
    if (!rc && !c->name)
        rc = !strcmp(b.data, "True");
    else if (!rc)
        rc = c->raw ? ((v = json_stringn(b.data, b.len)) ? 0 : ERR(err, NOMEM, "no memory for a document")) : literal_parse(&v, b.data, b.len, err);
    if (!rc && c->name)
        rc = json_object_set(doc, c->name, v) ? ERR(err, NOMEM, "no memory for a document") : 1;
    json_decref(v);
    buf_release(&b);
    return rc;
}

/* A document for which the function fails becomes a string that says why. */
static int process_one(const struct process_docs *p, struct docs *d, size_t from, size_t *to, struct err *err)
{
    json_t *doc = json_array_get(d->list, from);
    struct err why = { 0 };
    int rc = 1;
    /* Documents that were made ready before (the text form of HellaSwag) have the columns. */
    const bool ready = p->n && p->column[0].name && json_object_get(doc, p->column[0].name) && !json_object_get(doc, "ctx_a");
    if (json_is_object(doc) && !ready)
        for (int i = 0; rc > 0 && i < p->n; i++)
            rc = process(&p->column[i], doc, &why);
    if (json_is_object(doc) && rc > 0 && p->native && (rc = p->native(doc, &why)) == 0)
        rc = 1;
    if (rc == ERR_NOMEM)
        return ERR(err, NOMEM, "%s", why.msg);
    if (!rc)
        return 0;
    json_t *kept = rc < 0 ? json_string(why.msg) : json_incref(doc);
    if (!kept || json_array_set_new(d->list, *to, kept))
        return ERR(err, NOMEM, "no memory for a document");
    d->line[*to] = d->line[from], d->i_file[*to] = d->i_file[from];
    ++*to;
    return 0;
}

int process_docs_run(const struct process_docs *p, struct docs *d, struct err *err)
{
    size_t to = 0;
    const size_t n = json_array_size(d->list);
    if (!p->n && !p->native)
        return 0;
    for (size_t i = 0; i < n; i++)
        TRY(process_one(p, d, i, &to, err));
    while (json_array_size(d->list) > to)
        json_array_remove(d->list, json_array_size(d->list) - 1);
    return !to ? ERR(err, FORMAT, "no document is left by process_docs") : 0;
}
