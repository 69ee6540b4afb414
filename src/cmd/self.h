/* self.h - this program run again, in a process of its own: what it prints, and how much memory it took. */
#ifndef CMD_SELF_H
#define CMD_SELF_H
#include "base/buf.h"

/* argv: NULL-terminated, argv[0] a name for it.  Its standard output is appended to out, its standard error is ours.  *peak_bytes (NULL: not wanted):
 * the largest
 * resident memory of the process, mapped files among it, looked at every 10 ms.  ERR_STOPPED where it ended with exit code 4,
 * ERR_IO for every other but 0, and for signals. */
int self_run(const char *const *argv, struct buf *out, double *peak_bytes, struct err *err);
#endif
