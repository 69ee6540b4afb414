#include "audit/reader.h"
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/mem.h"
#include "data/csv.h"
#include "data/idx.h"
#include "data/text.h"

#define READ ((size_t)256 << 10)

struct reader {
    struct unpack *u;
    enum record_format format;
    size_t record_max;
    struct buf data;
    size_t begin, seen;          /* of data: the record that is next; looked at for its end */
    size_t given;                /* bytes of the record that the caller has */
    uint64_t at;                 /* of data's byte `begin`, in what the file holds */
    int64_t line;
    struct csv_cut cut;          /* where seen is */
    bool begun, ended;           /* the file */
    struct err fault;            /* told when the records before it were given */
    struct buf header;
    size_t image;                /* idx: bytes of each; how many are to come */
    int64_t n_image;
};

const char *record_format_name(enum record_format f)
{
    static const char *const words[] = {
#define X(name, word) word,
        RECORD_FORMATS(X)
#undef X
    };
    return f < N_RECORD_FORMAT ? words[f] : "?";
}

enum record_format record_format_find(const char *word)
{
    int f = 0;
    while (f < N_RECORD_FORMAT && strcmp(record_format_name((enum record_format)f), word))
        f++;
    return (enum record_format)f;
}

static bool ends(const char *path, size_t n, const char *with)
{
    const size_t m = strlen(with);
    return n > m && !strncasecmp(path + n - m, with, m);
}

enum record_format record_format_of(const char *path)
{
    static const struct { const char *ending; enum record_format f; } endings[] = {
        { ".jsonl", RECORD_JSONL }, { ".ndjson", RECORD_JSONL }, { ".csv", RECORD_CSV }, { ".tsv", RECORD_TSV }, { ".md", RECORD_MARKDOWN },
        { ".markdown", RECORD_MARKDOWN }, { ".html", RECORD_HTML }, { ".htm", RECORD_HTML }, { ".xhtml", RECORD_HTML },
        { ".png", RECORD_IMAGE }, { ".jpg", RECORD_IMAGE }, { ".jpeg", RECORD_IMAGE }, { "idx3-ubyte", RECORD_IDX }, { ".idx", RECORD_IDX },
    };
    size_t n = strlen(path);
    if (ends(path, n, ".gz") || ends(path, n, ".zst") || ends(path, n, ".bz2"))
        n = (size_t)(strrchr(path, '.') - path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends(path, n, endings[i].ending))
            return endings[i].f;
    return RECORD_TEXT;
}

int reader_open(struct reader **out, const char *path, const struct reader_opts *o, struct err *err)
{
    struct reader *r = mem_alloc_zero(sizeof *r);
    *out = NULL;
    if (!r)
        return ERR(err, NOMEM, "no memory to read '%s'", path);
    buf_init(&r->data);
    buf_init(&r->header);
    r->format = o->format, r->record_max = o->record_max ? o->record_max : RECORD_MAX, r->line = 1;
    const int rc = unpack_open(&r->u, path, o->ratio, err);
    if (rc < 0) {
        reader_free(r);
        return rc;
    }
    if (o->unhashed)
        unpack_without_sha256(r->u);
    *out = r;
    return 0;
}

void reader_free(struct reader *r)
{
    if (!r)
        return;
    unpack_free(r->u);
    buf_release(&r->data);
    buf_release(&r->header);
    mem_free(r);
}

const char *reader_header(const struct reader *r, size_t *n)
{
    *n = r->header.len;
    return r->header.data;
}

const struct unpack *reader_file(const struct reader *r) { return r->u; }
void reader_sha256(struct reader *r, char hex[SHA256_HEX]) { unpack_sha256(r->u, hex); }

/* ---- bytes ---- */

static const char *here(const struct reader *r) { return r->data.data + r->begin; }
static size_t left(const struct reader *r) { return r->data.len - r->begin; }

/* More of the file behind what is there; at its end, or where it is wrong, r->ended. */
static int more(struct reader *r, struct err *err)
{
    if (r->begin > left(r)) {
        memmove(r->data.data, here(r), left(r));
        r->data.len -= r->begin, r->seen -= r->begin, r->begin = 0;
    }
    TRY(buf_reserve(&r->data, READ, err));
    const int64_t n = unpack_read(r->u, r->data.data + r->data.len, READ, &r->fault);
    r->ended = n <= 0;
    r->data.len += n > 0 ? (size_t)n : 0;
    return 0;
}

/* Lets go of the first n bytes. */
static void drop(struct reader *r, size_t n)
{
    const char *p = here(r), *end = p + n;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))))
        p++, r->line++;
    r->at += n, r->begin += n;
    r->seen = r->seen > r->begin ? r->seen : r->begin;
}

/* ---- where records end: bytes from `begin` on, 0: not in what is there ---- */

static size_t line_end(struct reader *r)
{
    const char *from = r->data.data + r->seen, *nl = memchr(from, '\n', r->data.len - r->seen);
    r->seen = nl ? (size_t)(nl - r->data.data) + 1 : r->data.len;
    return nl ? r->seen - r->begin : 0;
}

/* Of a row, whose quoted fields may hold line ends. */
static size_t row_end(struct reader *r)
{
    const size_t n = csv_row_end(&r->cut, r->data.data + r->seen, r->data.len - r->seen);
    r->seen = n ? r->seen + n : r->data.len;
    return n ? r->seen - r->begin : 0;
}

/* Of a piece of a long text: at most n bytes, which are there and one more. */
static size_t piece_end(const char *p, size_t n)
{
    for (size_t i = n; i > n / 2; i--)
        if (p[i - 1] == '\n' && p[i - 2] == '\n')
            return i;
    for (size_t i = n; i > n / 2; i--)
        if (p[i - 1] == '\n')
            return i;
    size_t i = n;
    while (i > n - 4 && ((unsigned char)p[i] & 0xc0) == 0x80)      /* a character is not cut in two */
        i--;
    return i;
}

static size_t idx_part(const struct reader *r) { return r->header.len ? r->image : IDX_HEADER; }

static size_t record_end(struct reader *r)
{
    const size_t piece = r->record_max < RECORD_TEXT_PIECE ? r->record_max : RECORD_TEXT_PIECE;
    switch (r->format) {
    case RECORD_JSONL: return line_end(r);
    case RECORD_CSV: case RECORD_TSV: return row_end(r);
    case RECORD_IDX: return left(r) >= idx_part(r) ? idx_part(r) : 0;
    case RECORD_TEXT: return left(r) > piece ? piece_end(here(r), piece) : 0;
    default: return 0;           /* the file's */
    }
}

/* ---- records ---- */

/* The record that begins here is too long: passes over it.  n: how long it is. */
static int pass_over(struct reader *r, size_t *n, struct err *err)
{
    size_t end = 0;
    r->seen = r->begin, r->cut.in = CSV_BEGIN;       /* its end may be there, too far away */
    for (*n = 0; !end && (left(r) || !r->ended); *n += end ? end : left(r), drop(r, end ? end : left(r))) {
        if (!left(r))
            TRY(more(r, err));
        end = record_end(r);
    }
    return 0;
}

/* The mark (U+FEFF) that some programs write first is no part of a record. */
static int pass_over_mark(struct reader *r, struct err *err)
{
    while (left(r) < 3 && !r->ended)
        TRY(more(r, err));
    if (left(r) >= 3 && !memcmp(here(r), "\xef\xbb\xbf", 3))
        drop(r, 3);
    r->begun = true;
    return 0;
}

/* 1 and the bytes of the next record, whatever is in it; 0 at the end. */
static int next_bytes(struct reader *r, struct raw_record *out, struct err *err)
{
    size_t end = 0;
    drop(r, r->given);
    r->given = 0, r->cut.in = CSV_BEGIN;
    if (!r->begun)
        TRY(pass_over_mark(r, err));
    while (!(end = record_end(r)) && !r->ended && left(r) <= r->record_max)
        TRY(more(r, err));
    *out = (struct raw_record){ .at = r->at, .line = r->line };
    if (!end && r->ended)
        end = left(r);
    if (end <= r->record_max && (end || r->ended)) {
        out->data = here(r), out->n = r->given = end;
        return end > 0;
    }
    TRY(pass_over(r, &out->n, err));
    return 1;
}

static bool of_rows(const struct reader *r) { return r->format == RECORD_CSV || r->format == RECORD_TSV; }
static bool may_be_blank(const struct reader *r) { return r->format == RECORD_JSONL || of_rows(r); }

static int take_header(struct reader *r, const struct raw_record *raw, struct err *err)
{
    int size[2];
    if (!raw->data)
        return ERR(err, FORMAT, "the header has %zu bytes, expected at most %zu", raw->n, r->record_max);
    if (r->format == RECORD_IDX) {
        TRY(idx_images(raw->data, raw->n, &r->n_image, size, err));
        r->image = (size_t)size[0] * (size_t)size[1];
    }
    r->cut.separator = r->cut.separator ? r->cut.separator : CSV_SEPARATOR;
    return buf_add(&r->header, raw->data, raw->n, err);
}

/* Whether an array of images has as many as its header says. */
static int at_end(const struct reader *r, struct err *err)
{
    if (r->format != RECORD_IDX || (r->header.len && !r->n_image))
        return 0;
    return r->header.len ? ERR(err, FORMAT, "it ends %lld images before what its header says", (long long)r->n_image) : ERR(err, FORMAT, "it has no header of an array of images");
}

/* A file that breaks off tells so behind its whole records: what it broke off in is none of these. */
int reader_next(struct reader *r, struct raw_record *out, struct err *err)
{
    for (;;) {
        const int rc = next_bytes(r, out, err);
        if (rc < 0)
            return rc;
        if (r->ended && r->fault.code && (!rc || r->begin + out->n == r->data.len))
            return err ? (*err = r->fault).code : r->fault.code;
        if (!rc)
            return at_end(r, err);
        if (may_be_blank(r) && out->data && text_is_blank(out->data, out->n))
            continue;
        if (r->format == RECORD_IDX && r->header.len && !r->n_image--)
            return ERR(err, FORMAT, "it goes on behind the last image that its header tells of");
        if ((!of_rows(r) && r->format != RECORD_IDX) || r->header.len)
            return 1;
        TRY(take_header(r, out, err));
    }
}
