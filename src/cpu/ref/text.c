/* text.c - what bytes are, one after the other. */
#include "cpu/kernels.h"

static void text_masks(size_t n, const char *text, struct text_masks *out)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        const uint64_t bit = (uint64_t)1 << i % 64;
        struct text_masks *m = &out[i / 64];
        if (i % 64 == 0)
            *m = (struct text_masks){ 0 };
        m->space |= c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31) ? bit : 0;
        m->letter |= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? bit : 0;
        m->high |= c >= 0x80 ? bit : 0;
    }
}

void cpu_ref_fill_text(struct cpu_kernels *k) { k->text_masks = text_masks; }
