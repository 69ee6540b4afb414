/* tiny_run.h - settings, texts and runs of a second that tests of training share. */
#ifndef TESTS_TINY_RUN_H
#define TESTS_TINY_RUN_H
#include "../test.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "train/loop.h"

static struct err err;

static inline void write_text(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

/* Words drawn from a small vocabulary with rules of a kind, so that there is something to learn. */
static inline void write_corpus(const char *name, int n_word, uint64_t seed)
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

static inline void write_config(const char *name, const char *model, const char *more)
{
    char text[1600];
    snprintf(text, sizeof text, "%sdata: {train: [%s, %s], valid_share: 0.1, tokenizer: bpe, vocab_size: 300}\n" TRAIN "%s}\n", model, in_dir("one.txt"), in_dir("two.txt"), more);
    write_text(name, text);
}

static inline int train(const char *config, const char *out, int n_thread, volatile sig_atomic_t *stop, struct train_result *r)
{
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = n_thread, .stop = stop, .fail_step = -1 };
    return train_run(&o, r, &err);
}

static inline const char *digest(const char *out)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    char path[240];
    snprintf(path, sizeof path, "%s/model.safetensors", in_dir(out));
    OK(sha256_of_file(path, hex[i], &err));
    return hex[i];
}

static inline int count_in(const char *out, const char *what)
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

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
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

#endif
