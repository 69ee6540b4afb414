/* words.c - what bytes are, one after the other. */
#include <string.h>
#include "cpu/kernels.h"

static bool is_letter(unsigned char c) { return c >= 128 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }
static bool is_sign(unsigned char c) { return c > ' ' && c < 127 && !is_letter(c) && !strchr(".,;:!?'\"()-", c); }

static void word_masks(const char *text, struct word_masks *out)
{
    *out = (struct word_masks){ 0 };
    for (int i = 0; i < 64; i++) {
        const unsigned char c = (unsigned char)text[i];
        out->letter |= (uint64_t)is_letter(c) << i;
        out->quote |= (uint64_t)(c == '\'') << i;
        out->sign |= (uint64_t)is_sign(c) << i;
    }
}

void cpu_ref_fill_words(struct cpu_kernels *k) { k->word_masks = word_masks; }
