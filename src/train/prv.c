/* prv.c - one complex transform carries both directions: losses of removal are the real part, losses of addition the imaginary one. */
#include "train/prv.h"
#include <assert.h>
#include <complex.h>
#include <math.h>
#include "base/mem.h"
#include "train/rdp.h"

#define LOSS_MAX 300      /* its exponential is a number still */
enum { REMOVE, ADD, N_DIRECTION };
struct prv {
    double rate, noise, steps, delta, delta_error, eps_error;
    double h, L;
    int n;                               /* points, a power of two: L = n h / 2 */
    double shift[N_DIRECTION];           /* of each point, for the mean */
    double complex *root, *step, *sum;   /* [n/2] roots of unity; [n] transform of a step; [n] */
};

/* ---- Fourier ---- */

static void roots(double complex *root, int n)
{
    for (int i = 0; i < n / 2; i++)
        root[i] = cos(2 * M_PI * i / n) - I * sin(2 * M_PI * i / n);
}

static void reverse_bits(double complex *x, int n)
{
    for (int i = 1, j = 0; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            const double complex t = x[i];
            x[i] = x[j], x[j] = t;
        }
    }
}

/* Not the operator: it looks for infinities in each product. */
static double complex times(double complex a, double complex b)
{
    return creal(a) * creal(b) - cimag(a) * cimag(b) + I * (creal(a) * cimag(b) + cimag(a) * creal(b));
}

/* In place; the inverse, without 1/n, is that of the reversed order. */
static void transform(double complex *x, int n, const double complex *root)
{
    reverse_bits(x, n);
    for (int half = 1; half < n; half *= 2)
        for (int i = 0; i < n; i += 2 * half)
            for (int k = 0; k < half; k++) {
                const double complex a = x[i + k], b = times(x[i + k + half], root[k * (n / 2 / half)]);
                x[i + k] = a + b;
                x[i + k + half] = a - b;
            }
}

static double complex power(double complex x, double n)
{
    double complex y = 1;
    for (uint64_t k = (uint64_t)n; k; k >>= 1) {
        if (k & 1)
            y = times(y, x);
        x = times(x, x);
    }
    return y;
}

/* ---- the loss of a step ---- */

static double upper_tail(double x) { return 0.5 * erfc(x / M_SQRT2); }

/* Output x in units of the bound, noise s: with the record it comes from (1-q) N(0,s^2) + q N(1,s^2), without it from N(0,s^2).
 * log of the ratio of the densities. */
static double log_ratio(const struct prv *p, double x)
{
    const double e = (2 * x - 1) / (2 * p->noise * p->noise);
    return p->rate == 1 ? e : e > 0 ? e + log(p->rate + (1 - p->rate) * exp(-e)) : log1p(p->rate * expm1(e));
}

/* Where the ratio is exp(t); -INFINITY where it is always larger. */
static double output_at(const struct prv *p, double t)
{
    const double e = p->rate == 1 ? t : log1p(expm1(t) / p->rate);
    return isnan(e) || e == -INFINITY ? -INFINITY : p->noise * p->noise * e + 0.5;
}

/* Mass of the outputs in a..b. */
static double mass(const struct prv *p, int direction, double a, double b)
{
    const double s = p->noise, q = direction == REMOVE ? p->rate : 0;
    const double m0 = a > 0 ? upper_tail(a / s) - upper_tail(b / s) : upper_tail(-b / s) - upper_tail(-a / s);
    if (q == 0)
        return m0;
    const double m1 = a > 1 ? upper_tail((a - 1) / s) - upper_tail((b - 1) / s) : upper_tail((1 - b) / s) - upper_tail((1 - a) / s);
    return (1 - q) * m0 + q * m1;
}

/* Mass of losses in from..to. */
static double loss_mass(const struct prv *p, int direction, double from, double to)
{
    return direction == REMOVE ? mass(p, direction, output_at(p, from), output_at(p, to)) : mass(p, direction, output_at(p, -to), output_at(p, -from));
}

/* Mean of the losses in -L..L, by Simpson's rule over the outputs; mass: of these. */
static double loss_mean(const struct prv *p, int direction, double mass_of_all)
{
    const int n = 20000;
    const double s = p->noise, q = direction == REMOVE ? p->rate : 0;
    const double from = fmax(output_at(p, -p->L), -13 * s), to = fmin(output_at(p, p->L), (direction == REMOVE) + 13 * s), w = (to - from) / n;
    double sum = 0;
    for (int i = 0; i <= n; i++) {
        const double x = from + w * i, d0 = exp(-x * x / (2 * s * s)), d1 = exp(-(x - 1) * (x - 1) / (2 * s * s));
        sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * ((1 - q) * d0 + q * d1) * log_ratio(p, x);
    }
    sum *= w / 3 / (s * sqrt(2 * M_PI)) / mass_of_all;
    return direction == REMOVE ? sum : -sum;
}

/* Point i of the grid, negative ones in the upper half as transforms have them. */
static double point(const struct prv *p, int i) { return p->h * (i < p->n / 2 ? i : i - p->n); }

static void put_step(struct prv *p)
{
    double sum[N_DIRECTION], mean[N_DIRECTION] = { 0 };
    for (int d = 0; d < N_DIRECTION; d++)
        sum[d] = loss_mass(p, d, -p->L - p->h / 2, p->L - p->h / 2);
    for (int i = 0; i < p->n; i++) {
        const double t = point(p, i);
        double m[N_DIRECTION];
        for (int d = 0; d < N_DIRECTION; d++) {
            m[d] = loss_mass(p, d, t - p->h / 2, t + p->h / 2) / sum[d];
            mean[d] += m[d] * t;
        }
        p->step[i] = m[REMOVE] + I * m[ADD];
    }
    for (int d = 0; d < N_DIRECTION; d++)
        p->shift[d] = loss_mean(p, d, sum[d]) - mean[d];
    transform(p->step, p->n, p->root);
}

/* ---- many steps ---- */

/* The two spectra out of the one, each to its power, and together again. */
static void compose(struct prv *p, double steps)
{
    const int n = p->n;
    for (int i = 0; i <= n / 2; i++) {
        const int j = i ? n - i : 0;
        const double complex a = p->step[i], b = conj(p->step[j]);
        const double complex remove = power((a + b) / 2, steps), add = power(times(a - b, -I) / 2, steps);
        p->sum[i] = remove + times(I, add);
        p->sum[j] = conj(remove) + times(I, conj(add));
    }
    /* the transform of the conjugate is the conjugate of the inverse */
    for (int i = 0; i < n; i++)
        p->sum[i] = conj(p->sum[i]);
    transform(p->sum, n, p->root);
}

static double mass_at(const struct prv *p, int direction, int i)
{
    const double m = (direction == REMOVE ? creal(p->sum[i]) : -cimag(p->sum[i])) / p->n;
    return m > 0 ? m : 0;
}

/* The least epsilon with sum over losses t > epsilon of mass (1 - exp(epsilon - t)) <= delta, from the largest loss down. */
static double epsilon_at(const struct prv *p, int direction, double steps, double delta)
{
    const double shift = p->shift[direction] * steps;
    double above = 0, weighted = 0;      /* sums of mass and of mass exp(-t) */
    for (int k = p->n - 1; k >= 0; k--) {
        const int i = (k + p->n / 2) % p->n;
        const double t = point(p, i) + shift, m = mass_at(p, direction, i);
        if (above - exp(t) * weighted > delta)
            return fmax(0, log((above - delta) / weighted));
        if (t < 0)
            return above > delta ? fmax(0, log((above - delta) / weighted)) : 0;
        above += m;
        weighted += m * exp(-t);
    }
    return 0;
}

/* What the transforms and the power round, summed over the points that make a delta: of each step's spectrum about 1e-15, which the
 * power multiplies, and of each point far less than the largest masses' last bit. */
static double rounding(const struct prv *p) { return 1e-15 * p->steps + 4e-17 * p->n; }

double prv_epsilon(struct prv *p, double steps, double *lower)
{
    double e = 0, low = 0;
    assert(steps <= p->steps);
    if (steps > 0) {
        compose(p, floor(steps));
        for (int d = 0; d < N_DIRECTION; d++) {
            e = fmax(e, epsilon_at(p, d, steps, p->delta - p->delta_error - rounding(p)) + p->eps_error);
            low = fmax(low, epsilon_at(p, d, steps, p->delta + p->delta_error + rounding(p)) - p->eps_error);
        }
    }
    if (lower)
        *lower = low;
    return e;
}

/* ---- a grid ---- */

static int choose_grid(struct prv *p, struct err *err)
{
    struct rdp r;
    rdp_init(&r, p->rate, p->noise);
    const double all = rdp_epsilon(&r, p->steps, p->delta_error / 4), one = rdp_epsilon(&r, 1, p->delta_error / (8 * p->steps)), L = fmax(fmax(all, one), p->eps_error) + 3;
    p->h = p->eps_error / sqrt(p->steps / 2 * log(12 / p->delta_error));
    if (!(2 * L / p->h <= PRV_POINTS_MAX && L < LOSS_MAX))
        return ERR(err, RANGE, "privacy losses up to %.3g in steps of %.3g, expected at most %d and %d points", L, p->h, LOSS_MAX, PRV_POINTS_MAX);
    for (p->n = 1024; p->n * p->h < 2 * L;)
        p->n *= 2;
    p->L = p->n * p->h / 2;              /* wider than asked for, which only makes it truer */
    if (rounding(p) > p->delta_error)
        return ERR(err, RANGE, "delta %.3g is too small for %d points in double precision", p->delta, p->n);
    return 0;
}

static int take(struct prv *p, struct err *err)
{
    const size_t bytes = (size_t)p->n * sizeof *p->step;
    p->root = mem_map(bytes / 2), p->step = mem_map(bytes), p->sum = mem_map(bytes);
    return p->root && p->step && p->sum ? 0 : ERR(err, NOMEM, "no memory for a grid of %d privacy losses", p->n);
}

int prv_new(struct prv **out, double rate, double noise, double steps, double delta, double eps_error, struct err *err)
{
    assert(rate > 0 && rate <= 1 && noise > 0 && steps >= 1 && delta > 0 && delta < 1 && eps_error > 0);
    struct prv *p = mem_alloc_zero(sizeof *p);
    *out = NULL;
    if (!p)
        return ERR(err, NOMEM, "no memory for a privacy accountant");
    *p = (struct prv){ .rate = rate, .noise = noise, .steps = steps, .delta = delta, .delta_error = delta / 1000, .eps_error = eps_error };
    int rc = choose_grid(p, err);
    if (!rc)
        rc = take(p, err);
    if (rc) {
        prv_free(p);
        return rc;
    }
    roots(p->root, p->n);
    put_step(p);
    *out = p;
    return 0;
}

void prv_free(struct prv *p)
{
    if (!p)
        return;
    const size_t bytes = (size_t)p->n * sizeof *p->step;
    mem_unmap(p->root, bytes / 2);
    mem_unmap(p->step, bytes);
    mem_unmap(p->sum, bytes);
    mem_free(p);
}
