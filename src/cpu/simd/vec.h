/* vec.h - what every level's vec.h begins with. */
#ifndef CPU_SIMD_VEC_H
#define CPU_SIMD_VEC_H
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "cpu/kernels.h"

#define INLINE static inline __attribute__((always_inline))
/* Before a loop over an array of vectors that is to live in registers: gcc makes them variables only where the loops are
 * unrolled early. */
#ifdef __clang__
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL                 /* the checks of unrolled loops take clang minutes */
#else
#define UNROLL _Pragma("unroll")
#endif
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#endif
