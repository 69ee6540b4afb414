#include "eval/divergence.h"
#include <math.h>

static int sum_of(const double *p, int64_t k, const char *which, double *sum, struct err *err)
{
    *sum = 0;
    for (int64_t i = 0; i < k; i++) {
        if (!(p[i] >= 0) || isinf(p[i]))
            return ERR(err, NUMERIC, "%s distribution: weight %lld is %g, expected 0 or more", which, (long long)i, p[i]);
        *sum += p[i];
    }
    return *sum > 0 && isfinite(*sum) ? 0 : ERR(err, RANGE, "%s distribution: %lld weights with a sum of %g", which, (long long)k, *sum);
}

/* p ln(p/q) */
static double kl_term(double p, double q) { return p > 0 ? p * log(p / q) : 0; }

int divergence_of(const double *p, const double *q, int64_t k, struct divergence *out, struct err *err)
{
    double sum_p, sum_q, js = 0, squares = 0;
    TRY(sum_of(p, k, "first", &sum_p, err));
    TRY(sum_of(q, k, "second", &sum_q, err));
    *out = (struct divergence){ 0 };
    for (int64_t i = 0; i < k; i++) {
        const double a = p[i] / sum_p, b = q[i] / sum_q, m = a / 2 + b / 2, root = sqrt(a) - sqrt(b);
        out->kl_pq += kl_term(a, b);
        out->kl_qp += kl_term(b, a);
        js += kl_term(a, m) / 2 + kl_term(b, m) / 2;
        squares += root * root;
        out->tv += fabs(a - b) / 2;
    }
    out->js_nat = sqrt(fmax(js, 0));
    out->js_2 = sqrt(fmax(js, 0) / M_LN2);
    out->hellinger = sqrt(squares / 2);
    return 0;
}

int divergence_psi(const double *p, const double *q, int64_t k, double floor, double *out, struct err *err)
{
    double sum_p, sum_q;
    TRY(sum_of(p, k, "first", &sum_p, err));
    TRY(sum_of(q, k, "second", &sum_q, err));
    if (!(floor >= 0 && floor < 1))
        return ERR(err, RANGE, "a floor of %g, expected 0 or more, less than 1", floor);
    *out = 0;
    for (int64_t i = 0; i < k; i++) {
        const double a = fmax(p[i] / sum_p, floor), b = fmax(q[i] / sum_q, floor);
        *out += a == b ? 0 : (a - b) * log(a / b);
    }
    return 0;
}
