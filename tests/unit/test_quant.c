/* test_quant.c - element types: sizes and values against gguf-py's (tools/golden/quant.py), halves against all of them. */
#include <math.h>
#include "../test.h"
#include "cpu/quant.h"
#include "model/gguf.h"

static struct err err;

static struct buf golden(const char *name, const char *ext)
{
    struct buf b;
    char path[200];
    buf_init(&b);
    snprintf(path, sizeof path, "tests/golden/quant/%s.%s", name, ext);
    if (file_read(path, 1 << 20, &b, &err) < 0)
        fail_msg("%s", err.msg);
    return b;
}

static void sizes_and_ids_are_ggufs(void **state)
{
    (void)state;
    struct buf b = golden("types", "txt");
    int n_seen = 0;
    for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned id;
        int block, bytes;
        char name[32];
        assert_int_equal(sscanf(line, "%u %31s %d %d", &id, name, &block, &bytes), 4);
        const enum cpu_type t = type_of_ggml(id);
        assert_int_equal(t, type_of_name(name));
        if (t == N_CPU_TYPE)
            continue;
        n_seen++;
        assert_string_equal(type_name(t), name);
        assert_int_equal(type_ggml_id(t), id);
        assert_int_equal(type_block(t), block);
        assert_int_equal(type_block_bytes(t), bytes);
        assert_int_equal(type_bytes(t, 3 * block), 3 * bytes);
    }
    int n_ours = 0;
    for (int t = 0; t < N_CPU_TYPE; t++)
        n_ours += type_ggml_id((enum cpu_type)t) >= 0;
    assert_int_equal(n_seen, n_ours);
    assert_int_equal(type_of_name("Q4_K"), TYPE_Q4_K);
    assert_int_equal(type_of_name("q9"), N_CPU_TYPE);
    assert_int_equal(type_of_ggml(4), N_CPU_TYPE);
    assert_int_equal(type_of_ggml(0xFFFFFFFF), N_CPU_TYPE);
    buf_release(&b);
}

static void blocks_have_the_values_that_gguf_py_reads(void **state)
{
    (void)state;
    for (int t = TYPE_Q4_0; t <= TYPE_MXFP4; t++) {
        struct buf raw = golden(type_name((enum cpu_type)t), "bin"), want = golden(type_name((enum cpu_type)t), "f32");
        const size_t n = raw.len / type_block_bytes((enum cpu_type)t) * (size_t)type_block((enum cpu_type)t);
        assert_int_equal(want.len, n * sizeof(float));
        float *y = malloc(want.len);
        char *unaligned = malloc(raw.len + 1);
        memcpy(unaligned + 1, raw.data, raw.len);
        type_dequantize((enum cpu_type)t, (int64_t)n, unaligned + 1, y);
        for (size_t i = 0; i < n; i++) {
            float w;
            memcpy(&w, want.data + i * sizeof w, sizeof w);
            if (w != y[i])
                fail_msg("%s, element %zu: %.9g, expected %.9g", type_name((enum cpu_type)t), i, (double)y[i], (double)w);
        }
        free(y);
        free(unaligned);
        buf_release(&raw);
        buf_release(&want);
    }
}

/* The value of a half by its definition. */
static double half_value(uint16_t h)
{
    const int e = h >> 10 & 31, m = h & 1023;
    const double v = e == 31 ? (m ? (double)NAN : (double)INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static void each_half_is_its_value_and_is_rounded_to(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = half_to_float((uint16_t)h);
        const double v = half_value((uint16_t)h);
        if (isnan(v)) {
            assert_true(isnan(f) && isnan(half_to_float(float_to_half(f))));
            continue;
        }
        assert_true((double)f == v && !signbit(f) == !(h & 0x8000));
        assert_int_equal(float_to_half(f), h);
        if ((h & 0x7FFF) >= 0x7BFF)
            continue;
        /* half way to the next goes to the even one, a little to either side to the nearer */
        const double mid = (v + half_value((uint16_t)(h + 1))) / 2;
        assert_int_equal(float_to_half((float)mid), h + (h & 1));
        assert_int_equal(float_to_half(nextafterf((float)mid, 0)), h);
        assert_int_equal(float_to_half(nextafterf((float)mid, h & 0x8000 ? -INFINITY : INFINITY)), h + 1);
    }
    assert_int_equal(float_to_half(65519.99f), 0x7BFF);
    assert_int_equal(float_to_half(65520), 0x7C00);
    assert_int_equal(float_to_half(-1e30f), 0xFC00);
    assert_int_equal(float_to_half(1e-30f), 0);
}

static void fp8_has_the_values_of_its_definition(void **state)
{
    (void)state;
    for (int v = 0; v < 256; v++) {
        const uint8_t b = (uint8_t)v;
        float y[2];
        type_dequantize(TYPE_F8_E4M3, 1, &b, y);
        type_dequantize(TYPE_F8_E5M2, 1, &b, y + 1);
        const int e4 = v >> 3 & 15, m3 = v & 7, e5 = v >> 2 & 31, m2 = v & 3;
        const double sign = v & 128 ? -1 : 1;
        if ((v & 127) == 127)
            assert_true(isnan(y[0]));
        else
            assert_true((double)y[0] == sign * (e4 ? ldexp(1 + m3 / 8.0, e4 - 7) : ldexp(m3 / 8.0, -6)));
        if (e5 == 31)
            assert_true(m2 ? isnan(y[1]) : isinf(y[1]));
        else
            assert_true((double)y[1] == sign * (e5 ? ldexp(1 + m2 / 4.0, e5 - 15) : ldexp(m2 / 4.0, -14)));
    }
}

static void plain_types_and_q4_g_are_read(void **state)
{
    (void)state;
    struct { float d, m; uint8_t q[16]; } g = { 0.5f, -3, { 0x10 } };
    float y[32];
    g.q[15] = 0xF2;
    type_dequantize(TYPE_Q4_G, 32, &g, y);
    assert_true(y[0] == -3 && y[16] == -2.5f && y[15] == -2 && y[31] == 4.5f);
    const uint16_t bf[] = { 0x3F80, 0xC000 };
    type_dequantize(TYPE_BF16, 2, bf, y);
    assert_true(y[0] == 1 && y[1] == -2);
    type_dequantize(TYPE_F32, 2, &g, y);
    assert_true(y[0] == 0.5f && y[1] == -3);
    type_dequantize(TYPE_F32, 0, NULL, y);
}

/* ---- from floats ---- */

static void blocks_are_ggmls_to_the_byte(void **state)
{
    (void)state;
    static const enum cpu_type types[] = { TYPE_Q4_0, TYPE_Q4_1, TYPE_Q5_0, TYPE_Q5_1, TYPE_Q8_0, TYPE_F16, TYPE_BF16 };
    struct buf x = golden("numbers", "f32");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct buf want = golden(type_name(types[i]), "q");
        char *got = malloc(want.len);
        assert_int_equal(want.len, type_bytes(types[i], (int64_t)(x.len / 4)));
        type_quantize(types[i], (int64_t)(x.len / 4), (const float *)(const void *)x.data, NULL, got);
        for (size_t k = 0; k < want.len; k++)
            if (got[k] != want.data[k])
                fail_msg("%s: byte %zu of block %zu is %02x, expected %02x", type_name(types[i]), k % type_block_bytes(types[i]),
                         k / type_block_bytes(types[i]), (unsigned char)got[k], (unsigned char)want.data[k]);
        free(got);
        buf_release(&want);
    }
    buf_release(&x);
}

/* Square root of the sum of v*(y-x)^2 over that of v*x^2, of the blocks of x[n]. */
static double relative_error(enum cpu_type t, int64_t n, const float *x, const float *importance, const float *v)
{
    char *raw = malloc(type_bytes(t, n));
    float *y = malloc((size_t)n * sizeof *y);
    double miss = 0, all = 0;
    type_quantize(t, n, x, importance, raw);
    type_dequantize(t, n, raw, y);
    for (int64_t i = 0; i < n; i++) {
        const double w = v ? (double)v[i] : 1, d = (double)y[i] - (double)x[i];
        miss += w * d * d, all += w * (double)x[i] * (double)x[i];
    }
    free(raw);
    free(y);
    return sqrt(miss / all);
}

static void errors_are_at_most_ggmls_with_and_without_importance(void **state)
{
    (void)state;
    struct buf x = golden("weights", "f32"), columns = golden("importance", "f32"), errors = golden("errors", "txt");
    const int64_t n = (int64_t)(x.len / 4);
    float *importance = malloc(x.len);
    for (int64_t i = 0; i < n; i++)
        memcpy(&importance[i], columns.data + 4 * (i % 256), 4);
    int n_seen = 0;
    for (char *line = strtok(errors.data, "\n"); line; line = strtok(NULL, "\n"), n_seen++) {
        char name[32];
        double plain, weighted;
        assert_int_equal(sscanf(line, "%31s %lf %lf", name, &plain, &weighted), 3);
        const enum cpu_type t = type_of_name(name);
        const float *xs = (const float *)(const void *)x.data;
        const double a = relative_error(t, n, xs, NULL, NULL), b = relative_error(t, n, xs, importance, importance);
        print_message("%-7s error %.5f (ggml %.5f), with importance %.5f (ggml %.5f)\n", name, a, plain, b, weighted);
        if (a > plain + 1e-6 || b > weighted + 1e-6)
            fail_msg("%s: error %.7f, with importance %.7f, expected at most %.7f and %.7f", name, a, b, plain, weighted);
    }
    assert_int_equal(n_seen, 12);
    free(importance);
    buf_release(&x), buf_release(&columns), buf_release(&errors);
}

static void what_a_type_can_hold_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < N_CPU_TYPE; i++) {
        const enum cpu_type t = (enum cpu_type)i;
        float x[256];
        for (int j = 0; j < 256; j++)          /* integers that every type has: their scale is 1 or a half */
            x[j] = (float)(t == TYPE_Q2_K ? j % 4 : t == TYPE_Q3_K ? j % 8 - 4 : t == TYPE_IQ4_NL ? (j % 4 ? 25 : -127) : t == TYPE_MXFP4 ? j % 5 : t == TYPE_Q8_0 ? (j % 32 ? j % 255 - 127 : -127) :
                           t == TYPE_Q5_0 || t == TYPE_Q5_1 || t == TYPE_Q5_K ? j % 32 - 16 : j % 16 - 8);
        const double e = relative_error(t, 256, x, NULL, NULL);
        if (e > 1e-3)
            fail_msg("%s: error %g", type_name(t), e);
    }
    for (int v = 0; v < 256; v++)              /* fp8: each code is its own nearest */
        for (int e5 = 0; e5 < 2; e5++) {
            const enum cpu_type t = e5 ? TYPE_F8_E5M2 : TYPE_F8_E4M3;
            uint8_t b = (uint8_t)v, back;
            float f;
            type_dequantize(t, 1, &b, &f);
            type_quantize(t, 1, &f, NULL, &back);
            if (isnan(f))
                type_dequantize(t, 1, &back, &f), assert_true(isnan(f));
            else if (!isinf(f))
                assert_int_equal(back, b);
        }
    const float odd[] = { 1e9f, -INFINITY, 17, 19, -0.0f, 0x1p-10f, 0x3p-11f };     /* saturated; ties to even; half of the smallest */
    uint8_t b[7];
    type_quantize(TYPE_F8_E4M3, 7, odd, NULL, b);
    assert_memory_equal(b, "\x7e\xfe\x58\x5a\x80\x00\x01", 7);
}

static void any_numbers_give_blocks_without_harm(void **state)
{
    (void)state;
    static const float odd[] = { 0, -0.0f, 1e-40f, -1e-30f, 1e-8f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN, 1, -1, 65504, 7e4f };
    enum { N = sizeof odd / sizeof *odd };
    float x[256], importance[256], y[256];
    char raw[1024];
    for (int i = 0; i < N_CPU_TYPE; i++)
        for (int a = 0; a < N; a++)
            for (int b = 0; b < N; b++)
                for (int kind = 0; kind < 3; kind++) {
                    for (int j = 0; j < 256; j++)
                        x[j] = odd[j % 7 == 3 ? b : a], importance[j] = kind == 1 ? 0 : odd[(j + a) % N];
                    type_quantize((enum cpu_type)i, 256, x, kind ? importance : NULL, raw);
                    type_dequantize((enum cpu_type)i, 256, raw, y);
                }
    memset(x, 0, sizeof x);                    /* zeros stay zeros */
    for (int i = 0; i < N_CPU_TYPE; i++) {
        type_quantize((enum cpu_type)i, 256, x, NULL, raw);
        type_dequantize((enum cpu_type)i, 256, raw, y);
        for (int j = 0; j < 256; j++)
            assert_true(y[j] == 0);
    }
}

/* The same weights as written by gguf-py in two quantised types. */
static void a_models_blocks_are_remade_from_its_floats(void **state)
{
    (void)state;
    static const char *const names[] = { "q8_0", "q4_0", "f16", "bf16" };
    char name[60];
    struct gguf *from, *to;
    OK(gguf_open(&from, shared("stories260K-gguf/stories260K-f32.gguf"), &err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "stories260K-gguf/stories260K-%s.gguf", names[i]);
        OK(gguf_open(&to, shared(name), &err));
        int n_type = 0;
        for (int k = 0; k < gguf_n_tensor(to); k++) {
            const struct source_tensor *t = gguf_tensor(to, k), *f = gguf_find_tensor(from, t->name);
            char *raw = malloc(t->bytes);
            float *x = malloc(f->bytes);
            memcpy(x, f->data, f->bytes);
            type_quantize(t->type, t->n, x, NULL, raw);
            assert_memory_equal(raw, t->data, t->bytes);
            n_type += t->type == type_of_name(names[i]);
            free(raw);
            free(x);
        }
        assert_true(n_type > 20);
        gguf_free(to);
    }
    gguf_free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_ids_are_ggufs),
        cmocka_unit_test(blocks_have_the_values_that_gguf_py_reads),
        cmocka_unit_test(each_half_is_its_value_and_is_rounded_to),
        cmocka_unit_test(fp8_has_the_values_of_its_definition),
        cmocka_unit_test(plain_types_and_q4_g_are_read),
        cmocka_unit_test(blocks_are_ggmls_to_the_byte),
        cmocka_unit_test(errors_are_at_most_ggmls_with_and_without_importance),
        cmocka_unit_test(what_a_type_can_hold_is_kept),
        cmocka_unit_test(any_numbers_give_blocks_without_harm),
        cmocka_unit_test(a_models_blocks_are_remade_from_its_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
