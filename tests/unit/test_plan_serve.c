/* What a model on devices can serve: edges first, then how capacity follows what it is made of. */
#include <math.h>
#include "../test.h"
#include "plan/published.h"
#include "plan/serve.h"

static struct err err;
static const struct serve_opts usual = { .weights = NUMBER_FP8, .compute = NUMBER_FP8, .cache = NUMBER_BF16, .spare = -1, .runtime = -1, .n_simulated = 300 };

static struct workload work(double rate)
{
    struct workload w;
    OK(workload_find(&w, "chat", &err));
    w.rate = rate, w.targets = (struct targets){ .ttft = 2, .tpot = 0.1 };
    OK(lengths_parse(&w.prompt, "1000", &err));
    OK(lengths_parse(&w.output, "100", &err));
    return w;
}

static const struct device *device(const char *name)
{
    const struct device *d = device_find(name, &err);
    assert_non_null(d);
    return d;
}

static struct config model(const char *name)
{
    struct config c;
    OK(published_config(&c, name, &err));
    return c;
}

static void a_model_that_fits_nowhere_says_by_how_much(void **state)
{
    (void)state;
    const struct config c = model("deepseek-v3");
    const struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p;
    o.n = 2;
    assert_int_equal(serve_plan(&p, &c, device("h100"), &w, &o, &err), ERR_NOFIT);
    assert_non_null(strstr(err.msg, "are missing"));
    assert_non_null(strstr(err.msg, "H100"));
    assert_non_null(strstr(err.msg, "; 16 devices would do"));
    o.n = 16;                                            /* and so they do */
    OK(serve_plan(&p, &c, device("h100"), &w, &o, &err));
    const struct config llama = model("llama-3-70b");
    o = usual, o.n = 1, o.weights = o.compute = NUMBER_BF16;
    assert_int_equal(serve_plan(&p, &llama, device("h100"), &w, &o, &err), ERR_NOFIT);
    assert_non_null(strstr(err.msg, "are missing; --weights fp8, or 2 devices, would do"));
    o.weights = o.compute = NUMBER_FP8;
    OK(serve_plan(&p, &llama, device("h100"), &w, &o, &err));
}

static void a_layout_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    const struct config c = model("llama-3-8b");
    const struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p;
    o.n = 8, o.layout.tp = 3;
    assert_int_equal(serve_plan(&p, &c, device("h100"), &w, &o, &err), ERR_USAGE);
    assert_int_equal(serve_plan_layout(&p, &c, device("h100"), &w, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "8 devices are not replicas of tp 3"));
}

static void a_layout_that_is_asked_for_is_the_planned_one(void **state)
{
    (void)state;
    static const struct { const char *model, *device; int n; struct layout asked; } each[] = {
        { "llama-3-70b", "h100", 8, { .pp = 2 } }, { "llama-3-70b", "h100", 4, { .pp = 4 } }, { "llama-3-70b", "h100", 6, { .tp = 2, .pp = 3 } },
        { "mixtral-8x7b", "h100", 8, { .tp = 8, .ep = 4 } }, { "mixtral-8x7b", "h100", 8, { .ep = 2 } }, { "llama-3-8b", "h100", 3, { .pp = 3 } },
        { "llama-3-8b", "h100", 8, { .tp = 8, .pp = 1, .ep = 1 } },
    };
    const struct workload w = work(0);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        const struct config c = model(each[i].model);
        const struct layout *l = &each[i].asked;
        struct serve_opts o = usual;
        struct serve_plan p;
        o.n = each[i].n, o.layout = *l;
        OK(serve_plan(&p, &c, device(each[i].device), &w, &o, &err));
        if ((l->tp && p.layout.tp != l->tp) || (l->pp && p.layout.pp != l->pp) || (l->ep && p.layout.ep != l->ep) || p.layout.tp * p.layout.pp * p.layout.dp != o.n)
            fail_msg("%s: tp %d, ep %d, pp %d, dp %d planned", each[i].model, p.layout.tp, p.layout.ep, p.layout.pp, p.layout.dp);
    }
}

static void more_replicas_than_are_planned_for_do_not_fit_a_rate_and_are_no_number(void **state)
{
    (void)state;
    const struct config c = model("llama-3-8b");
    const struct workload much = work(1e8), w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p;
    assert_int_equal(serve_plan(&p, &c, device("h100"), &much, &o, &err), ERR_NOFIT);
    assert_non_null(strstr(err.msg, "1e+08 requests a second take 1000000 replicas of 1 H100 SXM or more"));
    o.n = 2 * SERVE_REPLICAS;
    assert_int_equal(serve_plan(&p, &c, device("h100"), &w, &o, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "32768 devices are 32768 replicas"));
}

/* Every second one has no room: as much of the others is served, of twice as many that come, and tokens are those that were made. */
static void requests_without_room_take_nothing_and_get_nothing(void **state)
{
    (void)state;
    static const struct trace_row row[] = { { .input = 1000, .output = 100 }, { .input = 9000, .output = 100 } };
    const struct config c = model("llama-3-8b");         /* 8,192 positions */
    const struct workload alone = work(0);
    struct workload mixed = work(0);
    struct serve_opts o = usual;
    struct serve_plan p, of_alone;
    mixed.trace = row, mixed.n_trace = 2, o.n = 1, o.n_simulated = 4000;
    OK(serve_plan(&of_alone, &c, device("h100"), &alone, &o, &err));
    assert_true(of_alone.fits == 1 && of_alone.prompt == 1000 && of_alone.output == 100);
    OK(serve_plan(&p, &c, device("h100"), &mixed, &o, &err));
    assert_true(p.fits == 0.5 && p.prompt == 1000 && p.output == 100);
    assert_int_equal(p.n_slot, of_alone.n_slot);
    assert_true(fabs(p.capacity / (2 * of_alone.capacity) - 1) < 0.05);
    assert_true(p.step.decode_keys == of_alone.step.decode_keys);
    const struct targets none = { 0 };
    mixed.targets = none;                                /* as fast as it can */
    struct workload fast = alone;
    fast.targets = none;
    OK(serve_plan(&of_alone, &c, device("h100"), &fast, &o, &err));
    OK(serve_plan(&p, &c, device("h100"), &mixed, &o, &err));
    assert_true(fabs(p.capacity / (2 * of_alone.capacity) - 1) < 0.1);
}

/* A request takes half an hour there: those that are told are alone all the same. */
static void where_no_load_keeps_the_targets_requests_are_alone(void **state)
{
    (void)state;
    const struct config c = model("llama-3-70b");
    struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p;
    struct device slow = *device("epyc-9654");
    slow.bandwidth /= 100;
    o.n = 1, o.n_simulated = 20;
    OK(serve_plan(&p, &c, &slow, &w, &o, &err));
    assert_true(p.capacity == 0 && p.sim.e2e.p99 > 1000);
    assert_true(p.sim.mean_waiting < 0.01 && p.sim.mean_running <= 1);
    assert_float_equal(p.rate * p.sim.e2e.mean, 1, 0.01);
}

static void replicas_share_a_trace(void **state)
{
    (void)state;
    enum { N = 800 };
    static struct trace_row row[N];
    const struct config c = model("llama-3-8b");
    struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p;
    for (int i = 0; i < N; i++)
        row[i] = (struct trace_row){ .at = i / 80.0, .input = 1000, .output = 200 };
    w.trace = row, w.n_trace = N, w.trace_times = true, w.speed = 1, w.rate = 80;
    o.n = 8, o.n_simulated = 0, o.layout.tp = 1;
    OK(serve_plan(&p, &c, device("h100"), &w, &o, &err));
    assert_int_equal(p.layout.dp, 8);
    assert_int_equal(p.sim.n_request, N / 8);            /* and not all of them to each */
    assert_true(fabs(p.sim.request_s - 10) < 1.5);
    assert_true(p.sim.ttft.p99 < 0.2);
    o.n_simulated = 40;                                  /* as many as asked for, of a file as well */
    OK(serve_plan(&p, &c, device("h100"), &w, &o, &err));
    assert_int_equal(p.sim.n_request, 40);
    w.n_trace = 2, o.n = 1, o.n_simulated = 0;           /* a capacity is not that of two requests */
    OK(serve_plan(&p, &c, device("h100"), &w, &o, &err));
    const double few = p.capacity;
    w.n_trace = N;
    OK(serve_plan(&p, &c, device("h100"), &w, &o, &err));
    assert_true(fabs(few / p.capacity - 1) < 0.02);
}

static void users_are_no_more_than_there_are(void **state)
{
    (void)state;
    const struct config c = model("llama-3-8b");
    struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan one, eight;
    o.layout.tp = 1, w.users = 1;
    o.n = 1;
    OK(serve_plan(&one, &c, device("h100"), &w, &o, &err));
    o.n = 8;                                             /* seven stand idle */
    OK(serve_plan(&eight, &c, device("h100"), &w, &o, &err));
    assert_true(fabs(eight.served / one.served - 1) < 1e-9);
    o.n = 1, w.users = 1000, o.n_simulated = 0;          /* each asks again and again */
    OK(serve_plan(&one, &c, device("h100"), &w, &o, &err));
    assert_true(one.sim.n_request >= 4000);
    assert_false(serve_keeps(&one.sim));
    o.n_simulated = 999;
    assert_int_equal(serve_plan(&one, &c, device("h100"), &w, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "999 requests of 1000 users of a replica"));
}

static void replicas_share_the_load(void **state)
{
    (void)state;
    const struct config c = model("llama-3-8b");
    const struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan one, four;
    o.layout = (struct layout){ .tp = 1, .ep = 1, .pp = 1 }, o.n = 1;
    OK(serve_plan_layout(&one, &c, device("h100"), &w, &o, &err));
    o.n = 4;
    OK(serve_plan_layout(&four, &c, device("h100"), &w, &o, &err));
    assert_int_equal(four.layout.dp, 4);
    assert_true(one.capacity > 1 && fabs(four.capacity - 4 * one.capacity) < 1e-9 * four.capacity);
    assert_true((double)one.sim.n_good >= SERVE_GOOD * (double)one.sim.n_request);
    assert_true(one.step_seconds > one.bound && one.bound > 0);
    assert_true(fabs(one.memory.weights + one.memory.work + one.memory.runtime + one.memory.spare + one.memory.cache - one.memory.all) < 1);
}

static void a_load_takes_as_many_devices_as_it_needs(void **state)
{
    (void)state;
    const struct config c = model("llama-3-8b");
    struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p, q;
    OK(serve_plan(&p, &c, device("h100"), &w, &o, &err));
    w.rate = 7.5 * p.capacity / (p.layout.tp * p.layout.pp * p.layout.dp);
    OK(serve_plan(&q, &c, device("h100"), &w, &o, &err));
    assert_int_equal(q.layout.tp * q.layout.pp * q.layout.dp, 8);
    assert_true(q.capacity >= w.rate && q.rate == w.rate);
}

static void faster_memory_and_looser_targets_never_serve_less(void **state)
{
    (void)state;
    const struct config c = model("llama-3-8b");
    struct workload w = work(0);
    struct serve_opts o = usual;
    struct serve_plan p, q;
    struct device d = *device("h100");
    o.n = 1;
    OK(serve_plan(&p, &c, &d, &w, &o, &err));
    d.bandwidth *= 2;
    OK(serve_plan(&q, &c, &d, &w, &o, &err));
    assert_true(q.capacity >= p.capacity * 0.99);
    w.targets = (struct targets){ 0 };
    OK(serve_plan(&q, &c, device("h100"), &w, &o, &err));
    assert_true(q.capacity >= p.capacity);
    w.targets = (struct targets){ .ttft = 1e-6 };        /* nobody can */
    OK(serve_plan(&q, &c, device("h100"), &w, &o, &err));
    assert_true(q.capacity == 0 && q.sim.n_done == q.sim.n_request && q.sim.ttft.p50 > 1e-6);
}

/* A step takes a second whatever is in it: 8 texts of 4 tokens at once are 2 requests a second at most. */
static void even_decode(void *ctx, int n, double *a, double *b) { (void)ctx, (void)n, *a = 1, *b = 0; }
static double even_mixed(void *ctx, const struct sim_step *s) { (void)ctx, (void)s; return 1; }

static void capacity_is_what_slots_and_steps_allow(void **state)
{
    (void)state;
    const struct sim_cost cost = { NULL, even_decode, even_mixed };
    const struct sim_limits l = { .n_slot = 8, .cache_tokens = 1e6, .step_tokens = 1000, .stretch = 0.5, .n_queue = -1 };
    struct workload w = work(0);
    double rate;
    w.n = 8000, w.targets = (struct targets){ 0 };
    OK(lengths_parse(&w.prompt, "1", &err));
    OK(lengths_parse(&w.output, "4", &err));
    OK(serve_capacity(&rate, &w, &l, &cost, &err));
    if (!(rate > 1.99 && rate <= 2.0001))
        fail_msg("%.6g a second, expected 2", rate);
    w.targets.ttft = 2.5;                                /* the step under way, its own, and hardly a turn of waiting */
    OK(serve_capacity(&rate, &w, &l, &cost, &err));
    assert_true(rate > 0.2 && rate < 1.9);
}

/* M/D/1, whose 99th percentile of waiting at a load of 0.8 is known (tools/golden/queue.py): that load is what keeps it. */
static void capacity_at_random_is_that_of_a_queue(void **state)
{
    (void)state;
    const struct sim_cost cost = { NULL, even_decode, even_mixed };
    const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1e6, .step_tokens = 1000, .n_queue = -1 };
    struct workload w = { .n = 2000000, .arrival = ARRIVAL_POISSON, .prompt = { .a = 5 }, .output = { .a = 1 }, .targets = { .ttft = 1 + 10.355886791994953 }, .seed = 2 };
    double rate;
    OK(serve_capacity(&rate, &w, &l, &cost, &err));
    assert_float_equal(rate, 0.8, 0.008);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_fits_nowhere_says_by_how_much),
        cmocka_unit_test(a_layout_that_cannot_be_is_an_error),
        cmocka_unit_test(a_layout_that_is_asked_for_is_the_planned_one),
        cmocka_unit_test(more_replicas_than_are_planned_for_do_not_fit_a_rate_and_are_no_number), cmocka_unit_test(requests_without_room_take_nothing_and_get_nothing),
        cmocka_unit_test(where_no_load_keeps_the_targets_requests_are_alone),
        cmocka_unit_test(replicas_share_a_trace), cmocka_unit_test(users_are_no_more_than_there_are), cmocka_unit_test(replicas_share_the_load),
        cmocka_unit_test(a_load_takes_as_many_devices_as_it_needs),
        cmocka_unit_test(faster_memory_and_looser_targets_never_serve_less),
        cmocka_unit_test(capacity_is_what_slots_and_steps_allow),
        cmocka_unit_test(capacity_at_random_is_that_of_a_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
