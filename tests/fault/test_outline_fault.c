/* test_outline_fault.c - the n-th allocation fails while documents about a version are made: an error, no crash, no leak. */
#include "each_allocation.h"
#include "report/outline.h"

static struct err err;

static int told(int rc)
{
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

static int documents(void *ctx)
{
    const struct outline_of *of = ctx;
    int rc = 0;
    for (int k = 0; k < N_OUTLINE && !rc; k++) {
        json_t *o;
        struct buf b;
        TRY(told(outline_make(&o, (enum outline_kind)k, of, &err)));
        buf_init(&b);
        rc = told(outline_text(o, &b, &err));
        if (!rc)
            rc = told(outline_page(o, &b, &err));
        if (!rc)
            rc = told(outline_bom(of, &b, &err));
        buf_release(&b);
        json_decref(o);
    }
    return rc;
}

static void every_failure_is_an_error(void **state)
{
    (void)state;
    json_t *version = json_pack("{s:s, s:i, s:s, s:{s:i}, s:[{s:s, s:s}]}", "name", "m", "number", 1, "root", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "facts", "n", 3, "parents",
                                "parent", "d@1", "role", "data");
    json_t *history = json_pack("[{s:i, s:s, s:s}]", "seq", 1, "action", "policy", "actor", "ann");
    struct outline_of of = { .version = version, .history = history };
    assert_true(each_allocation(documents, &of, false) > 50);
    json_decref(version), json_decref(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failure_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
