/* gemm.c - products at avx2: tiles of 6 rows by one panel (two ymm), 12 sums in registers. */
#include "cpu/avx2/vec.h"

#define MR 6
#define TILE_PANELS 1
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "cpu/simd/gemm.inc"

static void pack_rows(const struct pack *p)
{
    for (int n = 0; n < p->N; n += PANEL) {
        float *out = (float *)p->out + n / PANEL * p->panel;
        for (int i = 0; i < PANEL; i++)
            for (int k = 0; k < p->K; k += VEC) {
                float row[VEC];
                vec_store(row, n + i < p->N ? source(p, n + i, k, p->K - k) : vec_zero());
                for (int j = 0; j < VEC && k + j < p->K; j++)
                    out[(k + j) * PANEL + i] = row[j];
            }
    }
}

static void pack_rows_bf16(const struct pack *p)
{
    for (int n = 0; n < p->N; n += PANEL) {
        bf16 *out = (bf16 *)p->out + n / PANEL * p->panel;
        for (int i = 0; i < PANEL; i++)
            for (int k = 0; k < p->K; k += VEC) {
                bf16 row[VEC];
                vec_store_bf16(row, n + i < p->N ? source(p, n + i, k, p->K - k) : vec_zero());
                for (int j = 0; j < VEC && k + j < p->K; j += 2)
                    memcpy(out + (k + j) * PANEL + i * 2, row + j, 4);
            }
    }
}

#define TEN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)

static double peak_f32(int64_t n)
{
#define S(i) __m256 s##i = _mm256_setzero_ps();
    TEN(S)
#undef S
    const __m256 x = _mm256_set1_ps(1.0f), y = _mm256_set1_ps(1e-9f);
    for (int64_t i = 0; i < n; i++) {
#define S(j) __asm__ volatile("vfmadd231ps %1, %2, %0" : "+x"(s##j) : "x"(x), "x"(y));
        TEN(S)
#undef S
    }
    return (double)n * 10 * 8 * 2;
}

/* Signed times unsigned bytes to pairs, pairs to dwords, sum: the best that AVX2 has. */
static double peak_int8(int64_t n)
{
#define S(i) __m256i s##i = _mm256_setzero_si256(), t##i;
    TEN(S)
#undef S
    const __m256i x = _mm256_set1_epi8(1), one = _mm256_set1_epi16(1);
    for (int64_t i = 0; i < n; i++) {
#define S(j) __asm__ volatile("vpmaddubsw %2, %2, %1\n\tvpmaddwd %3, %1, %1\n\tvpaddd %1, %0, %0" : "+x"(s##j), "=&x"(t##j) : "x"(x), "x"(one));
        TEN(S)
#undef S
    }
    return (double)n * 10 * 32 * 2;
}

static uint64_t read_bytes(size_t n, const void *p)
{
    const char *at = p;
    __m256i s[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256() };
    for (size_t i = 0; i < n; i += 128)
        for (int j = 0; j < 4; j++)
            s[j] = _mm256_add_epi64(s[j], _mm256_loadu_si256((const void *)(at + i + j * 32)));
    uint64_t lane[4];
    _mm256_storeu_si256((void *)lane, _mm256_add_epi64(_mm256_add_epi64(s[0], s[1]), _mm256_add_epi64(s[2], s[3])));
    return lane[0] + lane[1] + lane[2] + lane[3];
}

void cpu_avx2_fill_gemm(struct cpu_kernels *k)
{
    k->gemm = gemm;
    k->gemm_bf16 = gemm_bf16;
    k->gemm_f16 = gemm_f16;
    k->pack_cols = pack_cols;
    k->pack_rows = pack_rows;
    k->pack_cols_bf16 = pack_cols_bf16;
    k->pack_rows_bf16 = pack_rows_bf16;
    k->pack_pairs_bf16 = pack_pairs_bf16;
    k->peak_f32 = k->peak_bf16 = peak_f32;
    k->peak_int8 = peak_int8;
    k->read_bytes = read_bytes;
}
