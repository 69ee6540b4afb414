/* What training takes: impossible layouts and jobs first, then models by the papers' formulas (tests/golden/plan_train.json, by tools/golden/plan_train.py),
   then
 * what must hold for any model, the search, and iterations that others measured. */
#include "../near.h"
#include "base/mem.h"
#include "base/tree.h"
#include "plan/collective.h"
#include "plan/published.h"
#include "plan/train.h"

static struct err err;

#define NEAR(got, want) near_to((got), (want), 1e-12, #got)

static void model_of(struct train_model *m, const char *text)
{
    struct config c;
    OK(config_parse(&c, text, strlen(text), "test", NULL, &err));
    OK(train_model_init(m, &c, &err));
}

/* 12 layers, 4 heads of 32 with 2 of keys, 256 inside: 64 divides nothing. */
#define LLAMA "{\"model_type\":\"llama\",\"vocab_size\":1000,\"hidden_size\":128,\"intermediate_size\":256,\"num_hidden_layers\":12," \
    "\"num_attention_heads\":4," \
    "\"num_key_value_heads\":2,\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0," \
    "\"hidden_act\":\"silu\",\"tie_word_embeddings\":false}"
#define MOE "{\"model_type\":\"olmoe\",\"vocab_size\":1000,\"hidden_size\":128,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4," \
    "\"num_key_value_heads\":4,\"num_experts\":8,\"num_experts_per_tok\":2,\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0," \
    "\"hidden_act\":\"silu\",\"tie_word_embeddings\":false}"

static const struct train_layout alone = { .tp = 1, .pp = 1, .dp = 1, .ep = 1, .interleave = 1, .micro = 1 };

static const struct device *device(const char *name)
{
    const struct device *d = device_find(name, &err);
    if (!d)
        fail_msg("%s", err.msg);
    return d;
}

/* ---- what is impossible says what would be possible ---- */

static void refused(const struct train_model *m, const struct train_layout *l, double batch, const char *words)
{
    struct train_plan p;
    const struct train_job job = { .batch = batch, .compute = NUMBER_BF16 };
    assert_int_equal(plan_train(&p, m, &job, l, device("h100"), &err), ERR_USAGE);
    if (!strstr(err.msg, words))
        fail_msg("'%s' is not in: %s", words, err.msg);
}

static void impossible_layouts_name_those_that_are_possible(void **state)
{
    (void)state;
    struct train_model dense, moe;
    model_of(&dense, LLAMA), model_of(&moe, MOE);
    const struct { const struct train_model *m; struct train_layout l; double batch; const char *words; } cases[] = {
        { &dense, { 3, 1, 1, 1, 1, 0, 1, false, 0, 0 }, 64,
            "3 devices are to divide each layer, but it has 4 heads, 2 of keys and values and 256 numbers inside its MLP; possible: 1, 2, 4" },
        { &dense, { 1, 13, 1, 1, 1, 0, 1, false, 0, 0 }, 64, "13 stages of a pipeline for 12 layers; possible: 1 to 12" },
        { &dense, { 1, 3, 1, 1, 3, 0, 1, false, 0, 0 }, 63, "with pp 3 possible: 1, 2, 4" },
        { &dense, { 1, 5, 1, 1, 2, 0, 1, false, 0, 0 }, 64, "with pp 5 possible: 1" },
        { &dense, { 1, 4, 1, 1, 3, 0, 1, false, 0, 0 }, 63, "micro-batches in multiples of pp 4, but there are 63" },
        { &dense, { 1, 1, 1, 1, 2, 0, 1, false, 0, 0 }, 64, "with pp 1 only 1 is possible" },
        { &dense, { 1, 1, 8, 8, 1, 0, 1, false, 0, 0 }, 64, "none; expected ep 1" },
        { &moe, { 1, 1, 6, 6, 1, 0, 1, false, 0, 0 }, 64, "8 experts, with tp 1 and dp 6; possible: 1, 2" },
        { &moe, { 1, 1, 2, 4, 1, 0, 1, false, 0, 0 }, 64, "4 devices are to divide 8 experts, with tp 1 and dp 2; possible: 1, 2" },
        { &moe, { 2, 1, 2, 4, 1, 0, 1, false, 0, 0 }, 64, "with sequence, or one of the two 1" },
        { &dense, { 1, 1, 1, 1, 1, 0, 1, true, 0, 0 }, 64, "with tp of 2 or more" },
        { &dense, { 1, 2, 2, 1, 1, 2, 1, false, 0, 0 }, 64, "0 and 1 are possible" },
        { &dense, { 1, 1, 2, 1, 1, 4, 1, false, 0, 0 }, 64, "0 to 3 are possible" },
        { &dense, { 1, 1, 16, 1, 1, 0, 8, false, 0, 0 }, 64, "128 sequences a step, but a batch has 64: fewer copies, or a larger batch" },
        { &dense, { 0, 1, 1, 1, 1, 0, 1, false, 0, 0 }, 64, "tp 0, expected 1 or more" },
        { &dense, { 1, 1, 1, 1, 1, 0, 0, false, 0, 0 }, 64, "micro-batch 0, expected 1 or more" },
        { &dense, { 4, 12, 1 << 20, 1, 1, 0, 1, false, 0, 0 }, 1e9, "devices, expected 1048576 at most" },
        { &dense, { 1, 1, 1, 1, 1, -1, 1, false, 0, 0 }, 64, "ZeRO stage -1" },
        { &dense, { 1, 1, 1, 1, 1, 0, 1, false, TRAIN_RECOMPUTE_CHEAP, 3 }, 64, "expected a number of layers with recompute full" },
        { &dense, { 1, 1, 1, 1, 1, 0, 1, false, 9, 0 }, 64, "recompute 9" },
        { &dense, { 1, 1, 1, 1, 1, 0, 1, false, 0, 0 }, 0, "a batch of 0 sequences" },
        { &dense, { 1, 1, 1, 1, 1, 0, 1, false, 0, 0 }, NAN, "a batch of nan sequences" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].m, &cases[i].l, cases[i].batch, cases[i].words);
}

static void impossible_jobs_are_said(void **state)
{
    (void)state;
    struct train_model m;
    struct train_plan p;
    model_of(&m, LLAMA);
    const struct { struct train_job job; const char *words; } cases[] = {
        { { .batch = 8, .compute = NUMBER_FP4 }, "training in fp4, expected f32, bf16 or fp8" }, { { .batch = 8, .compute = NUMBER_BF16, .ctx = -1 },
            "sequences of -1 tokens" },
        { { .batch = 8, .compute = NUMBER_BF16, .gradient_bytes = 3 }, "gradients of 3 bytes" }, { { .batch = 8, .compute = NUMBER_BF16, .imbalance = 0.5 },
            "imbalance 0.5" },
        { { .batch = 8, .compute = NUMBER_BF16, .lora_rank = -2 }, "adapters of rank -2" }, { { .batch = 8, .compute = NUMBER_BF16, .frozen_bytes = 5 },
            "weights of 5 bytes" },
        { { .batch = 8, .compute = NUMBER_BF16, .state_bytes = -1 }, "an optimiser of -1 bytes" },
        { { .batch = INFINITY, .compute = NUMBER_BF16 }, "a batch of inf" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(plan_train(&p, &m, &cases[i].job, &alone, device("h100"), &err), ERR_USAGE);
        if (!strstr(err.msg, cases[i].words))
            fail_msg("'%s' is not in: %s", cases[i].words, err.msg);
        assert_int_equal(plan_train_best(&p, 1, &m, &cases[i].job, device("h100"), 8, &err), ERR_USAGE);
    }
}

static void encoders_are_refused(void **state)
{
    (void)state;
    struct config c;
    struct train_model m;
    OK(config_load(&c, "tests/golden/olmoe", NULL, &err));
    c.n_label = 3;
    assert_int_equal(train_model_init(&m, &c, &err), ERR_UNSUPPORTED);
}

/* ---- memory ---- */

/* Layers one by one, and everything outside them, are the model: of all published ones. */
static void layers_and_ends_have_all_the_numbers_of_the_model(void **state)
{
    (void)state;
    struct published *models;
    int n;
    OK(published_list(&models, &n, &err));
    assert_true(n >= 12);
    for (int i = 0; i < n; i++) {
        struct config c;
        struct train_model m;
        OK(published_config(&c, models[i].name, &err));
        OK(train_model_init(&m, &c, &err));
        double sum = m.embed + m.head + m.others;
        int layers = 0;
        for (int k = 0; k < m.n_kind; k++) {
            const struct train_numbers of = train_layer_numbers(&m, &m.kind[k]);
            sum += m.kind[k].n * (of.whole + of.divided + of.experts), layers += m.kind[k].n;
        }
        near_to(sum, m.facts.params, 0, models[i].name);
        assert_int_equal(layers, c.n_layer);
    }
    mem_free(models);
}

static struct train_plan plan_of(const struct train_model *m, struct train_job job, struct train_layout l, const struct device *d)
{
    struct train_plan p;
    OK(plan_train(&p, m, &job, &l, d, &err));
    return p;
}

static double state_of(const struct train_plan *p) { return p->memory[TRAIN_MEMORY_WEIGHTS] + p->memory[TRAIN_MEMORY_GRADIENTS]
    + p->memory[TRAIN_MEMORY_OPTIMISER]; }

static void zero_divides_what_its_paper_says(void **state)
{
    (void)state;
    struct train_model m;
    json_t *golden, *row;
    size_t i;
    model_of(&m, LLAMA);
    OK(tree_load(&golden, "tests/golden/plan_train.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "state"), i, row) {
        struct train_layout l = alone;
        l.zero = (int)tree_number_at(row, "zero"), l.dp = (int)tree_number_at(row, "copies");
        const struct train_plan p = plan_of(&m, (struct train_job){ .batch = 64, .compute = NUMBER_BF16, .gradient_bytes = (int)tree_number_at(row,
            "gradient_bytes") }, l, device("h100"));
        NEAR(state_of(&p), m.facts.params * tree_number_at(row, "bytes"));
    }
    json_decref(golden);
    const struct train_plan f32 = plan_of(&m, (struct train_job){ .batch = 1, .compute = NUMBER_F32 }, alone, device("h100"));
    NEAR(state_of(&f32), 16 * m.facts.params);
}

static void adapters_alone_have_gradients(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, LLAMA);
    const struct train_plan p = plan_of(&m, (struct train_job){ .batch = 1, .compute = NUMBER_BF16, .lora_rank = 8, .frozen_bytes = 0.5 }, alone,
                                        device("h100"));
    const double numbers = 12 * 8 * ((128 + 256) + (128 + 128) + (128 + 512) + (256 + 128));      /* qkv, o, gate and up, down: rank times rows and columns */
    NEAR(p.memory[TRAIN_MEMORY_WEIGHTS], 0.5 * m.facts.params + 2 * numbers);
    NEAR(p.memory[TRAIN_MEMORY_GRADIENTS], 4 * numbers);
    NEAR(p.memory[TRAIN_MEMORY_OPTIMISER], 12 * numbers);
    NEAR(p.flops_palm, facts_train_flops(&m.facts, 512, FLOPS_PALM) - 2 * m.facts.products);
}

static void experts_lie_whole_on_those_that_divide_them(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, MOE);
    const double experts = m.facts.part[FACTS_EXPERTS], rest = m.facts.params - experts;
    struct train_layout l = alone;
    l.dp = 8, l.ep = 4, l.zero = 1;
    const struct train_job job = { .batch = 64, .compute = NUMBER_BF16 };
    struct train_plan p = plan_of(&m, job, l, device("h100"));
    NEAR(state_of(&p), rest * (6 + 12 / 8.) + experts / 4 * (6 + 12 / 2.));      /* two devices have the same experts */
    l.tp = 4, l.ep = 8, l.sequence = true;
    p = plan_of(&m, job, l, device("h100"));
    /* dp 8 of the rest, tp * dp / ep = 4 of experts */
    NEAR(p.memory[TRAIN_MEMORY_OPTIMISER], p.memory[TRAIN_MEMORY_GRADIENTS] / 4 * 12 / 8 + experts / 8 * 12 * (1 / 4. - 1 / 8.));
}

static void memory_and_operations_are_those_of_the_papers(void **state)
{
    (void)state;
    json_t *golden, *row;
    size_t i;
    OK(tree_load(&golden, "tests/golden/plan_train.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "models"), i, row) {
        char text[300];
        struct train_model m;
        const char *again = tree_text_at(row, "recompute");
        snprintf(text, sizeof text, "{\"model_type\":\"gpt2\",\"vocab_size\":51200,\"n_positions\":2048,\"n_embd\":%g,\"n_layer\":%g,\"n_head\":%g}",
                 tree_number_at(row, "hidden"),
                 tree_number_at(row, "layers"), tree_number_at(row, "heads"));
        model_of(&m, text);
        const struct train_layout l = { .tp = 8, .pp = (int)tree_number_at(row, "pp"), .dp = 1, .ep = 1, .interleave = (int)tree_number_at(row, "interleave"),
            .micro = (int)tree_number_at(row, "micro"),
            .sequence = json_is_true(json_object_get(row, "sequence")), .recompute = !strcmp(again, "full") ? TRAIN_RECOMPUTE_FULL : !strcmp(again, "none")
                ? TRAIN_RECOMPUTE_NONE : TRAIN_RECOMPUTE_ATTENTION };
        const struct train_job job = { .batch = tree_number_at(row, "batch"), .compute = NUMBER_BF16, .separate = true };
        const struct train_plan p = plan_of(&m, job, l, device("a100"));
        const double tokens = job.batch * 2048, peak = 312e12 * p.n * p.seconds;
        near_to(p.memory[TRAIN_MEMORY_ACTIVATIONS], tree_number_at(row, "activations"), 1e-12, "activations");
        near_to(m.facts.params, tree_number_at(row, "parameters"), 1e-12, "parameters");
        near_to(p.flops_palm * tokens, tree_number_at(row, "flops"), 1e-12, "operations");
        near_to(p.mfu_palm, tree_number_at(row, "flops") / peak, 1e-12, "MFU");
        if (l.recompute == TRAIN_RECOMPUTE_FULL)         /* the paper's has the head computed again, which neither does */
            near_to(p.hfu * peak, tree_number_at(row, "flops_again"), 2e-3, "HFU");
    }
    json_decref(golden);
}

static void as_much_is_computed_again_as_is_asked(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, LLAMA);
    struct train_layout l = alone;
    const struct train_job job = { .batch = 1, .compute = NUMBER_BF16 };
    const double none = plan_of(&m, job, l, device("h100")).memory[TRAIN_MEMORY_ACTIVATIONS];
    l.recompute = TRAIN_RECOMPUTE_CHEAP;
    const double cheap = plan_of(&m, job, l, device("h100")).memory[TRAIN_MEMORY_ACTIVATIONS];
    l.recompute = TRAIN_RECOMPUTE_FULL;
    const struct train_plan full = plan_of(&m, job, l, device("h100"));
    NEAR(none - cheap, 12 * 512 * 2. * (2 * 128 + 256));      /* layers, tokens, bytes: outputs of two norms and of the activation */
    l.again = 6;
    const struct train_plan half = plan_of(&m, job, l, device("h100"));
    NEAR(half.memory[TRAIN_MEMORY_ACTIVATIONS], (none + full.memory[TRAIN_MEMORY_ACTIVATIONS]) / 2);
    assert_true(half.seconds < full.seconds);
    l.again = 99;
    NEAR(plan_of(&m, job, l, device("h100")).seconds, full.seconds);
}

/* ---- time ---- */

/* Llama of 12 layers on one device, two sequences: each product forward, its input's and its weight's gradients. */
static void products_are_those_of_the_weights(void **state)
{
    (void)state;
    static const double layer[4][2] = { { 256, 128 }, { 128, 128 }, { 512, 128 }, { 128, 256 } };      /* N, K of qkv, o, gate and up, down */
    struct train_model m;
    model_of(&m, LLAMA);
    struct device d = *device("h100");
    d.reach = 1, d.bandwidth = 1e30;                     /* sums in fp32 cost nothing */
    const struct product_device of = device_product(&d, NUMBER_BF16);
    const double T = 2 * 512;
    double want = product_seconds(&of, 1, T, 1000, 128, 2) + product_seconds(&of, 1, T, 128, 1000, 2) + product_seconds(&of, 1, 1000, 128, T, 2);
    for (int i = 0; i < 4; i++) {
        const double N = layer[i][0], K = layer[i][1];
        want += 12 * (product_seconds(&of, 1, T, N, K, 2) + product_seconds(&of, 1, T, K, N, 2) + product_seconds(&of, 1, N, K, T, 2));
    }
    struct train_layout l = alone;
    l.micro = 2;
    NEAR(plan_of(&m, (struct train_job){ .batch = 6, .compute = NUMBER_BF16 }, l, &d).time[TRAIN_TIME_PRODUCTS], 3 * want);
}

static void tensor_groups_exchange_what_megatron_exchanges(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, LLAMA);
    struct device d = *device("h100");
    d.units = 1 << 30;                                   /* what is hidden is free */
    struct train_layout l = alone;
    l.tp = 2, l.sequence = true;
    const double bytes = 512 * 128 * 2., gather = collective_seconds(&d, ALL_GATHER, bytes, 2), scatter = collective_seconds(&d, REDUCE_SCATTER, bytes, 2);
    const struct train_job job = { .batch = 1, .compute = NUMBER_BF16 };
    struct train_plan p = plan_of(&m, job, l, &d);
    /* a layer gathers twice and scatters twice, and gathers twice in the backward pass; ends: a gather, two scatters.  What is hidden is hidden or more. */
    const double seen = 12 * (4 * gather + 2 * scatter) + gather + 2 * scatter;
    assert_true(p.time[TRAIN_TIME_TENSOR] >= seen * (1 - 1e-12) && p.time[TRAIN_TIME_TENSOR] < seen + 12 * (2 * gather + 2 * scatter));
    l.sequence = false;
    const double sum = collective_seconds(&d, ALL_REDUCE, bytes, 2);
    p = plan_of(&m, job, l, &d);
    /* two a layer forward, two that are hidden; the table's, the head's */
    assert_true(p.time[TRAIN_TIME_TENSOR] >= 26 * sum * (1 - 1e-12) && p.time[TRAIN_TIME_TENSOR] < 51 * sum);
}

/* Copies on other nodes exchange by the network, those of a node by its links: devices are counted tensor first. */
static void groups_lie_where_the_order_of_devices_puts_them(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, LLAMA);
    const struct device *d = device("h100");
    struct train_layout l = alone;
    const struct train_job job = { .batch = 64, .compute = NUMBER_BF16, .alone = true };
    struct device card = *d;
    card.node = 1;
    l.dp = 8;
    NEAR(plan_of(&m, job, l, d).time[TRAIN_TIME_DATA], collective_seconds(d, ALL_REDUCE, 4 * m.facts.params, 8));
    l.dp = 2, l.tp = 4, l.sequence = true;               /* 0 and 4, 1 and 5 .. of one node */
    const struct train_plan p = plan_of(&m, job, l, d);
    struct device pair = *d;
    pair.node = 2;
    NEAR(p.time[TRAIN_TIME_DATA], collective_seconds(&pair, ALL_REDUCE, p.memory[TRAIN_MEMORY_GRADIENTS], 2));
    l.dp = 4;                                            /* two in each of two nodes */
    NEAR(plan_of(&m, job, l, d).time[TRAIN_TIME_DATA], collective_seconds(&pair, ALL_REDUCE, p.memory[TRAIN_MEMORY_GRADIENTS], 4));
    l.dp = 1, l.pp = 2, l.zero = 0;
    const double near_by = plan_of(&m, job, l, d).time[TRAIN_TIME_PIPELINE], away = plan_of(&m, job, l, &card).time[TRAIN_TIME_PIPELINE];
    NEAR(near_by, 64 * 2 * collective_seconds(d, SEND, 512 * 128 * 2 / 4., 2));
    NEAR(away, 64 * 2 * collective_seconds(&card, SEND, 512 * 128 * 2 / 4., 2));
}

/* A device that does all twice as fast takes half the time: nothing else is in it but the host, and exponentials of fused attention, which go by the units' clock. */
static void twice_the_device_is_half_the_time(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, MOE);
    struct device fast = *device("mi300x");
    for (int i = 0; i < N_NUMBER; i++)
        fast.peak[i] *= 2;
    fast.bandwidth *= 2, fast.link *= 2, fast.link_pair *= 2, fast.launch /= 2, fast.tile /= 2;
    const struct train_layout layouts[] = { alone, { 4, 1, 2, 2, 1, 1, 2, true, TRAIN_RECOMPUTE_FULL, 0 }, { 1, 2, 2, 1, 2, 1, 1, false,
        TRAIN_RECOMPUTE_CHEAP, 0 }, { 1, 1, 8, 4, 1, 3, 1, false, 0, 0 } };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct train_job job = { .batch = 64, .compute = NUMBER_FP8, .separate = i % 2, .launch = -1 };
        const struct train_plan slow = plan_of(&m, job, layouts[i], device("mi300x")), quick = plan_of(&m, job, layouts[i], &fast);
        /* collectives have steps of their own */
        for (int j = 0; j < N_TRAIN_TIME; j++)
            if (j != TRAIN_TIME_TENSOR && j != TRAIN_TIME_EXPERTS && j != TRAIN_TIME_PIPELINE && j != TRAIN_TIME_DATA && j != TRAIN_TIME_BUBBLE && (job.separate || j != TRAIN_TIME_ATTENTION))
                near_to(quick.time[j], slow.time[j] / 2, 1e-12, train_time_name((enum train_time_part)j));
    }
}

/* What a plan is explained by adds up to it, part by part. */
static void terms_add_up_to_their_parts(void **state)
{
    (void)state;
    struct train_model dense, moe;
    model_of(&dense, LLAMA), model_of(&moe, MOE);
    const struct { const struct train_model *m; struct train_layout l; struct train_job job; } cases[] = {
        { &dense, alone, { .batch = 4, .compute = NUMBER_BF16 } }, { &dense, { 2, 2, 2, 1, 2, 1, 2, true, TRAIN_RECOMPUTE_FULL, 3 }, { .batch = 64, .compute = NUMBER_FP8 } },
        { &dense, { 1, 1, 4, 1, 1, 3, 1, false, TRAIN_RECOMPUTE_CHEAP, 0 }, { .batch = 64, .compute = NUMBER_BF16, .wide_loss = true, .alone = true } },
        { &moe, { 2, 3, 4, 8, 1, 1, 1, true, TRAIN_RECOMPUTE_NONE, 0 }, { .batch = 64, .compute = NUMBER_FP8, .imbalance = 1.2 } },
        { &moe, { 1, 1, 4, 2, 1, 2, 2, false, TRAIN_RECOMPUTE_FULL, 0 }, { .batch = 64, .compute = NUMBER_BF16, .lora_rank = 8, .separate = true } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_term term[200];
        double memory[N_TRAIN_MEMORY] = { 0 }, time[N_TRAIN_TIME] = { 0 };
        const struct train_plan p = plan_of(cases[i].m, cases[i].job, cases[i].l, device("h100"));
        const int n = train_explain(term, 200, &p, cases[i].m, &cases[i].job, device("h100"));
        assert_in_range(n, 5, 200);
        assert_int_equal(train_explain(term, 3, &p, cases[i].m, &cases[i].job, device("h100")), n);
        train_explain(term, 200, &p, cases[i].m, &cases[i].job, device("h100"));
        for (int t = 0; t < n; t++) {
            (term[t].time ? time : memory)[term[t].part] += term[t].value;
            assert_true(strlen(term[t].how) > 5 && strlen(term[t].how) < sizeof term[t].how - 1);
        }
        for (int j = 0; j < N_TRAIN_MEMORY; j++)
            near_to(memory[j], p.memory[j], 1e-9, train_memory_name((enum train_memory_part)j));
        for (int j = 0; j < N_TRAIN_TIME; j++)
            near_to(time[j], p.time[j], 1e-9, train_time_name((enum train_time_part)j));
    }
}

/* A layer takes as long as the host needs to launch it, or as its kernels need. */
static void a_device_waits_for_a_host_that_is_late(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, MOE);
    struct train_job job = { .batch = 8, .compute = NUMBER_BF16, .launch = -1 };
    const struct train_plan graphs = plan_of(&m, job, alone, device("h100"));
    assert_true(graphs.time[TRAIN_TIME_HOST] == 0);
    job.launch = 1;
    const struct train_plan late = plan_of(&m, job, alone, device("h100"));
    job.launch = 2;
    const struct train_plan later = plan_of(&m, job, alone, device("h100"));
    const double layers = graphs.time[TRAIN_TIME_HOST] + late.seconds - late.time[TRAIN_TIME_HOST];
    near_to(late.seconds, graphs.seconds + late.time[TRAIN_TIME_HOST], 1e-12, "nothing else changes");
    near_to(later.forward, 2 * late.forward, 1e-12, "all of a layer's forward pass is the host's");
    assert_true(layers > 0 && late.time[TRAIN_TIME_HOST] < 8 * (late.forward + late.backward) * m.config.n_layer);
    job.grouped = true;          /* one kernel in the place of one for each of 8 experts: 7 less of two products, forward, and twice as many backward */
    const struct train_plan grouped = plan_of(&m, job, alone, device("h100"));
    near_to(later.forward - grouped.forward, 2 * 2 * 7., 1e-9, "kernels forward");
    near_to(later.backward - grouped.backward, 2 * 4 * 7., 1e-9, "kernels backward");
    assert_true(plan_of(&m, job, alone, device("epyc-9654")).time[TRAIN_TIME_HOST] == 0);        /* cores have no host */
    job.launch = 1e-9;
    assert_true(plan_of(&m, job, alone, device("h100")).time[TRAIN_TIME_HOST] == 0);
}

static void programs_differ_by_what_is_said_of_them(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, MOE);
    struct device no_launch = *device("h100");
    no_launch.launch = 0;
    const struct train_layout over = { 1, 1, 16, 16, 1, 1, 64, false, 0, 0 };      /* two nodes */
    struct train_model many = m;
    many.config.n_expert = 64, many.config.top_k = 6;
    const struct train_job job = { .batch = 64, .compute = NUMBER_BF16 };
    struct train_job slow = job;
    slow.attention = 0.5, slow.passes = 0.25, slow.chain = 0;
    const struct train_plan usual = plan_of(&m, job, alone, &no_launch), other = plan_of(&m, slow, alone, &no_launch);
    NEAR(other.time[TRAIN_TIME_ATTENTION], 2 * usual.time[TRAIN_TIME_ATTENTION]);
    NEAR(other.time[TRAIN_TIME_PASSES], 4 * usual.time[TRAIN_TIME_PASSES]);
    slow = job, slow.chain = 10;
    assert_true(plan_of(&m, slow, alone, &no_launch).time[TRAIN_TIME_PASSES] > 2 * usual.time[TRAIN_TIME_PASSES]);
    struct train_job wide = { .batch = 1024, .compute = NUMBER_BF16 };
    const double once = plan_of(&many, wide, over, device("h100")).time[TRAIN_TIME_EXPERTS];
    wide.each_row = true;
    assert_true(plan_of(&many, wide, over, device("h100")).time[TRAIN_TIME_EXPERTS] > 2 * once);
    char sure[TRAIN_HOW_SURE];
    assert_non_null(strstr(train_how_sure(sure, &m, device("l40s")), "mixtures"));
    assert_non_null(strstr(sure, "none of them on L40S: not measured"));
    assert_non_null(strstr(train_how_sure(sure, &m, device("mi300x")), "1.8 times"));
}

/* Every device of the table, alone, in a node, over nodes: a plan of finite numbers, or an error that says why not. */
static void every_device_has_a_plan_or_says_why_not(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, MOE);
    for (int i = 0; i < device_n(); i++)
        for (int n = 1; n <= 256; n *= 16) {
            struct train_plan p;
            const struct device *d = device_at(i);
            for (int number = NUMBER_F32; number <= NUMBER_FP8; number++) {
                const struct train_job job = { .batch = 256, .compute = (enum number)number };
                const int rc = plan_train_best(&p, 1, &m, &job, d, n, &err);
                if (n > d->node && !d->network) {
                    if (n > 1)
                        assert_int_equal(rc, ERR_USAGE), assert_non_null(strstr(err.msg, "network"));
                    continue;
                }
                if (rc != 1)
                    fail_msg("%d %s: %s", n, d->name, err.msg);
                for (int j = 0; j < N_TRAIN_TIME; j++)
                    if (!(p.time[j] >= 0 && p.time[j] < 1e9))
                        fail_msg("%d %s: %s takes %g s", n, d->name, train_time_name((enum train_time_part)j), p.time[j]);
                assert_true(p.tokens_second > 0 && p.mfu_palm > 0 && p.mfu_palm < 1 && p.hfu < 1);
            }
        }
}

/* PaLM's count of a sequence of 131,072 is mostly of keys that windows hide; what is computed is not more than the peak. */
static void keys_outside_of_windows_are_no_work_of_the_hardware(void **state)
{
    (void)state;
    struct train_model m;
    struct train_plan p;
    struct config c;
    OK(published_config(&c, "Gemma-3-4B", &err));
    OK(train_model_init(&m, &c, &err));
    const struct train_job job = { .batch = 30, .compute = NUMBER_BF16 };
    assert_int_equal(plan_train_best(&p, 1, &m, &job, device("mi350x"), 1, &err), 1);
    assert_true(p.hfu > p.mfu_causal && p.hfu < 1);
    assert_true(p.mfu_palm > p.mfu_causal);
}

static void parts_add_up_and_have_names(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, MOE);
    const struct train_plan p = plan_of(&m, (struct train_job){ .batch = 64, .compute = NUMBER_BF16 }, (struct train_layout){ 2, 2, 4, 8, 2, 1, 1, true,
        TRAIN_RECOMPUTE_FULL, 0 }, device("h100"));
    double seconds = 0, bytes = 0;
    for (int i = 0; i < N_TRAIN_TIME; i++)
        assert_true(p.time[i] > 0 && strlen(train_time_name((enum train_time_part)i)) > 3), seconds += p.time[i];
    for (int i = 0; i < N_TRAIN_MEMORY; i++)
        assert_true(p.memory[i] > 0 && strlen(train_memory_name((enum train_memory_part)i)) > 3), bytes += p.memory[i];
    for (int i = 0; i < N_TRAIN_RECOMPUTE; i++)
        assert_true(strlen(train_recompute_name((enum train_recompute)i)) > 3);
    NEAR(p.seconds, seconds), NEAR(p.bytes, bytes);
    NEAR(p.tokens_second, 64 * 512 / seconds), NEAR(p.micros, 16);
    NEAR(p.joules_token, 16 * device("h100")->watts / p.tokens_second), NEAR(p.usd_mtoken, 16 * device("h100")->price / 3600 / p.tokens_second * 1e6);
}

static void pieces_of_stages_divide_the_wait_for_them(void **state)
{
    (void)state;
    struct train_model m;
    model_of(&m, LLAMA);
    struct train_layout l = { 1, 3, 1, 1, 1, 0, 1, false, 0, 0 };
    const struct train_job job = { .batch = 12, .compute = NUMBER_BF16 };
    struct device free_links = *device("h100");
    free_links.link_latency = 0, free_links.link = free_links.link_pair = 1e30;
    const double whole = plan_of(&m, job, l, &free_links).time[TRAIN_TIME_BUBBLE];
    l.interleave = 4;
    NEAR(plan_of(&m, job, l, &free_links).time[TRAIN_TIME_BUBBLE], whole / 4);
    l.interleave = 1;
    const struct train_plan many = plan_of(&m, (struct train_job){ .batch = 1200, .compute = NUMBER_BF16 }, l, &free_links);
    NEAR(many.time[TRAIN_TIME_BUBBLE], whole);           /* once a step, however many micro-batches */
}

/* Iterations of Megatron-LM on A100s: table 5 of arXiv:2205.05198, seconds.  Nothing is fitted to them. */
static void measured_iterations_are_met(void **state)
{
    (void)state;
    static const struct { int d_model, n_head, n_layer, pp, interleave, micro, batch; double full, selective; } rows[] = {
        { 6144, 64, 48, 1, 1, 4, 4, 1.42, 1.10 }, { 12288, 96, 96, 8, 3, 1, 64, 18.13, 13.75 }, { 20480, 128, 105, 35, 3, 1, 280, 49.05, 37.83 },
            { 25600, 160, 128, 64, 1, 1, 512, 94.42, 71.49 },
    };
    double sum = 0;
    for (int i = 0; i < 8; i++) {
        const double measured = i % 2 ? rows[i / 2].selective : rows[i / 2].full;
        char text[300];
        struct train_model m;
        snprintf(text, sizeof text, "{\"model_type\":\"gpt2\",\"vocab_size\":51200,\"n_positions\":2048,\"n_embd\":%d,\"n_layer\":%d,\"n_head\":%d}",
                 rows[i / 2].d_model, rows[i / 2].n_layer, rows[i / 2].n_head);
        model_of(&m, text);
        const struct train_layout l = { 8, rows[i / 2].pp, 1, 1, rows[i / 2].interleave, 0, rows[i / 2].micro, i % 2, i % 2 ? TRAIN_RECOMPUTE_ATTENTION
            : TRAIN_RECOMPUTE_FULL, 0 };
        const struct train_plan p = plan_of(&m, (struct train_job){ .batch = rows[i / 2].batch, .compute = NUMBER_BF16, .separate = true, .scaled = true }, l,
                                            device("a100"));
        sum += fabs(p.seconds / measured - 1) / 8;
    }
    print_message("mean error %.2f %%\n", 100 * sum);
    assert_true(sum <= 0.05);
}

/* A few of the runs of bench/measured/training.csv, of which bench/train_fit has all: dense and mixtures, one graph or kernel by kernel, old and new attention. */
static void published_runs_are_met(void **state)
{
    (void)state;
    static const struct { const char *model, *device; double tokens; struct train_layout l; struct train_job job; } rows[] = {
        { "Llama-3-8B", "h100", 14451, { 1, 1, 8, 1, 1, 3, 1, false, TRAIN_RECOMPUTE_FULL, 5 }, { .ctx = 8192, .batch = 128, .compute = NUMBER_FP8 } },
        { "Llama-3-70B", "h100", 1664, { 4, 8, 2, 1, 5, 1, 1, true, TRAIN_RECOMPUTE_NONE, 0 }, { .ctx = 8192, .batch = 256, .compute = NUMBER_FP8 } },
        { "Llama-3-8B", "h200", 10938, { 1, 1, 32, 1, 1, 3, 2, false, TRAIN_RECOMPUTE_FULL, 16 },
          { .ctx = 8192, .batch = 64, .compute = NUMBER_FP8, .wide_loss = true, .state_bytes = 10, .attention = 0.47 } },
        { "Qwen3-30B-A3B", "gb200", 39936, { 1, 1, 8, 8, 1, 1, 4, false, TRAIN_RECOMPUTE_NONE, 0 }, { .ctx = 4096, .batch = 512, .compute = NUMBER_FP8, .hide_experts = true, .launch = -1 } },
        { "Qwen3-30B-A3B", "b200", 27136, { 1, 1, 8, 8, 1, 1, 4, false, TRAIN_RECOMPUTE_FULL, 2 }, { .ctx = 4096, .batch = 512, .compute = NUMBER_FP8 } },
        { "Qwen3-30B-A3B", "h100", 8826, { 1, 1, 16, 16, 1, 1, 1, false, TRAIN_RECOMPUTE_NONE, 0 }, { .ctx = 4096, .batch = 1024, .compute = NUMBER_FP8 } },
        { "DeepSeek-V3", "gb300", 6288, { 1, 2, 128, 32, 1, 1, 1, false, TRAIN_RECOMPUTE_CHEAP, 0 }, { .ctx = 4096, .batch = 4096, .compute = NUMBER_FP8, .hide_experts = true, .launch = -1 } },
        { "DeepSeek-V3", "b200", 2815, { 1, 16, 16, 8, 1, 1, 1, false, TRAIN_RECOMPUTE_FULL, 1 }, { .ctx = 4096, .batch = 4096, .compute = NUMBER_FP8 } },
    };
    double sum = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static struct train_model m;
        struct config c;
        OK(published_config(&c, rows[i].model, &err));
        OK(train_model_init(&m, &c, &err));
        const struct train_plan p = plan_of(&m, rows[i].job, rows[i].l, device(rows[i].device));
        const double e = fabs(log(p.tokens_second / p.n / rows[i].tokens));
        if (e > log(1.25))
            fail_msg("%s on %s: %.0f tokens a second, %.0f measured", rows[i].model, rows[i].device, p.tokens_second / p.n, rows[i].tokens);
        sum += e / (sizeof rows / sizeof *rows);
    }
    assert_true(sum <= log(1.12));
}

/* ---- the search ---- */

/* Every layout of 8 devices, by loops of this test's own. */
static void the_best_of_a_search_is_the_best_of_all(void **state)
{
    (void)state;
    struct train_model m;
    struct train_plan found[50], p;
    struct device small = *device("h100");
    const struct train_job job = { .batch = 32, .compute = NUMBER_BF16 };
    model_of(&m, MOE);
    small.memory = 1.6e9;                                /* some layouts do not fit */
    double best = INFINITY, least = INFINITY;
    for (int tp = 1; tp <= 8; tp *= 2)
        for (int pp = 1; tp * pp <= 8; pp *= 2)
            for (int i = 0; i < 4 * 4 * 8 * 7 * 4 * 5; i++) {
                const struct train_layout l = { tp, pp, 8 / tp / pp, 1 << i % 4, 1 + i / 4 % 4, i / 16 % 4, 1 << i / 64 % 7, tp > 1,
                    (enum train_recompute)(i / 448 % 4), i / 1792 % 5 };
                if (l.again && l.recompute != TRAIN_RECOMPUTE_FULL)
                    continue;
                if (plan_train(&p, &m, &job, &l, &small, NULL) == 0)
                    best = p.bytes <= small.memory ? fmin(best, p.seconds) : best, least = fmin(least, p.bytes);
            }
    const int n = plan_train_best(found, 50, &m, &job, &small, 8, &err);
    assert_true(n > 3 && least < small.memory);
    NEAR(found[0].seconds, best);
    for (int i = 0; i < n; i++) {
        assert_true(found[i].bytes <= small.memory && found[i].n == 8);
        assert_true(!i || found[i].seconds >= found[i - 1].seconds);
        OK(plan_train(&p, &m, &job, &found[i].layout, &small, &err));
        NEAR(found[i].seconds, p.seconds), NEAR(found[i].bytes, p.bytes);
        for (int j = 0; j < i; j++)
            assert_false(found[i].layout.tp == found[j].layout.tp && found[i].layout.pp == found[j].layout.pp && found[i].layout.ep == found[j].layout.ep);
    }
    struct train_plan few[3];
    assert_int_equal(plan_train_best(few, 3, &m, &job, &small, 8, &err), 3);
    for (int i = 0; i < 3; i++)
        NEAR(few[i].seconds, found[i].seconds);
}

static void what_fits_nowhere_says_by_how_much_and_what_would_do(void **state)
{
    (void)state;
    struct train_model m;
    struct train_plan p;
    struct device small = *device("h100");
    const struct train_job job = { .batch = 1024, .compute = NUMBER_BF16 };
    model_of(&m, LLAMA);
    small.memory = 1.085e9;                              /* the runtime takes 1.074 */
    assert_int_equal(plan_train_best(&p, 1, &m, &job, &small, 1, &err), ERR_NOFIT);
    if (!strstr(err.msg, "fits on 1 H100 SXM in no layout") || !strstr(err.msg, "comes nearest with") || !strstr(err.msg, "too much")
        || !strstr(err.msg, "devices would do"))
        fail_msg("%s", err.msg);
    small.memory = 1e9;
    assert_int_equal(plan_train_best(&p, 1, &m, &job, &small, 1, &err), ERR_NOFIT);
    assert_non_null(strstr(err.msg, "nor on as many as 1024"));
    assert_int_equal(plan_train_best(&p, 1, &m, &(struct train_job){ .batch = 4, .compute = NUMBER_BF16 }, device("h100"), 1021, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "fewer devices, or a larger batch"));
    assert_int_equal(plan_train_best(&p, 1, &m, &job, device("h100"), 0, &err), ERR_USAGE);
    assert_int_equal(plan_train_best(&p, 1, &m, &job, device("h100"), 1025, &err), ERR_USAGE);
    assert_int_equal(plan_train_best(&p, 0, &m, &job, device("h100"), 8, &err), ERR_USAGE);
}

static void any_number_of_devices_has_a_plan(void **state)
{
    (void)state;
    struct train_model m;
    struct train_plan p;
    model_of(&m, LLAMA);
    double before = INFINITY;
    for (int n = 1; n <= 1024; n = n < 40 ? n + 1 : n * 2) {
        const int found = plan_train_best(&p, 1, &m, &(struct train_job){ .batch = 1024, .compute = NUMBER_BF16 }, device("mi300x"), n, &err);
        assert_int_equal(found, 1);
        assert_int_equal(p.layout.tp * p.layout.pp * p.layout.dp, n);
        if (n <= 8 && 1024 % n == 0)
            assert_true(p.seconds < before), before = p.seconds;
    }
}

static void a_thousand_accelerators_train_a_large_mixture(void **state)
{
    (void)state;
    struct config c;
    struct train_model m;
    struct train_plan p[4];
    OK(published_config(&c, "DeepSeek-V3", &err));
    OK(train_model_init(&m, &c, &err));
    assert_int_equal(plan_train_best(p, 4, &m, &(struct train_job){ .ctx = 4096, .batch = 4096, .compute = NUMBER_BF16 }, device("mi300x"), 1024, &err), 4);
    assert_true(p[0].bytes <= device("mi300x")->memory && p[0].mfu_causal > 0.05 && p[0].mfu_causal < 0.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_layouts_name_those_that_are_possible),
        cmocka_unit_test(impossible_jobs_are_said),
        cmocka_unit_test(encoders_are_refused),
        cmocka_unit_test(layers_and_ends_have_all_the_numbers_of_the_model),
        cmocka_unit_test(zero_divides_what_its_paper_says),
        cmocka_unit_test(adapters_alone_have_gradients),
        cmocka_unit_test(experts_lie_whole_on_those_that_divide_them),
        cmocka_unit_test(memory_and_operations_are_those_of_the_papers),
        cmocka_unit_test(as_much_is_computed_again_as_is_asked),
        cmocka_unit_test(products_are_those_of_the_weights),
        cmocka_unit_test(tensor_groups_exchange_what_megatron_exchanges),
        cmocka_unit_test(groups_lie_where_the_order_of_devices_puts_them),
        cmocka_unit_test(twice_the_device_is_half_the_time),
        cmocka_unit_test(terms_add_up_to_their_parts),
        cmocka_unit_test(a_device_waits_for_a_host_that_is_late),
        cmocka_unit_test(programs_differ_by_what_is_said_of_them),
        cmocka_unit_test(every_device_has_a_plan_or_says_why_not),
        cmocka_unit_test(keys_outside_of_windows_are_no_work_of_the_hardware), cmocka_unit_test(parts_add_up_and_have_names),
        cmocka_unit_test(pieces_of_stages_divide_the_wait_for_them),
        cmocka_unit_test(measured_iterations_are_met),
        cmocka_unit_test(published_runs_are_met),
        cmocka_unit_test(the_best_of_a_search_is_the_best_of_all),
        cmocka_unit_test(what_fits_nowhere_says_by_how_much_and_what_would_do),
        cmocka_unit_test(any_number_of_devices_has_a_plan),
        cmocka_unit_test(a_thousand_accelerators_train_a_large_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
