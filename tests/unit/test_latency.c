/* Percentiles of latencies, their intervals, early stopping and slopes: the ends first, then tests/golden/latency.json (tools/golden/latency.py, scipy),
 * then whether intervals hold what they promise. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "cmd/bench_judge.h"
#include "eval/latency.h"
#include "eval/sequential.h"

static struct err err;
static json_t *golden;

static double number(const json_t *v) { return json_is_null(v) ? (double)INFINITY : json_number_value(v); }
static double at(const json_t *o, const char *key) { return number(json_object_get(o, key)); }
static double in(const json_t *o, const char *key, size_t i) { return number(json_array_get(json_object_get(o, key), i)); }

static void same(double found, double expected, const char *what)
{
    if (!(found == expected || fabs(found - expected) <= 1e-9 * fmax(1, fabs(expected))))
        fail_msg("%s: %.17g, expected %.17g", what, found, expected);
}

static void few_values_have_a_percentile_but_no_bounds(void **state)
{
    (void)state;
    struct latency_quantile q;
    OK(latency_quantile(NULL, 0, 0.5, 0.95, &q, &err));
    assert_true(isnan(q.value) && q.n == 0 && q.n_effective == 0);
    OK(latency_quantile(&(double){ 3 }, 1, 0.99, 0.95, &q, &err));
    assert_true(q.value > 2.9 && q.value < 3.1 && isinf(q.ci[1]));
    const double hundred[2] = { 2, 1 };
    OK(latency_quantile(hundred, 2, 0.5, 0.95, &q, &err));
    same(q.value, 1, "the median of two is the lower one, which half of them do not exceed");
    const double failed[2] = { 1, INFINITY };
    OK(latency_quantile(failed, 2, 0.9, 0.95, &q, &err));
    assert_true(isinf(q.value));
    struct latency_slope s;
    OK(latency_slope(failed, failed, 2, 0.95, &s, &err));
    assert_true(isnan(s.slope));
    struct latency_estimate e;
    OK(latency_estimate(NULL, 0, 0.9, 0.99, &e, &err));
    assert_true(e.t == 0 && e.n_needed == 64 && isnan(e.value));
    struct latency_limit l;
    OK(latency_limit(NULL, 0, 0.99, 1, 0.99, &l, &err));
    assert_true(!l.within && !l.stops && l.n_needed == 459);
}

static void what_is_not_possible_is_an_error(void **state)
{
    (void)state;
    struct latency_quantile q;
    struct latency_limit l;
    const double x[2] = { 1, NAN };
    assert_int_equal(latency_quantile(x, 2, 0.5, 0.95, &q, &err), ERR_NUMERIC);
    assert_int_equal(latency_quantile(x, 1, 0, 0.95, &q, &err), ERR_RANGE);
    assert_int_equal(latency_quantile(x, 1, 0.5, 1, &q, &err), ERR_RANGE);
    assert_int_equal(latency_quantile(x, -1, 0.5, 0.95, &q, &err), ERR_RANGE);
    assert_int_equal(latency_limit(x, 1, 1.5, 1, 0.99, &l, &err), ERR_RANGE);
}

static void percentiles_are_nearest_ranks(void **state)
{
    (void)state;
    double x[100];
    struct latency_quantile q;
    for (int i = 0; i < 100; i++)
        x[i] = (i * 37) % 100 + 1;                       /* 1 .. 100, mixed */
    const double want[] = { 0.07, 0.5, 0.9, 0.99, 0.999 }, rank[] = { 7, 50, 90, 99, 100 };
    for (int i = 0; i < 5; i++) {
        OK(latency_quantile(x, 100, want[i], 0.95, &q, &err));
        same(q.value, rank[i], "rank");
    }
}

/* The field's table, and LoadGen's 64, 459, 662 and 838 queries. */
static void early_stopping_needs_as_many_queries_as_loadgen_says(void **state)
{
    (void)state;
    const json_t *h = json_object_get(golden, "h"), *t = json_object_get(h, "t"), *row;
    const char *p;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(h, "rows"), p, row)
        for (size_t i = 0; i < json_array_size(row); i++)
            assert_int_equal(loadgen_min_passing((int64_t)number(json_array_get(t, i)), strtod(p, NULL), 0.99), (int64_t)number(json_array_get(row, i)));
    static double x[838];
    struct latency_limit l;
    for (int over = 0; over < 3; over++) {
        static const int needed[] = { 459, 662, 838 };
        for (int i = 0; i < needed[over]; i++)
            x[i] = i >= needed[over] - over ? 2 : 1;
        OK(latency_limit(x, needed[over], 0.99, 1.5, 0.99, &l, &err));
        assert_true(l.stops && l.n_over == over && l.n_needed == needed[over]);
        OK(latency_limit(x + 1, needed[over] - 1, 0.99, 1.5, 0.99, &l, &err));
        assert_false(l.stops);
    }
}

static void check_quantile(const json_t *want, const double *x, int64_t n)
{
    struct latency_quantile q;
    OK(latency_quantile(x, n, at(want, "p"), at(want, "level"), &q, &err));
    same(q.value, at(want, "value"), "value");
    same(q.design, at(want, "design"), "design");
    assert_int_equal(q.n_effective, (int64_t)at(want, "n_effective"));
    for (size_t k = 0; k < 2; k++) {
        same(q.independent[k], in(want, "independent", k), "independent");
        same(q.ci[k], in(want, "ci", k), "ci");
    }
}

static void check_limit(const json_t *want, const struct latency_limit *l)
{
    same(l->at_rank, at(want, "at_rank"), "at_rank");
    assert_int_equal(l->n_over, (int64_t)at(want, "over"));
    assert_int_equal(l->n_needed, (int64_t)at(want, "needed"));
    assert_int_equal(l->n_effective, (int64_t)at(want, "n_effective"));
    assert_int_equal(l->n_over_effective, (int64_t)at(want, "over_effective"));
    assert_int_equal(l->n_needed_effective, (int64_t)at(want, "needed_effective"));
    assert_int_equal(l->within, json_is_true(json_object_get(want, "within")));
    assert_int_equal(l->stops, json_is_true(json_object_get(want, "stops")));
    assert_int_equal(l->stops_effective, json_is_true(json_object_get(want, "stops_effective")));
}

static void check_estimate(const json_t *want, const double *x, int64_t n)
{
    struct latency_estimate e;
    OK(latency_estimate(x, n, at(want, "p"), 0.99, &e, &err));
    assert_int_equal(e.t, (int64_t)at(want, "t"));
    if (e.t)
        same(e.value, at(want, "value"), "estimate");
    if (!isnan(e.value_effective))
        same(e.value_effective, at(want, "value_effective"), "effective estimate");
    else
        assert_true(json_is_null(json_object_get(want, "value_effective")));
}

static void all_is_as_scipy_has_it(void **state)
{
    (void)state;
    const json_t *s, *v;
    size_t i, k;
    json_array_foreach(json_object_get(golden, "series"), i, s) {
        static double x[4000], t[4000];
        const int64_t n = (int64_t)json_array_size(json_object_get(s, "x"));
        for (int64_t j = 0; j < n; j++)
            x[j] = in(s, "x", (size_t)j), t[j] = in(s, "at", (size_t)j);
        json_array_foreach(json_object_get(s, "quantile"), k, v)
            check_quantile(v, x, n);
        json_array_foreach(json_object_get(s, "limit"), k, v) {
            struct latency_limit l;
            OK(latency_limit(x, n, at(v, "p"), at(v, "limit"), 0.99, &l, &err));
            check_limit(v, &l);
        }
        json_array_foreach(json_object_get(s, "estimate"), k, v)
            check_estimate(v, x, n);
        struct latency_slope l;
        OK(latency_slope(t, x, n, 0.95, &l, &err));
        if (json_is_null(json_object_get(s, "slope"))) {
            assert_true(isnan(l.slope));
        } else {
            same(l.slope, in(s, "slope", 0), "slope");
            same(l.ci[0], in(s, "slope", 1), "its low end");
            same(l.ci[1], in(s, "slope", 2), "its high end");
        }
    }
}

static void verdicts_of_server_and_interactive_are_as_in_python(void **state)
{
    (void)state;
    const json_t *g;
    size_t i;
    json_array_foreach(json_object_get(golden, "runs"), i, g) {
        static struct load_reply reply[2000];
        const int n = (int)json_array_size(json_object_get(g, "at"));
        memset(reply, 0, sizeof reply);
        for (int k = 0; k < n; k++) {
            struct load_reply *r = &reply[k];
            const double ttft = in(g, "ttft", (size_t)k);
            *r = (struct load_reply){ .end = isfinite(ttft) ? LOAD_OK : LOAD_CLOSED,
                                      .from = in(g, "at", (size_t)k),
                                      .n_prompt = 5,
                                      .n_token = (int)in(g, "tokens", (size_t)k),
                                      .n_event = 1 };
            r->sent = r->from, r->first = r->from + (isfinite(ttft) ? ttft : 0), r->last = r->over = r->first + (r->n_token - 1) * in(g, "tpot", (size_t)k);
        }
        const struct load_run run = { reply, n, 100, 1, 0 };
        const struct bench_rules rules = { .scenario = scenario_find(json_string_value(json_object_get(g, "scenario"))),
                                           .limits = { in(g, "limits", 0), in(g, "limits", 1), 0 },
                                           .min_queries = 100 };
        struct bench_judged j;
        OK(bench_judge(&run, &rules, &j, &err));
        const json_t *v = json_object_get(g, "verdict");
        check_limit(json_object_get(v, "ttft"), &j.limit[JUDGE_TTFT]);
        check_limit(json_object_get(v, "tpot"), &j.limit[JUDGE_TPOT]);
        assert_int_equal(j.constraints_met, json_is_true(json_object_get(v, "constraints")));
        assert_int_equal(j.stopping_met, json_is_true(json_object_get(v, "stopping")));
        assert_int_equal(j.valid, j.constraints_met && j.stopping_met && !j.n_failed);
        assert_true(j.valid == !*j.reasons);
        bench_judged_release(&j);
    }
}

/* ---- what intervals promise ---- */

/* Times in a queue before one server, its first ones left out. */
static void queue(double *x, double *t, int n, double load, uint64_t seed)
{
    const uint64_t gap = rng_key(seed, "gap"), need = rng_key(seed, "need");
    double wait = 0, now = 0;
    for (int i = -500; i < n; i++) {
        const double g = -log1p(-rng_uniform(gap, (uint64_t)(i + 500))) / load;
        wait = fmax(0, wait - g) - log1p(-rng_uniform(need, (uint64_t)(i + 500))), now += g;
        if (i >= 0)
            x[i] = wait, t[i] = now;
    }
}

static void intervals_hold_for_queries_that_wait_in_one_queue(void **state)
{
    (void)state;
    enum { N = 1000, TIMES = FEWER(200, 20) };
    static double x[N], t[N];
    int alone = 0, ours = 0, rising = 0;
    for (uint64_t i = 0; i < TIMES; i++) {
        struct latency_quantile q;
        struct latency_slope s;
        queue(x, t, N, 0.8, i);
        const double truth = log(100) / (1 - 0.8);       /* the time in M/M/1 is exponential, of mean 1 / (1 - load) */
        OK(latency_quantile(x, N, 0.99, 0.95, &q, &err));
        alone += q.independent[0] <= truth && truth <= q.independent[1], ours += q.ci[0] <= truth && truth <= q.ci[1];
        OK(latency_slope(t, x, N, 0.95, &s, &err));
        rising += s.ci[0] > 0 && s.slope > 0.05;
    }
    assert_true(ours >= 0.9 * TIMES);
    assert_true(alone < 0.4 * TIMES);
    assert_true(rising <= 0.05 * TIMES);
}

static void latencies_that_rise_are_told(void **state)
{
    (void)state;
    enum { N = 400 };
    static double x[N], t[N];
    for (uint64_t i = 0; i < 50; i++) {
        struct latency_slope s;
        queue(x, t, N, 1.5, i);
        OK(latency_slope(t, x, N, 0.95, &s, &err));
        assert_true(s.ci[0] > 0.05 && s.slope < 1);
    }
}

static int load(void **state)
{
    (void)state;
    return tree_load(&golden, "tests/golden/latency.json", 1 << 22, &err);
}
static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_values_have_a_percentile_but_no_bounds),
        cmocka_unit_test(what_is_not_possible_is_an_error),
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(early_stopping_needs_as_many_queries_as_loadgen_says),
        cmocka_unit_test(all_is_as_scipy_has_it),
        cmocka_unit_test(verdicts_of_server_and_interactive_are_as_in_python),
        cmocka_unit_test(intervals_hold_for_queries_that_wait_in_one_queue),
        cmocka_unit_test(latencies_that_rise_are_told),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
