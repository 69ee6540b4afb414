/* test_predict.c - the time of a step is predicted for every kind of run, takes nothing that stays, and is told. */
#include <math.h>
#include "../test.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/loop.h"

static struct err err;

static void write_file(const char *name, const void *p, size_t n) { OK(file_write_all(in_dir(name), p, n, &err)); }

/* Also 40 images of 8 x 8, their labels, and pairs of answers. */
static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    setenv("XDG_CACHE_HOME", test_dir, 1);
    log_level_set(LOG_QUIET);
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 400; i++)
        OK(buf_add_str(&b, "the cat sat on a mat and the dog ran. ", &err));
    write_file("text.txt", b.data, b.len);
    buf_clear(&b);
    OK(buf_add(&b, "\0\0\010\003\0\0\0\050\0\0\0\010\0\0\0\010", 16, &err));
    for (int i = 0; i < 40 * 64; i++)
        OK(buf_add_char(&b, (char)(i * i % 251), &err));
    write_file("images", b.data, b.len);
    buf_clear(&b);
    OK(buf_add(&b, "\0\0\010\001\0\0\0\050", 8, &err));
    for (int i = 0; i < 40; i++)
        OK(buf_add_char(&b, (char)(i % 2), &err));
    write_file("labels", b.data, b.len);
    buf_clear(&b);
    for (int i = 0; i < 16; i++)
        OK(buf_printf(&b, &err, "{\"prompt\": \"the %s\", \"chosen\": \" sat on a mat\", \"rejected\": \" ran\"}\n", i % 2 ? "cat" : "dog"));
    write_file("pairs.jsonl", b.data, b.len);
    buf_release(&b);
    return 0;
}

/* @ in data is the folder. */
static void dry_run(const char *name, const char *model, const char *data, const char *train, struct train_result *r)
{
    struct buf b;
    char config[40];
    buf_init(&b);
    OK(buf_printf(&b, &err, "%s\ndata: {", model));
    for (const char *p = data; *p; p++)
        OK(*p == '@' ? buf_printf(&b, &err, "%s/", test_dir) : buf_add_char(&b, *p, &err));
    OK(buf_printf(&b, &err, "}\ntrain: {steps: 3, warmup: 1, %s}\n", train));
    snprintf(config, sizeof config, "%s.yaml", name);
    write_file(config, b.data, b.len);
    buf_release(&b);
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(name), .n_thread = 2, .dry_run = true, .fail_step = -1 };
    struct mem_stats before, after;
    mem_stats_get(&before);
    OK(train_run(&o, r, &err));
    mem_stats_get(&after);
    assert_int_equal(before.n_live, after.n_live);
    assert_int_equal(before.bytes_mapped, after.bytes_mapped);
}

#define TEXT "train: @text.txt, tokenizer: bytes"
#define DENSE "model: {hidden_size: 16, num_hidden_layers: 5, num_attention_heads: 2, intermediate_size: 24, norm: rmsnorm, act: swiglu, pos: rope}"
#define MOE "model: {hidden_size: 16, num_hidden_layers: 5, num_attention_heads: 2, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 16, norm: layernorm, act: gelu, pos: learned}"
/* The first layers are dense, the last ones are not: two layers do not have all kinds. */
#define MIXED "model: {model_type: qwen3_moe, vocab_size: 300, hidden_size: 16, num_hidden_layers: 5, num_attention_heads: 2, num_key_value_heads: 2, head_dim: 8, intermediate_size: 24, num_experts: 4, " \
              "num_experts_per_tok: 2, moe_intermediate_size: 16, mlp_only_layers: [0, 1, 2], decoder_sparse_step: 1}"
#define VIT "model: {model_type: vit, hidden_size: 16, num_hidden_layers: 3, num_attention_heads: 2, intermediate_size: 24, patch_size: 4}"

static void a_step_is_predicted_for_every_kind_of_run(void **state)
{
    (void)state;
    struct train_result r;
    static const struct { const char *model, *data, *train; } c[] = {
        { DENSE, TEXT, "batch: 4, ctx: 16, precision: fp32" },
        { DENSE, TEXT, "batch: 3, accumulate: 2, slices: 1, ctx: 16, precision: bf16, recompute: block, optimizer: sgd" },
        { MOE, TEXT, "batch: 4, ctx: 16, precision: bf16, recompute: cheap, optimizer: muon" },
        { MIXED, TEXT, "batch: 4, ctx: 16, precision: bf16" },
        { VIT, "train: [@images, @labels]", "batch: 4, precision: bf16" },
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        dry_run("plain", c[i].model, c[i].data, c[i].train, &r);
        assert_true(r.predicted_step_seconds > 0 && isfinite(r.predicted_step_seconds));
        assert_true(r.step_seconds_at_limits > 0);
        OK(file_remove_tree(in_dir("plain"), &err));
    }
}

static void adapters_and_preferences_are_predicted_and_bases_in_files_are_not(void **state)
{
    (void)state;
    struct train_result r;
    char model[300];
    write_file("base.yaml", DENSE "\n", strlen(DENSE) + 1);
    struct buf b;
    buf_init(&b);
    OK(buf_printf(&b, &err, "%s\ndata: {train: %s, tokenizer: bytes}\ntrain: {steps: 0, warmup: 0, ctx: 64}\n", DENSE, in_dir("text.txt")));
    write_file("base.yaml", b.data, b.len);
    buf_release(&b);
    const struct train_opts o = { .config = in_dir("base.yaml"), .out = in_dir("base"), .n_thread = 1, .fail_step = -1 };
    OK(train_run(&o, &r, &err));
    for (int in_file = 0; in_file < 2; in_file++) {
        snprintf(model, sizeof model, "model: {from: %s}\nlora: {rank: 2, base: %s}", in_dir("base"), in_file ? "file" : "floats");
        dry_run("adapted", model, "train: @text.txt", "batch: 2, ctx: 16", &r);
        assert_true(in_file ? isnan(r.predicted_step_seconds) : r.predicted_step_seconds > 0);
        OK(file_remove_tree(in_dir("adapted"), &err));
        dry_run("preferring", model, "train: @pairs.jsonl, valid_share: 0", "batch: 2, ctx: 64, objective: dpo", &r);
        assert_true(in_file ? isnan(r.predicted_step_seconds) : r.predicted_step_seconds > 0);
        OK(file_remove_tree(in_dir("preferring"), &err));
    }
}

static int run_text(const char *name, const char *text, bool dry)
{
    struct train_result r;
    char config[40];
    snprintf(config, sizeof config, "%s.yaml", name);
    write_file(config, text, strlen(text));
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(name), .n_thread = 1, .dry_run = dry, .fail_step = -1 };
    return train_run(&o, &r, &err);
}

/* Windows so long that one is all that would be run: the first two sequences, of a pair as it were, have more tokens. */
static void preferences_without_pairs_are_refused_and_not_run(void **state)
{
    (void)state;
    char text[600];
    snprintf(text, sizeof text, "%s\ndata: {train: %s, tokenizer: bytes, valid_share: 0}\ntrain: {steps: 0, warmup: 0, batch: 1, ctx: 9000}\n", DENSE, in_dir("text.txt"));
    OK(run_text("long", text, false));
    snprintf(text, sizeof text, "model: {from: %s}\nlora: {rank: 2}\ndata: {train: %s, valid_share: 0}\ntrain: {steps: 3, warmup: 1, batch: 2, slices: 1, ctx: 9000, objective: dpo}\n",
             in_dir("long"), in_dir("text.txt"));
    assert_int_equal(run_text("unpaired", text, true), ERR_USAGE);
    assert_non_null(strstr(err.msg, "pairs of answers"));
}

/* Nothing is measured where a run is over sooner. */
static void a_short_run_is_not_kept_waiting(void **state)
{
    (void)state;
    struct train_result r;
    struct buf b;
    buf_init(&b);
    OK(buf_printf(&b, &err, "%s\ndata: {train: %s, tokenizer: bytes}\ntrain: {steps: 2, warmup: 0, batch: 2, ctx: 16}\n", DENSE, in_dir("text.txt")));
    write_file("short.yaml", b.data, b.len);
    buf_release(&b);
    const struct train_opts o = { .config = in_dir("short.yaml"), .out = in_dir("short"), .n_thread = 1, .fail_step = -1 };
    OK(train_run(&o, &r, &err));
    assert_true(isnan(r.predicted_step_seconds) && r.step_seconds_at_limits > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_predicted_for_every_kind_of_run),
        cmocka_unit_test(adapters_and_preferences_are_predicted_and_bases_in_files_are_not),
        cmocka_unit_test(preferences_without_pairs_are_refused_and_not_run),
        cmocka_unit_test(a_short_run_is_not_kept_waiting),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
