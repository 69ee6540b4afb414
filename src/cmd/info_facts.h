/* info_facts.h - what a model is, as lathe info --json says it. */
#ifndef CMD_INFO_FACTS_H
#define CMD_INFO_FACTS_H
#include <jansson.h>
#include "base/err.h"
#include "base/hash.h"

/* An error too where tensors are missing or of another shape than the configuration says.  No weights are read: "sha256" is not there, and is
 * weights_digest() of the files that *weights lists, by their paths.  Both are the caller's. */
int info_facts(json_t **out, json_t **weights, const char *path, struct err *err);
/* One digest for the weights: that of their file, or the SHA-256 of the digests (hexadecimal) of n shards in their order. */
int weights_digest(const char *const *digest, int n, char out[SHA256_HEX], struct err *err);
#endif
