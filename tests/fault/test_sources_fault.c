/* test_sources_fault.c - files of records are read with each allocation failing in turn, and each system call. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include "each_allocation.h"
#include "audit/pass.h"
#include "base/file.h"

static struct err err;

struct sum { size_t bytes; int n_record, n_fault, n_ended, n_broken; };

static int add(void *ctx, int file, const struct pass_record *r, struct buf *out, int i_thread, struct err *e)
{
    (void)ctx, (void)file, (void)i_thread;
    return buf_printf(out, e, "%d %zu\n", (int)r->fault, r->n);
}

static int put(void *ctx, int file, int64_t next, const struct buf *out, struct err *e)
{
    struct sum *s = ctx;
    (void)file, (void)next, (void)e;
    for (const char *p = out->data; *p; p = strchr(p, '\n') + 1) {
        s->n_record++, s->n_fault += *p != '0';
        s->bytes += strtoul(p + 2, NULL, 10);
    }
    return 0;
}

static int ended(void *ctx, const struct pass_file *f, struct err *e)
{
    struct sum *s = ctx;
    (void)e;
    s->n_ended++, s->n_broken += f->why != NULL;
    return 0;
}

static int run(void *ctx)
{
    struct sum *sum = ctx;
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    *sum = (struct sum){ 0 };
    int rc = sources_add(&s, in_dir("data.yaml"), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    const struct pass_opts o = { .pool = pool, .record = add, .put = put, .ended = ended, .ctx = sum };
    rc = rc ? rc : pass_run(&s, 0, 0, &o, &err);
    pool_free(pool);
    sources_release(&s);
    return rc;
}

/* jansson does without some allocations. */
static int run_all(void *ctx)
{
    const struct sum *s = ctx;
    TRY(run(ctx));
    assert_int_equal(s->n_record, 7);
    assert_int_equal(s->n_fault, 2);
    assert_int_equal(s->n_ended, 3);
    assert_int_equal(s->n_broken, 0);
    return 0;
}

static void no_memory_is_an_error_and_no_lost_record(void **state)
{
    (void)state;
    struct sum sum;
    assert_true(each_allocation(run_all, &sum, true) > 40);
}

/* A file that cannot be read is told; the others' records are all there. */
static void files_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    struct sum all, sum;
    OK(run(&all));
    int n_refused = 0, n_told = 0;
    for (int64_t n = 0;; n++) {
        file_fail_at(n, EIO);
        const int rc = run(&sum);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        if (!reached)
            break;
        n_refused += rc < 0, n_told += !rc && sum.n_broken == 1;
        assert_true(rc == ERR_IO || (!rc && sum.n_ended == 3 && sum.n_broken == 1 && sum.n_record < all.n_record));
    }
    assert_true(n_refused > 0 && n_told >= 3);
}

static int make_files(void **state)
{
    static const char yaml[] = "sources:\n  - {name: a, path: a.jsonl.gz, field: body}\n  - {name: b, path: b.csv}\n  - {name: c, path: c.txt, licence: MIT}\n";
    static const char lines[] = "{\"body\": \"one\"}\n{\"body\": \"two \\u00e9\"}\n{\"body\": 3}\n", rows[] = "id,text\n1,\"a \"\"b\"\"\"\n2,c\n3\n";
    if (make_dir(state))
        return -1;
    gzFile z = gzopen(in_dir("a.jsonl.gz"), "wb");
    if (!z || gzwrite(z, lines, sizeof lines - 1) <= 0 || gzclose(z))
        return -1;
    return file_write_all(in_dir("b.csv"), rows, sizeof rows - 1, NULL) || file_write_all(in_dir("c.txt"), "a text\n", 7, NULL) || file_write_all(in_dir("data.yaml"), yaml, sizeof yaml - 1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error_and_no_lost_record),
        cmocka_unit_test(files_that_cannot_be_read_are_told),
    };
    return cmocka_run_group_tests(tests, make_files, remove_dir);
}
