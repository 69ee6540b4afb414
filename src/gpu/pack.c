/* pack.c - quants and scales apart. */
#include "gpu/pack.h"
#include <string.h>

/* Bytes at the beginning and at the end of a block that go to the scales; what is left is a multiple of 16. */
static int lead(enum cpu_type t)
{
    static const int bytes[N_CPU_TYPE] = { [TYPE_Q8_0] = 2, [TYPE_Q4_0] = 2, [TYPE_IQ4_NL] = 2, [TYPE_Q4_1] = 4, [TYPE_Q5_0] = 6, [TYPE_Q5_1] = 8, [TYPE_MXFP4] = 1, [TYPE_Q4_G] = 8 };
    return bytes[t];
}
static int tail(enum cpu_type t)
{
    static const int bytes[N_CPU_TYPE] = { [TYPE_Q2_K] = 4, [TYPE_Q3_K] = 14, [TYPE_Q6_K] = 2 };
    return bytes[t];
}
size_t gpu_pack_scale_bytes(enum cpu_type t, int K, int N) { return (size_t)N * (size_t)(K / type_block(t)) * (size_t)(lead(t) + tail(t)); }
size_t gpu_pack_bytes(enum cpu_type t, int K, int N) { return (size_t)N * type_bytes(t, K) - gpu_pack_scale_bytes(t, K, N); }

void gpu_pack(enum cpu_type t, int K, int N, const void *src, void *w, void *scale)
{
    const size_t first = (size_t)lead(t), last = (size_t)tail(t), size = type_block_bytes(t), middle = size - first - last;
    if (middle == size) {
        memcpy(w, src, gpu_pack_bytes(t, K, N));
        return;
    }
    const size_t n_block = (size_t)N * (size_t)(K / type_block(t));
    for (size_t i = 0; i < n_block; i++) {
        const char *block = (const char *)src + i * size;
        memcpy((char *)scale + i * (first + last), block, first);
        memcpy((char *)scale + i * (first + last) + first, block + size - last, last);
        memcpy((char *)w + i * middle, block + first, middle);
    }
}
