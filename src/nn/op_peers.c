/* op_peers.c - where the processes that share a layer meet: products of which each has some terms, and what such products begin with.
 *
 *   sum_peers         in: x, bias     out: x, in place; the gradient of x is that of the sum
 *   join_peers        in: x, bias, add   out: add + (the sum + bias)
 *   gather_peers      in: x           out: the columns of all
 *   sum_peers_grad    in: x           out: x itself; its gradient, to which each process came by its own products, is summed */
#include <assert.h>
#include <string.h>
#include "nn/op.h"

#define ROWS 16

static void sum(struct run *r, int id)
{
    const struct peers *p = r->g->peers;
    if (p && p->size > 1)
        r->g->rc = p->sum(p->ctx, op_data(r, id), (size_t)tensor_count(op_tensor(r->g, id), r->step->T, r->step->S), &r->g->failed);
}

struct bias_job { const struct cpu_kernels *k; real *x; const real *bias; int64_t C; };

static void bias_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct bias_job *j = ctx;
    for (real *x = j->x + first * j->C; n--; x += j->C)
        j->k->add((size_t)j->C, x, j->bias, x);
}

static int64_t rows_of(const struct run *r, int id) { return tensor_rows(op_tensor(r->g, id), r->step->T, r->step->S); }

static void sum_forward(struct run *r, const struct node *n)
{
    struct bias_job j = { r->k, op_data(r, n->out[0]), op_data(r, n->in[1]), tensor_cols(op_tensor(r->g, n->out[0])) };
    sum(r, n->out[0]);
    if (j.bias)
        op_for_rows(r, rows_of(r, n->out[0]), ROWS, bias_rows, &j);
}

static void sum_backward(struct run *r, const struct node *n)
{
    assert(n->d_in[0] == n->d_out[0] || n->d_in[0] < 0);
    const int64_t C = tensor_cols(op_tensor(r->g, n->d_out[0]));
    const struct slices s = op_slices(r, n->d_out[0]);
    if (n->d_in[1] >= 0)
        col_sum(r, &s, C, op_data(r, n->d_out[0]), C, op_data(r, n->d_in[1]), op_adds(r, n, 1), r->work);
}

static void sum_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    if (n->pass == PASS_BACKWARD && !n->again && n->d_in[1] >= 0)
        w->work = col_sum_size(g, tensor_rows(op_tensor(g, n->d_out[0]), T, S), tensor_cols(op_tensor(g, n->d_out[0])));
}

const struct op_code op_code_sum_peers = { sum_forward, sum_backward, sum_size };

static void leave(struct run *r, const struct node *n) { (void)r, (void)n; }
static void grad_backward(struct run *r, const struct node *n) { sum(r, n->d_out[0]); }

const struct op_code op_code_sum_peers_grad = { leave, grad_backward, NULL };

/* ---- inference ---- */

static void join(struct run *r, const struct node *n)
{
    const int64_t C = tensor_cols(op_tensor(r->g, n->out[0])), rows = rows_of(r, n->out[0]);
    const real *x = op_data(r, n->in[0]), *add = op_data(r, n->in[2]), *bias = op_data(r, n->in[1]);
    real *y = op_data(r, n->out[0]);
    sum(r, n->in[0]);
    for (int64_t i = 0; i < rows * C; i++) {
        const real v = bias ? x[i] + bias[i % C] : x[i];
        y[i] = add ? add[i] + v : v;
    }
}
const struct op_code op_code_join_peers = { join, NULL, NULL };

static void gather(struct run *r, const struct node *n)
{
    const struct peers *p = r->g->peers;
    const int64_t V = tensor_cols(op_tensor(r->g, n->out[0])), ld = tensor_cols(op_tensor(r->g, n->in[0])), rows = rows_of(r, n->out[0]), size = p ? p->size : 1, rank = p ? p->rank : 0;
    const real *x = op_data(r, n->in[0]);
    real *y = op_data(r, n->out[0]);
    memset(y, 0, (size_t)(rows * V) * sizeof *y);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = V * rank / size; c < V * (rank + 1) / size; c++)
            y[i * V + c] = x[i * ld + c - V * rank / size];
    sum(r, n->out[0]);
}
const struct op_code op_code_gather_peers = { gather, NULL, NULL };
