/* exposure.h - how much a model remembers of texts that were planted in its data: canaries.
 *
 * Carlini, Liu, Erlingsson, Kos and Song, "The Secret Sharer", USENIX Security 2019.  A canary is a sentence with random words in it, CANARY_BITS of
 * chance.  Among it and n others made the same way, which no data ever held, its rank by negative log-likelihood, the least first, gives
 *   exposure = log2(n + 1) - log2(rank)   bits, by sampling (section 4.4), so at most log2(n + 1), and
 *   p        = rank / (n + 1)             how often a canary that the model never saw ranks as high: for it all ranks are equally likely.
 * The p of several canaries of one model are one by Fisher's method: -2 sum ln p is chi-squared with 2 degrees of freedom each (a little conservative,
 * as ranks are whole).  Everything depends on seeds and the model alone. */
#ifndef INFER_EXPOSURE_H
#define INFER_EXPOSURE_H
#include <signal.h>
#include "infer/engine.h"

#define CANARY_BITS 49           /* three words of three syllables of 45 */
#define CANARY_TEXT_MAX 96
#define CANARIES_MAX 100000

/* Canary i of a seed; candidate k > 0: the same sentence with other random words, 0: the canary's own. */
void canary_text(uint64_t seed, int i, int candidate, char out[CANARY_TEXT_MAX]);

struct exposure { double nll, bits, p; int rank; };      /* nll: of the canary's text, in nats */
/* Of canary i among n >= 1 candidates.  stop (may be NULL) is looked at between texts: ERR_STOPPED. */
int exposure_of(struct engine *e, uint64_t seed, int i, int n, const volatile sig_atomic_t *stop, struct exposure *out, struct err *err);
double exposure_fisher(const struct exposure *x, int n);
/* The mean bits of canaries that a model never saw: of log2((n + 1) / rank), all ranks equally likely. */
double exposure_chance(int n);

#endif
