/* config_facts.c - what follows from a configuration, wherever it was read: numbers of parameters, scales, positions. */
#include "model/config.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- counting ---- */

static int64_t attention_params(const struct config *c)
{
    const int64_t C = c->d_model, D = c->d_head, H = c->n_head, KV = c->n_kv_head;
    const int64_t end = (H * c->d_v + c->o_bias) * C + (c->sinks ? H : 0);
    if (c->kv_rank) {
        const int64_t q = c->q_rank ? (C + 1 + H * D) * c->q_rank : C * H * D;
        return q + c->qkv_bias * (c->q_rank + c->kv_rank + config_d_rot(c)) + (C + 1 + H * (c->d_nope + c->d_v)) * c->kv_rank + C * config_d_rot(c) + end;
    }
    const int64_t norm = c->qk_norm == QK_NORM_HEAD ? 2 * D : c->qk_norm == QK_NORM_FULL ? (H + KV) * D : 0;
    return (C + c->qkv_bias) * config_qkv_rows(c) + norm + end;
}

void config_params(const struct config *c, int64_t *total, int64_t *active)
{
    const int64_t C = c->d_model, V = c->vocab_size, up = config_gated(c) ? 2 : 1, norm = (c->norm_gain + c->norm_bias) * C;
    const int64_t dense = (C + c->mlp_bias) * up * c->d_ff + (c->d_ff + c->mlp_bias) * C;
    const int64_t expert = (C + c->expert_bias) * up * c->d_ff_expert + (c->d_ff_expert + c->expert_bias) * C;
    const int64_t routed = c->n_expert * (C + c->router_bias + c->router_correction + expert) + (up + 1) * C * c->d_ff_shared + (c->d_ff_shared && c->shared_gate ? C : 0);
    const int64_t patches = (config_patch_numbers(c) + 1) * C + C, head = c->n_label ? c->n_label * (C + config_label_bias(c)) + (config_label_pooler(c) ? (C + 1) * C : 0) : c->tie_embeddings || c->encoder ? 0 : V * C;
    int64_t all = (config_vision(c) ? patches : V * C) + head + norm, n_routed = 0;        /* norm: the last, or the encoder's first */
    if (c->pos == POS_LEARNED)
        all += ((int64_t)c->ctx + c->pos_first) * C;
    all += (int64_t)c->n_type * C + c->n_layer * ((c->place == PLACE_BOTH ? 4 : 2) * norm + attention_params(c));
    for (int i = 0; i < c->n_layer; i++)
        n_routed += !config_dense(c, i);
    all += n_routed * routed + (c->n_layer - n_routed) * dense;
    if (total)
        *total = all;
    if (active)
        *active = all - (c->n_expert ? n_routed * (c->n_expert - c->top_k) * expert : 0);
}

/* ---- what follows from it ---- */

double config_attention_scale(const struct config *c)
{
    return (c->kv_rank ? rope_scale_factor(&c->rope, c->ctx) : 1) / sqrt(c->query_scalar > 0 ? c->query_scalar : c->d_head);
}

int config_ctx_max(const struct config *c)
{
    const enum rope_kind kind = c->pos == POS_ROPE ? c->rope.kind : ROPE_PLAIN;
    double n = kind == ROPE_DYNAMIC ? c->ctx * fmax(c->rope.factor, 1) : c->ctx;
    if ((kind == ROPE_LINEAR || kind == ROPE_YARN) && c->rope.factor > 1 && c->family != FAMILY_GEMMA3)
        n = fmax(n, (c->rope.original_ctx ? c->rope.original_ctx : c->ctx) * c->rope.factor);
    return n < 1 << 24 ? (int)n : 1 << 24;
}

int config_stretch(struct config *c, const char *how, struct err *err)
{
    static const enum rope_kind kinds[] = { ROPE_LINEAR, ROPE_DYNAMIC, ROPE_YARN };
    const char *colon = strchr(how, ':');
    char *end = NULL;
    const double factor = colon ? strtod(colon + 1, &end) : 0;
    if (!colon || end == colon + 1 || *end || !(factor > 1 && factor <= 1000))
        return ERR(err, RANGE, "RoPE scaling '%.40s', expected KIND:FACTOR, as in linear:4, with a factor from 1 to 1000", how);
    if (c->pos != POS_ROPE)
        return ERR(err, UNSUPPORTED, "RoPE scaling of a model with %s positions", pos_kind_name(c->pos));
    if (c->rope.kind != ROPE_PLAIN)
        return ERR(err, UNSUPPORTED, "the model's RoPE is scaled already (%s)", rope_kind_name(c->rope.kind));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *name = rope_kind_name(kinds[i]);
        if (strlen(name) != (size_t)(colon - how) || strncmp(name, how, strlen(name)))
            continue;
        c->rope.kind = kinds[i], c->rope.factor = factor, c->rope.original_ctx = c->ctx;
        if (kinds[i] != ROPE_DYNAMIC)
            c->ctx = c->ctx * factor < 1 << 24 ? (int)(c->ctx * factor) : 1 << 24;
        return 0;
    }
    return ERR(err, UNSUPPORTED, "RoPE scaling '%.40s', expected one of: linear, dynamic, yarn", how);
}

const char *config_untrainable(const struct config *c)
{
    return c->encoder && !c->n_label ? "an encoder without a head for classes" : c->router == ROUTER_SIGMOID && c->z_loss > 0 ? "a z-loss of a router of sigmoids" : NULL;
}
