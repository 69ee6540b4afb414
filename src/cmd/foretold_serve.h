/* foretold_serve.h - what lathe serve said beforehand of memory and, with --foretell, of its steps, and what then was. */
#ifndef CMD_FORETOLD_SERVE_H
#define CMD_FORETOLD_SERVE_H
#include "infer/batch.h"
#include "serve/served_models.h"

struct foretold_serve;
/* wanted: the machine is measured for the one model (plan/here.h), which takes some seconds; else *out is NULL.  ERR_USAGE: of several. */
int foretold_serve_open(struct foretold_serve **out, bool wanted, const struct model_place *place, int n, struct err *err);
void foretold_serve_step(void *ctx, const struct batch_step *s);         /* served_model_opts' timed */
/* Says how far off it was, and keeps that of steps (foretold.h); f may be NULL.  A cache that was not filled takes less than planned. */
void foretold_serve_tell(const struct foretold_serve *f, const char *model, double planned_bytes);
void foretold_serve_close(struct foretold_serve *f);

#endif
