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

static void text_counts(size_t n, const char *text, int n_set, const struct text_set *set, uint32_t *count)
{
    uint32_t times[256] = { 0 };
    for (size_t i = 0; i < n; i++)
        times[(unsigned char)text[i]]++;
    for (int k = 0; k < n_set + 2; k++)
        count[k] = 0;
    for (int c = 0; c < 256; c++) {
        for (int k = 0; k < n_set; k++)
            count[k] += c < 128 && set[k].has[c % 16] >> c / 16 & 1 ? times[c] : 0;
        count[n_set] += c >= 0x80 ? times[c] : 0;
        count[n_set + 1] += c >= 0x80 && c < 0xc0 ? times[c] : 0;
    }
}

static void text_pairs(size_t n, const char *text, int n_pair, const struct text_pair *pair, uint64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (i % 64 == 0)
            out[i / 64] = 0;
        for (int k = 0; k < n_pair; k++) {
            const struct text_pair *p = &pair[k];
            const bool has = p->gap < n - i && ((unsigned char)text[i] | p->fold) == p->a && ((unsigned char)text[i + p->gap] | p->fold) == p->b;
            out[i / 64] |= (uint64_t)has << i % 64;
        }
    }
}

void cpu_ref_fill_text(struct cpu_kernels *k) { k->text_masks = text_masks, k->text_counts = text_counts, k->text_pairs = text_pairs; }
