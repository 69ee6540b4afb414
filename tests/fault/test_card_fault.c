/* test_card_fault.c - the documents of an audit are made with an allocation failing, and each system call: an error, no crash, no leak, and
 * documents that are whole, of this card or of the one before. */
#include "each_allocation.h"
#include "base/tree.h"
#include "card/card.h"

static struct err err;
static json_t *report, *answers, *files;

static int card(void *unused)
{
    const struct card_opts o = { .name = "tales", .created = "2026-11-26", .answers = answers, .files = files };
    (void)unused;
    const int rc = card_write(report, &o, in_dir("card"), NULL, &err);
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

/* One of so many allocations: there are some ten thousand, and all documents are made anew each time. */
static void every_failure_is_an_error(void **state)
{
    (void)state;
    OK(card(NULL));
    assert_true(each_failure(ALLOCATIONS, 7, card, NULL, false) > 20);
    files = json_pack("[{s:s, s:i, s:s, s:s}]", "path", "train/0.jsonl", "bytes", 7, "sha256", "00000000000000000000000000000000000000000000000000000000000000aa", "split", "train");
    assert_true(each_failure(ALLOCATIONS, 13, card, NULL, false) > 20);
}

static void every_document_is_whole_whatever_call_fails(void **state)
{
    (void)state;
    static const char *const names[] = { "report.html", "report.json", "datasheet.md", "README.md", "questions.yaml", "croissant.json", "spdx.json", "cyclonedx.json" };
    struct buf whole[8], now;
    for (int i = 0; i < 8; i++) {
        buf_init(&whole[i]);
        OK(card(NULL));
        OK(file_read(path_in(in_dir("card"), names[i]), 1 << 22, &whole[i], &err));
    }
    assert_true(each_failure(CALLS, 1, card, NULL, false) > 20);
    buf_init(&now);
    for (int i = 0; i < 8; i++) {
        buf_clear(&now);
        OK(file_read(path_in(in_dir("card"), names[i]), 1 << 22, &now, &err));
        assert_string_equal(now.data, whole[i].data);
        buf_release(&whole[i]);
    }
    buf_release(&now);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    OK(tree_load(&report, "tests/golden/card/report.json", 1 << 20, &err));
    answers = json_pack("{s:s, s:s}", "about.creator", "Person: Ada", "about.licence", "MIT");
    return answers ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(report), json_decref(answers), json_decref(files);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_is_an_error),
        cmocka_unit_test(every_document_is_whole_whatever_call_fails),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
