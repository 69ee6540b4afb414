#include "plan/here.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "infer/sample.h"

#define TRIES 5
#define TRIES_LONG 3               /* of runs of many rows */
#define KIND_MOST 48
#define PAGES 5                    /* of a sequence that is continued: keys up to 320 */
#define DECODE_MOST 16
#define STEP_TOKENS 512
#define WORK_FEW 64
#define IDS 256                    /* rows that the table of embeddings has */
#define BYTES_LEAST (64e6)         /* of weights that are run, if the model has them: more than the second-level caches of 64 cores */
#define BYTES_MOST (512e6)
#define HEAD_MOST (256e6)          /* bytes of the head's panels; a larger one is cut, and its time grows with its rows */

/* Runs: sequences of one row that see so many keys, or a prompt's rows after pos0 others.  Products go by tiles of rows, up to 16, and the last tile of a prompt is
 * seldom full: numbers between those of 16 and 512 are half a tile more than whole ones, so that what is read between them is right in the mean. */
static const struct probe { int rows, pos0; bool prompt; } probes[] = {
    { 1, 31, false }, { 1, 287, false }, { 2, 31, false }, { 2, 287, false }, { 4, 31, false }, { 4, 287, false }, { 8, 31, false }, { 8, 287, false }, { 12, 31, false }, { 12, 287, false }, { 16, 31, false }, { 16, 287, false },
    { 16, 0, true }, { 16, 512, true }, { 40, 0, true }, { 72, 0, true }, { 264, 0, true }, { 264, 512, true }, { 512, 0, true } };
#define N_PROBE (int)(sizeof probes / sizeof *probes)
#define CTX (PAGES * KV_TOKENS * DECODE_MOST)

enum { N_POINT = 10, N_DECODE = 6, N_PROMPT = 5, N_DEEP = 2 };       /* the last five points are of prompts, too */
static const int point_rows[N_POINT] = { 1, 2, 4, 8, 12, DECODE_MOST, 40, 72, 264, STEP_TOKENS };
static const int *const prompt_rows = point_rows + N_POINT - N_PROMPT;
static const int deep_rows[N_DEEP] = { 16, 264 };         /* rows of prompts that were run after others, too: a key takes longer where few rows share it */

struct kind {
    char what[48];
    int count;                     /* in all layers */
    double scale;                  /* of the times: all of the model over what was run */
    bool head, attention;
    struct cost_sum at[N_POINT];   /* of all layers, at the points and one key */
    double s[N_PROBE];             /* seconds, measured */
    /* Made of them, of all layers */
    double body[N_POINT];                          /* not attention */
    double row[N_DECODE], key[N_DECODE];           /* attention of continued rows: seconds without keys, and of each key */
    double prompt[N_PROMPT], prompt_key[N_DEEP];   /* of prompts; and of each key that all of their rows see */
    int window;
};

struct here {
    struct kind kind[KIND_MOST]; int n;
    double weight_bytes, cache_bytes, work[2], seconds;      /* work: of WORK_FEW and of STEP_TOKENS rows */
    int n_layer, i_draw;           /* of the kinds: the one that is no operation */
    bool limited; struct limits limits;
};

/* ---- what is run: some of the layers ---- */

struct chosen { struct config c; int layer[CONFIG_LAYER_MAX]; };

static double llc_bytes(void)
{
    const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return fmin(fmax(BYTES_LEAST, 4. * (double)(l3 > 0 ? l3 : 0)), BYTES_MOST);
}

/* The first layer of each kind, then others in order until there are enough bytes; each has `each`. */
static void choose(struct chosen *out, const struct config *c, double each)
{
    bool taken[CONFIG_LAYER_MAX] = { false };
    int n = 0;
    out->c = *c;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < c->n_layer; i++) {
            bool like = false;
            for (int j = 0; j < n && !pass; j++)
                like = like || c->layer[out->layer[j]] == c->layer[i];
            if (taken[i] || like || (pass && n * each >= llc_bytes()))
                continue;
            taken[i] = true, out->layer[n++] = i;
        }
    for (int j = 0; j < n; j++)
        out->c.layer[j] = c->layer[out->layer[j]];
    out->c.n_layer = n;
}

/* ---- types of weights ---- */

static struct weight_type of_type(const struct weight *w, enum cpu_type t)
{
    const int64_t N = w->rank >= 2 ? w->shape[w->rank - 2] : 0;
    if (w->rank < 2 || w->bias)
        return (struct weight_type){ 0 };
    if (!strcmp(w->name, "embed") || !strcmp(w->name, "pos"))
        return (struct weight_type){ .type = { t }, .mapped = !strcmp(w->name, "embed") };
    if (strstr(w->name, "router") || w->shape[w->rank - 1] % type_block(t))
        t = TYPE_F32;
    return (struct weight_type){ .n_segment = 1, .type = { t }, .n_row = { N } };
}

/* Of the list's weights: by o, where the layers are those of `layer` (NULL: the model's own). */
static int types_for(struct weight_type **out, const struct weights_list *l, const struct weights_list *all, const struct here_opts *o, const int *layer, struct err *err)
{
    struct weight_type *t = *out = mem_alloc_array((size_t)l->n_weight, sizeof *t);
    if (!t)
        return ERR(err, NOMEM, "no memory for the types of %d weights", l->n_weight);
    for (int i = 0; i < l->n_weight; i++) {
        const struct weight *w = &l->weight[i];
        char name[WEIGHT_NAME_MAX + 12];
        if (w->layer >= 0)
            snprintf(name, sizeof name, "%d%s", layer ? layer[w->layer] : w->layer, strchr(w->name, '.'));
        else
            snprintf(name, sizeof name, "%s", w->name);
        t[i] = of_type(w, o->type);
        for (int j = 0; o->types && j < all->n_weight; j++)
            if (!strcmp(all->weight[j].name, name))
                t[i] = o->types[j];
        if (t[i].mapped && strcmp(w->name, "embed"))         /* a small table, of positions */
            t[i] = (struct weight_type){ 0 };
        if (w->layer < 0 && t[i].n_segment == 1 && w->rank == 2)
            t[i].n_row[0] = w->shape[0];         /* a head that was cut */
    }
    return 0;
}

static int record(struct decoder *d, const struct config *c, const struct config *model, const struct here_opts *o, const int *layer, int n_page, struct err *err)
{
    struct weights_list *l = NULL, *all = NULL;
    struct weight_type *types = NULL;
    int rc = weights_list_new(&l, c, err);
    if (!rc)
        rc = weights_list_new(&all, model, err);
    if (!rc)
        rc = types_for(&types, l, all, o, layer, err);
    const struct decoder_opts opts = { .use = DECODER_GENERATE, .types = types, .cache = o->cache, .n_slot = DECODE_MOST, .n_page = n_page, .ctx = CTX };
    if (!rc)
        rc = decoder_record(d, c, &opts, err);
    weights_list_free(l), weights_list_free(all);
    mem_free(types);
    return rc;
}

/* ---- kinds of operations ---- */

static void name_of(char *out, size_t n, const struct graph *g, const struct node *node)
{
    const char *w = node->in[1] >= 0 ? g->tensor[node->in[1]].name : "", *dot = strchr(w, '.');
    if (node->op == OP_attention_paged)
        snprintf(out, n, "attention%s", node->attr.window ? " in a window" : "");
    else if (op_is_product(node->op))
        snprintf(out, n, "%.30s product", node->pass == PASS_HEAD ? "head" : w[0] >= '0' && w[0] <= '9' && dot ? dot + 1 : w);
    else
        snprintf(out, n, "%s", op_name(node->op));
}

static struct kind *kind_of(struct here *h, const struct graph *g, const struct node *n)
{
    char what[sizeof h->kind->what];
    const bool head = n->pass == PASS_HEAD;
    name_of(what, sizeof what, g, n);
    for (int i = 0; i < h->n; i++)
        if (h->kind[i].head == head && !strcmp(h->kind[i].what, what))
            return &h->kind[i];
    if (h->n == KIND_MOST)
        return NULL;
    struct kind *k = &h->kind[h->n++];
    *k = (struct kind){ .head = head, .attention = n->op == OP_attention_paged, .window = n->attr.window };
    memcpy(k->what, what, sizeof what);
    return k;
}

static bool is_run(const struct node *n) { return n->pass == PASS_FORWARD || n->pass == PASS_HEAD; }

/* Of the whole model: how many of each kind there are, and what they cost. */
static int count_kinds(struct here *h, const struct graph *g, int V, struct err *err)
{
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        struct kind *k = is_run(n) ? kind_of(h, g, n) : NULL;
        if (is_run(n) && !k)
            return ERR(err, UNSUPPORTED, "a model with more than %d kinds of operations", KIND_MOST);
        for (int j = 0; k && j < N_POINT; j++) {
            const double r = point_rows[j];
            const struct cost_sum cost = k->head ? node_cost_sum(g, n, 0, r, 1, NULL) : node_cost_sum(g, n, r, r, 1, NULL);
            cost_add(&k->at[j], &cost);
        }
        if (k)
            k->count++;
    }
    if (h->n == KIND_MOST)
        return ERR(err, UNSUPPORTED, "a model with more than %d kinds of operations", KIND_MOST - 1);
    struct kind *k = &h->kind[h->i_draw = h->n++];
    *k = (struct kind){ .what = "sampling", .count = 1, .head = true };
    for (int j = 0; j < N_POINT; j++)
        k->at[j].bytes = (double)point_rows[j] * V * sizeof(float);
    return 0;
}

/* ---- running ---- */

struct bench { struct here *h; double last, sum[KIND_MOST]; };

static void watch(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    (void)step;
    struct bench *b = ctx;
    const double now = clock_wall();
    const struct kind *k = kind_of(b->h, g, n);
    if (k)
        b->sum[k - b->h->kind] += now - b->last;
    b->last = clock_wall();
}

/* 4 bytes of small numbers of this type, or of quants and small scales: next to the embeddings what layers add is little, so that tokens stay different and choose
 * different experts.  No two pages of memory are alike. */
static uint32_t word_of(enum panel_type t, uint32_t r)
{
    switch (t) {
    case PANEL_F32: return 0x3a000000 | (r & 0x807fffff);             /* about 2^-11, either sign */
    case PANEL_BF16: return 0x3a003a00 | (r & 0x807f807f);
    case PANEL_F16: return 0x10001000 | (r & 0x83ff83ff);
    default: return r & 0x011f011f;                                   /* as a half at most 3e-5, as a float at most 1e-37 */
    }
}

static void fill_with(enum panel_type t, void *block, size_t n)
{
    for (size_t i = 0; i < n / sizeof(uint32_t); i++) {
        const uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;
        const uint32_t v = word_of(t, (uint32_t)(x >> 32 ^ x));
        memcpy((char *)block + i * sizeof v, &v, sizeof v);
    }
}

static void fill(const struct decoder *d)
{
    const struct graph *g = d->g;
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        float *x = t->data;
        if (t->kind == TENSOR_CACHE)
            fill_with(t->dtype == DT_F32 ? PANEL_F32 : t->dtype == DT_BF16 ? PANEL_BF16 : PANEL_Q8, t->data, t->bytes);
        else if (t->kind == TENSOR_PACKED && strstr(t->name, ".router.w") && t->panels.segment[0].type == PANEL_F32)
            for (size_t j = 0; j < t->bytes / sizeof *x; j++)
                x[j] = (float)rng_normal((uint64_t)i + 1, j);
        else if (t->kind == TENSOR_PACKED)
            fill_with(t->panels.segment[0].type, t->data, t->bytes);
        else if ((t->kind == TENSOR_WEIGHT || t->kind == TENSOR_FROZEN) && t->dtype == DT_F32)
            for (int64_t j = 0; j < tensor_count(t, 1, 1); j++)
                x[j] = 1;
    }
}

struct runner { struct decoder d; struct pool *pool; int n_pos, n_id, n_run, V; float *embed; int32_t page[DECODE_MOST][PAGES * DECODE_MOST], seq_start[DECODE_MOST + 1], pos0[DECODE_MOST]; double time[N_PROBE][KIND_MOST][TRIES]; };

struct draws { const float *logits; int V; };

/* The largest, which needs no room of its own. */
static void draw(void *ctx, int i, int i_thread)
{
    const struct draws *d = ctx;
    (void)i_thread;
    sample_token(d->logits + (ptrdiff_t)i * d->V, (struct sample_ids){ .n = d->V }, &(struct sampling){ .top_p = 1 }, (uint64_t)i, (struct sample_scratch){ 0 });
}

/* Other tokens each time, which choose other experts.  Where there are fewer positions in a table, the last again: that takes as long. */
static void run_once(struct runner *r, const struct probe *p, struct bench *b)
{
    const struct graph *g = r->d.g;
    int32_t *ids = g->tensor[r->d.ids].data, *pos = g->tensor[r->d.pos].data, *last = g->tensor[r->d.last].data;
    const int S = p->prompt ? 1 : p->rows;
    for (int i = 0; i < p->rows; i++) {
        const int at = p->pos0 + (p->prompt ? i : 0);
        ids[i] = (int32_t)((i * 37 + r->n_run * 101) % r->n_id), pos[i] = at < r->n_pos ? at : r->n_pos - 1;
    }
    for (int s = 0; s < S; s++)
        r->seq_start[s] = s, r->pos0[s] = p->pos0, last[s] = s;
    r->seq_start[S] = p->rows, r->n_run++;
    memset(b->sum, 0, sizeof b->sum);
    b->last = clock_wall();
    graph_run(r->d.g, PASS_FORWARD, &(struct step){ .T = p->rows, .S = S, .seq_start = r->seq_start, .pos0 = r->pos0, .page = r->page[0], .page_stride = PAGES * DECODE_MOST });
    b->last = clock_wall();
    graph_run(r->d.g, PASS_HEAD, &(struct step){ .S = S });
    b->last = clock_wall();
    pool_for(r->pool, S, draw, &(struct draws){ g->tensor[r->d.logits].data, r->V });
    b->sum[b->h->i_draw] = clock_wall() - b->last;
}

/* All probes in turn, again and again: what disturbs the machine for a moment is then in few of the times of any of them. */
static void run_probes(struct here *h, struct runner *r)
{
    struct bench b = { .h = h };
    static const int tries[2] = { TRIES, TRIES_LONG };
    r->d.g->watch = watch, r->d.g->watch_ctx = &b;
    for (int j = -1; j < TRIES; j++)              /* the first does not count */
        for (int i = 0; i < N_PROBE; i++) {
            if (j >= tries[probes[i].prompt])
                continue;
            run_once(r, &probes[i], &b);
            for (int k = 0; k < h->n && j >= 0; k++)
                r->time[i][k][j] = b.sum[k];
        }
    for (int i = 0; i < N_PROBE; i++)
        for (int k = 0; k < h->n; k++)
            h->kind[k].s[i] = stat_median(r->time[i][k], tries[probes[i].prompt]);
}

/* The scale of each kind: how much of it the whole model has. */
static void scale_kinds(struct here *h, const struct graph *g, double head)
{
    int count[KIND_MOST] = { 0 };
    for (int i = 0; i < g->n_node; i++)
        if (is_run(&g->node[i]))
            count[kind_of(h, g, &g->node[i]) - h->kind]++;
    for (int k = 0; k < h->n; k++)
        h->kind[k].scale = count[k] ? (double)h->kind[k].count / count[k] * (h->kind[k].head && strstr(h->kind[k].what, "product") ? head : 1) : 0;
    h->kind[h->i_draw].scale = head;
}

static void set_up(struct runner *r, const struct chosen *some, const struct config *c, struct pool *pool)
{
    fill(&r->d);
    for (size_t i = 0; i < IDS * (size_t)c->d_model; i++)
        r->embed[i] = (float)rng_uniform(5, i) - 0.5f;
    if (r->d.g->tensor[0].kind == TENSOR_MAPPED)
        r->d.g->tensor[0].data = r->embed;
    for (int s = 0; s < DECODE_MOST; s++)
        for (int i = 0; i < PAGES * DECODE_MOST; i++)
            r->page[s][i] = (s * PAGES + i) % (PAGES * DECODE_MOST);
    r->pool = pool, r->V = some->c.vocab_size;
    r->n_id = r->V < IDS ? r->V : IDS, r->n_pos = c->pos == POS_LEARNED ? c->ctx : CTX;
}

static int probe(struct here *h, const struct config *c, const struct chosen *some, const struct here_opts *o, double head, struct pool *pool, struct err *err)
{
    struct runner *r = mem_alloc_array(1, sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to measure this machine");
    int rc = record(&r->d, &some->c, c, o, some->layer, PAGES * DECODE_MOST, err);
    const bool recorded = !rc;
    if (!rc && r->d.g->tensor[0].kind == TENSOR_MAPPED)
        r->d.g->tensor[0].mapped_type = TYPE_F32;
    if (!rc)
        rc = decoder_plan(&r->d, STEP_TOKENS, DECODE_MOST, pool_n_thread(pool), NULL, err);
    if (!rc && r->d.g->plan.total > mem_available())
        rc = ERR(err, NOMEM, "%d layers of this model and its head want %zu MB of memory to be measured, %zu MB are free", some->c.n_layer, r->d.g->plan.total >> 20, mem_available() >> 20);
    if (!rc)
        rc = decoder_bind(&r->d, pool, NULL, err);
    if (!rc && !(r->embed = mem_alloc_array(IDS * (size_t)c->d_model, sizeof *r->embed)))
        rc = ERR(err, NOMEM, "no memory to measure this machine");
    if (!rc) {
        set_up(r, some, c, pool);
        scale_kinds(h, r->d.g, head);
        run_probes(h, r);
    }
    if (recorded)
        decoder_release(&r->d);
    mem_free(r->embed);
    mem_free(r);
    return rc;
}

/* ---- from what was measured to what is asked ---- */

static int probe_of(int rows, int pos0, bool prompt)
{
    int i = 0;
    while (probes[i].rows != rows || probes[i].pos0 != pos0 || probes[i].prompt != prompt)
        i++;
    return i;
}

static int probe_at(int rows, int pos0) { return probe_of(rows, pos0, rows > DECODE_MOST); }

static void rise(double *t, int n)
{
    for (int i = 1; i < n; i++)
        t[i] = fmax(t[i], t[i - 1]);
}

static double in_window(const struct kind *k, double keys) { return k->window && k->window < keys ? k->window : keys; }

/* Between points straight, from none on from the first, beyond the last in proportion to the last step. */
static double between(const int *at, const double *t, int n, double rows)
{
    if (!(rows > 0))
        return 0;
    if (rows <= at[0])
        return t[0];
    int i = 0;
    while (i < n - 2 && rows > at[i + 1])
        i++;
    return t[i] + (t[i + 1] - t[i]) * (rows - at[i]) / (at[i + 1] - at[i]);
}

static double key_of_prompt(const struct kind *k, double rows) { return between(deep_rows, k->prompt_key, N_DEEP, rows) * fmin(1, rows / deep_rows[0]); }

static void make_attention(struct kind *k)
{
    for (int i = 0; i < N_DECODE; i++) {
        const double a = k->scale * k->s[probe_at(point_rows[i], 31)], b = k->scale * k->s[probe_at(point_rows[i], 287)], from = in_window(k, 32), to = in_window(k, 288);
        k->key[i] = to > from ? fmax(0, (b - a) / (to - from)) : 0;
        k->row[i] = fmax(0, fmin(a, b) - k->key[i] * from);
    }
    rise(k->key, N_DECODE), rise(k->row, N_DECODE);
    for (int i = 0; i < N_DEEP; i++) {
        const double own = (deep_rows[i] + 1) / 2., keys = in_window(k, own), more = in_window(k, own + 512), b = k->scale * k->s[probe_of(deep_rows[i], 512, true)];
        k->prompt_key[i] = more > keys ? fmax(0, (b - k->scale * k->s[probe_of(deep_rows[i], 0, true)]) / (more - keys)) : 0;
    }
    rise(k->prompt_key, N_DEEP);
    for (int i = 0; i < N_PROMPT; i++) {
        const double r = prompt_rows[i];
        k->prompt[i] = fmax(0, k->scale * k->s[probe_of(prompt_rows[i], 0, true)] - key_of_prompt(k, r) * in_window(k, (r + 1) / 2));
    }
    rise(k->prompt, N_PROMPT);
}

static void make_body(struct kind *k)
{
    for (int i = 0; i < N_POINT; i++) {
        const int r = point_rows[i];
        k->body[i] = k->scale * (r <= DECODE_MOST ? (k->s[probe_at(r, 31)] + k->s[probe_at(r, 287)]) / 2 : k->s[probe_at(r, 0)]);
    }
    rise(k->body, k->head ? N_DECODE : N_POINT);
}

static double head_rows(const struct step_load *s) { return s->decode_rows + fmin(1, s->prompt_rows); }

static double kind_seconds(const struct kind *k, const struct step_load *s)
{
    if (k->head)
        return between(point_rows, k->body, N_DECODE, head_rows(s));
    if (!k->attention)
        return between(point_rows, k->body, N_POINT, s->prompt_rows + s->decode_rows);
    const double decoded = between(point_rows, k->row, N_DECODE, s->decode_rows) + between(point_rows, k->key, N_DECODE, s->decode_rows) * in_window(k, s->decode_keys);
    return decoded + (s->prompt_rows > 0 ? between(prompt_rows, k->prompt, N_PROMPT, s->prompt_rows) * fmin(1, s->prompt_rows / prompt_rows[0]) +
                                               key_of_prompt(k, s->prompt_rows) * in_window(k, s->prompt_keys) : 0);
}

double here_seconds(const struct here *h, const struct step_load *s)
{
    double sum = 0;
    for (int i = 0; i < h->n; i++)
        sum += kind_seconds(&h->kind[i], s);
    return sum;
}

/* Costs of a kind grow straight between points, too. */
static double cost_between(const struct kind *k, size_t field, double rows)
{
    double t[N_POINT];
    for (int i = 0; i < N_POINT; i++)
        memcpy(&t[i], (const char *)&k->at[i] + field, sizeof *t);
    return between(point_rows, t, N_POINT, rows);
}

int here_rows(const struct here *h, const struct step_load *s, struct price_row *rows, int most)
{
    int n = 0;
    for (int i = 0; i < h->n && n < most; i++) {
        const struct kind *k = &h->kind[i];
        const double r = k->head ? head_rows(s) : s->prompt_rows + s->decode_rows, keys = k->attention && r > 0 ?
                         (s->prompt_rows * in_window(k, s->prompt_keys) + s->decode_rows * in_window(k, s->decode_keys)) / r : 1;
        const double of_f32 = cost_between(k, offsetof(struct cost_sum, flops_f32), r) * keys, of_bf16 = cost_between(k, offsetof(struct cost_sum, flops_bf16), r) * keys,
                     of_int8 = cost_between(k, offsetof(struct cost_sum, flops_int8), r), other = cost_between(k, offsetof(struct cost_sum, flops_other), r),
                     bytes = cost_between(k, offsetof(struct cost_sum, bytes), r) + (k->attention ? s->decode_rows * in_window(k, s->decode_keys) * h->cache_bytes : 0);
        rows[n] = (struct price_row){ .count = k->count, .flops = of_f32 + of_bf16 + of_int8 + other, .bytes = bytes, .seconds = kind_seconds(k, s) };
        if (h->limited)
            rows[n].roofline = fmax((of_f32 + other) / h->limits.f32 + of_bf16 / h->limits.bf16 + of_int8 / h->limits.int8, bytes / h->limits.read);
        snprintf(rows[n].what, sizeof rows[n].what, "%s", k->what);
        n++;
    }
    return n;
}

/* ---- making ---- */

/* Bytes of a layer on average, and of the head. */
static void weigh(const struct graph *g, const struct config *c, double *layer, double *head)
{
    *layer = *head = 0;
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        const bool of_layer = t->name[0] >= '0' && t->name[0] <= '9';
        if (t->kind == TENSOR_PACKED)
            *(of_layer ? layer : head) += (double)t->panels.expert_bytes * (double)(t->rank == 3 ? t->shape[0].n : 1);
    }
    *layer /= c->n_layer;
}

/* The whole model: what there is of each kind, and bytes. */
static int look_at(struct here *h, const struct config *c, const struct here_opts *o, double *layer, double *head, int n_thread, struct err *err)
{
    static const int rows[] = { WORK_FEW, STEP_TOKENS };
    for (int i = 0; i < 2; i++) {
        struct decoder d;
        TRY(record(&d, c, c, o, NULL, PAGES * DECODE_MOST, err));
        int rc = i ? 0 : count_kinds(h, d.g, c->vocab_size, err);
        if (!rc)
            rc = decoder_plan(&d, rows[i], DECODE_MOST, n_thread, NULL, err);
        weigh(d.g, c, layer, head);
        h->cache_bytes = graph_cache_bytes(d.g);
        h->weight_bytes = (double)d.g->plan.bytes[TENSOR_PACKED];
        h->work[i] = (double)(d.g->plan.total - d.g->plan.bytes[TENSOR_PACKED] - d.g->plan.bytes[TENSOR_CACHE]);
        decoder_release(&d);
        TRY(rc);
    }
    return 0;
}

static int make(struct here *h, const struct config *c, const struct here_opts *o, struct pool *pool, struct err *err)
{
    double layer, head;
    TRY(look_at(h, c, o, &layer, &head, pool_n_thread(pool), err));
    struct chosen *some = mem_alloc_array(1, sizeof *some);
    if (!some)
        return ERR(err, NOMEM, "no memory to measure this machine");
    choose(some, c, layer);
    if (head > HEAD_MOST)
        some->c.vocab_size = (int)(c->vocab_size * HEAD_MOST / head) / (int)PANEL * (int)PANEL;
    h->n_layer = some->c.n_layer;
    const int rc = probe(h, c, some, o, (double)c->vocab_size / some->c.vocab_size, pool, err);
    mem_free(some);
    for (int i = 0; i < h->n && !rc; i++)
        (h->kind[i].attention ? make_attention : make_body)(&h->kind[i]);
    return rc;
}

int here_new(struct here **out, const struct config *c, const struct here_opts *o, struct pool *pool, struct err *err)
{
    *out = NULL;
    if (c->encoder || c->n_label)
        return ERR(err, UNSUPPORTED, "a step of %s is not one that continues texts", family_name(c->family));
    struct here *h = mem_alloc_array(1, sizeof *h);
    if (!h)
        return ERR(err, NOMEM, "no memory to measure this machine");
    const double begin = clock_wall();
    h->limited = o->limits;
    if (o->limits)
        h->limits = *o->limits;
    const int rc = make(h, c, o, pool, err);
    h->seconds = clock_wall() - begin;
    if (rc < 0)
        here_free(h);
    else
        *out = h;
    return rc;
}

void here_free(struct here *h) { mem_free(h); }
double here_weight_bytes(const struct here *h) { return h->weight_bytes; }
double here_cache_bytes_token(const struct here *h) { return h->cache_bytes; }
double here_work_bytes(const struct here *h, double rows) { return h->work[0] + (h->work[1] - h->work[0]) * (rows - WORK_FEW) / (STEP_TOKENS - WORK_FEW); }
void here_probe(const struct here *h, int *n_layer, double *seconds) { *n_layer = h->n_layer, *seconds = h->seconds; }
