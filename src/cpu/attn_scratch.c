#include "cpu/attn_scratch.h"
#include "cpu/kernels.h"

/* Both directions: keys and values of a tile, transposed, [d][64] each.
 * Forward: a strip's scores [16][64]; per query row of a pass an accumulator [d], 16 partial sums, a maximum.
 * Backward: probabilities and their gradients [64][64]; per query row do*o.  For products in bf16 also the units of keys, of queries and do
 * by rows (rounded up) and by units of rows, of a strip's slopes, of probabilities and slopes by units of rows.
 * Reference: d doubles, which fit in the first. */
size_t cpu_attn_scratch(int n_q, int n_k, int n_group, int d)
{
    (void)n_k;
    const size_t D = cpu_round_panel((size_t)d), rows = (size_t)attn_rows(n_q, n_group) * (size_t)n_group;
    const size_t forward = ATTN_STRIP * ATTN_TILE + rows * (D + 17);
    const size_t units = 5 * D * ATTN_TILE / 2 + ATTN_STRIP * ATTN_TILE / 2 + ATTN_TILE * ATTN_TILE;
    const size_t backward = 2 * ATTN_TILE * ATTN_TILE + (size_t)n_q * (size_t)n_group + units;
    return 2 * D * ATTN_TILE + (forward > backward ? forward : backward);
}

/* See struct work in simd/attn_paged.inc: panels of q, of o twice; scores, probabilities; two pages expanded to floats; two rows of
 * values; the panels' states.  The reference: two rows of dv. */
size_t cpu_attn_paged_scratch(int dk, int dv, int n_group)
{
    (void)n_group;
    const size_t K = ((size_t)dk + 1) / 2 * 2, D = cpu_round_panel((size_t)dv);
    return sizeof(real) * (ATTN_PANELS * 16 * (K + 2 * D) + 4 * KV_TOKENS * 16 + 2 * KV_TOKENS * (K + D) + 2 * D + ATTN_PANELS * 512);
}
