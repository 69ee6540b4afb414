/* op_attn_paged.c - attention for inference: norm and rotation of q and k, their keys and values into pages, and attention over
 * what the pages hold, as one operation (cpu/attn_step.h).
 *
 *   in: qkv [T, (H + G) D + G Dv], cache [G, pages, page], q_norm, k_norm [D] (-1: none), sinks [H] (-1), table of cos and sin (-1) */
#include <assert.h>
#include "cpu/attn_step.h"
#include "nn/op.h"

static int dv_of(const struct attr *a) { return a->d_v ? a->d_v : a->d_head; }

struct paged_layout { struct attn_seq *seq; void *work; size_t size; };

static struct paged_layout paged_layout(const struct graph *g, const struct node *n, int S, int n_thread, char *base)
{
    const struct attr *a = &n->attr;
    (void)g;
    struct paged_layout l = { 0 };
    l.seq = work_take(base, &l.size, (size_t)S * sizeof *l.seq);
    l.work = work_take(base, &l.size, attn_step_work(S, a->ctx, a->n_kv_head, a->n_head / a->n_kv_head, dv_of(a), n_thread));
    return l;
}

static void size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    (void)T;
    const struct attr *a = &n->attr;
    w->work = paged_layout(g, n, S, w->n_thread, NULL).size;
    w->scratch = attn_step_scratch(a->n_head / a->n_kv_head, a->d_head, dv_of(a));
}

static void forward(struct run *r, const struct node *n)
{
    const struct attr *a = &n->attr;
    const struct step *s = r->step;
    const struct tensor *cache = op_tensor(r->g, n->in[1]);
    const struct paged_layout l = paged_layout(r->g, n, s->S, r->n_thread, r->work);
    for (int i = 0; i < s->S; i++) {
        const int pos0 = s->pos0 ? s->pos0[i] : 0, n_q = s->seq_start[i + 1] - s->seq_start[i];
        assert((pos0 + n_q + KV_TOKENS - 1) / KV_TOKENS <= s->page_stride);
        l.seq[i] = (struct attn_seq){ s->seq_start[i], n_q, pos0, s->page + (ptrdiff_t)i * s->page_stride };
    }
    const int H = a->n_head, G = a->n_kv_head, D = a->d_head, dv = dv_of(a);
    const ptrdiff_t C = (H + G) * D + G * dv;
    real *qkv = op_data(r, n->in[0]);
    const size_t page = (size_t)cache->shape[2].n * dtype_size(cache->dtype);
    const struct attn_step step = {
        .kernels = r->k, .pool = r->pool, .n_seq = s->S, .seq = l.seq, .n_kv_head = G, .n_group = H / G, .dk = D, .dv = dv,
        .cache = cache->data, .page_stride = page, .head_stride = page * (size_t)cache->shape[1].n, .type = op_kv_type(cache->dtype),
        .q = qkv, .k = qkv + H * D, .v = qkv + (H + G) * D, .ld_q = C, .ld_k = C, .ld_v = C,
        .q_norm = op_data(r, n->in[2]), .k_norm = op_data(r, n->in[3]), .eps = (real)a->eps,
        .cos_sin = op_data(r, n->in[5]), .d_rot = a->d_rot, .rope_pairs = a->rope_pairs,
        .window = a->window, .scale = (real)a->scale, .softcap = (real)a->cap, .sink = op_data(r, n->in[4]),
        .o = op_data(r, n->out[0]), .ld_o = H * dv, .o_bf16 = op_is(r->g, n->out[0], DT_BF16),
        .scratch = r->scratch, .scratch_step = r->scratch_size, .work = l.work,
    };
    attn_step(&step);
}

const struct op_code op_code_attention_paged = { forward, NULL, size };
