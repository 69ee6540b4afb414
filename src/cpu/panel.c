/* panel.c - sizes of panels and of quantised activations. */
#include "cpu/kernels.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static const struct { const char *name; int k; size_t bytes; } panels[N_PANEL_TYPE] = {
#define PANEL_TYPE(name, k, bytes, what) { #name, k, bytes },
#include "cpu/panels.def"
#undef PANEL_TYPE
};

const char *panel_name(enum panel_type t) { return panels[t].name; }
int panel_record(enum panel_type t) { return panels[t].k; }
size_t panel_record_bytes(enum panel_type t) { return panels[t].bytes; }

enum panel_type panel_of(enum cpu_type t)
{
    switch (t) {
    case TYPE_F32: return PANEL_F32;
    case TYPE_F16: return PANEL_F16;
    case TYPE_BF16: return PANEL_BF16;
    case TYPE_F8_E4M3: return PANEL_BF16;      /* both have fewer bits of mantissa and exponent than bf16 */
    case TYPE_F8_E5M2: return PANEL_BF16;
    case TYPE_Q8_0: return PANEL_Q8;
    case TYPE_Q5_0: return PANEL_Q8;
    case TYPE_Q5_1: return PANEL_Q8_M;
    case TYPE_Q4_0: return PANEL_Q4;
    case TYPE_Q4_1: return PANEL_Q4_M;
    case TYPE_Q4_G: return PANEL_Q4_G;
    case TYPE_IQ4_NL: return PANEL_IQ4;
    case TYPE_MXFP4: return PANEL_MX4;
    case TYPE_Q2_K: return PANEL_Q2_K;
    case TYPE_Q3_K: return PANEL_Q3_K;
    case TYPE_Q4_K: return PANEL_Q4_K;
    case TYPE_Q5_K: return PANEL_Q5_K;
    case TYPE_Q6_K: return PANEL_Q6_K;
    case N_CPU_TYPE: break;
    }
    assert(!"a type that no file holds");
    return N_PANEL_TYPE;
}

size_t panel_stride(enum panel_type t, int64_t K)
{
    assert(K >= 0);
    return (size_t)((K + panels[t].k - 1) / panels[t].k) * panels[t].bytes;
}

size_t panel_bytes(enum panel_type t, int64_t K, int64_t N)
{
    assert(N >= 0);
    return (size_t)((N + PANEL - 1) / PANEL) * panel_stride(t, K);
}

size_t a8_at(int64_t k)
{
    assert(k >= 0 && k % 64 == 0);
    return (size_t)(k / A8_BLOCK) * A8_BLOCK_BYTES;
}

void a8_rest(int64_t K, const float *x, const void *row, void *rest)
{
    const char *first = row;
    char *out = rest;
    for (int64_t k = 0; k < (K + 63) / 64 * 64; k += A8_BLOCK, first += A8_BLOCK_BYTES, out += A8_BLOCK_BYTES) {
        float d;
        memcpy(&d, first + A8_BLOCK, sizeof d);
        const float inverse = d > 0 ? 256 / d : 0;                      /* nothing of 0 and NaN */
        int32_t sum[2] = { 0 };
        for (int i = 0; i < A8_BLOCK; i++) {
            const long q = k + i < K && inverse > 0 ? lrintf((x[k + i] - d * (float)(int8_t)first[i]) * inverse) : 0;
            out[i] = (char)(q > 127 ? 127 : q < -127 ? -127 : q);
            sum[i / 16] += (int8_t)out[i];
        }
        const float d_rest = d / 256, s = d_rest * (float)(sum[0] + sum[1]);
        const int32_t start[2] = { -128 * (sum[0] + sum[1]), -128 * sum[0] };
        memcpy(out + A8_BLOCK, &d_rest, sizeof d_rest);
        memcpy(out + A8_BLOCK + 4, &s, sizeof s);
        memcpy(out + A8_BLOCK + 8, start, sizeof start);
    }
}

void a8_read(const void *row, int64_t k0, int n, float *x)
{
    assert(k0 >= 0 && k0 % A8_BLOCK == 0);
    for (int i = 0; i < n; i++) {
        const char *block = (const char *)row + (size_t)((k0 + i) / A8_BLOCK) * A8_BLOCK_BYTES;
        float d;
        memcpy(&d, block + A8_BLOCK, sizeof d);
        x[i] = d * (float)(int8_t)block[i % A8_BLOCK];
    }
}

size_t a8_row_bytes(int64_t K)
{
    assert(K >= 0);
    const size_t lines = ((size_t)(K + 63) / 64 * 2 * A8_BLOCK_BYTES + 63) / 64;
    return (lines | 1) * 64;
}
