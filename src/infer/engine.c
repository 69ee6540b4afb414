#include "infer/engine.h"
#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "base/mem.h"
#include "cpu/kernels.h"
#include "infer/loaded.h"
#include "nn/device.h"

struct engine {
    struct loaded l;             /* l.ctx: positions of each sequence */
    int n_slot, n_page, step_tokens, n_logits;
    enum engine_kv kv;
    int n_row;                   /* of the last step */
    int n_adapter; bool adapted;
    int32_t *seq_start, *pos0, *adapter;   /* [n_slot + 1], [n_slot], [n_slot]: of a step */
    int32_t *row; struct engine_part *part;      /* [n_slot]: of engine_step */
    struct device_draw *draw;                    /* [n_logits]: of engine_draw, where there is a device */
    int n_head;                                  /* rows of the last head */
    int32_t *target_row, *target_first;          /* [n_logits], [n_logits + 1]: rows of engine_targets, and the first target of each */
    int32_t *page; int page_stride;              /* [n_slot][page_stride]: pages of the sequences of a step */
    atomic_size_t weight_bytes;
    char *path; bool stranded;                   /* of the files; it has neither its device nor room here */
};

static int choose_sizes(struct engine *e, const struct engine_opts *o, struct err *err)
{
    e->n_slot = o->n_slot, e->n_page = o->n_page;
    const int64_t all = (int64_t)e->l.ctx * e->n_slot;
    e->step_tokens = o->step_tokens < all ? o->step_tokens : (int)all;
    if (e->step_tokens < e->n_slot)
        e->step_tokens = e->n_slot;
    e->n_logits = o->n_logits ? o->n_logits : e->n_slot;
    e->n_adapter = o->n_adapter, e->adapted = o->adapted && o->n_adapter;
    e->seq_start = mem_alloc_array(4 * (size_t)e->n_slot + 1, sizeof *e->seq_start);
    e->part = mem_alloc_array((size_t)e->n_slot, sizeof *e->part);
    e->page_stride = (e->l.ctx + KV_TOKENS - 1) / KV_TOKENS;
    e->page = mem_alloc_array((size_t)e->n_slot * (size_t)e->page_stride, sizeof *e->page);
    e->target_row = mem_alloc_array(2 * (size_t)e->n_logits + 1, sizeof *e->target_row);
    e->draw = e->l.device ? mem_alloc_array((size_t)e->n_logits, sizeof *e->draw) : NULL;
    if (!e->seq_start || !e->part || !e->page || !e->target_row || (e->l.device && !e->draw))
        return ERR(err, NOMEM, "no memory for %d sequences", e->n_slot);
    e->pos0 = e->seq_start + e->n_slot + 1, e->row = e->pos0 + e->n_slot, e->adapter = e->row + e->n_slot;
    e->target_first = e->target_row + e->n_logits;
    return 0;
}

static bool all_f32(const struct loaded *l)
{
    for (int i = 0; i < l->model.list->n_weight; i++)
        for (int j = 0; j < l->types[i].n_segment; j++)
            if (l->types[i].type[j] != TYPE_F32)
                return false;
    return true;
}

static struct decoder_opts decoder_of(const struct engine *e)
{
    static const enum dtype cache[] = { [ENGINE_KV_F32] = DT_F32, [ENGINE_KV_BF16] = DT_BF16, [ENGINE_KV_INT8] = DT_I8 };
    return (struct decoder_opts){ .use = DECODER_GENERATE, .types = e->l.types, .cache = cache[e->kv], .n_slot = e->n_slot, .n_page = e->n_page, .ctx = e->l.ctx };
}
static int rows_of(const struct engine *e) { return e->n_slot > e->n_logits ? e->n_slot : e->n_logits; }
static void planned(struct engine *e)
{
    const struct graph_plan *p = &e->l.d.g->plan;
    atomic_store(&e->weight_bytes, e->l.device ? e->l.device->weight_bytes + p->here[TENSOR_PACKED] : p->bytes[TENSOR_PACKED]);
}

/* Opens the files and decides where every byte lies. */
static int open_and_plan(struct engine *e, const char *path, const struct engine_opts *o, int n_thread, struct err *err)
{
    const struct loaded_opts lo = { .ctx = o->ctx, .ctx_clip = o->ctx_clip, .no_tok = o->no_tok, .rope_scaling = o->rope_scaling, .warnings = o->warnings, .as = o->as,
                                    .adapter = o->adapter, .n_adapter = o->n_adapter, .device_layers = o->device_layers, .cpu_experts = o->cpu_experts };
    TRY(loaded_open(&e->l, path, &lo, err));
    if (e->l.model.config.encoder)
        return ERR(err, UNSUPPORTED, "%s is an encoder, which does not continue texts; expected a decoder", path);
    TRY(choose_sizes(e, o, err));
    e->kv = o->kv != ENGINE_KV_AUTO ? o->kv : all_f32(&e->l) ? ENGINE_KV_F32 : ENGINE_KV_BF16;
    if (!(e->path = mem_strdup(path)))
        return ERR(err, NOMEM, "no memory for a path");
    const struct decoder_opts d = decoder_of(e);
    TRY(loaded_plan(&e->l, &d, e->step_tokens, rows_of(e), n_thread, err));
    planned(e);
    return 0;
}

int engine_plan_sizes(struct engine_sizes *out, const char *path, const struct engine_opts *o, int n_thread, struct err *err)
{
    *out = (struct engine_sizes){ 0 };
    struct engine *e = mem_alloc_array(1, sizeof *e);
    struct engine_opts without = *o;
    without.no_tok = true, without.tok = NULL;
    if (!e)
        return ERR(err, NOMEM, "no memory for %s", path);
    e->l.device = o->device;
    const int rc = open_and_plan(e, path, &without, n_thread, err);
    const struct graph_plan *p = rc ? NULL : &e->l.d.g->plan;
    if (!rc)
        *out = (struct engine_sizes){ p->total, engine_weight_bytes(e), p->bytes[TENSOR_CACHE] + p->here[TENSOR_CACHE], o->device ? o->device->bytes : 0, e->l.model.config.n_layer, engine_device_layers(e) };
    e->l.device = NULL;
    engine_free(e);
    return rc;
}

int engine_plan_bytes(size_t *bytes, const char *path, const struct engine_opts *o, int n_thread, struct err *err)
{
    struct engine_sizes s;
    const int rc = engine_plan_sizes(&s, path, o, n_thread, err);
    *bytes = s.total;
    return rc;
}

int engine_new(struct engine **out, const char *path, const struct engine_opts *o, struct pool *pool, struct err *err)
{
    struct engine *e = mem_alloc_array(1, sizeof *e);
    *out = NULL;
    if (!e) {
        tok_free(o->tok);
        if (o->device)
            o->device->free(o->device);
        return ERR(err, NOMEM, "no memory for %s", path);
    }
    e->l.tok = o->tok, e->l.device = o->device;
    int rc = open_and_plan(e, path, o, pool_n_thread(pool), err);
    if (!rc)
        loaded_tell(&e->l, path);
    if (!rc)
        rc = loaded_fill(&e->l, path, pool, err);
    if (!rc && e->l.device && e->l.device->draw) {
        const struct sample_ids ids = sample_ids(e->l.tok, e->l.model.config.vocab_size);
        rc = e->l.device->draw_from(e->l.device, ids.n, ids.gap, ids.n_gap, err);
    }
    if (rc < 0)
        engine_free(e);
    else
        *out = e;
    return rc;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    loaded_release(&e->l);
    mem_free(e->seq_start);
    mem_free(e->part);
    mem_free(e->page);
    mem_free(e->target_row);
    mem_free(e->draw);
    mem_free(e->path);
    mem_free(e);
}

#define TOUCH_BYTES ((size_t)16 << 20)       /* of each layer's keys, and of its values: many texts */

static void touch(void *block, size_t n)
{
    for (size_t i = 0; block && i < n; i += 4096)
        ((volatile char *)block)[i] = 0;
}

void engine_touch(struct engine *e)
{
    const struct graph *g = e->l.d.g;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_CACHE)
            touch(g->tensor[i].data, g->tensor[i].bytes < TOUCH_BYTES ? g->tensor[i].bytes : TOUCH_BYTES);
    touch(g->block[TENSOR_ACT], g->plan.bytes[TENSOR_ACT]);
    touch(g->work, g->plan.work);
}

void engine_use_pool(struct engine *e, struct pool *pool)
{
    assert(pool_n_thread(pool) == pool_n_thread(e->l.d.g->pool));
    e->l.d.g->pool = pool;
}

const struct config *engine_config(const struct engine *e) { return &e->l.model.config; }
const struct tok *engine_tok(const struct engine *e) { return e->l.tok; }
const struct model *engine_model(const struct engine *e) { return &e->l.model; }

int engine_encode(const struct engine *e, const char *text, size_t n, unsigned flags, struct tok_ids *ids, struct err *err)
{
    return loaded_encode(&e->l.model.config, e->l.tok, text, n, flags, ids, err);
}

void engine_watch(struct engine *e, void (*fn)(void *ctx, const struct graph *g, const struct node *n, const struct step *step), void *ctx)
{
    if (e->l.d.g)
        e->l.d.g->watch = fn, e->l.d.g->watch_ctx = ctx;
}
const struct graph_device *engine_device(const struct engine *e) { return e->l.device; }
int engine_device_layers(const struct engine *e) { return e->l.device ? e->l.model.config.n_layer - e->l.here : 0; }
int engine_cpu_experts(const struct engine *e) { return e->l.device ? e->l.here_experts : 0; }
bool engine_lost(const struct engine *e) { return e->stranded || (e->l.device && e->l.d.g->rc); }

int engine_leave_device(struct engine *e, struct err *err)
{
    const struct decoder_opts d = decoder_of(e);
    e->stranded = true;
    TRY(loaded_leave_device(&e->l, e->path, &d, e->step_tokens, rows_of(e), err));
    e->stranded = false;
    planned(e);
    return 0;
}

int engine_wait(struct engine *e, struct err *err)
{
    struct graph *g = e->l.d.g;
    if (g->device && !g->rc)
        g->rc = g->device->wait(g->device, &g->failed);
    return graph_failed(g, err);
}

size_t engine_bytes(const struct engine *e) { return e->l.d.g->plan.total; }
size_t engine_weight_bytes(const struct engine *e) { return atomic_load(&e->weight_bytes); }
int engine_ctx(const struct engine *e) { return e->l.ctx; }

int engine_step_tokens(const struct engine *e) { return e->step_tokens; }
int engine_n_slot(const struct engine *e) { return e->n_slot; }
int engine_n_logits(const struct engine *e) { return e->n_logits; }
int engine_n_page(const struct engine *e) { return e->n_page; }
enum engine_kv engine_kv(const struct engine *e) { return e->kv; }
int engine_n_adapter(const struct engine *e) { return e->n_adapter; }

size_t engine_page_bytes(const struct engine *e)
{
    const struct graph *g = e->l.d.g;
    size_t bytes = 0;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_CACHE)
            bytes += g->tensor[i].bytes / (size_t)g->tensor[i].shape[1].n;
    return bytes;
}

/* [head, page, what a page holds] */
void engine_copy_page(struct engine *e, int from, int to)
{
    struct graph *g = e->l.d.g;
    if (e->stranded)
        return;
    if (g->device)
        g->rc = g->rc ? g->rc : g->device->copy_page(g->device, g, from, to, &g->failed);
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        const size_t page = t->kind == TENSOR_CACHE && t->data ? (size_t)t->shape[2].n * dtype_size(t->dtype) : 0;
        for (int64_t h = 0; page && h < t->shape[0].n; h++) {
            char *head = (char *)t->data + (size_t)(h * t->shape[1].n) * page;
            memcpy(head + (size_t)to * page, head + (size_t)from * page, page);
        }
    }
}

static int pages_of(const struct engine_part *p) { return (p->pos + p->n + KV_TOKENS - 1) / KV_TOKENS; }

static int check(const struct engine *e, const struct engine_part *p, struct err *err)
{
    if (p->slot < 0 || p->slot >= e->n_slot)
        return ERR(err, RANGE, "sequence %d, expected 0 to %d", p->slot, e->n_slot - 1);
    if (p->pos < 0 || p->n < 1 || p->n > e->l.ctx || p->pos > e->l.ctx - p->n)
        return ERR(err, RANGE, "%d tokens from position %d on, but there are %d positions", p->n, p->pos, e->l.ctx);
    if (p->adapter < 0 || p->adapter > e->n_adapter)
        return ERR(err, RANGE, "adapter %d, expected 0 to %d", p->adapter, e->n_adapter);
    for (int i = 0; e->n_page && i < pages_of(p); i++)
        if (p->page[i] < 0 || p->page[i] >= e->n_page)
            return ERR(err, RANGE, "page %d, expected 0 to %d", p->page[i], e->n_page - 1);
    for (int i = 0; i < p->n; i++)
        if (p->ids[i] < 0 || p->ids[i] >= e->l.model.config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", p->ids[i], e->l.model.config.vocab_size - 1);
    return 0;
}

int engine_run(struct engine *e, const struct engine_part *part, int n_part, struct err *err)
{
    if (e->stranded)
        return ERR(err, IO, "%s has lost its device, and there is no room for it here", e->path);
    if (n_part < 1 || n_part > e->n_slot)
        return ERR(err, RANGE, "%d sequences, expected 1 to %d", n_part, e->n_slot);
    int64_t rows = 0;
    for (int i = 0; i < n_part; i++) {
        TRY(check(e, &part[i], err));
        for (int j = 0; j < i; j++)
            if (part[j].slot == part[i].slot)
                return ERR(err, RANGE, "sequence %d is twice in a step", part[i].slot);
        rows += part[i].n;
    }
    if (rows > e->step_tokens)
        return ERR(err, RANGE, "%lld tokens in a step, expected at most %d", (long long)rows, e->step_tokens);
    const struct tensor *t = e->l.d.g->tensor;
    int32_t *ids = t[e->l.d.ids].data, *pos = t[e->l.d.pos].data;
    int n = 0;
    for (int i = 0; i < n_part; i++) {
        e->seq_start[i] = n, e->pos0[i] = part[i].pos, e->adapter[i] = e->adapted ? 1 : part[i].adapter;
        for (int j = 0; j < pages_of(&part[i]); j++)
            e->page[i * e->page_stride + j] = e->n_page ? part[i].page[j] : part[i].slot * e->page_stride + j;
        for (int j = 0; j < part[i].n; j++, n++)
            ids[n] = part[i].ids[j], pos[n] = part[i].pos + j;
    }
    e->seq_start[n_part] = e->n_row = n;
    graph_run(e->l.d.g, PASS_FORWARD, &(struct step){ .T = n, .S = n_part, .seq_start = e->seq_start, .pos0 = e->pos0, .page = e->page, .page_stride = e->page_stride,
                                                     .adapter = e->n_adapter ? e->adapter : NULL });
    return graph_failed(e->l.d.g, err);
}

static int run_rows(struct engine *e, enum pass pass, const int32_t *row, int n, struct err *err)
{
    const char *what = pass == PASS_HEAD ? "logits" : "hidden states";
    if (n < 1 || n > e->n_logits)
        return ERR(err, RANGE, "%s of %d tokens at once, expected 1 to %d", what, n, e->n_logits);
    int32_t *last = e->l.d.g->tensor[e->l.d.last].data;
    for (int i = 0; i < n; i++) {
        if (row[i] < 0 || row[i] >= e->n_row)
            return ERR(err, RANGE, "%s of token %d of the step, expected 0 to %d", what, row[i], e->n_row - 1);
        last[i] = row[i];
    }
    graph_run(e->l.d.g, pass, &(struct step){ .S = n });
    return graph_failed(e->l.d.g, err);
}

int engine_head_rows(struct engine *e, const int32_t *row, int n, struct err *err)
{
    TRY(run_rows(e, PASS_HEAD, row, n, err));
    e->n_head = n;
    return 0;
}

int engine_logits(struct engine *e, const float **logits, struct err *err)
{
    TRY(graph_fetch(e->l.d.g, e->l.d.logits, e->n_head, err));
    *logits = e->l.d.g->tensor[e->l.d.logits].data;
    return 0;
}

int engine_head(struct engine *e, const int32_t *row, int n, const float **logits, struct err *err)
{
    TRY(engine_head_rows(e, row, n, err));
    return engine_logits(e, logits, err);
}

bool engine_draws(const struct engine *e) { return e->l.device && e->l.device->draw; }

int engine_draw(struct engine *e, int first, int n, struct engine_draw *draw, struct err *err)
{
    struct graph *g = e->l.d.g;
    int32_t *id = e->target_row;                     /* of engine_targets(), which does not draw */
    if (first < 0 || n < 1 || first > e->n_head - n)
        return ERR(err, RANGE, "tokens of rows %d to %d, expected 0 to %d", first, first + n - 1, e->n_head - 1);
    TRY(graph_failed(g, err));
    for (int i = 0; i < n; i++) {
        const struct sampling *s = &draw[i].sampling;
        e->draw[i] = (struct device_draw){ s->temperature, s->top_k, s->top_p, s->min_p, s->seed, draw[i].position };
    }
    g->rc = g->device->draw(g->device, g, first, n, e->draw, id, &g->failed);
    for (int i = 0; i < n && !g->rc; i++)
        draw[i].id = id[i];
    return graph_failed(g, err);
}

int engine_sample(const struct engine *e, const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch)
{
    return (e->l.device ? sample_token_exact : sample_token)(logits, ids, s, position, scratch);
}

int engine_hidden(struct engine *e, const int32_t *row, int n, const float **hidden, struct err *err)
{
    TRY(run_rows(e, PASS_HIDDEN, row, n, err));
    TRY(graph_fetch(e->l.d.g, e->l.d.hidden, n, err));
    *hidden = e->l.d.g->tensor[e->l.d.hidden].data;
    return 0;
}

/* An adapter that no sequence has costs nothing. */
static bool has_rows(const struct engine *e, const struct node *n) { return n->op != OP_lora_rows || (e->adapted && n->attr.adapter == 1); }

void engine_price(const struct engine *e, int T, int S, int n_logits, double keys, double cached, struct cost_sum *c, double *bytes)
{
    const struct graph *g = e->l.d.g;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        if (!has_rows(e, n) || (n->pass != PASS_FORWARD && n->pass != PASS_HEAD))
            continue;
        const struct cost_sum of = n->pass == PASS_FORWARD ? node_cost_sum(g, n, T, S, keys, NULL) : node_cost_sum(g, n, 0, n_logits, keys, NULL);
        cost_add(c, &of);
    }
    *bytes += graph_weight_bytes(g, 1u << PASS_FORWARD | (n_logits ? 1u << PASS_HEAD : 0), T) + graph_cache_bytes(g) * cached * S;
}

struct nll_job { const struct engine *e; const int32_t *target; float *nll; };

static void nll_row(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct nll_job *j = ctx;
    const int V = j->e->l.model.config.vocab_size;
    const struct ce p = { .n_row = 1, .V = V, .x = (float *)j->e->l.d.g->tensor[j->e->l.d.logits].data + (ptrdiff_t)i * V, .ld = V,
                          .target = j->target + i, .nll = j->nll + i };
    j->e->l.d.g->k->cross_entropy(&p);
}

int engine_nll(struct engine *e, const int32_t *row, const int32_t *target, int n, float *nll, struct err *err)
{
    for (int i = 0; i < n; i++)
        if (target[i] < 0 || target[i] >= e->l.model.config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", target[i], e->l.model.config.vocab_size - 1);
    for (int at = 0; at < n; at += e->n_logits) {
        const int part = n - at < e->n_logits ? n - at : e->n_logits;
        const float *logits;
        TRY(engine_head(e, row + at, part, &logits, err));
        struct nll_job j = { e, target + at, nll + at };
        pool_for(e->l.d.g->pool, part, nll_row, &j);
    }
    return 0;
}

struct targets_job { const struct engine *e; struct engine_target *t; const int32_t *first; };

static bool likeliest(const float *x, int V, int id)
{
    const float mine = x[id];
    int more = 0;
    for (int i = 0; i < id; i++)
        more |= x[i] >= mine;
    for (int i = id + 1; i < V; i++)
        more |= x[i] > mine;
    return !more;
}

static void log_moments(const struct cpu_kernels *k, const float *x, int V, struct engine_target *t)
{
    struct logit_moments m;
    k->logit_moments(V, x, &m);
    const double mean = m.first / m.sum, var = m.second / m.sum - mean * mean;
    t->mean = (float)(mean - log(m.sum)), t->sd = (float)sqrt(var <= 0 ? 0 : var);       /* NaN stays */
}

static void targets_row(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct targets_job *j = ctx;
    const int V = j->e->l.model.config.vocab_size;
    float *x = (float *)j->e->l.d.g->tensor[j->e->l.d.logits].data + (ptrdiff_t)i * V;
    for (int k = j->first[i]; k < j->first[i + 1]; k++) {
        struct engine_target *t = &j->t[k];
        const struct ce p = { .n_row = 1, .V = V, .x = x, .ld = V, .target = &t->id, .nll = &t->nll };
        j->e->l.d.g->k->cross_entropy(&p);
        t->likeliest = likeliest(x, V, t->id);
        if (t->moments)
            log_moments(j->e->l.d.g->k, x, V, t);
    }
}

int engine_targets(struct engine *e, struct engine_target *t, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        if (t[i].id < 0 || t[i].id >= e->l.model.config.vocab_size)
            return ERR(err, RANGE, "token id %d, expected 0 to %d", t[i].id, e->l.model.config.vocab_size - 1);
        if (i && t[i].row < t[i - 1].row)
            return ERR(err, RANGE, "targets of row %d after those of row %d, expected them sorted", t[i].row, t[i - 1].row);
    }
    for (int at = 0; at < n;) {
        int n_row = 0, end = at;
        for (; end < n && (n_row < e->n_logits || t[end].row == t[end - 1].row); end++)
            if (end == at || t[end].row != t[end - 1].row)
                e->target_row[n_row] = t[end].row, e->target_first[n_row++] = end;
        e->target_first[n_row] = end;
        const float *logits;
        TRY(engine_head(e, e->target_row, n_row, &logits, err));
        pool_for(e->l.d.g->pool, n_row, targets_row, &(struct targets_job){ e, t, e->target_first });
        at = end;
    }
    return 0;
}

int engine_feed(struct engine *e, int slot, int pos, const int32_t *ids, int n, const float **logits, struct err *err)
{
    TRY(check(e, &(struct engine_part){ slot, pos, n, ids, NULL, 0 }, err));
    for (int at = 0; at < n; at += e->step_tokens) {
        const int part = n - at < e->step_tokens ? n - at : e->step_tokens;
        TRY(engine_run(e, &(struct engine_part){ slot, pos + at, part, ids + at, NULL, 0 }, 1, err));
    }
    const int32_t last = e->n_row - 1;
    return logits ? engine_head(e, &last, 1, logits, err) : engine_head_rows(e, &last, 1, err);
}

int engine_step(struct engine *e, int n, const int32_t *slot, const int32_t *pos, const int32_t *ids, const float **logits, struct err *err)
{
    if (n < 1 || n > e->n_slot || n > e->n_logits)
        return ERR(err, RANGE, "%d sequences, expected 1 to %d", n, e->n_slot < e->n_logits ? e->n_slot : e->n_logits);
    for (int i = 0; i < n; i++)
        e->part[i] = (struct engine_part){ slot[i], pos[i], 1, ids + i, NULL, 0 }, e->row[i] = i;
    TRY(engine_run(e, e->part, n, err));
    return engine_head(e, e->row, n, logits, err);
}
