/* evidence.h - what can be found out about an odd step: is it the machine, a kernel, or the state?  (If none of these, the data.)
 *
 * Each question is asked of a step before its update, so the weights are still those it began with, and may compute the step again:
 * r->loss, norm, seen and the gradients are then those of the last time.  What is found goes into the finding.  Ranks ask together:
 * what one finds is found by all.  Internal to train/. */
#ifndef TRAIN_EVIDENCE_H
#define TRAIN_EVIDENCE_H
#include "train/finding.h"

int evidence_open(struct run *r, struct err *err);           /* r->prints */
void evidence_close(struct run *r);
bool evidence_is_due(const struct run *r);                   /* of every step that train.verify_every names, odd or not */
/* With verify_every, of every step.  After an update: what weights, their panels and the optimiser's state are now.  Later: which of them
 * are not what they were.  Frozen weights are looked at where a step is due; ERR_NUMERIC when one was altered. */
void evidence_guard(struct run *r);
int evidence_guarded(struct run *r, struct finding *f, bool *panels, bool *weight, struct err *err);

/* *same: computed again, the step gives the same bits.  If not, what two of three runs say is there now; ERR_NUMERIC: three results. */
int evidence_again(struct run *r, struct finding *f, bool *same, struct err *err);
/* Packs the weights again: panels that come out otherwise were altered, or the weight was, when both its forms do. */
int evidence_memory(struct run *r, struct finding *f, bool *panels, bool *weight, struct err *err);
/* After evidence_again(): a product in it was not what its operands give (cpu/check.h), or one level of kernels lower the step is like
 * others, and clearly another, or (compare) some node's numbers are.  *mended: the lower level's numbers are there to be taken. */
int evidence_kernel(struct run *r, struct finding *f, bool compare, bool *wrong, bool *mended, struct err *err);
/* Data that was like others a while ago is odd now. */
int evidence_state(struct run *r, struct finding *f, bool *bad, struct err *err);
/* The first operation whose numbers are unlike the usual, after evidence_state(). */
int evidence_node(struct run *r, struct finding *f, struct err *err);

#endif
