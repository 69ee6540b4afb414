/* martingale.h - betting that a stream is not what the reference was: a test martingale over the cells of cells.h.
 *
 * Under "as before" the next cell has the chances (1) of cells.h.  A bet divides its capital over the cells, q(cell) with sum 1, and is paid
 * q(cell) / chance(cell): nobody expects to gain, so by Ville's inequality (Étude critique de la notion de collectif, 1939; Ramdas, Grünwald, Vovk & Shafer,
 * Statistical Science 38, 2023) the chance that capital, 1 at first, ever reaches 1/alpha is at most alpha, however often one looks and for however
 * long: P(false alarm ever) <= alpha.  It is exact for a reference of m values too, as (1) is; no distribution is assumed, and only ranks are seen,
 * so that one wild value is one value in the last cell.
 *
 * The capital is divided beforehand over bettors:
 *   tilts  q ~ chance(cell) exp(theta score(cell)): a shift (score: the normal quantile z of the cell's middle, theta 0.1, 0.2 .. 1.6 and minus these),
 *          another spread (z^2 - 1), more at an end (1 in the last cells that hold no more than 1/16, 1/64, 1/256 of the reference, or in the very last one).
 *          Of cells without an order each of the 16 largest has its own (1 there, 0 elsewhere), and the upper end.  What they divide by is a sum over
 *          all cells, which a value more changes in one place.
 *   trees  learn the shares from what they see.  A binary tree over the cells, each node with half of its mass; a node goes with the chances of (1), or
 *          (if active) learns how often it goes right, Krichevsky & Trofimov's (n + 1/2) / (n_all + 1).  Which nodes are active is a Markov chain
 *          down the tree (a child of an active node with 1/2, of another with 2^-depth / 4), summed over exactly: Ma, "Adaptive shrinkage in Pólya tree type
 *          models", Bayesian Analysis 12, 2017.  Against two-sample Pólya trees (Holmes et al., Bayesian Analysis 10, 2015) the null is exact here.
 *          One learns from the beginning, others forget all they learned after 64, 512, 4096 and 32768 values, but keep their capital.
 * A change that comes late finds bettors whose capital is gone: so half of each stake is laid down bit by bit, 1/log2(t+2) - 1/log2(t+3) of it before
 * value t, which is a mixture over when the change comes.  A late change costs log t + 2 log log t nats, and not t.
 *
 * By run length (arl): stakes are 1 before each value (Shiryaev-Roberts).  Capital minus t is then a martingale, so that
 * P(capital reached A within t values) <= t / A for every t, and on average at least A values pass before a false alarm (Shin, Ramdas & Rinaldo,
 * "E-detectors", New England Journal of Statistics in Data Science 2, 2023).
 *
 * A value takes 32 tilts (72 without an order) and 5 paths, about 0.5 us; capital is kept as a number up to 1e90, where it stays: less than what it
 * would be, so still valid.  The claims are of one martingale seen by itself; several together: see monitor.h.  One thread. */
#ifndef WATCH_MARTINGALE_H
#define WATCH_MARTINGALE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct martingale;
/* mass[n_cell], 1 <= n_cell <= CELLS_MAX: of cells, copied.  ordered: a shift along the cells makes sense. */
int martingale_new(struct martingale **out, const int64_t *mass, int n_cell, bool ordered, bool arl, struct err *err);
void martingale_free(struct martingale *m);
/* A value more, in this cell.  Returns the capital. */
double martingale_add(struct martingale *m, int cell);
double martingale_capital(const struct martingale *m);
void martingale_clear(struct martingale *m);              /* as new */

#endif
