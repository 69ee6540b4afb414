/* gemv.h - the frame of products of a few rows with a weight: y[M][N] = add + x[M][K] * w[N][K]^T, M = 1, 2, 4, 8.  Bound by the reading of w.
 *
 * 256 threads; a wave takes n_row rows of w (2; 4 where M is 4 or 8, whose reading of x would else be the bound) and goes
 * along K, 16 bytes a lane or more, `depth` steps in flight.  A lane's sum takes its pieces in
 * ascending order, lanes are joined by a fixed tree: an element of y has the same bits for every M and N.
 *
 * A type has: struct piece_T and X_T(v, a, m, p), columns of piece p of row m of x; struct weight_T and W_T(v, a, n, p), the same of row n of w;
 * DOT_T(w, x, s, p): s + their product. */
#ifndef GPU_GEMV_H
#define GPU_GEMV_H
#include "gpu/dk.h"
#include "gpu/args.h"
#define GEMV_THREADS 256

DK_INLINE int dot_16(u32x4 w, u32x4 x, int s)
{
    DK_UNROLL
    for (int i = 0; i < 4; i++)
        s = dk_dot4((int)w[i], (int)x[i], s);
    return s;
}
#define LOW_NIBBLES(v) ((v) & 0x0f0f0f0fu)
#define HIGH_NIBBLES(v) (((v) >> 4) & 0x0f0f0f0fu)

/* `depth` pieces in flight along K, as long as there are so many; p is then the lane's next one.  Of the kernel: a, in[n_m], row[n_row], s[n_m][n_row], n_piece. */
#define GEMV_STEPS(type, TYPE, n_m, n_row, depth) \
    int p = dk_lane();                                                                                      \
    DK_ROLLED                                                                                               \
    for (; p + (depth - 1) * DK_WAVE < n_piece; p += depth * DK_WAVE) {                                     \
        struct weight_##type w[depth][n_row];                                                               \
        DK_UNROLL                                                                                           \
        for (int i = 0; i < depth; i++) {                                                                   \
            DK_UNROLL                                                                                       \
            for (int r = 0; r < n_row; r++)                                                                 \
                W_##TYPE(w[i][r], a, row[r], p + i * DK_WAVE);                                              \
        }                                                                                                   \
        DK_UNROLL                                                                                           \
        for (int i = 0; i < depth; i++) {                                                                   \
            DK_UNROLL                                                                                       \
            for (int m = 0; m < n_m; m++) {                                                                 \
                struct piece_##type x;                                                                      \
                X_##TYPE(x, a, in[m], p + i * DK_WAVE);                                                     \
                DK_UNROLL                                                                                   \
                for (int r = 0; r < n_row; r++)                                                             \
                    s[m][r] = DOT_##TYPE(w[i][r], x, s[m][r], p + i * DK_WAVE);                             \
            }                                                                                               \
        }                                                                                                   \
    }

/* Rows beyond N or M are read as the last one and not written. */
#define GEMV(type, TYPE, n_m, n_row, columns, depth)                                                                  \
DK_BOUNDS(GEMV_THREADS) DK_KERNEL void gemv_##type##_##n_m(struct gemv_args a)                                      \
{                                                                                                               \
    const int n0 = (dk_bx() * (GEMV_THREADS / DK_WAVE) + dk_wave()) * n_row, n_piece = a.K / columns;                \
    int row[n_row], in[n_m];                                                                                     \
    float s[n_m][n_row];                                                                                         \
    DK_UNROLL                                                                                                   \
    for (int r = 0; r < n_row; r++)                                                                              \
        row[r] = n0 + r < a.N ? n0 + r : a.N - 1;                                                               \
    DK_UNROLL                                                                                                   \
    for (int m = 0; m < n_m; m++) {                                                                             \
        in[m] = m < a.M ? m : a.M - 1;                                                                          \
        DK_UNROLL                                                                                               \
        for (int r = 0; r < n_row; r++)                                                                          \
            s[m][r] = 0;                                                                                        \
    }                                                                                                           \
    GEMV_STEPS(type, TYPE, n_m, n_row, depth)                                                                   \
    DK_ROLLED                                                                                                   \
    for (; p < n_piece; p += DK_WAVE) {                                                                         \
        struct weight_##type w[n_row];                                                                           \
        DK_UNROLL                                                                                               \
        for (int r = 0; r < n_row; r++)                                                                          \
            W_##TYPE(w[r], a, row[r], p);                                                                       \
        DK_UNROLL                                                                                               \
        for (int m = 0; m < n_m; m++) {                                                                         \
            struct piece_##type x;                                                                              \
            X_##TYPE(x, a, in[m], p);                                                                           \
            DK_UNROLL                                                                                           \
            for (int r = 0; r < n_row; r++)                                                                      \
                s[m][r] = DOT_##TYPE(w[r], x, s[m][r], p);                                                      \
        }                                                                                                       \
    }                                                                                                           \
    DK_UNROLL                                                                                                   \
    for (int m = 0; m < n_m; m++) {                                                                             \
        DK_UNROLL                                                                                               \
        for (int r = 0; r < n_row; r++) {                                                                        \
            const float sum = dk_wave_sum(s[m][r]);                                                             \
            if (dk_lane() == 0 && m < a.M && n0 + r < a.N) {                                                    \
                const long at = m * a.ld_y + n0 + r;                                                            \
                a.y[at] = a.add ? a.add[at] + sum : sum;                                                        \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
}
#define GEMV_ALL(type, TYPE, columns, d1, d2) \
    GEMV(type, TYPE, 1, 2, columns, d1) GEMV(type, TYPE, 2, 2, columns, d2) GEMV(type, TYPE, 4, 4, columns, 1) GEMV(type, TYPE, 8, 4, columns, 1)
#endif
