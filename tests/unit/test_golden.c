/* test_golden.c - whole models against tests/golden (float64, tools/golden/models.py): logits, losses and the gradient of
 * every weight, in fp32 and bf16, at every level of kernels; losses and weights of 20 steps; AdamW and the schedules against torch's. */
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include "golden.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/decoder.h"
#include "train/balance.h"
#include "train/schedule.h"

static const char *const cases[] = { "gpt2", "lathe_gpt", "lathe_gpt_moe", "lathe_gpt_sigmoid", "lathe_gpt_corrected", "llama", "mixtral", "olmoe", "qwen3_moe" };
#define N_CASE (sizeof cases / sizeof *cases)

static struct pool *pool;
static struct err err;

struct golden { struct config c; struct weights_list *l; struct safetensors *model, *want; int B, T; const int32_t *ids, *targets; int32_t *pos, *seq_start; };

static void open_case(struct golden *g, const char *name)
{
    char path[200];
    struct buf warnings;
    buf_init(&warnings);
    snprintf(path, sizeof path, "tests/golden/%s", name);
    OK(config_load(&g->c, path, &warnings, &err));
    buf_release(&warnings);
    OK(weights_list_new(&g->l, &g->c, &err));
    OK(safetensors_open(&g->model, path, &err));
    snprintf(path, sizeof path, "tests/golden/%s/golden.safetensors", name);
    OK(safetensors_open(&g->want, path, &err));
    const struct st_tensor *ids = find(g->want, "input_ids");
    g->B = (int)ids->shape[0], g->T = (int)ids->shape[1];
    g->ids = ids->data, g->targets = find(g->want, "targets")->data;
    g->pos = mem_alloc_array((size_t)(g->B * g->T), sizeof *g->pos);
    g->seq_start = mem_alloc_array((size_t)g->B + 1, sizeof *g->seq_start);
    for (int i = 0; i < g->B * g->T; i++)
        g->pos[i] = i % g->T;
    for (int b = 0; b <= g->B; b++)
        g->seq_start[b] = b * g->T;
}

static void close_case(struct golden *g)
{
    weights_list_free(g->l);
    safetensors_free(g->model);
    safetensors_free(g->want);
    mem_free(g->pos);
    mem_free(g->seq_start);
}

static void fill_inputs(const struct golden *g, const struct decoder *d)
{
    memcpy(d->g->tensor[d->ids].data, g->ids, (size_t)(g->B * g->T) * sizeof(int32_t));
    memcpy(d->g->tensor[d->pos].data, g->pos, (size_t)(g->B * g->T) * sizeof(int32_t));
    if (d->target >= 0)
        for (int i = 0; i < g->B * g->T; i++)
            ((int32_t *)d->g->tensor[d->target].data)[i] = g->targets[i] < 0 ? -1 : g->targets[i];
}

static void load(const struct golden *g, struct decoder *d, enum decoder_use use, enum dtype compute, enum recompute recompute, enum optimizer optimizer)
{
    const struct decoder_opts o = { .use = use, .compute = compute, .recompute = recompute, .optimizer = optimizer, .n_slot = g->B, .ctx = g->c.ctx };
    OK(decoder_record(d, &g->c, &o, &err));
    OK(decoder_plan(d, g->B * g->T, g->B, 2, NULL, &err));
    OK(decoder_bind(d, pool, NULL, &err));
    OK(weights_load(g->l, g->model, decoder_weight, d, &err));
    fill_inputs(g, d);
}

static double difference(const float *got, const double *want, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++)
        diff += (got[i] - want[i]) * (got[i] - want[i]), norm += want[i] * want[i];
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

/* The part of our gradient, or weight, that belongs to one tensor of the file, in the file's layout: against KIND.<tensor>. */
static void check_part(const struct safetensors *file, const char *kind, const char *name, const float *ours, const struct weight_part *p, double tolerance)
{
    char key[PART_NAME_MAX + 8];
    snprintf(key, sizeof key, "%s.%s", kind, p->name);
    const struct st_tensor *want = find(file, key);
    const int64_t n = p->n_row * p->n_col;
    assert_int_equal(want->n, n);
    float *got = mem_alloc_array((size_t)n, sizeof *got);
    for (int64_t i = 0; i < p->n_row; i++)
        for (int64_t j = 0; j < p->n_col; j++)
            got[p->transposed ? j * p->n_row + i : i * p->n_col + j] = ours[(p->row + i) * p->n_col + j];
    double *expected = mem_alloc_array((size_t)n, sizeof *expected);
    for (int64_t i = 0; want->dtype == ST_F32 && i < n; i++)
        expected[i] = (double)((const float *)want->data)[i];
    if (want->dtype == ST_F64)
        memcpy(expected, want->data, (size_t)n * sizeof *expected);
    const double d = difference(got, expected, n);
    if (!(d <= tolerance))
        fail_msg("%s: %s differs by %.3g, expected at most %g", name, key, d, tolerance);
    mem_free(got);
    mem_free(expected);
}

static void check_gradients(const char *name, enum dtype compute, enum recompute recompute, double tolerance)
{
    struct golden g;
    struct decoder d;
    open_case(&g, name);
    load(&g, &d, DECODER_TRAIN, compute, recompute, OPTIMIZER_ADAMW);
    int counted = 0;
    for (int i = 0; i < g.B * g.T; i++)
        counted += g.targets[i] >= 0;
    const struct step s = { .T = g.B * g.T, .S = g.B, .seq_start = g.seq_start, .loss_scale = 1.0 / counted, .aux_scale = 1 };
    graph_run(d.g, PASS_PREPARE, &s);
    graph_run(d.g, PASS_FORWARD, &s);
    graph_run(d.g, PASS_BACKWARD, &s);
    double loss = 0, want[1], want_total[1];
    for (int i = 0; i < g.B * g.T; i++)
        loss += g.targets[i] >= 0 ? (double)((const float *)d.g->tensor[d.nll].data)[i] / counted : 0;
    double total = loss;
    for (int i = 0; i < d.n_stats; i++) {
        const struct aux_losses l = graph_aux_losses(d.g->tensor[d.stats[i]].data, &d.route);
        total += l.lb + l.z;
        char key[40];
        snprintf(key, sizeof key, "expert_count.%d", i);
        const int32_t *count = find(g.want, key)->data;
        for (int e = 0; compute == DT_F32 && e < g.c.n_expert; e++)
            assert_int_equal((int)((const double *)d.g->tensor[d.stats[i]].data)[e], count[e]);
    }
    memcpy(want, find(g.want, "loss")->data, sizeof want);
    memcpy(want_total, find(g.want, "loss_total")->data, sizeof want_total);
    if (!(fabs(loss - want[0]) <= tolerance * want[0]) || !(fabs(total - want_total[0]) <= tolerance * want_total[0]))
        fail_msg("%s: loss %.9g, total %.9g, expected %.9g and %.9g", name, loss, total, want[0], want_total[0]);
    for (int i = 0; i < g.l->n_weight; i++)
        for (int p = 0; p < g.l->weight[i].n_part && !g.l->weight[i].balances; p++) {
            const struct weight_part part = weight_part(g.l, &g.l->weight[i], p);
            check_part(g.want, "grad", name, d.g->tensor[d.g->tensor[i].grad].data, &part, tolerance);
        }
    decoder_release(&d);
    close_case(&g);
}

static void losses_and_all_gradients_in_fp32(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        check_gradients(cases[i], DT_F32, RECOMPUTE_NONE, 1e-5);
}
static void losses_and_all_gradients_in_fp32_with_recomputation(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++) {
        check_gradients(cases[i], DT_F32, RECOMPUTE_CHEAP, 1e-5);
        check_gradients(cases[i], DT_F32, RECOMPUTE_BLOCK, 1e-5);
    }
}
/* Routing is a choice: a bf16 hidden state may choose another expert than float64 did, and then the gradient is another
 * function's.  The maker of the cases takes seeds without such near ties (MARGIN in tools/golden/models.py). */
static void losses_and_all_gradients_in_bf16(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        check_gradients(cases[i], DT_BF16, RECOMPUTE_NONE, 2e-2);
}

/* ---- layers divided among processes, here threads ---- */

enum { PEERS_MAX = 4 };
struct world { pthread_barrier_t gate; int n; const float *x[PEERS_MAX]; };
struct process { struct world *world; const struct golden *g; struct division division; struct peers peers; struct decoder d; struct pool *pool; float *room; struct step step; };

static int sum_of_all(void *ctx, float *x, size_t n, struct err *e)
{
    const struct process *p = ctx;
    float *sum = mem_alloc_array(n, sizeof *sum);
    if (!sum)
        return ERR(e, NOMEM, "no memory for a sum");
    p->world->x[p->division.i] = x;
    pthread_barrier_wait(&p->world->gate);
    for (int i = 0; i < p->world->n; i++)
        for (size_t k = 0; k < n; k++)
            sum[k] += p->world->x[i][k];
    pthread_barrier_wait(&p->world->gate);
    memcpy(x, sum, n * sizeof *x);
    mem_free(sum);
    return 0;
}

static struct weight_held held_by(const struct process *p, int i) { return weight_held(p->g->l, &p->g->l->weight[i], &p->division); }

static int take_weight(void *ctx, int i, struct err *e)
{
    (void)e;
    struct process *p = ctx;
    const struct weight_held h = held_by(p, i);
    weight_take(&h, p->room, decoder_weight(&p->d, i), sizeof(float));
    return 0;
}

static void open_process(struct process *p, enum dtype compute, enum recompute recompute)
{
    const struct golden *g = p->g;
    const struct decoder_opts o = { .use = DECODER_TRAIN, .compute = compute, .recompute = recompute, .division = p->division };
    OK(pool_new(&p->pool, 1, &err));
    OK(decoder_record(&p->d, &g->c, &o, &err));
    OK(decoder_plan(&p->d, g->B * g->T, g->B, 1, NULL, &err));
    OK(decoder_bind(&p->d, p->pool, NULL, &err));
    OK(weights_load_each(g->l, g->model, p->room, take_weight, p, &err));
    fill_inputs(g, &p->d);
    p->peers = (struct peers){ .rank = p->division.i, .size = p->division.n, .sum = sum_of_all, .ctx = p };
    p->d.g->peers = &p->peers;
}

static void *be_a_process(void *ctx)
{
    struct process *p = ctx;
    graph_run(p->d.g, PASS_PREPARE, &p->step);
    graph_run(p->d.g, PASS_FORWARD, &p->step);
    graph_run(p->d.g, PASS_BACKWARD, &p->step);
    return NULL;
}

/* The gradient of the whole weight i, of the processes' parts; what all have whole is the same in all, to the bit. */
static void join_gradients(const struct process *p, int n, int i, float *whole)
{
    for (int k = 0; k < n; k++) {
        const struct tensor *w = &p[k].d.g->tensor[i];
        const float *grad = p[k].d.g->tensor[w->grad].data;
        const struct weight_held h = held_by(&p[k], i);
        assert_int_equal(w->n_part, h.part ? n : 0);
        if (w->grad_in_parts && k)
            for (int64_t e = 0; e < h.n; e++)
                whole[e] += grad[e];
        else if (!h.part && k)
            assert_memory_equal(whole, grad, (size_t)h.n * sizeof *grad);
        else
            weight_put(&h, grad, whole, sizeof *grad);
    }
}

static void check_divided(const char *name, int n, enum dtype compute, enum recompute recompute, double tolerance)
{
    struct golden g;
    struct world world = { .n = n };
    struct process p[PEERS_MAX];
    pthread_t thread[PEERS_MAX];
    int counted = 0;
    int64_t largest = 0;
    open_case(&g, name);
    for (int i = 0; i < g.B * g.T; i++)
        counted += g.targets[i] >= 0;
    for (int i = 0; i < g.l->n_weight; i++)
        largest = g.l->weight[i].n > largest ? g.l->weight[i].n : largest;
    float *whole = mem_alloc_array((size_t)largest, sizeof *whole);
    assert_int_equal(pthread_barrier_init(&world.gate, NULL, (unsigned)n), 0);
    for (int i = 0; i < n; i++) {
        p[i] = (struct process){ &world, &g, { DIVIDE_LAYERS, n, i, 0 }, .room = whole, .step = { .T = g.B * g.T, .S = g.B, .seq_start = g.seq_start, .loss_scale = 1.0 / counted, .aux_scale = 1 } };
        open_process(&p[i], compute, recompute);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, be_a_process, &p[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    double loss = 0, want[1];
    for (int i = 0; i < g.B * g.T; i++)
        loss += g.targets[i] >= 0 ? (double)((const float *)p[0].d.g->tensor[p[0].d.nll].data)[i] / counted : 0;
    memcpy(want, find(g.want, "loss")->data, sizeof want);
    if (!(fabs(loss - want[0]) <= tolerance * want[0]))
        fail_msg("%s in %d: loss %.9g, expected %.9g", name, n, loss, want[0]);
    size_t bytes = 0;
    for (int i = 0; i < g.l->n_weight; i++) {
        join_gradients(p, n, i, whole);
        bytes += (size_t)g.l->weight[i].n * sizeof(float);
        for (int k = 0; k < g.l->weight[i].n_part; k++) {
            const struct weight_part part = weight_part(g.l, &g.l->weight[i], k);
            check_part(g.want, "grad", name, whole, &part, tolerance);
        }
    }
    for (int i = 0; i < n; i++) {                    /* all have the same losses, and a part of the optimiser's state */
        assert_memory_equal(p[0].d.g->tensor[p[0].d.nll].data, p[i].d.g->tensor[p[i].d.nll].data, (size_t)(g.B * g.T) * sizeof(float));
        assert_true((double)p[i].d.g->plan.bytes[TENSOR_MOMENT] < 2.3 * (double)bytes / n);      /* norms and biases of sums are whole in each */
    }
    for (int i = 0; i < n; i++) {
        decoder_release(&p[i].d);
        pool_free(p[i].pool);
    }
    pthread_barrier_destroy(&world.gate);
    mem_free(whole);
    close_case(&g);
}

static void layers_divided_among_processes_have_the_same_losses_and_gradients(void **state)
{
    (void)state;
    static const struct { const char *name; int n; } divided[] = { { "gpt2", 3 }, { "lathe_gpt", 2 }, { "llama", 2 } };
    for (size_t i = 0; i < sizeof divided / sizeof *divided; i++) {
        for (int recompute = RECOMPUTE_NONE; recompute <= RECOMPUTE_BLOCK; recompute++)
            check_divided(divided[i].name, divided[i].n, DT_F32, (enum recompute)recompute, 1e-5);
        check_divided(divided[i].name, divided[i].n, DT_BF16, RECOMPUTE_NONE, 2e-2);
    }
}

/* ---- 20 steps of whole models ---- */

enum { N_STEP = 20, N_BATCH = 3 };

/* Loss of batch i with the router losses, and the update, as a run does it (train/step.c). */
static double take_step(const struct golden *g, const struct safetensors *steps, struct decoder *d, int t)
{
    const int n = g->B * g->T, at = t % N_BATCH * n;
    const int32_t *targets = (const int32_t *)find(steps, "targets")->data + at;
    memcpy(d->g->tensor[d->ids].data, (const int32_t *)find(steps, "input_ids")->data + at, (size_t)n * sizeof(int32_t));
    int counted = 0;
    for (int i = 0; i < n; i++)
        counted += (((int32_t *)d->g->tensor[d->target].data)[i] = targets[i] < 0 ? -1 : targets[i]) >= 0;
    struct step s = { .T = n, .S = g->B, .seq_start = g->seq_start, .loss_scale = 1.0 / counted, .aux_scale = 1 };
    graph_run(d->g, PASS_FORWARD, &s);
    graph_run(d->g, PASS_BACKWARD, &s);
    graph_run(d->g, PASS_NORM, &s);
    double loss = 0;
    for (int i = 0; i < n; i++)
        loss += targets[i] >= 0 ? (double)((const float *)d->g->tensor[d->nll].data)[i] / counted : 0;
    for (int i = 0; i < d->n_stats; i++) {
        const struct aux_losses l = graph_aux_losses(d->g->tensor[d->stats[i]].data, &d->route);
        loss += l.lb + l.z;
    }
    const double norm = sqrt(graph_grad_square(d->g));
    s.adamw = (struct adamw){ .lr = 3e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = (float)(1 - pow(0.9, t + 1)), .correction2 = (float)(1 - pow(0.95, t + 1)),
                              .grad_scale = norm > 1 ? (float)(1 / (norm + 1e-6)) : 1 };
    s.momentum = (struct momentum){ .lr = 0.02f, .momentum = 0.95f, .wd = 0.01f, .grad_scale = s.adamw.grad_scale };
    graph_run(d->g, PASS_UPDATE, &s);
    for (int i = 0; i < d->n_stats; i++)
        balance_experts(d, i, d->g->tensor[d->stats[i]].data, 0.01);
    return loss;
}

static void take_steps(const char *name, bool muon)
{
    struct golden g;
    struct decoder d;
    struct safetensors *steps;
    char path[200], key[20];
    const char *kind = muon ? "muon" : "adamw";
    double want[N_STEP];
    open_case(&g, name);
    snprintf(path, sizeof path, "tests/golden/%s/steps.safetensors", name);
    OK(safetensors_open(&steps, path, &err));
    load(&g, &d, DECODER_TRAIN, DT_F32, RECOMPUTE_NONE, muon ? OPTIMIZER_MUON : OPTIMIZER_ADAMW);
    graph_run(d.g, PASS_PREPARE, &(struct step){ .T = g.B * g.T, .S = g.B, .seq_start = g.seq_start });
    snprintf(key, sizeof key, "%s.loss", kind);
    memcpy(want, find(steps, key)->data, sizeof want);
    for (int t = 0; t < N_STEP; t++) {
        const double loss = take_step(&g, steps, &d, t);
        if (!(fabs(loss - want[t]) <= 1e-5 * want[t]))
            fail_msg("%s, %s: loss of step %d is %.9g, expected %.9g", name, kind, t, loss, want[t]);
    }
    for (int i = 0; i < g.l->n_weight; i++)
        for (int p = 0; p < g.l->weight[i].n_part; p++) {
            const struct weight_part part = weight_part(g.l, &g.l->weight[i], p);
            check_part(steps, kind, name, decoder_weight(&d, i), &part, 1e-5);
        }
    decoder_release(&d);
    safetensors_free(steps);
    close_case(&g);
}

static void losses_and_weights_of_20_steps_of_adamw_and_muon(void **state)
{
    (void)state;
    static const char *const names[] = { "llama", "qwen3_moe", "lathe_gpt_sigmoid", "lathe_gpt_corrected" };
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++)
        take_steps(names[i / 2], i % 2);
}

static void logits_of_every_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++) {
        struct golden g;
        struct decoder d;
        open_case(&g, cases[i]);
        load(&g, &d, DECODER_LOGITS, DT_F32, RECOMPUTE_NONE, OPTIMIZER_ADAMW);
        const struct step s = { .T = g.B * g.T, .S = g.B, .seq_start = g.seq_start };
        graph_run(d.g, PASS_PREPARE, &s);
        graph_run(d.g, PASS_FORWARD, &s);
        const struct st_tensor *want = find(g.want, "logits");
        double *expected = mem_alloc_array((size_t)want->n, sizeof *expected);
        memcpy(expected, want->data, (size_t)want->n * sizeof *expected);
        const double diff = difference(d.g->tensor[d.logits].data, expected, want->n);
        if (!(diff <= 1e-5))
            fail_msg("%s: logits differ by %.3g", cases[i], diff);
        mem_free(expected);
        decoder_release(&d);
        close_case(&g);
    }
}

/* With a cache: the prompt whole, in pieces, or token by token, alone or with the other sequence: the same bits. */
static void logits_from_the_cache_have_the_same_bits_alone_and_in_any_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        for (int b16 = 0; b16 < 2; b16++) {
            struct golden g;
            struct decoder d, all;
            open_case(&g, cases[i]);
            load(&g, &d, DECODER_GENERATE, b16 ? DT_BF16 : DT_F32, RECOMPUTE_NONE, OPTIMIZER_ADAMW);
            load(&g, &all, DECODER_LOGITS, b16 ? DT_BF16 : DT_F32, RECOMPUTE_NONE, OPTIMIZER_ADAMW);
            const int V = g.c.vocab_size;
            const struct step whole = { .T = g.B * g.T, .S = g.B, .seq_start = g.seq_start };
            graph_run(all.g, PASS_PREPARE, &whole);
            graph_run(all.g, PASS_FORWARD, &whole);
            graph_run(d.g, PASS_PREPARE, &whole);
            const float *want = all.g->tensor[all.logits].data;
            int32_t *ids = d.g->tensor[d.ids].data, *pos = d.g->tensor[d.pos].data, *last = d.g->tensor[d.last].data;
            for (int chunk = 1; chunk <= g.T; chunk += 5) {                      /* sequence 0 alone, in chunks */
                for (int at = 0; at < g.T; at += chunk) {
                    const int32_t n = g.T - at < chunk ? g.T - at : chunk, start[2] = { 0, n }, pos0 = at, slot = 1;
                    for (int j = 0; j < n; j++)
                        ids[j] = g.ids[at + j], pos[j] = at + j;
                    last[0] = n - 1;
                    graph_run(d.g, PASS_FORWARD, &(struct step){ .T = n, .S = 1, .seq_start = start, .pos0 = &pos0, .slot = &slot });
                    graph_run(d.g, PASS_HEAD, &(struct step){ .S = 1 });
                    if (memcmp(d.g->tensor[d.logits].data, want + (at + n - 1) * V, (size_t)V * sizeof *want))
                        fail_msg("%s %s: logits of token %d in chunks of %d differ from the whole batch's", cases[i], b16 ? "bf16" : "fp32", at + n - 1, chunk);
                }
            }
            for (int t = 0; t < g.T; t++) {                                       /* all sequences, one token each */
                int32_t start[8], pos0[8], slot[8];
                for (int b = 0; b < g.B; b++)
                    ids[b] = g.ids[b * g.T + t], pos[b] = pos0[b] = t, slot[b] = g.B - 1 - b, start[b] = last[b] = b;
                start[g.B] = g.B;
                graph_run(d.g, PASS_FORWARD, &(struct step){ .T = g.B, .S = g.B, .seq_start = start, .pos0 = pos0, .slot = slot });
                graph_run(d.g, PASS_HEAD, &(struct step){ .S = g.B });
                for (int b = 0; b < g.B; b++)
                    if (memcmp((const float *)d.g->tensor[d.logits].data + b * V, want + (b * g.T + t) * V, (size_t)V * sizeof *want))
                        fail_msg("%s %s: logits of sequence %d, token %d, decoded in a batch differ", cases[i], b16 ? "bf16" : "fp32", b, t);
            }
            decoder_release(&d);
            decoder_release(&all);
            close_case(&g);
        }
}

/* ---- optimiser and schedules ---- */

static struct schedule read_schedule(const json_t *o, const char *where)
{
    const char *kind;
    int64_t warmup, steps;
    struct schedule s = { .kind = SCHEDULE_CONSTANT };
    OK(tree_str(o, "kind", "", &kind, where, &err));
    s.kind = !strcmp(kind, "cosine") ? SCHEDULE_COSINE : !strcmp(kind, "linear") ? SCHEDULE_LINEAR : !strcmp(kind, "wsd") ? SCHEDULE_WSD : SCHEDULE_CONSTANT;
    OK(tree_num(o, "max", NAN, &s.max, where, &err));
    OK(tree_num(o, "min", NAN, &s.min, where, &err));
    OK(tree_num(o, "decay_share", 0.2, &s.decay_share, where, &err));
    OK(tree_int(o, "warmup", -1, 0, 1000000, &warmup, where, &err));
    OK(tree_int(o, "steps", -1, 1, 1000000, &steps, where, &err));
    s.warmup = (long)warmup, s.steps = (long)steps;
    return s;
}

static void schedules_give_the_learning_rates_of_the_tables(void **state)
{
    (void)state;
    json_t *root, *table;
    size_t i;
    OK(tree_load(&root, "tests/golden/schedule/schedule.json", 1 << 20, &err));
    assert_true(json_array_size(root) >= 2);
    json_array_foreach(root, i, table) {
        const struct schedule s = read_schedule(table, "schedule.json");
        const json_t *lr = json_object_get(table, "lr");
        assert_true((long)json_array_size(lr) >= s.steps);
        for (long step = 0; step < (long)json_array_size(lr); step++) {
            const double got = schedule_lr(&s, step), want = json_number_value(json_array_get(lr, (size_t)step));
            if (!(fabs(got - want) <= 1e-15))
                fail_msg("schedule %zu, step %ld: %.17g, expected %.17g", i, step, got, want);
        }
    }
    json_decref(root);
}

/* 20 steps with clipping: the norm from sum_squares, then the kernel, on float copies of the float64 run. */
static void adamw_with_clipping_as_torch_does_it(void **state)
{
    (void)state;
    static const char *const names[] = { "embed.weight", "fc.weight", "fc.bias", "norm.weight", "head.weight" };
    enum { N = sizeof names / sizeof *names, MAX = 128 };
    struct safetensors *st;
    OK(safetensors_open(&st, "tests/golden/adamw/golden.safetensors", &err));
    double lr[20], norms[20];
    memcpy(lr, find(st, "lr")->data, sizeof lr);
    memcpy(norms, find(st, "norm")->data, sizeof norms);
    for (const struct cpu_kernels *const *l = cpu_levels(); *l; l++) {
        float w[N][MAX], m[N][MAX] = { { 0 } }, v[N][MAX] = { { 0 } }, g[N][MAX];
        char key[64];
        for (int i = 0; i < N; i++) {
            snprintf(key, sizeof key, "before.%s", names[i]);
            OK(st_read_f32(find(st, key), 0, find(st, key)->n, w[i], &err));
        }
        for (int t = 0; t < 20; t++) {
            double square = 0;
            int64_t n[N];
            for (int i = 0; i < N; i++) {
                snprintf(key, sizeof key, "grad.%d.%s", t, names[i]);
                n[i] = find(st, key)->n;
                OK(st_read_f32(find(st, key), 0, n[i], g[i], &err));
                square += (*l)->sum_squares((size_t)n[i], g[i]);
            }
            const double norm = sqrt(square);
            assert_true(fabs(norm - norms[t]) <= 1e-6 * norms[t]);
            for (int i = 0; i < N; i++) {
                snprintf(key, sizeof key, "before.%s", names[i]);
                const struct adamw p = { .lr = (float)lr[t], .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = find(st, key)->rank > 1 ? 0.1f : 0,
                                         .correction1 = (float)(1 - pow(0.9, t + 1)), .correction2 = (float)(1 - pow(0.95, t + 1)),
                                         .grad_scale = norm > 1 ? (float)(1 / (norm + 1e-6)) : 1 };
                (*l)->adamw((size_t)n[i], w[i], g[i], m[i], v[i], &p);
            }
        }
        for (int i = 0; i < N; i++) {
            double want[MAX];
            snprintf(key, sizeof key, "after.%s", names[i]);
            const struct st_tensor *t = find(st, key);
            memcpy(want, t->data, (size_t)t->n * sizeof *want);
            const double d = difference(w[i], want, t->n);
            if (!(d <= 1e-5))
                fail_msg("%s: %s differs by %.3g after 20 steps", (*l)->level, names[i], d);
        }
    }
    safetensors_free(st);
}

/* ---- Muon, SGD ---- */

static const struct { const char *name; int n_matrix; int64_t rows[3], K; int E; } stacks[] = {
    { "square", 1, { 16 }, 16, 1 }, { "tall", 1, { 40 }, 12, 1 }, { "wide", 1, { 9 }, 33, 1 }, { "qkv", 3, { 24, 8, 8 }, 20, 1 }, { "experts", 2, { 10, 10 }, 14, 3 },
};
enum { N_STACK = sizeof stacks / sizeof *stacks };

/* A graph of nothing but weights with their gradients, and their update. */
static struct graph *updates(enum optimizer optimizer, enum dtype type, int w[N_STACK])
{
    struct graph *g = graph_new();
    assert_non_null(g);
    for (int i = 0; i < N_STACK; i++) {
        int64_t rows = 0;
        for (int j = 0; j < stacks[i].n_matrix; j++)
            rows += stacks[i].rows[j];
        const struct shape s = stacks[i].E > 1 ? CUBE(stacks[i].E, rows, stacks[i].K) : MAT(rows, stacks[i].K);
        w[i] = graph_tensor(g, TENSOR_WEIGHT, DT_F32, s, &err, "%s", stacks[i].name);
        const int grad = graph_tensor(g, TENSOR_GRAD, DT_F32, s, &err, "grad.%s", stacks[i].name);
        assert_true(w[i] >= 0 && grad >= 0);
        struct tensor *t = &g->tensor[w[i]];
        t->grad = grad, t->decay = true, t->n_matrix = stacks[i].n_matrix;
        memcpy(t->matrix_rows, stacks[i].rows, sizeof t->matrix_rows);
    }
    g->backward = true;
    OK(graph_update(g, optimizer, type, &err));
    OK(graph_plan(g, 1, 1, 2, NULL, &err));
    return g;
}

static void muon_and_sgd_as_their_references_do_them(void **state)
{
    (void)state;
    struct safetensors *st;
    OK(safetensors_open(&st, "tests/golden/momentum/golden.safetensors", &err));
    for (const struct cpu_kernels *const *l = cpu_levels(); *l; l++)
        for (int muon = 0; muon < 2; muon++) {
            int w[N_STACK];
            struct graph *g = updates(muon ? OPTIMIZER_MUON : OPTIMIZER_SGD, DT_F32, w);
            OK(graph_bind(g, *l, pool, NULL, &err));
            char key[64];
            for (int i = 0; i < N_STACK; i++) {
                snprintf(key, sizeof key, "before.%s", stacks[i].name);
                OK(st_read_f32(find(st, key), 0, find(st, key)->n, g->tensor[w[i]].data, &err));
            }
            for (int t = 0; t < 20; t++) {
                for (int i = 0; i < N_STACK; i++) {
                    snprintf(key, sizeof key, "grad.%d.%s", t, stacks[i].name);
                    OK(st_read_f32(find(st, key), 0, find(st, key)->n, g->tensor[g->tensor[w[i]].grad].data, &err));
                }
                const struct step s = { .T = 1, .S = 1, .momentum = { .lr = 0.02f, .momentum = 0.95f, .wd = 0.1f, .grad_scale = 0.5f } };
                graph_run(g, PASS_UPDATE, &s);
            }
            for (int i = 0; i < N_STACK; i++) {
                snprintf(key, sizeof key, "%s.%s", muon ? "muon" : "sgd", stacks[i].name);
                const double d = difference(g->tensor[w[i]].data, find(st, key)->data, find(st, key)->n);
                if (!(d <= 1e-5))
                    fail_msg("%s: %s differs by %.3g after 20 steps", (*l)->level, key, d);
            }
            graph_free(g);
        }
    safetensors_free(st);
}

/* Moments of a gradient that stays the same: after t steps 1 - beta^t of it and of its square.  With beta2 0.999 a step moves v by less
 * than half of what bf16 can tell apart once it is at a third of where it goes: rounded to nearest it would stay there. */
static void moments_in_bf16_go_where_they_should(void **state)
{
    (void)state;
    enum { STEPS = 1500 };
    for (const struct cpu_kernels *const *l = cpu_levels(); *l; l++)
        for (int o = OPTIMIZER_ADAMW; o <= OPTIMIZER_SGD; o++) {
            int w[N_STACK];
            struct graph *g = updates((enum optimizer)o, DT_BF16, w);
            OK(graph_bind(g, *l, pool, NULL, &err));
            for (int i = 0; i < N_STACK; i++)
                for (int64_t k = 0; k < tensor_count(&g->tensor[w[i]], 1, 1); k++)
                    ((float *)g->tensor[g->tensor[w[i]].grad].data)[k] = 3;
            const int steps = o == OPTIMIZER_ADAMW ? STEPS : 100;      /* Muon's products take their time */
            for (int t = 0; t < steps; t++) {
                const struct step s = { .T = 1, .S = 1, .seed = 7, .i_step = (uint64_t)t, .momentum = { .momentum = 0.99f, .grad_scale = 1 },
                                        .adamw = { .beta1 = 0.99f, .beta2 = 0.999f, .eps = 1e-8f, .correction1 = 1, .correction2 = 1, .grad_scale = 1 } };
                graph_run(g, PASS_UPDATE, &s);
            }
            const double want[2] = { o == OPTIMIZER_SGD ? 3 * (1 - pow(0.99, steps)) / 0.01 : 3 * (1 - pow(0.99, steps)), 9 * (1 - pow(0.999, steps)) };
            for (int k = 0; k < 2; k++) {
                double sum = 0, n = 0;
                for (int i = 0; i < N_STACK; i++) {
                    const struct tensor *t = &g->tensor[w[i]], *m = t->moment[k] >= 0 ? &g->tensor[t->moment[k]] : NULL;
                    assert_true(!m || m->bytes == t->bytes / 2);
                    for (int64_t e = 0; m && e < tensor_count(m, 1, 1); e++, n++) {
                        const uint32_t bits = (uint32_t)((const bf16 *)m->data)[e] << 16;
                        float x;
                        memcpy(&x, &bits, sizeof x);
                        sum += (double)x;
                    }
                }
                if (n > 0 && !(fabs(sum / n / want[k] - 1) < 0.01))
                    fail_msg("%s: moment %d of optimizer %d is %g on average, expected %g", (*l)->level, k, o, sum / n, want[k]);
            }
            graph_free(g);
        }
}

int main(void)
{
    if (pool_new(&pool, 2, &err) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_of_every_token),
        cmocka_unit_test(losses_and_all_gradients_in_fp32),
        cmocka_unit_test(losses_and_all_gradients_in_fp32_with_recomputation),
        cmocka_unit_test(losses_and_all_gradients_in_bf16),
        cmocka_unit_test(layers_divided_among_processes_have_the_same_losses_and_gradients),
        cmocka_unit_test(losses_and_weights_of_20_steps_of_adamw_and_muon),
        cmocka_unit_test(logits_from_the_cache_have_the_same_bits_alone_and_in_any_batch),
        cmocka_unit_test(adamw_with_clipping_as_torch_does_it),
        cmocka_unit_test(muon_and_sgd_as_their_references_do_them),
        cmocka_unit_test(moments_in_bf16_go_where_they_should),
        cmocka_unit_test(schedules_give_the_learning_rates_of_the_tables),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
