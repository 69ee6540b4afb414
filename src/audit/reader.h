/* reader.h - a file of records, cut into them: one behind the other, in bounded memory, whatever the file holds.
 *
 *   text                   the file; over 1 MiB it is cut, at the last blank line of each MiB, else line, else character
 *   markdown, html         the file
 *   jsonl                  each line that is not blank
 *   csv, tsv               each row below the header (csv.h); quoted fields may hold line ends
 *   image                  the file, a PNG or JPEG one
 *   idx                    each image of an array of them (MNIST's form, idx.h)
 * Cutting is cheap and one thread's; what a record's text is, is found later (extract.h), by many.  A record of more than record_max bytes
 * is passed over and told as such.  A file that breaks off, or whose packing is wrong, gives what came before it, and then the error. */
#ifndef AUDIT_READER_H
#define AUDIT_READER_H
#include <stdbool.h>
#include "data/unpack.h"

#define RECORD_FORMATS(X) X(TEXT, "text") X(MARKDOWN, "markdown") X(HTML, "html") X(JSONL, "jsonl") X(CSV, "csv") X(TSV, "tsv") X(IMAGE, "image") X(IDX, "idx")
enum record_format {
#define X(name, word) RECORD_##name,
    RECORD_FORMATS(X)
#undef X
    N_RECORD_FORMAT
};
const char *record_format_name(enum record_format f);
enum record_format record_format_find(const char *word);     /* N_RECORD_FORMAT when there is none */
/* By the name, without .gz, .zst and .bz2; a name that tells nothing is a text's. */
enum record_format record_format_of(const char *path);

#define RECORD_MAX ((size_t)16 << 20)
#define RECORD_TEXT_PIECE ((size_t)1 << 20)

/* 0: RECORD_MAX, UNPACK_RATIO; unhashed: reader_sha256() is not asked for. */
struct reader_opts { enum record_format format; size_t record_max; double ratio; bool unhashed; };
/* data: borrowed until the next call, NULL when it was longer than record_max (n says how long).  at: byte in what the file holds; line: from 1. */
struct raw_record { const char *data; size_t n; uint64_t at; int64_t line; };

struct reader;
/* path is borrowed. */
int reader_open(struct reader **out, const char *path, const struct reader_opts *o, struct err *err);
void reader_free(struct reader *r);
int reader_next(struct reader *r, struct raw_record *out, struct err *err);      /* 1, 0 at the end, or an error that ends the file */
/* Of csv, tsv and idx, after the first record: the header as it stands in the file. */
const char *reader_header(const struct reader *r, size_t *n);
const struct unpack *reader_file(const struct reader *r);
void reader_sha256(struct reader *r, char hex[SHA256_HEX]);                      /* of the file; once */

#endif
