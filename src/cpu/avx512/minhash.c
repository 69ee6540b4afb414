/* minhash.c - shingles and signatures of texts at avx512.
 *
 * XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) of eight runs of 8 to 63 bytes at a time, as shingles of words are: one by one they cost
 * most in branches that nobody foresees.  Here each step is done for the lanes that have it.
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
INLINE __m512i words(__mmask8 which, __m512i at) { return _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), which, at, NULL, 1); }
INLINE __m512i halves(__mmask8 which, __m512i at) { return _mm512_cvtepu32_epi64(_mm512_mask_i64gather_epi32(_mm256_setzero_si256(), which, at, NULL, 1)); }

INLINE __m512i turn(__m512i acc, __m512i in) { return mul(_mm512_rol_epi64(add(acc, mul(in, P2)), 31), P1); }
INLINE __m512i merge(__m512i h, __m512i v) { return add(mul(_mm512_xor_si512(h, turn(_mm512_setzero_si512(), v)), P1), P4); }

/* The first 32 bytes of the lanes that have as many. */
INLINE __m512i stripe(__mmask8 which, __m512i at)
{
    const __m512i v1 = turn(add(P1, P2), words(which, at)), v2 = turn(P2, words(which, add(at, _mm512_set1_epi64(8))));
    const __m512i v3 = turn(_mm512_setzero_si512(), words(which, add(at, _mm512_set1_epi64(16))));
    const __m512i v4 = turn(_mm512_sub_epi64(_mm512_setzero_si512(), P1), words(which, add(at, _mm512_set1_epi64(24))));
    const __m512i sum = add(add(_mm512_rol_epi64(v1, 1), _mm512_rol_epi64(v2, 7)), add(_mm512_rol_epi64(v3, 12), _mm512_rol_epi64(v4, 18)));
    return merge(merge(merge(merge(sum, v1), v2), v3), v4);
}

INLINE __m512i eight(__m512i at, __m512i n)
{
    const __mmask8 all = 0xff, is_long = _mm512_cmpge_epu64_mask(n, _mm512_set1_epi64(32));
    const __m512i end = add(at, n), rest = _mm512_and_si512(n, _mm512_set1_epi64(31));
    __m512i h = P5;
    if (is_long)
        h = _mm512_mask_mov_epi64(h, is_long, stripe(is_long, at));
    at = _mm512_sub_epi64(end, rest);
    h = add(h, n);
    UNROLL for (int i = 0; i < 3; i++) {
        const __mmask8 has = _mm512_cmpge_epu64_mask(rest, _mm512_set1_epi64(8 * i + 8));
        const __m512i k = turn(_mm512_setzero_si512(), words(has, add(at, _mm512_set1_epi64(8 * i))));
        h = _mm512_mask_mov_epi64(h, has, add(mul(_mm512_rol_epi64(_mm512_xor_si512(h, k), 27), P1), P4));
    }
    const __mmask8 has_half = _mm512_test_epi64_mask(rest, _mm512_set1_epi64(4));
    const __m512i half = halves(has_half, add(at, _mm512_and_si512(rest, _mm512_set1_epi64(24))));
    h = _mm512_mask_mov_epi64(h, has_half, add(mul(_mm512_rol_epi64(_mm512_xor_si512(h, mul(half, P1)), 23), P2), P3));
    /* The last one to three bytes are the upper ones of the last four. */
    const __m512i few = _mm512_and_si512(n, _mm512_set1_epi64(3));
    __m512i last = halves(all, _mm512_sub_epi64(end, _mm512_set1_epi64(4)));
    last = _mm512_srlv_epi64(last, _mm512_slli_epi64(_mm512_sub_epi64(_mm512_set1_epi64(4), few), 3));
    UNROLL for (int i = 0; i < 3; i++) {
        const __mmask8 has = _mm512_cmpgt_epu64_mask(few, _mm512_set1_epi64(i));
        const __m512i byte = _mm512_and_si512(_mm512_srli_epi64(last, (unsigned)(8 * i)), _mm512_set1_epi64(255));
        h = _mm512_mask_mov_epi64(h, has, mul(_mm512_rol_epi64(_mm512_xor_si512(h, mul(byte, P5)), 11), P1));
    }
    h = mul(_mm512_xor_si512(h, _mm512_srli_epi64(h, 33)), P2);
    h = mul(_mm512_xor_si512(h, _mm512_srli_epi64(h, 29)), P3);
    return _mm512_xor_si512(h, _mm512_srli_epi64(h, 32));
}

static void xxh64(size_t n, const char *const *at, const uint32_t *len, uint64_t *hash)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m512i l = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(len + i)));
        const __mmask8 other = _mm512_cmpge_epu64_mask(_mm512_sub_epi64(l, _mm512_set1_epi64(8)), _mm512_set1_epi64(56));
        /* Lanes of other lengths take the place of one that has such a length; their hashes are made one by one. */
        if (other != 0xff) {
            const __m512i p = _mm512_loadu_si512(at + i);
            const int good = __builtin_ctz(~(unsigned)other);
            _mm512_storeu_si512(hash + i, eight(_mm512_mask_set1_epi64(p, other, (int64_t)(intptr_t)at[i + (size_t)good]), _mm512_mask_set1_epi64(l, other, len[i + (size_t)good])));
        }
        for (unsigned o = other; o; o &= o - 1)
            hash[i + (size_t)__builtin_ctz(o)] = XXH64(at[i + (size_t)__builtin_ctz(o)], len[i + (size_t)__builtin_ctz(o)], 0);
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
