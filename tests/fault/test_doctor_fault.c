/* test_doctor_fault.c - faults of the kinds that a run can meet, one at a time: does the doctor name the sample, or say that it was
 * the machine, a kernel or the learning rate?
 *
 *   test_doctor_fault              a fault or two of each kind that cannot be missed, held to its verdict
 *   test_doctor_fault table N SEED [KEYS]      N faults drawn at random, the table of what was said of them; KEYS go into section train;
 *                                              "without effect": of those with nothing said
 *   test_doctor_fault healthy N STEPS SEED TEXT [KEYS]      N runs without a fault, dense, mixtures and adapters in turn: what was said
 *
 * A small model is trained once; each fault hits a step some way after its checkpoint. */
#include <math.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "train/fault.h"
#include "train/loop.h"

#define BASE_STEPS 160                 /* and save_every, unless keys say another */
#define STEPS 190

static struct err err;
static const char *more = "";

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

static void write_config(const char *name, double lr, const char *precision, const char *keys)
{
    char text[1200];
    snprintf(text, sizeof text,
             "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope}\n"
             "data: {train: %s, valid_share: 0, tokenizer: bpe, vocab_size: 300}\n"
             "train: {steps: %d, batch: 8, ctx: 32, lr: %g, warmup: 20, schedule: constant, %seval_every: 0, precision: %s%s%s}\n",
             in_dir("text.txt"), STEPS, lr, strstr(keys, "save_every") ? "" : "save_every: 160, ", precision, keys, more);
    OK(file_write_all(in_dir(name), text, strlen(text), &err));
}

static volatile sig_atomic_t stop;               /* after the step */

static int train(const char *config, const char *out, struct fault *f)
{
    struct train_result r;
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = 1, .stop = &stop, .fail_step = -1, .fault = f };
    err_clear(&err);
    return train_run(&o, &r, &err);
}

/* OUT becomes a run that goes on from the base's checkpoint. */
static void begin_from(const char *base, const char *out)
{
    char link[300], target[300], name[64];
    snprintf(name, sizeof name, "step-%010d", BASE_STEPS);
    snprintf(link, sizeof link, "%s/checkpoints", in_dir(out));
    OK(file_remove_tree(in_dir(out), &err));
    OK(file_mkdirs(link, &err));
    snprintf(target, sizeof target, "%s/checkpoints/%s", in_dir(base), name);
    assert_int_equal(symlink(target, path_in(link, name)), 0);
    OK(file_write_all(path_in(link, "latest"), name, strlen(name), &err));
}

/* With one fault. */
static int run_with(const char *base, const char *config, const char *out, struct fault *f)
{
    begin_from(base, out);
    return train(config, out, f);
}

/* ---- what was said ---- */

enum said { SAID_SAMPLE, SAID_OTHER_SAMPLE, SAID_HARDWARE, SAID_KERNEL, SAID_LR, SAID_NOTHING, N_SAID };
static const char *const said_word[N_SAID] = { "its sample", "another sample", "hardware", "kernel", "lr/state", "nothing" };

static bool names_sample(const json_t *event, const struct fault *f)
{
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(event, "samples"), i, s)
        if (json_integer_value(json_object_get(s, "window")) == f->row)
            return true;
    return false;
}

/* Of the step that was hit; *n_other: alarms at other steps. */
static enum said what_was_said(const char *out, const struct fault *f, int *n_other)
{
    struct buf b;
    buf_init(&b);
    char path[300];
    snprintf(path, sizeof path, "%s/metrics.jsonl", in_dir(out));
    OK(file_read(path, 1 << 24, &b, &err));
    enum said said = SAID_NOTHING;
    for (char *at = b.data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o;
        OK(tree_parse_json(&o, at, (size_t)(end - at), path, &err));
        const char *event = json_string_value(json_object_get(o, "event")), *cause = json_string_value(json_object_get(o, "cause"));
        const int64_t after = json_integer_value(json_object_get(o, "step")) - 1 - f->step;
        if (event && cause && !strcmp(event, "spike") && after >= 0 && after < 2) {       /* a weight shows a step later */
            if (said == SAID_NOTHING)
                said = !strcmp(cause, "hardware") ? SAID_HARDWARE : !strcmp(cause, "kernel") ? SAID_KERNEL : !strcmp(cause, "state") ? SAID_LR :
                       names_sample(o, f) ? SAID_SAMPLE : SAID_OTHER_SAMPLE;
        } else if (event && !strcmp(event, "spike")) {
            ++*n_other;
        } else if (event && (!strcmp(event, "loss rises") || !strcmp(event, "diverges") || !strcmp(event, "overshoots"))) {
            said = SAID_LR;
        }
        json_decref(o);
    }
    buf_release(&b);
    return said;
}

/* Of steps from..STEPS: the losses that metrics.jsonl has, NAN for others. */
static void read_losses(const char *out, double loss[STEPS])
{
    struct buf b;
    buf_init(&b);
    OK(file_read(path_in(in_dir(out), "metrics.jsonl"), 1 << 24, &b, &err));
    for (int i = 0; i < STEPS; i++)
        loss[i] = NAN;
    for (char *at = b.data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o;
        OK(tree_parse_json(&o, at, (size_t)(end - at), out, &err));
        const int64_t step = json_integer_value(json_object_get(o, "step"));
        if (!json_object_get(o, "event") && json_object_get(o, "grad_norm") && step >= 1 && step <= STEPS)
            loss[step - 1] = json_number_value(json_object_get(o, "loss"));
        json_decref(o);
    }
    buf_release(&b);
}

/* Did the fault do anything?  It did not when no loss, from its step to the end, is more than a fiftieth of the usual distance between
 * two steps' losses from that of the undisturbed run. */
static bool had_effect(const char *out, const char *base)
{
    double a[STEPS], b[STEPS], usual = 0, most = 0;
    read_losses(out, a), read_losses(base, b);
    for (int i = BASE_STEPS; i < STEPS; i++) {
        usual += fabs(b[i] - b[i - 1]) / (STEPS - BASE_STEPS);
        most = isnan(a[i]) ? INFINITY : fmax(most, fabs(a[i] - b[i]));
    }
    return most > usual / 50;
}

static void make_bases(void)
{
    write_corpus("text.txt", 20000, 1);
    write_config("fp32.yaml", 3e-3, "fp32", "");
    write_config("bf16.yaml", 3e-3, "bf16", "");
    OK(train("fp32.yaml", "base-fp32", NULL));
    OK(train("bf16.yaml", "base-bf16", NULL));
}

/* ---- the table ---- */

static int table(int n, uint64_t seed)
{
    int count[N_FAULT_KIND + 1][N_SAID] = { 0 }, right = 0, seen = 0, other = 0, other_lr = 0, harmless[N_FAULT_KIND + 1] = { 0 }, n_harmless = 0;
    for (int i = 0; i < n; i++) {
        const int kind = 1 + (int)rng_below(seed, (uint64_t)(10 * i), N_FAULT_KIND);      /* N_FAULT_KIND: the learning rate */
        const bool half = rng_below(seed, (uint64_t)(10 * i + 1), 2);
        struct fault f = { .kind = kind == N_FAULT_KIND ? FAULT_NONE : (enum fault_kind)kind, .step = BASE_STEPS + 2 + (int64_t)rng_below(seed, (uint64_t)(10 * i + 2), 20),
                           .seed = rng_u64(seed, (uint64_t)(10 * i + 3)) };
        int rc;
        if (kind == N_FAULT_KIND) {
            write_config("lr.yaml", 3e-3 * 50 * pow(20, rng_uniform(seed, (uint64_t)(10 * i + 4))), half ? "bf16" : "fp32", "");
            OK(file_remove_tree(in_dir("out"), &err));
            rc = train("lr.yaml", "out", NULL);
        } else {
            rc = run_with(half ? "base-bf16" : "base-fp32", half ? "bf16.yaml" : "fp32.yaml", "out", &f);
        }
        enum said said = what_was_said("out", &f, kind == N_FAULT_KIND ? &other_lr : &other);
        if (rc < 0 && rc != ERR_NUMERIC)
            fail_msg("%s", err.msg);
        if (rc == ERR_NUMERIC && kind == N_FAULT_KIND)
            said = SAID_LR;
        count[kind][said]++;
        if (said == SAID_NOTHING && kind != N_FAULT_KIND && !had_effect("out", half ? "base-bf16" : "base-fp32"))
            harmless[kind]++, n_harmless++;
        const bool sample = kind <= FAULT_EXTREME, ok = sample ? said == SAID_SAMPLE : kind == N_FAULT_KIND ? said == SAID_LR : said == SAID_HARDWARE || said == SAID_KERNEL;
        right += ok, seen += said != SAID_NOTHING;
    }
    printf("| fault | n |");
    for (int s = 0; s < N_SAID; s++)
        printf(" %s |", said_word[s]);
    printf(" without effect |\n|---|---|---|---|---|---|---|---|---|\n");
    for (int k = 1; k <= N_FAULT_KIND; k++) {
        int sum = 0;
        for (int s = 0; s < N_SAID; s++)
            sum += count[k][s];
        printf("| %s | %d |", k == N_FAULT_KIND ? "learning rate, 50 to 1000 times too high" : fault_name((enum fault_kind)k), sum);
        for (int s = 0; s < N_SAID; s++)
            count[k][s] ? printf(" %d |", count[k][s]) : printf(" |");
        harmless[k] ? printf(" %d |\n", harmless[k]) : printf(" |\n");
    }
    printf("%d of %d named rightly, %d of %d noticed, %d of the others without effect, %d alarms at other steps\n", right, n, seen, n, n_harmless, other);
    return 0;
}

/* ---- healthy runs ---- */

/* Events that metrics.jsonl of a run has; *n_step: of its lines. */
static int count_events(const char *out, int64_t *n_step)
{
    int n = 0;
    struct buf b;
    buf_init(&b);
    OK(file_read(path_in(in_dir(out), "metrics.jsonl"), 1 << 28, &b, &err));
    for (char *at = b.data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o;
        OK(tree_parse_json(&o, at, (size_t)(end - at), out, &err));
        const char *event = json_string_value(json_object_get(o, "event")), *odd = json_string_value(json_object_get(o, "odd")),
                   *cause = json_string_value(json_object_get(o, "cause"));
        if (event && strcmp(event, "skipped") && ++n)
            printf("  step %d: %s %s %s, %+.1f and %+.1f deviations\n", (int)json_integer_value(json_object_get(o, "step")), event, odd ? odd : "", cause ? cause : "",
                   json_number_value(json_object_get(o, "loss_deviations")), json_number_value(json_object_get(o, "norm_deviations")));
        *n_step += json_object_get(o, "grad_norm") && !event;
        json_decref(o);
    }
    buf_release(&b);
    return n;
}

/* Runs of dense models, mixtures and adapters in turn at usual learning rates, on the text that is given. */
static int healthy(int n, int steps, uint64_t seed, const char *text)
{
    static const char *const kind[] = { "dense, fp32", "dense, bf16", "mixture, fp32", "mixture, bf16", "adapters, fp32", "adapters, bf16" };
    int64_t n_step = 0;
    int events = 0;
    write_config("base.yaml", 3e-3, "fp32", "");
    write_corpus("text.txt", 20000, 1);
    OK(train("base.yaml", "base", NULL));
    for (int i = 0; i < n; i++) {
        const int k = i % 6;
        const double lr = (k / 2 == 2 ? 2e-4 : 1e-3) * pow(10, rng_uniform(seed, (uint64_t)(3 * i)));
        const char *rest = k / 2 == 1 ? ", num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 32, norm_topk_prob: true, router_aux_loss_coef: 0.01" : "";
        char model[600], config[1600];
        if (k / 2 == 2)
            snprintf(model, sizeof model, "model: {from: %s}\nlora: {rank: 4}\n", in_dir("base"));
        else
            snprintf(model, sizeof model, "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope%s}\n", rest);
        snprintf(config, sizeof config, "%sdata: {train: %s, valid_share: 0%s}\ntrain: {steps: %d, seed: %d, batch: %d, ctx: 32, lr: %g, warmup: 20, save_every: 0, eval_every: 0, precision: %s%s}\n",
                 model, text, k / 2 == 2 ? "" : ", tokenizer: bpe, vocab_size: 512", steps, i + 1, 4 << rng_below(seed, (uint64_t)(3 * i + 1), 3), lr,
                 k % 2 ? "bf16" : "fp32", more);
        OK(file_write_all(in_dir("healthy.yaml"), config, strlen(config), &err));
        OK(file_remove_tree(in_dir("out"), &err));
        OK(train("healthy.yaml", "out", NULL));
        printf("%s, train.lr %.4f\n", kind[k], lr);
        events += count_events("out", &n_step);
        fflush(stdout);
    }
    printf("%d alarms in %lld steps\n", events, (long long)n_step);
    return 0;
}

/* ---- verdicts that must be so ---- */

static const char *digest(const char *out)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    OK(sha256_of_file(path_in(in_dir(out), "model.safetensors"), hex[i], &err));
    return hex[i];
}

static bool metrics_say(const char *out, const char *what)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(path_in(in_dir(out), "metrics.jsonl"), 1 << 24, &b, &err));
    const bool there = strstr(b.data, what) != NULL;
    buf_release(&b);
    return there;
}

static void samples_are_named(void **state)
{
    (void)state;
    for (int kind = FAULT_MISLABELLED; kind <= FAULT_EXTREME; kind++)
        for (uint64_t seed = 0; seed < 2; seed++) {
            struct fault f = { .kind = (enum fault_kind)kind, .step = BASE_STEPS + 5, .seed = seed };
            int other = 0;
            OK(run_with("base-fp32", "fp32.yaml", "out", &f));
            if (what_was_said("out", &f, &other) != SAID_SAMPLE || other)
                fail_msg("%s, seed %d: not named, or %d other alarms", fault_name(f.kind), (int)seed, other);
            assert_true(metrics_say("out", "\"text\":\""));
        }
}

/* What happens once is undone: the run ends with the weights of the undisturbed one. */
static void what_the_machine_did_wrong_is_undone(void **state)
{
    (void)state;
    write_config("twice.yaml", 3e-3, "fp32", ", verify_every: 1");
    int n_said = 0;
    for (int kind = FAULT_ACTIVATION; kind <= FAULT_WEIGHT; kind++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct fault f = { .kind = (enum fault_kind)kind, .step = BASE_STEPS + 3, .seed = seed };
            int other = 0;
            OK(run_with("base-fp32", "twice.yaml", "out", &f));
            const enum said said = what_was_said("out", &f, &other);
            assert_true(said == SAID_HARDWARE || said == SAID_NOTHING);
            n_said += said == SAID_HARDWARE;
            assert_int_equal(other, 0);
            assert_string_equal(digest("base-fp32"), digest("out"));
        }
    assert_true(n_said >= 6);                        /* the others changed no gradient */
}

static void a_kernel_that_is_wrong_each_time_is_said_to_be(void **state)
{
    (void)state;
    if (!cpu_levels()[1])
        skip();
    struct fault f = { .kind = FAULT_KERNEL, .step = BASE_STEPS + 3, .seed = 4 };
    int other = 0;
    OK(run_with("base-fp32", "twice.yaml", "out", &f));
    assert_int_equal(what_was_said("out", &f, &other), SAID_KERNEL);
    assert_true(metrics_say("out", "LATHE_CPU="));
    assert_int_equal(other, 0);
}

static const char *program;

/* Another process's: there are no kernels below those of level ref.  0: all is said as it should be. */
static int plain_loops(const char *dir)
{
    struct fault f = { .kind = FAULT_KERNEL, .step = BASE_STEPS + 3, .seed = 4 }, g = f;
    snprintf(test_dir, sizeof test_dir, "%s", dir);
    if (run_with("base-fp32", "twice.yaml", "out", &f) != ERR_NUMERIC || !strstr(err.msg, "no level of kernels is right here"))
        return fprintf(stderr, "the run did not end as it should: %s\n", err.msg), 1;
    if (run_with("base-none", "twice-none.yaml", "out", &g) || !metrics_say("out", "\"cause\":\"kernel\"") || metrics_say("out", "\"event\":\"skipped\""))
        return fprintf(stderr, "on_spike: none did not apply the step: %s\n", err.msg), 1;
    return 0;
}

static void wrong_kernels_without_others_to_take_end_the_run(void **state)
{
    (void)state;
    char command[600];
    write_config("none.yaml", 3e-3, "fp32", ", on_spike: none");
    write_config("twice-none.yaml", 3e-3, "fp32", ", on_spike: none, verify_every: 1");
    OK(train("none.yaml", "base-none", NULL));
    snprintf(command, sizeof command, "LATHE_CPU=ref %s plain %s", program, test_dir);
    assert_int_equal(system(command), 0);
}

/* Memory is looked at in every step, whenever a step is computed twice. */
static void what_memory_lost_is_found_between_verified_steps(void **state)
{
    (void)state;
    write_config("tenth.yaml", 3e-3, "fp32", ", verify_every: 1000");
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct fault f = { .kind = FAULT_WEIGHT, .step = BASE_STEPS + 3 + (int64_t)seed, .seed = seed };
        int other = 0;
        OK(run_with("base-fp32", "tenth.yaml", "out", &f));
        assert_int_equal(what_was_said("out", &f, &other), SAID_HARDWARE);
        assert_int_equal(other, 0);
        assert_string_equal(digest("base-fp32"), digest("out"));
    }
}

/* Of which the learning rate is not accused. */
static void memory_that_fails_again_and_again_ends_the_run(void **state)
{
    (void)state;
    struct fault f = { .kind = FAULT_WEIGHT, .step = BASE_STEPS + 3, .seed = 1, .times = 5 };
    OK(run_with("base-fp32", "tenth.yaml", "out", &f));
    assert_string_equal(digest("base-fp32"), digest("out"));
    assert_true(metrics_say("out", "\"rollbacks\":5"));
    f = (struct fault){ .kind = FAULT_WEIGHT, .step = BASE_STEPS + 3, .seed = 1, .times = 6 };
    assert_int_equal(run_with("base-fp32", "tenth.yaml", "out", &f), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "went back 5 times since it was started because memory was altered"));
    OK(train("tenth.yaml", "out", NULL));
    assert_string_equal(digest("base-fp32"), digest("out"));
}

/* A packed weight is mended; the data of the step is no better for it. */
static void a_step_that_is_mended_and_odd_is_not_applied(void **state)
{
    (void)state;
    struct fault f = { .kind = FAULT_GARBAGE, .step = BASE_STEPS + 5, .seed = 2, .whole_steps = 1, .weight_too = true };
    OK(run_with("base-fp32", "tenth.yaml", "out", &f));
    assert_true(metrics_say("out", "a packed weight was altered in memory") && metrics_say("out", "\"action\":\"examined further\""));
    assert_true(metrics_say("out", "\"event\":\"skipped\",\"because\":\"loss or gradient unlike those before\""));
}

static void policies_skip_go_back_or_stop(void **state)
{
    (void)state;
    struct fault f = { .kind = FAULT_GARBAGE, .step = BASE_STEPS + 5, .seed = 1, .whole_steps = 1 };
    OK(run_with("base-fp32", "fp32.yaml", "out", &f));
    assert_true(metrics_say("out", "\"event\":\"skipped\",\"because\":\"loss or gradient unlike those before\""));
    write_config("stop.yaml", 3e-3, "fp32", ", on_spike: stop");
    OK(train("stop.yaml", "base-stop", NULL));
    assert_int_equal(run_with("base-stop", "stop.yaml", "out", &f), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "on_spike: stop"));
    write_config("back.yaml", 3e-3, "fp32", ", on_spike: rollback");
    OK(train("back.yaml", "base-back", NULL));
    assert_string_equal(digest("base-back"), digest("base-fp32"));
    OK(run_with("base-back", "back.yaml", "out", &f));
    assert_true(metrics_say("out", "\"event\":\"rolled back\",\"from_step\":166,\"other_data\":true"));
    assert_string_not_equal(digest("base-back"), digest("out"));
    OK(run_with("base-none", "none.yaml", "out", &f));
    assert_false(metrics_say("out", "\"event\""));
}

/* metrics.jsonl without what depends on the clock. */
static void read_metrics(const char *out, struct buf *b)
{
    static const char *const timed[] = { "unix_ms", "seconds", "tokens_per_s", "share_of_peak", "peak_bytes" };
    OK(file_read(path_in(in_dir(out), "metrics.jsonl"), 1 << 24, b, &err));
    struct buf lines = *b;
    buf_init(b);
    for (char *at = lines.data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o;
        OK(tree_parse_json(&o, at, (size_t)(end - at), "metrics.jsonl", &err));
        for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
            json_object_del(o, timed[i]);
        char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
        assert_non_null(text);
        OK(buf_printf(b, &err, "%s\n", text));
        mem_free(text);
        json_decref(o);
    }
    buf_release(&lines);
}

static void same_run(const char *a, const char *b)
{
    struct buf x, y;
    buf_init(&x), buf_init(&y);
    assert_string_equal(digest(a), digest(b));
    read_metrics(a, &x), read_metrics(b, &y);
    if (strcmp(x.data, y.data))
        fail_msg("%s and %s tell different stories:\n%s\n---\n%s", a, b, x.data, y.data);
    buf_release(&x), buf_release(&y);
}

/* Three steps of garbage, each of which leads back to the checkpoint of step 160: stopped (and saved) after any step, killed at any
 * moment, with one checkpoint kept, the run ends as one that nobody disturbed. */
static void a_run_that_goes_back_ends_the_same_however_it_is_disturbed(void **state)
{
    (void)state;
    const struct fault f = { .kind = FAULT_GARBAGE, .step = BASE_STEPS + 5, .seed = 1, .whole_steps = 3 };
    struct fault g = f;
    write_config("often.yaml", 3e-3, "fp32", ", on_spike: rollback, save_every: 10, keep: 40");
    write_config("often-1.yaml", 3e-3, "fp32", ", on_spike: rollback, save_every: 10, keep: 1");
    OK(train("often.yaml", "base-often", NULL));
    OK(run_with("base-often", "often.yaml", "calm", &g));
    assert_true(metrics_say("calm", "\"event\":\"rolled back\",\"from_step\":161,\"other_data\":true,\"rollbacks\":3"));
    begin_from("base-often", "stopped");
    stop = 1;
    for (int i = 0; i < 18; i++) {
        g = f;
        assert_int_equal(train("often-1.yaml", "stopped", &g), ERR_STOPPED);
    }
    stop = 0, g = f;
    OK(train("often-1.yaml", "stopped", &g));
    same_run("calm", "stopped");
    begin_from("base-often", "killed");
    const double begin = clock_wall();
    OK(run_with("base-often", "often-1.yaml", "calm-1", &g));
    same_run("calm", "calm-1");
    const double whole = clock_wall() - begin;
    for (int i = 0; i < 8; i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            g = f;
            _exit(train("often-1.yaml", "killed", &g) < 0);
        }
        const double wait = whole * 0.6 * rng_uniform(78, (uint64_t)i);
        nanosleep(&(struct timespec){ (time_t)wait, (long)((wait - floor(wait)) * 1e9) }, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    g = f;
    OK(train("often-1.yaml", "killed", &g));
    same_run("calm", "killed");
}

static void a_learning_rate_that_is_too_high_ends_with_advice(void **state)
{
    (void)state;
    write_config("lr.yaml", 3, "fp32", "");
    assert_int_equal(train("lr.yaml", "lr", NULL), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "the learning rate is too high; try train.lr: 1 instead of 3"));
    assert_true(metrics_say("lr", "\"event\":\"diverges\""));
}

/* Its loss goes down, slowly, and never diverges. */
static void a_learning_rate_that_learns_but_overshoots_is_told(void **state)
{
    (void)state;
    write_config("lr.yaml", 0.15, "fp32", "");
    OK(train("lr.yaml", "lr-slow", NULL));
    assert_true(metrics_say("lr-slow", "\"event\":\"overshoots\""));
    assert_false(metrics_say("base-fp32", "\"event\""));
    assert_false(metrics_say("base-bf16", "\"event\""));
}

/* Judged by the windows of the checkpoint: the step says the same in a run that was never stopped. */
static void a_resumed_run_judges_like_the_undisturbed_one(void **state)
{
    (void)state;
    struct fault f = { .kind = FAULT_GARBAGE, .step = BASE_STEPS, .seed = 3 }, g = f;
    OK(run_with("base-fp32", "fp32.yaml", "out", &f));
    OK(file_remove_tree(in_dir("whole"), &err));
    OK(train("fp32.yaml", "whole", &g));
    assert_string_equal(digest("whole"), digest("out"));
    struct buf a, b;
    buf_init(&a), buf_init(&b);
    OK(file_read(path_in(in_dir("out"), "metrics.jsonl"), 1 << 24, &a, &err));
    OK(file_read(path_in(in_dir("whole"), "metrics.jsonl"), 1 << 24, &b, &err));
    const char *x = strstr(a.data, "{\"step\":161,\"event\":\"spike\""), *y = strstr(b.data, "{\"step\":161,\"event\":\"spike\"");
    assert_true(x && y);
    assert_memory_equal(x, y, strstr(x, "\"unix_ms\"") - x);
    buf_release(&a), buf_release(&b);
}

static int set_up(void **state)
{
    (void)state;
    make_bases();
    return 0;
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && !strcmp(argv[1], "plain")) {
        log_level_set(LOG_QUIET);
        return plain_loops(argv[2]);
    }
    if (make_dir(NULL))
        return 1;
    setenv("XDG_CACHE_HOME", test_dir, 1);
    log_level_set(getenv("DOCTOR_LOG") ? LOG_INFO : LOG_QUIET);
    int rc;
    if (argc >= 4 && !strcmp(argv[1], "table")) {
        more = argc > 4 ? argv[4] : "";
        make_bases();
        rc = table(atoi(argv[2]), strtoull(argv[3], NULL, 10));
    } else if (argc >= 6 && !strcmp(argv[1], "healthy")) {
        more = argc > 6 ? argv[6] : "";
        rc = healthy(atoi(argv[2]), atoi(argv[3]), strtoull(argv[4], NULL, 10), argv[5]);
    } else {
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(samples_are_named),
            cmocka_unit_test(what_the_machine_did_wrong_is_undone),
            cmocka_unit_test(a_kernel_that_is_wrong_each_time_is_said_to_be),
            cmocka_unit_test(wrong_kernels_without_others_to_take_end_the_run),
            cmocka_unit_test(what_memory_lost_is_found_between_verified_steps),
            cmocka_unit_test(memory_that_fails_again_and_again_ends_the_run),
            cmocka_unit_test(a_step_that_is_mended_and_odd_is_not_applied),
            cmocka_unit_test(policies_skip_go_back_or_stop),
            cmocka_unit_test(a_run_that_goes_back_ends_the_same_however_it_is_disturbed),
            cmocka_unit_test(a_learning_rate_that_is_too_high_ends_with_advice),
            cmocka_unit_test(a_learning_rate_that_learns_but_overshoots_is_told),
            cmocka_unit_test(a_resumed_run_judges_like_the_undisturbed_one),
        };
        rc = cmocka_run_group_tests(tests, set_up, NULL);
    }
    remove_dir(NULL);
    return rc;
}
