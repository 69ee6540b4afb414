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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_piqa_are_those_of_the_harness),
        cmocka_unit_test(scores_of_piqa_by_a_dummy_are_those_of_the_harness),
        cmocka_unit_test(requests_of_gsm8k_are_those_of_the_harness),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
