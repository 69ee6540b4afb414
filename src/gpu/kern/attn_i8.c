/* Decode attention over pages of int8, and the writing of keys and values into them. */
#include "gpu/kern/attn_decode.h"

ATTN_DECODE(attn_decode_i8_64_1, 64, 1, a.d, I8)
ATTN_DECODE(attn_decode_i8_64_2, 64, 2, a.d, I8)
ATTN_DECODE(attn_decode_i8_64_4, 64, 4, a.d, I8)
ATTN_DECODE(attn_decode_i8_64_8, 64, 8, a.d, I8)
ATTN_DECODE(attn_decode_i8_128_1, 128, 1, a.d, I8)
ATTN_DECODE(attn_decode_i8_128_2, 128, 2, a.d, I8)
ATTN_DECODE(attn_decode_i8_128_4, 128, 4, a.d, I8)
ATTN_DECODE(attn_decode_i8_128_8, 128, 8, a.d, I8)
ATTN_DECODE(attn_decode_i8_256_1, 256, 1, a.d, I8)
ATTN_DECODE(attn_decode_i8_256_2, 256, 2, a.d, I8)
ATTN_DECODE(attn_decode_i8_256_4, 256, 4, a.d, I8)
ATTN_DECODE(attn_decode_i8_256_8, 256, 8, a.d, I8)

/* A wave a key or value of one head. */
DK_BOUNDS(N_THREAD) DK_KERNEL void kv_put_i8(struct kv_put_args a)
{
    const long i = (long)dk_bx() * N_WAVE + dk_wave(), row = i / (2 * a.n_kv_head);
    const int part = (int)(i % (2 * a.n_kv_head)), value = part >= a.n_kv_head, head = part % a.n_kv_head;
    if (row >= a.n_row)
        return;
    const DK_GLOBAL float *x = (value ? a.v + row * a.ld_v : a.k + row * a.ld_k) + head * a.d;
    float most = 0, nan = 0;
    for (int c = 4 * dk_lane(); c < a.d; c += 4 * DK_WAVE) {
        const f32x4 v = *(const DK_GLOBAL f32x4 *)(x + c);
        DK_UNROLL
        for (int j = 0; j < 4; j++) {
            most = dk_max(most, v[j] < 0 ? -v[j] : v[j]);
            nan += v[j] * 0.0f;                        /* NaN for NaN and infinities */
        }
    }
    most = dk_wave_max(most);
    nan = dk_wave_sum(nan);
    const int none = nan != 0 || most < 1e-30f, pos = a.pos[row], slot = pos % GPU_KV_TOKENS;
    const float inverse = none ? 0 : 127.0f / most;
    DK_GLOBAL i8 *page = (DK_GLOBAL i8 *)a.kv + a.pages[a.seq[row] * a.ld_pages + pos / GPU_KV_TOKENS] * a.page_size;
    const long at = (long)part * GPU_KV_TOKENS + slot;
    for (int c = 4 * dk_lane(); c < a.d; c += 4 * DK_WAVE) {
        const f32x4 v = *(const DK_GLOBAL f32x4 *)(x + c);
        u32 word = 0;
        DK_UNROLL
        for (int j = 0; j < 4; j++)
            word |= ((u32)(none ? 0 : (int)dk_rint(v[j] * inverse)) & 255) << 8 * j;
        *(DK_GLOBAL u32 *)(page + at * a.d + c) = word;
    }
    if (dk_lane() == 0)
        ((DK_GLOBAL float *)(page + 2l * a.n_kv_head * GPU_KV_TOKENS * a.d))[at] = nan + (none ? 0 : most / 127.0f);
}
