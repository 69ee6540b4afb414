/* backward.c - the backward pass: the recorded list continued in reverse, one adjoint per operation.
 *
 * A tensor's gradient is made by the first node (in backward order) that contributes to it; later contributions add, by the
 * node itself where it can (node.add), else by an `add` node.  Where an input is only passed through (the residual of
 * linear), its gradient *is* the gradient of the output: no copy is made, since the output's gradient has no other reader
 * left once its producer has been differentiated.
 * What backward reads (op_table's save masks) is either kept or, when the recompute rule dropped it, made again by a copy
 * of its forward node placed just before the first need. */
#include <assert.h>
#include <string.h>
#include "base/mem.h"
#include "nn/op.h"

struct backward {
    struct graph *g;
    struct err *err;
    int n_forward;             /* nodes that were there */
    int n_known;               /* tensors that were there */
    bool *needs;               /* [n_known] depends on a weight, or on an input whose gradient is sought */
    bool *dropped;             /* [n_known] not kept for the backward pass */
    int *again;                /* [n_known] the recomputed copy, or -1 */
};

static bool is_weight(const struct graph *g, int id) { return id >= 0 && g->tensor[id].kind == TENSOR_WEIGHT; }
static bool is_act(const struct graph *g, int id) { return id >= 0 && g->tensor[id].kind == TENSOR_ACT; }

/* Which tensors carry a gradient: weights that are learned, inputs where it is sought, and F32 or BF16 activations computed from such. */
static void find_needs(struct backward *b)
{
    const struct graph *g = b->g;
    for (int t = 0; t < b->n_known; t++)
        b->needs[t] = (is_weight(g, t) && !g->sought_only) || g->tensor[t].sought;
    for (int i = 0; i < b->n_forward; i++) {
        const struct node *n = &g->node[i];
        if (n->pass != PASS_FORWARD || op_table[n->op].gradient == OP_GRAD_NO)
            continue;
        bool any = false;
        for (int j = 0; j < NODE_IN; j++)
            any = any || (n->in[j] >= 0 && b->needs[n->in[j]]);
        for (int j = 0; j < NODE_OUT; j++)
            if (n->out[j] >= 0 && g->tensor[n->out[j]].dtype != DT_I32)
                b->needs[n->out[j]] = any;
    }
}

static void find_dropped(struct backward *b, enum recompute rule)
{
    const struct graph *g = b->g;
    for (int i = 0; i < b->n_forward; i++) {
        const struct node *n = &g->node[i];
        if (n->pass != PASS_FORWARD || rule == RECOMPUTE_NONE)
            continue;
        if (rule == RECOMPUTE_CHEAP && op_table[n->op].recompute == OP_AGAIN_CHEAP)
            b->dropped[n->out[0]] = true;
        for (int j = 0; rule == RECOMPUTE_BLOCK && j < NODE_OUT; j++)
            if (is_act(g, n->out[j]) && !g->tensor[n->out[j]].keep)
                b->dropped[n->out[j]] = true;
    }
}

/* The rows of `id` in use are those of t, counted where they still are in the backward pass. */
static void take_live(const struct backward *b, int id, int t)
{
    struct tensor *to = &b->g->tensor[id];
    const int live = b->g->tensor[t].live;
    to->live = live >= 0 && b->again[live] >= 0 ? b->again[live] : live;
    to->live_mean = b->g->tensor[t].live_mean;
}

/* The id to read in place of t in the backward pass: t itself, or its recomputed copy, made on first use. */
static int remake(struct backward *b, int t)
{
    struct graph *g = b->g;
    if (t < 0 || t >= b->n_known || !b->dropped[t])
        return t;
    if (b->again[t] >= 0)
        return b->again[t];
    for (int i = 0; i < b->n_forward; i++) {
        bool writes = false;
        for (int j = 0; j < NODE_OUT; j++)
            writes = writes || g->node[i].out[j] == t;
        if (!writes || g->node[i].pass != PASS_FORWARD)
            continue;
        struct node n = g->node[i];
        n.pass = PASS_BACKWARD, n.again = true;
        for (int j = 0; j < NODE_IN; j++)
            TRY(n.in[j] < 0 ? 0 : (n.in[j] = remake(b, n.in[j])));
        for (int j = 0; j < NODE_OUT; j++) {
            if (n.out[j] < 0)
                continue;
            if (g->tensor[n.out[j]].kind != TENSOR_ACT) {
                n.out[j] = -1;                     /* statistics were taken in the forward pass */
                continue;
            }
            int *copy = &b->again[n.out[j]];
            if (*copy < 0) {
                const struct tensor o = g->tensor[n.out[j]];
                struct shape s = { .rank = o.rank };
                memcpy(s.dim, o.shape, sizeof s.dim);
                TRY(*copy = graph_tensor(g, TENSOR_ACT, o.dtype, s, b->err, "%s.again", o.name));
            }
            n.out[j] = *copy;
        }
        for (int j = 0; j < NODE_OUT; j++)
            if (n.out[j] >= 0)
                take_live(b, n.out[j], g->node[i].out[j]);
        TRY(graph_append(g, &n, b->err));
    }
    assert(b->again[t] >= 0);
    return b->again[t];
}

/* A new tensor for the gradient of t, of t's shape, or so many of them one above the other; t knows it from then on. */
static int new_grad(struct backward *b, int t)
{
    struct graph *g = b->g;
    const struct tensor o = g->tensor[t];
    struct shape s = { .rank = o.rank };
    memcpy(s.dim, o.shape, sizeof s.dim);
    const int apart = g->whole_step ? 0 : o.n_peer;
    if (apart)
        s.dim[0].n *= apart;
    const int id = graph_tensor(g, o.kind == TENSOR_WEIGHT ? TENSOR_GRAD : o.kind == TENSOR_INPUT ? TENSOR_OUTPUT : TENSOR_ACT, DT_F32, s, b->err, "grad.%s", o.name);
    if (id < 0)
        return id;
    take_live(b, id, t);
    g->tensor[id].n_part = o.n_part, g->tensor[id].n_peer = apart;
    return g->tensor[t].grad = id;
}

/* in[j] is added to the output unchanged: its gradient is d_out. */
static int pass_through(struct backward *b, const struct node *n, int j)
{
    struct graph *g = b->g;
    const int t = n->in[j], d_out = g->tensor[n->out[0]].grad;
    if (t < 0 || !b->needs[t])
        return 0;
    if (g->tensor[t].grad < 0) {
        g->tensor[t].grad = d_out;
        return 0;
    }
    struct node add = { .op = OP_add, .pass = PASS_BACKWARD, .again = true };
    for (int i = 0; i < NODE_IN; i++)
        add.in[i] = add.d_in[i] = -1;
    for (int i = 0; i < NODE_OUT; i++)
        add.out[i] = add.d_out[i] = -1;
    add.in[0] = add.out[0] = g->tensor[t].grad, add.in[1] = d_out;
    return graph_append(g, &add, b->err);
}

/* Operations whose backward can add to d_in[0] that is there already. */
static bool can_add(const struct graph *g, const struct node *n, int j)
{
    if (is_weight(g, n->in[j]))
        return true;
    return (j == 0 && (n->op == OP_linear || n->op == OP_expert_linear || n->op == OP_rmsnorm || n->op == OP_layernorm || n->op == OP_dropout || n->op == OP_dispatch)) ||
           (j == 2 && n->op == OP_lora);
}

/* Is input j of n read by its backward?  x of combine is, if there are gates. */
static bool saves_in(const struct node *n, int j)
{
    return (op_table[n->op].save_in >> j & 1) && !(n->op == OP_combine && j == 0 && n->in[4] < 0);
}

/* An embedding whose table is the head's too: the head keeps the rows that it will add to, of each slice, which are in[2]. */
static int keep_rows(struct backward *b, struct node *n)
{
    struct graph *g = b->g;
    for (int i = 0; i < g->n_node && g->n_slice > 1; i++) {
        struct node *head = &g->node[i];
        if (head->op != OP_cross_entropy || head->pass != PASS_BACKWARD || head->d_in[1] != n->d_in[1] || head->out[1] >= 0)
            continue;
        TRY(n->in[2] = graph_tensor(g, TENSOR_ACT, DT_F32, ROWS_TN(g->n_slice, g->tensor[n->in[1]].shape[1].n), b->err, "kept.%s", g->tensor[n->in[1]].name));
        head->out[1] = n->in[2], head->in[3] = n->in[0], head->attr.first = n->attr.first;
    }
    return 0;
}

static int differentiate(struct backward *b, int i)
{
    struct graph *g = b->g;
    struct node n = g->node[i];
    const struct op_info *info = &op_table[n.op];
    bool reached = info->gradient == OP_GRAD_FUSED;
    for (int j = 0; j < NODE_OUT; j++) {
        n.d_out[j] = n.out[j] >= 0 ? g->tensor[n.out[j]].grad : -1;
        reached = reached || n.d_out[j] >= 0;
    }
    if (!reached || info->gradient == OP_GRAD_NO)
        return 0;
    const struct node forward = n;
    n.pass = PASS_BACKWARD;
    for (int j = 0; j < NODE_IN; j++) {            /* what is saved, or made again; the rest is not there any more */
        if (saves_in(&forward, j))
            TRY(n.in[j] < 0 ? 0 : (n.in[j] = remake(b, n.in[j])));
        else if (is_act(g, n.in[j]))
            n.in[j] = -1;
    }
    for (int j = 0; j < NODE_OUT; j++) {
        if (info->save_out >> j & 1)
            TRY(n.out[j] < 0 ? 0 : (n.out[j] = remake(b, n.out[j])));
        else if (is_act(g, n.out[j]) || info->gradient != OP_GRAD_FUSED)
            n.out[j] = -1;
    }
    const int through = n.op == OP_linear || n.op == OP_combine ? 3 : n.op == OP_dropout ? 1 : -1;
    const bool in_place = forward.in[0] >= 0 && forward.in[0] == forward.out[0];
    bool wanted = info->gradient == OP_GRAD_FUSED;
    for (int j = 0; j < NODE_IN; j++) {
        const int t = forward.in[j];
        if (t < 0 || !b->needs[t] || j == through || g->tensor[t].kind == TENSOR_PACKED)
            continue;
        if (n.op == OP_add)
            continue;
        if (in_place && j == 0) {
            n.d_in[0] = n.d_out[0];
            wanted = true;
            continue;
        }
        n.add[j] = g->tensor[t].grad >= 0;
        if (!n.add[j])
            TRY(new_grad(b, t));
        else if (!can_add(g, &forward, j))
            return ERR(b->err, UNSUPPORTED, "the gradient of '%s' has two sources and %s cannot add to it", g->tensor[t].name, info->name);
        n.d_in[j] = g->tensor[t].grad;
        wanted = true;
    }
    if ((n.op == OP_linear || n.op == OP_expert_linear || n.op == OP_cross_entropy) ? n.d_in[0] >= 0 : n.op == OP_lora)
        TRY(n.in[5] = graph_pack_cols(g, forward.in[1], n.attr.compute, b->err));
    if (n.op == OP_add) {                          /* both inputs have the gradient of the sum */
        TRY(pass_through(b, &forward, 0));
        const int t = forward.in[1];
        if (b->needs[t] && g->tensor[t].grad < 0) {
            TRY(new_grad(b, t));
            n.d_in[1] = g->tensor[t].grad;
            return graph_append(g, &n, b->err);    /* a copy, so that the two may be added to apart */
        }
        return pass_through(b, &forward, 1);
    }
    if (n.op == OP_embed && n.add[1])
        TRY(keep_rows(b, &n));
    if (wanted)
        TRY(graph_append(g, &n, b->err));
    return through >= 0 ? pass_through(b, &forward, through) : 0;
}

/* A fused loss is computed by its backward node alone, or in a pass of its own first. */
static void drop_fused(struct graph *g, int n_forward)
{
    for (int i = 0; i < n_forward; i++)
        if (g->node[i].pass == PASS_FORWARD && op_table[g->node[i].op].gradient == OP_GRAD_FUSED && g->loss_first) {
            g->node[i].pass = PASS_LOSS;
        } else if (g->node[i].pass == PASS_FORWARD && op_table[g->node[i].op].gradient == OP_GRAD_FUSED) {
            memmove(&g->node[i], &g->node[i + 1], (size_t)(g->n_node - i - 1) * sizeof *g->node);
            g->n_node--, i--, n_forward--;
        }
}

int graph_backward(struct graph *g, enum recompute rule, struct err *err)
{
    assert(g->loss >= 0 && !g->backward);
    const size_t n = (size_t)g->n_tensor;
    struct backward b = { .g = g, .err = err, .n_forward = g->n_node, .n_known = g->n_tensor };
    b.needs = mem_alloc_array(n, sizeof *b.needs);
    b.dropped = mem_alloc_array(n, sizeof *b.dropped);
    b.again = mem_alloc_array(n, sizeof *b.again);
    int rc = 0;
    if (!b.needs || !b.dropped || !b.again) {
        rc = ERR(err, NOMEM, "no memory to differentiate %d operations", g->n_node);
        goto out;
    }
    memset(b.again, -1, n * sizeof *b.again);
    find_needs(&b);
    find_dropped(&b, rule);
    for (int i = b.n_forward - 1; i >= 0 && rc >= 0; i--)
        if (g->node[i].pass == PASS_FORWARD)
            rc = differentiate(&b, i);
    if (rc >= 0) {
        drop_fused(g, b.n_forward);
        g->backward = true;
        rc = 0;
    }
out:
    mem_free(b.needs);
    mem_free(b.dropped);
    mem_free(b.again);
    return rc;
}

int graph_averages(struct graph *g, struct err *err)
{
    const int n_known = g->n_tensor;
    for (int w = 0; w < n_known; w++) {
        const struct tensor t = g->tensor[w];
        if (t.kind != TENSOR_WEIGHT || t.grad < 0)
            continue;
        struct shape s = { .rank = t.rank };
        memcpy(s.dim, t.shape, sizeof s.dim);
        int average;
        TRY(average = graph_tensor(g, TENSOR_MOMENT, DT_F32, s, err, "average.%s", t.name));
        g->tensor[w].average = average;
    }
    return 0;
}

int graph_update(struct graph *g, enum optimizer optimizer, enum dtype state, struct err *err)
{
    assert(g->backward && (state == DT_F32 || state == DT_BF16));
    const int n_known = g->n_tensor;
    for (int w = 0; w < n_known; w++) {
        const struct tensor t = g->tensor[w];
        if (t.kind != TENSOR_WEIGHT || t.grad < 0)
            continue;
        struct shape s = { .rank = t.rank };
        memcpy(s.dim, t.shape, sizeof s.dim);
        const enum op op = optimizer == OPTIMIZER_SGD ? OP_sgd : optimizer == OPTIMIZER_MUON && t.n_matrix ? OP_muon : OP_adamw;
        int m, v = -1, square;
        TRY(m = graph_tensor(g, TENSOR_MOMENT, state, s, err, "m.%s", t.name));
        if (op == OP_adamw)
            TRY(v = graph_tensor(g, TENSOR_MOMENT, state, s, err, "v.%s", t.name));
        TRY(square = graph_tensor(g, TENSOR_OUTPUT, DT_F64, VEC(op_squares(&t).n * (t.n_peer ? t.n_peer : 1)), err, "square.%s", t.name));
        g->tensor[w].moment[0] = m, g->tensor[w].moment[1] = v;
        struct node n = { .op = OP_sum_squares, .pass = PASS_NORM };
        for (int i = 0; i < NODE_IN; i++)
            n.in[i] = n.d_in[i] = -1;
        for (int i = 0; i < NODE_OUT; i++)
            n.out[i] = n.d_out[i] = -1;
        n.in[0] = t.grad, n.in[1] = w, n.out[0] = square;
        TRY(graph_append(g, &n, err));
        n.op = op, n.pass = PASS_UPDATE;
        n.in[2] = m, n.in[3] = v, n.out[0] = -1;
        TRY(graph_append(g, &n, err));
    }
    return 0;
}
