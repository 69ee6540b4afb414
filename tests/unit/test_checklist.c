/* test_checklist.c - suites of behavioural tests: read, judged as CheckList judges, reported. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/checklist_ask.h"
#include "eval/evidence.h"

static struct err err;
static json_t *golden;
static const char *const names[] = { "negative", "neutral", "positive" };

static struct checklist *parsed(const char *text)
{
    struct checklist *c;
    OK(checklist_parse(&c, text, strlen(text), "suite", 0, &err));
    return c;
}

static void fill(struct checklist_answers *a, const struct checklist *c)
{
    const json_t *probs = json_object_get(golden, "probs");
    OK(checklist_answers_init(a, c, 3, &err));
    assert_int_equal(c->n_text, json_array_size(probs));
    for (int64_t i = 0; i < c->n_text; i++) {
        a->state[i] = CHECKLIST_ANSWERED;
        for (int k = 0; k < 3; k++)
            a->prob[i * 3 + k] = json_number_value(json_array_get(json_array_get(probs, (size_t)i), (size_t)k));
    }
}

static int64_t whole(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

static void cases_fail_where_checklist_says_so(void **state)
{
    (void)state;
    struct checklist *c = parsed(json_string_value(json_object_get(golden, "suite")));
    struct checklist_answers a;
    json_t *found, *want;
    size_t i;
    fill(&a, c);
    OK(evidence_new(&found, "checklist", "m", NULL, 1, &err));
    OK(checklist_report(found, c, &a, names, &err));
    json_array_foreach(json_object_get(golden, "tests"), i, want) {
        const json_t *t = json_array_get(json_object_get(found, "tests"), i);
        static const char *const keys[] = { "n", "failures", "not_judged", "unusable" };
        assert_string_equal(json_string_value(json_object_get(t, "test")), json_string_value(json_object_get(want, "test")));
        for (size_t k = 0; k < 4; k++)
            if (whole(t, keys[k]) != whole(want, keys[k]))
                fail_msg("%s: %s is %lld, expected %lld", json_string_value(json_object_get(want, "test")), keys[k], (long long)whole(t, keys[k]), (long long)whole(want, keys[k]));
        for (size_t k = 0; k < 2 && whole(want, "n"); k++)
            assert_true(fabs(json_number_value(json_array_get(json_object_get(t, "ci95"), k)) - json_number_value(json_array_get(json_object_get(want, "ci95"), k))) < 1e-9);
    }
    assert_int_equal(i, c->n_test);
    assert_int_equal(whole(json_object_get(json_object_get(found, "types"), "MFT"), "n"), 4 * 39);
    assert_int_equal(json_object_size(json_object_get(found, "capabilities")), 5);
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(found, "tests"), 11), "failure_rate")));
    assert_true(json_array_size(json_object_get(found, "examples")) >= 8 && json_is_true(json_object_get(found, "complete")));
    const json_t *e = json_array_get(json_object_get(found, "examples"), 0);
    assert_non_null(json_object_get(json_array_get(json_object_get(e, "texts"), 0), "probabilities"));
    json_decref(found);
    checklist_answers_release(&a);
    checklist_free(c);
}

static void texts_without_an_answer_are_counted_and_judged_by_nobody(void **state)
{
    (void)state;
    struct checklist *c = parsed("{\"test\": \"t\", \"type\": \"INV\", \"data\": [[\"a\", \"b\"], [\"c\", \"d\", \"e\"], [\"f\"], [\"g\", 5], \"h\", [\"i\", \"j\"]]}");
    struct checklist_answers a;
    int worst;
    OK(checklist_answers_init(&a, c, 2, &err));
    assert_int_equal(c->n_text, 7);
    assert_int_equal(c->test[0].n_unusable, 3);
    for (int i = 0; i < 7; i++)
        a.state[i] = CHECKLIST_ANSWERED, a.prob[2 * i + (i % 2)] = 1;
    a.state[4] = CHECKLIST_FAILED, a.state[6] = CHECKLIST_OPEN;
    static const enum checklist_verdict want[] = { CHECKLIST_WRONG, CHECKLIST_ERROR, CHECKLIST_UNUSABLE, CHECKLIST_UNUSABLE, CHECKLIST_UNUSABLE, CHECKLIST_NO_ANSWER };
    for (int i = 0; i < 6; i++)
        assert_int_equal(checklist_judge(&c->test[0], &c->test[0].c[i], &a, &worst), want[i]);
    checklist_answers_release(&a);
    checklist_free(c);
}

static void labels_that_are_none_make_a_case_unusable(void **state)
{
    (void)state;
    struct checklist *c = parsed("{\"test\": \"t\", \"type\": \"MFT\", \"labels\": [0, 3, -1, \"x\"], \"data\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}\n\n");
    assert_int_equal(c->n_label, 4);
    assert_int_equal(c->test[0].n_unusable, 3);
    assert_int_equal(c->n_text, 2);
    assert_non_null(strstr(c->first_unusable.msg, "suite:1, case 2: its label is -1"));
    checklist_free(c);
    static const char *const label[] = { "\"pos\"", "1.5", "99999999999", "true" };
    for (size_t i = 0; i < sizeof label / sizeof *label; i++) {
        char line[200];
        snprintf(line, sizeof line, "\n{\"test\": \"t\", \"type\": \"MFT\", \"labels\": %s, \"data\": [\"a\"]}", label[i]);
        c = parsed(line);
        assert_int_equal(c->test[0].n_unusable, 1);
        assert_non_null(strstr(c->first_unusable.msg, "suite:2, case 0: its label is "));
        assert_non_null(strstr(c->first_unusable.msg, label[i]));
        checklist_free(c);
    }
}

static void lines_that_are_wrong_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "[]", "{}", "{\"test\": \"t\", \"type\": \"MFT\"}", "{\"test\": 1, \"type\": \"MFT\", \"data\": []}", "{\"test\": \"t\", \"type\": \"FOO\", \"data\": []}", "{\"test\"",
        "{\"test\": \"t\", \"type\": \"MFT\", \"data\": [], \"expect\": 1}", "{\"test\": \"t\", \"type\": \"MFT\", \"data\": [], \"expect\": {}}",
        "{\"test\": \"t\", \"type\": \"DIR\", \"data\": [], \"expect\": {\"confidence\": \"sideways\"}}", "{\"test\": \"t\", \"type\": \"DIR\", \"data\": [], \"expect\": {\"same\": true, \"not\": 1}}",
        "{\"test\": \"t\", \"type\": \"DIR\", \"data\": [], \"expect\": {\"same\": true, \"tolerance\": 2}}", "{\"test\": \"t\", \"type\": \"MFT\", \"data\": [], \"expect\": {\"not\": -2}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct checklist *c;
        assert_true(checklist_parse(&c, bad[i], strlen(bad[i]), "suite", 0, &err) < 0);
        assert_null(c);
        assert_non_null(strstr(err.msg, "suite"));
    }
}

static void a_middle_class_may_be_what_lies_between_two(void **state)
{
    (void)state;
    struct checklist_labels l;
    OK(checklist_labels_read(&l, "bad,(so so),good", 3, &err));
    assert_true(l.n == 3 && l.ask[0] && !l.ask[1] && l.ask[2]);
    assert_string_equal(l.name[1], "so so");
    /* new_pp() of CheckList's notebook at the same places */
    static const double at[][4] = { { 0, 1, 0, 0 }, { 0.3, 0.7, 0, 0.3 }, { 0.4, 0.3, 0.7, 0 }, { 0.5, 0, 1, 0 }, { 0.6, 0, 0.7, 0.3 }, { 0.9, 0.1, 0, 0.9 }, { 1, 0, 0, 1 } };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        double p[3] = { 1 - at[i][0], at[i][0], 7 };
        checklist_spread(&l, p);
        for (int k = 0; k < 3; k++)
            assert_true(fabs(p[k] - at[i][k + 1]) < 1e-12);
    }
    checklist_labels_release(&l);
    static const char *const bad[] = { "", "a", "a,b", "(a),b,c", "a,(b)", "a,,c", "a,b,c,(d)", "a,a,a", "a,(b),A" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(checklist_labels_read(&l, bad[i], 3, &err), ERR_USAGE);
        checklist_labels_release(&l);
    }
}

static void the_published_suite_is_read_whole(void **state)
{
    (void)state;
    struct checklist *c;
    int64_t n = 0, n_unusable = 0;
    OK(checklist_open(&c, shared("robust-checklist/sentiment_tests.jsonl.gz"), 0, &err));
    assert_int_equal(c->n_test, 38);
    assert_int_equal(c->n_label, 3);
    for (int i = 0; i < c->n_test; i++) {
        assert_int_not_equal(c->test[i].expect, EXPECT_UNKNOWN);
        n += c->test[i].n, n_unusable += c->test[i].n_unusable;
    }
    assert_int_equal(n_unusable, 300);       /* three tests whose cases are null */
    assert_int_equal(n, 3582);
    checklist_free(c);
}

static int set_up(void **state)
{
    (void)state;
    OK(tree_load(&golden, "tests/golden/checklist.json", 1 << 20, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_fail_where_checklist_says_so),
        cmocka_unit_test(texts_without_an_answer_are_counted_and_judged_by_nobody),
        cmocka_unit_test(labels_that_are_none_make_a_case_unusable),
        cmocka_unit_test(lines_that_are_wrong_are_named),
        cmocka_unit_test(a_middle_class_may_be_what_lies_between_two),
        cmocka_unit_test(the_published_suite_is_read_whole),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
