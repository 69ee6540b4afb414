/* gemm.c - products at avx512: tiles of 14 rows by 2 panels, 28 sums in registers; per k 2 loads, 14 broadcasts, 28
 * multiply-adds.  bf16 weights are expanded in registers (a shift, an and), which costs 4 of 60 instructions. */
#include "cpu/avx512/vec.h"

#define MR 14
#define TILE_PANELS 2
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#include "cpu/simd/gemm.inc"

/* 16 rows of the source by 16 k; rows past N and k past K give zeros. */
INLINE void load_square(const struct pack *p, int n, int k, __m512i v[16])
{
    for (int i = 0; i < 16; i++)
        v[i] = n + i < p->N ? _mm512_castps_si512(source(p, n + i, k, p->K - k)) : _mm512_setzero_si512();
}

static void pack_rows(const struct pack *p)
{
    for (int n = 0; n < p->N; n += PANEL) {
        float *out = (float *)p->out + n / PANEL * p->panel;
        for (int k = 0; k < p->K; k += 16) {
            __m512i v[16];
            load_square(p, n, k, v);
            vec_transpose(v);
            for (int i = 0; i < 16 && k + i < p->K; i++)
                _mm512_storeu_si512(out + (k + i) * PANEL, v[i]);
        }
    }
}

/* 32 k of source row r, n of them there, as 16 pairs; others are 0. */
INLINE __m512i pairs_of(const struct pack *p, int r, int k, int n)
{
    if (p->src_bf16 && n >= 32)
        return _mm512_loadu_si512(row_bf16(p, r) + k);
    const __m512i low = _mm512_srli_epi32(vec_bf16_high(source(p, r, k, n)), 16), high = _mm512_srli_epi32(vec_bf16_high(source(p, r, k + 16, n - 16)), 16);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high), 1);
}

/* Pairs are transposed like floats. */
static void pack_rows_bf16(const struct pack *p)
{
    for (int n = 0; n < p->N; n += PANEL) {
        bf16 *out = (bf16 *)p->out + n / PANEL * p->panel;
        for (int k = 0; k < p->K; k += 32) {
            __m512i v[16];
            for (int i = 0; i < 16; i++)
                v[i] = n + i < p->N ? pairs_of(p, n + i, k, p->K - k) : _mm512_setzero_si512();
            vec_transpose(v);
            for (int i = 0; i < 16 && k + 2 * i < p->K; i++)
                _mm512_storeu_si512(out + (k + 2 * i) * PANEL, v[i]);
        }
    }
}

/* ---- limits of the machine ---- */

#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

static double peak_f32(int64_t n)
{
#define S(i) __m512 s##i = _mm512_setzero_ps();
    TWELVE(S)
#undef S
    const __m512 x = _mm512_set1_ps(1.0f), y = _mm512_set1_ps(1e-9f);
    for (int64_t i = 0; i < n; i++) {
#define S(j) __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(s##j) : "v"(x), "v"(y));
        TWELVE(S)
#undef S
    }
    return (double)n * 12 * 16 * 2;
}

static double peak_int8(int64_t n)
{
#define S(i) __m512i s##i = _mm512_setzero_si512();
    TWELVE(S)
#undef S
    const __m512i x = _mm512_set1_epi8(1);
    for (int64_t i = 0; i < n; i++) {
#define S(j) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(s##j) : "v"(x));
        TWELVE(S)
#undef S
    }
    return (double)n * 12 * 64 * 2;
}

static uint64_t read_bytes(size_t n, const void *p)
{
    const char *at = p;
    __m512i s[4] = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512() };
    for (size_t i = 0; i < n; i += 256)
        for (int j = 0; j < 4; j++)
            s[j] = _mm512_add_epi64(s[j], _mm512_loadu_si512(at + i + j * 64));
    uint64_t lane[8], sum = 0;
    _mm512_storeu_si512(lane, _mm512_add_epi64(_mm512_add_epi64(s[0], s[1]), _mm512_add_epi64(s[2], s[3])));
    for (int i = 0; i < 8; i++)
        sum += lane[i];
    return sum;
}

void cpu_avx512_fill_gemm(struct cpu_kernels *k)
{
    k->gemm = gemm;
    k->gemm_bf16 = gemm_bf16;
    k->gemm_f16 = gemm_f16;
    k->pack_cols = pack_cols;
    k->pack_rows = pack_rows;
    k->pack_cols_bf16 = pack_cols_bf16;
    k->pack_rows_bf16 = pack_rows_bf16;
    k->pack_pairs_bf16 = pack_pairs_bf16;
    k->peak_f32 = k->peak_bf16 = peak_f32;       /* gemm_bf16 multiplies floats here */
    k->peak_int8 = peak_int8;
    k->read_bytes = read_bytes;
}
