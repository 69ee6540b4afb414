#include "eval/task_rows.h"
#include <math.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/tree.h"
#include "data/csv.h"
#include "data/text.h"

static int no_memory(const struct rows *r, struct err *err) { return ERR(err, NOMEM, "%s: no memory to read it", r->name); }

/* Takes the reference to doc. */
static int add(const struct rows *r, json_t *doc, int64_t line, struct err *err)
{
    struct docs *d = r->out;
    const size_t n = json_array_size(d->list);
    if (!doc)
        return no_memory(r, err);
    if (!(n & (n - 1))) {                /* room for twice as many, when n is 0 or a power of two */
        int *lines = mem_realloc_array(d->line, n ? 2 * n : 1, sizeof *lines);
        d->line = lines ? lines : d->line;
        int *files = lines ? mem_realloc_array(d->i_file, n ? 2 * n : 1, sizeof *files) : NULL;
        d->i_file = files ? files : d->i_file;
        if (!files) {
            json_decref(doc);
            return no_memory(r, err);
        }
    }
    d->line[n] = (int)line, d->i_file[n] = r->i_file;
    return json_array_append_new(d->list, doc) ? no_memory(r, err) : 0;
}

static const char *const hub_splits[][5] = {
    { "train", "training", NULL }, { "validation", "valid", "val", "dev", NULL }, { "test", "testing", NULL }, { NULL },
};

/* A member of an object by the split's name, or a name that files have for it. */
static json_t *by_split(const json_t *o, const char *split)
{
    json_t *v = json_object_get(o, split);
    for (int i = 0; !v && hub_splits[i][0]; i++)
        for (int j = 0; !strcmp(hub_splits[i][0], split) && !v && hub_splits[i][j]; j++)
            v = json_object_get(o, hub_splits[i][j]);
    return v;
}

/* ---- documents as the hub has them ---- */

/* {"question": {"stem", "choices": [{"text", "label"}]}, "answerKey"} as ARC is published. */
static json_t *arc_doc(json_t *doc)
{
    const json_t *q = json_object_get(doc, "question"), *list = json_object_get(q, "choices");
    if (!json_is_object(q) || !json_is_array(list))
        return json_incref(doc);
    json_t *text = json_array(), *label = json_array();
    bool ok = text && label;
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        json_t *t = json_object_get(json_array_get(list, i), "text"), *l = json_object_get(json_array_get(list, i), "label");
        ok = t && l && !json_array_append(text, t) && !json_array_append(label, l);
    }
    json_t *out = ok ? json_pack("{s:O*, s:O*, s:{s:O, s:O}, s:O*}", "id", json_object_get(doc, "id"), "question", json_object_get(q, "stem"), "choices", "text", text, "label",
                                 label, "answerKey", json_object_get(doc, "answerKey")) : json_incref(doc);
    json_decref(text);
    json_decref(label);
    return out;
}

static bool labels_add(json_t *choices, json_t *labels, const char *s, size_t n, int label)
{
    n = py_strip(&s, n);
    return !n || (!json_array_append_new(choices, json_stringn(s, n)) && !json_array_append_new(labels, json_integer(label)));
}

/* Answers with "; " between them. */
static bool labels_split(json_t *choices, json_t *labels, const char *s, int label)
{
    bool ok = true;
    for (const char *end; ok && *s; s = *end ? end + 1 : end) {
        end = s + strcspn(s, ";");
        ok = labels_add(choices, labels, s, (size_t)(end - s), label);
    }
    return ok;
}

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = json_string_value(json_object_get(doc, key));
    return s ? s : "";
}

/* A row of TruthfulQA.csv: MC1 is the best answer among the wrong ones, MC2 all that are right and all that are wrong. */
static json_t *truthful_row(json_t *doc)
{
    json_t *c1 = json_array(), *l1 = json_array(), *c2 = json_array(), *l2 = json_array(), *out = NULL;
    const char *best = text_of(doc, "Best Answer"), *wrong = text_of(doc, "Incorrect Answers");
    if (c1 && l1 && c2 && l2 && labels_add(c1, l1, best, strlen(best), 1) && labels_split(c1, l1, wrong, 0) && labels_split(c2, l2, text_of(doc, "Correct Answers"), 1) &&
        labels_split(c2, l2, wrong, 0))
        out = json_pack("{s:s, s:s, s:{s:O, s:O}, s:{s:O, s:O}}", "question", text_of(doc, "Question"), "category", text_of(doc, "Category"), "mc1_targets", "choices", c1, "labels",
                        l1, "mc2_targets", "choices", c2, "labels", l2);
    json_decref(c1), json_decref(l1), json_decref(c2), json_decref(l2);
    return out;
}

/* {"question", "mc1_targets": {answer: label}, ...} of mc_task.json. */
static json_t *truthful_object(json_t *doc)
{
    static const char *const names[] = { "mc1_targets", "mc2_targets" };
    json_t *out = json_copy(doc);
    for (int i = 0; out && i < 2; i++) {
        json_t *from = json_object_get(doc, names[i]), *choices = json_array(), *labels = json_array(), *v;
        const char *key;
        bool ok = choices && labels;
        if (!json_is_object(from) || json_object_get(from, "choices")) {
            json_decref(choices), json_decref(labels);
            continue;
        }
        json_object_foreach(from, key, v)
            ok = ok && !json_array_append_new(choices, json_string(key)) && !json_array_append(labels, v);
        ok = ok && !json_object_set_new(out, names[i], json_pack("{s:O, s:O}", "choices", choices, "labels", labels));
        json_decref(choices), json_decref(labels);
        if (!ok) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

/* Takes the reference. */
static int add_row(const struct rows *r, json_t *doc, int64_t line, struct err *err)
{
    json_t *own = NULL;
    if (!doc)
        return no_memory(r, err);
    if (json_is_object(doc) && r->reader == ROWS_arc)
        own = arc_doc(doc);
    else if (json_is_object(doc) && r->reader == ROWS_truthfulqa)
        own = json_object_get(doc, "Best Answer") ? truthful_row(doc) : truthful_object(doc);
    else
        own = json_incref(doc);
    json_decref(doc);
    return add(r, own, line, err);
}

static int add_wrong(const struct rows *r, const struct err *why, int64_t line, struct err *err) { return add(r, json_string(why->msg), line, err); }

/* ---- forms of files ---- */

static int read_lines(const struct rows *r, const char *text, size_t n, struct err *err)
{
    int64_t line = 0;
    for (const char *p = text, *end = text + n, *next; p < end; p = next) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct err why = { 0 };
        json_t *doc;
        char name[300];
        next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        line++;
        if (text_is_blank(p, (size_t)(stop - p)))
            continue;
        snprintf(name, sizeof name, "%.250s:%lld", r->name, (long long)line);
        const int rc = tree_parse_json(&doc, p, (size_t)(stop - p), name, &why);
        if (rc == ERR_NOMEM)
            return no_memory(r, err);
        if (!rc && !json_is_object(doc)) {
            json_decref(doc);
            doc = json_string("found JSON that is no object, expected one with a document's fields");
        }
        TRY(rc ? add_wrong(r, &why, line, err) : add_row(r, doc, line, err));
    }
    return 0;
}

static int read_list(const struct rows *r, const json_t *list, struct err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *v = json_array_get(list, i);
        TRY(add_row(r, json_is_object(v) ? json_incref(v) : json_string("found no object, expected one with a document's fields"), 0, err));
    }
    return 0;
}

/* {"train": [[text, intent], ...], "oos_test": ...} */
static int read_clinc(const struct rows *r, const json_t *all, struct err *err)
{
    const json_t *list = by_split(all, r->split);
    if (!list)
        return ERR(err, NOTFOUND, "%s: found no split '%s'", r->name, r->split);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        TRY(add(r, json_array_size(v) == 2 ? json_pack("{s:O, s:O}", "text", json_array_get(v, 0), "intent", json_array_get(v, 1)) : json_string("found no text and intent"), 0, err));
    }
    return 0;
}

static int read_json(const struct rows *r, const char *text, size_t n, struct err *err)
{
    static const char *const lists[] = { "examples", "data", "docs" };
    json_t *all;
    TRY(tree_parse_json(&all, text, n, r->name, err));
    const json_t *list = json_is_array(all) ? all : by_split(all, r->split);
    for (int i = 0; i < 3 && !json_is_array(list); i++)
        list = json_object_get(all, lists[i]);
    int rc;
    if (r->reader == ROWS_clinc)
        rc = read_clinc(r, all, err);
    else if (json_is_array(list))
        rc = read_list(r, list, err);
    else if (json_is_object(all))
        rc = add_row(r, json_incref(all), 1, err);       /* JSON lines of one line */
    else
        rc = ERR(err, FORMAT, "%s: found no list of documents", r->name);
    json_decref(all);
    return rc;
}

/* What pandas makes of a column: whole numbers or numbers where all are, else strings. */
static void column_types(json_t *docs, size_t from, const char *key)
{
    int all = 2;                         /* 2: whole, 1: numbers, 0: strings */
    size_t seen = 0;
    for (size_t i = from; all && i < json_array_size(docs); i++) {
        const char *s = json_string_value(json_object_get(json_array_get(docs, i), key));
        const size_t n = s ? strlen(s) : 0;
        if (!n)
            continue;
        seen++;
        const char *digits = s + (*s == '-' || *s == '+');
        char *end;
        if (!*digits || strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 18)
            all = all > 1 ? 1 : all;
        if (all == 1 && (strspn(s, "0123456789.eE+-") != n || (strtod(s, &end), *end)))
            all = 0;
    }
    for (size_t i = from; all && seen && i < json_array_size(docs); i++) {
        json_t *doc = json_array_get(docs, i);
        const char *s = json_string_value(json_object_get(doc, key));
        if (s && *s)
            json_object_set_new(doc, key, all == 2 ? json_integer(strtoll(s, NULL, 10)) : json_real(strtod(s, NULL)));
    }
}

/* A column's name, in room where it has none; pandas calls it so. */
static const char *column_name(const struct csv *c, const json_t *columns, int i, char room[24])
{
    const char *name = columns ? json_string_value(json_array_get(columns, (size_t)i)) : c->header.data + c->head[i];
    if (name && *name)
        return name;
    snprintf(room, 24, "Unnamed: %d", i);
    return room;
}

static json_t *csv_doc(const struct csv *c, const json_t *columns, bool header)
{
    json_t *doc = json_object();
    for (int i = 0; doc && i < c->n; i++) {
        size_t n;
        char room[24];
        const char *s = header ? c->header.data + c->head[i] : csv_field(c, i, &n);
        const char *key = column_name(c, columns, i, room);
        if (header)
            n = c->head[i + 1] - c->head[i] - 1;
        json_t *v = text_bad_utf8(s, n) < n ? json_string("") : json_stringn(s, n);
        if (json_object_set_new(doc, key, v)) {
            json_decref(doc);
            return NULL;
        }
    }
    return doc;
}

/* question, A, B, C, D, answer; no header. */
static json_t *mmlu_doc(const struct csv *c, bool header)
{
    const char *s[6];
    size_t n;
    if (c->n != 6)
        return json_string("found other than a question, four answers and a letter");
    for (int i = 0; i < 6; i++)
        s[i] = header ? c->header.data + c->head[i] : csv_field(c, i, &n);
    const int answer = strlen(s[5]) == 1 ? s[5][0] - 'A' : -1;
    return json_pack("{s:s, s:[s, s, s, s], s:i}", "question", s[0], "choices", s[1], s[2], s[3], s[4], "answer", answer >= 0 && answer < 4 ? answer : 99);
}

static int add_csv(const struct rows *r, const struct csv *c, bool header, struct err *err)
{
    json_t *doc = r->reader == ROWS_mmlu ? mmlu_doc(c, header) : csv_doc(c, r->columns, header);
    return add_row(r, doc, header ? 1 : c->line, err);
}

static int read_csv(const struct rows *r, const char *text, size_t n, struct err *err)
{
    struct csv *c = mem_alloc_zero(sizeof *c);
    const size_t from = json_array_size(r->out->list);
    int rc, got = 1;
    if (!c)
        return no_memory(r, err);
    rc = csv_open(c, text, n, r->name, err);
    if (!rc && (r->reader == ROWS_mmlu || r->columns) && c->n > 1)
        rc = add_csv(r, c, true, err);
    while (!rc && got) {
        struct err why = { 0 };
        got = csv_next(c, &why);
        if (got == ERR_NOMEM)
            rc = no_memory(r, err);
        else if (got)
            rc = got < 0 ? add_wrong(r, &why, c->line, err) : add_csv(r, c, false, err);
    }
    for (int i = 0; !rc && r->reader == ROWS_plain && i < c->n; i++) {
        char room[24];
        column_types(r->out->list, from, column_name(c, r->columns, i, room));
    }
    csv_release(c);
    mem_free(c);
    return rc;
}

/* ---- forms of data sets ---- */

/* The next line, without its end; false at the end. */
static bool line_of(const char **p, const char *end, const char **s, size_t *n)
{
    if (*p == end)
        return false;
    const char *stop = memchr(*p, '\n', (size_t)(end - *p));
    *s = *p, *n = (size_t)((stop ? stop : end) - *p);
    *p = stop ? stop + 1 : end;
    *n -= *n && (*s)[*n - 1] == '\r';
    return true;
}

/* llama.cpp's: a context, which ending is right, four endings; a line each.  The contexts were prepared as process_docs does, but that the
 * second sentence keeps its first letter. */
static int read_hellaswag(const struct rows *r, const char *text, size_t n, struct err *err)
{
    const char *p = text, *end = text + n, *s[6];
    size_t k[6];
    for (int64_t line = 1;; line += 6) {
        int got = 0;
        while (got < 6 && line_of(&p, end, &s[got], &k[got]))
            got++;
        if (!got || (got == 1 && !k[0]))
            return 0;
        const int label = k[1] == 1 && got == 6 ? s[1][0] - '0' : -1;
        if (label < 0 || label > 3)
            return ERR(err, FORMAT, "%s:%lld: found no item of six lines (context, 0 to 3, four endings)", r->name, (long long)line);
        TRY(add(r, json_pack("{s:s#, s:[s#, s#, s#, s#], s:i, s:s#}", "query", s[0], (int)k[0], "choices", s[2], (int)k[2], s[3], (int)k[3], s[4], (int)k[4], s[5], (int)k[5], "gold", label,
                             "label", s[1], 1), line, err));
    }
}

/* A sentence on each line, in UTF-8 or, as it was first published, ISO 8859-1. */
static int read_polarity(const struct rows *r, const char *text, size_t n, struct err *err)
{
    const char *p = text, *end = text + n, *s;
    size_t k;
    int rc = 0;
    struct buf b;
    buf_init(&b);
    for (int64_t line = 1; !rc && line_of(&p, end, &s, &k); line++) {
        buf_clear(&b);
        const bool utf8 = text_bad_utf8(s, k) == k;
        for (size_t i = 0; !rc && i < k; i++) {
            const unsigned char c = (unsigned char)s[i];
            if (utf8 || c < 0x80)
                rc = buf_add_char(&b, s[i], err);
            else
                rc = buf_add(&b, (char[]){ (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)) }, 2, err);
        }
        const char *t = b.data;
        const size_t m = py_strip(&t, b.len);
        rc = rc || !m ? rc : add(r, json_pack("{s:s#, s:i}", "text", t, (int)m, "label", r->i_part == 0), line, err);
    }
    buf_release(&b);
    return rc;
}

int rows_add_labels(struct docs *d, const char *text, size_t n, const char *name, struct err *err)
{
    const char *p = text, *end = text + n, *s;
    size_t k, i = 0;
    for (; line_of(&p, end, &s, &k); i++) {
        json_t *doc = json_array_get(d->list, i);
        const char *t = s;
        k = py_strip(&t, k);
        if (!k && p == end)
            break;
        if (k != 1 || *t < '0' || *t > '9')
            return ERR(err, FORMAT, "%s:%zu: found no digit", name, i + 1);
        if (json_is_object(doc) && json_object_set_new(doc, "label", json_integer(*t - '0')))
            return ERR(err, NOMEM, "%s: no memory to read it", name);
    }
    if (i != json_array_size(d->list))
        return ERR(err, FORMAT, "%s: %zu labels of %zu documents", name, i, json_array_size(d->list));
    return 0;
}

size_t rows_name_length(const char *name)
{
    static const char *const packed[] = { ".gz", ".zst", ".bz2" };
    const size_t n = strlen(name);
    for (int i = 0; i < 3; i++)
        if (n > strlen(packed[i]) && !strcasecmp(name + n - strlen(packed[i]), packed[i]))
            return n - strlen(packed[i]);
    return n;
}

static bool named(const char *name, const char *ending)
{
    const size_t n = rows_name_length(name), k = strlen(ending);
    return n >= k && !strncasecmp(name + n - k, ending, k);
}

static int read_text(const struct rows *r, const char *text, size_t n, struct err *err)
{
    const char *p = text, *end = text + n, *s;
    size_t k;
    for (int64_t line = 1; line_of(&p, end, &s, &k); line++)
        TRY(add(r, json_pack("{s:s#}", "text", s, (int)k), line, err));
    return 0;
}

int rows_add(const struct rows *r, const char *text, size_t n, struct err *err)
{
    if (r->reader == ROWS_polarity && !named(r->name, ".jsonl") && !named(r->name, ".csv"))
        return read_polarity(r, text, n, err);
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) && !named(r->name, ".csv") && !named(r->name, ".tsv"))
        text += 3, n -= 3;
    TRY(text_check_utf8(text, n, r->name, err));
    const char *p = text;
    while (p < text + n && strchr(" \t\r\n", *p) && *p)
        p++;
    const char first = p < text + n ? *p : 0;
    const char *line_end = memchr(p, '\n', n - (size_t)(p - text));
    if (named(r->name, ".csv") || named(r->name, ".tsv"))
        return read_csv(r, text, n, err);
    if (first == '{' && !named(r->name, ".json"))
        return read_lines(r, text, n, err);
    if (first == '[' || first == '{') {
        const char *last = line_end ? line_end - 1 : NULL;
        while (last && last > p && (*last == ' ' || *last == '\r'))
            last--;
        if (first == '{' && last && *last == '}' && !text_is_blank(line_end, (size_t)(text + n - line_end)))       /* JSON lines by another name */
            return read_lines(r, text, n, err);
        return read_json(r, text, n, err);
    }
    return r->reader == ROWS_hellaswag ? read_hellaswag(r, text, n, err) : named(r->name, ".txt") || named(r->name, ".raw") ? read_text(r, text, n, err)
         : ERR(err, FORMAT, "%s: found neither JSON, JSON lines, nor a name that ends in .csv, .tsv or .txt", r->name);
}
