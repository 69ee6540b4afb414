/* pack.c - quants and scales apart. */
#include "gpu/pack.h"
#include <string.h>

static bool apart(enum cpu_type t) { return t == TYPE_Q8_0 || t == TYPE_Q4_0; }
bool gpu_pack_has(enum cpu_type t) { return apart(t) || t == TYPE_Q4_K || t == TYPE_BF16 || t == TYPE_F32; }
size_t gpu_pack_scale_bytes(enum cpu_type t, int K, int N) { return apart(t) ? (size_t)N * (size_t)(K / 32) * 2 : 0; }
size_t gpu_pack_bytes(enum cpu_type t, int K, int N) { return (size_t)N * type_bytes(t, K) - gpu_pack_scale_bytes(t, K, N); }

void gpu_pack(enum cpu_type t, int K, int N, const void *src, void *w, void *scale)
{
    if (!apart(t)) {
        memcpy(w, src, gpu_pack_bytes(t, K, N));
        return;
    }
    const size_t n_block = (size_t)N * (size_t)(K / 32), size = type_block_bytes(t) - 2;
    for (size_t i = 0; i < n_block; i++) {
        const char *block = (const char *)src + i * (size + 2);
        memcpy((char *)scale + 2 * i, block, 2);
        memcpy((char *)w + i * size, block + 2, size);
    }
}
