/* test_task.c - the requests and scores of tasks: against what lm-evaluation-harness makes of the same files, and what is wrong with task files
 * and documents, by name and place. */
#include <math.h>
#include "../test.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/pyrandom.h"
#include "eval/task.h"

static struct err err;

/* ---- json.dumps of Python, with its escapes ---- */

static void dump_string(struct buf *b, const char *s, size_t n)
{
    OK(buf_add_char(b, '"', &err));
    for (size_t i = 0; i < n;) {
        static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
        const unsigned char *p = (const unsigned char *)s + i;
        const char *simple = *p ? strchr(from, *p) : NULL;
        const int k = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
        uint32_t c = k == 1 ? *p : *p & (0x7fu >> k);
        for (int j = 1; j < k; j++)
            c = c << 6 | (p[j] & 0x3fu);
        if (simple)
            OK(buf_printf(b, &err, "\\%c", to[simple - from]));
        else if (c >= 0x10000)
            OK(buf_printf(b, &err, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff)));
        else if (c < 32 || c >= 127)
            OK(buf_printf(b, &err, c == 127 ? "%c" : "\\u%04x", c));
        else
            OK(buf_add_char(b, (char)c, &err));
        i += (size_t)k;
    }
    OK(buf_add_char(b, '"', &err));
}

/* [context, continuation], or [context, [until, ...]]. */
static void dump_request(struct buf *b, const struct request *r)
{
    OK(buf_add_str(b, b->len > 1 ? ", [" : "[", &err));
    dump_string(b, r->context, r->n_context);
    OK(buf_add_str(b, ", ", &err));
    if (r->kind == REQUEST_GENERATE) {
        OK(buf_add_char(b, '[', &err));
        for (int i = 0; i < r->generation->n_until; i++) {
            OK(buf_add_str(b, i ? ", " : "", &err));
            dump_string(b, r->generation->until[i], strlen(r->generation->until[i]));
        }
        OK(buf_add_char(b, ']', &err));
    } else {
        dump_string(b, r->continuation, r->n_continuation);
    }
    OK(buf_add_char(b, ']', &err));
}

/* of: the order of the items, or NULL. */
static void hash_requests(const struct task *t, const int64_t *of, char hex[SHA256_HEX])
{
    struct buf b;
    buf_init(&b);
    OK(buf_add_char(&b, '[', &err));
    for (int64_t i = 0; i < task_n_item(t); i++) {
        const struct request *r;
        const int n = task_requests(t, of ? of[i] : i, &r, &err);
        OK(n);
        for (int k = 0; k < n; k++)
            dump_request(&b, &r[k]);
    }
    OK(buf_add_char(&b, ']', &err));
    OK(sha256_of(b.data, b.len, hex, &err));
    buf_release(&b);
}

static struct task *open_with(const char *name, const char *data, int shots)
{
    struct task *t;
    const struct task_file f = { NULL, NULL, data };
    struct task_opts o = TASK_OPTS;
    o.file = &f, o.n_file = data != NULL, o.num_fewshot = shots;
    OK(task_open(&t, name, &o, &err));
    return t;
}

static int64_t *shuffled(int64_t n)
{
    struct pyrandom r;
    int64_t *of = mem_alloc_array((size_t)n, sizeof *of);
    for (int64_t i = 0; i < n; i++)
        of[i] = i;
    pyrandom_seed(&r, 42);
    pyrandom_shuffle(&r, of, n);
    return of;
}

static json_t *golden_of(const char *key)
{
    json_t *all;
    OK(tree_load(&all, path_in(getenv("LATHE_SHARED") ? getenv("LATHE_SHARED") : "../shared/data", "../reference/evaluation_golden.json"), 1 << 24, &err));
    json_t *v = json_deep_copy(json_object_get(json_object_get(all, "lm_eval_modelfree"), key));
    assert_non_null(v);
    json_decref(all);
    return v;
}

/* ---- the model-free test data of lm-evaluation-harness itself ---- */

static void requests_of_piqa_are_those_of_the_harness(void **state)
{
    (void)state;
    char hex[SHA256_HEX];
    struct task *t = open_with("piqa", shared("eval-piqa/valid.jsonl"), 0);
    json_t *want = golden_of("piqa_v0_requests_sha256");
    int64_t *of = shuffled(task_n_item(t));
    hash_requests(t, of, hex);
    assert_string_equal(hex, json_string_value(want));
    json_decref(want);
    mem_free(of);
    task_free(t);
}

static double stderr_of(const struct task_value *v, size_t stride, int64_t n)
{
    const double mean = task_score_all(TASK_MEAN, v, stride, NULL, n);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (v[(size_t)i * stride].v - mean) * (v[(size_t)i * stride].v - mean);
    return sqrt(sum / (double)(n - 1)) / sqrt((double)n);
}

static void scores_of_piqa_by_a_dummy_are_those_of_the_harness(void **state)
{
    (void)state;
    struct task *t = open_with("piqa", shared("eval-piqa/valid.jsonl"), 0);
    const int64_t n = task_n_item(t);
    json_t *want = golden_of("piqa_v0_dummy");
    int64_t *of = shuffled(n);
    struct task_value *v = mem_alloc_array((size_t)n * 2, sizeof *v);
    struct pyrandom r;
    pyrandom_seed(&r, 42);
    for (int64_t i = 0; i < n; i++) {
        struct reply reply[2] = { 0 };
        for (int k = 0; k < 2; k++)
            reply[k].loglik = -pyrandom_random(&r);
        OK(task_score(t, of[i], reply, 2, v + 2 * i, &err));
    }
    assert_true(fabs(task_score_all(TASK_MEAN, v, 2, NULL, n) - json_number_value(json_object_get(want, "acc"))) < 1e-12);
    assert_true(fabs(task_score_all(TASK_MEAN, v + 1, 2, NULL, n) - json_number_value(json_object_get(want, "acc_norm"))) < 1e-12);
    assert_true(fabs(stderr_of(v, 2, n) - json_number_value(json_object_get(want, "acc_stderr"))) < 1e-12);
    assert_true(fabs(stderr_of(v + 1, 2, n) - json_number_value(json_object_get(want, "acc_norm_stderr"))) < 1e-12);
    json_decref(want);
    mem_free(of);
    mem_free(v);
    task_free(t);
}

static void requests_of_gsm8k_are_those_of_the_harness(void **state)
{
    (void)state;
    char hex[SHA256_HEX];
    static const char text[] = "task: gsm8k_v0\ndataset_path: openai/gsm8k\ndataset_name: main\noutput_type: generate_until\ntest_split: test\n"
                               "doc_to_text: \"Question: {{question}}\\nAnswer:\"\ndoc_to_target: \"{{answer}}\"\ngeneration_kwargs: {until: [\"\\n\"]}\n";
    OK(file_write_all(in_dir("gsm8k.yaml"), text, strlen(text), &err));
    struct task *t = open_with(in_dir("gsm8k.yaml"), shared("eval-gsm8k/test.jsonl"), 0);
    json_t *want = golden_of("gsm8k_v0_requests_sha256");
    int64_t *of = shuffled(task_n_item(t));
    hash_requests(t, of, hex);
    assert_string_equal(hex, json_string_value(want));
    json_decref(want);
    mem_free(of);
    task_free(t);
}

/* ---- golden values of the harness over the same files (tools/golden/lmeval_requests.py) ---- */

static json_t *lmeval;

/* The template of the script. */
static int chat(void *user, const json_t *messages, bool continues, struct buf *out, struct err *e)
{
    (void)user;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        const bool open = continues && i + 1 == json_array_size(messages);
        TRY(buf_printf(out, e, "<%s>%s%s", json_string_value(json_object_get(m, "role")), json_string_value(json_object_get(m, "content")), open ? "" : "</>"));
    }
    return continues ? 0 : buf_add_str(out, "<assistant>", e);
}

static const char *data_path(const char *name) { return strncmp(name, "made/", 5) ? shared(name) : path_in("tests/golden/tasks", name + 5); }

static void check_requests(const json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "task")), *split;
    struct task_opts o = TASK_OPTS;
    struct task_file files[4];
    struct task *t;
    char yaml[200], hex[SHA256_HEX];
    json_t *v;
    o.file = files;
    json_object_foreach(json_object_get(c, "files"), split, v)
        files[o.n_file++] = (struct task_file){ NULL, split, mem_strdup(data_path(json_string_value(v))) };
    o.num_fewshot = (int)json_integer_value(json_object_get(c, "shots"));
    o.limit = json_integer_value(json_object_get(c, "limit"));
    o.chat = json_object_get(c, "chat") ? chat : NULL;
    o.single_turn = json_object_get(c, "single") != NULL;
    o.system = json_string_value(json_object_get(c, "system"));
    snprintf(yaml, sizeof yaml, "tests/golden/tasks/%s", name);      /* a task file of ours, or what is built in */
    OK(task_open(&t, strstr(name, ".yaml") ? yaml : name, &o, &err));
    const struct request *r;
    const int n = task_requests(t, 0, &r, &err);
    OK(n);
    struct buf b;
    buf_init(&b);
    dump_request(&b, r);
    char *first = json_dumps(json_object_get(c, "first"), JSON_ENSURE_ASCII);
    json_t *ours, *want = json_object_get(c, "first");
    OK(tree_parse_json(&ours, b.data, b.len, name, &err));
    if (!json_equal(ours, want))
        fail_msg("%s: the first request is %s, expected %s", name, b.data, first);
    hash_requests(t, NULL, hex);
    if (strcmp(hex, json_string_value(json_object_get(c, "sha256"))))
        fail_msg("%s with %d examples: the requests differ", name, o.num_fewshot);
    json_decref(ours);
    mem_free(first);
    buf_release(&b);
    task_free(t);
    for (int i = 0; i < o.n_file; i++)
        mem_free((char *)(uintptr_t)files[i].path);
}

static void requests_of_all_tasks_are_those_of_the_harness(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(lmeval, "cases");
    assert_true(json_array_size(cases) > 40);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_requests(json_array_get(cases, i));
}

/* [log-likelihood, greedy] or the text of each reply. */
static struct reply *read_replies(const json_t *list)
{
    const size_t n = json_array_size(list);
    struct reply *r = mem_alloc_array(n, sizeof *r);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (json_is_string(v)) {
            r[i].text = (char *)(uintptr_t)json_string_value(v), r[i].n_text = json_string_length(v);
        } else {
            r[i].loglik = json_number_value(json_array_get(v, 0));
            r[i].greedy = json_is_true(json_array_get(v, 1));
            r[i].n_token = 1;
        }
    }
    return r;
}

static void check_scores(const json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "task"));
    const bool own = json_is_true(json_object_get(c, "yaml"));
    const json_t *replies = json_object_get(c, "replies");
    char yaml[200], data[200];
    struct task *t;
    const struct task_metric *m;
    int n_metric, n_checked = 0;
    snprintf(yaml, sizeof yaml, "tests/golden/tasks/%s.yaml", name);
    snprintf(data, sizeof data, "tests/golden/tasks/%s.jsonl", name);
    struct task_opts o = TASK_OPTS;
    const struct task_file f = { NULL, NULL, own ? data : data_path(json_string_value(json_object_get(c, "file"))) };
    o.file = &f, o.n_file = 1, o.num_fewshot = 0, o.limit = json_integer_value(json_object_get(c, "n"));
    OK(task_open(&t, own ? yaml : name, &o, &err));
    task_metrics(t, &m, &n_metric);
    struct task_value *v = mem_alloc_array((size_t)(task_n_item(t) * n_metric), sizeof *v);
    for (int64_t i = 0; i < task_n_item(t); i++) {
        struct reply *r = read_replies(json_array_get(replies, (size_t)i));
        OK(task_score(t, i, r, (int)json_array_size(json_array_get(replies, (size_t)i)), v + i * n_metric, &err));
        mem_free(r);
    }
    for (int k = 0; k < n_metric; k++) {
        char id[80];
        snprintf(id, sizeof id, "%s,%s", m[k].name, m[k].filter);
        const json_t *want = json_object_get(json_object_get(c, "values"), id);
        for (size_t i = 0; i < json_array_size(want); i++)
            if (fabs(v[i * (size_t)n_metric + (size_t)k].v - json_number_value(json_array_get(want, i))) > 1e-12)
                fail_msg("%s: %s of document %zu is %.17g, expected %.17g", name, id, i, v[i * (size_t)n_metric + (size_t)k].v, json_number_value(json_array_get(want, i)));
        const json_t *all = json_object_get(json_object_get(c, "aggregates"), id);
        if (!all)
            continue;
        const double score = task_score_all(m[k].aggregate, v + k, (size_t)n_metric, NULL, task_n_item(t)), expected = json_number_value(all);
        if (json_is_null(all) ? !isnan(score) : fabs(score - expected) > 1e-12 * fmax(1, fabs(expected)) || isnan(score))
            fail_msg("%s: %s is %.17g, expected %.17g", name, id, score, expected);
        n_checked++;
    }
    assert_int_equal(n_checked, json_object_size(json_object_get(c, "aggregates")));
    mem_free(v);
    task_free(t);
}

static void scores_are_those_of_the_harness(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(lmeval, "scores");
    assert_true(json_array_size(cases) > 15);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_scores(json_array_get(cases, i));
}

/* ---- task files and documents of our own ---- */

#define HEAD "task: t\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\n"
#define FIELDS "doc_to_text: \"{{q}}\"\ndoc_to_target: gold\ndoc_to_choice: [a, bb]\n"

static void write_file(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static int open_text(struct task **t, const char *yaml, const char *docs, const struct task_opts *with)
{
    struct task_opts o = TASK_OPTS;
    const struct task_file f = { "t", NULL, in_dir("docs.jsonl") };
    write_file("t.yaml", yaml);
    write_file("docs.jsonl", docs);
    o = with ? *with : o;
    if (!o.n_file)
        o.file = &f, o.n_file = 1;
    return task_open(t, in_dir("t.yaml"), &o, &err);
}

static void what_a_task_file_has_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct { const char *yaml, *says; int rc; } bad[] = {
        { HEAD FIELDS "doc_to_txt: x\n", "t.yaml:8: unknown key 'doc_to_txt'", ERR_USAGE },
        { HEAD FIELDS "fewshot_config: {sampler: default,\n  samplez: 1}\n", "t.yaml:9: unknown key 'samplez' of fewshot_config", ERR_USAGE },
        { HEAD FIELDS "process_docs: !function utils.process_docs\n", "t.yaml:8: process_docs is the Python function utils.process_docs", ERR_UNSUPPORTED },
        { HEAD "doc_to_text: !function u.f\ndoc_to_target: gold\ndoc_to_choice: [a]\n", "t.yaml:5: doc_to_text is the Python function u.f", ERR_UNSUPPORTED },
        { HEAD FIELDS "metric_list:\n  - metric: acc\n  - metric: bleu\n", "t.yaml:10: the metric 'bleu'", ERR_UNSUPPORTED },
        { HEAD FIELDS "metric_list:\n  - metric: acc\n    aggregation: nope\n", "t.yaml:10: the aggregation 'nope'", ERR_UNSUPPORTED },
        { HEAD FIELDS "metric_list:\n  - metric: acc\n    higher: true\n", "t.yaml:10: unknown key 'higher'", ERR_USAGE },
        { HEAD FIELDS "filter_list:\n  - name: x\n    filter:\n      - function: nope\n", "t.yaml:11: the filter nope", ERR_UNSUPPORTED },
        { HEAD FIELDS "filter_list:\n  - name: x\n    filter:\n      - {function: regex, regex_pattern: '(x'}\n", "t.yaml:11: pattern '(x'", ERR_FORMAT },
        { HEAD FIELDS "filter_list:\n  - name: x\n    filter:\n      - function: take_first\n      - function: lowercase\n", "t.yaml:12: a filter behind take_first", ERR_UNSUPPORTED },
        { HEAD FIELDS "custom_dataset: !function u.load\n", "t.yaml:8: custom_dataset", ERR_UNSUPPORTED },
        { HEAD FIELDS "doc_to_image: image\n", "t.yaml:8: doc_to_image", ERR_UNSUPPORTED },
        { HEAD FIELDS "num_fewshot: -1\n", "t.yaml:8: num_fewshot is not a whole number", ERR_RANGE },
        { HEAD FIELDS "num_fewshot: many\n", "t.yaml:8: num_fewshot is not a whole number", ERR_RANGE },
        { HEAD FIELDS "include: nowhere.yaml\n", "t.yaml:8: cannot open", ERR_USAGE },
        { HEAD FIELDS "include: t.yaml\n", "does a file include itself?", ERR_FORMAT },
        { HEAD FIELDS "dataset_kwargs: {data_dir: x}\n", "t.yaml:8: unknown key 'data_dir' of dataset_kwargs", ERR_USAGE },
        { HEAD "doc_to_target: gold\n", "the task has no doc_to_text", ERR_USAGE },
        { HEAD "doc_to_text: q\ndoc_to_target: gold\n", "needs doc_to_choice", ERR_USAGE },
        { "task: t\noutput_type: nothing\n", "t.yaml:2: output_type is 'nothing'", ERR_USAGE },
        { "task: t\n", "neither test_split nor validation_split", ERR_USAGE },
        { "tag: x\n", "found no task", ERR_USAGE },
        { "task: t\nmetadata: {a: !function x.y}\n", "neither test_split", ERR_USAGE },
        { HEAD "doc_to_text: {a: 1}\ndoc_to_target: gold\ndoc_to_choice: [a]\n", "t.yaml:5: doc_to_text is a list", ERR_FORMAT },
        { HEAD FIELDS "generation_kwargs: 5\noutput_type: generate_until\n", "t.yaml:8: generation_kwargs takes keys", ERR_FORMAT },
        { HEAD FIELDS "output_type: generate_until\ngeneration_kwargs:\n  num_beams: 4\n", "t.yaml:10: num_beams is 4", ERR_UNSUPPORTED },
        { HEAD FIELDS "output_type: generate_until\ngeneration_kwargs:\n  typical_p: 4\n", "t.yaml:10: unknown key 'typical_p'", ERR_USAGE },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct task *t;
        const int rc = open_text(&t, bad[i].yaml, "{\"q\": \"x\", \"gold\": 0}\n", NULL);
        if (rc != bad[i].rc || !strstr(err.msg, bad[i].says))
            fail_msg("%s gives %d: %s", bad[i].yaml, rc, rc ? err.msg : "taken");
        assert_null(t);
    }
}

static void a_bad_document_is_its_own_error_and_the_others_go_on(void **state)
{
    (void)state;
    struct task *t;
    static const char docs[] = "{\"q\": \"one\", \"gold\": 1}\n{\"q\": \"two\"}\nno JSON\n\n{\"gold\": 0}\n{\"q\": \"five\", \"gold\": 7}\n[1]\n{\"q\": \"six\", \"gold\": 0}\n";
    static const char *const says[] = { NULL, "docs.jsonl:2: the field 'gold' is missing", "docs.jsonl:3", "'q' is undefined", NULL, "docs.jsonl:7: found JSON that is no object", NULL };
    const struct request *r;
    struct task_value v[2];
    const struct reply replies[2] = { { .loglik = -2, .n_token = 1 }, { .loglik = -1, .n_token = 1 } };
    OK(open_text(&t, HEAD FIELDS, docs, NULL));
    assert_int_equal(task_n_item(t), 7);
    for (int i = 0; i < 7; i++) {
        const int n = task_requests(t, i, &r, &err);
        if (!says[i])
            assert_int_equal(n, 2);
        else if (n >= 0 || !strstr(err.msg, says[i]))
            fail_msg("item %d: %d, %s", i, n, err.msg);
        const int rc = task_score(t, i, replies, 2, v, &err);
        assert_true(says[i] || i == 4 ? rc < 0 : !rc);
        if (says[i])
            assert_true(isnan(v[0].v) && isnan(v[1].v));
    }
    /* A label out of range is a wrong answer too, as in the harness. */
    assert_int_equal(task_score(t, 4, replies, 2, v, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "docs.jsonl:6: the label is none of the 2 choices"));
    assert_true(v[0].v == 0 && v[1].v == 0);
    assert_int_equal(task_gold(t, 4), -1);
    OK(task_score(t, 0, replies, 2, v, &err));
    assert_true(v[0].v == 1 && v[1].v == 1);
    task_free(t);
}

static void replies_that_failed_count_nowhere(void **state)
{
    (void)state;
    struct task *t;
    struct task_value v[2];
    struct reply replies[2] = { { .loglik = -2 }, { .loglik = -1, .error = "no room" } };
    OK(open_text(&t, HEAD FIELDS, "{\"q\": \"one\", \"gold\": 1}\n", NULL));
    assert_true(task_score(t, 0, replies, 2, v, &err) < 0);
    assert_non_null(strstr(err.msg, "request 2: no room"));
    assert_true(isnan(v[0].v));
    replies[1] = (struct reply){ .loglik = NAN };
    assert_int_equal(task_score(t, 0, replies, 2, v, &err), ERR_NUMERIC);
    assert_true(task_score(t, 0, replies, 1, v, &err) < 0);
    assert_true(isnan(task_score_all(TASK_MEAN, v, 2, NULL, 1)));
    task_free(t);
}

static void an_empty_generation_is_a_wrong_answer(void **state)
{
    (void)state;
    struct task *t;
    struct task_value v[2];
    const struct task_metric *m;
    int n;
    json_t *sample;
    OK(open_text(&t, "task: t\ndataset_path: json\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\ngeneration_kwargs: {until: x, max_gen_toks: 7, temperature: 0.5, do_sample: yes}\n"
                     "filter_list:\n  - name: f\n    filter: [{function: regex, regex_pattern: '(b)'}, {function: take_first}]\n",
                 "{\"q\": \"one\", \"a\": \"b\"}\n", NULL));
    task_metrics(t, &m, &n);
    assert_int_equal(n, 2);
    assert_string_equal(m[0].name, "exact_match");
    assert_string_equal(m[1].name, "extraction_failed");
    assert_true(m[1].own && !m[1].higher_is_better);
    struct reply r = { .text = (char *)"", .n_text = 0 };
    OK(task_score(t, 0, &r, 1, v, &err));
    assert_true(v[0].v == 0 && v[1].v == 1);
    r.text = NULL;
    OK(task_score(t, 0, &r, 1, v, &err));
    assert_true(v[0].v == 0 && v[1].v == 1);
    r.text = (char *)"a b\xe2\x82", r.n_text = 5;      /* cut through a character */
    OK(task_score(t, 0, &r, 1, v, &err));
    assert_true(v[0].v == 1 && v[1].v == 0);
    OK(task_sample(t, 0, &r, 1, &sample, &err));
    assert_string_equal(json_string_value(json_object_get(json_object_get(sample, "filtered_resps"), "f")), "b");
    assert_string_equal(json_string_value(json_object_get(sample, "target")), "b");
    json_decref(sample);
    const struct request *q;
    assert_int_equal(task_requests(t, 0, &q, &err), 1);
    assert_true(q->generation->max_tokens == 7 && q->generation->temperature == 0.5 && q->generation->n_until == 1);
    task_free(t);
}

static void examples_that_are_not_there_are_missed_by_name(void **state)
{
    (void)state;
    struct task *t;
    struct task_opts o = TASK_OPTS;
    const struct request *r;
    o.num_fewshot = 3;
    assert_int_equal(open_text(&t, HEAD FIELDS "training_split: train\n", "{\"q\": \"one\", \"gold\": 1}\n", &o), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "few-shot examples: task 't': found no file of split 'train'"));
    OK(open_text(&t, HEAD FIELDS, "{\"q\": \"one\", \"gold\": 1}\n{\"q\": \"two\", \"gold\": 1}\n", &o));
    assert_int_equal(task_requests(t, 0, &r, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "docs.jsonl:1: 3 few-shot examples are wanted, there are 2"));
    task_free(t);
}

static void samples_of_the_task_are_its_examples(void **state)
{
    (void)state;
    struct task *t;
    struct task_opts o = TASK_OPTS;
    const struct request *r;
    o.num_fewshot = 2;
    OK(open_text(&t, HEAD FIELDS "fewshot_config:\n  sampler: first_n\n  samples:\n    - {q: s1, gold: 0}\n    - {q: s2, gold: 1}\n    - {q: s3, gold: 0}\ndescription: \"About {{q}}:\\n\"\n",
                 "{\"q\": \"one\", \"gold\": 1}\n", &o));
    assert_int_equal(task_requests(t, 0, &r, &err), 2);
    assert_int_equal(r->n_context, strlen("About one:\ns1 a\n\ns2 bb\n\none"));
    assert_memory_equal(r->context, "About one:\ns1 a\n\ns2 bb\n\none", r->n_context);
    assert_memory_equal(r[1].continuation, " bb", 3);
    assert_ptr_equal(r[0].context, r[1].context);
    task_free(t);
}

static void a_task_that_says_no_examples_keeps_to_it(void **state)
{
    (void)state;
    static const struct { const char *says; int wanted, n; } cases[] = { { "", -1, 0 }, { "", 1, 1 }, { "num_fewshot: 0\n", 1, 0 }, { "num_fewshot: 2\n", -1, 2 }, { "num_fewshot: 2\n", 1, 1 }, { "num_fewshot: 2\n", 0, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[1000];
        struct task *t;
        struct task_opts o = TASK_OPTS;
        o.num_fewshot = cases[i].wanted;
        snprintf(yaml, sizeof yaml, HEAD FIELDS "%s", cases[i].says);
        OK(open_text(&t, yaml, "{\"q\": \"one\", \"gold\": 1}\n{\"q\": \"two\", \"gold\": 1}\n", &o));
        assert_int_equal(task_fewshot(t), cases[i].n);
        task_free(t);
    }
}

static void clusters_are_of_equal_values(void **state)
{
    (void)state;
    struct task *t;
    static const int64_t want[] = { 0, 1, 0, -1, 1 };
    OK(open_text(&t, HEAD FIELDS "metadata: {version: 2, cluster: p}\n",
                 "{\"q\":\"a\",\"gold\":0,\"p\":\"x\"}\n{\"q\":\"a\",\"gold\":0,\"p\":5}\n{\"q\":\"a\",\"gold\":0,\"p\":\"x\"}\n{\"q\":\"a\",\"gold\":0}\n{\"q\":\"a\",\"gold\":0,\"p\":5}\n", NULL));
    for (int i = 0; i < 5; i++)
        assert_int_equal(task_cluster(t, i), want[i]);
    assert_string_equal(task_version(t), "2");
    task_free(t);
}

static void groups_and_tags_of_a_folder_are_found_by_name(void **state)
{
    (void)state;
    struct task_list l = { 0 };
    struct task_opts o = TASK_OPTS;
    char docs[64], dir[64];
    snprintf(docs, sizeof docs, "%s", in_dir("tasks/docs.jsonl"));
    snprintf(dir, sizeof dir, "%s", in_dir("tasks"));
    const char *const dirs[] = { dir };
    const struct task_file f = { "", NULL, docs };
    OK(file_mkdirs(in_dir("tasks/deep"), &err));
    write_file("tasks/docs.jsonl", "{\"q\": \"one\", \"gold\": 1}\n");
    write_file("tasks/_base_yaml", "dataset_path: json\ntest_split: test\noutput_type: multiple_choice\n" FIELDS "tag: both\n");
    write_file("tasks/a.yaml", "include: _base_yaml\ntask: t_a\n");
    write_file("tasks/deep/b.yaml", "include: ../_base_yaml\ntask: t_b\n");
    write_file("tasks/g.yaml", "group: g\ntask:\n  - t_a\n  - group: inner\n    task: [{task: t_b, num_fewshot: 0, task_alias: renamed}]\n"
                               "aggregate_metric_list:\n  - {metric: acc, weight_by_size: no, filter_list: none}\nmetadata: {version: 1.5}\n");
    write_file("tasks/broken.yaml", "a: [\n");
    o.task_dir = dirs, o.n_task_dir = 1, o.file = &f, o.n_file = 1;
    OK(task_list_add(&l, "both", &o, &err));
    assert_int_equal(l.n_task, 2);
    assert_int_equal(l.n_group, 0);
    task_list_release(&l);
    OK(task_list_add(&l, "t_a", &o, &err));
    OK(task_list_add(&l, "g", &o, &err));
    assert_int_equal(l.n_task, 2);
    assert_int_equal(l.n_group, 2);
    assert_string_equal(l.group[0].name, "g");
    assert_string_equal(l.group[0].version, "1.5");
    assert_int_equal(l.group[0].n_task, 2);
    assert_int_equal(l.group[1].n_task, 1);
    assert_int_equal(l.group[1].parent, 0);
    assert_false(l.group[0].metric[0].weight_by_size);
    assert_string_equal(l.group[0].metric[0].filter[0], "none");
    assert_string_equal(task_alias(l.task[1]), "renamed");
    assert_int_equal(task_list_add(&l, "nothing", &o, &err), ERR_NOTFOUND);
    assert_int_equal(l.n_task, 2);
    task_list_release(&l);
}

/* Of two with one name the results, samples and replies of the first would be the second's. */
static void two_tasks_of_one_name_are_refused(void **state)
{
    (void)state;
    struct task_opts o = TASK_OPTS;
    char docs[64], dir[64];
    snprintf(docs, sizeof docs, "%s", in_dir("twice/docs.jsonl"));
    snprintf(dir, sizeof dir, "%s", in_dir("twice"));
    const char *const dirs[] = { dir };
    const struct task_file f = { "", NULL, docs };
    static const char *const lists[][3] = { { "again" }, { "g", "t" }, { "t", "g" }, { "g", "g" } };
    OK(file_mkdirs(in_dir("twice"), &err));
    write_file("twice/docs.jsonl", "{\"q\": \"one\", \"gold\": 1}\n{\"q\": \"two\", \"gold\": 1}\n");
    write_file("twice/t.yaml", "task: t\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\n" FIELDS);
    write_file("twice/g.yaml", "group: g\ntask: [{task: t, num_fewshot: 0}]\n");
    write_file("twice/again.yaml", "group: again\ntask: [{task: t, num_fewshot: 0}, {task: t, num_fewshot: 1}]\n");
    write_file("twice/plain.yaml", "group: plain\ntask: [t, {task: t}]\n");
    o.task_dir = dirs, o.n_task_dir = 1, o.file = &f, o.n_file = 1;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct task_list l = { 0 };
        int rc = 0;
        for (int k = 0; lists[i][k] && !rc; k++)
            rc = task_list_add(&l, lists[i][k], &o, &err);
        assert_int_equal(rc, ERR_USAGE);
        assert_non_null(strstr(err.msg, "two tasks are named 't'"));
        task_list_release(&l);
    }
    struct task_list l = { 0 };
    OK(task_list_add(&l, "t", &o, &err));
    OK(task_list_add(&l, "plain", &o, &err));
    assert_int_equal(l.n_task, 1);
    task_list_release(&l);
}

static void tasks_of_a_group_without_files_are_told(void **state)
{
    (void)state;
    struct task_list l = { 0 };
    struct task_opts o = TASK_OPTS;
    const struct task_file f = { "mmlu", NULL, shared("eval-mmlu") };
    o.file = &f, o.n_file = 1;
    OK(task_list_add(&l, "mmlu", &o, &err));
    assert_int_equal(l.n_task, 12);
    assert_int_equal(l.n_missing, 45);
    assert_int_equal(l.n_group, 5);
    assert_int_equal(l.group[0].n_task, 12);
    task_list_release(&l);
    o.n_file = 0;
    assert_int_equal(task_list_add(&l, "mmlu", &o, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "no file of any of its 57 tasks is there"));
    task_list_release(&l);
}

static void all_that_is_built_in_reads_and_finds_its_files_by_name(void **state)
{
    (void)state;
    static const char *const absent[] = { "arc_easy", "arc_challenge", "winogrande", "wikitext" };
    struct task_opts o = TASK_OPTS;
    o.data_dir = shared(""), o.num_fewshot = 0, o.limit = 3;
    for (const struct task_builtin *b = task_builtins(); b->name; b++) {
        struct task_list l = { 0 };
        bool here = !strchr(b->name, '*');
        for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
            here &= strcmp(b->name, absent[i]) != 0;
        if (!here)
            continue;
        OK(task_list_add(&l, b->name, &o, &err));
        for (int i = 0; i < l.n_task; i++)
            for (int64_t k = 0; k < task_n_item(l.task[i]); k++) {
                const struct request *r;
                OK(task_requests(l.task[i], k, &r, &err));
            }
        task_list_release(&l);
    }
}

static void files_of_all_forms_are_the_same_documents(void **state)
{
    (void)state;
    static const struct { const char *name, *text; } forms[] = {
        { "d.jsonl", "{\"q\": \"one\", \"gold\": 1}\n{\"q\": \"two, or\", \"gold\": 0}\n" },
        { "d.json", "[{\"q\": \"one\", \"gold\": 1}, {\"q\": \"two, or\", \"gold\": 0}]" },
        { "e.json", "{\"examples\": [{\"q\": \"one\", \"gold\": 1}, {\"q\": \"two, or\", \"gold\": 0}]}" },
        { "f.json", "{\"test\": [{\"q\": \"one\", \"gold\": 1}, {\"q\": \"two, or\", \"gold\": 0}], \"train\": []}" },
        { "g.json", "{\"q\": \"one\", \"gold\": 1}\n{\"q\": \"two, or\", \"gold\": 0}\n" },
        { "d.csv", "q,gold\none,1\n\"two, or\",0\n" },
        { "d.tsv", "\xef\xbb\xbfq\tgold\none\t1\ntwo, or\t0\n" },
    };
    char first[SHA256_HEX] = "", hex[SHA256_HEX];
    write_file("t.yaml", HEAD FIELDS);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        write_file(forms[i].name, forms[i].text);
        struct task *t = open_with(in_dir("t.yaml"), in_dir(forms[i].name), 0);
        assert_int_equal(task_n_item(t), 2);
        assert_int_equal(task_gold(t, 0), 1);
        hash_requests(t, NULL, hex);
        assert_true(!*first || !strcmp(first, hex));
        strcpy(first, hex);
        task_free(t);
    }
}

/* The same documents in the form of the publisher and in that of the hub. */
static void check_forms(const char *task, const char *name, const char *a, const char *b)
{
    char hex[2][SHA256_HEX];
    for (int i = 0; i < 2; i++) {
        write_file(name, i ? b : a);
        struct task *t = open_with(task, in_dir(name), 0);
        assert_int_equal(task_gold(t, 0), 0);
        hash_requests(t, NULL, hex[i]);
        task_free(t);
    }
    assert_string_equal(hex[0], hex[1]);
}

static void forms_of_publishers_are_those_of_the_hub(void **state)
{
    (void)state;
    check_forms("arc_easy", "ARC-Easy-Test.jsonl",
                "{\"id\": \"1\", \"question\": {\"stem\": \"Why?\", \"choices\": [{\"text\": \"so\", \"label\": \"A\"}, {\"text\": \"no\", \"label\": \"B\"}]}, \"answerKey\": \"A\"}\n",
                "{\"question\": \"Why?\", \"choices\": {\"text\": [\"so\", \"no\"], \"label\": [\"A\", \"B\"]}, \"answerKey\": \"A\"}\n");
    check_forms("truthfulqa_mc2", "mc_task.json",
                "[{\"question\": \"Why?\", \"mc1_targets\": {\"so\": 1, \"no\": 0}, \"mc2_targets\": {\"so\": 1, \"no\": 0, \"yes\": 1}}]",
                "[{\"question\": \"Why?\", \"mc2_targets\": {\"choices\": [\"so\", \"no\", \"yes\"], \"labels\": [1, 0, 1]}}]");
    check_forms("truthfulqa_mc1", "TruthfulQA.csv", "Question,Best Answer,Correct Answers,Incorrect Answers\nWhy?,so,so; yes ;,\"no; ; never, ever\"\n",
                "Question,Best Answer,Correct Answers,Incorrect Answers\nWhy?, so ,x,\"no;never, ever\"\n");
}

static int set_up(void **state) { return tree_load(&lmeval, "tests/golden/tasks/lmeval.json", (size_t)1 << 26, &err) < 0 ? -1 : make_dir(state); }

static int tear_down(void **state)
{
    json_decref(lmeval);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_piqa_are_those_of_the_harness),
        cmocka_unit_test(scores_of_piqa_by_a_dummy_are_those_of_the_harness),
        cmocka_unit_test(requests_of_gsm8k_are_those_of_the_harness),
        cmocka_unit_test(requests_of_all_tasks_are_those_of_the_harness),
        cmocka_unit_test(scores_are_those_of_the_harness),
        cmocka_unit_test(what_a_task_file_has_wrong_is_named_with_its_line),
        cmocka_unit_test(a_bad_document_is_its_own_error_and_the_others_go_on),
        cmocka_unit_test(replies_that_failed_count_nowhere),
        cmocka_unit_test(an_empty_generation_is_a_wrong_answer),
        cmocka_unit_test(examples_that_are_not_there_are_missed_by_name),
        cmocka_unit_test(samples_of_the_task_are_its_examples),
        cmocka_unit_test(a_task_that_says_no_examples_keeps_to_it),
        cmocka_unit_test(clusters_are_of_equal_values),
        cmocka_unit_test(groups_and_tags_of_a_folder_are_found_by_name),
        cmocka_unit_test(two_tasks_of_one_name_are_refused),
        cmocka_unit_test(tasks_of_a_group_without_files_are_told),
        cmocka_unit_test(all_that_is_built_in_reads_and_finds_its_files_by_name),
        cmocka_unit_test(files_of_all_forms_are_the_same_documents),
        cmocka_unit_test(forms_of_publishers_are_those_of_the_hub),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
