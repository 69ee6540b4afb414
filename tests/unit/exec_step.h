/* exec_step.h - a step of a small decoder on a device: loss, gradients of two batches added up, sums of squares and next weights beside the host's.  Included by one test,
 * after the emulator. */
#ifndef TESTS_UNIT_EXEC_STEP_H
#define TESTS_UNIT_EXEC_STEP_H
#include <math.h>
#include "base/mem.h"
#include "base/rng.h"
#include "exec/exec.h"

static struct err err;
static struct pool *pool;

#define ID(x) id_of(x)
static int id_of(int id)
{
    if (id < 0)
        fail_msg("%s", err.msg);
    return id;
}

enum { V = 50, C = 32, H = 2, G = 1, F = 40, T = 70, S = 2, E = 4, K = 2 };
static int D = 16;                       /* of a head */
static bool turned = true;               /* by RoPE */
static const int32_t starts[S + 1] = { 0, 41, T };

static int weight(struct graph *g, struct shape s, const char *name, bool decay)
{
    const int w = ID(graph_tensor(g, TENSOR_WEIGHT, DT_F32, s, &err, "%s", name));
    g->tensor[w].decay = decay;
    return w;
}

/* x + an MLP, or the K best of E. */
static int mlp(struct graph *g, int m, int x, bool moe)
{
    if (!moe) {
        const int up = weight(g, MAT(2 * F, C), "up", true), down = weight(g, MAT(C, F), "down", true);
        const int h = ID(graph_linear(g, m, up, -1, -1, DT_BF16, "h", &err));
        const int y = ID(graph_act(g, OP_swiglu, h, -1, DT_BF16, "y", &err));
        return ID(graph_linear(g, y, down, -1, x, DT_BF16, "stream2", &err));
    }
    const struct attr a = { .n_expert = E, .top_k = K, .norm_topk = true, .aux_coef = 0.05, .z_coef = 0.01 };
    const int up = weight(g, CUBE(E, 2 * F, C), "up", true), down = weight(g, CUBE(E, C, F), "down", true), router = weight(g, MAT(E, C), "router", true);
    struct routed r;
    const int logits = ID(graph_linear(g, m, router, -1, -1, DT_F32, "logits", &err));
    ID(graph_route(g, logits, -1, &a, &r, "route", &err));
    const int h = ID(graph_expert_linear(g, m, up, -1, &r, true, DT_BF16, "h", &err));
    const int y = ID(graph_act(g, OP_swiglu, h, r.gate, DT_BF16, "y", &err));
    const int z = ID(graph_expert_linear(g, y, down, -1, &r, false, DT_BF16, "z", &err));
    return ID(graph_combine(g, z, &r, false, x, "stream2", &err));
}

/* A decoder of one layer with tied embeddings. */
static struct graph *decoder(enum recompute recompute, bool moe)
{
    struct graph *g = graph_new();
    assert_non_null(g);
    const struct attr a = { .compute = DT_BF16, .n_head = H, .n_kv_head = G, .d_head = D, .d_rot = D, .scale = 1 / sqrt(D) };
    const int ids = ID(graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "ids")), pos = ID(graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "pos")),
              target = ID(graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "target")), table = ID(graph_tensor(g, TENSOR_CONST, DT_F32, MAT(T, D), &err, "table"));
    const int e = weight(g, MAT(V, C), "embed", true), n1 = weight(g, VEC(C), "norm1", false), n2 = weight(g, VEC(C), "norm2", false), b2 = weight(g, VEC(C), "bias2", false),
              qkv_w = weight(g, MAT((H + 2 * G) * D, C), "qkv", true), qkv_b = weight(g, VEC((H + 2 * G) * D), "qkv_bias", false), o_w = weight(g, MAT(C, H * D), "o", true),
              n3 = weight(g, VEC(C), "norm3", false);
    int x = ID(graph_embed(g, ids, e, 1, 0, &err));
    const int n = ID(graph_norm(g, OP_rmsnorm, x, n1, -1, 1e-5, DT_BF16, "x1", &err));
    int qkv = ID(graph_linear(g, n, qkv_w, qkv_b, -1, DT_BF16, "qkv_out", &err));
    if (turned)
        qkv = ID(graph_rope(g, qkv, pos, table, &a, &err));
    const int o = ID(graph_attention(g, qkv, -1, -1, -1, &a, DT_BF16, "attn", &err));
    x = ID(graph_linear(g, o, o_w, -1, x, DT_BF16, "stream1", &err));
    const int m = ID(graph_norm(g, OP_layernorm, x, n2, b2, 1e-5, DT_BF16, "x2", &err));
    x = mlp(g, m, x, moe);
    const int last = ID(graph_norm(g, OP_rmsnorm, x, n3, -1, 1e-5, DT_BF16, "x3", &err));
    ID(graph_cross_entropy(g, last, e, target, 0, DT_BF16, &err));
    OK(graph_backward(g, recompute, &err));
    OK(graph_update(g, OPTIMIZER_ADAMW, DT_F32, &err));
    return g;
}

static void fill(struct graph *g)
{
    for (int i = 0; i < g->n_tensor; i++) {
        struct tensor *t = &g->tensor[i];
        const int64_t n = tensor_count(t, T, S);
        float *w = t->data;
        for (int64_t k = 0; t->kind == TENSOR_WEIGHT && k < n; k++)
            w[k] = (t->rank == 1 ? 1 : 0) + 0.3f * (float)((double)(rng_u64(rng_key(5, t->name), (uint64_t)k) >> 40) / (1 << 23) - 1);
    }
    int32_t *ids = g->tensor[graph_find(g, "ids")].data, *pos = g->tensor[graph_find(g, "pos")].data, *target = g->tensor[graph_find(g, "target")].data;
    float *table = g->tensor[graph_find(g, "table")].data;
    for (int t = 0; t < T; t++) {
        ids[t] = (int32_t)(rng_u64(3, (uint64_t)t) % V), target[t] = t % 9 == 4 ? -1 : (int32_t)(rng_u64(4, (uint64_t)t) % V);
        pos[t] = t - (t >= starts[1] ? starts[1] : 0);
        for (int i = 0; i < D / 2; i++)
            table[t * D + 2 * i] = cosf((float)t / (float)(1 + 3 * i)), table[t * D + 2 * i + 1] = sinf((float)t / (float)(1 + 3 * i));
    }
}

static double difference(const float *x, const float *y, int64_t n)
{
    double d = 0, s = 0;
    for (int64_t i = 0; i < n; i++)
        d += (double)(x[i] - y[i]) * (double)(x[i] - y[i]), s += (double)y[i] * (double)y[i];
    return s > 0 ? sqrt(d / s) : sqrt(d);
}

/* A step on the device, which is closed with it, beside the host's; slack: 1, or more for a device that rounds elsewhere. */
SHARED_BY_TESTS void one_step(struct gpu *gpu, bool moe, enum exec_by by, double slack)
{
    struct graph *g[2] = { decoder(RECOMPUTE_NONE, moe), decoder(RECOMPUTE_CHEAP, moe) };
    struct step s = { .T = T, .S = S, .seq_start = starts, .loss_scale = 1.0 / 62, .aux_scale = 1,
                      .adamw = { .lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = 0.1f, .correction2 = 0.05f, .grad_scale = 1 } };
    OK(exec_open_gpu(&g[1]->device, gpu, &err));
    OK(exec_products(g[1]->device, by, NULL, &err));
    for (int i = 0; i < 2; i++) {
        OK(graph_plan(g[i], T, S, pool_n_thread(pool), NULL, &err));
        OK(graph_bind(g[i], cpu_kernels(), pool, NULL, &err));
        fill(g[i]);
        if (i)
            OK(g[1]->device->fill(g[1]->device, g[1], &err));
        for (int micro = 0; micro < 2; micro++) {          /* the second adds to the first */
            s.accumulate = micro;
            if (!micro)
                graph_run(g[i], PASS_PREPARE, &s);
            graph_run(g[i], PASS_FORWARD, &s);
            graph_run(g[i], PASS_BACKWARD, &s);
        }
        graph_run(g[i], PASS_NORM, &s);
        graph_run(g[i], PASS_UPDATE, &s);
        OK(graph_failed(g[i], &err));
    }
    struct graph *host = g[0], *device = g[1];
    for (int i = 0; i < device->n_tensor; i++) {
        struct tensor *t = &device->tensor[i];
        const enum tensor_kind k = t->kind;
        const int at = graph_find(host, t->name);
        if (k != TENSOR_WEIGHT && k != TENSOR_GRAD && k != TENSOR_OUTPUT && k != TENSOR_MOMENT)
            continue;
        char *own = NULL;
        if (k == TENSOR_GRAD)                                       /* has no place on the host else */
            assert_non_null(t->data = own = mem_alloc_array(1, t->bytes));
        OK(graph_fetch(device, i, tensor_rows(t, T, S), &err));
        const int64_t n = tensor_count(t, T, S);
        const struct tensor *want = &host->tensor[at];
        if (t->dtype == DT_F64) {
            double sum[2] = { 0, 0 };
            for (int64_t j = 0; j < n; j++)
                sum[0] += ((double *)t->data)[j], sum[1] += ((double *)want->data)[j];
            assert_true(fabs(sum[0] / sum[1] - 1) < 0.02);
            continue;
        }
        const double d = difference(t->data, want->data, n);
        mem_free(own);
        /* kernels.def's attn_bwd_bf16, twice that of second moments, which are squares; of losses a fifth of its attn_fwd_bf16: 1.1e-3 was seen beside hosts whose attention does not
         * round its operands, 2e-4 beside the others */
        const double granted = k == TENSOR_OUTPUT ? 2e-3 : strncmp(t->name, "v.", 2) == 0 ? 0.04 : 0.02;
        if (!(d < slack * granted))
            fail_msg("%s is off by %g", t->name, d);
    }
    for (int i = 0; i < 2; i++) {
        struct graph_device *d = g[i]->device;
        graph_free(g[i]);
        if (d)
            d->free(d);
    }
}
#endif
