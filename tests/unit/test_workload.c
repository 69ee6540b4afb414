/* test_workload.c - what a plan is asked to serve: lengths, arrivals, presets, recorded answers, and percentiles of many values. */
#include <math.h>
#include <stdlib.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "plan/recorded.h"
#include "plan/spread.h"
#include "plan/workload.h"

static struct err err;
enum { N = 200000 };

/* ---- lengths ---- */

static void lengths_are_read_or_what_is_expected_is_said(void **state)
{
    (void)state;
    struct lengths l;
    OK(lengths_parse(&l, "1000", &err));
    assert_true(l.kind == LENGTHS_FIXED && l.a == 1000);
    OK(lengths_parse(&l, "200-400", &err));
    assert_true(l.kind == LENGTHS_UNIFORM && l.a == 200 && l.b == 400);
    OK(lengths_parse(&l, "lognormal:1020,0.9", &err));
    assert_true(l.kind == LENGTHS_LOGNORMAL && l.a == 1020 && l.b == 0.9);
    static const char *const bad[] = { "", "0", "-5", "nan", "1e9", "400-200", "200-", "200-400x", "10 20", "lognormal:1020", "lognormal:0,1", "lognormal:10,-1", "lognormal:10,6", "chat" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (lengths_parse(&l, bad[i], &err) != ERR_USAGE || !strstr(err.msg, "expected tokens as 1000"))
            fail_msg("'%s': %s", bad[i], err.msg);
}

/* Mean, least and most of what is drawn. */
static void drawn(const struct workload *w, double mean[2], int least[2], int most[2])
{
    mean[0] = mean[1] = 0, least[0] = least[1] = INT32_MAX, most[0] = most[1] = 0;
    for (int64_t i = 0; i < N; i++) {
        const struct request r = workload_request(w, i);
        const int x[2] = { r.prompt, r.output };
        for (int k = 0; k < 2; k++) {
            mean[k] += (double)x[k] / N;
            least[k] = x[k] < least[k] ? x[k] : least[k], most[k] = x[k] > most[k] ? x[k] : most[k];
        }
    }
}

static void lengths_have_their_mean_and_stay_where_they_belong(void **state)
{
    (void)state;
    double mean[2], prompt, output;
    int least[2], most[2];
    struct workload w = { .n = N, .rate = 1, .prompt = { .kind = LENGTHS_UNIFORM, .a = 3, .b = 7 }, .output = { .kind = LENGTHS_LOGNORMAL, .a = 100, .b = 0.5 }, .seed = 3 };
    OK(workload_check(&w, &err));
    workload_means(&w, &prompt, &output);
    drawn(&w, mean, least, most);
    assert_float_equal(prompt, 5, 1e-12);
    assert_float_equal(mean[0], 5, 0.02);
    assert_true(least[0] == 3 && most[0] == 7);
    assert_float_equal(output, 113.3, 0.02);
    assert_float_equal(mean[1], 113.3, 0.6);
    w.output = (struct lengths){ .kind = LENGTHS_LOGNORMAL, .a = 2, .b = 3, .most = 50 };
    drawn(&w, mean, least, most);
    assert_true(least[1] == 1 && most[1] == 50);
    static const int32_t one[] = { 9 }, three[] = { 1, 11, 11 };
    w.prompt = (struct lengths){ .kind = LENGTHS_EMPIRICAL, .value = one, .n = 1 }, w.output = (struct lengths){ .kind = LENGTHS_EMPIRICAL, .value = three, .n = 3 };
    drawn(&w, mean, least, most);
    assert_true(least[0] == 9 && most[0] == 9 && least[1] == 1 && most[1] == 11);
    assert_float_equal(mean[1], 8.5, 0.03);
    assert_float_equal(lengths_mean(&w.output), 8.5, 1e-12);
}

static void means_of_what_has_room_leave_out_the_rest_and_cut_answers(void **state)
{
    (void)state;
    static const struct trace_row row[] = { { .input = 10, .output = 5 }, { .input = 30, .output = 5 }, { .input = 18, .output = 8 }, { .input = 21, .output = 1 } };
    struct workload w = { .trace = row, .n_trace = 4, .rate = 1 };
    double prompt, output;
    assert_true(workload_means_within(&w, 100, 100, &prompt, &output) == 1 && prompt == 79 / 4. && output == 19 / 4.);
    assert_true(workload_means_within(&w, 20, 100, &prompt, &output) == 0.5 && prompt == 14 && output == 4);      /* 10 + 5; 18 + 8 makes 3, the last of which no position keeps */
    assert_true(workload_means_within(&w, 20, 19, &prompt, &output) == 0.25 && prompt == 10 && output == 5);
    assert_true(workload_means_within(&w, 9, 100, &prompt, &output) == 0 && prompt == 0 && output == 0);
    struct workload chat;
    double all_prompt, all_output;
    OK(workload_find(&chat, "chat", &err));
    workload_means(&chat, &all_prompt, &all_output);
    assert_true(workload_means_within(&chat, 1 << 20, INFINITY, &prompt, &output) == 1 && prompt == all_prompt && output == all_output);
    const double share = workload_means_within(&chat, 4096, INFINITY, &prompt, &output);
    assert_true(share > 0.9 && share < 1 && prompt < all_prompt && prompt > all_prompt / 2);
}

/* Means of the published traces (tools/trace_lengths.py), which the line through their shares keeps within 5 %. */
static void presets_have_the_means_of_their_traces(void **state)
{
    (void)state;
    static const struct { const char *name; double prompt, output; } known[] = { { "chat", 1154.7, 211.1 }, { "code", 2047.8, 27.9 }, { "rag", 12035.1, 342.6 }, { "batch", 1024, 1024 } };
    struct workload w;
    for (int i = 0; i < 4; i++) {
        double mean[2], prompt, output;
        int least[2], most[2];
        OK(workload_find(&w, known[i].name, &err));
        assert_ptr_equal(workload_preset(i)->name, w.name);
        w.n = N, w.rate = 1;
        OK(workload_check(&w, &err));
        workload_means(&w, &prompt, &output);
        drawn(&w, mean, least, most);
        assert_float_equal(prompt / known[i].prompt, 1, 0.05);
        assert_float_equal(output / known[i].output, 1, 0.05);
        assert_float_equal(mean[0] / prompt, 1, 0.01);
        assert_float_equal(mean[1] / output, 1, 0.02);
    }
    assert_null(workload_preset(4));
    assert_int_equal(workload_find(&w, "chad", &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "chat, code, rag, batch"));
}

/* ---- requests ---- */

static void prefixes_are_shared_by_so_many_and_leave_a_token(void **state)
{
    (void)state;
    struct workload w = { .n = N, .rate = 1, .prompt = { .kind = LENGTHS_UNIFORM, .a = 1, .b = 200 }, .output = { .a = 1 }, .prefix = { 3, 64, 0.25 } };
    int n = 0, of[3] = { 0 };
    for (int64_t i = 0; i < N; i++) {
        const struct request r = workload_request(&w, i);
        assert_true(r.group >= 0 ? r.prefix == (r.prompt > 64 ? 64 : r.prompt - 1) : r.group == -1 && r.prefix == 0);
        if (r.group >= 0)
            n++, of[r.group]++;
    }
    assert_float_equal(n / (double)N, 0.25, 0.005);
    for (int i = 0; i < 3; i++)
        assert_float_equal(of[i] / (double)n, 1. / 3, 0.01);
}

static void a_trace_keeps_its_rows_and_goes_round(void **state)
{
    (void)state;
    const struct trace_row rows[] = { { 0, 10, 1 }, { 1, 20, 2 }, { 4, 30, 3 } };
    struct workload w = { .trace = rows, .n_trace = 3, .trace_times = true, .speed = 2 };
    struct workload_times t;
    OK(workload_check(&w, &err));
    assert_int_equal(workload_n(&w), 3);
    workload_times_init(&t, &w);
    static const double at[] = { 0, 0.5, 2, 3, 3.5, 5, 6 };          /* a round is 4 s and a mean gap of 2, at twice the speed */
    for (int i = 0; i < 7; i++) {
        const struct request r = workload_request(&w, i);
        assert_true(r.prompt == 10 * (i % 3 + 1) && r.output == i % 3 + 1);
        assert_float_equal(workload_next(&t), at[i], 1e-12);
    }
    w.trace_times = false, w.rate = 5;                               /* rows drawn, whole */
    int of[3] = { 0 };
    for (int i = 0; i < N; i++) {
        const struct request r = workload_request(&w, i);
        assert_int_equal(r.prompt, 10 * r.output);
        of[r.output - 1]++;
    }
    assert_float_equal(of[1] / (double)N, 1. / 3, 0.01);
    w.at_once = true;
    workload_times_init(&t, &w);
    assert_true(workload_next(&t) == 0 && workload_next(&t) == 0);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    const struct workload good = { .n = 10, .rate = 1, .prompt = { .a = 5 }, .output = { .a = 5 } };
    OK(workload_check(&good, &err));
    struct workload w;
#define BAD(code, says, ...)                                                       \
    do {                                                                           \
        w = good;                                                                  \
        __VA_ARGS__;                                                               \
        if (workload_check(&w, &err) != (code) || !strstr(err.msg, says))          \
            fail_msg("%s: '%s'", #__VA_ARGS__, err.msg);                           \
    } while (0)
    BAD(ERR_RANGE, "-1 requests", w.n = -1);
    BAD(ERR_RANGE, "lengths of prompts", w.prompt.a = 0);
    BAD(ERR_RANGE, "lengths of answers", w.output.a = 0);
    BAD(ERR_RANGE, "lengths of answers", w.output = (struct lengths){ .kind = LENGTHS_UNIFORM, .a = 5, .b = 4 });
    BAD(ERR_RANGE, "lengths of answers", w.output = (struct lengths){ .kind = LENGTHS_EMPIRICAL });
    BAD(ERR_RANGE, "0 requests a second", w.rate = 0);
    BAD(ERR_RANGE, "nan requests a second", w.rate = (double)NAN);
    BAD(ERR_RANGE, "coefficient of variation", w.cv = -1);
    BAD(ERR_RANGE, "between an answer and the next", w.users = 1, w.think = -1);
    BAD(ERR_RANGE, "rows of a trace", w.trace_times = true);
    BAD(ERR_RANGE, "shared beginnings", w.prefix.share = 2);
    BAD(ERR_RANGE, "targets of -1 s", w.targets.ttft = -1);
    BAD(ERR_USAGE, "the first token may take 3 s, the whole answer 2 s", w.targets = (struct targets){ 3, 0, 2 });
}

/* ---- percentiles ---- */

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void percentiles_are_within_a_thousandth(void **state)
{
    (void)state;
    static double x[N];
    struct spread_tally s;
    OK(spread_init(&s, &err));
    const struct spread none = spread_of(&s);
    assert_true(none.n == 0 && isnan(none.p50) && isnan(none.mean) && isnan(spread_at(&s, 0.5)));
    double sum = 0;
    for (int i = 0; i < N; i++) {
        x[i] = 0.3 * exp(2 * rng_normal(5, (uint64_t)i));
        spread_add(&s, x[i], 1), sum += x[i];
    }
    qsort(x, N, sizeof *x, ascending);
    const struct spread r = spread_of(&s);
    assert_true(r.n == N && r.least == x[0] && r.most == x[N - 1]);
    assert_float_equal(r.mean / (sum / N), 1, 1e-12);
    for (int k = 1; k < 1000; k++)
        assert_float_equal(spread_at(&s, k / 1000.) / x[k * (N / 1000) - 1], 1, 1. / 1024);
    assert_true(r.p99 == spread_at(&s, 0.99) && spread_at(&s, 1) <= r.most && spread_at(&s, 0) >= r.least);
    spread_release(&s);
    OK(spread_init(&s, &err));
    spread_add(&s, 0, 3), spread_add(&s, 1e-300, 1), spread_add(&s, 1e300, 1);      /* beyond the classes */
    assert_true(s.n == 5 && spread_at(&s, 0.5) < 1e-9 && spread_at(&s, 1) > 1e10);
    spread_release(&s);
}

static void a_run_of_values_counts_as_they_do(void **state)
{
    (void)state;
    static const struct { double x, dx; int64_t k; } runs[] = { { 1, 0, 7 }, { 1, 1e-6, 5000 }, { 0.5, 0.01, 400 }, { 3, -1e-3, 2900 }, { 2, 1e-12, 100 }, { 1, 1, 1 }, { 1, 1, 0 } };
    struct spread_tally a, b;
    OK(spread_init(&a, &err));
    OK(spread_init(&b, &err));
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        for (int64_t i = 0; i < runs[r].k; i++)
            spread_add(&a, runs[r].x + runs[r].dx * (double)i, 3);
        spread_add_run(&b, runs[r].x, runs[r].dx, runs[r].k, 3);
        assert_true(a.n == b.n && fabs(a.sum - b.sum) <= 1e-9 * a.sum && a.least == b.least && fabs(a.most - b.most) < 1e-12);
        for (int k = 0; k <= 100; k++)
            assert_float_equal(spread_at(&b, k / 100.) / spread_at(&a, k / 100.), 1, 1e-9);
    }
    spread_release(&a), spread_release(&b);
}

/* ---- what was recorded ---- */

static void record(struct events *e, const char *id, double at, int64_t prompt, int64_t answer)
{
    struct event ev = { .t = (int64_t)1700000000 * 1000000000 + (int64_t)(at * 1e9), .prompt_tokens = prompt, .cached_tokens = prompt > 50 ? 48 : 0, .answer_tokens = answer, .prompt_nll = (double)NAN, .entropy = (double)NAN,
                        .confidence = (double)NAN, .logprob = (double)NAN, .schema_ok = -1, .tool_calls = -1, .tool_ok = -1, .first_s = 0.1, .total_s = 1, .refused = -1 };
    snprintf(ev.id, sizeof ev.id, "%s", id);
    strcpy(ev.model, "tiny"), strcpy(ev.finish, "stop");
    OK(db_begin(events_db(e), &err));
    OK(events_write(e, &ev, 0, &err));
    OK(db_commit(events_db(e), &err));
}

static void recorded_answers_are_a_trace(void **state)
{
    (void)state;
    struct events *e;
    struct recorded r;
    setenv("LATHE_HOME", test_dir, 1);
    OK(events_open(&e, test_dir, true, &err));
    assert_int_equal(recorded_read(&r, e, &(struct events_where){ 0 }, &err), ERR_NOTFOUND);
    assert_null(r.rows);
    record(e, "a", 5, 100, 20), record(e, "b", 2.5, 10, 3), record(e, "c", 7, -1, 3), record(e, "d", 8, 60, 0), record(e, "f", 9.25, 60, 1);
    OK(recorded_read(&r, e, &(struct events_where){ 0 }, &err));
    assert_true(r.n == 3 && r.left_out == 2 && r.prompt == 170 && r.kept == 96);
    static const struct trace_row want[] = { { 0, 10, 3 }, { 2.5, 100, 20 }, { 6.75, 60, 1 } };
    for (int i = 0; i < 3; i++)
        assert_true(fabs(r.rows[i].at - want[i].at) < 1e-6 && r.rows[i].input == want[i].input && r.rows[i].output == want[i].output);
    mem_free(r.rows);
    events_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_read_or_what_is_expected_is_said), cmocka_unit_test(lengths_have_their_mean_and_stay_where_they_belong), cmocka_unit_test(presets_have_the_means_of_their_traces),
        cmocka_unit_test(means_of_what_has_room_leave_out_the_rest_and_cut_answers),
        cmocka_unit_test(prefixes_are_shared_by_so_many_and_leave_a_token), cmocka_unit_test(a_trace_keeps_its_rows_and_goes_round), cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(percentiles_are_within_a_thousandth), cmocka_unit_test(a_run_of_values_counts_as_they_do), cmocka_unit_test(recorded_answers_are_a_trace),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
