/* Products of many rows with a weight of bf16, Q8_0, Q4_0 by matrix instructions, to the bits of the kernels for a few (gpu/kern/mat.h, few.c).
 *
 * 256 threads, 128 rows of w by 16 C rows of x a block (C 4 or 8; grid: rows of x, rows of w, so that blocks that run together read the same of w), four waves along w.  K in steps
 * of 128 bytes of a row through registers into shared memory: chunk c (16 bytes) of row r lies in place c ^ many_swap(r), so that neither the lanes of a row nor those of a column meet in
 * a bank.  Int8 lie there so that a lane's 16 bytes are 8 of each of two blocks; Q4_0 becomes int8 on its way.
 * A lane keeps the run's sum and the total: at a run's end one is added to the other. */
#include "gpu/kern/mat.h"
#define MANY_W 128
#define MANY_CHUNKS 8                  /* of 16 bytes, of a row of a step */
#define MANY_X(C) (16 * (C))
#define MANY_ACROSS (MAT_RUNS / 4)     /* waves along x */

DK_INLINE int many_swap(int r) { return (r & 1) << 2 | (r >> 1 & 3); }
DK_INLINE DK_LOCAL u32x4 *many_at(DK_LOCAL u32x4 *s, int row, int chunk) { return s + row * MANY_CHUNKS + (chunk ^ many_swap(row)); }

/* Columns 32 b + 8 part .. + 7 of a row of int8: half h of chunk 4 w + part, b = 2 w + h. */
DK_INLINE void many_put(DK_LOCAL u32x4 *s, int row, int b, int part, u32 lower, u32 upper)
{
    const u32x2 v = { lower, upper };
    ((DK_LOCAL u32x2 *)many_at(s, row, b / 2 * 4 + part))[b % 2] = v;
}
/* 16 columns of int8, the i-th of the step. */
DK_INLINE void many_put_16(DK_LOCAL u32x4 *s, int row, int i, u32x4 v)
{
    many_put(s, row, i / 2, i % 2 * 2, v[0], v[1]);
    many_put(s, row, i / 2, i % 2 * 2 + 1, v[2], v[3]);
}
/* A block of Q4_0, the b-th of the step. */
DK_INLINE void many_put_nibbles(DK_LOCAL u32x4 *s, int row, int b, u32x4 v)
{
    const u32x4 low = MAT_LOW_NIBBLES(v), high = MAT_HIGH_NIBBLES(v);
    many_put(s, row, b, 0, low[0], low[1]);
    many_put(s, row, b, 1, low[2], low[3]);
    many_put(s, row, b, 2, high[0], high[1]);
    many_put(s, row, b, 3, high[2], high[3]);
}

/* What a type says: columns of a step, pieces of 16 bytes of a row of w in one, bytes of K columns of w and of x. */
#define COLUMNS_bf16 64
#define COLUMNS_q8_0 128
#define COLUMNS_q4_0 128
#define PIECES_bf16 8
#define PIECES_q8_0 8
#define PIECES_q4_0 4
#define W_BYTES_bf16(K) ((K) * 2)
#define W_BYTES_q8_0(K) (K)
#define W_BYTES_q4_0(K) ((K) / 2)
#define X_BYTES_bf16(K) ((K) * 2)
#define X_BYTES_q8_0(K) (K)
#define X_BYTES_q4_0(K) (K)
#define QUANTISED_bf16 0
#define QUANTISED_q8_0 1
#define QUANTISED_q4_0 1
#define MUL_bf16 1.0f
#define MUL_q8_0 1.0f
#define MUL_q4_0 MAT_NIBBLES_SCALE
#define PUT_W_bf16(s, row, i, v) (*many_at(s, row, i) = (v))
#define PUT_W_q8_0 many_put_16
#define PUT_W_q4_0 many_put_nibbles
#define PUT_X_bf16 PUT_W_bf16
#define PUT_X_q8_0 many_put_16
#define PUT_X_q4_0 many_put_16

DK_INLINE u32 many_row(int row, int left) { return (u32)(row < left ? row : left - 1); }
/* 16 bytes of the row that begins `row` bytes behind p, from byte `at` of its `bytes` on; zeros beyond. */
DK_INLINE u32x4 many_read(const DK_GLOBAL u8 *p, u32 row, u32 at, u32 bytes) { return at < bytes ? *(const DK_GLOBAL u32x4 *)(p + (row + at)) : mat_zero4(); }

/* The step from column k on, into registers.  Of a thread's pieces of w (and of x) all have the same columns; so have its scales the same row. */
#define MANY_READ(type, k)                                                                                      \
    do {                                                                                                        \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_W; i++)                                                                           \
            w[i] = many_read(wp, w_row[i], W_BYTES_##type((u32)(k)) + (u32)dk_tid() % W_CHUNKS * 16, w_bytes);    \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_X; i++)                                                                           \
            x[i] = many_read(xp, x_row[i], X_BYTES_##type((u32)(k)) + (u32)dk_tid() % MANY_CHUNKS * 16, x_bytes); \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_S; i++) {                                                                         \
            const int b = (k) / 32 + dk_tid() / MANY_W + i * (MAT_THREADS / MANY_W);                            \
            ws[i] = 32 * b < a.K ? dk_half_float(sp[b]) * MUL_##type : 0.0f;                                    \
        }                                                                                                       \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_D; i++) {                                                                         \
            const int b = (k) / 32 + dk_tid() / X + i * (MAT_THREADS / X);                                      \
            xs[i] = 32 * b < a.K ? dp[2 * b] : 0.0f;                                                            \
        }                                                                                                       \
    } while (0)

#define MANY(type, C, WINDOWS)                                                                                  \
DK_BOUNDS(MAT_THREADS) DK_OCC(2) DK_KERNEL void many_##type##_##C(struct mat_args a)                            \
{                                                                                                               \
    enum { COLUMNS = COLUMNS_##type, W_CHUNKS = PIECES_##type, X = MANY_X(C), N_W = MANY_W * W_CHUNKS / MAT_THREADS, N_X = X * MANY_CHUNKS / MAT_THREADS,                  \
           BLOCKS = QUANTISED_##type * COLUMNS / 32, N_S = BLOCKS * MANY_W / MAT_THREADS, N_D = BLOCKS * X / MAT_THREADS };                                             \
    DK_SHARED(u32x4, many_w, MANY_W * MANY_CHUNKS);                                                             \
    DK_SHARED(u32x4, many_x, X * MANY_CHUNKS);                                                                  \
    DK_SHARED(float, many_ws, BLOCKS * MANY_W + 1);                                                             \
    DK_SHARED(float, many_xs, BLOCKS * X + 1);                                                                  \
    const int m0 = dk_bx() * X, n0 = dk_by() * MANY_W, w0 = dk_wave() / MANY_ACROSS * 32, x0 = dk_wave() % MANY_ACROSS * (C * MAT_COLS), run = mat_run(a.K);            \
    const u32 w_bytes = W_BYTES_##type((u32)a.K), x_bytes = X_BYTES_##type((u32)a.K);                           \
    const DK_GLOBAL u8 *wp = (const DK_GLOBAL u8 *)a.w + (long)n0 * w_bytes, *xp = (QUANTISED_##type ? (const DK_GLOBAL u8 *)a.xq : (const DK_GLOBAL u8 *)a.x16) + (long)m0 * x_bytes; \
    const DK_GLOBAL u16 *sp = a.scale + (n0 + (long)many_row(dk_tid() % MANY_W, a.N - n0)) * (a.K / 32);        \
    const DK_GLOBAL float *dp = a.xds + (m0 + (long)many_row(dk_tid() % X, a.M - m0)) * (a.K / 16);             \
    f32x4 acc[2][C], total[2][C];                                                                               \
    u32x4 w[N_W], x[N_X];                                                                                       \
    u32 w_row[N_W], x_row[N_X];                                                                                 \
    float ws[N_S + 1], xs[N_D + 1];                                                                             \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < N_W; i++)                                                                               \
        w_row[i] = many_row((dk_tid() + i * MAT_THREADS) / W_CHUNKS, a.N - n0) * w_bytes;                         \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < N_X; i++)                                                                               \
        x_row[i] = many_row((dk_tid() + i * MAT_THREADS) / MANY_CHUNKS, a.M - m0) * x_bytes;                    \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < 2; i++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < C; j++)                                                                             \
            acc[i][j] = total[i][j] = (f32x4){ 0, 0, 0, 0 };                                                    \
    }                                                                                                           \
    MANY_READ(type, 0);                                                                                         \
    DK_ROLLED                                                                                                   \
    for (int k0 = 0, left = run; k0 < a.K; k0 += COLUMNS) {                                                     \
        dk_barrier();                                                                                           \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_W; i++)                                                                           \
            PUT_W_##type(many_w, (dk_tid() + i * MAT_THREADS) / W_CHUNKS, dk_tid() % W_CHUNKS, w[i]);               \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_X; i++)                                                                           \
            PUT_X_##type(many_x, (dk_tid() + i * MAT_THREADS) / MANY_CHUNKS, dk_tid() % MANY_CHUNKS, x[i]);     \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_S; i++)                                                                           \
            many_ws[dk_tid() + i * MAT_THREADS] = ws[i];                                                        \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < N_D; i++)                                                                           \
            many_xs[dk_tid() + i * MAT_THREADS] = xs[i];                                                        \
        dk_barrier();                                                                                           \
        if (k0 + COLUMNS < a.K)                                                                                 \
            MANY_READ(type, k0 + COLUMNS);                                                                      \
        if (left == 0) {                                                                                        \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < 2; i++) {                                                                       \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < C; j++) {                                                                   \
                    total[i][j] += acc[i][j];                                                                   \
                    acc[i][j] = (f32x4){ 0, 0, 0, 0 };                                                          \
                }                                                                                               \
            }                                                                                                   \
            left = run;                                                                                         \
        }                                                                                                       \
        left -= COLUMNS;                                                                                        \
        WINDOWS                                                                                                 \
        for (int c = 0; c < 2; c++) {                                                                           \
            struct mat_w f[2];                                                                                  \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < 2; i++) {                                                                       \
                DK_UNROLL                                                                                       \
                for (int h = 0; h < MAT_W; h++)                                                                 \
                    f[i].r[h] = *many_at(many_w, w0 + i * MAT_TILE + mat_w_row(h), 4 * c + mat_part());         \
            }                                                                                                   \
            MANY_STEP_##type(C)                                                                                 \
        }                                                                                                       \
    }                                                                                                           \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < 2; i++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < C; j++) {                                                                           \
            DK_UNROLL                                                                                           \
            for (int e = 0; e < 4; e++) {                                                                       \
                const int m = m0 + x0 + j * MAT_COLS + mat_col(e), n = n0 + w0 + i * MAT_TILE + mat_row(e);     \
                const float sum = total[i][j][e] + acc[i][j][e];                                                \
                if (m < a.M && n < a.N)                                                                         \
                    a.y[m * a.ld_y + n] = a.add ? a.add[m * a.ld_y + n] + sum : sum;                            \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
}

/* A window of the step in shared memory: 64 bytes of each row. */
#define MANY_STEP_bf16(C)                                                                                       \
    DK_UNROLL                                                                                                   \
    for (int j = 0; j < C; j++) {                                                                               \
        const u32x4 v = *many_at(many_x, x0 + j * MAT_COLS + mat_x_row(), 4 * c + mat_part());                  \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < 2; i++)                                                                             \
            acc[i][j] = mat_bf16(f[i], v, acc[i][j]);                                                           \
    }
#define MANY_STEP_INT8(C)                                                                                       \
    float fs[2][2][MAT_OUT];                                                                                    \
    DK_UNROLL                                                                                                   \
    for (int h = 0; h < 2; h++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < 2; i++) {                                                                           \
            DK_UNROLL                                                                                           \
            for (int o = 0; o < MAT_OUT; o++)                                                                   \
                fs[h][i][o] = many_ws[(2 * c + h) * MANY_W + w0 + i * MAT_TILE + mat_out_row(o)];               \
        }                                                                                                       \
    }                                                                                                           \
    DK_UNROLL                                                                                                   \
    for (int j = 0; j < C; j++) {                                                                               \
        const u32x4 v = *many_at(many_x, x0 + j * MAT_COLS + mat_x_row(), 4 * c + mat_part());                  \
        DK_UNROLL                                                                                               \
        for (int h = 0; h < 2; h++) {                                                                           \
            const DK_LOCAL float *vs = many_xs + (2 * c + h) * X + x0 + j * MAT_COLS;                           \
            const float d[2] = { vs[mat_col(0)], vs[mat_col(1)] };                                              \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < 2; i++) {                                                                       \
                const i32x4 p = mat_i8(f[i], v, h, MAT_ZEROS);                                                  \
                DK_UNROLL                                                                                       \
                for (int e = 0; e < 4; e++)                                                                     \
                    acc[i][j][e] = dk_fma(fs[h][i][mat_out(e)] * d[e & 1], mat_float(p[e]), acc[i][j][e]);      \
            }                                                                                                   \
        }                                                                                                       \
    }
#define MANY_STEP_q8_0 MANY_STEP_INT8
#define MANY_STEP_q4_0 MANY_STEP_INT8
MANY(bf16, 4, DK_UNROLL)
MANY(bf16, 8, DK_UNROLL)
MANY(q8_0, 4, DK_ROLLED)
MANY(q4_0, 4, DK_ROLLED)
