/* weights.c - the list of a model's weights, and a safetensors file held against it. */
#include "model/weights.h"
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/source.h"

/* ---- names in the file: '#' is the layer, '@' the expert, '$' nothing or "_bias" (else .weight or .bias follow) ---- */

enum slot {
    SLOT_EMBED, SLOT_TYPE, SLOT_EMBED_NORM, SLOT_POS, SLOT_NORM1, SLOT_NORM1_OUT, SLOT_QKV, SLOT_Q, SLOT_K, SLOT_V, SLOT_Q_NORM, SLOT_K_NORM, SLOT_SINKS,
    SLOT_Q_A, SLOT_Q_A_NORM, SLOT_Q_B, SLOT_KV_A, SLOT_KV_A_NORM, SLOT_KV_B, SLOT_O, SLOT_NORM2, SLOT_NORM2_OUT, SLOT_GATE_UP, SLOT_GATE, SLOT_UP, SLOT_DOWN,
    SLOT_ROUTER, SLOT_CORRECTION, SLOT_E_GATE, SLOT_E_UP, SLOT_E_DOWN, SLOT_E_GATE_UP_ALL, SLOT_E_DOWN_ALL, SLOT_S_GATE, SLOT_S_UP, SLOT_S_DOWN, SLOT_SHARED_GATE,
    SLOT_NORM, SLOT_HEAD, SLOT_POOLER, SLOT_LABELS, SLOT_PATCH, SLOT_CLS, N_SLOT
};
#define F_GPT_NAMES (F_GPT2 | F_GPT_NEOX | F_BERTS)
#define F_BERT_NAMES (F_BERT | F_ROBERTA | F_XLM_ROBERTA)
#define REST F_ALL

/* The first row that has slot and family. */
static const struct { enum slot slot; unsigned families; const char *name; } slot_names[] = {
    { SLOT_EMBED, F_GPT2, "transformer.wte" },
    { SLOT_EMBED, F_GPT_NEOX, "gpt_neox.embed_in" },
    { SLOT_EMBED, F_BERTS, "embeddings.word_embeddings" },
    { SLOT_EMBED, F_MODERNBERT, "embeddings.tok_embeddings" },
    { SLOT_EMBED, REST, "model.embed_tokens" },
    { SLOT_TYPE, F_BERTS, "embeddings.token_type_embeddings" },
    { SLOT_EMBED_NORM, F_BERTS, "embeddings.LayerNorm" },
    { SLOT_EMBED_NORM, F_MODERNBERT, "embeddings.norm" },
    { SLOT_POS, F_GPT2, "transformer.wpe" },
    { SLOT_POS, F_BERTS, "embeddings.position_embeddings" },
    { SLOT_POS, F_VIT, "vit.embeddings.position_embeddings$" },
    { SLOT_POS, REST, "model.embed_positions" },
    { SLOT_PATCH, F_VIT, "vit.embeddings.patch_embeddings.projection" },
    { SLOT_CLS, F_VIT, "vit.embeddings.cls_token$" },

    { SLOT_NORM1, F_GPT2, "transformer.h.#.ln_1" },
    { SLOT_NORM1, F_GPT_NEOX, "gpt_neox.layers.#.input_layernorm" },
    { SLOT_NORM1, F_MODERNBERT, "layers.#.attn_norm" },
    { SLOT_NORM1, F_VIT, "vit.encoder.layer.#.layernorm_before" },
    { SLOT_NORM1, REST, "model.layers.#.input_layernorm" },
    { SLOT_NORM1_OUT, F_BERT_NAMES, "encoder.layer.#.attention.output.LayerNorm" },
    { SLOT_NORM1_OUT, F_DISTILBERT, "transformer.layer.#.sa_layer_norm" },
    { SLOT_NORM1_OUT, REST, "model.layers.#.post_attention_layernorm" },
    { SLOT_NORM2, F_GPT2, "transformer.h.#.ln_2" },
    { SLOT_NORM2, F_GPT_NEOX, "gpt_neox.layers.#.post_attention_layernorm" },
    { SLOT_NORM2, F_GEMMA2 | F_GEMMA3, "model.layers.#.pre_feedforward_layernorm" },
    { SLOT_NORM2, F_MODERNBERT, "layers.#.mlp_norm" },
    { SLOT_NORM2, F_VIT, "vit.encoder.layer.#.layernorm_after" },
    { SLOT_NORM2, REST, "model.layers.#.post_attention_layernorm" },
    { SLOT_NORM2_OUT, F_BERT_NAMES, "encoder.layer.#.output.LayerNorm" },
    { SLOT_NORM2_OUT, F_DISTILBERT, "transformer.layer.#.output_layer_norm" },
    { SLOT_NORM2_OUT, REST, "model.layers.#.post_feedforward_layernorm" },

    { SLOT_QKV, F_GPT2, "transformer.h.#.attn.c_attn" },
    { SLOT_QKV, F_GPT_NEOX, "gpt_neox.layers.#.attention.query_key_value" },
    { SLOT_QKV, F_PHI3, "model.layers.#.self_attn.qkv_proj" },
    { SLOT_QKV, F_MODERNBERT, "layers.#.attn.Wqkv" },
    { SLOT_Q, F_BERT_NAMES, "encoder.layer.#.attention.self.query" },
    { SLOT_K, F_BERT_NAMES, "encoder.layer.#.attention.self.key" },
    { SLOT_V, F_BERT_NAMES, "encoder.layer.#.attention.self.value" },
    { SLOT_Q, F_DISTILBERT, "transformer.layer.#.attention.q_lin" },
    { SLOT_K, F_DISTILBERT, "transformer.layer.#.attention.k_lin" },
    { SLOT_V, F_DISTILBERT, "transformer.layer.#.attention.v_lin" },
    { SLOT_Q, F_VIT, "vit.encoder.layer.#.attention.attention.query" },
    { SLOT_K, F_VIT, "vit.encoder.layer.#.attention.attention.key" },
    { SLOT_V, F_VIT, "vit.encoder.layer.#.attention.attention.value" },
    { SLOT_Q, REST, "model.layers.#.self_attn.q_proj" },
    { SLOT_K, REST, "model.layers.#.self_attn.k_proj" },
    { SLOT_V, REST, "model.layers.#.self_attn.v_proj" },
    { SLOT_Q_NORM, REST, "model.layers.#.self_attn.q_norm" },
    { SLOT_K_NORM, REST, "model.layers.#.self_attn.k_norm" },
    { SLOT_SINKS, REST, "model.layers.#.self_attn.sinks$" },
    { SLOT_Q_A, REST, "model.layers.#.self_attn.q_a_proj" },
    { SLOT_Q_A_NORM, REST, "model.layers.#.self_attn.q_a_layernorm" },
    { SLOT_Q_B, REST, "model.layers.#.self_attn.q_b_proj" },
    { SLOT_KV_A, REST, "model.layers.#.self_attn.kv_a_proj_with_mqa" },
    { SLOT_KV_A_NORM, REST, "model.layers.#.self_attn.kv_a_layernorm" },
    { SLOT_KV_B, REST, "model.layers.#.self_attn.kv_b_proj" },
    { SLOT_O, F_GPT2, "transformer.h.#.attn.c_proj" },
    { SLOT_O, F_GPT_NEOX, "gpt_neox.layers.#.attention.dense" },
    { SLOT_O, F_BERT_NAMES, "encoder.layer.#.attention.output.dense" },
    { SLOT_O, F_DISTILBERT, "transformer.layer.#.attention.out_lin" },
    { SLOT_O, F_MODERNBERT, "layers.#.attn.Wo" },
    { SLOT_O, F_VIT, "vit.encoder.layer.#.attention.output.dense" },
    { SLOT_O, REST, "model.layers.#.self_attn.o_proj" },

    { SLOT_GATE_UP, F_PHI3, "model.layers.#.mlp.gate_up_proj" },
    { SLOT_GATE_UP, F_MODERNBERT, "layers.#.mlp.Wi" },
    { SLOT_GATE, REST, "model.layers.#.mlp.gate_proj" },
    { SLOT_UP, F_GPT2, "transformer.h.#.mlp.c_fc" },
    { SLOT_UP, F_GPT_NEOX, "gpt_neox.layers.#.mlp.dense_h_to_4h" },
    { SLOT_UP, F_BERT_NAMES, "encoder.layer.#.intermediate.dense" },
    { SLOT_UP, F_DISTILBERT, "transformer.layer.#.ffn.lin1" },
    { SLOT_UP, F_VIT, "vit.encoder.layer.#.intermediate.dense" },
    { SLOT_UP, REST, "model.layers.#.mlp.up_proj" },
    { SLOT_DOWN, F_GPT2, "transformer.h.#.mlp.c_proj" },
    { SLOT_DOWN, F_GPT_NEOX, "gpt_neox.layers.#.mlp.dense_4h_to_h" },
    { SLOT_DOWN, F_BERT_NAMES, "encoder.layer.#.output.dense" },
    { SLOT_DOWN, F_DISTILBERT, "transformer.layer.#.ffn.lin2" },
    { SLOT_DOWN, F_MODERNBERT, "layers.#.mlp.Wo" },
    { SLOT_DOWN, F_VIT, "vit.encoder.layer.#.output.dense" },
    { SLOT_DOWN, REST, "model.layers.#.mlp.down_proj" },

    { SLOT_ROUTER, F_MIXTRAL, "model.layers.#.block_sparse_moe.gate" },
    { SLOT_ROUTER, F_GPT_OSS, "model.layers.#.mlp.router" },
    { SLOT_ROUTER, REST, "model.layers.#.mlp.gate" },
    { SLOT_CORRECTION, REST, "model.layers.#.mlp.gate.e_score_correction_bias$" },
    { SLOT_E_GATE, F_MIXTRAL, "model.layers.#.block_sparse_moe.experts.@.w1" },
    { SLOT_E_UP, F_MIXTRAL, "model.layers.#.block_sparse_moe.experts.@.w3" },
    { SLOT_E_DOWN, F_MIXTRAL, "model.layers.#.block_sparse_moe.experts.@.w2" },
    { SLOT_E_GATE, REST, "model.layers.#.mlp.experts.@.gate_proj" },
    { SLOT_E_UP, REST, "model.layers.#.mlp.experts.@.up_proj" },
    { SLOT_E_DOWN, REST, "model.layers.#.mlp.experts.@.down_proj" },
    { SLOT_E_GATE_UP_ALL, REST, "model.layers.#.mlp.experts.gate_up_proj$" },
    { SLOT_E_DOWN_ALL, REST, "model.layers.#.mlp.experts.down_proj$" },
    { SLOT_S_GATE, F_DEEPSEEKS, "model.layers.#.mlp.shared_experts.gate_proj" },
    { SLOT_S_UP, F_DEEPSEEKS, "model.layers.#.mlp.shared_experts.up_proj" },
    { SLOT_S_DOWN, F_DEEPSEEKS, "model.layers.#.mlp.shared_experts.down_proj" },
    { SLOT_S_GATE, REST, "model.layers.#.mlp.shared_expert.gate_proj" },
    { SLOT_S_UP, REST, "model.layers.#.mlp.shared_expert.up_proj" },
    { SLOT_S_DOWN, REST, "model.layers.#.mlp.shared_expert.down_proj" },
    { SLOT_SHARED_GATE, REST, "model.layers.#.mlp.shared_expert_gate" },

    { SLOT_NORM, F_GPT2, "transformer.ln_f" },
    { SLOT_NORM, F_GPT_NEOX, "gpt_neox.final_layer_norm" },
    { SLOT_NORM, F_MODERNBERT, "final_norm" },
    { SLOT_NORM, F_VIT, "vit.layernorm" },
    { SLOT_NORM, REST, "model.norm" },
    { SLOT_HEAD, F_GPT_NEOX, "embed_out" },
    { SLOT_HEAD, REST, "lm_head" },
    { SLOT_POOLER, F_BERT, "pooler.dense" },
    { SLOT_POOLER, F_ROBERTA | F_XLM_ROBERTA, "classifier.dense" },
    { SLOT_LABELS, F_ROBERTA | F_XLM_ROBERTA, "classifier.out_proj" },
    { SLOT_LABELS, F_ENCODERS | F_VIT, "classifier" },
    { SLOT_LABELS, REST, "score" },
};
#define N_NAME (sizeof slot_names / sizeof *slot_names)

/* Files of the bare model, without its head, lack the first word of the others; those with one have it for an encoder. */
static const struct { unsigned families; const char *prefix; bool written; } prefixes[] = {
    { F_GPT2, "transformer.", true }, { F_BERT, "bert.", false }, { F_ROBERTA | F_XLM_ROBERTA, "roberta.", false }, { F_DISTILBERT, "distilbert.", false },
    { F_VIT, "vit.", true }, { F_GPT_NEOX, "gpt_neox.", true }, { F_MODERNBERT, "model.", false }, { REST, "model.", true },
};
static const char *prefix_of(const struct config *c, bool *written)
{
    int i = 0;
    while (!(prefixes[i].families & 1u << c->family))
        i++;
    *written = prefixes[i].written || c->n_label;
    return prefixes[i].prefix;
}

/* What files carry beside the weights that we use: constants that the model computes itself, heads, further layers. */
static const struct { unsigned families; const char *pattern; } passed_over[] = {
    { F_GPT2, "transformer.h.#.attn.bias" }, { F_GPT2, "transformer.h.#.attn.masked_bias" }, { F_GPT2, "h.#.attn.bias" }, { F_GPT2, "h.#.attn.masked_bias" },
    { REST, "model.layers.#.self_attn.rotary_emb.inv_freq" },
    { F_GPT_NEOX, "gpt_neox.layers.#.attention.bias" }, { F_GPT_NEOX, "gpt_neox.layers.#.attention.masked_bias" },
    { F_GPT_NEOX, "gpt_neox.layers.#.attention.rotary_emb.inv_freq" },
    { F_BERTS, "*pooler.dense.weight" }, { F_BERTS, "*pooler.dense.bias" }, { F_BERTS, "*embeddings.position_ids" }, { F_BERTS, "cls.*" },
    { F_BERTS, "lm_head.*" }, { F_BERTS, "vocab_*" }, { F_ENCODERS, "classifier.*" }, { F_BERTS, "pre_classifier.*" },
    { F_VIT, "vit.pooler.dense.weight" }, { F_VIT, "vit.pooler.dense.bias" }, { F_VIT, "pooler.dense.weight" }, { F_VIT, "pooler.dense.bias" },
    { F_MODERNBERT, "head.*" }, { F_MODERNBERT, "decoder.*" },
};

/* Those of the above that are no weights in any family: masks and frequencies. */
bool weights_is_constant(const char *name)
{
    static const char *const ends[] = { ".masked_bias", ".attn.bias", ".attention.bias", ".rotary_emb.inv_freq" };
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i]))
            return true;
    return false;
}

static const char *slot_name(const struct config *c, int slot)
{
    size_t i = 0;
    while (i < N_NAME && ((int)slot_names[i].slot != slot || !(slot_names[i].families & 1u << c->family)))
        i++;
    assert(i < N_NAME);
    return slot_names[i].name;
}

static void part_name(char out[PART_NAME_MAX], const char *pattern, int layer, int expert, bool bias)
{
    char *p = out;
    bool suffix = true;
    for (; *pattern; pattern++) {
        assert(p - out < PART_NAME_MAX - 24);      /* a number and the suffix fit */
        if (*pattern == '#' || *pattern == '@')
            p += sprintf(p, "%d", *pattern == '#' ? layer : expert);
        else if (*pattern == '$')
            p += sprintf(p, "%s", bias ? "_bias" : ""), suffix = false;
        else
            *p++ = *pattern;
    }
    strcpy(p, !suffix ? "" : bias ? ".bias" : ".weight");
}

/* ---- the list ---- */

/* Segments of one expert: slots and their rows, ended by rows 0. */
struct segments { struct { int slot; int64_t n_row; } s[3]; };

/* The weight is one block for each expert, and so are its parts. */
static bool stacked(const struct weight *w) { return w->n_segment && w->segment[0].slot >= SLOT_E_GATE && w->segment[0].slot <= SLOT_E_DOWN_ALL; }

static struct weight *add(struct weights_list *l, int layer, const char *name, const char *suffix, int rank, int64_t a, int64_t b,
                          int64_t c, struct segments segments)
{
    struct weight *w = &l->weight[l->n_weight++];
    *w = (struct weight){ .rank = rank, .shape = { a, b, c }, .layer = layer };
    w->n = a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1);
    if (layer < 0)
        snprintf(w->name, sizeof w->name, "%s%s", name, suffix);
    else
        snprintf(w->name, sizeof w->name, "%d.%s%s", layer, name, suffix);
    for (int i = 0; i < 3 && segments.s[i].n_row; i++) {
        w->segment[i].slot = segments.s[i].slot;
        w->segment[i].n_row = segments.s[i].n_row;
        w->n_segment++;
    }
    w->n_part = w->n_segment * (stacked(w) ? (int)a : 1);
    return w;
}

static void add_norm(struct weights_list *l, int layer, const char *name, int slot)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model;
    const struct segments s = { { { slot, C } } };
    if (c->norm_gain) {
        struct weight *w = add(l, layer, name, ".w", 1, C, 0, 0, s);
        w->init = INIT_ONES;
        w->plus_one = c->norm_plus_one;
    }
    if (!c->norm_bias)
        return;
    struct weight *b = add(l, layer, name, ".b", 1, C, 0, 0, s);
    b->init = INIT_ZEROS;
    b->bias = true;
}

/* A norm of the layer, if this kind of place has it: on a branch's input, on its output or on the sum. */
static void add_layer_norm(struct weights_list *l, int layer, const char *name, int slot, bool out)
{
    const enum place_kind p = l->config.place;
    if (slot == SLOT_NORM1 ? config_norm1(&l->config, layer) : out ? p != PLACE_BEFORE : p == PLACE_BEFORE || p == PLACE_BOTH)
        add_norm(l, layer, name, slot);
}

static void add_gain(struct weights_list *l, int layer, const char *name, int slot, int64_t n)
{
    struct weight *w = add(l, layer, name, "", 1, n, 0, 0, (struct segments){ { { slot, n } } });
    w->init = INIT_ONES;
    w->plus_one = l->config.norm_plus_one;
}

static struct weight *add_zeros(struct weights_list *l, int layer, const char *name, const char *suffix, int rank, int64_t a, int64_t b, struct segments s)
{
    struct weight *w = add(l, layer, name, suffix, rank, a, b, 0, s);
    w->init = INIT_ZEROS;
    return w;
}

/* rank 2: [a,b]; rank 3: [a,b,c]. */
static struct weight *add_matrix(struct weights_list *l, int layer, const char *name, const char *suffix, int64_t a, int64_t b,
                                 int64_t c, struct segments s)
{
    struct weight *w = add(l, layer, name, suffix, c ? 3 : 2, a, b, c, s);
    w->std = l->config.init_std;
    w->decay = true;
    return w;
}

enum { BRANCH_BEGIN, BRANCH_END };

/* Returns the matrix, and after it in the list its bias, if it has one. */
static struct weight *add_linear(struct weights_list *l, int layer, const char *name, int64_t n_out, int64_t n_in, int where, bool bias,
                                 struct segments s)
{
    const struct config *c = &l->config;
    struct weight *w = add_matrix(l, layer, name, ".w", n_out, n_in, 0, s);
    w->transposed = c->family == FAMILY_GPT2;
    if (where == BRANCH_END)
        w->std /= sqrt(2.0 * c->n_layer);
    if (bias)
        add_zeros(l, layer, name, ".b", 1, n_out, 0, s)->bias = true;
    return w;
}

static void add_qkv(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_kv_head * c->d_head;
    const bool is_fused = c->family == FAMILY_GPT2 || c->family == FAMILY_GPT_NEOX || c->family == FAMILY_PHI3 || c->family == FAMILY_MODERNBERT;
    const struct segments fused = { { { SLOT_QKV, q + 2 * kv } } }, split = { { { SLOT_Q, q }, { SLOT_K, kv }, { SLOT_V, kv } } };
    struct weight *w = add_linear(l, layer, "qkv", q + 2 * kv, c->d_model, BRANCH_BEGIN, c->qkv_bias, is_fused ? fused : split);
    for (int i = 0; c->family == FAMILY_GPT_NEOX && i <= c->qkv_bias; i++)
        w[i].fold = 3, w[i].inner = c->d_head;
    if (c->qk_norm != QK_NORM_NONE) {
        add_gain(l, layer, "q_norm", SLOT_Q_NORM, c->qk_norm == QK_NORM_FULL ? q : c->d_head);
        add_gain(l, layer, "k_norm", SLOT_K_NORM, c->qk_norm == QK_NORM_FULL ? kv : c->d_head);
    }
}

#define ONE(slot, n) ((struct segments){ { { (slot), (n) } } })

static void add_mla(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model, q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_head * (c->d_nope + c->d_v), a = c->kv_rank + config_d_rot(c);
    if (c->q_rank) {
        add_linear(l, layer, "q_a", c->q_rank, C, BRANCH_BEGIN, c->qkv_bias, ONE(SLOT_Q_A, c->q_rank));
        add_gain(l, layer, "q_a_norm", SLOT_Q_A_NORM, c->q_rank);
        add_linear(l, layer, "q_b", q, c->q_rank, BRANCH_BEGIN, false, ONE(SLOT_Q_B, q));
    } else {
        add_linear(l, layer, "q", q, C, BRANCH_BEGIN, false, ONE(SLOT_Q, q));
    }
    add_linear(l, layer, "kv_a", a, C, BRANCH_BEGIN, c->qkv_bias, ONE(SLOT_KV_A, a));
    add_gain(l, layer, "kv_a_norm", SLOT_KV_A_NORM, c->kv_rank);
    add_linear(l, layer, "kv_b", kv, c->kv_rank, BRANCH_BEGIN, false, ONE(SLOT_KV_B, kv));
}

static void add_attention(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    add_layer_norm(l, layer, "norm1", SLOT_NORM1, false);
    (c->kv_rank ? add_mla : add_qkv)(l, layer);
    if (c->sinks)
        add_zeros(l, layer, "sinks", "", 1, c->n_head, 0, ONE(SLOT_SINKS, c->n_head));
    add_linear(l, layer, "o", c->d_model, (int64_t)c->n_head * c->d_v, BRANCH_END, c->o_bias, ONE(SLOT_O, c->d_model));
    add_layer_norm(l, layer, "norm1_out", SLOT_NORM1_OUT, true);
    add_layer_norm(l, layer, "norm2", SLOT_NORM2, false);
}

static void add_mlp(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model, F = c->d_ff;
    if (config_gated(c))
        add_linear(l, layer, "gate_up", 2 * F, C, BRANCH_BEGIN, c->mlp_bias,
                   c->family == FAMILY_PHI3 || c->family == FAMILY_MODERNBERT ? ONE(SLOT_GATE_UP, 2 * F) : (struct segments){ { { SLOT_GATE, F }, { SLOT_UP, F } } });
    else
        add_linear(l, layer, "up", F, C, BRANCH_BEGIN, c->mlp_bias, ONE(SLOT_UP, F));
    add_linear(l, layer, "down", C, F, BRANCH_END, c->mlp_bias, ONE(SLOT_DOWN, C));
}

/* gpt-oss: all experts in one tensor, [E, in, out], gate and up taking turns. */
static void add_stacked_experts(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model, E = c->n_expert, F = c->d_ff_expert;
    struct weight *up = add_matrix(l, layer, "experts.gate_up", ".w", E, 2 * F, C, ONE(SLOT_E_GATE_UP_ALL, 2 * F));
    struct weight *up_bias = add_zeros(l, layer, "experts.gate_up", ".b", 2, E, 2 * F, ONE(SLOT_E_GATE_UP_ALL, 2 * F));
    up->transposed = up_bias->bias = true;
    up->fold = up_bias->fold = 2, up->inner = up_bias->inner = 1;
    struct weight *down = add_matrix(l, layer, "experts.down", ".w", E, C, F, ONE(SLOT_E_DOWN_ALL, C));
    down->transposed = true;
    down->std /= sqrt(2.0 * c->n_layer);
    add_zeros(l, layer, "experts.down", ".b", 2, E, C, ONE(SLOT_E_DOWN_ALL, C))->bias = true;
}

static void add_experts(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model, E = c->n_expert, F = c->d_ff_expert, S = c->d_ff_shared;
    add_linear(l, layer, "router", E, C, BRANCH_BEGIN, c->router_bias, ONE(SLOT_ROUTER, E));
    if (c->router_correction)
        add_zeros(l, layer, "correction", "", 1, E, 0, ONE(SLOT_CORRECTION, E))->balances = true;
    if (c->family == FAMILY_GPT_OSS) {
        add_stacked_experts(l, layer);
    } else {
        const bool gated = config_gated(c);
        const char *up = gated ? "experts.gate_up" : "experts.up";
        const struct segments pair = { { { SLOT_E_GATE, F }, { SLOT_E_UP, F } } }, s = gated ? pair : ONE(SLOT_E_UP, F);
        add_matrix(l, layer, up, ".w", E, gated ? 2 * F : F, C, s);
        if (c->expert_bias)
            add_zeros(l, layer, up, ".b", 2, E, gated ? 2 * F : F, s)->bias = true;
        add_matrix(l, layer, "experts.down", ".w", E, C, F, ONE(SLOT_E_DOWN, C))->std /= sqrt(2.0 * c->n_layer);
        if (c->expert_bias)
            add_zeros(l, layer, "experts.down", ".b", 2, E, C, ONE(SLOT_E_DOWN, C))->bias = true;
    }
    if (!S)
        return;
    if (config_gated(c))
        add_linear(l, layer, "shared.gate_up", 2 * S, C, BRANCH_BEGIN, false, (struct segments){ { { SLOT_S_GATE, S }, { SLOT_S_UP, S } } });
    else
        add_linear(l, layer, "shared.up", S, C, BRANCH_BEGIN, false, ONE(SLOT_S_UP, S));
    add_linear(l, layer, "shared.down", C, S, BRANCH_END, false, ONE(SLOT_S_DOWN, C));
    if (c->shared_gate)
        add_linear(l, layer, "shared_gate", 1, C, BRANCH_BEGIN, false, ONE(SLOT_SHARED_GATE, 1));
}

#define PER_LAYER_MAX 28       /* four norms 8, MLA 8 (qkv and its norms 4), sinks, o 2, router 3, experts 4, shared 3; a dense MLP has 4 */
#define OUTSIDE_MAX 11         /* embed, type, embed_norm 2, pos, norm 2, pooler 2, head 2; or patch 2, cls, pos, norm 2, head 2 */

int weights_list_new(struct weights_list **out, const struct config *c, struct err *err)
{
    *out = NULL;
    struct weights_list *l = mem_alloc_array(1, sizeof *l);
    const size_t n = (size_t)c->n_layer * PER_LAYER_MAX + OUTSIDE_MAX;
    if (!l || !(l->weight = mem_alloc_array(n, sizeof *l->weight))) {
        mem_free(l);
        return ERR(err, NOMEM, "no memory for the list of %zu weights", n);
    }
    l->config = *c;
    const int64_t V = c->vocab_size, C = c->d_model, n_pos = (int64_t)c->ctx + c->pos_first;
    if (config_vision(c)) {
        add_linear(l, -1, "patch", C, config_patch_numbers(c), BRANCH_BEGIN, true, ONE(SLOT_PATCH, C));
        add_matrix(l, -1, "cls", "", 1, C, 0, ONE(SLOT_CLS, 1))->decay = false;
    } else {
        add_matrix(l, -1, "embed", "", V, C, 0, ONE(SLOT_EMBED, V));
    }
    if (c->pos == POS_LEARNED)
        add_matrix(l, -1, "pos", "", n_pos, C, 0, ONE(SLOT_POS, n_pos))->decay = !config_vision(c);
    if (c->n_type)
        add_matrix(l, -1, "type", "", c->n_type, C, 0, ONE(SLOT_TYPE, c->n_type));
    if (config_embed_norm(c))
        add_norm(l, -1, "embed_norm", SLOT_EMBED_NORM);
    for (int layer = 0; layer < c->n_layer; layer++) {
        add_attention(l, layer);
        (config_dense(c, layer) ? add_mlp : add_experts)(l, layer);
        add_layer_norm(l, layer, "norm2_out", SLOT_NORM2_OUT, true);
    }
    if (config_last_norm(c))
        add_norm(l, -1, "norm", SLOT_NORM);
    if (c->n_label) {
        if (config_label_pooler(c)) {
            add_matrix(l, -1, "pooler", ".w", C, C, 0, ONE(SLOT_POOLER, C));
            add_zeros(l, -1, "pooler", ".b", 1, C, 0, ONE(SLOT_POOLER, C))->bias = true;
        }
        add_matrix(l, -1, "label", ".w", c->n_label, C, 0, ONE(SLOT_LABELS, c->n_label));
        if (config_label_bias(c))
            add_zeros(l, -1, "label", ".b", 1, c->n_label, 0, ONE(SLOT_LABELS, c->n_label))->bias = true;
    } else if (!c->tie_embeddings && !c->encoder)
        add_matrix(l, -1, "head", ".w", V, C, 0, ONE(SLOT_HEAD, V));
    assert((size_t)l->n_weight <= n);
    *out = l;
    return 0;
}

void weights_list_free(struct weights_list *l)
{
    if (!l)
        return;
    mem_free(l->part);
    mem_free(l->weight);
    mem_free(l);
}

/* A text encoder with a head has the word before its names that the bare one lacks. */
static void name_part(char out[PART_NAME_MAX], const struct weights_list *l, int slot, int layer, int expert, bool bias)
{
    bool written;
    const char *prefix = prefix_of(&l->config, &written), *name = slot_name(&l->config, slot);
    char full[PART_NAME_MAX];
    const bool add = l->config.n_label && config_embed_norm(&l->config) && strncmp(name, "classifier", 10);
    snprintf(full, sizeof full, "%s%s", add ? prefix : "", name);
    part_name(out, full, layer, expert, bias);
}

int weights_find(const struct weights_list *l, const char *name, int64_t n)
{
    for (int i = 0; i < l->n_weight; i++)
        if (!strcmp(l->weight[i].name, name) && l->weight[i].n == n)
            return i;
    return -1;
}

struct weight_part weight_part(const struct weights_list *l, const struct weight *w, int i_part)
{
    assert(i_part >= 0 && i_part < w->n_part);
    if (l->part)
        return l->part[w->first_part + i_part];
    const int expert = i_part / w->n_segment, i = i_part % w->n_segment;
    const bool one_tensor = stacked(w) && w->segment[i].slot >= SLOT_E_GATE_UP_ALL && w->segment[i].slot <= SLOT_E_DOWN_ALL;
    struct weight_part p = { .n_row = w->segment[i].n_row, .transposed = w->transposed, .plus_one = w->plus_one, .fold = w->fold, .inner = w->inner };
    p.n_col = w->rank == 1 || w->bias ? 1 : w->shape[w->rank - 1];
    p.row = stacked(w) ? expert * w->shape[1] : 0;
    for (int j = 0; j < i; j++)
        p.row += w->segment[j].n_row;
    if (one_tensor)
        p.shape[p.rank++] = w->shape[0], p.at = expert * p.n_row * p.n_col;
    if (w->segment[i].slot == SLOT_CLS || (w->segment[i].slot == SLOT_POS && config_vision(&l->config)))
        p.shape[p.rank++] = 1;
    p.shape[p.rank++] = w->transposed ? p.n_col : p.n_row;
    if (w->segment[i].slot == SLOT_PATCH && !w->bias) {          /* a convolution's weight: channels, rows, columns of a patch */
        p.shape[p.rank++] = l->config.n_channel;
        p.shape[p.rank++] = l->config.patch_size;
        p.shape[p.rank++] = l->config.patch_size;
    } else if (w->rank > 1 && !w->bias) {
        p.shape[p.rank++] = w->transposed ? p.n_row : p.n_col;
    }
    name_part(p.name, l, w->segment[i].slot, w->layer, expert, w->bias);
    return p;
}

/* The same part where the file has all experts of it in one tensor, gate above up (as Hugging Face's classes have them inside). */
static bool stacked_part(const struct weights_list *l, const struct weight *w, int i_part, struct weight_part *p)
{
    if (w->rank != 3 || w->segment[0].slot >= SLOT_E_GATE_UP_ALL || (w->n_segment != 2 && w->segment[0].slot != SLOT_E_DOWN))
        return false;
    *p = weight_part(l, w, i_part);
    part_name(p->name, slot_name(&l->config, w->n_segment == 2 ? SLOT_E_GATE_UP_ALL : SLOT_E_DOWN_ALL), w->layer, 0, false);
    p->rank = 3;
    memcpy(p->shape, w->shape, sizeof w->shape);
    p->at = p->row * p->n_col;
    return true;
}

/* ---- names: those of the family, with or without the prefix of its classes ---- */

/* BERT's first files have TensorFlow's names. */
static const struct { const char *now, *then; } older[] = { { "LayerNorm.weight", "LayerNorm.gamma" }, { "LayerNorm.bias", "LayerNorm.beta" } };

static const void *find_name(const struct weights_names *n, const char *name)
{
    char full[PART_NAME_MAX + 16];
    const size_t len = strlen(n->strip);
    snprintf(full, sizeof full, "%s%s", n->put, !strncmp(name, n->strip, len) ? name + len : name);
    const void *t = n->find(n->file, full);
    for (size_t i = 0; !t && i < sizeof older / sizeof *older; i++) {
        const size_t all = strlen(full), end = strlen(older[i].now);
        if (all < end || strcmp(full + all - end, older[i].now))
            continue;
        strcpy(full + all - end, older[i].then);           /* no longer than now */
        t = n->find(n->file, full);
    }
    return t;
}

static void names_init(struct weights_names *n, const struct weights_list *l, const void *file, const void *(*find)(const void *file, const char *name))
{
    bool written;
    const struct weight_part embed = weight_part(l, &l->weight[0], 0);
    const char *prefix = prefix_of(&l->config, &written);
    *n = (struct weights_names){ l, file, find, "", "" };
    if (find(file, embed.name))
        return;
    const char **to = written ? &n->strip : &n->put;
    *to = prefix;
    if (!find_name(n, embed.name))
        *to = "";
}

static const void *find_in_st(const void *st, const char *name) { return safetensors_find(st, name); }
static const void *find_in_source(const void *s, const char *name) { return source_find(s, name); }
void weights_names_of_st(struct weights_names *n, const struct weights_list *l, const struct safetensors *st) { names_init(n, l, st, find_in_st); }
void weights_names_of_source(struct weights_names *n, const struct weights_list *l, const struct source *s) { names_init(n, l, s, find_in_source); }

const void *weights_names_find(const struct weights_names *n, const struct weight *w, int j, struct weight_part *p)
{
    *p = weight_part(n->l, w, j);
    const void *t = find_name(n, p->name);
    struct weight_part q;
    if (!t && stacked_part(n->l, w, j, &q) && (t = find_name(n, q.name)))
        *p = q;
    return t;
}

/* ---- the file against the list ---- */

struct matched {
    const struct weights_list *l;
    const struct safetensors *st;
    struct weights_names names;
    bool *seen;                /* [st->n_tensor] */
    struct err *err;
};

/* Part j of w in the file, or NULL; *p says how it lies there. */
static const struct st_tensor *find_part(const struct matched *m, const struct weight *w, int j, struct weight_part *p)
{
    return weights_names_find(&m->names, w, j, p);
}

const char *weights_shape(char out[WEIGHTS_SHAPE], int rank, const int64_t *shape)
{
    size_t n = (size_t)snprintf(out, WEIGHTS_SHAPE, "[");
    for (int i = 0; i < rank && n < WEIGHTS_SHAPE - 30; i++)
        n += (size_t)snprintf(out + n, WEIGHTS_SHAPE - n, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(out + n, WEIGHTS_SHAPE - n, "]");
    return out;
}

static bool readable(enum st_dtype t) { return t == ST_F32 || t == ST_F16 || t == ST_BF16 || t == ST_F64; }

static int check_part(const struct matched *m, const struct weight_part *p, const struct st_tensor *t)
{
    if (!readable(t->dtype))
        return ERR(m->err, UNSUPPORTED, "%s: tensor '%s': dtype %s, expected F32, F16, BF16 or F64",
                   safetensors_file_name(m->st, t->i_file), t->name, st_dtype_name(t->dtype));
    if (t->rank == p->rank && !memcmp(t->shape, p->shape, (size_t)p->rank * sizeof *p->shape))
        return 0;
    char found[WEIGHTS_SHAPE], expected[WEIGHTS_SHAPE];
    return ERR(m->err, FORMAT, "%s: tensor '%s': shape %s, expected %s", safetensors_file_name(m->st, t->i_file), t->name, weights_shape(found, t->rank, t->shape),
               weights_shape(expected, p->rank, p->shape));
}

/* Each part is there; those seen are marked. */
static int check_parts(struct matched *m)
{
    const struct weights_list *l = m->l;
    char missing[PART_NAME_MAX] = "";
    long long n_missing = 0;
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++) {
            struct weight_part p;
            const struct st_tensor *t = find_part(m, &l->weight[i], j, &p);
            if (!t) {
                if (!n_missing++)
                    memcpy(missing, p.name, sizeof missing);
                continue;
            }
            m->seen[t - m->st->tensor] = true;
            TRY(check_part(m, &p, t));
        }
    const char *file = m->st->n_file ? safetensors_file_name(m->st, 0) : "";
    if (n_missing == 1)
        return ERR(m->err, FORMAT, "%s: tensor '%s' is missing, expected for this config.json", file, missing);
    if (n_missing)
        return ERR(m->err, FORMAT, "%s: tensor '%s' and %lld more are missing, expected for this config.json", file, missing,
                   n_missing - 1);
    return 0;
}

/* A tied head may be in the file too, if it has the embedding's values. */
static int check_tied_head(struct matched *m)
{
    struct weight_part head = weight_part(m->l, &m->l->weight[0], 0);
    const struct st_tensor *a = find_name(&m->names, head.name);
    part_name(head.name, slot_name(&m->l->config, SLOT_HEAD), -1, 0, false);
    const struct st_tensor *b = find_name(&m->names, head.name);
    if (!m->l->config.tie_embeddings || m->l->config.encoder || !b)
        return 0;
    m->seen[b - m->st->tensor] = true;
    TRY(check_part(m, &head, b));
    float x[1024], y[1024];
    for (int64_t i = 0; i < a->n; i += 1024) {
        const int64_t n = a->n - i < 1024 ? a->n - i : 1024;
        TRY(st_read_f32(a, i, n, x, m->err));
        TRY(st_read_f32(b, i, n, y, m->err));
        if (memcmp(x, y, (size_t)n * sizeof *x))
            return ERR(m->err, FORMAT, "%s: tensor '%s' differs from '%s', expected the same values as tie_word_embeddings is true",
                       safetensors_file_name(m->st, b->i_file), b->name, a->name);
    }
    return 0;
}

/* '#': a number; '*': anything, at the beginning or the end. */
static bool matches(const char *pattern, const char *s)
{
    if (*pattern == '*') {
        const size_t n = strlen(s), m = strlen(++pattern);
        return n >= m && !strcmp(s + n - m, pattern);
    }
    for (; *pattern; pattern++) {
        if (*pattern == '*')
            return true;
        if (*pattern != '#') {
            if (*s++ != *pattern)
                return false;
            continue;
        }
        if (!isdigit((unsigned char)*s))
            return false;
        while (isdigit((unsigned char)*s))
            s++;
    }
    return !*s;
}

/* DeepSeek-V3's layers after the last predict further tokens. */
static bool is_further_layer(const struct config *c, const char *name)
{
    static const char prefix[] = "model.layers.";
    return c->family == FAMILY_DEEPSEEK3 && !strncmp(name, prefix, sizeof prefix - 1) && isdigit((unsigned char)name[sizeof prefix - 1]) &&
           strtol(name + sizeof prefix - 1, NULL, 10) >= c->n_layer;
}

static bool is_passed_over(const struct config *c, const char *name)
{
    for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++)
        if ((passed_over[i].families & 1u << c->family) && matches(passed_over[i].pattern, name))
            return true;
    return is_further_layer(c, name);
}

static int check_unexpected(const struct matched *m)
{
    const struct st_tensor *first = NULL;
    int n = 0;
    for (int i = 0; i < m->st->n_tensor; i++)
        if (!m->seen[i] && !is_passed_over(&m->l->config, m->st->tensor[i].name)) {
            first = first ? first : &m->st->tensor[i];
            n++;
        }
    if (!n)
        return 0;
    char more[40] = "";
    if (n > 1)
        snprintf(more, sizeof more, " and %d more", n - 1);
    return ERR(m->err, FORMAT, "%s: tensor '%s'%s: not part of this config.json, expected no other tensors",
               safetensors_file_name(m->st, first->i_file), first->name, more);
}

static int match(struct matched *m, const struct weights_list *l, const struct safetensors *st, struct err *err)
{
    *m = (struct matched){ .l = l, .st = st, .err = err };
    weights_names_of_st(&m->names, l, st);
    if (!(m->seen = mem_alloc_array((size_t)st->n_tensor + 1, sizeof *m->seen)))
        return ERR(err, NOMEM, "no memory to match %d tensors", st->n_tensor);
    int rc = check_parts(m);
    if (!rc)
        rc = check_tied_head(m);
    if (!rc)
        rc = check_unexpected(m);
    mem_free(m->seen);
    m->seen = NULL;
    return rc;
}

int weights_check(const struct weights_list *l, const struct safetensors *st, struct err *err)
{
    struct matched m;
    return match(&m, l, st, err);
}
