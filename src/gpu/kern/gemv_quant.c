/* Products of a few rows, quantised in A8, with weights of Q6_K, and of every type with blocks that has no kernel of its own (gpu/kern/gemv.h). */
#include "gpu/kern/gemv.h"
#include "gpu/kern/quant.h"

/* q6_k: piece p is 16 of the 64 bytes of upper bits of block p / 4, with their lower nibbles: with h = p % 4 / 2, c = p % 2 columns 128h + 32s + 16c .. + 15, s < 4. */
struct piece_q6_k { u32x4 x[4]; f32x4 ds[2]; };
DK_INLINE struct piece_q6_k piece_q6_k(const DK_GLOBAL i8 *xq, const DK_GLOBAL float *xds, int p)
{
    const DK_GLOBAL u32x4 *x = (const DK_GLOBAL u32x4 *)xq + p / 2 * 8 + p % 2;
    const DK_GLOBAL f32x4 *ds = (const DK_GLOBAL f32x4 *)xds + p / 2 * 2;
    return (struct piece_q6_k){ { x[0], x[2], x[4], x[6] }, { ds[0], ds[1] } };
}
#define X_Q6_K(v, a, m, p) ((v) = piece_q6_k((a).xq + (m) * (a).ld_x, (a).xds + (m) * ((a).ld_x / 16), p))
struct weight_q6_k { u32x4 low[2], high; u32x2 scale; float d; };
DK_INLINE struct weight_q6_k weight_q6_k(const DK_GLOBAL void *w, const DK_GLOBAL u16 *scale, long block, int p)
{
    const DK_GLOBAL u32x4 *b = (const DK_GLOBAL u32x4 *)w + block * 13;
    const int h = p % 4 / 2, c = p % 2;
    return (struct weight_q6_k){ { dk_read_once(b + 4 * h + c), dk_read_once(b + 4 * h + 2 + c) }, dk_read_once(b + 8 + 2 * h + c), ((const DK_GLOBAL u32x2 *)(b + 12))[h],
                                 dk_half_float(scale[block]) };
}
#define W_Q6_K(v, a, n, p) ((v) = weight_q6_k((a).w, (a).scale, (long)(n) * ((a).K / 256) + (p) / 4, p))
DK_INLINE float dot_q6_k(struct weight_q6_k w, struct piece_q6_k x, float sum, int p)
{
    float total = 0;
    DK_UNROLL
    for (int s = 0; s < 4; s++) {
        int dot = 0;
        DK_UNROLL
        for (int i = 0; i < 4; i++) {
            const u32 q = (w.low[s % 2][i] >> s / 2 * 4 & 0x0f0f0f0fu) | (w.high[i] >> 2 * s & 0x03030303u) << 4;
            dot = dk_dot4((int)quant_less(q, 0x20202020u), (int)x.x[s][i], dot);
        }
        total += quant_signed(w.scale[s / 2], s % 2 * 2 + p % 2) * x.ds[s / 2][s % 2 * 2] * (float)dot;
    }
    return sum + w.d * total;
}
#define DOT_Q6_K(w_, x_, s, p) dot_q6_k(w_, x_, s, p)

/* any: piece p is columns 32p .. 32p+31. */
struct piece_any { u32x4 low, high; float d, sum[2]; };
DK_INLINE struct piece_any piece_any(const DK_GLOBAL i8 *xq, const DK_GLOBAL float *xds, int p)
{
    const DK_GLOBAL u32x4 *x = (const DK_GLOBAL u32x4 *)xq + 2 * p;
    const u32x4 ones = { 0x01010101u, 0x01010101u, 0x01010101u, 0x01010101u };
    const float d = xds[2 * p];
    return (struct piece_any){ x[0], x[1], d, { d * (float)dot_16(ones, x[0], 0), d * (float)dot_16(ones, x[1], 0) } };
}
#define X_ANY(v, a, m, p) ((v) = piece_any((a).xq + (m) * (a).ld_x, (a).xds + (m) * ((a).ld_x / 16), p))
struct weight_any { struct quant_split w; };
#define W_ANY(v, a, n, p) ((v).w = quant_split((a).type, quant_read((a).type, (a).w, (a).scale, (a).K, n, p), p))
DK_INLINE float dot_any(const struct quant_split *w, struct piece_any x, float s)
{
    int dot[2] = { 0, 0 };
    DK_UNROLL
    for (int i = 0; i < 8; i++)
        dot[i / 4] = dk_dot4((int)w->q[i], (int)(i < 4 ? x.low[i & 3] : x.high[i & 3]), dot[i / 4]);
    return s + x.d * (w->scale[0] * (float)dot[0] + w->scale[1] * (float)dot[1]) + (w->start[0] * x.sum[0] + w->start[1] * x.sum[1]);
}
#define DOT_ANY(w_, x_, s, p) dot_any(&(w_).w, x_, s)

/* A wave's rows one after the other: what a row takes of registers is much, and x comes out of caches. */
#define GEMV_BY_ROW(type, TYPE, n_m, n_row, columns)                                                             \
DK_BOUNDS(GEMV_THREADS) DK_KERNEL void gemv_##type##_##n_m(struct gemv_args a)                                  \
{                                                                                                               \
    const int n0 = (dk_bx() * (GEMV_THREADS / DK_WAVE) + dk_wave()) * n_row;                                     \
    DK_ROLLED                                                                                                   \
    for (int n = n0; n < n0 + n_row && n < a.N; n++) {                                                           \
        float s[n_m];                                                                                           \
        DK_UNROLL                                                                                               \
        for (int m = 0; m < n_m; m++)                                                                           \
            s[m] = 0;                                                                                           \
        DK_ROLLED                                                                                               \
        for (int i = dk_lane(); i < a.K / columns; i += DK_WAVE) {                                               \
            const int p = dk_unknown(i);                                                                         \
            struct weight_##type w;                                                                             \
            W_##TYPE(w, a, n, p);                                                                               \
            DK_UNROLL                                                                                           \
            for (int m = 0; m < n_m; m++) {                                                                     \
                struct piece_##type x;                                                                          \
                X_##TYPE(x, a, (m < a.M ? m : a.M - 1), p);                                                     \
                s[m] = DOT_##TYPE(w, x, s[m], p);                                                               \
            }                                                                                                   \
        }                                                                                                       \
        DK_UNROLL                                                                                               \
        for (int m = 0; m < n_m; m++) {                                                                         \
            const float sum = dk_wave_sum(s[m]);                                                                \
            const long at = m * a.ld_y + n;                                                                     \
            if (dk_lane() == 0 && m < a.M)                                                                      \
                a.y[at] = a.add ? a.add[at] + sum : sum;                                                        \
        }                                                                                                       \
    }                                                                                                           \
}
GEMV(q6_k, Q6_K, 1, 2, 64, 2)
GEMV(q6_k, Q6_K, 2, 2, 64, 1)
GEMV(q6_k, Q6_K, 4, 4, 64, 1)
GEMV_BY_ROW(q6_k, Q6_K, 8, 4, 64)
GEMV_BY_ROW(any, ANY, 1, 2, 32)
GEMV_BY_ROW(any, ANY, 2, 2, 32)
GEMV_BY_ROW(any, ANY, 4, 4, 32)
GEMV_BY_ROW(any, ANY, 8, 4, 32)
