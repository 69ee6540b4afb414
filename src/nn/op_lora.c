/* op_lora.c - the second half of a low-rank adapter, y[:, first ..] += scale * h * b^T in place, and its gradients.  The first
 * half, h = x * a^T, is a linear.
 *
 *   in: y[T,..], b[N,r], h[T,..], -, panels of b over rows, over columns        out: y
 *   h' = scale * h, in the type of the product
 *   dh = scale * dy * b        db = dy^T * h', one chain over the tokens per element        dy: N columns of y's gradient */
#include <string.h>
#include "nn/op.h"

struct layout {                /* working memory; NULL where not needed */
    real *h32; bf16 *h16;      /* h', [T,r] */
    void *h_panels;            /* for db */
    real *dy;                  /* bf16: the columns of y's gradient, side by side */
    bf16 *dy16, *dy_pairs;
    real *dh;                  /* [T,r] before it goes to its columns */
    size_t size;
};

static struct layout layout(const struct graph *g, const struct node *n, int64_t M, char *base)
{
    const struct tensor *b = op_tensor(g, n->in[1]);
    const size_t N = (size_t)b->shape[0].n, r = (size_t)b->shape[1].n, m = (size_t)M;
    const bool b16 = n->attr.compute == DT_BF16, bwd = n->pass == PASS_BACKWARD && !n->again;
    struct layout l = { 0 };
    l.h32 = work_take(base, &l.size, m * r * sizeof(real));
    if (b16)
        l.h16 = work_take(base, &l.size, m * r * sizeof(bf16) + sizeof(bf16));
    if (!bwd)
        return l;
    const size_t even = (size_t)op_even_rows(g, M);
    l.h_panels = work_take(base, &l.size, cpu_panel_size(even, r) * (b16 ? sizeof(bf16) : sizeof(real)));
    l.dh = work_take(base, &l.size, m * r * sizeof(real));
    if (b16) {
        l.dy = work_take(base, &l.size, m * N * sizeof(real));
        l.dy16 = work_take(base, &l.size, m * N * sizeof(bf16) + sizeof(bf16));
        l.dy_pairs = work_take(base, &l.size, (even + 1) / 2 * 2 * N * sizeof(bf16));
    }
    return l;
}

static int id_of(const struct node *n) { return n->out[0] >= 0 ? n->out[0] : n->d_out[0]; }

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    w->work = layout(g, n, tensor_rows(op_tensor(g, id_of(n)), T, S), NULL).size;
    w->scratch = n->d_in[1] >= 0 ? op_tree_scratch(g) : 0;
}

/* ---- columns of rows ---- */

/* to[i, 0..n) = or += scale * from[i, 0..n) */
struct columns { const real *from; ptrdiff_t ld_from; real *to; ptrdiff_t ld_to; int64_t n; real scale; bool add; };

static void columns_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct columns *c = ctx;
    for (int i = first; i < first + n; i++) {
        const real *from = c->from + i * c->ld_from;
        real *to = c->to + i * c->ld_to;
        for (int64_t k = 0; k < c->n; k++)
            to[k] = (c->add ? to[k] : 0) + c->scale * from[k];
    }
}

static void scaled_h(struct run *r, const struct node *n, const struct layout *l, int64_t M)
{
    const struct tensor *h = op_tensor(r->g, n->in[2]);
    const int64_t rank = op_tensor(r->g, n->in[1])->shape[1].n;
    struct columns c = { (const real *)h->data + n->attr.h_first, tensor_cols(h), l->h32, rank, rank, (real)n->attr.scale, false };
    op_for_rows(r, M, CHUNK, columns_rows, &c);
    if (l->h16)
        product_to_bf16(r, (size_t)(M * rank), l->h32, l->h16);
}

static void forward(struct run *r, const struct node *n)
{
    const struct tensor *y = op_tensor(r->g, n->out[0]), *b = op_tensor(r->g, n->in[1]);
    const int64_t M = tensor_rows(y, r->step->T, r->step->S), ld = tensor_cols(y), N = b->shape[0].n, rank = b->shape[1].n;
    const bool b16 = n->attr.compute == DT_BF16;
    const struct layout l = layout(r->g, n, M, r->work);
    scaled_h(r, n, &l, M);
    real *c = (real *)y->data + n->attr.first;
    const struct gemm p = { .M = (int)M, .N = (int)N, .K = (int)rank, .a = b16 ? (const void *)l.h16 : l.h32, .a_row = rank, .a_col = b16 ? 2 : 1,
                            .b = op_data(r, n->in[4]), .b_panel = (ptrdiff_t)cpu_panel_size((size_t)rank, PANEL), .add = c, .ld_add = ld, .c = c, .ldc = ld };
    product(r, &p, n->attr.compute);
}

static void backward(struct run *r, const struct node *n)
{
    const struct tensor *b = op_tensor(r->g, n->in[1]), *d_out = op_tensor(r->g, n->d_out[0]), *d_h = op_tensor(r->g, n->d_in[2]);
    const int64_t M = tensor_rows(d_out, r->step->T, r->step->S), N = b->shape[0].n, rank = b->shape[1].n;
    const bool b16 = n->attr.compute == DT_BF16;
    const struct layout l = layout(r->g, n, M, r->work);
    const real *dy = (const real *)d_out->data + n->attr.first;
    ptrdiff_t ld = tensor_cols(d_out);
    const struct slices s = op_slices(r, n->d_out[0]);
    if (b16) {
        struct columns c = { dy, ld, l.dy, N, N, 1, false };
        op_for_rows(r, M, CHUNK, columns_rows, &c);
        product_dy_bf16(r, &s, N, l.dy, l.dy16, l.dy_pairs);
    }
    const struct gemm ph = { .M = (int)M, .N = (int)rank, .K = (int)N, .a = b16 ? (const void *)l.dy16 : dy, .a_row = b16 ? N : ld, .a_col = b16 ? 2 : 1,
                             .b = op_data(r, n->in[5]), .b_panel = (ptrdiff_t)cpu_panel_size((size_t)N, PANEL), .c = l.dh, .ldc = rank };
    product(r, &ph, n->attr.compute);
    /* The first adapter of several on one h writes all of its columns, so that those of none are zero. */
    if (!n->add[2])
        memset(d_h->data, 0, (size_t)(M * tensor_cols(d_h)) * sizeof(real));
    struct columns c = { l.dh, rank, (real *)d_h->data + n->attr.h_first, tensor_cols(d_h), rank, (real)n->attr.scale, true };
    op_for_rows(r, M, CHUNK, columns_rows, &c);
    if (r->step->no_weights)
        return;
    scaled_h(r, n, &l, M);
    const struct pack p = { .K = (int)M, .N = (int)rank, .src = b16 ? (const void *)l.h16 : l.h32, .src_bf16 = b16, .ld = rank, .out = l.h_panels,
                            .panel = (ptrdiff_t)cpu_panel_size((size_t)s.even[s.n], PANEL) };
    product_pack_cols(r, &p, &s, n->attr.compute);
    real *db = op_data(r, n->d_in[1]);
    const struct gemm pb = { .M = (int)N, .N = (int)rank, .K = (int)M, .a = b16 ? (const void *)l.dy_pairs : dy, .a_row = b16 ? 2 : 1,
                             .a_col = b16 ? 2 * N : ld, .b = l.h_panels, .b_panel = p.panel, .add = op_adds(r, n, 1) ? db : NULL, .ld_add = rank,
                             .c = db, .ldc = rank };
    product_slices(r, &pb, &s, NULL, n->attr.compute);
}

const struct op_code op_code_lora = { forward, backward, size };
