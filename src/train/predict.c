/* predict.c - how long a step will take, from the time of each kind of operation at its own size on this machine.
 *
 * A limit (nn/limits.h) is what no operation can pass; how near one comes depends on its shape, and no table knows all shapes.  So
 * the graph is recorded once more with as few layers as have every kind of node that the whole has, and do not fit a cache (kind:
 * the operation, the shapes and types of its operands, and what decides how it works), and run with first weights on batches of the
 * run, as a step is: slices, sums of slices, update.  The time of a kind is the median of its runs, the time of a step the sum over all nodes of
 * the whole graph.  Where a turn takes long the micro-batch is cut, and times grow beyond that part as they grew up to it from a quarter
 * of it.  Nothing of the run itself is touched, and the memory is given back before the run takes its own.
 *
 * What is not known this way: bases that stay in their file, steps whose records are drawn (privacy), and runs on several ranks. */
#include "train/predict.h"
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "train/ranks.h"

enum { TURNS_LEAST = 5, TURNS = 20, SAMPLES = 64 };
#define ENOUGH_S 1.0                     /* of turns, when there are TURNS_LEAST */
#define SMALL_BYTES ((size_t)256 << 20)  /* graphs of less would find in a cache what the whole does not: they get more layers */
#define TURNS_S 5.0                      /* no further turn begins after so long */
#define TURN_S 1.0                       /* a turn that takes so long is not made larger */
#define TOKENS_MAX 16384                 /* nor one of so many tokens */

/* Samples at two sizes: of a whole micro-batch, or of a part and of a quarter of that. */
enum { SIZE_MOST, SIZE_LESS, N_SIZE, GROWTH = 4 };
struct kind { uint64_t key; int n[N_SIZE]; double seconds[N_SIZE][SAMPLES]; };
struct kinds { struct kind *at; int n, cap; bool on; int size; double last; };

/* One of the run's graphs, and the same with few layers. */
struct sample {
    const struct graph *whole;
    struct decoder small;
    int *kind;                           /* of each node of the small graph */
};

struct trial {
    struct run *r;
    struct kinds kinds;
    struct weights_list *weights;
    struct sample model, reference, attacker;
    struct slice_sums gradient;
    int64_t n_window, most;              /* of a batch in this turn; at most */
    int joined;                          /* slices in it */
    double tokens[N_SIZE];               /* of a batch, of the last turn */
    double load[TURNS], add[TURNS];      /* seconds: of a batch into its inputs; of one sum of two batches' gradients */
    int n_turn;
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- kinds of nodes ---- */

static int put_tensor(struct buf *b, const struct graph *g, int id, struct err *err)
{
    const struct tensor *t = id < 0 ? NULL : &g->tensor[id];
    if (!t)
        return buf_add_str(b, "|-", err);
    TRY(buf_printf(b, err, "|%d %d", t->kind, t->dtype));
    for (int i = 0; i < t->rank; i++)
        TRY(buf_printf(b, err, " %lld.%d", (long long)t->shape[i].n, t->shape[i].of));
    return 0;
}

static int key_of(const struct graph *g, const struct node *n, struct buf *b, uint64_t *key, struct err *err)
{
    const struct attr *a = &n->attr;
    buf_clear(b);
    TRY(buf_printf(b, err, "%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d", n->op, n->pass, n->again, a->compute, a->n_head, a->n_kv_head, a->d_head, a->d_rot, a->d_v, a->window,
                   a->norm_per_head, a->gather, a->by_cols, a->bidirectional, a->n_expert, a->top_k, a->act, a->pool));
    for (int i = 0; i < NODE_IN; i++) {
        TRY(put_tensor(b, g, n->in[i], err));
        TRY(put_tensor(b, g, n->d_in[i], err));
        TRY(buf_add_char(b, n->add[i] ? '+' : ' ', err));
    }
    for (int i = 0; i < NODE_OUT; i++) {
        TRY(put_tensor(b, g, n->out[i], err));
        TRY(put_tensor(b, g, n->d_out[i], err));
    }
    *key = hash64(b->data, b->len, 0);
    return 0;
}

static int find_kind(const struct kinds *k, uint64_t key)
{
    for (int i = 0; i < k->n; i++)
        if (k->at[i].key == key)
            return i;
    return -1;
}

static int add_kind(struct kinds *k, uint64_t key, struct err *err)
{
    if (k->n == k->cap) {
        const int cap = k->cap ? 2 * k->cap : 64;
        struct kind *p = mem_realloc_array(k->at, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory to time operations");
        k->at = p, k->cap = cap;
    }
    k->at[k->n] = (struct kind){ .key = key };
    return k->n++;
}

/* The kinds of the small graph are added.  Returns 1 when every node of the whole graph is of one of them. */
static int list_kinds(struct kinds *k, struct sample *s, struct err *err)
{
    const struct graph *g = s->small.g;
    struct buf b;
    buf_init(&b);
    int rc = 0, all = 1;
    uint64_t key = 0;
    mem_free(s->kind);
    if (!(s->kind = mem_alloc_array((size_t)g->n_node, sizeof *s->kind)))
        rc = ERR(err, NOMEM, "no memory to time operations");
    for (int i = 0; i < g->n_node && rc >= 0; i++)
        if ((rc = key_of(g, &g->node[i], &b, &key, err)) >= 0)
            rc = s->kind[i] = find_kind(k, key) >= 0 ? find_kind(k, key) : add_kind(k, key, err);
    for (int i = 0; i < s->whole->n_node && rc >= 0; i++)
        if ((rc = key_of(s->whole, &s->whole->node[i], &b, &key, err)) >= 0)
            all = all && find_kind(k, key) >= 0;
    buf_release(&b);
    return rc < 0 ? rc : all;
}

/* ---- the small graphs ---- */

static int record(struct trial *t, int n_layer, struct err *err)
{
    const struct run *r = t->r;
    struct config c = r->c.model;
    const struct decoder_opts train = run_train_opts(r), reference = run_reference_opts(r), attacker = run_attacker_opts(r);
    memset(c.layer + n_layer, 0, sizeof c.layer - (size_t)n_layer);
    c.n_layer = n_layer;
    TRY(weights_list_new(&t->weights, &c, err));
    TRY(decoder_record(&t->model.small, &c, &train, err));
    if (r->attacker.g)
        TRY(decoder_record(&t->attacker.small, &c, &attacker, err));
    return r->reference.g ? decoder_record(&t->reference.small, &c, &reference, err) : 0;
}

static void release(struct trial *t)
{
    decoder_release(&t->reference.small);
    decoder_release(&t->attacker.small);
    decoder_release(&t->model.small);
    weights_list_free(t->weights);
    t->weights = NULL;
    t->kinds.n = 0;
}

static int plan_small(struct trial *t, struct err *err)
{
    const struct run *r = t->r;
    const int T = (int)(t->most * r->c.ctx), S = run_sequences(r, T);
    TRY(decoder_plan(&t->model.small, T, S, r->o->n_thread, NULL, err));
    if (t->attacker.whole)
        TRY(decoder_plan(&t->attacker.small, T, S, r->o->n_thread, &t->model.small, err));
    return t->reference.whole ? decoder_plan(&t->reference.small, T, S, r->o->n_thread, &t->model.small, err) : 0;
}

/* With as few layers as have all kinds, and are not too small. */
static int record_small(struct trial *t, struct err *err)
{
    const int whole = t->r->c.model.n_layer;
    for (int n = whole < 2 ? whole : 2;; n = 2 * n < whole ? 2 * n : whole) {
        int model, reference = 1, attacker = 1;
        TRY(record(t, n, err));
        TRY(model = list_kinds(&t->kinds, &t->model, err));
        if (t->reference.whole)
            TRY(reference = list_kinds(&t->kinds, &t->reference, err));
        if (t->attacker.whole)
            TRY(attacker = list_kinds(&t->kinds, &t->attacker, err));
        TRY(plan_small(t, err));
        if ((model && reference && attacker && t->model.small.g->plan.total >= SMALL_BYTES) || n == whole)
            return 0;
        release(t);
    }
}

static int take_memory(struct trial *t, struct err *err)
{
    const struct run *r = t->r;
    TRY(decoder_bind(&t->model.small, r->pool, NULL, err));
    if (t->reference.whole)
        TRY(decoder_bind(&t->reference.small, r->pool, &t->model.small, err));
    if (t->attacker.whole)
        TRY(decoder_bind(&t->attacker.small, r->pool, &t->model.small, err));
    decoder_init_weights(&t->model.small, t->weights, 1);
    if (r->c.tune.on)
        decoder_init_adapters(&t->model.small, 1);
    return slice_sums_init(&t->gradient, t->model.small.g, r->n_slice > r->joined ? 2 : 1, err);
}

/* ---- turns ---- */

struct watched { struct kinds *kinds; const int *kind; };

static void note(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    (void)step;
    const struct watched *w = ctx;
    struct kind *k = &w->kinds->at[w->kind[n - g->node]];
    const double now = clock_wall();
    const int size = w->kinds->size;
    if (w->kinds->on && k->n[size] < SAMPLES)
        k->seconds[size][k->n[size]++] = now - w->kinds->last;
    w->kinds->last = clock_wall();
}

static void run_pass(struct trial *t, struct sample *s, enum pass pass, const struct step *step)
{
    struct watched w = { &t->kinds, s->kind };
    struct graph *g = s->small.g;
    g->watch = note, g->watch_ctx = &w;
    t->kinds.last = clock_wall();
    graph_run(g, pass, step);
    g->watch = NULL;
}

/* Whole sequences, or pairs of them, of a batch: no more tokens than n windows have, but at least the first. */
static void cut_batch(struct run *r, int64_t n_window)
{
    const int together = train_prefers(&r->c) ? 2 : 1;
    int n = r->batch.n_seq - r->batch.n_seq % together;
    while (n > together && r->batch.seq_start[n] > n_window * r->c.ctx)
        n -= together;
    if (n >= together && r->batch.seq_start[n] < r->batch.n)
        r->batch.n_seq = n, r->batch.n = r->batch.seq_start[n];
}

static void load_micro(struct trial *t, int64_t i_micro)
{
    struct run *r = t->r;
    const double begin = clock_wall();
    if (run_classifies(r)) {
        classes_batch(&r->classes, &r->c, r->pool, i_micro, t->n_window, &t->model.small, &r->batch);
    } else {
        for (int i = 0; i < 2; i++)          /* before a step its tokens are counted */
            run_load_slices(r, i_micro, t->joined);
        cut_batch(r, t->n_window);
        run_load_inputs(r, &t->model.small);
    }
    t->load[t->n_turn] = (clock_wall() - begin) * (run_classifies(r) ? (double)r->micro / (double)t->n_window : 1);
    t->tokens[t->kinds.size] = r->batch.n;
}

/* A micro-batch as step.c runs one. */
static void run_micro(struct trial *t, int64_t i_micro)
{
    struct run *r = t->r;
    t->joined = 1;
    while (2 * t->joined <= r->joined && 2 * t->joined * r->micro <= t->n_window)
        t->joined *= 2;
    load_micro(t, i_micro * t->joined);
    struct step s = run_step_of(r, i_micro * t->joined);
    if (t->joined > 1)
        s.n_slice = t->joined, s.slice = r->slice_seq;
    s.loss_scale = 1.0 / (double)r->T, s.aux_scale = 1.0 / (double)r->n_micro;
    s.accumulate = r->n_micro > r->c.slices;
    s.token_scale = r->token_scale;
    if (t->reference.whole) {
        run_load_inputs(r, &t->reference.small);
        run_pass(t, &t->reference, PASS_FORWARD, &s);
    }
    if (t->attacker.whole) {
        run_pass(t, &t->attacker, PASS_FORWARD, &s);
        run_pass(t, &t->attacker, PASS_BACKWARD, &s);
    }
    run_pass(t, &t->model, PASS_FORWARD, &s);
    if (train_prefers(&r->c))
        run_pass(t, &t->model, PASS_LOSS, &s);
    run_pass(t, &t->model, PASS_BACKWARD, &s);
}

static void run_turn(struct trial *t)
{
    struct run *r = t->r;
    const int n = r->n_slice > r->joined ? 2 : 1;
    for (int v = 0; v < n; v++) {
        slice_sums_begin(&t->gradient);
        run_micro(t, t->n_turn * n + v);
        const double begin = clock_wall();
        slice_sums_end(&t->gradient);
        t->add[t->n_turn] = clock_wall() - begin;
    }
    struct step s = run_step_of(r, 0);
    s.adamw = (struct adamw){ .lr = 1e-6f, .beta1 = (float)r->c.beta1, .beta2 = (float)r->c.beta2, .eps = 1e-8f, .wd = 1e-2f, .correction1 = 0.1f, .correction2 = 0.1f, .grad_scale = 1 };
    s.momentum = (struct momentum){ .lr = 1e-6f, .momentum = (float)r->c.momentum, .wd = 1e-2f, .grad_scale = 1 };
    run_pass(t, &t->model, PASS_NORM, &s);
    run_pass(t, &t->model, PASS_UPDATE, &s);
}

/* The first turn at a size touches its memory. */
static void run_turns(struct trial *t)
{
    const double begin = clock_wall();
    t->kinds.on = true;
    t->n_turn = 0;
    for (double took = 0; !t->n_turn || (t->n_turn < TURNS && took < TURNS_S && (t->n_turn < TURNS_LEAST || took < ENOUGH_S)); took = clock_wall() - begin) {
        run_turn(t);
        t->n_turn++;
    }
    t->kinds.on = false;
}

static void run_trial(struct trial *t)
{
    const struct step first = run_step_of(t->r, 0);
    graph_run(t->model.small.g, PASS_PREPARE, &first);
    if (t->reference.whole)
        graph_run(t->reference.small.g, PASS_PREPARE, &first);
    if (t->attacker.whole)
        graph_run(t->attacker.small.g, PASS_PREPARE, &first);
    double took = 0;
    for (t->n_window = 1;; t->n_window = least(GROWTH * t->n_window, t->most)) {
        const double begin = clock_wall();
        run_turn(t);
        took = clock_wall() - begin;
        if (t->n_window == t->most || took >= TURN_S)
            break;
    }
    const int64_t n = t->n_window;
    if (n > 1 && n < t->r->joined * t->r->micro) {
        t->kinds.size = SIZE_LESS;
        t->n_window = (n + GROWTH - 1) / GROWTH;
        run_turns(t);
    }
    t->kinds.size = SIZE_MOST, t->n_window = n;
    run_turns(t);
}

/* ---- the sum ---- */

/* Of a kind at T tokens; of an update, which has none, T is 0. */
static double seconds_of(struct trial *t, int i_kind, double T)
{
    struct kind *k = i_kind < 0 ? NULL : &t->kinds.at[i_kind];
    if (!k || !k->n[SIZE_MOST])
        return 0;
    const double most = stat_median(k->seconds[SIZE_MOST], k->n[SIZE_MOST]), at = t->tokens[SIZE_MOST];
    if (!T || T <= at)
        return most;
    if (!k->n[SIZE_LESS] || t->tokens[SIZE_LESS] >= at)
        return most * T / at;
    const double less = stat_median(k->seconds[SIZE_LESS], k->n[SIZE_LESS]);
    return most + fmax(most - less, 0) / (at - t->tokens[SIZE_LESS]) * (T - at);
}

static int sum_nodes(struct trial *t, const struct graph *g, unsigned passes, double T, double *sum, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = 0;
    for (int i = 0; i < g->n_node && !rc; i++) {
        uint64_t key;
        if (!(passes >> g->node[i].pass & 1))
            continue;
        if (!(rc = key_of(g, &g->node[i], &b, &key, err)))
            *sum += seconds_of(t, find_kind(&t->kinds, key), T);
    }
    buf_release(&b);
    return rc;
}

static int sum_step(struct trial *t, double *seconds, struct err *err)
{
    const struct run *r = t->r;
    const int64_t runs = run_own_micro(r) / r->joined;
    const double T = t->n_window < r->joined * r->micro ? run_step_tokens(r) / (double)(r->n_micro / r->joined) : 0;       /* 0: it was measured whole */
    double micro = stat_median(t->load, t->n_turn), update = 0;
    TRY(sum_nodes(t, r->model.g, 1u << PASS_FORWARD | 1u << PASS_LOSS | 1u << PASS_BACKWARD, T, &micro, err));
    if (t->reference.whole)
        TRY(sum_nodes(t, t->reference.whole, 1u << PASS_FORWARD, T, &micro, err));
    double attack = 0;
    if (t->attacker.whole)
        TRY(sum_nodes(t, t->attacker.whole, 1u << PASS_FORWARD | 1u << PASS_BACKWARD, T, &attack, err));
    micro += attack * (double)r->c.adversarial.n_step;
    TRY(sum_nodes(t, r->model.g, 1u << PASS_NORM | 1u << PASS_UPDATE, 0, &update, err));
    const double add = stat_median(t->add, t->n_turn) * (double)r->model.g->plan.bytes[TENSOR_GRAD] / (double)(t->model.small.g->plan.bytes[TENSOR_GRAD] + 1);
    *seconds = (double)runs * micro + (double)(r->n_slice / r->joined - 1) * add + update;
    return 0;
}

int run_predict(struct run *r, double *seconds, struct err *err)
{
    *seconds = NAN;
    const bool no_pairs = train_prefers(&r->c) && r->data.train.kind != SHARD_PAIRS;       /* will be refused */
    if (r->o->device || r->rows || r->c.privacy.on || no_pairs || comm_size(r->comm) > 1)
        return 0;
    struct trial *t = mem_alloc_zero(sizeof *t);
    if (!t)
        return ERR(err, NOMEM, "no memory to time operations");
    t->most = least(r->joined * r->micro, r->c.ctx < TOKENS_MAX ? TOKENS_MAX / r->c.ctx : 1);
    t->r = r, t->model.whole = r->model.g, t->reference.whole = r->reference.g, t->attacker.whole = r->attacker.g;
    int rc = record_small(t, err);
    if (rc >= 0 && (rc = take_memory(t, err)) >= 0) {
        run_trial(t);
        rc = sum_step(t, seconds, err);
    }
    slice_sums_release(&t->gradient);
    release(t);
    mem_free(t->model.kind);
    mem_free(t->reference.kind);
    mem_free(t->attacker.kind);
    mem_free(t->kinds.at);
    mem_free(t);
    return rc;
}
