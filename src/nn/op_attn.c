/* op_attn.c - qk_norm, rope and attention on qkv[T, (H + G) D + G Dv]: per token H query heads, G key heads, G value heads.
 *
 * Work is shared by (sequence, key/value head, block of queries): forward, the pieces are independent; backward, one piece
 * is a whole (sequence, key/value head), so that dk and dv are summed over queries in order. */
#include <assert.h>
#include <string.h>
#include "nn/op.h"

static int dv_of(const struct attr *a) { return a->d_v ? a->d_v : a->d_head; }
static ptrdiff_t qkv_cols(const struct attr *a) { return (a->n_head + a->n_kv_head) * a->d_head + a->n_kv_head * dv_of(a); }

static int row_position(const struct step *s, int i_seq) { return s->pos0 ? s->pos0[i_seq] : 0; }

/* ---- qk_norm ---- */

struct qk_job { struct run *r; const struct node *n; int64_t C; real *partial; };      /* partial: backward, of a chunk */

/* Norm number i of a row: a head's (norm_per_head), or all query heads' (0) and all key heads' (1). */
struct part { int column, width, n_norm; };
static struct part qk_part(const struct attr *a, int which)
{
    const int heads = which ? a->n_kv_head : a->n_head;
    return (struct part){ which ? a->n_head * a->d_head : 0, a->norm_per_head ? a->d_head : heads * a->d_head, a->norm_per_head ? heads : 1 };
}

static void qk_rows(const struct qk_job *j, int first, int n_row, real *partial)
{
    struct run *r = j->r;
    const struct node *n = j->n;
    const struct attr *a = &n->attr;
    const ptrdiff_t C = j->C, per_row = tensor_cols(op_tensor(r->g, n->out[1]));
    const int n_qk = (a->n_head + a->n_kv_head) * a->d_head, n_v = a->n_kv_head * a->d_head;
    const int width[2] = { qk_part(a, 0).width, qk_part(a, 1).width };
    if (partial)
        for (int i = 0; i < width[0] + width[1]; i++)
            partial[i] = 0;
    for (int row = first; row < first + n_row; row++) {
        const real *x = (const real *)op_data(r, n->in[0]) + row * C;
        real *rstd = (real *)op_data(r, n->out[1]) + row * per_row;
        for (int which = 0, i_norm = 0; which < 2; which++) {
            const struct part part = qk_part(a, which);
            for (int i = 0; i < part.n_norm; i++, i_norm++) {
                const int at = part.column + i * part.width;
                struct norm p = { .n_row = 1, .C = part.width, .x = x + at, .ld_x = C, .w = op_data(r, n->in[1 + which]),
                                  .eps = (real)a->eps, .rstd = rstd + i_norm };
                if (partial) {
                    p.dy = (const real *)op_data(r, n->d_out[0]) + row * C + at, p.ld_dy = C;
                    p.dx = (real *)op_data(r, n->d_in[0]) + row * C + at, p.ld_dx = C;
                    p.dw = n->d_in[1 + which] >= 0 ? partial + (which ? width[0] : 0) : NULL;
                    r->k->rmsnorm_bwd(&p);
                } else {
                    p.y = (real *)op_data(r, n->out[0]) + row * C + at, p.ld_y = C;
                    r->k->rmsnorm_fwd(&p);
                }
            }
        }
        if (partial)
            memcpy((real *)op_data(r, n->d_in[0]) + row * C + n_qk, (const real *)op_data(r, n->d_out[0]) + row * C + n_qk,
                   (size_t)n_v * sizeof(real));
        else
            memcpy((real *)op_data(r, n->out[0]) + row * C + n_qk, x + n_qk, (size_t)n_v * sizeof(real));
    }
}

static void qk_forward_rows(void *ctx, int first, int n_row, int i_thread)
{
    (void)i_thread;
    qk_rows(ctx, first, n_row, NULL);
}

static void qk_forward(struct run *r, const struct node *n)
{
    struct qk_job j = { r, n, tensor_cols(op_tensor(r->g, n->in[0])), NULL };
    op_for_rows(r, r->step->T, 16, qk_forward_rows, &j);
}

static int qk_width(const struct attr *a) { return qk_part(a, 0).width + qk_part(a, 1).width; }

static void qk_backward_chunk(void *ctx, int i_slice, int first, int n_row, int i_chunk, int i_thread)
{
    (void)i_slice, (void)i_thread;
    const struct qk_job *j = ctx;
    qk_rows(j, first, n_row, j->partial + (ptrdiff_t)i_chunk * qk_width(&j->n->attr));
}

static void qk_backward(struct run *r, const struct node *n)
{
    struct qk_job j = { r, n, tensor_cols(op_tensor(r->g, n->in[0])), (real *)(void *)r->work };
    const struct slices s = op_slices(r, n->in[0]);
    op_for_slices(r, &s, CHUNK, qk_backward_chunk, &j);
    const int width[2] = { qk_part(&n->attr, 0).width, qk_part(&n->attr, 1).width };
    for (int which = 0; which < 2; which++)
        if (n->d_in[1 + which] >= 0)
            op_sum_chunks(r, &s, width[which], j.partial + (which ? width[0] : 0), width[0] + width[1], op_data(r, n->d_in[1 + which]), op_adds(r, n, 1 + which));
}

static void qk_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    (void)S;
    if (n->pass == PASS_BACKWARD && !n->again)
        w->work = (size_t)(op_chunks(g, T) * qk_width(&n->attr)) * sizeof(real);
}

const struct op_code op_code_qk_norm = { qk_forward, qk_backward, qk_size };

/* ---- rope: in place on the query and key heads ---- */

struct rope_job { struct run *r; const struct node *n; real *x; int64_t C; bool inverse; };

static void rope_rows(void *ctx, int first, int n_row, int i_thread)
{
    (void)i_thread;
    const struct rope_job *j = ctx;
    const struct attr *a = &j->n->attr;
    const int32_t *pos = op_data(j->r, j->n->in[1]);
    const real *table = op_data(j->r, j->n->in[2]);
    for (int i = first; i < first + n_row; i++) {
        const struct rope p = { .n_head = a->n_head + a->n_kv_head, .d_head = a->d_head, .d_rot = a->d_rot, .x = j->x + i * j->C,
                                .cos_sin = table + (ptrdiff_t)pos[i] * a->d_rot, .inverse = j->inverse };
        (a->rope_pairs ? j->r->k->rope_pairs : j->r->k->rope_half)(&p);
    }
}

static void rope_forward(struct run *r, const struct node *n)
{
    struct rope_job j = { r, n, op_data(r, n->out[0]), tensor_cols(op_tensor(r->g, n->out[0])), false };
    op_for_rows(r, r->step->T, 32, rope_rows, &j);
}

static void rope_backward(struct run *r, const struct node *n)
{
    assert(n->d_in[0] == n->d_out[0]);
    struct rope_job j = { r, n, op_data(r, n->d_in[0]), tensor_cols(op_tensor(r->g, n->d_in[0])), true };
    op_for_rows(r, r->step->T, 32, rope_rows, &j);
}

const struct op_code op_code_rope = { rope_forward, rope_backward, NULL };

/* ---- attention ---- */

#define Q_BLOCK 64     /* queries of one piece of forward work */

struct attn_job { struct run *r; const struct node *n; };

static void (*attn_kernel(const struct attn_job *j, bool backward))(const struct attn *)
{
    const struct cpu_kernels *k = j->r->k;
    if (j->n->attr.compute == DT_BF16)
        return backward ? k->attn_bwd_bf16 : k->attn_fwd_bf16;
    return backward ? k->attn_bwd : k->attn_fwd;
}

/* The piece's operands; the caller sets n_q and moves q and o for a block of queries. */
static struct attn attn_of(struct run *r, const struct node *n, int i_seq, int i_kv)
{
    const struct attr *a = &n->attr;
    const struct step *s = r->step;
    const ptrdiff_t C = qkv_cols(a);
    const int group = a->n_head / a->n_kv_head, first = s->seq_start[i_seq], dv = dv_of(a);
    real *qkv = op_data(r, n->in[0]);
    struct attn p = { .n_q = s->seq_start[i_seq + 1] - first, .pos0 = row_position(s, i_seq), .n_group = group, .d = a->d_head,
                      .d_v = dv, .window = a->window, .all = a->bidirectional, .cap = (real)a->cap,
                      .q = qkv + first * C + i_kv * group * a->d_head, .ld_q = C, .scale = (real)a->scale,
                      .ld_lse = a->n_head, .ld_o = a->n_head * dv };
    if (n->in[3] >= 0)
        p.sink = (const real *)op_data(r, n->in[3]) + i_kv * group;
    p.lse = (real *)op_data(r, n->out[1]) + (ptrdiff_t)first * a->n_head + i_kv * group;
    p.o_bf16 = op_is(r->g, n->out[0], DT_BF16);
    p.o = (char *)op_data(r, n->out[0]) + (size_t)((ptrdiff_t)first * p.ld_o + i_kv * group * dv) * (p.o_bf16 ? sizeof(bf16) : sizeof(real));
    if (n->in[1] >= 0) {
        const struct tensor *kc = op_tensor(r->g, n->in[1]);
        const ptrdiff_t row = s->slot[i_seq] * kc->shape[1].n;
        p.ld_k = a->n_kv_head * a->d_head, p.ld_v = a->n_kv_head * dv;
        p.k = (const real *)kc->data + row * p.ld_k + i_kv * a->d_head;
        p.v = (const real *)op_data(r, n->in[2]) + row * p.ld_v + i_kv * dv;
    } else {
        p.k = qkv + first * C + (a->n_head + i_kv) * a->d_head;
        p.v = qkv + first * C + (a->n_head + a->n_kv_head) * a->d_head + i_kv * dv;
        p.ld_k = p.ld_v = C;
    }
    return p;
}

/* Item: (sequence, key/value head), its queries block by block. */
static void attn_forward_item(void *ctx, int i, int i_thread)
{
    const struct attn_job *j = ctx;
    const int G = j->n->attr.n_kv_head;
    struct attn p = attn_of(j->r, j->n, i / G, i % G);
    p.scratch = (real *)(void *)op_scratch(j->r, i_thread);
    attn_kernel(j, false)(&p);
}

static void attn_block_item(void *ctx, int i, int i_thread)
{
    const struct attn_job *j = ctx;
    const int G = j->n->attr.n_kv_head, block = i / G;
    struct attn p = attn_of(j->r, j->n, 0, i % G);
    const int at = block * Q_BLOCK;
    p.n_q = (int)min_i64(Q_BLOCK, p.n_q - at);
    p.pos0 += at;
    p.q += at * p.ld_q;
    p.lse += at * p.ld_lse;
    p.o = (char *)p.o + (size_t)(at * p.ld_o) * (p.o_bf16 ? sizeof(bf16) : sizeof(real));
    p.scratch = (real *)(void *)op_scratch(j->r, i_thread);
    attn_kernel(j, false)(&p);
}

struct store_job { struct run *r; const struct node *n; };

/* This step's keys and values into the cache. */
static void cache_item(void *ctx, int i_seq, int i_thread)
{
    (void)i_thread;
    const struct store_job *j = ctx;
    const struct attr *a = &j->n->attr;
    const struct step *s = j->r->step;
    const int64_t C = qkv_cols(a), k_row = a->n_kv_head * a->d_head, v_row = a->n_kv_head * dv_of(a);
    const struct tensor *kc = op_tensor(j->r->g, j->n->in[1]), *vc = op_tensor(j->r->g, j->n->in[2]);
    const int n = s->seq_start[i_seq + 1] - s->seq_start[i_seq], pos0 = row_position(s, i_seq);
    assert(pos0 + n <= kc->shape[1].n && s->slot[i_seq] < kc->shape[0].n);
    for (int i = 0; i < n; i++) {
        const real *qkv = (const real *)op_data(j->r, j->n->in[0]) + (s->seq_start[i_seq] + i) * C;
        const int64_t at = s->slot[i_seq] * kc->shape[1].n + pos0 + i;
        memcpy((real *)kc->data + at * k_row, qkv + a->n_head * a->d_head, (size_t)k_row * sizeof(real));
        memcpy((real *)vc->data + at * v_row, qkv + (a->n_head + a->n_kv_head) * a->d_head, (size_t)v_row * sizeof(real));
    }
}

static void attn_forward(struct run *r, const struct node *n)
{
    struct attn_job j = { r, n };
    if (n->in[1] >= 0)
        pool_for(r->pool, r->step->S, cache_item, &(struct store_job){ r, n });
    if (r->step->S == 1 && r->step->T > Q_BLOCK && !n->attr.bidirectional)
        pool_for(r->pool, (int)div_up(r->step->T, Q_BLOCK) * n->attr.n_kv_head, attn_block_item, &j);
    else
        pool_for(r->pool, r->step->S * n->attr.n_kv_head, attn_forward_item, &j);
}

static void attn_backward_item(void *ctx, int i, int i_thread)
{
    const struct attn_job *j = ctx;
    const struct attr *a = &j->n->attr;
    const int G = a->n_kv_head, i_seq = i / G, i_kv = i % G, group = a->n_head / G, first = j->r->step->seq_start[i_seq], dv = dv_of(a);
    const ptrdiff_t C = qkv_cols(a);
    struct attn p = attn_of(j->r, j->n, i_seq, i_kv);
    p.scratch = (real *)(void *)op_scratch(j->r, i_thread);
    p.ld_do = a->n_head * dv;
    p.d_o = (const real *)op_data(j->r, j->n->d_out[0]) + first * p.ld_do + i_kv * group * dv;
    real *d = (real *)op_data(j->r, j->n->d_in[0]) + first * C;
    p.ld_dq = p.ld_dk = p.ld_dv = C;
    p.dq = d + i_kv * group * a->d_head;
    p.dk = d + (a->n_head + i_kv) * a->d_head;
    p.dv = d + (a->n_head + G) * a->d_head + i_kv * dv;
    if (j->n->d_in[3] >= 0)
        p.dsink = (real *)(void *)j->r->work + i_seq * a->n_head + i_kv * group;
    attn_kernel(j, true)(&p);
}

static void attn_backward(struct run *r, const struct node *n)
{
    struct attn_job j = { r, n };
    pool_for(r->pool, r->step->S * n->attr.n_kv_head, attn_backward_item, &j);
    if (n->d_in[3] < 0)
        return;
    const int H = n->attr.n_head, n_slice = r->step->n_slice > 1 ? r->step->n_slice : 1;
    real *y = op_data(r, n->d_in[3]), *partial = (real *)(void *)r->work, *sum = n_slice > 1 ? partial + (ptrdiff_t)r->step->S * H : y;
    if (!op_adds(r, n, 3))
        memset(sum, 0, (size_t)(n_slice * H) * sizeof *sum);
    for (int v = 0; v < n_slice; v++) {
        const int first = n_slice > 1 ? r->step->slice[v] : 0, end = n_slice > 1 ? r->step->slice[v + 1] : r->step->S;
        r->k->col_sum(end - first, H, partial + (ptrdiff_t)first * H, H, sum + v * H);
    }
    op_sum_slices(r, n_slice, H, sum);
    if (sum != y)
        memcpy(y, sum, (size_t)H * sizeof *y);
}

static void attn_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    if (n->d_in[3] >= 0)               /* what each sequence's rows give the sinks, and each slice's */
        w->work = (size_t)(S + op_slices_max(g)) * (size_t)n->attr.n_head * sizeof(real);
    const int n_k = n->in[1] >= 0 ? (int)op_tensor(g, n->in[1])->shape[1].n : T;
    const int dv = dv_of(&n->attr), d = n->attr.d_head > dv ? n->attr.d_head : dv;
    w->scratch = cpu_attn_scratch(T, n_k, n->attr.n_head / n->attr.n_kv_head, d) * sizeof(real);
}

const struct op_code op_code_attention = { attn_forward, attn_backward, attn_size };

/* ---- mla_join: in: q[T,HD] (of a head: Dn, then Dr that turn), [T,R+Dr] with what turns of the keys, for all heads, last,
 * [T,H(Dn+Dv)] the rest of the keys and the values.  Scores do not mind that queries and keys are turned round alike ---- */

struct join_job { struct run *r; const struct node *n; };

static void join_rows(void *ctx, int first, int n_row, int i_thread)
{
    (void)i_thread;
    const struct join_job *j = ctx;
    const struct attr *a = &j->n->attr;
    const int H = a->n_head, D = a->d_head, Dr = a->d_rot, Dn = D - Dr, Dv = dv_of(a);
    const ptrdiff_t shared = tensor_cols(op_tensor(j->r->g, j->n->in[1])), C = qkv_cols(a);
    for (int t = first; t < first + n_row; t++) {
        const real *q = (const real *)op_data(j->r, j->n->in[0]) + (ptrdiff_t)t * H * D;
        const real *turning = (const real *)op_data(j->r, j->n->in[1]) + (t + 1) * shared - Dr;
        const real *kv = (const real *)op_data(j->r, j->n->in[2]) + (ptrdiff_t)t * H * (Dn + Dv);
        real *out = (real *)op_data(j->r, j->n->out[0]) + t * C;
        for (int h = 0; h < H; h++, q += D, kv += Dn + Dv) {
            real *to_q = out + h * D, *to_k = out + (H + h) * D;
            memcpy(to_q, q + Dn, (size_t)Dr * sizeof(real));
            memcpy(to_q + Dr, q, (size_t)Dn * sizeof(real));
            memcpy(to_k, turning, (size_t)Dr * sizeof(real));
            memcpy(to_k + Dr, kv, (size_t)Dn * sizeof(real));
            memcpy(out + 2 * H * D + h * Dv, kv + Dn, (size_t)Dv * sizeof(real));
        }
    }
}

static void join_forward(struct run *r, const struct node *n)
{
    struct join_job j = { r, n };
    op_for_rows(r, r->step->T, 16, join_rows, &j);
}

/* The same places the other way; what turns of the keys has the sum over the heads, and what else lies in its row 0. */
static void unjoin_rows(void *ctx, int first, int n_row, int i_thread)
{
    (void)i_thread;
    const struct join_job *j = ctx;
    const struct node *n = j->n;
    const struct attr *a = &n->attr;
    const int H = a->n_head, D = a->d_head, Dr = a->d_rot, Dn = D - Dr, Dv = dv_of(a);
    const ptrdiff_t shared = n->d_in[1] >= 0 ? tensor_cols(op_tensor(j->r->g, n->d_in[1])) : 0, C = qkv_cols(a);
    for (int t = first; t < first + n_row; t++) {
        const real *d = (const real *)op_data(j->r, n->d_out[0]) + t * C;
        real *dq = n->d_in[0] >= 0 ? (real *)op_data(j->r, n->d_in[0]) + (ptrdiff_t)t * H * D : NULL;
        real *turning = n->d_in[1] >= 0 ? (real *)op_data(j->r, n->d_in[1]) + (t + 1) * shared - Dr : NULL;
        real *dkv = n->d_in[2] >= 0 ? (real *)op_data(j->r, n->d_in[2]) + (ptrdiff_t)t * H * (Dn + Dv) : NULL;
        if (turning)
            memset(turning + Dr - shared, 0, (size_t)shared * sizeof(real));
        for (int h = 0; h < H; h++) {
            const real *from_q = d + h * D, *from_k = d + (H + h) * D;
            if (dq) {
                memcpy(dq + h * D + Dn, from_q, (size_t)Dr * sizeof(real));
                memcpy(dq + h * D, from_q + Dr, (size_t)Dn * sizeof(real));
            }
            for (int i = 0; turning && i < Dr; i++)
                turning[i] += from_k[i];
            if (dkv) {
                memcpy(dkv + h * (Dn + Dv), from_k + Dr, (size_t)Dn * sizeof(real));
                memcpy(dkv + h * (Dn + Dv) + Dn, d + 2 * H * D + h * Dv, (size_t)Dv * sizeof(real));
            }
        }
    }
}

static void join_backward(struct run *r, const struct node *n)
{
    struct join_job j = { r, n };
    op_for_rows(r, r->step->T, 16, unjoin_rows, &j);
}

const struct op_code op_code_mla_join = { join_forward, join_backward, NULL };
