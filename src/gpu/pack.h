/* pack.h - weights as files hold them to what the device kernels read (gpu/args.h, struct gemv_args): the same bits in other places.
 *
 * Q8_0, Q4_0: quants of a row side by side, scales apart, so that a lane can read 16 aligned bytes.  Q4_K, BF16, F32: as they are. */
#ifndef GPU_PACK_H
#define GPU_PACK_H
#include <stdbool.h>
#include <stddef.h>
#include "cpu/quant.h"
bool gpu_pack_has(enum cpu_type t);
/* Bytes of the quants (or of the weight), and of the scales (0 where they are not apart), of N rows of K elements. */
size_t gpu_pack_bytes(enum cpu_type t, int K, int N);
size_t gpu_pack_scale_bytes(enum cpu_type t, int K, int N);
/* N rows, type_bytes(t, K) apart, to w and scale. */
void gpu_pack(enum cpu_type t, int K, int N, const void *src, void *w, void *scale);
#endif
