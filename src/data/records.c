#include "data/records.h"
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/csv.h"
#include "data/record.h"

static const struct { const char *word; enum shard_kind kind; } forms[N_FORM] = {
#define X(name, word, kind) { word, kind },
    DATA_FORMS(X)
#undef X
};
const char *data_form_name(enum data_form form) { return forms[form].word; }
enum shard_kind data_form_kind(enum data_form form) { return forms[form].kind; }

enum data_form data_form_find(const char *word)
{
    int i = 0;
    while (i < N_FORM && strcmp(word, forms[i].word))
        i++;
    return (enum data_form)i;
}

/* ---- one record after the other, from a file of either kind ---- */

struct source {
    const struct text_doc *doc;
    bool csv;
    const char *at, *end;          /* JSON lines */
    struct csv table;
    int64_t line;                  /* of the record that was read last */
};

/* The first line that is not blank. */
static const char *first_line(const struct text_doc *d, size_t *n)
{
    const char *p = d->map.data, *end = p + d->n;
    if (d->n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    const char *newline = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    *n = (size_t)((newline ? newline : end) - p);
    return p;
}

static int source_open(struct source *s, const struct text_doc *d, struct err *err)
{
    size_t n;
    const char *first = first_line(d, &n);
    *s = (struct source){ .doc = d, .at = d->map.data, .end = d->map.data + d->n };
    s->csv = csv_named(d->path) || !n || *first != '{';
    if (s->csv)
        return csv_open(&s->table, d->map.data, d->n, d->path, err);
    if (d->n >= 3 && !memcmp(s->at, "\xef\xbb\xbf", 3))
        s->at += 3;
    return 0;
}

static void source_close(struct source *s)
{
    if (s->csv)
        csv_release(&s->table);
}

/* The row as an object of strings, under the names of the columns that a record knows. */
static int row_object(const struct csv *t, const struct record_fields *f, json_t **out, struct err *err)
{
    *out = json_object();
    for (int i = 0; i < N_FIELD && *out; i++) {
        size_t n;
        const int column = csv_find(t, f->name[i]);
        const char *s = column < 0 ? NULL : csv_field(t, column, &n);
        if (s && json_object_set_new(*out, f->name[i], json_stringn(s, n))) {
            json_decref(*out);
            *out = NULL;
        }
    }
    return *out ? 0 : ERR(err, NOMEM, "no memory for a row");
}

/* 1 and a record, 0 at the end; behind an error one may go on, unless it is ERR_NOMEM. */
static int source_next(struct source *s, const struct record_fields *f, json_t **out, struct err *err)
{
    *out = NULL;
    if (s->csv) {
        const int rc = csv_next(&s->table, err);
        s->line = s->table.line;
        if (rc <= 0)
            return rc;
        TRY(row_object(&s->table, f, out, err));
        return 1;
    }
    while (s->at < s->end) {
        const char *begin = s->at, *newline = memchr(begin, '\n', (size_t)(s->end - begin)), *end = newline ? newline : s->end;
        s->at = newline ? newline + 1 : s->end;
        s->line++;
        while (begin < end && strchr(" \t\r", *begin) && *begin)
            begin++;
        if (begin == end)
            continue;
        char name[300];
        snprintf(name, sizeof name, "%.260s:%lld", s->doc->path, (long long)s->line);
        TRY(tree_parse_json(out, begin, (size_t)(end - begin), name, err));
        if (json_is_object(*out))
            return 1;
        json_decref(*out);
        *out = NULL;
        return ERR(err, FORMAT, "%s: found no JSON object, expected one record on each line", name);
    }
    return 0;
}

/* ---- recognising ---- */

static unsigned columns_of(const struct csv *t, const struct record_fields *f)
{
    unsigned has = 0;
    for (int i = 0; i < N_FIELD; i++)
        has |= (unsigned)(csv_find(t, f->name[i]) >= 0) << i;
    return has;
}

static int unknown_members(const struct text_doc *d, bool csv, struct err *err)
{
    return ERR(err, FORMAT, "%s: no record's %s: expected text; messages; prompt and completion; or prompt, chosen and rejected; other names are told by "
               "data.fields, and data.form: plain takes the file as a text", d->path, csv ? "columns in its first line" : "members in its first line");
}

static int form_of_csv(const struct text_doc *d, const struct record_fields *f, enum data_form *form, struct err *err)
{
    struct csv t;
    int rc = csv_open(&t, d->map.data, d->n, d->path, err);
    if (!rc && (*form = record_form(columns_of(&t, f))) == FORM_AUTO)
        rc = unknown_members(d, true, err);
    if (!rc && *form == FORM_CHAT)
        rc = ERR(err, FORMAT, "%s: messages do not fit into columns, expected JSON lines", d->path);
    csv_release(&t);
    return rc;
}

static int form_of(const struct text_doc *d, const struct record_fields *f, enum data_form *form, struct err *err)
{
    size_t n;
    const char *line = first_line(d, &n);
    json_t *o = NULL;
    struct err bad;
    *form = FORM_PLAIN;
    if (csv_named(d->path))
        return form_of_csv(d, f, form, err);
    const bool lines = file_name_ends(d->path, ".jsonl");
    if (n && *line == '{' && tree_parse_json(&o, line, n, d->path, &bad) == ERR_NOMEM)
        return ERR(err, NOMEM, "no memory to read %s", d->path);
    const enum data_form found = o ? record_form(record_members(f, o)) : FORM_AUTO;
    json_decref(o);
    if (found != FORM_AUTO)
        *form = found;
    else if (lines && n && *line == '[')
        return ERR(err, FORMAT, "%s: begins with a list, expected one object on each line", d->path);
    else if (lines && o)
        return unknown_members(d, false, err);
    else if (lines)
        return ERR(err, FORMAT, "%s:1: %s", d->path, n && *line == '{' ? bad.msg : "found no JSON object, expected one record on each line");
    return 0;
}

int records_form(const struct text_list *l, const struct records_opts *o, enum data_form *form, struct err *err)
{
    struct record_fields f;
    *form = o->form;
    TRY(record_fields_parse(&f, o->fields, err));
    for (int i = 0; i < l->n_doc && o->form == FORM_AUTO; i++) {
        enum data_form found;
        TRY(form_of(&l->doc[i], &f, &found, err));
        if (i && found != *form)
            return ERR(err, FORMAT, "%s is of the form %s and %s of the form %s, expected one form for all files of a run", l->doc[0].path, data_form_name(*form),
                       l->doc[i].path, data_form_name(found));
        *form = found;
    }
    return 0;
}

/* ---- reading all ---- */

struct reader {
    const struct records_opts *o;
    struct record_fields fields;
    struct record record;
    struct record_ids ids;
    struct records *out;           /* for records_encode */
    struct record_texts *texts;    /* for records_texts */
    int64_t n_bad;
    char first_long[300];
};

/* Appends side i of the record that was made; n_place grows by what it takes. */
static int encode_side(struct reader *r, int i, int64_t *n_place, struct err *err)
{
    struct record_ids *d = &r->ids;
    d->n_text = 0, d->n_open = 0;
    TRY(record_encode(d, &r->record.side[i], r->o->form, r->o->tok, err));
    if (data_form_kind(r->o->form) != SHARD_STREAM) {
        if (d->ids.n < 2 || !memchr(d->learn, 1, d->ids.n))
            return ERR(err, FORMAT, "no token of it is learned");
        *n_place += (int64_t)d->ids.n - 1;
    }
    TRY(sequences_add(&r->out->q, d->ids.id, d->learn, d->ids.n, err));
    TRY(sequences_end(&r->out->q, d->n_text, err));
    r->out->n_open += d->n_open;
    return 0;
}

static void drop_after(struct sequences *q, int64_t n)
{
    q->n = n;
    q->ids.n = n ? (size_t)q->start[n] : 0;
}

/* Cuts the last sequence, a record's, to what a window holds; false when nothing that is learned is left. */
static bool cut(struct sequences *q, int ctx)
{
    const size_t first = (size_t)q->start[q->n - 1], n = (size_t)ctx + 1, old = q->ids.n - first;
    size_t before = 0, after = 0;
    for (size_t i = 0; i < old; i++)
        before += q->learn[first + i], after += i < n && q->learn[first + i];
    q->ids.n = first + n, q->start[q->n] = first + n;
    q->n_text[q->n - 1] = q->n_text[q->n - 1] * after / before;
    return after > 0;
}

static int encode_record(struct reader *r, const char *where, struct err *err)
{
    struct records *out = r->out;
    const int64_t before = out->q.n;
    int64_t n_place = 0;
    int rc = 0;
    for (int i = 0; i < r->record.n_side && !rc; i++)
        rc = encode_side(r, i, &n_place, err);
    if (rc) {
        drop_after(&out->q, before);
        return rc;
    }
    out->longest = n_place > out->longest ? (int)n_place : out->longest;
    if (n_place > r->o->ctx) {
        const bool keep = r->o->too_long == TOO_LONG_CUT && cut(&out->q, r->o->ctx);
        if (!out->n_long && !out->n_cut)
            snprintf(r->first_long, sizeof r->first_long, "%s", where);
        *(keep ? &out->n_cut : &out->n_long) += 1;
        if (!keep) {
            drop_after(&out->q, before);
            return 0;
        }
    }
    out->n_record++;
    return 0;
}

static int gather_record(struct reader *r, struct err *err)
{
    struct record_texts *t = r->texts;
    for (int i = 0; i < r->record.n_side; i++)
        TRY(buf_add(&t->text, r->record.side[i].text.text.data, r->record.side[i].text.text.len, err));
    if (t->n == t->cap) {
        const int64_t cap = t->cap ? 2 * t->cap : 256;
        size_t *p = mem_realloc_array(t->end, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %lld records", (long long)cap);
        t->end = p, t->cap = cap;
    }
    t->end[t->n++] = t->text.len;
    return 0;
}

static int take_object(struct reader *r, const json_t *o, const char *where, struct err *err)
{
    TRY(record_make(&r->record, r->o->form, o, &r->fields, r->o->chat, err));
    return r->texts ? gather_record(r, err) : encode_record(r, where, err);
}

static int take(struct reader *r, const json_t *o, const char *where, struct err *err)
{
    const int rc = take_object(r, o, where, err);
    json_t *again;
    if (rc != ERR_UNSUPPORTED || r->texts)
        return rc;
    TRY(record_rewrite(o, r->o->tok, &again, err));          /* in the tokenizer's normal form, say */
    const int second = take_object(r, again, where, err);
    json_decref(again);
    r->out->n_rewritten += !second;
    return second;
}

static bool is_record_error(int rc) { return rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_REFUSED || rc == ERR_RANGE; }

static int read_file(struct reader *r, const struct text_doc *d, struct err *err)
{
    struct source s;
    json_t *o;
    char where[300];
    int rc = source_open(&s, d, err);
    if (!rc && s.csv && record_form(columns_of(&s.table, &r->fields)) != r->o->form)
        rc = ERR(err, FORMAT, "%s: its first line is no JSON object and has not the columns of the form %s", d->path, data_form_name(r->o->form));
    while (!rc) {
        rc = source_next(&s, &r->fields, &o, err);
        if (!rc)
            break;
        snprintf(where, sizeof where, "%.260s:%lld", d->path, (long long)s.line);
        const bool read = rc > 0;
        if (read) {
            rc = take(r, o, where, err);
            json_decref(o);
            if (rc)
                err_context(err, "%s", where);
        }
        if (rc < 0 && is_record_error(rc) && r->o->skip_bad) {
            if (r->n_bad++ < 3 && !r->texts)
                log_warn("left out: %s", err->msg);
            rc = 0;
        }
    }
    source_close(&s);
    return rc;
}

static int read_all(struct reader *r, const struct text_list *l, struct err *err)
{
    struct err own;
    int rc = record_fields_parse(&r->fields, r->o->fields, err ? err : &own);
    record_init(&r->record);
    for (int i = 0; i < l->n_doc && !rc; i++)
        rc = read_file(r, &l->doc[i], err ? err : &own);
    record_release(&r->record);
    record_ids_release(&r->ids);
    return rc;
}

int records_encode(struct records *r, const struct text_list *l, const struct records_opts *o, struct err *err)
{
    struct reader reader = { .o = o, .out = r };
    TRY(read_all(&reader, l, err));
    r->n_bad += reader.n_bad;
    if (o->too_long == TOO_LONG_ERROR && r->n_long)
        return ERR(err, RANGE, "%lld of %lld records are longer than a window of %d tokens (the first: %s; the longest takes %d); expected a longer train.ctx, or data.too_long: skip or cut",
                   (long long)r->n_long, (long long)(r->n_long + r->n_record), o->ctx, reader.first_long, r->longest);
    return 0;
}

void records_release(struct records *r)
{
    sequences_release(&r->q);
    *r = (struct records){ 0 };
}

int records_texts(struct record_texts *t, const struct text_list *l, const struct records_opts *o, struct err *err)
{
    if (!t->text.data)
        buf_init(&t->text);
    struct reader reader = { .o = o, .texts = t };
    return read_all(&reader, l, err);
}

void record_texts_release(struct record_texts *t)
{
    if (t->text.data)
        buf_release(&t->text);
    mem_free(t->end);
    *t = (struct record_texts){ 0 };
}
