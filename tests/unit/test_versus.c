/* test_versus.c - what is said of two versions: a candidate that is no worse is called worse as seldom as stated, one that is worse is found, intervals hold at all times. */
#include "../test.h"
#include <math.h>
#include "base/rng.h"
#include "cmd/watch_versus.h"
#include "watch/versus.h"

static struct err err;

enum what { THUMBS, STARS, RARE, N_WHAT };
static const char *const names[] = { "thumbs, 70 % up", "five stars", "rarely bad", };

/* Of the stable version's, where they stay the same all day: thumbs up (1) or down (-1), and -1 seldom. */
static double mean_of(enum what w) { return w == THUMBS ? 0.4 : w == RARE ? 0.96 : 0; }
static double score(enum what w, uint64_t key, uint64_t i, double less)
{
    const double u = rng_uniform(key, i);
    switch (w) {
    case THUMBS: return u < 0.7 - less / 2 ? 1 : -1;
    case STARS: return fmax(-1, (u < 0.4 ? 1 : u < 0.6 ? 0.5 : u < 0.8 ? 0 : u < 0.9 ? -0.5 : -1) - less);
    default: return u < 0.98 - less / 2 ? 1 : -1;
    }
}

/* The block at which it was called worse, 0: never, of n scores, `share` of them the candidate's.  Both go up and down with the time of day. */
static int64_t run_one(enum what w, uint64_t key, int n, double share, double less, bool *covered)
{
    struct versus *v;
    struct versus_state s;
    *covered = true;
    OK(versus_new(&v, 0.05, &err));
    for (int i = 0; i < n; i++) {
        const bool candidate = rng_uniform(key + 1, (uint64_t)i) < share;
        const double x = score(w, key, (uint64_t)i, candidate ? less : 0), day = w == STARS ? 0.1 * sin(i / 50.) : 0;
        assert_int_equal(versus_add(v, candidate ? VERSUS_CANDIDATE : VERSUS_STABLE, x * (1 - fabs(day)) + day, 0, &err), 1);
        if (i % 10 == 0 && w != STARS) {
            versus_state(v, &s);
            *covered = *covered && s.of[VERSUS_STABLE].low <= mean_of(w) && mean_of(w) <= s.of[VERSUS_STABLE].high;
        }
    }
    versus_state(v, &s);
    versus_free(v);
    return s.worse_at;
}

static void a_candidate_that_is_not_worse_is_called_worse_as_seldom_as_stated(void **state)
{
    (void)state;
    enum { RUNS = FEWER(200, 4), SCORES = 2000 };
    const double alpha = 0.05, most = alpha * RUNS + 4 * sqrt(alpha * (1 - alpha) * RUNS);
    for (int w = 0; w < N_WHAT; w++)
        for (int half = 0; half < 2; half++) {
            int worse = 0, outside = 0;
            for (int run = 0; run < RUNS; run++) {
                bool covered;
                worse += run_one((enum what)w, (uint64_t)(w * 100000 + half * 10000 + 2 * run), SCORES, half ? 0.5 : 0.1, 0, &covered) > 0;
                outside += !covered;
            }
            print_message("%-16s canary %d %%: %d of %d called worse at 5 %% in %d scores, %d means ever outside their interval\n", names[w], half ? 50 : 10, worse, RUNS, SCORES, outside);
            assert_true(worse <= most && outside <= most);
        }
}

static void a_candidate_that_is_worse_is_found(void **state)
{
    (void)state;
    enum { RUNS = FEWER(100, 4) };
    static const struct { enum what w; double share, less; int n; } cases[] = { { THUMBS, 0.5, 0.6, 600 }, { THUMBS, 0.1, 0.6, 3000 }, { STARS, 0.5, 0.5, 600 }, { RARE, 0.5, 0.3, 1000 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int found = 0;
        bool covered;
        for (int run = 0; run < RUNS; run++)
            found += run_one(cases[i].w, (uint64_t)(7000000 + 2 * run), cases[i].n, cases[i].share, cases[i].less, &covered) > 0;
        print_message("%-16s canary %2.0f %%, mean %.1f less: %d of %d found in %d scores\n", names[cases[i].w], 100 * cases[i].share, cases[i].less, found, RUNS, cases[i].n);
        assert_true(found >= 0.9 * RUNS);
    }
}

/* A user who says the same a thousand times says it once. */
static void of_a_user_the_first_counts(void **state)
{
    (void)state;
    struct versus *v;
    struct versus_state s;
    OK(versus_new(&v, 0.01, &err));
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(versus_add(v, VERSUS_STABLE, 1, 17, &err), i == 0);
        assert_int_equal(versus_add(v, VERSUS_CANDIDATE, -1, 18, &err), i == 0);
        assert_int_equal(versus_add(v, VERSUS_STABLE, 1, 1000 + (uint64_t)i / 2, &err), i % 2 == 0);       /* more than the first table holds */
    }
    assert_int_equal(versus_add(v, VERSUS_CANDIDATE, (double)NAN, 0, &err), 0);
    versus_state(v, &s);
    assert_true(s.of[VERSUS_STABLE].n == 2501 && s.of[VERSUS_CANDIDATE].n == 1 && !s.worse);
    assert_true(s.of[VERSUS_STABLE].mean == 1 && s.of[VERSUS_STABLE].low > 0.9 && s.of[VERSUS_STABLE].high == 1);
    assert_true(s.of[VERSUS_CANDIDATE].low == -1 && s.of[VERSUS_CANDIDATE].high > 0.5);
    versus_clear(v);
    versus_state(v, &s);
    assert_true(!s.of[0].n && isnan(s.of[0].mean) && s.of[0].low == -1 && s.of[0].high == 1 && s.p == 1 && s.e == 1 && !s.n_block);
    assert_int_equal(versus_add(v, VERSUS_STABLE, 5, 17, &err), 1);              /* nobody is known any more; beyond the end */
    versus_state(v, &s);
    assert_true(s.of[0].mean == 1);
    versus_free(v);
    assert_int_equal(versus_new(&v, 0, &err), ERR_RANGE);
    assert_int_equal(versus_new(&v, 1, &err), ERR_RANGE);
    assert_null(v);
}

/* Whatever comes, for as long as one likes: numbers stay numbers. */
static void capitals_stay_numbers(void **state)
{
    (void)state;
    struct versus *v;
    struct versus_state s;
    OK(versus_new(&v, 0.01, &err));
    for (int i = 0; i < 20000; i++) {
        const int side = i % 2;
        assert_int_equal(versus_add(v, side ? VERSUS_CANDIDATE : VERSUS_STABLE, side ? -1 : 1, 0, &err), 1);
    }
    versus_state(v, &s);
    assert_true(isfinite(s.e) && s.worse && s.worse_at < 20 && s.p > 0 && s.of[VERSUS_CANDIDATE].low == -1 && s.of[VERSUS_CANDIDATE].high <= -0.95);
    for (int i = 0; i < 200000; i++)
        versus_add(v, i % 2 ? VERSUS_CANDIDATE : VERSUS_STABLE, i % 2 ? 1 : -1, 0, &err);
    versus_state(v, &s);
    assert_true(isfinite(s.e) && s.worse);                                       /* what was found stays */
    versus_free(v);
}

/* Which versions are compared, and how many scores of each: "1:3 2:4". */
static const char *compared(const struct watch_versus *w)
{
    static char out[80];
    struct versus_state s;
    versus_state(w->v, &s);
    snprintf(out, sizeof out, "%lld:%lld %lld:%lld", (long long)w->of[0].version, (long long)s.of[0].n, (long long)w->of[1].version, (long long)s.of[1].n);
    return out;
}

static void rate(struct watch_versus *w, const char *arm, int64_t version, int64_t t)
{
    static int n;
    struct event ev = { .t = t, .version = version, .score = 1 };
    snprintf(ev.arm, sizeof ev.arm, "%s", arm), snprintf(ev.id, sizeof ev.id, "a%d", n++), snprintf(ev.root, sizeof ev.root, "root%lld", (long long)version);
    OK(watch_versus_add(w, &ev, &err));
}

static void each_pair_of_versions_is_compared_anew_and_late_scores_are_of_nobody(void **state)
{
    (void)state;
    struct watch_versus w;
    OK(watch_versus_open(&w, 0.05, &err));
    rate(&w, "stable", 1, 1), rate(&w, "candidate", 2, 2), rate(&w, "stable", 1, 3);
    assert_string_equal(compared(&w), "1:1 2:1");
    rate(&w, "shadow", 5, 4), rate(&w, "", 1, 5);
    assert_string_equal(compared(&w), "1:2 2:1");
    rate(&w, "stable", 2, 10);                       /* it was promoted */
    assert_string_equal(compared(&w), "2:1 2:0");
    rate(&w, "candidate", 3, 20);
    assert_string_equal(compared(&w), "2:0 3:1");
    rate(&w, "stable", 1, 4), rate(&w, "candidate", 2, 4);       /* rated long after */
    assert_string_equal(compared(&w), "2:0 3:1");
    rate(&w, "stable", 2, 21), rate(&w, "candidate", 3, 22);
    assert_string_equal(compared(&w), "2:1 3:2");
    watch_versus_stop(&w, 30);
    rate(&w, "candidate", 3, 25), rate(&w, "stable", 2, 31);
    assert_string_equal(compared(&w), "2:1 0:0");
    watch_versus_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_candidate_that_is_not_worse_is_called_worse_as_seldom_as_stated), cmocka_unit_test(a_candidate_that_is_worse_is_found), cmocka_unit_test(of_a_user_the_first_counts),
        cmocka_unit_test(capitals_stay_numbers), cmocka_unit_test(each_pair_of_versions_is_compared_anew_and_late_scores_are_of_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
