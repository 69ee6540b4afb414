/* cost.c - the price of a graph: the rows of ops.def over the sizes of each node. */
#include <math.h>
#include "cpu/kernels.h"
#include "nn/op.h"

#define OP(name, grad, again, save_in, save_out, f, fb, b, bb, formula)                                                        \
    static double flops_##name(const struct cost_vars *v) { const double M = v->M, N = v->N, K = v->K, P = v->P, R = v->R,     \
        L = v->L, E = v->E, G = v->G; (void)M, (void)N, (void)K, (void)P, (void)R, (void)L, (void)E, (void)G; return f; }      \
    static double flops_bwd_##name(const struct cost_vars *v) { const double M = v->M, N = v->N, K = v->K, P = v->P, R = v->R, \
        L = v->L, E = v->E; (void)M, (void)N, (void)K, (void)P, (void)R, (void)L, (void)E; return fb; }                        \
    static double bytes_##name(const struct cost_vars *v) { const double M = v->M, N = v->N, K = v->K, P = v->P, R = v->R,     \
        L = v->L, E = v->E; (void)M, (void)N, (void)K, (void)P, (void)R, (void)L, (void)E; return b; }                         \
    static double bytes_bwd_##name(const struct cost_vars *v) { const double M = v->M, N = v->N, K = v->K, P = v->P, R = v->R, \
        L = v->L, E = v->E; (void)M, (void)N, (void)K, (void)P, (void)R, (void)L, (void)E; return bb; }
#include "nn/ops.def"
#undef OP

const struct op_info op_table[N_OP] = {
#define OP(name, grad, again, save_in, save_out, f, fb, b, bb, formula) \
    { #name, formula, OP_GRAD_##grad, OP_AGAIN_##again, save_in, save_out, flops_##name, flops_bwd_##name, bytes_##name, bytes_bwd_##name },
#include "nn/ops.def"
#undef OP
};

#define UNPACK_FLOPS 8         /* of an element of a file's row that becomes one of a panel */

static double dim_real(struct dim d, double T, double S) { return (double)d.n * (d.of == DIM_T ? T : d.of == DIM_S ? S : 1); }

static double count_real(const struct tensor *t, double T, double S)
{
    double n = 1;
    if (t->live >= 0)                     /* rows of all processes: as many as this one's */
        return t->live_mean * T * (double)tensor_cols(t);
    for (int i = 0; i < t->rank; i++)
        n *= dim_real(t->shape[i], T, S);
    return n;
}

/* The first of a node's tensors that is there: forward tensors, or their gradients of the same shape. */
static const struct tensor *operand(const struct graph *g, int id, int d_id)
{
    return id >= 0 ? &g->tensor[id] : d_id >= 0 ? &g->tensor[d_id] : NULL;
}

static struct cost_vars cost_vars(const struct graph *g, const struct node *n, double T, double S, double L)
{
    const struct tensor *out = operand(g, n->out[0], n->d_out[0]), *in = operand(g, n->in[0], n->d_in[0]),
                        *w = operand(g, n->in[1], n->d_in[1]);
    struct cost_vars v = { .L = L, .E = 4, .G = w && w->rank == 3 ? (double)w->shape[0].n : 1 };
    if (out)
        v.N = (double)tensor_cols(out), v.M = v.N > 0 ? count_real(out, T, S) / v.N : 0, v.E = out->dtype == DT_BF16 ? 2 : out->dtype == DT_A8 ? 1.5 : 4;
    if (in)
        v.K = (double)tensor_cols(in), v.R = v.K > 0 ? count_real(in, T, S) / v.K : 0;
    if (w)
        v.P = count_real(w, T, S);
    if (w && n->op == OP_lora)           /* its columns of y, and the rank */
        v.N = count_real(w, T, S) / (double)tensor_cols(w), v.K = (double)tensor_cols(w);
    if (n->op == OP_lora_rows)           /* the rank, and the columns of x */
        v.N = (double)w->shape[0].n, v.K = (double)tensor_cols(w), v.R = (double)tensor_cols(&g->tensor[n->in[2]]);
    if ((n->op == OP_attention || n->op == OP_attention_paged) && n->attr.d_v)      /* q k^T is as wide as keys, the rest as values */
        v.N = n->attr.n_head * (n->attr.d_head + n->attr.d_v) / 2.0;
    if (n->op == OP_add && n->pass == PASS_BACKWARD && !n->again)
        v.M = 0;
    return v;
}

struct cost node_cost(const struct graph *g, const struct node *n, double T, double S, double L, const struct op_info *table)
{
    const struct op_info *info = &(table ? table : op_table)[n->op];
    const struct cost_vars v = cost_vars(g, n, T, S, L);
    const bool bwd = n->pass == PASS_BACKWARD && !n->again;
    struct cost c = { (bwd ? info->flops_bwd : info->flops)(&v), (bwd ? info->bytes_bwd : info->bytes)(&v) };
    const bool linear = n->op == OP_linear || n->op == OP_expert_linear, head = n->op == OP_cross_entropy;
    if (bwd && (linear || head) && n->d_in[1] < 0)       /* of a frozen weight */
        c.flops -= linear ? info->flops(&v) : 2 * v.M * v.P, c.bytes -= 2 * v.P * 4;
    if (bwd && linear && n->d_in[0] < 0)
        c.flops -= info->flops(&v), c.bytes -= v.P * 4;
    for (int i = 2; i < 4 && n->pass == PASS_UPDATE; i++)        /* moments are read and written */
        if (op_is(g, n->in[i], DT_BF16))
            c.bytes -= 2 * v.P * 2;
    return c;
}

bool op_is_product(enum op op)
{
    return op == OP_linear || op == OP_expert_linear || op == OP_linear_act || op == OP_lora || op == OP_lora_rows || op == OP_cross_entropy || op == OP_attention || op == OP_attention_paged;
}

/* Experts that T tokens choose, each top_k of E evenly. */
static double experts_used(const struct node *n, double T)
{
    const double E = n->attr.n_expert;
    return E * (1 - pow(1 - n->attr.top_k / E, T));
}

/* Is it a product with a weight in panels of a file's types? */
static bool reads_panels(const struct graph *g, const struct node *n)
{
    return (n->op == OP_linear || n->op == OP_expert_linear || n->op == OP_linear_act) && g->tensor[n->in[1]].panels.n_segment;
}

static double node_weight_bytes(const struct graph *g, const struct node *n, double T)
{
    const struct panels *p = &g->tensor[n->in[1]].panels;
    return (double)p->expert_bytes * (g->tensor[n->in[1]].rank == 3 ? experts_used(n, T) : 1);
}

double graph_weight_bytes(const struct graph *g, unsigned passes, double T)
{
    double sum = 0;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        if ((passes >> n->pass & 1) && reads_panels(g, n))
            sum += node_weight_bytes(g, n, T);
    }
    return sum;
}

double graph_cache_bytes(const struct graph *g)
{
    double sum = 0;
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (t->kind == TENSOR_CACHE)
            sum += (double)t->bytes / (double)(t->shape[1].n * KV_TOKENS);
    }
    return sum;
}

/* Shares of a product's operations by the type of its panels. */
static void add_panels(struct cost_sum *sum, const struct panels *p, double flops)
{
    int64_t rows = 0;
    for (int i = 0; i < p->n_segment; i++)
        rows += p->segment[i].n_row;
    for (int i = 0; i < p->n_segment; i++) {
        const enum panel_type t = p->segment[i].type;
        *(PANEL_IS_A8(t) ? &sum->flops_int8 : t == PANEL_BF16 ? &sum->flops_bf16 : &sum->flops_f32) += flops * (double)p->segment[i].n_row / (double)rows;
    }
}

struct cost_sum node_cost_sum(const struct graph *g, const struct node *n, double T, double S, double L, const struct op_info *table)
{
    struct cost_sum sum = { 0 };
    const struct cost c = node_cost(g, n, T, S, L, table);
    sum.bytes = c.bytes;
    if (op_is_product(n->op) && n->in[1] >= 0 && g->tensor[n->in[1]].row)      /* panels are made of the rows of a file */
        sum.flops_other = UNPACK_FLOPS * count_real(&g->tensor[n->in[1]], T, S) * (n->op == OP_cross_entropy ? 2 : 1);
    if (reads_panels(g, n)) {
        sum.bytes += node_weight_bytes(g, n, T) - count_real(&g->tensor[n->in[1]], T, S) * 4;        /* the table counts floats */
        add_panels(&sum, &g->tensor[n->in[1]].panels, c.flops);
        if (n->op == OP_linear_act) {
            const struct cost_vars v = cost_vars(g, n, T, S, L);
            sum.flops_other = (table ? table : op_table)[n->attr.act].flops(&v);
        }
    } else if (!op_is_product(n->op)) {
        sum.flops_other = c.flops;
    } else if (n->op == OP_attention_paged ? g->tensor[n->in[1]].dtype == DT_BF16 : n->op != OP_attention && n->attr.compute == DT_BF16) {
        sum.flops_bf16 = c.flops;
    } else {
        sum.flops_f32 = c.flops;
    }
    return sum;
}

void cost_add(struct cost_sum *sum, const struct cost_sum *c)
{
    sum->flops_f32 += c->flops_f32, sum->flops_bf16 += c->flops_bf16, sum->flops_int8 += c->flops_int8, sum->flops_other += c->flops_other;
    sum->bytes += c->bytes;
}

struct cost_sum graph_cost(const struct graph *g, unsigned passes, double T, double S, double L, const struct op_info *table)
{
    struct cost_sum sum = { 0 };
    for (int i = 0; i < g->n_node; i++) {
        if (!(passes >> g->node[i].pass & 1))
            continue;
        const struct cost_sum c = node_cost_sum(g, &g->node[i], T, S, L, table);
        cost_add(&sum, &c);
    }
    return sum;
}
