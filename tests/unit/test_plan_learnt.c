/* Figures of a device from the report of its self test: read, kept, applied; and reports that are refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../test.h"
#include "base/tree.h"
#include "plan/learnt.h"

static struct err err;

static const char report[] =
    "{\"lathe\": \"0.1.0\", \"when\": \"2026-11-27T12:00:00Z\", \"name\": \"NVIDIA H100 80GB HBM3\", \"arch\": \"sm_90\", \"driver\": \"cuda\", \"driver_version\": 13000,"
    " \"multiprocessors\": 132, \"rows\": ["
    "{\"kind\": \"launch\", \"name\": \"kernel in a graph\", \"shape\": \"graph of 1000 kernels\", \"right\": true, \"us\": 1.0},"
    "{\"kind\": \"copy\", \"name\": \"driver\", \"shape\": \"268435456\", \"right\": true, \"us\": 180, \"bytes\": 536870912},"
    "{\"kind\": \"copy\", \"name\": \"kernel\", \"shape\": \"16777216\", \"right\": true, \"us\": 8, \"bytes\": 33554432},"
    "{\"kind\": \"time\", \"name\": \"rmsnorm\", \"shape\": \"rows 1, C 4096\", \"right\": true, \"us\": 2.1, \"bytes\": 32768},"
    "{\"kind\": \"time\", \"name\": \"gemv_bf16_1\", \"shape\": \"M 1, N 128256, K 4096\", \"right\": true, \"us\": 335, \"bytes\": 1050673152},"
    "{\"kind\": \"time\", \"name\": \"gemm_sm90\", \"shape\": \"M 8192, N 8192, K 8192\", \"right\": true, \"us\": 1390, \"bytes\": 402653184, \"tflop_per_s\": 791},"
    "{\"kind\": \"time\", \"name\": \"gemm_sm90_e4m3\", \"shape\": \"M 8192, N 8192, K 8192\", \"right\": true, \"us\": 710, \"bytes\": 268435456, \"tflop_per_s\": 1548},"
    "{\"kind\": \"time\", \"name\": \"gemm_sm90\", \"shape\": \"M 4096, N 4096, K 4096\", \"right\": false, \"us\": 1, \"bytes\": 1, \"tflop_per_s\": 990},"
    "{\"kind\": \"check\", \"name\": \"swiglu\", \"shape\": \"\", \"right\": true, \"error\": 0, \"tolerance\": 0}]}";

static json_t *parsed(const char *text)
{
    json_t *o;
    OK(tree_parse_json(&o, text, strlen(text), "report", &err));
    return o;
}

/* The report with one field in the place of another's value; "": without it. */
static struct learnt read_with(const char *key, json_t *value, int rc, const char *told)
{
    struct learnt l;
    json_t *o = parsed(report);
    if (value)
        json_object_set_new(o, key, value);
    else
        json_object_del(o, key);
    err_clear(&err);
    const int got = learnt_read(&l, o, "r.json", &err);
    if (got != rc)
        fail_msg("%s: %d (%s), expected %d", key, got, err.msg, rc);
    if (rc && !strstr(err.msg, told))
        fail_msg("'%s', expected to read '%s'", err.msg, told);
    json_decref(o);
    return l;
}

static struct learnt learnt_at(const char *when) { return read_with("when", json_string(when), 0, ""); }

static void figures_are_those_of_rows_that_were_right(void **state)
{
    (void)state;
    const struct learnt l = learnt_at("2026-11-27T12:00:00Z");
    assert_string_equal(l.key, "h100");
    assert_string_equal(l.driver, "cuda");
    assert_int_equal(l.driver_version, 13000);
    assert_true(fabs(l.launch - 1e-6) < 1e-12 && fabs(l.kernel - 2.1e-6) < 1e-12);
    assert_true(fabs(l.read / (1050673152 / 335e-6) - 1) < 1e-9 && fabs(l.copy / (536870912 / 180e-6) - 1) < 1e-9);      /* not the copy within the cache */
    assert_true(l.bf16 == 791e12 && l.fp8 == 1548e12);
}

static void a_plan_goes_by_them_and_says_so(void **state)
{
    (void)state;
    const struct learnt l = learnt_at("2026-11-27T12:00:00Z");
    struct device d;
    char sure[DEVICE_SURE];
    OK(device_mode(&d, "h100", &err));
    const char *fitted = d.fitted;
    assert_string_equal(device_sure(sure, &d), fitted);
    learnt_apply(&d, &l);
    assert_true(fabs(d.reach * d.bandwidth / l.read - 1) < 1e-9 && fabs(d.mma * d.peak[NUMBER_BF16] / 791e12 - 1) < 1e-9);
    assert_true(fabs(device_product(&d, NUMBER_FP8).mma * d.peak[NUMBER_FP8] / 1548e12 - 1) < 1e-9);
    assert_true(d.kernel == l.kernel && d.launch == l.kernel);
    device_sure(sure, &d);
    assert_non_null(strstr(sure, "learnt from lathe selftest on NVIDIA H100 80GB HBM3, 2026-11-27, cuda driver 13000, lathe 0.1.0: reads 3136 GB/s, products 791 TFLOP/s in bf16, 1548 in fp8, a kernel 2.10 us; the rest: "));
    assert_non_null(strstr(sure, fitted));
    assert_true(device_find("h100", &err)->reach != d.reach);              /* the table is what it was */
}

static void what_was_not_measured_stays_the_tables(void **state)
{
    (void)state;
    struct learnt l = learnt_at("2026-11-27T12:00:00Z");
    struct device d;
    OK(device_mode(&d, "h100", &err));
    const struct device was = d;
    l.bf16 = l.fp8 = l.kernel = l.launch = 0;
    learnt_apply(&d, &l);
    assert_true(d.mma == was.mma && d.mma_of[NUMBER_FP8] == was.mma_of[NUMBER_FP8] && d.kernel == was.kernel && d.launch == was.launch && d.reach != was.reach);
}

static void the_newest_report_of_a_device_counts_in_whatever_order_they_come(void **state)
{
    (void)state;
    static const char *const when[] = { "2026-11-27T12:00:00Z", "2027-01-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z" };
    static const struct { bool newest; int n_others; } expected[] = { { true, 0 }, { true, 1 }, { false, 2 }, { true, 2 } };
    struct learnt l;
    OK(file_remove_tree(in_dir("lathe"), NULL));
    assert_int_equal(learnt_load(&l, "h100", &err), ERR_NOTFOUND);
    for (int i = 0; i < 4; i++) {
        bool newest;
        int n;
        l = learnt_at(when[i]);
        l.read += i;
        OK(learnt_keep(&l, &newest, &n, &err));
        assert_int_equal(newest, expected[i].newest);
        assert_int_equal(n, expected[i].n_others);
    }
    const double read = l.read;
    OK(learnt_load(&l, "h100", &err));
    assert_string_equal(l.when, "2027-01-01T00:00:00Z");
    assert_true(l.read == read && l.bf16 == 791e12 && l.kernel == 2.1e-6 && l.driver_version == 13000 && !strcmp(l.name, "NVIDIA H100 80GB HBM3"));
    assert_int_equal(learnt_load(&l, "h200", &err), ERR_NOTFOUND);
}

static void what_two_learn_at_the_same_time_is_kept(void **state)
{
    (void)state;
    enum { EACH = 40 };
    struct learnt l = learnt_at("2026-11-27T12:00:00Z");
    OK(file_remove_tree(in_dir("lathe"), NULL));
    pid_t child[2];
    bool newest;
    int n, status;
    for (int c = 0; c < 2; c++)
        if (!(child[c] = fork())) {
            int rc = 0;
            for (int i = 0; i < EACH && !rc; i++) {
                snprintf(l.when, sizeof l.when, "20%02d-01-%02dT00:00:00Z", 30 + i, 1 + c);
                rc = learnt_keep(&l, &newest, &n, NULL);
            }
            _exit(rc ? 1 : 0);
        }
    for (int c = 0; c < 2; c++) {
        assert_int_equal(waitpid(child[c], &status, 0), child[c]);
        assert_int_equal(status, 0);
    }
    OK(learnt_keep(&l, &newest, &n, &err));
    assert_int_equal(n, 2 * EACH);
}

static void a_damaged_file_is_refused_and_not_written_over(void **state)
{
    (void)state;
    struct learnt l = learnt_at("2026-11-27T12:00:00Z");
    bool newest;
    int n;
    static const char *const texts[] = { "{}", "[", "[{\"device\": \"h100\", \"when\": \"2026-11-27T12:00:00Z\"}]",
                                         "[{\"device\": \"h100\", \"name\": \"x\", \"driver\": \"cuda\", \"lathe\": \"0\", \"when\": \"2026-11-27T12:00:00Z\", \"driver_version\": 1, \"read\": 1e30}]" };
    for (int i = 0; i < 4; i++) {
        put_in_dir("lathe/devices.json", texts[i]);
        assert_true(learnt_load(&l, "h100", &err) < 0);
        assert_non_null(strstr(err.msg, "devices.json"));
    }
    put_in_dir("lathe/devices.json", "{}");
    l = learnt_at("2026-11-27T12:00:00Z");
    assert_int_equal(learnt_keep(&l, &newest, &n, &err), ERR_FORMAT);
    OK(file_remove_tree(in_dir("lathe"), NULL));
}

static void reports_of_other_things_are_refused_in_words(void **state)
{
    (void)state;
    read_with("name", json_string("NVIDIA H900"), ERR_NOTFOUND, "no accelerator 'NVIDIA H900' is known");
    read_with("name", NULL, ERR_FORMAT, "r.json: name is missing");
    read_with("when", NULL, ERR_FORMAT, "when is missing");
    read_with("when", json_string("yesterday"), ERR_FORMAT, "r.json: when: found 'yesterday'");
    read_with("lathe", NULL, ERR_FORMAT, "lathe is missing");
    read_with("rows", NULL, ERR_FORMAT, "rows is missing");
    read_with("rows", json_array(), ERR_UNSUPPORTED, "nothing was measured");
    read_with("rows", json_pack("[s]", "row"), ERR_UNSUPPORTED, "nothing was measured");
    read_with("multiprocessors", json_integer(66), ERR_UNSUPPORTED, "with 66 of its 132 units: a part");
    read_with("rows", json_pack("[{s:s, s:s, s:s, s:b, s:f, s:f}]", "kind", "time", "name", "gemv_bf16_1", "shape", "M 1, N 128256, K 4096", "right", 1, "us", 100.0, "bytes", 1050673152.0), ERR_FORMAT,
              "bytes read a second, expected at most");
    read_with("rows", json_pack("[{s:s, s:s, s:s, s:b, s:s}]", "kind", "time", "name", "rmsnorm", "shape", "rows 1, C 4096", "right", 1, "us", "ten"), ERR_FORMAT, "r.json");
}

static int set_up(void **state)
{
    return make_dir(state) || setenv("XDG_CACHE_HOME", test_dir, 1) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_rows_that_were_right),
        cmocka_unit_test(a_plan_goes_by_them_and_says_so),
        cmocka_unit_test(what_was_not_measured_stays_the_tables),
        cmocka_unit_test(the_newest_report_of_a_device_counts_in_whatever_order_they_come),
        cmocka_unit_test(what_two_learn_at_the_same_time_is_kept),
        cmocka_unit_test(a_damaged_file_is_refused_and_not_written_over),
        cmocka_unit_test(reports_of_other_things_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
