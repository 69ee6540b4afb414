/* draw.h - the numbers of a draw that is the same to the bit wherever it is made: on the host (infer/sample.c) and on devices (gpu/kern/sample.c), in
 * whose dialect this is written too.
 *
 * Probabilities are whole numbers, of which the largest is 2^44, so that sums do not depend on their order: of the float nearest to e^t, what is below 1 cut off. */
#ifndef CPU_DRAW_H
#define CPU_DRAW_H
#ifdef GPU_DK_H
#define DRAW_INLINE DK_INLINE
typedef u32 draw_u32;
typedef u64 draw_u64;
#define DRAW_BITS_OF_DOUBLE(x) DK_CAST(u64, x)
#define DRAW_BITS_OF_FLOAT(x) dk_bits(x)
#else
#include <stdint.h>
#include <string.h>
#define DRAW_INLINE static inline
typedef uint32_t draw_u32;
typedef uint64_t draw_u64;
static inline uint64_t draw_bits_of_double(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline uint32_t draw_bits_of_float(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
#define DRAW_BITS_OF_DOUBLE(x) draw_bits_of_double(x)
#define DRAW_BITS_OF_FLOAT(x) draw_bits_of_float(x)
#endif
#define DRAW_ONE_BITS 44

/* The larger x, the smaller; -0 and 0 are one. */
DRAW_INLINE draw_u32 draw_rank(float x)
{
    const draw_u32 bits = DRAW_BITS_OF_FLOAT(x + 0.0f);
    return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

/* e^t for t <= 0. */
DRAW_INLINE draw_u64 draw_weight(double t)
{
    if (!(t > -30.6))
        return 0;
    const double shifted = t * 1.4426950408889634074 + 6755399441055744.0, whole = shifted - 6755399441055744.0;      /* 1.5 * 2^52: the nearest whole number in the lowest bits */
    const int n = (int)(draw_u32)DRAW_BITS_OF_DOUBLE(shifted);
    double r = __builtin_fma(whole, -6.93147180369123816490e-01, t);
    r = __builtin_fma(whole, -1.90821492927058770002e-10, r);
    double p = 1.0 / 6227020800;
    const double c[] = { 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0 };
#ifdef DK_UNROLL
    DK_UNROLL
#endif
    for (int i = 0; i < 13; i++)
        p = __builtin_fma(p, r, c[i]);
    const draw_u32 bits = DRAW_BITS_OF_FLOAT((float)p);                     /* 0.7 .. 1.5; the power of two is put on its exponent */
    const int shift = (int)(bits >> 23) - 127 + n + DRAW_ONE_BITS - 23;
    const draw_u64 mantissa = (bits & 0x7fffffu) | 0x800000u;
    return shift >= 0 ? mantissa << shift : shift > -24 ? mantissa >> -shift : 0;
}

/* a * b / 2^53, a < 2^53, rounded down or up. */
DRAW_INLINE draw_u64 draw_share(draw_u64 a, draw_u64 b, int up)
{
    const draw_u64 low = (a & 0xffffffffu) * (b & 0xffffffffu), mid = (a >> 32) * (b & 0xffffffffu) + (low >> 32), mid2 = (a & 0xffffffffu) * (b >> 32) + (mid & 0xffffffffu);
    const draw_u64 high = (a >> 32) * (b >> 32) + (mid >> 32) + (mid2 >> 32), all_low = mid2 << 32 | (low & 0xffffffffu);
    return (high << 11 | all_low >> 53) + (up && (all_low & (((draw_u64)1 << 53) - 1)) ? 1 : 0);
}
#endif
