/* Weights of any type to bf16 or floats, also rows of a table by number; activations to Q8_0 and fp8.  256 threads; bound by memory. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/quant.h"
#define N_THREAD 256

/* Where a row's four columns go. */
DK_INLINE void put_floats(struct dequant_args a, long at, f32x4 v)
{
    v = a.mul == 1.0f ? v : v * a.mul;
    if (a.y32)
        *(DK_GLOBAL f32x4 *)(a.y32 + at) = v;
    else
        *(DK_GLOBAL u32x2 *)(a.y16 + at) = (u32x2){ dk_bf16_pair(v[0], v[1]), dk_bf16_pair(v[2], v[3]) };
}

/* A thread 32 columns. */
DK_BOUNDS(N_THREAD) DK_KERNEL void dequant(struct dequant_args a)
{
    const int n_piece = (a.K + 31) / 32;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / n_piece;
    if (row >= a.n_row)
        return;
    const int p = (int)(i % n_piece);
    const long from = a.id ? a.id[row] : row, at = row * a.ld_y + p * 32;
    if (!QUANT_HAS_BLOCKS(a.type)) {
        for (int c = 0; c < 32 && p * 32 + c < a.K; c += 4)
            put_floats(a, at + c, plain_floats(a.type, a.w, from * a.K + p * 32 + c));
        return;
    }
    const struct quant_split w = quant_split(a.type, quant_read(a.type, a.w, a.scale, a.K, from, p), p);
    DK_UNROLL
    for (int c = 0; c < 32; c += 4)
        put_floats(a, at + c, quant_floats(&w, c / 4));
}

DK_INLINE f32x4 four(const DK_GLOBAL float *x, const DK_GLOBAL u16 *x16, long at)
{
    return x ? *(const DK_GLOBAL f32x4 *)(x + at) : plain_floats(GPU_TYPE_BF16, x16, at);
}

/* x's code: the float's bits, whose mantissa is rounded to n bits where the number is at least 2^least; below, the sum with 2^(least+23-n) does the rounding. */
DK_INLINE u32 to_f8(int type, float x)
{
    const u32 sign = dk_bits(x) >> 24 & 128, a = dk_bits(x) & 0x7fffffffu;
    const int e5m2 = type == GPU_TYPE_F8_E5M2, fnuz = type == GPU_TYPE_F8_FNUZ, n = e5m2 ? 2 : 3, bias = e5m2 ? 15 : fnuz ? 8 : 7;
    if (a > 0x7f800000u)
        return fnuz ? 128 : sign | (e5m2 ? 126 : 127);
    const u32 top = e5m2 ? 123 : fnuz ? 127 : 126, first = (u32)(128 - bias) << 23;            /* the largest code; the smallest normal number */
    const int shift = 23 - n;
    u32 code;
    if (a < first) {
        const float unit = dk_float((u32)(128 - bias + 23 - n) << 23);                            /* whose last place is a subnormal's */
        code = dk_bits(dk_float(a) + unit) - dk_bits(unit);
    } else {
        code = (a + (1u << (shift - 1)) - 1 + (a >> shift & 1) - ((u32)(127 - bias) << 23)) >> shift;
    }
    code = code < top ? code : top;
    return fnuz && code == 0 ? 0 : sign | code;
}

/* A thread four numbers. */
DK_BOUNDS(N_THREAD) DK_KERNEL void quantize_f8(struct quantize_f8_args a)
{
    const int n4 = a.K / 4;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / n4, c = i % n4 * 4;
    if (row >= a.n_row)
        return;
    const f32x4 x = four(a.x, a.x16, row * a.ld_x + c);
    u32 word = 0;
    DK_UNROLL
    for (int j = 0; j < 4; j++)
        word |= to_f8(a.type, x[j] * a.mul) << 8 * j;
    *(DK_GLOBAL u32 *)(a.y + row * a.ld_y + c) = word;
}

/* Eight lanes a block of 32, four numbers each: ggml's reference bytes.  An infinity or NaN makes the block's scale NaN. */
DK_BOUNDS(N_THREAD) DK_KERNEL void quantize_q8(struct quantize_q8_args a)
{
    const int n4 = a.K / 4;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / n4;
    const int c = (int)(i % n4) * 4, there = row < a.n_row;
    const f32x4 x = there ? four(a.x, a.x16, row * a.ld_x + c) : (f32x4){ 0, 0, 0, 0 };
    float most = 0, nan = 0;
    DK_UNROLL
    for (int j = 0; j < 4; j++) {
        most = dk_max(most, x[j] < 0 ? -x[j] : x[j]);
        nan += x[j] * 0.0f;                        /* NaN for NaN and infinities */
    }
    most = dk_lanes_max(most, 8);
    nan = dk_lanes_sum(nan, 8);
    const int none = nan != 0;
    const float d = most / 127.0f, inverse = none || d < 1e-38f ? 0 : 1.0f / d;
    u32 word = 0;
    DK_UNROLL
    for (int j = 0; j < 4; j++) {
        const float v = none ? 0 : x[j] * inverse, size = v < 0 ? -v : v;
        const int whole = size < 127.5f ? (int)size : 127, q = whole + (size - (float)whole >= 0.5f && whole < 127);        /* halves away from zero */
        word |= ((u32)(v < 0 ? -q : q) & 255) << 8 * j;
    }
    if (!there)
        return;
    ((DK_GLOBAL u32 *)a.w)[row * n4 + c / 4] = word;
    if (c % 32 == 0)
        a.scale[row * (a.K / 32) + c / 32] = none ? 0x7e00 : dk_to_half(d);
}
#undef N_THREAD
