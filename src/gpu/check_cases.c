/* check_cases.c - each kernel of the device beside cpu/ref, at edge sizes and at sizes of models. */
#include "gpu/check_job.h"
#include "cpu/kernels.h"
#include "gpu/pack.h"
#include "gpu/product.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct cpu_kernels *ref(void) { return cpu_levels()[0]; }
static long ceil_div(long a, long b) { return (a + b - 1) / b; }

/* ---- rows ---- */

static void copies(struct job *j, long n16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%ld bytes", n16 * 16);
    float *x = job_floats(j, (size_t)n16 * 4), *y = job_host(j, (size_t)n16 * 16);
    struct copy_args a = { .x = job_upload(j, x, (size_t)n16 * 16), .y = job_device(j, (size_t)n16 * 16), .n16 = n16 };
    job_launch(j, GPU_copy16, ceil_div(n16, 1024), 1, 1, &a);
    job_download(j, y, a.y, (size_t)n16 * 16);
    job_compare_bits(j, "copy16", y, x, (size_t)n16 * 16);
    job_end(j, "copy16");
}

/* The device's q and ds of struct quantize_args beside what cpu/ref makes of x[M][K]: the same bits. */
static void compare_a8(struct job *j, const char *name, int M, int K, const float *x, const void *q, const void *ds)
{
    const size_t n = (size_t)M * (size_t)K, n_ds = n / 16, stride = a8_row_bytes(K);
    char *a8 = job_host(j, (size_t)M * stride);
    int8_t *got_q = job_host(j, n), *want_q = job_host(j, n);
    float *got_ds = job_host(j, n_ds * 4), *want_ds = job_host(j, n_ds * 4);
    job_download(j, got_q, q, n);
    job_download(j, got_ds, ds, n_ds * 4);
    if (j->rc)
        return;
    ref()->quantize_a8(&(struct a8){ .M = M, .K = K, .x = x, .ld_x = K, .out = a8, .stride = stride });
    for (int m = 0; m < M; m++)
        for (int b = 0; b < K / 32; b++) {
            const char *block = a8 + (size_t)m * stride + (size_t)b * A8_BLOCK_BYTES;
            memcpy(want_q + (size_t)m * (size_t)K + b * 32, block, 32);
            memcpy(want_ds + ((size_t)m * (size_t)(K / 32) + (size_t)b) * 2, block + 32, 8);
        }
    job_compare_bits(j, name, got_q, want_q, n);
    job_compare(j, name, got_ds, want_ds, n_ds, 0);
}

static void rmsnorm(struct job *j, int n_row, int C)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d, C %d", n_row, C);
    const size_t n = (size_t)n_row * (size_t)C;
    float *x = job_floats(j, n), *w = job_floats(j, (size_t)C), *y = job_host(j, n * 4), *want = job_host(j, n * 4);
    struct rmsnorm_args a = { .x = job_upload(j, x, n * 4), .w = job_upload(j, w, (size_t)C * 4), .y = job_device(j, n * 4), .ld_x = C, .ld_y = C, .C = C, .eps = 1e-5f };
    if (C % 32 == 0)
        a.q = job_device(j, n), a.ds = job_device(j, n / 4), a.rstd = job_device(j, (size_t)n_row * 4);
    job_launch(j, GPU_rmsnorm, n_row, 1, 1, &a);
    job_download(j, y, a.y, n * 4);
    if (!j->rc)
        ref()->rmsnorm_fwd(&(struct norm){ .n_row = n_row, .C = C, .x = x, .ld_x = C, .w = w, .eps = 1e-5f, .y = want, .ld_y = C });
    job_compare(j, "rmsnorm", y, want, n, job_tolerance("rmsnorm_fwd"));
    if (a.q)
        compare_a8(j, "rmsnorm, int8", n_row, C, y, a.q, a.ds);
    job_end(j, "rmsnorm");
}

static void rope(struct job *j, int n_row, int n_head, int d_head, int d_rot, bool pairs)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d, heads %d of %d, %d turn, %s", n_row, n_head, d_head, d_rot, pairs ? "pairs" : "halves");
    const size_t C = (size_t)(n_head * d_head), n = (size_t)n_row * C, n_table = (size_t)n_row * (size_t)d_rot;
    float *x = job_floats(j, n), *table = job_host(j, n_table * 4), *y = job_host(j, n * 4);
    for (size_t i = 0; table && i < n_table / 2; i++)
        table[2 * i] = cosf((float)i), table[2 * i + 1] = sinf((float)i);
    struct rope_args a = { .x = job_upload(j, x, n * 4), .cos_sin = job_upload(j, table, n_table * 4), .ld_x = (long)C, .n_row = n_row, .n_head = n_head,
                           .d_head = d_head, .d_rot = d_rot, .pairs = pairs };
    job_launch(j, GPU_rope, ceil_div((long)n_row * n_head * d_rot / 2, 256), 1, 1, &a);
    job_download(j, y, a.x, n * 4);
    for (int i = 0; i < n_row && !j->rc; i++) {
        const struct rope r = { .n_head = n_head, .d_head = d_head, .d_rot = d_rot, .x = x + (size_t)i * C, .cos_sin = table + (size_t)i * (size_t)d_rot };
        if (pairs)
            ref()->rope_pairs(&r);
        else
            ref()->rope_half(&r);
    }
    job_compare(j, "rope", y, x, n, job_tolerance("rope_half"));
    job_end(j, "rope");
}

static void swiglu(struct job *j, int n_row, int F)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d, F %d", n_row, F);
    const size_t n = (size_t)n_row * (size_t)F;
    float *h = job_floats(j, 2 * n), *y = job_host(j, n * 4), *want = job_host(j, n * 4);
    for (size_t i = 0; h && i < 2 * n; i++)
        h[i] *= 8;
    struct swiglu_args a = { .h = job_upload(j, h, 8 * n), .y = job_device(j, n * 4), .ld_h = 2 * F, .ld_y = F, .n_row = n_row, .F = F };
    if (F % 32 == 0)
        a.q = job_device(j, n), a.ds = job_device(j, n / 4);
    job_launch(j, GPU_swiglu, ceil_div((long)n / 4, 256), 1, 1, &a);
    job_download(j, y, a.y, n * 4);
    if (!j->rc)
        ref()->swiglu_fwd(&(struct act){ .n_row = n_row, .F = F, .h = h, .ld_h = 2 * F, .y = want, .ld_y = F });
    job_compare(j, "swiglu", y, want, n, job_tolerance("swiglu_fwd"));
    if (a.q)
        compare_a8(j, "swiglu, int8", n_row, F, y, a.q, a.ds);
    job_end(j, "swiglu");
}

static void softmax(struct job *j, int n_row, int n)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d of %d", n_row, n);
    const size_t size = (size_t)n_row * (size_t)n;
    float *x = job_floats(j, size), *y = job_host(j, size * 4), *want = job_host(j, size * 4), *lse = job_host(j, (size_t)n_row * 8);
    for (size_t i = 0; x && i < size; i++)
        x[i] *= 10;
    struct softmax_args a = { .x = job_upload(j, x, size * 4), .y = job_device(j, size * 4), .lse = job_device(j, (size_t)n_row * 4), .ld_x = n, .ld_y = n, .n = n };
    job_launch(j, GPU_softmax, n_row, 1, 1, &a);
    job_download(j, y, a.y, size * 4);
    job_download(j, lse, a.lse, (size_t)n_row * 4);
    if (!j->rc)
        ref()->softmax(n_row, n, x, n, want, n, lse + n_row);
    job_compare(j, "softmax", y, want, size, job_tolerance("softmax"));
    job_compare(j, "softmax lse", lse, lse + n_row, (size_t)n_row, job_tolerance("softmax"));
    job_end(j, "softmax");
}

static void embed(struct job *j, int n_row, int V, int C, bool b16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d of %d, C %d, %s", n_row, V, C, b16 ? "bf16" : "f32");
    const size_t n = (size_t)n_row * (size_t)C, all = (size_t)V * (size_t)C;
    uint16_t *table = job_bf16s(j, all * (b16 ? 1 : 2));
    int *id = job_host(j, (size_t)n_row * sizeof *id);
    float *y = job_host(j, n * 4), *want = job_host(j, n * 4);
    for (int i = 0; want && i < n_row; i++) {
        id[i] = (int)((unsigned)i * 2654435761u % (unsigned)V);
        for (int c = 0; c < C; c++) {
            const size_t at = (size_t)id[i] * (size_t)C + (size_t)c;
            uint32_t u = b16 ? (uint32_t)table[at] << 16 : 0;
            memcpy(&want[(size_t)i * (size_t)C + (size_t)c], b16 ? (const void *)&u : (const void *)((const float *)(const void *)table + at), 4);
        }
    }
    struct embed_args a = { .table = job_upload(j, table, all * (b16 ? 2 : 4)), .id = job_upload(j, id, (size_t)n_row * 4), .y = job_device(j, n * 4), .ld_y = C, .C = C, .bf16 = b16 };
    job_launch(j, GPU_embed, n_row, 1, 1, &a);
    job_download(j, y, a.y, n * 4);
    job_compare_bits(j, "embed", y, want, n * 4);
    job_end(j, "embed");
}

void check_rows(struct job *j, bool large)
{
    if (large) {
        copies(j, 1 << 20);
        rmsnorm(j, 512, 4096);
        rmsnorm(j, 64, 14336);
        rope(j, 512, 32, 128, 128, false);
        swiglu(j, 128, 14336);
        softmax(j, 64, 128256);
        embed(j, 512, 4096, 4096, true);
        return;
    }
    static const long sizes[] = { 1, 255, 1024, 1025, 3000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        copies(j, sizes[i]);
    rmsnorm(j, 1, 4);
    rmsnorm(j, 3, 1028);
    rmsnorm(j, 2, 2080);
    rmsnorm(j, 2, 5152);
    rope(j, 3, 2, 64, 64, false);
    rope(j, 5, 3, 80, 32, false);
    rope(j, 2, 2, 64, 64, true);
    swiglu(j, 1, 4);
    swiglu(j, 2, 96);
    swiglu(j, 3, 516);
    softmax(j, 1, 1);
    softmax(j, 2, 257);
    softmax(j, 2, 2000);
    embed(j, 3, 11, 64, true);
    embed(j, 4, 7, 264, false);
}

/* ---- products of a few rows ---- */

/* The device's rows of int8, and the same by cpu/ref. */
static void quantized(struct job *j, int M, int K, const float *x, struct gemv_args *a, void **a8, bool compare)
{
    const size_t n = (size_t)M * (size_t)K, n_ds = n / 16, stride = a8_row_bytes(K);
    a->xq = job_device(j, n), a->xds = job_device(j, n_ds * 4);
    struct quantize_args q = { .q = (int8_t *)(uintptr_t)a->xq, .ds = (float *)(uintptr_t)a->xds, .x = a->x, .ld_x = K, .n_row = M, .K = K };
    job_launch(j, GPU_quantize_a8, ceil_div((long)n / 4, 256), 1, 1, &q);
    *a8 = job_host(j, (size_t)M * stride);
    if (j->rc)
        return;
    ref()->quantize_a8(&(struct a8){ .M = M, .K = K, .x = x, .ld_x = K, .out = *a8, .stride = stride });
    if (!compare)
        return;
    compare_a8(j, "quantize_a8", M, K, x, a->xq, a->xds);
}

/* What a product is of, on the host and the device; t: a type of files, or fnuz. */
struct operands { int t, M, N, K; enum cpu_type as; bool a8_rows, add; size_t n_y; float *x, *w, *plus; void *blocks, *a8; struct gemv_args a; };
static struct operands operands_of(struct job *j, int t, int M, int N, int K, bool add, bool edges)
{
    const enum cpu_type as = t == GPU_TYPE_F8_FNUZ ? TYPE_F8_E4M3 : (enum cpu_type)t;
    struct operands o = { .t = t, .M = M, .N = N, .K = K, .as = as, .a8_rows = gpu_gemv_takes_a8(t), .add = add, .n_y = (size_t)M * (size_t)N };
    snprintf(j->shape, sizeof j->shape, "%s, M %d, N %d, K %d%s", job_type_name(t), M, N, K, add ? ", added" : "");
    const size_t n_x = (size_t)M * (size_t)K, n_w = (size_t)N * (size_t)K;
    o.x = job_floats(j, n_x), o.w = job_floats(j, n_w), o.plus = job_floats(j, o.n_y), o.blocks = job_host(j, (size_t)N * type_bytes(as, K));
    void *packed = job_host(j, gpu_pack_bytes(as, K, N)), *scale = job_host(j, gpu_pack_scale_bytes(as, K, N) + 16);
    if (!j->rc) {
        if (edges) {                                   /* a block of zeros, one with a large number */
            memset(o.x, 0, 32 * sizeof *o.x);
            o.x[K - 1] = 1000;
        }
        type_quantize(as, (int64_t)n_w, o.w, NULL, o.blocks);
        if (t == GPU_TYPE_F8_FNUZ)
            ((uint8_t *)o.blocks)[0] &= 127;           /* minus zero would be NaN */
        job_dequantize(t, (int64_t)n_w, o.blocks, o.w);
        gpu_pack(as, K, N, o.blocks, packed, scale);
    }
    o.a = (struct gemv_args){ .x = job_upload(j, o.x, n_x * 4), .w = job_upload(j, packed, gpu_pack_bytes(as, K, N)), .scale = job_upload(j, scale, gpu_pack_scale_bytes(as, K, N) + 16),
                              .add = add ? job_upload(j, o.plus, o.n_y * 4) : NULL, .y = job_device(j, o.n_y * 4), .ld_y = N, .ld_x = K, .M = M, .N = N, .K = K, .type = t };
    if (o.a8_rows)
        quantized(j, M, K, o.x, &o.a, &o.a8, edges);
    return o;
}
/* The product by cpu/ref, of the x that is there now. */
static float *wanted(struct job *j, const struct operands *o)
{
    const int N = o->N, K = o->K;
    const size_t panel = cpu_panel_size((size_t)K, PANEL);
    void *panels = job_host(j, o->a8_rows ? panel_bytes(panel_of(o->as), K, N) : cpu_panel_size((size_t)K, (size_t)N) * 4);
    float *want = job_host(j, o->n_y * 4);
    if (!j->rc && !o->a8_rows) {
        ref()->pack_rows(&(struct pack){ .K = K, .N = N, .src = o->w, .ld = K, .out = panels, .panel = (ptrdiff_t)panel });
        ref()->gemm(&(struct gemm){ .M = o->M, .N = N, .K = K, .a = o->x, .a_row = K, .a_col = 1, .b = panels, .b_panel = (ptrdiff_t)panel, .add = o->add ? o->plus : NULL, .ld_add = N,
                                    .c = want, .ldc = N });
    } else if (!j->rc) {
        ref()->pack_panels(&(struct panel_pack){ .type = o->as, .K = K, .N = N, .src = o->blocks, .stride = type_bytes(o->as, K), .out = panels });
        ref()->gemm_q(&(struct gemm_q){ .type = panel_of(o->as), .M = o->M, .N = N, .K = K, .a = o->a8, .a_stride = a8_row_bytes(K), .b = panels, .add = o->add ? o->plus : NULL, .ld_add = N,
                                        .c = want, .ldc = N });
    }
    return want;
}

void check_gemv_case(struct job *j, int t, int M, int N, int K, bool add, bool edges)
{
    job_begin(j);
    const enum gpu_kernel kernel = gpu_gemv_kernel(t, M);
    const struct operands o = operands_of(j, t, M, N, K, add, edges);
    float *y = job_host(j, o.n_y * 4);
    job_launch(j, kernel, ceil_div(N, 256 / gpu_facts(j->g)->wave * GPU_GEMV_ROWS(M)), 1, 1, &o.a);
    job_download(j, y, o.a.y, o.n_y * 4);
    job_compare(j, gpu_kernel_name(kernel), y, wanted(j, &o), o.n_y, job_tolerance(o.a8_rows ? "gemm_q" : "gemm"));
    job_end(j, gpu_kernel_name(kernel));
}

static float rounded(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &u, 4);
    return x;
}

/* Every kernel that takes so many rows, beside cpu/ref and to the bits of the first that is right there; and the last row alone. */
static void mat(struct job *j, int t, int M, int N, int K, bool add, bool edges)
{
    job_begin(j);
    struct operands o = operands_of(j, t, M, N, K, add, edges);
    const size_t n_x = (size_t)M * (size_t)K, row = (size_t)N * 4;
    u16 *x16 = job_device(j, n_x * 2);
    float *y = job_host(j, o.n_y * 4), *first = job_host(j, o.n_y * 4);
    job_launch(j, GPU_dequant, ceil_div((long)M * ceil_div(K, 32), 256), 1, 1, &(struct dequant_args){ .y16 = x16, .w = o.a.x, .ld_y = K, .n_row = M, .K = K, .type = GPU_TYPE_F32, .mul = 1 });
    for (size_t i = 0; i < n_x && t == TYPE_BF16 && !j->rc; i++)
        o.x[i] = rounded(o.x[i]);
    const float *want = wanted(j, &o);
    const double tolerance = o.a8_rows ? job_tolerance("gemm_q") : fmax(job_tolerance("gemm_bf16"), K * 0x1p-24 / 32);      /* as of gemm_bf16 below */
    struct mat_args a = { .y = o.a.y, .x = o.a.x, .x16 = x16, .xq = o.a.xq, .xds = o.a.xds, .w = o.a.w, .scale = o.a.scale, .add = o.a.add, .ld_y = N, .ld_x = K, .M = M, .N = N, .K = K };
    struct gpu_mat k;
    bool any = false;
    for (int many = M > GPU_FEW; many < 2; many++)
        for (int i = 0; gpu_mat_variant(t, many, i, M, N, &k) && !j->rc; i++) {
            j->rc = gpu_fill(j->g, j->stream, a.y, 0xff, o.n_y * 4, &j->err);
            job_launch(j, k.kernel, k.gx, k.gy, 1, &a);
            job_download(j, y, a.y, o.n_y * 4);
            const int n_bad = j->n_bad;
            job_compare(j, gpu_kernel_name(k.kernel), y, want, o.n_y, tolerance);
            if (any)
                job_compare_bits(j, gpu_kernel_name(k.kernel), y, first, o.n_y * 4);
            else if (!j->rc && j->n_bad == n_bad)
                memcpy(first, y, o.n_y * 4), any = true;
        }
    a.M = 1, a.x += (size_t)(M - 1) * (size_t)K, a.add = add ? a.add + (size_t)(M - 1) * (size_t)N : NULL;
    if (o.a8_rows)
        a.xq += (size_t)(M - 1) * (size_t)K, a.xds += (size_t)(M - 1) * (size_t)(K / 16);
    if (gpu_mat_variant(t, false, 0, 1, N, &k))
        job_launch(j, k.kernel, k.gx, k.gy, 1, &a);
    job_download(j, y, a.y, row);
    if (!j->rc && any)
        job_compare_bits(j, gpu_kernel_name(k.kernel), y, first + (o.n_y - (size_t)N), row);
    job_end(j, "products by matrix instructions");
}
void check_mat(struct job *j, bool large)
{
    static const int types[] = { TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0 };
    for (int i = 0; i < 3; i++) {
        const int t = types[i], step = t == TYPE_BF16 ? 8 : 32;
        if (large) {
            mat(j, t, 300, 1000, 4096, true, false);
            mat(j, t, 8, 130, 14336, false, true);
            continue;
        }
        mat(j, t, 1, 1, step, false, t != TYPE_BF16);
        mat(j, t, 3, 17, step * 9, true, t != TYPE_BF16);
        mat(j, t, 8, 33, 512, false, false);
        mat(j, t, 5, 20, 2048 + 256 + step, true, t != TYPE_BF16);                    /* runs of two steps, the last one short */
        mat(j, t, 70, 129, t == TYPE_BF16 ? 72 : 160, true, false);
    }
}

void check_gemv(struct job *j, bool large)
{
    static const int types[] = { TYPE_F32, TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_K }, rows[] = { 1, 2, 3, 4, 7, 8 };
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t m = 0; m < sizeof rows / sizeof *rows; m++) {
            if (large) {
                check_gemv_case(j, types[t], rows[m], 64, 4096, false, false);
                check_gemv_case(j, types[t], rows[m], 37, 14336, true, false);
            } else {
                const int step = types[t] == TYPE_Q4_K ? 256 : types[t] == TYPE_F32 ? 36 : types[t] == TYPE_BF16 ? 8 : 32;
                check_gemv_case(j, types[t], rows[m], 1 + (int)m * 4, step * (1 + (int)m), m % 2, m > 0 && types[t] > TYPE_BF16);
                if (m == 0)
                    check_gemv_case(j, types[t], 1, 18, 8448, true, true);      /* beyond `depth` steps of a wave of 64 */
            }
        }
}

/* ---- attention ---- */

/* Sequences of len[0 .. n_seq-1] keys; pages in a shuffled order, written by kv_put on the device. */
void check_decode_case(struct job *j, const struct decode_case *p)
{
    const int d = p->d, n_kv_head = p->n_kv_head, n_group = p->n_group, n_seq = p->n_seq, *len = p->len;
    job_begin(j);
    int longest = 0, n_key = 0;
    for (int s = 0; s < n_seq; s++)
        longest = len[s] > longest ? len[s] : longest, n_key += len[s];
    snprintf(j->shape, sizeof j->shape, "d %d, heads %d / %d, %d sequences, up to %d keys%s%s%s", d, n_kv_head * n_group, n_kv_head, n_seq, longest, p->window ? ", window" : "",
             p->cap > 0 ? ", cap" : "", p->sinks ? ", sinks" : "");
    const int ld_pages = longest / GPU_KV_TOKENS + 1, n_page = n_seq * ld_pages, n_range = longest / GPU_RANGE + 1, n_head = n_kv_head * n_group;
    const size_t kv_row = (size_t)(n_kv_head * d), page_size = 2 * GPU_KV_TOKENS * kv_row, page_bytes = gpu_kv_page_bytes(p->int8, n_kv_head, d), q_row = (size_t)(n_head * d), n_o = (size_t)n_seq * q_row;
    float *k = job_floats(j, (size_t)n_key * kv_row), *v = job_floats(j, (size_t)n_key * kv_row), *q = job_floats(j, n_o), *o = job_host(j, n_o * 4), *want = job_host(j, n_o * 4);
    float *sink = job_floats(j, (size_t)n_head);
    int *pages = job_host(j, (size_t)n_page * 4), *seq = job_host(j, (size_t)n_key * 4 + 4), *pos = job_host(j, (size_t)n_key * 4 + 4);
    for (int i = 0; pages && i < n_page; i++)
        pages[i] = (i * 7 + 3) % n_page == i ? i : n_page - 1 - i;
    for (int s = 0, i = 0; pos && s < n_seq; s++)
        for (int t = 0; t < len[s]; t++, i++)
            seq[i] = s, pos[i] = t;
    for (size_t i = 0; pos && i < (size_t)n_key * kv_row; i++)
        k[i] *= 3;
    if (p->edges && !j->rc) {                          /* a key of zeros, a value that is NaN in the last sequence */
        memset(k, 0, (size_t)d * 4);
        v[(size_t)n_key * kv_row - 1] = NAN;
    }
    u16 *kv = job_device(j, (size_t)n_page * page_bytes);
    int *d_pages = job_upload(j, pages, (size_t)n_page * 4);
    struct kv_put_args put = { .kv = kv, .k = job_upload(j, k, (size_t)n_key * kv_row * 4 + 4), .v = job_upload(j, v, (size_t)n_key * kv_row * 4 + 4), .pages = d_pages,
                               .seq = job_upload(j, seq, (size_t)n_key * 4 + 4), .pos = job_upload(j, pos, (size_t)n_key * 4 + 4), .page_size = (long)(p->int8 ? page_bytes : page_size), .ld_pages = ld_pages,
                               .ld_k = (long)kv_row, .ld_v = (long)kv_row, .n_row = n_key, .n_kv_head = n_kv_head, .d = d };
    if (!j->rc)
        j->rc = gpu_fill(j->g, j->stream, kv, 0xff, (size_t)n_page * page_bytes, &j->err);       /* NaN: what was not written must not be used */
    if (p->int8)
        job_launch(j, GPU_kv_put_i8, ceil_div(2l * n_key * n_kv_head, 256 / gpu_facts(j->g)->wave), 1, 1, &put);
    else
        job_launch(j, GPU_kv_put, ceil_div((long)n_key * (long)kv_row / 2, 256), 1, 1, &put);
    const float scale = 1 / sqrtf((float)d);
    struct attn_decode_args a = { .part = job_device(j, (size_t)n_seq * (size_t)n_head * (size_t)n_range * (size_t)(d + 2) * 4), .q = job_upload(j, q, n_o * 4), .kv = kv, .pages = d_pages,
                                  .len = job_upload(j, len, (size_t)n_seq * 4), .page_size = (long)(p->int8 ? page_bytes : page_size), .ld_pages = ld_pages, .ld_q = (long)q_row, .n_kv_head = n_kv_head,
                                  .n_group = n_group, .n_range = n_range, .scale_log2e = scale * 1.44269504f, .d = d, .window = p->window, .cap_log2e = p->cap * 1.44269504f };
    struct attn_join_args join = { .o = job_device(j, n_o * 4), .part = a.part, .len = a.len, .ld_o = (long)q_row, .n_head = n_head, .n_range = n_range, .d = d,
                                   .window = p->window, .sink = p->sinks ? job_upload(j, sink, (size_t)n_head * 4) : NULL };
    if (d % 32 == 0)
        join.q = job_device(j, n_o), join.ds = job_device(j, n_o / 4);
    const enum gpu_kernel kernel = gpu_decode_kernel(d, n_group, p->int8);
    job_launch(j, kernel, n_range, gpu_decode_blocks(n_kv_head, n_group), n_seq, &a);
    job_launch(j, gpu_join_kernel(d), n_head, n_seq, 1, &join);
    job_download(j, o, join.o, n_o * 4);
    const size_t cpu_page = (cpu_kv_page_bytes(p->int8 ? KV_I8 : KV_REAL, d, d) + 63) / 64 * 64;
    float *cpu_kv = job_host(j, cpu_page * (size_t)ld_pages);
    void *scratch = job_host(j, cpu_attn_paged_scratch(d, d, n_group));
    for (size_t i = 0; cpu_kv && !p->int8 && i < (size_t)n_key * kv_row; i++)
        k[i] = rounded(k[i]), v[i] = rounded(v[i]);
    for (int s = 0, first = 0; s < n_seq && !j->rc; first += len[s++])
        for (int h = 0; h < n_kv_head && len[s] > 0; h++) {
            const struct kv_pages own = { .base = cpu_kv, .stride = cpu_page, .dk = d, .dv = d };
            const size_t at = (size_t)first * kv_row + (size_t)(h * d), head = (size_t)s * q_row + (size_t)(h * n_group * d);
            (p->int8 ? ref()->kv_put_i8 : ref()->kv_put)(&(struct kv_put){ .kv = own, .n = len[s], .k = k + at, .v = v + at, .ld_k = (ptrdiff_t)kv_row, .ld_v = (ptrdiff_t)kv_row });
            (p->int8 ? ref()->attn_paged_i8 : ref()->attn_paged)(&(struct attn_paged){ .kv = own, .n_q = 1, .pos0 = len[s] - 1, .n_group = n_group, .q = q + head, .ld_q = (ptrdiff_t)q_row, .scale = scale, .window = p->window, .softcap = p->cap, .sink = p->sinks ? sink + h * n_group : NULL, .o = want + head,
                                                    .ld_o = (ptrdiff_t)q_row, .scratch = scratch });
        }
    job_compare(j, gpu_kernel_name(kernel), o, want, n_o, job_tolerance("attn_paged"));
    if (join.q)
        compare_a8(j, "attn_join, int8", n_seq, (int)q_row, o, join.q, join.ds);
    job_end(j, gpu_kernel_name(kernel));
}

static void decode(struct job *j, int d, int n_kv_head, int n_group, int n_seq, const int *len)
{
    check_decode_case(j, &(struct decode_case){ .d = d, .n_kv_head = n_kv_head, .n_group = n_group, .n_seq = n_seq, .len = len });
}

void check_attn(struct job *j, bool large)
{
    static const int edges[] = { 1, 0, 64, 65, 256, 257, 300 }, few[] = { 200, 31 }, ctx[] = { 4096, 1000 };
    if (large) {
        decode(j, 128, 8, 4, 2, ctx);
        decode(j, 128, 2, 8, 2, ctx);
        decode(j, 64, 4, 4, 2, ctx);
        return;
    }
    decode(j, 64, 1, 2, 7, edges);
    decode(j, 128, 2, 4, 2, few);
    for (int d = 64; d <= 128; d += 64)
        for (int n_group = 1; n_group <= 8; n_group += n_group == 1 || n_group == 5 ? 2 : n_group == 3 ? 2 : 1)
            decode(j, d, 1, n_group, 1, few);
}

/* ---- large products ---- */

static void gemm(struct job *j, int M, int N, int K, bool to_bf16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d, to %s", M, N, K, to_bf16 ? "bf16" : "f32");
    /* All of a small one; of a large one 24 rows and columns, the edges of blocks among them. */
    enum { SAMPLE = 24 };
    const bool all = M <= 300 && N <= 300;
    const int m_ref = all ? M : SAMPLE, n_ref = all ? N : SAMPLE;
    const size_t n_a = (size_t)M * (size_t)K, n_b = (size_t)N * (size_t)K, n_c = (size_t)M * (size_t)N, n_w = (size_t)m_ref * (size_t)n_ref;
    uint16_t *a = job_bf16s(j, n_a), *b = job_bf16s(j, n_b), *c16 = job_host(j, n_c * 2), *part = job_host(j, cpu_panel_size((size_t)K, (size_t)n_ref) * 2);
    float *c = job_host(j, n_c * 4), *got = job_host(j, n_w * 4), *want = job_host(j, n_w * 4);
    int32_t *rows = job_host(j, (size_t)m_ref * 4), *cols = job_host(j, (size_t)n_ref * 4);
    struct gemm_args g = { .a = job_upload(j, a, n_a * 2), .b = job_upload(j, b, n_b * 2), .ld_a = K, .ld_b = K, .ld_c = N, .M = M, .N = N, .K = K };
    if (to_bf16)
        g.c16 = job_device(j, n_c * 2);
    else
        g.c32 = job_device(j, n_c * 4);
    job_launch(j, GPU_gemm_bf16, ceil_div(N, 128), ceil_div(M, 128), 1, &g);
    if (to_bf16)
        job_download(j, c16, g.c16, n_c * 2);
    else
        job_download(j, c, g.c32, n_c * 4);
    if (!j->rc) {
        for (int i = 0; i < m_ref; i++)
            rows[i] = all ? i : (int)((long)i * (M - 1) / (SAMPLE - 1));
        for (int i = 0; i < n_ref; i++)
            cols[i] = all ? i : (int)((long)i * (N - 1) / (SAMPLE - 1));
        const ptrdiff_t panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL);
        ref()->pack_rows_bf16(&(struct pack){ .K = K, .N = n_ref, .src = b, .ld = K, .src_bf16 = true, .rows = cols, .out = part, .panel = panel });
        ref()->gemm_bf16(&(struct gemm){ .M = m_ref, .N = n_ref, .K = K, .a = a, .a_row = K, .a_col = 2, .rows = rows, .b = part, .b_panel = panel, .c = want, .ldc = n_ref });
        for (int m = 0; m < m_ref; m++)
            for (int n = 0; n < n_ref; n++) {
                const size_t at = (size_t)rows[m] * (size_t)N + (size_t)cols[n], i = (size_t)m * (size_t)n_ref + (size_t)n;
                const uint32_t u = (uint32_t)c16[at] << 16;
                got[i] = c[at];
                if (to_bf16)
                    memcpy(&got[i], &u, 4);
            }
    }
    /* bf16: half of a last place at most.  Float: tensor cores cut their sums where a CPU rounds them (Fasi et al. 2021, doi:10.7717/peerj-cs.330), so that the
     * error grows with K: 4.2e-6 at K 4096 on an H100. */
    job_compare(j, "gemm_bf16", got, want, n_w, to_bf16 ? 0x1p-8 / sqrt(3) : fmax(job_tolerance("gemm_bf16"), K * 0x1p-24 / 32));
    job_end(j, "gemm_bf16");
}

void check_gemm(struct job *j, bool large)
{
    if (large) {
        gemm(j, 1000, 1032, 4096, false);
        gemm(j, 512, 4096, 1024, true);
        return;
    }
    gemm(j, 1, 1, 8, false);
    gemm(j, 130, 129, 72, false);
    gemm(j, 128, 128, 128, true);
}
