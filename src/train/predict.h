/* predict.h - the time of a step before the first one.  Internal to train/. */
#ifndef TRAIN_PREDICT_H
#define TRAIN_PREDICT_H
#include "train/run.h"

/* Seconds of a step on this machine as it is now; NAN where it is not known.  After run_print_plan() and with r->batch, before the run
 * takes its memory: it takes and gives back less than the plan, and about the time of a few steps, seldom more than 10 s. */
int run_predict(struct run *r, double *seconds, struct err *err);

#endif
