#include "cpu/kernels.h"

/* Per key tile of 64: k transposed [d][64], scores and their gradients [64][64] each; per row of the group's queries: running
 * maximum and sum, an accumulator [d]; backward: dk and dv need none (they are summed in place). */
size_t cpu_attn_scratch(int n_q, int n_k, int n_group, int d)
{
    (void)n_k, (void)n_group;
    const size_t D = ((size_t)d + 15) / 16 * 16, rows = ATTN_TILE, q = (size_t)n_q;
    return D * ATTN_TILE * 4 + rows * ATTN_TILE * 3 + rows * (D * 2 + 4) + q + 256;
}
