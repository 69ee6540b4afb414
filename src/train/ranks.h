/* ranks.h - one run on several ranks (comm.h): what they share out, and what keeps them alike.  Internal to train/.
 *
 * Each rank has all weights.  Of a step it computes its own slices, which are a subtree of slices.h's tree; the sums of gradients are
 * reduced and scattered, each rank's share to it (ZeRO-2's traffic); it updates its share, whose optimiser state and running average it
 * alone has (ZeRO-1), and all gather the weights.  Everything that decides what comes next (loss, norm, stop, save) is the same number
 * on all ranks, from the same sums.  Rank 0 alone has the folder OUT: it learns the tokenizer first, writes metrics and checkpoints,
 * for which it keeps room for everybody's optimiser state and collects it.
 *
 * With train.tensor_parallel: N the ranks d*N .. d*N + N - 1 are the holders of copy d of the model: each has a part of each matrix
 * (model/weights.h), and all work on the same slices.  What is said above of ranks is then said of copies: ranks i, N + i, 2N + i .. have the
 * same part, sum its gradients and share its optimiser state.  Of what is whole in all holders each computes the same bits, but for
 * gradients that are sums over heads, which the holders add.  Rank 0 collects parts where files are written (parts.h).
 *
 * With train.expert_parallel each rank has experts E*i/R .. of every layer, with all of their state (DIVIDE_EXPERTS), and the rest as above.
 * All run their micro-batches at the same time, and rows of tokens go to their experts and back (nn/op_dispatch.c); where that is a whole
 * step at once (graph.whole_step) gradients of experts are the tree's sum, else there is one for the slices of each rank, and the tree's last
 * levels are done here.
 *
 * With one rank every function here is the plain thing. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H
#include "train/run.h"

/* Joins the others; r->n_slice, first_slice are set by ranks_share(). */
int ranks_open(struct run *r, struct err *err);
void ranks_close(struct run *r, int rc, struct err *err);
/* Once the settings are known: who holds what; r->holders, copies, division, peers. */
int ranks_divide(struct run *r, struct err *err);
/* prepare(), by rank 0 before the others. */
int ranks_prepare(struct run *r, int (*prepare)(struct run *, struct err *), struct err *err);
/* After planning: this rank's slices and its share of the weights.  ERR_USAGE when there are more ranks than slices. */
int ranks_share(struct run *r, struct err *err);
/* Version, level of instructions, settings, data: ERR_USAGE says which rank has another. */
int ranks_agree(struct run *r, struct err *err);
/* Once rank 0 has the state of the run, all have: counters, weights, and each its share of the moments. */
int ranks_begin(struct run *r, struct err *err);

/* Around the last backward pass of a step: sums of gradients are exchanged meanwhile, where that is possible and wanted. */
void ranks_begin_overlap(struct run *r);
void ranks_leave_overlap(struct run *r);
int ranks_count(struct run *r, int64_t *n, struct err *err);    /* the sum of *n over the copies of the model */
int ranks_sum_slices(struct run *r, struct err *err);           /* r->sums of all of them, and the gradient of this rank's share */
int ranks_norm(struct run *r, struct err *err);                 /* then PASS_NORM, and r->norm of all shares */
int ranks_samples(struct run *r, struct err *err);              /* r->seen: of all ranks, as one rank would have it */
/* *yes: is it so on any rank? */
int ranks_any(struct run *r, bool *yes, struct err *err);
/* What of a gradient, and of its weight's state, is a rank's: *n bytes from the one on that is returned. */
size_t ranks_part(const struct run *r, const struct tensor *gradient, int rank, size_t *n);
/* Held-out batches 0, 1, ..: each rank runs every R-th, *sum is over all, in their order.  score leaves `has` 0 after the last. */
typedef void score_fn(struct run *r, int64_t i, struct scored *s);
int ranks_score(struct run *r, score_fn *score, struct scored *sum, struct err *err);
int ranks_gather_weights(struct run *r, struct err *err);       /* after PASS_UPDATE */
/* What is to be done after a step: any may stop, rank 0 says whether the time is up. */
int ranks_decide(struct run *r, bool *stop, bool *by_time, struct err *err);
/* Before a checkpoint: rank 0 gets all moments and averages of its own part.  wanted: rank 0's, it tells the others, which then wait in parts_settle()
 * until rank 0 comes there, too. */
int ranks_collect(struct run *r, bool wanted, struct err *err);

/* *free_bytes, of this machine and measured before the call, becomes this rank's part of it: the ranks on one machine, *n_here, share it by
 * what they want. */
int ranks_share_memory(struct run *r, size_t wanted, size_t *free_bytes, int *n_here, struct err *err);
size_t ranks_spared_bytes(const struct run *r);                 /* of optimiser state that is planned, but is another rank's */
int ranks_log(struct run *r, struct err *err);                  /* what was sent, beside the theory */

#endif
