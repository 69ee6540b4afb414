/* shadow.h - what a candidate would have said: texts of the stable version, computed again by the candidate, and compared.
 *
 * A text is not made twice.  The candidate is given the prompt and the stable version's tokens as one prompt, in the steps that others leave
 * (machine.h), and says for each of these tokens how likely it was, and which was the likeliest: a pass over the text costs about a tenth
 * of making it.  Of a text that was made greedily, with nothing that changes logits, the first token that is not the candidate's likeliest is where the
 * candidate's own greedy text would have begun to differ.  Of all texts, log p(stable) - log p(candidate), averaged over tokens
 * drawn at temperature 1, is an estimate of the Kullback-Leibler divergence.  Both versions must have the same tokenizer.
 *
 * Nothing of it is shown to who asked, or charged.  At most SHADOW_MOST texts wait or are under way; others are passed over, and counted. */
#ifndef SERVE_SHADOW_H
#define SERVE_SHADOW_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SHADOW_MOST 16

struct served_model;
/* Of a candidate; all but flight and n_passed are written by the thread of its steps. */
struct shadow_counts {
    atomic_int flight;
    _Atomic uint64_t n_text, n_passed, n_token;
    _Atomic uint64_t n_greedy, n_same;           /* texts that were made greedily; that the candidate would have made, too */
    _Atomic uint64_t n_until;                    /* tokens of greedy texts before they differ */
    _Atomic uint64_t n_greedy_token;             /* of all their tokens */
    _Atomic double log_ratio;                    /* sum over n_token */
};

struct shadow;
/* candidate: held meanwhile.  NULL: too many are under way, or there is no memory. */
struct shadow *shadow_new(struct served_model *candidate, const int32_t *prompt, int n, bool greedy);
void shadow_add(struct shadow *s, int32_t id);           /* a token that was made */
void shadow_free(struct shadow *s);                      /* nothing is compared; NULL is fine */
/* Takes s: the text has ended; logprob: the sum over its tokens. */
void shadow_end(struct shadow *s, double logprob);
#endif
