/* Detectors of change: edges, river's detections (tests/golden/stats.json), the window's sums against the values themselves. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/stream.h"

static struct err err;
static json_t *root;

static void options_and_values_that_are_none_are_refused(void **state)
{
    (void)state;
    struct adwin a;
    struct page_hinkley p;
    bool changed;
    const struct adwin_opts wrong[] = { { .delta = NAN }, { .delta = 1 }, { .clock = -1 }, { .max_buckets = 1 }, { .max_buckets = ADWIN_BUCKETS + 1 }, { .min_window = -1 }, { .grace = -5 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(adwin_init(&a, &wrong[i], &err), ERR_RANGE);
    const struct page_hinkley_opts bad[] = { { .min_values = -1 }, { .delta = NAN }, { .threshold = -1 }, { .forget = 1.5 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(page_hinkley_init(&p, &bad[i], &err), ERR_RANGE);
    OK(adwin_init(&a, &(struct adwin_opts){ 0 }, &err));
    OK(page_hinkley_init(&p, &(struct page_hinkley_opts){ 0 }, &err));
    assert_int_equal(adwin_add(&a, NAN, &changed, &err), ERR_NUMERIC);
    assert_int_equal(page_hinkley_add(&p, INFINITY, &changed, &err), ERR_NUMERIC);
    assert_true(a.width == 0 && p.n == 0 && !changed);
}

/* Where in the stream of digits a change is detected. */
static int detections(const char *digits, int which, int found[8])
{
    struct adwin a;
    struct page_hinkley p;
    int n = 0;
    OK(adwin_init(&a, &(struct adwin_opts){ .skip_newest = which == 1 }, &err));
    OK(page_hinkley_init(&p, &(struct page_hinkley_opts){ 0 }, &err));
    for (int i = 0; digits[i]; i++) {
        bool changed;
        OK(which == 2 ? page_hinkley_add(&p, digits[i] - '0', &changed, &err) : adwin_add(&a, digits[i] - '0', &changed, &err));
        if (changed && n < 8)
            found[n++] = i;
    }
    return n;
}

static void detections_are_rivers(void **state)
{
    (void)state;
    static const char *const expected[] = { "expect_new", "expect_old", "page_hinkley_default" };
    const json_t *g = json_object_get(json_object_get(root, "reference"), "adwin");
    int n_stream = 0;
    for (int which = 0; which < 3; which++) {
        const char *name;
        json_t *want;
        json_object_foreach(json_object_get(g, expected[which]), name, want) {
            int found[8];
            const int n = detections(json_string_value(json_object_get(g, name)), which, found);
            assert_int_equal(n, json_array_size(want));
            for (int i = 0; i < n; i++)
                assert_int_equal(found[i], json_integer_value(json_array_get(want, (size_t)i)));
            n_stream++;
        }
    }
    assert_int_equal(n_stream, 8);
}

static void the_window_has_the_sums_of_its_values(void **state)
{
    (void)state;
    enum { N = FEWER(5000, 1500) };
    static double v[N];
    struct adwin a;
    int n_changed = 0;
    OK(adwin_init(&a, &(struct adwin_opts){ .clock = 1 }, &err));
    for (int i = 0; i < N; i++) {
        bool changed;
        v[i] = rng_uniform(1, (uint64_t)i) + (i > N * 3 / 5 ? 0.3 : 0);
        OK(adwin_add(&a, v[i], &changed, &err));
        n_changed += changed;
        double total = 0, squares = 0;
        for (int64_t j = i + 1 - a.width; j <= i; j++)
            total += v[j];
        for (int64_t j = i + 1 - a.width; j <= i; j++)
            squares += (v[j] - total / (double)a.width) * (v[j] - total / (double)a.width);
        assert_true(fabs(a.total - total) < 1e-8 && fabs(a.deviation - squares) < 1e-8);
    }
    assert_in_range(n_changed, 1, 3);
}

static void a_stream_without_change_seldom_alarms(void **state)
{
    (void)state;
    int adwin_alarms = 0, page_alarms = 0;
    for (uint64_t run = 0; run < FEWER(50, 5); run++) {
        struct adwin a;
        struct page_hinkley p;
        OK(adwin_init(&a, &(struct adwin_opts){ 0 }, &err));
        OK(page_hinkley_init(&p, &(struct page_hinkley_opts){ 0 }, &err));
        for (uint64_t i = 0; i < 4000; i++) {
            bool changed;
            const double x = rng_uniform(run, i) < 0.3;
            OK(adwin_add(&a, x, &changed, &err));
            adwin_alarms += changed;
            OK(page_hinkley_add(&p, x, &changed, &err));
            page_alarms += changed;
        }
    }
    assert_true(adwin_alarms <= 3 && page_alarms <= 12);
}

static void a_mean_that_falls_is_seen_by_both_sides_only(void **state)
{
    (void)state;
    for (int two_sided = 0; two_sided < 2; two_sided++) {
        struct page_hinkley p;
        int n_changed = 0;
        OK(page_hinkley_init(&p, &(struct page_hinkley_opts){ .two_sided = two_sided }, &err));
        for (int i = 0; i < 1000; i++) {
            bool changed;
            OK(page_hinkley_add(&p, i < 500 ? 1 : 0.5, &changed, &err));
            n_changed += changed;
        }
        assert_int_equal(n_changed, two_sided);
    }
}

static int load(void **state)
{
    (void)state;
    return tree_load(&root, "tests/golden/stats.json", 1 << 22, &err);
}

static int unload(void **state)
{
    (void)state;
    json_decref(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_values_that_are_none_are_refused),
        cmocka_unit_test(detections_are_rivers),
        cmocka_unit_test(the_window_has_the_sums_of_its_values),
        cmocka_unit_test(a_stream_without_change_seldom_alarms),
        cmocka_unit_test(a_mean_that_falls_is_seen_by_both_sides_only),
    };
    return cmocka_run_group_tests_name("stream", tests, load, unload);
}
