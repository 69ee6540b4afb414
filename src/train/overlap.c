#include "train/overlap.h"
#include <assert.h>

/* ---- the parts ---- */

static bool is_backward(const struct node *n) { return n->pass == PASS_BACKWARD && !n->again; }

static bool exchanges(const struct node *n) { return n->op == OP_dispatch || n->op == OP_collect || n->op == OP_sum_peers || n->op == OP_sum_peers_grad; }

static bool is_made_later(const struct graph *g, int grad, int i)
{
    for (i++; i < g->n_node; i++)
        for (int j = 0; j < NODE_IN && is_backward(&g->node[i]); j++)
            if (g->node[i].d_in[j] == grad)
                return true;
    return false;
}

static size_t end_of(const struct tensor *t) { return t->offset + (t->bytes + 63) / 64 * 64; }

/* Joins a range to those from part `first` on; false: there is no room. */
static bool put_range(struct overlap *o, int first, size_t from, size_t to)
{
    for (int i = first; i < o->n; i++) {
        struct overlap_part *p = &o->part[i];
        if (p->to != from && p->from != to)
            continue;
        from = p->from < from ? p->from : from, to = p->to > to ? p->to : to;
        *p = o->part[--o->n];
        i = first - 1;                           /* it may now meet another */
    }
    if (o->n == COMM_PARTS_MAX)
        return false;
    o->part[o->n++] = (struct overlap_part){ 0, from, to };
    return true;
}

void overlap_plan(struct overlap *o, const struct graph *g, size_t least)
{
    int first = 0, last = 0;
    size_t bytes = 0, end = 0;
    bool fits = true;
    o->n = o->next = 0;
    for (int i = 0; i < g->n_node; i++) {
        if (exchanges(&g->node[i])) {
            o->n = 0;
            return;
        }
        if (!is_backward(&g->node[i]))
            continue;
        for (int j = 0; j < NODE_IN; j++) {
            const int id = g->node[i].d_in[j];
            if (id < 0 || g->tensor[id].kind != TENSOR_GRAD || is_made_later(g, id, i))
                continue;
            fits = fits && put_range(o, first, g->tensor[id].offset, end_of(&g->tensor[id]));
            bytes += g->tensor[id].bytes;
            end = end_of(&g->tensor[id]) > end ? end_of(&g->tensor[id]) : end;
        }
        last = i;
        for (int p = first; p < o->n; p++)
            o->part[p].node = i;
        if (bytes >= least)
            first = o->n, bytes = 0;
    }
    if (!fits) {                                 /* all of it at the end */
        o->n = 1;
        o->part[0] = (struct overlap_part){ last, 0, end };
    }
}

/* ---- a pass ---- */

static void on_node(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct overlap *o = ctx;
    if (o->watch)
        o->watch(o->watch_ctx, g, n, step);
    for (; is_backward(n) && o->next < o->n && o->part[o->next].node == n - g->node; o->next++) {
        const struct overlap_part *p = &o->part[o->next];
        slice_sums_part(o->sums, p->from, p->to);
        comm_reduce_part(o->comm, p->from, p->to);
    }
}

void overlap_begin(struct overlap *o, struct graph *g, struct comm *comm, const size_t *bound, struct slice_sums *sums)
{
    assert(!o->on);
    o->g = g, o->comm = comm, o->sums = sums, o->next = 0, o->on = true;
    o->watch = g->watch, o->watch_ctx = g->watch_ctx;
    g->watch = on_node, g->watch_ctx = o;
    comm_reduce_begin(comm, g->block[TENSOR_GRAD], bound);
}

void overlap_leave(struct overlap *o)
{
    assert(o->next == o->n);
    o->g->watch = o->watch, o->g->watch_ctx = o->watch_ctx;
}
