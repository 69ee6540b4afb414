/* test_blind.c - two sets of texts told apart without a model: what differs is seen, what does not is not. */
#include <math.h>
#include "../test.h"
#include "audit/blind.h"
#include "base/mem.h"
#include "base/rng.h"

static struct err err;
enum { N = 200 };
static double score[N_BLIND * N], share[N];

static void add(struct label_set *s, const char *text, bool member) { OK(label_set_add(s, (int64_t)s->n, text, strlen(text), member ? "member" : "other", member ? 6 : 5, &err)); }

/* Texts of 12 of 60 words; members take every third word from 10 of their own with chance `own`. */
static void fill(struct label_set *s, uint64_t seed, double own)
{
    char text[400];
    for (int i = 0; i < N; i++) {
        int n = 0;
        for (int k = 0; k < 12; k++) {
            const uint64_t at = (uint64_t)(i * 12 + k);
            const bool mine = i % 2 == 0 && k % 3 == 0 && rng_uniform(seed + 1, at) < own;
            n += snprintf(text + n, sizeof text - (size_t)n, "w%d ", (int)(mine ? 60 + rng_below(seed, at, 10) : rng_below(seed, at, 60)));
        }
        add(s, text, i % 2 == 0);
    }
}

static double area(const double *x, const struct label_set *s)
{
    double pairs = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->n; j++)
            if (s->label[i] == 0 && s->label[j] == 1)
                pairs += x[i] > x[j] ? 1 : x[i] == x[j] ? 0.5 : 0;
    return pairs / ((double)s->n / 2 * (double)s->n / 2);
}

static void words_that_one_side_has_are_seen(void **state)
{
    (void)state;
    struct label_set s = { 0 };
    fill(&s, 1, 0.5);
    OK(blind_scores(&s, score, &err));
    assert_true(area(score, &s) > 0.9);
    label_set_release(&s);
}

static void sides_of_one_source_are_not_told_apart(void **state)
{
    (void)state;
    double sum = 0;
    enum { RUNS = FEWER(40, 6) };
    for (uint64_t run = 0; run < RUNS; run++) {
        struct label_set s = { 0 };
        fill(&s, 100 + run, 0);
        OK(blind_scores(&s, score, &err));
        sum += area(score, &s) / RUNS;
        label_set_release(&s);
    }
    assert_true(fabs(sum - 0.5) < 0.03);
}

static void length_and_years_are_seen(void **state)
{
    (void)state;
    static const char *const text[] = { "written in 1999, printed 2004", "a longer text, written in 2021 and read in 1980", "no year, but 12345 and 1899 and 2100", "2015" };
    struct label_set s = { 0 };
    for (int i = 0; i < 4; i++)
        add(&s, text[i], i % 2 == 0);
    OK(blind_scores(&s, score, &err));
    for (size_t i = 0; i < 4; i++)
        assert_true(score[BLIND_LENGTH * 4 + i] == (double)strlen(text[i]) && isfinite(score[BLIND_WORDS * 4 + i]));
    assert_true(score[BLIND_YEARS * 4] == -2004 && score[BLIND_YEARS * 4 + 1] == -2021 && score[BLIND_YEARS * 4 + 3] == -2015);
    assert_true(fabs(score[BLIND_YEARS * 4 + 2] + (2004 + 2021 + 2015) / 3.0) < 1e-9);
    label_set_release(&s);
}

static void runs_of_words_that_members_have_are_counted(void **state)
{
    (void)state;
    struct label_set s = { 0 };
    add(&s, "one two three four five six seven eight nine", true);
    add(&s, "Two, three four FIVE six seven eight - and more", false);     /* 1 run of 3 */
    add(&s, "quite other words", true);
    add(&s, "two three four", false);                                      /* shorter than a run */
    OK(blind_overlap(&s, share, &err));
    assert_true(isnan(share[0]) && isnan(share[2]) && isnan(share[3]));
    assert_true(fabs(share[1] - 1.0 / 3) < 1e-12);
    label_set_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_one_side_has_are_seen),
        cmocka_unit_test(sides_of_one_source_are_not_told_apart),
        cmocka_unit_test(length_and_years_are_seen),
        cmocka_unit_test(runs_of_words_that_members_have_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
