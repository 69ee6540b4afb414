/* gguf_config.c - GGUF's metadata as config.json.
 *
 *   archs[]   general.architecture -> model_type; two more follow from the values (mixtral, deepseek_v3)
 *   rows[]    <architecture>.<key> -> key of config.json
 *   used[]    keys that are read by code below, or that change nothing here
 * and a function for each thing that is not one key for another: heads, RoPE, windows, experts, MLA, special tokens. */
#include "model/gguf_config.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* name, its word in GGUF, model_type */
#define ARCHS(X) \
    X(LLAMA, "llama", "llama") X(QWEN2, "qwen2", "qwen2") X(QWEN2MOE, "qwen2moe", "qwen2_moe") X(QWEN3, "qwen3", "qwen3") \
    X(QWEN3MOE, "qwen3moe", "qwen3_moe") X(OLMO, "olmo", "olmo") X(OLMO2, "olmo2", "olmo2") X(OLMOE, "olmoe", "olmoe") \
    X(GEMMA, "gemma", "gemma") X(GEMMA2, "gemma2", "gemma2") X(GEMMA3, "gemma3", "gemma3_text") X(PHI3, "phi3", "phi3") \
    X(SMOLLM3, "smollm3", "smollm3") X(GPT2, "gpt2", "gpt2") X(GPTNEOX, "gptneox", "gpt_neox") X(GPT_OSS, "gpt-oss", "gpt_oss") \
    X(DEEPSEEK2, "deepseek2", "deepseek_v2") X(BERT, "bert", "bert") X(MODERNBERT, "modern-bert", "modernbert")
enum arch {
#define X(name, word, type) ARCH_##name,
    ARCHS(X)
#undef X
    N_ARCH
};
static const struct { const char *word, *type; } archs[N_ARCH] = {
#define X(name, word, type) { word, type },
    ARCHS(X)
#undef X
};
enum {
#define X(name, word, type) A_##name = 1 << ARCH_##name,
    ARCHS(X)
#undef X
    A_ALL = (1 << N_ARCH) - 1,
    A_HF = A_ALL & ~A_GPT2,                              /* Hugging Face's usual names */
    A_ENCODERS = A_BERT | A_MODERNBERT,
    A_LAYER_NORM = A_GPT2 | A_GPTNEOX | A_ENCODERS,
    A_RMS_NORM = A_ALL & ~(A_LAYER_NORM | A_OLMO),
    A_ROPE = A_ALL & ~(A_GPT2 | A_BERT),
    A_HEADS = A_ROPE & ~A_DEEPSEEK2,                     /* head_dim is one number */
    A_EXPERTS = A_LLAMA | A_QWEN2MOE | A_QWEN3MOE | A_OLMOE | A_GPT_OSS | A_DEEPSEEK2,
    A_WINDOW = A_GEMMA2 | A_GEMMA3 | A_GPT_OSS | A_PHI3 | A_MODERNBERT,
};

enum kind { KIND_INT, KIND_NUM, KIND_BOOL };
static const struct row { unsigned archs; const char *key, *hf; enum kind kind; bool required; } rows[] = {
    { A_HF, "context_length", "max_position_embeddings", KIND_INT, true },
    { A_HF, "embedding_length", "hidden_size", KIND_INT, true },
    { A_HF & ~A_GPT_OSS, "feed_forward_length", "intermediate_size", KIND_INT, true },
    { A_HF, "attention.head_count", "num_attention_heads", KIND_INT, true },
    { A_GPT2, "context_length", "n_positions", KIND_INT, true },
    { A_GPT2, "embedding_length", "n_embd", KIND_INT, true },
    { A_GPT2, "feed_forward_length", "n_inner", KIND_INT, false },
    { A_GPT2, "attention.head_count", "n_head", KIND_INT, true },
    { A_RMS_NORM, "attention.layer_norm_rms_epsilon", "rms_norm_eps", KIND_NUM, true },
    { A_GPT2, "attention.layer_norm_epsilon", "layer_norm_epsilon", KIND_NUM, true },
    { A_GPTNEOX | A_BERT, "attention.layer_norm_epsilon", "layer_norm_eps", KIND_NUM, true },
    { A_MODERNBERT, "attention.layer_norm_epsilon", "norm_eps", KIND_NUM, true },
    { A_GPTNEOX, "use_parallel_residual", "use_parallel_residual", KIND_BOOL, false },
    { A_GEMMA2, "attn_logit_softcapping", "attn_logit_softcapping", KIND_NUM, false },
    { A_GEMMA2 | A_GEMMA3, "final_logit_softcapping", "final_logit_softcapping", KIND_NUM, false },
    { A_OLMO | A_OLMOE, "attention.clamp_kqv", "clip_qkv", KIND_NUM, false },
    { A_QWEN2MOE | A_QWEN3MOE | A_DEEPSEEK2, "expert_feed_forward_length", "moe_intermediate_size", KIND_INT, true },
    { A_GPT_OSS, "expert_feed_forward_length", "intermediate_size", KIND_INT, true },
    { A_DEEPSEEK2, "expert_shared_count", "n_shared_experts", KIND_INT, true },
    { A_DEEPSEEK2, "attention.kv_lora_rank", "kv_lora_rank", KIND_INT, true },
};
#define N_ROW (sizeof rows / sizeof *rows)

static const struct { unsigned archs; const char *key; } used[] = {
    { A_ALL, "block_count" }, { A_ALL, "vocab_size" }, { A_HEADS | A_DEEPSEEK2, "attention.head_count_kv" },
    { A_HEADS | A_DEEPSEEK2, "attention.key_length" },
    { A_HEADS | A_DEEPSEEK2, "attention.value_length" }, { A_ROPE, "rope.dimension_count" }, { A_ROPE, "rope.freq_base" },
    { A_GEMMA3 | A_MODERNBERT, "rope.freq_base_swa" }, { A_ROPE, "rope.scaling.type" }, { A_ROPE, "rope.scaling.factor" }, { A_ROPE, "rope.scale_linear" },
    { A_ROPE, "rope.scaling.original_context_length" }, { A_ROPE, "rope.scaling.finetuned" }, { A_ROPE, "rope.scaling.attn_factor" },
    { A_ROPE, "rope.scaling.yarn_attn_factor" }, { A_ROPE, "rope.scaling.yarn_beta_fast" }, { A_ROPE, "rope.scaling.yarn_beta_slow" },
    { A_DEEPSEEK2, "rope.scaling.yarn_log_multiplier" }, { A_WINDOW, "attention.sliding_window" },
    { A_GEMMA3 | A_MODERNBERT, "attention.sliding_window_pattern" }, { A_EXPERTS, "expert_count" }, { A_EXPERTS, "expert_used_count" },
    { A_DEEPSEEK2, "expert_weights_scale" }, { A_DEEPSEEK2, "leading_dense_block_count" }, { A_QWEN2MOE, "expert_shared_feed_forward_length" },
    { A_DEEPSEEK2, "attention.q_lora_rank" }, { A_DEEPSEEK2, "attention.key_length_mla" },
    { A_DEEPSEEK2, "attention.value_length_mla" }, { A_DEEPSEEK2, "expert_weights_norm" }, { A_DEEPSEEK2, "expert_gating_func" },
    { A_DEEPSEEK2, "expert_group_count" }, { A_DEEPSEEK2, "expert_group_used_count" }, { A_DEEPSEEK2, "nextn_predict_layers" },
    { A_OLMO, "attention.layer_norm_epsilon" }, { A_ENCODERS, "attention.causal" }, { A_MODERNBERT, "hidden_activation" },
    { A_MODERNBERT, "attention.layer_norm_rms_epsilon" },      /* says the other again */
    { A_MODERNBERT, "classifier.pooling_type" },
    { A_ALL, "pooling_type" },                            /* read by those who pool */
    { A_GPT_OSS, "feed_forward_length" },               /* says the experts' again */
    { A_LLAMA, "tensor_data_layout" },
};
#define N_USED (sizeof used / sizeof *used)

struct reader {
    const struct gguf *g;
    json_t *o;                     /* the config.json in the making */
    enum arch arch;
    const char *where;
    struct err *err;
};

/* ---- values in ---- */

#define KEY_MAX 96
static const char *full_key(const struct reader *r, const char *key, char out[KEY_MAX])
{
    const int n = snprintf(out, KEY_MAX, "%s.%s", archs[r->arch].word, key);
    assert(n < KEY_MAX);
    return out;
}

/* As gguf_get_*: 1 when it is there, 0 when not. */
static int get_int(const struct reader *r, const char *key, int64_t *out)
{
    char full[KEY_MAX];
    return gguf_get_int(r->g, full_key(r, key, full), 0, INT32_MAX, out, r->err);
}

static int get_bool(const struct reader *r, const char *key, bool *out)
{
    char full[KEY_MAX];
    return gguf_get_bool(r->g, full_key(r, key, full), out, r->err);
}

/* The shortest decimal number that gives the same float. */
static double shortest(double v)
{
    const float f = (float)v;
    char text[32];
    if ((double)f != v)
        return v;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == f)
            return strtod(text, NULL);
    }
    return v;
}

static int get_num(const struct reader *r, const char *key, double *out)
{
    char full[KEY_MAX];
    const int rc = gguf_get_num(r->g, full_key(r, key, full), out, r->err);
    if (rc <= 0)
        return rc;
    if (!isfinite(*out))
        return ERR(r->err, RANGE, "%s: %s is %g, expected a finite number", r->where, full, *out);
    *out = shortest(*out);
    return 1;
}

static bool has(const struct reader *r, const char *tensor) { return gguf_find_tensor(r->g, tensor) != NULL; }

/* Rows of a tensor, or 0 where the file has none of this name. */
static int64_t rows_of(const struct reader *r, const char *tensor)
{
    const struct source_tensor *t = gguf_find_tensor(r->g, tensor);
    return t && t->rank >= 1 ? t->shape[0] : 0;
}

/* ---- values out ---- */

static int put(const struct reader *r, json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) < 0 ? ERR(r->err, NOMEM, "no memory to read %s", r->where) : 0;
}

static int put_int(const struct reader *r, const char *key, int64_t v) { return put(r, r->o, key, json_integer(v)); }
static int put_num(const struct reader *r, const char *key, double v) { return put(r, r->o, key, json_real(v)); }
static int put_bool(const struct reader *r, const char *key, bool v) { return put(r, r->o, key, json_boolean(v)); }
static int put_str(const struct reader *r, const char *key, const char *v) { return put(r, r->o, key, json_string(v)); }

static int copy_row(const struct reader *r, const struct row *row)
{
    char full[KEY_MAX];
    int64_t n;
    double v;
    bool b;
    const int rc = row->kind == KIND_INT ? get_int(r, row->key, &n) : row->kind == KIND_NUM ? get_num(r, row->key, &v) : get_bool(r, row->key, &b);
    if (rc == 0 && row->required)
        return ERR(r->err, FORMAT, "%s: found no %s, expected it for this architecture", r->where, full_key(r, row->key, full));
    if (rc <= 0)
        return rc;
    return row->kind == KIND_INT ? put_int(r, row->hf, n) : row->kind == KIND_NUM ? put_num(r, row->hf, v) : put_bool(r, row->hf, b);
}

/* ---- parts ---- */

static int read_arch(struct reader *r)
{
    const char *word = NULL;
    TRY(gguf_get_str(r->g, "general.architecture", &word, r->err));
#define X(name, w, type) " " w
    if (!word)
        return ERR(r->err, FORMAT, "%s: found no general.architecture, expected one of:" ARCHS(X), r->where);
    for (int i = 0; i < N_ARCH; i++)
        if (!strcmp(word, archs[i].word)) {
            r->arch = (enum arch)i;
            return put_str(r, "model_type", archs[i].type);
        }
    return ERR(r->err, UNSUPPORTED, "%s: general.architecture is '%.60s', expected one of:" ARCHS(X), r->where, word);
#undef X
}

/* The embedding's rows are the vocabulary: the list of tokens may be shorter, where a model was padded. */
static int read_sizes(const struct reader *r)
{
    const char *gpt2 = r->arch == ARCH_GPT2 ? "n_layer" : "num_hidden_layers";
    int64_t n_layer = 0, n_next = 0;
    if (!has(r, "token_embd.weight"))
        return ERR(r->err, FORMAT, "%s: found no tensor 'token_embd.weight', expected it in every model", r->where);
    TRY(put_int(r, "vocab_size", rows_of(r, "token_embd.weight")));
    TRY(get_int(r, "block_count", &n_layer));
    if (r->arch == ARCH_DEEPSEEK2)                       /* the last ones guess further tokens: not used here */
        TRY(get_int(r, "nextn_predict_layers", &n_next));
    TRY(put_int(r, gpt2, n_layer - n_next));
    if (!(1u << r->arch & A_ENCODERS))
        TRY(put_bool(r, "tie_word_embeddings", !has(r, "output.weight")));
    if (r->arch == ARCH_BERT)
        TRY(put_int(r, "type_vocab_size", rows_of(r, "token_types.weight")));
    const struct source_tensor *embed = gguf_find_tensor(r->g, "token_embd.weight");
    return put_str(r, "torch_dtype", embed->type == TYPE_F32 ? "float32" : embed->type == TYPE_F16 ? "float16" : "bfloat16");
}

/* Heads, d_head, and the part of it that turns. */
static int read_heads(const struct reader *r)
{
    int64_t n_head = 1, n_kv_head, d_model = 0, d_head, d_value, d_rot;
    TRY(get_int(r, "attention.head_count", &n_head));
    n_kv_head = n_head;
    TRY(get_int(r, "attention.head_count_kv", &n_kv_head));
    if (r->arch != ARCH_GPTNEOX)
        TRY(put_int(r, "num_key_value_heads", n_kv_head));
    TRY(get_int(r, "embedding_length", &d_model));
    d_head = n_head > 0 ? d_model / n_head : 0;
    const int given = get_int(r, "attention.key_length", &d_head);
    TRY(given);
    d_value = d_rot = d_head;
    TRY(get_int(r, "attention.value_length", &d_value));
    TRY(get_int(r, "rope.dimension_count", &d_rot));
    if (d_value != d_head)
        return ERR(r->err, UNSUPPORTED, "%s: heads have %lld numbers in keys and %lld in values, expected as many", r->where,
                   (long long)d_head, (long long)d_value);
    if (given)
        TRY(put_int(r, "head_dim", d_head));
    if (r->arch == ARCH_MODERNBERT && (d_rot != d_head || n_kv_head != n_head || d_head * n_head != d_model))
        return ERR(r->err, UNSUPPORTED, "%s: %lld of %lld numbers of a head turn, %lld of %lld heads have keys, expected all, and heads that make up the width",
                   r->where, (long long)d_rot, (long long)d_head, (long long)n_kv_head, (long long)n_head);
    if (r->arch == ARCH_GPTNEOX)
        return put_num(r, "rotary_pct", d_head > 0 ? (double)d_rot / (double)d_head : 0);
    if (d_rot != d_head && d_head > 0)
        TRY(put_num(r, "partial_rotary_factor", (double)d_rot / (double)d_head));
    /* llama.cpp has the size of the largest model of each of the two, which is no head size, in its code. */
    if (r->arch == ARCH_GEMMA2 || r->arch == ARCH_GEMMA3) {
        int64_t n_layer = 0;
        TRY(get_int(r, "block_count", &n_layer));
        const bool largest = n_layer == (r->arch == ARCH_GEMMA2 ? 46 : 62);
        TRY(put_int(r, "query_pre_attn_scalar", largest && n_head > 0 ? d_model / n_head : d_head));
    }
    return 0;
}

/* llama and the dense qwens say by their tensors whether they have biases. */
static int read_biases(const struct reader *r)
{
    if (r->arch == ARCH_LLAMA && has(r, "blk.0.ffn_up.bias"))
        TRY(put_bool(r, "mlp_bias", true));
    if (r->arch == ARCH_LLAMA || r->arch == ARCH_QWEN3 || r->arch == ARCH_QWEN3MOE || r->arch == ARCH_SMOLLM3)
        TRY(put_bool(r, "attention_bias", has(r, "blk.0.attn_q.bias") || has(r, "blk.0.attn_qkv.bias")));
    if (r->arch == ARCH_GPTNEOX)
        TRY(put_bool(r, "attention_bias", has(r, "blk.0.attn_qkv.bias")));
    if (r->arch == ARCH_DEEPSEEK2)
        TRY(put_bool(r, "attention_bias", has(r, "blk.0.attn_output.bias")));
    return 0;
}

/* ---- RoPE ---- */

/* The floats of a small tensor as a list; it must be F32. */
static int put_list(const struct reader *r, json_t *o, const char *key, const char *tensor)
{
    const struct source_tensor *t = gguf_find_tensor(r->g, tensor);
    if (!t || t->type != TYPE_F32 || t->rank != 1 || t->n > 4096)
        return ERR(r->err, FORMAT, "%s: tensor '%s' is %s, expected a list of at most 4096 F32", r->where, tensor, t ? "something else" : "missing");
    json_t *list = json_array();
    for (int64_t i = 0; list && i < t->n; i++) {
        float f;
        memcpy(&f, (const char *)t->data + (size_t)i * sizeof f, sizeof f);
        json_t *v = isfinite(f) ? json_real(shortest(f)) : json_null();
        if (json_array_append_new(list, v) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return put(r, o, key, list);
}

/* Factors of each frequency: two lists with phi3; one, for any length, with llama3, whose formula the writer has worked out. */
static int read_rope_lists(const struct reader *r, json_t *o, int64_t original)
{
    const bool two = has(r, "rope_factors_long.weight");
    double factor = 1;
    TRY(put(r, o, "rope_type", json_string("longrope")));
    TRY(put_list(r, o, "short_factor", two ? "rope_factors_short.weight" : "rope_freqs.weight"));
    TRY(put_list(r, o, "long_factor", two ? "rope_factors_long.weight" : "rope_freqs.weight"));
    if (!two)
        TRY(put(r, o, "factor", json_real(1)));
    const int given = get_num(r, "rope.scaling.attn_factor", &factor);
    TRY(given);
    if (given || !two)
        TRY(put(r, o, "attention_factor", json_real(factor)));
    if (r->arch == ARCH_PHI3)
        return original ? put_int(r, "original_max_position_embeddings", original) : 0;
    return original ? put(r, o, "original_max_position_embeddings", json_integer(original)) : 0;
}

/* Factors of the magnitude that are read with lists alone. */
static int no_attn_factor(const struct reader *r)
{
    double factor = 1;
    TRY(get_num(r, "rope.scaling.attn_factor", &factor));
    return factor == 1 ? 0 : ERR(r->err, UNSUPPORTED, "%s: rope.scaling.attn_factor is %g without tensors of RoPE factors, expected 1", r->where, factor);
}

static int read_yarn(const struct reader *r, json_t *o, double factor, int64_t original)
{
    static const struct { const char *key, *hf; } numbers[] = {
        { "rope.scaling.yarn_beta_fast", "beta_fast" }, { "rope.scaling.yarn_beta_slow", "beta_slow" },
        { "rope.scaling.yarn_attn_factor", "attention_factor" } };
    double v;
    TRY(no_attn_factor(r));
    TRY(put(r, o, "rope_type", json_string("yarn")));
    TRY(put(r, o, "factor", json_real(factor)));
    if (original)
        TRY(put(r, o, "original_max_position_embeddings", json_integer(original)));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const int rc = get_num(r, numbers[i].key, &v);
        TRY(rc);
        if (rc)
            TRY(put(r, o, numbers[i].hf, json_real(v)));
    }
    if (r->arch == ARCH_GPT_OSS)
        TRY(put(r, o, "truncate", json_false()));
    /* A tenth of mscale_all_dim, which mscale is equal to in all models of this architecture. */
    const int rc = r->arch == ARCH_DEEPSEEK2 ? get_num(r, "rope.scaling.yarn_log_multiplier", &v) : 0;
    TRY(rc);
    if (rc) {
        TRY(put(r, o, "mscale", json_real(shortest((float)(v * 10)))));
        TRY(put(r, o, "mscale_all_dim", json_real(shortest((float)(v * 10)))));
    }
    return 0;
}

static int read_scaling(const struct reader *r, json_t *o)
{
    char full[KEY_MAX];
    const char *type = NULL;
    double factor = 1, old = 1;
    int64_t original = 0;
    TRY(gguf_get_str(r->g, full_key(r, "rope.scaling.type", full), &type, r->err));
    const int given = get_num(r, "rope.scaling.factor", &factor), given_old = get_num(r, "rope.scale_linear", &old);
    TRY(given);
    TRY(given_old);
    TRY(get_int(r, "rope.scaling.original_context_length", &original));
    if (!given)
        factor = old;
    if (!type)
        type = factor != 1 && factor != 0 ? "linear" : "none";
    const bool lists = has(r, "rope_freqs.weight") || has(r, "rope_factors_long.weight");
    if (lists && strcmp(type, "none") && strcmp(type, "longrope"))
        return ERR(r->err, UNSUPPORTED, "%s: rope.scaling.type is '%.60s' beside a tensor of RoPE factors, expected one of the two", r->where, type);
    if (lists)
        return read_rope_lists(r, o, original);
    if (!strcmp(type, "yarn"))
        return read_yarn(r, o, factor, original);
    TRY(no_attn_factor(r));
    if (!strcmp(type, "none"))
        return 0;
    if (strcmp(type, "linear"))
        return ERR(r->err, UNSUPPORTED, "%s: rope.scaling.type is '%.60s', expected none, linear, yarn or longrope", r->where, type);
    TRY(put(r, o, "rope_type", json_string(type)));
    return put(r, o, "factor", json_real(factor));
}

static int read_rope(const struct reader *r)
{
    const bool modern = r->arch == ARCH_MODERNBERT;
    double theta = 10000, local = 10000;
    TRY(get_num(r, "rope.freq_base", &theta));
    TRY(put_num(r, r->arch == ARCH_GPTNEOX ? "rotary_emb_base" : modern ? "global_rope_theta" : "rope_theta", theta));
    if (modern)
        local = theta;
    if (modern || r->arch == ARCH_GEMMA3) {
        TRY(get_num(r, "rope.freq_base_swa", &local));
        TRY(put_num(r, modern ? "local_rope_theta" : "rope_local_base_freq", local));
    }
    json_t *o = json_object();
    if (!o)
        return ERR(r->err, NOMEM, "no memory to read %s", r->where);
    const int rc = read_scaling(r, o);
    if (rc < 0 || !json_object_size(o)) {
        json_decref(o);
        return rc;
    }
    return put(r, r->o, "rope_scaling", o);
}

/* ---- windows, experts, MLA ---- */

/* 0 says none.  Which layers have one follows from the architecture; Gemma 3 and ModernBERT may name their period. */
static int read_window(const struct reader *r)
{
    const bool modern = r->arch == ARCH_MODERNBERT;
    int64_t window = r->arch == ARCH_GEMMA2 ? 4096 : 0, pattern;
    TRY(get_int(r, "attention.sliding_window", &window));
    if (modern && !window)
        return put_int(r, "global_attn_every_n_layers", 1);
    TRY(put(r, r->o, modern ? "local_attention" : "sliding_window", window ? json_integer(window) : json_null()));
    if (!modern && r->arch != ARCH_GEMMA3)
        return 0;
    char full[KEY_MAX];
    const struct gguf_pair *p = gguf_find(r->g, full_key(r, "attention.sliding_window_pattern", full));
    if (p && p->is_array)
        return ERR(r->err, UNSUPPORTED, "%s: %s is a list, expected a number", r->where, full);
    const int rc = get_int(r, "attention.sliding_window_pattern", &pattern);
    TRY(rc);
    return rc ? put_int(r, modern ? "global_attn_every_n_layers" : "sliding_window_pattern", pattern) : 0;
}

static int read_experts(const struct reader *r)
{
    const bool local = r->arch == ARCH_LLAMA || r->arch == ARCH_GPT_OSS;
    int64_t n = 0, top_k, shared = rows_of(r, "blk.0.ffn_gate_shexp.weight");
    char full[KEY_MAX];
    TRY(get_int(r, "expert_count", &n));
    if (r->arch == ARCH_LLAMA && !n)
        return 0;
    if (r->arch == ARCH_LLAMA)
        TRY(put_str(r, "model_type", "mixtral"));
    TRY(put_int(r, local ? "num_local_experts" : r->arch == ARCH_DEEPSEEK2 ? "n_routed_experts" : "num_experts", n));
    const int rc = get_int(r, "expert_used_count", &top_k);
    TRY(rc);
    if (!rc)
        return ERR(r->err, FORMAT, "%s: found no %s, expected it beside expert_count", r->where, full_key(r, "expert_used_count", full));
    TRY(put_int(r, "num_experts_per_tok", top_k));
    if (r->arch == ARCH_QWEN3MOE || r->arch == ARCH_QWEN2MOE || r->arch == ARCH_OLMOE)
        TRY(put_bool(r, "norm_topk_prob", r->arch == ARCH_QWEN3MOE));
    if (r->arch != ARCH_QWEN2MOE)
        return 0;
    TRY(get_int(r, "expert_shared_feed_forward_length", &shared));
    return put_int(r, "shared_expert_intermediate_size", shared);
}

/* 1 softmax, 2 sigmoid; older files do not say, and then V3's correction tells. */
static int read_deepseek_router(const struct reader *r)
{
    char name[48];
    int64_t func = 0, dense = 0, n_group = 0, n_chosen = 0;
    bool norm = false;
    double scale = 1;
    TRY(get_int(r, "leading_dense_block_count", &dense));
    TRY(put_int(r, "first_k_dense_replace", dense));
    TRY(get_num(r, "expert_weights_scale", &scale));
    TRY(put_num(r, "routed_scaling_factor", scale));
    snprintf(name, sizeof name, "blk.%lld.exp_probs_b.bias", (long long)dense);
    const bool correction = has(r, name);
    TRY(get_int(r, "expert_gating_func", &func));
    if (func > 2 || (func && (func == 2) != correction))
        return ERR(r->err, UNSUPPORTED, "%s: expert_gating_func is %lld %s a correction of its scores, expected 1 without or 2 with one", r->where,
                   (long long)func, correction ? "with" : "without");
    TRY(get_bool(r, "expert_weights_norm", &norm));
    TRY(get_int(r, "expert_group_count", &n_group));
    TRY(get_int(r, "expert_group_used_count", &n_chosen));
    TRY(put_bool(r, "norm_topk_prob", norm));
    TRY(put_int(r, "n_group", n_group ? n_group : 1));
    TRY(put_int(r, "topk_group", n_chosen ? n_chosen : 1));
    if (correction)
        return put_str(r, "model_type", "deepseek_v3");
    return put_str(r, "topk_method", n_group > 1 ? "group_limited_greedy" : "greedy");
}

/* Files since 2025 describe MLA as it is computed, with one shared head, and keep the heads' own sizes in key_length_mla. */
static int read_mla(const struct reader *r)
{
    int64_t n_head = 0, d_key = 0, d_value = 0, d_rot = 0, rank;
    TRY(get_int(r, "attention.head_count", &n_head));
    TRY(put_int(r, "num_key_value_heads", n_head));
    TRY(get_int(r, "attention.key_length", &d_key));
    TRY(get_int(r, "attention.value_length", &d_value));
    TRY(get_int(r, "attention.key_length_mla", &d_key));
    TRY(get_int(r, "attention.value_length_mla", &d_value));
    TRY(get_int(r, "rope.dimension_count", &d_rot));
    if (d_rot >= d_key)
        return ERR(r->err, FORMAT, "%s: %lld of %lld numbers of a key turn, expected less than all", r->where, (long long)d_rot, (long long)d_key);
    TRY(put_int(r, "qk_rope_head_dim", d_rot));
    TRY(put_int(r, "qk_nope_head_dim", d_key - d_rot));
    TRY(put_int(r, "v_head_dim", d_value));
    const int rc = get_int(r, "attention.q_lora_rank", &rank);
    TRY(rc);
    TRY(put(r, r->o, "q_lora_rank", rc && rank ? json_integer(rank) : json_null()));
    return read_deepseek_router(r);
}

/* ---- the rest ---- */

static int read_act(const struct reader *r)
{
    char full[KEY_MAX];
    const char *act = NULL;
    TRY(gguf_get_str(r->g, full_key(r, "hidden_activation", full), &act, r->err));
    return act ? put_str(r, "hidden_activation", act) : 0;
}

static int read_ids(const struct reader *r)
{
    int64_t bos, eos, eot;
    const int64_t most = rows_of(r, "token_embd.weight") - 1;
    const int has_bos = gguf_get_int(r->g, "tokenizer.ggml.bos_token_id", 0, most, &bos, r->err);
    TRY(has_bos);
    TRY(put(r, r->o, "bos_token_id", has_bos ? json_integer(bos) : json_null()));
    const int has_eos = gguf_get_int(r->g, "tokenizer.ggml.eos_token_id", 0, most, &eos, r->err);
    TRY(has_eos);
    const int has_eot = gguf_get_int(r->g, "tokenizer.ggml.eot_token_id", 0, most, &eot, r->err);
    TRY(has_eot);
    json_t *list = json_array();
    if ((has_eos && json_array_append_new(list, json_integer(eos)) < 0) ||
        (has_eot && (!has_eos || eot != eos) && json_array_append_new(list, json_integer(eot)) < 0)) {
        json_decref(list);
        list = NULL;
    }
    return put(r, r->o, "eos_token_id", list);
}

static bool is_used(const struct reader *r, const char *key)
{
    for (size_t i = 0; i < N_ROW; i++)
        if ((rows[i].archs & 1u << r->arch) && !strcmp(rows[i].key, key))
            return true;
    for (size_t i = 0; i < N_USED; i++)
        if ((used[i].archs & 1u << r->arch) && !strcmp(used[i].key, key))
            return true;
    return false;
}

static int warn_unused(const struct reader *r, struct buf *warnings)
{
    const char *word = archs[r->arch].word;
    const size_t n = strlen(word);
    for (int i = 0; warnings && i < gguf_n_pair(r->g); i++) {
        const char *key = gguf_pair(r->g, i)->key;
        if (strncmp(key, word, n) || key[n] != '.' || is_used(r, key + n + 1))
            continue;
        char shown[104];
        snprintf(shown, sizeof shown, "%s", key);
        err_tidy(shown);
        TRY(buf_printf(warnings, r->err, "%s: %s: unknown key, not used\n", r->where, shown));
    }
    return 0;
}

/* Two keys that say what is always so. */
static int check_fixed(const struct reader *r)
{
    double eps = 1e-5;
    bool causal = false;
    if (r->arch == ARCH_OLMO)
        TRY(get_num(r, "attention.layer_norm_epsilon", &eps));
    if (1u << r->arch & A_ENCODERS)
        TRY(get_bool(r, "attention.causal", &causal));
    if (eps != 1e-5 || causal)
        return ERR(r->err, UNSUPPORTED, "%s: %s.attention.%s, expected %s", r->where, archs[r->arch].word,
                   causal ? "causal is true" : "layer_norm_epsilon is another", causal ? "false" : "1e-05");
    return 0;
}

static int read_all(struct reader *r, struct buf *warnings)
{
    TRY(read_arch(r));
    const unsigned a = 1u << r->arch;
    for (size_t i = 0; i < N_ROW; i++)
        if (rows[i].archs & a)
            TRY(copy_row(r, &rows[i]));
    TRY(read_sizes(r));
    if (a & A_HEADS)
        TRY(read_heads(r));
    TRY(read_biases(r));
    if (a & A_ROPE)
        TRY(read_rope(r));
    if (a & A_WINDOW)
        TRY(read_window(r));
    if (a & A_EXPERTS)
        TRY(read_experts(r));
    if (r->arch == ARCH_DEEPSEEK2)
        TRY(read_mla(r));
    if (r->arch == ARCH_MODERNBERT)
        TRY(read_act(r));
    TRY(check_fixed(r));
    TRY(read_ids(r));
    return warn_unused(r, warnings);
}

int gguf_config(struct config *c, const struct gguf *g, struct buf *warnings, struct err *err)
{
    struct reader r = { .g = g, .o = json_object(), .where = gguf_file_name(g, 0), .err = err };
    if (!r.o)
        return ERR(err, NOMEM, "no memory to read %s", r.where);
    int rc = read_all(&r, warnings);
    char where[200];
    snprintf(where, sizeof where, "%.180s as config.json", r.where);       /* whose keys are in the messages */
    if (!rc)
        rc = config_read(c, r.o, where, NULL, err);
    json_decref(r.o);
    return rc;
}
