/* prefer.h - learning from preferences (DPO, arXiv:2305.18290): of two answers to a prompt the chosen one is to become likelier,
 * measured from a reference, than the rejected one.
 *
 *   reward of an answer = beta * (log-probability of its tokens by the model - the same by the reference)
 *   loss of a pair = -log sigmoid(reward of the chosen - reward of the rejected)
 * The reference is the model that the run began from: the base without its adapters, or the base in its file. */
#ifndef TRAIN_PREFER_H
#define TRAIN_PREFER_H
#include "data/loader.h"

/* Sums over pairs; right: pairs whose chosen answer has the higher reward. */
struct preference { double loss, chosen, rejected, right; };

/* The pairs of a batch (sequences 2i and 2i+1), from the nll of each token by the model and by the reference: their sums are added
 * to *sum, and scale[b->n] (may be NULL) becomes the derivative of share * loss by each token's nll. */
void preference_of(const struct batch *b, const float *nll, const float *reference, double beta, double share, float *scale, struct preference *sum);

struct run;
struct step;
struct err;
/* One micro-batch that is loaded into r->batch: reference, model, loss, gradient; s->loss_scale is 1 / pairs of the step. */
void run_prefer(struct run *r, struct step *s, struct preference *sum);
/* The mean loss of the held-out pairs, and what of them the model prefers rightly. */
int run_evaluate_pairs(struct run *r, double *loss, struct err *err);
#endif
