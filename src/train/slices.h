/* slices.h - the gradient of a step as one fixed tree of sums, whoever computes its leaves.
 *
 * The W windows of a step are cut into n slices of W / n windows each, n a power of two.  The gradient of a slice is computed on
 * its own; slices are summed by twos: ((0+1)+(2+3))+((4+5)+(6+7)).  A range of slices that is a subtree may be summed anywhere:
 * 1, 2, 4 .. n processes give the same bits.  The usual way, to add up whatever a process holds and then to sum over processes,
 * gives other bits for each number of processes.
 *
 * Slices that fit into a batch are run together, and each operation sums its gradient over them while it is in the cache.  Over such runs
 * the sums are these: n in order take log2 n + 1 buffers, a partial sum for each bit of the number of runs done, and the one under way. */
#ifndef TRAIN_SLICES_H
#define TRAIN_SLICES_H
#include "nn/graph.h"

#define SLICES_DEFAULT_MAX 8
#define SLICES_MAX 256
#define SLICES_LEVELS_MAX 9                      /* log2 SLICES_MAX + 1 */

/* The largest power of two, up to `most`, that divides n. */
int64_t slices_default(int64_t n, int64_t most);
/* Windows of a micro-batch: the most, up to batch, that divide both batch and a slice. */
int64_t slices_micro(int64_t batch, int64_t windows_of_slice);
/* Slices, of the n of a process, that are run at once, each by itself only where that matters (graph.h): as many as a batch has whole ones. */
int slices_joined(int64_t batch, int64_t windows_of_slice, int64_t n);

/* The buffers for the gradients of g, planned; the first is g's own. */
struct slice_sums {
    struct graph *g;
    char *block;                                 /* log2 n more, one after the other */
    size_t stride;                               /* bytes of one */
    int n_level;                                 /* log2 n */
    int held[SLICES_LEVELS_MAX];                 /* buffer with the sum of 2^level slices, or -1 */
    bool in_parts;                               /* the last slice's sums are taken already */
};

size_t slice_sums_bytes(const struct graph *g, int64_t n);      /* what slice_sums_init() will take; n: slices of this process */
int slice_sums_init(struct slice_sums *s, struct graph *g, int64_t n, struct err *err);
void slice_sums_release(struct slice_sums *s);
/* Around each slice, in order: begin points the graph's gradients at a free buffer, end sums what can be summed.  After the last
 * end the graph's gradients are those of all n. */
char *slice_sums_begin(struct slice_sums *s);                  /* that buffer, whatever is in it */
void slice_sums_end(struct slice_sums *s);
/* Within the last slice: takes all sums of bytes from .. to - 1, which its gradient has by now; the sum is in the graph's own block.  Once begun,
 * this is done for all that is wanted, before the end. */
void slice_sums_part(struct slice_sums *s, size_t from, size_t to);
/* The same tree over the gradients that weights of divided experts have for the slices of each process, where they are apart
 * (tensor.n_peer): the sum is the first of them.  After it the others are void. */
void slice_sums_peers(const struct graph *g);
/* The same tree over n rows of `width` doubles; the sum is the first row. */
void slice_sums_rows(double *rows, int64_t n, int64_t width);

#endif
