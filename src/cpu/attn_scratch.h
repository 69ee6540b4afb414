/* attn_scratch.h - how much of struct attn's scratch a call uses: shared by cpu_attn_scratch() and the levels. */
#ifndef CPU_ATTN_SCRATCH_H
#define CPU_ATTN_SCRATCH_H

#define ATTN_STRIP 16          /* query rows whose scores against a tile of keys are worked on at once */
#define ATTN_ROWS 256          /* query rows, counted over the group's heads, that share a packed tile ... */

/* ... so many of each head (at least 64), in whole strips. */
static inline int attn_rows(int n_q, int n_group)
{
    const int share = ATTN_ROWS / n_group / ATTN_STRIP * ATTN_STRIP, all = (n_q + ATTN_STRIP - 1) / ATTN_STRIP * ATTN_STRIP;
    const int rows = share < 64 ? 64 : share;
    return rows < all ? rows : all;
}
#endif
