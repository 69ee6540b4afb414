/* test_images_fault.c - the n-th allocation or system call fails while images become a set, while a run prepares them or texts with
 * labels, and while a classifier is opened: an error with a message each time, nothing leaked, and no half file. */
#include "each_allocation.h"
#include "base/log.h"
#include "data/image_set.h"
#include "infer/classify.h"
#include "train/classes.h"

static struct pool *pool;

static void put(const char *name, const void *bytes, size_t n)
{
    struct err err;
    OK(file_write_all(in_dir(name), bytes, n, &err));
}

static void copy_image(const char *from, const char *to)
{
    struct err err;
    struct buf b;
    buf_init(&b);
    OK(file_read(path_in("tests/golden/images", from), 1 << 20, &b, &err));
    put(to, b.data, b.len);
    buf_release(&b);
}

static int set_up(void **state)
{
    struct err err;
    static const char labels[] = "\0\0\x08\x01\0\0\0\x04\0\x01\0\x01", images[] = "\0\0\x08\x03\0\0\0\x04\0\0\0\x02\0\0\0\x02" "abcdefghijklmnop";
    if (make_dir(state) || pool_new(&pool, 1, &err) < 0 || file_mkdirs(in_dir("f/ant"), &err) || file_mkdirs(in_dir("f/cat"), &err))
        return -1;
    log_level_set(LOG_QUIET);
    copy_image("rgb.png", "f/ant/a.png"), copy_image("grey.jpg", "f/cat/a.jpg"), copy_image("progressive.jpg", "f/cat/b.jpg");
    put("labels", labels, sizeof labels - 1), put("images", images, sizeof images - 1);
    char text[600];
    snprintf(text, sizeof text, "model: {model_type: vit, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 8, patch_size: 2}\n"
                                "data: {train: [%s/images, %s/labels], labels: [a, b], valid_share: 0}\n", test_dir, test_dir);
    put("c.yaml", text, strlen(text));
    static const char rows[] = "text,label\nthe one,b\nthe other,a\n\"the third, of three\",b\n";
    put("t.csv", rows, sizeof rows - 1);
    snprintf(text, sizeof text, "model: {hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 8}\n"
                                "data: {train: %s/t.csv, form: label, tokenizer: bytes, valid_share: 0}\n", test_dir);
    put("t.yaml", text, strlen(text));
    return 0;
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

static int open_set(struct labels *names, int rc, struct err *err)
{
    struct image_set set;
    labels_release(names);
    if (!rc && !(rc = image_set_open(&set, in_dir("set.img"), err)))
        image_set_close(&set);
    return rc;
}

static int from_folder(struct err *err)
{
    struct labels names = { 0 };
    const char *path = in_dir("f");
    struct image_source s = { .path = &path, .n_path = 1, .size = 8, .fit = IMAGE_CROP };
    return open_set(&names, image_set_write(in_dir("set.img"), &s, &names, false, err), err);
}

static int from_idx(struct err *err)
{
    struct labels names = { 0 };
    const char *path[2] = { in_dir("images"), in_dir("labels") };
    struct image_source s = { .path = path, .n_path = 2 };
    return open_set(&names, image_set_write(in_dir("set.img"), &s, &names, false, err), err);
}

static int prepare_from(const char *config, struct err *err)
{
    struct train_config c;
    struct classes k = { 0 };
    struct prepared p = { 0 };
    TRY(train_config_load(&c, in_dir(config), err));
    const int rc = classes_prepare(&k, &p, &c, config, in_dir("out"), err);
    classes_release(&k);
    prepare_release(&p);
    train_config_release(&c);
    return rc;
}

static int prepare(struct err *err) { return prepare_from("c.yaml", err); }
static int prepare_texts(struct err *err) { return prepare_from("t.yaml", err); }

static int open_classifier(struct err *err)
{
    struct classifier *c;
    TRY(classifier_new(&c, "tests/golden/vit", &(struct classify_opts){ 0 }, pool, err));
    classifier_free(c);
    return 0;
}

static int (*const work[])(struct err *err) = { from_folder, from_idx, prepare, prepare_texts, open_classifier };

static int run(void *ctx)
{
    struct err err = { 0 };
    const int rc = (*(int (*const *)(struct err *))ctx)(&err);
    if (rc < 0 && (rc != err.code || !*err.msg))
        fail_msg("code %d without a message", rc);
    return rc;
}

static int fail_each(enum failing what, size_t i)
{
    int (*one)(struct err *err) = work[i];
    assert_int_equal(run(&one), 0);
    return each_failure(what, 1, run, &one, true);
}

static void without_memory_there_is_an_error_and_no_leak(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        assert_true(fail_each(ALLOCATIONS, i) >= 5);
}

static void a_failing_system_call_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        assert_true(fail_each(CALLS, i) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_is_an_error_and_no_leak),
        cmocka_unit_test(a_failing_system_call_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
