/* exec_moe.c - mixtures of experts on a device: the router, rows by expert, products of few rows at a time with each expert's weights, and sums of a
 * token's rows.  Statistics of routers are not made: they stay 0. */
#include "exec/exec_op.h"


/* ---- route ---- */

static int route_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    if (a->n_expert > GPU_EXPERTS_MAX || (a->group_best && a->n_group > GPU_EXPERT_GROUPS_MAX))
        return EXEC_REFUSE(err, x, g, n, "there are %d experts in %d groups, expected at most %d in %d", a->n_expert, a->n_group, GPU_EXPERTS_MAX, GPU_EXPERT_GROUPS_MAX);
    if ((int64_t)g->plan.T * a->top_k >= 1 << 24)
        return EXEC_REFUSE(err, x, g, n, "%d tokens of a step choose %d experts each, expected less than 16777216 rows", g->plan.T, a->top_k);
    TRY(exec_check_kernel(x, g, n, GPU_moe_route, err));
    TRY(exec_check_kernel(x, g, n, GPU_moe_sort, err));
    return exec_check_f32(x, g, n, n->in[0], err);
}
static size_t route_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)x, (void)g, (void)S;
    return 2 * exec_round((size_t)T * (size_t)n->attr.top_k * 4);
}
static int route(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    const int n_wave = 256 / gpu_facts(r->x->gpu)->wave, T = r->step->T;
    int32_t *expert = (int32_t *)(void *)r->work;
    float *gate = (float *)(void *)(r->work + exec_round((size_t)T * (size_t)a->top_k * 4));
    const struct moe_route_args route = { .probs = exec_data(r, n->out[0]), .expert = expert, .gate = gate, .logits = exec_data(r, n->in[0]), .correction = exec_data(r, n->in[1]), .T = T,
                                          .E = a->n_expert, .k = a->top_k, .sigmoid = a->sigmoid, .norm_topk = a->norm_topk, .n_group = a->n_group, .n_group_chosen = a->n_group_chosen,
                                          .group_best = a->group_best, .scale = a->scale > 0 ? (float)a->scale : 1 };
    TRY(exec_launch(r, GPU_moe_route, div_up(T, n_wave), 1, 1, &route, err));
    const struct moe_sort_args sort = { .start = exec_data(r, n->out[3]), .row = exec_data(r, n->out[2]), .slot = exec_data(r, n->out[4]), .sorted_gate = exec_data(r, n->out[1]),
                                        .expert = expert, .gate = gate, .T = T, .E = a->n_expert, .k = a->top_k };
    return exec_launch(r, GPU_moe_sort, div_up(a->n_expert, n_wave), 1, 1, &sort, err);
}
const struct exec_op exec_op_route = { route_check, route_work, route, NULL };

/* ---- products of sorted rows with their experts' weights ---- */

/* Kernels for 1 and 4 rows of an expert. */
static const struct expert_kernel { enum cpu_type type; enum gpu_kernel first; bool a8; int block; } kernels[] = {
    { TYPE_F32, GPU_moe_gemv_f32_1, false, 4 },    { TYPE_BF16, GPU_moe_gemv_bf16_1, false, 8 },  { TYPE_Q8_0, GPU_moe_gemv_q8_0_1, true, 32 },
    { TYPE_Q4_0, GPU_moe_gemv_q4_0_1, true, 32 },  { TYPE_Q4_K, GPU_moe_gemv_q4_k_1, true, 256 },
};
static const struct expert_kernel *kernel_of(const struct tensor *w, int s)
{
    const enum cpu_type t = w->panels.n_segment ? w->panels.segment[s].of : TYPE_F32;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (kernels[i].type == t)
            return &kernels[i];
    return NULL;
}
static int n_parts(const struct tensor *w) { return w->panels.n_segment ? w->panels.n_segment : 1; }
/* Sorted rows of a node: of T tokens, and how many of one expert a block takes. */
static int64_t n_sorted(const struct node *n, int64_t T) { return T * n->attr.top_k; }
static int tile_rows(const struct node *n, int64_t T) { return n_sorted(n, T) <= 2 * n->attr.n_expert ? 1 : 4; }

int exec_experts_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const struct tensor *w = &g->tensor[n->in[1]];
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    TRY(exec_check_f32(x, g, n, n->out[0], err));
    if (n->attr.n_peer || w->kind == TENSOR_MAPPED || (!w->panels.n_segment && w->dtype != DT_F32))
        return EXEC_REFUSE(err, x, g, n, "%s is divided, lies in a file, or is %s", w->name, dtype_name(w->dtype));
    for (int s = 0; s < n_parts(w); s++) {
        const struct expert_kernel *k = kernel_of(w, s);
        if (!k)
            return EXEC_REFUSE(err, x, g, n, "%s is %s, for which it has no product of experts; --precision bf16 or fp32 keeps weights in another type", w->name, type_name(w->panels.segment[s].of));
        if (tensor_cols(w) % k->block)
            return EXEC_REFUSE(err, x, g, n, "%s has rows of %lld, for %s expected a multiple of %d", w->name, (long long)tensor_cols(w), type_name(k->type), k->block);
        TRY(exec_check_kernel(x, g, n, k->first, err));
        if (tile_rows(n, g->plan.T) > 1)
            TRY(exec_check_kernel(x, g, n, (enum gpu_kernel)(k->first + 1), err));
        if (k->a8)
            TRY(exec_check_kernel(x, g, n, GPU_quantize_a8, err));
    }
    return exec_check_kernel(x, g, n, GPU_moe_tiles, err);
}
/* The tiles. */
size_t exec_experts_work(const struct node *n, int T) { return exec_round((size_t)n_sorted(n, T) * 16); }

/* y[rows][N] of the node's x and w; with gate: SwiGLU of it, where exec_experts_fuses(). */
bool exec_experts_fuses(const struct graph *g, const struct node *n) { return n->attr.act == OP_swiglu && n_parts(&g->tensor[n->in[1]]) == 1; }
int exec_experts(struct exec_run *r, const struct node *n, bool act, const float *gate, const float *bias, float *y, char *work, struct err *err)
{
    const struct tensor *w = &r->g->tensor[n->in[1]];
    const int64_t T = r->step->T, N = w->shape[1].n, K = w->shape[2].n, n_wave = 256 / gpu_facts(r->x->gpu)->wave, n_x = n->attr.gather ? T : n_sorted(n, T);
    const int size = tile_rows(n, T), E = n->attr.n_expert, n_tile = (int)GPU_MOE_TILES(n_sorted(n, T), E, size);
    const float *x = exec_data(r, n->in[0]);
    const int32_t *start = exec_data(r, n->in[3]);                 /* of several devices each takes its own experts' rows */
    const struct moe_tiles_args tiles = { .tile = (int32_t *)(void *)work, .start = start + (w->n_part ? r->x->rank * E : 0), .E = E, .size = size, .n_tile = n_tile };
    TRY(exec_launch(r, GPU_moe_tiles, 1, 1, 1, &tiles, err));
    struct exec_a8 x8 = { NULL, NULL };
    if (exec_a8_bytes(r->g, n, r->step->T, r->step->S))
        TRY(exec_a8(r, n->in[0], n_x, K, &x8, err));
    for (int s = 0; s < n_parts(w); s++) {
        const struct expert_kernel *k = kernel_of(w, s);
        const struct panel_segment *q = w->panels.n_segment ? &w->panels.segment[s] : NULL;
        const int64_t row = q ? q->row : 0, n_row = q ? q->n_row : N;
        struct moe_product_args a = { .y = y + row, .x = x, .w = exec_data(r, n->in[1]), .bias = bias ? bias + row : NULL, .gate = gate, .tile = tiles.tile,
                                      .row = n->attr.gather ? exec_data(r, n->in[2]) : NULL, .ld_y = act ? N / 2 : N, .ld_x = K, .ld_bias = N, .N = (int)n_row, .K = (int)K, .act = act };
        if (q)
            a.w = r->x->arena + r->x->weight[n->in[1]].segment[s].w, a.scale = (const u16 *)(const void *)(r->x->arena + r->x->weight[n->in[1]].segment[s].scale);
        if (k->a8)
            a.xq = x8.q, a.xds = x8.ds;
        TRY(exec_launch(r, (enum gpu_kernel)(k->first + (size > 1)), div_up(n_row, n_wave * GPU_GEMV_ROWS(size)), n_tile, 1, &a, err));
    }
    return 0;
}

static size_t expert_linear_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S) { return (void)x, (void)g, (void)S, exec_experts_work(n, T); }
static int expert_linear(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct tensor *y = &r->g->tensor[n->out[0]];
    if (r->g->tensor[n->in[1]].n_part)                             /* rows of others' experts: nothing */
        TRY(gpu_fill(r->x->gpu, r->x->stream, exec_data(r, n->out[0]), 0, tensor_bytes(y, r->step->T, r->step->S), err));
    return exec_experts(r, n, false, NULL, exec_data(r, n->in[7]), exec_data(r, n->out[0]), r->work, err);
}
const struct exec_op exec_op_expert_linear = { exec_experts_check, expert_linear_work, expert_linear, NULL };

/* ---- combine ---- */

static int combine_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&g->tensor[n->out[0]]);
    if (C % 4)
        return EXEC_REFUSE(err, x, g, n, "it has %lld columns, expected a multiple of 4", (long long)C);
    TRY(exec_check_kernel(x, g, n, GPU_moe_combine, err));
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    return exec_check_f32(x, g, n, n->in[3], err);
}
static int combine(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&r->g->tensor[n->out[0]]), T = r->step->T;
    const struct moe_combine_args a = { .y = exec_data(r, n->out[0]), .x = exec_data(r, n->in[0]), .add = exec_data(r, n->in[3]), .gate = exec_data(r, n->in[4]), .slot = exec_data(r, n->in[1]),
                                        .ld_y = C, .ld_x = C, .ld_add = C, .T = (int)T, .k = n->attr.top_k, .C = (int)C };
    return exec_launch(r, GPU_moe_combine, div_up(T * C / 4, 256), 1, 1, &a, err);
}
const struct exec_op exec_op_combine = { combine_check, NULL, combine, NULL };
