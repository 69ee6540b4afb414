#include "train/watch.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

struct node_stat { double largest, mean; int64_t n; bool bad; };
struct run_watch {
    struct node_stat *stat[2];           /* of each node */
    int which; bool on;
    char wrong[120];                     /* the first node with a wrong product */
};

static void add_number(struct node_stat *s, double x)
{
    s->bad = s->bad || !isfinite(x);
    s->largest = fmax(s->largest, fabs(x));
    s->mean += fabs(x), s->n++;
}

static void look(const struct graph *g, const struct node *n, const struct step *step, struct node_stat *s)
{
    const bool back = n->pass == PASS_BACKWARD && !n->again;
    for (int j = 0; j < NODE_OUT; j++) {
        const int id = back ? n->d_in[j] : n->out[j];
        if (id < 0 || (g->tensor[id].dtype != DT_F32 && g->tensor[id].dtype != DT_BF16))
            continue;
        const struct tensor *t = &g->tensor[id];
        const int64_t count = graph_rows(g, t, step) * tensor_cols(t);
        for (int64_t i = 0; i < count; i++) {
            uint32_t bits = t->dtype == DT_BF16 ? (uint32_t)((const bf16 *)t->data)[i] << 16 : 0;
            float x;
            memcpy(&x, &bits, sizeof x);
            add_number(s, t->dtype == DT_BF16 ? (double)x : (double)((const real *)t->data)[i]);
        }
    }
}

static void name_node(const struct graph *g, const struct node *n, char where[120])
{
    const bool back = n->pass == PASS_BACKWARD && !n->again;
    int id = -1;
    for (int j = 0; j < NODE_OUT && id < 0; j++)
        id = back ? n->d_in[j] : n->out[j];
    snprintf(where, 120, "%s pass, %s, %.60s", n->pass == PASS_FORWARD ? "forward" : "backward", op_name(n->op), id >= 0 ? g->tensor[id].name : "");
}

static void on_node(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct run *r = ctx;
    struct run_watch *w = r->watch;
    if (r->o->fault)
        fault_node(r->o->fault, g, n, step, r->state.step);
    if (!w->on)
        return;
    look(g, n, step, &w->stat[w->which][n - g->node]);
    if (!w->wrong[0] && graph_product_was_wrong())
        name_node(g, n, w->wrong);
}

int watch_open(struct run *r, struct err *err)
{
    const struct graph *g = r->model.g;
    struct run_watch *w = r->watch = mem_alloc_array(1, sizeof *w);
    for (int i = 0; i < 2; i++)
        if (!w || !(w->stat[i] = mem_alloc_array((size_t)g->n_node, sizeof *w->stat[i])))
            return ERR(err, NOMEM, "no memory to watch the steps");
    r->model.g->watch_ctx = r;
    r->model.g->watch = r->o->fault ? on_node : NULL;
    return 0;
}

void watch_close(struct run *r)
{
    for (int i = 0; i < 2 && r->watch; i++)
        mem_free(r->watch->stat[i]);
    mem_free(r->watch);
}

int watch_gradients(struct run *r, int which, struct err *err)
{
    struct run_watch *w = r->watch;
    struct graph *g = r->model.g;
    memset(w->stat[which], 0, (size_t)g->n_node * sizeof *w->stat[which]);
    const struct cpu_kernels *k = g->k;
    w->which = which, w->on = true, w->wrong[0] = 0;
    g->watch = on_node, g->k = graph_checked_kernels(k);
    const int rc = run_gradients(r, err);
    w->on = false;
    g->k = k, g->watch = r->o->fault ? on_node : NULL;
    return rc;
}

const char *watch_wrong_product(const struct run *r) { return r->watch->wrong; }

double watch_ratio(double a, double b) { return a > 0 && b > 0 ? fmax(a / b, b / a) : a == b ? 1 : INFINITY; }

void watch_compare(const struct run *r, double limit, char where[120])
{
    where[0] = 0;
    const struct graph *g = r->model.g;
    for (int pass = PASS_FORWARD; pass <= PASS_BACKWARD; pass++)
        for (int i = 0; i < g->n_node; i++) {
            const struct node_stat *a = &r->watch->stat[0][i], *b = &r->watch->stat[1][i];
            const struct node *n = &g->node[i];
            if ((int)n->pass != pass || !a->n || !b->n)
                continue;
            if (a->bad == b->bad && watch_ratio(a->largest, b->largest) < limit && watch_ratio(a->mean / (double)a->n, b->mean / (double)b->n) < limit)
                continue;
            name_node(g, n, where);
            return;
        }
}
