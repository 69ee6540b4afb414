/* overlap.h - gradients go to the ranks whose they are while the backward pass goes on.  Internal to train/.
 *
 * A weight's gradient is what is to be reduced once the last operation that adds to it has run for this rank's last slices and the
 * tree over its earlier ones is taken (slices.h).  Weights are given to comm_reduce_part() then, several small ones together, in the order
 * of the graph's nodes, which is the same on all ranks; the bits are those of comm_reduce_scatter() afterwards. */
#ifndef TRAIN_OVERLAP_H
#define TRAIN_OVERLAP_H
#include "train/comm.h"
#include "train/slices.h"

struct overlap {
    int n, next;                                 /* parts; given so far */
    struct overlap_part { int node; size_t from, to; } part[COMM_PARTS_MAX];      /* bytes of the gradients' block that are done after a node */
    bool on;                                     /* under way */
    struct graph *g; struct comm *comm; struct slice_sums *sums;
    void (*watch)(void *ctx, const struct graph *g, const struct node *n, const struct step *step);      /* who watched before */
    void *watch_ctx;
};

/* Parts of `least` bytes or more, but the last; of the graph as it is planned.  None where the pass itself exchanges something. */
void overlap_plan(struct overlap *o, const struct graph *g, size_t least);
/* Around the last PASS_BACKWARD of a step; comm_reduce_end() is still to come. */
void overlap_begin(struct overlap *o, struct graph *g, struct comm *comm, const size_t *bound, struct slice_sums *sums);
void overlap_leave(struct overlap *o);

#endif
