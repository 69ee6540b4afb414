/* check_layer.c - the plain kernels of layers and pages (gpu/kern/layer.c, paged.c) beside cpu/ref, at edge sizes. */
#include "gpu/check_job.h"
#include "cpu/kernels.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct cpu_kernels *ref(void) { return cpu_levels()[0]; }
static long ceil_div(long a, long b) { return (a + b - 1) / b; }

static void norm(struct job *j, int n_row, int C, int ld, bool layer, bool w, bool b)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d, C %d, %s%s%s", n_row, C, layer ? "layer" : "rms", w ? ", weight" : "", b ? ", bias" : "");
    const size_t n = (size_t)n_row * (size_t)C, n_x = (size_t)n_row * (size_t)ld, n_stat = (size_t)n_row * 4;
    float *x = job_floats(j, n_x), *weight = job_floats(j, (size_t)C), *bias = job_floats(j, (size_t)C), *y = job_host(j, n * 4), *want = job_host(j, n * 4), *rstd = job_host(j, 2 * n_stat),
          *mean = job_host(j, 2 * n_stat);
    for (size_t i = 0; x && i < n_x; i++)
        x[i] += layer ? 3 : 0;
    struct norm_args a = { .x = job_upload(j, x, n_x * 4), .w = w ? job_upload(j, weight, (size_t)C * 4) : NULL, .b = b ? job_upload(j, bias, (size_t)C * 4) : NULL, .y = job_device(j, n * 4),
                           .mean = layer ? job_device(j, n_stat) : NULL, .rstd = job_device(j, n_stat), .ld_y = C, .ld_x = ld, .C = C, .eps = 1e-5f, .layer = layer };
    job_launch(j, GPU_norm_rows, n_row, 1, 1, &a);
    job_download(j, y, a.y, n * 4);
    job_download(j, rstd, a.rstd, n_stat);
    if (layer)
        job_download(j, mean, a.mean, n_stat);
    if (!j->rc)
        (layer ? ref()->layernorm_fwd : ref()->rmsnorm_fwd)(&(struct norm){ .n_row = n_row, .C = C, .x = x, .ld_x = ld, .w = w ? weight : NULL, .b = b ? bias : NULL, .eps = 1e-5f, .y = want,
                                                                           .ld_y = C, .mean = layer ? mean + n_row : NULL, .rstd = rstd + n_row });
    const double tolerance = job_tolerance(layer ? "layernorm_fwd" : "rmsnorm_fwd");
    job_compare(j, "norm_rows", y, want, n, tolerance);
    job_compare(j, "norm_rows rstd", rstd, rstd + n_row, (size_t)n_row, tolerance);
    if (layer)
        job_compare(j, "norm_rows mean", mean, mean + n_row, (size_t)n_row, tolerance);
    job_end(j, "norm_rows");
}

static void sum(struct job *j, int n_row, int C, bool b, bool one)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d, C %d%s", n_row, C, !b ? ", a copy" : one ? ", one row for all" : "");
    const size_t n = (size_t)n_row * (size_t)C;
    float *x = job_floats(j, n), *y = job_floats(j, n), *got = job_host(j, n * 4), *want = job_host(j, n * 4);
    struct sum_args a = { .a = job_upload(j, x, n * 4), .b = b ? job_upload(j, y, n * 4) : NULL, .y = job_device(j, n * 4), .ld_y = C, .ld_a = C, .ld_b = one ? 0 : C, .n_row = n_row, .C = C };
    job_launch(j, GPU_sum_rows, ceil_div((long)n, 256), 1, 1, &a);
    job_download(j, got, a.y, n * 4);
    for (size_t i = 0; i < n && !j->rc; i++)
        want[i] = x[i] + (b ? y[one ? i % (size_t)C : i] : 0);
    job_compare_bits(j, "sum_rows", got, want, n * 4);
    job_end(j, "sum_rows");
}

/* Devices that share a layer, here all of them this one; columns of C for the sum, C in all for the columns. */
static void peers(struct job *j, int n_peer, int n_row, int C, bool more)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d devices, rows %d, C %d%s", n_peer, n_row, C, more ? ", added" : "");
    const size_t n = (size_t)n_row * (size_t)C;
    float *x = job_floats(j, n * (size_t)n_peer), *bias = job_floats(j, (size_t)C), *add = job_floats(j, n), *got = job_host(j, n * 4), *want = job_host(j, n * 4);
    struct sum_peers_args a = { .y = job_device(j, n * 4), .add = more ? job_upload(j, add, n * 4) : NULL, .bias = more ? job_upload(j, bias, (size_t)C * 4) : NULL, .n_peer = n_peer, .C = C };
    for (int p = 0; p < n_peer; p++)
        a.part[p] = job_upload(j, x + (size_t)p * n, n * 4);
    const long half = (long)n / 8 * 4;
    a.n = half;
    job_launch(j, GPU_sum_peers, ceil_div(a.n, 1024), 1, 1, &a);
    a.first = half, a.n = (long)n - half;
    job_launch(j, GPU_sum_peers, ceil_div(a.n, 1024), 1, 1, &a);
    job_download(j, got, a.y, n * 4);
    for (size_t i = 0; i < n && !j->rc; i++) {
        want[i] = x[i];
        for (size_t p = 1; p < (size_t)n_peer; p++)
            want[i] += x[p * n + i];
        if (more)
            want[i] = add[i] + (want[i] + bias[i % (size_t)C]);
    }
    job_compare_bits(j, "sum_peers", got, want, n * 4);
    job_end(j, "sum_peers");
}

static void gather(struct job *j, int n_peer, int n_row, int V)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d devices, rows %d, V %d", n_peer, n_row, V);
    const int ld = (V + n_peer - 1) / n_peer;
    const size_t n = (size_t)n_row * (size_t)V, n_part = (size_t)n_row * (size_t)ld;
    float *x = job_floats(j, n_part * (size_t)n_peer), *got = job_host(j, n * 4), *want = job_host(j, n * 4);
    struct gather_peers_args a = { .y = job_device(j, n * 4), .ld = ld, .n_row = n_row, .V = V, .n_peer = n_peer };
    for (int p = 0; p < n_peer; p++)
        a.part[p] = job_upload(j, x + (size_t)p * n_part, n_part * 4);
    job_launch(j, GPU_gather_peers, ceil_div((long)n, 256), 1, 1, &a);
    job_download(j, got, a.y, n * 4);
    for (int p = 0; p < n_peer && !j->rc; p++)
        for (int row = 0; row < n_row; row++)
            for (int c = V * p / n_peer; c < V * (p + 1) / n_peer; c++)
                want[row * V + c] = x[(size_t)p * n_part + (size_t)(row * ld + c - V * p / n_peer)];
    job_compare_bits(j, "gather_peers", got, want, n * 4);
    job_end(j, "gather_peers");
}

static void act(struct job *j, int kind, int n_row, int F, bool scale)
{
    static const struct { const char *word; bool gated; } kinds[] = { { "gelu", false }, { "gelu_tanh", false }, { "swiglu", true }, { "geglu", true }, { "geglu_tanh", true },
                                                                      { "swiglu_clamped", true }, { "sigmoid", false }, { "tanh", false }, { "softcap", false }, { "clip", false } };
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d, F %d%s", kinds[kind].word, n_row, F, scale ? ", scaled" : "");
    const struct cpu_kernels *k = ref();
    void (*const fn[])(const struct act *) = { k->gelu_fwd, k->gelu_tanh_fwd, k->swiglu_fwd, k->geglu_fwd, k->geglu_tanh_fwd, k->swiglu_clamped_fwd };
    const int ld = kinds[kind].gated ? 2 * F : F;
    const size_t n = (size_t)n_row * (size_t)F, n_h = (size_t)n_row * (size_t)ld;
    float *h = job_floats(j, n_h), *s = job_floats(j, (size_t)n_row), *y = job_host(j, n * 4), *want = job_host(j, n * 4);
    for (size_t i = 0; h && i < n_h; i++)
        h[i] *= i % 3 == 0 ? 12 : i % 3 == 1 ? 1 : 0.01f;
    struct act_args a = { .h = job_upload(j, h, n_h * 4), .scale = scale ? job_upload(j, s, (size_t)n_row * 4) : NULL, .y = job_device(j, n * 4), .ld_y = F, .ld_h = ld, .n_row = n_row, .F = F,
                          .kind = kind, .cap = 2.5f };
    job_launch(j, GPU_act_rows, ceil_div((long)n, 256), 1, 1, &a);
    job_download(j, y, a.y, n * 4);
    if (!j->rc && kind <= GPU_ACT_SWIGLU_CLAMPED)
        fn[kind](&(struct act){ .n_row = n_row, .F = F, .h = h, .ld_h = ld, .scale = scale ? s : NULL, .y = want, .ld_y = F });
    for (size_t i = 0; i < n && !j->rc && kind > GPU_ACT_SWIGLU_CLAMPED; i++) {
        const double x = (double)h[i], v = kind == GPU_ACT_SIGMOID ? 1 / (1 + exp(-x)) : kind == GPU_ACT_TANH ? tanh(x) : kind == GPU_ACT_SOFTCAP ? 2.5 * tanh(x / 2.5) : fmax(-2.5, fmin(2.5, x));
        want[i] = (float)(scale ? v * (double)s[i / (size_t)F] : v);
    }
    job_compare(j, "act_rows", y, want, n, job_tolerance("geglu_fwd"));
    job_end(j, "act_rows");
}

/* ---- pages ---- */

struct paged { int n_head, n_kv_head, dk, dv, d_rot, n_seq, window; bool pairs, f32, norm, sink; float cap; };
static float rounded(float x, bool f32)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    u = f32 ? u : (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &u, 4);
    return x;
}

/* q, k, v of a row by cpu/ref: norms, then rotation. */
static void prepare(const struct paged *p, float *row, const float *q_norm, const float *k_norm, const float *cos_sin)
{
    const int turned = p->n_head + p->n_kv_head;
    for (int h = 0; h < turned && p->norm; h++)
        ref()->rmsnorm_fwd(&(struct norm){ .n_row = 1, .C = p->dk, .x = row + h * p->dk, .ld_x = p->dk, .w = h < p->n_head ? q_norm : k_norm, .eps = 1e-5f, .y = row + h * p->dk, .ld_y = p->dk,
                                           .rstd = &(float){ 0 } });
    if (p->d_rot)
        (p->pairs ? ref()->rope_pairs : ref()->rope_half)(&(struct rope){ .n_head = turned, .d_head = p->dk, .d_rot = p->d_rot, .x = row, .cos_sin = cos_sin });
}

/* Sequences of len[s] rows, all put and asked at once; the pages scattered, and full of NaN before. */
static void paged(struct job *j, const struct paged *p, const int *len)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "heads %d / %d of %d, %d, %d turn, %s%s%s%s", p->n_head, p->n_kv_head, p->dk, p->dv, p->d_rot, p->f32 ? "f32" : "bf16", p->window ? ", window" : "",
             p->cap > 0 ? ", cap" : "", p->sink ? ", sinks" : "");
    int T = 0, longest = 0;
    for (int s = 0; s < p->n_seq; s++)
        T += len[s], longest = len[s] > longest ? len[s] : longest;
    const int C = (p->n_head + p->n_kv_head) * p->dk + p->n_kv_head * p->dv, ld_pages = longest / GPU_KV_TOKENS + 1, n_page = p->n_seq * ld_pages, size = p->f32 ? 4 : 2, ld_o = p->n_head * p->dv;
    const size_t n = (size_t)T * (size_t)C, n_o = (size_t)T * (size_t)ld_o, page = (size_t)(p->n_kv_head * GPU_KV_TOKENS * (p->dk + p->dv)), n_turn = (size_t)longest * (size_t)p->d_rot + 4;
    float *qkv = job_floats(j, n), *q_norm = job_floats(j, (size_t)p->dk), *k_norm = job_floats(j, (size_t)p->dk), *turn = job_host(j, n_turn * 4), *sink = job_floats(j, (size_t)p->n_head);
    float *o = job_host(j, n_o * 4), *want = job_host(j, n_o * 4), *back = job_host(j, n * 4);
    int *pages = job_host(j, (size_t)n_page * 4), *seq = job_host(j, (size_t)T * 4), *pos = job_host(j, (size_t)T * 4);
    if (j->rc) {
        job_end(j, "attn_paged");
        return;
    }
    for (int i = 0; i < n_page; i++)
        pages[i] = n_page - 1 - i;
    for (int s = 0, i = 0; s < p->n_seq; s++)
        for (int t = 0; t < len[s]; t++, i++)
            seq[i] = s, pos[i] = t;
    for (size_t i = 0; i < n_turn / 2; i++)
        turn[2 * i] = cosf((float)i * 0.7f), turn[2 * i + 1] = sinf((float)i * 0.7f);
    void *kv = job_device(j, (size_t)n_page * page * (size_t)size);
    const float scale = 2 / sqrtf((float)p->dk);
    const struct qkv_put_args put = { .qkv = job_upload(j, qkv, n * 4), .kv = kv, .q_norm = p->norm ? job_upload(j, q_norm, (size_t)p->dk * 4) : NULL, .k_norm = p->norm ? job_upload(j, k_norm, (size_t)p->dk * 4) : NULL,
                                      .cos_sin = p->d_rot ? job_upload(j, turn, n_turn * 4) : NULL, .pages = job_upload(j, pages, (size_t)n_page * 4), .seq = job_upload(j, seq, (size_t)T * 4),
                                      .pos = job_upload(j, pos, (size_t)T * 4), .page_size = (long)page, .ld_pages = ld_pages, .ld_qkv = C, .n_row = T, .n_head = p->n_head, .n_kv_head = p->n_kv_head, .dk = p->dk,
                                      .dv = p->dv, .d_rot = p->d_rot, .pairs = p->pairs, .f32 = p->f32, .eps = 1e-5f };
    const struct attn_paged_args a = { .o = job_device(j, n_o * 4), .q = put.qkv, .kv = kv, .pages = put.pages, .seq = put.seq, .pos = put.pos, .sink = p->sink ? job_upload(j, sink, (size_t)p->n_head * 4) : NULL,
                                       .page_size = (long)page, .ld_pages = ld_pages, .ld_q = C, .ld_o = ld_o, .n_head = p->n_head, .n_kv_head = p->n_kv_head, .dk = p->dk, .dv = p->dv, .window = p->window,
                                       .f32 = p->f32, .scale = scale, .cap = p->cap };
    if (!j->rc)
        j->rc = gpu_fill(j->g, j->stream, kv, 0xff, (size_t)n_page * page * (size_t)size, &j->err);
    job_launch(j, GPU_qkv_put, ceil_div((long)T * (p->n_head + 2 * p->n_kv_head), 256 / gpu_facts(j->g)->wave), 1, 1, &put);
    job_launch(j, GPU_attn_paged, p->n_head, T, 1, &a);
    job_download(j, o, a.o, n_o * 4);
    job_download(j, back, put.qkv, n * 4);
    const size_t cpu_page = cpu_kv_page_bytes(KV_REAL, p->dk, p->dv);
    float *cpu_kv = job_host(j, cpu_page * (size_t)ld_pages);
    const int n_group = p->n_head / p->n_kv_head;
    void *scratch = job_host(j, cpu_attn_paged_scratch(p->dk, p->dv, n_group));
    for (int i = 0; i < T && !j->rc; i++) {
        float *row = qkv + (size_t)i * (size_t)C;
        prepare(p, row, q_norm, k_norm, turn + (size_t)pos[i] * (size_t)p->d_rot);
        for (int c = p->n_head * p->dk; c < C; c++)
            row[c] = rounded(row[c], p->f32), back[(size_t)i * (size_t)C + (size_t)c] = row[c];      /* only q is written in place */
    }
    for (int s = 0, first = 0; s < p->n_seq && !j->rc; first += len[s++])
        for (int h = 0; h < p->n_kv_head && len[s] > 0; h++) {
            const struct kv_pages base = { .base = cpu_kv, .stride = cpu_page, .dk = p->dk, .dv = p->dv };
            const float *row = qkv + (size_t)first * (size_t)C;
            ref()->kv_put(&(struct kv_put){ .kv = base, .n = len[s], .k = row + (p->n_head + h) * p->dk, .v = row + (p->n_head + p->n_kv_head) * p->dk + h * p->dv, .ld_k = C, .ld_v = C });
            ref()->attn_paged(&(struct attn_paged){ .kv = base, .n_q = len[s], .n_group = n_group, .window = p->window, .q = row + h * n_group * p->dk, .ld_q = C, .scale = scale, .softcap = p->cap,
                                                    .sink = p->sink ? sink + h * n_group : NULL, .o = want + (size_t)first * (size_t)ld_o + (size_t)(h * n_group * p->dv), .ld_o = ld_o, .scratch = scratch });
        }
    job_compare(j, "qkv_put", back, qkv, n, fmax(job_tolerance("rmsnorm_fwd"), job_tolerance("rope_half")));
    job_compare(j, "attn_paged", o, want, n_o, p->f32 ? job_tolerance("attn_paged") : 1e-3);      /* a key at the middle of two bf16 may go either way */
    job_end(j, "attn_paged");
}

void check_layer(struct job *j, bool large)
{
    if (large) {
        norm(j, 64, 5120, 5120, true, true, true);
        norm(j, 64, 5120, 6144, false, true, false);
        paged(j, &(struct paged){ .n_head = 8, .n_kv_head = 2, .dk = 256, .dv = 256, .d_rot = 256, .n_seq = 1, .f32 = true, .window = 100 }, (const int[]){ 600 });
        return;
    }
    norm(j, 1, 1, 1, false, false, false);
    norm(j, 3, 37, 40, false, true, false);
    norm(j, 2, 515, 515, true, true, true);
    norm(j, 2, 6, 7, true, true, false);
    sum(j, 3, 17, true, false);
    sum(j, 2, 300, true, true);
    sum(j, 1, 5, false, false);
    peers(j, 2, 3, 40, true);
    peers(j, 1, 1, 8, false);
    peers(j, GPU_PEERS_MAX, 2, 1100, true);
    gather(j, 2, 3, 71);
    gather(j, GPU_PEERS_MAX, 1, 300);
    gather(j, 8, 2, 5);
    for (int kind = GPU_ACT_GELU; kind <= GPU_ACT_CLIP; kind++)
        act(j, kind, 3, 133, kind % 2);
    static const int few[] = { 5, 1, 0, 70 }, one[] = { 261 };
    paged(j, &(struct paged){ .n_head = 4, .n_kv_head = 2, .dk = 8, .dv = 8, .d_rot = 8, .n_seq = 4, .f32 = true }, few);
    paged(j, &(struct paged){ .n_head = 2, .n_kv_head = 1, .dk = 12, .dv = 12, .d_rot = 12, .n_seq = 4, .pairs = true, .norm = true }, few);
    paged(j, &(struct paged){ .n_head = 2, .n_kv_head = 2, .dk = 80, .dv = 48, .d_rot = 20, .n_seq = 4, .window = 33, .cap = 1.5f, .sink = true, .f32 = true }, few);
    paged(j, &(struct paged){ .n_head = 1, .n_kv_head = 1, .dk = 3, .dv = 5, .n_seq = 1, .window = 3, .sink = true, .f32 = true }, one);
    paged(j, &(struct paged){ .n_head = 1, .n_kv_head = 1, .dk = 260, .dv = 300, .d_rot = 4, .n_seq = 1, .f32 = true }, few);
}
