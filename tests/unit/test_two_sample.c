/* Two samples, tables, divergences, vectors: edges first, then what no table has: the exact tests against all orders, and how often they are wrong. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/contingency.h"
#include "eval/dist.h"
#include "eval/divergence.h"
#include "eval/mmd.h"
#include "eval/two_sample.h"

static struct err err;

static void near_to(double got, double want, double absolute, const char *what)
{
    if (!(fabs(got - want) <= absolute))
        fail_msg("%s: %.17g, expected %.17g", what, got, want);
}
#define NEAR(got, want, absolute) near_to((got), (want), (absolute), #got)

typedef int (*test_fn)(const double *x, int64_t n, const double *y, int64_t m, struct two_sample *out, struct err *err);
static const test_fn tests_of_two[] = { two_ks, two_mann_whitney, two_cramer_von_mises };

static void empty_samples_and_values_that_are_no_numbers_are_refused(void **state)
{
    (void)state;
    const double x[] = { 1, NAN, 2 }, y[] = { 1, INFINITY };
    struct two_sample s;
    double d;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tests_of_two[i](x, 0, y, 1, &s, &err), ERR_RANGE);
        assert_int_equal(tests_of_two[i](x, 1, y, -1, &s, &err), ERR_RANGE);
        assert_int_equal(tests_of_two[i](x, 3, y, 1, &s, &err), ERR_NUMERIC);
        assert_string_equal(err.msg, "first sample: value 1 is nan, expected a finite number");
        assert_int_equal(tests_of_two[i](x, 1, y, 2, &s, &err), ERR_NUMERIC);
        assert_string_equal(err.msg, "second sample: value 1 is inf, expected a finite number");
    }
    assert_int_equal(two_wasserstein(x, 0, y, 1, &d, &err), ERR_RANGE);
    assert_int_equal(two_energy(x, 3, y, 1, &d, &err), ERR_NUMERIC);
}

static void one_value_each_and_all_values_equal_say_nothing(void **state)
{
    (void)state;
    const double same[] = { 4, 4, 4, 4, 4, 4, 4, 4, 4, 4 }, other[] = { 5 };
    struct two_sample s;
    double d;
    for (int i = 0; i < 3; i++) {
        OK(tests_of_two[i](same, 10, same, 9, &s, &err));
        assert_true(s.p == 1);
        OK(tests_of_two[i](same, 1, other, 1, &s, &err));
        assert_true(s.p == 1);
    }
    OK(two_anderson_darling(same, 3, same, 3, &s, &err));
    assert_true(s.p == 1);
    assert_int_equal(two_anderson_darling(same, 2, other, 1, &s, &err), ERR_RANGE);
    OK(two_ks(same, 3, other, 1, &s, &err));
    assert_true(s.statistic == 1 && fabs(s.p - 0.5) < 1e-15);
    OK(two_wasserstein(same, 10, same, 3, &d, &err));
    assert_true(d == 0);
    OK(two_energy(same, 10, other, 1, &d, &err));
    NEAR(d, sqrt(2), 1e-15);
    OK(two_wasserstein(same, 10, other, 1, &d, &err));
    assert_true(d == 1);
}

/* All C(11, 5) orders, one after the other; a p-value is the share of them whose statistic is as extreme. */
static void exact_p_values_are_shares_of_all_orders(void **state)
{
    (void)state;
    enum { N = 5, M = 6, ALL = 1 << (N + M) };
    static struct two_sample result[462][3];
    int count = 0;
    for (int set = 0; set < ALL; set++) {
        if (__builtin_popcount((unsigned)set) != N)
            continue;
        double x[N], y[M];
        int i = 0, j = 0;
        for (int v = 0; v < N + M; v++)
            *(set >> v & 1 ? &x[i++] : &y[j++]) = v;
        for (int t = 0; t < 3; t++) {
            OK(tests_of_two[t](x, N, y, M, &result[count][t], &err));
            assert_true(result[count][t].exact);
        }
        count++;
    }
    assert_int_equal(count, 462);
    for (int t = 0; t < 3; t++)
        for (int a = 0; a < count; a++) {
            int as_extreme = 0;
            for (int b = 0; b < count; b++) {
                const double seen = result[a][t].statistic, other = result[b][t].statistic;
                as_extreme += t == 1 ? fabs(other - N * M / 2.0) >= fabs(seen - N * M / 2.0) : other >= seen - 1e-9;
            }
            NEAR(result[a][t].p, fmin(1, as_extreme / 462.0), 1e-12);
        }
}

static void large_samples_use_the_limits(void **state)
{
    (void)state;
    enum { N = 10001 };
    double *x = mem_alloc_array(N, sizeof *x), *y = mem_alloc_array(N, sizeof *y);
    for (uint64_t i = 0; i < N; i++)
        x[i] = rng_normal(1, i), y[i] = rng_normal(2, i);
    struct two_sample s[3], exact;
    for (int t = 0; t < 3; t++) {
        OK(tests_of_two[t](x, N, y, 9000, &s[t], &err));
        assert_true(!s[t].exact && s[t].p > 1e-3 && s[t].p < 1);
    }
    OK(two_ks(x, N - 1, y, 9000, &exact, &err));
    assert_true(exact.exact);
    NEAR(exact.p, s[0].p, 0.01);
    for (uint64_t i = 0; i < N; i++)
        y[i] += 0.1;
    for (int t = 0; t < 3; t++) {
        OK(tests_of_two[t](x, N, y, N, &s[t], &err));
        assert_true(s[t].p < 1e-4);
    }
    mem_free(x);
    mem_free(y);
}

/* A test at 5 % is wrong in about 5 % of what has not changed, ties (four answers) or not; a discrete one in fewer. */
static void false_alarms_are_as_few_as_they_say(void **state)
{
    (void)state;
    enum { RUNS = FEWER(2000, 100), N = 60, M = 45 };
    int alarms[2][3] = { { 0 } }, table_alarms = 0;
    for (uint64_t run = 0; run < RUNS; run++)
        for (int ties = 0; ties < 2; ties++) {
            double v[N + M];
            int64_t count[2][4] = { { 0 } };
            for (uint64_t i = 0; i < N + M; i++) {
                v[i] = ties ? (double)rng_below(run + 1, i, 4) : rng_uniform(run + 1, i);
                count[i < N][ties ? (int)v[i] : 0]++;
            }
            struct two_sample s;
            for (int t = 0; t < 3; t++) {
                OK(tests_of_two[t](v, N, v + N, M, &s, &err));
                alarms[ties][t] += s.p <= 0.05;
            }
            struct contingency c;
            if (ties) {
                OK(contingency_test(&count[0][0], 2, 4, true, &c, &err));
                table_alarms += c.p <= 0.05;
            }
        }
    const double most = 0.05 * RUNS + 4 * sqrt(0.05 * 0.95 * RUNS);
    for (int ties = 0; ties < 2; ties++)
        for (int t = 0; t < (ties ? 2 : 3); t++)            /* Cramér-von Mises takes no notice of ties: 7 % of four answers */
            assert_true(alarms[ties][t] <= most);
    assert_true(alarms[0][0] > 0.025 * RUNS && alarms[0][1] > 0.03 * RUNS && alarms[0][2] > 0.03 * RUNS && table_alarms <= most);
}

static void kolmogorovs_distribution_at_its_ends(void **state)
{
    (void)state;
    assert_true(isnan(kolmogorov_sf(NAN, 3)) && isnan(kolmogorov_sf(0.1, 0)));
    assert_true(kolmogorov_sf(0, 5) == 1 && kolmogorov_sf(-1, 5) == 1 && kolmogorov_sf(1, 5) == 0 && kolmogorov_sf(0.1, 5) == 1);
    for (double d = 0.5; d < 1; d += 0.01) {
        NEAR(kolmogorov_sf(d, 1), 2 - 2 * d, 1e-14);
        NEAR(kolmogorov_sf(d, 2), 2 * (1 - d) * (1 - d), 1e-14);       /* d >= 1/2 */
    }
    for (int64_t n = 1000000; n < INT64_MAX / 1000; n *= 1000) {        /* 2 sum (-1)^(k-1) exp(-2 k^2 z^2) */
        NEAR(kolmogorov_sf(1 / sqrt((double)n), n), 0.26999967167735456, 2e-3);
        NEAR(kolmogorov_sf(1.6 / sqrt((double)n), n), 0.011952, 1e-4);
    }
}

/* ---- tables ---- */

static void tables_without_freedom_say_nothing(void **state)
{
    (void)state;
    const int64_t one[] = { 3, 4 }, empty[] = { 3, 0, 4, 0 }, wrong[] = { 3, -1, 4, 2 }, huge[] = { INT64_MAX, INT64_MAX, 1, 1 };
    struct contingency c;
    OK(contingency_test(one, 1, 2, true, &c, &err));
    assert_true(c.df == 0 && c.p == 1 && c.g_p == 1 && c.cramer_v == 0);
    assert_int_equal(contingency_test(empty, 2, 2, true, &c, &err), ERR_RANGE);
    assert_string_equal(err.msg, "column 1 of the table has no counts");
    assert_int_equal(contingency_test(wrong, 2, 2, true, &c, &err), ERR_RANGE);
    assert_int_equal(contingency_test(huge, 2, 2, true, &c, &err), ERR_RANGE);
    assert_int_equal(contingency_test(one, 0, 2, true, &c, &err), ERR_RANGE);
    const int64_t nothing[2][2] = { { 0, 0 }, { 0, 0 } }, row[2][2] = { { 4, 2 }, { 0, 0 } }, less[2][2] = { { 4, -2 }, { 0, 0 } };
    struct contingency_fisher f;
    OK(contingency_fisher(nothing, &f, &err));
    assert_true(f.two_sided == 1 && f.less == 1 && f.greater == 1);
    OK(contingency_fisher(row, &f, &err));
    assert_true(f.two_sided == 1 && f.less == 1 && f.greater == 1);
    assert_int_equal(contingency_fisher(less, &f, &err), ERR_RANGE);
}

static void fishers_test_of_millions_is_the_normal_one(void **state)
{
    (void)state;
    const int64_t t[2][2] = { { 250400000, 249600000 }, { 249800000, 250200000 } };
    struct contingency_fisher f;
    struct contingency c;
    OK(contingency_fisher(t, &f, &err));
    OK(contingency_test(&t[0][0], 2, 2, true, &c, &err));
    assert_true(f.two_sided > 0 && fabs(f.two_sided / c.p - 1) < 1e-2);
    const int64_t even[2][2] = { { 250000000, 250000000 }, { 250000000, 250000000 } };
    OK(contingency_fisher(even, &f, &err));
    assert_true(f.two_sided == 1);
    NEAR(f.less, 0.5, 1e-4);
}

/* ---- divergences ---- */

static void divergences_at_their_ends(void **state)
{
    (void)state;
    const double p[] = { 1, 0 }, q[] = { 0, 2 }, wrong[] = { 1, NAN }, zero[] = { 0, 0 }, less[] = { 2, -1 };
    struct divergence d;
    double psi;
    OK(divergence_of(p, q, 2, &d, &err));
    assert_true(d.kl_pq == INFINITY && d.kl_qp == INFINITY && d.js_2 == 1 && d.tv == 1 && d.hellinger == 1);
    NEAR(d.js_nat, sqrt(M_LN2), 1e-15);
    OK(divergence_of(q, q, 2, &d, &err));
    assert_true(d.kl_pq == 0 && d.js_nat == 0 && d.tv == 0 && d.hellinger == 0);
    OK(divergence_psi(p, q, 2, 0, &psi, &err));
    assert_true(psi == INFINITY);
    OK(divergence_psi(p, q, 2, 1e-4, &psi, &err));
    NEAR(psi, 2 * (1 - 1e-4) * log(1e4), 1e-12);
    assert_int_equal(divergence_of(p, wrong, 2, &d, &err), ERR_NUMERIC);
    assert_int_equal(divergence_of(zero, p, 2, &d, &err), ERR_RANGE);
    assert_int_equal(divergence_of(p, q, 0, &d, &err), ERR_RANGE);
    assert_int_equal(divergence_psi(less, q, 2, 0, &psi, &err), ERR_NUMERIC);
    assert_int_equal(divergence_psi(p, q, 2, NAN, &psi, &err), ERR_RANGE);
}

/* ---- vectors ---- */

static void sets_that_cannot_be_compared_are_refused(void **state)
{
    (void)state;
    const double x[] = { 1, 1, 1, NAN };
    struct mmd r;
    const struct mmd_opts o = { 0 }, wrong = { .sigma = -1 };
    assert_int_equal(mmd_test(x, 1, x, 2, 1, &o, &r, &err), ERR_RANGE);
    assert_int_equal(mmd_test(x, 2, x, MMD_VECTORS, 1, &o, &r, &err), ERR_RANGE);
    assert_int_equal(mmd_test(x, 3, x, 3, 1, &wrong, &r, &err), ERR_RANGE);
    assert_int_equal(mmd_test(x, 3, x, 2, 1, &o, &r, &err), ERR_RANGE);
    assert_string_equal(err.msg, "the median distance of the reference is 0, so it gives no width of the kernel");
    assert_int_equal(mmd_test(x, 3, x, 4, 1, &o, &r, &err), ERR_NUMERIC);
}

static void a_permutation_test_is_never_surer_than_it_can_be_and_the_same_with_any_threads(void **state)
{
    (void)state;
    enum { N = 30, M = 20, D = 4 };
    double x[N * D], y[M * D];
    for (uint64_t i = 0; i < N * D; i++)
        x[i] = rng_normal(1, i);
    for (uint64_t i = 0; i < M * D; i++)
        y[i] = 3 + rng_normal(2, i);
    struct mmd alone, with;
    const struct mmd_opts o = { .n_permutation = 199, .seed = 9 };
    OK(mmd_test(x, N, y, M, D, &o, &alone, &err));
    assert_true(alone.p == 1.0 / 200 && alone.mmd2 > 0.1);
    for (uint64_t i = 0; i < M * D; i++)
        y[i] -= 2.8;
    OK(mmd_test(x, N, y, M, D, &o, &alone, &err));
    for (int n_thread = 1; n_thread < 4; n_thread++) {
        struct mmd_opts of = o;
        OK(pool_new(&of.pool, n_thread, &err));
        OK(mmd_test(x, N, y, M, D, &of, &with, &err));
        assert_memory_equal(&alone, &with, sizeof alone);
        pool_free(of.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_samples_and_values_that_are_no_numbers_are_refused),
        cmocka_unit_test(one_value_each_and_all_values_equal_say_nothing),
        cmocka_unit_test(exact_p_values_are_shares_of_all_orders),
        cmocka_unit_test(large_samples_use_the_limits),
        cmocka_unit_test(false_alarms_are_as_few_as_they_say),
        cmocka_unit_test(kolmogorovs_distribution_at_its_ends),
        cmocka_unit_test(tables_without_freedom_say_nothing),
        cmocka_unit_test(fishers_test_of_millions_is_the_normal_one),
        cmocka_unit_test(divergences_at_their_ends),
        cmocka_unit_test(sets_that_cannot_be_compared_are_refused),
        cmocka_unit_test(a_permutation_test_is_never_surer_than_it_can_be_and_the_same_with_any_threads),
    };
    return cmocka_run_group_tests_name("two_sample", tests, NULL, NULL);
}
