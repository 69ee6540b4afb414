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

void cpu_avx2_fill_text(struct cpu_kernels *k) { k->text_masks = text_masks; }
