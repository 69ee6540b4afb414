/* Products of a few rows of floats with weights of F16 and fp8 (gpu/kern/gemv.h). */
#include "gpu/kern/gemv.h"
#include "gpu/kern/quant.h"

DK_INLINE float dot_4(f32x4 w, f32x4 x, float s)
{
    DK_UNROLL
    for (int i = 0; i < 4; i++)
        s += w[i] * x[i];
    return s;
}
DK_INLINE f32x4 halves(u32 a, u32 b)
{
    return (f32x4){ dk_half_float((u16)a), dk_half_float((u16)(a >> 16)), dk_half_float((u16)b), dk_half_float((u16)(b >> 16)) };
}

/* f16: piece p is columns 8p .. 8p+7. */
struct piece_f16 { f32x4 x0, x1; };
#define X_F16(v, a, m, p) do { const DK_GLOBAL f32x4 *x_ = (const DK_GLOBAL f32x4 *)((a).x + (m) * (a).ld_x) + 2 * (p); (v).x0 = x_[0]; (v).x1 = x_[1]; } while (0)
struct weight_f16 { u32x4 w; };
#define W_F16(v, a, n, p) ((v).w = dk_read_once((const DK_GLOBAL u32x4 *)(a).w + (long)(n) * ((a).K / 8) + (p)))
#define DOT_F16(w_, x_, s, p) dot_4(halves((w_).w[2], (w_).w[3]), (x_).x1, dot_4(halves((w_).w[0], (w_).w[1]), (x_).x0, s))

/* f8: 16 columns; x is read row after row, not all at once, which leaves no register.  Two bytes at a time become halves with other exponents, which the sum is multiplied for; NaN makes the sum NaN whatever x is. */
struct piece_f8 { f32x4 x[4]; };
#define X_F8(v, a, m, p) do { const DK_GLOBAL f32x4 *x_ = (const DK_GLOBAL f32x4 *)((a).x + (m) * (a).ld_x) + dk_unknown(4 * (p)); \
    (v).x[0] = x_[0], (v).x[1] = x_[1], (v).x[2] = x_[2], (v).x[3] = x_[3]; } while (0)
struct weight_f8 { u32x4 w; };
#define W_F8(v, a, n, p) ((v).w = dk_read_once((const DK_GLOBAL u32x4 *)(a).w + (long)(n) * ((a).K / 16) + (p)))
/* A byte is NaN where bit 7 of (lower bits + more ^ flip) & (byte | any) is set: e4m3's lower bits are all ones; fnuz's all zeros, and the sign is set; e5m2's NaN are the half's. */
struct f8_code { int shift; u32 more, flip, any; float mul; };
DK_INLINE struct f8_code f8_code(int type)
{
    const int e5m2 = type == GPU_TYPE_F8_E5M2, fnuz = type == GPU_TYPE_F8_FNUZ;
    return (struct f8_code){ e5m2 ? 8 : 7, e5m2 ? 0 : fnuz ? 0x7f7f7f7fu : 0x01010101u, fnuz ? ~0u : 0, fnuz ? 0 : ~0u, e5m2 ? 1.0f : fnuz ? 128.0f : 256.0f };
}
DK_INLINE float dot_f8(u32x4 w, const struct piece_f8 *x, struct f8_code code, float sum)
{
    u32 nan = 0;
    float s = 0;
    DK_UNROLL
    for (int i = 0; i < 4; i++) {
        const u32 even = w[i] & 0x00ff00ffu, odd = w[i] >> 8 & 0x00ff00ffu;
        const u32 a = (even & 0x007f007fu) << code.shift | (even & 0x00800080u) << 8, b = (odd & 0x007f007fu) << code.shift | (odd & 0x00800080u) << 8;
        s = dot_4((f32x4){ dk_half_float((u16)a), dk_half_float((u16)b), dk_half_float((u16)(a >> 16)), dk_half_float((u16)(b >> 16)) }, x->x[i], s);
        nan |= (((w[i] & 0x7f7f7f7fu) + code.more) ^ code.flip) & (w[i] | code.any);
    }
    return sum + (nan & 0x80808080u ? dk_float(0x7fc00000u) : s * code.mul);
}
#define DOT_F8(w_, x_, s, p) dot_f8((w_).w, &(x_), f8_code(a.type), s)

GEMV_ALL(f16, F16, 8, 4, 4)
GEMV_ALL(f8, F8, 16, 2, 2)
