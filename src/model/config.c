/* config.c - config.json to struct config and back, by tables.
 *
 *   keys[]       key of a family -> field, with the family's default for an absent key (those of Hugging Face's
 *                configuration classes); read and written from the same row
 *   fixed[]      fields that a family does not name because they are always the same
 *   sizes[], numbers[]  bounds of the fields
 *   musts[]      keys that change the maths: any value but the one we implement is an error
 *   training[]   keys that change only Hugging Face's training: other values are a warning
 *   harmless[]   keys that change nothing here
 * Whatever is in no table is a warning. */
#include "model/config.h"
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define CONFIG_BYTES_MAX ((size_t)4 << 20)
/* 2^48 numbers: 64 bytes of state for each still fit in 63 bits with room for a factor of 512. */
#define PARAMS_MAX ((int64_t)1 << 48)

/* ---- names ---- */

struct word { const char *name; int value; };

#define X(name, word) { word, name },
static const struct word norm_words[] = { NORM_KINDS(X) { NULL, 0 } };
static const struct word act_words[] = { ACT_KINDS(X) { NULL, 0 } };
static const struct word pos_words[] = { POS_KINDS(X) { NULL, 0 } };
static const struct word qk_norm_words[] = { QK_NORM_KINDS(X) { NULL, 0 } };
#undef X
#define X(name, type, class) { type, FAMILY_##name },
static const struct word family_words[] = { FAMILIES(X) { NULL, 0 } };
#undef X
/* The first word of a value is the one that is written. */
static const struct word gpt2_acts[] = { { "gelu_new", ACT_GELU_TANH }, { "gelu_pytorch_tanh", ACT_GELU_TANH }, { "gelu", ACT_GELU },
                                         { NULL, 0 } };
static const struct word gated_acts[] = { { "silu", ACT_SWIGLU }, { "swish", ACT_SWIGLU }, { NULL, 0 } };
static const struct word dtype_words[] = { { "float32", ST_F32 }, { "bfloat16", ST_BF16 }, { "float16", ST_F16 }, { "float64", ST_F64 },
                                           { "float", ST_F32 }, { "half", ST_F16 }, { "double", ST_F64 }, { NULL, 0 } };

static const char *word_of(const struct word *w, int value)
{
    for (; w->name; w++)
        if (w->value == value)
            return w->name;
    return NULL;
}

const char *family_name(enum family f) { return word_of(family_words, (int)f); }
const char *norm_kind_name(enum norm_kind k) { return word_of(norm_words, (int)k); }
const char *act_kind_name(enum act_kind k) { return word_of(act_words, (int)k); }
const char *pos_kind_name(enum pos_kind k) { return word_of(pos_words, (int)k); }
const char *qk_norm_kind_name(enum qk_norm_kind k) { return word_of(qk_norm_words, (int)k); }

/* ---- tables ---- */

enum {
#define X(name, type, class) F_##name = 1 << FAMILY_##name,
    FAMILIES(X)
#undef X
    F_LLAMAS = F_LLAMA | F_MIXTRAL | F_OLMOE,
    F_MOES = F_MIXTRAL | F_OLMOE | F_LATHE_GPT,
    F_ALL = (1 << N_FAMILY) - 1,
};

enum kind { KIND_INT, KIND_NUM, KIND_BOOL, KIND_WORD };
static_assert(sizeof(enum norm_kind) == sizeof(int) && sizeof(enum act_kind) == sizeof(int), "words are stored through int *");

#define AT(field) offsetof(struct config, field)
#define REQUIRED NAN
#define DERIVED (-1)           /* absent or null: from other fields, in derive() */
/* A key Hugging Face does not have in this family: read, and written only when it differs from the default. */
#define OURS 1
#define UNWRITTEN 2            /* read only: the family always has what derive() gives */

static const struct key {
    unsigned families;
    const char *name;
    enum kind kind;
    size_t at;
    double fallback;
    const struct word *words;
    int flags;
} keys[] = {
    { F_GPT2, "vocab_size", KIND_INT, AT(vocab_size), 50257, NULL, 0 },
    { F_LLAMA | F_MIXTRAL, "vocab_size", KIND_INT, AT(vocab_size), 32000, NULL, 0 },
    { F_OLMOE, "vocab_size", KIND_INT, AT(vocab_size), 50304, NULL, 0 },
    { F_LATHE_GPT, "vocab_size", KIND_INT, AT(vocab_size), REQUIRED, NULL, 0 },
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
    { F_LATHE_GPT, "hidden_size", KIND_INT, AT(d_model), REQUIRED, NULL, 0 },
    { F_LLAMA | F_MIXTRAL, "num_hidden_layers", KIND_INT, AT(n_layer), 32, NULL, 0 },
    { F_OLMOE, "num_hidden_layers", KIND_INT, AT(n_layer), 16, NULL, 0 },
    { F_LATHE_GPT, "num_hidden_layers", KIND_INT, AT(n_layer), REQUIRED, NULL, 0 },
    { F_LLAMA | F_MIXTRAL, "num_attention_heads", KIND_INT, AT(n_head), 32, NULL, 0 },
    { F_OLMOE, "num_attention_heads", KIND_INT, AT(n_head), 16, NULL, 0 },
    { F_LATHE_GPT, "num_attention_heads", KIND_INT, AT(n_head), REQUIRED, NULL, 0 },
    { F_LLAMA | F_OLMOE | F_LATHE_GPT, "num_key_value_heads", KIND_INT, AT(n_kv_head), DERIVED, NULL, 0 },
    { F_MIXTRAL, "num_key_value_heads", KIND_INT, AT(n_kv_head), 8, NULL, 0 },
    { F_LLAMA | F_MIXTRAL | F_LATHE_GPT, "head_dim", KIND_INT, AT(d_head), DERIVED, NULL, 0 },
    { F_OLMOE, "head_dim", KIND_INT, AT(d_head), DERIVED, NULL, UNWRITTEN },
    { F_LLAMA, "intermediate_size", KIND_INT, AT(d_ff), 11008, NULL, 0 },
    { F_MIXTRAL, "intermediate_size", KIND_INT, AT(d_ff_expert), 14336, NULL, 0 },
    { F_OLMOE, "intermediate_size", KIND_INT, AT(d_ff_expert), 2048, NULL, 0 },
    { F_LATHE_GPT, "intermediate_size", KIND_INT, AT(d_ff), 0, NULL, 0 },
    { F_LLAMA, "max_position_embeddings", KIND_INT, AT(ctx), 2048, NULL, 0 },
    { F_MIXTRAL, "max_position_embeddings", KIND_INT, AT(ctx), 131072, NULL, 0 },
    { F_OLMOE, "max_position_embeddings", KIND_INT, AT(ctx), 4096, NULL, 0 },
    { F_LATHE_GPT, "max_position_embeddings", KIND_INT, AT(ctx), REQUIRED, NULL, 0 },
    { F_LLAMAS, "hidden_act", KIND_WORD, AT(act), ACT_SWIGLU, gated_acts, 0 },
    { F_LLAMA, "rms_norm_eps", KIND_NUM, AT(norm_eps), 1e-6, NULL, 0 },
    { F_MIXTRAL | F_OLMOE, "rms_norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_LLAMA | F_OLMOE | F_LATHE_GPT, "rope_theta", KIND_NUM, AT(rope_theta), 10000, NULL, 0 },
    { F_MIXTRAL, "rope_theta", KIND_NUM, AT(rope_theta), 1e6, NULL, 0 },

    { F_LATHE_GPT, "norm", KIND_WORD, AT(norm), NORM_RMS, norm_words, 0 },
    { F_LATHE_GPT, "norm_eps", KIND_NUM, AT(norm_eps), 1e-5, NULL, 0 },
    { F_LATHE_GPT, "norm_bias", KIND_BOOL, AT(norm_bias), 0, NULL, 0 },
    { F_LATHE_GPT, "act", KIND_WORD, AT(act), ACT_SWIGLU, act_words, 0 },
    { F_LATHE_GPT, "linear_bias", KIND_BOOL, AT(linear_bias), 0, NULL, 0 },
    { F_LATHE_GPT, "pos", KIND_WORD, AT(pos), POS_ROPE, pos_words, 0 },
    { F_LATHE_GPT, "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_NONE, qk_norm_words, 0 },

    { F_MIXTRAL, "num_local_experts", KIND_INT, AT(n_expert), 8, NULL, 0 },
    { F_OLMOE, "num_experts", KIND_INT, AT(n_expert), 64, NULL, 0 },
    { F_LATHE_GPT, "num_experts", KIND_INT, AT(n_expert), 0, NULL, 0 },
    { F_MIXTRAL, "num_experts_per_tok", KIND_INT, AT(top_k), 2, NULL, 0 },
    { F_OLMOE, "num_experts_per_tok", KIND_INT, AT(top_k), 8, NULL, 0 },
    { F_LATHE_GPT, "num_experts_per_tok", KIND_INT, AT(top_k), 0, NULL, 0 },
    { F_LATHE_GPT, "moe_intermediate_size", KIND_INT, AT(d_ff_expert), DERIVED, NULL, 0 },
    { F_OLMOE, "norm_topk_prob", KIND_BOOL, AT(norm_topk), 0, NULL, 0 },
    { F_LATHE_GPT, "norm_topk_prob", KIND_BOOL, AT(norm_topk), 1, NULL, 0 },
    { F_MIXTRAL, "router_aux_loss_coef", KIND_NUM, AT(aux_loss), 0.001, NULL, 0 },
    { F_OLMOE, "router_aux_loss_coef", KIND_NUM, AT(aux_loss), 0.01, NULL, 0 },
    { F_LATHE_GPT, "router_aux_loss_coef", KIND_NUM, AT(aux_loss), 0, NULL, 0 },
    { F_MIXTRAL | F_OLMOE, "router_z_loss_coef", KIND_NUM, AT(z_loss), 0, NULL, OURS },
    { F_LATHE_GPT, "router_z_loss_coef", KIND_NUM, AT(z_loss), 0, NULL, 0 },

    { F_LLAMAS | F_LATHE_GPT, "dropout", KIND_NUM, AT(dropout), 0, NULL, OURS },
    { F_ALL, "initializer_range", KIND_NUM, AT(init_std), 0.02, NULL, 0 },
    { F_GPT2, "tie_word_embeddings", KIND_BOOL, AT(tie_embeddings), 1, NULL, 0 },
    { F_LLAMAS | F_LATHE_GPT, "tie_word_embeddings", KIND_BOOL, AT(tie_embeddings), 0, NULL, 0 },
};
#define N_KEY (sizeof keys / sizeof *keys)

static const struct fixed {
    unsigned families;
    const char *name;
    enum kind kind;
    size_t at;
    int value;
    const struct word *words;
} fixed[] = {
    { F_GPT2, "norm", KIND_WORD, AT(norm), NORM_LAYER, norm_words },
    { F_GPT2, "norm_bias", KIND_BOOL, AT(norm_bias), true, NULL },
    { F_GPT2, "linear_bias", KIND_BOOL, AT(linear_bias), true, NULL },
    { F_GPT2, "pos", KIND_WORD, AT(pos), POS_LEARNED, pos_words },
    { F_LLAMAS, "norm", KIND_WORD, AT(norm), NORM_RMS, norm_words },
    { F_LLAMAS, "norm_bias", KIND_BOOL, AT(norm_bias), false, NULL },
    { F_LLAMAS, "linear_bias", KIND_BOOL, AT(linear_bias), false, NULL },
    { F_LLAMAS, "pos", KIND_WORD, AT(pos), POS_ROPE, pos_words },
    { F_GPT2 | F_LLAMA | F_MIXTRAL, "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_NONE, qk_norm_words },
    { F_OLMOE, "qk_norm", KIND_WORD, AT(qk_norm), QK_NORM_FULL, qk_norm_words },
    { F_GPT2 | F_LLAMA, "n_expert", KIND_INT, AT(n_expert), 0, NULL },
    { F_MIXTRAL, "norm_topk", KIND_BOOL, AT(norm_topk), true, NULL },
};
#define N_FIXED (sizeof fixed / sizeof *fixed)

static const struct { const char *name; size_t at; int min, max; } sizes[] = {
    { "vocab_size", AT(vocab_size), 1, 1 << 24 },
    { "n_layer", AT(n_layer), 1, 1 << 10 },
    { "d_model", AT(d_model), 1, 1 << 17 },
    { "ctx", AT(ctx), 1, 1 << 24 },
    { "n_head", AT(n_head), 1, 1 << 12 },
    { "n_kv_head", AT(n_kv_head), 1, 1 << 12 },
    { "d_head", AT(d_head), 1, 1 << 10 },
    { "d_ff", AT(d_ff), 0, 1 << 20 },
    { "n_expert", AT(n_expert), 0, 1 << 12 },
    { "top_k", AT(top_k), 0, 1 << 12 },
    { "d_ff_expert", AT(d_ff_expert), 0, 1 << 20 },
    { "bos_id", AT(bos_id), -1, (1 << 24) - 1 },
};
#define N_SIZE (sizeof sizes / sizeof *sizes)

static const struct { const char *name; size_t at; double min, max; } numbers[] = {
    { "norm_eps", AT(norm_eps), 1e-30, 1 },
    { "rope_theta", AT(rope_theta), 1, 1e15 },
    { "aux_loss", AT(aux_loss), 0, 1e6 },
    { "z_loss", AT(z_loss), 0, 1e6 },
    { "dropout", AT(dropout), 0, 0.999 },
    { "init_std", AT(init_std), 0, 100 },
};
#define N_NUMBER (sizeof numbers / sizeof *numbers)

/* null and absence are always fine here. */
static const struct {
    unsigned families;
    const char *name;
    enum { MUST_NULL, MUST_FALSE, MUST_TRUE, MUST_ONE } must;
    const char *why;
} musts[] = {
    { F_ALL, "quantization_config", MUST_NULL, "weights that are quantised in the file" },
    { F_ALL, "auto_map", MUST_NULL, "a model that needs Python code from its repository" },
    { F_ALL, "is_encoder_decoder", MUST_FALSE, "an encoder with a decoder" },
    { F_ALL, "add_cross_attention", MUST_FALSE, "attention to an encoder" },
    { F_ALL, "attn_logit_softcapping", MUST_NULL, "a soft cap on attention scores" },
    { F_ALL, "final_logit_softcapping", MUST_NULL, "a soft cap on logits" },
    { F_GPT2, "scale_attn_weights", MUST_TRUE, "attention without the scale 1/sqrt(d_head)" },
    { F_GPT2, "scale_attn_by_inverse_layer_idx", MUST_FALSE, "attention scaled by layer" },
    { F_LLAMAS, "attention_bias", MUST_FALSE, "biases in attention" },
    { F_LLAMA, "mlp_bias", MUST_FALSE, "biases in the MLP" },
    { F_LLAMAS, "clip_qkv", MUST_NULL, "clipping of q, k and v" },
    { F_LLAMAS, "partial_rotary_factor", MUST_ONE, "RoPE over a part of each head" },
};
#define N_MUST (sizeof musts / sizeof *musts)

static const struct { unsigned families; const char *name; const char *why; } training[] = {
    { F_LLAMAS, "attention_dropout", "dropout of attention probabilities" },
    { F_GPT2, "attn_pdrop", "dropout of attention probabilities" },
    { F_MIXTRAL, "router_jitter_noise", "noise on the router's input" },
};
#define N_TRAINING (sizeof training / sizeof *training)

static const char *const harmless[] = {
    /* read elsewhere in this file */
    "model_type", "torch_dtype", "dtype", "bos_token_id", "eos_token_id", "rope_scaling", "rope_parameters", "sliding_window",
    "use_sliding_window", "layer_types", "embd_pdrop",
    /* names, versions, and what a Python caller gets back */
    "_name_or_path", "architectures", "transformers_version", "pad_token_id", "use_cache", "output_router_logits", "output_attentions",
    "output_hidden_states", "return_dict", "return_dict_in_generate", "is_decoder", "cross_attention_hidden_size", "tie_encoder_decoder",
    "task_specific_params", "problem_type", "id2label", "label2id", "finetuning_task", "tokenizer_class", "gradient_checkpointing",
    "torchscript", "tf_legacy_loss", "use_bfloat16", "pruned_heads", "chunk_size_feed_forward", "_attn_implementation_autoset",
    "attn_implementation",
    /* the same numbers, computed in another order */
    "pretraining_tp", "reorder_and_upcast_attn",
    /* heads for classification; n_ctx repeats n_positions */
    "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj", "n_ctx",
};
#define N_HARMLESS (sizeof harmless / sizeof *harmless)

/* What the family's config.json calls the field; `field` where it has no key for it. */
static const char *key_name(const struct config *c, size_t at, const char *field)
{
    for (size_t i = 0; i < N_KEY; i++)
        if ((keys[i].families & 1u << c->family) && keys[i].at == at)
            return keys[i].name;
    return field;
}

/* ---- fields by offset ---- */

static int *int_at(struct config *c, size_t at) { return (int *)((char *)c + at); }
static int int_of(const struct config *c, size_t at) { return *(const int *)((const char *)c + at); }
static double *num_at(struct config *c, size_t at) { return (double *)((char *)c + at); }
static double num_of(const struct config *c, size_t at) { return *(const double *)((const char *)c + at); }
static bool *bool_at(struct config *c, size_t at) { return (bool *)((char *)c + at); }
static bool bool_of(const struct config *c, size_t at) { return *(const bool *)((const char *)c + at); }

/* ---- reading ---- */

struct reader {
    struct config *c;
    const json_t *root;
    const char *where;
    struct buf *warnings;
    struct err *err;
    unsigned family;               /* bit of c->family */
};

static int warn(const struct reader *r, const char *key, const char *what)
{
    char shown[104];
    snprintf(shown, sizeof shown, "%s", key);
    err_tidy(shown);
    return r->warnings ? buf_printf(r->warnings, r->err, "%s: %s: %s\n", r->where, shown, what) : 0;
}

static int read_word(const struct reader *r, const char *key, const struct word *words, int fallback, int *out)
{
    const char *s;
    *out = fallback;
    TRY(tree_str(r->root, key, NULL, &s, r->where, r->err));
    if (!s)
        return 0;
    char known[200] = "";
    for (const struct word *w = words; w->name; w++) {
        if (!strcmp(s, w->name)) {
            *out = w->value;
            return 0;
        }
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", w->name);
    }
    return ERR(r->err, UNSUPPORTED, "%s: %s is '%.60s', expected one of: %s", r->where, key, s, known);
}

static void bounds_of(size_t at, int64_t *min, int64_t *max)
{
    *min = 0, *max = INT_MAX;
    for (size_t i = 0; i < N_SIZE; i++)
        if (sizes[i].at == at)
            *min = sizes[i].min, *max = sizes[i].max;
}

/* The keys of the family, those with a meaning first; returns how many. */
#define KNOWN_MAX (N_KEY + N_MUST + N_TRAINING + N_HARMLESS)
static int known_keys(const struct reader *r, const char *out[KNOWN_MAX])
{
    int n = 0;
    for (size_t i = 0; i < N_KEY; i++)
        if (keys[i].families & r->family)
            out[n++] = keys[i].name;
    for (size_t i = 0; i < N_MUST; i++)
        if (musts[i].families & r->family)
            out[n++] = musts[i].name;
    for (size_t i = 0; i < N_TRAINING; i++)
        if (training[i].families & r->family)
            out[n++] = training[i].name;
    for (size_t i = 0; i < N_HARMLESS; i++)
        out[n++] = harmless[i];
    return n;
}

static bool is_known(const struct reader *r, const char *name)
{
    const char *known[KNOWN_MAX];
    const int n = known_keys(r, known);
    for (int i = 0; i < n; i++)
        if (!strcmp(known[i], name))
            return true;
    return false;
}

static int missing_key(const struct reader *r, const struct key *k)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)r->root, name, v)
        if (!is_known(r, name) && word_nearest(name, &k->name, 1))
            return ERR(r->err, FORMAT, "%s: unknown key '%.60s'; did you mean '%s'?", r->where, name, k->name);
    return ERR(r->err, FORMAT, "%s: found no %s, expected it for model_type %s", r->where, k->name, family_name(r->c->family));
}

static int read_key(const struct reader *r, const struct key *k)
{
    const json_t *v = json_object_get(r->root, k->name);
    if (isnan(k->fallback) && (!v || json_is_null(v)))
        return missing_key(r, k);
    int64_t n, min, max;
    switch (k->kind) {
    case KIND_INT:
        bounds_of(k->at, &min, &max);
        TRY(tree_int(r->root, k->name, isnan(k->fallback) ? 0 : (int64_t)k->fallback, min, max, &n, r->where, r->err));
        *int_at(r->c, k->at) = (int)n;
        return 0;
    case KIND_NUM:
        return tree_num(r->root, k->name, k->fallback, num_at(r->c, k->at), r->where, r->err);
    case KIND_BOOL:
        return tree_bool(r->root, k->name, k->fallback != 0, bool_at(r->c, k->at), r->where, r->err);
    default:
        return read_word(r, k->name, k->words, (int)k->fallback, int_at(r->c, k->at));
    }
}

static int read_family(struct reader *r)
{
    const char *type;
    TRY(tree_str(r->root, "model_type", NULL, &type, r->where, r->err));
#define X(name, word, class) " " word
    if (!type)
        return ERR(r->err, FORMAT, "%s: found no model_type, expected one of:" FAMILIES(X), r->where);
    for (const struct word *w = family_words; w->name; w++)
        if (!strcmp(type, w->name)) {
            r->c->family = (enum family)w->value;
            r->family = 1u << w->value;
            return 0;
        }
    return ERR(r->err, UNSUPPORTED, "%s: model_type is '%.60s', expected one of:" FAMILIES(X), r->where, type);
#undef X
}

static int read_id(const struct reader *r, const char *key, const json_t *v, int *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= 1 << 24)
        return ERR(r->err, FORMAT, "%s: %s is not a token id, expected a whole number from 0 to %d", r->where, key, (1 << 24) - 1);
    *out = (int)json_integer_value(v);
    return 0;
}

/* Defaults of the configuration classes, for absent keys; null is no id. */
static int read_ids(const struct reader *r)
{
    static const struct { int bos, eos; } fallback[N_FAMILY] = {
        [FAMILY_GPT2] = { 50256, 50256 }, [FAMILY_LLAMA] = { 1, 2 }, [FAMILY_MIXTRAL] = { 1, 2 },
        [FAMILY_OLMOE] = { -1, 50279 }, [FAMILY_LATHE_GPT] = { -1, -1 },
    };
    struct config *c = r->c;
    const json_t *bos = json_object_get(r->root, "bos_token_id"), *eos = json_object_get(r->root, "eos_token_id");
    c->bos_id = bos ? -1 : fallback[c->family].bos;
    if (c->bos_id >= c->vocab_size)
        c->bos_id = -1;
    if (bos && !json_is_null(bos))
        TRY(read_id(r, "bos_token_id", bos, &c->bos_id));
    c->n_eos = 0;
    if (!eos && fallback[c->family].eos >= 0 && fallback[c->family].eos < c->vocab_size)
        c->eos_id[c->n_eos++] = fallback[c->family].eos;
    if (!eos || json_is_null(eos))
        return 0;
    if (!json_is_array(eos))
        return read_id(r, "eos_token_id", eos, &c->eos_id[c->n_eos++]);
    if (json_array_size(eos) > CONFIG_EOS_MAX)
        return ERR(r->err, RANGE, "%s: eos_token_id has %zu ids, expected at most %d", r->where, json_array_size(eos), CONFIG_EOS_MAX);
    for (size_t i = 0; i < json_array_size(eos); i++)
        TRY(read_id(r, "eos_token_id", json_array_get(eos, i), &c->eos_id[c->n_eos++]));
    return 0;
}

/* Newer files say dtype for torch_dtype. */
static int read_dtype(const struct reader *r)
{
    int dtype, torch_dtype;
    TRY(read_word(r, "torch_dtype", dtype_words, ST_F32, &torch_dtype));
    TRY(read_word(r, "dtype", dtype_words, torch_dtype, &dtype));
    r->c->dtype = (enum st_dtype)dtype;
    return 0;
}

/* {"rope_type": "default", "rope_theta": x}, or with the older key "type"; *theta is changed when it is there. */
static int read_rope_object(const struct reader *r, const char *key, double *theta)
{
    const json_t *o = json_object_get(r->root, key);
    if (!o || json_is_null(o))
        return 0;
    if (!json_is_object(o))
        return ERR(r->err, FORMAT, "%s: %s is not an object, expected one or null", r->where, key);
    const char *type, *name;
    json_t *v;
    TRY(tree_str(o, "type", "default", &type, r->where, r->err));
    TRY(tree_str(o, "rope_type", type, &type, r->where, r->err));
    if (strcmp(type, "default"))
        return ERR(r->err, UNSUPPORTED, "%s: %s of type '%.60s', expected none", r->where, key, type);
    json_object_foreach((json_t *)(uintptr_t)o, name, v) {
        const bool one = !strcmp(name, "partial_rotary_factor") && json_is_number(v) && json_number_value(v) == 1;
        if (strcmp(name, "type") && strcmp(name, "rope_type") && strcmp(name, "rope_theta") && !one)
            return ERR(r->err, UNSUPPORTED, "%s: %s.%.60s is not implemented", r->where, key, name);
    }
    return tree_num(o, "rope_theta", *theta, theta, r->where, r->err);
}

static int read_rope(const struct reader *r)
{
    double inner = NAN;
    TRY(read_rope_object(r, "rope_scaling", &inner));
    TRY(read_rope_object(r, "rope_parameters", &inner));
    if (isnan(inner))
        return 0;
    const json_t *v = json_object_get(r->root, "rope_theta");
    if (json_is_number(v) && json_number_value(v) != inner)
        return ERR(r->err, FORMAT, "%s: rope_theta is %g here and %g in rope_parameters, expected one number", r->where,
                   json_number_value(v), inner);
    r->c->rope_theta = inner;
    return 0;
}

/* A window of ctx or more never hides a token. */
static int read_window(const struct reader *r)
{
    int64_t window;
    bool use;
    TRY(tree_bool(r->root, "use_sliding_window", true, &use, r->where, r->err));
    TRY(tree_int(r->root, "sliding_window", INT_MAX, 1, INT64_MAX, &window, r->where, r->err));
    if (use && window < r->c->ctx)
        return ERR(r->err, UNSUPPORTED, "%s: sliding_window is %lld, expected none or at least max_position_embeddings, %d", r->where,
                   (long long)window, r->c->ctx);
    const json_t *types = json_object_get(r->root, "layer_types");
    if (types && !json_is_null(types) && !json_is_array(types))
        return ERR(r->err, FORMAT, "%s: layer_types is not a list, expected one or null", r->where);
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *s = json_string_value(json_array_get(types, i));
        if (!s || strcmp(s, "full_attention"))
            return ERR(r->err, UNSUPPORTED, "%s: layer_types[%zu] is '%.60s', expected full_attention", r->where, i, s ? s : "");
    }
    return 0;
}

static int check_musts(const struct reader *r)
{
    for (size_t i = 0; i < N_MUST; i++) {
        const json_t *v = json_object_get(r->root, musts[i].name);
        if (!(musts[i].families & r->family) || !v || json_is_null(v))
            continue;
        const bool fine = musts[i].must == MUST_FALSE ? json_is_false(v) : musts[i].must == MUST_TRUE ? json_is_true(v)
                        : musts[i].must == MUST_ONE && json_is_number(v) && json_number_value(v) == 1;
        static const char *const expected[] = { [MUST_NULL] = "null", [MUST_FALSE] = "false", [MUST_TRUE] = "true", [MUST_ONE] = "1" };
        if (!fine)
            return ERR(r->err, UNSUPPORTED, "%s: %s: %s is not implemented, expected %s", r->where, musts[i].name, musts[i].why,
                       expected[musts[i].must]);
    }
    return 0;
}

/* gpt2 has three dropouts, each 0.1 when absent; ours is the residual one and is used for the embedding too. */
static int check_training(const struct reader *r)
{
    char text[160];
    double v;
    for (size_t i = 0; i < N_TRAINING; i++) {
        if (!(training[i].families & r->family))
            continue;
        TRY(tree_num(r->root, training[i].name, r->family == F_GPT2 ? 0.1 : 0, &v, r->where, r->err));
        snprintf(text, sizeof text, "%s (%g) is not implemented and is left out in training, as if it were 0", training[i].why, v);
        if (v != 0)
            TRY(warn(r, training[i].name, text));
    }
    if (r->family != F_GPT2)
        return 0;
    TRY(tree_num(r->root, "embd_pdrop", 0.1, &v, r->where, r->err));
    snprintf(text, sizeof text, "%g differs from resid_pdrop %g, which is used for both in training", v, r->c->dropout);
    return v != r->c->dropout ? warn(r, "embd_pdrop", text) : 0;
}

static int warn_unknown(const struct reader *r)
{
    const char *known[KNOWN_MAX], *name;
    const int n = known_keys(r, known);
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)r->root, name, v) {
        if (is_known(r, name))
            continue;
        const char *near = word_nearest(name, known, n);
        char text[160] = "unknown key, not used";
        if (near)
            snprintf(text, sizeof text, "unknown key, not used; did you mean '%s'?", near);
        TRY(warn(r, name, text));
    }
    return 0;
}

static void set_fixed(struct config *c)
{
    for (size_t i = 0; i < N_FIXED; i++)
        if (!(fixed[i].families & 1u << c->family))
            continue;
        else if (fixed[i].kind == KIND_BOOL)
            *bool_at(c, fixed[i].at) = fixed[i].value;
        else
            *int_at(c, fixed[i].at) = fixed[i].value;
}

static int derive(const struct reader *r)
{
    struct config *c = r->c;
    if (c->n_kv_head == DERIVED || c->family == FAMILY_GPT2)
        c->n_kv_head = c->n_head;
    if (c->d_head == DERIVED || c->family == FAMILY_GPT2) {
        if (c->d_model % c->n_head)
            return ERR(r->err, FORMAT, "%s: %d heads do not divide the width %d", r->where, c->n_head, c->d_model);
        c->d_head = c->d_model / c->n_head;
    }
    if (c->d_ff == DERIVED)
        c->d_ff = 4 * c->d_model;
    if (c->d_ff_expert == DERIVED)
        c->d_ff_expert = c->n_expert ? c->d_ff : 0;
    return 0;
}

int config_read(struct config *c, const json_t *root, const char *where, struct buf *warnings, struct err *err)
{
    *c = (struct config){ .rope_theta = 10000 };
    struct reader r = { c, root, where, warnings, err, 0 };
    if (!json_is_object(root))
        return ERR(err, FORMAT, "%s: found no object, expected { with the keys of a config.json", where);
    TRY(read_family(&r));
    TRY(check_musts(&r));
    for (size_t i = 0; i < N_KEY; i++)
        if (keys[i].families & r.family)
            TRY(read_key(&r, &keys[i]));
    set_fixed(c);
    TRY(derive(&r));
    TRY(read_ids(&r));
    TRY(read_dtype(&r));
    TRY(read_rope(&r));
    TRY(read_window(&r));
    TRY(check_training(&r));
    TRY(warn_unknown(&r));
    return config_validate(c, where, err);
}

int config_parse(struct config *c, const char *text, size_t n, const char *where, struct buf *warnings, struct err *err)
{
    json_t *root;
    TRY(tree_parse_json(&root, text, n, where, err));
    const int rc = config_read(c, root, where, warnings, err);
    json_decref(root);
    return rc;
}

int config_load(struct config *c, const char *path, struct buf *warnings, struct err *err)
{
    char *inner = file_is_dir(path) ? file_join(path, "config.json") : mem_strdup(path);
    if (!inner)
        return ERR(err, NOMEM, "no memory to open %s", path);
    json_t *root;
    int rc = tree_load(&root, inner, CONFIG_BYTES_MAX, err);
    if (!rc) {
        rc = config_read(c, root, inner, warnings, err);
        json_decref(root);
    }
    mem_free(inner);
    return rc;
}

/* ---- checking ---- */

static int check_bounds(const struct config *c, const char *where, struct err *err)
{
    for (size_t i = 0; i < N_SIZE; i++) {
        const int v = int_of(c, sizes[i].at);
        if (v < sizes[i].min || v > sizes[i].max)
            return ERR(err, RANGE, "%s: %s is %d, expected %d to %d", where, key_name(c, sizes[i].at, sizes[i].name), v, sizes[i].min, sizes[i].max);
    }
    for (size_t i = 0; i < N_NUMBER; i++) {
        const double v = num_of(c, numbers[i].at);
        if (!(v >= numbers[i].min && v <= numbers[i].max))
            return ERR(err, RANGE, "%s: %s is %g, expected %g to %g", where, key_name(c, numbers[i].at, numbers[i].name), v, numbers[i].min, numbers[i].max);
    }
    return 0;
}

/* What the family fixes must be so, and what it says by words must have one: else config.json could not tell it. */
static int check_family(const struct config *c, const char *where, struct err *err)
{
    const unsigned family = 1u << c->family;
    for (size_t i = 0; i < N_FIXED; i++) {
        const struct fixed *f = &fixed[i];
        if (!(f->families & family))
            continue;
        const int v = f->kind == KIND_BOOL ? bool_of(c, f->at) : int_of(c, f->at);
        if (v != f->value && f->words)
            return ERR(err, UNSUPPORTED, "%s: %s is %s, %s has %s", where, f->name, word_of(f->words, v), family_name(c->family),
                       word_of(f->words, f->value));
        if (v != f->value)
            return ERR(err, UNSUPPORTED, "%s: %s is %d, %s has %d", where, f->name, v, family_name(c->family), f->value);
    }
    for (size_t i = 0; i < N_KEY; i++)
        if ((keys[i].families & family) && keys[i].kind == KIND_WORD && !word_of(keys[i].words, int_of(c, keys[i].at)))
            return ERR(err, UNSUPPORTED, "%s: %s has no %s for this value", where, family_name(c->family), keys[i].name);
    if ((family & (F_GPT2 | F_OLMOE)) && (int64_t)c->n_head * c->d_head != c->d_model)
        return ERR(err, UNSUPPORTED, "%s: %d heads of %d, %s needs their product to be the width %d", where, c->n_head, c->d_head,
                   family_name(c->family), c->d_model);
    if (c->family == FAMILY_GPT2 && c->n_kv_head != c->n_head)
        return ERR(err, UNSUPPORTED, "%s: %d key/value heads, gpt2 has as many as heads, %d", where, c->n_kv_head, c->n_head);
    if ((family & (F_MIXTRAL | F_OLMOE)) && !c->n_expert)
        return ERR(err, UNSUPPORTED, "%s: no experts, %s has at least one", where, family_name(c->family));
    return 0;
}

static int check_experts(const struct config *c, const char *where, struct err *err)
{
    if (!c->n_expert && c->d_ff < 1)
        return ERR(err, RANGE, "%s: %s is %d, expected at least 1 for a dense model", where, key_name(c, AT(d_ff), "d_ff"), c->d_ff);
    if (!c->n_expert)
        return 0;
    if (c->top_k < 1 || c->top_k > c->n_expert)
        return ERR(err, RANGE, "%s: %s is %d, expected 1 to the number of experts, %d", where, key_name(c, AT(top_k), "top_k"), c->top_k, c->n_expert);
    if (c->d_ff_expert < 1)
        return ERR(err, RANGE, "%s: %s is %d, expected at least 1", where, key_name(c, AT(d_ff_expert), "d_ff_expert"), c->d_ff_expert);
    return 0;
}

int config_validate(const struct config *c, const char *where, struct err *err)
{
    if ((unsigned)c->family >= N_FAMILY || (unsigned)c->norm >= N_NORM_KIND || (unsigned)c->act >= N_ACT_KIND ||
        (unsigned)c->pos >= N_POS_KIND || (unsigned)c->qk_norm >= N_QK_NORM_KIND || !word_of(dtype_words, (int)c->dtype))
        return ERR(err, RANGE, "%s: family, norm, act, pos, qk_norm or dtype is not one of its values", where);
    TRY(check_bounds(c, where, err));
    if (c->n_head % c->n_kv_head)
        return ERR(err, FORMAT, "%s: %d key/value heads do not divide %d heads", where, c->n_kv_head, c->n_head);
    if (c->pos == POS_ROPE && c->d_head % 2)
        return ERR(err, FORMAT, "%s: d_head is %d, RoPE needs an even number", where, c->d_head);
    if (c->norm == NORM_RMS && c->norm_bias)
        return ERR(err, FORMAT, "%s: norm_bias is true, rmsnorm has none", where);
    TRY(check_experts(c, where, err));
    TRY(check_family(c, where, err));
    if (c->bos_id >= c->vocab_size)
        return ERR(err, RANGE, "%s: bos_id is %d, expected less than vocab_size, %d", where, c->bos_id, c->vocab_size);
    if (c->n_eos < 0 || c->n_eos > CONFIG_EOS_MAX)
        return ERR(err, RANGE, "%s: %d eos ids, expected 0 to %d", where, c->n_eos, CONFIG_EOS_MAX);
    for (int i = 0; i < c->n_eos; i++)
        if (c->eos_id[i] < 0 || c->eos_id[i] >= c->vocab_size)
            return ERR(err, RANGE, "%s: eos_id is %d, expected 0 to less than vocab_size, %d", where, c->eos_id[i], c->vocab_size);
    int64_t total;
    config_params(c, &total, NULL);
    return total <= PARAMS_MAX ? 0 : ERR(err, RANGE, "%s: %lld parameters, expected at most 2^48", where, (long long)total);
}

void config_params(const struct config *c, int64_t *total, int64_t *active)
{
    const int64_t C = c->d_model, V = c->vocab_size, hd = c->d_head, H = c->n_head, KV = c->n_kv_head;
    const int64_t up = config_gated(c) ? 2 : 1, norm = c->norm_bias ? 2 * C : C, bias = c->linear_bias;
    const int64_t attn = (C + bias) * config_qkv_rows(c) + (H * hd + bias) * C;
    const int64_t qk_norm = c->qk_norm == QK_NORM_HEAD ? 2 * hd : c->qk_norm == QK_NORM_FULL ? (H + KV) * hd : 0;
    const int64_t expert = (up + 1) * C * c->d_ff_expert;
    const int64_t mlp = c->n_expert ? c->n_expert * (C + expert) : (C + bias) * up * c->d_ff + (c->d_ff + bias) * C;
    const int64_t all = V * C * (c->tie_embeddings ? 1 : 2) + (c->pos == POS_LEARNED ? c->ctx * C : 0) + norm +
                        c->n_layer * (2 * norm + attn + qk_norm + mlp);
    if (total)
        *total = all;
    if (active)
        *active = all - (c->n_expert ? c->n_layer * (c->n_expert - c->top_k) * expert : 0);
}

/* ---- writing ---- */

/* The shortest form that reads back as the same number, marked as not an integer. */
static int add_number(struct buf *b, double v, struct err *err)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return buf_printf(b, err, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static int add_key(struct buf *b, const struct config *c, const struct key *k, struct err *err)
{
    if ((k->flags & UNWRITTEN) || ((k->flags & OURS) && num_of(c, k->at) == k->fallback))
        return 0;
    TRY(buf_printf(b, err, ",\n  \"%s\": ", k->name));
    switch (k->kind) {
    case KIND_INT: return buf_printf(b, err, "%d", int_of(c, k->at));
    case KIND_NUM: return add_number(b, num_of(c, k->at), err);
    case KIND_BOOL: return buf_add_str(b, bool_of(c, k->at) ? "true" : "false", err);
    default: return buf_printf(b, err, "\"%s\"", word_of(k->words, int_of(c, k->at)));
    }
}

static int add_ids(struct buf *b, const struct config *c, struct err *err)
{
    TRY(buf_add_str(b, ",\n  \"bos_token_id\": ", err));
    TRY(c->bos_id < 0 ? buf_add_str(b, "null", err) : buf_printf(b, err, "%d", c->bos_id));
    TRY(buf_add_str(b, ",\n  \"eos_token_id\": ", err));
    if (c->n_eos < 2)
        return c->n_eos ? buf_printf(b, err, "%d", c->eos_id[0]) : buf_add_str(b, "null", err);
    for (int i = 0; i < c->n_eos; i++)
        TRY(buf_printf(b, err, "%s%d", i ? ", " : "[", c->eos_id[i]));
    return buf_add_char(b, ']', err);
}

int config_write(const struct config *c, struct buf *out, struct err *err)
{
    static const char *const class[N_FAMILY] = {
#define X(name, type, class) class,
        FAMILIES(X)
#undef X
    };
    TRY(buf_printf(out, err, "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\"", class[c->family],
                   family_name(c->family)));
    for (size_t i = 0; i < N_KEY; i++)
        if (keys[i].families & 1u << c->family)
            TRY(add_key(out, c, &keys[i], err));
    if (c->family == FAMILY_GPT2) {
        TRY(buf_add_str(out, ",\n  \"attn_pdrop\": 0.0,\n  \"embd_pdrop\": ", err));
        TRY(add_number(out, c->dropout, err));
    }
    TRY(add_ids(out, c, err));
    return buf_printf(out, err, ",\n  \"torch_dtype\": \"%s\"\n}\n", word_of(dtype_words, (int)c->dtype));
}
