/* op_lora_rows.c - adapters in a model that runs: each sequence of a step may have one of its own, beside the product of all rows with the weight.
 *
 *   in: y [T,..], b [N,r], x [T,K], a [r,K]        out: y
 *   the rows of sequences with adapter attr.adapter, one after the other: h = scale * x * a^T, d = h * b^T, y += d
 *
 * A row's sums are its own, whoever else has the adapter and whatever the others have.  Nothing is done when nobody has it. */
#include <string.h>
#include "nn/op.h"

struct layout { int32_t *row; real *x, *h, *d; size_t size; };

static struct layout layout(const struct graph *g, const struct node *n, int64_t M, char *base)
{
    const struct tensor *b = op_tensor(g, n->in[1]), *a = op_tensor(g, n->in[3]);
    const size_t m = (size_t)M;
    struct layout l = { 0 };
    l.row = work_take(base, &l.size, m * sizeof *l.row);
    l.x = work_take(base, &l.size, m * (size_t)a->shape[1].n * sizeof(real));
    l.h = work_take(base, &l.size, m * (size_t)a->shape[0].n * sizeof(real));
    l.d = work_take(base, &l.size, m * (size_t)b->shape[0].n * sizeof(real));
    return l;
}

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    w->work = layout(g, n, tensor_rows(op_tensor(g, n->out[0]), T, S), NULL).size;
}

static int list_rows(const struct step *s, int adapter, int32_t *row)
{
    int n = 0;
    for (int i = 0; s->adapter && i < s->S; i++)
        for (int k = s->seq_start[i]; s->adapter[i] == adapter && k < s->seq_start[i + 1]; k++)
            row[n++] = k;
    return n;
}

struct rows_of { const struct run *r; const struct layout *l; const struct tensor *x; real *y; int64_t ld_y, N; };

/* x as floats, whatever it is. */
static void take(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct rows_of *j = ctx;
    const int64_t K = tensor_cols(j->x);
    for (int i = first; i < first + n; i++) {
        const size_t row = (size_t)j->l->row[i];
        real *to = j->l->x + i * K;
        if (j->x->dtype == DT_A8)
            a8_read((const char *)j->x->data + row * a8_row_bytes(K), 0, (int)K, (void *)to);
        else if (j->x->dtype == DT_BF16)
            j->r->k->from_bf16((size_t)K, (const bf16 *)j->x->data + row * (size_t)K, to);
        else
            memcpy(to, (const real *)j->x->data + row * (size_t)K, (size_t)K * sizeof *to);
    }
}

static void put(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct rows_of *j = ctx;
    for (int i = first; i < first + n; i++) {
        real *y = j->y + j->l->row[i] * j->ld_y;
        j->r->k->add((size_t)j->N, y, j->l->d + i * j->N, y);
    }
}

static void multiply(struct run *r, int M, const real *x, const struct tensor *w, real *c)
{
    const int64_t N = w->shape[0].n, K = w->shape[1].n;
    const struct gemm p = { .M = M, .N = (int)N, .K = (int)K, .a = x, .a_row = K, .a_col = 1, .b = w->data, .b_panel = (ptrdiff_t)(panel_stride(PANEL_F32, K) / sizeof(real)), .c = c, .ldc = N };
    product(r, &p, DT_F32);
}

static void forward(struct run *r, const struct node *n)
{
    const struct tensor *y = op_tensor(r->g, n->out[0]), *a = op_tensor(r->g, n->in[3]), *b = op_tensor(r->g, n->in[1]);
    const struct layout l = layout(r->g, n, tensor_rows(y, r->step->T, r->step->S), r->work);
    const int M = list_rows(r->step, n->attr.adapter, l.row);
    if (!M)
        return;
    struct rows_of j = { r, &l, op_tensor(r->g, n->in[2]), (real *)y->data + n->attr.first, tensor_cols(y), b->shape[0].n };
    op_for_rows(r, M, 16, take, &j);
    multiply(r, M, l.x, a, l.h);
    r->k->scale((size_t)(M * a->shape[0].n), (real)n->attr.scale, l.h);
    multiply(r, M, l.h, b, l.d);
    op_for_rows(r, M, 16, put, &j);
}

const struct op_code op_code_lora_rows = { forward, NULL, size };
