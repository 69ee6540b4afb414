/* test_convert.c - mixtures of types against llama.cpp's (tools/golden/mixes.py), the writer of GGUF against the reader, and
 * whole files written anew. */
#include <math.h>
#include "../test.h"
#include "model/convert.h"
#include "model/finite.h"
#include "model/gguf.h"

static struct pool *pool;
static struct err err;

/* ---- mixtures ---- */

static void check_mixes(const char *file)
{
    char path[100];
    struct buf b;
    buf_init(&b);
    snprintf(path, sizeof path, "tests/golden/mixes/%s.txt", file);
    OK(file_read(path, 1 << 20, &b, &err));
    struct source_tensor tensor[400];
    int n = 0, n_mix = 0, layers, heads, kv, experts;
    char tied[8], *rest_of_lines, *line = strtok_r(b.data, "\n", &rest_of_lines);
    assert_int_equal(sscanf(line, "%d %d %d %d %7s", &layers, &heads, &kv, &experts, tied), 5);
    const struct mix_model m = { .n_layer = layers, .n_expert = experts, .n_gqa = heads / kv, .tied = !strcmp(tied, "True") };
    while ((line = strtok_r(NULL, "\n", &rest_of_lines))) {
        char *rest, *word = strtok_r(line, " ", &rest);
        if (strcmp(word, "mix")) {
            struct source_tensor *t = &tensor[n++];
            *t = (struct source_tensor){ .name = word, .type = TYPE_F32, .n = 1 };
            int64_t dim[4];
            for (char *d; (d = strtok_r(NULL, " ", &rest));)
                dim[t->rank++] = atoi(d);
            for (int i = 0; i < t->rank; i++)
                t->shape[i] = dim[t->rank - 1 - i];
            continue;
        }
        const struct mix *mix = mix_find(strtok_r(NULL, " ", &rest));
        n_mix++;
        for (int i = 0; i < n; i++) {
            bool fell_back;
            const char *want = strtok_r(NULL, " ", &rest), *got = type_name(mix_type(mix, &m, tensor[i].name, &tensor[i], &fell_back));
            if (strcmp(want, got))
                fail_msg("%s, %s: %s is %s, expected %s", file, mix->word, tensor[i].name, got, want);
        }
    }
    assert_true(n_mix == 18 && n > 30);
    buf_release(&b);
}

static void mixtures_are_llama_cpps(void **state)
{
    (void)state;
    check_mixes("dense");
    check_mixes("tied");
    check_mixes("moe8");
    check_mixes("narrow");
    assert_string_equal(mix_find("Q4_K")->word, "q4_k_m");
    assert_string_equal(mix_find("q8_0")->word, "q8_0");
    assert_null(mix_find("q9"));
    assert_null(mix_find("a word that is much too long to be a type"));
}

/* ---- the writer ---- */

static void every_kind_of_metadata_is_written_and_read_back(void **state)
{
    (void)state;
    struct gguf_writer *w;
    struct gguf *from, *to;
    OK(gguf_open(&from, "tests/golden/quant/small.gguf", &err));
    OK(gguf_writer_new(&w, in_dir("copy.gguf"), &err));
    for (int i = 0; i < gguf_n_pair(from); i++)
        OK(gguf_put_pair(w, gguf_pair(from, i), &err));
    for (int i = 0; i < gguf_n_tensor(from); i++) {
        const struct source_tensor *t = gguf_tensor(from, i);
        OK(gguf_declare(w, t->name, gguf_type_id(from, t), t->rank, t->shape, &err));
    }
    for (int i = 0; i < gguf_n_tensor(from); i++) {
        const struct source_tensor *t = gguf_tensor(from, i);
        OK(gguf_writer_add(w, i, t->data, 5, &err));
        OK(gguf_writer_add(w, i, (const char *)t->data + 5, t->bytes - 5, &err));
    }
    OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    struct file_map a, b;
    OK(file_map_open(&a, "tests/golden/quant/small.gguf", &err));
    OK(file_map_open(&b, in_dir("copy.gguf"), &err));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);       /* gguf-py's file to the byte */
    file_map_close(&a);
    file_map_close(&b);
    gguf_free(from);

    static const struct gguf_str strs[] = { { "x", 1 }, { "", 0 } };
    static const int32_t ints[] = { 3, -4 };
    const char *s;
    const struct gguf_pair *p;
    double d;
    int64_t v;
    OK(gguf_writer_new(&w, in_dir("own.gguf"), &err));
    OK(gguf_put_str(w, "s", "text", &err));
    OK(gguf_put_int(w, "i", GGUF_I16, -5, &err));
    OK(gguf_put_num(w, "f", GGUF_F32, 0.25, &err));
    OK(gguf_put_num(w, "d", GGUF_F64, 1e300, &err));
    OK(gguf_put_strs(w, "a", strs, 2, &err));
    OK(gguf_put_array(w, "n", GGUF_I32, ints, 2, &err));
    OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    OK(gguf_open(&to, in_dir("own.gguf"), &err));
    assert_true(gguf_get_str(to, "s", &s, &err) == 1 && !strcmp(s, "text"));
    assert_true(gguf_get_int(to, "i", -9, 9, &v, &err) == 1 && v == -5);
    assert_true(gguf_get_num(to, "f", &d, &err) == 1 && d == 0.25);
    assert_true(gguf_get_num(to, "d", &d, &err) == 1 && d == 1e300);
    assert_true(gguf_get_strs(to, "a", &p, &err) == 1 && p->n == 2 && gguf_str_at(p, 0).n == 1);
    assert_true(gguf_get_ints(to, "n", &p, &err) == 1 && gguf_int_at(p, 1) == -4);
    gguf_free(to);
}

static void what_no_reader_takes_is_not_written(void **state)
{
    (void)state;
    static const int64_t ok[] = { 2, 32 }, odd[] = { 2, 33 }, none[] = { 0, 32 }, vast[] = { INT64_MAX, 32 };
    char long_name[300];
    struct gguf_writer *w;
    memset(long_name, 'a', sizeof long_name);
    long_name[299] = 0;
    OK(gguf_writer_new(&w, in_dir("never.gguf"), &err));
    assert_int_equal(gguf_declare(w, "w", 8, 2, odd, &err), ERR_USAGE);
    assert_int_equal(gguf_declare(w, "w", 0, 2, none, &err), ERR_USAGE);
    assert_int_equal(gguf_declare(w, "w", 0, 2, vast, &err), ERR_USAGE);
    assert_int_equal(gguf_declare(w, "w", 4, 2, ok, &err), ERR_USAGE);
    assert_int_equal(gguf_declare(w, "", 0, 2, ok, &err), ERR_USAGE);
    assert_int_equal(gguf_declare(w, long_name, 0, 2, ok, &err), ERR_USAGE);
    OK(gguf_declare(w, "w", 8, 2, ok, &err));
    assert_int_equal(gguf_put_str(w, "late", "", &err), ERR_USAGE);
    assert_int_equal(gguf_writer_add(w, 0, long_name, 69, &err), ERR_USAGE);
    OK(gguf_writer_add(w, 0, long_name, 60, &err));
    assert_int_equal(gguf_writer_add(w, 1, long_name, 1, &err), ERR_USAGE);
    assert_int_equal(gguf_writer_commit(w, &err), ERR_USAGE);
    assert_int_equal(gguf_declare(w, "v", 8, 2, ok, &err), ERR_USAGE);
    gguf_writer_free(w);
    assert_false(file_exists(in_dir("never.gguf")));
}

/* ---- whole files ---- */

static int convert(const char *from, const char *to, const char *word, bool pure)
{
    struct source *s;
    const struct convert c = { .mix = mix_find(word), .pure = pure, .pool = pool };
    OK(source_open(&s, from, &err));
    const int rc = (source_gguf(s) ? convert_gguf : convert_safetensors)(s, to, &c, &err);
    source_free(s);
    return rc;
}

static void assert_same_files(const char *x, const char *y)
{
    struct file_map a, b;
    OK(file_map_open(&a, x, &err));
    OK(file_map_open(&b, y, &err));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    file_map_close(&a);
    file_map_close(&b);
}

static void the_files_of_stories260K_are_remade_from_f32_to_the_byte(void **state)
{
    (void)state;
    static const char *const words[] = { "q8_0", "q4_0", "f16", "bf16" };
    char name[60];
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "stories260K-gguf/stories260K-%s.gguf", words[i]);
        OK(convert(shared("stories260K-gguf/stories260K-f32.gguf"), in_dir("out.gguf"), words[i], true));
        assert_same_files(in_dir("out.gguf"), shared(name));
    }
}

static void expect_level(const char *path, const char *want)
{
    struct source *s;
    char level[MIX_NAME];
    OK(source_open(&s, path, &err));
    mix_name(s, level);
    source_free(s);
    assert_string_equal(level, want);
}

static void files_tell_their_level_of_quantisation(void **state)
{
    (void)state;
    static const char *const words[][2] = { { "q8_0", "Q8_0" }, { "q4_0", "Q4_0" }, { "bf16", "BF16" }, { "q4_k_m", "Q4_K_M" } };
    for (size_t i = 0; i < 4; i++) {
        OK(convert("tests/golden/gguf/llama_linear.gguf", in_dir("level.gguf"), words[i][0], false));
        expect_level(in_dir("level.gguf"), words[i][1]);
    }
    expect_level("tests/golden/llama", "F32");
    OK(convert("tests/golden/llama", in_dir("level.safetensors"), "f16", false));
    expect_level(in_dir("level.safetensors"), "F16");
    const int64_t shape[] = { 1, 64 };          /* nobody says it */
    const char zero[2 * 34] = { 0 };
    struct gguf_writer *w;
    OK(gguf_writer_new(&w, in_dir("bare.gguf"), &err));
    OK(gguf_declare(w, "x.weight", 8, 2, shape, &err));
    OK(gguf_writer_add(w, 0, zero, sizeof zero, &err));
    OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    expect_level(in_dir("bare.gguf"), "Q8_0");
}

static void see(void *ctx, const struct finite_row *row) { *(struct finite_row *)ctx = *row; }

static void pieces_and_threads_do_not_change_the_bytes(void **state)
{
    (void)state;
    enum { ROWS = 3000, K = 2048 };            /* more than one piece */
    const int64_t shape[] = { ROWS, K };
    float *x = malloc((size_t)ROWS * K * sizeof *x);
    uint32_t seed = 1;
    for (size_t i = 0; i < (size_t)ROWS * K; i++)
        x[i] = (float)(int32_t)(seed = seed * 1664525 + 1013904223) * 0x1p-31f;
    struct gguf_writer *w;
    OK(gguf_writer_new(&w, in_dir("large.gguf"), &err));
    OK(gguf_declare(w, "blk.0.ffn_up.weight", 0, 2, shape, &err));
    OK(gguf_writer_add(w, 0, x, (size_t)ROWS * K * sizeof *x, &err));
    OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    OK(convert(in_dir("large.gguf"), in_dir("a.gguf"), "q8_0", false));
    struct pool *several = pool, *one;
    OK(pool_new(&one, 1, &err));
    pool = one;
    OK(convert(in_dir("large.gguf"), in_dir("b.gguf"), "q8_0", false));
    pool = several;
    pool_free(one);
    assert_same_files(in_dir("a.gguf"), in_dir("b.gguf"));
    struct gguf *g;
    OK(gguf_open(&g, in_dir("a.gguf"), &err));
    char *raw = malloc(type_bytes(TYPE_Q8_0, (int64_t)ROWS * K));
    type_quantize(TYPE_Q8_0, (int64_t)ROWS * K, x, NULL, raw);
    assert_memory_equal(gguf_tensor(g, 0)->data, raw, gguf_tensor(g, 0)->bytes);
    gguf_free(g);
    /* a weight that is no number */
    x[2999 * K + 7] = NAN;
    OK(gguf_writer_new(&w, in_dir("nan.gguf"), &err));
    OK(gguf_declare(w, "blk.0.ffn_up.weight", 0, 2, shape, &err));
    OK(gguf_writer_add(w, 0, x, (size_t)ROWS * K * sizeof *x, &err));
    OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    assert_int_equal(convert(in_dir("nan.gguf"), in_dir("never.gguf"), "q8_0", false), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "tensor 'blk.0.ffn_up.weight': element 7 of row 2999 is nan"));
    assert_false(file_exists(in_dir("never.gguf")));
    struct source *source;
    struct finite_row seen = { 0 };
    OK(source_open(&source, in_dir("nan.gguf"), &err));
    assert_int_equal(finite_check(source, pool, see, &seen, &err), 1);
    assert_string_equal(seen.tensor->name, "blk.0.ffn_up.weight");
    assert_true(seen.n_bad == 1 && seen.first == 2999 * K + 7);
    source_free(source);
    OK(source_open(&source, in_dir("a.gguf"), &err));
    assert_int_equal(finite_check(source, pool, see, &seen, &err), 0);
    source_free(source);
    free(x);
    free(raw);
}

static void safetensors_change_their_floats_and_nothing_else(void **state)
{
    (void)state;
    struct source *a, *b;
    OK(convert("tests/golden/llama", in_dir("f16.safetensors"), "f16", false));
    OK(convert(in_dir("f16.safetensors"), in_dir("f32.safetensors"), "f32", false));
    OK(source_open(&a, "tests/golden/llama", &err));
    OK(source_open(&b, in_dir("f32.safetensors"), &err));
    assert_int_equal(source_count(a), source_count(b));
    for (int i = 0; i < source_count(a); i++) {
        const struct source_tensor *x = source_at(a, i), *y = source_find(b, x->name);
        float *fx = malloc((size_t)x->n * 4), *fy = malloc((size_t)x->n * 4);
        type_dequantize(x->type, x->n, x->data, fx);
        type_dequantize(y->type, y->n, y->data, fy);
        for (int64_t k = 0; k < x->n; k++)
            assert_true(half_to_float(float_to_half(fx[k])) == fy[k]);
        free(fx);
        free(fy);
    }
    source_free(a);
    source_free(b);
    assert_int_equal(convert("tests/golden/llama", in_dir("never"), "q8_0", false), ERR_USAGE);
    assert_non_null(strstr(err.msg, "hold no q8_0"));
}

static void a_number_that_the_new_type_cannot_hold_is_refused(void **state)
{
    (void)state;
    const int64_t shape[] = { 2, 32 };
    float x[64] = { 0 };
    x[5] = 70000;
    struct gguf_writer *w;
    OK(gguf_writer_new(&w, in_dir("big.gguf"), &err));
    OK(gguf_declare(w, "blk.0.ffn_up.weight", 0, 2, shape, &err));
    OK(gguf_writer_add(w, 0, x, sizeof x, &err));
    OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    assert_int_equal(convert(in_dir("big.gguf"), in_dir("never.gguf"), "f16", true), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "element 5 of row 0 is 70000, which would be inf in f16"));
    assert_false(file_exists(in_dir("never.gguf")));
    OK(convert(in_dir("big.gguf"), in_dir("big-bf16.gguf"), "bf16", true));
}

/* Pythia's files: what a mask has is no weight, and an odd number of halves may stand before whole numbers. */
static void constants_stay_and_the_widest_come_first(void **state)
{
    (void)state;
    static const char mask[] = "gpt_neox.layers.0.attention.masked_bias";
    const struct st_decl d[] = { { "ids", ST_I64, 1, { 2 } }, { "w", ST_F32, 1, { 3 } }, { mask, ST_F16, 0, { 0 } } };
    const int64_t ids[] = { 7, 8 };
    const float x[] = { 1, 2, 3 };
    const uint16_t minus_inf = 0xfc00;
    struct st_writer *w;
    struct source *s;
    OK(st_writer_new(&w, in_dir("in.safetensors"), d, 3, NULL, 0, &err));
    OK(st_writer_add(w, 0, ids, sizeof ids, &err));
    OK(st_writer_add(w, 1, x, sizeof x, &err));
    OK(st_writer_add(w, 2, &minus_inf, sizeof minus_inf, &err));
    OK(st_writer_commit(w, &err));
    st_writer_free(w);
    OK(convert(in_dir("in.safetensors"), in_dir("half.safetensors"), "bf16", false));
    OK(convert(in_dir("half.safetensors"), in_dir("whole.safetensors"), "f32", false));
    OK(source_open(&s, in_dir("whole.safetensors"), &err));
    const struct source_tensor *t = source_find(s, mask);
    assert_true(t && t->type == TYPE_F16 && !memcmp(t->data, &minus_inf, 2));
    t = source_find(s, "w");
    assert_true(t && t->type == TYPE_F32 && !memcmp(t->data, x, sizeof x));
    t = source_find(s, "ids");
    assert_true(t && t->bytes == sizeof ids && !memcmp(t->data, ids, sizeof ids));
    source_free(s);
}

static int set_up(void **state) { return !make_dir(state) ? pool_new(&pool, 3, &err) : -1; }
static int tear_down(void **state) { pool_free(pool); return remove_dir(state); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixtures_are_llama_cpps),
        cmocka_unit_test(every_kind_of_metadata_is_written_and_read_back),
        cmocka_unit_test(what_no_reader_takes_is_not_written),
        cmocka_unit_test(the_files_of_stories260K_are_remade_from_f32_to_the_byte),
        cmocka_unit_test(files_tell_their_level_of_quantisation),
        cmocka_unit_test(pieces_and_threads_do_not_change_the_bytes),
        cmocka_unit_test(a_number_that_the_new_type_cannot_hold_is_refused),
        cmocka_unit_test(constants_stay_and_the_widest_come_first),
        cmocka_unit_test(safetensors_change_their_floats_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
