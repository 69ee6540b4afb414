/* op_linear.c - out[T,N] = add + bias + x[T,K] * w[N,K]^T and its three gradients.
 *
 *   in: x, w, bias, add, panels of w over rows, panels over columns        out: y
 *   dx = dy * w        w's columns in panels, dy row by row
 *   dw = dy^T * x      x's columns in panels (made here), dy read by columns: one chain over the tokens per element
 *   dbias = column sums of dy */
#include "nn/op.h"

struct layout {                /* working memory; NULL where not needed */
    real *x32; bf16 *x16;      /* x in the type of the product */
    void *x_panels;            /* for dw */
    void *w_panels;            /* of a weight in a file, for the one product that reads it */
    bf16 *dy16, *dy_pairs;     /* bf16: dy by rows for dx, in pairs for dw */
    char *bias;
    size_t size;
};

static struct layout layout(const struct graph *g, const struct node *n, int64_t M, char *base)
{
    const struct tensor *w = op_tensor(g, n->in[1]);
    const size_t N = (size_t)w->shape[0].n, K = (size_t)w->shape[1].n, m = (size_t)M;
    const bool b16 = n->attr.compute == DT_BF16, bwd = n->pass == PASS_BACKWARD && !n->again;
    struct layout l = { 0 };
    const bool x16 = n->in[0] >= 0 ? op_is(g, n->in[0], DT_BF16) : b16;
    if (!bwd && x16 != b16) {
        if (b16)
            l.x16 = work_take(base, &l.size, m * K * sizeof(bf16) + sizeof(bf16));
        else
            l.x32 = work_take(base, &l.size, m * K * sizeof(real));
    }
    if (bwd && n->d_in[1] >= 0) {
        const size_t even = (size_t)op_even_rows(g, M);
        l.x_panels = work_take(base, &l.size, cpu_panel_size(even, K) * (b16 ? sizeof(bf16) : sizeof(real)));
        if (b16)
            l.dy_pairs = work_take(base, &l.size, (even + 1) / 2 * 2 * N * sizeof(bf16));
    }
    if (bwd && b16 && n->d_in[0] >= 0)
        l.dy16 = work_take(base, &l.size, m * N * sizeof(bf16) + sizeof(bf16));
    if (!bwd || n->d_in[0] >= 0)
        l.w_panels = work_take(base, &l.size, op_panels_room(g, n, bwd));
    if (bwd && n->d_in[2] >= 0)
        l.bias = work_take(base, &l.size, col_sum_size(g, M, (int64_t)N));
    return l;
}

/* A head that was given floats: rounding of its input is seen in the logits undamped (doc/kernels.md). */
static bool fine(const struct graph *g, const struct node *n) { return n->pass == PASS_HEAD && op_is(g, n->in[0], DT_F32) && n->in[2] < 0 && n->in[3] < 0; }

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    const int id = n->out[0] >= 0 ? n->out[0] : n->d_out[0];
    const struct tensor *weight = op_tensor(g, n->in[1]);
    if (weight->panels.n_segment) {
        const int64_t rows = tensor_rows(op_tensor(g, id), T, S);
        w->work = product_panels_size(weight, rows, rows, op_tensor(g, n->in[0])->dtype, false, fine(g, n));
        return;
    }
    w->work = layout(g, n, tensor_rows(op_tensor(g, id), T, S), NULL).size;
    w->scratch = op_panels_scratch(g, n);
    if (n->d_in[1] >= 0 && op_tree_scratch(g) > w->scratch)
        w->scratch = op_tree_scratch(g);
}

static void forward_panels(struct run *r, const struct node *n)
{
    const int64_t rows = tensor_rows(op_tensor(r->g, n->out[0]), r->step->T, r->step->S);
    const int32_t start[2] = { 0, (int32_t)rows };
    const struct panels_product p = { .w = op_tensor(r->g, n->in[1]), .n_group = 1, .start = start, .x = op_data(r, n->in[0]),
                                      .x_type = op_tensor(r->g, n->in[0])->dtype, .x_rows = rows, .bias = op_data(r, n->in[2]),
                                      .add = op_data(r, n->in[3]), .c = op_data(r, n->out[0]), .fine = fine(r->g, n) };
    product_panels(r, &p, r->work);
}

static void forward(struct run *r, const struct node *n)
{
    struct graph *g = r->g;
    const struct tensor *w = op_tensor(g, n->in[1]);
    if (w->panels.n_segment) {
        forward_panels(r, n);
        return;
    }
    const int64_t M = tensor_rows(op_tensor(g, n->out[0]), r->step->T, r->step->S), N = w->shape[0].n, K = w->shape[1].n;
    const bool b16 = n->attr.compute == DT_BF16;
    const struct layout l = layout(g, n, M, r->work);
    const void *x = op_data(r, n->in[0]);
    if (l.x16)
        product_to_bf16(r, (size_t)(M * K), x, l.x16), x = l.x16;
    if (l.x32)
        product_from_bf16(r, (size_t)(M * K), x, l.x32), x = l.x32;
    const struct gemm p = { .M = (int)M, .N = (int)N, .K = (int)K, .a = x, .a_row = K, .a_col = b16 ? 2 : 1,
                            .b = op_panels(r, n, false, l.w_panels), .b_panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL),
                            .bias = op_data(r, n->in[2]), .add = op_data(r, n->in[3]), .ld_add = N,
                            .c = op_data(r, n->out[0]), .ldc = N };
    product(r, &p, n->attr.compute);
}

static void backward(struct run *r, const struct node *n)
{
    struct graph *g = r->g;
    const struct tensor *w = op_tensor(g, n->in[1]);
    const int64_t M = tensor_rows(op_tensor(g, n->d_out[0]), r->step->T, r->step->S), N = w->shape[0].n, K = w->shape[1].n;
    const bool b16 = n->attr.compute == DT_BF16;
    const struct layout l = layout(g, n, M, r->work);
    const real *dy = op_data(r, n->d_out[0]);
    const struct slices s = op_slices(r, n->d_out[0]);
    if (b16)
        product_dy_bf16(r, &s, N, dy, l.dy16, l.dy_pairs);
    if (n->d_in[0] >= 0) {
        real *dx = op_data(r, n->d_in[0]);
        const struct gemm p = { .M = (int)M, .N = (int)K, .K = (int)N, .a = b16 ? (const void *)l.dy16 : dy, .a_row = N,
                                .a_col = b16 ? 2 : 1, .b = op_panels(r, n, true, l.w_panels), .b_panel = (ptrdiff_t)cpu_panel_size((size_t)N, PANEL),
                                .add = op_adds(r, n, 0) ? dx : NULL, .ld_add = K, .c = dx, .ldc = K };
        product(r, &p, n->attr.compute);
    }
    if (n->d_in[1] >= 0 && !r->step->no_weights) {
        const struct pack px = { .K = (int)M, .N = (int)K, .src = op_data(r, n->in[0]), .ld = K, .src_bf16 = op_is(g, n->in[0], DT_BF16),
                                 .out = l.x_panels, .panel = (ptrdiff_t)cpu_panel_size((size_t)s.even[s.n], PANEL) };
        product_pack_cols(r, &px, &s, n->attr.compute);
        real *dw = op_data(r, n->d_in[1]);
        const struct gemm p = { .M = (int)N, .N = (int)K, .K = (int)M, .a = b16 ? (const void *)l.dy_pairs : dy, .a_row = b16 ? 2 : 1,
                                .a_col = b16 ? 2 * N : N, .b = l.x_panels, .b_panel = px.panel,
                                .add = op_adds(r, n, 1) ? dw : NULL, .ld_add = K, .c = dw, .ldc = K };
        product_slices(r, &p, &s, NULL, n->attr.compute);
    }
    if (n->d_in[2] >= 0)
        col_sum(r, &s, N, dy, N, op_data(r, n->d_in[2]), op_adds(r, n, 2), l.bias);
}

const struct op_code op_code_linear = { forward, backward, size };
