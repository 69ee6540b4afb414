/* A run's judgement, MLPerf's logs and energy, without memory and on disks that fail. */
#include "each_allocation.h"
#include <math.h>
#include "cmd/bench_judge.h"
#include "load/energy.h"
#include "load/mlperf_log.h"

static struct err err;
enum { N = 70 };
static struct load_reply reply[N];
static struct load_run run = { reply, N, 7, 0.1, 0 };

static void make_run(void)
{
    static float gap[1] = { 0.1f };
    for (int i = 0; i < N; i++)
        reply[i] = (struct load_reply){ .end = i % 9 ? LOAD_OK : LOAD_CLOSED,
                                        .from = i / 10.,
                                        .sent = i / 10.,
                                        .first = i / 10. + 0.1,
                                        .last = i / 10. + 0.2,
                                        .over = i / 10. + 0.2,
                                        .n_prompt = 2,
                                        .n_token = 2,
                                        .n_event = 2,
                                        .gap = gap };
}

static int judge_and_log(void *ctx)
{
    struct bench_judged j;
    struct load_summary s;
    const struct bench_rules rules = { .scenario = scenario_find("multi-stream"), .open_loop = true };
    TRY(load_summarise(&run, &rules.limits, true, &s, &err));
    TRY(bench_judge(&run, &rules, &j, &err));
    const struct mlperf_result m = { .program = "p",
                                     .sut = "s",
                                     .scenario = rules.scenario,
                                     .latency = { j.metric[JUDGE_E2EL].x, N },
                                     .first = { j.metric[JUDGE_TTFT].x, N },
                                     .tpot = { j.metric[JUDGE_TPOT].x, N },
                                     .query = { j.query.x, j.query.n },
                                     .reasons = j.reasons,
                                     .stopping = { { "", " * x\n * y" } },
                                     .estimate = NAN };
    const int rc = mlperf_log_write(ctx, &m, &run, &err);
    bench_judged_release(&j);
    return rc;
}

static void a_run_is_judged_and_logged_or_it_is_an_error(void **state)
{
    (void)state;
    make_run();
    assert_true(each_allocation(judge_and_log, in_dir("log"), false) > 100);
    assert_true(each_failure(CALLS, 1, judge_and_log, in_dir("log"), false) > 4);
}

static int judge_server(void *ctx)
{
    struct bench_judged j;
    double *at;
    int n;
    (void)ctx;
    const struct bench_rules rules = { .scenario = scenario_find("server"), .limits = { 1, 1, 1 }, .open_loop = true };
    TRY(scenario_arrivals(&at, &n, 5, 5, 5, 100, 1, &err));
    mem_free(at);
    TRY(bench_judge(&run, &rules, &j, &err));
    bench_judged_release(&j);
    return 0;
}

static void a_server_is_judged_or_it_is_an_error(void **state)
{
    (void)state;
    make_run();
    assert_true(each_allocation(judge_server, NULL, false) > 20);
}

/* What cannot be read is told in words, and never counted as nothing. */
static int look_for_energy(void *ctx)
{
    struct energy e;
    energy_open(&e, ctx);
    energy_sample(&e, 1);
    energy_sample(&e, 2);
    const double j = energy_joules(&e);
    assert_true(isnan(j) ? *e.why != 0 : j < 1e-9);
    return 0;
}

static void energy_that_cannot_be_read_is_not_known(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("sys/powercap/intel-rapl:0"), &err));
    OK(file_write_all(in_dir("sys/powercap/intel-rapl:0/name"), "package-0\n", 10, &err));
    OK(file_write_all(in_dir("sys/powercap/intel-rapl:0/energy_uj"), "5\n", 2, &err));
    assert_int_equal(each_allocation(look_for_energy, in_dir("sys"), true), 0);
    assert_int_equal(each_failure(CALLS, 1, look_for_energy, in_dir("sys"), true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_judged_and_logged_or_it_is_an_error),
        cmocka_unit_test(a_server_is_judged_or_it_is_an_error),
        cmocka_unit_test(energy_that_cannot_be_read_is_not_known),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
