/* csv.h - comma-separated values (RFC 4180): a header line, then a row of fields on each line.
 *
 * A field may stand in double quotes, and then holds separators, line ends and "" for a quote.  What separates (comma, tab or
 * semicolon) is what follows the first field of the header.  Lines end with LF or CRLF; empty lines are left out. */
#ifndef DATA_CSV_H
#define DATA_CSV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define CSV_FIELDS_MAX 1024
struct csv {
    const char *at, *end, *name;     /* name leads the messages */
    char separator;
    int64_t line;                    /* of the row that was read last, from 1; next_line: of what follows it */
    int64_t next_line;
    int n;                           /* fields of the header */
    struct buf text;                 /* of the row's fields, each with a NUL behind it */
    struct buf header;               /* the same of the header */
    size_t field[CSV_FIELDS_MAX + 1], head[CSV_FIELDS_MAX + 1];      /* where they begin */
};

/* Where a row ends, by the rule that csv_next() reads by, in a file that comes in pieces.  {0} before the header, which tells what separates; where it has
 * not, that is CSV_SEPARATOR, which the caller sets.  in: back to CSV_BEGIN where a row begins. */
#define CSV_SEPARATOR ','
struct csv_cut { char separator; enum { CSV_BEGIN, CSV_PLAIN, CSV_QUOTED, CSV_CLOSED, CSV_BROKEN } in; };
/* Bytes of the n that are the row's, its line end with them; 0: it goes on behind them. */
size_t csv_row_end(struct csv_cut *c, const char *p, size_t n);

bool csv_named(const char *path);                                    /* .csv or .tsv */
/* Reads the header.  text must live on.  csv_release in any case. */
int csv_open(struct csv *c, const char *text, size_t n, const char *name, struct err *err);
/* 1 and the fields of the next row, 0 at the end.  A row of another number of fields is ERR_FORMAT, like a quote that never ends;
 * one may go on behind such a row. */
int csv_next(struct csv *c, struct err *err);
const char *csv_field(const struct csv *c, int i, size_t *n);        /* of the row, 0 <= i < c->n */
int csv_find(const struct csv *c, const char *name);                 /* the column of that name, or -1 */
void csv_release(struct csv *c);

#endif
