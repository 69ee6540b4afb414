/* Attention over pages, plainly: any head sizes, any number of rows, floats or bf16.  What the kernels of attn.c do faster for some. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/block.h"
#include "gpu/kern/math.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)
#define HEAD_MAX 512

/* A wave a head: the query heads, the heads of keys, the heads of values. */
DK_BOUNDS(N_THREAD) DK_KERNEL void qkv_put(struct qkv_put_args a)
{
    const int slots = a.n_head + 2 * a.n_kv_head, lane = dk_lane();
    const long i = (long)dk_bx() * N_WAVE + dk_wave(), row = i / slots;
    const int slot = (int)(i % slots), k = slot - a.n_head, v = k - a.n_kv_head;
    if (row >= a.n_row)
        return;
    DK_GLOBAL float *x = a.qkv + row * a.ld_qkv + (v >= 0 ? (long)(a.n_head + a.n_kv_head) * a.dk + (long)v * a.dv : (long)slot * a.dk);
    const DK_GLOBAL float *w = k < 0 ? a.q_norm : v < 0 ? a.k_norm : 0;
    const int pos = a.pos[row], d = v >= 0 ? a.dv : a.dk, n_rot = v >= 0 || !a.cos_sin ? 0 : a.d_rot;
    /* The other two thirds of a page's keys and values begin where those of the heads before end. */
    const long head = v >= 0 ? (long)a.n_kv_head * GPU_KV_TOKENS * a.dk + (long)v * GPU_KV_TOKENS * a.dv : (long)k * GPU_KV_TOKENS * a.dk;
    const long at = k < 0 ? 0 : a.pages[a.seq[row] * a.ld_pages + pos / GPU_KV_TOKENS] * a.page_size + head + (long)(pos % GPU_KV_TOKENS) * d;
    float r = 1;
    if (w) {
        float s = 0;
        for (int c = lane; c < d; c += DK_WAVE)
            s += x[c] * x[c];
        r = dk_rsqrt(dk_wave_sum(s) / (float)d + a.eps);
    }
    const int n_pair = n_rot / 2, step = a.pairs ? 1 : n_pair;
    for (int c = lane; c < d - n_pair; c += DK_WAVE) {           /* a pair, or a number that does not turn */
        const int turns = c < n_pair, c0 = !turns ? c + n_pair : a.pairs ? 2 * c : c, c1 = c0 + step;
        float y0 = x[c0], y1 = turns ? x[c1] : 0;
        if (w) {
            y0 = y0 * r * w[c0];
            y1 = turns ? y1 * r * w[c1] : 0;
        }
        if (turns) {
            const DK_GLOBAL float *t = a.cos_sin + ((long)pos * n_pair + c) * 2;
            const float u = y0;
            y0 = u * t[0] - y1 * t[1];
            y1 = u * t[1] + y1 * t[0];
        }
        if (k < 0) {
            x[c0] = y0;
            if (turns)
                x[c1] = y1;
        } else if (a.f32) {
            DK_GLOBAL float *kv = (DK_GLOBAL float *)a.kv + at;
            kv[c0] = y0;
            if (turns)
                kv[c1] = y1;
        } else {
            DK_GLOBAL u16 *kv = (DK_GLOBAL u16 *)a.kv + at;
            kv[c0] = (u16)dk_bf16(y0);
            if (turns)
                kv[c1] = (u16)dk_bf16(y1);
        }
    }
}

DK_INLINE float number(const DK_GLOBAL void *kv, long at, int f32)
{
    return f32 ? ((const DK_GLOBAL float *)kv)[at] : dk_bf16_float(((const DK_GLOBAL u16 *)kv)[at]);
}
/* A block a head of a row.  Ranges of 256 absolute positions in order: a thread scores a position, then the threads divide the numbers of a value, and
 * the positions where there are more threads than numbers; their sums are added at the end. */
DK_BOUNDS(N_THREAD) DK_KERNEL void attn_paged(struct attn_paged_args a)
{
    DK_SHARED(float, q, HEAD_MAX);
    DK_SHARED(float, p, N_THREAD);
    DK_SHARED(float, red, BLOCK_WAVES);
    DK_SHARED(float, sums, 2 * N_THREAD);
    const int head = dk_bx(), row = dk_by(), t = dk_tid(), kv_head = head / (a.n_head / a.n_kv_head), n = a.pos[row] + 1;
    const int first = a.window > 0 && n > a.window ? n - a.window : 0;
    const DK_GLOBAL int *page = a.pages + (long)a.seq[row] * a.ld_pages;
    const long keys = (long)kv_head * GPU_KV_TOKENS * a.dk, values = (long)a.n_kv_head * GPU_KV_TOKENS * a.dk + (long)kv_head * GPU_KV_TOKENS * a.dv;
    for (int c = t; c < a.dk; c += N_THREAD)
        q[c] = a.q[row * a.ld_q + (long)head * a.dk + c] * a.scale;
    int width = 1;
    while (width < a.dv && width < N_THREAD)
        width *= 2;
    const int c = t % width, part = t / width, n_part = N_THREAD / width;
    float most = a.sink ? a.sink[head] * DK_LOG2E : DK_LOW, total = a.sink ? 1.0f : 0.0f, o0 = 0, o1 = 0;
    for (int t0 = first / N_THREAD * N_THREAD; t0 < n; t0 += N_THREAD) {
        const int here = t0 + t, sees = here >= first && here < n;
        float s = DK_LOW;
        dk_barrier();
        if (sees) {
            const long key = page[here / GPU_KV_TOKENS] * a.page_size + keys + (long)(here % GPU_KV_TOKENS) * a.dk;
            s = 0;
            for (int i = 0; i < a.dk; i++)
                s += q[i] * number(a.kv, key + i, a.f32);
            s = (a.cap > 0 ? a.cap * dk_tanh(s / a.cap) : s) * DK_LOG2E;
        }
        const float m = dk_max(most, block_max(s, red)), old = dk_exp2(most - m), e = sees ? dk_exp2(s - m) : 0;
        p[t] = e;
        total = total * old + block_sum(e, red);          /* its barriers are p's too */
        most = m;
        o0 *= old;
        o1 *= old;
        for (int i = part; i < N_THREAD; i += n_part) {
            const int at = t0 + i;
            if (at < first || at >= n || c >= a.dv)
                continue;
            const long value = page[at / GPU_KV_TOKENS] * a.page_size + values + (long)(at % GPU_KV_TOKENS) * a.dv + c;
            o0 += p[i] * number(a.kv, value, a.f32);
            if (c + N_THREAD < a.dv)
                o1 += p[i] * number(a.kv, value + N_THREAD, a.f32);
        }
    }
    dk_barrier();
    sums[t] = o0;
    sums[N_THREAD + t] = o1;
    dk_barrier();
    DK_GLOBAL float *o = a.o + row * a.ld_o + (long)head * a.dv;
    if (part == 0 && c < a.dv) {
        float v = 0;
        for (int i = 0; i < n_part; i++)
            v += sums[i * width + c];
        o[c] = v / total;
        if (c + N_THREAD < a.dv)
            o[c + N_THREAD] = sums[N_THREAD + c] / total;
    }
}
