/* published.h - models that are known by name: the keys of their config.json that matter, with where those are from.
 *
 * A table (published.json, made by tools/golden/plan_models.py) inside the program, so that a plan needs no download.  Any thread. */
#ifndef PLAN_PUBLISHED_H
#define PLAN_PUBLISHED_H
#include "model/config.h"

/* Case, blanks, dashes, dots and underscores do not count.  ERR_NOTFOUND with the nearest name. */
int published_config(struct config *c, const char *name, struct err *err);

struct published { char name[48], source[200]; };
/* All of them, in the order of the table; *out is mem_alloc'ed. */
int published_list(struct published **out, int *n, struct err *err);

#endif
