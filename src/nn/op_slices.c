/* op_slices.c - several slices of a step in one run (struct step): what is summed over tokens is summed for each slice as if it were
 * alone, and then by twos, slice v + 1 to slice v, while both are in the cache.
 *
 * A gradient is cut into tiles that fit the second-level cache log2 n + 1 times.  Of slices in order, the sum of 2^l slices waits for its
 * neighbour in a tile; the sum that begins with slice 0 waits in the gradient itself.  So with 8 slices a gradient is written once, where
 * slices one after the other wrote it eight times, and read and wrote it again to add them up. */
#include <assert.h>
#include <string.h>
#include "nn/op.h"

struct slices op_slices(const struct run *r, int id)
{
    const struct step *step = r->step;
    const struct tensor *t = op_tensor(r->g, id);
    struct slices s = { .n = step->n_slice > 1 ? step->n_slice : 1 };
    assert(s.n <= op_slices_max(r->g) && (s.n == 1 || !step->accumulate));
    for (int v = 1; v < s.n; v++) {
        s.row[v] = (int32_t)tensor_rows(t, step->seq_start[step->slice[v]], step->slice[v]);
        s.even[v] = s.even[v - 1] + (s.row[v] - s.row[v - 1] + 1) / 2 * 2;
    }
    s.row[s.n] = (int32_t)tensor_rows(t, step->T, step->S);
    s.even[s.n] = s.even[s.n - 1] + (s.row[s.n] - s.row[s.n - 1] + 1) / 2 * 2;
    return s;
}

/* ---- rows ---- */

struct slice_rows_job { const struct slices *s; int block, first[GRAPH_SLICES_MAX + 1]; slice_rows_fn fn; void *ctx; };

static int slice_of_item(const int *first, int n, int i)
{
    int v = n - 1;
    while (first[v] > i)
        v--;
    return v;
}

static void slice_rows_item(void *ctx, int i, int i_thread)
{
    const struct slice_rows_job *j = ctx;
    const int v = slice_of_item(j->first, j->s->n, i), row = j->s->row[v] + (i - j->first[v]) * j->block;
    j->fn(j->ctx, v, row, (int)min_i64(j->block, j->s->row[v + 1] - row), i, i_thread);
}

void op_for_slices(struct run *r, const struct slices *s, int block, slice_rows_fn fn, void *ctx)
{
    struct slice_rows_job j = { s, block, { 0 }, fn, ctx };
    for (int v = 0; v < s->n; v++)
        j.first[v + 1] = j.first[v] + (int)div_up(s->row[v + 1] - s->row[v], block);
    pool_for(r->pool, j.first[s->n], slice_rows_item, &j);
}

/* A slice without rows has no chunk, and adds nothing. */
void op_sum_chunks(struct run *r, const struct slices *s, int64_t C, real *partial, ptrdiff_t ld, real *y, bool add)
{
    real *sum[GRAPH_SLICES_MAX] = { 0 };
    if (!add)
        memset(y, 0, (size_t)C * sizeof *y);
    if (s->n == 1) {
        r->k->col_sum((int)div_up(s->row[1], CHUNK), (int)C, partial, ld, y);
        return;
    }
    assert(!add);
    for (int v = 0; v < s->n; v++) {
        const int n = (int)div_up(s->row[v + 1] - s->row[v], CHUNK);
        if (n)
            sum[v] = partial;
        if (n > 1)
            r->k->col_sum(n - 1, (int)C, partial + ld, ld, partial);
        partial += n * ld;
    }
    for (int w = 1; w < s->n; w *= 2)
        for (int v = 0; v < s->n; v += 2 * w) {
            if (sum[v] && sum[v + w])
                r->k->add((size_t)C, sum[v], sum[v + w], sum[v]);
            else if (!sum[v])
                sum[v] = sum[v + w];
        }
    if (sum[0])
        memcpy(y, sum[0], (size_t)C * sizeof *y);
}

void op_sum_slices(const struct run *r, int n, int64_t C, real *sum)
{
    for (int w = 1; w < n; w *= 2)
        for (int v = 0; v < n; v += 2 * w)
            r->k->add((size_t)C, sum + v * C, sum + (v + w) * C, sum + v * C);
}

/* ---- a tile of a gradient ---- */

static int bits(int v)
{
    int n = 0;
    for (; v; v &= v - 1)
        n++;
    return n;
}

struct place { real *at; ptrdiff_t ld; };

/* Sums that wait, the earliest first; number 0 in the gradient.  -1: of the slice under way, when it waits for nothing. */
static struct place place_of(const struct tree *t, const struct gemm *g, int i, real *scratch)
{
    if (i == 0)
        return (struct place){ g->c, g->ldc };
    if (i > 0 && t->block)
        return (struct place){ t->block + (size_t)(i - 1) * t->stride + (g->c - t->base), g->ldc };
    return (struct place){ scratch + (i < 0 ? 0 : i) * (TREE_ROWS * TREE_PANELS * PANEL), g->N };
}

static void add_tile(const struct cpu_kernels *k, const struct gemm *g, struct place to, struct place from)
{
    for (int m = 0; m < g->M; m++)
        k->add((size_t)g->N, to.at + m * to.ld, from.at + m * from.ld, to.at + m * to.ld);
}

static void keep_rows(const struct tree *t, const struct gemm *g, struct place from, int v)
{
    const ptrdiff_t at = g->c - t->base, row = at / g->ldc, column = at % g->ldc;
    for (int m = 0; m < g->M; m++)
        if (t->slot[row + m] >= 0)
            memcpy(t->kept + ((ptrdiff_t)t->slot[row + m] * t->n + v) * g->ldc + column, from.at + m * from.ld, (size_t)g->N * sizeof(real));
}

void op_tree_tile(const struct run *r, const struct tree *t, const struct gemm *g, void (*kernel)(const struct gemm *), const struct leaf *leaf, int i_thread)
{
    real *scratch = t->n > 1 ? (real *)(void *)op_scratch(r, i_thread) : NULL;
    assert(g->M <= TREE_ROWS && g->N <= TREE_PANELS * PANEL);
    for (int v = t->v0; v < t->v1; v++, leaf++) {
        const bool begun = t->begun && v == t->v0, ended = t->ended || v + 1 < t->v1;
        struct place chain = place_of(t, g, v % 2 && !begun && ended ? -1 : bits(v), scratch);
        struct gemm p = *g;
        p.a = leaf->a, p.b = leaf->b, p.b_panel = leaf->b_panel, p.K = leaf->K, p.c = chain.at, p.ldc = chain.ld;
        p.add = begun ? chain.at : NULL, p.ld_add = chain.ld;
        if (p.K)
            kernel(&p);
        for (int m = 0; !p.K && !begun && m < p.M; m++)
            memset(chain.at + m * chain.ld, 0, (size_t)p.N * sizeof(real));
        if (!ended)
            break;
        if (t->slot)
            keep_rows(t, g, chain, v);
        for (int level = 0; v >> level & 1; level++) {
            const struct place waits = place_of(t, g, bits(v) - 1 - level, scratch);
            const bool last = !(v >> (level + 1) & 1);
            add_tile(r->k, g, last ? waits : chain, last ? chain : waits);
        }
    }
}

/* ---- products ---- */

struct slices_job { struct run *r; const struct gemm *g; void (*kernel)(const struct gemm *); struct tree t; const struct slices *s; int rows, panels, n_across; bool pairs; size_t size; };

static void slices_item(void *ctx, int i, int i_thread)
{
    const struct slices_job *j = ctx;
    const int m0 = i / j->n_across * j->rows, p0 = i % j->n_across * j->panels, n0 = p0 * PANEL;
    struct gemm g = *j->g;
    struct leaf leaf[GRAPH_SLICES_MAX];
    g.M = (int)min_i64(j->rows, g.M - m0);
    g.N = (int)min_i64(j->panels * PANEL, g.N - n0);
    g.c += m0 * g.ldc + n0;
    for (int v = 0; v < j->s->n; v++) {
        const ptrdiff_t from = j->pairs ? j->s->even[v] / 2 : j->s->row[v];
        leaf[v] = (struct leaf){ (const char *)g.a + (size_t)(m0 * g.a_row + from * g.a_col) * j->size,
                                 (const char *)g.b + (size_t)(p0 * g.b_panel + j->s->even[v] * PANEL) * j->size, g.b_panel, j->s->row[v + 1] - j->s->row[v] };
    }
    op_tree_tile(j->r, &j->t, &g, j->kernel, leaf, i_thread);
}

void product_slices(struct run *r, const struct gemm *g, const struct slices *s, const struct tree *t, enum dtype compute)
{
    if (s->n == 1 && !t) {
        product(r, g, compute);
        return;
    }
    const bool b16 = compute == DT_BF16;
    const int n_panel = (int)div_up(g->N, PANEL);
    int rows = TREE_ROWS, panels = TREE_PANELS;
    while (r->n_thread > 1 && div_up(g->M, rows) * div_up(n_panel, panels) < 8 * r->n_thread && (panels > 2 || rows > 28)) {
        if (panels > 2 && (panels > 4 || rows <= 28))
            panels /= 2;
        else
            rows /= 2;
    }
    const struct tree all = { .n = s->n, .v1 = s->n, .ended = true, .base = g->c };
    assert(t || !g->add);
    struct slices_job j = { r, g, b16 ? r->k->gemm_bf16 : r->k->gemm, t ? *t : all, s, rows, panels, (int)div_up(n_panel, panels), b16, b16 ? sizeof(bf16) : sizeof(real) };
    pool_for(r->pool, (int)div_up(g->M, rows) * j.n_across, slices_item, &j);
}

/* ---- which graphs can ---- */

static bool knows(const struct node *n, int j)
{
    switch (n->op) {
    case OP_linear: case OP_rmsnorm: case OP_layernorm: case OP_qk_norm: return j == 1 || j == 2;
    case OP_expert_linear: return j == 1 || j == 7;
    case OP_attention: return j == 3;
    case OP_embed: case OP_lora: case OP_cross_entropy: return j == 1;
    default: return false;
    }
}

/* A second gradient of a weight adds to a sum of slices, and not to a slice's: none may, but that of an embedding with the head's table, which keeps
 * its rows apart. */
bool graph_knows_slices(const struct graph *g)
{
    for (int i = 0; i < g->n_node; i++)
        for (int j = 0; j < NODE_IN; j++) {
            const struct node *n = &g->node[i];
            if (n->pass != PASS_BACKWARD || n->again || n->d_in[j] < 0 || g->tensor[n->d_in[j]].kind != TENSOR_GRAD)
                continue;
            if (!knows(n, j) || (n->add[j] && !(n->op == OP_embed && n->in[2] >= 0)))
                return false;
        }
    return true;
}
