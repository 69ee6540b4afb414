/* test_watch.c - monitors alarm as seldom as they say where nothing has changed, also when looked at after every event, and soon where something has. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "watch/cells.h"
#include "watch/martingale.h"
#include "watch/monitor.h"

static struct err err;
enum { MOST = 20000 };

/* ---- events by number ---- */

enum what { NORMAL, CAUCHY, GRADES, FEW, ZIPF, VECTORS };
static enum watch_kind kind_of(enum what w) { return w <= GRADES ? WATCH_NUMBER : w <= ZIPF ? WATCH_CATEGORY : WATCH_VECTOR; }
enum { DIM = 6 };

static struct watch_value event(enum what w, uint64_t key, uint64_t i, double shift)
{
    static char text[16];
    static float v[DIM];
    const double u = rng_uniform(key, i);
    int c = 0;
    switch (w) {
    case NORMAL: return WATCH_OF_NUMBER(rng_normal(key, i) + shift);
    case CAUCHY: return WATCH_OF_NUMBER(tan(3.14159265 * (u - 0.5)) + shift);
    case GRADES: return rng_uniform(key, i + MOST) < 0.05 ? WATCH_LACKS : WATCH_OF_NUMBER(floor(4 * u) + (rng_uniform(key, i + 2 * MOST) < shift));
    case FEW: c = rng_uniform(key, i + MOST) < shift ? 0 : (int)(3 * u); break;
    case ZIPF: c = rng_uniform(key, i + MOST) < shift ? 999 : (int)floor(exp(4 * u)); break;
    case VECTORS:
        for (uint64_t j = 0; j < DIM; j++)
            v[j] = (float)(rng_normal(key, i * DIM + j) + (j == 1 ? shift : 0) + (j > 3 ? v[0] : 0));
        return WATCH_OF_VECTOR(v);
    }
    snprintf(text, sizeof text, "c%d", c);
    return WATCH_OF_TEXT(text, strlen(text));
}

static struct reference *collect(enum what w, uint64_t key, int n, double shift, bool close)
{
    struct reference *r;
    OK(reference_new(&r, &(struct reference_opts){ .seed = key }, &err));
    OK(reference_signal(r, "x", kind_of(w), DIM, &err));
    for (int i = 0; i < n; i++) {
        const struct watch_value v = event(w, key, (uint64_t)i, shift);
        OK(reference_add(r, &v, &err));
    }
    if (close)
        OK(reference_close(r, &err));
    return r;
}

/* Events until the first alarm, 0: none in n. */
static int64_t alarm_of(struct monitor *m, enum what w, uint64_t key, int n, int change, double shift)
{
    for (int i = 0; i < n; i++) {
        const struct watch_value v = event(w, key, (uint64_t)i, i < change ? 0 : shift);
        const int alarms = monitor_add(m, &v, &err);
        OK(alarms);
        if (alarms)
            return i + 1;
    }
    return 0;
}

/* ---- the rate ---- */

static void few_streams_ever_alarm_where_nothing_changes(void **state)
{
    (void)state;
    enum { RUNS = FEWER(300, 3), EVENTS = 3000 };
    static const char *const names[] = { "normal", "Cauchy", "grades, some missing", "three categories", "55 categories", "vectors" };
    const double alpha = 0.05, most = alpha * RUNS + 4 * sqrt(alpha * (1 - alpha) * RUNS);
    for (int w = NORMAL; w <= VECTORS; w++) {
        int alarms = 0;
        for (int run = 0; run < RUNS; run++) {
            struct reference *r = collect((enum what)w, (uint64_t)(w * 10000 + run), 150, 0, true);
            struct monitor *m;
            OK(monitor_new(&m, r, &(struct monitor_opts){ .alpha = alpha }, &err));
            alarms += alarm_of(m, (enum what)w, (uint64_t)(w * 10000 + 5000 + run), EVENTS, EVENTS, 0) > 0;
            monitor_free(m), reference_free(r);
        }
        print_message("%-22s %d of %d streams of %d events alarmed at 5 %%\n", names[w], alarms, RUNS, EVENTS);
        assert_true(alarms <= most);
    }
}

static void alarms_by_run_length_are_as_rare_as_said(void **state)
{
    (void)state;
    enum { RUNS = FEWER(200, 3), EVENTS = 2000 };
    int alarms = 0;
    for (int run = 0; run < RUNS; run++) {
        struct reference *r = collect(NORMAL, (uint64_t)run, 300, 0, true);
        struct monitor *m;
        OK(monitor_new(&m, r, &(struct monitor_opts){ .arl = 20000 }, &err));
        alarms += alarm_of(m, NORMAL, (uint64_t)(70000 + run), EVENTS, EVENTS, 0) > 0;
        monitor_free(m), reference_free(r);
    }
    print_message("%d of %d streams alarmed within %d events at a run length of 20,000\n", alarms, RUNS, EVENTS);
    assert_true(alarms <= 0.1 * RUNS + 4 * sqrt(0.1 * 0.9 * RUNS));
}

/* Over all paths of n values in n_cell cells, with the chances of Pólya's urn: the expectation of what the capital is then. */
static double expected(const int64_t *mass, int n_cell, int n, bool ordered, bool arl)
{
    double sum = 0;
    int64_t paths = 1;
    for (int i = 0; i < n; i++)
        paths *= n_cell;
    for (int64_t path = 0; path < paths; path++) {
        struct martingale *m;
        double chance = 1, seen[4], all = 0;
        int64_t rest = path;
        OK(martingale_new(&m, mass, n_cell, ordered, arl, &err));
        for (int c = 0; c < n_cell; c++)
            all += seen[c] = (double)mass[c];
        for (int i = 0; i < n; i++, rest /= n_cell) {
            const int c = (int)(rest % n_cell);
            chance *= seen[c]++ / all++;
            martingale_add(m, c);
        }
        sum += chance * martingale_capital(m);
        martingale_free(m);
    }
    return sum;
}

static void the_expected_capital_is_what_was_laid_down(void **state)
{
    (void)state;
    static const int64_t mass[] = { 3, 1, 2 };
    for (int ordered = 0; ordered < 2; ordered++) {
        /* Half at first, and all of the tree's that learns from the beginning; the rest comes with time. */
        const double laid = 0.5 + 0.5 * 0.2 + 0.5 * 0.8 * (1 - 1 / log2(8 + 2));
        assert_true(fabs(expected(mass, 3, 8, ordered, false) - laid) < 1e-12);
        assert_true(fabs(expected(mass, 3, 6, ordered, true) - 6) < 1e-12);
    }
}

static void capitals_are_what_the_definition_gives(void **state)
{
    (void)state;
    json_t *golden, *o;
    size_t i;
    OK(tree_load(&golden, "tests/golden/watch.json", 1 << 20, &err));
    int n_seen = 0;
    json_array_foreach(json_object_get(golden, "cases"), i, o) {
        const json_t *masses = json_object_get(o, "mass"), *cells = json_object_get(o, "cells"), *capital = json_object_get(o, "capital");
        int64_t mass[16];
        char key[32];
        struct martingale *m;
        for (size_t c = 0; c < json_array_size(masses); c++)
            mass[c] = json_integer_value(json_array_get(masses, c));
        OK(martingale_new(&m, mass, (int)json_array_size(masses), json_is_true(json_object_get(o, "ordered")), json_is_true(json_object_get(o, "arl")), &err));
        for (size_t n = 0; n < json_array_size(cells); n++) {
            martingale_add(m, (int)json_integer_value(json_array_get(cells, n)));
            snprintf(key, sizeof key, "%zu", n + 1);
            const json_t *want = json_object_get(capital, key);
            if (want && fabs(martingale_capital(m) / json_number_value(want) - 1) > 1e-12)
                fail_msg("case %zu, %zu values: found %.17g, expected %.17g", i, n + 1, martingale_capital(m), json_number_value(want));
            n_seen += want != NULL;
        }
        martingale_free(m);
    }
    assert_int_equal(n_seen, 84);
    json_decref(golden);
}

static void the_cells_have_the_chances_of_the_urn(void **state)
{
    (void)state;
    enum { M = 200, RUNS = FEWER(3000, 50) };
    double sorted[M], below = 0, chance = 0;
    for (int run = 0; run < RUNS; run++) {
        struct cells c;
        const bool tied = run % 2;                      /* values that are all equal too */
        for (int i = 0; i < M; i++)
            sorted[i] = tied ? 1 : (i + 1) / (M + 1.0);
        OK(cells_new(&c, sorted, M, (uint64_t)run, &err));
        int64_t all = 0;
        for (int k = 0; k < c.n_cell; k++)
            all += c.mass[k];
        assert_int_equal(all, M + 1);
        const int at = cells_find(&c, tied ? 1 : rng_uniform(1, (uint64_t)run), rng_uniform(2, (uint64_t)run));
        for (int k = 0; k < c.n_cell / 4; k++)
            chance += (double)c.mass[k] / (M + 1);
        below += at < c.n_cell / 4;
        cells_release(&c);
    }
    assert_true(fabs(below - chance) < 4 * sqrt(chance) + 1);
    struct cells one;
    OK(cells_new(&one, &(double){ 5 }, 1, 1, &err));
    assert_int_equal(one.n_cell, 2);
    assert_int_equal(cells_find(&one, 4, 0.5), 0);
    assert_int_equal(cells_find(&one, 6, 0.5), 1);
    assert_int_equal(cells_find(&one, (double)-INFINITY, 0.5), 0);
    cells_release(&one);
}

/* ---- changes ---- */

static void changes_are_found_early_and_late(void **state)
{
    (void)state;
    static const struct { enum what w; double shift; int within; } cases[] = {
        { NORMAL, 1, 120 }, { NORMAL, -0.5, 400 }, { CAUCHY, 2, 300 }, { GRADES, 0.5, 700 }, { FEW, 0.3, 700 }, { ZIPF, 0.2, 400 }, { VECTORS, 1.5, 700 },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int change = 0; change <= 3000; change += 3000) {
            struct reference *r = collect(cases[c].w, c + 100, 1500, 0, true);
            struct monitor *m;
            struct monitor_state s;
            OK(monitor_new(&m, r, NULL, &err));
            const int64_t at = alarm_of(m, cases[c].w, c + 200, MOST, change, cases[c].shift);
            monitor_state(m, 0, &s);
            assert_true(at > change && at <= change + cases[c].within);
            assert_true(s.alarmed && s.alarmed_at == at && s.e >= s.threshold && s.p <= 0.01 && monitor_alarmed(m));
            for (int i = 0; i < 500; i++) {                  /* when it came is seen better when more has been seen */
                const struct watch_value v = event(cases[c].w, c + 300, (uint64_t)i, cases[c].shift);
                OK(monitor_add(m, &v, &err));
            }
            monitor_state(m, 0, &s);
            print_message("case %zu, change after %d: alarm after %lld (%s), change seen after %lld (%lld to %lld)\n", c, change, (long long)at, s.track,
                          (long long)s.change.at,
                          (long long)s.change.low, (long long)s.change.high);
            assert_true(s.change.low <= change + 150 && s.change.high >= change - 150);
            monitor_free(m), reference_free(r);
        }
}

static void one_wild_value_hides_no_shift_and_is_none(void **state)
{
    (void)state;
    struct reference *r = collect(NORMAL, 1, 2000, 0, true);
    struct monitor *m;
    struct monitor_state s;
    OK(monitor_new(&m, r, NULL, &err));
    const struct watch_value wild = WATCH_OF_NUMBER(500);
    assert_int_equal(monitor_add(m, &wild, &err), 0);
    assert_int_equal(alarm_of(m, NORMAL, 2, 500, 500, 0), 0);                  /* alone it is no change */
    monitor_restart(m, -1);
    assert_int_equal(monitor_add(m, &wild, &err), 0);
    const int64_t at = alarm_of(m, NORMAL, 3, 500, 0, 1);
    assert_true(at > 0 && at < 60);
    monitor_state(m, 0, &s);
    assert_true(s.change.auc > 0.6 && s.change.auc_low > 0.5 && s.change.tv > 0.1);
    monitor_free(m), reference_free(r);
}

static void missing_and_infinite_values_are_values(void **state)
{
    (void)state;
    struct reference *r = collect(NORMAL, 1, 500, 0, true);
    struct monitor *m;
    struct monitor_state s;
    OK(monitor_new(&m, r, NULL, &err));
    const struct watch_value none = WATCH_NONE, lacks = WATCH_LACKS, nan = WATCH_OF_NUMBER((double)NAN), inf = WATCH_OF_NUMBER((double)INFINITY);
    for (int i = 0; i < 100; i++)
        assert_int_equal(monitor_add(m, &none, &err), 0);
    monitor_state(m, 0, &s);
    assert_true(s.n == 0 && s.e == 0 && s.p == 1 && !s.alarmed && s.change.at == 0 && s.change.auc == 0.5);
    int alarms = 0, n = 0;
    for (; n < 50 && !alarms; n++)
        OK(alarms = monitor_add(m, n % 2 ? &lacks : &nan, &err));
    assert_true(alarms == 1 && n < 20);
    monitor_state(m, 0, &s);
    assert_int_equal(s.alarmed_at, 100 + n);
    assert_int_equal(monitor_events(m), 100 + n);
    assert_int_equal(monitor_add(m, &inf, &err), 0);                           /* alarmed already */
    monitor_restart(m, 0);
    monitor_state(m, 0, &s);
    assert_true(!s.alarmed && s.n == 0 && !monitor_alarmed(m));
    for (alarms = n = 0; n < 50 && !alarms; n++)
        OK(alarms = monitor_add(m, &inf, &err));
    assert_int_equal(alarms, 1);
    monitor_free(m), reference_free(r);
}

/* A vector that one in `one_of` events lacks: by null, or by numbers that are not finite. */
static struct watch_value lacking(uint64_t key, uint64_t i, uint64_t one_of)
{
    static float bad[2][DIM] = { { (float)NAN }, { 0, 0, (float)INFINITY } };
    if (rng_uniform(key + 1, i) >= 1.0 / (double)one_of)
        return event(VECTORS, key, i, 0);
    return i % 3 ? WATCH_OF_VECTOR(bad[i % 3 - 1]) : WATCH_LACKS;
}

static struct reference *collect_lacking(uint64_t key, int n, uint64_t one_of)
{
    struct reference *r;
    OK(reference_new(&r, &(struct reference_opts){ .seed = key }, &err));
    OK(reference_signal(r, "x", WATCH_VECTOR, DIM, &err));
    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        const struct watch_value v = lacking(key, i, one_of);
        OK(reference_add(r, &v, &err));
    }
    OK(reference_close(r, &err));
    return r;
}

static void missing_vectors_are_a_track_of_their_own(void **state)
{
    (void)state;
    struct reference *r = collect(VECTORS, 1, 500, 0, true);
    struct monitor *m;
    struct monitor_state s;
    OK(monitor_new(&m, r, NULL, &err));
    for (int again = 0; again < 2; again++) {
        int alarms = 0;
        uint64_t n = 0;
        for (; n < 50 && !alarms; n++) {
            const struct watch_value v = lacking(2, n, 1);
            OK(alarms = monitor_add(m, &v, &err));
        }
        monitor_state(m, 0, &s);
        assert_true(alarms == 1 && n < 20 && s.n == (int64_t)n);
        assert_string_equal(s.track, "missing");
        assert_true(s.at_alarm.at == 0 && s.at_alarm.auc > 0.9);
        monitor_restart(m, 0);
        monitor_state(m, 0, &s);
        assert_true(!s.alarmed && s.n == 0);
    }
    for (uint64_t i = 0; i < 3000; i++) {                                       /* as before: directions are learned */
        const struct watch_value v = event(VECTORS, 3, i, 0);
        assert_int_equal(monitor_add(m, &v, &err), 0);
    }
    monitor_free(m), reference_free(r);
    r = collect_lacking(4, 1000, 20);                                           /* more are missing, and fewer; reference of a sample */
    for (uint64_t one_of = 3; one_of <= 3000; one_of *= 1000) {
        OK(monitor_new(&m, r, NULL, &err));
        for (uint64_t i = 0; i < 5000; i++) {
            const struct watch_value v = lacking(5, i, one_of);
            OK(monitor_add(m, &v, &err));
        }
        monitor_state(m, 0, &s);
        assert_true(s.alarmed && s.n == 5000);
        assert_string_equal(s.track, "missing");
        monitor_free(m);
    }
    reference_free(r);
}

static void vectors_as_often_missing_as_before_rarely_alarm(void **state)
{
    (void)state;
    enum { RUNS = FEWER(150, 3), EVENTS = 1500 };
    const double alpha = 0.1;
    int alarms = 0, of_missing = 0;
    for (int run = 0; run < RUNS; run++) {
        const uint64_t key = (uint64_t)(550000 + 2 * run);
        struct reference *r = collect_lacking(key, 300, 10);
        struct monitor *m;
        struct monitor_state s;
        OK(monitor_new(&m, r, &(struct monitor_opts){ .alpha = alpha }, &err));
        for (uint64_t i = 300; i < 300 + EVENTS; i++) {
            const struct watch_value v = lacking(key, i, 10);
            OK(monitor_add(m, &v, &err));
        }
        monitor_state(m, 0, &s);
        alarms += s.alarmed, of_missing += s.alarmed && !strcmp(s.track, "missing");
        monitor_free(m), reference_free(r);
    }
    print_message("%d of %d monitors of vectors, a tenth missing, alarmed at 10 %%, %d of what is missing\n", alarms, RUNS, of_missing);
    assert_true(alarms <= alpha * RUNS + 4 * sqrt(alpha * (1 - alpha) * RUNS));
}

static void alpha_is_divided_over_the_signals(void **state)
{
    (void)state;
    enum { SIGNALS = 4, RUNS = FEWER(150, 3), EVENTS = 1500 };
    const double alpha = 0.1;
    int alarms = 0;
    for (int run = 0; run < RUNS; run++) {
        struct reference *r;
        struct monitor *m = NULL;
        struct monitor_state s;
        char name[16];
        OK(reference_new(&r, &(struct reference_opts){ .seed = (uint64_t)run }, &err));
        for (int i = 0; i < SIGNALS; i++) {
            snprintf(name, sizeof name, "x%d", i);
            OK(reference_signal(r, name, i < 3 ? WATCH_NUMBER : WATCH_CATEGORY, 0, &err));
        }
        for (uint64_t i = 0; i < 100 + EVENTS; i++) {
            const uint64_t key = (uint64_t)(880000 + run);
            const double a = rng_normal(key, i), b = rng_normal(key + 7000, i);
            const struct watch_value v[SIGNALS] = { WATCH_OF_NUMBER(a), WATCH_OF_NUMBER(a + 0.3 * b), WATCH_OF_NUMBER(fabs(a)),
                                                    WATCH_OF_TEXT(a > 0.5 ? "yes" : "no", a > 0.5 ? 3 : 2) };
            if (i < 100)
                OK(reference_add(r, v, &err));
            if (i == 99) {
                OK(reference_close(r, &err));
                OK(monitor_new(&m, r, &(struct monitor_opts){ .alpha = alpha }, &err));
            }
            if (i >= 100)
                OK(monitor_add(m, v, &err));
        }
        monitor_state(m, 3, &s);
        assert_true(fabs(s.threshold - SIGNALS / alpha) < 1e-9);
        alarms += monitor_alarmed(m);
        monitor_free(m), reference_free(r);
    }
    print_message("%d of %d monitors of %d dependent signals alarmed at 10 %%\n", alarms, RUNS, SIGNALS);
    assert_true(alarms <= alpha * RUNS + 4 * sqrt(alpha * (1 - alpha) * RUNS));
}

static void evidence_without_bounds_stays_a_number(void **state)
{
    (void)state;
    static const enum what all[] = { NORMAL, FEW, VECTORS };
    for (int k = 0; k < 3; k++)
        for (int arl = 0; arl < 2; arl++) {
            struct reference *r = collect(all[k], 1, 2000, 0, true);
            struct monitor *m;
            struct monitor_state s;
            OK(monitor_new(&m, r, &(struct monitor_opts){ .arl = arl ? 1e6 : 0 }, &err));
            for (int i = 0; i < 5000; i++) {
                const struct watch_value v = event(all[k], 2, (uint64_t)i, i < 2500 ? 50 : 0);
                OK(monitor_add(m, &v, &err));
            }
            monitor_state(m, 0, &s);
            assert_true(isfinite(s.e) && isfinite(s.e_max) && s.e_max > 1e20 && s.alarmed && (arl ? isnan(s.p) : s.p < 1e-20));
            monitor_free(m), reference_free(r);
        }
}

/* ---- references ---- */

static void a_reference_survives_its_file(void **state)
{
    (void)state;
    for (int w = NORMAL; w <= VECTORS; w++) {
        struct reference *r = collect((enum what)w, 5, 900, 0, true), *back;
        struct monitor *m[2];
        struct monitor_state s[2];
        json_t *o, *tree;
        OK(reference_to_json(&o, r, &err));
        char *text = tree_dumps(o, JSON_COMPACT), *again;
        OK(tree_parse_json(&tree, text, strlen(text), "r.json", &err));
        OK(reference_from_json(&back, tree, "r.json", &err));
        json_decref(o), json_decref(tree);
        OK(reference_to_json(&o, back, &err));
        again = tree_dumps(o, JSON_COMPACT);
        assert_string_equal(text, again);
        json_decref(o);
        OK(monitor_new(&m[0], r, NULL, &err));
        OK(monitor_new(&m[1], back, NULL, &err));
        for (int k = 0; k < 2; k++) {
            alarm_of(m[k], (enum what)w, 6, 300, 0, 0.2);
            monitor_state(m[k], 0, &s[k]);
            monitor_free(m[k]);
        }
        assert_true(s[0].e == s[1].e && s[0].e_max == s[1].e_max);
        mem_free(text), mem_free(again), reference_free(r), reference_free(back);
    }
}

static void merged_references_are_one_of_both(void **state)
{
    (void)state;
    struct reference *a = collect(NORMAL, 1, 3000, 0, false), *b = collect(NORMAL, 2, 3000, 10, false);
    struct reference *c = collect(FEW, 3, 100, 0, false), *same = collect(NORMAL, 1, 10, 0, false);
    assert_int_equal(reference_merge(a, c, &err), ERR_USAGE);
    assert_int_equal(reference_merge(a, same, &err), ERR_USAGE);
    OK(reference_merge(a, b, &err));
    assert_int_equal(reference_events(a), 6000);
    OK(reference_close(a, &err));
    json_t *o;
    OK(reference_to_json(&o, a, &err));
    const json_t *v = json_object_get(json_array_get(json_object_get(o, "signals"), 0), "values");
    int high = 0;
    for (size_t i = 0; i < json_array_size(v); i++)
        high += json_real_value(json_array_get(v, i)) > 5;
    assert_int_equal(json_array_size(v), 2048);
    assert_true(abs(high - 1024) < 110);
    json_decref(o);
    reference_free(a), reference_free(b), reference_free(c), reference_free(same);
}

static void names_that_are_no_text_are_one_category_each(void **state)
{
    (void)state;
    struct reference *r;
    OK(reference_new(&r, NULL, &err));
    OK(reference_signal(r, "x", WATCH_CATEGORY, 0, &err));
    char longest[300];
    memset(longest, 'a', sizeof longest);
    const struct watch_value v[] = { WATCH_OF_TEXT("\xff\xfe", 2), WATCH_OF_TEXT("a\0b", 3), WATCH_OF_TEXT(longest, sizeof longest), WATCH_OF_TEXT("", 0),
                                     WATCH_LACKS };
    for (int i = 0; i < 100; i++)
        OK(reference_add(r, &v[i % 5], &err));
    OK(reference_close(r, &err));
    json_t *o;
    OK(reference_to_json(&o, r, &err));
    const json_t *c = json_object_get(json_array_get(json_object_get(o, "signals"), 0), "categories");
    assert_int_equal(json_array_size(c), 5);
    struct reference *back;
    OK(reference_from_json(&back, o, "r", &err));
    json_decref(o);
    reference_free(r), reference_free(back);
}

static void long_vectors_are_projected(void **state)
{
    (void)state;
    enum { LONG = 700 };
    struct reference *r;
    struct monitor *m;
    static float v[LONG];
    const struct watch_value x = WATCH_OF_VECTOR(v);
    OK(reference_new(&r, &(struct reference_opts){ .keep = 256 }, &err));
    OK(reference_signal(r, "x", WATCH_VECTOR, LONG, &err));
    for (uint64_t i = 0; i < 256 + 600; i++) {
        for (uint64_t j = 0; j < LONG; j++)
            v[j] = (float)rng_normal(1, i * LONG + j) + (i >= 256 + 100 && j < 20 ? 3.0f : 0);
        if (i < 256) {
            OK(reference_add(r, &x, &err));
            continue;
        }
        if (i == 256) {
            OK(reference_close(r, &err));
            OK(monitor_new(&m, r, NULL, &err));
        }
        OK(monitor_add(m, &x, &err));
        assert_true(i >= 256 + 100 || !monitor_alarmed(m));
    }
    assert_true(monitor_alarmed(m));
    monitor_free(m), reference_free(r);
}

static void what_is_not_possible_is_refused(void **state)
{
    (void)state;
    struct reference *r;
    struct monitor *m;
    assert_int_equal(reference_new(&r, &(struct reference_opts){ .keep = 3 }, &err), ERR_RANGE);
    OK(reference_new(&r, NULL, &err));
    assert_int_equal(reference_close(r, &err), ERR_RANGE);
    assert_int_equal(reference_signal(r, "", WATCH_NUMBER, 0, &err), ERR_RANGE);
    assert_int_equal(reference_signal(r, "a\nb", WATCH_NUMBER, 0, &err), ERR_RANGE);
    assert_int_equal(reference_signal(r, "v", WATCH_VECTOR, 0, &err), ERR_RANGE);
    OK(reference_signal(r, "v", WATCH_VECTOR, 2, &err));
    assert_int_equal(reference_signal(r, "v", WATCH_NUMBER, 0, &err), ERR_RANGE);
    const float one[2] = { 1, 2 }, not_finite[2] = { 1, INFINITY };
    const struct watch_value v = WATCH_OF_VECTOR(one), bad = WATCH_OF_VECTOR(not_finite);
    for (int i = 0; i < 30; i++)
        OK(reference_add(r, i < 5 ? &bad : &v, &err));
    assert_int_equal(reference_signal(r, "late", WATCH_NUMBER, 0, &err), ERR_USAGE);
    assert_int_equal(monitor_new(&m, r, NULL, &err), ERR_RANGE);
    assert_int_equal(reference_close(r, &err), ERR_RANGE);                  /* all are equal */
    assert_non_null(strstr(err.msg, "signal 'v'"));
    reference_free(r);
    r = collect(NORMAL, 1, 19, 0, false);
    assert_int_equal(reference_close(r, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "found 19 events"));
    reference_free(r);
    r = collect(NORMAL, 1, 20, 0, true);
    assert_int_equal(monitor_new(&m, r, &(struct monitor_opts){ .alpha = 1 }, &err), ERR_RANGE);
    assert_int_equal(monitor_new(&m, r, &(struct monitor_opts){ .arl = 0.5 }, &err), ERR_RANGE);
    const struct watch_value x = WATCH_OF_NUMBER(1);
    assert_int_equal(reference_add(r, &x, &err), ERR_USAGE);
    reference_free(r);
}

static void files_that_are_wrong_are_refused(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } files[] = {
        { "[]", "expected an object" },
        { "{\"format\": \"x\"}", "expected 'lathe-reference'" },
        { "{\"format\": \"lathe-reference\", \"version\": 2}", "version 2" },
        { "{\"format\": \"lathe-reference\", \"version\": 1, \"keep\": 100, \"signals\": []}", "signals" },
        { "{\"format\": \"lathe-reference\", \"version\": 1, \"keep\": 100, \"signals\": [{\"name\": \"a\", \"kind\": \"b\"}]}", "kind 'b'" },
        { "{\"format\": \"lathe-reference\", \"version\": 1, \"keep\": 100, \"signals\": [{\"name\": \"a\", \"kind\": \"number\", \"events\": 20, \"values\": [3, 1]}]}", "at least 20" },
        { "{\"format\": \"lathe-reference\", \"version\": 1, \"keep\": 100, \"signals\": [{\"name\": \"a\", \"kind\": \"number\", \"events\": 20, \"values_missing\": 18, \"values\": [3, 1]}]}",
          "smaller than the one before" },
        { "{\"format\": \"lathe-reference\", \"version\": 1, \"keep\": 100, \"signals\": [{\"name\": \"a\", \"kind\": \"category\", \"events\": 20, \"categories\": [[\"b\", 30, -1]]}]}", "not possible" },
        { "{\"format\": \"lathe-reference\", \"version\": 1, \"keep\": 100, \"signals\": [{\"name\": \"a\", \"kind\": \"vector\", \"dim\": 2, \"events\": 20, \"mean\": [1]}]}", "mean" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        json_t *o;
        struct reference *r;
        OK(tree_parse_json(&o, files[i].text, strlen(files[i].text), "f", &err));
        assert_true(reference_from_json(&r, o, "f", &err) < 0);
        if (!strstr(err.msg, files[i].says))
            fail_msg("file %zu: found '%s', expected '%s'", i, err.msg, files[i].says);
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cells_have_the_chances_of_the_urn),
        cmocka_unit_test(the_expected_capital_is_what_was_laid_down),
        cmocka_unit_test(capitals_are_what_the_definition_gives),
        cmocka_unit_test(few_streams_ever_alarm_where_nothing_changes),
        cmocka_unit_test(alarms_by_run_length_are_as_rare_as_said),
        cmocka_unit_test(changes_are_found_early_and_late),
        cmocka_unit_test(one_wild_value_hides_no_shift_and_is_none),
        cmocka_unit_test(missing_and_infinite_values_are_values),
        cmocka_unit_test(missing_vectors_are_a_track_of_their_own),
        cmocka_unit_test(vectors_as_often_missing_as_before_rarely_alarm),
        cmocka_unit_test(alpha_is_divided_over_the_signals),
        cmocka_unit_test(evidence_without_bounds_stays_a_number),
        cmocka_unit_test(a_reference_survives_its_file),
        cmocka_unit_test(merged_references_are_one_of_both),
        cmocka_unit_test(names_that_are_no_text_are_one_category_each),
        cmocka_unit_test(long_vectors_are_projected),
        cmocka_unit_test(what_is_not_possible_is_refused),
        cmocka_unit_test(files_that_are_wrong_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
