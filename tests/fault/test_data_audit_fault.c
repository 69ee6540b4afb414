/* test_data_audit_fault.c - an audit of data with each allocation failing in turn, and each system call: it says so, and goes on afterwards. */
#include <errno.h>
#include "../test.h"
#include "audit/audit.h"
#include "audit/dup_index.h"
#include "base/mem.h"
#include "each_allocation.h"

static struct err err;
static int counted;                      /* signals, which make a report of thousands of allocations */

static int run(void *ctx)
{
    json_t **report = ctx;
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    struct refs refs;
    struct contam *contam = NULL;
    struct contam_opts methods;
    *report = NULL;
    refs_init(&refs);
    contam_defaults(&methods, NULL);
    methods.methods |= 1u << CONTAM_DATATROVE;
    int rc = sources_add(&s, in_dir("data.yaml"), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    for (int i = 0; i < 2 && !rc; i++)
        rc = refs_add(&refs, &(struct ref_spec){ .path = in_dir(i ? "evals.csv" : "evals.jsonl"), .format = N_REF_FORMAT }, &err);
    rc = rc ? rc : contam_new(&contam, &refs, &methods, &err);
    const struct audit_opts o = { .dir = in_dir("out"), .pool = pool, .records = true, .signals = counted, .contam = contam, .index = in_dir("index"), .index_add = "now" };
    rc = rc ? rc : audit_run(&s, &o, report, &err);
    contam_free(contam);
    refs_release(&refs);
    pool_free(pool);
    sources_release(&s);
    return rc;
}

static int run_anew(void *ctx)
{
    json_t **report = ctx;
    OK(file_remove_tree(in_dir("out"), &err));
    OK(file_remove_tree(in_dir("index/now.dup"), &err));
    TRY(run(ctx));
    const int64_t n = json_integer_value(json_object_get(json_object_get(*report, "totals"), "records"));
    json_decref(*report);
    assert_int_equal(n, 10);
    return 0;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    json_t *report;
    assert_true(each_allocation(run_anew, &report, true) > 100);
}

static void no_memory_for_signals_is_an_error(void **state)
{
    (void)state;
    json_t *report;
    OK(file_remove_tree(in_dir("out"), &err));
    counted = SIGNALS_BASE;
    assert_true(each_failure(ALLOCATIONS, 61, run_anew, &report, true) > 10);
    counted = 0;
}

/* Images and, in a file beside them, their labels. */
static int run_images(void *ctx)
{
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    json_t *report = NULL;
    (void)ctx;
    OK(file_remove_tree(in_dir("seen"), &err));
    int rc = sources_add(&s, in_dir("digits"), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    rc = rc ? rc : audit_run(&s, &(struct audit_opts){ .dir = in_dir("seen"), .pool = pool }, &report, &err);
    if (!rc)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(json_object_get(report, "labels"), "sources"), 0), "records")), 2);
    json_decref(report);
    pool_free(pool);
    sources_release(&s);
    return rc;
}

static void no_memory_for_labels_of_images_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(run_images, NULL, true) > 50);
}

/* What a failure left behind does not disturb the next audit. */
static void a_refused_call_is_an_error_and_the_next_audit_goes_on(void **state)
{
    (void)state;
    json_t *report;
    int n_refused = 0;
    OK(file_remove_tree(in_dir("out"), &err));
    for (int64_t n = 0;; n++) {
        OK(file_remove_tree(in_dir("index/now.dup"), &err));      /* of an audit that could not read a file */
        file_fail_at(n, EIO);
        const int rc = run(&report);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        json_decref(report);
        if (!reached)
            break;
        n_refused += rc < 0;
        if (rc && rc != ERR_IO && rc != ERR_CORRUPT)
            fail_msg("system call %lld: %s", (long long)n, err.msg);
        if (n % 3 == 0)
            OK(file_remove_tree(in_dir("out"), &err));
    }
    assert_true(n_refused > 20);
    OK(file_remove_tree(in_dir("out"), &err));
    OK(file_remove_tree(in_dir("index/now.dup"), &err));
    OK(run(&report));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "totals"), "kept")), 5);
    json_decref(report);
}

/* A snapshot of a record that is none. */
static int make_index(void)
{
    static const unsigned char row[4096] __attribute__((aligned(8)));
    struct minhash *m;
    TRY(minhash_new(&m, &MINHASH_DATATROVE, NULL));
    const int rc = dup_index_add(in_dir("index"), "old", m, &(struct dup_rows){ row, 1 }, 1, NULL);
    minhash_free(m);
    return rc;
}

#define LONG "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa"

static int make_files(void **state)
{
    static const char yaml[] = "sources:\n  - {name: a, path: a.jsonl, field: body, label: kind}\n  - {name: b, path: b.csv}\n  - {name: c, path: c.txt, licence: MIT}\n";
    static const char lines[] = "{\"body\": \"one\", \"kind\": \"x\"}\n{\"body\": \"two \\u00e9\", \"kind\": \"y\\n\"}\n{\"body\": 3}\n{\"body\": \"one\"}\n{\"body\": \"" LONG "\"}\n{\"body\": \"" LONG " quebec\"}\n", rows[] = "id,text\n1,\"a \"\"b\"\"\"\n2,c\n3\n";
    static const char known[] = "One two three four five six seven eight nine, ten eleven twelve thirteen fourteen? Caf\u00e9 fifteen sixteen.\n";
    static const char set[] = "{\"question\": \"One two three four five six seven eight nine, ten eleven twelve thirteen fourteen?\", \"answer\": \"Caf\\u00e9 fifteen sixteen.\", \"fingerprint\": \"1\"}\n"
                              "{\"question\": \"What else is there to be asked of anyone?\", \"passage\": \"Much, it is said, by those who know it well.\"}\n";
    static const char table[] = "a,1,2,3,4,B\n";
    if (make_dir(state) || file_mkdirs(in_dir("digits"), NULL) || file_write_all(in_dir("digits/a-images-idx3-ubyte"), "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" "abcdefgh", 24, NULL) ||
        file_write_all(in_dir("digits/a-labels-idx1-ubyte"), "\0\0\x08\x01\0\0\0\x02\0\x01", 10, NULL))
        return -1;
    return make_index() || file_write_all(in_dir("a.jsonl"), lines, sizeof lines - 1, NULL) || file_write_all(in_dir("b.csv"), rows, sizeof rows - 1, NULL) || file_write_all(in_dir("c.txt"), known, sizeof known - 1, NULL) || file_write_all(in_dir("evals.jsonl"), set, sizeof set - 1, NULL) ||
           file_write_all(in_dir("evals.csv"), table, sizeof table - 1, NULL) ||
           file_write_all(in_dir("data.yaml"), yaml, sizeof yaml - 1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(no_memory_for_signals_is_an_error),
        cmocka_unit_test(no_memory_for_labels_of_images_is_an_error),
        cmocka_unit_test(a_refused_call_is_an_error_and_the_next_audit_goes_on),
    };
    return cmocka_run_group_tests(tests, make_files, remove_dir);
}
