/* ghost.h - norms of the gradients of single records in a batch of many, without those gradients.
 *
 * A product's weight gradient of a record is the sum over its tokens of dy x^T; its squared norm is the sum over pairs of its tokens of
 * (dy . dy') (x . x'), which needs no matrix (Goodfellow, arXiv:1510.01799; Li et al., arXiv:2110.05679).  Biases, gains of norms and
 * rows of embeddings are summed for each record.  Where rows are of sequences (classes, patches of images) a record is a sequence.  A table that is embedding and head at once has the product of both gradients too.
 *
 * Around one PASS_BACKWARD of at most GHOST_TOKENS tokens; sums are in double over float products, in the order of nodes, so that
 * they depend neither on threads nor on the other records.  The caller's thread and the graph's pool. */
#ifndef NN_GHOST_H
#define NN_GHOST_H
#include "nn/graph.h"

#define GHOST_TOKENS 256                 /* as many as the loss takes at a time */

struct ghost {
    struct graph *g;
    int n_record;
    const int32_t *start;                /* [n_record + 1] first row of each */
    double *square;                      /* [GHOST_TOKENS] of each record's gradient */
    real *x;                             /* operands as floats: [GHOST_TOKENS, widest] */
    int head, tied;                      /* the loss's node; the node of the embedding that has its table, or -1 */
    real *slope, *hidden;                /* tied: [GHOST_TOKENS, GHOST_TOKENS] slope of the token's logit of another's id; [GHOST_TOKENS, C] */
    void (*watch)(void *ctx, const struct graph *g, const struct node *n, const struct step *step);      /* who watched before */
    void *watch_ctx;
    char *block; size_t bytes;
};

/* Are all weights that are learned of operations that this knows: products, norms, embeddings (of images too), adapters and the loss?  After
 * graph_backward(). */
bool ghost_knows(const struct graph *g);
size_t ghost_bytes(const struct graph *g);           /* what ghost_init() will take */
int ghost_init(struct ghost *h, struct graph *g, struct err *err);
void ghost_release(struct ghost *h);
/* From begin to end the graph's PASS_BACKWARD adds up square[]. */
void ghost_begin(struct ghost *h, int n_record, const int32_t *start);
void ghost_end(struct ghost *h);
#endif
