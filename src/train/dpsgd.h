/* dpsgd.h - the gradient of a step that hides each record: DP-SGD (Abadi et al., arXiv:1607.00133).
 *
 * A record's loss is the mean over its learned tokens; its gradient g is that of the loss and, for mixtures of experts, of the router
 * losses over its own tokens.  A step takes each record with probability rate = batch * accumulate / records, and its gradient is
 *
 *     (sum over the records taken of g * min(1, max_grad_norm / |g|)  +  noise * max_grad_norm * N(0, 1)) / (batch * accumulate)
 *
 * Long records are run one by one: one pass gives gradient and norm, and the gradient is added.  Short ones, which would leave the
 * machine idle, share batches of GHOST_TOKENS tokens: a first backward pass finds their norms (nn/ghost.h), a second one, whose losses
 * are weighted by the clipping, the sum.  What the second rounds differently than the first, its bound is lower for: GHOST_MARGIN.
 *
 * Each of train.slices slices has adjacent records, as many in each, and their sums are added as slices.h does, so that ranks share
 * the records and give the same bits; each adds the noise to its own part of the sum.
 *
 * A pair of answers is one record, and so is an image or a text with its class.  A gradient that is not finite counts as 0.  Which
 * records are taken is a function of (seed, step, record), the noise of (seed, step, name of the weight, element).  All that comes after - moments, weight decay - sees only this. */
#ifndef TRAIN_DPSGD_H
#define TRAIN_DPSGD_H
#include <stdint.h>
#include "nn/ghost.h"
#include "train/rdp.h"

#define DP_TABLE 20
#define GHOST_AUTO 32                    /* tokens up to which two passes over many beat one pass over each, doc/kernels.md */
#define GHOST_MARGIN_F32 1e-4
#define GHOST_MARGIN_BF16 (1.0 / 64)     /* products round their operands to 8 bits */
struct dpsgd {
    int64_t n_record;
    double rate, noise;
    struct rdp rdp;
    double spent[DP_TABLE];              /* after each part of the run, by composed losses; live, the divergences stand in between */
    uint64_t sampling, noises;           /* keys */
    char *sum, *record;                  /* as the graph's gradients: of the slice under way, of one record */
    double *sums;                        /* the slice's row of run.sums */
    int ghost_tokens;                    /* records of up to so many are clipped together; 0: none */
    struct ghost ghost;
    /* the batch that is filled with such records: which they are, their first rows, their tokens' weights */
    struct dp_batch { int64_t which[GHOST_TOKENS]; int32_t start[GHOST_TOKENS + 1]; real scale[GHOST_TOKENS]; int n; } batch;
    int64_t n_taken, n_clipped, n_dropped;      /* of the last step */
};
#endif
