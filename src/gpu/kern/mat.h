/* mat.h - products of rows with a weight by matrix instructions, with the same bits for any number of rows: what the kernels for a few rows (kern/few.c) and
 * for many (kern/many.c) share.
 *
 * Always one instruction: 16 rows of the weight by MAT_COLS rows of x, which gives a row of x its numbers whatever stands beside it.  K is cut into MAT_RUNS runs (mat_run());
 * a run is one chain of instructions in ascending order of k, and an element is 0 + its runs in ascending order.  Quantised: the 32 products of a block in whole numbers, then
 * sum = fma(scale of w * scale of x, them, sum), block after block.
 *
 * A lane has 16 bytes of MAT_W rows of the weight's tile, part mat_part() of four, and of one row of x; each half of these is an instruction's.  Which k that is does not matter
 * while it is the same for both. */
#ifndef GPU_MAT_H
#define GPU_MAT_H
#include "gpu/dk.h"
#include "gpu/args.h"
#define MAT_THREADS 256
#define MAT_RUNS (MAT_THREADS / DK_WAVE)
#define MAT_TILE 16

#if defined(__NVPTX__)
#define MAT_COLS 8
#define MAT_W 2                     /* rows that a lane has of a tile of w */
#define MAT_OUT 2                   /* rows of w among a lane's four results */
#define mat_w_row(i) ((dk_lane() >> 2) + 8 * (i))
#define mat_x_row() (dk_lane() >> 2)
#define mat_part() (dk_lane() & 3)
/* Results e: (row, row of x); of which of a lane's MAT_OUT rows. */
#define mat_row(e) ((dk_lane() >> 2) + 8 * ((e) >> 1))
#define mat_col(e) (2 * (dk_lane() & 3) + ((e) & 1))
#define mat_out(e) ((e) >> 1)
#define mat_out_row(i) mat_w_row(i)
#else
#define MAT_COLS 16
#define MAT_W 1
#define MAT_OUT 4
#define mat_w_row(i) ((void)(i), dk_lane() & 15)
#define mat_x_row() (dk_lane() & 15)
#define mat_part() (dk_lane() >> 4)
#define mat_row(e) (4 * (dk_lane() >> 4) + (e))
#define mat_col(e) ((void)(e), dk_lane() & 15)
#define mat_out(e) (e)
#define mat_out_row(i) mat_row(i)
#endif
struct mat_w { u32x4 r[MAT_W]; };

#if defined(__NVPTX__)
DK_INLINE f32x4 mat_bf16(struct mat_w w, u32x4 x, f32x4 c)
{
    float p = c[0], q = c[1], r = c[2], s = c[3];
    DK_UNROLL
    for (int h = 0; h < 4; h += 2)
        __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                : "+f"(p), "+f"(q), "+f"(r), "+f"(s) : "r"(w.r[0][h]), "r"(w.r[1][h]), "r"(w.r[0][h + 1]), "r"(w.r[1][h + 1]), "r"(x[h]), "r"(x[h + 1]));
    return (f32x4)(p, q, r, s);
}
/* One half: words 2h, 2h + 1. */
DK_INLINE i32x4 mat_i8(struct mat_w w, u32x4 x, int h, i32x4 c)
{
    int p = c[0], q = c[1], r = c[2], s = c[3];
    __asm__("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+r"(p), "+r"(q), "+r"(r), "+r"(s) : "r"(w.r[0][2 * h]), "r"(w.r[1][2 * h]), "r"(w.r[0][2 * h + 1]), "r"(w.r[1][2 * h + 1]), "r"(x[2 * h]), "r"(x[2 * h + 1]));
    return (i32x4)(p, q, r, s);
}
/* Sums begin as the bits of 1.5 * 2^23: then they are floats that much above them, for one subtraction. */
#define MAT_ZERO 0x4b400000
#define mat_float(i) (dk_float((u32)(i)) - 12582912.0f)
#else
#include "gpu/kern/mfma.h"
DK_INLINE f32x4 mat_bf16(struct mat_w w, u32x4 x, f32x4 c) { return dk_mfma_bf16(dk_half(w.r[0], 1), dk_half(x, 1), dk_mfma_bf16(dk_half(w.r[0], 0), dk_half(x, 0), c)); }
DK_INLINE i32x4 mat_i8(struct mat_w w, u32x4 x, int h, i32x4 c) { return dk_mfma_i8(dk_half(w.r[0], h), dk_half(x, h), c); }
#define MAT_ZERO 0
#define mat_float(i) ((float)(i))
#endif
#define MAT_ZEROS ((i32x4){ MAT_ZERO, MAT_ZERO, MAT_ZERO, MAT_ZERO })

/* Columns of a run: of a weight's K alone. */
#define MAT_STEP 256
DK_INLINE int mat_run(int K) { return ((K + MAT_STEP - 1) / MAT_STEP + MAT_RUNS - 1) / MAT_RUNS * MAT_STEP; }

/* Nibbles of Q4_0 as 16 times what they stand for, -8 .. 7, in int8: those whose value is in the upper half of a byte. */
#define MAT_HIGH_NIBBLES(v) (((v) & 0xf0f0f0f0u) ^ 0x80808080u)
#define MAT_LOW_NIBBLES(v) MAT_HIGH_NIBBLES((v) << 4)
#define MAT_NIBBLES_SCALE 0.0625f
DK_INLINE u32x4 mat_zero4(void)
{
    const u32x4 zero = { 0, 0, 0, 0 };
    return zero;
}
DK_INLINE u32x4 mat_bf16_8(f32x4 x, f32x4 y)
{
    const u32x4 v = { dk_bf16_pair(x[0], x[1]), dk_bf16_pair(x[2], x[3]), dk_bf16_pair(y[0], y[1]), dk_bf16_pair(y[2], y[3]) };
    return v;
}
#endif
