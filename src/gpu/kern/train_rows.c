/* Training's rows of floats: norms, activations, rotation, embedding and loss, with what the backward pass needs or makes.  256 threads.
 * Sums over tokens are taken token by token in chunks of GPU_CHUNK and then over the chunks: their bits do not depend on the grid. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/block.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)

DK_INLINE void rows_put(DK_GLOBAL void *y, int y16, long at, float v)
{
    if (y16)
        ((DK_GLOBAL u16 *)y)[at] = (u16)dk_bf16(v);
    else
        ((DK_GLOBAL float *)y)[at] = v;
}

/* ---- norms: a block a part of a row (grid: n_row * n_part) ---- */

DK_BOUNDS(N_THREAD) DK_KERNEL void norm_train(struct norm_train_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const long row = dk_bx() / a.n_part, part = dk_bx() % a.n_part, at = row * a.ld_y + part * a.C;
    const DK_GLOBAL float *x = a.x + row * a.ld_x + part * a.C;
    float mean = 0, s = 0;
    if (a.layer) {
        for (int c = dk_tid(); c < a.C; c += N_THREAD)
            mean += x[c];
        mean = block_sum(mean, red) / (float)a.C;
    }
    for (int c = dk_tid(); c < a.C; c += N_THREAD)
        s += (x[c] - mean) * (x[c] - mean);
    s = block_sum(s, red);
    const float rstd = dk_rsqrt(s / (float)a.C + a.eps);
    for (int c = dk_tid(); c < a.C; c += N_THREAD)
        rows_put(a.y, a.y16, at + c, (x[c] - mean) * rstd * (a.w ? a.w[c] : 1.0f) + (a.b ? a.b[c] : 0.0f));
    if (dk_tid() == 0) {
        a.rstd[row * a.ld_stat + part] = rstd;
        if (a.layer)
            a.mean[row * a.ld_stat + part] = mean;
    }
}

DK_BOUNDS(N_THREAD) DK_KERNEL void norm_dx(struct norm_train_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const long row = dk_bx() / a.n_part, part = dk_bx() % a.n_part;
    const DK_GLOBAL float *x = a.x + row * a.ld_x + part * a.C, *dy = a.dy + row * a.ld_dy + part * a.C;
    DK_GLOBAL float *dx = a.dx + row * a.ld_dx + part * a.C;
    const float rstd = a.rstd[row * a.ld_stat + part], mean = a.layer ? a.mean[row * a.ld_stat + part] : 0.0f;
    float g_mean = 0, gx_mean = 0;
    for (int c = dk_tid(); c < a.C; c += N_THREAD) {
        const float g = dy[c] * (a.w ? a.w[c] : 1.0f);
        g_mean += g;
        gx_mean += g * ((x[c] - mean) * rstd);
    }
    g_mean = a.layer ? block_sum(g_mean, red) / (float)a.C : 0.0f;
    gx_mean = block_sum(gx_mean, red) / (float)a.C;
    for (int c = dk_tid(); c < a.C; c += N_THREAD) {
        const float d = rstd * (dy[c] * (a.w ? a.w[c] : 1.0f) - g_mean - (x[c] - mean) * rstd * gx_mean);
        dx[c] = a.add ? dx[c] + d : d;
    }
}

/* A thread a column of a chunk; grid: (C / 256, chunks). */
DK_BOUNDS(N_THREAD) DK_KERNEL void norm_dw(struct norm_train_args a)
{
    const int c = dk_bx() * N_THREAD + dk_tid(), first = dk_by() * GPU_CHUNK, end = first + GPU_CHUNK < a.n_row ? first + GPU_CHUNK : a.n_row;
    if (c >= a.C)
        return;
    float dw = 0, db = 0;
    for (long row = first; row < end; row++) {
        for (int part = 0; part < a.n_part; part++) {
            const float mean = a.layer ? a.mean[row * a.ld_stat + part] : 0.0f, d = a.dy[row * a.ld_dy + part * a.C + c];
            dw += d * ((a.x[row * a.ld_x + part * a.C + c] - mean) * a.rstd[row * a.ld_stat + part]);
            db += d;
        }
    }
    DK_GLOBAL float *to = a.partial + (long)dk_by() * 2 * a.C + c;
    to[0] = dw;
    to[a.C] = db;
}

DK_BOUNDS(N_THREAD) DK_KERNEL void chunk_sum(struct chunk_sum_args a)
{
    const int c = dk_bx() * N_THREAD + dk_tid();
    if (c >= a.C)
        return;
    float s = 0;
    for (int i = 0; i < a.n_chunk; i++)
        s += a.partial[i * a.ld + c];
    a.y[c] = a.add ? a.y[c] + s : s;
}

DK_BOUNDS(N_THREAD) DK_KERNEL void col_sum(struct col_sum_args a)
{
    const int c = dk_bx() * N_THREAD + dk_tid(), first = dk_by() * GPU_CHUNK, end = first + GPU_CHUNK < a.n_row ? first + GPU_CHUNK : a.n_row;
    if (c >= a.C)
        return;
    float s = 0;
    for (long row = first; row < end; row++)
        s += a.x[row * a.ld_x + c];
    a.partial[(long)dk_by() * a.C + c] = s;
}

/* A thread four columns of a chunk; eight rows are read before any is written. */
DK_BOUNDS(N_THREAD) DK_KERNEL void train_pack(struct train_pack_args a)
{
    const int c = (dk_bx() * N_THREAD + dk_tid()) * 4, first = dk_by() * GPU_CHUNK, end = first + GPU_CHUNK < a.n_row ? first + GPU_CHUNK : a.n_row;
    if (c >= a.C)
        return;
    f32x4 s = { 0, 0, 0, 0 };
    for (int row = first; row < end; row += 8) {
        f32x4 v[8];
        DK_UNROLL
        for (int i = 0; i < 8; i++)
            v[i] = *(const DK_GLOBAL f32x4 *)(a.x + (row + i < end ? row + i : end - 1) * a.ld_x + c);
        DK_UNROLL
        for (int i = 0; i < 8; i++) {
            const u32x2 h = { dk_bf16_pair(v[i][0], v[i][1]), dk_bf16_pair(v[i][2], v[i][3]) };
            if (row + i < end) {
                s += v[i];
                *(DK_GLOBAL u32x2 *)(a.y + (long)(row + i) * a.C + c) = h;
            }
        }
    }
    if (a.partial)
        *(DK_GLOBAL f32x4 *)(a.partial + (long)dk_by() * a.C + c) = s;
}

DK_BOUNDS(N_THREAD) DK_KERNEL void split_sum(struct split_sum_args a)
{
    const long i = ((long)dk_bx() * N_THREAD + dk_tid()) * 4;
    if (i >= a.n)
        return;
    f32x4 s = *(const DK_GLOBAL f32x4 *)(a.part + i);
    for (int j = 1; j < a.n_split; j++)
        s += *(const DK_GLOBAL f32x4 *)(a.part + j * a.n + i);
    if (a.bias)
        s += *(const DK_GLOBAL f32x4 *)(a.bias + i % a.N);
    if (a.add)
        s += *(const DK_GLOBAL f32x4 *)(a.add + i);
    *(DK_GLOBAL f32x4 *)(a.c + i) = s;
}

/* ---- four columns a thread, of floats or bf16 ---- */

DK_INLINE f32x4 rows_widen(u32x2 h)
{
    const f32x4 v = { dk_bf16_low(h[0]), dk_bf16_high(h[0]), dk_bf16_low(h[1]), dk_bf16_high(h[1]) };
    return v;
}
DK_INLINE f32x4 rows_four(const DK_GLOBAL void *x, int x16, long at)
{
    return x16 ? rows_widen(*(const DK_GLOBAL u32x2 *)((const DK_GLOBAL u16 *)x + at)) : *(const DK_GLOBAL f32x4 *)((const DK_GLOBAL float *)x + at);
}
DK_INLINE void rows_put_four(DK_GLOBAL void *y, int y16, long at, f32x4 v)
{
    const u32x2 h = { dk_bf16_pair(v[0], v[1]), dk_bf16_pair(v[2], v[3]) };
    if (y16)
        *(DK_GLOBAL u32x2 *)((DK_GLOBAL u16 *)y + at) = h;
    else
        *(DK_GLOBAL f32x4 *)((DK_GLOBAL float *)y + at) = v;
}
DK_BOUNDS(N_THREAD) DK_KERNEL void col_sum16(struct col_sum16_args a)
{
    const int c = (dk_bx() * N_THREAD + dk_tid()) * 4, first = dk_by() * GPU_CHUNK, end = first + GPU_CHUNK < a.n_row ? first + GPU_CHUNK : a.n_row;
    if (c >= a.C)
        return;
    f32x4 s = { 0, 0, 0, 0 };
    for (long row = first; row < end; row++)
        s += rows_four(a.x, 1, row * a.ld_x + c);
    *(DK_GLOBAL f32x4 *)(a.partial + (long)dk_by() * a.C + c) = s;
}

/* A lane's columns of a row: four, and four of each WAVE_COLS further on. */
#define WAVE_COLS (4 * DK_WAVE)
#define WAVE_FOURS (GPU_NORM_WAVE / WAVE_COLS)
DK_BOUNDS(N_THREAD) DK_KERNEL void norm_wave(struct norm_train_args a)
{
    const long row = (long)dk_bx() * N_WAVE + dk_wave();
    const int there = row < a.n_row, own = 4 * dk_lane();
    f32x4 x[WAVE_FOURS];
    float mean = 0, s = 0;
    DK_UNROLL
    for (int i = 0; i < WAVE_FOURS; i++) {
        const int c = own + i * WAVE_COLS;
        x[i] = there && c < a.C ? *(const DK_GLOBAL f32x4 *)(a.x + row * a.ld_x + c) : (f32x4){ 0, 0, 0, 0 };
        mean += x[i][0] + x[i][1] + (x[i][2] + x[i][3]);
    }
    mean = a.layer ? dk_wave_sum(mean) / (float)a.C : 0.0f;
    DK_UNROLL
    for (int i = 0; i < WAVE_FOURS; i++) {
        if (own + i * WAVE_COLS < a.C)
            x[i] -= mean;
        s += x[i][0] * x[i][0] + x[i][1] * x[i][1] + (x[i][2] * x[i][2] + x[i][3] * x[i][3]);
    }
    s = dk_wave_sum(s);
    const float rstd = dk_rsqrt(s / (float)a.C + a.eps);
    if (!there)
        return;
    DK_UNROLL
    for (int i = 0; i < WAVE_FOURS; i++) {
        const int c = own + i * WAVE_COLS;
        if (c >= a.C)
            continue;
        f32x4 y = x[i] * rstd;
        if (a.w)
            y *= *(const DK_GLOBAL f32x4 *)(a.w + c);
        if (a.b)
            y += *(const DK_GLOBAL f32x4 *)(a.b + c);
        rows_put_four(a.y, a.y16, row * a.ld_y + c, y);
    }
    if (dk_lane() == 0) {
        a.rstd[row * a.ld_stat] = rstd;
        if (a.layer)
            a.mean[row * a.ld_stat] = mean;
    }
}
DK_BOUNDS(N_THREAD) DK_KERNEL void norm_wave_back(struct norm_train_args a)
{
    DK_SHARED(float, sums, N_WAVE * WAVE_COLS);
    const int own = 4 * dk_lane();
    f32x4 w[WAVE_FOURS], dw[WAVE_FOURS], db[WAVE_FOURS];
    DK_UNROLL
    for (int i = 0; i < WAVE_FOURS; i++) {
        const int c = own + i * WAVE_COLS;
        w[i] = c >= a.C ? (f32x4){ 0, 0, 0, 0 } : a.w ? *(const DK_GLOBAL f32x4 *)(a.w + c) : (f32x4){ 1, 1, 1, 1 };
        dw[i] = db[i] = (f32x4){ 0, 0, 0, 0 };
    }
    for (int j = 0; j < GPU_CHUNK / N_WAVE; j++) {
        const long row = (long)dk_bx() * GPU_CHUNK + dk_wave() * (GPU_CHUNK / N_WAVE) + j;
        const int there = row < a.n_row;
        const float rstd = there ? a.rstd[row * a.ld_stat] : 0.0f, mean = there && a.layer ? a.mean[row * a.ld_stat] : 0.0f;
        f32x4 xh[WAVE_FOURS], dy[WAVE_FOURS];
        float g_mean = 0, gx_mean = 0;
        DK_UNROLL
        for (int i = 0; i < WAVE_FOURS; i++) {
            const int c = own + i * WAVE_COLS, in = there && c < a.C;
            xh[i] = in ? *(const DK_GLOBAL f32x4 *)(a.x + row * a.ld_x + c) : (f32x4){ 0, 0, 0, 0 };
            dy[i] = in ? rows_four(a.dy, a.dy16, row * a.ld_dy + c) : (f32x4){ 0, 0, 0, 0 };
        }
        DK_UNROLL
        for (int i = 0; i < WAVE_FOURS; i++) {
            xh[i] = (xh[i] - mean) * rstd;
            dw[i] += dy[i] * xh[i];
            db[i] += dy[i];
            dy[i] *= w[i];
            const f32x4 p = dy[i] * xh[i];
            g_mean += dy[i][0] + dy[i][1] + (dy[i][2] + dy[i][3]);
            gx_mean += p[0] + p[1] + (p[2] + p[3]);
        }
        g_mean = a.layer ? dk_wave_sum(g_mean) / (float)a.C : 0.0f;
        gx_mean = dk_wave_sum(gx_mean) / (float)a.C;
        DK_UNROLL
        for (int i = 0; i < WAVE_FOURS; i++) {
            const int c = own + i * WAVE_COLS;
            if (!there || c >= a.C || !a.dx)
                continue;
            DK_GLOBAL f32x4 *dx = (DK_GLOBAL f32x4 *)(a.dx + row * a.ld_dx + c);
            const f32x4 d = (dy[i] - g_mean - xh[i] * gx_mean) * rstd;
            *dx = a.add ? *dx + d : d;
        }
    }
    if (!a.partial)
        return;
    DK_UNROLL
    for (int i = 0; i < 2 * WAVE_FOURS; i++) {                 /* WAVE_COLS of dw at a time, then of db */
        dk_barrier();
        *(DK_LOCAL f32x4 *)(sums + dk_wave() * WAVE_COLS + own) = i < WAVE_FOURS ? dw[i % WAVE_FOURS] : db[i % WAVE_FOURS];
        dk_barrier();
        const int c = i % WAVE_FOURS * WAVE_COLS + dk_tid();
        if (dk_tid() < WAVE_COLS && c < a.C) {
            float s = 0;
            for (int k = 0; k < N_WAVE; k++)
                s += sums[k * WAVE_COLS + dk_tid()];
            a.partial[((long)dk_bx() * 2 + i / WAVE_FOURS) * a.C + c] = s;
        }
    }
}

/* ---- activations: a block a row ---- */

DK_INLINE float rows_exp(float x) { return dk_exp2(x * DK_LOG2E); }
DK_INLINE float rows_abs(float x) { return x < 0 ? -x : x; }
DK_INLINE float rows_tanh(float x)
{
    const float t = rows_exp(-2.0f * rows_abs(x)), y = (1.0f - t) / (1.0f + t);
    return x < 0 ? -y : y;
}
struct slope { float y, d; };
/* h * cdf(h) by the normal distribution's tail, as cpu/simd/rows.inc has it: e^(-z^2/2) t P(t), t = 1/(1 + 0.23 z), z = |h|. */
DK_INLINE struct slope rows_gelu(float h)
{
    const float z = rows_abs(h), e = dk_exp2(h * h * (-0.5f * DK_LOG2E)), t = 1.0f / (z * 0.23f + 1.0f);
    float p = t * -7.29925929e-2f + 2.64980211e-1f;
    p = p * t - 2.27978115e-1f;
    p = p * t + 2.46762772e-1f;
    p = p * t + 3.13726664e-3f;
    p = p * t + 1.04833895e-1f;
    p = p * t + 8.93650747e-2f;
    p = p * t + 9.18915784e-2f;
    const float tail = p * t * e, cdf = h < 0 ? tail : 1.0f - tail;
    struct slope s;
    s.y = h * cdf;
    s.d = h * e * 0.39894228f + cdf;
    return s;
}
DK_INLINE struct slope rows_gelu_tanh(float h)
{
    const float k = 0.79788456f, h2 = h * h, u = k * h * (h2 * 0.044715f + 1.0f), sigmoid = 1.0f / (1.0f + rows_exp(-2.0f * u));
    struct slope s;
    s.y = h * sigmoid;
    s.d = h * (2.0f * sigmoid * (1.0f - sigmoid)) * (k * (h2 * (3 * 0.044715f) + 1.0f)) + sigmoid;
    return s;
}
DK_INLINE struct slope rows_silu(float h)
{
    const float sigmoid = 1.0f / (1.0f + rows_exp(-h));
    struct slope s;
    s.y = h * sigmoid;
    s.d = sigmoid * (1.0f + h * (1.0f - sigmoid));
    return s;
}
/* Of one column: y, and its slopes by h (da) and, gated, by h[F + c] (du). */
struct act_slope { float y, da, du; };
DK_INLINE struct act_slope rows_act(int kind, float h, float u)
{
    struct act_slope r;
    if (kind == GPU_ACT_SWIGLU_CLAMPED) {
        const float a = h > 7 ? 7 : h, v = u > 7 ? 7 : u < -7 ? -7 : u, s = 1.0f / (1.0f + rows_exp(-1.702f * a));
        r.y = (v + 1.0f) * a * s;
        r.da = h > 7 ? 0 : (v + 1.0f) * s * (1.0f + 1.702f * a * (1.0f - s));
        r.du = u > 7 || u < -7 ? 0 : a * s;
        return r;
    }
    const struct slope s = kind == GPU_ACT_SWIGLU ? rows_silu(h) : kind == GPU_ACT_GELU || kind == GPU_ACT_GEGLU ? rows_gelu(h) : rows_gelu_tanh(h);
    const int gated = kind >= GPU_ACT_SWIGLU;
    r.y = gated ? s.y * u : s.y;
    r.da = gated ? s.d * u : s.d;
    r.du = s.y;
    return r;
}

DK_BOUNDS(N_THREAD) DK_KERNEL void act_train(struct act_train_args a)
{
    const long row = dk_bx();
    const float scale = a.scale ? a.scale[row] : 1.0f;
    const DK_GLOBAL float *h = a.h + row * a.ld_h;
    for (int c = dk_tid(); c < a.F; c += N_THREAD)
        rows_put(a.y, a.y16, row * a.ld_y + c, rows_act(a.kind, h[c], a.kind >= GPU_ACT_SWIGLU ? h[a.F + c] : 0.0f).y * scale);
}

DK_BOUNDS(N_THREAD) DK_KERNEL void act_back(struct act_train_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const long row = dk_bx();
    const float scale = a.scale ? a.scale[row] : 1.0f;
    const int gated = a.kind >= GPU_ACT_SWIGLU;
    const DK_GLOBAL float *h = a.h + row * a.ld_h, *dy = a.dy + row * a.ld_dy;
    DK_GLOBAL float *dh = a.dh + row * a.ld_dh;
    float sum = 0;
    for (int c = dk_tid(); c < a.F; c += N_THREAD) {
        const struct act_slope s = rows_act(a.kind, h[c], gated ? h[a.F + c] : 0.0f);
        const float d = dy[c];
        sum += d * s.y;
        dh[c] = d * s.da * scale;
        if (gated)
            dh[a.F + c] = d * s.du * scale;
    }
    sum = block_sum(sum, red);
    if (a.dscale && dk_tid() == 0)
        a.dscale[row] = sum;
}

DK_BOUNDS(N_THREAD) DK_KERNEL void act_four(struct act_train_args a)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / (a.F / 4), c = i % (a.F / 4) * 4;
    if (row >= a.n_row)
        return;
    const f32x4 none = { 0, 0, 0, 0 }, h = rows_four(a.h, a.h16, row * a.ld_h + c), u = a.kind >= GPU_ACT_SWIGLU ? rows_four(a.h, a.h16, row * a.ld_h + a.F + c) : none;
    f32x4 y;
    DK_UNROLL
    for (int j = 0; j < 4; j++)
        y[j] = rows_act(a.kind, h[j], u[j]).y;
    rows_put_four(a.y, a.y16, row * a.ld_y + c, y);
}
DK_BOUNDS(N_THREAD) DK_KERNEL void act_four_back(struct act_train_args a)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / (a.F / 4), c = i % (a.F / 4) * 4;
    if (row >= a.n_row)
        return;
    const int gated = a.kind >= GPU_ACT_SWIGLU;
    const f32x4 none = { 0, 0, 0, 0 }, h = rows_four(a.h, a.h16, row * a.ld_h + c), u = gated ? rows_four(a.h, a.h16, row * a.ld_h + a.F + c) : none,
                dy = rows_four(a.dy, a.dy16, row * a.ld_dy + c);
    f32x4 da, du;
    DK_UNROLL
    for (int j = 0; j < 4; j++) {
        const struct act_slope s = rows_act(a.kind, h[j], u[j]);
        da[j] = dy[j] * s.da;
        du[j] = dy[j] * s.du;
    }
    rows_put_four(a.dh, a.dh16, row * a.ld_dh + c, da);
    if (gated)
        rows_put_four(a.dh, a.dh16, row * a.ld_dh + a.F + c, du);
}

/* ---- rotation: a thread a pair ---- */

DK_BOUNDS(N_THREAD) DK_KERNEL void rope_turn(struct rope_turn_args a)
{
    const int d2 = a.d_rot / 2, n = a.n_head * d2;
    const long i = (long)dk_bx() * N_THREAD + dk_tid();
    const int row = (int)(i / n), head = (int)(i % n) / d2, j = (int)(i % d2);
    if (row >= a.n_row)
        return;
    DK_GLOBAL float *x = a.x + row * a.ld_x + head * a.d_head + (a.pairs ? 2 * j : j);
    const int step = a.pairs ? 1 : d2;
    const DK_GLOBAL float *t = a.cos_sin + ((long)a.pos[row] * d2 + j) * 2;
    const float c = t[0], s = a.inverse ? -t[1] : t[1], u = x[0], v = x[step];
    x[0] = u * c - v * s;
    x[step] = u * s + v * c;
}

DK_BOUNDS(N_THREAD) DK_KERNEL void add_train(struct add_args a)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid();
    if (i < a.n)
        a.y[i] = a.b ? a.a[i] + a.b[i] : a.a[i];
}

/* ---- embedding: a block a token; that of an id's first one adds them all, tokens ascending ---- */

DK_BOUNDS(N_THREAD) DK_KERNEL void embed_back(struct embed_back_args a)
{
    DK_SHARED(int, same, N_THREAD);
    DK_SHARED(int, any, N_WAVE);
    const int own = dk_bx(), id = a.id[own];
    DK_GLOBAL float *dw = a.dw + ((long)a.first + id) * a.C;
    for (int first = 0; first < a.n_row; first += N_THREAD) {
        const int t = first + dk_tid(), met = t < a.n_row && a.id[t] == id;
        const float n = dk_wave_max(met ? 1.0f : 0.0f);
        dk_barrier();
        same[dk_tid()] = met;
        if (dk_lane() == 0)
            any[dk_wave()] = n > 0;
        dk_barrier();
        for (int w = 0; w < N_WAVE; w++) {
            for (int i = w * DK_WAVE; any[w] && i < (w + 1) * DK_WAVE; i++) {
                if (!same[i])
                    continue;
                if (first + i < own)
                    return;
                for (int c = dk_tid(); c < a.C; c += N_THREAD)
                    dw[c] += a.scale * a.dy[(long)(first + i) * a.C + c];
            }
        }
    }
}

/* ---- cross-entropy: a block a row ---- */

DK_INLINE float capped(float x, float cap) { return cap > 0 ? cap * rows_tanh(x / cap) : x; }
DK_BOUNDS(N_THREAD) DK_KERNEL void ce_train(struct ce_args a)
{
    DK_SHARED(float, red, BLOCK_WAVES);
    const int row = dk_bx(), target = a.target[row];
    DK_GLOBAL float *x = a.x + row * a.ld;
    DK_GLOBAL u16 *y = a.y ? a.y + row * a.ld : (DK_GLOBAL u16 *)0;
    for (int i = (target < 0 ? 0 : a.V) + dk_tid(); y && a.grad && i < a.ld; i += N_THREAD)
        y[i] = 0;
    if (target < 0) {
        for (int i = dk_tid(); !y && a.grad && i < a.V; i += N_THREAD)
            x[i] = 0;
        if (dk_tid() == 0)
            a.nll[row] = 0;
        return;
    }
    float own = DK_LOW, s = 0;
    for (int i = dk_tid(); i < a.V; i += N_THREAD) {
        const float v = capped(x[i], a.cap), m = dk_max(own, v);
        s = s * rows_exp(own - m) + rows_exp(v - m);
        own = m;
    }
    const float most = block_max(own, red), hit = capped(x[target], a.cap);
    s = block_sum(s * rows_exp(own - most), red);
    if (dk_tid() == 0)
        a.nll[row] = most - hit + dk_log2(s) * DK_LN2;
    if (!a.grad)
        return;
    const float r = 1.0f / s, scale = a.token_scale ? a.token_scale[row] : a.scale;
    for (int i = dk_tid(); i < a.V; i += N_THREAD) {
        const float v = capped(x[i], a.cap), p = (rows_exp(v - most) * r - (i == target ? 1.0f : 0.0f)) * scale;
        const float d = a.cap > 0 ? p * (1.0f - v / a.cap * (v / a.cap)) : p;
        if (y)
            y[i] = (u16)dk_bf16(d);
        else
            x[i] = d;
    }
}
