/* What is due, without memory. */
#include "../unit/eval_model.h"
#include "each_allocation.h"
#include "eval/due.h"

static struct task *task;

static int ask(void *ctx)
{
    json_t *report = json_pack("{s:[{s:s, s:s, s:i, s:i}]}", "contamination", "set", "docs", "path", in_dir("docs.jsonl"), "items", 8, "items_hit", 2);
    json_t *evidence = json_pack("[{s:s, s:{s:{s:s}, s:{s:s}, s:{s:{s:{s:i}}}}}]", "kind", "tasks", "results", "config", "model_sha", "m", "versions", "one", "1.0", "lathe", "tasks", "one", "items", 8);
    json_t *ran = NULL, *leaks = NULL, *about = NULL;
    (void)ctx;
    int rc = report && evidence ? due_ran(&ran, evidence, "m", "", &err) : ERR(&err, NOMEM, "no memory");
    rc = rc ? rc : due_about(&about, "one", task_config(task), &err);
    rc = rc ? rc : due_leaks(&leaks, report, task, &err);
    json_decref(report), json_decref(evidence), json_decref(ran), json_decref(leaks), json_decref(about);
    return rc;
}

static int list(void *ctx)
{
    struct task_list l = { 0 };
    struct task_opts o = TASK_OPTS;
    json_t *names = NULL, *meta = NULL;
    (void)ctx;
    int rc = task_names(&names, &l, &o, &err);
    rc = rc ? rc : task_metadata(&meta, &l, "hellaswag", &o, &err);
    json_decref(names), json_decref(meta);
    task_list_release(&l);
    return rc;
}

static void what_is_due_without_memory_is_an_error(void **state)
{
    (void)state;
    write_docs("docs", 8);
    OK(task_open(&task, task_file("one", "docs", CHOICES), &(struct task_opts)TASK_OPTS, &err));
    /* A file whose bytes cannot be compared for lack of memory is told as not the task's. */
    assert_true(each_allocation(ask, NULL, true) > 20);
    assert_true(each_allocation(list, NULL, false) > 20);
    task_free(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_due_without_memory_is_an_error) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
