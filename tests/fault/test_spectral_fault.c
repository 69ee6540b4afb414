/* test_spectral_fault.c - a model's vectors of labelled texts, with each third allocation failing in turn, and a model that fails. */
#include "each_allocation.h"
#include "audit/audit.h"

static struct err err;

static int embed(void *ctx, const char *text, size_t n, float *out, struct err *e)
{
    int *left = ctx;
    if (!(*left)--)
        return ERR(e, RANGE, "no more");
    out[0] = (float)n, out[1] = text[n / 2];
    return 0;
}

static int run(int left)
{
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    json_t *report = NULL;
    const struct audit_embedder with = { "fake", 2, embed, &left };
    int rc = file_remove_tree(in_dir("out"), &err);
    rc = rc ? rc : sources_add(&s, in_dir("data.yaml"), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    rc = rc ? rc : audit_run(&s, &(struct audit_opts){ .dir = in_dir("out"), .pool = pool, .embedder = &with, .keep_duplicates = true }, &report, &err);
    json_decref(report);
    pool_free(pool);
    sources_release(&s);
    return rc;
}

static int run_all(void *ctx)
{
    (void)ctx;
    return run(-1);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_failure(ALLOCATIONS, 3, run_all, NULL, true) > 20);
}

static void a_model_that_fails_ends_the_audit(void **state)
{
    (void)state;
    assert_int_equal(run(7), ERR_RANGE);
    assert_string_equal(err.msg, "no more");
    OK(run(-1));
}

static int make_files(void **state)
{
    static const char yaml[] = "sources:\n  - {name: a, path: a.csv, label: kind}\n";
    struct buf b;
    if (make_dir(state))
        return -1;
    buf_init(&b);
    OK(buf_add_str(&b, "text,kind\n", &err));
    for (int i = 0; i < 25; i++)
        OK(buf_printf(&b, &err, "a text of number %d,%s\n", i * i, i == 9 ? "\xff" : "one"));      /* a label that is no UTF-8 is none */
    OK(file_write_all(in_dir("a.csv"), b.data, b.len, &err));
    buf_release(&b);
    return file_write_all(in_dir("data.yaml"), yaml, sizeof yaml - 1, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(a_model_that_fails_ends_the_audit),
    };
    return cmocka_run_group_tests(tests, make_files, remove_dir);
}
