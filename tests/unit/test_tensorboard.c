/* test_tensorboard.c - event files against those that TensorBoard's own code makes of the same lines (tools/golden/events.py); a
 * resumed run's file; a disk that is full. */
#include <errno.h>
#include "../test.h"
#include "base/log.h"
#include "base/tree.h"
#include "train/loop.h"
#include "train/tensorboard.h"

static struct err err;

/* The only file in a folder. */
static char *only_file(const char *dir)
{
    char **names;
    int n;
    OK(file_list(dir, &names, &n, &err));
    assert_int_equal(n, 1);
    char *path = path_in(dir, names[0]);
    file_list_free(names, n);
    return path;
}

static void add_lines(struct tensorboard *t, const char *path)
{
    struct buf text;
    buf_init(&text);
    OK(file_read(path, 1 << 20, &text, &err));
    for (char *at = text.data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *line;
        OK(tree_parse_json(&line, at, (size_t)(end - at), path, &err));
        OK(tensorboard_add(t, line, at == text.data, &err));
        json_decref(line);
    }
    buf_release(&text);
}

static void records_are_tensorboards_own_to_the_byte(void **state)
{
    (void)state;
    struct tensorboard t;
    struct buf got, want;
    buf_init(&got);
    buf_init(&want);
    OK(file_mkdirs(in_dir("board"), &err));
    OK(file_write_all(in_dir("board/events.out.tfevents.0000000001.lathe"), "old", 3, &err));
    OK(tensorboard_open(&t, in_dir("board"), 1764115000, &err));
    add_lines(&t, "tests/golden/events/metrics.jsonl");
    OK(tensorboard_add(&t, json_null(), true, &err));        /* no line: nothing but what was waiting */
    tensorboard_close(&t);
    tensorboard_close(&t);
    OK(file_read(only_file(in_dir("board")), 1 << 20, &got, &err));
    OK(file_read("tests/golden/events/events", 1 << 20, &want, &err));
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    buf_release(&got);
    buf_release(&want);
}

static void files_of_others_stay(void **state)
{
    (void)state;
    struct tensorboard t;
    OK(file_mkdirs(in_dir("shared"), &err));
    OK(file_write_all(in_dir("shared/events.out.tfevents.5.host"), "other", 5, &err));
    OK(tensorboard_open(&t, in_dir("shared"), 7, &err));
    tensorboard_close(&t);
    assert_true(file_exists(in_dir("shared/events.out.tfevents.5.host")));
    assert_true(file_exists(in_dir("shared/events.out.tfevents.0000000007.lathe")));
}

/* ---- of a run ---- */

static void write_run(void)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 300; i++)
        OK(buf_add_str(&b, "the cat sat on a mat and the dog ran. ", &err));
    OK(file_write_all(in_dir("text.txt"), b.data, b.len, &err));
    buf_clear(&b);
    OK(buf_printf(&b, &err, "model: {hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 16, norm: rmsnorm,"
                  " act: swiglu, pos: rope}\ndata: {train: %s, tokenizer: bytes}\ntrain: {steps: 8, batch: 2, ctx: 16, warmup: 1, save_every: 3, eval_every: 4}\n", in_dir("text.txt")));
    OK(file_write_all(in_dir("c.yaml"), b.data, b.len, &err));
    buf_release(&b);
}

static int train(const char *out, volatile sig_atomic_t *stop)
{
    struct train_result r;
    const struct train_opts o = { .config = in_dir("c.yaml"), .out = in_dir(out), .n_thread = 1, .stop = stop, .fail_step = -1 };
    return train_run(&o, &r, &err);
}

/* Records of a file, and how often the tag occurs in them. */
static void count(const char *out, const char *tag, int *n_record, int *n_tag)
{
    struct buf b;
    char folder[100];
    buf_init(&b);
    snprintf(folder, sizeof folder, "%s/tensorboard", out);
    OK(file_read(only_file(in_dir(folder)), 1 << 20, &b, &err));
    *n_record = *n_tag = 0;
    for (size_t at = 0; at < b.len;) {
        uint64_t n;
        assert_true(b.len - at >= 16);
        memcpy(&n, b.data + at, sizeof n);
        assert_true(n <= b.len - at - 16);
        *n_record += 1;
        for (const char *p = b.data + at + 12, *end = p + n - strlen(tag); p <= end; p++)
            *n_tag += !memcmp(p, tag, strlen(tag));
        at += 16 + n;
    }
    buf_release(&b);
}

static void a_run_that_was_stopped_has_each_step_once(void **state)
{
    (void)state;
    int n_record[2], n_tag[2];
    volatile sig_atomic_t stop = 1;
    OK(train("whole", NULL));
    for (int n = 1; train("stopped", &stop) == ERR_STOPPED; n++)
        assert_true(n < 9);
    static const char *const tags[] = { "grad_norm", "valid_bits_per_byte", "experts/entropy/01", "share_of_peak" };
    static const int want[] = { 8, 2, 8, 8 };
    for (int i = 0; i < 4; i++) {
        count("whole", tags[i], &n_record[0], &n_tag[0]);
        count("stopped", tags[i], &n_record[1], &n_tag[1]);
        assert_int_equal(n_tag[0], want[i]);
        assert_int_equal(n_record[0], 2 + 8 + 2);
        if (i == 1)                          /* no evaluation in a step after which it stops */
            assert_in_range(n_tag[1], 1, 2);
        else
            assert_int_equal(n_tag[1], want[i]);
    }
}

static void a_full_disk_costs_points_and_not_the_run(void **state)
{
    (void)state;
    struct tensorboard t;
    OK(tensorboard_open(&t, in_dir("full"), 9, &err));
    json_t *line = json_pack("{s:i, s:f}", "step", 1, "loss", 2.0);
    OK(tensorboard_add(&t, line, true, &err));
    struct buf before, after;
    buf_init(&before);
    buf_init(&after);
    OK(file_read(only_file(in_dir("full")), 1 << 20, &before, &err));
    file_fail_at(0, ENOSPC);
    assert_int_equal(tensorboard_add(&t, line, true, &err), ERR_IO);
    file_fail_at(-1, 0);
    OK(file_read(only_file(in_dir("full")), 1 << 20, &after, &err));
    assert_int_equal(before.len, after.len);
    OK(tensorboard_add(&t, line, true, &err));
    buf_clear(&after);
    OK(file_read(only_file(in_dir("full")), 1 << 20, &after, &err));
    assert_true(after.len > before.len);
    tensorboard_close(&t);
    json_decref(line);
    buf_release(&before);
    buf_release(&after);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    write_run();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_tensorboards_own_to_the_byte),
        cmocka_unit_test(files_of_others_stay),
        cmocka_unit_test(a_run_that_was_stopped_has_each_step_once),
        cmocka_unit_test(a_full_disk_costs_points_and_not_the_run),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
