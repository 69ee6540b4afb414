/* test_dispatch.c - experts divided among processes, here threads: every result and every gradient has the bits of one process that has
 * all experts, whatever the others' batches are; what fails on the way is told. */
#include <pthread.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/graph.h"

#define P_MAX 4
#define T_MAX 64
#define T_SUM 125
#define N_PARTS 8              /* of the tokens of all processes */
enum { V = 29, C = 24, F = 20, E = 8, K = 3 };
static struct err err;

/* ---- processes ---- */

struct world { pthread_barrier_t gate; int size, fail_at; const void *send[P_MAX]; const size_t *send_at[P_MAX]; };
struct place { struct world *world; int rank, n_call; uint64_t sent; };

static int exchange(void *ctx, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *e)
{
    struct place *p = ctx;
    struct world *w = p->world;
    if (p->n_call++ == w->fail_at)
        return ERR(e, STOPPED, "process 1 is gone");
    w->send[p->rank] = send, w->send_at[p->rank] = send_at;
    pthread_barrier_wait(&w->gate);
    bool fits = true;
    for (int q = 0; q < w->size; q++) {
        const size_t from = w->send_at[q][p->rank], n = w->send_at[q][p->rank + 1] - from;
        fits = fits && n == recv_at[q + 1] - recv_at[q];
        memcpy((char *)recv + recv_at[q], (const char *)w->send[q] + from, n);
        p->sent += q != p->rank ? send_at[q + 1] - send_at[q] : 0;
    }
    pthread_barrier_wait(&w->gate);
    return fits ? 0 : ERR(e, FORMAT, "sizes do not agree");
}

/* ---- a layer with experts ---- */

/* n_slice: of a run, 0: one; whole_step: of all processes' runs. */
struct form { enum dtype compute; bool sigmoid, shared; enum recompute recompute; int n_slice; bool whole_step; };
struct process { struct place place; struct peers peers; struct graph *g; struct pool *pool; struct step step; int stats; bool backward; };

static int make(struct graph *g, const char *name, struct shape shape)
{
    const int id = graph_tensor(g, TENSOR_WEIGHT, DT_F32, shape, &err, "%s", name);
    assert_true(id >= 0);
    g->tensor[id].decay = true;
    return id;
}

static int experts(struct graph *g, const char *name, int64_t rows, int64_t cols, int n_peer)
{
    const int id = make(g, name, CUBE(E / (n_peer ? n_peer : 1), rows, cols));
    g->tensor[id].n_peer = n_peer;
    return id;
}

/* n_peer 0: all experts are here. */
static struct graph *build(const struct form *f, int n_peer, int *stats, struct pool *pool)
{
    struct graph *g = graph_new();
    assert_non_null(g);
    g->n_slice = f->n_slice, g->whole_step = f->whole_step;
    const enum dtype act = f->compute;
    const struct attr a = { .n_expert = E, .top_k = K, .norm_topk = true, .sigmoid = f->sigmoid, .scale = 1.5, .aux_coef = 0.1, .z_coef = 0.01 };
    const int ids = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "ids"), target = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "target");
    const int x = graph_embed(g, ids, make(g, "embed", MAT(V, C)), 1, 0, &err);
    g->tensor[x].keep = true;
    const int in = graph_norm(g, OP_rmsnorm, x, make(g, "norm", VEC(C)), -1, 1e-5, act, "in", &err);
    struct routed route, there;
    const int logits = graph_linear(g, in, make(g, "router", MAT(E, C)), -1, -1, DT_F32, "logits", &err);
    assert_true(graph_route(g, logits, -1, &a, &route, "route", &err) >= 0);
    there = route;
    *stats = route.stats;
    const int sent = n_peer ? graph_dispatch(g, in, &route, true, n_peer, &there, "sent", &err) : in;
    const int up = experts(g, "up", 2 * F, C, n_peer), bias = make(g, "up.b", MAT(E / (n_peer ? n_peer : 1), 2 * F));
    g->tensor[bias].n_peer = n_peer;
    const int h = graph_expert_linear(g, sent, up, bias, &there, !n_peer, f->compute, "h", &err);
    const int half = graph_act(g, OP_swiglu, h, there.gate, act, "half", &err);
    int y = graph_expert_linear(g, half, experts(g, "down", C, F, n_peer), -1, &there, false, f->compute, "y", &err), sum = x;
    if (n_peer)
        y = graph_collect(g, y, &route, &there, f->compute, "back", &err);
    if (f->shared) {
        const int s = graph_act(g, OP_swiglu, graph_linear(g, in, make(g, "shared.up", MAT(2 * F, C)), -1, -1, f->compute, "s.h", &err), -1, act, "s.half", &err);
        sum = graph_linear(g, s, make(g, "shared.down", MAT(C, F)), -1, x, f->compute, "s.y", &err);
    }
    const int out = graph_combine(g, y, &route, false, sum, "moe", &err);
    g->tensor[out].keep = true;
    const int last = graph_norm(g, OP_rmsnorm, out, make(g, "last", VEC(C)), -1, 1e-5, act, "n", &err);
    assert_true(graph_cross_entropy(g, last, make(g, "head", MAT(V, C)), target, 0, f->compute, &err) >= 0);
    OK(graph_backward(g, f->recompute, &err));
    OK(graph_plan(g, f->n_slice ? T_SUM : T_MAX, f->n_slice ? N_PARTS : 1, 2, NULL, &err));
    OK(graph_bind(g, cpu_kernels(), pool, NULL, &err));
    return g;
}

/* Weights by (name, element of the whole weight), tokens by (rank, place). */
static void fill(struct graph *g, int rank, int T)
{
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        if (t->kind != TENSOR_WEIGHT)
            continue;
        const int64_t n = tensor_count(t, 1, 1);
        for (int64_t j = 0; j < n; j++)
            ((float *)t->data)[j] = (float)(0.5 * rng_normal(rng_key(3, t->name), (uint64_t)(j + (t->n_peer ? rank * n : 0))));
    }
    for (int i = 0; i < T; i++) {
        ((int32_t *)g->tensor[graph_find(g, "ids")].data)[i] = (int32_t)rng_below(rng_key((uint64_t)rank + 8, "ids"), (uint64_t)i, V);
        ((int32_t *)g->tensor[graph_find(g, "target")].data)[i] = (int32_t)rng_below(rng_key((uint64_t)rank + 8, "target"), (uint64_t)i, V);
    }
}

static void *run(void *ctx)
{
    struct process *p = ctx;
    graph_run(p->g, PASS_PREPARE, &p->step);
    graph_run(p->g, PASS_FORWARD, &p->step);
    if (p->backward)
        graph_run(p->g, PASS_BACKWARD, &p->step);
    return NULL;
}

static const int32_t starts[P_MAX][2] = { { 0, 37 }, { 0, 1 }, { 0, 64 }, { 0, 23 } };

static struct process process_of(const struct form *f, int rank, int n_peer, bool backward)
{
    struct process p = { .place = { .rank = rank }, .backward = backward };
    OK(pool_new(&p.pool, rank == 1 ? 2 : 1, &err));
    p.g = build(f, n_peer, &p.stats, p.pool);
    p.step = (struct step){ .T = starts[rank][1], .S = 1, .seq_start = starts[rank], .loss_scale = 0.01, .aux_scale = 0.5 };
    fill(p.g, rank, p.step.T);
    return p;
}

static void release(struct process *p)
{
    graph_free(p->g);
    pool_free(p->pool);
}

/* All together, each in a thread. */
static void run_all(struct process *p, int n, int fail_at)
{
    struct world w = { .size = n, .fail_at = fail_at };
    pthread_t thread[P_MAX];
    assert_int_equal(pthread_barrier_init(&w.gate, NULL, (unsigned)n), 0);
    for (int i = 0; i < n; i++) {
        p[i].place.world = &w;
        p[i].peers = (struct peers){ .rank = i, .size = n, .exchange = exchange, .ctx = &p[i].place };
        p[i].g->peers = &p[i].peers;
        assert_int_equal(pthread_create(&thread[i], NULL, run, &p[i]), 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&w.gate);
}

/* ---- the tests ---- */

static void same(const char *what, const struct tensor *a, size_t at_a, const struct tensor *b, size_t at_b, size_t n)
{
    if (memcmp((const float *)a->data + at_a, (const float *)b->data + at_b, n * sizeof(float)))
        fail_msg("%s: '%s' has other bits than alone", what, a->name);
}

/* What process i has of gradients, and those that the tokens of process i gave to experts elsewhere, against the run alone. */
static void compare(const char *what, const struct process *all, int n, int i, const struct process *alone)
{
    const struct graph *g = all[i].g, *one = alone->g;
    int n_experts = 0;
    same(what, &g->tensor[g->loss], 0, &one->tensor[one->loss], 0, (size_t)all[i].step.T);
    assert_memory_equal(g->tensor[all[i].stats].data, one->tensor[alone->stats].data, (2 * E + 3) * sizeof(double));
    for (int w = 0; w < g->n_tensor && all[i].backward; w++) {
        if (g->tensor[w].kind != TENSOR_WEIGHT)
            continue;
        const struct tensor *whole = &one->tensor[one->tensor[graph_find(one, g->tensor[w].name)].grad];
        const size_t count = (size_t)tensor_count(&g->tensor[w], 1, 1);
        if (!g->tensor[w].n_peer)
            same(what, &g->tensor[g->tensor[w].grad], 0, whole, 0, count);
        for (int q = 0; q < n && g->tensor[w].n_peer; q++)
            same(what, &all[q].g->tensor[g->tensor[w].grad], (size_t)i * count, whole, (size_t)q * count, count);
        n_experts += g->tensor[w].n_peer > 0;
    }
    assert_true(!all[i].backward || n_experts == 3);
}

static void check(const struct form *f, int n, bool backward)
{
    char what[120];
    struct process all[P_MAX];
    snprintf(what, sizeof what, "%s, %s, %s, recompute %d, %d processes", dtype_name(f->compute), f->sigmoid ? "sigmoid" : "softmax", f->shared ? "shared expert" : "no shared expert",
             (int)f->recompute, n);
    for (int i = 0; i < n; i++)
        all[i] = process_of(f, i, n, backward);
    run_all(all, n, -1);
    for (int i = 0; i < n; i++) {
        OK(graph_failed(all[i].g, &err));
        struct process alone = process_of(f, i, 0, backward);
        run(&alone);
        compare(what, all, n, i, &alone);
        release(&alone);
    }
    for (int i = 0; i < n; i++)
        release(&all[i]);
}

static void divided_experts_give_the_bits_of_whole_ones(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n *= 2)
        for (int b16 = 0; b16 < 2; b16++)
            for (int sigmoid = 0; sigmoid < 2; sigmoid++)
                for (int again = 0; again < 3; again++)
                    check(&(struct form){ .compute = b16 ? DT_BF16 : DT_F32, .sigmoid = sigmoid, .shared = !sigmoid, .recompute = (enum recompute)again }, n, true);
}

/* ---- gradients that are summed over all processes at once ---- */

/* Tokens first .. of the stream, in `n` slices of a sequence each, the last without tokens. */
static int32_t bounds[N_PARTS + 1] = { 0, 17, 30, 31, 60, 77, 100, 125, 125 };

static void take(struct process *p, int first, int n)
{
    static int32_t start[P_MAX + 1][N_PARTS + 1], slice[N_PARTS + 1];
    int32_t *s = start[n == N_PARTS ? P_MAX : p->place.rank];
    for (int i = 0; i <= n; i++)
        s[i] = bounds[first + i] - bounds[first], slice[i] = i;
    p->step.T = s[n], p->step.S = n, p->step.seq_start = s, p->step.n_slice = n, p->step.slice = slice;
    for (int i = 0; i < p->step.T; i++) {
        ((int32_t *)p->g->tensor[graph_find(p->g, "ids")].data)[i] = (int32_t)rng_below(7, (uint64_t)(bounds[first] + i), V);
        ((int32_t *)p->g->tensor[graph_find(p->g, "target")].data)[i] = (int32_t)rng_below(8, (uint64_t)(bounds[first] + i), V);
    }
}

/* n processes with a part of the slices each, against one with all of them in one run: gradients of experts are those to the bit, the others' sums by
 * twos are. */
static void check_whole_step(const struct form *f, int n)
{
    const struct form part = { f->compute, f->sigmoid, f->shared, f->recompute, N_PARTS / n, true }, whole = { f->compute, f->sigmoid, f->shared, f->recompute, N_PARTS, false };
    struct process all[P_MAX], alone = process_of(&whole, 0, 0, true);
    for (int i = 0; i < n; i++) {
        all[i] = process_of(&part, i, n, true);
        take(&all[i], i * N_PARTS / n, N_PARTS / n);
    }
    run_all(all, n, -1);
    take(&alone, 0, N_PARTS);
    run(&alone);
    for (int i = 0; i < n; i++)
        OK(graph_failed(all[i].g, &err));
    for (int w = 0; w < all->g->n_tensor; w++) {
        if (all->g->tensor[w].kind != TENSOR_WEIGHT)
            continue;
        const struct tensor *one = &alone.g->tensor[alone.g->tensor[graph_find(alone.g, all->g->tensor[w].name)].grad];
        const size_t count = (size_t)tensor_count(&all->g->tensor[w], 1, 1);
        for (int d = 1; d < n && !all->g->tensor[w].n_peer; d *= 2)
            for (int i = 0; i + d < n; i += 2 * d)
                for (size_t k = 0; k < count; k++)
                    ((float *)all[i].g->tensor[all[i].g->tensor[w].grad].data)[k] += ((float *)all[i + d].g->tensor[all[i + d].g->tensor[w].grad].data)[k];
        for (int i = 0; i < (all->g->tensor[w].n_peer ? n : 1); i++)
            same("a whole step", &all[i].g->tensor[all[i].g->tensor[w].grad], 0, one, (size_t)i * count, count);
    }
    for (int i = 0; i < n; i++)
        release(&all[i]);
    release(&alone);
}

static void gradients_of_a_whole_step_are_summed_at_once(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n *= 2)
        for (int b16 = 0; b16 < 2; b16++)
            for (int again = 0; again < 3; again++)
                check_whole_step(&(struct form){ .compute = b16 ? DT_BF16 : DT_F32, .sigmoid = n == 2, .shared = b16, .recompute = (enum recompute)again }, n);
}

/* As in the last round of an evaluation, where some have nothing left. */
static void a_process_without_tokens_serves_the_others(void **state)
{
    (void)state;
    const struct form f = { .compute = DT_BF16 };
    struct process all[2], alone = process_of(&f, 0, 0, false);
    for (int i = 0; i < 2; i++)
        all[i] = process_of(&f, i, 2, false);
    all[1].step.T = all[1].step.S = 0;
    run_all(all, 2, -1);
    run(&alone);
    compare("with one that has no tokens", all, 2, 0, &alone);
    release(&alone);
    for (int i = 0; i < 2; i++)
        release(&all[i]);
}

/* Each row that leaves: C numbers there in their type and back in floats, the gradient there in the type and back in floats; the gate and its
 * gradient; and who sends how many. */
static void bytes_are_those_of_the_theory(void **state)
{
    (void)state;
    for (int b16 = 0; b16 < 2; b16++) {
        const struct form f = { .compute = b16 ? DT_BF16 : DT_F32 };
        struct process all[2] = { process_of(&f, 0, 2, true), process_of(&f, 1, 2, true) };
        run_all(all, 2, -1);
        uint64_t sent = 0, moved = 0;
        for (int i = 0; i < 2; i++) {
            const double *count = all[i].g->tensor[all[i].stats].data;
            for (int e = 0; e < E; e++)
                moved += e / (E / 2) != i ? (uint64_t)count[e] : 0;
            sent += all[i].place.sent;
            release(&all[i]);
        }
        const uint64_t row = 2 * C * sizeof(float) + 2 * C * (b16 ? sizeof(bf16) : sizeof(float)) + 2 * sizeof(float);
        assert_int_equal(sent, moved * row + E * sizeof(int32_t));
    }
}

static void the_price_is_that_of_the_rows_of_one_process(void **state)
{
    (void)state;
    const struct form f = { .compute = DT_BF16 };
    struct process all = process_of(&f, 0, 4, true), alone = process_of(&f, 0, 0, true);
    const struct cost_sum a = graph_cost(all.g, 1u << PASS_FORWARD | 1u << PASS_BACKWARD, 37, 1, 19, NULL), b = graph_cost(alone.g, 1u << PASS_FORWARD | 1u << PASS_BACKWARD, 37, 1, 19, NULL);
    assert_true(a.flops_bf16 == b.flops_bf16 && a.flops_f32 == b.flops_f32);
    assert_true(all.g->plan.bytes[TENSOR_WEIGHT] < alone.g->plan.bytes[TENSOR_WEIGHT] && all.g->plan.bytes[TENSOR_PACKED] < alone.g->plan.bytes[TENSOR_PACKED]);
    release(&all);
    release(&alone);
}

/* Wherever an exchange fails the run ends there, and so do all later ones. */
static void a_failed_exchange_ends_the_run_and_is_told(void **state)
{
    (void)state;
    const struct form f = { .compute = DT_F32 };
    int fail_at = 0;
    for (bool failed = true; failed; fail_at++) {
        struct process all[2] = { process_of(&f, 0, 2, true), process_of(&f, 1, 2, true) };
        run_all(all, 2, fail_at);
        failed = graph_failed(all[0].g, &err) < 0;
        assert_int_equal(graph_failed(all[0].g, &err), failed ? ERR_STOPPED : 0);
        if (failed) {
            const int n_call = all[0].place.n_call;
            assert_string_equal(err.msg, "process 1 is gone");
            graph_run(all[0].g, PASS_FORWARD, &all[0].step);
            assert_int_equal(all[0].place.n_call, n_call);
        }
        for (int i = 0; i < 2; i++)
            release(&all[i]);
    }
    assert_int_equal(fail_at, 7 + 1);            /* counts, rows, gates, results; their gradients, gradients of rows and gates; and none */
}

static int give_too_many(void *ctx, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *e)
{
    (void)ctx, (void)send, (void)send_at, (void)e;
    for (size_t i = 0; i < recv_at[1] / sizeof(int32_t); i++)
        ((int32_t *)recv)[i] = T_MAX * K;
    return 0;
}

static void more_rows_than_there_can_be_are_refused(void **state)
{
    (void)state;
    const struct form f = { .compute = DT_F32 };
    struct process p = process_of(&f, 0, 1, false);
    p.peers = (struct peers){ .size = 1, .exchange = give_too_many };
    p.g->peers = &p.peers;
    run(&p);
    assert_int_equal(graph_failed(p.g, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "expected at most"));
    release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divided_experts_give_the_bits_of_whole_ones),
        cmocka_unit_test(gradients_of_a_whole_step_are_summed_at_once),
        cmocka_unit_test(a_process_without_tokens_serves_the_others),
        cmocka_unit_test(bytes_are_those_of_the_theory),
        cmocka_unit_test(the_price_is_that_of_the_rows_of_one_process),
        cmocka_unit_test(a_failed_exchange_ends_the_run_and_is_told),
        cmocka_unit_test(more_rows_than_there_can_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
