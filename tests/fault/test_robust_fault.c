/* test_robust_fault.c - variants of a task, their answers and what is found in them, when the n-th allocation fails: an error, nothing left behind. */
#include "../unit/eval_model.h"
#include "each_allocation.h"
#include "base/pool.h"
#include "eval/evidence.h"
#include "eval/robust.h"

static struct pool *pool;
static struct task_list list;
static struct task_opts opts = TASK_OPTS;
static const char said[] = "{\"text\": \"the cat sat and the cat sat\", \"paraphrase\": \"a cat was sitting\"}\n";

static int answer_all(const struct robust *r, struct evaluation *e)
{
    for (int i = 0; i < e->n_task; i++)
        for (int64_t k = 0; k < e->task[i].n; k++) {
            const struct request *q;
            struct reply y[8] = { 0 };
            const int n = task_requests(e->task[i].t, k, &q, NULL);
            for (int j = 0; j < n; j++)
                y[j] = (struct reply){ .loglik = -1.0 - (double)((q[j].n_context * 7 + q[j].n_continuation * 3 + (size_t)j) % 5), .n_token = 1 };
            if (n > 0 && e->task[i].item[k].state == EVAL_OPEN) {
                TRY(evaluation_take(e, i, k, y, n, &err));
                TRY(robust_took(r, e, i, k, &err));
            }
        }
    return 0;
}

static int find(void *ctx)
{
    struct robust r = { 0 };
    struct evaluation e = { 0 };
    struct paraphrases *p = NULL;
    struct robust_opts how = { .seed = 3 };
    json_t *found = NULL;
    (void)ctx;
    OK(robust_families_read(&how, "keyboard,word-drop,layout,options,examples", &err));
    OK(robust_strengths_read(&how, "2", &err));
    int rc = paraphrases_parse(&p, said, sizeof said - 1, "p", &err);
    how.paraphrases = p;
    if (rc >= 0)
        rc = robust_open(&r, &list, &how, &opts, &err);
    if (rc >= 0)
        rc = evaluation_init(&e, &r.list, &err);
    if (rc >= 0)
        rc = answer_all(&r, &e);
    if (rc >= 0)
        rc = evidence_new(&found, "robustness", "m", NULL, 3, &err);
    if (rc >= 0)
        rc = robust_report(found, &r, &e, pool, &err);
    json_decref(found);
    evaluation_release(&e);
    robust_release(&r);
    paraphrases_free(p);
    return rc < 0 ? rc : 0;
}

static void without_memory_it_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(find(NULL), 0);
    assert_true(each_allocation(find, NULL, false) > 300);
}

static int set_up(void **state)
{
    if (make_dir(state) || pool_new(&pool, 1, &err) < 0)
        return -1;
    write_docs("docs", 4);
    OK(task_list_add(&list, task_file("choices", "docs", "output_type: multiple_choice\nnum_fewshot: 2\nfewshot_split: test\ndoc_to_choice: [A, B, C]\ndoc_to_target: y\n"
                                                         "metric_list: [{metric: acc}, {metric: brier_score, aggregation: brier_score}]\nmetadata: {version: 1.0, cluster: p}"), &opts, &err));
    return 0;
}

static int tear_down(void **state)
{
    task_list_release(&list);
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(without_memory_it_is_an_error) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
