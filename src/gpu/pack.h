/* pack.h - weights as files hold them to what the device kernels read (gpu/args.h): the same bits in other places.
 *
 * What a lane reads 16 aligned bytes of, the quants, lie block by block and row by row (w); bytes that would break that alignment lie apart, in the same order (scale):
 *   Q8_0, Q4_0, IQ4_NL: d       Q4_1: d, m       Q5_0: d, u32 of fifth bits       Q5_1: d, m, fifth bits       MXFP4: e (one byte)       Q4_G: float d, m
 *   Q2_K: d, dmin               Q3_K: the 12 bytes of scales, d                   Q6_K: d
 * Q4_K, Q5_K and types without blocks are as in the file. */
#ifndef GPU_PACK_H
#define GPU_PACK_H
#include <stddef.h>
#include "cpu/quant.h"
/* Bytes of the quants (or of the weight), and of the scales (0 where they are not apart), of N rows of K elements. */
size_t gpu_pack_bytes(enum cpu_type t, int K, int N);
size_t gpu_pack_scale_bytes(enum cpu_type t, int K, int N);
/* N rows, type_bytes(t, K) apart, to w and scale. */
void gpu_pack(enum cpu_type t, int K, int N, const void *src, void *w, void *scale);
#endif
