/* token_files.h - token files (data/shard.h) that data.train and data.valid name: those of lathe data build, say. */
#ifndef TRAIN_TOKEN_FILES_H
#define TRAIN_TOKEN_FILES_H
#include "data/shard.h"
#include "train/config.h"

/* Whether the first file that the paths name is one. */
bool token_files_named(const json_t *paths);
/* Puts all of them together, in the order of the paths and names, as OUT/data/train.tok and valid.tok, and opens these: the same bytes that the
 * texts would give, but that the bytes of text of what data.valid_share holds out are estimated.  Files of another tokenizer are ERR_USAGE; records
 * that a window does not hold are
 * ERR_RANGE or, with data.too_long: skip, left out and counted.  tokenizer: tok_digest. */
int token_files_put(struct shard *train, struct shard *valid, const struct train_config *c, const char tokenizer[SHA256_HEX], const char *out, struct err *err);

#endif
