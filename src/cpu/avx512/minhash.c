/* minhash.c - least values of permutations at avx512: 56 in registers, 7 instructions for 8 of them and a shingle.
 *
 * v mod (2^61 - 1) is w = (v & (2^61 - 1)) + (v >> 61), less 2^61 - 1 where that is not below it, once in 2^58 values.  So w is taken for
 * it, and the largest w tells whether that was right; if not the tile is computed again with the two instructions more. */
#include "cpu/avx512/vec.h"

#define TILE 7      /* registers of 8 values; two tiles are datatrove's 112 */

INLINE __m512i almost(__m512i x, __m512i a, __m512i b)
{
    const __m512i v = _mm512_add_epi64(_mm512_mullo_epi64(x, a), b);
    return _mm512_add_epi64(_mm512_and_si512(v, _mm512_set1_epi64((int64_t)MERSENNE_61)), _mm512_srli_epi64(v, 61));
}

/* True: some w was not below 2^61 - 1, and nothing was stored. */
INLINE bool tile(bool exact, int n_vec, size_t n, const uint64_t *x, const uint64_t *a, const uint64_t *b, uint64_t *least)
{
    const __m512i m = _mm512_set1_epi64((int64_t)MERSENNE_61);
    __m512i r[TILE], most = _mm512_setzero_si512();
    UNROLL for (int j = 0; j < n_vec; j++)
        r[j] = _mm512_loadu_si512(least + 8 * j);
    for (size_t i = 0; i < n; i++) {
        const __m512i xi = _mm512_set1_epi64((int64_t)x[i]);
        UNROLL for (int j = 0; j < n_vec; j++) {
            __m512i w = almost(xi, _mm512_loadu_si512(a + 8 * j), _mm512_loadu_si512(b + 8 * j));
            if (exact)
                w = _mm512_min_epu64(w, _mm512_sub_epi64(w, m));
            else
                most = _mm512_max_epu64(most, w);
            r[j] = _mm512_min_epu64(r[j], w);
        }
    }
    if (!exact && _mm512_cmpge_epu64_mask(most, m))
        return true;
    UNROLL for (int j = 0; j < n_vec; j++)
        _mm512_storeu_si512(least + 8 * j, r[j]);
    return false;
}

static void minhash(const struct minhash_perms *p, size_t n, const uint64_t *x, uint64_t *least)
{
    int j = 0;
    for (; j + 8 * TILE <= p->n; j += 8 * TILE)
        if (tile(false, TILE, n, x, p->a + j, p->b + j, least + j))
            tile(true, TILE, n, x, p->a + j, p->b + j, least + j);
    for (; j < p->n; j += 8)
        if (tile(false, 1, n, x, p->a + j, p->b + j, least + j))
            tile(true, 1, n, x, p->a + j, p->b + j, least + j);
}

void cpu_avx512_fill_minhash(struct cpu_kernels *k) { k->minhash = minhash; }
