/* Decode attention over pages, and the writing of keys and values into them.
 *
 * attn_decode: a block of 256 threads takes a range of GPU_RANGE positions for the G query heads of one key/value head: scores, maximum and
 * sum, then the sum of values; 16 bytes a lane, so that d/8 lanes read one key.  Keys and values are read once whatever G.  attn_join adds the
 * ranges in order.  Ranges are of absolute positions: what else is in the batch, or how long others are, changes no bit. */
#include "gpu/dk.h"
#include "gpu/args.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)

DK_INLINE float dot_8(u32x4 k, f32x4 q0, f32x4 q1)
{
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

/* LANES lanes a row, PER_WAVE rows a wave reads at once, ROWS_ALL the block; AHEAD loads in flight. */
#define ATTN_DECODE(D, G)                                                                                       \
DK_BOUNDS(N_THREAD) DK_KERNEL void attn_decode_##D##_##G(struct attn_decode_args a)                             \
{                                                                                                               \
    enum { LANES = D / 8, PER_WAVE = DK_WAVE / LANES, ROWS_ALL = PER_WAVE * N_WAVE, STEPS = GPU_RANGE / ROWS_ALL, AHEAD = STEPS < 4 ? STEPS : 4 }; \
    DK_SHARED(float, score, G * GPU_RANGE);                                                                     \
    DK_SHARED(float, sums, N_WAVE * G * D);                                                                     \
    DK_SHARED(float, stat, 2 * G);                                                                              \
    const int range = dk_bx(), kv_head = dk_by(), seq = dk_bz(), t0 = range * GPU_RANGE;                        \
    const int n = a.len[seq] - t0 < GPU_RANGE ? a.len[seq] - t0 : GPU_RANGE;                                    \
    if (n <= 0)                                                                                                 \
        return;                                                                                                 \
    const int lane = dk_lane(), c = lane % LANES, row0 = dk_wave() * PER_WAVE + lane / LANES;                   \
    const DK_GLOBAL int *page = a.pages + seq * a.ld_pages + range * (GPU_RANGE / GPU_KV_TOKENS);               \
    const long keys = (long)kv_head * GPU_KV_TOKENS * D, values = ((long)a.n_kv_head + kv_head) * GPU_KV_TOKENS * D; \
    const int head0 = kv_head * a.n_group;                                                                      \
    {                                                                                                           \
        f32x4 q0[G], q1[G];                                                                                     \
        DK_UNROLL                                                                                               \
        for (int g = 0; g < G; g++) {                                                                           \
            const DK_GLOBAL f32x4 *q = (const DK_GLOBAL f32x4 *)(a.q + seq * a.ld_q + (long)(head0 + (g < a.n_group ? g : 0)) * D) + 2 * c; \
            q0[g] = q[0] * a.scale_log2e;                                                                       \
            q1[g] = q[1] * a.scale_log2e;                                                                       \
        }                                                                                                       \
        DK_ROLLED                                                                                               \
        for (int i0 = 0; i0 < STEPS; i0 += AHEAD) {                                                             \
            u32x4 k[AHEAD];                                                                                     \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < AHEAD; i++) {                                                                   \
                int t = (i0 + i) * ROWS_ALL + row0;                                                             \
                t = t < n ? t : n - 1;                                                                          \
                k[i] = dk_read_once((const DK_GLOBAL u32x4 *)(a.kv + page[t / GPU_KV_TOKENS] * a.page_size + keys + (long)(t % GPU_KV_TOKENS) * D) + c); \
            }                                                                                                   \
            DK_UNROLL                                                                                           \
            for (int i = 0; i < AHEAD; i++) {                                                                   \
                const int t = (i0 + i) * ROWS_ALL + row0;                                                       \
                float s[G];                                                                                     \
                DK_UNROLL                                                                                       \
                for (int g = 0; g < G; g++)                                                                     \
                    s[g] = dot_8(k[i], q0[g], q1[g]);                                                           \
                /* Lanes exchange half of their heads' sums until each has one head, then add that. */          \
                DK_UNROLL                                                                                       \
                for (int n_head = G, m = LANES / 2; m; n_head = n_head > 1 ? n_head / 2 : 1, m /= 2) {          \
                    const int upper = (c & m) != 0, h = n_head / 2;                                             \
                    DK_UNROLL                                                                                   \
                    for (int g = 0; g < h; g++) {                                                               \
                        const float keep = upper ? s[g + h] : s[g], give = upper ? s[g] : s[g + h];             \
                        s[g] = keep + dk_shfl_xor(give, m);                                                     \
                    }                                                                                           \
                    if (h == 0)                                                                                 \
                        s[0] += dk_shfl_xor(s[0], m);                                                           \
                }                                                                                               \
                if (c % (LANES / G) == 0)                                                                       \
                    score[c / (LANES / G) * GPU_RANGE + t] = t < n ? s[0] : DK_LOW;                             \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    dk_barrier();                                                                                               \
    for (int g = dk_wave(); g < G; g += N_WAVE) {                                                               \
        float most = DK_LOW, sum = 0;                                                                           \
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
        u32x4 v[AHEAD];                                                                                         \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < AHEAD; i++) {                                                                       \
            int t = (i0 + i) * ROWS_ALL + row0;                                                                 \
            t = t < n ? t : n - 1;                                                                              \
            v[i] = dk_read_once((const DK_GLOBAL u32x4 *)(a.kv + page[t / GPU_KV_TOKENS] * a.page_size + values + (long)(t % GPU_KV_TOKENS) * D) + c); \
        }                                                                                                       \
        if (i0 == 0)                                                                                            \
            dk_barrier();                                                                                       \
        DK_UNROLL                                                                                               \
        for (int i = 0; i < AHEAD; i++) {                                                                       \
            const int t = (i0 + i) * ROWS_ALL + row0;                                                           \
            DK_UNROLL                                                                                           \
            for (int g = 0; g < G; g++) {                                                                       \
                const float p = score[g * GPU_RANGE + t];                                                       \
                DK_UNROLL                                                                                       \
                for (int j = 0; j < 4; j++) {                                                                   \
                    o[g][2 * j] += p * dk_bf16_low(v[i][j]);                                                    \
                    o[g][2 * j + 1] += p * dk_bf16_high(v[i][j]);                                               \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    DK_UNROLL                                                                                                   \
    for (int g = 0; g < G; g++) {                                                                               \
        DK_UNROLL                                                                                               \
        for (int j = 0; j < 8; j++) {                                                                           \
            float v = o[g][j];                                                                                  \
            DK_UNROLL                                                                                           \
            for (int m = LANES; m < DK_WAVE; m *= 2)                                                            \
                v += dk_shfl_xor(v, m);                                                                         \
            if (lane < LANES)                                                                                   \
                sums[(dk_wave() * G + g) * D + c * 8 + j] = v;                                                  \
        }                                                                                                       \
    }                                                                                                           \
    dk_barrier();                                                                                               \
    DK_GLOBAL float *part = a.part + (((long)seq * a.n_kv_head * a.n_group + head0) * a.n_range + range) * (D + 2); \
    for (int i = dk_tid(); i < a.n_group * (D + 2); i += N_THREAD) {                                            \
        const int g = i / (D + 2), j = i % (D + 2);                                                             \
        float v = 0;                                                                                            \
        if (j < D) {                                                                                            \
            for (int w = 0; w < N_WAVE; w++)                                                                    \
                v += sums[(w * G + g) * D + j];                                                                 \
        } else {                                                                                                \
            v = stat[2 * g + j - D];                                                                            \
        }                                                                                                       \
        part[(long)g * a.n_range * (D + 2) + j] = v;                                                            \
    }                                                                                                           \
}
ATTN_DECODE(64, 1)
ATTN_DECODE(64, 2)
ATTN_DECODE(64, 4)
ATTN_DECODE(64, 8)
ATTN_DECODE(128, 1)
ATTN_DECODE(128, 2)
ATTN_DECODE(128, 4)
ATTN_DECODE(128, 8)

/* A wave takes every N_WAVE-th range, four at once; a lane the columns lane, lane + DK_WAVE ..; then the waves' sums in order. */
DK_BOUNDS(N_THREAD) DK_KERNEL void attn_join(struct attn_join_args a)
{
    enum { COLUMNS = 128 / DK_WAVE, AHEAD = 4 };
    DK_SHARED(float, red, N_WAVE);
    DK_SHARED(float, sums, N_WAVE * 129);
    const int head = dk_bx(), seq = dk_by(), t = dk_tid(), lane = dk_lane();
    const int n = (a.len[seq] + GPU_RANGE - 1) / GPU_RANGE, stride = a.d + 2;
    const DK_GLOBAL float *part = a.part + ((long)seq * a.n_head + head) * a.n_range * stride;
    float most = DK_LOW, sum = 0, o[COLUMNS];
    for (int r = t; r < n; r += N_THREAD)
        most = dk_max(most, part[(long)r * stride + a.d]);
    most = dk_wave_max(most);
    if (lane == 0)
        red[dk_wave()] = most;
    dk_barrier();
    for (int i = 0; i < N_WAVE; i++)
        most = dk_max(most, red[i]);
    DK_UNROLL
    for (int i = 0; i < COLUMNS; i++)
        o[i] = 0;
    DK_ROLLED
    for (int r0 = dk_wave(); r0 < n; r0 += N_WAVE * AHEAD) {
        float w[AHEAD], s[AHEAD], v[AHEAD][COLUMNS];
        DK_UNROLL
        for (int j = 0; j < AHEAD; j++) {
            const int r = r0 + j * N_WAVE, there = r < n;
            const DK_GLOBAL float *p = part + (long)(there ? r : r0) * stride;
            w[j] = there ? p[a.d] : DK_LOW;
            s[j] = p[a.d + 1];
            DK_UNROLL
            for (int i = 0; i < COLUMNS; i++)
                v[j][i] = i * DK_WAVE < a.d ? p[lane + i * DK_WAVE] : 0;
        }
        DK_UNROLL
        for (int j = 0; j < AHEAD; j++) {
            const float weight = dk_exp2(w[j] - most);
            sum += weight * s[j];
            DK_UNROLL
            for (int i = 0; i < COLUMNS; i++)
                o[i] += weight * v[j][i];
        }
    }
    DK_LOCAL float *own = sums + dk_wave() * 129;
    DK_UNROLL
    for (int i = 0; i < COLUMNS; i++)
        own[lane + i * DK_WAVE] = o[i];
    if (lane == 0)
        own[128] = sum;
    dk_barrier();
    if (t >= a.d)
        return;
    float total = 0, x = 0;
    for (int i = 0; i < N_WAVE; i++) {
        total += sums[i * 129 + 128];
        x += sums[i * 129 + t];
    }
    a.o[seq * a.ld_o + (long)head * a.d + t] = n > 0 ? x / total : 0;
}

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
