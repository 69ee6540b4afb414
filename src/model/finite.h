/* finite.h - looks at every weight of a source for numbers that are not finite. */
#ifndef MODEL_FINITE_H
#define MODEL_FINITE_H
#include "base/pool.h"
#include "model/source.h"

struct finite_row { const struct source_tensor *tensor; int64_t n_bad, first; };      /* first: element in row-major order */
/* Calls report for each tensor with such numbers, in the order of the source; returns how many tensors, or a negative code. */
int finite_check(const struct source *s, struct pool *pool, void (*report)(void *ctx, const struct finite_row *row), void *ctx, struct err *err);
#endif
