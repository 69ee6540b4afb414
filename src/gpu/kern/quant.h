/* quant.h - what stands in 32 columns of a weight of any type: read (quant_read), then as int8 with scales (quant_split), as floats (quant_floats).
 *
 * Types are runtime numbers, the same for all threads: one kernel does for all of them, and the branch costs little beside 32 numbers.  Where blocks lie: gpu/pack.h.
 * Values are those of cpu/quant.h to the bit: products are rounded in its order, not fused. */
#ifndef GPU_QUANT_H
#define GPU_QUANT_H
#include "gpu/dk.h"
#include "gpu/args.h"

struct quant_raw { u32x4 a, b, c, d, e; u32 s0, s1; };
/* Column k is scale[k/16] * q + start[k/16]; q: int8, four a word. */
struct quant_split { u32 q[8]; float scale[2], start[2]; };

/* Types with blocks: types.def has them side by side, and Q4_G. */
#define QUANT_HAS_BLOCKS(type) (((type) >= GPU_TYPE_Q4_0 && (type) <= GPU_TYPE_MXFP4) || (type) == GPU_TYPE_Q4_G)

/* ---- reading ---- */

/* Columns 32p .. 32p+31 of a row of K; types with blocks. */
DK_INLINE struct quant_raw quant_read(int type, const DK_GLOBAL void *w, const DK_GLOBAL u16 *scale, int K, long row, int p)
{
    const u32x4 zero = { 0, 0, 0, 0 };
    const long i = row * (K / 32) + p, block = row * (K / 256) + p / 8;
    const int s = p % 8;
    struct quant_raw r = { zero, zero, zero, zero, zero, 0, 0 };
    const DK_GLOBAL u32x4 *x = (const DK_GLOBAL u32x4 *)w;
    switch (type) {
    case GPU_TYPE_Q8_0:
        r.a = x[2 * i], r.b = x[2 * i + 1], r.s0 = scale[i];
        break;
    case GPU_TYPE_Q4_1:
        r.a = x[i], r.s0 = ((const DK_GLOBAL u32 *)scale)[i];
        break;
    case GPU_TYPE_Q5_0:
        r.a = x[i], r.s0 = scale[3 * i], r.s1 = scale[3 * i + dk_unknown(1)] | (u32)scale[3 * i + dk_unknown(2)] << 16;        /* unknown: AMD's compiler would read two at once at an odd place */
        break;
    case GPU_TYPE_Q5_1:
    case GPU_TYPE_Q4_G:
        r.a = x[i], r.s0 = ((const DK_GLOBAL u32 *)scale)[2 * i], r.s1 = ((const DK_GLOBAL u32 *)scale)[2 * i + 1];
        break;
    case GPU_TYPE_MXFP4:
        r.a = x[i], r.s0 = ((const DK_GLOBAL u8 *)scale)[i];
        break;
    case GPU_TYPE_Q2_K:
        x += block * 5;
        r.a = x[1 + s / 4 * 2], r.b = x[2 + s / 4 * 2], r.s0 = ((const DK_GLOBAL u32 *)scale)[block], r.s1 = ((const DK_GLOBAL u16 *)x)[s];
        break;
    case GPU_TYPE_Q3_K:
        x += block * 6, scale += block * 7;
        r.a = x[2 + s / 4 * 2], r.b = x[3 + s / 4 * 2], r.c = x[0], r.d = x[1], r.s0 = scale[6], r.s1 = scale[s % 4] | (u32)scale[4 + s % 2] << 16;
        break;
    case GPU_TYPE_Q4_K:
        x += block * 9;
        r.a = x[1 + s / 2 * 2], r.b = x[2 + s / 2 * 2], r.e = x[0];
        break;
    case GPU_TYPE_Q5_K:
        x += block * 11;
        r.a = x[3 + s / 2 * 2], r.b = x[4 + s / 2 * 2], r.c = x[1], r.d = x[2], r.e = x[0];
        break;
    case GPU_TYPE_Q6_K:
        x += block * 13;
        r.a = x[s / 4 * 4 + s % 2 * 2], r.b = x[s / 4 * 4 + s % 2 * 2 + 1], r.c = x[8 + s / 4 * 2], r.d = x[9 + s / 4 * 2];
        r.s0 = scale[block], r.s1 = ((const DK_GLOBAL u16 *)(x + 12))[s];
        break;
    default:                                       /* Q4_0, IQ4_NL */
        r.a = x[i], r.s0 = scale[i];
    }
    return r;
}

/* ---- four bytes at once ---- */

#define QUANT_LOW(v) ((v) & 0x0f0f0f0fu)
/* Bytes below 128 less those of c, at most 128: int8. */
DK_INLINE u32 quant_less(u32 v, u32 c) { return ((v | 0x80808080u) - c) ^ 0x80808080u; }
/* Bits 0 .. 3 to bit 0 of four bytes. */
DK_INLINE u32 quant_spread(u32 bits) { return ((bits & 15) * 0x00204081u) & 0x01010101u; }
/* Nibbles, one a byte, to the int8 that a table of 16 has for them. */
DK_INLINE u32 quant_table(u32 v, u64 low, u64 high)
{
    u32 out = 0;
    DK_UNROLL
    for (int j = 0; j < 32; j += 8) {
        const u32 q = v >> j & 15;
        out |= (u32)((q < 8 ? low : high) >> (q & 7) * 8 & 255) << j;
    }
    return out;
}
#define QUANT_IQ4_LOW 0xf6eaddcfbfad9881ul        /* -127 -104 -83 -65 -49 -35 -22 -10, the first lowest */
#define QUANT_IQ4_HIGH 0x7159453526190d01ul       /* 1 13 25 38 53 69 89 113 */
#define QUANT_MX4_LOW 0x0c08060403020100ul        /* e2m1 doubled: 0 1 2 3 4 6 8 12 */
#define QUANT_MX4_HIGH 0xf4f8fafcfdfeff00ul

DK_INLINE u32 quant_word(u32x4 low, u32x4 high, int i) { return i < 4 ? low[i & 3] : high[i & 3]; }
DK_INLINE float quant_signed(u32 v, int byte) { return (float)(i8)(v >> 8 * byte); }

/* ---- as int8 ---- */

/* What read() gave of columns 32p ..: quants and scales; scale, start: of columns 0 .. 15 and 16 .. 31. */
DK_INLINE struct quant_split quant_split(int type, struct quant_raw r, int p)
{
    struct quant_split o;
    const int s = p % 8;
    float d = dk_half_float((u16)r.s0), start = 0;
    o.scale[0] = o.scale[1] = d;
    o.start[0] = o.start[1] = 0;
    switch (type) {
    case GPU_TYPE_Q8_0:
        DK_UNROLL
        for (int i = 0; i < 8; i++)
            o.q[i] = quant_word(r.a, r.b, i);
        break;
    case GPU_TYPE_Q2_K:
        start = dk_half_float((u16)(r.s0 >> 16));
        DK_UNROLL
        for (int h = 0; h < 2; h++) {
            o.scale[h] = d * (float)(r.s1 >> 8 * h & 15);
            o.start[h] = -(start * (float)(r.s1 >> (8 * h + 4) & 15));
        }
        DK_UNROLL
        for (int i = 0; i < 8; i++)
            o.q[i] = quant_word(r.a, r.b, i) >> s % 4 * 2 & 0x03030303u;
        break;
    case GPU_TYPE_Q3_K:
        DK_UNROLL
        for (int h = 0; h < 2; h++)
            o.scale[h] = d * (float)((int)((r.s1 >> (8 * h + s / 4 * 4) & 15) | (r.s1 >> (16 + 8 * h + s / 2 * 2) & 3) << 4) - 32);
        DK_UNROLL
        for (int i = 0; i < 8; i++)
            o.q[i] = quant_less((quant_word(r.a, r.b, i) >> s % 4 * 2 & 0x03030303u) | (quant_word(r.c, r.d, i) >> s & 0x01010101u) << 2, 0x04040404u);
        break;
    case GPU_TYPE_Q4_K:
    case GPU_TYPE_Q5_K: {
        const int upper = s & 4, shift = (s & 3) * 8;
        const u32 scales = (upper ? QUANT_LOW(r.e[3]) | ((r.e[1] >> 2) & 0x30303030u) : r.e[1] & 0x3f3f3f3fu) >> shift & 255;
        const u32 mins = (upper ? QUANT_LOW(r.e[3] >> 4) | ((r.e[2] >> 2) & 0x30303030u) : r.e[2] & 0x3f3f3f3fu) >> shift & 255;
        o.scale[0] = o.scale[1] = dk_half_float((u16)r.e[0]) * (float)scales;
        o.start[0] = o.start[1] = -(dk_half_float((u16)(r.e[0] >> 16)) * (float)mins);
        DK_UNROLL
        for (int i = 0; i < 8; i++)
            o.q[i] = QUANT_LOW(quant_word(r.a, r.b, i) >> s % 2 * 4) | (type == GPU_TYPE_Q5_K ? (quant_word(r.c, r.d, i) >> s & 0x01010101u) << 4 : 0);
        break;
    }
    case GPU_TYPE_Q6_K:
        o.scale[0] = d * quant_signed(r.s1, 0), o.scale[1] = d * quant_signed(r.s1, 1);
        DK_UNROLL
        for (int i = 0; i < 8; i++)
            o.q[i] = quant_less(QUANT_LOW(quant_word(r.a, r.b, i) >> s % 4 / 2 * 4) | (quant_word(r.c, r.d, i) >> s % 4 * 2 & 0x03030303u) << 4, 0x20202020u);
        break;
    default:                                       /* 16 bytes of nibbles: the low ones are columns 0 .. 15 */
        if (type == GPU_TYPE_Q4_G)
            d = dk_float(r.s0);
        else if (type == GPU_TYPE_MXFP4)           /* 2^(e-128): the table is doubled */
            d = dk_float(r.s0 == 255 ? 0x7fc00000u : r.s0 > 1 ? (r.s0 - 1) << 23 : 0x200000u << r.s0);
        start = type == GPU_TYPE_Q4_G ? dk_float(r.s1) : dk_half_float((u16)(r.s0 >> 16));
        o.scale[0] = o.scale[1] = d;
        if (type == GPU_TYPE_Q4_1 || type == GPU_TYPE_Q5_1 || type == GPU_TYPE_Q4_G)
            o.start[0] = o.start[1] = start;
        DK_UNROLL
        for (int i = 0; i < 8; i++) {
            u32 q = QUANT_LOW(i < 4 ? r.a[i & 3] : r.a[i & 3] >> 4);
            if (type == GPU_TYPE_Q4_0)
                q = quant_less(q, 0x08080808u);
            else if (type == GPU_TYPE_Q5_0 || type == GPU_TYPE_Q5_1)
                q |= quant_spread(r.s1 >> 4 * i) << 4;
            else if (type == GPU_TYPE_IQ4_NL || type == GPU_TYPE_MXFP4)
                q = quant_table(q, type == GPU_TYPE_MXFP4 ? QUANT_MX4_LOW : QUANT_IQ4_LOW, type == GPU_TYPE_MXFP4 ? QUANT_MX4_HIGH : QUANT_IQ4_HIGH);
            if (type == GPU_TYPE_Q5_0)
                q = quant_less(q, 0x10101010u);
            o.q[i] = q;
        }
    }
    return o;
}

/* ---- as floats ---- */

#ifdef DK_DEVICE
#pragma OPENCL FP_CONTRACT OFF
#endif
/* Columns 4i .. 4i+3. */
DK_INLINE f32x4 quant_floats(const struct quant_split *o, int i)
{
    f32x4 y;
    DK_UNROLL
    for (int j = 0; j < 4; j++) {
        const float v = o->scale[i / 4] * quant_signed(o->q[i], j);
        y[j] = v + o->start[i / 4];
    }
    return y;
}
#ifdef DK_DEVICE
#pragma OPENCL FP_CONTRACT ON
#endif

/* fp8: e4m3 has bias 7, fnuz 8; both are a half with other exponents.  NaN: all ones; fnuz: minus zero. */
DK_INLINE float fp8_float(int type, u32 v)
{
    const u32 magnitude = v & 127, sign = (v & 128) << 8;
    if (type == GPU_TYPE_F8_E5M2)
        return dk_half_float((u16)(v << 8));
    const int nan = type == GPU_TYPE_F8_E4M3 ? magnitude == 127 : (v & 255) == 128;
    return nan ? dk_float(0x7fc00000u) : dk_half_float((u16)(magnitude << 7 | sign)) * (type == GPU_TYPE_F8_E4M3 ? 256.0f : 128.0f);
}

/* Columns c .. c+3 of a row of K of a type without blocks; aligned to four numbers. */
DK_INLINE f32x4 plain_floats(int type, const DK_GLOBAL void *w, long at)
{
    if (type == GPU_TYPE_F32)
        return ((const DK_GLOBAL f32x4 *)w)[at / 4];
    if (type == GPU_TYPE_F16 || type == GPU_TYPE_BF16) {
        const u32x2 v = ((const DK_GLOBAL u32x2 *)w)[at / 4];
        if (type == GPU_TYPE_BF16)
            return (f32x4){ dk_bf16_low(v[0]), dk_bf16_high(v[0]), dk_bf16_low(v[1]), dk_bf16_high(v[1]) };
        return (f32x4){ dk_half_float((u16)v[0]), dk_half_float((u16)(v[0] >> 16)), dk_half_float((u16)v[1]), dk_half_float((u16)(v[1] >> 16)) };
    }
    const u32 v = ((const DK_GLOBAL u32 *)w)[at / 4];
    return (f32x4){ fp8_float(type, v & 255), fp8_float(type, v >> 8 & 255), fp8_float(type, v >> 16 & 255), fp8_float(type, v >> 24) };
}
#endif
