/* test_select.c - who is beaten in everything, losses over several tasks, and who is taken. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "eval/paired.h"
#include "eval/select.h"

static struct err err;

static void whoever_is_beaten_in_everything_is_not_on_the_front(void **state)
{
    (void)state;
    /* quality, tokens/s, bytes */
    static const double value[] = {
        0.60, 10, 100,
        0.59, 20, 50,
        0.59, 20, 60,    /* as good as the one before, and larger */
        0.50, 20, 50,
        0.40, 90, NAN,
    };
    static const bool higher[] = { true, true, false };
    bool used[3], front[5];
    select_front(value, 5, 3, higher, used, front);        /* memory is not known of the last: it does not count */
    assert_true(used[0] && used[1] && !used[2]);
    assert_true(front[0] && front[1] && front[2] && !front[3] && front[4]);
    select_front(value, 4, 3, higher, used, front);
    assert_true(used[2] && front[0] && front[1] && !front[2] && !front[3]);
    select_front(value, 1, 3, higher, used, front);
    assert_true(front[0]);
}

/* What compare_measure() has of such items, without its bootstrap. */
static struct compare_result measured(uint64_t key, int n, double broken, double mended, double alpha)
{
    struct paired_counts k = { 0 };
    struct paired_judgement j;
    for (int i = 0; i < n; i++) {
        const double u = rng_uniform(key, (uint64_t)i);
        *(u < broken ? &k.b : u < broken + mended ? &k.c : &k.both) += 1;
    }
    OK(paired_judge(&k, 0.01, alpha, &j, &err));
    return (struct compare_result){ .effect = -j.loss, .ci = { -j.tango[1], -j.tango[0] }, .upper = j.upper };
}

static void of_one_task_the_limits_are_its_own(void **state)
{
    (void)state;
    const struct compare_result r = measured(3, 1000, 0.04, 0.02, 0.05);
    struct select_loss l;
    OK(select_loss(&r, 1, 0.01, &l, &err));
    assert_true(fabs(l.loss + r.effect) < 1e-15 && fabs(l.low + r.ci[1]) < 1e-15 && fabs(l.high + r.ci[0]) < 1e-15 && fabs(l.upper - r.upper) < 1e-15);
    assert_int_equal(select_loss(&r, 0, 0.01, &l, &err), ERR_RANGE);
}

/* Four tasks of different sizes: the true mean loss lies under `upper` in at least 93 % of 2,000 draws (95 % wanted), within low .. high in 93 to 98 %. */
static void limits_over_tasks_hold_what_they_say(void **state)
{
    (void)state;
    enum { RUNS = FEWER(2000, 20), T = 4 };
    static const int n[T] = { 60, 150, 400, 1000 };
    int under = 0, within = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        struct compare_result r[T];
        struct select_loss l;
        for (uint64_t t = 0; t < T; t++)
            r[t] = measured(1000 * run + 10 * t + 5, n[t], 0.06, 0.03, 0.05);
        OK(select_loss(r, T, 0.01, &l, &err));
        under += l.upper >= 0.03, within += l.low <= 0.03 && l.high >= 0.03;
    }
    print_message("one-sided %.3f, two-sided %.3f of %d\n", (double)under / RUNS, (double)within / RUNS, RUNS);
    assert_true(under >= (int)(0.93 * RUNS) && within >= (int)(0.93 * RUNS) && (RUNS < 1000 || within <= (int)(0.98 * RUNS)));
}

static void a_loss_is_called_by_its_limits(void **state)
{
    (void)state;
    struct select_loss l;
    struct compare_result r = { .effect = -0.02, .ci = { -0.03, -0.012 }, .upper = 0.028 };
    OK(select_loss(&r, 1, 0.01, &l, &err));
    assert_int_equal(l.verdict, COMPARE_WORSE);
    OK(select_loss(&r, 1, 0.05, &l, &err));                /* there, and small enough */
    assert_int_equal(l.verdict, COMPARE_NOT_WORSE);
    r = (struct compare_result){ .effect = -0.002, .ci = { -0.03, 0.02 }, .upper = 0.028 };
    OK(select_loss(&r, 1, 0.01, &l, &err));
    assert_int_equal(l.verdict, COMPARE_UNDERPOWERED);
    r = (struct compare_result){ .effect = 0.02, .ci = { 0.01, 0.03 }, .upper = -0.012 };
    OK(select_loss(&r, 1, 0.01, &l, &err));
    assert_int_equal(l.verdict, COMPARE_BETTER);
}

static void of_those_that_are_good_enough_the_first_by_one_criterion_is_taken(void **state)
{
    (void)state;
    struct select_candidate c[] = {
        { "f32", 0.60, { .verdict = COMPARE_NOT_WORSE }, true },
        { "q8", 0.598, { .verdict = COMPARE_NOT_WORSE }, true },
        { "q4", 0.55, { .verdict = COMPARE_WORSE }, true },
        { "q5", 0.59, { .verdict = COMPARE_UNDERPOWERED }, true },
    };
    static const double speed[] = { 10, 30, 60, 50 }, bytes[] = { 400, NAN, 70, 80 };
    assert_int_equal(select_best(c, 4), 0);
    assert_int_equal(select_take(c, 4, speed, true), 1);
    assert_int_equal(select_take(c, 4, bytes, false), 0);
    assert_int_equal(select_take(c, 4, NULL, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_beaten_in_everything_is_not_on_the_front),
        cmocka_unit_test(of_one_task_the_limits_are_its_own),
        cmocka_unit_test(limits_over_tasks_hold_what_they_say),
        cmocka_unit_test(a_loss_is_called_by_its_limits),
        cmocka_unit_test(of_those_that_are_good_enough_the_first_by_one_criterion_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
