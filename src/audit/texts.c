/* texts.c - reading records again: some of them, for examples, or all. */
#include <string.h>
#include "audit/stage.h"
#include "base/mem.h"

/* ---- some ---- */

struct wanted { const struct audit *a; const int64_t *record; int n, i; int (*text)(void *ctx, int i, const char *text, size_t n, struct err *err); void *ctx; };

static int changed(const struct source_file *f, struct err *err) { return ERR(err, CORRUPT, "'%s' is not what it was when it was audited: audit it anew", f->path); }

static int take_text(struct wanted *w, struct extract *x, const struct raw_record *raw, const struct source_file *f, struct err *err)
{
    const char *text;
    size_t n;
    struct err why = { 0 };
    if (extract_text(x, raw, &text, &n, &why))
        return why.code == ERR_NOMEM ? (*err = why).code : changed(f, err);
    for (const int64_t record = w->record[w->i]; w->i < w->n && w->record[w->i] == record; w->i++)
        TRY(w->text(w->ctx, w->i, text, n, err));
    return 0;
}

/* The wanted ones of one file, which begins with record `first`. */
static int take_file(struct wanted *w, struct reader *r, struct extract *x, const struct source_file *f, int64_t first, int64_t end, struct err *err)
{
    struct raw_record raw;
    for (int64_t at = first; w->i < w->n && w->record[w->i] < end; at++) {
        const int rc = reader_next(r, &raw, err);
        if (rc <= 0)
            return rc == ERR_NOMEM ? rc : changed(f, err);
        size_t n;
        const char *header = reader_header(r, &n);
        if (at == first && n && extract_header(x, header, n, f->path, err))
            return err->code == ERR_NOMEM ? ERR_NOMEM : changed(f, err);
        if (at == w->record[w->i])
            TRY(take_text(w, x, &raw, f, err));
    }
    return 0;
}

int audit_texts(const struct audit *a, const int64_t *record, int n, int (*text)(void *ctx, int i, const char *text, size_t n, struct err *err), void *ctx, struct err *err)
{
    struct wanted w = { a, record, n, 0, text, ctx };
    int rc = 0;
    while (w.i < n && !rc) {
        const int file = audit_file_of(a, record[w.i]);
        const struct source_file *f = &a->s->file[file];
        const struct reader_opts o = { .format = f->format, .record_max = a->o->record_max, .ratio = a->o->ratio, .unhashed = true };
        struct reader *r;
        struct extract x;
        extract_init(&x, f->format, &a->s->source[f->source]);
        rc = reader_open(&r, f->path, &o, err);
        rc = rc ? rc : take_file(&w, r, &x, f, a->first[file], a->first[file + 1], err);
        reader_free(r);
        extract_release(&x);
    }
    return rc;
}

/* ---- all ---- */

struct again {
    const struct audit *a;
    int (*record)(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err);
    int (*put)(void *ctx, const struct buf *out, struct err *err);
    int (*round)(void *ctx, const struct buf *const *out, int n, struct err *err);
    void *ctx;
};

static int again_record(void *ctx, int file, const struct pass_record *r, struct buf *out, int i_thread, struct err *err)
{
    const struct again *g = ctx;
    if (r->number >= g->a->end[file].n_record)       /* it could not be read to its end then, and now it can */
        return changed(&g->a->s->file[file], err);
    return g->record(g->ctx, g->a->first[file] + r->number, r, out, i_thread, err);
}

static int again_put(void *ctx, int file, int64_t next, const struct buf *out, struct err *err)
{
    const struct again *g = ctx;
    (void)file, (void)next;
    return g->put ? g->put(g->ctx, out, err) : 0;
}

static int again_round(void *ctx, const struct buf *const *out, int n, struct err *err)
{
    const struct again *g = ctx;
    return g->round ? g->round(g->ctx, out, n, err) : 0;
}

static int again_ended(void *ctx, const struct pass_file *f, struct err *err)
{
    const struct again *g = ctx;
    const struct file_end *e = &g->a->end[f->file];
    if (f->n_record == e->n_record && !strcmp(f->sha256, e->sha256))
        return 0;
    return f->why && f->why->code == ERR_IO ? (*err = *f->why).code : changed(&g->a->s->file[f->file], err);
}

static int again_progress(void *ctx, uint64_t bytes, struct err *err)
{
    const struct again *g = ctx;
    (void)bytes;
    return g->a->o->progress ? g->a->o->progress(g->a->o->ctx, g->a->s->n_bytes, NULL, err) : 0;
}

int audit_pass(const struct audit *a, int (*record)(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err),
               int (*put)(void *ctx, const struct buf *out, struct err *err), int (*round)(void *ctx, const struct buf *const *out, int n, struct err *err), void *ctx, struct err *err)
{
    struct again g = { a, record, put, round, ctx };
    const struct pass_opts o = { .pool = a->o->pool, .record_max = a->o->record_max, .ratio = a->o->ratio, .record = again_record, .put = again_put, .round = again_round, .ended = again_ended, .progress = again_progress, .ctx = &g };
    return pass_run(a->s, 0, 0, &o, err);
}
