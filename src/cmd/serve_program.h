/* serve_program.h - this program run again, beside the server and behind it: for the workshop (serve/workshop.h) and for plans (serve/planner.h). */
#ifndef CMD_SERVE_PROGRAM_H
#define CMD_SERVE_PROGRAM_H
#include "serve/program.h"

/* Runs `lathe` with words in a folder and waits for its end: results to out, talk to log, both begun anew; LATHE_ACTOR is actor.  It has the lowest priority that there is, so that
 * it computes with what a server leaves; it is told to end (SIGTERM) when *stop is set, when its time is over, or when this process goes; one that has a limit of time is ended two
 * seconds later. */
int serve_program_run(void *ctx, const struct server_program *p, int *code, struct err *err);
#endif
