#include "train/privacy.h"
#include <math.h>
#include <stddef.h>
#include "train/prv.h"
#include "train/rdp.h"

#define EPS_ERROR 0.01        /* of the composed losses, and of smaller epsilons this share */
#define CLOSE 0.002           /* the noise found spends at least this close to the target, as a share of it */

int privacy_epsilon(double rate, double noise, double steps, double delta, double *epsilon, struct err *err)
{
    struct rdp r;
    struct prv *p;
    rdp_init(&r, rate, noise);
    *epsilon = rdp_epsilon(&r, steps, delta);
    if (!(*epsilon > 0) || isinf(*epsilon))
        return 0;
    const int rc = prv_new(&p, rate, noise, steps, delta, EPS_ERROR * fmin(1, *epsilon), err);
    if (rc == ERR_RANGE)      /* the divergences are a bound as well */
        return 0;
    TRY(rc);
    *epsilon = fmin(*epsilon, prv_epsilon(p, steps, NULL));
    prv_free(p);
    return 0;
}

/* By divergences alone, which cost little: enough noise, to begin from. */
static double enough_noise(double rate, double epsilon, double steps, double delta)
{
    struct rdp r;
    double low = 0, high = 0.5;
    for (;;) {
        rdp_init(&r, rate, high);
        if (rdp_epsilon(&r, steps, delta) <= epsilon || high >= PRIVACY_NOISE_MAX)
            break;
        low = high;
        high *= 2;
    }
    for (int i = 0; i < 12; i++) {
        const double mid = (low + high) / 2;
        rdp_init(&r, rate, mid);
        if (rdp_epsilon(&r, steps, delta) <= epsilon)
            high = mid;
        else
            low = mid;
    }
    return high;
}

int privacy_noise(double rate, double epsilon, double steps, double delta, double *noise, struct err *err)
{
    double low = 0, high = enough_noise(rate, epsilon, steps, delta), spent;
    TRY(privacy_epsilon(rate, high, steps, delta, &spent, err));
    if (!(spent <= epsilon))
        return ERR(err, USAGE, "epsilon %g over %.0f steps that take %.3g of the records each needs a noise_multiplier over %g; expected fewer steps, a smaller batch, more records, or a larger epsilon or delta",
                   epsilon, steps, rate, PRIVACY_NOISE_MAX);
    /* Epsilon falls about as a power of the noise, which the last two tries tell: a secant that aims inside what is close enough, kept
     * between the bounds that are known. */
    double power = 1.5, at = high, at_spent = spent;
    while (spent < epsilon * (1 - CLOSE) && high - low > 1e-6 * high) {
        double next = at * pow(at_spent / (epsilon * (1 - CLOSE / 2)), 1 / power), e;
        if (!(next > low && next < high))
            next = (low + high) / 2;
        TRY(privacy_epsilon(rate, next, steps, delta, &e, err));
        power = fmin(8, fmax(0.5, log(e / at_spent) / log(at / next)));
        at = next, at_spent = e;
        if (e <= epsilon)
            high = next, spent = e;
        else
            low = next;
    }
    *noise = high;
    return 0;
}
