/* What the layers of every family need of single rows: norms of any length, sums, activations.  256 threads; plain reads of four bytes. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/block.h"
#include "gpu/kern/math.h"
#define N_THREAD 256

/* A block a row. */
DK_BOUNDS(N_THREAD) DK_KERNEL void norm_rows(struct norm_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const DK_GLOBAL float *x = a.x + dk_bx() * a.ld_x;
    DK_GLOBAL float *y = a.y + dk_bx() * a.ld_y;
    float mean = 0, s = 0;
    if (a.layer) {
        for (int i = dk_tid(); i < a.C; i += N_THREAD)
            s += x[i];
        mean = block_sum(s, red) / (float)a.C;
    }
    s = 0;
    for (int i = dk_tid(); i < a.C; i += N_THREAD) {
        const float v = x[i] - mean;
        s += v * v;
    }
    const float r = dk_rsqrt(block_sum(s, red) / (float)a.C + a.eps);
    for (int i = dk_tid(); i < a.C; i += N_THREAD) {
        float v = (x[i] - mean) * r;
        v = a.w ? v * a.w[i] : v;
        y[i] = a.b ? v + a.b[i] : v;
    }
    if (dk_tid() == 0) {
        if (a.mean)
            a.mean[dk_bx()] = mean;
        if (a.rstd)
            a.rstd[dk_bx()] = r;
    }
}

/* A thread a number. */
DK_BOUNDS(N_THREAD) DK_KERNEL void sum_rows(struct sum_args a)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / a.C, c = i % a.C;
    if (row >= a.n_row)
        return;
    const float v = a.a[row * a.ld_a + c];
    a.y[row * a.ld_y + c] = a.b ? v + a.b[row * a.ld_b + c] : v;
}

/* A thread a number. */
DK_BOUNDS(N_THREAD) DK_KERNEL void act_rows(struct act_args a)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / a.F, c = i % a.F;
    if (row >= a.n_row)
        return;
    const int gated = a.kind == GPU_ACT_SWIGLU || a.kind == GPU_ACT_GEGLU || a.kind == GPU_ACT_GEGLU_TANH || a.kind == GPU_ACT_SWIGLU_CLAMPED;
    const float h = a.h[row * a.ld_h + c], u = gated ? a.h[row * a.ld_h + a.F + c] : 1.0f;
    float y = h;
    if (a.kind == GPU_ACT_GELU || a.kind == GPU_ACT_GEGLU) {
        y = dk_gelu(h) * u;
    } else if (a.kind == GPU_ACT_GELU_TANH || a.kind == GPU_ACT_GEGLU_TANH) {
        y = dk_gelu_tanh(h) * u;
    } else if (a.kind == GPU_ACT_SWIGLU) {
        y = h * dk_sigmoid(h) * u;
    } else if (a.kind == GPU_ACT_SWIGLU_CLAMPED) {
        const float g = h > 7.0f ? 7.0f : h, v = u > 7.0f ? 7.0f : u < -7.0f ? -7.0f : u;
        y = (v + 1.0f) * g * dk_sigmoid(1.702f * g);
    } else if (a.kind == GPU_ACT_SIGMOID) {
        y = dk_sigmoid(h);
    } else if (a.kind == GPU_ACT_TANH) {
        y = dk_tanh(h);
    } else if (a.kind == GPU_ACT_SOFTCAP) {
        y = a.cap * dk_tanh(h / a.cap);
    } else if (a.kind == GPU_ACT_CLIP) {
        y = h > a.cap ? a.cap : h < -a.cap ? -a.cap : h;
    }
    a.y[row * a.ld_y + c] = a.scale ? y * a.scale[row] : y;
}
