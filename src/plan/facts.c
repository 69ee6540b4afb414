#include "plan/facts.h"
#include <math.h>
#include <string.h>
#include "model/decoder.h"

const char *facts_part_name(enum facts_part part)
{
    static const char *const names[] = {
#define X(name, word) word,
        FACTS_PARTS(X)
#undef X
    };
    return names[part];
}

/* ---- weights, by their names (model/weights.h) ---- */

static enum facts_part part_of(const char *name)
{
    static const struct { const char *begin; enum facts_part part; } of_layers[] = {
        { "norm1", FACTS_NORMS }, { "norm2", FACTS_NORMS }, { "experts.", FACTS_EXPERTS }, { "shared", FACTS_SHARED }, { "router", FACTS_ROUTER },
        { "correction", FACTS_ROUTER }, { "up.", FACTS_MLP }, { "gate_up.", FACTS_MLP }, { "down.", FACTS_MLP } },
        outside[] = { { "norm.", FACTS_NORMS }, { "embed_norm", FACTS_NORMS }, { "head.", FACTS_HEAD }, { "label.", FACTS_HEAD }, { "pooler.", FACTS_HEAD } };
    const char *dot = strchr(name, '.');
    const bool layer = name[0] >= '0' && name[0] <= '9' && dot;
    for (size_t i = 0; layer && i < sizeof of_layers / sizeof *of_layers; i++)
        if (!strncmp(dot + 1, of_layers[i].begin, strlen(of_layers[i].begin)))
            return of_layers[i].part;
    for (size_t i = 0; !layer && i < sizeof outside / sizeof *outside; i++)
        if (!strncmp(name, outside[i].begin, strlen(outside[i].begin)))
            return outside[i].part;
    return layer ? FACTS_ATTENTION : FACTS_EMBEDDING;
}

static void add_weights(struct model_facts *f, const struct graph *g, const struct config *c)
{
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (t->kind != TENSOR_WEIGHT && t->kind != TENSOR_FROZEN)
            continue;
        const enum facts_part part = part_of(t->name);
        const double n = (double)tensor_count(t, 1, 1), share = part == FACTS_EXPERTS ? (double)c->top_k / c->n_expert : 1;
        f->part[part] += n, f->part_active[part] += n * share;
        if (t->rank > (t->of_experts ? 2 : 1))
            f->matrices[part] += n;
    }
    for (int i = 0; i < N_FACTS_PART; i++)
        f->params += f->part[i], f->params_active += f->part_active[i];
}

/* ---- operations of one token ---- */

static void add_attention(struct model_facts *f, const struct config *c, const struct node *n, double flops)
{
    const double held = c->n_kv_head * (double)(c->d_head + c->d_v), kept = c->kv_rank ? c->kv_rank + config_d_rot(c) : held;
    if (n->attr.window)
        f->n_windowed++, f->window = n->attr.window, f->key_windowed += flops, f->kv_windowed += kept;
    else
        f->n_full++, f->key_full += flops, f->kv_full += kept;
    f->kv_held += held;
}

static void add_nodes(struct model_facts *f, const struct graph *g, const struct config *c)
{
    const double T = config_vision(c) ? config_n_patch(c) + 1 : 1;      /* an image is its tokens: per token on average */
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        const struct cost cost = node_cost(g, n, T, 1, 1, NULL);
        if (n->op == OP_attention)
            add_attention(f, c, n, cost.flops / T);
        else if (op_is_product(n->op))
            f->products += cost.flops / 2 / T;
        else
            f->others += cost.flops / T;
    }
}

int model_facts(struct model_facts *f, const struct config *c, struct err *err)
{
    *f = (struct model_facts){ .flow = c->d_model, .n_layer = c->n_layer, .causal = !c->encoder };
    const struct decoder_opts o = { .use = c->encoder && !c->n_label ? DECODER_HIDDEN : DECODER_LOGITS, .compute = DT_BF16 };
    struct decoder d;
    TRY(decoder_record(&d, c, &o, err));
    add_weights(f, d.g, c);
    add_nodes(f, d.g, c);
    if (c->encoder)
        f->kv_full = f->kv_windowed = f->kv_held = 0;      /* nothing is kept */
    decoder_release(&d);
    return 0;
}

/* ---- what follows ---- */

double facts_weight_bytes(const struct model_facts *f, const struct weight_bits *bits)
{
    double sum = 0;
    for (int i = 0; i < N_FACTS_PART; i++) {
        const double b = i == FACTS_EXPERTS ? bits->experts : i == FACTS_EMBEDDING || i == FACTS_HEAD ? bits->ends : i == FACTS_ROUTER ? bits->vectors : bits->matrices;
        sum += f->matrices[i] * b + (f->part[i] - f->matrices[i]) * bits->vectors;
    }
    return sum / 8;
}

double facts_seen(const struct model_facts *f, double T, double window)
{
    if (!f->causal)      /* as many later ones as earlier */
        return window > 0 && 2 * window - 1 < T ? 2 * window - 1 : T;
    return window > 0 && window < T ? (window * (window + 1) / 2 + (T - window) * window) / T : (T + 1) / 2;
}

double facts_cache_numbers(const struct model_facts *f, double T)
{
    return f->kv_full * T + f->kv_windowed * fmin(T, f->window);
}

double facts_forward_flops(const struct model_facts *f, double L)
{
    return 2 * f->products + f->key_full * L + f->key_windowed * (f->window && f->window < L ? f->window : L);
}

double facts_train_flops(const struct model_facts *f, double T, enum flops_convention how)
{
    const double w = f->window;
    if (how == FLOPS_PALM)
        return 6 * f->products + 3 * (f->key_full + f->key_windowed) * T;
    return 6 * f->products + 3 * (f->key_full * T / 2 + f->key_windowed * (w < T ? w - w * w / (2 * T) : T / 2));
}
