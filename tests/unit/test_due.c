/* test_due.c - which tasks are due, what is said of how much room they leave, and what an audit found of them. */
#include <math.h>
#include "eval_model.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/due.h"
#include "eval/evidence.h"

static json_t *json(const char *text)
{
    json_t *o;
    OK(tree_parse_json(&o, text, strlen(text), "test", &err));
    return o;
}

/* ---- what is known ---- */

static void the_state_is_told_by_the_best_score(void **state)
{
    (void)state;
    static const struct { const char *metadata, *state; } cases[] = {
        { "{}", "unknown" }, { "{\"version\": 1}", "unknown" }, { "{\"saturation\": {\"human\": 0.9}}", "unknown" }, { "{\"saturation\": {\"best\": 0.8}}", "open" },
        { "{\"saturation\": {\"best\": 0.8, \"human\": 0.81}}", "open" }, { "{\"saturation\": {\"best\": 0.8, \"human\": 0.8}}", "saturated" },
        { "{\"saturation\": {\"best\": 0.95, \"human\": 0.99}}", "saturated" }, { "{\"saturation\": {\"best\": null, \"added\": null}}", "unknown" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *m = json(cases[i].metadata), *a;
        OK(due_about(&a, "t", m, &err));
        assert_string_equal(json_string_value(json_object_get(a, "state")), cases[i].state);
        assert_int_equal(json_object_size(a), 8);
        json_decref(m), json_decref(a);
    }
    json_t *a;
    OK(due_about(&a, "t", NULL, &err));
    assert_true(json_is_null(json_object_get(a, "best")));
    json_decref(a);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const char *const wrong[] = { "[]", "{\"best\": 95.3}", "{\"best\": \"0.9\"}", "{\"chance\": -0.1}", "{\"best_date\": \"March 2023\"}", "{\"added\": 2023}", "{\"human_source\": 1}", "{\"bset\": 0.9}" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"saturation\": %s}", wrong[i]);
        json_t *m = json(text), *a;
        assert_int_equal(due_about(&a, "reviews", m, &err), ERR_FORMAT);
        assert_null(a);
        assert_non_null(strstr(err.msg, "reviews: metadata.saturation"));
        json_decref(m);
    }
}

static void what_is_built_in_says_it_right(void **state)
{
    (void)state;
    struct task_list l = { 0 };
    const struct task_opts o = TASK_OPTS;
    json_t *names, *v;
    size_t i, n_best = 0;
    OK(task_names(&names, &l, &o, &err));
    json_array_foreach(names, i, v) {
        json_t *m, *a;
        OK(task_metadata(&m, &l, json_string_value(v), &o, &err));
        OK(due_about(&a, json_string_value(v), m, &err));
        const bool best = json_is_number(json_object_get(a, "best"));
        n_best += best;
        assert_true(!best || (json_is_string(json_object_get(a, "best_source")) && json_is_string(json_object_get(a, "best_date"))));        /* no score without a source */
        assert_true(!json_is_number(json_object_get(a, "human")) || json_is_string(json_object_get(a, "human_source")));
        json_decref(m), json_decref(a);
    }
    assert_true(i > 25 && n_best >= 7);
    json_t *m;
    assert_int_equal(task_metadata(&m, &l, "no_such_task", &o, &err), ERR_NOTFOUND);
    json_decref(names);
    task_list_release(&l);
}

/* ---- what is due ---- */

#define MODEL "abc"
/* The results of one run of `one` as a folder's evidence. */
static json_t *ran(const char *model, const char *version, const char *sha256, int items, int left)
{
    char text[600];
    json_t *out;
    snprintf(text, sizeof text,
             "[{\"kind\": \"bias\"}, {\"kind\": \"tasks\", \"results\": {\"date\": 1764201600.0, \"config\": {\"model_sha\": \"%s\"}, \"versions\": {\"one\": \"%s\"}, \"lathe\": {\"tasks\": {\"one\": {\"items\": %d, "
             "\"not_answered\": %d, \"data_sha256\": \"%s\"}}}}}]", model, version, items, left, sha256);
    json_t *evidence = json(text);
    OK(due_ran(&out, evidence, MODEL, "", &err));
    json_decref(evidence);
    return out;
}

static struct task *one(int64_t limit)
{
    struct task *t;
    struct task_opts o = TASK_OPTS;
    o.limit = limit;
    write_docs("docs", 8);
    OK(task_open(&t, task_file("one", "docs", CHOICES), &o, &err));
    return t;
}

static void a_task_is_due_until_it_was_run_as_it_is(void **state)
{
    (void)state;
    struct task *t = one(0);
    const char *sha = task_data_sha256(t);
    const struct { const char *model, *version, *sha; int items, left; bool due; const char *why; } cases[] = {
        { MODEL, "1.0", sha, 8, 0, false, "run on 2025-11-27" }, { "other", "1.0", sha, 8, 0, true, "never run" }, { MODEL, "0.9", sha, 8, 0, true, "its version is 1.0, and was 0.9 on 2025-11-27" },
        { MODEL, "1.0", "00", 8, 0, true, "its data have changed since 2025-11-27" }, { MODEL, "1.0", sha, 8, 3, true, "5 of 8 items were answered on 2025-11-27" },
        { MODEL, "1.0", sha, 5, 0, true, "5 of its 8 items were asked on 2025-11-27" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[DUE_WHY];
        json_t *r = ran(cases[i].model, cases[i].version, cases[i].sha, cases[i].items, cases[i].left);
        assert_true(due_is(r, t, why) == cases[i].due);
        assert_string_equal(why, cases[i].why);
        json_decref(r);
    }
    task_free(t);
}

static void a_complete_run_outlives_one_that_was_stopped(void **state)
{
    (void)state;
    struct task *t = one(0);
    char why[DUE_WHY];
    json_t *evidence = json_array(), *out;
    for (int i = 0; i < 2; i++)
        assert_int_equal(json_array_append_new(evidence, json_pack("{s:s, s:{s:f, s:{s:s}, s:{s:s}, s:{s:{s:{s:i, s:i, s:s}}}}}", "kind", "tasks", "results", "date", 1764201600.0 + i, "config", "model_sha",
                                                                   MODEL, "versions", "one", "1.0", "lathe", "tasks", "one", "items", 8, "not_answered", 4 * i, "data_sha256", task_data_sha256(t))), 0);
    OK(due_ran(&out, evidence, MODEL, "", &err));
    assert_false(due_is(out, t, why));
    json_decref(evidence), json_decref(out);
    task_free(t);
}

/* The data of a task are all its files. */
static void another_second_file_is_other_data(void **state)
{
    (void)state;
    char rest[1000], one_file[SHA256_HEX], before[SHA256_HEX] = "", path[2][300];
    const struct task_opts o = TASK_OPTS;
    write_docs("first", 4);
    OK(sha256_of_file(in_dir("first.jsonl"), one_file, &err));
    for (int way = 0; way < 2; way++) {
        struct task *t;
        json_t *report, *leaks;
        write_docs("second", 4 + way);
        for (int k = 0; k < 2; k++)
            snprintf(path[k], sizeof path[k], "%s", in_dir(k ? "second.jsonl" : "first.jsonl"));
        snprintf(rest, sizeof rest, "task: two\ndataset_path: json\ndataset_kwargs: {data_files: {test: [%s, %s]}}\ntest_split: test\ndoc_to_text: \"{{q}}\"\n" CHOICES "\n", path[0], path[1]);
        OK(file_write_all(in_dir("two.yaml"), rest, strlen(rest), &err));
        OK(task_open(&t, in_dir("two.yaml"), &o, &err));
        assert_string_not_equal(task_data_sha256(t), before);
        assert_string_not_equal(task_data_sha256(t), one_file);
        assert_true(task_data_has(t, one_file) && !task_data_has(t, task_data_sha256(t)));
        strcpy(before, task_data_sha256(t));
        report = json_pack("{s:[{s:s, s:s, s:i, s:i}]}", "contamination", "path", path[1], "set", "second", "items", 4, "items_hit", 1);
        OK(due_leaks(&leaks, report, t, &err));
        assert_non_null(leaks);          /* found by the second file's bytes */
        json_decref(report), json_decref(leaks);
        task_free(t);
    }
}

static void a_run_of_fewer_items_takes_nothing_away(void **state)
{
    (void)state;
    struct task *t = one(0);
    char why[DUE_WHY];
    for (int other = 0; other < 2; other++) {
        json_t *evidence = json_array(), *out;
        for (int i = 0; i < 2; i++)
            assert_int_equal(json_array_append_new(evidence, json_pack("{s:s, s:{s:f, s:{s:s}, s:{s:s}, s:{s:{s:{s:i, s:i, s:s}}}}}", "kind", "tasks", "results", "date", 1764201600.0 + i, "config",
                                                                       "model_sha", MODEL, "versions", "one", i && other ? "2.0" : "1.0", "lathe", "tasks", "one", "items", i ? 3 : 8, "not_answered", 0,
                                                                       "data_sha256", task_data_sha256(t))), 0);
        OK(due_ran(&out, evidence, MODEL, "", &err));
        assert_true(due_is(out, t, why) == other);
        json_decref(evidence), json_decref(out);
    }
    task_free(t);
}

static void a_model_with_an_adapter_is_another_one(void **state)
{
    (void)state;
    struct task *t = one(0);
    char why[DUE_WHY];
    json_t *evidence = json_pack("[{s:s, s:{s:f, s:{s:s, s:s}, s:{s:s}, s:{s:{s:{s:i, s:i, s:s}}}}}]", "kind", "tasks", "results", "date", 1764201600.0, "config", "model_sha", MODEL, "peft_sha", "ad",
                                 "versions", "one", "1.0", "lathe", "tasks", "one", "items", 8, "not_answered", 0, "data_sha256", task_data_sha256(t)), *out;
    static const struct { const char *adapter; bool due; } cases[] = { { "", true }, { "ad", false }, { "other", true } };
    assert_non_null(evidence);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OK(due_ran(&out, evidence, MODEL, cases[i].adapter, &err));
        assert_true(due_is(out, t, why) == cases[i].due);
        json_decref(out);
    }
    json_decref(evidence);
    task_free(t);
}

static void what_files_say_never_harms(void **state)
{
    (void)state;
    static const char *const odd[] = { "[]", "{}", "[1, null, {\"kind\": \"tasks\"}]", "[{\"kind\": \"tasks\", \"results\": {\"config\": {\"model_sha\": \"abc\"}, \"lathe\": {\"tasks\": [1]}}}]",
        "[{\"kind\": \"tasks\", \"results\": {\"date\": 1e300, \"config\": {\"model_sha\": \"abc\"}, \"versions\": [], \"lathe\": {\"tasks\": {\"one\": 3}}}}]",
        ("[{\"kind\": \"tasks\", \"results\": {\"date\": -1e18, \"config\": {\"model_sha\": \"abc\"}, \"versions\": {\"one\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxäää\"}, "
         "\"lathe\": {\"tasks\": {\"one\": {\"items\": -5, \"not_answered\": 9e18}}}}}]") };
    struct task *t = one(0);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        json_t *e = json(odd[i]), *out;
        char why[DUE_WHY];
        OK(due_ran(&out, e, MODEL, "", &err));
        assert_true(due_is(out, t, why));
        json_t *s = json_string(why);
        assert_non_null(s);                          /* UTF-8 */
        json_decref(s), json_decref(e), json_decref(out);
    }
    task_free(t);
}

/* ---- what the data hold ---- */

static void leaks_are_those_of_the_tasks_own_file(void **state)
{
    (void)state;
    struct task *t = one(0);
    static const struct { const char *path, *by; } cases[] = { { "docs.jsonl", "bytes" }, { "copy.jsonl", "bytes" }, { "gone/docs.jsonl", "name" }, { "other.jsonl", NULL }, { "gone/other.jsonl", NULL } };
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("docs.jsonl"), 1 << 20, &b, &err));
    OK(file_write_all(in_dir("copy.jsonl"), b.data, b.len, &err));
    OK(file_write_all(in_dir("other.jsonl"), "x", 1, &err));
    buf_release(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *report = json_pack("{s:[{s:s, s:s, s:i, s:i}]}", "contamination", "set", "docs", "path", in_dir(cases[i].path), "items", 8, "items_hit", 2), *out;
        OK(due_leaks(&out, report, t, &err));
        assert_true(!out == !cases[i].by);
        if (out) {
            assert_string_equal(json_string_value(json_object_get(out, "by")), cases[i].by);
            assert_true(json_number_value(json_object_get(out, "share")) == 0.25);
        }
        json_decref(out), json_decref(report);
    }
    task_free(t);
}

/* ---- lists ---- */

static void a_group_that_loses_a_task_has_no_score(void **state)
{
    (void)state;
    static const char group[] = "group: both\ntask: [one, two]\naggregate_metric_list: [{metric: acc}]\nmetadata: {version: 1}\n", alone[] = "group: single\ntask: [one]\naggregate_metric_list: [{metric: acc}]\n";
    struct task_list l = { 0 };
    struct task_opts o = TASK_OPTS;
    const char *dir = test_dir;
    o.task_dir = &dir, o.n_task_dir = 1;
    write_docs("docs", 8);
    task_file("one", "docs", CHOICES), task_file("two", "docs", CHOICES);
    OK(file_write_all(in_dir("both.yaml"), group, sizeof group - 1, &err));
    OK(file_write_all(in_dir("single.yaml"), alone, sizeof alone - 1, &err));
    OK(task_list_add(&l, "both", &o, &err));
    OK(task_list_add(&l, "single", &o, &err));
    assert_true(l.n_task == 2 && l.n_group == 2);
    task_list_keep(&l, (bool[]){ true, true });
    assert_true(l.n_task == 2 && l.group[0].n_metric == 1 && l.group[0].n_task == 2);
    task_list_keep(&l, (bool[]){ true, false });
    assert_true(l.n_task == 1 && !strcmp(task_name(l.task[0]), "one"));
    assert_true(l.group[0].n_metric == 0 && l.group[0].n_task == 1 && l.group[1].n_metric == 1 && l.group[1].task[0] == 0);
    task_list_keep(&l, (bool[]){ false });
    assert_true(l.n_task == 0 && l.group[1].n_metric == 0 && l.group[1].n_task == 0);
    task_list_release(&l);
    json_t *names;
    OK(task_names(&names, &l, &o, &err));
    size_t n = json_array_size(names), found = 0;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(names, i));
        found += !strcmp(s, "one") || !strcmp(s, "two") || !strcmp(s, "both") || !strcmp(s, "single") || !strcmp(s, "hellaswag");
    }
    assert_int_equal(found, 5);
    json_decref(names);
    task_list_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_is_told_by_the_best_score),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_is_built_in_says_it_right),
        cmocka_unit_test(a_task_is_due_until_it_was_run_as_it_is),
        cmocka_unit_test(a_complete_run_outlives_one_that_was_stopped),
        cmocka_unit_test(another_second_file_is_other_data),
        cmocka_unit_test(a_run_of_fewer_items_takes_nothing_away),
        cmocka_unit_test(a_model_with_an_adapter_is_another_one),
        cmocka_unit_test(what_files_say_never_harms),
        cmocka_unit_test(leaks_are_those_of_the_tasks_own_file),
        cmocka_unit_test(a_group_that_loses_a_task_has_no_score),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
