/* op_embed.c - operations that only move or add rows: embed, take_rows, add, dropout. */
#include <assert.h>
#include <string.h>
#include "base/rng.h"
#include "nn/op.h"

/* ---- embed: in: ids, w.  out = scale * row first + id of w ---- */

struct embed_job { const int32_t *id; real *w, *rows; int64_t C, n_row; const struct cpu_kernels *k; real scale; int64_t first, n_w; bool in_parts; };

/* The row of an id; NULL: another process has it. */
static real *row_of(const struct embed_job *j, int32_t id)
{
    const int64_t row = j->first + id;
    return j->in_parts && (row < 0 || row >= j->n_w) ? NULL : j->w + row * j->C;
}

static void embed_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct embed_job *j = ctx;
    for (int i = first; i < first + n; i++) {
        const real *w = row_of(j, j->id[i]);
        if (w)
            memcpy(j->rows + i * j->C, w, (size_t)j->C * sizeof(real));
        else
            memset(j->rows + i * j->C, 0, (size_t)j->C * sizeof(real));
        if (j->scale != 1)
            j->k->scale((size_t)j->C, j->scale, j->rows + i * j->C);
    }
}

struct mapped_job { const int32_t *id; const struct tensor *w; real *rows; int64_t C; int first; const struct cpu_kernels *k; real scale; };

static void mapped_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct mapped_job *j = ctx;
    const size_t bytes = j->w->row ? 0 : type_bytes(j->w->mapped_type, j->C);
    for (int i = first; i < first + n; i++) {
        const int at = j->first + j->id[i];
        const struct mapped_row row = j->w->row ? j->w->row[at] : (struct mapped_row){ (const char *)j->w->data + (size_t)at * bytes, j->w->mapped_type };
        type_dequantize(row.type, j->C, row.data, (void *)(j->rows + i * j->C));
        if (j->scale != 1)
            j->k->scale((size_t)j->C, j->scale, j->rows + i * j->C);
    }
}

static struct embed_job embed_job(const struct run *r, const struct node *n, const struct tensor *w, void *data, int rows)
{
    const int64_t C = tensor_cols(op_tensor(r->g, rows));
    return (struct embed_job){ op_data(r, n->in[0]), data, op_data(r, rows), C, tensor_rows(op_tensor(r->g, rows), r->step->T, r->step->S), r->k, (real)n->attr.scale,
                               n->attr.first - w->first_row, tensor_rows(w, 0, 0), w->n_part > 0 };
}

static void embed_forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    const int64_t C = tensor_cols(op_tensor(r->g, n->out[0]));
    if (w->kind == TENSOR_MAPPED) {
        struct mapped_job m = { op_data(r, n->in[0]), w, op_data(r, n->out[0]), C, n->attr.first, r->k, (real)n->attr.scale };
        op_for_rows(r, tensor_rows(op_tensor(r->g, n->out[0]), r->step->T, r->step->S), 64, mapped_rows, &m);
        return;
    }
    struct embed_job j = embed_job(r, n, w, w->data, n->out[0]);
    op_for_rows(r, tensor_rows(op_tensor(r->g, n->out[0]), r->step->T, r->step->S), 64, embed_rows, &j);
}

/* Columns in blocks, so that each element of dw is summed by one thread, tokens ascending. */
#define COLUMNS 32
static void embed_columns(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct embed_job *j = ctx;
    const int64_t c = (int64_t)i * COLUMNS, n = min_i64(COLUMNS, j->C - c);
    for (int64_t t = 0; t < j->n_row; t++) {
        real *w = row_of(j, j->id[t]);
        if (!w)
            continue;
        w += c;
        const real *dy = j->rows + t * j->C + c;
        if (j->scale == 1)
            j->k->add((size_t)n, w, dy, w);
        else
            for (int64_t k = 0; k < n; k++)
                w[k] += j->scale * dy[k];
    }
}

/* ---- of several slices: the rows that were met, of each slice, then their sums.  in[2]: what the head's gradient has there, or none ---- */

int op_slots(const int32_t *id, int n, int first, int n_row, int32_t *slot, int32_t *row)
{
    int met = 0;
    memset(slot, -1, (size_t)n_row * sizeof *slot);
    for (int i = 0; i < n; i++)
        if (slot[first + id[i]] < 0) {
            if (row)
                row[met] = first + id[i];
            slot[first + id[i]] = met++;
        }
    return met;
}

struct slots { int32_t *slot, *row; real *kept; size_t size; };

static struct slots slots(const struct graph *g, const struct node *n, int64_t rows, char *base)
{
    const struct tensor *w = op_tensor(g, n->in[1]);
    const int64_t V = w->shape[0].n, most = min_i64(rows, V);
    struct slots s = { 0 };
    if (op_slices_max(g) == 1)
        return s;
    s.slot = work_take(base, &s.size, (size_t)V * sizeof *s.slot);
    s.row = work_take(base, &s.size, (size_t)most * sizeof *s.row);
    if (n->in[2] < 0)
        s.kept = work_take(base, &s.size, (size_t)(most * op_slices_max(g) * tensor_cols(w)) * sizeof(real));
    return s;
}

static void embed_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    if (n->pass == PASS_BACKWARD && !n->again)
        w->work = slots(g, n, tensor_rows(op_tensor(g, n->d_out[0]), T, S), NULL).size;
}

struct embed_slices_job { struct embed_job e; const struct slices *s; struct slots at; int met, first; };

static void embed_slices_columns(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct embed_slices_job *j = ctx;
    const struct embed_job *e = &j->e;
    const int64_t c = (int64_t)i * COLUMNS, n = min_i64(COLUMNS, e->C - c);
    for (int v = 0; v < j->s->n; v++)
        for (int64_t t = j->s->row[v]; t < j->s->row[v + 1]; t++) {
            real *w = j->at.kept + ((int64_t)j->at.slot[j->first + e->id[t]] * j->s->n + v) * e->C + c;
            const real *dy = e->rows + t * e->C + c;
            if (e->scale == 1)
                e->k->add((size_t)n, w, dy, w);
            else
                for (int64_t k = 0; k < n; k++)
                    w[k] += e->scale * dy[k];
        }
    for (int u = 0; u < j->met; u++) {
        real *leaf = j->at.kept + (int64_t)u * j->s->n * e->C + c;
        for (int w = 1; w < j->s->n; w *= 2)
            for (int v = 0; v < j->s->n; v += 2 * w)
                e->k->add((size_t)n, leaf + v * e->C, leaf + (v + w) * e->C, leaf + v * e->C);
        memcpy(e->w + j->at.row[u] * e->C + c, leaf, (size_t)n * sizeof(real));
    }
}

static void embed_slices(struct run *r, const struct node *n, const struct slices *s)
{
    const struct tensor *dw = op_tensor(r->g, n->d_in[1]), *dy = op_tensor(r->g, n->d_out[0]);
    const int64_t C = tensor_cols(dy);
    assert(!dw->n_part);                                 /* a divided vocabulary is learned slice by slice */
    struct embed_slices_job j = { .e = { .id = op_data(r, n->in[0]), .w = dw->data, .rows = dy->data, .C = C, .n_row = s->row[s->n], .k = r->k, .scale = (real)n->attr.scale }, .s = s, .first = n->attr.first };
    j.at = slots(r->g, n, s->row[s->n], r->work);
    j.met = op_slots(j.e.id, s->row[s->n], j.first, (int)dw->shape[0].n, j.at.slot, j.at.row);
    if (n->in[2] >= 0) {
        j.at.kept = op_data(r, n->in[2]);
    } else {
        memset(dw->data, 0, dw->bytes);
        memset(j.at.kept, 0, (size_t)(j.met * s->n * C) * sizeof(real));
    }
    pool_for(r->pool, (int)div_up(C, COLUMNS), embed_slices_columns, &j);
}

static void embed_backward(struct run *r, const struct node *n)
{
    const struct tensor *dw = op_tensor(r->g, n->d_in[1]);
    const struct slices s = op_slices(r, n->d_out[0]);
    if (s.n > 1) {
        embed_slices(r, n, &s);
        return;
    }
    if (!op_adds(r, n, 1))
        memset(dw->data, 0, dw->bytes);
    struct embed_job j = embed_job(r, n, op_tensor(r->g, n->in[1]), dw->data, n->d_out[0]);
    pool_for(r->pool, (int)div_up(j.C, COLUMNS), embed_columns, &j);
}

const struct op_code op_code_embed = { embed_forward, embed_backward, embed_size };

/* ---- take_rows: in: x, index ---- */

static void take_forward(struct run *r, const struct node *n)
{
    const struct tensor *x = op_tensor(r->g, n->in[0]);
    const size_t row = (size_t)tensor_cols(x) * dtype_size(x->dtype);
    const int32_t *index = op_data(r, n->in[1]);
    for (int i = 0; i < r->step->S; i++)
        memcpy((char *)op_data(r, n->out[0]) + (size_t)i * row, (const char *)x->data + (size_t)index[i] * row, row);
}

const struct op_code op_code_take_rows = { take_forward, NULL, NULL };

/* ---- add ---- */

#define BLOCK 16384
struct add_job { size_t n; const real *a, *b; const bf16 *a16; real *y; const struct cpu_kernels *k; uint64_t key; real p; bool add; };

static void add_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct add_job *j = ctx;
    const size_t at = (size_t)i * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
    j->k->add(n, j->a + at, j->b + at, j->y + at);
}

static size_t count(struct run *r, int id) { return (size_t)tensor_count(op_tensor(r->g, id), r->step->T, r->step->S); }

static void add_forward(struct run *r, const struct node *n)
{
    struct add_job j = { .n = count(r, n->out[0]), .a = op_data(r, n->in[0]), .b = op_data(r, n->in[1]), .y = op_data(r, n->out[0]), .k = r->k };
    pool_for(r->pool, (int)div_up((int64_t)j.n, BLOCK), add_block, &j);
}

/* Only the second input, and only when it needs a gradient of its own: a copy (backward.c). */
static void add_backward(struct run *r, const struct node *n)
{
    memcpy(op_data(r, n->d_in[1]), op_data(r, n->d_out[0]), count(r, n->d_out[0]) * sizeof(real));
}

const struct op_code op_code_add = { add_forward, add_backward, NULL };

/* ---- dropout: in: x, add.  The choice for element i of step s is a function of (seed, stream, s, i) ---- */

static void dropout_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct add_job *j = ctx;
    const size_t at = (size_t)i * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
    if (j->b)
        memcpy(j->y + at, j->b + at, n * sizeof(real));
    if (j->a16)
        j->k->from_bf16(n, j->a16 + at, j->y + at);
    j->k->dropout(n, (j->a16 ? j->y : j->a) + at, j->y + at, j->key, at, j->p, j->add);
}

/* Of several slices each has its own number, the first i_step. */
static void dropout(struct run *r, const struct node *n, struct add_job *whole, int out)
{
    const struct slices s = op_slices(r, out);
    const int64_t C = tensor_cols(op_tensor(r->g, out));
    for (int v = 0; v < s.n; v++) {
        const int64_t at = s.row[v] * C;
        struct add_job j = *whole;
        j.n = (size_t)(s.row[v + 1] * C - at), j.y = (real *)op_data(r, out) + at, j.k = r->k, j.p = (real)n->attr.p;
        j.a = j.a ? j.a + at : NULL, j.a16 = j.a16 ? j.a16 + at : NULL, j.b = j.b ? j.b + at : NULL;
        j.key = rng_u64(r->step->seed ^ (n->attr.stream * 0x9e3779b97f4a7c15u), r->step->i_step + (uint64_t)v);
        pool_for(r->pool, (int)div_up((int64_t)j.n, BLOCK), dropout_block, &j);
    }
}

static void dropout_forward(struct run *r, const struct node *n)
{
    const bool b16 = op_is(r->g, n->in[0], DT_BF16);
    struct add_job j = { .a = b16 ? NULL : op_data(r, n->in[0]), .a16 = b16 ? op_data(r, n->in[0]) : NULL, .b = op_data(r, n->in[1]), .add = n->in[1] >= 0 };
    dropout(r, n, &j, n->out[0]);
}

static void dropout_backward(struct run *r, const struct node *n)
{
    struct add_job j = { .a = op_data(r, n->d_out[0]), .add = op_adds(r, n, 0) };
    dropout(r, n, &j, n->d_in[0]);
}

const struct op_code op_code_dropout = { dropout_forward, dropout_backward, NULL };
