/* test_calib.c - calibration against netcal, scikit-learn and scipy (tests/golden/calib.json), the published examples of others, and simulations
 * in which the truth is known. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/calib.h"
#include "eval/npy.h"
#include "eval/selective.h"

static struct err err;
static struct pool *one, *two;

static int pools(void **state)
{
    (void)state;
    return pool_new(&one, 1, &err) || pool_new(&two, 2, &err) ? -1 : 0;
}

static int no_pools(void **state)
{
    (void)state;
    pool_free(one), pool_free(two);
    return 0;
}

static void within(double got, double want, double by, const char *what)
{
    if (!(fabs(got - want) <= by * (1 + fabs(want))))
        fail_msg("%s: %.17g instead of %.17g", what, got, want);
}

static void near(double got, double want) { within(got, want, 1e-9, "value"); }

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static double *numbers(const json_t *o, const char *key)
{
    const json_t *a = json_object_get(o, key);
    double *v = mem_alloc_array(json_array_size(a), sizeof *v);
    for (size_t i = 0; i < json_array_size(a); i++)
        v[i] = json_number_value(json_array_get(a, i));
    return v;
}

static int32_t *labels(const json_t *o, const char *key)
{
    const json_t *a = json_object_get(o, key);
    int32_t *v = mem_alloc_array(json_array_size(a), sizeof *v);
    for (size_t i = 0; i < json_array_size(a); i++)
        v[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return v;
}

static struct calib *made(int64_t n, int k, const double *value, const int32_t *label, bool probs, int n_bin)
{
    struct calib *c;
    const struct calib_items in = { n, k, NULL, value, label, probs };
    OK(calib_new(&c, &in, n_bin, &err));
    return c;
}

/* ---- others' values ---- */

static void values_are(const struct calib *c, const json_t *want)
{
    double v[CALIB_N_METRIC];
    struct calib_brier top, sum;
    const json_t *parts = json_object_get(want, "murphy"), *sums = json_object_get(want, "murphy_sum");
    OK(calib_measure(c, v, &err));
    int n_known = 0;
    for (int m = 0; m < CALIB_N_METRIC; m++) {
        char name[48];
        calib_metric_name((enum calib_metric)m, c->n_bin, name);
        char *number = strrchr(name, '.');
        if (number && number[1] >= '0' && number[1] <= '9')
            *number = 0;
        const json_t *o = json_object_get(want, name);
        assert_true(isnan(v[m]) ? !o : o != NULL);
        if (o)
            within(v[m], json_number_value(o), 1e-9, name), n_known++;
    }
    assert_true(n_known >= 12);
    OK(calib_brier_top(c, &top, &err));
    OK(calib_brier_sum(c, &sum, &err));
    near(top.reliability, num(parts, "reliability")), near(top.resolution, num(parts, "resolution")), near(top.uncertainty, num(parts, "uncertainty"));
    near(sum.reliability, num(sums, "reliability")), near(sum.resolution, num(sums, "resolution")), near(sum.uncertainty, num(sums, "uncertainty"));
    near(top.brier, v[CALIB_BRIER_TOP]), near(sum.brier, v[CALIB_BRIER_SUM]);
    near(top.uncertainty - top.resolution + top.reliability + top.within, top.brier);
}

static void temperature_is(const struct calib *c, const json_t *want)
{
    struct calib_temperature t;
    OK(calib_temperature_fit(&t, c, NULL, 0, two, &err));
    assert_int_equal(t.status, CALIB_FITTED);
    within(t.beta, num(want, "beta"), 1e-9, "beta");
    near(t.temperature, 1 / num(want, "beta")), near(t.nll_before, num(want, "before")), near(t.nll_after, num(want, "after"));
}

static void random_answers_measure_as_netcal_scikit_learn_and_scipy_say(void **state)
{
    json_t *golden, *o;
    size_t i;
    (void)state;
    OK(tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "calib"), i, o)
    {
        const int64_t n = json_integer_value(json_object_get(o, "n"));
        double *z = numbers(o, "logits"), *risk = mem_alloc_array((size_t)n, sizeof *risk);
        int32_t *y = labels(o, "label");
        struct calib *c = made(n, (int)json_integer_value(json_object_get(o, "k")), z, y, false, (int)json_integer_value(json_object_get(o, "bins")));
        values_are(c, json_object_get(o, "values"));
        temperature_is(c, json_object_get(o, "temperature"));
        OK(selective_curve(c->conf, c->right, n, risk, &err));
        near(selective_aurc_mean(risk, n), num(o, "aurc_mean")), near(selective_aurc_trapezoid(risk, n), num(o, "aurc_trapezoid"));
        calib_free(c);
        mem_free(risk), mem_free(y), mem_free(z);
    }
    assert_int_equal(i, 4);
    json_decref(golden);
}

static struct calib *net(const char *name, int n_bin)
{
    struct file_map map;
    struct npz z;
    struct npy p, y;
    OK(file_map_open(&map, shared(path_in("calibration-logits", name)), &err));
    OK(npz_open(&z, map.data, map.size, name, &err));
    OK(npz_read(&z, npz_find(&z, "predictions"), &p, &err));
    OK(npz_read(&z, npz_find(&z, "ground_truth"), &y, &err));
    assert_true(p.rank == 2 && y.rank == 1 && p.shape[0] == y.n);
    double *v = mem_alloc_array((size_t)p.n, sizeof *v);
    int32_t *label = mem_alloc_array((size_t)y.n, sizeof *label);
    for (int64_t i = 0; i < p.n; i++)
        v[i] = npy_double(&p, i);
    for (int64_t i = 0; i < y.n; i++)
        label[i] = (int32_t)npy_double(&y, i);
    struct calib *c = made(y.n, (int)p.shape[1], v, label, true, n_bin);
    mem_free(label), mem_free(v);
    npy_release(&p), npy_release(&y), npz_close(&z), file_map_close(&map);
    return c;
}

static void three_nets_measure_as_netcal_says_before_and_after_temperature(void **state)
{
    static const char *const names[] = { "lenet-5-cifar-10", "wideresnet-16-4-cifar-10", "wideresnet-16-4-cifar-100" };
    json_t *golden;
    (void)state;
    OK(tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err));
    for (int i = 0; i < 3; i++) {
        const json_t *want = json_object_get(json_object_get(golden, "nets"), names[i]), *fit = json_object_get(want, "temperature");
        char file[60];
        snprintf(file, sizeof file, "%s.npz", names[i]);
        struct calib *c = net(file, 10), *scaled;
        values_are(c, json_object_get(want, "bins_10"));
        calib_free(c);
        c = net(file, 15);
        values_are(c, json_object_get(want, "bins_15"));
        temperature_is(c, fit);
        double *beta = mem_alloc_array((size_t)c->n, sizeof *beta);
        for (int64_t j = 0; j < c->n; j++)
            beta[j] = num(fit, "beta");
        OK(calib_scale(&scaled, c, beta, &err));
        values_are(scaled, json_object_get(want, "scaled_15"));
        calib_free(scaled), calib_free(c), mem_free(beta);
    }
    json_decref(golden);
}

/* A column of confidences with outcomes, as two choices of which the second is wrong: conf may be below one half. */
static double ece_of(const double *conf, const int *hit, int n, int n_bin, enum calib_metric m)
{
    double p[2 * 60], v[CALIB_N_METRIC];
    int32_t y[60];
    for (int i = 0; i < n; i++)
        p[2 * i] = 1 - conf[i], p[2 * i + 1] = conf[i], y[i] = hit[i];
    struct calib *c = made(n, 2, p, y, true, n_bin);
    OK(calib_measure(c, v, &err));
    calib_free(c);
    return v[m];
}

/* GCE of two items: l2, two bins of equal mass. */
static double gce(const double *p, int k, const int32_t *y)
{
    double v[CALIB_N_METRIC];
    struct calib *c = made(2, k, p, y, true, 2);
    OK(calib_measure(c, v, &err));
    calib_free(c);
    return v[CALIB_RMS_MASS];
}

/* robustness_metrics, metrics/uncertainty_test.py. */
static void examples_of_robustness_metrics(void **state)
{
    static const double p[] = { .51, .45, .39, .66, .68, .29, .81, .85 };
    static const int y[] = { 0, 0, 0, 1, 0, 1, 1, 1 };
    static const double largest[] = { .32, .37, .39, .61, .65, .91 };      /* of six items of three classes (evaluation_golden.json: ece_rm) */
    static const int is_right[] = { 1, 1, 0, 0, 0, 1 };
    static const double pair[] = { .2, .8, .3, .7 }, three[] = { .35, .35, .3, .8, .15, .05 };
    static const int32_t of_pair[] = { 1, 0 }, of_three[] = { 2, 1 };
    double v[CALIB_N_METRIC];
    struct calib_temperature t;
    (void)state;
    near(ece_of(p, y, 8, 10, CALIB_ECE_WIDTH), .145);
    near(ece_of(largest, is_right, 6, 10, CALIB_BINARY_WIDTH), (.92 + .61 + .65 + .09) / 6);
    struct calib *c = made(2, 2, pair, of_pair, true, 10);
    OK(calib_measure(c, v, &err));
    near(v[CALIB_ECE_WIDTH], .45), near(v[CALIB_NLL], .5 * (-log(.8) - log(.3))), near(v[CALIB_BRIER_SUM], .5 * (.04 + .04 + .49 + .49));
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    within(t.beta, 0.4177706241607666, 1e-5, "beta");
    assert_true(fabs(gce(pair, 2, of_pair) - .5147815) < 1e-7 && fabs(gce(three, 3, of_three) - .6174544) < 1e-7);
    calib_free(c);
    c = made(2, 3, three, of_three, true, 10);
    OK(calib_measure(c, v, &err));
    near(v[CALIB_ECE_WIDTH], .575), near(v[CALIB_NLL], -.5 * (log(.3) + log(.15)));
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    within(t.beta, -0.23755066096782684, 1e-5, "beta");
    assert_int_equal(t.status, CALIB_FITTED);
    calib_free(c);
}

/* torch-uncertainty, tests/metrics/classification/test_calibration.py: equal mass, l1, l2 and max. */
static void example_of_torch_uncertainty(void **state)
{
    static const double p[] = { .7, .3, .76, .24, .75, .25, .2, .8, .8, .2 };
    static const int32_t y[] = { 0, 0, 0, 1, 1 };
    double v[CALIB_N_METRIC];
    (void)state;
    struct calib *c = made(5, 2, p, y, true, 2);
    OK(calib_measure(c, v, &err));
    near(v[CALIB_ECE_MASS], 3. / 5 * (1 - (.7 + .76 + .75) / 3) + 2. / 5 * (.8 - .5));
    near(v[CALIB_RMS_MASS] * v[CALIB_RMS_MASS], 3. / 5 * pow(1 - (.7 + .76 + .75) / 3, 2) + 2. / 5 * pow(.8 - .5, 2));
    near(v[CALIB_DEBIASED_L2], 3. / 5 * pow(1 - (.7 + .76 + .75) / 3, 2) + 2. / 5 * (pow(.8 - .5, 2) - .25));
    calib_free(c);
}

/* MAPIE, tests/test_metrics.py, to its four digits: its 50 bins are 50 edges. */
static void examples_of_mapie(void **state)
{
    json_t *golden;
    (void)state;
    OK(tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err));
    const json_t *o = json_object_get(golden, "mapie");
    double *score = numbers(o, "score"), *largest = numbers(o, "scores_max"), of_class[51], top_label = 0;
    int32_t *y = labels(o, "y"), *top = labels(o, "scores_argmax");
    int hit[51];
    for (int i = 0; i < 51; i++)
        hit[i] = y[i];
    assert_true(fabs(ece_of(score, hit, 51, 49, CALIB_BINARY_WIDTH) - .4471) < 5e-5);
    assert_true(fabs(ece_of(largest, hit, 51, 49, CALIB_BINARY_WIDTH) - .5363) < 5e-5);
    for (int k = 0; k < 5; k++) {
        int n = 0;
        for (int i = 0; i < 51; i++)
            if (top[i] == k)
                of_class[n] = largest[i], hit[n++] = y[i] == k;
        top_label += ece_of(of_class, hit, n, 49, CALIB_BINARY_WIDTH) / 5;
    }
    assert_true(fabs(top_label - .6997) < 5e-5);
    mem_free(top), mem_free(y), mem_free(largest), mem_free(score);
    json_decref(golden);
}

/* evaluation_golden.json: temp_scaling, brier_sum and nll of scikit-learn's example. */
static void temperature_of_the_reference_notes(void **state)
{
    static const double z[] = { 3, 1, 0, 0, 4, 1, 2, 2.5, 0, 5, 0, 0, 0, 1, .5 };
    static const int32_t y[] = { 0, 1, 0, 1, 2 };
    struct calib_temperature t;
    (void)state;
    struct calib *c = made(5, 3, z, y, false, 15);
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    within(t.beta, 0.23713794260961477, 1e-9, "beta"), within(t.temperature, 4.216954861779487, 1e-9, "T");
    near(t.nll_before, 1.4906589103713614), near(t.nll_after, 1.0310839888215442);
    calib_free(c);
}

/* ---- simulations ---- */

/* n items of 2 to 5 choices whose labels are drawn from the model's own probabilities, sharpened by beta: 1 is perfectly calibrated. */
static struct calib *simulated(int64_t n, bool same_k, double beta, uint64_t seed)
{
    double *z = mem_alloc_array((size_t)n * 5, sizeof *z), p[5];
    int64_t *start = mem_alloc_array((size_t)n + 1, sizeof *start);
    int32_t *y = mem_alloc_array((size_t)n, sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        const int k = same_k ? 4 : 2 + (int)rng_below(seed, (uint64_t)i, 4);
        double sum = 0, at = rng_uniform(seed + 1, (uint64_t)i);
        start[i + 1] = start[i] + k;
        for (int j = 0; j < k; j++)
            sum += p[j] = exp(z[start[i] + j] = 1.5 * rng_normal(seed + 2, (uint64_t)(5 * i + j)));
        at *= sum;
        for (y[i] = 0; y[i] < k - 1 && at >= p[y[i]]; y[i]++)
            at -= p[y[i]];
        for (int j = 0; j < k; j++)
            z[start[i] + j] *= beta;
    }
    struct calib *c;
    const struct calib_items in = { n, same_k ? 4 : 0, start, z, y, false };
    OK(calib_new(&c, &in, 15, &err));
    mem_free(y), mem_free(start), mem_free(z);
    return c;
}

/* With R = 99 draws a metric's p is at most .05 with probability exactly .05 (ties apart). */
static void a_calibrated_model_is_called_miscalibrated_five_times_in_a_hundred(void **state)
{
    enum { SIZES = 3 };
    static const int sizes[SIZES] = { 40, 300, 1000 }, n_models[SIZES] = { FEWER(1000, 20), FEWER(1000, 20), FEWER(300, 10) };
    (void)state;
    for (int s = 0; s < SIZES; s++) {
        const int n_model = n_models[s];
        int called[CALIB_N_METRIC] = { 0 };
        for (int i = 0; i < n_model; i++) {
            double v[CALIB_N_METRIC];
            struct calib_null null;
            struct calib *c = simulated(sizes[s], true, 1, (uint64_t)(1000 * s + i) * 7);
            OK(calib_measure(c, v, &err));
            OK(calib_null(&null, c, v, 99, 5, two, &err));
            for (int m = 0; m < CALIB_N_METRIC; m++) {
                called[m] += null.p[m] <= .05;
                assert_true(isnan(v[m]) || (v[m] > null.q95[m]) <= (null.p[m] <= .05));
            }
            calib_free(c);
        }
        print_message("n = %d: of %d calibrated models called miscalibrated by ece.equal_width %d, equal_mass %d, sweep %d, classwise %d, debiased %d, nll %d\n", sizes[s],
                      n_model, called[CALIB_ECE_WIDTH], called[CALIB_ECE_MASS], called[CALIB_ECE_SWEEP], called[CALIB_CLASS_WIDTH], called[CALIB_DEBIASED_L2],
                      called[CALIB_NLL]);
        const double most = n_model * .05 + 3.5 * sqrt(n_model * .05 * .95);      /* of a binomial of that chance: once in 4000 */
        for (int m = 0; m < CALIB_N_METRIC; m++)
            assert_true(called[m] <= most);
    }
}

static void a_model_too_sure_is_called_miscalibrated(void **state)
{
    int called = 0;
    const int n_model = FEWER(100, 10);
    (void)state;
    for (int i = 0; i < n_model; i++) {
        double v[CALIB_N_METRIC];
        struct calib_null null;
        struct calib *c = simulated(1000, false, 1.5, (uint64_t)i * 7 + 90000);
        OK(calib_measure(c, v, &err));
        assert_true(isnan(v[CALIB_CLASS_WIDTH]) && isnan(v[CALIB_BRIER_BINARY]) && v[CALIB_BRIER_SUM] > 0);
        OK(calib_null(&null, c, v, 99, 5, two, &err));
        called += null.p[CALIB_ECE_WIDTH] <= .05;
        assert_true(isnan(null.q95[CALIB_CLASS_WIDTH]) && null.n_rep == 99);
        calib_free(c);
    }
    assert_true(called >= n_model - n_model / 20);
}

/* evaluation.md, 4.3: the bias of a perfectly calibrated model's ECE, .066 at 300 items and .011 at 10,000, and the debiased one's about 0. */
static void the_null_has_the_bias_that_is_known(void **state)
{
    double v[CALIB_N_METRIC];
    struct calib_null small, large;
    (void)state;
    struct calib *c = simulated(300, true, 1, 11);
    OK(calib_measure(c, v, &err));
    OK(calib_null(&small, c, v, 199, 1, two, &err));
    calib_free(c);
    c = simulated(10000, true, 1, 12);
    OK(calib_measure(c, v, &err));
    OK(calib_null(&large, c, v, FEWER(199, 19), 1, two, &err));
    calib_free(c);
    assert_true(small.mean[CALIB_ECE_WIDTH] > .05 && small.mean[CALIB_ECE_WIDTH] < .08 && small.q95[CALIB_ECE_WIDTH] < .11);
    assert_true(large.mean[CALIB_ECE_WIDTH] > .008 && large.mean[CALIB_ECE_WIDTH] < .014);
    assert_true(fabs(small.mean[CALIB_DEBIASED_L2]) < .004 && fabs(large.mean[CALIB_DEBIASED_L2]) < .001);
}

static void nulls_and_temperatures_are_the_same_with_any_number_of_threads(void **state)
{
    double v[CALIB_N_METRIC], w[CALIB_N_METRIC];
    struct calib_null a, b, other;
    struct calib_temperature s, t, fit_a[5], fit_b[5];
    struct calib *x, *y, *c = simulated(700, true, 1.3, 3);
    (void)state;
    OK(calib_measure(c, v, &err));
    OK(calib_null(&a, c, v, 39, 9, one, &err));
    OK(calib_null(&b, c, v, 39, 9, two, &err));
    OK(calib_null(&other, c, v, 39, 10, two, &err));
    assert_memory_equal(a.mean, b.mean, sizeof a.mean);
    assert_memory_equal(a.q95, b.q95, sizeof a.q95);
    assert_memory_equal(a.p, b.p, sizeof a.p);
    assert_true(a.mean[CALIB_NLL] != other.mean[CALIB_NLL]);
    OK(calib_temperature_fit(&s, c, NULL, 0, one, &err));
    OK(calib_temperature_fit(&t, c, NULL, 0, two, &err));
    assert_true(s.beta == t.beta && s.nll_after == t.nll_after);
    OK(calib_cross_fit(&x, c, 5, 4, one, fit_a, &err));
    OK(calib_cross_fit(&y, c, 5, 4, two, fit_b, &err));
    OK(calib_measure(x, v, &err));
    OK(calib_measure(y, w, &err));
    assert_memory_equal(v, w, sizeof v);
    calib_free(y), calib_free(x), calib_free(c);
}

static void a_temperature_gives_back_what_sharpening_took(void **state)
{
    struct calib *x, *c = simulated(4000, false, 2, 77);
    struct calib_temperature t, fit[4];
    double before[CALIB_N_METRIC], after[CALIB_N_METRIC];
    (void)state;
    OK(calib_temperature_fit(&t, c, NULL, 0, two, &err));
    assert_true(t.temperature > 1.8 && t.temperature < 2.2 && t.n == 4000);
    OK(calib_cross_fit(&x, c, 4, 1, two, fit, &err));
    OK(calib_measure(c, before, &err));
    OK(calib_measure(x, after, &err));
    assert_true(after[CALIB_ECE_WIDTH] < before[CALIB_ECE_WIDTH] / 3 && after[CALIB_NLL] < before[CALIB_NLL]);
    assert_true(after[CALIB_ACCURACY] == before[CALIB_ACCURACY]);
    for (int f = 0; f < 4; f++)
        assert_true(fit[f].n == 3000 && fabs(fit[f].temperature - t.temperature) < .3);
    calib_free(x), calib_free(c);
}

/* ---- edges ---- */

static void fits_without_an_end_say_so(void **state)
{
    static const double z[] = { 2, 0, 1, 3, 3, 3 }, flat[] = { 1, 1, 2, 2 };
    static const int32_t right[] = { 0, 1, 1 }, wrong[] = { 1, 0, 0 }, y[] = { 0, 1 };
    struct calib_temperature t, fit[3];
    struct calib *x, *c = made(3, 2, z, right, false, 15);
    (void)state;
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    assert_true(t.status == CALIB_ALL_RIGHT && t.beta == INFINITY && t.temperature == 0);
    near(t.nll_after, log(2) / 3);
    assert_non_null(strstr(calib_temperature_word(t.status), "right in every item"));
    OK(calib_cross_fit(&x, c, 3, 1, one, fit, &err));
    assert_null(x);
    assert_int_equal(fit[0].status, CALIB_ALL_RIGHT);
    calib_free(c);
    c = made(3, 2, z, wrong, false, 15);
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    assert_true(t.status == CALIB_ALL_WRONG && t.beta == -INFINITY);
    calib_free(c);
    c = made(2, 2, flat, y, false, 15);
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    assert_true(t.status == CALIB_FLAT && t.beta == 1);
    near(t.nll_after, log(2));
    calib_free(c);
}

/* Logits of 1e300 and of 1e-300: the answer is there, and finite. */
static void logits_of_any_size_have_a_temperature(void **state)
{
    static const double large[] = { 1e300, 0, 1e300, 0, 0, 1e300 }, small[] = { 1e-290, 0, 1e-290, 0, 0, 1e-290 };
    static const int32_t y[] = { 0, 0, 0 };
    struct calib_temperature t;
    (void)state;
    struct calib *c = made(3, 2, large, y, false, 15);
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    within(t.beta * 1e300, log(2), 1e-9, "beta");
    calib_free(c);
    c = made(3, 2, small, y, false, 15);
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    within(t.beta * 1e-290, log(2), 1e-9, "beta");
    calib_free(c);
}

static void confidences_of_nought_and_one_are_in_the_outer_bins(void **state)
{
    static const double p[] = { 1, 0, 0, 1, 1, 0, .5, .5 };
    static const int32_t y[] = { 0, 0, 0, 1 };
    double v[CALIB_N_METRIC];
    struct calib_bin bin[10];
    (void)state;
    struct calib *c = made(4, 2, p, y, true, 10);
    OK(calib_measure(c, v, &err));
    near(v[CALIB_ECE_WIDTH], (1 + .5) / 4);
    near(v[CALIB_NLL], (126 * log(2) + log(2)) / 4);      /* a label of probability 0 counts as 2^-126 */
    assert_int_equal(c->n_clipped, 1);
    assert_true(c->top[3] == 0 && !c->right[3]);          /* the first of equals */
    OK(calib_reliability(c, bin, &err));
    assert_true(bin[9].n == 3 && bin[9].n_right == 2 && bin[5].n == 1 && isnan(bin[0].acc) && isnan(bin[0].acc_low));
    near(bin[9].acc, 2. / 3);
    assert_true(bin[9].acc_low > .2 && bin[9].acc_low < .21 && bin[9].acc_high > .93 && bin[9].acc_high < .94 && bin[9].low == .9);
    calib_free(c);
}

static void one_item_and_one_class_are_measured(void **state)
{
    static const double z[] = { 5, 5, 5 }, pair[] = { 2, 1 };
    static const int32_t y[] = { 0, 0, 0 };
    double v[CALIB_N_METRIC];
    struct calib_null null;
    struct calib_temperature t;
    (void)state;
    struct calib *c = made(3, 1, z, y, false, 15);
    OK(calib_measure(c, v, &err));
    assert_true(v[CALIB_ECE_WIDTH] == 0 && v[CALIB_NLL] == 0 && v[CALIB_ACCURACY] == 1 && v[CALIB_CLASS_MASS] == 0);
    OK(calib_null(&null, c, v, 19, 1, one, &err));
    assert_true(null.q95[CALIB_ECE_WIDTH] == 0 && null.p[CALIB_ECE_WIDTH] == 1);
    OK(calib_temperature_fit(&t, c, NULL, 0, one, &err));
    assert_int_equal(t.status, CALIB_FLAT);
    calib_free(c);
    c = made(1, 2, pair, y, false, 15);
    OK(calib_measure(c, v, &err));
    near(v[CALIB_ECE_MASS], 1 - c->conf[0]), near(v[CALIB_ECE_SWEEP], 1 - c->conf[0]);
    assert_true(v[CALIB_DEBIASED_L2] == 0);
    calib_free(c);
}

static void equal_confidences_measure_the_same_in_any_order(void **state)
{
    double p[40], v[CALIB_N_METRIC], w[CALIB_N_METRIC];
    int32_t first[20], mixed[20];
    (void)state;
    for (int i = 0; i < 20; i++)
        p[2 * i] = .6, p[2 * i + 1] = .4, first[i] = i >= 12, mixed[i] = i % 5 == 1 || i % 5 == 3;
    struct calib *a = made(20, 2, p, first, true, 7), *b = made(20, 2, p, mixed, true, 7);
    OK(calib_measure(a, v, &err));
    OK(calib_measure(b, w, &err));
    for (int m = 0; m < CALIB_N_METRIC; m++)
        assert_true(fabs(v[m] - w[m]) < 1e-14 || (isnan(v[m]) && isnan(w[m])));
    assert_true(fabs(v[CALIB_ECE_MASS]) < 1e-14);      /* sorted by outcome, a cut in that order would find .48 */
    calib_free(b), calib_free(a);
}

static void refused(const struct calib_items *in, int n_bin, int code, const char *says)
{
    struct calib *c;
    assert_int_equal(calib_new(&c, in, n_bin, &err), code);
    assert_null(c);
    if (!strstr(err.msg, says))
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void wrong_items_are_named(void **state)
{
    static const double nan_in[] = { 0, 1, 2, NAN }, inf_in[] = { 0, -INFINITY, 2, 1 }, huge[] = { 0, 2e300, 2, 1 }, z[] = { 0, 1, 2, 3 }, bad_sum[] = { .5, .5, .5, .6 }, negative[] = { 1.1, -.1, .5, .5 };
    static const int32_t y[] = { 0, 1 }, high[] = { 0, 2 }, low[] = { -1, 0 };
    static const int64_t gap[] = { 0, 2, 2 };
    (void)state;
    refused(&(struct calib_items){ 2, 2, NULL, nan_in, y, false }, 15, ERR_NUMERIC, "item 1, choice 1: nan");
    refused(&(struct calib_items){ 2, 2, NULL, inf_in, y, false }, 15, ERR_NUMERIC, "item 0, choice 1: -inf");
    refused(&(struct calib_items){ 2, 2, NULL, huge, y, false }, 15, ERR_NUMERIC, "item 0, choice 1: 2e+300");
    refused(&(struct calib_items){ 2, 2, NULL, z, high, false }, 15, ERR_RANGE, "item 1: label 2, expected 0 to 1");
    refused(&(struct calib_items){ 2, 2, NULL, z, low, false }, 15, ERR_RANGE, "item 0: label -1");
    refused(&(struct calib_items){ 2, 2, NULL, bad_sum, y, true }, 15, ERR_RANGE, "item 1: probabilities with the sum 1.1");
    refused(&(struct calib_items){ 2, 2, NULL, negative, y, true }, 15, ERR_RANGE, "item 0, choice 0: probability 1.1");
    refused(&(struct calib_items){ 2, 0, gap, z, y, false }, 15, ERR_RANGE, "item 1 has 0 choices");
    refused(&(struct calib_items){ 0, 2, NULL, z, y, false }, 15, ERR_RANGE, "0 items");
    refused(&(struct calib_items){ 2, 0, NULL, z, y, false }, 15, ERR_RANGE, "0 classes");
    refused(&(struct calib_items){ 2, 2, NULL, z, y, false }, 0, ERR_RANGE, "0 bins");
    struct calib *c = made(2, 2, z, y, false, 15), *x;
    double v[CALIB_N_METRIC];
    struct calib_null null;
    struct calib_temperature fit[3];
    OK(calib_measure(c, v, &err));
    assert_int_equal(calib_null(&null, c, v, 5, 1, one, &err), ERR_RANGE);
    assert_int_equal(calib_cross_fit(&x, c, 3, 1, one, fit, &err), ERR_RANGE);
    calib_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_answers_measure_as_netcal_scikit_learn_and_scipy_say),
        cmocka_unit_test(three_nets_measure_as_netcal_says_before_and_after_temperature),
        cmocka_unit_test(examples_of_robustness_metrics),
        cmocka_unit_test(example_of_torch_uncertainty),
        cmocka_unit_test(examples_of_mapie),
        cmocka_unit_test(temperature_of_the_reference_notes),
        cmocka_unit_test(a_calibrated_model_is_called_miscalibrated_five_times_in_a_hundred),
        cmocka_unit_test(a_model_too_sure_is_called_miscalibrated),
        cmocka_unit_test(the_null_has_the_bias_that_is_known),
        cmocka_unit_test(nulls_and_temperatures_are_the_same_with_any_number_of_threads),
        cmocka_unit_test(a_temperature_gives_back_what_sharpening_took),
        cmocka_unit_test(fits_without_an_end_say_so),
        cmocka_unit_test(logits_of_any_size_have_a_temperature),
        cmocka_unit_test(confidences_of_nought_and_one_are_in_the_outer_bins),
        cmocka_unit_test(one_item_and_one_class_are_measured),
        cmocka_unit_test(equal_confidences_measure_the_same_in_any_order),
        cmocka_unit_test(wrong_items_are_named),
    };
    return cmocka_run_group_tests(tests, pools, no_pools);
}
