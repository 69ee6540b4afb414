/* Products of up to MAT_COLS rows with a weight of bf16, Q8_0, Q4_0 by matrix instructions (gpu/kern/mat.h): bound by the reading of w.
 *
 * A block takes 16 rows of w, or 32, and each of its waves one run of K: w comes straight from memory into the instructions' registers, a step of K in flight, each 64 bytes of a
 * row by four lanes.  These are two blocks of Q8_0, four of Q4_0, in lanes of their own: a block's products are those of an instruction in which x is zero in all other lanes, so that
 * nothing is exchanged.  The runs are added in shared memory.  Rows beyond N or M are read as the last one and not written. */
#include "gpu/kern/mat.h"

/* Of a block's rows of w the i-th, or its last one. */
DK_INLINE u32 few_row(int i, int left) { return (u32)(i < left ? i : left - 1); }
DK_INLINE int few_x_row(int M) { return mat_x_row() < M ? mat_x_row() : M - 1; }

/* n (4 or 8) scales of blocks k0 / 32 .. of a row, as they lie; zeros from the run's end on. */
DK_INLINE u32x4 few_scales(const DK_GLOBAL u16 *scale, u32 row, int K, int k0, int end, int n)
{
    const DK_GLOBAL u16 *s = scale + (row * (u32)(K / 32) + (u32)k0 / 32);
    u32x4 v = mat_zero4();
    if (K % MAT_STEP == 0 && n == 8)
        return *(const DK_GLOBAL u32x4 *)s;
    if (K % MAT_STEP == 0) {
        const u32x2 t = *(const DK_GLOBAL u32x2 *)s;
        v[0] = t[0], v[1] = t[1];
        return v;
    }
    DK_UNROLL
    for (int b = 0; b < n; b++)
        v[b / 2] |= (k0 + 32 * b < end ? (u32)s[b] : 0u) << 16 * (b % 2);
    return v;
}
/* The scale of block b of row m of x. */
DK_INLINE float few_x_scale(const struct mat_args *a, int m, int b, int end)
{
    const int row = m < a->M ? m : a->M - 1;
    return 32 * b < end ? a->xds[((long)row * (a->ld_x / 32) + b) * 2] : 0.0f;
}
/* 16 bytes, or zeros where they are beyond the run. */
DK_INLINE u32x4 few_read_w(const DK_GLOBAL u8 *p, u32 at, int there) { return there ? dk_read_once((const DK_GLOBAL u32x4 *)(p + at)) : mat_zero4(); }
DK_INLINE u32x4 few_read_x(const DK_GLOBAL i8 *p, int there) { return there ? *(const DK_GLOBAL u32x4 *)p : mat_zero4(); }

/* Runs of a block's tiles to y. */
#define FEW_JOIN(R)                                                                                             \
    DK_UNROLL                                                                                                   \
    for (int r = 0; r < R; r++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int e = 0; e < 4; e++)                                                                             \
            runs[(dk_wave() * MAT_COLS + mat_col(e)) * (R * MAT_TILE) + r * MAT_TILE + mat_row(e)] = acc[r][e]; \
    }                                                                                                           \
    dk_barrier();                                                                                               \
    for (int i = dk_tid(); i < R * MAT_TILE * MAT_COLS; i += MAT_THREADS) {                                     \
        const int m = i / (R * MAT_TILE), n = n0 + i % (R * MAT_TILE);                                          \
        float sum = 0;                                                                                          \
        DK_UNROLL                                                                                               \
        for (int w = 0; w < MAT_RUNS; w++)                                                                      \
            sum += runs[w * (R * MAT_TILE * MAT_COLS) + i];                                                   \
        if (m < a.M && n < a.N)                                                                                 \
            a.y[m * a.ld_y + n] = a.add ? a.add[m * a.ld_y + n] + sum : sum;                                    \
    }
#define FEW_DOUBLE(n) ((n) * 2)
#define FEW_SINGLE(n) (n)
#define FEW_HALF(n) ((n) / 2)
#define FEW_ROW(r, j) few_row(r * MAT_TILE + mat_w_row(j), a.N - n0)
#define FEW_BEGIN(R, W_BYTES)                                                                                            \
    DK_SHARED(float, runs, MAT_RUNS * MAT_COLS * R * MAT_TILE);                                                 \
    const int n0 = dk_bx() * (R * MAT_TILE), run = mat_run(a.K), first = dk_wave() * run, end = first + run < a.K ? first + run : a.K, part = mat_part();                \
    const DK_GLOBAL u8 *wp = (const DK_GLOBAL u8 *)a.w + W_BYTES((long)n0 * a.K);                               \
    const DK_GLOBAL u16 *sp = a.scale + (long)n0 * (a.K / 32);                                                  \
    f32x4 acc[R];                                                                                               \
    (void)sp;                                                                                                   \
    DK_UNROLL                                                                                                   \
    for (int r = 0; r < R; r++)                                                                                 \
        acc[r] = (f32x4){ 0, 0, 0, 0 };

/* 32 columns each of four windows: part p of a window is its columns 8p .. 8p+7. */
#define FEW_BF16(R)                                                                                             \
DK_BOUNDS(MAT_THREADS) DK_OCC(2) DK_KERNEL void few_bf16_##R(struct mat_args a)                                 \
{                                                                                                               \
    FEW_BEGIN(R, FEW_DOUBLE)                                                                                                \
    const DK_GLOBAL float *x = a.x + few_x_row(a.M) * a.ld_x + 8 * part;                                        \
    DK_ROLLED                                                                                                   \
    for (int k0 = first; k0 < end; k0 += 128) {                                                                 \
        struct mat_w w[4][R];                                                                                   \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < 4; i++) {                                                                           \
            const int k = k0 + 32 * i + 8 * part;                                                               \
            DK_UNROLL                                                                                           \
            for (int r = 0; r < R; r++) {                                                                       \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < MAT_W; j++)                                                                 \
                    w[i][r].r[j] = few_read_w(wp, FEW_ROW(r, j) * (u32)a.K * 2 + (u32)k * 2, k < end);                            \
            }                                                                                                   \
        }                                                                                                       \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < 4; i++) {                                                                           \
            const int k = k0 + 32 * i;                                                                          \
            u32x4 v = mat_zero4();                                                                              \
            if (k + 8 * part < end)                                                                             \
                v = mat_bf16_8(*(const DK_GLOBAL f32x4 *)(x + k), *(const DK_GLOBAL f32x4 *)(x + k + 4));       \
            DK_UNROLL                                                                                           \
            for (int r = 0; r < R; r++)                                                                         \
                acc[r] = mat_bf16(w[i][r], v, acc[r]);                                                          \
        }                                                                                                       \
    }                                                                                                           \
    FEW_JOIN(R)                                                                                                 \
}

/* A step's scales of w and, of tile r, what a lane does with block b, 0 .. 7, whose products are c. */
#define FEW_SCALES(R, n_block)                                                                                           \
    u32x4 ws[R][MAT_OUT];                                                                                       \
    DK_UNROLL                                                                                                   \
    for (int r = 0; r < R; r++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < MAT_OUT; i++) {                                                                     \
            ws[r][i] = few_scales(sp, few_row(r * MAT_TILE + mat_out_row(i), a.N - n0), a.K, k0, end, n_block);  \
        }                                                                                                       \
    }
#define FEW_ADD(r, b, c, xs, mul)                                                                               \
    DK_UNROLL                                                                                                   \
    for (int e = 0; e < 4; e++) {                                                                               \
        const float d = dk_half_float((u16)(ws[r][mat_out(e)][(b) / 2] >> 16 * ((b) % 2))) * mul;               \
        acc[r][e] = dk_fma(d * xs[e & 1], mat_float(c[e]), acc[r][e]);                                          \
    }

/* 64 columns, two blocks, each of NW windows: part p of a window is its columns 16p .. 16p+15. */
#define FEW_Q8_0(R, NW)                                                                                             \
DK_BOUNDS(MAT_THREADS) DK_OCC(2) DK_KERNEL void few_q8_0_##R(struct mat_args a)                                 \
{                                                                                                               \
    FEW_BEGIN(R, FEW_SINGLE)                                                                                                \
    const DK_GLOBAL i8 *x = a.xq + few_x_row(a.M) * a.ld_x + 16 * part;                                         \
    DK_ROLLED                                                                                                   \
    for (int k0 = first; k0 < end; k0 += 64 * NW) {                                                            \
        struct mat_w w[NW][R];                                                                                   \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < NW; i++) {                                                                           \
            const int k = k0 + 64 * i + 16 * part;                                                              \
            DK_UNROLL                                                                                           \
            for (int r = 0; r < R; r++) {                                                                       \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < MAT_W; j++)                                                                 \
                    w[i][r].r[j] = few_read_w(wp, FEW_ROW(r, j) * (u32)a.K + (u32)k, k < end);                                    \
            }                                                                                                   \
        }                                                                                                       \
        FEW_SCALES(R, 2 * NW)                                                                                           \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < NW; i++) {                                                                           \
            const u32x4 v = few_read_x(x + k0 + 64 * i, k0 + 64 * i + 16 * part < end);                         \
            DK_UNROLL                                                                                           \
            for (int b = 0; b < 2; b++) {                                                                       \
                const u32x4 own = part / 2 == b ? v : mat_zero4();                                              \
                const float xs[2] = { few_x_scale(&a, mat_col(0), k0 / 32 + 2 * i + b, end), few_x_scale(&a, mat_col(1), k0 / 32 + 2 * i + b, end) };           \
                DK_UNROLL                                                                                       \
                for (int r = 0; r < R; r++) {                                                                   \
                    const i32x4 c = mat_i8(w[i][r], own, 1, mat_i8(w[i][r], own, 0, MAT_ZEROS));                \
                    FEW_ADD(r, 2 * i + b, c, xs, 1.0f)                                                          \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    FEW_JOIN(R)                                                                                                 \
}

/* 128 columns, four blocks, each of NW windows: part p of a window is its block p. */
DK_INLINE struct mat_w few_nibbles(struct mat_w w, int high)
{
    DK_UNROLL
    for (int j = 0; j < MAT_W; j++)
        w.r[j] = high ? MAT_HIGH_NIBBLES(w.r[j]) : MAT_LOW_NIBBLES(w.r[j]);
    return w;
}
#define FEW_Q4_0(R, NW)                                                                                             \
DK_BOUNDS(MAT_THREADS) DK_OCC(2) DK_KERNEL void few_q4_0_##R(struct mat_args a)                                 \
{                                                                                                               \
    FEW_BEGIN(R, FEW_HALF)                                                                                                \
    const DK_GLOBAL i8 *x = a.xq + few_x_row(a.M) * a.ld_x + 32 * part;                                         \
    DK_ROLLED                                                                                                   \
    for (int k0 = first; k0 < end; k0 += 128 * NW) {                                                            \
        struct mat_w w[NW][R];                                                                                   \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < NW; i++) {                                                                           \
            const int k = k0 + 128 * i + 32 * part;                                                             \
            DK_UNROLL                                                                                           \
            for (int r = 0; r < R; r++) {                                                                       \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < MAT_W; j++)                                                                 \
                    w[i][r].r[j] = few_read_w(wp, FEW_ROW(r, j) * ((u32)a.K / 2) + (u32)k / 2, k < end);                          \
            }                                                                                                   \
        }                                                                                                       \
        FEW_SCALES(R, 4 * NW)                                                                                           \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < NW; i++) {                                                                           \
            const int there = k0 + 128 * i + 32 * part < end;                                                   \
            const u32x4 v0 = few_read_x(x + k0 + 128 * i, there), v1 = few_read_x(x + k0 + 128 * i + 16, there); \
            DK_UNROLL                                                                                           \
            for (int b = 0; b < 4; b++) {                                                                       \
                const u32x4 low = part == b ? v0 : mat_zero4(), high = part == b ? v1 : mat_zero4();            \
                const float xs[2] = { few_x_scale(&a, mat_col(0), k0 / 32 + 4 * i + b, end), few_x_scale(&a, mat_col(1), k0 / 32 + 4 * i + b, end) };           \
                DK_UNROLL                                                                                       \
                for (int r = 0; r < R; r++) {                                                                   \
                    const struct mat_w l = few_nibbles(w[i][r], 0), h = few_nibbles(w[i][r], 1);                \
                    const i32x4 c = mat_i8(h, high, 1, mat_i8(h, high, 0, mat_i8(l, low, 1, mat_i8(l, low, 0, MAT_ZEROS))));                                    \
                    FEW_ADD(r, 4 * i + b, c, xs, MAT_NIBBLES_SCALE)                                             \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    FEW_JOIN(R)                                                                                                 \
}
FEW_BF16(1)
FEW_BF16(2)
FEW_Q8_0(1, 4)
FEW_Q8_0(2, 2)
FEW_Q4_0(1, 2)
FEW_Q4_0(2, 1)
