/* test_images.c - idx files, PNG and JPEG against Pillow (tests/golden/images, tools/golden/images.py), and sets of labelled images. */
#include <zlib.h>
#include "golden.h"
#include "data/idx.h"
#include "data/image_set.h"

static struct err err;

/* ---- idx ---- */

#define IDX_3 "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03" "abcdefABCDEF"

static int parse(struct idx *x, const char *bytes, size_t n) { return idx_parse(x, bytes, n, "input", &err); }

static size_t pack(const void *from, size_t n, char *to, size_t room)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)n, .next_out = (Bytef *)to, .avail_out = (uInt)room };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void an_idx_file_is_read_plain_and_packed(void **state)
{
    (void)state;
    char packed[200];
    struct idx x;
    for (int gz = 0; gz < 2; gz++) {
        const size_t n = gz ? pack(IDX_3, sizeof IDX_3 - 1, packed, sizeof packed) : sizeof IDX_3 - 1;
        OK(parse(&x, gz ? packed : IDX_3, n));
        assert_int_equal(x.rank, 3);
        assert_true(x.size[0] == 2 && x.size[1] == 2 && x.size[2] == 3 && x.bytes.len == 12);
        assert_memory_equal(x.bytes.data, "abcdefABCDEF", 12);
        idx_release(&x);
    }
}

static void what_is_no_whole_idx_file_is_refused(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t n; int code; const char *says; } bad[] = {
        { "", 0, ERR_FORMAT, "no idx file" }, { "\0\0\x08", 3, ERR_FORMAT, "no idx file" }, { "ab\x08\x01", 4, ERR_FORMAT, "no idx file" },
        { "\0\0\x0d\x01\0\0\0\x01x", 9, ERR_UNSUPPORTED, "type 0x0d" }, { "\0\0\x08\0", 4, ERR_UNSUPPORTED, "rank 0" }, { "\0\0\x08\x05", 4, ERR_UNSUPPORTED, "rank 5" },
        { "\0\0\x08\x02\0\0\0", 7, ERR_CORRUPT, "its header" }, { "\0\0\x08\x01\0\0\0\0", 8, ERR_RANGE, "size 1 is 0" },
        { "\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", 12, ERR_RANGE, "at most 4 GiB" }, { "\0\0\x08\x01\xff\xff\xff\xff" "abc", 11, ERR_CORRUPT, "cut off: 3 bytes" },
        { IDX_3, sizeof IDX_3 - 2, ERR_CORRUPT, "cut off: 11 bytes, expected 12" }, { IDX_3, sizeof IDX_3, ERR_CORRUPT, "goes on" }, { "\x1f\x8b", 2, ERR_CORRUPT, "gzip" },
    };
    struct idx x;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(&x, bad[i].bytes, bad[i].n), bad[i].code);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%zu: '%s', expected '%s' in it", i, err.msg, bad[i].says);
    }
    char packed[200];
    const size_t n = pack(IDX_3, sizeof IDX_3 - 1, packed, sizeof packed);
    for (size_t i = 0; i < n - 8; i++)             /* without its end, and before that */
        assert_true(parse(&x, packed, i) < 0);
    packed[n / 2] ^= 0x55;
    assert_true(parse(&x, packed, n) < 0);
}

/* ---- PNG and JPEG ---- */

static const char *const files[] = { "alpha.png", "grey.png", "palette.png", "rgb.png", "grey.jpg", "progressive.jpg", "rgb.jpg" };
#define N_FILE (sizeof files / sizeof *files)

/* The largest difference from a golden tensor of that many numbers. */
static int farthest(const struct safetensors *st, const char *file, const char *what, const uint8_t *got, int64_t n)
{
    char name[60];
    snprintf(name, sizeof name, "%s.%s", file, what);
    const struct st_tensor *t = find(st, name);
    assert_int_equal(t->n, n);
    int most = 0;
    for (int64_t i = 0; i < n; i++) {
        const int d = got[i] - ((const int32_t *)t->data)[i];
        most = abs(d) > most ? abs(d) : most;
    }
    return most;
}

/* JPEG: the decoders may differ in the last bit; fitting: Pillow rounds in between. */
static void images_are_decoded_and_fitted_as_pillow_does_it(void **state)
{
    (void)state;
    struct safetensors *st;
    OK(safetensors_open(&st, "tests/golden/images/golden.safetensors", &err));
    for (size_t i = 0; i < N_FILE; i++) {
        struct image x;
        const char *path = path_in("tests/golden/images", files[i]);
        const int slack = strstr(files[i], ".jpg") ? 2 : 0;
        uint8_t out[3 * 12 * 12];
        OK(image_read(&x, path, 1, &err));
        assert_true(farthest(st, files[i], "grey", x.pixels, (int64_t)x.width * x.height) <= slack);
        image_release(&x);
        OK(image_read(&x, path, 3, &err));
        assert_true(farthest(st, files[i], "rgb", x.pixels, (int64_t)3 * x.width * x.height) <= slack);
        OK(image_fit(&x, IMAGE_STRETCH, 12, out, path, &err));
        assert_true(farthest(st, files[i], "stretch", out, sizeof out) <= slack + 1);
        OK(image_fit(&x, IMAGE_CROP, 12, out, path, &err));
        assert_true(farthest(st, files[i], "crop", out, sizeof out) <= slack + 2);
        assert_int_equal(image_fit(&x, IMAGE_REFUSE, 12, out, path, &err), ERR_FORMAT);
        assert_non_null(strstr(err.msg, "expected 12 by 12"));
        image_release(&x);
    }
    safetensors_free(st);
}

static void damaged_images_are_errors_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FILE; i++) {
        struct file_map map;
        struct image x;
        OK(file_map_open(&map, path_in("tests/golden/images", files[i]), &err));
        for (size_t n = 0; n + 14 < map.size; n += map.size / 23 + 1) {
            assert_true(image_decode(&x, map.data, n, 3, "short", &err) < 0);
            assert_non_null(strstr(err.msg, "short"));
            assert_null(x.pixels);
        }
        file_map_close(&map);
    }
    struct image x;
    assert_int_equal(image_decode(&x, "GIF89a..........", 16, 3, "x.gif", &err), ERR_FORMAT);
    assert_int_equal(image_decode(&x, "GIF89a..........", 16, 4, "x.gif", &err), ERR_UNSUPPORTED);
    assert_int_equal(image_read(&x, "/nowhere.png", 3, &err), ERR_NOTFOUND);
}

/* ---- sets ---- */

static void put(const char *name, const void *bytes, size_t n) { OK(file_write_all(in_dir(name), bytes, n, &err)); }

static void copy_image(const char *from, const char *to)
{
    struct file_map map;
    OK(file_map_open(&map, path_in("tests/golden/images", from), &err));
    put(to, map.data, map.size);
    file_map_close(&map);
}

static int write_folder(const char *folder, struct image_source *s, struct labels *names, bool fixed)
{
    const char *path = in_dir(folder);
    s->path = &path, s->n_path = 1;
    return image_set_write(in_dir("set.img"), s, names, fixed, &err);
}

static void expect(int rc, int code, const char *says)
{
    assert_int_equal(rc, code);
    if (!strstr(err.msg, says))
        fail_msg("'%s', expected '%s' in it", err.msg, says);
}

static void a_folder_of_classes_becomes_a_set(void **state)
{
    (void)state;
    struct labels names = { 0 };
    struct image_set set;
    struct image_source s = { 0 };
    OK(file_mkdirs(in_dir("f/cat"), &err));
    OK(file_mkdirs(in_dir("f/ant"), &err));
    copy_image("grey.jpg", "f/cat/b.JPG"), copy_image("grey.jpg", "f/cat/a.jpg"), copy_image("grey.jpg", "f/ant/c.jpeg");
    OK(write_folder("f", &s, &names, false));
    assert_int_equal(names.n, 2);
    assert_string_equal(names.name[0], "ant");
    assert_true(s.size == 16 && s.n_channel == 3);
    OK(image_set_open(&set, in_dir("set.img"), &err));
    assert_true(set.n == 3 && set.size == 16 && set.n_channel == 3 && set.n_label == 2);
    assert_true(set.label[0] == 0 && set.label[1] == 1 && set.label[2] == 1);
    assert_memory_equal(image_set_pixels(&set, 0), image_set_pixels(&set, 2), 3 * 16 * 16);
    image_set_close(&set);
    OK(file_mkdirs(in_dir("v/dog"), &err));
    copy_image("grey.jpg", "v/dog/a.jpg");
    expect(write_folder("v", &s, &names, true), ERR_FORMAT, "no class of this name");
    copy_image("rgb.png", "f/cat/c.png");
    expect(write_folder("f", &s, &names, true), ERR_FORMAT, "c.png: 31 by 17 pixels, expected 16 by 16");
    s.fit = IMAGE_CROP;
    OK(write_folder("f", &s, &names, true));
    s = (struct image_source){ 0 };
    OK(file_remove_tree(in_dir("f/ant"), &err));
    OK(file_mkdirs(in_dir("f/ant"), &err));
    expect(write_folder("f", &s, &names, true), ERR_FORMAT, "ant: a class without an image");
    copy_image("rgb.png", "f/ant/a.png");
    expect(write_folder("f", &s, &names, true), ERR_FORMAT, "a.png: 31 by 17 pixels, expected a square");
    put("f/ant/a.png", "damaged", 7);
    expect(write_folder("f", &s, &names, true), ERR_FORMAT, "a.png is neither");
    put("f/ant/note.txt", "x", 1);
    expect(write_folder("f", &s, &names, true), ERR_FORMAT, "note.txt is no image file");
    put("f/readme", "x", 1);
    OK(file_remove_tree(in_dir("f/ant"), &err));
    expect(write_folder("f", &s, &names, true), ERR_FORMAT, "readme is no folder");
    OK(file_mkdirs(in_dir("none"), &err));
    expect(write_folder("none", &s, &names, true), ERR_FORMAT, "no images");
    labels_release(&names);
}

static int write_idx(struct image_source *s, const char *images, const char *labels, struct labels *names, bool fixed)
{
    const char *path[3] = { in_dir(images), in_dir(labels), in_dir(labels) };
    s->path = path, s->n_path = 2;
    return image_set_write(in_dir("set.img"), s, names, fixed, &err);
}

static void idx_files_become_a_set(void **state)
{
    (void)state;
    struct labels names = { 0 };
    struct image_set set;
    struct image_source s = { 0 };
    put("images", "\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02" "abcdefghijkl", 28);
    put("labels", "\0\0\x08\x01\0\0\0\x03\x02\0\x01", 11);
    OK(write_idx(&s, "images", "labels", &names, false));
    assert_int_equal(names.n, 3);
    assert_string_equal(names.name[2], "2");
    OK(image_set_open(&set, in_dir("set.img"), &err));
    assert_true(set.n == 3 && set.size == 2 && set.n_channel == 1 && set.label[0] == 2);
    assert_memory_equal(image_set_pixels(&set, 1), "efgh", 4);
    image_set_close(&set);
    put("labels", "\0\0\x08\x01\0\0\0\x03\x02\0\x07", 11);
    expect(write_idx(&s, "images", "labels", &names, true), ERR_RANGE, "image 2 has label 7, expected 0 to 2");
    put("labels", "\0\0\x08\x01\0\0\0\x02\x02\0", 10);
    expect(write_idx(&s, "images", "labels", &names, true), ERR_FORMAT, "one label for each of 3 images");
    expect(write_idx(&s, "labels", "labels", &names, true), ERR_FORMAT, "rank 1, expected 3");
    s.size = 3;
    put("labels", "\0\0\x08\x01\0\0\0\x03\x02\0\x01", 11);
    expect(write_idx(&s, "images", "labels", &names, true), ERR_FORMAT, "image 0: 2 by 2 pixels, expected 3 by 3");
    labels_release(&names);
}

static void an_altered_set_is_refused(void **state)
{
    (void)state;
    struct labels names = { 0 };
    struct image_set set;
    struct image_source s = { 0 };
    struct buf b;
    buf_init(&b);
    put("images", "\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02" "abcdefghijkl", 28);
    put("labels", "\0\0\x08\x01\0\0\0\x03\x02\0\x01", 11);
    OK(write_idx(&s, "images", "labels", &names, false));
    OK(file_read(in_dir("set.img"), 1 << 20, &b, &err));
    static const struct { int at; char to; int code; } bad[] = { { 0, 'X', ERR_FORMAT }, { 8, 2, ERR_UNSUPPORTED }, { 12, 0, ERR_UNSUPPORTED }, { 16, 3, ERR_CORRUPT },
                                                                 { 24, 4, ERR_CORRUPT }, { 24, 0, ERR_CORRUPT }, { 31, 1, ERR_CORRUPT }, { 64, 3, ERR_CORRUPT }, { 67, -1, ERR_CORRUPT } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char was = b.data[bad[i].at];
        b.data[bad[i].at] = bad[i].to;
        put("altered.img", b.data, b.len);
        assert_int_equal(image_set_open(&set, in_dir("altered.img"), &err), bad[i].code);
        b.data[bad[i].at] = was;
    }
    put("altered.img", b.data, b.len - 1);
    assert_int_equal(image_set_open(&set, in_dir("altered.img"), &err), ERR_CORRUPT);
    buf_release(&b);
    labels_release(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idx_file_is_read_plain_and_packed),
        cmocka_unit_test(what_is_no_whole_idx_file_is_refused),
        cmocka_unit_test(images_are_decoded_and_fitted_as_pillow_does_it),
        cmocka_unit_test(damaged_images_are_errors_by_name),
        cmocka_unit_test(a_folder_of_classes_becomes_a_set),
        cmocka_unit_test(idx_files_become_a_set),
        cmocka_unit_test(an_altered_set_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
