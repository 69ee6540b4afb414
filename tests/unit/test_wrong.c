/* test_wrong.c - items answered wrong, out of samples: of choices the texts, of others the target and the reply; lines that are none. */
#include "../test.h"
#include "base/tree.h"
#include "eval/wrong.h"

static struct err err;
#define DATE "2026-11-26T10-00-00.000000"

static json_t *wrong(const char *tasks)
{
    json_t *results, *list;
    OK(tree_parse_json(&results, tasks, strlen(tasks), "results", &err));
    OK(wrong_answers(&list, test_dir, "results_" DATE ".json", results, &err));
    json_decref(results);
    return list;
}

static void write(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static const char *member(const json_t *list, size_t i, const char *key) { return json_string_value(json_object_get(json_array_get(list, i), key)); }

static void choices_are_told_by_their_texts(void **state)
{
    (void)state;
    write("samples_pick_" DATE ".jsonl",
          "{\"doc_id\": 4, \"target\": \"1\", \"arguments\": {\"gen_args_0\": {\"arg_0\": \"Q\", \"arg_1\": \" no\"}, "
          "\"gen_args_1\": {\"arg_0\": \"Q\", \"arg_1\": \" yes\"}}, "
          "\"filtered_resps\": [[\"-1.5\", \"False\"], [\"-2\", \"True\"]], \"metrics\": [\"acc\"], \"acc\": 0.0}\n"
          "not json\n\n[3]\n"
          "{\"doc_id\": 5, \"target\": \"0\", \"arguments\": {\"gen_args_0\": {\"arg_0\": \"Q\", \"arg_1\": \" no\"}}, "
          "\"filtered_resps\": [[\"-1.5\", \"False\"]], \"metrics\": [\"acc\"], \"acc\": 1.0}");
    json_t *list = wrong("{\"results\": {\"pick\": {}, \"absent\": {}, \"a/b\": {}}}");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(member(list, 0, "expected"), " yes");
    assert_string_equal(member(list, 0, "answer"), " no");
    assert_string_equal(member(list, 0, "prompt"), "Q");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "item")), 4);
    json_decref(list);
}

static void of_replies_and_long_prompts_the_end_is_shown(void **state)
{
    (void)state;
    char line[4000], prompt[2001];
    for (int i = 0; i < 1000; i++)
        memcpy(prompt + 2 * i, "\xc3\xa9", 3);
    snprintf(line, sizeof line, "{\"doc_id\": 0, \"target\": \"12\", \"arguments\": {\"gen_args_0\": {\"arg_0\": \"%s!\", \"arg_1\": {\"until\": []}}}, "
             "\"filtered_resps\": [\"13\"], \"metrics\": [\"exact_match\"], "
             "\"exact_match\": 0}\n", prompt);
    write("samples_say_" DATE ".jsonl", line);
    json_t *list = wrong("{\"results\": {\"say\": {}}}");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(member(list, 0, "expected"), "12");
    assert_string_equal(member(list, 0, "answer"), "13");
    assert_int_equal(strlen(member(list, 0, "prompt")) % 2, 1);
    assert_true(strlen(member(list, 0, "prompt")) <= 800);
    json_decref(list);
}

static void a_few_of_many_are_taken(void **state)
{
    (void)state;
    static char text[200000];
    size_t n = 0;
    for (int i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"doc_id\": %d, \"target\": \"a\", \"arguments\": {\"gen_args_0\": {\"arg_0\": \"Q\"}}, "
                              "\"filtered_resps\": [\"b\"], \"metrics\": [\"m\"], \"m\": false}\n", i);
    write("samples_many_" DATE ".jsonl", text);
    json_t *list = wrong("{\"results\": {\"many\": {}}}");
    assert_int_equal(json_array_size(list), 5);
    json_decref(list);
    list = wrong("{\"results\": []}");
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_are_told_by_their_texts),
        cmocka_unit_test(of_replies_and_long_prompts_the_end_is_shown),
        cmocka_unit_test(a_few_of_many_are_taken),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
