/* text.c - what bytes are, 64 at a time: a comparison gives the mask itself. */
#include "cpu/avx512/vec.h"

INLINE __mmask64 within(__m512i x, char first, char last)
{
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8(first)), _mm512_set1_epi8((char)(last - first)));
}

INLINE void block(__m512i x, struct text_masks *out)
{
    out->space = _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(' ')) | within(x, 9, 13) | within(x, 28, 31);
    out->letter = within(_mm512_or_si512(x, _mm512_set1_epi8(0x20)), 'a', 'z');
    out->high = _mm512_movepi8_mask(x);
}

static void text_masks(size_t n, const char *text, struct text_masks *out)
{
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        block(_mm512_loadu_si512(text + i), out++);
    if (i < n)
        block(_mm512_maskz_loadu_epi8(((__mmask64)1 << (n - i)) - 1, text + i), out);
}

void cpu_avx512_fill_text(struct cpu_kernels *k) { k->text_masks = text_masks; }
