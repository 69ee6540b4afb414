#include "nn/ghost.h"
#include <assert.h>
#include <math.h>
#include "base/mem.h"
#include "nn/op.h"

/* ---- which nodes ---- */

/* Has the node the gradient of a weight? */
static bool learns(const struct graph *g, const struct node *n)
{
    for (int j = 0; j < NODE_IN; j++)
        if (n->d_in[j] >= 0 && g->tensor[n->d_in[j]].kind == TENSOR_GRAD)
            return true;
    return false;
}

static bool is_backward(const struct node *n) { return n->pass == PASS_BACKWARD && !n->again; }

static bool known(const struct node *n)
{
    return n->op == OP_linear || n->op == OP_cross_entropy || n->op == OP_lora || n->op == OP_rmsnorm || n->op == OP_layernorm || n->op == OP_embed ||
           n->op == OP_image_tokens;
}

static int count_writers(const struct graph *g, int grad)
{
    int count = 0;
    for (int i = 0; i < g->n_node; i++)
        for (int j = 0; j < NODE_IN && is_backward(&g->node[i]); j++)
            count += g->node[i].d_in[j] == grad;
    return count;
}

/* The node of the embedding whose table the loss reads too, or -1. */
static int find_tied(const struct graph *g, int head)
{
    for (int i = 0; head >= 0 && i < g->n_node; i++)
        if (is_backward(&g->node[i]) && g->node[i].op == OP_embed && g->node[i].d_in[1] >= 0 && g->node[i].d_in[1] == g->node[head].d_in[1])
            return i;
    return -1;
}

static int find_node(const struct graph *g, enum op op)
{
    for (int i = 0; i < g->n_node; i++)
        if (is_backward(&g->node[i]) && g->node[i].op == op)
            return i;
    return -1;
}

/* The loss that has a weight of its own; -1: that of classes, whose head is a product like others. */
static int find_head(const struct graph *g) { return find_node(g, OP_cross_entropy); }

bool ghost_knows(const struct graph *g)
{
    const int head = find_head(g), tied = find_tied(g, head);
    for (int i = 0; i < g->n_node; i++)
        if (g->node[i].pass == PASS_BACKWARD && learns(g, &g->node[i]) && !known(&g->node[i]))
            return false;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_GRAD && count_writers(g, i) != (tied >= 0 && i == g->node[tied].d_in[1] ? 2 : 1))
            return false;
    return head >= 0 || find_node(g, OP_soft_cross_entropy) >= 0;
}

/* ---- sums over a record's tokens ---- */

/* Lanes in a fixed order, for the compiler to make vectors of. */
static double dot(const real *a, const real *b, int64_t n)
{
    real lane[16] = { 0 };
    int64_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (int j = 0; j < 16; j++)
            lane[j] += a[k + j] * b[k + j];
    double sum = 0;
    for (; k < n; k++)
        sum += (double)a[k] * (double)b[k];
    for (int j = 0; j < 16; j++)
        sum += (double)lane[j];
    return sum;
}

struct rows { const real *at; int64_t ld, n; };
static const real *row(const struct rows *r, int i) { return r->at + i * r->ld; }

/* each: rows of a record where they are so many of each sequence; 0: a row for each token. */
struct job { struct ghost *h; const struct node *n; struct rows x, dy; double scale, one; const int32_t *id; int each; };
static int first_row(const struct job *j, int i) { return j->each ? i * j->each : j->h->start[i]; }

/* A product, whose bias is another column of x that is 1. */
static void product_record(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    double sum = 0;
    for (int t = first_row(j, i); t < first_row(j, i + 1); t++)
        for (int u = first_row(j, i); u <= t; u++) {
            const double xx = j->x.at ? dot(row(&j->x, t), row(&j->x, u), j->x.n) : 0;
            sum += (t == u ? 1 : 2) * (xx * j->scale * j->scale + j->one) * dot(row(&j->dy, t), row(&j->dy, u), j->dy.n);
        }
    j->h->square[i] += sum;
}

/* Gains and biases: sums over the tokens, column by column. */
static void norm_record(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const struct graph *g = j->h->g;
    const struct node *n = j->n;
    const real *mean = n->out[1] >= 0 ? g->tensor[n->out[1]].data : NULL, *rstd = g->tensor[n->out[2]].data;
    double sum = 0;
    for (int64_t c = 0; c < j->dy.n; c++) {
        double gain = 0, bias = 0;
        for (int t = first_row(j, i); t < first_row(j, i + 1); t++) {
            const double dy = (double)row(&j->dy, t)[c];
            gain += dy * ((double)row(&j->x, t)[c] - (mean ? (double)mean[t] : 0)) * (double)rstd[t];
            bias += dy;
        }
        sum += (n->d_in[1] >= 0 ? gain * gain : 0) + (n->d_in[2] >= 0 ? bias * bias : 0);
    }
    j->h->square[i] += sum;
}

/* Tokens of one id share a row. */
static void embed_record(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    double sum = 0;
    for (int t = j->h->start[i]; t < j->h->start[i + 1]; t++)
        for (int u = j->h->start[i]; u <= t; u++)
            if (j->id[t] == j->id[u])
                sum += (t == u ? 1 : 2) * dot(row(&j->dy, t), row(&j->dy, u), j->dy.n);
    j->h->square[i] += sum * j->scale * j->scale;
}

/* Each position has a row of its own; the first token is the class's too. */
static void image_record(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const int first = j->h->start[i];
    double sum = 0;
    for (int t = first; t < j->h->start[i + 1]; t++)
        sum += ((j->n->d_in[2] >= 0) + (t == first && j->n->d_in[1] >= 0)) * dot(row(&j->dy, t), row(&j->dy, t), j->dy.n);
    j->h->square[i] += sum;
}

/* Twice the product of the table's two gradients: as head, sum of slope_t[v] hidden_t, and as embedding, sum of dy_u where id_u is v. */
static void tied_record(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const struct ghost *h = j->h;
    double sum = 0;
    for (int t = h->start[i]; t < h->start[i + 1]; t++)
        for (int u = h->start[i]; u < h->start[i + 1]; u++)
            sum += (double)h->slope[t * GHOST_TOKENS + u] * dot(h->hidden + t * j->dy.n, row(&j->dy, u), j->dy.n);
    j->h->square[i] += 2 * sum * j->scale;
}

/* ---- nodes ---- */

static struct rows rows_of(const struct tensor *t, int64_t first, int64_t n)
{
    return (struct rows){ (const real *)t->data + first, tensor_cols(t), n };
}

/* The rows of x as floats. */
static struct rows floats(const struct ghost *h, const struct tensor *t, int n_row)
{
    const int64_t n = tensor_cols(t);
    if (t->dtype == DT_F32)
        return rows_of(t, 0, n);
    assert(t->dtype == DT_BF16);
    h->g->k->from_bf16((size_t)(n_row * n), t->data, h->x);
    return (struct rows){ h->x, n, n };
}

/* What the embedding's node will need, which comes last. */
static void keep_for_tied(struct ghost *h, const struct job *j, int T)
{
    const int32_t *id = h->g->tensor[h->g->node[h->tied].in[0]].data;
    for (int t = 0; t < T; t++) {
        for (int u = 0; u < T; u++)
            h->slope[t * GHOST_TOKENS + u] = row(&j->dy, t)[id[u]];
        for (int64_t c = 0; c < j->x.n; c++)
            h->hidden[t * j->x.n + c] = row(&j->x, t)[c];
    }
}

static void watch(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct ghost *h = ctx;
    struct job j = { .h = h, .n = n, .scale = 1 };
    if (!is_backward(n) || !learns(g, n))
        return;
    if (n->op != OP_cross_entropy) {
        const struct tensor *dy = &g->tensor[n->d_out[0]];
        j.dy = rows_of(dy, 0, tensor_cols(dy));
        j.each = dy->shape[0].of == DIM_S ? (int)dy->shape[0].n : 0;
    }
    switch (n->op) {
    case OP_linear:
        j.one = n->d_in[2] >= 0;
        j.x = n->d_in[1] >= 0 ? floats(h, &g->tensor[n->in[0]], j.each ? j.each * h->n_record : step->T) : (struct rows){ NULL, 0, 0 };
        pool_for(g->pool, h->n_record, product_record, &j);
        break;
    case OP_lora:
        j.scale = n->attr.scale;
        j.dy = rows_of(&g->tensor[n->d_out[0]], n->attr.first, g->tensor[n->in[1]].shape[0].n);
        j.x = rows_of(&g->tensor[n->in[2]], n->attr.h_first, g->tensor[n->in[1]].shape[1].n);
        pool_for(g->pool, h->n_record, product_record, &j);
        break;
    case OP_cross_entropy:
        j.dy = (struct rows){ graph_loss_slope(g, n, step->T), g->tensor[n->in[1]].shape[0].n, g->tensor[n->in[1]].shape[0].n };
        j.x = floats(h, &g->tensor[n->in[0]], step->T);
        pool_for(g->pool, h->n_record, product_record, &j);
        if (h->tied >= 0)
            keep_for_tied(h, &j, step->T);
        break;
    case OP_image_tokens:
        pool_for(g->pool, h->n_record, image_record, &j);
        break;
    case OP_embed:
        j.id = g->tensor[n->in[0]].data, j.scale = n->attr.scale;
        pool_for(g->pool, h->n_record, embed_record, &j);
        if (h->tied >= 0 && n == &g->node[h->tied])
            pool_for(g->pool, h->n_record, tied_record, &j);
        break;
    default:
        j.x = rows_of(&g->tensor[n->in[0]], 0, tensor_cols(&g->tensor[n->in[0]]));
        pool_for(g->pool, h->n_record, norm_record, &j);
    }
}

/* ---- memory ---- */

static size_t lay_out(struct ghost *h, const struct graph *g, char *base)
{
    size_t at = 0;
    int64_t widest = 1;
    for (int i = 0; i < g->n_node; i++)
        if (is_backward(&g->node[i]) && known(&g->node[i]) && g->node[i].op != OP_embed && g->node[i].in[0] >= 0 && tensor_cols(&g->tensor[g->node[i].in[0]]) > widest)
            widest = tensor_cols(&g->tensor[g->node[i].in[0]]);
    h->head = find_head(g), h->tied = find_tied(g, h->head);
    h->square = work_take(base, &at, GHOST_TOKENS * sizeof *h->square);
    h->x = work_take(base, &at, (size_t)(GHOST_TOKENS * widest) * sizeof(real));
    if (h->tied >= 0) {
        h->slope = work_take(base, &at, GHOST_TOKENS * GHOST_TOKENS * sizeof(real));
        h->hidden = work_take(base, &at, (size_t)(GHOST_TOKENS * g->tensor[g->node[h->head].in[1]].shape[1].n) * sizeof(real));
    }
    return at;
}

size_t ghost_bytes(const struct graph *g)
{
    struct ghost h;
    return mem_map_size(lay_out(&h, g, NULL));
}

int ghost_init(struct ghost *h, struct graph *g, struct err *err)
{
    *h = (struct ghost){ .g = g };
    h->bytes = lay_out(h, g, NULL);
    if (!(h->block = mem_map(h->bytes)))
        return ERR(err, NOMEM, "no memory for the norms of records");
    lay_out(h, g, h->block);
    return 0;
}

void ghost_release(struct ghost *h)
{
    mem_unmap(h->block, h->bytes);
    h->block = NULL;
}

void ghost_begin(struct ghost *h, int n_record, const int32_t *start)
{
    assert(n_record <= GHOST_TOKENS && start[n_record] <= GHOST_TOKENS);
    h->n_record = n_record, h->start = start;
    for (int i = 0; i < n_record; i++)
        h->square[i] = 0;
    h->watch = h->g->watch, h->watch_ctx = h->g->watch_ctx;
    h->g->watch = watch, h->g->watch_ctx = h;
}

void ghost_end(struct ghost *h) { h->g->watch = h->watch, h->g->watch_ctx = h->watch_ctx; }
