/* show.h - what training is fed with, for a person to look at before it begins. */
#ifndef TRAIN_SHOW_H
#define TRAIN_SHOW_H
#include "train/run.h"

/* How the records fill their windows; nothing of a text. */
void run_show_packing(const struct run *r);
/* The first batch of the run: its sequences as text, where what is not learned is dim on a terminal and in [[brackets]] elsewhere,
 * with counts.  r->batch must be there. */
int run_show_batch(struct run *r, struct err *err);

#endif
