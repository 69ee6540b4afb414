/* Decode attention over pages for the usual heads, the join of ranges, and the writing of keys and values into pages. */
#include "gpu/kern/attn_decode.h"
#include "gpu/kern/a8.h"

ATTN_DECODE(attn_decode_64_1, 64, 1, 64, BF16)
ATTN_DECODE(attn_decode_64_2, 64, 2, 64, BF16)
ATTN_DECODE(attn_decode_64_4, 64, 4, 64, BF16)
ATTN_DECODE(attn_decode_64_8, 64, 8, 64, BF16)
ATTN_DECODE(attn_decode_128_1, 128, 1, 128, BF16)
ATTN_DECODE(attn_decode_128_2, 128, 2, 128, BF16)
ATTN_DECODE(attn_decode_128_4, 128, 4, 128, BF16)
ATTN_DECODE(attn_decode_128_8, 128, 8, 128, BF16)

/* A wave takes every N_WAVE-th range, four at once; a lane the columns lane, lane + DK_WAVE ..; then the waves' sums in order.  D: heads of up to so many numbers. */
#define ATTN_JOIN(name, D)                                                                                      \
DK_BOUNDS(N_THREAD) DK_KERNEL void name(struct attn_join_args a)                                                \
{                                                                                                               \
    enum { COLUMNS = D / DK_WAVE, AHEAD = 4 };                                                                  \
    DK_SHARED(float, red, N_WAVE);                                                                              \
    DK_SHARED(float, sums, N_WAVE * (D + 1));                                                                   \
    const int head = dk_bx(), seq = dk_by(), t = dk_tid(), lane = dk_lane();                                    \
    const int n = (a.len[seq] + GPU_RANGE - 1) / GPU_RANGE, stride = a.d + 2, first = a.window > 0 && a.len[seq] > a.window ? (a.len[seq] - a.window) / GPU_RANGE : 0;\
    const float sink = a.sink ? a.sink[head] * DK_LOG2E : DK_LOW;                                               \
    const DK_GLOBAL float *part = a.part + ((long)seq * a.n_head + head) * a.n_range * stride;                  \
    float most = sink, sum = 0, o[COLUMNS];                                                                     \
    for (int r = first + t; r < n; r += N_THREAD)                                                               \
        most = dk_max(most, part[(long)r * stride + a.d]);                                                      \
    most = dk_wave_max(most);                                                                                   \
    if (lane == 0)                                                                                              \
        red[dk_wave()] = most;                                                                                  \
    dk_barrier();                                                                                               \
    for (int i = 0; i < N_WAVE; i++)                                                                            \
        most = dk_max(most, red[i]);                                                                            \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < COLUMNS; i++)                                                                           \
        o[i] = 0;                                                                                               \
    DK_ROLLED                                                                                                   \
    for (int r0 = first + dk_wave(); r0 < n; r0 += N_WAVE * AHEAD) {                                            \
        float w[AHEAD], s[AHEAD], v[AHEAD][COLUMNS];                                                            \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < AHEAD; j++) {                                                                       \
            const int r = r0 + j * N_WAVE, there = r < n;                                                       \
            const DK_GLOBAL float *p = part + (long)(there ? r : r0) * stride;                                  \
            w[j] = there ? p[a.d] : DK_LOW;                                                                     \
            s[j] = p[a.d + 1];                                                                                  \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < COLUMNS; i++)                                                                   \
                v[j][i] = lane + i * DK_WAVE < a.d ? p[lane + i * DK_WAVE] : 0;                                 \
        }                                                                                                       \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < AHEAD; j++) {                                                                       \
            const float weight = dk_exp2(w[j] - most);                                                          \
            sum += weight * s[j];                                                                               \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < COLUMNS; i++)                                                                   \
                o[i] += weight * v[j][i];                                                                       \
        }                                                                                                       \
    }                                                                                                           \
    DK_LOCAL float *own = sums + dk_wave() * (D + 1);                                                           \
    DK_UNROLL                                                                                                   \
    for (int i = 0; i < COLUMNS; i++)                                                                           \
        own[lane + i * DK_WAVE] = o[i];                                                                         \
    if (lane == 0)                                                                                              \
        own[D] = sum;                                                                                           \
    dk_barrier();                                                                                               \
    float v = 0;                                                                                                \
    if (t < a.d) {                                                                                              \
        float total = a.sink ? dk_exp2(sink - most) : 0, x = 0;                                                 \
        for (int i = 0; i < N_WAVE; i++) {                                                                      \
            total += sums[i * (D + 1) + D];                                                                     \
            x += sums[i * (D + 1) + t];                                                                         \
        }                                                                                                       \
        v = n > 0 ? x / total : 0;                                                                              \
        a.o[seq * a.ld_o + (long)head * a.d + t] = v;                                                           \
    }                                                                                                           \
    if (!a.q)                                                                                                   \
        return;                                                                                                 \
    dk_barrier();                                                                                               \
    if (t < a.d)                                                                                                \
        sums[t] = v;                                                                                            \
    dk_barrier();                                                                                               \
    const int there = 4 * t < a.d, c = there ? 4 * t : 0;                                                       \
    a8_put((f32x4){ sums[c], sums[c + 1], sums[c + 2], sums[c + 3] }, there, a.q, a.ds, ((long)seq * a.n_head + head) * a.d + 4 * t);\
}
ATTN_JOIN(attn_join, 128)
ATTN_JOIN(attn_join_256, 256)

/* A thread two numbers of a key and of a value. */
DK_BOUNDS(N_THREAD) DK_KERNEL void kv_put(struct kv_put_args a)
{
    const int n2 = a.n_kv_head * a.d / 2;
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / n2;
    if (row >= a.n_row)
        return;
    const int c = (int)(i % n2) * 2, head = c / a.d, pos = a.pos[row];
    const long page = a.pages[a.seq[row] * a.ld_pages + pos / GPU_KV_TOKENS];
    DK_GLOBAL u16 *key = a.kv + page * a.page_size + ((long)head * GPU_KV_TOKENS + pos % GPU_KV_TOKENS) * a.d + c % a.d;
    const DK_GLOBAL float *k = a.k + row * a.ld_k + c, *v = a.v + row * a.ld_v + c;
    *(DK_GLOBAL u32 *)key = dk_bf16_pair(k[0], k[1]);
    *(DK_GLOBAL u32 *)(key + (long)a.n_kv_head * GPU_KV_TOKENS * a.d) = dk_bf16_pair(v[0], v[1]);
}
