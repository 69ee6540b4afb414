/* probs.h - probabilities of tokens from their logits. */
#ifndef INFER_PROBS_H
#define INFER_PROBS_H
#include <stdint.h>

struct token_prob { int32_t id; float logprob; };

/* Where x[0 .. V-1] is largest, the first if there are several; *log_sum: log of the sum of exp(x - x[largest]). */
int probs_largest(const float *x, int V, double *log_sum);
/* prob[0]: of id; prob[1 .. n]: the n likeliest, descending, the lower id first among equals. */
void token_probs(const float *x, int V, int32_t id, int n, struct token_prob *prob);

#endif
