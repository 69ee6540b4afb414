/* check_quant.c - kernels for weights of every type beside cpu/ref: values to the bit, NaN, infinities and subnormal scales among them; products of a few rows and of a
 * batch; quantisation of activations. */
#include "gpu/check_job.h"
#include "cpu/kernels.h"
#include "gpu/pack.h"
#include "gpu/product.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct cpu_kernels *ref(void) { return cpu_levels()[0]; }
static long ceil_div(long a, long b) { return (a + b - 1) / b; }
static enum cpu_type file_type(int type) { return type == GPU_TYPE_F8_FNUZ ? TYPE_F8_E4M3 : (enum cpu_type)type; }
const char *job_type_name(int type) { return type == GPU_TYPE_F8_FNUZ ? "f8_e4m3fnuz" : type_name((enum cpu_type)type); }

/* 4 bits of exponent with bias 8, 3 of mantissa; minus zero is NaN, there is no infinity. */
static float fnuz_float(uint8_t v)
{
    const int e = v >> 3 & 15, m = v & 7;
    const float f = v == 0x80 ? NAN : e ? ldexpf((float)(8 + m), e - 11) : ldexpf((float)m, -10);
    return v & 0x80 ? -f : f;
}
void job_dequantize(int type, int64_t n, const void *blocks, float *y)
{
    if (type != GPU_TYPE_F8_FNUZ)
        type_dequantize((enum cpu_type)type, n, blocks, y);
    for (int64_t i = 0; i < n && type == GPU_TYPE_F8_FNUZ; i++)
        y[i] = fnuz_float(((const uint8_t *)blocks)[i]);
}

static uint16_t bf16_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return f != f ? 0x7fc0 : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static float bf16_value(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Values that are equal, or both NaN: a row. */
static void compare_values(struct job *j, const char *name, const float *got, const float *want, size_t n)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n && !j->rc; i++)
        wrong += !(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])));
    const float one = 1, other = 1 + (float)wrong;
    job_compare(j, name, &other, &one, 1, 0);
}

/* ---- weights to bf16 and floats ---- */

/* Rows of random bits: scales are any number then. */
static void dequant(struct job *j, int type, int n_row, int K, bool by_number, bool to_bf16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d, K %d%s, to %s", job_type_name(type), n_row, K, by_number ? " by number" : "", to_bf16 ? "bf16" : "f32");
    const enum cpu_type t = file_type(type);
    const size_t n = (size_t)n_row * (size_t)K, row = type_bytes(t, K), bytes = (size_t)n_row * row;
    uint8_t *blocks = job_host(j, bytes);
    void *packed = job_host(j, gpu_pack_bytes(t, K, n_row)), *scale = job_host(j, gpu_pack_scale_bytes(t, K, n_row) + 16);
    float *want = job_host(j, n * 4), *got = job_host(j, n * 4);
    uint16_t *got16 = job_host(j, n * 2);
    int *id = job_host(j, (size_t)n_row * 4);
    for (size_t i = 0; id && i < bytes; i++)
        blocks[i] = (uint8_t)(j->seed >> 24), job_random(j);
    if (!j->rc)
        gpu_pack(t, K, n_row, blocks, packed, scale);
    for (int r = 0; r < n_row && !j->rc; r++) {
        id[r] = by_number ? (r * 5 + 2) % n_row : r;
        job_dequantize(type, K, blocks + (size_t)id[r] * row, want + (size_t)r * (size_t)K);
    }
    struct dequant_args a = { .w = job_upload(j, packed, gpu_pack_bytes(t, K, n_row)), .scale = job_upload(j, scale, gpu_pack_scale_bytes(t, K, n_row) + 16), .ld_y = K, .n_row = n_row,
                              .K = K, .type = type, .mul = 1, .id = by_number ? job_upload(j, id, (size_t)n_row * 4) : NULL };
    void *y = job_device(j, n * (to_bf16 ? 2 : 4));
    if (to_bf16)
        a.y16 = y;
    else
        a.y32 = y;
    job_launch(j, GPU_dequant, ceil_div((long)n_row * ceil_div(K, 32), 256), 1, 1, &a);
    job_download(j, to_bf16 ? (void *)got16 : got, y, n * (to_bf16 ? 2 : 4));
    for (size_t i = 0; i < n && to_bf16 && !j->rc; i++)
        got[i] = bf16_value(got16[i]), want[i] = bf16_value(bf16_bits(want[i]));
    compare_values(j, "dequant", got, want, n);
    job_end(j, "dequant");
}

/* ---- quantisation ---- */

/* The nearest code, of two the even one; beyond the largest that. */
static uint8_t nearest(int type, float x)
{
    const int top = type == GPU_TYPE_F8_E5M2 ? 123 : type == GPU_TYPE_F8_FNUZ ? 127 : 126;
    if (isnan(x))
        return type == GPU_TYPE_F8_FNUZ ? 128 : (uint8_t)((signbit(x) ? 128 : 0) | (type == GPU_TYPE_F8_E5M2 ? 126 : 127));
    int best = 0;
    double least = INFINITY;
    for (int i = 0; i <= top; i++) {
        const uint8_t code = (uint8_t)i;
        float v;
        job_dequantize(type, 1, &code, &v);
        const double d = fabsf(x) > 1e6f ? (double)(top - i) : fabs((double)v - fabs((double)x));
        if (d < least || (d == least && i % 2 == 0))
            best = i, least = d;
    }
    return (uint8_t)(best == 0 && type == GPU_TYPE_F8_FNUZ ? 0 : best | (signbit(x) ? 128 : 0));
}

/* Every value, what is half way to the next and beside that, and the ends of floats. */
static void quantize_f8(struct job *j, int type, bool of_bf16)
{
    static const float ends[] = { 0, 1e-45f, 1e-38f, 3e38f, INFINITY, 464, 465, 448, 61440, 61439, 57344, 248, 247.9f, 0x1p-10f, 0x1p-11f, 0x1p-17f, 0x1.8p-17f };
    enum { N_END = sizeof ends / sizeof *ends, N = 4 * (2 * (128 * 4 + N_END + 3)) / 4 / 4 * 4 };
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s of %s, K %d", job_type_name(type), of_bf16 ? "bf16" : "f32", (int)N);
    float *x = job_host(j, N * 4);
    uint16_t *x16 = job_host(j, N * 2);
    uint8_t *got = job_host(j, N), *want = job_host(j, N);
    for (int i = 0; want && i < N / 2; i++) {
        const uint8_t code = (uint8_t)(i / 4 < 126 ? i / 4 : 125), next = code + 1;
        float a, b;
        job_dequantize(type, 1, &code, &a);
        job_dequantize(type, 1, &next, &b);
        const float half = (a + b) / 2;
        float v = i % 4 == 0 ? a : i % 4 == 1 ? half : nextafterf(half, i % 4 == 2 ? 0 : INFINITY);
        v = i >= 512 && i < 512 + N_END ? ends[i - 512] : i >= 512 ? NAN : v;
        x[2 * i] = v, x[2 * i + 1] = -v;
    }
    for (int i = 0; want && i < N; i++) {
        x16[i] = bf16_bits(x[i]);
        if (isnan(x[i]) && signbit(x[i]))
            x16[i] |= 0x8000;
        x[i] = of_bf16 ? bf16_value(x16[i]) : x[i];
        want[i] = nearest(type, x[i]);
    }
    struct quantize_f8_args a = { .y = job_device(j, N), .ld_y = N, .ld_x = N, .n_row = 1, .K = N, .type = type, .mul = 1 };
    if (of_bf16)
        a.x16 = job_upload(j, x16, N * 2);
    else
        a.x = job_upload(j, x, N * 4);
    job_launch(j, GPU_quantize_f8, ceil_div(N / 4, 256), 1, 1, &a);
    job_download(j, got, a.y, N);
    for (int i = 0; i < N && !j->rc; i++)                        /* a product may change a NaN's sign */
        if (type != GPU_TYPE_F8_FNUZ && isnan(x[i]))
            got[i] &= 127, want[i] &= 127;
    job_compare_bits(j, "quantize_f8", got, want, N);
    job_end(j, "quantize_f8");
}

static void quantize_q8(struct job *j, int n_row, int K, bool of_bf16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d, K %d", of_bf16 ? "bf16" : "f32", n_row, K);
    const size_t n = (size_t)n_row * (size_t)K, n_scale = n / 32;
    float *x = job_floats(j, n);
    uint16_t *x16 = job_host(j, n * 2), *scale = job_host(j, n_scale * 2), *want_scale = job_host(j, n_scale * 2 + 16);
    void *blocks = job_host(j, n_scale * 34);
    int8_t *got = job_host(j, n), *want = job_host(j, n);
    if (!j->rc) {
        memset(x, 0, 32 * 4);
        for (int i = 0; i < 16; i++)                    /* halves: away from zero */
            x[32 + i] = (float)i + 0.5f, x[48 + i] = -(float)i - 0.5f;
        x[32] = 127;
        x[n - 1] = NAN;
        for (size_t i = 0; i < n; i++)
            x16[i] = bf16_bits(x[i]), x[i] = of_bf16 ? bf16_value(x16[i]) : x[i];
        type_quantize(TYPE_Q8_0, (int64_t)n, x, NULL, blocks);
        gpu_pack(TYPE_Q8_0, K, n_row, blocks, want, want_scale);
        memset(want + n - 32, 0, 32);                   /* a block that is no number has a scale that is none */
        want_scale[n_scale - 1] = 0x7e00;
    }
    struct quantize_q8_args a = { .w = job_device(j, n), .scale = job_device(j, n_scale * 2), .ld_x = K, .n_row = n_row, .K = K };
    if (of_bf16)
        a.x16 = job_upload(j, x16, n * 2);
    else
        a.x = job_upload(j, x, n * 4);
    job_launch(j, GPU_quantize_q8, ceil_div((long)n / 4, 256), 1, 1, &a);
    job_download(j, got, a.w, n);
    job_download(j, scale, a.scale, n_scale * 2);
    job_compare_bits(j, "quantize_q8", got, want, n);
    job_compare_bits(j, "quantize_q8 scales", scale, want_scale, n_scale * 2);
    job_end(j, "quantize_q8");
}

/* ---- products of a batch ---- */

static void gemm_q(struct job *j, int type, int M, int N, int K, int n_split, bool add)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, M %d, N %d, K %d, runs %d%s", job_type_name(type), M, N, K, n_split, add ? ", added" : "");
    const enum cpu_type t = file_type(type);
    const size_t n_x = (size_t)M * (size_t)K, n_w = (size_t)N * (size_t)K, n_y = (size_t)M * (size_t)N, panel = cpu_panel_size((size_t)K, PANEL);
    uint16_t *x = job_bf16s(j, n_x);
    float *xf = job_host(j, n_x * 4), *w = job_floats(j, n_w), *plus = job_floats(j, n_y), *y = job_host(j, n_y * 4), *want = job_host(j, n_y * 4), *one = job_host(j, n_y * 4);
    void *blocks = job_host(j, (size_t)N * type_bytes(t, K)), *packed = job_host(j, gpu_pack_bytes(t, K, N)), *scale = job_host(j, gpu_pack_scale_bytes(t, K, N) + 16);
    void *panels = job_host(j, cpu_panel_size((size_t)K, (size_t)N) * 4);
    if (!j->rc) {
        type_quantize(t, (int64_t)n_w, w, NULL, blocks);
        for (size_t i = 0; i < n_w && type == GPU_TYPE_F8_FNUZ; i++)
            ((uint8_t *)blocks)[i] &= 127;
        job_dequantize(type, (int64_t)n_w, blocks, w);
        gpu_pack(t, K, N, blocks, packed, scale);
        for (size_t i = 0; i < n_w; i++)
            w[i] = bf16_value(bf16_bits(w[i]));
        for (size_t i = 0; i < n_x; i++)
            xf[i] = bf16_value(x[i]);
        ref()->pack_rows(&(struct pack){ .K = K, .N = N, .src = w, .ld = K, .out = panels, .panel = (ptrdiff_t)panel });
        ref()->gemm(&(struct gemm){ .M = M, .N = N, .K = K, .a = xf, .a_row = K, .a_col = 1, .b = panels, .b_panel = (ptrdiff_t)panel, .add = add ? plus : NULL, .ld_add = N, .c = want, .ldc = N });
    }
    struct gemm_q_args g = { .y = job_device(j, n_y * 4), .part = job_device(j, n_y * 4 * (size_t)n_split), .x = job_upload(j, x, n_x * 2), .w = job_upload(j, packed, gpu_pack_bytes(t, K, N)),
                             .scale = job_upload(j, scale, gpu_pack_scale_bytes(t, K, N) + 16), .add = add ? job_upload(j, plus, n_y * 4) : NULL, .ld_y = N, .ld_x = K, .M = M, .N = N,
                             .K = K, .n_split = n_split, .type = type };
    for (int m = M; m >= 1 && !j->rc; m = m > 1 ? 1 : 0) {                    /* the first row alone has the same bits */
        g.M = m;
        job_launch(j, GPU_gemm_q, ceil_div(N, 128), n_split, ceil_div(m, 64), &g);
        if (n_split > 1)
            job_launch(j, GPU_gemm_q_join, ceil_div((long)m * N, 256), 1, 1, &g);
        job_download(j, m == M ? y : one, g.y, (size_t)m * (size_t)N * 4);
    }
    job_compare(j, "gemm_q", y, want, n_y, fmax(job_tolerance("gemm_bf16"), K * 0x1p-24 / 32));
    if (M > 1)
        job_compare_bits(j, "gemm_q, the first row alone", one, y, (size_t)N * 4);
    job_end(j, "gemm_q");
}

/* ---- all ---- */

static int step_of(int type) { return type_block(file_type(type)) > 1 ? type_block(file_type(type)) : 16; }

static void of_type(struct job *j, int type, bool large)
{
    if (type == N_CPU_TYPE)
        return;
    const int step = step_of(type);
    if (large) {
        dequant(j, type, 512, 4096, false, true);
        check_gemv_case(j, type, 1, 64, 4096, false, false);
        gemm_q(j, type, 33, 1000, 4096, gpu_gemm_q_splits(1000, 4096), true);
        return;
    }
    dequant(j, type, 3, step * 3, false, true);
    dequant(j, type, 5, step, true, false);
    gemm_q(j, type, 2, 3, step * (step < 256 ? 5 : 1), 1, type % 2);
}

void check_quant(struct job *j, bool large)
{
    static const int f8[] = { GPU_TYPE_F8_E4M3, GPU_TYPE_F8_E5M2, GPU_TYPE_F8_FNUZ }, own[] = { TYPE_Q6_K, TYPE_F16, TYPE_F8_E4M3, TYPE_F8_E5M2, GPU_TYPE_F8_FNUZ },
                     any[] = { TYPE_Q4_1, TYPE_Q5_0, TYPE_Q5_1, TYPE_Q2_K, TYPE_Q3_K, TYPE_Q5_K, TYPE_IQ4_NL, TYPE_MXFP4, TYPE_Q4_G }, rows[] = { 1, 2, 3, 7 };
    for (int type = 0; type < N_CPU_TYPE; type++)
        of_type(j, type, large);
    of_type(j, GPU_TYPE_F8_FNUZ, large);
    for (int i = 0; i < 3 && !large; i++) {
        quantize_f8(j, f8[i], false);
        quantize_f8(j, f8[i], true);
    }
    if (large) {
        quantize_q8(j, 64, 14336, false);
        return;
    }
    quantize_q8(j, 1, 96, false);
    quantize_q8(j, 5, 128, true);
    for (size_t t = 0; t < sizeof own / sizeof *own; t++) {
        for (int m = 0; m < 4; m++)
            check_gemv_case(j, own[t], rows[m], 1 + m * 5, step_of(own[t]) * (m == 2 ? 9 : 1 + m), m % 2, m > 0);
        for (int m = 0; m < 2; m++)                     /* several pieces at a time, and what is left */
            check_gemv_case(j, own[t], rows[m], 3, 8192 + 256, true, true);
    }
    for (size_t t = 0; t < sizeof any / sizeof *any; t++)
        for (int m = 0; m < 4; m++)
            check_gemv_case(j, any[t], rows[m], t == 0 ? 1 + m * 5 : 2, step_of(any[t]) * (1 + m), m % 2, true);
    gemm_q(j, TYPE_Q4_0, 65, 130, 96, 1, true);
    gemm_q(j, TYPE_Q6_K, 33, 20, 768, 3, true);
    gemm_q(j, TYPE_F16, 17, 129, 264, 2, false);
}
