/* schedule.h - when requests come, in an open loop: whether or not the server has answered the ones before. */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H
#include <stdint.h>
#include "base/err.h"

enum arrival { ARRIVAL_POISSON, ARRIVAL_CONSTANT, ARRIVAL_BURST, ARRIVAL_GAMMA };
/* Seconds from the start of one request after another, ascending; `rate` of them a second on average.  Poisson: gaps are drawn by (seed, i);
 * bursts: `burst` of them at the same moment; gamma: gaps of the coefficient of variation `cv`, by (seed, i) too: 1 is Poisson, above that
 * requests come in crowds (shape 1 / cv^2, which others call burstiness). */
struct arrivals { enum arrival kind; double rate, cv, t; int burst; uint64_t key, i; };
void arrivals_init(struct arrivals *a, enum arrival kind, double rate, int burst, double cv, uint64_t seed);
double arrivals_next(struct arrivals *a);
/* The first n of them; no gamma. */
void schedule_make(double *at, int n, enum arrival kind, double rate, int burst, uint64_t seed);

#endif
