/* test_evaluation_report_fault.c - a folder of evaluations is read and its documents are made with an allocation failing, and each system call: an error, no
 * crash, no leak. */
#include "each_allocation.h"
#include "eval/evidence.h"
#include "eval/wrong.h"
#include "report/card.h"
#include "report/nist.h"
#include "report/report.h"

static struct err err;

static int documents(const json_t *report)
{
    struct buf b;
    json_t *nist = NULL;
    buf_init(&b);
    int rc = report_page(report, "n", &b, &err);
    if (rc >= 0)
        rc = report_card(&(struct card_of_model){ report, 0, NULL, NULL, NULL }, &b, &err);
    if (rc >= 0)
        rc = nist_make(&nist, report, &err);
    if (rc >= 0)
        rc = nist_text(nist, &b, &err);
    json_decref(nist);
    buf_release(&b);
    return rc;
}

static int all(void *folder)
{
    json_t *files = NULL, *report = NULL;
    int rc = evidence_files(&files, folder, &err);
    if (rc >= 0)
        rc = report_make(&report, files, &err);
    if (rc >= 0)
        rc = documents(report);
    json_decref(files), json_decref(report);
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

static int examples(void *folder)
{
    json_t *results = json_pack("{s:{s:{}}}", "results", "t"), *list = NULL;
    const int rc = results ? wrong_answers(&list, folder, "results_2026-11-26T10-00-00.000000.json", results, &err) : ERR_NOMEM;
    assert_true(rc < 0 || json_array_size(list) == 1);
    json_decref(results), json_decref(list);
    return rc;
}

static void examples_without_memory_are_an_error(void **state)
{
    (void)state;
    static const char line[] = "{\"doc_id\": 0, \"target\": \"a\", \"arguments\": {\"gen_args_0\": {\"arg_0\": \"Q\"}}, \"filtered_resps\": [\"b\"], "
                              "\"metrics\": [\"m\"], \"m\": 0}\n";
    OK(file_write_all(in_dir("samples_t_2026-11-26T10-00-00.000000.jsonl"), line, sizeof line - 1, &err));
    assert_true(each_allocation(examples, test_dir, false) > 10);
}

static void every_allocation_that_fails_is_an_error(void **state)
{
    (void)state;
    assert_true(each_failure(ALLOCATIONS, 7, all, (void *)(uintptr_t)"tests/golden/report", false) > 20);
}

static int read_files(void *folder)
{
    json_t *files = NULL;
    const int rc = evidence_files(&files, folder, &err);
    int n_error = 0;
    size_t i;
    json_t *f;
    json_array_foreach(files, i, f)
        n_error += json_object_get(f, "error") != NULL;
    json_decref(files);
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc < 0 ? rc : n_error > 2 ? ERR_IO : 0;              /* two are broken as they are, and may be so for another reason */
}

/* A file that cannot be read is told as such, and the others are there. */
static void every_call_that_fails_is_told(void **state)
{
    (void)state;
    assert_true(each_failure(CALLS, 1, read_files, (void *)(uintptr_t)"tests/golden/report", true) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(examples_without_memory_are_an_error), cmocka_unit_test(every_allocation_that_fails_is_an_error),
                                       cmocka_unit_test(every_call_that_fails_is_told) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
