/* halving.h - a small search over settings: many are tried for a short time, the best of them for a longer one.
 *
 * Successive halving (Jamieson & Talwalkar, AISTATS 2016; Karnin et al., ICML 2013): of n settings that had `least` steps the best 1/eta get eta times as
 * many, and so on to `most`.  No state of its own; any thread. */
#ifndef EVAL_HALVING_H
#define EVAL_HALVING_H
#include <jansson.h>
#include <stdint.h>
#include "base/err.h"

enum { HALVING_SETTINGS = 1024, HALVING_RUNGS = 16 };

struct halving_plan { int n_rung; struct { int n; int64_t steps; } rung[HALVING_RUNGS]; };
/* n settings, eta > 1: rung k has ceil(n / eta^k) of them, least eta^k steps, at most `most`, which the last one has.  ERR_RANGE. */
int halving_plan(struct halving_plan *p, int n, int64_t least, int64_t most, double eta, struct err *err);

/* space: {"section.key": [value, ...] | {"min", "max", "scale": "linear" | "log", "integer": bool}, ...}.  *out: an array of {"section.key": value}: with
 * draws 0 every combination of the lists in their order (the last key changes fastest; ranges are then an error), else so many that are drawn by the
 * seed, a combination of lists alone at most once.  where leads the messages. */
int halving_settings(json_t **out, const json_t *space, int64_t draws, uint64_t seed, const char *where, struct err *err);
/* A copy of a recipe with these values; sections that it lacks are made. */
int halving_recipe(json_t **out, const json_t *recipe, const json_t *setting, const char *where, struct err *err);
/* The indices of score[n], the lowest first, equals by index, NAN last.  *n_ranked: those that are not NAN. */
void halving_rank(const double *score, int n, int *order, int *n_ranked);
#endif
