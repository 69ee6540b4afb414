#include "eval/sequential.h"
#include <math.h>
#include "eval/dist.h"

double eprocess_log_e(int64_t b, int64_t c, bool two_sided)
{
    const int64_t m = b + c;
    const double different = -log((double)(m + 1)) - dist_binom_log_pmf(b, m, 0.5);
    return two_sided ? different : M_LN2 + different + dist_binom_log_cdf(b, m + 1, 0.5);
}

int eprocess_init(struct eprocess *e, double alpha, bool two_sided, struct err *err)
{
    if (!(alpha > 0 && alpha < 1))
        return ERR(err, RANGE, "alpha %g, expected more than 0 and less than 1", alpha);
    *e = (struct eprocess){ .alpha = alpha, .two_sided = two_sided };
    return 0;
}

bool eprocess_add(struct eprocess *e, bool old_right, bool new_right)
{
    e->n_item++;
    if (old_right != new_right) {
        *(old_right ? &e->b : &e->c) += 1;
        e->log_e = eprocess_log_e(e->b, e->c, e->two_sided);
        e->log_e_max = fmax(e->log_e_max, e->log_e);
        if (!e->stopped_at && e->log_e >= -log(e->alpha))
            e->stopped_at = e->n_item;
    }
    return e->stopped_at > 0;
}

double eprocess_p(const struct eprocess *e) { return fmin(1, exp(-e->log_e_max)); }

int64_t loadgen_min_passing(int64_t t, double percentile, double confidence)
{
    const int64_t limit = DIST_MAX / 8;
    if (t < 0 || t > limit || !(percentile > 0 && percentile < 1) || !(confidence > 0 && confidence < 1))
        return -1;
    int64_t low = 0, high = 1;                  /* h = low is not enough (or 0), high is */
    while (high < limit && dist_binom_cdf(t, high + t, 1 - percentile) > 1 - confidence)
        low = high, high *= 2;
    if (high >= limit)
        return -1;
    while (high - low > 1) {
        const int64_t h = low + (high - low) / 2;
        *(dist_binom_cdf(t, h + t, 1 - percentile) > 1 - confidence ? &low : &high) = h;
    }
    return high;
}
