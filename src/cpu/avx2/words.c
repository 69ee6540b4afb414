/* words.c - what 64 bytes are, by their halves: what the lower half may be and the upper half is have a bit in common.
 *
 * Bits 0 to 4: signs of rows 2, 3, 4 and 6, 5, 7 of ASCII; bits 5 to 7: digits, letters of rows 4 and 6, of rows 5 and 7.  Bytes from 0x80 on
 * look up 0 by their lower half, and are letters by their sign. */
#include "cpu/avx2/vec.h"

#define SIGNS 0x1f
#define LETTERS ((char)0xe0)

INLINE __m256i both_halves(__m128i table) { return _mm256_broadcastsi128_si256(table); }

INLINE __m256i kinds(__m256i x)
{
    const __m256i low = both_halves(_mm_setr_epi8((char)0xa4, (char)0xe0, (char)0xe0, (char)0xe1, (char)0xe1, (char)0xe1, (char)0xe1, (char)0xe0, (char)0xe0, (char)0xe0, (char)0xc1, 0x59, 0x5a, 0x5a, 0x5a, 0x49));
    const __m256i high = both_halves(_mm_setr_epi8(0, 0, 1, 0x22, 0x44, (char)0x88, 0x44, (char)0x90, 0, 0, 0, 0, 0, 0, 0, 0));
    return _mm256_and_si256(_mm256_shuffle_epi8(low, x), _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15))));
}

INLINE uint32_t zeros(__m256i x) { return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, _mm256_setzero_si256())); }

INLINE uint64_t join(uint32_t a, uint32_t b) { return a | (uint64_t)b << 32; }

static void word_masks(const char *text, struct word_masks *out)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)text), b = _mm256_loadu_si256((const __m256i *)(text + 32));
    const __m256i ka = kinds(a), kb = kinds(b), l = _mm256_set1_epi8(LETTERS), s = _mm256_set1_epi8(SIGNS), q = _mm256_set1_epi8('\'');
    out->letter = ~join(zeros(_mm256_and_si256(ka, l)), zeros(_mm256_and_si256(kb, l))) | join((uint32_t)_mm256_movemask_epi8(a), (uint32_t)_mm256_movemask_epi8(b));
    out->sign = ~join(zeros(_mm256_and_si256(ka, s)), zeros(_mm256_and_si256(kb, s)));
    out->quote = join((uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, q)), (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, q)));
}

void cpu_avx2_fill_words(struct cpu_kernels *k) { k->word_masks = word_masks; }
