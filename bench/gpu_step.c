/* gpu_step: training steps of a model of GPT-2's form on a GPU: time, arithmetic per second as a share of a peak, and where time goes, by kernel and operation.
 *
 *   gpu_step [device] [name=number ..]
 *     layers=12 width=768 heads=12 context=1024 batch=16 vocab=50257    the model (124M), and sequences of a step; all tokens are random, the same in every step
 *     steps=10 warm=2       steps that are timed, and before them
 *     peak=989              TFLOP/s of what share is said: an H100's bf16
 *     products=0            0: own kernels, 1: the simple ones of all devices, 2: the vendor's library (cuBLASLt: LATHE_CUBLASLT_LIB names it)
 *     trace=1               where time goes, of one step after the others (its events cost some time of their own)
 *
 * Counted as 6 N + 6 L C T operations a token (causal attention, N all parameters), and, as some do, with 12 L C T.
 * Needs nothing but the C library and the driver's.  The loss must fall: the steps learn their batch by heart. */
#include <math.h>
#include <time.h>
#include "arg.h"
#include "base/rng.h"
#include "exec/exec.h"
#include "gpu/dev.h"

static struct err err;
static int checked(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "gpu_step: %s\n", err.msg);
        exit(1);
    }
    return rc;
}
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

enum { LAYERS, WIDTH, HEADS, CONTEXT, BATCH, VOCAB, STEPS, WARM, PEAK, PRODUCTS, TRACE, N_OPTION };
static struct option { const char *name; long value, max; } option[] = {
    { "layers", 12, 200 }, { "width", 768, 1 << 16 }, { "heads", 12, 512 }, { "context", 1024, 1 << 20 }, { "batch", 16, 1 << 16 },
    { "vocab", 50257, 1 << 20 }, { "steps", 10, 10000 }, { "warm", 2, 1000 }, { "peak", 989, 1 << 20 }, { "products", 0, 2 }, { "trace", 0, 1 },
};
static int of(int i) { return (int)option[i].value; }
static void read_option(const char *arg)
{
    for (int i = 0; i < N_OPTION; i++) {
        const size_t n = strlen(option[i].name);
        char *end;
        if (strncmp(arg, option[i].name, n) != 0 || arg[n] != '=')
            continue;
        option[i].value = strtol(arg + n + 1, &end, 10);
        if (end != arg + n + 1 && !*end && option[i].value >= 0 && option[i].value <= option[i].max)
            return;
    }
    fprintf(stderr, "gpu_step: '%s', expected a device and name=number, the names:", arg);
    for (int i = 0; i < N_OPTION; i++)
        fprintf(stderr, " %s", option[i].name);
    fputs("\n", stderr);
    exit(2);
}

/* ---- the model ---- */

static struct graph *g;
static int weight(struct shape s, int layer, const char *name)
{
    const int w = checked(layer < 0 ? graph_tensor(g, TENSOR_WEIGHT, DT_F32, s, &err, "%s", name) : graph_tensor(g, TENSOR_WEIGHT, DT_F32, s, &err, "%d.%s", layer, name));
    g->tensor[w].decay = s.rank > 1;
    return w;
}
static int norm(int x, int layer, const char *name)
{
    char w[32], b[32], out[32];
    snprintf(w, sizeof w, "%s.w", name), snprintf(b, sizeof b, "%s.b", name), snprintf(out, sizeof out, "%d.%s", layer, name);
    const int C = of(WIDTH), iw = weight(VEC(C), layer, w), ib = weight(VEC(C), layer, b);
    return checked(graph_norm(g, OP_layernorm, x, iw, ib, 1e-5, DT_BF16, out, &err));
}
static int linear(int x, int add, int N, int K, int layer, const char *name)
{
    char w[32], b[32], out[32];
    snprintf(w, sizeof w, "%s.w", name), snprintf(b, sizeof b, "%s.b", name), snprintf(out, sizeof out, "%d.%s", layer, name);
    const int iw = weight(MAT(N, K), layer, w), ib = weight(VEC(N), layer, b);
    return checked(graph_linear(g, x, iw, ib, add, DT_BF16, out, &err));
}
static void model(void)
{
    const int C = of(WIDTH), H = of(HEADS), T = of(CONTEXT);
    const struct attr a = { .compute = DT_BF16, .n_head = H, .n_kv_head = H, .d_head = C / H, .scale = 1 / sqrt(C / H) };
    char name[32];
    const int ids = checked(graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "ids")), pos = checked(graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "pos")),
              target = checked(graph_tensor(g, TENSOR_INPUT, DT_I32, VEC_T, &err, "target")), wte = weight(MAT(of(VOCAB), C), -1, "wte"), wpe = weight(MAT(T, C), -1, "wpe");
    int x = checked(graph_add(g, checked(graph_embed(g, ids, wte, 1, 0, &err)), checked(graph_embed(g, pos, wpe, 1, 0, &err)), "stream", &err));
    for (int i = 0; i < of(LAYERS); i++) {
        const int qkv = linear(norm(x, i, "norm1"), -1, 3 * C, C, i, "qkv");
        snprintf(name, sizeof name, "%d.attention", i);
        x = linear(checked(graph_attention(g, qkv, -1, -1, -1, &a, DT_BF16, name, &err)), x, C, C, i, "o");
        const int h = linear(norm(x, i, "norm2"), -1, 4 * C, C, i, "up");
        snprintf(name, sizeof name, "%d.gelu", i);
        x = linear(checked(graph_act(g, OP_gelu_tanh, h, -1, DT_BF16, name, &err)), x, C, 4 * C, i, "down");
    }
    checked(graph_cross_entropy(g, norm(x, of(LAYERS), "norm"), wte, target, 0, DT_BF16, &err));
    checked(graph_backward(g, RECOMPUTE_NONE, &err));
    checked(graph_update(g, OPTIMIZER_ADAMW, DT_F32, &err));
}
/* Weights of about 0.02, norms of 1; returns how many there are. */
static double fill(int tokens)
{
    double n_all = 0;
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *t = &g->tensor[i];
        const int64_t n = t->kind == TENSOR_WEIGHT ? tensor_count(t, 0, 0) : 0;
        const uint64_t key = rng_key(1, t->name);
        float *w = t->data;
        const bool ones = t->rank == 1 && t->name[strlen(t->name) - 1] == 'w';
        for (int64_t k = 0; k < n; k++)
            w[k] = ones ? 1 : t->rank == 1 ? 0 : 0.07f * ((float)(rng_u64(key, (uint64_t)k) >> 40) * 0x1p-24f - 0.5f);
        n_all += (double)n;
    }
    int32_t *ids = g->tensor[graph_find(g, "ids")].data, *pos = g->tensor[graph_find(g, "pos")].data, *target = g->tensor[graph_find(g, "target")].data;
    for (int t = 0; t < tokens; t++)
        ids[t] = (int32_t)(rng_u64(2, (uint64_t)t) % (uint64_t)of(VOCAB)), target[t] = (int32_t)(rng_u64(2, (uint64_t)t + 1) % (uint64_t)of(VOCAB)), pos[t] = t % of(CONTEXT);
    return n_all;
}

/* ---- where time goes ---- */

static struct sum { char kernel[40], what[40]; double ms; int n; } sums[512];
static int n_sum;
static double traced_ms;
/* Layers are taken together: "3.up" is "up". */
static void note(void *to, const char *kernel, const char *what, double ms)
{
    (void)to;
    what = what ? what : "";
    const char *dot = what + strspn(what, "0123456789");
    what = dot > what && *dot == '.' ? dot + 1 : what;
    int i = 0;
    while (i < n_sum && (strcmp(sums[i].kernel, kernel) != 0 || strcmp(sums[i].what, what) != 0))
        i++;
    if (i == (int)(sizeof sums / sizeof *sums))
        return;
    if (i == n_sum) {
        snprintf(sums[i].kernel, sizeof sums[i].kernel, "%s", kernel), snprintf(sums[i].what, sizeof sums[i].what, "%s", what);
        n_sum++;
    }
    sums[i].ms += ms, sums[i].n++, traced_ms += ms;
}
static int by_ms(const void *a, const void *b) { return ((const struct sum *)a)->ms < ((const struct sum *)b)->ms ? 1 : -1; }
static int by_size(const void *a, const void *b) { return *(const double *)a > *(const double *)b ? 1 : -1; }

/* ---- steps ---- */

static void step(struct step *s)
{
    static const enum pass passes[] = { PASS_FORWARD, PASS_BACKWARD, PASS_NORM, PASS_UPDATE };
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        graph_run(g, passes[i], s);
    checked(graph_failed(g, &err));
}
static double loss(int tokens)
{
    double sum = 0;
    checked(graph_fetch(g, g->loss, tokens, &err));
    for (int t = 0; t < tokens; t++)
        sum += (double)((const float *)g->tensor[g->loss].data)[t];
    return sum / tokens;
}

int main(int argc, char **argv)
{
    struct gpu *gpu;
    struct graph_device *d;
    struct pool *pool;
    const char *device = argc > 1 && !strchr(argv[1], '=') ? argv[1] : "cuda:0";
    for (int i = argc > 1 && device == argv[1] ? 2 : 1; i < argc; i++)
        read_option(argv[i]);
    if (of(HEADS) < 1 || of(WIDTH) % of(HEADS) || !of(CONTEXT) || !of(BATCH) || of(VOCAB) < 2 || !of(STEPS)) {
        fputs("gpu_step: expected a width of whole heads, and some of everything\n", stderr);
        return 2;
    }
    const int S = of(BATCH), T = S * of(CONTEXT);
    checked(gpu_open(&gpu, device, &err));
    const struct gpu_facts *f = gpu_facts(gpu);
    printf("# %s, %s, %d multiprocessors, %s driver %d\n", f->name, f->arch, f->n_unit, f->driver, f->driver_version);
    checked(exec_open_gpu(&d, gpu, &err));
    checked(exec_products(d, (enum exec_by)of(PRODUCTS), NULL, &err));
    printf("# products: %s\n", exec_products_name(d));
    checked(pool_new(&pool, 1, &err));
    g = graph_new();
    int32_t *start = malloc(sizeof *start * ((size_t)S + 1));
    double *ms = malloc(sizeof *ms * (size_t)of(STEPS));
    if (!g || !start || !ms)
        return 1;
    for (int i = 0; i <= S; i++)
        start[i] = i * of(CONTEXT);
    g->device = d;
    model();
    checked(graph_plan(g, T, S, 1, NULL, &err));
    checked(graph_bind(g, cpu_kernels(), pool, NULL, &err));
    const double n = fill(T);
    checked(d->fill(d, g, &err));
    struct step s = { .T = T, .S = S, .seq_start = start, .loss_scale = 1.0 / T,
                      .adamw = { .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = 0.1f, .correction2 = 0.05f, .grad_scale = 1 } };
    graph_run(g, PASS_PREPARE, &s);
    const double L = of(LAYERS), C = of(WIDTH), attention = 6 * L * C * of(CONTEXT), flop = (6 * n + attention) * T, flop12 = (6 * n + 2 * attention) * T;
    printf("# %.1f million parameters, %d x %d tokens a step, %.3f GiB on the device, %.3f TFLOP a step (%.3f with 12 L C T)\n", n * 1e-6, S, of(CONTEXT), (double)d->bytes / (1 << 30), flop * 1e-12, flop12 * 1e-12);
    double first = 0;
    for (int i = 0; i < of(WARM); i++) {
        step(&s);
        if (i == 0)
            first = loss(T);
    }
    checked(d->wait(d, &err));
    for (int i = 0; i < of(STEPS); i++) {
        const double from = now();
        step(&s);
        checked(d->wait(d, &err));
        ms[i] = now() - from;
    }
    printf("loss %.4f, after %d steps %.4f\n", first, of(WARM) + of(STEPS), loss(T));
    qsort(ms, (size_t)of(STEPS), sizeof *ms, by_size);
    const double median = ms[of(STEPS) / 2];
    printf("ms a step: median %.3f, least %.3f; %.0f tokens/s, %.1f TFLOP/s, %.1f %% of %d (%.1f %% with 12 L C T)\n", median, ms[0], T / median * 1e3, flop / median * 1e-9,
           flop / median * 1e-9 / of(PEAK) * 100, of(PEAK), flop12 / median * 1e-9 / of(PEAK) * 100);
    if (of(TRACE)) {
        checked(gpu_trace_begin(gpu, exec_stream(d), 1 << 16, &err));
        step(&s);
        checked(d->wait(d, &err));
        checked(gpu_trace_end(gpu, note, NULL, &err));
        qsort(sums, (size_t)n_sum, sizeof *sums, by_ms);
        printf("kernel,operation,launches,ms,share\n");
        for (int i = 0; i < n_sum; i++)
            printf("%s,%s,%d,%.3f,%.3f\n", sums[i].kernel, sums[i].what, sums[i].n, sums[i].ms, sums[i].ms / traced_ms);
        printf("all,,,%.3f,1\n", traced_ms);
    }
    graph_free(g);
    d->free(d);
    pool_free(pool);
    free(start);
    free(ms);
    return 0;
}
