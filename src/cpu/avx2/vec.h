/* vec.h - 8 floats in a ymm register.  static inline only: nothing compiled for AVX2 may be linked elsewhere. */
#ifndef CPU_AVX2_VEC_H
#define CPU_AVX2_VEC_H
#include "cpu/simd/vec.h"

#define VEC 8
typedef __m256 vec;
typedef __m256i veci;

INLINE vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vec_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE veci vec_mask(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE vec vec_load_part(const float *p, int n) { return _mm256_maskload_ps(p, vec_mask(n)); }
INLINE void vec_store_part(float *p, vec v, int n) { _mm256_maskstore_ps(p, vec_mask(n), v); }
INLINE vec vec_set(float x) { return _mm256_set1_ps(x); }
INLINE vec vec_zero(void) { return _mm256_setzero_ps(); }
INLINE vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec vec_sqrt(vec a) { return _mm256_sqrt_ps(a); }
INLINE vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec vec_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec vec_select_lt(vec a, vec b, vec yes, vec no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
INLINE vec vec_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE vec vec_copysign(vec a, vec sign) { return _mm256_or_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign)); }
INLINE vec vec_round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n for whole n in -300 .. 300, in two factors so that each exponent fits and underflow is gradual. */
INLINE vec vec_scale2(vec a, vec n)
{
    const __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1), rest = _mm256_sub_epi32(i, half), bias = _mm256_set1_epi32(127);
    a = _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}
INLINE float vec_sum(vec v)
{
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
INLINE float vec_max_all(vec v)
{
    const __m128 b = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_shuffle_ps(c, c, 1)));
}
INLINE bool vec_any_nan(vec v) { return _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)) != 0; }
INLINE bool vec_any_differ(vec a, vec b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NEQ_UQ)) != 0; }

INLINE vec vec_load_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
INLINE vec vec_load_i8(const int8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p))); }
INLINE vec vec_load_bf16(const bf16 *p) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16)); }
INLINE veci vec_bf16_high(vec v)
{
    const __m256i u = _mm256_castps_si256(v);
    const __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1))));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)), quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    return _mm256_and_si256(_mm256_blendv_epi8(r, quiet, nan), _mm256_set1_epi32((int)0xffff0000));
}
INLINE vec vec_round_bf16(vec v) { return _mm256_castsi256_ps(vec_bf16_high(v)); }
INLINE void vec_store_bf16(bf16 *p, vec v)
{
    const __m256i h = _mm256_srli_epi32(vec_bf16_high(v), 16), packed = _mm256_packus_epi32(h, h);
    _mm_storeu_si128((void *)p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
}
INLINE void vec_store_pairs(bf16 *p, vec low, vec high)
{
    _mm256_storeu_si256((void *)p, _mm256_or_si256(_mm256_srli_epi32(vec_bf16_high(low), 16), vec_bf16_high(high)));
}
INLINE void vec_store_pairs_exact(bf16 *p, vec low, vec high)
{
    _mm256_storeu_si256((void *)p, _mm256_or_si256(_mm256_srli_epi32(_mm256_castps_si256(low), 16), _mm256_castps_si256(high)));
}
/* 16 numbers of two rows to 16 pairs. */
INLINE void vec_interleave_bf16(bf16 *out, const bf16 *low, const bf16 *high)
{
    const __m256i a = _mm256_loadu_si256((const void *)low), b = _mm256_loadu_si256((const void *)high);
    const __m256i first = _mm256_unpacklo_epi16(a, b), second = _mm256_unpackhi_epi16(a, b);
    _mm256_storeu_si256((void *)out, _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((void *)(out + 16), _mm256_permute2x128_si256(first, second, 0x31));
}
INLINE vec vec_load_pairs(const bf16 *p, int odd)
{
    const __m256i w = _mm256_loadu_si256((const void *)p);
    return _mm256_castsi256_ps(odd ? _mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000)) : _mm256_slli_epi32(w, 16));
}
INLINE veci veci_set(uint32_t x) { return _mm256_set1_epi32((int)x); }
INLINE veci veci_count(uint32_t first) { return _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE veci veci_mul(veci a, veci b) { return _mm256_mullo_epi32(a, b); }
INLINE veci veci_xor(veci a, veci b) { return _mm256_xor_si256(a, b); }
INLINE veci veci_shr(veci a, int n) { return _mm256_srli_epi32(a, n); }
INLINE vec vec_zero_if_below(veci a, veci limit, vec x)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, limit), a)));
}

INLINE void vec_transpose(vec v[8])
{
    vec t[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {            /* v[4i+j]: column j of both 128-bit lanes, rows 4i..4i+3 */
        v[4 * i + 0] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        v[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        v[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        v[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int j = 0; j < 4; j++) {
        t[j] = _mm256_permute2f128_ps(v[j], v[4 + j], 0x20);
        t[4 + j] = _mm256_permute2f128_ps(v[j], v[4 + j], 0x31);
    }
    for (int i = 0; i < 8; i++)
        v[i] = t[i];
}

/* out[c*ld_out + j] = src[j*ld + c] for 16 x 16; rows j >= n_row and columns c >= n_col are not read; such rows give 0, such
 * columns are not written. */
INLINE void vec_transpose_square(const float *src, ptrdiff_t ld, int n_row, int n_col, float *out, ptrdiff_t ld_out)
{
    for (int c0 = 0; c0 < 16 && c0 < n_col; c0 += 8)
        for (int j0 = 0; j0 < 16; j0 += 8) {
            vec v[8];
            const int n = n_col - c0;
            for (int j = 0; j < 8; j++)
                v[j] = j0 + j >= n_row ? vec_zero() : n >= 8 ? vec_load(src + (j0 + j) * ld + c0) : vec_load_part(src + (j0 + j) * ld + c0, n);
            vec_transpose(v);
            for (int c = 0; c < 8 && c < n; c++)
                vec_store(out + (c0 + c) * ld_out + j0, v[c]);
        }
}

/* ---- for the row kernels ---- */

/* Lanes below n of v, the others of rest; any n. */
INLINE vec vec_first(vec v, int n, vec rest) { return _mm256_blendv_ps(rest, v, _mm256_castsi256_ps(vec_mask(n))); }
INLINE vec vec_load_bf16_part(const bf16 *p, int n)
{
    bf16 part[8] = { 0 };
    memcpy(part, p, (size_t)n * sizeof *p);
    return vec_load_bf16(part);
}
INLINE void vec_store_bf16_part(bf16 *p, vec v, int n)
{
    bf16 part[8];
    vec_store_bf16(part, v);
    memcpy(p, part, (size_t)n * sizeof *p);
}
/* The upper halves as they are. */
INLINE void vec_store_bf16_cut(bf16 *p, vec v)
{
    const __m256i h = _mm256_srli_epi32(_mm256_castps_si256(v), 16), packed = _mm256_packus_epi32(h, h);
    _mm_storeu_si128((void *)p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
}
INLINE void vec_store_bf16_cut_part(bf16 *p, vec v, int n)
{
    bf16 part[8];
    vec_store_bf16_cut(part, v);
    memcpy(p, part, (size_t)n * sizeof *p);
}
/* p * 2^n for p about 1 and n the nearest whole number of x; 0 where x < -126, also where p is then NaN. */
INLINE vec vec_scale2_or_zero(vec p, vec n, vec x)
{
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), _mm256_cmp_ps(x, _mm256_set1_ps(-126.0f), _CMP_NLT_UQ));
}
INLINE veci vec_bits(vec v) { return _mm256_castps_si256(v); }
INLINE vec vec_of_bits(veci i) { return _mm256_castsi256_ps(i); }
INLINE vec vec_of_int(veci i) { return _mm256_cvtepi32_ps(i); }
INLINE veci veci_add(veci a, veci b) { return _mm256_add_epi32(a, b); }
INLINE veci veci_sub(veci a, veci b) { return _mm256_sub_epi32(a, b); }
INLINE veci veci_shl(veci a, int n) { return _mm256_slli_epi32(a, n); }
INLINE veci veci_sar(veci a, int n) { return _mm256_srai_epi32(a, n); }

/* Lane i of the result: op over the lanes of row i, rows at x[8*i]; the tree is vec_sum's: lanes j and j+4, then 2, 1. */
#define FOLD(name, op)                                                                                              \
    INLINE vec name(const float *x)                                                                                 \
    {                                                                                                               \
        vec q[4];                                                                                                   \
        for (int i = 0; i < 4; i++) {                                                                               \
            const vec a = vec_load(x + 8 * i), b = vec_load(x + 8 * (i + 4));                                       \
            q[i] = op(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));                      \
        }                                                                                                           \
        const vec e = op(_mm256_shuffle_ps(q[0], q[1], 0x44), _mm256_shuffle_ps(q[0], q[1], 0xee));                 \
        const vec f = op(_mm256_shuffle_ps(q[2], q[3], 0x44), _mm256_shuffle_ps(q[2], q[3], 0xee));                 \
        return op(_mm256_shuffle_ps(e, f, 0x88), _mm256_shuffle_ps(e, f, 0xdd));                                    \
    }
FOLD(vec_fold_sum, _mm256_add_ps)
FOLD(vec_fold_max, _mm256_max_ps)

/* Pairs (2i, 2i+1): the first or second of each twice, exchanged, and a*b -+ c (first: -, second: +). */
INLINE vec vec_firsts(vec a) { return _mm256_moveldup_ps(a); }
INLINE vec vec_seconds(vec a) { return _mm256_movehdup_ps(a); }
INLINE vec vec_exchange(vec a) { return _mm256_permute_ps(a, 0xb1); }
INLINE vec vec_fmaddsub(vec a, vec b, vec c) { return _mm256_fmaddsub_ps(a, b, c); }
/* Sums in double of the squares of two vectors; lane by lane. */
struct squares { __m256d s[4]; };
INLINE void squares_add(struct squares *q, vec a, vec b)
{
    const __m256d d[4] = { _mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)),
                           _mm256_cvtps_pd(_mm256_castps256_ps128(b)), _mm256_cvtps_pd(_mm256_extractf128_ps(b, 1)) };
    for (int i = 0; i < 4; i++)
        q->s[i] = _mm256_fmadd_pd(d[i], d[i], q->s[i]);
}
INLINE double squares_sum(const struct squares *q)
{
    double lane[4];
    _mm256_storeu_pd(lane, _mm256_add_pd(_mm256_add_pd(q->s[0], q->s[1]), _mm256_add_pd(q->s[2], q->s[3])));
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}
#endif
