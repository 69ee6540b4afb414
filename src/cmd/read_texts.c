#include "cmd/read_texts.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "data/text.h"

const char *read_texts_at(const struct read_texts *t, int64_t i, size_t *n)
{
    const size_t from = i ? t->end[i - 1] : 0;
    *n = t->end[i] - from;
    return t->text.data + from;
}

void read_texts_release(struct read_texts *t)
{
    sources_release(&t->s);
    buf_release(&t->text);
    mem_free(t->end);
    mem_free(t->place);
    *t = (struct read_texts){ .n = 0 };
}

static int add(struct read_texts *t, const char *text, size_t n, int file, int64_t line, struct err *err)
{
    if (t->n == t->cap) {
        const int64_t cap = t->cap ? 2 * t->cap : 256;
        size_t *end = mem_realloc_array(t->end, (size_t)cap, sizeof *end);
        t->end = end ? end : t->end;
        struct text_place *place = mem_realloc_array(t->place, (size_t)cap, sizeof *place);
        t->place = place ? place : t->place;
        if (!end || !place)
            return ERR(err, NOMEM, "no memory for %lld texts", (long long)cap);
        t->cap = cap;
    }
    TRY(buf_add(&t->text, text, n, err));
    t->end[t->n] = t->text.len, t->place[t->n++] = (struct text_place){ file, line };
    return 0;
}

static int add_lines(struct read_texts *t, const char *text, size_t n, int file, int64_t line, int64_t limit, struct err *err)
{
    for (const char *end = text + n, *stop; text < end && (!limit || t->n < limit); text = stop + 1, line++) {
        stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        const size_t k = (size_t)(stop - text) - (stop > text && stop[-1] == '\r');
        if (!text_is_blank(text, k))
            TRY(add(t, text, k, file, line, err));
    }
    return 0;
}

static void fault(struct read_texts *t, enum record_fault f, const char *path, int64_t line, const struct err *why)
{
    t->n_fault[f]++;
    if (!t->first_fault[0])
        snprintf(t->first_fault, sizeof t->first_fault, "%.200s:%lld: %.160s", path, (long long)line, why->msg[0] ? why->msg : record_fault_word(f));
}

static int read_records(struct read_texts *t, int file, struct reader *r, struct extract *x, bool lines, int64_t limit, struct err *err)
{
    const char *path = t->s.file[file].path;
    struct raw_record raw;
    for (int64_t k = 0; !limit || t->n < limit; k++) {
        const int more = reader_next(r, &raw, err);
        if (more <= 0)
            return more;
        size_t n;
        const char *text, *header = k ? NULL : reader_header(r, &n);
        struct err why = { 0 };
        if (header && n)
            TRY(extract_header(x, header, n, path, err));
        const enum record_fault f = extract_text(x, &raw, &text, &n, &why);
        if (f && why.code == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", why.msg);
        if (f)
            fault(t, f, path, raw.line, &why);
        else if (lines && x->format == RECORD_TEXT)
            TRY(add_lines(t, text, n, file, raw.line, limit, err));
        else
            TRY(add(t, text, n, file, raw.line, err));
    }
    return 0;
}

static int read_file(struct read_texts *t, int file, bool lines, int64_t limit, struct err *err)
{
    const struct source_file *f = &t->s.file[file];
    const struct reader_opts o = { .format = f->format, .unhashed = true };
    struct reader *r;
    struct extract x;
    if (f->why)
        return ERR(err, IO, "'%s': %s", f->path, f->why);
    if (f->format == RECORD_IMAGE || f->format == RECORD_IDX)
        return ERR(err, FORMAT, "'%s' holds images, expected texts", f->path);
    TRY(reader_open(&r, f->path, &o, err));
    extract_init(&x, f->format, &t->s.source[f->source]);
    const int rc = read_records(t, file, r, &x, lines, limit, err);
    extract_release(&x);
    reader_free(r);
    return rc;
}

int read_texts(struct read_texts *t, const char *path, bool lines, int64_t limit, struct err *err)
{
    TRY(sources_add(&t->s, path, err));
    for (int i = 0; i < t->s.n_file && (!limit || t->n < limit); i++)
        TRY(read_file(t, i, lines, limit, err));
    return 0;
}
