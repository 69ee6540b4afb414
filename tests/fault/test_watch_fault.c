/* test_watch_fault.c - references, monitors and windows without memory. */
#include "each_allocation.h"
#include "base/rng.h"
#include "watch/monitor.h"
#include "watch/versus.h"
#include "watch/window.h"

enum { DIM = 8, EVENTS = 48 };

static void event(uint64_t i, float *v, char text[8], struct watch_value out[3])
{
    for (int j = 0; j < DIM; j++)
        v[j] = (float)rng_normal(1, i * DIM + (uint64_t)j);
    snprintf(text, 8, "c%d", (int)(i % 20));
    out[0] = WATCH_OF_NUMBER((double)v[0]);
    out[1] = WATCH_OF_TEXT(text, strlen(text));
    out[2] = i % 10 ? WATCH_OF_VECTOR(v) : WATCH_LACKS;
}

static int collect(struct reference **out, uint64_t seed, struct err *err)
{
    static float v[DIM];
    char text[8];
    struct watch_value x[3];
    TRY(reference_new(out, &(struct reference_opts){ .seed = seed, .keep = 40 }, err));
    TRY(reference_signal(*out, "number", WATCH_NUMBER, 0, err));
    TRY(reference_signal(*out, "category", WATCH_CATEGORY, 0, err));
    TRY(reference_signal(*out, "vector", WATCH_VECTOR, DIM, err));
    for (uint64_t i = 0; i < EVENTS; i++) {
        event(i + 1000 * seed, v, text, x);
        TRY(reference_add(*out, x, err));
    }
    return 0;
}

static int watch(const struct reference *r, struct err *err)
{
    static float v[DIM];
    char text[8];
    struct watch_value x[3];
    struct monitor *m;
    TRY(monitor_new(&m, r, NULL, err));
    int rc = 0;
    for (uint64_t i = 0; i < 70 && rc >= 0; i++) {
        event(i, v, text, x);
        rc = monitor_add(m, x, err);
    }
    for (int i = 0; i < 3; i++) {
        struct monitor_state s;
        monitor_state(m, i, &s);
        if (!s.track)
            rc = -1;
    }
    monitor_restart(m, -1);
    monitor_free(m);
    return rc < 0 ? rc : 0;
}

static int all_of_it(void *ctx)
{
    (void)ctx;
    struct err err = { 0 };
    struct reference *r = NULL, *other = NULL, *window = NULL, *back = NULL;
    struct window_signal out[3];
    json_t *o = NULL;
    int rc = collect(&r, 1, &err);
    if (!rc)
        rc = collect(&other, 2, &err);
    if (!rc)
        rc = collect(&window, 3, &err);
    if (!rc)
        rc = reference_merge(r, other, &err);
    if (!rc)
        rc = reference_close(r, &err);
    if (!rc)
        rc = watch(r, &err);
    if (!rc)
        rc = window_compare(out, r, window, NULL, &err);
    if (!rc)
        rc = reference_to_json(&o, r, &err);
    if (!rc)
        rc = reference_from_json(&back, o, "reference", &err);
    json_decref(o);
    reference_free(r), reference_free(other), reference_free(window), reference_free(back);
    return rc;
}

static int long_vectors(void *ctx)
{
    (void)ctx;
    static float v[WATCH_PROJECTED + 1];
    struct err err = { 0 };
    struct reference *r = NULL;
    const struct watch_value x = WATCH_OF_VECTOR(v);
    int rc = reference_new(&r, NULL, &err);
    if (!rc)
        rc = reference_signal(r, "long", WATCH_VECTOR, WATCH_PROJECTED + 1, &err);
    if (!rc)
        rc = reference_add(r, &x, &err);
    reference_free(r);
    return rc;
}

static int versions(void *ctx)
{
    (void)ctx;
    struct err err = { 0 };
    struct versus *v;
    TRY(versus_new(&v, 0.01, &err));
    int rc = 0;
    for (uint64_t i = 0; i < 1100 && rc >= 0; i++)               /* users of three tables */
        rc = versus_add(v, i % 2 ? VERSUS_CANDIDATE : VERSUS_STABLE, 1, i + 1, &err);
    versus_free(v);
    return rc < 0 ? rc : 0;
}

static void each_lack_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_failure(ALLOCATIONS, 5, all_of_it, NULL, false) > 100);
    assert_true(each_allocation(long_vectors, NULL, false) >= 5);
    assert_int_equal(each_allocation(versions, NULL, false), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_lack_of_memory_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
