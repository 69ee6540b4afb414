#include "train/rdp.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define LAST_TERM (-30)      /* log of the first terms of a series that are left out */

double rdp_order(int i)
{
    assert(i >= 0 && i < N_RDP_ORDER);
    if (i < 99)
        return 1 + (i + 1) / 10.0;
    return i < 152 ? i - 99 + 12 : (double)(1 << (i - 152 + 7));
}

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
    const double high = fmax(a, b), low = fmin(a, b);
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* log(exp(a) - exp(b)), a >= b but for rounding. */
static double log_sub(double a, double b)
{
    if (b == -INFINITY)
        return a;
    return a > b ? a + log1p(-exp(b - a)) : -INFINITY;
}

/* Where erfc leaves the numbers, the first terms of its asymptotic series. */
static double log_erfc(double x)
{
    if (x < 20)
        return log(erfc(x));
    double sum = 0, term = 1;
    for (int k = 1; k <= 6; k++)
        sum += term *= -(2 * k - 1) / (2 * x * x);
    return -x * x - log(x * sqrt(M_PI)) + log1p(sum);
}

/* log of the moment A(alpha), equation 5: sum over k of C(alpha,k) (1-q)^(alpha-k) q^k exp((k^2-k) / (2 s^2)). */
static double log_moment_int(double q, double s, int alpha)
{
    double sum = -INFINITY, log_choose = 0;
    for (int k = 0; k <= alpha; k++) {
        sum = log_add(sum, log_choose + k * log(q) + (alpha - k) * log1p(-q) + ((double)k * k - k) / (2 * s * s));
        log_choose += log((double)(alpha - k) / (k + 1));
    }
    return sum;
}

/* The same for other orders: the integral is cut at z0, where both parts of the mixture weigh the same, and each side is a series. */
static double log_moment(double q, double s, double alpha)
{
    const double z0 = s * s * log(1 / q - 1) + 0.5, log_q = log(q), log_p = log1p(-q);
    double plus = -INFINITY, minus = -INFINITY, log_choose = 0;
    bool positive = true;
    for (double i = 0;; i++) {
        const double j = alpha - i;
        const double below = log_choose + i * log_q + j * log_p + (i * i - i) / (2 * s * s) + log(0.5) + log_erfc((i - z0) / (M_SQRT2 * s));
        const double above = log_choose + j * log_q + i * log_p + (j * j - j) / (2 * s * s) + log(0.5) + log_erfc((z0 - j) / (M_SQRT2 * s));
        if (positive)
            plus = log_add(plus, log_add(below, above));
        else
            minus = log_add(minus, log_add(below, above));
        if (fmax(below, above) < LAST_TERM)
            return log_sub(plus, minus);
        log_choose += log(fabs(alpha - i) / (i + 1));
        positive = positive == (alpha - i > 0);
    }
}

double rdp_of_step(double rate, double noise, double alpha)
{
    assert(rate >= 0 && rate <= 1 && noise >= 0 && alpha > 1);
    if (rate == 0)
        return 0;
    if (noise == 0)
        return INFINITY;
    if (rate == 1)
        return alpha / (2 * noise * noise);
    const double log_a = alpha == floor(alpha) ? log_moment_int(rate, noise, (int)alpha) : log_moment(rate, noise, alpha);
    return isfinite(log_a) ? fmax(0, log_a / (alpha - 1)) : INFINITY;
}

double rdp_to_epsilon(const double *order, const double *rdp, int n, double delta, double *best)
{
    double epsilon = INFINITY;
    for (int i = 0; i < n; i++) {
        const double a = order[i], e = fmax(0, rdp[i] - (log(delta) + log(a)) / (a - 1) + log1p(-1 / a));
        if (e < epsilon) {
            epsilon = e;
            if (best)
                *best = a;
        }
    }
    return epsilon;
}

void rdp_init(struct rdp *r, double rate, double noise)
{
    for (int i = 0; i < N_RDP_ORDER; i++) {
        r->order[i] = rdp_order(i);
        r->step[i] = rdp_of_step(rate, noise, r->order[i]);
    }
}

double rdp_epsilon(const struct rdp *r, double steps, double delta)
{
    double sum[N_RDP_ORDER];
    if (steps <= 0)
        return 0;
    for (int i = 0; i < N_RDP_ORDER; i++)
        sum[i] = r->step[i] * steps;
    return rdp_to_epsilon(r->order, sum, N_RDP_ORDER, delta, NULL);
}
