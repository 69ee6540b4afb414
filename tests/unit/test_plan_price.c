/* A step's price: layouts first, then what must hold of any price, then numbers of tools/golden/plan_price.py and of makers. */
#include "../near.h"
#include "base/mem.h"
#include "base/tree.h"
#include "plan/price.h"
#include "plan/published.h"

#define NEAR(got, want) near_to((got), (want), 1e-12, #got)

static struct config config_of(const char *name)
{
    struct config c = { 0 };
    struct err err;
    OK(published_config(&c, name, &err));
    return c;
}

static struct device device_of(const char *name)
{
    struct device d;
    struct err err;
    OK(device_mode(&d, name, &err));
    return d;
}

static const struct price_opts bf16 = { .weights = NUMBER_BF16, .compute = NUMBER_BF16, .cache = NUMBER_BF16 };

static struct priced *price_of(const char *model, const char *device, struct price_opts o)
{
    struct priced *p;
    struct err err;
    const struct config c = config_of(model);
    const struct device d = device_of(device);
    OK(priced_new(&p, &c, &o, &d, &err));
    return p;
}

static struct price_opts with(struct price_opts o, int tp, int ep, int pp, int dp)
{
    o.layout = (struct layout){ tp, ep, pp, dp };
    return o;
}

/* ---- layouts ---- */

static void refused(const char *model, struct layout l, const char *part_of_message)
{
    struct err err = { 0 };
    const struct config c = config_of(model);
    assert_int_equal(layout_check(&c, &l, &err), ERR_USAGE);
    if (!strstr(err.msg, part_of_message))
        fail_msg("'%s', expected '%s' in it", err.msg, part_of_message);
}

static void impossible_layouts_say_what_is_possible(void **state)
{
    (void)state;
    refused("Llama-3-8B", (struct layout){ 3, 1, 1, 1 }, "possible: 1, 2, 4, 8, 16, 32");
    refused("SmolLM2-135M", (struct layout){ 2, 1, 1, 1 }, "possible: 1, 3");
    refused("Mixtral-8x7B", (struct layout){ 1, 3, 1, 8 }, "with tp 1 and dp 8; possible: 1, 2, 4, 8");
    refused("Mixtral-8x7B", (struct layout){ 2, 8, 1, 2 }, "possible: 1, 2, 4");
    refused("Llama-3-8B", (struct layout){ 1, 2, 1, 1 }, "has none; expected ep 1");
    refused("Llama-3-8B", (struct layout){ 1, 1, 33, 1 }, "possible: 1 to 32");
    refused("Llama-3-8B", (struct layout){ -1, 1, 1, 1 }, "expected numbers from 1");
    refused("Llama-3-8B", (struct layout){ 1, 1, 1, 1 << 30 }, "expected numbers from 1");
}

static void possible_layouts_are(void **state)
{
    (void)state;
    static const struct { const char *model; struct layout l; } rows[] = {
        { "Llama-3-8B", { 0, 0, 0, 0 } }, { "Llama-3-8B", { 16, 1, 1, 1 } },             /* heads of keys copied */
        { "Mixtral-8x7B", { 8, 2, 1, 1 } }, { "Mixtral-8x7B", { 2, 8, 1, 4 } }, { "DeepSeek-V3", { 8, 8, 1, 1 } }, { "DeepSeek-V3", { 1, 256, 1, 256 } },
        { "GPT-2", { 12, 1, 12, 3 } } };
    struct err err;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct config c = config_of(rows[i].model);
        OK(layout_check(&c, &rows[i].l, &err));
    }
}

/* ---- what holds of any price ---- */

static void a_step_of_nothing_takes_nothing(void **state)
{
    (void)state;
    struct price_opts o = bf16;
    o.host = 1e-3;
    struct priced *p = price_of("Llama-3-8B", "h100", o);
    NEAR(priced_seconds(p, &(struct step_load){ 0, 0, 0, 0 }), 0);
    const struct step_load one = { 0, 0, 1, 1 };
    struct priced *q = price_of("Llama-3-8B", "h100", bf16);
    NEAR(priced_seconds(p, &one), priced_seconds(q, &one) + 1e-3);
    priced_free(p), priced_free(q), priced_free(NULL);
}

static const struct { const char *model, *device; int tp, ep, pp, dp; } every[] = {
    { "Llama-3-8B", "h100", 1, 1, 1, 1 }, { "Llama-3-70B", "mi300x", 8, 1, 1, 1 }, { "Llama-3-70B", "h100", 2, 1, 4, 1 }, { "Qwen3-30B-A3B", "mi300x", 1, 1, 1, 1 },
    { "Mixtral-8x7B", "h100", 4, 4, 1, 1 }, { "DeepSeek-V3", "h200", 8, 8, 1, 1 }, { "DeepSeek-V3", "h200", 1, 32, 1, 32 }, { "gpt-oss-120b", "mi300x:cpx", 2, 1, 1, 1 },
    { "Gemma-3-12B", "rpi-5", 1, 1, 1, 1 }, { "GPT-2", "epyc-9654", 1, 1, 1, 1 }, { "OLMoE-1B-7B", "mi355x", 1, 1, 1, 1 } };
#define EVERY (sizeof every / sizeof *every)

static struct priced *price_every(size_t i)
{
    return price_of(every[i].model, every[i].device, with(bf16, every[i].tp, every[i].ep, every[i].pp, every[i].dp));
}

static void no_less(double *before, double now, const char *what, size_t i, double at)
{
    if (!(now >= *before * (1 - 1e-14)) || !isfinite(now))      /* but for rounding */
        fail_msg("%s on %s: %.17g falls to %.17g at %s %g", every[i].model, every[i].device, *before, now, what, at);
    *before = now;
}

static void more_rows_and_more_keys_never_take_less(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY; i++) {
        struct priced *p = price_every(i);
        double t[5] = { 0 };
        for (double n = 0; n < 70000; n = n < 300 ? n + 0.5 : n * 1.013) {
            no_less(&t[0], priced_seconds(p, &(struct step_load){ .decode_rows = n, .decode_keys = 777 }), "decoded rows", i, n);
            no_less(&t[1], priced_seconds(p, &(struct step_load){ .prompt_rows = n, .prompt_keys = 777 }), "rows of prompts", i, n);
            no_less(&t[2], priced_seconds(p, &(struct step_load){ .decode_rows = 5, .decode_keys = n }), "keys", i, n);
            no_less(&t[3], priced_seconds(p, &(struct step_load){ .prompt_rows = 100, .prompt_keys = n }), "keys of prompts", i, n);
            no_less(&t[4], priced_seconds(p, &(struct step_load){ n, 100, 16, 500 }), "rows of prompts beside others", i, n);
        }
        priced_free(p);
    }
}

static void rows_add_up_to_the_step_and_are_never_faster_than_the_roofline(void **state)
{
    (void)state;
    static const struct step_load loads[] = { { 0, 0, 1, 1 }, { 0, 0, 64, 1000 }, { 112, 200, 16, 3000 }, { 4096, 2048, 0, 0 } };
    for (size_t i = 0; i < EVERY; i++) {
        struct priced *p = price_every(i);
        for (size_t j = 0; j < sizeof loads / sizeof *loads; j++) {
            struct price_row rows[80];
            const int n = priced_rows(p, &loads[j], rows, 80);
            double sum = 0;
            for (int k = 0; k < n; k++) {
                assert_true(rows[k].count > 0 && rows[k].what[0]);
                if (rows[k].seconds < rows[k].roofline * (1 - 1e-12))
                    fail_msg("%s on %s, load %zu, %s: %g s, roofline %g s", every[i].model, every[i].device, j, rows[k].what, rows[k].seconds, rows[k].roofline);
                sum += rows[k].seconds;
            }
            near_to(priced_seconds(p, &loads[j]), sum, 0.03, every[i].model);      /* less where more rows are faster */
            assert_true(n > 8 && priced_rows(p, &loads[j], rows, 3) == 3);
        }
        priced_free(p);
    }
}

static void fewer_bits_of_weights_are_faster_and_smaller(void **state)
{
    (void)state;
    const struct step_load one = { 0, 0, 1, 100 };
    const struct price_opts fp8 = { .weights = NUMBER_FP8, .compute = NUMBER_BF16, .cache = NUMBER_BF16 }, fp4 = { .weights = NUMBER_FP4, .compute = NUMBER_BF16, .cache = NUMBER_BF16 };
    struct priced *p[3] = { price_of("Llama-3-8B", "h100", bf16), price_of("Llama-3-8B", "h100", fp8), price_of("Llama-3-8B", "h100", fp4) };
    for (int i = 1; i < 3; i++) {
        assert_true(priced_seconds(p[i], &one) < priced_seconds(p[i - 1], &one));
        assert_true(priced_weight_bytes(p[i]) < priced_weight_bytes(p[i - 1]));
    }
    for (int i = 0; i < 3; i++)
        priced_free(p[i]);
}

static void a_pipeline_ends_a_step_for_each_stage(void **state)
{
    (void)state;
    const struct step_load s = { 0, 0, 8, 100 };
    struct priced *one = price_of("Llama-3-70B", "h100", bf16), *four = price_of("Llama-3-70B", "h100", with(bf16, 1, 1, 4, 1));
    assert_true(priced_seconds(four, &s) > priced_seconds(one, &s));                  /* stages wait for each other */
    NEAR(priced_interval(four, &s), priced_seconds(four, &s) / 4);
    NEAR(priced_interval(one, &s), priced_seconds(one, &s));
    priced_free(one), priced_free(four);
}

static void what_cannot_be_priced_is_refused(void **state)
{
    (void)state;
    struct priced *p;
    struct config c;
    struct err err;
    OK(config_load(&c, "tests/golden/vit", NULL, &err));
    assert_int_equal(priced_new(&p, &c, &bf16, device_at(0), &err), ERR_UNSUPPORTED);
    assert_null(p);
    const struct config llama = config_of("Llama-3-8B");
    const struct price_opts o = with(bf16, 5, 1, 1, 1), two = with(bf16, 2, 1, 1, 1);
    const struct device alone = device_of("agx-orin");
    assert_int_equal(priced_new(&p, &llama, &two, &alone, &err), ERR_UNSUPPORTED);
    assert_null(p);
    assert_int_equal(priced_new(&p, &llama, &o, device_at(0), &err), ERR_USAGE);
    assert_null(p);
}

/* ---- memory ---- */

static void weights_on_one_device_are_those_of_the_model(void **state)
{
    (void)state;
    struct err err;
    struct published *all;
    int n;
    OK(published_list(&all, &n, &err));
    for (int i = 0; i < n; i++) {
        const char *name = all[i].name;
        const struct config c = config_of(name);
        struct model_facts f;
        OK(model_facts(&f, &c, &err));
        struct priced *p = price_of(name, "h100", bf16);
        near_to(priced_weight_bytes(p), 2 * f.params, 1e-12, name);
        near_to(priced_cache_bytes_token(p), 2 * (f.kv_full + f.kv_windowed), 1e-12, name);
        near_to(priced_cache_bytes(p, 3000), 2 * facts_cache_numbers(&f, 3000), 1e-12, name);
        priced_free(p);
    }
    mem_free(all);
}

/* gpt-oss: experts in MXFP4, all else bf16; its model card says 60.8 GiB. */
static void weights_of_several_kinds_are_as_large_as_the_checkpoint(void **state)
{
    (void)state;
    struct price_opts o = bf16;
    o.bits.experts = 4.25;
    struct priced *p = price_of("gpt-oss-120b", "h100", o);
    near_to(priced_weight_bytes(p), 60.8 * 1073741824, 0.05 / 60.8, "bytes");
    priced_free(p);
}

static void layers_that_are_divided_are_smaller(void **state)
{
    (void)state;
    struct priced *p = price_of("Llama-3-70B", "h100", with(bf16, 8, 1, 1, 1)), *q = price_of("Llama-3-70B", "h100", with(bf16, 16, 1, 1, 1)),
                  *s = price_of("Llama-3-70B", "h100", with(bf16, 1, 1, 3, 1));
    const double norms = 161 * 8192 * 2., all = 2 * 70553706496. - norms;
    NEAR(priced_weight_bytes(p), all / 8 + norms);
    NEAR(priced_cache_bytes_token(p), 327680 / 8);
    NEAR(priced_cache_bytes_token(q), 327680 / 8);                                    /* keys and values of one head at least */
    const double kv = 80 * 2. * 8 * 128 * 8192 * 2;                                   /* bytes of the matrices that make them */
    NEAR(priced_weight_bytes(q), (all - kv) / 16 + kv / 8 + norms);
    const double layer = (2 * 70553706496. - 2 * 128256 * 8192 * 2. - 8192 * 2) / 80;
    NEAR(priced_weight_bytes(s), 27 * layer + 128256 * 8192 * 2.);                    /* 27 layers and the embedding; the last stage has 26 */
    NEAR(priced_cache_bytes_token(s), 327680 / 80. * 27);
    priced_free(p), priced_free(q), priced_free(s);
    struct priced *d = price_of("DeepSeek-V3", "h200", with(bf16, 8, 8, 1, 1));
    NEAR(priced_cache_bytes_token(d), 70272);                                         /* what all heads share is in each device */
    priced_free(d);
}

static void experts_over_replicas_are_shared_by_them(void **state)
{
    (void)state;
    struct priced *p = price_of("DeepSeek-V3", "h200", with(bf16, 1, 32, 1, 32));
    const double experts = 58. * 256 * 3 * 7168 * 2048;
    NEAR(priced_weight_bytes(p), 2 * (671026419200. - experts + experts / 32));
    priced_free(p);
}

static void more_rows_need_more_room(void **state)
{
    (void)state;
    struct priced *p = price_of("Qwen3-30B-A3B", "h100", bf16);
    NEAR(priced_work_bytes(p, 0, 0), 0);
    assert_true(priced_work_bytes(p, 1024, 1024) > 1024 * 4. * 151936 && priced_work_bytes(p, 1024, 0) < priced_work_bytes(p, 1024, 1) - 4. * 151935);
    priced_free(p);
}

/* ---- golden numbers ---- */

static double number(const json_t *o, const char *key)
{
    if (!json_is_number(json_object_get(o, key)))
        fail_msg("no number %s", key);
    return json_number_value(json_object_get(o, key));
}

static enum number number_of(const char *name)
{
    for (int i = 0; i < N_NUMBER; i++)
        if (!strcmp(number_name((enum number)i), name))
            return (enum number)i;
    fail_msg("no type %s", name);
    return NUMBER_F32;
}

static void steps_take_what_the_formulas_say(void **state)
{
    (void)state;
    json_t *all, *row;
    size_t i;
    struct err err;
    OK(tree_load(&all, "tests/golden/plan_price.json", 1 << 20, &err));
    const json_t *d = json_object_get(all, "device");
    const struct device device = { .name = "golden", .key = "golden", .peak = { number(d, "peak_f32"), number(d, "peak_bf16"), number(d, "peak_fp8"), 0, 0 }, .memory = number(d, "memory"),
                                   .bandwidth = number(d, "bandwidth"), .units = (int)number(d, "units"), .mma = number(d, "mma"), .reach = number(d, "reach"),
                                   .launch = number(d, "launch"), .tile = number(d, "tile"), .ridge = number(d, "ridge"), .kernel = number(d, "kernel") };
    json_array_foreach(json_object_get(all, "cases"), i, row) {
        const json_t *load = json_object_get(row, "load");
        const struct step_load s = { json_number_value(json_array_get(load, 0)), json_number_value(json_array_get(load, 1)), json_number_value(json_array_get(load, 2)),
                                     json_number_value(json_array_get(load, 3)) };
        const struct price_opts o = { .weights = number_of(tree_text_at(row, "weights")), .compute = number_of(tree_text_at(row, "compute")), .cache = NUMBER_BF16 };
        const struct config c = config_of(tree_text_at(row, "model"));
        struct priced *p;
        OK(priced_new(&p, &c, &o, &device, &err));
        struct price_row rows[80];
        const int n = priced_rows(p, &s, rows, 80);
        double attention = 0, sum = 0;
        for (int j = 0; j < n; j++)
            *(!strncmp(rows[j].what, "attention", 9) ? &attention : &sum) += rows[j].seconds;
        near_to(attention, number(row, "attention"), 1e-9, "attention");
        near_to(sum, number(row, "products") + number(row, "elements"), 1e-9, tree_text_at(row, "model"));
        near_to(priced_seconds(p, &s), number(row, "seconds"), 1e-2, tree_text_at(row, "model"));      /* less where more rows are faster */
        priced_free(p);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_layouts_say_what_is_possible),
        cmocka_unit_test(possible_layouts_are),
        cmocka_unit_test(a_step_of_nothing_takes_nothing),
        cmocka_unit_test(more_rows_and_more_keys_never_take_less),
        cmocka_unit_test(rows_add_up_to_the_step_and_are_never_faster_than_the_roofline),
        cmocka_unit_test(fewer_bits_of_weights_are_faster_and_smaller),
        cmocka_unit_test(a_pipeline_ends_a_step_for_each_stage),
        cmocka_unit_test(what_cannot_be_priced_is_refused),
        cmocka_unit_test(weights_on_one_device_are_those_of_the_model),
        cmocka_unit_test(weights_of_several_kinds_are_as_large_as_the_checkpoint),
        cmocka_unit_test(layers_that_are_divided_are_smaller),
        cmocka_unit_test(experts_over_replicas_are_shared_by_them),
        cmocka_unit_test(more_rows_need_more_room),
        cmocka_unit_test(steps_take_what_the_formulas_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
