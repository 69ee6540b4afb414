#include "plan/price_items.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/decoder.h"

struct maker { struct items *out; const struct config *c; const struct price_opts *o; const struct graph *g; int tp, ep; bool over_replicas; int rc; struct err *err; };

/* ---- weights by their names ---- */

enum division_of { WHOLE, BY_ROWS, BY_COLUMNS, BY_HEADS, BY_EXPERTS };

/* "qkv.w" of "3.qkv.w" */
static const char *name_within(const char *name)
{
    const char *dot = strchr(name, '.');
    return name[0] >= '0' && name[0] <= '9' && dot ? dot + 1 : name;
}

static enum division_of division_of(const char *name)
{
    static const struct { const char *begin; enum division_of how; } rows[] = {
        { "qkv.", BY_HEADS }, { "q.", BY_ROWS }, { "q_b.", BY_ROWS }, { "kv_b.", BY_ROWS }, { "o.w", BY_COLUMNS }, { "gate_up.", BY_ROWS }, { "up.", BY_ROWS },
        { "down.w", BY_COLUMNS }, { "shared.gate_up.", BY_ROWS }, { "shared.up.", BY_ROWS }, { "shared.down.w", BY_COLUMNS }, { "experts.", BY_EXPERTS },
        { "sinks", BY_ROWS }, { "head.", BY_ROWS }, { "embed", BY_ROWS } };
    const char *within = name_within(name);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strncmp(within, rows[i].begin, strlen(rows[i].begin)))
            return rows[i].how;
    return WHOLE;
}

/* Heads of keys and values of one device, and rows of its q, k and v. */
static double kv_here(const struct maker *m) { return m->c->n_kv_head > m->tp ? (double)m->c->n_kv_head / m->tp : 1; }
static double qkv_here(const struct maker *m) { return (double)m->c->n_head / m->tp * m->c->d_head + kv_here(m) * (m->c->d_head + m->c->d_v); }

/* Of all experts of a layer, the share of one device. */
static double experts_share(const struct maker *m) { return 1. / (m->over_replicas ? m->ep : m->tp); }

static double share_here(const struct maker *m, const char *name)
{
    switch (division_of(name)) {
    case BY_ROWS: case BY_COLUMNS: return 1. / m->tp;
    case BY_HEADS: return qkv_here(m) / config_qkv_rows(m->c);
    case BY_EXPERTS: return experts_share(m);
    default: return 1;
    }
}

/* ---- items ---- */

static void add(struct maker *m, struct item item, int count)
{
    struct items *s = m->out;
    for (int i = 0; i < s->n; i++) {
        struct item *have = &s->item[i];
        if (have->kind == item.kind && have->head == item.head && !strcmp(have->what, item.what) && have->N == item.N && have->K == item.K && have->bytes == item.bytes) {
            have->count += count;
            return;
        }
    }
    if (s->n == ITEM_MOST) {
        m->rc = ERR(m->err, UNSUPPORTED, "a model with more than %d kinds of operations", ITEM_MOST);
        return;
    }
    s->item[s->n] = item, s->item[s->n++].count = count;
}

static void add_product(struct maker *m, const struct node *n)
{
    const struct tensor *w = &m->g->tensor[n->in[1]];
    const char *name = name_within(w->name);
    const bool end = n->pass == PASS_HEAD, router = !strncmp(name, "router", 6);
    struct item item = { .kind = ITEM_PRODUCT, .head = end, .N = (double)w->shape[0].n, .K = (double)w->shape[1].n,
                         .bits = end ? m->o->bits.ends : router ? m->o->bits.vectors : m->o->bits.matrices };
    const enum division_of how = division_of(w->name);
    if (how == BY_HEADS)
        item.N = qkv_here(m);
    else if (how == BY_ROWS)
        item.N = ceil(item.N / m->tp);
    else if (how == BY_COLUMNS)
        item.K /= m->tp;
    snprintf(item.what, sizeof item.what, "%.*s product", (int)strcspn(end ? "head" : name, "."), end ? "head" : name);
    if (!strncmp(name, "shared.", 7))
        snprintf(item.what, sizeof item.what, "shared expert's %s product", strstr(name, "down") ? "down" : "gate_up");
    add(m, item, 1);
    const double wide = item.N + item.K;
    if (!end)
        m->out->row_widest = fmax(m->out->row_widest, wide);
    else
        m->out->logits = item.N;
}

/* The second product stands for both: the first has F or 2 F columns. */
static void add_experts(struct maker *m, const struct node *n)
{
    const struct config *c = m->c;
    if (!strstr(m->g->tensor[n->in[1]].name, "experts.down"))
        return;
    const double parts = m->over_replicas ? 1 : (double)m->tp / m->ep;
    const double inside = c->d_ff_expert / parts * (config_gated(c) ? 1 : 2. / 3);      /* as if gated, with as many numbers */
    const struct item item = { .kind = ITEM_EXPERTS, .what = "experts", .N = inside, .K = c->d_model, .bits = m->o->bits.experts, .n_expert = (double)c->n_expert / m->ep,
                               .top_k = c->top_k, .n_all = c->n_expert };
    add(m, item, 1);
    m->out->expert_widest = c->top_k * (3 * inside + c->d_model);
}

/* What runs as a kernel of its own; the others are done by the one before.  divided: its rows are as wide as a device's part of the layer. */
static bool elements_of(enum op op, double *launches, bool *divided)
{
    *divided = false, *launches = 1;
    switch (op) {
    case OP_embed: case OP_combine: case OP_take_rows: case OP_rmsnorm: case OP_layernorm: return true;
    case OP_rope: case OP_mla_join: case OP_gelu: case OP_gelu_tanh: case OP_swiglu: case OP_geglu: case OP_geglu_tanh: case OP_swiglu_clamped: *divided = true; return true;
    case OP_qk_norm: *launches = 0, *divided = true; return true;      /* in the rotation's */
    case OP_route: *launches = 2; return true;                         /* the choice; rows sorted by expert */
    default: return false;
    }
}

static void add_elements(struct maker *m, const struct node *n)
{
    double launches;
    bool divided;
    if (!elements_of(n->op, &launches, &divided))
        return;
    const bool norm = n->op == OP_rmsnorm || n->op == OP_layernorm, of_experts = divided && n->in[0] >= 0 && strstr(m->g->tensor[n->in[0]].name, "experts.");
    /* Recorded in floats; elements move in 2 bytes.  A norm reads the branch it adds, too, and writes the sum. */
    const double bytes = node_cost(m->g, n, 1, 1, 1, NULL).bytes / 2 * (norm ? 2 : 1);
    struct item item = { .kind = ITEM_ELEMENTS, .head = n->pass == PASS_HEAD, .launches = launches,
                         .bytes = bytes * (of_experts ? experts_share(m) : divided ? 1. / m->tp : 1) };
    snprintf(item.what, sizeof item.what, "%s", n->op == OP_embed && n->in[1] >= 0 ? "embedding" : op_name(n->op));
    add(m, item, 1);
}

static void add_attention(struct maker *m, const struct node *n)
{
    const struct config *c = m->c;
    const struct attending a = { .count = 1, .window = n->attr.window, .heads = (double)c->n_head / m->tp, .kv_heads = kv_here(m), .dk = c->d_head, .dv = c->d_v,
                                 .latent = c->kv_rank ? c->kv_rank + config_d_rot(c) : 0, .latent_v = c->kv_rank };
    struct items *s = m->out;
    int i = 0;
    while (i < s->n_attending && s->attending[i].window != a.window)
        i++;
    if (i < s->n_attending)
        s->attending[i].count++;
    else
        s->attending[s->n_attending++] = a;        /* windows: one of the model, and none */
}

/* After attention and after an MLP, where a layer is divided; experts of other replicas. */
static void add_collectives(struct maker *m, const struct node *n)
{
    const char *name = n->in[1] >= 0 ? name_within(m->g->tensor[n->in[1]].name) : "";
    const double stream = m->c->d_model * 2.;
    const bool dense = !strcmp(name, "o.w") || !strcmp(name, "down.w"), experts = !strcmp(name, "experts.down.w");
    if (m->tp > 1 && (dense || experts) && !(m->c->parallel && !strcmp(name, "o.w")))
        add(m, (struct item){ .kind = ITEM_COLLECTIVE, .what = "sums of layers", .bytes = stream, .collective = ALL_REDUCE, .n = m->tp }, 1);
    if (m->over_replicas && experts) {
        const double out = m->c->d_model * number_bytes(m->o->compute == NUMBER_FP8 ? NUMBER_FP8 : NUMBER_BF16);
        add(m, (struct item){ .kind = ITEM_COLLECTIVE, .what = "rows to their experts", .bytes = out / m->tp, .collective = ALL_TO_ALL, .n = m->ep, .distinct = true, .top_k = m->c->top_k }, 1);
        add(m, (struct item){ .kind = ITEM_COLLECTIVE, .what = "rows back from experts", .bytes = stream / m->tp, .collective = ALL_TO_ALL, .n = m->ep, .distinct = true, .top_k = m->c->top_k }, 1);
    }
    if (m->tp > 1 && n->op == OP_embed && !strcmp(name, "embed"))
        add(m, (struct item){ .kind = ITEM_COLLECTIVE, .what = "sum of the embedding", .bytes = stream, .collective = ALL_REDUCE, .n = m->tp }, 1);
    if (m->tp > 1 && n->pass == PASS_HEAD && n->op == OP_linear)
        add(m, (struct item){ .kind = ITEM_COLLECTIVE, .head = true, .what = "logits together", .bytes = m->c->vocab_size * 2., .collective = ALL_GATHER, .n = m->tp }, 1);
}

static void add_node(struct maker *m, const struct node *n)
{
    if (n->pass != PASS_FORWARD && n->pass != PASS_HEAD)
        return;
    if (n->op == OP_attention)
        add_attention(m, n);
    else if (n->op == OP_expert_linear)
        add_experts(m, n);
    else if (op_is_product(n->op))
        add_product(m, n);
    else
        add_elements(m, n);
    add_collectives(m, n);
}

/* ---- memory ---- */

static double bits_of(const struct maker *m, const struct tensor *t)
{
    const char *name = name_within(t->name);
    const bool matrix = t->rank > (t->of_experts ? 2 : 1), layer = name != t->name;
    if (!matrix || !strncmp(name, "router", 6))
        return m->o->bits.vectors;
    return !layer ? m->o->bits.ends : division_of(t->name) == BY_EXPERTS ? m->o->bits.experts : m->o->bits.matrices;
}

/* Weights of the stage that has most of them: layers one after the other, the embedding with the first, the head with the last. */
static void add_memory(struct maker *m, const double *layer, double first, double last)
{
    const struct config *c = m->c;
    const int pp = m->o->layout.pp, most = (c->n_layer + pp - 1) / pp;
    int i_layer = 0;
    for (int s = 0; s < pp; s++) {
        const int n = c->n_layer / pp + (s < c->n_layer % pp);
        double bytes = (s ? 0 : first) + (s == pp - 1 ? last + (pp > 1 && c->tie_embeddings ? first : 0) : 0);
        for (int i = 0; i < n; i++)
            bytes += layer[i_layer++];
        m->out->weight_bytes = fmax(m->out->weight_bytes, bytes);
    }
    for (int i = 0; i < m->out->n_attending; i++) {
        const struct attending *a = &m->out->attending[i];
        const double numbers = (a->latent ? a->latent : a->kv_heads * (a->dk + a->dv)) * a->count / c->n_layer * most;
        *(a->window ? &m->out->cache_windowed : &m->out->cache_full) += numbers;
        m->out->window = a->window ? a->window : m->out->window;
    }
}

static int weigh(struct maker *m)
{
    double *layer = mem_alloc_array((size_t)m->c->n_layer, sizeof *layer), first = 0, last = 0;
    if (!layer)
        return ERR(m->err, NOMEM, "no memory for %d layers", m->c->n_layer);
    for (int i = 0; i < m->g->n_tensor; i++) {
        const struct tensor *t = &m->g->tensor[i];
        if (t->kind != TENSOR_WEIGHT && t->kind != TENSOR_FROZEN)
            continue;
        const double bytes = (double)tensor_count(t, 1, 1) * share_here(m, t->name) * bits_of(m, t) / 8;
        if (name_within(t->name) != t->name)
            layer[atoi(t->name)] += bytes;
        else
            *(!strncmp(t->name, "head", 4) || !strncmp(t->name, "norm", 4) ? &last : &first) += bytes;
    }
    add_memory(m, layer, first, last);
    mem_free(layer);
    return 0;
}

int items_of(struct items *out, const struct config *c, const struct price_opts *o, struct err *err)
{
    *out = (struct items){ .flow = c->d_model };
    if (c->encoder)
        return ERR(err, UNSUPPORTED, "%s is an encoder, which does not continue texts; expected a decoder", family_name(c->family));
    const struct decoder_opts d_opts = { .use = DECODER_GENERATE, .compute = DT_F32, .n_slot = 1, .ctx = c->ctx };
    struct decoder d;
    TRY(decoder_record(&d, c, &d_opts, err));
    struct maker m = { out, c, o, d.g, o->layout.tp, o->layout.ep, o->layout.ep > o->layout.tp, 0, err };
    for (int i = 0; i < d.g->n_node && !m.rc; i++)
        add_node(&m, &d.g->node[i]);
    if (!m.rc && o->layout.pp > 1)
        add(&m, (struct item){ .kind = ITEM_COLLECTIVE, .what = "stream to the next stage", .bytes = c->d_model * 2. / m.tp, .collective = SEND, .n = o->layout.pp }, o->layout.pp - 1);
    const int rc = m.rc ? m.rc : weigh(&m);
    decoder_release(&d);
    return rc;
}
