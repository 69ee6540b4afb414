/* Two models on the same items: intervals, power, verdicts, and stopping early; what a test promises is simulated. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "eval/dist.h"
#include "eval/paired.h"
#include "eval/sequential.h"

static struct err err;

static void near_to(double got, double want, double absolute, const char *what)
{
    if (!(fabs(got - want) <= absolute))
        fail_msg("%s: %.17g, expected %.17g", what, got, want);
}
#define NEAR(got, want, absolute) near_to((got), (want), (absolute), #got)

/* ---- intervals of the difference ---- */

static void no_items_leave_everything_open(void **state)
{
    (void)state;
    const struct paired_counts none = { 0 };
    double ci[2];
    OK(paired_tango(&none, 0.95, ci, &err));
    assert_true(ci[0] == -1 && ci[1] == 1);
    OK(paired_newcombe(&none, 0.95, ci, &err));
    assert_true(ci[0] == -1 && ci[1] == 1);
    struct paired_judgement j;
    OK(paired_judge(&none, 0.02, 0.05, &j, &err));
    assert_true(j.verdict == PAIRED_UNDERPOWERED && isnan(j.mde) && j.test.exact == 1 && j.upper == 1);
}

/* b = c = 0: the score of d is n d^2 / (d - d^2), so the ends are +- z^2 / (n + z^2), as Wilson's. */
static void without_discordant_items_the_interval_is_wilsons(void **state)
{
    (void)state;
    const double z2 = 1.9599639845400542 * 1.9599639845400542;
    double ci[2];
    for (int64_t n = 1; n < 3000000000; n *= 11) {
        const struct paired_counts k = { n - n / 2, 0, 0, n / 2 };
        OK(paired_tango(&k, 0.95, ci, &err));
        NEAR(ci[1], z2 / ((double)n + z2), 1e-12 * ci[1]);
        NEAR(ci[0], -ci[1], 1e-12 * ci[1]);
    }
}

static void all_items_broken_end_at_one(void **state)
{
    (void)state;
    const struct paired_counts broken = { 0, 30, 0, 0 }, mended = { 0, 0, 30, 0 };
    double ci[2], other[2];
    OK(paired_tango(&broken, 0.95, ci, &err));
    assert_true(ci[1] == 1 && ci[0] > 0.7 && ci[0] < 1);
    OK(paired_tango(&mended, 0.95, other, &err));
    NEAR(other[1], -ci[0], 1e-15);
    assert_true(other[0] == -1);
    OK(paired_newcombe(&broken, 0.95, ci, &err));
    assert_true(ci[1] == 1 && ci[0] > 0.7);
}

/* Airway responsiveness before and after stem cell transplantation (Bentur et al., 2009), as in Fagerland, Lydersen & Laake, Statistics in Medicine 33,
 * 2014: Tango -0.517 to -0.026, Newcombe -0.507 to -0.026. */
static void published_intervals(void **state)
{
    (void)state;
    const struct paired_counts k = { 1, 1, 7, 12 };
    double ci[2];
    OK(paired_tango(&k, 0.95, ci, &err));
    NEAR(ci[0], -0.517, 5e-4);
    NEAR(ci[1], -0.026, 5e-4);
    OK(paired_newcombe(&k, 0.95, ci, &err));
    NEAR(ci[0], -0.507, 5e-4);
    NEAR(ci[1], -0.026, 5e-4);
}

/* P(b, c) of n where P(b) = (discordant + loss) / 2. */
static double chance_of(int64_t b, int64_t c, int64_t n, double discordant, double loss)
{
    return dist_binom_pmf(b + c, n, discordant) * dist_binom_pmf(b, b + c, (1 + loss / discordant) / 2);
}

/* Summed over all b and c; of the others half are right. */
static void intervals_hold_the_true_loss_about_as_often_as_they_say(void **state)
{
    (void)state;
    enum { N = FEWER(60, 25) };
    static double ends[N + 1][N + 1][2][2];
    for (int64_t b = 0; b <= N; b++)
        for (int64_t c = 0; b + c <= N; c++) {
            const struct paired_counts k = { (N - b - c) / 2, b, c, N - b - c - (N - b - c) / 2 };
            OK(paired_tango(&k, 0.95, ends[b][c][0], &err));
            OK(paired_newcombe(&k, 0.95, ends[b][c][1], &err));
        }
    double mean[2] = { 0 }, least[2] = { 1, 1 };
    int n_case = 0;
    for (double discordant = 0.05; discordant < 0.95; discordant += 0.1)
        for (double loss = -discordant + 0.01; loss <= discordant; loss += 0.05, n_case++)
            for (int which = 0; which < 2; which++) {
                double holds = 0;
                for (int64_t b = 0; b <= N; b++)
                    for (int64_t c = 0; b + c <= N; c++)
                        holds += ends[b][c][which][0] <= loss && loss <= ends[b][c][which][1] ? chance_of(b, c, N, discordant, loss) : 0;
                mean[which] += holds;
                least[which] = fmin(least[which], holds);
            }
    for (int which = 0; which < 2; which++) {
        NEAR(mean[which] / n_case, 0.95, FEWER(0.003, 0.01));
        assert_true(least[which] > FEWER(0.93, 0.9));
    }
}

/* A loss of exactly the margin is called not worse in about 5 %. */
static void a_loss_of_the_margin_is_seldom_called_not_worse(void **state)
{
    (void)state;
    enum { N = 400 };
    const double discordant = 0.1, margin = 0.03;
    double called = 0;
    for (int64_t b = 0; b <= 90; b++)
        for (int64_t c = 0; c <= 60; c++) {
            const struct paired_counts k = { 250 - b, b, c, N - 250 - c };
            double ci[2];
            OK(paired_tango(&k, 0.9, ci, &err));
            called += ci[1] < margin ? chance_of(b, c, N, discordant, margin) : 0;
        }
    NEAR(called, 0.05, 0.01);
}

static void counts_and_levels_that_are_none_are_refused(void **state)
{
    (void)state;
    const struct paired_counts wrong = { 1, -1, 0, 0 }, k = { 1, 1, 1, 1 };
    struct paired_judgement j;
    double ci[2], power;
    assert_int_equal(paired_tango(&wrong, 0.95, ci, &err), ERR_RANGE);
    assert_int_equal(paired_newcombe(&k, NAN, ci, &err), ERR_RANGE);
    assert_int_equal(paired_judge(&k, NAN, 0.05, &j, &err), ERR_RANGE);
    assert_int_equal(paired_judge(&k, 0.1, 0.5, &j, &err), ERR_RANGE);
    assert_int_equal(paired_judge(&wrong, 0.1, 0.05, &j, &err), ERR_RANGE);
    const struct paired_plan p = { 100, 0.1, 0.05, false }, q = { 100, NAN, 0.05, false }, r = { -1, 0.1, 0.05, false }, s = { 10, 0.1, 0, false };
    assert_int_equal(paired_power(&p, 0.2, &power, &err), ERR_RANGE);
    assert_int_equal(paired_power(&p, NAN, &power, &err), ERR_RANGE);
    assert_int_equal(paired_power(&q, 0, &power, &err), ERR_RANGE);
    assert_int_equal(paired_mde(&r, 0.8, &power, &err), ERR_RANGE);
    assert_int_equal(paired_mde(&s, 0.8, &power, &err), ERR_RANGE);
    assert_int_equal(paired_mde(&p, 1, &power, &err), ERR_RANGE);
    struct eprocess e;
    assert_int_equal(eprocess_init(&e, NAN, false, &err), ERR_RANGE);
}

/* ---- power ---- */

/* The double sum as it stands. */
static double power_by_definition(const struct paired_plan *plan, double loss)
{
    double sum = 0;
    for (int64_t m = 0; m <= plan->n; m++)
        for (int64_t c = 0; 2 * c < m; c++) {
            struct paired_test t;
            OK(paired_mcnemar(m - c, c, &t, &err));
            if ((plan->mid_p ? t.mid_p : t.exact) <= plan->alpha)
                sum += dist_binom_pmf(m, plan->n, plan->discordant) * dist_binom_pmf(c, m, (1 - loss / plan->discordant) / 2);
        }
    return sum;
}

static void power_is_its_definition(void **state)
{
    (void)state;
    for (int i = 0; i < 24; i++) {
        const struct paired_plan plan = { i / 2 * 13, i % 3 ? 0.3 : 1, 0.05, i % 2 };
        const double loss = i % 4 == 3 ? plan.discordant : i % 4 * 0.1;
        double power;
        OK(paired_power(&plan, loss, &power, &err));
        NEAR(power, power_by_definition(&plan, loss), 1e-12);
    }
}

/* What an unpaired test of the same items would have missed. */
static void power_of_known_cases(void **state)
{
    (void)state;
    const struct paired_plan hellaswag = { 10042, 0.05, 0.05, false }, gsm8k = { 1319, 0.06, 0.05, false };
    double power;
    OK(paired_power(&hellaswag, 0.01, &power, &err));
    NEAR(power, 0.99, 0.005);
    OK(paired_power(&gsm8k, 0.02, &power, &err));
    NEAR(power, 0.83, 0.01);
    const struct paired_plan none = { 0, 0.05, 0.05, false }, same = { 1000, 0, 0.05, false };
    OK(paired_power(&none, 0.01, &power, &err));
    assert_true(power == 0);
    OK(paired_power(&same, 0, &power, &err));
    assert_true(power == 0);
}

/* Against the normal approximation's 1.25, 2.0, 2.8 and .40, .63, .89 points the exact test asks for a little more. */
static void the_least_effect_that_is_seen(void **state)
{
    (void)state;
    const struct { int64_t n; double discordant, points; } cases[] = {
        { 1000, 0.02, 1.25 }, { 1000, 0.05, 2.0 }, { 1000, 0.1, 2.8 }, { 10000, 0.02, 0.40 }, { 10000, 0.05, 0.63 }, { 10000, 0.1, 0.89 } };
    for (int i = 0; i < 6; i++) {
        const struct paired_plan plan = { cases[i].n, cases[i].discordant, 0.05, false };
        double loss, power;
        OK(paired_mde(&plan, 0.8, &loss, &err));
        NEAR(100 * loss / cases[i].points, 1.045, 0.06);
        OK(paired_power(&plan, loss, &power, &err));
        NEAR(power, 0.8, 1e-6);
    }
    const struct paired_plan few = { 40, 0.05, 0.05, false }, large = { 1000000000, 0.3, 0.05, false };
    double loss;
    OK(paired_mde(&few, 0.8, &loss, &err));
    assert_true(isnan(loss));
    OK(paired_power(&large, 4e-5, &loss, &err));
    NEAR(loss, dist_normal_cdf(4e-5 * sqrt(1e9 / 0.3) - 1.959964), 1e-3);
}

/* ---- verdicts ---- */

static void verdicts(void **state)
{
    (void)state;
    struct paired_judgement j;
    const struct paired_counts worse = { 700, 60, 20, 220 }, same = { 7000, 50, 50, 2900 }, few = { 70, 5, 1, 24 }, small_loss = { 90000, 700, 500, 8800 };
    OK(paired_judge(&worse, 0.02, 0.05, &j, &err));
    assert_true(j.verdict == PAIRED_WORSE && j.worse && !j.not_worse && j.tango[0] > 0 && j.loss == 0.04);
    OK(paired_judge(&same, 0.02, 0.05, &j, &err));
    assert_true(j.verdict == PAIRED_NOT_WORSE && !j.worse && j.upper < 0.003 && j.upper < j.tango[1]);
    OK(paired_judge(&few, 0.02, 0.05, &j, &err));
    assert_true(j.verdict == PAIRED_UNDERPOWERED && !j.worse && !j.not_worse && isnan(j.mde));
    OK(paired_judge(&small_loss, 0.005, 0.05, &j, &err));
    assert_true(j.verdict == PAIRED_NOT_WORSE && j.worse && j.not_worse);
    OK(paired_judge(&small_loss, 0, 0.05, &j, &err));
    assert_true(j.verdict == PAIRED_WORSE);
}

/* One item of a simulation: a discordant one breaks with probability (discordant + loss) / 2. */
static int outcome(uint64_t key, uint64_t i, double discordant, double loss)
{
    const double u = rng_uniform(key, i);
    return u < (discordant + loss) / 2 ? 1 : u < discordant ? -1 : 0;
}

static double share_called_worse(int64_t n, double discordant, double loss, int n_simulation)
{
    int called = 0;
    for (int s = 0; s < n_simulation; s++) {
        int64_t b = 0, c = 0;
        for (int64_t i = 0; i < n; i++) {
            const int o = outcome((uint64_t)s + 1, (uint64_t)i, discordant, loss);
            b += o > 0, c += o < 0;
        }
        struct paired_test t;
        OK(paired_mcnemar(b, c, &t, &err));
        called += t.exact <= 0.05 && b > c;
    }
    return (double)called / n_simulation;
}

static void the_gate_has_the_power_that_it_prints_and_no_more_false_alarms_than_it_says(void **state)
{
    (void)state;
    const int n_simulation = FEWER(4000, 400);
    const struct paired_plan plan = { 1319, 0.06, 0.05, false };
    double power;
    OK(paired_power(&plan, 0.02, &power, &err));
    NEAR(share_called_worse(1319, 0.06, 0.02, n_simulation), power, FEWER(0.02, 0.06));
    assert_true(share_called_worse(1319, 0.06, 0, n_simulation) <= 0.025 + FEWER(0.005, 0.02));
}

/* ---- e-process ---- */

static void e_values_of_counts(void **state)
{
    (void)state;
    NEAR(eprocess_log_e(0, 0, false), 0, 1e-15);
    NEAR(eprocess_log_e(0, 0, true), 0, 1e-15);
    NEAR(eprocess_log_e(1, 0, false), log(1.5), 1e-14);         /* 2 * 2 * (1 - 1/4) / 2 */
    NEAR(eprocess_log_e(0, 1, false), log(0.5), 1e-14);
    NEAR(eprocess_log_e(1, 0, true), 0, 1e-14);
    NEAR(eprocess_log_e(2, 0, true), log(4.0 / 3), 1e-14);
    NEAR(eprocess_log_e(1, 1, true), log(2.0 / 3), 1e-14);
    /* It is a martingale: the mean of what may come next is what is. */
    for (int64_t b = 0; b < 3000; b = b * 2 + 1)
        for (int64_t c = 0; c < 3000; c = c * 2 + 1)
            for (int two = 0; two < 2; two++) {
                const double now = eprocess_log_e(b, c, two), up = eprocess_log_e(b + 1, c, two), down = eprocess_log_e(b, c + 1, two);
                NEAR(0.5 * exp(up - now) + 0.5 * exp(down - now), 1, 1e-11);
            }
    assert_true(isfinite(eprocess_log_e(1000000000, 0, false)) && isfinite(eprocess_log_e(0, 1000000000, false)));
    NEAR(eprocess_log_e(1000000, 0, true), 1e6 * M_LN2 - log(1e6 + 1), 1e-6);
}

/* Mean number of items, and the share that was stopped. */
static double simulate(int n_simulation, double discordant, double loss, bool two_sided, double *items)
{
    enum { N = 10042 };
    int stopped = 0;
    double sum = 0;
    for (int s = 0; s < n_simulation; s++) {
        struct eprocess e;
        OK(eprocess_init(&e, 0.05, two_sided, &err));
        bool stop = false;
        while (!stop && e.n_item < N) {
            const int o = outcome(1000 + (uint64_t)s, (uint64_t)e.n_item, discordant, loss);
            stop = eprocess_add(&e, o > 0, o < 0);
        }
        stopped += stop;
        sum += (double)e.n_item;
        assert_true(!stop || (e.stopped_at == e.n_item && eprocess_p(&e) <= 0.05));
    }
    *items = sum / n_simulation;
    return (double)stopped / n_simulation;
}

static void the_e_process_stops_soon_where_it_should_and_seldom_where_not(void **state)
{
    (void)state;
    double items;
    const int n = FEWER(1000, 60);
    assert_true(simulate(n, 0.05, 0.02, false, &items) > 0.995);
    assert_true(items <= 1000);
    assert_true(simulate(n, 0.05, 0.01, false, &items) > 0.9);
    assert_true(simulate(n, 0.05, 0, false, &items) <= 0.05);
    assert_true(simulate(n, 0.05, 0, true, &items) <= 0.05);
    assert_true(simulate(n, 0.05, -0.02, true, &items) > 0.995);
    assert_true(simulate(n, 0.05, -0.02, false, &items) < 0.01);
}

/* ---- LoadGen ---- */

static void early_stopping_has_loadgens_table(void **state)
{
    (void)state;
    const int64_t t[] = { 0, 1, 2, 5, 10, 50, 100 };
    const struct { double percentile; int64_t h[7]; } rows[] = {
        { 0.5, { 7, 10, 12, 17, 25, 78, 137 } },
        { 0.9, { 44, 63, 79, 122, 187, 631, 1146 } },
        { 0.95, { 90, 129, 163, 254, 388, 1322, 2404 } },
        { 0.99, { 459, 661, 836, 1302, 2000, 6848, 12471 } },
        { 0.999, { 4603, 6635, 8401, 13100, 20130, 69008, 125726 } },
    };
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 7; j++)
            assert_int_equal(loadgen_min_passing(t[j], rows[i].percentile, 0.99), rows[i].h[j]);
    assert_int_equal(loadgen_min_passing(-1, 0.9, 0.99), -1);
    assert_int_equal(loadgen_min_passing(1, 1, 0.99), -1);
    assert_int_equal(loadgen_min_passing(1, 0.9, NAN), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_items_leave_everything_open),
        cmocka_unit_test(without_discordant_items_the_interval_is_wilsons),
        cmocka_unit_test(all_items_broken_end_at_one),
        cmocka_unit_test(published_intervals),
        cmocka_unit_test(intervals_hold_the_true_loss_about_as_often_as_they_say),
        cmocka_unit_test(a_loss_of_the_margin_is_seldom_called_not_worse),
        cmocka_unit_test(counts_and_levels_that_are_none_are_refused),
        cmocka_unit_test(power_is_its_definition),
        cmocka_unit_test(power_of_known_cases),
        cmocka_unit_test(the_least_effect_that_is_seen),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(the_gate_has_the_power_that_it_prints_and_no_more_false_alarms_than_it_says),
        cmocka_unit_test(e_values_of_counts),
        cmocka_unit_test(the_e_process_stops_soon_where_it_should_and_seldom_where_not),
        cmocka_unit_test(early_stopping_has_loadgens_table),
    };
    return cmocka_run_group_tests_name("paired", tests, NULL, NULL);
}
