/* test_eval_fault.c - an evaluation whose n-th allocation or system call fails: an error, nothing left behind, and what was kept is whole. */
#include "../unit/eval_model.h"
#include "each_allocation.h"
#include "base/pool.h"
#include "base/tree.h"
#include "eval/replies.h"
#include "eval/results.h"

static struct pool *pool;
static const char *model;
static struct task_list list;

/* ---- requests to a model ---- */

static int count(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *e)
{
    (void)tag, (void)reply, (void)n, (void)e;
    ++*(int *)ctx;
    return 0;
}

static int ask_a_model(void *ctx)
{
    static const char *const until[] = { "\n", "zz" };
    static const struct request_generation g = { (const char **)(uintptr_t)until, 2, 3, 0, 1, 0 };
    static const char head[] = "the cat sat on a mat and the dog ran to that man in the rain then it ate";
    const struct request q[4] = {
        { .kind = REQUEST_LOGLIKELIHOOD, .index = 0, .context = head, .n_context = sizeof head - 1, .continuation = " a ham", .n_continuation = 6 },
        { .kind = REQUEST_LOGLIKELIHOOD, .index = 1, .context = head, .n_context = sizeof head - 1, .continuation = " the", .n_continuation = 4 },
        { .kind = REQUEST_ROLLING, .index = 2, .context = "", .continuation = head, .n_continuation = sizeof head - 1 },
        { .kind = REQUEST_GENERATE, .index = 3, .context = head, .n_context = sizeof head - 1, .continuation = "", .generation = &g },
    };
    struct run *r;
    int n = 0;
    (void)ctx;
    int rc = run_open(&r, &(struct run_opts){ .model = model, .batch = 2, .step_tokens = 16 }, &err);
    for (int i = 0; i < 3 && rc >= 0; i++)
        rc = run_add(r, i, q, 4, &err);
    if (rc >= 0)
        rc = run_answer(r, &(struct run_hooks){ .answered = count, .ctx = &n }, pool, &err);
    assert_true(rc < 0 || n == 3);
    if (r)
        run_close(r);
    return rc < 0 ? rc : 0;
}

static void a_model_that_is_asked_without_memory_says_so(void **state)
{
    (void)state;
    assert_true(each_allocation(ask_a_model, NULL, true) > 100);
}

/* ---- replies that are kept, scores, results ---- */

static struct reply *made_up(const struct request *q, int n, struct reply y[8], char text[8][8])
{
    for (int i = 0; i < n; i++) {
        strcpy(text[i], "to a\xe2");      /* a character that was not finished */
        y[i] = (struct reply){ .loglik = -1.5 * (i + 1) - (double)(q[i].n_continuation % 7), .greedy = i == 0, .n_token = 3, .n_cut = i, .joined = i == 1 };
        if (q[i].kind == REQUEST_GENERATE)
            y[i].text = text[i], y[i].n_text = strlen(text[i]);
    }
    return y;
}

/* Every item of the list but `left` answered, through a folder. */
static int answer_all(struct evaluation *e, struct replies *kept, int64_t left, struct err *er)
{
    for (int i = 0; i < e->n_task; i++)
        for (int64_t k = 0; k < e->task[i].n; k++) {
            struct request *q;
            struct reply y[8];
            char text[8][8];
            int n, rc;
            if (e->task[i].item[k].state != EVAL_OPEN || left-- == 0)
                continue;
            TRY(evaluation_requests(e, i, k, &q, &n, er));
            made_up(q, n, y, text);
            mem_free(q);
            rc = kept ? replies_add(kept, task_name(e->task[i].t), k, y, n, er) : 0;
            TRY(rc);
            TRY(evaluation_take(e, i, k, y, n, er));
        }
    return 0;
}

static int keep_line(void *ctx, const char *text, size_t n, struct err *e) { return buf_add(ctx, text, n, e); }

static struct buf want;

/* The results of `e` as one text, without what is of the run; the first is the wanted one. */
static int tell(struct evaluation *e, struct err *er)
{
    struct results r = { 0 };
    struct run *run = NULL;
    json_t *o = NULL;
    struct buf all;
    buf_init(&all);
    int rc = results_init(&r, e, &list, &(struct score_opts){ .seed = 1, .pool = pool }, er);
    for (int i = 0; i < e->n_task && rc >= 0; i++) {
        char hex[SHA256_HEX];
        rc = results_samples(&r, e, i, keep_line, &all, hex, er);
        if (rc >= 0)
            rc = buf_add(&all, hex, strlen(hex), er);
    }
    if (rc >= 0)
        rc = run_open(&run, &(struct run_opts){ .model = model }, er);
    if (rc >= 0) {
        const struct results_info info = { .build = "b", .model = model, .model_sha256 = "m", .kept_as = "file", .system = "s", .chat_template = "t", .encoder = run_encoder(run) };
        rc = results_json(&r, &info, NULL, &o, er);
    }
    char *text = rc >= 0 ? tree_dumps(o, JSON_INDENT(1)) : NULL;
    if (rc >= 0)
        rc = text ? buf_add(&all, text, strlen(text), er) : ERR(er, NOMEM, "no memory");
    if (rc >= 0 && !want.len)
        rc = buf_add(&want, all.data, all.len, er);
    if (rc >= 0)
        assert_string_equal(want.data, all.data);
    mem_free(text);
    json_decref(o);
    buf_release(&all);
    if (run)
        run_close(run);
    results_release(&r);
    return rc < 0 ? rc : 0;
}

static int score(void *ctx)
{
    struct evaluation e = { 0 };
    (void)ctx;
    int rc = evaluation_init(&e, &list, &err);
    char hex[SHA256_HEX];
    if (rc >= 0)
        rc = eval_generation_read(&e.generation, "temperature=0.5", &err);
    if (rc >= 0)
        rc = evaluation_digest(&e, hex, &err);
    if (rc >= 0)
        rc = answer_all(&e, NULL, -1, &err);
    if (rc >= 0)
        rc = tell(&e, &err);
    evaluation_release(&e);
    return rc < 0 ? rc : 0;
}

static void scores_without_memory_are_an_error_and_never_others(void **state)
{
    (void)state;
    assert_int_equal(score(NULL), 0);
    assert_true(want.len > 1000);
    assert_true(each_allocation(score, NULL, true) > 100);
}

/* A run that stops before the second item, and one that goes on. */
static int go_on(void *ctx)
{
    struct evaluation e = { 0 };
    struct replies kept = { .log.fd = -1, .lock = -1 };
    double begun = 0;
    json_t *of = json_pack("{s:s}", "model", "m");
    (void)ctx;
    int rc = of ? evaluation_init(&e, &list, &err) : ERR(&err, NOMEM, "no memory");
    if (rc >= 0)
        rc = replies_open(&kept, in_dir("kept"), of, &e, &begun, &err);
    if (rc >= 0)
        rc = answer_all(&e, &kept, 1, &err);
    replies_close(&kept);
    if (rc >= 0)
        rc = answer_all(&e, NULL, -1, &err);
    evaluation_release(&e);
    json_decref(of);
    return rc < 0 ? rc : 0;
}

static void what_was_kept_is_read_again_after_any_failure(void **state)
{
    (void)state;
    const enum failing what[] = { ALLOCATIONS, CALLS };
    for (int i = 0; i < 2; i++) {
        OK(file_remove_tree(in_dir("kept"), &err));
        assert_true(each_failure(what[i], 1, go_on, NULL, true) > 3);
    }
}

static int set_up(void **state)
{
    if (make_dir(state) || pool_new(&pool, 1, &err) < 0)
        return -1;
    model = mem_strdup(model_with("tokenizer_bos"));
    write_docs("docs", 6);
    struct task_opts o = TASK_OPTS;
    OK(task_list_add(&list, task_file("choices", "docs", CHOICES), &o, &err));
    OK(task_list_add(&list, task_file("answers", "docs", ANSWERS), &o, &err));
    OK(task_list_add(&list, task_file("texts", "docs", TEXTS), &o, &err));
    OK(task_list_add(&list, task_file("words", "docs", WORDS), &o, &err));
    buf_init(&want);
    return 0;
}

static int tear_down(void **state)
{
    buf_release(&want);
    task_list_release(&list);
    mem_free((void *)(uintptr_t)model);
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_is_asked_without_memory_says_so),
        cmocka_unit_test(scores_without_memory_are_an_error_and_never_others),
        cmocka_unit_test(what_was_kept_is_read_again_after_any_failure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
