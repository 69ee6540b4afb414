/* attn_decode.h - attention of one row of each sequence over keys and values in pages, for the kernels of kern/attn*.c.
 *
 * A block of 256 threads takes a range of GPU_RANGE positions for up to G query heads of one key/value head: scores, maximum and
 * sum, then the sum of values; 8 numbers a lane.  Keys and values are read once whatever G; a key head with more query heads has several blocks.
 * attn_join adds the ranges in order.  Ranges are of absolute positions: what else is in the batch, or how long others are, changes no bit. */
#ifndef GPU_ATTN_DECODE_H
#define GPU_ATTN_DECODE_H
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/math.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)

/* Eight numbers of a key or value: slot of head (values: n_kv_head more) of a page, numbers 8c .. 8c+7; of int8 the page's scales too. */
struct kv_BF16 { u32x4 v; };
DK_INLINE struct kv_BF16 kv_read_BF16(const struct attn_decode_args *a, long page, int head, int slot, int d, int c)
{
    return (struct kv_BF16){ dk_read_once((const DK_GLOBAL u32x4 *)(a->kv + page * a->page_size + ((long)head * GPU_KV_TOKENS + slot) * d) + c) };
}
DK_INLINE float kv_dot_BF16(struct kv_BF16 kv, f32x4 q0, f32x4 q1)
{
    const u32x4 k = kv.v;
    float s = dk_bf16_low(k[0]) * q0[0];
    s += dk_bf16_high(k[0]) * q0[1];
    s += dk_bf16_low(k[1]) * q0[2];
    s += dk_bf16_high(k[1]) * q0[3];
    s += dk_bf16_low(k[2]) * q1[0];
    s += dk_bf16_high(k[2]) * q1[1];
    s += dk_bf16_low(k[3]) * q1[2];
    s += dk_bf16_high(k[3]) * q1[3];
    return s;
}
DK_INLINE float kv_value_BF16(struct kv_BF16 kv, int j) { return j % 2 ? dk_bf16_high(kv.v[j / 2]) : dk_bf16_low(kv.v[j / 2]); }
#define KV_SCALE_BF16(kv) 1.0f

struct kv_I8 { u32x2 v; float scale; };
DK_INLINE struct kv_I8 kv_read_I8(const struct attn_decode_args *a, long page, int head, int slot, int d, int c)
{
    const DK_GLOBAL i8 *p = (const DK_GLOBAL i8 *)a->kv + page * a->page_size;
    const long at = (long)head * GPU_KV_TOKENS + slot;
    return (struct kv_I8){ ((const DK_GLOBAL u32x2 *)(p + at * d))[c], ((const DK_GLOBAL float *)(p + 2l * a->n_kv_head * GPU_KV_TOKENS * d))[at] };
}
DK_INLINE float kv_value_I8(struct kv_I8 kv, int j) { return (float)(i8)(kv.v[j / 4] >> 8 * (j % 4)); }
DK_INLINE float kv_dot_I8(struct kv_I8 kv, f32x4 q0, f32x4 q1)
{
    float s = 0;
    DK_UNROLL
    for (int j = 0; j < 8; j++)
        s += kv_value_I8(kv, j) * (j < 4 ? q0[j & 3] : q1[j & 3]);
    return s;
}
#define KV_SCALE_I8(kv) ((kv).scale)

/* name: of the kernel; D: heads of up to so many numbers; d: their number (a multiple of 8), a constant or a.d; KV: BF16, I8.
 * LANES lanes a row, 8 numbers each, the last ones idle where d is no power of two; PER_WAVE rows a wave reads at once, ROWS_ALL the block; AHEAD loads in flight.
 * SUMMED heads' sums of values go through shared memory at a time. */
#define ATTN_DECODE(name, D, G, d, KV)                                                                          \
DK_BOUNDS(N_THREAD) DK_KERNEL void name(struct attn_decode_args a)                                              \
{                                                                                                               \
    enum { LANES = D / 8, PER_WAVE = DK_WAVE / LANES, ROWS_ALL = PER_WAVE * N_WAVE, STEPS = GPU_RANGE / ROWS_ALL, AHEAD = STEPS < 4 ? STEPS : 4,               \
           SUMMED = G * D > 1024 ? 1024 / D : G };                                                              \
    DK_SHARED(float, score, G * GPU_RANGE);                                                                     \
    DK_SHARED(float, sums, N_WAVE * SUMMED * D);                                                                   \
    DK_SHARED(float, stat, 2 * G);                                                                              \
    const int n_chunk = (a.n_group + G - 1) / G, range = dk_bx(), kv_head = dk_by() / n_chunk, first = dk_by() % n_chunk * G, seq = dk_bz(), t0 = range * GPU_RANGE; \
    const int n = a.len[seq] - t0 < GPU_RANGE ? a.len[seq] - t0 : GPU_RANGE, low = a.window > 0 && a.len[seq] - a.window > t0 ? a.len[seq] - a.window - t0 : 0;     \
    if (n <= low)                                                                                               \
        return;                                                                                                 \
    const int n_head = a.n_group - first < G ? a.n_group - first : G;                                           \
    const int lane = dk_lane(), c = lane % LANES, row0 = dk_wave() * PER_WAVE + lane / LANES, there = c * 8 < d; \
    const DK_GLOBAL int *page = a.pages + seq * a.ld_pages + range * (GPU_RANGE / GPU_KV_TOKENS);               \
    const int head0 = kv_head * a.n_group + first;                                                              \
    {                                                                                                           \
        f32x4 q0[G], q1[G];                                                                                     \
        DK_UNROLL                                                                                               \
        for (int g = 0; g < G; g++) {                                                                           \
            const DK_GLOBAL f32x4 *q = (const DK_GLOBAL f32x4 *)(a.q + seq * a.ld_q + (long)(head0 + (g < n_head ? g : 0)) * d) + (there ? 2 * c : 0);           \
            q0[g] = q[0] * a.scale_log2e;                                                                       \
            q1[g] = q[1] * a.scale_log2e;                                                                       \
        }                                                                                                       \
        DK_ROLLED                                                                                               \
        for (int i0 = 0; i0 < STEPS; i0 += AHEAD) {                                                             \
            struct kv_##KV k[AHEAD];                                                                            \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < AHEAD; i++) {                                                                   \
                int t = (i0 + i) * ROWS_ALL + row0;                                                             \
                t = t < low ? low : t < n ? t : n - 1;                                                          \
                k[i] = kv_read_##KV(&a, page[t / GPU_KV_TOKENS], kv_head, t % GPU_KV_TOKENS, d, there ? c : 0); \
            }                                                                                                   \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < AHEAD; i++) {                                                                   \
                const int t = (i0 + i) * ROWS_ALL + row0;                                                       \
                float s[G];                                                                                     \
                DK_UNROLL                                                                                       \
                for (int g = 0; g < G; g++)                                                                     \
                    s[g] = there ? kv_dot_##KV(k[i], q0[g], q1[g]) : 0;                                         \
                /* Lanes exchange half of their heads' sums until each has one head, then add that. */          \
                DK_UNROLL                                                                                       \
                for (int left = G, m = LANES / 2; m; left = left > 1 ? left / 2 : 1, m /= 2) {                  \
                    const int upper = (c & m) != 0, h = left / 2;                                               \
                    DK_UNROLL                                                                                   \
                    for (int g = 0; g < h; g++) {                                                               \
                        const float keep = upper ? s[g + h] : s[g], give = upper ? s[g] : s[g + h];             \
                        s[g] = keep + dk_shfl_xor(give, m);                                                     \
                    }                                                                                           \
                    if (h == 0)                                                                                 \
                        s[0] += dk_shfl_xor(s[0], m);                                                           \
                }                                                                                               \
                if (c % (LANES / G) == 0)                                                                       \
                    score[c / (LANES / G) * GPU_RANGE + t] = t >= low && t < n ? s[0] * KV_SCALE_##KV(k[i]) : DK_LOW;                                           \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    dk_barrier();                                                                                               \
    for (int g = dk_wave(); g < G; g += N_WAVE) {                                                               \
        float most = DK_LOW, sum = 0;                                                                           \
        for (int t = lane; t < GPU_RANGE && a.cap_log2e > 0; t += DK_WAVE)                                      \
            score[g * GPU_RANGE + t] = t >= low && t < n ? a.cap_log2e * dk_tanh(score[g * GPU_RANGE + t] / a.cap_log2e) : DK_LOW;                              \
        for (int t = lane; t < GPU_RANGE; t += DK_WAVE)                                                         \
            most = dk_max(most, score[g * GPU_RANGE + t]);                                                      \
        most = dk_wave_max(most);                                                                               \
        for (int t = lane; t < GPU_RANGE; t += DK_WAVE) {                                                       \
            const float p = dk_exp2(score[g * GPU_RANGE + t] - most);                                           \
            score[g * GPU_RANGE + t] = p;                                                                       \
            sum += p;                                                                                           \
        }                                                                                                       \
        sum = dk_wave_sum(sum);                                                                                 \
        if (lane == 0) {                                                                                        \
            stat[2 * g] = most;                                                                                 \
            stat[2 * g + 1] = sum;                                                                              \
        }                                                                                                       \
    }                                                                                                           \
    float o[G][8];                                                                                              \
    DK_UNROLL                                                                                                   \
    for (int g = 0; g < G; g++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < 8; j++)                                                                             \
            o[g][j] = 0;                                                                                        \
    }                                                                                                           \
    DK_ROLLED                                                                                                   \
    for (int i0 = 0; i0 < STEPS; i0 += AHEAD) {                                                                 \
        struct kv_##KV v[AHEAD];                                                                                \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < AHEAD; i++) {                                                                       \
            int t = (i0 + i) * ROWS_ALL + row0;                                                                 \
            t = t < low ? low : t < n ? t : n - 1;                                                              \
            v[i] = kv_read_##KV(&a, page[t / GPU_KV_TOKENS], a.n_kv_head + kv_head, t % GPU_KV_TOKENS, d, there ? c : 0);                                       \
        }                                                                                                       \
        if (i0 == 0)                                                                                            \
            dk_barrier();                                                                                       \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < AHEAD; i++) {                                                                       \
            const int t = (i0 + i) * ROWS_ALL + row0;                                                           \
            DK_UNROLL                                                                                           \
            for (int g = 0; g < G; g++) {                                                                       \
                const float p = score[g * GPU_RANGE + t] * KV_SCALE_##KV(v[i]);                                 \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < 8; j++)                                                                     \
                    o[g][j] += p * kv_value_##KV(v[i], j);                                                      \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    DK_GLOBAL float *part = a.part + (((long)seq * a.n_kv_head * a.n_group + head0) * a.n_range + range) * (d + 2); \
    DK_UNROLL                                                                                                   \
    for (int g0 = 0; g0 < G; g0 += SUMMED) {                                                                    \
        if (g0)                                                                                                 \
            dk_barrier();                                                                                       \
        DK_UNROLL                                                                                               \
        for (int h = 0; h < SUMMED; h++) {                                                                      \
            DK_UNROLL                                                                                           \
            for (int j = 0; j < 8; j++) {                                                                       \
                float x = o[g0 + h][j];                                                                         \
                DK_UNROLL                                                                                       \
                for (int m = LANES; m < DK_WAVE; m *= 2)                                                        \
                    x += dk_shfl_xor(x, m);                                                                     \
                if (lane < LANES)                                                                               \
                    sums[(dk_wave() * SUMMED + h) * D + c * 8 + j] = x;                                         \
            }                                                                                                   \
        }                                                                                                       \
        dk_barrier();                                                                                           \
        for (int i = dk_tid(); i < SUMMED * (d + 2); i += N_THREAD) {                                           \
            const int h = i / (d + 2), j = i % (d + 2);                                                         \
            float x = 0;                                                                                        \
            if (g0 + h >= n_head)                                                                               \
                break;                                                                                          \
            if (j < d) {                                                                                        \
                for (int w = 0; w < N_WAVE; w++)                                                                \
                    x += sums[(w * SUMMED + h) * D + j];                                                        \
            } else {                                                                                            \
                x = stat[2 * (g0 + h) + j - d];                                                                 \
            }                                                                                                   \
            part[(long)(g0 + h) * a.n_range * (d + 2) + j] = x;                                                 \
        }                                                                                                       \
    }                                                                                                           \
}
#endif
