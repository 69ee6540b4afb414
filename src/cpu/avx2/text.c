/* text.c - what bytes are, 64 at a time.  A range that ends at b is one comparison of signed bytes once it is moved so that b is 127: bytes from 0x80
 * on then are negative or small. */
#include <string.h>
#include "cpu/avx2/vec.h"

INLINE __m256i within(__m256i x, char first, char last)
{
    return _mm256_cmpgt_epi8(_mm256_add_epi8(x, _mm256_set1_epi8((char)(127 - last))), _mm256_set1_epi8((char)(126 - (last - first))));
}

INLINE uint64_t bits(__m256i a, __m256i b) { return (uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32; }

INLINE __m256i spaces(__m256i x)
{
    return _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8(' ')), _mm256_or_si256(within(x, 9, 13), within(x, 28, 31)));
}

INLINE __m256i letters(__m256i x) { return within(_mm256_or_si256(x, _mm256_set1_epi8(0x20)), 'a', 'z'); }

INLINE void block(const char *text, struct text_masks *out)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)text), b = _mm256_loadu_si256((const __m256i *)(text + 32));
    out->space = bits(spaces(a), spaces(b));
    out->letter = bits(letters(a), letters(b));
    out->high = bits(a, b);
}

static void text_masks(size_t n, const char *text, struct text_masks *out)
{
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        block(text + i, out++);
    if (i < n) {
        char rest[64] = { 0 };
        memcpy(rest, text + i, n - i);
        block(rest, out);
    }
}

/* Sets by two tables of 16: which upper halves a lower half has in the set, and the bit of this upper half, none from 8 on. */
INLINE void count_block(const char *text, int n_set, const struct text_set *set, uint32_t *count)
{
    const __m256i low = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
    const __m256i power = _mm256_setr_epi64x((int64_t)0x8040201008040201u, 0, (int64_t)0x8040201008040201u, 0);
    const __m256i a = _mm256_loadu_si256((const __m256i *)text), b = _mm256_loadu_si256((const __m256i *)(text + 32));
    const __m256i la = _mm256_and_si256(a, low), lb = _mm256_and_si256(b, low);
    const __m256i ha = _mm256_shuffle_epi8(power, _mm256_and_si256(_mm256_srli_epi16(a, 4), low));
    const __m256i hb = _mm256_shuffle_epi8(power, _mm256_and_si256(_mm256_srli_epi16(b, 4), low));
    for (int k = 0; k < n_set; k++) {
        const __m256i has = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)set[k].has));
        const __m256i not_a = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(has, la), ha), zero);
        const __m256i not_b = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(has, lb), hb), zero);
        count[k] += (uint32_t)(64 - _mm_popcnt_u64(bits(not_a, not_b)));
    }
    const __m256i lead = _mm256_set1_epi8((char)0xc0);
    count[n_set] += (uint32_t)_mm_popcnt_u64(bits(a, b));
    count[n_set + 1] += (uint32_t)_mm_popcnt_u64(bits(_mm256_cmpgt_epi8(lead, a), _mm256_cmpgt_epi8(lead, b)));
}

static void text_counts(size_t n, const char *text, int n_set, const struct text_set *set, uint32_t *count)
{
    size_t i = 0;
    memset(count, 0, (size_t)(n_set + 2) * sizeof *count);
    for (; i + 64 <= n; i += 64)
        count_block(text + i, n_set, set, count);
    if (i < n) {
        char rest[64] = { 0 };
        memcpy(rest, text + i, n - i);
        count_block(rest, n_set, set, count);
        for (int k = 0; k < n_set; k++)
            count[k] -= set[k].has[0] & 1 ? (uint32_t)(64 - (n - i)) : 0;      /* zeros that are not there */
    }
}

INLINE __m256i fold(const char *s, __m256i with) { return _mm256_or_si256(_mm256_loadu_si256((const __m256i *)s), with); }

INLINE uint64_t pairs_at(const char *text, int n_pair, const struct text_pair *pair)
{
    uint64_t found = 0;
    for (int k = 0; k < n_pair; k++) {
        const struct text_pair *p = &pair[k];
        const char *s = text, *t = text + p->gap;
        const __m256i with = _mm256_set1_epi8((char)p->fold), a = _mm256_set1_epi8((char)p->a), b = _mm256_set1_epi8((char)p->b);
        found |= bits(_mm256_and_si256(_mm256_cmpeq_epi8(fold(s, with), a), _mm256_cmpeq_epi8(fold(t, with), b)),
                      _mm256_and_si256(_mm256_cmpeq_epi8(fold(s + 32, with), a), _mm256_cmpeq_epi8(fold(t + 32, with), b)));
    }
    return found;
}

static void text_pairs(size_t n, const char *text, int n_pair, const struct text_pair *pair, uint64_t *out)
{
    size_t gap = 0, i = 0;
    for (int k = 0; k < n_pair; k++)
        gap = pair[k].gap > gap ? pair[k].gap : gap;
    for (; i + 64 + gap <= n; i += 64)
        out[i / 64] = pairs_at(text + i, n_pair, pair);
    if (i < n)
        cpu_levels()[0]->text_pairs(n - i, text + i, n_pair, pair, out + i / 64);
}

void cpu_avx2_fill_text(struct cpu_kernels *k) { k->text_masks = text_masks, k->text_counts = text_counts, k->text_pairs = text_pairs; }
