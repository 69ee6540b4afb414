/* child.h - this program run again for a stage: its results to a file, its talk to a log and on; or left to itself.
 *
 * Ended by this process's end (SIGTERM), but for one that was left to itself.  One thread; no other thread may be running. */
#ifndef CMD_CHILD_H
#define CMD_CHILD_H
#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"

/* argv: NULL-terminated.  result is replaced when the program ended with 0 or 3, log is begun anew unless `on`, where it is gone on with.  show: stderr is shown too.  SIGTERM and SIGINT that
 * come are passed on once.  *code: its exit code, or 128 and the signal that ended it. */
int child_run(char *const *argv, const char *result, const char *log, bool on, bool show, int *code, struct err *err);

/* A process that goes on: who it is, so that another with its number is not taken for it. */
struct child_id { pid_t pid; long long born; };
/* Until the file `ready` is there; it is removed before.  ERR_IO where it ends first, with its exit code; ERR_STOPPED on a signal, and then it is ended. */
int child_start(char *const *argv, const char *log, const char *ready, struct child_id *out, struct err *err);
bool child_lives(const struct child_id *id);
/* SIGTERM, and waits until it is gone, a minute at most: ERR_BUSY. */
int child_end(const struct child_id *id, struct err *err);
#endif
