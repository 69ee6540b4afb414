/* plan.c - where every byte of a graph lies, decided before it runs.
 *
 * Each kind of tensor has one block.  Activations share theirs: two may overlap when no node uses one between the first
 * and last use of the other.  They are placed largest first, each at the lowest offset that is free over its life. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "nn/device.h"
#include "nn/op.h"

static const struct op_code *const op_code[N_OP] = {
#define OP(name, ...) &op_code_##name,
#include "nn/ops.def"
#undef OP
};

static size_t round_64(size_t n) { return (n + 63) / 64 * 64; }

static void touch(struct graph *g, int id, int i)
{
    if (id < 0 || g->tensor[id].kind != TENSOR_ACT)
        return;
    struct tensor *t = &g->tensor[id];
    if (t->first < 0)
        t->first = i;
    t->last = i;
    touch(g, t->live, i);
}

static void find_lives(struct graph *g)
{
    for (int i = 0; i < g->n_tensor; i++)
        g->tensor[i].first = g->tensor[i].last = -1;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        for (int j = 0; j < NODE_IN; j++)
            touch(g, n->in[j], i), touch(g, n->d_in[j], i);
        for (int j = 0; j < NODE_OUT; j++)
            touch(g, n->out[j], i), touch(g, n->d_out[j], i);
    }
}

/* Which sides use a tensor, of a graph with a device. */
static void side(struct graph *g, int id, bool here)
{
    if (id >= 0)
        g->tensor[id].here |= here, g->tensor[id].there |= !here;
}
static bool find_sides(struct graph *g)
{
    bool any = false;
    for (int i = 0; i < g->n_tensor; i++)
        g->tensor[i].here = g->tensor[i].there = false;
    for (int i = 0; i < g->n_node && g->device; i++) {
        const struct node *n = &g->node[i];
        any |= n->here;
        for (int j = 0; j < NODE_IN; j++)
            side(g, n->in[j], n->here);
        for (int j = 0; j < NODE_OUT; j++)
            side(g, n->out[j], n->here);
    }
    return any;
}
/* Is it of the host's part of a graph with a device alone? */
static bool kept_here(const struct tensor *t) { return t->here && (t->kind == TENSOR_PACKED || t->kind == TENSOR_CACHE); }
static size_t bytes_here(const struct graph *g, const struct graph_plan *p, enum tensor_kind kind) { return graph_on_host(g, kind) ? p->bytes[kind] : p->here[kind]; }

static bool lives_meet(const struct tensor *a, const struct tensor *b) { return a->first <= b->last && b->first <= a->last; }

struct by_size { int id; size_t bytes; };
static int larger_first(const void *pa, const void *pb)
{
    const struct by_size *a = pa, *b = pb;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? 1 : -1) : a->id - b->id;
}
struct span { size_t from, to; };
static int lower_first(const void *pa, const void *pb)
{
    const struct span *a = pa, *b = pb;
    return (a->from > b->from) - (a->from < b->from);
}

/* Places the activations; returns the block's size or 0 without memory (*ok = false). */
static size_t place_activations(struct graph *g, bool *ok)
{
    struct by_size *order = mem_alloc_array((size_t)g->n_tensor + 1, sizeof *order);
    struct span *taken = mem_alloc_array((size_t)g->n_tensor + 1, sizeof *taken);
    size_t end = 0;
    *ok = order && taken;
    int n = 0;
    for (int i = 0; *ok && i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_ACT && g->tensor[i].first >= 0)
            order[n++] = (struct by_size){ i, g->tensor[i].bytes };
    if (n)
        qsort(order, (size_t)n, sizeof *order, larger_first);
    for (int i = 0; i < n; i++) {
        struct tensor *t = &g->tensor[order[i].id];
        int n_taken = 0;
        for (int j = 0; j < i; j++) {
            const struct tensor *o = &g->tensor[order[j].id];
            if (lives_meet(t, o))
                taken[n_taken++] = (struct span){ o->offset, o->offset + round_64(o->bytes) };
        }
        if (n_taken)
            qsort(taken, (size_t)n_taken, sizeof *taken, lower_first);
        size_t at = 0;
        for (int j = 0; j < n_taken && taken[j].from < at + round_64(t->bytes); j++)
            if (taken[j].to > at)
                at = taken[j].to;
        t->offset = at;
        if (at + round_64(t->bytes) > end)
            end = at + round_64(t->bytes);
    }
    mem_free(order);
    mem_free(taken);
    return end;
}

static bool may_share(enum tensor_kind kind) { return kind == TENSOR_WEIGHT || kind == TENSOR_FROZEN || kind == TENSOR_PACKED || kind == TENSOR_CONST; }

/* The tensor of `share` that stands for t, or NULL: also where only its device has it. */
static const struct tensor *shared(const struct graph *share, const struct tensor *t)
{
    if (!share || !may_share(t->kind) || !graph_on_host(share, t->kind))
        return NULL;
    for (int i = 0; i < share->n_tensor; i++) {
        const struct tensor *s = &share->tensor[i];
        if (s->kind == t->kind && s->dtype == t->dtype && !strcmp(s->name, t->name) && tensor_count(s, 1, 1) == tensor_count(t, 1, 1))
            return s;
    }
    return NULL;
}

#define NOWHERE SIZE_MAX

static void place(struct graph_plan *p, struct tensor *t)
{
    if (t->offset != NOWHERE)
        return;
    size_t *const end = kept_here(t) ? &p->here[t->kind] : &p->bytes[t->kind];
    t->offset = *end;
    *end += round_64(t->bytes);
}

int graph_plan(struct graph *g, int T, int S, int n_thread, const struct graph *share, struct err *err)
{
    assert(T >= 1 && S >= 1 && n_thread >= 1);
    struct graph_plan p = { .T = T, .S = S, .n_thread = n_thread };
    for (int i = 0; i < g->n_tensor; i++) {
        struct tensor *t = &g->tensor[i];
        const int64_t n = tensor_count(t, T, S);
        if (n > ((int64_t)1 << 48))
            return ERR(err, RANGE, "tensor '%s' would have %lld elements", t->name, (long long)n);
        if (t->live >= 0 && tensor_rows(t, T, S) > INT32_MAX)
            return ERR(err, RANGE, "'%s' would have %lld rows", t->name, (long long)tensor_rows(t, T, S));
        t->bytes = tensor_bytes(t, T, S);
        t->offset = NOWHERE;
    }
    const bool parted = find_sides(g);
    assert(!parted || !g->backward);
    for (int own = 0; own < 2; own++) {               /* what is learned, in one order */
        for (int i = 0; i < g->n_tensor; i++)
            if (g->tensor[i].kind == TENSOR_WEIGHT && g->tensor[i].grad >= 0 && !g->tensor[i].n_peer == !own && !shared(share, &g->tensor[i]))
                place(&p, &g->tensor[i]), place(&p, &g->tensor[g->tensor[i].grad]);
        for (int i = 0; i < g->n_node; i++)
            if (g->node[i].op == OP_sum_squares && !g->tensor[g->node[i].in[1]].n_peer == !own)
                place(&p, &g->tensor[g->node[i].out[0]]);
        p.shared = own ? p.shared : p.bytes[TENSOR_GRAD];
    }
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind != TENSOR_ACT && g->tensor[i].kind != TENSOR_MAPPED && !shared(share, &g->tensor[i]))
            place(&p, &g->tensor[i]);
    find_lives(g);
    bool ok;
    p.bytes[TENSOR_ACT] = place_activations(g, &ok);
    if (!ok)
        return ERR(err, NOMEM, "no memory to plan %d tensors", g->n_tensor);
    p.here[TENSOR_ACT] = parted ? p.bytes[TENSOR_ACT] : 0;      /* both sides have the same places */
    for (int i = 0; i < g->n_node; i++) {
        struct op_work w = { 0, 0, n_thread };
        if (op_code[g->node[i].op]->size && (!g->device || g->node[i].here))
            op_code[g->node[i].op]->size(g, &g->node[i], T, S, &w);
        p.work = w.work > p.work ? w.work : p.work;
        p.scratch = w.scratch > p.scratch ? w.scratch : p.scratch;
    }
    p.scratch = (p.scratch + 4095) / 4096 * 4096;
    for (int k = 0; k < N_TENSOR_KIND; k++)
        p.total += mem_map_size(bytes_here(g, &p, (enum tensor_kind)k));
    p.total += mem_map_size(p.work) + mem_map_size(p.scratch * (size_t)n_thread);
    g->plan = p;
    return g->device ? g->device->plan(g->device, g, err) : 0;
}

/* ---- memory ---- */

static void release(struct graph *g)
{
    for (int k = 0; k < N_TENSOR_KIND; k++)
        mem_unmap(g->block[k], bytes_here(g, &g->plan, (enum tensor_kind)k)), g->block[k] = NULL;
    mem_unmap(g->work, g->plan.work), g->work = NULL;
    mem_unmap(g->scratch, g->plan.scratch * (size_t)g->plan.n_thread), g->scratch = NULL;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    release(g);
    mem_free(g->tensor);
    mem_free(g->node);
    mem_free(g);
}

int graph_bind(struct graph *g, const struct cpu_kernels *k, struct pool *pool, const struct graph *share, struct err *err)
{
    assert(g->plan.n_thread >= pool_n_thread(pool));
    g->k = k, g->pool = pool;
    bool ok = true;
    for (int i = 0; i < N_TENSOR_KIND; i++) {
        const size_t n = bytes_here(g, &g->plan, (enum tensor_kind)i);
        if (n)
            ok = ok && (g->block[i] = mem_map(n));
    }
    if (g->plan.work)
        ok = ok && (g->work = mem_map(g->plan.work));
    if (g->plan.scratch)
        ok = ok && (g->scratch = mem_map(g->plan.scratch * (size_t)g->plan.n_thread));
    if (!ok) {
        release(g);
        return ERR(err, NOMEM, "the system has no %zu MB of memory for this job", g->plan.total >> 20);
    }
    for (int i = 0; i < g->n_tensor; i++) {
        struct tensor *t = &g->tensor[i];
        const struct tensor *s = shared(share, t);
        if (s)
            t->data = s->data;
        else if (t->kind != TENSOR_MAPPED && (t->kind != TENSOR_ACT || t->first >= 0) && (t->here || graph_on_host(g, t->kind)))
            t->data = g->block[t->kind] + t->offset;
    }
    return g->device ? g->device->bind(g->device, g, err) : 0;
}

/* ---- running ---- */

int graph_failed(const struct graph *g, struct err *err)
{
    if (g->rc)
        *err = g->failed;
    return g->rc;
}

int graph_fetch(struct graph *g, int t, int64_t n, struct err *err)
{
    TRY(graph_failed(g, err));
    const size_t row = (size_t)tensor_cols(&g->tensor[t]) * dtype_size(g->tensor[t].dtype);
    assert((size_t)n * row <= g->tensor[t].bytes);
    if (g->device)
        g->rc = g->device->fetch(g->device, g, t, (size_t)n * row, &g->failed);
    return graph_failed(g, err);
}

int graph_fetch_kind(struct graph *g, enum tensor_kind kind, struct err *err)
{
    TRY(graph_failed(g, err));
    if (g->device)
        g->rc = g->device->fetch_kind(g->device, g, kind, &g->failed);
    return graph_failed(g, err);
}

/* Nodes from .. end - 1 of the pass, on the host. */
static void run_here(struct graph *g, enum pass pass, int from, int end, const struct step *step)
{
    struct run r = { .g = g, .step = step, .k = g->k, .pool = g->pool, .n_thread = pool_n_thread(g->pool), .work = g->work,
                     .scratch = g->scratch, .scratch_size = g->plan.scratch };
    for (int i = from; i < end && !g->rc; i++) {
        const struct node *n = &g->node[i];
        if (n->pass != pass)
            continue;
        if (n->again || pass != PASS_BACKWARD)
            op_code[n->op]->forward(&r, n);
        else
            op_code[n->op]->backward(&r, n);
        if (g->watch && !g->rc)
            g->watch(g->watch_ctx, g, n, step);
    }
}

/* What these nodes made and nodes of the other side read, in this pass or a later one. */
static int cross(struct graph *g, enum pass pass, int from, int end, const struct step *step, struct err *err)
{
    struct graph_device *d = g->device;
    bool sent = false;
    for (int i = from; i < end; i++)
        for (int j = 0; g->node[i].pass == pass && j < NODE_OUT; j++) {
            const int id = g->node[i].out[j];
            const struct tensor *t = id < 0 ? NULL : &g->tensor[id];
            if (!t || !t->here || !t->there || (t->kind != TENSOR_ACT && t->kind != TENSOR_OUTPUT))
                continue;
            TRY((g->node[i].here ? d->send : d->fetch)(d, g, id, tensor_bytes(t, step->T, step->S), err));
            sent = sent || g->node[i].here;
        }
    return sent ? d->wait(d, err) : 0;
}

/* The first node of the pass that runs on the other side than the pass's first from `from` on. */
static int turn(const struct graph *g, enum pass pass, int from, bool *here)
{
    while (from < g->n_node && g->node[from].pass != pass)
        from++;
    *here = from < g->n_node && g->node[from].here;
    while (from < g->n_node && (g->node[from].pass != pass || g->node[from].here == *here))
        from++;
    return from;
}

void graph_run(struct graph *g, enum pass pass, const struct step *step)
{
    assert(step->T >= 0 && step->T <= g->plan.T && step->S <= g->plan.S);
    if (!g->device) {
        run_here(g, pass, 0, g->n_node, step);
        return;
    }
    int from = 0;
    do {
        bool here;
        const int end = turn(g, pass, from, &here);
        if (here && !g->rc)
            run_here(g, pass, from, end, step);
        else
            g->rc = g->rc ? g->rc : g->device->run(g->device, g, pass, from, end, step, &g->failed);
        g->rc = g->rc ? g->rc : cross(g, pass, from, end, step, &g->failed);
        from = end;
    } while (from < g->n_node && !g->rc);
}

/* What is learned by element is cut after a block, what is learned by matrix not at all. */
void graph_shares(const struct graph *g, int n, size_t *bound, size_t *square)
{
    const size_t total = g->plan.shared;
    size_t end = 0;
    int i_share = 0;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *node = &g->node[i];
        if (node->op != OP_sum_squares)
            continue;
        const struct tensor *grad = &g->tensor[node->in[0]], *w = &g->tensor[node->in[1]], *sums = &g->tensor[node->out[0]];
        if (w->n_peer)
            continue;
        assert(i + 1 < g->n_node && g->node[i + 1].pass == PASS_UPDATE);
        const struct squares s = op_squares(w);
        for (int64_t k = 0; k < (g->node[i + 1].op == OP_muon ? 1 : s.n); k++) {
            const size_t at = grad->offset + (size_t)(k / s.per_expert * s.each + k % s.per_expert * SQUARE_BLOCK) * sizeof(real);
            while (i_share < n && at >= total / (size_t)n * (size_t)i_share)
                bound[i_share] = at, square[i_share++] = sums->offset + (size_t)k * sizeof(double);
        }
        end = sums->offset + sums->bytes;
    }
    while (i_share <= n)
        bound[i_share] = total, square[i_share++] = end;
}

void graph_set_grads(struct graph *g, char *block)
{
    for (int i = 0; i < g->n_tensor && !g->device; i++)
        if (g->tensor[i].kind == TENSOR_GRAD)
            g->tensor[i].data = block + g->tensor[i].offset;
}

static double grad_square(const struct graph *g, bool parts)
{
    double sum = 0;
    for (int i = 0; i < g->n_node; i++) {
        if (g->node[i].op != OP_sum_squares || (g->tensor[g->node[i].in[0]].n_part > 0) != parts)
            continue;
        const struct tensor *t = &g->tensor[g->node[i].out[0]];
        for (int64_t j = 0; j < t->shape[0].n; j++)
            sum += ((const double *)t->data)[j];
    }
    return sum;
}

double graph_grad_square(const struct graph *g) { return grad_square(g, false); }
double graph_part_square(const struct graph *g) { return grad_square(g, true); }
