/* machine.h - whose turn it is to compute, of threads that each use all cores: first come, first served. */
#ifndef SERVE_MACHINE_H
#define SERVE_MACHINE_H
#include "base/err.h"

struct machine;
int machine_new(struct machine **out, struct err *err);
void machine_free(struct machine *m);
/* NULL: there is nobody to share it with. */
void machine_take(struct machine *m);
void machine_give(struct machine *m);
#endif
