/* kv_i8.h - writes tokens to pages of int8 (attn_paged.h): plain code that each level compiles for itself, to the same bits. */
#ifndef CPU_KV_I8_H
#define CPU_KV_I8_H
#include <math.h>
#include <string.h>
#include "cpu/kernels.h"

/* The scale of a key or value; *inverse: what its numbers are multiplied by, 0 where all become 0. */
static inline float kv_i8_scale(int n, const real *x, float *inverse)
{
    uint32_t top = 0;
    float max;
    for (int c = 0; c < n; c++) {                /* as integers magnitudes have the same order, and no number is above all */
        const float f = (float)x[c];
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        bits &= 0x7fffffff;
        top = bits > top ? bits : top;
    }
    memcpy(&max, &top, sizeof max);
    const int finite = top < 0x7f800000;
    *inverse = finite && max >= 1e-30f ? 127.0f / max : 0;
    return !finite ? NAN : max >= 1e-30f ? max / 127.0f : 0;
}

#define KV_I8_STEP 64
/* n numbers of a row from x, of which so many are there; the rest are zero. */
static inline void kv_i8_round(int n, int there, const real *x, float inverse, int8_t *q)
{
    for (int c = 0; inverse != 0 && c < there; c++)
        q[c] = (int8_t)(int)rintf((float)x[c] * inverse);
    for (int c = inverse != 0 && there > 0 ? there : 0; c < n; c++)
        q[c] = 0;
}

/* Slots slot .. slot+n-1 of a page, of one KV_PART. */
static inline void kv_i8_put_part(int8_t *page, const struct kv_pages *kv, int slot, int n, const real *k, ptrdiff_t ld_k, const real *v, ptrdiff_t ld_v)
{
    const int dk = (kv->dk + 1) / 2 * 2, dv = (kv->dv + 15) / 16 * 16;
    float *scale = (float *)(void *)(page + cpu_kv_page(kv->dk, kv->dv)), inverse[2][KV_PART];
    int8_t q[KV_PART][KV_I8_STEP];
    for (int i = 0; i < n; i++) {
        scale[slot + i] = kv_i8_scale(kv->dk, k + i * ld_k, &inverse[0][i]);
        scale[KV_TOKENS + slot + i] = kv_i8_scale(kv->dv, v + i * ld_v, &inverse[1][i]);
    }
    int8_t *key = page + slot / KV_ROW * KV_ROW * dk + slot % KV_ROW, *value = page + KV_TOKENS * dk;
    for (int c0 = 0; c0 < dk; c0 += KV_I8_STEP) {
        const int width = dk - c0 < KV_I8_STEP ? dk - c0 : KV_I8_STEP, there = kv->dk - c0 < width ? kv->dk - c0 : width;
        for (int i = 0; i < n; i++)
            kv_i8_round(width, there, k + i * ld_k + c0, inverse[0][i], q[i]);
        for (int c = 0; c < width; c++)
            for (int i = 0; i < n; i++)
                key[(c0 + c) * KV_ROW + i] = q[i][c];
    }
    for (int c0 = 0; c0 < dv; c0 += KV_ROW) {
        const int width = dv - c0 < KV_ROW ? dv - c0 : KV_ROW, there = kv->dv - c0 < width ? kv->dv - c0 : width;
        for (int i = 0; i < n; i++)
            kv_i8_round(width, there, v + i * ld_v + c0, inverse[1][i], value + c0 * KV_TOKENS + (slot + i) * width);
    }
}

static inline void kv_i8_put(const struct kv_put *p)
{
    for (int i = 0, n; i < p->n; i += n) {
        const int at = (p->pos0 + i) / KV_TOKENS, slot = (p->pos0 + i) % KV_TOKENS, left = KV_PART - slot % KV_PART;
        n = p->n - i < left ? p->n - i : left;
        kv_i8_put_part((int8_t *)p->kv.base + (size_t)(p->kv.page ? p->kv.page[at] : at) * p->kv.stride, &p->kv, slot, n, p->k + i * p->ld_k, p->ld_k, p->v + i * p->ld_v, p->ld_v);
    }
}
#endif
