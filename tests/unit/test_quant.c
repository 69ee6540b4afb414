/* test_quant.c - element types: sizes and values against gguf-py's (tools/golden/quant.py), halves against all of them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "cpu/quant.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_ids_are_ggufs),
        cmocka_unit_test(blocks_have_the_values_that_gguf_py_reads),
        cmocka_unit_test(each_half_is_its_value_and_is_rounded_to),
        cmocka_unit_test(fp8_has_the_values_of_its_definition),
        cmocka_unit_test(plain_types_and_q4_g_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
