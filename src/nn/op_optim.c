/* op_optim.c - what happens to weights: packing into panels, sums of squares of gradients, AdamW, SGD (Muon: op_muon.c). */
#include <string.h>
#include "nn/op.h"

/* ---- pack: in[1]: w [N,K] or [E,N,K] ---- */

static void pack_forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]), *out = op_tensor(r->g, n->out[0]);
    const bool cube = w->rank == 3, cols = n->attr.by_cols;
    const int64_t E = cube ? w->shape[0].n : 1, N = w->shape[cube].n, K = w->shape[cube + 1].n;
    const size_t each = cols ? cpu_panel_size((size_t)N, (size_t)K) : cpu_panel_size((size_t)K, (size_t)N);
    for (int64_t e = 0; e < E; e++) {
        /* rows: b[K,N] = w^T for x * w^T; columns: b[N,K] = w for dy * w */
        const struct pack p = { .K = (int)(cols ? N : K), .N = (int)(cols ? K : N), .src = (const real *)w->data + e * N * K, .ld = K,
                                .out = (char *)out->data + (size_t)e * each * dtype_size(out->dtype),
                                .panel = (ptrdiff_t)cpu_panel_size((size_t)(cols ? N : K), PANEL) };
        (cols ? product_pack_cols : product_pack_rows)(r, &p, n->attr.compute);
    }
}

const struct op_code op_code_pack = { pack_forward, NULL, NULL };

/* ---- sum_squares: in: gradient; out: one double per SQUARE_BLOCK elements ---- */

struct square_job { const real *x; double *out; size_t n; const struct cpu_kernels *k; };

static void square_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct square_job *j = ctx;
    const size_t at = (size_t)i * SQUARE_BLOCK;
    j->out[i] = j->k->sum_squares(j->n - at < SQUARE_BLOCK ? j->n - at : SQUARE_BLOCK, j->x + at);
}

static void square_forward(struct run *r, const struct node *n)
{
    const struct tensor *x = op_tensor(r->g, n->in[0]);
    struct square_job j = { x->data, op_data(r, n->out[0]), (size_t)tensor_count(x, 1, 1), r->k };
    pool_for(r->pool, (int)div_up((int64_t)j.n, SQUARE_BLOCK), square_block, &j);
}

const struct op_code op_code_sum_squares = { square_forward, NULL, NULL };

/* ---- adamw: in: gradient, w, m, v ---- */

struct adamw_job { real *w, *m, *v; const real *g; size_t n; struct adamw p; const struct cpu_kernels *k; };

static void adamw_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct adamw_job *j = ctx;
    const size_t at = (size_t)i * SQUARE_BLOCK;
    j->k->adamw(j->n - at < SQUARE_BLOCK ? j->n - at : SQUARE_BLOCK, j->w + at, j->g + at, j->m + at, j->v + at, &j->p);
}

static void adamw_forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    struct adamw_job j = { w->data, op_data(r, n->in[2]), op_data(r, n->in[3]), op_data(r, n->in[0]), (size_t)tensor_count(w, 1, 1),
                           r->step->adamw, r->k };
    if (!w->decay)
        j.p.wd = 0;
    pool_for(r->pool, (int)div_up((int64_t)j.n, SQUARE_BLOCK), adamw_block, &j);
}

const struct op_code op_code_adamw = { adamw_forward, NULL, NULL };

/* ---- sgd: in: gradient, w, m ---- */

struct sgd_job { real *w, *m; const real *g; size_t n; struct momentum p; const struct cpu_kernels *k; };

static void sgd_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct sgd_job *j = ctx;
    const size_t at = (size_t)i * SQUARE_BLOCK;
    j->k->sgd(j->n - at < SQUARE_BLOCK ? j->n - at : SQUARE_BLOCK, j->w + at, j->g + at, j->m + at, &j->p);
}

static void sgd_forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    struct sgd_job j = { w->data, op_data(r, n->in[2]), op_data(r, n->in[0]), (size_t)tensor_count(w, 1, 1), r->step->momentum, r->k };
    if (!w->decay)
        j.p.wd = 0;
    pool_for(r->pool, (int)div_up((int64_t)j.n, SQUARE_BLOCK), sgd_block, &j);
}

const struct op_code op_code_sgd = { sgd_forward, NULL, NULL };
