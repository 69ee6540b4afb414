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

/* Sets by two tables of 16: which upper halves a lower half has in the set, and the bit of this upper half, none from 8 on. */
INLINE void count_block(__m512i x, __mmask64 all, int n_set, const struct text_set *set, uint32_t *count)
{
    const __m512i low = _mm512_set1_epi8(15), power = _mm512_broadcast_i32x4(_mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m512i l = _mm512_and_si512(x, low), h = _mm512_shuffle_epi8(power, _mm512_and_si512(_mm512_srli_epi16(x, 4), low));
    for (int k = 0; k < n_set; k++) {
        const __m512i has = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)set[k].has));
        count[k] += (uint32_t)_mm_popcnt_u64(_mm512_mask_test_epi8_mask(all, _mm512_shuffle_epi8(has, l), h));
    }
    count[n_set] += (uint32_t)_mm_popcnt_u64(_mm512_movepi8_mask(x));
    count[n_set + 1] += (uint32_t)_mm_popcnt_u64(_mm512_cmplt_epi8_mask(x, _mm512_set1_epi8((char)0xc0)));
}

static void text_counts(size_t n, const char *text, int n_set, const struct text_set *set, uint32_t *count)
{
    size_t i = 0;
    for (int k = 0; k < n_set + 2; k++)
        count[k] = 0;
    for (; i + 64 <= n; i += 64)
        count_block(_mm512_loadu_si512(text + i), UINT64_MAX, n_set, set, count);
    if (i < n) {
        const __mmask64 all = ((__mmask64)1 << (n - i)) - 1;
        count_block(_mm512_maskz_loadu_epi8(all, text + i), all, n_set, set, count);
    }
}

INLINE uint64_t pairs_at(const char *text, int n_pair, const struct text_pair *pair)
{
    const __m512i x = _mm512_loadu_si512(text);
    uint64_t found = 0;
    for (int k = 0; k < n_pair; k++) {
        const struct text_pair *p = &pair[k];
        const __m512i with = _mm512_set1_epi8((char)p->fold), y = _mm512_loadu_si512(text + p->gap);
        const __mmask64 a = _mm512_cmpeq_epi8_mask(_mm512_or_si512(x, with), _mm512_set1_epi8((char)p->a));
        found |= _mm512_mask_cmpeq_epi8_mask(a, _mm512_or_si512(y, with), _mm512_set1_epi8((char)p->b));
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

void cpu_avx512_fill_text(struct cpu_kernels *k) { k->text_masks = text_masks, k->text_counts = text_counts, k->text_pairs = text_pairs; }
