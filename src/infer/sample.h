/* sample.h - from logits to a token.
 *
 * The draw is a function of (seed, position): the same sequence comes out whatever else runs beside it. */
#ifndef INFER_SAMPLE_H
#define INFER_SAMPLE_H
#include <stdint.h>
#include "model/tok.h"

/* Ids that may be drawn: 0 .. n-1, but none of the gaps, which are ascending. */
struct sample_ids { int n; const int32_t *gap; int n_gap; };
/* Of a model of vocab_size rows of logits: those that stand for a text.  t may be NULL: all. */
struct sample_ids sample_ids(const struct tok *t, int vocab_size);

/* temperature 0: the largest; top_k 0, top_p 1, min_p 0: off.  min_p: of the largest's probability. */
struct sampling { double temperature; int top_k; double top_p, min_p; uint64_t seed; };

/* scratch: room for 2 * ids.n ids, and ids.n floats.  Order of the steps, as in vLLM: temperature, min-p, top-k, top-p, draw; without min-p that is Hugging Face's
 * generate, too.  Among equal logits the lower id comes first.  -1 when a logit is NaN, or there is no id. */
struct sample_scratch { int32_t *id; float *p; };
int sample_token(const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch);
/* The same draw as devices make it (gpu/kern/sample.c), to the bit: probabilities are whole numbers (cpu/draw.h).  What a model says that runs on a device is
 * drawn by this rule, there or here, so that a text does not depend on where its tokens were drawn.  It differs from sample_token() where the
 * drawn number lies within some 1e-7 of the border of two ids. */
int sample_token_exact(const float *logits, struct sample_ids ids, const struct sampling *s, uint64_t position, struct sample_scratch scratch);

#endif
