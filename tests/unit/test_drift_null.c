/* test_drift_null.c - tests of drift where nothing has drifted: alarms at 5 % come in 5 % of the windows, or fewer, whatever their size; and one wild value
 * does not hide a shift. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/contingency.h"
#include "eval/mmd.h"
#include "eval/two_sample.h"

/* An exact p of 10,000 against 10,000 is 10^8 steps: -DLARGE_RUNS=1000 makes as many of them as of the others. */
#ifndef LARGE_RUNS
#define LARGE_RUNS 60
#endif
enum { RUNS = FEWER(1000, 20), MOST_OF_LARGE = FEWER(LARGE_RUNS, 2), N_SIZE = 4, REFERENCE = 2000, MOST_CATEGORIES = 20 };
static const int64_t size[N_SIZE] = { 50, 200, 1000, 10000 };
static struct err err;

static int (*const tests_of_two[])(const double *, int64_t, const double *, int64_t, struct two_sample *, struct err *) = {
    two_ks, two_mann_whitney, two_cramer_von_mises, two_anderson_darling,
};
static const char *const name_of[] = { "Kolmogorov-Smirnov", "Mann-Whitney", "Cramér-von Mises", "Anderson-Darling" };
enum { N_TEST = sizeof tests_of_two / sizeof *tests_of_two };

/* 5 % of the runs, and what chance adds to that once in 30,000. */
static double most(int runs) { return 0.05 * runs + 4 * sqrt(0.05 * 0.95 * runs); }

static void numbers_alarm_as_often_as_they_say(void **state)
{
    (void)state;
    double *v = mem_alloc_array(2 * 10000, sizeof *v);
    assert_non_null(v);
    for (int s = 0; s < N_SIZE; s++) {
        const int runs = size[s] > 1000 ? MOST_OF_LARGE : RUNS;
        int alarms[N_TEST] = { 0 };
        const int64_t n = size[s], m = size[s] < REFERENCE ? REFERENCE : size[s];
        for (int run = 0; run < runs; run++) {
            for (int64_t i = 0; i < n + m; i++)
                v[i] = rng_normal((uint64_t)(10000 * s + run), (uint64_t)i);
            for (int t = 0; t < N_TEST; t++) {
                struct two_sample r;
                OK(tests_of_two[t](v, m, v + m, n, &r, &err));
                alarms[t] += r.p <= 0.05;
            }
        }
        for (int t = 0; t < N_TEST; t++) {
            print_message("%-20s %5lld of a window, %5lld before: %.3f of %d\n", name_of[t], (long long)n, (long long)m, (double)alarms[t] / runs, runs);
            assert_true(alarms[t] <= most(runs));
        }
    }
    mem_free(v);
}

/* How many of n draws fell into each of k categories: shares as 1, or as 1/1, 1/2, 1/3 .. (few of the last ones). */
static void draw(uint64_t key, int64_t n, int k, bool zipf, int64_t *count)
{
    double all = 0;
    for (int c = 0; c < k; c++)
        count[c] = 0, all += zipf ? 1.0 / (c + 1) : 1;
    for (int64_t i = 0; i < n; i++) {
        double u = rng_uniform(key, (uint64_t)i) * all;
        int c = 0;
        while (c < k - 1 && (u -= zipf ? 1.0 / (c + 1) : 1) >= 0)
            c++;
        count[c]++;
    }
}

/* p of the contingency test, categories that neither has left out. */
static double p_of(const int64_t count[2][MOST_CATEGORIES], int k)
{
    int64_t seen[2 * MOST_CATEGORIES];
    int n = 0;
    for (int c = 0; c < k; c++)
        n += count[0][c] + count[1][c] > 0;
    for (int c = 0, at = 0; c < k; c++)
        if (count[0][c] + count[1][c]) {
            seen[at] = count[0][c], seen[n + at] = count[1][c];
            at++;
        }
    struct contingency r;
    OK(contingency_test(seen, 2, n, true, &r, &err));
    return r.p;
}

static void categories_alarm_as_often_as_they_say(void **state)
{
    (void)state;
    static const int categories[] = { 2, 6, 20 };
    for (int zipf = 0; zipf < 2; zipf++)
        for (int k = 0; k < 3; k++)
            for (int s = 0; s < N_SIZE; s++) {
                int alarms = 0;
                int64_t count[2][MOST_CATEGORIES];
                for (int run = 0; run < RUNS; run++)  {
                    const uint64_t key = (uint64_t)(((zipf * 3 + k) * N_SIZE + s) * 100000 + 2 * run);
                    draw(key, REFERENCE, categories[k], zipf, count[0]);
                    draw(key + 1, size[s], categories[k], zipf, count[1]);
                    alarms += p_of((const int64_t(*)[MOST_CATEGORIES])count, categories[k]) <= 0.05;
                }
                print_message("%2d categories%s, %5lld of a window, %d before: %.3f\n", categories[k], zipf ? ", Zipf's shares" : ", equal shares  ", (long long)size[s], REFERENCE, (double)alarms / RUNS);
                assert_true(alarms <= most(RUNS));
            }
}

static void vectors_alarm_as_often_as_they_say(void **state)
{
    (void)state;
    enum { N = 50, D = 8, VECTOR_RUNS = FEWER(400, 4) };
    double x[2 * N * D];
    int alarms = 0;
    for (int run = 0; run < VECTOR_RUNS; run++) {
        struct mmd r;
        for (int i = 0; i < 2 * N * D; i++)
            x[i] = rng_normal((uint64_t)(7000000 + run), (uint64_t)i);
        OK(mmd_test(x, N, x + N * D, N, D, &(struct mmd_opts){ .n_permutation = 199, .seed = (uint64_t)run }, &r, &err));
        alarms += r.p <= 0.05;
    }
    print_message("mean discrepancy, %d against %d vectors of %d: %.3f\n", N, N, D, (double)alarms / VECTOR_RUNS);
    assert_true(alarms <= most(VECTOR_RUNS));
}

/* Bins that reach as far as the wildest value hide everything else in one of them; ranks do not. */
static void one_wild_value_does_not_hide_a_shift(void **state)
{
    (void)state;
    enum { N = 100, SHIFTED = FEWER(200, 5) };
    double v[REFERENCE + N];
    for (int run = 0; run < SHIFTED; run++) {
        for (int i = 0; i < REFERENCE + N; i++)
            v[i] = rng_normal((uint64_t)(9000000 + run), (uint64_t)i) + (i >= REFERENCE ? 1 : 0);
        v[REFERENCE] = 500;
        for (int t = 0; t < N_TEST; t++) {
            struct two_sample r;
            OK(tests_of_two[t](v, REFERENCE, v + REFERENCE, N, &r, &err));
            assert_true(r.p <= 0.001 + 1e-12);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_alarm_as_often_as_they_say),
        cmocka_unit_test(categories_alarm_as_often_as_they_say),
        cmocka_unit_test(vectors_alarm_as_often_as_they_say),
        cmocka_unit_test(one_wild_value_does_not_hide_a_shift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
