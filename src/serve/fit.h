/* fit.h - how large a served model's cache, texts and steps are, by the plan that the engine itself is made by (engine_plan_sizes): of the
 * memory of the device that e has, where it has one, else of the host's. */
#ifndef SERVE_FIT_H
#define SERVE_FIT_H
#include "base/buf.h"
#include "infer/engine.h"

struct served_model_opts;

/* The pages that e is to have, by o's cache, or else for 16 texts of 1,024 tokens or one of the longest. */
int fit_cache(const struct served_model_opts *o, struct engine_opts *e, struct err *err);

/* All of e's sizes that o leaves open, for o's share of the host's memory, or of a device's what is free for each of o's n_device models:
 *   a text's positions   the model's (ctx_model), or as many as all pages hold
 *   pages                as many as fit, at most what all texts can have together
 *   texts at once        one for each 1,024 tokens of the pages, up to FIT_TEXTS: more are mostly waiting for memory, not for time
 *   tokens of a step     512; half as many, and so on, while a text of FIT_LEAST tokens does not fit beside them
 *   layers on a device   all, or, where it is left open (ENGINE_LAYERS_FIT) and no smaller step makes them fit, as many as leave room for 4 such texts beside
 *                        steps of 512, one at least; the others take of the host's share
 * why: a line that says so.  ERR_NOMEM, with the sizes, where what o asks for, or a text of one page, does not fit. */
#define FIT_TEXTS 64
#define FIT_LEAST 1024
int fit_all(const struct served_model_opts *o, int ctx_model, struct engine_opts *e, struct buf *why, struct err *err);
/* What --fit may use of a machine that has so much free: all but a tenth, and of that 64 MB at least. */
size_t fit_budget(size_t free_bytes);

#endif
