/* op_classify.c - what a classifier has before its first layer and after its last: image_tokens, pool, soft_cross_entropy. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "nn/op.h"

struct classify_job { struct run *r; const struct node *n; };

/* ---- image_tokens: in: x[S*n,C], cls, pos[1+n,C] ---- */

static int64_t tokens_of(const struct graph *g, const struct node *n) { return op_tensor(g, n->in[2])->shape[0].n; }

static void tokens_item(void *ctx, int s, int i_thread)
{
    (void)i_thread;
    const struct classify_job *j = ctx;
    const struct node *n = j->n;
    const int64_t N = tokens_of(j->r->g, n), C = tensor_cols(op_tensor(j->r->g, n->out[0]));
    const real *x = (const real *)op_data(j->r, n->in[0]) + s * (N - 1) * C, *pos = op_data(j->r, n->in[2]);
    real *y = (real *)op_data(j->r, n->out[0]) + s * N * C;
    j->r->k->add((size_t)C, op_data(j->r, n->in[1]), pos, y);
    j->r->k->add((size_t)((N - 1) * C), x, pos + C, y + C);
}

static void tokens_forward(struct run *r, const struct node *n)
{
    assert(r->step->T == r->step->S * tokens_of(r->g, n));
    pool_for(r->pool, r->step->S, tokens_item, &(struct classify_job){ r, n });
}

/* y (+)= sum over sequences of row i of dy. */
static void sum_row(struct run *r, const real *dy, int64_t i, int64_t N, int64_t C, real *y, bool adds)
{
    if (!adds)
        memset(y, 0, (size_t)C * sizeof *y);
    for (int64_t s = 0; s < r->step->S; s++)
        r->k->add((size_t)C, y, dy + (s * N + i) * C, y);
}

static void tokens_row_backward(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct classify_job *j = ctx;
    const struct node *n = j->n;
    const struct tensor *d = op_tensor(j->r->g, n->d_out[0]);
    const int64_t N = tokens_of(j->r->g, n), C = tensor_cols(d);
    const real *dy = d->data;
    if (n->d_in[2] >= 0)
        sum_row(j->r, dy, i, N, C, (real *)op_data(j->r, n->d_in[2]) + i * C, op_adds(j->r, n, 2));
    if (!i && n->d_in[1] >= 0)
        sum_row(j->r, dy, 0, N, C, op_data(j->r, n->d_in[1]), op_adds(j->r, n, 1));
    real *dx = op_data(j->r, n->d_in[0]);
    for (int64_t s = 0; dx && i && s < j->r->step->S; s++)
        memcpy(dx + (s * (N - 1) + i - 1) * C, dy + (s * N + i) * C, (size_t)C * sizeof *dx);
}

static void tokens_backward(struct run *r, const struct node *n)
{
    pool_for(r->pool, (int)tokens_of(r->g, n), tokens_row_backward, &(struct classify_job){ r, n });
}

const struct op_code op_code_image_tokens = { tokens_forward, tokens_backward, NULL };

/* ---- pool: in: x[T,C] ---- */

/* The rows of sequence s that count: first .. first+n-1; a mean over none (all are left out) is over all. */
static int64_t pooled_rows(const struct classify_job *j, int s, int64_t *first)
{
    const int32_t *start = j->r->step->seq_start;
    const int64_t n = start[s + 1] - start[s], skip = j->n->attr.first < n ? j->n->attr.first : 0;
    *first = j->n->attr.pool == POOL_ROWS_LAST ? start[s] + n - 1 : j->n->attr.pool == POOL_ROWS_MEAN ? start[s] + skip : start[s];
    return j->n->attr.pool == POOL_ROWS_MEAN ? n - skip : 1;
}

static void pool_item(void *ctx, int s, int i_thread)
{
    (void)i_thread;
    const struct classify_job *j = ctx;
    const struct cpu_kernels *k = j->r->k;
    const int64_t C = tensor_cols(op_tensor(j->r->g, j->n->out[0]));
    int64_t first;
    const int64_t n = pooled_rows(j, s, &first);
    const real *x = (const real *)op_data(j->r, j->n->in[0]) + first * C;
    real *y = (real *)op_data(j->r, j->n->out[0]) + s * C;
    memcpy(y, x, (size_t)C * sizeof *y);
    for (int64_t i = 1; i < n; i++)
        k->add((size_t)C, y, x + i * C, y);
    if (n > 1)
        k->scale((size_t)C, (real)(1.0 / (double)n), y);
}

static void pool_forward(struct run *r, const struct node *n) { pool_for(r->pool, r->step->S, pool_item, &(struct classify_job){ r, n }); }

static void pool_backward_item(void *ctx, int s, int i_thread)
{
    (void)i_thread;
    const struct classify_job *j = ctx;
    const int32_t *start = j->r->step->seq_start;
    const int64_t C = tensor_cols(op_tensor(j->r->g, j->n->d_out[0]));
    int64_t first;
    const int64_t n = pooled_rows(j, s, &first);
    const real *dy = (const real *)op_data(j->r, j->n->d_out[0]) + s * C;
    real *dx = (real *)op_data(j->r, j->n->d_in[0]), *row = dx + first * C;
    memset(dx + start[s] * C, 0, (size_t)((start[s + 1] - start[s]) * C) * sizeof *dx);
    memcpy(row, dy, (size_t)C * sizeof *row);
    if (n > 1)
        j->r->k->scale((size_t)C, (real)(1.0 / (double)n), row);
    for (int64_t i = 1; i < n; i++)
        memcpy(row + i * C, row, (size_t)C * sizeof *row);
}

static void pool_backward(struct run *r, const struct node *n) { pool_for(r->pool, r->step->S, pool_backward_item, &(struct classify_job){ r, n }); }

const struct op_code op_code_pool = { pool_forward, pool_backward, NULL };

/* ---- soft_cross_entropy: in: logits[S,V], target[S,V].  In double: rows are few ---- */

static void soft_row(void *ctx, int s, int i_thread)
{
    (void)i_thread;
    const struct classify_job *j = ctx;
    const int64_t V = tensor_cols(op_tensor(j->r->g, j->n->in[0]));
    const real *x = (const real *)op_data(j->r, j->n->in[0]) + s * V, *target = (const real *)op_data(j->r, j->n->in[1]) + s * V;
    double max = -INFINITY, sum = 0, weight = 0, nll = 0;
    for (int64_t i = 0; i < V; i++)
        max = (double)x[i] > max || x[i] != x[i] ? (double)x[i] : max;
    for (int64_t i = 0; i < V; i++)
        sum += exp((double)x[i] - max), weight += (double)target[i];
    const double lse = max + log(sum);
    for (int64_t i = 0; i < V; i++)
        nll += target[i] != 0 ? (double)target[i] * (lse - (double)x[i]) : 0;
    ((real *)op_data(j->r, j->n->out[0]))[s] = (real)nll;
    const struct step *step = j->r->step;
    const double scale = step->token_scale ? (double)step->token_scale[step->seq_start[s]] : step->loss_scale;
    real *dx = j->n->d_in[0] < 0 ? NULL : (real *)op_data(j->r, j->n->d_in[0]) + s * V;
    for (int64_t i = 0; dx && i < V; i++)
        dx[i] = weight > 0 ? (real)((exp((double)x[i] - lse) * weight - (double)target[i]) * scale) : 0;
}

static void soft_run(struct run *r, const struct node *n) { pool_for(r->pool, r->step->S, soft_row, &(struct classify_job){ r, n }); }

const struct op_code op_code_soft_cross_entropy = { soft_run, soft_run, NULL };
