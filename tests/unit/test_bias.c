/* test_bias.c - bias scores by category against the formulas of the papers, and scores by group as evidence. */
#include "bias_tasks.h"
#include "eval/bias.h"
#include "eval/evidence.h"
#include "eval/group_report.h"
#include "eval/by_group.h"
#include "eval/interval.h"

static double at(const json_t *o, const char *a, const char *b)
{
    const json_t *v = json_object_get(o, a);
    v = b ? json_object_get(v, b) : v;
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-12))
        fail_msg("%s: %.17g, expected %.17g", what, got, want);
}

static json_t *by_field(const json_t *evidence, const char *field)
{
    size_t i;
    json_t *by;
    json_array_foreach(json_object_get(json_array_get(json_object_get(evidence, "tasks"), 0), "by"), i, by) {
        const char *name = json_string_value(json_object_get(by, "field"));
        if (field ? name && !strcmp(name, field) : !name)
            return by;
    }
    fail_msg("nothing by %s", field ? field : "all");
    return NULL;
}

static json_t *group_named(const json_t *by, const char *name)
{
    size_t i;
    json_t *g;
    json_array_foreach(json_object_get(by, "groups"), i, g)
        if (!name || !strcmp(json_string_value(json_object_get(g, "group")), name))
            return g;
    fail_msg("no group %s", name ? name : "");
    return NULL;
}

/* tools/golden/bias.py */
static void scores_of_bbq_are_those_of_the_paper(void **state)
{
    (void)state;
    static const char *const pair[][3] = { { "accuracy_ambiguous", "ambig", "accuracy" }, { "accuracy_disambiguated", "disambig", "accuracy" }, { "s_amb",
                                                                                          "ambig", "bias" },
                                           { "s_dis", "disambig", "bias" }, { "unknown_ambiguous", "ambig", "unknown" }, { "unknown_disambiguated", "disambig",
                                                                                          "unknown" } };
    struct asked a;
    json_t *all, *evidence, *c;
    const char *category;
    OK(tree_load(&all, "tests/golden/bias.json", 1 << 20, &err));
    const json_t *golden = json_object_get(all, "bbq");
    json_t *rows = json_object_get(golden, "rows");
    write_bbq(in_dir("bbq.jsonl"), rows, 1000);
    OK(ask(&a, "bbq", in_dir("bbq.jsonl")));
    OK(answer_each(&a, row_choice, rows));
    assert_true(bias_is_known(&a.e.task[0]));
    OK(evidence_new(&evidence, "bias", NULL, NULL, 1, &err));
    OK(bias_add(evidence, &a.e.task[0], 1, NULL, &err));
    json_object_foreach(json_object_get(golden, "by"), category, c) {
        const bool whole = !strcmp(category, "all");
        const json_t *g = group_named(by_field(evidence, whole ? NULL : "category"), whole ? NULL : category);
        for (size_t k = 0; k < sizeof pair / sizeof *pair; k++) {
            near(pair[k][0], at(g, pair[k][0], "value"), at(json_object_get(c, pair[k][1]), pair[k][2], NULL));
            const json_t *ci = json_object_get(json_object_get(g, pair[k][0]), "interval");
            assert_true(json_number_value(json_array_get(ci, 0)) <= at(g, pair[k][0], "value") && at(g, pair[k][0],
                                                                                          "value") <= json_number_value(json_array_get(ci, 1)));
        }
        near("alignment", at(g, "alignment", "value"), at(c, "alignment", NULL));
        assert_int_equal(at(g, "n_cluster", NULL), whole ? 24 : 8);
    }
    /* the harness' own aggregates, which the task's metrics are */
    for (int m = 0; m < a.e.task[0].n_metric; m++) {
        const struct eval_task *x = &a.e.task[0];
        const json_t *want = json_object_get(json_object_get(golden, "lm_eval"), x->metric[m].name);
        if (json_is_number(want))
            near(x->metric[m].name, task_score_all(x->metric[m].aggregate, x->value + m, (size_t)x->n_metric, NULL, x->n), json_number_value(want));
    }
    const json_t *worst = json_object_get(by_field(evidence, "category"), "worst");
    assert_string_equal(json_string_value(json_object_get(worst, "group")), "Religion");
    assert_int_equal(at(worst, "m", NULL), 3);
    assert_true(json_array_size(json_object_get(evidence, "figures")) == 7 * 4);      /* of all and three categories; there is no subcategory */
    json_decref(evidence);
    json_decref(all);
    asked_release(&a);
}

static int always_unknown(int64_t i, void *ctx) { return (void)i, (void)ctx, 5; }

static void of_answers_that_are_all_unknown_there_is_no_bias_in_what_is_told(void **state)
{
    (void)state;
    struct asked a;
    json_t *all, *evidence;
    OK(tree_load(&all, "tests/golden/bias.json", 1 << 20, &err));
    write_bbq(in_dir("bbq.jsonl"), json_object_get(json_object_get(all, "bbq"), "rows"), 96);
    OK(ask(&a, "bbq", in_dir("bbq.jsonl")));
    OK(answer_each(&a, always_unknown, NULL));
    OK(evidence_new(&evidence, "bias", NULL, NULL, 1, &err));
    OK(bias_add(evidence, &a.e.task[0], 1, NULL, &err));
    const json_t *g = group_named(by_field(evidence, NULL), NULL);
    assert_true(json_is_null(json_object_get(json_object_get(g, "s_dis"), "value")) && at(g, "s_amb", "value") == 0);
    assert_true(at(g, "accuracy_ambiguous", "value") == 1 && at(g, "accuracy_disambiguated", "value") == 0 && at(g, "unknown_disambiguated", "value") == 1);
    json_decref(evidence);
    json_decref(all);
    asked_release(&a);
}

static void a_document_of_bbq_that_is_neither_fails_and_is_named(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *says; } bad[] = {
        { "\"ambig\"", "\"zz\"", "context_condition is 'zz'" }, { "\"neg\"", "\"zz\"", "question_polarity is 'zz'" }, { "\"Two came.\"", "null", "no text 'context'" },
        { "\"label\": 2", "\"label\": 3", "label is not 0, 1 or 2" }, { "\"label\": 2, ", "", "no label" }, { "\"label\": 2", "\"label\": \"2\"", "label is not" },
    };
    static const char good[] = "{\"category\": \"Age\", \"question_index\": \"1\", \"context_condition\": \"ambig\", \"question_polarity\": \"neg\", \"label\": 2, \"context\": \"Two came.\", "
                               "\"question\": \"Who?\", \"ans0\": \"the one\", \"ans1\": \"the other\", \"ans2\": \"Unknown\", \"answer_info\": {\"ans0\": [\"x\", \"nonOld\"], \"ans1\": [\"y\", \"old\"], "
                               "\"ans2\": [\"u\", \"unknown\"]}, \"additional_metadata\": {\"stereotyped_groups\": [\"old\"]}}\n";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *at = strstr(good, bad[i].from);
        char text[2000];
        struct asked a;
        const struct request *q;
        snprintf(text, sizeof text, "%s%.*s%s%s", good, (int)(at - good), good, bad[i].to, at + strlen(bad[i].from));
        OK(file_write_all(in_dir("one.jsonl"), text, strlen(text), &err));
        OK(ask(&a, "bbq", in_dir("one.jsonl")));
        assert_true(task_requests(a.e.task[0].t, 0, &q, &err) > 0);
        assert_int_equal(task_requests(a.e.task[0].t, 1, &q, &err), ERR_FORMAT);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%s, expected %s", err.msg, bad[i].says);
        asked_release(&a);
    }
}

static void a_field_that_pairs_lack_is_named(void **state)
{
    (void)state;
    static const char text[] = "{\"category\": \"Age\", \"sent_more\": \"a\"}\n";
    struct asked a;
    const struct request *q;
    OK(file_write_all(in_dir("lacks.jsonl"), text, strlen(text), &err));
    OK(ask(&a, "crows_pairs_english", in_dir("lacks.jsonl")));
    assert_int_equal(task_requests(a.e.task[0].t, 0, &q, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "the document has no field 'sent_less'"));
    asked_release(&a);
}

static const char crows[] = ",sent_more,sent_less,stereo_antistereo,bias_type\n";

static int first_of_two(int64_t i, void *ctx) { return (void)ctx, i % 4 == 0; }      /* the first sentence of three pairs in four */

static void crows_pairs_are_told_by_bias_type_with_small_ones_apart(void **state)
{
    (void)state;
    struct asked a;
    struct buf b;
    json_t *evidence;
    double ci[2];
    buf_init(&b);
    OK(buf_add_str(&b, crows, &err));
    for (int i = 0; i < 120; i++)
        OK(buf_printf(&b, &err, "%d,more %d,less %d,%s,%s\n", i, i, i, i % 2 ? "stereo" : "antistereo", i < 60 ? "gender" : i < 100 ? "age" : "religion"));
    OK(file_write_all(in_dir("crows.csv"), b.data, b.len, &err));
    buf_release(&b);
    OK(ask(&a, "crows_pairs_english", in_dir("crows.csv")));
    OK(answer_each(&a, first_of_two, NULL));
    OK(evidence_new(&evidence, "bias", NULL, NULL, 1, &err));
    OK(bias_add(evidence, &a.e.task[0], 1, NULL, &err));
    const json_t *g = group_named(by_field(evidence, "bias_type"), "gender"), *s = json_object_get(group_named(by_field(evidence, "bias_type"), "religion"),
                                                                                          "pct_stereotype");
    OK(interval_wilson(45, 60, 0.95, ci, &err));
    near("pct_stereotype", at(g, "pct_stereotype", "value"), 0.75);
    near("Wilson", json_number_value(json_array_get(json_object_get(json_object_get(g, "pct_stereotype"), "interval"), 1)), ci[1]);
    near("binomial", at(g, "pct_stereotype", "p"), 0.00013451408092849532);      /* scipy.stats.binomtest(45, 60).pvalue */
    near("Holm", at(g, "pct_stereotype", "p_holm"), 2 * 0.00013451408092849532);
    assert_true(at(s, "value", NULL) == 0.75 && isnan(at(s, "p_holm", NULL)));      /* 20 pairs */
    const json_t *worst = json_object_get(by_field(evidence, "bias_type"), "worst");
    assert_int_equal(at(worst, "m", NULL), 2);
    assert_true(json_array_size(json_object_get(by_field(evidence, "stereo_antistereo"), "groups")) == 2);
    json_decref(evidence);
    asked_release(&a);
}

/* Of letters of two bytes, with one before them, so that no even number of bytes ends between characters. */
static void a_long_name_of_a_group_stands_there_whole(void **state)
{
    (void)state;
    struct asked a;
    struct buf b;
    struct pool *pool;
    json_t *evidence, *f;
    char name[300] = "A";
    size_t i;
    int n = 0;
    for (int k = 0; k < 120; k++)
        strcat(name, "ж");
    buf_init(&b);
    OK(buf_add_str(&b, crows, &err));
    for (int k = 0; k < 120; k++)
        OK(buf_printf(&b, &err, "%d,more %d,less %d,stereo,%s\n", k, k, k, k < 60 ? name : "age"));
    OK(file_write_all(in_dir("long.csv"), b.data, b.len, &err));
    buf_release(&b);
    OK(ask(&a, "crows_pairs_english", in_dir("long.csv")));
    OK(answer_each(&a, first_of_two, NULL));
    OK(evidence_new(&evidence, "bias", NULL, NULL, 1, &err));
    OK(bias_add(evidence, &a.e.task[0], 1, NULL, &err));
    OK(pool_new(&pool, 1, &err));
    OK(group_report_add(evidence, &a.e.task[0], "bias_type", &(struct group_report_opts){ .seed = 1, .pool = pool }, &err));
    json_array_foreach(json_object_get(evidence, "figures"), i, f) {
        const char *of = json_string_value(json_object_get(f, "of"));
        n += of && strstr(of, name) != NULL;
    }
    assert_true(n >= 2);
    json_decref(evidence);
    pool_free(pool);
    asked_release(&a);
}

static void groups_of_a_task_are_scored_calibrated_and_compared(void **state)
{
    (void)state;
    struct asked a;
    int n = 240;
    json_t *evidence, *audit = json_pack("{s:{s:I, s:[{s:s, s:I}]}}", "groups", "records", (json_int_t)50, "groups", "group", "group/north", "records",
                                         (json_int_t)5);
    write_classes(in_dir("classes.yaml"), in_dir("classes.jsonl"), n);
    OK(ask(&a, in_dir("classes.yaml"), in_dir("classes.jsonl")));
    OK(answer_each(&a, class_choice, &n));
    OK(evidence_new(&evidence, "groups", NULL, NULL, 1, &err));
    struct pool *pool;
    OK(pool_new(&pool, 1, &err));
    const struct group_report_opts o = { .seed = 1, .pool = pool, .audit = audit };
    OK(group_report_add(evidence, &a.e.task[0], "group", &o, &err));
    const json_t *s = json_array_get(json_object_get(evidence, "groupings"), 0);
    assert_int_equal(json_array_size(json_object_get(s, "groups")), 3);
    assert_int_equal(at(s, "n_without", NULL), 12);
    assert_true(at(s, "n_open", NULL) == 1 && at(s, "n_failed", NULL) == 0);
    const json_t *north = group_named(s, "north"), *south = group_named(s, "south"), *acc = json_object_get(json_object_get(s, "metrics"), "acc");
    int64_t right = 0, items = 0;
    for (int64_t i = 0; i < n; i++)
        if (i % 3 == 0 && i % 20 != 19)
            items++, right += a.e.task[0].value[i * 2].v != 0;
    near("north", at(json_object_get(north, "metrics"), "acc", "value"), (double)right / (double)items);
    near("calibration's accuracy", at(north, "calibration", "accuracy"), (double)right / (double)items);
    near("over", at(north, "calibration", "overconfidence"), at(north, "calibration", "confidence") - at(north, "calibration", "accuracy"));
    near("debiased", at(north, "calibration", "ece_debiased"), at(north, "calibration", "ece") - at(north, "calibration", "ece_null_mean"));
    assert_true(at(north, "calibration", "ece_null_q95") > at(north, "calibration", "ece_null_mean") && at(north, "calibration", "p_holm") >= at(north,
                                                                                          "calibration", "p"));
    assert_true(at(north, "training", "share") == 0.1 && json_is_null(json_object_get(south, "training")));
    assert_string_not_equal(json_string_value(json_object_get(json_object_get(acc, "worst"), "group")), "north");
    assert_true(at(acc, "gap", "value") > 0.1 && at(acc, "gap", "null_q95") > 0
                && json_object_size(json_object_get(s, "metrics")) == 1);      /* Brier's score is no share */
    const json_t *p = json_object_get(s, "parity");
    assert_true(at(p, "classes", NULL) == 2 && at(json_object_get(p, "equalized_odds_difference"), "value", NULL) > 0);
    assert_int_equal(group_report_add(evidence, &a.e.task[0], "nothing", &o, &err), ERR_NOTFOUND);
    assert_int_equal(group_report_add(evidence, &a.e.task[0], "q", &o, &err), 0);      /* a group for each text: none is large enough */
    const json_t *q = json_array_get(json_object_get(evidence, "groupings"), 1);
    assert_true(json_is_null(json_object_get(json_object_get(json_object_get(q, "metrics"), "acc"), "worst")) && json_is_null(json_object_get(q, "parity")));
    json_decref(evidence);
    json_decref(audit);
    pool_free(pool);
    asked_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_of_bbq_are_those_of_the_paper),
        cmocka_unit_test(of_answers_that_are_all_unknown_there_is_no_bias_in_what_is_told),
        cmocka_unit_test(a_document_of_bbq_that_is_neither_fails_and_is_named),
        cmocka_unit_test(a_field_that_pairs_lack_is_named),
        cmocka_unit_test(crows_pairs_are_told_by_bias_type_with_small_ones_apart),
        cmocka_unit_test(a_long_name_of_a_group_stands_there_whole),
        cmocka_unit_test(groups_of_a_task_are_scored_calibrated_and_compared),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
