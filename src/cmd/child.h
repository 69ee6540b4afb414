/* child.h - this program run again for a stage: its results to a file, its talk to a log and on; or left to itself.
 *
 * Ended by this process's end (SIGTERM), but for one that was left to itself.  One thread; no other thread may be running. */
#ifndef CMD_CHILD_H
#define CMD_CHILD_H
#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"

/* A process: who it is, so that another with its number is not taken for it. */
struct child_id { pid_t pid; long long born; };
/* Called with the process before its program begins; where it fails, or this process ends meanwhile, none begins. */
typedef int child_known(void *ctx, const struct child_id *id, struct err *err);

/* argv: NULL-terminated.  result is replaced when the program ended with 0 or 3, log is begun anew unless `on`, where it is gone on with.  show: stderr is shown too.  It is in a process
 * group of its own, so that a terminal's signals come to it through this process alone: SIGTERM, once.  *code: its exit code, or 128 and the signal that ended it. */
struct child_wish { char *const *argv; const char *log; bool on, show; child_known *known; void *ctx; };
int child_run(const struct child_wish *w, const char *result, int *code, struct err *err);

/* One that goes on: until the file `ready` is there; it is removed before.  ERR_IO where it ends first, with its exit code; ERR_STOPPED on a signal, and then it is ended. */
int child_start(const struct child_wish *w, const char *ready, struct child_id *out, struct err *err);
struct child_id child_self(void);
bool child_lives(const struct child_id *id);
/* Waits until it is gone, a minute at most: ERR_BUSY.  tell: after SIGTERM. */
int child_end(const struct child_id *id, bool tell, struct err *err);
#endif
