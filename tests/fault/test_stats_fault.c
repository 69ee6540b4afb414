/* test_stats_fault.c - statistics with each allocation failing in turn: an error, and nothing left behind. */
#include "../test.h"
#include "base/rng.h"
#include "each_allocation.h"
#include "eval/bootstrap.h"
#include "eval/contingency.h"
#include "eval/interval.h"
#include "eval/mmd.h"
#include "eval/multiple.h"
#include "eval/two_sample.h"

static struct err err;
enum { N = 30 };
static double x[N], y[N];
static int64_t cluster[N];

static int intervals(void *ctx)
{
    (void)ctx;
    struct interval_mean m;
    struct interval_two_stage s;
    double adjusted[N];
    TRY(interval_mean(x, NULL, cluster, N, 0.95, &m, &err));
    TRY(interval_two_stage(x, cluster, N, &s, &err));
    TRY(multiple_holm(x, N, adjusted, &err));
    return multiple_bh(x, N, adjusted, &err);
}

static double first_unit(const int32_t *unit, int64_t n, int i_thread, void *ctx) { return (void)n, (void)i_thread, (void)ctx, x[unit[0]]; }

static int bootstraps(void *ctx)
{
    (void)ctx;
    const double *const columns[] = { x, y };
    const struct bootstrap_opts o = { .n_replicate = 50 };
    struct bootstrap b;
    TRY(bootstrap_sums(columns, 2, cluster, N, bootstrap_ratio, NULL, &o, &b, &err));
    return bootstrap_units(N, first_unit, NULL, &o, &b, &err);
}

static int samples(void *ctx)
{
    (void)ctx;
    struct two_sample s;
    double d;
    TRY(two_ks(x, N, y, N, &s, &err));
    TRY(two_mann_whitney(x, 7, y, N, &s, &err));
    TRY(two_cramer_von_mises(x, 6, y, 5, &s, &err));
    TRY(two_wasserstein(x, N, y, N, &d, &err));
    const struct mmd_opts o = { .n_permutation = 9 };
    struct mmd r;
    TRY(mmd_test(x, N, y, N, 1, &o, &r, &err));
    const int64_t count[] = { 1, 2, 3, 4 };
    struct contingency c;
    return contingency_test(count, 2, 2, true, &c, &err);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < N; i++)
        x[i] = rng_uniform(1, i), y[i] = rng_uniform(2, i), cluster[i] = (int64_t)i / 3;
    assert_true(each_allocation(intervals, NULL, false) > 5);
    assert_true(each_allocation(bootstraps, NULL, false) > 5);
    assert_true(each_allocation(samples, NULL, false) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_allocation_may_fail) };
    return cmocka_run_group_tests_name("stats_fault", tests, NULL, NULL);
}
