/* minhash.c - least values of permutations at avx2: 16 in registers.  There is no product of 64 bits: three of 32. */
#include "cpu/avx2/vec.h"

#define TILE 4      /* registers of 4 values */

/* p: a's lower and upper halves come from the same register; x_high: x >> 32. */
INLINE __m256i permuted(__m256i x, __m256i x_high, __m256i a, __m256i b)
{
    const __m256i m = _mm256_set1_epi64x((int64_t)MERSENNE_61);
    const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(x_high, a), _mm256_mul_epu32(x, _mm256_srli_epi64(a, 32)));
    const __m256i v = _mm256_add_epi64(_mm256_add_epi64(_mm256_mul_epu32(x, a), _mm256_slli_epi64(cross, 32)), b);
    const __m256i w = _mm256_add_epi64(_mm256_and_si256(v, m), _mm256_srli_epi64(v, 61)), less = _mm256_sub_epi64(w, m);
    return _mm256_castpd_si256(_mm256_blendv_pd(_mm256_castsi256_pd(less), _mm256_castsi256_pd(w), _mm256_castsi256_pd(less)));
}

/* All values are below 2^62, so that comparing with a sign does no harm. */
INLINE __m256i lesser(__m256i a, __m256i b) { return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b)); }

INLINE void tile(int n_vec, size_t n, const uint64_t *x, const uint64_t *a, const uint64_t *b, uint64_t *least)
{
    __m256i r[TILE];
    UNROLL for (int j = 0; j < n_vec; j++)
        r[j] = _mm256_loadu_si256((const __m256i *)least + j);
    for (size_t i = 0; i < n; i++) {
        const __m256i xi = _mm256_set1_epi64x((int64_t)x[i]), high = _mm256_srli_epi64(xi, 32);
        UNROLL for (int j = 0; j < n_vec; j++)
            r[j] = lesser(r[j], permuted(xi, high, _mm256_loadu_si256((const __m256i *)a + j), _mm256_loadu_si256((const __m256i *)b + j)));
    }
    UNROLL for (int j = 0; j < n_vec; j++)
        _mm256_storeu_si256((__m256i *)least + j, r[j]);
}

static void minhash(const struct minhash_perms *p, size_t n, const uint64_t *x, uint64_t *least)
{
    int j = 0;
    for (; j + 4 * TILE <= p->n; j += 4 * TILE)
        tile(TILE, n, x, p->a + j, p->b + j, least + j);
    for (; j < p->n; j += 4)
        tile(1, n, x, p->a + j, p->b + j, least + j);
}

void cpu_avx2_fill_minhash(struct cpu_kernels *k) { k->minhash = minhash; }
