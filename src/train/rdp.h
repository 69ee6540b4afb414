/* rdp.h - what training with noise reveals, by Renyi divergences: the sampled Gaussian mechanism.
 *
 * A step takes each record with probability `rate`, bounds what it contributes to a norm of C, and adds Gaussian noise of
 * standard deviation noise * C to the sum.  After any number of such steps, what is seen of them is (epsilon, delta)-private
 * towards one record being there or not, by:
 *   divergence of order alpha of a step: Mironov, Talwar, Zhang, "Renyi differential privacy of the sampled Gaussian mechanism",
 *   arXiv:1908.10530, sections 3.3 (integer orders) and 3.4 (others); it adds up over steps
 *   to epsilon: Canonne, Kamath, Steinke, arXiv:2004.00010, proposition 12 (the same as Balle et al., arXiv:1905.09982, theorem 21)
 * The best order is taken of 1.1, 1.2 .. 10.9, 12, 13 .. 64, 128, 256, 512, 1024.  All functions are pure; numbers that no
 * order can bound are INFINITY.  Agrees with opacus and dp_accounting to 1e-9 (tests/unit/test_privacy.c). */
#ifndef TRAIN_RDP_H
#define TRAIN_RDP_H

enum { N_RDP_ORDER = 156 };
double rdp_order(int i);

/* Of one step.  0 <= rate <= 1, noise >= 0, alpha > 1. */
double rdp_of_step(double rate, double noise, double alpha);
/* The best epsilon of divergences rdp[i] of orders order[i]; best: which order gave it, may be NULL. */
double rdp_to_epsilon(const double *order, const double *rdp, int n, double delta, double *best);

/* Of each order, for a step: what a run keeps, so that each step's epsilon costs a few operations. */
struct rdp { double order[N_RDP_ORDER], step[N_RDP_ORDER]; };
void rdp_init(struct rdp *r, double rate, double noise);
double rdp_epsilon(const struct rdp *r, double steps, double delta);
#endif
