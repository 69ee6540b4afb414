#include "train/fault.h"
#include <string.h>
#include "base/rng.h"

const char *fault_name(enum fault_kind kind)
{
    static const char *const names[] = {
#define X(name, word) word,
        FAULTS(X)
#undef X
    };
    return names[kind];
}

static uint64_t draw(const struct fault *f, uint64_t i, int64_t n) { return rng_below(rng_key(f->seed, "fault"), i, (uint64_t)n); }

static bool is_of_sample(enum fault_kind k) { return k >= FAULT_MISLABELLED && k <= FAULT_EXTREME; }

/* ---- samples ---- */

static void hit_row(const struct fault *f, int32_t *ids, int32_t *target, int n, int vocab)
{
    const int period = 1 + (int)draw(f, 10, 3);
    for (int i = 0; i < n; i++) {
        const uint64_t k = 1000 + (uint64_t)i;
        if (f->kind == FAULT_MISLABELLED)
            target[i] = (int32_t)draw(f, k, vocab);
        else if (f->kind == FAULT_GARBAGE)
            ids[i] = (int32_t)draw(f, k, vocab);
        else if (f->kind == FAULT_REPEAT)
            ids[i] = ids[i % period];
        else
            ids[i] = vocab - 1 - (int32_t)draw(f, k, vocab / 16 + 1);
    }
    if (f->kind != FAULT_MISLABELLED)
        memmove(target, ids + 1, (size_t)(n - 1) * sizeof *ids);
}

void fault_batch(struct fault *f, int64_t i_micro, int64_t n_micro, int ctx, int vocab, struct batch *b)
{
    const int64_t at = i_micro / n_micro - f->step;
    if (!is_of_sample(f->kind) || at < 0 || at >= (f->whole_steps ? f->whole_steps : 1))
        return;
    for (int i = 0; f->whole_steps && i < b->n / ctx; i++)
        hit_row(f, b->ids + i * ctx, b->target + i * ctx, ctx, vocab);
    if (f->whole_steps || i_micro % n_micro != (int64_t)draw(f, 0, n_micro))
        return;
    const int row = (int)draw(f, 1, b->n / ctx);
    f->i_micro = i_micro, f->row = row;
    hit_row(f, b->ids + row * ctx, b->target + row * ctx, ctx, vocab);
}

/* ---- numbers ---- */

static void flip(const struct fault *f, void *data, size_t bytes, int64_t count)
{
    const size_t size = bytes / (size_t)count, at = (size_t)draw(f, 2, count) * size;
    const uint64_t bit = draw(f, 3, (int64_t)(8 * size));
    ((unsigned char *)data)[at + bit / 8] ^= (unsigned char)(1u << (bit % 8));
}

static bool is_weight(const struct tensor *t) { return t->kind == TENSOR_WEIGHT || (t->kind == TENSOR_PACKED && !t->panels.n_segment); }

void fault_begin(struct fault *f, struct graph *g, int64_t step)
{
    f->k = f->k ? f->k : g->k;
    if (f->kind != FAULT_WEIGHT || step != f->step || f->done)
        return;
    f->done = true;
    int n = 0;
    for (int i = 0; i < g->n_tensor; i++)
        n += is_weight(&g->tensor[i]);
    int which = (int)draw(f, 4, n);
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (is_weight(t) && !which--)
            flip(f, t->data, t->bytes, (int64_t)(t->bytes / dtype_size(t->dtype)));
    }
}

/* The number tensor that a node of this pass made first; NULL: it made none. */
static const struct tensor *made(const struct graph *g, const struct node *n)
{
    const bool back = n->pass == PASS_BACKWARD && !n->again;
    for (int i = 0; i < NODE_OUT; i++) {
        const int id = back ? n->d_in[i] : n->out[i];
        if (id >= 0 && (g->tensor[id].dtype == DT_F32 || g->tensor[id].dtype == DT_BF16))
            return &g->tensor[id];
    }
    return NULL;
}

/* 64 numbers of the result become others of their size, as of a tile whose sums went wrong. */
static void spoil(const struct fault *f, const struct tensor *t, int64_t count)
{
    const int64_t at = (int64_t)draw(f, 5, count), n = count - at < 64 ? count - at : 64;
    const double factor = -2 - 30 * rng_uniform(f->seed, 6);
    if (t->dtype == DT_F32)
        for (int64_t i = at; i < at + n; i++)
            ((real *)t->data)[i] = (real)(((real *)t->data)[i] * factor + 8);
}

void fault_node(struct fault *f, const struct graph *g, const struct node *n, const struct step *step, int64_t at_step)
{
    const struct tensor *t = made(g, n);
    const int64_t count = t ? graph_rows(g, t, step) * tensor_cols(t) : 0;
    if (at_step != f->step || count < 1 || (n->pass != PASS_FORWARD && n->pass != PASS_BACKWARD))
        return;
    if (f->kind == FAULT_KERNEL) {
        int n_product = 0, which = -1;
        for (int i = 0; i < g->n_node; i++) {
            const struct node *m = &g->node[i];
            if (op_is_product(m->op) && (m->pass == PASS_FORWARD || m->pass == PASS_BACKWARD) && made(g, m) && made(g, m)->dtype == DT_F32) {
                which = m == n ? n_product : which;
                n_product++;
            }
        }
        if (g->k == f->k && n_product && which == (int)draw(f, 7, n_product))
            spoil(f, t, count);
        return;
    }
    const enum pass pass = f->kind == FAULT_ACTIVATION ? PASS_FORWARD : PASS_BACKWARD;
    if ((f->kind != FAULT_ACTIVATION && f->kind != FAULT_GRADIENT) || f->done || n->pass != pass)
        return;
    int n_node = 0, which = -1;
    for (int i = 0; i < g->n_node; i++)
        if (g->node[i].pass == pass && made(g, &g->node[i])) {
            which = &g->node[i] == n ? n_node : which;
            n_node++;
        }
    if (which == (int)draw(f, 8, n_node)) {
        f->done = true;
        flip(f, t->data, (size_t)count * dtype_size(t->dtype), count);
    }
}
