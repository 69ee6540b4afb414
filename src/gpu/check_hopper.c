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

/* Of training: operands by rows (0), b (1) or both (2) by columns; gap: numbers between a's rows then; c floats, with what is added, or bf16. */
static void training(struct job *j, int cols, int M, int N, int K, int gap, bool add, bool bias, bool c16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d%s%s%s", M, N, K, add ? ", added" : "", bias ? ", bias" : "", c16 ? ", to bf16" : "");
    const bool a_cols = cols == 2, b_cols = cols > 0;
    const size_t m = (size_t)M, n = (size_t)N, k_all = (size_t)K, ld_a = a_cols ? m + (size_t)gap : k_all, n_a = a_cols ? k_all * ld_a : m * k_all, n_c = m * n, n_work = gpu_product_work(M, N, K);
    float *a = job_host(j, n_a * 4), *b = job_host(j, n * k_all * 4), *want = job_host(j, n_c * 4), *old = job_floats(j, n_c), *more = job_floats(j, n), *got = c16 ? NULL : job_host(j, n_c * 4);
    struct gpu_product p = { .a = operand(j, false, n_a, a), .b = operand(j, false, n * k_all, b), .bias = bias ? job_upload(j, more, n * 4) : NULL, .M = M, .N = N, .K = K,
                             .ld_a = a_cols ? (int)ld_a : 0, .a_cols = a_cols, .b_cols = b_cols, .work = n_work ? job_device(j, n_work) : NULL };
    if (c16)
        p.c16 = poisoned(j, n_c);
    else
        p.c = job_upload(j, old, n_c * 4), p.add = add ? p.c : NULL;
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call = { 0 };
    j->rc = j->rc ? j->rc : gpu_product_call(j->g, j->stream, maps, &p, &call, &j->err);
    j->rc = j->rc ? j->rc : gpu_call_launch(j->g, j->stream, &call, &j->err);
    const char *name = j->rc ? "product" : gpu_kernel_name(call.kernel);
    if (c16)
        got = fetched(j, p.c16, n_c);
    else
        job_download(j, got, p.c, n_c * 4);
    for (size_t i = 0; i < m && !j->rc; i++)
        for (size_t c = 0; c < n; c++) {
            double s = (add ? (double)old[i * n + c] : 0) + (bias ? (double)more[c] : 0);
            for (size_t k = 0; k < k_all; k++)
                s += (double)a[a_cols ? k * ld_a + i : i * k_all + k] * (double)b[b_cols ? k * n + c : c * k_all + k];
            want[i * n + c] = (float)s;
        }
    job_compare(j, name, got, want, n_c, c16 ? ROUNDED : fmax(1e-6, K * 0x1p-24 / 32));
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

/* Backward, by sums in double: the slopes by queries, keys and values, probabilities and their slopes rounded to bf16 on the device alone. */
static void backward(struct job *j, int n_head, int n_kv_head, const struct lengths *l, bool causal, bool to16)
{
    enum { D = 64 };
    job_begin(j);
    int start[5] = { 0 }, longest = 0;
    for (int s = 0; s < l->n; s++) {
        start[s + 1] = start[s] + l->q[s];
        longest = l->q[s] > longest ? l->q[s] : longest;
    }
    const int T = start[l->n], heads = n_head + 2 * n_kv_head, ld = heads * D, group = n_head / n_kv_head;
    snprintf(j->shape, sizeof j->shape, "%d sequences, up to %d, heads %d / %d of %d%s%s", l->n, longest, n_head, n_kv_head, D, causal ? ", causal" : "", to16 ? ", to bf16" : "");
    const size_t n = (size_t)T * (size_t)ld, n_o = (size_t)T * (size_t)(n_head * D), n_lse = (size_t)T * (size_t)n_head;
    float *x = job_host(j, n * 4), *d_o = job_host(j, n_o * 4), *lse = job_host(j, n_lse * 4), *delta = job_host(j, n_lse * 4), *got = to16 ? NULL : job_host(j, n * 4);
    double *want = job_host(j, n * sizeof *want), *p = job_host(j, (size_t)longest * sizeof *p);
    float *want32 = job_host(j, n * 4);
    const void *qkv = operand(j, false, n, x), *g16 = operand(j, false, n_o, d_o);
    const float scale = 0.25f;
    for (int s = 0; s < l->n && !j->rc; s++)
        for (int i = start[s]; i < start[s + 1]; i++)
            for (int h = 0; h < n_head; h++) {
                const int end = causal ? i + 1 : start[s + 1], k0 = (n_head + h / group) * D, v0 = k0 + n_kv_head * D;
                const float *q = x + (size_t)i * (size_t)ld + (size_t)(h * D), *g = d_o + ((size_t)i * (size_t)n_head + (size_t)h) * D;
                double top = -INFINITY, sum = 0, dot = 0;
                for (int k = start[s]; k < end; k++) {
                    double v = 0;
                    for (int c = 0; c < D; c++)
                        v += (double)q[c] * (double)x[(size_t)k * (size_t)ld + (size_t)(k0 + c)];
                    p[k - start[s]] = v * (double)scale, top = fmax(top, v * (double)scale);
                }
                for (int k = start[s]; k < end; k++)
                    sum += exp(p[k - start[s]] - top);
                lse[(size_t)h * (size_t)T + (size_t)i] = (float)(top + log(sum));
                for (int turn = 0; turn < 2; turn++)
                    for (int k = start[s]; k < end; k++) {
                        const float *key = x + (size_t)k * (size_t)ld + (size_t)k0, *value = x + (size_t)k * (size_t)ld + (size_t)v0;
                        const double w = exp(p[k - start[s]] - top) / sum;
                        double dp = 0;
                        for (int c = 0; c < D; c++)
                            dp += (double)g[c] * (double)value[c];
                        dot += turn ? 0 : w * dp;
                        for (int c = 0; c < D && turn; c++) {
                            want[(size_t)i * (size_t)ld + (size_t)(h * D + c)] += w * (dp - dot) * (double)scale * (double)key[c];
                            want[(size_t)k * (size_t)ld + (size_t)(k0 + c)] += w * (dp - dot) * (double)scale * (double)q[c];
                            want[(size_t)k * (size_t)ld + (size_t)(v0 + c)] += w * (double)g[c];
                        }
                    }
                delta[(size_t)h * (size_t)T + (size_t)i] = (float)dot;
            }
    for (size_t i = 0; i < n && want32 && want; i++)
        want32[i] = (float)want[i];
    const struct gpu_attn_back a = { .qkv = qkv, .d_o = g16, .lse = job_upload(j, lse, n_lse * 4), .delta = job_upload(j, delta, n_lse * 4), .dqkv = to16 ? NULL : poisoned(j, 2 * n),
                                     .d16 = to16 ? poisoned(j, n) : NULL, .start = job_upload(j, start, sizeof start), .n_seq = l->n, .longest = longest, .n_row = T, .n_head = n_head,
                                     .n_kv_head = n_kv_head, .causal = causal, .scale = scale };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call[2] = { { 0 } };
    j->rc = j->rc ? j->rc : gpu_attn_back_call(j->g, j->stream, maps, &a, call, &j->err);
    for (int i = 0; i < 2 && !j->rc; i++)
        j->rc = gpu_call_launch(j->g, j->stream, &call[i], &j->err);
    if (to16)
        got = fetched(j, a.d16, n);
    else
        job_download(j, got, a.dqkv, n * 4);
    /* dq, then dk and dv, each as one. */
    for (int part = 0; part < 2 && !j->rc; part++) {
        const size_t first = part ? (size_t)(n_head * D) : 0, width = part ? (size_t)(2 * n_kv_head * D) : (size_t)(n_head * D);
        float *u = job_host(j, (size_t)T * width * 4), *v = job_host(j, (size_t)T * width * 4);
        for (size_t t = 0; t < (size_t)T && u && v; t++) {
            memcpy(u + t * width, got + t * (size_t)ld + first, width * 4);
            memcpy(v + t * width, want32 + t * (size_t)ld + first, width * 4);
        }
        job_compare(j, gpu_kernel_name(call[part].kernel), u, v, (size_t)T * width, 2 * ROUNDED);
    }
    job_end(j, "attn_back_sm90");
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
    for (int cols = 0; cols < 3 && gpu_product_can(j->g); cols++) {
        training(j, cols, 1, 8, 16, 7, true, true, false);
        training(j, cols, 128, 256, 64, 0, false, false, false);
        training(j, cols, 132, 264, cols == 2 ? 81 : 80, 4, true, false, false);
        training(j, cols, 300, 264, 1040, 4, true, true, false);           /* by columns in two runs */
        if (cols < 2)
            training(j, cols, 129, 264, 80, 0, false, true, true);
    }
    static const struct lengths few_back = { 1, { 64 }, { 0 } }, some_back = { 4, { 100, 1, 257, 30 }, { 0 } };
    for (int causal = 0; causal < 2 && gpu_attn_back_can(j->g); causal++) {
        backward(j, 1, 1, &few_back, causal, false);
        backward(j, 4, 2, &some_back, causal, causal);
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
/* A layer of GPT-2 124M, 16 x 1024 tokens: y, dx and dw of a weight of N x K. */
static void time_training(struct job *j, int cols, int N, int K)
{
    const int T = 16384, M_ = cols == 2 ? N : T, N_ = cols ? K : N, K_ = cols == 0 ? K : cols == 1 ? N : T;
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "M %d, N %d, K %d", M_, N_, K_);
    const size_t n_a = (size_t)M_ * (size_t)K_, n_b = (size_t)N_ * (size_t)K_, n_c = (size_t)M_ * (size_t)N_;
    const struct gpu_product p = { .a = many(j, false, n_a), .b = many(j, false, n_b), .c = job_device(j, n_c * 4), .work = job_device(j, gpu_product_work(M_, N_, K_) + 16), .M = M_, .N = N_,
                                   .K = K_, .a_cols = cols == 2, .b_cols = cols > 0 };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call = { 0 };
    j->rc = j->rc ? j->rc : gpu_product_call(j->g, j->stream, maps, &p, &call, &j->err);
    job_time(j, "time", gpu_kernel_name(call.kernel), launch, &call, 1, (double)(n_a + n_b) * 2 + (double)n_c * 4, 2.0 * M_ * N_ * K_);
    job_end(j, "product");
}
/* GPT-2 124M's attention, both passes, 16 x 1024 tokens. */
static void time_back(struct job *j, int n_seq, int n_head, int n)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d sequences of %d, heads %d / %d of 64, causal", n_seq, n, n_head, n_head);
    const size_t T = (size_t)n_seq * (size_t)n, n_o = T * (size_t)(n_head * 64), n_lse = T * (size_t)n_head;
    int *start = job_host(j, ((size_t)n_seq + 1) * sizeof *start);
    for (int s = 0; s <= n_seq && start; s++)
        start[s] = s * n;
    const struct gpu_attn_back a = { .qkv = many(j, false, 3 * n_o), .d_o = many(j, false, n_o), .lse = job_device(j, n_lse * 4), .delta = job_device(j, n_lse * 4), .d16 = job_device(j, 3 * n_o * 2),
                                     .start = job_upload(j, start, ((size_t)n_seq + 1) * sizeof *start), .n_seq = n_seq, .longest = n, .n_row = (int)T, .n_head = n_head, .n_kv_head = n_head,
                                     .causal = true, .scale = 0.125f };
    void *maps = job_device(j, GPU_MAPS_BYTES);
    struct gpu_call call[2] = { { 0 } };
    j->rc = j->rc ? j->rc : gpu_attn_back_call(j->g, j->stream, maps, &a, call, &j->err);
    for (int i = 0; i < 2 && !j->rc; i++)
        job_time(j, "time", gpu_kernel_name(call[i].kernel), launch, &call[i], 1, (double)n_o * (i ? 12 : 10), (i ? 4.0 : 3.0) * n * n * 64 * n_head * n_seq);
    job_end(j, "attn_back_sm90");
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
    static const int layers[][2] = { { 2304, 768 }, { 768, 768 }, { 3072, 768 }, { 768, 3072 }, { 50304, 768 } };
    for (size_t i = 0; i < sizeof layers / sizeof *layers && gpu_product_can(j->g); i++)
        for (int cols = 0; cols < 3; cols++)
            time_training(j, cols, layers[i][0], layers[i][1]);
    if (gpu_attn_back_can(j->g))
        time_back(j, 16, 12, 1024);
    for (int sm80 = !sm90; sm80 < 2 && (cdna3 || gpu_has(j->g, GPU_attn_sm80_128)); sm80++)
        for (int d = 128; d >= 64; d -= 64)
            for (int causal = 0; causal < 2; causal++) {
                time_prefill(j, sm80, d, 4, 32, 8, 2048, causal);
                time_prefill(j, sm80, d, 2, 16 * 128 / d, 16 * 128 / d, 8192, causal);
            }
}
