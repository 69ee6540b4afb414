/* test_train.c - training runs in small: the same bits with any number of threads and slices and under every way to recompute; averages,
 * samples and ends of runs; the plan against the memory taken. */
#include <float.h>
#include <math.h>
#include "base/mem.h"
#include "model/decoder.h"
#include "model/safetensors.h"
#include "nn/limits.h"
#include "train/checkpoint.h"
#include "tiny_run.h"

/* ---- the same bits ---- */

static void final_weights_are_the_same_with_any_number_of_threads(void **state)
{
    (void)state;
    static const char *const configs[] = { "dense.yaml", "moe.yaml", "moe16.yaml", "muon.yaml", "sgd.yaml", "adamw-half.yaml", "muon-half.yaml", "sgd-half.yaml" };
    for (int c = 0; c < 8; c++) {
        struct train_result r;
        char first[SHA256_HEX];
        for (int n = 1; n <= 3; n++) {
            char out[32];
            snprintf(out, sizeof out, "threads-%d-%d", c, n);
            OK(train(configs[c], out, n, NULL, &r));
            if (n == 1)
                memcpy(first, digest(out), sizeof first);
            else if (strcmp(first, digest(out)))
                fail_msg("%s: %d threads gave other weights than 1", configs[c], n);
        }
        assert_true(isfinite(r.valid_loss) && r.loss < (c % 3 == 1 && c > 1 ? 5.7 : 5.5));      /* ln 300 is 5.704; plain SGD is slow */
    }
}

/* The sum over a layer's experts of how often the correction went up or down, of a model that was trained. */
static int corrected(const char *out, int layer, double rate)
{
    struct safetensors *st;
    char path[240], name[80];
    float b[4];
    int moved = 0;
    snprintf(path, sizeof path, "%s/model.safetensors", in_dir(out));
    snprintf(name, sizeof name, "model.layers.%d.mlp.gate.e_score_correction_bias", layer);
    OK(safetensors_open(&st, path, &err));
    const struct st_tensor *t = safetensors_find(st, name);
    assert_true(t && t->n == 4);
    OK(st_read_f32(t, 0, 4, b, &err));
    for (int e = 0; e < 4; e++) {
        const double times = (double)b[e] / rate;
        assert_true(fabs(times - nearbyint(times)) < 1e-4 && fabs(times) < 12.5);      /* once a step */
        moved += (int)fabs(nearbyint(times));
    }
    safetensors_free(st);
    return moved;
}

static void experts_are_balanced_by_a_bias_that_is_saved_and_shown(void **state)
{
    (void)state;
    struct train_result r, again;
    struct buf text;
    char model[300];
    write_config("verified.yaml", BALANCED, ", precision: bf16, optimizer: muon, schedule: linear, router_bias_rate: 0.01, verify_every: 1");
    OK(train("verified.yaml", "balanced", 2, NULL, &r));                                    /* what every update moves is not taken for a fault of memory */
    snprintf(model, sizeof model, "model: {from: %s}\ndata: {train: [%s, %s], valid_share: 0.1}\ntrain: {steps: 0, batch: 4, ctx: 24, warmup: 0}\n", in_dir("balanced"), in_dir("one.txt"), in_dir("two.txt"));
    write_text("again.yaml", model);
    OK(train("again.yaml", "again", 2, NULL, &again));
    assert_true(again.valid_loss == r.valid_loss);                                          /* evaluated with the bias that was saved */
    assert_true(corrected("balanced", 0, 0.01) + corrected("balanced", 1, 0.01) > 8);
    write_config("still.yaml", BALANCED, ", precision: bf16, optimizer: muon, schedule: linear, router_bias_rate: 0");
    OK(train("still.yaml", "still", 2, NULL, &r));
    assert_int_equal(corrected("still", 0, 0.01) + corrected("still", 1, 0.01), 0);
    assert_int_equal(train("still.yaml", "balanced", 2, NULL, &r), ERR_USAGE);             /* it decides the numbers */
    buf_init(&text);
    OK(file_read(in_dir("balanced/metrics.jsonl"), 1 << 20, &text, &err));
    assert_non_null(strstr(text.data, "\"bias_max\":0.01"));
    buf_release(&text);
}

static void recomputation_gives_the_same_weights(void **state)
{
    (void)state;
    struct train_result r;
    write_config("cheap.yaml", MOE, ", precision: fp32, recompute: cheap");
    write_config("block.yaml", MOE, ", precision: fp32, recompute: block");
    OK(train("moe.yaml", "keep", 2, NULL, &r));
    OK(train("cheap.yaml", "cheap", 2, NULL, &r));
    OK(train("block.yaml", "block", 2, NULL, &r));
    assert_string_equal(digest("keep"), digest("cheap"));
    assert_string_equal(digest("keep"), digest("block"));
}

/* What the plan says, with the process itself, in train.memory's unit. */
static double planned(const char *config, struct train_result *r)
{
    const struct train_opts o = { .config = in_dir(config), .out = in_dir("planned"), .n_thread = 2, .fail_step = -1, .dry_run = true };
    OK(train_run(&o, r, &err));
    return ((double)r->planned_bytes + (20 << 20)) / 1e9;
}

/* The same recipe in less and less memory, each time going on from where the one before was stopped. */
static void recomputation_is_chosen_by_what_fits_and_changes_no_bit(void **state)
{
    (void)state;
    static const char *const rules[] = { "none", "cheap", "block" };
    struct train_result r;
    char more[120], name[32];
    double needs[3];
    for (int i = 0; i < 3; i++) {
        snprintf(more, sizeof more, ", slices: 1, precision: fp32, recompute: %s", rules[i]);
        write_config("rule.yaml", MOE, more);
        needs[i] = planned("rule.yaml", &r);
        if (i)
            assert_true(needs[i] < needs[i - 1]);
    }
    write_config("whole.yaml", MOE, ", slices: 1, precision: fp32");
    OK(train("whole.yaml", "auto-whole", 2, NULL, &r));
    volatile sig_atomic_t stop = 1;
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "auto-%d.yaml", i);
        snprintf(more, sizeof more, ", slices: 1, precision: fp32, memory: %.9f", i ? (needs[i] + needs[i - 1]) / 2 : needs[0] + 1e-6);
        write_config(name, MOE, more);
        assert_true(fabs(planned(name, &r) - needs[i]) < 1e-9);
        assert_int_equal(train(name, "auto", 2, i < 2 ? &stop : NULL, &r), i < 2 ? ERR_STOPPED : 0);
    }
    assert_string_equal(digest("auto-whole"), digest("auto"));
    snprintf(more, sizeof more, ", slices: 1, precision: fp32, memory: %.9f", needs[2] - 1e-4);
    write_config("least.yaml", MOE, more);
    assert_int_equal(train("least.yaml", "least", 2, NULL, &r), ERR_NOMEM);
    assert_non_null(strstr(err.msg, "allowed by train.memory"));
}

/* Held-out loss after 2,000 steps: what rounding the moments changes is less than what another seed does; half their memory. */
static void moments_in_bf16_learn_as_those_in_fp32_do(void **state)
{
    (void)state;
    double loss[2][3], least = INFINITY, most = 0, mean[2] = { 0, 0 };
    uint64_t planned[2] = { 0, 0 };
    for (int half = 0; half < 2; half++)
        for (int seed = 0; seed < 3; seed++) {
            char text[900], out[32];
            struct train_result r;
            snprintf(text, sizeof text,
                     "model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24, norm: rmsnorm, act: swiglu, pos: rope}\n"
                     "data: {train: %s, valid_share: 0.1, tokenizer: bytes}\n"
                     "train: {steps: 2000, batch: 1, ctx: 24, lr: 3e-3, beta2: 0.999, warmup: 20, eval_every: 0, save_every: 0, precision: fp32, optimizer_state: %s, seed: %d}\n",
                     in_dir("one.txt"), half ? "bf16" : "fp32", seed + 1);
            write_text("state.yaml", text);
            snprintf(out, sizeof out, "state-%d-%d", half, seed);
            OK(train("state.yaml", out, 1, NULL, &r));
            loss[half][seed] = r.valid_loss, mean[half] += r.valid_loss / 3;
            planned[half] = r.planned_bytes;
            if (!half)
                least = fmin(least, r.valid_loss), most = fmax(most, r.valid_loss);
        }
    fprintf(stderr, "held-out loss with moments in fp32 %.4f %.4f %.4f, in bf16 %.4f %.4f %.4f\n", loss[0][0], loss[0][1], loss[0][2], loss[1][0], loss[1][1], loss[1][2]);
    assert_true(most < 2);
    assert_true(fabs(mean[1] - mean[0]) < most - least);
    assert_true(planned[1] < planned[0]);
}

/* How windows are dealt into micro-batches and accumulation is nobody's business where the slices are the same. */
static void the_slices_of_a_step_decide_its_bits(void **state)
{
    (void)state;
    static const char *const cuts[] = { "{steps: 6, batch: 8, accumulate: 1, ctx: 24, warmup: 0, slices: 8, precision: bf16, seed: 3}",
                                        "{steps: 6, batch: 2, accumulate: 4, ctx: 24, warmup: 0, precision: bf16, seed: 3}",
                                        "{steps: 6, batch: 8, accumulate: 1, ctx: 24, warmup: 0, slices: 2, precision: bf16, seed: 3}" };
    struct train_result r[3];
    for (int i = 0; i < 3; i++) {
        char text[900], out[16];
        snprintf(text, sizeof text, MOE "data: {train: [%s, %s], valid_share: 0.1, tokenizer: bpe, vocab_size: 300}\ntrain: %s\n", in_dir("one.txt"), in_dir("two.txt"), cuts[i]);
        write_text("cut.yaml", text);
        snprintf(out, sizeof out, "cut-%d", i);
        OK(train("cut.yaml", out, 1 + i % 2, NULL, &r[i]));
    }
    assert_string_equal(digest("cut-0"), digest("cut-1"));
    assert_string_not_equal(digest("cut-0"), digest("cut-2"));
    assert_true(fabs(r[0].loss - r[2].loss) < 0.02);
}

/* In one batch, or a batch for each: with everything that is summed over tokens or counted by them, and heads whose chunks have several
 * slices or a part of one. */
static void slices_in_one_batch_have_the_bits_of_slices_alone(void **state)
{
    (void)state;
    static const struct { const char *model, *train; } c[] = {
        { "num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: layernorm, norm_bias: true, act: gelu, pos: learned, router_aux_loss_coef: 0.01, tie_word_embeddings: true, dropout: 0.1",
          "ctx: 23, precision: bf16" },
        { "intermediate_size: 48, norm: rmsnorm, act: swiglu, pos: rope, qk_norm: head, linear_bias: true, tie_word_embeddings: true", "ctx: 51, precision: fp32" },
        { "intermediate_size: 48, norm: rmsnorm, act: gelu, pos: rope, max_position_embeddings: 300, tie_word_embeddings: true", "ctx: 293, precision: bf16" },
        { "model_type: gpt_oss, num_key_value_heads: 2, head_dim: 8, intermediate_size: 24, num_local_experts: 4, num_experts_per_tok: 2, sliding_window: 9", "ctx: 23, precision: bf16" },
    };
    static const struct { const char *batch; bool limited; } how[] = { { "batch: 8", false }, { "batch: 4, accumulate: 2", false }, { "batch: 8, memory: ", true }, { "batch: 1, accumulate: 8", false } };
    uint64_t planned[4] = { 0 };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        for (int k = 0; k < 4; k++) {
            char text[1200], out[32], dealt[48];
            snprintf(dealt, sizeof dealt, "%s", how[k].batch);
            if (how[k].limited)                      /* to a little less than all at once take */
                snprintf(dealt + strlen(dealt), sizeof dealt - strlen(dealt), "%.9f", ((double)planned[0] + (20 << 20) - 10000) / 1e9);
            struct train_result r;
            snprintf(text, sizeof text, "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, %s}\ndata: {train: [%s, %s], tokenizer: bpe, vocab_size: 300}\n"
                     "train: {steps: 2, warmup: 0, lr: 3e-3, slices: 8, %s, %s}\n", c[i].model, in_dir("one.txt"), in_dir("two.txt"), dealt, c[i].train);
            write_text("together.yaml", text);
            snprintf(out, sizeof out, "together-%d-%d", (int)i, k);
            OK(train("together.yaml", out, 1 + k % 2, NULL, &r));
            planned[k] = r.planned_bytes;
            assert_true(k != 2 || planned[2] < planned[0]);      /* where memory is short, slices are not joined */
        }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            char one[40], other[32];
            snprintf(one, sizeof one, "together-%d-%d", i, k);
            snprintf(other, sizeof other, "together-%d-3", i);
            assert_string_equal(digest(one), digest(other));
        }
}

/* ---- numbers ---- */

static void put_last_weight(const char *out, float x)
{
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", in_dir(out));
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, -4, SEEK_END);
    fwrite(&x, sizeof x, 1, f);
    fclose(f);
}

/* A loss on held-out text that is not finite is recorded as null, and is no lack of memory. */
static void numbers_that_are_not_finite_are_recorded_as_null(void **state)
{
    (void)state;
    struct train_result r;
    OK(train("dense.yaml", "sound", 1, NULL, &r));
    put_last_weight("sound", FLT_MAX);
    char text[400];
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0.1}\ntrain: {steps: 0, warmup: 0, batch: 4, ctx: 24, precision: fp32}\n",
             in_dir("sound"), in_dir("one.txt"));
    write_text("poison.yaml", text);
    OK(train("poison.yaml", "poisoned", 1, NULL, &r));
    assert_false(isfinite(r.valid_loss));
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("poisoned/metrics.jsonl"), 1 << 20, &b, &err));
    assert_non_null(strstr(b.data, "\"valid_loss\":null"));
    buf_release(&b);
    put_last_weight("sound", NAN);               /* weights to begin from are looked at: no data is blamed for them */
    assert_int_equal(train("poison.yaml", "refused", 1, NULL, &r), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "1 numbers that are not finite, the first is element"));
}

static void a_finished_run_has_no_loss_of_a_last_step(void **state)
{
    (void)state;
    struct train_result r;
    OK(train("dense.yaml", "finished", 1, NULL, &r));
    assert_true(r.loss > 0);
    OK(train("dense.yaml", "finished", 1, NULL, &r));
    assert_true(isnan(r.loss) && r.steps == 12 && isfinite(r.valid_loss));
}

static void steps_that_are_not_finite_are_skipped_and_the_third_ends_the_run(void **state)
{
    (void)state;
    struct train_result r;
    const struct train_opts o = { .config = in_dir("dense.yaml"), .out = in_dir("nan"), .n_thread = 1, .fail_step = 6 };
    assert_int_equal(train_run(&o, &r, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "3 steps in a row"));
    assert_non_null(strstr(err.msg, "windows at tokens"));
    assert_int_equal(count_in("nan", "\"event\":\"skipped\",\"because\":\"loss or gradient not finite\""), 3);
    assert_int_equal(count_in("nan", "\"event\":\"spike\",\"cause\":\"data\",\"odd\":\"not finite"), 3);
}

/* ---- now and then ---- */

/* With a learning rate of 0 held-out loss never falls: the first evaluation is the best, and two more end the run. */
static void a_run_whose_held_out_loss_does_not_fall_ends_early(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    const char text[] = DENSE "data: {train: [%s], valid_share: 0.1, tokenizer: bpe, vocab_size: 300}\n"
                        "train: {steps: 40, batch: 4, ctx: 24, lr: 0, warmup: 3, save_every: 4, eval_every: 4, eval_tokens: 200, patience: 2, precision: fp32}\n";
    char config[1200];
    snprintf(config, sizeof config, text, in_dir("one.txt"));
    write_text("patience.yaml", config);
    OK(train("patience.yaml", "early", 1, NULL, &r));
    assert_int_equal(r.steps, 12);
    assert_int_equal(count_in("early", "\"event\":\"stopped early\""), 1);
    assert_true(file_exists(in_dir("early/best/model.safetensors")) && file_exists(in_dir("early/best/config.json")));
    assert_int_equal(count_in("early", "\"best_kept\":4"), 1);
    put_in_dir("unkept/best", "in its way");                   /* a model that could not be written is not said to be there */
    OK(train("patience.yaml", "unkept", 1, NULL, &r));
    assert_int_equal(count_in("unkept", "\"best model not written\""), 1);
    assert_int_equal(count_in("unkept", "\"best_kept\":0"), 1);
    OK(train("patience.yaml", "early", 1, NULL, &r));          /* nothing is left to do */
    assert_int_equal(r.steps, 12);
    int n = 0;
    while (train("patience.yaml", "early-stopped", 1, &stop, &r) == ERR_STOPPED)
        assert_true(++n < 20);
    assert_int_equal(n, 11);
    assert_string_equal(digest("early"), digest("early-stopped"));
}

/* Against the formula in double, over the weights of every checkpoint. */
static void the_average_of_weights_is_that_of_the_checkpoints(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    char name[64];
    const char *tensor = "model.layers.1.self_attn.o_proj.weight";
    write_config("first.yaml", DENSE, ", precision: fp32, ema: 0.5, save: wait, keep: 20");
    write_config("plain.yaml", DENSE, ", precision: fp32, keep: 20");
    OK(train("plain.yaml", "plain", 1, NULL, &r));
    while (train("first.yaml", "average", 1, &stop, &r) == ERR_STOPPED)      /* a checkpoint of every step, and a restart */
        ;
    OK(train("first.yaml", "average-whole", 2, NULL, &r));
    assert_string_equal(digest("average"), digest("average-whole"));
    assert_string_not_equal(digest("average"), digest("plain"));
    double average[32 * 32], bare[32 * 32];
    for (int t = 1; t <= 12; t++) {
        struct safetensors *st;
        snprintf(name, sizeof name, "checkpoints/step-%010d/model.safetensors", t);
        OK(safetensors_open(&st, path_in(in_dir("average"), name), &err));
        const struct st_tensor *w = safetensors_find(st, tensor);
        assert_non_null(w);
        assert_int_equal(w->n, 32 * 32);
        const double warm = t / (t + 9.0), d = warm < 0.5 ? warm : 0.5;
        for (int i = 0; i < 32 * 32; i++) {
            float x;
            OK(st_read_f32(w, i, 1, &x, &err));
            bare[i] = (double)x;
            average[i] = t == 1 ? 0 : d * average[i] + (1 - d) * bare[i];
        }
        safetensors_free(st);
        if (t == 1) {                                /* what it began with is in no checkpoint: the average after step 1 is */
            OK(safetensors_open(&st, path_in(in_dir("average"), "checkpoints/step-0000000001/optimizer.safetensors"), &err));
            const struct st_tensor *a = safetensors_find(st, "average.1.o.w");
            assert_non_null(a);
            for (int i = 0; i < 32 * 32; i++) {
                float x;
                OK(st_read_f32(a, i, 1, &x, &err));
                average[i] = (double)x;
            }
            safetensors_free(st);
        }
    }
    struct safetensors *st;
    OK(safetensors_open(&st, path_in(in_dir("average"), "model.safetensors"), &err));
    double off = 0, moved = 0;
    for (int i = 0; i < 32 * 32; i++) {
        float x;
        OK(st_read_f32(safetensors_find(st, tensor), i, 1, &x, &err));
        off = fmax(off, fabs((double)x - average[i])), moved = fmax(moved, fabs((double)x - bare[i]));
    }
    safetensors_free(st);
    assert_true(off < 1e-7);
    assert_true(moved > 1e-4);
}

static void what_the_model_writes_is_shown_and_changes_nothing(void **state)
{
    (void)state;
    struct train_result r;
    static const char *const configs[] = { "dense.yaml", "moe16.yaml" };
    write_config("writes0.yaml", DENSE, ", precision: fp32, sample_every: 4, sample_prompt: the cat");
    write_config("writes1.yaml", MOE, ", precision: bf16, accumulate: 2, sample_every: 4, sample_prompt: the cat");
    for (int i = 0; i < 2; i++) {
        OK(train(configs[i], "silent", 1, NULL, &r));
        OK(train(i ? "writes1.yaml" : "writes0.yaml", "writes", 2, NULL, &r));
        assert_int_equal(count_in("writes", "\"sample\":\"the cat"), 3);
        assert_string_equal(digest("silent"), digest("writes"));
        OK(file_remove_tree(in_dir("silent"), &err));
        OK(file_remove_tree(in_dir("writes"), &err));
    }
}

/* 24 tokens cannot reach 64 experts. */
static void experts_that_get_nothing_are_told(void **state)
{
    (void)state;
    struct train_result r;
    char text[1200];
    snprintf(text, sizeof text, "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, num_experts: 64, num_experts_per_tok: 1, moe_intermediate_size: 8, norm: rmsnorm, act: gelu, pos: rope}\n"
             "data: {train: %s, valid_share: 0.1, tokenizer: bytes}\ntrain: {steps: 2, batch: 1, ctx: 24, warmup: 0, eval_every: 1, eval_tokens: 48, precision: fp32}\n", in_dir("one.txt"));
    write_text("dead.yaml", text);
    OK(train("dead.yaml", "dead", 1, NULL, &r));
    assert_int_equal(count_in("dead", "\"event\":\"dead experts\""), 2);
    assert_int_equal(count_in("dead", "\"dead\":0,"), 0);
    OK(train("moe.yaml", "alive", 1, NULL, &r));
    assert_int_equal(count_in("alive", "\"event\":\"dead experts\""), 0);
}

static void the_plan_is_the_memory_that_is_taken(void **state)
{
    (void)state;
    struct mem_stats before, during;
    struct train_result r;
    mem_stats_get(&before);
    OK(train("moe.yaml", "planned", 2, NULL, &r));
    mem_stats_get(&during);
    assert_int_equal(before.bytes_mapped, during.bytes_mapped);      /* all given back */
    assert_int_equal(before.n_live, during.n_live);
    assert_true(r.planned_bytes > 100000);
}

/* Held out: nothing, less than a window, more than one: what was trained on is scored, too. */
/* A run that scores nothing, as nothing is held out and no step is tried, leaves the scorer untouched: less is expected of the same plan. */
static void what_is_held_out_changes_no_plan(void **state)
{
    (void)state;
    static const struct { double share; int steps; } of[] = { { 0, 2 }, { 0, 40 }, { 0.001, 2 }, { 0.2, 2 } };
    struct train_result r[4];
    char text[1200];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "model: {hidden_size: 256, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 512, norm: rmsnorm, act: swiglu, pos: rope}\n"
                 "data: {train: %s, valid_share: %g, tokenizer: bytes}\ntrain: {steps: %d, batch: 8, ctx: 128, warmup: 0, precision: fp32}\n", in_dir("one.txt"), of[i].share, of[i].steps);
        write_text("held.yaml", text);
        const struct train_opts o = { .config = in_dir("held.yaml"), .out = in_dir("held"), .n_thread = 2, .fail_step = -1, .dry_run = true };
        OK(train_run(&o, &r[i], &err));
        OK(file_remove_tree(in_dir("held"), &err));
    }
    for (int i = 0; i < 4; i++)
        assert_true(r[i].planned_bytes == r[0].planned_bytes);
    for (int i = 1; i < 4; i++) {
        assert_true(r[i].expected_bytes > r[i].planned_bytes);
        if (!UNDER_ADDRESS && !UNDER_THREAD)     /* what a sanitizer has of the process itself moves by more */
            assert_true(r[i].expected_bytes > r[0].expected_bytes + 500000);   /* the scorer, at one row of floats a token at the least */
    }
}

static void expected_time_moves_with_the_cost_of_an_operation(void **state)
{
    (void)state;
    struct decoder d;
    struct config c;
    struct op_info table[N_OP];
    memcpy(table, op_table, sizeof table);
    static const char text[] = "{\"model_type\":\"lathe_gpt\",\"vocab_size\":100,\"hidden_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"intermediate_size\":64,"
                        "\"max_position_embeddings\":16,\"norm\":\"rmsnorm\",\"act\":\"gelu\",\"pos\":\"rope\"}";
    OK(config_parse(&c, text, sizeof text - 1, "test", NULL, &err));
    OK(decoder_record(&d, &c, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = DT_F32 }, &err));
    const struct limits l = { .f32 = 1e11, .bf16 = 1e11, .read = 1e10, .read_cache = 1e11, .cache_bytes = 1e6 };
    const unsigned passes = 1u << PASS_FORWARD | 1u << PASS_BACKWARD;
    const double before = limits_seconds(&l, d.g, passes, 64, 4, 8, table);
    table[OP_linear].flops = op_table[OP_cross_entropy].flops_bwd;       /* another, larger formula */
    const double after = limits_seconds(&l, d.g, passes, 64, 4, 8, table);
    assert_true(before > 0 && after > 1.05 * before);
    const double flops = limits_flops(d.g, 1u << PASS_FORWARD, 64, 4, 8, NULL), products = 2.0 * 64 * (32 * 32 * 4 + 2 * 32 * 64) + 4.0 * 64 * 32 * 8;
    assert_true(flops >= products && flops < 1.4 * products);      /* the head is in the backward pass of training */
    decoder_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(final_weights_are_the_same_with_any_number_of_threads),
        cmocka_unit_test(experts_are_balanced_by_a_bias_that_is_saved_and_shown),
        cmocka_unit_test(recomputation_gives_the_same_weights),
        cmocka_unit_test(recomputation_is_chosen_by_what_fits_and_changes_no_bit),
        cmocka_unit_test(the_slices_of_a_step_decide_its_bits),
        cmocka_unit_test(slices_in_one_batch_have_the_bits_of_slices_alone),
        cmocka_unit_test(moments_in_bf16_learn_as_those_in_fp32_do),
        cmocka_unit_test(numbers_that_are_not_finite_are_recorded_as_null),
        cmocka_unit_test(a_finished_run_has_no_loss_of_a_last_step),
        cmocka_unit_test(steps_that_are_not_finite_are_skipped_and_the_third_ends_the_run),
        cmocka_unit_test(a_run_whose_held_out_loss_does_not_fall_ends_early),
        cmocka_unit_test(the_average_of_weights_is_that_of_the_checkpoints),
        cmocka_unit_test(what_the_model_writes_is_shown_and_changes_nothing),
        cmocka_unit_test(experts_that_get_nothing_are_told),
        cmocka_unit_test(the_plan_is_the_memory_that_is_taken),
        cmocka_unit_test(what_is_held_out_changes_no_plan),
        cmocka_unit_test(expected_time_moves_with_the_cost_of_an_operation),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
