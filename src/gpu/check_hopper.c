/* check_hopper.c - large products and prefill attention on a device that has their kernels: beside sums in double, and timed. */
#include "gpu/check_job.h"
#include "cpu/quant.h"
#include "gpu/hopper.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* bf16 keeps 8 bits: half of a last place is at most this much of a number. */
#define ROUNDED 0x1p-8

static float widened(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static void *uploaded16(struct job *j, const uint16_t *x, size_t n) { return job_upload(j, x, n * 2); }
/* n bf16 numbers of the device, poisoned. */
static void *poisoned(struct job *j, size_t n)
{
    void *p = job_device(j, n * 2);
    if (!j->rc)
        j->rc = gpu_fill(j->g, j->stream, p, 0xff, n * 2, &j->err);
    return p;
}
static float *fetched(struct job *j, const void *device, size_t n)
{
    uint16_t *x = job_host(j, n * 2);
    float *f = job_host(j, n * 4);
    job_download(j, x, device, n * 2);
    for (size_t i = 0; i < n && !j->rc; i++)
        f[i] = widened(x[i]);
    return f;
}

/* ---- products ---- */

/* n numbers of about -1 .. 1: bytes to upload, and what they are.  e4m3fnuz (gfx942): half of that, and no -0. */
static void *e4m3(struct job *j, size_t n, float *value)
{
    unsigned char *x = job_host(j, n);
    const bool fnuz = gpu_has(j->g, GPU_gemm_cdna3);
    for (size_t i = 0; i < n && x && value; i++) {
        x[i] = (unsigned char)((int)((job_random(j) + 1) * 128) & 0xbf);            /* exponents below 2^1 */
        x[i] = fnuz && x[i] == 0x80 ? 0 : x[i];
        const int e = x[i] >> 3 & 15, m = x[i] & 7;
        value[i] = (x[i] & 128 ? -1.0f : 1.0f) * (e ? ldexpf((float)(8 + m), e - 10 - fnuz) : ldexpf((float)m, -9 - fnuz));
    }
    return job_upload(j, x, n);
}
static void *operand(struct job *j, bool bytes, size_t n, float *value)
{
    if (bytes)
        return e4m3(j, n, value);
    uint16_t *x = job_bf16s(j, n);
    for (size_t i = 0; i < n && x && value; i++)
        value[i] = widened(x[i]);
    return uploaded16(j, x, n);
}

/* The same sums as floats, and by gfx942's other tile to the bit. */
static void floats(struct job *j, struct gpu_call call, const float *want, size_t n)
{
    const bool narrow = call.kernel == GPU_gemm_cdna3_128;
    struct gemm_cdna3_args *a = &call.args.cdna3;
    float *got = job_host(j, n * 4), *other = job_host(j, n * 4);
    a->c16 = NULL, a->c32 = job_device(j, n * 4);
    j->rc = j->rc ? j->rc : gpu_call_launch(j->g, j->stream, &call, &j->err);
    job_download(j, got, a->c32, n * 4);
    job_compare(j, gpu_kernel_name(call.kernel), got, want, n, fmax(1e-6, a->K * 0x1p-24 / 32));
    if (call.kernel == GPU_gemm_cdna3_fp8)
        return;
    const int tile = narrow ? 256 : 128;
    call.kernel = narrow ? GPU_gemm_cdna3 : GPU_gemm_cdna3_128, call.gx = (long)((a->M + tile - 1) / tile) * ((a->N + tile - 1) / tile);
    a->c32 = job_device(j, n * 4);
    j->rc = j->rc ? j->rc : gpu_call_launch(j->g, j->stream, &call, &j->err);
    job_download(j, other, a->c32, n * 4);
    job_compare_bits(j, gpu_kernel_name(call.kernel), other, got, n * 4);
}

static void product(struct job *j, int n_tile, bool bytes, int M, int N, int K)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d", M, N, K);
    const size_t n_a = (size_t)M * (size_t)K, n_b = (size_t)N * (size_t)K, n_c = (size_t)M * (size_t)N;
    float *a = job_host(j, n_a * 4), *b = job_host(j, n_b * 4), *want = job_host(j, n_c * 4);
    const float scale = bytes ? 0.25f : 1;
    const struct gpu_gemm p = { .a = operand(j, bytes, n_a, a), .b = operand(j, bytes, n_b, b), .c = poisoned(j, n_c), .M = M, .N = N, .K = K, .n_tile = n_tile, .e4m3 = bytes,
                                .scale = scale };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call = { 0 };
    j->rc = j->rc ? j->rc : gpu_gemm_call(j->g, j->stream, maps, &p, &call, &j->err);
    j->rc = j->rc ? j->rc : gpu_call_launch(j->g, j->stream, &call, &j->err);
    const char *name = j->rc ? "product" : gpu_kernel_name(call.kernel);
    const float *got = fetched(j, p.c, n_c);
    for (int m = 0; m < M && !j->rc; m++)
        for (int n = 0; n < N; n++) {
            double s = 0;
            for (int k = 0; k < K; k++)
                s += (double)a[(size_t)m * (size_t)K + (size_t)k] * (double)b[(size_t)n * (size_t)K + (size_t)k];
            want[(size_t)m * (size_t)N + (size_t)n] = (float)(s * (double)scale);
        }
    job_compare(j, name, got, want, n_c, ROUNDED);
    if (!j->rc && gpu_has(j->g, GPU_gemm_cdna3))
        floats(j, call, want, n_c);
    job_end(j, name);
}

/* ---- attention ---- */

struct lengths { int n, q[4], k[4]; };

/* One query of one head: out[d] and, given back, log sum exp. */
static double attend(const float *q, const float *k, const float *v, long ld, int n_key, int d, double scale, float *out, double *p)
{
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n_key; i++) {
        double s = 0;
        for (int c = 0; c < d; c++)
            s += (double)q[c] * (double)k[i * ld + c];
        p[i] = s * scale;
        top = fmax(top, p[i]);
    }
    for (int i = 0; i < n_key; i++)
        sum += p[i] = exp(p[i] - top);
    for (int c = 0; c < d; c++) {
        double s = 0;
        for (int i = 0; i < n_key; i++)
            s += p[i] * (double)v[i * ld + c];
        out[c] = n_key ? (float)(s / sum) : 0;
    }
    return n_key ? top + log(sum) : -INFINITY;
}

static void prefill(struct job *j, bool sm80, int d, int n_head, int n_kv_head, const struct lengths *l, bool causal)
{
    job_begin(j);
    int q_start[5] = { 0 }, k_start[5] = { 0 }, longest = 0, most = 1;
    for (int s = 0; s < l->n; s++) {
        q_start[s + 1] = q_start[s] + l->q[s], k_start[s + 1] = k_start[s] + l->k[s];
        longest = l->q[s] > longest ? l->q[s] : longest, most = l->k[s] > most ? l->k[s] : most;
    }
    const int T = q_start[l->n], S = k_start[l->n];
    snprintf(j->shape, sizeof j->shape, "%d sequences, up to %d x %d, heads %d / %d of %d%s", l->n, longest, most, n_head, n_kv_head, d, causal ? ", causal" : "");
    const size_t n_q = (size_t)T * (size_t)(n_head * d), n_kv = (size_t)S * (size_t)(n_kv_head * d), n_lse = (size_t)T * (size_t)n_head;
    float *q = job_host(j, n_q * 4), *k = job_host(j, n_kv * 4), *v = job_host(j, n_kv * 4), *want = job_host(j, n_q * 4), *lse = job_host(j, n_lse * 8);
    double *p = job_host(j, (size_t)most * sizeof *p);
    const float scale = 2 / sqrtf((float)d);
    const struct gpu_prefill a = { .q = operand(j, false, n_q, q), .k = operand(j, false, n_kv, k), .v = operand(j, false, n_kv, v), .o = poisoned(j, n_q),
                                   .lse = poisoned(j, 2 * n_lse), .q_start = job_upload(j, q_start, sizeof q_start), .k_start = job_upload(j, k_start, sizeof k_start),
                                   .n_seq = l->n, .longest = longest, .n_q = T, .n_k = S, .n_head = n_head, .n_kv_head = n_kv_head, .d = d, .causal = causal, .sm80 = sm80,
                                   .scale = scale };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call = { 0 };
    j->rc = j->rc ? j->rc : gpu_prefill_call(j->g, j->stream, maps, &a, &call, &j->err);
    j->rc = j->rc ? j->rc : gpu_call_launch(j->g, j->stream, &call, &j->err);
    const float *got = fetched(j, a.o, n_q);
    job_download(j, lse, a.lse, n_lse * 4);
    const long ld = (long)n_kv_head * d;
    for (int s = 0; s < l->n && !j->rc; s++)
        for (int i = 0; i < l->q[s]; i++)
            for (int h = 0; h < n_head; h++) {
                const int seen = causal ? i + 1 + l->k[s] - l->q[s] : l->k[s], n_key = seen < 0 ? 0 : seen < l->k[s] ? seen : l->k[s];
                const size_t at = (size_t)(q_start[s] + i) * (size_t)(n_head * d) + (size_t)(h * d), kv = (size_t)k_start[s] * (size_t)ld + (size_t)(h / (n_head / n_kv_head) * d);
                const size_t row = (size_t)h * (size_t)T + (size_t)(q_start[s] + i);
                lse[n_lse + row] = (float)attend(q + at, k + kv, v + kv, ld, n_key, d, (double)scale, want + at, p);
                if (lse[n_lse + row] == lse[row])
                    lse[n_lse + row] = lse[row] = 0;                  /* -inf both */
            }
    const char *name = j->rc ? "prefill" : gpu_kernel_name(call.kernel);
    /* The probabilities are rounded too, beside a sum of those that were not. */
    job_compare(j, name, got, want, n_q, 2 * ROUNDED);
    if (!j->rc) {
        char of[64];
        snprintf(of, sizeof of, "%s lse", name);
        job_compare(j, of, lse, lse + n_lse, n_lse, 1e-5);
    }
    job_end(j, name);
}

void check_hopper(struct job *j)
{
    static const struct lengths one = { 1, { 128 }, { 176 } }, some = { 4, { 100, 333, 1, 200 }, { 100, 400, 77, 40 } }, ends = { 3, { 1, 129, 5 }, { 1, 353, 1 } };
    static const int sizes[][3] = { { 1, 8, 16 }, { 128, 256, 64 }, { 129, 264, 80 }, { 300, 520, 1040 }, { 1000, 1160, 336 } };
    const bool sm90 = gpu_has(j->g, GPU_gemm_sm90) && gpu_calls(j->g)->tensor_map;
    /* Of gfx942: fewer than 128 bytes of K, two blocks of it, one and some; more tiles than dies and than a band is high. */
    static const int few[][4] = { { 256, 1, 8, 16 }, { 128, 129, 136, 144 }, { 256, 260, 264, 208 }, { 128, 1060, 136, 80 } };
    for (size_t i = 0; i < sizeof few / sizeof *few && gpu_has(j->g, GPU_gemm_cdna3); i++)
        for (int bytes = 0; bytes < (i < 3 ? 2 : 1); bytes++)
            product(j, few[i][0], bytes, few[i][1], few[i][2], few[i][3]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && sm90; i++) {
        product(j, 256, false, sizes[i][0], sizes[i][1], sizes[i][2]);
        product(j, 128, false, sizes[i][0], sizes[i][1], sizes[i][2]);
        product(j, 256, true, sizes[i][0], sizes[i][1], sizes[i][2]);
    }
    for (int sm80 = !sm90; sm80 < 2 && (gpu_has(j->g, GPU_attn_sm80_128) || gpu_has(j->g, GPU_attn_cdna3_128)); sm80++)
        for (int d = 64; d <= 128; d += 64)
            for (int causal = 0; causal < 2; causal++) {
                prefill(j, sm80, d, 1, 1, &one, causal);
                prefill(j, sm80, d, 4, 2, &some, causal);
                prefill(j, sm80, d, 2, 1, &ends, causal);
            }
}

/* ---- time ---- */

static void launch(struct job *j, int i, void *call)
{
    (void)i;
    j->rc = j->rc ? j->rc : gpu_call_launch(j->g, j->stream, call, &j->err);
}
/* Normal ones, as weights and activations nearly are: power follows the operands and the clock follows power, so that simpler numbers are multiplied up to a
 * sixth faster.  Of a pattern without a period that tiles share. */
static void *many(struct job *j, bool bytes, size_t n)
{
    const size_t period = ((size_t)1 << 20) - 48, size = bytes ? 1 : 2;
    float *f = job_host(j, period * sizeof *f);
    unsigned char *x = job_host(j, period * size);
    for (size_t i = 0; i < period && x; i++)
        f[i] = sqrtf(-logf((1.0f - job_random(j)) / 2) * 2) * cosf(3.14159265f * job_random(j));
    if (x)
        type_quantize(bytes ? TYPE_F8_E4M3 : TYPE_BF16, (int64_t)period, f, NULL, x);
    for (size_t i = 0; i < period && x && bytes; i++)
        x[i] = x[i] == 0x80 ? 0 : x[i];                   /* NaN in e4m3fnuz */
    return job_repeated(j, x, period * size, n * size);
}
static void time_product(struct job *j, bool bytes, int M, int N, int K)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d", M, N, K);
    const size_t n_a = (size_t)M * (size_t)K, n_b = (size_t)N * (size_t)K, n_c = (size_t)M * (size_t)N;
    const struct gpu_gemm p = { .a = many(j, bytes, n_a), .b = many(j, bytes, n_b), .c = job_device(j, n_c * 2), .M = M, .N = N, .K = K, .e4m3 = bytes, .scale = 1 };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call = { 0 };
    j->rc = j->rc ? j->rc : gpu_gemm_call(j->g, j->stream, maps, &p, &call, &j->err);
    job_time(j, "time", gpu_kernel_name(call.kernel), launch, &call, 1, (double)(n_a + n_b) * (bytes ? 1 : 2) + (double)n_c * 2, 2.0 * M * N * K);
    job_end(j, "product");
}
static void time_prefill(struct job *j, bool sm80, int d, int n_seq, int n_head, int n_kv_head, int n, bool causal)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d sequences of %d, heads %d / %d of %d%s", n_seq, n, n_head, n_kv_head, d, causal ? ", causal" : "");
    const size_t T = (size_t)n_seq * (size_t)n, n_q = T * (size_t)(n_head * d), n_kv = T * (size_t)(n_kv_head * d);
    int *start = job_host(j, ((size_t)n_seq + 1) * sizeof *start);
    for (int s = 0; s <= n_seq && start; s++)
        start[s] = s * n;
    int *const d_start = job_upload(j, start, ((size_t)n_seq + 1) * sizeof *start);
    const struct gpu_prefill a = { .q = many(j, false, n_q), .k = many(j, false, n_kv), .v = many(j, false, n_kv), .o = job_device(j, n_q * 2), .q_start = d_start, .k_start = d_start,
                                   .n_seq = n_seq,
                                   .longest = n, .n_q = (int)T, .n_k = (int)T, .n_head = n_head, .n_kv_head = n_kv_head, .d = d, .causal = causal, .sm80 = sm80,
                                   .scale = 2 / sqrtf((float)d) };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call = { 0 };
    j->rc = j->rc ? j->rc : gpu_prefill_call(j->g, j->stream, maps, &a, &call, &j->err);
    job_time(j, "time", gpu_kernel_name(call.kernel), launch, &call, 1, 4.0 * (double)(n_q + n_kv), (causal ? 2.0 : 4.0) * n * n * d * n_head * n_seq);
    job_end(j, "prefill");
}

void time_hopper(struct job *j)
{
    const bool sm90 = gpu_has(j->g, GPU_gemm_sm90) && gpu_calls(j->g)->tensor_map, cdna3 = gpu_has(j->g, GPU_gemm_cdna3);
    static const int sizes[][3] = { { 512, 4096, 4096 }, { 2048, 6144, 4096 }, { 4096, 4096, 4096 }, { 4096, 14336, 4096 }, { 8192, 8192, 8192 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && (sm90 || cdna3); i++)
        for (int bytes = 0; bytes < 2; bytes++)
            time_product(j, bytes, sizes[i][0], sizes[i][1], sizes[i][2]);
    for (int sm80 = !sm90; sm80 < 2 && (cdna3 || gpu_has(j->g, GPU_attn_sm80_128)); sm80++)
        for (int d = 128; d >= 64; d -= 64)
            for (int causal = 0; causal < 2; causal++) {
                time_prefill(j, sm80, d, 4, 32, 8, 2048, causal);
                time_prefill(j, sm80, d, 2, 16 * 128 / d, 16 * 128 / d, 8192, causal);
            }
}
