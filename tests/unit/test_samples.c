/* test_samples.c - kept evaluations are read as lm-evaluation-harness writes them, and items are paired by id and document. */
#include <math.h>
#include "../test.h"
#include "eval/samples.h"

static struct err err;

#define A "{\"doc_id\": 0, \"doc\": {\"goal\": \"How to open a door?\", \"label\": 1}, \"target\": \"1\", \"arguments\": {}, \"resps\": [[[-3.5, false]]], \"filtered_resps\": [[-3.5, false], [-2.0, true]], " \
    "\"filter\": \"none\", \"metrics\": [\"acc\", \"acc_norm\"], \"doc_hash\": \"aa\", \"prompt_hash\": \"p0\", \"target_hash\": \"t\", \"acc\": 1.0, \"acc_norm\": 0.0}\n"
#define B "{\"doc_id\": 2, \"doc\": {\"goal\": \"Zwei\"}, \"target\": 0, \"filtered_resps\": [\"x\"], \"filter\": \"none\", \"metrics\": [\"acc\", \"acc_norm\"], \"doc_hash\": \"bb\", \"acc\": false, \"acc_norm\": true}\n"
#define C "{\"doc_id\": 1, \"doc\": {\"goal\": \"Drei\"}, \"target\": null, \"filter\": \"none\", \"metrics\": [\"acc\"], \"doc_hash\": \"cc\", \"acc\": null}\n"

static void items_have_what_their_lines_say(void **state)
{
    (void)state;
    struct samples s;
    put_in_dir("samples_piqa_2026-01-31T10-00-00.123456.jsonl", A B C);
    OK(samples_load(&s, in_dir("samples_piqa_2026-01-31T10-00-00.123456.jsonl"), NULL, NULL, &err));
    assert_int_equal(s.n, 1);
    const struct sample_set *t = s.set;
    assert_string_equal(t->task, "piqa");
    assert_string_equal(t->filter, "none");
    assert_string_equal(t->metric, "acc");
    assert_true(t->n == 3 && t->higher_is_better);
    assert_true(t->item[0].id == 0 && t->item[1].id == 1 && t->item[2].id == 2);
    assert_true(t->item[0].value == 1 && isnan(t->item[1].value) && t->item[2].value == 0 && t->item[0].weight == 1);
    assert_string_equal(t->item[0].text, "How to open a door?");
    assert_string_equal(t->item[0].target, "1");
    assert_string_equal(t->item[2].target, "0");
    assert_string_equal(t->item[0].answer, "[[-3.5,false],[-2.0,true]]");
    assert_string_equal(t->item[2].answer, "x");
    assert_string_equal(t->item[1].answer, "");
    assert_true(t->item[0].prompt != 0 && t->item[1].prompt == 0);
    samples_release(&s);
    assert_int_equal(samples_load(&s, in_dir("samples_piqa_2026-01-31T10-00-00.123456.jsonl"), NULL, "f1", &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "no item has the metric 'f1'; the first that one has is acc"));
}

static void filters_are_sets_and_pairs_of_numbers_have_weights(void **state)
{
    (void)state;
    struct samples s;
    put_in_dir("gsm.jsonl", "{\"doc_id\": 0, \"filter\": \"strict-match\", \"metrics\": [\"exact_match\"], \"exact_match\": 0.0}\n"
                     "{\"doc_id\": 0, \"filter\": \"flexible-extract\", \"metrics\": [\"exact_match\"], \"exact_match\": 1.0}\r\n\n"
                     "{\"doc_id\": 1, \"filter\": \"strict-match\", \"metrics\": [\"exact_match\"], \"exact_match\": 1.0}");
    OK(samples_load(&s, in_dir("gsm.jsonl"), NULL, NULL, &err));
    assert_true(s.n == 2 && s.set[0].n == 2 && s.set[1].n == 1);
    assert_string_equal(s.set[0].task, "gsm");
    assert_string_equal(s.set[1].filter, "flexible-extract");
    samples_release(&s);
    put_in_dir("wikitext.jsonl", "{\"doc_id\": 4, \"metrics\": [\"word_perplexity\"], \"word_perplexity\": [-300.5, 80]}\n{\"doc_id\": 5, \"word_perplexity\": [-30.5, 0]}\n");
    OK(samples_load(&s, in_dir("wikitext.jsonl"), NULL, NULL, &err));
    assert_true(s.set[0].item[0].value == -300.5 && s.set[0].item[0].weight == 80 && isnan(s.set[0].item[1].value) && s.set[0].higher_is_better);
    samples_release(&s);
    put_in_dir("old.jsonl", "{\"doc_id\": 0, \"doc\": {}, \"target\": \"x\", \"loss_brier\": 0.25}\n");           /* before 0.4.3 lines name no metrics */
    OK(samples_load(&s, in_dir("old.jsonl"), NULL, NULL, &err));
    assert_string_equal(s.set[0].metric, "loss_brier");
    assert_false(s.set[0].higher_is_better);
    samples_release(&s);
}

static void a_folder_has_tasks_the_latest_of_each(void **state)
{
    (void)state;
    struct samples s;
    OK(file_mkdirs(in_dir("out/model"), &err));
    put_in_dir("out/model/samples_piqa_2026-01-31T10-00-00.1.jsonl", C);
    put_in_dir("out/model/samples_piqa_2026-02-01T10-00-00.1.jsonl", A B);
    put_in_dir("out/model/samples_piqa_two_2026-02-01T10-00-00.1.jsonl", A);
    put_in_dir("out/model/samples_perp_2026-02-01T10-00-00.1.jsonl", "{\"doc_id\": 0, \"metrics\": [\"score\"], \"score\": 1}\n");
    put_in_dir("out/model/results_2026-02-01T10-00-00.1.json", "{\"higher_is_better\": {\"perp\": {\"score\": false}, \"piqa\": {\"acc\": true}}}");
    assert_true(samples_are_at(in_dir("out")) && samples_are_at(in_dir("out/model")) && samples_are_at(in_dir("gsm.jsonl")) && !samples_are_at(in_dir("none.jsonl")));
    OK(samples_load(&s, in_dir("out"), NULL, NULL, &err));
    assert_true(s.n == 3 && s.n_older == 1);
    assert_string_equal(s.set[0].task, "perp");
    assert_false(s.set[0].higher_is_better);
    assert_string_equal(s.set[1].task, "piqa");
    assert_true(s.set[1].n == 2 && s.set[1].higher_is_better);
    assert_string_equal(s.set[2].task, "piqa_two");
    samples_release(&s);
    OK(samples_load(&s, in_dir("out/model"), "piqa_two,perp", NULL, &err));
    assert_int_equal(s.n, 2);
    samples_release(&s);
    assert_int_equal(samples_load(&s, in_dir("out"), "piq", NULL, &err), ERR_NOTFOUND);
    OK(file_mkdirs(in_dir("out/other"), &err));
    put_in_dir("out/other/samples_piqa_2026-01-31T10-00-00.1.jsonl", A);
    assert_int_equal(samples_load(&s, in_dir("out"), NULL, NULL, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "more than one model"));
    assert_true(samples_are_at(in_dir("out")));
}

static void wrong_lines_are_refused_with_their_number(void **state)
{
    (void)state;
    static const struct { const char *text, *message; } of[] = {
        { "", "no items" }, { "\n\n", "no items" }, { A "[1]\n", "line 2: expected an object" }, { A "{\"doc_id\": 1\n", "line 2" }, { "{\"acc\": 1}\n", "line 1: expected a whole number as doc_id" },
        { "{\"doc_id\": 1.5, \"acc\": 1}\n", "whole number" }, { "{\"doc_id\": 1}\n", "no item has a metric" }, { A A, "item 0 is there twice for filter 'none'" },
        { "{\"doc_id\": 1, \"metrics\": [\"acc\"], \"acc\": \"yes\"}\n", "acc is no number that an item has" }, { "{\"doc_id\": 1, \"doc_id\": 2}\n", "line 1" },
    };
    struct samples s;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        put_in_dir("wrong.jsonl", of[i].text);
        assert_int_equal(samples_load(&s, in_dir("wrong.jsonl"), NULL, NULL, &err), ERR_FORMAT);
        if (!strstr(err.msg, of[i].message) || !strstr(err.msg, "wrong.jsonl"))
            fail_msg("%zu: %s", i, err.msg);
        samples_release(&s);
    }
}

static void long_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    struct samples s;
    struct buf b;
    buf_init(&b);
    OK(buf_add_str(&b, "{\"doc_id\": 0, \"acc\": 1, \"doc\": [\"a", &err));
    for (int i = 0; i < 200; i++)
        OK(buf_add_str(&b, "\xc3\xa4", &err));
    OK(buf_add_str(&b, "\\n\"]}", &err));
    put_in_dir("long.jsonl", b.data);
    OK(samples_load(&s, in_dir("long.jsonl"), NULL, NULL, &err));
    assert_int_equal(strlen(s.set[0].item[0].text), SAMPLE_TEXT - 1 + 3);
    samples_release(&s);
    b.len -= strlen("}");
    OK(buf_add_str(&b, ", \"arguments\": {\"gen_args_0\": {\"arg_0\": \"", &err));
    for (int i = 0; i < 200; i++)
        OK(buf_add_str(&b, "\xc3\xa4", &err));
    OK(buf_add_str(&b, "\\nA:\"}}}", &err));
    put_in_dir("long.jsonl", b.data);
    OK(samples_load(&s, in_dir("long.jsonl"), NULL, NULL, &err));
    assert_int_equal(strlen(s.set[0].item[0].text), 3 + SAMPLE_TEXT - 1);
    assert_string_equal(s.set[0].item[0].text + 3 + SAMPLE_TEXT - 6, "\xc3\xa4 A:");
    samples_release(&s);
    buf_release(&b);
}

static void items_are_paired_by_id_and_document(void **state)
{
    (void)state;
    struct samples a, b;
    struct sample_pairs p;
    static const char line[] = "{\"doc_id\": %d, \"doc\": \"%s\", \"prompt_hash\": \"%s\", \"metrics\": [\"m\"], \"m\": %s}\n";
    struct buf x, y;
    buf_init(&x);
    buf_init(&y);
    for (int i = 0; i < 10; i++) {
        if (i != 3)
            OK(buf_printf(&x, &err, line, i, "d", "p", i == 7 ? "null" : "1"));
        if (i < 8)
            OK(buf_printf(&y, &err, line, i, i == 5 ? "e" : "d", i == 1 ? "q" : "p", "0"));
    }
    put_in_dir("a.jsonl", x.data);
    put_in_dir("b.jsonl", y.data);
    OK(samples_load(&a, in_dir("a.jsonl"), NULL, NULL, &err));
    OK(samples_load(&b, in_dir("b.jsonl"), NULL, NULL, &err));
    OK(samples_pair(&p, a.set, b.set, &err));
    assert_true(p.n == 5 && p.only_old == 2 && p.only_new == 1 && p.other_doc == 1 && p.no_value == 1 && p.other_prompt == 1);
    assert_true(p.n_first == 3 && p.first[0] == 3 && p.first[1] == 5 && p.first[2] == 7);
    for (int64_t i = 0; i < p.n; i++)
        assert_int_equal(a.set[0].item[p.pair[i].old].id, b.set[0].item[p.pair[i].new].id);
    sample_pairs_release(&p);
    samples_release(&a);
    samples_release(&b);
    buf_release(&x);
    buf_release(&y);
}

/* An item that failed has "metrics": [], and one to which a metric does not apply others alone. */
static void the_first_item_need_not_have_the_metric(void **state)
{
    (void)state;
    struct samples s;
    put_in_dir("failed.jsonl", "{\"doc_id\": 0, \"cluster\": 7, \"metrics\": [], \"error\": \"broken\"}\n{\"doc_id\": 1, \"cluster\": 7, \"metrics\": [\"acc\"], \"acc\": 1.0}\n"
                               "{\"doc_id\": 2, \"metrics\": [\"acc\", \"late\"], \"acc\": 0.0, \"late\": 0.5}\n");
    OK(samples_load(&s, in_dir("failed.jsonl"), NULL, NULL, &err));
    assert_int_equal(s.n, 1);
    assert_string_equal(s.set[0].metric, "acc");
    assert_true(isnan(s.set[0].item[0].value) && s.set[0].item[1].value == 1 && s.set[0].item[2].value == 0);
    assert_true(s.set[0].item[0].cluster == 7 && s.set[0].item[1].cluster == 7 && s.set[0].item[2].cluster == -1);
    samples_release(&s);
    OK(samples_load(&s, in_dir("failed.jsonl"), NULL, "late", &err));
    assert_true(isnan(s.set[0].item[0].value) && isnan(s.set[0].item[1].value) && s.set[0].item[2].value == 0.5);
    samples_release(&s);
    assert_int_equal(samples_load(&s, in_dir("failed.jsonl"), NULL, "f1", &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "no item has the metric 'f1'; the first that one has is acc"));
    put_in_dir("none.jsonl", "{\"doc_id\": 0, \"cluster\": 7, \"metrics\": []}\n");
    assert_int_equal(samples_load(&s, in_dir("none.jsonl"), NULL, NULL, &err), ERR_FORMAT);
}

/* What depends on each other in a file is one thing that was drawn: as in memory. */
static void items_of_files_are_compared_by_their_clusters(void **state)
{
    (void)state;
    struct samples a, b;
    struct sample_pairs p;
    struct compare_result r;
    const struct compare_opts o = COMPARE_OPTS;
    struct buf x, y;
    buf_init(&x), buf_init(&y);
    for (int i = 0; i < 40; i++) {
        OK(buf_printf(&x, &err, "{\"doc_id\": %d, \"cluster\": %d, \"metrics\": [\"acc\"], \"acc\": 1.0}\n", i, i / 10));
        OK(buf_printf(&y, &err, "{\"doc_id\": %d, \"cluster\": %d, \"metrics\": [\"acc\"], \"acc\": %d.0}\n", i, i / 10, i >= 10));
    }
    put_in_dir("a.jsonl", x.data);
    put_in_dir("b.jsonl", y.data);
    OK(samples_load(&a, in_dir("a.jsonl"), NULL, NULL, &err));
    OK(samples_load(&b, in_dir("b.jsonl"), NULL, NULL, &err));
    OK(samples_pair(&p, &a.set[0], &b.set[0], &err));
    OK(samples_measure(&r, &a.set[0], &b.set[0], &p, NULL, &o, &err));
    assert_int_equal(r.n_cluster, 4);
    assert_false(r.counts);
    assert_true(fabs(r.p - 0.39100221895577036) < 1e-12);        /* scipy.stats.ttest_1samp([-1, 0, 0, 0], 0).pvalue */
    sample_pairs_release(&p);
    samples_release(&a), samples_release(&b);
    buf_release(&x), buf_release(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_have_what_their_lines_say),
        cmocka_unit_test(filters_are_sets_and_pairs_of_numbers_have_weights),
        cmocka_unit_test(a_folder_has_tasks_the_latest_of_each),
        cmocka_unit_test(wrong_lines_are_refused_with_their_number),
        cmocka_unit_test(long_texts_are_cut_at_a_character),
        cmocka_unit_test(items_are_paired_by_id_and_document),
        cmocka_unit_test(the_first_item_need_not_have_the_metric),
        cmocka_unit_test(items_of_files_are_compared_by_their_clusters),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
