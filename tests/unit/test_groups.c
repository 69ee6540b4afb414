/* test_groups.c - lists of terms, and who is found by them. */
#include <math.h>
#include "../test.h"
#include "audit/groups.h"
#include "base/mem.h"
#include "base/tree.h"

static struct err err;

static int of_text(struct groups *g, const char *json)
{
    json_t *tree;
    OK(tree_parse_json(&tree, json, strlen(json), "a list", &err));
    const int rc = groups_of_tree(g, tree, &err);
    json_decref(tree);
    return rc;
}

static size_t find_group(const struct groups *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (!strcmp(g->group[i].name, name))
            return i;
    fail_msg("no group '%s'", name);
    return 0;
}

static void look(struct group_counts *c, const struct groups *g, const char *text)
{
    struct grams w = { 0 };
    OK(grams_of(&w, text, strlen(text), &err));
    group_counts_text(c, g, text, &w);
    grams_release(&w);
}

static void terms_of_several_words_and_capitals(void **state)
{
    struct groups g;
    struct group_counts c, d;
    (void)state;
    OK(of_text(&g, "{\"names\": [\"Mark\", \"Angel\"], \"city/big\": {\"terms\": [\"New York\", \"rome\", \"a b c d e\"], \"share\": 0.75}, \"city/small\": [\"York\"],"
                   " \"age\": {\"old\": [\"old\"], \"young\": [\"young\", \"old\"]}, \"pairs\": [{\"name\": \"Ann\"}]}"));
    assert_int_equal(g.n, 5);
    assert_int_equal(g.n_passed_over, 1);
    assert_true(g.group[find_group(&g, "city/big")].share == 0.75);
    assert_int_equal(g.group[find_group(&g, "city/big")].n_term, 2);
    assert_int_equal(group_axis(&g, find_group(&g, "age/old")), 3);
    assert_int_equal(group_axis(&g, find_group(&g, "names")), 0);
    OK(group_counts_init(&c, &g, &err));
    look(&c, &g, "mark the angel of new york, Rome and ROME");
    assert_int_equal(c.n_in, 1);
    assert_int_equal(c.record[find_group(&g, "city/big")], 1);
    assert_int_equal(c.mention[find_group(&g, "city/big")], 2);
    look(&c, &g, "Mark, the Angel of New-York");
    assert_int_equal(c.record[find_group(&g, "names")], 1);
    assert_int_equal(c.mention[find_group(&g, "names")], 2);
    assert_int_equal(c.record[find_group(&g, "city/big")], 2);
    assert_int_equal(c.record[find_group(&g, "city/small")], 1);
    look(&c, &g, "an old tale");
    assert_int_equal(c.record[find_group(&g, "age/old")], 1);
    assert_int_equal(c.record[find_group(&g, "age/young")], 1);
    look(&c, &g, "");
    assert_int_equal(c.n_record, 4);
    OK(group_counts_init(&d, &g, &err));
    group_counts_add(&d, &g, &c);
    group_counts_add(&d, &g, &c);
    assert_int_equal(d.n_record, 8);
    assert_int_equal(d.mention[find_group(&g, "names")], 4);
    group_counts_release(&c);
    group_counts_release(&d);
    groups_release(&g);
}

static void lists_that_are_none_are_refused_by_their_key(void **state)
{
    static const struct { const char *json, *says; } bad[] = {
        { "[]", "no object" }, { "{\"a\": 1}", "'a'" }, { "{\"a\": [\"x\", 1]}", "term 2" }, { "{\"a\": {\"b\": {\"c\": [\"x\"]}}}", "'b' of 'a'" },
        { "{\"a\": {\"terms\": [\"x\"], \"share\": 2}}", "the share is 2" }, { "{\"a\": {\"terms\": [\"x\"], \"share\": \"y\"}}", "share" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct groups g;
        assert_true(of_text(&g, bad[i].json) < 0);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("'%s' does not say %s", err.msg, bad[i].says);
        groups_release(&g);
    }
}

static void own_lists_tell_women_from_men(void **state)
{
    struct groups g;
    struct group_counts c;
    (void)state;
    OK(groups_read(&g, NULL, &err));
    OK(group_counts_init(&c, &g, &err));
    look(&c, &g, "She told her mother that an old man had gone to the church.");
    assert_int_equal(c.mention[find_group(&g, "gender/women")], 3);
    assert_int_equal(c.record[find_group(&g, "gender/men")], 1);
    assert_int_equal(c.record[find_group(&g, "age/old")], 1);
    look(&c, &g, "The polish was german by name, he said");
    assert_int_equal(c.record[find_group(&g, "origin/european")], 0);
    group_counts_release(&c);
    groups_release(&g);
}

static void rates_of_a_group_are_held_against_the_others(void **state)
{
    struct label_set s = { 0 };
    struct groups g;
    struct group_rate *r;
    size_t n;
    (void)state;
    OK(of_text(&g, "{\"x\": [\"xenon\"], \"y\": [\"yttrium\"], \"none\": [\"neon\"]}"));
    for (int i = 0; i < 940; i++) {         /* of 40 with xenon 30 are good, of the others 300 of 900, as in tests/golden/labels.json */
        const char *text = i < 40 ? "xenon here" : i % 2 ? "yttrium there" : "nothing", *label = (i < 40 ? i < 30 : (i - 40) % 3 == 0) ? "good" : "bad";
        OK(label_set_add(&s, i, text, strlen(text), label, strlen(label), &err));
    }
    OK(group_rates(&g, &s, &r, &n, &err));
    assert_int_equal(n, 4);
    assert_true(r[0].group == 0 && r[0].label == 0 && r[0].n == 40 && r[0].with == 30 && r[0].n_others == 900 && r[0].with_others == 300);
    assert_true(fabs(r[0].p - 4 * 1.8877748226486037e-07) < 1e-14);
    assert_true(r[2].group == 1 && r[2].p > 0.01);
    assert_true(r[0].low < 0.75 && r[0].high > 0.75 && r[0].low > 0.5);
    mem_free(r);
    label_set_release(&s);
    groups_release(&g);
}

static void lists_of_checklist_are_read(void **state)
{
    struct groups g;
    (void)state;
    OK(groups_read(&g, shared("robust-checklist/basic.json"), &err));
    assert_int_equal(g.n, 10);
    assert_int_equal(g.n_passed_over, 1);
    assert_true(g.group[find_group(&g, "nationality")].n_term > 200);
    groups_release(&g);
    OK(groups_read(&g, shared("robust-checklist/names.json"), &err));
    assert_int_equal(g.n, 3);
    assert_true(g.n_term > 23000);
    groups_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_of_several_words_and_capitals),
        cmocka_unit_test(lists_that_are_none_are_refused_by_their_key),
        cmocka_unit_test(own_lists_tell_women_from_men),
        cmocka_unit_test(rates_of_a_group_are_held_against_the_others),
        cmocka_unit_test(lists_of_checklist_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
