/* serve_workshop.h - this program run again for the workshop (serve/workshop.h), beside the server and behind it. */
#ifndef CMD_SERVE_WORKSHOP_H
#define CMD_SERVE_WORKSHOP_H
#include "serve/workshop.h"

/* Runs `lathe` with words in a folder and waits for its end: results to out, talk to log, both begun anew; LATHE_ACTOR is actor.  It has the lowest priority that there is, so that
 * it computes with what a server leaves; it is ended (SIGTERM) when *stop is set, or when this process goes. */
int serve_workshop_run(void *ctx, const struct workshop_program *p, int *code, struct err *err);
#endif
