/* planner.h - what a model takes on which devices, and what that costs, over HTTP: the answers of `lathe plan`, which the page's view "Plan" shows.
 *
 *   GET  /lathe/plan    { devices: lathe plan --devices --json, models: lathe plan --models --json, recorded: is there a record of what was asked }
 *   POST /lathe/plan    planner_ask.h: what lathe plan --json prints, with `said`, what it warned of
 *
 * Nothing here computes: this program is run again (program.h), with arguments that are made of the request's fields, in a folder of its own, which goes with the request, where nothing but a
 * configuration that came with it lies.  One at a time, by a thread of its own, at the lowest priority, for PLANNER_SECONDS at most and PLANNER_BYTES of answer; a client that goes ends it.  What the program
 * refuses is told in its own words (400).
 *
 * Who may: as of reading releases (visit_look()). */
#ifndef SERVE_PLANNER_H
#define SERVE_PLANNER_H
#include "serve/exchange.h"
#include "serve/program.h"

#define PLANNER_SECONDS 60.0
#define PLANNER_BYTES ((size_t)8 << 20)
#define PLANNER_BODY ((size_t)256 << 10)     /* of a request */

struct planner_opts {
    server_program_run *run; void *run_ctx;
    /* The files of a model that is served here, as a path that holds wherever one is; false: there is none of this name. */
    bool (*served)(void *ctx, const char *name, char *path, size_t n); void *served_ctx;
    const char *recorded;                    /* where answers are recorded, a place that holds wherever one is, or NULL; copied */
    void (*wake)(void *ctx); void *ctx;      /* a reply was given */
};
struct planner;
int planner_open(struct planner **out, const struct planner_opts *o, struct err *err);
void planner_halt(struct planner *p);        /* ends what runs; what waits is refused; NULL is fine, here and below */
void planner_close(struct planner *p);
/* p NULL: no plans are made here, which is said.  The request has its visit. */
void planner_answer(struct planner *p, struct http_request *q, const struct dialect *d);

#endif
