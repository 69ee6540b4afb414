/* test_image_labels.c - arrays of images with a file of labels beside them: classes, images with two labels, and labels that may be wrong. */
#include <zlib.h>
#include "../test.h"
#include "audit/audit.h"
#include "base/rng.h"
#include "data/idx.h"

static struct err err;

static json_t *audit(const char *path, const char *dir, int n_thread)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    json_t *report;
    OK(pool_new(&pool, n_thread, &err));
    OK(sources_add(&s, path, &err));
    OK(audit_run(&s, &(struct audit_opts){ .dir = in_dir(dir), .pool = pool }, &report, &err));
    sources_release(&s);
    pool_free(pool);
    return report;
}

static int64_t number(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static const json_t *set_of(const json_t *report) { return json_array_get(json_object_get(json_object_get(report, "labels"), "sources"), 0); }

static const json_t *class_of(const json_t *set, const char *label)
{
    const json_t *o;
    size_t i;
    json_array_foreach(json_object_get(set, "classes"), i, o)
        if (!strcmp(json_string_value(json_object_get(o, "label")), label))
            return o;
    return NULL;
}

/* n images of 4 by 4, of which two in succession are the same, and their labels. */
static void write_images(const char *name, int n)
{
    struct buf b;
    buf_init(&b);
    OK(buf_add(&b, (unsigned char[16]){ 0, 0, 8, 3, 0, 0, 0, (unsigned char)n, 0, 0, 0, 4, 0, 0, 0, 4 }, 16, &err));
    for (int i = 0; i < 16 * n; i++)
        OK(buf_add_char(&b, (char)rng_below(1, (uint64_t)(i / 32 * 16 + i % 16), 256), &err));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

static void write_labels(const char *name, const char *labels, int n, bool packed)
{
    unsigned char b[100] = { 0, 0, 8, 1, 0, 0, 0, (unsigned char)n };
    for (int i = 0; i < n; i++)
        b[8 + i] = (unsigned char)(labels[i] - '0');
    if (!packed) {
        OK(file_write_all(in_dir(name), b, 8 + (size_t)n, &err));
        return;
    }
    gzFile z = gzopen(in_dir(name), "wb");
    assert_true(z && gzwrite(z, b, 8 + (unsigned)n) > 0 && !gzclose(z));
}

static void labels_beside_images_are_their_classes(void **state)
{
    (void)state;
    static const struct { const char *folder, *images, *labels; bool packed; } cases[] = {
        { "a", "a/train-images-idx3-ubyte", "a/train-labels-idx1-ubyte", false },
        { "b", "b/train-images.idx3-ubyte", "b/train-labels.idx1-ubyte", false },
        { "c", "c/images-idx3-ubyte", "c/labels-idx1-ubyte", true },      /* what it is is seen in it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char seen[40];
        snprintf(seen, sizeof seen, "seen-%s", cases[i].folder);
        OK(file_mkdirs(in_dir(cases[i].folder), &err));
        write_images(cases[i].images, 8);
        write_labels(cases[i].labels, "00122233", 8, cases[i].packed);
        json_t *r = audit(in_dir(cases[i].folder), seen, 2);
        const json_t *set = set_of(r);
        assert_int_equal(number(set, "records"), 8);
        assert_int_equal(number(class_of(set, "2"), "n"), 3);
        assert_int_equal(number(class_of(set, "1"), "n"), 1);
        assert_null(class_of(set, "9"));
        assert_int_equal(number(json_object_get(set, "same_image"), "groups"), 1);       /* 1 and 2 */
        assert_int_equal(number(json_object_get(set, "same_image"), "records"), 2);
        assert_null(json_object_get(set, "same_text"));
        assert_int_equal(number(json_object_get(json_object_get(r, "totals"), "dropped"), "dup_exact"), 4);
        json_decref(r);
    }
}

static const char *file_error(const json_t *report)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(json_array_get(json_object_get(report, "sources"), 0), "files"), 0), "error"));
}

static void labels_that_do_not_fit_are_told(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("d"), &err));
    write_images("d/train-images-idx3-ubyte", 8);
    json_t *r = audit(in_dir("d"), "seen-d", 1);
    assert_null(file_error(r));
    assert_null(json_object_get(r, "labels"));
    json_decref(r);
    write_labels("d/train-labels-idx1-ubyte", "0012223", 7, false);
    r = audit(in_dir("d"), "seen-d2", 1);
    assert_non_null(strstr(file_error(r), "train-labels-idx1-ubyte' has rank 1 and 7 labels, expected one for each of 8 images"));
    assert_int_equal(number(json_object_get(r, "totals"), "records"), 0);
    json_decref(r);
    OK(file_write_all(in_dir("d/train-labels-idx1-ubyte"), "\0\0\x08\x01\0\0\0\x08..", 10, &err));
    r = audit(in_dir("d"), "seen-d3", 1);
    assert_non_null(strstr(file_error(r), "is cut off: 2 bytes, expected 8"));
    json_decref(r);
}

/* An audit that was stopped does not go on with other labels. */
static void other_labels_are_another_audit(void **state)
{
    (void)state;
    struct sources s = { .n = 0 };
    struct pool *pool;
    json_t *r;
    json_decref(audit(in_dir("a"), "seen-a", 1));
    write_labels("a/train-labels-idx1-ubyte", "00112233", 8, false);
    OK(pool_new(&pool, 1, &err));
    OK(sources_add(&s, in_dir("a"), &err));
    assert_int_equal(audit_run(&s, &(struct audit_opts){ .dir = in_dir("seen-a"), .pool = pool }, &r, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "labels"));
    sources_release(&s);
    pool_free(pool);
}

/* 10,000 digits, of which one of twenty has another label: the estimate is a twentieth more than without these (within a hundredth), and the first that are told are such. */
static void planted_noise_is_found(void **state)
{
    (void)state;
    struct idx labels;
    if (UNDER_THREAD) {
        print_message("SKIPPED: 30,000 images, under the thread sanitizer\n");
        skip();
    }
    OK(idx_read(&labels, shared("images-mnist-test/train10k-labels-idx1-ubyte.gz"), &err));
    struct buf b;
    buf_init(&b);
    json_t *clean = audit(shared("images-mnist-test/train10k-images-idx3-ubyte.gz"), "seen-e0", 2);
    OK(file_mkdirs(in_dir("e"), &err));
    OK(file_read(shared("images-mnist-test/train10k-images-idx3-ubyte.gz"), 1 << 24, &b, &err));
    OK(file_write_all(in_dir("e/images-idx3-ubyte.gz"), b.data, b.len, &err));
    buf_clear(&b);
    OK(buf_add(&b, "\0\0\x08\x01\0\0\x27\x10", 8, &err));
    for (size_t i = 0; i < 10000; i++)
        OK(buf_add_char(&b, (char)((labels.bytes.data[i] + (i % 20 == 7 ? 1 + (int)rng_below(4, i, 9) : 0)) % 10), &err));
    OK(file_write_all(in_dir("e/labels-idx1-ubyte"), b.data, b.len, &err));
    buf_release(&b);
    idx_release(&labels);
    json_t *one = audit(in_dir("e"), "seen-e1", 1), *two = audit(in_dir("e"), "seen-e2", 2), *o;
    assert_true(json_equal(one, two));
    const json_t *noise = json_object_get(set_of(one), "noise");
    const double rate = json_number_value(json_object_get(noise, "rate")), own = json_number_value(json_object_get(json_object_get(set_of(clean), "noise"), "rate"));
    print_message("noise of 0.05 is estimated as %.4f, without it as %.4f (accuracy %.3f), %lld issues\n", rate, own, json_number_value(json_object_get(noise, "accuracy")), (long long)number(noise, "issues"));
    assert_true(rate > own + 0.04 && rate < own + 0.06);
    size_t i;
    json_array_foreach(json_object_get(noise, "examples"), i, o)
        assert_int_equal(number(o, "record") % 20, 7);
    json_decref(clean);
    json_decref(one);
    json_decref(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_beside_images_are_their_classes),
        cmocka_unit_test(labels_that_do_not_fit_are_told),
        cmocka_unit_test(other_labels_are_another_audit),
        cmocka_unit_test(planted_noise_is_found),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
