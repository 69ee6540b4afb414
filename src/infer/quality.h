/* quality.h - how far the predictions of one model are from those of another, on a text: what quantising cost.
 *
 * Both read the same windows; at each position the two distributions over the vocabulary are compared.  Two engines, one thread. */
#ifndef INFER_QUALITY_H
#define INFER_QUALITY_H
#include "infer/engine.h"

struct quality {
    int n_token;                 /* positions compared */
    double kl_mean, kl_p99, kl_max;      /* of KL(source || other), in nats */
    double flips;                /* share of positions whose most likely token differs */
    double nll_source, nll;      /* mean negative log-likelihood of the text's next tokens */
};
/* Both engines need n_logits >= 1 and the same vocabulary.  Windows of ctx tokens one after the other, each beginning with bos where
 * bos >= 0; a rest is a shorter window.  ERR_RANGE when the text has fewer than 2 tokens. */
int quality_compare(struct quality *out, struct engine *source, struct engine *other, const int32_t *ids, int n, int ctx, int32_t bos, struct err *err);
#endif
