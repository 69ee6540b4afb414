/* What a load test says beside its latencies: MLPerf's scenarios and limits, verdicts with their reasons, energy, cost, and LoadGen's files. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "cmd/bench_cost.h"
#include "cmd/bench_judge.h"
#include "load/energy.h"
#include "load/mlperf_log.h"
#include "load/schedule.h"

static struct err err;

static void write_file(const char *path, const char *text)
{
    char folder[1000];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    OK(file_mkdirs(folder, &err));
    OK(file_write_all(path, text, strlen(text), &err));
}

/* ---- scenarios ---- */

static void scenarios_and_limits_have_mlperfs_values(void **state)
{
    (void)state;
    struct load_limits l;
    assert_null(scenario_find("Server"));
    assert_string_equal(scenario_find("interactive")->mlperf, "Server");
    assert_int_equal(scenario_find("multi-stream")->n_least, 662);
    OK(scenario_limits(&l, "llama3.1-8b", false, &err));
    assert_true(fabs(l.ttft - 2) < 1e-12 && fabs(l.tpot - 0.1) < 1e-12);
    OK(scenario_limits(&l, "llama2-70b", true, &err));
    assert_true(fabs(l.ttft - 0.45) < 1e-12 && fabs(l.tpot - 0.04) < 1e-12);
    OK(scenario_limits(&l, "ttft:5", true, &err));
    assert_float_equal(l.ttft, 0.005, 1e-12);
    assert_int_equal(scenario_limits(&l, "mixtral-8x7b", true, &err), ERR_USAGE);        /* has none for interactive */
    assert_non_null(strstr(err.msg, "llama3.1-405b"));
    assert_int_equal(scenario_limits(&l, "", false, &err), ERR_USAGE);
}

static void arrivals_last_as_long_as_asked_and_are_as_drawn(void **state)
{
    (void)state;
    double *at, *again, all[2000];
    int n, m;
    OK(scenario_arrivals(&at, &n, 50, 20, 10, 1000000, 7, &err));
    assert_true(at[n - 1] >= 20 && at[n - 2] < 20);
    schedule_make(all, n, ARRIVAL_POISSON, 50, 0, 7);
    assert_memory_equal(at, all, (size_t)n * sizeof *at);                                /* no gap was stretched */
    assert_true(fabs(at[n - 1] - n / 50.) > 1e-6);
    OK(scenario_arrivals(&again, &m, 50, 0.001, 300, 1000000, 7, &err));
    assert_int_equal(m, 300);
    mem_free(again);
    OK(scenario_arrivals(&again, &m, 50, 20, 10, 5, 7, &err));
    assert_int_equal(m, 5);
    mem_free(again);
    mem_free(at);
}

/* ---- verdicts ---- */

enum { N = 500 };
static struct load_reply reply[N];

/* N requests, one each 0.1 s, that take `seconds`, and 4 tokens. */
static struct load_run steady(double seconds)
{
    static float gap[3];
    for (int k = 0; k < 3; k++)
        gap[k] = (float)seconds / 4;
    for (int i = 0; i < N; i++) {
        const double t = i / 10.;
        reply[i] = (struct load_reply){ .end = LOAD_OK,
                                        .from = t,
                                        .sent = t,
                                        .first = t + seconds / 4,
                                        .last = t + seconds,
                                        .over = t + seconds,
                                        .n_prompt = 12,
                                        .n_token = 4,
                                        .n_event = 4,
                                        .gap = gap };
    }
    return (struct load_run){ reply, N, N / 10., 0.1, 0 };
}

static struct bench_judged judged(const struct load_run *run, const char *scenario, struct bench_rules r)
{
    struct bench_judged j;
    r.scenario = scenario ? scenario_find(scenario) : NULL;
    OK(bench_judge(run, &r, &j, &err));
    return j;
}

static void a_run_is_valid_or_says_why_not(void **state)
{
    (void)state;
    struct load_run run = steady(0.2);
    struct bench_rules r = { .limits = { 1, 0.5, 0 }, .min_duration_s = 40, .min_queries = 100, .open_loop = true };
    struct bench_judged j = judged(&run, "server", r);
    assert_true(j.valid && j.duration_met && j.queries_met && j.stopping_met && j.constraints_met && !*j.reasons);
    bench_judged_release(&j);

    r.min_duration_s = 600, r.min_queries = 501, r.stopped = true, r.limits.tpot = 0.01;
    j = judged(&run, "interactive", r);
    assert_false(j.valid || j.duration_met || j.queries_met || j.constraints_met);
    for (const char *const *s = (const char *const[]){ "tpot: p99 is 50.0 ms, over the limit of 10.0 ms", "it lasted 49.9 s, at least 600 s",
                                                       "500 queries, at least 501", "it was stopped", NULL };
         *s; s++)
        if (!strstr(j.reasons, *s))
            fail_msg("'%s' is missing in '%s'", *s, j.reasons);
    bench_judged_release(&j);

    reply[7].end = LOAD_CLOSED;
    r = (struct bench_rules){ .limits = { 1, 0, 0 }, .min_queries = 1 };
    j = judged(&run, "server", r);
    assert_false(j.valid);
    assert_non_null(strstr(j.reasons, "1 of 500 requests failed"));
    assert_non_null(strstr(j.reasons, "early stopping needs at least 662 queries"));     /* it is over the limit, too */
    bench_judged_release(&j);

    for (int i = 0; i < N; i++)
        reply[i].end = i < 300 ? LOAD_CONNECT : LOAD_NONE;
    j = judged(&run, "server", r);
    assert_true(!j.valid && j.n == 300 && j.n_failed == 300 && isinf(j.metric[JUDGE_TTFT].q[0].value) && j.tokens.value < 1e-9);
    assert_non_null(strstr(j.reasons, "so many requests failed"));
    bench_judged_release(&j);

    run.n = 0;
    j = judged(&run, "server", r);
    assert_false(j.valid);
    bench_judged_release(&j);
}

static void latencies_that_rise_are_not_valid(void **state)
{
    (void)state;
    struct load_run run = steady(0.2);
    for (int i = 0; i < N; i++)
        reply[i].first += 0.02 * i, reply[i].last += 0.02 * i, reply[i].over += 0.02 * i;
    struct bench_judged j = judged(&run, "server", (struct bench_rules){ .limits = { 100, 0, 0 }, .open_loop = true });
    assert_true(j.saturated && !j.valid);
    assert_float_equal(j.slope.slope, 0.2, 1e-6);
    assert_non_null(strstr(j.reasons, "piled up"));
    bench_judged_release(&j);
}

static void single_and_multi_stream_have_an_estimate_and_offline_a_rate(void **state)
{
    (void)state;
    struct load_run run = steady(0.2);
    struct bench_judged j = judged(&run, "single-stream", (struct bench_rules){ .min_queries = 64 });
    assert_true(j.valid && j.estimate.t > 1 && j.estimate.n_needed == 64);
    assert_float_equal(j.estimate.value, 0.2, 1e-9);
    bench_judged_release(&j);
    run.n = 63;
    j = judged(&run, "single-stream", (struct bench_rules){ .min_queries = 1 });
    assert_non_null(strstr(j.reasons, "63 queries, early stopping needs at least 64"));
    bench_judged_release(&j);
    run.n = 496;
    reply[9].over += 1;
    j = judged(&run, "multi-stream", (struct bench_rules){ .min_queries = 62 });
    assert_true(j.query.n == 62 && j.queries_met && !j.valid);
    assert_float_equal(j.query.x[1], 1.2, 1e-9);                                         /* the slowest of its 8 */
    bench_judged_release(&j);
    run = steady(0.2);
    j = judged(&run, "offline", (struct bench_rules){ .min_queries = 500, .min_duration_s = 50 });
    assert_true(j.valid);
    assert_float_equal(j.tokens.value, 4 * N / (N / 10.), 1e-9);
    bench_judged_release(&j);
}

static void one_token_has_no_time_per_token(void **state)
{
    (void)state;
    struct load_run run = steady(0.2);
    for (int i = 0; i < N; i++)
        reply[i].n_token = reply[i].n_event = 1;
    struct bench_judged j = judged(&run, "server", (struct bench_rules){ .limits = { 1, 0.5, 0 } });
    assert_true(j.metric[JUDGE_TPOT].n == 0 && !j.valid && isnan(j.metric[JUDGE_TPOT].q[0].value));
    assert_non_null(strstr(j.reasons, "tpot: p99 is not to be had, as nothing was measured"));
    bench_judged_release(&j);
}

static void goodput_is_of_what_came_within_the_limits(void **state)
{
    (void)state;
    struct load_run run = steady(0.2);
    for (int i = 0; i < N; i += 2)
        reply[i].first += 1, reply[i].last += 1, reply[i].over += 1;
    struct bench_judged j = judged(&run, NULL, (struct bench_rules){ .limits = { 0.5, 0, 0 } });
    assert_float_equal(j.tokens.value, 40, 1e-9);
    assert_float_equal(j.good_tokens.value, 20, 1e-9);
    assert_float_equal(j.good_total_tokens.value, 80, 1e-9);
    assert_float_equal(j.good_requests.value, 5, 1e-9);
    assert_true(j.good_tokens.ci[0] < 20 && j.good_tokens.ci[1] > 20 && j.good_tokens.ci[0] > 15);
    const struct bench_cost_opts o = { .price = 3.6, .watts = 100 };
    struct bench_cost c;
    struct energy none = { .why = "none here" };
    bench_cost_of(&c, &o, &j, &none, true, run.seconds, 4 * N, 12 * N);
    assert_float_equal(c.output.value, 3.6 * 1e6 / (3600 * 20), 1e-9);                   /* at the goodput of 20 tokens/s, not at 40 */
    assert_float_equal(c.total.value, 3.6 * 1e6 / (3600 * 80), 1e-9);
    assert_true(c.output.ci[0] < c.output.value && c.output.ci[1] > c.output.value);
    assert_float_equal(c.j_per_token, 100 * 50. / 2000, 1e-9);
    assert_float_equal(c.wh_output, 100 * 50. / 3600 / 2000 * 1e6, 1e-6);
    assert_float_equal(c.wh_total, 100 * 50. / 3600 / 8000 * 1e6, 1e-6);
    assert_non_null(strstr(c.source, "an estimate: 100 W as given (none here)"));
    bench_judged_release(&j);
}

static void cost_options_are_checked_and_what_is_not_known_is_said(void **state)
{
    (void)state;
    static const struct bench_cost_opts bad[] = { { .tdp = "280" },  { .tdp = "280:0" }, { .tdp = "280:1.5" },           { .tdp = ":1" },
                                                  { .tdp = "-5:1" }, { .tdp = "nan:1" }, { .watts = 5, .tdp = "280:1" }, { .currency = "EUR" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(bench_cost_check(&bad[i], &err), ERR_USAGE);
    const struct bench_cost_opts tdp = { .price = 1, .currency = "EUR", .tdp = "280:0.5" }, none = { 0 };
    OK(bench_cost_check(&tdp, &err));
    struct bench_judged j = { 0 };
    struct energy e = { .why = "no counters" };
    struct bench_cost c;
    bench_cost_of(&c, &tdp, &j, &e, true, 10, 100, 0);
    assert_true(isnan(c.output.value));                                                  /* no token within the limits has no price */
    assert_float_equal(c.j_per_token, 14, 1e-9);
    assert_non_null(strstr(c.source, "an estimate: 0.5 of 280 W of TDP"));
    bench_cost_of(&c, &none, &j, &e, false, 10, 100, 0);
    assert_true(isnan(c.joules));
    assert_string_equal(c.source, "not known: the server is on another machine");
}

/* ---- energy ---- */

static void rapl_is_summed_and_counters_begin_again(void **state)
{
    (void)state;
    struct energy e;
    char names[100];
#define ZONE(name) in_dir("sys/powercap/intel-rapl:" name)
    write_file(ZONE("0/name"), "package-0\n"), write_file(ZONE("0/energy_uj"), "1000000\n"), write_file(ZONE("0/max_energy_range_uj"), "262143328850\n");
    write_file(ZONE("1/name"), "package-1\n"), write_file(ZONE("1/energy_uj"), "262143000000\n"), write_file(ZONE("1/max_energy_range_uj"), "262143328850\n");
    write_file(ZONE("0:0/name"), "core\n"), write_file(ZONE("0:0/energy_uj"), "5\n");
    write_file(ZONE("0:1/name"), "dram\n"), write_file(ZONE("0:1/energy_uj"), "7000000\n");
    write_file(ZONE("2/name"), "psys\n"), write_file(ZONE("2/energy_uj"), "5\n");
    write_file(in_dir("sys/powercap/intel-rapl-mmio:0/name"), "package-0\n"), write_file(in_dir("sys/powercap/intel-rapl-mmio:0/energy_uj"), "5\n");
    write_file(in_dir("sys/hwmon/hwmon0/name"), "power_meter\n"), write_file(in_dir("sys/hwmon/hwmon0/power1_average"), "5\n"); /* has the packages in it */
    energy_open(&e, in_dir("sys"));
    energy_names(&e, names, sizeof names);
    assert_string_equal(names, "package-0, dram, package-1");
    assert_true(isnan(energy_joules(&e)));
    energy_sample(&e, 100);
    assert_true(isnan(energy_joules(&e)));
    write_file(ZONE("0/energy_uj"), "4000000\n"), write_file(ZONE("1/energy_uj"), "671150\n"), write_file(ZONE("0:1/energy_uj"), "7500000\n");
    energy_sample(&e, 101);
    assert_float_equal(energy_joules(&e), 3 + 1 + 0.5, 1e-9);
    write_file(ZONE("0:1/energy_uj"), "1\n");                                            /* goes back, and nobody said where it begins again */
    energy_sample(&e, 102);
    assert_true(isnan(energy_joules(&e)));
    OK(file_remove_tree(in_dir("sys"), &err));
}

static void power_is_summed_over_time(void **state)
{
    (void)state;
    struct energy e;
    const char *power = in_dir("sys/hwmon/hwmon3/power1_average");
    char at[1000];
    snprintf(at, sizeof at, "%s", power);
    write_file(in_dir("sys/hwmon/hwmon3/name"), "amdgpu\n"), write_file(at, "100000000\n");
    write_file(in_dir("sys/hwmon/hwmon1/name"), "amd_energy\n"), write_file(in_dir("sys/hwmon/hwmon1/energy1_label"), "Ecore000\n"),
        write_file(in_dir("sys/hwmon/hwmon1/energy1_input"), "9\n");
    write_file(in_dir("sys/hwmon/hwmon1/energy2_label"), "Esocket0\n"), write_file(in_dir("sys/hwmon/hwmon1/energy2_input"), "1000000\n");
    energy_open(&e, in_dir("sys"));
    assert_int_equal(e.n, 2);
    energy_sample(&e, 0);
    write_file(at, "200000000\n"), write_file(in_dir("sys/hwmon/hwmon1/energy2_input"), "3000000\n");
    energy_sample(&e, 2);
    assert_float_equal(energy_joules(&e), 300 + 2, 1e-9);
    write_file(at, "nonsense\n");
    energy_sample(&e, 3);
    assert_true(isnan(energy_joules(&e)));
    assert_non_null(strstr(e.why, "amdgpu could not be read"));
    energy_open(&e, in_dir("nowhere"));
    assert_true(e.n == 0 && strstr(e.why, "no counters of energy"));
    OK(file_remove_tree(in_dir("sys"), &err));
}

/* ---- LoadGen's files ---- */

static char *text_of(const char *path)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(path, 1 << 22, &b, &err));
    char *text = mem_strdup(b.data);
    buf_release(&b);
    return text;
}

/* The value of the first line of a key; each line is looked at. */
static json_t *value_of(const char *log, const char *key)
{
    json_t *found = NULL;
    for (const char *line = log; *line; line = strchr(line, '\n') + 1) {
        assert_int_equal(strncmp(line, ":::MLLOG {", 10), 0);
        json_t *o = json_loadb(line + 9, (size_t)(strchr(line, '\n') - line - 9), JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_true(json_is_false(json_object_get(json_object_get(o, "metadata"), "is_error")));
        if (!found && !strcmp(json_string_value(json_object_get(o, "key")), key))
            found = json_incref(json_object_get(o, "value"));
        json_decref(o);
    }
    if (!found)
        fail_msg("no '%s'", key);
    return found;
}

static json_int_t integer_of(const char *log, const char *key)
{
    json_t *v = value_of(log, key);
    const json_int_t n = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
    json_decref(v);
    return n;
}

static void logs_have_loadgens_lines(void **state)
{
    (void)state;
    const struct load_run run = steady(0.2);
    struct bench_judged j = judged(&run, "server", (struct bench_rules){ .limits = { 1, 0.5, 0 }, .min_duration_s = 600, .min_queries = 100 });
    struct mlperf_result m = { .program = "lathe 0",
                               .sut = "a\"b",
                               .scenario = scenario_find("server"),
                               .limits = { 1, 0.5, 0 },
                               .rate = 10,
                               .min_duration_s = 600,
                               .min_queries = 100,
                               .seed = 7,
                               .latency = { j.metric[JUDGE_E2EL].x, N },
                               .first = { j.metric[JUDGE_TTFT].x, N },
                               .tpot = { j.metric[JUDGE_TPOT].x, N },
                               .valid = j.valid,
                               .constraints_met = j.constraints_met,
                               .queries_met = j.queries_met,
                               .stopping_met = j.stopping_met,
                               .reasons = j.reasons,
                               .stopping = { { "TTFT ", " * Run successful." } },
                               .estimate = NAN };
    OK(mlperf_log_write(in_dir("log"), &m, &run, &err));
    char *summary = text_of(in_dir("log/mlperf_log_summary.txt")), *detail = text_of(in_dir("log/mlperf_log_detail.txt"));
    for (const char *const *s =
             (const char *const[]){ "Scenario : Server\n", "Mode     : PerformanceOnly\n", "Result is : INVALID\n", "  Min duration satisfied : NO\n",
                                    "  Early stopping satisfied: Yes\n", "TTFT Early Stopping Result:\n * Run successful.\n",
                                    "99.00 percentile latency (ns)   : 200000000\n", "50.00 percentile first token latency (ns)   : 50000000\n",
                                    "Completed tokens per second                 : 39.92\n", "schedule_rng_seed : 7\n",
                                    "Recommendations:\n * it lasted 49.9 s, at least 600 s are needed\n", NULL };
         *s; s++)
        if (!strstr(summary, *s))
            fail_msg("'%s' is missing in\n%s", *s, summary);
    assert_int_equal(integer_of(detail, "result_99.00_percentile_latency_ns"), 200000000);
    assert_int_equal(integer_of(detail, "result_first_token_50.00_percentile_latency_ns"), 50000000);
    assert_int_equal(integer_of(detail, "result_time_per_output_token_99.90_percentile_ns"), 50000000);
    assert_int_equal(integer_of(detail, "result_min_duration_met"), 0);
    assert_int_equal(integer_of(detail, "result_query_count"), N);
    assert_int_equal(integer_of(detail, "effective_schedule_rng_seed"), 7);
    json_t *query = value_of(detail, "query");
    assert_int_equal(json_integer_value(json_object_get(query, "done_ns")), 200000000);
    json_decref(query);
    mem_free(summary);
    mem_free(detail);
    bench_judged_release(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenarios_and_limits_have_mlperfs_values),
        cmocka_unit_test(arrivals_last_as_long_as_asked_and_are_as_drawn),
        cmocka_unit_test(a_run_is_valid_or_says_why_not),
        cmocka_unit_test(latencies_that_rise_are_not_valid),
        cmocka_unit_test(single_and_multi_stream_have_an_estimate_and_offline_a_rate),
        cmocka_unit_test(one_token_has_no_time_per_token),
        cmocka_unit_test(goodput_is_of_what_came_within_the_limits),
        cmocka_unit_test(cost_options_are_checked_and_what_is_not_known_is_said),
        cmocka_unit_test(rapl_is_summed_and_counters_begin_again),
        cmocka_unit_test(power_is_summed_over_time),
        cmocka_unit_test(logs_have_loadgens_lines),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
