/* stats.c - seconds of CPU time of what an evaluation repeats: bootstraps of 5,153 items, and p-values of 100,000 tests.
 *
 *     build/bench/stats */
#include <stdio.h>
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "eval/bootstrap.h"
#include "eval/multiple.h"
#include "eval/paired.h"

int main(void)
{
    enum { N = 5153, TESTS = 100000 };
    static double x[N], w[N], p[TESTS], adjusted[TESTS];
    static uint8_t old[TESTS], new[TESTS];
    struct err err;
    struct bootstrap b;
    for (uint64_t i = 0; i < N; i++)
        x[i] = -4 * rng_uniform(1, i), w[i] = 1 + (double)rng_below(2, i, 30);
    const double *const columns[] = { x, w, w };
    const struct bootstrap_opts o = { .n_replicate = 100000, .seed = 1 };
    double start = clock_cpu();
    if (bootstrap_sums(columns, 1, NULL, N, bootstrap_mean, NULL, &o, &b, &err) < 0)
        return 1;
    printf("mean        100,000 replicates of 5,153 items   %.3f s   se %.6f, BCa %.4f to %.4f\n", clock_cpu() - start, b.se, b.bca[0], b.bca[1]);
    start = clock_cpu();
    if (bootstrap_sums(columns, 2, NULL, N, bootstrap_perplexity, NULL, &o, &b, &err) < 0)
        return 1;
    printf("perplexity  100,000 replicates of 5,153 items   %.3f s   se %.6f, BCa %.4f to %.4f\n", clock_cpu() - start, b.se, b.bca[0], b.bca[1]);
    start = clock_cpu();
    if (bootstrap_sums(columns, 3, NULL, N, bootstrap_difference, NULL, &o, &b, &err) < 0)
        return 1;
    printf("difference  100,000 replicates of 5,153 items   %.3f s   se %.6f, BCa %.4f to %.4f\n", clock_cpu() - start, b.se, b.bca[0], b.bca[1]);
    for (uint64_t i = 0; i < TESTS; i++)
        p[i] = rng_uniform(3, i), old[i] = rng_uniform(4, i) < 0.5, new[i] = rng_uniform(5, i) < 0.5;
    start = clock_cpu();
    if (multiple_holm(p, TESTS, adjusted, &err) < 0)
        return 1;
    printf("Holm        100,000 p-values                    %.2f ms\n", 1e3 * (clock_cpu() - start));
    start = clock_cpu();
    if (multiple_bh(p, TESTS, adjusted, &err) < 0)
        return 1;
    printf("BH          100,000 p-values                    %.2f ms\n", 1e3 * (clock_cpu() - start));
    start = clock_cpu();
    const struct paired_counts k = paired_count(old, new, TESTS);
    struct paired_test t;
    if (paired_mcnemar(k.b, k.c, &t, &err) < 0)
        return 1;
    printf("McNemar     100,000 items                       %.2f ms   p %.4f\n", 1e3 * (clock_cpu() - start), t.exact);
    return 0;
}
