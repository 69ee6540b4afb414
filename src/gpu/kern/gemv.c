/* Products of a few rows with a weight of f32, bf16, Q8_0, Q4_0, Q4_K: what a lane does with 16 bytes of it (gpu/kern/gemv.h). */
#include "gpu/kern/gemv.h"

/* f32: piece p is columns 4p .. 4p+3. */
struct piece_f32 { f32x4 x; };
#define X_F32(v, a, m, p) ((v).x = ((const DK_GLOBAL f32x4 *)((a).x + (m) * (a).ld_x))[p])
struct weight_f32 { u32x4 w; };
#define W_F32(v, a, n, p) ((v).w = dk_read_once((const DK_GLOBAL u32x4 *)(a).w + (long)(n) * ((a).K / 4) + (p)))
DK_INLINE float dot_f32(u32x4 w, f32x4 x, float s)
{
    s += dk_float(w[0]) * x[0];
    s += dk_float(w[1]) * x[1];
    s += dk_float(w[2]) * x[2];
    s += dk_float(w[3]) * x[3];
    return s;
}
#define DOT_F32(w_, x_, s, p) dot_f32((w_).w, (x_).x, s)

DK_INLINE float dot_bf16(u32x4 w, f32x4 x0, f32x4 x1, float s)
{
    s += dk_bf16_low(w[0]) * x0[0];
    s += dk_bf16_high(w[0]) * x0[1];
    s += dk_bf16_low(w[1]) * x0[2];
    s += dk_bf16_high(w[1]) * x0[3];
    s += dk_bf16_low(w[2]) * x1[0];
    s += dk_bf16_high(w[2]) * x1[1];
    s += dk_bf16_low(w[3]) * x1[2];
    s += dk_bf16_high(w[3]) * x1[3];
    return s;
}
/* bf16: piece p is columns 8p .. 8p+7. */
struct piece_bf16 { f32x4 x0, x1; };
#define X_BF16(v, a, m, p) do { const DK_GLOBAL f32x4 *x_ = (const DK_GLOBAL f32x4 *)((a).x + (m) * (a).ld_x) + 2 * (p); (v).x0 = x_[0]; (v).x1 = x_[1]; } while (0)
struct weight_bf16 { u32x4 w; };
#define W_BF16(v, a, n, p) ((v).w = dk_read_once((const DK_GLOBAL u32x4 *)(a).w + (long)(n) * ((a).K / 8) + (p)))
#define DOT_BF16(w_, x_, s, p) dot_bf16((w_).w, (x_).x0, (x_).x1, s)

/* q8_0: 16 columns, half a block. */
struct piece_q8_0 { u32x4 x; float d; };
#define X_Q8_0(v, a, m, p) do { (v).x = ((const DK_GLOBAL u32x4 *)((a).xq + (m) * (a).ld_x))[p]; (v).d = (a).xds[((m) * ((a).ld_x / 32) + (p) / 2) * 2]; } while (0)
struct weight_q8_0 { u32x4 w; float d; };
#define W_Q8_0(v, a, n, p) do { (v).w = dk_read_once((const DK_GLOBAL u32x4 *)(a).w + (long)(n) * ((a).K / 16) + (p)); \
    (v).d = dk_half_float((a).scale[(long)(n) * ((a).K / 32) + (p) / 2]); } while (0)
#define DOT_Q8_0(w_, x_, s, p) ((s) + (w_).d * (x_).d * (float)dot_16((w_).w, (x_).x, 0))

/* q4_0: a block of 32. */
struct piece_q4_0 { u32x4 low, high; f32x2 ds; };
#define X_Q4_0(v, a, m, p) do { const DK_GLOBAL u32x4 *x_ = (const DK_GLOBAL u32x4 *)((a).xq + (m) * (a).ld_x) + 2 * (p); (v).low = x_[0]; (v).high = x_[1]; \
    (v).ds = ((const DK_GLOBAL f32x2 *)(a).xds)[(m) * ((a).ld_x / 32) + (p)]; } while (0)
struct weight_q4_0 { u32x4 w; float d; };
#define W_Q4_0(v, a, n, p) do { (v).w = dk_read_once((const DK_GLOBAL u32x4 *)(a).w + (long)(n) * ((a).K / 32) + (p)); \
    (v).d = dk_half_float((a).scale[(long)(n) * ((a).K / 32) + (p)]); } while (0)
#define DOT_Q4_0(w_, x_, s, p) \
    ((s) + (w_).d * ((x_).ds[0] * (float)dot_16(HIGH_NIBBLES((w_).w), (x_).high, dot_16(LOW_NIBBLES((w_).w), (x_).low, 0)) - 8.0f * (x_).ds[1]))

/* q4_k: piece p is 16 of the 128 bytes of quants of block p / 8: with j = p % 8 / 2, h = p % 2 columns 64j + 16h .. + 15 (low nibbles) and
 * 64j + 32 + 16h ..; the block's first 16 bytes are d, dmin and 12 bytes of scales and minimums, 6 bits each. */
struct piece_q4_k { u32x4 low, high; f32x4 ds; };
#define X_Q4_K(v, a, m, p) do { const DK_GLOBAL u32x4 *x_ = (const DK_GLOBAL u32x4 *)((a).xq + (m) * (a).ld_x) + (p) / 2 * 4 + (p) % 2; (v).low = x_[0]; (v).high = x_[2]; \
    (v).ds = ((const DK_GLOBAL f32x4 *)((a).xds + (m) * ((a).ld_x / 16)))[(p) / 2]; } while (0)
struct weight_q4_k { u32x4 w, head; };
#define W_Q4_K(v, a, n, p) do { const DK_GLOBAL u32x4 *b_ = (const DK_GLOBAL u32x4 *)(a).w + ((long)(n) * ((a).K / 256) + (p) / 8) * 9; \
    (v).head = b_[0]; (v).w = dk_read_once(b_ + 1 + (p) % 8); } while (0)
DK_INLINE float dot_q4_k(u32x4 w, u32x4 head, u32x4 low, u32x4 high, f32x4 ds, float s, int p)
{
    const int upper = p & 4, shift = (p & 2) * 8;
    const u32 scale = (upper ? (head[3] & 0x0f0f0f0fu) | ((head[1] >> 2) & 0x30303030u) : head[1] & 0x3f3f3f3fu) >> shift;
    const u32 min = (upper ? ((head[3] >> 4) & 0x0f0f0f0fu) | ((head[2] >> 2) & 0x30303030u) : head[2] & 0x3f3f3f3fu) >> shift;
    const float d = dk_half_float((u16)head[0]), dmin = (p & 1) ? 0.0f : dk_half_float((u16)(head[0] >> 16));      /* a minimum once a block */
    const float product = ds[0] * (float)(scale & 255) * (float)dot_16(LOW_NIBBLES(w), low, 0) + ds[2] * (float)(scale >> 8 & 255) * (float)dot_16(HIGH_NIBBLES(w), high, 0);
    return s + d * product - dmin * (ds[1] * (float)(min & 255) + ds[3] * (float)(min >> 8 & 255));
}
#define DOT_Q4_K(w_, x_, s, p) dot_q4_k((w_).w, (w_).head, (x_).low, (x_).high, (x_).ds, s, p)

#ifndef GEMV_TYPES_ONLY      /* gpu/kern/moe_gemv.c has kernels of its own */
GEMV_ALL(f32, F32, 4, 4, 4)
GEMV_ALL(bf16, BF16, 8, 4, 4)
GEMV_ALL(q8_0, Q8_0, 16, 4, 4)
GEMV_ALL(q4_0, Q4_0, 32, 4, 4)
GEMV_ALL(q4_k, Q4_K, 32, 2, 2)
#endif
