/* test_leak.c - what splits have in common: against comparing all pairs, and dates against the C library's. */
#include <time.h>
#include "../test.h"
#include "audit/leak.h"
#include "base/rng.h"

static struct err err;

#define N 400
#define SPLITS 4

/* Few keys, so that there are many in common, and records of no split and of no key. */
static void pairs_are_those_that_all_against_all_gives(void **state)
{
    (void)state;
    static uint8_t split[N];
    static uint64_t key[3][N];
    static int64_t when[N];
    struct leak l;
    for (uint64_t i = 0; i < N; i++) {
        split[i] = rng_u64(1, i) % 10 == 0 ? LEAK_NO_SPLIT : (uint8_t)(rng_u64(2, i) % SPLITS);
        for (uint64_t k = 0; k < 3; k++)
            key[k][i] = rng_u64(3 + k, i) % 4 == 0 ? 0 : UINT64_MAX - rng_u64(6 + k, i) % 500;
        when[i] = rng_u64(9, i) % 3 == 0 ? LEAK_NO_TIME : (int64_t)(rng_u64(10, i) % 100000) - 50 + 200 * split[i];
    }
    OK(leak_init(&l, split, N, &err));
    OK(leak_column(&l, LEAK_EXACT, key[0], &err));
    OK(leak_column(&l, LEAK_NEAR, key[1], &err));
    OK(leak_column(&l, LEAK_NEAR, key[2], &err));
    OK(leak_column(&l, LEAK_GROUP, key[2], &err));
    for (size_t i = 0; i < N; i++)
        leak_time(&l, i, when[i]);
    int64_t n_any = 0;
    for (int from = 0; from < SPLITS; from++)
        for (int to = 0; to < SPLITS; to++) {
            struct leak_pair want = { .first = LEAK_NO_TIME }, got;
            if (from == to)
                continue;
            for (int i = 0; i < N; i++) {
                bool exact = false, near = false, group = false;
                if (split[i] != to)
                    continue;
                for (int j = 0; j < N; j++) {
                    exact = exact || (split[j] == from && key[0][i] && key[0][i] == key[0][j]);
                    near = near || (split[j] == from && ((key[1][i] && key[1][i] == key[1][j]) || (key[2][i] && key[2][i] == key[2][j])));
                    group = group || (split[j] == from && key[2][i] && key[2][i] == key[2][j]);
                }
                want.of++, want.n[LEAK_EXACT] += exact, want.n[LEAK_NEAR] += near && !exact, want.n[LEAK_GROUP] += group;
                if (when[i] != LEAK_NO_TIME && (want.first == LEAK_NO_TIME || when[i] < want.first))
                    want.first = when[i];
            }
            for (int j = 0; j < N; j++)
                want.late += split[j] == from && when[j] != LEAK_NO_TIME && when[j] >= want.first;
            leak_between(&l, from, to, &got);
            assert_memory_equal(&got, &want, sizeof got);
            n_any += got.n[LEAK_EXACT] + got.n[LEAK_NEAR];
        }
    assert_true(n_any > 50);
    leak_release(&l);
}

static void it_is_the_lower_splits_record_that_leaks(void **state)
{
    (void)state;
    const uint8_t split[] = { 0, 1, 2, 2, 0, LEAK_NO_SPLIT, 31 };
    const uint64_t text[] = { 7, 7, 7, 8, 9, 7, 8 }, band[] = { 0, 5, 0, 5, 5, 5, 0 };
    const int want[] = { 1, 2, -1, 31, 1, -1, -1 };
    struct leak l;
    OK(leak_init(&l, split, 7, &err));
    OK(leak_column(&l, LEAK_EXACT, text, &err));
    OK(leak_column(&l, LEAK_NEAR, band, &err));
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(leak_of(&l, i), want[i]);
    leak_release(&l);
    OK(leak_init(&l, NULL, 0, &err));
    OK(leak_column(&l, LEAK_EXACT, NULL, &err));
    leak_release(&l);
}

static const struct { const char *text; int64_t want; } dates[] = {
    { "1970-01-01", 0 }, { "2024", 1704067200 }, { "2024-03", 1709251200 }, { "2024-02-29", 1709164800 }, { "2026-11-26T14:30", 1795703400 }, { " 2026-11-26 14:30:07\n", 1795703407 },
    { "2026-11-26T14:30:07.123Z", 1795703407 }, { "2026-11-26T14:30:07+02:00", 1795696207 }, { "2026-11-26T14:30:07-0530", 1795723207 }, { "2026-11-26 14:30:07 UTC", 1795703407 },
    { "1795703407", 1795703407 }, { "1795703407123", 1795703407 }, { "20240131123000", 1706704200 }, { "1969-12-31T23:59:59", -1 }, { "0000-01-01", -62167219200 }, { "9999-12-31", 253402214400 },
};
static const char *const no_dates[] = { "", "x", "20", "2024-13", "2024-02-30", "2023-02-29", "2024-1-1", "2024-01-01T", "2024-01-01T25:00", "2024-01-01T10:00:00+", "2024-01-01T10:00:00+2", "2024-01-01x", "12/31/2024",
                                        "123456789012345", "12345678901234", "20240230123000", "2024-", "2024-01-01T10:61" };

static void dates_are_read_or_refused(void **state)
{
    (void)state;
    int64_t got;
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        OK(leak_parse_time(dates[i].text, strlen(dates[i].text), &got, &err));
        if (got != dates[i].want)
            fail_msg("%s: %lld, expected %lld", dates[i].text, (long long)got, (long long)dates[i].want);
    }
    for (size_t i = 0; i < sizeof no_dates / sizeof *no_dates; i++)
        if (leak_parse_time(no_dates[i], strlen(no_dates[i]), &got, &err) != ERR_FORMAT)
            fail_msg("%s is taken for %lld", no_dates[i], (long long)got);
    for (uint64_t i = 0; i < 5000; i++) {
        const time_t t = (time_t)(rng_u64(1, i) % 200000000000u) - 60000000000;
        struct tm tm;
        char text[64];
        gmtime_r(&t, &tm);
        const int n = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        OK(leak_parse_time(text, (size_t)n, &got, &err));
        assert_int_equal(got, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_those_that_all_against_all_gives),
        cmocka_unit_test(it_is_the_lower_splits_record_that_leaks),
        cmocka_unit_test(dates_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
