/* Random inputs against scipy and statsmodels, and the values of the field's reference (tests/golden/stats.json, tools/golden/stats.py): 1e-9 of the
 * value, p-values of tests that SciPy approximates otherwise 1e-6. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/bootstrap.h"
#include "eval/contingency.h"
#include "eval/dist.h"
#include "eval/divergence.h"
#include "eval/interval.h"
#include "eval/mmd.h"
#include "eval/multiple.h"
#include "eval/paired.h"
#include "eval/sequential.h"
#include "eval/two_sample.h"

static struct err err;
static json_t *root;

static const json_t *of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        fail_msg("no '%s' in tests/golden/stats.json", key);
    return v;
}
#define EACH(row, array) for (size_t i_ = 0; i_ < json_array_size(array) && (row = json_array_get((array), i_)); i_++)

static double at(const json_t *array, size_t i) { return json_number_value(json_array_get(array, i)); }
static int64_t whole(const json_t *array, size_t i) { return (int64_t)at(array, i); }

/* Free with mem_free. */
static double *numbers(const json_t *array, int64_t *n)
{
    *n = (int64_t)json_array_size(array);
    double *v = mem_alloc_array((size_t)*n, sizeof *v);
    for (int64_t i = 0; i < *n; i++)
        v[i] = at(array, (size_t)i);
    return v;
}

static void near_to(double got, double want, double tolerance, const char *what, int line)
{
    if (!(fabs(got - want) <= tolerance * fmax(fabs(want), 1e-290)))
        fail_msg("line %d: %s: %.17g, expected %.17g", line, what, got, want);
}
#define NEAR(got, want) near_to((got), (want), 1e-9, #got, __LINE__)
#define P_NEAR(got, want)                                                                       \
    do {                                                                                        \
        if (!(fabs((got) - (want)) <= 1e-6))                                                    \
            fail_msg("line %d: %s: %.17g, expected %.17g", __LINE__, #got, (double)(got), (double)(want)); \
    } while (0)

static void distributions(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "normal")) {
        NEAR(dist_normal_cdf(at(r, 0)), at(r, 1));
        NEAR(dist_normal_sf(at(r, 0)), at(r, 2));
        NEAR(dist_normal_quantile(at(r, 3)), at(r, 4));
    }
    EACH(r, of(root, "t")) {
        NEAR(dist_t_cdf(at(r, 0), at(r, 1)), at(r, 2));
        NEAR(dist_t_sf(at(r, 0), at(r, 1)), at(r, 3));
        NEAR(dist_t_quantile(at(r, 4), at(r, 1)), at(r, 5));
    }
    EACH(r, of(root, "chi2")) {
        NEAR(dist_chi2_cdf(at(r, 0), at(r, 1)), at(r, 2));
        NEAR(dist_chi2_sf(at(r, 0), at(r, 1)), at(r, 3));
        NEAR(dist_chi2_quantile(at(r, 4), at(r, 1)), at(r, 5));
    }
    EACH(r, of(root, "beta")) {
        NEAR(dist_beta_cdf(at(r, 0), at(r, 1), at(r, 2)), at(r, 3));
        NEAR(dist_beta_sf(at(r, 0), at(r, 1), at(r, 2)), at(r, 4));
        NEAR(dist_beta_quantile(at(r, 5), at(r, 1), at(r, 2)), at(r, 6));
        NEAR(dist_beta_isf(1 - at(r, 5), at(r, 1), at(r, 2)), at(r, 6));
    }
    EACH(r, of(root, "binom")) {
        if (at(r, 3) >= 0)
            NEAR(dist_binom_pmf(whole(r, 0), whole(r, 1), at(r, 2)), at(r, 3));
        NEAR(dist_binom_cdf(whole(r, 0), whole(r, 1), at(r, 2)), at(r, 4));
        NEAR(dist_binom_sf(whole(r, 0), whole(r, 1), at(r, 2)), at(r, 5));
        assert_int_equal(dist_binom_quantile(at(r, 6), whole(r, 1), at(r, 2)), whole(r, 7));
    }
    EACH(r, of(root, "kolmogorov"))
        P_NEAR(kolmogorov_sf(at(r, 0), whole(r, 1)), at(r, 2));
}

/* 1e-13, and what the rounding of the argument itself makes of a far tail: z^2 times 2^-53 of the normal's. */
static void distributions_have_the_digits_of_fifty_digit_series(void **state)
{
    (void)state;
    const json_t *g = of(root, "fifty_digits"), *r;
#define CLOSE(got, want) near_to((got), (want), 1e-13, #got, __LINE__)
    EACH(r, of(g, "beta")) {
        CLOSE(dist_beta_cdf(at(r, 0), at(r, 1), at(r, 2)), at(r, 3));
        CLOSE(dist_beta_sf(at(r, 0), at(r, 1), at(r, 2)), at(r, 4));
    }
    EACH(r, of(g, "t"))
        CLOSE(dist_t_sf(at(r, 0), at(r, 1)), at(r, 2));
    EACH(r, of(g, "chi2")) {
        CLOSE(dist_chi2_cdf(at(r, 0), at(r, 1)), at(r, 2));
        CLOSE(dist_chi2_sf(at(r, 0), at(r, 1)), at(r, 3));
    }
    EACH(r, of(g, "binom")) {
        CLOSE(dist_binom_pmf(whole(r, 0), whole(r, 1), at(r, 2)), at(r, 3));
        CLOSE(dist_binom_cdf(whole(r, 0), whole(r, 1), at(r, 2)), at(r, 4));
        if (at(r, 5) >= 0)
            CLOSE(dist_binom_sf(whole(r, 0), whole(r, 1), at(r, 2)), at(r, 5));
    }
    EACH(r, of(g, "normal"))
        near_to(dist_normal_cdf(at(r, 0)), at(r, 1), 1e-15 + at(r, 0) * at(r, 0) * 2e-16, "dist_normal_cdf", __LINE__);
}

static void intervals_of_shares(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "shares")) {
        double ci[2];
        OK(interval_wilson(whole(r, 0), whole(r, 1), 0.95, ci, &err));
        NEAR(ci[0], at(r, 2));
        NEAR(ci[1], at(r, 3));
        OK(interval_clopper_pearson(whole(r, 0), whole(r, 1), 0.95, ci, &err));
        NEAR(ci[0], at(r, 4));
        NEAR(ci[1], at(r, 5));
    }
}

static void pairs(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "pairs")) {
        const struct paired_counts k = { whole(r, 0), whole(r, 1), whole(r, 2), whole(r, 3) };
        struct paired_test t;
        double ci[2];
        OK(paired_mcnemar(k.b, k.c, &t, &err));
        NEAR(t.exact, at(r, 4));
        NEAR(t.mid_p, at(r, 5));
        NEAR(t.worse, at(r, 6));
        OK(paired_tango(&k, 0.95, ci, &err));
        if (k.b + k.c > 0) {
            NEAR(ci[0], at(r, 7));
            NEAR(ci[1], at(r, 8));
        }
        OK(paired_newcombe(&k, 0.95, ci, &err));
        NEAR(ci[0], at(r, 9));
        NEAR(ci[1], at(r, 10));
    }
    EACH(r, of(root, "powers")) {
        const struct paired_plan plan = { whole(r, 0), at(r, 1), at(r, 3), at(r, 4) > 0 };
        double power;
        OK(paired_power(&plan, at(r, 2), &power, &err));
        NEAR(power, at(r, 5));
    }
}

static void samples(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "two_samples")) {
        int64_t n, m;
        double *x = numbers(of(r, "x"), &n), *y = numbers(of(r, "y"), &m), d;
        struct two_sample s;
        OK(two_ks(x, n, y, m, &s, &err));
        assert_true(s.exact);
        NEAR(s.statistic, at(of(r, "ks"), 0));
        NEAR(s.p, at(of(r, "ks"), 1));
        if (json_is_number(of(r, "ks_asymp")))
            P_NEAR(kolmogorov_sf(s.statistic, (int64_t)nearbyint((double)(n * m) / (double)(n + m))), json_number_value(of(r, "ks_asymp")));
        OK(two_mann_whitney(x, n, y, m, &s, &err));
        NEAR(s.statistic, at(of(r, "mwu"), 0));
        NEAR(s.p, at(of(r, "mwu"), 1));
        if (json_is_array(of(r, "cvm"))) {
            OK(two_cramer_von_mises(x, n, y, m, &s, &err));
            NEAR(s.statistic, at(of(r, "cvm"), 0));
            P_NEAR(s.p, at(of(r, "cvm"), 1));
        }
        if (json_object_get(r, "ad")) {
            OK(two_anderson_darling(x, n, y, m, &s, &err));
            NEAR(s.statistic, at(of(r, "ad"), 0));
            NEAR(s.p, at(of(r, "ad"), 1));
        }
        OK(two_wasserstein(x, n, y, m, &d, &err));
        NEAR(d, json_number_value(of(r, "w1")));
        OK(two_energy(x, n, y, m, &d, &err));
        NEAR(d, json_number_value(of(r, "energy")));
        mem_free(x);
        mem_free(y);
    }
}

static void tables(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "tables")) {
        int64_t count[100];
        for (size_t i = 0; i < json_array_size(of(r, "count")); i++)
            count[i] = whole(of(r, "count"), i);
        for (int yates = 0; yates < 2; yates++) {
            struct contingency c;
            const json_t *want = of(r, yates ? "yates" : "plain");
            OK(contingency_test(count, (int)json_integer_value(of(r, "rows")), (int)json_integer_value(of(r, "columns")), yates, &c, &err));
            NEAR(c.chi2, at(want, 0));
            NEAR(c.p, at(want, 1));
            NEAR(c.g, at(want, 2));
            NEAR(c.g_p, at(want, 3));
            NEAR(c.cramer_v, json_number_value(of(r, "cramer")));
            assert_int_equal(c.df, json_integer_value(of(r, "df")));
        }
    }
    EACH(r, of(root, "fisher")) {
        const int64_t t[2][2] = { { whole(r, 0), whole(r, 1) }, { whole(r, 2), whole(r, 3) } };
        struct contingency_fisher f;
        OK(contingency_fisher(t, &f, &err));
        NEAR(f.two_sided, at(r, 4));
        NEAR(f.less, at(r, 5));
        NEAR(f.greater, at(r, 6));
    }
}

static void divergences(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "divergences")) {
        int64_t k;
        double *p = numbers(of(r, "p"), &k), *q = numbers(of(r, "q"), &k), psi;
        struct divergence d;
        OK(divergence_of(p, q, k, &d, &err));
        NEAR(d.kl_pq, json_number_value(of(r, "kl_pq")));
        NEAR(d.kl_qp, json_number_value(of(r, "kl_qp")));
        NEAR(d.js_nat, json_number_value(of(r, "js")));
        NEAR(d.js_2, json_number_value(of(r, "js2")));
        NEAR(d.hellinger, json_number_value(of(r, "hellinger")));
        NEAR(d.tv, json_number_value(of(r, "tv")));
        OK(divergence_psi(p, q, k, 0, &psi, &err));
        NEAR(psi, json_number_value(of(r, "psi")));
        OK(divergence_psi(p, q, k, 0.01, &psi, &err));
        NEAR(psi, json_number_value(of(r, "psi_01")));
        mem_free(p);
        mem_free(q);
    }
}

static void mean_discrepancy(void **state)
{
    (void)state;
    const json_t *g = of(root, "mmd");
    const int d = (int)json_integer_value(of(g, "d"));
    int64_t n, m;
    double *x = numbers(of(g, "x"), &n), *y = numbers(of(g, "y"), &m);
    struct mmd r;
    const struct mmd_opts median = { .n_permutation = FEWER(9999, 499), .seed = 5 }, one = { .sigma = 1, .n_permutation = -1 };
    OK(mmd_test(x, n / d, y, m / d, d, &median, &r, &err));
    NEAR(r.sigma, json_number_value(of(g, "median")));
    NEAR(r.mmd2, json_number_value(of(g, "at_median")));
    const double p = json_number_value(of(g, "p_about"));
    assert_true(fabs(r.p - p) < 5 * sqrt(p * (1 - p) / (double)r.n_permutation) + 1.0 / (double)r.n_permutation);
    OK(mmd_test(x, n / d, y, m / d, d, &one, &r, &err));
    NEAR(r.mmd2, json_number_value(of(g, "at_1")));
    assert_true(isnan(r.p));
    mem_free(x);
    mem_free(y);
}

static void many_tests(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "multiple")) {
        int64_t n;
        double *p = numbers(of(r, "p"), &n), *adjusted = numbers(of(r, "p"), &n);
        OK(multiple_holm(p, n, adjusted, &err));
        for (int64_t i = 0; i < n; i++)
            NEAR(adjusted[i], at(of(r, "holm"), (size_t)i));
        OK(multiple_bh(p, n, adjusted, &err));
        for (int64_t i = 0; i < n; i++)
            NEAR(adjusted[i], at(of(r, "bh"), (size_t)i));
        mem_free(p);
        mem_free(adjusted);
    }
}

static void clusters(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "clusters")) {
        int64_t n, cluster[200];
        double *x = numbers(of(r, "x"), &n), *w = numbers(of(r, "w"), &n);
        for (int64_t i = 0; i < n; i++)
            cluster[i] = whole(of(r, "cluster"), (size_t)i);
        for (int weighted = 0; weighted < 2; weighted++) {
            struct interval_mean m;
            const json_t *want = of(r, weighted ? "weighted" : "plain");
            OK(interval_mean(x, weighted ? w : NULL, cluster, n, 0.95, &m, &err));
            NEAR(m.mean, at(want, 0));
            NEAR(m.se, at(want, 1));
            NEAR(m.ci[0], at(want, 2));
            NEAR(m.ci[1], at(want, 3));
        }
        mem_free(x);
        mem_free(w);
    }
}

static double median_of(const int32_t *unit, int64_t n, int i_thread, void *ctx)
{
    const double *x = ctx;
    double v[400];
    (void)i_thread;
    for (int64_t i = 0, j; i < n; i++) {
        for (j = i; j > 0 && v[j - 1] > x[unit[i]]; j--)
            v[j] = v[j - 1];
        v[j] = x[unit[i]];
    }
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void check_bootstrap(const struct bootstrap *b, const json_t *want)
{
    NEAR(b->estimate, at(want, 0));
    NEAR(b->se, at(want, 1));
    NEAR(b->percentile[0], at(want, 2));
    NEAR(b->percentile[1], at(want, 3));
    NEAR(b->bca[0], at(want, 4));
    NEAR(b->bca[1], at(want, 5));
}

static void bootstraps_of_the_same_draws(void **state)
{
    (void)state;
    const json_t *r;
    EACH(r, of(root, "bootstrap")) {
        int64_t n;
        double *x = numbers(of(r, "x"), &n), *w = numbers(of(r, "w"), &n);
        const struct bootstrap_opts o = { .n_replicate = json_integer_value(of(r, "n_replicate")), .seed = (uint64_t)json_integer_value(of(r, "seed")) };
        int32_t first[400];
        bootstrap_draw(o.seed, 0, n, first);
        for (size_t i = 0; i < json_array_size(of(r, "first")); i++)
            assert_int_equal(first[i], whole(of(r, "first"), i));
        struct bootstrap b;
        const double *const columns[] = { x, w };
        OK(bootstrap_sums(columns, 1, NULL, n, bootstrap_mean, NULL, &o, &b, &err));
        check_bootstrap(&b, of(r, "mean"));
        OK(bootstrap_sums(columns, 2, NULL, n, bootstrap_ratio, NULL, &o, &b, &err));
        check_bootstrap(&b, of(r, "ratio"));
        if (json_object_get(r, "median")) {
            OK(bootstrap_units(n, median_of, x, &o, &b, &err));
            check_bootstrap(&b, of(r, "median"));
        }
        mem_free(x);
        mem_free(w);
    }
}

/* ---- the values of the reference ---- */

static void reference_of_shares_and_pairs(void **state)
{
    (void)state;
    const json_t *g = of(root, "reference"), *m = of(g, "mcnemar_exact"), *ci = of(of(g, "wilson"), "ci");
    struct paired_test t;
    double got[2];
    OK(paired_mcnemar(json_integer_value(of(m, "b")), json_integer_value(of(m, "c")), &t, &err));
    NEAR(t.exact, json_number_value(of(m, "p")));
    NEAR(t.mid_p, json_number_value(of(m, "midp")));
    NEAR(dist_chi2_sf(json_number_value(of(m, "chi2_cc")), 1), json_number_value(of(m, "chi2_cc_p")));
    OK(interval_wilson(json_integer_value(of(of(g, "wilson"), "k")), json_integer_value(of(of(g, "wilson"), "n")), 0.95, got, &err));
    NEAR(got[0], at(ci, 0));
    NEAR(got[1], at(ci, 1));
    OK(interval_clopper_pearson(81, 263, 0.95, got, &err));
    NEAR(got[0], at(of(of(g, "clopper_pearson"), "ci"), 0));
    NEAR(got[1], at(of(of(g, "clopper_pearson"), "ci"), 1));
    const char *df;
    json_t *want;
    json_object_foreach((json_t *)(uintptr_t)of(g, "t_975"), df, want)
        NEAR(dist_t_quantile(0.975, atof(df)), json_number_value(want));
    static const struct { const char *key; int n; } conformal[] = { { "conformal_cov_n100", 100 }, { "conformal_cov_n500", 500 }, { "conformal_cov_n1000", 1000 } };
    for (int i = 0; i < 3; i++) {
        const int l = (conformal[i].n + 1) / 10, n = conformal[i].n;
        for (size_t j = 0; j < 3; j++)
            NEAR(dist_beta_quantile((const double[]){ 0.05, 0.5, 0.95 }[j], n + 1 - l, l), at(of(g, conformal[i].key), j));
    }
    const json_t *p = of(of(g, "bh"), "p"), *adj = of(of(g, "bh"), "adj");
    int64_t n;
    double *v = numbers(p, &n);
    OK(multiple_bh(v, n, v, &err));
    for (int64_t i = 0; i < n; i++)
        P_NEAR(v[i], at(adj, (size_t)i));         /* given to six digits */
    mem_free(v);
    const json_t *rows = of(of(g, "loadgen_min_passing_h"), "rows"), *late = of(of(g, "loadgen_min_passing_h"), "t");
    json_object_foreach((json_t *)(uintptr_t)rows, df, want)
        for (size_t i = 0; i < json_array_size(late); i++)
            assert_int_equal(loadgen_min_passing(whole(late, i), atof(df), 0.99), whole(want, i));
}

static void reference_of_samples(void **state)
{
    (void)state;
    const json_t *g = of(root, "reference"), *ks = of(g, "ks"), *pq = of(g, "pq");
    int64_t n, m;
    double *x = numbers(of(ks, "r"), &n), *y = numbers(of(ks, "c"), &m), d;
    struct two_sample s;
    OK(two_ks(x, n, y, m, &s, &err));
    NEAR(s.statistic, json_number_value(of(ks, "D")));
    NEAR(s.p, json_number_value(of(ks, "p_auto")));
    NEAR(kolmogorov_sf(s.statistic, 4), json_number_value(of(ks, "p_asymp")));
    OK(two_wasserstein(x, n, y, m, &d, &err));
    NEAR(d, json_number_value(of(g, "wasserstein")));
    OK(two_energy(x, n, y, m, &d, &err));
    NEAR(d, json_number_value(of(g, "energy")));
    OK(two_mann_whitney(x, n, y, m, &s, &err));
    NEAR(s.p, json_number_value(of(g, "mwu_p")));
    mem_free(x);
    mem_free(y);
    x = numbers(of(pq, "p"), &n), y = numbers(of(pq, "q"), &n);
    struct divergence v;
    OK(divergence_of(x, y, n, &v, &err));
    NEAR(v.kl_pq, json_number_value(of(pq, "kl_pq")));
    NEAR(v.js_nat, json_number_value(of(pq, "js_dist_nat")));
    NEAR(v.js_2, json_number_value(of(pq, "js_dist_2")));
    NEAR(v.hellinger, json_number_value(of(pq, "hellinger")));
    NEAR(v.tv, json_number_value(of(pq, "tv")));
    OK(divergence_psi(x, y, n, 0, &d, &err));
    NEAR(d, json_number_value(of(pq, "psi")));
    mem_free(x);
    mem_free(y);
    const int64_t table[] = { 16, 18, 16, 14, 12, 12, 16, 16, 16, 16, 16, 8 }, fisher[2][2] = { { 3, 1 }, { 1, 3 } };
    struct contingency c;
    OK(contingency_test(table, 2, 6, true, &c, &err));
    NEAR(c.chi2, at(of(of(g, "chi2_contingency"), "chi2_p"), 0));
    NEAR(c.p, at(of(of(g, "chi2_contingency"), "chi2_p"), 1));
    struct contingency_fisher f;
    OK(contingency_fisher(fisher, &f, &err));
    NEAR(f.two_sided, json_number_value(of(of(g, "fisher"), "p")));
}

static int load(void **state)
{
    (void)state;
    return tree_load(&root, "tests/golden/stats.json", 1 << 22, &err);
}

static int unload(void **state)
{
    (void)state;
    json_decref(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(distributions_have_the_digits_of_fifty_digit_series),
        cmocka_unit_test(intervals_of_shares),
        cmocka_unit_test(pairs),
        cmocka_unit_test(samples),
        cmocka_unit_test(tables),
        cmocka_unit_test(divergences),
        cmocka_unit_test(mean_discrepancy),
        cmocka_unit_test(many_tests),
        cmocka_unit_test(clusters),
        cmocka_unit_test(bootstraps_of_the_same_draws),
        cmocka_unit_test(reference_of_shares_and_pairs),
        cmocka_unit_test(reference_of_samples),
    };
    return cmocka_run_group_tests_name("stats_golden", tests, load, unload);
}
