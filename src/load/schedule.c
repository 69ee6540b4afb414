#include "load/schedule.h"
#include <math.h>
#include "base/rng.h"

void arrivals_init(struct arrivals *a, enum arrival kind, double rate, int burst, double cv, uint64_t seed)
{
    *a = (struct arrivals){ .kind = kind, .rate = rate, .burst = burst, .cv = cv, .key = rng_key(seed, "arrivals") };
}

/* A gamma variate of this shape and scale 1: Marsaglia and Tsang, ACM Trans. Mathematical Software 26, 2000; below 1 by that of shape + 1.
 * Draws of number i are those of the key's stream number i. */
static double gamma_draw(uint64_t key, uint64_t i, double shape)
{
    const uint64_t stream = rng_u64(key, i);
    const double d = (shape < 1 ? shape + 1 : shape) - 1. / 3, c = 1 / sqrt(9 * d);
    for (uint64_t k = 1;; k += 2) {
        const double x = rng_normal(stream, k), v = 1 + c * x, cube = v * v * v;
        if (v > 0 && log(1 - rng_uniform(stream, k + 1)) < 0.5 * x * x + d - d * cube + d * log(cube))
            return d * cube * (shape < 1 ? pow(1 - rng_uniform(stream, 0), 1 / shape) : 1);
    }
}

double arrivals_next(struct arrivals *a)
{
    const uint64_t i = a->i++;
    if (a->kind == ARRIVAL_POISSON)
        a->t -= log1p(-rng_uniform(a->key, i)) / a->rate;
    else if (a->kind == ARRIVAL_GAMMA)
        a->t += a->cv > 0 ? gamma_draw(a->key, i, 1 / (a->cv * a->cv)) * a->cv * a->cv / a->rate : 1 / a->rate;
    else
        a->t = (double)(a->kind == ARRIVAL_CONSTANT ? i : i / (uint64_t)a->burst * (uint64_t)a->burst) / a->rate;
    return a->t;
}

void schedule_make(double *at, int n, enum arrival kind, double rate, int burst, uint64_t seed)
{
    struct arrivals a;
    arrivals_init(&a, kind, rate, burst, 1, seed);
    for (int i = 0; i < n; i++)
        at[i] = arrivals_next(&a);
}
