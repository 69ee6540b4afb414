/* Rows of floats: norm, rotation, activation, softmax, embedding, quantisation.  256 threads; each reads and writes its row once
 * or twice (the second time out of cache), so memory bounds them all. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/block.h"
#include "gpu/kern/a8.h"
#define N_THREAD 256

/* A block a row, up to 4096 of whose numbers are read once, all at the same time. */
enum { HELD = 4 };
DK_INLINE void norm_put(const struct rmsnorm_args *a, f32x4 v, int i)
{
    const int there = i < a->C / 4;
    if (there) {
        v = v * ((const DK_GLOBAL f32x4 *)a->w)[i];
        *((DK_GLOBAL f32x4 *)(a->y + dk_bx() * a->ld_y) + i) = v;
    }
    if (a->q)
        a8_put(v, there, a->q, a->ds, (long)dk_bx() * a->C + 4 * i);
}
DK_BOUNDS(N_THREAD) DK_KERNEL void rmsnorm(struct rmsnorm_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const DK_GLOBAL f32x4 *x = (const DK_GLOBAL f32x4 *)(a.x + dk_bx() * a.ld_x);
    const int n4 = a.C / 4;
    f32x4 held[HELD];
    float s = 0;
    DK_UNROLL
    for (int j = 0; j < HELD; j++) {
        const int i = dk_tid() + j * N_THREAD;
        held[j] = x[i < n4 ? i : 0];               /* loads without branches between them */
    }
    DK_UNROLL
    for (int j = 0; j < HELD; j++) {
        const int there = dk_tid() + j * N_THREAD < n4;
        DK_UNROLL
        for (int k = 0; k < 4; k++)
            held[j][k] = there ? held[j][k] : 0;
    }
    DK_UNROLL
    for (int j = 0; j < HELD; j++)
        s += held[j][0] * held[j][0] + held[j][1] * held[j][1] + held[j][2] * held[j][2] + held[j][3] * held[j][3];
    for (int i = dk_tid() + HELD * N_THREAD; i < n4; i += N_THREAD) {
        const f32x4 v = x[i];
        s += v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + v[3] * v[3];
    }
    const float r = dk_rsqrt(block_sum(s, red) / (float)a.C + a.eps);
    DK_UNROLL
    for (int j = 0; j < HELD; j++) {
        if (j * N_THREAD < n4)
            norm_put(&a, held[j] * r, dk_tid() + j * N_THREAD);
    }
    for (int i0 = HELD * N_THREAD; i0 < n4; i0 += N_THREAD) {
        const int i = i0 + dk_tid();
        norm_put(&a, i < n4 ? x[i] * r : (f32x4){ 0, 0, 0, 0 }, i);
    }
    if (a.rstd && dk_tid() == 0)
        a.rstd[dk_bx()] = r;
}

/* A thread a pair; n_head * d_rot / 2 pairs of a row. */
DK_BOUNDS(N_THREAD) DK_KERNEL void rope(struct rope_args a)
{
    const int d2 = a.d_rot / 2, n = a.n_head * d2;
    const long i = (long)dk_bx() * N_THREAD + dk_tid();
    const int row = (int)(i / n), head = (int)(i % n) / d2, j = (int)(i % d2);
    if (row >= a.n_row)
        return;
    DK_GLOBAL float *x = a.x + row * a.ld_x + head * a.d_head + (a.pairs ? 2 * j : j);
    const int step = a.pairs ? 1 : d2;
    const DK_GLOBAL float *t = a.cos_sin + ((long)row * d2 + j) * 2;
    const float c = t[0], s = t[1], u = x[0], v = x[step];
    x[0] = u * c - v * s;
    x[step] = u * s + v * c;
}

/* A thread four columns. */
DK_BOUNDS(N_THREAD) DK_KERNEL void swiglu(struct swiglu_args a)
{
    const int n4 = a.F / 4;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / n4, c = i % n4 * 4;
    const int there = row < a.n_row;
    f32x4 y = { 0, 0, 0, 0 };
    if (there) {
        const f32x4 g = *(const DK_GLOBAL f32x4 *)(a.h + row * a.ld_h + c), u = *(const DK_GLOBAL f32x4 *)(a.h + row * a.ld_h + a.F + c);
        DK_UNROLL
        for (int j = 0; j < 4; j++)
            y[j] = g[j] / (1.0f + dk_exp2(-DK_LOG2E * g[j])) * u[j];
        *(DK_GLOBAL f32x4 *)(a.y + row * a.ld_y + c) = y;
    }
    if (a.q)
        a8_put(y, there, a.q, a.ds, row * a.F + c);
}

/* A block a row, read twice: a running maximum and the sum beside it, then the result.  Rows whose length and place allow it go four numbers at a
 * time: a row's bits depend on its length, not on the others. */
DK_INLINE void take(float x, float *most, float *sum)
{
    const float m = dk_max(*most, x);
    *sum = *sum * dk_exp2((*most - m) * DK_LOG2E) + dk_exp2((x - m) * DK_LOG2E);
    *most = m;
}
DK_BOUNDS(N_THREAD) DK_KERNEL void softmax(struct softmax_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const DK_GLOBAL float *x = a.x + dk_bx() * a.ld_x;
    DK_GLOBAL float *y = a.y + dk_bx() * a.ld_y;
    const int n4 = (a.n % 4 == 0 && a.ld_x % 4 == 0 && a.ld_y % 4 == 0) ? a.n / 4 : 0, step = 4 * N_THREAD;
    float own = DK_LOW, s = 0;
    for (int i = dk_tid(); i < n4; i += N_THREAD) {
        const f32x4 v = ((const DK_GLOBAL f32x4 *)x)[i];
        const float m = dk_max(own, dk_max(dk_max(v[0], v[1]), dk_max(v[2], v[3])));
        s *= dk_exp2((own - m) * DK_LOG2E);
        DK_UNROLL
        for (int j = 0; j < 4; j++)
            s += dk_exp2((v[j] - m) * DK_LOG2E);
        own = m;
    }
    for (int i0 = 4 * dk_tid(); n4 == 0 && i0 < a.n; i0 += step) {
        for (int i = i0; i < i0 + 4 && i < a.n; i++)
            take(x[i], &own, &s);
    }
    const float most = block_max(own, red);
    s = block_sum(s * dk_exp2((own - most) * DK_LOG2E), red);
    const float r = 1.0f / s;
    for (int i = dk_tid(); i < n4; i += N_THREAD) {
        const f32x4 v = ((const DK_GLOBAL f32x4 *)x)[i];
        f32x4 p;
        DK_UNROLL
        for (int j = 0; j < 4; j++)
            p[j] = dk_exp2((v[j] - most) * DK_LOG2E) * r;
        ((DK_GLOBAL f32x4 *)y)[i] = p;
    }
    for (int i = dk_tid(); n4 == 0 && i < a.n; i += N_THREAD)
        y[i] = dk_exp2((x[i] - most) * DK_LOG2E) * r;
    if (a.lse && dk_tid() == 0)
        a.lse[dk_bx()] = most + dk_log2(s) * DK_LN2;
}

/* A block a row. */
DK_BOUNDS(N_THREAD) DK_KERNEL void embed(struct embed_args a)
{
    const long at = (long)a.id[dk_bx()] * a.C;
    DK_GLOBAL float *y = a.y + dk_bx() * a.ld_y;
    if (a.bf16) {
        const DK_GLOBAL u32 *x = (const DK_GLOBAL u32 *)a.table + at / 2;
        for (int i = dk_tid(); i < a.C / 2; i += N_THREAD) {
            const u32 v = x[i];
            y[2 * i] = dk_bf16_low(v);
            y[2 * i + 1] = dk_bf16_high(v);
        }
    } else {
        const DK_GLOBAL float *x = (const DK_GLOBAL float *)a.table + at;
        for (int i = dk_tid(); i < a.C; i += N_THREAD)
            y[i] = x[i];
    }
}

/* A thread four columns. */
DK_BOUNDS(N_THREAD) DK_KERNEL void quantize_a8(struct quantize_args a)
{
    const int n4 = a.K / 4;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / n4, c = i % n4 * 4;
    const int there = row < a.n_row;
    a8_put(there ? *(const DK_GLOBAL f32x4 *)(a.x + row * a.ld_x + c) : (f32x4){ 0, 0, 0, 0 }, there, a.q, a.ds, row * a.K + c);
}
