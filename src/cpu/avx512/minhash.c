/* minhash.c - shingles and signatures of texts at avx512.
 *
 * XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) of eight runs of up to 63 bytes at a time, as shingles of words are: one by one they cost
 * most in branches that nobody foresees.  Here each step is done for the lanes that have it, whose bytes are in registers from the start.
 *
 * Least values: 56 in registers, 7 instructions for 8 of them and a shingle.  v mod (2^61 - 1) is w = (v & (2^61 - 1)) + (v >> 61), less
 * 2^61 - 1 where that is not below it, once in 2^58 values.  So w is taken for it, and the largest w tells whether that was right; if not the tile is
 * computed again with the two instructions more. */
#include "cpu/avx512/vec.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- XXH64 ---- */

#define P1 _mm512_set1_epi64((int64_t)0x9e3779b185ebca87u)
#define P2 _mm512_set1_epi64((int64_t)0xc2b2ae3d27d4eb4fu)
#define P3 _mm512_set1_epi64(0x165667b19e3779f9)
#define P4 _mm512_set1_epi64((int64_t)0x85ebca77c2b2ae63u)
#define P5 _mm512_set1_epi64(0x27d4eb2f165667c5)

INLINE __m512i mul(__m512i a, __m512i b) { return _mm512_mullo_epi64(a, b); }
INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }
INLINE __m512i turn(__m512i acc, __m512i in) { return mul(_mm512_rol_epi64(add(acc, mul(in, P2)), 31), P1); }
INLINE __m512i merge(__m512i h, __m512i v) { return add(mul(_mm512_xor_si512(h, turn(_mm512_setzero_si512(), v)), P1), P4); }

/* Word k of each of eight runs of at most 63 bytes, with zeros behind its end, in w[k]: loads that read no more, and a transposed matrix.  With few only
 * the first four. */
INLINE void words_of(const char *const *at, const uint32_t *len, bool few, __m512i w[8])
{
    __m512i r[8], pair[8];
    UNROLL for (int i = 0; i < 8; i++)
        r[i] = _mm512_maskz_loadu_epi8(_bzhi_u64(UINT64_MAX, len[i] < 64 ? len[i] : 0), at[i]);
    UNROLL for (int i = 0; i < 8; i += 2)
        pair[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]), pair[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    UNROLL for (int k = 0; k < 2; k++) {         /* words of even, of odd numbers */
        const __m512i a = _mm512_shuffle_i64x2(pair[k], pair[k + 2], 0x44), b = _mm512_shuffle_i64x2(pair[k + 4], pair[k + 6], 0x44);
        w[k] = _mm512_shuffle_i64x2(a, b, 0x88), w[k + 2] = _mm512_shuffle_i64x2(a, b, 0xdd);
        if (few)
            continue;
        const __m512i c = _mm512_shuffle_i64x2(pair[k], pair[k + 2], 0xee), d = _mm512_shuffle_i64x2(pair[k + 4], pair[k + 6], 0xee);
        w[k + 4] = _mm512_shuffle_i64x2(c, d, 0x88), w[k + 6] = _mm512_shuffle_i64x2(c, d, 0xdd);
    }
}

/* Of the first 32 bytes. */
INLINE __m512i stripe(const __m512i w[4])
{
    const __m512i v1 = turn(add(P1, P2), w[0]), v2 = turn(P2, w[1]), v3 = turn(_mm512_setzero_si512(), w[2]), v4 = turn(_mm512_sub_epi64(_mm512_setzero_si512(), P1), w[3]);
    const __m512i sum = add(add(_mm512_rol_epi64(v1, 1), _mm512_rol_epi64(v2, 7)), add(_mm512_rol_epi64(v3, 12), _mm512_rol_epi64(v4, 18)));
    return merge(merge(merge(merge(sum, v1), v2), v3), v4);
}

/* w: the words from the last whole 32 bytes on; h: of what is before them. */
INLINE __m512i rest_of(const __m512i w[4], __m512i n, __m512i h)
{
    const __m512i rest = _mm512_and_si512(n, _mm512_set1_epi64(31));
    __m512i last = w[0];                         /* the word that is not whole */
    h = add(h, n);
    UNROLL for (int i = 0; i < 3; i++) {
        const __mmask8 has = _mm512_cmpge_epu64_mask(rest, _mm512_set1_epi64(8 * i + 8));
        const __m512i k = turn(_mm512_setzero_si512(), w[i]);
        h = _mm512_mask_mov_epi64(h, has, add(mul(_mm512_rol_epi64(_mm512_xor_si512(h, k), 27), P1), P4));
        last = _mm512_mask_mov_epi64(last, has, w[i + 1]);
    }
    const __mmask8 has_half = _mm512_test_epi64_mask(rest, _mm512_set1_epi64(4));
    const __m512i half = _mm512_and_si512(last, _mm512_set1_epi64(0xffffffff));
    h = _mm512_mask_mov_epi64(h, has_half, add(mul(_mm512_rol_epi64(_mm512_xor_si512(h, mul(half, P1)), 23), P2), P3));
    last = _mm512_mask_srli_epi64(last, has_half, last, 32);
    const __m512i few = _mm512_and_si512(n, _mm512_set1_epi64(3));
    UNROLL for (int i = 0; i < 3; i++) {
        const __mmask8 has = _mm512_cmpgt_epu64_mask(few, _mm512_set1_epi64(i));
        const __m512i byte = _mm512_and_si512(_mm512_srli_epi64(last, (unsigned)(8 * i)), _mm512_set1_epi64(255));
        h = _mm512_mask_mov_epi64(h, has, mul(_mm512_rol_epi64(_mm512_xor_si512(h, mul(byte, P5)), 11), P1));
    }
    h = mul(_mm512_xor_si512(h, _mm512_srli_epi64(h, 33)), P2);
    h = mul(_mm512_xor_si512(h, _mm512_srli_epi64(h, 29)), P3);
    return _mm512_xor_si512(h, _mm512_srli_epi64(h, 32));
}

/* What it gives for runs of more than 63 bytes is not used. */
INLINE __m512i eight(const char *const *at, const uint32_t *len)
{
    const __m512i n = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)len));
    const __mmask8 is_long = _mm512_cmpge_epu64_mask(n, _mm512_set1_epi64(32));
    __m512i w[8], h = P5;
    if (!is_long) {
        words_of(at, len, true, w);
        return rest_of(w, n, h);
    }
    words_of(at, len, false, w);
    h = _mm512_mask_mov_epi64(h, is_long, stripe(w));
    UNROLL for (int i = 0; i < 4; i++)
        w[i] = _mm512_mask_mov_epi64(w[i], is_long, w[i + 4]);
    return rest_of(w, n, h);
}

static void xxh64(size_t n, const char *const *at, const uint32_t *len, uint64_t *hash)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm512_storeu_si512(hash + i, eight(at + i, len + i));
        unsigned more = _mm256_cmpgt_epu32_mask(_mm256_loadu_si256((const __m256i *)(len + i)), _mm256_set1_epi32(63));
        for (; more; more &= more - 1)
            hash[i + (size_t)__builtin_ctz(more)] = XXH64(at[i + (size_t)__builtin_ctz(more)], len[i + (size_t)__builtin_ctz(more)], 0);
    }
    for (; i < n; i++)
        hash[i] = XXH64(at[i], len[i], 0);
}

/* ---- least values ---- */

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

void cpu_avx512_fill_minhash(struct cpu_kernels *k) { k->xxh64 = xxh64, k->minhash = minhash; }
