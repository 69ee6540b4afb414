/* test_train.c - training runs in small: the same bits with any number of threads, after a stop, and after kill -9; what bad
 * settings, bad text and bad numbers lead to; the plan against the memory taken. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/loader.h"
#include "model/decoder.h"
#include "model/safetensors.h"
#include "nn/limits.h"
#include "train/checkpoint.h"
#include "train/loop.h"

static struct err err;

static void write_text(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

/* Words drawn from a small vocabulary with rules of a kind, so that there is something to learn. */
static void write_corpus(const char *name, int n_word, uint64_t seed)
{
    static const char *const words[] = { "the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to", "house", "with", "green", "eyes", "quickly", "away" };
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < n_word; i++)
        OK(buf_printf(&b, &err, "%s%s", words[(rng_below(seed, (uint64_t)i, 8) + (uint64_t)(i % 3) * 4) % 16], i % 11 == 10 ? ".\n" : " "));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

#define DENSE "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 48, norm: rmsnorm, act: swiglu, pos: rope}\n"
#define MOE "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: layernorm, act: gelu, pos: learned, " \
            "router_aux_loss_coef: 0.01, router_z_loss_coef: 0.001, norm_topk_prob: true, tie_word_embeddings: true}\n"
#define BALANCED "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: layernorm, act: gelu, pos: learned, " \
                 "scoring_func: sigmoid, e_score_correction_bias: true, tie_word_embeddings: true}\n"
#define TRAIN "train: {steps: 12, batch: 4, ctx: 24, lr: 3e-3, warmup: 3, save_every: 4, eval_every: 6, eval_tokens: 200"

static void write_config(const char *name, const char *model, const char *more)
{
    char text[1600];
    snprintf(text, sizeof text, "%sdata: {train: [%s, %s], valid_share: 0.1, tokenizer: bpe, vocab_size: 300}\n" TRAIN "%s}\n", model, in_dir("one.txt"), in_dir("two.txt"), more);
    write_text(name, text);
}

static int train(const char *config, const char *out, int n_thread, volatile sig_atomic_t *stop, struct train_result *r)
{
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = n_thread, .stop = stop, .fail_step = -1 };
    return train_run(&o, r, &err);
}

static const char *digest(const char *out)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    char path[240];
    snprintf(path, sizeof path, "%s/model.safetensors", in_dir(out));
    OK(sha256_of_file(path, hex[i], &err));
    return hex[i];
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    setenv("XDG_CACHE_HOME", test_dir, 1);
    log_level_set(LOG_QUIET);
    write_corpus("one.txt", 2500, 1);
    write_corpus("two.txt", 1200, 2);
    write_config("dense.yaml", DENSE, ", precision: fp32");
    write_config("moe.yaml", MOE, ", precision: fp32");
    write_config("moe16.yaml", MOE, ", precision: bf16, accumulate: 2");
    write_config("muon.yaml", BALANCED, ", precision: bf16, optimizer: muon, schedule: linear, router_bias_rate: 0.01");
    write_config("sgd.yaml", DENSE, ", precision: fp32, optimizer: sgd, momentum: 0.8");
    write_config("adamw-half.yaml", MOE, ", precision: bf16, optimizer_state: bf16");
    write_config("muon-half.yaml", MOE, ", precision: bf16, optimizer: muon, optimizer_state: bf16");
    write_config("sgd-half.yaml", DENSE, ", precision: fp32, optimizer: sgd, momentum: 0.8, optimizer_state: bf16");
    return 0;
}

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

static void a_stopped_run_goes_on_to_the_same_weights(void **state)
{
    (void)state;
    static const char *const configs[] = { "moe16.yaml", "muon-half.yaml" };
    for (int c = 0; c < 2; c++) {
        char whole[32], stopped[32];
        snprintf(whole, sizeof whole, "whole-%d", c), snprintf(stopped, sizeof stopped, "stopped-%d", c);
        struct train_result r;
        OK(train(configs[c], whole, 2, NULL, &r));
        volatile sig_atomic_t stop = 1;                /* after every single step */
        int n = 0;
        while (train(configs[c], stopped, 1 + n % 2, &stop, &r) == ERR_STOPPED)
            assert_true(++n < 20);
        assert_int_equal(n, 11);
        assert_int_equal(r.steps, 12);
        assert_string_equal(digest(whole), digest(stopped));
    }
}

#define KILLS 20
static void a_run_killed_at_random_moments_goes_on_to_the_same_weights(void **state)
{
    (void)state;
    struct train_result r;
    write_config("long.yaml", MOE, ", precision: fp32, seed: 5, optimizer_state: bf16");
    const double begin = clock_wall();
    OK(train("long.yaml", "unkilled", 1, NULL, &r));
    const double whole = clock_wall() - begin;
    int n_killed = 0;
    for (int i = 0; i < 4 * KILLS && n_killed < KILLS; i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (!child)
            _exit(train("long.yaml", "killed", 1, NULL, &r) < 0);
        const double wait = whole * 0.9 * rng_uniform(77, (uint64_t)i);
        nanosleep(&(struct timespec){ (time_t)wait, (long)((wait - floor(wait)) * 1e9) }, NULL);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status))
            n_killed++;
        else
            OK(file_remove_tree(in_dir("killed"), &err));     /* it was through already: from the start again */
    }
    assert_int_equal(n_killed, KILLS);
    OK(train("long.yaml", "killed", 2, NULL, &r));
    assert_string_equal(digest("unkilled"), digest("killed"));
}

static void other_settings_in_the_same_folder_are_refused(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    assert_int_equal(train("dense.yaml", "mixed", 1, &stop, &r), ERR_STOPPED);
    write_config("other.yaml", DENSE, ", precision: fp32, seed: 9");
    assert_int_equal(train("other.yaml", "mixed", 1, NULL, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "other settings"));
    assert_int_equal(train("moe.yaml", "mixed", 1, NULL, &r), ERR_USAGE);      /* not by the tensors that another model lacks */
    assert_non_null(strstr(err.msg, "other settings"));
}

/* With patience it says when the run ends, and which model is best. */
static void other_held_out_text_is_another_patient_run(void **state)
{
    (void)state;
    for (int patience = 0; patience < 2; patience++) {
        struct train_result r;
        volatile sig_atomic_t stop = 1;
        char text[900];
        snprintf(text, sizeof text, DENSE "data: {train: %s, valid: %s, tokenizer: bytes}\n" TRAIN ", precision: fp32, patience: %d}\n", in_dir("one.txt"), in_dir("held-out.txt"), 3 * patience);
        write_text("held-out.yaml", text);
        write_corpus("held-out.txt", 300, 3);
        assert_int_equal(train("held-out.yaml", patience ? "patient" : "impatient", 1, &stop, &r), ERR_STOPPED);
        write_corpus("held-out.txt", 300, 4);
        assert_int_equal(train("held-out.yaml", patience ? "patient" : "impatient", 1, NULL, &r), patience ? ERR_USAGE : 0);
        assert_true(!patience || strstr(err.msg, "other settings or other text"));
    }
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

/* ---- checkpoints ---- */

static void an_altered_checkpoint_is_refused_by_the_tensors_name(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    static const char *const files[] = { "model.safetensors", "optimizer.safetensors" };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(train("dense.yaml", "altered", 1, &stop, &r), ERR_STOPPED);
        char path[300];
        snprintf(path, sizeof path, "%s/checkpoints/step-%010d/%s", in_dir("altered"), 1, files[i]);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        fseek(f, -5, SEEK_END);
        const int c = fgetc(f);
        fseek(f, -5, SEEK_END);
        fputc(c ^ 1, f);
        fclose(f);
        assert_int_equal(train("dense.yaml", "altered", 1, NULL, &r), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "was altered"));
        assert_non_null(strstr(err.msg, "tensor '"));
        OK(file_remove_tree(in_dir("altered"), &err));
    }
    assert_int_equal(train("dense.yaml", "altered", 1, &stop, &r), ERR_STOPPED);
    char path[300];
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d/model.safetensors", in_dir("altered"), 1);
    assert_int_equal(truncate(path, 5000), 0);
    assert_true(train("dense.yaml", "altered", 1, NULL, &r) < 0);
    assert_non_null(strstr(err.msg, "model.safetensors"));
}

static int count_in(const char *out, const char *what)
{
    char path[300];
    snprintf(path, sizeof path, "%s/metrics.jsonl", in_dir(out));
    struct buf b;
    buf_init(&b);
    OK(file_read(path, 1 << 20, &b, &err));
    int n = 0;
    for (const char *p = b.data; (p = strstr(p, what)); p++)
        n++;
    buf_release(&b);
    return n;
}

/* The n-th file operation fails, for every n: before the steps and after them the run ends with an error and goes on when it is
 * started again; in between it goes on by itself. */
static void a_failing_disk_does_not_end_the_steps(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    OK(train("dense.yaml", "reference", 1, NULL, &r));
    assert_int_equal(train("dense.yaml", "full", 1, &stop, &r), ERR_STOPPED);
    int n_failed = 0, n_survived = 0;
    for (int64_t n = 0;; n += 3) {
        file_fail_at(n, n % 2 ? EIO : ENOSPC);
        const int rc = train("dense.yaml", "full", 1, NULL, &r);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        if (rc < 0) {
            n_failed++;
            assert_non_null(strstr(err.msg, n % 2 ? "Input/output error" : "No space left"));
            continue;
        }
        assert_string_equal(digest("reference"), digest("full"));
        n_survived += count_in("full", "checkpoint failed") + count_in("full", "metrics lost");
        if (!reached)
            break;
        OK(file_remove_tree(in_dir("full"), &err));
        assert_int_equal(train("dense.yaml", "full", 1, &stop, &r), ERR_STOPPED);
    }
    assert_true(n_failed > 10);
    assert_true(n_survived > 20);
}

/* A disk that is full for a while takes neither checkpoints nor metrics, and the run ends as if it had. */
static void a_disk_that_is_full_for_a_while_is_survived(void **state)
{
    (void)state;
    struct train_result r;
    write_config("often.yaml", DENSE, ", precision: fp32, save: wait");
    file_fail_at(1 << 30, ENOSPC);
    OK(train("often.yaml", "never-full", 1, NULL, &r));
    const int64_t n = file_fail_count();
    assert_int_equal(r.n_saved, 3);
    int survived = 0;
    for (int64_t at = n / 8; at < n; at += n / 24) {
        char out[32];
        snprintf(out, sizeof out, "full-%lld", (long long)at);
        file_fail_between(at, at + 6, ENOSPC);       /* a failing checkpoint ends at its first call, a line is one */
        const int rc = train("often.yaml", out, 1, NULL, &r);
        file_fail_at(-1, 0);
        if (rc < 0) {
            if (!strstr(err.msg, "No space left"))
                fail_msg("%lld: %s", (long long)at, err.msg);
            OK(train("often.yaml", out, 1, NULL, &r));
        } else if (r.n_saved < 3) {
            survived++;
            assert_true(count_in(out, "checkpoint failed") + count_in(out, "metrics lost") > 0);
        }
        assert_string_equal(digest("never-full"), digest(out));
    }
    assert_true(survived > 5);
}

/* ---- checkpoints in the background ---- */

struct watcher { char path[300]; bool went_on; };

static void *release_when_steps_went_on(void *ctx)
{
    struct watcher *w = ctx;
    for (int i = 0; i < 6000 && !w->went_on; i++) {
        struct buf b;
        buf_init(&b);
        if (!file_read(w->path, 1 << 20, &b, NULL))
            w->went_on = strstr(b.data, "\"step\":11,") != NULL;
        buf_release(&b);
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    file_hold(false);
    return NULL;
}

/* The disk takes nothing until the step before the last is done: the first checkpoint is due at step 4. */
static void steps_do_not_wait_for_the_disk(void **state)
{
    (void)state;
    struct train_result r;
    OK(train("moe.yaml", "not-held", 1, NULL, &r));
    pthread_t thread;
    struct watcher w = { .went_on = false };
    snprintf(w.path, sizeof w.path, "%s/metrics.jsonl", in_dir("held"));
    file_hold(true);
    assert_int_equal(pthread_create(&thread, NULL, release_when_steps_went_on, &w), 0);
    OK(train("moe.yaml", "held", 1, NULL, &r));
    pthread_join(thread, NULL);
    assert_true(w.went_on);
    assert_true(r.n_saved >= 2);
    assert_string_equal(digest("not-held"), digest("held"));
}

/* What the disk kept with a wrong bit is never named: the run tells, and goes on from the one before when it is asked to. */
static void a_checkpoint_that_reads_back_wrong_is_not_named(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    OK(train("dense.yaml", "flip-reference", 1, NULL, &r));
    write_config("flip.yaml", DENSE, ", precision: fp32, save: wait");
    int found = 0;
    for (int n = 0; n < 40; n++) {
        OK(file_remove_tree(in_dir("flip"), &err));
        assert_int_equal(train("flip.yaml", "flip", 1, &stop, &r), ERR_STOPPED);
        struct decoder d;
        struct weights_list *l;
        struct pool *pool;
        struct config c;
        struct tok *tok;
        struct train_state s, again;
        struct buf passed;
        buf_init(&passed);
        char dir[300];
        snprintf(dir, sizeof dir, "%s/checkpoints", in_dir("flip"));
        OK(pool_new(&pool, 1, &err));
        OK(config_load(&c, path_in(dir, "step-0000000001"), NULL, &err));
        OK(tok_load(&tok, path_in(dir, "step-0000000001"), &err));
        OK(weights_list_new(&l, &c, &err));
        OK(decoder_record(&d, &c, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = DT_F32 }, &err));
        OK(decoder_plan(&d, 8, 8, 1, NULL, &err));
        OK(decoder_bind(&d, pool, NULL, &err));
        OK(checkpoint_load(dir, CHECKPOINT_LATEST, &d, l, &s, &passed, &err));
        s.step = 2;
        file_flip_at(n);
        const int rc = checkpoint_save(dir, &d, l, tok, &s, 2, 0, &err);
        file_flip_at(-1);
        if (rc) {
            found++;
            assert_int_equal(rc, ERR_CORRUPT);
            assert_non_null(strstr(err.msg, "read back"));
            assert_false(file_exists(path_in(dir, "step-0000000002")));
        }
        OK(checkpoint_load(dir, CHECKPOINT_LATEST, &d, l, &again, &passed, &err));
        assert_int_equal(again.step, rc ? 1 : 2);
        decoder_release(&d);
        weights_list_free(l);
        tok_free(tok);
        pool_free(pool);
        buf_release(&passed);
        if (!rc && !found)
            continue;
        if (!rc)
            break;
    }
    assert_true(found >= 5);                         /* model (header, tensors), config, tokenizer, optimizer, state */
}

/* The fifth byte from the end, or the first behind the text `behind`. */
static void flip_a_bit(const char *out, int step, const char *file, const char *behind)
{
    char path[300];
    struct buf b;
    buf_init(&b);
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d/%s", in_dir(out), step, file);
    OK(file_read(path, 1 << 24, &b, &err));
    const char *at = behind ? strstr(b.data, behind) : b.data + b.len - 5;
    assert_non_null(at);
    b.data[at - b.data + (behind ? (long)strlen(behind) : 0)] ^= 1;
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
}

static void a_damaged_checkpoint_is_named_and_the_one_before_is_taken(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    static const struct { const char *file, *behind; } cases[] = { { "model.safetensors", NULL }, { "optimizer.safetensors", NULL }, { "state.json", "\"step\": " },
                                                                   { "state.json", "\"settings\": \"" }, { "state.json", "\"sha256\": {\n  \"" } };
    OK(train("dense.yaml", "undamaged", 1, NULL, &r));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int n = 0; n < 2; n++)
            assert_int_equal(train("dense.yaml", "damaged", 1, &stop, &r), ERR_STOPPED);
        flip_a_bit("damaged", 2, cases[i].file, cases[i].behind);
        OK(train("dense.yaml", "damaged", 1, NULL, &r));
        assert_string_equal(digest("undamaged"), digest("damaged"));
        assert_int_equal(count_in("damaged", "an older checkpoint was taken"), 1);
        assert_int_equal(count_in("damaged", "was altered"), 1);
        assert_int_equal(count_in("damaged", cases[i].behind ? "state.json" : "tensor '"), 1);
        OK(file_remove_tree(in_dir("damaged"), &err));
    }
}

static void a_time_limit_saves_and_ends(void **state)
{
    (void)state;
    struct train_result r;
    write_config("limit.yaml", DENSE, ", precision: fp32, time_limit: 1e-6");
    OK(train("dense.yaml", "unlimited", 1, NULL, &r));
    int n = 0;
    while (train("limit.yaml", "limited", 1, NULL, &r) == ERR_STOPPED) {
        assert_non_null(strstr(err.msg, "time_limit of 1e-06 seconds after step"));
        assert_true(++n < 20);
    }
    assert_int_equal(n, 11);
    assert_string_equal(digest("unlimited"), digest("limited"));
}

/* A later checkpoint that a crash left unnamed must not push out the one just saved. */
static void a_checkpoint_left_unnamed_does_not_outlive_the_named_one(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    char path[300];
    write_config("keep1.yaml", DENSE, ", precision: fp32, keep: 1");
    assert_int_equal(train("keep1.yaml", "unnamed", 1, &stop, &r), ERR_STOPPED);
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d", in_dir("unnamed"), 9);
    OK(file_mkdirs(path, &err));
    for (int i = 2; i < 4; i++)
        assert_int_equal(train("keep1.yaml", "unnamed", 1, &stop, &r), ERR_STOPPED);
    assert_false(file_exists(path));
    OK(train("keep1.yaml", "unnamed", 1, NULL, &r));
}

static void a_folder_in_use_is_refused(void **state)
{
    (void)state;
    struct train_result r;
    int lock;
    OK(file_mkdirs(in_dir("busy"), &err));
    OK(file_lock(in_dir("busy"), &lock, &err));
    assert_int_equal(train("dense.yaml", "busy", 1, NULL, &r), ERR_BUSY);
    assert_non_null(strstr(err.msg, "in use by another run"));
    file_unlock(&lock);
    OK(train("dense.yaml", "busy", 1, NULL, &r));
}

/* Half-written files carry the number of the process that was killed. */
static void what_a_kill_left_half_written_is_removed(void **state)
{
    (void)state;
    struct train_result r;
    OK(file_mkdirs(in_dir("litter/data"), &err));
    write_text("litter/model.safetensors.tmp.4711", "x");
    write_text("litter/data/train.tok.tmp.12", "x");
    write_text("litter/notes.tmp.txt", "mine");
    OK(train("dense.yaml", "litter", 1, NULL, &r));
    assert_false(file_exists(in_dir("litter/model.safetensors.tmp.4711")));
    assert_false(file_exists(in_dir("litter/data/train.tok.tmp.12")));
    assert_true(file_exists(in_dir("litter/notes.tmp.txt")));
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

/* ---- data ---- */

static void an_epoch_visits_every_window_once_and_two_differ(void **state)
{
    (void)state;
    uint16_t ids[1001];
    for (int i = 0; i < 1001; i++)
        ids[i] = (uint16_t)i;
    const struct shard s = { .ids = ids, .id_bytes = 2, .n = 1001, .eot = -1 };
    struct loader l;
    OK(loader_init(&l, &s, 3, 10, 42, true, &err));
    bool seen[1001] = { false }, differs = false;
    for (int64_t i = 0; i < l.n_window; i++) {
        const int64_t at = loader_offset(&l, (uint64_t)i);
        assert_true(at >= 0 && at + 10 < s.n && !seen[at]);
        seen[at] = true;
        differs = differs || at != loader_offset(&l, (uint64_t)(i + l.n_window));
    }
    assert_true(differs);
}

static void a_window_is_cut_into_documents(void **state)
{
    (void)state;
    const uint16_t ids[] = { 0, 5, 6, 0, 7, 8, 9, 0, 0, 4, 3 };
    int32_t block[4][16];
    struct batch b = { .ids = block[0], .target = block[1], .pos = block[2], .seq_start = block[3] };
    struct loader l;
    const struct shard behind = { .ids = ids + 1, .id_bytes = 2, .n = 10, .eot = 0 };
    OK(loader_init_pass(&l, &behind, 1, 8, true, &err));
    assert_true(loader_pass(&l, 0, INT64_MAX, &b));
    assert_int_equal(b.n, 8);
    static const int32_t start[] = { 0, 2, 6, 7, 8 }, pos[] = { 0, 1, 0, 1, 2, 3, 0, 0 }, target[] = { 6, 0, 7, 8, 9, 0, 0, 4 };
    assert_int_equal(b.n_seq, 4);
    assert_memory_equal(b.seq_start, start, sizeof start);
    assert_memory_equal(b.pos, pos, sizeof pos);
    assert_memory_equal(b.target, target, sizeof target);
}

/* ---- bad input: one clear line each ---- */

static void bad_settings_and_texts_are_explained(void **state)
{
    (void)state;
    write_text("empty.txt", "");
    write_text("tiny.txt", "too short");
    write_text("latin.txt", "caf\xe9 au lait, and more text so that it is long enough\n");
    static const struct { const char *config; int code; const char *says; } cases[] = {
        { "model: {hidden_size: 32}\ndata: {trian: x.txt}\n", ERR_USAGE, "data.train is missing" },
        { DENSE "data: {train: @one.txt, vocab_sise: 300}\n", ERR_USAGE, "did you mean 'vocab_size'" },
        { DENSE "data: {train: @one.txt}\ntrain: {setps: 5}\n", ERR_USAGE, "did you mean 'steps'" },
        { DENSE "date: {train: @one.txt}\n", ERR_USAGE, "did you mean 'data'" },
        { DENSE "data: {train: @one.txt}\ntrain: {patience: 3, eval_every: 0}\n", ERR_USAGE, "patience counts evaluations" },
        { DENSE "data: {train: @one.txt, tokenizer: bytes}\ntrain: {ctx: 8, warmup: 0, sample_every: 1, sample_prompt: the cat sat on}\n", ERR_USAGE, "sample_prompt has 14 tokens, expected 1 to 7" },
        { DENSE "data: {train: @one.txt}\ntrain: {beta: 0.2}\n", ERR_USAGE, "train.beta would do nothing: it is for objective: dpo" },
        { DENSE "data: {train: @one.txt}\ntrain: {muon_lr: 0.02}\n", ERR_USAGE, "train.muon_lr would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {expert_parallel: true}\n", ERR_USAGE, "train.expert_parallel does not fit this model: it has no experts" },
        { MOE "data: {train: @one.txt}\nprivacy: {noise_multiplier: 1, delta: 1e-5}\ntrain: {seed: 7, expert_parallel: true}\n", ERR_UNSUPPORTED, "train.expert_parallel with section privacy" },
        { MOE "data: {train: @one.txt}\ntrain: {router_bias_rate: 0.01}\n", ERR_USAGE, "train.router_bias_rate would do nothing: the model has no e_score_correction_bias" },
        { BALANCED "data: {train: @one.txt}\ntrain: {router_bias_rate: 2}\n", ERR_USAGE, "router_bias_rate" },
        { BALANCED "data: {train: @one.txt}\nprivacy: {noise_multiplier: 1, delta: 1e-5}\ntrain: {seed: 7}\n", ERR_UNSUPPORTED, "loads that have no noise" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 48, e_score_correction_bias: true}\ndata: {train: @one.txt}\n", ERR_FORMAT, "but there are no experts" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, scoring_func: sigmoid, router_z_loss_coef: 0.1}\n"
          "data: {train: @one.txt, tokenizer: bytes}\ntrain: {warmup: 0}\n", ERR_UNSUPPORTED, "a z-loss of a router of sigmoids" },
        { DENSE "data: {train: @one.txt}\ntrain: {recompute: all}\n", ERR_USAGE, "expected one of auto|none|cheap|block" },
        { DENSE "data: {train: @one.txt}\ntrain: {memory: -1}\n", ERR_USAGE, "memory" },
        { DENSE "data: {train: @one.txt}\ntrain: {momentum: 0.9}\n", ERR_USAGE, "train.momentum would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {optimizer: sgd, beta1: 0.9}\n", ERR_USAGE, "train.beta1 would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {optimizer_state: fp16}\n", ERR_USAGE, "expected one of fp32|bf16" },
        { DENSE "data: {train: @one.txt}\ntrain: {on_spike: panic}\n", ERR_USAGE, "expected one of skip|rollback|stop|none" },
        { DENSE "data: {train: @one.txt}\ntrain: {on_spike: rollback, save_every: 0}\n", ERR_USAGE, "there would be no checkpoint to go back to" },
        { DENSE "data: {train: @one.txt}\ntrain: {ema: 1}\n", ERR_USAGE, "ema" },
        { DENSE "data: {train: @one.txt}\ntrain: {save: later}\n", ERR_USAGE, "expected one of background|wait" },
        { DENSE "data: {train: @one.txt}\ntrain: {steps: many}\n", ERR_USAGE, "expected a whole number" },
        { DENSE "data: {train: @one.txt}\ntrain: {schedule: ramp}\n", ERR_USAGE, "expected one of constant|linear|cosine|wsd" },
        { DENSE "data: {train: @one.txt}\ntrain: {steps: 5, steps: 6}\n", ERR_FORMAT, "given twice" },
        { DENSE "data: {train: @one.txt}\ntrain: {batch: 6, accumulate: 2, slices: 8}\n", ERR_USAGE, "train.slices is 8, expected a power of two that divides batch * accumulate, 12" },
        { DENSE "data: {train: @one.txt}\ntrain: {steps: 5, warmup: 6}\n", ERR_USAGE, "train.warmup is 6, more than train.steps, 5" },
        { DENSE "data: {train: @one.txt}\ntrain: {batch: 6, slices: 3}\n", ERR_USAGE, "expected a power of two" },
        { DENSE "data: {train: @missing.txt}\n", ERR_NOTFOUND, "missing.txt" },
        { DENSE "data: {train: @empty.txt}\n", ERR_FORMAT, "is empty" },
        { DENSE "data: {train: @latin.txt}\n", ERR_FORMAT, "not UTF-8: byte 0xe9 at offset 3" },
        { DENSE "data: {train: @tiny.txt, tokenizer: bytes, valid_share: 0}\ntrain: {ctx: 64, warmup: 0}\n", ERR_USAGE, "expected at least one context" },
        { "model: {hidden_size: 30, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 8, norm: rmsnorm, act: gelu, pos: learned}\ndata: {train: @one.txt}\n", ERR_FORMAT, "num_attention_heads is 4, expected a divisor of hidden_size, 30" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, norm: rmsnorm, act: gelu, pos: learned, num_experts: 4, num_experts_per_tok: 5, moe_intermediate_size: 8}\n"
          "data: {train: @one.txt}\n", ERR_RANGE, "num_experts_per_tok is 5, expected 1 to num_experts, 4" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 8, num_expert: 4}\ndata: {train: @one.txt}\n", ERR_USAGE,
          "did you mean 'num_experts'" },
        { "model: [1, 2]\ndata: {train: @one.txt}\n", ERR_USAGE, "section 'model'" },
        { "model: {from: /nowhere/at/all}\ndata: {train: @one.txt}\n", ERR_NOTFOUND, "/nowhere/at/all" },
        { "just text\n", ERR_USAGE, "expected the sections" },
        { "model: {a: [\n", ERR_FORMAT, "bad.yaml:" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900], *at = text;
        for (const char *p = cases[i].config; *p; p++)
            if (*p == '@')
                at += sprintf(at, "%s/", test_dir);
            else
                *at++ = *p;
        *at = 0;
        write_text("bad.yaml", text);
        struct train_result r;
        err_clear(&err);
        const int rc = train("bad.yaml", "bad", 1, NULL, &r);
        if (rc >= 0 || (cases[i].code && rc != cases[i].code) || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave %s '%s', expected %s with '%s'", i, err_word(rc), err.msg, err_word(cases[i].code), cases[i].says);
    }
}

static void a_plan_that_does_not_fit_is_refused_with_the_sizes(void **state)
{
    (void)state;
    struct train_result r;
    write_config("huge.yaml", "model: {hidden_size: 32768, num_hidden_layers: 60, num_attention_heads: 256, intermediate_size: 131072, norm: rmsnorm, act: swiglu, pos: rope}\n", "");
    assert_int_equal(train("huge.yaml", "huge", 1, NULL, &r), ERR_NOMEM);
    assert_non_null(strstr(err.msg, "the plan needs"));
    assert_non_null(strstr(err.msg, "is free"));
}

/* The batch that the refusal names is one that is not refused. */
static void the_advice_of_a_refusal_fits(void **state)
{
    (void)state;
    struct train_result r;
    write_config("wide.yaml", DENSE, ", slices: 1");
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("wide.yaml"), 1 << 20, &b, &err));
    char text[2000];
    const char *at = strstr(b.data, "batch: 4");
    snprintf(text, sizeof text, "%.*sbatch: 690000%s", (int)(at - b.data), b.data, at + 8);
    write_text("wide.yaml", text);
    const struct train_opts o = { .config = in_dir("wide.yaml"), .out = in_dir("wide"), .n_thread = 1, .fail_step = -1, .dry_run = true };
    const int rc = train_run(&o, &r, &err);
    if (rc >= 0) {
        buf_release(&b);
        skip();                                     /* a machine with hundreds of GB */
    }
    assert_int_equal(rc, ERR_NOMEM);
    const char *advice = strstr(err.msg, "train.batch: ");
    assert_non_null(advice);
    const long fits = strtol(advice + 13, NULL, 10);
    assert_true(fits > 1000 && fits < 690000);
    const size_t before = mem_available();
    int got[2];
    for (int more = 0; more < 2; more++) {          /* a fifth below fits, a fifth above does not: memory moves meanwhile */
        snprintf(text, sizeof text, "%.*sbatch: %ld%s", (int)(at - b.data), b.data, more ? fits + fits / 5 : fits - fits / 5, at + 8);
        write_text("wide.yaml", text);
        got[more] = train_run(&o, &r, &err);
    }
    buf_release(&b);
    const size_t after = mem_available();
    if (after > before + before / 20 || before > after + after / 20) {
        print_message("SKIPPED: others take and give back too much memory meanwhile\n");
        skip();
    }
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(final_weights_are_the_same_with_any_number_of_threads),
        cmocka_unit_test(experts_are_balanced_by_a_bias_that_is_saved_and_shown),
        cmocka_unit_test(recomputation_gives_the_same_weights),
        cmocka_unit_test(recomputation_is_chosen_by_what_fits_and_changes_no_bit),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_weights),
        cmocka_unit_test(a_run_killed_at_random_moments_goes_on_to_the_same_weights),
        cmocka_unit_test(the_slices_of_a_step_decide_its_bits),
        cmocka_unit_test(slices_in_one_batch_have_the_bits_of_slices_alone),
        cmocka_unit_test(other_settings_in_the_same_folder_are_refused),
        cmocka_unit_test(other_held_out_text_is_another_patient_run),
        cmocka_unit_test(moments_in_bf16_learn_as_those_in_fp32_do),
        cmocka_unit_test(an_altered_checkpoint_is_refused_by_the_tensors_name),
        cmocka_unit_test(a_failing_disk_does_not_end_the_steps),
        cmocka_unit_test(a_disk_that_is_full_for_a_while_is_survived),
        cmocka_unit_test(steps_do_not_wait_for_the_disk),
        cmocka_unit_test(a_checkpoint_that_reads_back_wrong_is_not_named),
        cmocka_unit_test(a_damaged_checkpoint_is_named_and_the_one_before_is_taken),
        cmocka_unit_test(a_time_limit_saves_and_ends),
        cmocka_unit_test(a_checkpoint_left_unnamed_does_not_outlive_the_named_one),
        cmocka_unit_test(a_folder_in_use_is_refused),
        cmocka_unit_test(what_a_kill_left_half_written_is_removed),
        cmocka_unit_test(numbers_that_are_not_finite_are_recorded_as_null),
        cmocka_unit_test(a_finished_run_has_no_loss_of_a_last_step),
        cmocka_unit_test(steps_that_are_not_finite_are_skipped_and_the_third_ends_the_run),
        cmocka_unit_test(a_run_whose_held_out_loss_does_not_fall_ends_early),
        cmocka_unit_test(the_average_of_weights_is_that_of_the_checkpoints),
        cmocka_unit_test(what_the_model_writes_is_shown_and_changes_nothing),
        cmocka_unit_test(experts_that_get_nothing_are_told),
        cmocka_unit_test(the_plan_is_the_memory_that_is_taken),
        cmocka_unit_test(expected_time_moves_with_the_cost_of_an_operation),
        cmocka_unit_test(an_epoch_visits_every_window_once_and_two_differ),
        cmocka_unit_test(a_window_is_cut_into_documents),
        cmocka_unit_test(bad_settings_and_texts_are_explained),
        cmocka_unit_test(a_plan_that_does_not_fit_is_refused_with_the_sizes),
        cmocka_unit_test(the_advice_of_a_refusal_fits),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
