/* users.h - a closed loop: when each of so many users asks, who waits for an answer, and thinks, before the next request.
 *
 * Users who all begin at once, and whose answers are equally long, stay in step with each other for ever, or just not, and which of the two is
 * settled by a fraction of a millisecond; so they can begin at random moments of `ramp` seconds, best about those that an answer takes: the first of
 * them at once, so that nothing waits for it.
 * What is drawn is a function of the seed: user i's beginning, and i's thought and way before each request: load/client.h asks so, and plan/simulate.h
 * plans for the same users.  One thread at a time. */
#ifndef LOAD_USERS_H
#define LOAD_USERS_H
#include <stdint.h>
#include "base/err.h"

/* n users.  Seconds: ramp, in which they begin, evenly drawn, less the earliest; think, between an answer and the next request, and way, that a request is on its way, both on average (exponential). */
struct users_opts { int n; double ramp, think, way; uint64_t seed; };
struct user { double at; int id; };
struct users {
    struct users_opts o;
    struct user *next; int n;                /* [n] heap of those who will ask */
    int *n_asked;                            /* [o.n] */
    uint64_t ramp_key, think_key, way_key;
};
/* All of them will ask.  ERR_NOMEM; released by users_release() either way. */
int users_init(struct users *u, const struct users_opts *o, struct err *err);
void users_release(struct users *u);
double users_next(const struct users *u);                /* when the next one asks, seconds from the start; INFINITY: all wait for answers */
int users_ask(struct users *u);                          /* that one does, and waits from now on: which one */
void users_answered(struct users *u, int id, double at); /* that one has the answer */

#endif
