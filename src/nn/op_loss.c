/* op_loss.c - head and cross-entropy together: logits exist for LOSS_ROWS tokens at a time, never for all.
 *
 *   in: x[T,C], w[V,C], target[T], ids, panels of w over rows, over columns      out: nll[T], kept
 * Backward (which is also the training forward): for each chunk of tokens logits, nll and dlogits = (softmax - onehot) *
 * loss_scale, then dx = dlogits * w for the chunk and dw += dlogits^T * x.  The chain of an element of dw runs over all
 * tokens in order, so LOSS_ROWS changes no bit.
 * Of several slices (struct step) a chunk has whole ones, or a part of one.  Where an embedding of ids will add to dw, each slice's rows of
 * these ids are kept for it.
 * Where processes have parts of w, each has its columns of the logits: they tell each other the logsumexp of a row's columns and the
 * target's logit, and go on with the gradient of their own. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "nn/op.h"

#define LOSS_ROWS 256
_Static_assert(LOSS_ROWS % GEMM_CHAIN == 0, "the sums of dw are cut between chains");
#define CE_ROWS 8              /* rows of one piece of softmax work */

struct layout { void *x, *panels[2]; real *logits, *slope, *told, *tree; bf16 *d16, *d_pairs; void *x_panels; int32_t *slot; size_t size; };

static struct layout layout(const struct graph *g, const struct node *n, int64_t T, char *base)
{
    const struct tensor *w = op_tensor(g, n->in[1]);
    const size_t V = (size_t)w->shape[0].n, C = (size_t)w->shape[1].n, rows = (size_t)min_i64(T, LOSS_ROWS);
    const bool b16 = n->attr.compute == DT_BF16, bwd = n->pass == PASS_BACKWARD;
    struct layout l = { 0 };
    if (op_is(g, n->in[0], DT_BF16) != b16)
        l.x = work_take(base, &l.size, (size_t)T * C * (b16 ? sizeof(bf16) : sizeof(real)) + sizeof(real));
    for (int cols = 0; cols < 1 + bwd; cols++)          /* of a weight in a file */
        l.panels[cols] = work_take(base, &l.size, op_panels_room(g, n, cols));
    l.logits = work_take(base, &l.size, rows * V * sizeof(real));
    if (n->attr.cap > 0 && bwd)
        l.slope = work_take(base, &l.size, rows * V * sizeof(real));
    if (w->n_part)
        l.told = work_take(base, &l.size, rows * (size_t)w->n_part * 2 * sizeof(real));
    if (bwd) {
        const size_t even = (size_t)op_even_rows(g, (int64_t)rows);
        l.x_panels = work_take(base, &l.size, cpu_panel_size(even, C) * (b16 ? sizeof(bf16) : sizeof(real)));
        if (b16) {
            l.d16 = work_take(base, &l.size, rows * V * sizeof(bf16) + sizeof(bf16));
            l.d_pairs = work_take(base, &l.size, (even + 1) / 2 * 2 * V * sizeof(bf16));
        }
        if (n->d_in[1] >= 0 && T > LOSS_ROWS)
            l.tree = work_take(base, &l.size, (size_t)op_tree_blocks(op_slices_max(g), T / op_slices_max(g) > LOSS_ROWS) * V * C * sizeof(real));
        if (n->out[1] >= 0)
            l.slot = work_take(base, &l.size, V * sizeof *l.slot);
    }
    return l;
}

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    (void)S;
    w->work = layout(g, n, T, NULL).size;
    w->scratch = op_panels_scratch(g, n);
    if (n->d_in[1] >= 0 && op_tree_scratch(g) > w->scratch)
        w->scratch = op_tree_scratch(g);
}

struct ce_job { struct ce p; const struct cpu_kernels *k; real cap, *slope; const real *scale; };      /* scale: of each row, or NULL */

static void ce_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct ce_job *j = ctx;
    struct ce p = j->p;
    p.n_row = n;
    p.x += first * p.ld, p.target += first, p.nll += first;
    const size_t all = (size_t)(n * p.ld);
    real *slope = j->slope ? j->slope + first * p.ld : NULL;
    if (j->cap > 0)
        j->k->softcap(all, j->cap, p.x, p.x, slope);
    for (int i = 0; j->scale && i < n; i++) {
        struct ce row = p;
        row.n_row = 1, row.scale = j->scale[first + i];
        row.x += i * p.ld, row.target += i, row.nll += i;
        j->k->cross_entropy(&row);
    }
    if (!j->scale)
        j->k->cross_entropy(&p);
    for (size_t i = 0; slope && i < all; i++)
        p.x[i] *= slope[i];
}

/* ---- columns of a vocabulary that processes have among them.  told: [part][row]{ logsumexp of its columns, the target's logit or 0 } ---- */

struct part_job { struct ce_job ce; int64_t first; int n_part, i_part, rows; real *told; };

static bool is_here(const struct part_job *j, int32_t target) { return target >= j->first && target < j->first + j->ce.p.V; }

/* The logits become probabilities among this process's columns. */
static void part_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct part_job *j = ctx;
    const struct ce *p = &j->ce.p;
    for (int i = first; i < first + n; i++) {
        real *x = p->x + i * p->ld, *told = j->told + 2 * (j->i_part * (ptrdiff_t)j->rows + i);
        if (j->ce.cap > 0)
            j->ce.k->softcap((size_t)p->V, j->ce.cap, x, x, j->ce.slope ? j->ce.slope + i * p->ld : NULL);
        told[1] = is_here(j, p->target[i]) ? x[p->target[i] - j->first] : 0;
        j->ce.k->softmax(1, p->V, x, p->ld, x, p->ld, &told[0]);
    }
}

/* What all columns together give, and this process's gradient. */
static void join_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct part_job *j = ctx;
    const struct ce *p = &j->ce.p;
    for (int i = first; i < first + n; i++) {
        real *x = p->x + i * p->ld;
        double most = -INFINITY, sum = 0, logit = 0;
        for (int k = 0; k < j->n_part; k++)
            most = fmax(most, (double)j->told[2 * (k * (ptrdiff_t)j->rows + i)]);
        for (int k = 0; k < j->n_part; k++) {
            const real *told = j->told + 2 * (k * (ptrdiff_t)j->rows + i);
            sum += exp((double)told[0] - most), logit += (double)told[1];
        }
        const bool counted = p->target[i] >= 0;
        const double lse = most + log(sum), mine = (double)j->told[2 * (j->i_part * (ptrdiff_t)j->rows + i)];
        const real scale = j->ce.scale ? j->ce.scale[i] : p->scale;
        p->nll[i] = counted ? (real)(lse - logit) : 0;
        if (!p->grad)
            continue;
        if (counted)
            j->ce.k->scale((size_t)p->V, (real)(exp(mine - lse) * (double)scale), x);
        else
            memset(x, 0, (size_t)p->V * sizeof *x);
        if (is_here(j, p->target[i]))
            x[p->target[i] - j->first] -= scale;
        for (int c = 0; j->ce.slope && c < p->V; c++)
            x[c] *= j->ce.slope[i * p->ld + c];
    }
}

/* The same as ce_rows() over all rows. */
static void loss_of_parts(struct run *r, const struct tensor *w, const struct ce_job *ce, int rows, real *told)
{
    const struct peers *peers = r->g->peers;
    assert(peers && peers->size == w->n_part);
    struct part_job j = { *ce, w->first_row, w->n_part, peers->rank, rows, told };
    memset(told, 0, (size_t)(2 * rows * w->n_part) * sizeof *told);      /* so that a sum is what each has told */
    op_for_rows(r, rows, CE_ROWS, part_rows, &j);
    r->g->rc = peers->sum(peers->ctx, told, (size_t)(2 * rows * w->n_part), &r->g->failed);
    op_for_rows(r, rows, CE_ROWS, join_rows, &j);
}

/* The rows of the step from t on that are taken together: at most LOSS_ROWS, of whole slices or of one.  c: its slices, from row 0. */
struct chunk { struct slices s; int rows; struct tree tree; };

static struct chunk chunk_at(const struct slices *s, int t)
{
    struct chunk c = { .tree.n = s->n };
    int v = 0;
    while (t && v + 1 < s->n && s->row[v + 1] <= t)
        v++;
    c.tree.v0 = v, c.tree.begun = t > s->row[v];
    do {
        c.rows = (int)min_i64(s->row[v + 1] - t, LOSS_ROWS);
        c.tree.ended = t + c.rows == s->row[v + 1];
        const int i = c.s.n++;
        c.s.row[i + 1] = c.rows;
        c.s.even[i + 1] = c.s.even[i] + (c.rows - c.s.row[i] + 1) / 2 * 2;
        v++;
    } while (c.tree.ended && v < s->n && (s->row[v + 1] - t <= LOSS_ROWS || !c.rows));
    c.tree.v1 = v;
    return c;
}

static void loss(struct run *r, const struct node *n, bool grad)
{
    struct graph *g = r->g;
    const struct tensor *w = op_tensor(g, n->in[1]);
    const int64_t T = r->step->T, V = w->shape[0].n, C = w->shape[1].n;
    const bool b16 = n->attr.compute == DT_BF16;
    const size_t size_x = b16 ? sizeof(bf16) : sizeof(real);
    const struct layout l = layout(g, n, T, r->work);
    const char *x = op_data(r, n->in[0]);
    if (l.x && b16)
        product_to_bf16(r, (size_t)(T * C), (const real *)(const void *)x, l.x), x = l.x;
    else if (l.x)
        product_from_bf16(r, (size_t)(T * C), (const bf16 *)(const void *)x, l.x), x = l.x;
    const void *by_rows = op_panels(r, n, false, l.panels[0]), *by_cols = grad && n->d_in[0] >= 0 ? op_panels(r, n, true, l.panels[1]) : NULL;
    const struct slices slices = op_slices(r, n->in[0]);
    if (grad && l.slot && slices.n > 1)
        op_slots(op_data(r, n->in[3]), (int)T, n->attr.first, (int)V, l.slot, NULL);
    for (int64_t t = 0, rows; t < T; t += rows) {
        struct chunk c = chunk_at(&slices, (int)t);
        rows = c.rows;
        const char *x_t = x + (size_t)(t * C) * size_x;
        const struct gemm p = { .M = (int)rows, .N = (int)V, .K = (int)C, .a = x_t, .a_row = C, .a_col = b16 ? 2 : 1, .b = by_rows,
                                .b_panel = (ptrdiff_t)cpu_panel_size((size_t)C, PANEL), .c = l.logits, .ldc = V };
        product(r, &p, n->attr.compute);
        struct ce_job j = { .k = r->k, .cap = (real)n->attr.cap, .slope = l.slope, .scale = grad && r->step->token_scale ? r->step->token_scale + t : NULL, .p = { .V = (int)V, .x = l.logits, .ld = V, .target = (const int32_t *)op_data(r, n->in[2]) + t,
                                              .nll = (real *)op_data(r, n->out[0]) + t, .grad = grad, .scale = (real)r->step->loss_scale } };
        if (w->n_part)
            loss_of_parts(r, w, &j, (int)rows, l.told);
        else
            op_for_rows(r, rows, CE_ROWS, ce_rows, &j);
        if (r->g->rc)
            return;
        if (!grad)
            continue;
        if (b16)
            product_dy_bf16(r, &c.s, V, l.logits, l.d16, l.d_pairs);
        if (n->d_in[0] >= 0) {
            real *dx = (real *)op_data(r, n->d_in[0]) + t * C;
            const struct gemm d = { .M = (int)rows, .N = (int)C, .K = (int)V, .a = b16 ? (const void *)l.d16 : l.logits, .a_row = V,
                                    .a_col = b16 ? 2 : 1, .b = by_cols, .b_panel = (ptrdiff_t)cpu_panel_size((size_t)V, PANEL),
                                    .c = dx, .ldc = C };
            product(r, &d, n->attr.compute);
        }
        if (n->d_in[1] >= 0 && !r->step->no_weights) {
            const struct pack px = { .K = (int)rows, .N = (int)C, .src = x_t, .ld = C, .src_bf16 = b16, .out = l.x_panels,
                                     .panel = (ptrdiff_t)cpu_panel_size((size_t)c.s.even[c.s.n], PANEL) };
            product_pack_cols(r, &px, &c.s, n->attr.compute);
            real *dw = op_data(r, n->d_in[1]);
            const struct gemm d = { .M = (int)V, .N = (int)C, .K = (int)rows, .a = b16 ? (const void *)l.d_pairs : l.logits,
                                    .a_row = b16 ? 2 : 1, .a_col = b16 ? 2 * V : V, .b = l.x_panels, .b_panel = px.panel,
                                    .add = slices.n == 1 && (t || op_adds(r, n, 1)) ? dw : NULL, .ld_add = C, .c = dw, .ldc = C };
            c.tree.base = dw, c.tree.block = l.tree, c.tree.stride = (size_t)(V * C);
            c.tree.slot = l.slot, c.tree.kept = op_data(r, n->out[1]);
            product_slices(r, &d, &c.s, slices.n > 1 ? &c.tree : NULL, n->attr.compute);
        }
    }
}

const real *graph_loss_slope(const struct graph *g, const struct node *n, int T) { return layout(g, n, T, g->work).logits; }

static void forward(struct run *r, const struct node *n) { loss(r, n, false); }
static void backward(struct run *r, const struct node *n) { loss(r, n, true); }

const struct op_code op_code_cross_entropy = { forward, backward, size };
