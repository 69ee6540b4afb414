/* test_labels.c - labelled sets against scikit-learn, cleanlab and scipy (tests/golden/labels.json, by tools/golden/labels.py). */
#include <math.h>
#include "../test.h"
#include "audit/labels.h"
#include "base/tree.h"

static struct err err;
static json_t *golden;
static struct label_set set;
static struct bayes *bayes;
static size_t ours[3];       /* number here of the file's class */

static double at(const char *list, size_t i) { return json_number_value(json_array_get(json_object_get(golden, list), i)); }
static double at2(const char *list, size_t i, size_t j)
{
    return json_number_value(json_array_get(json_array_get(json_object_get(golden, list), i), j));
}
static double value(const char *key) { return json_number_value(json_object_get(golden, key)); }

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

static void add_text(struct label_set *s, int64_t record, const char *text, const char *label)
{
    OK(label_set_add(s, record, text, strlen(text), label, strlen(label), &err));
}

static int read_golden(void **state)
{
    size_t i;
    json_t *text;
    (void)state;
    OK(tree_load(&golden, "tests/golden/labels.json", 1 << 20, &err));
    const json_t *classes = json_object_get(golden, "classes");
    json_array_foreach(json_object_get(golden, "texts"), i, text)
        add_text(&set, 1000 + (int64_t)i, json_string_value(text), json_string_value(json_array_get(classes, (size_t)at("labels", i))));
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < 3; k++)
            if (!strcmp(json_string_value(json_array_get(classes, c)), set.name[k]))
                ours[c] = k;
    OK(bayes_new(&bayes, &set, &err));
    return 0;
}

static int forget_golden(void **state)
{
    (void)state;
    bayes_free(bayes);
    label_set_release(&set);
    json_decref(golden);
    return 0;
}

static void posteriors_outside_the_fold_are_those_of_scikit_learn(void **state)
{
    (void)state;
    assert_int_equal(set.n, 360);
    for (size_t i = 0, row = 0; i < set.n; i += 7, row++) {
        double p[3];
        bayes_leave_out(bayes, bayes_fold_of(&set, i));
        bayes_posterior(bayes, i, NULL, p);
        for (size_t c = 0; c < 3; c++)
            near(p[ours[c]], at2("p", row, c));
    }
}

static void words_that_are_skipped_say_nothing(void **state)
{
    double p[3], q[3];
    bool skip[64];
    (void)state;
    bayes_leave_out(bayes, -1);
    memset(skip, 1, sizeof skip);
    bayes_posterior(bayes, 0, skip, p);
    for (int c = 0; c < 3; c++)
        near(p[c], (double)set.count[c] / 360);
    memset(skip, 0, sizeof skip);
    bayes_posterior(bayes, 0, skip, p);
    bayes_posterior(bayes, 0, NULL, q);
    for (int c = 0; c < 3; c++)
        near(p[c], q[c]);
}

static void noise_is_that_of_cleanlab(void **state)
{
    struct label_noise x;
    (void)state;
    OK(label_noise(label_by_bayes, bayes, &set, &x, &err));
    near(x.accuracy, value("accuracy"));
    near(x.rate, value("rate"));
    for (size_t c = 0; c < 3; c++) {
        near(x.threshold[ours[c]], at("threshold", c));
        for (size_t k = 0; k < 3; k++)
            near(x.joint[ours[c] * 3 + ours[k]], at2("joint", c, k));
    }
    const json_t *issues = json_object_get(golden, "issues");
    assert_int_equal(x.n_issue, json_array_size(issues));
    for (size_t i = 0; i < x.n_issue; i++) {
        bool there = false;
        for (size_t k = 0; k < json_array_size(issues); k++)
            there = there || (size_t)at("issues", k) == x.issue[i].item;
        assert_true(there);
        if (i)
            assert_true(x.issue[i - 1].p_given - x.issue[i - 1].p_likely <= x.issue[i].p_given - x.issue[i].p_likely);
    }
    label_noise_release(&x);
}

static void balance_is_that_of_scipy(void **state)
{
    (void)state;
    const struct label_balance b = label_balance(&set);
    assert_int_equal(b.n, 360);
    near(b.entropy, value("entropy"));
    near(b.effective, exp(value("entropy")));
    near(b.imbalance, value("imbalance"));
}

static void one_text_with_two_labels_is_found_whatever_its_marks(void **state)
{
    struct label_set s = { 0 };
    struct bayes *b;
    struct label_conflicts c;
    (void)state;
    add_text(&s, 7, "A fine day.", "good");
    add_text(&s, 8, "another one", "good");
    add_text(&s, 9, "a FINE day!", "bad");
    add_text(&s, 10, "a fine day", "good");
    add_text(&s, 11, "...", "good");
    add_text(&s, 12, "!", "bad");
    add_text(&s, 13, "another, one", "good");
    OK(bayes_new(&b, &s, &err));
    OK(label_conflicts_text(b, &s, &c, &err));
    assert_int_equal(c.groups, 1);
    assert_int_equal(c.items, 3);
    assert_int_equal(c.first[0], 0);
    assert_int_equal(c.first[1], 2);
    OK(label_conflicts_cluster(&s, &c, &err));
    assert_int_equal(c.groups, 0);
    s.cluster[1] = s.cluster[5] = 5;
    OK(label_conflicts_cluster(&s, &c, &err));
    assert_int_equal(c.groups, 1);
    assert_int_equal(c.items, 2);
    bayes_free(b);
    label_set_release(&s);
}

static void sets_without_items_and_of_one_class_have_no_noise(void **state)
{
    struct label_set s = { 0 };
    struct bayes *b;
    struct label_noise x;
    (void)state;
    for (int n = 0; n < 3; n++) {
        OK(bayes_new(&b, &s, &err));
        OK(label_noise(label_by_bayes, b, &s, &x, &err));
        assert_int_equal(x.n_issue, 0);
        assert_true(x.rate == 0);
        assert_true(label_balance(&s).entropy == 0);
        label_noise_release(&x);
        bayes_free(b);
        add_text(&s, n, n ? "of one class" : "", "only");
    }
    label_set_release(&s);
}

static void more_labels_than_a_class_has_are_refused(void **state)
{
    struct label_set s = { 0 };
    char label[20];
    int rc = 0;
    (void)state;
    for (int i = 0; i <= LABEL_MAX && rc >= 0; i++) {
        snprintf(label, sizeof label, "%d", i);
        rc = label_set_add(&s, i, "x", 1, label, strlen(label), &err);
        assert_int_equal(rc, i < LABEL_MAX ? 0 : ERR_RANGE);
    }
    label_set_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posteriors_outside_the_fold_are_those_of_scikit_learn),
        cmocka_unit_test(words_that_are_skipped_say_nothing),
        cmocka_unit_test(noise_is_that_of_cleanlab),
        cmocka_unit_test(balance_is_that_of_scipy),
        cmocka_unit_test(one_text_with_two_labels_is_found_whatever_its_marks),
        cmocka_unit_test(sets_without_items_and_of_one_class_have_no_noise),
        cmocka_unit_test(more_labels_than_a_class_has_are_refused),
    };
    return cmocka_run_group_tests(tests, read_golden, forget_golden);
}
