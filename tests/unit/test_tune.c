/* test_tune.c - training that goes on from a model: of any of its files, whole or by adapters. */
#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/tree.h"
#include "model/convert.h"
#include "model/folder_from_gguf.h"
#include "model/gguf_from_folder.h"
#include "model/merge.h"
#include "train/loop.h"

static struct err err;
static struct pool *pool;

static void write_text(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

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

static void write_config(const char *name, const char *model, const char *data, const char *train)
{
    char text[1600];
    snprintf(text, sizeof text, "model: {%s}\ndata: {train: %s, valid_share: 0.1%s}\ntrain: {batch: 4, ctx: 24, warmup: 0, %s}\n", model, in_dir("text.txt"), data, train);
    write_text(name, text);
}

static int train(const char *config, const char *out, int n_thread, struct train_result *r)
{
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = n_thread, .fail_step = -1 };
    return train_run(&o, r, &err);
}

static const char *digest(const char *path)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    OK(sha256_of_file(in_dir(path), hex[i], &err));
    return hex[i];
}

static bool contains(const char *path, const char *text)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir(path), 1 << 20, &b, &err));
    OK(buf_add(&b, "", 1, &err));
    const bool found = strstr(b.data, text) != NULL;
    buf_release(&b);
    return found;
}

static void write_texts(void)
{
    static const char *const words[] = { "red", "green", "blue", "cat", "dog", "cow" };
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 80; i++) {
        const int w = (int)rng_below(3, (uint64_t)i, 6);
        OK(buf_printf(&b, &err, "{\"text\": \"the %s ran to a %s\", \"label\": \"%s\"}\n", i % 2 ? "house" : "mat", words[w], w < 3 ? "a colour" : "an animal"));
    }
    OK(file_write_all(in_dir("texts.jsonl"), b.data, b.len, &err));
    buf_release(&b);
}

#define CHAT_TEMPLATE "{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}"

/* base: a Llama with a tokenizer and a chat template, as a folder, as a GGUF file of floats, and as one of Q8_0. */
static int set_up(void **state)
{
    if (make_dir(state) || pool_new(&pool, 2, &err) < 0)
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    write_corpus("text.txt", 3000, 1);
    write_texts();
    write_config("base.yaml", "model_type: llama, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 64, max_position_embeddings: 96", ", vocab_size: 300",
                 "steps: 8, lr: 3e-3, precision: fp32");
    struct train_result r;
    OK(train("base.yaml", "base", 2, &r));
    write_text("base/chat_template.jinja", CHAT_TEMPLATE);
    struct model m;
    OK(model_open(&m, in_dir("base"), NULL, &err));
    OK(gguf_from_folder(&m, in_dir("base"), in_dir("base.gguf"), &err));
    model_release(&m);
    struct source *s;
    OK(source_open(&s, in_dir("base.gguf"), &err));
    OK(convert_gguf(s, in_dir("q8.gguf"), &(struct convert){ .mix = mix_find("q8_0"), .pool = pool }, &err));
    source_free(s);
    return 0;
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

/* ---- from: any file ---- */

static void from(const char *config, const char *base, const char *more)
{
    char model[200], train_keys[200];
    snprintf(model, sizeof model, "from: %s", in_dir(base));
    snprintf(train_keys, sizeof train_keys, "precision: fp32, %s", more);
    write_config(config, model, "", train_keys);
}

static void a_gguf_file_gives_the_floats_of_its_types(void **state)
{
    (void)state;
    struct train_result r;
    struct model m;
    from("q8.yaml", "q8.gguf", "steps: 0");
    OK(train("q8.yaml", "q8", 2, &r));
    OK(model_open(&m, in_dir("q8.gguf"), NULL, &err));
    OK(folder_from_gguf(&m, in_dir("q8-floats"), ST_F32, &err));
    model_release(&m);
    assert_string_equal(digest("q8/model.safetensors"), digest("q8-floats/model.safetensors"));
    assert_true(contains("q8/chat_template.jinja", CHAT_TEMPLATE));
    assert_true(file_exists(in_dir("q8/tokenizer.json")));
}

static void a_folder_and_its_gguf_file_lead_to_the_same_weights(void **state)
{
    (void)state;
    struct train_result r;
    from("folder.yaml", "base", "steps: 3, lr: 1e-3");
    from("gguf.yaml", "base.gguf", "steps: 3, lr: 1e-3");
    OK(train("folder.yaml", "on-folder", 1, &r));
    OK(train("gguf.yaml", "on-gguf", 2, &r));
    assert_string_equal(digest("on-folder/model.safetensors"), digest("on-gguf/model.safetensors"));
    assert_true(strcmp(digest("on-folder/model.safetensors"), digest("base/model.safetensors")) != 0);
    assert_true(contains("on-folder/chat_template.jinja", CHAT_TEMPLATE));
}

/* ---- every family ---- */

static double first_loss(const char *out)
{
    char path[80];
    double loss = NAN;
    struct buf b;
    buf_init(&b);
    snprintf(path, sizeof path, "%s/metrics.jsonl", out);
    OK(file_read(in_dir(path), 1 << 20, &b, &err));
    OK(buf_add(&b, "", 1, &err));
    const char *at = strstr(b.data, "\"loss\":");
    if (at)
        loss = strtod(at + strlen("\"loss\":"), NULL);
    buf_release(&b);
    return loss;
}

/* 3 steps from tests/golden/families, whole or by adapters, over the same 4 windows; the loss falls, and what was written is a model, or adapters of one. */
static void train_family(const char *name, bool adapters)
{
    char text[1200], out[60], base[100];
    struct train_result r;
    struct model m;
    snprintf(base, sizeof base, "tests/golden/families/%s", name);
    snprintf(out, sizeof out, "%s-%s", name, adapters ? "lora" : "whole");
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0, tokenizer: bytes}\n%strain: {steps: 3, batch: 4, ctx: 24, lr: %s, warmup: 0, schedule: constant, eval_every: 0, precision: %s}\n",
             base, in_dir("windows.txt"), adapters ? "lora: {rank: 4}\n" : "", adapters ? "3e-2" : "1e-2", adapters ? "bf16" : "fp32");
    write_text("family.yaml", text);
    OK(train("family.yaml", out, 2, &r));
    const double first = first_loss(out);
    if (!(r.loss < first - 0.02))
        fail_msg("%s: the loss goes from %g to %g in 3 steps", out, first, r.loss);
    OK(model_open(&m, adapters ? base : in_dir(out), NULL, &err));
    if (adapters) {
        struct adapter *a;
        OK(adapter_open(&a, in_dir(out), &err));
        OK(merge_check(&m, a, &err));
        OK(adapter_bind(a, m.list, &err));
        adapter_free(a);
    }
    model_release(&m);
}

static void every_family_of_decoders_is_trained_whole_and_by_adapters(void **state)
{
    (void)state;
    static const char *const names[] = { "gpt2", "gpt_neox", "llama_tied_biases", "mistral_window", "mixtral_window", "qwen2_window", "qwen2_moe_window", "qwen3_window", "qwen3_moe", "olmo_clip", "olmo2",
                                         "olmoe", "gemma", "gemma2", "gemma3_text", "phi3_window_tied", "smollm3_tied", "gpt_oss", "deepseek_v2", "deepseek_v2_groups_tied", "deepseek_v3" };
    write_corpus("windows.txt", 24, 5);
    for (size_t i = 0; i < 2 * (sizeof names / sizeof *names); i++)
        train_family(names[i / 2], i % 2);
}

static void an_encoder_without_classes_is_refused_before_anything_is_read(void **state)
{
    (void)state;
    struct train_result r;
    write_text("encoder.yaml", "model: {from: tests/golden/families/bert}\ndata: {train: missing.txt}\ntrain: {ctx: 24}\n");
    assert_int_equal(train("encoder.yaml", "encoder", 1, &r), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "data.form: label"));
    assert_false(file_exists(in_dir("encoder")));
}

/* ---- a mixture that begins from a dense model ---- */

static void upcycle(const char *config, const char *section, const char *more)
{
    char text[1600];
    snprintf(text, sizeof text, "model: {from: %s}\nupcycle: {%s}\ndata: {train: %s, valid_share: 0.1}\ntrain: {batch: 4, ctx: 24, warmup: 0, precision: fp32, %s}\n", in_dir("base"), section, in_dir("text.txt"),
             more);
    write_text(config, text);
}

static void a_mixture_from_a_dense_model_begins_at_its_loss_and_learns(void **state)
{
    (void)state;
    struct train_result r, dense;
    from("as-it-is.yaml", "base", "steps: 0");
    OK(train("as-it-is.yaml", "as-it-is", 2, &dense));
    upcycle("mixture.yaml", "num_experts: 4, router_std: 0.3", "steps: 0");
    OK(train("mixture.yaml", "mixture-0", 2, &r));
    assert_true(fabs(r.valid_loss - dense.valid_loss) < 1e-6 * dense.valid_loss);
    assert_true(contains("mixture-0/config.json", "MixtralForCausalLM"));
    assert_true(contains("mixture-0/chat_template.jinja", CHAT_TEMPLATE));
    upcycle("mixture.yaml", "num_experts: 4, router_std: 0.3, redraw: 0.5, e_score_correction_bias: true", "steps: 6, lr: 3e-3, router_bias_rate: 0.01");
    OK(train("mixture.yaml", "mixture", 1, &r));
    assert_true(r.valid_loss < dense.valid_loss && r.n_param > r.n_active);
    assert_true(contains("mixture/config.json", "\"e_score_correction_bias\": true"));
    volatile sig_atomic_t stop = 1;
    const struct train_opts once = { .config = in_dir("mixture.yaml"), .out = in_dir("mixture-stopped"), .n_thread = 2, .stop = &stop, .fail_step = -1 };
    for (int i = 0; i < 5; i++)
        assert_int_equal(train_run(&once, &r, &err), ERR_STOPPED);
    OK(train_run(&once, &r, &err));
    assert_string_equal(digest("mixture/model.safetensors"), digest("mixture-stopped/model.safetensors"));
    upcycle("mixture.yaml", "num_experts: 4, router_std: 0.3, redraw: 0.4, e_score_correction_bias: true", "steps: 6, lr: 3e-3, router_bias_rate: 0.01");
    assert_int_equal(train("mixture.yaml", "mixture", 1, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "a run of other settings"));
}

static void bad_settings_of_mixtures_are_explained(void **state)
{
    (void)state;
    struct train_result r;
    static const struct { const char *model, *more, *says; } cases[] = {
        { "from: @", "upcycle: {num_exprets: 4}\n", "did you mean 'num_experts'" },
        { "from: @", "upcycle: {}\nlora: {rank: 2}\n", "leaves as it is" },
        { "from: @", "upcycle: {}\ntrain: {objective: dpo}\n", "objective: dpo compares with" },
        { "from: @", "upcycle: {}\ntrain: {router_bias_rate: 0.1}\n", "would do nothing" },
        { "hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64", "upcycle: {}\n", "model.from" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1200];
        const char *at = strchr(cases[i].model, '@');
        snprintf(text, sizeof text, "model: {%.*s%s}\ndata: {train: %s}\n%s", at ? (int)(at - cases[i].model) : 200, cases[i].model, at ? in_dir("base") : "", in_dir("text.txt"), cases[i].more);
        write_text("bad.yaml", text);
        if (train("bad.yaml", "bad", 1, &r) != ERR_USAGE || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave '%s', expected '%s'", i, err.msg, cases[i].says);
    }
}

/* ---- adapters ---- */

static void lora(const char *config, const char *base, const char *keys, const char *train_keys)
{
    char text[1600];
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0.1}\nlora: {%s}\ntrain: {batch: 4, ctx: 24, warmup: 0, %s}\n", in_dir(base), in_dir("text.txt"),
             keys, train_keys);
    write_text(config, text);
}

static void adapters_are_the_same_with_any_number_of_threads_and_after_stops(void **state)
{
    (void)state;
    static const char *const precision[] = { "fp32", "bf16" };
    for (int i = 0; i < 2; i++) {
        struct train_result r, stopped;
        char keys[120], first[SHA256_HEX];
        snprintf(keys, sizeof keys, "steps: 6, lr: 1e-2, accumulate: 2, precision: %s", precision[i]);
        lora("lora.yaml", "base", "rank: 4, dropout: 0.2, targets: [q, v, down_proj]", keys);
        for (int n = 1; n <= 3; n++) {
            char out[64];
            snprintf(out, sizeof out, "lora-%d-%d", i, n);
            OK(train("lora.yaml", out, n, &r));
            strcat(out, "/adapter_model.safetensors");
            if (n == 1)
                memcpy(first, digest(out), sizeof first);
            else
                assert_string_equal(first, digest(out));
        }
        char out[64];
        snprintf(out, sizeof out, "lora-%d-stopped", i);
        volatile sig_atomic_t stop = 1;
        int n = 0, rc;
        do {
            const struct train_opts o = { .config = in_dir("lora.yaml"), .out = in_dir(out), .n_thread = 1 + n % 2, .stop = &stop, .fail_step = -1 };
            rc = train_run(&o, &stopped, &err);
        } while (rc == ERR_STOPPED && ++n < 20);
        OK(rc);
        assert_int_equal(n, 5);
        strcat(out, "/adapter_model.safetensors");
        assert_string_equal(first, digest(out));
        assert_true(r.valid_loss == stopped.valid_loss && isfinite(r.valid_loss));
    }
}

#define KILLS 8
static void a_run_of_adapters_killed_at_random_moments_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    struct train_result r;
#if UNDER_THREAD
    fprintf(stderr, "the thread sanitizer allows no threads in a process that was forked: skipped\n");
    skip();
#endif
    lora("kill.yaml", "q8.gguf", "rank: 4, base: file", "steps: 40, lr: 1e-2, precision: fp32, save_every: 3, eval_every: 0");
    const double begin = clock_wall();
    OK(train("kill.yaml", "unkilled", 1, &r));
    const double whole = clock_wall() - begin;
    int n_killed = 0;
    for (int i = 0; i < 6 * KILLS && n_killed < KILLS; i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (!child)
            _exit(train("kill.yaml", "killed", 1, &r) < 0);
        const double wait = whole * 0.8 * rng_uniform(78, (uint64_t)i);
        nanosleep(&(struct timespec){ (time_t)wait, (long)((wait - floor(wait)) * 1e9) }, NULL);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        n_killed += WIFSIGNALED(status);
        if (!WIFSIGNALED(status))
            OK(file_remove_tree(in_dir("killed"), &err));            /* it was through already: from the start again */
    }
    assert_int_equal(n_killed, KILLS);
    OK(train("kill.yaml", "killed", 2, &r));
    assert_string_equal(digest("unkilled/adapter_model.safetensors"), digest("killed/adapter_model.safetensors"));
}

static void a_checkpoint_of_adapters_holds_nothing_of_the_base(void **state)
{
    (void)state;
    struct train_result r, whole;
    lora("small.yaml", "base", "rank: 2, targets: q", "steps: 2, precision: fp32");
    OK(train("small.yaml", "small", 1, &r));
    const char *folder = "small/checkpoints/step-0000000002/";
    char path[100];
    static const char *const there[] = { "adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors", "state.json" }, *const absent[] = { "model.safetensors", "config.json" };
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        snprintf(path, sizeof path, "%s%s", folder, there[i]);
        assert_true(file_exists(in_dir(path)));
    }
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        snprintf(path, sizeof path, "%s%s", folder, absent[i]);
        assert_false(file_exists(in_dir(path)));
    }
    struct file_usage u;
    OK(file_usage(in_dir("small/checkpoints"), &u, &err));
    assert_true(u.bytes < 20000);
    from("whole.yaml", "base", "steps: 2");
    OK(train("whole.yaml", "whole", 1, &whole));
    assert_true(whole.planned_bytes - r.planned_bytes > 10 * (uint64_t)whole.n_param);      /* gradients and moments, 12 bytes, of all weights but of few */
    assert_true(contains("small/adapter_config.json", "\"q_proj\"") && !contains("small/adapter_config.json", "v_proj"));
}

/* Before anything is learned the held-out loss has the bits of the base's. */
static void adapters_that_learned_nothing_change_no_bit_of_the_loss(void **state)
{
    (void)state;
    struct train_result base, tuned;
    from("base0.yaml", "q8.gguf", "steps: 0");
    lora("lora0.yaml", "q8.gguf", "rank: 5, rslora: true", "steps: 0, precision: fp32");
    OK(train("base0.yaml", "base0", 2, &base));
    OK(train("lora0.yaml", "lora0", 1, &tuned));
    assert_true(base.valid_loss == tuned.valid_loss);
    assert_true(contains("lora0/adapter_config.json", "\"use_rslora\": true"));
}

/* The base in its file, in any of its types, or as floats: the same adapters to the bit, and less memory. */
static void a_base_in_its_file_gives_the_same_bits_in_less_memory(void **state)
{
    (void)state;
    static const char *const bases[] = { "base", "base.gguf", "q8.gguf", "q8.gguf", "moe" }, *const precision[] = { "fp32", "fp32", "fp32", "bf16", "bf16" };
    struct train_result r;
    write_config("moe.yaml", "hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: layernorm, "
                 "act: gelu, pos: learned, tie_word_embeddings: true", ", vocab_size: 300", "steps: 3, precision: fp32");
    OK(train("moe.yaml", "moe", 1, &r));
    for (int i = 0; i < 5; i++) {
        struct train_result floats, file;
        char keys[100], out[2][80];
        snprintf(keys, sizeof keys, "steps: 4, lr: 1e-2, precision: %s, recompute: %s", precision[i], i == 1 ? "block" : "none");
        lora("floats.yaml", bases[i], "rank: 4", keys);
        lora("file.yaml", bases[i], "rank: 4, base: file", keys);
        snprintf(out[0], sizeof out[0], "floats-%d", i), snprintf(out[1], sizeof out[1], "file-%d", i);
        OK(train("floats.yaml", out[0], 2, &floats));
        OK(train("file.yaml", out[1], 1, &file));                 /* a thread needs room for rows */
        strcat(out[0], "/adapter_model.safetensors"), strcat(out[1], "/adapter_model.safetensors");
        assert_string_equal(digest(out[0]), digest(out[1]));
        assert_true(floats.valid_loss == file.valid_loss && floats.planned_bytes > file.planned_bytes);
    }
}

static void merge(const char *base, const char *adapters, const char *to, const char *type)
{
    struct model m;
    struct adapter *a;
    OK(model_open(&m, in_dir(base), NULL, &err));
    OK(adapter_open(&a, in_dir(adapters), &err));
    OK(merge_check(&m, a, &err));
    if (source_gguf(m.source))
        OK(merge_gguf(&m, a, in_dir(to), type ? mix_find(type) : NULL, pool, &err));
    else {
        OK(merge_folder(&m, in_dir(base), a, in_dir(to), ST_F32, &err));
        OK(folder_put_tokenizer(&m, in_dir(base), in_dir(to), &err));
    }
    adapter_free(a);
    model_release(&m);
}

/* The held-out loss of a model file, and its floats as model.safetensors in OUT. */
static double loss_of(const char *base, const char *scored)
{
    struct train_result r;
    from("score.yaml", base, "steps: 0");
    OK(train("score.yaml", scored, 2, &r));
    return r.valid_loss;
}

static void a_merged_model_is_base_and_adapters_in_each_form_of_file(void **state)
{
    (void)state;
    struct train_result r;
    lora("merge.yaml", "base", "rank: 4", "steps: 20, lr: 1e-2, precision: fp32");
    OK(train("merge.yaml", "tuned", 2, &r));
    merge("base", "tuned", "merged", NULL);
    merge("base.gguf", "tuned", "merged.gguf", NULL);                /* q and k in another order of rows */
    merge("base.gguf", "tuned", "merged8.gguf", "q8_0");
    merge("q8.gguf", "tuned", "q8merged.gguf", NULL);
    const double before = loss_of("base", "scored0"), after = loss_of("merged", "scored1");
    assert_true(before - after > 0.02);
    if (!(fabs(after - r.valid_loss) < 1e-6))
        fail_msg("merged: loss %.9g, with the adapters beside the base %.9g", after, r.valid_loss);
    assert_true(loss_of("merged.gguf", "scored2") == after);
    assert_string_equal(digest("scored1/model.safetensors"), digest("scored2/model.safetensors"));
    assert_true(fabs(loss_of("merged8.gguf", "scored3") - after) < 0.01 && fabs(loss_of("q8merged.gguf", "scored4") - after) < 0.01);
    struct source *s;
    OK(source_open(&s, in_dir("q8merged.gguf"), &err));
    assert_int_equal(source_find(s, "blk.0.attn_q.weight")->type, TYPE_Q8_0);
    source_free(s);
}

/* ---- adapters and a head for classes ---- */

static int train_classes(const char *base, const char *adapters, const char *more, const char *out, int n_thread, volatile sig_atomic_t *stop, struct train_result *r)
{
    char text[1200];
    snprintf(text, sizeof text, "model: {from: %s}\n%sdata: {train: %s, form: label, valid_share: 0.25}\ntrain: {batch: 4, ctx: 24, warmup: 0, precision: fp32, save_every: 4, %s}\n", in_dir(base), adapters,
             in_dir("texts.jsonl"), more);
    write_text("classes.yaml", text);
    const struct train_opts o = { .config = in_dir("classes.yaml"), .out = in_dir(out), .n_thread = n_thread, .stop = stop, .fail_step = -1 };
    return train_run(&o, r, &err);
}

#define STEPS "steps: 24, lr: 1e-2"
/* The base has no head for classes; it may stay in its file, of any type. */
static void adapters_and_a_head_for_classes_are_learned_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const bases[] = { "base", "q8.gguf" };
    struct train_result first, r;
    for (int i = 0; i < 2; i++) {
        char out[3][40];
        for (int k = 0; k < 3; k++)
            snprintf(out[k], sizeof out[k], "classes-%d-%d", i, k);
        OK(train_classes(bases[i], "lora: {rank: 4}\n", STEPS, out[0], 1, NULL, &first));
        assert_true(first.adapters && first.valid_accuracy > 0.9 && first.valid_loss < 0.5);
        OK(train_classes(bases[i], "lora: {rank: 4, base: file}\n", STEPS, out[1], 2, NULL, &r));
        assert_true(r.valid_loss == first.valid_loss);
        volatile sig_atomic_t stop = 1;
        int n = 0;
        while (train_classes(bases[i], "lora: {rank: 4}\n", STEPS, out[2], 1 + n % 2, &stop, &r) == ERR_STOPPED)
            assert_true(++n < 30);
        for (int k = 0; k < 3; k++)
            strcat(out[k], "/adapter_model.safetensors");
        assert_string_equal(digest(out[0]), digest(out[1]));
        assert_string_equal(digest(out[0]), digest(out[2]));
    }
    assert_true(contains("classes-0-0/adapter_config.json", "\"modules_to_save\": [\n    \"score\"\n  ]") && contains("classes-0-0/adapter_config.json", "SEQ_CLS"));
    merge("base", "classes-0-0", "classes", NULL);
    OK(train_classes("base", "lora: {rank: 4}\n", STEPS, "classes-0-0", 1, NULL, &first));      /* done: only its loss again */
    OK(train_classes("classes", "", "steps: 0", "classes-scored", 1, NULL, &r));
    assert_true(fabs(r.valid_loss - first.valid_loss) < 1e-6 && r.valid_accuracy == first.valid_accuracy);
    assert_true(contains("classes/config.json", "\"an animal\"") && contains("classes/config.json", "ForSequenceClassification"));
    OK(train_classes("classes", "lora: {rank: 2}\n", "steps: 1, lr: 1e-3", "classes-again", 1, NULL, &r));      /* on a base that has a head */
    merge("classes", "classes-again", "classes2", NULL);
    assert_true(contains("classes2/config.json", "\"an animal\""));
    struct model m;
    struct adapter *a;
    OK(model_open(&m, in_dir("base.gguf"), NULL, &err));
    OK(adapter_open(&a, in_dir("classes-0-0"), &err));
    assert_int_equal(merge_gguf(&m, a, in_dir("no.gguf"), NULL, pool, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "--format safetensors"));
    adapter_free(a);
    model_release(&m);
}

/* base with one number replaced, as `to`. */
static void damage(const char *to, const char *tensor, float x)
{
    static const char *const files[] = { "config.json", "tokenizer.json", "model.safetensors" };
    struct safetensors *st;
    struct buf b;
    char path[300];
    buf_init(&b);
    OK(file_mkdirs(in_dir(to), &err));
    OK(safetensors_open(&st, in_dir("base"), &err));
    for (int i = 0; i < 3; i++) {
        buf_clear(&b);
        snprintf(path, sizeof path, "base/%s", files[i]);
        OK(file_read(in_dir(path), 1 << 26, &b, &err));
        if (i == 2) {
            uint64_t header;
            memcpy(&header, b.data, sizeof header);
            memcpy(b.data + 8 + header + safetensors_find(st, tensor)->begin + 5 * sizeof x, &x, sizeof x);
        }
        snprintf(path, sizeof path, "%s/%s", to, files[i]);
        OK(file_write_all(in_dir(path), b.data, b.len, &err));
    }
    safetensors_free(st);
    buf_release(&b);
}

/* Also one that the type written cannot hold; what stood in the folder stays. */
static void a_number_that_is_not_finite_is_named_and_nothing_is_written(void **state)
{
    (void)state;
    static const struct { const char *to; float x; enum st_dtype dtype; } cases[] = { { "nan", NAN, ST_F32 }, { "large", 1e6f, ST_F16 } };
    for (int i = 0; i < 2; i++) {
        struct model m;
        struct adapter *a;
        damage(cases[i].to, "model.layers.1.mlp.up_proj.weight", cases[i].x);
        OK(model_open(&m, in_dir(cases[i].to), NULL, &err));
        OK(adapter_open(&a, in_dir("tuned"), &err));
        OK(file_mkdirs(in_dir("finite"), &err));
        OK(file_write_all(in_dir("finite/model.safetensors"), "old", 3, &err));
        assert_int_equal(merge_folder(&m, in_dir(cases[i].to), a, in_dir("finite"), cases[i].dtype, &err), ERR_NUMERIC);
        assert_non_null(strstr(err.msg, "'model.layers.1.mlp.up_proj.weight'"));
        struct buf b;
        buf_init(&b);
        OK(file_read(in_dir("finite/model.safetensors"), 1 << 20, &b, &err));
        assert_int_equal(b.len, 3);
        assert_false(file_exists(in_dir("finite/config.json")));
        buf_release(&b);
        adapter_free(a);
        model_release(&m);
    }
}

static void adapters_of_another_model_are_refused(void **state)
{
    (void)state;
    struct train_result r;
    struct model m;
    struct adapter *a;
    from("sibling.yaml", "base", "steps: 1");
    OK(train("sibling.yaml", "sibling", 1, &r));                     /* the same shapes, other norms */
    lora("of-sibling.yaml", "sibling", "rank: 2", "steps: 1, precision: fp32");
    OK(train("of-sibling.yaml", "of-sibling", 1, &r));
    OK(model_open(&m, in_dir("base"), NULL, &err));
    OK(adapter_open(&a, in_dir("of-sibling"), &err));
    assert_int_equal(merge_check(&m, a, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "another model"));
    adapter_free(a);
    OK(adapter_open(&a, "tests/golden/lora", &err));                 /* other shapes, and it says nothing of its base */
    OK(merge_check(&m, a, &err));
    assert_int_equal(merge_folder(&m, in_dir("base"), a, in_dir("no"), ST_F32, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "for this model"));
    adapter_free(a);
    model_release(&m);
}

/* ---- preferences ---- */

/* Answers in capitals are rejected. */
static void write_pairs(const char *name, int n)
{
    static const char *const words[] = { "the cat sat", "a dog ran to the house", "green eyes", "on a mat", "quickly away", "and the dog" };
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < n; i++)
        OK(buf_printf(&b, &err, "{\"prompt\": \"%s %s. \", \"chosen\": \"%s and %s\", \"rejected\": \"%s %s %s\"}\n", words[i % 6], words[i / 6 % 6], words[(i + 1) % 6], words[i % 5], words[i % 4],
                      words[i % 4], words[(i + 2) % 3]));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

static void prefer(const char *config, const char *lora_section, const char *train_keys)
{
    char text[1600];
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0.2}\n%strain: {objective: dpo, beta: 0.5, batch: 2, ctx: 64, warmup: 0, %s}\n", in_dir("base"),
             in_dir("pairs.jsonl"), lora_section, train_keys);
    write_text(config, text);
}

/* The number behind "name": in line `line` of OUT's metrics. */
static double metric(const char *out, int line, const char *name)
{
    struct buf b;
    char path[60], key[60];
    snprintf(path, sizeof path, "%s/metrics.jsonl", out);
    snprintf(key, sizeof key, "\"%s\":", name);
    buf_init(&b);
    OK(file_read(in_dir(path), 1 << 20, &b, &err));
    OK(buf_add(&b, "", 1, &err));
    const char *at = b.data;
    for (int i = 0; i < line && at; i++)
        at = strchr(at, '\n') + 1;
    at = strstr(at, key);
    const double x = at ? strtod(at + strlen(key), NULL) : NAN;
    buf_release(&b);
    return x;
}

static void preferences_are_learned_with_the_same_bits_by_any_number_of_threads(void **state)
{
    (void)state;
    static const char *const sections[] = { "lora: {rank: 4}\n", "lora: {rank: 4, base: file}\n", "" };
    static char adapters[2][SHA256_HEX];
    write_pairs("pairs.jsonl", 60);
    for (int i = 0; i < 3; i++) {
        struct train_result r;
        char out[2][40], path[2][120];
        prefer("dpo.yaml", sections[i], i == 2 ? "steps: 12, lr: 3e-4, precision: fp32" : "steps: 12, lr: 1e-2, precision: fp32");
        for (int n = 0; n < 2; n++) {
            snprintf(out[n], sizeof out[n], "dpo-%d-%d", i, n);
            snprintf(path[n], sizeof path[n], "%s/%smodel.safetensors", out[n], i == 2 ? "" : "adapter_");
            OK(train("dpo.yaml", out[n], 1 + n, &r));
        }
        assert_string_equal(digest(path[0]), digest(path[1]));
        if (i < 2)
            strcpy(adapters[i], digest(path[0]));
        assert_true(fabs(metric(out[0], 0, "loss") - log(2)) < 1e-8);              /* the model is still its own reference */
        assert_true(metric(out[0], 0, "rewards/margins") == 0);
        assert_true(metric(out[0], 11, "loss") < 0.6 && metric(out[0], 11, "rewards/margins") > 0.1);
        assert_true(r.valid_loss < 0.66);
    }
    assert_string_equal(adapters[0], adapters[1]);
}

/* The model of tests/golden/trl with its tokenizer, as OUT/trl. */
static void put_trl(void)
{
    static const char *const files[] = { "config.json", "model.safetensors", "letters.txt" };
    struct buf b;
    struct tok *t;
    char path[80];
    buf_init(&b);
    OK(file_mkdirs(in_dir("trl"), &err));
    for (int i = 0; i < 3; i++) {
        buf_clear(&b);
        snprintf(path, sizeof path, "tests/golden/trl/%s", files[i]);
        OK(file_read(path, 1 << 20, &b, &err));
        snprintf(path, sizeof path, "trl/%s", files[i]);
        OK(file_write_all(in_dir(path), b.data, b.len, &err));
    }
    OK(tok_from_bytes(&t, &(struct tok_text){ b.data, b.len }, 1, &err));
    buf_clear(&b);
    OK(tok_write(t, &b, &err));
    OK(file_write_all(in_dir("trl/tokenizer.json"), b.data, b.len, &err));
    tok_free(t);
    buf_release(&b);
}

static double number(const json_t *o, const char *key)
{
    if (!json_is_number(json_object_get(o, key)))
        fail_msg("%s is missing", key);
    return json_number_value(json_object_get(o, key));
}

static void ten_steps_of_preferences_are_those_of_trl(void **state)
{
    (void)state;
    static const char *const keys[] = { "loss", "grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies" };
    struct train_result r;
    struct buf b;
    json_t *want, *got;
    char text[1200];
    put_trl();
    OK(tree_load(&want, "tests/golden/trl/trl.json", 1 << 20, &err));
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: tests/golden/trl/pairs.jsonl, valid_share: 0, pack: false}\ntrain: {objective: dpo, beta: %g, steps: 10, batch: 8, ctx: 64, lr: %g, "
             "beta1: %g, beta2: %g, eps: %g, weight_decay: %g, clip: %g, schedule: constant, warmup: 0, precision: fp32, eval_every: 0, slices: 2}\n", in_dir("trl"), number(want, "beta"),
             number(want, "lr"), number(want, "beta1"), number(want, "beta2"), number(want, "eps"), number(want, "weight_decay"), number(want, "clip"));
    write_text("trl.yaml", text);
    OK(train("trl.yaml", "as-trl", 2, &r));
    buf_init(&b);
    OK(file_read(in_dir("as-trl/metrics.jsonl"), 1 << 20, &b, &err));
    char *at = b.data;
    for (size_t i = 0; i < 10; i++, at = strchr(at, '\n') + 1) {
        const json_t *w = json_array_get(json_object_get(want, "steps_logged"), i);
        OK(tree_parse_json(&got, at, strcspn(at, "\n"), "metrics", &err));
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (!(i == 0 && k == 5) && !(fabs(number(got, keys[k]) - number(w, keys[k])) <= 2e-5 * fmax(fabs(number(w, keys[k])), 0.01)))      /* at first no reward differs but by rounding */
                fail_msg("step %zu: %s is %.9g, trl's %.9g", i + 1, keys[k], number(got, keys[k]), number(w, keys[k]));
        json_decref(got);
    }
    json_decref(want);
    buf_release(&b);
}

static void a_stopped_run_of_preferences_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    struct train_result r;
    write_pairs("pairs.jsonl", 60);
    prefer("dpo.yaml", "lora: {rank: 4, dropout: 0.1}\n", "steps: 4, lr: 1e-2, precision: bf16, accumulate: 2");
    OK(train("dpo.yaml", "dpo-whole", 2, &r));
    volatile sig_atomic_t stop = 1;
    const struct train_opts o = { .config = in_dir("dpo.yaml"), .out = in_dir("dpo-stopped"), .n_thread = 1, .stop = &stop, .fail_step = -1 };
    int n = 0, rc;
    while ((rc = train_run(&o, &r, &err)) == ERR_STOPPED && n < 9)
        n++;
    OK(rc);
    assert_int_equal(n, 3);
    assert_string_equal(digest("dpo-whole/adapter_model.safetensors"), digest("dpo-stopped/adapter_model.safetensors"));
}

static void objectives_and_data_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    struct train_result r;
    write_pairs("pairs.jsonl", 60);
    lora("bad.yaml", "base", "rank: 2", "objective: dpo, steps: 1");
    assert_int_equal(train("bad.yaml", "bad-dpo", 1, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "must hold pairs"));
    prefer("bad.yaml", "", "steps: 1, objective_: 1");
    assert_int_equal(train("bad.yaml", "bad-dpo", 1, &r), ERR_USAGE);
    char text[900];
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s}\ntrain: {batch: 2, ctx: 64, steps: 1, warmup: 0}\n", in_dir("base"), in_dir("pairs.jsonl"));
    write_text("bad.yaml", text);
    assert_int_equal(train("bad.yaml", "bad-dpo", 1, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "objective: dpo"));
    snprintf(text, sizeof text, "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope}\n"
             "data: {train: %s}\ntrain: {objective: dpo}\n", in_dir("pairs.jsonl"));
    write_text("bad.yaml", text);
    assert_int_equal(train("bad.yaml", "bad-dpo", 1, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "model.from"));
}

static void bad_settings_of_adapters_are_explained(void **state)
{
    (void)state;
    struct train_result r;
    static const struct { const char *keys, *train, *says; } cases[] = {
        { "rnak: 4", "steps: 1", "did you mean 'rank'" },
        { "rank: 0", "steps: 1", "rank" },
        { "targets: [q, w]", "steps: 1", "'w'" },
        { "targets: [q, 3]", "steps: 1", "entry 2 is not a word" },
        { "targets: ''", "steps: 1", "targets" },
        { "rank: 2", "steps: 1, optimizer: muon", "optimizer is muon" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lora("bad.yaml", "base", cases[i].keys, cases[i].train);
        if (train("bad.yaml", "bad", 1, &r) != ERR_USAGE || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave '%s', expected '%s'", i, err.msg, cases[i].says);
    }
    char text[1200];
    snprintf(text, sizeof text, "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope}\n"
             "data: {train: %s}\nlora: {rank: 2}\n", in_dir("text.txt"));
    write_text("bad.yaml", text);
    assert_int_equal(train("bad.yaml", "bad", 1, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "model.from"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gguf_file_gives_the_floats_of_its_types),
        cmocka_unit_test(a_folder_and_its_gguf_file_lead_to_the_same_weights),
        cmocka_unit_test(every_family_of_decoders_is_trained_whole_and_by_adapters),
        cmocka_unit_test(an_encoder_without_classes_is_refused_before_anything_is_read),
        cmocka_unit_test(a_mixture_from_a_dense_model_begins_at_its_loss_and_learns),
        cmocka_unit_test(bad_settings_of_mixtures_are_explained),
        cmocka_unit_test(adapters_are_the_same_with_any_number_of_threads_and_after_stops),
        cmocka_unit_test(a_run_of_adapters_killed_at_random_moments_goes_on_to_the_same_bits),
        cmocka_unit_test(a_checkpoint_of_adapters_holds_nothing_of_the_base),
        cmocka_unit_test(adapters_that_learned_nothing_change_no_bit_of_the_loss),
        cmocka_unit_test(a_base_in_its_file_gives_the_same_bits_in_less_memory),
        cmocka_unit_test(a_merged_model_is_base_and_adapters_in_each_form_of_file),
        cmocka_unit_test(adapters_and_a_head_for_classes_are_learned_to_the_same_bits),
        cmocka_unit_test(a_number_that_is_not_finite_is_named_and_nothing_is_written),
        cmocka_unit_test(adapters_of_another_model_are_refused),
        cmocka_unit_test(preferences_are_learned_with_the_same_bits_by_any_number_of_threads),
        cmocka_unit_test(ten_steps_of_preferences_are_those_of_trl),
        cmocka_unit_test(a_stopped_run_of_preferences_goes_on_to_the_same_bits),
        cmocka_unit_test(objectives_and_data_that_do_not_go_together_are_refused),
        cmocka_unit_test(bad_settings_of_adapters_are_explained),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
