/* events_copy.h - what was recorded of answers as lines of JSON, and tables out of such lines: for backups, of either database into either.
 *
 *   {"events":1,"key":HEX,"texts":true}                 the first; the key of the names (events.h): who has it and a name finds the name's rows, so the file is for its owner alone
 *   {"answer":[...]}                                     a row's columns, in the order of events_impl.h
 *   {"feedback":[...]}, {"text":[...]}                   comments and texts only where the first line says so
 * Rows come by their ids, so that the same tables give the same bytes. */
#ifndef STORE_EVENTS_COPY_H
#define STORE_EVENTS_COPY_H
#include "store/events.h"

struct events_count { int64_t answers, feedback, texts; };
/* In a transaction that reads (db_begin_read): each gets every line with its newline.  ERR_CORRUPT: a column holds what it cannot. */
int events_dump(struct events *e, bool texts, int (*each)(void *ctx, const char *line, size_t n, struct err *err), void *ctx, struct events_count *n, struct err *err);

/* Lines one after the other, without their newlines.  Nothing is written where `where` is NULL; else in one transaction, which events_load_end() commits: rows that are there stay as
 * they are, and texts whose time is over are passed over.  ERR_USAGE: names there are under another key; ERR_FORMAT, ERR_UNSUPPORTED (of a newer program): what is wrong with a line. */
struct events_load { const char *where; struct events *e; struct events_count n; int64_t line; };      /* where: events_open()'s, made where it is not there; borrowed */
int events_load_line(struct events_load *l, const char *line, size_t n, struct err *err);
int events_load_end(struct events_load *l, int rc, struct err *err);      /* rc of the last line: where it is an error nothing was written, and it is given back */
#endif
