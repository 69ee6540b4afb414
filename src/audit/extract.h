/* extract.h - what a record's text is: of a raw record of a file (reader.h) the characters that somebody reads.
 *
 *   text, markdown         the bytes
 *   html                   what a reader sees of it (html_visible.h)
 *   jsonl                  the string in `field`; a list there is a chat (chat_text.h), and without a `text`, messages or conversations are
 *   csv, tsv               the column `field`
 *   image, idx             none: the image itself
 *                          and the label that stands at its place in the file of labels beside it (source.h), as a number
 * and beside it its marks (source.h), where the source names fields for them: a string's characters, a number or word as it stands.
 * A record that has none is a fault with a sentence, not an error: it is counted, and the others go on.  One thread each. */
#ifndef AUDIT_EXTRACT_H
#define AUDIT_EXTRACT_H
#include "audit/chat_text.h"
#include "audit/source.h"
#include "base/buf.h"
#include "data/csv.h"
#include "data/idx.h"
#include "data/image.h"

/* Why a record was not read, by the word in reports. */
#define RECORD_FAULTS(X) \
    X(NONE, "none") X(TOO_LONG, "too_long") X(BAD_JSON, "bad_json") X(BAD_ROW, "bad_row") X(NO_FIELD, "no_field") X(NOT_UTF8, "not_utf8") X(EMPTY, "empty") X(BAD_IMAGE, "bad_image")
enum record_fault {
#define X(name, word) EXTRACT_##name,
    RECORD_FAULTS(X)
#undef X
    N_RECORD_FAULT
};
const char *record_fault_word(enum record_fault f);

struct extract {
    enum record_format format;
    const char *field, *mark_field[N_MARK];      /* the marks': NULL for none */
    struct csv csv;              /* csv and tsv: the header, read once a file */
    int column, mark_column[N_MARK];
    struct buf text, mark_text[N_MARK];
    struct chat_text chat;       /* of the record, where it is one; its pieces are of raw */
    bool is_chat; const char *raw; size_t n_raw;     /* the object, without white space around it: borrowed like the text */
    struct image image;          /* of the record, where it is one; pixels NULL: none */
    int size[2];                 /* idx: rows and columns */
    struct idx labels;           /* of its images, rank 0: none */
    struct { const char *p; size_t n; } mark[N_MARK];        /* of the record: borrowed like its text; n 0: none */
};
/* By a source's fields, which are borrowed; s NULL: "text", without marks.  extract_release in any case. */
void extract_init(struct extract *x, enum record_format format, const struct source *s);
/* Of csv, tsv and idx, before a file's first record: the header.  ERR_FORMAT where it is none or has no such column. */
int extract_header(struct extract *x, const char *header, size_t n, const char *path, struct err *err);
/* EXTRACT_NONE and the text, borrowed until the next call; else why says what is wrong; its code is ERR_NOMEM
 * where there was no memory to see. */
enum record_fault extract_text(struct extract *x, const struct raw_record *raw, const char **text, size_t *n, struct err *why);
void extract_release(struct extract *x);

#endif
