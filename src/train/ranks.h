/* ranks.h - one run on several ranks (comm.h): what they share out, and what keeps them alike.  Internal to train/.
 *
 * Each rank has all weights.  Of a step it computes its own slices, which are a subtree of slices.h's tree; the sums of gradients are
 * reduced and scattered, each rank's share to it (ZeRO-2's traffic); it updates its share, whose optimiser state it alone has
 * (ZeRO-1), and all gather the weights.  Everything that decides what comes next (loss, norm, stop, save) is the same number
 * on all ranks, from the same sums.  Rank 0 alone has the folder OUT: it learns the tokenizer first, writes metrics and checkpoints,
 * for which it keeps room for everybody's optimiser state and collects it.
 *
 * With one rank every function here is the plain thing. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H
#include "train/run.h"

/* Joins the others; r->n_slice, first_slice are set by ranks_share(). */
int ranks_open(struct run *r, struct err *err);
/* prepare(), by rank 0 before the others. */
int ranks_prepare(struct run *r, int (*prepare)(struct run *, struct err *), struct err *err);
/* After planning: this rank's slices and its share of the weights.  ERR_USAGE when there are more ranks than slices. */
int ranks_share(struct run *r, struct err *err);
/* Version, level of instructions, settings, data: ERR_USAGE says which rank has another. */
int ranks_agree(struct run *r, struct err *err);
/* Once rank 0 has the state of the run, all have: counters, weights, and each its share of the moments. */
int ranks_begin(struct run *r, struct err *err);

int ranks_count(struct run *r, int64_t *n, struct err *err);    /* the sum of *n over the ranks */
int ranks_sum_gradients(struct run *r, struct err *err);        /* of slices: r->sums of all of them, the gradient of this rank's share, then PASS_NORM */
int ranks_samples(struct run *r, struct err *err);              /* r->seen: of all ranks, as one rank would have it */
/* *yes: is it so on any rank? */
int ranks_any(struct run *r, bool *yes, struct err *err);
int ranks_gather_weights(struct run *r, struct err *err);       /* after PASS_UPDATE */
/* What is to be done after a step: any may stop, rank 0 says whether the time is up. */
int ranks_decide(struct run *r, bool *stop, bool *by_time, struct err *err);
/* Before a checkpoint: rank 0 gets all moments.  wanted: rank 0's, it tells the others. */
int ranks_collect(struct run *r, bool wanted, struct err *err);

size_t ranks_spared_bytes(const struct run *r);                 /* of optimiser state that is planned, but is another rank's */
int ranks_log(struct run *r, struct err *err);                  /* what was sent, beside the theory */

#endif
