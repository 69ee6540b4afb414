/* check_time.c - what a device does: copies by size, latency of launches, kernels at the sizes of Llama-3-8B (C 4096, F 14336, V 128256, 32
 * query and 8 key heads of 128), each beside the copy bandwidth of the same run.
 *
 * Copies read and write: bytes counts both.  Kernels that read weights or keys take others at each launch, 256 MiB or more in turn, so
 * that no cache holds them. */
#include "gpu/check_job.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/stat.h"
#include "cpu/quant.h"
#include "gpu/pack.h"
#include "gpu/product.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static long ceil_div(long a, long b) { return (a + b - 1) / b; }
static void row(struct job *j, struct gpu_row r)
{
    r.shape = j->shape, r.right = true, r.message = "";
    if (!j->rc)
        j->row(j->to, &r);
}

/* ---- copies ---- */

struct copying { char *to, *from; size_t n; void *host; double best; };

static void by_kernel(struct job *j, int i, void *ctx)
{
    (void)i;
    const struct copying *c = ctx;
    const struct copy_args a = { .y = (void *)c->to, .x = (void *)c->from, .n16 = (long)(c->n / 16) };
    job_launch(j, GPU_copy16, ceil_div(a.n16, 1024), 1, 1, &a);
}
static void by_driver(struct job *j, int i, void *ctx)
{
    (void)i;
    const struct copying *c = ctx;
    if (!j->rc)
        j->rc = gpu_copy(j->g, j->stream, c->to, c->from, c->n, &j->err);
}
static void from_host(struct job *j, int i, void *ctx)
{
    (void)i;
    const struct copying *c = ctx;
    if (!j->rc)
        j->rc = gpu_put(j->g, j->stream, c->to, c->host, c->n, &j->err);
}
static void to_host(struct job *j, int i, void *ctx)
{
    (void)i;
    const struct copying *c = ctx;
    if (!j->rc)
        j->rc = gpu_get(j->g, j->stream, c->host, c->from, c->n, &j->err);
}

/* The copy bandwidth that shares are of: the best of both copies at 1 GiB, or what fits. */
static gpu_row_fn *real_row;
static void *real_to;
static double best_gbps;
static void note_best(void *to, const struct gpu_row *r)
{
    (void)to;
    if (r->us > 0 && r->bytes / r->us / 1000 > best_gbps && strncmp(r->name, "host", 4) != 0)
        best_gbps = r->bytes / r->us / 1000;
    real_row(real_to, r);
}

void time_copy(struct job *j)
{
    const size_t most = gpu_facts(j->g)->bytes_free / 3;
    job_begin(j);
    struct copying c = { 0 };
    size_t n_max = (size_t)4 << 30;
    while (n_max > most)
        n_max /= 2;
    c.to = job_device(j, n_max), c.from = job_device(j, n_max);
    if (!j->rc)
        j->rc = gpu_fill(j->g, j->stream, c.from, 0x3c, n_max, &j->err);
    const size_t host_max = (size_t)256 << 20;
    void *host = NULL;
    if (!j->rc)
        j->rc = gpu_host_alloc(j->g, &host, host_max, &j->err);
    if (host)
        memset(host, 1, host_max);
    c.host = host, best_gbps = 0;
    real_row = j->row, real_to = j->to;
    for (size_t n = 1024; n <= n_max; n *= 4) {
        c.n = n;
        snprintf(j->shape, sizeof j->shape, "%zu", n);
        j->row = n >= (size_t)1 << 28 ? note_best : real_row;
        job_time(j, "copy", "kernel", by_kernel, &c, 1, 2.0 * (double)n, 0);
        job_time(j, "copy", "driver", by_driver, &c, 1, 2.0 * (double)n, 0);
        j->row = real_row;
        if (n <= host_max) {
            job_time(j, "copy", "host to device", from_host, &c, 1, (double)n, 0);
            job_time(j, "copy", "device to host", to_host, &c, 1, (double)n, 0);
        }
    }
    j->copy_gbps = best_gbps;
    gpu_host_free(j->g, host);
    job_end(j, "copies");
}

/* ---- launches ---- */

static void nothing(struct job *j, void *buffer)
{
    const struct copy_args a = { .y = buffer, .x = buffer, .n16 = 1 };
    job_launch(j, GPU_copy16, 1, 1, 1, &a);
}

/* Median over rounds (HOST_ROUNDS at most) of what fn(j, ctx) takes on the host's clock, by n. */
#define HOST_ROUNDS 200
static void host_time(struct job *j, const char *name, void (*fn)(struct job *, void *), void *ctx, int rounds, int n)
{
    double us[HOST_ROUNDS], best = INFINITY;
    for (int i = -3; i < rounds && !j->rc; i++) {
        const double begin = clock_wall();
        fn(j, ctx);
        const double t = (clock_wall() - begin) * 1e6 / n;
        if (i >= 0)
            best = fmin(best, t), us[i] = t;
    }
    if (!j->rc)
        row(j, (struct gpu_row){ .kind = "launch", .name = name, .us = stat_median(us, rounds), .us_least = best });
}

struct launching { void *buffer; struct gpu_graph graph; };
static void one_waited(struct job *j, void *ctx)
{
    nothing(j, ((struct launching *)ctx)->buffer);
    job_wait(j);
}
static void many(struct job *j, void *ctx)
{
    for (int i = 0; i < 1000; i++)
        nothing(j, ((struct launching *)ctx)->buffer);
}
static void many_waited(struct job *j, void *ctx)
{
    many(j, ctx);
    job_wait(j);
}
static void graph_waited(struct job *j, void *ctx)
{
    if (!j->rc)
        j->rc = gpu_graph_launch(j->g, j->stream, &((struct launching *)ctx)->graph, &j->err);
    job_wait(j);
}

void time_launch(struct job *j)
{
    job_begin(j);
    struct launching l = { .buffer = job_device(j, 64) };
    snprintf(j->shape, sizeof j->shape, "1 block");
    host_time(j, "launch and wait", one_waited, &l, 200, 1);
    job_wait(j);
    host_time(j, "launch by the host", many, &l, 1, 1000);
    job_wait(j);
    host_time(j, "kernel in a stream", many_waited, &l, 10, 1000);
    static const int sizes[] = { 1, 10, 100, 1000 };
    for (int s = 0; s < 4 && !j->rc; s++) {
        j->rc = gpu_graph_begin(j->g, j->stream, &j->err);
        for (int i = 0; i < sizes[s]; i++)
            nothing(j, l.buffer);
        const int rc = j->rc;
        j->rc = gpu_graph_end(j->g, j->stream, &l.graph, rc ? NULL : &j->err);
        j->rc = rc ? rc : j->rc;
        snprintf(j->shape, sizeof j->shape, "graph of %d kernels", sizes[s]);
        host_time(j, "kernel in a graph", graph_waited, &l, 30, sizes[s]);
        gpu_graph_free(j->g, &l.graph);
    }
    job_end(j, "launches");
}

/* ---- kernels ---- */

#define AT_LEAST ((size_t)256 << 20)

/* A product with a weight of `type`, M rows of x: by gemv_*, or by the kernels whose bits do not depend on M (mat). */
struct product_times { struct gemv_args a; struct mat_args m; struct gpu_mat mat; char *w, *scale; size_t w_bytes, scale_bytes; enum gpu_kernel k; long grid; };
static void run_gemv(struct job *j, int i, void *ctx)
{
    struct product_times *t = ctx;
    t->a.w = t->w + (size_t)i * t->w_bytes;
    t->a.scale = (const void *)(t->scale + (size_t)i * t->scale_bytes);
    job_launch(j, t->k, t->grid, 1, 1, &t->a);
}
static void run_mat(struct job *j, int i, void *ctx)
{
    struct product_times *t = ctx;
    struct mat_args a = t->m;
    a.w = t->w + (size_t)i * t->w_bytes;
    a.scale = (const void *)(t->scale + (size_t)i * t->scale_bytes);
    for (int m = 0; m < t->m.M; m += t->mat.rows) {
        a.M = t->m.M - m < t->mat.rows ? t->m.M - m : t->mat.rows;
        job_launch(j, t->mat.kernel, t->mat.gx, t->mat.gy, 1, &a);
        a.x += (size_t)t->mat.rows * (size_t)a.K, a.xq += (size_t)t->mat.rows * (size_t)a.K, a.xds += (size_t)t->mat.rows * (size_t)(a.K / 16), a.y += (size_t)t->mat.rows * (size_t)a.N;
    }
}

static void product(struct job *j, enum cpu_type type, bool mat, int M, int N, int K)
{
    job_begin(j);
    struct product_times t = { .k = gpu_gemv_kernel((int)type, M), .w_bytes = gpu_pack_bytes(type, K, N), .scale_bytes = gpu_pack_scale_bytes(type, K, N) };
    const int n_copy = (int)(AT_LEAST / t.w_bytes + 1), period = 64;
    const size_t n_period = (size_t)period * (size_t)K, n_x = (size_t)M * (size_t)K, n_y = (size_t)M * (size_t)N;
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d", M, N, K);
    float *w = job_floats(j, n_period), *x = job_floats(j, n_x), *y = job_host(j, n_y * 4);
    uint16_t *x16 = job_bf16s(j, n_x);
    void *blocks = job_host(j, (size_t)period * type_bytes(type, K)), *packed = job_host(j, gpu_pack_bytes(type, K, period)), *scale = job_host(j, gpu_pack_scale_bytes(type, K, period) + 16);
    if (!j->rc) {
        type_quantize(type, (int64_t)n_period, w, NULL, blocks);
        gpu_pack(type, K, period, blocks, packed, scale);
    }
    t.w = job_repeated(j, packed, gpu_pack_bytes(type, K, period), t.w_bytes * (size_t)n_copy);
    t.scale = t.scale_bytes ? job_repeated(j, scale, gpu_pack_scale_bytes(type, K, period), t.scale_bytes * (size_t)n_copy) : NULL;
    t.a = (struct gemv_args){ .x = job_upload(j, x, n_x * 4), .xq = job_device(j, n_x), .xds = job_device(j, n_x / 4), .y = job_device(j, n_y * 4), .ld_y = N, .ld_x = K, .M = M, .N = N, .K = K, .type = type };
    const struct quantize_args q = { .q = (int8_t *)(uintptr_t)t.a.xq, .ds = (float *)(uintptr_t)t.a.xds, .x = t.a.x, .ld_x = K, .n_row = M, .K = K };
    job_launch(j, GPU_quantize_a8, ceil_div((long)n_x / 4, 256), 1, 1, &q);
    t.grid = ceil_div(N, 256 / gpu_facts(j->g)->wave * GPU_GEMV_ROWS(M));
    if (mat) {
        t.mat = gpu_mat_of((int)type, M, N), t.k = t.mat.kernel;
        t.m = (struct mat_args){ .y = t.a.y, .x = t.a.x, .x16 = job_upload(j, x16, n_x * 2), .xq = t.a.xq, .xds = t.a.xds, .ld_y = N, .ld_x = K, .M = M, .N = N, .K = K };
    }
    job_time(j, "time", gpu_kernel_name(t.k), mat ? run_mat : run_gemv, &t, n_copy, (double)(t.w_bytes + t.scale_bytes), 2.0 * M * N * K);
    /* Rows of the weight repeat, and so must those of the result, to the bit: also far into a large weight. */
    job_download(j, y, t.a.y, n_y * 4);
    size_t wrong = 0;
    for (size_t i = 0; i < n_y && !j->rc; i++)
        wrong += memcmp(&y[i], &y[i / (size_t)N * (size_t)N + i % (size_t)N % (size_t)period], 4) != 0;
    if (wrong && !j->rc)
        j->rc = ERR(&j->err, NUMERIC, "%s: %zu of %zu results differ from those of the same row of the weight", j->shape, wrong, n_y);
    job_end(j, gpu_kernel_name(t.k));
}

struct batch_times { struct gemm_q_args a; char *w, *scale; size_t w_bytes, scale_bytes; };
static void run_batch(struct job *j, int i, void *ctx)
{
    struct batch_times *t = ctx;
    t->a.w = t->w + (size_t)i * t->w_bytes;
    t->a.scale = (const void *)(t->scale + (size_t)i * t->scale_bytes);
    job_launch(j, GPU_gemm_q, ceil_div(t->a.N, 128), t->a.n_split, ceil_div(t->a.M, 64), &t->a);
    if (t->a.n_split > 1)
        job_launch(j, GPU_gemm_q_join, ceil_div((long)t->a.M * t->a.N, 256), 1, 1, &t->a);
}

/* A weight of zeros: what is decoded takes as long as any other. */
static void batch(struct job *j, enum cpu_type type, int M, int N, int K)
{
    job_begin(j);
    struct batch_times t = { .w_bytes = gpu_pack_bytes(type, K, N), .scale_bytes = gpu_pack_scale_bytes(type, K, N) };
    const int n_copy = (int)(AT_LEAST / t.w_bytes + 1), n_split = gpu_gemm_q_splits(N, K);
    const size_t n_w = t.w_bytes * (size_t)n_copy, n_scale = t.scale_bytes * (size_t)n_copy, n_x = (size_t)M * (size_t)K, n_y = (size_t)M * (size_t)N;
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d, %s, runs %d", M, N, K, type_name(type), n_split);
    uint16_t *x = job_bf16s(j, n_x);
    t.w = job_device(j, n_w), t.scale = n_scale ? job_device(j, n_scale) : NULL;
    j->rc = j->rc ? j->rc : gpu_fill(j->g, j->stream, t.w, 0, n_w, &j->err);
    if (n_scale)
        j->rc = j->rc ? j->rc : gpu_fill(j->g, j->stream, t.scale, 0, n_scale, &j->err);
    t.a = (struct gemm_q_args){ .y = job_device(j, n_y * 4), .part = job_device(j, n_y * 4 * (size_t)n_split), .x = job_upload(j, x, n_x * 2), .ld_y = N, .ld_x = K, .M = M, .N = N, .K = K,
                                .n_split = n_split, .type = type };
    job_time(j, "time", "gemm_q", run_batch, &t, n_copy, (double)(t.w_bytes + t.scale_bytes), 2.0 * M * N * K);
    job_end(j, "gemm_q");
}

struct decode_times { struct attn_decode_args a; struct attn_join_args join; u16 *kv; size_t kv_copy; enum gpu_kernel k; int n_seq, n_head; bool both; };
static void run_decode(struct job *j, int i, void *ctx)
{
    struct decode_times *t = ctx;
    t->a.kv = t->kv + (size_t)i * t->kv_copy;
    job_launch(j, t->k, t->a.n_range, t->a.n_kv_head, t->n_seq, &t->a);
    if (t->both)
        job_launch(j, GPU_attn_join, t->n_head, t->n_seq, 1, &t->join);
}

static void decode(struct job *j, int d, int n_kv_head, int n_group, int n_seq, int n_key)
{
    job_begin(j);
    const int i_group = n_group <= 1 ? 0 : n_group <= 2 ? 1 : n_group <= 4 ? 2 : 3, n_head = n_kv_head * n_group;
    const int ld_pages = (n_key + GPU_KV_TOKENS - 1) / GPU_KV_TOKENS, n_page = n_seq * ld_pages, n_range = (n_key + GPU_RANGE - 1) / GPU_RANGE;
    const size_t page_size = 2 * (size_t)GPU_KV_TOKENS * (size_t)(n_kv_head * d), n_kv = (size_t)n_page * page_size, q_row = (size_t)(n_head * d), n_q = (size_t)n_seq * q_row;
    struct decode_times t = { .kv_copy = n_kv, .k = (enum gpu_kernel)((d == 64 ? GPU_attn_decode_64_1 : GPU_attn_decode_128_1) + i_group), .n_seq = n_seq, .n_head = n_head };
    const int n_copy = (int)(AT_LEAST / (n_kv * 2) + 1);
    snprintf(j->shape, sizeof j->shape, "d %d, heads %d / %d, %d sequences of %d", d, n_head, n_kv_head, n_seq, n_key);
    uint16_t *some = job_bf16s(j, (size_t)1 << 20);
    float *q = job_floats(j, n_q);
    int *pages = job_host(j, (size_t)n_page * 4), *len = job_host(j, (size_t)n_seq * 4);
    for (int i = 0; pages && i < n_page; i++)
        pages[i] = (int)((long)i * 7919 % n_page);                /* pages of a server that has run for a while: anywhere */
    for (int i = 0; len && i < n_seq; i++)
        len[i] = n_key;
    t.kv = job_repeated(j, some, (size_t)2 << 20, n_kv * 2 * (size_t)n_copy);
    t.a = (struct attn_decode_args){ .part = job_device(j, (size_t)n_seq * (size_t)n_head * (size_t)n_range * (size_t)(d + 2) * 4), .q = job_upload(j, q, n_q * 4),
                                     .pages = job_upload(j, pages, (size_t)n_page * 4), .len = job_upload(j, len, (size_t)n_seq * 4), .page_size = (long)page_size, .ld_pages = ld_pages,
                                     .ld_q = (long)q_row, .n_kv_head = n_kv_head, .n_group = n_group, .n_range = n_range, .scale_log2e = 1.44269504f / sqrtf((float)d) };
    t.join = (struct attn_join_args){ .o = job_device(j, n_q * 4), .part = t.a.part, .len = t.a.len, .ld_o = (long)q_row, .n_head = n_head, .n_range = n_range, .d = d };
    const double flop = 4.0 * n_seq * n_head * (double)n_key * d;
    job_time(j, "time", gpu_kernel_name(t.k), run_decode, &t, n_copy, (double)n_kv * 2, flop);
    t.both = true;
    char name[64];
    snprintf(name, sizeof name, "%s and join", gpu_kernel_name(t.k));
    job_time(j, "time", name, run_decode, &t, n_copy, (double)n_kv * 2, flop);
    job_end(j, gpu_kernel_name(t.k));
}

struct one { enum gpu_kernel k; long gx, gy; const void *args; };
static void run_one(struct job *j, int i, void *ctx)
{
    (void)i;
    const struct one *o = ctx;
    job_launch(j, o->k, o->gx, o->gy, 1, o->args);
}
static void timed(struct job *j, enum gpu_kernel k, long gx, long gy, const void *args, double bytes, double flop)
{
    struct one o = { k, gx, gy, args };
    job_time(j, "time", gpu_kernel_name(k), run_one, &o, 1, bytes, flop);
}

static void rows(struct job *j, int T)
{
    enum { C = 4096, F = 14336, V = 128256 };
    job_begin(j);
    float *x = job_floats(j, (size_t)1 << 20);
    const size_t n = (size_t)T * 2 * F;
    float *a = job_repeated(j, x, (size_t)4 << 20, n * 4), *b = job_device(j, n * 4), *w = job_upload(j, x, C * 4);
    snprintf(j->shape, sizeof j->shape, "rows %d, C %d", T, C);
    timed(j, GPU_rmsnorm, T, 1, &(struct rmsnorm_args){ .y = b, .x = a, .w = w, .ld_y = C, .ld_x = C, .C = C, .eps = 1e-5f }, 8.0 * T * C, 4.0 * T * C);
    timed(j, GPU_rope, ceil_div((long)T * 32 * 64, 256), 1, &(struct rope_args){ .x = b, .cos_sin = a, .ld_x = C, .n_row = T, .n_head = 32, .d_head = 128, .d_rot = 128 }, 8.0 * T * C, 3.0 * T * C);
    timed(j, GPU_quantize_a8, ceil_div((long)T * C / 4, 256), 1, &(struct quantize_args){ .q = (void *)b, .ds = b + n / 2, .x = a, .ld_x = C, .n_row = T, .K = C }, 5.25 * T * C, 2.0 * T * C);
    snprintf(j->shape, sizeof j->shape, "rows %d, F %d", T, F);
    timed(j, GPU_swiglu, ceil_div((long)T * F / 4, 256), 1, &(struct swiglu_args){ .y = b, .h = a, .ld_y = F, .ld_h = 2 * F, .n_row = T, .F = F }, 12.0 * T * F, 6.0 * T * F);
    const int n_soft = (int)(n / V) < 1 ? 1 : (int)(n / V);
    snprintf(j->shape, sizeof j->shape, "rows %d of %d", n_soft, V);
    timed(j, GPU_softmax, n_soft, 1, &(struct softmax_args){ .y = b, .x = a, .ld_y = V, .ld_x = V, .n = V }, 8.0 * n_soft * V, 5.0 * n_soft * V);
    job_end(j, "rows");
}

static void gemm(struct job *j, int M, int N, int K)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d", M, N, K);
    uint16_t *x = job_bf16s(j, (size_t)1 << 20);
    const struct gemm_args g = { .a = job_repeated(j, x, (size_t)2 << 20, (size_t)M * (size_t)K * 2), .b = job_repeated(j, x, (size_t)2 << 20, (size_t)N * (size_t)K * 2),
                                 .c16 = job_device(j, (size_t)M * (size_t)N * 2), .ld_a = K, .ld_b = K, .ld_c = N, .M = M, .N = N, .K = K };
    timed(j, GPU_gemm_bf16, ceil_div(N, 128), ceil_div(M, 128), &g, 2.0 * ((double)M * K + (double)N * K + (double)M * N), 2.0 * M * N * K);
    job_end(j, "gemm_bf16");
}

static const int shapes[][2] = { { 6144, 4096 }, { 4096, 4096 }, { 28672, 4096 }, { 4096, 14336 }, { 128256, 4096 } };      /* N, K: q k v; o; gate and up; down; logits */

void time_products(struct job *j)
{
    static const enum cpu_type types[] = { TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0 };
    static const int rows_of_x[] = { 2, 4, 8, 16, 32, 64, 128, 512 };
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            product(j, types[t], true, 1, shapes[s][0], shapes[s][1]);
        for (size_t m = 0; m < sizeof rows_of_x / sizeof *rows_of_x; m++)
            product(j, types[t], true, rows_of_x[m], 28672, 4096);
        product(j, types[t], true, 8, 4096, 4096);
        product(j, types[t], true, 64, 4096, 4096);
        product(j, types[t], true, 512, 4096, 14336);
    }
}

void time_kernels(struct job *j)
{
    static const enum cpu_type types[] = { TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_K };
    for (size_t t = 0; t < 4; t++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            product(j, types[t], false, 1, shapes[s][0], shapes[s][1]);
        for (int M = 2; M <= 8; M *= 2)
            product(j, types[t], false, M, 28672, 4096);
    }
    static const enum cpu_type others[] = { TYPE_F32, TYPE_F16, TYPE_F8_E4M3, TYPE_Q6_K };
    for (size_t t = 0; t < sizeof others / sizeof *others; t++)
        product(j, others[t], false, 1, 28672, 4096);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        batch(j, types[t], 8, 4096, 4096);
        for (int M = 8; M <= 512; M *= 8)
            batch(j, types[t], M, 28672, 4096);
    }
    static const int contexts[][2] = { { 1, 8192 }, { 1, 32768 }, { 1, 131072 }, { 16, 4096 }, { 64, 2048 }, { 128, 8192 } };     /* sequences, keys */
    for (size_t c = 0; c < sizeof contexts / sizeof *contexts; c++)
        decode(j, 128, 8, 4, contexts[c][0], contexts[c][1]);
    for (int d = 64; d <= 128; d += 64)
        for (int g = 1; g <= 8; g *= 2)
            decode(j, d, 8, g, 32, 4096);
    rows(j, 1);
    rows(j, 4096);
    gemm(j, 4096, 4096, 4096);
    gemm(j, 8192, 8192, 8192);
}
