/* gguf_config.h - what model a GGUF file holds.
 *
 * Its metadata is translated to the keys of the same family's config.json and read by config.c, so that a family is
 * described once.  What GGUF leaves unsaid is filled in as llama.cpp does, from the architecture and from which tensors
 * are there: no output.weight means tied embeddings, biases are there or not, rope_freqs are the divisors of the
 * frequencies.  Numbers are float32 there: 1e-5 is read as 1e-5, not as 9.99999974737875e-06. */
#ifndef MODEL_GGUF_CONFIG_H
#define MODEL_GGUF_CONFIG_H
#include "base/buf.h"
#include "model/config.h"
#include "model/gguf.h"

/* Fills *c, validates it, and appends to warnings (may be NULL) one line, with newline, for each key of the architecture
 * that was not used.  An unknown architecture, or a known one in a form that we cannot run, is ERR_UNSUPPORTED. */
int gguf_config(struct config *c, const struct gguf *g, struct buf *warnings, struct err *err);
#endif
