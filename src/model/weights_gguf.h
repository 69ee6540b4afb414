/* weights_gguf.h - which weights of a model lie where in a GGUF file.
 *
 * GGUF has one set of names for all architectures (blk.3.attn_q.weight), experts of a layer stacked in one tensor, products
 * never transposed, norms as they are applied (Gemma's too), and for those architectures whose RoPE llama.cpp does in pairs
 * (llama, mistral and mixtral, smollm3, olmo) the rows of q and k in another order within each head.  DeepSeek's kv_b is
 * there whole or as k_b, transposed head by head, and v_b. */
#ifndef MODEL_WEIGHTS_GGUF_H
#define MODEL_WEIGHTS_GGUF_H
#include "model/gguf.h"
#include "model/weights.h"

/* Makes the parts of l those of a GGUF file: of g, whose tensors decide between forms that both are met (q, k, v and gate, up
 * fused or apart; kv_b); with g NULL as we write them. */
int weights_gguf_parts(struct weights_list *l, const struct gguf *g, struct err *err);

/* After weights_gguf_parts.  Every part is there with its shape and a type that we know, and nothing else is there but what a
 * model does not use: RoPE factors, which the configuration has, and heads of encoders and layers that predict further tokens. */
int weights_gguf_check(const struct weights_list *l, const struct gguf *g, struct err *err);
/* Checks, then fills each weight as floats, as weights_load does. */
int weights_gguf_load(const struct weights_list *l, const struct gguf *g, float *(*place)(void *ctx, int i), void *ctx, struct err *err);
#endif
