/* attn_paged.c - attention over pages as it is defined: plain loops in double, range by range. */
#include "cpu/kernels.h"
#include "cpu/kv_i8.h"
#include "cpu/ref/bf16.h"
#include <math.h>

static void *page_at(const struct kv_pages *kv, int t)
{
    const int i = t / KV_TOKENS;
    return (char *)kv->base + (size_t)(kv->page ? kv->page[i] : i) * kv->stride;
}
static int even(int d) { return (d + 1) / 2 * 2; }
static int round_16(int d) { return (d + 15) / 16 * 16; }

/* Where in a page element c of a slot's key or value stands. */
static int key_at(const struct kv_pages *kv, bool b16, int slot, int c)
{
    const int start = slot / KV_ROW * KV_ROW * even(kv->dk), i = slot % KV_ROW;
    return start + (b16 ? (c / 2 * KV_ROW + i) * 2 + c % 2 : c * KV_ROW + i);
}
static int value_at(const struct kv_pages *kv, bool b16, int slot, int c)
{
    const int dv = round_16(kv->dv), c0 = c / KV_ROW * KV_ROW, start = KV_TOKENS * (even(kv->dk) + c0), width = dv - c0 < KV_ROW ? dv - c0 : KV_ROW;
    return start + (b16 ? (slot / 2 * width + c - c0) * 2 + slot % 2 : slot * width + c - c0);
}

static void store(void *page, bool b16, int at, real x)
{
    if (b16)
        ((bf16 *)page)[at] = bf16_of(x);
    else
        ((real *)page)[at] = x;
}
static double value_of(const void *page, enum kv_type type, int at)
{
    return type == KV_I8 ? ((const int8_t *)page)[at] : type == KV_BF16 ? (double)bf16_to_real(((const bf16 *)page)[at]) : (double)((const real *)page)[at];
}
/* Of the key of slot i, of the value of slot i - KV_TOKENS. */
static double scale_of(const struct kv_pages *kv, enum kv_type type, const void *page, int i)
{
    return type == KV_I8 ? (double)((const float *)(const void *)((const char *)page + cpu_kv_page(kv->dk, kv->dv)))[i] : 1;
}

static void put(const struct kv_put *p, bool b16)
{
    const struct kv_pages *kv = &p->kv;
    for (int i = 0; i < p->n; i++) {
        const int slot = (p->pos0 + i) % KV_TOKENS;
        void *page = page_at(kv, p->pos0 + i);
        for (int c = 0; c < even(kv->dk); c++)
            store(page, b16, key_at(kv, b16, slot, c), c < kv->dk ? p->k[i * p->ld_k + c] : 0);
        for (int c = 0; c < round_16(kv->dv); c++)
            store(page, b16, value_at(kv, b16, slot, c), c < kv->dv ? p->v[i * p->ld_v + c] : 0);
    }
}

static double score(const struct attn_paged *p, enum kv_type type, int i, int g, int t)
{
    const void *page = page_at(&p->kv, t);
    double s = 0;
    for (int c = 0; c < p->kv.dk; c++) {
        const real q = p->q[i * p->ld_q + g * p->kv.dk + c];
        s += (type == KV_BF16 ? (double)bf16_to_real(bf16_of(q)) : (double)q) * value_of(page, type, key_at(&p->kv, type == KV_BF16, t % KV_TOKENS, c));
    }
    s *= scale_of(&p->kv, type, page, t % KV_TOKENS) * (double)p->scale;
    return p->softcap > 0 ? (double)p->softcap * tanh(s / (double)p->softcap) : s;
}

/* What keys first .. end-1 give head g of row i: part[dv] sums, then [D] maximum and [D+1] sum, D = dv rounded up. */
static void part_of(const struct attn_paged *p, enum kv_type type, int i, int g, int first, int end, real *part)
{
    const int dv = p->kv.dv, D = round_16(dv);
    double max = -INFINITY, sum = 0;
    for (int t = first; t < end; t++) {
        const double s = score(p, type, i, g, t);
        max = s > max || s != s ? s : max;
    }
    for (int t = first; t < end; t++)
        sum += exp(score(p, type, i, g, t) - max);
    for (int c0 = 0; c0 < D; c0 += PANEL) {
        double o[PANEL] = { 0 };
        for (int t = first; t < end; t++) {
            const void *page = page_at(&p->kv, t);
            const double e = exp(score(p, type, i, g, t) - max) * scale_of(&p->kv, type, page, KV_TOKENS + t % KV_TOKENS);
            for (int c = 0; c < PANEL && c0 + c < dv; c++)
                o[c] += e * value_of(page, type, value_at(&p->kv, type == KV_BF16, t % KV_TOKENS, c0 + c));
        }
        for (int c = 0; c < PANEL; c++)
            part[c0 + c] = (real)o[c];
    }
    part[D] = (real)max, part[D + 1] = (real)sum;
}

/* The running result of a row, in the same form. */
static void begin(const struct attn_paged *p, int g, real *total)
{
    const int D = round_16(p->kv.dv);
    for (int c = 0; c < D; c++)
        total[c] = 0;
    total[D] = p->sink ? p->sink[g] : (real)-INFINITY, total[D + 1] = p->sink ? 1 : 0;
}
static void join(int D, real *total, const real *part)
{
    const double max = total[D] > part[D] ? (double)total[D] : (double)part[D];
    const double a = total[D + 1] == 0 ? 0 : exp((double)total[D] - max), b = part[D + 1] == 0 ? 0 : exp((double)part[D] - max);
    for (int c = 0; c < D; c++)
        total[c] = (real)(a * (double)total[c] + b * (double)part[c]);
    total[D + 1] = (real)(a * (double)total[D + 1] + b * (double)part[D + 1]);
    total[D] = (real)max;
}
static void end(const struct attn_paged *p, int i, int g, const real *total)
{
    const int dv = p->kv.dv, D = round_16(dv);
    for (int c = 0; c < dv; c++)
        store(p->o, p->o_bf16, (int)(i * p->ld_o) + g * dv + c, (real)((double)total[c] / (double)total[D + 1] + 0));
}

/* The keys that the row at pos sees: first .. end-1. */
static int first_key(const struct attn_paged *p, int pos) { return p->window > 0 && pos >= p->window ? pos - p->window + 1 : 0; }
static int end_key(const struct attn_paged *p, int pos) { return p->n_k > 0 ? p->n_k : pos + 1; }

static void range_of(const struct attn_paged *p, enum kv_type type, int i, int g, int range, real *part)
{
    const int pos = p->pos0 + i, low = range * ATTN_RANGE, high = low + ATTN_RANGE;
    part_of(p, type, i, g, first_key(p, pos) > low ? first_key(p, pos) : low, end_key(p, pos) < high ? end_key(p, pos) : high, part);
}

static void whole(const struct attn_paged *p, enum kv_type type)
{
    const int D = round_16(p->kv.dv);
    real *total = p->scratch, *part = total + D + 2;
    for (int i = 0; i < p->n_q; i++)
        for (int g = 0; g < p->n_group; g++) {
            begin(p, g, total);
            for (int r = first_key(p, p->pos0 + i) / ATTN_RANGE; r * ATTN_RANGE < end_key(p, p->pos0 + i); r++) {
                range_of(p, type, i, g, r, part);
                join(D, total, part);
            }
            end(p, i, g, total);
        }
}

static void parts(const struct attn_paged *p, enum kv_type type, int range, real *part)
{
    for (int g = 0; g < p->n_group; g++)
        range_of(p, type, 0, g, range, part + (size_t)g * cpu_attn_part(p->kv.dv, 1));
}

static void kv_put(const struct kv_put *p) { put(p, false); }
static void kv_put_bf16(const struct kv_put *p) { put(p, true); }
static void kv_put_i8(const struct kv_put *p) { kv_i8_put(p); }
static void attn_paged(const struct attn_paged *p) { whole(p, KV_REAL); }
static void attn_paged_bf16(const struct attn_paged *p) { whole(p, KV_BF16); }
static void attn_paged_i8(const struct attn_paged *p) { whole(p, KV_I8); }
static void attn_paged_part(const struct attn_paged *p, int range, real *part) { parts(p, KV_REAL, range, part); }
static void attn_paged_part_bf16(const struct attn_paged *p, int range, real *part) { parts(p, KV_BF16, range, part); }
static void attn_paged_part_i8(const struct attn_paged *p, int range, real *part) { parts(p, KV_I8, range, part); }

static void attn_paged_join(const struct attn_paged *p, int n_part, const real *all)
{
    const int D = round_16(p->kv.dv);
    real *total = p->scratch;
    for (int g = 0; g < p->n_group; g++) {
        begin(p, g, total);
        for (int i = 0; i < n_part; i++)
            join(D, total, all + ((size_t)i * (size_t)p->n_group + (size_t)g) * cpu_attn_part(p->kv.dv, 1));
        end(p, 0, g, total);
    }
}

void cpu_ref_fill_attn(struct cpu_kernels *k)
{
    k->kv_put = kv_put;
    k->kv_put_bf16 = kv_put_bf16;
    k->attn_paged = attn_paged;
    k->attn_paged_bf16 = attn_paged_bf16;
    k->kv_put_i8 = kv_put_i8;
    k->attn_paged_i8 = attn_paged_i8;
    k->attn_paged_part_i8 = attn_paged_part_i8;
    k->attn_paged_part = attn_paged_part;
    k->attn_paged_part_bf16 = attn_paged_part_bf16;
    k->attn_paged_join = attn_paged_join;
}
