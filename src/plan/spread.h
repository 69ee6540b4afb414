/* spread.h - percentiles of as many values as come, in a fixed amount of memory.
 *
 * Counts in 512 classes an octave, from 2^-34 to 2^34, by the first bits of a double: a percentile is the middle of its class, within 1/1024
 * (0.1 %) of the value of that rank; mean, least and most are exact.  Nearest rank: the smallest value that a share p of all do not exceed.
 * Values outside (0 among them) count in the first or the last class.  A struct is one thread's. */
#ifndef PLAN_SPREAD_H
#define PLAN_SPREAD_H
#include <stdint.h>
#include "base/err.h"

struct spread_tally { int64_t n; double sum, least, most; int64_t *count; };
int spread_init(struct spread_tally *s, struct err *err);
void spread_release(struct spread_tally *s);             /* a zeroed one too */
void spread_add(struct spread_tally *s, double x, int64_t n);            /* n times x >= 0 */
/* x, x + dx, .. x + (k - 1) dx, each n times; in the time of the classes that they are in. */
void spread_add_run(struct spread_tally *s, double x, double dx, int64_t k, int64_t n);

/* What is told: NAN of none. */
struct spread { int64_t n; double mean, least, p50, p90, p95, p99, most; };
struct spread spread_of(const struct spread_tally *s);
double spread_at(const struct spread_tally *s, double p);

#endif
