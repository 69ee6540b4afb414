/* composite.h - weights that safetensors files keep in several tensors: codes, scales, zero points.
 *
 *   GPTQ    x.qweight i32 [K*bits/32, N], x.qzeros i32 [G, N*bits/32], x.scales [G, N], x.g_idx i32 [K] (group of each input)
 *           w[n,k] = scales[g,n] * (q - (z + 1)), in checkpoint_format gptq_v2 (q - z); codes along K, lowest bits first
 *   AWQ     x.qweight i32 [K, N/8], x.qzeros i32 [G, N/8], x.scales [G, N]: w = scale * (q - z); of 8 outputs, nibble 0 1 2 ...
 *           holds output 0 2 4 6 1 3 5 7
 *   packed  compressed-tensors' pack-quantized: x.weight_packed i32 [N, K*bits/32], x.weight_scale [N, G], codes along K;
 *           x.weight_zero_point i32 [N*bits/32, G], codes along N; without it 2^(bits-1)
 *   scaled  x.weight fp8 or i8 [.., N, K] times x.weight_scale_inv or x.weight_scale: one, one for each row, or one for each
 *           block (128 x 128 unless config.json says another weight_block_size); the fnuz forms also without a scale
 *   mxfp4   gpt-oss: x_blocks u8 [.., N, G, 16], x_scales u8 [.., N, G]: byte b has elements 2b (low) and 2b+1 (high)
 *
 * The first three read as Q4_G, exactly, when 32 inputs share a group and bits <= 4, else as F16; scaled as BF16, or F32 when its
 * scales are F32 and it is i8; mxfp4 as MXFP4 under the name x.  Formulas: the formats' own readers (AutoGPTQ, AutoAWQ,
 * compressed-tensors, transformers). */
#ifndef MODEL_COMPOSITE_H
#define MODEL_COMPOSITE_H
#include <jansson.h>
#include "model/safetensors.h"
#include "model/source.h"

struct composite;
/* The composites of st, in the order of their main tensors; used[i] becomes true for each tensor of st that is a part of one.
 * config: of config.json, whose quantization_config tells GPTQ from AWQ, or NULL; where leads messages about it. */
int composites_find(struct composite **out, int *n, bool *used, const struct safetensors *st, const json_t *config, const char *where,
                    struct err *err);
void composites_free(struct composite *c, int n);
struct composite *composite_at(struct composite *c, int i);
int composite_main(const struct composite *c);                         /* index in st of its main tensor */
struct source_tensor composite_tensor(const struct composite *c);      /* name borrowed; data is NULL */
void composite_read_rows(const struct composite *c, int64_t first, int64_t n, void *out);
#endif
