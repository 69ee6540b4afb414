/* test_flow_fault.c - the n-th allocation or system call fails while stages are read, filled in and looked at: an error, no crash, no leak. */
#include "each_allocation.h"
#include "flow/record.h"

static struct err err;

static bool flag;
static const char *text_value = "";
static const struct opt opts[] = {
    { OPT_STR, "out", &text_value, "<folder>", "where", 0, 0 },
    { OPT_FLAG, "json", &flag, NULL, "as JSON", 0, 0 },
    { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
};

static bool find(struct flow_command *out, const char *const *word, int n)
{
    (void)word, (void)n;
    *out = (struct flow_command){ .name = "make", .n_word = 1, .opts = opts };
    return true;
}

static int told(int rc)
{
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

static int look_at(struct flow *f, struct digests *d)
{
    json_t *wanted = NULL, *before = NULL, *made = NULL;
    enum record_why why;
    struct buf b;
    buf_init(&b);
    int rc = told(record_wanted(&wanted, f, &f->stage[1], d, &err));
    if (!rc)
        rc = told(record_load(&before, &f->stage[1], &err));
    if (!rc)
        rc = told(record_compare(&why, &b, before, wanted, &f->stage[1], d, &err));
    if (!rc)
        rc = told(record_made(&made, f, &f->stage[1], &err));
    if (!rc)
        rc = told(record_save(wanted, &f->stage[1], &err));
    json_decref(wanted), json_decref(before), json_decref(made);
    buf_release(&b);
    return rc;
}

static int all_of_it(void *unused)
{
    (void)unused;
    struct flow f;
    struct digests d;
    TRY(told(flow_read(&f, in_dir("flow.json"), find, &err)));
    int rc = told(digests_open(&d, f.out, &err));
    if (!rc) {
        rc = look_at(&f, &d);
        d.changed = true;
        if (!rc)
            rc = told(digests_save(&d, &err));
        digests_close(&d);
    }
    flow_release(&f);
    return rc;
}

static void every_failure_is_an_error(void **state)
{
    (void)state;
    const char *in = "{}", *printed = "{\"n\": 3}";
    char *text = mem_printf("{\"out\": \"%s\", \"stages\": {\"a\": {\"run\": \"make x\"}, \"b\": {\"run\": [\"make\", \"$(a.n)\", \"%s\"], \"options\": {\"out\": \"$(this)\"}, \"needs\": [\"a\"]}}}",
                            in_dir("o"), in_dir("in.json"));
    OK(file_mkdirs(in_dir("o/a"), &err));
    OK(file_mkdirs(in_dir("o/b/out"), &err));
    OK(file_write_all(in_dir("flow.json"), text, strlen(text), &err));
    OK(file_write_all(in_dir("in.json"), in, strlen(in), &err));
    OK(file_write_all(in_dir("o/a/result.json"), printed, strlen(printed), &err));
    mem_free(text);
    OK(all_of_it(NULL));
    assert_true(each_allocation(all_of_it, NULL, true) > 50);
    assert_true(each_failure(CALLS, 1, all_of_it, NULL, true) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(every_failure_is_an_error, make_dir, remove_dir) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
