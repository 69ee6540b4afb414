/* decide.h - what becomes of a step that was found odd: by train.on_spike, and by what can be mended.  Each tells (finding.h) what it
 * does.  Internal to train/. */
#ifndef TRAIN_DECIDE_H
#define TRAIN_DECIDE_H
#include "train/finding.h"

/* A step that is not applied; the third in a row that is not finite ends the run and names where its data is. */
int decide_skip(struct run *r, const struct finding *f, struct err *err);
/* The numbers that are there now are right ones (two of three runs, packed again, of the lower level): applied when finite. */
int decide_mended(struct run *r, struct finding *f, enum step_fate *fate, struct err *err);
/* Applied, as it is computed once more. */
int decide_apply(struct run *r, const struct finding *f, enum step_fate *fate, struct err *err);
/* Kernels are wrong and nothing is there to be taken: neither the data's fault nor the weights'.  Left out; or the end, where no level is right, by
 * on_spike: stop, or at the third step in a row. */
int decide_kernel(struct run *r, const struct finding *f, enum step_fate *fate, struct err *err);
/* Applied, left out, back to the last checkpoint, or the end. */
int decide(struct run *r, struct finding *f, enum step_fate *fate, struct err *err);

#endif
