/* op_panels.c - products with weights kept in panels of their file's types: of one matrix, or of every expert over its rows.
 *
 * A piece is a block of rows of one group (expert) by a block of panels of one segment.  Pieces go group by group, panels
 * outside and rows inside, so that a thread keeps its panels in cache while rows pass by; few rows (decoding) are all in one
 * piece and the panels stream through once.  How a product is cut changes no bit of it (kernels.h).
 *
 * Where it matters most, in the head, int8 activations have a second part, of what rounding left (`fine`).
 *
 * With an activation behind it (linear_act: in: x, w, row, start, scale, bias), a piece is 64 columns of the result: the
 * panels of the gate and of what it multiplies, by ACT_ROWS rows at a time, stay in scratch until they are one and go out in
 * the form that the next product reads. */
#include <assert.h>
#include <string.h>
#include "nn/op.h"

enum form { FORM_F32, FORM_BF16, FORM_A8 };       /* what the rows of x must be for a panel type */
static enum form form_of(enum panel_type t) { return PANEL_IS_A8(t) ? FORM_A8 : t == PANEL_BF16 ? FORM_BF16 : FORM_F32; }

#define PIECE_ROWS 512                            /* at most: the kernels block rows themselves */
#define PIECE_ROWS_LEAST 128                      /* where a group has as many */
#define PIECE_PANELS 8                            /* at most: beside so many the kernels keep their rows in cache */
#define PIECES 16                                 /* for each thread, if possible: the last one to end is waited for; */
#define PIECES_FEW 8                              /* ... of few rows, where a piece is an interruption of the stream of weights */
#define ACT_ROWS 128                              /* whose gate and up stay in cache until they are one */
#define FEW_ROWS 4                                /* so few are quantised by the caller alone, */
#define FEW_COPIES 32                             /* ... and so few copied */

struct panels_piece { int32_t group, segment, m0, p0; };      /* product_act: segment is not used, p0 counts the result's columns */
/* x8: rows of A8; fine: two for a row of x, one after the other.  sorted: the rows of a list, one after the other. */
struct panels_layout { bf16 *x16; real *x32; char *x8, *sorted; struct panels_piece *piece; size_t size; };

static int64_t segment_panels(const struct panel_segment *s) { return div_up(s->n_row, PANEL); }

static bool needs(const struct tensor *w, enum form form)
{
    for (int i = 0; i < w->panels.n_segment; i++)
        if (form_of(w->panels.segment[i].type) == form)
            return true;
    return false;
}

static struct panels_layout panels_layout(const struct tensor *w, int64_t x_rows, int64_t rows, enum dtype x_type, bool listed, bool fine, char *base)
{
    const int64_t K = w->shape[w->rank - 1].n, n_group = w->rank == 3 ? w->shape[0].n : 1;
    struct panels_layout l = { 0 };
    if (needs(w, FORM_BF16) && x_type != DT_BF16)
        l.x16 = work_take(base, &l.size, (size_t)(x_rows * K + 1) * sizeof(bf16));
    if ((needs(w, FORM_F32) || needs(w, FORM_A8)) && x_type == DT_BF16)
        l.x32 = work_take(base, &l.size, (size_t)(x_rows * K) * sizeof(real));
    if (needs(w, FORM_A8) && x_type != DT_A8)
        l.x8 = work_take(base, &l.size, (size_t)x_rows * (fine ? 2 : 1) * a8_row_bytes(K));
    if (needs(w, FORM_A8) && listed)
        l.sorted = work_take(base, &l.size, (size_t)rows * a8_row_bytes(K));
    int64_t n_panel = 0;
    for (int i = 0; i < w->panels.n_segment; i++)
        n_panel += segment_panels(&w->panels.segment[i]);
    l.piece = work_take(base, &l.size, (size_t)((div_up(rows, PIECE_ROWS_LEAST) + min_i64(n_group, rows)) * n_panel) * sizeof *l.piece);
    return l;
}

size_t product_panels_size(const struct tensor *w, int64_t x_rows, int64_t rows, enum dtype x_type, bool listed, bool fine)
{
    return panels_layout(w, x_rows, rows, x_type, listed, fine, NULL).size;
}

struct a8_job { const struct cpu_kernels *k; const void *x; char *out; int64_t K; bool fine; };

static void a8_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct a8_job *j = ctx;
    const size_t stride = a8_row_bytes(j->K) * (j->fine ? 2 : 1);
    const real *x = (const real *)j->x + first * j->K;
    struct a8 p = { .M = n, .K = (int)j->K, .x = (const void *)x, .ld_x = j->K, .out = j->out + (size_t)first * stride, .stride = stride };
    j->k->quantize_a8(&p);
    for (int i = 0; i < n && j->fine; i++)
        a8_rest(j->K, p.x + i * j->K, (char *)p.out + (size_t)i * stride, (char *)p.out + (size_t)i * stride + stride / 2);
}

struct list_job { const char *x; char *out; const int32_t *row; size_t bytes; };

static void list_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct list_job *j = ctx;
    for (int i = first; i < first + n; i++)
        memcpy(j->out + (size_t)i * j->bytes, j->x + (size_t)j->row[i] * j->bytes, j->bytes);
}

struct panels_job {
    const struct panels_product *p;
    struct run *r;
    const struct cpu_kernels *k;
    const struct panels_piece *piece;
    const void *x[3];            /* by form */
    int n_panel[SEGMENT_MAX];    /* of a piece */
    int rows, columns;           /* of a piece at most; columns: of product_act */
    int64_t N, K;
};

/* M rows from row `first` on, of a group, by N columns from panel p0 of a segment on. */
struct block { int group, segment, p0, M, N; int64_t first; };

static void multiply(const struct panels_job *j, struct block t, const real *add, real *c, ptrdiff_t ldc)
{
    const struct panels_product *p = j->p;
    const struct panel_segment *s = &p->w->panels.segment[t.segment];
    const enum form form = form_of(s->type);
    const int64_t K = j->K, first = t.first;
    const char *b = (const char *)p->w->data + (size_t)t.group * p->w->panels.expert_bytes + s->offset + (size_t)t.p0 * panel_stride(s->type, K);
    const real *bias = p->bias ? p->bias + t.group * j->N + s->row + (int64_t)t.p0 * PANEL : NULL;
    if (form == FORM_A8) {
        const size_t stride = a8_row_bytes(K);
        assert(!p->fine || (!p->row && p->x_type != DT_A8));
        const struct gemm_q g = { .type = s->type, .M = t.M, .N = t.N, .K = (int)K, .a = (const char *)j->x[FORM_A8] + (size_t)(p->fine ? 2 * first : first) * stride,
                                  .a_stride = stride, .pairs = p->fine, .b = b, .bias = (const void *)bias, .add = (const void *)add, .ld_add = ldc, .c = (void *)c, .ldc = ldc };
        j->k->gemm_q(&g);
        return;
    }
    const size_t size = form == FORM_BF16 ? sizeof(bf16) : sizeof(real);
    const struct gemm g = { .M = t.M, .N = t.N, .K = (int)K, .a = (const char *)j->x[form] + (p->row ? 0 : (size_t)(first * K) * size), .a_row = K,
                            .a_col = form == FORM_BF16 ? 2 : 1, .rows = p->row ? p->row + first : NULL, .b = b,
                            .b_panel = (ptrdiff_t)(panel_stride(s->type, K) / (s->type == PANEL_F32 ? sizeof(real) : sizeof(bf16))),
                            .bias = bias, .add = add, .ld_add = ldc, .c = c, .ldc = ldc };
    (s->type == PANEL_F32 ? j->k->gemm : s->type == PANEL_F16 ? j->k->gemm_f16 : j->k->gemm_bf16)(&g);
}

static void panels_piece_run(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct panels_job *j = ctx;
    const struct panels_product *p = j->p;
    const struct panels_piece q = j->piece[i];
    const struct panel_segment *s = &p->w->panels.segment[q.segment];
    const int64_t first = p->start[q.group] + q.m0, n0 = (int64_t)q.p0 * PANEL, at = first * j->N + s->row + n0;
    const struct block t = { .group = q.group, .segment = q.segment, .p0 = q.p0, .first = first, .M = (int)min_i64(j->rows, p->start[q.group + 1] - first),
                             .N = (int)min_i64((int64_t)j->n_panel[q.segment] * PANEL, s->n_row - n0) };
    multiply(j, t, p->add ? p->add + at : NULL, p->c + at, j->N);
}

/* How many blocks of rows there are about, all groups together. */
static int64_t row_blocks(const struct panels_product *p, int block)
{
    const int64_t rows = p->start[p->n_group] - p->start[0], groups = min_i64(p->n_group, rows);
    return div_up(rows, block) > groups ? div_up(rows, block) : groups;
}

static int64_t pieces_wanted(const struct panels_product *p, int n_thread)
{
    return n_thread * (p->start[p->n_group] - p->start[0] > 16 * row_blocks(p, PIECE_ROWS) ? PIECES : PIECES_FEW);
}

/* Rows of a piece, when each block of them is `across` pieces. */
static int piece_rows(const struct panels_product *p, int64_t across, int n_thread)
{
    int block = PIECE_ROWS;
    while (n_thread > 1 && block > PIECE_ROWS_LEAST && row_blocks(p, block) * across < pieces_wanted(p, n_thread))
        block /= 2;
    return block;
}

/* Panels of a piece; a segment's pieces are as wide as each other. */
static int piece_panels(const struct panels_product *p, const struct panel_segment *s, int block, int n_thread)
{
    const int64_t n_panel = segment_panels(s), share = n_thread == 1 ? n_panel : n_panel * row_blocks(p, block) / pieces_wanted(p, n_thread);
    const int64_t most = share > PIECE_PANELS ? PIECE_PANELS : share < 1 ? 1 : share;
    return (int)div_up(n_panel, div_up(n_panel, most));
}

static int list_pieces(struct panels_job *j, struct panels_piece *piece)
{
    const struct panels_product *p = j->p;
    int n = 0;
    for (int e = 0; e < p->n_group; e++) {
        const int rows = p->start[e + 1] - p->start[e];
        for (int s = 0; s < p->w->panels.n_segment && rows; s++)
            for (int p0 = 0; p0 < segment_panels(&p->w->panels.segment[s]); p0 += j->n_panel[s])
                for (int m = 0; m < rows; m += j->rows)
                    piece[n++] = (struct panels_piece){ e, s, m, p0 };
    }
    return n;
}

/* The job of a product, with x in all forms that its panels read. */
static struct panels_job panels_job(struct run *r, const struct panels_product *p, const struct panels_layout *layout)
{
    const struct tensor *w = p->w;
    const struct panels_layout l = *layout;
    const int64_t N = w->shape[w->rank - 2].n, K = w->shape[w->rank - 1].n;
    struct panels_job j = { .p = p, .r = r, .k = r->k, .piece = l.piece, .N = N, .K = K };
    const void *x32 = p->x_type == DT_BF16 ? l.x32 : p->x;
    if (l.x32)
        product_from_bf16(r, (size_t)(p->x_rows * K), p->x, l.x32);
    if (l.x16)
        product_to_bf16(r, (size_t)(p->x_rows * K), p->x, l.x16);
    if (l.x8) {
        struct a8_job a = { r->k, x32, l.x8, K, p->fine };
        if (p->x_rows <= FEW_ROWS)
            a8_rows(&a, 0, (int)p->x_rows, 0);
        else
            op_for_rows(r, p->x_rows, 8, a8_rows, &a);
    }
    j.x[FORM_F32] = x32, j.x[FORM_BF16] = p->x_type == DT_BF16 ? p->x : l.x16, j.x[FORM_A8] = p->x_type == DT_A8 ? p->x : l.x8;
    if (l.sorted) {
        const int rows = p->start[p->n_group] - p->start[0];
        struct list_job list = { j.x[FORM_A8], l.sorted, p->row, a8_row_bytes(K) };
        if (rows <= FEW_COPIES)
            list_rows(&list, 0, rows, 0);
        else
            op_for_rows(r, rows, 32, list_rows, &list);
        j.x[FORM_A8] = l.sorted;
    }
    return j;
}

void product_panels(struct run *r, const struct panels_product *p, char *work)
{
    const int64_t rows = p->start[p->n_group] - p->start[0];
    if (!rows)
        return;
    const struct panels_layout l = panels_layout(p->w, p->x_rows, rows, p->x_type, p->row != NULL, p->fine, work);
    struct panels_job j = panels_job(r, p, &l);
    int64_t across = 0;
    for (int i = 0; i < p->w->panels.n_segment; i++)
        across += div_up(segment_panels(&p->w->panels.segment[i]), PIECE_PANELS);
    j.rows = piece_rows(p, across, r->n_thread);
    for (int i = 0; i < p->w->panels.n_segment; i++)
        j.n_panel[i] = piece_panels(p, &p->w->panels.segment[i], j.rows, r->n_thread);
    pool_for(r->pool, list_pieces(&j, l.piece), panels_piece_run, &j);
}

/* ---- with an activation ---- */

#define ACT_COLUMNS 64         /* of a piece: A8 is written in multiples of so many; */
#define ACT_COLUMNS_FEW 256    /* ... beside few rows, where each turn from gate to up interrupts the stream of weights */
#define ACT_GROUP 16           /* rows that pass from the activation to A8 by way of the first-level cache */

/* The segment that holds row n of the weight; *p0: the panel that begins there, -1 if none does. */
static int segment_at(const struct tensor *w, int64_t n, int *p0)
{
    int s = w->panels.n_segment - 1;
    while (w->panels.segment[s].row > n)
        s--;
    const int64_t at = n - w->panels.segment[s].row;
    *p0 = at % PANEL ? -1 : (int)(at / PANEL);
    return s;
}

bool product_act_fits(const struct tensor *w, enum op act)
{
    const int64_t parts = op_act_parts(act), F = w->shape[w->rank - 2].n / parts;
    bool fits = F * parts == w->shape[w->rank - 2].n;
    for (int64_t i = 0; i < parts && fits; i++) {
        int p0;
        const struct panel_segment *s = &w->panels.segment[segment_at(w, i * F, &p0)];
        fits = p0 >= 0 && s->row + s->n_row >= (i + 1) * F;
    }
    return fits;
}

size_t product_act_scratch(enum op act) { return ((size_t)(ACT_ROWS * op_act_parts(act)) * ACT_COLUMNS + ACT_GROUP * ACT_COLUMNS_FEW) * sizeof(real); }

/* n columns from f0 on of M rows of the result, from h [M][parts][n]. */
static void put_act(const struct panels_job *j, int64_t first, int M, int64_t f0, int n, real *h, real *group)
{
    const struct panels_product *p = j->p;
    const int parts = op_act_parts(p->act);
    const int64_t F = j->N / parts;
    struct act a = { .n_row = M, .F = n, .h = h, .ld_h = parts * n, .scale = p->scale ? p->scale + first : NULL, .ld_y = F, .y_bf16 = p->y_type == DT_BF16 };
    if (p->y_type != DT_A8) {
        a.y = (char *)p->y + (size_t)(first * F + f0) * dtype_size(p->y_type);
        op_act_kernel(j->k, p->act)(&a);
        return;
    }
    const size_t stride = a8_row_bytes(F);
    a.y = group, a.ld_y = n;
    for (int m = 0; m < M; m += a.n_row, a.h += a.n_row * a.ld_h, a.scale = a.scale ? a.scale + a.n_row : NULL) {
        a.n_row = M - m < ACT_GROUP ? M - m : ACT_GROUP;
        op_act_kernel(j->k, p->act)(&a);
        j->k->quantize_a8(&(struct a8){ .M = a.n_row, .K = n, .x = (const void *)group, .ld_x = n, .stride = stride,
                                        .out = (char *)p->y + (size_t)(first + m) * stride + a8_at(f0) });
    }
}

static void act_piece_run(void *ctx, int i, int i_thread)
{
    const struct panels_job *j = ctx;
    const struct panels_product *p = j->p;
    const struct panels_piece q = j->piece[i];
    const int parts = op_act_parts(p->act);
    const int64_t F = j->N / parts, f0 = (int64_t)q.p0 * PANEL, from = p->start[q.group] + q.m0, to = min_i64(p->start[q.group + 1], from + j->rows);
    const int n = (int)min_i64(j->columns, F - f0), rows = ACT_ROWS * ACT_COLUMNS / j->columns;
    real *h = (real *)(void *)op_scratch(j->r, i_thread), *group = h + ACT_ROWS * ACT_COLUMNS * parts;
    for (int64_t first = from; first < to; first += rows) {
        struct block t = { .group = q.group, .first = first, .M = (int)min_i64(rows, to - first), .N = n };
        for (int part = 0; part < parts; part++) {
            t.segment = segment_at(p->w, part * F + f0, &t.p0);
            multiply(j, t, NULL, h + part * n, parts * n);
        }
        put_act(j, first, t.M, f0, n, h, group);
    }
}

void product_act(struct run *r, const struct panels_product *p, char *work)
{
    const int64_t rows = p->start[p->n_group] - p->start[0], F = p->w->shape[p->w->rank - 2].n / op_act_parts(p->act);
    if (!rows)
        return;
    const struct panels_layout l = panels_layout(p->w, p->x_rows, rows, p->x_type, p->row != NULL, p->fine, work);
    struct panels_job j = panels_job(r, p, &l);
    j.columns = rows > 16 * row_blocks(p, PIECE_ROWS) ? ACT_COLUMNS : ACT_COLUMNS_FEW;
    j.rows = piece_rows(p, div_up(F, j.columns), r->n_thread);
    int n = 0;
    for (int e = 0; e < p->n_group; e++)
        for (int f0 = 0; f0 < F; f0 += j.columns)
            for (int m = 0; m < p->start[e + 1] - p->start[e]; m += j.rows)
                l.piece[n++] = (struct panels_piece){ .group = e, .m0 = m, .p0 = f0 / PANEL };
    pool_for(r->pool, n, act_piece_run, &j);
}

static void linear_act_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    const int64_t rows = tensor_rows(op_tensor(g, n->out[0]), T, S);
    w->work = product_panels_size(op_tensor(g, n->in[1]), tensor_rows(op_tensor(g, n->in[0]), T, S), rows, op_tensor(g, n->in[0])->dtype, n->in[2] >= 0, false);
    w->scratch = product_act_scratch(n->attr.act);
}

static void linear_act(struct run *r, const struct node *n)
{
    const struct tensor *x = op_tensor(r->g, n->in[0]), *w = op_tensor(r->g, n->in[1]), *y = op_tensor(r->g, n->out[0]);
    const int32_t all[2] = { 0, (int32_t)tensor_rows(y, r->step->T, r->step->S) }, *start = op_data(r, n->in[3]);
    const struct panels_product p = { .w = w, .n_group = start ? (int)w->shape[0].n : 1, .start = start ? start : all, .row = op_data(r, n->in[2]),
                                      .x = x->data, .x_type = x->dtype, .x_rows = tensor_rows(x, r->step->T, r->step->S), .bias = op_data(r, n->in[5]),
                                      .act = n->attr.act, .y = y->data, .y_type = y->dtype, .scale = op_data(r, n->in[4]) };
    product_act(r, &p, r->work);
}

const struct op_code op_code_linear_act = { linear_act, NULL, linear_act_size };
