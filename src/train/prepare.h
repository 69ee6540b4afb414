/* prepare.h - from the texts that the settings name to token files: the part of a run before its plan. */
#ifndef TRAIN_PREPARE_H
#define TRAIN_PREPARE_H
#include "data/shard.h"
#include "train/config.h"

struct prepared { struct tok *tok; char tok_sha256[SHA256_HEX]; struct shard train, valid; };      /* valid.n is 0 when nothing is held out */

/* Loads or learns the tokenizer, fits the model's vocabulary to it where the settings leave that open, writes and opens
 * OUT/data/train.tok and valid.tok.  *p is zeroed by the caller; where names the settings in messages. */
int prepare_data(struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err);
void prepare_release(struct prepared *p);

#endif
