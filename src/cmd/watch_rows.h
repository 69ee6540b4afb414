/* watch_rows.h - events out of a file, for lathe watch: rows of CSV (its columns), or lines of JSON objects (their members).
 *
 * An empty field, NaN, NA or null, a JSON null and a member that is not there are missing.  An array of numbers is a vector.
 * A header with a name twice is ERR_FORMAT.  Internal to cmd/. */
#ifndef CMD_WATCH_ROWS_H
#define CMD_WATCH_ROWS_H
#include <jansson.h>
#include "base/file.h"
#include "data/csv.h"
#include "watch/reference.h"

struct watch_rows {
    const char *path;
    struct file_map map;
    bool is_csv;
    struct csv csv;
    const char *at;                      /* of JSON lines */
    int64_t line, n;                     /* of the row that was read last, from 1; rows read */
    int64_t one_of;                      /* watch_rows_next() gives the first of each so many, 1 unless it is changed */
    json_t *row;
};
/* Where the values of one signal are kept: zeroed before the first, watch_slot_release in any case. */
struct watch_slot { struct buf text; float *vector; int cap_vector; };
int watch_rows_open(struct watch_rows *w, const char *path, struct err *err);
int watch_rows_next(struct watch_rows *w, struct err *err);            /* 1: a row, 0: the end */
/* The value of a signal in this row; good until the slot's next, or the next row. */
int watch_rows_value(struct watch_rows *w, const char *name, enum watch_kind kind, int dim, struct watch_slot *slot, struct watch_value *out, struct err *err);
void watch_slot_release(struct watch_slot *s);
void watch_rows_close(struct watch_rows *w);                           /* a zeroed one too */

/* The columns of a file and what they look like. */
struct watch_column {
    char name[WATCH_NAME + 1];
    int64_t n_number, n_text, n_missing, n_vector, n_distinct;
    int dim;                             /* of all its vectors; -1: they differ */
    bool counts_up;                      /* each number is larger than the one before */
    double first, last, sum, sum2, sum_pair;         /* of numbers minus the first; of products of neighbours */
    uint64_t *seen; int n_seen;          /* hashes of its texts */
};
struct watch_columns { struct watch_column *column; int n, cap; int64_t n_row; };
int watch_columns_read(struct watch_columns *c, const char *path, int64_t one_of, struct err *err);
int watch_columns_find(const struct watch_columns *c, const char *name);      /* -1: none */
void watch_columns_release(struct watch_columns *c);
/* What kind of signal a column is, or -1 and why it is none. */
int watch_columns_kind(const struct watch_columns *c, int i, const char **why);

/* How much a number is like the one before: their correlation; 0 where it may be chance (within 4 / sqrt(n)). */
double watch_columns_lag(const struct watch_column *k);

#endif
