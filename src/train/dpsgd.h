/* dpsgd.h - the gradient of a step that hides each record: DP-SGD (Abadi et al., arXiv:1607.00133).
 *
 * A record's loss is the mean over its learned tokens; its gradient g is that of the loss and, for mixtures of experts, of the router
 * losses over its own tokens.  A step takes each record with probability rate = batch * accumulate / records, and its gradient is
 *
 *     (sum over the records taken of g * min(1, max_grad_norm / |g|)  +  noise * max_grad_norm * N(0, 1)) / (batch * accumulate)
 *
 * A gradient that is not finite counts as 0.  Which records are taken is a function of (seed, step, record), the noise of (seed, step,
 * name of the weight, element).  All that comes after - moments, weight decay - sees only this. */
#ifndef TRAIN_DPSGD_H
#define TRAIN_DPSGD_H
#include <stdint.h>
#include "train/rdp.h"

#define DP_TABLE 20
struct dpsgd {
    int64_t n_record;
    double rate, noise;
    struct rdp rdp;
    double spent[DP_TABLE];              /* after each part of the run, by composed losses; live, the divergences stand in between */
    uint64_t sampling, noises;           /* keys */
    char *sum;                           /* as the graph's gradients */
    int64_t n_taken, n_clipped, n_dropped;      /* of the last step */
};
#endif
