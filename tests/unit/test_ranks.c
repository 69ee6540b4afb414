/* test_ranks.c - one run on 1, 2 and 4 processes: the same weights to the bit, also when their number changes on the way; what ranks
 * that do not agree are told; what the end of one leads to.  The program starts itself by mpirun. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "train/checkpoint.h"
#include "train/loop.h"

static struct err err;
static const char *program;

/* ---- what a rank does: CONFIG OUT THREADS steps to do now (0: all) [step whose data is garbage] ---- */

static volatile sig_atomic_t stop;

static int be_a_rank(char **arg)
{
    log_level_set(LOG_WARN);
    signal(SIGTERM, SIG_IGN);                    /* mpirun's, to those that are left */
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    char path[300];
    snprintf(path, sizeof path, "%s.%s.pid", arg[2], rank ? rank : "0");
    FILE *f = fopen(path, "w");                  /* so that a test can kill it */
    if (f) {
        fprintf(f, "%ld\n", (long)getpid());
        fclose(f);
    }
    struct train_result r;
    stop = atoi(arg[4]) > 0;
    struct fault fault = { .kind = FAULT_GARBAGE, .step = arg[5] ? atoi(arg[5]) : 0, .seed = 1, .whole_steps = 1 };
    const bool weight = arg[5] && *arg[5] == 'w', hit = arg[5] && (!weight || (rank && !strcmp(rank, "1")));
    if (weight)
        fault = (struct fault){ .kind = FAULT_WEIGHT, .step = atoi(arg[5] + 1), .seed = 1 };
    const struct train_opts o = { .config = arg[1], .out = arg[2], .n_thread = atoi(arg[3]), .stop = &stop, .fail_step = -1, .fault = hit ? &fault : NULL };
    const int rc = train_run(&o, &r, &err);
    if (rc < 0 && *err.msg) {
        fprintf(stderr, "says: %s\n", err.msg);
        nanosleep(&(struct timespec){ 0, 700000000 }, NULL);      /* mpirun drops what was written just before its end, on a busy machine */
    }
    return rc < 0;
}

/* ---- help ---- */

#define MODEL(more) "model: {hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, norm: rmsnorm, act: swiglu, pos: rope, " more "}\n"
#define MOE MODEL("num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 48, router_aux_loss_coef: 0.01, router_z_loss_coef: 0.001, norm_topk_prob: true")
#define WITH_SHARED MODEL("num_experts: 8, num_experts_per_tok: 3, moe_intermediate_size: 40, shared_expert_intermediate_size: 32, shared_expert_gate: true, router_aux_loss_coef: 0.01")
#define BALANCED MODEL("num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 48, scoring_func: sigmoid, e_score_correction_bias: true")
#define BIASED "model: {model_type: gpt_oss, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16, intermediate_size: 40, num_local_experts: 4, " \
    "num_experts_per_tok: 2, sliding_window: 9}\n"
/* Whose layers four can share. */
#define WIDE "model: {hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 8, num_key_value_heads: 4, norm: rmsnorm, act: swiglu, pos: rope, intermediate_size: 96, qk_norm: head, final_logit_softcapping: 4}\n"
#define DENSE MODEL("intermediate_size: 96, tie_word_embeddings: true")

static void write_text(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static void write_config(const char *name, const char *model, const char *train)
{
    char text[1600];
    snprintf(text, sizeof text, "%sdata: {train: %s, valid_share: 0.1, tokenizer: bpe, vocab_size: 300}\ntrain: {batch: 8, ctx: 24, lr: 3e-3, warmup: 2, eval_every: 2, save_every: 2, %s}\n",
             model, in_dir("text.txt"), train);
    write_text(name, text);
}

/* Texts with classes, and pairs of answers for the model of moe.yaml. */
static void write_records(void)
{
    static const char *const words[] = { "red", "green", "blue", "cat", "dog", "cow" };
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 60; i++)
        OK(buf_printf(&b, &err, "{\"text\": \"%s %s %s\", \"label\": \"%s\"}\n", words[i % 6], words[i / 3 % 6], words[i * i % 6], i % 6 < 3 ? "colour" : "animal"));
    OK(file_write_all(in_dir("labels.jsonl"), b.data, b.len, &err));
    buf_clear(&b);
    for (int i = 0; i < 40; i++)
        OK(buf_printf(&b, &err, "{\"prompt\": \"cat %d\", \"chosen\": \" sat on\", \"rejected\": \" ran %s\"}\n", i, words[i % 6]));
    OK(file_write_all(in_dir("pairs.jsonl"), b.data, b.len, &err));
    buf_release(&b);
}

static int set_up(void **state)
{
    static const char *const words[] = { "the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to", "house", "with", "green", "eyes", "quickly", "away" };
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 3000; i++)
        OK(buf_printf(&b, &err, "%s%s", words[(rng_below(7, (uint64_t)i, 8) + (uint64_t)(i % 3) * 4) % 16], i % 11 == 10 ? ".\n" : " "));
    OK(file_write_all(in_dir("text.txt"), b.data, b.len, &err));
    OK(buf_printf(&b, &err, "and one word more"));
    OK(file_write_all(in_dir("other.txt"), b.data, b.len, &err));
    buf_release(&b);
    write_config("moe.yaml", MOE, "steps: 6, precision: bf16");
    write_config("apart.yaml", DENSE, "steps: 4, precision: fp32, accumulate: 2, overlap: false");
    write_config("dense.yaml", DENSE, "steps: 6, precision: fp32, accumulate: 2");
    write_config("muon.yaml", BALANCED, "steps: 4, precision: bf16, optimizer: muon, optimizer_state: bf16, router_bias_rate: 0.01, ema: 0.6");
    write_config("shared.yaml", WITH_SHARED, "steps: 4, precision: fp32, accumulate: 8, slices: 4, optimizer: sgd");
    write_config("moe-divided.yaml", MOE, "steps: 6, precision: bf16, sample_every: 3, expert_parallel: true");
    write_config("muon-divided.yaml", BALANCED, "steps: 4, precision: bf16, optimizer: muon, optimizer_state: bf16, router_bias_rate: 0.01, ema: 0.6, expert_parallel: true");
    write_config("shared-divided.yaml", WITH_SHARED, "steps: 4, precision: fp32, accumulate: 8, slices: 4, optimizer: sgd, recompute: block, verify_every: 2, expert_parallel: true");
    write_config("half.yaml", DENSE, "steps: 4, precision: bf16, optimizer_state: bf16");
    write_config("biased.yaml", BIASED, "steps: 3, precision: bf16");
    write_config("biased-divided.yaml", BIASED, "steps: 3, precision: bf16, expert_parallel: true");
    char text[900];
    snprintf(text, sizeof text, "model: {from: %s}\nlora: {rank: 4}\ndata: {train: %s, valid_share: 0.1}\ntrain: {steps: 4, batch: 8, ctx: 24, lr: 3e-3, warmup: 2}\n", in_dir("alone-moe.yaml"), in_dir("text.txt"));
    write_text("lora.yaml", text);
    for (int k = 0; k < 2; k++) {
        snprintf(text, sizeof text, "model: {from: tests/golden/families/llama_tied_biases}\nupcycle: {num_experts: 4, router_std: 0.5, redraw: 0.5, e_score_correction_bias: true}\n"
                 "data: {train: %s, valid_share: 0.1, tokenizer: bytes}\ntrain: {steps: 3, batch: 8, ctx: 24, lr: 3e-3, warmup: 0%s}\n", in_dir("text.txt"), k ? ", expert_parallel: true" : "");
        write_text(k ? "upcycle-divided.yaml" : "upcycle.yaml", text);
    }
    write_records();
    snprintf(text, sizeof text, DENSE "data: {train: %s, valid_share: 0.3, tokenizer: bytes, form: label}\ntrain: {steps: 4, batch: 4, ctx: 32, lr: 3e-3, warmup: 1, eval_every: 2, ema: 0.5}\n", in_dir("labels.jsonl"));
    write_text("classes.yaml", text);
    snprintf(text, sizeof text, "model: {from: %s}\nlora: {rank: 4}\ndata: {train: %s, valid_share: 0.3, form: label}\nprivacy: {noise_multiplier: 0.7, delta: 1e-3}\n"
             "train: {steps: 3, batch: 8, ctx: 24, lr: 3e-3, warmup: 1, eval_every: 2, ema: 0.5, seed: 424242, slices: 4}\n", in_dir("alone-moe.yaml"), in_dir("labels.jsonl"));
    write_text("lora-classes.yaml", text);
    snprintf(text, sizeof text, "model: {from: %s}\nlora: {rank: 4}\ndata: {train: %s, valid_share: 0.3}\ntrain: {steps: 4, batch: 4, ctx: 24, lr: 3e-2, warmup: 1, eval_every: 2, objective: dpo}\n",
             in_dir("alone-moe.yaml"), in_dir("pairs.jsonl"));
    write_text("pairs.yaml", text);
    snprintf(text, sizeof text, DENSE "data: {train: %s, valid_share: 0.3, tokenizer: bytes}\nprivacy: {noise_multiplier: 0.7, delta: 1e-3, max_grad_norm: 0.5}\n"
             "train: {steps: 4, batch: 8, accumulate: 2, ctx: 28, lr: 3e-3, warmup: 1, eval_every: 2, seed: 424242, slices: 4}\n", in_dir("text.txt"));
    write_text("private.yaml", text);
    write_config("sgd.yaml", DENSE, "steps: 4, precision: fp32, optimizer: sgd, momentum: 0.8");
    return 0;
}

static bool have_mpirun(void)
{
#if UNDER_THREAD
    fprintf(stderr, "Open MPI's library is not made for the thread sanitizer: skipped\n");
    return false;
#endif
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  /* the library's own, at its end */
    if (!system("command -v mpirun > /dev/null 2>&1"))
        return true;
    fprintf(stderr, "mpirun is not installed (openmpi-bin): skipped\n");
    return false;
}

static char said[60000];

static int shell(const char *command, double *seconds)
{
    const double begin = clock_wall();
    FILE *f = popen(command, "r");
    assert_non_null(f);
    const size_t got = fread(said, 1, sizeof said - 1, f);
    said[got] = 0;
    const int status = pclose(f);
    if (seconds)
        *seconds = clock_wall() - begin;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define MPIRUN "mpirun --oversubscribe --allow-run-as-root "

static int start_with(int n, const char *config, const char *out, int n_thread, int steps, const char *garbage)
{
    char command[900];
    snprintf(command, sizeof command, MPIRUN "-n %d %s %s %s %d %d %s 2>&1", n, program, in_dir(config), in_dir(out), n_thread, steps, garbage);
    return shell(command, NULL);
}

static int start(int n, const char *config, const char *out, int n_thread, int steps) { return start_with(n, config, out, n_thread, steps, ""); }

static const char *digest_of(const char *out, const char *file)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    char path[240];
    snprintf(path, sizeof path, "%s/%s.safetensors", in_dir(out), file);
    OK(sha256_of_file(path, hex[i], &err));
    return hex[i];
}

static const char *digest(const char *out) { return digest_of(out, "model"); }

/* ---- the tests ---- */

/* What one rank makes of `name`.yaml, several make of it, or of name`more`.yaml. */
static void compare(const char *name, const char *more, int n_rank, int n_thread, const char *out)
{
    char config[40], alone[48];
    struct train_result r;
    snprintf(config, sizeof config, "%s.yaml", name);
    snprintf(alone, sizeof alone, "alone-%s", config);
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(alone), .n_thread = 2, .fail_step = -1 };
    if (!file_exists(in_dir(alone)))
        OK(train_run(&o, &r, &err));
    snprintf(config, sizeof config, "%s%s.yaml", name, more);
    if (start(n_rank, config, out, n_thread, 0))
        fail_msg("%s on %d ranks: %s", config, n_rank, said);
    const char *file = strstr(name, "lora") || strstr(name, "pairs") ? "adapter_model" : "model";
    if (strcmp(digest_of(alone, file), digest_of(out, file)))
        fail_msg("%s: %d ranks gave other weights than 1", config, n_rank);
}

static void any_number_of_ranks_and_threads_gives_the_same_weights(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    static const struct { const char *name; int n_rank, n_thread; } cases[] = {
        { "moe", 4, 1 }, { "moe", 2, 2 }, { "dense", 8, 1 }, { "muon", 4, 1 }, { "sgd", 2, 1 }, { "lora", 4, 1 },      /* of what the first gave */
        { "classes", 2, 1 }, { "pairs", 2, 1 }, { "private", 4, 1 }, { "lora-classes", 2, 1 }, { "apart", 2, 1 }, { "half", 2, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[40];
        snprintf(out, sizeof out, "ranks-%d", (int)i);
        compare(cases[i].name, "", cases[i].n_rank, cases[i].n_thread, out);
    }
}

/* A rule of recomputation, or fewer slices at once, is found where each rank may take what lies between the plans of one rank that has as
 * many windows. */
static void what_is_recomputed_is_chosen_on_several_ranks(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    static const struct { const char *name; int windows, slices; const char *recompute; } configs[] = {
        { "rule-0", 16, 1, "none" }, { "rule-1", 16, 1, "block" }, { "ample", 32, 2, "none" }, { "short", 32, 2, "auto" }, { "ample-8", 32, 8, "none" }, { "short-8", 32, 8, "none" } };
    double needs[2];
    for (int i = 0; i < 6; i++) {
        char text[900], name[24];
        struct train_result r;
        snprintf(name, sizeof name, "%s.yaml", configs[i].name);
        snprintf(text, sizeof text, "model: {hidden_size: 64, num_hidden_layers: 6, num_attention_heads: 4, intermediate_size: 256, norm: rmsnorm, act: swiglu, pos: rope}\n"
                 "data: {train: %s, valid_share: 0.1, tokenizer: bytes}\ntrain: {steps: 2, warmup: 0, batch: %d, ctx: 64, slices: %d, precision: fp32, save: wait, recompute: %s, memory: %.9f}\n",
                 in_dir("text.txt"), configs[i].windows, configs[i].slices, configs[i].recompute, i == 3 || i == 5 ? needs[0] + needs[1] + 0.042 : 0.0);      /* of both ranks, and two processes */
        write_text(name, text);
        const struct train_opts o = { .config = in_dir(name), .out = in_dir(configs[i].name), .n_thread = 1, .dry_run = true, .fail_step = -1 };
        if (i < 2) {
            OK(train_run(&o, &r, &err));
            needs[i] = (double)r.planned_bytes / 1e9;
        } else if (start(2, name, configs[i].name, 1, 0))
            fail_msg("%s", said);
    }
    assert_true(needs[0] > 1.5 * needs[1]);
    assert_string_equal(digest("ample"), digest("short"));
    assert_string_equal(digest("ample-8"), digest("short-8"));
}

/* Softmax and sigmoids, fp32 and bf16, a shared expert, biases of experts, a dense beginning, each optimiser; samples, evaluations, and steps that are
 * computed twice.  The fourth has more micro-batches than slices, so that gradients are kept apart. */
static void divided_experts_give_the_same_weights(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    compare("moe", "-divided", 2, 2, "divided-moe");
    compare("moe", "-divided", 1, 1, "divided-1");
    compare("muon", "-divided", 4, 1, "divided-muon");
    compare("shared", "-divided", 4, 1, "divided-shared");
    compare("biased", "-divided", 2, 1, "divided-biased");
    compare("upcycle", "-divided", 2, 1, "divided-upcycle");
}

/* Checkpoints are the same, whoever had the experts. */
static void experts_may_be_divided_and_joined_on_the_way(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    assert_int_equal(start(4, "muon-divided.yaml", "moves", 1, 1), 1);
    if (!file_exists(in_dir("moves/checkpoints/step-0000000001")))
        fail_msg("%s", said);
    assert_int_equal(start(2, "muon.yaml", "moves", 1, 1), 1);
    assert_true(file_exists(in_dir("moves/checkpoints/step-0000000002")));
    if (start(2, "muon-divided.yaml", "moves", 1, 0))
        fail_msg("%s", said);
    assert_string_equal(digest("alone-muon.yaml"), digest("moves"));
}

static void experts_that_do_not_come_out_even_are_refused(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    assert_true(start(8, "moe-divided.yaml", "uneven", 1, 0) != 0);
    assert_non_null(strstr(said, "there are 8 processes, but each layer has 4 experts"));
}

/* Held-out loss, accuracy, rewards, epsilon and the rest of metrics.jsonl are the same too, but for times: of the first test's runs. */
static void metrics_are_the_same(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    static const struct { const char *alone, *ranks, *has; int lines; } runs[] = {
        { "alone-moe.yaml", "ranks-0", "valid_bits_per_byte", 9 }, { "alone-muon.yaml", "ranks-3", "valid_loss", 6 }, { "alone-classes.yaml", "ranks-6", "valid_accuracy", 6 },
        { "alone-pairs.yaml", "ranks-7", "valid_rewards", 6 }, { "alone-private.yaml", "ranks-8", "records_clipped", 6 },
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char command[900];
        snprintf(command, sizeof command, "cd %s; for i in %s %s; do sed -E 's/\"[a-z]*_?(per_s|share_of_peak|seconds|peak_bytes|unix_ms)\":[^,}]*//g' $i/metrics.jsonl > $i.m; done; cmp %s.m %s.m && grep -q %s %s.m && wc -l < %s.m", test_dir,
                 runs[i].alone, runs[i].ranks, runs[i].alone, runs[i].ranks, runs[i].has, runs[i].ranks, runs[i].ranks);
        if (shell(command, NULL) || atoi(said) < runs[i].lines)      /* steps and evaluations */
            fail_msg("%s: %s", runs[i].alone, said);
    }
}

static void a_run_may_change_its_number_of_ranks_on_the_way(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    assert_int_equal(start(4, "muon.yaml", "elastic", 1, 1), 1);
    if (!strstr(said, "stopped after step 1"))
        fail_msg("%s", said);
    assert_null(strstr(strstr(said, "stopped after") + 1, "stopped after"));      /* rank 0 says it for all */
    assert_int_equal(start(2, "muon.yaml", "elastic", 1, 1), 1);
    assert_non_null(strstr(said, "stopped after step 2"));
    assert_int_equal(start(1, "muon.yaml", "elastic", 2, 0), 0);
    assert_string_equal(digest("alone-muon.yaml"), digest("elastic"));
}

/* A step of garbage leads back to the checkpoint of step 46: one process; two; two that are stopped after each step, then one. */
static void ranks_go_back_together(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    write_config("back.yaml", DENSE, "steps: 54, precision: fp32, on_spike: rollback, keep: 40, schedule: constant");
    if (start_with(1, "back.yaml", "back-1", 1, 0, "47") || start_with(2, "back.yaml", "back-2", 1, 0, "47"))
        fail_msg("%s", said);
    assert_string_equal(digest("back-1"), digest("back-2"));
    char command[900];
    snprintf(command, sizeof command, "cd %s && grep -q 'rolled back' back-1/metrics.jsonl && mkdir -p back-3/checkpoints && cp -r back-1/checkpoints/step-0000000044 back-3/checkpoints && "
             "printf step-0000000044 > back-3/checkpoints/latest", test_dir);
    assert_int_equal(shell(command, NULL), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(start_with(2, "back.yaml", "back-3", 1, 1, "47"), 1);
        assert_non_null(strstr(said, "stopped after step"));
    }
    if (start_with(1, "back.yaml", "back-3", 1, 0, "47"))
        fail_msg("%s", said);
    assert_string_equal(digest("back-1"), digest("back-3"));
}

/* A bit of rank 1's weights flips before step 4: rank 0 tells whose it was, and the run ends as if it had not. */
static void the_rank_whose_memory_failed_is_named(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    write_config("flips.yaml", DENSE, "steps: 6, precision: fp32, accumulate: 2, verify_every: 1000");
    if (start_with(2, "flips.yaml", "flips", 1, 0, "w3"))
        fail_msg("%s", said);
    assert_string_equal(digest("alone-dense.yaml"), digest("flips"));
    char command[300];
    snprintf(command, sizeof command, "grep -E '\"cause\":\"hardware\".*altered in memory.*\"where\":\"rank 1 of 2 [^\"]*: ' %s/metrics.jsonl", in_dir("flips"));
    if (shell(command, NULL))
        fail_msg("rank 1 is not named");
}

static void ranks_that_do_not_agree_are_told_which_and_in_what(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    write_config("seed.yaml", MOE, "steps: 6, precision: bf16, seed: 9");
    write_config("more.yaml", MODEL("num_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 48, router_aux_loss_coef: 0.01, router_z_loss_coef: 0.001, norm_topk_prob: true"), "steps: 6, precision: bf16");
    write_config("waits.yaml", MOE, "steps: 6, precision: bf16, overlap: false");
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("moe.yaml"), 1 << 16, &b, &err));
    char text[1600], command[1600];
    const char *at = strstr(b.data, "text.txt");
    snprintf(text, sizeof text, "%.*sother.txt%s", (int)(at - b.data), b.data, at + 8);
    buf_release(&b);
    write_text("text.yaml", text);
    static const struct { const char *first, *second, *says; } cases[] = {
        { "moe.yaml", "seed.yaml", "has train." }, { "moe.yaml", "waits.yaml", "has train.overlap false, rank 0 has it not" }, { "waits.yaml", "moe.yaml", "has train.overlap not, rank 0 has false" },
        { "moe.yaml", "more.yaml", "has settings with SHA-256" }, { "moe.yaml", "text.yaml", "has a data/train.tok with SHA-256" },
        { "moe.yaml", "moe-divided.yaml", "has train.sample_every 3, rank 0 has it not" }
    };
    for (int i = 0; i < 6; i++) {                /* each with a folder of its own, as on two machines */
        snprintf(command, sizeof command, MPIRUN "-n 1 %s %s %s 1 0 : -n 1 %s %s %s 1 0 2>&1", program, in_dir(cases[i].first), in_dir("agree-0"), program, in_dir(cases[i].second),
                 in_dir("agree-1"));
        assert_true(shell(command, NULL) != 0);
        if (!strstr(said, "rank 1 of 2 (") || !strstr(said, cases[i].says))
            fail_msg("%s", said);
    }
    snprintf(command, sizeof command, MPIRUN "-n 1 %s %s %s 1 0 : -n 1 -x LATHE_CPU=ref %s %s %s 1 0 2>&1", program, in_dir("moe.yaml"), in_dir("agree-0"), program, in_dir("moe.yaml"),
             in_dir("agree-1"));
    assert_true(shell(command, NULL) != 0);
    if (!strstr(said, "processor of level") && !getenv("LATHE_CPU"))
        fail_msg("%s", said);
}

/* Each would fit alone: of 65 % of what is free, once and twice. */
static void ranks_on_one_machine_share_its_memory(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    double windows = 600000;                         /* fit nowhere, and tell what one takes */
    for (int i = 0; i < 2; i++) {
        char text[900];
        snprintf(text, sizeof text, "model: {hidden_size: 512, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 2048, norm: rmsnorm, act: swiglu, pos: rope}\n"
                 "data: {train: %s, valid_share: 0.1, tokenizer: bytes}\ntrain: {batch: %.0f, ctx: 24, slices: 2, recompute: none, save: wait}\n", in_dir("text.txt"), windows);
        write_text("large.yaml", text);
        if (i)
            break;
        struct train_result r;
        const struct train_opts o = { .config = in_dir("large.yaml"), .out = in_dir("large"), .n_thread = 1, .dry_run = true, .fail_step = -1 };
        assert_int_equal(train_run(&o, &r, &err), ERR_NOMEM);
        windows = 2 * floor(windows * 0.65 * (double)mem_available() / (double)r.planned_bytes / 2);
    }
    assert_true(start(2, "large.yaml", "large", 1, 1) != 0);
    if (!strstr(said, "for this one of 2 processes on this machine"))
        fail_msg("%s", said);
}

static void more_ranks_than_slices_are_refused(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    write_config("two.yaml", MOE, "steps: 6, precision: bf16, slices: 2");
    assert_true(start(4, "two.yaml", "two", 1, 0) != 0);
    assert_non_null(strstr(said, "there are 4 processes, but train.slices is 2"));
}

/* Ranks on hosts that do not see each other's files: one folder each, the same text. */
static void ranks_need_no_common_folder(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    char command[1600];
    snprintf(command, sizeof command, MPIRUN "-n 1 %s %s %s 1 0 : -n 1 %s %s %s 1 0 2>&1", program, in_dir("moe.yaml"), in_dir("host-0"), program, in_dir("moe.yaml"), in_dir("host-1"));
    if (shell(command, NULL))
        fail_msg("%s", said);
    assert_string_equal(digest("alone-moe.yaml"), digest("host-0"));
    assert_false(file_exists(in_dir("host-1/model.safetensors")));
}

/* One of four is killed in mid-run: the others end, by its name, and the run goes on to the same weights.  Mostly amid rows for experts, and amid sums within layers. */
static void kill_one(const char *out, const char *model, const char *more, int n_after)
{
    char command[1200], train[120];
    snprintf(train, sizeof train, "steps: 4000, precision: bf16, keep: 1%s", more);
    write_config("long.yaml", model, train);
    snprintf(command, sizeof command,
             "(" MPIRUN "-n 4 %s %s %s 1 0 2>&1; echo status $?; date +ended:%%s) & cd %s; "
             "for i in $(seq 200); do [ -e %s/checkpoints/latest ] && break; sleep 0.1; done; date +killed:%%s; kill -9 $(cat %s.2.pid); wait",
             program, in_dir("long.yaml"), in_dir(out), test_dir, out, out);
    shell(command, NULL);
    const char *killed = strstr(said, "killed:"), *ended = strstr(said, "ended:");
    assert_non_null(killed);
    assert_non_null(ended);
    if (atol(ended + 6) - atol(killed + 7) > 10 || !strstr(said, " of 4 (") || !strstr(said, "ended without a word") || strstr(said, "status 0"))
        fail_msg("%s", said);
    assert_int_equal(start(n_after, "long.yaml", out, 1, 1), 1);
    if (!strstr(said, "stopped after step"))
        fail_msg("%s", said);
}

static void a_killed_rank_ends_the_others_and_the_run_goes_on(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    kill_one("long", MOE, ", expert_parallel: true", 2);
    kill_one("long-divided", WIDE, ", tensor_parallel: 4", 4);
}

/* ---- layers divided over ranks ---- */

#define TENSOR_STEPS 10

/* By norm, of the tensor that differs most: two files of the same tensors. */
static double difference(const char *one, const char *other)
{
    struct safetensors *a, *b;
    double worst = 0;
    OK(safetensors_open(&a, in_dir(one), &err));
    OK(safetensors_open(&b, in_dir(other), &err));
    assert_int_equal(a->n_tensor, b->n_tensor);
    for (int i = 0; i < a->n_tensor; i++) {
        const struct st_tensor *t = &a->tensor[i], *u = safetensors_find(b, t->name);
        assert_true(u && u->n == t->n);
        float *x = mem_alloc_array((size_t)t->n, sizeof *x), *y = mem_alloc_array((size_t)t->n, sizeof *y);
        OK(st_read_f32(t, 0, t->n, x, &err));
        OK(st_read_f32(u, 0, t->n, y, &err));
        double diff = 0, norm = 0;
        for (int64_t k = 0; k < t->n; k++)
            diff += ((double)x[k] - (double)y[k]) * ((double)x[k] - (double)y[k]), norm += (double)x[k] * (double)x[k];
        assert_true(isfinite(diff) && norm > 0);
        worst = fmax(worst, sqrt(diff / norm));
        mem_free(x);
        mem_free(y);
    }
    safetensors_free(a);
    safetensors_free(b);
    return worst;
}

static void read_losses(const char *out, double loss[TENSOR_STEPS])
{
    struct buf b;
    char path[240];
    buf_init(&b);
    snprintf(path, sizeof path, "%s/metrics.jsonl", in_dir(out));
    OK(file_read(path, 1 << 20, &b, &err));
    const char *at = b.data;
    for (int i = 0; i < TENSOR_STEPS; i++) {
        assert_non_null(at = strstr(at, "\"loss\":"));
        loss[i] = atof(at += 7);
    }
    buf_release(&b);
}

static void same_losses(const char *out)
{
    double want[TENSOR_STEPS], got[TENSOR_STEPS];
    read_losses("one", want);
    read_losses(out, got);
    for (int i = 0; i < TENSOR_STEPS; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-5 * want[i]))
            fail_msg("%s: loss of step %d is %.9g, expected %.9g", out, i + 1, got[i], want[i]);
}

static void copy_folder(const char *from, const char *to)
{
    char command[600];
    snprintf(command, sizeof command, "cp -r %s %s", in_dir(from), in_dir(to));
    assert_int_equal(system(command), 0);
}

static int alone(const char *config, const char *out, bool stops)
{
    struct train_result r;
    volatile sig_atomic_t now = stops;
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = 1, .stop = &now, .fail_step = -1 };
    return train_run(&o, &r, &err);
}

static void go_on(int n, const char *config, const char *out)
{
    if (start(n, config, out, 1, 0))
        fail_msg("%s on %d ranks: %s", config, n, said);
    same_losses(out);
}

/* Also from one's checkpoint to two's, and back. */
static void layers_divided_over_ranks_learn_the_same(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    write_config("1.yaml", WIDE, "steps: 10, precision: fp32, eps: 1e-3, ema: 0.8");
    write_config("2.yaml", WIDE, "steps: 10, precision: fp32, eps: 1e-3, ema: 0.8, tensor_parallel: 2");
    write_config("4.yaml", WIDE, "steps: 10, precision: fp32, eps: 1e-3, ema: 0.8, tensor_parallel: 4");
    assert_int_equal(alone("1.yaml", "one", true), ERR_STOPPED);
    assert_int_equal(start(2, "2.yaml", "two", 1, 1), 1);
    if (!strstr(said, "stopped after step 1"))
        fail_msg("%s", said);
    const double moments = difference("one/checkpoints/step-0000000001/optimizer.safetensors", "two/checkpoints/step-0000000001/optimizer.safetensors");
    const double weights = difference("one/checkpoints/step-0000000001/model.safetensors", "two/checkpoints/step-0000000001/model.safetensors");
    if (!(moments <= 1e-5) || !(weights <= 1e-5))
        fail_msg("after the first step gradients differ by %g, weights by %g", moments, weights);
    copy_folder("one", "one-on-two");
    copy_folder("two", "two-on-one");
    OK(alone("1.yaml", "one", false));
    OK(alone("1.yaml", "two-on-one", false));
    same_losses("two-on-one");
    go_on(2, "2.yaml", "two");
    go_on(2, "2.yaml", "one-on-two");
    go_on(4, "4.yaml", "four");
    go_on(4, "2.yaml", "two-twice");
    assert_string_equal(digest("two"), digest("two-twice"));       /* two copies change no bit */
    assert_string_equal(digest_of("two/checkpoints/step-0000000010", "optimizer"), digest_of("two-twice/checkpoints/step-0000000010", "optimizer"));      /* nor one that weights round away */
}

static void what_cannot_be_divided_is_refused(void **state)
{
    (void)state;
    static const struct { const char *model, *train, *says; int code; } cases[] = {
        { WIDE, "", "there is 1 process, but train.tensor_parallel is 2", ERR_USAGE },
        { WIDE, ", optimizer: muon", "train.tensor_parallel with train.optimizer: muon is not implemented", ERR_UNSUPPORTED },
        { WIDE, ", sample_every: 2", "with train.sample_every is not", ERR_UNSUPPORTED },
        { MOE, "", "not implemented for a model with experts", ERR_UNSUPPORTED },
        { MODEL("intermediate_size: 96, qk_norm: full"), "", "a norm over the queries of all heads", ERR_UNSUPPORTED },
        { MODEL("intermediate_size: 97"), "", "4 heads, 2 heads of keys and values and 97 numbers inside its MLP; expected multiples of 2", ERR_USAGE },
    };
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "steps: 4, tensor_parallel: 2%s", cases[i].train);
        write_config("refused.yaml", cases[i].model, text);
        assert_int_equal(alone("refused.yaml", "refused", false), cases[i].code);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s", err.msg);
    }
    write_config("refused.yaml", WIDE, "steps: 4, tensor_parallel: 3");
    assert_int_equal(alone("refused.yaml", "refused", false), ERR_USAGE);
    assert_non_null(strstr(err.msg, "train.tensor_parallel is 3, expected a power of two"));
}

/* ---- checkpoints of parts, without ranks ---- */

enum { N_PART = 2 };
struct holders { const struct weights_list *l; struct decoder d[N_PART]; struct decoder_parts parts; int n_call, fail_at; };

static struct weight_held held_by(const struct holders *h, int i, int p) { return weight_held(h->l, &h->l->weight[i], &h->d[p].division); }

static int collect(void *ctx, int i_weight, int tensor, struct err *e)
{
    struct holders *h = ctx;
    if (h->n_call++ == h->fail_at)
        return ERR(e, STOPPED, "rank 1 is gone");
    for (int p = 0; p < N_PART; p++) {
        const struct weight_held held = held_by(h, i_weight, p);
        weight_put(&held, h->d[p].g->tensor[tensor].data, h->parts.whole, sizeof(float));
    }
    return 0;
}

static int give(void *ctx, int i_weight, int tensor, struct err *e)
{
    struct holders *h = ctx;
    (void)e;
    for (int p = 0; p < N_PART; p++) {
        const struct weight_held held = held_by(h, i_weight, p);
        weight_take(&held, h->parts.whole, h->d[p].g->tensor[tensor].data, sizeof(float));
    }
    return 0;
}

static void open_decoder(struct decoder *d, const struct config *c, struct division division, struct pool *pool)
{
    OK(decoder_record(d, c, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = DT_F32, .division = division }, &err));
    OK(decoder_plan(d, 8, 8, 1, NULL, &err));
    OK(decoder_bind(d, pool, NULL, &err));
}

static void a_checkpoint_of_parts_is_that_of_the_whole(void **state)
{
    (void)state;
    static const char text[] = "{\"model_type\":\"gpt2\",\"vocab_size\":71,\"n_embd\":24,\"n_layer\":2,\"n_head\":4,\"n_positions\":16}";
    struct config c;
    struct weights_list *l;
    struct decoder whole;
    struct pool *pool;
    struct buf passed;
    struct holders h = { .fail_at = -1 };
    static struct train_state s, found;
    buf_init(&passed);
    OK(pool_new(&pool, 1, &err));
    OK(config_parse(&c, text, sizeof text - 1, "config.json", NULL, &err));
    OK(weights_list_new(&l, &c, &err));
    h.l = l;
    doctor_init(&s.doctor);
    s.step = 1;
    open_decoder(&whole, &c, (struct division){ 0 }, pool);
    decoder_init_weights(&whole, l, 5);
    size_t largest = 0;
    for (int i = 0; i < l->n_weight; i++)
        largest = (size_t)l->weight[i].n > largest ? (size_t)l->weight[i].n : largest;
    h.parts = (struct decoder_parts){ .ctx = &h, .whole = mem_alloc_array(largest, sizeof(float)), .collect = collect, .give = give };
    for (int p = 0; p < N_PART; p++) {
        open_decoder(&h.d[p], &c, (struct division){ .by = DIVIDE_LAYERS, .n = N_PART, .i = p }, pool);
        decoder_init_weights(&h.d[p], l, 5);
        for (int i = 0; i < l->n_weight; i++) {          /* the same function of (seed, name, element) as in the whole */
            const struct weight_held held = held_by(&h, i, p);
            for (int64_t k = 0; k < held.n; k++)
                assert_true(decoder_weight(&h.d[p], i)[k] == decoder_weight(&whole, i)[weight_whole(&held, k)]);
        }
    }
    for (int i = 0; i < whole.g->n_tensor; i++)              /* moments, of which both have what is theirs */
        for (int k = 0; k < 2; k++) {
            const int id = whole.g->tensor[i].moment[k];
            for (int64_t e = 0; id >= 0 && e < l->weight[i].n; e++)
                ((float *)whole.g->tensor[id].data)[e] = (float)rng_normal((uint64_t)id, (uint64_t)e);
            if (id >= 0) {
                memcpy(h.parts.whole, whole.g->tensor[id].data, (size_t)l->weight[i].n * sizeof(float));
                OK(give(&h, i, id, &err));
            }
        }
    h.d[0].parts = &h.parts;
    OK(checkpoint_save(in_dir("of-whole"), &whole, l, NULL, &s, 1, 0, &err));
    OK(checkpoint_save(in_dir("of-parts"), &h.d[0], l, NULL, &s, 1, 0, &err));
    char command[600];
    snprintf(command, sizeof command, "diff -r %s %s/of-parts", in_dir("of-whole"), test_dir);
    assert_int_equal(system(command), 0);
    for (int p = 0; p < N_PART; p++)
        for (int k = 0; k < 2; k++) {
            const enum tensor_kind kind = k ? TENSOR_MOMENT : TENSOR_WEIGHT;
            memset(h.d[p].g->block[kind], 0, h.d[p].g->plan.bytes[kind]);
        }
    OK(checkpoint_load(in_dir("of-parts"), CHECKPOINT_LATEST, &h.d[0], l, &found, &passed, &err));
    assert_int_equal(found.step, 1);
    h.fail_at = h.n_call + 5;                            /* a weight cannot be had: nothing new is named */
    s.step = 2;
    assert_int_equal(checkpoint_save(in_dir("of-parts"), &h.d[0], l, NULL, &s, 1, 0, &err), ERR_STOPPED);
    assert_string_equal(err.msg, "rank 1 is gone");
    s.step = 1;
    OK(checkpoint_save(in_dir("of-parts"), &h.d[0], l, NULL, &s, 1, 0, &err));      /* what was loaded, written once more */
    assert_int_equal(system(command), 0);
    mem_free(h.parts.whole);
    for (int p = 0; p < N_PART; p++)
        decoder_release(&h.d[p]);
    decoder_release(&whole);
    weights_list_free(l);
    pool_free(pool);
    buf_release(&passed);
}

/* ---- two hosts: network namespaces, joined by a pair of interfaces ---- */

static int agent(const char *how) { char c[400]; snprintf(c, sizeof c, "%s/hosts %s %s 2>&1", test_dir, how, test_dir); return shell(c, NULL); }

/* hosts up|down|run: and, as mpirun's remote shell, hosts 10.213.7.2 COMMAND. */
static void write_hosts(void)
{
    static const char script[] =
        "#!/bin/sh\n"
        "a=lathe-a-PID b=lathe-b-PID\n"
        "inside() { ns=$1; shift; exec ip netns exec $ns unshare -u sh -c \"hostname $ns; $*\"; }\n"
        "case $1 in\n"
        "up) ip netns add $a && ip netns add $b && ip link add e-a netns $a type veth peer name e-b netns $b &&\n"
        "    ip -n $a addr add 10.213.7.1/24 dev e-a && ip -n $b addr add 10.213.7.2/24 dev e-b && ip -n $a link set e-a up && ip -n $b link set e-b up &&\n"
        "    ip -n $a link set lo up && ip -n $b link set lo up && unshare -u true ;;\n"
        "down) for ns in $a $b; do kill -9 $(ip netns pids $ns) 2> /dev/null; ip netns del $ns 2> /dev/null; done; true ;;\n"
        "run) shift; inside $a \"timeout 60 mpirun --allow-run-as-root --mca plm_rsh_agent $0 --mca btl tcp,self --mca pml ob1 --host 10.213.7.1:1,10.213.7.2:1 -n 2 $*\" ;;\n"
        "10.213.7.2) shift; inside $b \"$*\" ;;\n"
        "esac\n";
    char text[2000], pid[20];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    char *to = text;
    for (const char *p = script; *p;)
        if (!strncmp(p, "PID", 3))
            to += sprintf(to, "%s", pid), p += 3;
        else
            *to++ = *p++;
    *to = 0;
    write_text("hosts", text);
    assert_int_equal(chmod(in_dir("hosts"), 0755), 0);
}

static void two_hosts_over_tcp_give_the_same_weights_and_notice_a_lost_one(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    write_hosts();
    if (agent("up")) {
        fprintf(stderr, "network namespaces cannot be made here: skipped\n");
        agent("down");
        skip();
    }
    char command[1400];
    snprintf(command, sizeof command, "%s run %s %s %s 1 0 2>&1", in_dir("hosts"), program, in_dir("moe.yaml"), in_dir("tcp"));
    const int rc = shell(command, NULL);
    char first[2000];
    snprintf(first, sizeof first, "%.1999s", said);
    write_config("longer.yaml", MOE, "steps: 400000, precision: bf16, keep: 1");
    snprintf(command, sizeof command,
             "(%s run %s %s %s 1 0 2>&1; date +ended:%%s) & cd %s; for i in $(seq 200); do [ -e tcp-long/checkpoints/latest ] && break; sleep 0.1; done; "
             "date +killed:%%s; kill -9 $(cat tcp-long.1.pid); wait", in_dir("hosts"), program, in_dir("longer.yaml"), in_dir("tcp-long"), test_dir);
    shell(command, NULL);
    const char *killed = strstr(said, "killed:"), *ended = strstr(said, "ended:");
    const bool named = strstr(said, "rank 1 of 2 (lathe-b-"), soon = killed && ended && atol(ended + 6) - atol(killed + 7) <= 10;
    char second[2000];
    snprintf(second, sizeof second, "%.1999s", said);
    agent("down");
    if (rc)
        fail_msg("%s", first);
    assert_string_equal(digest("alone-moe.yaml"), digest("tcp"));
    if (!named || !soon)
        fail_msg("%s", second);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 5 || argc == 6)
        return be_a_rank(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_and_threads_gives_the_same_weights),
        cmocka_unit_test(metrics_are_the_same),
        cmocka_unit_test(what_is_recomputed_is_chosen_on_several_ranks),
        cmocka_unit_test(divided_experts_give_the_same_weights),
        cmocka_unit_test(experts_may_be_divided_and_joined_on_the_way),
        cmocka_unit_test(experts_that_do_not_come_out_even_are_refused),
        cmocka_unit_test(a_run_may_change_its_number_of_ranks_on_the_way),
        cmocka_unit_test(ranks_go_back_together),
        cmocka_unit_test(the_rank_whose_memory_failed_is_named),
        cmocka_unit_test(ranks_that_do_not_agree_are_told_which_and_in_what),
        cmocka_unit_test(more_ranks_than_slices_are_refused),
        cmocka_unit_test(ranks_on_one_machine_share_its_memory),
        cmocka_unit_test(ranks_need_no_common_folder),
        cmocka_unit_test(layers_divided_over_ranks_learn_the_same),
        cmocka_unit_test(what_cannot_be_divided_is_refused),
        cmocka_unit_test(a_checkpoint_of_parts_is_that_of_the_whole),
        cmocka_unit_test(two_hosts_over_tcp_give_the_same_weights_and_notice_a_lost_one),
        cmocka_unit_test(a_killed_rank_ends_the_others_and_the_run_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
