/* test_conformal.c - conformal sets: against numpy (tests/golden/calib.json), torch-uncertainty's and MAPIE's examples, and the promise itself. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/conformal.h"

static struct err err;

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static struct calib *made(int64_t n, int k, const double *value, const int32_t *label, bool probs)
{
    struct calib *c;
    const struct calib_items in = { n, k, NULL, value, label, probs };
    OK(calib_new(&c, &in, 15, &err));
    return c;
}

static void sets_are_numpys(const struct calib *c, const json_t *want, enum conformal_kind kind)
{
    struct conformal f = { .kind = kind, .alpha = .1, .lambda = .05, .k_reg = 1 };
    struct conformal_result r;
    const json_t *o = json_object_get(want, conformal_name(kind)), *sizes = json_object_get(o, "sizes");
    int32_t item[90];
    int64_t by_size[6] = { 0 };
    for (int32_t i = 0; i < c->n; i++)
        item[i] = i;
    OK(conformal_fit(&f, c, item, c->n / 2, &err));
    if (isfinite(f.q))
        near(f.q, num(o, "q"));
    else
        assert_true(num(o, "q") == 1e9);
    OK(conformal_measure(&r, &f, c, item + c->n / 2, c->n - c->n / 2, &err));
    near(r.coverage, num(o, "coverage"));
    for (size_t i = 0; i < json_array_size(sizes); i++)
        by_size[json_integer_value(json_array_get(sizes, i))]++;
    for (int k = 0; k <= c->k_max; k++)
        assert_int_equal(r.by_size[k], by_size[k]);
    conformal_result_release(&r);
}

static void sets_on_random_answers_are_numpys(void **state)
{
    json_t *golden, *o;
    size_t i;
    (void)state;
    OK(tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "calib"), i, o)
    {
        const int64_t n = json_integer_value(json_object_get(o, "n")), k = json_integer_value(json_object_get(o, "k"));
        double z[400];
        int32_t y[90];
        for (int64_t j = 0; j < n * k; j++)
            z[j] = json_number_value(json_array_get(json_object_get(o, "logits"), (size_t)j));
        for (int64_t j = 0; j < n; j++)
            y[j] = (int32_t)json_integer_value(json_array_get(json_object_get(o, "label"), (size_t)j));
        struct calib *c = made(n, (int)k, z, y, false);
        for (int kind = CONFORMAL_THR; kind <= CONFORMAL_RAPS; kind++)
            sets_are_numpys(c, json_object_get(o, "conformal"), (enum conformal_kind)kind);
        calib_free(c);
    }
    assert_int_equal(i, 4);
    json_decref(golden);
}

/* torch-uncertainty, tests/post_processing/test_conformal.py: ten times .6, .3, .1 with labels 0, 2 and eight times 1 gives the sets {0, 1}.
 * There alpha is .1, and the quantile one between the ninth and the tenth score, which promises less than .9; the ninth is ours for .2. */
static void example_of_torch_uncertainty(void **state)
{
    double p[30];
    int32_t y[10], item[10], rank[3];
    double score[3];
    (void)state;
    for (int i = 0; i < 10; i++)
        p[3 * i] = .6, p[3 * i + 1] = .3, p[3 * i + 2] = .1, y[i] = i == 0 ? 0 : i == 1 ? 2 : 1, item[i] = i;
    struct calib *c = made(10, 3, p, y, true);
    for (int kind = CONFORMAL_THR; kind <= CONFORMAL_RAPS; kind++) {
        struct conformal f = { .kind = (enum conformal_kind)kind, .alpha = .2, .lambda = .1, .k_reg = 1 };
        struct conformal_result r;
        OK(conformal_fit(&f, c, item, 10, &err));
        conformal_scores(&f, c, 0, score, rank);
        assert_true(score[0] <= f.q && score[1] <= f.q && score[2] > f.q);
        OK(conformal_measure(&r, &f, c, item, 10, &err));
        near(r.coverage, .9), near(r.size_mean, 2);
        assert_true(r.by_size[2] == 10 && r.covered_by_size[2] == 9 && r.n_empty == 0 && r.n_full == 0);
        assert_true(r.by_class[1].n == 8 && r.by_class[1].n_covered == 8 && r.by_class[2].n_covered == 0 && r.by_class[0].size_mean == 2);
        conformal_result_release(&r);
        f.alpha = .1;
        OK(conformal_fit(&f, c, item, 10, &err));
        conformal_scores(&f, c, 0, score, rank);
        assert_true(score[2] <= f.q);
    }
    calib_free(c);
}

/* MAPIE, tests/test_metrics.py: five sets of four choices, labels 3, 3, 1, 2, 2: coverage .8, mean size 2. */
static void example_of_mapie(void **state)
{
    static const unsigned char in[] = { 0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1 };
    static const int32_t y[] = { 3, 3, 1, 2, 2 }, item[] = { 0, 1, 2, 3, 4 };
    double p[20];
    struct conformal_result r;
    (void)state;
    for (int i = 0; i < 20; i++)
        p[i] = in[i] ? .4 : .1;
    struct calib *c = made(5, 4, p, y, true);
    const struct conformal f = { .kind = CONFORMAL_THR, .alpha = .1, .q = .75, .n = 5 };
    OK(conformal_measure(&r, &f, c, item, 5, &err));
    near(r.coverage, .8), near(r.size_mean, 2);
    conformal_result_release(&r);
    calib_free(c);
}

/* evaluation_golden.json: conformal_cov_n100, 500, 1000: the 5 %, 50 % and 95 % points. */
static void coverage_lies_where_the_beta_distribution_says(void **state)
{
    static const double want[3][2] = { { 0.8482045713864065, 0.94473676231713 }, { 0.8773207138895306, 0.921261429954797 }, { 0.884075488583474, 0.9152152323315307 } };
    static const int64_t n[] = { 100, 500, 1000 };
    double low, high;
    (void)state;
    for (int i = 0; i < 3; i++) {
        conformal_interval(n[i], .1, .9, &low, &high);
        near(low, want[i][0]), near(high, want[i][1]);
    }
    conformal_interval(5, .1, .9, &low, &high);
    assert_true(low == 1 && high == 1);
    assert_int_equal(conformal_l(69, .1), 7);
    assert_int_equal(conformal_l(9, .3), 3);
    assert_int_equal(conformal_l(8, .1), 0);
    assert_int_equal(conformal_l(0, .9999999999999999), 0);
    assert_int_equal(conformal_l(3, .9999999999999999), 3);
}

static void coverage_that_is_counted_lies_where_scipys_beta_binomial_says(void **state)
{
    json_t *golden, *o;
    size_t i;
    double low, high;
    (void)state;
    OK(tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "coverage"), i, o)
    {
        conformal_measured_interval(json_integer_value(json_object_get(o, "n")), num(o, "alpha"), json_integer_value(json_object_get(o, "m")), .9, &low, &high);
        near(low, json_number_value(json_array_get(json_object_get(o, "range90"), 0)));
        near(high, json_number_value(json_array_get(json_object_get(o, "range90"), 1)));
    }
    assert_int_equal(i, 4);
    conformal_measured_interval(5, .1, 10, .9, &low, &high);
    assert_true(low == 1 && high == 1);
    json_decref(golden);
}

enum { N = 900, K = 6 };

/* A model that is far too sure, and of classes that are not all as hard. */
static struct calib *too_sure(uint64_t seed, double *z, int32_t *y)
{
    for (int i = 0; i < N; i++) {
        double p[K], sum = 0;
        for (int j = 0; j < K; j++)
            sum += p[j] = exp(rng_normal(seed, (uint64_t)(i * K + j)));
        double at = sum * rng_uniform(seed + 1, (uint64_t)i);
        for (y[i] = 0; y[i] < K - 1 && at >= p[y[i]]; y[i]++)
            at -= p[y[i]];
        for (int j = 0; j < K; j++)
            z[i * K + j] = 4 * log(p[j]);
    }
    return made(N, K, z, y, false);
}

static void sets_hold_the_right_answer_as_often_as_promised(void **state)
{
    const int n_trial = FEWER(300, 10);
    double *z = mem_alloc_array(N * K, sizeof *z);
    int32_t y[N], item[N];
    (void)state;
    for (int kind = CONFORMAL_THR; kind <= CONFORMAL_RAPS; kind++) {
        double coverage = 0, squares = 0, size = 0;
        for (int t = 0; t < n_trial; t++) {
            struct conformal f = { .kind = (enum conformal_kind)kind, .alpha = .1, .lambda = .1, .k_reg = 1, .randomised = true, .seed = 3 };
            struct conformal_result r;
            int64_t n_fit;
            struct calib *c = too_sure((uint64_t)(1000 * kind + t) * 2, z, y);
            conformal_split(N, (uint64_t)t, item, &n_fit);
            assert_int_equal(n_fit, N / 2);
            OK(conformal_fit(&f, c, item, n_fit, &err));
            OK(conformal_measure(&r, &f, c, item + n_fit, N - n_fit, &err));
            coverage += r.coverage / n_trial, squares += r.coverage * r.coverage / n_trial, size += r.size_mean / n_trial;
            conformal_result_release(&r);
            calib_free(c);
        }
        /* Expected (n+1-l)/(n+1) = 406/451; the spread is that of the calibration and of the test items, .02 in all. */
        const double spread = sqrt(squares - coverage * coverage);
        print_message("%s: coverage %.4f, spread %.4f, mean size %.2f\n", conformal_name((enum conformal_kind)kind), coverage, spread, size);
        assert_true(fabs(coverage - 406. / 451) < 4 * .02 / sqrt(n_trial));
        assert_true(n_trial < 100 || (spread > .015 && spread < .025));
    }
    mem_free(z);
}

static void draws_are_the_seeds(void **state)
{
    double *z = mem_alloc_array(N * K, sizeof *z), a[K], b[K], d[K], e[K];
    int32_t y[N], rank[K];
    (void)state;
    struct calib *c = too_sure(5, z, y);
    struct conformal f = { .kind = CONFORMAL_APS, .alpha = .1, .randomised = true, .seed = 1 };
    conformal_scores(&f, c, 7, a, rank), conformal_scores(&f, c, 7, b, rank);
    f.seed = 2;
    conformal_scores(&f, c, 7, d, rank);
    f.randomised = false;
    conformal_scores(&f, c, 7, e, rank);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] != d[0] && e[0] > a[0]);
    calib_free(c);
    mem_free(z);
}

static void items_of_differing_choices_and_none_at_all(void **state)
{
    static const double z[] = { 1, 0, 3, 2, 1, 0, 0, 1 };
    static const int64_t start[] = { 0, 2, 6, 8 };
    static const int32_t y[] = { 0, 1, 1 }, item[] = { 0, 1, 2 };
    const struct calib_items in = { 3, 0, start, z, y, false };
    struct conformal f = { .kind = CONFORMAL_APS, .alpha = .3 }, bad = { .alpha = 1 };
    struct conformal_result r;
    struct calib *c;
    (void)state;
    OK(calib_new(&c, &in, 15, &err));
    OK(conformal_fit(&f, c, item, 3, &err));
    OK(conformal_measure(&r, &f, c, item, 3, &err));
    assert_true(r.k_max == 4 && r.n_class == 0 && r.n == 3 && r.coverage == 1);
    conformal_result_release(&r);
    OK(conformal_fit(&f, c, item, 0, &err));
    assert_true(f.q == INFINITY);
    OK(conformal_measure(&r, &f, c, item, 3, &err));
    assert_true(r.n_full == 3 && r.coverage == 1);
    conformal_result_release(&r);
    OK(conformal_measure(&r, &f, c, item, 0, &err));
    assert_true(isnan(r.coverage) && r.n == 0);
    conformal_result_release(&r);
    assert_int_equal(conformal_fit(&bad, c, item, 3, &err), ERR_RANGE);
    calib_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_on_random_answers_are_numpys),
        cmocka_unit_test(example_of_torch_uncertainty),
        cmocka_unit_test(example_of_mapie),
        cmocka_unit_test(coverage_lies_where_the_beta_distribution_says),
        cmocka_unit_test(coverage_that_is_counted_lies_where_scipys_beta_binomial_says),
        cmocka_unit_test(sets_hold_the_right_answer_as_often_as_promised),
        cmocka_unit_test(draws_are_the_seeds),
        cmocka_unit_test(items_of_differing_choices_and_none_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
