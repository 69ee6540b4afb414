/* program.h - this program run again, beside a server and behind it: what serve/ may not call itself it has another process do, whose words are files.
 *
 * Whoever starts the server gives the function (cmd/serve_program). */
#ifndef SERVE_PROGRAM_H
#define SERVE_PROGRAM_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct server_program {
    const char *folder;                  /* that it works in */
    char *const *argv;                   /* ends with NULL */
    const char *out, *log;               /* names in the folder: what it prints, and what it says */
    const char *actor;                   /* in whose name it acts; NULL: nobody's */
    atomic_bool *stop;                   /* set, it is to end soon */
    double seconds_most;                 /* 0: any */
    uint64_t bytes_most;                 /* of each file that it writes; 0: any */
};
/* code: as it ended, 128 and more: by a signal.  ERR_STOPPED: it took longer than it may, and was ended. */
typedef int server_program_run(void *ctx, const struct server_program *p, int *code, struct err *err);

/* The last thing that a program said before it failed, without its name in front; false: nothing. */
bool server_program_last_words(const char *folder, const char *log, char *out, size_t n);

#endif
