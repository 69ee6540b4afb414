/* op_act.c - activations of an MLP, row by row, with an optional factor per row (the gate of an expert's row); and functions
 * of single elements: sigmoid, tanh, softcap, clip. */
#include <assert.h>
#include <math.h>
#include "nn/op.h"

#define ROWS 16

struct job { struct act p; void (*kernel)(const struct act *); int y_size; };

static void act_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    struct act p = j->p;
    p.n_row = n;
    p.h += first * p.ld_h;
    p.scale = p.scale ? p.scale + first : NULL;
    p.y = p.y ? (char *)p.y + (size_t)((ptrdiff_t)first * p.ld_y) * (size_t)j->y_size : NULL;
    p.dy = p.dy ? p.dy + first * p.ld_dy : NULL;
    p.dh = p.dh ? p.dh + first * p.ld_dh : NULL;
    p.dscale = p.dscale ? p.dscale + first : NULL;
    j->kernel(&p);
}

int op_act_parts(enum op act)
{
    const bool gated = act == OP_swiglu || act == OP_geglu || act == OP_geglu_tanh || act == OP_swiglu_clamped;
    assert(gated || act == OP_gelu || act == OP_gelu_tanh);
    return gated ? 2 : 1;
}

void (*op_act_kernel(const struct cpu_kernels *k, enum op act))(const struct act *)
{
    return act == OP_gelu ? k->gelu_fwd : act == OP_gelu_tanh ? k->gelu_tanh_fwd : act == OP_swiglu ? k->swiglu_fwd :
           act == OP_geglu ? k->geglu_fwd : act == OP_geglu_tanh ? k->geglu_tanh_fwd : k->swiglu_clamped_fwd;
}

static void forward(struct run *r, const struct node *n)
{
    const struct tensor *h = op_tensor(r->g, n->in[0]), *y = op_tensor(r->g, n->out[0]);
    struct job j = { .kernel = op_act_kernel(r->k, n->op), .y_size = (int)dtype_size(y->dtype) };
    j.p = (struct act){ .F = (int)tensor_cols(y), .h = h->data, .ld_h = tensor_cols(h), .scale = op_data(r, n->in[1]), .y = y->data,
                        .ld_y = tensor_cols(y), .y_bf16 = y->dtype == DT_BF16 };
    op_for_rows(r, op_rows(r, n->in[0]), ROWS, act_rows, &j);
}

static void backward(struct run *r, const struct node *n)
{
    const struct cpu_kernels *k = r->k;
    const struct tensor *h = op_tensor(r->g, n->in[0]), *dy = op_tensor(r->g, n->d_out[0]);
    struct job j = { .kernel = n->op == OP_gelu ? k->gelu_bwd : n->op == OP_gelu_tanh ? k->gelu_tanh_bwd : n->op == OP_swiglu ? k->swiglu_bwd :
                               n->op == OP_geglu ? k->geglu_bwd : n->op == OP_geglu_tanh ? k->geglu_tanh_bwd : k->swiglu_clamped_bwd };
    j.p = (struct act){ .F = (int)tensor_cols(dy), .h = h->data, .ld_h = tensor_cols(h), .scale = op_data(r, n->in[1]),
                        .dy = dy->data, .ld_dy = tensor_cols(dy), .dh = op_data(r, n->d_in[0]), .ld_dh = tensor_cols(h),
                        .dscale = op_data(r, n->d_in[1]) };
    op_for_rows(r, op_rows(r, n->in[0]), ROWS, act_rows, &j);
}

const struct op_code op_code_gelu = { forward, backward, NULL }, op_code_gelu_tanh = { forward, backward, NULL },
                     op_code_swiglu = { forward, backward, NULL }, op_code_geglu = { forward, backward, NULL }, op_code_geglu_tanh = { forward, backward, NULL },
                     op_code_swiglu_clamped = { forward, backward, NULL };

/* ---- functions of single elements ---- */

#define BLOCK 4096

struct each_job { enum op op; int64_t n; real cap; const real *x, *y, *dy; real *out; const struct cpu_kernels *k; };

static void each_forward_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct each_job *j = ctx;
    const int64_t first = (int64_t)i * BLOCK, end = first + min_i64(BLOCK, j->n - first);
    if (j->op == OP_softcap)
        j->k->softcap((size_t)(end - first), j->cap, j->x + first, j->out + first, NULL);
    for (int64_t e = first; j->op == OP_sigmoid && e < end; e++)
        j->out[e] = (real)(1 / (1 + exp(-(double)j->x[e])));
    for (int64_t e = first; j->op == OP_tanh && e < end; e++)
        j->out[e] = (real)tanh((double)j->x[e]);
    for (int64_t e = first; j->op == OP_clip && e < end; e++)
        j->out[e] = j->x[e] > j->cap ? j->cap : j->x[e] < -j->cap ? -j->cap : j->x[e];
}

static void each_backward_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct each_job *j = ctx;
    const int64_t first = (int64_t)i * BLOCK, end = first + min_i64(BLOCK, j->n - first);
    for (int64_t e = first; j->op == OP_sigmoid && e < end; e++)
        j->out[e] = j->dy[e] * j->y[e] * (1 - j->y[e]);
    for (int64_t e = first; j->op == OP_tanh && e < end; e++)
        j->out[e] = j->dy[e] * (1 - j->y[e] * j->y[e]);
    for (int64_t e = first; j->op == OP_softcap && e < end; e++)
        j->out[e] = j->dy[e] * (1 - j->y[e] / j->cap * (j->y[e] / j->cap));
    for (int64_t e = first; j->op == OP_clip && e < end; e++)
        j->out[e] = j->x[e] >= -j->cap && j->x[e] <= j->cap ? j->dy[e] : 0;
}

static void each(struct run *r, const struct node *n, int out, void (*block)(void *ctx, int i, int i_thread))
{
    struct each_job j = { .op = n->op, .n = tensor_count(op_tensor(r->g, out), r->step->T, r->step->S), .cap = (real)n->attr.cap, .x = op_data(r, n->in[0]),
                          .y = op_data(r, n->out[0]), .dy = op_data(r, n->d_out[0]), .out = op_data(r, out), .k = r->k };
    pool_for(r->pool, (int)div_up(j.n, BLOCK), block, &j);
}

static void each_forward(struct run *r, const struct node *n) { each(r, n, n->out[0], each_forward_block); }
static void each_backward(struct run *r, const struct node *n) { each(r, n, n->d_in[0], each_backward_block); }

const struct op_code op_code_sigmoid = { each_forward, each_backward, NULL }, op_code_tanh = { each_forward, each_backward, NULL }, op_code_softcap = { each_forward, each_backward, NULL },
                     op_code_clip = { each_forward, each_backward, NULL };
