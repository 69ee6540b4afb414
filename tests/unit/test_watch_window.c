/* test_watch_window.c - one window against a reference: its tests alarm as often as they say, effects are what was put in, and reports say so. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "eval/two_sample.h"
#include "watch/report.h"

static struct err err;
enum { DIM = 4 };
enum { NUMBER, CATEGORY, VECTOR, N_SIGNAL };

/* The first n_signal of three kinds: a normal number (one in 20 missing), one of 12 categories with shares as 1/k^2, a vector. */
static struct reference *collect_some(int n_signal, uint64_t key, int n, double shift, bool close)
{
    static float v[DIM];
    char text[8];
    struct reference *r;
    OK(reference_new(&r, &(struct reference_opts){ .seed = key }, &err));
    OK(reference_signal(r, "number", WATCH_NUMBER, 0, &err));
    OK(reference_signal(r, "category", WATCH_CATEGORY, 0, &err));
    if (n_signal == N_SIGNAL)
        OK(reference_signal(r, "vector", WATCH_VECTOR, DIM, &err));
    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        struct watch_value x[N_SIGNAL];
        x[NUMBER] = rng_uniform(key + 1, i) < 0.05 ? WATCH_LACKS : WATCH_OF_NUMBER(rng_normal(key, i) + shift);
        snprintf(text, sizeof text, "c%d", rng_uniform(key + 2, i) < shift / 5 ? 99 : (int)fmin(12, floor(1 / (1 - rng_uniform(key + 3, i)))));
        x[CATEGORY] = WATCH_OF_TEXT(text, strlen(text));
        for (uint64_t j = 0; j < DIM; j++)
            v[j] = (float)(rng_normal(key + 4, i * DIM + j) + (j == 2 ? shift : 0));
        x[VECTOR] = WATCH_OF_VECTOR(v);
        OK(reference_add(r, x, &err));
    }
    if (close)
        OK(reference_close(r, &err));
    return r;
}

static struct reference *collect(uint64_t key, int n, double shift, bool close) { return collect_some(N_SIGNAL, key, n, shift, close); }

static void windows_alarm_as_often_as_they_say(void **state)
{
    (void)state;
    enum { RUNS = FEWER(400, 4), VECTOR_RUNS = FEWER(60, 2), N_SIZE = 3 };
    static const int size[N_SIZE] = { 50, 200, 1000 };
    const double alpha = 0.05;
    for (int s = 0; s < N_SIZE; s++) {
        int alarms[N_SIGNAL] = { 0 };
        for (int run = 0; run < RUNS; run++) {
            const uint64_t key = (uint64_t)(s * 100000 + run * 16);
            const int n_signal = s == 0 && run < VECTOR_RUNS ? N_SIGNAL : VECTOR;      /* permutations of vectors take long */
            struct reference *r = collect_some(n_signal, key, n_signal == N_SIGNAL ? 120 : 600, 0, true);
            struct reference *w = collect_some(n_signal, key + 8, size[s], 0, false);
            struct window_signal out[N_SIGNAL];
            OK(window_compare(out, r, w, &(struct window_opts){ .alpha = alpha, .seed = key }, &err));
            for (int i = 0; i < n_signal; i++)
                alarms[i] += out[i].p <= alpha;
            reference_free(r), reference_free(w);
        }
        print_message("windows of %d: number %d, category %d of %d, vector %d of %d\n", size[s], alarms[NUMBER], alarms[CATEGORY], RUNS, alarms[VECTOR],
                      s == 0 ? VECTOR_RUNS : 0);
        for (int i = 0; i < N_SIGNAL; i++) {
            const double n = i == VECTOR ? VECTOR_RUNS : RUNS;
            assert_true(alarms[i] <= alpha * n + 4 * sqrt(alpha * (1 - alpha) * n));
        }
    }
}

static void effects_are_what_was_put_in(void **state)
{
    (void)state;
    struct reference *r = collect(1, 2000, 0, true), *w = collect(2, 1000, 1, false);
    struct window_signal out[N_SIGNAL];
    OK(window_compare(out, r, w, NULL, &err));
    const struct window_signal *n = &out[NUMBER], *c = &out[CATEGORY], *v = &out[VECTOR];
    assert_true(n->drift && n->p < 1e-20 && n->p_adjusted >= n->p && n->n_reference == 2000 && n->n_window == 1000);
    assert_true(n->shift_low < 1 && n->shift_high > 1 && fabs(n->shift - 1) < 0.15 && fabs(n->wasserstein - 1) < 0.15);
    const double delta = 0.95 * 0.95 * (2 * 0.7602499 - 1);               /* P(N(1,1) > N(0,1)); missing ones, 5 % of both, are below and cancel */
    assert_true(n->delta_low < delta && n->delta_high > delta && n->delta_high - n->delta_low < 0.1);
    assert_true(n->psi > 0.5 && fabs(n->missing_window - 0.05) < 0.03);
    assert_string_equal(c->category, "c99");
    assert_true(c->drift && c->share_reference == 0 && fabs(c->share_window - 0.2) < 0.05 && c->change_low < 0.2 && c->change_high > 0.2 && fabs(c->tv - 0.2) < 0.06);
    assert_true(v->drift && v->auc_low < 0.7602 && v->auc_high > 0.7602 && v->p <= 0.001);
    reference_free(r), reference_free(w);
}

static void one_wild_value_neither_hides_a_shift_nor_is_one(void **state)
{
    (void)state;
    for (int shift = 0; shift < 2; shift++) {
        struct reference *r, *w;
        struct window_signal out;
        OK(reference_new(&r, &(struct reference_opts){ .seed = 1 }, &err));
        OK(reference_new(&w, &(struct reference_opts){ .seed = 2 }, &err));
        OK(reference_signal(r, "x", WATCH_NUMBER, 0, &err));
        OK(reference_signal(w, "x", WATCH_NUMBER, 0, &err));
        for (uint64_t i = 0; i < 2000; i++) {
            const struct watch_value a = WATCH_OF_NUMBER(rng_normal(5, i)), b = WATCH_OF_NUMBER(i ? rng_normal(6, i) + shift : 500);
            OK(reference_add(r, &a, &err));
            if (i < 200)
                OK(reference_add(w, &b, &err));
        }
        OK(reference_close(r, &err));
        OK(window_compare(&out, r, w, &(struct window_opts){ .alpha = 0.01 }, &err));
        assert_true(out.drift == (shift == 1) && fabs(out.shift - shift) < 0.25 && (out.psi > 0.5) == (shift == 1));
        reference_free(r), reference_free(w);
    }
}

/* Of n vectors each is missing with this chance. */
static struct reference *vectors(uint64_t key, int n, double missing, double shift, bool close)
{
    float v[DIM];
    struct reference *r;
    OK(reference_new(&r, &(struct reference_opts){ .seed = key }, &err));
    OK(reference_signal(r, "x", WATCH_VECTOR, DIM, &err));
    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        for (uint64_t j = 0; j < DIM; j++)
            v[j] = (float)(rng_normal(key, i * DIM + j) + shift);
        const bool lacks = rng_uniform(key + 1, i) < missing;
        v[1] = lacks ? (float)NAN : v[1];
        const struct watch_value x = lacks && i % 2 ? WATCH_LACKS : WATCH_OF_VECTOR(v);
        OK(reference_add(r, &x, &err));
    }
    if (close)
        OK(reference_close(r, &err));
    return r;
}

static void missing_vectors_are_drift(void **state)
{
    (void)state;
    static const struct { double before, now; int n; const char *test; } cases[] = {
        { 0, 1, 100, "chi-square of missing" }, { 0, 0.3, 100, "chi-square of missing" }, { 0.3, 0, 100, "chi-square of missing" }, { 0, 1, 5, "chi-square of missing, permutation" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reference *r = vectors(1, 200, cases[i].before, 0, true), *w = vectors(5, cases[i].n, cases[i].now, 0, false);
        struct window_signal out;
        OK(window_compare(&out, r, w, &(struct window_opts){ .alpha = 0.01 }, &err));
        assert_true(out.drift && out.n_reference == 200 && out.n_window == cases[i].n && isnan(out.auc) == (cases[i].now == 1));
        assert_string_equal(out.test, cases[i].test);
        reference_free(r), reference_free(w);
    }
    struct reference *r = vectors(1, 200, 0.1, 0, true), *w = vectors(5, 100, 0.1, 2, false);      /* what is not missing has changed */
    struct window_signal out;
    OK(window_compare(&out, r, w, NULL, &err));
    assert_true(out.drift && out.p == 0.002);
    assert_string_equal(out.test, "mean discrepancy");
    reference_free(r), reference_free(w);
}

static void vectors_as_often_missing_as_before_rarely_drift(void **state)
{
    (void)state;
    enum { RUNS = FEWER(100, 2) };
    const double alpha = 0.1;
    int alarms = 0;
    for (int run = 0; run < RUNS; run++) {
        const uint64_t key = (uint64_t)(7000 + 16 * run);
        struct reference *r = vectors(key, 100, 0.15, 0, true), *w = vectors(key + 8, 50, 0.15, 0, false);
        struct window_signal out;
        OK(window_compare(&out, r, w, &(struct window_opts){ .alpha = alpha, .seed = key }, &err));
        alarms += out.drift;
        reference_free(r), reference_free(w);
    }
    print_message("%d of %d windows of vectors, 15 %% missing, called drift at 10 %%\n", alarms, RUNS);
    assert_true(alarms <= alpha * RUNS + 4 * sqrt(alpha * (1 - alpha) * RUNS));
}

static void numbers_too_large_for_squares_have_no_shift(void **state)
{
    (void)state;
    for (int up = 0; up < 2; up++) {
        struct reference *r, *w;
        struct window_signal out;
        OK(reference_new(&r, &(struct reference_opts){ .seed = 1 }, &err));
        OK(reference_new(&w, &(struct reference_opts){ .seed = 2 }, &err));
        OK(reference_signal(r, "x", WATCH_NUMBER, 0, &err));
        OK(reference_signal(w, "x", WATCH_NUMBER, 0, &err));
        for (uint64_t i = 0; i < 200; i++) {
            const struct watch_value a = WATCH_OF_NUMBER(1.7e308 * (2 * rng_uniform(5, i) - 1)), b = WATCH_OF_NUMBER(1.7e308 * (up ? rng_uniform(6, i) : 2 * rng_uniform(6, i) - 1));
            OK(reference_add(r, &a, &err));
            OK(reference_add(w, &b, &err));
        }
        OK(reference_close(r, &err));
        OK(window_compare(&out, r, w, NULL, &err));
        assert_true(out.drift == up && isnan(out.shift) && isnan(out.shift_low) && isnan(out.shift_high) && isnan(out.wasserstein) && isfinite(out.delta_low));
        reference_free(r), reference_free(w);
    }
}

/* 0.1 many times over has a mean that is not 0.1: rounding is no scale. */
static void a_reference_of_one_value_has_no_shift_but_a_side(void **state)
{
    (void)state;
    struct reference *r[2];
    for (int side = 0; side < 2; side++) {
        OK(reference_new(&r[side], &(struct reference_opts){ .seed = 5 }, &err));
        OK(reference_signal(r[side], "number", WATCH_NUMBER, 0, &err));
        for (int i = 0; i < (side ? 59 : 121); i++)
            OK(reference_add(r[side], &WATCH_OF_NUMBER(side ? 0.05 : 0.1), &err));
    }
    OK(reference_close(r[0], &err));
    struct window_signal out;
    OK(window_compare(&out, r[0], r[1], &(struct window_opts){ .alpha = 0.01, .seed = 5 }, &err));
    assert_true(out.p < 1e-9 && out.delta == -1);
    assert_true(isnan(out.shift) && isnan(out.shift_low) && isnan(out.shift_high));
    reference_free(r[0]), reference_free(r[1]);
}

static void what_cannot_be_compared_is_told(void **state)
{
    (void)state;
    struct reference *r = collect(1, 100, 0, true), *w = collect(2, 1, 0, false), *open = collect(3, 30, 0, false);
    struct window_signal out[N_SIGNAL];
    OK(window_compare(out, r, w, NULL, &err));                             /* one event: no test, no drift */
    for (int i = 0; i < N_SIGNAL; i++)
        assert_true(!out[i].test && isnan(out[i].p) && !out[i].drift);
    assert_int_equal(window_compare(out, open, w, NULL, &err), ERR_USAGE);
    assert_int_equal(window_compare(out, r, r, NULL, &err), ERR_USAGE);
    assert_int_equal(window_compare(out, r, w, &(struct window_opts){ .alpha = 2 }, &err), ERR_RANGE);
    reference_free(r), reference_free(w), reference_free(open);
}

static void reports_say_what_was_found(void **state)
{
    (void)state;
    struct reference *r = collect(1, 500, 0, true), *w = collect(2, 300, 1, false);
    struct window_signal out[N_SIGNAL];
    OK(window_compare(out, r, w, NULL, &err));
    struct drift_found f = { .reference = r, .window = out, .window_events = 300 };
    json_t *o;
    assert_true(drift_found_any(&f));
    OK(drift_report(&o, &f, &err));
    assert_true(json_is_true(json_object_get(o, "drift")) && json_is_null(json_object_get(o, "every_event")));
    assert_int_equal(json_array_size(json_object_get(o, "signals")), N_SIGNAL);
    json_decref(o);
    OK(drift_report_evidently(&o, &f, &err));
    const json_t *table = json_object_get(json_array_get(json_object_get(o, "metrics"), 1), "result");
    assert_true(json_is_true(json_object_get(table, "dataset_drift")) && json_integer_value(json_object_get(table, "number_of_drifted_columns")) == 3);
    json_decref(o);
    const struct monitor_opts mo = { .arl = 1000 };
    struct monitor *m;
    OK(monitor_new(&m, r, &mo, &err));
    f.monitor = m, f.monitor_opts = &mo;
    assert_false(drift_found_any(&f));                                     /* nothing was seen yet */
    OK(drift_report(&o, &f, &err));
    assert_true(json_is_false(json_object_get(o, "drift")));
    json_decref(o);
    OK(drift_report_evidently(&o, &f, &err));
    json_decref(o);
    monitor_free(m), reference_free(r), reference_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_alarm_as_often_as_they_say), cmocka_unit_test(effects_are_what_was_put_in),   cmocka_unit_test(one_wild_value_neither_hides_a_shift_nor_is_one),
        cmocka_unit_test(missing_vectors_are_drift), cmocka_unit_test(vectors_as_often_missing_as_before_rarely_drift), cmocka_unit_test(numbers_too_large_for_squares_have_no_shift),
        cmocka_unit_test(a_reference_of_one_value_has_no_shift_but_a_side), cmocka_unit_test(what_cannot_be_compared_is_told),    cmocka_unit_test(reports_say_what_was_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
