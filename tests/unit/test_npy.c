/* test_npy.c - arrays that NumPy wrote (tests/golden/npy, made by tools/golden/npy.py), and files that are damaged or of other kinds. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "eval/npy.h"

static struct err err;

static struct buf whole(const char *name)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(path_in("tests/golden/npy", name), 1 << 20, &b, &err));
    return b;
}

static void elements_are(const struct npz *z, const char *name, const char *described, int n, const double *want)
{
    struct npy a;
    char text[200];
    const int i = npz_find(z, name);
    assert_true(i >= 0);
    OK(npz_read(z, i, &a, &err));
    npy_describe(&a, text);
    assert_string_equal(text, described);
    assert_int_equal(a.n, n);
    for (int j = 0; j < n; j++)
        assert_true(npy_double(&a, j) == want[j]);
    npy_release(&a);
}

static void arrays_of_every_type_are_read_stored_and_packed(void **state)
{
    static const char *const files[] = { "stored.npz", "packed.npz" };
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct buf b = whole(files[f]);
        struct npz z;
        OK(npz_open(&z, b.data, b.len, files[f], &err));
        assert_int_equal(z.n_array, 14);
        elements_are(&z, "f2", "float16 [5]", 5, (double[]){ .5, -2, 65504, 0x1p-24, INFINITY });
        elements_are(&z, "f4", "float32 [2, 3]", 6, (double[]){ 0, .25, .5, .75, 1, 1.25 });
        elements_are(&z, "f8", "float64 [2, 1]", 2, (double[]){ 1. / 3, -1e300 });
        elements_are(&z, "i1", "int8 [2]", 2, (double[]){ -128, 127 });
        elements_are(&z, "i2", "int16 [1]", 1, (double[]){ -32768 });
        elements_are(&z, "i4", "int32 [2]", 2, (double[]){ -2147483648., 7 });
        elements_are(&z, "i8", "int64 [2]", 2, (double[]){ -0x1p63, 0x1p62 });
        elements_are(&z, "u1", "uint8 [2]", 2, (double[]){ 0, 255 });
        elements_are(&z, "u2", "uint16 [1]", 1, (double[]){ 65535 });
        elements_are(&z, "u4", "uint32 [1]", 1, (double[]){ 4294967295. });
        elements_are(&z, "u8", "uint64 [1]", 1, (double[]){ 0x1p64 });
        elements_are(&z, "b1", "bool [2]", 2, (double[]){ 1, 0 });
        elements_are(&z, "scalar", "float64 []", 1, (double[]){ 2.5 });
        elements_are(&z, "none", "float32 [0, 4]", 0, NULL);
        assert_int_equal(npz_find(&z, "other"), -1);
        npz_close(&z);
        buf_release(&b);
    }
}

static void a_lone_array_is_an_archive_of_one_in_every_version(void **state)
{
    static const char *const files[] = { "lone.npy", "version2.npy", "version3.npy" };
    (void)state;
    for (int f = 0; f < 3; f++) {
        struct buf b = whole(files[f]);
        struct npz z;
        OK(npz_open(&z, b.data, b.len, files[f], &err));
        elements_are(&z, "array", "float32 [2, 3]", 6, (double[]){ 0, .25, .5, .75, 1, 1.25 });
        npz_close(&z);
        buf_release(&b);
    }
}

static void whole_numbers_are_read_whole_and_others_are_named(void **state)
{
    struct buf b = whole("stored.npz");
    struct npz z;
    struct npy a;
    int64_t v;
    (void)state;
    OK(npz_open(&z, b.data, b.len, "it", &err));
    OK(npz_read(&z, npz_find(&z, "i8"), &a, &err));
    OK(npy_int(&a, 0, "it", &v, &err));
    assert_true(v == INT64_MIN);
    npy_release(&a);
    OK(npz_read(&z, npz_find(&z, "u8"), &a, &err));
    assert_int_equal(npy_int(&a, 0, "it", &v, &err), ERR_RANGE);
    npy_release(&a);
    OK(npz_read(&z, npz_find(&z, "f2"), &a, &err));
    OK(npy_int(&a, 1, "it", &v, &err));
    assert_int_equal(v, -2);
    assert_int_equal(npy_int(&a, 0, "it", &v, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "element 0 is 0.5"));
    assert_int_equal(npy_int(&a, 4, "it", &v, &err), ERR_FORMAT);
    npy_release(&a);
    npz_close(&z);
    buf_release(&b);
}

static void refused(const char *name, int code, const char *says)
{
    struct buf b = whole(name);
    struct npz z;
    struct npy a;
    OK(npz_open(&z, b.data, b.len, name, &err));
    assert_int_equal(npz_read(&z, 0, &a, &err), code);
    if (!strstr(err.msg, says))
        fail_msg("'%s' does not say '%s'", err.msg, says);
    npz_close(&z);
    buf_release(&b);
}

static void arrays_of_other_kinds_are_refused_by_name(void **state)
{
    (void)state;
    refused("fortran.npy", ERR_UNSUPPORTED, "Fortran order");
    refused("big.npy", ERR_UNSUPPORTED, "'>f4'");
    refused("complex.npy", ERR_UNSUPPORTED, "'<c16'");
    refused("text.npy", ERR_UNSUPPORTED, "'<U2'");
    refused("record.npy", ERR_UNSUPPORTED, "records");
    refused("deep.npy", ERR_UNSUPPORTED, "more than 8 dimensions");
    refused("bzip2.npz", ERR_UNSUPPORTED, "method 12");
}

/* ---- headers by hand ---- */

static int parse(const char *header, size_t n_element_bytes)
{
    char file[600] = "\x93NUMPY\x01";
    const size_t len = strlen(header);
    struct npy a;
    file[8] = (char)len, file[9] = (char)(len >> 8);
    memcpy(file + 10, header, len);
    const int rc = npy_parse(&a, file, 10 + len + n_element_bytes, "it", &err);
    if (rc >= 0)
        npy_release(&a);
    return rc;
}

static void headers_are_read_strictly(void **state)
{
    static const struct { const char *header; size_t n; int code; const char *says; } cases[] = {
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  \n", 8, 0, "" },
        { "{\"shape\":(2,1),\"descr\":\"<f4\",\"fortran_order\":False}", 8, 0, "" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, ERR_CORRUPT, "7 bytes of elements, expected 8" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, ERR_CORRUPT, "9 bytes of elements" },
        { "{'descr': '<f4', 'fortran_order': False}", 8, ERR_FORMAT, "lacks 'shape'" },
        { "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False}", 8, ERR_FORMAT, "each once" },
        { "{'descr': '<f4', 'other': False}", 8, ERR_FORMAT, "'other'" },
        { "{'descr': '<f4', 'fortran_order': Perhaps}", 8, ERR_FORMAT, "neither True nor False" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': 2}", 8, ERR_FORMAT, "not a tuple" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8, ERR_FORMAT, "dimension 0 of its shape is not a number" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", 8, ERR_FORMAT, "not ended" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8, ERR_RANGE, "too large" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8, ERR_RANGE, "more elements than can be counted" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,)}", 8, ERR_RANGE, "at most 4 GiB" },
        { "{'descr': '|f4', 'fortran_order': False, 'shape': (2,)}", 8, ERR_UNSUPPORTED, "'|f4'" },
        { "{'descr': '<b4', 'fortran_order': False, 'shape': (2,)}", 8, ERR_UNSUPPORTED, "'<b4'" },
        { "{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}", 8, ERR_UNSUPPORTED, "'<f3'" },
        { "{'descr': '', 'fortran_order': False, 'shape': (2,)}", 8, ERR_UNSUPPORTED, "''" },
        { "{'descr': '<f4", 8, ERR_FORMAT, "not ended" },
        { "{'descr' '<f4'}", 8, ERR_FORMAT, "no ':'" },
        { "{'descr': '<f4' 'shape'}", 8, ERR_FORMAT, "not ended" },
        { "{3: 4}", 8, ERR_FORMAT, "expected a text" },
        { "", 8, ERR_FORMAT, "no dictionary" },
        { "{", 8, ERR_FORMAT, "expected a text" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int rc = parse(cases[i].header, cases[i].n);
        if (rc != cases[i].code || (rc && !strstr(err.msg, cases[i].says)))
            fail_msg("%s: %d, %s", cases[i].header, rc, rc ? err.msg : "");
    }
}

static void files_cut_off_anywhere_are_errors(void **state)
{
    static const char *const files[] = { "stored.npz", "packed.npz", "lone.npy", "version2.npy" };
    (void)state;
    for (int f = 0; f < 4; f++) {
        struct buf b = whole(files[f]);
        for (size_t n = 0; n < b.len; n++) {
            char *cut = mem_alloc(n);      /* its own block, so that a byte too far is seen */
            struct npz z;
            struct npy a;
            memcpy(cut, b.data, n);
            int rc = npz_open(&z, cut, n, files[f], &err);
            if (rc >= 0) {
                rc = npz_read(&z, 0, &a, &err);
                npz_close(&z);
            }
            assert_true(rc < 0);
            mem_free(cut);
        }
        buf_release(&b);
    }
}

static void a_wrong_byte_is_told_by_the_checksum(void **state)
{
    struct buf b = whole("stored.npz");
    struct npz z;
    struct npy a;
    (void)state;
    b.data[186] ^= 1;      /* the first member's array is at 184: a head of 30, a name of 6, 20 of ZIP64, 128 */
    OK(npz_open(&z, b.data, b.len, "it", &err));
    assert_int_equal(npz_read(&z, 0, &a, &err), ERR_CORRUPT);
    npz_close(&z);
    assert_int_equal(npz_open(&z, "hello, world", 12, "it", &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "neither"));
    assert_int_equal(npz_open(&z, "PK\3\4 and nothing", 16, "it", &err), ERR_CORRUPT);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_of_every_type_are_read_stored_and_packed),
        cmocka_unit_test(a_lone_array_is_an_archive_of_one_in_every_version),
        cmocka_unit_test(whole_numbers_are_read_whole_and_others_are_named),
        cmocka_unit_test(arrays_of_other_kinds_are_refused_by_name),
        cmocka_unit_test(headers_are_read_strictly),
        cmocka_unit_test(files_cut_off_anywhere_are_errors),
        cmocka_unit_test(a_wrong_byte_is_told_by_the_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
