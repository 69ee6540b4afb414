/* attn_paged.h - attention for inference, over keys and values kept in pages.
 *
 * A page holds KV_TOKENS tokens of one layer and one key/value head.  Position t of a sequence is slot t % 64 of the page
 * with number page[t / 64], at base + number * stride bytes (a multiple of 64); so sequences may share pages, and pages of all
 * layers and heads may lie in one block of memory under one number.  A page is, in elements (bf16 or real):
 *
 *     bf16: keys [64/32][dk/2][32 slots][2], then values [dv/32][64/2][32][2 slots]      dk rounded up to even, dv to a multiple
 *     real: keys [64/32][dk][32 slots],      then values [dv/32][64][32]                 of 16; what is rounded up is zero
 *     int8: the same order as real, then float scales of keys [64], of values [64]; a number is q * scale, scale = max |x| / 127 over
 *           the token's key or value in this head.  One with a NaN or an infinity has the scale NaN, one below 1e-30 the scale 0
 *
 * so that keys, or numbers of a value, lie along a vector, and a row at one position reads a page from its first byte to its
 * last.  Where dv is no multiple of 32 the last panel of values is 16 wide.  Slots not yet written may hold anything, NaN too.
 *
 * A sequence is read fastest when its pages lie one after the other (stride is the page's size, numbers ascend by one): then
 * the machine itself fetches ahead.
 *
 * Bits: keys are taken page by page within ranges of ATTN_RANGE absolute positions; the ranges' results are joined in
 * ascending order.  What a row gets depends on its own data and position alone: not on the other rows of the call,
 * on who computed which range, or on where the pages lie.
 *
 * With int8 pages products are of floats: a score is (q * key) * scale, and a probability is multiplied by the value's scale.
 * With bf16 pages q is rounded to bf16, and where the level has products of bf16, so are the probabilities.
 *
 * Sharing the work: rows of a call are independent, so a prompt may be cut anywhere (a call of fewer than 64 rows, counted
 * over the group's heads, does not fill its panels).  A single row may be cut by ranges of keys: attn_paged_part() for each of
 * cpu_attn_ranges() ranges, in any order, then attn_paged_join(), to the same bits as attn_paged(). */
#ifndef CPU_ATTN_PAGED_H
#define CPU_ATTN_PAGED_H
#include <stddef.h>
#include <stdint.h>

#define KV_TOKENS 64
#define KV_ROW 32                       /* keys, or numbers of a value, side by side */
#define KV_PART 16                      /* slots that lie in lines of their own */
#define ATTN_RANGE 512
#define ATTN_PANELS 4                   /* panels of 16 query rows that share a block of keys */

enum kv_type { KV_REAL, KV_BF16, KV_I8, N_KV_TYPE };

/* page NULL: page i has number i (plain arrays laid out as pages: encoders). */
struct kv_pages { void *base; const int32_t *page; size_t stride; int dk, dv; };

/* Writes tokens pos0 .. pos0+n-1, keys already rotated: k + i*ld_k [dk], v + i*ld_v [dv].  Two threads may not write to the
 * same KV_PART slots at the same time. */
struct kv_put { struct kv_pages kv; int pos0, n; const real *k, *v; ptrdiff_t ld_k, ld_v; };

/* One sequence, one key/value head and its n_group query heads.  Row i has position pos0 + i and sees keys 0 .. pos0+i, with
 * window > 0 the last window of those; or, n_k > 0 (encoders, without window), keys 0 .. n_k-1.  Pages that no row sees are
 * not touched.  Head g of row i: q + i*ld_q + g*dk, o + i*ld_o + g*dv.  Positions below 2^24. */
struct attn_paged {
    struct kv_pages kv;
    int n_q, pos0, n_group, n_k, window;
    const real *q; ptrdiff_t ld_q;
    real scale;                         /* > 0 */
    real softcap;                       /* > 0: scores become softcap * tanh(score / softcap) */
    const real *sink;                   /* [n_group] or NULL: a score that takes probability and has no value */
    void *o; ptrdiff_t ld_o; bool o_bf16;
    void *scratch;                      /* cpu_attn_paged_scratch() bytes, 64-byte aligned */
};

/* Elements of a page. */
static inline size_t cpu_kv_page(int dk, int dv)
{
    return KV_TOKENS * (((size_t)dk + 1) / 2 * 2 + ((size_t)dv + 15) / 16 * 16);
}
static inline size_t cpu_kv_page_bytes(enum kv_type t, int dk, int dv)
{
    const size_t n = cpu_kv_page(dk, dv);
    return t == KV_BF16 ? 2 * n : t == KV_I8 ? n + 2 * KV_TOKENS * sizeof(float) : n * sizeof(real);
}
/* Enough for every level, whatever n_q and the position. */
size_t cpu_attn_paged_scratch(int dk, int dv, int n_group);
/* Reals of one range's part: per head the sums, then maximum and sum of probabilities. */
static inline size_t cpu_attn_part(int dv, int n_group) { return (size_t)n_group * (((size_t)dv + 15) / 16 * 16 + 16); }
/* The ranges that a row at position pos sees: first .. first + count - 1. */
static inline int cpu_attn_first_range(int pos, int window) { return window > 0 && pos >= window ? (pos - window + 1) / ATTN_RANGE : 0; }
static inline int cpu_attn_ranges(int pos, int window) { return pos / ATTN_RANGE + 1 - cpu_attn_first_range(pos, window); }
#endif
