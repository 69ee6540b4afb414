/* upcycle.h - the section `upcycle` of a run's settings: a mixture of experts that begins from a dense model (arXiv:2212.05055).
 *
 * Each expert of a layer begins as a copy of the layer's MLP, the router as small random numbers; all else is the dense model's.  With
 * norm_topk_prob the gates of a token's experts sum to 1, and the mixture is the same function as the dense model.  redraw gives that
 * up for experts that differ from the first step on (arXiv:2502.19261). */
#ifndef TRAIN_UPCYCLE_H
#define TRAIN_UPCYCLE_H
#include <jansson.h>
#include "base/opt.h"
#include "model/decoder.h"

struct upcycle {
    bool on;                     /* the section is there */
    int64_t n_expert, top_k;
    bool norm_topk, corrected;
    double router_std, redraw, aux_loss, z_loss;
    const char *adds_bias;       /* the end of the names of biases that the mixture has and the dense model has not, or NULL */
};

extern const char upcycle_text[];                             /* of the manual */
void upcycle_defaults(struct upcycle *u);
void upcycle_keys(struct upcycle *u, struct opt keys[]);      /* TRAIN_KEYS_MAX at most */
/* c: the dense model's configuration, which becomes the mixture's: of the first family that can say it, in the order Mixtral, Qwen3-MoE,
 * OLMoE, which other programs load too, and our own. */
int upcycle_read(struct upcycle *u, json_t *section, struct config *c, const char *where, struct err *err);
/* What the dense model has not, once base_weights() has filled d, which is bound: routers, and hidden units that are drawn anew. */
int upcycle_weights(const struct upcycle *u, struct decoder *d, const struct weights_list *l, uint64_t seed, struct err *err);

#endif
