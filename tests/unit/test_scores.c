/* test_scores.c - scores on clean and dirty items: means, intervals of known width, and files that do not fit. */
#include <math.h>
#include "../test.h"
#include "audit/scores.h"
#include "base/rng.h"

static struct err err;

#define N 2000

/* The interval of a mean is 1.96 standard errors wide to each side, and the gain's holds the difference that was made. */
static void intervals_are_as_wide_as_the_errors_of_the_means(void **state)
{
    (void)state;
    static double score[N];
    static uint8_t dirty[N];
    struct score_split x;
    for (uint64_t i = 0; i < N; i++) {
        dirty[i] = i % 4 == 0;
        score[i] = rng_normal(1, i) + (dirty[i] ? 0.5 : 0);
    }
    OK(scores_split(score, dirty, N, 7, &x, &err));
    assert_int_equal(x.clean.n, N * 3 / 4);
    assert_int_equal(x.dirty.n, N / 4);
    const double se[] = { 1 / sqrt(N * 0.75), 1 / sqrt(N * 0.25), sqrt(1 / (N * 0.75) + 1 / (N * 0.25)) };
    const struct score_mean *m[] = { &x.clean, &x.dirty, &x.gain };
    for (int k = 0; k < 3; k++) {
        assert_true(m[k]->low < m[k]->mean && m[k]->mean < m[k]->high);
        assert_true(fabs((m[k]->high - m[k]->low) / (2 * 1.96 * se[k]) - 1) < 0.15);
    }
    assert_true(fabs(x.gain.mean - (x.dirty.mean - x.clean.mean)) < 1e-12);
    assert_true(x.gain.low < 0.5 && x.gain.high > 0.5 && x.gain.low > 0.3);
    struct score_split again;
    OK(scores_split(score, dirty, N, 7, &again, &err));
    assert_memory_equal(&x, &again, sizeof x);
}

static void one_part_alone_has_no_gain(void **state)
{
    (void)state;
    const double score[] = { 1, 0, 1 };
    const uint8_t dirty[] = { 0, 0, 0 };
    struct score_split x;
    OK(scores_split(score, dirty, 3, 1, &x, &err));
    assert_int_equal(x.clean.n, 3);
    assert_int_equal(x.dirty.n, 0);
    assert_int_equal(x.gain.n, 0);
    OK(scores_split(NULL, NULL, 0, 1, &x, &err));
    assert_int_equal(x.clean.n, 0);
}

static const char items[] = "{\"set\":\"a\",\"file\":\"f\",\"line\":1,\"gpt3\":{\"dirty\":true},\"decon\":{\"dirty\":false}}\n"
                            "{\"set\":\"a\",\"file\":\"f\",\"line\":2,\"gpt3\":{\"dirty\":false},\"decon\":{\"dirty\":true}}\n"
                            "{\"set\":\"b\",\"file\":\"g\",\"line\":1,\"gpt3\":{\"dirty\":true},\"decon\":{\"dirty\":true}}\n";

static int read_scores(struct scores *s, const char *text, const char *set)
{
    OK(file_write_all(in_dir("items"), items, sizeof items - 1, &err));
    OK(file_write_all(in_dir("scores"), text, strlen(text), &err));
    return scores_read(s, in_dir("items"), in_dir("scores"), set, &err);
}

static void scores_meet_their_items(void **state)
{
    (void)state;
    struct scores s;
    OK(read_scores(&s, "{\"set\":\"b\",\"line\":1,\"score\":0.5}\n\n{\"set\":\"a\",\"line\":2,\"score\":1}\n", NULL));
    assert_int_equal(s.n, 2);
    assert_int_equal(s.n_without, 1);
    assert_int_equal(s.methods, 1u << CONTAM_GPT3 | 1u << CONTAM_DECON);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(s.dirty[i], s.score[i] > 0.75 ? 1u << CONTAM_DECON : (1u << CONTAM_GPT3 | 1u << CONTAM_DECON));
    scores_release(&s);
    OK(read_scores(&s, "{\"line\":1,\"score\":2}\n{\"set\":\"b\",\"line\":1,\"score\":3}\n", "a"));
    assert_int_equal(s.n, 1);
    assert_int_equal(s.n_without, 1);
    assert_true(s.score[0] == 2);
    scores_release(&s);
}

/* gsm8k.train.jsonl and gsm8k.test.jsonl are one set. */
static void files_of_one_set_are_told_apart(void **state)
{
    (void)state;
    static const char two[] = "{\"set\":\"a\",\"file\":\"f\",\"line\":1,\"gpt3\":{\"dirty\":true}}\n{\"set\":\"a\",\"file\":\"g\",\"line\":1,\"gpt3\":{\"dirty\":false}}\n"
                              "{\"set\":\"a\",\"file\":\"g\",\"line\":2,\"gpt3\":{\"dirty\":true}}\n";
    struct scores s;
    put_in_dir("items", two);
    put_in_dir("scores", "{\"file\":\"g\",\"line\":1,\"score\":3}\n{\"file\":\"f\",\"line\":1,\"score\":4}\n{\"line\":2,\"score\":5}\n");
    OK(scores_read(&s, in_dir("items"), in_dir("scores"), NULL, &err));
    assert_int_equal(s.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(s.dirty[i], s.score[i] > 3);
    scores_release(&s);
    put_in_dir("scores", "{\"line\":1,\"score\":3}\n");
    assert_int_equal(scores_read(&s, in_dir("items"), in_dir("scores"), NULL, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "line 1: 'the set' has items at line 1 in several files"));
    scores_release(&s);
    put_in_dir("scores", "{\"file\":\"f\",\"line\":2,\"score\":3}\n");
    assert_int_equal(scores_read(&s, in_dir("items"), in_dir("scores"), NULL, &err), ERR_NOTFOUND);
    scores_release(&s);
}

static const struct { const char *text, *fault; int code; } wrongs[] = {
    { "{\"line\":1,\"score\":1}\n", "line 1: there is no member 'set', and the audit was held against more than one", ERR_FORMAT },
    { "{\"set\":\"a\",\"line\":3,\"score\":1}\n", "line 1: no item of the audit's evaluation sets stands at line 3 of 'a'", ERR_NOTFOUND },
    { "{\"set\":\"a\",\"line\":1,\"score\":1}\n{\"set\":\"a\",\"line\":1,\"score\":0}\n", "line 2: line 1 of 'a' has a score already", ERR_FORMAT },
    { "{\"set\":\"a\",\"line\":1,\"score\":\"1\"}\n", "line 1: 'score' is no number", ERR_FORMAT },
    { "[1]\n", "line 1: expected an object", ERR_FORMAT },
    { "{\"set\":", "line 1", ERR_FORMAT },
};

static void what_does_not_fit_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct scores s;
        assert_int_equal(read_scores(&s, wrongs[i].text, NULL), wrongs[i].code);
        if (!strstr(err.msg, wrongs[i].fault))
            fail_msg("%s: %s", wrongs[i].fault, err.msg);
        scores_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_as_wide_as_the_errors_of_the_means),
        cmocka_unit_test(one_part_alone_has_no_gain),
        cmocka_unit_test(scores_meet_their_items),
        cmocka_unit_test(files_of_one_set_are_told_apart),
        cmocka_unit_test(what_does_not_fit_is_told_with_its_line),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
