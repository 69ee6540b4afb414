/* vec.h - 16 floats in a zmm register.  static inline only: nothing compiled for AVX-512 may be linked elsewhere. */
#ifndef CPU_AVX512_VEC_H
#define CPU_AVX512_VEC_H
#include "cpu/simd/vec.h"

#define VEC 16
typedef __m512 vec;
typedef __m512i veci;

INLINE vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vec_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE __mmask16 vec_mask(int n) { return (__mmask16)((1u << n) - 1); }                /* n <= 16 */
INLINE vec vec_load_part(const float *p, int n) { return _mm512_maskz_loadu_ps(vec_mask(n), p); }
INLINE void vec_store_part(float *p, vec v, int n) { _mm512_mask_storeu_ps(p, vec_mask(n), v); }
INLINE vec vec_set(float x) { return _mm512_set1_ps(x); }
INLINE vec vec_zero(void) { return _mm512_setzero_ps(); }
INLINE vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec vec_sqrt(vec a) { return _mm512_sqrt_ps(a); }
INLINE vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }           /* a*b + c */
INLINE vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }         /* c - a*b */
/* The second operand where the first is NaN, like the instruction; callers put the value that may be NaN second. */
INLINE vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec vec_select_lt(vec a, vec b, vec yes, vec no) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes); }
INLINE vec vec_abs(vec a) { return _mm512_abs_ps(a); }
INLINE vec vec_copysign(vec a, vec sign)
{
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_set1_epi32((int)0x80000000), _mm512_castps_si512(sign), _mm512_castps_si512(a), 0xca));
}
INLINE vec vec_round(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vec vec_scale2(vec a, vec n) { return _mm512_scalef_ps(a, n); }                 /* a * 2^n, n whole; under- and overflows like a product */
/* Fixed tree: lanes i and i+8, then i and i+4, ... */
INLINE float vec_sum(vec v)
{
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
INLINE float vec_max_all(vec v) { return _mm512_reduce_max_ps(v); }
INLINE bool vec_any_nan(vec v) { return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0; }
INLINE bool vec_any_differ(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ) != 0; }

INLINE vec vec_load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
INLINE vec vec_load_i8(const int8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p))); }
INLINE vec vec_load_bf16(const bf16 *p) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16)); }
/* The bf16 of each lane in the upper half of its 32 bits: round to nearest even, NaN quieted. */
INLINE veci vec_bf16_high(vec v)
{
    const __m512i u = _mm512_castps_si512(v);
    const __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1))));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_and_si512(_mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000)), _mm512_set1_epi32((int)0xffff0000));
}
INLINE vec vec_round_bf16(vec v) { return _mm512_castsi512_ps(vec_bf16_high(v)); }
INLINE void vec_store_bf16(bf16 *p, vec v) { _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(vec_bf16_high(v), 16))); }
/* Two rows to pairs: (low, high) of each lane. */
INLINE void vec_store_pairs(bf16 *p, vec low, vec high)
{
    _mm512_storeu_si512(p, _mm512_or_si512(_mm512_srli_epi32(vec_bf16_high(low), 16), vec_bf16_high(high)));
}
/* The same for floats that are bf16 already. */
INLINE void vec_store_pairs_exact(bf16 *p, vec low, vec high)
{
    _mm512_storeu_si512(p, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(low), 16), _mm512_castps_si512(high)));
}
/* 16 numbers of two rows to 16 pairs. */
INLINE void vec_interleave_bf16(bf16 *out, const bf16 *low, const bf16 *high)
{
    static const uint16_t place[32] = { 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)low)), _mm256_loadu_si256((const void *)high), 1);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(_mm512_loadu_si512(place), both));
}
/* The even (0) or odd (1) elements of 16 pairs, as floats. */
INLINE vec vec_load_pairs(const bf16 *p, int odd)
{
    const __m512i w = _mm512_loadu_si512(p);
    return _mm512_castsi512_ps(odd ? _mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)) : _mm512_slli_epi32(w, 16));
}
/* 16 lanes of a counter's 32-bit draws below a limit give 0, others x (dropout; see ref/rows.c). */
INLINE veci veci_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
INLINE veci veci_count(uint32_t first) { return _mm512_add_epi32(_mm512_set1_epi32((int)first), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)); }
INLINE veci veci_mul(veci a, veci b) { return _mm512_mullo_epi32(a, b); }
INLINE veci veci_xor(veci a, veci b) { return _mm512_xor_si512(a, b); }
INLINE veci veci_shr(veci a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
INLINE vec vec_zero_if_below(veci a, veci limit, vec x) { return _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(a, limit), x); }

/* Columns k, k+1 ... of 16 rows as rows: out[k*16 + n] = src[n*ld + k] for 16 k. */
INLINE void vec_transpose(__m512i v[16])
{
    __m512i t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {            /* v[4i+j]: dword column j of every 128-bit lane, rows 4i..4i+3 */
        v[4 * i + 0] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        v[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        v[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        v[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int j = 0; j < 4; j++) {            /* 4 x 4 transpose of 128-bit lanes */
        const __m512i a = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x44), b = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xee);
        const __m512i c = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x44), d = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xee);
        t[j] = _mm512_shuffle_i32x4(a, c, 0x88), t[4 + j] = _mm512_shuffle_i32x4(a, c, 0xdd);
        t[8 + j] = _mm512_shuffle_i32x4(b, d, 0x88), t[12 + j] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        v[i] = t[i];
}

/* out[c*ld_out + j] = src[j*ld + c] for 16 x 16; rows j >= n_row and columns c >= n_col are not read; such rows give 0, such
 * columns are not written. */
INLINE void vec_transpose_square(const float *src, ptrdiff_t ld, int n_row, int n_col, float *out, ptrdiff_t ld_out)
{
    __m512i v[16];
    for (int j = 0; j < 16; j++)
        v[j] = j >= n_row ? _mm512_setzero_si512() : _mm512_castps_si512(n_col >= 16 ? vec_load(src + j * ld) : vec_load_part(src + j * ld, n_col));
    vec_transpose(v);
    for (int c = 0; c < 16 && c < n_col; c++)
        _mm512_storeu_si512(out + c * ld_out, v[c]);
}

/* ---- for the row kernels ---- */

/* Lanes below n of v, the others of rest; any n. */
INLINE vec vec_first(vec v, int n, vec rest)
{
    return _mm512_mask_blend_ps(vec_mask(n < 0 ? 0 : n > 16 ? 16 : n), rest, v);
}
INLINE vec vec_load_bf16_part(const bf16 *p, int n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(vec_mask(n), p)), 16));
}
INLINE void vec_store_bf16_part(bf16 *p, vec v, int n)
{
    _mm256_mask_storeu_epi16(p, vec_mask(n), _mm512_cvtepi32_epi16(_mm512_srli_epi32(vec_bf16_high(v), 16)));
}
/* The upper halves as they are. */
INLINE void vec_store_bf16_cut(bf16 *p, vec v) { _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(v), 16))); }
INLINE void vec_store_bf16_cut_part(bf16 *p, vec v, int n) { _mm256_mask_storeu_epi16(p, vec_mask(n), _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(v), 16))); }
/* p * 2^n for p about 1 and n the nearest whole number of x; 0 where x < -126, also where p is then NaN. */
INLINE vec vec_scale2_or_zero(vec p, vec n, vec x)
{
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ), p, n);
}
INLINE veci vec_bits(vec v) { return _mm512_castps_si512(v); }
INLINE vec vec_of_bits(veci i) { return _mm512_castsi512_ps(i); }
INLINE vec vec_of_int(veci i) { return _mm512_cvtepi32_ps(i); }
INLINE veci vec_to_int(vec v) { return _mm512_cvtps_epi32(v); }
/* table[i % 32] of each lane: cheap at this width only. */
#define VEC_TABLE
INLINE vec vec_table(const float table[32], veci i) { return _mm512_permutex2var_ps(vec_load(table), i, vec_load(table + 16)); }
INLINE veci veci_add(veci a, veci b) { return _mm512_add_epi32(a, b); }
INLINE veci veci_sub(veci a, veci b) { return _mm512_sub_epi32(a, b); }
INLINE veci veci_shl(veci a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
INLINE veci veci_sar(veci a, int n) { return _mm512_srai_epi32(a, (unsigned)n); }

/* Lane i of the result: op over the lanes of row i, rows at x[16*i]; the tree is vec_sum's: lanes j and j+8, then 4, 2, 1. */
#define FOLD(name, op)                                                                                              \
    INLINE vec name(const float *x)                                                                                 \
    {                                                                                                               \
        vec h[8], q[4];                                                                                             \
        for (int i = 0; i < 8; i++) {                                                                               \
            const vec a = vec_load(x + 16 * (i % 4 + i / 4 * 8)), b = vec_load(x + 16 * (i % 4 + i / 4 * 8 + 4));   \
            h[i] = op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));                          \
        }                                                                                                           \
        for (int i = 0; i < 4; i++)                                                                                 \
            q[i] = op(_mm512_shuffle_f32x4(h[i], h[i + 4], 0x88), _mm512_shuffle_f32x4(h[i], h[i + 4], 0xdd));      \
        const vec e = op(_mm512_shuffle_ps(q[0], q[1], 0x44), _mm512_shuffle_ps(q[0], q[1], 0xee));                 \
        const vec f = op(_mm512_shuffle_ps(q[2], q[3], 0x44), _mm512_shuffle_ps(q[2], q[3], 0xee));                 \
        return op(_mm512_shuffle_ps(e, f, 0x88), _mm512_shuffle_ps(e, f, 0xdd));                                    \
    }
FOLD(vec_fold_sum, _mm512_add_ps)
FOLD(vec_fold_max, _mm512_max_ps)

/* Pairs (2i, 2i+1): the first or second of each twice, exchanged, and a*b -+ c (first: -, second: +). */
INLINE vec vec_firsts(vec a) { return _mm512_moveldup_ps(a); }
INLINE vec vec_seconds(vec a) { return _mm512_movehdup_ps(a); }
INLINE vec vec_exchange(vec a) { return _mm512_permute_ps(a, 0xb1); }
INLINE vec vec_fmaddsub(vec a, vec b, vec c) { return _mm512_fmaddsub_ps(a, b, c); }
/* Sums in double of the squares of two vectors; lane by lane. */
struct squares { __m512d s[4]; };
INLINE void squares_add(struct squares *q, vec a, vec b)
{
    const __m512d d[4] = { _mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)),
                           _mm512_cvtps_pd(_mm512_castps512_ps256(b)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(b, 1)) };
    for (int i = 0; i < 4; i++)
        q->s[i] = _mm512_fmadd_pd(d[i], d[i], q->s[i]);
}
INLINE double squares_sum(const struct squares *q)
{
    double lane[8];
    _mm512_storeu_pd(lane, _mm512_add_pd(_mm512_add_pd(q->s[0], q->s[1]), _mm512_add_pd(q->s[2], q->s[3])));
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}
#endif
