/* What answers cost by load: edges first, then sums that are worked out by hand. */
#include "../near.h"
#include "plan/deploy.h"

#define NEAR(got, want) near_to((got), (want), 2e-9, #got)

static const struct deploy_work work = { 1000, 500 };
static const struct deployment api = { .name = "api", .capacity = INFINITY, .usd_input = 0.5, .usd_output = 1 };     /* $0.001 a request */
static const struct deployment rented = { .name = "gpu", .capacity = 2, .usd_hour = 3.6, .watts_idle = 100, .watts_busy = 700 };
static const struct deployment owned = { .name = "box", .capacity = 0.5, .usd_unit = 8760, .life_hours = 8760, .watts_idle = 100, .watts_busy = 300, .usd_kwh = 0.5 };

static void one_that_cannot_do_it_costs_without_end(void **state)
{
    (void)state;
    const struct deployment none = { .name = "small" };
    assert_true(isinf(deploy_cost(&none, &work, 1).usd_hour) && isinf(deploy_cost(&none, &work, 1).usd_output_mtok));
    assert_true(isnan(deploy_break_even(&api, &none, &work, 0.001, 1000)));
    NEAR(deploy_break_even(&none, &api, &work, 0.001, 1000), 0.001);
    assert_int_equal(deploy_crossings(&none, &none, &work, 0.001, 1000, NULL, 0), 0);
}

static void tokens_cost_in_proportion_and_machines_by_whole_ones(void **state)
{
    (void)state;
    struct deploy_cost c = deploy_cost(&api, &work, 2);
    NEAR(c.usd_hour, 7.2);
    NEAR(c.usd_request, 0.001);
    NEAR(c.usd_output_mtok, 2);
    assert_true(c.units == 0 && isnan(c.wh_output_mtok));
    c = deploy_cost(&rented, &work, 0.5);
    assert_true(c.units == 1);
    NEAR(c.used, 0.25);
    NEAR(c.usd_hour, 3.6);
    NEAR(c.usd_request, 0.002);
    NEAR(c.wh_output_mtok, 250 / (1800. * 500) * 1e6);
    assert_true(deploy_cost(&rented, &work, 2).units == 1);          /* full is not too full */
    assert_true(deploy_cost(&rented, &work, 2.0001).units == 2);
    c = deploy_cost(&owned, &work, 0.75);
    assert_true(c.units == 2);
    NEAR(c.capital, 2);
    NEAR(c.energy, 2 * (100 + 200 * 0.75) / 1000 * 0.5);
    NEAR(c.usd_hour, 2.25);
}

static void costs_cross_where_they_are_equal_and_at_each_new_machine(void **state)
{
    (void)state;
    double rate[8];
    /* 3.6 a load is 3.6 an hour: the first pays from 1 a second on; a second machine from 2 on costs 7.2, which 2 a second cost as well */
    assert_int_equal(deploy_crossings(&api, &rented, &work, 0.01, 1.9, rate, 8), 1);
    NEAR(rate[0], 1);
    NEAR(deploy_break_even(&api, &rented, &work, 0.01, 1.9), 1);
    const struct deployment dear = { .name = "dear", .capacity = 2, .usd_hour = 6.84 };      /* pays from 1.9; then from 3.8, and so on: 5.7, 7.6 */
    assert_int_equal(deploy_crossings(&api, &dear, &work, 0.01, 4, rate, 8), 3);
    NEAR(rate[0], 1.9);
    NEAR(rate[1], 2);
    NEAR(rate[2], 3.8);
    NEAR(deploy_break_even(&api, &dear, &work, 0.01, 4), 3.8);
    assert_true(isnan(deploy_break_even(&api, &dear, &work, 0.01, 3)));
    assert_int_equal(deploy_crossings(&api, &dear, &work, 0.01, 4, rate, 1), 3);             /* more than there is room for are counted */
}

static void each_assumption_moves_what_it_is_of(void **state)
{
    (void)state;
    for (int a = 0; a < N_DEPLOY_ASSUMPTION; a++) {
        struct deployment d[] = { api, rented, owned };
        bool moved = false;
        assert_true(deploy_assumption_name((enum deploy_assumption)a)[0]);
        for (int i = 0; i < 3; i++) {
            struct deployment as_it_is = d[i];
            struct deploy_work w = work, v = work;
            deploy_assume(&d[i], &w, (enum deploy_assumption)a, 1);
            NEAR(deploy_cost(&d[i], &w, 10).usd_hour, deploy_cost(&as_it_is, &v, 10).usd_hour);
            deploy_assume(&d[i], &w, (enum deploy_assumption)a, 0.5);
            moved = moved || fabs(deploy_cost(&d[i], &w, 10).usd_hour / deploy_cost(&as_it_is, &v, 10).usd_hour - 1) > 0.01;
        }
        if (!moved)
            fail_msg("%s changes nothing", deploy_assumption_name((enum deploy_assumption)a));
    }
    struct deployment d = rented;
    struct deploy_work w = work;
    deploy_assume(&d, &w, DEPLOY_OUTPUT, 2);
    NEAR(w.output, 1000);
    NEAR(d.capacity, 2 * 1500 / 2000.);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_cannot_do_it_costs_without_end),
        cmocka_unit_test(tokens_cost_in_proportion_and_machines_by_whole_ones),
        cmocka_unit_test(costs_cross_where_they_are_equal_and_at_each_new_machine),
        cmocka_unit_test(each_assumption_moves_what_it_is_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
