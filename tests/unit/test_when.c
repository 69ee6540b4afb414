/* test_when.c - moments and their texts. */
#include "../test.h"
#include "base/when.h"

static struct err err;

static void texts_become_moments_and_back(void **state)
{
    (void)state;
    /* date -u -d TEXT +%s of GNU coreutils */
    static const struct { const char *text; int64_t s; const char *back; } all[] = {
        { "1970-01-01", 0, "1970-01-01T00:00:00.000000000Z" },
        { "2026-11-27", 1795737600, "2026-11-27T00:00:00.000000000Z" },
        { "2024-02-29T23:59Z", 1709251140, "2024-02-29T23:59:00.000000000Z" },
        { "2026-11-27 14:30:05", 1795789805, "2026-11-27T14:30:05.000000000Z" },
        { "2026-11-27t14:30:05+01:00", 1795786205, "2026-11-27T13:30:05.000000000Z" },
        { "2026-11-27T14:30:05-0130", 1795795205, "2026-11-27T16:00:05.000000000Z" },
        { "2261-12-31T23:59:59Z", 9214646399, "2261-12-31T23:59:59.000000000Z" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t ns;
        char back[WHEN_TEXT];
        OK(when_parse(&ns, all[i].text, &err));
        assert_true(ns == all[i].s * 1000000000);
        when_text(back, ns);
        assert_string_equal(back, all[i].back);
    }
    int64_t ns;
    OK(when_parse(&ns, "1970-01-01T00:00:01.0203040506Z", &err));
    assert_true(ns == 1020304050);
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "now", "2026", "2026-11", "2026-13-01", "2026-02-30", "2026-11-27T", "2026-11-27T14", "2026-11-27T24:00", "2026-11-27T14:60", "2026-11-27T14:30:",
                                       "2026-11-27T14:30:05.", "2026-11-27T14:30ZZ", "2026-11-27T14:30+1", "2026-11-27T14:30+25:00", "1969-12-31", "2262-01-01", "1970-01-01T00:00+01:00", " 2026-11-27", "2026-11-27Z" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns;
        if (when_parse(&ns, bad[i], &err) != ERR_USAGE)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void the_clock_goes_unless_it_is_held(void **state)
{
    (void)state;
    const int64_t a = when_now(), b = when_now();
    assert_true(a > INT64_C(1700000000000000000) && b >= a);
    when_set(5);
    assert_true(when_now() == 5);
    when_set(-1);
    assert_true(when_now() >= b);
}

static void seconds_are_whole_and_moments_of_no_calendar_are_told(void **state)
{
    (void)state;
    static const struct { int64_t s; const char *text; } cases[] = { { 0, "1970-01-01T00:00:00Z" }, { -1, "1969-12-31T23:59:59Z" }, { WHEN_LAST, "9999-12-31T23:59:59Z" }, { INT64_MAX, "1900-01-01T00:00:00Z" } };
    char text[WHEN_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        when_seconds(text, cases[i].s);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(seconds_are_whole_and_moments_of_no_calendar_are_told), cmocka_unit_test(texts_become_moments_and_back), cmocka_unit_test(other_texts_are_refused), cmocka_unit_test(the_clock_goes_unless_it_is_held) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
