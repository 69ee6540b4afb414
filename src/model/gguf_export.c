/* gguf_export.c - what gguf_config.c and weights_gguf.c read, written. */
#include "model/gguf_export.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "cpu/quant.h"
#include "model/weights_gguf.h"

struct exporter { const struct config *c; struct gguf_writer *w; const char *arch; struct err *err; };

/* ---- architectures ---- */

static const struct { unsigned families; const char *arch; } archs[] = {
    { F_LLAMA | F_MISTRAL | F_MIXTRAL, "llama" }, { F_QWEN2, "qwen2" }, { F_QWEN2_MOE, "qwen2moe" }, { F_QWEN3, "qwen3" }, { F_QWEN3_MOE, "qwen3moe" },
    { F_OLMO, "olmo" }, { F_OLMO2, "olmo2" }, { F_OLMOE, "olmoe" }, { F_GEMMA, "gemma" }, { F_GEMMA2, "gemma2" }, { F_GEMMA3, "gemma3" },
    { F_PHI3, "phi3" }, { F_SMOLLM3, "smollm3" }, { F_GPT2, "gpt2" }, { F_GPT_NEOX, "gptneox" }, { F_GPT_OSS, "gpt-oss" },
    { F_DEEPSEEKS, "deepseek2" }, { F_BERTS, "bert" }, { F_MODERNBERT, "modern-bert" },
};

const char *gguf_architecture(const struct config *c)
{
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (archs[i].families & 1u << c->family)
            return archs[i].arch;
    return NULL;
}

/* ---- what an architecture implies ---- */

/* ModernBERT's first layer has no window, nor has each n-th from there. */
static int global_period(const struct config *c)
{
    int n = 1;
    while (n < c->n_layer && (c->layer[n] & LAYER_WINDOW))
        n++;
    return n;
}

static bool has_window(const struct config *c, int layer)
{
    switch (c->family) {
    case FAMILY_MODERNBERT: return layer % global_period(c) != 0;
    case FAMILY_GEMMA2: case FAMILY_GPT_OSS: return layer % 2 == 0;
    case FAMILY_GEMMA3: return (layer + 1) % 6 != 0;
    default: return c->family == FAMILY_PHI3;
    }
}

static int check_layers(const struct exporter *e)
{
    const struct config *c = e->c;
    bool sparse = false;
    for (int i = 0; i < c->n_layer; i++) {
        const bool window = c->layer[i] & LAYER_WINDOW, no_rope = c->layer[i] & LAYER_NO_ROPE, dense = c->layer[i] & LAYER_DENSE;
        if (window != (c->window && has_window(c, i)))
            return ERR(e->err, UNSUPPORTED, "layer %d has %s window, in GGUF's %s it has %s", i, window ? "a" : "no", e->arch, window ? "none" : "one");
        if (no_rope != (c->family == FAMILY_SMOLLM3 && (i + 1) % 4 == 0))
            return ERR(e->err, UNSUPPORTED, "layer %d has %s RoPE, in GGUF's %s it is the other way", i, no_rope ? "no" : "a", e->arch);
        if (dense && (sparse || !(1u << c->family & F_DEEPSEEKS)))
            return ERR(e->err, UNSUPPORTED, "layer %d has no experts, in GGUF's %s it has", i, e->arch);
        sparse = sparse || !dense;
    }
    return 0;
}

static int check_implied(const struct exporter *e)
{
    const struct config *c = e->c;
    const unsigned f = 1u << c->family;
    if (c->n_expert && !(f & F_DEEPSEEKS) && c->norm_topk != ((f & (F_MIXTRAL | F_QWEN3_MOE | F_GPT_OSS)) != 0))
        return ERR(e->err, UNSUPPORTED, "gates are %srenormalised, in GGUF's %s it is the other way", c->norm_topk ? "" : "not ", e->arch);
    if (c->act == ACT_GELU && c->family == FAMILY_GPT2)
        return ERR(e->err, UNSUPPORTED, "the exact GELU, GGUF's gpt2 has the approximation");
    if (c->act == ACT_GELU_TANH && (f & (F_GPT_NEOX | F_BERTS)))
        return ERR(e->err, UNSUPPORTED, "the approximation of GELU, GGUF's %s has the exact one", e->arch);
    if (c->family == FAMILY_MODERNBERT && (c->qkv_bias || c->mlp_bias || c->norm_bias))
        return ERR(e->err, UNSUPPORTED, "biases, GGUF's %s has none", e->arch);
    if (c->query_scalar > 0 && c->query_scalar != c->d_head)
        return ERR(e->err, UNSUPPORTED, "scores are divided by the root of %g, in GGUF's %s by that of the head size %d", c->query_scalar, e->arch, c->d_head);
    if ((f & F_DEEPSEEKS) && !c->rope_pairs)
        return ERR(e->err, UNSUPPORTED, "RoPE over halves, GGUF's %s has pairs", e->arch);
    if ((f & F_DEEPSEEKS) && c->rope.kind == ROPE_YARN && c->rope.mscale != c->rope.mscale_all_dim)
        return ERR(e->err, UNSUPPORTED, "mscale %g and mscale_all_dim %g, GGUF has one number for both", c->rope.mscale, c->rope.mscale_all_dim);
    if (c->rope.kind == ROPE_YARN && c->rope.truncate != (c->family != FAMILY_GPT_OSS))
        return ERR(e->err, UNSUPPORTED, "yarn with truncate %s, in GGUF's %s it is the other way", c->rope.truncate ? "true" : "false", e->arch);
    if (c->rope.kind == ROPE_DYNAMIC)
        return ERR(e->err, UNSUPPORTED, "RoPE scaling of type dynamic, GGUF has none");
    return check_layers(e);
}

/* ---- metadata ---- */

#define KEY_MAX 96
static const char *full_key(const struct exporter *e, const char *key, char out[KEY_MAX])
{
    snprintf(out, KEY_MAX, "%s.%s", e->arch, key);
    return out;
}

static int put_int(const struct exporter *e, const char *key, int64_t v)
{
    char full[KEY_MAX];
    return gguf_put_int(e->w, full_key(e, key, full), GGUF_U32, v, e->err);
}

static int put_bool(const struct exporter *e, const char *key, bool v)
{
    char full[KEY_MAX];
    return gguf_put_int(e->w, full_key(e, key, full), GGUF_BOOL, v, e->err);
}

static int put_num(const struct exporter *e, const char *key, double v)
{
    char full[KEY_MAX];
    return gguf_put_num(e->w, full_key(e, key, full), GGUF_F32, v, e->err);
}

static int put_str(const struct exporter *e, const char *key, const char *v)
{
    char full[KEY_MAX];
    return gguf_put_str(e->w, full_key(e, key, full), v, e->err);
}

static int put_sizes(const struct exporter *e)
{
    const struct config *c = e->c;
    const bool experts_only = c->n_expert && !c->d_ff;
    TRY(put_int(e, "block_count", c->n_layer));
    TRY(put_int(e, "context_length", c->ctx));
    TRY(put_int(e, "embedding_length", c->d_model));
    TRY(put_int(e, "feed_forward_length", experts_only ? c->d_ff_expert : c->d_ff));
    TRY(put_int(e, "vocab_size", c->vocab_size));
    TRY(put_int(e, "attention.head_count", c->n_head));
    if (c->pos == POS_ROPE && c->family != FAMILY_GPT_NEOX)
        TRY(put_int(e, "attention.head_count_kv", c->kv_rank ? 1 : c->n_kv_head));
    TRY(put_num(e, c->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", c->norm_eps));
    if (c->encoder)
        TRY(put_bool(e, "attention.causal", false));
    if (c->family == FAMILY_GPT_NEOX)
        TRY(put_bool(e, "use_parallel_residual", c->parallel));
    if (c->score_cap > 0)
        TRY(put_num(e, "attn_logit_softcapping", c->score_cap));
    if (c->logit_cap > 0)
        TRY(put_num(e, "final_logit_softcapping", c->logit_cap));
    if (c->qkv_clip > 0)
        TRY(put_num(e, "attention.clamp_kqv", c->qkv_clip));
    if (c->family == FAMILY_MODERNBERT) {
        TRY(put_str(e, "hidden_activation", c->act == ACT_SWIGLU ? "silu" : c->act == ACT_GEGLU ? "gelu" : "gelu_pytorch_tanh"));
        TRY(put_int(e, "attention.sliding_window_pattern", global_period(c)));
        return put_int(e, "attention.sliding_window", c->window > 1 ? 2 * (c->window - 1) : c->window);
    }
    if (c->window || c->family == FAMILY_PHI3 || c->family == FAMILY_GEMMA2)
        TRY(put_int(e, "attention.sliding_window", c->window));
    return 0;
}

static int put_heads(const struct exporter *e)
{
    const struct config *c = e->c;
    if (c->kv_rank) {
        const int d_rot = config_d_rot(c);
        if (c->q_rank)
            TRY(put_int(e, "attention.q_lora_rank", c->q_rank));
        TRY(put_int(e, "attention.kv_lora_rank", c->kv_rank));
        TRY(put_int(e, "attention.key_length", c->kv_rank + d_rot));
        TRY(put_int(e, "attention.value_length", c->kv_rank));
        TRY(put_int(e, "attention.key_length_mla", c->d_head));
        TRY(put_int(e, "attention.value_length_mla", c->d_v));
        return put_int(e, "rope.dimension_count", d_rot);
    }
    if (c->pos != POS_ROPE)
        return 0;
    if (c->d_head != c->d_model / c->n_head || (1u << c->family & F_GEMMAS)) {
        TRY(put_int(e, "attention.key_length", c->d_head));
        TRY(put_int(e, "attention.value_length", c->d_head));
    }
    return put_int(e, "rope.dimension_count", config_d_rot(c));
}

static int put_rope(const struct exporter *e)
{
    const struct config *c = e->c;
    const struct rope_config *r = &c->rope;
    if (c->pos != POS_ROPE)
        return 0;
    TRY(put_num(e, "rope.freq_base", r->theta));
    if (c->rope_local_theta > 0)
        TRY(put_num(e, "rope.freq_base_swa", c->rope_local_theta));
    const int original = r->original_ctx ? r->original_ctx : c->ctx;
    if (r->kind == ROPE_LINEAR || r->kind == ROPE_YARN) {
        TRY(put_str(e, "rope.scaling.type", r->kind == ROPE_YARN ? "yarn" : "linear"));
        TRY(put_num(e, "rope.scaling.factor", r->factor > 0 ? r->factor : (double)c->ctx / original));
    }
    if (r->kind == ROPE_YARN) {
        TRY(put_int(e, "rope.scaling.original_context_length", original));
        TRY(put_num(e, "rope.scaling.yarn_beta_fast", r->beta_fast));
        TRY(put_num(e, "rope.scaling.yarn_beta_slow", r->beta_slow));
        if (r->mscale_all_dim > 0)
            TRY(put_num(e, "rope.scaling.yarn_log_multiplier", 0.1 * r->mscale_all_dim));
        if (r->attention_factor > 0)
            TRY(put_num(e, "rope.scaling.yarn_attn_factor", r->attention_factor));
    }
    if (r->kind != ROPE_LONG)
        return 0;
    double unused[ROPE_PAIRS_MAX];
    TRY(put_int(e, "rope.scaling.original_context_length", original));
    return put_num(e, "rope.scaling.attn_factor", rope_frequencies(r, config_d_rot(c), c->ctx, c->ctx, unused));
}

static int put_experts(const struct exporter *e)
{
    const struct config *c = e->c;
    const unsigned f = 1u << c->family;
    if (!c->n_expert)
        return 0;
    TRY(put_int(e, "expert_count", c->n_expert));
    TRY(put_int(e, "expert_used_count", c->top_k));
    if (f & (F_QWEN2_MOE | F_QWEN3_MOE | F_GPT_OSS | F_DEEPSEEKS))
        TRY(put_int(e, "expert_feed_forward_length", c->d_ff_expert));
    if (f & F_QWEN2_MOE)
        TRY(put_int(e, "expert_shared_feed_forward_length", c->d_ff_shared));
    if (!(f & F_DEEPSEEKS))
        return 0;
    int dense = 0;
    while (dense < c->n_layer && (c->layer[dense] & LAYER_DENSE))
        dense++;
    TRY(put_int(e, "leading_dense_block_count", dense));
    TRY(put_int(e, "expert_shared_count", c->d_ff_shared / c->d_ff_expert));
    TRY(put_num(e, "expert_weights_scale", c->route_scale));
    TRY(put_bool(e, "expert_weights_norm", c->norm_topk));
    TRY(put_int(e, "expert_gating_func", c->router == ROUTER_SIGMOID ? 2 : 1));
    TRY(put_int(e, "expert_group_count", c->n_group ? c->n_group : 1));
    return put_int(e, "expert_group_used_count", c->n_group ? c->n_group_chosen : 1);
}

int gguf_export_config(const struct config *c, struct gguf_writer *w, struct err *err)
{
    const struct exporter e = { c, w, gguf_architecture(c), err };
    if (!e.arch)
        return ERR(err, UNSUPPORTED, "GGUF has no architecture for %s", family_name(c->family));
    TRY(check_implied(&e));
    TRY(gguf_put_str(w, "general.architecture", e.arch, err));
    TRY(put_sizes(&e));
    TRY(put_heads(&e));
    TRY(put_rope(&e));
    TRY(put_experts(&e));
    if (c->bos_id >= 0)
        TRY(gguf_put_int(w, "tokenizer.ggml.bos_token_id", GGUF_U32, c->bos_id, err));
    if (c->n_eos > 0)
        TRY(gguf_put_int(w, "tokenizer.ggml.eos_token_id", GGUF_U32, c->eos_id[0], err));
    if (c->n_eos > 1)
        TRY(gguf_put_int(w, "tokenizer.ggml.eot_token_id", GGUF_U32, c->eos_id[1], err));
    return 0;
}

/* ---- RoPE factors, which are tensors ---- */

struct factors { const char *name; float v[ROPE_PAIRS_MAX]; int n; };

/* llama3: by how much each frequency is divided; longrope: its lists.  Returns how many. */
static int rope_factors(const struct config *c, struct factors out[2])
{
    const int n = config_d_rot(c) / 2;
    if (c->pos != POS_ROPE || (c->rope.kind != ROPE_LLAMA3 && c->rope.kind != ROPE_LONG))
        return 0;
    out[0].n = out[1].n = n;
    if (c->rope.kind == ROPE_LONG) {
        out[0].name = "rope_factors_long.weight", out[1].name = "rope_factors_short.weight";
        for (int i = 0; i < n; i++)
            out[0].v[i] = (float)c->rope.long_factor[i], out[1].v[i] = (float)c->rope.short_factor[i];
        return 2;
    }
    double plain[ROPE_PAIRS_MAX], scaled[ROPE_PAIRS_MAX];
    const struct rope_config without = rope_plain(c->rope.theta);
    rope_frequencies(&without, 2 * n, c->ctx, c->ctx, plain);
    rope_frequencies(&c->rope, 2 * n, c->ctx, c->ctx, scaled);
    out[0].name = "rope_freqs.weight";
    for (int i = 0; i < n; i++)
        out[0].v[i] = (float)(plain[i] / scaled[i]);
    return 1;
}

/* ---- tensors ---- */

/* Calls visit for each tensor: with the weight, and the first of its parts in the tensor. */
typedef int (*visit_fn)(void *ctx, const struct weights_list *l, int i_weight, int i_part, int i_tensor, struct err *err);
static int each_tensor(const struct weights_list *l, int i_tensor, visit_fn visit, void *ctx, struct err *err)
{
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            if (!p.at)                             /* the later parts of the tensor have been visited with it */
                TRY(visit(ctx, l, i, j, i_tensor++, err));
        }
    return 0;
}

struct output { const struct gguf_export *x; struct gguf_writer *w; float *chunk; void *bytes; };
#define CHUNK ((int64_t)1 << 16)

static enum cpu_type type_of(const struct output *o, const struct weight *w, const struct weight_part *p)
{
    return w->rank == 1 || w->bias || p->rank < 2 || strstr(w->name, "router") || strstr(w->name, "pos") ? TYPE_F32 : o->x->type;
}

static int declare(void *ctx, const struct weights_list *l, int i_weight, int i_part, int i_tensor, struct err *err)
{
    (void)i_tensor;
    const struct output *o = ctx;
    const struct weight_part p = weight_part(l, &l->weight[i_weight], i_part);
    return gguf_declare(o->w, p.name, (uint32_t)type_ggml_id(type_of(o, &l->weight[i_weight], &p)), p.rank, p.shape, err);
}

static int write_part(const struct output *o, const struct weight_part *p, enum cpu_type type, const float *in, int i_tensor, struct err *err)
{
    const int64_t n_all = p->n_row * p->n_col;
    for (int64_t at = 0; at < n_all; at += CHUNK) {
        const int64_t n = n_all - at < CHUNK ? n_all - at : CHUNK;
        for (int64_t k = 0; k < n; k++)
            o->chunk[k] = in[weight_part_place(p, at + k)];
        type_quantize(type, n, o->chunk, NULL, o->bytes);
        TRY(gguf_writer_add(o->w, i_tensor, o->bytes, type_bytes(type, n), err));
    }
    return 0;
}

/* The parts of one tensor, in the order they have there. */
static int write_tensor(void *ctx, const struct weights_list *l, int i_weight, int i_part, int i_tensor, struct err *err)
{
    const struct output *o = ctx;
    const struct weight *w = &l->weight[i_weight];
    const struct weight_part first = weight_part(l, w, i_part);
    const float *in = o->x->source(o->x->ctx, i_weight);
    for (int j = i_part; j < w->n_part; j++) {
        const struct weight_part p = weight_part(l, w, j);
        if (!strcmp(p.name, first.name))
            TRY(write_part(o, &p, type_of(o, w, &p), in, i_tensor, err));
    }
    return 0;
}

static int write_all(struct output *o, const struct weights_list *l, struct err *err)
{
    struct factors f[2];
    const int n = rope_factors(o->x->config, f);
    for (int i = 0; i < n; i++)
        TRY(gguf_declare(o->w, f[i].name, (uint32_t)type_ggml_id(TYPE_F32), 1, &(int64_t){ f[i].n }, err));
    TRY(each_tensor(l, n, declare, o, err));
    for (int i = 0; i < n; i++)
        TRY(gguf_writer_add(o->w, i, f[i].v, (size_t)f[i].n * sizeof(float), err));
    TRY(each_tensor(l, n, write_tensor, o, err));
    return gguf_writer_commit(o->w, err);
}

int gguf_export(const struct gguf_export *x, const char *path, struct err *err)
{
    assert(x->type == TYPE_F32 || x->type == TYPE_F16 || x->type == TYPE_BF16);
    struct weights_list *l = NULL;
    struct output o = { .x = x, .chunk = mem_alloc_array((size_t)CHUNK, sizeof(float)), .bytes = mem_alloc_array((size_t)CHUNK, sizeof(float)) };
    int rc = o.chunk && o.bytes ? 0 : ERR(err, NOMEM, "no memory to write %s", path);
    if (!rc)
        rc = weights_list_new(&l, x->config, err);
    if (!rc)
        rc = weights_gguf_parts(l, NULL, err);
    if (!rc)
        rc = gguf_writer_new(&o.w, path, err);
    if (!rc)
        rc = gguf_export_config(x->config, o.w, err);
    if (!rc && x->more)
        rc = x->more(x->ctx, o.w, err);
    if (!rc)
        rc = write_all(&o, l, err);
    gguf_writer_free(o.w);
    weights_list_free(l);
    mem_free(o.chunk);
    mem_free(o.bytes);
    return rc;
}
