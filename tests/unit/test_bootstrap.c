/* The bootstrap: edges, its draws, the same bits with any number of threads, and what it must agree with. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/bootstrap.h"
#include "eval/dist.h"
#include "eval/interval.h"

static struct err err;
static const struct bootstrap_opts few = { .n_replicate = 2000, .seed = 7 };

static void no_items_and_values_that_are_no_numbers_are_refused(void **state)
{
    (void)state;
    const double x[] = { 1, NAN }, *columns[] = { x };
    struct bootstrap b;
    assert_int_equal(bootstrap_sums(columns, 1, NULL, 0, bootstrap_mean, NULL, &few, &b, &err), ERR_RANGE);
    assert_int_equal(bootstrap_sums(columns, 1, NULL, 2, bootstrap_mean, NULL, &few, &b, &err), ERR_NUMERIC);
    assert_int_equal(bootstrap_sums(columns, 0, NULL, 1, bootstrap_mean, NULL, &few, &b, &err), ERR_RANGE);
    assert_int_equal(bootstrap_sums(columns, BOOTSTRAP_COLUMNS + 1, NULL, 1, bootstrap_mean, NULL, &few, &b, &err), ERR_RANGE);
    const struct bootstrap_opts wrong = { .level = 1.5 }, less = { .n_replicate = -1 };
    assert_int_equal(bootstrap_sums(columns, 1, NULL, 1, bootstrap_mean, NULL, &wrong, &b, &err), ERR_RANGE);
    assert_int_equal(bootstrap_sums(columns, 1, NULL, 1, bootstrap_mean, NULL, &less, &b, &err), ERR_RANGE);
    const double zero[] = { 0, 0 }, *ratio[] = { x, zero };
    assert_int_equal(bootstrap_sums(ratio, 2, NULL, 1, bootstrap_ratio, NULL, &few, &b, &err), ERR_NUMERIC);
    assert_string_equal(err.msg, "the statistic is inf, expected a finite number");
}

static void one_unit_has_an_estimate_and_no_interval(void **state)
{
    (void)state;
    const double x[] = { 3, 5 }, ones[] = { 1, 1 }, *columns[] = { x, ones };
    const int64_t cluster[] = { 4, 4 };
    struct bootstrap b;
    OK(bootstrap_sums(columns, 2, cluster, 2, bootstrap_ratio, NULL, &few, &b, &err));
    assert_true(b.estimate == 4 && isnan(b.se) && isnan(b.bca[0]) && isnan(b.percentile[1]) && b.n_unit == 1);
}

static void equal_items_give_a_point(void **state)
{
    (void)state;
    const double x[] = { 0.25, 0.25, 0.25 }, *columns[] = { x };
    struct bootstrap b;
    OK(bootstrap_sums(columns, 1, NULL, 3, bootstrap_mean, NULL, &few, &b, &err));
    assert_true(b.estimate == 0.25 && b.se == 0 && b.bias == 0 && b.percentile[0] == 0.25 && b.percentile[1] == 0.25 && b.bca[0] == 0.25 && b.bca[1] == 0.25);
}

/* n^8, n^4 ... do not divide 2^64, so words are refused now and then: more often for the larger n. */
static void draws_are_uniform(void **state)
{
    (void)state;
    for (int64_t n = 2; n <= 5153; n = n * 3 - 1) {
        int64_t *count = mem_alloc_array((size_t)n, sizeof *count);
        int32_t *unit = mem_alloc_array((size_t)n, sizeof *unit);
        const int64_t n_replicate = 400000 / n;
        for (int64_t r = 0; r < n_replicate; r++) {
            bootstrap_draw(11, (uint64_t)r, n, unit);
            for (int64_t i = 0; i < n; i++) {
                assert_in_range(unit[i], 0, n - 1);
                count[unit[i]]++;
            }
        }
        double chi2 = 0;
        for (int64_t i = 0; i < n; i++)
            chi2 += ((double)count[i] - (double)n_replicate) * ((double)count[i] - (double)n_replicate) / (double)n_replicate;
        const double p = dist_chi2_sf(chi2, (double)n - 1);
        assert_true(p > 1e-4 && p < 1 - 1e-4);
        mem_free(count);
        mem_free(unit);
    }
}

enum { N = 700 };
static double x[N], y[N], w[N];
static int64_t passage[N];

static void make_items(void)
{
    for (uint64_t i = 0; i < N; i++) {
        passage[i] = (int64_t)rng_below(1, i, 90);
        const double of_passage = rng_normal(2, (uint64_t)passage[i]);
        x[i] = -exp(of_passage + rng_normal(3, i));
        y[i] = x[i] - 0.1 + 0.3 * rng_normal(4, i);
        w[i] = 1 + (double)rng_below(5, i, 20);
    }
}

static double median_of_x(const int32_t *unit, int64_t n, int i_thread, void *ctx)
{
    double *room = (double *)ctx + i_thread * N;
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i;
        for (; j > 0 && room[j - 1] > x[unit[i]]; j--)
            room[j] = room[j - 1];
        room[j] = x[unit[i]];
    }
    return n % 2 ? room[n / 2] : (room[n / 2 - 1] + room[n / 2]) / 2;
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    make_items();
    struct bootstrap alone[3], with[3];
    const double *const columns[] = { x, y, w };
    double *room = mem_alloc_array(3 * N, sizeof *room);
    for (int n_thread = 0; n_thread <= 3; n_thread++) {
        struct bootstrap_opts o = { .n_replicate = FEWER(3001, 301), .seed = 3 };
        if (n_thread)
            OK(pool_new(&o.pool, n_thread, &err));
        struct bootstrap *b = n_thread ? with : alone;
        OK(bootstrap_sums(columns, 3, passage, N, bootstrap_difference, NULL, &o, &b[0], &err));
        OK(bootstrap_sums(columns, 1, NULL, N, bootstrap_mean, NULL, &o, &b[1], &err));
        OK(bootstrap_units(101, median_of_x, room, &o, &b[2], &err));
        pool_free(o.pool);
        if (n_thread)
            assert_memory_equal(alone, with, sizeof alone);
    }
    mem_free(room);
}

/* Calls are counted, as what they take is quadratic: the mean of many units, by their sums and as any statistic. */
static _Atomic int n_call;
static double counted_mean(const int32_t *unit, int64_t n, int i_thread, void *ctx)
{
    const double *v = ctx;
    double sum = 0;
    (void)i_thread;
    n_call++;
    for (int64_t i = 0; i < n; i++)
        sum += v[unit[i]];
    return sum / (double)n;
}

static void of_many_units_groups_are_left_out(void **state)
{
    (void)state;
    enum { MANY = 4001 };
    double *v = mem_alloc_array(MANY, sizeof *v);
    struct bootstrap sums, units;
    for (uint64_t i = 0; i < MANY; i++)
        v[i] = exp(1.5 * rng_normal(9, i));              /* skewed */
    const double *const columns[] = { v };
    const struct bootstrap_opts o = { .n_replicate = FEWER(2001, 501), .seed = 4 };
    OK(bootstrap_sums(columns, 1, NULL, MANY, bootstrap_mean, NULL, &o, &sums, &err));
    n_call = 0;
    OK(bootstrap_units(MANY, counted_mean, v, &o, &units, &err));
    assert_int_equal(n_call, 1 + 1000 + o.n_replicate);
    assert_true(fabs(units.se / sums.se - 1) < 1e-9);
    for (int i = 0; i < 2; i++) {
        assert_true(fabs(units.percentile[i] - sums.percentile[i]) < 1e-9);
        assert_true(fabs(units.bca[i] - sums.bca[i]) < 0.1 * sums.se);       /* beside which BCa moves it by more: below */
    }
    assert_true(fabs(sums.bca[1] - sums.percentile[1]) > 0.1 * sums.se);
    mem_free(v);
}

struct watch { int n, stop_at; double last; };

static bool watch(void *ctx, double share)
{
    struct watch *at = ctx;
    assert_true(share >= at->last && share < 1);
    at->last = share;
    return at->n++ != at->stop_at;
}

/* Who watches changes no bit, sees the work go on, and may end it. */
static void it_is_watched_and_stopped(void **state)
{
    (void)state;
    enum { N_FEW = 50 };
    double v[N_FEW];
    struct bootstrap alone[2], watched[2];
    for (uint64_t i = 0; i < N_FEW; i++)
        v[i] = rng_normal(9, i);
    const double *const columns[] = { v };
    const struct bootstrap_opts plain = { .n_replicate = 3001, .seed = 4 };
    OK(bootstrap_units(N_FEW, counted_mean, v, &plain, &alone[0], &err));
    OK(bootstrap_sums(columns, 1, NULL, N_FEW, bootstrap_mean, NULL, &plain, &alone[1], &err));
    for (int n_thread = 1; n_thread < 4; n_thread += 2) {
        struct watch all = { .stop_at = -1 }, sums = { .stop_at = -1 }, early = { .stop_at = 1 }, late = { .stop_at = 30 };
        struct bootstrap_opts o = { .n_replicate = 3001, .seed = 4, .goes_on = watch, .ctx = &all };
        OK(pool_new(&o.pool, n_thread, &err));
        OK(bootstrap_units(N_FEW, counted_mean, v, &o, &watched[0], &err));
        o.ctx = &sums;
        OK(bootstrap_sums(columns, 1, NULL, N_FEW, bootstrap_mean, NULL, &o, &watched[1], &err));
        assert_memory_equal(alone, watched, sizeof alone);
        assert_true(all.n > 50 && sums.n > 50 && all.last > 0.9 && sums.last > 0.9);
        o.ctx = &early;
        n_call = 0;
        assert_int_equal(bootstrap_units(N_FEW, counted_mean, v, &o, &watched[0], &err), ERR_STOPPED);
        assert_true(n_call < 10);
        o.ctx = &late;
        assert_int_equal(bootstrap_sums(columns, 1, NULL, N_FEW, bootstrap_mean, NULL, &o, &watched[1], &err), ERR_STOPPED);
        pool_free(o.pool);
    }
}

static void its_standard_error_is_the_one_by_formula(void **state)
{
    (void)state;
    make_items();
    const double *const columns[] = { x, w };
    const struct bootstrap_opts o = { .n_replicate = FEWER(20000, 2000), .seed = 1 };
    struct bootstrap b;
    struct interval_mean m;
    OK(bootstrap_sums(columns, 2, passage, N, bootstrap_ratio, NULL, &o, &b, &err));
    OK(interval_mean(x, w, passage, N, 0.95, &m, &err));
    assert_true(fabs(b.estimate - m.mean) < 1e-12 * fabs(m.mean));
    assert_true(fabs(b.se / m.se - 1) < 0.05);
    assert_true(b.n_unit == m.n_cluster && b.percentile[0] < m.mean && m.mean < b.percentile[1]);
    struct bootstrap ppl;
    OK(bootstrap_sums(columns, 2, passage, N, bootstrap_perplexity, NULL, &o, &ppl, &err));
    assert_true(fabs(ppl.percentile[0] / exp(-b.percentile[1]) - 1) < 1e-6 && fabs(ppl.bca[1] / exp(-b.bca[0]) - 1) < 0.02);
}

/* Of samples of 20 from an exponential, whose mean is 1: BCa is nearer to its level than the percentile interval is. */
static void intervals_hold_the_truth_about_as_often_as_they_say(void **state)
{
    (void)state;
    enum { SAMPLES = FEWER(1000, 60), SIZE = 20 };
    int percentile = 0, bca = 0;
    for (int s = 0; s < SAMPLES; s++) {
        double v[SIZE];
        const double *const columns[] = { v };
        for (int i = 0; i < SIZE; i++)
            v[i] = -log(1 - rng_uniform(50, (uint64_t)(s * SIZE + i)));
        const struct bootstrap_opts o = { .n_replicate = 1000, .seed = (uint64_t)s };
        struct bootstrap b;
        OK(bootstrap_sums(columns, 1, NULL, SIZE, bootstrap_mean, NULL, &o, &b, &err));
        percentile += b.percentile[0] <= 1 && 1 <= b.percentile[1];
        bca += b.bca[0] <= 1 && 1 <= b.bca[1];
    }
    assert_true(bca >= percentile - FEWER(0, 2));
    assert_true(bca > 0.88 * SAMPLES && bca < 0.97 * SAMPLES + FEWER(0, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_items_and_values_that_are_no_numbers_are_refused),
        cmocka_unit_test(one_unit_has_an_estimate_and_no_interval),
        cmocka_unit_test(equal_items_give_a_point),
        cmocka_unit_test(draws_are_uniform),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(of_many_units_groups_are_left_out),
        cmocka_unit_test(it_is_watched_and_stopped),
        cmocka_unit_test(its_standard_error_is_the_one_by_formula),
        cmocka_unit_test(intervals_hold_the_truth_about_as_often_as_they_say),
    };
    return cmocka_run_group_tests_name("bootstrap", tests, NULL, NULL);
}
