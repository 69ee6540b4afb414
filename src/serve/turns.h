/* turns.h - work that is no text of a batch, piece by piece by one thread: whoever waits gets a piece in turn, so that a request of
 * two thousand inputs does not keep one of a single input waiting for all of them.  First the tenants take turns, then the requests of one: a
 * hundred requests of one key do not keep the first one of another waiting (start-time fair queueing with pieces of equal cost, Goyal, Vin
 * and Cheng, SIGCOMM 1996). */
#ifndef SERVE_TURNS_H
#define SERVE_TURNS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct machine;
struct turns;
/* The caller's, until piece() has said that nothing is left.  stop: nothing more is wanted, so this is the last call. */
struct turn {
    bool (*piece)(void *ctx, bool stop); void *ctx;
    int tenant;                          /* visit_tenant(); 0: nobody's */
    struct turn *next; uint64_t round;   /* of turns.c */
};

/* machine: taken for each piece (machine.h).  after: called by the thread after a piece; it may be NULL. */
int turns_new(struct turns **out, int n_max, struct machine *machine, void (*after)(void *ctx), void *ctx, struct err *err);
void turns_free(struct turns *t);
/* ERR_BUSY: n_max wait already, or as many of the tenant's as places are left; ERR_STOPPED: turns_halt() was called.  piece() may be called before it returns. */
int turns_add(struct turns *t, struct turn *w, struct err *err);
int turns_count(struct turns *t);        /* those that are not done */
void turns_halt(struct turns *t);        /* tells all to stop, and waits for the thread */

#endif
