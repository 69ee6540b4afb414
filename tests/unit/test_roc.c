/* test_roc.c - curves of attacks against scikit-learn and DeLong's definition (tests/golden/membership.json), their edges, and how often intervals hold. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/roc.h"

static struct err err;

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

static double *numbers(const json_t *list)
{
    double *v = mem_alloc_array(json_array_size(list), sizeof *v);
    for (size_t i = 0; i < json_array_size(list); i++)
        v[i] = json_number_value(json_array_get(list, i));
    return v;
}

static void curves_are_those_of_scikit_learn_and_delong(void **state)
{
    (void)state;
    json_t *golden, *o;
    size_t k;
    OK(tree_load(&golden, "tests/golden/membership.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "curves"), k, o) {
        const json_t *y = json_object_get(o, "positive"), *want = json_object_get(o, "of_a");
        const int64_t n = (int64_t)json_array_size(y);
        double *a = numbers(json_object_get(o, "a")), *b = numbers(json_object_get(o, "b"));
        unsigned char *positive = mem_alloc_array((size_t)n, 1);
        struct roc r;
        struct roc_pair p;
        for (int64_t i = 0; i < n; i++)
            positive[i] = json_integer_value(json_array_get(y, (size_t)i)) != 0;
        OK(roc_measure(&r, a, positive, n, 0.95, &err));
        near(r.auroc, num(want, "auroc")), near(r.se, num(want, "se")), near(r.balanced, num(want, "balanced"));
        for (size_t i = 0; i < ROC_POINTS; i++)
            near(r.point[i].tpr, json_number_value(json_array_get(json_object_get(want, "tpr"), i)));
        if (r.auroc < 1)
            near(r.ci[1], fmin(1, r.auroc + 1.959963984540054 * r.se));
        assert_true(r.balanced_ci[0] <= r.balanced && r.balanced <= r.balanced_ci[1]);
        OK(roc_compare(&p, a, b, positive, n, 0.95, &err));
        near(p.auroc[0], r.auroc), near(p.difference, num(o, "difference")), near(p.se, num(o, "se"));
        mem_free(a), mem_free(b), mem_free(positive);
    }
    assert_int_equal(k, 5);
    json_decref(golden);
}

static void what_does_not_overlap_has_an_interval(void **state)
{
    (void)state;
    struct roc r;
    const double score[] = { 5, 4, INFINITY, 1, 2, -INFINITY, 0 };
    const unsigned char positive[] = { 1, 1, 1, 0, 0, 0, 0 }, other[] = { 0, 0, 0, 1, 1, 1, 1 };
    OK(roc_measure(&r, score, positive, 7, 0.95, &err));
    assert_true(r.auroc == 1 && r.se == 0 && r.ci[1] == 1 && r.balanced == 1 && r.point[0].tpr == 1 && r.point[0].n_false == 0);
    near(r.ci[0], pow(0.025, 1.0 / 3));
    OK(roc_measure(&r, score, other, 7, 0.95, &err));
    assert_true(r.auroc == 0 && r.ci[0] == 0 && r.balanced == 0.5 && r.point[1].tpr == 0);
    near(r.ci[1], 1 - pow(0.025, 1.0 / 3));
}

static void equal_scores_say_nothing(void **state)
{
    (void)state;
    struct roc r;
    struct roc_pair p;
    const double score[] = { 1, 1, 1, 1, 1 }, other[] = { 1, 2, 3, 4, 5 };
    const unsigned char positive[] = { 1, 1, 0, 0, 0 };
    OK(roc_measure(&r, score, positive, 5, 0.95, &err));
    assert_true(r.auroc == 0.5 && isnan(r.ci[0]) && isnan(r.ci[1]) && r.point[0].tpr == 0 && r.balanced == 0.5);
    OK(roc_compare(&p, other, other, positive, 5, 0.95, &err));
    assert_true(p.difference == 0 && isnan(p.ci[0]));
}

static void one_of_a_kind_has_no_standard_error(void **state)
{
    (void)state;
    struct roc r;
    OK(roc_measure(&r, (double[]){ 2, 1, 3 }, (unsigned char[]){ 1, 0, 0 }, 3, 0.95, &err));
    assert_true(r.auroc == 0.5 && isnan(r.se) && isnan(r.ci[0]));
}

static void what_cannot_be_measured_is_an_error(void **state)
{
    (void)state;
    struct roc r;
    struct roc_pair p;
    const double score[] = { 1, NAN, 2 }, good[] = { 1, 2, 3 };
    const unsigned char both[] = { 1, 0, 1 }, all[] = { 1, 1, 1 };
    assert_int_equal(roc_measure(&r, score, both, 3, 0.95, &err), ERR_NUMERIC);
    assert_int_equal(roc_measure(&r, good, all, 3, 0.95, &err), ERR_RANGE);
    assert_int_equal(roc_measure(&r, good, both, 0, 0.95, &err), ERR_RANGE);
    assert_int_equal(roc_measure(&r, good, both, 3, 1, &err), ERR_RANGE);
    assert_int_equal(roc_compare(&p, good, score, both, 3, 0.95, &err), ERR_NUMERIC);
    assert_int_equal(roc_compare(&p, good, good, all, 3, 0.95, &err), ERR_RANGE);
}

/* Two kinds of normal scores: the area is Phi(d / sqrt 2), the best balanced accuracy Phi(d / 2). */
static void intervals_hold_as_often_as_they_say(void **state)
{
    (void)state;
    enum { N = 120, RUNS = FEWER(2000, 200) };
    static double score[N], other[N];
    static unsigned char positive[N];
    const double d = 0.8, area = 0.5 * erfc(-d / 2), balanced = 0.5 * erfc(-d / 2 / sqrt(2));
    int out = 0, out_balanced = 0, out_pair = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        struct roc r;
        struct roc_pair p;
        for (int i = 0; i < N; i++) {
            positive[i] = i % 3 == 0;
            score[i] = rng_normal(run, (uint64_t)i) + d * positive[i];
            /* as good, and not independent: (x + y) / sqrt 2 without what it has too much of the shift */
            other[i] = (score[i] + rng_normal(run + 1000000, (uint64_t)i) + (sqrt(2) - 1) * d * positive[i]) / sqrt(2);
        }
        OK(roc_measure(&r, score, positive, N, 0.95, &err));
        out += r.ci[0] > area || r.ci[1] < area;
        out_balanced += r.balanced_ci[0] > balanced || r.balanced_ci[1] < balanced;
        OK(roc_compare(&p, score, other, positive, N, 0.95, &err));
        out_pair += p.ci[0] > 0 || p.ci[1] < 0;
    }
    print_message("outside of 95 %% intervals: area %.3f, best threshold %.3f, difference %.3f\n", (double)out / RUNS, (double)out_balanced / RUNS, (double)out_pair / RUNS);
    assert_true(out < FEWER(0.07, 0.1) * RUNS && out_pair < FEWER(0.07, 0.1) * RUNS && out_balanced < 0.05 * RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_are_those_of_scikit_learn_and_delong),
        cmocka_unit_test(what_does_not_overlap_has_an_interval),
        cmocka_unit_test(equal_scores_say_nothing),
        cmocka_unit_test(one_of_a_kind_has_no_standard_error),
        cmocka_unit_test(what_cannot_be_measured_is_an_error),
        cmocka_unit_test(intervals_hold_as_often_as_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
