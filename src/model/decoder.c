#include "model/decoder.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "model/adapter.h"

int64_t decoder_pages(const struct decoder_opts *o) { return o->n_page ? o->n_page : (int64_t)o->n_slot * ((o->ctx + KV_TOKENS - 1) / KV_TOKENS); }

/* ---- recording ---- */

struct recorder { struct decoder *d; struct graph *g; const struct config *c; const struct decoder_opts *o; struct err *err; enum dtype act_types, act; bool floats; };

/* The weight "layer.name", or "name" for layer -1; -1 where the model has none. */
static int weight(const struct recorder *r, int layer, const char *name)
{
    char full[WEIGHT_NAME_MAX];
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "%d.%s", layer, name);
    return graph_find(r->g, full);
}

static int norm(const struct recorder *r, int x, int layer, const char *name, enum dtype out)
{
    char w[32], b[32], label[48];
    snprintf(w, sizeof w, "%s.w", name);
    snprintf(b, sizeof b, "%s.b", name);
    snprintf(label, sizeof label, "%d.%s", layer, name);
    return graph_norm(r->g, r->c->norm == NORM_RMS ? OP_rmsnorm : OP_layernorm, x, weight(r, layer, w), weight(r, layer, b),
                      r->c->norm_eps, out, label, r->err);
}

/* Has some adapter that sequences may have a part on weight `id`? */
static bool has_beside(const struct recorder *r, int id)
{
    for (int i = 0; i < r->d->n_beside; i++)
        if (r->d->beside[i].weight == id)
            return true;
    return false;
}

/* What adapters that sequences may have add to y, a product of x with weight `id`. */
static int beside(const struct recorder *r, int y, int x, int id)
{
    for (int i = 0; i < r->d->n_beside; i++) {
        const struct decoder_beside *b = &r->d->beside[i];
        const struct adapter *a = r->o->adapter[b->adapter];
        int n;
        if (b->weight == id)
            y = graph_lora_rows(r->g, y, (int)adapter_parts(a, id, &n)[b->part].row, x, b->a, b->b, lora_scale(adapter_lora(a)), b->adapter + 1, r->err);
    }
    return y;
}

/* What adapters of weight `id` add to y, a product of x with it. */
static int adapted(const struct recorder *r, int y, int x, int id)
{
    const struct decoder *d = r->d;
    y = beside(r, y, x, id);
    int i = 0;
    while (i < d->n_site && d->site[i].weight != id)
        i++;
    if (i == d->n_site || y < 0)
        return y;
    const struct lora_site *s = &d->site[i];
    char name[sizeof r->g->tensor->name], label[sizeof name + 16];      /* a copy: recording moves the tensors */
    memcpy(name, r->g->tensor[id].name, sizeof name);
    if (d->lora.dropout > 0 && r->o->use == DECODER_TRAIN) {
        snprintf(label, sizeof label, "%s.dropped", name);
        x = graph_dropout(r->g, x, -1, d->lora.dropout, ((uint64_t)1 << 32) + (uint64_t)id, label, r->err);
    }
    snprintf(label, sizeof label, "%s.h", name);
    const int h = graph_linear(r->g, x, s->a, -1, -1, r->o->compute, label, r->err);
    for (int j = 0; j < s->n_part; j++)
        y = graph_lora(r->g, y, (int)s->part[j].row, h, j * d->lora.rank, s->b[j], lora_scale(&d->lora), r->o->compute, r->err);
    return y;
}

static int linear(const struct recorder *r, int x, int layer, const char *name, int add)
{
    char w[32], b[32], label[48];
    snprintf(w, sizeof w, "%s.w", name);
    snprintf(b, sizeof b, "%s.b", name);
    snprintf(label, sizeof label, "%d.%s", layer, name);
    const int id = weight(r, layer, w);
    return adapted(r, graph_linear(r->g, x, id, weight(r, layer, b), add, r->o->compute, label, r->err), x, id);
}

/* What to write for one product alone, the one with weight w. */
static enum dtype form_for(const struct recorder *r, int w) { return r->floats ? DT_F32 : w >= 0 && r->g->tensor[w].panels.n_segment ? graph_form(r->g, w) : r->act; }

static enum dtype form(const struct recorder *r, int layer, const char *name)
{
    char w[32];
    assert(strlen(name) < sizeof w - 2);
    snprintf(w, sizeof w, "%.28s.w", name);
    return form_for(r, weight(r, layer, w));
}

/* The first half of an MLP, its weights named "prefix...": up to the product with "prefix down".  route: of experts, or NULL. */
static int activated(const struct recorder *r, int x, int layer, const char *prefix, const struct routed *route, int scale)
{
    static const enum op ops[N_ACT_KIND] = { [ACT_GELU] = OP_gelu, [ACT_GELU_TANH] = OP_gelu_tanh, [ACT_SWIGLU] = OP_swiglu,
                                             [ACT_GEGLU] = OP_geglu, [ACT_GEGLU_TANH] = OP_geglu_tanh, [ACT_SWIGLU_CLAMPED] = OP_swiglu_clamped };
    const enum op act = ops[r->c->act];
    char name[32], label[48];
    const char *up = config_gated(r->c) ? "gate_up" : "up";
    snprintf(name, sizeof name, "%s%s.w", prefix, up);
    const int w = weight(r, layer, name);
    snprintf(name, sizeof name, "%s%s.b", prefix, up);
    const int b = weight(r, layer, name);
    snprintf(label, sizeof label, "%d.%sact", layer, prefix);
    snprintf(name, sizeof name, "%sdown", prefix);
    if (w >= 0 && graph_fuses(r->g, act, w) && !has_beside(r, w))
        return graph_linear_act(r->g, act, x, w, b, route, scale, form(r, layer, name), label, r->err);
    char h_label[48];
    snprintf(h_label, sizeof h_label, "%d.%s%s", layer, prefix, up);
    const int h = route ? graph_expert_linear(r->g, x, w, b, route, !route->n_peer, r->o->compute, h_label, r->err)
                        : adapted(r, graph_linear(r->g, x, w, b, -1, r->o->compute, h_label, r->err), x, w);
    return graph_act(r->g, act, h, scale, r->act, label, r->err);
}

static bool drops(const struct recorder *r) { return r->o->use == DECODER_TRAIN && r->c->dropout > 0; }

/* ---- the end of a residual branch, 1 or 2 of a layer: onto the stream, with its norm and dropout between or after ---- */

/* Do several processes share each layer? */
static bool divided(const struct recorder *r) { return r->o->division.by == DIVIDE_LAYERS && r->o->division.n > 1; }
/* Do several devices share all of the model? */
static bool over_devices(const struct recorder *r) { return r->o->division.by == DIVIDE_DEVICES && r->o->division.n > 1; }

/* What the last operation of the branch may add itself: the stream, if nothing comes between. */
static int early(const struct recorder *r, int stream)
{
    return divided(r) || drops(r) || r->c->place == PLACE_AFTER || r->c->place == PLACE_BOTH ? -1 : stream;
}

/* y: the branch's last operation, which added early()'s. */
static int end_branch(const struct recorder *r, int y, int layer, int which, int stream)
{
    char label[48], name[16];
    const enum place_kind place = r->c->place;
    snprintf(name, sizeof name, "norm%d_out", which);
    if (place == PLACE_AFTER || place == PLACE_BOTH)
        y = norm(r, y, layer, name, DT_F32);
    if (early(r, stream) < 0 && drops(r)) {
        snprintf(label, sizeof label, "%d.drop%d", layer, which);
        y = graph_dropout(r->g, y, stream, r->c->dropout, (uint64_t)(2 * layer + which), label, r->err);
    } else if (early(r, stream) < 0) {
        snprintf(label, sizeof label, "%d.sum%d", layer, which);
        y = graph_add(r->g, stream, y, label, r->err);
    }
    return place == PLACE_SUM ? norm(r, y, layer, name, DT_F32) : y;
}

/* A product of which this process or device has some columns of the weight: the sum of all, then the bias. */
static int linear_of_peers(const struct recorder *r, int x, int layer, const char *name, int add)
{
    char w[32], b[32], label[48];
    snprintf(w, sizeof w, "%s.w", name);
    snprintf(b, sizeof b, "%s.b", name);
    snprintf(label, sizeof label, "%d.%s", layer, name);
    const int y = graph_linear(r->g, x, weight(r, layer, w), -1, -1, r->o->compute, label, r->err), bias = weight(r, layer, b);
    if (divided(r))
        return graph_sum_peers(r->g, y, bias, r->err);
    snprintf(label, sizeof label, "%d.%s.all", layer, name);
    return graph_join_peers(r->g, y, bias, add, label, r->err);
}

static int branch(const struct recorder *r, int x, int layer, const char *name, int which, int stream)
{
    if (divided(r) || over_devices(r))
        return end_branch(r, linear_of_peers(r, x, layer, name, early(r, stream)), layer, which, stream);
    return end_branch(r, linear(r, x, layer, name, early(r, stream)), layer, which, stream);
}

static struct attr attention_attr(const struct recorder *r, int layer)
{
    const struct config *c = r->c;
    const int window = c->layer[layer] & LAYER_WINDOW && c->window < r->d->n_pos ? c->window : 0;       /* one of n_pos hides nothing */
    const bool trains = r->o->use == DECODER_TRAIN || r->o->use == DECODER_SCORE;
    const int n = divided(r) || over_devices(r) ? r->o->division.n : 1;
    return (struct attr){ .compute = trains ? r->o->compute : DT_F32, .n_head = c->n_head / n, .n_kv_head = c->n_kv_head < n ? 1 : c->n_kv_head / n, .d_head = c->d_head, .d_v = c->d_v, .d_rot = config_d_rot(c),
                          .rope_pairs = c->rope_pairs, .eps = c->norm_eps, .norm_per_head = c->qk_norm == QK_NORM_HEAD,
                          .scale = config_attention_scale(c), .window = window, .cap = c->score_cap, .bidirectional = c->encoder };
}

/* q, k and v of each token, not yet turned. */
static int qkv_of(const struct recorder *r, int x, int layer, const struct attr *a)
{
    const struct config *c = r->c;
    char label[48];
    int qkv = linear(r, x, layer, "qkv", -1);
    if (c->qk_norm != QK_NORM_NONE) {
        snprintf(label, sizeof label, "%d.qkn", layer);
        qkv = graph_qk_norm(r->g, qkv, weight(r, layer, "q_norm"), weight(r, layer, "k_norm"), a, label, r->err);
    }
    if (c->qkv_clip <= 0)
        return qkv;
    snprintf(label, sizeof label, "%d.clip", layer);
    return graph_clip(r->g, qkv, c->qkv_clip, label, r->err);
}

#define MLA_EPS 1e-6           /* of the norms inside; config.json does not tell it */

/* The same by way of fewer numbers: keys and values are made from kv_rank numbers of a token, queries perhaps from q_rank. */
static int mla(const struct recorder *r, int x, int layer, const struct attr *a)
{
    char label[48];
    int q = x;
    if (r->c->q_rank) {
        snprintf(label, sizeof label, "%d.q_a_norm", layer);
        q = graph_norm(r->g, OP_rmsnorm, linear(r, x, layer, "q_a", -1), weight(r, layer, "q_a_norm"), -1, MLA_EPS, r->act, label, r->err);
    }
    q = linear(r, q, layer, r->c->q_rank ? "q_b" : "q", -1);
    const int kv_a = linear(r, x, layer, "kv_a", -1);
    snprintf(label, sizeof label, "%d.kv_a_norm", layer);
    const int shared = graph_norm(r->g, OP_rmsnorm, kv_a, weight(r, layer, "kv_a_norm"), -1, MLA_EPS, r->act, label, r->err);
    snprintf(label, sizeof label, "%d.join", layer);
    return graph_mla_join(r->g, q, kv_a, linear(r, shared, layer, "kv_b", -1), a, label, r->err);
}

/* With a cache of pages: the norm of each head and the rotation are part of the operation. */
static int attention_paged(const struct recorder *r, int x, int layer, struct attr a, int table)
{
    a.ctx = r->o->ctx;
    const struct config *c = r->c;
    const bool norm_inside = c->qk_norm == QK_NORM_HEAD && c->qkv_clip <= 0 && !c->kv_rank;
    char label[48];
    const int qkv = norm_inside ? linear(r, x, layer, "qkv", -1) : (c->kv_rank ? mla : qkv_of)(r, x, layer, &a);
    const int64_t pages = decoder_pages(r->o);
    int cache;
    TRY(cache = graph_tensor(r->g, TENSOR_CACHE, r->o->cache, CUBE(a.n_kv_head, pages, graph_kv_page(r->o->cache, c->d_head, c->d_v)), r->err, "%d.cache", layer));
    snprintf(label, sizeof label, "%d.attn", layer);
    return graph_attention_paged(r->g, qkv, cache, norm_inside ? weight(r, layer, "q_norm") : -1, norm_inside ? weight(r, layer, "k_norm") : -1,
                                 c->sinks ? weight(r, layer, "sinks") : -1, table, &a, r->act, label, r->err);
}

static int attention(const struct recorder *r, int x, int layer, int stream)
{
    const struct config *c = r->c;
    const struct attr a = attention_attr(r, layer);
    char label[48];
    const int table = c->pos == POS_ROPE && !(c->layer[layer] & LAYER_NO_ROPE) ? r->d->rope[r->d->rope[1] >= 0 && (c->layer[layer] & LAYER_WINDOW)] : -1;
    if (r->o->use == DECODER_GENERATE && r->o->types)
        return branch(r, attention_paged(r, x, layer, a, table), layer, "o", 1, stream);
    int qkv = (c->kv_rank ? mla : qkv_of)(r, x, layer, &a), kc = -1, vc = -1;
    if (table >= 0)
        qkv = graph_rope(r->g, qkv, r->d->pos, table, &a, r->err);
    if (r->o->use == DECODER_GENERATE) {
        TRY(kc = graph_tensor(r->g, TENSOR_CACHE, DT_F32, CUBE(r->o->n_slot, r->o->ctx, c->n_kv_head * c->d_head), r->err, "%d.keys", layer));
        TRY(vc = graph_tensor(r->g, TENSOR_CACHE, DT_F32, CUBE(r->o->n_slot, r->o->ctx, c->n_kv_head * c->d_v), r->err, "%d.values", layer));
    }
    snprintf(label, sizeof label, "%d.attn", layer);
    const int o = graph_attention(r->g, qkv, c->sinks ? weight(r, layer, "sinks") : -1, kc, vc, &a, r->act, label, r->err);
    return branch(r, o, layer, "o", 1, stream);
}

static int mlp(const struct recorder *r, int x, int layer, int stream)
{
    return branch(r, activated(r, x, layer, "", NULL, -1), layer, "down", 2, stream);
}

/* The expert that every token has, added to `sum` (-1: nothing). */
static int shared_expert(const struct recorder *r, int x, int layer, int sum)
{
    char label[48];
    int gate = -1;
    if (r->c->shared_gate) {
        snprintf(label, sizeof label, "%d.shared.gate", layer);
        TRY(gate = graph_sigmoid(r->g, linear(r, x, layer, "shared_gate", -1), label, r->err));
    }
    return linear(r, activated(r, x, layer, "shared.", NULL, gate), layer, "shared.down", sum);
}

/* Do several processes have the experts among them? */
static bool sends_rows(const struct recorder *r) { return r->o->division.by == DIVIDE_EXPERTS && r->o->division.n > 1; }

static int experts(const struct recorder *r, int x, int layer, int stream)
{
    char label[48];
    struct routed route, there;
    snprintf(label, sizeof label, "%d.router", layer);
    const int logits = graph_linear(r->g, x, weight(r, layer, "router.w"), weight(r, layer, "router.b"), -1, DT_F32, label, r->err);
    snprintf(label, sizeof label, "%d.route", layer);
    const int correction = r->c->router_correction ? weight(r, layer, "correction") : -1;
    TRY(graph_route(r->g, logits, correction, &r->d->route, &route, label, r->err));
    r->d->correction[r->d->n_stats] = correction;
    r->d->stats[r->d->n_stats++] = route.stats;
    const bool late = r->c->expert_bias;              /* the gate must be on the last bias too */
    int in = x;
    there = route;
    snprintf(label, sizeof label, "%d.experts.x", layer);
    if (sends_rows(r))
        TRY(in = graph_dispatch(r->g, x, &route, !late, r->o->division.n, &there, label, r->err));
    const int a = activated(r, in, layer, "experts.", &there, late ? -1 : there.gate);
    snprintf(label, sizeof label, "%d.experts.y", layer);
    int y = graph_expert_linear(r->g, a, weight(r, layer, "experts.down.w"), weight(r, layer, "experts.down.b"), &there, false, r->o->compute, label, r->err);
    snprintf(label, sizeof label, "%d.experts.back", layer);
    if (sends_rows(r))
        y = graph_collect(r->g, y, &route, &there, late ? DT_F32 : r->o->compute, label, r->err);
    int sum = over_devices(r) ? -1 : early(r, stream);
    if (r->c->d_ff_shared)
        sum = shared_expert(r, x, layer, sum);
    snprintf(label, sizeof label, "%d.moe", layer);
    y = graph_combine(r->g, y, &route, late, sum, label, r->err);
    snprintf(label, sizeof label, "%d.moe.all", layer);
    return end_branch(r, over_devices(r) ? graph_join_peers(r->g, y, -1, early(r, stream), label, r->err) : y, layer, 2, stream);
}

/* A branch's input: the stream, or its norm; for the products with `reader`, or NULL: of several kinds. */
static int branch_input(const struct recorder *r, int stream, int layer, const char *name, bool norms, const char *reader)
{
    const int x = norms ? norm(r, stream, layer, name, reader ? form(r, layer, reader) : r->act) : stream;
    return divided(r) ? graph_sum_peers_grad(r->g, x, r->err) : x;
}

/* What is recorded from now on is the host's, or where the graph runs; activations are as products want them there. */
static void go(struct recorder *r, bool here)
{
    r->g->here = here && r->o->floats;
    r->floats = r->o->floats && !here;
    r->act = r->floats ? DT_F32 : r->act_types;
}

static int layer_of(struct recorder *r, int x, int layer)
{
    const bool dense = config_dense(r->c, layer);
    go(r, layer < r->o->here);
    const int h = attention(r, branch_input(r, x, layer, "norm1", config_norm1(r->c, layer), r->c->kv_rank ? NULL : "qkv"), layer, x);
    if (h < 0)
        return h;
    go(r, layer < r->o->here || (!dense && layer < r->o->here_experts));
    const int in = branch_input(r, r->c->parallel ? x : h, layer, "norm2", r->c->place == PLACE_BEFORE || r->c->place == PLACE_BOTH,
                                !dense ? NULL : config_gated(r->c) ? "gate_up" : "up");
    return dense ? mlp(r, in, layer, h) : experts(r, in, layer, h);
}

/* Which matrices a weight of a layer consists of: what Muon makes orthogonal, each by itself.  A router is none: it chooses. */
static void set_matrices(const struct config *c, const struct weight *w, struct tensor *t)
{
    if (w->layer < 0 || !w->decay || strstr(w->name, "router") || strstr(w->name, "shared_gate"))
        return;
    const int64_t rows = w->shape[w->rank - 2], q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_kv_head * c->d_head;
    const bool qkv = strstr(w->name, ".qkv"), pair = strstr(w->name, "gate_up");
    t->n_matrix = qkv ? 3 : pair ? 2 : 1;
    const int64_t part[3] = { qkv ? q : rows / t->n_matrix, qkv ? kv : rows / t->n_matrix, kv };
    memcpy(t->matrix_rows, part, sizeof part);
}

/* Of the rows first .. end - 1 as many as are held; room behind a run is where its last row is. */
static int64_t rows_held(const struct weight_held *h, int64_t first, int64_t end)
{
    int64_t rows = 0;
    for (int i = 0; i < h->n_run; i++) {
        const struct weight_run *q = &h->row[i];
        const int64_t from = q->from > first ? q->from : first, after = q->from + q->n, to = after < end ? after : end, last = q->n ? after - 1 : q->from;
        rows += from < to ? to - from : 0;
        rows += first <= last && last < end ? q->room - q->n : 0;
    }
    return rows;
}

/* Panels of a weight's segments, of each as many rows as are held. */
static int record_panels(const struct recorder *r, const struct weight_held *h, const struct weight *w, const struct weight_type *type, struct shape s)
{
    enum panel_type panel[SEGMENT_MAX] = { 0 };
    int64_t n_row[SEGMENT_MAX] = { 0 };
    for (int64_t i = 0, first = 0; i < type->n_segment; first += type->n_row[i++]) {
        panel[i] = panel_of(type->type[i]);
        n_row[i] = rows_held(h, first, first + type->n_row[i]);
        if (h->col.room % type_block(type->type[i]))
            return ERR(r->err, UNSUPPORTED, "a device has %lld columns of %s, which is %s in blocks of %d: expected a multiple; --precision bf16 keeps weights in another type",
                       (long long)h->col.room, w->name, type_name(type->type[i]), type_block(type->type[i]));
    }
    int panels;
    TRY(panels = graph_panels(r->g, s, type->n_segment, panel, n_row, w->name, r->err));
    for (int i = 0; i < type->n_segment; i++)
        r->g->tensor[panels].panels.segment[i].of = type->type[i];
    r->g->tensor[panels].n_part = h->part ? r->o->division.n : 0;
    return panels;
}

/* The tensor of a weight in the form that the options ask for. */
static int record_weight(const struct recorder *r, const struct weights_list *l, const struct weight *w, const struct weight_type *type, bool in_file)
{
    const struct weight_held held = weight_held(l, w, &r->o->division);
    struct shape s = { .rank = w->rank };
    for (int j = 0; j < w->rank; j++)
        s.dim[j] = (struct dim){ held.shape[j], DIM_ONE };
    if (type && type->n_segment)
        return record_panels(r, &held, w, type, s);
    int id;
    const bool frozen = r->o->frozen || w->balances || (r->o->lora && !weight_of_head(w));
    const enum tensor_kind kind = in_file || (type && type->mapped) ? TENSOR_MAPPED : frozen ? TENSOR_FROZEN : TENSOR_WEIGHT;
    TRY(id = graph_tensor(r->g, kind, DT_F32, s, r->err, "%s", w->name));
    if (type && type->mapped)
        r->g->tensor[id].mapped_type = type->type[0];
    r->g->tensor[id].decay = w->decay, r->g->tensor[id].n_part = (divided(r) || over_devices(r)) && held.part ? r->o->division.n : 0;
    if (divided(r) && held.part && w->layer < 0)
        r->g->tensor[id].first_row = held.row[0].from;      /* of a vocabulary */
    r->g->tensor[id].steered = w->balances && !r->o->lora && !r->o->frozen;
    r->g->tensor[id].grad_in_parts = divided(r) && (strstr(w->name, ".q_norm") || strstr(w->name, ".k_norm"));      /* of this process's heads */
    r->g->tensor[id].of_experts = w->bias && strstr(w->name, ".experts.");
    r->g->tensor[id].n_peer = sends_rows(r) && held.part ? r->o->division.n : 0;
    set_matrices(r->c, w, &r->g->tensor[id]);
    return id;
}

/* The adapters' own weights. */
static int record_adapters(const struct recorder *r, const struct weights_list *l)
{
    struct decoder *d = r->d;
    d->lora = *r->o->lora;
    TRY(lora_sites(&d->site, &d->n_site, l, &d->lora, r->err));
    for (int i = 0; i < d->n_site; i++) {
        struct lora_site *s = &d->site[i];
        const struct weight *w = &l->weight[s->weight];
        TRY(s->a = graph_tensor(r->g, TENSOR_WEIGHT, DT_F32, MAT((int64_t)s->n_part * d->lora.rank, w->shape[1]), r->err, "%s.lora_a", w->name));
        r->g->tensor[s->a].decay = true;
        for (int j = 0; j < s->n_part; j++) {
            TRY(s->b[j] = graph_tensor(r->g, TENSOR_WEIGHT, DT_F32, MAT(s->part[j].n_row, d->lora.rank), r->err, "%s.lora_b%d", w->name, j));
            r->g->tensor[s->b[j]].decay = true;
        }
    }
    return 0;
}

/* The tensors of adapters that sequences may have. */
static int record_beside(const struct recorder *r, const struct weights_list *l)
{
    struct decoder *d = r->d;
    const enum panel_type f32 = PANEL_F32;
    char name[sizeof r->g->tensor->name];
    int n, most = 0;
    for (int i = 0; i < r->o->n_adapter; i++)
        for (int w = 0; w < l->n_weight; w++)
            adapter_parts(r->o->adapter[i], w, &n), most += n;
    if (!(d->beside = mem_alloc_array((size_t)most + 1, sizeof *d->beside)))
        return ERR(r->err, NOMEM, "no memory for %d parts of adapters", most);
    for (int i = 0; i < r->o->n_adapter; i++)
        for (int w = 0; w < l->n_weight; w++) {
            const int rank = adapter_lora(r->o->adapter[i])->rank;
            const struct adapter_part *p = adapter_parts(r->o->adapter[i], w, &n);
            for (int j = 0; j < n; j++) {
                struct decoder_beside *b = &d->beside[d->n_beside];
                *b = (struct decoder_beside){ .adapter = i, .weight = w, .part = j };
                snprintf(name, sizeof name, "%.50s.adapter%d.a%d", l->weight[w].name, i, j);
                TRY(b->a = graph_panels(r->g, MAT(rank, l->weight[w].shape[1]), 1, &f32, &(int64_t){ rank }, name, r->err));
                snprintf(name, sizeof name, "%.50s.adapter%d.b%d", l->weight[w].name, i, j);
                TRY(b->b = graph_panels(r->g, MAT(p[j].n_row, rank), 1, &f32, &p[j].n_row, name, r->err));
                d->n_beside++;
            }
        }
    return 0;
}

/* What norms, activations and attention write: the type that most products read. */
static enum dtype act_type(const struct decoder_opts *o, const struct weights_list *l)
{
    if (!o->types)
        return o->compute;
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < o->types[i].n_segment; j++)
            if (o->types[i].type[j] != TYPE_BF16 && !strstr(l->weight[i].name, "router"))
                return DT_F32;
    return DT_BF16;
}

/* sqrt(C); a model whose weights are bf16 was made with it rounded to bf16. */
double decoder_embed_scale(const struct config *c)
{
    if (!c->embed_scale)
        return 1;
    const float root = sqrtf((float)c->d_model);
    const uint32_t bits = (uint32_t)st_bf16(root) << 16;
    float rounded;
    memcpy(&rounded, &bits, sizeof rounded);
    return (double)(c->dtype == ST_BF16 ? rounded : root);
}

/* Each patch is one row of numbers: what a convolution of the patch's size and step would give. */
static int image_embedding(const struct recorder *r)
{
    const int x = graph_linear(r->g, r->d->pixels, weight(r, -1, "patch.w"), weight(r, -1, "patch.b"), -1, r->o->compute, "patches", r->err);
    return graph_image_tokens(r->g, x, weight(r, -1, "cls"), weight(r, -1, "pos"), r->err);
}

static int embedding(const struct recorder *r)
{
    const struct config *c = r->c;
    const struct decoder *d = r->d;
    if (config_vision(c))
        return image_embedding(r);
    int x = r->o->embeds_sought ? d->embeds : graph_embed(r->g, d->ids, weight(r, -1, "embed"), decoder_embed_scale(c), 0, r->err);
    if (divided(r))
        x = graph_sum_peers(r->g, x, -1, r->err);
    if (c->pos == POS_LEARNED)
        x = graph_add(r->g, x, graph_embed(r->g, d->pos, weight(r, -1, "pos"), 1, c->pos_first, r->err), "stream", r->err);
    if (c->n_type)
        x = graph_add(r->g, x, graph_embed(r->g, d->type, weight(r, -1, "type"), 1, 0, r->err), "typed", r->err);
    return c->encoder ? norm(r, x, -1, "embed_norm", DT_F32) : x;
}

/* What the head reads: not A8 but floats, of which its product makes two parts of int8, where its weights have more than 4 bits.
 * With fewer their own rounding is many times that of one part. */
static enum dtype head_form(const struct recorder *r, int w)
{
    const enum dtype form = form_for(r, w);
    for (int i = 0; form == DT_A8 && i < r->g->tensor[w].panels.n_segment; i++) {
        const enum panel_type t = r->g->tensor[w].panels.segment[i].type;
        if (t == PANEL_Q8 || t == PANEL_Q8_M || t == PANEL_Q5_K || t == PANEL_Q6_K)
            return DT_F32;
    }
    return form;
}

/* One row of each sequence, its norm, and the classes.  A single token's norm is taken after it was picked: the same numbers. */
static int label_head(const struct recorder *r, int x)
{
    static const enum pool_rows rows[N_LABEL_POOL] = { [LABEL_FIRST] = POOL_ROWS_FIRST, [LABEL_LAST] = POOL_ROWS_LAST, [LABEL_MEAN] = POOL_ROWS_MEAN };
    const struct config *c = r->c;
    struct decoder *d = r->d;
    const bool mean = c->label_pool == LABEL_MEAN;
    if (mean && config_last_norm(c))
        x = norm(r, x, -1, "norm", DT_F32);
    x = graph_pool(r->g, x, rows[c->label_pool], config_vision(c) ? 1 : 0, "pooled", r->err);
    if (!mean && config_last_norm(c))
        x = norm(r, x, -1, "norm", r->act);
    if (config_label_pooler(c))
        x = graph_tanh(r->g, graph_linear(r->g, x, weight(r, -1, "pooler.w"), weight(r, -1, "pooler.b"), -1, r->o->compute, "pooler", r->err), "pooler.tanh", r->err);
    if (r->o->features && x >= 0)
        r->g->tensor[d->features = x].kind = TENSOR_OUTPUT;
    TRY(d->logits = graph_linear(r->g, x, weight(r, -1, "label.w"), weight(r, -1, "label.b"), -1, r->o->compute, "logits", r->err));
    if (d->label < 0 || r->o->pixels_sought || r->o->embeds_sought)
        r->g->tensor[d->logits].kind = TENSOR_OUTPUT;
    if (d->label >= 0)
        TRY(d->nll = graph_soft_cross_entropy(r->g, d->logits, d->label, r->err));
    return 0;
}

static int hidden_head(const struct recorder *r, int x)
{
    if (config_last_norm(r->c))
        x = norm(r, x, -1, "norm", DT_F32);
    TRY(r->d->hidden = x);
    r->g->tensor[x].kind = TENSOR_OUTPUT;
    return 0;
}

/* From the stream to what the use wants of it. */
static int head(const struct recorder *r, int x)
{
    const struct config *c = r->c;
    struct decoder *d = r->d;
    struct graph *g = r->g;
    if (r->o->use == DECODER_HIDDEN)
        return hidden_head(r, x);
    if (c->n_label)
        return label_head(r, x);
    const int w = d->tied_head >= 0 ? d->tied_head : c->tie_embeddings ? weight(r, -1, "embed") : weight(r, -1, "head.w");
    if (config_last_norm(c))
        x = norm(r, x, -1, "norm", head_form(r, w));
    if (divided(r))
        x = graph_sum_peers_grad(r->g, x, r->err);
    if (d->target >= 0) {
        TRY(d->nll = graph_cross_entropy(g, x, w, d->target, c->logit_cap, r->o->compute, r->err));
        return 0;
    }
    TRY(d->logits = graph_linear(g, x, w, -1, -1, r->o->compute, over_devices(r) ? "logits.part" : "logits", r->err));
    if (over_devices(r))
        TRY(d->logits = graph_gather_peers(g, d->logits, c->vocab_size, "logits", r->err));
    g->tensor[d->logits].kind = TENSOR_OUTPUT;
    return c->logit_cap > 0 ? graph_softcap(g, d->logits, c->logit_cap, r->err) : 0;
}

static void move_to_pass(struct graph *g, int first, enum pass pass)
{
    for (int i = first; i < g->n_node; i++)
        if (g->node[i].pass == PASS_FORWARD)
            g->node[i].pass = pass;
}

/* Of chosen rows of the stream, which is kept after the forward pass. */
static int heads_of_rows(const struct recorder *r, int stream)
{
    struct graph *g = r->g;
    int first = g->n_node, x;
    g->tensor[stream].kind = TENSOR_OUTPUT;
    TRY(x = graph_take_rows(g, stream, r->d->last, "rows", r->err));
    TRY(head(r, x));
    move_to_pass(g, first, PASS_HEAD);
    first = g->n_node;
    TRY(x = graph_take_rows(g, stream, r->d->last, "hidden_rows", r->err));
    TRY(hidden_head(r, x));
    move_to_pass(g, first, PASS_HIDDEN);
    return 0;
}

static int record(struct recorder *r, const struct weights_list *l)
{
    struct decoder *d = r->d;
    struct graph *g = r->g;
    const struct config *c = r->c;
    for (int i = 0; i < l->n_weight; i++) {
        const struct weight *w = &l->weight[i];
        int id;
        TRY(id = record_weight(r, l, w, r->o->types ? &r->o->types[i] : NULL, r->o->in_file && r->o->in_file[i]));
        assert(id == i);                          /* decoder_weight() counts on it */
    }
    if (r->o->lora)
        TRY(record_adapters(r, l));
    if (r->o->n_adapter)
        TRY(record_beside(r, l));
    if (r->o->types && c->tie_embeddings && r->o->use != DECODER_HIDDEN) {
        const enum panel_type panel = panel_of(r->o->types[0].type[0]);
        const struct weight_held held = weight_held_as_head(l, &l->weight[0], &r->o->division);
        TRY(d->tied_head = graph_panels(g, MAT(held.shape[0], c->d_model), 1, &panel, &held.shape[0], "head.tied", r->err));
        g->tensor[d->tied_head].panels.segment[0].of = r->o->types[0].type[0];
        g->tensor[d->tied_head].n_part = held.part ? r->o->division.n : 0;
    }
    if (config_vision(c)) {
        const struct shape patches = { 2, { { config_n_patch(c), DIM_S }, { config_patch_numbers(c), DIM_ONE } } };
        TRY(d->pixels = graph_tensor(g, TENSOR_INPUT, DT_F32, patches, r->err, "pixels"));
        g->tensor[d->pixels].sought = r->o->pixels_sought;
    } else {
        if (r->o->embeds_sought)
            TRY(d->embeds = graph_tensor(g, TENSOR_INPUT, DT_F32, ROWS_T(c->d_model), r->err, "embeds"));
        else
            TRY(d->ids = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, r->err, "ids"));
        if (r->o->embeds_sought)
            g->tensor[d->embeds].sought = true;
        TRY(d->pos = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, r->err, "pos"));
    }
    if (c->n_type)
        TRY(d->type = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, r->err, "type"));
    if (r->o->use == DECODER_TRAIN && c->n_label)
        TRY(d->label = graph_tensor(g, TENSOR_INPUT, DT_F32, ROWS_S(c->n_label), r->err, "label"));
    else if (r->o->use == DECODER_TRAIN || r->o->use == DECODER_SCORE)
        TRY(d->target = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, r->err, "target"));
    if (r->o->use == DECODER_GENERATE)
        TRY(d->last = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_S, r->err, "last"));
    d->n_pos = r->o->ctx ? r->o->ctx : c->ctx;
    const struct shape table = VEC((int64_t)d->n_pos * config_d_rot(c));
    if (c->pos == POS_ROPE)
        TRY(d->rope[0] = graph_tensor(g, TENSOR_CONST, DT_F32, table, r->err, "rope"));
    if (c->pos == POS_ROPE && c->window && c->rope_local_theta > 0)
        TRY(d->rope[1] = graph_tensor(g, TENSOR_CONST, DT_F32, table, r->err, "rope_local"));
    go(r, r->o->here > 0);
    int x = embedding(r);
    if (drops(r))
        x = graph_dropout(g, x, -1, c->dropout, 0, "embed.drop", r->err);
    for (int layer = 0; layer < c->n_layer && x >= 0; layer++) {
        g->tensor[x].keep = true;
        x = layer_of(r, x, layer);
    }
    TRY(x);
    go(r, false);
    g->tensor[x].keep = true;
    if (r->o->use == DECODER_GENERATE)
        return heads_of_rows(r, x);
    TRY(head(r, x));
    if (r->o->use == DECODER_TRAIN) {
        g->loss_first = r->o->loss_first, g->sought_only = r->o->pixels_only;
        TRY(graph_backward(g, r->o->recompute, r->err));
        TRY(graph_update(g, r->o->optimizer, r->o->state, r->err));
        if (r->o->averages)
            TRY(graph_averages(g, r->err));
    }
    return 0;
}

static int check_devices(const struct config *c, int n, struct err *err)
{
    const char *what = c->kv_rank ? "keys and values made of a few numbers (MLA)" : c->qk_norm == QK_NORM_FULL ? "a norm over the queries of all heads" :
                       c->encoder || c->n_label || config_vision(c) ? "a head for classes, or an encoder" : NULL;
    if (what)
        return ERR(err, UNSUPPORTED, "a model with %s is not shared by several devices", what);
    if (c->n_head % n || (c->n_kv_head % n && n % c->n_kv_head) || c->n_expert % n)
        return ERR(err, USAGE, "%d devices are to share each layer, but it has %d heads, %d heads of keys and values and %d experts; expected multiples of %d (of keys and values also a divisor)", n,
                   c->n_head, c->n_kv_head, c->n_expert, n);
    return 0;
}

int decoder_check_division(const struct config *c, const struct division *d, struct err *err)
{
    if (d->by == DIVIDE_DEVICES && d->n > 1)
        return check_devices(c, d->n, err);
    if (d->by != DIVIDE_LAYERS || d->n <= 1)
        return 0;
    const char *what = c->n_expert ? "experts" : c->kv_rank ? "keys and values made of a few numbers (MLA)" : c->qk_norm == QK_NORM_FULL ? "a norm over the queries of all heads" :
                       c->encoder || c->n_label || config_vision(c) ? "a head for classes, or an encoder" : c->place != PLACE_BEFORE && c->place != PLACE_BOTH ? "no norm before its products" : NULL;
    if (what)
        return ERR(err, UNSUPPORTED, "layers divided over processes are not implemented for a model with %s", what);
    if (c->n_head % d->n || c->n_kv_head % d->n || c->d_ff % d->n)
        return ERR(err, USAGE, "%d processes are to share each layer, but it has %d heads, %d heads of keys and values and %d numbers inside its MLP; expected multiples of %d", d->n,
                   c->n_head, c->n_kv_head, c->d_ff, d->n);
    return 0;
}

int decoder_record(struct decoder *d, const struct config *c, const struct decoder_opts *o, struct err *err)
{
    *d = (struct decoder){ .config = *c, .ids = -1, .embeds = -1, .pos = -1, .type = -1, .hidden = -1, .target = -1, .last = -1, .pixels = -1, .label = -1, .nll = -1, .logits = -1, .features = -1, .rope = { -1, -1 }, .tied_head = -1, .division = o->division };
    d->route = (struct attr){ .n_expert = c->n_expert, .top_k = c->top_k, .norm_topk = c->norm_topk, .scale = c->route_scale,
                               .sigmoid = c->router == ROUTER_SIGMOID, .n_group = c->n_group, .n_group_chosen = c->n_group_chosen, .group_best = c->group_best, .aux_coef = c->aux_loss, .z_coef = c->z_loss };
    if (c->n_label && (o->use == DECODER_SCORE || o->use == DECODER_GENERATE))
        return ERR(err, UNSUPPORTED, "this %s has a head for %d classes, and none for tokens", family_name(c->family), c->n_label);
    if (c->encoder && !c->n_label && o->use != DECODER_HIDDEN)
        return ERR(err, UNSUPPORTED, "%s is an encoder: it has hidden states, but no logits", family_name(c->family));
    if (o->use == DECODER_TRAIN && config_untrainable(c))
        return ERR(err, UNSUPPORTED, "training a model with %s is not implemented", config_untrainable(c));
    TRY(decoder_check_division(c, &o->division, err));
    assert(o->division.by != DIVIDE_LAYERS || o->use == DECODER_TRAIN || o->use == DECODER_SCORE);
    struct weights_list *l = NULL;
    int rc = weights_list_new(&l, c, err);
    if (rc < 0)
        return rc;
    d->g = graph_new();
    if (d->g && o->use == DECODER_TRAIN)
        d->g->n_slice = o->slices, d->g->whole_step = o->whole_step;
    d->stats = mem_alloc_array((size_t)c->n_layer, sizeof *d->stats);
    d->correction = mem_alloc_array((size_t)c->n_layer, sizeof *d->correction);
    struct recorder r = { d, d->g, &d->config, o, err, act_type(o, l), act_type(o, l), o->floats };
    rc = d->g && d->stats && d->correction ? record(&r, l) : ERR(err, NOMEM, "no memory to record the model");
    weights_list_free(l);
    if (rc < 0)
        decoder_release(d);
    return rc;
}

void decoder_release(struct decoder *d)
{
    graph_free(d->g);
    mem_free(d->stats);
    mem_free(d->correction);
    mem_free(d->site);
    mem_free(d->beside);
    *d = (struct decoder){ 0 };
}

/* ---- memory and weights ---- */

int decoder_plan(struct decoder *d, int T, int S, int n_thread, const struct decoder *share, struct err *err)
{
    return graph_plan(d->g, T, S, n_thread, share ? share->g : NULL, err);
}

/* cos and sin of pos * frequency, computed in double. */
static void fill_rope(const struct decoder *d, int table, const struct rope_config *rope)
{
    double frequency[ROPE_PAIRS_MAX];
    float *out = d->g->tensor[table].data;
    const int d_rot = config_d_rot(&d->config);
    const double factor = rope_frequencies(rope, d_rot, d->config.ctx, d->n_pos, frequency);
    for (int pos = 0; pos < d->n_pos; pos++)
        for (int i = 0; i < d_rot / 2; i++) {
            *out++ = (float)(cos(pos * frequency[i]) * factor);
            *out++ = (float)(sin(pos * frequency[i]) * factor);
        }
}

int decoder_bind(struct decoder *d, struct pool *pool, const struct decoder *share, struct err *err)
{
    TRY(graph_bind(d->g, cpu_kernels(), pool, share ? share->g : NULL, err));
    const struct rope_config local = rope_plain(d->config.rope_local_theta);
    if (d->rope[0] >= 0 && !share)
        fill_rope(d, d->rope[0], &d->config.rope);
    if (d->rope[1] >= 0 && !share)
        fill_rope(d, d->rope[1], &local);
    return 0;
}

static void pack_floats(const struct cpu_kernels *k, const float *x, const struct tensor *to)
{
    const int K = (int)to->shape[1].n;
    k->pack_panels(&(struct panel_pack){ .type = TYPE_F32, .K = K, .N = (int)to->shape[0].n, .src = x, .stride = (size_t)K * sizeof *x, .out = to->data });
}

void decoder_fill_adapters(struct decoder *d, const struct adapter *const *adapter)
{
    for (int i = 0; i < d->n_beside; i++) {
        const struct decoder_beside *b = &d->beside[i];
        int n;
        const struct adapter_part *p = &adapter_parts(adapter[b->adapter], b->weight, &n)[b->part];
        pack_floats(d->g->k, p->a, &d->g->tensor[b->a]);
        pack_floats(d->g->k, p->b, &d->g->tensor[b->b]);
    }
}

float *decoder_weight(void *decoder, int i_weight) { return ((struct decoder *)decoder)->g->tensor[i_weight].data; }
const float *decoder_weight_source(void *decoder, int i_weight)
{
    struct decoder_parts *p = ((struct decoder *)decoder)->parts;
    if (!p)
        return decoder_weight(decoder, i_weight);
    p->rc = p->collect(p->ctx, i_weight, i_weight, &p->err);
    return p->rc ? NULL : p->whole;
}

struct init_job { const struct weights_list *l; struct decoder *d; uint64_t seed; };

static void init_weight(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct init_job *j = ctx;
    const struct weight *w = &j->l->weight[i];
    const struct weight_held h = weight_held(j->l, w, &j->d->division);
    float *x = decoder_weight(j->d, i);
    if (j->d->g->tensor[i].kind == TENSOR_MAPPED)
        return;
    const uint64_t key = rng_key(j->seed, w->name);
    for (int64_t k = 0; k < h.n; k++)
        x[k] = w->init == INIT_ONES ? 1 : w->init == INIT_ZEROS ? 0 : (float)(w->std * rng_normal(key, (uint64_t)(h.part ? weight_whole(&h, k) : k)));
}

void decoder_init_weights(struct decoder *d, const struct weights_list *l, uint64_t seed)
{
    struct init_job j = { l, d, seed };
    pool_for(d->g->pool, l->n_weight, init_weight, &j);
}

void decoder_init_adapters(struct decoder *d, uint64_t seed)
{
    for (int i = 0; i < d->n_site; i++) {
        const struct lora_site *s = &d->site[i];
        const struct tensor *a = &d->g->tensor[s->a];
        const int64_t n = d->lora.rank * a->shape[1].n;
        const double bound = 1 / sqrt((double)a->shape[1].n);
        for (int j = 0; j < s->n_part; j++) {
            const uint64_t key = rng_key(seed, s->part[j].module);
            const struct tensor *b = &d->g->tensor[s->b[j]];
            memset(b->data, 0, b->bytes);
            for (int64_t k = 0; k < n; k++)
                ((real *)a->data)[j * n + k] = (real)(bound * (2 * rng_uniform(key, (uint64_t)k) - 1));
        }
    }
}
