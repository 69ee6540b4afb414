/* machine.h - whose turn it is to compute, of threads that each use all cores: first come, first served. */
#ifndef SERVE_MACHINE_H
#define SERVE_MACHINE_H
#include <stdatomic.h>
#include <stdbool.h>
#include "base/err.h"

struct machine;
int machine_new(struct machine **out, struct err *err);
void machine_free(struct machine *m);
/* NULL: there is nobody to share it with. */
void machine_take(struct machine *m);
/* continued: the seconds since it was taken that went to texts that wait for each token; everybody's sum is machine_continued(). */
void machine_give(struct machine *m, double continued);
double machine_continued(struct machine *m);             /* NULL: 0 */
/* A model is loaded, without a turn, from the first to the second. */
void machine_load_begin(struct machine *m);
void machine_load_end(struct machine *m);
bool machine_loads(const struct machine *m);             /* NULL: no */
/* For work that can wait: MACHINE_SPARE of the time at most, but all of it where for MACHINE_IDLE_S nobody else has taken it.  Returns at
 * once when *quit is set, having taken it. */
#define MACHINE_SPARE 0.05
#define MACHINE_IDLE_S 0.02
void machine_take_spare(struct machine *m, const atomic_bool *quit);
#endif
