/* op_product.c - matrix products and packing on all threads.  How a product is cut into pieces changes no bit of it
 * (kernels.h), so pieces are cut to the number of threads. */
#include <stddef.h>
#include "cpu/check.h"
#include "nn/op.h"

struct rows_job { int64_t n_row; int block; rows_fn fn; void *ctx; };

static void rows_item(void *ctx, int i, int i_thread)
{
    const struct rows_job *j = ctx;
    const int64_t first = (int64_t)i * j->block;
    j->fn(j->ctx, (int)first, (int)min_i64(j->block, j->n_row - first), i_thread);
}

void op_for_rows(struct run *r, int64_t n_row, int block, rows_fn fn, void *ctx)
{
    struct rows_job j = { n_row, block, fn, ctx };
    pool_for(r->pool, (int)div_up(n_row, block), rows_item, &j);
}

/* ---- products ---- */

struct product_job { const struct gemm *g; void (*kernel)(const struct gemm *); int rows, panels, n_across; size_t size; };

/* Item: `rows` rows by `panels` panels; the panels of one row block are neighbours. */
static void product_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct product_job *j = ctx;
    struct gemm g = *j->g;
    const int m0 = i / j->n_across * j->rows, p0 = i % j->n_across * j->panels, n0 = p0 * PANEL;
    g.M = (int)min_i64(j->rows, g.M - m0);
    g.N = (int)min_i64(j->panels * PANEL, g.N - n0);
    if (g.rows)
        g.rows += m0;
    else
        g.a = (const char *)g.a + (size_t)((ptrdiff_t)m0 * g.a_row) * j->size;
    g.b = (const char *)g.b + (size_t)((ptrdiff_t)p0 * g.b_panel) * j->size;
    g.bias = g.bias ? g.bias + n0 : NULL;
    g.add = g.add ? g.add + m0 * g.ld_add + n0 : NULL;
    g.c += m0 * g.ldc + n0;
    j->kernel(&g);
}

void product(struct run *r, const struct gemm *g, enum dtype compute)
{
    if (!g->M || !g->N)
        return;
    const int n_panel = (int)div_up(g->N, PANEL);
    int rows = 512, panels = 16;
    while (r->n_thread > 1 && div_up(g->M, rows) * div_up(n_panel, panels) < 8 * r->n_thread && (panels > 2 || rows > 28)) {
        if (panels > 2 && (panels > 4 || rows <= 28))
            panels /= 2;
        else
            rows /= 2;
    }
    struct product_job j = { g, compute == DT_BF16 ? r->k->gemm_bf16 : r->k->gemm, rows, panels, (int)div_up(n_panel, panels),
                             compute == DT_BF16 ? sizeof(bf16) : sizeof(real) };
    pool_for(r->pool, (int)div_up(g->M, rows) * j.n_across, product_item, &j);
}

const struct cpu_kernels *graph_checked_kernels(const struct cpu_kernels *k) { return cpu_check_on(k); }
bool graph_product_was_wrong(void) { return cpu_check_result().n_wrong > 0; }

/* ---- packing ---- */

#define PACK_PANELS 4

struct pack_job { const struct pack *p; const struct slices *s; void (*kernel)(const struct pack *); size_t size; bool by_rows; };

static void pack_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct pack_job *j = ctx;
    struct pack p = *j->p;
    const int n0 = i * PACK_PANELS * PANEL;
    const size_t src_size = p.src_bf16 ? sizeof(bf16) : sizeof(real);
    p.N = (int)min_i64(PACK_PANELS * PANEL, p.N - n0);
    if (!j->by_rows)
        p.src = (const char *)p.src + (size_t)n0 * src_size;
    else if (p.rows)
        p.rows += n0;
    else
        p.src = (const char *)p.src + (size_t)((ptrdiff_t)n0 * p.ld) * src_size;
    p.out = (char *)p.out + (size_t)((ptrdiff_t)i * PACK_PANELS * p.panel) * j->size;
    for (int v = 0; j->s && v < j->s->n; v++) {
        struct pack slice = p;
        slice.K = j->s->row[v + 1] - j->s->row[v];
        slice.src = (const char *)p.src + (size_t)(j->s->row[v] * p.ld) * src_size;
        slice.out = (char *)p.out + (size_t)(j->s->even[v] * PANEL) * j->size;
        if (slice.K)
            j->kernel(&slice);
    }
    if (!j->s)
        j->kernel(&p);
}

static void pack(struct run *r, const struct pack *p, const struct slices *s, void (*kernel)(const struct pack *), size_t size, bool by_rows)
{
    struct pack_job j = { p, s, kernel, size, by_rows };
    pool_for(r->pool, (int)div_up(p->N, PACK_PANELS * PANEL), pack_item, &j);
}

void product_pack_cols(struct run *r, const struct pack *p, const struct slices *s, enum dtype compute)
{
    if (compute == DT_BF16)
        pack(r, p, s, r->k->pack_cols_bf16, sizeof(bf16), false);
    else
        pack(r, p, s, r->k->pack_cols, sizeof(real), false);
}

void product_pack_rows(struct run *r, const struct pack *p, enum dtype compute)
{
    if (compute == DT_BF16)
        pack(r, p, NULL, r->k->pack_rows_bf16, sizeof(bf16), true);
    else
        pack(r, p, NULL, r->k->pack_rows, sizeof(real), true);
}

struct dy_job { const struct slices *s; int64_t N; const real *dy; bf16 *rows, *pairs; const struct cpu_kernels *k; };

static void dy_rows(void *ctx, int i_slice, int first, int n, int i_block, int i_thread)
{
    (void)i_block, (void)i_thread;
    const struct dy_job *j = ctx;
    const size_t at = (size_t)first * (size_t)j->N, even = (size_t)(j->s->even[i_slice] + first - j->s->row[i_slice]);
    if (j->rows)
        j->k->to_bf16((size_t)n * (size_t)j->N, j->dy + at, j->rows + at);
    const struct pack p = { .K = n, .N = (int)j->N, .src = j->rows ? (const void *)(j->rows + at) : j->dy + at, .src_bf16 = j->rows != NULL,
                            .ld = j->N, .out = j->pairs ? j->pairs + even * (size_t)j->N : NULL };
    if (j->pairs)
        j->k->pack_pairs_bf16(&p);
}

void product_dy_bf16(struct run *r, const struct slices *s, int64_t N, const real *dy, bf16 *rows, bf16 *pairs)
{
    struct dy_job j = { s, N, dy, rows, pairs, r->k };
    op_for_slices(r, s, 32, dy_rows, &j);
}

/* ---- types ---- */

#define CVT_BLOCK 16384
struct cvt_job { size_t n; const real *x; bf16 *y; const bf16 *from; real *to; const struct cpu_kernels *k; };

static void cvt_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct cvt_job *j = ctx;
    const size_t at = (size_t)i * CVT_BLOCK, n = j->n - at < CVT_BLOCK ? j->n - at : CVT_BLOCK;
    if (j->x)
        j->k->to_bf16(n, j->x + at, j->y + at);
    else
        j->k->from_bf16(n, j->from + at, j->to + at);
}

void product_to_bf16(struct run *r, size_t n, const real *x, bf16 *y)
{
    struct cvt_job j = { .n = n, .x = x, .y = y, .k = r->k };
    pool_for(r->pool, (int)((n + CVT_BLOCK - 1) / CVT_BLOCK), cvt_item, &j);
}

void product_from_bf16(struct run *r, size_t n, const bf16 *x, real *y)
{
    struct cvt_job j = { .n = n, .from = x, .to = y, .k = r->k };
    pool_for(r->pool, (int)((n + CVT_BLOCK - 1) / CVT_BLOCK), cvt_item, &j);
}

/* ---- sums over tokens: chunks of CHUNK rows, then the chunks in order ---- */

size_t col_sum_size(const struct graph *g, int64_t n_row, int64_t C) { return (size_t)(op_chunks(g, n_row) * C) * sizeof(real); }

struct col_sum_job { int64_t C; const real *x; ptrdiff_t ld; real *partial; const struct cpu_kernels *k; };

static void col_sum_rows(void *ctx, int i_slice, int first, int n, int i_chunk, int i_thread)
{
    (void)i_slice, (void)i_thread;
    const struct col_sum_job *j = ctx;
    real *y = j->partial + i_chunk * j->C;
    for (int64_t c = 0; c < j->C; c++)
        y[c] = 0;
    j->k->col_sum(n, (int)j->C, j->x + first * j->ld, j->ld, y);
}

void col_sum(struct run *r, const struct slices *s, int64_t C, const real *x, ptrdiff_t ld, real *y, bool add, char *work)
{
    struct col_sum_job j = { C, x, ld, (real *)(void *)work, r->k };
    op_for_slices(r, s, CHUNK, col_sum_rows, &j);
    op_sum_chunks(r, s, C, j.partial, C, y, add);
}
