/* workshop_table.h - what a file of records looks like, for someone who is to say which column is which. */
#ifndef SERVE_WORKSHOP_TABLE_H
#define SERVE_WORKSHOP_TABLE_H
#include <jansson.h>
#include <stdbool.h>
#include "base/err.h"

#define TABLE_LOOK ((size_t)1 << 20)     /* bytes of its beginning that are looked at */
#define TABLE_ROWS 5                     /* that are shown */
#define TABLE_VALUES 50                  /* different ones of a column that are counted */
#define TABLE_COLUMNS 40
#define TABLE_CELL 200                   /* bytes of a value that are shown */

/* { file, rows: looked at, whole: whether that is all of them, columns: [{ name, values: how many different ones, more: there are TABLE_VALUES or more, numbers, length: mean bytes }],
 *   first: [[text, ..], ..], fault: what is wrong with it, where something is }
 * A file of JSON lines has the members of its first object that are texts or numbers as columns.  path: where it lies, name: what it is called.  What is wrong with the file is told in fault and is no error. */
int workshop_table(const char *path, const char *name, json_t **out, struct err *err);
/* The same of bytes; whole: they are the whole file. */
int workshop_table_of(const char *text, size_t n, bool whole, const char *name, json_t **out, struct err *err);
#endif
