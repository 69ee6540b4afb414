/* probs.h - probabilities of tokens from their logits. */
#ifndef INFER_PROBS_H
#define INFER_PROBS_H
#include <stdbool.h>
#include <stdint.h>

struct token_prob { int32_t id; float logprob; };

/* Where x[0 .. V-1] is largest, the first if there are several; *log_sum: log of the sum of exp(x - x[largest]). */
int probs_largest(const float *x, int V, double *log_sum);
/* prob[0]: of id; prob[1 .. n]: the n likeliest, descending, the lower id first among equals. */
void token_probs(const float *x, int V, int32_t id, int n, struct token_prob *prob);

/* What two rows of logits say of the same V tokens, as distributions p (of x) and q (of y), in nats and in double.  Equal rows give
 * exactly 0.  x_given: x are log-probabilities already, of which a file kept no more than it could (infer/logprobs.h): they are not normalised
 * again, kl leaves out what is -16 or less, and may be a little below 0 (llama.cpp's --kl-divergence); kl_back takes p there for as large as
 * the file has it, so it is too small.  What is not finite in a row makes both divergences so. */
#define PROBS_GIVEN_LEAST (-16.0f)
struct probs_pair {
    int best[2];                 /* the likeliest token of each, the first of equals */
    double log_sum[2];           /* log p(i) = x[i] - log_sum[0], log q(i) = y[i] - log_sum[1] */
    double kl, kl_back;          /* KL(p || q) = sum p (log p - log q), KL(q || p) */
};
void probs_compare(struct probs_pair *out, const float *x, bool x_given, const float *y, int V);

#endif
