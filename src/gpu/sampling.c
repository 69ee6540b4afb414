#include "gpu/sampling.h"
#include <math.h>
#include <stdbool.h>
#include "base/rng.h"

#define COLD 1e-6       /* as infer/sample.c */

struct gpu_sampling gpu_sampling_of(double temperature, int top_k, double top_p, double min_p, uint64_t seed)
{
    const bool cold = temperature < COLD || top_k == 1;
    return (struct gpu_sampling){ .inverse = cold ? 0 : 1 / temperature, .width = min_p > 0 ? temperature * log(min_p) : -INFINITY,
                                  .top_p = top_p >= 1 ? (uint64_t)1 << 53 : top_p <= 0 ? 0 : (uint64_t)ceil(ldexp(top_p, 53)), .key = rng_key(seed, "sample"), .top_k = top_k > 0 ? top_k : 0 };
}
