/* bf16.h - the conversion as it is defined: the upper half of a float, rounded to nearest, ties to even; NaN stays NaN. */
#ifndef CPU_REF_BF16_H
#define CPU_REF_BF16_H
#include <string.h>
#include "cpu/kernels.h"

static inline real bf16_to_real(bf16 x)
{
    const uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline bf16 bf16_of(real x)
{
    const float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if (f != f)
        return (bf16)(u >> 16 | 0x40);
    return (bf16)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
#endif
