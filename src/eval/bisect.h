/* bisect.h - where two models of one form begin to differ, and which of their parts makes the difference.
 *
 * Both read the same tokens.  Their graphs are watched, and numbers are put into them: the newer model is given what the older one has before
 * each of its parts, so that what a part makes of right inputs is seen alone; and the older one is run with that in place of its own, so
 * that the divergence of its predictions is that of a model of which this part alone is the newer one's.  For a layer that is exact: keys and
 * values of the layer, too, are made of right inputs.  No weight is read and no model is made.
 *
 * A stage is the embedding, a layer, or the head.  A part of a layer is what ends with a product, an attention or a sum, under the graph's name
 * of its result; where the models hand it on in different forms (int8 rows, bf16) its numbers go into that form. */
#ifndef EVAL_BISECT_H
#define EVAL_BISECT_H
#include "infer/engine.h"

#define BISECT_BEYOND 4          /* a stage is out of line from so many times the median error of the layers on */

struct bisect_part {
    char name[80], weights[200]; /* the result, as "3.down"; the weights that it is made with and how the newer model keeps them */
    double error;                /* ||new - old|| / ||old|| of the result, given the older model's inputs */
    double kl;                   /* mean KL(old || old with this part the newer's) over the tokens, in nats */
};
struct bisect_stage {
    int layer;                   /* -1: the embedding; the number of layers: the head */
    double drift;                /* ||new - old|| / ||old|| of the residual stream behind it, each model by itself; of the head: of the logits */
    double error, kl;            /* as of a part; the head's error: of the logits */
    struct bisect_part *part; int n_part;      /* of the stages that were looked into, in the graph's order */
};
struct bisect {
    int n_token; double kl;      /* of the whole models */
    struct bisect_stage *stage; int n_stage;
    char first[80], first_op[24];/* the first result whose bits differ, each model by itself; "": none, also not in the logits */
    int first_stage;             /* the first with an error of BISECT_BEYOND times the layers' median, or more; -1: none */
};
/* One window of n tokens, 2 to the steps of both engines; n_deep: layers to look into, those of the largest kl.  pool: the engines'.  More memory: the
 * results of all layers for n tokens, three times, and logits.  ERR_UNSUPPORTED where the models are not of one form, with what differs. */
int bisect_models(struct bisect *out, struct engine *old, struct engine *new, const int32_t *ids, int n, int n_deep, struct pool *pool, struct err *err);
void bisect_release(struct bisect *b);
#endif
