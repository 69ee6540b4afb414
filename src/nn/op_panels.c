/* op_panels.c - products with weights kept in panels of their file's types: of one matrix, or of every expert over its rows.
 *
 * A piece is a block of rows of one group (expert) by a block of panels of one segment.  Pieces go group by group, panels
 * outside and rows inside, so that a thread keeps its panels in cache while rows pass by; few rows (decoding) are all in one
 * piece and the panels stream through once.  How a product is cut changes no bit of it (kernels.h). */
#include <string.h>
#include "nn/op.h"

enum form { FORM_F32, FORM_BF16, FORM_A8 };       /* what the rows of x must be for a panel type */
static enum form form_of(enum panel_type t) { return PANEL_IS_A8(t) ? FORM_A8 : t == PANEL_BF16 ? FORM_BF16 : FORM_F32; }

#define PIECE_ROWS 512                            /* the kernels block rows themselves */
#define FEW_ROWS 4                                /* so few are quantised by the caller alone */

struct panels_piece { int32_t group, segment, m0, p0; };
struct panels_layout { bf16 *x16; real *x32; char *x8; struct panels_piece *piece; size_t size; };

static int64_t segment_panels(const struct segment *s) { return div_up(s->n_row, PANEL); }

static bool needs(const struct tensor *w, enum form form)
{
    for (int i = 0; i < w->panels.n_segment; i++)
        if (form_of(w->panels.segment[i].type) == form)
            return true;
    return false;
}

static struct panels_layout panels_layout(const struct tensor *w, int64_t x_rows, int64_t rows, bool x_bf16, char *base)
{
    const int64_t K = w->shape[w->rank - 1].n, n_group = w->rank == 3 ? w->shape[0].n : 1;
    struct panels_layout l = { 0 };
    if (needs(w, FORM_BF16) && !x_bf16)
        l.x16 = work_take(base, &l.size, (size_t)(x_rows * K + 1) * sizeof(bf16));
    if ((needs(w, FORM_F32) || needs(w, FORM_A8)) && x_bf16)
        l.x32 = work_take(base, &l.size, (size_t)(x_rows * K) * sizeof(real));
    if (needs(w, FORM_A8))
        l.x8 = work_take(base, &l.size, (size_t)x_rows * a8_row_bytes(K));
    int64_t n_panel = 0;
    for (int i = 0; i < w->panels.n_segment; i++)
        n_panel += segment_panels(&w->panels.segment[i]);
    l.piece = work_take(base, &l.size, (size_t)((div_up(rows, PIECE_ROWS) + min_i64(n_group, rows)) * n_panel) * sizeof *l.piece);
    return l;
}

size_t product_panels_size(const struct tensor *w, int64_t x_rows, int64_t rows, bool x_bf16)
{
    return panels_layout(w, x_rows, rows, x_bf16, NULL).size;
}

struct a8_job { const struct cpu_kernels *k; const void *x; char *out; int64_t K; };

static void a8_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct a8_job *j = ctx;
    const size_t stride = a8_row_bytes(j->K);
    const struct a8 p = { .M = n, .K = (int)j->K, .x = (const void *)((const real *)j->x + first * j->K), .ld_x = j->K,
                          .out = j->out + (size_t)first * stride, .stride = stride };
    j->k->quantize_a8(&p);
}

struct panels_job {
    const struct panels_product *p;
    const struct cpu_kernels *k;
    const struct panels_piece *piece;
    const void *x[3];            /* by form */
    int n_panel[SEGMENT_MAX];    /* of a piece */
    int64_t N, K;
};

static void panels_piece_run(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct panels_job *j = ctx;
    const struct panels_product *p = j->p;
    const struct panels_piece q = j->piece[i];
    const struct segment *s = &p->w->panels.segment[q.segment];
    const enum form form = form_of(s->type);
    const int64_t first = p->start[q.group] + q.m0, n0 = (int64_t)q.p0 * PANEL, column = s->row + n0, K = j->K;
    const int M = (int)min_i64(PIECE_ROWS, p->start[q.group + 1] - first), N = (int)min_i64((int64_t)j->n_panel[q.segment] * PANEL, s->n_row - n0);
    const char *b = (const char *)p->w->data + (size_t)q.group * p->w->panels.expert_bytes + s->offset + (size_t)q.p0 * panel_stride(s->type, K);
    const real *bias = p->bias ? p->bias + q.group * j->N + column : NULL, *add = p->add ? p->add + first * j->N + column : NULL;
    real *c = p->c + first * j->N + column;
    if (form == FORM_A8) {
        const size_t stride = a8_row_bytes(K);
        const struct gemm_q g = { .type = s->type, .M = M, .N = N, .K = (int)K, .a = (const char *)j->x[FORM_A8] + (p->row ? 0 : (size_t)first * stride),
                                  .a_stride = stride, .rows = p->row ? p->row + first : NULL, .b = b, .bias = (const void *)bias,
                                  .add = (const void *)add, .ld_add = j->N, .c = (void *)c, .ldc = j->N };
        j->k->gemm_q(&g);
        return;
    }
    const size_t size = form == FORM_BF16 ? sizeof(bf16) : sizeof(real);
    const struct gemm g = { .M = M, .N = N, .K = (int)K, .a = (const char *)j->x[form] + (p->row ? 0 : (size_t)(first * K) * size), .a_row = K,
                            .a_col = form == FORM_BF16 ? 2 : 1, .rows = p->row ? p->row + first : NULL, .b = b,
                            .b_panel = (ptrdiff_t)(panel_stride(s->type, K) / (s->type == PANEL_F32 ? sizeof(real) : sizeof(bf16))),
                            .bias = bias, .add = add, .ld_add = j->N, .c = c, .ldc = j->N };
    (s->type == PANEL_F32 ? j->k->gemm : s->type == PANEL_F16 ? j->k->gemm_f16 : j->k->gemm_bf16)(&g);
}

/* Panels of a piece: at most 8, beside which the kernels keep their rows in cache; fewer, so that each thread has several
 * pieces and one that was held up leaves something to steal. */
static int piece_panels(const struct panels_product *p, const struct segment *s, int n_thread)
{
    const int64_t rows = p->start[p->n_group] - p->start[0], groups = min_i64(p->n_group, rows), n_panel = segment_panels(s);
    const int64_t blocks = div_up(rows, PIECE_ROWS) > groups ? div_up(rows, PIECE_ROWS) : groups;
    const int64_t share = n_panel * blocks / ((rows > 16 * groups ? 4 : 8) * n_thread);
    return (int)(n_thread == 1 || share >= 8 ? min_i64(8, n_panel) : share < 1 ? 1 : share);
}

static int list_pieces(struct panels_job *j, struct panels_piece *piece)
{
    const struct panels_product *p = j->p;
    int n = 0;
    for (int e = 0; e < p->n_group; e++) {
        const int rows = p->start[e + 1] - p->start[e];
        for (int s = 0; s < p->w->panels.n_segment && rows; s++)
            for (int p0 = 0; p0 < segment_panels(&p->w->panels.segment[s]); p0 += j->n_panel[s])
                for (int m = 0; m < rows; m += PIECE_ROWS)
                    piece[n++] = (struct panels_piece){ e, s, m, p0 };
    }
    return n;
}

void product_panels(struct run *r, const struct panels_product *p, char *work)
{
    const struct tensor *w = p->w;
    const int64_t N = w->shape[w->rank - 2].n, K = w->shape[w->rank - 1].n, rows = p->start[p->n_group] - p->start[0];
    if (!rows)
        return;
    const struct panels_layout l = panels_layout(w, p->x_rows, rows, p->x_bf16, work);
    struct panels_job j = { .p = p, .k = r->k, .piece = l.piece, .N = N, .K = K };
    const void *x32 = p->x_bf16 ? l.x32 : p->x;
    if (l.x32)
        product_from_bf16(r, (size_t)(p->x_rows * K), p->x, l.x32);
    if (l.x16)
        product_to_bf16(r, (size_t)(p->x_rows * K), p->x, l.x16);
    if (l.x8) {
        struct a8_job a = { r->k, x32, l.x8, K };
        if (p->x_rows <= FEW_ROWS)
            a8_rows(&a, 0, (int)p->x_rows, 0);
        else
            op_for_rows(r, p->x_rows, 8, a8_rows, &a);
    }
    j.x[FORM_F32] = x32, j.x[FORM_BF16] = p->x_bf16 ? p->x : l.x16, j.x[FORM_A8] = l.x8;
    for (int i = 0; i < w->panels.n_segment; i++)
        j.n_panel[i] = piece_panels(p, &w->panels.segment[i], r->n_thread);
    pool_for(r->pool, list_pieces(&j, l.piece), panels_piece_run, &j);
}
