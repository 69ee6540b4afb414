/* task_rows.h - the bytes of a file as documents: rows of JSON, CSV and TSV, and of the data sets that have a form of their own.  Internal to eval/. */
#ifndef EVAL_TASK_ROWS_H
#define EVAL_TASK_ROWS_H
#include "eval/task_impl.h"

enum rows_reader { ROWS_plain, ROWS_hellaswag, ROWS_piqa, ROWS_arc, ROWS_mmlu, ROWS_truthfulqa, ROWS_clinc, ROWS_polarity, ROWS_bbq, N_ROWS };
struct rows {
    struct docs *out;
    int i_file;
    enum rows_reader reader;
    const char *name, *split;            /* of the file; as the task names it */
    const json_t *columns;               /* names of a CSV without a header, or NULL */
    int i_part;                          /* polarity: 0 for the positive file */
};
/* Appends the documents of a file.  One that is wrong (a line that is no JSON) is there as a string that says why. */
int rows_add(const struct rows *r, const char *text, size_t n, struct err *err);
/* PIQA's labels, a line each, as `label` of documents that have none. */
int rows_add_labels(struct docs *d, const char *text, size_t n, const char *name, struct err *err);
/* The name without what says that it is packed. */
size_t rows_name_length(const char *name);
#endif
