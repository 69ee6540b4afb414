/* prv.h - the same question as rdp.h, answered more tightly: privacy random variables, composed by Fourier transforms.
 *
 * The privacy loss of a step, log of the ratio of the two densities, is a random variable; that of many steps is the sum of as
 * many.  Its distribution is put on a grid of width h and convolved with itself (Gopi, Lee, Wutschitz, "Numerical composition of
 * differential privacy", arXiv:2106.02848, algorithm 1 and theorem 5.5): with the losses of a step rounded to the nearest point and
 * their mean kept,
 *     delta(epsilon + eps_error) - delta_error <= delta on the grid (epsilon) <= delta(epsilon - eps_error) + delta_error
 *     h = eps_error / sqrt(steps / 2 * log(12 / delta_error))
 *     the grid holds [-L, L], L = 3 + the larger of epsilon(delta_error / 4) of all steps and epsilon(delta_error / (8 steps)) of one
 * where delta_error is delta / 1000 here, and L's epsilons are those of rdp.h.  prv_epsilon() gives the upper end of this: a bound, not
 * an estimate.  A record that is added and one that is removed give different losses; both are composed, and the larger counts. */
#ifndef TRAIN_PRV_H
#define TRAIN_PRV_H
#include "base/err.h"

#define PRV_POINTS_MAX (1 << 21)      /* 32 bytes each */

struct prv;
/* For at most `steps` steps.  0 < rate <= 1, noise > 0, 0 < delta < 1.  ERR_RANGE where the grid would have too many points, or delta is so
 * small that rounding would drown it: rdp.h must do. */
int prv_new(struct prv **out, double rate, double noise, double steps, double delta, double eps_error, struct err *err);
void prv_free(struct prv *p);
/* After so many steps, at most those of prv_new.  lower: the other end of what is certain, may be NULL. */
double prv_epsilon(struct prv *p, double steps, double *lower);
#endif
