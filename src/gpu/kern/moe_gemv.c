/* Products of sorted rows with their experts' weights, 1 or 4 rows of an expert at a time.  Bound by the reading of weights, each once for its rows.
 *
 * As gpu/kern/gemv.c: a wave takes GPU_GEMV_ROWS rows of w, with SwiGLU half of them gate and half what it multiplies, and an element of y has
 * the same bits however many rows there are. */
#ifndef DOT_BF16
#define GEMV_TYPES_ONLY
#include "gpu/kern/gemv.c"
#endif
#define N_THREAD 256

/* Columns of y: a wave's first one, and which row of the expert's weight is its r-th. */
DK_INLINE int moe_gemv_row(const struct moe_product_args *a, int first, int r, int n_row)
{
    const int F = a->N / 2, n = a->act ? first + r % (n_row / 2) : first + r, most = a->act ? F - 1 : a->N - 1;
    return (n < most ? n : most) + (a->act && r >= n_row / 2 ? F : 0);
}

/* Rows beyond the tile's and columns beyond the last are reckoned as the last and not written. */
#define MOE_GEMV(type, TYPE, n_m, n_row, columns, depth)                                                        \
DK_BOUNDS(N_THREAD) DK_KERNEL void moe_gemv_##type##_##n_m(struct moe_product_args a)                           \
{                                                                                                               \
    const u32x4 tile = ((const DK_GLOBAL u32x4 *)a.tile)[dk_by()];                                              \
    const int e = (int)tile[0], first = (int)tile[1], n = (int)tile[2], n_piece = a.K / columns;                \
    const int c0 = (dk_bx() * (N_THREAD / DK_WAVE) + dk_wave()) * (a.act ? n_row / 2 : n_row), n_column = a.act ? a.N / 2 : a.N; \
    if (n == 0)                                                                                                 \
        return;                                                                                                 \
    int row[n_row], in[n_m];                                                                                    \
    float s[n_m][n_row];                                                                                        \
    DK_UNROLL                                                                                                   \
    for (int r = 0; r < n_row; r++)                                                                             \
        row[r] = e * a.N + moe_gemv_row(&a, c0, r, n_row);                                                      \
    DK_UNROLL                                                                                                   \
    for (int m = 0; m < n_m; m++) {                                                                             \
        const int i = first + (m < n ? m : n - 1);                                                              \
        in[m] = a.row ? a.row[i] : i;                                                                           \
        DK_UNROLL                                                                                               \
        for (int r = 0; r < n_row; r++)                                                                         \
            s[m][r] = 0;                                                                                        \
    }                                                                                                           \
    GEMV_STEPS(type, TYPE, n_m, n_row, depth)                                                                   \
    DK_ROLLED                                                                                                   \
    for (; p < n_piece; p += DK_WAVE) {                                                                         \
        DK_UNROLL                                                                                               \
        for (int m = 0; m < n_m; m++) {                                                                         \
            struct piece_##type x;                                                                              \
            X_##TYPE(x, a, in[m], p);                                                                           \
            DK_UNROLL                                                                                           \
            for (int r = 0; r < n_row; r++) {                                                                   \
                struct weight_##type w;                                                                         \
                W_##TYPE(w, a, row[r], p);                                                                      \
                s[m][r] = DOT_##TYPE(w, x, s[m][r], p);                                                         \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    DK_UNROLL                                                                                                   \
    for (int m = 0; m < n_m; m++) {                                                                             \
        DK_UNROLL                                                                                               \
        for (int r = 0; r < n_row; r++)                                                                         \
            s[m][r] = dk_wave_sum(s[m][r]) + (a.bias ? a.bias[e * a.ld_bias + row[r] - e * a.N] : 0.0f);                                  \
        DK_UNROLL                                                                                               \
        for (int r = 0; r < n_row; r++) {                                                                       \
            const int c = c0 + r, up = r + n_row / 2 < n_row ? r + n_row / 2 : r;                               \
            if (dk_lane() != 0 || m >= n || c >= n_column || (a.act && r >= n_row / 2))                         \
                continue;                                                                                       \
            const float g = s[m][r], y = a.act ? g / (1.0f + dk_exp2(-DK_LOG2E * g)) * s[m][up] * (a.gate ? a.gate[first + m] : 1.0f) : g; \
            a.y[(first + m) * a.ld_y + c] = y;                                                                  \
        }                                                                                                       \
    }                                                                                                           \
}
#define MOE_GEMV_BOTH(type, TYPE, columns, depth) MOE_GEMV(type, TYPE, 1, 2, columns, depth) MOE_GEMV(type, TYPE, 4, 4, columns, 1)
MOE_GEMV_BOTH(f32, F32, 4, 4)
MOE_GEMV_BOTH(bf16, BF16, 8, 4)
MOE_GEMV_BOTH(q8_0, Q8_0, 16, 4)
MOE_GEMV_BOTH(q4_0, Q4_0, 32, 4)
MOE_GEMV_BOTH(q4_k, Q4_K, 32, 2)
