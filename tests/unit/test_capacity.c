/* test_capacity.c - how many requests a second a server bears: by hand, and of a published model at its price. */
#include <math.h>
#include "../test.h"
#include "plan/capacity.h"
#include "plan/published.h"

static struct err err;

static void decode(void *ctx, int n, double *a, double *b)
{
    (void)n;
    *a = *(const double *)ctx, *b = 0;
}
static double mixed(void *ctx, const struct sim_step *s)
{
    (void)s;
    return *(const double *)ctx;
}

/* A slot, steps of 0.1 s, one token: evenly they come at 10 a second and wait for nobody. */
static void what_comes_evenly_is_borne_up_to_the_last_step(void **state)
{
    (void)state;
    double t = 0.1;
    const struct sim_cost c = { &t, decode, mixed };
    const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 100, .n_queue = -1 };
    struct workload w = { .n = 20000, .arrival = ARRIVAL_CONSTANT, .prompt = { .a = 5 }, .output = { .a = 1 } };
    struct capacity k;
    OK(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0, 1e-3 }, &err));
    assert_true(k.rate > 9.9 && k.rate < 10.6 && k.n < 60);          /* without targets: the queue may grow by 5 % */
    w.targets.ttft = 0.15;
    OK(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0, 1e-3 }, &err));
    assert_float_equal(k.rate, 10, 0.02);
    assert_true((double)k.r.n_good >= 0.99 * 20000);
    w.targets.ttft = 0.05;                                           /* a step is longer */
    OK(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0, 1e-3 }, &err));
    assert_true(k.rate == 0 && k.n == 1 && k.r.n_good == 0 && k.r.least_ttft > 0.05);
}

/* M/D/1: P(wait <= 2 services) is 0.9 at a load that lies between those of tests/golden/queue.json: at 0.6 the 90th percentile is 2.098. */
static void what_comes_at_random_is_borne_as_a_queue_bears_it(void **state)
{
    (void)state;
    double t = 1;
    const struct sim_cost c = { &t, decode, mixed };
    const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 100, .n_queue = -1 };
    const struct workload w = { .n = 400000, .arrival = ARRIVAL_POISSON, .prompt = { .a = 5 }, .output = { .a = 1 }, .targets = { .ttft = 3.098375690933013 }, .seed = 2 };
    struct capacity k;
    OK(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0.9, 1e-3 }, &err));
    assert_float_equal(k.rate, 0.6, 0.006);
}

static void what_has_no_rate_is_refused(void **state)
{
    (void)state;
    double t = 1;
    const struct sim_cost c = { &t, decode, mixed };
    const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 100 };
    const struct workload good = { .n = 10, .prompt = { .a = 5 }, .output = { .a = 1 } };
    struct capacity k;
    struct workload w = good;
    w.users = 2;
    assert_int_equal(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0 }, &err), ERR_USAGE);
    w = good, w.at_once = true;
    assert_int_equal(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0 }, &err), ERR_USAGE);
    w = good, w.n = 0;
    assert_int_equal(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0 }, &err), ERR_USAGE);
    assert_int_equal(capacity_find(&k, &good, &l, &c, &(struct capacity_opts){ 2, 0 }, &err), ERR_RANGE);
}

/* Continued texts of a model without windows are linear in their keys once they fill the device, and nearly so before; and it bears something. */
static void steps_at_their_price_are_the_prices(void **state)
{
    (void)state;
    struct config config = { 0 };
    struct device d;
    struct priced *p;
    OK(published_config(&config, "llama-3-8b", &err));
    OK(device_mode(&d, "mi300x", &err));
    OK(priced_new(&p, &config, &(struct price_opts){ .weights = NUMBER_BF16, .compute = NUMBER_BF16, .cache = NUMBER_BF16 }, &d, &err));
    struct priced_steps s = { p, 2000 };
    const struct sim_cost c = priced_steps_cost(&s);
    static const int n[] = { 1, 7, 64, 256 };
    for (int i = 0; i < 4; i++)
        for (double keys = 500; keys < 5000; keys += 900) {
            double a, b;
            c.decode(c.ctx, n[i], &a, &b);
            assert_float_equal((a + b * n[i] * keys) / priced_seconds(p, &(struct step_load){ .decode_rows = n[i], .decode_keys = keys }), 1, n[i] < 64 ? 0.03 : 1e-6);
        }
    const struct sim_step x = { .steps = 1, .n = 10, .keys = 5000, .rows = 100, .row_keys = 20000, .n_prompt = 1 };
    assert_float_equal(c.mixed(c.ctx, &x), priced_seconds(p, &(struct step_load){ 100, 200, 10, 500 }), 0);
    struct workload w;
    struct capacity k;
    OK(workload_find(&w, "chat", &err));
    w.n = 5000, w.targets = (struct targets){ .ttft = 2, .tpot = 0.1 };      /* MLPerf's of llama3.1-8b, server */
    const struct sim_limits l = { .n_slot = 256, .cache_tokens = (d.memory * 0.9 - priced_weight_bytes(p)) / priced_cache_bytes_token(p), .step_tokens = 2048, .n_queue = -1 };
    OK(capacity_find(&k, &w, &l, &c, &(struct capacity_opts){ 0 }, &err));
    if (!(k.rate > 2 && k.rate < 200 && k.r.ttft.p99 <= 2.01 && k.r.tpot.p99 <= 0.101))
        fail_msg("%.3g requests a second, ttft p99 %.3g s, tpot p99 %.3g s", k.rate, k.r.ttft.p99, k.r.tpot.p99);
    priced_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_evenly_is_borne_up_to_the_last_step), cmocka_unit_test(what_comes_at_random_is_borne_as_a_queue_bears_it),
        cmocka_unit_test(what_has_no_rate_is_refused), cmocka_unit_test(steps_at_their_price_are_the_prices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
