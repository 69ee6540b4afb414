/* eval_sweep.h - lathe eval --sweep FILE: a small search over recipes of lathe train, by successive halving. */
#ifndef CMD_EVAL_SWEEP_H
#define CMD_EVAL_SWEEP_H
#include "base/err.h"

/* file: {recipe, space, draws, seed, least_steps, most_steps, eta} (doc/select.md). */
int eval_sweep(const char *file, const char *out_dir, struct err *err);
#endif
