/* test_tok_fault.c - the n-th allocation fails, for every n: an error, no crash, no leak. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include "base/mem.h"
#include "model/tok.h"

static struct err err;

static int train_write_parse_encode(void)
{
    static const char text[] = "the cat sat on the mat and the dog sat on the cat; the cat sat.";
    struct tok *t = NULL, *again = NULL;
    struct tok_ids ids = { 0 };
    struct buf file;
    buf_init(&file);
    int rc = tok_train_bpe(&t, &(struct tok_text){ text, sizeof text - 1 }, 1, 270, &err);
    if (!rc)
        rc = tok_write(t, &file, &err);
    if (!rc)
        rc = tok_parse(&again, file.data, file.len, "again", &err);
    if (!rc)
        rc = tok_encode(again, text, sizeof text - 1, TOK_SPECIALS, &ids, &err);
    tok_ids_release(&ids);
    buf_release(&file);
    tok_free(t);
    tok_free(again);
    return rc;
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    struct mem_stats before, after;
    mem_stats_get(&before);
    int n_failed = 0;
    for (int64_t n = 0;; n++) {
        mem_fail_at(n);
        const int rc = train_write_parse_encode();
        const bool reached = mem_fail_count() > n;
        mem_fail_at(-1);
        mem_stats_get(&after);
        assert_int_equal(before.n_live, after.n_live);
        if (!reached) {
            assert_int_equal(rc, 0);
            break;
        }
        if (rc) {
            n_failed++;
            assert_int_equal(rc, ERR_NOMEM);
        }
    }
    assert_true(n_failed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
