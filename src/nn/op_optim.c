/* op_optim.c - what happens to weights: packing into panels, sums of squares of gradients, AdamW, SGD (Muon: op_muon.c). */
#include <string.h>
#include "base/rng.h"
#include "nn/op.h"

/* ---- a weight [N,K] or [E,N,K] by bands: PANEL rows of a matrix, whose panels are made while the band is in the cache ---- */

struct bands { int64_t N, K, per_matrix, n; };
struct band { int64_t matrix, row; int rows; size_t at; };

static struct bands bands_of(const struct tensor *w)
{
    const bool cube = w->rank == 3;
    struct bands b = { .N = w->rank > 1 ? w->shape[cube].n : 1, .K = w->shape[w->rank - 1].n };
    b.per_matrix = div_up(b.N, PANEL);
    b.n = b.per_matrix * (cube ? w->shape[0].n : 1);
    return b;
}

static struct band band_at(const struct bands *b, int i)
{
    struct band d = { .matrix = i / b->per_matrix, .row = i % b->per_matrix * PANEL };
    d.rows = (int)min_i64(PANEL, b->N - d.row);
    d.at = (size_t)((d.matrix * b->N + d.row) * b->K);
    return d;
}

/* Into panels over rows, b[K,N] = w^T for x * w^T, or over columns, b[N,K] = w for dy * w. */
static void pack_band(const struct cpu_kernels *k, const struct bands *b, const struct band *d, const real *band, void *to, enum dtype type, bool cols)
{
    const size_t each = cols ? cpu_panel_size((size_t)b->N, (size_t)b->K) : cpu_panel_size((size_t)b->K, (size_t)b->N);
    const size_t panel = cpu_panel_size((size_t)(cols ? b->N : b->K), PANEL), at = (size_t)d->matrix * each + (cols ? (size_t)d->row * PANEL : (size_t)d->row / PANEL * panel);
    const struct pack p = { .K = cols ? d->rows : (int)b->K, .N = cols ? (int)b->K : d->rows, .src = band, .ld = b->K,
                            .out = (char *)to + at * dtype_size(type), .panel = (ptrdiff_t)panel };
    const bool b16 = type == DT_BF16;
    (cols ? b16 ? k->pack_cols_bf16 : k->pack_cols : b16 ? k->pack_rows_bf16 : k->pack_rows)(&p);
}

struct pack_job { struct bands b; const struct graph *g; const struct tensor *w; int only; const struct cpu_kernels *k; };      /* only: one of the two forms, or -1 */

static void pack_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct pack_job *j = ctx;
    const struct band d = band_at(&j->b, i);
    for (int cols = 0; cols < 2; cols++)
        if (j->w->packed[cols] >= 0 && (j->only < 0 || j->only == cols)) {
            const struct tensor *to = op_tensor(j->g, j->w->packed[cols]);
            pack_band(j->k, &j->b, &d, (const real *)j->w->data + d.at, to->data, to->dtype, cols);
        }
}

static void pack_weight(struct run *r, const struct tensor *w, int only)
{
    struct pack_job j = { bands_of(w), r->g, w, only, r->k };
    pool_for(r->pool, (int)j.b.n, pack_item, &j);
}

void op_repack(struct run *r, const struct tensor *w)
{
    if (op_owns_all(r->g) && (w->packed[0] >= 0 || w->packed[1] >= 0))
        pack_weight(r, w, -1);
}

/* in[1]: w */
static void pack_forward(struct run *r, const struct node *n) { pack_weight(r, op_tensor(r->g, n->in[1]), n->attr.by_cols); }

const struct op_code op_code_pack = { pack_forward, NULL, NULL };

/* ---- weights whose rows lie in a file ---- */

size_t op_panels_room(const struct graph *g, const struct node *n, bool cols)
{
    const struct tensor *w = op_tensor(g, n->in[1]);
    if (w->kind != TENSOR_MAPPED)
        return 0;
    const struct bands b = bands_of(w);
    const size_t each = cols ? cpu_panel_size((size_t)b.N, (size_t)b.K) : cpu_panel_size((size_t)b.K, (size_t)b.N);
    return (size_t)(w->rank == 3 ? w->shape[0].n : 1) * each * dtype_size(n->attr.compute);
}

size_t op_panels_scratch(const struct graph *g, const struct node *n)
{
    const struct tensor *w = op_tensor(g, n->in[1]);
    return w->kind == TENSOR_MAPPED ? (size_t)(PANEL * tensor_cols(w)) * sizeof(real) : 0;
}

struct unpack_job { struct run *r; struct bands b; const struct mapped_row *row; void *to; enum dtype type; bool cols; };

static void unpack_item(void *ctx, int i, int i_thread)
{
    const struct unpack_job *j = ctx;
    const struct band d = band_at(&j->b, i);
    real *band = (real *)(void *)op_scratch(j->r, i_thread);
    for (int k = 0; k < d.rows; k++) {
        const struct mapped_row *row = &j->row[d.matrix * j->b.N + d.row + k];
        type_dequantize(row->type, j->b.K, row->data, (void *)(band + k * j->b.K));
    }
    pack_band(j->r->k, &j->b, &d, band, j->to, j->type, j->cols);
}

const void *op_panels(struct run *r, const struct node *n, bool cols, void *room)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    if (w->kind != TENSOR_MAPPED)
        return op_data(r, n->in[4 + cols]);
    struct unpack_job j = { r, bands_of(w), w->row, room, n->attr.compute, cols };
    pool_for(r->pool, (int)j.b.n, unpack_item, &j);
    return room;
}

/* ---- sum_squares: in: gradient, w; out: one double per block (op_squares()), of a part of a weight at this process's place ---- */

struct square_job { const real *x; double *out; struct squares s; size_t offset; const struct cpu_kernels *k; const struct graph *g; };

static void square_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct square_job *j = ctx;
    const int64_t in_expert = i % j->s.per_expert * SQUARE_BLOCK, at = i / j->s.per_expert * j->s.each + in_expert;
    if (op_owns(j->g, j->offset + (size_t)at * sizeof(real)))
        j->out[i] = j->k->sum_squares((size_t)min_i64(j->s.each - in_expert, SQUARE_BLOCK), j->x + at);
}

static void square_forward(struct run *r, const struct node *n)
{
    const struct tensor *x = op_tensor(r->g, n->in[0]), *w = op_tensor(r->g, n->in[1]);
    struct square_job j = { x->data, op_data(r, n->out[0]), op_squares(w), x->offset, r->k, r->g };
    j.out += w->n_peer ? r->g->peers->rank * j.s.n : 0;
    pool_for(r->pool, (int)j.s.n, square_block, &j);
}

const struct op_code op_code_sum_squares = { square_forward, NULL, NULL };

/* ---- the optimiser's state ---- */

void op_draws(const struct run *r, const struct tensor *w, int id, struct op_draws *d)
{
    const struct tensor *t = op_tensor(r->g, id);
    const int64_t n = t->dtype != DT_BF16 ? 0 : w->n_peer ? STATE_CHUNK : min_i64(tensor_count(t, 1, 1), STATE_CHUNK);
    const uint64_t key = rng_key(r->step->seed, t->name);
    for (int64_t i = 0; i < n; i += 4) {
        const struct rng_u32x4 four = rng_philox(key, r->step->i_step, (uint64_t)i);
        memcpy(&d->of[i], four.v, sizeof four.v);
    }
}

struct op_state op_state(const struct run *r, const struct tensor *w, int id, const struct op_draws *d)
{
    const struct tensor *t = op_tensor(r->g, id);
    const uint64_t key = t->dtype == DT_BF16 ? rng_u64(rng_key(r->step->seed, t->name), ~r->step->i_step) : 0;
    return (struct op_state){ t->data, t->dtype == DT_BF16, key, d, w->n_peer ? (size_t)(r->g->peers->rank * tensor_count(t, 1, 1)) : 0 };
}

size_t op_state_chunk(const struct op_state *s, size_t at, size_t to)
{
    const size_t n = STATE_CHUNK - (s->first + at) % STATE_CHUNK;
    return s->b16 && n < to - at ? n : to - at;
}

real *op_state_get(const struct cpu_kernels *k, const struct op_state *s, size_t at, size_t n, real room[STATE_CHUNK])
{
    if (!s->b16)
        return (real *)s->data + at;
    k->from_bf16(n, (const bf16 *)s->data + at, room);
    return room;
}

void op_state_put(const struct cpu_kernels *k, const struct op_state *s, size_t at, size_t n, const real *x)
{
    const size_t element = s->first + at;
    if (s->b16)
        k->to_bf16_random(n, x, (bf16 *)s->data + at, s->draws->of + element % STATE_CHUNK, (uint32_t)rng_u64(s->key, element / STATE_CHUNK));
}

/* ---- adamw: in: gradient, w, m, v.  Updates the panels of w too ---- */

struct adamw_job { struct pack_job pack; real *w; struct op_state m, v; const real *g; struct adamw p; size_t from, to; };      /* of elements that are this process's */

static void adamw_range(const struct adamw_job *j, size_t from, size_t to)
{
    const struct cpu_kernels *k = j->pack.k;
    real room_m[STATE_CHUNK], room_v[STATE_CHUNK];
    for (size_t at = from, n; at < to; at += n) {
        n = op_state_chunk(&j->m, at, to);
        real *m = op_state_get(k, &j->m, at, n, room_m), *v = op_state_get(k, &j->v, at, n, room_v);
        k->adamw(n, j->w + at, j->g + at, m, v, &j->p);
        op_state_put(k, &j->m, at, n, m);
        op_state_put(k, &j->v, at, n, v);
    }
}

static void adamw_band(void *ctx, int i, int i_thread)
{
    struct adamw_job *j = ctx;
    const struct bands *b = &j->pack.b;
    const struct band d = band_at(b, i);
    const size_t end = d.at + (size_t)(d.rows * b->K), from = d.at > j->from ? d.at : j->from, to = end < j->to ? end : j->to;
    if (from < to)
        adamw_range(j, from, to);
    if (op_owns_all(j->pack.g))
        pack_item(&j->pack, i, i_thread);
}

static void adamw_forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    const struct owned own = op_owned(r->g, n->in[0]);
    struct op_draws draws;
    op_draws(r, w, n->in[2], &draws);
    struct adamw_job j = { { bands_of(w), r->g, w, -1, r->k }, w->data, op_state(r, w, n->in[2], &draws), op_state(r, w, n->in[3], &draws), op_data(r, n->in[0]), r->step->adamw, own.from, own.to };
    if (!w->decay)
        j.p.wd = 0;
    pool_for(r->pool, (int)j.pack.b.n, adamw_band, &j);
}

const struct op_code op_code_adamw = { adamw_forward, NULL, NULL };

/* ---- sgd: in: gradient, w, m ---- */

struct sgd_job { real *w; struct op_state m; const real *g; size_t from, to; struct momentum p; const struct cpu_kernels *k; };

static void sgd_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct sgd_job *j = ctx;
    const size_t first = j->from + (size_t)i * SQUARE_BLOCK, end = j->to - first < SQUARE_BLOCK ? j->to : first + SQUARE_BLOCK;
    real room[STATE_CHUNK];
    for (size_t at = first, n; at < end; at += n) {
        n = op_state_chunk(&j->m, at, end);
        real *m = op_state_get(j->k, &j->m, at, n, room);
        j->k->sgd(n, j->w + at, j->g + at, m, &j->p);
        op_state_put(j->k, &j->m, at, n, m);
    }
}

static void sgd_forward(struct run *r, const struct node *n)
{
    const struct tensor *w = op_tensor(r->g, n->in[1]);
    const struct owned own = op_owned(r->g, n->in[0]);
    struct op_draws draws;
    op_draws(r, w, n->in[2], &draws);
    struct sgd_job j = { w->data, op_state(r, w, n->in[2], &draws), op_data(r, n->in[0]), own.from, (size_t)min_i64((int64_t)own.to, tensor_count(w, 1, 1)), r->step->momentum, r->k };
    if (!w->decay)
        j.p.wd = 0;
    pool_for(r->pool, (int)div_up((int64_t)(j.to - j.from), SQUARE_BLOCK), sgd_block, &j);
    op_repack(r, w);
}

const struct op_code op_code_sgd = { sgd_forward, NULL, NULL };
