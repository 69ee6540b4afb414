/* features.h - what sets a model apart from the plain decoder (norm before each branch, full causal attention, plain RoPE, no
 * biases), in words for people. */
#ifndef MODEL_FEATURES_H
#define MODEL_FEATURES_H
#include "base/buf.h"
#include "model/config.h"

/* Appends one line for each, with newline; *c must be valid. */
int config_features(const struct config *c, struct buf *out, struct err *err);
#endif
