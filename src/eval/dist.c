/* dist.c - everything rests on two logarithms that keep their precision for large arguments: that of a binomial (or beta) density, and that
 * of a Poisson (or gamma) density, both as Stirling errors and deviances.  Tails are these times a series or a continued fraction. */
#include "eval/dist.h"
#include <math.h>
#include <stdbool.h>

#define LOG_2PI 1.837877066409345483560659472811
#define MAX_TERMS 100000000             /* more than any argument up to DIST_MAX needs */

double dist_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* ---- the two densities ---- */

/* log(1 + u) - u without cancellation, for -0.5 <= u <= 1: with r = u / (2 + u), log(1 + u) = 2 (r + r^3/3 + r^5/5 ...). */
static double log1p_minus(double u)
{
    const double r = u / (2 + u), r2 = r * r;
    double sum = 0, power = 1;
    for (int i = 3; power > 1e-18; i += 2, power *= r2)
        sum += power / i;
    return r * (2 * r2 * sum - u);
}

/* x log(x / mean) + mean - x >= 0, given also d = x - mean as exactly as the caller has it. */
static double deviance(double x, double mean, double d)
{
    const double u = -d / x;
    return u >= -0.5 && u <= 1 ? -x * log1p_minus(u) : x * log(x / mean) - d;
}

/* log Gamma(x + 1) - (x log x - x + log(2 pi x) / 2), x > 0: the error of Stirling's formula. */
static double stirling_error(double x)
{
    double below = 0;
    for (; x < 16; x++)
        below += (x + 0.5) * log1p(1 / x) - 1;
    const double i = 1 / (x * x);
    return below + (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - (1.0 / 1188 - (691.0 / 360360 - i / 156) * i) * i) * i) * i) * i) / x;
}

/* log of Gamma(a+b+1) / (Gamma(a+1) Gamma(b+1)) x^a y^b, for x + y = 1; the smaller of the two is the one that is taken to be exact. */
static double log_binomial(double a, double b, double x, double y)
{
    const double n = a + b, d = x <= y ? fma(-n, x, a) : fma(n, y, -b);
    return stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x, d) - deviance(b, n * y, -d)
         - 0.5 * (LOG_2PI + log(a / n) + log(b));
}

/* log of x^a y^b / B(a,b) */
static double log_beta_power(double a, double b, double x, double y) { return log_binomial(a, b, x, y) + log(a / (a + b)) + log(b); }

/* log of x^a e^-x / Gamma(a) */
static double log_gamma_power(double a, double x) { return -stirling_error(a) - deviance(a, x, a - x) + 0.5 * (log(a) - LOG_2PI); }

/* ---- both tails, as logarithms ---- */

struct tails { double log_low, log_high, log_power; };       /* of P, of 1 - P, and of x^a y^b / B(a,b) or x^a e^-x / Gamma(a) */

/* log(1 - exp(l)), l <= 0 */
static double log_other(double l) { return l > -0.6931471805599453 ? log(-expm1(l)) : log1p(-exp(l)); }

/* I_x(a,b) over x^a y^b / B(a,b), for x up to the mean a / (a + b). */
static double beta_ratio(double a, double b, double x, double y)
{
    if (x <= 0.5) {             /* all terms positive */
        double sum = 1, term = 1;
        for (double i = 0; i < MAX_TERMS && term > 1e-17 * sum; i++) {
            term *= x * (a + b + i) / (a + 1 + i);
            sum += term;
        }
        return sum / a;
    }
    const double lambda = fma(a + b, y, -b);                    /* a - (a + b) x */
    double f = a * (lambda + 1) / (a + 1), c = f, d = 0;        /* Lentz's method */
    for (double m = 1; m < MAX_TERMS; m++) {
        const double e = a + 2 * m - 1;
        const double above = (a + m - 1) / e * ((a + b + m - 1) / e) * (m * (b - m)) * (x * x);
        const double beside = m + m * (b - m) * x / e + (a + m) / (e + 2) * (lambda + 1 + m * (1 + y));
        d = 1 / (beside + above * d);
        c = beside + above / c;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16)
            break;
    }
    return 1 / f;
}

static struct tails beta_tails(double a, double b, double x, double y)
{
    struct tails t = { .log_power = log_beta_power(a, b, x, y) };
    if (x <= y ? x * (a + b) <= a : y * (a + b) >= b) {
        t.log_low = fmin(t.log_power + log(beta_ratio(a, b, x, y)), 0);
        t.log_high = log_other(t.log_low);
    } else {
        t.log_high = fmin(t.log_power + log(beta_ratio(b, a, y, x)), 0);
        t.log_low = log_other(t.log_high);
    }
    return t;
}

/* log I_x(a,b) where x is next to nothing: x^a / (a B(a,b)). */
static double beta_log_start(double log_x, double a, double b)
{
    return a * log_x + dist_lgamma(a + b) - dist_lgamma(a + 1) - dist_lgamma(b);
}

static struct tails gamma_tails(double a, double x)
{
    struct tails t = { .log_power = log_gamma_power(a, x) };
    if (x <= a) {
        double sum = 1, term = 1;
        for (double i = 1; i < MAX_TERMS && term > 1e-17 * sum; i++)
            sum += term *= x / (a + i);
        t.log_low = fmin(t.log_power + log(sum / a), 0);
        t.log_high = log_other(t.log_low);
        return t;
    }
    double f = x + 1 - a, c = f, d = 0;
    for (double m = 1; m < MAX_TERMS; m++) {
        const double above = m * (a - m), beside = x - a + 2 * m + 1;
        d = 1 / (beside + above * d);
        c = beside + above / c;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16)
            break;
    }
    t.log_high = fmin(t.log_power - log(f), 0);
    t.log_low = log_other(t.log_high);
    return t;
}

/* ---- quantiles: Newton's method on the logarithm of the tail, which is concave, within a bracket that is halved where it would leave it ---- */

/* Which u has a tail of exp(log_p)?  Beta: u = log(x / (1 - x)); gamma (b = 0): u = log(x). */
struct target { double a, b, log_p; bool upper; };

static double target_at(const struct target *t, double u, double *slope)
{
    const struct tails at = t->b > 0 ? beta_tails(t->a, t->b, 1 / (1 + exp(-u)), 1 / (1 + exp(u))) : gamma_tails(t->a, exp(u));
    const double tail = t->upper ? at.log_high : at.log_low;
    *slope = exp(at.log_power - tail);
    return t->upper ? t->log_p - tail : tail - t->log_p;
}

static double target_solve(const struct target *t, double u)
{
    double low = -700, high = 700;
    for (int i = 0; i < 200; i++) {
        double slope;
        const double f = target_at(t, u, &slope);
        const double next = u - f / slope;
        if (fabs(next - u) <= 2e-16 * (0.1 + fabs(u)))
            return next;
        *(f < 0 ? &low : &high) = u;
        u = next > low && next < high ? next : (low + high) / 2;
    }
    return u;
}

/* log(x / (1 - x)) of the beta quantile; of p the half that is given exactly. */
static double beta_logit(double log_p, bool upper, double a, double b)
{
    const double start = (log_p - beta_log_start(0, a, b)) / a, end = (log_p - beta_log_start(0, b, a)) / b;
    if (!upper && start < -50 - log1p(b))
        return start;
    if (upper && end < -50 - log1p(a))
        return -end;
    return target_solve(&(struct target){ a, b, log_p, upper }, log(a / b));
}

/* ---- the distributions ---- */

double dist_normal_cdf(double z) { return 0.5 * erfc(-z * M_SQRT1_2); }
double dist_normal_sf(double z) { return 0.5 * erfc(z * M_SQRT1_2); }

double dist_normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    const double q = fmin(p, 1 - p);
    if (q == 0 || q == 0.5)
        return q > 0 ? 0 : p < 0.5 ? -INFINITY : INFINITY;
    const double s = sqrt(-2 * log(q));
    double z = s - (2.515517 + (0.802853 + 0.010328 * s) * s) / (1 + (1.432788 + (0.189269 + 0.001308 * s) * s) * s);   /* A&S 26.2.23 */
    for (int i = 0; i < 4; i++) {
        const double tail = dist_normal_sf(z), density = exp(-0.5 * (z * z + LOG_2PI));
        z += q > 0.25 ? (0.5 - q - 0.5 * erf(z * M_SQRT1_2)) / density : log(tail / q) * tail / density;
    }
    return p < 0.5 ? -z : z;
}

/* log of P(T > |t|), t not 0; 2 P(T > |t|) = I_x(df/2, 1/2). */
static double t_log_tail(double t, double df)
{
    const double a = df / 2, w = t / sqrt(df), r = w * w;
    if (r > 1e290)
        return beta_log_start(-2 * log(fabs(w)), a, 0.5) - M_LN2;
    if (r < 1e-290)
        return -M_LN2;
    return beta_tails(a, 0.5, 1 / (1 + r), r / (1 + r)).log_low - M_LN2;
}

double dist_t_sf(double t, double df)
{
    if (isnan(t) || !(df > 0))
        return NAN;
    if (df > DIST_MAX)
        return dist_normal_sf(t);
    if (t == 0 || isinf(t))
        return t == 0 ? 0.5 : t < 0;
    const double tail = exp(t_log_tail(t, df));
    return t > 0 ? tail : 1 - tail;
}

double dist_t_cdf(double t, double df) { return dist_t_sf(-t, df); }

double dist_t_quantile(double p, double df)
{
    if (!(p >= 0 && p <= 1) || !(df > 0))
        return NAN;
    if (df > DIST_MAX)
        return dist_normal_quantile(p);
    if (p > 0.5)
        return -dist_t_quantile(1 - p, df);
    if (p == 0 || p == 0.5)
        return p == 0 ? -INFINITY : 0;
    const bool near = p > 0.25;
    return -sqrt(df) * exp(-0.5 * beta_logit(log(near ? 1 - 2 * p : 2 * p), near, df / 2, 0.5));
}

double dist_chi2_cdf(double x, double df)
{
    if (isnan(x) || !(df > 0) || df > DIST_MAX)
        return NAN;
    return x <= 0 ? 0 : isinf(x) ? 1 : exp(gamma_tails(df / 2, x / 2).log_low);
}

double dist_chi2_sf(double x, double df)
{
    if (isnan(x) || !(df > 0) || df > DIST_MAX)
        return NAN;
    return x <= 0 ? 1 : isinf(x) ? 0 : exp(gamma_tails(df / 2, x / 2).log_high);
}

static double chi2_inverse(double p, double df, bool of_sf)
{
    if (!(p >= 0 && p <= 1) || !(df > 0) || df > DIST_MAX)
        return NAN;
    if (p == 0 || p == 1)
        return (p == 0) == of_sf ? INFINITY : 0;
    const bool upper = of_sf == (p <= 0.5);         /* the tail that is at most a half, and exact */
    const double a = df / 2, log_p = log(p <= 0.5 ? p : 1 - p), start = (log_p + dist_lgamma(a + 1)) / a;
    if (!upper && start < -50)
        return 2 * exp(start);
    return 2 * exp(target_solve(&(struct target){ a, 0, log_p, upper }, log(a)));
}

double dist_chi2_quantile(double p, double df) { return chi2_inverse(p, df, false); }
double dist_chi2_isf(double p, double df) { return chi2_inverse(p, df, true); }

double dist_beta_cdf(double x, double a, double b)
{
    if (isnan(x) || !(a > 0 && b > 0) || a + b > DIST_MAX)
        return NAN;
    return x <= 0 ? 0 : x >= 1 ? 1 : exp(beta_tails(a, b, x, 1 - x).log_low);
}

double dist_beta_sf(double x, double a, double b)
{
    if (isnan(x) || !(a > 0 && b > 0) || a + b > DIST_MAX)
        return NAN;
    return x <= 0 ? 1 : x >= 1 ? 0 : exp(beta_tails(a, b, x, 1 - x).log_high);
}

static double beta_inverse(double p, double a, double b, bool of_sf)
{
    if (!(p >= 0 && p <= 1) || !(a > 0 && b > 0) || a + b > DIST_MAX)
        return NAN;
    if (p == 0 || p == 1)
        return (p == 0) == of_sf;
    return 1 / (1 + exp(-beta_logit(log(p <= 0.5 ? p : 1 - p), of_sf == (p <= 0.5), a, b)));
}

double dist_beta_quantile(double p, double a, double b) { return beta_inverse(p, a, b, false); }
double dist_beta_isf(double p, double a, double b) { return beta_inverse(p, a, b, true); }

static bool binom_wrong(int64_t n, double p) { return n < 0 || (double)n > DIST_MAX || !(p >= 0 && p <= 1); }

double dist_binom_log_pmf(int64_t k, int64_t n, double p)
{
    if (binom_wrong(n, p))
        return NAN;
    if (k < 0 || k > n)
        return -INFINITY;
    if (k == 0 || p == 0)
        return k == 0 ? (n == 0 ? 0 : (double)n * log1p(-p)) : -INFINITY;
    if (k == n || p == 1)
        return k == n ? (double)n * log(p) : -INFINITY;
    return log_binomial((double)k, (double)(n - k), p, 1 - p);
}

double dist_binom_pmf(int64_t k, int64_t n, double p) { return exp(dist_binom_log_pmf(k, n, p)); }

double dist_binom_log_cdf(int64_t k, int64_t n, double p)
{
    if (binom_wrong(n, p))
        return NAN;
    if (k < 0)
        return -INFINITY;
    if (k >= n || p == 0)
        return 0;
    return p == 1 ? -INFINITY : beta_tails((double)k + 1, (double)(n - k), p, 1 - p).log_high;
}

double dist_binom_cdf(int64_t k, int64_t n, double p) { return exp(dist_binom_log_cdf(k, n, p)); }

double dist_binom_sf(int64_t k, int64_t n, double p)
{
    if (binom_wrong(n, p))
        return NAN;
    if (k < 0 || k >= n)
        return k < 0;
    return p == 0 || p == 1 ? p : exp(beta_tails((double)k + 1, (double)(n - k), p, 1 - p).log_low);
}

int64_t dist_binom_quantile(double q, int64_t n, double p)
{
    if (binom_wrong(n, p) || !(q >= 0 && q <= 1))
        return -1;
    if (q == 0 || q == 1)
        return q == 0 || p == 0 ? 0 : n;
    int64_t low = -1, high = n;                 /* cdf(low) < q <= cdf(high) */
    const double guess = (double)n * p + dist_normal_quantile(q) * sqrt((double)n * p * (1 - p));
    int64_t k = guess < 0 ? 0 : guess >= (double)n ? n - 1 : (int64_t)guess;
    for (int64_t step = 1; high - low > 1;) {   /* steps that double until the guess is between, then halves */
        const bool enough = q <= 0.5 ? dist_binom_cdf(k, n, p) >= q : dist_binom_sf(k, n, p) <= 1 - q;
        *(enough ? &high : &low) = k;
        const int64_t next = enough ? k - step : k + step;
        k = next > low && next < high ? next : low + (high - low) / 2;
        step *= 2;
    }
    return high;
}
