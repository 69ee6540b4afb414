/* test_report_fault.c - the n-th allocation or system call fails while a page is made, lines go to TensorBoard's file, and a step is
 * predicted: an error, no crash, no leak, and the page that was there is whole. */
#include <math.h>
#include "each_allocation.h"
#include "base/log.h"
#include "train/loop.h"
#include "train/page.h"
#include "train/tensorboard.h"

static struct err err;

/* An error has a message. */
static int told(int rc)
{
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

static int page(void *unused) { return (void)unused, told(page_of_folder("tests/golden/events", in_dir("page.html"), &err)); }

static int board(void *unused)
{
    struct tensorboard t;
    (void)unused;
    TRY(told(tensorboard_open(&t, in_dir("board"), 5, &err)));
    json_t *line = json_pack("{s:i, s:f, s:s, s:[{s:f}]}", "step", 1, "loss", 2.0, "event", "e", "experts", "load", 1.0);
    const int rc = line ? tensorboard_add(&t, line, true, &err) : ERR_NOMEM;
    json_decref(line);
    tensorboard_close(&t);
    return rc;
}

static int plan(void *unused)
{
    (void)unused;
    struct train_result r;
    const struct train_opts o = { .config = in_dir("c.yaml"), .out = in_dir("run"), .n_thread = 1, .dry_run = true, .fail_step = -1 };
    return told(train_run(&o, &r, &err));
}

static void every_failure_while_a_page_is_made_is_an_error(void **state)
{
    (void)state;
    struct buf whole, now;
    buf_init(&whole);
    buf_init(&now);
    OK(page(NULL));
    OK(file_read(in_dir("page.html"), 1 << 20, &whole, &err));
    assert_true(each_allocation(page, NULL, true) > 20);
    assert_true(each_failure(CALLS, 1, page, NULL, true) > 4);
    OK(file_read(in_dir("page.html"), 1 << 20, &now, &err));
    assert_string_equal(whole.data, now.data);
    buf_release(&whole);
    buf_release(&now);
}

static void every_failure_of_tensorboards_file_is_an_error(void **state)
{
    (void)state;
    OK(board(NULL));
    assert_true(each_allocation(board, NULL, true) > 10);
    assert_true(each_failure(CALLS, 1, board, NULL, true) > 3);
}

static void every_failure_of_a_plan_is_an_error(void **state)
{
    (void)state;
    OK(plan(NULL));
    assert_true(each_failure(ALLOCATIONS, 7, plan, NULL, true) > 20);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 60; i++)
        OK(buf_add_str(&b, "the cat sat on a mat. ", &err));
    OK(file_write_all(in_dir("text.txt"), b.data, b.len, &err));
    buf_clear(&b);
    OK(buf_printf(&b, &err, "model: {hidden_size: 8, num_hidden_layers: 3, num_attention_heads: 2, intermediate_size: 8, norm: rmsnorm, act: swiglu, pos: rope}\n"
                  "data: {train: %s, tokenizer: bytes}\ntrain: {steps: 3, batch: 2, ctx: 8, warmup: 1}\n", in_dir("text.txt")));
    OK(file_write_all(in_dir("c.yaml"), b.data, b.len, &err));
    buf_release(&b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_while_a_page_is_made_is_an_error),
        cmocka_unit_test(every_failure_of_tensorboards_file_is_an_error),
        cmocka_unit_test(every_failure_of_a_plan_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
