/* exec.c - memory, weights, and the walk over the nodes; what an operation does is in the other files. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "exec/exec_op.h"
#include "gpu/pack.h"
#include "gpu/sampling.h"

static const struct exec_op *const exec_ops[N_OP] = {
#define X(name) [OP_##name] = &exec_op_##name,
    EXEC_OPS(X)
#undef X
};

static const struct exec_op *op_of(const struct graph *g, enum op op) { return g->backward ? exec_train_op(op) : exec_ops[op]; }
static struct exec *exec_of(struct graph_device *d) { return (struct exec *)(void *)d; }
static size_t take(size_t *at, size_t n)
{
    const size_t here = *at;
    *at += exec_round(n);
    return here;
}

/* ---- the form of weights: quants, then scales ---- */

static size_t quant_bytes(enum cpu_type form, int64_t K, int64_t n) { return (gpu_pack_bytes(form, (int)K, (int)n) + 15) / 16 * 16; }
static size_t packed(enum cpu_type t, int64_t K, int64_t n)
{
    const enum cpu_type form = exec_form(t, K);
    return quant_bytes(form, K, n) + gpu_pack_scale_bytes(form, (int)K, (int)n);
}
static void pack(enum cpu_type t, int64_t K, int64_t n, const void *rows, void *to)
{
    const enum cpu_type form = exec_form(t, K);
    if (form != t)
        type_dequantize(t, K * n, rows, to);
    else
        gpu_pack(t, (int)K, (int)n, rows, to, (char *)to + quant_bytes(t, K, n));
}

static int put(struct graph_device *d, const struct graph *g, int part, int t, int64_t e, int s, int64_t row, int64_t n, const void *from, struct err *err)
{
    (void)part;
    struct exec *x = exec_of(d);
    const struct panel_segment *p = &g->tensor[t].panels.segment[s];
    const struct exec_segment *to = &x->weight[t].segment[s];
    const int K = (int)tensor_cols(&g->tensor[t]);
    const enum cpu_type form = exec_form(p->of, K);
    const size_t bytes = gpu_pack_bytes(form, K, (int)n), scale = gpu_pack_scale_bytes(form, K, (int)n);
    assert(row >= 0 && row + n <= p->n_row);
    TRY(gpu_put(x->gpu, x->stream, x->arena + to->w + (size_t)e * to->w_expert + gpu_pack_bytes(form, K, (int)row), from, bytes, err));
    return gpu_put(x->gpu, x->stream, x->arena + to->scale + (size_t)e * to->scale_expert + gpu_pack_scale_bytes(form, K, (int)row), (const char *)from + quant_bytes(form, K, n), scale, err);
}

static int floats(struct graph_device *d, const struct graph *g, int part, int t, const float *from, struct err *err)
{
    (void)part;
    struct exec *x = exec_of(d);
    TRY(gpu_put(x->gpu, x->stream, x->arena + x->place[t], from, g->tensor[t].bytes, err));
    return gpu_wait(x->gpu, x->stream, err);
}

/* ---- planning ---- */

int exec_check_f32(const struct exec *x, const struct graph *g, const struct node *n, int id, struct err *err)
{
    return id < 0 || g->tensor[id].dtype == DT_F32 ? 0 : EXEC_REFUSE(err, x, g, n, "%s is %s, expected F32", g->tensor[id].name, dtype_name(g->tensor[id].dtype));
}

int exec_check_kernel(const struct exec *x, const struct graph *g, const struct node *n, enum gpu_kernel k, struct err *err)
{
    return gpu_has(x->gpu, k) ? 0 : EXEC_REFUSE(err, x, g, n, "the device has no kernel %s, or it failed the self test (lathe selftest)", gpu_kernel_name(k));
}

static int check_nodes(const struct exec *x, const struct graph *g, struct err *err)
{
    if (g->backward && g->n_slice > 1)
        return ERR(err, UNSUPPORTED, "%s trains one slice of a batch at a time, expected no %d", x->base.name, g->n_slice);
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        if (n->here)
            continue;
        const struct exec_op *op = op_of(g, n->op);
        const bool back = n->pass == PASS_BACKWARD && !n->again;
        if (!op || (back ? !op->backward : !op->forward))
            return ERR(err, UNSUPPORTED, "%s cannot do %s%s ('%s')", x->base.name, op_name(n->op), back ? "'s backward pass" : "", n->out[0] >= 0 ? g->tensor[n->out[0]].name : "");
        if (op->check)
            TRY(op->check(x, g, n, err));
    }
    return 0;
}

static void place_weight(struct exec_weight *w, const struct tensor *t, size_t *at)
{
    const int64_t E = t->rank == 3 ? t->shape[0].n : 1;
    const int K = (int)tensor_cols(t);
    for (int s = 0; s < t->panels.n_segment; s++) {
        const struct panel_segment *p = &t->panels.segment[s];
        struct exec_segment *q = &w->segment[s];
        const enum cpu_type form = exec_form(p->of, K);
        q->w_expert = gpu_pack_bytes(form, K, (int)p->n_row), q->scale_expert = gpu_pack_scale_bytes(form, K, (int)p->n_row);
        q->w = take(at, (size_t)E * q->w_expert);
        q->scale = take(at, (size_t)E * q->scale_expert);
    }
}

/* The last that the head makes. */
static void find_logits(struct exec *x, const struct graph *g)
{
    x->logits = -1, x->n_vocab = 0;
    for (int i = 0; i < g->n_node; i++)
        if (g->node[i].pass == PASS_HEAD)
            x->logits = g->node[i].out[0];
    if (x->logits >= 0)
        x->n_vocab = (int)tensor_cols(&g->tensor[x->logits]);
}

static unsigned passes_of(const struct graph *g, int id)
{
    unsigned passes = 0;
    for (int i = 0; i < g->n_node; i++)
        for (int j = 0; j < NODE_IN; j++)
            passes |= g->node[i].in[j] == id ? 1u << g->node[i].pass : 0;
    return passes;
}

static bool rows_in_file(const struct graph *g, const struct node *n) { return n->op == OP_embed && !n->here && g->tensor[n->in[1]].kind == TENSOR_MAPPED; }

/* Inputs and tables first, which every step sends as far as they are used; rows of embeddings after them. */
static int place_step(struct exec *x, const struct graph *g, struct err *err)
{
    struct exec_tables *t = &x->tables;
    const size_t T = (size_t)g->plan.T, S = (size_t)g->plan.S;
    size_t at = 0, n_rows = 0;
    for (int i = 0; i < g->n_tensor; i++)
        x->n_input += g->tensor[i].kind == TENSOR_INPUT;
    if (!(x->input = mem_alloc_array((size_t)x->n_input + 1, sizeof *x->input)))
        return ERR(err, NOMEM, "no memory for %d inputs", x->n_input);
    for (int i = 0, n = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_INPUT) {
            x->place[i] = x->step_at + take(&at, g->tensor[i].bytes);
            x->input[n++] = (struct exec_input){ i, passes_of(g, i) };
        }
    t->seq_start = take(&at, (S + 1) * 4);
    t->seq = take(&at, T * 4), t->pos = take(&at, T * 4), t->len = take(&at, T * 4);
    for (int i = 0; i < g->n_node; i++) {
        if (g->node[i].op == OP_attention_paged)
            t->page_stride = (g->node[i].attr.ctx + KV_TOKENS - 1) / KV_TOKENS;
        n_rows += rows_in_file(g, &g->node[i]);
    }
    t->page = take(&at, S * (size_t)t->page_stride * 4);
    x->rows = mem_alloc_array(n_rows + 1, sizeof *x->rows);
    if (!x->rows)
        return ERR(err, NOMEM, "no memory for %zu tables", n_rows);
    for (int i = 0; i < g->n_node; i++)
        if (rows_in_file(g, &g->node[i]))
            x->rows[x->n_rows++] = (struct exec_rows){ i, g->node[i].in[1], take(&at, g->tensor[g->node[i].out[0]].bytes) };
    t->sampling = take(&at, S * sizeof(struct gpu_sampling)), t->draw_position = take(&at, S * 8), t->drawn = take(&at, S * 4);
    t->allowed = take(&at, ((size_t)x->n_vocab + 31) / 32 * 4);
    t->bytes = at;
    return 0;
}

static void forget_plan(struct exec *x)
{
    mem_free(x->place);
    mem_free(x->weight);
    mem_free(x->rows);
    mem_free(x->input);
    mem_free(x->call);
    mem_free(x->half);
    x->place = NULL, x->weight = NULL, x->rows = NULL, x->input = NULL, x->call = NULL, x->half = NULL;
    x->n_rows = x->n_input = x->n_call = 0;
    x->tables = (struct exec_tables){ 0 };
}

static bool is_learned(const struct tensor *t) { return t->kind == TENSOR_WEIGHT || t->kind == TENSOR_FROZEN; }

static bool is_parted(const struct graph *g)
{
    for (int i = 0; i < g->n_node; i++)
        if (g->node[i].here)
            return true;
    return false;
}

static int plan(struct graph_device *d, const struct graph *g, struct err *err)
{
    struct exec *x = exec_of(d);
    assert(!x->arena);
    forget_plan(x);
    TRY(check_nodes(x, g, err));
    x->n_tensor = g->n_tensor;
    find_logits(x, g);
    x->place = mem_alloc_array((size_t)g->n_tensor, sizeof *x->place);
    x->weight = mem_alloc_array((size_t)g->n_tensor, sizeof *x->weight);
    if (!x->place || !x->weight)
        return ERR(err, NOMEM, "no memory for the places of %d tensors", g->n_tensor);
    size_t at = 0, weights, work = 0, a8 = 0;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].panels.n_segment && !g->tensor[i].here)
            place_weight(&x->weight[i], &g->tensor[i], &at);
    x->most_call = g->backward && x->by != EXEC_SIMPLE && gpu_product_can(x->gpu) ? 6 * g->n_node : 0;
    if (x->most_call && !(x->call = mem_alloc_array((size_t)x->most_call, sizeof *x->call)))
        return ERR(err, NOMEM, "no memory for %d products", x->most_call);
    x->maps_at = take(&at, (size_t)x->most_call * GPU_MAPS_BYTES);
    for (int i = 0; i < g->n_tensor; i++)
        x->place[i] = EXEC_NOWHERE;
    for (int i = 0; i < g->n_tensor; i++)
        if (exec_packs16(x, g, &g->tensor[i]))
            x->place[g->tensor[i].packed[0]] = take(&at, (size_t)(exec_rows16(&g->tensor[i]) * tensor_cols(&g->tensor[i])) * 2);
    if (x->most_call && !(x->half = mem_alloc_array((size_t)g->n_tensor, sizeof *x->half)))
        return ERR(err, NOMEM, "no memory for the forms of %d tensors", g->n_tensor);
    for (int i = 0; x->half && i < g->n_tensor; i++)
        x->half[i] = exec_may_be_half(x, g, i);
    const bool parted = is_parted(g);            /* then floats that only the host reads have no place */
    for (int i = 0; i < g->n_tensor && parted; i++)
        if (is_learned(&g->tensor[i]) && g->tensor[i].there)
            x->place[i] = take(&at, g->tensor[i].bytes);
    weights = at;
    for (int k = 0; k < N_TENSOR_KIND; k++)
        if (k != TENSOR_PACKED && k != TENSOR_MAPPED && k != TENSOR_INPUT && (!parted || (k != TENSOR_WEIGHT && k != TENSOR_FROZEN)))
            x->kind_at[k] = take(&at, g->plan.bytes[k]);
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (t->kind != TENSOR_PACKED && t->kind != TENSOR_MAPPED && (t->kind != TENSOR_ACT || t->first >= 0) && (t->kind != TENSOR_CACHE || !t->here) && !(parted && is_learned(t)))
            x->place[i] = x->kind_at[t->kind] + t->offset;
    }
    for (int i = 0; i < g->n_node; i++) {
        if (g->node[i].here)
            continue;
        const struct exec_op *op = op_of(g, g->node[i].op);
        const size_t n = op->work ? op->work(x, g, &g->node[i], g->plan.T, g->plan.S) : 0, n8 = g->backward ? 0 : exec_a8_bytes(g, &g->node[i], g->plan.T, g->plan.S);
        work = n > work ? n : work;
        a8 = n8 > a8 ? n8 : a8;
    }
    x->work_at = take(&at, work);
    x->a8_at = take(&at, a8);
    if (x->team)
        at = exec_team_place(x, g, at);
    x->step_at = at;
    TRY(place_step(x, g, err));
    x->bytes = d->bytes = at + x->tables.bytes;
    d->weight_bytes = weights;
    return 0;
}

static int room(struct graph_device *d, size_t *bytes, struct err *err)
{
    TRY(gpu_use(exec_of(d)->gpu, err));
    return gpu_room(exec_of(d)->gpu, bytes, err);
}

int exec_check_room(struct exec *x, const struct graph *g, struct err *err)
{
    struct graph_device *d = &x->base;
    const size_t cache = g->plan.bytes[TENSOR_CACHE];
    size_t left;
    char is[32], need[32], of_weights[32], of_cache[32], rest[32];
    TRY(room(d, &left, err));
    return d->bytes <= left ? 0 : ERR(err, NOMEM, "%s (%s) has %s of memory free, expected %s: %s of weights, %s of keys and values, %s for steps", d->name, d->model, fmt_bytes(is, (double)left),
                                      fmt_bytes(need, (double)d->bytes), fmt_bytes(of_weights, (double)d->weight_bytes), fmt_bytes(of_cache, (double)cache),
                                      fmt_bytes(rest, (double)(d->bytes - d->weight_bytes - cache)));
}

static int bind(struct graph_device *d, const struct graph *g, struct err *err)
{
    struct exec *x = exec_of(d);
    void *arena, *step;
    TRY(exec_check_room(x, g, err));
    TRY(gpu_alloc(x->gpu, &arena, x->bytes, err));
    x->arena = arena;
    TRY(gpu_host_alloc(x->gpu, &step, x->tables.bytes, err));
    x->step = step;
    memset(x->step, 0, x->tables.bytes);
    TRY(gpu_event_new(x->gpu, &x->sent, err));
    return gpu_fill(x->gpu, x->stream, x->arena, 0, x->bytes, err);
}

static int send_tensor(struct graph_device *d, const struct graph *g, int t, size_t n, struct err *err)
{
    struct exec *x = exec_of(d);
    assert(g->tensor[t].data && x->place[t] != EXEC_NOWHERE && n <= g->tensor[t].bytes);
    TRY(gpu_use(x->gpu, err));
    return gpu_put(x->gpu, x->stream, x->arena + x->place[t], g->tensor[t].data, n, err);
}

/* Floats of weights, moments and tables. */
static int fill(struct graph_device *d, const struct graph *g, struct err *err)
{
    struct exec *x = exec_of(d);
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (t->data && !t->n_part && x->place[i] != EXEC_NOWHERE && (is_learned(t) || t->kind == TENSOR_CONST || t->kind == TENSOR_MOMENT))
            TRY(send_tensor(d, g, i, t->bytes, err));
    }
    return gpu_wait(x->gpu, x->stream, err);
}

/* ---- a step ---- */

static void fill_tables(struct exec *x, const struct step *s)
{
    const struct exec_tables *t = &x->tables;
    int32_t *start = (int32_t *)(void *)(x->step + t->seq_start), *seq = (int32_t *)(void *)(x->step + t->seq), *pos = (int32_t *)(void *)(x->step + t->pos),
            *len = (int32_t *)(void *)(x->step + t->len), *page = (int32_t *)(void *)(x->step + t->page);
    for (int i = 0; i < s->S && s->seq_start; i++) {
        const int first = s->seq_start[i], pos0 = s->pos0 ? s->pos0[i] : 0;
        start[i] = first, start[i + 1] = s->seq_start[i + 1];
        for (int j = first; j < s->seq_start[i + 1]; j++)
            seq[j] = i, pos[j] = pos0 + j - first, len[j] = pos[j] + 1;
        const int n_page = (pos0 + s->seq_start[i + 1] - first + KV_TOKENS - 1) / KV_TOKENS;
        for (int j = 0; s->page && j < n_page && j < t->page_stride; j++)
            page[i * t->page_stride + j] = s->page[(ptrdiff_t)i * s->page_stride + j];
    }
}

/* The rows that the ids name, from the file, as floats. */
static void read_rows(const struct exec *x, const struct graph *g, const struct exec_rows *q, const struct step *step)
{
    const struct node *n = &g->node[q->node];
    const struct tensor *w = &g->tensor[q->w];
    const int64_t C = tensor_cols(w), rows = tensor_rows(&g->tensor[n->out[0]], step->T, step->S);
    const int32_t *id = g->tensor[n->in[0]].data;
    float *y = (float *)(void *)(x->step + q->at);
    const float scale = (float)n->attr.scale;
    for (int64_t i = 0; i < rows; i++, y += C) {
        const int64_t at = n->attr.first + id[i];
        type_dequantize(w->mapped_type, C, (const char *)w->data + (size_t)at * type_bytes(w->mapped_type, C), y);
        for (int64_t c = 0; scale != 1 && c < C; c++)
            y[c] *= scale;
    }
}

static int send(struct exec *x, size_t at, size_t n, struct err *err) { return gpu_put(x->gpu, x->stream, x->arena + x->step_at + at, x->step + at, n, err); }

static int send_step(struct exec *x, const struct graph *g, enum pass pass, const struct step *step, struct err *err)
{
    if (x->sending)                                  /* what was written last may still be on its way */
        TRY(gpu_event_wait(x->gpu, x->sent, err));
    x->sending = false;
    for (int i = 0; i < x->n_input; i++) {
        const struct tensor *t = &g->tensor[x->input[i].tensor];
        if (!t->data || !(x->input[i].passes >> pass & 1))
            continue;
        const size_t at = x->place[x->input[i].tensor] - x->step_at, n = tensor_bytes(t, step->T, step->S);
        memcpy(x->step + at, t->data, n);
        if (pass != PASS_FORWARD)
            TRY(send(x, at, n, err));
    }
    if (pass == PASS_FORWARD) {
        fill_tables(x, step);
        TRY(send(x, 0, x->tables.page + (size_t)step->S * (size_t)x->tables.page_stride * 4, err));
    }
    for (int i = 0; i < x->n_rows; i++)
        if (g->node[x->rows[i].node].pass == pass) {
            read_rows(x, g, &x->rows[i], step);
            TRY(send(x, x->rows[i].at, tensor_bytes(&g->tensor[g->node[x->rows[i].node].out[0]], step->T, step->S), err));
        }
    TRY(gpu_event_record(x->gpu, x->sent, x->stream, err));
    x->sending = true;
    return 0;
}

int exec_nodes(struct exec_run *r, enum pass pass, int from, int end, struct err *err)
{
    r->x->a8_of = -1;
    for (int i = from; i < end; i++) {
        const struct node *n = &r->g->node[i];
        if (n->pass != pass)
            continue;
        const struct exec_op *op = op_of(r->g, n->op);
        gpu_trace_what(r->x->gpu, r->g->tensor[n->out[0] >= 0 && pass != PASS_NORM ? n->out[0] : n->in[1] >= 0 ? n->in[1] : n->in[0]].name);
        TRY((n->again || pass != PASS_BACKWARD ? op->forward : op->backward)(r, n, err));
    }
    return 0;
}
static int launch_all(struct exec_run *r, enum pass pass, int from, int end, struct err *err)
{
    return r->x->team ? exec_team_nodes(r, pass, from, end, err) : exec_nodes(r, pass, from, end, err);
}

/* A power of two, so that few graphs serve all lengths. */
static int ranges_of(const struct step *s, int n_range_most)
{
    const int64_t most = exec_longest(s);
    int n_range = 1;
    while ((int64_t)n_range * GPU_RANGE < most)
        n_range *= 2;
    return n_range < n_range_most ? n_range : n_range_most;
}

/* ---- passes that come again, as one launch ---- */

static bool same(const struct exec_shape *a, const struct exec_shape *b) { return a->pass == b->pass && a->T == b->T && a->S == b->S && a->n_range == b->n_range && a->from == b->from; }
static struct exec_graph *recorded(struct exec *x, const struct exec_shape *shape)
{
    for (int i = 0; i < x->n_graph; i++)
        if (same(&x->graph[i].shape, shape))
            return &x->graph[i];
    return NULL;
}

static int record(struct exec_run *r, const struct exec_shape *shape, int end, struct exec_graph **out, struct err *err)
{
    struct exec *x = r->x;
    struct exec_graph *to = &x->graph[x->n_graph < EXEC_GRAPHS ? x->n_graph : 0];
    for (int i = 1; x->n_graph == EXEC_GRAPHS && i < x->n_graph; i++)
        to = x->graph[i].used < to->used ? &x->graph[i] : to;
    if (x->n_graph == EXEC_GRAPHS) {                     /* the one that was not used for longest; the stream may still be at it */
        TRY(gpu_wait(x->gpu, x->stream, err));
        gpu_graph_free(x->gpu, &to->graph);
    } else {
        x->n_graph++;
    }
    *to = (struct exec_graph){ .shape = *shape };
    int rc = gpu_graph_begin(x->gpu, x->stream, err);
    if (!rc) {
        struct err later;
        rc = launch_all(r, shape->pass, shape->from, end, err);
        const int ended = gpu_graph_end(x->gpu, x->stream, &to->graph, rc ? &later : err);
        rc = rc ? rc : ended;
    }
    if (rc) {                                            /* nothing to launch: no later step may find it */
        gpu_graph_free(x->gpu, &to->graph);
        *to = x->graph[--x->n_graph];
        x->graph[x->n_graph] = (struct exec_graph){ 0 };
    }
    *out = rc ? NULL : to;
    return rc;
}
/* Several devices in one graph may be more than a driver does, and a graph takes memory that no plan counts: then it goes on without.  What is truly lost fails at the next launch. */
static int record_if_it_can(struct exec_run *r, const struct exec_shape *shape, int end, struct exec_graph **out, struct err *err)
{
    struct exec *x = r->x;
    const int rc = record(r, shape, end, out, err);
    if (!rc)
        return 0;
    log_warn("%s: a pass cannot be recorded, kernels are launched one by one: %s", x->base.name, err->msg);
    x->one_by_one = true;
    return gpu_use(x->gpu, err);
}

int exec_send(struct exec *x, const struct graph *g, enum pass pass, const struct step *step, struct err *err)
{
    TRY(gpu_use(x->gpu, err));
    return send_step(x, g, pass, step, err);
}

static int launch_graph(struct exec *x, const struct exec_graph *graph, struct err *err)
{
    return x->team ? exec_team_launch(x, &graph->graph, err) : gpu_graph_launch(x->gpu, x->stream, &graph->graph, err);
}

/* Has the pass some of these nodes on the device? */
static bool has_there(const struct graph *g, enum pass pass, int from, int end)
{
    for (int i = from; i < end; i++)
        if (g->node[i].pass == pass && !g->node[i].here)
            return true;
    return false;
}

static int run(struct graph_device *d, const struct graph *g, enum pass pass, int from, int end, const struct step *step, struct err *err)
{
    struct exec *x = exec_of(d);
    if (!has_there(g, pass, 0, from))               /* what goes up for it goes before the first */
        TRY(x->team ? exec_team_send(x, g, pass, step, err) : exec_send(x, g, pass, step, err));
    struct exec_run r = { .x = x, .g = g, .step = step, .work = x->arena + x->work_at, .n_range = ranges_of(step, (int)div_up((int64_t)x->tables.page_stride * KV_TOKENS, GPU_RANGE)) };
    const struct exec_shape shape = { pass, step->T, step->S, r.n_range, from };
    struct exec_graph *graph = recorded(x, &shape);
    const bool last = !has_there(g, pass, end, g->n_node), again = last && x->ran[pass] && same(&x->last[pass], &shape);
    if (last)
        x->last[pass] = shape, x->ran[pass] = true;
    if (!graph && again && !g->backward && !x->one_by_one && (step->T == step->S || step->S == 1 || !step->T))
        TRY(record_if_it_can(&r, &shape, end, &graph, err));
    if (!graph)
        return launch_all(&r, pass, from, end, err);
    graph->used = ++x->n_run;
    return launch_graph(x, graph, err);
}

static int wait(struct graph_device *d, struct err *err)
{
    TRY(gpu_use(exec_of(d)->gpu, err));
    return gpu_wait(exec_of(d)->gpu, exec_of(d)->stream, err);
}

/* Devices have doubles as two floats (struct squares_args). */
static void join_doubles(const struct tensor *t, size_t n)
{
    double *sum = t->data;
    for (size_t i = 0; t->dtype == DT_F64 && i < n / sizeof *sum; i++) {
        float half[2];
        memcpy(half, &sum[i], sizeof half);
        sum[i] = (double)half[0] + (double)half[1];
    }
}

static int fetch(struct graph_device *d, const struct graph *g, int t, size_t n, struct err *err)
{
    struct exec *x = exec_of(d);
    assert(g->tensor[t].data && x->place[t] != EXEC_NOWHERE && n <= g->tensor[t].bytes);
    TRY(gpu_use(x->gpu, err));
    TRY(gpu_get(x->gpu, x->stream, g->tensor[t].data, x->arena + x->place[t], n, err));
    TRY(gpu_wait(x->gpu, x->stream, err));
    join_doubles(&g->tensor[t], n);
    return 0;
}

static int fetch_kind(struct graph_device *d, const struct graph *g, enum tensor_kind kind, struct err *err)
{
    struct exec *x = exec_of(d);
    assert(g->block[kind] || !g->plan.bytes[kind]);
    TRY(gpu_use(x->gpu, err));
    TRY(gpu_get(x->gpu, x->stream, g->block[kind], x->arena + x->kind_at[kind], g->plan.bytes[kind], err));
    TRY(gpu_wait(x->gpu, x->stream, err));
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == kind)
            join_doubles(&g->tensor[i], g->tensor[i].bytes);
    return 0;
}

/* ---- drawing ---- */

static int draw_from(struct graph_device *d, int n_id, const int32_t *gap, int n_gap, struct err *err)
{
    struct exec *x = exec_of(d);
    uint32_t *allowed = (uint32_t *)(void *)(x->step + x->tables.allowed);
    const size_t words = ((size_t)x->n_vocab + 31) / 32;
    assert(x->logits >= 0 && n_id <= x->n_vocab);
    if (n_id > GPU_VOCAB_MAX || !gpu_has(x->gpu, GPU_sample_draw)) {
        d->draw = NULL;
        return 0;
    }
    memset(allowed, 0xff, words * 4);
    for (int i = 0; i < n_gap && gap[i] < n_id; i++)
        allowed[gap[i] / 32] &= ~(1u << gap[i] % 32);
    x->n_id = n_id, x->has_gaps = n_gap && gap[0] < n_id;
    TRY(gpu_use(x->gpu, err));
    TRY(send(x, x->tables.allowed, words * 4, err));
    return gpu_wait(x->gpu, x->stream, err);
}

/* What went up for the draw before is up: that one was waited for. */
static int draw(struct graph_device *d, const struct graph *g, int first, int n, const struct device_draw *how, int32_t *id, struct err *err)
{
    struct exec *x = exec_of(d);
    const struct exec_tables *t = &x->tables;
    struct gpu_sampling *s = (struct gpu_sampling *)(void *)(x->step + t->sampling);
    uint64_t *position = (uint64_t *)(void *)(x->step + t->draw_position);
    assert(x->n_id && first >= 0 && n > 0 && first + n <= g->plan.S);
    for (int i = 0; i < n; i++) {
        s[i] = gpu_sampling_of(how[i].temperature, how[i].top_k, how[i].top_p, how[i].min_p, how[i].seed);
        position[i] = how[i].position;
    }
    TRY(gpu_use(x->gpu, err));
    TRY(send(x, t->sampling, (size_t)n * sizeof *s, err));
    TRY(send(x, t->draw_position, (size_t)n * sizeof *position, err));
    char *const there = x->arena + x->step_at;
    const struct sample_args a = { .id = (void *)(there + t->drawn), .position = (void *)(there + t->draw_position), .logits = (float *)(void *)(x->arena + x->place[x->logits]) + (ptrdiff_t)first * x->n_vocab,
                                   .allowed = x->has_gaps ? (void *)(there + t->allowed) : NULL, .sampling = (void *)(there + t->sampling), .ld_logits = x->n_vocab, .n = x->n_id };
    TRY(gpu_launch(x->gpu, x->stream, GPU_sample_draw, n, 1, 1, &a, err));
    TRY(gpu_get(x->gpu, x->stream, x->step + t->drawn, there + t->drawn, (size_t)n * 4, err));
    TRY(gpu_wait(x->gpu, x->stream, err));
    memcpy(id, x->step + t->drawn, (size_t)n * 4);
    return 0;
}

/* A page holds all heads: that is its share of the tensor. */
static int copy_page(struct graph_device *d, const struct graph *g, int from, int to, struct err *err)
{
    struct exec *x = exec_of(d);
    TRY(gpu_use(x->gpu, err));
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        const size_t page = t->kind == TENSOR_CACHE && !t->here ? t->bytes / (size_t)t->shape[1].n : 0;
        if (page)
            TRY(gpu_copy(x->gpu, x->stream, x->arena + x->place[i] + (size_t)to * page, x->arena + x->place[i] + (size_t)from * page, page, err));
    }
    return 0;
}

static int host_alloc(struct graph_device *d, void **p, size_t n, struct err *err) { return gpu_host_alloc(exec_of(d)->gpu, p, n, err); }
static void host_free(struct graph_device *d, void *p) { gpu_host_free(exec_of(d)->gpu, p); }

int exec_products(struct graph_device *d, enum exec_by by, const char *choices, struct err *err)
{
    struct exec *x = exec_of(d);
    assert(!x->place && !x->blas);
    if (by == EXEC_VENDOR)
        TRY(gpu_blas_open(&x->blas, x->gpu, choices, err));
    x->by = by;
    return 0;
}
const char *exec_products_name(const struct graph_device *d)
{
    const struct exec *x = (const struct exec *)(const void *)d;
    return x->blas ? gpu_blas_name(x->blas) : x->by == EXEC_OWN && gpu_product_can(x->gpu) ? "own" : "simple";
}
void *exec_stream(struct graph_device *d) { return exec_of(d)->stream; }

static void exec_free(struct graph_device *d)
{
    struct exec *x = exec_of(d);
    struct err err;
    (void)gpu_use(x->gpu, &err);                     /* what a lost device does not take back has gone with it */
    for (int i = 0; i < x->n_graph; i++)
        gpu_graph_free(x->gpu, &x->graph[i].graph);
    if (x->blas && gpu_blas_save(x->blas, &err))
        log_warn("%s", err.msg);
    gpu_blas_close(x->blas);
    gpu_event_free(x->gpu, x->sent);
    gpu_host_free(x->gpu, x->step);
    gpu_free(x->gpu, x->arena);
    gpu_stream_free(x->gpu, x->stream);
    gpu_close(x->gpu);
    forget_plan(x);
    mem_free(x);
}

int exec_open_gpu(struct graph_device **out, struct gpu *gpu, struct err *err)
{
    *out = NULL;
    struct exec *x = mem_alloc_zero(sizeof *x);
    if (!x) {
        gpu_close(gpu);
        return ERR(err, NOMEM, "a device needs %zu bytes", sizeof *x);
    }
    x->gpu = gpu;
    x->base = (struct graph_device){ .plan = plan, .room = room, .bind = bind, .packed = packed, .pack = pack, .put = put, .floats = floats, .fill = fill, .send = send_tensor, .run = run,
                                     .wait = wait, .fetch = fetch, .fetch_kind = fetch_kind, .draw = draw, .draw_from = draw_from, .copy_page = copy_page, .host_alloc = host_alloc,
                                     .host_free = host_free, .free = exec_free, .n_part = 1 };
    x->base.n_unit = gpu_facts(gpu)->n_unit;
    snprintf(x->base.name, sizeof x->base.name, "%s:%d", gpu_facts(gpu)->driver, gpu_facts(gpu)->device);
    snprintf(x->base.model, sizeof x->base.model, "%s", gpu_facts(gpu)->name);
    snprintf(x->base.arch, sizeof x->base.arch, "%s", gpu_facts(gpu)->arch);
    x->base.bytes_free = gpu_facts(gpu)->bytes_free;
    const int rc = gpu_stream_new(gpu, &x->stream, err);
    if (rc)
        exec_free(&x->base);
    else
        *out = &x->base;
    return rc;
}
