/* config_keys.h - the tables of config.c: which family says what under which key, and what it cannot say.
 *
 *   keys[]       key of a family -> field, with the family's default for an absent key (those of Hugging Face's
 *                configuration classes; newer families must say their sizes); read and written from the same row
 *   aliases[]    other spellings of a key
 *   fixed[]      fields that a family does not name because they are always the same; the first row of a field that has the
 *                family holds, and every field not named here nor in keys[] is zero
 *   windows[]    which layers have a window, where layer_types does not tell
 *   sizes[], numbers[]  bounds of the fields, with our name for messages where nothing in the file has one
 *   derived[]    what a field follows from where the file has no key for it
 *   musts[]      keys that change the maths: any value but the one we implement is an error
 *   training[]   keys that change only Hugging Face's training: other values are a warning
 *   harmless[]   keys that change nothing here
 * Whatever is in no table is a warning. */
#ifndef MODEL_CONFIG_KEYS_H
#define MODEL_CONFIG_KEYS_H
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include "model/config.h"

/* ---- words: the first of a value is the one that is written ---- */

struct word { const char *name; int value; };

#define X(name, word) { word, name },
static const struct word norm_words[] = { NORM_KINDS(X) { NULL, 0 } };
static const struct word place_words[] = { PLACE_KINDS(X) { NULL, 0 } };
static const struct word act_words[] = { ACT_KINDS(X) { NULL, 0 } };
static const struct word pos_words[] = { POS_KINDS(X) { NULL, 0 } };
static const struct word qk_norm_words[] = { QK_NORM_KINDS(X) { NULL, 0 } };
static const struct word router_words[] = { ROUTER_KINDS(X) { NULL, 0 } };
static const struct word label_pool_words[] = { LABEL_POOLS(X) { NULL, 0 } };
static const struct word rope_words[] = { ROPE_KINDS(X) { NULL, 0 } };
#undef X
#define X(name, type, class) { type, FAMILY_##name },
static const struct word family_words[] = { FAMILIES(X) { NULL, 0 } };
#undef X
static const struct word gpt2_acts[] = { { "gelu_new", ACT_GELU_TANH }, { "gelu_pytorch_tanh", ACT_GELU_TANH }, { "gelu_fast", ACT_GELU_TANH },
                                         { "gelu", ACT_GELU }, { NULL, 0 } };
static const struct word neox_acts[] = { { "gelu", ACT_GELU }, { "gelu_new", ACT_GELU_TANH }, { "gelu_fast", ACT_GELU_TANH },
                                         { "gelu_pytorch_tanh", ACT_GELU_TANH }, { NULL, 0 } };
static const struct word image_pools[] = { { "cls", LABEL_FIRST }, { "mean", LABEL_MEAN }, { NULL, 0 } };
static const struct word gated_acts[] = { { "silu", ACT_SWIGLU }, { "swish", ACT_SWIGLU }, { NULL, 0 } };
/* Gemma's first files say gelu and mean the approximation, as the class that reads them does. */
static const struct word gemma_acts[] = { { "gelu_pytorch_tanh", ACT_GEGLU_TANH }, { "gelu", ACT_GEGLU_TANH }, { NULL, 0 } };
static const struct word modern_acts[] = { { "gelu", ACT_GEGLU }, { "silu", ACT_SWIGLU }, { "swish", ACT_SWIGLU }, { "gelu_pytorch_tanh", ACT_GEGLU_TANH },
                                           { "gelu_new", ACT_GEGLU_TANH }, { NULL, 0 } };
static const struct word oss_acts[] = { { "silu", ACT_SWIGLU_CLAMPED }, { NULL, 0 } };
static const struct word group_words[] = { { "greedy", 0 }, { "group_limited_greedy", 1 }, { NULL, 0 } };
static const struct word dtype_words[] = { { "float32", ST_F32 }, { "bfloat16", ST_BF16 }, { "float16", ST_F16 }, { "float64", ST_F64 },
                                           { "float", ST_F32 }, { "half", ST_F16 }, { "double", ST_F64 }, { NULL, 0 } };

/* ---- families ---- */

enum {
    F_LLAMAS = F_LLAMA | F_MISTRAL | F_MIXTRAL | F_QWEN2 | F_QWEN2_MOE | F_QWEN3 | F_QWEN3_MOE | F_OLMO | F_OLMO2 | F_OLMOE | F_GEMMAS |
               F_PHI3 | F_SMOLLM3 | F_GPT_OSS | F_DEEPSEEKS,        /* Llama's keys and names */
    F_HF = F_LLAMAS | F_GPT_NEOX | F_BERT | F_ROBERTA | F_XLM_ROBERTA | F_MODERNBERT,      /* hidden_size and so on */
    F_QWEN_MOES = F_QWEN2_MOE | F_QWEN3_MOE,
    F_MOES = F_MIXTRAL | F_OLMOE | F_QWEN_MOES | F_GPT_OSS | F_DEEPSEEKS,
    F_OLD = F_LLAMA | F_MIXTRAL | F_OLMOE,                          /* have Hugging Face's sizes as defaults */
    F_TYPES = F_QWEN2 | F_QWEN2_MOE | F_QWEN3 | F_GEMMA2 | F_GEMMA3 | F_SMOLLM3 | F_GPT_OSS | F_MODERNBERT | F_LATHE_GPT,       /* have layer_types */
    F_WINDOWS = F_TYPES | F_MISTRAL | F_MIXTRAL | F_PHI3 | F_QWEN3_MOE,
    F_USE_WINDOWS = F_QWEN2 | F_QWEN_MOES | F_QWEN3 | F_SMOLLM3,    /* have use_sliding_window, false when absent */
    F_GPTS = F_GPT2 | F_GPT_NEOX,
    F_FULL_HEADS = F_GPTS | F_ENCODERS | F_VIT,                                /* as many key/value heads as heads */
    F_SQUARE = F_FULL_HEADS | F_OLMO | F_OLMO2 | F_OLMOE | F_PHI3 | F_QWEN2 | F_QWEN2_MOE,       /* heads make up the width */
};
#define BUT(families) (F_ALL & ~(families))

enum kind { KIND_INT, KIND_NUM, KIND_BOOL, KIND_WORD };
static_assert(sizeof(enum norm_kind) == sizeof(int) && sizeof(enum act_kind) == sizeof(int), "words are stored through int *");

#define AT(field) offsetof(struct config, field)
#define REQUIRED NAN
#define DERIVED (-1)           /* absent or null: from other fields, in derive() */
/* A key Hugging Face does not have in this family: read, and written only when it differs from the default. */
#define OURS 1
#define UNWRITTEN 2            /* read only: the family always has what derive() gives */
#define NULL_IS_0 4            /* null says none, which is not the default; none is written as null */
#define WHOLE 16               /* transformers takes none but a whole number: written without a point, if it is one */
#define ALSO 8                 /* the same key as the row above, into one more field: they are equal */

static const struct key {
    unsigned families;
    const char *name;
    enum kind kind;
    size_t at;
    double fallback;
    const struct word *words;
    int flags;
} keys[] = {
    /* sizes */
    { F_GPT2, "vocab_size", KIND_INT, AT(vocab_size), 50257, NULL, 0 },
    { F_LLAMA | F_MIXTRAL, "vocab_size", KIND_INT, AT(vocab_size), 32000, NULL, 0 },
    { F_OLMOE, "vocab_size", KIND_INT, AT(vocab_size), 50304, NULL, 0 },
    { BUT(F_GPT2 | F_OLD | F_VIT), "vocab_size", KIND_INT, AT(vocab_size), REQUIRED, NULL, 0 },
    { F_GPT2, "n_embd", KIND_INT, AT(d_model), 768, NULL, 0 },
    { F_GPT2, "n_layer", KIND_INT, AT(n_layer), 12, NULL, 0 },
    { F_GPT2, "n_head", KIND_INT, AT(n_head), 12, NULL, 0 },
    { F_GPT2, "n_inner", KIND_INT, AT(d_ff), DERIVED, NULL, 0 },
    { F_GPT2, "n_positions", KIND_INT, AT(ctx), 1024, NULL, 0 },
    { F_GPT2, "activation_function", KIND_WORD, AT(act), ACT_GELU_TANH, gpt2_acts, 0 },
    { F_GPT2, "layer_norm_epsilon", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_GPT2, "resid_pdrop", KIND_NUM, AT(dropout), 0.1, NULL, 0 },

    { F_LLAMA | F_MIXTRAL, "hidden_size", KIND_INT, AT(d_model), 4096, NULL, 0 },
    { F_OLMOE, "hidden_size", KIND_INT, AT(d_model), 2048, NULL, 0 },
    { (F_HF | F_LATHE_GPT) & ~F_OLD, "hidden_size", KIND_INT, AT(d_model), REQUIRED, NULL, 0 },
    { F_LLAMA | F_MIXTRAL, "num_hidden_layers", KIND_INT, AT(n_layer), 32, NULL, 0 },
    { F_OLMOE, "num_hidden_layers", KIND_INT, AT(n_layer), 16, NULL, 0 },
    { (F_HF | F_LATHE_GPT) & ~F_OLD, "num_hidden_layers", KIND_INT, AT(n_layer), REQUIRED, NULL, 0 },
    { F_LLAMA | F_MIXTRAL, "num_attention_heads", KIND_INT, AT(n_head), 32, NULL, 0 },
    { F_OLMOE, "num_attention_heads", KIND_INT, AT(n_head), 16, NULL, 0 },
    { (F_HF | F_LATHE_GPT) & ~F_OLD, "num_attention_heads", KIND_INT, AT(n_head), REQUIRED, NULL, 0 },
    { F_MIXTRAL, "num_key_value_heads", KIND_INT, AT(n_kv_head), 8, NULL, 0 },
    { (F_LLAMAS | F_LATHE_GPT) & ~F_MIXTRAL, "num_key_value_heads", KIND_INT, AT(n_kv_head), DERIVED, NULL, 0 },
    { F_OLMO | F_OLMO2 | F_OLMOE | F_PHI3 | F_QWEN2 | F_QWEN2_MOE, "head_dim", KIND_INT, AT(d_head), DERIVED, NULL, UNWRITTEN },
    { F_GEMMAS | F_GPT_OSS | F_QWEN3, "head_dim", KIND_INT, AT(d_head), REQUIRED, NULL, 0 },
    { F_LLAMA | F_MISTRAL | F_MIXTRAL | F_QWEN3_MOE | F_SMOLLM3 | F_LATHE_GPT, "head_dim", KIND_INT, AT(d_head), DERIVED, NULL, 0 },
    { F_LLAMA, "intermediate_size", KIND_INT, AT(d_ff), 11008, NULL, 0 },
    { F_MIXTRAL, "intermediate_size", KIND_INT, AT(d_ff_expert), 14336, NULL, 0 },
    { F_OLMOE, "intermediate_size", KIND_INT, AT(d_ff_expert), 2048, NULL, 0 },
    { F_GPT_OSS, "intermediate_size", KIND_INT, AT(d_ff_expert), REQUIRED, NULL, 0 },
    { F_LATHE_GPT, "intermediate_size", KIND_INT, AT(d_ff), 0, NULL, 0 },
    { F_HF & ~(F_OLD | F_GPT_OSS), "intermediate_size", KIND_INT, AT(d_ff), REQUIRED, NULL, 0 },
    { F_LLAMA, "max_position_embeddings", KIND_INT, AT(ctx), 2048, NULL, 0 },
    { F_MIXTRAL, "max_position_embeddings", KIND_INT, AT(ctx), 131072, NULL, 0 },
    { F_OLMOE, "max_position_embeddings", KIND_INT, AT(ctx), 4096, NULL, 0 },
    { F_GPT_OSS, "max_position_embeddings", KIND_INT, AT(ctx), 131072, NULL, 0 },
    { BUT(F_GPT2 | F_OLD | F_GPT_OSS | F_VIT), "max_position_embeddings", KIND_INT, AT(ctx), REQUIRED, NULL, 0 },

    /* encoders */
    { F_BERT | F_ROBERTA | F_XLM_ROBERTA, "type_vocab_size", KIND_INT, AT(n_type), 2, NULL, 0 },
    { F_DISTILBERT, "dim", KIND_INT, AT(d_model), REQUIRED, NULL, 0 },
    { F_DISTILBERT, "n_layers", KIND_INT, AT(n_layer), REQUIRED, NULL, 0 },
    { F_DISTILBERT, "n_heads", KIND_INT, AT(n_head), REQUIRED, NULL, 0 },
    { F_DISTILBERT, "hidden_dim", KIND_INT, AT(d_ff), REQUIRED, NULL, 0 },
    { F_DISTILBERT, "activation", KIND_WORD, AT(act), ACT_GELU, neox_acts, 0 },
    { F_BERT | F_ROBERTA | F_XLM_ROBERTA, "layer_norm_eps", KIND_NUM, AT(norm_eps), 1e-12, NULL, 0 },

    /* images */
    { F_VIT, "hidden_size", KIND_INT, AT(d_model), 768, NULL, 0 },
    { F_VIT, "num_hidden_layers", KIND_INT, AT(n_layer), 12, NULL, 0 },
    { F_VIT, "num_attention_heads", KIND_INT, AT(n_head), 12, NULL, 0 },
    { F_VIT, "intermediate_size", KIND_INT, AT(d_ff), 3072, NULL, 0 },
    { F_VIT, "hidden_act", KIND_WORD, AT(act), ACT_GELU, neox_acts, 0 },
    { F_VIT, "hidden_dropout_prob", KIND_NUM, AT(dropout), 0, NULL, 0 },
    { F_VIT, "layer_norm_eps", KIND_NUM, AT(norm_eps), 1e-12, NULL, 0 },
    { F_VIT, "image_size", KIND_INT, AT(image_size), 224, NULL, 0 },
    { F_VIT, "patch_size", KIND_INT, AT(patch_size), 16, NULL, 0 },
    { F_VIT, "num_channels", KIND_INT, AT(n_channel), 3, NULL, 0 },
    { F_VIT, "qkv_bias", KIND_BOOL, AT(qkv_bias), 1, NULL, 0 },
    { F_VIT, "classifier_pooling", KIND_WORD, AT(label_pool), LABEL_FIRST, image_pools, OURS },

    { F_MODERNBERT, "norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_MODERNBERT, "norm_bias", KIND_BOOL, AT(norm_bias), 0, NULL, 0 },
    { F_MODERNBERT, "hidden_activation", KIND_WORD, AT(act), ACT_GEGLU, modern_acts, 0 },
    { F_MODERNBERT, "attention_bias", KIND_BOOL, AT(qkv_bias), 0, NULL, 0 },
    { F_MODERNBERT, "attention_bias", KIND_BOOL, AT(o_bias), 0, NULL, ALSO },
    { F_MODERNBERT, "global_rope_theta", KIND_NUM, AT(rope.theta), 160000, NULL, 0 },
    { F_MODERNBERT, "local_rope_theta", KIND_NUM, AT(rope_local_theta), 10000, NULL, NULL_IS_0 },

    /* forms */
    { F_LLAMAS & ~(F_GEMMAS | F_GPT_OSS), "hidden_act", KIND_WORD, AT(act), ACT_SWIGLU, gated_acts, 0 },
    { F_GPT_OSS, "hidden_act", KIND_WORD, AT(act), ACT_SWIGLU_CLAMPED, oss_acts, 0 },
    { F_GEMMA, "hidden_act", KIND_WORD, AT(act), ACT_GEGLU_TANH, gemma_acts, 0 },
    { F_GEMMA2 | F_GEMMA3, "hidden_activation", KIND_WORD, AT(act), ACT_GEGLU_TANH, gemma_acts, 0 },
    { F_GPT_NEOX | F_BERT | F_ROBERTA | F_XLM_ROBERTA, "hidden_act", KIND_WORD, AT(act), ACT_GELU, neox_acts, 0 },
    { F_MIXTRAL | F_OLMO2 | F_OLMOE | F_PHI3 | F_GPT_OSS, "rms_norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_LLAMAS & ~(F_MIXTRAL | F_OLMO | F_OLMO2 | F_OLMOE | F_PHI3 | F_GPT_OSS), "rms_norm_eps", KIND_NUM, AT(norm_eps), 1e-6, NULL, 0 },
    { F_GPT_NEOX, "layer_norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_GPT_NEOX, "use_parallel_residual", KIND_BOOL, AT(parallel), 1, NULL, 0 },
    { F_LLAMA | F_QWEN3 | F_QWEN3_MOE | F_OLMO | F_OLMO2 | F_OLMOE | F_SMOLLM3 | F_GEMMAS | F_DEEPSEEKS, "attention_bias", KIND_BOOL, AT(qkv_bias), 0, NULL, 0 },
    { F_GPT_OSS | F_GPT_NEOX, "attention_bias", KIND_BOOL, AT(qkv_bias), 1, NULL, 0 },
    { F_LLAMA | F_QWEN3 | F_QWEN3_MOE | F_OLMO | F_OLMO2 | F_OLMOE | F_SMOLLM3 | F_GEMMAS | F_DEEPSEEKS, "attention_bias", KIND_BOOL, AT(o_bias), 0, NULL, ALSO },
    { F_GPT_OSS | F_GPT_NEOX, "attention_bias", KIND_BOOL, AT(o_bias), 1, NULL, ALSO },
    { F_QWEN2_MOE, "qkv_bias", KIND_BOOL, AT(qkv_bias), 1, NULL, 0 },
    { F_LLAMA | F_SMOLLM3 | F_MODERNBERT, "mlp_bias", KIND_BOOL, AT(mlp_bias), 0, NULL, 0 },
    { F_GEMMA2, "attn_logit_softcapping", KIND_NUM, AT(score_cap), 50, NULL, NULL_IS_0 },
    { F_GEMMA2, "final_logit_softcapping", KIND_NUM, AT(logit_cap), 30, NULL, NULL_IS_0 },
    { F_GEMMA3 | F_LATHE_GPT, "attn_logit_softcapping", KIND_NUM, AT(score_cap), 0, NULL, NULL_IS_0 },
    { F_GEMMA3 | F_LATHE_GPT, "final_logit_softcapping", KIND_NUM, AT(logit_cap), 0, NULL, NULL_IS_0 },
    { F_OLMO | F_OLMOE | F_LATHE_GPT, "clip_qkv", KIND_NUM, AT(qkv_clip), 0, NULL, NULL_IS_0 },
    { F_GEMMA2 | F_GEMMA3, "query_pre_attn_scalar", KIND_NUM, AT(query_scalar), REQUIRED, NULL, WHOLE },
    { F_LATHE_GPT, "query_pre_attn_scalar", KIND_NUM, AT(query_scalar), 0, NULL, OURS },

    /* positions */
    { F_LLAMAS & ~(F_MIXTRAL | F_SMOLLM3 | F_GEMMA3 | F_GPT_OSS), "rope_theta", KIND_NUM, AT(rope.theta), 10000, NULL, 0 },
    { F_LATHE_GPT, "rope_theta", KIND_NUM, AT(rope.theta), 10000, NULL, 0 },
    { F_MIXTRAL | F_GEMMA3, "rope_theta", KIND_NUM, AT(rope.theta), 1e6, NULL, 0 },
    { F_SMOLLM3, "rope_theta", KIND_NUM, AT(rope.theta), 2e6, NULL, 0 },
    { F_GPT_OSS, "rope_theta", KIND_NUM, AT(rope.theta), 150000, NULL, 0 },
    { F_GPT_NEOX, "rotary_emb_base", KIND_NUM, AT(rope.theta), 10000, NULL, 0 },
    { F_GPT_NEOX, "rotary_pct", KIND_NUM, AT(rope_share), 0.25, NULL, 0 },
    { F_GEMMA3, "rope_local_base_freq", KIND_NUM, AT(rope_local_theta), 10000, NULL, 0 },
    { F_LATHE_GPT, "rope_local_base_freq", KIND_NUM, AT(rope_local_theta), 0, NULL, OURS },
    { F_PHI3, "original_max_position_embeddings", KIND_INT, AT(rope.original_ctx), 4096, NULL, 0 },
    { F_LLAMAS & ~F_DEEPSEEKS, "partial_rotary_factor", KIND_NUM, AT(rope_share), 1, NULL, OURS },
    { F_LATHE_GPT, "partial_rotary_factor", KIND_NUM, AT(rope_share), 1, NULL, 0 },
    { F_DEEPSEEK3, "rope_interleave", KIND_BOOL, AT(rope_pairs), 1, NULL, 0 },
    { F_LATHE_GPT, "rope_pairs", KIND_BOOL, AT(rope_pairs), 0, NULL, 0 },
    { F_LATHE_GPT, "sliding_window", KIND_INT, AT(window), 0, NULL, NULL_IS_0 },
    { F_TYPES & ~(F_GPT_OSS | F_SMOLLM3 | F_MODERNBERT | F_LATHE_GPT), "sliding_window", KIND_INT, AT(window), 4096, NULL, NULL_IS_0 },
    { F_MISTRAL | F_QWEN3_MOE, "sliding_window", KIND_INT, AT(window), 4096, NULL, NULL_IS_0 },
    { F_MIXTRAL | F_PHI3 | F_SMOLLM3, "sliding_window", KIND_INT, AT(window), 0, NULL, NULL_IS_0 },
    { F_GPT_OSS, "sliding_window", KIND_INT, AT(window), 128, NULL, NULL_IS_0 },

    /* MLA */
    { F_DEEPSEEKS, "q_lora_rank", KIND_INT, AT(q_rank), 1536, NULL, NULL_IS_0 },
    { F_DEEPSEEKS, "kv_lora_rank", KIND_INT, AT(kv_rank), 512, NULL, 0 },
    { F_DEEPSEEKS, "qk_nope_head_dim", KIND_INT, AT(d_nope), 128, NULL, 0 },
    { F_DEEPSEEKS, "v_head_dim", KIND_INT, AT(d_v), 128, NULL, 0 },

    /* our own */
    { F_LATHE_GPT, "norm", KIND_WORD, AT(norm), NORM_RMS, norm_words, 0 },
    { F_LATHE_GPT, "norm_place", KIND_WORD, AT(place), PLACE_BEFORE, place_words, 0 },
    { F_LATHE_GPT, "norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_LATHE_GPT, "norm_gain", KIND_BOOL, AT(norm_gain), 1, NULL, 0 },
    { F_LATHE_GPT, "norm_bias", KIND_BOOL, AT(norm_bias), 0, NULL, 0 },
    { F_LATHE_GPT, "parallel_residual", KIND_BOOL, AT(parallel), 0, NULL, 0 },
    { F_LATHE_GPT, "embed_scale", KIND_BOOL, AT(embed_scale), 0, NULL, 0 },
    { F_LATHE_GPT, "act", KIND_WORD, AT(act), ACT_SWIGLU, act_words, 0 },
    { F_LATHE_GPT, "linear_bias", KIND_BOOL, AT(qkv_bias), 0, NULL, 0 },
    { F_LATHE_GPT, "linear_bias", KIND_BOOL, AT(o_bias), 0, NULL, ALSO },
    { F_LATHE_GPT, "linear_bias", KIND_BOOL, AT(mlp_bias), 0, NULL, ALSO },
    { F_LATHE_GPT, "pos", KIND_WORD, AT(pos), POS_ROPE, pos_words, 0 },
    { F_LATHE_GPT, "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_NONE, qk_norm_words, 0 },

    /* experts */
    { F_MIXTRAL, "num_local_experts", KIND_INT, AT(n_expert), 8, NULL, 0 },
    { F_GPT_OSS, "num_local_experts", KIND_INT, AT(n_expert), REQUIRED, NULL, 0 },
    { F_OLMOE, "num_experts", KIND_INT, AT(n_expert), 64, NULL, 0 },
    { F_QWEN_MOES, "num_experts", KIND_INT, AT(n_expert), REQUIRED, NULL, 0 },
    { F_DEEPSEEKS, "n_routed_experts", KIND_INT, AT(n_expert), REQUIRED, NULL, 0 },
    { F_LATHE_GPT, "num_experts", KIND_INT, AT(n_expert), 0, NULL, 0 },
    { F_MIXTRAL, "num_experts_per_tok", KIND_INT, AT(top_k), 2, NULL, 0 },
    { F_OLMOE, "num_experts_per_tok", KIND_INT, AT(top_k), 8, NULL, 0 },
    { F_QWEN_MOES | F_GPT_OSS | F_DEEPSEEKS, "num_experts_per_tok", KIND_INT, AT(top_k), REQUIRED, NULL, 0 },
    { F_LATHE_GPT, "num_experts_per_tok", KIND_INT, AT(top_k), 0, NULL, 0 },
    { F_QWEN_MOES | F_DEEPSEEKS, "moe_intermediate_size", KIND_INT, AT(d_ff_expert), REQUIRED, NULL, 0 },
    { F_LATHE_GPT, "moe_intermediate_size", KIND_INT, AT(d_ff_expert), DERIVED, NULL, 0 },
    { F_QWEN2_MOE, "shared_expert_intermediate_size", KIND_INT, AT(d_ff_shared), REQUIRED, NULL, 0 },
    { F_LATHE_GPT, "shared_expert_intermediate_size", KIND_INT, AT(d_ff_shared), 0, NULL, 0 },
    { F_LATHE_GPT, "shared_expert_gate", KIND_BOOL, AT(shared_gate), 0, NULL, 0 },
    { F_OLMOE | F_QWEN_MOES, "norm_topk_prob", KIND_BOOL, AT(norm_topk), 0, NULL, 0 },
    { F_DEEPSEEK3 | F_LATHE_GPT, "norm_topk_prob", KIND_BOOL, AT(norm_topk), 1, NULL, 0 },
    { F_LATHE_GPT, "scoring_func", KIND_WORD, AT(router), ROUTER_SOFTMAX, router_words, OURS },
    { F_LATHE_GPT, "expert_bias", KIND_BOOL, AT(expert_bias), 0, NULL, OURS },
    { F_LATHE_GPT, "e_score_correction_bias", KIND_BOOL, AT(router_correction), 0, NULL, OURS },
    { F_DEEPSEEK2, "routed_scaling_factor", KIND_NUM, AT(route_scale), 1, NULL, 0 },
    { F_DEEPSEEK3, "routed_scaling_factor", KIND_NUM, AT(route_scale), 2.5, NULL, 0 },
    { F_LATHE_GPT, "routed_scaling_factor", KIND_NUM, AT(route_scale), 1, NULL, OURS },
    { F_DEEPSEEK2, "topk_method", KIND_WORD, AT(group_best), 0, group_words, 0 },
    { F_DEEPSEEK2, "n_group", KIND_INT, AT(n_group), 0, NULL, NULL_IS_0 },
    { F_DEEPSEEK2, "topk_group", KIND_INT, AT(n_group_chosen), 0, NULL, NULL_IS_0 },
    { F_DEEPSEEK3, "n_group", KIND_INT, AT(n_group), 8, NULL, 0 },
    { F_DEEPSEEK3, "topk_group", KIND_INT, AT(n_group_chosen), 4, NULL, 0 },
    { F_MIXTRAL | F_QWEN_MOES | F_GPT_OSS, "router_aux_loss_coef", KIND_NUM, AT(aux_loss), 0.001, NULL, 0 },
    { F_OLMOE, "router_aux_loss_coef", KIND_NUM, AT(aux_loss), 0.01, NULL, 0 },
    { F_LATHE_GPT, "router_aux_loss_coef", KIND_NUM, AT(aux_loss), 0, NULL, 0 },
    { F_MOES, "router_z_loss_coef", KIND_NUM, AT(z_loss), 0, NULL, OURS },
    { F_LATHE_GPT, "router_z_loss_coef", KIND_NUM, AT(z_loss), 0, NULL, 0 },

    { BUT(F_GPT2 | F_ENCODERS | F_VIT), "dropout", KIND_NUM, AT(dropout), 0, NULL, OURS },
    { F_ALL, "initializer_range", KIND_NUM, AT(init_std), 0.02, NULL, 0 },
    { F_GPT2 | F_GEMMAS | F_SMOLLM3, "tie_word_embeddings", KIND_BOOL, AT(tie_embeddings), 1, NULL, 0 },
    { BUT(F_GPT2 | F_GEMMAS | F_SMOLLM3 | F_ENCODERS | F_VIT), "tie_word_embeddings", KIND_BOOL, AT(tie_embeddings), 0, NULL, 0 },
};
#define N_KEY (sizeof keys / sizeof *keys)

static const struct { unsigned families; const char *key, *other; } aliases[] = {
    { F_QWEN_MOES, "num_experts", "num_local_experts" },
    { F_GPT_OSS, "num_experts_per_tok", "experts_per_token" },
    { F_MODERNBERT, "norm_eps", "layer_norm_eps" },
};
#define N_ALIAS (sizeof aliases / sizeof *aliases)

static const struct fixed {
    unsigned families;
    const char *name;
    enum kind kind;
    size_t at;
    double value;
    const struct word *words;
} fixed[] = {
    { F_GPTS | F_ENCODERS | F_OLMO | F_VIT, "norm", KIND_WORD, AT(norm), NORM_LAYER, norm_words },
    { F_LLAMAS & ~F_OLMO, "norm", KIND_WORD, AT(norm), NORM_RMS, norm_words },
    { F_GPTS | F_BERTS | F_VIT, "norm_bias", KIND_BOOL, AT(norm_bias), true, NULL },
    { F_LLAMAS, "norm_bias", KIND_BOOL, AT(norm_bias), false, NULL },
    { BUT(F_OLMO | F_LATHE_GPT), "norm_gain", KIND_BOOL, AT(norm_gain), true, NULL },
    { F_OLMO, "norm_gain", KIND_BOOL, AT(norm_gain), false, NULL },
    { F_OLMO, "norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL },
    { F_DISTILBERT, "norm_eps", KIND_NUM, AT(norm_eps), 1e-12, NULL },
    { F_GEMMAS, "norm_plus_one", KIND_BOOL, AT(norm_plus_one), true, NULL },
    { BUT(F_GEMMAS), "norm_plus_one", KIND_BOOL, AT(norm_plus_one), false, NULL },
    { F_GEMMA2 | F_GEMMA3, "norm_place", KIND_WORD, AT(place), PLACE_BOTH, place_words },
    { F_OLMO2, "norm_place", KIND_WORD, AT(place), PLACE_AFTER, place_words },
    { F_BERTS, "norm_place", KIND_WORD, AT(place), PLACE_SUM, place_words },
    { BUT(F_GEMMA2 | F_GEMMA3 | F_OLMO2 | F_BERTS | F_LATHE_GPT), "norm_place", KIND_WORD, AT(place), PLACE_BEFORE, place_words },
    { BUT(F_GPT_NEOX | F_LATHE_GPT), "parallel_residual", KIND_BOOL, AT(parallel), false, NULL },
    { F_ENCODERS | F_VIT, "encoder", KIND_BOOL, AT(encoder), true, NULL },
    { BUT(F_ENCODERS | F_VIT), "encoder", KIND_BOOL, AT(encoder), false, NULL },
    { F_ROBERTA | F_XLM_ROBERTA, "pos_first", KIND_INT, AT(pos_first), 2, NULL },
    { BUT(F_ROBERTA | F_XLM_ROBERTA), "pos_first", KIND_INT, AT(pos_first), 0, NULL },
    { BUT(F_BERT | F_ROBERTA | F_XLM_ROBERTA), "n_type", KIND_INT, AT(n_type), 0, NULL },
    { F_ENCODERS, "tie_embeddings", KIND_BOOL, AT(tie_embeddings), true, NULL },
    { F_VIT, "tie_embeddings", KIND_BOOL, AT(tie_embeddings), false, NULL },
    { F_VIT, "vocab_size", KIND_INT, AT(vocab_size), 1, NULL },
    { BUT(F_VIT), "image_size", KIND_INT, AT(image_size), 0, NULL },
    { BUT(F_VIT), "patch_size", KIND_INT, AT(patch_size), 0, NULL },
    { BUT(F_VIT), "n_channel", KIND_INT, AT(n_channel), 0, NULL },
    { F_ENCODERS, "label_pool", KIND_WORD, AT(label_pool), LABEL_FIRST, label_pool_words },
    { BUT(F_ENCODERS | F_VIT), "label_pool", KIND_WORD, AT(label_pool), LABEL_LAST, label_pool_words },
    { F_ENCODERS, "dropout", KIND_NUM, AT(dropout), 0, NULL },
    { F_GEMMAS, "embed_scale", KIND_BOOL, AT(embed_scale), true, NULL },
    { BUT(F_GEMMAS | F_LATHE_GPT), "embed_scale", KIND_BOOL, AT(embed_scale), false, NULL },

    { F_GPT2 | F_QWEN2 | F_BERTS, "qkv_bias", KIND_BOOL, AT(qkv_bias), true, NULL },
    { F_MISTRAL | F_MIXTRAL | F_PHI3, "qkv_bias", KIND_BOOL, AT(qkv_bias), false, NULL },
    { F_GPT2 | F_BERTS | F_VIT, "o_bias", KIND_BOOL, AT(o_bias), true, NULL },
    { F_MISTRAL | F_MIXTRAL | F_PHI3 | F_QWEN2 | F_QWEN2_MOE, "o_bias", KIND_BOOL, AT(o_bias), false, NULL },
    { F_GPTS | F_BERTS | F_VIT, "mlp_bias", KIND_BOOL, AT(mlp_bias), true, NULL },
    { F_LLAMAS & ~(F_LLAMA | F_SMOLLM3), "mlp_bias", KIND_BOOL, AT(mlp_bias), false, NULL },
    { F_GPT_OSS, "sinks", KIND_BOOL, AT(sinks), true, NULL },
    { BUT(F_GPT_OSS), "sinks", KIND_BOOL, AT(sinks), false, NULL },
    { F_OLMO2 | F_OLMOE, "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_FULL, qk_norm_words },
    { F_QWEN3 | F_QWEN3_MOE | F_GEMMA3, "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_HEAD, qk_norm_words },
    { BUT(F_OLMO2 | F_OLMOE | F_QWEN3 | F_QWEN3_MOE | F_GEMMA3 | F_LATHE_GPT), "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_NONE, qk_norm_words },
    { BUT(F_GEMMA2 | F_GEMMA3 | F_LATHE_GPT), "query_scalar", KIND_NUM, AT(query_scalar), 0, NULL },
    { BUT(F_OLMO | F_OLMOE | F_LATHE_GPT), "qkv_clip", KIND_NUM, AT(qkv_clip), 0, NULL },
    { BUT(F_GEMMA2 | F_GEMMA3 | F_LATHE_GPT), "score_cap", KIND_NUM, AT(score_cap), 0, NULL },
    { BUT(F_GEMMA2 | F_GEMMA3 | F_LATHE_GPT), "logit_cap", KIND_NUM, AT(logit_cap), 0, NULL },
    { BUT(F_WINDOWS), "window", KIND_INT, AT(window), 0, NULL },
    { BUT(F_DEEPSEEKS), "kv_rank", KIND_INT, AT(kv_rank), 0, NULL },

    { F_GPT2 | F_BERTS | F_VIT, "pos", KIND_WORD, AT(pos), POS_LEARNED, pos_words },
    { F_LLAMAS | F_GPT_NEOX | F_MODERNBERT, "pos", KIND_WORD, AT(pos), POS_ROPE, pos_words },
    { F_DEEPSEEK2, "rope_pairs", KIND_BOOL, AT(rope_pairs), true, NULL },
    { BUT(F_DEEPSEEKS | F_LATHE_GPT), "rope_pairs", KIND_BOOL, AT(rope_pairs), false, NULL },
    { F_DEEPSEEKS | F_GPT2 | F_ENCODERS | F_VIT, "rope_share", KIND_NUM, AT(rope_share), 1, NULL },
    { BUT(F_GEMMA3 | F_MODERNBERT | F_LATHE_GPT), "rope_local_theta", KIND_NUM, AT(rope_local_theta), 0, NULL },
    { F_MODERNBERT, "rope_scaling", KIND_WORD, AT(rope.kind), ROPE_PLAIN, rope_words },

    { BUT(F_MOES | F_LATHE_GPT), "n_expert", KIND_INT, AT(n_expert), 0, NULL },
    { F_MIXTRAL | F_GPT_OSS, "norm_topk", KIND_BOOL, AT(norm_topk), true, NULL },
    { F_DEEPSEEK2, "norm_topk", KIND_BOOL, AT(norm_topk), false, NULL },
    { F_DEEPSEEK3, "router", KIND_WORD, AT(router), ROUTER_SIGMOID, router_words },
    { BUT(F_DEEPSEEK3 | F_LATHE_GPT), "router", KIND_WORD, AT(router), ROUTER_SOFTMAX, router_words },
    { F_DEEPSEEK3, "router_correction", KIND_BOOL, AT(router_correction), true, NULL },
    { BUT(F_DEEPSEEK3 | F_LATHE_GPT), "router_correction", KIND_BOOL, AT(router_correction), false, NULL },
    { F_GPT_OSS, "router_bias", KIND_BOOL, AT(router_bias), true, NULL },
    { BUT(F_GPT_OSS), "router_bias", KIND_BOOL, AT(router_bias), false, NULL },
    { F_GPT_OSS, "expert_bias", KIND_BOOL, AT(expert_bias), true, NULL },
    { BUT(F_GPT_OSS | F_LATHE_GPT), "expert_bias", KIND_BOOL, AT(expert_bias), false, NULL },
    { F_DEEPSEEK3, "group_best", KIND_INT, AT(group_best), 2, NULL },
    { BUT(F_DEEPSEEKS), "n_group", KIND_INT, AT(n_group), 0, NULL },
    { BUT(F_DEEPSEEKS | F_LATHE_GPT), "route_scale", KIND_NUM, AT(route_scale), 1, NULL },
    { BUT(F_DEEPSEEKS | F_QWEN2_MOE | F_LATHE_GPT), "d_ff_shared", KIND_INT, AT(d_ff_shared), 0, NULL },
    { F_QWEN2_MOE, "shared_gate", KIND_BOOL, AT(shared_gate), true, NULL },
    { BUT(F_QWEN2_MOE | F_LATHE_GPT), "shared_gate", KIND_BOOL, AT(shared_gate), false, NULL },
};
#define N_FIXED (sizeof fixed / sizeof *fixed)

/* Layer i has a window: always; from max_window_layers on; if i is even; if i is even and below max_window_layers; but each
 * sliding_window_pattern-th; but the first and each global_attn_every_n_layers-th from there; where there is no RoPE. */
enum window_rule { WINDOW_ALL, WINDOW_FROM_MAX, WINDOW_EVEN, WINDOW_EVEN_BELOW_MAX, WINDOW_PATTERN, WINDOW_BETWEEN, WINDOW_NO_ROPE };
static const struct { unsigned families; enum window_rule rule; int number; const char *key; } windows[] = {
    { F_QWEN2 | F_QWEN3, WINDOW_FROM_MAX, 28, "max_window_layers" },
    { F_QWEN2_MOE, WINDOW_EVEN_BELOW_MAX, 28, "max_window_layers" },
    { F_GEMMA2 | F_GPT_OSS, WINDOW_EVEN, 0, NULL },
    { F_GEMMA3, WINDOW_PATTERN, 6, "sliding_window_pattern" },
    { F_MODERNBERT, WINDOW_BETWEEN, 3, "global_attn_every_n_layers" },
    { F_SMOLLM3, WINDOW_NO_ROPE, 0, NULL },
    { F_ALL, WINDOW_ALL, 0, NULL },
};

static const struct { const char *name; size_t at; int min, max; } sizes[] = {
    { "vocab_size", AT(vocab_size), 1, 1 << 24 },
    { "n_layer", AT(n_layer), 1, CONFIG_LAYER_MAX },
    { "d_model", AT(d_model), 1, 1 << 17 },
    { "ctx", AT(ctx), 1, 1 << 24 },
    { "n_head", AT(n_head), 1, 1 << 12 },
    { "n_kv_head", AT(n_kv_head), 1, 1 << 12 },
    { "d_head", AT(d_head), 1, 1 << 10 },
    { "d_v", AT(d_v), 1, 1 << 10 },
    { "d_nope", AT(d_nope), 0, 1 << 10 },
    { "q_rank", AT(q_rank), 0, 1 << 17 },
    { "kv_rank", AT(kv_rank), 0, 1 << 17 },
    { "d_ff", AT(d_ff), 0, 1 << 20 },
    { "window", AT(window), 0, INT_MAX },
    { "n_type", AT(n_type), 0, 1 << 12 },
    { "image_size", AT(image_size), 0, 1 << 12 },
    { "patch_size", AT(patch_size), 0, 1 << 10 },
    { "n_channel", AT(n_channel), 0, 16 },
    { "n_label", AT(n_label), 0, 1 << 20 },
    { "pos_first", AT(pos_first), 0, 1 << 10 },
    { "n_expert", AT(n_expert), 0, 1 << 12 },
    { "top_k", AT(top_k), 0, 1 << 12 },
    { "d_ff_expert", AT(d_ff_expert), 0, 1 << 20 },
    { "d_ff_shared", AT(d_ff_shared), 0, 1 << 20 },
    { "n_group", AT(n_group), 0, 1 << 12 },
    { "n_group_chosen", AT(n_group_chosen), 0, 1 << 12 },
    { "group_best", AT(group_best), 0, 2 },
    { "rope.original_ctx", AT(rope.original_ctx), 0, 1 << 24 },
    { "bos_id", AT(bos_id), -1, (1 << 24) - 1 },
};
#define N_SIZE (sizeof sizes / sizeof *sizes)

static const struct { const char *name; size_t at; double min, max; } numbers[] = {
    { "norm_eps", AT(norm_eps), 1e-30, 1 },
    { "rope_theta", AT(rope.theta), 1, 1e15 },
    { "rope_local_theta", AT(rope_local_theta), 0, 1e15 },
    { "rope_share", AT(rope_share), 1e-3, 1 },
    { "logit_cap", AT(logit_cap), 0, 1e6 },
    { "score_cap", AT(score_cap), 0, 1e6 },
    { "qkv_clip", AT(qkv_clip), 0, 1e6 },
    { "query_scalar", AT(query_scalar), 0, 1e9 },
    { "route_scale", AT(route_scale), 1e-6, 1e6 },
    { "aux_loss", AT(aux_loss), 0, 1e6 },
    { "z_loss", AT(z_loss), 0, 1e6 },
    { "dropout", AT(dropout), 0, 0.999 },
    { "init_std", AT(init_std), 0, 100 },
};
#define N_NUMBER (sizeof numbers / sizeof *numbers)

static const struct { unsigned families; size_t at; const char *name; } derived[] = {
    { F_DEEPSEEKS, AT(d_head), "qk_nope_head_dim + qk_rope_head_dim" },
    { F_DEEPSEEKS, AT(d_ff_shared), "n_shared_experts * moe_intermediate_size" },
    { F_GPT2, AT(d_head), "n_embd / n_head" },
    { F_DISTILBERT, AT(d_head), "dim / n_heads" },
    { F_ALL, AT(d_head), "hidden_size / num_attention_heads" },
    { F_MODERNBERT, AT(window), "local_attention" },
    { F_ALL, AT(n_label), "num_labels" },
    { F_VIT, AT(ctx), "image_size / patch_size" },
    { F_ALL, AT(rope.original_ctx), "original_max_position_embeddings" },
    { F_ALL, AT(bos_id), "bos_token_id" },
};
#define N_DERIVED (sizeof derived / sizeof *derived)

/* null and absence are always fine here. */
static const struct {
    unsigned families;
    const char *name;
    enum { MUST_NULL, MUST_FALSE, MUST_TRUE, MUST_NUMBER, MUST_WORD } must;
    const char *why;
    double number;
    const char *word;
} musts[] = {
    /* Phi-3 and DeepSeek were published with code of their own, before the library had them. */
    { BUT(F_PHI3 | F_DEEPSEEKS), "auto_map", MUST_NULL, "a model that needs Python code from its repository", 0, NULL },
    { F_ALL, "is_encoder_decoder", MUST_FALSE, "an encoder with a decoder", 0, NULL },
    { F_ALL, "add_cross_attention", MUST_FALSE, "attention to an encoder", 0, NULL },
    { F_BERTS, "is_decoder", MUST_FALSE, "a decoder of this family", 0, NULL },
    { BUT(F_GEMMA2 | F_GEMMA3 | F_LATHE_GPT), "attn_logit_softcapping", MUST_NULL, "a soft cap on attention scores", 0, NULL },
    { BUT(F_GEMMA2 | F_GEMMA3 | F_LATHE_GPT), "final_logit_softcapping", MUST_NULL, "a soft cap on logits", 0, NULL },
    { F_GEMMAS, "use_bidirectional_attention", MUST_FALSE, "attention to later tokens", 0, NULL },
    { F_GPT2, "scale_attn_weights", MUST_TRUE, "attention without the scale 1/sqrt(d_head)", 0, NULL },
    { F_GPT2, "scale_attn_by_inverse_layer_idx", MUST_FALSE, "attention scaled by layer", 0, NULL },
    { F_MISTRAL | F_MIXTRAL | F_PHI3 | F_QWEN2 | F_QWEN2_MOE, "attention_bias", MUST_FALSE, "biases in attention", 0, NULL },
    { F_LLAMAS & ~(F_LLAMA | F_SMOLLM3), "mlp_bias", MUST_FALSE, "biases in the MLP", 0, NULL },
    { F_LLAMAS & ~(F_OLMO | F_OLMOE), "clip_qkv", MUST_NULL, "clipping of q, k and v", 0, NULL },
    { F_QWEN2 | F_QWEN2_MOE, "dual_chunk_attention_config", MUST_NULL, "attention by two kinds of chunks", 0, NULL },
    { F_QWEN2 | F_QWEN2_MOE, "use_mrope", MUST_FALSE, "positions of more than one dimension", 0, NULL },
    { F_PHI3, "lm_head_bias", MUST_FALSE, "a bias of the head", 0, NULL },
    { F_DEEPSEEK2, "norm_topk_prob", MUST_FALSE, "renormalised gates", 0, NULL },
    { F_DEEPSEEK2, "scoring_func", MUST_WORD, "another score of experts", 0, "softmax" },
    { F_DEEPSEEK3, "scoring_func", MUST_WORD, "another score of experts", 0, "sigmoid" },
    { F_DEEPSEEK3, "topk_method", MUST_WORD, "another choice of experts", 0, "noaux_tc" },
    { F_DEEPSEEKS, "moe_layer_freq", MUST_NUMBER, "experts in every n-th layer", 1, NULL },
    { F_GPT_OSS, "swiglu_alpha", MUST_NUMBER, "another slope of the activation", 1.702, NULL },
    { F_GPT_OSS, "swiglu_limit", MUST_NUMBER, "another limit of the activation", 7, NULL },
    { F_DISTILBERT, "sinusoidal_pos_embds", MUST_FALSE, "sinusoidal positions", 0, NULL },
    { F_BERT | F_ROBERTA | F_XLM_ROBERTA | F_MODERNBERT, "position_embedding_type", MUST_WORD, "relative positions", 0, "absolute" },
};
#define N_MUST (sizeof musts / sizeof *musts)

static const struct { unsigned families; const char *name; const char *why; } training[] = {
    { F_LLAMAS | F_GPT_NEOX, "attention_dropout", "dropout of attention probabilities" },
    { F_GPT2, "attn_pdrop", "dropout of attention probabilities" },
    { F_MIXTRAL, "router_jitter_noise", "noise on the router's input" },
    { F_PHI3, "resid_pdrop", "dropout of residual branches (key `dropout` is)" },
    { F_PHI3, "embd_pdrop", "dropout of embeddings (key `dropout` is)" },
    { F_DISTILBERT, "dropout", "dropout" },
    { F_DISTILBERT, "attention_dropout", "dropout of attention probabilities" },
    { F_BERT | F_ROBERTA | F_XLM_ROBERTA, "hidden_dropout_prob", "dropout" },
    { F_BERT | F_ROBERTA | F_XLM_ROBERTA, "attention_probs_dropout_prob", "dropout of attention probabilities" },
    { F_VIT, "attention_probs_dropout_prob", "dropout of attention probabilities" },
    { F_MODERNBERT, "embedding_dropout", "dropout" },
    { F_MODERNBERT, "mlp_dropout", "dropout" },
    { F_MODERNBERT, "attention_dropout", "dropout of attention probabilities" },
    { F_GPT_NEOX, "hidden_dropout", "dropout of residual branches (key `dropout` is)" },
};
#define N_TRAINING (sizeof training / sizeof *training)

static const char *const harmless[] = {
    /* read elsewhere in config.c */
    "model_type", "torch_dtype", "dtype", "bos_token_id", "eos_token_id", "rope_scaling", "rope_parameters", "sliding_window",
    "use_sliding_window", "layer_types", "embd_pdrop", "max_window_layers", "sliding_window_pattern", "_sliding_window_pattern", "no_rope_layers",
    "no_rope_layer_interval", "mlp_only_layers", "decoder_sparse_step", "first_k_dense_replace", "n_shared_experts", "qk_rope_head_dim",
    "local_attention", "global_attn_every_n_layers", "num_labels", "id2label", "label2id", "architectures",
    /* how the file keeps its weights: read by source.c, which refuses what it does not know */
    "quantization_config",
    /* read by the server */
    "is_matryoshka", "matryoshka_dimensions",
    /* names, versions, and what a Python caller gets back */
    "_name_or_path", "transformers_version", "pad_token_id", "use_cache", "output_router_logits", "output_attentions",
    "output_hidden_states", "return_dict", "return_dict_in_generate", "is_decoder", "cross_attention_hidden_size", "tie_encoder_decoder",
    "task_specific_params", "problem_type", "finetuning_task", "tokenizer_class", "gradient_checkpointing",
    "torchscript", "tf_legacy_loss", "use_bfloat16", "pruned_heads", "chunk_size_feed_forward", "_attn_implementation_autoset",
    "attn_implementation", "cache_implementation", "initial_context_length", "deterministic_flash_attn", "reference_compile",
    "repad_logits_with_grad", "initializer_cutoff_factor",
    /* the same numbers, computed in another order or place */
    "pretraining_tp", "reorder_and_upcast_attn", "ep_size",
    /* heads for classification, and the further tokens that DeepSeek's last weights predict; n_ctx repeats n_positions */
    "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj", "n_ctx",
    "classifier_dropout", "num_nextn_predict_layers", "num_mtp_layers", "seq_classif_dropout", "qa_dropout",
    "classifier_activation", "classifier_bias", "classifier_pooling", "decoder_bias", "sparse_prediction", "sparse_pred_ignore_index",
    "cls_token_id", "sep_token_id",
    /* of ViT: another task's decoder, and a layer that classification does not use */
    "encoder_stride", "pooler_output_size", "pooler_act",
    "full_attn_mod", "interpolate_factor", "seq_aux", "aux_loss_alpha", "qk_head_dim", "head_dim", "tie_word_embeddings",
    /* where another key of the family says it */
    "hidden_act", "hidden_activation", "auto_map",
};
#define N_HARMLESS (sizeof harmless / sizeof *harmless)
#endif
