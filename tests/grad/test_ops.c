/* test_ops.c - every row of ops.def that has a gradient against central differences, in double.
 *
 * This program is built with `real` as double: the very code of the operations and of cpu/ref runs here.  For each row a
 * small graph is recorded that ends in a cross-entropy; the gradient of every weight from graph_backward() must equal
 * (loss(w + h) - loss(w - h)) / 2h.  Activations under test are reached through weights. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "nn/graph.h"

#define N_T 8
#define C 6
#define V 11
#define N_S 2

static struct pool *pool;

struct built { int loss, n_loss, route; struct attr route_attr; double cap; bool soft; };      /* cap: of the logits; soft: a classifier's loss */
typedef int (*build_fn)(struct graph *g, int x, struct built *b, struct err *err);     /* returns the result to score */

static int weight(struct graph *g, const char *name, int r, int c)
{
    return graph_tensor(g, TENSOR_WEIGHT, DT_F32, r == 1 ? VEC(c) : MAT(r, c), NULL, "%s", name);
}
static int ints(struct graph *g, const char *name) { return graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, NULL, "%s", name); }

static int build_embed(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return graph_add(g, x, graph_embed(g, ints(g, "ids"), weight(g, "embed", V, C), 1, 0, err), "sum", err);
}
static int build_embed_scaled(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return graph_add(g, x, graph_embed(g, ints(g, "ids"), weight(g, "embed", V + 2, C), 3.25, 2, err), "sum", err);
}
static int build_linear(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const int y = graph_linear(g, x, weight(g, "w", 9, C), weight(g, "bias", 1, 9), -1, DT_F32, "y", err);
    return graph_linear(g, y, weight(g, "w2", C, 9), -1, x, DT_F32, "z", err);
}
static int build_rmsnorm(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return graph_add(g, x, graph_norm(g, OP_rmsnorm, x, weight(g, "gain", 1, C), -1, 1e-3, DT_F32, "y", err), "sum", err);
}
static int build_layernorm(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return graph_add(g, x, graph_norm(g, OP_layernorm, x, weight(g, "gain", 1, C), weight(g, "shift", 1, C), 1e-3, DT_F32, "y", err), "sum", err);
}
static const struct attr heads = { .n_head = 4, .n_kv_head = 2, .d_head = 4, .d_rot = 4, .eps = 1e-3, .scale = 0.5 };
static int qkv_of(struct graph *g, int x, struct err *err)
{
    return graph_linear(g, x, weight(g, "wqkv", 32, C), -1, -1, DT_F32, "qkv", err);
}
static int attend_as(struct graph *g, int qkv, const struct attr *a, struct err *err)
{
    const int o = graph_attention(g, qkv, -1, -1, -1, a, DT_F32, "o", err);
    return graph_linear(g, o, weight(g, "wo", C, 16), -1, -1, DT_F32, "y", err);
}
static int attend(struct graph *g, int qkv, struct err *err) { return attend_as(g, qkv, &heads, err); }
static int build_qk_norm(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return attend(g, graph_qk_norm(g, qkv_of(g, x, err), weight(g, "wq", 1, 16), weight(g, "wk", 1, 8), &heads, "qkn", err), err);
}
static int build_qk_norm_per_head(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.norm_per_head = true;
    return attend(g, graph_qk_norm(g, qkv_of(g, x, err), weight(g, "wq", 1, 4), weight(g, "wk", 1, 4), &a, "qkn", err), err);
}
static int rope(struct graph *g, int x, bool pairs, struct err *err)
{
    struct attr a = heads;
    a.rope_pairs = pairs;
    const int table = graph_tensor(g, TENSOR_CONST, DT_F32, VEC(N_T * 4), err, "table");
    return attend(g, graph_rope(g, qkv_of(g, x, err), ints(g, "pos"), table, &a, err), err);
}
static int build_rope(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return rope(g, x, false, err); }
static int build_rope_pairs(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return rope(g, x, true, err); }
static int build_attention(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return attend(g, qkv_of(g, x, err), err);
}
static int build_attention_window(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.window = 2;
    return attend_as(g, qkv_of(g, x, err), &a, err);
}
static int build_attention_all(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.bidirectional = true;
    return attend_as(g, qkv_of(g, x, err), &a, err);
}
static int build_attention_all_window(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.bidirectional = true, a.window = 2;
    return attend_as(g, qkv_of(g, x, err), &a, err);
}
static int build_attention_cap(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.window = 3, a.cap = 0.7;
    return attend_as(g, qkv_of(g, x, err), &a, err);
}
static int build_attention_sinks(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.window = 3, a.cap = 2;
    const int o = graph_attention(g, qkv_of(g, x, err), weight(g, "sinks", 1, 4), -1, -1, &a, DT_F32, "o", err);
    return graph_linear(g, o, weight(g, "wo", C, 16), -1, -1, DT_F32, "y", err);
}
/* Latent attention: two heads of 3 + 2 numbers, values of 4, from 4 shared numbers and 2 that turn. */
static int build_mla(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const struct attr a = { .n_head = 2, .n_kv_head = 2, .d_head = 5, .d_v = 4, .d_rot = 2, .scale = 0.5 };
    const int q = graph_linear(g, x, weight(g, "wq", 10, C), -1, -1, DT_F32, "q", err), shared = graph_linear(g, x, weight(g, "wa", 6, C), -1, -1, DT_F32, "kv_a", err);
    const int normed = graph_norm(g, OP_rmsnorm, shared, weight(g, "gain", 1, 4), -1, 1e-3, DT_F32, "kv_n", err);
    const int kv = graph_linear(g, normed, weight(g, "wb", 14, 4), -1, -1, DT_F32, "kv", err), table = graph_tensor(g, TENSOR_CONST, DT_F32, VEC(N_T * 2), err, "table");
    const int qkv = graph_rope(g, graph_mla_join(g, q, shared, kv, &a, "join", err), ints(g, "pos"), table, &a, err);
    return graph_linear(g, graph_attention(g, qkv, -1, -1, -1, &a, DT_F32, "o", err), weight(g, "wo", C, 8), -1, -1, DT_F32, "y", err);
}
static int build_softcap(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const int y = graph_softcap(g, graph_linear(g, x, weight(g, "w", 9, C), -1, -1, DT_F32, "y", err), 1.3, err);
    return graph_linear(g, y, weight(g, "w2", C, 9), -1, x, DT_F32, "z", err);
}
static int build_rope_part(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    struct attr a = heads;
    a.d_rot = 2;
    const int table = graph_tensor(g, TENSOR_CONST, DT_F32, VEC(N_T * 2), err, "table");
    return attend(g, graph_rope(g, qkv_of(g, x, err), ints(g, "pos"), table, &a, err), err);
}
static int build_clip(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return attend(g, graph_clip(g, qkv_of(g, x, err), 0.8, "clip", err), err);
}
static bool is_gated(enum op op) { return op == OP_swiglu || op == OP_geglu || op == OP_geglu_tanh || op == OP_swiglu_clamped; }
static int act(struct graph *g, int x, enum op op, struct err *err)
{
    const int h = graph_linear(g, x, weight(g, "wh", 10, C), -1, -1, DT_F32, "h", err);
    const int y = graph_act(g, op, h, weight(g, "scale", 1, N_T), DT_F32, "a", err);
    return graph_linear(g, y, weight(g, "wd", C, is_gated(op) ? 5 : 10), -1, -1, DT_F32, "y", err);
}
static int build_gelu(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return act(g, x, OP_gelu, err); }
static int build_gelu_tanh(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return act(g, x, OP_gelu_tanh, err); }
static int build_swiglu(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return act(g, x, OP_swiglu, err); }
static int build_geglu(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return act(g, x, OP_geglu, err); }
static int build_geglu_tanh(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return act(g, x, OP_geglu_tanh, err); }
/* From numbers so large that some reach the limit. */
static int build_swiglu_clamped(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return act(g, graph_linear(g, x, weight(g, "large", C, C), -1, -1, DT_F32, "l", err), OP_swiglu_clamped, err);
}
static int build_sigmoid(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const int w = graph_tensor(g, TENSOR_WEIGHT, DT_F32, MAT(1, C), err, "wg");
    const int gate = graph_sigmoid(g, graph_linear(g, x, w, -1, -1, DT_F32, "g", err), "gate", err);
    if (gate < 0)
        return gate;
    const int h = graph_linear(g, x, weight(g, "wh", 10, C), -1, -1, DT_F32, "h", err);
    return graph_linear(g, graph_act(g, OP_swiglu, h, gate, DT_F32, "a", err), weight(g, "wd", C, 5), -1, x, DT_F32, "y", err);
}
static int build_tanh(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return graph_linear(g, graph_tanh(g, x, "t", err), weight(g, "wt", C, C), -1, -1, DT_F32, "y", err);
}
/* Rows are sent to this process itself. */
static int to_itself(void *ctx, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *err)
{
    (void)ctx, (void)err;
    assert_int_equal(send_at[1], recv_at[1]);
    memcpy(recv, send, send_at[1]);
    return 0;
}
static const struct peers itself = { .size = 1, .exchange = to_itself };

/* biased: experts have biases, and the gates come last. */
struct form { bool corrected, biased, sent; };
static int moe_of(struct graph *g, int x, struct built *b, const struct attr *a, struct form form, struct err *err)
{
    const int E = a->n_expert;
    struct routed r, there;
    const int logits = graph_linear(g, x, weight(g, "router", E, C), -1, -1, DT_F32, "logits", err);
    const int correction = form.corrected ? graph_tensor(g, TENSOR_FROZEN, DT_F32, VEC(E), err, "correction") : -1;
    const int rc = graph_route(g, logits, correction, a, &r, "route", err);
    if (rc < 0)
        return rc;
    b->route = r.stats, b->route_attr = *a;
    const int up = graph_tensor(g, TENSOR_WEIGHT, DT_F32, CUBE(E, 8, C), err, "up"), down = graph_tensor(g, TENSOR_WEIGHT, DT_F32, CUBE(E, C, 4), err, "down");
    const int up_b = form.biased ? weight(g, "up.b", E, 8) : -1, down_b = form.biased ? weight(g, "down.b", E, C) : -1;
    there = r;
    for (int i = up; form.sent && i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_WEIGHT)
            g->tensor[i].n_peer = 1;
    if (form.sent)
        g->peers = &itself;
    const int in = form.sent ? graph_dispatch(g, x, &r, !form.biased, 1, &there, "sent", err) : x;
    const int h = graph_expert_linear(g, in, up, up_b, &there, !form.sent, DT_F32, "h", err);
    int y = graph_expert_linear(g, graph_act(g, OP_swiglu, h, form.biased ? -1 : there.gate, DT_F32, "a", err), down, down_b, &there, false, DT_F32, "rows", err);
    if (form.sent)
        y = graph_collect(g, y, &r, &there, DT_F32, "back", err);
    return graph_combine(g, y, &r, form.biased, x, "y", err);
}
static int moe(struct graph *g, int x, struct built *b, bool norm_topk, double scale, bool sent, struct err *err)
{
    return moe_of(g, x, b, &(struct attr){ .n_expert = 5, .top_k = 2, .norm_topk = norm_topk, .scale = scale, .aux_coef = 0.3, .z_coef = 0.2 }, (struct form){ .sent = sent }, err);
}
static int biased_moe(struct graph *g, int x, struct built *b, bool sent, struct err *err)
{
    return moe_of(g, x, b, &(struct attr){ .n_expert = 5, .top_k = 2, .norm_topk = true, .aux_coef = 0.3 }, (struct form){ .biased = true, .sent = sent }, err);
}
static int sigmoid_moe(struct graph *g, int x, struct built *b, bool norm_topk, double scale, int n_group, struct err *err)
{
    const struct attr a = { .n_expert = 6, .top_k = 3, .norm_topk = norm_topk, .scale = scale, .sigmoid = true, .n_group = n_group, .n_group_chosen = 2, .group_best = n_group ? 2 : 0, .aux_coef = 0.3 };
    return moe_of(g, x, b, &a, (struct form){ .corrected = true }, err);
}
static int build_moe_groups(struct graph *g, int x, struct built *b, struct err *err)
{
    const struct attr a = { .n_expert = 6, .top_k = 2, .n_group = 3, .n_group_chosen = 2, .group_best = 1, .scale = 1.5, .aux_coef = 0.3, .z_coef = 0.2 };
    return moe_of(g, x, b, &a, (struct form){ .sent = false }, err);
}
static int build_moe_biased(struct graph *g, int x, struct built *b, struct err *err) { return biased_moe(g, x, b, false, err); }
static int build_moe_biased_sent(struct graph *g, int x, struct built *b, struct err *err) { return biased_moe(g, x, b, true, err); }
static int build_moe_sigmoid_groups(struct graph *g, int x, struct built *b, struct err *err) { return sigmoid_moe(g, x, b, true, 2.5, 3, err); }
static int build_moe(struct graph *g, int x, struct built *b, struct err *err) { return moe(g, x, b, true, 0, false, err); }
static int build_moe_plain_gates(struct graph *g, int x, struct built *b, struct err *err) { return moe(g, x, b, false, 0, false, err); }
static int build_moe_scaled(struct graph *g, int x, struct built *b, struct err *err) { return moe(g, x, b, true, 2.5, false, err); }
static int build_moe_plain_scaled(struct graph *g, int x, struct built *b, struct err *err) { return moe(g, x, b, false, 2.5, false, err); }
static int build_moe_sent(struct graph *g, int x, struct built *b, struct err *err) { return moe(g, x, b, true, 2.5, true, err); }
static int build_moe_sigmoid(struct graph *g, int x, struct built *b, struct err *err) { return sigmoid_moe(g, x, b, true, 2.5, 0, err); }
static int build_moe_plain_sigmoid(struct graph *g, int x, struct built *b, struct err *err) { return sigmoid_moe(g, x, b, false, 0, 0, err); }
static int build_add(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const int y = graph_norm(g, OP_rmsnorm, x, -1, -1, 1e-3, DT_F32, "n", err);
    return graph_add(g, graph_add(g, x, y, "s1", err), weight(g, "other", N_T, C), "s2", err);
}
static int build_dropout(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return graph_dropout(g, graph_linear(g, x, weight(g, "w", C, C), -1, -1, DT_F32, "y", err), x, 0.4, 3, "d", err);
}
static int build_peers(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const int n = graph_sum_peers_grad(g, graph_norm(g, OP_rmsnorm, x, -1, -1, 1e-3, DT_F32, "n", err), err);
    const int y = graph_sum_peers(g, graph_linear(g, n, weight(g, "w", C, C), -1, -1, DT_F32, "y", err), weight(g, "bias", 1, C), err);
    return graph_add(g, x, y, "s", err);
}
static int build_image_tokens(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    const struct shape rows = { 1, { { N_T / N_S - 1, DIM_S } } };
    const int ids = graph_tensor(g, TENSOR_INPUT, DT_I32, rows, err, "patch_ids"), patches = graph_embed(g, ids, weight(g, "patches", V, C), 1, 0, err);
    const int cls = graph_tensor(g, TENSOR_WEIGHT, DT_F32, MAT(1, C), err, "cls");
    return graph_add(g, x, graph_image_tokens(g, patches, cls, weight(g, "places", N_T / N_S, C), err), "sum", err);
}
/* The pooled rows are scored by sequences. */
static int build_soft(struct graph *g, int x, struct built *b, struct err *err) { b->soft = true; return graph_pool(g, x, POOL_ROWS_FIRST, 0, "rows", err); }
static int build_soft_last(struct graph *g, int x, struct built *b, struct err *err) { b->soft = true; return graph_pool(g, x, POOL_ROWS_LAST, 0, "rows", err); }
static int build_soft_mean(struct graph *g, int x, struct built *b, struct err *err) { b->soft = true; return graph_pool(g, x, POOL_ROWS_MEAN, 0, "rows", err); }
static int build_soft_rest(struct graph *g, int x, struct built *b, struct err *err) { b->soft = true; return graph_pool(g, x, POOL_ROWS_MEAN, 1, "rows", err); }
/* Two adapters on columns 1 to 3 and 5 to 8 of one product, by one h. */
static int lora(struct graph *g, int x, int from, struct err *err)
{
    const int y = graph_linear(g, x, weight(g, "w", 9, C), -1, -1, DT_F32, "y", err);
    const int h = graph_linear(g, from, weight(g, "a", 4, C), -1, -1, DT_F32, "h", err);
    int z = graph_lora(g, y, 1, h, 0, weight(g, "b0", 3, 2), 1.7, DT_F32, err);
    z = graph_lora(g, z, 5, h, 2, weight(g, "b1", 4, 2), 1.7, DT_F32, err);
    return graph_linear(g, z, weight(g, "w2", C, 9), -1, x, DT_F32, "z", err);
}
static int build_lora(struct graph *g, int x, struct built *b, struct err *err) { (void)b; return lora(g, x, x, err); }
static int build_lora_dropout(struct graph *g, int x, struct built *b, struct err *err)
{
    (void)b;
    return lora(g, x, graph_dropout(g, x, -1, 0.3, 5, "dropped", err), err);
}
static int build_cross_entropy(struct graph *g, int x, struct built *b, struct err *err) { (void)g, (void)b, (void)err; return x; }
static int build_capped_cross_entropy(struct graph *g, int x, struct built *b, struct err *err) { (void)g, (void)err; b->cap = 1.5; return x; }

/* At least one for each row with a gradient; more where an operation has forms. */
static const struct { enum op op; const char *name; build_fn build; } cases[] = {
    { OP_embed, "embed", build_embed },
    { OP_embed, "embed, scaled and from a later row on", build_embed_scaled },
    { OP_linear, "linear", build_linear },
    { OP_rmsnorm, "rmsnorm", build_rmsnorm },
    { OP_layernorm, "layernorm", build_layernorm },
    { OP_qk_norm, "qk_norm over all heads", build_qk_norm },
    { OP_qk_norm, "qk_norm per head", build_qk_norm_per_head },
    { OP_rope, "rope halves", build_rope },
    { OP_rope, "rope pairs", build_rope_pairs },
    { OP_attention, "attention with grouped heads", build_attention },
    { OP_rope, "rope of a part of a head", build_rope_part },
    { OP_attention, "attention with a window", build_attention_window },
    { OP_attention, "attention with a window and capped scores", build_attention_cap },
    { OP_attention, "attention to all", build_attention_all },
    { OP_attention, "attention to all with a window", build_attention_all_window },
    { OP_attention, "attention with sinks, a window and capped scores", build_attention_sinks },
    { OP_attention, "attention with values of another size", build_mla },
    { OP_mla_join, "mla_join, and a norm of the first columns", build_mla },
    { OP_softcap, "softcap", build_softcap },
    { OP_clip, "clip", build_clip },
    { OP_gelu, "gelu", build_gelu },
    { OP_gelu_tanh, "gelu_tanh", build_gelu_tanh },
    { OP_swiglu, "swiglu", build_swiglu },
    { OP_geglu, "geglu", build_geglu },
    { OP_geglu_tanh, "geglu_tanh", build_geglu_tanh },
    { OP_swiglu_clamped, "swiglu_clamped", build_swiglu_clamped },
    { OP_sigmoid, "sigmoid", build_sigmoid },
    { OP_tanh, "tanh", build_tanh },
    { OP_route, "route, gates normalised and scaled", build_moe_scaled },
    { OP_route, "route, gates scaled", build_moe_plain_scaled },
    { OP_route, "route, gates normalised", build_moe },
    { OP_route, "route, gates as they are", build_moe_plain_gates },
    { OP_route, "route by corrected sigmoids, gates normalised and scaled", build_moe_sigmoid },
    { OP_route, "route by corrected sigmoids, gates as they are", build_moe_plain_sigmoid },
    { OP_route, "route, the best groups", build_moe_groups },
    { OP_route, "route by corrected sigmoids, the best groups", build_moe_sigmoid_groups },
    { OP_expert_linear, "expert_linear", build_moe },
    { OP_dispatch, "dispatch", build_moe_sent },
    { OP_collect, "collect", build_moe_sent },
    { OP_expert_linear, "expert_linear with biases", build_moe_biased },
    { OP_expert_linear, "expert_linear with biases, sent", build_moe_biased_sent },
    { OP_combine, "combine", build_moe },
    { OP_combine, "combine with gates", build_moe_biased },
    { OP_add, "add", build_add },
    { OP_dropout, "dropout", build_dropout },
    { OP_sum_peers, "sum_peers of one, with its bias", build_peers },
    { OP_sum_peers_grad, "sum_peers_grad of one", build_peers },
    { OP_image_tokens, "image_tokens", build_image_tokens },
    { OP_pool, "pool, the last row", build_soft_last },
    { OP_pool, "pool, the mean", build_soft_mean },
    { OP_pool, "pool, the mean of all but the first", build_soft_rest },
    { OP_soft_cross_entropy, "soft_cross_entropy of the first row", build_soft },
    { OP_dropout, "dropout before an adapter", build_lora_dropout },
    { OP_lora, "lora", build_lora },
    { OP_cross_entropy, "cross_entropy", build_cross_entropy },
    { OP_cross_entropy, "cross_entropy of capped logits", build_capped_cross_entropy },
};

static void every_row_with_a_gradient_has_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < N_OP; op++) {
        bool found = op_table[op].gradient == OP_GRAD_NO;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            found = found || (int)cases[i].op == op;
        if (!found)
            fail_msg("no gradient check for %s", op_table[op].name);
    }
}

static int score(struct graph *g, int y, const struct built *b, struct err *err)
{
    if (!b->soft)
        return graph_cross_entropy(g, y, weight(g, "head", V, C), ints(g, "target"), b->cap, DT_F32, err);
    const int target = graph_tensor(g, TENSOR_INPUT, DT_F32, ROWS_S(V), err, "soft"), head = weight(g, "head", V, C);
    return graph_soft_cross_entropy(g, graph_linear(g, y, head, weight(g, "head.b", 1, V), -1, DT_F32, "logits", err), target, err);
}

static struct graph *build(build_fn fn, struct built *b, bool train, enum recompute rule)
{
    struct err err = { 0 };
    struct graph *g = graph_new();
    assert_non_null(g);
    *b = (struct built){ .route = -1 };
    const int x = graph_linear(g, weight(g, "x", N_T, C), weight(g, "w0", C, C), -1, -1, DT_F32, "x.y", &err);
    g->tensor[x].keep = true;
    const int y = fn(g, x, b, &err);
    if (y < 0 || score(g, y, b, &err) < 0 ||
        (train && graph_backward(g, rule, &err) < 0) || graph_plan(g, N_T, N_S, 2, NULL, &err) < 0 ||
        graph_bind(g, cpu_levels()[0], pool, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    b->loss = g->loss, b->n_loss = b->soft ? N_S : N_T;
    return g;
}

static void fill(struct graph *g)
{
    for (int i = 0; i < g->n_tensor; i++) {
        struct tensor *t = &g->tensor[i];
        const int64_t n = tensor_count(t, N_T, N_S);
        if (t->kind == TENSOR_WEIGHT || t->kind == TENSOR_FROZEN)
            for (int64_t j = 0; j < n; j++)
                ((real *)t->data)[j] = 0.7 * rng_normal(rng_key(5, t->name), (uint64_t)j);
        else if (t->kind == TENSOR_CONST)
            for (int64_t j = 0; j < n; j += 2)
                ((real *)t->data)[j] = cos(0.3 * (double)j), ((real *)t->data)[j + 1] = sin(0.3 * (double)j);
        else if (t->kind == TENSOR_INPUT && t->dtype == DT_F32)
            for (int64_t j = 0; j < n; j++)
                ((real *)t->data)[j] = (double)(j * 7 % 5) / 4;
        else if (t->kind == TENSOR_INPUT)
            for (int64_t j = 0; j < n; j++)
                ((int32_t *)t->data)[j] = !strcmp(t->name, "pos") ? (int32_t)(j < 3 ? j : j - 3) : !strcmp(t->name, "target") && j == 2 ? -1 : (int32_t)(j * 5 % V);
    }
}

static const int32_t seq_start[N_S + 1] = { 0, 3, N_T };
static const struct step step = { .T = N_T, .S = N_S, .seq_start = seq_start, .loss_scale = 1.0 / (N_T - 1), .aux_scale = 1, .seed = 11, .i_step = 4 };

static double loss_of(struct graph *g, const struct built *b)
{
    graph_run(g, PASS_PREPARE, &step);
    graph_run(g, PASS_FORWARD, &step);
    double sum = 0;
    for (int t = 0; t < b->n_loss; t++)
        sum += ((const real *)g->tensor[b->loss].data)[t] * step.loss_scale;
    if (b->route >= 0) {
        const struct aux_losses l = graph_aux_losses(g->tensor[b->route].data, &b->route_attr);
        sum += l.lb + l.z;
    }
    return sum;
}

/* The balance loss takes the counts as constants: so do the differences, by a step small enough not to change a choice. */
static void check(build_fn fn, const char *name, enum recompute rule)
{
    struct built bt, bf;
    struct graph *train = build(fn, &bt, true, rule), *forward = build(fn, &bf, false, RECOMPUTE_NONE);
    fill(train);
    fill(forward);
    graph_run(train, PASS_PREPARE, &step);
    graph_run(train, PASS_FORWARD, &step);
    graph_run(train, PASS_BACKWARD, &step);
    int n_weight = 0;
    for (int i = 0; i < train->n_tensor; i++) {
        const struct tensor *w = &train->tensor[i];
        if (w->kind != TENSOR_WEIGHT)
            continue;
        n_weight++;
        if (w->grad < 0)
            fail_msg("%s: weight '%s' has no gradient", name, w->name);
        real *f = forward->tensor[graph_find(forward, w->name)].data;
        const real *g = train->tensor[w->grad].data;
        double diff = 0, norm = 0;
        for (int64_t j = 0; j < tensor_count(w, N_T, N_S); j++) {
            const double keep = f[j], h = 1e-6;
            f[j] = keep + h;
            const double up = loss_of(forward, &bf);
            f[j] = keep - h;
            const double down = loss_of(forward, &bf);
            f[j] = keep;
            const double d = (up - down) / (2 * h);
            diff += (d - g[j]) * (d - g[j]);
            norm += d * d;
        }
        if (!(sqrt(diff) <= 1e-7 * sqrt(norm) + 1e-9))
            fail_msg("%s: gradient of '%s' differs by %.3g of %.3g", name, w->name, sqrt(diff), sqrt(norm));
    }
    assert_true(n_weight >= 3);
    graph_free(train);
    graph_free(forward);
}

static void gradients_equal_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].build, cases[i].name, RECOMPUTE_NONE);
}
static void gradients_with_cheap_operations_recomputed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].build, cases[i].name, RECOMPUTE_CHEAP);
}
static void gradients_with_blocks_recomputed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].build, cases[i].name, RECOMPUTE_BLOCK);
}

/* Freezing weights takes their gradients away and changes no bit of the others'. */
static void frozen_weights_change_no_other_gradient(void **state)
{
    (void)state;
    struct err e = { 0 };
    struct built b;
    struct graph *all = build(build_lora, &b, true, RECOMPUTE_NONE), *some = graph_new();
    const int x = graph_linear(some, weight(some, "x", N_T, C), weight(some, "w0", C, C), -1, -1, DT_F32, "x.y", &e);
    assert_true(graph_cross_entropy(some, build_lora(some, x, &b, &e), weight(some, "head", V, C), ints(some, "target"), 0, DT_F32, &e) >= 0);
    for (int i = 0; i < some->n_tensor; i++)
        if (some->tensor[i].kind == TENSOR_WEIGHT && some->tensor[i].name[0] != 'a' && some->tensor[i].name[0] != 'b')
            some->tensor[i].kind = TENSOR_FROZEN;
    assert_true(graph_backward(some, RECOMPUTE_NONE, &e) >= 0 && graph_plan(some, N_T, N_S, 2, NULL, &e) >= 0 && graph_bind(some, cpu_levels()[0], pool, NULL, &e) >= 0);
    struct graph *const both[] = { all, some };
    for (int i = 0; i < 2; i++) {
        fill(both[i]);
        graph_run(both[i], PASS_PREPARE, &step);
        graph_run(both[i], PASS_FORWARD, &step);
        graph_run(both[i], PASS_BACKWARD, &step);
    }
    int n_learned = 0;
    for (int i = 0; i < some->n_tensor; i++) {
        const struct tensor *w = &some->tensor[i];
        assert_true(w->kind == TENSOR_WEIGHT ? w->grad >= 0 : w->kind != TENSOR_FROZEN || w->grad < 0);
        if (w->kind != TENSOR_WEIGHT)
            continue;
        n_learned++;
        const struct tensor *same = &all->tensor[graph_find(all, w->name)];
        assert_memory_equal(some->tensor[w->grad].data, all->tensor[same->grad].data, (size_t)tensor_count(w, N_T, N_S) * sizeof(real));
    }
    assert_int_equal(n_learned, 3);
    assert_true(some->n_node < all->n_node && some->plan.bytes[TENSOR_GRAD] < all->plan.bytes[TENSOR_GRAD]);
    graph_free(all);
    graph_free(some);
}

int main(void)
{
    struct err err;
    if (pool_new(&pool, 2, &err) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_with_a_gradient_has_a_case),
        cmocka_unit_test(gradients_equal_central_differences),
        cmocka_unit_test(gradients_with_cheap_operations_recomputed),
        cmocka_unit_test(gradients_with_blocks_recomputed),
        cmocka_unit_test(frozen_weights_change_no_other_gradient),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
