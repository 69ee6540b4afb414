/* op_muon.c - Muon, github.com/KellerJordan/Muon: a matrix moves by the orthogonal part of its momentum.
 *
 *   m += (1-b)(g - m);  u = g + b(m - g);  X = u / (1.02 |u|);  5 times X = (a I + b A + c A^2) X with A = X X^T, which brings all
 *   singular values near 1 (Polar Express, arXiv:2505.16932);  w = (1 - lr wd) w - lr max(1, rows/columns)^1/2 X
 *
 * A is of the smaller side: of a matrix with more rows than columns it is X^T X, multiplied from the right.  Products are of the type
 * that the weight's own products are (in bf16, as the reference's: X, A and the polynomial are rounded as operands, all sums are fp32),
 * with the kernels' promises, sums are over fixed blocks: the same bits on any number of threads.  Weights that lie one above the
 * other (q, k and v; gate and up) and experts are matrices of their own. */
#include <math.h>
#include <string.h>
#include "nn/op.h"

static const real polar[5][3] = {
    { (real)8.156554524902461, (real)-22.48329292557795, (real)15.878769915207462 },
    { (real)4.042929935166739, (real)-2.808917465908714, (real)0.5000178451051316 },
    { (real)3.8916678022926607, (real)-2.772484153217685, (real)0.5060648178503393 },
    { (real)3.285753657755655, (real)-2.3681294933425376, (real)0.46449024233003106 },
    { (real)2.3465413258596377, (real)-1.7097828382687081, (real)0.42323551169305323 },
};
#define SAFETY (real)1.02      /* keeps singular values below 1 in spite of rounding */
#define TINY (real)1e-6

struct muon_layout { enum dtype type; real *x, *y, *a, *b; void *panels; bf16 *left; double *square; size_t size; };

/* For a matrix of N rows and K columns; left: the left operand of a product in bf16. */
static struct muon_layout muon_layout(enum dtype type, int64_t N, int64_t K, char *base)
{
    const size_t n = (size_t)(N * K), small = (size_t)min_i64(N, K);
    size_t panels = cpu_panel_size((size_t)N, (size_t)K);
    if (cpu_panel_size((size_t)K, (size_t)N) > panels)
        panels = cpu_panel_size((size_t)K, (size_t)N);
    struct muon_layout l = { .type = type };
    l.x = work_take(base, &l.size, n * sizeof(real));
    l.y = work_take(base, &l.size, n * sizeof(real));
    l.a = work_take(base, &l.size, small * small * sizeof(real));
    l.b = work_take(base, &l.size, small * small * sizeof(real));
    l.panels = work_take(base, &l.size, panels * dtype_size(type));
    if (type == DT_BF16)
        l.left = work_take(base, &l.size, (n + small + 1) * sizeof(bf16));      /* pairs: of an even number of rows */
    l.square = work_take(base, &l.size, (size_t)div_up((int64_t)n, SQUARE_BLOCK) * sizeof(double));
    return l;
}

static enum dtype type_of(const struct graph *g, const struct tensor *w) { return w->packed[0] >= 0 && op_is(g, w->packed[0], DT_BF16) ? DT_BF16 : DT_F32; }

static void muon_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    (void)T, (void)S;
    const struct tensor *t = op_tensor(g, n->in[1]);
    for (int i = 0; i < t->n_matrix; i++) {
        const size_t size = muon_layout(type_of(g, t), t->matrix_rows[i], tensor_cols(t), NULL).size;
        w->work = size > w->work ? size : w->work;
    }
}

/* ---- element by element ---- */

/* m_at: the matrix's first element in the momentum. */
struct muon_job { const real *g; real *w; struct op_state m; size_t m_at; const struct muon_layout *l; size_t n; struct momentum p; real factor; const real *coefficient; int side; const struct cpu_kernels *k; };

static size_t block_at(const struct muon_job *j, int i, size_t *n)
{
    const size_t at = (size_t)i * SQUARE_BLOCK;
    *n = j->n - at < SQUARE_BLOCK ? j->n - at : SQUARE_BLOCK;
    return at;
}

static void direction_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct muon_job *j = ctx;
    size_t n;
    const size_t at = block_at(j, i, &n);
    real room[STATE_CHUNK];
    for (size_t from = at, some; from < at + n; from += some) {
        some = op_state_chunk(&j->m, j->m_at + from, j->m_at + at + n);
        real *m = op_state_get(j->k, &j->m, j->m_at + from, some, room);
        j->k->nesterov(some, j->g + from, m, j->l->x + from, &j->p);
        op_state_put(j->k, &j->m, j->m_at + from, some, m);
    }
    j->l->square[i] = j->k->sum_squares(n, j->l->x + at);
}

static void scale_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct muon_job *j = ctx;
    size_t n;
    const size_t at = block_at(j, i, &n);
    j->k->scale(n, j->factor, j->l->x + at);
}

static void descend_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct muon_job *j = ctx;
    size_t n;
    const size_t at = block_at(j, i, &n);
    j->k->descend(n, j->w + at, j->l->x + at, 1 - j->p.lr * j->p.wd, j->factor);
}

/* Rows of b = c0 I + c1 a + c2 b. */
static void polynomial_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct muon_job *j = ctx;
    const real *c = j->coefficient;
    for (int i = first; i < first + n; i++) {
        const real *a = j->l->a + (size_t)i * (size_t)j->side;
        real *b = j->l->b + (size_t)i * (size_t)j->side;
        for (int k = 0; k < j->side; k++)
            b[k] = c[1] * a[k] + c[2] * b[k];
        b[i] += c[0];
    }
}

/* ---- products ---- */

/* c[M,N] = a * panels; by_cols: element (i,k) of a lies at a[k*M + i]. */
static void times_panels(struct run *r, const struct muon_layout *l, int64_t M, int64_t N, int64_t K, const real *a, bool by_cols, real *c)
{
    struct gemm p = { .M = (int)M, .N = (int)N, .K = (int)K, .a = a, .a_row = by_cols ? 1 : K, .a_col = by_cols ? M : 1, .b = l->panels,
                      .b_panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL), .c = c, .ldc = N };
    if (l->type == DT_BF16) {
        const struct slices rows = op_one_slice(by_cols ? K : M);
        product_dy_bf16(r, &rows, by_cols ? M : K, a, by_cols ? NULL : l->left, by_cols ? l->left : NULL);
        p.a = l->left, p.a_row = by_cols ? 2 : K, p.a_col = by_cols ? 2 * M : 2;
    }
    product(r, &p, l->type);
}

/* Panels of x[K,N], or, by_rows, of x[N,K] transposed. */
static void pack(struct run *r, const struct muon_layout *l, int64_t K, int64_t N, const real *x, bool by_rows)
{
    const struct pack p = { .K = (int)K, .N = (int)N, .src = x, .ld = by_rows ? K : N, .out = l->panels, .panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL) };
    if (by_rows)
        product_pack_rows(r, &p, l->type);
    else
        product_pack_cols(r, &p, NULL, l->type);
}

/* One iteration; the result is again l->x. */
static void improve(struct run *r, struct muon_layout *l, int64_t N, int64_t K, const real coefficient[3])
{
    const bool tall = N > K;
    const int64_t s = tall ? K : N, n = tall ? N : K;
    pack(r, l, n, s, l->x, !tall);
    times_panels(r, l, s, s, n, l->x, tall, l->a);
    pack(r, l, s, s, l->a, true);
    times_panels(r, l, s, s, s, l->a, false, l->b);
    struct muon_job j = { .l = l, .coefficient = coefficient, .side = (int)s };
    op_for_rows(r, s, 32, polynomial_rows, &j);
    if (tall) {
        pack(r, l, s, s, l->b, true);
        times_panels(r, l, n, s, s, l->x, false, l->y);
    } else {
        pack(r, l, s, n, l->x, false);
        times_panels(r, l, s, n, s, l->b, false, l->y);
    }
    real *x = l->x;
    l->x = l->y, l->y = x;
}

/* at: of the weight's elements, the matrix's first */
static void matrix(struct run *r, const struct node *n, const struct op_draws *draws, int64_t N, int64_t K, size_t at)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    struct muon_layout l = muon_layout(type_of(r->g, w), N, K, r->work);
    struct muon_job j = { .g = (const real *)op_data(r, n->in[0]) + at, .w = (real *)w->data + at, .m = op_state(r, w, n->in[2], draws), .m_at = at, .l = &l, .n = (size_t)(N * K), .p = r->step->momentum, .k = r->k };
    if (!w->decay)
        j.p.wd = 0;
    const int n_block = (int)div_up(N * K, SQUARE_BLOCK);
    pool_for(r->pool, n_block, direction_block, &j);
    double square = 0;
    for (int i = 0; i < n_block; i++)
        square += l.square[i];
    j.factor = 1 / ((real)sqrt(square) * SAFETY + TINY);
    pool_for(r->pool, n_block, scale_block, &j);
    for (int i = 0; i < 5; i++)
        improve(r, &l, N, K, polar[i]);
    j.factor = j.p.lr * (real)sqrt(N > K ? (double)N / (double)K : 1);
    pool_for(r->pool, n_block, descend_block, &j);
}

/* in: gradient, w, m */
static void forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    const int64_t K = tensor_cols(w), n_expert = w->rank == 3 ? w->shape[0].n : 1;
    size_t at = 0;
    if (!op_owns(r->g, op_tensor(r->g, n->in[0])->offset))      /* matrices are not shared out */
        return;
    struct op_draws draws;
    op_draws(r, w, n->in[2], &draws);
    for (int64_t e = 0; e < n_expert; e++)
        for (int i = 0; i < w->n_matrix; at += (size_t)(w->matrix_rows[i] * K), i++)
            matrix(r, n, &draws, w->matrix_rows[i], K, at);
    op_repack(r, w);
}

const struct op_code op_code_muon = { forward, NULL, muon_size };
