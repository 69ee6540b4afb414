/* adversary.h - adversarial training: an image is changed before it is learned, so that the model errs on it as much as it can within a ball.
 *
 * Madry et al., arXiv:1706.06083: from a random place within eps of the image, steps along the sign of the loss's slope by its numbers,
 * each cut to the ball and to what an image can be (0 to 1, before mean and deviation).  What becomes of a sample is a function of (seed,
 * sample) and of the weights at its step, so that a run goes on to the same bits after a stop, on any number of threads and processes.
 * What is held out is evaluated as it is; how robust it is, `lathe eval` tells. */
#ifndef TRAIN_ADVERSARY_H
#define TRAIN_ADVERSARY_H
#include "train/run.h"

size_t adversary_bytes(const struct run *r);                 /* beside the attacker's plan */
int adversary_take(struct run *r, struct err *err);          /* where r->attacker is recorded; after r->model is bound */
void adversary_release(struct run *r);
/* The images of micro-batch number i_micro, which are in r->model's inputs. */
void adversary_change(struct run *r, int64_t i_micro, const struct batch *b);
#endif
