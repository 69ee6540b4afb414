/* test_safetensors.c - the reader takes what the format allows and refuses everything else by name; the writer's files
 * are read back equal, are the same bytes each time, and appear whole or not at all. */
#include <math.h>
#include <unistd.h>
#include "../test.h"
#include "base/mem.h"
#include "model/safetensors.h"

/* A file of the header, its length in front, and n_data bytes 0, 1, 2, ... */
static void make_file(struct buf *b, const char *header, size_t n_header, size_t n_data)
{
    const uint64_t n = n_header;
    buf_clear(b);
    buf_add(b, &n, sizeof n, NULL);
    buf_add(b, header, n_header, NULL);
    for (size_t i = 0; i < n_data; i++)
        buf_add_char(b, (char)i, NULL);
}

#define INFO(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"
#define ONE(body) "{\"w\":" body "}"

/* ---- refused: what the message must contain ---- */

static const struct { const char *header; size_t n_data; const char *says[3]; } bad[] = {
    /* JSON */
    { "", 0, { "found the end", "expected '{'" } },
    { "[]", 0, { "found '['", "expected '{'" } },
    { "{", 0, { "end of the header", "name in quotes" } },
    { "{}x", 0, { "found 'x' at byte 2", "white space" } },
    { "{} {}", 0, { "found '{' at byte 3" } },
    { "{\"w\":}", 0, { "tensor 'w'", "found '}'", "expected '{'" } },
    { "{\"w\":" INFO("U8", "1", "0,1"), 1, { "end of the header", "',' or '}'" } },
    { "{\"w\":" INFO("U8", "1", "0,1") ",}", 1, { "found '}'", "name in quotes" } },
    { "{\"w\" " INFO("U8", "1", "0,1") "}", 1, { "tensor 'w'", "found '{'", "':'" } },
    { "{w:" INFO("U8", "1", "0,1") "}", 1, { "found 'w' at byte 1" } },
    { "{\"abc\xff\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'abc'", "byte 0xff", "UTF-8" } },
    { "{\"abc\xc0\xaf\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'abc'", "byte 0xc0", "UTF-8" } },
    { "{\"abc\xed\xa0\x80\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'abc'", "byte 0xed", "UTF-8" } },
    { "{\"abc\xf0\x9f\x98\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'abc'", "byte 0xf0", "UTF-8" } },
    { "{\"a\tb\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "byte 0x09", "control character" } },
    { "{\"a\\u001b[2J\\n\\u009b\\u00e9\":1}", 1, { "tensor 'a?[2J???\xc3\xa9': found '1'" } },
    { "{\"a\\u0000b\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "NUL" } },
    { "{\"a\\ud800\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "surrogate" } },
    { "{\"a\\ud800\\u0041\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "surrogate" } },
    { "{\"a\\udc00\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "surrogate" } },
    { "{\"a\\x\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "found 'x'", "escape" } },
    { "{\"a\\u12g4\":" INFO("U8", "1", "0,1") "}", 1, { "tensor 'a'", "found 'g'", "hexadecimal" } },
    { "{\"abc", 0, { "tensor 'abc'", "end of a string" } },
    { "{\"abc\\", 0, { "tensor 'abc'", "escape" } },
    { "{\"abc\\u00", 0, { "tensor 'abc'", "hexadecimal" } },
    { "{\"\":" INFO("U8", "1", "0,1") "}", 1, { "tensor ''", "0 bytes", "1 to 255" } },
    { ONE("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["), 0, { "tensor 'w'", "found '['" } },
    { ONE("{\"dtype\":{\"a\":{\"a\":{\"a\":1}}}}"), 0, { "tensor 'w'", "found '{'", "dtype" } },
    /* fields */
    { ONE("{}"), 0, { "tensor 'w'", "found '}'", "dtype, shape or data_offsets" } },
    { ONE("{\"dtype\":\"U8\",\"shape\":[1]}"), 1, { "tensor 'w'", "no data_offsets" } },
    { ONE("{\"shape\":[1],\"data_offsets\":[0,1]}"), 1, { "tensor 'w'", "no dtype" } },
    { ONE("{\"dtype\":\"U8\",\"data_offsets\":[0,1]}"), 1, { "tensor 'w'", "no shape" } },
    { ONE("{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}"), 1, { "tensor 'w'", "dtype is there twice" } },
    { ONE("{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}"), 1, { "tensor 'w'", "unknown key 'x'" } },
    { ONE(INFO("F33", "1", "0,4")), 4, { "tensor 'w'", "dtype 'F33'", "F64 F32" } },
    { ONE(INFO("f32", "1", "0,4")), 4, { "tensor 'w'", "dtype 'f32'" } },
    { ONE("{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,1]}"), 1, { "tensor 'w'", "found '1'", "string for dtype" } },
    { ONE(INFO("U8", "-1", "0,1")), 1, { "tensor 'w'", "found '-'", "0 or more" } },
    { ONE(INFO("U8", "1.0", "0,1")), 1, { "tensor 'w'", "found '.'" } },
    { ONE(INFO("U8", "1e0", "0,1")), 1, { "tensor 'w'", "found 'e'" } },
    { ONE(INFO("U8", "01", "0,1")), 1, { "tensor 'w'", "leading 0" } },
    { ONE(INFO("U8", "\"1\"", "0,1")), 1, { "tensor 'w'", "whole number" } },
    { ONE(INFO("U8", "null", "0,1")), 1, { "tensor 'w'", "found 'n'" } },
    { ONE(INFO("U8", "1,", "0,1")), 1, { "tensor 'w'", "found ']'" } },
    { ONE(INFO("U8", "1,1,1,1,1,1,1,1,1", "0,1")), 1, { "tensor 'w'", "no more than 8 dimensions" } },
    { ONE(INFO("U8", "1", "0,1,2")), 1, { "tensor 'w'", "no more" } },
    { ONE(INFO("U8", "1", "0")), 1, { "tensor 'w'", "1 data_offsets, expected 2" } },
    { ONE(INFO("U8", "1", "")), 1, { "tensor 'w'", "0 data_offsets, expected 2" } },
    { ONE(INFO("U8", "1", "-1,0")), 1, { "tensor 'w'", "found '-'" } },
    /* sizes */
    { ONE(INFO("I32", "2,18446744073709551614", "0,16")), 16, { "tensor 'w'", "below 2^63" } },
    { ONE(INFO("I32", "2,9223372036854775807", "0,16")), 16, { "tensor 'w'", "more than 2^63 bytes" } },
    { ONE(INFO("I32", "2305843009213693952", "0,0")), 0, { "tensor 'w'", "more than 2^63 bytes" } },
    { ONE(INFO("U8", "4294967296,4294967296", "0,0")), 0, { "tensor 'w'", "more than 2^63 bytes" } },
    { ONE(INFO("I32", "2,2", "0,4")), 4, { "tensor 'w'", "4 bytes, expected 16 for 4 elements of I32" } },
    { ONE(INFO("F64", "2", "0,17")), 17, { "tensor 'w'", "17 bytes, expected 16" } },
    { ONE(INFO("U8", "1", "1,0")), 1, { "tensor 'w'", "begins at byte 1 and ends at 0" } },
    { ONE(INFO("U8", "2", "0,2")), 1, { "tensor 'w'", "ends at byte 2", "1 bytes of data" } },
    { ONE(INFO("U8", "1", "9223372036854775806,9223372036854775807")), 1, { "tensor 'w'", "ends at byte 9223372036854775807" } },
    { "{\"a\":" INFO("U8", "8", "0,8") ",\"b\":" INFO("U8", "8", "4,12") "}", 12, { "tensor 'b'", "overlaps 'a'", "ends at 8" } },
    { "{\"b\":" INFO("U8", "8", "4,12") ",\"a\":" INFO("U8", "8", "0,8") "}", 12, { "tensor 'b'", "overlaps 'a'", "ends at 8" } },
    { "{\"a\":" INFO("U8", "8", "0,8") ",\"b\":" INFO("U8", "8", "0,8") "}", 8, { "tensor 'b'", "overlaps 'a'" } },
    { "{\"a\":" INFO("U8", "8", "0,8") ",\"b\":" INFO("U8", "4", "10,14") "}", 14, { "tensor 'b'", "begins at byte 10, expected 8" } },
    { ONE(INFO("U8", "4", "1,5")), 5, { "tensor 'w'", "begins at byte 1, expected 0" } },
    { ONE(INFO("U8", "4", "0,4")), 7, { "3 bytes after the last tensor 'w'", "expected none" } },
    { "{}", 1, { "1 bytes after the header" } },
    { "{\"w\":" INFO("U8", "1", "0,1") ",\"w\":" INFO("U8", "1", "1,2") "}", 2, { "tensor 'w' is there twice" } },
    { "{\"w\":" INFO("U8", "1", "0,1") ",\"\\u0077\":" INFO("U8", "1", "1,2") "}", 2, { "tensor 'w' is there twice" } },
    /* metadata */
    { "{\"__metadata__\":{\"a\":1}}", 0, { "tensor '__metadata__'", "found '1'", "a string" } },
    { "{\"__metadata__\":{\"a\":{}}}", 0, { "tensor '__metadata__'", "found '{'" } },
    { "{\"__metadata__\":[]}", 0, { "tensor '__metadata__'", "found '['" } },
    { "{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}}", 0, { "tensor '__metadata__'", "key 'a' is there twice" } },
    { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, { "tensor '__metadata__' is there twice" } },
};

static void each_malformed_header_is_refused_by_name(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_file(&b, bad[i].header, strlen(bad[i].header), bad[i].n_data);
        struct err err = { 0 };
        struct safetensors *st;
        if (safetensors_parse(&st, b.data, b.len, "f.safetensors", &err) != ERR_FORMAT)
            fail_msg("accepted: %s", bad[i].header);
        assert_null(st);
        if (strncmp(err.msg, "f.safetensors: ", 15))
            fail_msg("no file name: %s", err.msg);
        for (int k = 0; k < 3 && bad[i].says[k]; k++)
            if (!strstr(err.msg, bad[i].says[k]))
                fail_msg("%s\n  says: %s\n  lacks: %s", bad[i].header, err.msg, bad[i].says[k]);
    }
    buf_release(&b);
}

static void lengths_of_the_header_are_checked_against_the_file(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t n; const char *says; } cases[] = {
        { "", 0, "0 bytes, expected at least 8" },
        { "\1\0\0\0\0\0\0", 7, "7 bytes, expected at least 8" },
        { "<\0\0\0\0\0\0\0", 8, "header has 60 bytes, but the file has 0" },
        { "\3\0\0\0\0\0\0\0{}", 10, "header has 3 bytes, but the file has 2" },
        { "<\0\0\0\0\xff\xff\xff{\"test\":{}}", 20, "expected at most 100000000" },
        { "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "18446744073709551615 bytes, expected at most 100000000" },
        { "\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10, "expected at most 100000000" },
        { "\1\xe1\xf5\5\0\0\0\0{}", 10, "100000001 bytes, expected at most 100000000" },
        { "\0\xe1\xf5\5\0\0\0\0{}", 10, "100000000 bytes, but the file has 2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct safetensors *st;
        assert_int_equal(safetensors_parse(&st, cases[i].bytes, cases[i].n, "f", &err), ERR_FORMAT);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("says: %s\nlacks: %s", err.msg, cases[i].says);
    }
}

/* Every prefix of a good file is refused, and no byte of it can be changed so that reading goes out of bounds. */
static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},\"a\":" INFO("F32", "2,2", "0,16") ",\"b\":" INFO("BF16", "3", "16,22") "}";
    struct buf b;
    buf_init(&b);
    make_file(&b, header, strlen(header), 22);
    struct safetensors *st;
    for (size_t n = 0; n < b.len; n++) {
        char *exact = malloc(n + 1);
        memcpy(exact, b.data, n);
        char *shrunk = realloc(exact, n ? n : 1);      /* so that a sanitizer sees a read past the end */
        assert_int_equal(safetensors_parse(&st, shrunk, n, "f", NULL), ERR_FORMAT);
        free(shrunk);
    }
    for (size_t i = 0; i < b.len - 22; i++)
        for (int v = 0; v < 256; v += 3) {
            const char keep = b.data[i];
            b.data[i] = (char)v;
            if (!safetensors_parse(&st, b.data, b.len, "f", NULL))
                safetensors_free(st);
            b.data[i] = keep;
        }
    assert_int_equal(safetensors_parse(&st, b.data, b.len, "f", NULL), 0);
    safetensors_free(st);
    buf_release(&b);
}

/* ---- taken ---- */

static struct safetensors *parse(struct buf *b, const char *header, size_t n_data)
{
    make_file(b, header, strlen(header), n_data);
    struct err err = { 0 };
    struct safetensors *st;
    if (safetensors_parse(&st, b->data, b->len, "f", &err))
        fail_msg("%s: %s", header, err.msg);
    return st;
}

static void what_the_format_allows_is_read(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    struct safetensors *st = parse(&b, "{}\r \t\n", 0);
    assert_int_equal(st->n_tensor, 0);
    assert_null(safetensors_find(st, "w"));
    safetensors_free(st);

    st = parse(&b, " \t\n{ \"w\" : { \"shape\" : [ ] , \"data_offsets\" : [ 0 , 4 ] , \"dtype\" : \"I32\" } } ", 4);
    assert_int_equal(st->tensor[0].rank, 0);
    assert_int_equal(st->tensor[0].n, 1);
    safetensors_free(st);

    st = parse(&b, "{\"w\":" INFO("I32", "2,0", "0,0") "}", 0);
    assert_int_equal(st->tensor[0].n, 0);
    safetensors_free(st);

    st = parse(&b, "{\"__metadata__\":{\"format\":\"pt\",\"\":\"x\\ny\"},\"b\":" INFO("U8", "3", "8,11") ",\"e\":" INFO("U8", "0", "8,8") ",\"a\":"
                       INFO("F32", "1,2", "0,8") ",\"\\u00e9\\ud83d\\ude00\\/\\\"\":" INFO("BOOL", "1", "11,12") "}", 12);
    assert_int_equal(st->n_tensor, 4);
    assert_string_equal(st->tensor[0].name, "a");
    assert_string_equal(st->tensor[1].name, "e");
    assert_string_equal(st->tensor[2].name, "b");
    assert_memory_equal(safetensors_find(st, "b")->data, "\x08\x09\x0a", 3);
    assert_non_null(safetensors_find(st, "\xc3\xa9\xf0\x9f\x98\x80/\""));
    assert_null(safetensors_find(st, "c"));
    assert_string_equal(safetensors_metadata(st, "format"), "pt");
    assert_string_equal(safetensors_metadata(st, ""), "x\ny");
    assert_null(safetensors_metadata(st, "none"));
    safetensors_free(st);

    st = parse(&b, "{\"__metadata__\":{}}", 0);
    assert_int_equal(st->n_metadata, 0);
    safetensors_free(st);
    buf_release(&b);
}

static void every_dtype_has_its_size(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (int t = 0; t < N_ST_DTYPE; t++) {
        char header[200];
        const int size = (int)st_dtype_size((enum st_dtype)t);
        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}", st_dtype_name((enum st_dtype)t), 3 * size);
        struct safetensors *st = parse(&b, header, (size_t)(3 * size));
        assert_int_equal(st->tensor[0].dtype, t);
        safetensors_free(st);
    }
    buf_release(&b);
}

static void a_header_of_many_tensors_takes_linear_time(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct buf h, b;
    buf_init(&h);
    buf_init(&b);
    for (int i = 0; i < N; i++)            /* in reverse order of their data */
        buf_printf(&h, NULL, "%s\"t.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "{", i, N - 1 - i, N - i);
    buf_add_char(&h, '}', NULL);
    struct safetensors *st = parse(&b, h.data, N);
    assert_int_equal(st->n_tensor, N);
    for (int i = 0; i < N; i += 997) {
        char name[20];
        snprintf(name, sizeof name, "t.%d", i);
        const struct st_tensor *t = safetensors_find(st, name);
        assert_non_null(t);
        assert_int_equal(*(const unsigned char *)t->data, (N - 1 - i) & 255);
    }
    safetensors_free(st);
    buf_release(&h);
    buf_release(&b);
}

/* ---- numbers ---- */

static void numbers_are_read_as_f32(void **state)
{
    (void)state;
    static const uint16_t half[] = { 0x0000, 0x8000, 0x3C00, 0xC000, 0x7BFF, 0x0400, 0x0001, 0x03FF, 0x7C00, 0xFC00, 0x3555 };
    static const float half_value[] = { 0.0f, -0.0f, 1, -2, 65504, 0x1p-14f, 0x1p-24f, 1023 * 0x1p-24f, INFINITY, -INFINITY, 0.333251953125f };
    float out[16];
    struct st_tensor t = { .name = "t", .dtype = ST_F16, .n = 11, .data = half };
    assert_int_equal(st_read_f32(&t, 0, 11, out, NULL), 0);
    assert_memory_equal(out, half_value, sizeof half_value);
    assert_int_equal(st_read_f32(&t, 2, 2, out, NULL), 0);
    assert_true(out[0] == 1 && out[1] == -2);
    assert_int_equal(st_read_f32(&t, 11, 0, out, NULL), 0);

    const uint16_t nan[] = { 0x7E00, 0x7C01 }, bf[] = { 0x3F80, 0xC000, 0x7F80, 0x0001, 0x7FC0 };
    t.data = nan, t.n = 2;
    assert_int_equal(st_read_f32(&t, 0, 2, out, NULL), 0);
    assert_true(isnan(out[0]) && isnan(out[1]));
    t.dtype = ST_BF16, t.data = bf, t.n = 5;
    assert_int_equal(st_read_f32(&t, 0, 5, out, NULL), 0);
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == INFINITY && out[3] == 0x1p-133f && isnan(out[4]));

    char unaligned[33];
    const double wide[] = { 1.5, -INFINITY, 1e-300, 1e39 };
    memcpy(unaligned + 1, wide, sizeof wide);
    t.dtype = ST_F64, t.data = unaligned + 1, t.n = 4;
    assert_int_equal(st_read_f32(&t, 0, 3, out, NULL), 0);
    assert_true(out[0] == 1.5f && out[1] == -INFINITY && out[2] == 0);
    struct err err;
    assert_int_equal(st_read_f32(&t, 1, 3, out, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "tensor 't': element 3 is 1e+39"));
    t.dtype = ST_I32;
    assert_int_equal(st_read_f32(&t, 0, 1, out, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "tensor 't': dtype I32"));
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct { uint32_t f; uint16_t want; } cases[] = {
        { 0x3F800000, 0x3F80 }, { 0x3F808000, 0x3F80 }, { 0x3F818000, 0x3F82 }, { 0x3F808001, 0x3F81 }, { 0x3F807FFF, 0x3F80 },
        { 0x7F7FFFFF, 0x7F80 }, { 0x7F800000, 0x7F80 }, { 0xFF800000, 0xFF80 }, { 0x7F800001, 0x7FC0 }, { 0x80000000, 0x8000 },
        { 0x00000001, 0x0000 }, { 0x00008001, 0x0001 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float f;
        memcpy(&f, &cases[i].f, sizeof f);
        assert_int_equal(st_bf16(f), cases[i].want);
    }
}

/* ---- writing ---- */

static const struct st_decl decl[] = {
    { "b.\"quoted\"\n", ST_F32, 2, { 2, 3 } }, { "empty", ST_F32, 1, { 0 } }, { "a", ST_BF16, 1, { 5 } }, { "scalar", ST_U8, 0, { 0 } },
};
static const struct st_pair pairs[] = { { "format", "pt" }, { "z", "\xc3\xa9\\" }, { "a", "" } };
static const float six[] = { 1, 2, 3, 4, 5, 6 };

static void write_sample(const char *path)
{
    struct err err = { 0 };
    struct st_writer *w;
    if (st_writer_new(&w, path, decl, 4, pairs, 3, &err) || st_writer_add(w, 0, six, 10, &err) || st_writer_add(w, 0, (const char *)six + 10, 14, &err) ||
        st_writer_add(w, 2, "0123456789", 10, &err) || st_writer_add(w, 3, "x", 0, &err) || st_writer_add(w, 3, "x", 1, &err) || st_writer_commit(w, &err))
        fail_msg("%s", err.msg);
    char want[SHA256_HEX];
    sha256_of(six, sizeof six, want, NULL);
    assert_string_equal(st_writer_sha256(w, 0), want);
    assert_string_equal(st_writer_sha256(w, 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of("0123456789", 10, want, NULL);
    assert_string_equal(st_writer_sha256(w, 2), want);
    st_writer_free(w);
}

static void a_written_file_is_read_back_equal_and_is_the_same_each_time(void **state)
{
    (void)state;
    write_sample(in_dir("one.safetensors"));
    write_sample(in_dir("two.safetensors"));
    struct file_map x, y;
    assert_int_equal(file_map_open(&x, in_dir("one.safetensors"), NULL), 0);
    assert_int_equal(file_map_open(&y, in_dir("two.safetensors"), NULL), 0);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    uint64_t n;
    memcpy(&n, x.data, sizeof n);
    assert_int_equal(n % 8, 0);
    assert_int_equal(x.data[8], '{');
    file_map_close(&x);
    file_map_close(&y);

    struct err err = { 0 };
    struct safetensors *st;
    if (safetensors_open(&st, in_dir("one.safetensors"), &err))
        fail_msg("%s", err.msg);
    assert_int_equal(st->n_tensor, 4);
    assert_int_equal(st->n_metadata, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(st->metadata[i].key, pairs[i].key);
        assert_string_equal(st->metadata[i].value, pairs[i].value);
    }
    const struct st_tensor *t = safetensors_find(st, decl[0].name);
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[1], 3);
    assert_memory_equal(t->data, six, sizeof six);
    assert_memory_equal(safetensors_find(st, "a")->data, "0123456789", 10);
    safetensors_free(st);
}

static void a_wrong_bit_on_the_disk_is_found_when_the_file_is_read_back(void **state)
{
    (void)state;
    struct err err;
    const size_t n = 2000000;
    char *data = calloc(n, 1);
    const struct st_decl big[] = { { "first", ST_U8, 1, { 1000 } }, { "second", ST_U8, 1, { (int64_t)n } } };
    static const char *const says[] = { "tensor 'first' was read back", "tensor 'second' was read back", NULL };      /* the two writes */
    for (int i = 0; i < 3; i++) {
        struct st_writer *w;
        const char *path = in_dir("proved.safetensors");
        assert_int_equal(st_writer_new(&w, path, big, 2, NULL, 0, &err), 0);
        assert_int_equal(st_writer_add(w, 0, data, 1000, &err), 0);
        file_flip_at(i);
        assert_int_equal(st_writer_add(w, 1, data, n, &err), 0);
        const int rc = st_writer_prove(w, &err);
        file_flip_at(-1);
        assert_int_equal(rc, says[i] ? ERR_CORRUPT : 0);
        if (says[i])
            assert_non_null(strstr(err.msg, says[i]));
        else
            assert_int_equal(st_writer_commit(w, &err), 0);
        st_writer_free(w);
        assert_int_equal(file_exists(path), !says[i]);
    }
    free(data);
}

static void a_wrong_count_of_bytes_is_an_error(void **state)
{
    (void)state;
    struct err err;
    struct st_writer *w;
    const char *path = in_dir("wrong.safetensors");
    assert_int_equal(st_writer_new(&w, path, decl, 4, NULL, 0, &err), 0);
    assert_int_equal(st_writer_add(w, 0, six, 25, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "25 bytes were given, expected 24"));
    assert_int_equal(st_writer_add(w, 0, six, 20, &err), 0);
    assert_int_equal(st_writer_add(w, 2, six, 10, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "20 bytes were given, expected 24"));
    assert_int_equal(st_writer_commit(w, &err), ERR_USAGE);
    assert_int_equal(st_writer_add(w, 0, six, 4, &err), 0);
    assert_int_equal(st_writer_add(w, 1, six, 1, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "tensor 'empty': 1 bytes were given, expected 0"));
    assert_int_equal(st_writer_add(w, 0, six, 0, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "was given after"));
    assert_int_equal(st_writer_commit(w, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "tensor 'a': 0 bytes were given, expected 10"));
    st_writer_free(w);
    assert_false(file_exists(path));
}

static void a_declaration_that_no_reader_takes_is_refused(void **state)
{
    (void)state;
    static const struct { struct st_decl decl[2]; int n; struct st_pair pair[2]; int n_pair; const char *says; } cases[] = {
        { { { "a", ST_U8, 1, { 1 } }, { "a", ST_U8, 1, { 1 } } }, 2, { { 0 } }, 0, "'a' is there twice" },
        { { { "", ST_U8, 1, { 1 } } }, 1, { { 0 } }, 0, "0 bytes" },
        { { { "__metadata__", ST_U8, 1, { 1 } } }, 1, { { 0 } }, 0, "__metadata__" },
        { { { "a\xff", ST_U8, 1, { 1 } } }, 1, { { 0 } }, 0, "UTF-8" },
        { { { "a", ST_U8, 9, { 1 } } }, 1, { { 0 } }, 0, "rank 9" },
        { { { "a", ST_U8, 1, { -1 } } }, 1, { { 0 } }, 0, "dimension 0 is -1" },
        { { { "a", ST_F64, 2, { (int64_t)1 << 40, (int64_t)1 << 40 } } }, 1, { { 0 } }, 0, "2^61" },
        { { { "a", ST_U8, 1, { 3 } }, { "b", ST_F32, 1, { 1 } } }, 2, { { 0 } }, 0, "tensor 'b': would begin at byte 3" },
        { { { "a", ST_U8, 1, { 1 } } }, 1, { { "k", "1" }, { "k", "2" } }, 2, "key 'k' is there twice" },
        { { { "a", ST_U8, 1, { 1 } } }, 1, { { "k", "\xc3" } }, 1, "UTF-8" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        struct st_writer *w;
        assert_true(st_writer_new(&w, in_dir("never.safetensors"), cases[i].decl, cases[i].n, cases[i].pair, cases[i].n_pair, &err) < 0);
        assert_null(w);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("says: %s\nlacks: %s", err.msg, cases[i].says);
    }
    assert_false(file_exists(in_dir("never.safetensors")));
}

/* ---- shards ---- */

static void write_shard(const char *name, const char *tensor)
{
    const struct st_decl d = { tensor, ST_F32, 1, { 2 } };
    struct err err;
    struct st_writer *w;
    if (st_writer_new(&w, name, &d, 1, pairs, 1, &err) || st_writer_add(w, 0, six, 8, &err) || st_writer_commit(w, &err))
        fail_msg("%s", err.msg);
    st_writer_free(w);
}

static void shards_are_opened_by_their_index_or_folder(void **state)
{
    (void)state;
    static const struct { const char *index, *says[2]; } cases[] = {
        { "{\"metadata\":{\"total_size\":16},\"weight_map\":{\"x\":\"m-1.safetensors\",\"y\":\"m-2.safetensors\"}}", { NULL } },
        { "{}", { "no weight_map" } },
        { "{\"weight_map\":{}}", { "no tensor in weight_map" } },
        { "{\"weight_map\":{\"x\":1}}", { "tensor 'x'", "no string" } },
        { "{\"weight_map\":{\"x\":\"../m-1.safetensors\"}}", { "tensor 'x'", "without a folder" } },
        { "{\"weight_map\":{\"x\":\"m-1.bin\"}}", { "tensor 'x'", ".safetensors" } },
        { "{\"weight_map\":{\"x\":\"m-1.safetensors\",\"y\":\"m-1.safetensors\"}}", { "tensor 'y' is not in m-1" } },
        { "{\"weight_map\":{\"y\":\"m-1.safetensors\",\"x\":\"m-2.safetensors\"}}", { "tensor 'y' is in m-2.safetensors, expected m-1" } },
        { "{\"weight_map\":{\"y\":\"m-2.safetensors\",\"x\":\"m-1.safetensors\",\"x\":\"m-1.safetensors\"}}", { "duplicate" } },
        { "{\"weight_map\":{\"x\":\"m-1.safetensors\",\"y\":\"m-3.safetensors\"}}", { "m-3.safetensors" } },
        { "{\"weight_map\":{\"x\":\"m-1.safetensors\",\"z\":\"m-1.safetensors\",\"y\":\"m-4.safetensors\"}}", { "tensor 'x' is also in" } },
        { "{\"weight_map\":{\"y\":\"m-5.safetensors\"}}", { "tensor 'extra' of m-5.safetensors is not in the index" } },
    };
    char folder[200];
    snprintf(folder, sizeof folder, "%s", in_dir("shards"));
    file_mkdirs(folder, NULL);
    write_shard(in_dir("shards/m-1.safetensors"), "x");
    write_shard(in_dir("shards/m-2.safetensors"), "y");
    write_shard(in_dir("shards/m-4.safetensors"), "x");
    struct buf b;
    buf_init(&b);
    static const char two[] = "{\"y\":" INFO("U8", "1", "0,1") ",\"extra\":" INFO("U8", "1", "1,2") "}";
    make_file(&b, two, strlen(two), 2);
    file_write_all(in_dir("shards/m-5.safetensors"), b.data, b.len, NULL);
    buf_release(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct safetensors *st;
        file_write_all(in_dir("shards/model.safetensors.index.json"), cases[i].index, strlen(cases[i].index), NULL);
        const int rc = safetensors_open(&st, folder, &err);
        if (!cases[i].says[0] && rc)
            fail_msg("%s: %s", cases[i].index, err.msg);
        if (!rc) {
            assert_null(cases[i].says[0]);
            assert_int_equal(st->n_tensor, 2);
            assert_int_equal(st->n_file, 2);
            assert_int_equal(st->n_metadata, 2);
            assert_memory_equal(safetensors_find(st, "y")->data, six, 8);
            assert_non_null(strstr(safetensors_file_name(st, safetensors_find(st, "y")->i_file), "m-2.safetensors"));
        }
        for (int k = 0; k < 2 && cases[i].says[k]; k++)
            if (!strstr(err.msg, cases[i].says[k]))
                fail_msg("%s\n  says: %s\n  lacks: %s", cases[i].index, err.msg, cases[i].says[k]);
        safetensors_free(st);
    }
    struct err err;
    struct safetensors *st;
    write_shard(in_dir("shards/model.safetensors"), "single");
    assert_int_equal(safetensors_open(&st, folder, &err), 0);
    assert_non_null(safetensors_find(st, "single"));
    safetensors_free(st);
    assert_int_equal(safetensors_open(&st, test_dir, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "expected model.safetensors or"));
    assert_int_equal(safetensors_open(&st, in_dir("none.safetensors"), &err), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_malformed_header_is_refused_by_name),
        cmocka_unit_test(lengths_of_the_header_are_checked_against_the_file),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(what_the_format_allows_is_read),
        cmocka_unit_test(every_dtype_has_its_size),
        cmocka_unit_test(a_header_of_many_tensors_takes_linear_time),
        cmocka_unit_test(numbers_are_read_as_f32),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(a_written_file_is_read_back_equal_and_is_the_same_each_time),
        cmocka_unit_test(a_wrong_bit_on_the_disk_is_found_when_the_file_is_read_back),
        cmocka_unit_test(a_wrong_count_of_bytes_is_an_error),
        cmocka_unit_test(a_declaration_that_no_reader_takes_is_refused),
        cmocka_unit_test(shards_are_opened_by_their_index_or_folder),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
