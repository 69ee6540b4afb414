/* op_norm.c - rmsnorm and layernorm: row by row forward, also to int8 blocks (A8); backward also sums dw and db over chunks of tokens. */
#include "nn/op.h"

#define ROWS 16
#define FEW_ROWS 4             /* for so few nobody is waked */

struct job { struct norm p; struct run *r; const struct cpu_kernels *k; bool layer, a8; int y_size; real *partial; int C; bool dw, db; };

/* Rows to A8, one at a time by way of scratch. */
static void forward_a8(const struct job *j, struct norm p, int n, char *y, real *row)
{
    const size_t stride = a8_row_bytes(p.C);
    p.y = row, p.n_row = 1;
    for (int i = 0; i < n; i++, p.x += p.ld_x, p.mean = p.mean ? p.mean + 1 : NULL, p.rstd++) {
        (j->layer ? j->k->layernorm_fwd : j->k->rmsnorm_fwd)(&p);
        j->k->quantize_a8(&(struct a8){ .M = 1, .K = p.C, .x = (const void *)row, .ld_x = p.C, .out = y + (size_t)i * stride, .stride = stride });
    }
}

static void forward_rows(void *ctx, int first, int n, int i_thread)
{
    const struct job *j = ctx;
    struct norm p = j->p;
    p.n_row = n;
    p.x += first * p.ld_x;
    p.mean = p.mean ? p.mean + first : NULL;
    p.rstd += first;
    if (j->a8) {
        forward_a8(j, p, n, (char *)p.y + (size_t)first * a8_row_bytes(p.C), (real *)(void *)op_scratch(j->r, i_thread));
        return;
    }
    p.y = (char *)p.y + (size_t)((ptrdiff_t)first * p.ld_y) * (size_t)j->y_size;
    (j->layer ? j->k->layernorm_fwd : j->k->rmsnorm_fwd)(&p);
}

static void forward(struct run *r, const struct node *n)
{
    const struct tensor *x = op_tensor(r->g, n->in[0]), *y = op_tensor(r->g, n->out[0]);
    const int C = (int)tensor_cols(y);              /* of x the first */
    struct job j = { .r = r, .k = r->k, .layer = n->op == OP_layernorm, .a8 = y->dtype == DT_A8, .y_size = (int)dtype_size(y->dtype) };
    j.p = (struct norm){ .C = C, .x = x->data, .ld_x = tensor_cols(x), .w = op_data(r, n->in[1]), .b = op_data(r, n->in[2]), .eps = (real)n->attr.eps,
                         .y = y->data, .ld_y = C, .y_bf16 = y->dtype == DT_BF16, .mean = op_data(r, n->out[1]), .rstd = op_data(r, n->out[2]) };
    const int64_t rows = tensor_rows(x, r->step->T, r->step->S), share = div_up(rows, r->n_thread);
    op_for_rows(r, rows, rows <= FEW_ROWS ? FEW_ROWS : (int)min_i64(ROWS, share), forward_rows, &j);
}

/* One chunk of tokens: partial sums of dw, then of db. */
static void backward_chunk(void *ctx, int i_slice, int first, int n, int i_chunk, int i_thread)
{
    (void)i_slice, (void)i_thread;
    const struct job *j = ctx;
    struct norm p = j->p;
    p.n_row = n;
    p.x += first * p.ld_x, p.dy += first * p.ld_dy, p.dx += first * p.ld_dx;
    p.mean = p.mean ? p.mean + first : NULL;
    p.rstd += first;
    real *at = j->partial + (size_t)i_chunk * (size_t)j->C * 2;
    for (int i = 0; i < 2 * j->C; i++)
        at[i] = 0;
    p.dw = j->dw ? at : NULL;
    p.db = j->db ? at + j->C : NULL;
    (j->layer ? j->k->layernorm_bwd : j->k->rmsnorm_bwd)(&p);
}

static size_t partial_size(const struct graph *g, int64_t rows, int64_t C) { return (size_t)(op_chunks(g, rows) * 2 * C) * sizeof(real); }

static void backward(struct run *r, const struct node *n)
{
    const struct tensor *x = op_tensor(r->g, n->in[0]);
    const int C = (int)tensor_cols(op_tensor(r->g, n->d_out[0]));
    const struct slices s = op_slices(r, n->in[0]);
    struct job j = { .k = r->k, .layer = n->op == OP_layernorm, .C = C, .partial = (real *)(void *)r->work, .dw = n->d_in[1] >= 0,
                     .db = n->d_in[2] >= 0 };
    j.p = (struct norm){ .C = C, .x = x->data, .ld_x = tensor_cols(x), .w = op_data(r, n->in[1]), .eps = (real)n->attr.eps,
                         .mean = op_data(r, n->out[1]), .rstd = op_data(r, n->out[2]), .dy = op_data(r, n->d_out[0]), .ld_dy = C,
                         .dx = op_data(r, n->d_in[0]), .ld_dx = tensor_cols(x), .add_dx = n->add[0] };
    op_for_slices(r, &s, CHUNK, backward_chunk, &j);
    for (int i = 0; i < 2; i++)
        if (n->d_in[1 + i] >= 0)
            op_sum_chunks(r, &s, C, j.partial + i * C, 2 * C, op_data(r, n->d_in[1 + i]), op_adds(r, n, 1 + i));
}

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    if (n->pass == PASS_BACKWARD && !n->again)
        w->work = partial_size(g, tensor_rows(op_tensor(g, n->in[0]), T, S), tensor_cols(op_tensor(g, n->d_out[0])));
    else if (op_is(g, n->out[0], DT_A8))
        w->scratch = (size_t)tensor_cols(op_tensor(g, n->out[0])) * sizeof(real);
}

const struct op_code op_code_rmsnorm = { forward, backward, size }, op_code_layernorm = { forward, backward, size };
