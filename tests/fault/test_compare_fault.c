/* test_compare_fault.c - two models or two evaluations are compared, and an allocation or a system call fails: an error, and nothing is left. */
#include <math.h>
#include "each_allocation.h"
#include "eval/bisect.h"
#include "eval/compare.h"
#include "eval/compare_tasks.h"
#include "eval/diverge.h"
#include "eval/samples.h"
#include "infer/score.h"

static struct pool *pool;
static struct err err;
static struct engine *a, *b;
enum { N = 20, CTX = 8 };
static int32_t ids[N];

static int divergence(void *ctx)
{
    (void)ctx;
    struct diverge d = { 0 };
    struct diverge_summary s;
    const struct diverge_opts o = { .ctx = CTX, .bos = 1, .cluster = -1, .pool = pool };
    int rc = diverge_models(&d, a, b, ids, N, &o, &err);
    if (!rc)
        rc = diverge_summarize(&s, &d, &err);
    diverge_release(&d);
    return rc;
}

static int from_file(void *ctx)
{
    struct diverge d = { 0 };
    struct logprobs_reader r = { 0 };
    const struct diverge_opts o = { .bos = 1, .cluster = -1, .pool = pool };
    int rc = logprobs_open(&r, ctx, &err);
    if (!rc)
        rc = diverge_file(&d, &r, b, &o, &err);
    logprobs_close(&r);
    diverge_release(&d);
    return rc;
}

static int bisection(void *ctx)
{
    (void)ctx;
    struct bisect x;
    const int rc = bisect_models(&x, a, b, ids, N, 2, pool, &err);
    bisect_release(&x);
    return rc;
}

static int pairs(void *ctx)
{
    struct samples s, t = { 0 };
    struct sample_pairs p = { 0 };
    int rc = samples_load(&s, ctx, NULL, NULL, &err);
    if (!rc)
        rc = samples_load(&t, ctx, "two", NULL, &err);
    if (!rc)
        rc = samples_pair(&p, &s.set[s.n - 1], t.set, &err);
    if (!rc && p.n != 2)
        rc = ERR(&err, CORRUPT, "%d pairs", (int)p.n);
    sample_pairs_release(&p);
    samples_release(&s);
    samples_release(&t);
    return rc;
}

static int verdict(void *ctx)
{
    (void)ctx;
    static const double old[] = { 1, 1, 0, 1, 0, 1, 1, 1 }, new[] = { 1, 0, 0, 1, 1, 0, 1, 0 };
    static const struct compare_opts o = COMPARE_OPTS;
    struct compare_result r[2];
    struct compare_stream s = { 0 };
    int decides;
    int rc = compare_measure(&r[0], &(struct compare_items){ .old = old, .new = new, .n = 8, .higher_is_better = true }, &o, &err);
    if (!rc)
        rc = compare_measure(&r[1], &(struct compare_items){ .old = old, .new = new, .weight = (const double[]){ 1, 2, 1, 2, 1, 2, 1, 2 }, .n = 8 }, &o, &err);
    if (!rc)
        rc = compare_decide(r, 2, &o, &decides, &err);
    if (!rc)
        rc = compare_stream_init(&s, "t", 8, 1, 0.05, 1, &err);
    compare_stream_release(&s);
    return rc;
}

/* One model after the other, on a task of five items. */
static int tasks(void *ctx)
{
    (void)ctx;
    struct task_list l = { 0 };
    struct compare_tasks t = { 0 };
    struct samples old = { 0 }, new = { 0 };
    static char yaml[100], jsonl[100], model[100];
    snprintf(yaml, sizeof yaml, "%s/t.yaml", test_dir);
    snprintf(jsonl, sizeof jsonl, "%s/t.jsonl", test_dir);
    snprintf(model, sizeof model, "%s/m", test_dir);
    const struct task_file file = { "t", NULL, jsonl };
    struct task_opts to = TASK_OPTS;
    to.file = &file, to.n_file = 1;
    struct compare_tasks_opts o = { .alpha = 0.05, .seed = 1, .n_thread = 1 };
    o.run[0] = o.run[1] = (struct run_opts){ .model = model, .batch = 2 };
    int rc = task_list_add(&l, yaml, &to, &err);
    if (!rc)
        rc = compare_tasks_run(&t, &l, &o, &err);
    if (!rc)
        rc = compare_tasks_samples(&t, &old, &new, &err);
    if (!rc && (old.n != 1 || old.set[0].n != 5 || new.set[0].n != 5))
        rc = ERR(&err, CORRUPT, "items are missing");
    samples_release(&old);
    samples_release(&new);
    compare_tasks_release(&t);
    task_list_release(&l);
    return rc;
}

static void each_allocation_of_a_comparison(void **state)
{
    (void)state;
    assert_true(each_allocation(divergence, NULL, false) > 3);
    assert_true(each_allocation(from_file, in_dir("kld"), false) > 3);
    assert_true(each_allocation(verdict, NULL, false) > 5);
    assert_true(each_allocation(bisection, NULL, false) > 10);
    assert_true(each_allocation(pairs, in_dir("out"), true) > 20);        /* JSON that the fast reader has no memory for, the other one reads */
}

static void allocations_of_models_that_are_put_to_tasks(void **state)
{
    (void)state;
    assert_true(each_failure(ALLOCATIONS, 1, tasks, NULL, true) > 20);
}

static void each_call_of_a_comparison(void **state)
{
    (void)state;
    assert_true(each_failure(CALLS, 1, from_file, in_dir("kld"), false) > 0);
    assert_true(each_failure(CALLS, 1, pairs, in_dir("out"), false) > 3);
}

static int put(const char *name, const char *text) { return file_write_all(in_dir(name), text, strlen(text), &err); }

static int copy(const char *from, const char *to)
{
    struct buf all;
    buf_init(&all);
    int rc = file_read(from, 1 << 24, &all, &err);
    if (!rc)
        rc = file_write_all(in_dir(to), all.data, all.len, &err);
    buf_release(&all);
    return rc;
}

static int set_up(void **state)
{
    const struct engine_opts o = { .n_slot = 1, .step_tokens = N, .n_logits = 3, .no_tok = true };
    struct logprobs l;
    struct score s;
    const struct score_opts so = { .convention = SCORE_LLAMACPP, .ctx = CTX, .begin = 1, .add_bos = true, .logits = logprobs_add, .logits_ctx = &l };
    for (int i = 0; i < N; i++)
        ids[i] = 3 + i * i * 7 % 41;
    struct engine_opts other = o;
    other.as = WEIGHTS_BF16;
    if (make_dir(state) || pool_new(&pool, 2, &err) || engine_new(&a, "tests/golden/llama", &o, pool, &err) || engine_new(&b, "tests/golden/llama", &other, pool, &err))
        return -1;
    if (logprobs_begin(&l, in_dir("kld"), CTX, engine_config(a)->vocab_size, ids, N / CTX, &err) || score_tokens(a, ids, N, &so, NULL, NULL, &s, &err) || logprobs_commit(&l, &err))
        return -1;
    if (file_mkdirs(in_dir("m"), &err) || copy("tests/golden/llama/config.json", "m/config.json") || copy("tests/golden/llama/model.safetensors", "m/model.safetensors") ||
        copy("tests/golden/eval/tokenizer.json", "m/tokenizer.json") || put("t.jsonl", "{\"q\": \"the cat sat\"}\n{\"q\": \"the dog ran\"}\n{\"q\": \"a man ate\"}\n{\"q\": \"rain on the mat\"}\n{\"q\": \"the old mill\"}\n") ||
        put("m/tokenizer_config.json", "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}") ||
        put("t.yaml", "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: t.jsonl}}\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}\"\n"
                      "doc_to_choice: [\"ran\", \"sat\"]\ndoc_to_target: 0\nmetric_list: [{metric: acc}]\nmetadata: {version: 1}\n"))
        return -1;
    return file_mkdirs(in_dir("out"), &err) || put("out/samples_one_2026-01-31T10-00-00.1.jsonl", "{\"doc_id\": 0, \"acc\": 1, \"doc\": [\"a\"], \"filtered_resps\": [[1, true], [2, false]]}\n") ||
           put("out/samples_two_2026-01-31T10-00-00.1.jsonl", "{\"doc_id\": 0, \"acc\": 1, \"doc\": {\"q\": \"the cat sat\"}}\n{\"doc_id\": 1, \"acc\": 0}\n") ||
           put("out/results_2026-01-31T10-00-00.1.json", "{\"higher_is_better\": {\"two\": {\"acc\": true}}}");
}

static int tear_down(void **state)
{
    engine_free(a);
    engine_free(b);
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_a_comparison),
        cmocka_unit_test(allocations_of_models_that_are_put_to_tasks),
        cmocka_unit_test(each_call_of_a_comparison),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
