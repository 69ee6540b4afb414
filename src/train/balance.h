/* balance.h - experts kept evenly used without a loss (DeepSeek-V3, arXiv:2412.19437; arXiv:2408.15664).
 *
 * Experts are chosen by score + correction, gates are made of the scores alone.  After each step the correction of every expert that
 * got less than the mean load of the whole step goes up by `rate`, of every one that got more, down.  The names are the field's:
 * e_score_correction_bias and scoring_func DeepSeek-V3's, router_bias_rate (and 1e-3) Megatron's moe_router_bias_update_rate. */
#ifndef TRAIN_BALANCE_H
#define TRAIN_BALANCE_H
#include "model/decoder.h"

/* Layer i of those with experts; nothing where it has no correction, or one that is not to change.  load: [n_expert] tokens of each,
 * whole numbers, so that it does not matter in which order they were added up. */
void balance_experts(struct decoder *d, int i, const double *load, double rate);
/* Its least and largest correction; false where it has none. */
bool balance_range(const struct decoder *d, int i, double *low, double *high);

#endif
