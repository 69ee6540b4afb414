/* record.c - building the list: tensors, then one function per operation that checks shapes and appends a node. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "nn/graph.h"
#include "nn/op.h"

size_t dtype_size(enum dtype t)
{
    static const size_t size[N_DTYPE] = {
#define X(name, word, n) n,
        DTYPES(X)
#undef X
    };
    return size[t];
}

const char *dtype_name(enum dtype t)
{
    static const char *const name[N_DTYPE] = {
#define X(n, word, size) word,
        DTYPES(X)
#undef X
    };
    return name[t];
}

const char *tensor_kind_name(enum tensor_kind kind)
{
    static const char *const name[N_TENSOR_KIND] = { "weights", "frozen weights", "packed weights", "mapped weights", "tables", "cache", "inputs", "outputs",
                                                     "activations", "gradients", "optimiser state" };
    return name[kind];
}

const char *op_name(enum op op) { return op_table[op].name; }

struct graph *graph_new(void)
{
    struct graph *g = mem_alloc_array(1, sizeof *g);
    if (g)
        g->loss = -1, g->own_to = SIZE_MAX;
    return g;
}

/* ---- tensors ---- */

int64_t tensor_cols(const struct tensor *t)
{
    const struct dim d = t->shape[t->rank - 1];
    return t->rank == 1 && d.of != DIM_ONE ? 1 : d.n;
}

int64_t tensor_count(const struct tensor *t, int T, int S)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= dim_size(t->shape[i], T, S);
    return n;
}

int64_t tensor_rows(const struct tensor *t, int T, int S)
{
    const int64_t cols = tensor_cols(t);
    return cols ? tensor_count(t, T, S) / cols : 0;
}

int64_t graph_rows(const struct graph *g, const struct tensor *t, const struct step *step)
{
    if (t->live < 0)
        return tensor_rows(t, step->T, step->S);
    const struct tensor *begin = &g->tensor[t->live];
    return ((const int32_t *)begin->data)[begin->shape[0].n - 1];
}

size_t tensor_bytes(const struct tensor *t, int T, int S)
{
    if (t->panels.n_segment)
        return (size_t)(t->rank == 3 ? t->shape[0].n : 1) * t->panels.expert_bytes;
    if (t->dtype == DT_A8)
        return (size_t)tensor_rows(t, T, S) * a8_row_bytes(tensor_cols(t));
    return (size_t)tensor_count(t, T, S) * dtype_size(t->dtype);
}

/* Sizes are checked here once, so that no later product of them can overflow: 2^40 elements at T = S = 1. */
#define MAX_ELEMENTS ((int64_t)1 << 40)

static int add_tensor(struct graph *g, const struct tensor *t, struct err *err)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i].n < 0 || (t->shape[i].n && n > MAX_ELEMENTS / t->shape[i].n))
            return ERR(err, RANGE, "tensor '%s' is too large", t->name);
        n *= t->shape[i].n;
    }
    if (g->n_tensor == g->cap_tensor) {
        const int cap = g->cap_tensor ? 2 * g->cap_tensor : 64;
        struct tensor *p = mem_realloc_array(g->tensor, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d tensors", cap);
        g->tensor = p, g->cap_tensor = cap;
    }
    g->tensor[g->n_tensor] = *t;
    return g->n_tensor++;
}

int graph_tensor(struct graph *g, enum tensor_kind kind, enum dtype dtype, struct shape shape, struct err *err,
                 const char *name_fmt, ...)
{
    struct tensor t = { .kind = kind, .dtype = dtype, .rank = shape.rank, .grad = -1, .moment = { -1, -1 }, .average = -1,
                        .packed = { -1, -1 }, .live = -1, .first = -1, .last = -1 };
    memcpy(t.shape, shape.dim, sizeof t.shape);
    va_list ap;
    va_start(ap, name_fmt);
    vsnprintf(t.name, sizeof t.name, name_fmt, ap);
    va_end(ap);
    return add_tensor(g, &t, err);
}

int graph_find(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->n_tensor; i++)
        if (!strcmp(g->tensor[i].name, name))
            return i;
    return -1;
}

/* ---- nodes ---- */

static struct node node_of(enum op op, enum pass pass, const struct attr *a)
{
    struct node n = { .op = op, .pass = pass };
    for (int i = 0; i < NODE_IN; i++)
        n.in[i] = n.d_in[i] = -1;
    for (int i = 0; i < NODE_OUT; i++)
        n.out[i] = n.d_out[i] = -1;
    if (a)
        n.attr = *a;
    return n;
}

int graph_append(struct graph *g, const struct node *n, struct err *err)
{
    if (g->n_node == g->cap_node) {
        const int cap = g->cap_node ? 2 * g->cap_node : 64;
        struct node *p = mem_realloc_array(g->node, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d operations", cap);
        g->node = p, g->cap_node = cap;
    }
    g->node[g->n_node] = *n;
    g->node[g->n_node++].here = g->here;
    return 0;
}

/* Adds the node and returns its first output. */
static int append(struct graph *g, const struct node *n, struct err *err)
{
    TRY(graph_append(g, n, err));
    return n->out[0];
}

/* A record call given a negative id (an error of an earlier call) passes the error on. */
#define CHECK_ID(id)               \
    do {                           \
        const int checked = (id);  \
        if (checked < 0)           \
            return checked;        \
    } while (0)

static const struct tensor *tensor_at(const struct graph *g, int id)
{
    assert(id >= 0 && id < g->n_tensor);
    return &g->tensor[id];
}

static struct shape shape_like(const struct tensor *t, int64_t cols)
{
    struct shape s = { .rank = t->rank };
    memcpy(s.dim, t->shape, sizeof s.dim);
    s.dim[s.rank - 1] = (struct dim){ cols, DIM_ONE };
    return s;
}

int graph_panels(struct graph *g, struct shape shape, int n_segment, const enum panel_type *type, const int64_t *n_row, const char *name,
                 struct err *err)
{
    assert(n_segment >= 1 && n_segment <= SEGMENT_MAX && shape.rank >= 2);
    const int64_t K = shape.dim[shape.rank - 1].n;
    const int id = graph_tensor(g, TENSOR_PACKED, DT_F32, shape, err, "%s", name);
    CHECK_ID(id);
    struct panels *p = &g->tensor[id].panels;
    p->n_segment = n_segment;
    int64_t row = 0;
    for (int i = 0; i < n_segment; i++) {
        p->segment[i] = (struct panel_segment){ .type = type[i], .n_row = n_row[i], .row = row, .offset = p->expert_bytes };
        row += n_row[i];
        p->expert_bytes += panel_bytes(type[i], K, n_row[i]);
    }
    assert(row == shape.dim[shape.rank - 2].n);
    return id;
}

/* The rows of `id` in use are those of x. */
static int live_like(struct graph *g, int id, int x)
{
    if (id >= 0)
        g->tensor[id].live = g->tensor[x].live, g->tensor[id].live_mean = g->tensor[x].live_mean;
    return id;
}

/* Makes sure that a weight's panels exist for this use, with the node that fills them.  Rows: x * w^T; columns: dy * w. */
static int packed_weight(struct graph *g, int w, bool by_cols, enum dtype compute, struct err *err)
{
    if (g->tensor[w].kind == TENSOR_MAPPED)
        return w;
    if (g->tensor[w].panels.n_segment) {
        assert(!by_cols);
        return w;
    }
    if (g->tensor[w].packed[by_cols] >= 0) {
        assert(g->tensor[g->tensor[w].packed[by_cols]].dtype == compute);
        return g->tensor[w].packed[by_cols];
    }
    const struct tensor t = g->tensor[w];
    const bool cube = t.rank == 3;
    const int64_t E = cube ? t.shape[0].n : 1, N = t.shape[cube].n, K = t.shape[cube + 1].n;
    const int64_t n = E * (int64_t)(by_cols ? cpu_panel_size((size_t)N, (size_t)K) : cpu_panel_size((size_t)K, (size_t)N));
    const int p = graph_tensor(g, TENSOR_PACKED, compute, VEC(n), err, "%s.%s", t.name, by_cols ? "cols" : "rows");
    CHECK_ID(p);
    struct node node = node_of(OP_pack, PASS_PREPARE, NULL);
    node.in[1] = w, node.out[0] = p, node.attr.by_cols = by_cols, node.attr.compute = compute;
    TRY(graph_append(g, &node, err));
    return g->tensor[w].packed[by_cols] = p;
}

int graph_pack_cols(struct graph *g, int w, enum dtype compute, struct err *err)
{
    return packed_weight(g, w, true, compute, err);
}

int graph_embed(struct graph *g, int ids, int w, double scale, int first, struct err *err)
{
    CHECK_ID(ids);
    CHECK_ID(w);
    assert(tensor_at(g, ids)->dtype == DT_I32 && tensor_at(g, w)->rank == 2);
    const int out = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(&(struct tensor){ .rank = 2, .shape = { tensor_at(g, ids)->shape[0] } },
                                 tensor_at(g, w)->shape[1].n), err, "%s.taken", tensor_at(g, w)->name);
    CHECK_ID(out);
    struct node n = node_of(OP_embed, PASS_FORWARD, &(struct attr){ .scale = scale, .first = first });
    n.in[0] = ids, n.in[1] = w, n.out[0] = out;
    return append(g, &n, err);
}

enum dtype graph_form(const struct graph *g, int w)
{
    const struct panels *p = &tensor_at(g, w)->panels;
    int a8 = 0, b16 = 0;
    for (int i = 0; i < p->n_segment; i++)
        a8 += PANEL_IS_A8(p->segment[i].type), b16 += p->segment[i].type == PANEL_BF16;
    return p->n_segment && a8 == p->n_segment ? DT_A8 : p->n_segment && b16 == p->n_segment ? DT_BF16 : DT_F32;
}

static bool can_read(const struct graph *g, int x, int w) { return tensor_at(g, x)->dtype != DT_A8 || graph_form(g, w) == DT_A8; }

int graph_linear(struct graph *g, int x, int w, int bias, int add, enum dtype compute, const char *name, struct err *err)
{
    CHECK_ID(x);
    CHECK_ID(w);
    const int64_t N = tensor_at(g, w)->shape[0].n, K = tensor_at(g, w)->shape[1].n;
    assert(tensor_at(g, w)->rank == 2 && tensor_cols(tensor_at(g, x)) == K && can_read(g, x, w));
    assert(bias < 0 || tensor_count(tensor_at(g, bias), 1, 1) == N);
    assert(add < 0 || tensor_cols(tensor_at(g, add)) == N);
    const int packed = packed_weight(g, w, false, compute, err);
    CHECK_ID(packed);
    const int out = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, x), N), err, "%s", name);
    CHECK_ID(out);
    struct node n = node_of(OP_linear, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = w, n.in[2] = bias, n.in[3] = add, n.in[4] = packed, n.out[0] = out;
    n.attr.compute = compute;
    return append(g, &n, err);
}

int graph_norm(struct graph *g, enum op op, int x, int w, int b, double eps, enum dtype out, const char *name, struct err *err)
{
    CHECK_ID(x);
    const int64_t C = w < 0 ? tensor_cols(tensor_at(g, x)) : tensor_cols(tensor_at(g, w));      /* the first columns of x */
    assert(op == OP_rmsnorm || op == OP_layernorm);
    assert(C <= tensor_cols(tensor_at(g, x)));
    struct node n = node_of(op, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = w, n.in[2] = b;
    n.attr.eps = eps;
    const struct dim rows = tensor_at(g, x)->shape[0];
    const struct shape per_row = { 1, { rows } };
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, out, shape_like(tensor_at(g, x), C), err, "%s", name));
    if (op == OP_layernorm)
        CHECK_ID(n.out[1] = graph_tensor(g, TENSOR_ACT, DT_F32, per_row, err, "%s.mean", name));
    CHECK_ID(n.out[2] = graph_tensor(g, TENSOR_ACT, DT_F32, per_row, err, "%s.rstd", name));
    return append(g, &n, err);
}

static int dv_of(const struct attr *a) { return a->d_v ? a->d_v : a->d_head; }
static int64_t qkv_cols(const struct attr *a) { return (int64_t)(a->n_head + a->n_kv_head) * a->d_head + (int64_t)a->n_kv_head * dv_of(a); }

int graph_qk_norm(struct graph *g, int qkv, int wq, int wk, const struct attr *a, const char *name, struct err *err)
{
    CHECK_ID(qkv);
    assert(tensor_cols(tensor_at(g, qkv)) == (a->n_head + 2 * a->n_kv_head) * a->d_head);
    struct node n = node_of(OP_qk_norm, PASS_FORWARD, a);
    n.in[0] = qkv, n.in[1] = wq, n.in[2] = wk;
    const int per_row = a->norm_per_head ? a->n_head + a->n_kv_head : 2;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(tensor_cols(tensor_at(g, qkv))), err, "%s", name));
    CHECK_ID(n.out[1] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(per_row), err, "%s.rstd", name));
    return append(g, &n, err);
}

int graph_rope(struct graph *g, int qkv, int pos, int table, const struct attr *a, struct err *err)
{
    CHECK_ID(qkv);
    assert(tensor_cols(tensor_at(g, qkv)) == qkv_cols(a));
    struct node n = node_of(OP_rope, PASS_FORWARD, a);
    n.in[0] = n.out[0] = qkv, n.in[1] = pos, n.in[2] = table;
    return append(g, &n, err);
}

int graph_attention(struct graph *g, int qkv, int sinks, int kcache, int vcache, const struct attr *a, enum dtype out, const char *name,
                    struct err *err)
{
    CHECK_ID(qkv);
    assert(tensor_cols(tensor_at(g, qkv)) == qkv_cols(a));
    assert((kcache < 0) == (vcache < 0) && a->n_head % a->n_kv_head == 0);
    struct node n = node_of(OP_attention, PASS_FORWARD, a);
    n.in[0] = qkv, n.in[1] = kcache, n.in[2] = vcache, n.in[3] = sinks;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, out, ROWS_T(a->n_head * dv_of(a)), err, "%s", name));
    CHECK_ID(n.out[1] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(a->n_head), err, "%s.lse", name));
    return append(g, &n, err);
}

int64_t graph_kv_page(enum dtype cache, int dk, int dv)
{
    return (int64_t)(cpu_kv_page_bytes(op_kv_type(cache), dk, dv) / dtype_size(cache));
}

int graph_attention_paged(struct graph *g, int qkv, int cache, int q_norm, int k_norm, int sinks, int table, const struct attr *a, enum dtype out,
                          const char *name, struct err *err)
{
    CHECK_ID(qkv);
    CHECK_ID(cache);
    const int dv = a->d_v ? a->d_v : a->d_head;
    assert(tensor_cols(tensor_at(g, qkv)) == (a->n_head + a->n_kv_head) * a->d_head + a->n_kv_head * dv && a->n_head % a->n_kv_head == 0);
    assert(tensor_at(g, cache)->shape[0].n == a->n_kv_head && tensor_at(g, cache)->shape[2].n == graph_kv_page(tensor_at(g, cache)->dtype, a->d_head, dv));
    struct node n = node_of(OP_attention_paged, PASS_FORWARD, a);
    n.in[0] = qkv, n.in[1] = cache, n.in[2] = q_norm, n.in[3] = k_norm, n.in[4] = sinks, n.in[5] = table;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, out, ROWS_T(a->n_head * dv), err, "%s", name));
    return append(g, &n, err);
}

int graph_act(struct graph *g, enum op op, int h, int scale, enum dtype out, const char *name, struct err *err)
{
    CHECK_ID(h);
    assert(out != DT_A8);
    const int64_t F = tensor_cols(tensor_at(g, h)) / op_act_parts(op);
    struct node n = node_of(op, PASS_FORWARD, NULL);
    n.in[0] = h, n.in[1] = scale;
    CHECK_ID(n.out[0] = live_like(g, graph_tensor(g, TENSOR_ACT, out, shape_like(tensor_at(g, h), F), err, "%s", name), h));
    return append(g, &n, err);
}

static int of_each(struct graph *g, enum op op, int x, const char *name, struct err *err)
{
    CHECK_ID(x);
    struct node n = node_of(op, PASS_FORWARD, NULL);
    n.in[0] = x;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, x), tensor_cols(tensor_at(g, x))), err, "%s", name));
    return append(g, &n, err);
}

int graph_sigmoid(struct graph *g, int x, const char *name, struct err *err) { return of_each(g, OP_sigmoid, x, name, err); }
int graph_tanh(struct graph *g, int x, const char *name, struct err *err) { return of_each(g, OP_tanh, x, name, err); }

int graph_softcap(struct graph *g, int x, double cap, struct err *err)
{
    CHECK_ID(x);
    struct node n = node_of(OP_softcap, PASS_FORWARD, &(struct attr){ .cap = cap });
    n.in[0] = n.out[0] = x;
    return append(g, &n, err);
}

int graph_clip(struct graph *g, int x, double limit, const char *name, struct err *err)
{
    CHECK_ID(x);
    struct node n = node_of(OP_clip, PASS_FORWARD, &(struct attr){ .cap = limit });
    n.in[0] = x;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, x), tensor_cols(tensor_at(g, x))), err, "%s", name));
    return append(g, &n, err);
}

int graph_mla_join(struct graph *g, int q, int kv_a, int kv, const struct attr *a, const char *name, struct err *err)
{
    CHECK_ID(q);
    CHECK_ID(kv_a);
    CHECK_ID(kv);
    assert(tensor_cols(tensor_at(g, q)) == a->n_head * a->d_head && a->n_head == a->n_kv_head);
    assert(tensor_cols(tensor_at(g, kv)) == a->n_head * (a->d_head - a->d_rot + dv_of(a)) && tensor_cols(tensor_at(g, kv_a)) >= a->d_rot);
    struct node n = node_of(OP_mla_join, PASS_FORWARD, a);
    n.in[0] = q, n.in[1] = kv_a, n.in[2] = kv;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(qkv_cols(a)), err, "%s", name));
    return append(g, &n, err);
}

int graph_route(struct graph *g, int logits, int correction, const struct attr *a, struct routed *out, const char *name, struct err *err)
{
    CHECK_ID(logits);
    const int E = a->n_expert, k = a->top_k;
    assert(tensor_cols(tensor_at(g, logits)) == E && k >= 1 && k <= E);
    struct node n = node_of(OP_route, PASS_FORWARD, a);
    n.in[0] = logits, n.in[1] = correction;
    const struct shape tk = { 1, { { k, DIM_T } } };
    out->n_peer = out->rows = 0;
    CHECK_ID(n.out[0] = out->probs = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(E), err, "%s.probs", name));
    CHECK_ID(n.out[1] = out->gate = graph_tensor(g, TENSOR_ACT, DT_F32, tk, err, "%s.gate", name));
    CHECK_ID(n.out[2] = out->row = graph_tensor(g, TENSOR_ACT, DT_I32, tk, err, "%s.row", name));
    CHECK_ID(n.out[3] = out->start = graph_tensor(g, TENSOR_ACT, DT_I32, VEC(E + 1), err, "%s.start", name));
    CHECK_ID(n.out[4] = out->slot = graph_tensor(g, TENSOR_ACT, DT_I32, ROWS_T(k), err, "%s.slot", name));
    CHECK_ID(n.out[5] = out->lse = graph_tensor(g, TENSOR_ACT, DT_F32, VEC_T, err, "%s.lse", name));
    CHECK_ID(n.out[6] = out->stats = graph_tensor(g, TENSOR_OUTPUT, DT_F64, VEC((g->n_slice > 1 ? g->n_slice : 1) * (2 * E + 3)), err, "%s.stats", name));
    return append(g, &n, err);
}

int graph_expert_linear(struct graph *g, int x, int w, int bias, const struct routed *r, bool gather, enum dtype compute, const char *name,
                        struct err *err)
{
    CHECK_ID(x);
    CHECK_ID(w);
    assert(tensor_at(g, w)->rank == 3 && tensor_cols(tensor_at(g, x)) == tensor_at(g, w)->shape[2].n && can_read(g, x, w));
    assert(tensor_at(g, w)->n_peer == r->n_peer && (!gather || !r->n_peer));
    const int64_t N = tensor_at(g, w)->shape[1].n, k = r->n_peer ? r->rows : tensor_at(g, r->slot)->shape[1].n;
    const int packed = packed_weight(g, w, false, compute, err);
    CHECK_ID(packed);
    struct node n = node_of(OP_expert_linear, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = w, n.in[2] = r->row, n.in[3] = r->start, n.in[4] = packed, n.in[6] = r->slot, n.in[7] = bias;
    n.attr.compute = compute, n.attr.gather = gather, n.attr.top_k = (int)k, n.attr.n_expert = (int)tensor_at(g, w)->shape[0].n, n.attr.n_peer = r->n_peer;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_TN(k, N), err, "%s", name));
    if (r->n_peer)
        live_like(g, n.out[0], x);
    return append(g, &n, err);
}

bool graph_fuses(const struct graph *g, enum op act, int w)
{
    const struct tensor *t = tensor_at(g, w);
    return t->panels.n_segment && product_act_fits(t, act);
}

int graph_linear_act(struct graph *g, enum op act, int x, int w, int bias, const struct routed *r, int scale, enum dtype out, const char *name,
                     struct err *err)
{
    CHECK_ID(x);
    CHECK_ID(w);
    const struct tensor *t = tensor_at(g, w);
    assert(graph_fuses(g, act, w) && can_read(g, x, w) && (t->rank == 3) == (r != NULL) && tensor_cols(tensor_at(g, x)) == t->shape[t->rank - 1].n);
    const int64_t F = t->shape[t->rank - 2].n / op_act_parts(act), k = r ? tensor_at(g, r->slot)->shape[1].n : 1;
    struct node n = node_of(OP_linear_act, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = w, n.in[2] = r ? r->row : -1, n.in[3] = r ? r->start : -1, n.in[4] = scale, n.in[5] = bias;
    n.attr.act = act, n.attr.gather = r != NULL, n.attr.top_k = (int)k, n.attr.n_expert = r ? (int)t->shape[0].n : 0;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, out, r ? ROWS_TN(k, F) : shape_like(tensor_at(g, x), F), err, "%s", name));
    return append(g, &n, err);
}

int graph_dispatch(struct graph *g, int x, const struct routed *r, bool gated, int n_peer, struct routed *there, const char *name, struct err *err)
{
    CHECK_ID(x);
    const int E = (int)tensor_at(g, r->start)->shape[0].n - 1, k = (int)tensor_at(g, r->slot)->shape[1].n, own = E / n_peer;
    const int64_t C = tensor_cols(tensor_at(g, x)), rows = (int64_t)n_peer * (k < own ? k : own);      /* a token's experts are k different ones */
    assert(!r->n_peer && n_peer >= 1 && E % n_peer == 0 && rows <= INT32_MAX);
    struct node n = node_of(OP_dispatch, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = gated ? r->gate : -1, n.in[2] = r->row, n.in[3] = r->start, n.in[4] = r->slot;
    n.attr.n_peer = n_peer, n.attr.n_expert = E, n.attr.top_k = k;
    *there = (struct routed){ .probs = -1, .gate = -1, .row = -1, .slot = -1, .lse = -1, .stats = -1, .n_peer = n_peer, .rows = (int)rows };
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, tensor_at(g, x)->dtype, ROWS_TN(rows, C), err, "%s", name));
    if (gated)
        CHECK_ID(n.out[1] = there->gate = graph_tensor(g, TENSOR_ACT, DT_F32, (struct shape){ 1, { { rows, DIM_T } } }, err, "%s.gate", name));
    CHECK_ID(n.out[2] = there->start = graph_tensor(g, TENSOR_ACT, DT_I32, VEC((int64_t)E * (g->n_slice > 1 ? g->n_slice : 1) + 1), err, "%s.start", name));
    for (int i = 0; i < 2; i++)
        if (n.out[i] >= 0)
            g->tensor[n.out[i]].live = there->start, g->tensor[n.out[i]].live_mean = k;
    return append(g, &n, err);
}

int graph_collect(struct graph *g, int y, const struct routed *r, const struct routed *there, enum dtype compute, const char *name, struct err *err)
{
    CHECK_ID(y);
    assert(tensor_at(g, y)->dtype == DT_F32 && tensor_at(g, y)->live == there->start);
    struct node n = node_of(OP_collect, PASS_FORWARD, NULL);
    n.in[0] = y, n.in[1] = r->start, n.in[2] = there->start;
    n.attr.n_peer = there->n_peer, n.attr.n_expert = (int)tensor_at(g, r->start)->shape[0].n - 1, n.attr.top_k = (int)tensor_at(g, r->slot)->shape[1].n;
    n.attr.compute = compute;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_TN(n.attr.top_k, tensor_cols(tensor_at(g, y))), err, "%s", name));
    return append(g, &n, err);
}

int graph_combine(struct graph *g, int x, const struct routed *r, bool gated, int add, const char *name, struct err *err)
{
    CHECK_ID(x);
    struct node n = node_of(OP_combine, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = r->slot, n.in[2] = r->row, n.in[3] = add, n.in[4] = gated ? r->gate : -1;
    n.attr.top_k = (int)tensor_at(g, r->slot)->shape[1].n;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(tensor_cols(tensor_at(g, x))), err, "%s", name));
    return append(g, &n, err);
}

int graph_add(struct graph *g, int a, int b, const char *name, struct err *err)
{
    CHECK_ID(a);
    CHECK_ID(b);
    assert(tensor_cols(tensor_at(g, a)) == tensor_cols(tensor_at(g, b)));
    struct node n = node_of(OP_add, PASS_FORWARD, NULL);
    n.in[0] = a, n.in[1] = b;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, a), tensor_cols(tensor_at(g, a))), err, "%s", name));
    return append(g, &n, err);
}

int graph_dropout(struct graph *g, int x, int add, double p, uint64_t stream, const char *name, struct err *err)
{
    CHECK_ID(x);
    struct node n = node_of(OP_dropout, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = add, n.attr.p = p, n.attr.stream = stream;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, x), tensor_cols(tensor_at(g, x))), err, "%s", name));
    return append(g, &n, err);
}

int graph_lora(struct graph *g, int y, int first, int h, int h_first, int b, double scale, enum dtype compute, struct err *err)
{
    CHECK_ID(y);
    CHECK_ID(h);
    CHECK_ID(b);
    assert(first >= 0 && first + tensor_at(g, b)->shape[0].n <= tensor_cols(tensor_at(g, y)) && tensor_at(g, b)->rank == 2);
    assert(h_first >= 0 && h_first + tensor_at(g, b)->shape[1].n <= tensor_cols(tensor_at(g, h)) && tensor_at(g, h)->dtype == DT_F32);
    const int packed = packed_weight(g, b, false, compute, err);
    CHECK_ID(packed);
    struct node n = node_of(OP_lora, PASS_FORWARD, &(struct attr){ .first = first, .h_first = h_first, .scale = scale, .compute = compute });
    n.in[0] = n.out[0] = y, n.in[1] = b, n.in[2] = h, n.in[4] = packed;
    return append(g, &n, err);
}

int graph_lora_rows(struct graph *g, int y, int first, int x, int a, int b, double scale, int adapter, struct err *err)
{
    CHECK_ID(y);
    CHECK_ID(x);
    CHECK_ID(a);
    CHECK_ID(b);
    assert(tensor_at(g, a)->panels.n_segment == 1 && tensor_at(g, a)->panels.segment[0].type == PANEL_F32 && tensor_at(g, a)->shape[1].n == tensor_cols(tensor_at(g, x)));
    assert(tensor_at(g, b)->panels.n_segment == 1 && tensor_at(g, b)->panels.segment[0].type == PANEL_F32 && tensor_at(g, b)->shape[1].n == tensor_at(g, a)->shape[0].n);
    assert(first >= 0 && first + tensor_at(g, b)->shape[0].n <= tensor_cols(tensor_at(g, y)) && tensor_at(g, y)->dtype == DT_F32 && adapter > 0);
    struct node n = node_of(OP_lora_rows, PASS_FORWARD, &(struct attr){ .first = first, .scale = scale, .adapter = adapter });
    n.in[0] = n.out[0] = y, n.in[1] = b, n.in[2] = x, n.in[3] = a;
    return append(g, &n, err);
}

int graph_sum_peers(struct graph *g, int x, int bias, struct err *err)
{
    CHECK_ID(x);
    assert(tensor_at(g, x)->dtype == DT_F32 && (bias < 0 || tensor_count(tensor_at(g, bias), 1, 1) == tensor_cols(tensor_at(g, x))));
    struct node n = node_of(OP_sum_peers, PASS_FORWARD, NULL);
    n.in[0] = n.out[0] = x, n.in[1] = bias;
    return append(g, &n, err);
}

int graph_sum_peers_grad(struct graph *g, int x, struct err *err)
{
    CHECK_ID(x);
    struct node n = node_of(OP_sum_peers_grad, PASS_FORWARD, NULL);
    n.in[0] = n.out[0] = x;
    return append(g, &n, err);
}

int graph_join_peers(struct graph *g, int x, int bias, int add, const char *name, struct err *err)
{
    CHECK_ID(x);
    const int64_t C = tensor_cols(tensor_at(g, x));
    assert(tensor_at(g, x)->dtype == DT_F32 && (bias < 0 || tensor_count(tensor_at(g, bias), 1, 1) == C) && (add < 0 || tensor_cols(tensor_at(g, add)) == C));
    struct node n = node_of(OP_join_peers, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = bias, n.in[2] = add;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, x), C), err, "%s", name));
    return append(g, &n, err);
}

int graph_gather_peers(struct graph *g, int x, int64_t V, const char *name, struct err *err)
{
    CHECK_ID(x);
    assert(tensor_at(g, x)->dtype == DT_F32 && tensor_cols(tensor_at(g, x)) <= V);
    struct node n = node_of(OP_gather_peers, PASS_FORWARD, NULL);
    n.in[0] = x;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, shape_like(tensor_at(g, x), V), err, "%s", name));
    return append(g, &n, err);
}

int graph_take_rows(struct graph *g, int x, int index, const char *name, struct err *err)
{
    CHECK_ID(x);
    CHECK_ID(index);
    struct node n = node_of(OP_take_rows, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = index;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, tensor_at(g, x)->dtype, ROWS_S(tensor_cols(tensor_at(g, x))), err, "%s", name));
    return append(g, &n, err);
}

int graph_image_tokens(struct graph *g, int x, int cls, int pos, struct err *err)
{
    CHECK_ID(x);
    CHECK_ID(cls);
    CHECK_ID(pos);
    const int64_t C = tensor_cols(tensor_at(g, x));
    assert(tensor_at(g, x)->shape[0].of == DIM_S && tensor_at(g, pos)->shape[0].n == tensor_at(g, x)->shape[0].n + 1);
    assert(tensor_cols(tensor_at(g, pos)) == C && tensor_count(tensor_at(g, cls), 1, 1) == C);
    struct node n = node_of(OP_image_tokens, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = cls, n.in[2] = pos;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_T(C), err, "stream"));
    return append(g, &n, err);
}

int graph_pool(struct graph *g, int x, enum pool_rows pool, int first, const char *name, struct err *err)
{
    CHECK_ID(x);
    assert(tensor_at(g, x)->dtype == DT_F32 && first >= 0);
    struct node n = node_of(OP_pool, PASS_FORWARD, &(struct attr){ .pool = pool, .first = first });
    n.in[0] = x;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_S(tensor_cols(tensor_at(g, x))), err, "%s", name));
    return append(g, &n, err);
}

int graph_soft_cross_entropy(struct graph *g, int logits, int target, struct err *err)
{
    CHECK_ID(logits);
    CHECK_ID(target);
    assert(tensor_at(g, logits)->shape[0].of == DIM_S && tensor_cols(tensor_at(g, logits)) == tensor_cols(tensor_at(g, target)));
    struct node n = node_of(OP_soft_cross_entropy, PASS_FORWARD, NULL);
    n.in[0] = logits, n.in[1] = target;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_OUTPUT, DT_F32, VEC_S, err, "nll"));
    g->loss = n.out[0];
    return append(g, &n, err);
}

int graph_cross_entropy(struct graph *g, int x, int w, int target, double cap, enum dtype compute, struct err *err)
{
    CHECK_ID(x);
    CHECK_ID(w);
    CHECK_ID(target);
    assert(tensor_at(g, w)->rank == 2 && tensor_cols(tensor_at(g, x)) == tensor_at(g, w)->shape[1].n);
    const int packed = packed_weight(g, w, false, compute, err);
    CHECK_ID(packed);
    struct node n = node_of(OP_cross_entropy, PASS_FORWARD, NULL);
    n.in[0] = x, n.in[1] = w, n.in[2] = target, n.in[4] = packed;
    n.attr.compute = compute, n.attr.cap = cap;
    CHECK_ID(n.out[0] = graph_tensor(g, TENSOR_OUTPUT, DT_F32, VEC_T, err, "nll"));
    g->loss = n.out[0];
    return append(g, &n, err);
}
