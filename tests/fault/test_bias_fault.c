/* test_bias_fault.c - scores by group and of bias when memory fails: an error, nothing left behind, wherever it happens. */
#include "../unit/bias_tasks.h"
#include "each_allocation.h"
#include "eval/bias.h"
#include "eval/evidence.h"
#include "eval/group_report.h"
#include "eval/group_shares.h"

static struct asked bbq, crows, classes;
static struct pool *pool;

static int bias_of(void *ctx)
{
    const struct asked *a = ctx;
    json_t *evidence = NULL;
    TRY(evidence_new(&evidence, "bias", NULL, NULL, 1, &err));
    const int rc = bias_add(evidence, &a->e.task[0], 1, NULL, &err);
    json_decref(evidence);
    return rc;
}

static int groups_of(void *ctx)
{
    const struct group_report_opts o = { .seed = 1, .pool = pool };
    json_t *evidence = NULL;
    TRY(evidence_new(&evidence, "groups", NULL, NULL, 1, &err));
    const int rc = group_report_add(evidence, &classes.e.task[0], ctx, &o, &err);
    json_decref(evidence);
    return rc;
}

static int shares(void *ctx)
{
    json_t *audit;
    TRY(group_shares_load(&audit, ctx, &err));
    json_decref(audit);
    return 0;
}

static void each_allocation_of_bias_scores_can_fail(void **state)
{
    (void)state;
    assert_true(each_failure(ALLOCATIONS, 3, bias_of, &bbq, false) > 20);
    assert_true(each_allocation(bias_of, &crows, false) > 20);
}

static void each_allocation_of_scores_by_group_can_fail(void **state)
{
    (void)state;
    char field[] = "group", both[] = "group+y";
    assert_true(each_failure(ALLOCATIONS, 3, groups_of, field, false) > 20);
    assert_true(each_failure(ALLOCATIONS, 41, groups_of, both, false) > 2);
}

static void each_allocation_and_call_of_an_audits_shares_can_fail(void **state)
{
    (void)state;
    static const char report[] = "{\"totals\": {\"records\": 2}, \"sources\": []}";
    OK(file_write_all(in_dir("report.json"), report, sizeof report - 1, &err));
    assert_true(each_allocation(shares, in_dir("report.json"), false) > 2);
    assert_true(each_failure(CALLS, 1, shares, in_dir("report.json"), false) > 0);
}

static int second(int64_t i, void *ctx) { return (void)ctx, i % 3 == 0; }

static int set_up(void **state)
{
    static const char pairs[] = ",sent_more,sent_less,stereo_antistereo,bias_type\n0,a,b,stereo,age\n1,c,d,stereo,age\n2,e,f,antistereo,gender\n3,g,h,stereo,gender\n";
    int n = 66;
    json_t *all;
    if (make_dir(state))
        return -1;
    OK(pool_new(&pool, 1, &err));
    OK(tree_load(&all, "tests/golden/bias.json", 1 << 20, &err));
    json_t *rows = json_object_get(json_object_get(all, "bbq"), "rows");
    write_bbq(in_dir("bbq.jsonl"), rows, 24);
    OK(ask(&bbq, "bbq", in_dir("bbq.jsonl")));
    OK(answer_each(&bbq, row_choice, rows));
    json_decref(all);
    OK(file_write_all(in_dir("crows.csv"), pairs, sizeof pairs - 1, &err));
    OK(ask(&crows, "crows_pairs_english", in_dir("crows.csv")));
    OK(answer_each(&crows, second, NULL));
    write_classes(in_dir("classes.yaml"), in_dir("classes.jsonl"), n);
    OK(ask(&classes, in_dir("classes.yaml"), in_dir("classes.jsonl")));
    return answer_each(&classes, class_choice, &n);
}

static int tear_down(void **state)
{
    asked_release(&bbq), asked_release(&crows), asked_release(&classes);
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_bias_scores_can_fail),
        cmocka_unit_test(each_allocation_of_scores_by_group_can_fail),
        cmocka_unit_test(each_allocation_and_call_of_an_audits_shares_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
