/* The table of accelerators: names first, then that every row can be planned with, then modes. */
#include <math.h>
#include <string.h>
#include "../test.h"
#include "base/buf.h"
#include "base/rng.h"
#include "data/csv.h"
#include "plan/device.h"

static struct err err;

static void is_found_as(const char *name, const char *key)
{
    const struct device *d = device_find(name, &err);
    if (!d || strcmp(d->key, key))
        fail_msg("'%s' is %s, expected %s", name, d ? d->key : err.msg, key);
}

static void a_name_is_found_in_any_case_with_and_without_its_vendor(void **state)
{
    (void)state;
    is_found_as("MI300X", "mi300x");
    is_found_as("amd mi300x", "mi300x");
    is_found_as("AMD Instinct MI300X", "mi300x");
    is_found_as("H100", "h100");
    is_found_as("NVIDIA H100-SXM-80GB", "h100");
    is_found_as("h100 sxm", "h100");
    is_found_as("H100_PCIe", "h100-pcie");
    is_found_as("NVIDIA H200-SXM-141GB", "h200");
    is_found_as("M4 Max", "apple-m4-max");
    is_found_as("Intel(R) Arc(TM) Pro B60", "arc-b60");
}

/* As shared/data/hardware-measurements.csv names what it has throughputs of decoder models for. */
static void every_measured_system_is_found(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        { "AMD MI300X", "mi300x" }, { "AMD MI350X", "mi350x" }, { "AMD MI355X", "mi355x" }, { "AMD MI355X (Power Cap 1000 W)", "mi355x-1000w" },
        { "CPU Intel Xeon Platinum 8592+", "xeon-8592" }, { "CPU Intel(R) Xeon(R) 6980P", "xeon-6980p" }, { "Intel(R) Arc Pro(R) B50", "arc-b50" },
        { "Intel(R) Arc Pro(R) B60", "arc-b60" }, { "Intel(R) Arc Pro(R) B70", "arc-b70" }, { "MS-Intel Arc Pro B60 Dual 48G Turbo", "arc-b60-dual" },
        { "NVIDIA A100 80GB", "a100" }, { "NVIDIA B200-SXM-180GB", "b200" }, { "NVIDIA B300-SXM-270GB", "b300" }, { "NVIDIA GB300", "gb300" },
        { "NVIDIA GH200", "gh200" },
        { "NVIDIA GeForce RTX 4090", "rtx-4090" }, { "NVIDIA H100-NVL-94GB", "h100-nvl" }, { "NVIDIA H100-SXM-80GB", "h100" },
        { "NVIDIA H100 PCIe", "h100-pcie" },
        { "NVIDIA H200-SXM-141GB", "h200" }, { "NVIDIA Jetson AGX Orin 64G", "agx-orin" }, { "NVIDIA Jetson AGX Thor 128G", "agx-thor" },
        { "NVIDIA L40S", "l40s" },
        { "NVIDIA L4-PCIe-24GB", "l4" }, { "NVIDIA RTX PRO 4500 Blackwell", "rtx-pro-4500" },
        { "NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        is_found_as(names[i][0], names[i][1]);
}

static void is_not_found(const char *name, const char *told)
{
    err_clear(&err);
    assert_null(device_find(name, &err));
    assert_int_equal(err.code, ERR_NOTFOUND);
    if (!strstr(err.msg, told))
        fail_msg("'%s': %s; expected to read '%s'", name, err.msg, told);
}

static void an_unknown_name_is_refused_with_the_nearest(void **state)
{
    (void)state;
    is_not_found("", "none has a name like it");
    is_not_found("---", "none has a name like it");
    is_not_found("AMD", "none has a name like it");
    is_not_found("zzzzzzzzzzzz", "none has a name like it");
    is_not_found("mi300", "nearest: mi300x, mi300a");
    is_not_found("h10", "h100, h100-pcie");
    is_not_found("b100", "nearest: ");
    is_not_found("mi335x", "mi355x");
    is_not_found("h100 pcie of my neighbour", "h100-pcie");
    char long_name[1000];
    memset(long_name, 'x', sizeof long_name - 1), long_name[sizeof long_name - 1] = 0;
    is_not_found(long_name, "xxxx");
    assert_null(device_find("none such", NULL));
}

static void no_two_rows_answer_to_one_name(void **state)
{
    (void)state;
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        is_found_as(d->key, d->key);
        is_found_as(d->name, d->key);
        char alias[200];
        for (const char *a = d->aliases; a; a = strchr(a, '|') ? strchr(a, '|') + 1 : NULL) {
            snprintf(alias, sizeof alias, "%.*s", (int)strcspn(a, "|"), a);
            is_found_as(alias, d->key);
        }
    }
}

#define HOLDS(d, what) do { if (!(what)) fail_msg("%s: %s does not hold", (d)->name, #what); } while (0)
static void every_row_can_be_planned_with(void **state)
{
    (void)state;
    for (int i = 0; i < device_n(); i++) {
        const struct device *d = device_at(i);
        HOLDS(d, d->name && d->key && d->vendor && d->target && d->kind && d->fitted && d->source);
        HOLDS(d, d->peak[NUMBER_F32] > 0 && d->memory >= 1e9 && d->bandwidth > 1e9 && d->units > 0 && d->watts > 0);
        HOLDS(d, d->mma > 0 && d->mma <= 1 && d->reach > 0 && d->reach <= 1 && d->launch >= 0 && d->launch < 1e-4 && d->kernel > 0 && d->tile >= 0 && d->ridge > 0);
        HOLDS(d, d->link_share > 0 && d->link_share <= 1 && d->link_latency > 0 && d->link_peers >= 1 && d->reduce_share >= 0 && d->reduce_share <= 1);
        HOLDS(d, (d->link > 0) == (d->link_pair > 0) && (d->node > 1) == (d->link > 0));
        HOLDS(d, !d->price || (d->price_low <= d->price && d->price <= d->price_high && d->price_date));
        HOLDS(d, !d->mode[0] && (d->dies > 0) == (d->domains > 0));
        for (int n = 0; n < N_NUMBER; n++) {
            const struct product_device p = device_product(d, n);
            const double seconds = product_seconds(&p, 1, 4096, 4096, 4096, number_bytes(n));
            const double least = product_roofline(&p, 1, 4096, 4096, 4096, number_bytes(n));
            HOLDS(d, seconds > least && seconds < 20 * least + 1e-4);
            HOLDS(d, device_peak(d, n) > 0);
        }
    }
}

static void operands_without_a_unit_are_widened(void **state)
{
    (void)state;
    const struct device *h100 = device_find("h100", NULL), *pi = device_find("rpi-5", NULL), *orin = device_find("agx-orin", NULL);
    assert_true(device_peak(h100, NUMBER_FP4) == 1979e12);
    assert_true(device_peak(orin, NUMBER_FP8) == device_peak(orin, NUMBER_BF16));
    assert_true(device_peak(orin, NUMBER_INT8) == 2 * device_peak(orin, NUMBER_BF16));
    assert_true(device_peak(pi, NUMBER_FP4) == pi->peak[NUMBER_F32]);
    const struct product_device p = device_product(h100, NUMBER_FP4);
    assert_true(fabs(p.peak * 2 / number_bytes(NUMBER_FP4) / 1979e12 - 1) < 1e-12);          /* product.h doubles for half the bytes */
    assert_true(device_product(h100, NUMBER_BF16).peak == 989e12);
}

/* ---- what others measured ---- */

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void products_of_twelve_devices_are_met(void **state)
{
    (void)state;
    static const struct { const char *key, *number; double most; } devices[] = {
        { "a100", "bf16", 0.08 }, { "h100", "bf16", 0.11 }, { "h100", "fp8", 0.08 }, { "h200", "bf16", 0.09 }, { "h200", "fp8", 0.10 },
        { "b200", "bf16", 0.10 }, { "b200", "fp8", 0.08 }, { "b200", "fp4", 0.13 }, { "b300", "bf16", 0.10 }, { "b300", "fp8", 0.06 }, { "b300", "fp4", 0.11 },
        { "gb200", "bf16", 0.10 }, { "gb200", "fp8", 0.06 }, { "gb200", "fp4", 0.11 },
        { "gb300", "bf16", 0.11 }, { "gb300", "fp8", 0.06 }, { "gb300", "fp4", 0.11 },
        { "l40s", "bf16", 0.10 }, { "l40s", "fp8", 0.10 }, { "rtx-pro-6000", "bf16", 0.06 }, { "rtx-pro-6000", "fp8", 0.04 }, { "rtx-pro-6000", "fp4", 0.15 },
        { "arc-b60", "bf16", 0.08 }, { "mi355x", "bf16", 0.18 }, { "mi355x", "fp8", 0.20 }, { "mi355x", "fp4", 0.15 },
    };
    static double error[4000];
    struct buf text;
    buf_init(&text);
    OK(file_read("bench/measured/products.csv", 1 << 20, &text, &err));
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        const struct device *d = device_find(devices[i].key, &err);
        struct csv c;
        size_t len;
        int n = 0, number = 0;
        while (strcmp(devices[i].number, number_name(number)))
            number++;
        const struct product_device p = device_product(d, number);
        OK(csv_open(&c, text.data, text.len, "products.csv", &err));
        while (csv_next(&c, &err) == 1 && n < 4000) {
            if (strcmp(csv_field(&c, 0, &len), d->key) || strcmp(csv_field(&c, 1, &len), devices[i].number))
                continue;
            const double M = strtod(csv_field(&c, 2, &len), NULL), N = strtod(csv_field(&c, 3, &len), NULL), K = strtod(csv_field(&c, 4, &len), NULL);
            error[n++] = fabs(product_seconds(&p, 1, M, N, K, number_bytes(number)) / (strtod(csv_field(&c, 5, &len), NULL) * 1e-6) - 1);
        }
        csv_release(&c);
        assert_true(n >= 60);
        qsort(error, (size_t)n, sizeof *error, by_size);
        print_message("%-13s %s n %3d median error %4.1f %%, 90 %% within %4.1f %%\n", d->key, devices[i].number, n, 100 * error[n / 2],
                      100 * error[n * 9 / 10]);
        if (!(error[n / 2] <= devices[i].most))
            fail_msg("%s, %s: median error %.3f, at most %.3f expected", d->key, devices[i].number, error[n / 2], devices[i].most);
    }
    buf_release(&text);
}

static void a_mode_makes_devices_that_are_the_package_together(void **state)
{
    (void)state;
    struct device d, whole;
    assert_int_equal(device_mode(&whole, "MI300X", &err), 0);
    assert_string_equal(whole.mode, "");
    assert_int_equal(device_mode(&d, "mi300x:spx", &err), 0);
    assert_string_equal(d.mode, "SPX/NPS1");
    assert_true(d.memory == whole.memory && d.mma == whole.mma && d.units == whole.units && d.reach == whole.reach);
    assert_int_equal(device_mode(&d, "AMD MI300X:CPX/NPS4", &err), 0);
    assert_string_equal(d.mode, "CPX/NPS4");
    assert_int_equal(d.units, 38);
    assert_int_equal(d.node, 64);
    assert_true(8 * d.memory == whole.memory && 8 * d.peak[NUMBER_BF16] == whole.peak[NUMBER_BF16] && 8 * d.price == whole.price);
    assert_true(d.mma > whole.mma && d.reach > whole.reach && 8 * d.bandwidth * d.reach < 4.25e12);
    assert_int_equal(device_mode(&d, "mi300x:cpx", &err), 0);
    assert_string_equal(d.mode, "CPX/NPS1");
    assert_true(d.reach == whole.reach);
    assert_int_equal(device_mode(&d, "mi300x:dpx", &err), 0);
    assert_int_equal(d.units, 152);
    assert_int_equal(device_mode(&d, "mi300a:tpx", &err), 0);
    assert_string_equal(d.mode, "TPX/NPS1");
    assert_int_equal(d.units, 76);
}

static void is_refused(const char *name, int code, const char *told)
{
    struct device d;
    err_clear(&err);
    assert_int_equal(device_mode(&d, name, &err), code);
    if (!strstr(err.msg, told))
        fail_msg("'%s': %s; expected to read '%s'", name, err.msg, told);
}

static void a_mode_that_is_not_there_is_refused(void **state)
{
    (void)state;
    is_refused("mi300x:", ERR_USAGE, "expected one of spx, dpx, qpx, cpx and one of nps1, nps2, nps4");
    is_refused("mi300x:tpx", ERR_USAGE, "found mode 'tpx'");
    is_refused("mi300x:cpx/spx", ERR_USAGE, "found mode 'cpx/spx'");
    is_refused("mi300x:cpx/", ERR_USAGE, "expected one of");
    is_refused("mi300x:cpx/nps8", ERR_USAGE, "expected one of");
    is_refused("mi300x:nps4", ERR_USAGE, "expected all dies, as in mi300x:cpx/nps4");
    is_refused("mi300x:qpx/nps4", ERR_USAGE, "expected all dies");
    is_refused("mi300x:nps2", ERR_USAGE, "expected as many devices at least");
    is_refused("mi300a:qpx", ERR_USAGE, "expected one of spx, tpx, cpx");
    is_refused("mi300a:dpx", ERR_USAGE, "expected one of spx, tpx, cpx");
    is_refused("mi355x:cpx/nps4", ERR_USAGE, "expected one of");
    is_refused("h100:cpx", ERR_USAGE, "H100 SXM has no partition modes");
    is_refused("mi30x:cpx", ERR_NOTFOUND, "nearest: mi300x");
    is_refused(":", ERR_NOTFOUND, "no accelerator ''");
}

/* Bytes of all kinds, and names with some of their letters changed. */
static void any_name_at_all_is_found_or_refused(void **state)
{
    (void)state;
    const uint64_t key = rng_key(1, "names");
    char name[80];
    for (int i = 0; i < FEWER(20000, 2000); i++) {
        struct device d;
        const int n = (int)rng_below(key, (uint64_t)i, sizeof name);
        snprintf(name, sizeof name, "%s:cpx/nps4 (R) (tm", device_at(i % device_n())->name);
        for (int j = 0; j < (i % 3 ? n % 4 : n); j++) {
            const uint64_t at = (uint64_t)i * 1000 + (uint64_t)j;
            name[rng_below(key, at, (i % 3 ? strlen(name) : sizeof name - 1))] = (char)(1 + rng_below(key, at + 500, 255));
        }
        name[i % 3 ? strlen(name) : (size_t)n] = 0;
        err_clear(&err);
        const int rc = device_mode(&d, name, &err);
        assert_true(rc == 0 ? d.memory > 0 : (rc == ERR_NOTFOUND || rc == ERR_USAGE) && err.msg[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_in_any_case_with_and_without_its_vendor),
        cmocka_unit_test(every_measured_system_is_found),
        cmocka_unit_test(an_unknown_name_is_refused_with_the_nearest),
        cmocka_unit_test(no_two_rows_answer_to_one_name),
        cmocka_unit_test(every_row_can_be_planned_with),
        cmocka_unit_test(operands_without_a_unit_are_widened),
        cmocka_unit_test(products_of_twelve_devices_are_met),
        cmocka_unit_test(a_mode_makes_devices_that_are_the_package_together),
        cmocka_unit_test(a_mode_that_is_not_there_is_refused),
        cmocka_unit_test(any_name_at_all_is_found_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
