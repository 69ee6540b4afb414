/* test_gguf.c - the reader of GGUF takes what gguf-py writes and refuses, with a word on what is wrong, everything else:
 * each rule and each class of published vulnerability is one row.  Files are written in a small language (make_file). */
#include <malloc.h>
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "model/convert.h"
#include "model/gguf.h"
#include "model/tok.h"

static struct err err;

/* Words between spaces: G = magic; b, d, q and a number = 1, 4, 8 bytes; s and text = a string with its length; r and text =
 * bytes; z and a number = as many zeros; p = zeros up to a multiple of 32. */
static void make_file(struct buf *b, const char *spec)
{
    char word[300];
    int used;
    buf_clear(b);
    for (; sscanf(spec, " %299s%n", word, &used) == 1; spec += used) {
        const uint64_t v = strtoull(word + 1, NULL, 0), n = strlen(word + 1);
        if (*word == 'G')
            buf_add(b, "GGUF", 4, NULL);
        else if (*word == 's')
            buf_add(b, &n, 8, NULL), buf_add(b, word + 1, n, NULL);
        else if (*word == 'r')
            buf_add(b, word + 1, n, NULL);
        else if (*word == 'z' || *word == 'p')
            for (uint64_t k = *word == 'z' ? v : -(uint64_t)b->len & 31; k; k--)
                buf_add_char(b, 0, NULL);
        else
            buf_add(b, &v, *word == 'b' ? 1 : *word == 'd' ? 4 : 8, NULL);
    }
}

#define HEAD(t, k) "G d3 q" #t " q" #k " "
#define W(offset) "sw d2 q4 q2 d0 q" #offset " "               /* 32 bytes of F32 */

static const struct { const char *spec, *says[2]; } bad[] = {
    /* the head */
    { "", { "does not begin with the letters GGUF" } },
    { "rGGU", { "does not begin" } },
    { "rggml d3 q0 q0", { "does not begin" } },
    { "G d3 q0", { "end of the file", "number of keys" } },
    { "G d0 q0 q0", { "version 0, expected 2 or 3" } },
    { "G d1 d0 d0", { "version 1, expected 2 or 3" } },
    { "G d4 q0 q0", { "version 4, expected 2 or 3" } },
    { "G d0x03000000 q0 q0", { "big-endian", "version 3" } },
    /* counts times sizes that overflow, or that the file cannot hold: CVE-2024-23496, -21802, -21836, -25664 and their class */
    { "G d3 q0 q0xffffffffffffffff", { "18446744073709551615 keys", "has 0 bytes left" } },
    { "G d3 q0 q0x0555555555555556 z200", { "keys", "has 200 bytes left" } },
    { "G d3 q0xffffffffffffffff q0", { "18446744073709551615 tensors" } },
    { "G d3 q0x0400000000000001 q0 z500", { "tensors", "has 500 bytes left" } },
    { HEAD(0, 2) "sk d4 d1 sabc z3", { "end of the file", "value's kind" } },
    { HEAD(0, 1) "q0xffffffffffffffff rabcdefgh z9", { "a key at byte 24 has 18446744073709551615 bytes" } },
    { HEAD(0, 1) "q64 rabcdefgh z9", { "a key", "but the file has 17 left" } },
    { HEAD(0, 1) "sk d8 q0xffffffffffffffff z9", { "a string", "expected at most 16777216" } },
    { HEAD(0, 1) "sk d8 q0xffffffff z9", { "a string", "expected at most" } },
    { HEAD(0, 1) "sk d8 q100 z9", { "a string", "but the file has 9 left" } },
    { HEAD(0, 1) "sk d9 d5 q0x4000000000000001 z40", { "'k'", "expected at most 67108864" } },
    { HEAD(0, 1) "sk d9 d12 q0x2000000000000000 z40", { "'k'", "expected at most" } },
    { HEAD(0, 1) "sk d9 d12 q6 z40", { "6 elements of f64", "has 40 bytes left" } },
    { HEAD(0, 1) "sk d9 d8 q6 z40", { "6 elements of string", "has 40 bytes left" } },
    { HEAD(0, 1) "sk d9 d8 q2 sab q0xfffffffffffffff8 z9", { "a string of an array", "18446744073709551608" } },
    /* keys and kinds */
    { HEAD(0, 1) "s d4 d1 z9", { "a key at byte 24 is empty" } },
    { HEAD(0, 1) "sa\x01 d4 d1 z9", { "0x01", "control characters" } },
    { HEAD(0, 1) "sa\xff d4 d1 z9", { "0xff", "UTF-8" } },
    { HEAD(0, 1) "q1 b0 d4 d1 z9", { "0x00", "UTF-8" } },
    { HEAD(0, 2) "sk d4 d1 sk d4 d1", { "key 'k' is there twice" } },
    { HEAD(0, 1) "sk d13 d1 z9", { "'k'", "kind 13, expected 0 to 12" } },
    { HEAD(0, 1) "sk d0xffffffff d1 z9", { "'k'", "kind 4294967295" } },
    { HEAD(0, 1) "sk d9 d9 q1 d9 q1 z9", { "'k'", "array of kind 9" } },
    { HEAD(0, 1) "sk d9 d13 q1 z9", { "'k'", "array of kind 13" } },
    { HEAD(0, 1) "sk d7 b2", { "'k'", "found 2 for a bool" } },
    { HEAD(0, 1) "sk d9 d7 q3 b0 b1 b255", { "'k'", "found 255 for a bool" } },
    { HEAD(0, 1) "slong d10 z7", { "'long'", "expected a value of u64" } },
    { HEAD(0, 1) "sgeneral.alignment d4 d0", { "general.alignment", "is 0, expected 1" } },
    { HEAD(0, 1) "sgeneral.alignment d4 d24", { "24, expected a power of two" } },
    { HEAD(0, 1) "sgeneral.alignment d4 d0x80000000", { "general.alignment", "2147483648, expected" } },
    { HEAD(0, 1) "sgeneral.alignment d10 q0x8000000000000000", { "general.alignment", "or more, expected" } },
    { HEAD(0, 1) "sgeneral.alignment d8 s32", { "general.alignment", "is string, expected an integer" } },
    /* shapes, types, sizes: CVE-2025-53630, CVE-2026-27940, CVE-2026-33298: products are checked, then held against the file */
    { HEAD(1, 0) "s d1 q4 d0 q0 z32 z32", { "a tensor's name", "is empty" } },
    { HEAD(1, 0) "sw d5 q1 q1 q1 q1 q1 d0 q0 z64", { "tensor 'w'", "rank 5, expected at most 4" } },
    { HEAD(1, 0) "sw d0xffffffff q1 d0 q0 z64", { "tensor 'w'", "rank 4294967295" } },
    { HEAD(1, 0) "sw d2 q0 q4 d0 q0 z64", { "tensor 'w'", "dimension 0 is 0" } },
    { HEAD(1, 0) "sw d2 q4 q0xffffffffffffffff d0 q0 z64", { "tensor 'w'", "dimension 1 is 18446744073709551615" } },
    { HEAD(1, 0) "sw d2 q0x100000000 q0x100000000 d0 q0 z64", { "tensor 'w'", "more than 2^63-1 elements" } },
    { HEAD(1, 0) "sw d4 q0x10000 q0x10000 q0x10000 q0x10000 d0 q0 z64", { "tensor 'w'", "more than 2^63-1 elements" } },
    { HEAD(1, 0) "sw d1 q0x4000000000000000 d0 q0 z64", { "tensor 'w'", "more than 2^63-1 bytes" } },
    { HEAD(1, 0) "sw d1 q0x7fffffffffffffe0 d28 q0 z64", { "tensor 'w'", "more than 2^63-1 bytes" } },
    { HEAD(1, 0) "sw d1 q4 d4 q0 z64", { "tensor 'w'", "type 4 is no type" } },
    { HEAD(1, 0) "sw d1 q4 d999 q0 z64", { "tensor 'w'", "type 999 is no type" } },
    { HEAD(1, 0) "sw d1 q4 d0xffffffff q0 z64", { "tensor 'w'", "type 4294967295 is no type" } },
    { HEAD(1, 0) "sw d2 q48 q2 d8 q0 p z102", { "tensor 'w'", "rows of 48 elements, expected a multiple of 32" } },
    { HEAD(1, 0) "sw d2 q32 q8 d12 q0 p z144", { "tensor 'w'", "rows of 32 elements, expected a multiple of 256" } },
    { HEAD(1, 0) "sw d0 d8 q0 p z34", { "tensor 'w'", "rows of 1 elements" } },
    { HEAD(1, 0) W(4) "p z64", { "tensor 'w'", "offset 4 is no multiple of the alignment 32" } },
    { HEAD(1, 0) W(0) "p z31", { "tensor 'w': 32 bytes at offset 0", "has 31 bytes of data" } },
    { HEAD(1, 0) W(0), { "tensor 'w'", "has 0 bytes of data" } },
    { HEAD(1, 0) W(32) "p z63", { "tensor 'w'", "offset 32" } },
    { HEAD(1, 0) W(0xffffffffffffffe0) "p z64", { "tensor 'w'", "18446744073709551584" } },
    { HEAD(2, 0) "sa d1 q16 d0 q0 sb d1 q4 d0 q32 p z64", { "tensor 'b' overlaps 'a'" } },
    { HEAD(2, 0) "sa d1 q4 d0 q0 sb d1 q4 d0 q0 p z64", { "overlaps" } },
    { HEAD(2, 0) "sa d1 q4 d0 q0 sa d1 q4 d0 q32 p z64", { "tensor 'a' is there twice" } },
    { HEAD(2, 0) "sabcdefghijklmnopq d1 q4 d0 q0 sb b1", { "end of the file", "a tensor's rank" } },
};

static void each_malformed_file_is_refused_with_what_is_wrong(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gguf *g;
        make_file(&b, bad[i].spec);
        char *exact = malloc(b.len ? b.len : 1);       /* so that a sanitizer sees the end */
        memcpy(exact, b.data, b.len);
        err_clear(&err);
        if (!gguf_parse(&g, exact, b.len, "f.gguf", &err))
            fail_msg("taken: %s", bad[i].spec);
        assert_null(g);
        for (int k = 0; k < 2 && bad[i].says[k]; k++)
            if (!strstr(err.msg, bad[i].says[k]))
                fail_msg("%s\n  says: %s\n  lacks: %s", bad[i].spec, err.msg, bad[i].says[k]);
        free(exact);
    }
    buf_release(&b);
}

static void what_the_format_allows_is_read(void **state)
{
    (void)state;
    struct buf b;
    struct gguf *g;
    buf_init(&b);
    make_file(&b, HEAD(0, 0));
    OK(gguf_parse(&g, b.data, b.len, "none", &err));
    assert_int_equal(gguf_n_tensor(g), 0);
    assert_null(gguf_find(g, "k"));
    assert_null(gguf_find_tensor(g, "w"));
    gguf_free(g);
    /* version 2; alignment 8; holes; a scalar; types that are not ours; the last tensor without padding */
    make_file(&b, "G d2 q3 q1 sgeneral.alignment d4 d8 ss d0 d0 q64 sx d1 q256 d16 q72 sw d1 q3 d0 q0 z4 d0x40400000 z60 d0x3f800000 z4 z66");
    OK(gguf_parse(&g, b.data, b.len, "odd", &err));
    assert_int_equal(gguf_version(g), 2);
    const struct source_tensor *s = gguf_find_tensor(g, "s"), *x = gguf_find_tensor(g, "x"), *w = gguf_find_tensor(g, "w");
    float f;
    memcpy(&f, w->data, sizeof f);
    assert_true(f == 3);
    memcpy(&f, s->data, sizeof f);
    assert_true(f == 1);
    assert_int_equal(s->rank, 0);
    assert_int_equal(s->n, 1);
    assert_int_equal(x->type, N_CPU_TYPE);
    assert_int_equal(x->bytes, 66);
    assert_string_equal(gguf_type_name(g, x), "iq2_xxs");
    assert_string_equal(gguf_type_name(g, w), "f32");
    assert_ptr_equal(gguf_tensor(g, 1), x);
    gguf_free(g);
    buf_release(&b);
}

static void write_spec(const char *name, const char *spec)
{
    struct buf b;
    buf_init(&b);
    make_file(&b, spec);
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

/* ---- published vulnerabilities of other readers, one file each at least, through the door that a user's file takes ---- */

#define KV(key, kind, value) "s" key " d" kind " " value " "
#define VOCAB(n, tokens, more) HEAD(0, n) KV("tokenizer.ggml.model", "8", "sllama") KV("tokenizer.ggml.tokens", "9", tokens) more
#define BYTES(n, more) HEAD(0, n) KV("tokenizer.ggml.model", "8", "sgpt2") KV("tokenizer.ggml.tokens", "9", "d8 q2 sa sb") more

enum door { OPEN, TOKENIZER, QUANTISE };
static const struct { const char *id; enum door door; const char *spec, *says; } published[] = {
    { "CVE-2024-21802: a tensor's dimensions", OPEN, HEAD(1, 0) "sw d0x40000001 q1 d0 q0 z64", "rank 1073741825" },
    { "CVE-2024-21825: strings of an array, count times size", OPEN, HEAD(0, 1) "sk d9 d8 q0x1000000000000001 z64", "expected at most 67108864" },
    { "CVE-2024-21836: number of tensors times their size", OPEN, "G d3 q0x0147ae147ae147af q0 z256", "tensors, but the file has 256 bytes left" },
    { "CVE-2024-23496: a string's length + 1 is 0", OPEN, HEAD(0, 1) "sk d8 q0xffffffffffffffff z64", "18446744073709551615 bytes" },
    { "CVE-2024-23605: number of keys times their size", OPEN, "G d3 q0 q0x0555555555555556 z256", "keys, but the file has 256 bytes left" },
    { "CVE-2024-25664: number of keys that no file holds", OPEN, "G d3 q0 q0x7fffffff z256", "keys, but the file has" },
    { "CVE-2024-25665: a string past the end", OPEN, HEAD(0, 1) "sk d8 q4096 z64", "but the file has 64 left" },
    { "CVE-2024-25666: number of tensors that no file holds", OPEN, "G d3 q0x7fffffff q0 z256", "tensors, but the file has" },
    { "CVE-2024-25667: an array's kind outside the table of sizes", OPEN, HEAD(0, 1) "sk d9 d0x7fffffff q1 z64", "array of kind 2147483647" },
    { "CVE-2024-25668: an array's bytes past the end", OPEN, HEAD(0, 1) "sk d9 d12 q64 z64", "64 elements of f64" },
    { "CVE-2025-53630: padded sizes that add up to little", OPEN, HEAD(2, 0) "sa d1 q0x7fffffffffffffe0 d24 q0 sb d1 q0x7fffffffffffffe0 d24 q0x7fffffffffffffe0 p z64",
      "bytes at offset 0, but the file has 64" },
    { "CVE-2026-27940: the same through a type whose blocks are large", OPEN, HEAD(1, 0) "sw d2 q0x40000000 q0x40000000 d28 q0 p z64", "more than 2^63-1 bytes" },
    { "CVE-2026-33298: bytes of a tensor that wrap to a small number", OPEN, HEAD(1, 0) "sw d4 q0x40000000 q0x40000000 q8 q1 d8 q0 p z64", "more than 2^63-1" },
    { "CVE-2026-7482: a tensor that ends past the file, quantised", QUANTISE, HEAD(1, 0) "sw d2 q32 q64 d0 q0 p z64", "8192 bytes at offset 0, but the file has 64" },
    { "GHSA-8wwf-w4qm-gpqr (CVE-2025-49847): scores and types of fewer tokens", TOKENIZER, VOCAB(3, "d8 q2 sa sb", KV("tokenizer.ggml.scores", "9", "d6 q1 d0")), "fewer scores" },
    { "GHSA-g4cc-763q-h9h6: a special id outside the vocabulary", TOKENIZER, VOCAB(3, "d8 q3 sa sb sc", KV("tokenizer.ggml.bos_token_id", "4", "d3")), "the bos token has id 3" },
    { "the same, negative", TOKENIZER, VOCAB(3, "d8 q3 sa sb sc", KV("tokenizer.ggml.eos_token_id", "5", "d0xfffffff0")), "eos_token_id" },
    { "the same by a default, where the key is absent", TOKENIZER, VOCAB(2, "d8 q1 sa", ""), "expected one of the 1 of the vocabulary" },
    { "a merge of a token that is not there", TOKENIZER, BYTES(3, KV("tokenizer.ggml.merges", "9", "d8 q1 q3 ra b0x20 rc")), "names a token that the vocabulary lacks" },
    { "a vocabulary without an element", TOKENIZER, VOCAB(2, "d8 q0", ""), "no vocabulary" },
};

static int open_by(enum door door, const char *path)
{
    struct source *s;
    struct tok *t = NULL;
    if (door == TOKENIZER) {
        const int rc = tok_load(&t, path, &err);
        tok_free(t);
        return rc;
    }
    TRY(source_open(&s, path, &err));
    const struct convert c = { .mix = mix_find("q8_0") };
    const int rc = door == QUANTISE ? convert_gguf(s, "/nonexistent/out.gguf", &c, &err) : 0;
    source_free(s);
    return rc;
}

static void each_published_vulnerability_is_an_error_here(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        write_spec("published.gguf", published[i].spec);
        if (open_by(published[i].door, in_dir("published.gguf")) >= 0)
            fail_msg("taken: %s", published[i].id);
        if (!strstr(err.msg, published[i].says))
            fail_msg("%s\n  says: %s\n  lacks: %s", published[i].id, err.msg, published[i].says);
    }
    /* "<0x-1>" as a byte: llama.cpp's strtol took the sign.  Here it is no byte; the text stays text. */
    struct tok *t;
    write_spec("published.gguf", VOCAB(3, "d8 q4 s<unk> s<s> s</s> s<0x-1>", KV("tokenizer.ggml.token_type", "9", "d5 q4 d2 d3 d3 d6")));
    if (!tok_load(&t, in_dir("published.gguf"), &err)) {
        size_t n;
        const char *bytes = tok_bytes(t, 3, &n);
        assert_true(n == 0 || (n == 6 && !memcmp(bytes, "<0x-1>", 6)));
        tok_free(t);
    }
    file_remove_tree(in_dir("published.gguf"), NULL);
}

/* ---- gguf-py's files ---- */

static int64_t int_of(const struct gguf *g, const char *key)
{
    int64_t v = 77;
    if (gguf_get_int(g, key, INT64_MIN, INT64_MAX, &v, &err) != 1)
        fail_msg("%s: %s", key, err.msg);
    return v;
}

static void every_kind_of_metadata_is_read_as_gguf_py_wrote_it(void **state)
{
    (void)state;
    struct gguf *g;
    OK(gguf_open(&g, "tests/golden/quant/small.gguf", &err));
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(int_of(g, "k.u8"), 200);
    assert_int_equal(int_of(g, "k.i8"), -100);
    assert_int_equal(int_of(g, "k.u16"), 60000);
    assert_int_equal(int_of(g, "k.i16"), -30000);
    assert_int_equal(int_of(g, "k.u32"), 4000000000);
    assert_int_equal(int_of(g, "k.i32"), -2000000000);
    assert_int_equal(int_of(g, "k.i64"), -((int64_t)1 << 62));
    int64_t v = 5;
    assert_int_equal(gguf_get_int(g, "k.u64", 0, INT64_MAX, &v, &err), ERR_RANGE);
    assert_int_equal(gguf_int_at(gguf_find(g, "k.u64"), 0), INT64_MAX);
    assert_int_equal(gguf_get_int(g, "k.u8", 0, 199, &v, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "'k.u8' is 200, expected 0 to 199"));
    assert_int_equal(gguf_get_int(g, "none", 0, 1, &v, &err), 0);
    assert_int_equal(v, 5);
    double d = 0;
    assert_int_equal(gguf_get_num(g, "k.f32", &d, &err), 1);
    assert_true(d == 1.5);
    assert_int_equal(gguf_get_num(g, "k.f64", &d, &err), 1);
    assert_true(d == -1e300);
    assert_int_equal(gguf_get_num(g, "k.i8", &d, &err), 1);
    assert_true(d == -100);
    bool t = false, f = true;
    assert_int_equal(gguf_get_bool(g, "k.true", &t, &err) + gguf_get_bool(g, "k.false", &f, &err), 2);
    assert_true(t && !f);
    const char *s;
    assert_int_equal(gguf_get_str(g, "k.string", &s, &err), 1);
    assert_string_equal(s, "na\xc3\xafve \xe4\xb8\xad");
    assert_int_equal(gguf_get_str(g, "k.empty", &s, &err), 1);
    assert_string_equal(s, "");
    const struct gguf_pair *a;
    assert_int_equal(gguf_get_strs(g, "k.strings", &a, &err), 1);
    assert_int_equal(a->n, 4);
    assert_int_equal(gguf_str_at(a, 1).n, 0);
    assert_int_equal(gguf_str_at(a, 2).n, 4);
    assert_memory_equal(gguf_str_at(a, 3).p, "<0x0A>", 6);
    assert_int_equal(gguf_get_ints(g, "k.ints", &a, &err), 1);
    assert_int_equal(gguf_int_at(a, 1), -2);
    assert_int_equal(gguf_get_nums(g, "k.floats", &a, &err), 1);
    assert_true(gguf_num_at(a, 1) == -1.25);
    assert_int_equal(gguf_get_ints(g, "k.bools", &a, &err), 1);
    assert_int_equal(gguf_int_at(a, 2), 1);
    /* the wrong kind */
    assert_int_equal(gguf_get_int(g, "k.string", 0, 1, &v, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "'k.string' is string, expected an integer"));
    assert_int_equal(gguf_get_int(g, "k.true", 0, 1, &v, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_bool(g, "k.u8", &t, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_str(g, "k.strings", &s, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "'k.strings' is an array of string, expected a string"));
    assert_int_equal(gguf_get_strs(g, "k.string", &a, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_ints(g, "k.floats", &a, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_nums(g, "k.strings", &a, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_num(g, "k.floats", &d, &err), ERR_FORMAT);
    /* tensors: shapes in the order of rows */
    const struct source_tensor *b = gguf_find_tensor(g, "b.weight"), *q = gguf_find_tensor(g, "q.weight");
    assert_int_equal(gguf_n_tensor(g), 4);
    assert_int_equal(b->rank, 3);
    assert_true(b->shape[0] == 2 && b->shape[1] == 3 && b->shape[2] == 4 && b->type == TYPE_F16 && b->bytes == 48);
    assert_true(q->type == TYPE_Q8_0 && q->shape[1] == 64 && q->bytes == 4 * 34);
    assert_int_equal(gguf_find_tensor(g, "c")->type, N_CPU_TYPE);
    gguf_free(g);
    assert_int_equal(gguf_open(&g, "tests/golden/quant/big.gguf", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "big-endian GGUF file (version 3)"));
}

static void every_truncation_is_refused_and_every_flipped_byte_is_survived(void **state)
{
    (void)state;
    struct buf b;
    struct gguf *g;
    buf_init(&b);
    OK(file_read("tests/golden/quant/small.gguf", 1 << 20, &b, &err));
    OK(gguf_parse(&g, b.data, b.len, "whole", &err));
    const struct source_tensor *last = gguf_tensor(g, gguf_n_tensor(g) - 1);
    const size_t need = (size_t)((const char *)last->data + last->bytes - b.data);
    gguf_free(g);
    for (size_t n = 0; n < need; n++) {
        char *exact = malloc(n ? n : 1);
        memcpy(exact, b.data, n);
        assert_true(gguf_parse(&g, exact, n, "cut", &err) < 0);
        free(exact);
    }
    for (size_t i = 0; i < need; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] = (char)(b.data[i] ^ 1 << bit);
            if (!gguf_parse(&g, b.data, b.len, "flipped", &err))
                gguf_free(g);
            b.data[i] = (char)(b.data[i] ^ 1 << bit);
        }
    buf_release(&b);
}

static void a_vocabulary_of_many_strings_is_indexed_once(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct buf b;
    struct gguf *g;
    const struct gguf_pair *a;
    buf_init(&b);
    make_file(&b, HEAD(0, 1) "stokens d9 d8 q300000");
    for (int i = 0; i < N; i++) {
        char word[20];
        const uint64_t n = (uint64_t)snprintf(word, sizeof word, "t%d", i);
        buf_add(&b, &n, 8, NULL), buf_add(&b, word, n, NULL);
    }
    struct mem_stats before, after;
    mem_stats_get(&before);
    OK(gguf_parse(&g, b.data, b.len, "many", &err));
    mem_stats_get(&after);
    assert_true(after.n_alloc - before.n_alloc < 20);
    assert_int_equal(gguf_get_strs(g, "tokens", &a, &err), 1);
    for (int i = N - 1; i >= 0; i--) {
        const struct gguf_str s = gguf_str_at(a, i);
        assert_int_equal(s.p[0], 't');
        assert_int_equal(atoi(s.p + 1) , i);
    }
    gguf_free(g);
    buf_release(&b);
}

/* Files of the smallest records there are, which cost the most for a byte: keys, tensors, empty strings. */
static void memory_stays_within_the_stated_factor(void **state)
{
    (void)state;
    enum { N = 60000 };
    for (int kind = 0; kind < 3; kind++) {
        struct buf b;
        struct gguf *g;
        char head[100], name[10];
        buf_init(&b);
        snprintf(head, sizeof head, kind == 2 ? "G d3 q0 q1 sk d9 d8 q%d" : kind ? "G d3 q%d q0" : "G d3 q0 q%d", N);
        make_file(&b, head);
        for (int i = 0; i < N; i++) {
            const uint64_t n = kind == 2 ? 0 : 4, offset = (uint64_t)i * 32;
            const uint32_t none[2] = { 0, 24 };          /* rank 0, i8 */
            snprintf(name, sizeof name, "%c%c%c%c", 'a' + i / 17576 % 26, 'a' + i / 676 % 26, 'a' + i / 26 % 26, 'a' + i % 26);
            buf_add(&b, &n, 8, NULL), buf_add(&b, name, n, NULL);
            if (kind == 0)
                buf_add(&b, none, 4, NULL), buf_add_char(&b, 1, NULL);
            if (kind == 1)
                buf_add(&b, none, 8, NULL), buf_add(&b, &offset, 8, NULL);
        }
        for (int64_t i = 0; i < 32 * ((int64_t)N + 2) && kind == 1; i++)
            buf_add_char(&b, 0, NULL);
        const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        OK(gguf_parse(&g, b.data, b.len, "small", &err));
        const size_t taken = mallinfo2().uordblks + mallinfo2().hblkhd - before;
        if (taken > GGUF_MEMORY_FACTOR * b.len + GGUF_MEMORY_BASE)
            fail_msg("kind %d: %zu bytes for a file of %zu", kind, taken, b.len);
        print_message("kind %d: %.1f bytes for each of the file\n", kind, (double)taken / (double)b.len);
        gguf_free(g);
        buf_release(&b);
    }
}

/* ---- shards ---- */

#define SHARD(no, count, total, tensor) HEAD(1, 3) "ssplit.no d2 b" #no " b0 ssplit.count d2 b" #count " b0 ssplit.tensors.count d5 d" #total \
    " s" tensor " d1 q1 d0 q0 p d0x3f800000 z28"

static void shards_are_opened_by_the_first(void **state)
{
    (void)state;
    struct gguf *g;
    struct source *s;
    write_spec("m-00001-of-00003.gguf", SHARD(0, 3, 3, "a"));
    write_spec("m-00002-of-00003.gguf", SHARD(1, 3, 3, "c"));
    write_spec("m-00003-of-00003.gguf", SHARD(2, 3, 3, "b"));
    OK(gguf_open(&g, in_dir("m-00001-of-00003.gguf"), &err));
    assert_int_equal(gguf_n_tensor(g), 3);
    assert_int_equal(gguf_n_file(g), 3);
    assert_string_equal(gguf_tensor(g, 1)->name, "c");
    assert_non_null(gguf_find_tensor(g, "b"));
    assert_string_equal(gguf_type_name(g, gguf_find_tensor(g, "b")), "f32");
    assert_non_null(strstr(gguf_file_name(g, 2), "m-00003-of-00003.gguf"));
    gguf_free(g);
    OK(source_open(&s, test_dir, &err));            /* the folder is the same model */
    assert_int_equal(source_count(s), 3);
    source_free(s);
    static const struct { const char *name, *spec, *says; } wrong[] = {
        { "m-00003-of-00003.gguf", SHARD(2, 3, 3, "a"), "tensor 'a' is there twice" },
        { "m-00003-of-00003.gguf", SHARD(1, 3, 3, "b"), "split.no is 1, expected 2" },
        { "m-00003-of-00003.gguf", HEAD(0, 0), "split.no is -1, expected 2" },
        { "m-00001-of-00003.gguf", SHARD(0, 3, 4, "a"), "have 3 tensors, expected 4" },
        { "m-00001-of-00003.gguf", SHARD(0, 2, 3, "a"), "is shard 1 of 2" },
        { "m-00001-of-00003.gguf", SHARD(1, 3, 3, "a"), "is shard 2 of 3, expected the first" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_spec("m-00001-of-00003.gguf", SHARD(0, 3, 3, "a"));
        write_spec("m-00003-of-00003.gguf", SHARD(2, 3, 3, "b"));
        write_spec(wrong[i].name, wrong[i].spec);
        assert_true(gguf_open(&g, in_dir("m-00001-of-00003.gguf"), &err) < 0);
        if (!strstr(err.msg, wrong[i].says))
            fail_msg("says: %s\nlacks: %s", err.msg, wrong[i].says);
    }
    assert_int_equal(gguf_open(&g, in_dir("m-00002-of-00003.gguf"), &err), ERR_USAGE);
    file_remove_tree(in_dir("m-00002-of-00003.gguf"), NULL);
    write_spec("m-00001-of-00003.gguf", SHARD(0, 3, 3, "a"));
    assert_int_equal(gguf_open(&g, in_dir("m-00001-of-00003.gguf"), &err), ERR_NOTFOUND);
    file_remove_tree(in_dir("m-00001-of-00003.gguf"), NULL);
    file_remove_tree(in_dir("m-00003-of-00003.gguf"), NULL);
}

/* ---- one view of all files ---- */

static void a_source_shows_both_kinds_of_file_alike(void **state)
{
    (void)state;
    struct source *s;
    OK(source_open(&s, "tests/golden/quant/small.gguf", &err));
    assert_int_equal(source_kind(s), SOURCE_GGUF);
    assert_non_null(source_gguf(s));
    const struct source_tensor *t = source_find(s, "a.weight");
    float row[3];
    OK(source_read_rows(s, t, 1, 1, row, &err));
    assert_true(row[0] == 3 && row[2] == 5);
    assert_int_equal(source_read_rows(s, source_find(s, "c"), 0, 1, row, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "tensor 'c': type i32"));
    source_free(s);
    OK(source_open(&s, "tests/golden/llama", &err));
    assert_int_equal(source_kind(s), SOURCE_SAFETENSORS);
    assert_null(source_gguf(s));
    assert_true(source_count(s) > 3);
    for (int i = 0; i < source_count(s); i++)
        assert_ptr_equal(source_find(s, source_at(s, i)->name), source_at(s, i));
    assert_null(source_find(s, "none"));
    source_free(s);
}

static void pickles_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct { const char *name, *bytes; size_t n; } files[] = {
        { "model.pth", "PK\3\4 and so on", 15 }, { "model.safetensors", "PK\3\4 and so on", 15 }, { "weights", "\x80\2}q\0.", 6 },
        { "pytorch_model.bin", "(dp0\n.", 6 }, { "old.ckpt", "\x80\2\x8a\n", 4 }, { "empty.pt", "", 0 },
    };
    struct source *s;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        OK(file_write_all(in_dir(files[i].name), files[i].bytes, files[i].n, &err));
        assert_int_equal(source_open(&s, in_dir(files[i].name), &err), ERR_UNSUPPORTED);
        assert_null(s);
        assert_non_null(strstr(err.msg, files[i].name));
        assert_non_null(strstr(err.msg, "can run any program"));
        assert_non_null(strstr(err.msg, "expected .safetensors or .gguf"));
        file_remove_tree(in_dir(files[i].name), NULL);
    }
    OK(file_write_all(in_dir("pytorch_model.bin"), "PK\3\4", 4, &err));
    assert_int_equal(source_open(&s, test_dir, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "pytorch_model.bin holds pickled"));
    file_remove_tree(in_dir("pytorch_model.bin"), NULL);
    assert_int_equal(source_open(&s, test_dir, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "has no weights"));
    write_spec("a.gguf", HEAD(0, 0));
    OK(source_open(&s, test_dir, &err));
    source_free(s);
    write_spec("b.gguf", HEAD(0, 0));
    assert_int_equal(source_open(&s, test_dir, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "more than one model (a.gguf, b.gguf)"));
}

static void vocabularies_and_models_of_others_are_read(void **state)
{
    (void)state;
    static const struct { const char *path, *arch; int n_token, n_tensor; } files[] = {
        { "llama-cpp-vocab/ggml-vocab-gpt-2.gguf", "gpt2", 50257, 0 }, { "llama-cpp-vocab/ggml-vocab-phi-3.gguf", "phi3", 32064, 0 },
        { "llama-cpp-vocab/ggml-vocab-bert-bge.gguf", "bert", 30522, 0 }, { "stories260K-gguf/stories260K-f32.gguf", "llama", 512, 47 },
        { "stories260K-gguf/stories260K-q4_0.gguf", "llama", 512, 47 },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct gguf *g;
        const struct gguf_pair *tokens;
        const char *arch;
        OK(gguf_open(&g, shared(files[i].path), &err));
        assert_int_equal(gguf_get_str(g, "general.architecture", &arch, &err), 1);
        assert_string_equal(arch, files[i].arch);
        assert_int_equal(gguf_get_strs(g, "tokenizer.ggml.tokens", &tokens, &err), 1);
        assert_int_equal(tokens->n, files[i].n_token);
        assert_int_equal(gguf_n_tensor(g), files[i].n_tensor);
        gguf_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_malformed_file_is_refused_with_what_is_wrong),
        cmocka_unit_test(each_published_vulnerability_is_an_error_here),
        cmocka_unit_test(what_the_format_allows_is_read),
        cmocka_unit_test(every_kind_of_metadata_is_read_as_gguf_py_wrote_it),
        cmocka_unit_test(every_truncation_is_refused_and_every_flipped_byte_is_survived),
        cmocka_unit_test(a_vocabulary_of_many_strings_is_indexed_once),
        cmocka_unit_test(memory_stays_within_the_stated_factor),
        cmocka_unit_test(shards_are_opened_by_the_first),
        cmocka_unit_test(a_source_shows_both_kinds_of_file_alike),
        cmocka_unit_test(pickles_are_refused_with_a_reason),
        cmocka_unit_test(vocabularies_and_models_of_others_are_read),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
