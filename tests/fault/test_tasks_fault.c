/* test_tasks_fault.c - tasks when memory or a file fails: an error and no leak, wherever it happens. */
#include "each_allocation.h"
#include "eval/task.h"

static struct err err;

static const char base[] =
    "task: t\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\ndescription: \"About {{q}}: \"\ndoc_to_text: \"{{q|regex_replace('o', '0')}}\"\ndoc_to_target: gold\n"
    "doc_to_choice: \"{{['a', 'b' ~ q]}}\"\nnum_fewshot: 2\nmetadata: {version: 1.5, cluster: q}\nmetric_list:\n  - metric: acc\n  - metric: acc_mutual_info\n  - metric: mcc\n  - metric: brier_score\n";
static const char generates[] =
    "task: g\ndataset_path: json\ntest_split: test\nrepeats: 2\ndoc_to_text: q\ndoc_to_target: \"{{q}}\"\ngeneration_kwargs: {until: [x, y]}\n"
    "metric_list:\n  - {metric: exact_match, ignore_case: true, ignore_punctuation: true, regexes_to_ignore: ['a+', '\\.$']}\n"
    "filter_list:\n  - name: f\n    filter:\n      - {function: regex, regex_pattern: '(b)|(c)', group_select: -1}\n      - {function: majority_vote}\n      - {function: take_first}\n"
    "  - name: c\n    filter:\n      - {function: multi_choice_regex, regex_pattern: '\\(([A-Z])\\)', ignore_case: true, ignore_punctuation: true, regexes_to_ignore: ['z']}\n"
    "      - {function: map, mapping_dict: {x: y}, default_value: z}\n      - {function: take_first}\n";
static const char group[] = "group: both\ntask:\n  - t\n  - group: inner\n    task: [{task: g, task_alias: other}]\naggregate_metric_list:\n  - {metric: acc, filter_list: [none, f]}\n";
static const char docs[] = "{\"q\": \"one\", \"gold\": 1, \"choices\": [\"red\", \"blue\"]}\n{\"q\": \"two\", \"gold\": 0, \"choices\": [\"red\", \"blue\"]}\nbroken\n";

static int chat(void *user, const json_t *messages, bool continues, struct buf *out, struct err *e)
{
    (void)user, (void)continues;
    for (size_t i = 0; i < json_array_size(messages); i++)
        TRY(buf_add_str(out, json_string_value(json_object_get(json_array_get(messages, i), "content")), e));
    return 0;
}

static int ask(const struct task *t)
{
    struct task_value v[40];
    struct reply r[12] = { 0 };
    struct err why;
    for (int64_t i = 0; i < task_n_item(t); i++) {
        const struct request *q;
        json_t *sample;
        const int n = task_requests(t, i, &q, &why);
        if (n < 0)
            continue;
        for (int k = 0; k < n; k++)
            r[k] = (struct reply){ .loglik = -1 - k, .n_token = 1, .text = (char *)"\xc3\x89 (b) red. zz", .n_text = 14 };
        const int rc = task_score(t, i, r, n, v, &why);
        if (rc)
            return rc;
        TRY(task_sample(t, i, r, n, &sample, &why));
        json_decref(sample);
    }
    return 0;
}

static int run(void *ctx)
{
    struct task_list l = { 0 };
    struct task_opts o = TASK_OPTS;
    const char *const dirs[] = { in_dir("tasks") };
    const struct task_file f = { NULL, NULL, in_dir("docs.jsonl") };
    o.task_dir = dirs, o.n_task_dir = 1, o.file = &f, o.n_file = 1;
    o.chat = ctx ? chat : NULL, o.single_turn = ctx != NULL, o.system = "Be brief.";
    int rc = task_list_add(&l, "both", &o, &err);
    for (int i = 0; !rc && i < l.n_task; i++)
        rc = ask(l.task[i]);
    task_list_release(&l);
    return rc;
}

static int write_files(void **state)
{
    if (make_dir(state) || file_mkdirs(in_dir("tasks"), &err) < 0)
        return -1;
    const struct { const char *name, *text; } files[] = {
        { "tasks/base", base }, { "tasks/t.yaml", "include: base\n" }, { "tasks/g.yaml", generates }, { "tasks/both.yaml", group }, { "docs.jsonl", docs },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (file_write_all(in_dir(files[i].name), files[i].text, strlen(files[i].text), &err) < 0)
            return -1;
    return 0;
}

static void every_allocation_of_a_group_of_tasks_can_fail(void **state)
{
    (void)state;
    OK(run(NULL));
    assert_true(each_allocation(run, NULL, false) > 100);
}

static void every_allocation_with_a_chat_template_can_fail(void **state)
{
    (void)state;
    int chatting = 1;
    assert_true(each_failure(ALLOCATIONS, 7, run, &chatting, false) > 10);
}

static void every_system_call_can_fail(void **state)
{
    (void)state;
    assert_true(each_failure(CALLS, 1, run, NULL, true) > 2);
}

static int run_builtin(void *ctx)
{
    const struct { const char *name, *file; } *c = ctx;
    struct task *t;
    struct task_opts o = TASK_OPTS;
    const struct task_file f = { NULL, NULL, c->file };
    o.file = &f, o.n_file = 1, o.num_fewshot = 0;
    TRY(task_open(&t, c->name, &o, &err));
    const int rc = ask(t);
    task_free(t);
    return rc;
}

static void every_allocation_of_tasks_with_functions_can_fail(void **state)
{
    (void)state;
    const struct { const char *name, *file; } cases[] = {
        { "hellaswag", "tests/golden/tasks/hellaswag.jsonl" }, { "winogrande", "tests/golden/tasks/winogrande.jsonl" }, { "wikitext", "tests/golden/tasks/wikitext.jsonl" },
        { "arc_easy", "tests/golden/tasks/arc.jsonl" }, { "bbq", in_dir("bbq.jsonl") },
    };
    struct buf b;                        /* four of the documents: each allocation of each is much */
    buf_init(&b);
    OK(file_read("tests/golden/tasks/bbq.jsonl", 1 << 20, &b, &err));
    size_t n = 0;
    for (int lines = 0; lines < 4; n++)
        lines += b.data[n] == '\n';
    OK(file_write_all(in_dir("bbq.jsonl"), b.data, n, &err));
    buf_release(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(each_allocation(run_builtin, (void *)(uintptr_t)&cases[i], false) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_a_group_of_tasks_can_fail),
        cmocka_unit_test(every_allocation_with_a_chat_template_can_fail),
        cmocka_unit_test(every_system_call_can_fail),
        cmocka_unit_test(every_allocation_of_tasks_with_functions_can_fail),
    };
    return cmocka_run_group_tests(tests, write_files, remove_dir);
}
