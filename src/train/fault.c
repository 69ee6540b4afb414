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

/* Numbers of a result as they come out where a kernel is wrong. */
static void spoil(const struct fault *f, real *x, int64_t n)
{
    const double factor = -2 - 30 * rng_uniform(f->seed, 6);
    const int form = (int)draw(f, 9, 4);
    for (int64_t i = 0; i < n; i++)
        x[i] = form == 0 ? (real)(x[i] * factor + 8) : form == 1 ? 0 : form == 2 ? -x[i] : x[i] * (real)1.25;
}

/* ---- a wrong kernel: that of the product which comes next, else the numbers of another node after it has run ---- */

static const struct fault *armed;
static struct cpu_kernels wrong;
static void (*right)(const struct gemm *), (*right_bf16)(const struct gemm *);

/* Of the first piece of the product: 64 numbers, row by row. */
static void spoil_piece(const struct gemm *g)
{
    const int64_t count = (int64_t)g->M * g->N, at = (int64_t)draw(armed, 5, count);
    for (int64_t i = at; i < count && i < at + 64; i++)
        spoil(armed, g->c + i / g->N * g->ldc + i % g->N, 1);
    armed = NULL;
}

static void wrong_gemm(const struct gemm *g)
{
    right(g);
    if (armed && g->M && g->N)
        spoil_piece(g);
}

static void wrong_gemm_bf16(const struct gemm *g)
{
    right_bf16(g);
    if (armed && g->M && g->N)
        spoil_piece(g);
}

static void put_kernels(struct fault *f, struct graph *g, int64_t step)
{
    if (f->kind != FAULT_KERNEL)
        return;
    armed = NULL;
    if (step != f->step) {
        g->k = f->k;
        return;
    }
    wrong = *f->k;
    right = wrong.gemm, right_bf16 = wrong.gemm_bf16;
    wrong.gemm = wrong_gemm, wrong.gemm_bf16 = wrong_gemm_bf16;
    g->k = &wrong;
}

void fault_begin(struct fault *f, struct graph *g, int64_t step)
{
    f->k = f->k ? f->k : g->k;
    put_kernels(f, g, step);
    if ((f->kind != FAULT_WEIGHT && !f->weight_too) || step != f->step || f->done)
        return;
    f->done = --f->times < 1;
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

static bool computes(const struct graph *g, const struct node *n) { return (n->pass == PASS_FORWARD || n->pass == PASS_BACKWARD) && made(g, n) && made(g, n)->dtype == DT_F32; }

/* The node that is wrong. */
static const struct node *wrong_node(const struct fault *f, const struct graph *g)
{
    int n = 0;
    for (int i = 0; i < g->n_node; i++)
        n += computes(g, &g->node[i]);
    int which = (int)draw(f, 7, n);
    for (int i = 0; i < g->n_node; i++)
        if (computes(g, &g->node[i]) && !which--)
            return &g->node[i];
    return NULL;
}

/* The node that runs after n: of its pass, or the first of the backward pass. */
static const struct node *next_node(const struct graph *g, const struct node *n)
{
    for (const struct node *m = n + 1; m < g->node + g->n_node; m++)
        if (m->pass == n->pass)
            return m;
    for (const struct node *m = g->node; m < g->node + g->n_node && n->pass == PASS_FORWARD; m++)
        if (m->pass == PASS_BACKWARD)
            return m;
    return NULL;
}

static void kernel_after(const struct fault *f, const struct graph *g, const struct node *n, const struct tensor *t, int64_t count)
{
    const struct node *bad = wrong_node(f, g);
    if (strcmp(g->k->level, f->k->level))            /* another level's kernels are right */
        return;
    armed = bad && op_is_product(bad->op) && next_node(g, n) == bad ? f : NULL;
    if (n != bad || op_is_product(n->op) || count < 1)
        return;
    const int64_t at = (int64_t)draw(f, 5, count);
    spoil(f, (real *)t->data + at, count - at < 64 ? count - at : 64);
}

void fault_node(struct fault *f, const struct graph *g, const struct node *n, const struct step *step, int64_t at_step)
{
    const struct tensor *t = made(g, n);
    const int64_t count = t ? graph_rows(g, t, step) * tensor_cols(t) : 0;
    if (at_step != f->step || (n->pass != PASS_FORWARD && n->pass != PASS_BACKWARD))
        return;
    if (f->kind == FAULT_KERNEL)
        kernel_after(f, g, n, t, count);
    if (count < 1)
        return;
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
