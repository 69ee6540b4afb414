#include "audit/pass.h"
#include <string.h>
#include "base/mem.h"

#define BLOCK ((size_t)1 << 20)
#define BLOCKS_OF_A_THREAD 2
#define BLOCKS_MIN 16            /* of a round: threads wait for each other at its end */
#define ROUND_BLOCKS_MAX 1024    /* of small files */

struct place { size_t from, n; uint64_t at; int64_t line; bool too_long; };

struct block {
    int file;
    struct buf raw;              /* the records' bytes */
    struct buf header;           /* of csv and tsv */
    struct place *place; int n, cap;
    int64_t first;               /* number of its first record in the file */
    bool last;                   /* the file ends with it */
    struct pass_file end;
    struct err fault;            /* why, before its end */
    struct buf out;
    struct err err;              /* of the work on it */
};

struct round { struct block *block; int n; uint64_t bytes; };

struct pass {
    const struct sources *s;
    const struct pass_opts *o;
    struct round round[2];
    size_t round_bytes;
    struct round *now, *next;    /* worked on, and read */
    /* reading */
    int next_file;
    struct reader *reader;
    int64_t number, skip;        /* records of the file that were taken; that are passed over */
    uint64_t taken;              /* bytes of the files before this one */
    struct err err;              /* of reading: no memory */
};

/* ---- reading ---- */

static int add_record(struct block *b, const struct raw_record *raw, struct err *err)
{
    if (b->n == b->cap) {
        const int cap = b->cap ? 2 * b->cap : 256;
        struct place *more = mem_realloc_array(b->place, (size_t)cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for a block of records");
        b->place = more, b->cap = cap;
    }
    b->place[b->n++] = (struct place){ b->raw.len, raw->n, raw->at, raw->line, !raw->data };
    return raw->data ? buf_add(&b->raw, raw->data, raw->n, err) : 0;
}

static int end_file(struct pass *p, struct block *b, const struct err *fault)
{
    b->last = true;
    b->end = (struct pass_file){ .file = b->file, .n_record = p->number };
    if (fault)
        b->fault = *fault, b->end.why = &b->fault;
    if (p->reader)
        reader_sha256(p->reader, b->end.sha256);
    p->taken += p->s->file[p->next_file].bytes;
    reader_free(p->reader);
    p->reader = NULL, p->number = p->skip = 0;
    p->next_file++;
    return 0;
}

/* Whether records can be read at all. */
static int check_header(const struct pass *p, const struct block *b, struct err *fault)
{
    const struct source_file *f = &p->s->file[b->file];
    struct extract x;
    extract_init(&x, f->format, &p->s->source[f->source]);
    const int rc = b->header.len ? extract_header(&x, b->header.data, b->header.len, f->path, fault) : 0;
    extract_release(&x);
    return rc;
}

/* The records before the first one that is wanted. */
static int pass_over(struct pass *p, struct err *fault)
{
    struct raw_record raw;
    int rc = 1;
    for (; p->number < p->skip && rc > 0; p->number += rc > 0)
        rc = reader_next(p->reader, &raw, fault);
    return rc < 0 ? rc : 0;
}

/* Records of one file, up to a block's bytes or the file's end. */
static int read_block(struct pass *p, struct block *b, struct err *err)
{
    const struct source_file *f = &p->s->file[p->next_file];
    const struct reader_opts o = { .format = f->format, .record_max = p->o->record_max, .ratio = p->o->ratio };
    struct err fault = { 0 };
    b->file = p->next_file, b->n = 0, b->first = 0, b->last = false, b->fault = (struct err){ 0 };
    buf_clear(&b->raw);
    buf_clear(&b->header);
    if (f->why) {
        (void)ERR(&fault, FORMAT, "%s", f->why);
        return end_file(p, b, &fault);
    }
    if (!p->reader && reader_open(&p->reader, f->path, &o, &fault) < 0)
        return fault.code == ERR_NOMEM ? (*err = fault).code : end_file(p, b, &fault);
    if (pass_over(p, &fault))
        return fault.code == ERR_NOMEM ? (*err = fault).code : end_file(p, b, &fault);
    b->first = p->number;
    while (b->raw.len < BLOCK && b->n < (int)(BLOCK / 8)) {
        struct raw_record raw;
        const int rc = reader_next(p->reader, &raw, &fault);
        if (rc == ERR_NOMEM)
            return (*err = fault).code;
        if (rc <= 0)
            return end_file(p, b, rc < 0 ? &fault : NULL);
        if (!b->n) {
            size_t n;
            const char *header = reader_header(p->reader, &n);
            TRY(buf_add(&b->header, header, n, err));
            if (!p->number && check_header(p, b, &fault) < 0)
                return fault.code == ERR_NOMEM ? (*err = fault).code : end_file(p, b, &fault);
        }
        TRY(add_record(b, &raw, err));
        p->number++;
    }
    return 0;
}

static int read_round(struct pass *p, struct round *r, struct err *err)
{
    size_t bytes = 0;
    for (r->n = 0; r->n < ROUND_BLOCKS_MAX && bytes < p->round_bytes && p->next_file < p->s->n_file; r->n++) {
        struct block *b = &r->block[r->n];
        TRY(read_block(p, b, err));
        bytes += b->raw.len;
    }
    r->bytes = p->taken + (p->reader ? unpack_packed(reader_file(p->reader)) : 0);
    return 0;
}

/* ---- work ---- */

static int work_on_record(const struct pass *p, struct block *b, struct extract *x, int i, int i_thread, struct err *err)
{
    const struct place *at = &b->place[i];
    const struct raw_record raw = { at->too_long ? NULL : b->raw.data + at->from, at->n, at->at, at->line };
    struct err why = { 0 };
    struct pass_record r = { .number = b->first + i, .at = at->at, .line = at->line, .raw_bytes = at->n, .x = x };
    r.fault = extract_text(x, &raw, &r.text, &r.n, &why);
    if (why.code == ERR_NOMEM)
        return (*err = why).code;
    if (r.fault)
        r.text = NULL, r.n = 0, r.why = why.msg;
    return p->o->record(p->o->ctx, b->file, &r, &b->out, i_thread, err);
}

static int work_on_block(const struct pass *p, struct block *b, int i_thread, struct err *err)
{
    const struct source_file *f = &p->s->file[b->file];
    struct extract x;
    int rc = 0;
    buf_clear(&b->out);
    extract_init(&x, f->format, &p->s->source[f->source]);
    if (b->n && b->header.len)
        rc = extract_header(&x, b->header.data, b->header.len, f->path, err);
    for (int i = 0; i < b->n && !rc; i++)
        rc = work_on_record(p, b, &x, i, i_thread, err);
    extract_release(&x);
    return rc;
}

/* Item 0 reads the next round, which takes one thread's time but not the others'. */
static void one_item(void *ctx, int i, int i_thread)
{
    struct pass *p = ctx;
    if (i)
        (void)work_on_block(p, &p->now->block[i - 1], i_thread, &p->now->block[i - 1].err);
    else
        (void)read_round(p, p->next, &p->err);
}

/* ---- the pass ---- */

static int put_round(const struct pass *p, const struct round *r, struct err *err)
{
    const struct buf *all[ROUND_BLOCKS_MAX];
    for (int i = 0; i < r->n; i++) {
        struct block *b = &r->block[i];
        if (b->err.code)
            return (*err = b->err).code;
        TRY(p->o->put(p->o->ctx, b->file, b->first + b->n, &b->out, err));
        if (b->last)
            TRY(p->o->ended(p->o->ctx, &b->end, err));
        all[i] = &b->out;
    }
    if (p->o->round)
        TRY(p->o->round(p->o->ctx, all, r->n, err));
    return p->o->progress ? p->o->progress(p->o->ctx, r->bytes, err) : 0;
}

static int run(struct pass *p, struct err *err)
{
    TRY(read_round(p, p->now, err));
    while (p->now->n) {
        for (int i = 0; i < p->now->n; i++)
            p->now->block[i].err = (struct err){ 0 };
        pool_for(p->o->pool, p->now->n + 1, one_item, p);
        TRY(put_round(p, p->now, err));
        if (p->err.code)
            return (*err = p->err).code;
        struct round *done = p->now;
        p->now = p->next, p->next = done;
    }
    return 0;
}

static int set_up(struct pass *p, struct err *err)
{
    for (int k = 0; k < 2; k++) {
        struct round *r = &p->round[k];
        if (!(r->block = mem_alloc_array(ROUND_BLOCKS_MAX, sizeof *r->block)))
            return ERR(err, NOMEM, "no memory for %d blocks of records", ROUND_BLOCKS_MAX);
        for (int i = 0; i < ROUND_BLOCKS_MAX; i++) {
            buf_init(&r->block[i].raw);
            buf_init(&r->block[i].header);
            buf_init(&r->block[i].out);
        }
    }
    p->now = &p->round[0], p->next = &p->round[1];
    return 0;
}

int pass_run(const struct sources *s, int file, int64_t record, const struct pass_opts *o, struct err *err)
{
    const size_t n_block = (size_t)pool_n_thread(o->pool) * BLOCKS_OF_A_THREAD;
    struct pass p = { .s = s, .o = o, .round_bytes = (n_block < BLOCKS_MIN ? BLOCKS_MIN : n_block) * BLOCK, .next_file = file, .skip = record };
    for (int i = 0; i < file; i++)
        p.taken += s->file[i].bytes;
    int rc = set_up(&p, err);
    rc = rc ? rc : run(&p, err);
    reader_free(p.reader);
    for (int k = 0; k < 2; k++)
        for (int i = 0; p.round[k].block && i < ROUND_BLOCKS_MAX; i++) {
            struct block *b = &p.round[k].block[i];
            buf_release(&b->raw);
            buf_release(&b->header);
            buf_release(&b->out);
            mem_free(b->place);
        }
    mem_free(p.round[0].block);
    mem_free(p.round[1].block);
    return rc;
}
