/* dist.h - probability distributions in doubles: distribution function (cdf: P(X <= x)), survival function (sf: P(X > x)), quantile.
 *
 * Relative error is about 1e-14 in both tails, as far down as doubles go (2e-13 at 1e-260), also for counts of 10^12 (a, b, df/2 >= 1/2); a tail that is
 * small is computed as such and is never 1 minus the other.  The log_ forms go on where a probability is too small for a double.
 *
 *   normal     erfc of the C library; quantile by Newton's method on the logarithm of the tail
 *   t          by the beta distribution: P(T <= -t) = I_x(df/2, 1/2) / 2, x = df / (df + t^2)   (Abramowitz & Stegun 26.7)
 *   chi2       regularised incomplete gamma function, power series (A&S 6.5.29) or Legendre's continued fraction (6.5.31)
 *   beta       regularised incomplete beta function I_x(a,b), power series (A&S 26.5.4 and 26.5.9) or the continued fraction of
 *              DiDonato & Morris, "Algorithm 708", ACM TOMS 18, 1992, eq. 9
 *   binomial   P(X <= k) = I_{1-p}(n-k, k+1) (A&S 26.5.24); point probabilities after Loader, "Fast and accurate computation of binomial
 *              probabilities", 2000: Stirling errors and deviances, so that no two large logarithms are subtracted
 *
 * These are functions as those of the C library are: pure, any thread, and outside of their domain (NaN, df <= 0, p outside 0..1, n < 0,
 * more than DIST_MAX) NaN.  A continuous distribution's x may be anything but NaN.  Quantiles at 0 and 1 are the ends of the support. */
#ifndef EVAL_DIST_H
#define EVAL_DIST_H
#include <stdint.h>

#define DIST_MAX 1e14           /* a + b, df and n at most: a series has about the root of 75 times as many terms.  t with more is the normal distribution. */

double dist_normal_cdf(double z);
double dist_normal_sf(double z);
double dist_normal_quantile(double p);

double dist_t_cdf(double t, double df);                /* df > 0, whole or not; infinite: the normal distribution */
double dist_t_sf(double t, double df);
double dist_t_quantile(double p, double df);

double dist_chi2_cdf(double x, double df);             /* df > 0 */
double dist_chi2_sf(double x, double df);
double dist_chi2_quantile(double p, double df);
double dist_chi2_isf(double p, double df);             /* the x with P(X > x) = p: for p too near 0 to be told from 1 - p */

double dist_beta_cdf(double x, double a, double b);    /* I_x(a,b), a and b > 0 */
double dist_beta_sf(double x, double a, double b);
double dist_beta_quantile(double p, double a, double b);
double dist_beta_isf(double p, double a, double b);

/* n trials, each a success with probability p.  k may be any number. */
double dist_binom_pmf(int64_t k, int64_t n, double p); /* P(X = k) */
double dist_binom_log_pmf(int64_t k, int64_t n, double p);
double dist_binom_cdf(int64_t k, int64_t n, double p);
double dist_binom_log_cdf(int64_t k, int64_t n, double p);
double dist_binom_sf(int64_t k, int64_t n, double p);  /* P(X > k) */
int64_t dist_binom_quantile(double q, int64_t n, double p);      /* the least k with P(X <= k) >= q; -1 outside of the domain */

/* lgamma of the C library writes a variable of the process; this one does not. */
double dist_lgamma(double x);
#endif
