/* audit.h - a log of requests, a line of JSON each, in which a line that is changed or missing shows.
 *
 *     {"seq":2,"prev":"<SHA-256 of the line before, without its end>",<members>}
 *
 * Lines are written by a thread of the log's own, so that a slow disk keeps nobody waiting.  What a disk does not take waits in memory and
 * is tried again each second; where more than AUDIT_WAIT bytes wait further lines are lost, which the next line that is written says
 * ("lost": how many).  The chain goes on in a new file after audit_reopen() and in the old one after a restart; a torn last line is cut off.
 * Lines are not flushed to the disk one by one: a power cut may take the last ones, a killed process takes only what still waits. */
#ifndef SERVE_AUDIT_H
#define SERVE_AUDIT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define AUDIT_WAIT ((size_t)8 << 20)

struct audit;
/* A file that is there must be such a log (ERR_FORMAT; nothing of it is changed then), and no other program may write it (ERR_BUSY). */
int audit_open(struct audit **out, const char *path, struct err *err);
void audit_close(struct audit *a);                   /* tries once more to write what waits */
/* Any thread: members of a line, as JSON without line ends. */
void audit_add(struct audit *a, const char *members, size_t n);
void audit_reopen(struct audit *a);                  /* soon: the file has been moved away; what waits is tried at once */
bool audit_works(struct audit *a);                   /* the last line could be written */
struct audit_counts { uint64_t n_written, n_lost; };
struct audit_counts audit_counts(struct audit *a);

/* Lines of the file whose "time" is on the day of `now` and that have a "key": what was charged to it. */
typedef void (*audit_charge)(void *ctx, const char *key, int64_t requests, int64_t tokens);
int audit_day(const char *path, double now, audit_charge each, void *ctx, struct err *err);
/* 2026-11-26T07:10:11.123Z */
void audit_time(char out[32], double seconds);
#endif
