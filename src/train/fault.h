/* fault.h - for tests: one fault in a run, of the kinds that the doctor is to tell apart.
 *
 * Which sample, node, element and bit it hits is a function of (seed, step).  Faults of samples are there each time the step is
 * computed; a flipped bit of an activation or gradient is there once; a wrong kernel is there as often as the kernels of the level
 * that the run began with are used.  Nothing of this runs without a fault in train_opts. */
#ifndef TRAIN_FAULT_H
#define TRAIN_FAULT_H
#include "data/loader.h"
#include "nn/graph.h"

#define FAULTS(X) \
    X(NONE, "none") X(MISLABELLED, "mislabelled sample") X(GARBAGE, "garbage sample") X(REPEAT, "sample that repeats itself") \
    X(EXTREME, "sample of tokens never seen") X(ACTIVATION, "bit of an activation") X(GRADIENT, "bit of a gradient") \
    X(WEIGHT, "bit of a weight") X(KERNEL, "wrong kernel")
enum fault_kind {
#define X(name, word) FAULT_##name,
    FAULTS(X)
#undef X
    N_FAULT_KIND
};
const char *fault_name(enum fault_kind kind);

struct fault {
    enum fault_kind kind;
    int64_t step;
    uint64_t seed;
    int64_t whole_steps;                         /* samples: all of so many steps from `step` on; 0: one of the step */
    bool weight_too;                             /* in `step` a bit of a weight flips besides */
    int64_t times;                               /* weights: the bit flips the first so many times that `step` is begun; 0: once */
    /* in use */
    int64_t i_micro; int row;                    /* the sample that was hit */
    bool done;                                   /* faults that are there once */
    const struct cpu_kernels *k;
};

void fault_begin(struct fault *f, struct graph *g, int64_t step);      /* before a step is computed for the first time */
/* Rows of ctx tokens of micro-batch i_micro, n_micro to a step. */
void fault_batch(struct fault *f, int64_t i_micro, int64_t n_micro, int ctx, int vocab, struct batch *b);
/* After each node. */
void fault_node(struct fault *f, const struct graph *g, const struct node *n, const struct step *step, int64_t at_step);

#endif
