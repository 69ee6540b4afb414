/* schedule.h - when requests come, in an open loop: whether or not the server has answered the ones before. */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H
#include <stdint.h>
#include "base/err.h"

enum arrival { ARRIVAL_POISSON, ARRIVAL_CONSTANT, ARRIVAL_BURST };
/* Seconds from the start of n requests, ascending; `rate` of them a second on average.  Poisson: gaps are drawn by (seed, i);
 * bursts: `burst` of them at the same moment. */
void schedule_make(double *at, int n, enum arrival kind, double rate, int burst, uint64_t seed);

/* A file of requests that came once: a line "SECONDS,INPUT,OUTPUT" each (tokens; commas, blanks or tabs between), in any order; lines
 * that begin with # are passed over.  Times are counted from the first one. */
struct trace_row { double at; int input, output; };
int trace_read(const char *path, struct trace_row **out, int *n, struct err *err);       /* sorted; free with mem_free */
#endif
