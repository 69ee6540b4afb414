/* Distributions, intervals, adjusted p-values, paired counts: edges first, then published and computed values. */
#include "../near.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/multiple.h"
#include "eval/order.h"
#include "eval/paired.h"

static struct err err;

#define NEAR(got, want, relative) near_to((got), (want), (relative), #got)

/* ---- distributions ---- */

static void outside_of_their_domain_distributions_are_not_numbers(void **state)
{
    (void)state;
    assert_true(isnan(dist_normal_cdf(NAN)) && isnan(dist_normal_quantile(NAN)) && isnan(dist_normal_quantile(-0.1)) && isnan(dist_normal_quantile(1.1)));
    assert_true(isnan(dist_t_cdf(NAN, 3)) && isnan(dist_t_sf(1, 0)) && isnan(dist_t_cdf(1, NAN)) && isnan(dist_t_quantile(0.5, -1)) && isnan(dist_t_quantile(NAN, 1)));
    assert_true(isnan(dist_chi2_cdf(NAN, 3)) && isnan(dist_chi2_sf(1, 0)) && isnan(dist_chi2_quantile(2, 1)) && isnan(dist_chi2_cdf(1, INFINITY)));
    assert_true(isnan(dist_beta_cdf(NAN, 1, 1)) && isnan(dist_beta_cdf(0.5, 0, 1)) && isnan(dist_beta_sf(0.5, 1, NAN)) && isnan(dist_beta_quantile(0.5, 1, INFINITY)));
    assert_true(isnan(dist_binom_cdf(1, -1, 0.5)) && isnan(dist_binom_pmf(1, 2, NAN)) && isnan(dist_binom_sf(1, INT64_MAX, 0.5)));
    assert_int_equal(dist_binom_quantile(NAN, 3, 0.5), -1);
    assert_int_equal(dist_binom_quantile(0.5, 3, 1.5), -1);
}

static void ends_of_the_support_are_exact(void **state)
{
    (void)state;
    assert_true(dist_normal_quantile(0) == -INFINITY && dist_normal_quantile(1) == INFINITY && dist_normal_quantile(0.5) == 0);
    assert_true(dist_normal_cdf(-INFINITY) == 0 && dist_normal_sf(-INFINITY) == 1);
    assert_true(dist_t_cdf(0, 7) == 0.5 && dist_t_cdf(INFINITY, 2) == 1 && dist_t_sf(INFINITY, 2) == 0 && dist_t_quantile(0.5, 3) == 0 && dist_t_quantile(1, 3) == INFINITY);
    assert_true(dist_chi2_cdf(0, 1) == 0 && dist_chi2_sf(-1, 1) == 1 && dist_chi2_cdf(INFINITY, 1) == 1 && dist_chi2_quantile(0, 2) == 0 && dist_chi2_quantile(1, 2) == INFINITY);
    assert_true(dist_beta_cdf(0, 2, 3) == 0 && dist_beta_cdf(1, 2, 3) == 1 && dist_beta_sf(-5, 2, 3) == 1 && dist_beta_quantile(0, 2, 3) == 0 && dist_beta_quantile(1, 2, 3) == 1);
    assert_true(dist_binom_cdf(0, 0, 0.3) == 1 && dist_binom_pmf(0, 0, 0.3) == 1 && dist_binom_sf(-1, 0, 0.3) == 1 && dist_binom_cdf(-1, 5, 0.3) == 0);
    assert_true(dist_binom_pmf(0, 5, 0) == 1 && dist_binom_pmf(5, 5, 1) == 1 && dist_binom_pmf(4, 5, 1) == 0 && dist_binom_cdf(4, 5, 1) == 0 && dist_binom_sf(0, 5, 0) == 0);
    assert_int_equal(dist_binom_quantile(0, 5, 0.5), 0);
    assert_int_equal(dist_binom_quantile(1, 5, 0.5), 5);
    assert_int_equal(dist_binom_quantile(0.3, 5, 0), 0);
    assert_int_equal(dist_binom_quantile(0.3, 5, 1), 5);
    assert_int_equal(dist_binom_quantile(0.3, 0, 0.5), 0);
}

/* Closed forms: t with 1 and 2 degrees of freedom, chi2 with 2, beta with b = 1, binomial at its ends. */
static void closed_forms_hold_far_into_the_tails(void **state)
{
    (void)state;
    for (double t = 1e-3; t < 1e150; t *= 37) {
        NEAR(dist_t_sf(t, 1), atan(1 / t) / M_PI, 1e-13);
        NEAR(dist_t_sf(t, 2), 1 / (2 + t * t + t * sqrt(2 + t * t)), 3e-13);
    }
    NEAR(dist_t_quantile(1e-300, 1), -1 / (M_PI * 1e-300), 1e-12);
    for (double x = 1e-6; x < 1400; x *= 3) {
        NEAR(dist_chi2_sf(x, 2), exp(-x / 2), 1e-13);
        NEAR(dist_chi2_cdf(x, 2), -expm1(-x / 2), 1e-13);
    }
    for (double p = 1e-300; p < 1; p *= 1e7) {
        NEAR(dist_beta_cdf(p, 3, 1), p * p * p, 1e-12);
        NEAR(dist_beta_quantile(p, 3, 1), cbrt(p), 1e-12);
        NEAR(dist_chi2_quantile(p, 2), -2 * log1p(-p), 1e-12);
        NEAR(dist_normal_cdf(dist_normal_quantile(p)), p, 1e-12);
    }
    NEAR(dist_binom_cdf(0, 1000000000, 1e-9), exp(1e9 * log1p(-1e-9)), 1e-12);
    NEAR(dist_binom_sf(999999999, 1000000000, 0.9999999), exp(1e9 * log1p(-1e-7)), 1e-7);      /* 0.9999999 itself is rounded */
    NEAR(dist_binom_log_cdf(0, 5000, 0.5), -5000 * M_LN2, 1e-14);
}

static void symmetries_and_inverses_hold_for_random_arguments(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        const double a = 0.5 * exp(9 * rng_uniform(1, i)), b = 0.5 * exp(9 * rng_uniform(2, i)), p = rng_uniform(3, i);
        const double x = dist_beta_quantile(p, a, b);
        if (x > 0.1 && x < 0.9)
            NEAR(dist_beta_cdf(x, a, b), p, 1e-10);
        NEAR(dist_beta_cdf(x, a, b) + dist_beta_sf(x, a, b), 1, 1e-15);
        NEAR(dist_chi2_cdf(dist_chi2_quantile(p, a), a), p, 1e-11);
        NEAR(dist_t_cdf(dist_t_quantile(p, a), a), p, 1e-11);
        const int64_t n = 1 + (int64_t)rng_below(4, i, 100000), k = dist_binom_quantile(p, n, x);
        if (x > 0 && x < 1)
            assert_true(dist_binom_cdf(k, n, x) >= p * (1 - 1e-13) && (k == 0 || dist_binom_cdf(k - 1, n, x) < p * (1 + 1e-13)));
    }
}

static void t_quantiles_are_the_tables(void **state)
{
    (void)state;
    NEAR(dist_t_quantile(0.975, 1), tan(0.475 * M_PI), 1e-13);
    NEAR(dist_t_quantile(0.975, 2), 0.95 / sqrt(0.5 * (1 - 0.95 * 0.95)), 1e-13);
    NEAR(dist_t_quantile(0.975, 5), 2.570581835636314, 1e-9);
    NEAR(dist_t_quantile(0.975, 10), 2.2281388519649385, 1e-9);
    NEAR(dist_t_quantile(0.975, 30), 2.0422724563012373, 1e-9);
    NEAR(dist_t_quantile(0.975, 100), 1.9839715184496334, 1e-9);
    NEAR(dist_t_quantile(0.975, INFINITY), 1.959963984540054, 1e-14);
    NEAR(dist_normal_quantile(0.975), 1.959963984540054, 1e-14);
    NEAR(dist_chi2_sf(1.6224089635854342, 5), 0.8985262394026607, 1e-12);
    NEAR(dist_chi2_sf(3.0625, 1), 0.08011831372763421, 1e-12);
}

/* ---- intervals ---- */

static void an_interval_of_nothing_is_everything(void **state)
{
    (void)state;
    double ci[2];
    OK(interval_wilson(0, 0, 0.95, ci, &err));
    assert_true(ci[0] == 0 && ci[1] == 1);
    OK(interval_clopper_pearson(0, 0, 0.95, ci, &err));
    assert_true(ci[0] == 0 && ci[1] == 1);
}

static void none_and_all_of_n_have_closed_intervals(void **state)
{
    (void)state;
    double ci[2];
    for (int64_t n = 1; n < 2000000000; n *= 7) {
        OK(interval_wilson(0, n, 0.95, ci, &err));
        const double z2 = 1.959963984540054 * 1.959963984540054;
        assert_true(ci[0] == 0);
        NEAR(ci[1], z2 / ((double)n + z2), 1e-13);
        OK(interval_clopper_pearson(0, n, 0.95, ci, &err));
        assert_true(ci[0] == 0);
        NEAR(ci[1], -expm1(log(0.025) / (double)n), 1e-12);
        OK(interval_clopper_pearson(n, n, 0.95, ci, &err));
        assert_true(ci[1] == 1);
        NEAR(ci[0], pow(0.025, 1 / (double)n), 1e-12);
    }
}

static void shares_that_are_none_are_refused(void **state)
{
    (void)state;
    double ci[2];
    assert_int_equal(interval_wilson(2, 1, 0.95, ci, &err), ERR_RANGE);
    assert_int_equal(interval_wilson(-1, 1, 0.95, ci, &err), ERR_RANGE);
    assert_int_equal(interval_clopper_pearson(0, -1, 0.95, ci, &err), ERR_RANGE);
    assert_int_equal(interval_clopper_pearson(0, 1, 1, ci, &err), ERR_RANGE);
    assert_int_equal(interval_wilson(0, 1, NAN, ci, &err), ERR_RANGE);
    assert_string_equal(err.msg, "confidence level nan, expected more than 0 and less than 1");
}

static void intervals_of_81_in_263(void **state)
{
    (void)state;
    double ci[2];
    OK(interval_wilson(81, 263, 0.95, ci, &err));
    NEAR(ci[0], 0.2552885198782742, 1e-12);
    NEAR(ci[1], 0.36620957698280004, 1e-12);
    OK(interval_clopper_pearson(81, 263, 0.95, ci, &err));
    NEAR(ci[0], 0.2527367455852713, 1e-12);
    NEAR(ci[1], 0.36762192260135146, 1e-12);
}

/* Summed over all k: Clopper-Pearson's interval never holds the true share less often than it says, Wilson's does on average. */
static void intervals_hold_the_true_share_as_often_as_they_say(void **state)
{
    (void)state;
    const int64_t sizes[] = { 1, 2, 10, 37, 150 };
    for (int s = 0; s < 5; s++) {
        const int64_t n = sizes[s];
        double wilson = 0, wilson_least = 1, exact_least = 1, ci[151][2][2];
        for (int64_t k = 0; k <= n; k++) {
            OK(interval_wilson(k, n, 0.95, ci[k][0], &err));
            OK(interval_clopper_pearson(k, n, 0.95, ci[k][1], &err));
        }
        for (int i = 1; i < 500; i++) {
            const double p = i / 500.0;
            double holds[2] = { 0 };
            for (int64_t k = 0; k <= n; k++)
                for (int which = 0; which < 2; which++)
                    holds[which] += ci[k][which][0] <= p && p <= ci[k][which][1] ? dist_binom_pmf(k, n, p) : 0;
            wilson += holds[0] / 499;
            wilson_least = fmin(wilson_least, holds[0]), exact_least = fmin(exact_least, holds[1]);
        }
        assert_true(exact_least >= 0.95 - 1e-12);
        assert_true(wilson > 0.95 && wilson < 0.96);
        assert_true(wilson_least > (n < 150 ? 0.79 : 0.93));         /* 0.794 for n = 1 */
    }
}

static void each_item_its_own_cluster_is_the_plain_standard_error(void **state)
{
    (void)state;
    const double x[] = { 1, 0, 1, 1, 0 };
    const int64_t alone[] = { -1, -1, -1, -1, -1 }, own[] = { 9, 3, 4, 1, 0 };
    struct interval_mean plain, a, b;
    OK(interval_mean(x, NULL, NULL, 5, 0.95, &plain, &err));
    NEAR(plain.mean, 0.6, 1e-15);
    NEAR(plain.se, sqrt(0.3 / 5), 1e-14);
    NEAR(plain.ci[1], 0.6 + 2.7764451051977987 * sqrt(0.06), 1e-12);
    OK(interval_mean(x, NULL, alone, 5, 0.95, &a, &err));
    OK(interval_mean(x, NULL, own, 5, 0.95, &b, &err));
    assert_true(a.n_cluster == 5 && b.n_cluster == 5);
    NEAR(a.se, plain.se, 1e-14);
    NEAR(b.se, plain.se, 1e-14);
}

static void copies_of_an_item_in_its_cluster_add_nothing(void **state)
{
    (void)state;
    const double x[] = { 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1 };
    const int64_t cluster[] = { 0, 1, 2, 0, 1, 2, 0, 3, 4, 1, 4, 4, 2, 3, 3 };      /* of x: 1 0 1 1 0 */
    struct interval_mean m;
    OK(interval_mean(x, NULL, cluster, 15, 0.95, &m, &err));
    assert_int_equal(m.n_cluster, 5);
    NEAR(m.mean, 0.6, 1e-15);
    NEAR(m.se, sqrt(0.3 / 5), 1e-14);
}

static void one_cluster_has_no_standard_error(void **state)
{
    (void)state;
    const double x[] = { 1, 2 }, w[] = { 0, 0 }, wrong[] = { 1, NAN };
    const int64_t cluster[] = { 7, 7 };
    struct interval_mean m;
    OK(interval_mean(x, NULL, cluster, 2, 0.95, &m, &err));
    assert_true(m.mean == 1.5 && isnan(m.se) && isnan(m.ci[0]) && m.n_cluster == 1);
    OK(interval_mean(x, NULL, NULL, 1, 0.95, &m, &err));
    assert_true(m.mean == 1 && isnan(m.se));
    assert_int_equal(interval_mean(x, NULL, NULL, 0, 0.95, &m, &err), ERR_RANGE);
    assert_int_equal(interval_mean(x, w, NULL, 2, 0.95, &m, &err), ERR_RANGE);
    assert_int_equal(interval_mean(wrong, NULL, NULL, 2, 0.95, &m, &err), ERR_NUMERIC);
    assert_string_equal(err.msg, "scores: value 1 is nan, expected a finite number");
    assert_int_equal(interval_mean(x, wrong, NULL, 2, 0.95, &m, &err), ERR_NUMERIC);
}

static void answers_and_items_are_two_stages(void **state)
{
    (void)state;
    const double x[] = { 1, 0, 1, 1, 0, 0, 1, 0 };
    const int64_t item[] = { 5, 5, 2, 2, 9, 9, 7, 7 }, single[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct interval_two_stage s;
    OK(interval_two_stage(x, item, 8, &s, &err));
    assert_true(s.n_item == 4 && s.n_answer == 8 && s.mean == 0.5);
    NEAR(s.se, sqrt((0.25 + 0.25) / 3 / 4), 1e-14);        /* means .5 1 0 .5 */
    NEAR(s.var_within, 0.25, 1e-14);                        /* .5 0 0 .5 */
    NEAR(s.var_between, 0.5 / 3 - 0.125, 1e-13);
    NEAR(s.se_within, sqrt(0.25 * 4 * 0.5) / 4, 1e-14);
    OK(interval_two_stage(x, single, 8, &s, &err));
    assert_true(s.n_item == 8 && isnan(s.var_within) && isnan(s.var_between) && isnan(s.se_within));
    NEAR(s.se, sqrt(2.0 / 7 / 8), 1e-14);
}

/* ---- order ---- */

static void values_are_sorted_with_their_signs_and_ends(void **state)
{
    (void)state;
    double v[] = { 3, -0.0, 0.0, INFINITY, -INFINITY, -2, 5e-324, -5e-324, 3, 1e300 };
    const double want[] = { -INFINITY, -2, -5e-324, -0.0, 0.0, 5e-324, 3, 3, 1e300, INFINITY };
    OK(order_sort(v, 10, &err));
    assert_memory_equal(v, want, sizeof v);
    OK(order_sort(v, 0, &err));
    assert_int_equal(order_sort(v, -1, &err), ERR_RANGE);
}

static void equal_values_share_a_rank(void **state)
{
    (void)state;
    const double v[] = { 2, 1, 2, 0.0, -0.0, 2 }, want[] = { 5, 3, 5, 1.5, 1.5, 5 };
    double rank[6], ties;
    OK(order_rank(v, 6, rank, &ties, &err));
    assert_memory_equal(rank, want, sizeof rank);
    assert_true(ties == 24 + 6);
    int64_t index[6];
    const int64_t places[] = { 4, 3, 1, 0, 2, 5 };
    OK(order_index(v, 6, index, &err));
    assert_memory_equal(index, places, sizeof index);
}

/* ---- many tests ---- */

static const double p25[25] = { 0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269, 0.275, 0.34, 0.341, 0.384,
                                0.569, 0.594, 0.696, 0.762, 0.94, 0.942, 0.975, 0.986 };

static int below(const double *p, int n, double level)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += p[i] <= level;
    return count;
}

/* The 25 of Benjamini & Hochberg's method in McDonald's Handbook of Biological Statistics. */
static void adjusted_p_values_of_25_tests(void **state)
{
    (void)state;
    const double want[25] = { 0.025, 0.1, 0.21, 0.21, 0.21, 0.25, 0.264286, 0.491071, 0.491071, 0.491071, 0.491071, 0.491071, 0.491071, 0.491071, 0.532812,
                              0.532812, 0.564706, 0.781579, 0.781579, 0.87, 0.907143, 0.986, 0.986, 0.986, 0.986 };
    double adjusted[25], turned[25], back[25];
    OK(multiple_bh(p25, 25, adjusted, &err));
    for (int i = 0; i < 25; i++)
        assert_true(fabs(adjusted[i] - want[i]) < 5.1e-7);
    assert_int_equal(below(adjusted, 25, 0.05), 1);
    for (int i = 0; i < 25; i++)
        turned[i] = p25[24 - i];
    OK(multiple_bh(turned, 25, back, &err));
    for (int i = 0; i < 25; i++)
        assert_true(back[24 - i] == adjusted[i]);
    OK(multiple_holm(p25, 25, adjusted, &err));
    assert_int_equal(below(adjusted, 25, 0.05), 1);
    NEAR(adjusted[0], 0.025, 1e-14);
    NEAR(adjusted[1], 0.192, 1e-14);
}

static void adjusting_none_one_and_equal_ones(void **state)
{
    (void)state;
    double one[] = { 0.3 }, same[] = { 0.2, 0.2, 0.2 };
    OK(multiple_holm(NULL, 0, NULL, &err));
    OK(multiple_bh(one, 1, one, &err));
    assert_true(one[0] == 0.3);
    OK(multiple_holm(one, 1, one, &err));
    assert_true(one[0] == 0.3);
    OK(multiple_bh(same, 3, same, &err));
    assert_true(fabs(same[0] - 0.2) < 1e-16 && same[1] == same[0] && same[2] == same[0]);
    OK(multiple_holm(same, 3, same, &err));
    NEAR(same[2], 0.6, 1e-15);
    const double wrong[] = { 0.5, NAN }, over[] = { 1.01 };
    assert_int_equal(multiple_bh(wrong, 2, same, &err), ERR_NUMERIC);
    assert_string_equal(err.msg, "p-value 1 is nan, expected 0 to 1");
    assert_int_equal(multiple_holm(over, 1, same, &err), ERR_NUMERIC);
    assert_int_equal(multiple_holm(over, -1, same, &err), ERR_RANGE);
}

/* ---- paired ---- */

static void mcnemar_without_discordant_items_says_nothing(void **state)
{
    (void)state;
    struct paired_test t;
    OK(paired_mcnemar(0, 0, &t, &err));
    assert_true(t.exact == 1 && t.mid_p == 1 && t.worse == 1);
    OK(paired_mcnemar(1, 0, &t, &err));
    assert_true(t.exact == 1 && fabs(t.mid_p - 0.5) < 1e-15 && fabs(t.worse - 0.5) < 1e-15);
    OK(paired_mcnemar(7, 7, &t, &err));
    assert_true(t.exact == 1 && fabs(t.mid_p - 1) < 1e-15);
    assert_int_equal(paired_mcnemar(-1, 0, &t, &err), ERR_RANGE);
}

static void mcnemar_of_12_and_4(void **state)
{
    (void)state;
    struct paired_test t;
    OK(paired_mcnemar(12, 4, &t, &err));
    NEAR(t.exact, 0.076812744140625, 1e-13);
    NEAR(t.mid_p, 0.04904174804687501, 1e-13);
    NEAR(t.worse, 0.0384063720703125, 1e-13);
    OK(paired_mcnemar(4, 12, &t, &err));
    NEAR(t.exact, 0.076812744140625, 1e-13);
    NEAR(t.worse, 1 - 0.0106353759765625, 1e-13);
    OK(paired_mcnemar(500000000, 500200000, &t, &err));     /* z = 6.3242, and normal by then */
    NEAR(t.exact, 2 * dist_normal_sf((200000 - 1) / sqrt(1000200000.0)), 1e-6);
}

static void outcomes_are_counted_in_four_cells(void **state)
{
    (void)state;
    const uint8_t old[] = { 1, 1, 0, 0, 2, 1 }, new[] = { 1, 0, 1, 0, 3, 0 };
    const struct paired_counts k = paired_count(old, new, 6);
    assert_true(k.both == 2 && k.b == 2 && k.c == 1 && k.neither == 1 && paired_n(&k) == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_of_their_domain_distributions_are_not_numbers),
        cmocka_unit_test(ends_of_the_support_are_exact),
        cmocka_unit_test(closed_forms_hold_far_into_the_tails),
        cmocka_unit_test(symmetries_and_inverses_hold_for_random_arguments),
        cmocka_unit_test(t_quantiles_are_the_tables),
        cmocka_unit_test(an_interval_of_nothing_is_everything),
        cmocka_unit_test(none_and_all_of_n_have_closed_intervals),
        cmocka_unit_test(shares_that_are_none_are_refused),
        cmocka_unit_test(intervals_of_81_in_263),
        cmocka_unit_test(intervals_hold_the_true_share_as_often_as_they_say),
        cmocka_unit_test(each_item_its_own_cluster_is_the_plain_standard_error),
        cmocka_unit_test(copies_of_an_item_in_its_cluster_add_nothing),
        cmocka_unit_test(one_cluster_has_no_standard_error),
        cmocka_unit_test(answers_and_items_are_two_stages),
        cmocka_unit_test(values_are_sorted_with_their_signs_and_ends),
        cmocka_unit_test(equal_values_share_a_rank),
        cmocka_unit_test(adjusted_p_values_of_25_tests),
        cmocka_unit_test(adjusting_none_one_and_equal_ones),
        cmocka_unit_test(mcnemar_without_discordant_items_says_nothing),
        cmocka_unit_test(mcnemar_of_12_and_4),
        cmocka_unit_test(outcomes_are_counted_in_four_cells),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
