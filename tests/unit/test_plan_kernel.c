/* Times of kernels on a GPU, foretold: beside the records of an H100, what must hold of any, and what is not foretold. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../test.h"
#include "base/file.h"
#include "data/csv.h"
#include "plan/kernel.h"

static struct err err;

static struct kernel_time foretold(const struct device *d, const char *kind, const char *name, const char *shape, double bytes, double flop)
{
    struct kernel_time t;
    if (!kernel_foretell(&t, d, &(struct kernel_row){ kind, name, shape, bytes, flop }))
        fail_msg("%s, %s: not foretold", name, shape);
    return t;
}
static void is_not_foretold(const struct device *d, const char *kind, const char *name, const char *shape, double bytes)
{
    struct kernel_time t;
    if (kernel_foretell(&t, d, &(struct kernel_row){ kind, name, shape, bytes, 0 }))
        fail_msg("%s %s, %s: %g s", kind, name, shape, t.seconds);
}

static double number(const struct csv *c, const char *name)
{
    size_t n;
    return csv_find(c, name) < 0 ? 0 : atof(csv_field(c, csv_find(c, name), &n));
}

/* Rows of the record that are foretold and are no products that are being replaced; how many, and the worst error. */
static int worst_of(const char *path, const struct device *d, double *worst)
{
    struct buf text;
    struct csv c;
    size_t n;
    int rows = 0;
    *worst = 0;
    buf_init(&text);
    if (file_read(path, 1 << 24, &text, &err) < 0)
        fail_msg("%s", err.msg);
    const char *begin = text.data;
    while (*begin == '#')
        begin = strchr(begin, '\n') + 1;
    if (csv_open(&c, begin, text.len - (size_t)(begin - (const char *)text.data), path, &err) < 0)
        fail_msg("%s", err.msg);
    const bool torch = csv_find(&c, "kind") < 0;
    while (csv_next(&c, &err) > 0) {
        const char *shape = csv_field(&c, csv_find(&c, "shape"), &n), *name = csv_field(&c, csv_find(&c, torch ? "kernel" : "name"), &n);
        const struct kernel_row r = { torch ? "time" : csv_field(&c, csv_find(&c, "kind"), &n), name, shape, number(&c, "bytes"), number(&c, "tflop_per_s") * number(&c, "us") * 1e6 };
        struct kernel_time t;
        if (!kernel_foretell(&t, d, &r) || t.replaced)
            continue;
        const double seconds = torch ? t.flop / number(&c, "lathe") / 1e12 : number(&c, "us") * 1e-6, off = fabs(t.seconds / seconds - 1);
        if (off > 0.15)
            print_message("%s, %s: %.2f us foretold, %.2f measured\n", name, shape, t.seconds * 1e6, seconds * 1e6);
        *worst = fmax(*worst, off), rows++;
    }
    csv_release(&c);
    buf_release(&text);
    return rows;
}

static void an_h100_is_foretold_to_15_percent_in_each_row(void **state)
{
    (void)state;
    double worst;
    const struct device *d = device_find("h100", &err);
    assert_int_equal(worst_of("bench/records/gpu-h100-2026-11-27.csv", d, &worst), 74);
    assert_true(worst < 0.15);
    assert_int_equal(worst_of("bench/records/gpu-vs-torch-h100-2026-11-27.csv", d, &worst), 26);
    assert_true(worst < 0.15);
}

static void more_work_never_takes_less_time_and_a_roofline_bounds_it(void **state)
{
    (void)state;
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        struct kernel_time t;
        double last = 0;
        if (strcmp(d->vendor, "NVIDIA") && strcmp(d->vendor, "AMD"))
            continue;
        for (int N = 64; N < 1 << 18; N *= 2) {
            char shape[64];
            snprintf(shape, sizeof shape, "M 1, N %d, K 4096", N);
            const double bytes = 2. * N * 4096;
            if (!kernel_foretell(&t, d, &(struct kernel_row){ "time", "gemv_bf16_1", shape, bytes, 2. * N * 4096 }))
                continue;
            assert_true(t.seconds > bytes / d->bandwidth && t.seconds >= last && isfinite(t.seconds));
            last = t.seconds;
        }
        last = 0;
        for (int n = 128; n < 1 << 15; n *= 2) {
            char shape[64];
            snprintf(shape, sizeof shape, "M %d, N %d, K %d", n, n, n);
            if (!kernel_foretell(&t, d, &(struct kernel_row){ "time", "gemm_sm90", shape, 0, 0 }))
                continue;
            assert_true(t.seconds > 2. * n * n * n / device_peak(d, NUMBER_BF16) && t.seconds >= last);
            last = t.seconds;
        }
    }
}

static void what_bounds_a_kernel_is_named(void **state)
{
    (void)state;
    const struct device *d = device_find("h100", &err);
    assert_string_equal(kernel_bound_name(foretold(d, "time", "rope", "rows 1, C 4096", 32768, 12288).bound), "launch");
    assert_string_equal(kernel_bound_name(foretold(d, "time", "gemv_q8_0_1", "M 1, N 28672, K 4096", 124780544, 234881024).bound), "memory");
    assert_string_equal(kernel_bound_name(foretold(d, "time", "gemm_sm90", "M 8192, N 8192, K 8192", 0, 0).bound), "matrix");
    const struct kernel_time t = foretold(d, "time", "gemv_q4_0_8", "M 8, N 28672, K 4096", 66060288, 1879048192);
    assert_string_equal(kernel_bound_name(t.bound), "arithmetic");
    assert_true(t.replaced && !strcmp(t.fitted, "h200"));
    const struct kernel_time few = foretold(d, "time", "gemm_q", "M 8, N 28672, K 4096, q4_0, runs 2", 66060288, 0), many = foretold(d, "time", "gemm_q", "M 512, N 28672, K 4096, q4_0, runs 2", 66060288, 0);
    assert_true(few.bound == KERNEL_MEMORY && many.bound == KERNEL_MATRIX && few.flop * 64 == many.flop && few.seconds < many.seconds);
    assert_true(foretold(d, "time", "attn_sm90_128", "2 sequences of 8192, heads 16 / 16 of 128, causal", 0, 0).seconds <
                foretold(d, "time", "attn_sm90_128", "2 sequences of 8192, heads 16 / 16 of 128", 0, 0).seconds);
    assert_true(foretold(d, "time", "attn_decode_128_4 and join", "d 128, heads 32 / 8, 1 sequences of 8192", 33554432, 1.3e8).seconds >
                foretold(d, "time", "attn_decode_128_4", "d 128, heads 32 / 8, 1 sequences of 8192", 33554432, 1.3e8).seconds);
}

static void what_the_host_or_the_driver_does_and_unknown_kernels_are_not_foretold(void **state)
{
    (void)state;
    const struct device *d = device_find("h100", &err);
    is_not_foretold(d, "launch", "launch and wait", "1 block", 0);
    is_not_foretold(d, "launch", "kernel in a graph", "graph of 1 kernels", 0);
    is_not_foretold(d, "copy", "driver", "268435456", 5e8);
    is_not_foretold(d, "copy", "kernel", "4194304", 8388608);                 /* in the cache */
    is_not_foretold(d, "copy", "host to device", "268435456", 2.7e8);
    is_not_foretold(d, "check", "gemv_bf16_1", "M 1, N 6144, K 4096", 5e7);
    is_not_foretold(d, "time", "no_such_kernel", "M 1, N 6144, K 4096", 5e7);
    is_not_foretold(d, "time", "gemv_bf16_1", "some shape", 5e7);
    is_not_foretold(device_find("a40", &err), "time", "gemv_bf16_1", "", 5e7);
}

static void only_gfx942_is_said_to_have_never_run(void **state)
{
    (void)state;
    assert_true(kernel_never_run(device_find("mi300x", &err)) && kernel_never_run(device_find("mi300a", &err)));
    assert_false(kernel_never_run(device_find("h100", &err)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_h100_is_foretold_to_15_percent_in_each_row),
        cmocka_unit_test(more_work_never_takes_less_time_and_a_roofline_bounds_it),
        cmocka_unit_test(what_bounds_a_kernel_is_named),
        cmocka_unit_test(what_the_host_or_the_driver_does_and_unknown_kernels_are_not_foretold),
        cmocka_unit_test(only_gfx942_is_said_to_have_never_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
