/* op_act.c - gelu, gelu_tanh and swiglu, row by row, with an optional factor per row (the gate of an expert's row). */
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

static void forward(struct run *r, const struct node *n)
{
    const struct cpu_kernels *k = r->k;
    const struct tensor *h = op_tensor(r->g, n->in[0]), *y = op_tensor(r->g, n->out[0]);
    struct job j = { .kernel = n->op == OP_gelu ? k->gelu_fwd : n->op == OP_gelu_tanh ? k->gelu_tanh_fwd : k->swiglu_fwd,
                     .y_size = (int)dtype_size(y->dtype) };
    j.p = (struct act){ .F = (int)tensor_cols(y), .h = h->data, .ld_h = tensor_cols(h), .scale = op_data(r, n->in[1]), .y = y->data,
                        .ld_y = tensor_cols(y), .y_bf16 = y->dtype == DT_BF16 };
    op_for_rows(r, tensor_rows(h, r->step->T, r->step->S), ROWS, act_rows, &j);
}

static void backward(struct run *r, const struct node *n)
{
    const struct cpu_kernels *k = r->k;
    const struct tensor *h = op_tensor(r->g, n->in[0]), *dy = op_tensor(r->g, n->d_out[0]);
    struct job j = { .kernel = n->op == OP_gelu ? k->gelu_bwd : n->op == OP_gelu_tanh ? k->gelu_tanh_bwd : k->swiglu_bwd };
    j.p = (struct act){ .F = (int)tensor_cols(dy), .h = h->data, .ld_h = tensor_cols(h), .scale = op_data(r, n->in[1]),
                        .dy = dy->data, .ld_dy = tensor_cols(dy), .dh = op_data(r, n->d_in[0]), .ld_dh = tensor_cols(h),
                        .dscale = op_data(r, n->d_in[1]) };
    op_for_rows(r, tensor_rows(h, r->step->T, r->step->S), ROWS, act_rows, &j);
}

const struct op_code op_code_gelu = { forward, backward, NULL }, op_code_gelu_tanh = { forward, backward, NULL },
                     op_code_swiglu = { forward, backward, NULL };
