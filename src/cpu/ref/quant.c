/* quant.c - element types: their table, and from blocks to floats.  The products are rounded in ggml's order: scale times
 * scale first, then times the integer, then the minimum. */
#include "cpu/quant.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include <strings.h>

static const struct { const char *name; int ggml_id, block; size_t bytes; } table[N_CPU_TYPE] = {
#define TYPE(name, word, id, block, bytes) { word, id, block, bytes },
#include "cpu/types.def"
#undef TYPE
};

const char *type_name(enum cpu_type t) { return t < N_CPU_TYPE ? table[t].name : "no weight"; }
int type_block(enum cpu_type t) { return table[t].block; }
size_t type_block_bytes(enum cpu_type t) { return table[t].bytes; }
int type_ggml_id(enum cpu_type t) { return table[t].ggml_id; }

enum cpu_type type_of_ggml(uint32_t id)
{
    for (int t = 0; t < N_CPU_TYPE; t++)
        if (table[t].ggml_id >= 0 && (uint32_t)table[t].ggml_id == id)
            return (enum cpu_type)t;
    return N_CPU_TYPE;
}

enum cpu_type type_of_name(const char *word)
{
    for (int t = 0; t < N_CPU_TYPE; t++)
        if (!strcasecmp(table[t].name, word))
            return (enum cpu_type)t;
    return N_CPU_TYPE;
}

size_t type_bytes(enum cpu_type t, int64_t n)
{
    assert(n >= 0 && n % table[t].block == 0);
    return (size_t)(n / table[t].block) * table[t].bytes;
}

/* ---- numbers ---- */

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* The exponent's bias is 112 more in float; the product is exact, also for subnormal halves. */
float half_to_float(uint16_t h)
{
    uint32_t u = to_bits(from_bits((uint32_t)(h & 0x7FFF) << 13) * 0x1p112f);
    if ((h & 0x7C00) == 0x7C00)
        u |= 0x7F800000;
    return from_bits(u | (uint32_t)(h & 0x8000) << 16);
}

uint16_t float_to_half(float f)
{
    const uint32_t u = to_bits(f), a = u & 0x7FFFFFFF;
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (a > 0x7F800000)
        return sign | 0x7E00;
    if (a >= 0x477FF000)               /* 65520, half way to what would be the next value */
        return sign | 0x7C00;
    if (a < 0x38800000)                /* below 2^-14: adding 0.5 leaves the mantissa of the subnormal, rounded */
        return sign | (uint16_t)(to_bits(from_bits(a) + 0.5f) - to_bits(0.5f));
    return sign | (uint16_t)((a - (112u << 23) + 0xFFF + (a >> 13 & 1)) >> 13);
}

static float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return half_to_float(h);
}

static float float_at(const uint8_t *p)
{
    float f;
    memcpy(&f, p, sizeof f);
    return f;
}

/* 4 bits of exponent with bias 7, 3 of mantissa; all ones is NaN, there is no infinity. */
static float e4m3_to_float(uint8_t v)
{
    const int e = v >> 3 & 15, m = v & 7;
    const float f = (v & 0x7F) == 0x7F ? NAN : e ? ldexpf((float)(8 + m), e - 10) : ldexpf((float)m, -9);
    return v & 0x80 ? -f : f;
}

/* ---- blocks of 32 ---- */

static const int8_t nl_value[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const float mx_value[16] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6 };

static int nibble(const uint8_t *q, int j) { return j < 16 ? q[j] & 15 : q[j - 16] >> 4; }

static void q4_0(const uint8_t *b, float *y)
{
    const float d = half_at(b);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)(nibble(b + 2, j) - 8);
}

static void q4_1(const uint8_t *b, float *y)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)nibble(b + 4, j) + m;
}

static int five_bits(const uint8_t *high, const uint8_t *q, int j) { return nibble(q, j) | (high[j / 8] >> j % 8 & 1) << 4; }

static void q5_0(const uint8_t *b, float *y)
{
    const float d = half_at(b);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)(five_bits(b + 2, b + 6, j) - 16);
}

static void q5_1(const uint8_t *b, float *y)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)five_bits(b + 4, b + 8, j) + m;
}

static void q8_0(const uint8_t *b, float *y)
{
    const float d = half_at(b);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)(int8_t)b[2 + j];
}

static void iq4_nl(const uint8_t *b, float *y)
{
    const float d = half_at(b);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)nl_value[nibble(b + 2, j)];
}

/* The scale is a power of two, 255 is NaN.  ggml halves it and doubles the table, to the same values. */
static void mxfp4(const uint8_t *b, float *y)
{
    const float d = b[0] == 255 ? NAN : ldexpf(1, b[0] - 127);
    for (int j = 0; j < 32; j++)
        y[j] = d * mx_value[nibble(b + 1, j)];
}

static void q4_g(const uint8_t *b, float *y)
{
    const float d = float_at(b), m = float_at(b + 4);
    for (int j = 0; j < 32; j++)
        y[j] = d * (float)nibble(b + 8, j) + m;
}

/* ---- blocks of 256 ----
 * Element j of Q2_K and Q3_K is two bits of byte 32*(j/128) + j%32, at bit 2*(j/32%4); of Q4_K and Q5_K a nibble of byte
 * 32*(j/64) + j%32; of Q6_K a nibble of byte 64*(j/128) + j%64 and two bits of byte 32*(j/128) + j%32. */

static int two_bits(const uint8_t *q, int j) { return q[j / 128 * 32 + j % 32] >> 2 * (j / 32 % 4) & 3; }

/* scales[16] (low nibble: scale, high: minimum), q[64], d, dmin */
static void q2_k(const uint8_t *b, float *y)
{
    const float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int j = 0; j < 256; j++)
        y[j] = d * (float)(b[j / 16] & 15) * (float)two_bits(b + 16, j) - dmin * (float)(b[j / 16] >> 4);
}

/* Scale i < 16 of Q3_K, 6 bits less 32: low nibbles in bytes 0-7, two high bits in bytes 8-11. */
static int scale3(const uint8_t *s, int i) { return ((s[i % 8] >> i / 8 * 4 & 15) | (s[8 + i % 4] >> i / 4 * 2 & 3) << 4) - 32; }

/* hmask[32] (bit j/32 of byte j%32; when it is 0, 4 is subtracted), q[64], scales[12], d */
static void q3_k(const uint8_t *b, float *y)
{
    const float d = half_at(b + 108);
    for (int j = 0; j < 256; j++) {
        const int q = two_bits(b + 32, j) - (b[j % 32] >> j / 32 & 1 ? 0 : 4);
        y[j] = d * (float)scale3(b + 96, j / 16) * (float)q;
    }
}

/* Scale and minimum i < 8 of Q4_K and Q5_K, 6 bits each in 12 bytes. */
static void scale_min(const uint8_t *s, int i, int *scale, int *min)
{
    *scale = i < 4 ? s[i] & 63 : (s[i + 4] & 15) | (s[i - 4] >> 6) << 4;
    *min = i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | (s[i] >> 6) << 4;
}

static int nibble64(const uint8_t *q, int j) { return q[j / 64 * 32 + j % 32] >> j / 32 % 2 * 4 & 15; }

/* d, dmin, scales[12], q[128] */
static void q4_k(const uint8_t *b, float *y)
{
    const float d = half_at(b), dmin = half_at(b + 2);
    int scale = 0, min = 0;
    for (int j = 0; j < 256; j++) {
        if (j % 32 == 0)
            scale_min(b + 4, j / 32, &scale, &min);
        y[j] = d * (float)scale * (float)nibble64(b + 16, j) - dmin * (float)min;
    }
}

/* d, dmin, scales[12], high[32] (bit j/32 of byte j%32), q[128] */
static void q5_k(const uint8_t *b, float *y)
{
    const float d = half_at(b), dmin = half_at(b + 2);
    int scale = 0, min = 0;
    for (int j = 0; j < 256; j++) {
        if (j % 32 == 0)
            scale_min(b + 4, j / 32, &scale, &min);
        const int q = nibble64(b + 48, j) | (b[16 + j % 32] >> j / 32 & 1) << 4;
        y[j] = d * (float)scale * (float)q - dmin * (float)min;
    }
}

/* low[128], high[64], i8 scales[16], d */
static void q6_k(const uint8_t *b, float *y)
{
    const float d = half_at(b + 208);
    for (int j = 0; j < 256; j++) {
        const int low = b[j / 128 * 64 + j % 64] >> j / 64 % 2 * 4 & 15, high = two_bits(b + 128, j);
        y[j] = d * (float)(int8_t)b[192 + j / 16] * (float)((low | high << 4) - 32);
    }
}

/* ---- any type ---- */

static void from_halves(int64_t n, const uint8_t *p, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = half_at(p + 2 * i);
}

static void from_bf16(int64_t n, const uint8_t *p, float *y)
{
    uint16_t h;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&h, p + 2 * i, sizeof h);
        y[i] = from_bits((uint32_t)h << 16);
    }
}

static void from_fp8(enum cpu_type t, int64_t n, const uint8_t *p, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = t == TYPE_F8_E4M3 ? e4m3_to_float(p[i]) : half_to_float((uint16_t)(p[i] << 8));
}

void type_dequantize(enum cpu_type t, int64_t n, const void *src, float *y)
{
    static void (*const block[N_CPU_TYPE])(const uint8_t *, float *) = {
        [TYPE_Q4_0] = q4_0, [TYPE_Q4_1] = q4_1, [TYPE_Q5_0] = q5_0, [TYPE_Q5_1] = q5_1, [TYPE_Q8_0] = q8_0, [TYPE_Q2_K] = q2_k,
        [TYPE_Q3_K] = q3_k, [TYPE_Q4_K] = q4_k, [TYPE_Q5_K] = q5_k, [TYPE_Q6_K] = q6_k, [TYPE_IQ4_NL] = iq4_nl, [TYPE_MXFP4] = mxfp4,
        [TYPE_Q4_G] = q4_g,
    };
    assert(t < N_CPU_TYPE && n >= 0 && n % table[t].block == 0);
    const uint8_t *p = src;
    switch (t) {
    case TYPE_F32:
        if (n)
            memcpy(y, src, (size_t)n * sizeof *y);
        return;
    case TYPE_F16: from_halves(n, p, y); return;
    case TYPE_BF16: from_bf16(n, p, y); return;
    case TYPE_F8_E4M3:
    case TYPE_F8_E5M2: from_fp8(t, n, p, y); return;
    default:
        for (int64_t i = 0; i < n / table[t].block; i++)
            block[t](p + (size_t)i * table[t].bytes, y + i * table[t].block);
    }
}
