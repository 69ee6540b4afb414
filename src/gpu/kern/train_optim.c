/* What happens to weights: sums of squares of gradients, AdamW, and the operands of the next step's products, made in the same pass. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/math.h"
#define N_THREAD 256

/* A block a block of numbers: each thread's sum and the block's have a second float for what the first has not. */
DK_BOUNDS(N_THREAD) DK_KERNEL void squares(struct squares_args a)
{
    DK_SHARED(float, part, 2 * N_THREAD);
    const long expert = dk_bx() / a.per_expert, first = dk_bx() % a.per_expert * GPU_SQUARES;
    const long left = a.each - first, n = left < GPU_SQUARES ? left : GPU_SQUARES;
    const DK_GLOBAL float *x = a.x + expert * a.each + first;
    float sum = 0, low = 0, error;
    for (long i = dk_tid(); i < n; i += N_THREAD) {
        const float p = x[i] * x[i];
        low += dk_fma(x[i], x[i], -p);
        sum = two_sum(sum, p, &error);
        low += error;
    }
    part[2 * dk_tid()] = sum;
    part[2 * dk_tid() + 1] = low;
    dk_barrier();
    if (dk_tid() != 0)
        return;
    for (int i = 1; i < N_THREAD; i++) {
        sum = two_sum(sum, part[2 * i], &error);
        low += error + part[2 * i + 1];
    }
    a.out[2 * dk_bx()] = two_sum(sum, low, &error);
    a.out[2 * dk_bx() + 1] = error;
}

#define ROWS 32
#define COLS 64
/* A block a tile of ROWS x COLS of a matrix; the columns' operand goes through shared memory, so that both are written in rows. */
DK_BOUNDS(N_THREAD) DK_KERNEL void adamw(struct adamw_args a)
{
    DK_SHARED(float, tile, ROWS * (COLS + 1));
    const long each = a.N * a.K, base = dk_bz() * each;
    const int n0 = dk_by() * ROWS, k0 = dk_bx() * COLS;
    const float keep = 1.0f - a.lr * a.wd, rate = a.lr / a.correction1, root = 1.0f / dk_sqrt(a.correction2);
    for (int i = dk_tid(); i < ROWS * COLS; i += N_THREAD) {
        const long n = n0 + i / COLS, k = k0 + i % COLS, at = base + n * a.K + k;
        if (n >= a.N || k >= a.K)
            continue;
        float w = a.w[at];
        if (a.g) {
            const float d = a.g[at] * a.grad_scale;
            const float m = a.beta1 * a.m[at] + (1.0f - a.beta1) * d, v = a.beta2 * a.v[at] + (1.0f - a.beta2) * d * d;
            w = w * keep - rate * m / (dk_sqrt(v) * root + a.eps);
            a.m[at] = m;
            a.v[at] = v;
            a.w[at] = w;
        }
        if (a.by_rows && a.f32)
            ((DK_GLOBAL float *)a.by_rows)[at] = w;
        else if (a.by_rows)
            ((DK_GLOBAL u16 *)a.by_rows)[at] = (u16)dk_bf16(w);
        tile[i / COLS * (COLS + 1) + i % COLS] = w;
    }
    if (!a.by_cols)
        return;
    dk_barrier();
    for (int i = dk_tid(); i < ROWS * COLS; i += N_THREAD) {
        const long n = n0 + i % ROWS, k = k0 + i / ROWS, at = base + k * a.N + n;
        if (n >= a.N || k >= a.K)
            continue;
        const float w = tile[i % ROWS * (COLS + 1) + i / ROWS];
        if (a.f32)
            ((DK_GLOBAL float *)a.by_cols)[at] = w;
        else
            ((DK_GLOBAL u16 *)a.by_cols)[at] = (u16)dk_bf16(w);
    }
}
