/* op_dispatch.c - rows of tokens to the processes that have their experts, and what became of them back.
 *
 * Of E experts process p has those from p*n on, n = E / processes.  route has sorted the rows by expert, so those for p are one
 * stretch, rows start[p*n] .. start[(p+1)*n]-1.  What arrives lies by process, then by expert, then (as tokens ascend) by slice of the run:
 * begin[(q*n+e)*slices+v] is the first row from slice v of process q for the e-th expert here.  Nothing is dropped; there is room for all.
 *
 * The bits are those of one process with all experts: a row's product does not depend on the rows beside it, and an expert's
 * gradient is taken for each slice of each process, over the rows, in the order, that it would have had alone. */
#include <string.h>
#include "nn/op.h"

struct dispatch_layout {
    int32_t *count;            /* [E][slices] rows for each expert */
    size_t *out_at, *in_at;    /* [processes + 1] where their bytes begin, of what is sent and of what arrives */
    char *rows;                /* [T*k, C] sorted: x to be sent, or dx that came back */
    bf16 *dy16, *dy16_back;    /* collect: its gradient as it travels */
    size_t size;
};

static struct dispatch_layout dispatch_layout(const struct graph *g, const struct node *n, int64_t T, int64_t room, int64_t C, size_t row_size, char *base)
{
    const size_t P = (size_t)n->attr.n_peer + 1, rows = (size_t)T * (size_t)n->attr.top_k;
    struct dispatch_layout l = { 0 };
    l.count = work_take(base, &l.size, (size_t)(n->attr.n_expert * op_slices_max(g)) * sizeof *l.count);
    l.out_at = work_take(base, &l.size, P * sizeof *l.out_at);
    l.in_at = work_take(base, &l.size, P * sizeof *l.in_at);
    if (n->op == OP_dispatch)
        l.rows = work_take(base, &l.size, rows * row_size);
    if (n->op == OP_collect && n->pass == PASS_BACKWARD && !n->again && n->attr.compute == DT_BF16) {
        l.dy16 = work_take(base, &l.size, (rows * (size_t)C + 1) * sizeof(bf16));
        l.dy16_back = work_take(base, &l.size, ((size_t)room * (size_t)C + 1) * sizeof(bf16));
    }
    return l;
}

/* The tensor that has the rows which arrive, or its gradient: input and output of the two operations change places. */
static const struct tensor *arrived(const struct graph *g, const struct node *n)
{
    const bool back = n->pass == PASS_BACKWARD && !n->again, collects = n->op == OP_collect;
    return op_tensor(g, collects ? (back ? n->d_in[0] : n->in[0]) : back ? n->d_out[0] : n->out[0]);
}

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    const struct tensor *t = arrived(g, n);
    w->work = dispatch_layout(g, n, T, tensor_rows(t, T, S), tensor_cols(t), (size_t)tensor_cols(t) * dtype_size(t->dtype), NULL).size;
}

static struct dispatch_layout layout(const struct run *r, const struct node *n)
{
    const struct tensor *t = arrived(r->g, n);
    return dispatch_layout(r->g, n, r->step->T, tensor_rows(t, r->g->plan.T, r->g->plan.S), tensor_cols(t), (size_t)tensor_cols(t) * dtype_size(t->dtype), r->work);
}

static bool exchange(struct run *r, const void *send, const size_t *send_at, void *recv, const size_t *recv_at)
{
    struct graph *g = r->g;
    if (!g->rc)
        g->rc = g->peers->exchange(g->peers->ctx, send, send_at, recv, recv_at, &g->failed);
    return !g->rc;
}

static int n_slice(const struct run *r) { return r->step->n_slice > 1 ? r->step->n_slice : 1; }

/* Where each process's rows begin, in bytes; each: numbers of an expert in `first`. */
static void set_at(const struct node *n, const int32_t *first, int each, size_t row_bytes, size_t *at)
{
    const int own = n->attr.n_expert / n->attr.n_peer;
    for (int p = 0; p <= n->attr.n_peer; p++)
        at[p] = (size_t)first[p * own * each] * row_bytes;
}

/* Rows to where their experts are, or, back, to where their tokens are. */
static bool send_rows(struct run *r, const struct node *n, const struct dispatch_layout *l, bool back, const int32_t *start, const int32_t *begin, size_t row_bytes, const void *send, void *recv)
{
    set_at(n, start, 1, row_bytes, l->out_at);
    set_at(n, begin, n_slice(r), row_bytes, l->in_at);
    return back ? exchange(r, send, l->in_at, recv, l->out_at) : exchange(r, send, l->out_at, recv, l->in_at);
}

/* Rows of the sorted ones for each expert, of each slice. */
static void count_rows(const struct slices *s, int E, const int32_t *start, const int32_t *row, int32_t *count)
{
    for (int e = 0, i = 0; e < E; e++)
        for (int v = 0; v < s->n; v++, count++)
            for (*count = 0; i < start[e + 1] && row[i] < s->row[v + 1]; i++)
                ++*count;
}

/* How many rows come from where: begin, whose last number, and all after those in use, is the sum. */
static bool send_counts(struct run *r, const struct node *n, const struct dispatch_layout *l, const int32_t *start, int32_t *begin, int64_t room)
{
    const struct slices s = op_slices(r, n->in[4]);
    const int E = n->attr.n_expert, N = E * s.n;
    count_rows(&s, E, start, op_data(r, n->in[2]), l->count);
    for (int p = 0; p <= n->attr.n_peer; p++)
        l->out_at[p] = (size_t)(p * (N / n->attr.n_peer)) * sizeof *begin;
    if (!exchange(r, l->count, l->out_at, begin + 1, l->out_at))
        return false;
    int64_t sum = begin[0] = 0;
    for (int i = 1; i <= N; i++) {
        const int32_t count = begin[i];
        sum += count;
        if (count < 0 || sum > room) {
            r->g->rc = ERR(&r->g->failed, FORMAT, "other processes announce %lld rows and more, expected at most %lld", (long long)sum, (long long)room);
            return false;
        }
        begin[i] = (int32_t)sum;
    }
    for (int i = N + 1; i < op_tensor(r->g, n->out[2])->shape[0].n; i++)
        begin[i] = begin[N];
    return true;
}

/* ---- dispatch: in: x, gate, row, start, slot       out: x of the rows that arrive, their gates, begin ---- */

struct copy_job { const char *x; char *rows; const int32_t *row; size_t bytes; };

static void copy_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct copy_job *j = ctx;
    for (int i = first; i < first + n; i++)
        memcpy(j->rows + (size_t)i * j->bytes, j->x + (size_t)j->row[i] * j->bytes, j->bytes);
}

static void dispatch_forward(struct run *r, const struct node *n)
{
    const struct tensor *out = op_tensor(r->g, n->out[0]);
    const struct dispatch_layout l = layout(r, n);
    const int32_t *start = op_data(r, n->in[3]);
    int32_t *begin = op_data(r, n->out[2]);
    const size_t bytes = (size_t)tensor_cols(out) * dtype_size(out->dtype);
    if (!send_counts(r, n, &l, start, begin, tensor_rows(out, r->g->plan.T, r->g->plan.S)))
        return;
    struct copy_job j = { op_data(r, n->in[0]), l.rows, op_data(r, n->in[2]), bytes };
    op_for_rows(r, start[n->attr.n_expert], 64, copy_rows, &j);
    if (send_rows(r, n, &l, false, start, begin, bytes, l.rows, out->data) && n->in[1] >= 0)
        send_rows(r, n, &l, false, start, begin, sizeof(real), op_data(r, n->in[1]), op_data(r, n->out[1]));
}

static void dispatch_backward(struct run *r, const struct node *n)
{
    const struct dispatch_layout l = layout(r, n);
    const int32_t *start = op_data(r, n->in[3]), *begin = op_data(r, n->out[2]);
    const int64_t C = tensor_cols(op_tensor(r->g, n->d_out[0]));
    if (n->d_in[0] >= 0) {
        real *dx = op_data(r, n->d_in[0]);
        if (!send_rows(r, n, &l, true, start, begin, (size_t)C * sizeof(real), op_data(r, n->d_out[0]), l.rows))
            return;
        op_sum_rows(r, &(struct sum_rows){ .k = n->attr.top_k, .C = (int)C, .src = (const real *)(const void *)l.rows, .ld_src = C, .index = op_data(r, n->in[4]),
                                           .add = n->add[0] ? dx : NULL, .ld_add = C, .y = dx, .ld_y = C });
    }
    if (n->d_in[1] >= 0)
        send_rows(r, n, &l, true, start, begin, sizeof(real), op_data(r, n->d_out[1]), op_data(r, n->d_in[1]));
}

const struct op_code op_code_dispatch = { dispatch_forward, dispatch_backward, size };

/* ---- collect: in: y, start, begin       out: y of this process's rows ---- */

static void collect_forward(struct run *r, const struct node *n)
{
    const struct dispatch_layout l = layout(r, n);
    const size_t bytes = (size_t)tensor_cols(op_tensor(r->g, n->out[0])) * sizeof(real);
    send_rows(r, n, &l, true, op_data(r, n->in[1]), op_data(r, n->in[2]), bytes, op_data(r, n->in[0]), op_data(r, n->out[0]));
}

/* The product that made y takes its gradient in bf16: it may travel so. */
static void collect_backward(struct run *r, const struct node *n)
{
    const struct dispatch_layout l = layout(r, n);
    const int32_t *start = op_data(r, n->in[1]), *begin = op_data(r, n->in[2]);
    const size_t C = (size_t)tensor_cols(op_tensor(r->g, n->d_in[0])), E = (size_t)n->attr.n_expert;
    if (!l.dy16) {
        send_rows(r, n, &l, false, start, begin, C * sizeof(real), op_data(r, n->d_out[0]), op_data(r, n->d_in[0]));
        return;
    }
    product_to_bf16(r, (size_t)start[E] * C, op_data(r, n->d_out[0]), l.dy16);
    if (send_rows(r, n, &l, false, start, begin, C * sizeof(bf16), l.dy16, l.dy16_back))
        product_from_bf16(r, (size_t)op_rows(r, n->d_in[0]) * C, l.dy16_back, op_data(r, n->d_in[0]));
}

const struct op_code op_code_collect = { collect_forward, collect_backward, size };
