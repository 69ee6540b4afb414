/* Rates of serving in closed form: what is refused first, then a second implementation's numbers, then what must hold of any device and model. */
#include <math.h>
#include <string.h>
#include "../test.h"
#include "plan/published.h"
#include "plan/serve_rate.h"
#include "plan/simulate.h"

static struct err err;

/* Those of tools/golden/serve_rate.py. */
static const struct device round_device = {
    .name = "round", .key = "round", .vendor = "nobody", .kind = "gpu", .peak = { 0, 400e12, 800e12, 0, 1600e12 }, .memory = 100e9, .bandwidth = 2e12,
    .link = 300e9, .link_pair = 300e9, .node = 8, .watts = 500, .reach = 0.8, .link_share = 0.7, .link_latency = 3e-6, .link_peers = 16,
};
static const struct serve_constants round_constants = { .matrix = 0.8, .joule8 = 1.5e12, .joule4 = 4e12, .cdna = 0.5, .xe = 0.5, .processor = 0.25,
                                                        .attention = 0.4, .layer = 80e-6, .row = 10e-6, .server = 0.9 };
static const struct serve_model dense = { .dense = 30e9, .layers = 40, .heads = 48, .kv_heads = 8, .head = 0.5e9, .stream = 6144, .kv = 100e3, .key = 1.2e6,
                                          .key_prompt = 1.2e6, .passes = 5e6 };
static const struct serve_model sparse = { .dense = 3e9, .expert = 25e6, .experts = 64, .chosen = 4, .expert_layers = 30, .layers = 32, .heads = 32, .kv_heads = 4,
                                           .head = 0.4e9, .stream = 3072, .kv = 20e3, .kv_window = 20e3, .window = 128, .key = 0.3e6, .key_prompt = 0.3e6,
                                           .key_window = 0.3e6, .passes = 3e6 };
static const struct serve_numbers fp8 = { 8, NUMBER_FP8, 1 }, fp4 = { 4.5, NUMBER_FP4, 1 }, bf16 = { 16, NUMBER_BF16, 2 };
static const struct serve_load chat = { .prompt = 500, .output = 200 };

static struct serve_rate best(const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers, const struct serve_load *load)
{
    struct serve_rate r;
    OK(serve_rate(&r, m, d, n, numbers, load, NULL, &round_constants, &err));
    return r;
}

static void no_devices_and_loads_of_nothing_are_refused(void **state)
{
    (void)state;
    struct serve_rate r;
    assert_int_equal(serve_rate(&r, &dense, &round_device, 0, &fp8, &chat, NULL, &round_constants, &err), ERR_USAGE);
    const struct serve_load nothing = { .prompt = 500 }, less = { .prompt = -1, .output = 10 }, none = { .prompt = NAN, .output = NAN };
    assert_int_equal(serve_rate(&r, &dense, &round_device, 1, &fp8, &nothing, NULL, &round_constants, &err), ERR_USAGE);
    assert_int_equal(serve_rate(&r, &dense, &round_device, 1, &fp8, &less, NULL, &round_constants, &err), ERR_USAGE);
    assert_int_equal(serve_rate(&r, &dense, &round_device, 1, &fp8, &none, NULL, &round_constants, &err), ERR_USAGE);
}

static void layouts_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct serve_layout wrong[] = { { 0, 1, 1 }, { 1, 0, 1 }, { 1, 1, 0 }, { 5, 1, 1 }, { 16, 1, 1 }, { 8, 2, 1 }, { 1, 1, 2 }, { 2, 1, 2 } };
    struct serve_rate r;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(serve_rate(&r, &dense, &round_device, 8, &fp8, &chat, &wrong[i], &round_constants, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "tp 2, pp 1, ep 2"));
    const struct serve_layout many = { 1, 1, 16 };
    assert_int_equal(serve_rate(&r, &sparse, &round_device, 16, &fp8, &chat, &many, &round_constants, &err), ERR_USAGE);      /* a node is 8 */
}

static void what_does_not_fit_or_cannot_keep_its_time_has_no_rate(void **state)
{
    (void)state;
    const struct serve_layout one = { 1, 1, 1 };
    struct serve_rate r;
    struct serve_model large = dense;
    large.dense = 99e9;
    OK(serve_rate(&r, &large, &round_device, 1, &fp8, &chat, &one, &round_constants, &err));
    assert_true(r.tokens == 0 && r.at_once == 0);
    assert_true(best(&large, &round_device, 2, &fp8, &chat).tokens > 0);
    struct serve_load hurried = chat;
    hurried.tpot = 1e-4;
    assert_true(best(&dense, &round_device, 8, &fp8, &hurried).tokens == 0);
    assert_true(serve_roofline(&large, &round_device, 1, &fp8, &(struct serve_load){ .prompt = 1e9, .output = 1 }) == 0);
}

static void rates_are_those_of_the_golden_script(void **state)
{
    (void)state;
    static const struct {
        const struct serve_model *m;
        struct serve_numbers numbers;
        struct serve_load load;
        int n;
        struct serve_layout layout;
        double tokens, at_once, step;
    } golden[] = {
        { &dense, { 8, NUMBER_FP8, 1 }, { .prompt = 500, .output = 200 }, 8, { 1, 1, 1 }, 19524.643, 983.33333, 0.40290964 },
        { &dense, { 4.5, NUMBER_FP4, 1 }, { .prompt = 500, .output = 200 }, 8, { 2, 1, 1 }, 27652.055, 2718.75, 0.39327999 },
        { &dense, { 16, NUMBER_BF16, 2 }, { .prompt = 3000, .output = 400 }, 8, { 2, 2, 1 }, 3100.0831, 471.875, 0.15221366 },
        { &dense, { 8, NUMBER_FP8, 1 }, { .prompt = 500, .output = 200, .tpot = 0.03 }, 8, { 4, 1, 1 }, 10787.012, 159.13412, 0.026554287 },
        { &dense, { 8, NUMBER_FP8, 1 }, { .prompt = 900, .output = 70, .beams = 4 }, 8, { 1, 1, 1 }, 3937.3062, 567.30769, 1.1526819 },
        { &sparse, { 8, NUMBER_FP8, 1 }, { .prompt = 1000, .output = 1000 }, 8, { 1, 1, 4 }, 89231.388, 2285.0123, 0.20486175 },
        { &sparse, { 4.5, NUMBER_FP4, 1 }, { .prompt = 8000, .output = 1300, .tpot = 0.05 }, 8, { 1, 1, 1 }, 17114.644, 110.09656, 0.046316782 },
        { &sparse, { 4.5, NUMBER_FP4, 1 }, { .prompt = 800, .output = 4000, .tpot = 0.015, .drafts = 1, .kept = 0.8 }, 8, { 1, 1, 8 }, 104314.17, 214.46277, 0.026644871 },
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        const double to = golden[i].load.tpot ? 0.011 : 1e-7;      /* texts in time are found to 1 % */
        struct serve_rate r;
        OK(serve_rate(&r, golden[i].m, &round_device, golden[i].n, &golden[i].numbers, &golden[i].load, &golden[i].layout, &round_constants, &err));
        if (fabs(r.tokens / golden[i].tokens - 1) > to || fabs(r.at_once / golden[i].at_once - 1) > to || fabs(r.step / golden[i].step - 1) > to)
            fail_msg("case %zu: %.8g tokens/s of %.8g texts in %.8g s, expected %.8g of %.8g in %.8g", i, r.tokens, r.at_once, r.step, golden[i].tokens,
                     golden[i].at_once, golden[i].step);
        const struct serve_time *t = &r.time;
        const double sum = t->products + t->experts + t->head + t->attention + t->prompts + t->passes + t->exchanges + t->fixed;
        assert_true(fabs(sum / (r.layout.pp > 1 ? 0.9 : 1) / r.step - 1) < 1e-12);
        assert_true(!golden[i].load.tpot || (r.tpot <= golden[i].load.tpot && r.tpot > golden[i].load.tpot * 0.97));
    }
}

static void the_best_layout_is_no_worse_than_any(void **state)
{
    (void)state;
    const struct serve_model *models[] = { &dense, &sparse };
    for (int i = 0; i < 2; i++) {
        const struct serve_rate r = best(models[i], &round_device, 8, &bf16, &chat);
        for (int tp = 1; tp <= 8; tp *= 2) {
            const struct serve_layout l = { tp, 1, 1 };
            struct serve_rate one;
            OK(serve_rate(&one, models[i], &round_device, 8, &bf16, &chat, &l, &round_constants, &err));
            assert_true(one.tokens <= r.tokens);
        }
    }
}

/* What buys speed and what costs it. */
static void a_device_that_has_more_is_not_slower(void **state)
{
    (void)state;
    static const struct serve_load loads[] = { { .prompt = 500, .output = 200 }, { .prompt = 8000, .output = 1000, .tpot = 0.08 },
                                               { .prompt = 100, .output = 2000, .tpot = 0.02 } };
    const struct serve_model *models[] = { &dense, &sparse };
    const struct serve_numbers *numbers[] = { &fp8, &fp4, &bf16 };
    for (int i = 0; i < 18; i++) {
        const struct serve_model *m = models[i % 2];
        const struct serve_load *load = &loads[i / 2 % 3];
        const struct serve_numbers *of = numbers[i / 6];
        const double as_is = best(m, &round_device, 8, of, load).tokens * 0.985;      /* texts in time are found to 1 % */
        struct device more = round_device;
        more.bandwidth *= 1.3;
        assert_true(best(m, &more, 8, of, load).tokens >= as_is);
        for (int p = 0; p < N_NUMBER; p++)
            more.peak[p] *= 1.5;
        assert_true(best(m, &more, 8, of, load).tokens >= as_is);
        more.watts *= 1.5;
        assert_true(best(m, &more, 8, of, load).tokens >= as_is);
        more.memory *= 1.5;
        assert_true(best(m, &more, 8, of, load).tokens >= as_is);
        assert_true(best(m, &more, 16, of, load).tokens >= as_is * 1.99);
    }
}

static void less_time_for_each_token_is_fewer_tokens(void **state)
{
    (void)state;
    double before = best(&dense, &round_device, 8, &fp8, &chat).tokens;
    for (double tpot = 0.2; tpot > 0.012; tpot /= 1.4) {
        struct serve_load load = chat;
        load.tpot = tpot;
        const double now = best(&dense, &round_device, 8, &fp8, &load).tokens;
        assert_true(now <= before * 1.015);
        before = now;
    }
    assert_true(before > 0);
}

static void narrow_numbers_without_a_unit_are_multiplied_as_bf16(void **state)
{
    (void)state;
    struct device old = round_device;
    old.peak[NUMBER_FP4] = 0;
    const struct serve_numbers four = { 4.5, NUMBER_FP4, 1 }, wide = { 4.5, NUMBER_BF16, 1 };
    assert_true(best(&dense, &old, 8, &four, &chat).tokens == best(&dense, &old, 8, &wide, &chat).tokens);
}

static void sockets_are_one_device_and_shares_are_of_their_makers(void **state)
{
    (void)state;
    struct device socket = round_device, two = round_device, amd = round_device, intel = round_device;
    socket.kind = two.kind = "cpu";
    two.memory *= 2, two.bandwidth *= 2, two.watts *= 2;
    for (int p = 0; p < N_NUMBER; p++)
        two.peak[p] *= 2;
    assert_true(best(&dense, &socket, 2, &bf16, &chat).tokens == best(&dense, &two, 1, &bf16, &chat).tokens);
    amd.vendor = "AMD", intel.vendor = "Intel";
    const double own = best(&dense, &round_device, 8, &fp8, &chat).tokens;
    assert_true(best(&dense, &amd, 8, &fp8, &chat).tokens < own && best(&dense, &intel, 8, &fp8, &chat).tokens == best(&dense, &amd, 8, &fp8, &chat).tokens);
}

/* ---- against an event simulation of the same steps ---- */

struct sim { const struct serve_layout *layout; const struct serve_numbers *numbers; };

static double seconds_of(const struct sim *s, double n, double keys, double rows, double row_keys)
{
    const struct serve_step step = { n, n, keys, rows, row_keys };
    return serve_step_seconds(&dense, &round_device, 1, s->numbers, s->layout, &round_constants, &step);
}

/* Keys are read or computed on, whichever takes longer: from 2 to 2000 a text it is one of them. */
static void decode_seconds(void *ctx, int n, double *a, double *b)
{
    const double few = seconds_of(ctx, n, 2.0 * n, 0, 0), many = seconds_of(ctx, n, 2000.0 * n, 0, 0);
    *b = (many - few) / (1998.0 * n), *a = few - *b * 2 * n;
}
static double mixed_seconds(void *ctx, const struct sim_step *s) { return seconds_of(ctx, s->n, s->keys, s->rows, s->row_keys); }

/* Prompts of 500 tokens and answers of 200, on average; a step with prompts may take `stretch` times as long as one without, below 1: any time (infer/pace.h). */
static struct sim_result simulated(struct sim *s, struct workload w, int most, double stretch)
{
    w.prompt = (struct lengths){ .kind = LENGTHS_UNIFORM, .a = 1, .b = 999, .most = 1000 };
    w.output = (struct lengths){ .kind = LENGTHS_UNIFORM, .a = 20, .b = 380, .most = 1000 };
    w.seed = 1;
    const struct sim_cost cost = { s, decode_seconds, mixed_seconds };
    const struct sim_limits limits = { .n_slot = most, .cache_tokens = 1e7, .step_tokens = 8192, .stretch = stretch, .n_queue = -1 };
    struct sim_result r;
    OK(simulate(&r, &w, &limits, &cost, &err));
    return r;
}

/* All is there at once: the steady state but for its beginning and end. */
static void a_simulation_makes_as_many_tokens(void **state)
{
    (void)state;
    const struct serve_layout one = { 1, 1, 1 };
    struct sim s = { &one, &fp8 };
    const struct serve_load load = { .prompt = 500, .output = 200, .at_most = 400 };
    struct serve_rate r;
    OK(serve_rate(&r, &dense, &round_device, 1, &fp8, &load, &one, &round_constants, &err));
    const struct sim_result got = simulated(&s, (struct workload){ .n = 8000, .at_once = true }, 400, 0.5);
    if (fabs(got.output_s / r.tokens - 1) > 0.05)
        fail_msg("%.0f tokens/s simulated, %.0f in closed form", got.output_s, r.tokens);
}

/* Poisson arrivals at the rate that is promised: 99 % keep their time and none waits long; a fifth more waits ever longer. */
static void a_simulation_keeps_the_time_that_is_promised(void **state)
{
    (void)state;
    const struct serve_layout one = { 1, 1, 1 };
    struct sim s = { &one, &fp8 };
    const struct serve_load load = { .prompt = 500, .output = 200, .tpot = 0.08 };
    struct serve_rate r;
    OK(serve_rate(&r, &dense, &round_device, 1, &fp8, &load, &one, &round_constants, &err));
    struct workload w = { .n = 20000, .arrival = ARRIVAL_POISSON, .rate = r.tokens / 200 };
    const struct sim_result at = simulated(&s, w, 4096, 2);
    w.rate *= 1.2;
    const struct sim_result above = simulated(&s, w, 4096, 2);
    assert_true(at.tpot.p99 < load.tpot && at.tpot.p99 > load.tpot / 2);
    assert_true(above.ttft.p99 > 10 * at.ttft.p99);
}

static struct serve_model published(const char *name)
{
    struct config c;
    struct serve_model m;
    OK(published_config(&c, name, &err));
    OK(serve_model_of(&m, &c, &err));
    return m;
}

static void models_are_what_their_configurations_say(void **state)
{
    (void)state;
    const struct serve_model llama = published("Llama-3-70B"), mixtral = published("Mixtral-8x7B"), oss = published("gpt-oss-120b");
    const struct serve_model deepseek = published("DeepSeek-V3");
    assert_true(llama.dense == 80.0 * (8192.0 * (64 + 16) * 128 + 8192.0 * 8192 + 3 * 8192.0 * 28672) && llama.head == 128256.0 * 8192);
    assert_true(llama.kv == 80 * 2 * 8 * 128 && llama.key == 80 * 4 * 64 * 128.0 && llama.kv_heads == 8 && !llama.experts && !llama.expert);
    assert_true(mixtral.experts == 8 && mixtral.chosen == 2 && mixtral.expert_layers == 32 && mixtral.expert == 3 * 4096.0 * 14336);
    assert_true(oss.kv == 18 * 2 * 8 * 64 && oss.kv_window == oss.kv && oss.window == 128);
    assert_true(oss.expert == 3 * 2880.0 * 2880 && oss.experts == 128 && oss.chosen == 4);
    assert_true(deepseek.kv == 61 * 576 && deepseek.kv_heads == 1 && deepseek.expert_layers == 58);
    assert_true(deepseek.key == 61 * 2 * 128.0 * (512 + 576) && deepseek.key_prompt == 61 * 2 * 128.0 * (192 + 128));
    const double all = deepseek.dense + deepseek.expert * deepseek.experts * deepseek.expert_layers + 2 * deepseek.head;
    assert_true(fabs(all / 671e9 - 1) < 0.001);
}

static void an_encoder_is_refused(void **state)
{
    (void)state;
    struct config c = { .family = FAMILY_BERT, .encoder = true };
    struct serve_model m;
    assert_int_equal(serve_model_of(&m, &c, &err), ERR_UNSUPPORTED);
}

/* With the constants of the program. */
static void no_device_beats_its_roofline(void **state)
{
    (void)state;
    static const char *const names[] = { "Llama-3-8B", "Llama-3-70B", "Mixtral-8x7B", "gpt-oss-120b", "DeepSeek-V3" };
    static const struct serve_load loads[] = { { .prompt = 500, .output = 200 }, { .prompt = 2000, .output = 500, .tpot = 0.05 } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct serve_model m = published(names[i]);
        for (int k = 0; k < 2 * device_n(); k++) {
            const struct device *d = device_at(k / 2);
            const int n = d->node ? d->node : 1;
            struct serve_rate r;
            OK(serve_rate(&r, &m, d, n, &fp8, &loads[k % 2], NULL, &serve_fitted, &err));
            const double most = serve_roofline(&m, d, n, &fp8, &loads[k % 2]);
            if (!isfinite(r.tokens) || r.tokens < 0 || r.tokens > most * 1.01)
                fail_msg("%s on %d %s: %g tokens/s, roofline %g", names[i], n, d->name, r.tokens, most);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_devices_and_loads_of_nothing_are_refused),
        cmocka_unit_test(layouts_that_cannot_be_are_refused),
        cmocka_unit_test(what_does_not_fit_or_cannot_keep_its_time_has_no_rate),
        cmocka_unit_test(rates_are_those_of_the_golden_script),
        cmocka_unit_test(the_best_layout_is_no_worse_than_any),
        cmocka_unit_test(a_device_that_has_more_is_not_slower),
        cmocka_unit_test(less_time_for_each_token_is_fewer_tokens),
        cmocka_unit_test(narrow_numbers_without_a_unit_are_multiplied_as_bf16),
        cmocka_unit_test(sockets_are_one_device_and_shares_are_of_their_makers),
        cmocka_unit_test(a_simulation_makes_as_many_tokens),
        cmocka_unit_test(a_simulation_keeps_the_time_that_is_promised),
        cmocka_unit_test(models_are_what_their_configurations_say),
        cmocka_unit_test(an_encoder_is_refused),
        cmocka_unit_test(no_device_beats_its_roofline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
