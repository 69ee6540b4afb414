/* panel.c - packing, quantised activations and products with packed weights as they are defined.
 *
 * Packing moves integers and scales of a block to their places and rounds nothing; all levels use it.  The product decodes a
 * column of a record to doubles and sums in double. */
#include "cpu/kernels.h"
#include "cpu/ref/bf16.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static uint16_t u16_at(const uint8_t *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static uint32_t u32_at(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static float f32_at(const uint8_t *p) { float v; memcpy(&v, p, sizeof v); return v; }
static float half_at(const uint8_t *p) { return half_to_float(u16_at(p)); }
static void put_u16(uint8_t *p, uint16_t v) { memcpy(p, &v, sizeof v); }
static void put_u32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof v); }
static void put_f32(uint8_t *p, float v) { memcpy(p, &v, sizeof v); }

/* ---- packing: quants of 32 elements of one row ---- */

static void put_8(uint8_t *out, int row, const uint8_t q[32])
{
    for (int i = 0; i < 8; i++)
        memcpy(out + i * 64 + row * 4, q + i * 4, 4);
}

/* q: one value of 0 .. 15 a byte. */
static void put_4(uint8_t *out, int row, const uint8_t q[32])
{
    for (int i = 0; i < 4; i++)
        put_u32(out + i * 64 + row * 4, u32_at(q + i * 4) | u32_at(q + 16 + i * 4) << 4);
}

/* Nibbles that lie as the panel wants them: element j and j + 16 in byte j. */
static void put_nibbles(uint8_t *out, int row, const uint8_t *src)
{
    for (int i = 0; i < 4; i++)
        memcpy(out + i * 64 + row * 4, src + i * 4, 4);
}

/* Nibbles and their fifth bits, one value a byte. */
static void five_bits(uint8_t q[32], const uint8_t *high, const uint8_t *src)
{
    const uint32_t h = u32_at(high);
    for (int j = 0; j < 16; j++) {
        q[j] = (uint8_t)((src[j] & 15) | (h >> j & 1) << 4);
        q[j + 16] = (uint8_t)(src[j] >> 4 | (h >> (j + 16) & 1) << 4);
    }
}

/* ---- packing: block h (0, 1) of a record of 64, one row ---- */

static void put_block(enum cpu_type t, uint8_t *out, int h, int row, const uint8_t *b)
{
    uint8_t q[32];
    uint8_t *d = out + h * 32 + row * 2, *m = d + 64;
    if (t != TYPE_Q4_G && t != TYPE_MXFP4)
        put_u16(d, u16_at(b));
    switch (t) {
    case TYPE_Q8_0:
        for (int j = 0; j < 32; j++)
            q[j] = b[2 + j] ^ 0x80;
        put_8(out + 64 + h * 512, row, q);
        break;
    case TYPE_Q5_0:
        five_bits(q, b + 2, b + 6);
        for (int j = 0; j < 32; j++)
            q[j] = (uint8_t)(q[j] + 128 - 16);
        put_8(out + 64 + h * 512, row, q);
        break;
    case TYPE_Q5_1:
        five_bits(q, b + 4, b + 8);
        put_u16(m, u16_at(b + 2));
        put_8(out + 128 + h * 512, row, q);
        break;
    case TYPE_Q4_1:
        put_u16(m, u16_at(b + 2));
        put_nibbles(out + 128 + h * 256, row, b + 4);
        break;
    case TYPE_Q4_G:
        put_u32(out + h * 64 + row * 4, u32_at(b));
        put_u32(out + 128 + h * 64 + row * 4, u32_at(b + 4));
        put_nibbles(out + 256 + h * 256, row, b + 8);
        break;
    case TYPE_MXFP4:                             /* 2^(e-128) as bf16; the two smallest are subnormal */
        put_u16(d, b[0] >= 2 ? (uint16_t)((b[0] - 1) << 7) : (uint16_t)(0x20 << b[0]));
        put_nibbles(out + 64 + h * 256, row, b + 1);
        break;
    default:                                     /* Q4_0, IQ4_NL */
        put_nibbles(out + 64 + h * 256, row, b + 2);
    }
}

/* ---- packing: a record of 256, one row.  quants[] is where the 4 bits of the record begin ---- */

static void put_2_k(uint8_t *out, int row, const uint8_t *b)
{
    uint8_t q[32];
    put_u16(out + row * 2, u16_at(b + 80));
    put_u16(out + 32 + row * 2, u16_at(b + 82));
    for (int i = 0; i < 16; i++)
        out[64 + i * 16 + row] = b[i];
    for (int s = 0; s < 8; s++) {
        for (int j = 0; j < 32; j++)
            q[j] = b[16 + s / 4 * 32 + j] >> s % 4 * 2 & 3;
        put_4(out + 320 + s * 256, row, q);
    }
}

static void put_3_k(uint8_t *out, int row, const uint8_t *b)
{
    uint8_t q[32];
    const uint8_t *high = b, *low = b + 32, *scale = b + 96;
    put_f32(out + row * 4, half_at(b + 108));
    for (int i = 0; i < 16; i++)                 /* 4 low bits in 8 bytes, 2 high bits in 4 */
        out[64 + i * 16 + row] = (uint8_t)(((scale[i % 8] >> i / 8 * 4 & 15) | (scale[8 + i % 4] >> i / 4 * 2 & 3) << 4) - 32);
    for (int s = 0; s < 8; s++) {
        for (int j = 0; j < 32; j++)             /* -4 .. 3, stored with 8 added */
            q[j] = (uint8_t)((low[s / 4 * 32 + j] >> s % 4 * 2 & 3) + (high[j] >> s & 1) * 4 + 4);
        put_4(out + 320 + s * 256, row, q);
    }
}

static void put_4_k(uint8_t *out, int row, const uint8_t *b, const uint8_t *quants)
{
    uint8_t q[32];
    put_u16(out + row * 2, u16_at(b));
    put_u16(out + 32 + row * 2, u16_at(b + 2));
    for (int i = 0; i < 3; i++)
        put_u32(out + 64 + i * 64 + row * 4, u32_at(b + 4 + i * 4));
    for (int s = 0; s < 8; s++) {
        for (int j = 0; j < 32; j++)
            q[j] = quants[s / 2 * 32 + j] >> s % 2 * 4 & 15;
        put_4(out + 256 + s * 256, row, q);
    }
}

static void put_5_k(uint8_t *out, int row, const uint8_t *b)
{
    const uint8_t *high = b + 16;
    put_4_k(out, row, b, b + 48);
    for (int s = 0; s < 8; s++) {
        uint32_t bits = 0;
        for (int k = 0; k < 32; k++)
            bits |= (uint32_t)(high[k] >> s & 1) << (8 * (k % 4) + k / 4);
        put_u32(out + 256 + 2048 + s * 64 + row * 4, bits);
    }
}

static void put_6_k(uint8_t *out, int row, const uint8_t *b)
{
    uint8_t q[32];
    const uint8_t *low = b, *high = b + 128, *scale = b + 192;
    put_f32(out + row * 4, half_at(b + 208));
    for (int i = 0; i < 16; i++)
        out[64 + i * 16 + row] = scale[i];
    for (int s = 0; s < 8; s++) {
        const uint8_t *l = low + s / 4 * 64 + s % 2 * 32, *h = high + s / 4 * 32;
        uint32_t bits[2] = { 0, 0 };
        for (int k = 0; k < 32; k++) {
            q[k] = l[k] >> s % 4 / 2 * 4 & 15;
            bits[k / 16] |= (uint32_t)(h[k] >> s % 4 * 2 & 3) << (8 * (k % 4) + 2 * (k % 16 / 4));
        }
        put_4(out + 320 + s * 256, row, q);
        put_u32(out + 320 + 2048 + s * 128 + row * 4, bits[0]);
        put_u32(out + 320 + 2048 + s * 128 + 64 + row * 4, bits[1]);
    }
}

/* ---- packing: rows of a type ---- */

/* Words of 16 rows (or fewer) into the order of the panel: a panel of floats, or of pairs of bf16, by 4 bytes, one of halves by 2.
 * Tile by tile, so that what is written is in the cache until its last row. */
static void put_words(uint8_t *out, const uint8_t *src, size_t stride, int n_row, int64_t n_word, const size_t size)
{
    for (int64_t k = 0; k < n_word; k += 16)
        for (int row = 0; row < n_row; row++) {
            const uint8_t *from = src + (size_t)row * stride + (size_t)k * size;
            uint8_t *to = out + ((size_t)k * PANEL + (size_t)row) * size;
            for (int i = 0, n = n_word - k < 16 ? (int)(n_word - k) : 16; i < n; i++)
                memcpy(to + (size_t)i * PANEL * size, from + (size_t)i * size, size);
        }
}

/* Rows of single elements; what lies past the rows and past K is zero already. */
static void put_plain(const struct panel_pack *p, uint8_t *out, int n_row, const uint8_t *src)
{
    if (p->type == TYPE_F32) {
        put_words(out, src, p->stride, n_row, p->K, 4);
    } else if (p->type == TYPE_F16) {
        put_words(out, src, p->stride, n_row, p->K, 2);
    } else if (p->type == TYPE_BF16) {
        put_words(out, src, p->stride, n_row, p->K / 2, 4);
        for (int row = 0; p->K % 2 && row < n_row; row++)
            put_u16(out + (size_t)(p->K / 2) * 64 + (size_t)row * 4, u16_at(src + (size_t)row * p->stride + (size_t)(p->K - 1) * 2));
    } else {
        for (int row = 0; row < n_row; row++)
            for (int k = 0; k < p->K; k++) {
                float f;
                type_dequantize(p->type, 1, src + (size_t)row * p->stride + k, &f);
                put_u16(out + (size_t)(k / 2) * 64 + (size_t)row * 4 + (size_t)(k % 2) * 2, bf16_of((real)f));
            }
    }
}

/* Block i of each row.  Record by record, so that what is written is in the cache until its last row. */
static void put_blocks(const struct panel_pack *p, uint8_t *out, int n_row, const uint8_t *src)
{
    const int n = type_block(p->type);
    const size_t bytes = type_block_bytes(p->type), record = panel_record_bytes(panel_of(p->type));
    for (int i = 0; i < p->K / n; i++, src += bytes) {
        uint8_t *at = out + (size_t)(i / (n == 32 ? 2 : 1)) * record;
        for (int row = 0; row < n_row; row++) {
            const uint8_t *b = src + (size_t)row * p->stride;
            switch (p->type) {
            case TYPE_Q2_K: put_2_k(at, row, b); break;
            case TYPE_Q3_K: put_3_k(at, row, b); break;
            case TYPE_Q4_K: put_4_k(at, row, b, b + 16); break;
            case TYPE_Q5_K: put_5_k(at, row, b); break;
            case TYPE_Q6_K: put_6_k(at, row, b); break;
            default: put_block(p->type, at, i % 2, row, b);
            }
        }
    }
}

static void pack_panels(const struct panel_pack *p)
{
    assert(p->K % type_block(p->type) == 0);
    const size_t panel = panel_stride(panel_of(p->type), p->K);
    for (int n0 = 0; n0 < p->N; n0 += PANEL) {
        uint8_t *out = (uint8_t *)p->out + (size_t)(n0 / PANEL) * panel;
        const uint8_t *src = (const uint8_t *)p->src + (size_t)n0 * p->stride;
        const int n_row = p->N - n0 < PANEL ? p->N - n0 : PANEL;
        if (n_row < PANEL || p->K % 64)
            memset(out, 0, panel);
        (type_block(p->type) == 1 ? put_plain : put_blocks)(p, out, n_row, src);
    }
}

/* ---- activations ---- */

/* q, d, s, starts of 32 elements; n of x are there. */
static void quantize_block(const float *x, int n, uint8_t *out)
{
    uint32_t max = 0;                            /* as bits: NaN is above infinity is above all numbers */
    for (int i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i, sizeof u);
        u &= 0x7fffffff;
        max = u > max ? u : max;
    }
    float amax;
    memcpy(&amax, &max, sizeof amax);
    const bool finite = max < 0x7f800000, some = finite && amax >= 1e-30f;
    const float inverse = some ? 127.0f / amax : 0, d = !finite ? NAN : some ? amax / 127.0f : 0;
    int sum[2] = { 0, 0 };
    for (int i = 0; i < 32; i++) {
        const int q = i < n && some ? (int)nearbyintf(x[i] * inverse) : 0;
        out[i] = (uint8_t)q;
        sum[i / 16] += q;
    }
    const int32_t start = -128 * (sum[0] + sum[1]), start_low = -128 * sum[0];
    put_f32(out + 32, d);
    put_f32(out + 36, d * (float)(sum[0] + sum[1]));
    put_u32(out + 40, (uint32_t)start);
    put_u32(out + 44, (uint32_t)start_low);
}

static void quantize_a8(const struct a8 *p)
{
    for (int m = 0; m < p->M; m++)
        for (int k = 0; k < (p->K + 63) / 64 * 64; k += A8_BLOCK)
            quantize_block(p->x + m * p->ld_x + k, p->K - k < 0 ? 0 : p->K - k < 32 ? p->K - k : 32,
                           (uint8_t *)p->out + (size_t)m * p->stride + (size_t)(k / A8_BLOCK) * A8_BLOCK_BYTES);
}

/* ---- products ---- */

static const int8_t iq4_table[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const int8_t mx4_table[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

static int at_8(const uint8_t *quants, int row, int k) { return quants[k / 4 * 64 + row * 4 + k % 4]; }
static int at_4(const uint8_t *quants, int row, int k) { return at_8(quants, row, k % 16) >> k / 16 * 4 & 15; }

/* Element k of 64 of a row, and of 256. */
static double weight_64(enum panel_type t, const uint8_t *p, int row, int k)
{
    const int h = k / 32, j = k % 32;
    const uint8_t *d = p + h * 32 + row * 2;
    switch (t) {
    case PANEL_Q8: return (double)half_at(d) * (at_8(p + 64 + h * 512, row, j) - 128);
    case PANEL_Q8_M: return (double)half_at(d) * at_8(p + 128 + h * 512, row, j) + (double)half_at(d + 64);
    case PANEL_Q4: return (double)half_at(d) * (at_4(p + 64 + h * 256, row, j) - 8);
    case PANEL_Q4_M: return (double)half_at(d) * at_4(p + 128 + h * 256, row, j) + (double)half_at(d + 64);
    case PANEL_Q4_G: return (double)f32_at(p + h * 64 + row * 4) * at_4(p + 256 + h * 256, row, j) + (double)f32_at(p + 128 + h * 64 + row * 4);
    case PANEL_IQ4: return (double)half_at(d) * iq4_table[at_4(p + 64 + h * 256, row, j)];
    default: return (double)bf16_to_real(u16_at(d)) * mx4_table[at_4(p + 64 + h * 256, row, j)];
    }
}

static double weight_256(enum panel_type t, const uint8_t *p, int row, int k)
{
    const int s = k / 32, j = k % 32;
    if (t == PANEL_Q4_K || t == PANEL_Q5_K) {
        uint8_t scales[12];
        for (int i = 0; i < 3; i++)
            memcpy(scales + i * 4, p + 64 + i * 64 + row * 4, 4);
        const int scale = s < 4 ? scales[s] & 63 : (scales[s + 4] & 15) | (scales[s - 4] >> 6) << 4;
        const int min = s < 4 ? scales[s + 4] & 63 : scales[s + 4] >> 4 | (scales[s] >> 6) << 4;
        int q = at_4(p + 256 + s * 256, row, j);
        if (t == PANEL_Q5_K)
            q |= (int)(u32_at(p + 256 + 2048 + s * 64 + row * 4) >> (8 * (j % 4) + j / 4) & 1) << 4;
        return (double)half_at(p + row * 2) * (scale * q) - (double)half_at(p + 32 + row * 2) * min;
    }
    const int scale = p[64 + k / 16 * 16 + row];
    int q = at_4(p + 320 + s * 256, row, j);
    if (t == PANEL_Q2_K)
        return (double)half_at(p + row * 2) * ((scale & 15) * q) - (double)half_at(p + 32 + row * 2) * (scale >> 4);
    if (t == PANEL_Q3_K)
        return (double)f32_at(p + row * 4) * ((int8_t)scale * (q - 8));
    q |= (int)(u32_at(p + 320 + 2048 + s * 128 + j / 16 * 64 + row * 4) >> (8 * (j % 4) + 2 * (j % 16 / 4)) & 3) << 4;
    return (double)f32_at(p + row * 4) * ((int8_t)scale * (q - 32));
}

#define ROWS 64      /* whose sums are kept while a column is decoded */

static void column(const struct gemm_q *g, int n, int m0, int rows)
{
    const int record = panel_record(g->type);
    const uint8_t *p = (const uint8_t *)g->b + (size_t)(n / PANEL) * panel_stride(g->type, g->K);
    double sum[ROWS] = { 0 }, w[256];
    for (int k0 = 0; k0 < g->K; k0 += record, p += panel_record_bytes(g->type)) {
        for (int k = 0; k < record; k++)
            w[k] = record == 64 ? weight_64(g->type, p, n % PANEL, k) : weight_256(g->type, p, n % PANEL, k);
        for (int i = 0, each = g->pairs ? 2 : 1; i < rows * each; i++) {
            const uint8_t *a = (const uint8_t *)g->a + (size_t)(m0 * each + i) * g->a_stride;
            for (int k = 0; k < record; k++) {
                const uint8_t *block = a + (size_t)((k0 + k) / A8_BLOCK) * A8_BLOCK_BYTES;
                sum[i / each] += w[k] * (int8_t)block[k % A8_BLOCK] * (double)f32_at(block + 32);
            }
        }
    }
    for (int m = 0; m < rows; m++) {
        const double start = (g->add ? (double)g->add[(m0 + m) * g->ld_add + n] : 0) + (g->bias ? (double)g->bias[n] : 0);
        g->c[(m0 + m) * g->ldc + n] = (float)(start + sum[m]);
    }
}

static void gemm_q(const struct gemm_q *g)
{
    assert(PANEL_IS_A8(g->type));
    for (int m0 = 0; m0 < g->M; m0 += ROWS)
        for (int n = 0; n < g->N; n++)
            column(g, n, m0, g->M - m0 < ROWS ? g->M - m0 : ROWS);
}

static void gemm_f16(const struct gemm *g)
{
    for (int m = 0; m < g->M; m++)
        for (int n = 0; n < g->N; n++) {
            const real *a = (const real *)g->a + (g->rows ? g->rows[m] : m) * g->a_row;
            const uint8_t *b = (const uint8_t *)g->b + (n / PANEL * g->b_panel + n % PANEL) * 2;
            double sum = (g->add ? (double)g->add[m * g->ld_add + n] : 0) + (g->bias ? (double)g->bias[n] : 0);
            for (int k = 0; k < g->K; k++)
                sum += (double)a[k * g->a_col] * (double)half_at(b + k * PANEL * 2);
            g->c[m * g->ldc + n] = (real)sum;
        }
}

void cpu_ref_fill_panel(struct cpu_kernels *k)
{
    k->gemm_f16 = gemm_f16;
    k->gemm_q = gemm_q;
    k->pack_panels = pack_panels;
    k->quantize_a8 = quantize_a8;
}
